"""When budgets would be spent, if lanes spend evenly in their hours until they are done: a forecast in arithmetic, before a run begins.

What a row may cost at the most is set aside before it is sent, so the last of a budget buys nothing that is smaller than such a bound. A
budget that comes anew with each day is looked at day by day: the first day that does not suffice is when rows would be left over.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from decimal import Decimal

from batchrun.core.classes import value
from batchrun.core.jobs.hours import Hours
from batchrun.core.money.periods import Period

_MOST_PERIODS = 400


@value
class Outlay:
    """What one lane would spend of a budget."""

    rows: int
    seconds: float
    """Until its last row is done, from now on."""
    amount: Decimal
    """By all its rows."""
    most: Decimal
    """What one row may cost, and is set aside for it."""
    course: Sequence[tuple[float, float]] = ()
    """What share is done by when, evenly in between, from the beginning to the end; nothing: evenly all the time."""

    def spent(self, at: float) -> Decimal:
        """By the time *at*."""
        return self.amount * Decimal(self._done(at))

    def left(self, at: float) -> int:
        """Rows that are not done by then."""
        return round(self.rows * (1 - self._done(at)))

    def _done(self, at: float) -> float:
        if at >= self.seconds:
            return 1.0
        course = self.course or ((0.0, 0.0), (self.seconds, 1.0))
        place = bisect_right(course, (max(0.0, at), math.inf))
        (begins, before), (ends, after) = course[place - 1 : place + 1]
        return before + (after - before) * (max(0.0, at) - begins) / (ends - begins)


def in_hours(hours: Hours | None, begins_at: float, seconds: float) -> list[tuple[float, float]]:
    """The course of a lane that begins at the wall time *begins_at* and is called within *hours* until it is done after *seconds*."""
    course, passed, now = [(0.0, 0.0)], 0.0, 0.0
    while hours is not None and now < seconds:
        changes_at = min(seconds, hours.next_change(begins_at + now) - begins_at)
        passed += changes_at - now if hours.is_open(begins_at + now) else 0.0
        now = changes_at
        course.append((now, passed))
    return [(at, done / passed) for at, done in course] if passed else []


@value
class RunsOut:
    """A budget that would not suffice."""

    at: float
    """Seconds from now."""
    rows: int
    """That would be left over then."""
    missing: Decimal
    """What these would cost."""


def total(lanes: Sequence[Outlay]) -> Decimal:
    """What all rows would cost."""
    return sum((lane.amount for lane in lanes), Decimal(0))


def runs_out(lanes: Sequence[Outlay], cap: Decimal, left: Decimal, period: Period | None, begins_at: float) -> RunsOut | None:
    """Say when *lanes* would have spent what is *left* of *cap*, or all of it on a later day; None where it suffices to the end."""
    if not lanes:
        return None
    starts, end = 0.0, max(lane.seconds for lane in lanes)
    for _ in range(_MOST_PERIODS):
        ends = min(end, period.around(begins_at + starts).ends - begins_at) if period else end
        at = _spent_at(lanes, starts, ends, left - max((lane.most for lane in lanes if lane.left(starts)), default=Decimal(0)))
        if at is not None:
            return RunsOut(at, sum(lane.left(at) for lane in lanes), sum((lane.amount - lane.spent(at) for lane in lanes), Decimal(0)))
        if ends >= end:
            return None
        starts, left = ends, cap
    return None


def _spent_at(lanes: Sequence[Outlay], starts: float, ends: float, spare: Decimal) -> float | None:
    """When lanes that go on from *starts* have spent more than *spare*; None where they have not by *ends*."""
    begun = sum((lane.spent(starts) for lane in lanes), Decimal(0))
    if spare < 0:
        return starts if any(lane.left(starts) for lane in lanes) else None

    def spent(at: float) -> Decimal:
        return sum((lane.spent(at) for lane in lanes), Decimal(0)) - begun

    turns = (turn for lane in lanes for turn in (lane.seconds, *(at for at, _ in lane.course)))
    stops = [starts, *sorted({ends, *(turn for turn in turns if starts < turn < ends)})]
    # No stop is looked at that need not be: of thousands of lanes each has one of its own.
    beyond = bisect_right(stops, spare, 1, key=spent)
    if beyond == len(stops):
        return None
    at, stop = stops[beyond - 1 : beyond + 1]
    before = spent(at)
    return at + (stop - at) * float((spare - before) / (spent(stop) - before))
