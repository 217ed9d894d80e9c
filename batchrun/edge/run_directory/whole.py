"""Files of a run that are written whole: readers see the old one or the new one, never half."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import orjson

from batchrun.core.errors import LedgerError
from batchrun.edge.run_directory import places
from batchrun.edge.run_directory.lock import take

_WRITERS, _ALONE = 16, 4
"""Summaries that are written at a time, for a journal's commit is paid once for all that wait for it; so few are written one by one."""


def read_summary(path: Path) -> dict[str, Any]:
    """Read what `write_summary` wrote; nothing where it is not there or cannot be understood, for a summary can be made again."""
    try:
        value = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    return value if isinstance(value, dict) else {}


def as_read(value: Any) -> Any:
    """*value* as it is read back after `write_summary`."""
    return orjson.loads(orjson.dumps(value))


def told_before(directory: Path) -> list[str]:
    """List the workspaces that have a usage.json in a run directory; one that was put into another folder by hand is none of theirs."""
    return [path.parent.name for path in directory.glob("*/usage.json") if read_summary(path).get("workspace") == path.parent.name]


def write_summary(path: Path, value: Any) -> None:
    """Write JSON as `write_whole` does."""
    write_whole(path, orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def write_summaries(summaries: Mapping[Path, Any]) -> None:
    """Write each as `write_summary` does, several at a time, in a directory that is made where there is none."""

    def write(path: Path) -> None:
        places.make(path.parent)
        write_summary(path, summaries[path])

    if len(summaries) <= _ALONE:
        for path in summaries:
            write(path)
        return
    with ThreadPoolExecutor(min(_WRITERS, len(summaries) // 2)) as threads:
        for _ in threads.map(write, summaries):
            pass


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Write *content* as `beside` does."""
    with beside(path) as file:
        file.write(content)


@contextmanager
def beside(path: Path) -> Iterator[IO[bytes]]:
    """Give a file to write beside *path*, sync it and put it in its place: readers see the old file or the new one, never half.

    Whoever else writes the same one, as two reports of a run do, writes another file, and waits for nobody: the last one's stays. Raises
    LedgerError where it fails; what was written of it by then takes up no room, which the ledger may need.
    """
    try:
        new, descriptor = _taken(path)
        try:
            # A file object writes all or raises: a bare write to a disk that fills up takes a part and says so by its count alone.
            with os.fdopen(descriptor, "wb", closefd=False) as file:
                yield file
            os.fsync(descriptor)
            new.replace(path)
        except BaseException:
            with suppress(OSError):
                new.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
        places.sync_directory(path.parent)
    except OSError as error:
        raise LedgerError(f"{path}: cannot be written: {error.strerror}; the rows are safe, this file can be made again") from None


def _taken(path: Path) -> tuple[Path, int]:
    """Open an empty file beside *path* that nobody else writes to; one that a killed process left is taken again."""
    for number in itertools.count():
        new = path.with_name(f".{path.name}.{number}.new" if number else f".{path.name}.new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            if take(descriptor) and _stands(new, descriptor):
                os.ftruncate(descriptor, 0)
                return new, descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise AssertionError


def _stands(path: Path, descriptor: int) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(path.stat(follow_symlinks=False), os.fstat(descriptor))
    return False
