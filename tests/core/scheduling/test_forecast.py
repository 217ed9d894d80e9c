"""Forecasts against what can be worked out by hand, and the large ones against the small."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial

import pytest

from batchrun.core.jobs.hours import read_hours
from batchrun.core.ledger.attempts import Bound
from batchrun.core.limits.quota import Quota
from batchrun.core.money.budget import TOKENS, Cap, Purse
from batchrun.core.scheduling import forecast
from batchrun.core.scheduling.expected import Calendar, Expected, lognormal
from batchrun.core.scheduling.forecast import foresee
from batchrun.core.scheduling.holds import Hold, What, Whose
from batchrun.core.scheduling.prospects import helps
from batchrun.core.scheduling.retry import RetryPolicy
from batchrun.core.scheduling.scheduler import LanePlan

STEADY = Expected((2.0,))
MODEL = "qwen-plus"
RETRY = RetryPolicy()
ALWAYS = Calendar()


def lane(workspace="legal", rows=100, slots=4, *, model=MODEL, account=None, **bounds):
    return LanePlan(workspace, model, account or workspace, range(rows), rows, slots, **bounds)


def seen(*plans, expected=STEADY, calendar=ALWAYS):
    found = foresee(plans, {(plan.workspace, plan.model): expected for plan in plans}, RETRY, calendar)
    return {workspace: each for (workspace, _), each in found.items()}


def test_slots_that_are_all_that_limits_give_rows_times_latency_over_slots():
    alone = seen(lane(rows=100, slots=4))["legal"]
    assert alone.ends_at == pytest.approx(100 * 2 / 4, rel=0.01)
    assert alone.limit == Hold(Whose.WORKSPACE, What.CONCURRENCY)


def test_fewer_rows_than_slots_take_one_latency_and_nothing_limits_them():
    alone = seen(lane(rows=3, slots=4))["legal"]
    assert (alone.ends_at, alone.limit) == (2.0, None)


BOUNDS = [
    ({"lane_concurrency": 2}, 600.0, Hold(Whose.LANE, What.CONCURRENCY)),
    ({"quota": Quota(rpm=60)}, 600.0, Hold(Whose.LANE, What.RPM)),
    ({"workspace_quota": Quota(rpm=60)}, 600.0, Hold(Whose.WORKSPACE, What.RPM)),
    ({"pool_quota": Quota(rpm=60)}, 600.0, Hold(Whose.POOL, What.RPM)),
    ({"pool_quota": Quota(tpm=6000), "tokens": lambda _row: 100.0}, 600.0, Hold(Whose.POOL, What.TPM)),
]


@pytest.mark.parametrize(("bounds", "seconds", "limit"), BOUNDS, ids=[str(limit[1]) + str(limit[0]) for *_, limit in BOUNDS])
def test_the_bound_that_holds_gives_the_time_and_is_named(bounds, seconds, limit):
    alone = seen(lane(rows=600, slots=64, **bounds))["legal"]
    assert alone.ends_at == pytest.approx(seconds, rel=0.03)
    assert alone.limit == limit
    assert alone.holds[limit] > 0.9


def test_a_shared_quota_is_shared_by_weight_in_the_forecast_too():
    quota = {"account": "main", "pool_quota": Quota(rpm=600)}
    found = seen(lane("heavy", 600, 64, weight=3.0, **quota), lane("light", 600, 64, weight=1.0, **quota))
    # Ten a second: seven and a half of them to the heavy one, while it has rows.
    assert found["heavy"].ends_at == pytest.approx(80, rel=0.05)
    assert found["light"].ends_at == pytest.approx(120, rel=0.03)


def test_lanes_of_a_workspace_share_its_slots():
    found = foresee(
        [lane(model="a", rows=100, slots=4), lane(model="b", rows=100, slots=4)],
        {("legal", "a"): STEADY, ("legal", "b"): STEADY},
        RETRY,
    )
    assert max(each.ends_at for each in found.values()) == pytest.approx(100, rel=0.02)


def test_failures_that_were_seen_cost_calls_and_time_again():
    smooth = seen(lane(rows=1000))["legal"]
    rough = seen(lane(rows=1000), expected=Expected((2.0,), again=0.2, reasked=0.1))["legal"]
    assert rough.ends_at == pytest.approx(smooth.ends_at / 0.7, rel=0.05)


def test_a_budget_that_pays_for_fewer_calls_at_once_than_there_are_slots_is_what_limits():
    """Each has 100 tokens set aside, and costs 10: thirteen go at first, and three in the end."""
    budget = Purse(Cap("job.budget", Decimal(1300), TOKENS))
    plan = lane(rows=100, slots=64, tokens=lambda _row: 10.0, purses=(budget,))
    found = seen(plan, expected=replace(STEADY, bounds=(Bound(60, 40),)))["legal"]
    assert found.ends_at == pytest.approx(math.fsum(2 / ((1300 - 10 * done) // 100) for done in range(100)), rel=0.15)
    assert found.limit == Hold(Whose.WORKSPACE, What.BUDGET)
    assert helps([plan], {("legal", MODEL): STEADY}, {("legal", MODEL): 10.0}, {("legal", MODEL): found})["legal", MODEL].startswith(
        "set max_tokens, or a lower one, in workspaces.legal: "
    )


def test_rows_that_a_budget_leaves_over_are_in_no_forecast():
    budget = Purse(Cap("job.budget", Decimal(900), TOKENS))
    assert seen(lane(rows=100, tokens=lambda _row: 10.0, purses=(budget,)), expected=replace(STEADY, bounds=(Bound(60, 40),))) == {}


@pytest.mark.parametrize(("cost", "seconds"), [(1.0, 800), (2.0, 1000)])
def test_answers_that_do_not_fit_take_as_much_of_a_token_quota_as_they_cost(cost, seconds):
    plan = lane(rows=600, slots=64, pool_quota=Quota(tpm=6000), tokens=lambda _row: 100.0)
    assert seen(plan, expected=Expected((2.0,), reasked=0.25, reask_costs=cost))["legal"].ends_at == pytest.approx(seconds, rel=0.05)


def test_throttles_that_were_seen_slow_a_lane_whose_quota_nobody_knows():
    smooth = seen(lane(rows=1000))["legal"]
    assert seen(lane(rows=1000), expected=Expected((2.0,), throttled=0.05))["legal"].ends_at > smooth.ends_at


def test_a_closed_workspace_is_waited_for_and_its_hours_are_what_limits():
    noon = datetime(2026, 11, 23, 12, 0, tzinfo=UTC).timestamp()
    found = seen(lane(rows=100), lane("sales", rows=100), calendar=Calendar({"legal": read_hours("13:00-14:00 UTC")}, noon))
    assert found["legal"].ends_at == pytest.approx(3600 + 50, abs=2)
    assert found["legal"].limit == Hold(Whose.WORKSPACE, What.WINDOW)
    assert found["legal"].holds[found["legal"].limit] == pytest.approx(3600 / 3650, abs=0.01)
    assert found["sales"].ends_at == pytest.approx(50, abs=2)
    assert Hold(Whose.WORKSPACE, What.WINDOW) not in found["sales"].holds


def test_a_run_that_is_overtaken_by_its_closing_hour_goes_on_at_the_next_opening():
    noon = datetime(2026, 11, 23, 12, 0, tzinfo=UTC).timestamp()
    found = seen(lane(rows=1000), calendar=Calendar({"legal": read_hours("12:00-12:05 UTC")}, noon))["legal"]
    assert found.ends_at == pytest.approx(86400 + 200, abs=5)
    assert found.limit == Hold(Whose.WORKSPACE, What.WINDOW)


def test_the_same_job_has_the_same_forecast():
    rough = Expected(lognormal(2.0, 0.5), again=0.1, throttled=0.02)
    assert seen(lane(rows=500), expected=rough) == seen(lane(rows=500), expected=rough)


@pytest.mark.parametrize("sigma", [0.0, 0.4, 1.0])
def test_a_lognormal_spread_keeps_its_mean_and_its_deviation(sigma):
    spread = lognormal(3.0, sigma)
    assert math.fsum(spread) / len(spread) == pytest.approx(3.0)
    logs = [math.log(each) for each in spread]
    mean = math.fsum(logs) / len(logs)
    assert math.sqrt(math.fsum((each - mean) ** 2 for each in logs) / len(logs)) == pytest.approx(sigma, abs=0.01)


def lanes_of_any_size(total, lanes, quota):
    sizes = [max(3, int(total * 2.0 ** -(number + 1))) for number in range(lanes)]
    return [
        lane(f"w{number}", size, 16, account="main", pool_quota=quota, tokens=lambda row: 500.0 + row % 300)
        for number, size in enumerate(sizes)
    ]


@pytest.mark.parametrize("quota", [Quota(), Quota(rpm=1200), Quota(tpm=600_000)], ids=["slots", "rpm", "tpm"])
def test_a_sampled_forecast_is_that_of_row_by_row(monkeypatch, quota):
    plans = lanes_of_any_size(16_000, 4, quota)
    expected = Expected(lognormal(3.0, 0.4))
    exact = seen(*plans, expected=expected)
    monkeypatch.setattr(forecast, "EXACT_ROWS", 8_000)
    monkeypatch.setattr(forecast, "_SAMPLE_ROWS", 6_000)
    sampled = seen(*plans, expected=expected)
    assert sampled != exact
    for name, each in sampled.items():
        assert each.ends_at == pytest.approx(exact[name].ends_at, rel=0.03), name
        assert each.limit == exact[name].limit


def test_what_an_end_costs_is_not_multiplied_by_the_size_of_the_sample(monkeypatch):
    monkeypatch.setattr(forecast, "EXACT_ROWS", 20_000)
    monkeypatch.setattr(forecast, "_SAMPLE_ROWS", 10_000)
    slow = seen(lane(rows=40_000, slots=50_000, pool_quota=Quota(rpm=1200)), expected=Expected((600.0,)))["legal"]
    assert slow.ends_at == pytest.approx(40_000 / 20 + 600, rel=0.02)


def test_a_spread_of_latencies_has_the_mean_that_is_asked_for_and_takes_no_more_than_a_pass():
    began = time.thread_time()
    spreads = [lognormal(mean, 0.5) for mean in range(1, 201)]
    assert time.thread_time() - began < 1
    assert [math.fsum(each) / len(each) for each in spreads] == pytest.approx(range(1, 201))


def test_a_million_rows_in_twelve_lanes_take_well_under_a_minute(monkeypatch):
    """Played at an eighth: what is gone over is two and a half samples, however many rows there are."""
    assert forecast.EXACT_ROWS <= 200_000
    monkeypatch.setattr(forecast, "EXACT_ROWS", forecast.EXACT_ROWS // 8)
    monkeypatch.setattr(forecast, "_SAMPLE_ROWS", forecast._SAMPLE_ROWS // 8)
    plans = [lane(f"w{number}", 125_000 // 12, 64, account="main", pool_quota=Quota(rpm=6000)) for number in range(12)]
    began = time.process_time()
    found = seen(*plans, expected=Expected(lognormal(6.0, 0.4)))
    assert time.process_time() - began < 45 / 8
    assert max(each.ends_at for each in found.values()) == pytest.approx(125_000 / 100, rel=0.02)


def help_of(plan, *beside, latency=2.0):
    plans, key = [plan, *beside], (plan.workspace, plan.model)
    keys = [(each.workspace, each.model) for each in plans]
    expected = dict.fromkeys(keys, Expected((latency,)))
    return helps(plans, expected, dict.fromkeys(keys, 100.0), foresee(plans, expected, RETRY))[key]


def test_slots_that_would_use_the_quota_up_are_advised_and_then_do():
    plan = lane(rows=2000, slots=4, pool_quota=Quota(rpm=600))
    assert help_of(plan) == "raise workspaces.legal.concurrency from 4 to about 22: then its quota is what limits"
    raised = lane(rows=2000, slots=22, pool_quota=Quota(rpm=600))
    assert seen(raised)["legal"].limit == Hold(Whose.POOL, What.RPM)
    assert help_of(raised) == "ask for more rpm for qwen-plus in account legal, or give some rows another model"


def test_no_more_slots_are_advised_where_the_quota_would_take_less_than_two_more():
    plan = lane(rows=500, slots=2, pool_quota=Quota(rpm=60))
    assert seen(plan, expected=Expected((2.1,)))["legal"].limit == Hold(Whose.WORKSPACE, What.CONCURRENCY)
    assert help_of(plan, latency=2.1) == ""


@pytest.mark.parametrize("what", ["rpm", "tpm"])
def test_a_cap_that_the_job_gives_a_workspace_or_its_model_is_told_by_its_place_in_it(what):
    quota = Quota(rpm=60) if what == "rpm" else Quota(tpm=6_000)
    advised, large = f"{what}, if the provider gives more", partial(lane, rows=500, slots=50, tokens=lambda _row: 100.0)
    assert help_of(large(workspace_quota=quota)) == f"raise workspaces.legal.{advised}"
    assert help_of(large(quota=quota)) == f'raise workspaces.legal.limits."qwen-plus".{advised}'


def test_slots_without_a_quota_are_the_only_limit_that_the_job_names():
    assert help_of(lane(rows=200)) == "raise workspaces.legal.concurrency above 4: it is the only limit that is known"
    limited = help_of(lane(rows=200, lane_concurrency=2))
    assert limited == 'raise workspaces.legal.limits."qwen-plus".concurrency above 2: it is the only limit that is known'


def test_slots_that_models_with_and_without_a_quota_share_are_not_called_the_only_limit_of_all():
    asked = lane(rows=200, pool_quota=Quota(rpm=600))
    told = "raise workspaces.legal.concurrency above 4: it is the only limit that is known for qwen-max"
    assert help_of(asked, lane(rows=200, model="qwen-max")) == told
    assert help_of(lane(rows=200), lane(rows=200, model="qwen-max")) == told.removesuffix(" for qwen-max")


def test_a_workspace_has_use_for_the_slots_that_its_share_of_a_quota_takes_whatever_others_have():
    legal, sales = (
        lane(name, rows=2000, account="main", weight=weight, pool_quota=Quota(rpm=600)) for name, weight in (("legal", 1.0), ("sales", 3.0))
    )
    assert help_of(legal, sales) == "raise workspaces.legal.concurrency from 4 to about 6: then its quota is what limits"
    assert help_of(sales, legal) == "raise workspaces.sales.concurrency from 4 to about 17: then its quota is what limits"


def test_a_lane_that_nothing_holds_back_gets_no_advice():
    assert help_of(lane(rows=2)) == ""


def test_rows_that_cost_more_or_less_than_expected_leave_as_much_of_a_token_quota_free_as_earlier_openings_found():
    plan = lane(rows=2000, slots=64, pool_quota=Quota(tpm=120_000), tokens=lambda _row: 1000.0)
    varied = Expected((1.0,), costs=(0.2, 1.8))
    found = {plan.pool_name: {"tokens": {"window": 6.0, "deviations": 3.0, "at_end": 0.0}}}
    key = ("legal", MODEL)
    steady, sure, wary = (
        foresee([plan], {key: expected}, RETRY, learnt=learnt)[key].ends_at
        for expected, learnt in ((Expected((1.0,)), {}), (varied, {}), (varied, found))
    )
    assert steady == pytest.approx(1000, rel=0.03)
    assert wary > 1.05 * sure
