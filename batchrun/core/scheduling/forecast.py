"""When a run's lanes will be done, and what limits them: the run's own scheduler, driven in virtual time.

Each row is launched when the scheduler says so, takes as long as rows of its lane are expected to take, and costs what they are expected to
cost; some calls fail or are throttled, where that was seen before. Chance is drawn from the calls' numbers: the same job has the same
forecast. What holds a lane back is looked at while it happens, on a grid of virtual time that grows coarser as the run grows longer.

A large run is forecast from three smaller ones. The first is the run itself, up to so many calls: lanes that are done by then are exact.
The other two are samples that keep the lanes' proportions, their slots and their quotas, and have fewer rows, one of them half as many as
the other. Where something steady limits a lane, its end lies on a straight line over the number of rows (what a start and an end cost is
the line's height, the limit its slope), so the line through both samples gives the end of the whole: for a million rows in twelve lanes
within two in a hundred of the forecast row by row, and less exactly for lanes that have few rows among millions. What changes with the time
and not with the rows (the hours of a workspace) does not lie on it; such a run is forecast row by row.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from statistics import NormalDist
from types import MappingProxyType
from typing import Any, NamedTuple

from batchrun.core.jobs.hours import Hours
from batchrun.core.limits.limiter import Limiter
from batchrun.core.model import Failure, Fault, Reply, Scope, Usage
from batchrun.core.scheduling.lanes import Lane
from batchrun.core.scheduling.retry import RetryPolicy
from batchrun.core.scheduling.scheduler import Drained, LanePlan, Launch, Scheduler, Ticket, WaitUntil

EXACT_ROWS = 200_000
"""Up to so many rows a run is forecast row by row."""
_SAMPLE_ROWS = 100_000
_REFUSED_IN = 0.2
"""Seconds after which a throttle comes back: nothing was worked at."""
_STEPS = 1024
"""Of a lognormal spread."""
_FIRST_GRID = 0.01
_LOOKS = 20_000
"""At lanes, before the grid is made coarser."""

LaneKey = tuple[str, str]


class Whose(StrEnum):
    """Whose limit it is."""

    LANE = "lane"
    WORKSPACE = "workspace"
    POOL = "pool"


class What(StrEnum):
    """Which limit it is."""

    CONCURRENCY = "concurrency"
    RPM = "rpm"
    TPM = "tpm"
    START = "start"
    """Attempts may only grow so fast in number."""
    THROTTLES = "throttles"
    """Pauses after refusals."""
    WINDOW = "window"
    """The hours in which it may be called."""


class Hold(NamedTuple):
    """What holds a lane back that has rows to send."""

    whose: Whose
    what: What


@dataclass(frozen=True, slots=True)
class Expected:
    """What the calls of one lane are expected to be like. What they cost stands in the lane's plan."""

    latencies: Sequence[float]
    """Seconds that answers take, each as likely as the others."""
    costs: Sequence[float] = (1.0,)
    """What calls cost in terms of what they are expected to, each as likely as the others; 1 in the mean."""
    again: float = 0.0
    """Share of the calls that fail and are tried again."""
    throttled: float = 0.0
    reasked: float = 0.0

    @property
    def latency(self) -> float:
        """Seconds that an answer takes in the mean."""
        return math.fsum(self.latencies) / len(self.latencies)


@dataclass(frozen=True, slots=True)
class Foreseen:
    """How one lane will fare."""

    ends_at: float
    """Seconds from the start."""
    holds: Mapping[Hold | None, float]
    """Share of its time in which each thing held it back; None where it only waited for answers."""

    @property
    def limit(self) -> Hold | None:
        """What held it back for most of its time; None where nothing did."""
        return max(self.holds, key=lambda hold: self.holds[hold]) if self.holds else None


def lognormal(mean: float, sigma: float) -> tuple[float, ...]:
    """Latencies with this *mean*, spread as a provider's usually are; *sigma* is the deviation of their logarithm."""
    normal = NormalDist()
    raw = [math.exp(sigma * normal.inv_cdf((step + 0.5) / _STEPS)) for step in range(_STEPS)]
    return tuple(mean * each * _STEPS / math.fsum(raw) for each in raw)


@dataclass(frozen=True, slots=True)
class Calendar:
    """The hours of those workspaces that have some, and when it all begins, in seconds since the epoch."""

    hours: Mapping[str, Hours] = field(default_factory=dict)
    begins_at: float = 0.0


