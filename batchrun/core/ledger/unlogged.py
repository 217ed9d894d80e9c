"""Answers whose calls attempts.log does not tell of: it is an older copy than the entries beside it, or lines were taken out of it.

A run that is copied while it goes on has its log copied first and its results later; a log is cut because it is large. What else was
called then, and brought no entry, is in no doubt either: nobody knows of it, and that is to be said.

The end of a log that a lost machine took along has its bound in what was promised (`lost_lines.py`), and lines that cannot be read are told
as such: only what is beyond these is counted here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from batchrun.core.counted import counted
from batchrun.core.ledger.attempts import opening_of
from batchrun.core.ledger.entry import Entry
from batchrun.core.ledger.numbered import Attempts


def unlogged(answers: int) -> str:
    """Say of attempts.log that there are so many."""
    return f"does not tell of the calls of {counted(answers, 'answer')}"


class Unlogged(Counter[int]):
    """How many were found, by the opening that made them."""

    def look_at(self, entry: Entry, attempts: Attempts | None, number: int) -> None:
        """Count an entry whose call has not ended, as far as lines tell, where it was paid for and none tells that it began."""
        if entry.usage is not None and entry.attempt is not None and (attempts is None or not attempts.row_of(number)):
            self[opening_of(entry.attempt)] += 1

    def beyond(self, promised: Iterable[str], unreadable: int) -> int:
        """Count those that neither lines of calls that were *promised*, by their names, nor so many *unreadable* ones can have told of."""
        bounds = Counter(map(opening_of, promised)) if self else {}
        return max(0, sum(max(0, count - bounds.get(opening, 0)) for opening, count in self.items()) - unreadable)
