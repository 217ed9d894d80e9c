"""What guesses come to is learnt for each size of row apart, and is a cost whatever was seen."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.limits.guesses import Guesses, Latest

TOKENS = st.floats(1e-3, 1e7)


def taught(pairs):
    guesses = Guesses()
    for guess, cost in pairs:
        guesses.learn(guess, cost)
    return guesses


def test_before_any_row_was_seen_a_guess_is_taken_for_what_it_is():
    expected = Guesses().expected(1000.0)
    assert expected.mean == 1000.0
    assert math.sqrt(expected.variance) == pytest.approx(300.0)
    assert Guesses().usual is None


def test_large_rows_that_cost_less_and_small_ones_that_cost_more_than_guessed_are_learnt_apart():
    guesses = taught([(10_000.0, 5_000.0), (100.0, 200.0)] * 200)
    assert guesses.expected(10_000.0).mean == pytest.approx(5_000.0, rel=0.05)
    assert guesses.expected(100.0).mean == pytest.approx(200.0, rel=0.1)


def test_rows_of_a_size_whose_guesses_come_true_are_trusted_though_those_of_another_do_not():
    dice = random.Random(1)
    guesses = taught(pair for _ in range(300) for pair in ((9_000.0, 9_000.0), (100.0, 100.0 * dice.uniform(0.2, 1.8))))
    exact, vague = guesses.expected(9_000.0), guesses.expected(100.0)
    assert math.sqrt(exact.variance) < 0.15 * exact.mean
    assert math.sqrt(vague.variance) > 0.3 * vague.mean


def test_the_first_that_come_of_many_that_are_under_way_do_not_stand_for_all():
    few, many = taught([]), taught([])
    for guesses, under_way in ((few, 0), (many, 2_000)):
        for _ in range(2_000):
            guesses.learn(1_000.0, 1_000.0, under_way)
        for _ in range(100):
            guesses.learn(1_000.0, 500.0, under_way)
    assert few.expected(1_000.0).mean < 600.0
    assert few.usual is not None
    assert few.usual < 600.0
    assert many.expected(1_000.0).mean > 950.0
    assert many.usual is not None
    assert many.usual > 950.0


def test_a_size_that_was_never_seen_goes_by_what_is_true_of_all():
    guesses = taught([(1_000.0, 500.0)] * 100)
    assert guesses.expected(50_000.0).mean == pytest.approx(25_000.0, rel=0.01)


def test_the_first_row_of_a_size_that_costs_what_is_true_of_all_is_no_surprise():
    guesses = taught([(1_000.0, 500.0)] * 100)
    before = guesses.expected(50_000.0)
    guesses.learn(50_000.0, 25_000.0)
    after = guesses.expected(50_000.0)
    assert after.mean == pytest.approx(before.mean)
    assert after.variance <= before.variance


def test_one_row_of_a_size_does_not_outweigh_what_is_true_of_all():
    guesses = taught([(1_000.0, 1_000.0)] * 100 + [(50_000.0, 5_000.0)])
    assert guesses.expected(50_000.0).mean > 4 * 5_000.0


@given(st.lists(st.tuples(TOKENS, TOKENS), max_size=60), TOKENS)
def test_a_row_is_always_expected_to_cost_something_that_can_be_reckoned_with(pairs, guess):
    expected = taught(pairs).expected(guess)
    assert 0 < expected.mean < math.inf
    assert 0 <= expected.variance < math.inf


@pytest.mark.parametrize("times", [0.1, 0.5, 2.0])
def test_rows_that_are_far_off_what_was_expected_are_told_once_enough_of_them_are(times):
    latest = Latest()
    told = [latest.learn(100.0, 100.0 * times) for _ in range(60)]
    first = next(place for place, each in enumerate(told) if each is not None)
    assert 20 <= first < 40
    assert told[first] == pytest.approx(times)
    assert set(told[first + 1 : 2 * first]) == {None}, "it is begun anew"


def test_one_row_that_is_a_thousand_times_off_says_no_more_than_three_times_as_much():
    latest = Latest()
    told = [latest.learn(100.0, 100_000.0 if place == 30 else 100.0) for place in range(60)]
    assert told == [None] * 60


@pytest.mark.parametrize("seed", range(10))
def test_rows_that_are_off_to_either_side_are_as_was_expected(seed):
    dice, latest, spread = random.Random(seed), Latest(), 0.6
    rows = ((100.0, 100.0 * dice.lognormvariate(-(spread**2) / 2, spread)) for _ in range(1_000))
    assert sum(latest.learn(*row) is not None for row in rows) <= 2
