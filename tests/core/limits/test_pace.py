"""One rate: a known quota is kept to with a margin, an unknown one is held where it was found and climbs."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.limits.pace import LEAST_MARGIN, UNDER, Pace


def go(pace, now, until, *, answered=True, refuses=lambda _now: False):
    """Go as fast as the pace lets; each is answered at once, or never. Return the time and how many went."""
    count = 0
    while (now := pace.free_at(now)) < until:
        pace.pay(now, 1.0)
        if refuses(now):
            pace.uncount(1.0)
            pace.ease(now, now, 1.0)
        elif answered:
            pace.took(now, 1.0)
        count += 1
    return until, count


def found(rate, *, window=6.0):
    """A pace that found *rate*, at time zero."""
    pace = Pace()
    pace.teach({"rate": rate, "window": window}, 0.0)
    return pace


@pytest.mark.parametrize("rate", [1.0, 10.0, 100.0, 500.0])
def test_a_known_quota_is_kept_to_half_a_percent(rate):
    _, count = go(Pace(rate), 0.0, 600.0)
    assert 0.9945 * 600 * rate <= count <= 0.995 * 600 * rate + 1


def test_nothing_bounds_what_is_neither_known_nor_refused():
    pace = Pace()
    pace.pay(0.0, 1e9)
    assert pace.free_at(0.0) == 0.0
    assert pace.rate(0.0) == math.inf


@given(st.lists(st.booleans(), max_size=3000), st.floats(0, 1))
def test_chance_refusals_are_few_while_the_margin_is_not_at_its_widest(chances, lean):
    """A provider that refuses whatever it likes as long as the margin is under a bound of its own."""
    pace, now, refused, count = Pace(10.0), 0.0, 0, 0
    for chance in chances:
        now = pace.free_at(now)
        pace.pay(now, 1.0)
        count += 1
        if chance and pace.margin < 0.1 * lean:
            pace.uncount(1.0)
            pace.ease(now, now, 1.0)
            refused += 1
        else:
            pace.took(now, 1.0)
    assert refused <= 0.0035 * count + 21


def test_a_margin_narrows_again_to_its_least():
    pace = Pace(10.0)
    for _ in range(10):
        pace.ease(0.0, 0.0, 1.0)
    assert pace.margin == pytest.approx(LEAST_MARGIN * 1.25**10)
    for _ in range(4000):
        pace.took(0.0, 1.0)
    assert pace.margin == LEAST_MARGIN


def test_the_first_full_window_is_the_quota():
    for lasted, expected in ((2.0, 100 / 6), (50.0, 100 / 60)):
        pace = Pace()
        for number in range(100):
            pace.pay(number / 100, 1.0)
        pace.note_full(1.0, first=True)
        pace.find(1.0 + lasted, lasted)
        assert pace.held == pytest.approx(expected * UNDER, rel=0.01)


def test_a_quota_that_others_used_up_does_not_freeze_the_pace():
    pace = Pace()
    pace.pay(0.0, 1.0)
    pace.uncount(1.0)
    pace.note_full(0.0, first=True)
    pace.find(60.0, 59.0)
    assert pace.held == 1.0


def test_a_held_rate_that_is_used_and_answered_doubles_within_three_minutes():
    for rate, window in ((100.0, 6.0), (100.0, 60.0), (5.0, 6.0)):
        pace = found(rate, window=window)
        go(pace, 0.0, 180.0)
        assert pace.rate(180.0) >= 2 * rate


def test_what_is_not_answered_lets_no_rate_climb():
    pace = found(10.0)
    go(pace, 0.0, 600.0, answered=False)
    assert pace.rate(600.0) == 10.0


def test_what_is_not_used_lets_no_rate_climb():
    pace = found(10.0)
    for second in range(600):
        pace.free_at(float(second))
        pace.pay(float(second), 1.0)
        pace.took(float(second), 1.0)
    assert pace.rate(600.0) == 10.0


def test_a_climb_goes_no_further_than_what_is_used():
    pace, now = found(10.0), 0.0
    while now < 800:
        now = max(pace.free_at(now), now + 1 / 15)
        pace.pay(now, 1.0)
        pace.took(now, 1.0)
    assert 15.0 < pace.rate(800.0) <= 20.0


def test_a_refusal_in_the_climb_sets_the_rate_just_under_what_was_too_much():
    pace = found(10.0)
    go(pace, 0.0, 300.0, refuses=lambda now: pace.rate(now) > 12.0)
    assert 10.8 <= pace.held <= 12.0


def test_in_a_minutes_window_the_last_minute_is_the_quota():
    pace = found(10.0, window=60.0)
    go(pace, 0.0, 60.0)
    pace.ease(60.0, 60.0, 1.0)
    assert pace.held == pytest.approx(10.0 * UNDER, rel=0.01)


@given(st.floats(1, 1e6), st.floats(1e-3, 1e3))
def test_debt_at_a_rate_that_is_a_guess_is_waited_for_no_longer_than_fifteen_seconds(cost, rate):
    pace = found(rate)
    pace.pay(0.0, cost)
    assert 0 <= pace.free_at(0.0) <= 15.0


def test_a_refused_row_pays_ahead_and_its_retry_goes_free():
    pace = Pace(10.0)
    pace.pay(0.0, 20.0)
    pace.pay_back(20.0)
    pace.prepay(0.0, 20.0)
    due = pace.free_at(0.0)
    assert due == pytest.approx(20 / 9.95, rel=1e-3)
    pace.pay(due, 20.0)
    assert pace.free_at(due) == due


def test_what_was_found_is_kept_and_taught():
    pace = found(7.5, window=60.0)
    again = Pace()
    again.teach(pace.learnt(), 5.0)
    assert (again.held, again.window) == (7.5, 60.0)
    known = Pace(10.0)
    assert known.learnt() == {}
    known.ease(0.0, 0.0, 1.0)
    other = Pace(10.0)
    other.teach(known.learnt(), 0.0)
    assert other.margin == known.margin


@pytest.mark.parametrize("kept", [{}, {"rate": "fast"}, {"rate": -1.0}, {"rate": math.nan}, {"rate": math.inf}, {"margin": 0.9}])
def test_what_makes_no_sense_is_not_taken_up(kept):
    pace, known = Pace(), Pace(10.0)
    pace.teach(kept, 0.0)
    known.teach(kept, 0.0)
    assert pace.rate(0.0) == math.inf
    assert known.margin == LEAST_MARGIN
