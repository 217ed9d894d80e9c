"""Refusals that the window believed in cannot explain, where the quota is known: a shorter window's, or somebody else's doing.

Theory of operation. A row is refused because a window is full. At a refusal it is looked up which windows may have been: those that what
went in them, what may be under way at the most, and the row that was refused fill, or answers do. That need not wait until more is known
(as the witness does, `witness.py`): what is guessed is taken at its most. Where a row was taken that does not go into a window, only
answers can have filled that one.

*Only shorter ones than is believed in.* Whoever believes in a longer window than the provider counts over sends too much at once, and is
refused until that shows. After three such refusals in a row, at different moments, the longest of those that may have been full at each of
them is the window.

*None.* Then others have filled it: other processes, other users of the account; or the quota is lower than the job says. No margin and no
other window mends that. After three such refusals in a row what is left of the quota is to be found as one of which nothing is known.
"""

from __future__ import annotations

from math import inf, sqrt

from batchrun.core.classes import slotted
from batchrun.core.limits.counting import WINDOWS
from batchrun.core.limits.room import Room
from batchrun.core.limits.witness import APART, Refusal, least_rung

_IN_A_ROW = 3
_AT_MOST = 4.0
"""Deviations above what is expected of what went that may be what it costs."""
_FULL = 0.95
"""Of a window's quota: others may use as much as is left of it without being noticed."""
_LATE = 0.05
"""Seconds that what left a window lately may still have been counted in it."""


@slotted
class Unexplained:
    """What speaks for either, in one quota."""

    room: Room
    _shorter: int = 0
    """Refusals in a row that only a shorter window explains."""
    _rung: int = len(WINDOWS)
    """The longest that may have been full at all of them."""
    _others: int = 0
    """Refusals in a row that no window explains."""
    _latest: float = -inf
    """When the latest that was looked at was launched."""

    @property
    def others_use_it(self) -> bool:
        """Whether the latest refusals were somebody else's doing."""
        return self._others >= _IN_A_ROW

    def forget(self) -> None:
        """Begin anew: another window is believed in."""
        self._shorter, self._rung = 0, len(WINDOWS)

    def refused(self, refusal: Refusal, largest: float) -> int | None:
        """A row was refused; the window to count over from now on, which the *largest* row goes into, or None where it stays."""
        at, counting = refusal.launched_at, self.room.counting
        if at - self._latest < APART:
            return None
        self._latest = at
        full = self._may_be_full(refusal, largest)
        self._others = 0 if full else self._others + 1
        if not full or full[-1] >= counting.rung or counting.at_end:
            self.forget()
            return None
        self._shorter, self._rung = self._shorter + 1, min(self._rung, full[-1])
        return self._rung if self._shorter >= _IN_A_ROW and self._rung >= least_rung(refusal.rate, largest) else None

    def explains(self, refusal: Refusal, largest: float) -> bool:
        """Whether any window may have been full then, where a row as *largest* was taken."""
        return bool(self._may_be_full(refusal, largest))

    def _may_be_full(self, refusal: Refusal, largest: float) -> list[int]:
        least = least_rung(refusal.rate, largest)
        return [
            place
            for place, seconds in enumerate(WINDOWS)
            if self._may_be_full_of_answers(refusal, seconds) or (place >= least and self._may_be_full_of_rows(refusal, seconds))
        ]

    def _may_be_full_of_rows(self, refusal: Refusal, seconds: float) -> bool:
        known, guessed, variance = self.room.went.amount(refusal.launched_at, seconds + _LATE)
        return known + guessed + _AT_MOST * sqrt(variance) + refusal.cost >= _FULL * refusal.rate * seconds

    def _may_be_full_of_answers(self, refusal: Refusal, seconds: float) -> bool:
        at, ended_at = refusal.launched_at, refusal.refused_at
        return self.room.ended.sum(ended_at, seconds + ended_at - at) >= _FULL * refusal.rate * seconds
