"""Run directories as arguments: where job files stand in their place, it is told which directory is meant, and what to type."""

from __future__ import annotations

import os
from pathlib import Path
from shlex import join, quote
from typing import TypeVar

import click

from batchrun.core.errors import JobError

_Given = TypeVar("_Given", bound=Path | tuple[Path, ...])


def no_job_files(ctx: click.Context, _argument: click.Parameter, given: _Given) -> _Given:
    """Take what is given as it is; raises JobError where it is job files and nothing else."""
    paths = (given,) if isinstance(given, Path) else given
    # Of a Path either would raise where it may not look.
    if paths and all(path.suffix == ".toml" and os.path.isfile(path) for path in paths):  # noqa: PTH113
        which = "is a job file, and a run directory is" if len(paths) == 1 else "are job files, and run directories are"
        raise JobError(f"{', '.join(map(str, paths))}: {which} wanted: {_meant(paths, ctx.command_path)}")
    return given


def _meant(job_files: tuple[Path, ...], command: str) -> str:
    # Most who name a run directory name one: they need not wait for what reads jobs.
    from batchrun.edge.job_file import load_job  # noqa: PLC0415

    try:
        directories = [load_job(path).run_directory for path in job_files]
    except JobError:
        return "name what the job's output names"
    missing = [job_file for job_file, directory in zip(job_files, directories, strict=True) if not os.path.isdir(directory)]  # noqa: PTH112
    if not missing:
        return f"{command} {join(directories)}"
    verb = f"{command.rpartition(' ')[0]} run"
    return f"{directories[job_files.index(missing[0])]}, which is not there: begin it with {verb} {quote(str(missing[0]))}"
