"""Budgets by the day over several runs, in one process: on real files, on a clock of the test's own, and over midnight."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchrun.core.ledger.attempts import Bound
from batchrun.core.model import Answered, Call, Reply, Row, Usage
from batchrun.core.money.books import Part
from batchrun.core.money.budget import Cap, Lack, Purse, promise_all
from batchrun.core.money.periods import Period
from batchrun.core.money.spending import Spending
from batchrun.core.scheduling.retry import RetryPolicy
from batchrun.core.scheduling.scheduler import Drained, Launch, Scheduler, WaitUntil
from batchrun.edge import run_directory
from batchrun.edge.books_file import BooksFile, is_held
from batchrun.edge.ledger import Ledger
from batchrun.running.bookkeeping import Bookkeeper, spend
from tests.laboratory import lane

LANE = ("legal", "qwen-plus")
NOON = datetime.fromisoformat("2026-11-25T12:00:00+08:00").timestamp()
DAY = 86_400.0
MOST = Bound(0, 10)
PAGE = "workspace legal | tokens | a day (Asia/Shanghai) | 2026-11-25"


class Run:
    """One run's part of what happens: its purse, its ledger, and a process that can be killed."""

    def __init__(self, folder, name, *, cap=100, clock=None, per="day"):
        self.directory = folder / name
        self.clock = clock or [NOON]
        self.cap = Cap("workspaces.legal.budget", Decimal(cap), "tokens", Period(per, "Asia/Shanghai"), "workspace legal")
        self.purse, self.notes = Purse(self.cap), []
        self.keeper: Any = None
        self._opening, self._stack, self.under_way = 0, ExitStack(), []
        if not self.directory.exists():
            self.directory.mkdir(parents=True)
            run_directory.write_summary(self.directory / "run.json", {"format": 1, "run": name, "name": "job", "rows": {}})

    def open(self):
        self._opening += 1
        self.purse, self.under_way, self._stack = Purse(self.cap), [], ExitStack()
        spend(Spending(self._purses), self.directory)
        self.keeper = Bookkeeper(self.directory, [self.purse], self.notes.append, wall_time=lambda: self.clock[0])
        self._books = self.keeper.open()
        self._books.__enter__()
        self._ledger = self._stack.enter_context(Ledger(self.directory, self._opening, run_directory.open_to_append))
        return self

    def _purses(self, lane):
        return (self.purse,) if lane == LANE else ()

    def send(self):
        """One more call, if it can be afforded."""
        self.keeper.fund((self.purse,), LANE, MOST, self.clock[0])
        promised = promise_all((self.purse,), LANE, MOST, self.clock[0])
        if isinstance(promised, Lack):
            return False
        row = Row(f"r-{random.random()}", *LANE, {}, "0" * 16)
        self.under_way.append((row, self._ledger.start(row, MOST, self.clock[0]), promised[0], self.clock[0]))
        self._ledger.flush()
        return True

    def settle(self, tokens):
        row, name, promise, at = self.under_way.pop(0)
        reply = Reply("x", "stop", Usage(0, tokens))
        self.purse.settle(LANE, promise, reply.usage, in_doubt=False)
        self._ledger.append(Answered(row, reply, Call(name, 1, at, 5)), 0.0)
        self._ledger.flush()
        self._ledger.end(name, "answered", reply, at)

    def do(self, what, tokens):
        if what == "send":
            self.send()
        elif self.under_way:
            self.settle(tokens)

    def close(self):
        while self.under_way:
            self.settle(10)
        self._stack.close()
        self._books.__exit__(None, None, None)

    def kill(self):
        """All that is left of a killed process is what it had written."""
        self._stack.close()
        self.keeper._close = lambda: None
        self._books.__exit__(None, None, None)

    @property
    def page(self):
        return self.purse.page(self.clock[0])


def spent_in_ledgers(folder, day="2026-11-25"):
    """What the ledgers tell, and what is in doubt at its bound."""
    total = Decimal(0)
    for directory in folder.iterdir():
        if (directory / "run.json").exists():
            purse = Purse(Cap("x", Decimal(0), "tokens", Period("day", "Asia/Shanghai")))
            spend(Spending({LANE: (purse,)}.__getitem__), directory)
            total += sum((page.spent for name, page in purse.pages.items() if name == day), Decimal(0))
    return total


