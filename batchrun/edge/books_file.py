"""The books on disk, beside the run directories that they are about: read, changed by one process at a time, and put in place whole.

A hidden file, so that ``runs/*`` names runs alone. The lock is a file of its own, for the books are replaced and not written over; it is
never unlinked. A process that has borrowed holds a second lock in its own run directory, so that others see whether it lives. Nothing is
written through a link: others may write to the folder, and lay one under these names.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from batchrun.core.errors import LedgerError
from batchrun.core.money.books import Books, read_books

HOLDER = "books.lock"
"""Of a run's own directory: locked by the process that has borrowed for it."""
_FILE, _LOCK = ".books.json", ".books.lock"


class BooksFile:
    """The books of one folder of runs."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / _FILE
        self._lock = folder / _LOCK
        self._written: tuple[bytes, Books] | None = None
        """What was written here last, until it is given out: books of many pages take longer to understand than to read."""

    def locked(self) -> AbstractContextManager[None]:
        """Keep other processes, and other threads, from the books; waits for them."""
        return _holding(self._lock, fcntl.LOCK_EX)

    def locked_at_once(self) -> AbstractContextManager[None]:
        """Do the same, and raise BlockingIOError where another has them."""
        return _holding(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def read(self) -> Books | None:
        """Read the books; None where there are none that can be understood."""
        written, self._written = self._written, None
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unusable(self.path, error) from None
        return written[1] if written is not None and written[0] == content else read_books(content)

    def write(self, books: Books) -> None:
        """Put *books* in place: a reader, and whoever comes after a killed process, sees the old ones or the new ones.

        They are given out again by the next `read`: who has written them has done with them.
        """
        content, beside = books.as_bytes(), self.path.with_name(f"{_FILE}.new")
        try:
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            beside.replace(self.path)
        except OSError as error:
            raise _unusable(self.path, error) from None
        self._written = content, books


def held(directory: Path) -> AbstractContextManager[None]:
    """Show that a process lives which has borrowed for the run in *directory*; it holds the run's own lock already."""
    return _holding(directory / HOLDER, fcntl.LOCK_EX)


def is_held(directory: Path) -> bool:
    """Whether a process lives that has borrowed for the run in *directory*."""
    try:
        lock = os.open(directory / HOLDER, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return False
    except OSError as error:
        # Taken for dead, it would be left what it holds and others would be lent it too.
        raise _unusable(directory / HOLDER, error) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:
        raise _unusable(directory / HOLDER, error) from None
    finally:
        os.close(lock)
    return False


def is_there(path: Path) -> bool:
    """Whether anything stands at *path*; raises LedgerError where that is not to be had."""
    try:
        return _status(path) is not None
    except NotADirectoryError:
        return False
    except OSError as error:
        raise _unusable(path, error) from None


def name_of(directory: Path) -> str:
    """What a run is called in the books of its folder: as its directory is, whatever link of the folder leads there."""
    own = directory.absolute()
    led_to = own.resolve()
    return led_to.name if led_to.parent == own.parent.resolve() else own.name


def runs_beside(directory: Path) -> list[Path]:
    """The other run directories of the folder that *directory* stands in, each once: a ``latest`` that leads to one of them is none."""
    found: dict[tuple[int, int], Path] = {}
    folder = directory.absolute().parent
    try:
        for path in sorted(folder.iterdir(), key=lambda path: (path.is_symlink(), path)):
            if _is_run(path) and (status := _status(path)) is not None:
                found.setdefault((status.st_dev, status.st_ino), path)
        if (own := _status(directory)) is not None:
            found.pop((own.st_dev, own.st_ino), None)
    except OSError as error:
        raise _unusable(folder, error) from None
    return sorted(found.values())


def ledger_bytes(directory: Path) -> tuple[int, float]:
    """How large a run's ledger is, and when it was last written to, in seconds since the epoch."""
    try:
        files = [directory / "attempts.log", *directory.glob("*/results.jsonl"), *directory.glob("*/errors.jsonl")]
        status = [found for path in files if (found := _status(path)) is not None]
    except OSError as error:
        raise _unusable(directory, error) from None
    return sum(each.st_size for each in status), max((each.st_mtime for each in status), default=0.0)


@contextmanager
def _holding(path: Path, how: int) -> Iterator[None]:
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise _unusable(path, error) from None
    by = os.getpid()
    try:
        try:
            fcntl.flock(lock, how)
        except BlockingIOError:
            raise
        except OSError as error:
            raise _unusable(path, error) from None
        yield
    finally:
        # What was forked meanwhile has it open too, for as long as it lives; and a fork that leaves the block ends nothing of its parent's.
        with suppress(OSError):
            if os.getpid() == by:
                fcntl.flock(lock, fcntl.LOCK_UN)
        os.close(lock)


def _is_run(path: Path) -> bool:
    """Whether a run stands at *path*: what cannot be read there is told by who counts it; one without a description was paid too."""
    try:
        found = _status(path / "run.json") or _status(path / "attempts.log")
    except PermissionError:
        # Books are their owner's alone: who may not enter a directory shares none with whoever runs there. A volume has its lost+found.
        return False
    except OSError as error:
        if error.errno in {errno.ENOTDIR, errno.ELOOP}:
            return False
        raise
    return found is not None and not stat.S_ISDIR(found.st_mode)


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        # Old runs are removed whenever somebody likes.
        return None


def _unusable(path: Path, error: OSError) -> LedgerError:
    return LedgerError(f"{path}: the books of budgets cannot be kept: {error.strerror}; nothing is sent that they would not know of")
