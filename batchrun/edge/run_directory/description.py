"""What a run says of itself, in run.json: what is being carried out, with a digest that tells whether anybody changed it since."""

from __future__ import annotations

import stat
from collections.abc import Callable, Mapping
from hashlib import blake2b
from pathlib import Path
from types import MappingProxyType
from typing import Any

import orjson

from batchrun.core.errors import JobError, LedgerError, RunDamagedError, RunTooNewError, said_by
from batchrun.core.jobs.words import nearest
from batchrun.edge.run_directory.places import NO_FILE, is_there
from batchrun.edge.run_directory.whole import as_read, write_summary

FORMAT = 1
"""Of run.json and the files beside it; a run directory of a newer one is refused."""
_DIGEST = "blake2b"
"""The field that holds the digest of the others."""
_WAY_OUT = "the rows are safe in the workspaces' files: move run.json away"


def read_description(directory: Path) -> dict[str, Any] | None:
    """Read run.json; None where there is none. Raise RunDamagedError where it cannot be understood."""
    path = directory / "run.json"
    try:
        if not stat.S_ISREG(mode := path.stat().st_mode) and not stat.S_ISDIR(mode):
            raise RunDamagedError(f"{path}: {NO_FILE}")
        described = orjson.loads(path.read_bytes())
        if not isinstance(described, dict) or not isinstance(described["format"], int):
            raise RunDamagedError(f"{path}: is no description of a run; move it away if it was put there by hand")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (orjson.JSONDecodeError, KeyError):
        raise RunDamagedError(f"{path}: cannot be read as JSON; {_WAY_OUT}") from None
    except OSError as error:
        raise LedgerError(f"{path}: cannot be read: {said_by(error)}") from None
    if described["format"] > FORMAT:
        raise RunTooNewError(f"{path}: was written by a newer batchrun (format {described['format']}); use that version")
    digest = described.pop(_DIGEST, None)
    # One without a digest is an older batchrun's, or a person's who took it out to edit the rest.
    unfit = _unfit(described) if digest is None else None
    if unfit or digest not in (None, digest_of(described)):
        which = f": its {unfit} is none" if unfit else ""
        raise RunDamagedError(f"{path}: was changed after it was written{which}; {_WAY_OUT}")
    return described


def _unfit(described: Mapping[str, Any]) -> str | None:
    """The first field of a description that cannot be what was written; None where all may be."""
    return next((name for name, fits in _FIELDS.items() if name in described and not fits(described[name])), None)


def _is_text(told: object) -> bool:
    return isinstance(told, str)


def _are_rows(told: object) -> bool:
    """Whether it is the count of rows by workspace and model."""
    return isinstance(told, dict) and all(isinstance(models, dict) and all(map(_is_count, models.values())) for models in told.values())


def _is_count(told: object) -> bool:
    return type(told) is int and told >= 0


def _is_job(told: object) -> bool:
    """Whether it may be a job as it is dumped: tables, of which some hold tables by name."""
    return isinstance(told, dict) and all(
        isinstance(table, dict) and (name not in {"accounts", "workspaces"} or all(isinstance(each, dict) for each in table.values()))
        for name, table in told.items()
    )


_FIELDS: Mapping[str, Callable[[object], bool]] = MappingProxyType(
    {
        "run": _is_text,
        "name": _is_text,
        "rows": _are_rows,
        "rejected_input": _is_count,
        "job": _is_job,
    }
)


def is_unbegun(directory: Path) -> bool:
    """Whether openings that made no call are all that *directory* has seen: they were refused, or stopped while they read the input."""
    files = ("run.json", "attempts.log", "*/results.jsonl", "*/errors.jsonl")
    try:
        return is_there(directory / "run.lock") and not any(any(directory.glob(each)) for each in files)
    except OSError:
        return False  # Whoever reads on tells.


def not_there(directory: Path, *, several: bool = False) -> JobError:
    """Say that *directory* is no run directory, and which may be meant; all that stand in it too, where *several* may be named."""
    if (directory / "attempts.log").is_file():
        return JobError(f"{directory}: its run.json was taken away: run its job again, which makes it anew from what else stands there")
    if is_unbegun(directory):
        return JobError(f"{directory}: no run was begun there yet: nothing was called")
    if (directory.parent / "run.json").is_file() and directory.is_dir():
        meant = f"it is a part of the run {directory.parent}: name that"
    elif (within := min(directory.glob("*/run.json"), default=None)) is not None:
        meant = f"runs stand in it: name one, such as {within.parent}" + (f", or all of them, {directory}/*" if several else "")
    else:
        meant = "name the directory that the job's output names"
    if directory.exists():
        return JobError(f"{directory}: is no run directory: there is no run.json in it; {meant}")
    if beside := nearest(directory.name, (each.parent.name for each in directory.parent.glob("*/run.json"))):
        meant = f"did you mean '{directory.with_name(beside)}'?"
    return JobError(f"{directory}: is no run directory: nothing is there; {meant}")


def must_hold(directory: Path, *names: str) -> None:
    """Raise JobError where none of these files of a run stands in *directory*, and LedgerError where that cannot be told."""
    try:
        if any(is_there(directory / name) for name in names):
            return
    except OSError as error:
        raise LedgerError(f"{directory}: cannot be read: {said_by(error)}") from None
    raise not_there(directory)


def write_description(directory: Path, described: dict[str, Any]) -> None:
    """Write run.json, with a digest of what stands in it."""
    write_summary(directory / "run.json", {**described, _DIGEST: digest_of(as_read(described))})


def digest_of(told: object) -> str:
    """Of any JSON value, however it is laid out."""
    return blake2b(orjson.dumps(told, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()
