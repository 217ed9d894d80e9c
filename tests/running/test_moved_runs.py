"""What becomes of a day's budget when directories of runs are copied, moved, removed, and put back as they were once."""

from __future__ import annotations

import shutil
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchrun.edge import run_directory
from tests.running.test_bookkeeping import PAGE, Run, books_of

NAMES = "abc"
_RUNS = count()


class Paid(Run):
    """A run of which is told what its calls were paid: what they cost, and their bound where nobody knows."""

    def __init__(self, folder, name, bill, *, cap=100):
        fresh = not (folder / name).exists()
        super().__init__(folder, name, cap=cap)
        self.bill, self._sent = bill, []
        if fresh:
            described = {"format": 1, "run": f"run-{next(_RUNS)}", "name": "job", "rows": {}}
            run_directory.write_summary(self.directory / "run.json", described)

    def open(self):
        self._sent, self._opening = [], next(_RUNS)
        return super().open()

    def send(self):
        sent = super().send()
        if sent:
            self._sent.append(len(self.bill))
            self.bill.append(10)
        return sent

    def settle(self, tokens):
        super().settle(tokens)
        self.bill[self._sent.pop(0)] = tokens


def sends(run, calls, tokens):
    for _ in range(calls):
        if run.send():
            run.settle(tokens)


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("who", ["a run beside it", "itself"])
@pytest.mark.parametrize("now", ["a", "c"])
def test_a_shorter_copy_that_stands_in_a_ledgers_place_gives_none_of_what_was_spent_back(tmp_path, who, killed, now):
    folder = tmp_path / "runs"
    bill: list[int] = []
    run = Paid(folder, "a", bill).open()
    sends(run, 3, 5)
    run.close()
    shutil.copytree(folder / "a", tmp_path / "kept")
    run.open()
    sends(run, 3, 7)
    assert run.send()
    if killed:
        run.kill()
    else:
        run.close()
    shutil.rmtree(folder / "a")
    shutil.copytree(tmp_path / "kept", folder / now)
    reader = Paid(folder, now if who == "itself" else "b", bill).open()
    assert reader.page.spent + reader.page.others >= 15 + 21 + 10
    while reader.send():
        pass
    assert sum(bill) <= 100
    reader.close()


def test_a_run_that_takes_the_place_of_another_gives_nothing_back_and_the_other_is_counted_once_wherever_it_went(tmp_path):
    bill: list[int] = []
    first = Paid(tmp_path, "a", bill).open()
    sends(first, 4, 10)
    first.close()
    first.directory.rename(tmp_path / "elsewhere")
    second = Paid(tmp_path, "a", bill).open()
    assert second.page.others == 40
    sends(second, 2, 10)
    second.close()
    shutil.rmtree(second.directory)
    third = Paid(tmp_path, "a", bill).open()
    assert (third.page.spent, third.page.others) == (0, 60)
    third.close()
    assert sum(Decimal(part["taken"].get(PAGE, 0)) for part in books_of(tmp_path)["runs"].values()) == 60


def test_a_copy_that_went_on_and_was_removed_stays_counted(tmp_path):
    bill: list[int] = []
    first = Paid(tmp_path, "a", bill).open()
    sends(first, 2, 10)
    first.close()
    shutil.copytree(first.directory, tmp_path / "b")
    for name in "ab":
        run = Paid(tmp_path, name, bill).open()
        sends(run, 2, 10)
        run.close()
    shutil.rmtree(tmp_path / "b")
    again = Paid(tmp_path, "a", bill).open()
    while again.send():
        pass
    assert sum(bill) <= 100
    again.close()


