"""One answer as it is parsed, from the bytes that come in.

That is httptools' (llhttp, the parser of Node.js, behind callbacks). Nothing is kept without bound but the body, which is whose it is to
take: a head, a trailer or a chunk's size that goes on and on, and answers in a row, are a broken answer.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import httptools

from batchrun.edge.transport.heads import goes_on, mended

_MOST_BETWEEN = 1 << 16
"""Bytes that may come without one of a body among them."""
_MOST_ANSWERS = 16
"""To one request. One is usual."""


class _FloodError(Exception):
    """Answers without end."""


class _StatusError(Exception):
    """A status that is none."""


class _IdentityError(Exception):
    """A length stands there, and the parser would read on until the connection ends."""


class Arriving:
    """The answer to the request that was written last, as far as it has come."""

    __slots__ = (
        "_answers",
        "_between",
        "_head",
        "_interim",
        "_parser",
        "_pieces",
        "_said",
        "_untaken",
        "ended",
        "headers",
        "on_header",
        "reusable",
        "status",
    )

    def __init__(self) -> None:
        self.reusable = True
        """Whether another request may be written to where it came from, once it has ended."""
        self.ended = True
        """Whether it has come to its end."""
        self._said: dict[bytes, bytes] = {}
        """All headers as they came, the first of each spelling; what comes behind a head, in trailers or unasked for, is not looked at."""
        self.on_header: Callable[[bytes, bytes], object] = self._said.setdefault
        """Told by httptools of each one: by Python's own code, for an answer has a dozen."""
        self.begin()
        self._parser = _parser(self)

    def begin(self) -> None:
        """Another request goes."""
        self.status = 0
        """0 until the head has come."""
        self.headers: dict[str, str] = {}
        """Those of its head, by their names in small letters."""
        self._said.clear()
        self._pieces: list[bytes] = []
        """Of the body."""
        self._untaken = 0
        """Bytes of these."""
        self._between = 0
        self._answers = 0
        self._interim = False
        self._head = b""
        """What has come of one that goes on."""

    @property
    def ends_with_its_wire(self) -> bool:
        """Whether it says nothing of where it ends: so it can only end with the connection."""
        headers = self.headers
        return bool(self.status) and "content-length" not in headers and "chunked" not in headers.get("transfer-encoding", "").lower()

    def feed(self, came: memoryview) -> str | None:
        """Take in what *came*; returns why it cannot go on, where it cannot."""
        self._between += len(came)
        try:
            self._parser.feed_data(came)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if self.status == 101:
                # What follows is another protocol's.
                self.ended, self.reusable = True, False
            elif self.status or not self._read_again(came):
                # The parser's words are its own, and hold nothing of what it read.
                return str(error)
        else:
            if self._between > _MOST_BETWEEN:
                return "no end of what is no body"
        if not self.status:
            self._head += came
        return None

    def _read_again(self, latest: memoryview) -> bool:
        """Read anew what the parser refused, where it can be `mended`; or let more of such a head come."""
        came = self._head + latest
        if goes_on(came):
            return self._between <= _MOST_BETWEEN
        anew = mended(came)
        if anew is None:
            return False
        self._parser = _parser(self)
        self._answers, self._interim = 0, False
        self._said.clear()
        try:
            self._parser.feed_data(anew)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            return False
        return True

    # What httptools tells

    def on_message_begin(self) -> None:
        """An answer begins: the one that was asked for, one before it, or one too many."""
        self._answers += 1
        if self.ended:
            self.reusable = False
        if self._answers > _MOST_ANSWERS:
            raise _FloodError

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
            self._said.clear()
            return
        self.headers = headers = _headers(self._said)
        if headers.get("transfer-encoding", "chunked") != "chunked":
            if headers["transfer-encoding"].strip().lower() == "identity" and "content-length" in headers:
                raise _IdentityError
            # What else is named there packs the body as a content's encoding does (RFC 9112, 7.2): of the parser only chunks are undone.
            headers["content-encoding"] = f"{headers.get('content-encoding', '')},{headers['transfer-encoding']}"
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
            self.reusable = self.reusable and self._parser.should_keep_alive()


def _headers(said: dict[bytes, bytes]) -> dict[str, str]:
    """The headers *said*, by their names in small letters; the first of a name counts. All together: no header has a line feed in it."""
    values = b"\n".join(reversed(said.values())).decode("utf-8", "surrogateescape")
    return dict(zip(_names(b"\n".join(reversed(said))), values.split("\n"), strict=True))


@lru_cache(maxsize=32)
def _names(said: bytes) -> list[str]:
    """The same names stand in the same order in nearly all answers of an endpoint: they are read once, and kept once."""
    return said.decode("latin-1").lower().split("\n")


def _parser(answer: Arriving) -> Any:
    parser = httptools.HttpResponseParser(answer)
    # What servers of one's own get wrong, and no harm can come of here: nothing is handed on to another parser.
    parser.set_dangerous_leniencies(
        lenient_optional_cr_before_lf=True,
        lenient_spaces_after_chunk_size=True,
        # Where a length stands beside chunks the chunks count (RFC 9112, 6.3).
        lenient_chunked_length=True,
    )
    return parser
