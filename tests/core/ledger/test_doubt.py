"""Which calls are in doubt: starts held against ends and entries, in any order that kills and lost machines leave them."""

from __future__ import annotations

import pickle
import tracemalloc

import pytest

from batchrun.core.ledger.attempts import Bound, Ended, Opened, Promise, Promised, ReadIn, Started
from batchrun.core.ledger.doubt import Calls
from batchrun.core.ledger.doubts import Doubtful, Doubts
from batchrun.core.ledger.entry import Entry
from batchrun.core.ledger.fold import Fold
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
    calls = Calls()
    assert len([*calls.take([start(1), end(1), start(2, "s")])]) == 3
    assert [doubtful.started.name for doubtful in calls.in_doubt_by_the_log()] == ["1-2"]


def test_where_no_entry_is_left_all_that_was_answered_is_in_doubt():
    """Of one entry that was left the others had been missed; without any, nothing was in doubt, and the bill was above the statement."""
    assert told([start(1), end(1), start(2, "s"), end(2, "rejected", status=400)]) == ["1-1"]


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


@pytest.mark.parametrize(
    ("lines", "unlogged"),
    [
        ([Opened(1, "a"), start(1), start(2, "s"), end(2), ReadIn("a")], 2),
        ([Opened(1, "a"), start(3, "t"), end(3), Opened(2, "a"), ReadIn("a")], 3),
        ([ReadIn("a")], 4),
        ([Opened(1, "a"), start(1), None, start(3, "t"), ReadIn("a")], 1),
        ([Opened(1, "a"), *(start(number, row) for number, row in enumerate("rstu", 1)), ReadIn("a")], 0),
    ],
)
def test_answers_that_no_line_tells_of_the_calls_of_are_counted_but_for_those_of_lines_that_cannot_be_read(lines, unlogged):
    """A run that was copied while it went on had its log copied before its results: what else was called then was in no doubt."""
    calls = Calls()
    calls.take_all(lines)
    for each in (*(entry(number, row) for number, row in enumerate("rstu", 1)), entry(5, "v", "rejected", None)):
        calls.told(each)
    assert calls.unlogged() == unlogged


@pytest.mark.parametrize(("promised", "boot", "unlogged"), [(4, "b", 0), (3, "b", 0), (2, "b", 1), (3, "a", 3)])
def test_answers_whose_lines_a_lost_machine_took_along_are_told_as_that_as_far_as_they_were_promised(promised, boot, unlogged):
    calls = Calls()
    calls.take_all([Opened(1, "a"), Promised((Promise(*LANE, promised + 1, 99, 99),), 5.0), start(1), ReadIn(boot)])
    for number, row in enumerate("rstu", 1):
        calls.told(entry(number, row))
    assert calls.unlogged() == unlogged


def test_a_number_that_is_no_attempts_sets_no_memory_aside():
    calls = Calls()
    assert [*calls.take([Started("1-999999999", *LANE, "r", MOST), Started("x-1", *LANE, "s", MOST), Opened(4)])]
    assert sum(len(each.marks) for each in calls._numbered.openings.values()) == 0
    assert (calls.latest, len([*calls.in_doubt()])) == (4, 2)


def test_rows_in_doubt_are_those_that_are_neither_answered_nor_rejected():
    fold = Fold("run", "job")
    fold.attempts([start(1, "a"), start(2, "b"), start(3, "c"), start(4, "c"), start(5, "d"), end(5, "again", in_doubt=True)])
    fold.entries([entry(1, "a"), entry(2, "b", "rejected", None)])
    totals = fold.close({LANE: 9}).total()
    assert (totals.in_doubt, totals.rows_in_doubt, totals.pending) == (4, 2, 7)


