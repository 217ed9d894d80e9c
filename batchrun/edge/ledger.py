"""The ledger being written: entries and attempts appended, synced behind.

The contract

- When `flush` returns, what was noted is with the kernel, in one write a file: a killed process loses nothing that had been flushed. It
  costs at most the calls that were under way or had just ended, and they are in doubt
  (`test_an_entry_is_in_the_file_when_flush_returns_and_is_private`; `tests/faults/kills.py`: killed at random; `tests/faults/points.py`:
  killed at every call to the kernel).
- All files are synced about once a second, off the event loop, several at a time. A lost machine costs at most what `room` lets pile up:
  two seconds or 16 MiB, whichever is reached first; after that nothing is launched until the disk has caught up
  (`test_launching_waits_while_too_much_lies_unsynced`; `tests/faults/power.py`: what was not synced is dropped).
- A sync that takes its time holds up what is launched, after two seconds or when what was promised is used up, and nothing else: timeouts,
  answers in flight and signals are seen to meanwhile, and memory stays as it is (`tests/faults/test_stalled.py`). A write, or the making of
  a file, that the kernel holds up holds up the whole loop: nothing is lost by it, the calls are given the time back
  (`tests/faults/stalled.py`), and a signal is heard after it.
- The end of attempts.log goes with it. So calls are promised ahead, by workspace and model, in lines that are synced before the calls are
  sent (`core/ledger/promises.py`): what a lost machine may have sent and no line tells of counts as in doubt, and the bill stays within
  statement and doubt (`tests/core/ledger/test_promises.py`; `tests/faults/power.py`). A killed process loses no line, and an opening that
  ends well says so: a lost machine is told by another boot, or by lines that cannot be read.
- A new file's name is synced with its directory before anything is written to it, and a new directory's with its own (`open_file`, from
  the run directory, sees to it; `tests/faults/power.py`).
- The first failed write or sync ends the ledger: every later call raises, nothing more is launched, and the run ends with exit code 4, the
  file and the reason. What was under way then is counted and told, and stands in doubt
  (`test_the_first_failed_write_ends_the_ledger_for_every_file`; `tests/faults/disk.py`, `points.py`).
- An entry that there is no memory to write fails by itself: nothing of it stands, its call is in doubt, the others that came with it are
  written, and the run ends with exit code 4 (`test_an_entry_that_there_is_no_memory_for_is_told_and_the_others_are_written`; a mistake of
  batchrun's own in one row's settling costs the others as little, and ends with exit code 1). Where memory runs out, or anything else
  interrupts, while lines are handed to the kernel, the ledger ends: what the kernel took stands, none of it is written again or written
  behind, and the rest is in doubt (`test_no_memory_to_write_ends_the_ledger`,
  `test_what_interrupts_a_write_ends_the_ledger_and_no_line_is_written_twice`; `tests/faults/memory.py`: at random, and killed for it).
- A second fsync after a failed one reports success over pages that were dropped (seen on Linux with ext4), so none is ever believed
  (`test_a_failed_sync_ends_the_ledger_and_is_never_tried_again`). The kernel still shows the lost pages to whoever reads: all files are put
  out of its cache, so that the next opening reads what the disk has, and trusts nothing else (`tests/faults/disk.py`: a genuine failure,
  and a control that believes the cache).
- A file that is moved or deleted under the run ends the ledger too, at the next sync: what is written to it would be nowhere
  (`tests/faults/test_run_directory.py`).
- The start of a call stands in attempts.log before it is sent, for it is flushed before. The end of an answer, whose entry stands by then,
  is written with the next line, within a second: without it the entry says as much.
- Each line has a seal: one that was changed later is told from one that stands as it was written (`tests/faults/damage.py`).
- Whoever follows the ledger is given what its lines are read as when they are with the kernel, and not before: what could not be written
  counts for nobody (`test_what_is_followed_is_what_is_read_and_never_more_than_what_was_written`). An entry is given with the end of its
  call.

One event loop owns a ledger: nothing here is called from two threads but `_sync_all`, which touches descriptors only.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import time
from types import TracebackType
from typing import Self

import anyio
from anyio.to_thread import run_sync

from batchrun.core.errors import LedgerError, StoppedError
from batchrun.core.ledger.attempts import Bound, closed_line, ended_line, opened_line, promised_line, started_line
from batchrun.core.ledger.entry import Form
from batchrun.core.ledger.entry_writing import write_entry
from batchrun.core.ledger.marking import Growth
from batchrun.core.ledger.promises import Promises
from batchrun.core.ledger.untold import Follower, Untold
from batchrun.core.model import Answered, Failure, Money, Outcome, Reply, Row, Usage

SYNC_EVERY = 1.0
UNSYNCED_SECONDS = 2.0
UNSYNCED_BYTES = 16 << 20
SYNCERS = 16
"""Files that are synced at a time: a journal's commit is paid once for all that wait for it. One by one, a thousand take seconds."""
_ALONE = 4
"""So few files are synced one after the other."""

