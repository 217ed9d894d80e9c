"""Budgets by the day over several runs, in one process: on real files, on a clock of the test's own, and over midnight."""

from __future__ import annotations

import json
import math
import os
import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchrun.core.errors import LedgerError, RunDamagedError
from batchrun.core.ledger.attempts import Bound
from batchrun.core.model import Answered, Call, Reply, Row, Usage
from batchrun.core.money.books import Part, oldest_kept
from batchrun.core.money.budget import Cap, Lack, Purse, broke, promise_all
from batchrun.core.money.periods import Period
from batchrun.core.money.spending import Spending
from batchrun.core.scheduling.retry import RetryPolicy
from batchrun.core.scheduling.scheduler import Drained, Launch, Scheduler, WaitUntil
from batchrun.edge import run_directory
from batchrun.edge.books_file import BooksFile, is_held
from batchrun.edge.ledger import Files, Ledger
from batchrun.running.bookkeeping import Bookkeeper
from batchrun.running.other_runs import spend
from tests.laboratory import lane
from tests.virtual_time import run_virtually

LANE = ("legal", "qwen-plus")
NOON = datetime.fromisoformat("2026-11-25T12:00:00+08:00").timestamp()
DAY = 86_400.0
MOST = Bound(0, 10)
PAGE = "workspace legal | tokens | a day (Asia/Shanghai) | 2026-11-25"


class Run:
    """One run's part of what happens: its purse, its ledger, and a process that can be killed."""

    def __init__(self, folder, name, *, cap=100, clock=None, per="day", whose="workspace legal"):
        self.directory = folder / name
        self.clock = clock or [NOON]
        self.cap = Cap("workspaces.legal.budget", Decimal(cap), "tokens", Period(per, "Asia/Shanghai"), whose)
        self.purse, self.notes = Purse(self.cap), []
        self.keeper: Any = None
        self._opening, self._stack, self.under_way = 0, ExitStack(), []
        if not self.directory.exists():
            self.directory.mkdir(parents=True)
            run_directory.write_summary(self.directory / "run.json", {"format": 1, "run": name, "name": "job", "rows": {}})

    def open(self):
        self._opening += 1
        self.purse, self.under_way, self._stack = Purse(self.cap), [], ExitStack()
        spend(Spending(self._purses, self.clock[0]), self.directory)
        self.keeper = Bookkeeper(self.directory, [self.purse], self.notes.append, wall_time=lambda: self.clock[0])
        self._books = self.keeper.open()
        self._books.__enter__()
        self._ledger = self._stack.enter_context(Ledger(Files(self.directory, run_directory.open_to_append), self._opening))
        return self

    def _purses(self, lane):
        return (self.purse,) if lane == LANE else ()

    def send(self):
        """One more call, if it can be afforded."""
        while self.keeper.fund([((self.purse,), LANE, MOST)], self.clock[0]):
            self.keeper.turn.wait()
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
        self.leave()

    def leave(self):
        """End well, whatever is under way."""
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
            spend(Spending({LANE: (purse,)}.__getitem__, 0.0), directory)
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


def test_what_another_run_holds_for_its_calls_is_told_apart_from_what_it_has_spent(tmp_path):
    first, second = Run(tmp_path, "a").open(), Run(tmp_path, "b").open()
    for _ in range(6):
        assert first.send()
    assert second.send()
    assert second.page.others == second.page.others_hold >= 60
    assert second.purse.warning(NOON) is None, "nothing is spent yet"
    for _ in range(6):
        first.settle(10)
    assert first.keeper._look([])
    assert [second.send() for _ in range(4)] == [True] * 3 + [False]
    assert (second.page.others, second.page.others_hold) == (60, 0)
    assert second.purse.warning(NOON) == Decimal("0.5")
    for each in (first, second):
        each.close()


def test_a_run_whose_locks_somebody_deleted_lives_all_the_same_and_what_it_holds_is_lent_to_nobody(tmp_path):
    first = Run(tmp_path, "a")
    with run_directory.locked(first.directory):
        first.open()
        for _ in range(6):
            assert first.send()
        for lock in tmp_path.rglob("*.lock"):
            lock.unlink()
        second = Run(tmp_path, "b").open()
        for run in (second, first):
            while run.send():
                pass
        for run in (second, first):
            run.close()
    assert spent_in_ledgers(tmp_path) == 100


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


class ComesSecond(BooksFile):
    """Has another borrow as soon as one is about to take the books."""

    def locked_at_once(self):
        with self.locked():
            books = self.read()
            assert books is not None
            books.lend("a", PAGE, Decimal(100), Decimal(90), Decimal(90))
            self.write(books)
        return super().locked_at_once()


def test_what_another_borrows_just_before_a_run_has_the_books_is_not_lent_again(tmp_path):
    first, second = (Run(tmp_path, name).open() for name in ("a", "b"))
    assert first.send()
    second.keeper._file = ComesSecond(tmp_path)
    assert not second.send(), "more was lent than there is"
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


def test_a_night_that_the_books_tell_of_the_month_is_not_read_again_for_each_day_that_begins_after_it(tmp_path):
    night = Run(tmp_path, "night", per="month").open()
    assert night.send()
    night.close()
    last_written(night, NOON)
    results = night.directory / "legal" / "results.jsonl"
    whole = results.read_bytes()
    results.write_bytes(b"#" * (len(whole) - 1) + b"\n")
    os.utime(results, (NOON, NOON))
    assert others_of(tmp_path / "next", NOON + DAY) == {"day": 0, "month": 10}, "who reads it finds damage"
    results.write_bytes(whole)
    grown(night, "one-more", at=NOON + DAY)
    last_written(night, NOON + DAY)
    assert others_of(tmp_path / "next", NOON + DAY) == {"day": 10, "month": 20}


