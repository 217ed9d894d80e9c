"""What is made of a rate: what goes, what of it is answered, and what a usual attempt costs.

A rate that nobody uses must not climb: that it is not refused says nothing. So a climb asks two things. Is nearly as much sent as the rate
lets? That is looked up in the trail of what went. And is a good part of it answered? That is a count which fades: what is sent into the
dark lets nothing grow either. How long to look back is told in attempts, up to the trail: at a slow rate ten of them take minutes.

Rows that differ in what they cost are looked at more leniently: a few large ones, and the waits for them, are no sign of want.

What goes and what is answered is noted by the pace itself (`Pace.pay`, `Pace.took`), at every attempt of every holder.
"""

from __future__ import annotations

import math
from dataclasses import field
from math import inf
from typing import NamedTuple

from batchrun.core.classes import slotted
from batchrun.core.limits.buckets import Flow, Latest, Trail

SINCE = 0.5
"""Seconds that a rate is at least the mean of, where a run has just begun."""
NEVER_LONGER = 15.0
"""Seconds between two attempts at the slowest rate that is ever found."""
USUAL_LEARNS = 0.05
"""Of each attempt that was taken: of what a usual one costs."""
_ANSWERED = 0.4
"""Of a rate: what must be answered of late."""
_LEAST_SECONDS = 5.0
"""To look back over."""
_FADES_IN = 20
"""Attempts that what was answered fades in."""


class Demand(NamedTuple):
    """What shows that a rate is used."""

    attempts: int
    """So many usual ones are looked back over."""
    sent: float
    """Of the rate."""


OF_ATTEMPTS, OF_ROWS = Demand(10, 0.8), Demand(20, 0.5)


@slotted
class Use:
    """Of one pace; told the time."""

    latest: Latest | None = None
    """The latest attempts one by one, where it matters how many go in a window of a few."""
    trail: Trail = field(default_factory=lambda: Trail(round(OF_ATTEMPTS.attempts * NEVER_LONGER)))
    """What went and was not refused."""
    answers: Trail | None = None
    """What was answered, where it matters whether that is what a provider counts."""
    typical: float = 1.0
    """Units of a usual attempt."""
    demand: Demand = OF_ATTEMPTS
    began: float = inf
    """When the first attempt went."""
    launched_at: float = -math.inf
    """When the latest did."""
    taken: Flow = field(default_factory=Flow)
    """What was answered of late, while a rate is held: nothing else may climb."""

    def go_on(self, now: float, cost: float) -> None:
        """The first attempt of a half second goes, or of all."""
        self.trail.add(now, cost)
        if self.began == inf:
            self.began = now

    def expect(self, cost: float) -> None:
        """As long as nothing was answered, a usual attempt costs what one did that was refused; of those that all cost one it is known."""
        if self.answers is not None and self.answers.latest.until == -inf:
            self.typical = cost

    def uncount(self, launched_at: float, cost: float) -> None:
        """*cost* was paid for what the provider did not count."""
        self.trail.latest.amount -= cost
        if self.latest is not None:
            self.latest.drop(launched_at)

    def rate(self, now: float, seconds: float) -> float:
        """What went a second, over so many *seconds*, or since the first attempt."""
        seconds = max(SINCE, min(seconds, now - self.began))
        return self.trail.sum(now, seconds) / seconds

    def begin(self, rate: float) -> None:
        """Look at another rate from now on."""
        self.taken.fade_in(max(_LEAST_SECONDS, _FADES_IN * self.typical / rate))

    def keeps_up(self, now: float, rate: float) -> bool:
        """Whether what is sent keeps up with *rate*, and what is answered follows."""
        seconds = min(self.trail.seconds, max(_LEAST_SECONDS, self.demand.attempts * self.typical / rate))
        self.begin(rate)
        return self.taken.rate(now) >= _ANSWERED * rate and self.trail.sum(now, seconds) >= self.demand.sent * rate * seconds
