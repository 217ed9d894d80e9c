"""Sends a request over HTTP, once; every mishap of the network becomes a Failure.

What is decided here, and why:

- A failure is *in doubt* exactly when its body had begun to be written: from then on the provider may have read it, and billed it.
- An answer that was there before its request is nobody's: a pooled connection on which one lies is not written to.
- Nothing is sent twice behind the caller's back: no redirect is followed, and nothing repeats a POST.
- aiohttp's exceptions hold the request's headers, and so the key: their text is never used, only their class and the errno.
- Silence is counted from the answer's first byte on: a model may think for as long as *total* before it says a word. In a stream it is
  counted between events: a comment that keeps the connection alive is no event. An answer whose stream has said everything stands,
  whatever becomes of its wire.
- A connection comes from aiohttp's connector (its pool, names, TLS and proxies), and its answer through aiohttp's parser. What aiohttp's
  session does in between costs more than both: for each call it merges headers, builds a request and a response, starts a task that writes
  the body and sets timers. Here a head is written once a workspace, and one timer watches all calls. `ClientSession` is left for GETs.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError

from batchrun.core.model import Failure, Reply, Request
from batchrun.core.protocols.mishaps import mishap
from batchrun.core.protocols.reading import Reading
from batchrun.edge.transport.attempt import Attempt
from batchrun.edge.transport.connections import Connector
from batchrun.edge.transport.mishaps import TooLargeError, TooManyValuesError, code_of, reason_of
from batchrun.edge.transport.names import Lookup
from batchrun.edge.transport.secrets import failure_without_key, key_of, masked, reply_without_key
from batchrun.edge.transport.targets import Page, Target, Targets, common_headers
from batchrun.edge.transport.watch import Watch

_KEEPALIVE = 30.0
_NAMES_LAST = 60
"""Seconds a resolved name is trusted; short, so that a run of hours follows an endpoint that moves."""
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
        self._timeout = aiohttp.ClientTimeout(total=None, connect=min(connect, total))
        self._connect_code = "connect_timeout" if connect <= total else "total_timeout"
        self._idle = idle
        self._total = total
        self._connections = connections
        self._max_response_bytes = max_response_bytes
        self._targets = Targets(proxy, _ANSWERS_AT_ONCE * max_response_bytes)
        self._lookup = lookup
        self._watches: dict[float, Watch] = {}
        self._loop: asyncio.AbstractEventLoop
        self._connector: aiohttp.TCPConnector
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._connector = Connector(limit=self._connections, keepalive_timeout=_KEEPALIVE, ttl_dns_cache=_NAMES_LAST, lookup=self._lookup)
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=self._timeout,
            headers=common_headers(),
            # The environment is read once: aiohttp would read it again for every request.
            trust_env=False,
        )
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for watch in self._watches.values():
            watch.close()
        if self._session is not None:
            await self._session.close()

    async def post(self, request: Request, reading: Reading) -> Reply | Failure:
        """Send *request* once and give its answer to *reading*; what comes back holds no key. Cancelling closes the connection."""
        key = key_of(request.headers)
        target = self._targets.of(request.url, key)
        if isinstance(target, Failure):
            return target
        result = await self._result(target, request, reading)
        return failure_without_key(result, key) if isinstance(result, Failure) else reply_without_key(result, key)

    async def get(self, url: str, headers: Mapping[str, str]) -> Page | Failure:
        """Ask for *url*, which costs nothing; what comes back holds no key."""
        target = self._targets.of(url)
        if isinstance(target, Failure):
            return target
        assert self._session is not None, "a Transport is used inside its own `async with`"
        try:
            async with (
                asyncio.timeout(min(self._total, self._idle)),
                self._session.get(target.url, headers=headers, proxy=target.proxy, allow_redirects=False) as response,
            ):
                body = masked(await self._whole(response), key_of(headers))
                return Page(response.status, response.headers, body)
        except (aiohttp.ClientError, TimeoutError, UnicodeError, TooLargeError) as error:
            return mishap(code_of(error), f"{target.url.host}: {reason_of(error)}", in_doubt=False)

    async def _result(self, target: Target, request: Request, reading: Reading) -> Reply | Failure:
        assert self._session is not None, "a Transport is used inside its own `async with`"
        now, total = self._loop.time(), request.total or self._total
        attempt = Attempt(self._loop, reading, now, now + total)
        watch = self._watch(total)
        watch.add(attempt)
        try:
            return await self._exchange(target, request, attempt)
        except TooLargeError as error:
            if attempt.stands():
                return attempt.result()
            if isinstance(error, TooManyValuesError):
                return mishap("too_many_values", in_doubt=True, status=attempt.status)
            return mishap("response_too_large", f"over {self._max_response_bytes} bytes", in_doubt=True, status=attempt.status)
        except (aiohttp.ClientError, HttpProcessingError, OSError, UnicodeError) as error:
            if attempt.stands():
                return attempt.result()
            return mishap(attempt.over or code_of(error), f"{target.url.host}: {reason_of(error)}", in_doubt=attempt.begun)
        finally:
            watch.remove(attempt)
            attempt.close()
            target.room.leave(attempt)

    async def _exchange(self, target: Target, request: Request, attempt: Attempt) -> Reply | Failure:
        connection = await self._connected(target, attempt)
        try:
            attempt.send(connection, target, request.headers, request.body)
            payload = await attempt.answered()
            if not 200 <= attempt.status < 300:
                # Masked before it is read: an excerpt could cut a key in two and keep a half.
                body = masked(await attempt.refusal(payload, self._max_response_bytes, self._idle), key_of(request.headers))
                return attempt.reading.refused(attempt.status, attempt.headers, body)
            await attempt.feed(payload, self._max_response_bytes, self._idle, target.room)
            return attempt.result()
        finally:
            if attempt.ended():
                connection.release()
            else:
                connection.close()

    async def _connected(self, target: Target, attempt: Attempt) -> Connection:
        """A free connection, or a new one; *total* bounds it where it is shorter than *connect*."""
        try:
            return await self._connector.connect(target.opening(), [], self._timeout)
        except TimeoutError:
            attempt.over = self._connect_code
            raise

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
