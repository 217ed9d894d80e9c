"""What batchrun itself says of failures, parks and lines that are no row stands on a Chinese page in Chinese; a provider's words stay."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from decimal import Decimal

import pytest
from pydantic import SecretStr

from batchrun.core.jobs.job import Job
from batchrun.core.ledger.statement import Statement
from batchrun.core.model import Failure, Money, Scope, Usage
from batchrun.core.money.budget import Cap, Lack, Purse, broke
from batchrun.core.money.periods import Period
from batchrun.core.protocols import failures
from batchrun.core.protocols.error_body import refusal
from batchrun.core.protocols.mishaps import MISHAPS, mishap
from batchrun.core.rows.answers import Schema, _judged, _unfit_call
from batchrun.core.rows.parts import Medium
from batchrun.core.rows.reasons import ALONE, HINTS, Reasons, told
from batchrun.core.rows.routes import NoRoute, route
from batchrun.core.rows.rows import NotARow
from batchrun.core.scheduling.billed import given_up
from batchrun.core.scheduling.judging import SAME_REJECTION_PARKS
from batchrun.core.scheduling.scheduler import ParkedScope
from batchrun.edge.environment import Missing, read_keys
from batchrun.edge.media import _ADVICE, _PASSES, MediaRoot
from batchrun.report.page.chinese import chinese, worded
from batchrun.running.budgets import with_what_is_left
from batchrun.running.parks import held_scopes, parks_before_any_call
from tests.core.rows.test_patterns import SLOW, TEXT, refused
from tests.core.rows.test_rows import NOT_ROWS, read

_ENGLISH = re.compile(r"\b(?:the|is|are|and|it|was)\b")
"""Words that stand in no name of a key or a command, and in none of the tests' own."""


def in_chinese(text: str) -> str:
    said = chinese(text)
    assert said is not None, text
    assert not _ENGLISH.search(said), said
    return said


@pytest.mark.parametrize("code", MISHAPS)
def test_every_mishap_is_told_in_chinese_with_what_to_do(code):
    failure = mishap(code, in_doubt=False)
    in_chinese(failure.message)
    in_chinese(failure.advice)
    assert chinese(f"{failure.message} (a detail: 127.0.0.1:9)") == f"{in_chinese(failure.message)}（a detail: 127.0.0.1:9）"
    in_chinese(f"nothing but failures for 120 minutes, whatever the row: {failure.advice}")


@pytest.mark.parametrize("code", ["total_timeout", "read_timeout", "half_body"])
@pytest.mark.parametrize("calls", [1, 3])
def test_a_row_that_is_given_up_for_what_its_calls_may_have_cost_is_told_in_chinese(code, calls):
    failure = mishap(code, in_doubt=True)
    told = given_up(failure, calls)
    assert in_chinese(told.message) == f"{calls} 次可能已计费的调用之后放弃：{in_chinese(failure.message)}"
    in_chinese(told.advice)
    assert chinese(given_up(replace(failure, message="The provider's words."), calls).message, 2)


def test_an_answer_that_says_nothing_and_a_first_lane_of_rejections_are_told_in_chinese():
    silent = failures.located(failures.classify(404, None, ""), "https://host.test/v1")
    assert in_chinese(silent.message) == "endpoint 返回了 404，没有任何说明（调用地址：https://host.test/v1）"
    moved = failures.located(refusal(307, {"location": "https://host.test/v2"}, b""), "http://host.test/v1")
    assert in_chinese(moved.message) == "endpoint 返回了 307，重定向到 https://host.test/v2（调用地址：http://host.test/v1）"
    in_chinese(moved.advice)
    assert in_chinese(f'is "qwen-plus" meant? {moved.advice}') == f"是否指“qwen-plus”？{in_chinese(moved.advice)}"
    page = failures.located(replace(mishap("html", in_doubt=True), message="the answer is a web page: Sign in (A)"), "http://host.test/v1")
    assert in_chinese(page.message) == "回答是一个网页：Sign in (A)（调用地址：http://host.test/v1）"
    rejected = failures.classify(400, "InvalidParameter", "wrong")
    in_chinese(f"the first {SAME_REJECTION_PARKS} answers were all this: {rejected.advice}; then run with --retry-rejected")
    said = "Requests rate limit exceeded (the provider's own words), please try again later."
    assert chinese(said) is None
    assert "Requests rate limit exceeded" in worded(said, "zh", 200)


