"""What an opening knows of its ledger, taken on from memory while it is written: the closing, and the next opening, need not read it.

There are up to three readers. `Past` is what the next opening has to know, and `Spending` is where there are budgets; the statement's fold,
with its course, is what the closing tells. All are given the lines as they were written, once they are with the kernel, and share what they
know of calls. Now and then, and at the end, each is kept in its checkpoint: killed after eight hours, a run is gone on with in seconds.

None of it is believed where anything is unusual. At the end every file of the ledger must hold, byte for byte, what was read of it when
the run was opened and what was written since, and nothing else; no entry may have contradicted another. Otherwise the ledger is read, as
it stands, by whoever asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import anyio

from batchrun.core.errors import BatchrunError, LedgerError
from batchrun.core.ledger.attempts import Ended, ReadIn
from batchrun.core.ledger.counting import Part, apart
from batchrun.core.ledger.course import Course
from batchrun.core.ledger.entry import Entry
from batchrun.core.ledger.fold import Fold
from batchrun.core.ledger.marking import NOTHING, Growth, Mark
from batchrun.core.ledger.statement import Statement
from batchrun.core.ledger.usual import Began, Noted, UsualAnswer, parted, spelt_out, together
from batchrun.core.ledger.watched import Watched
from batchrun.core.money.spending import Spending
from batchrun.core.pauses import pause_after
from batchrun.core.scheduling.past import Past
from batchrun.edge import history, marks
from batchrun.edge.ledger import Ledger
from batchrun.running.checkpoints import Checkpoint
from batchrun.running.statements import BY, Account
from batchrun.telling.reading import LOG, files_of

KEPT_EVERY = 30.0
"""Seconds between two checkpoints, at the least."""
CATCH_UP_BYTES = 16 << 20
"""Of ledger that are read for the statement when a run is opened: half a second. What is more is left to the closing."""

Kept = tuple[Checkpoint, Mapping[str, Mark], memoryview]
"""A checkpoint that is to be written, and as far as it has read."""


class Followed:
    """The readers of an opening's ledger. One event loop gives it what is written; it is closed when nothing more is."""

    def __init__(self, account: Account, past: Past, plan: Checkpoint, begun: Mapping[str, Mark]) -> None:
        """*past* has read the ledger to where it is marked as *begun*."""
        self._account = account
        self._past = past
        self._begun = begun
        self._boot = history.boot_id()
        self._statement: Watched | None = None
        self._kept: list[tuple[Checkpoint, Past | Spending | Watched]] = [(plan, past)]
        """Each reader, and what is kept of it."""
        self._parts: list[Part] = []
        """Of them, whoever counts a call and an entry by itself."""
        self.stood = plan.stood
        """What was found to stand when the run was opened."""
        self._off = False
        """What was taken in contradicts itself: it is told by whoever reads all of it."""

    def with_statement(self, checkpoint: Checkpoint, reader: Watched) -> None:
        """Have the statement made beside, by a *reader* that has read as far as the past."""
        self._statement = reader
        self._with(checkpoint, reader, reader.fold, reader.course)

    def with_budgets(self, checkpoint: Checkpoint, reader: Spending) -> None:
        """Have what is spent summed up beside, by a *reader* that has read as far as the past."""
        self._with(checkpoint, reader, reader)

    def _with(self, checkpoint: Checkpoint, reader: Spending | Watched, *parts: Part) -> None:
        reader.share(self._past.calls)
        self._kept.append((checkpoint, reader))
        self._parts += parts

    def take(self, noted: Sequence[Noted], entries: Sequence[Entry], ordinals: Sequence[int | None]) -> None:
        """Take in what was written."""
        if self._off:
            return
        try:
            self._off = not self._took(noted, entries, ordinals)
        except (ArithmeticError, LookupError, MemoryError, TypeError, ValueError):
            self._off = True

    def _took(self, noted: Sequence[Noted], entries: Sequence[Entry], ordinals: Sequence[int | None]) -> bool:
        past, calls = self._past, self._past.calls
        lines, answers = parted(noted)
        if answers and (not calls.are_new(answers) or any(isinstance(line, Ended) and line.verdict == "parked" for line in lines)):
            # What was answered before a lane was parked, and what after, is told by their order.
            lines, answered, places = spelt_out(noted)
            entries, ordinals, answers = [*answered, *entries], [*places, *ordinals], []
        begun, ended = apart([*calls.take(lines)])
        past.latest = max(past.latest, calls.latest)
        for part in self._parts:
            part.called(begun, ended)
        for entry, ordinal in zip(entries, ordinals, strict=True):
            if past.taken(entry, ordinal) is not None:
                return False
        for part in self._parts:
            part.told(entries)
        return not answers or self._answered(together(answers))

    def _answered(self, answers: Mapping[Began, Sequence[UsualAnswer]]) -> bool:
        for part in self._parts:
            part.answered(answers)
        return self._past.answered(answers)

    async def keep(self, ledger: Ledger) -> None:
        """Keep what is known now and then, until cancelled."""
        pause = KEPT_EVERY
        while True:
            await anyio.sleep(pause)
            began = anyio.current_time()
            ledger.hand_over()
            await anyio.to_thread.run_sync(_write, self._to_be_kept(self._marks(ledger.followed())))
            pause = pause_after(anyio.current_time() - began, KEPT_EVERY)

    def close(self, growths: Mapping[str, Growth] | None, course: Course) -> Statement | None:
        """Make the statement of all that was written, with its *course*; None where the ledger is to be read. Blocks."""
        marked, directory = self._marks(growths), self._account.directory
        if marked is None or marks.sizes(directory, files_of(directory)) != _ends(marked) or not marks.all_stand(directory, marked):
            return None
        _write(self._to_be_kept(marked))
        if self._off or self._statement is None:
            return None
        reader = self._statement
        reader.calls.reads_again(history.Attempts(directory / LOG))
        course.add(reader.course)
        return cast("Fold", reader.fold).close(self._account.rows)

    def _marks(self, growths: Mapping[str, Growth] | None) -> dict[str, Mark] | None:
        """How far the readers have read, where all that was written was given to them, after what they had read before."""
        if growths is None or any(each.begin != self._begun.get(name, NOTHING).end for name, each in growths.items()):
            return None
        return {**self._begun, **{name: each.after(self._begun.get(name, NOTHING)) for name, each in growths.items()}}

    def _to_be_kept(self, marked: Mapping[str, Mark] | None) -> list[Kept]:
        self.take([ReadIn(self._boot)], (), ())
        if marked is None or self._off:
            return []
        worth_it = [each for each in self._kept if each[0].is_worth_it(_ends(marked))]
        try:
            return [(checkpoint, marked, checkpoint.written(reader, marked)) for checkpoint, reader in worth_it]
        except MemoryError:
            return []


def followed(directory: Path, past: Past, plan: Checkpoint) -> Followed | None:
    """Take up the readers of a run whose ledger *past* has read to its end, before anything is appended to it. Blocks.

    None where the ledger cannot be marked. The statement is made beside where what is kept of it has read nearly as far.
    """
    account = Account.of(directory, by=BY)
    try:
        found = Followed(account, past, plan, marks.marked(directory, plan.ends(), plan.marks))
    except (OSError, LedgerError):
        return None
    checkpoint = account.checkpoint("course")
    try:
        reader = checkpoint.caught_up(account.watched, CATCH_UP_BYTES, plan.stood)
    except BatchrunError:
        return found  # What contradicts itself is told by whoever reads all of it.
    if reader is not None:
        found.with_statement(checkpoint, reader)
    return found


def _write(kept: Sequence[Kept]) -> None:
    for checkpoint, marked, written in kept:
        checkpoint.write(written, marked)


def _ends(marked: Mapping[str, Mark]) -> dict[str, int]:
    return {name: mark.end for name, mark in marked.items()}
