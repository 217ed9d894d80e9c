"""What is believed of a provider's window: never over its quota while that is right, never frozen, and found from refusals."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchrun.core.limits.limiter import Quota, limiter
from batchrun.core.limits.reckoning import WINDOWS, Reckoning
from batchrun.simulator.quotas import Sliding
from tests.benchmarks.limits import Play, known_tokens

RATE = 1000.0
COSTS = st.lists(st.floats(1, 900), min_size=1, max_size=80)
RESTS = st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.02, 0.7, 9.0]), min_size=80, max_size=80)
RUNGS = st.sampled_from(WINDOWS)


def counting(window: float) -> Reckoning:
    reckoning = Reckoning()
    reckoning.teach({"window": window}, 0.0)
    reckoning._refused = True  # So that it keeps to this window.
    return reckoning


@settings(deadline=None)
@given(RUNGS, COSTS, RESTS, st.floats(0.0, 3.0))
def test_a_window_that_is_known_is_never_overrun_whatever_goes_and_whenever_it_is_known_what_it_cost(window, costs, rests, seconds):
    reckoning, counted, now = counting(window), Sliding(int(window)), 0.0
    out: list[tuple[float, float]] = []
    for cost, rest in zip(costs, rests, strict=False):
        now = reckoning.free_at(now + rest, RATE, cost)
        while out and out[0][0] + seconds <= now:
            at, ended = out.pop(0)
            reckoning.settle(at, ended, ended)
        reckoning.pay(now, cost)
        out.append((now, cost))
        counted.add(now, math.floor(cost))
        assert counted.used(now) <= RATE * window


EVENTS = st.lists(st.tuples(st.sampled_from(["take", "take", "refuse", "late"]), st.floats(1, 30_000), st.floats(0, 5)), max_size=120)


@settings(deadline=None)
@given(EVENTS)
def test_a_row_is_never_kept_waiting_longer_than_the_longest_window_whatever_was_refused(events):
    reckoning, now = Reckoning(), 0.0
    for what, cost, rest in events:
        at = reckoning.free_at(now, RATE, cost)
        assert now <= at <= now + WINDOWS[-1] + 0.1
        now = at + rest
        reckoning.pay(now, cost)
        if what == "take":
            reckoning.settle(now, cost, cost * 0.9)
            reckoning.took(now + 0.5, RATE, cost * 0.9)
        elif what == "refuse":
            reckoning.settle(now, cost, 0.0)
            reckoning.refused(now + 0.05, now, RATE, cost)


@settings(deadline=None)
@given(EVENTS, st.floats(1, 2000))
def test_the_time_that_is_named_is_the_first_at_which_the_row_may_go(events, cost):
    reckoning, now = Reckoning(), 0.0
    for what, paid, _ in events:
        now = reckoning.free_at(now, RATE, paid)
        reckoning.pay(now, paid)
        if what == "refuse":
            reckoning.settle(now, paid, 0.0)
            reckoning.refused(now, now, RATE, paid)
    at = reckoning.free_at(now, RATE, cost)
    for share in (0.0, 0.3, 0.999):
        earlier = now + share * (at - now)
        if earlier < at - 1e-6:
            assert reckoning.free_at(earlier, RATE, cost) == pytest.approx(at)
    assert reckoning.free_at(at, RATE, cost) == at


def test_a_row_that_is_more_than_a_window_goes_when_the_window_is_empty():
    reckoning = counting(6.0)
    reckoning.pay(0.0, 500.0)
    reckoning.settle(0.0, 500.0, 500.0)
    assert 6.0 <= reckoning.free_at(1.0, RATE, 50_000.0) <= 6.1


def test_a_row_of_any_size_gets_its_turn_behind_small_ones_that_never_end():
    limits = limiter(Quota(tpm=60_000))
    now = 0.0
    for _ in range(200):
        now = limits.free_at(now, 50.0)
        limits.pay(now, 50.0)
        limits.pay(now, 50.0)
        limits.settle(now, 50.0, 50.0)
    assert limits.free_at(now, 5_000.0) <= now + 6.1


def play(tpm: int, period: int, window: str, debit: str, minutes: float) -> Play:
    played = Play(known_tokens(tpm, period, window, debit, minutes).world)
    played.run()
    return played


@pytest.mark.parametrize(("tpm", "period"), [(5_000_000, 1), (1_000_000, 6), (100_000, 60)])
def test_the_window_that_the_provider_counts_over_is_found_from_its_refusals(tpm, period):
    reckoning = play(tpm, period, "sliding", "admission", 10_000_000 / tpm).limiters[0].tokens.reckoning
    assert reckoning is not None
    assert (reckoning.window, reckoning.at_end) == (period, False)


@pytest.mark.parametrize(
    ("tpm", "period", "window", "minutes"),
    [(100_000, 1, "aligned", 60.0), (1_000_000, 1, "sliding", 12.0), (1_000_000, 6, "sliding", 12.0), (5_000_000, 6, "aligned", 4.0)],
)
def test_that_answers_are_counted_is_found_from_refusals(tpm, period, window, minutes):
    reckoning = play(tpm, period, window, "completion", minutes).limiters[0].tokens.reckoning
    assert reckoning is not None
    assert (reckoning.window, reckoning.at_end) == (period, True)


def test_that_answers_are_counted_is_kept():
    played = play(1_000_000, 6, "sliding", "completion", 12.0)
    again = limiter(Quota(tpm=1_000_000))
    again.teach(played.limiters[0].learnt(0.0), 0.0)
    assert again.tokens.reckoning is not None
    assert (again.tokens.reckoning.window, again.tokens.reckoning.at_end) == (6.0, True)


def test_where_nobody_refuses_anything_what_was_learnt_stays():
    limits = limiter(Quota(tpm=600_000))
    limits.teach({"tokens": {"window": 6.0, "deviations": 3.0, "at_end": 0.0}}, 0.0)
    reckoning = limits.tokens.reckoning
    assert reckoning is not None
    for steady in (True, False):
        reckoning.steady = steady
        for now in range(2000):
            reckoning.took(float(now), 10_000.0, 100.0)
        assert ((reckoning.window, reckoning.deviations) == (6.0, 3.0)) is steady


@pytest.mark.parametrize(
    "kept", [{}, {"window": "long"}, {"window": 7.0}, {"window": [6.0]}, {"deviations": -1.0}, {"deviations": math.nan}]
)
def test_what_makes_no_sense_is_not_taken_up(kept):
    reckoning = Reckoning()
    reckoning.teach(kept, 0.0)
    assert reckoning.learnt() == {}


def test_expectations_that_are_all_too_high_cost_no_quota_once_that_is_learnt():
    """Rows that cost half of what is expected, each known two seconds later."""
    limits, dice, now, used = limiter(Quota(tpm=600_000)), random.Random(1), 0.0, 0.0
    out: list[tuple[float, float]] = []
    while now < 600.0:
        at = limits.free_at(now, 2000.0)
        ended = out[0][0] + 2.0 if out else math.inf
        if at >= ended:
            launched, cost = out.pop(0)
            now = max(now, ended)
            limits.settle(launched, 2000.0, cost)
            limits.took(now, launched, cost)
            continue
        now = at
        limits.pay(now, 2000.0)
        out.append((now, 900.0 + 200.0 * dice.random()))
        used += out[-1][1] * (now > 60.0)
    assert used / 540.0 >= 0.97 * 10_000
