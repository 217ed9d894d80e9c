"""What became of the rows of an input since it was last indexed: how many came, went, and were edited, and whose."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from itertools import islice
from typing import NamedTuple

from batchrun.core.classes import value
from batchrun.core.counted import counted
from batchrun.core.rows.index import Index

MOST_READ = 1000
"""Rows that are read to find out whose they were."""


class Moved(NamedTuple):
    """Rows that were another workspace's: lines that are what they were, by the job, or those that name another now."""

    was: str | None
    """Whose they were; None where they were no rows."""
    now: str
    lines: int


@value
class Since:
    """How one input differs from an earlier one, by the ids of its rows and by what they say."""

    added: int = 0
    taken_out: int = 0
    edited: int = 0
    """Have their id still, and another line."""
    not_known: int = 0
    """Have their id still, and are asked under other settings: whether the line is another cannot be told."""
    went: tuple[str, ...] = ()
    """Workspaces that have no rows any more."""
    came: tuple[str, ...] = ()
    """Workspaces that had none."""

    def __str__(self) -> str:
        if self == Since():
            return "its rows are the same"
        told = f"{counted(self.added, 'row')} added, {self.taken_out:,} taken out, {self.edited:,} edited"
        if self.not_known:
            others, lines = counted(self.not_known, "other is", "others are"), "its line was" if self.not_known == 1 else "their lines were"
            told += f"; {others} asked under other settings now: whether {lines} edited is not known"
        return told


def since(before: Index, now: Index, same: Collection[str]) -> Since:
    """Compare two indexes; *same* are the workspaces whose rows are asked under the settings of then. Takes about a microsecond a row.

    A row without an id of its own is named by what it says: edited, it is one that was taken out and one that was added.
    """
    taken_out = edited = not_known = 0
    find, digest = now.find_named, now.digest
    for (workspace, _), ordinals in before.lanes.items():
        comparable = workspace in same
        for ordinal in ordinals:
            found = find(before.name(ordinal))
            if found is None:
                taken_out += 1
            elif not comparable:
                not_known += 1
            elif digest(found) != before.digest(ordinal):
                edited += 1
    then, there = ({workspace for workspace, _ in index.lanes} for index in (before, now))
    added = len(now) - len(before) + taken_out
    return Since(added, taken_out, edited, not_known, tuple(sorted(then - there)), tuple(sorted(there - then)))


def moved(before: Index, now: Index, files: Mapping[int, int]) -> tuple[Moved, ...]:
    """Find the rows of *now* that another workspace had, or none; of most lines first. Takes two microseconds a row.

    *files* are those that are what they were: the number of each then, and its number now.
    """
    then = {number: former for former, number in files.items()}
    whose = _Whose(before)
    lines: Counter[tuple[str | None, str]] = Counter()
    for (workspace, _), ordinals in now.lanes.items():
        for ordinal in ordinals:
            file, offset = now.position(ordinal)
            if file in then and (was := whose.at(then[file], offset)) != workspace:
                lines[was, workspace] += 1
    return tuple(Moved(was, workspace, count) for (was, workspace), count in lines.most_common())


def retagged(before: Index, now: Index, id_of: Callable[[int], str | None]) -> tuple[Moved, ...]:
    """Find rows of *now* that had stood in *before* with the same id as another workspace's, and stand there no more; of most rows first.

    *id_of* reads the id of a row of *now*. That takes longer: no more than `MOST_READ` rows that came are looked at.
    """
    had = dict.fromkeys(workspace for workspace, _ in before.lanes)
    came = ((workspace, ordinal) for (workspace, _), rows in now.lanes.items() for ordinal in rows if _is_new(before, now, ordinal))
    rows: Counter[tuple[str | None, str]] = Counter()
    for workspace, ordinal in islice(came, MOST_READ):
        if (row_id := id_of(ordinal)) is not None:
            rows.update((was, workspace) for was in had if before.find(was, row_id) is not None and now.find(was, row_id) is None)
    return tuple(Moved(was, workspace, count) for (was, workspace), count in rows.most_common())


def _is_new(before: Index, now: Index, ordinal: int) -> bool:
    return before.find_named(now.name(ordinal)) is None


class _Whose:
    """Whose the row is that stands in a place."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._workspaces = [workspace for workspace, _ in index.lanes]
        self._lanes = array("I", bytes(4 * len(index)))
        for number, ordinals in enumerate(index.lanes.values()):
            for ordinal in ordinals:
                self._lanes[ordinal] = number

    def at(self, file: int, offset: int) -> str | None:
        ordinal = self._index.at(file, offset)
        return None if ordinal is None else self._workspaces[self._lanes[ordinal]]
