"""Lines that were glanced at, as numbers: what the index needs of each, made by another process of this machine."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Self, TypeAlias, cast

from batchrun.core.classes import slotted
from batchrun.core.rows.glances import Seen
from batchrun.core.rows.index import LaneKey
from batchrun.core.rows.names import names_of

Numbers: TypeAlias = "array[int]"
Packed = tuple[list[LaneKey], bytes, bytes, bytes, bytes, list[tuple[int, str]]]


@slotted
class Glanced:
    """Lines that follow each other."""

    lanes: list[LaneKey | None]
    """None of a line that is to be looked at with care."""
    names: Numbers
    """Each row's `id_digest`."""
    digests: Numbers
    positions: Numbers
    settings: Sequence[tuple[int, str]]
    """As `Seen` has them."""

    @classmethod
    def of(cls, packed: Packed) -> Self:
        """Make of it what was packed."""
        known, lanes, names, digests, positions, settings = packed
        named = [None, *known]
        of = [named[number] for number in array("I", lanes)]
        return cls(of, array("Q", names), array("Q", digests), array("Q", positions), settings)


def packed(seen: Sequence[Seen], positions: Numbers) -> Packed:
    """What `Glanced.of` makes the same of, and more of it."""
    numbers: dict[LaneKey | None, int] = {None: 0}
    lanes, names, digests, settings = array("I"), array("Q"), array("Q"), list[tuple[int, str]]()
    for some in seen:
        settings += [(len(lanes) + place, name) for place, name in some.settings]
        lanes.extend([numbers.setdefault(lane, len(numbers)) for lane in some.lanes])
        names += names_of(some.lanes, some.row_ids)
        digests += some.digests
    return cast("list[LaneKey]", [*numbers][1:]), lanes.tobytes(), names.tobytes(), digests.tobytes(), positions.tobytes(), settings
