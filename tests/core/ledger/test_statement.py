"""What a statement counts of single calls and entries: doubt, tokens, money, and which of a row's entries decides."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from batchrun.core.ledger.attempts import ended_line, opened_line, opening_of, read_attempt, started_line
from batchrun.core.ledger.entry_reading import read_entry
from batchrun.core.ledger.entry_writing import write_entry
from batchrun.core.ledger.fold import Fold
from batchrun.core.ledger.totals import Totals
from batchrun.core.model import Answered, Exhausted, Fault, Money, Rejected, Usage
from tests.core.ledger.folded import ANSWER, CALL, LANES, MOST, ROWS, failed, refused


def one_call(verdict, result, *entries, ended=True):
    lines = [opened_line(1, 0.0), started_line("1-1", 0.0, ROWS[0], MOST)]
    lines += [ended_line("1-1", 0.0, verdict, result)] if ended else []
    fold = Fold("run", "job")
    fold.attempts(map(read_attempt, lines))
    fold.entries(read_entry(write_entry(entry, "batchrun", raw=False)) for entry in entries)
    return fold.close({LANES[0]: 1}).lane(*LANES[0])


@pytest.mark.parametrize("ended", [True, False], ids=["ended", "killed before its end was noted"])
def test_an_answer_in_the_ledger_is_in_no_doubt_and_counted_once(ended):
    totals = one_call("answered", ANSWER, Answered(ROWS[0], ANSWER, CALL), ended=ended)
    expected = Totals(answered=1, calls=1, input_tokens=3, output_tokens=4, cached_tokens=2, image_tokens=1, searches=5)
    expected.billed_calls, expected.unpriced_calls, expected.unpriced_tokens = 1, 1, 7
    assert totals == expected


@pytest.mark.parametrize("ended", [True, False])
def test_an_answer_without_usage_stays_in_doubt_once(ended):
    bare = replace(ANSWER, usage=None)
    totals = one_call("answered", bare, Answered(ROWS[0], bare, CALL), ended=ended)
    assert (totals.answered, totals.in_doubt, totals.in_doubt_input_tokens, totals.in_doubt_output_tokens) == (1, 1, 10, 20)


def test_what_entries_and_reasks_say_they_cost_is_summed_by_currency_and_what_is_unknown_is_in_no_sum():
    fold = Fold("run", "job")
    starts = [started_line(f"1-{number}", 0.0, ROWS[0], MOST) for number in (1, 2, 3)]
    asked = ended_line("1-1", 0.0, "reasked", refused(Fault.REASK, Usage(5, 6)), Money("CNY", Decimal("0.00001")))
    unknown = ended_line("1-2", 0.0, "reasked", refused(Fault.REASK, Usage(5, 6)))
    fold.attempts(map(read_attempt, [*starts, asked, unknown]))
    costs = [Money("CNY", Decimal("0.000002")), Money("USD", Decimal("0.3")), None]
    lines = [write_entry(Answered(row, ANSWER, CALL), "batchrun", raw=False, cost=cost) for row, cost in zip(ROWS[:3], costs, strict=True)]
    fold.entries(map(read_entry, lines))
    total = fold.close({}).total()
    assert total.cost == {"CNY": Decimal("0.000012"), "USD": Decimal("0.3")}
    assert (total.unpriced_calls, total.unpriced_tokens) == (2, 11 + 7)
    assert total.as_json()["cost"] == {"CNY": "0.000012", "USD": "0.3"}


def test_a_start_without_an_end_is_in_doubt():
    totals = one_call("", ANSWER, ended=False)
    assert (totals.pending, totals.in_doubt, totals.input_tokens, totals.in_doubt_input_tokens) == (1, 1, 0, 10)


def test_a_reasked_call_is_counted_with_its_tokens_beside_the_answer_that_came_of_it():
    lines = [started_line(f"1-{number}", 0.0, ROWS[0], MOST) for number in (1, 2)]
    lines += [ended_line("1-1", 0.0, "reasked", refused(Fault.REASK, Usage(5, 6))), ended_line("1-2", 0.0, "answered", ANSWER)]
    fold = Fold("run", "job")
    fold.attempts(map(read_attempt, lines))
    fold.entries([read_entry(write_entry(Answered(ROWS[0], ANSWER, replace(CALL, attempt="1-2")), "batchrun", raw=False))])
    totals = fold.close({LANES[0]: 1}).total()
    assert (totals.calls, totals.reasks, totals.retries, totals.answered) == (2, 1, 0, 1)
    assert (totals.input_tokens, totals.output_tokens, totals.reask_input_tokens, totals.reask_output_tokens) == (8, 10, 5, 6)


def test_the_latest_entry_of_a_row_decides_and_every_entrys_usage_counts():
    exhausted = Exhausted(ROWS[0], failed(Fault.AGAIN, usage=Usage(1, 1)), replace(CALL, attempt="0-1"))
    rejected = Rejected(ROWS[0], failed(Fault.REJECT, usage=Usage(2, 2)), replace(CALL, attempt="0-2"))
    totals = one_call("answered", ANSWER, exhausted, rejected, Answered(ROWS[0], ANSWER, CALL))
    assert (totals.answered, totals.rejected, totals.exhausted, totals.pending, totals.input_tokens) == (1, 0, 0, 0, 6)
    totals = one_call("again", failed(Fault.AGAIN), exhausted, rejected)
    assert (totals.answered, totals.rejected, totals.exhausted, totals.input_tokens) == (0, 1, 0, 3)


def test_a_row_that_was_answered_counts_as_failed_no_more_whatever_entries_follow():
    rejected = Rejected(ROWS[3], failed(Fault.REJECT), None)
    exhausted = Exhausted(ROWS[0], failed(Fault.AGAIN), None)
    answers = [Answered(ROWS[0], ANSWER, replace(CALL, attempt=f"0-{number}")) for number in range(3)]
    totals = one_call("again", failed(Fault.AGAIN), rejected, exhausted, *answers)
    assert (totals.answered, totals.rejected, totals.exhausted) == (3, 1, 0)
    totals = one_call("again", failed(Fault.AGAIN), rejected, exhausted, *answers[:2], exhausted, rejected, exhausted)
    assert (totals.answered, totals.rejected, totals.exhausted) == (2, 1, 1)


def test_two_starts_of_one_name_are_each_counted_and_the_earlier_one_is_in_doubt():
    fold = Fold("run", "job")
    fold.attempts(map(read_attempt, [started_line("1-1", 0.0, row, MOST) for row in ROWS[:2]]))
    fold.entries([read_entry(write_entry(Answered(ROWS[1], ANSWER, CALL), "batchrun", raw=False))])
    statement = fold.close({})
    assert (statement.lane(*LANES[0]).in_doubt, statement.lane(*LANES[1]).in_doubt) == (1, 0)


def test_an_entry_of_another_row_takes_no_attempts_doubt_away():
    assert one_call("", ANSWER, Answered(ROWS[1], ANSWER, CALL), ended=False).in_doubt == 1


def test_lines_that_cannot_be_read_are_counted():
    fold = Fold("run", "job", rejected_input=3)
    fold.attempts(map(read_attempt, [b"\0\0\0\n", b"{}\n", opened_line(1, 0.0)]))
    statement = fold.close({})
    assert (statement.unreadable_attempts, statement.rejected_input, statement.lanes) == (2, 3, {})


@pytest.mark.parametrize(("name", "opening"), [("3-17", 3), ("12-1", 12), ("", 0), ("x-1", 0), ("-1", 0), ("²-1", 0), ("7", 7)])
def test_an_attempts_name_tells_its_opening(name, opening):
    assert opening_of(name) == opening


@pytest.mark.parametrize(("outcome", "fault"), [(Exhausted, Fault.AGAIN), (Rejected, Fault.REJECT)])
@pytest.mark.parametrize(
    ("rows", "pending"),
    [
        ({LANES[1]: 3, LANES[2]: 4}, [0, 2, 4]),
        ({LANES[0]: 1, LANES[1]: 3, LANES[2]: 4}, [0, 3, 4]),
        ({LANES[0]: 4, LANES[1]: 1}, [3, 1, 0]),
        ({LANES[1]: 0, LANES[2]: 4}, [0, 0, 4]),
    ],
)
def test_a_failed_row_that_is_to_be_asked_with_another_model_now_is_not_pending_beside_its_entry(rows, pending, outcome, fault):
    """It is counted where its entry is, and to be asked where the job says since: of its workspace no more are left than there are."""
    fold = Fold("run", "job")
    fold.entries([read_entry(write_entry(outcome(ROWS[0], failed(fault), CALL), "batchrun", raw=False))])
    statement = fold.close(rows)
    assert [statement.lane(*lane).pending for lane in LANES] == pending
    assert statement.total().rejected + statement.total().exhausted == 1


def test_each_row_that_has_an_entry_under_another_model_is_taken_off_one_lane_of_its_workspace():
    fold = Fold("run", "job")
    fold.entries(
        [read_entry(write_entry(Rejected(replace(ROWS[0], id=name), failed(Fault.REJECT), CALL), "batchrun", raw=False)) for name in "ab"]
    )
    statement = fold.close({(LANES[0][0], model): 3 for model in ("x-1", "x-2", "x-3")})
    assert [statement.lane(LANES[0][0], model).pending for model in ("x-1", "x-2", "x-3")] == [1, 3, 3]
