"""How an answer is read while it comes: a body whole, or a stream of events folded into the body that a plain call would have brought.

So a streamed answer and a plain one go through one reader, and can not come to differ. Which of the two came is told by the body's first
bytes, not by what was asked for and not by its content type: endpoints answer a streamed call with a plain error, and label either as the
other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, replace
from typing import Any, Protocol

import orjson

from batchrun.core.classes import slotted, value
from batchrun.core.model import Failure, Reply
from batchrun.core.protocols.error_body import (
    Complaint,
    complaint_of,
    error_in_200,
    message_in,
    page_title,
    refusal,
    request_id_of,
    said_instead,
    words_of,
)
from batchrun.core.protocols.folding import Choices
from batchrun.core.protocols.json_body import Document, Unreadable, begins_an_object, parse
from batchrun.core.protocols.mishaps import mishap
from batchrun.core.protocols.replies import if_whole, named
from batchrun.core.protocols.sse import Event, Events, looks_like_events
from batchrun.core.protocols.usage import usage_of

Fields = dict[str, Any]
_OF_AN_UNFOLDED_BYTE = 6
"""Bytes of memory: an event may come in lines of a few characters."""
_SIGNS_OF_LIFE = frozenset({b"ping", b"heartbeat", b"keepalive", b"keep-alive"})
"""Kinds of events that say nothing else; in sse-starlette's, before its version 1, stands the time of day, which is no JSON."""
_OF_NO_ANSWER = 1 << 16
"""Bytes that are kept of a large body that begins as no answer does: enough to say what it is."""

Read = Callable[[int, Mapping[str, str], Fields, bytes], Reply | Failure]
"""Reads a plain answer: status, headers, its JSON object, and the same as one line of JSON."""


class Fold(Protocol):
    """A dialect's way of making one plain answer of a stream's chunks."""

    @property
    def choices(self) -> Choices:
        """What has come of each."""

    @property
    def weight(self) -> int:
        """Bytes of memory that what is kept of the stream takes, about."""

    @property
    def counted(self) -> bool:
        """Whether it has been said what the answer cost."""

    def take(self, chunk: Fields) -> None:
        """Take the next chunk in; never raises, whatever it holds."""

    def answer(self) -> Fields:
        """Give the plain answer that the chunks make up so far."""


@value
class Dialect:
    """One wire format's way of answering."""

    read: Read
    fold: Callable[[Fields], Fold]
    """Begins a fold for the answer to a request body."""


