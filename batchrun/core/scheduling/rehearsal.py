"""A run played through in virtual time, with the scheduler that the run itself will have, and a provider made of what is expected of it.

A call ends after as long as rows of its lane are expected to take, and some fail or are throttled, as often as that was seen. Nothing waits
for the clock: the time goes on to the next end of a call, or to when the scheduler may launch again, so a night takes seconds. Chance is
drawn from the calls' numbers: the same job has the same forecast.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from typing import Any

from batchrun.core.classes import slotted
from batchrun.core.model import Failure, Fault, Reply, Scope, Usage
from batchrun.core.scheduling.expected import Calendar, Expected, Foreseen, LaneKey
from batchrun.core.scheduling.holds import Hold, What, Whose, hold_of
from batchrun.core.scheduling.lanes import Lane
from batchrun.core.scheduling.retry import RetryPolicy
from batchrun.core.scheduling.scheduler import Drained, LanePlan, Launch, Scheduler, Ticket, WaitUntil

_REFUSED_IN = 0.2
"""Seconds after which a throttle comes back: nothing was worked at."""
_FIRST_GRID = 0.01
_LOOKS = 20_000
"""At lanes, before the grid is made coarser."""

_ANSWER = Reply("", "stop", None)


def _failure(fault: Fault) -> Failure:
    return Failure(fault, Scope.ROW, "foreseen", "", "")


_CLOSED = Failure(Fault.PARK, Scope.WORKSPACE, "window_closed", "", "")
_CLOSED_NOW = Hold(Whose.WORKSPACE, What.WINDOW)
_AGAIN, _THROTTLED, _REASKED = _failure(Fault.AGAIN), _failure(Fault.THROTTLED), _failure(Fault.REASK)


@slotted
class _Course:
    """How a lane fares, once it has begun; that its workspace was closed until then counts too."""

    lane: Lane
    expected: Expected
    calls: int = 0
    holds: dict[Hold | None, float] = field(default_factory=dict)
    """Seconds that each thing held it back."""


@slotted
class Rehearsal:
    """One run in virtual time: `to_its_end` plays it."""

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
    _closed: dict[str, float] = field(default_factory=dict)
    """Since when each workspace is that is closed."""
    _was_closed: dict[str, float] = field(default_factory=dict)
    """Seconds that each workspace was in all, until it last opened."""
    _changes_at: float = -math.inf
    _grid: float = _FIRST_GRID
    _looked: int = 0
    _next_look: float = 0.0

    def to_its_end(self, most_launches: float = math.inf) -> dict[LaneKey, Foreseen]:
        """Go on until all is done or so many calls are launched; give the lanes that are done."""
        scheduler = Scheduler(self.plans, self.retry, wait_for_parked=True)
        scheduler.lessons.teach(self.learnt, 0.0, steady=True)
        while self._launched < most_launches:
            if self.now >= self._changes_at:
                self._follow_hours(scheduler)
            match scheduler.next(self.now):
                case Launch(ticket):
                    if self._is_paid(scheduler, ticket):
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
        for name in should_be - self._closed.keys():
            scheduler.close(name, _CLOSED)
            self._closed[name] = self.now
        for name in self._closed.keys() - should_be:
            scheduler.open(name)
            self._was_closed[name] = self._was_closed.get(name, 0.0) + self.now - self._closed.pop(name)
        self._changes_at = min((each.next_change(wall) - begins_at for each in hours.values()), default=math.inf)

    def _is_paid(self, scheduler: Scheduler, ticket: Ticket) -> bool:
        """Whether the budgets of its lane, if they are in its plan, can pay for a call; otherwise the scheduler has it back."""
        if not ticket.lane.plan.purses:
            return True
        bounds = self.expected[ticket.lane.key].bounds
        if scheduler.afford(ticket, bounds[draw(ticket.ordinal) * len(bounds) >> 32], self.calendar.begins_at + self.now):
            return True
        scheduler.release(ticket)
        return False

    def _launch(self, ticket: Ticket) -> None:
        key = (ticket.workspace, ticket.model)
        course = self._under_way.get(key)
        if course is None:
            course = self._under_way[key] = _Course(ticket.lane, self.expected[key])
            if before := self._was_closed.get(ticket.workspace):
                course.holds[_CLOSED_NOW] = before
        self._launched += 1
        course.calls += 1
        result = self._result(course.expected)
        latencies = course.expected.failing if result is _AGAIN and course.expected.failing else course.expected.latencies
        seconds = _REFUSED_IN if result is _THROTTLED else latencies[draw(course.calls) * len(latencies) >> 32]
        heapq.heappush(self._ends, (self.now + seconds, self._launched, ticket, result))

    def _result(self, expected: Expected) -> Reply | Failure:
        # Another sequence than that of the latencies: what fails is not what is slow.
        dice = draw(draw(self._launched) >> 7) / 2**32
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
            if result is _ANSWER or result is _REASKED:
                # What was expected comes true, in the mean.
                expected = self.expected[ticket.lane.key]
                cost = expected.costs[draw(draw(number) >> 9) * len(expected.costs) >> 32]
                cost *= 1.0 if result is _ANSWER else expected.reask_costs
                result = replace(result, usage=Usage(round(ticket.paid * cost), 0))
            scheduler.settle(ticket, result, until, draw(number) / 2**32)
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


def _shares(held: Mapping[Hold | None, float]) -> dict[Hold | None, float]:
    total = math.fsum(held.values())
    return {hold: seconds / total for hold, seconds in held.items()}


def draw(number: int) -> int:
    """32 bits that are spread evenly over any run of numbers (Weyl's sequence, by the golden ratio)."""
    return number * 0x9E3779B1 & 0xFFFFFFFF
