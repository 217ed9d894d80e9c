"""The ledger folded to totals: rows, calls, tokens and money by workspace and model, and what is in doubt.

The fold reads attempts.log first (every call, and which of them have no end), then each workspace's errors.jsonl and results.jsonl
(what became of rows, and their tokens). An entry names its attempt, so an attempt whose end was never noted but whose answer stands in
the ledger is not in doubt. What remains is: statement ≤ bill ≤ statement + doubt.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any

from batchrun.core.attempts import Ended, Opened, Started
from batchrun.core.entry import Entry
from batchrun.core.model import Money, Usage

_COUNTED = tuple(each.name for each in fields(Usage) if each.name != "raw")


@dataclass(slots=True)
class Totals:
    """Counts of one workspace and model, or of several added up. Tokens are the provider's; details itemise and add nothing."""

    answered: int = 0
    rejected: int = 0
    exhausted: int = 0
    pending: int = 0
    """Rows with no entry yet."""
    calls: int = 0
    retries: int = 0
    """Calls that failed and were tried again."""
    throttles: int = 0
    reasks: int = 0
    """Calls that were answered, and whose row was asked again because the answer did not fit."""
    reask_input_tokens: int = 0
    """Of the input tokens: what those calls cost."""
    reask_output_tokens: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cache_creation_tokens: int = 0
    image_tokens: int = 0
    audio_tokens: int = 0
    video_tokens: int = 0
    output_audio_tokens: int = 0
    searches: int = 0
    in_doubt: int = 0
    """Calls that may have been billed and left no usage."""
    in_doubt_input_tokens: int = 0
    """At the most."""
    in_doubt_output_tokens: int = 0
    """At the most."""
    unpriced_calls: int = 0
    """Calls with tokens whose cost is not known: it is in no sum."""
    unpriced_tokens: int = 0
    cost: dict[str, Decimal] = field(default_factory=dict)
    """By currency, as it was written down with each call."""

    def add(self, other: Totals) -> None:
        """Add *other* to this, count by count."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for currency, amount in other.cost.items():
            self.pay(Money(currency, amount))

    def pay(self, cost: Money) -> None:
        """Add what something cost."""
        self.cost[cost.currency] = self.cost.get(cost.currency, Decimal(0)) + cost.amount

    def add_usage(self, usage: Usage, cost: Money | None = None) -> None:
        """Add one call's tokens, and what they *cost*; None where that is not known."""
        for name in _COUNTED:
            setattr(self, name, getattr(self, name) + getattr(usage, name))
        if cost is not None:
            self.pay(cost)
        else:
            self.unpriced_calls += 1
            self.unpriced_tokens += usage.input_tokens + usage.output_tokens

    def as_json(self) -> dict[str, Any]:
        """Return the counts by name; amounts as text, exact."""
        return {name: getattr(self, name) for name in _COUNTS} | {
            "cost": {name: format(each, "f") for name, each in sorted(self.cost.items())}
        }


_COUNTS = tuple(each.name for each in fields(Totals) if each.name != "cost")


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
    """Takes a ledger in, line by line: all attempts first, then entries, the rejected and exhausted of a workspace before its answered."""

    def __init__(self, run: str, name: str, rejected_input: int = 0) -> None:
        self._statement = Statement(run, name, rejected_input=rejected_input)
        self._open: dict[str, Started] = {}
        self._failed: dict[tuple[str, str], Entry] = {}

    def attempts(self, lines: Iterable[Opened | Started | Ended | None]) -> None:
        """Take in attempts.log."""
        for line in lines:
            match line:
                case Started():
                    self._statement.lane(line.workspace, line.model).calls += 1
                    self._started(line)
                case Ended():
                    started = self._open.pop(line.name, None)
                    if started is not None:
                        self._ended(started, line)
                case None:
                    self._statement.unreadable_attempts += 1
                case Opened():
                    pass

    def entries(self, entries: Iterable[Entry]) -> None:
        """Take in one output file."""
        for entry in entries:
            totals = self._statement.lane(entry.workspace, entry.model)
            if entry.usage is not None:
                totals.add_usage(entry.usage, entry.cost)
                self._told(entry)
            if entry.outcome == "answered":
                totals.answered += 1
                self._failed.pop((entry.workspace, entry.id), None)
            else:
                self._failed[entry.workspace, entry.id] = entry

    def close(self, rows: Mapping[tuple[str, str], int]) -> Statement:
        """Return the statement; *rows* counts what the run is to do, by workspace and model: the rest of it is pending."""
        for entry in self._failed.values():
            totals = self._statement.lane(entry.workspace, entry.model)
            if entry.outcome == "rejected":
                totals.rejected += 1
            else:
                totals.exhausted += 1
        for started in self._open.values():
            self._doubt(started)
        for (workspace, model), count in rows.items():
            totals = self._statement.lane(workspace, model)
            totals.pending = max(0, count - totals.answered - totals.rejected - totals.exhausted)
        self._statement.lanes = dict(sorted(self._statement.lanes.items()))
        return self._statement

    def _started(self, started: Started) -> None:
        # A lost machine can lose the line that numbers an opening, and the next one names its attempts the same.
        if earlier := self._open.get(started.name):
            self._doubt(earlier)
        self._open[started.name] = started

    def _told(self, entry: Entry) -> None:
        """An attempt whose usage stands in its row's entry is in no doubt, whether its end was noted or not."""
        started = self._open.get(entry.attempt or "")
        if started is not None and (started.workspace, started.row_id) == (entry.workspace, entry.id):
            del self._open[started.name]

    def _ended(self, started: Started, ended: Ended) -> None:
        totals = self._statement.lane(started.workspace, started.model)
        totals.retries += ended.verdict == "again"
        totals.throttles += ended.verdict == "throttled"
        totals.reasks += ended.verdict == "reasked"
        if ended.usage is not None:
            totals.add_usage(ended.usage, ended.cost)
            if ended.verdict == "reasked":
                totals.reask_input_tokens += ended.usage.input_tokens
                totals.reask_output_tokens += ended.usage.output_tokens
        if ended.in_doubt:
            self._doubt(started)

    def _doubt(self, started: Started) -> None:
        totals = self._statement.lane(started.workspace, started.model)
        totals.in_doubt += 1
        totals.in_doubt_input_tokens += started.bound.input_tokens
        totals.in_doubt_output_tokens += started.bound.output_tokens
