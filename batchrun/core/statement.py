"""The ledger folded to totals: rows, calls, tokens and money by workspace and model (and by what else is asked), and what is in doubt.

The fold reads attempts.log first (every call, and which of them have no end), then each workspace's errors.jsonl and results.jsonl
(what became of rows, and their tokens). An entry names its attempt, so an attempt whose end was never noted but whose answer stands in
the ledger is not in doubt. What remains is: statement ≤ bill ≤ statement + doubt.

Memory does not grow with rows, but for two things: a call that has begun is held until its end comes (what was in flight at once, and
what each kill left), and a row that was rejected or exhausted is remembered by its digest, 18 to 36 bytes each, for a later entry undoes
it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from batchrun.core.attempts import Bound, Ended, Opened, Started
from batchrun.core.attribution import LANE, Attribution, Groups
from batchrun.core.digests import Digests
from batchrun.core.entry import Entry
from batchrun.core.index import id_digest
from batchrun.core.model import Money
from batchrun.core.totals import Totals

__all__ = ["Fold", "Most", "Statement", "Totals"]

Most = Callable[[str, str, Bound, float], Money | None]
"""What a call of a workspace and model, bounded in tokens, that began at a wall time costs at the most; None where that is unknown."""


@dataclass(slots=True)
class Statement:
    """What a run has done and spent so far."""

    run: str
    name: str
    lanes: dict[tuple[str, str], Totals] = field(default_factory=dict)
    rejected_input: int = 0
    """Input lines that were no row."""
    unreadable_attempts: int = 0
    """Lines of attempts.log that could not be read: calls and doubt may be higher by as many."""
    attribution: Attribution = field(default_factory=lambda: Groups().attribution)
    """By workspace, model and what else was asked; without the rows that are pending."""

    def by(self, names: Iterable[str]) -> Attribution:
        """Add up by *names*, in their order; raises ValueError for one that was not asked when the ledger was read."""
        wanted = tuple(names)
        if set(wanted) <= set(LANE):
            return Attribution(LANE, self.attribution.zone, {(*lane,): totals for lane, totals in self.lanes.items()}).collapsed(wanted)
        return self.attribution.collapsed(wanted)

    def add(self, other: Statement) -> None:
        """Add another run's, folded by the same names; which run this is of stays as it is."""
        for lane, totals in other.lanes.items():
            self.lane(*lane).add(totals)
        self.lanes = dict(sorted(self.lanes.items()))
        self.rejected_input += other.rejected_input
        self.unreadable_attempts += other.unreadable_attempts
        self.attribution.add(other.attribution)

    def lane(self, workspace: str, model: str) -> Totals:
        """Return the totals of one workspace and model, begun where there are none."""
        return self.lanes.setdefault((workspace, model), Totals())

    def workspaces(self) -> list[str]:
        """List the workspaces by name."""
        return sorted({workspace for workspace, _ in self.lanes})

    def total(self, workspace: str | None = None) -> Totals:
        """Add up one workspace, or all."""
        total = Totals()
        for (name, _), totals in self.lanes.items():
            if workspace is None or name == workspace:
                total.add(totals)
        return total

    def workspace_json(self, workspace: str) -> dict[str, Any]:
        """Return one workspace's part, as its usage.json holds it; nothing of the others is in it."""
        models = {model: totals.as_json() for (name, model), totals in sorted(self.lanes.items()) if name == workspace}
        return {"run": self.run, "name": self.name, "workspace": workspace, "total": self.total(workspace).as_json(), "models": models}

    def as_json(self) -> dict[str, Any]:
        """Return the whole, as ``report --json`` prints it."""
        return {
            "run": self.run,
            "name": self.name,
            "rejected_input": self.rejected_input,
            "unreadable_attempts": self.unreadable_attempts,
            "total": self.total().as_json(),
            "workspaces": {workspace: self.workspace_json(workspace) for workspace in self.workspaces()},
        }


