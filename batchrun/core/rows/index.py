"""Where every row of the input stands, in at most 40 bytes a row.

Theory of operation: rows are numbered as they come (the *ordinal*). Arrays by ordinal hold position, digest and the digest
of (workspace, id), 8 bytes each; each lane has an array of its ordinals, 4 bytes. A row ends where the next one starts: only where
something else stands between them, or a file ends, is it noted where. Rows are found by that digest of their id (`by_name.py`).

Two ids with one 64-bit digest are so rare that only the second of them is kept by name. A look-up of an id that was never added
may be answered by such a twin (one in 10**13 at a million rows): whoever acts on it compares the row's digest too.
"""

from __future__ import annotations

from array import array
from bisect import bisect, bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Self

from batchrun.core.classes import value
from batchrun.core.rows.by_name import ByName
from batchrun.core.rows.names import id_digest, names_of
from batchrun.core.rows.nearby import Nearby

MAX_FILES = 1 << 16
_OFFSET_BITS = 48
_OFFSET_MASK = (1 << _OFFSET_BITS) - 1


class Position(NamedTuple):
    """Where a line starts: the number of its file, and the byte in it."""

    file: int
    offset: int


@value
class Duplicate:
    """The id is taken, or shares its digest with another: only the line itself can tell."""

    of: int
    """Ordinal of the row that has it."""


def packed(file: int, offset: int) -> int:
    """Put a position into 64 bits: up to 65,536 files of up to 256 TiB."""
    return file << _OFFSET_BITS | offset


def offset_of(position: int) -> int:
    """The byte in its file that a `packed` position is of."""
    return position & _OFFSET_MASK


LaneKey = tuple[str, str]
"""Workspace and model."""


