"""Rows of one lane sought by name, many at a time, about in the order in which they stand: so their answers lie in an output file.

Theory of operation. Whoever has found some rows looks for the next ones among those that follow, and among those that were passed by a
little before: a dictionary of a few thousand names moves along the lane. That spares a table of all rows, which is dear to make and lies
all over the memory. What is not found there is for the table after all; where the next ones stand is told by the middle one of those that
were found last, so that a row that comes out of its turn leads nowhere.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from itertools import repeat

_AHEAD = 2048
"""Rows beyond those that were found last that are known, and before them."""


class Nearby:
    """Where in a lane its rows were found last, and what stands there."""

    def __init__(self, names: array[int], ordinals: array[int]) -> None:
        """*names* are those of all rows, by ordinal; *ordinals* the lane's."""
        self._names = names
        self._ordinals = ordinals
        self._reached = 0
        """Place of those that were found last, among the lane's."""
        self._known: dict[int, int] = {}
        """Ordinals of rows that stand around it, and were not found yet, by name."""
        self._to = 0
        """The place up to which they are known, or were."""

    def find(self, names: Sequence[int]) -> list[int | None]:
        """Give the ordinal of each that stands nearby; None where one does not, or was found before."""
        self._know(self._reached + len(names) + _AHEAD)
        found = [*map(self._known.pop, names, repeat(None))]
        told = sorted([ordinal for ordinal in found if ordinal is not None])
        if told:
            self._reached = bisect_left(self._ordinals, told[len(told) // 2])
        return found

    def reach(self, ordinal: int) -> None:
        """Look around a row of the lane from now on: none of those that were sought last stood nearby."""
        self._reached = bisect_left(self._ordinals, ordinal)

    def _know(self, to: int) -> None:
        ordinals, names, begin = self._ordinals, self._names, max(0, self._reached - _AHEAD)
        if not begin <= self._to <= to + _AHEAD or len(self._known) > 4 * _AHEAD:
            self._known, self._to = {}, begin
        some = ordinals[self._to : to]
        self._known.update(zip([names[ordinal] for ordinal in some], some, strict=True))
        self._to = max(self._to, min(to, len(ordinals)))
