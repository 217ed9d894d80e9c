"""One answer on its way, how long it may still take, and the connection that it comes over."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.streams import StreamReader
from anyio.lowlevel import checkpoint

from batchrun.core.model import Failure, Reply
from batchrun.core.protocols.reading import Reading
from batchrun.core.rows.weight import MOST_WEIGHT
from batchrun.edge.transport.mishaps import StrayAnswerError, TooLargeError, TooManyValuesError
from batchrun.edge.transport.room import Room
from batchrun.edge.transport.targets import Target
from batchrun.edge.transport.watch import TICK, overslept

_AFTERWORD = 2.0
"""Seconds that a stream may take to end after it has said everything; longer, and its connection is not used again."""
_TURN_BYTES = 1 << 18
"""Of an answer are read before the other calls have their turn: aiohttp unpacks a bomb without a wait in between."""
_REFUSAL_BYTES = 1 << 20
_ONE_WRITE = 1 << 16
"""Bytes of a body that are worth copying behind their head, so that one packet holds both."""


class Attempt:
    """One request and its answer. Made when it begins; *ends* is when its time is up, whatever comes."""

    __slots__ = (
        "_loop",
        "_payload",
        "_protocol",
        "_rings_at",
        "_timer",
        "_until",
        "began",
        "begun",
        "ends",
        "first_token",
        "headers",
        "over",
        "reading",
        "status",
        "waits",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, reading: Reading, began: float, ends: float) -> None:
        self._loop = loop
        self.reading = reading
        self.began = began
        self.ends = ends
        self.begun = False
        """Whether its body was begun to be written."""
        self.over: str | None = None
        """Why its time was up, where it was."""
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.first_token: float | None = None
        self._protocol: ResponseHandler | None = None
        self._payload: StreamReader | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = ends
        """When the timer does. uvloop's handles can not always tell."""
        self._until = ends
        self.waits: asyncio.Future[None] | None = None

    def send(self, connection: Connection, target: Target, headers: Mapping[str, str], body: bytes) -> None:
        """Write the request; its head, which holds the key, is in no local of what goes on from here."""
        protocol, wire = connection.protocol, connection.transport
        assert protocol is not None
        # True while an answer lies unread; aiohttp hands the connection out all the same, and would give that answer for this request's.
        if protocol.should_close or wire is None:
            raise StrayAnswerError
        self._protocol = protocol
        protocol.set_response_params(read_until_eof=True)
        self.begun = True
        if len(body) <= _ONE_WRITE:
            wire.write(target.head(headers, len(body)) + body)
        else:
            wire.write(target.head(headers, len(body)))
            wire.write(body)

    async def answered(self) -> StreamReader:
        """Wait for the head of the answer; gives its body."""
        assert self._protocol is not None
        message, payload = await self._protocol.read()
        while 100 <= message.code < 200 and message.code != 101:
            message, payload = await self._protocol.read()
        self.status, self.headers, self._payload = message.code, message.headers, payload
        return payload

    async def feed(self, payload: StreamReader, most_bytes: int, idle: float, room: Room) -> None:
        """Read the body in pieces, so that a small one that unpacks to gigabytes is never held whole; *room* is for one that is large."""
        clock = self._loop.time
        if not payload.is_eof():
            self._allow(clock() + idle)
        turn = most_bytes - _TURN_BYTES
        while piece := await payload.readany():
            most_bytes -= len(piece)
            if most_bytes < 0:
                # A stream may have said all that it had to by now.
                self._take(piece[:most_bytes], clock(), idle)
                raise TooLargeError
            self._take(piece, clock(), idle)
            if payload.at_eof():
                return
            if most_bytes < turn:
                turn = most_bytes - _TURN_BYTES
                await self._turn(room, idle)

    async def _turn(self, room: Room, idle: float) -> None:
        """Give the others theirs, and go on when there is room for more."""
        held = self.reading.weight()
        if held > MOST_WEIGHT:
            raise TooManyValuesError
        timed = self._timer is not None
        self.close()
        await room.hold(self, held)
        await checkpoint()
        if timed:
            self._allow(self._loop.time() + idle)

    async def refusal(self, payload: StreamReader, most_bytes: int, idle: float) -> bytes:
        """The body of a refusal: what comes of it within *idle*, cut at the largest size that is taken."""
        if not payload.is_eof():
            self._allow(self._loop.time() + idle)
        most_bytes = min(most_bytes, _REFUSAL_BYTES)
        pieces = []
        while most_bytes > 0 and (piece := await payload.readany()):
            pieces.append(piece[:most_bytes])
            most_bytes -= len(piece)
        return b"".join(pieces)

    def ended(self) -> bool:
        """Whether the answer was read to its end, so that its connection may be used again."""
        return self._payload is not None and self._payload.is_eof()

    def expire(self, code: str) -> None:
        """Its time is up: whoever waits for the answer is told so."""
        self.over = code
        if self._protocol is not None:
            self._protocol.set_exception(TimeoutError())
        if self._payload is not None:
            self._payload.set_exception(TimeoutError())
        if self.waits is not None and not self.waits.done():
            self.waits.set_exception(TimeoutError())

    def close(self) -> None:
        """Nothing is waited for any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def stands(self) -> bool:
        """Whether a stream has said all that it had to: an answer, or why there is none."""
        return self.reading.complete or self.reading.whole

    def result(self) -> Reply | Failure:
        """What the answer comes to."""
        result = self.reading.result(self.status, self.headers)
        if self.first_token is None or isinstance(result, Failure):
            return result
        return replace(result, first_token_ms=round((self.first_token - self.began) * 1000))

    def _take(self, piece: bytes, now: float, idle: float) -> None:
        """Take a piece of the answer in, and allow the next its time."""
        reading = self.reading
        before = reading.events
        reading.feed(piece)
        if self.first_token is None and reading.spoken:
            self.first_token = now
        if self._timer is not None and (not before or reading.events > before):
            self._allow(now + (min(idle, _AFTERWORD) if self.stands() else idle))

    def _allow(self, until: float) -> None:
        self._until = min(until, self.ends)
        # Put off when it rings, not at each piece: a stream has thousands.
        if self._timer is not None and self._rings_at > self._until:
            self.close()
        if self._timer is None:
            self._wind()

    def _wind(self) -> None:
        self._timer, self._rings_at = self._loop.call_at(self._until, self._ring), self._until

    def _ring(self) -> None:
        self._until += overslept(self._rings_at, self._loop.time())
        self._timer = None
        if self._until > self._loop.time() + TICK:
            self._wind()
        else:
            self.expire("read_timeout" if self._until < self.ends else "total_timeout")