class Index:
    """The rows of a run by ordinal, by id, and by lane in input order."""

    def __init__(self, digest_of: Callable[[str, str], int] = id_digest) -> None:
        self._digest_of = digest_of
        self._positions = array("Q")
        self._digests = array("Q")
        self._by_name = ByName()
        self._twins: dict[tuple[str, str], int] = {}
        self._repeats = array("I")
        self._occurrences = array("I")
        self._ends = array("Q")
        self._lanes: dict[LaneKey, array[int]] = {}
        self._nearby: dict[LaneKey, Nearby] = {}

    def __len__(self) -> int:
        return len(self._positions)

    def expect(self, rows: int) -> None:
        """Be told how many there may be in all, where somebody can tell: their table then grows fewer times."""
        self._by_name.expected = rows

    @property
    def lanes(self) -> Mapping[LaneKey, array[int]]:
        """Ordinals by (workspace, model), each lane's in input order."""
        return self._lanes

    def counts(self) -> dict[LaneKey, int]:
        """Rows a lane."""
        return {lane: len(ordinals) for lane, ordinals in self._lanes.items()}

    def position(self, ordinal: int) -> Position:
        """Where the row's line starts."""
        place = self._positions[ordinal]
        return Position(place >> _OFFSET_BITS, place & _OFFSET_MASK)

    def span(self, ordinal: int) -> int | None:
        """Bytes of the row's line, with its end; None where nothing tells."""
        places, ends = self._positions, self._ends
        place, following = places[ordinal], places[ordinal + 1] if ordinal + 1 < len(places) else -1
        # Where the next row stands before all ends there is none between the two.
        if ends and not 0 <= following <= ends[0] and (nth := bisect(ends, place)) < len(ends) and (ends[nth] < following or following < 0):
            following = ends[nth]
        return following - place if place >> _OFFSET_BITS == following >> _OFFSET_BITS else None

    def places(self, ordinals: Iterable[int]) -> list[tuple[int, int, int | None]]:
        """File, offset and span of each row."""
        places, rows, ends, found = self._positions, len(self._positions), self._ends, []
        # Before the first of them none is looked for: as a rule that is where a file ends.
        first = ends[0] if ends else 1 << 64
        for ordinal in ordinals:
            place, following = places[ordinal], places[ordinal + 1] if ordinal + 1 < rows else -1
            if not 0 <= following <= first and (nth := bisect(ends, place)) < len(ends) and (ends[nth] < following or following < 0):
                following = ends[nth]
            file = place >> _OFFSET_BITS
            found.append((file, place & _OFFSET_MASK, following - place if following >> _OFFSET_BITS == file else None))
        return found

    def at(self, file: int, offset: int) -> int | None:
        """Ordinal of the row whose line starts there, or None."""
        return self.at_packed(packed(file, offset))

    def at_packed(self, place: int) -> int | None:
        """The same of a `packed` position."""
        nth = bisect_left(self._positions, place)
        return nth if nth < len(self._positions) and self._positions[nth] == place else None

    def digest(self, ordinal: int) -> int:
        """The row's digest, 64 bits."""
        return self._digests[ordinal]

    def occurrence(self, ordinal: int) -> int:
        """Which one it is of the rows with the same made id: 1 for the first, and for every row that brought its own."""
        return max(_at(self._occurrences, ordinal), 1)

    def add(self, lane: LaneKey, row_id: str, digest: int, position: int) -> int | Duplicate:
        """Note a row at a `packed` position and return its ordinal; a `Duplicate` is not noted."""
        taken = self._by_name.put(self._digest_of(lane[0], row_id))
        if taken is not None:
            return Duplicate(self._twins.get((lane[0], row_id), taken))
        return self._append(lane, digest, position)

    def add_named(self, lanes: Sequence[LaneKey], named: array[int], digests: array[int], positions: array[int]) -> int:
        """Note rows, *named* by `names_of`, as `add` does each, up to the first that it would take for a duplicate; how many were noted."""
        first = len(self)
        if not (noted := self._by_name.extend(named)):
            return 0
        self._positions += positions[:noted]
        self._digests += digests[:noted]
        if lanes.count(lanes[0]) == len(lanes):
            self._lanes.setdefault(lanes[0], array("I")).extend(range(first, first + noted))
        else:
            appends = {lane: self._lanes.setdefault(lane, array("I")).append for lane in dict.fromkeys(lanes[:noted])}
            for ordinal, lane in enumerate(lanes[:noted], first):
                appends[lane](ordinal)
        return noted

    def names_of(self, lanes: Sequence[LaneKey | None], row_ids: Sequence[str | None]) -> array[int]:
        """What rows are found by; any number for what is in no lane."""
        if self._digest_of is id_digest:
            return names_of(lanes, row_ids)
        return array("Q", [self._digest_of(lane[0] if lane else "", row_id or "") for lane, row_id in zip(lanes, row_ids, strict=True)])

    def add_twin(self, lane: LaneKey, row_id: str, digest: int, position: int) -> int:
        """Note a row that `add` took for a duplicate, and whose id is another."""
        self._by_name.append(self._digest_of(lane[0], row_id))
        ordinal = self._append(lane, digest, position)
        self._twins[lane[0], row_id] = ordinal
        return ordinal

    def add_made(self, lane: LaneKey, made_id: str, digest: int, position: int) -> int:
        """Note a row without an id of its own under its made id; a repeat becomes ``made_id-2``, ``made_id-3`` and so on."""
        added = self.add(lane, made_id, digest, position)
        if isinstance(added, int):
            return added
        first, occurrence = added.of, _at(self._repeats, added.of) + 1
        while isinstance(added, Duplicate):
            occurrence += 1
            added = self.add(lane, occurrence_id(made_id, occurrence), digest, position)
        _put(self._repeats, first, occurrence - 1)
        _put(self._occurrences, added, occurrence)
        return added

    def end(self, position: int) -> None:
        """Note that at a `packed` position something begins that is no row, or the file has ended."""
        # What stands behind that, up to the next row, is in nobody's line either.
        if self._positions and (not self._ends or self._ends[-1] <= self._positions[-1]):
            self._ends.append(position)

    def find(self, workspace: str, row_id: str) -> int | None:
        """Ordinal of the row with this id, or None."""
        if self._twins and (twin := self._twins.get((workspace, row_id))) is not None:
            return twin
        return self.find_named(self._digest_of(workspace, row_id))

    @property
    def is_told_by_names(self) -> bool:
        """Whether a row's `id_digest` alone finds it, as `find` does."""
        return not self._twins and self._digest_of is id_digest

    def name(self, ordinal: int) -> int:
        """The digest of the row's workspace and id, 64 bits."""
        return self._by_name.names[ordinal]

    def find_named(self, name: int) -> int | None:
        """Ordinal of the first row with this digest of workspace and id, or None."""
        return self._by_name.find(name)

    def find_nearby(self, lane: LaneKey, names: Sequence[int]) -> list[int | None]:
        """What `find_named` finds of each: sooner, where they are rows of *lane* about in the order in which these stand.

        Nothing is added any more.
        """
        if (nearby := self._nearby.get(lane)) is None:
            nearby = self._nearby[lane] = Nearby(self._by_name.names, self._lanes.get(lane, array("I")))
        found = nearby.find(names)
        if None in found:
            missed, found = (
                found,
                [self._by_name.find(name) if ordinal is None else ordinal for name, ordinal in zip(names, found, strict=True)],
            )
            if missed.count(None) == len(missed) and (ordinal := found[len(found) // 2]) is not None:
                nearby.reach(ordinal)
        return found

    def parts(self) -> tuple[dict[str, Any], list[array[int]]]:
        """What the index is made of: a JSON object, and arrays; `of_parts` takes both."""
        lanes = [[*lane, len(ordinals)] for lane, ordinals in self._lanes.items()]
        twins = [[*name, ordinal] for name, ordinal in self._twins.items()]
        told = {"rows": len(self), "repeated": len(self._occurrences), "ends": len(self._ends), "lanes": lanes, "twins": twins}
        return told, [self._positions, self._digests, self._by_name.names, self._occurrences, self._ends, *self._lanes.values()]

    @staticmethod
    def shape(told: Mapping[str, Any]) -> list[tuple[str, int]]:
        """Typecode and length of each array that belongs to what `parts` *told*."""
        counts = [("I", told["repeated"]), ("Q", told["ends"]), *(("I", count) for _, _, count in told["lanes"])]
        return [("Q", told["rows"])] * 3 + counts

    @classmethod
    def of_parts(cls, told: Mapping[str, Any], arrays: Sequence[array[int]], digest_of: Callable[[str, str], int] = id_digest) -> Self:
        """Make an index of what `parts` gave; nothing can be added to it."""
        index = cls(digest_of)
        index._positions, index._digests, names, index._occurrences, index._ends, *lanes = arrays
        index._by_name = ByName.of(names)
        index._lanes = {(workspace, model): ordinals for (workspace, model, _), ordinals in zip(told["lanes"], lanes, strict=True)}
        index._twins = {(workspace, row_id): ordinal for workspace, row_id, ordinal in told["twins"]}
        return index

    def _append(self, lane: LaneKey, digest: int, position: int) -> int:
        ordinal = len(positions := self._positions)
        positions.append(position)
        self._digests.append(digest)
        try:
            self._lanes[lane].append(ordinal)
        except KeyError:
            self._lanes[lane] = array("I", [ordinal])
        return ordinal


def occurrence_id(made_id: str, occurrence: int) -> str:
    """Id of the given *occurrence* of a row whose id was made."""
    return made_id if occurrence == 1 else f"{made_id}-{occurrence}"


def _at(numbers: array[int], ordinal: int) -> int:
    return numbers[ordinal] if ordinal < len(numbers) else 0


def _put(numbers: array[int], ordinal: int, number: int) -> None:
    # Nothing is held for an input whose rows do not repeat.
    if ordinal >= len(numbers):
        numbers.frombytes(bytes(4 * (ordinal + 1 - len(numbers))))
    numbers[ordinal] = number
