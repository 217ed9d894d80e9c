"""Headers of a job: which may be named, and which of two tables' holds."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from batchrun.core.jobs.job import Job
from batchrun.core.jobs.tables.headers import laid_over

INPUT = {"input": "in.jsonl"}
KEPT = {"X-DashScope-DataInspection": '{"input":"cip","output":"cip"}', "X-DashScope-Wait-Timeout": "30"}


def headers_of(defaults: object = None, legal: object = None) -> dict[str, str]:
    tables = {
        "job": INPUT,
        "defaults": {"headers": defaults or {}},
        "workspaces": {"legal": {"api_key_env": "LEGAL_KEY", "headers": legal or {}}},
    }
    return dict(Job.model_validate(tables).workspaces_resolved()["legal"].headers)


def wrongs_of(**headers: object) -> dict[str, str]:
    with pytest.raises(ValidationError) as caught:
        headers_of(**headers)
    return {".".join(map(str, one["loc"])): one["msg"] for one in caught.value.errors()}


def test_a_workspaces_headers_are_laid_over_the_defaults_whatever_their_case():
    assert headers_of(KEPT) == KEPT
    assert headers_of(KEPT, {"x-dashscope-wait-timeout": "60", "X-Team": "law"}) == {
        "X-DashScope-DataInspection": '{"input":"cip","output":"cip"}',
        "x-dashscope-wait-timeout": "60",
        "X-Team": "law",
    }


def test_an_empty_one_leaves_out_what_the_defaults_say():
    assert headers_of(KEPT, {"X-DASHSCOPE-WAIT-TIMEOUT": ""}) == {"X-DashScope-DataInspection": '{"input":"cip","output":"cip"}'}


@pytest.mark.parametrize(
    ("name", "what"),
    [
        *((name, "no header that batchrun writes itself") for name in ("Host", "content-LENGTH", "Transfer-Encoding", "Accept-Encoding")),
        *(
            (name, "no header that batchrun writes itself")
            for name in ("Idempotency-Key", "X-DashScope-SSE", "X-DashScope-Async", "Expect")
        ),
        *((name, "no header that holds a secret") for name in ("Authorization", "authorization", "Proxy-Authorization", "Cookie")),
        *((name, "no header that holds a secret") for name in ("X-API-Key", "apikey", "X-Gateway-Token", "X-Client-Secret", "X-Auth")),
        *((name, "the name of a header") for name in ("", "X Team", "X-Team:", "X-Tëam", "X-Team\r\nHost", "X" * 101)),
    ],
)
def test_a_key_how_bytes_are_framed_and_what_form_answers_have_are_not_for_headers_of_a_job(name, what):
    for table in ("defaults", "legal"):
        (message,) = wrongs_of(**{table: {name: "v"}}).values()
        assert what in message


@pytest.mark.parametrize("value", ["a\r\nAuthorization: Bearer x", "a\nb", " a", "a ", "\x00", "é", "\ud800", "a" * 2_001])
def test_what_a_header_says_is_visible_and_ends_no_line(value):
    (message,) = wrongs_of(legal={"X-Team": value}).values()
    assert "visible ASCII characters" in message


@pytest.mark.parametrize("value", [30, True, None, ["a"], {"a": "b"}])
def test_what_a_header_says_is_text(value):
    assert wrongs_of(legal={"X-Team": value})


def test_one_name_in_two_spellings_is_told():
    assert "case makes no other" in next(iter(wrongs_of(legal={"X-Team": "a", "x-team": "b"}).values()))


def test_the_workspace_that_calls_are_made_for_is_each_workspaces_own():
    assert headers_of(legal={"X-DashScope-WorkSpace": "ws-1"}) == {"X-DashScope-WorkSpace": "ws-1"}
    (message,) = wrongs_of(defaults={"x-dashscope-workspace": "ws-1"}).values()
    assert "each names its own under [workspaces.NAME]" in message


def test_what_looks_like_a_key_is_never_shown():
    fake = "sk-" + "f" * 32
    assert fake not in str(wrongs_of(legal={"X-Team": fake}))


@given(st.dictionaries(st.text(max_size=30), st.text(max_size=30), max_size=4))
def test_no_header_that_is_taken_can_be_another_or_begin_a_line(headers):
    try:
        taken = headers_of(headers)
    except ValidationError:
        return
    for name, value in taken.items():
        assert re.fullmatch(r"[!-9;-~]+: [ -~]+", f"{name}: {value}")
        assert name.lower() not in {"authorization", "host", "content-length", "transfer-encoding", "cookie"}


def test_laid_over_keeps_what_is_only_below():
    assert laid_over({}, {"A": "1"}) == {"A": "1"}
    assert laid_over({"a": ""}, {"A": "1", "B": ""}) == {}