def books_of(folder):
    return json.loads((folder / ".books.json").read_bytes())


STEPS = st.lists(
    st.tuples(
        st.sampled_from("abc"), st.sampled_from(["send"] * 6 + ["settle"] * 4 + ["close", "kill", "lose", "look"]), st.integers(0, 10)
    ),
    max_size=60,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=30)
@given(STEPS, st.integers(10, 120))
def test_however_runs_open_send_end_and_are_killed_no_day_is_overspent_and_the_last_one_has_what_is_left(tmp_path_factory, steps, cap):
    folder = tmp_path_factory.mktemp("runs")
    clock, open_runs = [NOON], {}
    runs = {name: Run(folder, name, cap=cap, clock=clock) for name in "abc"}
    for name, what, tokens in steps:
        run = runs[name]
        if name not in open_runs:
            open_runs[name] = run.open()
        match what:
            case "close" | "kill":
                getattr(open_runs.pop(name), what)()
            case "lose" if len(open_runs) == 1:
                (folder / ".books.json").unlink(missing_ok=True)
            case "look":
                clock[0] += 5
                for each in open_runs.values():
                    look(each)
            case _:
                run.do(what, tokens)
        assert spent_in_ledgers(folder) <= cap
    for run in open_runs.values():
        run.close()
    last = runs["a"].open()
    clock[0] += 5
    while last.send():
        pass
    last.close()
    assert cap - 10 < spent_in_ledgers(folder) <= cap


def look(run):
    """What the bookkeeper does each second."""
    if not run.keeper._look([]):
        settle_books(run)


def settle_books(run):
    read: dict[Path, Part] = {}
    while unread := run.keeper._take_part(read):
        read |= run.keeper._counted(unread)


def test_what_a_killed_run_held_is_there_again_once_its_ledger_is_read_but_for_its_doubt(tmp_path):
    first = Run(tmp_path, "a").open()
    for _ in range(8):
        assert first.send()
    first.settle(3)
    first.kill()
    assert books_of(tmp_path)["runs"]["a"]["open"] is True
    assert Decimal(books_of(tmp_path)["runs"]["a"]["taken"][PAGE]) >= 80
    second = Run(tmp_path, "b").open()
    assert (
        books_of(tmp_path)["runs"]["a"] | {"open": False, "taken": {PAGE: "73"}, "spent": {PAGE: "73"}} == books_of(tmp_path)["runs"]["a"]
    )
    assert [second.send() for _ in range(3)] == [True, True, False]
    second.close()


def test_a_run_that_finds_nothing_left_waits_while_another_holds_some_and_takes_what_that_gives_back(tmp_path):
    first, second = Run(tmp_path, "a").open(), Run(tmp_path, "b").open()
    for _ in range(10):
        assert first.send()
    assert not second.send()
    assert second.page.contested
    for _ in range(10):
        first.settle(1)
    assert first.keeper._look([])
    assert first.page.allowed == first.page.spent == 10
    assert [second.send() for _ in range(10)] == [True] * 9 + [False]
    for each in (first, second):
        each.close()
    third = Run(tmp_path, "c").open()
    assert not third.send()
    assert (third.page.contested, third.page.others) == (False, 100)
    third.close()


def test_a_run_that_waits_for_the_books_sees_what_was_borrowed_meanwhile(tmp_path):
    first, second = (Run(tmp_path, name).open() for name in ("a", "b"))
    assert first.send()
    file, lock = BooksFile(tmp_path), (tmp_path / ".books.lock").stat().st_ino
    with ThreadPoolExecutor(1) as threads:
        with file.locked():
            sent = threads.submit(second.send)
            while not any(f":{lock} " in line and "->" in line for line in Path("/proc/locks").read_text().splitlines()):
                assert not sent.done(), "it did not wait for the books"
            books = file.read()
            assert books is not None
            assert books.lend("a", PAGE, first.cap.amount, Decimal(90), Decimal(90)) == 90
            file.write(books)
        assert not sent.result(10), "more was lent than there is"
    assert second.page.allowed == 0
    for run in (first, second):
        run.close()


