"""The lock of a run directory.

It is `flock` on a file that is never unlinked: the kernel lets go of it when the process dies, whoever else has the file open cannot take
it away, and two processes can never hold two files of the same name. The pid in it is only for the message.

What a program forks while it runs a job has the same files open, and lives for longer, maybe: a lock is given back by whoever took it, and
not left to the last of them to close it.

People do unlink what is called a lock, to have a run that is "in use" begin. So the directory itself is locked too, which cannot be deleted
while a run stands in it; where a file system has no lock for directories (NFS), the file's is the only one.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from batchrun.core.errors import NO_PLACE, JobError, LedgerError, RunInUseError
from batchrun.edge.run_directory.places import make_whole_way, refuse_a_twin

_FILE, _SOMEBODY = "run.lock", "another process"
_GLANCES, _GLANCE = 25, 0.02
"""How often, and after how many seconds, it is looked who holds a run that another process has just taken."""


@contextmanager
def locked(directory: Path) -> Iterator[Path]:
    """Make *directory* where there is none and hold it; raise RunInUseError where another process does, JobError where none can be.

    RunDamagedError where another system has made it, and written its name otherwise.
    """
    refuse_a_twin(directory)
    with ExitStack() as held:
        try:
            make_whole_way(directory)
            itself = _opened(held, directory, os.O_RDONLY | os.O_DIRECTORY)
            lock = _opened(held, directory / _FILE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            raise (JobError if error.errno in NO_PLACE else LedgerError)(_unusable(directory, _of_what(error))) from None
        _hold(itself, lock, directory)
        yield directory


def refuse_a_file(directory: Path) -> None:
    """Raise the error of `locked` where *directory*, which need not be there, is a file or leads through one. Nothing is made.

    So where its disk does not let it be looked at; what this user may not do is told by whoever reads there.
    """
    try:
        is_one = stat.S_ISDIR(directory.stat().st_mode)
    except NotADirectoryError:
        is_one = False
    except OSError as error:
        if error.errno in NO_PLACE:
            return
        raise LedgerError(_unusable(directory, _of_what(error))) from None
    if not is_one:
        raise JobError(_unusable(directory, os.strerror(errno.ENOTDIR)))


def _unusable(directory: Path, why: str) -> str:
    return f"{directory}: cannot be used as a run directory: {why}; give the job another output, or mend this one"


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
    if not any(_is_taken(*each) for each in ((directory, os.O_DIRECTORY), (directory / _FILE, os.O_NOFOLLOW | os.O_NONBLOCK))):
        return None
    with ExitStack() as looking:
        try:
            return _owner(_opened(looking, directory / _FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK))
        except OSError:
            return _SOMEBODY


def take(lock: int) -> bool:
    """Take the lock of an open file; False where another holds it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _opened(held: ExitStack, path: Path, flags: int) -> int:
    """Open *path* until *held* is left."""
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
    held.callback(_close, descriptor, os.getpid())
    return descriptor


def _close(descriptor: int, by: int) -> None:
    with suppress(OSError):
        # A fork that leaves the block ends nothing of its parent's.
        if os.getpid() == by:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    with suppress(OSError):  # The kernel has let go of it all the same.
        os.close(descriptor)


def _hold(itself: int, lock: int, directory: Path) -> None:
    try:
        if not (_take_itself(itself) and take(lock)):
            owner = _owner(lock)
            # A report that only looked whether anybody holds it has let go by then.
            time.sleep(_GLANCE)
            if not (_take_itself(itself) and take(lock)):
                raise _in_use(directory, owner)
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
    except OSError as error:
        raise LedgerError(f"{directory}: cannot be locked: {error.strerror}") from None


def _of_what(error: OSError) -> str:
    return f"{_FILE}: {error.strerror}" if error.filename and Path(error.filename).name == _FILE else f"{error.strerror}"


def _take_itself(directory: int) -> bool:
    """Take the lock of an open directory; True too where it has none."""
    try:
        return take(directory)
    except OSError:
        return True


def _is_taken(path: Path, flags: int) -> bool:
    """Whether anybody holds the lock of *path*."""
    try:
        descriptor = os.open(path, flags | os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # Held for no longer than this line takes; whoever begins just then looks a second time.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def _in_use(directory: Path, owner: str) -> RunInUseError:
    return RunInUseError(f"{directory}: in use by {owner}; wait for it, or stop it, then try again")


def _owner(lock: int) -> str:
    """Who holds the lock: what stands in it may be of an owner that is gone, for the moment in which the new one has not signed yet."""
    for _ in range(_GLANCES):
        owner = os.pread(lock, 200, 0).decode(errors="replace").strip()
        if owner and not _is_gone(owner):
            return owner
        time.sleep(_GLANCE)
    return _SOMEBODY


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