def test_a_row_that_is_exhausted_stays_in_doubt_for_an_earlier_call_of_it_even_where_it_was_rejected_between():
    """The next run sends it again."""
    fold = Fold("run", "job")
    fold.attempts([start(1, "a"), start(2, "a"), end(2, "exhausted"), start(3, "b"), start(4, "b"), end(4, "rejected")])
    fold.entries([entry(2, "a", "exhausted", None), entry(4, "b", "rejected", None), entry(5, "b", "exhausted", None)])
    totals = fold.close({LANE: 2}).total()
    assert (totals.in_doubt, totals.rows_in_doubt, totals.exhausted) == (2, 2, 2)


def doubts(*lines, entries=(), only=None):
    calls = Calls(only)
    calls.take_all(lines)
    for each in entries:
        calls.told(each)
    return [(each.started.name, each.why, each.ended and each.ended.verdict) for each in calls.in_doubt()]


def test_why_a_call_is_in_doubt_is_said():
    timed_out = end(1, "again", in_doubt=True)._replace(code="read_timeout")
    lines = [start(1), timed_out, start(2, "s"), end(2, in_doubt=True), start(3, "t"), start(4, "u"), end(4), start(5, "v"), end(5)]
    assert doubts(*lines, entries=[entry(5, "v")]) == [
        ("1-1", "read_timeout", "again"),
        ("1-2", "its answer told no usage", "answered"),
        ("1-3", "it has no end: the process was killed", None),
        ("1-4", "its answer is not in the ledger", None),
    ]


def test_of_a_run_that_is_under_way_what_the_present_opening_has_begun_is_in_flight_and_what_others_left_is_in_doubt():
    def whys(*lines):
        calls = Calls()
        for _ in calls.take(lines):
            pass
        return [(each.started.name, each.why) for each in calls.in_doubt(under_way=True)]

    assert whys(start(1), start(2), end(2, "again", in_doubt=True)) == [("1-2", "its answer told no usage"), ("1-1", Calls.IN_FLIGHT)]
    killed = [("1-1", Calls.KILLED), ("1-2", Calls.IN_FLIGHT)]
    assert whys(start(1), Opened(2, "boot"), start(2)) == killed
    # A lost machine took the line that numbers an opening: the next one names its calls the same.
    assert whys(start(1), Opened(1, "boot"), start(1)) == [("1-1", Calls.KILLED), ("1-1", Calls.IN_FLIGHT)]


def test_calls_in_flight_are_counted_apart_and_make_no_row_one_in_doubt():
    fold = Fold("run", "night")
    fold.attempts([start(1), Opened(2, "boot"), start(2, "s")])
    total = fold.close({LANE: 2}, under_way=True).total()
    assert (total.in_doubt, total.rows_in_doubt, total.in_flight.calls) == (1, 1, 1)
    assert (total.in_flight.input_tokens, total.in_flight.output_tokens) == (10, 20)


def test_of_two_starts_of_one_name_the_earlier_one_was_killed_and_the_later_one_has_the_end():
    lines = [start(1, "r"), start(1, "s"), end(1)]
    assert doubts(*lines, entries=[entry(1, "s")]) == [("1-1", Calls.KILLED, None)]
    calls = Calls()
    calls.take_all(lines)
    assert calls.wrong(entry(1, "r")) == "names the attempt 1-1, which was made for another row"


def test_a_row_is_suspect_as_long_as_one_of_its_calls_is_under_way_or_in_doubt():
    calls = Calls()
    row, other = ("legal", "r"), ("legal", "s")
    steps = [
        (start(1), True), (start(2), True), (end(1, "again"), True), (end(2, "again"), False),
        (start(3), True), (end(3, in_doubt=True), True), (start(4), True), (end(4), True),
    ]  # fmt: skip
    for line, suspect in steps:
        calls.take_all([line])
        assert ((row in calls.suspects()), (other in calls.suspects())) == (suspect, False), line


