"""How a provider counts where the quota is to be found: which short window was full at refusals, and whether of calls or of answers.

Theory of operation. Where the quota is not known, "full" has no meaning, but "fuller than it usually is" has one. A window is full when a
row is refused, so at refusals it holds more than at nearly all other times; others hold more only by chance, and the less, the more they
differ from it. So at each refusal it is counted how many of the moments in the seconds before each window was less full at. In the window
that the provider counts over it is nearly all of them; in another it is half of them, and some more.

Of answers it is asked in the same way whether they are counted: is the window fuller of them, at refusals, than of calls that went? There
only moments count at which a row was taken: answers that are under way may fill a window to more than it has room for. And those after the
refusal count as well as those before: else it would seem fuller of whatever grows.

Rows that are far dearer than usual say little: they are refused by a window that is not full either.

It takes a few refusals, and a clear difference, to believe in something else. A minute's window is told otherwise (`windows.py`), and so
are answers at the start of a run, of which it is known when nothing but them can have filled a window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from itertools import accumulate

from batchrun.core.classes import slotted
from batchrun.core.limits.counting import FIRST, WINDOWS
from batchrun.core.limits.room import Room
from batchrun.core.limits.tape import Tape
from batchrun.core.limits.witness import Refusal, least_rung

_SHORT = WINDOWS[: FIRST + 1]
_PARTS = 8
"""Of a second: how closely it is looked at."""
_SECONDS = range(1, 16)
"""Before a refusal: what it is compared with."""
_BEFORE = [_PARTS * second for second in _SECONDS]
_DEAR = 3.0
"""Usual rows that are too dear to say much."""
_FORGETS = 0.1
"""Of what refusals showed, at each further one."""
_LOOKS, _FULLER, _CLEARLY = 5.0, 0.8, 0.15
"""Refusals that a verdict needs; of the moments, how many a window was fuller than in the mean, and how many more than the one in use."""


@slotted
class Fuller:
    """Of the latest refusals: how much fuller than usual windows were."""

    room: Room
    _looks: float = 0.0
    _short: list[float] = field(default_factory=lambda: [0.0] * len(_SHORT))
    _went: float = 0.0
    """The one that is believed in, than when rows were taken."""
    _answers: float = 0.0
    """The same, of answers."""

    def forget(self) -> None:
        """Begin anew: another window is believed in."""
        self._looks = self._went = self._answers = 0.0
        self._short = [0.0] * len(_SHORT)

    def look_at(self, refusal: Refusal, largest: float, now: float) -> int | None:
        """Note by *now* how full windows were at a refusal, and in what is believed, whether answers are counted.

        Return the short window to go on with, into which the *largest* row goes, if it is another.
        """
        room, counting, at = self.room, self.room.counting, refusal.launched_at
        after = min(_BEFORE[-1], max(0, int((now - at) * _PARTS)))
        end, window = at + after / _PARTS, [counting.window]
        taken = _taken(room.went, end, after)
        if refusal.mean > _DEAR * room.usual or not taken:
            return None
        for place, fuller in enumerate(_fuller(room.went, at, _BEFORE, _SHORT)):
            self._short[place] += fuller - _FORGETS * self._short[place]
        self._went += _fuller(room.went, end, taken, window, after)[0] - _FORGETS * self._went
        self._answers += _fuller(room.ended, end, taken, window, after)[0] - _FORGETS * self._answers
        self._looks += 1.0 - _FORGETS * self._looks
        if self._looks < _LOOKS:
            return None
        counting.at_end = self._are_answers(they_are=counting.at_end)
        counting.go_ahead(may=not counting.at_end)
        if counting.at_end or counting.rung > FIRST:
            return None
        return self._another(counting.rung, least_rung(refusal.rate, largest))

    def _are_answers(self, *, they_are: bool) -> bool:
        """Whether answers are counted, by how much fuller of them the window was than of what went."""
        fuller, more = self._answers / self._looks, (self._answers - self._went) / self._looks
        return more > -_CLEARLY if they_are else more >= _CLEARLY and fuller >= _FULLER

    def _another(self, rung: int, least: int) -> int | None:
        fuller = [each / self._looks for each in self._short]
        best = max(range(min(least, FIRST), len(_SHORT)), key=fuller.__getitem__)
        return best if fuller[best] >= _FULLER and fuller[best] >= fuller[rung] + _CLEARLY else None


def _taken(went: Tape, end: float, after: int) -> list[int]:
    """In each of the seconds before and after a refusal: how many parts of one before *end* a row was taken, if any was.

    The refusal was so many parts before *end*.
    """
    course = went.course(end, after + _PARTS * (_SECONDS[-1] + 1), _PARTS)
    seconds = [after + before for before in _BEFORE] + [after - before for before in _BEFORE if before <= after]
    firsts = (next((part for part in range(first, first + _PARTS) if course[part] >= 1.0), None) for first in seconds)
    return [part + 1 for part in firsts if part is not None and part + 1 != after]


def _fuller(tape: Tape, end: float, moments: Sequence[int], windows: Sequence[float], refusal: int = 0) -> list[float]:
    """At how many of the *moments* each of the *windows* was less full than at the *refusal*; all are so many parts before *end*."""
    until = [0.0, *accumulate(tape.course(end, max(*moments, refusal) + round(_PARTS * max(windows)), _PARTS))]
    held = [[until[moment + round(_PARTS * seconds)] - until[moment] for moment in (refusal, *moments)] for seconds in windows]
    return [sum(amount < at_refusal for amount in others) / len(others) for at_refusal, *others in held]