def test_nothing_is_lent_after_the_books_were_lost_until_every_process_has_written_its_part_down_anew(tmp_path):
    clock = [NOON]
    first, second = (Run(tmp_path, name, clock=clock).open() for name in ("a", "b"))
    assert all(first.send() for _ in range(5))
    (tmp_path / ".books.json").unlink()
    assert not first.send() or first.page.left >= 0
    while first.page.left >= 10:
        first.send()
    assert not first.send()
    assert not second.send()
    assert second.page.contested
    assert not second.keeper._look([])
    settle_books(second)
    assert not second.send(), "the first has not told yet what it holds"
    assert not first.keeper._look([])
    settle_books(first)
    clock[0] += 10
    while first.send() or second.send():
        pass
    for each in (first, second):
        each.close()
    assert 90 < spent_in_ledgers(tmp_path) <= 100
    assert any("lost or damaged" in note for note in second.notes)


def test_a_run_without_such_a_budget_counts_as_far_as_it_had_come_when_another_opened(tmp_path):
    plain = Run(tmp_path, "plain", cap=1000).open()
    assert all(plain.send() for _ in range(4))
    plain.close()
    (tmp_path / ".books.json").unlink()
    other = Run(tmp_path, "other").open()
    assert other.page.others == 40
    other.close()


def test_ledgers_that_were_last_written_before_the_day_began_are_not_read(tmp_path):
    old = Run(tmp_path, "old").open()
    old.send()
    old.close()
    (tmp_path / ".books.json").unlink()
    for path in old.directory.rglob("*"):
        os.utime(path, (NOON - DAY, NOON - DAY))
    (old.directory / "attempts.log").chmod(0)
    new = Run(tmp_path, "new").open()
    assert new.page.others == 0
    assert "old" not in books_of(tmp_path)["runs"]
    new.close()


def test_a_call_is_paid_by_the_day_on_which_it_was_sent_whenever_it_ends(tmp_path):
    clock = [NOON]
    run = Run(tmp_path, "a", clock=clock).open()
    while run.send():
        pass
    clock[0] += 12 * 3600
    settle_books(run)
    assert all(run.send() for _ in range(10))
    assert not run.send()
    while run.under_way:
        run.settle(7)
    assert [page.spent for page in run.purse.pages.values()] == [70, 70]
    assert [run.send() for _ in range(4)] == [True] * 3 + [False]
    run.close()
    assert spent_in_ledgers(tmp_path, "2026-11-25") == 70
    assert spent_in_ledgers(tmp_path, "2026-11-26") == 100


def test_runs_with_budgets_of_other_kinds_leave_each_others_pages_alone(tmp_path):
    by_month, killed = (Run(tmp_path, name, per="month", cap=60).open() for name in ("a", "b"))
    assert all(killed.send() for _ in range(2))
    killed.kill()
    by_day = Run(tmp_path, "c").open()
    assert by_day.page.others == 20
    sent = [by_month.send() for _ in range(6)].count(True)
    assert sent <= 4, "the page of the month that the killed run had taken was lost"
    by_day.close()
    by_month.close()
    again = Run(tmp_path, "d", per="month", cap=60).open()
    assert again.page.others == 20 + 10 * sent
    again.close()


def test_a_process_that_lives_is_told_from_one_that_does_not(tmp_path):
    run = Run(tmp_path, "a")
    assert not is_held(run.directory)
    run.open()
    assert is_held(run.directory)
    run.kill()
    assert not is_held(run.directory)


def test_books_that_cannot_be_written_end_the_run_before_a_call_they_would_not_know_of(tmp_path):
    run = Run(tmp_path, "a").open()
    (tmp_path / ".books.json.new").mkdir()
    with pytest.raises(Exception, match="the books of budgets cannot be kept"):
        run.send()
    (tmp_path / ".books.json.new").rmdir()
    assert BooksFile(tmp_path).read() is not None
    run.close()


