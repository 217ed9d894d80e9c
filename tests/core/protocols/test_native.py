from __future__ import annotations

import orjson
import pytest

from batchrun.core.model import Failure, Fault, Reply, Scope, Usage
from batchrun.core.protocols import reading
from batchrun.core.protocols.formats import FORMATS
from tests.core.protocols import recorded
from tests.core.protocols.recorded import ID, NATIVE, native

CHOICE = {"finish_reason": "stop", "message": {"role": "assistant", "content": "好"}}
ANSWER = native({"role": "assistant", "content": "好"})
OUTPUT = ANSWER["output"]


@pytest.fixture(params=NATIVE)
def read(request):
    def read_(answer, headers=None, status=200):
        body = answer if isinstance(answer, bytes) else orjson.dumps(answer)
        return reading.read(FORMATS[request.param].dialect, {}, status, headers or {}, body)

    return read_


def test_a_plain_answer_is_a_reply(read):
    got = read(ANSWER)
    assert isinstance(got, Reply)
    assert (got.content, got.finish_reason, got.request_id, got.choices) == ("好", "stop", ID, None)
    assert (got.usage, got.body) == (Usage(16, 14, raw=ANSWER["usage"]), orjson.dumps(ANSWER))


@pytest.mark.parametrize("reason", ["stop", "length", "tool_calls", "a reason of next year"])
def test_every_finish_reason_is_an_answer(read, reason):
    assert read(ANSWER | {"output": {"choices": [CHOICE | {"finish_reason": reason}]}}).finish_reason == reason
    assert read(ANSWER | {"output": {"text": "好", "finish_reason": reason}}).finish_reason == reason


@pytest.mark.parametrize(
    ("message", "content"),
    [
        ({"content": "好"}, "好"),
        ({"content": [{"text": "好"}]}, "好"),
        ({"content": [{"text": "a"}, {"image": "https://x/1.png"}, {"text": "b"}, 7, {"text": 7}]}, "ab"),
        ({"content": []}, ""),
        ({"content": None}, ""),
        ({"tool_calls": [{"id": "call_1"}]}, ""),
    ],
)
def test_content_is_a_text_or_parts_or_nothing(read, message, content):
    got = read(ANSWER | {"output": {"choices": [CHOICE | {"message": message}]}})
    assert (got.content, got.tool_calls) == (content, message.get("tool_calls"))


def test_an_output_of_text_has_its_reasoning_and_calls_beside_it(read):
    got = read(ANSWER | {"output": {"text": "", "finish_reason": "stop", "reasoning_content": "嗯", "tool_calls": [{"id": "call_1"}]}})
    assert (got.content, got.reasoning, got.tool_calls) == ("", "嗯", [{"id": "call_1"}])


def test_an_answer_that_the_provider_broke_off_is_brought_along_by_its_failure(read):
    for output in ({"text": "好", "finish_reason": "null"}, {"choices": [CHOICE]}):
        failed = read(ANSWER | {"output": output}, {"x-dashscope-partialresponse": "true"})
        assert (failed.code, failed.fault, failed.in_doubt) == ("partial_response", Fault.REJECT, False)
        assert failed.reply.content == "好"


def test_choices_go_before_a_text_that_stands_beside_them(read):
    assert read(ANSWER | {"output": {**OUTPUT, "text": None}}).content == "好"
    assert read(ANSWER | {"output": {**OUTPUT, "text": "other"}}).content == "好"
    assert read(ANSWER | {"output": {"choices": None, "text": "other", "finish_reason": "stop"}}).content == "other"


def test_of_several_choices_all_are_kept_and_the_first_is_the_content(read):
    second = CHOICE | {"index": 1, "message": {"content": "b"}}
    got = read(ANSWER | {"output": {"choices": [CHOICE, second]}})
    assert (got.content, got.choices) == ("好", [CHOICE, second])


PLACES = {"words_info": [{"text": "好", "location": [1, 2, 3, 4]}]}


def test_what_a_part_says_beside_its_text_is_kept_plain_or_streamed(read):
    choice = CHOICE | {"message": {"role": "assistant", "content": [{"text": "好", "ocr_result": PLACES}]}}
    assert read(ANSWER | {"output": {"choices": [choice]}}).choices == [choice]
    said = [recorded.frame({"content": [{"text": "好"}]}), recorded.frame({"content": [{"text": "", "ocr_result": PLACES}]}, "stop")]
    got = read(b"".join(recorded.frames(said)))
    assert (got.content, got.choices[0]["message"]["content"]) == ("好", [{"text": "好"}, {"ocr_result": PLACES}])


