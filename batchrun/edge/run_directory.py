"""The run directory: made, locked, described. Directories are 0700, files 0600.

The lock is `flock` on a file that is never unlinked: the kernel lets go of it when the process dies, whoever else has the file open
cannot take it away, and two processes can never hold two files of the same name. The pid in it is only for the message.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import socket
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any

import orjson

from batchrun.core.errors import LedgerError, RunDamagedError, RunInUseError, RunTooNewError

FORMAT = 1
"""Of run.json and the files beside it; a run directory of a newer one is refused."""
_GLANCES, _GLANCE = 25, 0.02
"""How often, and after how many seconds, it is looked who holds a run that another process has just taken."""
_WRITERS, _ALONE = 16, 4
"""Summaries that are written at a time, for a journal's commit is paid once for all that wait for it; so few are written one by one."""
_DIGEST = "blake2b"
"""The field that holds the digest of the others."""


@contextmanager
def locked(directory: Path) -> Iterator[Path]:
    """Make *directory* where there is none and hold it; raise RunInUseError where another process does."""
    try:
        _make(directory)
        lock = os.open(directory / "run.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as error:
        what = f"{directory}: cannot be used as a run directory: {error.strerror}"
        raise LedgerError(f"{what}; give the job another output, or mend this one") from None
    try:
        _hold(lock, directory)
        yield directory
    finally:
        with suppress(OSError):  # The kernel has let go of it all the same.
            os.close(lock)


@contextmanager
def kept_still(directory: Path) -> Iterator[None]:
    """Hold *directory* to read it, as `locked` does; one that is on a read-only file system is held by whoever may write there alone."""
    if not os.statvfs(directory).f_flag & os.ST_RDONLY:
        with locked(directory):
            yield
    elif (owner := holder(directory)) is not None:
        raise _in_use(directory, owner)
    else:
        yield


def holder(directory: Path) -> str | None:
    """Who holds the run in *directory*, as its lock is signed; None where nobody does, or it cannot be told."""
    try:
        lock = os.open(directory / "run.lock", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        # Held for no longer than this line takes; whoever begins just then looks a second time.
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _owner(lock)
    except OSError:
        return None
    finally:
        os.close(lock)
    return None


def _take(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _hold(lock: int, directory: Path) -> None:
    try:
        if not _take(lock):
            owner = _owner(lock)
            # A report that only looked whether anybody holds it has let go by then.
            time.sleep(_GLANCE)
            if not _take(lock):
                raise _in_use(directory, owner)
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
    except OSError as error:
        raise LedgerError(f"{directory}: cannot be locked: {error.strerror}") from None


def _in_use(directory: Path, owner: str) -> RunInUseError:
    return RunInUseError(f"{directory}: in use by {owner}; wait for it, or stop it, then try again")


def _owner(lock: int) -> str:
    """Who holds the lock: what stands in it may be of an owner that is gone, for the moment in which the new one has not signed yet."""
    for _ in range(_GLANCES):
        owner = os.pread(lock, 200, 0).decode(errors="replace").strip()
        if owner and not _is_gone(owner):
            return owner
        time.sleep(_GLANCE)
    return "another process"


def _is_gone(owner: str) -> bool:
    _, pid, *_ = [*owner.split(), "", ""]
    if not owner.endswith(f" on {socket.gethostname()}") or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        return False
    return False


def make(directory: Path) -> None:
    """Make a directory in the run's own where there is none; raises LedgerError where it cannot be made."""
    try:
        _make(directory)
        directory.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise LedgerError(f"{directory}: cannot be made: {error.strerror}; the rows are safe, its summaries can be made again") from None


def workspace_directories(directory: Path) -> list[Path]:
    """List the workspaces' directories that stand in the run directory, by name."""
    if not directory.is_dir():
        return []
    try:
        found = [path for path in directory.iterdir() if path.is_dir()]
        return sorted(path for path in found if (path / "results.jsonl").exists() or (path / "errors.jsonl").exists())
    except OSError as error:
        raise LedgerError(f"{directory}: cannot be read: {error.strerror}") from None


def read_description(directory: Path) -> dict[str, Any] | None:
    """Read run.json; None where there is none. Raise RunDamagedError where it cannot be understood."""
    path = directory / "run.json"
    try:
        described = orjson.loads(path.read_bytes())
        if not isinstance(described, dict) or not isinstance(described["format"], int):
            raise RunDamagedError(f"{path}: is no description of a run; move it away if it was put there by hand")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (orjson.JSONDecodeError, KeyError):
        raise RunDamagedError(f"{path}: cannot be read as JSON; the rows are safe in the workspaces' files: move run.json away") from None
    except OSError as error:
        raise LedgerError(f"{path}: {error.strerror}") from None
    if described["format"] > FORMAT:
        raise RunTooNewError(f"{path}: was written by a newer batchrun (format {described['format']}); use that version")
    if described.pop(_DIGEST, None) not in {None, digest_of(described)}:
        raise RunDamagedError(f"{path}: was changed after it was written; the rows are safe in the workspaces' files: move run.json away")
    return described


def write_description(directory: Path, described: dict[str, Any]) -> None:
    """Write run.json, with a digest of what stands in it."""
    write_summary(directory / "run.json", {**described, _DIGEST: digest_of(as_read(described))})


def digest_of(told: object) -> str:
    """Of any JSON value, however it is laid out."""
    return blake2b(orjson.dumps(told, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()


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


def write_summary(path: Path, value: Any) -> None:
    """Write JSON as `write_whole` does."""
    write_whole(path, orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def write_summaries(summaries: Mapping[Path, Any]) -> None:
    """Write each as `write_summary` does, several at a time, in a directory that is made where there is none."""

    def write(path: Path) -> None:
        make(path.parent)
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
        sync_directory(path.parent)
    except OSError as error:
        raise LedgerError(f"{path}: cannot be written: {error.strerror}; the rows are safe, this file can be made again") from None


def _taken(path: Path) -> tuple[Path, int]:
    """Open an empty file beside *path* that nobody else writes to; one that a killed process left is taken again."""
    for number in itertools.count():
        new = path.with_name(f".{path.name}.{number}.new" if number else f".{path.name}.new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            if _take(descriptor) and _stands(new, descriptor):
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


def sync_directory(directory: Path) -> None:
    """Make the names in *directory* survive a lost machine."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_to_append(path: Path) -> int:
    """Open one of the run's files for appending, made and its name synced where it is new; raises OSError."""
    new = not path.exists()
    _make(path.parent)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    if new:
        os.fsync(descriptor)
        sync_directory(path.parent)
    return descriptor


def _make(directory: Path) -> None:
    """Make *directory* and what it stands in; each new name is synced, and not only the last one's."""
    if not directory.exists():
        _make(directory.parent)
        directory.mkdir(mode=0o700, exist_ok=True)
        sync_directory(directory.parent)
