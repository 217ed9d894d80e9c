"""Worlds of providers in which something was once plainly wrong; `python -m tests.benchmarks.worlds` plays them all."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from batchrun.core.limits.quota import Quota
from batchrun.simulator.quotas import Caps
from batchrun.simulator.scenario import Mishap
from tests.benchmarks.pools import jain
from tests.benchmarks.worlds import (
    POOL,
    Change,
    Night,
    Tenant,
    World,
    answers_as_they_come,
    calls,
    few,
    longer_answers,
    others_come_and_go,
    own_quotas,
    several_processes,
    tokens,
)

SOME = [each for each in own_quotas() if "two of six" in each.name and "rpm" in each.name]


@pytest.mark.parametrize("world", SOME, ids=lambda world: world.name)
def test_caps_of_two_workspaces_are_no_affair_of_their_account(world):
    seen = Night(replace(world, seconds=900.0)).run()
    assert seen.used >= 0.95
    assert seen.refused_since(2) <= 0.02
    assert min(seen.own_used.values()) >= 0.7
    assert jain([tokens for name, tokens in seen.served.items() if name not in seen.own_used]) >= 0.99


@pytest.mark.parametrize(("period", "seed"), [(6, 105), (6, 107), (60, 1), (60, 110)])
def test_caps_of_two_workspaces_are_found_and_used_whatever_chance_makes_of_their_first_refusals(period, seed):
    world = next(each for each in SOME if "unknown" in each.name and each.name.endswith(f", {period} s"))
    seen = Night(replace(world, seconds=720.0, seed=seed)).run()
    assert seen.used >= 0.95
    assert seen.refused_since(2) <= 0.01
    assert min(seen.own_used.values()) >= 0.7


EVERY = [each for each in own_quotas() if "unknown" in each.name and "of all six" in each.name]


@pytest.mark.parametrize("world", EVERY, ids=lambda world: world.name)
def test_equal_caps_of_all_workspaces_are_no_quota_of_their_account(world):
    seen = Night(replace(world, seconds=900.0)).run()
    assert min(seen.own_used.values()) >= 0.9
    assert seen.refused_since(2) <= 0.02


@pytest.mark.parametrize("seed", [3, 4])
@pytest.mark.parametrize("world", [each for each in few() if "6 s" in each.name and " 2 " in each.name], ids=lambda world: world.name)
def test_two_workspaces_find_the_quota_that_they_share_and_neither_takes_it_for_its_own(world, seed):
    seen = Night(replace(world, seconds=600.0, seed=seed)).run()
    assert seen.used >= 0.95
    assert seen.refused_since(2) <= 0.02
    assert jain(list(seen.served.values())) >= 0.99


SHARED = [
    *(
        (workspaces, caps, 101)
        for workspaces in (2, 4)
        for caps in (calls(300, 6), calls(300, 6, "aligned"), calls(300), calls(3000, 6, "aligned"))
    ),
    (2, calls(300, 6), 103),
    (8, calls(300), 101),
    (2, tokens(400_000), 2),
    (2, tokens(3_000_000, 6), 2),
    (12, tokens(400_000, 60, "aligned"), 2),
]


@pytest.mark.parametrize(("workspaces", "caps", "seed"), SHARED)
def test_workspaces_whose_rows_differ_tenfold_are_refused_no_more_of_a_quota_that_they_share_than_one_alone(workspaces, caps, seed):
    shared = tuple(Tenant(f"w{place}", tokens=500 if place % 2 else 5000) for place in range(workspaces))
    seen = Night(World("rows that differ", (caps,), shared, seconds=600.0, seed=seed)).run()
    assert seen.used >= 0.9
    assert seen.refused_since(2) <= 0.015
    assert jain(list(seen.served.values())) >= 0.95


@pytest.mark.parametrize(
    ("workspaces", "times", "caps", "known", "seed"),
    [
        (2, 10, tokens(400_000), Quota(), 203),
        (2, 10, tokens(1_000_000, 6), Quota(), 201),
        (2, 4, tokens(1_000_000, 6), Quota(tpm=1_000_000), 201),
        (2, 10, tokens(1_000_000, 6), Quota(tpm=1_000_000), 203),
        (4, 10, tokens(1_000_000, 6), Quota(tpm=1_000_000), 202),
    ],
)
def test_a_workspace_has_its_share_of_the_tokens_however_much_larger_its_rows_are_than_those_of_others(
    workspaces, times, caps, known, seed
):
    shared = tuple(Tenant(f"w{place}", tokens=500 if place % 2 else 500 * times) for place in range(workspaces))
    seen = Night(World("larger rows", (caps,), shared, known, seconds=600.0, since=180.0, seed=seed)).run()
    assert jain(list(seen.served.values())) >= 0.96
    assert seen.refused_since(3) <= 0.02


@pytest.mark.parametrize(
    ("caps", "part"),
    [
        (calls(1200, 6), Quota(rpm=300)),
        (calls(1200, 60, "aligned"), Quota(rpm=300)),
        (tokens(2_000_000, 6), Quota(tpm=500_000)),
        (tokens(2_000_000), Quota(tpm=500_000)),
    ],
)
def test_four_processes_that_each_name_their_part_of_a_quota_use_all_of_it_and_are_hardly_refused(caps, part):
    seen = Night(World("parts", (caps,), known=part, processes=4, seconds=600.0)).run()
    assert seen.used >= 0.95
    assert seen.refused_since(2) <= 0.01


@pytest.mark.parametrize("known", [Quota(), Quota(rpm=1200)], ids=["unknown", "known"])
@pytest.mark.parametrize(("processes", "refused"), [(3, 0.025), (4, 0.045)])
def test_processes_that_name_no_part_of_the_quota_they_share_do_not_take_each_others_refusals_for_chance(processes, refused, known):
    """Each had borne with twice what the others made, and made as much itself: of four one call in ten was refused."""
    seen = Night(World("no parts", (calls(1200, 6),), known=known, processes=processes, seconds=1800.0)).run()
    assert seen.used >= 0.93
    assert seen.refused_since(2) <= refused


BESIDE = [each for each in several_processes() if each.known.tpm and each.processes == 2]


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("world", BESIDE, ids=lambda world: world.name)
def test_what_another_process_leaves_of_a_known_token_quota_is_found(world, seed):
    seen = Night(replace(world, seconds=300.0, seed=seed)).run()
    assert seen.used >= 0.93
    assert seen.refused_since(2) <= 0.03


MINUTE = next(each for each in own_quotas() if "unknown 1200000 tpm" in each.name and "60 s" in each.name)


def test_a_minutes_tokens_that_went_within_seconds_are_not_taken_for_next_to_no_quota():
    seen = Night(replace(MINUTE, seconds=420.0, seed=2)).run()
    assert seen.used >= 0.9
    assert seen.refused_since(2) <= 0.02
    assert min(seen.own_used.values()) >= 0.8


def test_what_a_few_seconds_held_is_forgotten_once_it_was_the_minute_that_was_full():
    four = tuple(Tenant(f"w{place}") for place in range(4))
    seen = Night(World("a minute", (tokens(1_000_000),), four, seconds=300.0, latency=((0.0, 3.0),), seed=21)).run()
    assert seen.used >= 0.95


@pytest.mark.parametrize("seed", [1, 3, 5])
def test_refusals_of_workspaces_with_a_cap_of_their_own_are_not_taken_for_a_fall_of_the_accounts_token_quota(seed):
    seen = Night(replace(MINUTE, seconds=420.0, seed=seed)).run()
    assert seen.used >= 0.95
    assert seen.refused_since(2) <= 0.02
    assert min(seen.own_used.values()) >= 0.7


@pytest.mark.parametrize("seed", [61, 64, 65])
def test_four_of_six_workspaces_with_a_cap_of_their_own_leave_the_others_the_accounts_token_quota(seed):
    six = tuple(Tenant(f"w{place}", own=(tokens(60_000, 6),) if place < 4 else ()) for place in range(6))
    seen = Night(World("60000 tpm of four of six, 6 s", (tokens(1_200_000, 6),), six, seconds=240.0, seed=seed)).run()
    assert seen.used >= 0.9
    assert seen.refused_since(2) <= 0.03


class FullAtFirst(Night):
    """Others have filled the quota when the run begins, and are gone 30 s later."""

    def _refuses(self, own, at, tokens):
        why = Mishap.THROTTLE if self.world.caps[0].tokens is None else Mishap.TOKEN_QUOTA
        return self.world.codes[why] if at < 30.0 else super()._refuses(own, at, tokens)


@pytest.mark.parametrize(("period", "window", "workspaces"), [(6, "sliding", 1), (6, "aligned", 4), (60, "sliding", 1)])
def test_unknown_calls_that_others_had_filled_at_first_are_found_as_if_the_run_had_begun_when_they_were_gone(period, window, workspaces):
    own = tuple(Tenant(f"w{place}") for place in range(workspaces))
    seen = FullAtFirst(World("full at first", (calls(600, period, window),), own, seconds=600.0, since=180)).run()
    assert seen.used >= 0.95
    assert seen.refused <= 150


@pytest.mark.parametrize("seed", [1, 11])
@pytest.mark.parametrize(("tpm", "period", "workspaces"), [(1_000_000, 6, 1), (1_000_000, 6, 4), (100_000, 60, 1), (1_000_000, 60, 1)])
def test_an_unknown_token_quota_that_others_had_filled_at_first_is_found_as_if_the_run_had_begun_when_they_were_gone(
    tpm, period, workspaces, seed
):
    own = tuple(Tenant(f"w{place}") for place in range(workspaces))
    world = World("full at first", (tokens(tpm, period, "aligned"),), own, seconds=600.0, latency=((0.0, 0.8),), since=180, seed=seed)
    seen = FullAtFirst(world).run()
    assert seen.used >= 0.95
    assert seen.refused <= 250


@pytest.mark.parametrize(("workspaces", "seed"), [(2, 22), (2, 27), (4, 23)])
def test_while_a_minute_is_full_at_first_little_is_refused(workspaces, seed):
    own = tuple(Tenant(f"w{place}") for place in range(workspaces))
    minute = (tokens(1_000_000, 60, "aligned"),)
    seen = Night(World("a minute of several", minute, own, seconds=180.0, since=120, seed=seed)).run()
    assert seen.used >= 0.97
    assert seen.refused <= 900


@pytest.mark.parametrize(("workspaces", "seed"), [(2, 34), (12, 33)])
def test_a_minute_whose_answers_come_late_is_not_taken_for_a_few_seconds_of_them(workspaces, seed):
    own = tuple(Tenant(f"w{place}") for place in range(workspaces))
    minute = (tokens(1_000_000, 60, "aligned"),)
    seen = Night(World("late answers", minute, own, seconds=420.0, latency=((0.0, 8.0),), since=180, seed=seed)).run()
    assert seen.used >= 0.95


@pytest.mark.parametrize("seed", [41, 43, 62, 66])
def test_four_of_six_workspaces_with_caps_of_a_minute_take_nothing_from_the_accounts_quota(seed):
    six = tuple(Tenant(f"w{place}", own=(tokens(300_000, 60),) if place < 4 else ()) for place in range(6))
    seen = Night(World("300000 tpm of four of six, 60 s", (tokens(2_400_000, 60),), six, seconds=420.0, seed=seed)).run()
    assert seen.used >= 0.95


@pytest.mark.parametrize(
    ("period", "window", "debit", "workspaces", "answer", "seed"),
    [
        (60, "aligned", "admission", 1, 8.0, 39),
        (60, "aligned", "admission", 2, 20.0, 71),
        (6, "sliding", "completion", 2, 8.0, 72),
        (6, "sliding", "completion", 1, 8.0, 101),
    ],
)
def test_what_refuses_while_the_last_six_seconds_are_next_to_empty_is_not_taken_for_these(period, window, debit, workspaces, answer, seed):
    own = tuple(Tenant(f"w{place}") for place in range(workspaces))
    caps = (Caps(tokens=1_000_000 * period // 60, token_period=period, window=window, debit=debit),)
    seen = Night(World("next to empty", caps, own, seconds=420.0, latency=((0.0, answer),), since=180, seed=seed)).run()
    assert seen.used >= 0.7


def test_a_minute_that_the_answers_of_a_runs_first_seconds_have_filled_is_found_once_they_are_out_of_it():
    four = tuple(Tenant(f"w{place}") for place in range(4))
    caps = (Caps(tokens=100_000, token_period=60, window="sliding", debit="completion"),)
    world = World("a rush of answers", caps, four, seconds=480.0, latency=((0.0, 3.0),), since=180)
    nights = [Night(replace(world, seed=seed)).run() for seed in range(71, 81)]
    used = [seen.used for seen in nights]
    assert min(used) >= 0.6
    assert sum(used) / len(used) >= 0.8
    assert sum(seen.refused_since(3) for seen in nights) / len(nights) <= 0.055


@pytest.mark.parametrize("seed", [64, 66, 67, 69, 71])
def test_a_known_minute_of_twelve_workspaces_that_falls_is_found_though_nothing_had_been_refused_in_it_before(seed):
    twelve = tuple(Tenant(f"w{place}") for place in range(12))
    fall = (Change(300.0, POOL, 0.4),)
    seen = Night(
        World("a known minute falls", (tokens(1_000_000),), twelve, Quota(tpm=1_000_000), 540.0, since=300, seed=seed, changes=fall)
    ).run()
    assert seen.used >= 0.8


class ByChance(Night):
    """One call in so many is refused whatever is sent, and counts for nothing."""

    share = 0.2
    why = Mishap.THROTTLE

    def _refuses(self, own, at, tokens):
        return self.world.codes[self.why] if self.dice.random() < self.share else super()._refuses(own, at, tokens)


@pytest.mark.parametrize(
    ("workspaces", "period", "window", "known", "seed"),
    [
        (1, 6, "sliding", Quota(rpm=600), 3),
        (1, 60, "aligned", Quota(rpm=600), 2),
        (1, 60, "aligned", Quota(), 2),
        (2, 60, "aligned", Quota(rpm=600), 2),
        (4, 6, "aligned", Quota(), 2),
        (12, 6, "sliding", Quota(), 1),
        (12, 60, "sliding", Quota(), 2),
    ],
)
def test_workspaces_that_share_a_quota_or_have_one_use_it_ten_minutes_after_they_began_though_one_call_in_five_is_refused_by_chance(
    workspaces, period, window, known, seed
):
    own = tuple(Tenant(f"w{place}") for place in range(workspaces))
    seen = ByChance(World("by chance", (calls(600, period, window),), own, known, seconds=900.0, since=600.0, seed=seed)).run()
    assert seen.used >= 0.8


class SeldomByChance(ByChance):
    """And so are a few in a hundred."""

    share = 0.03


@pytest.mark.parametrize(("workspaces", "period", "window", "seed"), [(1, 6, "sliding", 2), (1, 60, "aligned", 3), (4, 6, "aligned", 4)])
def test_a_known_quota_is_used_though_a_few_calls_in_a_hundred_are_refused_by_chance(workspaces, period, window, seed):
    own = tuple(Tenant(f"w{place}") for place in range(workspaces))
    world = World("seldom by chance", (calls(600, period, window),), own, Quota(rpm=600), seconds=1800.0, since=840.0, seed=seed)
    seen = SeldomByChance(world).run()
    assert seen.used >= 0.94
    assert seen.refused_since(14) <= 0.05


@pytest.mark.parametrize(("rpm", "period"), [(300, 6), (300, 60), (1200, 6), (1200, 60)])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_quota_that_is_unknown_is_used_though_a_few_calls_in_a_hundred_are_refused_by_chance(rpm, period, seed):
    seen = SeldomByChance(World("seldom by chance", (calls(rpm, period),), seconds=2400.0, since=900.0, seed=seed)).run()
    assert seen.used >= 0.75
    assert seen.refused_since(15) <= 0.08


@pytest.mark.parametrize(
    ("workspaces", "rpm", "period", "times"),
    [(1, 60, 6, 1.2), (3, 120, 1, 1.3), (1, 300, 6, 1.2), (3, 300, 1, 1.6), (1, 1200, 1, 1.3), (3, 120, 6, 1.4)],
)
def test_a_quota_in_calls_that_the_job_names_too_high_is_found_as_if_it_named_none(workspaces, rpm, period, times):
    own = tuple(Tenant(f"w{place}") for place in range(workspaces))
    world = World("named too high", (calls(rpm, period),), own, Quota(rpm=int(rpm * times)), seconds=900.0, since=300.0)
    seen = Night(world).run()
    assert seen.used >= 0.88
    assert seen.refused_since(5) <= 0.01


class NowAndThenByChance(ByChance):
    """And so is one in twenty."""

    share = 0.05


@pytest.mark.parametrize(("answer", "seed"), [(1.5, 3), (5.0, 2), (5.0, 4), (5.0, 6)])
def test_a_workspace_with_few_calls_at_once_goes_on_with_nearly_all_of_them_though_one_in_twenty_is_refused_by_chance(answer, seed):
    """It had gone slower and slower, to a tenth, and stayed there: at so few calls it takes long until many are refused."""
    own = (Tenant(concurrency=8),)
    world = World("few slots", (calls(1_000_000),), own, seconds=1800.0, latency=((0.0, answer),), since=600.0, seed=seed)
    seen = NowAndThenByChance(world).run()
    mean = answer * math.exp(0.5**2 / 2)
    assert seen.served_calls["w"] >= 0.8 * 1200.0 * 8 / mean


class OftenByChance(ByChance):
    """And so are three in ten."""

    share = 0.3


@pytest.mark.parametrize("seed", [3, 4])
@pytest.mark.parametrize(("period", "window"), [(6, "sliding"), (60, "aligned")])
@pytest.mark.parametrize("known", [Quota(), Quota(rpm=600)], ids=["unknown", "known"])
def test_a_quota_of_which_three_calls_in_ten_are_refused_by_chance_is_used_and_hardly_more_are(period, window, known, seed):
    seen = OftenByChance(World("often by chance", (calls(600, period, window),), known=known, seconds=1500.0, since=300.0, seed=seed)).run()
    assert seen.used >= 0.75
    assert seen.refused_since(5) <= 0.36


class RowsByChance(ByChance):
    """So is one row in a hundred, as if its tokens were too many."""

    share = 0.01
    why = Mishap.TOKEN_QUOTA


@pytest.mark.parametrize(
    ("workspaces", "period", "window", "seed"),
    [
        (2, 60, "sliding", 1),
        (2, 60, "sliding", 5),
        (2, 60, "aligned", 7),
        (2, 6, "aligned", 3),
        (4, 60, "aligned", 2),
        (4, 6, "sliding", 1),
        (12, 6, "sliding", 1),
        (12, 60, "aligned", 1),
    ],
)
def test_workspaces_that_share_a_quota_of_tokens_use_it_though_one_row_in_a_hundred_is_refused_by_chance(workspaces, period, window, seed):
    own = tuple(Tenant(f"w{place}") for place in range(workspaces))
    quota = (tokens(1_000_000, period, window),)
    seen = RowsByChance(World("rows by chance", quota, own, seconds=1200.0, since=300.0, seed=seed)).run()
    assert seen.used >= 0.85
    assert seen.refused_since(5) <= 0.03


GONE = [each for each in others_come_and_go() if " 1 s" in each.name and ("50% for 300" in each.name or "80% for 300" in each.name)]


@pytest.mark.parametrize("world", GONE, ids=lambda world: world.name)
def test_once_others_are_gone_that_had_half_the_calls_refused_a_quota_is_used_and_kept_as_if_they_had_never_been(world):
    seen = Night(world).run()
    assert seen.used >= 0.92
    assert seen.refused_since(14) <= 0.02


OVER = [each for each in longer_answers() if each.name.startswith("known 300000 tpm, 60 s, ") and each.name.endswith("er answers of 10 s")]


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("world", OVER, ids=lambda world: world.name)
def test_a_quota_of_tokens_is_used_though_a_file_goes_over_to_rows_whose_answers_are_forty_times_as_long_or_back(world, seed):
    """Another window had been believed in: what was under way at refusals was not known yet, and was far off what had been expected."""
    seen = Night(replace(world, seed=seed)).run()
    assert seen.used >= 0.95
    assert min(seen.minutes[2:]) >= 0.8
    assert seen.refused_since(2) <= 0.06


BOTH = [each for each in longer_answers() if each.name == "known 300000 tpm, 60 s, long and short answers of 30 s"]


@pytest.mark.parametrize("world", BOTH, ids=lambda world: world.name)
def test_a_quota_of_tokens_is_used_and_kept_to_though_answers_take_half_a_minute(world):
    seen = Night(world).run()
    assert seen.used >= 0.92
    assert seen.refused_since(2) <= 0.01


LEAST = {"unknown 300000": 0.92, "known 300000": 0.92, "unknown 1000000": 0.94, "known 1000000": 0.94}
"""Of a minute's quota: what is used of it from the third minute on. It had been half to nine tenths."""
AS_THEY_COME = [each for each in answers_as_they_come() if "60 s" in each.name]


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("world", AS_THEY_COME, ids=lambda world: world.name)
def test_a_minutes_quota_of_tokens_is_used_though_answers_take_as_long_as_they_are(world, seed):
    """Rows had been taken for short and for long in turn, as the short ones come first; and answers, for what the provider counts."""
    seen = Night(replace(world, seed=seed, since=120.0, seconds=1200.0)).run()
    assert seen.used >= LEAST[world.name.split(" tpm")[0]]
    assert seen.refused_since(4) <= 0.01
    assert seen.refused_share <= 0.015
