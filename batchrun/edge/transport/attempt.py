"""One answer on its way, read as it comes, and how long it may still take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

from batchrun.core.model import Failure, Reply
from batchrun.core.protocols.failures import tells_by_itself
from batchrun.core.protocols.reading import Reading
from batchrun.core.rows.weight import MOST_WEIGHT
from batchrun.edge.transport.connections import Connection
from batchrun.edge.transport.mishaps import TooLargeError, TooManyValuesError, WireError, untie
from batchrun.edge.transport.room import Room
from batchrun.edge.transport.turns import Few
from batchrun.edge.transport.unpacking import Unpacker, packing_of
from batchrun.edge.transport.watch import TICK, overslept
from batchrun.waking import another_turn

_AFTERWORD = 2.0
"""Seconds that an answer may take to end after it has said everything; longer, and its connection is not used again."""
TURN_BYTES = 1 << 18
"""Of an answer are read before the other calls have their turn: a bomb unpacks without a wait in between."""
_PORTION_BYTES, _A_TURN_BYTES, _A_TURN_EVENTS = 1 << 12, 1 << 14, 200
"""Of a stream: what is read in one go, and after how much the other calls have their turn. An event takes microseconds."""
_REFUSAL_BYTES = 1 << 20


class Attempt:
    """One request and its answer. Made when it begins; *ends* is when its time is up, whatever comes."""

    __slots__ = (
        "_loop",
        "_queues",
        "_rings_at",
        "_spare",
        "_timer",
        "_until",
        "began",
        "connection",
        "ends",
        "first_token",
        "over",
        "reading",
        "waits",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, reading: Reading, began: float, ends: float) -> None:
        self._loop = loop
        self.reading = reading
        self.began = began
        self.ends = ends
        self.over: str | None = None
        """Why its time was up, where it was."""
        self.first_token: float | None = None
        self.connection: Connection | None = None
        """Over which it goes, once there is one."""
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at: float
        """When the timer does. uvloop's handles can not always tell."""
        self._until: float
        self._spare = 0.0
        """Seconds that it may be silent for besides, should what looks like all of it turn out to be none."""
        self._queues = False
        """It has something to read, and waits for its turn: whether it is in time shows when that has come."""
        self.waits: asyncio.Future[None] | None = None

    def take_whole(self, connection: Connection, most_bytes: int, at: float) -> bool:
        """Read the body that came *at* a time of the loop, if it is small and lies there whole."""
        whole = connection.whole(min(most_bytes, TURN_BYTES))
        if whole is None:
            return False
        self._read(whole, at)
        return True

    async def feed(self, connection: Connection, most_bytes: int, idle: float, room: Room, turns: Few) -> None:
        """Read the body, in pieces where it did not come at once; *room* is for one that is large, *turns* for one that takes long."""
        if self.take_whole(connection, most_bytes, self._loop.time()):
            return
        turn = most_bytes - TURN_BYTES
        async for piece in self._body(connection, idle):
            most_bytes -= len(piece)
            if most_bytes < 0:
                # A stream may have said all that it had to by now.
                await self._portions(piece[:most_bytes], idle, turns)
                raise TooLargeError
            await self._portions(piece, idle, turns)
            if most_bytes < turn:
                turn = most_bytes - TURN_BYTES
                await self._turn(room, idle)

    async def _portions(self, piece: bytes, idle: float, turns: Few) -> None:
        """Take *piece* in, of a stream a portion at a time: one that pours small events as fast as it can would have the loop to itself."""
        reading, clock = self.reading, self._loop.time
        # What was packed may come to an empty piece: it was a sign of life all the same.
        whole = max(len(piece), 1)
        portion = whole if reading.is_body else _PORTION_BYTES
        began, seen = 0, reading.events
        for at in range(0, whole, portion):
            if at - began >= _A_TURN_BYTES or reading.events - seen >= _A_TURN_EVENTS:
                await self._queue(turns, idle)
                began, seen = at, reading.events
            self._take(piece[at : at + portion], clock(), idle)

    async def _queue(self, turns: Few, idle: float) -> None:
        """Wait for a turn, for which its time is given back: with a thousand streams this process may be what they wait for."""
        timed, since = self._timer is not None, self._loop.time()
        self.close()
        self._queues = True
        try:
            await turns.begin()
        finally:
            self._queues = False
            self.ends += self._loop.time() - since
        if timed:
            self._allow(self._loop.time() + self._patience(idle))

    async def _turn(self, room: Room, idle: float) -> None:
        """Give the others theirs, and go on when there is room for more."""
        held = self.reading.weight()
        if held > MOST_WEIGHT:
            raise TooManyValuesError
        timed = self._timer is not None
        self.close()
        await room.hold(self, held)
        await another_turn()
        if timed:
            self._allow(self._loop.time() + self._patience(idle))

    async def refusal(self, connection: Connection, most_bytes: int, idle: float) -> bytes:
        """The body of a refusal, cut at the largest size that is taken; what came, where it breaks off and its status tells enough."""
        most_bytes = min(most_bytes, _REFUSAL_BYTES)
        pieces = []
        try:
            async for piece in self._body(connection, idle):
                pieces.append(piece[:most_bytes])
                most_bytes -= len(piece)
                if most_bytes <= 0:
                    break
        except (WireError, OSError) as error:
            if not tells_by_itself(connection.status):
                raise
            untie(error)
        return b"".join(pieces)

    async def _body(self, connection: Connection, idle: float) -> AsyncIterator[bytes]:
        if not connection.ended:
            self._allow(self._loop.time() + idle)
        packed = await connection.piece()
        packing = packing_of(connection.headers.get("content-encoding", ""), packed)
        unpacker = None if packing is None else Unpacker(packing)
        while packed:
            for piece in (packed,) if unpacker is None else unpacker.pieces(packed):
                yield piece
            packed = await connection.piece()

    def expire(self, code: str) -> None:
        """Its time is up: whoever waits for the answer is told so, unless it lies there whole."""
        if self._queues:
            return
        self.over = code
        if self.connection is not None and not self.connection.ended:
            self.connection.fail(TimeoutError())
        if self.waits is not None and not self.waits.done():
            self.waits.set_exception(TimeoutError())

    def close(self) -> None:
        """Nothing is waited for any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def outlived(self, error: BaseException) -> Reply | Failure | None:
        """What the answer comes to in spite of *error*: of a stream that had said all that it had to, or an object that had come whole."""
        reading = self.reading
        if self.connection is None or (isinstance(error, TooLargeError) and not (reading.complete or reading.whole)):
            return None
        # By this the last event of a stream is read, too, if it had come but for its line ends.
        result = self.result()
        return result if isinstance(result, Reply) or reading.complete or reading.whole else None

    def result(self) -> Reply | Failure:
        """What the answer comes to."""
        assert self.connection is not None
        result = self.reading.result(self.connection.status, self.connection.headers)
        if self.first_token is None or isinstance(result, Failure):
            return result
        return replace(result, first_token_ms=round((self.first_token - self.began) * 1000))

    def _take(self, piece: bytes, now: float, idle: float) -> None:
        """Take a piece of the answer in, and allow the next its time."""
        before = self.reading.events
        self._read(piece, now)
        if self._timer is not None and (not before or self.reading.events > before):
            self._allow(now + self._patience(idle))

    def _patience(self, idle: float) -> float:
        """Seconds in which the next is to come."""
        may_be_all = self.reading.may_be_all
        patience = min(idle, _AFTERWORD) if may_be_all or self.reading.said_all else idle
        self._spare = idle - patience if may_be_all else 0.0
        return patience

    def _read(self, piece: bytes, now: float) -> None:
        self.reading.feed(piece)
        if self.first_token is None and self.reading.events and self.reading.spoken:
            self.first_token = now

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
        elif self._spare and not self._is_reply():
            spare, self._spare = self._spare, 0.0
            self._allow(self._until + spare)
        else:
            self.expire("read_timeout" if self._until < self.ends else "total_timeout")

    def _is_reply(self) -> bool:
        """Whether what has come is an answer as it is. Looked at after a silence, and not at each piece: it costs what reading it does."""
        assert self.connection is not None
        return isinstance(self.reading.result(self.connection.status, self.connection.headers), Reply)