@pytest.mark.parametrize("who", ["a", "c"])
def test_a_copy_of_a_run_as_it_was_once_is_counted_with_it_and_not_beside_it(tmp_path, who):
    """A directory that was kept while it was young, and stands beside the one that went on."""
    bill: list[int] = []
    first = Paid(tmp_path, "a", bill).open()
    sends(first, 2, 10)
    first.close()
    for name in ("kept", "kept-again"):
        shutil.copytree(first.directory, tmp_path / name)
    first.open()
    sends(first, 2, 10)
    first.close()
    for _ in range(2):
        reader = Paid(tmp_path, who, bill).open()
        assert reader.page.spent + reader.page.others == 40
        reader.close()
    again = Paid(tmp_path, "kept", bill).open()
    sends(again, 1, 10)
    again.close()
    for _ in range(2):
        reader = Paid(tmp_path, who, bill).open()
        assert reader.page.spent + reader.page.others >= sum(bill) == 50
        reader.close()
        (tmp_path / ".books.json").unlink()
    reader = Paid(tmp_path, who, bill).open()
    while reader.send():
        pass
    assert sum(bill) <= 100
    reader.close()


def test_a_copy_whose_log_does_not_tell_what_it_did_is_counted_by_its_entries(tmp_path):
    bill: list[int] = []
    first = Paid(tmp_path, "a", bill).open()
    sends(first, 2, 10)
    first.close()
    shutil.copytree(first.directory, tmp_path / "b")
    as_it_was = (tmp_path / "b" / "attempts.log").read_bytes()
    for name in "ab":
        run = Paid(tmp_path, name, bill).open()
        sends(run, 1, 10)
        run.close()
    (tmp_path / "b" / "attempts.log").write_bytes(as_it_was)
    (tmp_path / ".books.json").unlink()
    reader = Paid(tmp_path, "c", bill).open()
    assert reader.page.others >= sum(bill) == 40
    reader.close()


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_of_copies_that_are_alike_one_is_counted(tmp_path, names):
    bill: list[int] = []
    first = Paid(tmp_path, names[0], bill).open()
    sends(first, 3, 10)
    first.close()
    shutil.copytree(first.directory, tmp_path / names[1])
    for lost in (False, True, False):
        if lost:
            (tmp_path / ".books.json").unlink()
        reader = Paid(tmp_path, "c", bill).open()
        assert reader.page.others == 30
        reader.close()
    shutil.rmtree(first.directory)
    reader = Paid(tmp_path, "c", bill).open()
    assert reader.page.others == 30
    reader.close()


def test_nobody_waits_for_what_a_killed_run_held_whose_directory_is_gone(tmp_path):
    killed, asks = (Paid(tmp_path, name, []).open() for name in "ab")
    assert killed.send()
    killed.kill()
    shutil.rmtree(killed.directory)
    while asks.send():
        pass
    assert (asks.page.contested, asks.page.others) == (False, 10)
    assert asks.keeper._look([asks.purse])
    asks.close()


def put_back(directory, kept):
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(kept, directory)


def handled(what, directory, other, kept):
    """Do what somebody may do to a directory that no process has; *other* is another name beside it."""
    match what:
        case "keep" if directory.exists():
            put_back(kept, directory)
        case "put back" if kept.exists():
            put_back(directory, kept)
        case "remove" if directory.exists():
            shutil.rmtree(directory)
        case "rename" if directory.exists() and not other.exists():
            directory.rename(other)
        case "copy" if directory.exists() and not other.exists():
            shutil.copytree(directory, other)


CALLS = ["open", "send", "settle", "close", "kill"]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(NAMES), st.sampled_from(CALLS + ["send"] * 4 + ["keep", "put back", "remove", "rename", "copy"]), st.integers(0, 10)
    ),
    min_size=20,
    max_size=60,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)
@given(STEPS, st.integers(10, 60))
def test_whatever_is_done_to_directories_between_openings_no_day_is_overspent(tmp_path_factory, steps, cap):
    top = tmp_path_factory.mktemp("top")
    bill: list[int] = []
    opened: dict[str, Any] = {}
    for name, what, number in steps:
        if what in CALLS:
            if name not in opened:
                opened[name] = Paid(top / "runs", name, bill, cap=cap).open()
            if what in {"close", "kill"}:
                getattr(opened.pop(name), what)()
            elif what != "open":
                opened[name].do(what, number)
        elif name not in opened:
            other = NAMES[(NAMES.index(name) + 1 + number % 2) % 3]
            handled(what, top / "runs" / name, top / "runs" / other, top / "kept" / name)
        assert sum(bill) <= cap
    for run in opened.values():
        run.leave()
