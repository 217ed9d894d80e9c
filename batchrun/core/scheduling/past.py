"""What earlier openings of a run left to do, and which of their calls are in doubt, by its ledger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from batchrun.core.ledger.attempts import Line
from batchrun.core.ledger.doubt import Calls
from batchrun.core.ledger.entry import Entry
from batchrun.core.ledger.given import Given
from batchrun.core.ledger.usual import Began, UsualAnswer
from batchrun.core.rows.index import Index
from batchrun.core.scheduling.plan import Plan

_AGAIN = "answers a row that is answered already"


class Past:
    """What earlier openings left to do, and what is in doubt of it."""

    def __init__(self, index: Index) -> None:
        self.plan = Plan(index)
        self.calls = Calls()
        self.latest = 0
        """The latest opening that a line tells of: the end of the log may be lost, and the opening's number with it."""
        self.lost = 0
        """Calls that were answered, whose entries are not in the ledger, and whose rows are left to do."""
        self.untold = 0
        """Calls that the latest opening may have made, and that no line tells of."""
        self.machine_was_lost = False
        """With those; otherwise lines cannot be read."""
        self.unlogged = 0
        """Answers of which the log does not tell that they were called."""
        self.unknown = 0
        """Entries with fields of a newer version."""

    def attempts(self, lines: Iterable[Line]) -> None:
        """Take in attempts.log."""
        self.calls.take_all(lines)
        self.latest = max(self.latest, self.calls.latest)

    def entries(self, entries: Iterable[Entry]) -> None:
        """Take in one output file."""
        for entry in entries:
            self.told(entry)
            self.calls.told(entry)

    def glanced(self, workspace: str, given: Given) -> Iterator[int]:
        """Take answers of *workspace* in, as `taken` does each; give the place of any line that is not as usual as most, for `taken`.

        What is given is to be taken before the next is asked for.
        """
        plan, calls = self.plan, self.calls
        done = [0] * len(given.models)
        for place, (ordinal, (row, _, digest, opening, call, lane)) in enumerate(zip(plan.sought(workspace, given), given, strict=True)):
            if ordinal is not None and plan.is_pending(ordinal) and calls.glanced(opening, call, row):
                plan.answer(ordinal, digest)
                done[lane] += 1
                if opening > self.latest:
                    self.latest = opening
            else:
                yield place
        for model, count in zip(given.models, done, strict=True):
            plan.count((workspace, model), count)

    def taken(self, entry: Entry, ordinal: int | None = None) -> str | None:
        """Take an entry in, `calls` and all, or say what contradicts it: the same as `wrong`, then `told`, its row sought once.

        *ordinal* is its row's, where that is known.
        """
        plan = self.plan
        if ordinal is None:
            ordinal = plan.find(entry.workspace, entry.id)
        if ordinal is not None and plan.answers_again(entry, ordinal):
            return _AGAIN
        if (what := self.calls.taken(entry)) is not None:
            return what
        plan.note_found(entry, ordinal)
        self._met(entry)
        return None

    def answered(self, answers: Mapping[Began, Sequence[UsualAnswer]]) -> bool:
        """Take usual answers in, `calls` and all, which no line has told of by itself; False where one contradicts what is known."""
        return self.plan.answered(answers) and self.calls.answered(answers)

    def told(self, entry: Entry, ordinal: int | None = None) -> None:
        """Take an entry in; `calls` is yet to be told. *ordinal* is its row's, where that is known."""
        self.plan.note(entry, ordinal)
        self._met(entry)

    def _met(self, entry: Entry) -> None:
        if entry.unknown:
            self.unknown += 1
        if (opening := self.calls.opening_of(entry)) > self.latest:
            self.latest = opening

    def wrong(self, entry: Entry, ordinal: int | None = None) -> str | None:
        """What contradicts the calls, or the rows, in *entry*: an answered row is answered once."""
        if entry.outcome == "answered" and self.plan.is_answered(entry.workspace, entry.id, ordinal):
            return _AGAIN
        return self.calls.wrong(entry)
