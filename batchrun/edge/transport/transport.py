"""Sends a request over HTTP, once; every mishap of the network becomes a Failure.

What is decided here, and why:

- A failure is *in doubt* exactly when its body had begun to be written: from then on the provider may have read it, and billed it.
- An answer that nobody asked for is nobody's: the connection that brings one is ended.
- Nothing is sent twice behind the caller's back: no redirect is followed, and nothing repeats a POST.
- aiohttp's exceptions hold the request's headers, and so the key: their text is never used, only their class and the errno.
- Silence is counted from the answer's first byte on: a model may think for as long as *total* before it says a word. In a stream it is
  counted between events: a comment that keeps the connection alive is no event. What has come and waits for this process to read it, as
  that of a thousand streams at once does, costs neither *idle* nor *total*: answers that are paid for would be lost by it. An answer whose
  stream has said everything stands, whatever becomes of its wire, and so does a plain one whose object is there to its last bracket: a last
  chunk that never comes, or a length that is too large, costs no answer that was paid for, and two seconds instead of *idle*.
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
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

import aiohttp

from batchrun.core.model import Failure, Reply, Request
from batchrun.core.protocols.mishaps import mishap
from batchrun.core.protocols.reading import Reading
from batchrun.edge.transport.attempt import TURN_BYTES
from batchrun.edge.transport.call import Call, Terms, told, what
from batchrun.edge.transport.mishaps import TooLargeError
from batchrun.edge.transport.names import Lookup
from batchrun.edge.transport.pool import Pool
from batchrun.edge.transport.room import Rooms
from batchrun.edge.transport.secrets import headers_without_key, key_of, masked
from batchrun.edge.transport.targets import Page, Targets, common_headers
from batchrun.edge.transport.turns import Few
from batchrun.edge.transport.watch import Watch

_OF_ONE_KEY, _OF_ALL = 4, 16
"""Answers of the largest size that the calls of one key, and those of all, may hold in part at a time."""


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
        self._targets = Targets(proxy, Rooms(_OF_ONE_KEY * max_response_bytes, _OF_ALL * max_response_bytes))
        self._lookup = lookup
        self._watches: dict[float, Watch] = {}
        self._terms: Terms
        self._pool: Pool
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._pool = Pool(loop, self._connections, self._targets.free, self._lookup)
        self._terms = Terms(
            loop, self._pool, Few(loop, 1), self._connect, self._connect_code, self._idle,
            self._max_response_bytes, min(self._max_response_bytes, TURN_BYTES),
        )  # fmt: skip
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for watch in self._watches.values():
            watch.close()
        if self._session is not None:
            await self._session.close()
        await self._pool.close()

    async def post(self, request: Request, reading: Reading) -> Reply | Failure:
        """Send *request* once and give its answer to *reading*; what comes back holds no key. Cancelling closes the connection."""
        call = self._call(request, reading)
        return call if isinstance(call, Failure) else await call.rest()

    def begin(self, request: Request, reading: Reading, came: Callable[[float], None]) -> Call | None:
        """Begin what `post` does, without a wait: *came* is told, later and once, when to look. None where there is a wait first."""
        call = self._call(request, reading)
        return call if not isinstance(call, Failure) and call.begin(came) else None

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
            return mishap(what(target, error), told(target, error), in_doubt=False)

    def _call(self, request: Request, reading: Reading) -> Call | Failure:
        target = self._targets.asked(request)
        if isinstance(target, Failure):
            return target
        total = request.total or self._total
        return Call(self._terms, target, request, reading, total, self._watches.get(total) or self._watch(total))

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
