"""Refusals of a known quota of tokens that nothing that was sent explains are somebody else's doing, and what he leaves is found."""

from __future__ import annotations

import pytest

from batchrun.core.limits.limiter import Limiter, Quota, limiter
from batchrun.core.limits.reckoning import Reckoning
from batchrun.core.limits.tokens import FoundTokens, KnownTokens

RATE = 1000.0


def refused(reckoning: Reckoning, *times: float) -> list[bool]:
    """Rows were refused at these times: whether others are to blame by then."""
    return [_refused(reckoning, at) for at in times]


def _refused(reckoning: Reckoning, now: float) -> bool:
    reckoning.room.pay(now, 100.0)
    reckoning.room.settle(now, 100.0, 0.0)
    reckoning.refused(now, now, RATE, 100.0)
    return reckoning.others.use_it


def went(reckoning: Reckoning, at: float, cost: float) -> None:
    """So much went then, and is known."""
    reckoning.room.pay(at, cost)
    reckoning.room.settle(at, cost, cost)


def test_three_refusals_in_a_row_that_no_window_explains_are_others_doing():
    reckoning = Reckoning()
    assert refused(reckoning, 1.0, 1.1, 1.5, 1.9) == [False] * 4, "half a second must lie between them"
    assert refused(reckoning, 2.0, 2.1) == [True, True]


@pytest.mark.parametrize("seconds", [1.0, 2.0, 6.0, 20.0, 60.0])
def test_one_that_a_window_explains_in_between_begins_anew(seconds):
    reckoning = Reckoning()
    assert refused(reckoning, 70.0, 71.0) == [False, False]
    went(reckoning, 72.0, RATE * seconds * 0.95)
    assert refused(reckoning, 72.0 + 0.99 * seconds) == [False]
    assert refused(reckoning, 140.0, 141.0, 142.0) == [False, False, True]


def test_what_may_be_under_way_counts_at_the_most_that_it_may_cost():
    reckoning = Reckoning()
    reckoning.room.pay(0.1, 400.0)
    assert refused(reckoning, 0.2, 0.7, 1.0) == [False] * 3


def test_answers_that_fill_a_window_explain_them_as_well():
    reckoning = Reckoning()
    for at in (1.0, 2.0, 3.0):
        reckoning.took(at - 0.1, RATE, 950.0)
        assert refused(reckoning, at) == [False]


class Shared:
    """A provider whose window of six seconds others leave a *share* of."""

    def __init__(self, limits: Limiter, share: float) -> None:
        self.limits, self.share = limits, share
        self.taken: list[float] = []
        self.calls = self.refused = 0

    def play(self, start: float, end: float) -> None:
        """Send rows of 100 tokens from *start* to *end*; each is answered or refused a twentieth of a second later."""
        now = start
        while (now := self.limits.free_at(now, 100.0) + 0.001) < end:
            self.limits.pay(now, 100.0)
            self.calls += 1
            if 100.0 * sum(at > now - 6.0 for at in self.taken[-200:]) >= self.share * RATE * 6.0:
                self.refused += 1
                self.limits.settle(now, 100.0, 0.0)
                self.limits.refused(now + 0.05, now, "insufficient_quota", None, 0.5)
            else:
                self.taken.append(now)
                self.limits.settle(now, 100.0, 100.0)
                self.limits.took(now + 0.05, now, 100.0)
            now += 0.05


def rule(limits: Limiter) -> type:
    """Which one tokens go by."""
    return type(limits.tokens.rule)


def test_what_others_leave_of_a_known_quota_is_found_and_all_of_it_is_used_again_once_they_are_gone():
    limits = limiter(Quota(tpm=60 * RATE))
    shared = Shared(limits, 0.5)
    shared.play(0.0, 120.0)
    assert rule(limits) is FoundTokens
    assert limits.learnt() == {}, "that is not kept"
    shared.calls = shared.refused = 0
    shared.taken.clear()
    shared.play(120.0, 420.0)
    assert 100.0 * len(shared.taken) >= 0.95 * 0.5 * RATE * 300.0
    assert shared.refused <= 0.02 * shared.calls
    shared.share = 1.0
    shared.play(420.0, 600.0)
    assert rule(limits) is KnownTokens
    shared.taken.clear()
    shared.play(600.0, 700.0)
    assert 100.0 * len(shared.taken) >= 0.98 * RATE * 100.0
