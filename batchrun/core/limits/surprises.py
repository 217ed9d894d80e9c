"""What refusals say at once of a window that is shorter than the one believed in, where the quota is known.

Theory of operation. Whoever believes in a longer window than the provider counts over sends too much at once, and is refused until the
witness has seen enough of it (`witness.py`), which waits until what was under way is known. But most often that need not be known. A row
that is refused while even the most that may have gone, guesses and all, fills neither the window that is believed in nor any longer one
can only be refused by a shorter one: by one that may have been full. After three such refusals in a row, at different moments, the longest
of those that may have been full at each of them is the window.

Where none may have been full somebody else uses the quota, or it is lower: that is no window's doing.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt

from batchrun.core.limits.counting import WINDOWS
from batchrun.core.limits.room import Room
from batchrun.core.limits.witness import APART, Refusal, least_rung

_IN_A_ROW = 3
_AT_MOST = 4.0
"""Deviations above what is expected of what went that may be what it costs."""
_FULL = 0.99


@dataclass(slots=True)
class Surprises:
    """Refusals that the window believed in cannot explain."""

    room: Room
    _in_a_row: int = 0
    _rung: int = len(WINDOWS)
    """The longest window that may have been full at all of them."""
    _latest: float = -inf
    """When the latest that was looked at was launched."""

    def forget(self) -> None:
        """Begin anew: another window is believed in."""
        self._in_a_row, self._rung = 0, len(WINDOWS)

    def refused(self, refusal: Refusal, largest: float) -> int | None:
        """A row was refused; the window to count over from now on, which the *largest* row goes into, or None where it stays."""
        at, counting = refusal.launched_at, self.room.counting
        if counting.counts_answers or at - self._latest < APART:
            return None
        self._latest = at
        full = [place for place, seconds in enumerate(WINDOWS) if self._may_be_full(refusal, seconds)]
        if not full or full[-1] >= counting.rung:
            self.forget()
            return None
        self._in_a_row, self._rung = self._in_a_row + 1, min(self._rung, full[-1])
        if self._in_a_row < _IN_A_ROW or self._rung < least_rung(refusal.rate, largest):
            return None
        return self._rung

    def _may_be_full(self, refusal: Refusal, seconds: float) -> bool:
        known, guessed, variance = self.room.went.amount(refusal.launched_at, seconds)
        return known + guessed + _AT_MOST * sqrt(variance) + refusal.cost >= _FULL * refusal.rate * seconds
