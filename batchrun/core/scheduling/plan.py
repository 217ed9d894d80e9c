"""What is left to do: the index less the ledger, a lane at a time.

An answered row is final. A rejected one is left out unless it is asked for again; an exhausted one is pending again. A row whose line,
or the settings it is asked under, changed since it was answered keeps its answer: it is counted, not asked again.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from batchrun.core.ledger.entry import Entry
from batchrun.core.ledger.given import Given
from batchrun.core.ledger.usual import Began, UsualAnswer
from batchrun.core.rows.index import Index, LaneKey
from batchrun.core.rows.names import id_digest

_PENDING, _ANSWERED, _REJECTED, _HELD = 0, 1, 2, 3
_BY_OUTCOME = {"answered": _ANSWERED, "rejected": _REJECTED, "exhausted": _PENDING}


class Plan:
    """One byte a row: takes the ledger's entries in, gives each lane's rows left to do."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._states = bytearray(len(index))
        self._done: dict[tuple[str, str], int] = {}
        self.changed = 0
        """Answered rows whose line or settings are no longer what was asked."""
        self.gone = 0
        """Answered rows that no longer stand in the input."""
        self._failed_and_gone: dict[int, tuple[LaneKey, str]] = {}
        """Rows that failed and no longer stand in the input, by their names: the lane of their latest entry, and what it says."""
        self._moved: dict[int, LaneKey] = {}
        """Rows that failed in another lane than the input has them in now, by ordinal: that lane."""
        self._counted: dict[LaneKey, tuple[int, int]] | None = None

    def copy(self) -> Plan:
        """Make another over the same index: what is done to it is not done to this one."""
        other = Plan(self._index)
        own = {"_states": self._states[:], "_done": self._done.copy()}
        own |= {"_failed_and_gone": self._failed_and_gone.copy(), "_moved": self._moved.copy()}
        vars(other).update(vars(self) | own)
        return other

    def note(self, entry: Entry, ordinal: int | None = None) -> None:
        """Take in one entry of an earlier opening: of a workspace, the failed ones in their order, then the answered.

        *ordinal* is its row's, where that is known.
        """
        self.note_found(entry, self.find(entry.workspace, entry.id) if ordinal is None else ordinal)

    def note_found(self, entry: Entry, ordinal: int | None) -> None:
        """Take in one whose row stands at *ordinal*; None where it stands nowhere."""
        lane = entry.workspace, entry.model
        if entry.outcome == "answered":
            self.count(lane, 1)
            if ordinal is None:
                self.gone += 1
                self._failed_and_gone.pop(id_digest(entry.workspace, entry.id), None)
            else:
                digest = self._index.digest(ordinal)
                self.answer(ordinal, digest if entry.digest == f"{digest:016x}" else -1)
        elif ordinal is None:
            self._failed_and_gone[id_digest(entry.workspace, entry.id)] = lane, entry.outcome
        elif self._states[ordinal] != _ANSWERED:
            self._counted = None
            self._states[ordinal] = _BY_OUTCOME[entry.outcome]
            if self._stands_in(lane, ordinal):
                self._moved.pop(ordinal, None)
            else:
                self._moved[ordinal] = lane

    def answer(self, ordinal: int, digest: int) -> None:
        """Take in an answer of a row that was asked as *digest* says; it is yet to be counted."""
        if digest != self._index.digest(ordinal):
            self.changed += 1
        self._states[ordinal] = _ANSWERED

    def answered(self, answers: Mapping[Began, Sequence[UsualAnswer]]) -> bool:
        """Take answers in; False where one is of a row that is answered already."""
        states, digest_of = self._states, self._index.digest
        for (workspace, model, _), some in answers.items():
            for each in some:
                ordinal = each.ordinal
                if states[ordinal] == _ANSWERED:
                    return False
                states[ordinal] = _ANSWERED
                if each.outcome.row.digest != f"{digest_of(ordinal):016x}":
                    self.changed += 1
            self.count((workspace, model), len(some))
        return True

    def count(self, lane: LaneKey, answers: int) -> None:
        """Count answers of a *lane*'s rows."""
        self._counted = None
        if answers:
            self._done[lane] = self._done.get(lane, 0) + answers

    @property
    def is_of_another_input(self) -> bool:
        """Whether rows are answered, and none of them stands in the input."""
        return 0 < self.gone == sum(self._done.values())

    def find(self, workspace: str, row_id: str) -> int | None:
        """Ordinal of a row; None where it no longer stands in the input."""
        return self._index.find(workspace, row_id)

    def sought(self, workspace: str, given: Given) -> Sequence[int | None]:
        """Ordinals of the rows that are given by their `id_digest`s; None for each of which a closer look tells."""
        index, models, names = self._index, given.models, given.names
        if not index.is_told_by_names:
            return [None] * len(names)
        if len(models) == 1 and 0 not in given.rows:
            return index.find_nearby((workspace, models[0]), names)
        found: list[int | None] = [None] * len(names)
        for lane, model in enumerate(models):
            places = [place for place, (row, each) in enumerate(zip(given.rows, given.lanes, strict=True)) if row and each == lane]
            for place, ordinal in zip(places, index.find_nearby((workspace, model), [names[place] for place in places]), strict=True):
                found[place] = ordinal
        return found

    def is_pending(self, ordinal: int) -> bool:
        """Whether nothing was noted of the row but what leaves it to do."""
        return self._states[ordinal] == _PENDING

    def is_answered(self, workspace: str, row_id: str, ordinal: int | None = None) -> bool:
        """Whether an answer of the row was noted. *ordinal* is its own, where that is known."""
        if ordinal is None:
            ordinal = self.find(workspace, row_id)
        return ordinal is not None and self._states[ordinal] == _ANSWERED

    def answers_again(self, entry: Entry, ordinal: int) -> bool:
        """Whether an entry answers a row at *ordinal* of which an answer was noted."""
        return self._states[ordinal] == _ANSWERED and entry.outcome == "answered"

    def retry_rejected(self) -> None:
        """Make every rejected row pending again."""
        self._counted = None
        self._states = self._states.replace(bytes([_REJECTED]), bytes([_PENDING]))

    def hold(self, rows: Iterable[tuple[str, str]]) -> int:
        """Leave out of this opening what is pending of *rows*, workspace and id; how many rows that are."""
        held, self._counted = 0, None
        for workspace, row_id in rows:
            ordinal = self._index.find(workspace, row_id)
            if ordinal is not None and self._states[ordinal] == _PENDING:
                self._states[ordinal] = _HELD
                held += 1
        return held

    def held(self) -> Counter[str]:
        """Count the rows that are left out of this opening because a person is to decide on them, by workspace."""
        if _HELD not in self._states:
            return Counter()
        found: Counter[str] = Counter()
        for (workspace, _), ordinals in self._index.lanes.items():
            found[workspace] += sum(self._states[ordinal] == _HELD for ordinal in ordinals)
        return found

    def lanes(self) -> dict[tuple[str, str], int]:
        """Count the rows left to do, by workspace and model; lanes with none are left out."""
        return {lane: pending for lane, (pending, _) in self._counts().items() if pending}

    def rows(self, lane: tuple[str, str]) -> Iterator[int]:
        """Give the ordinals of the rows left to do in *lane*, in input order."""
        states = self._states
        return (ordinal for ordinal in self._index.lanes[lane] if not states[ordinal])

    def is_left(self, workspace: str, row_id: str) -> bool:
        """Whether the row is to be asked in this opening."""
        ordinal = self.find(workspace, row_id)
        return ordinal is not None and self._states[ordinal] == _PENDING

    def failed_and_gone(self) -> Counter[str]:
        """Count the rows that failed and no longer stand in the input, by what became of them: nobody can ask them again."""
        return Counter(outcome for _, outcome in self._failed_and_gone.values())

    def rows_of_the_run(self) -> dict[tuple[str, str], int]:
        """Count the rows the run consists of, by the model that their entry names or that they are to be asked with.

        A statement takes rows with an entry from these: each is counted where its entry is, whatever became of its line since.
        """
        rows = Counter(self._done)
        for lane, (_, unanswered) in self._counts().items():
            rows[lane] += unanswered
        rows.update(lane for lane, _ in self._failed_and_gone.values())
        if moved := {ordinal: lane for ordinal, lane in self._moved.items() if self._states[ordinal] == _REJECTED}:
            rows.update(moved.values())
            for lane, ordinals in self._index.lanes.items():
                rows[lane] -= sum(ordinal in moved for ordinal in ordinals)
        return {lane: count for lane, count in rows.items() if count}

    def _stands_in(self, lane: LaneKey, ordinal: int) -> bool:
        ordinals = self._index.lanes.get(lane, ())
        place = bisect_left(ordinals, ordinal)
        return place < len(ordinals) and ordinals[place] == ordinal

    def _counts(self) -> dict[LaneKey, tuple[int, int]]:
        """Rows that are pending and rows that are not answered, by lane; counted once, for a lane may have millions."""
        if self._counted is None:
            states = self._states
            of_lanes = {lane: bytes(map(states.__getitem__, ordinals)) for lane, ordinals in self._index.lanes.items()}
            self._counted = {lane: (found.count(_PENDING), len(found) - found.count(_ANSWERED)) for lane, found in of_lanes.items()}
        return self._counted


def of_workspaces(lanes: Mapping[LaneKey, int]) -> Counter[str]:
    """Rows of *lanes*, by workspace."""
    found: Counter[str] = Counter()
    for (workspace, _), rows in lanes.items():
        found[workspace] += rows
    return found
