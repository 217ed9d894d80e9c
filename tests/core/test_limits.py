from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchrun.core.limits import Throttle
from batchrun.core.model import Failure, Fault, Scope
from batchrun.core.retry import BackToFront, Exhaust, Park, Reject, RetryPolicy, TryAgain, backoff_cap, next_step
from batchrun.core.scheduler import LanePlan, Launch, Scheduler, WaitUntil


def failure(fault, retry_after=None):
    return Failure(fault, Scope.LANE, "code", "message", "advice", retry_after=retry_after)


def test_a_throttled_lane_launches_nothing_until_its_pause_is_over():
    scheduler = Scheduler([LanePlan("legal", "qwen-plus", "legal", range(9), 9, 4)], RetryPolicy())
    launch = scheduler.next(0.0)
    assert isinstance(launch, Launch)
    scheduler.settle(launch.ticket, failure(Fault.THROTTLED), 1.0, 0.5)
    scheduler.release(launch.ticket)
    assert scheduler.next(1.0) == WaitUntil(1.75)
    again = scheduler.next(1.75)
    assert isinstance(again, Launch)
    assert (again.ticket.ordinal, again.ticket.attempt) == (launch.ticket.ordinal, 1), "the same row first, no attempt used up"
    assert scheduler.next(1.75) == WaitUntil(float("inf")), "the window is one again"


def test_an_episode_pauses_once_however_many_rows_it_caught():
    throttle = Throttle(cap=8)
    throttle.throttled(now=5.0, launched_at=4.0, jitter=0.0, retry_after=None)
    for _ in range(7):
        throttle.throttled(now=5.2, launched_at=4.0, jitter=0.9, retry_after=None)
    assert throttle.until == 5.5
    throttle.throttled(now=6.0, launched_at=5.6, jitter=0.0, retry_after=None)
    assert throttle.until == 7.0


def test_a_retry_after_is_a_floor_and_answers_open_the_window_to_the_cap():
    throttle = Throttle(cap=8)
    throttle.throttled(now=0.0, launched_at=-1.0, jitter=0.0, retry_after=30.0)
    assert (throttle.until, throttle.window) == (30.0, 1)
    for _ in range(60):
        throttle.answered()
    assert throttle.window == 8


@pytest.mark.parametrize(
    ("fault", "attempt", "step"),
    [
        (Fault.AGAIN, 1, TryAgain(0.5)),
        (Fault.AGAIN, 5, TryAgain(8.0)),
        (Fault.AGAIN, 6, Exhaust()),
        (Fault.THROTTLED, 6, BackToFront()),
        (Fault.REJECT, 1, Reject()),
        (Fault.PARK, 6, Park()),
    ],
)
def test_what_a_failure_leads_to(fault, attempt, step):
    assert next_step(RetryPolicy(), failure(fault), attempt, 0.5) == step


def test_a_backoff_is_capped_and_never_overflows():
    assert [backoff_cap(RetryPolicy(), attempt) for attempt in (1, 2, 6, 7, 10_000)] == [1.0, 2.0, 32.0, 60.0, 60.0]
    assert next_step(RetryPolicy(), failure(Fault.AGAIN, retry_after=90.0), 1, 0.5) == TryAgain(90.0)


def test_a_retry_after_that_only_a_later_row_of_the_episode_brings_is_a_floor_too():
    throttle = Throttle(cap=8)
    throttle.throttled(now=5.0, launched_at=4.0, jitter=0.0, retry_after=None)
    throttle.throttled(now=5.2, launched_at=4.0, jitter=0.0, retry_after=30.0)
    throttle.throttled(now=5.3, launched_at=4.0, jitter=0.0, retry_after=2.0)
    assert throttle.until == 35.2


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 99))
@example(0.5, 3000)
def test_a_pause_is_between_half_its_cap_and_its_cap(jitter, episodes):
    throttle = Throttle(cap=8, first=1.0, max=60.0)
    for episode in range(episodes):
        throttle.throttled(now=episode * 100.0, launched_at=episode * 100.0 - 1, jitter=jitter, retry_after=None)
    pause = throttle.until - (episodes - 1) * 100.0
    cap = min(60.0, 2.0 ** min(episodes - 1, 9))
    assert cap / 2 <= pause <= cap


def test_an_answer_makes_the_next_pause_short_again():
    throttle = Throttle(cap=8)
    for now in (0.0, 10.0, 20.0):
        throttle.throttled(now, now - 1, jitter=0.0, retry_after=None)
    assert throttle.until == 22.0
    throttle.answered()
    throttle.throttled(30.0, 29.0, jitter=0.0, retry_after=None)
    assert (throttle.until, throttle.since) == (30.5, 30.0)


def test_the_window_opens_by_one_an_answer_to_half_of_what_it_was_and_by_one_a_window_from_there():
    throttle = Throttle(cap=16)
    throttle.throttled(0.0, -1.0, jitter=0.0, retry_after=None)
    windows = [throttle.window]
    for _ in range(26):
        throttle.answered()
        windows.append(throttle.window)
    assert windows[:8] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert windows[8:25].count(8) == 8
    assert windows[8:25].count(9) == 9
    assert windows[26] == 10


def test_a_throttle_halves_what_the_window_is_then_and_not_the_cap():
    throttle = Throttle(cap=16)
    throttle.throttled(0.0, -1.0, jitter=0.0, retry_after=None)
    for _ in range(7):
        throttle.answered()
    throttle.throttled(10.0, 9.0, jitter=0.0, retry_after=None)
    for _ in range(4):
        throttle.answered()
    assert throttle.window == 4


@given(st.integers(1, 40), st.lists(st.one_of(st.none(), st.floats(0, 50)), max_size=60))
def test_the_window_is_never_under_one_nor_over_the_cap(cap, events):
    throttle = Throttle(cap)
    now = 0.0
    for waited in events:
        if waited is None:
            throttle.answered()
        else:
            now += waited
            throttle.throttled(now, now, jitter=0.5, retry_after=None)
        assert 1 <= throttle.window <= cap
