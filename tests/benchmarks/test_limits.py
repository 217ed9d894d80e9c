"""The bars of the limiter that are quick to play; `python -m tests.benchmarks.limits` plays them all."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from batchrun.core.limits.quota import NO_QUOTA, Quota
from tests.benchmarks.bars import bars, changed, known_both, known_requests, known_tokens, measure, others, requests, seen, tokens, unknown
from tests.benchmarks.limits import told_of_seeds
from tests.benchmarks.play import Play, World

KNOWN = [
    *(known_requests(rpm, period, kind, 8.0) for rpm in (60, 600) for period in (1, 6, 60) for kind in ("sliding", "aligned")),
    known_requests(600, 1, "sliding", 20.0, 0.02),
    *(known_tokens(1_000_000, 60, kind, "admission", 10.0) for kind in ("sliding", "aligned")),
    *(known_tokens(5_000_000, 6, kind, "admission", 4.0) for kind in ("sliding", "aligned")),
    known_tokens(100_000, 6, "sliding", "completion", 60.0),
    *(known_tokens(100_000, 1, kind, "completion", 120.0) for kind in ("sliding", "aligned")),
    known_tokens(1_000_000, 1, "sliding", "completion", 20.0),
    *(known_both(share, 60, kind, "admission", 10.0) for share in (0.8, 1.0, 1.25) for kind in ("sliding", "aligned")),
]
UNKNOWN = [
    *(unknown(requests(600, period, kind), f"600 rpm, {period} s", 0.5) for period in (6, 60) for kind in ("sliding", "aligned")),
    unknown(requests(60, 60), "60 rpm, 60 s", 4.0, latency=8.0),
    unknown(requests(60, 6), "60 rpm, 6 s", 4.0),
    unknown(requests(60, 6, "aligned"), "60 rpm, 6 s", 6.0),
    unknown(requests(6000, 6), "6000 rpm, 6 s", 0.1, cap=16),
    unknown(tokens(1_000_000, 60), "1000000 tpm, 60 s", 0.5),
    unknown(tokens(1_000_000, 60), "1000000 tpm, 60 s", 0.5, latency=8.0, cap=1000),
    unknown(tokens(5_000_000, 6, "aligned"), "5000000 tpm, 6 s", 0.15),
]


@pytest.mark.parametrize("bar", [*KNOWN, *UNKNOWN, *others()], ids=lambda bar: bar.name)
def test_a_quota_is_used_up_and_hardly_overrun(bar):
    what = measure(bar)
    assert what.reaches(bar), what


SHORT = [bar for bar in bars() if bar.least]


@pytest.mark.parametrize("bar", SHORT, ids=lambda bar: bar.name)
def test_where_as_much_cannot_be_reached_no_less_comes_of_it_than_did(bar):
    what = measure(bar)
    assert bar.least
    assert what.is_at_least(bar.least), what


@pytest.mark.parametrize(
    ("tpm", "answers", "used"), [(1_000_000, 0.8, 0.94), (1_000_000, 3.0, 0.94), (1_000_000, 8.0, 0.89), (5_000_000, 8.0, 0.89)]
)
@pytest.mark.parametrize("seed", [1, 6])
def test_a_token_quota_of_six_seconds_that_is_to_be_found_and_counts_answers_is_used_however_slow_these_are(tpm, answers, used, seed):
    bar = unknown(tokens(tpm, 6, "sliding", "completion"), f"{tpm} tpm of answers, 6 s", 0.2, latency=answers, cap=1000)
    what = measure(replace(bar, world=replace(bar.world, seed=seed)))
    assert what.used >= used
    assert what.refused <= 0.015


@pytest.mark.parametrize("seed", [1, 2])
def test_a_minutes_token_quota_that_is_to_be_found_is_used_though_few_rows_go_in_it(seed):
    bar = unknown(tokens(100_000, 60), "100000 tpm, 60 s", 4.0)
    what = measure(replace(bar, world=replace(bar.world, seed=seed)))
    assert what.used >= 0.94
    assert what.refused <= 0.015


@pytest.mark.parametrize(
    ("period", "kind", "debit", "share", "used"),
    [
        (60, "sliding", "admission", 0.02, 0.9),
        (60, "aligned", "admission", 0.01, 0.9),
        (60, "sliding", "completion", 0.02, 0.9),
        (6, "sliding", "admission", 0.02, 0.8),
        (6, "aligned", "admission", 0.01, 0.85),
        (6, "sliding", "completion", 0.01, 0.85),
    ],
)
def test_a_token_quota_that_is_to_be_found_is_used_though_a_share_of_the_rows_is_refused_by_chance(period, kind, debit, share, used):
    world = World(tokens(1_000_000, period, kind, debit), seconds=1200.0, jitter=0.02, latency=3.0, cap=400, by_chance=share)
    report = Play(world).run()
    assert report.between(300.0, 1200.0) >= used * 1_000_000 / 60
    assert report.refused_share <= share + 0.04


def test_bars_are_told_of_several_seeds_together_by_their_mean_their_worst_and_how_many_reach_them():
    bar = unknown(tokens(100_000, 60), "100000 tpm, 60 s", 0.1)
    apart = [measure(replace(bar, world=replace(bar.world, seed=seed))) for seed in (1, 2)]
    used, refused = zip(*apart, strict=True)
    told = told_of_seeds(replace(bar, used=max(used), refused=max(refused)), 2)
    assert told.endswith("1 of 2")
    for share in (sum(used) / 2, min(used), max(used)):
        assert f" {share:.2%} " in told
    for share in (sum(refused) / 2, max(refused)):
        assert f" {share:.3%} " in told


class Straggling(random.Random):
    """Of the calls, one in fifty comes up to five times as late."""

    def uniform(self, a, b):
        return super().uniform(a, b if self.random() > 0.02 else 5 * b)


@pytest.mark.parametrize("seed", range(3))
def test_a_network_that_holds_some_calls_up_costs_a_known_quota_neither_time_nor_refusals(seed):
    bar = known_requests(1200, 6, "sliding", 10.0, 0.02)
    play = Play(bar.world)
    play.dice = Straggling(seed)
    what = seen(bar, play.run())
    assert what.used >= 1 / 1.02
    assert what.refused <= 0.001


@pytest.mark.parametrize(
    "bar", [bar for period in (6, 60) for bar in changed(requests(600, period), f"{period} s")], ids=lambda bar: bar.name
)
def test_three_minutes_after_a_quota_changed_it_is_used_again(bar):
    what = measure(bar)
    assert what.reaches(bar), what


@pytest.mark.parametrize("seed", [11, 18])
@pytest.mark.parametrize("kind", ["sliding", "aligned"])
def test_three_minutes_after_a_quota_that_was_a_tenth_for_a_while_is_whole_again_it_is_used(kind, seed):
    changes = ((600.0, 0.1), (1600.0, 1.0))
    report = Play(World(requests(600, 6, kind), seconds=2080, jitter=0.02, cap=1000, changes=changes, seed=seed)).run()
    assert report.between(780, 1600) >= 0.95
    assert report.between(1780, 2080) >= 9.0
    assert report.refused_share <= 0.01


def test_no_minute_of_a_night_is_frozen():
    report = Play(World(requests(600, 6), seconds=3600, jitter=0.02, changes=((1200, 0.25), (2000, 1)))).run()
    assert min(report.minutes(0, 3600)) > 1.0


def test_slots_that_bind_let_nothing_grow():
    play = Play(World(requests(6000, 60), NO_QUOTA, seconds=600, cap=16))
    play.limiters[0].teach({"attempts": {"rate": 50.0, "window": 60.0}}, 0.0)
    play.run()
    assert play.limiters[0].attempts.rate(600.0) == 50.0
    assert play.report.refused == 0


def test_failures_that_are_no_refusals_let_nothing_grow():
    play = Play(World(requests(600, 6), seconds=300, failing=1.0))
    play.limiters[0].teach({"attempts": {"rate": 9.0, "window": 6.0}}, 0.0)
    play.run()
    assert play.limiters[0].attempts.rate(300.0) == 9.0


def test_a_pool_that_keeps_its_known_quota_takes_no_rate_from_its_lane():
    play = Play(World(requests(600, 6), pool=Quota(rpm=600), seconds=600, jitter=0.02))
    play.run()
    assert not play.limiters[0].attempts.is_found


class Refusing(Play):
    """For half an hour all is refused."""

    def _refuses(self, at, call):
        return "limit_requests" if 600.0 <= at < 2400.0 else super()._refuses(at, call)


class Asking(Play):
    """Each refusal asks for so many seconds."""

    seconds = 600.0

    def _refused(self, now, call, code):
        self._end(call, 0.0)
        self.report.refused += 1
        self.fronts.append(call)
        self.limiters[-1].refused(now, call.launched, code, self.seconds, self.dice.random())


class Shut(Asking):
    """For an hour all is refused, and said to be for ten minutes."""

    def _refuses(self, at, call):
        return "limit_requests" if 600.0 <= at < 4200.0 else super()._refuses(at, call)


def test_a_quota_that_was_found_is_used_again_when_half_an_hour_is_over_in_which_all_was_refused():
    report = Refusing(World(requests(600, 6), seconds=3000.0, jitter=0.02)).run()
    assert report.between(2460.0, 3000.0) >= 9.0


def test_a_quota_is_found_and_used_though_each_refusal_asks_for_ten_minutes():
    report = Asking(World(requests(600, 6), seconds=1800.0, jitter=0.02)).run()
    assert report.between(600.0, 1800.0) >= 0.9 * 10.0
    assert report.refused_share <= 0.01


def test_an_hour_of_refusals_that_ask_for_ten_minutes_is_not_called_into_by_more_than_one_at_a_time():
    report = Shut(World(requests(6_000, 6), Quota(rpm=6_000), seconds=6000.0, rows=90_000, cap=200)).run()
    assert report.refused <= 40, report.refused
