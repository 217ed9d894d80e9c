"""What this run borrows from the books of budgets by the day and the month, and what it makes sure that they know.

An opening reads the books, and has those runs counted that they do not tell enough of (`other_runs.py`); what they say of this one stands
in `own_part.py`. Before calls are sent that a page has too little left for, more is borrowed, for all calls of a turn in one write, and for
those alone that all of their pages can pay (`core/money/turn.py`): in lots as large as what is under way, or as a small part of what is
left, for books of many budgets that were written for every call would cost more than all else. A page that nothing is under way of is given
back within a second; one of many, only where another run may miss it. A run that finds nothing left waits while others hold some that they
may give back. Where the books are lost while runs go on, nothing is lent until each of them has written down anew what it holds.

The books are read and written in the event loop, some hundred bytes a budget without a sync, so that a busy disk does not hold a run up.
One that the kernel makes wait for a write holds up the whole loop, as a write to the ledger does: nothing is sent that the books do not
know of, nothing is lost, and the calls are given the time back. Another process that waits so while it has the lock, or that is stopped,
holds up what has to borrow, and nothing else: a thread waits for it
(`test_books_that_another_process_holds_up_hold_up_what_needs_them_and_nothing_else`).

Where a run beside is found not to be countable in the midst of this one, at a new day or when its process has died, nothing more is lent
until it can be counted: what was borrowed is spent, then the lanes that need more park, and all others go on. It is told once, and looked
at again every minute.

A run that has no such budget in its job is counted as of the moment when another one opened, and again when a day begins.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from time import time
from typing import TypeGuard

import anyio

from batchrun.core.errors import LedgerError, RunDamagedError
from batchrun.core.ledger.attempts import Bound
from batchrun.core.money.books import Books, Part
from batchrun.core.money.budget import LaneKey, Page, Purse
from batchrun.core.money.turn import Prices, affordable, prices_of, sums
from batchrun.core.scheduling.scheduler import Scheduler
from batchrun.edge.books_file import BooksFile, held, is_held, is_there
from batchrun.running.books_turn import Turn
from batchrun.running.other_runs import OtherRuns, which
from batchrun.running.own_part import OwnPart

LOOK_EVERY = 1.0
_ASKED_AGAIN_AFTER = 0.2
"""Seconds after which a run whose own calls may yet leave some looks again whether others gave something back."""
_COUNTED_AGAIN_AFTER = 60.0
"""Seconds after which a run that cannot be counted is looked at again: it may be large."""
_MANY = 64
"""Pages of which more are lent at once, before anybody asks: the books of so many are large, and each lane's first call would have them
written anew."""
_AWAITED = 3 * LOOK_EVERY
"""Seconds in which every process that lives has written its part down anew."""
_NOTHING = Decimal(0)


class Bookkeeper:
    """Keeps the books for one opening of a run; of budgets that are the run's own it knows nothing."""

    def __init__(
        self, directory: Path, purses: Iterable[Purse], note: Callable[[str], None] = lambda _text: None, *,
        wall_time: Callable[[], float] = time,
    ) -> None:  # fmt: skip
        self._directory = directory
        self._purses = tuple(dict.fromkeys(purse for purse in purses if purse.cap.period))
        self._own = OwnPart(directory, self._purses)
        self._run = self._own.name
        self._note = note
        self._wall_time = wall_time
        self._file = BooksFile(directory.absolute().parent)
        self._others = OtherRuns(directory, self._purses, wall_time)
        self._name = self._which = ""
        """Of the books, and of the run."""
        self._incomplete_at = -math.inf
        """When a process that lives was seen last whose part the books did not have."""
        self._uncounted = ""
        """Why another run cannot be counted: nothing is lent."""
        self._count_at = -math.inf
        self._pages: dict[Purse, Page] = {}
        self.turn = Turn(self._file)
        self._taken_for_good: set[Purse] = set()
        """Budgets of which nobody holds any now that was waited for; whoever waits is told at the next look."""

    @contextmanager
    def open(self) -> Iterator[None]:
        """Take part in the books until the block is left; the purses hold what the run has spent already. Blocks."""
        if not self._purses:
            yield
            return
        self._which = which(self._directory)
        with held(self._directory):
            read: dict[Path, Part] = {}
            while unread := self.turn.take(partial(self._take_part, read)):
                read |= self._counted(unread)
            try:
                yield
            finally:
                self._close()

    def look_in(self) -> None:
        """Only see what the other runs have taken of the present pages: nothing is written. Blocks."""
        if not self._purses or not self._file.path.parent.is_dir():
            return
        books = self._file.read() or Books("")
        beside = self._others.beside()
        read = self._counted(self._others.stale(books, beside))
        self._others.take_in(books, beside, read, self._own.spent())
        for key, purse in self._others.present().items():
            self._own.see_others(books, key, purse.page(self._wall_time()))

    def fund(self, asked: Sequence[tuple[tuple[Purse, ...], LaneKey, Bound]], at: float) -> Collection[int]:
        """Borrow what attempts may cost that are sent at a moment, where their budgets have too little of their own: all in one write.

        Gives the places of those that cannot borrow until it is their turn: another process has the books.
        """
        calls = [prices_of(*each, at) for each in asked]
        short = {purse: whole for purse, whole in sums(calls).items() if whole > purse.page(at).left}
        if not short:
            return ()
        try:
            self._borrow(calls, short, at)
        except BlockingIOError:
            return [place for place, (purses, _, _) in enumerate(asked) if not short.keys().isdisjoint(purses)]
        return ()

    async def keep(self, scheduler: Scheduler, wake: Callable[[], None]) -> None:
        """Give back what is idle, and see to what others give back and to new days, until cancelled."""
        while self._purses:
            await anyio.sleep(LOOK_EVERY)
            now = self._wall_time()
            pages = {purse: purse.page(now) for purse in self._purses}
            turned = [purse for purse, page in pages.items() if page is not self._pages.get(purse)]
            waiting = [purse for purse, page in pages.items() if page.contested or purse in self._taken_for_good]
            if self._uncounted and abs(anyio.current_time() - self._count_at) < _COUNTED_AGAIN_AFTER:
                continue
            if self._uncounted:
                turned = [*self._purses]
            if (turned or not await self.turn.come(partial(self._look, waiting))) and not await self._count_others():
                turned = []
            for purse in turned:
                scheduler.renew(purse)
            self._taken_for_good.difference_update(waiting)
            for purse in waiting:
                scheduler.reconsider(purse)
            if turned or waiting:
                wake()

    async def _count_others(self) -> bool:
        """Take part in the books anew; whether all others could be counted for it."""
        read: dict[Path, Part] = {}
        while unread := await self.turn.come(partial(self._take_part, read)):
            try:
                counted = await anyio.to_thread.run_sync(self._counted, unread)
            except (RunDamagedError, LedgerError) as error:
                if str(error) != self._uncounted:
                    self._note(str(error))
                self._uncounted, self._count_at = str(error), anyio.current_time()
                return False
            read |= counted
        self._uncounted = ""
        return True

    def _counted(self, directories: Iterable[Path]) -> dict[Path, Part]:
        then = "nothing more of it goes to this run, and all else goes on" if self._name else "nothing is sent"
        return self._others.counted(directories, then)

    def _borrow(self, calls: Iterable[Prices], short: Prices, at: float) -> None:
        now = self._wall_time()
        waited_for = {purse for purse in short if purse.page(at).contested}
        asking = [purse for purse in short if self._may_ask(purse.page(at), now)]
        if not asking or self._awaits_others(now):
            return
        with self._file.locked_at_once():
            books = self._file.read()
            if not self._is_ours(books):
                return  # The next look sees to it.
            there = {purse: purse.page(at).left for call in calls for purse in call}
            there |= {purse: self._own.within_reach(books, purse, purse.page(at)) for purse in asking}
            paid = sums(affordable(calls, there))
            for purse in asking:
                page = purse.page(at)
                self._own.borrow(books, purse, page, paid.get(purse, _NOTHING) - page.left)
                lacks = there[purse] < short[purse]
                page.contested = lacks and bool(self._holders(books, purse.cap.key(page.span.name)))
                page.refused_at = now if lacks else -math.inf
            self._file.write(books)
        self._taken_for_good |= {purse for purse in waited_for if not purse.page(at).contested}

    def _may_ask(self, page: Page, now: float) -> bool:
        if self._uncounted:
            # Nobody is to give anything back: what needs more parks.
            page.contested, page.withheld = False, self._uncounted
            return False
        page.withheld = ""
        if page.promised and abs(now - page.refused_at) < _ASKED_AGAIN_AFTER:
            return False  # What is under way here leaves some, or nothing does.
        page.contested = True
        return True

    def _awaits_others(self, now: float) -> bool:
        """Whether others may be about to write their parts down; where the clock was set back meanwhile, that long from then on."""
        self._incomplete_at = min(self._incomplete_at, now)
        return now < self._incomplete_at + _AWAITED

    def _is_ours(self, books: Books | None) -> TypeGuard[Books]:
        return books is not None and books.name == self._name and self._run in books.runs

    def _look(self, waiting: list[Purse]) -> bool:
        """Give back what is idle; whether the books are still there, and none holds any of what is waited for but runs that live."""
        books = self._file.read()
        if not self._is_ours(books):
            return False
        if self._holds_idly(books):
            with self._file.locked_at_once():
                books = self._file.read()
                if not self._is_ours(books):
                    return False
                self._own.give_back(books)
                self._file.write(books)
        keys = [purse.cap.key(purse.page(self._wall_time()).span.name) for purse in waiting]
        return all(is_held(directory) for key in keys for directory in self._holders(books, key))

    def _holders(self, books: Books, key: str) -> list[Path]:
        """The directories of other runs that may give something back; one that is gone gives nothing."""
        directories = [self._file.path.parent / name for name in books.holders(self._run, key)]
        return [directory for directory in directories if is_there(directory)]

    def _holds_idly(self, books: Books) -> bool:
        """Whether the books have this run hold what no call is under way for, and another might miss it."""
        if len(self._pages) > _MANY and not self._others.at_work(books):
            return False
        return self._own.holds_idly(books)

    def _take_part(self, read: Mapping[Path, Part]) -> list[Path]:
        """Write this run into the books, and what was *read* of others; the runs that must be read first, if there are any."""
        now, present = self._wall_time(), self._others.present()
        month = f"{datetime.fromtimestamp(now, UTC):%Y-%m}"
        self._own.forget_before(month)
        with self._file.locked_at_once():
            found = self._file.read()
            books = found or Books(uuid.uuid4().hex)
            beside = self._others.beside()
            stale = self._others.stale(books, beside)
            if unread := [path for path in stale if path not in read]:
                return unread
            self._others.take_in(books, beside, {path: read[path] for path in stale}, self._own.spent())
            self._own.take(books, self._which)
            books.forget_before(month)
            if not all((other := books.runs.get(path.name)) and other.open for path in beside if is_held(path)):
                self._incomplete_at = now
            elif not self._awaits_others(now) and len(present) > _MANY:
                self._take_first_lots(books, present.values(), now)
            if found is None and (self._name or is_there(self._file.path)):
                self._note(f"{self._file.path}: was lost or damaged, and was made again from the ledgers of the runs beside it")
            self._file.write(books)
        self._name = books.name
        self._pages = {purse: purse.page(now) for purse in self._purses}
        return []

    def _take_first_lots(self, books: Books, present: Iterable[Purse], now: float) -> None:
        """Borrow a lot of each page that has nothing left, in one write; what is idle is given back as any other."""
        for purse in present:
            page = purse.page(now)
            if not page.left:
                self._own.take_lot(books, purse, page)

    def _close(self) -> None:
        try:
            with self._file.locked():
                books = self._file.read()
                if not self._is_ours(books):
                    return  # Whoever comes next reads the ledger.
                self._own.settle(books)
                self._file.write(books)
        except LedgerError as error:
            # No more is sent, and whoever comes next reads the ledger: what ended the run, if anything did, is what is to be told.
            self._note(str(error))
