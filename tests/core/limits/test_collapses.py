"""Half of a rate that has fallen is tried; and whole runs of which a share is refused whatever they send."""

import math
import random

import pytest

from batchrun.core.limits.collapses import Collapse
from batchrun.core.scheduling.retry import RetryPolicy
from batchrun.core.scheduling.scheduler import Scheduler
from tests.laboratory import Events, answer, lane, throttled


def fallen(tries=100, refusals=20, *, was_held=True):
    """From 10 a second to 4, over ten seconds."""
    collapse = Collapse()
    collapse.hold(0.0, 10.0)
    if was_held:
        assert collapse.passed(0.0, 10.0) is None
    collapse.tries = tries
    for _ in range(refusals - 1):
        assert collapse.refused(10.0, 10.0) is None
    collapse.hold(10.0, 4.0)
    return collapse


def tried(collapse, tries, refusals):
    """The rate after a trial in which so much was refused, and nothing until it counted."""
    assert collapse.refused(10.0, 4.0) == 4.0
    assert collapse.seconds(4.0) == 6.0
    assert collapse.passed(16.0, 4.0) == 4.0
    assert collapse.seconds(4.0) == 15.0
    collapse.tries = tries
    for _ in range(refusals):
        if (rate := collapse.refused(20.0, 4.0)) is not None:
            return rate
    return collapse.passed(31.0, 4.0)


@pytest.mark.parametrize(
    ("refusals", "rate"),
    [(12, 10.0), (5, 10.0), (25, 10.0), (2, 4.0), (30, 4.0), (40, 4.0)],
    ids=["as much", "half as much", "twice as much", "next to nothing", "more", "most of it"],
)
def test_what_is_refused_of_half_a_rate_as_of_all_of_it_is_chance_and_the_rate_is_what_it_was(refusals, rate):
    collapse = fallen()
    assert tried(collapse, 60, refusals) == rate
    assert (collapse.share > 0.0) is (rate == 10.0)
    assert not collapse.is_trying
    if rate == 10.0:
        assert collapse.share == pytest.approx((refusals + math.sqrt(refusals)) / 60)


def test_a_rate_that_was_never_held_for_long_is_gone_back_to_by_half():
    assert tried(fallen(was_held=False), 60, 12) == 5.0


@pytest.mark.parametrize(("tries", "refusals", "held"), [(100, 7, 4.0), (500, 20, 4.0), (100, 20, 5.1), (30, 20, 4.0)])
def test_half_is_not_tried_after_a_few_refusals_or_of_many_attempts_or_a_small_fall_or_where_most_is_refused(tries, refusals, held):
    collapse = fallen(tries, refusals)
    assert collapse.refused(10.0, held) is None
    assert not collapse.is_trying


def test_a_hold_that_passed_shows_that_the_lower_rate_helped():
    collapse = fallen()
    assert collapse.passed(10.0, 4.0) is None
    collapse.tries = 100
    assert [collapse.refused(20.0, 4.0) for _ in range(40)] == [None] * 40


@pytest.mark.parametrize(("share", "seed"), [(0.1, 1), (0.15, 2), (0.2, 3)])
def test_a_run_of_which_a_share_is_refused_by_chance_takes_no_more_than_twice_as_long_as_its_slots_and_loses_no_row(share, seed):
    dice = random.Random(seed)
    scheduler = Scheduler([lane(rows=6000, slots=16)], RetryPolicy())
    events = Events(scheduler, lambda _ticket: (throttled(), 0.06) if dice.random() < share else (answer(), dice.uniform(0.5, 1.0)))
    drained = events.run(until=3600.0)
    assert drained is not None
    assert not drained.parked
    assert sum(each.verdict.final for each in events.settled) == 6000
    assert events.now < 2 * 6000 * 0.75 / 16
