"""The append-only files of an opened run: lines gathered, written whole, synced, and believed no more after the first failure.

Lines are noted first and written together, in one write a file and flush: a hundred answers that come in one turn of the loop cost one
call to the kernel, not a hundred. A file is opened before the first line for it is noted and stays open until the run is left.

The first write or sync that fails breaks all files, not its own alone: after it nothing that is read back from the kernel's cache tells
what the disk has, and whoever goes on would pay for answers that cannot be kept. Every later call raises the same LedgerError.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from batchrun.core.counted import counted
from batchrun.core.errors import LedgerError
from batchrun.core.ledger.marking import Growth

SYNCERS = 16
"""Files that are synced at a time: a journal's commit is paid once for all that wait for it. One by one, a thousand take seconds."""
_ALONE = 4
"""So few files are synced one after the other."""

Place = tuple[str, ...]
"""A file's path within the run directory, part by part: ``("legal", "results.jsonl")``."""

_Each = TypeVar("_Each")


@dataclass(slots=True, eq=False)
class File:
    """One that is open."""

    path: Path
    descriptor: int
    growth: Growth
    """By what was written here."""
    size: int
    """With what was written here, when nobody else writes to it."""
    end: int
    """Where it ends once what is being written stands."""
    lines: list[bytes] = field(default_factory=list)
    """Noted, and not written yet."""
    starts: int = 0
    """Of these, the last so many are of calls that are sent once they are written."""
    named: bool = False
    """Whether this opening has synced its name: whatever made it may have been killed before it did."""