# Over midnight: the scheduler, the books and the clock together.


class Night:
    """Drives a scheduler whose lane has a budget of the day, on a wall clock of its own; a call takes a minute."""

    def __init__(self, run, *, rows, wait):
        self.run = run
        self.scheduler = Scheduler([_with(run, rows)], RetryPolicy(), wait_for_parked=wait)
        self.sent = []

    def go(self, until):
        now, out = 0.0, []
        while self.run.clock[0] < until:
            match self.scheduler.next(now):
                case Launch(ticket):
                    wall = self.run.clock[0]
                    self.run.keeper.fund((self.run.purse,), LANE, MOST, wall)
                    if self.scheduler.afford(ticket, MOST, wall):
                        self.sent.append(wall)
                        out.append(ticket)
                    else:
                        self.scheduler.release(ticket)
                case WaitUntil():
                    now += 60
                    self.run.clock[0] += 60
                    for ticket in out:
                        self.scheduler.settle(ticket, Reply("x", "stop", Usage(0, 10)), now, 0.5)
                        self.scheduler.release(ticket)
                    out = []
                    self._keep()
                case Drained() as drained:
                    return drained
        return None

    def _keep(self):
        """What the bookkeeper does each second."""
        keeper = self.run.keeper
        if self.run.page is not keeper._pages[self.run.purse]:
            settle_books(self.run)
            self.scheduler.renew(self.run.purse)


def _with(run, rows):
    return replace(lane("legal", rows=rows, slots=2), purses=(run.purse,))


def test_a_day_that_is_spent_parks_its_rows_and_ends_the_run(tmp_path):
    run = Run(tmp_path, "a").open()
    night = Night(run, rows=25, wait=False)
    drained = night.go(NOON + 3 * DAY)
    assert len(night.sent) == 10
    assert [(each.rows, each.failure.code) for each in drained.parked] == [(15, "budget_spent")]
    assert "100 tokens a day (Asia/Shanghai): 100 tokens spent" in drained.parked[0].failure.message
    assert "wait for the next day (--wait goes on by itself)" in drained.parked[0].failure.advice
    run.close()


def test_a_run_that_waits_goes_on_at_midnight_with_a_new_day(tmp_path):
    run = Run(tmp_path, "a").open()
    night = Night(run, rows=25, wait=True)
    assert night.go(NOON + 3 * DAY) == Drained(())
    by_day = [sum(NOON - DAY / 2 <= at - day * DAY < NOON + DAY / 2 for at in night.sent) for day in range(4)]
    assert by_day == [10, 10, 5, 0]
    run.close()


def test_a_run_at_work_at_midnight_has_the_new_day_at_once(tmp_path):
    clock = [NOON + 12 * 3600 - 240]
    run = Run(tmp_path, "a", clock=clock).open()
    night = Night(run, rows=18, wait=False)
    assert night.go(NOON + DAY) == Drained(())
    assert [page.spent for page in run.purse.pages.values()] == [80, 100]
    run.close()


def test_the_bookkeeper_sees_to_midnight_and_to_what_others_give_back_by_itself(tmp_path):
    clock = [NOON]
    first, second = (Run(tmp_path, name, clock=clock).open() for name in ("a", "b"))
    scheduler = _Noted()

    async def main():
        woken = [anyio.Event(), anyio.Event()]
        scheduler.told_of = {"reconsidered": woken[0], "renewed": woken[1]}
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first.keeper.keep, scheduler, lambda: None)
            for _ in range(10):
                assert second.send()
            assert not first.send()
            for _ in range(10):
                second.settle(1)
            second.close()
            await woken[0].wait()
            assert first.send()
            clock[0] += DAY
            await woken[1].wait()
            tasks.cancel_scope.cancel()

    anyio.run(main)
    assert first.page.span.name == "2026-11-26"
    first.close()


class _Noted:
    """A scheduler that only notes what it is told."""

    told_of: Mapping[str, anyio.Event]

    def renew(self, _purse):
        self.told_of["renewed"].set()

    def reconsider(self, _purse):
        self.told_of["reconsidered"].set()
