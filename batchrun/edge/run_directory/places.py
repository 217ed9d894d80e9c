"""The directories of a run, made, each name synced with what it stands in; its files that are appended to."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from batchrun.core.errors import LedgerError, RunDamagedError, said_by
from batchrun.core.ledger.folders import written_in

NO_FILE = "is a pipe, a socket or a device, and no file of a run: remove it"
"""Why nothing is read from it: that could wait for ever."""


def make(directory: Path) -> None:
    """Make a directory in the run's own where there is none; raises LedgerError where it cannot be made."""
    try:
        make_whole_way(directory)
        directory.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise LedgerError(f"{directory}: cannot be made: {error.strerror}; the rows are safe, its summaries can be made again") from None


def workspace_directories(directory: Path) -> list[Path]:
    """List the workspaces' directories that stand in the run directory, by name."""
    try:
        with os.scandir(directory) as found:
            names = sorted(each.name for each in found if each.is_dir())
        return [path for path in map(directory.joinpath, names) if is_there(path / "results.jsonl") or is_there(path / "errors.jsonl")]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise LedgerError(f"{error.filename or directory}: cannot be read: {said_by(error)}") from None


def refuse_pipes(directory: Path) -> None:
    """Raise RunDamagedError where a pipe, a socket or a device has the place of a file of the run: reading it could wait for ever."""
    folders: list[str | Path] = [directory]
    for folder in folders:
        # What cannot be looked at is told by whoever reads it.
        with suppress(OSError), os.scandir(folder) as found:
            for each in found:
                if each.is_dir():
                    folders += [each.path] if folder is directory else []
                elif not each.is_file() and _is_there(each):
                    raise RunDamagedError(f"{each.path}: {NO_FILE}")


def _is_there(entry: os.DirEntry[str]) -> bool:
    """Whether *entry* is anything but a link that leads nowhere."""
    try:
        entry.stat()
    except OSError:
        return False
    return True


def refuse_a_twin(directory: Path) -> None:
    """Raise RunDamagedError where *directory* is not there, and beside it is a run's that has its name as another system writes it."""
    if directory.name.isascii():
        return
    try:
        if is_there(directory):
            return
        with os.scandir(directory.absolute().parent) as beside:
            named = [each.name for each in beside if written_in(os.fsencode(each.name), directory.name)]
        twin = next((path for path in map(directory.with_name, named) if is_there(path / "run.json")), None)
    except OSError:
        return
    if twin is not None:
        way_out = "Give it this name, and the run goes on; or run batchrun under the LC_ALL that it was made with"
        raise RunDamagedError(f"{directory}: {twin} stands beside it, a run whose directory another system gave this name to. {way_out}")


def is_there(path: Path) -> bool:
    """Whether anything stands at *path*; raises OSError where that cannot be told, which Python 3.14's `Path.exists` takes for a no."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def open_to_append(path: Path) -> int:
    """Open one of the run's files for appending, made with its directory where it is new; raises OSError.

    Neither name is synced by that: `edge/ledger` does so with what it writes.
    """
    if not is_there(path.parent):
        path.parent.mkdir(mode=0o700, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def sync_directory(directory: Path) -> None:
    """Make the names in *directory* survive a lost machine."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_whole_way(directory: Path) -> None:
    """Make *directory* and what it stands in; each new name is synced, and not only the last one's."""
    if not is_there(directory):
        make_whole_way(directory.parent)
        directory.mkdir(mode=0o700, exist_ok=True)
        sync_directory(directory.parent)
