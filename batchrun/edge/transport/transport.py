"""Sends a request over HTTP, once; every mishap of the network becomes a Failure.

What is decided here, and why:

- A failure is *in doubt* exactly when its body had begun to be written: from then on the provider may have read it, and billed it.
- An answer that nobody asked for is nobody's: the connection that brings one is ended.
- Nothing is sent twice behind the caller's back: no redirect is followed, and nothing repeats a POST.
- aiohttp's exceptions hold the request's headers, and so the key: their text is never used, only their class and the errno.
- Silence is counted from the answer's first byte on: a model may think for as long as *total* before it says a word. In a stream it is
  counted between events: a comment that keeps the connection alive is no event. An answer whose stream has said everything stands,
  whatever becomes of its wire.
- A head is written once a workspace, one timer watches all calls, and an answer wakes whoever waits for it once. `ClientSession` is left
  for GETs.

No other client stands behind this port. pyreqwest 0.15 (Rust), the quickest that is kept well, was measured beside it in one run, answers
taken as bytes, 64 and 1,000 in flight: 73 to 93 and 88 to 91 µs of CPU a call where this takes 44 to 45 and 62 to 63; with uvloop 43 to 47
and 55 to 60 where this takes 36 to 43 and 50 to 56. Nor could it say whether a request's body was begun to be written, or keep connections
apart by their keys, and twice in six runs it took the process down at its end.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from functools import partial
from types import TracebackType
from typing import Self

import aiohttp

from batchrun.core.model import Failure, Reply, Request
from batchrun.core.protocols.mishaps import mishap
from batchrun.core.protocols.reading import Reading
from batchrun.edge.transport.attempt import Attempt
from batchrun.edge.transport.connections import Connection
from batchrun.edge.transport.mishaps import TooLargeError, TooManyValuesError, WireError, code_of, reason_of
from batchrun.edge.transport.names import Lookup
from batchrun.edge.transport.pool import Pool
from batchrun.edge.transport.secrets import failure_without_key, headers_without_key, key_of, masked, reply_without_key
from batchrun.edge.transport.targets import Page, Target, Targets, common_headers
from batchrun.edge.transport.watch import Watch

_ANSWERS_AT_ONCE = 4
"""Of the largest size that the calls of one key may hold in part at a time."""


class Transport:
    """The connections of a run, a pool for each key and endpoint. Use it as an async context manager.

    *connect* covers all until a connection stands (a free one of the pool, the name, TCP, TLS), *idle* is the longest silence in an
    answer, *total* the longest attempt, whatever drips. *connections* is at least the number of posts at a time: one that
    finds none free spends its *connect* on waiting. *proxy* is ``none``, ``environment`` or a URL. *max_response_bytes* counts after
    decompression. *lookup* stands in for `socket.getaddrinfo`.
    """

    def __init__(
        self,
        *,
        connect: float,
        idle: float,
        total: float,
        connections: int,
        proxy: str,
        max_response_bytes: int,
        lookup: Lookup = socket.getaddrinfo,
    ) -> None:
        if connections < 1:
            raise ValueError(f"connections = {connections}: a pool needs at least one")
        self._connect = min(connect, total)
        self._connect_code = "connect_timeout" if connect <= total else "total_timeout"
        self._idle = idle
        self._total = total
        self._connections = connections
        self._max_response_bytes = max_response_bytes
        self._targets = Targets(proxy, _ANSWERS_AT_ONCE * max_response_bytes)
        self._lookup = lookup
        self._watches: dict[float, Watch] = {}
        self._loop: asyncio.AbstractEventLoop
        self._pool: Pool
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._pool = Pool(self._loop, self._connections, self._targets.free, self._lookup)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for watch in self._watches.values():
            watch.close()
        if self._session is not None:
            await self._session.close()
        await self._pool.close()

    async def post(self, request: Request, reading: Reading) -> Reply | Failure:
        """Send *request* once and give its answer to *reading*; what comes back holds no key. Cancelling closes the connection."""
        key = key_of(request.headers)
        target = self._targets.of(request.url, key)
        if isinstance(target, Failure):
            return target
        try:
            result = await self._result(target, request, reading)
            return failure_without_key(result, key) if isinstance(result, Failure) else reply_without_key(result, key)
        except MemoryError:
            # What it had taken is given back by now: the others go on.
            return mishap("no_memory", in_doubt=True)

    async def get(self, url: str, headers: Mapping[str, str]) -> Page | Failure:
        """Ask for *url*, which costs nothing; what comes back holds no key."""
        target = self._targets.of(url)
        if isinstance(target, Failure):
            return target
        try:
            async with (
                asyncio.timeout(min(self._total, self._idle)),
                self._pages().get(target.url, headers=headers, proxy=target.proxy, allow_redirects=False) as response,
            ):
                key = key_of(headers)
                return Page(response.status, headers_without_key(response.headers, key), masked(await self._whole(response), key))
        except (aiohttp.ClientError, TimeoutError, UnicodeError, TooLargeError) as error:
            return mishap(code_of(error), _told(target, error), in_doubt=False)

    async def _result(self, target: Target, request: Request, reading: Reading) -> Reply | Failure:
        now, total = self._loop.time(), request.total or self._total
        attempt = Attempt(self._loop, reading, now, now + total)
        watch = self._watch(total)
        watch.add(attempt)
        try:
            attempt.connection = connection = self._pool.take(target, now) or await self._opened(target, attempt)
            return await self._exchange(target, request, attempt, connection)
        except TooLargeError as error:
            if attempt.stands():
                return attempt.result()
            status = 0 if attempt.connection is None else attempt.connection.status
            if isinstance(error, TooManyValuesError):
                return mishap("too_many_values", in_doubt=True, status=status)
            return mishap("response_too_large", f"over {self._max_response_bytes} bytes", in_doubt=True, status=status)
        except (WireError, aiohttp.ClientError, OSError, UnicodeError) as error:
            if attempt.stands():
                return attempt.result()
            return mishap(attempt.over or code_of(error), _told(target, error), in_doubt=attempt.connection is not None)
        finally:
            watch.remove(attempt)
            attempt.close()
            target.room.leave(attempt)
            if attempt.connection is not None:
                self._pool.give_back(target, attempt.connection)

    async def _exchange(self, target: Target, request: Request, attempt: Attempt, connection: Connection) -> Reply | Failure:
        connection.write(partial(target.head, request.headers, len(request.body)), request.body)
        while not connection.status:
            await connection.more()
        status = connection.status
        if not 200 <= status < 300:
            # Masked before it is read: an excerpt could cut a key in two and keep a half.
            body = masked(await attempt.refusal(connection, self._max_response_bytes, self._idle), key_of(request.headers))
            return attempt.reading.refused(status, connection.headers, body)
        await attempt.feed(connection, self._max_response_bytes, self._idle, target.room)
        return attempt.result()

    async def _opened(self, target: Target, attempt: Attempt) -> Connection:
        """A connection that was waited for; *total* bounds the wait where it is shorter than *connect*."""
        try:
            async with asyncio.timeout(self._connect):
                return await self._pool.opened(target)
        except TimeoutError:
            attempt.over = self._connect_code
            raise

    def _pages(self) -> aiohttp.ClientSession:
        """What pages are asked with."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=self._pool.connector,
                connector_owner=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, connect=self._connect),
                headers=common_headers(),
                # The environment is read once: aiohttp would read it again for every request.
                trust_env=False,
            )
        return self._session

    def _watch(self, total: float) -> Watch:
        watch = self._watches.get(total)
        if watch is None:
            watch = self._watches[total] = Watch()
        return watch

    async def _whole(self, response: aiohttp.ClientResponse) -> bytes:
        """The body of a page, cut at the largest size that is taken."""
        pieces = []
        left = self._max_response_bytes
        while left > 0 and (piece := await response.content.readany()):
            pieces.append(piece[:left])
            left -= len(piece)
        return b"".join(pieces)


def _told(target: Target, error: BaseException) -> str:
    return ": ".join(filter(None, (target.url.host, reason_of(error))))
