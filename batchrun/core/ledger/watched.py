"""A ledger folded once for two readers: its statement's fold, and the course that looks on.

Both need every call and every entry, and both are told by the same `Calls`, which knows what has started and ended. So a line is read
once, and a report with a page costs little more than one without.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from batchrun.core.ledger.attempts import Line
from batchrun.core.ledger.counting import Part, apart, together
from batchrun.core.ledger.course import Course
from batchrun.core.ledger.doubt import Calls
from batchrun.core.ledger.entry import Entry


class _Fold(Part, Protocol):
    calls: Calls

    def share(self, calls: Calls) -> None: ...

    def asks(self) -> dict[str, Any] | None: ...

    def note_suspect(self, entry: Entry) -> None: ...

    def join(self, told: Any, course: Course | None) -> bool: ...


class Watched:
    """A fold of a ledger, and a course that looks on."""

    def __init__(self, fold: _Fold, course: Course) -> None:
        self.calls = fold.calls
        self.fold = fold
        self.course = course

    def share(self, calls: Calls) -> None:
        """Know no calls but those of another reader, which has read as much, and is told what this one is told."""
        self.calls = calls
        self.fold.share(calls)

    def attempts(self, lines: Iterable[Line]) -> None:
        """Take in attempts.log."""
        for calls in together(self.calls.take(lines)):
            begun, ended = apart(calls)
            self.fold.called(begun, ended)
            self.course.called(begun, ended)

    def entries(self, entries: Iterable[Entry]) -> None:
        """Take in one output file."""
        for told in together(self.calls.tell(entries)):
            self.fold.told(told)
            self.course.told(told)

    def asks(self) -> dict[str, Any] | None:
        """What whoever folds entries apart is told; None where all is to be folded here."""
        asks = self.fold.asks()
        return None if asks is None else {**asks, "job": self.course.job}

    def note_suspect(self, entry: Entry) -> None:
        """Look at an entry that is counted, whether it is of a row for which a call in doubt was made."""
        self.fold.note_suspect(entry)

    def join(self, told: Any, course: Course | None) -> bool:
        """Take in what entries of other workspaces came to apart; False where it cannot be joined."""
        return course is not None and self.fold.join(told, None) and self.course.join(course)

    def wrong(self, entry: Entry) -> str | None:
        """What contradicts the calls in *entry*."""
        return self.calls.wrong(entry)
