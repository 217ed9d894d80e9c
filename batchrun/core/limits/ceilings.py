"""What a refusal says at once of the next few calls: as much as was refused is not sent again.

A refused row shows that the window held more than it was thought to. Why, is learnt slowly (`deviations.py`, `witness.py`); meanwhile the
next rows stay half a deviation under what was refused, for two seconds. Where the quota is a guess itself, each further refusal of a row
that costs as much goes back as far again, and such a row stays under it until one has gone: a large row is not thrown at the wall again
and again.
"""

from __future__ import annotations

import math
from math import inf

from batchrun.core.classes import slotted

_STEPS_BACK, _BACK_FOR = 0.5, 2.0
"""Deviations that the next row stays under what was refused, and for how many seconds at the most."""


@slotted
class Ceiling:
    """How much the window may hold, as far as the latest refusal says."""

    most: float = inf
    until: float = -math.inf
    """It is believed until then, by every row."""
    cost: float = inf
    """What was paid for the row that was refused: rows that cost as much believe it until one has gone; infinity where one has."""
    _steps_back: float = _STEPS_BACK
    _refused_cost: float = 0.0
    """What was paid for the latest that was refused."""

    def go_back(self, cost: float) -> None:
        """Stay further under what was refused the more often a row of that cost was; until one goes."""
        self._steps_back = _STEPS_BACK + (self._steps_back if cost == self._refused_cost else 0.0)
        self.cost = self._refused_cost = cost

    def refused(self, now: float, would_hold: float, deviation: float, window: float) -> None:
        """A row was refused with which the window would have held so much, give or take a *deviation*."""
        self.most = would_hold - self._steps_back * deviation
        self.until = now + min(_BACK_FOR, window / 2)

    def refused_beside(self, would_hold: float, deviation: float) -> None:
        """So was one that was under way then, with which it would have held so much."""
        self.most = min(self.most, would_hold - self._steps_back * deviation)

    def launch(self, cost: float) -> None:
        """A row goes."""
        if cost >= self.cost:
            self.cost = inf
