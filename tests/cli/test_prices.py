"""`batchrun prices`: the shipped list, and what applies in a job."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from batchrun.cli.prices import prices
from batchrun.core.errors import JobError

TABLE = Path(__file__).parent.parent / "core" / "money" / "litellm_prices.json"

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
    assert lines[2].split() == ["qwen-plus", "cn", "2025-03-01", "0.8", "CNY", "2"]
    assert lines[3].split() == ["qwen-plus", "cn", "2026-04-01", "128,000", "0.8", "CNY", "2", "8"]
    assert lines[4].split() == ["256,000", "2.4", "CNY", "20", "24"]
    assert "prices are for a million tokens" in lines
    assert "CNY, cn: Model Studio, page on models, about 2025-03" in lines
    assert "USD, intl: Model Studio, page on prices, about 2026-04; dollars by division; to the cent" in lines


def test_in_a_job_its_own_prices_and_discounts_apply_and_only_its_models(tmp_path):
    (tmp_path / "job.toml").write_text(JOB)
    rows = json.loads(told(str(tmp_path / "job.toml"), "--json").stdout)
    assert [(row["model"], row["currency"], row["discount"]) for row in rows] == [("own-model", "USD", "0"), ("qwen-max", "CNY", "0.25")]
    assert rows[0]["tiers"][1] == {"up_to": None, "input": "0.3", "output": "4", "thinking": None}
    text = told(str(tmp_path / "job.toml")).stdout
    assert "25.00%" in text
    assert "the job file" in text


def test_what_caches_and_sounds_and_pictures_cost_stands_beneath_the_price_that_is_not_theirs(tmp_path):
    lines = told("--model", "qwen3-omni-flash").stdout.splitlines()
    assert lines[2].split() == ["qwen3-omni-flash", "cn", "2026-04-01", "1.8", "CNY", "6.9"]
    assert lines[3] == "    audio_input 15.8, image_input 3.3, output_of_media 12.7, audio_output 62.6"
    caches = JOB.replace("output = 2 }", "output = 2, cached = 0.07, cache_write = 0 }").replace('"USD"', '"USD"\nimage_input = 0.9')
    (tmp_path / "job.toml").write_text(caches)
    lines = told(str(tmp_path / "job.toml"), "--model", "own-model").stdout.splitlines()
    assert [line.split()[0] for line in lines[2:6]] == ["own-model", "cached", "0.3", "image_input"]
    assert lines[3] == "    cached 0.07, cache_write 0"
    assert lines[5] == "    image_input 0.9"


def test_a_price_that_begins_later_is_told_with_its_day_and_not_as_none(tmp_path):
    (tmp_path / "job.toml").write_text(JOB.replace('currency = "USD"', 'currency = "USD"\nsince = 2999-01-01'))
    done = told(str(tmp_path / "job.toml"), "--model", "own-model", "--model", "nobodys")
    assert done.stderr.splitlines() == [
        "note: own-model has no known price in this job yet: the first begins to hold on 2999-01-01",
        "note: nobodys has no known price in this job; [prices] can give it one",
    ]


IMPORTED = """
[job]
input = "rows.jsonl"
prices = "singapore.toml"
[prices."qwen-plus"]
tiers = { input = 7, output = 8 }
[workspaces.legal]
endpoint = "intl"
api_key_env = "LEGAL_KEY"
models = ["qwen-plus", "qwen3.7-max", "qwen3.8-flash"]
[workspaces.sales]
endpoint = "simulator"
models = ["qwen3.7-max", "qwen-max"]
"""


def test_prices_taken_in_from_another_table_hold_in_a_job_that_names_them_where_they_are_charged(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = told("import", "--litellm", str(TABLE), "--since", "2026-10-01")
    (tmp_path / "singapore.toml").write_text(done.stdout)
    (tmp_path / "job.toml").write_text(IMPORTED)
    rows = json.loads(told("job.toml", "--json").stdout)
    assert [(row["model"], row["region"], row["currency"], row["tiers"][0]["input"]) for row in rows] == [
        ("qwen-max", "cn", "CNY", "2.4"),
        ("qwen-plus", None, "CNY", "7"),
        ("qwen3.7-max", "intl", "USD", "2.5"),
        ("qwen3.8-flash", "intl", "USD", "0.15"),
    ]
    assert rows[2]["tiers"][0] | {"cached": "0.5", "cache_hit": "0.25", "cache_write": "3.125"} == rows[2]["tiers"][0]
    assert rows[2]["since"] == "2026-10-01"
    assert rows[2]["source"].startswith("LiteLLM's table")


CONTRACT = """
[prices."qwen-max"]
tiers = { input = 3, output = 12 }
[[prices."qwen-plus"]]
since = 2026-01-01
source = "our contract"
tiers = { input = 1, output = 2 }
[[prices."qwen-plus"]]
since = 2026-02-01
tiers = { input = 1, output = 3 }
"""


def with_contract(tmp_path, monkeypatch, contract=CONTRACT):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "contract.toml").write_text(contract)
    (tmp_path / "job.toml").write_text(IMPORTED.replace("singapore.toml", "contract.toml"))


def test_a_price_says_which_file_it_is_from_unless_that_tells_more(tmp_path, monkeypatch):
    with_contract(tmp_path, monkeypatch, CONTRACT.replace("qwen-plus", "qwen3.7-max"))
    rows = json.loads(told("job.toml", "--json").stdout)
    assert {(row["model"], row["source"]) for row in rows if row["region"] is None} == {
        ("qwen-max", "contract.toml"),
        ("qwen3.7-max", "contract.toml"),
        ("qwen-plus", "the job file"),
    }


def placed(region, price, model="qwen-plus"):
    return f'[[prices."{model}"]]\n{f"region = {region!r}" if region else ""}\ntiers = {{ input = {price}, output = 9 }}\n'


def of_both(own):
    job = IMPORTED.replace('"singapore.toml"', '["beijing.toml", "singapore.toml"]')
    return re.sub(r'\[prices\."qwen-plus"\]\n.*\n', own, job)


@pytest.mark.parametrize(
    ("first", "second", "own", "told_of"),
    [
        (placed("cn", 1), placed("intl", 2), "", {"cn": "1", "intl": "2"}),
        (placed("cn", 1), "", placed("intl", 3), {"cn": "1", "intl": "3"}),
        (placed("cn", 1) + placed("intl", 4), placed("intl", 2), "", {"cn": "1", "intl": "2"}),
        (placed("cn", 1), placed("intl", 2), placed(None, 3), {None: "3"}),
        (placed("cn", 1), placed(None, 2), "", {None: "2"}),
        (placed(None, 1), placed("intl", 2), "", {None: "1", "intl": "2"}),
        (placed(None, 1).replace("tiers", "since = 2026-06-01\ntiers"), placed("intl", 2), "", {"cn": "0.8", "intl": "2"}),
    ],
)
def test_prices_of_one_place_leave_those_of_another_in_a_file_before_them(tmp_path, monkeypatch, first, second, own, told_of):
    """Beijing's had been dropped for Singapore's, and calls reckoned at the shipped prices."""
    monkeypatch.chdir(tmp_path)
    for name, content in {"beijing": first, "singapore": second or "[prices]"}.items():
        (tmp_path / f"{name}.toml").write_text(content)
    (tmp_path / "job.toml").write_text(of_both(own).replace('["qwen3.7-max", ', '["qwen-plus", '))
    rows = json.loads(told("job.toml", "--json", "--model", "qwen-plus").stdout)
    assert {row["region"]: row["tiers"][0]["input"] for row in rows} == told_of


def test_a_mistake_among_prices_of_several_files_is_told_of_its_own_with_its_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "beijing.toml").write_text("\n" + placed("cn", 1).replace("output", "ouput"))
    (tmp_path / "singapore.toml").write_text(placed("us", 1) + placed("intl", -2))
    own = '[prices."qwen-plus"]\nregion = "hongkong"\ntiers = { input = "x", output = 1 }\n'
    (tmp_path / "job.toml").write_text(of_both(own))
    error = CliRunner().invoke(prices, ["job.toml"]).exception
    assert isinstance(error, JobError)
    assert {(each.where, each.line) for each in error.mistakes} >= {
        ("beijing.toml: prices.qwen-plus[0].tiers.ouput", 4),
        ("singapore.toml: prices.qwen-plus[1].tiers.input", 6),
        ("job.toml: prices.qwen-plus.tiers.input", 7),
    }


def test_a_mistake_in_a_file_of_prices_is_told_of_that_file_with_its_line(tmp_path, monkeypatch):
    """It was told of the job file, in which no such table stands."""
    with_contract(tmp_path, monkeypatch, CONTRACT.replace("qwen-plus", "qwen3.7-max").replace("output = 3", "ouput = 3"))
    error = CliRunner().invoke(prices, ["job.toml"]).exception
    assert isinstance(error, JobError)
    assert str(error).startswith("job.toml: 2 mistakes; nothing was called")
    assert [(each.where, each.line) for each in error.mistakes] == [
        ('contract.toml: prices."qwen3.7-max"[1].tiers.output', 10),
        ('contract.toml: prices."qwen3.7-max"[1].tiers.ouput', 10),
    ]


def test_what_is_not_taken_and_what_differs_is_told_with_its_reason():
    said = told("import", "--litellm", str(TABLE)).stderr
    assert "13 models taken, 2 entries left" in said
    assert "left: qwen3-tts-flash: it is no chat model: audio_speech" in said
    assert "differs: qwen3-max: tier 3: input up to: 252,000, shipped 256,000 (another reading, of another day)" in said
    only = told("import", "--litellm", str(TABLE), "--model", "qwen3.7-max")
    assert only.stdout.count("[[prices.") == 1


@pytest.mark.parametrize("content", ["no json", "[]", '{"gpt": {}}', None])
def test_a_file_that_is_no_such_table_is_refused(tmp_path, content):
    file = tmp_path / "table.json"
    if content is not None:
        file.write_text(content)
    done = CliRunner().invoke(prices, ["import", "--litellm", str(file)])
    assert isinstance(done.exception, JobError)
    assert "table.json" in str(done.exception)


@pytest.mark.parametrize("content", ["[prices]\n[job]\n", "prices = 3", "[[prices"])
def test_a_file_of_prices_that_holds_something_else_is_refused(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "singapore.toml").write_text(content)
    (tmp_path / "job.toml").write_text(IMPORTED)
    done = CliRunner().invoke(prices, ["job.toml"])
    assert isinstance(done.exception, JobError)
    assert "singapore.toml" in str(done.exception)


def test_a_file_of_prices_that_is_not_there_is_told_with_who_names_it_and_where_it_was_looked_for(tmp_path, monkeypatch):
    """The job file beside it had been offered in its place."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "job.toml").write_text(IMPORTED)
    done = CliRunner().invoke(prices, ["job.toml"])
    where = f"it was looked for in {tmp_path}, where the command was run"
    assert str(done.exception) == f"job.toml: job.prices: singapore.toml: no such file; {where}"


