"""What became of the rows of an input since it was last indexed: how many came, went, and were edited, and whose."""

from __future__ import annotations

from collections.abc import Collection

from batchrun.core.classes import value
from batchrun.core.counted import counted
from batchrun.core.rows.index import Index


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
