"""Refusals of a known token quota that the window believed in does not explain show at once a shorter one, or that others use it too."""

from __future__ import annotations

import pytest

from batchrun.core.limits.counting import WINDOWS
from batchrun.core.limits.limiter import Limiter
from batchrun.core.limits.quota import Quota, limiter, pace_of_tokens
from batchrun.core.limits.reckoning import Reckoning
from batchrun.core.limits.tokens import FoundTokens, KnownTokens
from tests.benchmarks.bars import known_tokens, tokens
from tests.benchmarks.play import Play, Report, World

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


def others(reckoning: Reckoning, *times: float) -> list[bool]:
    """Rows were refused at these times: whether others are to blame by then."""
    return [refused(reckoning, at) >= 0 and reckoning.others_use_it for at in times]


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
    assert [refused(reckoning, at) for at in (0.2, 0.71, 1.22)] == [SIX] * 3


def test_a_window_that_the_largest_row_does_not_go_into_explains_nothing_and_others_are_to_blame():
    for largest, blamed in ((100.0, False), (1500.0, True)):
        reckoning = Reckoning()
        reckoning.took(0.0, RATE, largest)
        went(reckoning, (9.9, 960.0))
        assert others(reckoning, 10.0, 10.4, 10.6, 10.8, 11.1)[-1] is blamed


def test_answers_explain_a_refusal_in_any_window_whatever_the_largest_row_is():
    reckoning = Reckoning()
    reckoning.took(0.0, RATE, 1500.0)
    for at in (10.0, 13.0, 16.0, 19.0):
        reckoning.took(at - 0.1, RATE, 950.0)
        assert others(reckoning, at) == [False]


@pytest.mark.parametrize("seed", [1, 2])
def test_what_others_leave_of_a_known_quota_is_found_though_the_largest_rows_go_into_no_shorter_window(seed):
    play = Beside(World(tokens(600_000, 6), Quota(tpm=600_000), seconds=600.0, jitter=0.02, cap=1000, seed=seed))
    report = play.run()
    assert report.between(120, 600) >= 0.8 * 5000.0
    assert report.refused_share <= 0.07


def test_what_may_be_under_way_counts_at_the_most_that_it_may_cost():
    reckoning = Reckoning()
    reckoning.room.pay(0.1, 3500.0)
    assert [refused(reckoning, at) for at in (0.2, 0.7, 1.2, 1.7)] == [SIX] * 4


def test_a_window_of_a_second_is_found_within_some_dozens_of_refusals():
    bar = known_tokens(5_000_000, 1, "sliding", "admission", 0.3)
    play = Play(bar.world)
    assert play.run().refused < 150
    assert play.limiters[0].tokens.counting.window == 1.0


def test_three_refusals_in_a_row_that_no_window_explains_are_others_doing():
    reckoning = Reckoning()
    assert others(reckoning, 1.0, 1.1, 1.5, 1.9) == [False] * 4, "half a second must lie between them"
    assert others(reckoning, 2.0, 2.1) == [True, True]


@pytest.mark.parametrize("seconds", [1.0, 2.0, 6.0, 20.0, 60.0])
def test_one_that_any_window_explains_in_between_begins_anew(seconds):
    reckoning = Reckoning()
    assert others(reckoning, 70.0, 71.0) == [False, False]
    went(reckoning, (72.0, RATE * seconds * 0.95))
    assert others(reckoning, 72.0 + 0.99 * seconds) == [False]
    assert others(reckoning, 140.0, 141.0, 142.0) == [False, False, True]


def test_what_may_be_under_way_may_be_all_that_fills_a_window():
    reckoning = Reckoning()
    reckoning.room.pay(0.1, 400.0)
    assert others(reckoning, 0.2, 0.7, 1.0) == [False] * 3


def test_answers_that_fill_a_window_explain_them_as_well():
    reckoning = Reckoning()
    for at in (1.0, 2.0, 3.0):
        reckoning.took(at - 0.1, RATE, 950.0)
        assert others(reckoning, at) == [False]


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


class Beside(Play):
    """Somebody else uses half of the quota, evenly."""

    def run(self) -> Report:
        self._at(0.1, self._other, 0.0)
        return super().run()

    def _other(self, now: float, _: object) -> None:
        if self.meter.refuses(now, 1000) is None:
            self.meter.count(now, 1000, now + 1.0)
        self._at(now + 0.2, self._other, 0.0)


def rule(limits: Limiter) -> type:
    """Which one tokens go by."""
    return type(limits.tokens.rule)


def test_that_answers_filled_a_window_once_does_not_make_nothing_of_what_a_minute_holds_later():
    pace = pace_of_tokens(RATE)
    pace.climb.windows.of_answers, pace.climb.windows.window = True, 60.0
    for second in range(60):
        pace.pay(float(second), 500.0)
    pace.begin_episode(60.0)
    pace.find(65.0, 5.0)
    assert pace.held == pytest.approx(500.0, rel=0.05)


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