def test_a_model_without_a_price_is_named_with_the_one_that_was_probably_meant_and_no_empty_table_is_drawn(tmp_path):
    done, where = told("--model", "nobodys", "--model", "qwen-plsu"), "has no known price; batchrun prices lists the models that have one"
    assert done.stderr.splitlines() == [f"note: nobodys {where}", f'note: qwen-plsu {where}: is "qwen-plus" meant?']
    assert done.stdout == ""
    (tmp_path / "job.toml").write_text(JOB)
    slip = told(str(tmp_path / "job.toml"), "--model", "own-modle").stderr
    assert slip == 'note: own-modle has no known price in this job; [prices] can give it one: is "own-model" meant?\n'


def test_models_that_a_job_names_and_that_nobody_knows_a_price_of_are_named_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("job.toml").write_text(
        '[job]\ninput = "rows.jsonl"\n[defaults]\nmodel = "qwen-plus"\nendpoint = "http://127.0.0.1:8080/v1"\n'
        '[workspaces.legal]\napi_key_env = "K"\nmodels = ["qwen-plus", "ours", "nobodys"]\n'
        "[prices.ours]\ntiers = { input = 1, output = 2 }\n"
    )
    assert told("job.toml").stderr.splitlines() == [
        "note: nobodys has no known price in this job; [prices] can give it one",
        "note: qwen-plus has no known price in this job: those that are shipped hold in cn, intl; [prices] can give it one",
    ]


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_a_job_whose_rows_name_their_models_and_where_no_price_applies_is_told_so(tmp_path, arguments):
    job = tmp_path / "job.toml"
    job.write_text('[job]\ninput = "rows.jsonl"\n[defaults]\nendpoint = "http://127.0.0.1:8000/v1"\n')
    done = told(str(job), *arguments)
    assert done.stdout.strip() in ("", "[]")
    assert done.stderr == (
        "note: no price applies where this job calls: those that are shipped hold in cn, intl; [prices] can give its models some\n"
    )
