"""The lock of a run directory.

It is `flock` on a file that is never unlinked: the kernel lets go of it when the process dies, whoever else has the file open cannot take
it away, and two processes can never hold two files of the same name. The pid in it is only for the message.
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from batchrun.core.errors import LedgerError, RunInUseError
from batchrun.edge.run_directory.places import make_whole_way

_GLANCES, _GLANCE = 25, 0.02
"""How often, and after how many seconds, it is looked who holds a run that another process has just taken."""


@contextmanager
def locked(directory: Path) -> Iterator[Path]:
    """Make *directory* where there is none and hold it; raise RunInUseError where another process does."""
    try:
        make_whole_way(directory)
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


def take(lock: int) -> bool:
    """Take the lock of an open file; False where another holds it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _hold(lock: int, directory: Path) -> None:
    try:
        if not take(lock):
            owner = _owner(lock)
            # A report that only looked whether anybody holds it has let go by then.
            time.sleep(_GLANCE)
            if not take(lock):
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
