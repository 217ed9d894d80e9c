"""Small numbers by 64-bit digest, in 12 bytes a slot: what a pass over millions of rows can afford to remember of each.

Open addressing with linear probing, doubled at two thirds full, so 18 to 36 bytes a digest. Nothing is ever taken out: a number is
overwritten. A digest of 0 is kept as 1.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator

_SMALLEST = 1024


class Digests:
    """A number for each digest; numbers are 0 to 2**32 - 1."""

    def __init__(self) -> None:
        self._keys = array("Q", bytes(8 * _SMALLEST))
        self._numbers = array("I", bytes(4 * _SMALLEST))
        self._held = 0

    def __len__(self) -> int:
        return self._held

    def get(self, digest: int) -> int | None:
        """The number of *digest*; None where there is none."""
        place = self._place(digest or 1)
        return self._numbers[place] if self._keys[place] else None

    def put(self, digest: int, number: int) -> None:
        """Give *digest* its number."""
        place = self._place(digest or 1)
        if not self._keys[place]:
            self._keys[place] = digest or 1
            self._held += 1
        self._numbers[place] = number
        if 3 * self._held > 2 * len(self._keys):
            self._double()

    def items(self) -> Iterator[tuple[int, int]]:
        """Give each digest and its number."""
        return ((digest, number) for digest, number in zip(self._keys, self._numbers, strict=True) if digest)

    def _place(self, digest: int) -> int:
        keys, mask = self._keys, len(self._keys) - 1
        place = digest & mask
        while (found := keys[place]) and found != digest:
            place = (place + 1) & mask
        return place

    def _double(self) -> None:
        keys, numbers = self._keys, self._numbers
        self._keys = array("Q", bytes(16 * len(keys)))
        self._numbers = array("I", bytes(8 * len(keys)))
        for digest, number in zip(keys, numbers, strict=True):
            if digest:
                place = self._place(digest)
                self._keys[place], self._numbers[place] = digest, number
