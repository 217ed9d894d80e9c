"""A run is provided with the files and connections that it has open at once."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

from batchrun.core.jobs.job import Job, Workspace
from batchrun.core.scheduling.plan import of_workspaces
from batchrun.edge import descriptors
from batchrun.running.opening import Opening
from batchrun.running.preparing import most_open_for_media


def provided(job: Job, workspaces: Mapping[str, Workspace], opening: Opening) -> AbstractContextManager[None]:
    """Have the system allow as many while the block lasts, beside what else goes on in this process; raises JobError where it does not."""
    left = of_workspaces(opening.plan.lanes())
    # The simulator answers in this process: each of its connections has both its ends here.
    ends = sum(min(workspaces[name].concurrency, rows) * (2 if workspaces[name].endpoint.simulated else 1) for name, rows in left.items())
    return descriptors.provided(ends, 2 * len(left) + 1, most_open_for_media(job, opening.source))
