"""A failure's next step: backoff, its bounds, and when a row has had its last attempt."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.model import Fault, Usage
from batchrun.core.scheduling.retry import BackToFront, Exhaust, Hold, RetryPolicy, TryAgain, backoff_cap, next_step
from tests.laboratory import again

JITTERS = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize(
    ("policy", "caps"),
    [
        (RetryPolicy(), [1, 2, 4, 8, 16, 32, 60, 60]),
        (RetryPolicy(first=0.25, max=1), [0.25, 0.5, 1, 1, 1, 1, 1, 1]),
        (RetryPolicy(first=90, max=60), [60] * 8),
        (RetryPolicy(first=0, max=60), [0] * 8),
    ],
)
def test_a_backoff_doubles_up_to_its_longest(policy, caps):
    assert [backoff_cap(policy, attempt) for attempt in range(1, 9)] == caps


@given(st.integers(1, 10**9), JITTERS)
def test_a_wait_is_between_nothing_and_its_cap(attempt, jitter):
    policy = RetryPolicy(max_attempts=10**9 + 1)
    step = next_step(policy, again(), attempt, jitter)
    assert isinstance(step, TryAgain)
    assert 0 <= step.delay <= backoff_cap(policy, attempt) <= 60


@given(st.integers(1, 5), JITTERS, st.floats(0, 1e6))
def test_a_retry_after_is_a_floor_and_shortens_no_backoff(attempt, jitter, retry_after):
    bare, told = (next_step(RetryPolicy(), again(floor), attempt, jitter) for floor in (None, retry_after))
    assert isinstance(bare, TryAgain)
    assert told == TryAgain(max(bare.delay, retry_after))


@pytest.mark.parametrize("most", [1, 2, 6])
def test_a_row_has_as_many_attempts_as_the_policy_says(most):
    steps = [next_step(RetryPolicy(max_attempts=most), again(), attempt, 0.5) for attempt in range(1, most + 2)]
    assert [isinstance(step, Exhaust) for step in steps] == [False] * (most - 1) + [True, True]


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.AGAIN])
def test_only_passing_trouble_uses_attempts_up(fault):
    early, late = (next_step(RetryPolicy(max_attempts=1), replace(again(), fault=fault), attempt, 0.5) for attempt in (1, 99))
    assert early == late
    assert not isinstance(early, TryAgain | Exhaust)


@given(st.integers(1, 10**6), JITTERS)
def test_a_row_that_is_asked_again_waits_for_nothing(attempt, jitter):
    assert next_step(RetryPolicy(max_attempts=1), replace(again(30.0), fault=Fault.REASK), attempt, jitter) == BackToFront()


def test_a_row_that_may_have_been_billed_is_held_where_that_is_wished_and_sent_again_where_not():
    doubtful = replace(again(), in_doubt=True)
    assert next_step(RetryPolicy(hold_in_doubt=True), doubtful, 6, 0.5) == Hold()
    assert next_step(RetryPolicy(), doubtful, 1, 0.5) == TryAgain(0.5)
    billed = replace(doubtful, in_doubt=False, usage=Usage(1, 1))
    assert next_step(RetryPolicy(hold_in_doubt=True), billed, 1, 0.5) == TryAgain(0.5)
    assert next_step(RetryPolicy(hold_in_doubt=True), again(), 1, 0.5) == TryAgain(0.5)
