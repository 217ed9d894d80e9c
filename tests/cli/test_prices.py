"""`batchrun prices`: the shipped list, and what applies in a job."""

from __future__ import annotations

import json

from click.testing import CliRunner

from batchrun.cli.prices import prices

JOB = """
[job]
input = "rows.jsonl"
[accounts.main]
discounts = { qwen-max = 0.25 }
[prices."own-model"]
currency = "USD"
tiers = [{ up_to = 1000, input = 0.1, output = 2 }, { input = 0.3, output = 4 }]
[workspaces.legal]
endpoint = "simulator"
account = "main"
models = ["qwen-max", "own-model", "nobodys"]
"""


def told(*arguments):
    done = CliRunner().invoke(prices, arguments)
    assert done.exit_code == 0, done.output
    return done


def test_the_shipped_list_says_what_a_tier_costs_and_where_that_is_from():
    lines = told("--model", "qwen-plus").stdout.splitlines()
    assert lines[2].split() == ["qwen-plus", "cn", "2025-03-01", "131,072", "0.8", "CNY", "2", "8"]
    assert lines[3].split() == ["262,144", "2.4", "CNY", "20", "24"]
    assert any(line.startswith("CNY, cn: Model Studio") for line in lines)


def test_in_a_job_its_own_prices_and_discounts_apply_and_only_its_models(tmp_path):
    (tmp_path / "job.toml").write_text(JOB)
    rows = json.loads(told(str(tmp_path / "job.toml"), "--json").stdout)
    assert [(row["model"], row["currency"], row["discount"]) for row in rows] == [("own-model", "USD", "0"), ("qwen-max", "CNY", "0.25")]
    assert rows[0]["tiers"][1] == {"up_to": None, "input": "0.3", "output": "4", "thinking": None}
    text = told(str(tmp_path / "job.toml")).stdout
    assert "25.00%" in text
    assert "the job file" in text


def test_a_model_without_a_price_is_named():
    assert "nobodys has no known price" in told("--model", "nobodys").stderr
