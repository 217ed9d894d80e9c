"""How much of a window is kept free because what is under way is only guessed.

Theory of operation. Of rows that are under way it is known what was expected of them, and by how much such rows are usually off: together
a standard deviation. So many of these are kept free as it takes to be refused rarely, and how many that is, is learnt: each refusal
widens it by 15 %, each row that was taken narrows it by a little, so that it stands still where 0.42 % are refused.

Where answers are counted when they end it is usual rows and not deviations that are kept free, and the balance is another.
"""

from __future__ import annotations

from batchrun.core.classes import slotted
from batchrun.core.limits.counting import WINDOWS, Counting

LEAST, MOST = 0.25, 8.0
FIRST = 2.0
_ENOUGH = 4.0
"""However many were under way when one was refused."""
_WIDER, _NARROWER = 1.15, 1.15**-0.0042
_WIDER_AT_END, _WIDER_STILL_AT_END, _NARROWER_AT_END = 1.25, 1.05, 1 - 0.25 * 0.0007
"""The same where answers are counted: of a refusal, of one that was under way then, and of a row."""
_NARROWER_TOLD, _NARROWER_TOLD_MINUTE = 1.15**-0.0065, 1.15**-0.0025
"""What a row that was taken makes of it where the quota was found: in a window of a minute climbs bring refusals enough."""


@slotted
class Deviations:
    """How many standard deviations of what is under way are kept free."""

    counting: Counting
    count: float = FIRST

    def begin(self) -> None:
        """Begin anew: the provider is taken to count otherwise."""
        self.count = FIRST

    def refused(self) -> None:
        """A row was refused."""
        self.count = min(MOST, self.count * (_WIDER_AT_END if self.counting.at_end else _WIDER))

    def refused_too(self) -> None:
        """So was one that was under way then."""
        counting = self.counting
        if self.count < (MOST if counting.at_end else _ENOUGH):
            self.count *= _WIDER_STILL_AT_END if counting.at_end else _WIDER

    def explain(self) -> None:
        """The latest refusals were because all that was under way was guessed wrong, which it is no longer."""
        self.count = min(self.count, FIRST)

    def took(self) -> None:
        """A row was taken."""
        counting = self.counting
        if counting.at_end:
            self.count *= _NARROWER_AT_END
        elif not counting.told:
            self.count *= _NARROWER
        else:
            self.count *= _NARROWER_TOLD_MINUTE if counting.window == WINDOWS[-1] else _NARROWER_TOLD
        if self.count < LEAST:
            self.count = LEAST
