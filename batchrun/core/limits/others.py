"""Refusals of a known quota that nothing that was sent explains: somebody else uses it too, or it is lower than the job says.

Theory of operation. A row is refused because a window is full. If what went in it and what may be under way at the most, with the row that
was refused, fill no window that there may be, and neither do answers, then others have filled it: other processes, other users of the
account. No margin and no other window mends that. Once it was so at several refusals in a row, at different moments, this is how it is,
and what is left of the quota is to be found as one of which nothing is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt

from batchrun.core.limits.counting import WINDOWS
from batchrun.core.limits.room import Room
from batchrun.core.limits.witness import APART, Refusal

_IN_A_ROW = 3
_AT_MOST = 4.0
"""Deviations above what is expected of what went that may be what it costs."""
_FULL = 0.95
"""Of a window's quota: others may use as much as is left of it without being noticed."""
_LATE = 0.05
"""Seconds that what left a window lately may still have been counted in it."""


@dataclass(slots=True)
class Others:
    """What speaks for them, in one quota."""

    room: Room
    _in_a_row: int = 0
    _latest: float = -inf
    """When the latest that was looked at was launched."""

    @property
    def use_it(self) -> bool:
        """Whether the latest refusals were theirs."""
        return self._in_a_row >= _IN_A_ROW

    def refused(self, refusal: Refusal) -> None:
        """A row was refused."""
        if refusal.launched_at - self._latest >= APART:
            self._latest = refusal.launched_at
            self._in_a_row = 0 if any(self._may_be_full(refusal, seconds) for seconds in WINDOWS) else self._in_a_row + 1

    def _may_be_full(self, refusal: Refusal, seconds: float) -> bool:
        at, ended_at, rate, cost, _ = refusal
        known, guessed, variance = self.room.went.amount(at, seconds + _LATE)
        most = known + guessed + _AT_MOST * sqrt(variance) + cost
        return max(most, self.room.ended.sum(ended_at, seconds + ended_at - at)) >= _FULL * rate * seconds
