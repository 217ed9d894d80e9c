"""Which calls are in doubt: starts held against ends and entries, in any order that kills and lost machines leave them."""

from __future__ import annotations

import pytest

from batchrun.core.ledger.attempts import Bound, Ended, Opened, Started
from batchrun.core.ledger.doubt import Calls
from batchrun.core.ledger.entry import Entry
from batchrun.core.ledger.statement import Fold
from batchrun.core.model import Usage

MOST = Bound(10, 20)
LANE = ("legal", "qwen-plus")


def start(number, row="r"):
    return Started(f"1-{number}", *LANE, row, MOST)


def end(number, verdict="answered", *, in_doubt=False, usage=None, status=None):
    return Ended(f"1-{number}", verdict, in_doubt, usage, status=status)


USAGE = Usage(3, 4)


def entry(number, row="r", outcome="answered", usage=USAGE):
    return Entry(row, *LANE, outcome, "0" * 16, f"1-{number}", usage)


def told(lines, entries=()):
    calls = Calls()
    for _ in calls.take(lines):
        pass
    for each in entries:
        assert calls.wrong(each) is None
        calls.told(each)
    return [doubtful.started.name for doubtful in calls.in_doubt()]


def test_a_call_without_an_end_is_in_doubt_until_an_entry_tells_its_usage():
    assert told([start(1), start(2, "s")]) == ["1-1", "1-2"]
    assert told([start(1), start(2, "s")], [entry(1)]) == ["1-2"]
    assert told([start(1)], [entry(1, usage=None)]) == ["1-1"]


def test_an_answer_that_was_noted_and_does_not_stand_in_the_ledger_is_in_doubt():
    lines = [start(1), end(1), start(2, "s"), end(2), start(3, "t"), end(3, "again")]
    assert told(lines, [entry(1)]) == ["1-2"]
    assert told(lines, [entry(1), entry(2, "s")]) == []


def test_nothing_is_missing_from_entries_that_were_not_read():
    assert told([start(1), end(1)]) == []


@pytest.mark.parametrize(("status", "doubt"), [(200, ["1-1"]), (400, []), (None, [])])
def test_a_final_failure_without_its_entry_is_in_doubt_where_an_answer_had_been_paid_for(status, doubt):
    assert told([start(1), end(1, "rejected", status=status), start(2, "s")], [entry(2, "s")]) == doubt


def test_two_entries_of_one_attempt_and_an_entry_of_another_row_contradict_the_log():
    calls = Calls()
    assert [*calls.take([start(1), end(1)])]
    calls.told(entry(1))
    assert calls.wrong(entry(1)) == "names the attempt 1-1, which another entry names already"
    calls = Calls()
    assert [*calls.take([start(1), end(1)])]
    assert calls.wrong(entry(1, "s")) == "names the attempt 1-1, which was made for another row"
    assert calls.wrong(entry(7, "s")) is None, "the log's end may be lost"


def test_a_number_that_is_no_attempts_sets_no_memory_aside():
    calls = Calls()
    assert [*calls.take([Started("1-999999999", *LANE, "r", MOST), Started("x-1", *LANE, "s", MOST), Opened(4)])]
    assert sum(len(each.marks) for each in calls._openings.values()) == 0
    assert (calls.latest, len([*calls.in_doubt()])) == (4, 2)


def test_rows_in_doubt_are_those_that_are_neither_answered_nor_rejected():
    fold = Fold("run", "job")
    fold.attempts([start(1, "a"), start(2, "b"), start(3, "c"), start(4, "c"), start(5, "d"), end(5, "again", in_doubt=True)])
    fold.entries([entry(1, "a"), entry(2, "b", "rejected", None)])
    totals = fold.close({LANE: 4}).total()
    assert (totals.in_doubt, totals.rows_in_doubt, totals.pending) == (4, 2, 2)
