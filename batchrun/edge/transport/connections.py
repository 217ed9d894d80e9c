"""One connection: requests written to it, one at a time, and the answer to each as it comes.

The answer is parsed by httptools (llhttp, the parser of Node.js, behind callbacks) as its bytes come in, and lies here until it is taken.
It belongs to the request that was written last, and to nobody if none was: bytes on a connection at rest, or behind an answer, end it.
Nothing is kept without bound: a body that is not taken stops the reading, and a head, a trailer or a chunk's size that goes on and on, and
answers in a row, break the connection off.

Many servers send a head and its body one after the other, and a long body comes in several packets. So who is to be told of an answer is
told of a plain one when it is there whole, and takes it without a wait; of one that is longer on its way a moment after its first bytes, to
wait for the rest.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import httptools

from batchrun.core.protocols.error_body import HEADERS
from batchrun.edge.transport.heads import goes_on, with_one_length
from batchrun.edge.transport.mishaps import WireError
from batchrun.edge.transport.reached import never_reached
from batchrun.edge.transport.unpacking import unpacked
from batchrun.edge.transport.watch import Watch
from batchrun.waking import tell

_MOST_BETWEEN = 1 << 16
"""Bytes that may come without one of a body among them."""
_MOST_ANSWERS = 16
"""To one request. One is usual."""
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
_FRAMING = {b"content-length": "content-length", b"transfer-encoding": "transfer-encoding", b"content-encoding": "content-encoding"}
INCOMING_BYTES = 1 << 18
"""Of what is read at a time."""
_KEPT = {name.encode(): name for name in (*HEADERS, "keep-alive")} | _FRAMING


class _FloodError(Exception):
    """Answers without end."""


class _StatusError(Exception):
    """A status that is none."""


class Connection(asyncio.BufferedProtocol):
    """An open connection. It is closed by whoever uses it: `close`, or `abort` where an answer is still on its way."""

    __slots__ = (
        "_answers",
        "_between",
        "_body_bytes",
        "_chunked",
        "_error",
        "_free",
        "_gone",
        "_half_sent",
        "_halves",
        "_head",
        "_incoming",
        "_interim",
        "_is_half",
        "_loop",
        "_parser",
        "_paused",
        "_pieces",
        "_told",
        "_transport",
        "_untaken",
        "_waiter",
        "ended",
        "ends",
        "headers",
        "rests_until",
        "reusable",
        "status",
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
        self.reusable = True
        """Whether another request may be written to it, once the answer has ended."""
        self.ended = True
        """Whether the answer to the last request has come to its end."""
        self.rests_until = 0.0
        """On the loop's clock, for how long it may lie unused since it was last given back."""
        self.status = 0
        """Of the answer; 0 until its head has come."""
        self.ends: float
        """On the loop's clock, when an answer that has come in part is told of as it is."""
        self._paused = False
        self._body_bytes = 0
        """Of the last request."""
        self._begin()
        self._parser = _parser(self)

    def _begin(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        """Those that are looked at, by their names in small letters."""
        self._pieces: list[bytes] = []
        self._untaken = 0
        self._between = 0
        self._answers = 0
        self._interim = False
        self._head = b""
        """What has come of one that goes on."""
        self._half_sent = False
        """Whether some of the request may still be on its way when its answer has come."""
        self._error: Exception | None = None
        self._told: Callable[[float], None] | None = None
        self._is_half = False
        """Some of it has come, of which nobody was told yet."""

    # What is done with it

    def write(self, head: Callable[[], bytes], body: bytes) -> None:
        """Write a request. *head* gives it: so no frame of a traceback holds it, and the key in it."""
        self._begin()
        self.ended = False
        self._body_bytes = len(body)
        if self._body_bytes <= _ONE_WRITE:
            self._transport.write(head() + body)
        else:
            self._transport.write(head())
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
        came = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
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
        self._between += nbytes
        try:
            self._parser.feed_data(self._incoming[:nbytes])
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if self.status == 101:
                # What follows is another protocol's.
                self.ended, self.reusable = True, False
            elif self.status or not self._read_again(nbytes):
                # The parser's words are its own, and hold nothing of what it read.
                self._broken(str(error))
        else:
            if self._between > _MOST_BETWEEN:
                self._broken("no end of what is no body")
            elif self._untaken > _MOST_UNTAKEN and not self._paused:
                self._paused = True
                self._transport.pause_reading()
        if self.ended or self._error is not None:
            self._wake()
        elif self.status:
            self._came_in_part()
        else:
            self._head += self._incoming[:nbytes]

    def _read_again(self, nbytes: int) -> bool:
        """Read anew what the parser refused, where its head does no more than say one length again; or let more of such a head come."""
        came = self._head + self._incoming[:nbytes]
        if goes_on(came):
            return self._between <= _MOST_BETWEEN
        mended = with_one_length(came)
        if mended is None:
            return False
        self._parser = _parser(self)
        self.headers, self._answers, self._interim = {}, 0, False
        try:
            self._parser.feed_data(mended)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            return False
        return True

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
            if exc is None and self.status and not self._chunked and "content-length" not in self.headers:
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

    # What httptools tells

    def on_message_begin(self) -> None:
        """An answer begins: the one that was asked for, one before it, or one too many."""
        self._answers += 1
        if self.ended:
            self.reusable = False
        if self._answers > _MOST_ANSWERS:
            raise _FloodError

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; the first of a name counts."""
        name = name.lower()
        if name in _KEPT and not self.ended:
            self.headers.setdefault(_KEPT[name], value.decode("utf-8", "surrogateescape").rstrip(" \t"))

    def on_headers_complete(self) -> None:
        """A head has come."""
        if self.ended:
            return
        status: int = self._parser.get_status_code()
        if status < 100:
            raise _StatusError
        if 100 <= status < 200 and status != 101:
            # Some servers send one every few seconds, for as long as a model thinks; how much of them is taken is bounded by itself.
            self._interim = True
            self._answers -= 1
            self.headers = {}
            return
        self._chunked = "chunked" in self.headers.get("transfer-encoding", "").lower()
        self._between = 0
        self.status = status

    def on_body(self, piece: bytes) -> None:
        """A piece of a body has come."""
        if not self.ended:
            self._pieces.append(piece)
            self._untaken += len(piece)
            self._between = 0

    def on_message_complete(self) -> None:
        """An answer has come to its end."""
        if self._interim:
            self._interim = False
        elif not self.ended:
            self.ended = True
            self._between = 0
            # An answer may come before its request was written whole: what is left of it would stand before the next one. TLS does not
            # tell all of what is left, but what comes so early is a refusal.
            refused = self._body_bytes > _ONE_WRITE and not 200 <= self.status < 300
            self._half_sent = refused or self._transport.get_write_buffer_size() > 0
            self.reusable = self.reusable and self._parser.should_keep_alive() and not self._half_sent


def _parser(connection: Connection) -> Any:
    parser = httptools.HttpResponseParser(connection)
    # What servers of one's own get wrong, and no harm can come of here: nothing is handed on to another parser.
    parser.set_dangerous_leniencies(
        lenient_optional_cr_before_lf=True,
        lenient_spaces_after_chunk_size=True,
        # Where a length stands beside chunks the chunks count (RFC 9112, 6.3).
        lenient_chunked_length=True,
    )
    return parser
