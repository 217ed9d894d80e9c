"""Budgets of a run that is killed in the middle, with many calls in flight: a child process against `batchrun simulate` in another."""

from __future__ import annotations

import json
import subprocess
import time
from decimal import Decimal

from tests.end_to_end.test_run import BATCHRUN, answered, billed, calls, environment, rows_of, run, simulator, total, write_job

PRICES = '[prices."qwen-plus"]\ntiers = { input = 0.8, output = 2 }\n'
PARAMETERS = "parameters = { max_tokens = 60 }\n"


def budgeted(tmp_path, url, budget, *, rows=3000, prices=PRICES, concurrency=50):
    """A job with a *budget* for the whole run."""
    job = write_job(tmp_path, url, rows_of(rows), concurrency=concurrency)
    text = job.read_text().replace("[defaults]\n", f"budget = {budget}\n[defaults]\n{PARAMETERS}", 1)
    job.write_text(text + prices)
    return job


def cost(input_tokens, output_tokens):
    return (input_tokens * Decimal("0.8") + output_tokens * 2) / 1_000_000


def in_bill(url):
    return sum((cost(*tokens) for tokens in billed(url).values()), Decimal(0))


def test_two_hundred_calls_at_once_and_a_kill_overspend_no_budget(tmp_path):
    cap = Decimal("0.06")
    with simulator(tmp_path, latency=0.1) as url:
        job = budgeted(tmp_path, url, "{ amount = 0.06 }")
        process = subprocess.Popen([*BATCHRUN, "run", str(job)], cwd=tmp_path, env=environment(), stderr=subprocess.DEVNULL)
        while len(calls(url)) < 300:
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
        process.wait(timeout=20)
        done = run(tmp_path, "run", str(job), "--json")
        charged = in_bill(url)
    assert done.returncode == 4, done.stderr
    stated = json.loads(done.stdout)["total"]
    doubt = cost(stated["in_doubt_input_tokens"], stated["in_doubt_output_tokens"])
    spent = cost(stated["input_tokens"], stated["output_tokens"])
    assert stated["in_doubt"] > 0
    assert charged <= cap
    assert spent <= charged <= spent + doubt
    most = max(cost(200, 60), doubt)
    assert spent + doubt > cap - most, "a row more could have been afforded"
    assert b"4 workspaces parked" in done.stderr
    entries = answered(tmp_path)
    assert sum((Decimal(entry["cost"]["amount"]) for entry in entries), Decimal(0)) == spent
    assert len({entry["id"] for entry in entries}) == len(entries)


def test_a_raised_budget_is_taken_up_by_the_same_command(tmp_path):
    with simulator(tmp_path, latency=0.01) as url:
        job = budgeted(tmp_path, url, "{ tokens = 2000 }", rows=120, prices="")
        first = run(tmp_path, "run", str(job))
        assert first.returncode == 4, first.stderr
        assert sum(sum(tokens) for tokens in billed(url).values()) <= 2000
        assert b"budget_spent: job.budget = 2,000 tokens: " in first.stderr
        assert b"note: job.budget: 80% is spent: " in first.stderr or b"note: job.budget: 95% is spent: " in first.stderr
        job.write_text(job.read_text().replace("tokens = 2000", "tokens = 200000"))
        second = run(tmp_path, "run", str(job))
        assert second.returncode == 0, second.stderr
    assert total(tmp_path)["total"]["answered"] == 120


def test_a_model_without_a_price_is_not_called_under_a_budget_in_money(tmp_path):
    with simulator(tmp_path) as url:
        done = run(tmp_path, "run", str(budgeted(tmp_path, url, "{ amount = 5 }", rows=8, prices="")))
        assert calls(url) == []
    assert done.returncode == 4
    assert b"no_price" in done.stderr
    assert b"qwen-plus has no price in CNY" in done.stderr


def test_what_an_unpriced_model_counts_as_can_be_said(tmp_path):
    with simulator(tmp_path) as url:
        budget = "{ amount = 5, unpriced = { input = 3, output = 12 } }"
        done = run(tmp_path, "run", str(budgeted(tmp_path, url, budget, rows=8, prices="")))
    assert done.returncode == 0, done.stderr
    assert {entry["cost"] for entry in answered(tmp_path)} == {None}
