"""Rows that are larger than what others leave of a quota of tokens: they step aside, and are tried now and then, while smaller ones go on.

Theory of operation. A row that is refused is the next to go, and a large one finds room once its pool's window is nearly empty. Where
others use the quota too, or a window holds less than the row, it never is: the row is refused again and again, and all that waits behind it
stands still. So a row is *too large* that was refused several times in a row and is much larger than usual, or that was refused for longer
than any window takes to empty; and so is all that is expected to cost as much. They go to their lane's heap of retries, and after a pause
one of them is tried. A try empties the window first, and takes that time from all others: so the pause is twice as long each time, as long
as others are answered meanwhile. The row that was refused goes behind the others, of which it may have been the largest. Once a row as
large was taken nothing is too large any more.

A lane may have a quota of its own, that the others of its pool have not: what that has no room for is too large for it alone, whatever
rows of others are taken.
"""

from __future__ import annotations

import math

from batchrun.core.classes import slotted

_REFUSED, _TIMES = 3, 2.0
"""A row is too large that was refused so often in a row, if it is so many times as large as a usual one."""
_LONG = 90.0
"""Seconds: or if its refusals in a row go on for so long."""
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
    since: float = -math.inf
    """When the first of these came."""

    def again(self, ordinal: int, now: float) -> tuple[int, float]:
        """Count a refusal of this row; how many of it came in a row, and within how many seconds."""
        if ordinal != self.ordinal:
            self.ordinal, self.times, self.since = ordinal, 0, now
        self.times += 1
        return self.times, now - self.since


@slotted
class TooLarge:
    """Of one pool, or of a lane that has a quota of its own; told the time. Costs are what is expected, in tokens."""

    cost: float = math.inf
    """What costs as much, or more, is too large."""
    until: float = -math.inf
    """When one of them may be tried."""
    _pause: float = 0.0
    _refused_at: float = -math.inf

    def refused(self, now: float, cost: float, usual: float, in_a_row: tuple[int, float], answered_at: float) -> bool:
        """Take note that a row was refused, so often *in a row* within so many seconds, and when others were last *answered*.

        Says whether it is too large.
        """
        times, seconds = in_a_row
        if cost < self.cost and (times < _REFUSED or (cost < _TIMES * usual and seconds < _LONG)):
            return False
        self.cost = min(self.cost, cost)
        self._pause = min(_LONGEST, 2 * self._pause) if self._pause and answered_at > self._refused_at else _FIRST
        self._refused_at, self.until = now, now + self._pause
        return True

    def of(self, pools: TooLarge, *, is_own: bool) -> TooLarge:
        """What a lane of which a row was refused goes by, from this on: its *pool's*, or its own where the refusal is."""
        if is_own:
            return TooLarge() if self is pools else self
        return pools if self.cost == math.inf else self

    def forget(self) -> None:
        """A row as large was taken."""
        self.cost, self.until, self._pause = math.inf, -math.inf, 0.0

    @property
    def again_at(self) -> float:
        """When the one that was refused is tried again: after the others."""
        return self.until + self._pause
