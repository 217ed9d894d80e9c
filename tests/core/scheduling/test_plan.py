"""What is left to do of a run, by its index and what the ledger says of earlier openings."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchrun.core.ledger.entry import Entry
from batchrun.core.ledger.fold import Fold
from batchrun.core.rows.index import Index
from batchrun.core.scheduling.plan import Plan

LEGAL, SALES = ("legal", "plus"), ("sales", "plus")


def index() -> Index:
    """Three rows of legal, two of sales; their digests are their ordinals'."""
    found = Index()
    for ordinal, (lane, row_id) in enumerate([(LEGAL, "a"), (LEGAL, "b"), (SALES, "a"), (LEGAL, "c"), (SALES, "z")]):
        found.add(lane, row_id, ordinal, ordinal)
    return found


def entry(row_id, outcome="answered", *, workspace="legal", model="plus", digest=0):
    return Entry(row_id, workspace, model, outcome, f"{digest:016x}", "1-1", None)


def plan_of(*entries):
    plan = Plan(index())
    for each in entries:
        plan.note(each)
    return plan


def left(plan):
    return {lane: list(plan.rows(lane)) for lane in plan.lanes()}


def test_of_a_new_run_every_row_is_left_in_the_order_of_the_input():
    plan = plan_of()
    assert left(plan) == {LEGAL: [0, 1, 3], SALES: [2, 4]}
    assert plan.lanes() == {LEGAL: 3, SALES: 2}
    assert plan.rows_of_the_run() == {LEGAL: 3, SALES: 2}
    assert not plan.is_of_another_input
    assert plan.held() == {}


def test_answered_and_rejected_rows_are_left_out_and_exhausted_ones_are_tried_again():
    plan = plan_of(entry("a"), entry("b", "rejected"), entry("c", "exhausted"), entry("a", workspace="sales", digest=2))
    assert left(plan) == {LEGAL: [3], SALES: [4]}
    assert plan.is_answered("legal", "a")
    assert plan.is_answered("sales", "a")
    assert not any(plan.is_answered("legal", row) for row in "bcx")
    assert not plan.is_answered("sales", "z")


def test_a_row_is_left_by_its_name_as_long_as_it_is_to_be_asked_in_this_opening():
    plan = plan_of(entry("a"), entry("b", "rejected"), entry("c", "exhausted"))
    assert plan.is_left("legal", "c"), "its tries ran out in an earlier one"
    assert plan.is_left("sales", "a"), "that of another workspace was answered"
    assert plan.is_left("sales", "z")
    assert not any(plan.is_left("legal", row) for row in "abx"), "answered, rejected, and in no input"
    plan.hold([("sales", "z")])
    assert not plan.is_left("sales", "z")
    plan.retry_rejected()
    assert plan.is_left("legal", "b")


def test_a_lane_with_nothing_left_is_none():
    assert plan_of(entry("a", workspace="sales"), entry("z", "rejected", workspace="sales")).lanes() == {LEGAL: 3}


def test_an_answer_is_final_whatever_else_the_ledger_says_of_its_row():
    for outcome in ("rejected", "exhausted"):
        assert left(plan_of(entry("a"), entry("a", outcome))) == left(plan_of(entry("a", outcome), entry("a")))
    plan = plan_of(entry("b", "rejected"), entry("b", "exhausted"))
    assert plan.lanes()[LEGAL] == 3, "the latest failure counts"


def test_rejected_rows_are_left_again_when_that_is_asked_and_no_others_are():
    plan = plan_of(entry("a"), entry("b", "rejected"), entry("z", "rejected", workspace="sales"))
    assert plan.lanes() == {LEGAL: 1, SALES: 1}
    plan.retry_rejected()
    assert left(plan) == {LEGAL: [1, 3], SALES: [2, 4]}
    assert plan.lanes() == {LEGAL: 2, SALES: 2}


def test_a_rejected_row_that_was_corrected_is_left_when_that_is_asked_and_not_before():
    """Its advice says so; a run that asked again whatever changed would pay again for all that is refused, once a setting is another."""
    plan = plan_of(entry("b", "rejected", digest=77))
    assert left(plan)[LEGAL] == [0, 3]
    plan.retry_rejected()
    assert left(plan)[LEGAL] == [0, 1, 3]


def test_what_is_noted_later_counts_although_it_was_counted_before():
    plan = plan_of()
    for number, row in enumerate("abc", 1):
        plan.note(entry(row))
        assert plan.lanes().get(LEGAL, 0) == 3 - number
        assert plan.rows_of_the_run()[LEGAL] == 3


def test_answers_to_a_line_or_settings_that_changed_are_counted_and_kept():
    plan = plan_of(entry("a", digest=0), entry("b", digest=77), entry("c", "exhausted", digest=99), entry("c", digest=4))
    assert plan.changed == 2
    assert left(plan) == {SALES: [2, 4]}


def test_answers_whose_rows_are_gone_from_the_input_are_counted():
    plan = plan_of(entry("a"), entry("old"), entry("older", "rejected"))
    assert (plan.gone, plan.changed, plan.is_of_another_input) == (1, 0, False)
    assert plan.rows_of_the_run() == {LEGAL: 5, SALES: 2}
    assert plan.lanes() == {LEGAL: 2, SALES: 2}


