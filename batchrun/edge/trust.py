"""A run directory is looked over before anything is written there: nothing in it leads elsewhere, is somebody else's, or is packed away.

In a directory that others may write to, a link laid under the name of an output file would send one workspace's answers to another's
file, or write over a file that has nothing to do with the run; a pipe would stop the run for ever; a file that belongs to another user can
be read and changed by that user, whatever its mode. A file of the ledger that was compressed, to make room on a disk that is full, is none
to a run: it would send all rows again that are answered there.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from batchrun.core.errors import LedgerError, RunDamagedError, said_by

LINK = "is a link, and nothing in a run directory may lead out of it: put there what it leads to, or remove it"
"""Why no run goes on with it."""
PACKED = "is a file of the ledger that was compressed: unpack it there, for what it tells of is not counted, and would be paid for again"
"""Why no run goes on with it either."""
_LEDGER = frozenset({"attempts.log", "errors.jsonl", "results.jsonl", "run.json"})
_PACKERS = frozenset({".gz", ".zst", ".bz2", ".xz", ".lz4", ".zip"})
_PROBE = ".owner"


def look_over(directory: Path, owner: int | None = None) -> None:
    """Raise RunDamagedError for the first thing in *directory* that a run must not write to. *owner* is who is to own it all.

    By default that is whoever owns a file that is made there now, which on some file systems is not the user of this process.
    """
    try:
        owner = _owner_of_a_new_file(directory) if owner is None else owner
        seen: dict[tuple[int, int], Path] = {}
        for path, found in _all(directory):
            if why := PACKED if is_packed(path) else _unfit(found, owner):
                raise RunDamagedError(f"{path}: {why}")
            if stat.S_ISREG(found.st_mode) and (twin := seen.setdefault((found.st_dev, found.st_ino), path)) != path:
                raise RunDamagedError(f"{path}: is the same file as {twin}: what is written to one would stand in both; remove one of them")
    except OSError as error:
        # The file that was to show whom it belongs to could not be made: that is the directory's matter.
        place = error.filename if error.filename and Path(error.filename).name != _PROBE else directory
        raise LedgerError(f"{place}: cannot be looked over, or written to: {said_by(error)}") from None


def is_packed(path: Path) -> bool:
    """Whether a file of the ledger was compressed to *path*, and no other stands where it was."""
    return path.suffix in _PACKERS and path.stem in _LEDGER and not path.with_suffix("").exists()


def refuse_packed(directory: Path) -> None:
    """Raise RunDamagedError where a file of the ledger was compressed: whatever is told without it is not what was done."""
    # What cannot be looked at is told by whoever reads it.
    with suppress(OSError):
        for path, _ in _all(directory):
            if is_packed(path):
                raise RunDamagedError(f"{path}: {PACKED}")


def _all(directory: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """The directory, what is in it, and what is in its directories: deeper, a run writes nothing."""
    yield directory, directory.stat()
    for entry in _entries(directory):
        yield entry
        if stat.S_ISDIR(entry[1].st_mode):
            yield from _entries(entry[0])


def _entries(directory: Path) -> Iterator[tuple[Path, os.stat_result]]:
    with os.scandir(directory) as entries:
        for entry in entries:
            # A summary that is being put in place may be gone by now.
            with suppress(FileNotFoundError):
                yield Path(entry.path), entry.stat(follow_symlinks=False)


def _unfit(found: os.stat_result, owner: int) -> str | None:
    if stat.S_ISLNK(found.st_mode):
        return LINK
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
        return "is a pipe, a socket or a device, to which no run can write: remove it"
    if found.st_uid != owner:
        return f"belongs to user {found.st_uid}, and this run to user {owner}: run it as that user, or give it to this one (chown)"
    return None


def _owner_of_a_new_file(directory: Path) -> int:
    probe = directory / _PROBE
    probe.unlink(missing_ok=True)
    descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        return os.fstat(descriptor).st_uid
    finally:
        os.close(descriptor)
        probe.unlink(missing_ok=True)