_Place = tuple[str, ...]
"""A file's path within the run directory."""
_LOG: _Place = ("attempts.log",)

Pricer = Callable[[str, str, Usage, float], Money | None]
"""What a call of a workspace and model cost that began at a wall time; None where that is unknown."""


@dataclass(slots=True, eq=False)
class _File:
    path: Path
    descriptor: int
    growth: Growth
    """By what was written here."""
    lines: list[bytes] = field(default_factory=list)
    """Not written yet."""


class Ledger:
    """The append-only files of one opened run. A context manager: leaving it syncs what is left and closes the files."""

    def __init__(
        self, directory: Path, opening: int, open_file: Callable[[Path], int], *, form: Form = "batchrun", raw: bool = False,
        price: Pricer = lambda _workspace, _model, _usage, _at: None, boot: str | None = None, wall_time: Callable[[], float] = time,
    ) -> None:  # fmt: skip
        """*boot* tells this start of this machine from any other; without it, no calls are promised ahead."""
        self._directory = directory
        self._open_file = open_file
        self._opening = opening
        self._form: Form = form
        self._raw = raw
        self._price = price
        self._boot = boot
        self._wall_time = wall_time
        self._untold: Untold | None = None
        """For whoever follows."""
        self._growths: dict[str, Growth] = {}
        self._promises = Promises()
        self._promising: anyio.Event | None = None
        self._under_way: dict[str, Row] = {}
        self._files: dict[_Place, _File] = {}
        self._noted: list[_File] = []
        """Have lines that the next flush writes."""
        self._dirty: set[_File] = set()
        """Were written to since the last sync."""
        self._behind: list[bytes] = []
        """Ends that the next line of attempts.log takes along."""
        self._unsynced_bytes = 0
        self._unsynced_since: float | None = None
        self._syncing_since: float | None = None
        self._attempts = 0
        self._broken: LedgerError | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if self._broken is None:
                self._catch_up()
                self._sync_all(self._take_dirty())
                if self._boot is not None:
                    self._log(closed_line(self._wall_time()))
                    self.flush()
                    self._sync_all(self._take_dirty())
                self.hand_over()
        finally:
            if self._broken is not None:
                self._forget_what_the_disk_has_not()
            for file in self._files.values():
                with suppress(OSError):  # What is synced is synced, and what is broken is told already.
                    os.close(file.descriptor)
            self._files.clear()

    def be_followed(self, follow: Follower) -> None:
        """Have *follow* be given what is noted from here on."""
        self._untold = Untold(follow, self._form)

    def opened(self, at: float) -> None:
        """Note in attempts.log that an opening begins."""
        self._log(opened_line(self._opening, at, self._boot))
        self.flush()

    def promise(self, row: Row, most: Bound) -> bool:
        """Count a call ahead; False where it goes beyond what is promised, and `promised` must be awaited before it is started."""
        return self._boot is None or self._promises.count(row.workspace, row.model, most)

    async def promised(self, row: Row) -> None:
        """Wait for a sync, one for all that wait; the next promise is larger."""
        while not self._promises.covers(row.workspace, row.model):
            if self._promising is not None:
                await self._promising.wait()
            else:
                await self._promise_more()

    def start(self, row: Row, most: Bound, at: float) -> str:
        """Note that an attempt is about to be sent, and name it. It is sent when that was flushed."""
        self._attempts += 1
        name = f"{self._opening}-{self._attempts}"
        self._note_log(started_line(name, at, row, most))
        if self._untold is not None:
            self._untold.start(name, at, row, most)
        self._under_way[name] = row
        return name

    def end(self, attempt: str, verdict: str, result: Reply | Failure, at: float) -> None:
        """Note what an attempt brought; its entry, where it has one, was flushed before."""
        row = self._under_way.pop(attempt)
        if verdict == "answered" and result.usage is not None:
            self._behind.append(line := ended_line(attempt, at, verdict, result))
        else:
            cost = self._price(row.workspace, row.model, result.usage, at) if result.usage is not None else None
            self._note_log(line := ended_line(attempt, at, verdict, result, cost, metadata=row.metadata))
        if self._untold is not None:
            self._untold.end(attempt, at, verdict, result, line)

    def append(self, outcome: Outcome, now: float) -> None:
        """Note *outcome*'s entry. *now* is the loop's time. Raises StoppedError where there is no memory for it."""
        try:
            cost = self._cost(outcome)
            line = write_entry(outcome, self._form, raw=self._raw, cost=cost)
        except MemoryError:
            raise _no_memory_for(outcome.row) from None
        self._note((outcome.row.workspace, "results.jsonl" if isinstance(outcome, Answered) else "errors.jsonl"), line)
        if self._untold is not None:
            self._untold.entry(outcome, cost, line)
        self._unsynced_bytes += len(line)
        if self._unsynced_since is None:
            self._unsynced_since = now

    def flush(self) -> None:
        """Write what was noted; on return a killed process can no longer lose it."""
        for file in self._noted:
            # Whatever interrupts it, no line is written a second time.
            lines, file.lines = file.lines, []
            self._write(file, lines)
        self._noted.clear()

    def tell(self) -> None:
        """Tell whoever follows what is written, where it is worth it: calls are made before that, and not after."""
        if self._untold is not None and self._untold.is_worth_telling:
            self._tell()

    def hand_over(self) -> None:
        """Write what was noted, ends included, and tell it to whoever follows."""
        self._catch_up()
        self._tell()

    def followed(self) -> dict[str, Growth] | None:
        """What was written to each file, by its path in the run directory; None where not all of it was told."""
        return self._growths if self._untold is not None and self._untold.is_all_told else None

    def _tell(self) -> None:
        # What is noted and not written yet counts for nobody.
        if self._untold is not None and not (self._noted or self._behind):
            self._untold.tell()

    def _cost(self, outcome: Outcome) -> Money | None:
        usage = outcome.reply.usage if isinstance(outcome, Answered) else outcome.failure.usage
        if usage is None or outcome.call is None:
            return None
        return self._price(outcome.row.workspace, outcome.row.model, usage, outcome.call.started_at)

    def room(self, now: float) -> bool:
        """Whether so little lies unsynced that more may be launched; never again after a failure."""
        if self._broken is not None or (self._syncing_since is not None and now - self._syncing_since >= UNSYNCED_SECONDS):
            return False
        return self._unsynced_since is None or (now - self._unsynced_since < UNSYNCED_SECONDS and self._unsynced_bytes < UNSYNCED_BYTES)

    async def keep_synced(self, on_room: Callable[[], None]) -> None:
        """Sync behind, for as long as the run lasts; calls *on_room* after each sync."""
        while True:
            await anyio.sleep(SYNC_EVERY)
            if promises := self._promises.due():
                self._log(promised_line(promises, self._wall_time()))
            self._catch_up()
            if not self._dirty:
                continue
            began = anyio.current_time()
            dirty, size = self._take_dirty(), self._unsynced_bytes
            written, self._syncing_since = self._promises.written, began
            await run_sync(self._sync_all, dirty)
            self._syncing_since = None
            self._promises.stand(written)
            self._unsynced_bytes -= size
            # What was appended meanwhile is unsynced since the sync began, at the earliest.
            self._unsynced_since = began if self._dirty else None
            on_room()

    async def _promise_more(self) -> None:
        self._promising = anyio.Event()
        try:
            self._log(promised_line(self._promises.due(), self._wall_time()))
            self.flush()
            written = self._promises.written
            await run_sync(self._sync, self._files[_LOG])
            self._promises.stand(written)
        finally:
            self._promising.set()
            self._promising = None

    def _take_dirty(self) -> list[_File]:
        dirty = [*self._dirty]
        self._dirty.clear()
        return dirty

    def _log(self, line: bytes) -> None:
        self._note_log(line)
        if self._untold is not None:
            self._untold.line(line)

    def _note_log(self, line: bytes) -> None:
        self._note(_LOG, *self._behind, line)
        self._behind.clear()

    def _catch_up(self) -> None:
        if self._behind:
            self._note(_LOG, *self._behind)
            self._behind.clear()
        self.flush()

    def _note(self, place: _Place, *lines: bytes) -> None:
        if self._broken is not None:
            raise self._broken
        file = self._files.get(place) or self._opened(place)
        if not file.lines:
            self._noted.append(file)
        file.lines += lines

    def _write(self, file: _File, noted: list[bytes]) -> None:
        if self._broken is not None:
            raise self._broken
        self._dirty.add(file)
        try:
            lines = b"".join(noted)
            written = os.write(file.descriptor, lines)
            while written < len(lines):
                written += os.write(file.descriptor, lines[written:])
        except OSError as error:
            raise self._break(file.path, "written", error) from None
        except MemoryError:
            raise self._break(file.path, "written", OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))) from None
        except BaseException:
            # A second Ctrl-C, in a program of somebody's own: how much of it stands is not known, so nothing may be written behind it.
            self._break(file.path, "written", InterruptedError(errno.EINTR, os.strerror(errno.EINTR)))
            raise
        if self._untold is not None:
            file.growth.add(lines, len(noted))

    def _opened(self, place: _Place) -> _File:
        path = self._directory.joinpath(*place)
        try:
            descriptor = self._open_file(path)
            growth = self._growths["/".join(place)] = Growth(os.fstat(descriptor).st_size)
            file = self._files[place] = _File(path, descriptor, growth)
        except OSError as error:
            raise self._break(path, "written", error) from None
        return file

    def _sync_all(self, dirty: list[_File]) -> None:
        if len(dirty) <= _ALONE:
            for each in dirty:
                self._sync(each)
            return
        with ThreadPoolExecutor(min(SYNCERS, len(dirty) // 2)) as threads:
            for _ in threads.map(self._sync, dirty):
                pass

    def _sync(self, dirty: _File) -> None:
        try:
            os.fdatasync(dirty.descriptor)
            _must_stand(dirty.path, dirty.descriptor)
        except OSError as error:
            raise self._break(dirty.path, "synced", error) from None

    def _forget_what_the_disk_has_not(self) -> None:
        """Have every page written, or not: whatever the kernel says to that, it is believed no more, and what it holds is put out."""
        for file in self._files.values():
            with suppress(OSError):
                os.fdatasync(file.descriptor)
            with suppress(OSError):
                os.posix_fadvise(file.descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    def _break(self, path: Path, what: str, error: OSError) -> LedgerError:
        count = len(self._under_way)
        doubt = f"{count:,} calls were under way: they may have been billed, and count as in doubt. " if count else ""
        mend = "Give the run more memory" if error.errno == errno.ENOMEM else "Mend the disk"
        self._broken = LedgerError(
            f"{path}: could not be {what}: {error.strerror}. Nothing more is sent or written. {doubt}"
            f"{mend} and run the same command again: it goes on from what the files hold"
        )
        return self._broken


def _no_memory_for(row: Row) -> StoppedError:
    return StoppedError(
        f"there was no memory left to write the entry of row {row.id!r:.80} of {row.workspace}: its call counts as in doubt, what else was "
        "answered is kept. Give the run more memory, or fewer slots, and run the same command again"
    )


def _must_stand(path: Path, descriptor: int) -> None:
    """Raise OSError unless what is written to *descriptor* stands at *path*: a file that was deleted takes everything and keeps nothing."""
    with suppress(FileNotFoundError):
        if os.path.samestat(path.stat(follow_symlinks=False), os.fstat(descriptor)):
            return
    raise OSError(errno.ENOENT, "it was moved or deleted while the run was writing to it")
