"""How many refusals it takes until sending stops for a while.

Theory of operation. One refusal may be chance: a call that came a little early, a large row, somebody else's peak, a provider's mishap.
Two countings tell chance from a window that is full.

*In a row*: refused attempts, each launched right after the refusal before it; under a known quota of tokens, each the next to be launched
after it, however long it waited for room. How many of them it takes depends on what is known. Where a
rate was found, two are a climb's end. Where a quota is known, six: the rate is right, and chance makes a few. Where nothing is known,
three. Rows that differ in what they cost, three: one that is dearer than was expected may be refused twice.

*Of the latest*: where nothing is known, attempts go out by the dozen before the first refusal is back, and then are refused all together:
a row of them says as little as one. So it takes half of the latest attempts too. Complaints of growth are counted only so: who limits
growth refuses all that comes until its period ends, and fewer complaints than half come whatever the growth, and slow nothing.
"""

from __future__ import annotations

import math

from batchrun.core.classes import slotted
from batchrun.core.limits.refusals import About

COLD_PATIENCE, CAPACITY_PATIENCE = 3, 8
"""Refusals in a row that begin a pause: where nothing was found yet, or rows differ in what they cost; and where capacity is wanting, for
slots are taken away first."""
_PATIENCE, _KNOWN_PATIENCE = 2, 6
"""The same where a rate was found, which may be a climb's end, and where one is known, which may be chance."""
_GROWTH_PATIENCE = 8
"""The same of growth, not in a row but of the latest."""
LATEST, _LATEST_SHARE = 20.0, 0.5
"""How many attempts are the latest, and how many of them are refused where a window is full."""
_ROWS_OF_NOISE = 40
"""More of them, for each one that is refused whatever the rate."""
_WITHIN, _LEAST_WITHIN, _MOST_WITHIN, _WITHIN_LEARNS = 0.3, 0.1, 5.0, 0.2
"""Seconds until a refusal comes back: taken for usual before the first, at the least, and at the most; and what each teaches of it."""
_IN_A_ROW, _IN_A_ROW_GAPS = 0.02, 2.5
"""A refused attempt was launched right after the refusal before it: within so many seconds, or so many usual gaps."""


def patience(*, is_found: bool, is_known: bool, noise: float) -> int:
    """Refusals in a row that begin a pause, where such a share of attempts is refused whatever the rate."""
    if is_found:
        return _PATIENCE + more_in_a_row(noise)
    return _KNOWN_PATIENCE if is_known else COLD_PATIENCE


def more_in_a_row(noise: float) -> int:
    """How many more it takes, where such a share of attempts is refused whatever the rate."""
    return math.ceil(_ROWS_OF_NOISE * noise)


@slotted
class Strikes:
    """What was refused of late."""

    in_a_row: int = 0
    within: float = _WITHIN
    """Seconds until a refusal comes back, as a rule."""
    tried: float = 0.0
    _shut_out: float = 0.0
    """Of the latest attempts: how many were made, and refused."""

    def fade(self) -> None:
        """More than the latest were made."""
        self.tried, self._shut_out = self.tried / 2, self._shut_out / 2

    def refused(self, within: float) -> None:
        """An attempt was refused, *within* so many seconds."""
        self._shut_out += 1.0
        self.within += _WITHIN_LEARNS * (min(_MOST_WITHIN, max(_LEAST_WITHIN, within)) - self.within)

    def add(self, apart: float, gap: float, *, is_next: bool = False) -> None:
        """Count a refusal whose attempt was launched *apart* seconds after the one before it; usual attempts are *gap* seconds apart.

        Where it *is next*, nothing was launched between.
        """
        self.in_a_row = self.in_a_row + 1 if is_next or apart <= max(_IN_A_ROW, _IN_A_ROW_GAPS * gap) else 1

    def is_shut(self, subject: About, *, is_cold: bool) -> bool:
        """Whether most of the latest attempts were refused, and nothing is known: no more need be sent for it to show.

        Growth is slowed by then whatever is known.
        """
        if subject is About.GROWTH:
            return self._shut_out >= max(_GROWTH_PATIENCE, _LATEST_SHARE * self.tried)
        least = max(COLD_PATIENCE, _LATEST_SHARE * self.tried)
        return is_cold and subject is not About.CAPACITY and self._shut_out >= least

    def forget(self) -> None:
        """Begin anew."""
        self.in_a_row = 0
        self.tried = self._shut_out = 0.0