def last_written(run, at):
    for path in run.directory.rglob("*"):
        os.utime(path, (at, at))


def others_of(directory, at):
    """What other runs have taken of a workspace's budgets by the day and by the month, as a run that begins at a moment finds it."""
    purses = {per: Purse(Cap("workspaces.legal.budget", Decimal(100), "tokens", Period(per, "Asia/Shanghai"), "workspace legal"))
              for per in ("day", "month")}  # fmt: skip
    Bookkeeper(directory, purses.values(), wall_time=lambda: at).look_in()
    return {per: purse.page(at).others for per, purse in purses.items()}


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


def grown(run, name, tokens=10, at=NOON):
    """The ledger of a run goes on where nobody keeps the books: one more answer."""
    with Ledger(Files(run.directory, run_directory.open_to_append), 9) as ledger:
        row = Row(name, *LANE, {}, "0" * 16)
        call = Call(ledger.start(row, MOST, at), 1, at, 5)
        ledger.append(Answered(row, Reply("x", "stop", Usage(0, tokens)), call), 0.0)
        ledger.flush()
        ledger.end(call.attempt, "answered", Reply("x", "stop", Usage(0, tokens)), at)


def test_a_ledger_is_read_again_where_it_grew_and_only_there(tmp_path):
    plain = Run(tmp_path, "plain").open()
    assert all(plain.send() for _ in range(2))
    plain.close()
    results = plain.directory / "legal" / "results.jsonl"
    whole = results.read_bytes()
    results.write_bytes(b"#" * (len(whole) - 1) + b"\n")
    purse = Purse(plain.cap)
    Bookkeeper(tmp_path / "b", [purse], wall_time=lambda: NOON).look_in()
    unread = Run(tmp_path, "b").open()
    assert unread.page.others == purse.page(NOON).others == 20, "who reads it finds damage"
    unread.close()
    results.write_bytes(whole)
    grown(plain, "one-more")
    reads = Run(tmp_path, "c").open()
    assert reads.page.others == 30
    reads.close()
    assert books_of(tmp_path)["runs"]["plain"] == {
        "open": False,
        "run": "plain",
        "sizes": {PAGE: sum(path.stat().st_size for path in plain.directory.rglob("*") if path.suffix in {".log", ".jsonl"})},
        "taken": {PAGE: "30"},
        "spent": {PAGE: "30"},
    }


def test_a_budget_counts_the_lanes_that_it_is_about_of_the_jobs_that_it_is_about(tmp_path):
    plain, unnamed = Run(tmp_path, "plain").open(), Run(tmp_path, "unnamed").open()
    assert plain.send()
    assert unnamed.send()
    for run in (plain, unnamed):
        run.close()
    run_directory.write_summary(unnamed.directory / "run.json", {"format": 1, "run": "unnamed", "rows": {}})
    owners = {
        "workspace legal": 20, "workspace legal, model qwen-plus": 20, "job job": 10,
        "workspace sales": 0, "workspace legal, model qwen-max": 0, "job another": 0, "job None": 0,
    }  # fmt: skip
    for number, (whose, spent) in enumerate(owners.items()):
        run = Run(tmp_path, f"run-{number}", whose=whose).open()
        assert (whose, run.page.others) == (whose, spent)
        run.close()


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("ends", ["close", "kill", "nothing"])
@pytest.mark.parametrize(("endpoint", "counted"), [("simulator", False), ("public", True), ("https://llm.example/v1", True), (None, True)])
def test_what_a_simulator_answered_takes_nothing_of_a_real_days_budget_and_the_other_way_round(tmp_path, endpoint, counted, ends, lost):
    job = {
        "job": {"input": "in.jsonl"},
        "defaults": {"model": LANE[1], "endpoint": endpoint},
        "workspaces": {LANE[0]: {"api_key_env": "LEGAL_KEY"}},
    }
    run = Run(tmp_path, "a")
    run.cap = replace(run.cap, rehearsed=endpoint == "simulator")
    described = {"format": 1, "run": "a", "name": "job", "rows": {}} | ({"job": job} if endpoint else {})
    run_directory.write_summary(run.directory / "run.json", described)
    run.open()
    assert [run.send() for _ in range(11)] == [True] * 10 + [False]
    while run.under_way:
        run.settle(10)
    if ends != "nothing":
        getattr(run, ends)()
    if lost:
        (tmp_path / ".books.json").unlink()
    others = {}
    for name, rehearsed in (("real", False), ("rehearsal", True)):
        other = Run(tmp_path, name)
        other.cap = replace(other.cap, rehearsed=rehearsed)
        others[name] = other.open().page.others
        other.close()
    unknown = endpoint is None
    assert others == {"real": 100 if counted else 0, "rehearsal": 100 if unknown or not counted else 0}
    if ends == "nothing":
        run.close()


def test_what_is_in_doubt_of_a_run_beside_counts_by_that_runs_prices_not_by_those_of_whoever_counts(tmp_path):
    job = {
        "job": {"input": "in.jsonl"},
        "defaults": {"endpoint": "public"},
        "workspaces": {LANE[0]: {"api_key_env": "LEGAL_KEY"}},
        "prices": {LANE[1]: {"tiers": {"input": 2, "output": 8_000_000}}},
    }
    killed = Run(tmp_path, "a").open()
    assert killed.send()
    killed.kill()
    run_directory.write_summary(tmp_path / "a" / "run.json", {"format": 1, "run": "a", "name": "job", "rows": {}, "job": job})
    other = Run(tmp_path, "b")
    other.cap = replace(other.cap, unit="CNY", amount=Decimal(1000))
    other.open()
    # Ten tokens of output; by tokens_at_most they would be ten.
    assert other.page.others == 80
    other.close()


