"""What a run writes its ledger with: calls named and noted as they start and end, their entries appended, syncs and promises kept up.

The order in which things are written is what a resume and the bill rest on (the room's contract, in `__init__.py`):

1. a call is promised: it counts among those that attempts.log says, on the disk, may be made (`promise`, and `promised` to wait for it);
2. its start is noted and flushed, and only then is it sent (`start`, `flush`);
3. its answer's entry is noted and flushed, and only then is its slot given back (`append`, `flush`);
4. its end is noted: of an answer it is written with the log's next line, for the entry says as much (`end`).

Once a second, behind all that, what was written is synced (`keep_synced`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import time
from types import TracebackType
from typing import Self

import anyio
from anyio.to_thread import run_sync

from batchrun.core.errors import StoppedError
from batchrun.core.ledger.attempts import Bound, closed_line, ended_line, opened_line, promised_line, started_line
from batchrun.core.ledger.entry import Form
from batchrun.core.ledger.entry_writing import write_entry
from batchrun.core.ledger.marking import Growth
from batchrun.core.ledger.promises import Promises
from batchrun.core.ledger.unsynced import Unsynced
from batchrun.core.ledger.untold import Follower, UnderWay, Untold
from batchrun.core.model import Answered, Failure, Money, Outcome, Reply, Row, Usage
from batchrun.edge.ledger.files import Files, Place

SYNC_EVERY = 1.0
_LOG: Place = ("attempts.log",)
_RESULTS = "results.jsonl"

Pricer = Callable[[str, str, Usage, float], Money | None]
"""What a call of a workspace and model cost that began at a wall time; None where that is unknown."""


class Ledger:
    """The ledger of one opened run. A context manager: leaving it syncs what is left and closes the files.

    Every method that writes or notes raises LedgerError once a write or a sync has failed.
    """

    def __init__(
        self, files: Files, opening: int, *, form: Form = "batchrun", raw: bool = False,
        price: Pricer = lambda _workspace, _model, _usage, _at: None, boot: str | None = None, wall_time: Callable[[], float] = time,
    ) -> None:  # fmt: skip
        """*files*, which are its own from here on, take the lines; *opening* numbers this opening of the run, and names its attempts.

        *boot* tells this start of this machine from any other; without it, no calls are promised ahead.
        """
        self._files = files
        self._opening = opening
        self._form: Form = form
        self._raw = raw
        self._price = price
        self._boot = boot
        self._wall_time = wall_time
        self._attempts = 0
        self._under_way: dict[str, UnderWay] = {}
        self._starting = 0
        """Of these, so many that are sent once the next flush has written that they start."""
        files.under_way = lambda: len(self._under_way) - self._starting
        self._lines: list[bytes] = []
        """Of attempts.log, not handed to its file yet."""
        self._due = False
        """The next flush is to write them: there are others than ends of answers, which the next line takes along."""
        self._unsynced = Unsynced()
        self._promises = Promises()
        self._promising: anyio.Event | None = None
        """Set when the sync that all wait for has ended; None where there is none."""
        self._untold: Untold | None = None
        """For whoever follows."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Sync what is left, and close the files; blocks, and may be called in a worker thread once nothing else uses it."""
        try:
            if self._files.broken is None:
                self._end_well()
        finally:
            self._files.close()

    def be_followed(self, follow: Follower) -> None:
        """Have *follow* be given what is noted from here on."""
        self._untold = Untold(follow, self._form, self._under_way)
        self._files.marked = True

    def opened(self, at: float) -> None:
        """Note in attempts.log that an opening begins, at a wall time, and write it."""
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
        """Note that an attempt is about to be sent, at a wall time, and name it. It is sent when that was flushed."""
        self._attempts += 1
        name = f"{self._opening}-{self._attempts}"
        # Where no file can be made any more, no answer is paid for that none would hold.
        self._files.open((row.workspace, _RESULTS))
        self._lines.append(started_line(name, at, row, most))
        self._due = True
        self._under_way[name] = row, at, most
        self._starting += 1
        return name

    def end(self, attempt: str, verdict: str, result: Reply | Failure, at: float) -> None:
        """Note what an attempt brought, at a wall time; its entry, where it has one, was flushed before."""
        row, began_at, _ = began = self._under_way.pop(attempt)
        if verdict == "answered" and result.usage is not None:
            self._lines.append(line := ended_line(attempt, at, verdict, result))
        else:
            cost = self._price(row.workspace, row.model, result.usage, began_at) if result.usage is not None else None
            self._note_log(line := ended_line(attempt, at, verdict, result, cost, metadata=row.metadata))
        if self._untold is not None:
            self._untold.end(attempt, began, at, verdict, result, line)

    def append(self, outcome: Outcome, now: float) -> None:
        """Note *outcome*'s entry. *now* is the loop's time. Raises StoppedError where there is no memory for it."""
        row, call = outcome.row, outcome.call
        if isinstance(outcome, Answered):
            name, usage = _RESULTS, outcome.reply.usage
        else:
            name, usage = "errors.jsonl", outcome.failure.usage
        try:
            cost = None if usage is None or call is None else self._price(row.workspace, row.model, usage, call.started_at)
            line = write_entry(outcome, self._form, raw=self._raw, cost=cost)
        except MemoryError:
            raise _no_memory_for(row) from None
        self._files.note((row.workspace, name), line)
        if self._untold is not None:
            self._untold.entry(outcome, cost, line)
        self._unsynced.add(len(line), now)

    def flush(self) -> None:
        """Write what was noted; on return a killed process can no longer lose it."""
        if self._due:
            self._note_lines()
        self._files.flush()
        self._starting = 0

    def tell(self) -> None:
        """Tell whoever follows what is written, where it is worth it: calls are made before that, and not after."""
        if self._untold is not None and self._untold.is_worth_telling:
            if self._untold.is_large and not self._starting:
                # Ends that wait for the log's next line would hold their answers as long, and it may be long in coming.
                self._catch_up()
            self._tell()

    def hand_over(self) -> None:
        """Write what was noted, ends included, and tell it to whoever follows."""
        self._catch_up()
        if self._untold is not None:
            self._untold.tell_starts()
        self._tell()

    def followed(self) -> Mapping[str, Growth] | None:
        """What was written to each file, by its path in the run directory; None where not all of it was told."""
        return self._files.growths if self._untold is not None and self._untold.is_all_told else None

    def room(self, now: float) -> bool:
        """Whether so little lies unsynced, at the loop's time, that more may be launched; never again after a failure."""
        return self._files.broken is None and self._unsynced.allows(now)

    async def keep_synced(self, on_room: Callable[[], None]) -> None:
        """Sync behind, for as long as the run lasts; calls *on_room* after each sync."""
        while True:
            await anyio.sleep(SYNC_EVERY)
            if promises := self._promises.due():
                self._log(promised_line(promises, self._wall_time()))
            self._catch_up()
            if self._files.is_dirty:
                await self._sync_behind()
                on_room()

    async def _sync_behind(self) -> None:
        self._unsynced.begin(anyio.current_time())
        dirty, written = self._files.take_dirty(), self._promises.written
        try:
            await run_sync(self._files.sync_all, dirty)
        except BaseException:
            # A run that ends as a sync is about to begin ends before it has.
            self._files.give_back(dirty)
            raise
        self._promises.stand(written)
        self._unsynced.end(more=self._files.is_dirty)

    async def _promise_more(self) -> None:
        self._promising = anyio.Event()
        try:
            self._log(promised_line(self._promises.due_at_once(), self._wall_time()))
            self.flush()
            written = self._promises.written
            await run_sync(self._files.sync, self._files.at(_LOG))
            self._promises.stand(written)
        finally:
            self._promising.set()
            self._promising = None

    def _end_well(self) -> None:
        self._catch_up()
        self._files.sync_all(self._files.take_dirty())
        if self._boot is not None:
            # It says that all other lines are on the disk, so it comes after they are.
            self._log(closed_line(self._wall_time()))
            self.flush()
            self._files.sync_all(self._files.take_dirty())
        self.hand_over()

    def _log(self, line: bytes) -> None:
        self._note_log(line)
        if self._untold is not None:
            self._untold.line(line)

    def _note_log(self, line: bytes) -> None:
        if self._files.broken is not None:
            raise self._files.broken
        self._lines.append(line)
        self._due = True

    def _note_lines(self) -> None:
        self._files.note(_LOG, *self._lines, starts=self._starting)
        self._lines.clear()
        self._due = False

    def _catch_up(self) -> None:
        self._due = bool(self._lines)
        self.flush()

    def _tell(self) -> None:
        # What is noted and not written yet counts for nobody.
        if self._untold is not None and not (self._files.has_noted or self._lines):
            self._untold.tell()


def _no_memory_for(row: Row) -> StoppedError:
    return StoppedError(
        f"there was no memory left to write the entry of row {row.id!r:.80} of {row.workspace}: its call counts as in doubt, what else was "
        "answered is kept. Give the run more memory, or fewer slots, and run the same command again"
    )
