"""Forecasts of rows of which none was answered yet: how near they come, and that finding out costs little and calls nobody."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from batchrun.core.jobs.job import Job
from batchrun.core.limits.estimates import Estimate
from batchrun.core.limits.priors import first_output
from batchrun.core.model import Row
from batchrun.edge.source import RowChanged
from batchrun.running.one_run import Wishes, read_statement, run_blocking
from batchrun.running.terms import terms_of
from batchrun.telling.foresight import look_ahead
from batchrun.telling.sampling import sampled, some_of

BEGINS = datetime(2026, 11, 23, 22, 0, tzinfo=UTC)
ENGLISH = "Summarise: the package manager keeps a list of every file it installed. It can tell which package a file came from. "
CHINESE = "总结：软件包管理器保存着它所安装的每个文件的列表。它可以说明一个文件来自哪个软件包。"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def job_of(rows, **tables):
    Path("in.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    whole = {"job": {"input": "in.jsonl", "output": "run"}, "defaults": {"endpoint": "simulator", "model": "qwen-plus"}, **tables}
    whole["simulator"] = {"latency": {"median": 0.0}, **whole.get("simulator", {})}
    return Job.model_validate(whole)


@pytest.mark.parametrize("text", [ENGLISH, CHINESE], ids=["English", "Chinese"])
@pytest.mark.parametrize("most", [None, 20], ids=["any length", "cut"])
def test_the_first_forecast_of_all_against_the_simulator_is_within_a_tenth_of_its_tokens(text, most):
    rows = [{"id": str(number), "workspace": "legal", "prompt": f"{number} {text * (1 + number % 9)}"} for number in range(300)]
    job = job_of(rows, workspaces={"legal": {"parameters": {"max_tokens": most} if most else {}}})
    (lane,) = look_ahead(job, BEGINS, dotenv=None).lanes
    run_blocking(job, Wishes(dotenv=None, page=None))
    total = read_statement(Path("run")).total()
    assert lane.output_tokens == pytest.approx(total.output_tokens, rel=0.1)
    assert lane.input_tokens == pytest.approx(total.input_tokens, rel=0.05)
    assert lane.cost is not None
    assert lane.cost.currency == "CNY"
    assert float(lane.cost.amount) == pytest.approx(float(total.cost["CNY"]), rel=0.1)


def test_no_quota_fault_key_or_empty_account_of_the_simulated_provider_keeps_a_forecast_from_its_answers():
    rows = [{"id": str(number), "workspace": "legal", "prompt": f"{number} {ENGLISH}"} for number in range(300)]
    plain = look_ahead(job_of(rows, workspaces={"legal": {}}), BEGINS, dotenv=None)
    quota = {"qwen-plus": {"rpm": 1, "tpm": 1}}
    simulator = {
        "faults": [{"kind": "unavailable", "rate": 1.0}],
        "workspaces": {"legal": {"wrong_key": True, "in_arrears": True, "models": ["qwen-max"]}},
        "accounts": {"legal": {"quotas": quota, "balance": 0}},
    }
    troubled = look_ahead(job_of(rows, workspaces={"legal": {}}, simulator=simulator), BEGINS, dotenv=None)
    assert "what it answers" in plain.assumed[0]
    assert [(each.input_tokens, each.output_tokens) for each in troubled.lanes] == [
        (each.input_tokens, each.output_tokens) for each in plain.lanes
    ]


def test_of_a_model_that_the_simulator_only_streams_lengths_are_assumed_and_that_is_said():
    rows = [{"id": str(number), "workspace": "legal", "prompt": f"{number} {ENGLISH}"} for number in range(20)]
    told = look_ahead(job_of(rows, workspaces={"legal": {"model": "qwq-plus"}}), BEGINS, dotenv=None)
    assert told.lanes[0].output_tokens == round(20 * first_output("qwq-plus"))
    assert "the model's name" in told.assumed[0]


def test_elsewhere_an_answer_is_taken_to_be_no_longer_than_its_own_row_lets_it_be(monkeypatch):
    monkeypatch.setenv("A_KEY", "sk-fake-a")
    rows = [{"id": str(number), "workspace": "legal", "prompt": ENGLISH, "parameters": {"max_tokens": 7}} for number in range(20)]
    tables = {"endpoint": "http://127.0.0.1:9/v1", "api_key_env": "A_KEY", "parameters": {"max_tokens": 200}}
    (lane,) = look_ahead(job_of(rows, workspaces={"legal": tables}), BEGINS, dotenv=None).lanes
    assert lane.output_tokens == pytest.approx(20 * first_output("qwen-plus", 7), abs=1)
    assert lane.input_tokens == 20 * (len(ENGLISH) / 4 + 5)


TOOL = {"type": "function", "function": {"name": "look_up", "description": ENGLISH * 4, "parameters": {"type": "object"}}}


def test_text_in_parts_is_asked_as_text_is_and_tools_are_asked_besides(monkeypatch):
    monkeypatch.setenv("A_KEY", "sk-fake-a")
    legal = {"endpoint": "http://127.0.0.1:9/v1", "api_key_env": "A_KEY"}

    def asked(content: object, **parameters: object) -> int:
        row = {"workspace": "legal", "messages": [{"role": "user", "content": content}], "parameters": parameters}
        rows = [{"id": str(number), **row} for number in range(20)]
        (lane,) = look_ahead(job_of(rows, workspaces={"legal": legal}), BEGINS, dotenv=None).lanes
        return lane.input_tokens

    plain = asked(ENGLISH * 2)
    assert asked([{"type": "text", "text": ENGLISH}, {"type": "text", "text": ENGLISH}]) == asked([{"text": ENGLISH * 2}]) == plain
    assert asked(ENGLISH * 2, tools=[TOOL]) - plain > 20 * len(ENGLISH)


@pytest.mark.parametrize("said", [-1, 0, True, -(2**63)])
@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_limit_that_is_none_bounds_no_forecast_and_no_estimate(monkeypatch, name, said):
    """Some servers take -1 for no limit: a plan had ended in a traceback, and a run had expected answers of less than nothing."""
    monkeypatch.setenv("A_KEY", "sk-fake-a")
    rows = [{"id": "1", "workspace": "legal", "prompt": ENGLISH, "parameters": {name: said}}]
    tables = {"endpoint": "http://127.0.0.1:9/v1", "api_key_env": "A_KEY"}
    (lane,) = look_ahead(job_of(rows, workspaces={"legal": tables}), BEGINS, dotenv=None).lanes
    assert lane.output_tokens == round(first_output("qwen-plus"))
    assert terms_of("qwen-plus", {name: said}, None).limit is None


class Lines:
    """A source whose rows are made when they are read, and counted."""

    def __init__(self, gone=()):
        self.read_rows: list[int] = []
        self.gone = gone

    def line_bytes(self, _ordinal):
        return 400

    def read(self, ordinal):
        self.read_rows.append(ordinal)
        body = {"model": "qwen-plus", "messages": [{"role": "user", "content": "a" * 320}]}
        return RowChanged("gone") if ordinal in self.gone else Row(str(ordinal), "legal", "qwen-plus", body, "0" * 16, is_plain=True)


def look_at(source, rows, *, lanes=1):
    job = job_of([], workspaces={"legal": {"endpoint": "http://127.0.0.1:9/v1", "api_key_env": "A_KEY"}})
    return sampled(job, job.workspaces_resolved()["legal"], "qwen-plus", source, some_of(source, rows, lanes=lanes), Estimate())


@pytest.mark.parametrize(("lanes", "most"), [(1, 200), (20, 200), (100, 40), (5_000, 8)])
def test_of_a_million_rows_some_hundreds_are_read_from_the_first_to_the_last_and_fewer_where_there_are_many_lanes(lanes, most):
    source = Lines()
    look_at(source, range(1_000_000), lanes=lanes)
    read = source.read_rows
    assert len(read) == most
    assert read == sorted(read)
    assert max(later - earlier for earlier, later in zip([0, *read], [*read, 1_000_000], strict=True)) <= 1_000_000 / most + 1


def test_all_of_a_few_rows_are_read_once():
    source = Lines()
    look_at(source, [3, 5, 8])
    assert source.read_rows == [3, 5, 8]


def test_rows_that_are_gone_are_left_out_and_where_none_is_left_lengths_are_still_assumed():
    assert look_at(Lines(gone={1}), [0, 1, 2]) == look_at(Lines(), [0, 2])
    empty = look_at(Lines(gone={0}), [0])
    assert (empty.lengths.of(400), empty.output) == (400 * Estimate().tokens_a_byte, first_output("qwen-plus"))


TIERS = [{"up_to": 100, "input": 1, "output": 10, "thinking": 40}, {"input": 1000, "output": 10_000, "thinking": 40_000}]
_UNTHINKING = {"enable_thinking": False}
ELSEWHERE = {"endpoint": "http://127.0.0.1:9/v1", "api_key_env": "FAR_KEY"}


@pytest.mark.parametrize(
    ("model", "asked", "output"),
    [
        ("qwen-plus", {}, 10),
        ("qwen-plus", {"enable_thinking": True}, 40),
        ("qwq-plus", {}, 40),
        ("qwen3-8b", {}, 40),
        ("qwen3-8b", {"enable_thinking": False}, 10),
        ("qwen3.6-plus", {}, 40),
    ],
)
def test_before_any_answer_a_row_is_priced_by_its_own_length_and_by_whether_it_makes_the_model_think(monkeypatch, model, asked, output):
    monkeypatch.setenv("FAR_KEY", "sk-fake-far")
    rows = [
        {"id": str(number), "workspace": "legal", "model": model, "prompt": "Hi" if number % 2 else ENGLISH * 20, "parameters": asked}
        for number in range(100)
    ]
    (lane,) = look_ahead(job_of(rows, workspaces={"legal": ELSEWHERE}, prices={model: {"tiers": TIERS}}), BEGINS, dotenv=None).lanes
    assert lane.cost is not None
    # Half of the rows, which have nearly all of the input, are of the dear tier.
    dear = lane.input_tokens / 1_000 + lane.output_tokens / 2 * output / 1_000
    assert float(lane.cost.amount) == pytest.approx(dear, rel=0.02)
