"""Of each attempt a mark is kept, and its row's checksum for as long as an entry may have to be held against it."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.ledger import numbered
from batchrun.core.ledger.attempts import Bound, Ended, Started
from batchrun.core.ledger.doubt import Calls
from batchrun.core.ledger.entry import Entry
from batchrun.core.ledger.numbered import FOUND, Attempts, Numbered
from batchrun.core.ledger.usual import UsualAnswer, together
from batchrun.core.model import Answered, Call, Reply, Row, Usage

NUMBERS = st.integers(0, 40)
STEPS = st.lists(
    st.tuples(st.just("begin"), NUMBERS, st.integers(1, 2**32 - 1))
    | st.tuples(st.sampled_from(["found", "whole"]), NUMBERS, st.just(0))
    | st.tuples(st.just("tidy"), st.just(0), st.just(0)),
    max_size=120,
)


@given(STEPS)
def test_a_checksum_is_known_from_the_start_of_an_attempt_until_its_entry_is_found_however_often_it_is_tidied_up(steps):
    page, few = numbered.PAGE, numbered._FEW
    numbered.PAGE, numbered._FEW = 4, 2
    try:
        attempts, rows = Attempts(1), dict[int, int]()
        attempts.reach(40)
        for what, number, row in steps:
            match what:
                case "begin":
                    attempts.begin(number, row)
                    rows[number] = row
                case "found":
                    attempts.marks[number] = FOUND
                    rows.pop(number, None)
                case "whole":
                    attempts.whole_page(number // 4)
                case "tidy":
                    attempts.tidy()
            known = {number: row for number in range(41) if not attempts.marks[number] & FOUND and (row := attempts.row_of(number))}
            assert known == rows
    finally:
        numbered.PAGE, numbered._FEW = page, few


def kept(calls: Calls) -> int:
    """Bytes of a checkpoint, which holds what is held in memory."""
    return len(pickle.dumps(calls._numbered, protocol=4))


def answers(numbers):
    for number in numbers:
        row = Row(f"r-{number}", "legal", "qwen-plus", {}, "0" * 16)
        usage = Usage(1, 1)
        reply = Reply("a", "stop", usage)
        outcome = Answered(row, reply, Call(f"1-{number}", 1, 0.0, 1))
        yield UsualAnswer(f"1-{number}", 0.0, Bound(1, 1), 1.0, outcome, number, usage, None)


def test_what_a_run_has_answered_costs_little_more_than_a_byte_a_call_however_many_others_were_refused():
    calls, count = Calls(), 50_000
    for number in range(count):
        if number % 100:
            assert calls.answered(together([*answers([number])]))
        else:
            calls.take_all(
                [Started(f"1-{number}", "legal", "qwen-plus", "r", Bound(1, 1), 0.0), Ended(f"1-{number}", "throttled", False, None)]
            )
    # Half as much room again, and 40 refused calls of each page.
    assert kept(calls) < 1.5 * count + 10 * count / 100 + 4096


def test_a_log_that_was_read_back_is_remembered_in_as_little_once_its_entries_were_read():
    calls, count = Calls(), 50_000
    log = [Started(f"1-{number}", "legal", "qwen-plus", f"r-{number}", Bound(1, 1), 0.0) for number in range(count)]
    calls.take_all(line for each in log for line in (each, Ended(each.name, "answered", False, Usage(1, 1))))
    before = kept(calls)
    for each in log:
        entry = Entry(each.row_id, "legal", "qwen-plus", "answered", "0" * 16, each.name, Usage(1, 1))
        assert calls.taken(entry) is None
    assert before > 4 * count
    calls.tidy()
    assert kept(calls) < 1.5 * count + 4096


@pytest.mark.parametrize(
    ("names", "known"),
    [
        (["3-1", "3-2", "3-17", "4-1", "3-3"], {3: {1, 2, 3, 17}, 4: {1}}),
        (["3-1", "3-x"], None),
        (["3-1", "3-"], None),
        (["3-1", "3-1000000000"], None),
        (["x-1"], None),
    ],
)
def test_attempts_that_are_noted_together_are_found_each_at_its_own_number(names, known):
    attempts_of = Numbered()
    assert attempts_of.note_found(names) is (known is not None)
    if known is not None:
        found = {
            opening: {number for number, mark in enumerate(attempts.marks) if mark == FOUND}
            for opening, attempts in attempts_of.openings.items()
        }
        assert found == known
