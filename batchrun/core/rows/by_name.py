"""Rows found by name, the 64-bit digest of workspace and id: an open-addressing table that holds ordinals alone.

It probes linearly and is made larger at seven tenths full, so that its slack costs 4 bytes a slot and not 12: the names stand once, in an
array by ordinal.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Self

_FIRST_SLOTS = 1024


class ByName:
    """Rows, numbered as they come. Several may have one name: the first is found."""

    def __init__(self) -> None:
        self.names = array("Q")
        """By ordinal."""
        self.expected = 0
        """Rows that there may be in all, where somebody can tell: the table then grows fewer times."""
        self._table = _numbers(_FIRST_SLOTS)
        self._room = _FIRST_SLOTS * 7 // 10

    @classmethod
    def of(cls, names: array[int]) -> Self:
        """Find those that have these *names*; the table is made when something is looked up."""
        found = cls()
        found.names, found._room = names, -1
        return found

    @property
    def table_bytes(self) -> int:
        """Of memory, beside the names."""
        return len(self._table) * self._table.itemsize

    def put(self, name: int) -> int | None:
        """Note the next row; where its name is taken it is not noted, and the ordinal of the row that has it is given."""
        table, names = self._table, self.names
        slots = len(table)
        slot = name % slots
        while held := table[slot]:
            if names[held - 1] == name:
                return held - 1
            slot = slot + 1 if slot + 1 < slots else 0
        table[slot] = len(names) + 1
        self.append(name)
        return None

    def append(self, name: int) -> None:
        """Note the next row under a name that another has: no look-up finds it."""
        self.names.append(name)
        if len(self.names) > self._room:
            self._grow()

    def extend(self, named: array[int]) -> int:
        """Note rows as `put` does each, up to the first whose name is taken; how many were noted."""
        names, first = self.names, len(self.names)
        while first + len(named) > self._room:
            self._grow(len(named))
        names += named
        table = self._table
        slots = len(table)
        for ordinal, name in enumerate(named, first + 1):
            slot = name % slots
            while (held := table[slot]) and names[held - 1] != name:
                slot = slot + 1 if slot + 1 < slots else 0
            if held:
                del names[ordinal - 1 :]
                break
            table[slot] = ordinal
        return len(names) - first

    def find(self, name: int) -> int | None:
        """Ordinal of the first row with this name, or None."""
        if len(self.names) > self._room:
            self._grow()
        table, names = self._table, self.names
        slots = len(table)
        slot = name % slots
        while held := table[slot]:
            if names[held - 1] == name:
                return held - 1
            slot = slot + 1 if slot + 1 < slots else 0
        return None

    def _grow(self, more: int = 0) -> None:
        """Make the table anew, with room for half as many rows again and some *more*, or for those that are expected."""
        rows = len(self.names) + more
        self._room = max(rows * 3 // 2, min(self.expected, rows * 4))
        # The old one first: it is made of the names alone.
        del self._table
        self._table = _numbers(self._room * 10 // 7 + 1)
        _fill(self._table, self.names)


def _fill(table: array[int], names: Iterable[int]) -> None:
    slots = len(table)
    for held, name in enumerate(names, 1):
        slot = name % slots
        while table[slot]:
            slot = slot + 1 if slot + 1 < slots else 0
        # A twin comes to lie behind the row it shares its digest with: no look-up gets that far.
        table[slot] = held


def _numbers(count: int) -> array[int]:
    return array("I", [0]) * count
