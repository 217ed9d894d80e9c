"""How a run went, folded from the same lines as its statement: tokens and trouble over time, how long answers took, why rows failed.

One pass, in memory that grows with workspaces, models and kinds of failure, and not with rows; but for the failed rows of one workspace,
which are known until its answered ones have been seen. Calls and their tokens are counted at the moment the call began.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from batchrun.core.attempts import Ended, Opened, Started
from batchrun.core.durations import Durations
from batchrun.core.entry import Entry
from batchrun.core.stated import StatedQuota
from batchrun.core.timeline import Timeline

MOST_REASONS = 2000
"""Kinds of failure that are told apart: codes come from outside, and may be as many as rows."""
REST = "…"
"""The code of what is beyond."""
_TROUBLE = frozenset({"again", "throttled", "parked"})

Lane = tuple[str, str]


class Reason(NamedTuple):
    """Why rows of a workspace have no answer."""

    workspace: str
    outcome: str
    code: str
    status: int | None


class Trouble(NamedTuple):
    """Why calls of a workspace brought nothing, though their rows were not lost by it."""

    workspace: str
    verdict: str
    code: str


class Finish(NamedTuple):
    """How answers of a lane ended: ``stop``, ``length``."""

    workspace: str
    model: str
    reason: str


@dataclass(slots=True)
class Told:
    """How many rows, and what the first of them was told."""

    rows: int
    message: str
    advice: str


@dataclass(frozen=True, slots=True)
class Standstill:
    """A lane whose last word was a refusal that only a person can mend."""

    workspace: str
    model: str
    code: str
    status: int | None
    at: float


class Course:
    """Looks on while a ledger is folded: `attempts` and `entries` hand on what they are given. Of several runs, one after the other."""

    def __init__(self, quotas: Callable[[str, str], Iterable[StatedQuota]] = lambda _workspace, _model: ()) -> None:
        self.timeline = Timeline()
        """By workspace and ``calls``, ``input``, ``output``, ``answered``, ``throttled`` or ``again``."""
        self.minutes = Timeline(most=1500, narrowest=60)
        """By quota and ``calls`` or ``tokens``, in whole minutes at the least."""
        self.latency: dict[Lane, Durations] = {}
        """Of answers, from the request to the last byte; of the attempt that was answered, waiting before it not counted."""
        self.first_token: dict[Lane, Durations] = {}
        self.trouble: Counter[Trouble] = Counter()
        self.finished: Counter[Finish] = Counter()
        self.standstills: dict[Lane, Standstill] = {}
        self.untimed = 0
        """Calls whose time is not known, or cannot be right: they are in no series."""
        self.began: float | None = None
        self.ended: float | None = None
        self._quotas = quotas
        self._quotas_of: dict[Lane, tuple[StatedQuota, ...]] = {}
        self._open: dict[str, Started] = {}
        self._told_of: dict[Reason, Told] = {}
        self._failed: dict[str, Told] = {}
        self._workspace: str | None = None

    def attempts(self, lines: Iterable[Opened | Started | Ended | None]) -> Iterator[Opened | Started | Ended | None]:
        """Look at attempts.log."""
        for line in lines:
            match line:
                case Started():
                    self._open[line.name] = line
                    self._called(line)
                case Ended():
                    started = self._open.pop(line.name, None)
                    if started is not None:
                        self._came_back(started, line)
            yield line

    def entries(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Look at one output file; a workspace's errors.jsonl comes before its results.jsonl."""
        for entry in entries:
            if entry.workspace != self._workspace:
                self._settle()
                self._workspace = entry.workspace
            if entry.outcome == "answered":
                self._answered(entry)
            else:
                self._failed[entry.id] = self._told(entry)
            if entry.usage is not None:
                self._spent(entry.workspace, entry.model, entry.started_at, entry.usage.input_tokens, entry.usage.output_tokens)
            yield entry

    def reasons(self) -> dict[Reason, Told]:
        """Why rows have no answer: of those whose latest entry is none."""
        return {reason: told for reason, told in self._told_of.items() if told.rows}

    def close(self) -> None:
        """The ledger of a run has been seen whole; another may follow."""
        self._settle()
        self._open.clear()

    def _called(self, started: Started) -> None:
        self._passed(started.at)
        if not self.timeline.add((started.workspace, "calls"), started.at):
            self.untimed += 1
        for quota in self._quotas_for(started.workspace, started.model):
            self.minutes.add((quota, "calls"), started.at)

    def _came_back(self, started: Started, ended: Ended) -> None:
        self._passed(ended.at)
        lane = (started.workspace, started.model)
        if ended.verdict == "answered":
            self.standstills.pop(lane, None)
        elif ended.verdict in _TROUBLE:
            self._met(Trouble(started.workspace, ended.verdict, _word(ended.code)))
            self.timeline.add((started.workspace, ended.verdict), ended.at)
            if ended.verdict == "parked":
                self.standstills[lane] = Standstill(*lane, _word(ended.code), _status(ended.status), ended.at)
        if ended.usage is not None:
            self._spent(*lane, started.at, ended.usage.input_tokens, ended.usage.output_tokens)

    def _answered(self, entry: Entry) -> None:
        lane = (entry.workspace, entry.model)
        self._failed.pop(entry.id, None)
        self._finished(Finish(*lane, _word(entry.finish_reason)))
        if entry.latency_ms is not None:
            _durations(self.latency, lane).add(entry.latency_ms)
            if entry.started_at is not None:
                self._passed(entry.started_at)
                self.timeline.add((entry.workspace, "answered"), entry.started_at + entry.latency_ms / 1000)
        if entry.first_token_ms is not None:
            _durations(self.first_token, lane).add(entry.first_token_ms)

    def _spent(self, workspace: str, model: str, at: float | None, input_tokens: int, output_tokens: int) -> None:
        if at is None:
            self.untimed += 1
            return
        self.timeline.add((workspace, "input"), at, input_tokens)
        self.timeline.add((workspace, "output"), at, output_tokens)
        for quota in self._quotas_for(workspace, model):
            self.minutes.add((quota, "tokens"), at, input_tokens + output_tokens)

    def _passed(self, at: float) -> None:
        self.began = at if self.began is None else min(self.began, at)
        self.ended = at if self.ended is None else max(self.ended, at)

    def _quotas_for(self, workspace: str, model: str) -> tuple[StatedQuota, ...]:
        lane = (workspace, model)
        found = self._quotas_of.get(lane)
        if found is None:
            found = self._quotas_of[lane] = tuple(self._quotas(workspace, model))
        return found

    def _met(self, trouble: Trouble) -> None:
        known = trouble in self.trouble or len(self.trouble) < MOST_REASONS
        self.trouble[trouble if known else trouble._replace(code=REST)] += 1

    def _finished(self, finish: Finish) -> None:
        known = finish in self.finished or len(self.finished) < MOST_REASONS
        self.finished[finish if known else finish._replace(reason=REST)] += 1

    def _told(self, entry: Entry) -> Told:
        reason = Reason(entry.workspace, entry.outcome, _word(entry.code), _status(entry.status))
        known = reason in self._told_of or len(self._told_of) < MOST_REASONS
        told = Told(0, _word(entry.message), _word(entry.advice))
        return self._told_of.setdefault(reason if known else reason._replace(code=REST, status=None), told)

    def _settle(self) -> None:
        """What has failed in a workspace and was not answered after all has failed for good."""
        for told in self._failed.values():
            told.rows += 1
        self._failed.clear()


def _durations(found: dict[Lane, Durations], lane: Lane) -> Durations:
    durations = found.get(lane)
    if durations is None:
        durations = found[lane] = Durations()
    return durations


def _word(value: object) -> str:
    """What stands in a ledger was text when it was written; whoever wrote in it since may have left anything."""
    return value if isinstance(value, str) else ""


def _status(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