@slotted
class Reading:
    """One answer being read: fed its body piece by piece, it gives what the answer comes to."""

    dialect: Dialect
    asked: Fields
    """The request body in batchrun's own form."""
    complete: bool = False
    """The stream has said its last: what follows changes nothing."""
    events: int = 0
    """How many have come: silence is counted from the latest. 0 for a plain body."""
    _pieces: list[bytes] = field(default_factory=list)
    _together: int = 0
    """How many of them were put together before."""
    _hopeless: bool = False
    """It begins as no answer does: whatever else comes, it will be none."""
    _unfolded: int = 0
    """Bytes of a stream since its latest event."""
    _stream: _Stream | None = None
    _plain: bool = False

    def feed(self, piece: bytes) -> None:
        """Take the next piece of a body of status 2xx."""
        if self._stream is not None:
            events = self._stream.events.feed(piece)
            self._unfolded = 0 if events else self._unfolded + len(piece)
            self._take(events)
        elif not self._hopeless:
            self._pieces.append(piece)
            if not self._plain:
                if len(self._pieces) == 1 and piece.startswith(b"{"):
                    self._plain = True
                else:
                    self._look(whole=False)

    @property
    def is_body(self) -> bool:
        """Whether it is known to be no stream: its pieces are only kept until the last has come."""
        return self._plain

    @property
    def may_be_all(self) -> bool:
        """Whether what has come of a plain body ends as an object does: that may be all of it, whatever its head says of its length."""
        return self._plain and self._pieces[-1].rstrip().endswith(b"}")

    @property
    def spoken(self) -> bool:
        """Whether a stream's first token has come."""
        return self._stream is not None and self._stream.fold.choices.spoken

    @property
    def whole(self) -> bool:
        """Whether a stream has brought all of the answer's text: should its wire break now, the answer stands."""
        stream = self._stream
        return stream is not None and stream.complaint is None and not stream.broken and stream.fold.choices.whole

    @property
    def said_all(self) -> bool:
        """Whether nothing more is to come of a stream: its end has, or all of the text and what it cost, which may be a later event."""
        return self.complete or (self.whole and self._stream is not None and self._stream.fold.counted)

    def weight(self) -> int:
        """Bytes of memory that it holds so far, about; small pieces are put together, and let go of where they are for nothing."""
        if self._stream is not None:
            return self._stream.fold.weight + _OF_AN_UNFOLDED_BYTE * self._unfolded
        if len(self._pieces) > self._together:
            # Each but once: what is large by then would be copied again and again.
            self._pieces[self._together :] = [b"".join(self._pieces[self._together :])]
            self._together = len(self._pieces)
            self._forgo()
        return sum(map(len, self._pieces))

    def result(self, status: int, headers: Mapping[str, str]) -> Reply | Failure:
        """Say what the answer is, now that its body has ended; never raises, whatever it held."""
        if self._stream is None and not self._plain:
            self._look(whole=True)
        if self._stream is None:
            return self._read(status, headers, self._whole())
        self._take(self._stream.events.close())
        return self._stream.result(self.dialect.read, status, headers, self.asked)

    def at_once(self, status: int, headers: Mapping[str, str], body: bytes) -> Reply | Failure | None:
        """Say what an answer of status 2xx is whose *body* came whole, if that begins as an object; None where it is to be fed first."""
        return self._read(status, headers, body) if body.startswith(b"{") else None

    def refused(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """Say what an answer outside 2xx is."""
        return refusal(status, headers, body)

    def _forgo(self) -> None:
        """Keep no more than the start of what can be no answer: endpoints that have lost their way say it without end."""
        if self._together == 1 and not begins_an_object(start := self._pieces[0].lstrip()[:_OF_NO_ANSWER]):
            self._hopeless = True
            self._pieces = [start]

    def _whole(self) -> bytes:
        """All pieces as one, of which no copy is kept."""
        if len(self._pieces) != 1:
            self._pieces = [b"".join(self._pieces)]
        return self._pieces[0]

    def _look(self, *, whole: bool) -> None:
        body, self._together = self._whole(), 0
        streamed = looks_like_events(body, whole=whole)
        if streamed:
            self._pieces = []
            self._stream = _Stream(self.dialect.fold(self.asked))
            self._take(self._stream.events.feed(body))
        elif streamed is False:
            self._plain = True
        else:
            # Blanks tell nothing and are not kept: they may come without end.
            self._pieces = [body.lstrip()]

    def _take(self, events: list[Event]) -> None:
        assert self._stream is not None
        for event in events:
            self.events += 1
            self._stream.take(event)
        self.complete = self._stream.done

    def _read(self, status: int, headers: Mapping[str, str], body: bytes) -> Reply | Failure:
        found = parse(body)
        if isinstance(found, Document):
            fields, line, is_utf8 = found
            result = named(self.dialect.read(status, headers, fields, line), fields, self.asked)
            if isinstance(result, Failure) and result.code == "no_choices" and (said := message_in(fields)):
                return replace(result, message=f"{result.message} ({said})")
            return result if is_utf8 else if_whole(result, status)
        failure = mishap(found.flaw, said_instead(body), in_doubt=True, status=status, request_id=request_id_of(headers))
        return replace(failure, message=f"the answer is {page_title(body)}") if found.flaw == "html" else failure


@slotted
class _Stream:
    fold: Fold
    events: Events = field(default_factory=Events)
    complaint: Complaint | None = None
    broken: bool = False
    is_utf8: bool = True
    done: bool = False

    def take(self, event: Event) -> None:
        """Take an event in; after the last, and after an error, nothing more counts."""
        if self.done or not event.data:
            return
        if event.data.strip() == b"[DONE]":
            self.done = True
            return
        match parse(event.data):
            case Document(fields, line, is_utf8):
                self.is_utf8 = self.is_utf8 and is_utf8
                self._chunk(event, fields, line)
            case Unreadable() if event.kind in _SIGNS_OF_LIFE:
                pass
            case Unreadable() if event.kind == b"error" and not self.fold.choices.whole:
                self.complaint, self.done = Complaint(None, words_of(event.data), status=event.status), True
            case Unreadable() if b"\n" in event.data and not self.fold.choices.whole:
                self._each_line(event)
            case Unreadable():
                # Once all of the text is there the answer stands: an event that the wire tore then was not part of it.
                self.broken = self.broken or not self.fold.choices.whole

    def _each_line(self, event: Event) -> None:
        """Some servers end their events with one line end where two are asked for: all of them come as one."""
        for line in event.data.split(b"\n"):
            self.take(event._replace(data=line))
            if self.broken:
                return

    def _chunk(self, event: Event, fields: Fields, line: bytes) -> None:
        said = complaint_of(fields, line, expected=event.kind == b"error")
        if said is None:
            self.fold.take(fields)
        elif not (self.fold.choices.whole and self.fold.counted):
            # Else all is there, and was billed: what a gateway complains of then is its own affair.
            self.complaint, self.done = said._replace(status=event.status), True

    def result(self, read: Read, status: int, headers: Mapping[str, str], asked: Fields) -> Reply | Failure:
        choices = self.fold.choices
        if self.complaint is not None:
            # Not all was there and counted by then: what may be billed is not known.
            failure = error_in_200(status, headers, self.complaint)
            return replace(failure, in_doubt=True) if choices.spoken else failure
        fields = self.fold.answer()
        if not (choices.whole or (self.done and choices.ended)):
            # The native dialect counts as it goes: what it said before the end is less than what may be billed.
            fields.pop("usage", None)
        usage = usage_of(fields.get("usage"))
        if self.broken:
            return mishap("broken_event", in_doubt=usage is None, status=status, request_id=request_id_of(headers), usage=usage)
        result = named(read(status, headers, fields, orjson.dumps(fields)), fields, asked)
        return result if self.is_utf8 else if_whole(result, status)


def read(dialect: Dialect, asked: Fields, status: int, headers: Mapping[str, str], body: bytes) -> Reply | Failure:
    """Say what an answer is whose *body* is there in one piece; never raises."""
    reading = Reading(dialect, asked)
    if not 200 <= status < 300:
        return reading.refused(status, headers, body)
    reading.feed(body)
    return reading.result(status, headers)
