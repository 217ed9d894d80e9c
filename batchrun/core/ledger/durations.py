"""How long things took, in bounded memory: a histogram of log-spaced buckets that any quantile is read from within 5 %.

The sketch is DDSketch's (Masson, Rim, Lee, "DDSketch", VLDB 2019): a bucket reaches to GAMMA times its beginning, so the value that stands
for it is off by (GAMMA - 1) / (GAMMA + 1) at the most, 4.8 %, whatever it holds. The least and the greatest are exact.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, log

GAMMA = 1.1
ERROR = (GAMMA - 1) / (GAMMA + 1)
"""The share by which a quantile may be off."""
_PER_BUCKET = 1 / log(GAMMA)
_LONGEST_MS = 1e9
"""Eleven days: no call takes longer, and what says so is cut to it."""


class Durations:
    """Durations in milliseconds, counted; at most 220 buckets."""

    __slots__ = ("_counts", "count", "greatest", "least")

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self.count = 0
        self.least = 0.0
        self.greatest = 0.0

    def add(self, *milliseconds: float) -> None:
        """Count each; what is below a millisecond counts as one."""
        if not milliseconds:
            return
        least, greatest = min(milliseconds), max(milliseconds)
        if not 1.0 <= least <= greatest <= _LONGEST_MS:
            milliseconds = tuple([min(max(each, 1.0), _LONGEST_MS) for each in milliseconds])
            least, greatest = min(milliseconds), max(milliseconds)
        counts = self._counts
        for bucket in map(_bucket, milliseconds):
            counts[bucket] = counts.get(bucket, 0) + 1
        self.least = min(self.least, least) if self.count else least
        self.greatest = max(self.greatest, greatest)
        self.count += len(milliseconds)

    def merge(self, other: Durations) -> None:
        """Add all that *other* has counted."""
        if not other.count:
            return
        for bucket, count in other._counts.items():
            self._counts[bucket] = self._counts.get(bucket, 0) + count
        self.least = min(self.least, other.least) if self.count else other.least
        self.greatest = max(self.greatest, other.greatest)
        self.count += other.count

    def quantile(self, share: float) -> float | None:
        """Return milliseconds that *share* of them do not exceed, within ERROR; None where nothing was counted."""
        rank, seen = share * (self.count - 1), 0
        for bucket, count in sorted(self._counts.items()):
            seen += count
            if seen > rank:
                return min(max(_middle(bucket), self.least), self.greatest)
        return None

    def buckets(self) -> list[tuple[int, int]]:
        """Give the number of each bucket that holds any, and its count; bucket n ends at GAMMA ** n milliseconds."""
        return sorted(self._counts.items())


@lru_cache(maxsize=4096)
def _bucket(milliseconds: float) -> int:
    # They are whole milliseconds nearly always: the same few thousand again and again.
    return ceil(log(milliseconds) * _PER_BUCKET)


def _middle(bucket: int) -> float:
    """The value whose distance from either end of the bucket is the same share of it."""
    return float(2 * GAMMA**bucket / (1 + GAMMA))
