"""A file of the ledger looked at line by line, damage and all, and made anew without it; what is taken out is kept beside it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from batchrun.core.errors import LedgerError

ASIDE = ".damaged"


class Line(NamedTuple):
    """A line as it stands in its file."""

    number: int
    text: bytes
    """With its line end, where it has one."""


def lines_of(path: Path) -> Iterator[Line]:
    """Every line of the file; none where there is no file."""
    try:
        with path.open("rb", buffering=1 << 20) as file:
            for number, text in enumerate(file, 1):
                yield Line(number, text)
    except FileNotFoundError:
        return
    except OSError as error:
        raise LedgerError(f"{path}: cannot be read: {error.strerror}") from None


def put_aside(path: Path, sync_directory: Callable[[Path], None]) -> None:
    """Have a file stand beside its place, and beside what was put there before. Whoever calls it holds the run."""
    names = (path.with_name(f"{path.name}{ASIDE}" + (f".{number}" if number > 1 else "")) for number in itertools.count(1))
    try:
        path.rename(next(name for name in names if not os.path.lexists(name)))
        sync_directory(path.parent)
    except OSError as error:
        raise LedgerError(f"{path}: cannot be put aside: {error.strerror}; nothing is lost") from None


def make_anew(path: Path, kept: Iterable[bytes], aside: Iterable[bytes], sync_directory: Callable[[Path], None]) -> None:
    """Put a file of the lines *kept* in the place of *path*; before that, *aside* is appended to the side file, and synced.

    Killed in between, it leaves the old file, and at worst the same lines in the side file twice. Where the disk is full, what was written
    of either takes up no room.
    """
    beside = path.with_name(f".{path.name}.new")
    try:
        _write(beside, os.O_TRUNC, kept)
        _write(path.with_name(path.name + ASIDE), os.O_APPEND, aside)
        sync_directory(path.parent)
        beside.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        raise LedgerError(f"{path}: cannot be made anew: {error.strerror}; nothing is lost: the old file stands as it was") from None
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def _write(path: Path, how: int, lines: Iterable[bytes]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | how | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    stood = os.fstat(descriptor).st_size
    try:
        with os.fdopen(descriptor, "wb") as file:
            for line in lines:
                file.write(line if line.endswith(b"\n") else line + b"\n")
            file.flush()
            os.fsync(descriptor)
    except BaseException:
        # Only now: a file that is closed writes what it still has, if it can.
        with suppress(OSError):
            os.truncate(path, stood)
        raise