def foresee(
    plans: Sequence[LanePlan],
    expected: Mapping[LaneKey, Expected],
    retry: RetryPolicy,
    calendar: Calendar = Calendar(),
    learnt: Mapping[str, Any] = MappingProxyType({}),
) -> dict[LaneKey, Foreseen]:
    """Say of each lane with rows when it is done, and what holds it back. The plans' rows are sequences: they may be gone over again.

    A workspace that is closed is waited for. *learnt* is what earlier openings found of the pools (`Scheduler.learnt`).
    """
    total = sum(plan.count for plan in plans)
    whole = _Run(plans, expected, retry, calendar, learnt)
    if total <= EXACT_ROWS or calendar.hours:
        return whole.to_its_end()
    done = whole.to_its_end(_SAMPLE_ROWS)
    sampled = [_sample(plans, _SAMPLE_ROWS / total), _sample(plans, _SAMPLE_ROWS / total / 2)]
    larger, smaller = (_Run(each, expected, retry, calendar, learnt).to_its_end() for each in sampled)
    for plan, more, less in zip(plans, *sampled, strict=True):
        key = (plan.workspace, plan.model)
        if plan.count and key not in done:
            on_line = _on_line(plan.count, (less.count, smaller[key].ends_at), (more.count, larger[key].ends_at))
            done[key] = replace(larger[key], ends_at=max(whole.now, on_line))
    return done


def _sample(plans: Sequence[LanePlan], share: float) -> list[LanePlan]:
    """Plans with *share* of each lane's rows, evenly picked: one row at the least."""
    return [replace(plan, rows=_picked(plan.rows, count), count=count) for plan in plans for count in [_part(plan.count, share)]]


def _part(count: int, share: float) -> int:
    return min(count, max(1, round(count * share)))