class Files:
    """Those of one opening, by their place; what syncs alone may run on another thread than the loop's."""

    def __init__(self, directory: Path, open_file: Callable[[Path], int]) -> None:
        """*open_file* opens a path within *directory* to append to, or makes it, and returns its descriptor."""
        self._directory = directory
        self._open_file = open_file
        self._files: dict[Place, File] = {}
        self._noted: list[File] = []
        """Have lines that the next flush writes."""
        self._dirty: set[File] = set()
        """Were written to since the last sync."""
        self._growths: dict[str, Growth] = {}
        self.under_way: Callable[[], int] = lambda: 0
        """Calls that a failure leaves in doubt, so many: that is told with it."""
        self.marked = False
        """Whether what is written is marked (`growths`): it is digested for that, and only a run that is followed asks."""
        self.broken: LedgerError | None = None
        """What ended the ledger; every later call raises it."""

    @property
    def growths(self) -> Mapping[str, Growth]:
        """What was written to each file, by its path in the run directory."""
        return self._growths

    @property
    def has_noted(self) -> bool:
        """Whether lines are noted that no flush has written."""
        return bool(self._noted)

    @property
    def is_dirty(self) -> bool:
        """Whether anything was written since the last sync began."""
        return bool(self._dirty)

    def note(self, place: Place, *lines: bytes, starts: int = 0) -> None:
        """Note whole lines, in their order; `flush` writes them. The last of them may be *starts* of calls that are sent after it."""
        file = self.open(place)
        if not file.lines:
            self._noted.append(file)
        file.lines += lines
        file.starts = starts

    def open(self, place: Place) -> File:
        """Have a file there that lines can be noted for."""
        if self.broken is not None:
            raise self.broken
        return self._files.get(place) or self._opened(place)

    def flush(self) -> None:
        """Write what was noted; on return a killed process can no longer lose it."""
        for file in self._noted:
            # Whatever interrupts it, no line is written a second time.
            lines, file.lines = file.lines, []
            self._write(file, lines)
        self._noted.clear()

    def take_dirty(self) -> list[File]:
        """Return what `sync_all` must be given; it counts as synced from here on."""
        dirty = [*self._dirty]
        self._dirty.clear()
        return dirty

    def give_back(self, dirty: list[File]) -> None:
        """Count what was taken as not synced: whether the disk has it is not known."""
        self._dirty.update(dirty)

    def sync_all(self, dirty: list[File]) -> None:
        """Have the disk confirm them, several at a time; on return a lost machine can no longer lose what was written before."""
        if unnamed := [file for file in dirty if not file.named]:
            self._name(unnamed)
        _at_once(self.sync, dirty)

    def sync(self, dirty: File) -> None:
        """Have the disk confirm one of them."""
        if not dirty.named:
            self._name([dirty])
        least = dirty.size
        try:
            os.fdatasync(dirty.descriptor)
            _must_stand(dirty, least)
        except OSError as error:
            raise self._break(dirty.path, "synced", error) from None

    def _name(self, files: Collection[File]) -> None:
        """Have the disk confirm the names of *files* and of their directories, each directory once for all that stand in it."""
        _at_once(self.sync_names, [*{self._directory, *(file.path.parent for file in files)}])
        for file in files:
            file.named = True

    def sync_names(self, directory: Path) -> None:
        """Have the disk confirm the names in one directory."""
        try:
            names = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(names)
            finally:
                os.close(names)
        except FileNotFoundError:
            raise self._break(directory, "synced", _is_gone()) from None
        except OSError as error:
            raise self._break(directory, "synced", error) from None

    def at(self, place: Place) -> File:
        """Return a file that lines were noted for."""
        return self._files[place]

    def close(self) -> None:
        """Close them. After a failure what the disk has not got is put out of the kernel's cache before."""
        if self.broken is not None:
            self._forget_what_the_disk_has_not()
        for file in self._files.values():
            with suppress(OSError):  # What is synced is synced, and what is broken is told already.
                os.close(file.descriptor)
        self._files.clear()

    def _opened(self, place: Place) -> File:
        path = self._directory.joinpath(*place)
        try:
            descriptor = self._open_file(path)
            size = os.fstat(descriptor).st_size
            growth = self._growths["/".join(place)] = Growth(size)
            file = self._files[place] = File(path, descriptor, growth, size, size)
        except OSError as error:
            raise self._break(path, "written", error) from None
        return file

    def _write(self, file: File, noted: list[bytes]) -> None:
        if self.broken is not None:
            raise self.broken
        self._dirty.add(file)
        written = 0
        try:
            lines = b"".join(noted)
            file.end += len(lines)
            written = os.write(file.descriptor, lines)
            while written < len(lines):
                written += os.write(file.descriptor, lines[written:])
        except OSError as error:
            _take_back(file, written, sum(map(len, noted[len(noted) - file.starts :])))
            raise self._break(file.path, "written", error) from None
        except MemoryError:
            raise self._break(file.path, "written", OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))) from None
        except BaseException:
            # A second Ctrl-C, in a program of somebody's own: how much of it stands is not known, so nothing may be written behind it.
            self._break(file.path, "written", InterruptedError(errno.EINTR, os.strerror(errno.EINTR)))
            raise
        file.size = file.end
        if self.marked:
            file.growth.add(lines)

    def _forget_what_the_disk_has_not(self) -> None:
        """Have every page written, or not: whatever the kernel says to that, it is believed no more, and what it holds is put out."""
        for file in self._files.values():
            with suppress(OSError):
                os.fdatasync(file.descriptor)
            with suppress(OSError):
                os.posix_fadvise(file.descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    def _break(self, path: Path, what: str, error: OSError) -> LedgerError:
        count = self.under_way()
        one, many = "call was under way: it may have been billed, and counts", "calls were under way: they may have been billed, and count"
        doubt = f"{counted(count, one, many)} as in doubt. " if count else ""
        mend = (
            error.way_out
            if isinstance(error, _MeddlingError)
            else "Give the run more memory"
            if error.errno == errno.ENOMEM
            else "Mend the disk"
        )
        self.broken = LedgerError(
            f"{path}: could not be {what}: {error.strerror}. Nothing more is sent or written. {doubt}"
            f"{mend} and run the same command again: it goes on from what the files hold"
        )
        return self.broken


def _take_back(file: File, written: int, starts: int) -> None:
    """Cut off what stands of the last so many bytes of a write that failed: they say of calls that they start, and none of them is sent.

    Not where another process has written behind them.
    """
    sent = file.end - starts
    with suppress(OSError):
        if sent < file.size + written == os.fstat(file.descriptor).st_size:
            os.ftruncate(file.descriptor, sent)


def _at_once(step: Callable[[_Each], None], each: Sequence[_Each]) -> None:
    """Take a *step* for each, several at a time."""
    if len(each) <= _ALONE:
        for one in each:
            step(one)
        return
    with ThreadPoolExecutor(min(SYNCERS, len(each) // 2)) as threads:
        for _ in threads.map(step, each):
            pass


class _MeddlingError(OSError):
    """What somebody does to a file under the run, where no disk has failed."""

    def __init__(self, number: int, what: str, way_out: str) -> None:
        super().__init__(number, f"it was {what} while the run was writing to it")
        self.way_out = way_out


def _must_stand(file: File, least: int) -> None:
    """Raise OSError unless what is written to *file* stands at its path, and there alone, after *least* bytes of it.

    A file that was deleted takes everything and keeps nothing; one that another process writes to is of a run that two have open, on a
    file system whose locks do not hold between machines.
    """
    with suppress(FileNotFoundError):
        found = os.fstat(file.descriptor)
        if os.path.samestat(file.path.stat(follow_symlinks=False), found):
            if not least <= found.st_size <= file.end:
                raise _MeddlingError(errno.EBUSY, "written to, or cut, by another process", "See that one process alone has this run open")
            return
    raise _is_gone()


def _is_gone() -> OSError:
    return _MeddlingError(errno.ENOENT, "moved or deleted", "Put it back, or have the job's output name where it is,")
