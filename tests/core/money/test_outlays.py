"""When budgets would be spent: arithmetic over lanes that spend evenly, by the run and by the day."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchrun.core.money.outlays import Outlay, RunsOut, runs_out, total
from batchrun.core.money.periods import Period

D = Decimal
DAY = 86_400.0
NOON = datetime.fromisoformat("2026-11-25T12:00:00+08:00").timestamp()
BY_DAY = Period("day", "Asia/Shanghai")


def lane(rows, seconds, amount, most=0):
    return Outlay(rows, seconds, D(amount), D(most))


def test_all_that_lanes_would_spend_is_what_each_would_and_nothing_where_there_are_none():
    assert total([lane(100, 100, "0.5", 7), lane(1, 2, 30)]) == D("30.5")
    assert total([]) == D(0)


@pytest.mark.parametrize(
    ("lanes", "left", "found"),
    [
        ([lane(100, 100, 100)], 100, None),
        ([lane(100, 100, 100)], 40, RunsOut(40.0, 60, D(60))),
        ([lane(100, 100, 100, 5)], 45, RunsOut(40.0, 60, D(60))),
        ([lane(100, 100, 100), lane(50, 50, 50)], 60, RunsOut(30.0, 90, D(90))),
        ([lane(100, 100, 100), lane(50, 50, 50)], 120, RunsOut(70.0, 30, D(30))),
        ([lane(100, 100, 100), lane(50, 50, 50)], 150, None),
        ([lane(100, 100, 100)], 0, RunsOut(0.0, 100, D(100))),
        ([lane(10, 100, 100, 20)], 19, RunsOut(0.0, 10, D(100))),
        ([lane(10, 100, 100, 20)], -5, RunsOut(0.0, 10, D(100))),
        ([lane(100, 100, 0)], 0, None),
        ([], 0, None),
        ([], -5, None),
        ([lane(0, 0, 0)], 5, None),
        ([lane(0, 0, 0), lane(100, 100, 100)], 40, RunsOut(40.0, 60, D(60))),
    ],
)
def test_a_budget_of_the_run_is_spent_when_its_lanes_have_spent_it(lanes, left, found):
    told = runs_out(lanes, D(1000), D(left), None, NOON)
    assert (told is None) == (found is None)
    if told and found:
        assert [told.at, told.rows, float(told.missing)] == pytest.approx([found.at, found.rows, float(found.missing)])


@pytest.mark.parametrize(
    ("days", "amount", "cap", "left", "at"),
    [
        (2.0, 200, 100, 60, None),
        (2.0, 200, 100, 50, None),
        (2.0, 200, 100, 49, 0.49),
        (2.0, 200, 99, 99, 0.5 + 0.99),
        (0.25, 100, 100, 100, None),
        (5.0, 499, 100, 100, None),
        (5.0, 501, 100, 100, 0.5 + 100 / 100.2),
    ],
)
def test_a_budget_of_the_day_is_spent_on_the_first_day_that_does_not_suffice(days, amount, cap, left, at):
    """From noon on, evenly: half of a day's share is spent on the first."""
    told = runs_out([lane(1000, days * DAY, amount)], D(cap), D(left), BY_DAY, NOON)
    assert (None if told is None else told.at / DAY) == (at if at is None else pytest.approx(at))


@given(
    st.lists(st.tuples(st.integers(1, 500), st.integers(1, 10_000), st.integers(0, 1000), st.integers(0, 20)), min_size=1, max_size=5),
    st.integers(0, 3000),
)
@example([(150, 213, 354, 0), (150, 213, 354, 0)], 110)
def test_what_is_spent_when_a_budget_runs_out_and_what_is_missing_make_the_whole_and_none_runs_out_that_has_enough(lanes, left):
    outlays = [lane(*each) for each in lanes]
    whole, most = sum(each.amount for each in outlays), max(each.most for each in outlays)
    told = runs_out(outlays, D(left), D(left), None, NOON)
    if told is None:
        assert whole <= left
    else:
        assert 0 <= told.at <= max(each.seconds for each in outlays)
        assert whole > left - most
        spent = sum(each.spent(told.at) for each in outlays)
        assert float(spent + told.missing) == pytest.approx(float(whole))
        # The moment is a binary fraction: what was spent by then is told to its last digits, and no further.
        assert float(spent) <= left * (1 + 1e-12) or told.at == 0