def test_calls_of_other_workspaces_are_left_out_ends_and_lost_answers_too():
    others = Started("1-1", "sales", "qwen-plus", "r", MOST), end(1, in_doubt=True), start(2), end(2), start(3)
    read = [line for line, _ in Calls("legal").take(others)]
    assert [line.name for line in read] == ["1-2", "1-2", "1-3"]
    assert doubts(*others, entries=[entry(9)], only="legal") == [("1-3", Calls.KILLED, None), ("1-2", Calls.MISSING, None)]
    assert doubts(*others, entries=[entry(9)], only="sales") == [("1-1", "its answer told no usage", "answered")]


def test_an_end_that_comes_after_its_entry_is_given_once_with_its_start_and_one_without_a_start_is_not():
    calls = Calls()
    calls.take_all([start(1), start(2, "s")])
    calls.told(entry(1))
    assert [(began.name, over and over.name) for began, over in calls.take([end(1), end(1), end(7)])] == [("1-1", "1-1")]
    assert [each.started.name for each in calls.in_doubt()] == ["1-2"]


@pytest.mark.parametrize(
    ("name", "opening"), [("4-1", 4), ("4-99999999", 4), ("04-1", 4), ("9-1", 9), (None, 0), ("x-1", 0), ("x-y", 0), ("7", 7), ("²-1", 0)]
)
def test_the_opening_of_an_entry_is_told_by_its_attempts_name(name, opening):
    calls = Calls()
    calls.take_all([Started("4-1", *LANE, "r", MOST)])
    assert calls.opening_of(entry(1)._replace(attempt=name)) == opening


def test_a_log_with_gaps_in_its_numbers_is_remembered_in_little_more_than_a_byte_a_number():
    calls = Calls()
    numbers = [*range(1, 5000), 60_000, 1_000_000]
    calls.take_all(line for number in numbers for line in (start(number, str(number)), end(number)))
    held = sum(len(each.marks) for each in calls._numbered.openings.values())
    assert 1_000_000 < held < 1_600_000
    assert len(pickle.dumps(calls._numbered)) < held + 4 * 3 * 4096
    for number in numbers[:: len(numbers) // 7]:
        assert calls.wrong(entry(number, str(number))) is None
        assert calls.wrong(entry(number, "another")) is not None


@pytest.mark.parametrize(
    "doubtful",
    [
        Doubtful(start(1, "zeile\n1 \u2028 \U0001f600"), Calls.KILLED),
        Doubtful(
            start(2)._replace(at=1.8e9 + 1 / 3), "total_timeout", end(2, "again", in_doubt=True, status=504)._replace(code="total_timeout")
        ),
        Doubtful(start(3), "why", end(3, in_doubt=True)._replace(at=0.1, metadata={"a": [None, 1.5, "é"]}, has_metadata=True)),
    ],
)
def test_a_call_in_doubt_is_given_back_as_it_was_however_often_it_is_asked_for_and_after_a_checkpoint(doubtful):
    doubts = Doubts()
    doubts.add(*doubtful)
    doubts.add(*doubtful)
    assert [*doubts] == [*doubts] == [*pickle.loads(pickle.dumps(doubts))] == [doubtful, doubtful]


def test_an_end_that_somebody_has_nested_too_deeply_to_be_written_leaves_its_call_in_doubt_all_the_same():
    deep: object = None
    for _ in range(500):
        deep = [deep]
    assert told([start(1), end(1, in_doubt=True)._replace(metadata=deep, has_metadata=True), start(2)]) == ["1-1", "1-2"]


def test_an_answer_that_tells_no_usage_takes_little_more_memory_than_its_lines():
    """Where no answer does, each row's is in doubt: a million of them had taken a gigabyte, and its checkpoint two."""

    def lines():
        for number in range(5_000):
            yield start(number, f"row-{number}")._replace(at=1.8e9 + number / 7)
            yield end(number, in_doubt=True)._replace(at=1.8e9 + number / 3)

    calls = Calls()
    tracemalloc.start()
    for _ in calls.take(lines()):
        pass
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(1 for _ in calls.in_doubt()) == 5_000
    assert taken / 5_000 < 350