def test_where_an_answer_that_was_searched_for_is_from_is_kept_plain_or_streamed(read):
    found = {"search_results": [{"index": 1, "title": "t", "url": "https://x"}]}
    assert read(ANSWER | {"output": {**OUTPUT, "search_info": found}}).search_info == found
    first = recorded.frame({"content": "好"})
    first["output"]["search_info"] = found
    assert read(b"".join(recorded.frames([first, recorded.frame({"content": ""}, "stop")]))).search_info == found
    assert read(ANSWER).search_info is None


@pytest.mark.parametrize(
    ("headers", "more", "request_id"),
    [
        ({"x-request-id": "h"}, {}, "h"),
        ({"X-Request-ID": "h"}, {}, "h"),
        ({}, {}, ID),
        ({}, {"request_id": ""}, None),
        ({}, {"request_id": "", "id": "chatcmpl-r"}, "r"),
        ({}, {"request_id": 7, "id": "r"}, "r"),
        ({}, {"request_id": "sk-sim-echoed-key"}, "***"),
    ],
)
def test_the_request_id_is_the_header_s_or_the_body_s(read, headers, more, request_id):
    assert read(ANSWER | more, headers).request_id == request_id


BROKEN = {
    "nothing": ({}, "no_choices"),
    "no output": ({"request_id": ID}, "no_choices"),
    "output of null": (ANSWER | {"output": None}, "no_choices"),
    "output that is none": (ANSWER | {"output": "好"}, "no_choices"),
    "a task": (ANSWER | {"output": {"task_status": "PENDING", "task_id": "t"}}, "no_choices"),
    "no choices": (ANSWER | {"output": {"choices": []}}, "no_choices"),
    "choices of something else": (ANSWER | {"output": {"choices": {"0": CHOICE}}}, "no_choices"),
    "a text that is none": (ANSWER | {"output": {"text": 7, "finish_reason": "stop"}}, "no_choices"),
    "a choice that is none": (ANSWER | {"output": {"choices": [7]}}, "no_message"),
    "no message": (ANSWER | {"output": {"choices": [{"finish_reason": "stop"}]}}, "no_message"),
    "content that is none": (ANSWER | {"output": {"choices": [CHOICE | {"message": {"content": 7}}]}}, "no_message"),
    "a finish reason of null": (ANSWER | {"output": {"choices": [CHOICE | {"finish_reason": None}]}}, "no_finish_reason"),
    "the string null": (ANSWER | {"output": {"choices": [CHOICE | {"finish_reason": "null"}]}}, "no_finish_reason"),
    "the string null beside a text": (ANSWER | {"output": {"text": "好", "finish_reason": "null"}}, "no_finish_reason"),
    "a text without a finish reason": (ANSWER | {"output": {"text": "好"}}, "no_finish_reason"),
    "an answer of the other dialect": (recorded.compat(), "no_choices"),
    "cut short": (orjson.dumps(ANSWER)[:-1], "not_json"),
    "empty": (b"", "empty_body"),
    "an error nobody knows": ({"code": "NeverSeen", "message": "m", "request_id": ID}, "error_in_200"),
}


@pytest.mark.parametrize(("body", "code"), BROKEN.values(), ids=BROKEN.keys())
def test_a_200_that_is_no_whole_answer_is_tried_again_and_said(read, body, code):
    got = read(body)
    assert isinstance(got, Failure)
    assert (got.code, got.fault, got.scope, got.status) == (code, Fault.AGAIN, Scope.ROW, 200)
    assert got.in_doubt is (got.usage is None)


@pytest.mark.parametrize(
    "nothing", [{"code": None}, {"code": ""}, {"code": "", "message": ""}, {"error": None}, {"status_code": 200}, {"code": "200"}]
)
def test_keys_of_an_sdk_s_printing_make_no_error_of_an_answer(read, nothing):
    assert read(ANSWER | nothing).content == "好"


@pytest.mark.parametrize("output", [None, {}, "", {"text": None, "finish_reason": None, "choices": None}, {"text": "", "choices": []}])
def test_an_empty_output_hides_no_error(read, output):
    got = read({"code": "Arrearage", "message": "m", "request_id": ID, "output": output, "usage": None})
    assert (got.fault, got.scope) == (Fault.PARK, Scope.ACCOUNT)


@pytest.mark.parametrize("status", [400, 401, 429, 500, 503])
def test_an_answer_outside_2xx_is_no_reply_whatever_it_holds(read, status):
    got = read(ANSWER, status=status)
    assert isinstance(got, Failure)
    assert got.status == status


def test_an_error_that_says_what_it_cost_is_counted_and_not_doubted(read):
    got = read({"code": "NeverSeen", "message": "m", "usage": {"input_tokens": 7, "output_tokens": 3}})
    assert (got.usage.input_tokens, got.usage.output_tokens, got.in_doubt) == (7, 3, False)