def test_a_run_beside_that_cannot_be_counted_is_named_before_any_call_with_what_is_wrong_and_the_ways_out(tmp_path):
    damaged = Run(tmp_path, "a").open()
    for tokens in (7, 8):
        damaged.send()
        damaged.settle(tokens)
    damaged.close()
    entries = tmp_path / "a" / "legal" / "results.jsonl"
    entries.write_bytes(b"?" + entries.read_bytes()[1:])
    (tmp_path / ".books.json").unlink()
    budget = r"workspaces\.legal\.budget = 100 tokens a day \(Asia/Shanghai\)"
    with pytest.raises(RunDamagedError, match=rf"/a: what this run, .* has spent of {budget} cannot be counted") as raised:
        Run(tmp_path, "b").open()
    said = str(raised.value)
    assert f"{entries}: line 1: not an entry" in said
    assert f"batchrun check {tmp_path / 'a'} lists all damage, and moves it aside with --repair. Or move a into another folder" in said
    assert not BooksFile(tmp_path).path.exists()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "a").rename(tmp_path / "elsewhere" / "a")
    run = Run(tmp_path, "b").open()
    assert run.page.others == 0
    run.close()


def spent_beside(folder):
    """A run that has spent 15 today, of which no book tells."""
    run = Run(folder, "a").open()
    for tokens in (7, 8):
        run.send()
        run.settle(tokens)
    run.close()
    (folder / ".books.json").unlink()
    return folder / "a" / "run.json"


def test_a_run_beside_whose_description_is_a_pipe_is_no_run_that_has_spent_nothing(tmp_path):
    """It had counted as none at all, and the day's budget was there to be spent once more."""
    description = spent_beside(tmp_path)
    description.unlink()
    os.mkfifo(description)
    with pytest.raises(RunDamagedError, match=rf"cannot be counted.* {description}: is a pipe"):
        Run(tmp_path, "b").open()


def test_a_run_beside_whose_description_was_moved_away_is_counted_or_where_that_tells_whose_it_is_asked_for(tmp_path):
    description = spent_beside(tmp_path)
    description.rename(description.with_name("run.json.old"))
    with pytest.raises(RunDamagedError, match=rf"cannot be counted.* {description} is gone, .* put it back, or run that job again"):
        Run(tmp_path, "c", whose="job job").open()
    run = Run(tmp_path, "b").open()
    assert run.page.others == 15
    run.close()


def test_a_link_that_leads_to_a_run_of_the_folder_is_no_other_run(tmp_path):
    """Many keep a ``latest`` beside their runs."""
    for name in ("a", "b"):
        run = Run(tmp_path, name).open()
        assert run.send()
        run.close()
    (tmp_path / "0-latest").symlink_to("a")
    run = Run(tmp_path, "a").open()
    assert (run.page.spent, run.page.others, run.keeper._incomplete_at) == (10, 10, -math.inf), "it waits for nobody but runs that live"
    run.close()
    by_its_link = Run(tmp_path, "0-latest").open()
    assert (by_its_link.page.spent, by_its_link.page.others) == (10, 10)
    by_its_link.close()
    beside = Run(tmp_path, "b").open()
    assert (beside.page.spent, beside.page.others) == (10, 10)
    beside.close()
    assert books_of(tmp_path)["runs"].keys() == {"a", "b"}


def test_a_run_whose_directory_is_elsewhere_counts_where_its_link_stands(tmp_path):
    (tmp_path / "runs").mkdir()
    run = Run(tmp_path / "large disk", "a")
    (tmp_path / "runs" / "a").symlink_to(run.directory)
    linked = Run(tmp_path / "runs", "a").open()
    assert linked.send()
    linked.close()
    beside = Run(tmp_path / "runs", "b").open()
    assert beside.page.others == 10
    beside.close()
    assert books_of(tmp_path / "runs")["runs"].keys() == {"a", "b"}


def test_a_budget_of_the_run_is_in_no_books(tmp_path):
    directory = tmp_path / "runs" / "a"
    own, no_scheduler = Purse(Cap("job.budget", Decimal(30), "tokens")), _Noted()
    keeper: Any = Bookkeeper(directory, [own], wall_time=lambda: NOON)
    with keeper.open():
        keeper.fund([((own,), LANE, MOST)], NOON)
        keeper.look_in()
        anyio.run(keeper.keep, no_scheduler, lambda: None)
    assert list(tmp_path.iterdir()) == []
    assert own.page(NOON).left == 30


def test_of_several_budgets_each_that_has_too_little_borrows_and_no_other(tmp_path):
    run = Run(tmp_path, "a").open()
    of_the_run, unpriced = Purse(Cap("job.budget", Decimal(5), "tokens")), Purse(replace(run.cap, unit="CNY"), lambda *_call: None)
    purses = of_the_run, unpriced, run.purse
    run.keeper.fund([(purses, LANE, MOST)], NOON)
    assert [purse.page(NOON).allowed for purse in purses] == [5, 0, 10]
    written = (tmp_path / ".books.json").stat().st_ino
    run.keeper.fund([(purses, LANE, MOST)], NOON)
    assert (tmp_path / ".books.json").stat().st_ino == written, "it has enough, and asks for more"
    run.close()


def test_lots_are_as_large_as_what_is_under_way_and_never_larger_than_what_there_is(tmp_path):
    run = Run(tmp_path, "a", cap=95).open()
    told: list[Any] = [(run.send(), run.page.allowed) for _ in range(10)]
    assert told == [
        *[(True, 10), (True, 30), (True, 30), *[(True, 70)] * 4],
        *[(True, 95), (True, 95), (False, 95)],
    ]
    assert books_of(tmp_path)["runs"]["a"]["taken"] == {PAGE: "95"}
    run.close()


