"""What a ledger has noted and has yet to tell whoever follows it, as it will be read.

An entry is told with the end of its call, or the call would seem to go on. Where memory runs out the ledger goes on, and nothing more is
told: it is read instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from batchrun.core.ledger.as_read import ended_of, entry_of, started_of
from batchrun.core.ledger.attempts import Bound, Line, read_attempt
from batchrun.core.ledger.entry import Entry, Form
from batchrun.core.model import Failure, Money, Outcome, Reply, Row

Follower = Callable[[Sequence[Line], Sequence[Entry], Sequence[int | None]], None]
"""Gets lines of attempts.log in their order, and the entries that stand in the files beside them, with their rows' ordinals where known."""
_TOGETHER = 128
"""Lines and entries: each step's code is still at hand when the next one needs it."""


class Untold:
    """Lines and entries, in the order in which they were noted."""

    def __init__(self, follow: Follower, form: Form) -> None:
        self._follow = follow
        self._form: Form = form
        self._lines: list[Line] = []
        self._entries: list[Entry] = []
        self._ordinals: list[int | None] = []
        self._unended: set[str] = set()
        """Calls whose entries are noted, and whose ends are not."""
        self._lost = False

    def start(self, name: str, at: float, row: Row, most: Bound) -> None:
        """Note that a call starts."""
        try:
            self._lines.append(started_of(name, at, row, most))
        except MemoryError:
            self._lost = True

    def end(self, name: str, at: float, verdict: str, result: Reply | Failure, line: bytes) -> None:
        """Note that it ended, as *line* says."""
        try:
            self._lines.append(ended_of(name, at, verdict, result, line))
            self._unended.discard(name)
        except MemoryError:
            self._lost = True

    def line(self, line: bytes) -> None:
        """Note any other line of the log."""
        try:
            self._lines.append(read_attempt(line))
        except MemoryError:
            self._lost = True

    def entry(self, outcome: Outcome, cost: Money | None, line: bytes) -> None:
        """Note an entry."""
        try:
            self._entries.append(entry_of(outcome, self._form, cost, line))
            self._ordinals.append(outcome.row.ordinal)
            if outcome.call is not None:
                self._unended.add(outcome.call.attempt)
        except MemoryError:
            self._lost = True

    @property
    def is_worth_telling(self) -> bool:
        """Whether there is so much of it that it should be told."""
        return len(self._lines) + len(self._entries) >= _TOGETHER

    @property
    def is_all_told(self) -> bool:
        """Whether whoever follows knows all that was noted."""
        return not (self._lost or self._lines or self._entries)

    def tell(self) -> None:
        """Tell it, where every entry has its end beside it; what is noted is written by now."""
        if self._unended and not self._lost:
            return
        lines, self._lines = self._lines, []
        entries, self._entries = self._entries, []
        ordinals, self._ordinals = self._ordinals, []
        if not self._lost:
            self._follow(lines, entries, ordinals)
