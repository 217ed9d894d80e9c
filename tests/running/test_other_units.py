"""What a job says in another unit than its key has is told by a run and by its plan, before a call is made."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from batchrun.core.jobs.job import Job
from batchrun.running.one_run import Wishes, run_blocking
from batchrun.running.other_units import in_other_units
from batchrun.telling.foresight import look_ahead


def told(**tables: object) -> list[str]:
    return [*in_other_units(Job.model_validate({"job": {"input": "in"}, "defaults": {"endpoint": "simulator"}, **tables}))]


def test_a_discount_that_may_be_the_share_that_is_paid_is_told_for_budgets_would_count_a_part_of_what_is_spent():
    """0.85 for 8.5折 had 15 % of each price counted, and nothing said so."""
    said = "is taken off, and costs and budgets count"
    account = {"discount": 0.85, "discounts": {"qwen-max": 0.5, "qwen-plus": 0.605}}
    assert told(accounts={"main": account, "other": {}}) == [
        f"accounts.main.discount = 0.85: 85% {said} 15% of a price; if 85% is what is paid, write 0.15",
        f"accounts.main.discounts.qwen-plus = 0.605: 60.5% {said} 39.5% of a price; if 60.5% is what is paid, write 0.395",
    ]


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"timeouts": {"total": 600_000}}, "timeouts.total = 600,000: seconds, and so 6 d 23 h; if milliseconds are meant, write 600"),
        ({"timeouts": {"idle": 120_000}}, "timeouts.idle = 120,000: seconds, and so 1 d 9 h; if milliseconds are meant, write 120"),
        ({"timeouts": {"connect": 10_000}}, "timeouts.connect = 10,000: seconds, and so 2 h 47 min; if milliseconds are meant, write 10"),
        ({"stop": {"grace": 120_000}}, "stop.grace = 120,000: seconds, and so 1 d 9 h; if milliseconds are meant, write 120"),
        (
            {"retry": {"backoff": {"max": 60_000}}},
            "retry.backoff.max = 60,000: seconds, and so 16 h 40 min; if milliseconds are meant, write 60",
        ),
    ],
)
def test_a_wait_that_nobody_waits_for_is_told_with_what_it_comes_to(tables, said):
    assert told(**tables) == [said]


def test_waits_as_long_as_somebody_may_mean_are_told_of_nothing():
    assert told() == []
    longest = {"connect": 3600, "idle": 86_400, "total": 86_400}
    assert told(timeouts=longest, stop={"grace": 86_400, "outage": 10**6}, retry={"backoff": {"first": 60, "max": 43_200}}) == []


def test_prices_by_the_thousand_are_told_for_a_budget_would_let_a_thousand_times_as_much_be_spent():
    own = {name: {"tiers": {"input": 0.0008, "output": output}} for name, output in {"m": 0.002, "free": 0, "cheap": 0.02}.items()}
    way_out = "if it is for a thousand, as some lists have it, write 2, and all its prices so"
    assert told(prices=own) == [f"prices.m: output = 0.002: for a million tokens; {way_out}"]


def test_a_plan_and_a_run_are_told_of_it(tmp_path):
    (tmp_path / "in.jsonl").write_text('{"id": "1", "prompt": "Hi"}\n')
    job = Job.model_validate(
        {
            "job": {"input": str(tmp_path / "in.jsonl"), "output": str(tmp_path / "run")},
            "defaults": {"endpoint": "simulator", "model": "qwen-plus"},
            "workspaces": {"legal": {"account": "main"}},
            "accounts": {"main": {"discount": 0.9}},
            "timeouts": {"total": 600_000},
            "simulator": {"latency": {"median": 0.0}},
        }
    )
    both = {*in_other_units(job)}
    assert len(both) == 2
    assert both <= {*look_ahead(job, datetime(2026, 11, 23, 22, tzinfo=UTC), dotenv=None).notes}
    notes: list[str] = []
    run_blocking(job, Wishes(dotenv=None, page=None, note=notes.append))
    assert both <= {*notes}
