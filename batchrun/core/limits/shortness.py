"""Which of the short windows a provider counts over, where the quota is to be found: the one that stood fuller than usual at refusals.

Theory of operation. Where the quota is not known, "full" has no meaning, but "fuller than it usually is" has one. A window is full when a
row is refused, so at refusals it holds more than at nearly all other times; others hold more only by chance, and the less, the more they
differ from it. So at each refusal it is counted how many of the moments in the seconds before each window was less full at. In the window
that the provider counts over it is nearly all of them; in another it is half of them, and some more.

Rows that are far dearer than usual say little: they are refused by a window that is not full either.

It takes a few refusals, and a clear difference, to believe in another window. A minute's window is told otherwise (`windows.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate

from batchrun.core.limits.counting import FIRST, WINDOWS
from batchrun.core.limits.room import Room
from batchrun.core.limits.witness import Refusal, least_rung

_SHORT = WINDOWS[: FIRST + 1]
_PARTS = 8
"""Of a second: how closely it is looked at."""
_LATEST, _EVERY, _MOMENTS = 1.0, 1.0, 15
"""Seconds before a refusal: the latest moment that it is compared with, and how far these are apart; and how many there are."""
_DEAR = 3.0
"""Usual rows that are too dear to say much."""
_FORGETS = 0.1
"""Of what refusals showed, at each further one."""
_LOOKS, _FULLER, _CLEARLY = 5.0, 0.8, 0.15
"""Refusals that a verdict needs; of the moments, how many a window was fuller than in the mean, and how many more than the one in use."""


@dataclass(slots=True)
class Shortness:
    """Of the latest refusals: how much fuller than usual each short window was."""

    room: Room
    _looks: float = 0.0
    _fuller: list[float] = field(default_factory=lambda: [0.0] * len(_SHORT))

    def forget(self) -> None:
        """Begin anew: another window is believed in."""
        self._looks, self._fuller = 0.0, [0.0] * len(_SHORT)

    def look_at(self, refusal: Refusal, largest: float) -> int | None:
        """Note how full the windows were at a refusal; the one to go on with, into which the *largest* row goes, if it is another."""
        room = self.room
        if room.counting.rung > FIRST or room.counting.at_end or refusal.mean > _DEAR * room.usual:
            return None
        self._looks += 1.0 - _FORGETS * self._looks
        moments = [round(_PARTS * (_LATEST + _EVERY * place)) for place in range(_MOMENTS)]
        until = [0.0, *accumulate(room.went.course(refusal.launched_at, moments[-1] + round(_PARTS * _SHORT[-1]), _PARTS))]
        for place, seconds in enumerate(_SHORT):
            parts = round(_PARTS * seconds)
            fuller = sum(until[parts] > until[moment + parts] - until[moment] for moment in moments) / _MOMENTS
            self._fuller[place] += fuller - _FORGETS * self._fuller[place]
        return self._verdict(room.counting.rung, least_rung(refusal.rate, largest))

    def _verdict(self, rung: int, least: int) -> int | None:
        if self._looks < _LOOKS:
            return None
        fuller = [each / self._looks for each in self._fuller]
        best = max(range(min(least, FIRST), len(_SHORT)), key=fuller.__getitem__)
        return best if fuller[best] >= _FULLER and fuller[best] >= fuller[rung] + _CLEARLY else None