def test_a_run_with_calls_of_its_own_under_way_asks_the_books_again_a_moment_after_they_refused(tmp_path):
    clock = [NOON]
    first, second = (Run(tmp_path, name, clock=clock).open() for name in ("a", "b"))
    assert first.send()
    while second.send():
        pass
    assert not first.send()
    while second.under_way:
        second.settle(1)
    assert second.keeper._look([])
    told: list[Any] = []
    for at in (NOON, NOON + 0.19, NOON - 0.19, NOON + 0.21):
        clock[0] = at
        told.append((first.send(), first.page.contested))
    assert told == [(False, True)] * 3 + [(True, False)]
    for each in (first, second):
        each.close()


def test_a_look_beforehand_tells_what_others_took_from_books_and_ledgers_and_changes_nothing(tmp_path):
    killed, held, plain = (Run(tmp_path, name).open() for name in ("killed", "held", "plain"))
    assert all([killed.send(), killed.send(), held.send(), plain.send()])
    killed.kill()
    plain.close()
    grown(plain, "one-more", 5)
    for lost in (False, True):
        if lost:
            (tmp_path / ".books.json").unlink()
        before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in tmp_path.rglob("*")}
        for directory in (tmp_path / "new", plain.directory):
            purse = Purse(held.cap)
            Bookkeeper(directory, [purse], wall_time=lambda: NOON).look_in()
            of_others = 20 + 10 + (15 if directory.name == "new" else 0)
            told: object = directory.name, lost, purse.page(NOON).others
            assert told == (directory.name, lost, of_others)
        assert {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in tmp_path.rglob("*")} == before
    held.close()
    purse = Purse(held.cap)
    Bookkeeper(tmp_path / "not" / "there", [purse], wall_time=lambda: NOON).look_in()
    assert purse.page(NOON).others == 0


def test_a_run_that_ends_leaves_in_the_books_what_it_spent_and_what_is_in_doubt_of_it(tmp_path):
    run = Run(tmp_path, "a").open()
    assert all(run.send() for _ in range(3))
    run.settle(4)
    run.leave()
    assert spent_in_ledgers(tmp_path) == 24
    of_it = books_of(tmp_path)["runs"]["a"]
    assert (of_it["open"], of_it["taken"], of_it["spent"]) == (False, {PAGE: "24"}, {PAGE: "24"})
    assert list(of_it["sizes"]) == [PAGE]


def test_who_finds_books_that_others_have_made_anew_leaves_them_alone(tmp_path):
    first, second = (Run(tmp_path, name).open() for name in ("a", "b"))
    assert first.send()
    first.settle(10)
    (tmp_path / ".books.json").unlink()
    second.close()
    assert not (tmp_path / ".books.json").exists(), "books that tell of one run alone"
    third = Run(tmp_path, "c").open()
    assert third.page.others == 10
    anew = (tmp_path / ".books.json").read_bytes()
    first.close()
    assert (tmp_path / ".books.json").read_bytes() == anew
    third.close()


def test_it_is_told_that_books_were_lost_and_not_that_there_were_none_yet(tmp_path):
    told = f"{tmp_path / '.books.json'}: was lost or damaged, and was made again from the ledgers of the runs beside it"
    run = Run(tmp_path, "a").open()
    assert run.notes == []
    (tmp_path / ".books.json").unlink()
    settle_books(run)
    assert run.notes == [told]
    settle_books(run)
    assert run.notes == [told]
    run.close()
    (tmp_path / ".books.json").write_bytes(b"{")
    second = Run(tmp_path, "b").open()
    assert second.notes == [told]
    second.close()


class Losing(BooksFile):
    """Books that are lost just before somebody has them for himself."""

    @contextmanager
    def locked_at_once(self):
        with super().locked_at_once():
            self.path.unlink(missing_ok=True)
            yield


def test_books_that_are_lost_in_the_midst_of_anything_are_made_again_and_nothing_is_lent_from_them(tmp_path):
    run = Run(tmp_path, "a").open()
    assert all(run.send() for _ in range(2))
    run.keeper._file = Losing(tmp_path)
    assert (run.page.left, run.send(), run.page.left, run.send()) == (10, True, 0, False)
    assert not (tmp_path / ".books.json").exists()
    run.keeper._file = BooksFile(tmp_path)
    settle_books(run)
    while run.under_way:
        run.settle(1)
    run.keeper._file = Losing(tmp_path)
    assert not run.keeper._look([]), "it looks no further: the books are to be made again"
    assert not (tmp_path / ".books.json").exists()
    run.keeper._file = BooksFile(tmp_path)
    settle_books(run)
    assert books_of(tmp_path)["runs"]["a"]["spent"] == {PAGE: "3"}
    run.close()


def test_what_was_spent_in_months_long_gone_is_in_the_books_no_more(tmp_path):
    clock = [NOON]
    run = Run(tmp_path, "a", clock=clock).open()
    assert run.send()
    run.close()
    for days, kept in ((90, True), (110, False)):
        clock[0] = NOON + days * DAY
        later = Run(tmp_path, f"later-{days}", clock=clock).open()
        runs = books_of(tmp_path)["runs"]
        assert not kept or PAGE in runs["a"]["taken"]
        assert ("a" in runs) is kept
        later.close()


