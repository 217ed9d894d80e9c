"""The rate that was found: how long it is held, and how it climbs after.

Theory of operation. A rate that was found is right now; the quota may rise later, and nobody says when. So the rate is *held* for a
while, and then it *climbs*, until a refusal ends the climb: a look at whether the quota is where it was. Each look costs a refusal, so
holds are long enough that these are few among the attempts.

A climb has two parts. The first is a step of a few percent, kept up for one window: if the quota is where it was, that fills the window,
and is refused. If it is not refused the quota has risen, and the rest goes by the third power of the time, slowly at first and then ever
faster: after 21 seconds the rate is twice what it was, so that a quota twice as high is found within three minutes of its rise.

It goes on only while the rate is used (`use.py`). Where a higher quota is known, a climb that reaches it is over, and that one holds again.
"""

from __future__ import annotations

import math
from dataclasses import field
from math import inf

from batchrun.core.classes import slotted
from batchrun.core.limits.noise import Noise
from batchrun.core.limits.use import NEVER_LONGER, Use
from batchrun.core.limits.windows import Windows

_STEP, _CUBE = 0.045, 1e-4
"""A climb's share of the held rate: of its step, and of the cube of the seconds after it."""
_STEPS, _LONGEST_STEP = 0.1, 1.0
"""Seconds between two looks at the climb, and what it goes on by at the most where nobody looked for longer; or the time between two usual
attempts, if that is longer: at a slow rate there are no more looks."""


@slotted
class Climb:
    """Of one pace; told the time. Rates are units a second."""

    quota: float = inf
    """Known; infinity where it is to be found."""
    use: Use = field(default_factory=Use)
    noise: Noise = field(default_factory=Noise)
    windows: Windows = field(init=False)
    held: float = inf
    """Infinity where nothing was refused yet, and where a known quota holds again."""
    until: float = -math.inf
    """Until then it is held."""
    _climbed: float = 0.0
    """Seconds."""
    _looked_at: float = -math.inf

    def __post_init__(self) -> None:
        self.windows = Windows(self.use)

    @property
    def is_cold(self) -> bool:
        """Whether nothing is known and nothing was found."""
        return self.held == self.quota == inf

    def rate(self, now: float) -> float:
        """The rate at *now*; infinity where none was found. Who asks takes the climb on."""
        return self.held if self.held == inf or now < self.until else self._climb(now)

    def counted(self, now: float) -> float:
        """The rate that the provider is taken to count by."""
        return min(self.quota, self.rate(now))

    def before(self, seconds: float) -> float:
        """The rate so many seconds of climbing ago."""
        return self._at(max(0.0, self._climbed - seconds))

    def hold(self, now: float, rate: float) -> None:
        """Hold a rate from now on, within bounds; for how long is up to who calls."""
        self.noise.begin_hold(rate)
        self.held = min(max(rate, self.use.typical / NEVER_LONGER), self.quota)
        self._looked_at, self._climbed = now, 0.0
        self.use.begin(self.held)

    def learnt(self) -> dict[str, float]:
        """Return what was found, to be kept."""
        return {"rate": self.held, "window": self.windows.window} if self.held < inf else {}

    def _climb(self, now: float) -> float:
        self.noise.end_hold()
        passed = now - max(self._looked_at, self.until)
        if passed > _STEPS:
            rate = self._at(self._climbed)
            if self.use.keeps_up(now, rate):
                self._climbed += min(passed, max(_LONGEST_STEP, self.use.typical / rate))
            self._looked_at = now
        rate = self._at(self._climbed)
        if rate >= self.quota:
            self.held = rate = inf
        return rate

    def _at(self, climbed: float) -> float:
        if not climbed:
            return self.held
        return self.held * (1.0 + _STEP + _CUBE * max(0.0, climbed - self.windows.window) ** 3)