def _picked(rows: object, count: int) -> Sequence[int]:
    assert isinstance(rows, Sequence)
    # Anywhere within its stride: rows that come in a rhythm must not fall in step with it.
    return [rows[((place << 32) + _draw(place)) * len(rows) // count >> 32] for place in range(count)]


def _on_line(rows: int, less: tuple[int, float], more: tuple[int, float]) -> float:
    (few, early), (many, late) = less, more
    return late if few == many else late + (rows - many) * (late - early) / (many - few)


_ANSWER = Reply("", "stop", None)


def _failure(fault: Fault) -> Failure:
    return Failure(fault, Scope.ROW, "foreseen", "", "")


_CLOSED = Failure(Fault.PARK, Scope.WORKSPACE, "window_closed", "", "")
_CLOSED_NOW = Hold(Whose.WORKSPACE, What.WINDOW)
_AGAIN, _THROTTLED, _REASKED = _failure(Fault.AGAIN), _failure(Fault.THROTTLED), _failure(Fault.REASK)


@dataclass(slots=True)
class _Course:
    """How a lane fares, once it has begun."""

    lane: Lane
    expected: Expected
    calls: int = 0
    holds: dict[Hold | None, float] = field(default_factory=dict)
    """Seconds that each thing held it back."""


@dataclass(slots=True)
class _Run:
    """One run in virtual time."""

    plans: Sequence[LanePlan]
    expected: Mapping[LaneKey, Expected]
    retry: RetryPolicy
    calendar: Calendar
    learnt: Mapping[str, Any]
    now: float = 0.0
    _ends: list[tuple[float, int, Ticket, Reply | Failure]] = field(default_factory=list)
    _launched: int = 0
    _under_way: dict[LaneKey, _Course] = field(default_factory=dict)
    _done: dict[LaneKey, Foreseen] = field(default_factory=dict)
    _closed: set[str] = field(default_factory=set)
    _changes_at: float = -math.inf
    _grid: float = _FIRST_GRID
    _looked: int = 0
    _next_look: float = 0.0

    def to_its_end(self, most_launches: float = math.inf) -> dict[LaneKey, Foreseen]:
        """Go on until all is done or so many calls are launched; give the lanes that are done."""
        scheduler = Scheduler(self.plans, self.retry, wait_for_parked=True)
        scheduler.teach(self.learnt, 0.0, steady=True)
        while self._launched < most_launches:
            if self.now >= self._changes_at:
                self._follow_hours(scheduler)
            match scheduler.next(self.now):
                case Launch(ticket):
                    self._launch(ticket)
                case WaitUntil(at):
                    self._wait(scheduler, min(at, self._changes_at, self._ends[0][0] if self._ends else math.inf))
                case Drained():
                    break
        return self._done

    def _follow_hours(self, scheduler: Scheduler) -> None:
        begins_at, hours = self.calendar.begins_at, self.calendar.hours
        wall = begins_at + self.now
        should_be = {name for name, each in hours.items() if not each.is_open(wall)}
        for name in should_be - self._closed:
            scheduler.close(name, _CLOSED)
        for name in self._closed - should_be:
            scheduler.open(name)
        self._closed = should_be
        self._changes_at = min((each.next_change(wall) - begins_at for each in hours.values()), default=math.inf)

    def _launch(self, ticket: Ticket) -> None:
        key = (ticket.workspace, ticket.model)
        course = self._under_way.get(key)
        if course is None:
            course = self._under_way[key] = _Course(ticket.lane, self.expected[key])
        self._launched += 1
        course.calls += 1
        latencies = course.expected.latencies
        result = self._result(course.expected)
        seconds = _REFUSED_IN if result is _THROTTLED else latencies[_draw(course.calls) * len(latencies) >> 32]
        heapq.heappush(self._ends, (self.now + seconds, self._launched, ticket, result))

    def _result(self, expected: Expected) -> Reply | Failure:
        # Another sequence than that of the latencies: what fails is not what is slow.
        dice = _draw(_draw(self._launched) >> 7) / 2**32
        for share, failure in ((expected.again, _AGAIN), (expected.throttled, _THROTTLED), (expected.reasked, _REASKED)):
            if dice < share:
                return failure
            dice -= share
        return _ANSWER

    def _wait(self, scheduler: Scheduler, until: float) -> None:
        if until > self._next_look:
            self._look(until)
        self.now = until
        ends = self._ends
        while ends and ends[0][0] <= until:
            _, number, ticket, result = heapq.heappop(ends)
            if result is _ANSWER:
                # What was expected comes true, in the mean.
                costs = self.expected[ticket.lane.key].costs
                result = replace(_ANSWER, usage=Usage(round(ticket.paid * costs[_draw(_draw(number) >> 9) * len(costs) >> 32]), 0))
            scheduler.settle(ticket, result, until, _draw(number) / 2**32)
            scheduler.release(ticket)
            if not ticket.lane.left:
                course = self._under_way.pop(ticket.lane.key)
                self._done[ticket.lane.key] = Foreseen(until, _shares(course.holds))

    def _look(self, until: float) -> None:
        """Note what holds each lane back from now until *until*, in steps of the grid."""
        seconds = math.ceil((until - self._next_look) / self._grid) * self._grid
        for course in self._under_way.values():
            hold = _CLOSED_NOW if course.lane.plan.workspace in self._closed else hold_of(course.lane, self.now)
            course.holds[hold] = course.holds.get(hold, 0.0) + seconds
        self._next_look += seconds
        self._looked += len(self._under_way)
        if self._looked > _LOOKS:
            self._looked, self._grid = 0, 2 * self._grid


def _draw(number: int) -> int:
    """32 bits that are spread evenly over any run of numbers (Weyl's sequence, by the golden ratio)."""
    return number * 0x9E3779B1 & 0xFFFFFFFF


def _shares(held: Mapping[Hold | None, float]) -> dict[Hold | None, float]:
    total = math.fsum(held.values())
    return {hold: seconds / total for hold, seconds in held.items()}


def hold_of(lane: Lane, now: float) -> Hold | None:
    """What holds *lane* back, right after its scheduler had nothing more to launch at *now*; None where it has nothing to send."""
    workspace = lane.workspace
    if not (lane.front or lane.undrawn):
        return None
    tokens = lane.next_tokens()
    if lane.limiter.free_at(now, tokens) > now:
        return Hold(Whose.LANE, _rate(lane.limiter, now, tokens))
    if lane.in_flight >= lane.slots.limit:
        return Hold(Whose.LANE if lane.slots.cap < workspace.slots else Whose.WORKSPACE, What.CONCURRENCY)
    if workspace.in_flight >= workspace.slots:
        return Hold(Whose.WORKSPACE, What.CONCURRENCY)
    if workspace.limiter is not None and workspace.limiter.free_at(now, tokens) > now:
        return Hold(Whose.WORKSPACE, _rate(workspace.limiter, now, tokens))
    pool = lane.pool.limiter
    return Hold(Whose.POOL, _rate(pool, now, tokens)) if pool.free_at(now, tokens) > now else None


def _rate(limiter: Limiter, now: float, tokens: float) -> What:
    if limiter.waits_until > now:
        return What.THROTTLES
    free = {
        What.RPM: limiter.attempts.free_at(now, 1.0),
        What.TPM: limiter.tokens.free_at(now, tokens),
        What.START: limiter.ramp.free_at(now),
    }
    return max(free, key=lambda what: free[what])
