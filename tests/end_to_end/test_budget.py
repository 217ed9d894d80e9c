"""Budgets of a run that is killed in the middle, with many calls in flight: a child process against `batchrun simulate` in another."""

from __future__ import annotations

import json
import re
import subprocess
import time
from decimal import Decimal

from tests.end_to_end.test_run import BATCHRUN, answered, billed, calls, environment, rows_of, run, simulator, total, write_job
from tests.faults import children

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


def most(input_tokens, output_tokens):
    """The bound of a call: its input may have to be written to a cache."""
    return cost(input_tokens * Decimal("1.25"), output_tokens)


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
        process.wait()
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
    assert f"{stated['pending']:,} rows parked".encode() in done.stderr
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
        left = re.search(
            rb", (\d+) rows: budget_spent: .* spent; .*; the (\d+) rows left would come to about ([\d,]+) tokens", first.stderr
        )
        assert left is not None
        assert left[1] == left[2]
        assert 5 * int(left[1]) < int(left[3].replace(b",", b"")) < 200 * int(left[1])
        assert b"note: job.budget: 80% is spent: " in first.stderr or b"note: job.budget: 95% is spent: " in first.stderr
        job.write_text(job.read_text().replace("tokens = 2000", "tokens = 200000"))
        second = run(tmp_path, "run", str(job))
        assert second.returncode == 0, second.stderr
    assert total(tmp_path)["total"]["answered"] == 120


def test_rows_that_search_overspend_no_budget_and_one_too_small_for_any_of_them_says_why(tmp_path):
    with simulator(tmp_path, latency=0.05) as url:
        job = budgeted(tmp_path, url, "{ tokens = 20_000 }", rows=40, prices="")
        job.write_text(job.read_text().replace(PARAMETERS, "parameters = { max_tokens = 60, enable_search = true }\n"))
        first = run(tmp_path, "run", str(job))
        assert sum(sum(tokens) for tokens in billed(url).values()) <= 20_000
        assert (first.returncode, calls(url)) == (4, [])
        assert b"budget_spent: job.budget = 20,000 tokens: 0 tokens spent; the next row may cost 1,000," in first.stderr
        assert b"what the provider searches or runs for it as 1,000,000" in first.stderr
        job.write_text(job.read_text().replace("20_000", "2_100_000"))
        second = run(tmp_path, "run", str(job))
        assert second.returncode == 0, second.stderr
        assert sum(sum(tokens) for tokens in billed(url).values()) <= 2_100_000
    assert total(tmp_path)["total"]["answered"] == 40


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


def shared(tmp_path, url, name, *, rows, cap, per="day", concurrency=50):
    """A job whose workspaces each have a budget of the day, its run beside the others' under runs/."""
    job = write_job(tmp_path, url, rows_of(rows), concurrency=concurrency)
    text = job.read_text().replace('output = "run"', f'name = "{name}"\noutput = "runs/{name}"')
    text = text.replace("[defaults]\n", f"[defaults]\n{PARAMETERS}", 1)
    text = text.replace('_KEY"\n', f'_KEY"\nbudget = [{{ amount = {cap}, per = "{per}" }}, {{ tokens = 10_000_000, per = "month" }}]\n')
    job.rename(tmp_path / f"{name}.toml")
    (tmp_path / f"{name}.toml").write_text(text + PRICES)
    return tmp_path / f"{name}.toml"


def started(tmp_path, job):
    return subprocess.Popen(
        [*BATCHRUN, "run", str(job), "--quiet"], cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def statement(tmp_path, run_directory):
    return json.loads(run(tmp_path, "report", f"runs/{run_directory}", "--json").stdout)["workspaces"]


def test_two_runs_at_once_and_a_kill_in_one_of_them_overspend_no_budget_of_the_day(tmp_path):
    cap = Decimal("0.012")
    with simulator(tmp_path, latency=0.1) as url:
        # Either alone would spend more than the cap: whichever is faster, both are stopped by it.
        jobs = [shared(tmp_path, url, name, rows=2400, cap=cap, concurrency=10) for name in ("a", "b")]
        both = [started(tmp_path, job) for job in jobs]
        # Each has its part of what is spent, however much later than the other it came to its first call.
        while len(calls(url)) < 300 or not all(children.count_of(tmp_path / "runs" / name) for name in ("a", "b")):
            assert all(process.poll() is None for process in both)
            time.sleep(0.05)
        both[0].kill()
        children.ended(both[0])
        again = started(tmp_path, jobs[0])
        for process in (again, both[1]):
            _, said = children.ended(process)
            assert process.returncode == 4, said
            assert b"by other runs" in said
        bill = billed(url)
        later = run(tmp_path, "run", str(jobs[0]))
        assert later.returncode == 4
        assert billed(url) == bill, "a spent budget was called for"
    stated = [statement(tmp_path, name) for name in ("a", "b")]
    row = most(150, 60)
    for workspace, tokens in bill.items():
        totals = [each[workspace]["total"] for each in stated]
        spent = sum(cost(each["input_tokens"], each["output_tokens"]) for each in totals)
        doubt = sum(most(each["in_doubt_input_tokens"], each["in_doubt_output_tokens"]) for each in totals)
        assert spent <= cost(*tokens) <= spent + doubt
        assert spent + doubt <= cap, workspace
        assert spent + doubt > cap - row, "a row more could have been afforded"


def test_lost_books_are_made_again_from_the_ledgers_and_a_later_run_has_what_is_left_of_the_day(tmp_path):
    cap = Decimal("0.004")
    with simulator(tmp_path, latency=0.01) as url:
        first = run(tmp_path, "run", str(shared(tmp_path, url, "first", rows=40, cap=cap)))
        assert first.returncode == 0, first.stderr
        books = tmp_path / "runs" / ".books.json"
        kept = json.loads(books.read_bytes())["runs"]
        second = None
        for damage in (books.unlink, lambda: books.write_text("{")):
            damage()
            second = run(tmp_path, "run", str(shared(tmp_path, url, "second", rows=600, cap=cap)))
            assert second.returncode == 4, second.stderr
            again = json.loads(books.read_bytes())["runs"]
            assert again["first"]["spent"].items() >= {page: each for page, each in kept["first"]["spent"].items() if "day" in page}.items()
        assert second is not None
        assert b"was lost or damaged, and was made again from the ledgers" in second.stderr
        bill = {workspace: cost(*tokens) for workspace, tokens in billed(url).items()}
    assert all(cap - cost(200, 60) < each <= cap for each in bill.values())


def test_a_budget_puts_max_tokens_into_rows_that_set_none(tmp_path):
    with simulator(tmp_path) as url:
        job = write_job(tmp_path, url, [*rows_of(8), {"id": "own", "workspace": "legal", "prompt": "x", "parameters": {"max_tokens": 7}}])
        job.write_text(job.read_text().replace("[defaults]\n", "budget = { tokens = 100_000, max_tokens = 33 }\n[defaults]\n", 1))
        done = run(tmp_path, "run", str(job))
        assert done.returncode == 0, done.stderr
    assert max(entry["usage"]["output_tokens"] for entry in answered(tmp_path)) <= 33
    assert next(entry for entry in answered(tmp_path) if entry["id"] == "own")["usage"]["output_tokens"] <= 7
