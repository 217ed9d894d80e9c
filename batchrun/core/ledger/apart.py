"""Entries folded apart: those of some workspaces by another process, and joined with what was folded here, as if one had taken in all.

Calls are taken in here, and what is in doubt is told here: whoever folds apart knows none of them. Rows belong to their workspaces, so what
became of a row is known to one of the two alone. Where the bounds of what is told apart may have been met, the two are not joined: which
value or reason came first would no longer be known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable
from zoneinfo import ZoneInfo

from batchrun.core.ledger.course import Course
from batchrun.core.ledger.doubt import Calls
from batchrun.core.ledger.entry import Entry
from batchrun.core.ledger.fold import Fold, Folded
from batchrun.core.ledger.given import Given
from batchrun.core.rows.names import id_digest

Result = tuple[Folded, Course | None]


@runtime_checkable
class Joins(Protocol):
    """A reader that entries may be folded apart for."""

    def asks(self) -> dict[str, Any] | None:
        """What whoever folds apart is told, as JSON has it; None where all is to be folded here."""

    def note_suspect(self, entry: Entry) -> None:
        """Look at an entry that is taken in apart, whether it is of a row for which a call in doubt was made."""

    def join(self, told: Folded, course: Course | None) -> bool:
        """Take in what was folded apart; False where that cannot be joined, and nothing of this reader is to be believed."""


class Apart:
    """Folds entries as a reader that *asks* for them would."""

    def __init__(self, asks: Mapping[str, Any]) -> None:
        self._fold = Fold("", "", by=asks["by"], zone=ZoneInfo(asks["zone"]))
        self._course: Course | None = None
        if "job" in asks:
            self._course = Course()
            self._course.begin(asks["job"])

    def told(self, entries: Sequence[Entry]) -> None:
        """Take entries in: a workspace's failed ones first."""
        self._fold.told(entries)
        if self._course is not None:
            self._course.told(entries)

    def result(self) -> Result:
        """What they came to."""
        return self._fold.folded(), self._course


class Doubtful:
    """Which entries that were folded apart are to be looked at here."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._rows = {id_digest(*row) for row in calls.suspects()}

    def among(self, given: Given) -> Iterator[int]:
        """Have the calls told of what is given; the place of each line that they are to be told of with its entry."""
        for place, (row, name, _, opening, call, _) in enumerate(given):
            if not row or name in self._rows or not self._calls.glanced(opening, call, row):
                yield place
