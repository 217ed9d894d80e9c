"""A rehearsal with the simulator is no part of a run with a real endpoint: its answers are made up, and nobody paid for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from batchrun.core.counted import shortened
from batchrun.core.errors import RunDamagedError
from batchrun.core.jobs.job import Workspace
from batchrun.core.ledger.doubt import Calls
from batchrun.edge import history, run_directory
from batchrun.running.money import described_job
from batchrun.telling.reading import LOG


def refuse_to_mix(directory: Path, described: Mapping[str, Any], workspaces: Mapping[str, Workspace]) -> None:
    """Raise RunDamagedError where *workspaces* that the ledger in *directory* has were simulated and are not now, or the other way round.

    Their rows would count as answered, and the run as done, by answers that no model gave; or the statement would tell of a bill that
    nobody gets. What was billed without an answer, or may have been, is in the statement too, and of a budget.
    """
    former = known.workspaces_resolved() if (known := described_job(described)) is not None else {}
    common = former.keys() & workspaces.keys()
    if all(former[name].endpoint.simulated == workspaces[name].endpoint.simulated for name in common):
        return
    told = {path.name for path in run_directory.workspace_directories(directory)} | _called(directory)
    entered = sorted(common & told)
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


def _called(directory: Path) -> set[str]:
    """The workspaces of calls that were billed, or may have been, as far as attempts.log alone can tell."""
    calls = Calls()
    billed = {started.workspace for started, ended in calls.take(history.Attempts(directory / LOG)) if ended and ended.usage is not None}
    return billed | {each.started.workspace for each in calls.in_doubt_by_the_log()}


def _names(workspaces: Mapping[str, Workspace], of: Iterable[str]) -> str:
    return shortened(sorted({workspaces[name].endpoint.name for name in of}))
