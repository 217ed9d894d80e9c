"""One connection: requests written to it, one at a time, and the answer to each as it comes.

An answer is parsed as its bytes come in (`arriving.py`), and lies here until it is taken. It belongs to the request that was written last,
and to nobody if none was: bytes on a connection at rest, or behind an answer, end it. A body that is not taken stops the reading.

Many servers send a head and its body one after the other, and a long body comes in several packets. So who is to be told of an answer is
told of a plain one when it is there whole, and takes it without a wait; of one that is longer on its way a moment after its first bytes, to
wait for the rest.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable

from batchrun.core.model import Request
from batchrun.edge.transport.arriving import Arriving
from batchrun.edge.transport.mishaps import WireError
from batchrun.edge.transport.reached import never_reached
from batchrun.edge.transport.unpacking import unpacked
from batchrun.edge.transport.watch import Watch
from batchrun.waking import tell

_MOST_UNTAKEN = 1 << 18
"""Bytes of a body that lie here before the reading is stopped."""
_AT_ONCE = 1 << 14
"""Bytes of a stream that are taken as one piece."""
_SOON = 0.1
"""Seconds that the rest of an answer may take before it is told that there is one."""
_OF_JSON = b"{ \t\r\n"
"""What a plain body begins with: a stream has something to tell from its first bytes on. Of one that is packed that is not seen."""
_ONE_WRITE = 1 << 16
"""Bytes of a body that are worth copying behind their head, so that one packet holds both."""
_UNUSED = re.compile(r"\btimeout ?= ?\"?([0-9]{1,9})", re.IGNORECASE)
INCOMING_BYTES = 1 << 18
"""Of what is read at a time."""


class Connection(Arriving, asyncio.BufferedProtocol):
    """An open connection. It is closed by whoever uses it: `close`, or `abort` where an answer is still on its way."""

    __slots__ = (
        "_body_bytes",
        "_error",
        "_free",
        "_gone",
        "_half_sent",
        "_halves",
        "_incoming",
        "_is_half",
        "_loop",
        "_paused",
        "_told",
        "_transport",
        "_waiter",
        "answered",
        "ends",
        "rests_since",
        "rests_until",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        transport: asyncio.Transport,
        incoming: memoryview,
        halves: Watch,
        free: Callable[[], None],
        gone: Callable[[Connection], None],
    ) -> None:
        """*incoming* is where bytes are read to, many connections', for none stay there; *halves* watches answers that came in part.

        *free* lets go of what *transport* was had from, *gone* is told when it is no more.
        """
        self._loop = loop
        self._transport = transport
        self._incoming = incoming
        self._halves = halves
        self._free = free
        self._gone = gone
        self._waiter: asyncio.Future[None] | None = None
        self.rests_since = -math.inf
        """On the loop's clock, when it was last given back."""
        self.rests_until = 0.0
        """On the loop's clock, for how long it may lie unused since it was last given back."""
        self.answered = False
        """Whether the latest call over it that was told anything of its server was answered."""
        self.ends: float
        """On the loop's clock, when an answer that has come in part is told of as it is."""
        self._paused = False
        self._body_bytes = 0
        """Of the last request."""
        self._half_sent = False
        """Whether some of the request may still be on its way when its answer has come."""
        self._error: Exception | None = None
        self._told: Callable[[float], None] | None = None
        self._is_half = False
        """Some of it has come, of which nobody was told yet."""
        super().__init__()

    @property
    def unheard(self) -> bool:
        """Whether it broke before anything of the answer had come."""
        error = self._error
        return not (self.status or self._between) and isinstance(error, WireError | OSError) and not isinstance(error, TimeoutError)

    # What is done with it

    def write(self, head: Callable[[Request], bytes], request: Request) -> None:
        """Write a request. *head* gives what stands before its body: so no frame of a traceback holds that, and the key in it."""
        self.begin()
        self._error = self._told = None
        self._half_sent = self._is_half = self.ended = False
        body = request.body
        self._body_bytes = size = len(body)
        if size <= _ONE_WRITE:
            self._transport.write(head(request) + body)
        else:
            self._transport.write(head(request))
            self._transport.write(body)

    def tell(self, told: Callable[[float], None] | None) -> None:
        """Let *told* be called, once, with the loop's time: as soon as a plain answer is there, or anything of another, or to raise."""
        self._told = told

    def more(self) -> asyncio.Future[None]:
        """Give what is done when more of the answer has come; raises WireError or OSError where it does not come."""
        if self._error is not None:
            raise self._error
        self._waiter = self._loop.create_future()
        return self._waiter

    def whole(self, most_bytes: int) -> bytes | None:
        """Take the body if all of it lies here, unpacked if it is packed; None where there is more to do, or it is over *most_bytes*.

        A stream is not taken so if it may be of thousands of events.
        """
        if not self.ended or self._error is not None or self._untaken > most_bytes or self._paused:
            return None
        pieces = self._pieces
        came = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        body = unpacked(self.headers["content-encoding"], came, most_bytes) if "content-encoding" in self.headers else came
        if body is None or (len(body) > _AT_ONCE and not body.lstrip().startswith(b"{")):
            return None
        self._pieces = []
        return body

    async def piece(self) -> bytes:
        """Take what has come of the body; empty at its end. Raises WireError or OSError where that does not come."""
        while not self._pieces:
            if self.ended and self._error is None:
                return b""
            await self.more()
        pieces, self._pieces, self._untaken = self._pieces, [], 0
        if self._paused:
            self._paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def patience(self, most: float) -> float:
        """Seconds for which it may lie unused: *most*, or less where the endpoint says when it closes it (``Keep-Alive: timeout=5``)."""
        said = _UNUSED.search(self.headers["keep-alive"]) if "keep-alive" in self.headers else None
        # A request is on its way for a while: it is to come before that.
        return most if said is None else min(most, max(int(said[1]) - 1.0, int(said[1]) / 2))

    def fail(self, error: Exception) -> None:
        """Nothing more is read, and whoever waits for the answer gets *error*."""
        if self._error is None:
            self._error = error
        self.reusable = False
        self._wake()

    def close(self) -> None:
        """Close it, now that nothing is on its way but what nobody reads any more."""
        self.reusable = False
        if self._half_sent:
            self._transport.abort()
        self._free()

    def abort(self) -> None:
        """Break it off, with whatever is on its way."""
        self.reusable = False
        self._transport.abort()
        self._free()

    def _wake(self) -> None:
        if self._told is not None:
            told, self._told = self._told, None
            if self._is_half:
                self._halves.remove(self)
            told(self._loop.time())
        elif self._waiter is not None and not self._waiter.done():
            tell(self._waiter, None)

    # What asyncio tells

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """Tell where the next bytes go: they are taken in before any others are read."""
        return self._incoming

    def buffer_updated(self, nbytes: int) -> None:
        """Take in what came."""
        if self.ended or self._error is not None:
            # Nobody asked for it.
            self.reusable = False
            self._transport.abort()
            return
        broken = self.feed(self._incoming[:nbytes])
        if broken is not None:
            self._broken(broken)
        elif self._untaken > _MOST_UNTAKEN and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._came()

    def _came(self) -> None:
        """Tell whoever waits for it of what came, where it is time to."""
        if self.ended:
            # An answer may come before its request was written whole: what is left of it would stand before the next one. TLS does not
            # tell all of what is left, but what comes so early is a refusal.
            refused = self._body_bytes > _ONE_WRITE and not 200 <= self.status < 300
            self._half_sent = refused or self._transport.get_write_buffer_size() > 0
            if self._half_sent:
                self.reusable = False
            self._wake()
        elif self._error is not None:
            self._wake()
        elif self.status:
            self._came_in_part()

    def expire(self, _code: str) -> None:
        """What has come of an answer is told of as it is."""
        self._wake()

    def _came_in_part(self) -> None:
        """Tell of an answer that is no plain one, or a large one; of another when it is there whole, or in a moment."""
        may_be_plain = not self._pieces or "content-encoding" in self.headers or self._pieces[0][:1] in _OF_JSON
        if self._told is None or self._paused or not may_be_plain:
            self._wake()
        elif not self._is_half:
            self._is_half, self.ends = True, self._loop.time() + _SOON
            self._halves.add(self)

    def eof_received(self) -> None:
        """The server says nothing more: what is written from now on, it will not answer."""
        self.reusable = False
        if not self.ended and not self._between and not self.status and never_reached(self._transport, self._body_bytes):
            self.fail(WireError("closed"))

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone: what has come of an answer stands if it could only end so."""
        if not self.ended:
            if exc is None and self.ends_with_its_wire:
                self.ended = True
            else:
                self.fail(WireError("half_body") if self.status else exc or WireError("disconnected"))
        self.reusable = False
        self._wake()
        self._free()
        self._gone(self)

    def _broken(self, reason: str) -> None:
        self.fail(WireError("bad_http", reason))
        self._transport.abort()