class Fold:
    """Takes a ledger in, line by line: all attempts first, then entries, the rejected and exhausted of a workspace before its answered.

    *by* says what is wanted beside workspace and model, *zone* whose days and hours, *most* what calls in doubt can cost. With *only*,
    calls of other workspaces are left out.
    """

    def __init__(
        self, run: str, name: str, rejected_input: int = 0, *,
        by: Iterable[str] = (), zone: ZoneInfo | None = None, only: str | None = None, most: Most = lambda *_call: None,
    ) -> None:  # fmt: skip
        self._groups = Groups(by, zone)
        self._statement = Statement(run, name, rejected_input=rejected_input, attribution=self._groups.attribution)
        self._only = only
        self._most = most
        self._open: dict[str, Started] = {}
        self._lost: list[Started] = []
        self._metadata: dict[tuple[str, str], tuple[Any] | None] | None = None
        self._failed = _FailedRows()

    def attempts(self, lines: Iterable[Opened | Started | Ended | None]) -> None:
        """Take in attempts.log."""
        for line in lines:
            match line:
                case Ended():
                    started = self._open.pop(line.name, None)
                    if started is not None:
                        self._ended(started, line)
                case Started() if self._only in {None, line.workspace}:
                    self._started(line)
                case None:
                    self._statement.unreadable_attempts += 1
                case _:
                    pass

    def entries(self, entries: Iterable[Entry]) -> None:
        """Take in one output file."""
        if self._metadata is None:
            waiting = [*self._lost, *self._open.values()] if self._groups.wants_metadata else []
            self._metadata = {(started.workspace, started.row_id): None for started in waiting}
        for entry in entries:
            totals = self._groups.of(entry.workspace, entry.model, entry.started_at, entry.metadata)
            self._count(totals, entry)
            if entry.usage is not None:
                self._told(entry)
            if self._metadata and (entry.workspace, entry.id) in self._metadata:
                self._metadata[entry.workspace, entry.id] = (entry.metadata,)

    def close(self, rows: Mapping[tuple[str, str], int]) -> Statement:
        """Return the statement; *rows* counts what the run is to do, by workspace and model: the rest of it is pending."""
        for started in (*self._lost, *self._open.values()):
            told = (self._metadata or {}).get((started.workspace, started.row_id))
            self._doubt(started, told[0] if told else None, known=told is not None)
        statement = self._statement
        only_lanes = self._groups.attribution.by == LANE
        lanes = self._groups.attribution.groups if only_lanes else self._groups.attribution.collapsed(LANE).groups
        statement.lanes = {(workspace or "", model or ""): totals for (workspace, model), totals in lanes.items()}
        for (workspace, model), count in rows.items():
            totals = statement.lane(workspace, model)
            totals.pending = max(0, count - totals.answered - totals.rejected - totals.exhausted)
        statement.lanes = dict(sorted(statement.lanes.items()))
        return statement

    def _started(self, started: Started) -> None:
        self._groups.of(started.workspace, started.model, started.at, None, known=False).calls += 1
        # A lost machine can lose the line that numbers an opening, and the next one names its attempts the same.
        if earlier := self._open.get(started.name):
            self._lost.append(earlier)
        self._open[started.name] = started

    def _count(self, totals: Totals, entry: Entry) -> None:
        if entry.usage is not None:
            totals.add_usage(entry.usage, entry.cost)
        if entry.outcome == "answered":
            totals.answered += 1
            self._failed.answered(entry)
            if entry.finish_reason == "length":
                totals.truncated.count(entry.usage, entry.cost)
            return
        self._failed.add(entry, totals)
        if entry.usage is not None:
            totals.refused.count(entry.usage, entry.cost)

    def _told(self, entry: Entry) -> None:
        """An attempt whose usage stands in its row's entry is in no doubt, whether its end was noted or not."""
        started = self._open.get(entry.attempt or "")
        if started is not None and (started.workspace, started.row_id) == (entry.workspace, entry.id):
            del self._open[started.name]

    def _ended(self, started: Started, ended: Ended) -> None:
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
        if ended.in_doubt:
            self._doubt(started, ended.metadata, known=ended.has_metadata)

    def _doubt(self, started: Started, metadata: Any, *, known: bool) -> None:
        totals = self._groups.of(started.workspace, started.model, started.at, metadata, known=known)
        totals.doubt(started.bound, self._most(started.workspace, started.model, started.bound, started.at))


class _FailedRows:
    """Counts rows that were rejected or exhausted, until a later entry of the row says otherwise."""

    def __init__(self) -> None:
        self._rows = Digests()
        self._counted: list[tuple[Totals, str]] = []
        self._places: dict[tuple[int, str], int] = {}

    def add(self, entry: Entry, totals: Totals) -> None:
        """Count the row of *entry* in *totals*, and nowhere else."""
        digest = id_digest(entry.workspace, entry.id)
        self._undo(digest)
        setattr(totals, entry.outcome, getattr(totals, entry.outcome) + 1)
        place = self._places.setdefault((id(totals), entry.outcome), len(self._counted) + 1)
        if place > len(self._counted):
            self._counted.append((totals, entry.outcome))
        self._rows.put(digest, place)

    def answered(self, entry: Entry) -> None:
        """Count the row of *entry* no more."""
        if len(self._rows):
            digest = id_digest(entry.workspace, entry.id)
            if self._undo(digest):
                self._rows.put(digest, 0)

    def _undo(self, digest: int) -> bool:
        place = self._rows.get(digest)
        if not place:
            return False
        totals, outcome = self._counted[place - 1]
        setattr(totals, outcome, getattr(totals, outcome) - 1)
        return True