def test_an_input_that_has_none_of_the_answered_rows_is_another_runs():
    plan = plan_of(entry("x"), entry("y"))
    assert (plan.gone, plan.is_of_another_input) == (2, True)
    assert not plan_of(entry("x", "rejected")).is_of_another_input, "nothing is answered that could be asked again"


def test_a_row_that_was_answered_by_another_model_is_counted_with_that_one():
    plan = plan_of(entry("a", model="flash"), entry("b"))
    assert plan.rows_of_the_run() == {("legal", "flash"): 1, LEGAL: 2, SALES: 2}
    assert plan.lanes() == {LEGAL: 1, SALES: 2}


def test_a_rejected_row_counts_where_its_entry_is_whatever_model_its_line_names_since():
    plan = plan_of(entry("a", "rejected", model="flash"), entry("b", "exhausted", model="flash"))
    assert plan.rows_of_the_run() == {("legal", "flash"): 1, LEGAL: 2, SALES: 2}
    plan.retry_rejected()
    assert plan.rows_of_the_run() == {LEGAL: 3, SALES: 2}, "it is asked as its line says now"


def test_a_row_that_failed_and_is_gone_from_the_input_is_one_of_the_run():
    plan = plan_of(entry("x", "exhausted"), entry("x", "rejected"), entry("y", "rejected"), entry("y"), entry("z", "exhausted"))
    assert plan.rows_of_the_run() == {LEGAL: 6, SALES: 2}
    assert plan.failed_and_gone() == plan.copy().failed_and_gone() == {"rejected": 1, "exhausted": 1}
    assert plan_of(entry("a", "rejected")).failed_and_gone() == {}


FAILED = st.tuples(st.sampled_from("abcxy"), st.sampled_from(["rejected", "exhausted"]), st.sampled_from(["plus", "flash"]))


@given(st.lists(FAILED, max_size=8), st.dictionaries(st.sampled_from("abcxy"), st.sampled_from(["plus", "flash"])))
@example([("a", "rejected", "flash"), ("a", "rejected", "plus")], {})
@example([("a", "exhausted", "flash"), ("x", "rejected", "plus")], {"a": "flash", "x": "plus"})
def test_what_a_statement_calls_pending_is_what_is_left_of_rows_without_an_entry(failed, answered):
    entries = [entry(row, outcome, model=model) for row, outcome, model in failed]
    entries += [entry(row, model=model) for row, model in answered.items()]
    plan, fold = plan_of(*entries), Fold("run", "night")
    fold.entries(entries)
    latest = {each.id: each for each in entries}
    rows = {0: "a", 1: "b", 3: "c"}
    expected = Counter({LEGAL: sum(rows[ordinal] not in latest for ordinal in left(plan).get(LEGAL, ())), SALES: 2})
    statement = fold.close(plan.rows_of_the_run())
    lanes, total = statement.lanes, statement.total()
    assert total.answered + total.rejected + total.exhausted + total.pending == len({"a", "b", "c", *latest}) + 2, "each row once"
    assert {lane: totals.pending for lane, totals in lanes.items() if totals.pending} == +expected


def test_rows_that_a_person_is_to_decide_on_are_left_out_and_counted_by_workspace():
    plan = plan_of(entry("a"), entry("b", "rejected"))
    assert plan.lanes() == {LEGAL: 1, SALES: 2}
    held = plan.hold([("legal", "a"), ("legal", "b"), ("legal", "c"), ("legal", "c"), ("sales", "a"), ("sales", "z"), ("legal", "gone")])
    assert held == 3, "an answered row, a rejected one and one that is no more are not held"
    assert plan.held() == {"legal": 1, "sales": 2}
    assert left(plan) == {}
    assert plan.rows_of_the_run() == {LEGAL: 3, SALES: 2}
    plan.retry_rejected()
    assert left(plan) == {LEGAL: [1]}


def test_rows_of_a_workspace_are_counted_as_held_over_all_its_models():
    rows = Index()
    for number, model in enumerate(("plus", "flash")):
        rows.add(("legal", model), f"r-{number}", number, number)
    plan = Plan(rows)
    assert plan.hold([("legal", "r-0"), ("legal", "r-1")]) == 2
    assert plan.held() == {"legal": 2}


@pytest.mark.parametrize("counted", [False, True])
def test_what_is_done_to_a_copy_is_not_done_to_the_plan(counted):
    plan = plan_of(entry("a"), entry("b", "rejected"), entry("gone"))
    if counted:
        plan.lanes()
    other = plan.copy()
    other.hold([("sales", "a")])
    other.note(entry("c"))
    other.retry_rejected()
    assert (left(plan), plan.rows_of_the_run(), plan.held().total()) == ({LEGAL: [3], SALES: [2, 4]}, {LEGAL: 4, SALES: 2}, 0)
    assert (left(other), other.rows_of_the_run(), other.held()["sales"]) == ({LEGAL: [1], SALES: [4]}, {LEGAL: 4, SALES: 2}, 1)
    assert (plan.gone, other.gone, other.is_answered("legal", "c"), plan.is_answered("legal", "c")) == (1, 1, True, False)