def test_what_is_cut_is_cut_in_both_languages():
    long = mishap("dns", "x" * 500, in_doubt=False).message
    shown = worded(long, "zh", 200)
    assert shown.count("…") == 3, "what is shown, and both languages that may be"
    assert "无法解析" in shown


def test_what_parks_before_any_call_is_told_in_chinese(tmp_path):
    (tmp_path / ".env").write_text("EMPTY=\n")
    (tmp_path / "other.env").write_text("no_such_key=sk-fake\n")
    (tmp_path / "folder.env").mkdir()
    tables = {"api_key_env": "NO_SUCH_KEY", "endpoint": "http://127.0.0.1:9/v1", "model": "qwen-plus"}
    listed = {**tables, "api_key_env": "SOME_KEY", "models": ["qwen-plus"]}
    job = Job.model_validate(
        {"job": {"input": "in.jsonl"}, "workspaces": {"hr": tables, "it": {**tables, "api_key_env": "EMPTY"}, "legal": listed}}
    )
    workspaces = job.workspaces_resolved()
    for dotenv in (None, *(tmp_path / name for name in (".env", "none.env", "other.env", "folder.env"))):
        keys = read_keys(workspaces.values(), {"SOME_KEY": "sk-fake"}, dotenv)
        lanes = [("hr", "qwen-plus"), ("it", "qwen-plus"), ("legal", "qwen-pluss"), ("legal", "deepseek-v3")]
        for _, _, failure in parks_before_any_call(workspaces, keys, lanes):
            in_chinese(failure.message)
            in_chinese(failure.advice)
    both = read_keys(workspaces.values(), {"SOME_KEY": "sk-fake", "EMPTY": ""}, tmp_path / ".env")
    assert isinstance(both["it"], Missing)
    in_chinese(parks_before_any_call(workspaces, {**both, "legal": SecretStr("sk-fake")}, [("it", "qwen-plus")])[0][2].advice)


def test_rows_that_are_held_for_a_person_are_told_in_chinese():
    for each in held_scopes({"legal": 3}):
        in_chinese(each.failure.message)
        in_chinese(each.failure.advice)


def test_a_model_without_a_route_is_told_in_chinese():
    finance = {"model": "qwen-plus", "endpoint": "finance", "api_key_env": "A_KEY"}
    endpoint = Job.model_validate({"job": {"input": "x"}, "workspaces": {"a": finance}}).workspaces_resolved()["a"].endpoint
    for way in (route(endpoint, "dashscope", "qwen-vl-plus"), route(endpoint, None, "qwen-audio-turbo")):
        assert isinstance(way, NoRoute)
        in_chinese(mishap("no_route", way.reason, in_doubt=False).message)


def test_a_budget_that_is_spent_is_told_in_chinese():
    purse = Purse(Cap("workspaces.legal.budget", Decimal(20), "CNY"))
    page = purse.page(0)
    page.spent = Decimal("19.98")
    monthly = replace(purse, cap=replace(purse.cap, period=Period("month", "UTC")))
    lacks = [Lack(each, page, price, asked) for each in (purse, monthly) for price in (None, Decimal("0.05")) for asked in (0, 20_000_000)]
    lacks += [replace(lack, answered=33_168) for lack in lacks]
    page.others = Decimal(3)
    statement = Statement("run", "job")
    statement.lane("legal", "qwen-plus").add_usage(Usage(300, 100), Money("CNY", Decimal("0.5")))
    statement.lane("legal", "qwen-plus").answered = 1
    for failure in [broke(lack, "qwen-plus") for lack in lacks]:
        assert "workspaces.legal.budget" in in_chinese(failure.message)
        in_chinese(failure.advice)
        for rows in (1, 1200):
            left = with_what_is_left(ParkedScope(Scope.LANE, "legal qwen-plus", failure, rows), statement).failure
            assert in_chinese(left.message).startswith(in_chinese(failure.message))
    page.others = Decimal(0)
    assert in_chinese(broke(lacks[2], "qwen-plus").message).startswith("workspaces.legal.budget = 20 CNY：已花费 19.98 CNY；")
    page.in_doubt = Decimal(12)
    assert "：已花费 19.98 CNY，其中存疑的调用最多 12 CNY；" in in_chinese(broke(lacks[2], "qwen-plus").message)
    page.others = Decimal(3)
    assert "：已花费 22.98 CNY，其中其他运行 3 CNY，其中存疑的调用最多 12 CNY；" in in_chinese(broke(lacks[2], "qwen-plus").message)
    page.others_hold = Decimal(1)
    spent = "：已花费 21.98 CNY，其中其他运行 2 CNY，其中存疑的调用最多 12 CNY，另有 1 CNY 由其他运行为其调用预留；"
    assert spent in in_chinese(broke(lacks[2], "qwen-plus").message)
    page.others_hold, page.in_doubt = Decimal(3), Decimal(0)
    assert "：已花费 19.98 CNY，另有 3 CNY 由其他运行为其调用预留；" in in_chinese(broke(lacks[2], "qwen-plus").message)


