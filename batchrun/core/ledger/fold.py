"""The ledger folded to totals: rows, calls, tokens and money by workspace and model (and by what else is asked), and what is in doubt.

The fold reads attempts.log first (every call, and which of them have no end), then each workspace's errors.jsonl and results.jsonl
(what became of rows, and their tokens); `doubt.py` holds the two against each other. What remains is: statement ≤ bill ≤ statement + doubt.

Memory does not grow with rows, but for three things: a call that has begun is held until its end comes (what was in flight at once, and
what each kill left), then in a byte; one in doubt is kept as a line (`doubts.py`); and a row that was rejected or exhausted is remembered
by its digest, 18 to 36 bytes each, for a later entry undoes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any
from zoneinfo import ZoneInfo

from batchrun.core.ledger.attempts import Ended, Line, Most, Started
from batchrun.core.ledger.attribution import LANE, MOST_GROUPS, Attribution, Groups
from batchrun.core.ledger.counting import Ending, apart, together
from batchrun.core.ledger.doubt import Calls
from batchrun.core.ledger.entry import Entry
from batchrun.core.ledger.failed_rows import FailedRows
from batchrun.core.ledger.moments import as_told
from batchrun.core.ledger.statement import Statement, in_order
from batchrun.core.ledger.usual import Began, UsualAnswer

_counted = itemgetter(*map(Entry._fields.index, ("id", "workspace", "model", "outcome", "usage", "cost", "started_at", "metadata")))

Folded = tuple[Attribution, FailedRows]
"""What entries came to that were folded apart, and which of their rows failed."""


class Fold:
    """Takes a ledger in, line by line: all attempts first, then entries, the rejected and exhausted of a workspace before its answered.

    *by* says what is wanted beside workspace and model, *zone* whose days and hours, *most* what calls in doubt can cost. With *only*,
    calls of other workspaces are left out.
    """

    def __init__(
        self, run: str, name: str, rejected_input: int = 0, *,
        by: Iterable[str] = (), zone: ZoneInfo | None = None, only: str | None = None, most: Most = lambda _call: None,
    ) -> None:  # fmt: skip
        self._groups = Groups(by, zone)
        self._statement = Statement(run, name, rejected_input=rejected_input, attribution=self._groups.attribution)
        self._most = most
        self.calls = Calls(only)
        self._final: set[tuple[str, str]] = set()
        """Rows for which a call in doubt was made, and which are answered all the same."""
        self._metadata: dict[tuple[str, str], tuple[Any]] = {}
        """Of rows for which a call in doubt was made."""
        self._failed = FailedRows()

    def share(self, calls: Calls) -> None:
        """Know no calls but those of another reader, which has read as much, and is told what this one is told."""
        self.calls = calls

    def attempts(self, lines: Iterable[Line]) -> None:
        """Take in attempts.log."""
        for calls in together(self.calls.take(lines)):
            self.called(*apart(calls))

    def entries(self, entries: Iterable[Entry]) -> None:
        """Take in one output file."""
        self.told(self.calls.tell(entries))

    def wrong(self, entry: Entry) -> str | None:
        """What contradicts the calls in *entry*."""
        return self.calls.wrong(entry)

    def called(self, begun: Mapping[Began, int], ended: Iterable[Ending]) -> None:
        """Count what `calls` gives."""
        for (workspace, model, at), count in begun.items():
            self._groups.of(workspace, model, at, None, known=False).calls += count
        for started, end in ended:
            if end.verdict != "answered":  # Its entry tells the rest.
                self._failed_call(started, end)

    def told(self, entries: Iterable[Entry]) -> None:
        """Count entries, which `calls` is told by another."""
        of, suspects = self._groups.of, self.calls.suspects()
        for entry in entries:
            row_id, workspace, model, outcome, usage, cost, at, metadata = _counted(entry)
            totals = of(workspace, model, at, metadata)
            if usage is not None:
                totals.add_usage(usage, cost)
            if outcome == "answered":
                totals.answered += 1
                self._failed.answered(entry)
                part = totals.truncated if entry.finish_reason == "length" else None
            else:
                self._failed.add(entry, totals)
                part = None if usage is None else totals.refused
            if part is not None:
                part.count(usage, cost)
            if (workspace, row_id) in suspects:
                self.note_suspect(entry)

    def answered(self, answers: Mapping[Began, Sequence[UsualAnswer]]) -> None:
        """Count usual answers, from their calls' starts on, which `calls` is told by another."""
        if self._groups.wants_metadata:
            self.called({began: len(some) for began, some in answers.items()}, ())
            self.told([each.entry for some in answers.values() for each in some])
            return
        of, suspects, failed = self._groups.of, self.calls.suspects(), self._failed
        for (workspace, model, at), some in answers.items():
            of(workspace, model, at, None).calls += len(some)
            totals = of(workspace, model, as_told(at), None)
            totals.answered += len(some)
            totals.add_usages([each.usage for each in some], [each.cost for each in some])
            for each in some:
                if each.outcome.reply.finish_reason == "length":
                    totals.truncated.count(each.usage, each.cost)
                if suspects and (workspace, each.outcome.row.id) in suspects:
                    self.note_suspect(each.entry)
            if len(failed):
                for each in some:
                    failed.answered(each.outcome.row)

    def note_suspect(self, entry: Entry) -> None:
        """Look at an entry that is counted, whether it is of a row for which a call in doubt was made."""
        row = entry.workspace, entry.id
        if row not in self.calls.suspects():
            return
        if entry.outcome == "answered":
            self._final.add(row)
        if self._groups.wants_metadata:
            self._metadata[row] = (entry.metadata,)

    def asks(self) -> dict[str, Any] | None:
        """What whoever folds entries apart is told; None where there may be more groups than are told apart."""
        return None if self._groups.wants_metadata else {"by": self._groups.attribution.by, "zone": self._groups.attribution.zone}

    def folded(self) -> Folded:
        """What was told so far, where all of it was entries."""
        return self._groups.attribution, self._failed

    def join(self, told: Folded, _course: object = None) -> bool:
        """Take in what entries of other workspaces came to apart; False where too many groups are told apart."""
        mine, (its, failed) = self._groups.attribution, told
        if its.crowded or len(mine.groups) + len(its.groups) > MOST_GROUPS:
            return False
        places = {}
        for key, totals in its.groups.items():
            joined = mine.begun(key)
            joined.add(totals)
            places[id(totals)] = joined
        self._failed.join(failed, places)
        return True

    def close(self, rows: Mapping[tuple[str, str], int], *, under_way: bool = False) -> Statement:
        """Return the statement; *rows* counts what the run is to do, by workspace and model: the rest of it is pending.

        Of a run that is *under_way*, held by one and the same process from before it was read until after, calls in flight are told apart.
        """
        rows_in_doubt = self._doubt(under_way=under_way)
        statement = self._statement
        statement.under_way = int(under_way)
        statement.unreadable_attempts = self.calls.unreadable
        statement.unlogged_answers = self.calls.unlogged()
        statement.openings_again = self.calls.openings_again
        only_lanes = self._groups.attribution.by == LANE
        lanes = self._groups.attribution.groups if only_lanes else self._groups.attribution.collapsed(LANE).groups
        statement.lanes = {(workspace or "", model or ""): totals for (workspace, model), totals in lanes.items()}
        self._leave(rows)
        for workspace, model, _ in rows_in_doubt:
            totals = statement.lane(workspace, model)
            totals.rows_in_doubt = min(totals.rows_in_doubt + 1, totals.pending + totals.exhausted)
        statement.lanes = in_order(statement.lanes)
        return statement

    def _leave(self, rows: Mapping[tuple[str, str], int]) -> None:
        """Count what is pending. Where a lane has entries of more rows than it has, these are to be asked with another model since."""
        lanes, elsewhere = self._statement.lanes, Counter[str]()
        for lane in {**lanes, **rows}:
            totals = self._statement.lane(*lane)
            left = rows.get(lane, 0) - totals.answered - totals.rejected - totals.exhausted
            totals.pending = max(0, left)
            elsewhere[lane[0]] += max(0, -left)
        for (workspace, _), totals in in_order(lanes).items():
            counted = min(totals.pending, elsewhere[workspace])
            totals.pending -= counted
            elsewhere[workspace] -= counted

    def _failed_call(self, started: Started, ended: Ended) -> None:
        totals = self._groups.of(started.workspace, started.model, started.at, ended.metadata, known=ended.has_metadata)
        totals.retries += ended.verdict == "again"
        totals.throttles += ended.verdict == "throttled"
        totals.reasks += ended.verdict == "reasked"
        if ended.usage is not None:
            totals.add_usage(ended.usage, ended.cost)
            if ended.verdict == "reasked":
                totals.reasked(ended.usage, ended.cost)
            else:
                totals.retried.count(ended.usage, ended.cost)

    def _doubt(self, *, under_way: bool) -> set[tuple[str, str, str]]:
        """Count what is in doubt; the rows it is of that have no final entry, by workspace, model and id."""
        rows = set()
        for started, why, ended in self.calls.in_doubt(under_way=under_way):
            told = (ended.metadata,) if ended is not None else self._metadata.get((started.workspace, started.row_id))
            known = told is not None if ended is None else ended.has_metadata
            totals = self._groups.of(started.workspace, started.model, started.at, told[0] if told else None, known=known)
            most = self._most(started)
            if why == self.calls.IN_FLIGHT:
                totals.in_flight.count(started.bound, most)
                continue
            totals.doubt(started.bound, most)
            row = started.workspace, started.row_id
            # What rejects a row is final only as its latest entry: it may have been asked again, and exhausted then.
            if started.row_id and row not in self._final and not self._failed.is_rejected(*row):
                rows.add((started.workspace, started.model, started.row_id))
        return rows