def test_what_a_run_itself_spent_in_months_long_gone_does_not_come_back_into_the_books(tmp_path):
    clock = [NOON]
    run = Run(tmp_path, "a", clock=clock)
    for _ in range(9):
        run.open()
        assert run.send()
        run.settle(3)
        look(run)
        run.close()
        assert min(page.rpartition(" ")[2] for page in books_of(tmp_path)["runs"]["a"]["spent"]) >= oldest_kept(month_of(clock[0]))
        clock[0] += 20 * DAY
    assert len(books_of(tmp_path)["runs"]["a"]["spent"]) < 9


def month_of(at):
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m}"


def test_a_run_that_lives_through_the_loss_of_the_books_is_lent_no_more_for_three_seconds(tmp_path):
    clock = [NOON]
    first, second = (Run(tmp_path, name, clock=clock).open() for name in ("a", "b"))
    (tmp_path / ".books.json").unlink()
    settle_books(first)
    told = []
    for seconds in (0, 2.9, 3.0):
        clock[0] = NOON + seconds
        told.append((first.send(), first.page.contested))
    assert told == [(False, True), (False, True), (True, False)]
    for each in (first, second):
        each.close()


def test_a_clock_that_is_set_back_while_nothing_is_lent_has_it_lent_three_seconds_on_and_not_days(tmp_path):
    clock = [NOON]
    first, second = (Run(tmp_path, name, clock=clock).open() for name in ("a", "b"))
    clock[0] = NOON + DAY
    (tmp_path / ".books.json").unlink()
    settle_books(first)
    told = []
    for seconds in (0, 2.9, 3.0):
        clock[0] = NOON + seconds
        settle_books(second)
        told.append(first.send())
    assert told == [False, False, True]
    for each in (first, second):
        each.close()


def test_books_that_cannot_be_written_end_the_run_before_a_call_they_would_not_know_of(tmp_path):
    run = Run(tmp_path, "a").open()
    (tmp_path / ".books.json.new").mkdir()
    with pytest.raises(Exception, match="the books of budgets cannot be kept"):
        run.send()
    (tmp_path / ".books.json.new").rmdir()
    assert BooksFile(tmp_path).read() is not None
    run.close()


def test_books_that_cannot_be_written_when_a_run_ends_are_told_and_hide_nothing_and_its_ledger_is_read_instead(tmp_path):
    run = Run(tmp_path, "a").open()
    run.send()
    run.settle(7)
    (tmp_path / ".books.json.new").mkdir()
    run.leave()
    assert [note for note in run.notes if "the books of budgets cannot be kept" in note]
    (tmp_path / ".books.json.new").rmdir()
    other = Run(tmp_path, "b").open()
    assert other.page.others == 7
    other.close()


def test_what_ends_a_run_is_told_though_the_books_cannot_be_closed_for_the_same_reason(tmp_path):
    run = Run(tmp_path, "a")
    keeper = Bookkeeper(run.directory, [run.purse], run.notes.append, wall_time=lambda: NOON)
    books = keeper.open()
    books.__enter__()
    (tmp_path / ".books.json.new").mkdir()
    error = LedgerError("the disk is full")
    assert not books.__exit__(LedgerError, error, None)
    assert [note for note in run.notes if "the books of budgets cannot be kept" in note]


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
                    self.run.keeper.fund([((self.run.purse,), LANE, MOST)], wall)
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


class _Noted:
    """A scheduler that only notes what it is told, and an engine that is woken."""

    def __init__(self):
        self.told: list[Any] = []
        self.event = anyio.Event()

    def renew(self, purse):
        self.told.append(("renew", purse))

    def reconsider(self, purse):
        self.told.append(("reconsider", purse))

    def wake(self):
        self.told.append("wake")
        self.event.set()


def kept(run, seconds, between=lambda: None):
    """Have the books of *run* kept for some seconds, and once more after what comes *between*; what was told."""
    scheduler = _Noted()

    async def main():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run.keeper.keep, scheduler, scheduler.wake)
            await anyio.sleep(seconds)
            between()
            await anyio.sleep(seconds)
            tasks.cancel_scope.cancel()

    run_virtually(main)
    return scheduler.told


def test_what_is_idle_is_given_back_within_a_second_and_what_is_under_way_is_not(tmp_path):
    idle, busy = (Run(tmp_path, name).open() for name in ("a", "b"))
    for run in (idle, busy):
        assert all(run.send() for _ in range(2))
        run.settle(1)
    idle.settle(1)
    held = [idle.page.allowed, busy.page.allowed]
    assert held == [30, 30]
    assert kept(idle, 0.95) == kept(busy, 0.95) == []
    assert [idle.page.allowed, busy.page.allowed] == [2, 30]
    assert {name: part["taken"] for name, part in books_of(tmp_path)["runs"].items()} == {"a": {PAGE: "2"}, "b": {PAGE: "30"}}
    for run in (idle, busy):
        run.close()


def test_beside_a_budget_that_is_idle_one_with_calls_under_way_keeps_what_they_may_cost(tmp_path):
    run = Run(tmp_path, "a")
    idle, busy = (Purse(replace(run.cap, whose=f"workspace {name}")) for name in ("idle", "busy"))
    keeper = Bookkeeper(run.directory, [idle, busy], wall_time=lambda: NOON)
    with keeper.open():
        keeper.fund([((idle,), LANE, MOST), ((busy,), LANE, MOST)], NOON)
        promised = promise_all((busy,), LANE, MOST, NOON)
        assert isinstance(promised, tuple)
        assert keeper._look([])
        assert [purse.page(NOON).allowed for purse in (idle, busy)] == [0, 10]
        keys = [purse.cap.key("2026-11-25") for purse in (idle, busy)]
        assert [books_of(tmp_path)["runs"]["a"]["taken"][key] for key in keys] == ["0", "10"]
        busy.settle(LANE, promised[0], Usage(0, 3), in_doubt=False)


