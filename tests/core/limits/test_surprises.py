"""A refusal that no window can explain but a shorter one than is believed in shows it at once."""

from __future__ import annotations

import pytest

from batchrun.core.limits.counting import WINDOWS
from batchrun.core.limits.reckoning import Reckoning
from tests.benchmarks.bars import known_tokens
from tests.benchmarks.play import Play

RATE = 1000.0
SIX, TWO, ONE = (WINDOWS.index(seconds) for seconds in (6.0, 2.0, 1.0))


def went(reckoning: Reckoning, *entries: tuple[float, float]) -> None:
    """So much went, and is known: when, and how much."""
    for at, cost in entries:
        reckoning.room.pay(at, cost)
        reckoning.room.settle(at, cost, cost)


def refused(reckoning: Reckoning, now: float, cost: float = 100.0) -> int:
    """The place of the window that is believed in after a row was refused."""
    reckoning.room.pay(now, cost)
    reckoning.room.settle(now, cost, 0.0)
    reckoning.refused(now, now, RATE, cost)
    return reckoning.counting.rung


def test_three_refusals_that_only_a_shorter_window_explains_show_the_longest_such():
    for each, window in ((950.0, TWO), (900.0, TWO), (600.0, ONE)):
        reckoning = Reckoning()
        went(reckoning, (0.2, each), (0.4, each))
        assert [refused(reckoning, at) for at in (0.5, 1.0)] == [SIX, SIX]
        went(reckoning, (1.1, 900.0))
        assert refused(reckoning, 1.15) == SIX, "half a second must lie between them"
        assert refused(reckoning, 1.5) == window


@pytest.mark.parametrize("seconds", [6.0, 20.0, 60.0])
def test_refusals_that_the_window_believed_in_or_a_longer_one_explains_show_no_shorter_one(seconds):
    for before, window in ((seconds * RATE - 2000.0, SIX), (1.0, TWO)):
        reckoning = Reckoning()
        went(reckoning, (0.0, before), (seconds - 2.0, 2000.0))
        assert [refused(reckoning, seconds - late) for late in (1.9, 1.3, 0.7)] == [SIX, SIX, window]


def test_refusals_that_no_window_explains_show_none():
    reckoning = Reckoning()
    for number in range(10):
        went(reckoning, (number * 0.6, 30.0))
        assert refused(reckoning, number * 0.6 + 0.1) == SIX


def test_one_that_another_window_explains_in_between_begins_anew():
    reckoning = Reckoning()
    went(reckoning, (0.2, 1000.0))
    assert [refused(reckoning, at) for at in (0.3, 0.8)] == [SIX, SIX]
    assert refused(reckoning, 5.0) == SIX, "nothing went of late"
    went(reckoning, (9.9, 1000.0))
    assert [refused(reckoning, at) for at in (10.0, 10.5)] == [SIX, SIX]


def test_a_window_that_the_largest_row_does_not_go_into_is_not_the_one():
    reckoning = Reckoning()
    reckoning.took(0.0, RATE, 1500.0)
    went(reckoning, (0.2, 1000.0))
    assert [refused(reckoning, at) for at in (0.2, 0.7, 1.19)] == [SIX] * 3


def test_what_may_be_under_way_counts_at_the_most_that_it_may_cost():
    reckoning = Reckoning()
    reckoning.room.pay(0.1, 3500.0)
    assert [refused(reckoning, at) for at in (0.2, 0.7, 1.2, 1.7)] == [SIX] * 4


def test_a_window_of_a_second_is_found_within_some_dozens_of_refusals():
    bar = known_tokens(5_000_000, 1, "sliding", "admission", 0.3)
    play = Play(bar.world)
    assert play.run().refused < 150
    assert play.limiters[0].tokens.counting.window == 1.0
