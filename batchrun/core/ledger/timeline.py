"""Counts over time in bounded memory: buckets that widen as the run lengthens, so that a minute and a month are both told in a few hundred.

Every width divides the next, and buckets begin at multiples of their width, so that widening only adds neighbours up: what is told is
exact, whatever order the moments came in.
"""

from __future__ import annotations

from collections.abc import Hashable

WIDTHS = (1, 2, 10, 30, 60, 120, 600, 1800, 3600, 7200, 21_600, 43_200, 86_400)
"""Seconds, each a multiple of the one before; beyond the last they double."""
_EARLIEST, _LATEST = 1e9, 1e10
"""Wall times (2001, 2286) outside which a clock was plainly wrong: one such line must not flatten the night."""


class Timeline:
    """Counts by key, all in buckets of one width: the least one in which the whole course fits *most* of them."""

    def __init__(self, most: int = 400, narrowest: int = 1) -> None:
        self.width = narrowest
        self._most = most
        self._first = self._last = -1
        self._counts: dict[Hashable, dict[int, int]] = {}

    def add(self, key: Hashable, at: float, count: int = 1) -> bool:
        """Count at a wall time; False where that is no time a run can have had, and nothing was counted."""
        bucket = self.bucket(at)
        if bucket is None:
            return False
        track = self.track(key)
        track[bucket] = track.get(bucket, 0) + count
        return True

    def track(self, key: Hashable) -> dict[int, int]:
        """The counts of *key* by bucket, for whoever counts so often that looking them up is what it costs; stays the same for good."""
        track = self._counts.get(key)
        if track is None:
            track = self._counts[key] = {}
        return track

    def bucket(self, at: float) -> int | None:
        """The bucket of a wall time, which is taken into the course; None where no run can have had it. Good until the next is asked."""
        bucket = int(at // self.width) if _EARLIEST < at < _LATEST else None
        if bucket is None or self._first <= bucket <= self._last:
            return bucket
        return self._reach(at)

    def keys(self) -> list[Hashable]:
        """What was counted, in the order it was first met."""
        return [key for key, track in self._counts.items() if track]

    def moments(self) -> list[int]:
        """The wall time at which each bucket begins, gaps included; none where nothing was counted."""
        return [bucket * self.width for bucket in range(self._first, self._last + 1)] if self._last >= 0 else []

    def counts(self, key: Hashable) -> list[int]:
        """The count of each bucket of `moments`."""
        counts = self._counts.get(key, {})
        return [counts.get(bucket, 0) for bucket in range(self._first, self._last + 1)] if self._last >= 0 else []

    def most(self, key: Hashable) -> int:
        """The count of the fullest bucket."""
        return max(self._counts.get(key, {}).values(), default=0)

    def merge(self, other: Timeline) -> None:
        """Add all that *other*, which began as narrow as this, has counted."""
        while self.width < other.width:
            self._widen()
        for key, counts in other._counts.items():
            self.track(key)
            for bucket, count in counts.items():
                self.add(key, bucket * other.width, count)

    def _reach(self, at: float) -> int:
        """Take a moment outside into the course; its bucket, once all are wide enough."""
        while True:
            bucket = int(at // self.width)
            first, last = (min(self._first, bucket), max(self._last, bucket)) if self._last >= 0 else (bucket, bucket)
            if last - first < self._most:
                self._first, self._last = first, last
                return bucket
            self._widen()

    def _widen(self) -> None:
        wider = next((width for width in WIDTHS if width > self.width and not width % self.width), self.width * 2)
        factor = wider // self.width
        for track in self._counts.values():
            merged: dict[int, int] = {}
            for bucket, count in track.items():
                merged[bucket // factor] = merged.get(bucket // factor, 0) + count
            track.clear()
            track.update(merged)
        self.width = wider
        if self._last >= 0:
            self._first, self._last = self._first // factor, self._last // factor


def plausible(at: float) -> bool:
    """Whether *at* is a wall time that a run can have had."""
    return _EARLIEST < at < _LATEST
