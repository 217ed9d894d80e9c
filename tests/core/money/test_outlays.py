"""When budgets would be spent: arithmetic over lanes that spend evenly, by the run and by the day."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchrun.core.jobs.hours import read_hours
from batchrun.core.money.outlays import Outlay, RunsOut, in_hours, runs_out, total
from batchrun.core.money.periods import Period
from tests.steps import lines_run

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
        ([lane(100, 100, 100, 1), lane(100, 100, 100, 30)], 130, RunsOut(50.0, 100, D(100))),
        ([lane(100, 100, 100)], 0, RunsOut(0.0, 100, D(100))),
        ([lane(10, 100, 100, 20)], 19, RunsOut(0.0, 10, D(100))),
        ([lane(10, 100, 100, 20)], -5, RunsOut(0.0, 10, D(100))),
        ([lane(0, 0, 0), lane(10, 100, 100, 20)], 19, RunsOut(0.0, 10, D(100))),
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


def test_a_budget_of_many_lanes_is_looked_at_where_it_is_spent_and_not_when_each_lane_is_done():
    def lines(lanes: int) -> int:
        each = [lane(10, 100 + number, 10) for number in range(lanes)]
        return lines_run(lambda: runs_out(each, D(10 * lanes), D(9 * lanes), None, NOON))

    assert lines(800) < 6 * lines(200)


HOUR = 3600.0
NIGHTS = read_hours("22:00-02:00 Asia/Shanghai")


def by_night(rows, hours, amount, most=0):
    """A lane that is begun at noon, is called by night, and done after so many *hours*."""
    return Outlay(rows, hours * HOUR, D(amount), D(most), in_hours(NIGHTS, NOON, hours * HOUR))


def test_a_lane_that_is_closed_spends_nothing_and_all_of_its_own_in_its_hours():
    # 22:00 to 02:00 of one night, and 22:00 to 24:00 of the next one.
    lane = by_night(60, 36, 60)
    spent = [float(lane.spent(at * HOUR)) for at in (-1, 0, 9, 10, 11, 14, 20, 34, 35, 36, 40)]
    assert spent == pytest.approx([0, 0, 0, 0, 10, 40, 40, 40, 50, 60, 60])
    assert [lane.left(at * HOUR) for at in (0, 10, 12, 14, 34, 36)] == [60, 60, 40, 20, 20, 0]
    assert in_hours(None, NOON, HOUR) == in_hours(NIGHTS, NOON, HOUR) == []
    assert in_hours(read_hours("Mon-Sun 00:00-24:00 UTC"), NOON, HOUR) == [(0.0, 0.0), (HOUR, 1.0)]


def test_a_budget_is_spent_within_the_hours_of_its_lanes_and_by_the_days_on_which_these_are():
    lane = by_night(60, 36, 60)
    told = runs_out([lane], D(1000), D(10), None, NOON)
    assert told is not None
    assert [told.at / HOUR, told.rows, float(told.missing)] == pytest.approx([11, 50, 50])
    # 20 by the first midnight, 20 from then until two, and 20 more before the second midnight.
    assert runs_out([lane], D(41), D(21), BY_DAY, NOON) is None
    told = runs_out([lane], D(30), D(21), BY_DAY, NOON)
    assert told is not None
    assert [told.at / HOUR, told.rows] == pytest.approx([35, 10])
    # All 60 of Thursday's: spread over Wednesday too, they would be within 50 a day.
    thursday = Outlay(60, 36 * HOUR, D(60), D(0), in_hours(read_hours("Thu 00:00-24:00 Asia/Shanghai"), NOON, 36 * HOUR))
    told = runs_out([thursday], D(50), D(50), BY_DAY, NOON)
    assert told is not None
    assert [told.at / HOUR, told.rows] == pytest.approx([32, 10])


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
