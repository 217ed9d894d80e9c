"""Which workspaces of a run keep a pace of their own, and which have one together: how long a run takes yet is the slowest pace's to say.

A workspace that has all its slots in use goes no faster once others are done. One that waits for a quota does, as far as those have part in
it: those of an account are taken together. A moment tells little, so the latest looks count.
"""

from __future__ import annotations

from collections.abc import Mapping

from batchrun.core.scheduling.lanes import Lane, Workspace

_LEARNS = 0.1
"""Of each look."""


class Paces:
    """Those of one scheduler, whose *workspaces* and *lanes* these are."""

    def __init__(self, workspaces: Mapping[str, Workspace], lanes: Mapping[tuple[str, str], Lane]) -> None:
        self._workspaces = workspaces
        self._lanes = lanes
        self._full: dict[str, float] = {}
        """The share of the latest looks in which all slots of a workspace were in use."""

    def look(self) -> dict[str, str]:
        """Name the pace that each workspace keeps: those with the same name keep one together."""
        for name, each in self._workspaces.items():
            full, is_full = self._full.get(name), float(each.in_flight >= each.slots)
            self._full[name] = is_full if full is None else full + _LEARNS * (is_full - full)
        accounts = {lane.plan.workspace: lane.plan.account for lane in self._lanes.values()}
        return {name: f"workspace {name}" if self._full[name] > 0.5 else f"account {account}" for name, account in accounts.items()}
