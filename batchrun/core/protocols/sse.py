"""Server-sent events from bytes, piece by piece (WHATWG HTML, section 9.2), with the provider's status comment kept.

The native dialect of Model Studio puts ``:HTTP_STATUS/429`` among the lines of an event, which the standard calls a comment. Lines may
end in LF, CR LF or CR, a byte order mark may come first. An event that only lacks its last line end counts, which the standard denies it:
whether it is torn is for the reader of its data to see. So does a line that begins an object, which the standard passes over: gateways hand
an error on as it came to them, in the middle of a stream.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from typing import NamedTuple

_STARTS = (b"data:", b"event:", b"id:", b"retry:", b":")
_LONGEST_START = max(map(len, _STARTS))
_STATUS = re.compile(rb"HTTP_STATUS/([0-9]{3})")
_LINE_END = re.compile(rb"\r\n|\n|\r(?!\n|\Z)")


class Event(NamedTuple):
    """One event."""

    data: bytes
    """Its data lines, joined by line feeds; empty where there were none."""
    kind: bytes
    """What its ``event:`` line said; empty where there was none."""
    status: int | None
    """What its ``:HTTP_STATUS/`` comment said."""


def looks_like_events(start: bytes, *, whole: bool) -> bool | None:
    """Whether a body that begins with *start* is an event stream; None where it is too short to tell, unless it is the *whole*."""
    if start.startswith(b"{"):
        return False
    text = start.removeprefix(BOM_UTF8).lstrip()
    if text.startswith(_STARTS):
        return True
    if not whole and len(text) < _LONGEST_START and any(each.startswith(text) for each in (BOM_UTF8, *_STARTS)):
        return None
    return False


class Events:
    """Bytes in, events out."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        """Of a line that has not met its end: joined once, when it has, for it may come in a thousand pieces."""
        self._data: list[bytes] = []
        self._kind = b""
        self._status: int | None = None
        self._begun = False

    def feed(self, piece: bytes) -> list[Event]:
        """Take *piece*; give the events that it completed."""
        self._rest.append(piece)
        if self._begun and b"\n" not in piece and b"\r" not in piece and not self._rest[0].endswith(b"\r"):
            return []
        text = b"".join(self._rest)
        if not self._begun and len(text) >= len(BOM_UTF8):
            text = text.removeprefix(BOM_UTF8)
            self._begun = True
        *lines, rest = _LINE_END.split(text) if b"\r" in text else text.split(b"\n")
        self._rest = [rest]
        return [event for line in lines if (event := self._line(line)) is not None]

    def close(self) -> list[Event]:
        """Give the event that only lacked its blank line; the provider's own last one has been seen without."""
        last = b"".join(self._rest).removesuffix(b"\r")
        self._rest = []
        return [event for line in (last, b"") if (event := self._line(line)) is not None]

    def _line(self, line: bytes) -> Event | None:
        if not line:
            return self._dispatch()
        if line.startswith(b"{"):
            self._data.append(line)
            return None
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._kind = value.strip()
        elif not name and (found := _STATUS.match(value)):
            self._status = int(found[1])
        return None

    def _dispatch(self) -> Event | None:
        event = Event(b"\n".join(self._data), self._kind, self._status) if self._data or self._kind else None
        self._data, self._kind, self._status = [], b"", None
        return event
