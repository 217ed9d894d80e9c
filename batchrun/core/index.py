"""Where every row of the input stands, in about 40 bytes a row.

Theory of operation: rows are numbered as they come (the *ordinal*). Arrays by ordinal hold position, digest and the digest
of (workspace, id); each lane has an array of its ordinals. Rows are found by id through an open-addressing table that holds ordinals alone
(linear probing, doubled at two thirds full), so that its slack costs 4 bytes a slot and not 12.

Two ids with one 64-bit digest are so rare that only the second of them is kept by name. A look-up of an id that was never added
may be answered by such a twin (one in 10**13 at a million rows): whoever acts on it compares the row's digest too.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_FILES = 1 << 16
_OFFSET_BITS = 48
_OFFSET_MASK = (1 << _OFFSET_BITS) - 1


class Position(NamedTuple):
    """Where a line starts: the number of its file, and the byte in it."""

    file: int
    offset: int


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The id is taken, or shares its digest with another: only the line itself can tell."""

    of: int
    """Ordinal of the row that has it."""


def packed(file: int, offset: int) -> int:
    """Put a position into 64 bits: up to 65,536 files of up to 256 TiB."""
    return file << _OFFSET_BITS | offset


def id_digest(workspace: str, row_id: str) -> int:
    """64 bits of a row's name; the same id in two workspaces is two names."""
    return int.from_bytes(blake2b(f"{workspace}\0{row_id}".encode(), digest_size=8).digest(), "big")


class Index:
    """The rows of a run by ordinal, by id, and by lane in input order."""

    def __init__(self, digest_of: Callable[[str, str], int] = id_digest) -> None:
        self._digest_of = digest_of
        self._positions = array("Q")
        self._digests = array("Q")
        self._names = array("Q")
        self._table = _empty_table(1024)
        self._twins: dict[tuple[str, str], int] = {}
        self._repeats = array("I")
        self._occurrences = array("I")
        self._lanes: dict[tuple[str, str], array[int]] = {}

    def __len__(self) -> int:
        return len(self._positions)

    @property
    def lanes(self) -> Mapping[tuple[str, str], array[int]]:
        """Ordinals by (workspace, model), each lane's in input order."""
        return self._lanes

    def counts(self) -> dict[tuple[str, str], int]:
        """Rows a lane."""
        return {lane: len(ordinals) for lane, ordinals in self._lanes.items()}

    def position(self, ordinal: int) -> Position:
        """Where the row's line starts."""
        place = self._positions[ordinal]
        return Position(place >> _OFFSET_BITS, place & _OFFSET_MASK)

    def digest(self, ordinal: int) -> int:
        """The row's digest, 64 bits."""
        return self._digests[ordinal]

    def occurrence(self, ordinal: int) -> int:
        """Which one it is of the rows with the same made id: 1 for the first, and for every row that brought its own."""
        return max(_at(self._occurrences, ordinal), 1)

    def add(self, workspace: str, model: str, row_id: str, digest: int, position: int) -> int | Duplicate:
        """Note a row at a `packed` position and return its ordinal; a `Duplicate` is not noted."""
        name = self._digest_of(workspace, row_id)
        slot = self._slot(name)
        if self._table[slot]:
            return Duplicate(self._twins.get((workspace, row_id), self._table[slot] - 1))
        self._table[slot] = len(self._positions) + 1
        return self._append(workspace, model, name, digest, position)

    def add_twin(self, workspace: str, model: str, row_id: str, digest: int, position: int) -> int:
        """Note a row that `add` took for a duplicate, and whose id is another."""
        ordinal = self._append(workspace, model, self._digest_of(workspace, row_id), digest, position)
        self._twins[workspace, row_id] = ordinal
        return ordinal

    def add_made(self, workspace: str, model: str, made_id: str, digest: int, position: int) -> int:
        """Note a row without an id of its own under its made id; a repeat becomes ``made_id-2``, ``made_id-3`` and so on."""
        added = self.add(workspace, model, made_id, digest, position)
        if isinstance(added, int):
            return added
        first, occurrence = added.of, _at(self._repeats, added.of) + 1
        while isinstance(added, Duplicate):
            occurrence += 1
            added = self.add(workspace, model, occurrence_id(made_id, occurrence), digest, position)
        _put(self._repeats, first, occurrence - 1)
        _put(self._occurrences, added, occurrence)
        return added

    def find(self, workspace: str, row_id: str) -> int | None:
        """Ordinal of the row with this id, or None."""
        twin = self._twins.get((workspace, row_id)) if self._twins else None
        if twin is not None:
            return twin
        held = self._table[self._slot(self._digest_of(workspace, row_id))]
        return held - 1 if held else None

    def _append(self, workspace: str, model: str, name: int, digest: int, position: int) -> int:
        ordinal = len(self._positions)
        self._positions.append(position)
        self._digests.append(digest)
        self._names.append(name)
        lane = self._lanes.get((workspace, model))
        if lane is None:
            lane = self._lanes[workspace, model] = array("I")
        lane.append(ordinal)
        if ordinal * 3 >= len(self._table) * 2:
            self._grow()
        return ordinal

    def _slot(self, name: int) -> int:
        """Where the table holds *name*, or where it would."""
        table, names = self._table, self._names
        mask = len(table) - 1
        slot = name & mask
        while (held := table[slot]) and names[held - 1] != name:
            slot = (slot + 1) & mask
        return slot

    def _grow(self) -> None:
        table, names = _empty_table(len(self._table) * 2), self._names
        mask = len(table) - 1
        for held, name in enumerate(names, 1):
            slot = name & mask
            while table[slot]:
                slot = (slot + 1) & mask
            # A twin comes to lie behind the row it shares its digest with: no look-up gets that far.
            table[slot] = held
        self._table = table


def occurrence_id(made_id: str, occurrence: int) -> str:
    """Id of the given *occurrence* of a row whose id was made."""
    return made_id if occurrence == 1 else f"{made_id}-{occurrence}"


def _empty_table(slots: int) -> array[int]:
    return array("I", bytes(4 * slots))


def _at(numbers: array[int], ordinal: int) -> int:
    return numbers[ordinal] if ordinal < len(numbers) else 0


def _put(numbers: array[int], ordinal: int, number: int) -> None:
    # Nothing is held for an input whose rows do not repeat.
    if ordinal >= len(numbers):
        numbers.frombytes(bytes(4 * (ordinal + 1 - len(numbers))))
    numbers[ordinal] = number