@pytest.mark.parametrize(
    "content",
    [b"", b"nothing that is known", b"\0\0\0\x18ftypisom", b"\x89PNG\r\n\x1a\n" + bytes(9 << 20)],
    ids=["empty", "odd", "film", "large"],
)
def test_a_medium_that_cannot_be_sent_is_told_in_chinese(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    os.mkfifo(tmp_path / "pipe")
    for path in ("a.png", "no.png", "pipe", ".", "a.png\0", "/etc/hostname"):
        failure = MediaRoot(tmp_path).read(Medium("image", path), tmp_path)
        assert isinstance(failure, Failure)
        assert in_chinese(failure.message).startswith("图片 '")
    for advice in (*_ADVICE.values(), _PASSES):
        in_chinese(advice)


def test_an_answer_that_does_not_fit_is_told_in_chinese_where_batchrun_says_why():
    for content in ("", "{", "[" * 300 + "]" * 300):
        in_chinese(_judged(Schema({}), content)[0][0])
    for call in ({}, {"function": {"name": "f", "arguments": "{"}}):
        in_chinese(_unfit_call(call) or "")
    unfinished, _ = refused({"pattern": SLOW}, f'"{TEXT}"')
    assert in_chinese(unfinished.message) == f"未能及时判定其是否符合：pattern {SLOW!r}"
    in_chinese(unfinished.advice)


@pytest.mark.parametrize("kind", NOT_ROWS)
def test_every_reason_why_a_line_is_no_row_is_told_in_chinese(kind):
    found = read(NOT_ROWS[kind][0])
    assert isinstance(found, NotARow)
    reasons = Reasons()
    for line in (3, 5):
        reasons.add("rows.jsonl", line, found.reason)
    once, often = Reasons(), [*told(3, reasons.most_frequent(), ["legal"])]
    once.add("rows.jsonl", 3, found.reason)
    for said in (*map(str, once.most_frequent()), *often):
        # What the reader of JSON complains of stays as it says it.
        assert chinese(said) is not None, said
    assert chinese(found.reason) is not None


def test_what_would_help_many_lines_is_told_in_chinese():
    for hint in HINTS:
        assert chinese(hint) is not None, hint
    for said in ("id 'a' stands already at rows.jsonl line 7", "a line of 9,000 bytes: at most 100 may be", "7 more for other reasons"):
        in_chinese(said)
    in_chinese("the job's workspaces are legal, hr and 30 more")
    assert chinese(ALONE) is not None


def test_what_the_rows_that_a_budget_leaves_would_come_to_is_told_in_chinese_as_a_run_says_it_and_as_earlier_ones_did():
    spent = "workspaces.hr.budget = 9 tokens: 8 tokens spent; the next row may cost 2 tokens; the 7 rows left would come to about 70 tokens"
    assert in_chinese(spent).endswith("剩余的 7 行预计约为 70 tokens")
    told = in_chinese(f"{spent}, if they are like those before: batchrun plan looks at them")
    assert told.endswith("剩余的 7 行若与此前各行相似，预计约为 70 tokens（batchrun plan 会逐行查看）")


def test_no_pattern_takes_long_over_a_text_of_anybody():
    for text in ("the (", "a; then run ", "a = b: c spent; ", "1 lines, the first a, line 1: ", "usually passes: a; if "):
        assert chinese(text * (1000 // len(text))) is None
