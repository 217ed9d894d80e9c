"""A run that was begun from another folder: where its job names no place from the root, the same command begins it anew, and pays again.

So it goes where a job that was tried from its own folder is left to cron, which starts at home. A relative input is not found there, or is
another; one that is named from the root is the same.
"""

from __future__ import annotations

from pathlib import Path
from shlex import quote

from batchrun.core.errors import BatchrunError, JobError
from batchrun.core.jobs.job import Job
from batchrun.edge import run_directory
from batchrun.running.money import described_job


def refuse_begun_elsewhere(job: Job, job_file: Path) -> None:
    """Raise JobError where the run would be begun here, and stands above or beside *job_file* with the same input, asked for real."""
    directory, inputs = Path(job.run_directory), _whole_paths(job)
    if not inputs or directory.is_absolute() or directory.exists():
        return
    here = Path.cwd()
    for folder in job_file.absolute().parents:
        if folder != here and _is_of(folder / directory, job.name, inputs):
            raise JobError(
                f"{job_file}: job.output: {directory} would be begun anew in {here}, and stands in {folder}: its rows would be asked, and "
                f"paid for, again; go on with it by cd {quote(str(folder))} first, or name its place from the root: "
                f'output = "{folder / directory}"; for another run give the job an output of its own'
            )


def _is_of(directory: Path, name: str, inputs: set[str]) -> bool:
    try:
        described = run_directory.read_description(directory)
    except BatchrunError:
        return False
    if not described or described.get("name") != name or (known := described_job(described)) is None:
        return False
    is_real = any(not each.endpoint.simulated for each in known.workspaces_resolved().values())
    return is_real and not inputs.isdisjoint(_whole_paths(known))


def _whole_paths(job: Job) -> set[str]:
    return {each.path for each in job.inputs if Path(each.path).is_absolute()}