def test_a_run_that_waits_tries_again_each_second_and_one_that_does_not_is_left_alone(tmp_path):
    waits, holds = (Run(tmp_path, name).open() for name in ("a", "b"))
    while holds.send():
        pass
    assert not waits.send()
    assert kept(waits, 1.25) == [("reconsider", waits.purse), "wake"] * 2
    assert kept(holds, 1.25) == []
    for run in (waits, holds):
        run.close()


def test_a_lane_that_waits_for_what_others_hold_looks_again_though_another_lane_was_told_first_that_nobody_holds_any(tmp_path):
    waits, holds = (Run(tmp_path, name).open() for name in ("a", "b"))
    while holds.send():
        pass
    told: list[Any] = [(waits.send(), waits.page.contested)]
    holds.close()
    told.append((waits.send(), waits.page.contested))
    assert told == [(False, True), (False, False)]
    assert kept(waits, 1.25) == [("reconsider", waits.purse), "wake"]
    waits.close()


def test_a_new_day_is_seen_within_a_second_once_and_the_books_know_of_it(tmp_path):
    clock = [NOON]
    run = Run(tmp_path, "a", clock=clock).open()
    assert kept(run, 1.5, lambda: clock.__setitem__(0, NOON + DAY)) == [("renew", run.purse), "wake"]
    assert books_of(tmp_path)["runs"]["a"]["taken"] == {PAGE: "0", PAGE.replace("25", "26"): "0"}
    assert kept(run, 1.5) == []
    run.close()


def test_books_that_are_lost_are_made_again_within_a_second(tmp_path):
    run = Run(tmp_path, "a").open()
    assert run.send()
    assert kept(run, 1.25, (tmp_path / ".books.json").unlink) == []
    assert books_of(tmp_path)["runs"]["a"]["taken"] == {PAGE: "10"}
    assert len(run.notes) == 1
    run.close()


def test_what_a_killed_run_held_comes_by_itself_to_one_that_waits_for_it(tmp_path, monkeypatch):
    monkeypatch.setattr("batchrun.running.bookkeeping.LOOK_EVERY", 0.01)
    waits, killed = (Run(tmp_path, name).open() for name in ("a", "b"))
    while killed.send():
        pass
    while killed.under_way:
        killed.settle(1)
    assert not waits.send()
    killed.kill()
    scheduler = _Noted()

    async def main():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(waits.keeper.keep, scheduler, scheduler.wake)
            await scheduler.event.wait()
            tasks.cancel_scope.cancel()

    anyio.run(main)
    assert books_of(tmp_path)["runs"]["b"]["taken"] == {PAGE: "10"}
    assert waits.send()
    waits.close()


def test_a_run_that_is_killed_while_another_is_read_is_read_too_and_each_of_them_once(tmp_path, monkeypatch):
    monkeypatch.setattr("batchrun.running.bookkeeping.LOOK_EVERY", 0.01)
    waits, *others = (Run(tmp_path, name).open() for name in ("a", "b", "c"))
    for number, run in enumerate(others):
        while run.send() and (number or len(run.under_way) < 5):
            pass
        while run.under_way:
            run.settle(1)
    assert not waits.send()
    others[0].kill()
    read: list[list[str]] = []
    counted, scheduler = waits.keeper._counted, _Noted()

    def counting(directories):
        read.append([each.name for each in directories])
        if len(read) == 1:
            others[1].kill()
        return counted(directories)

    waits.keeper._counted = counting

    async def main():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(waits.keeper.keep, scheduler, scheduler.wake)
            with anyio.fail_after(30):
                await scheduler.event.wait()
            tasks.cancel_scope.cancel()

    anyio.run(main)
    assert read == [["b"], ["c"]]
    assert waits.send()
    waits.close()


def test_a_killed_run_that_cannot_be_counted_lends_a_run_under_way_nothing_and_ends_it_not_and_mended_it_does(tmp_path, monkeypatch):
    monkeypatch.setattr("batchrun.running.bookkeeping.LOOK_EVERY", 0.01)
    monkeypatch.setattr("batchrun.running.bookkeeping._COUNTED_AGAIN_AFTER", 0.05)
    mine, killed = (Run(tmp_path, name).open() for name in ("a", "b"))
    assert all(mine.send() for _ in range(2))
    while killed.send():
        pass
    killed.settle(1)
    while mine.send():
        pass
    killed.kill()
    log = tmp_path / "b" / "legal" / "results.jsonl"
    whole = log.read_bytes()
    log.write_bytes(b"?" + whole[1:])
    scheduler, allowed = _Noted(), mine.page.allowed

    async def main():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(mine.keeper.keep, scheduler, scheduler.wake)
            with anyio.fail_after(30):
                await scheduler.event.wait()
                assert ("renew", mine.purse) not in scheduler.told
                assert [note.partition(" cannot be counted")[0].partition(": ")[0] for note in mine.notes] == [str(tmp_path / "b")]
                assert not mine.send()
                lack = promise_all((mine.purse,), LANE, Bound(0, 1_000), mine.clock[0])
                assert isinstance(lack, Lack)
                assert "cannot be counted" in broke(lack, "qwen-plus").message
                assert (mine.page.allowed, mine.page.contested) == (allowed, False)
                log.write_bytes(whole)
                while ("renew", mine.purse) not in scheduler.told:
                    scheduler.event = anyio.Event()
                    await scheduler.event.wait()
            tasks.cancel_scope.cancel()

    anyio.run(main)
    assert len(mine.notes) == 1
    while mine.send():
        pass
    mine.close()
    assert 90 < spent_in_ledgers(tmp_path) <= 100


