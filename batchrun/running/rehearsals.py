"""A rehearsal with the simulator is no part of a run with a real endpoint: its answers are made up, and nobody paid for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from batchrun.core.counted import shortened
from batchrun.core.errors import RunDamagedError
from batchrun.core.jobs.job import Workspace
from batchrun.edge import run_directory
from batchrun.running.money import described_job


def refuse_to_mix(directory: Path, described: Mapping[str, Any], workspaces: Mapping[str, Workspace]) -> None:
    """Raise RunDamagedError where *workspaces* that have entries in *directory* were simulated and are not now, or the other way round.

    Their rows would count as answered, and the run as done, by answers that no model gave; or the statement would tell of a bill that
    nobody gets.
    """
    former = known.workspaces_resolved() if (known := described_job(described)) is not None else {}
    common = former.keys() & workspaces.keys()
    if all(former[name].endpoint.simulated == workspaces[name].endpoint.simulated for name in common):
        return
    entered = [path.name for path in run_directory.workspace_directories(directory) if path.name in common]
    rehearsed = [name for name in entered if former[name].endpoint.simulated and not workspaces[name].endpoint.simulated]
    real = [name for name in entered if workspaces[name].endpoint.simulated and not former[name].endpoint.simulated]
    if rehearsed:
        asked, way_out = _names(workspaces, rehearsed), "give the job an output of its own, or remove that directory"
        raise RunDamagedError(
            f"{directory}: {shortened(rehearsed)}: the simulator answered here, and {asked} is to be asked now: {way_out}"
        )
    if real:
        asked, way_out = _names(former, real), "give the job an output of its own"
        raise RunDamagedError(f"{directory}: {shortened(real)}: {asked} was asked here, and the simulator is to answer now: {way_out}")


def _names(workspaces: Mapping[str, Workspace], of: Iterable[str]) -> str:
    return shortened(sorted({workspaces[name].endpoint.name for name in of}))
