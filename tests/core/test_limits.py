from __future__ import annotations

import pytest

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