def test_a_new_day_beside_a_run_that_cannot_be_counted_lends_nothing_until_it_can(tmp_path, monkeypatch):
    monkeypatch.setattr("batchrun.running.bookkeeping.LOOK_EVERY", 0.01)
    monkeypatch.setattr("batchrun.running.bookkeeping._COUNTED_AGAIN_AFTER", 0.05)
    clock = [NOON]
    mine, ended = (Run(tmp_path, name, clock=clock).open() for name in ("a", "b"))
    assert ended.send()
    ended.close()
    log = tmp_path / "b" / "legal" / "results.jsonl"
    whole = log.read_bytes()
    log.write_bytes(b"?" + whole[1:])
    for path in (tmp_path / "b").rglob("*"):
        os.utime(path, (NOON + DAY, NOON + DAY))
    clock[0] += DAY
    scheduler = _Noted()

    async def main():
        noted = anyio.Event()

        def note(_text):
            noted.set()

        mine.keeper._note = note
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(mine.keeper.keep, scheduler, scheduler.wake)
            with anyio.fail_after(30):
                await noted.wait()
                assert (mine.send(), mine.page.allowed, scheduler.told) == (False, 0, [])
                log.write_bytes(whole)
                await scheduler.event.wait()
            tasks.cancel_scope.cancel()

    anyio.run(main)
    assert scheduler.told == [("renew", mine.purse), "wake"]
    assert mine.send()
    mine.close()


def test_books_that_are_made_again_know_of_all_that_is_spent_and_under_way_though_calls_cost_more_than_was_thought(tmp_path):
    run = Run(tmp_path, "a").open()
    assert all(run.send() for _ in range(3))
    run.settle(25)
    run.settle(25)
    (tmp_path / ".books.json").unlink()
    settle_books(run)
    assert books_of(tmp_path)["runs"]["a"]["taken"] == {PAGE: "60"}
    run.close()


def counting_writes(keeper) -> list[int]:
    """How often the books were written by *keeper* from here on, in a list that grows."""
    written: list[int] = []
    write = keeper._file.write

    def counted(books):
        written.append(len(books.runs))
        write(books)

    keeper._file.write = counted
    return written


def test_a_large_budget_is_not_asked_for_anew_for_every_call(tmp_path):
    run = Run(tmp_path, "a", cap=1_000_000).open()
    written = counting_writes(run.keeper)
    for _ in range(1000):
        assert run.send()
        run.settle(5)
    assert len(written) == 1
    assert run.page.allowed == 15_625
    other = Run(tmp_path, "b", cap=1_000_000).open()
    assert other.send()
    assert (other.page.others, other.page.allowed) == (15_625, Decimal("15380.859375"))
    for each in (run, other):
        each.close()


def test_lots_of_a_large_budget_leave_the_last_of_it_to_whoever_asks(tmp_path):
    """What runs take in lots is spent to within one call, by one or by two of them."""
    runs = [Run(tmp_path, name, cap=5000).open() for name in ("a", "b")]
    sending = [*runs]
    while sending:
        for run in [*sending]:
            if run.send():
                run.settle(10)
            elif not run.page.contested:
                sending.remove(run)
        for run in runs:
            run.clock[0] += 1
            look(run)
    assert 5000 - 10 < spent_in_ledgers(tmp_path) <= 5000
    for run in runs:
        run.close()


@pytest.mark.parametrize(("budgets", "written_for_the_first_calls"), [(64, 64), (65, 0), (300, 0)])
def test_the_first_calls_of_many_budgets_are_borrowed_for_at_once(tmp_path, budgets, written_for_the_first_calls):
    run = Run(tmp_path, "a")
    period, most = Period("day", "Asia/Shanghai"), Bound(0, 10)
    purses = [
        Purse(Cap(f"workspaces.w{number}.budget", Decimal(1000), "tokens", period, f"workspace w{number}")) for number in range(budgets)
    ]
    keeper = Bookkeeper(run.directory, purses, wall_time=lambda: NOON)
    with keeper.open():
        written = counting_writes(keeper)
        for number, purse in enumerate(purses):
            keeper.fund([((purse,), (f"w{number}", "m"), most)], NOON)
            assert not isinstance(promise_all((purse,), (f"w{number}", "m"), most, NOON), Lack)
        assert len(written) == written_for_the_first_calls
    with Bookkeeper(run.directory, purses[:1], wall_time=lambda: NOON).open():
        assert purses[0].page(NOON).allowed >= 10, "what was under way stays"


def many(folder, name, budgets, amount=1000):
    """A keeper of so many budgets, and what a turn asks for that launches a call of each."""
    run, period = Run(folder, name), Period("day", "Asia/Shanghai")
    caps = [Cap(f"workspaces.w{each}.budget", Decimal(amount), "tokens", period, f"workspace w{each}") for each in range(budgets)]
    purses = [Purse(cap) for cap in caps]
    keeper: Any = Bookkeeper(run.directory, purses, wall_time=lambda: NOON)
    return keeper, [((purse,), (f"w{number}", "m"), MOST) for number, purse in enumerate(purses)]


@pytest.mark.parametrize("budgets", [2, 64, 300])
def test_what_all_calls_of_a_turn_need_of_their_budgets_is_in_the_books_by_one_write(tmp_path, budgets):
    keeper, asked = many(tmp_path, "a", budgets, amount=100)
    with keeper.open():
        written = counting_writes(keeper)
        keeper.fund(asked, NOON)
        assert len(written) == 1
        taken = books_of(tmp_path)["runs"]["a"]["taken"]
        assert (len(taken), {*map(Decimal, taken.values())}) == (budgets, {Decimal(10)})
        assert not any(isinstance(promise_all(purses, lane, most, NOON), Lack) for purses, lane, most in asked)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=12), st.integers(1, 120), st.integers(0, 50))
