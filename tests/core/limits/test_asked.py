"""Pauses that a provider asks for: how much of them is waited for, and what goes after."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.limits.quota import NO_QUOTA, Quota, limiter

RPM = "limit_requests"
HOUR = 3600.0


def refused(limits, now, retry_after, *, times=1):
    """Launch so many at *now* and have them refused 50 ms later; when."""
    for _ in range(times):
        limits.pay(now, 1.0)
        limits.settle(now, 1.0, 0.0)
    for _ in range(times):
        limits.refused(now + 0.05, now, RPM, retry_after, 0.5)
    return now + 0.05


def next_goes(limits, now):
    """When the next attempt may go."""
    while (at := limits.free_at(now)) > now:
        now = at
    return now


def taken(limits, now):
    """Launch one that is taken, and wait until all that was said is over; when."""
    limits.pay(now, 1.0)
    limits.took(now + 0.5, now, 1.0)
    return now + 2 * HOUR


def in_one_moment(limits, now):
    """How many go at once."""
    count = 0
    while limits.free_at(now) <= now and count < 1000:
        limits.pay(now, 1.0)
        count += 1
    return count


def test_of_a_pause_that_is_too_long_a_minute_is_waited_for_and_then_ever_less():
    limits, now, waited = limiter(Quota(rpm=600)), 0.0, []
    for _ in range(8):
        asked_at = refused(limits, now, HOUR)
        due = next_goes(limits, asked_at)
        waited.append(round(due - asked_at, 3))
        now = taken(limits, due)
    assert waited == [60.0, 30.0, 15.0, 7.5, 3.75, 1.875, 1.0, 1.0]


@pytest.mark.parametrize("quota", [NO_QUOTA, Quota(rpm=600_000)], ids=["unknown", "known"])
def test_a_long_pause_that_is_meant_is_waited_for_ever_longer_and_costs_one_refused_call_each_time(quota):
    limits, now, waited = limiter(quota), 0.0, []
    refused(limits, now, HOUR, times=50)
    for _ in range(6):
        due = next_goes(limits, now)
        waited.append(round(due - now))
        assert in_one_moment(limits, due) == 1
        limits.settle(due, 1.0, 0.0)
        limits.refused(due + 0.05, due, RPM, HOUR, 0.5)
        now = due + 0.05
    assert waited == [60, 120, 240, 480, 600, 600]


def test_what_was_under_way_when_a_pause_was_asked_for_does_not_show_that_it_is_meant():
    limits = limiter(Quota(rpm=600))
    for number in range(50):
        limits.pay(0.0, 1.0)
        limits.refused(0.05 + number / 10, 0.0, RPM, HOUR, 0.5)
    due = next_goes(limits, 5.0)
    assert due == pytest.approx(64.95)
    asked_at = refused(limits, due, HOUR)
    assert next_goes(limits, asked_at) - asked_at == pytest.approx(120.0)


def test_an_attempt_that_is_not_refused_soon_shows_that_a_pause_was_not_meant_though_its_answer_takes_minutes():
    limits = limiter(Quota(rpm=600))
    due = next_goes(limits, refused(limits, 0.0, HOUR))
    limits.pay(due, 1.0)
    later = next_goes(limits, due)
    assert due < later < due + 2.0
    asked_at = refused(limits, later, HOUR)
    assert next_goes(limits, asked_at) - asked_at == pytest.approx(30.0)


@pytest.mark.parametrize("seconds", [0.5, 6.0, 45.0, 60.0])
def test_a_pause_of_a_minute_or_less_is_waited_for_in_full_each_time_and_then_one_goes_alone(seconds):
    limits, now = limiter(Quota(rpm=600_000)), 0.0
    for _ in range(5):
        asked_at = refused(limits, now, seconds, times=20)
        due = next_goes(limits, asked_at)
        assert due - asked_at == pytest.approx(seconds)
        assert in_one_moment(limits, due) == 1
        limits.took(due + 0.5, due, 1.0)
        assert in_one_moment(limits, due + 0.6) > 1
        now = due + 20.0


def test_what_was_said_last_goes_before_what_was_said_first():
    limits = limiter(Quota(rpm=600))
    due = next_goes(limits, refused(limits, 0.0, HOUR))
    due = next_goes(limits, refused(limits, due, 2.0))
    limits.pay(due + 5.0, 1.0)
    limits.took(due + 5.5, due + 5.0, 1.0)
    asked_at = refused(limits, due + 10.0, HOUR)
    assert next_goes(limits, asked_at) - asked_at == pytest.approx(120.0), "an hour was meant, as far as was seen"


@given(st.lists(st.tuples(st.floats(0.5, HOUR), st.booleans(), st.floats(0, 100)), max_size=40))
def test_no_pause_is_longer_than_was_asked_for_or_ten_minutes_nor_shorter_than_that_or_a_second(course):
    limits, now = limiter(Quota(rpm=6000)), 0.0
    for seconds, is_taken, later in course:
        asked_at = refused(limits, now, seconds)
        paused = limits.waits_until - asked_at
        assert min(1.0, seconds) - 1e-6 <= paused <= max(min(seconds, 600.0), 8.0) + 1e-6
        now = next_goes(limits, asked_at)
        if is_taken:
            limits.pay(now, 1.0)
            limits.took(now + 0.1, now, 1.0)
            now += 0.1 + later
