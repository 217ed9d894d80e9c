"""Whose window is full at refusals: a lane's own, or its pool's."""

from __future__ import annotations

import random

import pytest

from batchrun.core.limits.buckets import Trail
from batchrun.core.scheduling.fullness import Fullness, Went


def played(window, *, own_is_full, unexplained=True, seconds=900.0):
    """A lane beside five more, all of which send by chance; refused is what finds the lane's window full, or that of all."""
    dice, now, own, pool, fullness, verdicts = random.Random(3), 0.0, Trail(150), Trail(150), Fullness(), []
    rate = 2.5
    while now < seconds:
        now += dice.expovariate(6 * rate)
        is_own = dice.random() < 1 / 6
        full = own.sum(now, window) >= 0.95 * rate * window if own_is_full else pool.sum(now, window) >= 0.97 * 6 * rate * window
        if full and (is_own or not own_is_full):
            if is_own:
                verdicts.append(fullness.look_at(now, Went(own, Trail(150)), Went(pool, Trail(150)), unexplained=unexplained))
            continue
        pool.add(now, 1.0)
        if is_own:
            own.add(now, 1.0)
    return verdicts


@pytest.mark.parametrize("window", [6.0, 60.0])
def test_a_lane_whose_own_window_is_full_at_its_refusals_has_a_cap_of_its_own(window):
    verdicts = played(window, own_is_full=True)
    assert len(verdicts) > 50
    assert sum(verdicts[-50:]) >= 40


@pytest.mark.parametrize("window", [6.0, 60.0])
def test_a_lane_that_is_refused_when_its_pools_window_is_full_has_none(window):
    verdicts = played(window, own_is_full=False)
    assert len(verdicts) > 50
    assert sum(verdicts) <= 0.05 * len(verdicts)


def test_where_the_pools_quota_explains_what_is_refused_nothing_is_made_of_it():
    assert not any(played(6.0, own_is_full=True, unexplained=False))


def test_what_is_refused_in_the_same_moment_is_looked_at_once():
    own, pool, none, fullness = Trail(150), Trail(150), Trail(150), Fullness()
    for place in range(400):
        pool.add(place / 2, 1.0)
    own.add(199.9, 5.0)
    looks = Went(own, none), Went(pool, none)
    assert not any(fullness.look_at(200.0 + place / 100, *looks, unexplained=True) for place in range(40))
    assert [fullness.look_at(200.5 + place / 2, *looks, unexplained=True) for place in range(6)][-1]


def test_what_another_was_told_of_did_not_go():
    own, pool, refused, none, fullness = Trail(150), Trail(150), Trail(150), Trail(150), Fullness()
    for place in range(400):
        pool.add(place / 2, 1.0)
    for each in (own, refused):
        each.add(199.9, 5.0)
    assert not any(fullness.look_at(200.5 + place / 2, Went(own, refused), Went(pool, none), unexplained=True) for place in range(9))
