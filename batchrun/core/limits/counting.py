"""How a provider is taken to count tokens: over how many seconds, and whether when a call comes in or when its answer ends.

Providers do not say. Windows of one second, six and a minute were seen, and two ways of counting: most count a call when they admit it;
some count an answer's tokens when it ends, and then take any call as long as a single token is left.

What is believed stands here, in one place, for all who need it: the room in the window (`room.py`) asks it at every call; what refusals
show (`witness.py`, `trials.py`) changes it.
"""

from __future__ import annotations

from batchrun.core.classes import slotted

WINDOWS = (1.0, 2.0, 6.0, 20.0, 60.0)
"""Seconds; what lies between two is served as the shorter."""
FIRST = 2
"""The place of the one that is begun with: six seconds, the shortest that was seen of tokens."""
_AHEAD = 0.2
"""How much faster than the quota rows may go for a while."""
_MADE_UP_FOR, _LEAST_MADE_UP_FOR_AT_END = 0.25, 3.0
"""Of a window, and seconds: the longest wait for room in it that is made up for."""
_TOLD_MADE_UP_FOR = 0.1
"""Of a window, where the quota was found: what goes all at once is all refused, if it was found too high."""


@slotted
class Counting:
    """What is believed of one quota."""

    told: bool = False
    """The window is told, by who looks for the quota itself; otherwise the quota is known, and refusals show the window."""
    rung: int = FIRST
    """The window's place among `WINDOWS`."""
    window: float = WINDOWS[FIRST]
    """Seconds."""
    at_end: bool = False
    """An answer is counted when it ends, and not before."""
    is_shown: bool = False
    """A row was taken that goes into no shorter window than is told."""
    ahead: float = 0.0
    """How much faster than the quota rows may go for a while, since the window alone holds them to it. The time that a large row's wait
    for room cost is made up for by it."""

    @property
    def makes_up_for(self) -> float:
        """The longest wait for room, in seconds, that may be made up for."""
        if self.at_end:
            return max(_LEAST_MADE_UP_FOR_AT_END, self.window)
        return (_TOLD_MADE_UP_FOR if self.told else _MADE_UP_FOR) * self.window

    def over(self, rung: int) -> None:
        """Believe in another window, of which nothing was shown yet."""
        self.rung, self.window = rung, WINDOWS[rung]
        self.ahead = 0.0

    def go_ahead(self, *, may: bool) -> None:
        """Let rows go faster than the quota for a while: not in a short window of a quota that is to be found, unless that is shown.

        A provider that counts over a shorter one is kept to by the rate alone.
        """
        self.ahead = _AHEAD if may and (self.rung > FIRST or not self.told or self.is_shown) else 0.0
