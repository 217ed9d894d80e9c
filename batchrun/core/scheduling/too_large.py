"""Rows that are larger than what others leave of a quota of tokens: they step aside, and are tried now and then, while smaller ones go on.

Theory of operation. A row that is refused is the next to go, and a large one finds room once its pool's window is nearly empty. Where
others use the quota too, or a window holds less than the row, it never is: the row is refused again and again, and all that waits behind it
stands still. So a row that is much larger than usual and was refused several times in a row is *too large*, and so is all that is expected
to cost as much. They go to their lane's heap of retries, and after a pause one of them is tried. A try empties the window first, and takes
that time from all others: so the pause is twice as long each time, as long as others are answered meanwhile. The row that was refused goes
behind the others, of which it may have been the largest. Once a row as large was taken nothing is too large any more.
"""

from __future__ import annotations

import math

from batchrun.core.classes import slotted

_REFUSED, _TIMES = 3, 2.0
"""A row is too large that was refused so often in a row, if it is so many times as large as a usual one."""
_FIRST, _LONGEST = 10.0, 300.0
"""Seconds before one of them is tried again."""
MOST = 1_000
"""Rows of a lane that step aside at once: where they are more the lane waits with them."""


@slotted
class Refused:
    """The latest row of a lane that was refused for its tokens."""

    ordinal: int = -1
    times: int = 0
    """In a row."""

    def again(self, ordinal: int) -> int:
        """Count a refusal of this row; how many of it came in a row."""
        self.times = self.times + 1 if ordinal == self.ordinal else 1
        self.ordinal = ordinal
        return self.times


@slotted
class TooLarge:
    """Of one pool; told the time. Costs are what is expected, in tokens."""

    cost: float = math.inf
    """What costs as much, or more, is too large."""
    until: float = -math.inf
    """When one of them may be tried."""
    _pause: float = 0.0
    _refused_at: float = -math.inf

    def refused(self, now: float, cost: float, usual: float, times: int, answered_at: float) -> bool:
        """Take note that a row was refused, so many *times* in a row, and when others were last *answered*; say whether it is too large."""
        if cost < self.cost and (times < _REFUSED or cost < _TIMES * usual):
            return False
        self.cost = min(self.cost, cost)
        self._pause = min(_LONGEST, 2 * self._pause) if self._pause and answered_at > self._refused_at else _FIRST
        self._refused_at, self.until = now, now + self._pause
        return True

    def forget(self) -> None:
        """A row as large was taken."""
        self.cost, self.until, self._pause = math.inf, -math.inf, 0.0

    @property
    def again_at(self) -> float:
        """When the one that was refused is tried again: after the others."""
        return self.until + self._pause