def test_calls_of_a_turn_that_share_a_budget_get_of_it_what_each_would_that_asked_in_its_turn(tmp_path_factory, bounds, cap, spent):
    folder = tmp_path_factory.mktemp("runs")
    run = Run(folder, "a", cap=cap).open()
    run.page.spent = run.page.allowed = Decimal(min(spent, cap))
    left, expected = cap - min(spent, cap), []
    for bound in bounds:
        expected.append(bound <= left)
        left -= bound if bound <= left else 0
    run.keeper.fund([((run.purse,), LANE, Bound(0, bound)) for bound in bounds], NOON)
    assert [not isinstance(promise_all((run.purse,), LANE, Bound(0, bound), NOON), Lack) for bound in bounds] == expected
    assert (run.page.allowed <= cap, run.page.contested) == (True, False)
    run.leave()


def test_a_call_that_is_too_dear_for_what_is_left_waits_for_what_others_hold_though_a_cheaper_one_of_its_turn_went(tmp_path):
    holds, asks = (Run(tmp_path, name).open() for name in ("a", "b"))
    assert all(holds.send() for _ in range(7))
    dear, cheap = Bound(0, 60), Bound(0, 20)
    asks.keeper.fund([((asks.purse,), LANE, dear), ((asks.purse,), LANE, cheap)], NOON)
    refused = promise_all((asks.purse,), LANE, dear, NOON)
    assert isinstance(refused, Lack)
    assert refused.may_pass, "it parks, and the other run may give back what it holds"
    assert not isinstance(promise_all((asks.purse,), LANE, cheap, NOON), Lack)
    for run in (holds, asks):
        run.leave()


def test_two_runs_that_share_two_budgets_never_wait_for_each_other_with_what_neither_can_use_alone(tmp_path):
    period = Period("day", "Asia/Shanghai")
    caps = [Cap(f"{whose} budget", Decimal(15), "tokens", period, whose) for whose in ("workspace legal", "job nightly")]
    purses = {name: tuple(Purse(cap) for cap in caps) for name in ("a", "b")}
    keepers: Any = {name: Bookkeeper(Run(tmp_path, name).directory, its, wall_time=lambda: NOON) for name, its in purses.items()}

    def ask(name, *budgets):
        keepers[name].fund([(budgets, LANE, MOST)], NOON)
        return promise_all(budgets, LANE, MOST, NOON)

    with keepers["a"].open(), keepers["b"].open():
        # Of another workspace, which has no budget of its own: the job's, of which too little is left for one more call.
        of_job = ask("b", purses["b"][1])
        refused: Any = ask("a", *purses["a"])
        assert (refused.purse.cap.whose, refused.may_pass) == ("job nightly", True)
        assert books_of(tmp_path)["runs"]["a"]["taken"] == {cap.key("2026-11-25"): "0" for cap in caps}, "it holds what it cannot use"
        purses["b"][1].settle(LANE, of_job[0], Usage(0, 1), in_doubt=False)
        went: list[str] = []
        for name in ("a", "b"):
            assert keepers[name]._look([])
            went += [] if isinstance(ask(name, *purses[name]), Lack) else [name]
        assert went == ["b"]


@pytest.mark.parametrize(("beside", "writes"), [("nobody", 0), ("a process at work", 1), ("a run that was killed", 0)])
def test_what_is_idle_of_many_budgets_is_given_back_where_another_run_may_miss_it(tmp_path, beside, writes):
    other = Run(tmp_path, "b")
    if beside != "nobody":
        other.open()
    keeper, asked = many(tmp_path, "a", 100)
    with keeper.open():
        if beside == "a run that was killed":
            other.kill()
        written = counting_writes(keeper)
        keeper.fund(asked, NOON)
        assert keeper._look([])
        assert keeper._look([])
        assert len(written) == writes
        assert {purse.page(NOON).left for (purse,), _, _ in asked} == {Decimal(0) if writes else Decimal("15.625")}
    if beside == "a process at work":
        other.leave()


def test_nobody_waits_for_what_a_run_has_spent_to_the_last(tmp_path):
    spent, asks = (Run(tmp_path, name).open() for name in ("a", "b"))
    assert spent.send()
    spent.settle(10)
    while asks.send():
        pass
    while asks.under_way:
        asks.settle(10)
    assert (asks.send(), asks.page.contested) == (False, True), "what is written of the first may be under way"
    look(spent)
    asks.clock[0] += 1
    assert (asks.send(), asks.page.contested) == (False, False)
    for run in (spent, asks):
        run.leave()


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("who", ["a run beside it", "itself"])
def test_a_run_whose_directory_was_renamed_is_counted_once_and_one_that_was_removed_stays_counted(tmp_path, who, killed):
    first, beside = (Run(tmp_path, name).open() for name in ("a", "b"))
    assert all([first.send(), first.send(), beside.send()])
    first.settle(7)
    beside.settle(5)
    if killed:
        first.kill()
    else:
        first.leave()
    beside.close()
    (tmp_path / "a").rename(tmp_path / "c")
    spent = 7 + 10
    if who == "itself":
        renamed = Run(tmp_path, "c").open()
        assert (renamed.page.spent, renamed.page.others) == (spent, 5)
        renamed.close()
    again = beside.open()
    assert (again.page.spent, again.page.others) == (5, spent)
    again.close()
    assert sorted(books_of(tmp_path)["runs"]) == ["b", "c"]
    shutil.rmtree(tmp_path / "c")
    last = Run(tmp_path, "d").open()
    assert last.page.others == 5 + spent
    last.close()
