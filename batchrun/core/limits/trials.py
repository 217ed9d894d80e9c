"""When a longer window than the one that is believed in is tried, where a quota is known and nobody refuses.

Theory of operation. Who keeps to a quota in windows of six seconds is refused by no longer one either, and so never learns of it; but a
longer window has room for larger rows at once, and wastes less. Three things make the reckoning try one.

*A row that was taken though it alone is more than the window's quota* shows that the window is longer.

*Rows of which not thirty go into the window* make a longer one likely, before anything was refused: a quota is hardly made for fewer. If
later rows are smaller the window is taken back.

*Minutes without a refusal* allow a trial, which lasts two of the longer windows. If too many are refused in it, it is over, and the next
one waits twice as long, up to an hour.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from batchrun.core.classes import slotted
from batchrun.core.limits.counting import FIRST, WINDOWS
from batchrun.core.limits.room import Room
from batchrun.core.limits.witness import LARGER

_ROWS, _ROOM = 30, 0.8
"""Usual rows that a window has room for, which is taken for the one before anything was refused; and the share of the next shorter one's
quota that they come to, where the first rows were larger than most and it is taken after all."""
_CLEAN_CALLS, _CLEAN_SECONDS, _LONGEST_REST = 300, 120.0, 3600.0
"""Calls and seconds without a refusal after which a longer window is tried; and the most seconds."""
_LONGEST = len(WINDOWS) - 1
_TRIAL_WINDOWS = 2
_TRIAL_REFUSALS, _TRIAL_SHARE = 4, 0.01
"""Refusals that end a trial, and such a share of its calls more."""


class Try(NamedTuple):
    """Another window."""

    rung: int
    is_trial: bool = False
    """It is given up if it is refused."""


@slotted
class Trials:
    """What speaks for a longer window."""

    room: Room
    largest: float = 0.0
    """What the costliest row that was taken did cost."""
    _refused: bool = False
    """Anything, ever."""
    _is_for_rows: bool = False
    """The window is longer than the shortest because usual rows seemed to need it, and for nothing else."""
    _clean_since: float = 0.0
    _clean_calls: int = 0
    _rest: float = _CLEAN_SECONDS
    _until: float = -math.inf
    _calls: int = 0
    _refusals: int = 0
    """Of the latest trial, until the latest refusal."""

    def begin(self, now: float, *, is_trial: bool) -> None:
        """Another window is counted over from now on."""
        self._clean_calls, self._until = 0, -math.inf
        if is_trial:
            self._until = now + _TRIAL_WINDOWS * self.room.counting.window
            self._calls = self._refusals = 0

    def took(self, now: float, quota: float, cost: float) -> Try | None:
        """A row was taken; whether to go on with another window, where *quota* is that of the one in use."""
        if self._clean_calls == 0:
            self._clean_since = now
        self._clean_calls += 1
        counting = self.room.counting
        rung = counting.rung + 1
        if self._is_for_rows and not self._refused and self._has_room(quota, counting.rung):
            self._is_for_rows = counting.rung - 1 > FIRST
            return Try(counting.rung - 1)
        if counting.at_end or rung > _LONGEST:
            return None
        if cost > LARGER * quota:
            self._is_for_rows = False
            return Try(rung)
        if not self._refused and _ROWS * (self.room.guesses.usual or 0.0) > quota:
            self._is_for_rows = True
            return Try(rung)
        if self._clean_calls >= _CLEAN_CALLS and now - self._clean_since >= self._rest:
            self._is_for_rows = False
            return Try(rung, is_trial=True)
        return None

    def _has_room(self, quota: float, rung: int) -> bool:
        """Whether usual rows have room in the next shorter window, of which the quota is less than *quota*, and the largest has, too."""
        shorter = quota * WINDOWS[rung - 1] / self.room.counting.window
        return _ROWS * self.room.usual <= _ROOM * shorter and self.largest <= LARGER * shorter

    def refused(self, now: float) -> Try | None:
        """A row was refused; whether to go back to the window before."""
        self._refused = True
        self._calls += self._clean_calls
        self._clean_calls = 0
        if now >= self._until:
            return None
        self._refusals += 1
        if self._refusals < _TRIAL_REFUSALS + _TRIAL_SHARE * self._calls:
            return None
        self._rest = min(_LONGEST_REST, 2 * self._rest)
        return Try(self.room.counting.rung - 1)

    def refused_too(self) -> None:
        """A row was refused that was under way at another refusal."""
        self._refusals += 1
