"""What stands in an outcome's line, in both forms."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import orjson
import pytest

from batchrun.core.ledger.entry import Entry
from batchrun.core.ledger.entry_reading import read_entry
from batchrun.core.ledger.entry_writing import write_entry
from batchrun.core.model import Answered, Exhausted, Money, Rejected, Usage
from tests.core.ledger.outcomes import CALL, FAILURE, REPLY, ROW, TOKENS, USAGE, fields_of, own, refusing


def test_an_answered_entry_tells_the_answer_and_its_call():
    assert fields_of(Answered(ROW, REPLY, CALL)) == {
        "id": "行-1",
        "workspace": "法务",
        "model": "qwen-plus",
        "content": "答案",
        "finish_reason": "stop",
        "usage": {"input_tokens": 7, "output_tokens": 3, "cached_tokens": 2, "reasoning_tokens": 1, "raw": {"prompt_tokens": 7}},
        "request_id": "r-1",
        "attempt": "3-17",
        "attempts": 2,
        "started_at": "2023-11-14T22:13:20.250+00:00",
        "latency_ms": 1234,
        "cost": None,
        "digest": "0123456789abcdef",
        "metadata": {"项目": "q3"},
    }


def test_a_failed_entry_tells_the_failure_and_its_advice():
    told = fields_of(Rejected(ROW, FAILURE, None))
    assert told["failure"] == {
        "fault": "reject",
        "code": "InvalidParameter",
        "message": "the provider's words",
        "advice": "mend the row",
        "status": 400,
        "request_id": "r-2",
        "in_doubt": False,
    }
    assert (told["outcome"], told["attempt"], told["attempts"]) == ("rejected", None, 0)
    assert "usage" not in told
    read = Entry("行-1", "法务", "qwen-plus", "rejected", ROW.digest, None, None, code="InvalidParameter", metadata=ROW.metadata)
    read = read._replace(status=400, message="the provider's words", advice="mend the row")
    assert read_entry(orjson.dumps(told)) == read


def test_an_openai_batch_line_is_what_a_reader_of_batch_results_expects():
    told = fields_of(Answered(ROW, REPLY, CALL), "openai-batch")
    assert {name: told[name] for name in ("id", "custom_id", "response", "error")} == {
        "id": "batch_req_r-1",
        "custom_id": "行-1",
        "response": {"status_code": 200, "request_id": "r-1", "body": {"id": "chatcmpl-1"}},
        "error": None,
    }
    failed = fields_of(Rejected(ROW, FAILURE, CALL), "openai-batch")
    error = {"code": "InvalidParameter", "message": "the provider's words"}
    assert failed["response"] == {"status_code": 400, "request_id": "r-2", "body": {"error": error}}
    assert failed["error"] == error
    unsent = fields_of(Rejected(ROW, replace(FAILURE, status=None, request_id=None), None), "openai-batch")
    assert (unsent["id"], unsent["response"]) == ("batch_req_行-1", None)


OF_CALL = {"attempt": "3-17", "attempts": 2, "started_at": "2023-11-14T22:13:20.250+00:00", "latency_ms": 1234}
OF_ROW = {"digest": "0123456789abcdef", "metadata": {"项目": "q3"}}
PRICED = Money("CNY", Decimal("0.5"))


def test_what_a_resume_and_the_statement_need_stands_beside_an_openai_batch_line_in_the_own_object():
    answered = orjson.loads(write_entry(Answered(ROW, REPLY, CALL), "openai-batch", raw=False, cost=PRICED))
    assert answered["batchrun"] == {
        "workspace": "法务",
        "model": "qwen-plus",
        "outcome": "answered",
        "usage": TOKENS,
        **OF_CALL,
        **OF_ROW,
        "cost": {"currency": "CNY", "amount": "0.5"},
    }
    billed = replace(FAILURE, usage=USAGE, in_doubt=True)
    for kind, outcome in ((Rejected, "rejected"), (Exhausted, "exhausted")):
        assert fields_of(kind(ROW, billed, CALL), "openai-batch")["batchrun"] == {
            "workspace": "法务",
            "model": "qwen-plus",
            "outcome": outcome,
            "usage": TOKENS,
            **OF_CALL,
            **OF_ROW,
            "cost": None,
            "failure": {
                "fault": "reject",
                "code": "InvalidParameter",
                "message": "the provider's words",
                "advice": "mend the row",
                "status": 400,
                "request_id": "r-2",
                "in_doubt": True,
            },
        }


RICH = replace(REPLY, reasoning="so", tool_calls=[{"a": 1}], choices=[{"b": 2}], parsed={"label": "a"}, first_token_ms=77, answered_by="q")
RICH = replace(RICH, search_info={"search_results": [{"title": "t"}]})
OF_RICH = {
    "reasoning": "so",
    "tool_calls": [{"a": 1}],
    "choices": [{"b": 2}],
    "parsed": {"label": "a"},
    "first_token_ms": 77,
    "answered_by": "q",
    "search_info": {"search_results": [{"title": "t"}]},
}


def test_whatever_an_answer_brought_stands_in_its_entry_answered_or_refused():
    answered = fields_of(Answered(ROW, RICH, CALL))
    refused = fields_of(Rejected(ROW, replace(refusing(RICH), status=200), CALL))
    for told in (answered, refused):
        assert told.items() >= OF_RICH.items()
        assert (told["content"], told["finish_reason"], told["request_id"], told["usage"]) == ("答案", "stop", "r-1", TOKENS)
    read = read_entry(write_entry(Answered(ROW, RICH, CALL), "openai-batch", raw=False))
    assert (read.first_token_ms, read.latency_ms) == (77, 1234)


@pytest.mark.parametrize("form", ["batchrun", "openai-batch"])
def test_what_only_some_answers_have_is_told_only_of_them(form):
    plain = own(fields_of(Answered(ROW, REPLY, CALL), form))
    assert plain.keys().isdisjoint({*OF_RICH})
    assert plain["usage"].keys() == {"input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "raw"}
    seeing = replace(REPLY, usage=Usage(900, 3, image_tokens=880, searches=1), parsed={"label": ["a"]}, first_token_ms=0, answered_by="q")
    told = own(fields_of(Answered(ROW, seeing, CALL), form))
    assert (told["parsed"], told["first_token_ms"], told["answered_by"]) == ({"label": ["a"]}, 0, "q")
    assert (told["usage"]["image_tokens"], told["usage"]["searches"]) == (880, 1)
    assert "audio_tokens" not in told["usage"]


@pytest.mark.parametrize("form", ["batchrun", "openai-batch"])
def test_the_providers_body_is_kept_when_asked_for_and_always_in_batch_lines(form):
    for raw in (False, True):
        told = fields_of(Answered(ROW, REPLY, CALL), form, raw=raw)
        body = told["response"]["body"] if form == "openai-batch" else told.get("response")
        assert body == ({"id": "chatcmpl-1"} if raw or form == "openai-batch" else None)


def test_an_answer_without_a_body_tears_no_line():
    for form in ("batchrun", "openai-batch"):
        assert read_entry(write_entry(Answered(ROW, replace(REPLY, body=b""), CALL), form, raw=True)).usage == USAGE


@pytest.mark.parametrize(
    ("output", "choices"),
    [
        ({"choices": [{"message": {"role": "assistant", "content": [{"text": "答"}, {"text": "案"}]}, "finish_reason": "stop"}]}, ["答案"]),
        ({"text": "答案", "finish_reason": "stop"}, ["答案"]),
        ({"choices": [{"message": {"content": each}, "finish_reason": "stop"} for each in ("答案", None)]}, ["答案", None]),
        ({"choices": [{"message": {"content": ["no part", {"text": "答案"}]}, "finish_reason": "stop"}]}, ["答案"]),
    ],
)
def test_a_native_answer_reads_as_any_other_in_an_openai_batch_line(output, choices):
    """Whoever reads batch results looks for choices, and for usage by its names."""
    native = {"output": output, "usage": {"input_tokens": 7, "output_tokens": 3}, "request_id": "r-1"}
    line = fields_of(Answered(ROW, replace(REPLY, body=orjson.dumps(native)), CALL), "openai-batch", raw=True)
    body = line["response"]["body"]
    assert [choice["message"]["content"] for choice in body["choices"]] == choices
    assert [(each["index"], each["finish_reason"], each["message"]["role"]) for each in body["choices"]] == [
        (number, "stop", "assistant") for number in range(len(choices))
    ]
    assert (body["id"], body["object"], body["model"], body["created"]) == ("chatcmpl-r-1", "chat.completion", "qwen-plus", 1_700_000_001)
    assert (body["usage"]["prompt_tokens"], body["usage"]["completion_tokens"], body["usage"]["total_tokens"]) == (7, 3, 10)
    assert line["batchrun"]["response"] == native
    assert read_entry(orjson.dumps(line)).finish_reason == "stop"
    assert "response" not in fields_of(Answered(ROW, replace(REPLY, body=orjson.dumps(native)), CALL), "openai-batch")["batchrun"]


def test_an_answer_that_only_speaks_of_an_output_stands_as_it_came_in_an_openai_batch_line():
    said = {"choices": [{"message": {"content": '{"output":1}'}, "finish_reason": "stop"}], "output": {"of": "a gateway"}}
    line = fields_of(Answered(ROW, replace(REPLY, body=orjson.dumps(said)), CALL), "openai-batch")
    assert line["response"]["body"] == said
