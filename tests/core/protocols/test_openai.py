from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from batchrun.core.model import Failure, Fault, Reply, Scope, Usage
from batchrun.core.protocols import reading
from batchrun.core.protocols.failures import unsigned
from batchrun.core.protocols.formats import FORMATS
from batchrun.core.protocols.openai import OPENAI

MESSAGE = {"role": "assistant", "content": "好"}
CHOICE = {"index": 0, "finish_reason": "stop", "message": MESSAGE}
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
ANSWER: dict[str, Any] = {"id": "chatcmpl-r-1", "object": "chat.completion", "choices": [CHOICE], "usage": USAGE}


def read(answer: Any, headers: dict[str, str] | None = None, status: int = 200) -> Reply | Failure:
    body = answer if isinstance(answer, bytes) else orjson.dumps(answer)
    return reading.read(OPENAI.dialect, {}, status, headers or {}, body)


def reply(answer: Any, headers: dict[str, str] | None = None) -> Reply:
    result = read(answer, headers)
    assert isinstance(result, Reply), result
    return result


def failure(answer: Any, headers: dict[str, str] | None = None, status: int = 200) -> Failure:
    result = read(answer, headers, status)
    assert isinstance(result, Failure), result
    return result


def test_a_row_is_sent_as_it_stands():
    body = {"model": "qwen-plus", "messages": [{"role": "user", "content": "说 \u2028 hi"}], "temperature": 0.2, "enable_thinking": False}
    assert orjson.loads(OPENAI.encode(body, False)) == body


def test_a_plain_answer_is_a_reply():
    got = reply(ANSWER, {"x-request-id": "r-1"})
    assert (got.content, got.finish_reason, got.request_id) == ("好", "stop", "r-1")
    assert got.usage == Usage(7, 3, raw=USAGE)
    assert (got.reasoning, got.tool_calls, got.choices) == (None, None, None)
    assert got.body == orjson.dumps(ANSWER)


@pytest.mark.parametrize("reason", ["stop", "length", "tool_calls", "content_filter", "a reason of next year"])
def test_every_finish_reason_is_an_answer(reason):
    assert reply(ANSWER | {"choices": [CHOICE | {"finish_reason": reason}]}).finish_reason == reason


@pytest.mark.parametrize("reason", ["error", "abort", "insufficient_system_resource"])
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("usage", "in_doubt"), [(USAGE, False), (None, True)])
def test_an_answer_that_says_that_its_server_broke_it_off_is_no_answer_and_is_brought_along(reason, streamed, usage, in_doubt):
    answer = ANSWER | {"choices": [CHOICE | {"finish_reason": reason}], "usage": usage}
    body = b"data: " + orjson.dumps(answer) + b"\n\ndata: [DONE]\n\n" if streamed else answer
    got = failure(body)
    assert (got.code, got.fault, got.scope, got.in_doubt) == ("broken_off", Fault.AGAIN, Scope.ROW, in_doubt)
    assert got.usage == (None if usage is None else Usage(7, 3, raw=USAGE))
    assert got.reply is not None
    assert (got.reply.content, got.reply.finish_reason) == ("好", reason)
    assert got.message.endswith(f"({reason})")


@pytest.mark.parametrize("message", [{"content": ""}, {"content": None}, {"content": [], "reasoning_content": ""}, {"tool_calls": []}])
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("usage", "counts"),
    [(None, None), ({"prompt_tokens": 0, "completion_tokens": 0}, None), ({"prompt_tokens": 7, "completion_tokens": 0}, (7, 0))],
)
def test_an_answer_that_says_nothing_and_counts_no_token_of_it_is_none(message, streamed, usage, counts):
    """As gateways write one that gave a call up: a model that ends at once has said its last token."""
    answer = ANSWER | {"choices": [CHOICE | {"message": message}], "usage": usage}
    got = failure(b"data: " + orjson.dumps(answer) + b"\n\ndata: [DONE]\n\n" if streamed else answer)
    assert (got.code, got.fault, got.scope, got.in_doubt) == ("empty_answer", Fault.AGAIN, Scope.ROW, counts is None)
    assert counts == (got.usage and (got.usage.input_tokens, got.usage.output_tokens))


@pytest.mark.parametrize("reason", ["length", "content_filter", "tool_calls"])
def test_an_answer_that_says_nothing_for_a_reason_is_one(reason):
    counted = {"prompt_tokens": 7, "completion_tokens": 0}
    assert reply(ANSWER | {"choices": [CHOICE | {"message": {"content": ""}, "finish_reason": reason}], "usage": counted}).content == ""


def test_of_several_choices_one_that_was_broken_off_is_enough():
    assert failure(ANSWER | {"choices": [CHOICE, CHOICE | {"finish_reason": "abort"}]}).code == "broken_off"


@pytest.mark.parametrize(
    ("message", "content"),
    [
        ({"content": ""}, ""),
        ({"content": None, "tool_calls": [{"id": "call_1"}]}, ""),
        ({"content": None, "reasoning_content": "…"}, ""),
        ({"tool_calls": [{"id": "call_1"}]}, ""),
        ({"content": [{"type": "text", "text": "a"}, {"text": "b"}, {"image": "…"}, 7]}, "ab"),
        ({"content": []}, ""),
    ],
)
def test_an_answer_without_text_is_an_answer(message, content):
    got = reply(ANSWER | {"choices": [CHOICE | {"message": message}]})
    assert got.content == content
    assert got.tool_calls == message.get("tool_calls")
    assert got.reasoning == message.get("reasoning_content")


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("told", "by"),
    [("qwen-plus", None), ("qwen-turbo", "qwen-turbo"), ("a\nb sk-0123456789abcdef", "a b ***"), ("", None), (7, None), (None, None)],
)
def test_a_model_that_an_answer_names_is_told_where_it_is_not_the_one_that_was_asked(told, by, streamed):
    delta = {"index": 0, "finish_reason": "stop", "delta": MESSAGE}
    event = b"data: %s\n\n" % orjson.dumps({"choices": [delta], "model": told, "usage": USAGE})
    body = event if streamed else orjson.dumps(ANSWER | {"model": told})
    got = reading.read(OPENAI.dialect, {"model": "qwen-plus"}, 200, {}, body)
    assert isinstance(got, Reply)
    assert (got.content, got.answered_by) == ("好", by)


def test_reasoning_stands_beside_the_content():
    got = reply(ANSWER | {"choices": [CHOICE | {"message": MESSAGE | {"reasoning_content": "let me see"}}]})
    assert (got.content, got.reasoning) == ("好", "let me see")


def test_of_several_choices_all_are_kept_and_the_first_is_the_content():
    second = CHOICE | {"index": 1, "message": MESSAGE | {"content": "b"}}
    got = reply(ANSWER | {"choices": [CHOICE, second]})
    assert (got.content, got.choices) == ("好", [CHOICE, second])


PROBABILITIES = {"content": [{"token": "好", "logprob": -0.1, "top_logprobs": []}]}


@pytest.mark.parametrize(
    "choice",
    [
        CHOICE | {"logprobs": PROBABILITIES},
        CHOICE | {"message": MESSAGE | {"refusal": "I may not."}},
        CHOICE | {"message": MESSAGE | {"audio": {"id": "audio_1", "data": "UklGRg=="}}},
        CHOICE | {"message": MESSAGE | {"function_call": {"name": "f", "arguments": "{}"}}, "finish_reason": "function_call"},
        CHOICE | {"message": MESSAGE | {"annotations": [{"type": "url_citation"}]}},
        CHOICE | {"message": {"content": [{"type": "text", "text": "好"}, {"type": "image_url", "image_url": {"url": "https://x/1.png"}}]}},
    ],
)
def test_a_choice_that_holds_more_than_its_reply_has_places_for_is_kept_whole(choice):
    assert reply(ANSWER | {"choices": [choice]}).choices == [choice]


@pytest.mark.parametrize(
    "choice",
    [
        CHOICE | {"logprobs": None},
        CHOICE | {"logprobs": {"content": None, "refusal": None}},
        CHOICE | {"message": MESSAGE | {"refusal": None, "annotations": [], "audio": None, "function_call": None}},
        CHOICE | {"message": MESSAGE | {"provider_specific_fields": {"refusal": None, "citations": [None, {}]}}},
        CHOICE | {"message": {"role": "assistant", "content": [{"type": "text", "text": "好"}]}},
        CHOICE | {"message": MESSAGE | {"reasoning_content": "let me see", "tool_calls": [{"id": "call_1"}]}},
    ],
)
def test_a_choice_that_holds_nothing_more_stands_in_its_reply_once(choice):
    assert reply(ANSWER | {"choices": [choice]}).choices is None


def test_several_choices_are_told_by_their_index_as_those_of_a_stream_are():
    first, second = CHOICE, CHOICE | {"index": 1, "message": MESSAGE | {"content": "b"}}
    got = reply(ANSWER | {"choices": [second, first]})
    assert (got.content, got.choices) == ("好", [first, second])
    events = b"".join(b"data: " + orjson.dumps(ANSWER | {"choices": [each]}) + b"\n\n" for each in (second, first))
    streamed = reading.read(OPENAI.dialect, {"n": 2}, 200, {}, events)
    assert isinstance(streamed, Reply)
    assert streamed.content == got.content


@pytest.mark.parametrize("index", [{}, {"index": None}, {"index": "0"}, {"index": True}, {"index": 7}])
def test_several_choices_that_no_index_orders_stand_as_they_came(index):
    other = {name: value for name, value in CHOICE.items() if name != "index"} | {"message": MESSAGE | {"content": "b"}}
    choices = [CHOICE | {"index": 7}, other | index, CHOICE | {"index": 1}]
    assert reply(ANSWER | {"choices": choices}).choices == choices


def test_of_several_choices_none_may_be_unfinished():
    assert failure(ANSWER | {"choices": [CHOICE, CHOICE | {"finish_reason": None}]}).code == "no_finish_reason"


@pytest.mark.parametrize(
    ("headers", "more", "request_id"),
    [
        ({"x-request-id": "h"}, {"request_id": "b"}, "h"),
        ({"X-Request-Id": "h"}, {}, "h"),
        ({}, {"request_id": "b"}, "b"),
        ({}, {}, "r-1"),
        ({}, {"id": 7}, None),
        ({"x-request-id": "r\udcff"}, {}, "r"),
    ],
)
def test_the_request_id_is_found_in_the_header_then_the_body_then_the_chat_id(headers, more, request_id):
    assert reply(ANSWER | more, headers).request_id == request_id


USAGES = {
    "plain": (USAGE, (7, 3, 0, 0)),
    "cached": (USAGE | {"prompt_tokens_details": {"cached_tokens": 5}}, (7, 3, 5, 0)),
    "cached beside": (USAGE | {"cached_tokens": 5}, (7, 3, 5, 0)),
    "thinking": (USAGE | {"completion_tokens_details": {"reasoning_tokens": 2, "text_tokens": 3}}, (7, 3, 0, 2)),
    "details of null": (
        USAGE | {"completion_tokens_details": None, "prompt_tokens_details": {"audio_tokens": None, "cached_tokens": None}},
        (7, 3, 0, 0),
    ),
    "cached more than asked": (USAGE | {"prompt_tokens_details": {"cached_tokens": 8}}, (7, 3, 0, 0)),
    "reasoning below nothing": (USAGE | {"completion_tokens_details": {"reasoning_tokens": -1}}, (7, 3, 0, 0)),
    "nothing asked": (USAGE | {"prompt_tokens": 0}, (0, 3, 0, 0)),
}


@pytest.mark.parametrize(("usage", "counts"), USAGES.values(), ids=USAGES.keys())
def test_usage_details_itemise_and_are_never_added(usage, counts):
    got = reply(ANSWER | {"usage": usage}).usage
    assert got is not None
    assert (got.input_tokens, got.output_tokens, got.cached_tokens, got.reasoning_tokens) == counts
    assert got.raw == usage


@pytest.mark.parametrize(
    "usage",
    [
        None,
        [],
        "7",
        {},
        {"prompt_tokens": 7},
        USAGE | {"prompt_tokens": -1},
        USAGE | {"prompt_tokens": "7"},
        USAGE | {"prompt_tokens": 7.5},
        USAGE | {"prompt_tokens": True},
        USAGE | {"completion_tokens": None},
        USAGE | {"completion_tokens": 10**12},
        {"prompt_tokens": 0, "completion_tokens": 0},
        {"input_tokens": 0, "output_tokens": 0.0, "total_tokens": 0},
    ],
)
def test_usage_that_cannot_be_true_leaves_the_tokens_in_doubt_and_keeps_the_answer(usage):
    assert reply(ANSWER | {"usage": usage}).usage is None


def test_usage_too_large_for_a_machine_word_keeps_the_answer():
    assert reply(orjson.dumps(ANSWER).replace(b'"prompt_tokens":7', b'"prompt_tokens":' + b"7" * 40)).usage is None


BROKEN = {
    "empty": (b"", "empty_body"),
    "blank": (b" \r\n ", "empty_body"),
    "only a byte order mark": (b"\xef\xbb\xbf", "empty_body"),
    "text": (b"OK", "not_json"),
    "cut short": (orjson.dumps(ANSWER)[:-2], "not_json"),
    "two answers": (orjson.dumps(ANSWER) * 2, "not_json"),
    "UTF-16": (json.dumps(ANSWER).encode("utf-16"), "not_json"),
    "two hundred thousand levels": (b'{"x":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "not_json"),
    "six hundred levels": (b'{"x":' + b"[" * 600 + b"]" * 600 + b"}", "too_deep"),
    "a control character in a string": (b'{"x":"a\x00b"}', "no_choices"),
    "a list": (b"[1]", "not_an_object"),
    "null": (b"null", "not_an_object"),
    "a string": (b'"stop"', "not_an_object"),
    "no choices": ({}, "no_choices"),
    "empty choices": (ANSWER | {"choices": []}, "no_choices"),
    "choices of null": (ANSWER | {"choices": None}, "no_choices"),
    "choices of something else": (ANSWER | {"choices": {"0": CHOICE}}, "no_choices"),
    "a choice that is none": (ANSWER | {"choices": ["stop"]}, "no_message"),
    "no message": (ANSWER | {"choices": [{"finish_reason": "stop", "text": "好"}]}, "no_message"),
    "a message that is none": (ANSWER | {"choices": [CHOICE | {"message": "好"}]}, "no_message"),
    "content that is none": (ANSWER | {"choices": [CHOICE | {"message": {"content": 7}}]}, "no_message"),
    "no finish reason": (ANSWER | {"choices": [{"message": MESSAGE}]}, "no_finish_reason"),
    "a finish reason of null": (ANSWER | {"choices": [CHOICE | {"finish_reason": None}]}, "no_finish_reason"),
    "the word null for a finish reason": (ANSWER | {"choices": [CHOICE | {"finish_reason": "null"}]}, "no_finish_reason"),
    "an empty finish reason": (ANSWER | {"choices": [CHOICE | {"finish_reason": ""}]}, "no_finish_reason"),
    "a finish reason that is no word": (ANSWER | {"choices": [CHOICE | {"finish_reason": 1}]}, "no_finish_reason"),
    "an event stream without a finish reason": (b'data: {"choices":[{"delta":{"content":"x"}}]}\n\ndata: [DONE]\n\n', "no_finish_reason"),
    "an error nobody knows": ({"error": {"message": "boo", "code": "never_seen"}}, "error_in_200"),
    "an error of one word": ({"error": "boo"}, "error_in_200"),
    "a native error nobody knows": ({"code": "NeverSeen", "message": "boo"}, "error_in_200"),
}


@pytest.mark.parametrize(("body", "code"), BROKEN.values(), ids=BROKEN.keys())
def test_a_200_that_is_no_whole_answer_is_tried_again_and_said(body, code):
    got = failure(body)
    assert (got.code, got.fault, got.scope, got.status) == (code, Fault.AGAIN, Scope.ROW, 200)
    # Either the provider said what it counted, or it may have counted something.
    assert got.in_doubt is (got.usage is None)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"Ollama is running\n", "the answer is no JSON (Ollama is running)"),
        (b'"busy: sk-fake-1"', 'the answer is no JSON object ("busy: ***")'),
        ({"success": False, "message": "the plan is\nused up"}, "the answer has no choices (the plan is used up)"),
        ({"success": False, "data": "the plan is used up"}, "the answer has no choices"),
        (b"a story " * 99, "the answer is no JSON"),
        (orjson.dumps(ANSWER)[:-2], "the answer is no JSON"),
    ],
)
def test_what_a_200_says_in_an_answer_s_place_is_told_where_it_can_be_no_answer(body, message):
    assert failure(body).message == message


@pytest.mark.parametrize("form", ["openai", "dashscope-text", "dashscope-multimodal"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("title", "said"), [("Sign in\nhere", ": Sign in here"), ("", "")])
def test_a_web_page_for_an_answer_is_nobody_s_word_and_may_have_been_billed(form, stream, title, said):
    """A gateway says so, or an address that is no API's: to all of them as a rule, and of one row for what stands in it."""
    body = f"<!DOCTYPE html><html><title>{title}</title></html>".encode()
    got = reading.read(FORMATS[form].dialect, {"stream": stream}, 200, {}, body)
    assert isinstance(got, Failure)
    assert (got.code, got.fault, got.scope, got.status, got.in_doubt) == ("html", Fault.PARK, Scope.LANE, 200, True)
    assert got.message == f"the answer is a web page{said}"
    assert unsigned(got)


@pytest.mark.parametrize("form", ["openai", "dashscope-text"])
@pytest.mark.parametrize(
    "shape", [lambda number: {"code": number, "msg": "no"}, lambda number: {"error": {"code": number, "message": "no"}}]
)
@pytest.mark.parametrize(
    ("number", "code", "fault"),
    [
        (400, "http_400", Fault.REJECT),
        (401, "http_401", Fault.PARK),
        (403, "http_403", Fault.PARK),
        (429, "http_429", Fault.THROTTLED),
        ("429", "http_429", Fault.THROTTLED),
        (502, "http_502", Fault.AGAIN),
        (4001, "error_in_200", Fault.AGAIN),
        (1, "error_in_200", Fault.AGAIN),
        (302, "error_in_200", Fault.AGAIN),
    ],
)
def test_an_error_under_200_that_is_numbered_as_a_status_is_what_that_status_is_and_may_have_been_billed(form, shape, number, code, fault):
    """As gateways say it that put all they have to say under 200: the same key or the same row brings the same again."""
    got = reading.read(FORMATS[form].dialect, {}, 200, {}, orjson.dumps(shape(number)))
    assert isinstance(got, Failure)
    assert (got.code, got.fault, got.in_doubt) == (code, fault, True)
    assert "no" in got.message


@pytest.mark.parametrize(
    ("error", "code", "fault", "in_doubt"),
    [
        ({"code": "429", "type": "throttling_error"}, "throttling_error", Fault.THROTTLED, True),
        ({"code": 400, "type": "BadRequestError"}, "BadRequestError", Fault.REJECT, True),
        ({"code": 400, "type": "invalid_request_error"}, "invalid_request_error", Fault.REJECT, False),
        ({"code": 403, "type": "insufficient_quota"}, "insufficient_quota", Fault.PARK, False),
        ({"code": 429, "type": "insufficient_quota"}, "insufficient_quota", Fault.THROTTLED, False),
        ({"code": "model_not_found", "type": "400"}, "model_not_found", Fault.PARK, False),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_an_error_under_200_that_has_a_number_and_a_name_is_told_by_its_name_and_taken_by_both(error, code, fault, in_doubt, streamed):
    """As LiteLLM's proxy and vLLM say it in a stream that has begun."""
    body = orjson.dumps({"error": {"message": "no", "param": None, **error}})
    got = failure(b"data: " + body + b"\n\ndata: [DONE]\n\n" if streamed else body)
    assert (got.code, got.fault, got.message, got.in_doubt) == (code, fault, "no", in_doubt)


def test_tokens_reported_with_a_broken_answer_are_counted_and_not_doubted():
    got = failure(ANSWER | {"choices": []})
    assert (got.usage, got.in_doubt) == (Usage(7, 3, raw=USAGE), False)


@pytest.mark.parametrize(
    ("body", "fault", "scope", "code"),
    [
        (b'{"error":{"code":"Arrearage","message":"m"}}', Fault.PARK, Scope.ACCOUNT, "Arrearage"),
        (b'{"code":"InvalidApiKey","message":"m","request_id":"r"}', Fault.PARK, Scope.WORKSPACE, "InvalidApiKey"),
        (b'{"error":{"code":"limit_requests","message":"m"}}', Fault.THROTTLED, Scope.LANE, "limit_requests"),
        (b'data: {"error":{"code":"data_inspection_failed","message":"m"}}\n\n', Fault.REJECT, Scope.ROW, "data_inspection_failed"),
        (
            b'id:1\nevent:error\n:HTTP_STATUS/403\ndata:{"code":"insufficient_quota","message":"m"}\n',
            Fault.PARK,
            Scope.LANE,
            "insufficient_quota",
        ),
        (b'id:1\nevent:error\n:HTTP_STATUS/401\ndata:{"code":"NeverSeen","message":"m"}\n', Fault.PARK, Scope.WORKSPACE, "NeverSeen"),
    ],
)
def test_an_error_under_200_is_classified_by_its_own_code(body, fault, scope, code):
    got = failure(body)
    assert (got.fault, got.scope, got.code, got.message, got.in_doubt) == (fault, scope, code, "m", False)


@pytest.mark.parametrize("body", [{"code": 4290, "message": "slow"}, {"code": -1, "msg": "slow"}, {"code": "4290", "detail": "slow"}])
def test_an_error_under_200_that_is_numbered_as_no_status_is_told_with_its_number_and_what_it_says(body):
    got = failure(body | {"data": None})
    assert (got.code, got.fault, got.in_doubt) == ("error_in_200", Fault.AGAIN, True)
    assert got.message.endswith(f"({body['code']}: slow)")


@pytest.mark.parametrize("code", [0, 200, 20_000])
def test_a_number_beside_an_answer_is_no_error(code):
    assert reply(ANSWER | {"code": code, "message": "ok"}).content == reply(ANSWER).content


@pytest.mark.parametrize("status", [400, 401, 429, 500, 503])
def test_an_answer_outside_2xx_is_no_reply_whatever_it_holds(status):
    assert failure(ANSWER, status=status).status == status


def test_an_answer_cut_inside_a_surrogate_pair_is_kept():
    got = reply(orjson.dumps(ANSWER).replace("好".encode(), b"ok \\ud83d\\ude00 \\ud83d"))
    assert got.content == "ok 😀 \ufffd"
    assert orjson.loads(got.body)["choices"][0]["message"]["content"] == "ok 😀 \ufffd"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b"\xef\xbf\xbd one", "\ufffd one"),
        (b"one\ntwo\tthree\r\n\x00", "one\ntwo\tthree\r\n\x00"),
    ],
)
def test_what_json_would_have_escaped_in_an_answer_costs_no_answer(written, read):
    got = reply(orjson.dumps(ANSWER).replace("好".encode(), written))
    assert (got.content, got.usage) == (read, Usage(7, 3, raw=USAGE))
    assert orjson.loads(got.body)["choices"][0]["message"]["content"] == read
    assert b"\n" not in got.body


@pytest.mark.parametrize("written", ["这是答案".encode("gbk"), b"caf\xe9", b"\xff\xfe\xe5\xa5\xbd", b"ok \xe5\xa5"])
@pytest.mark.parametrize("usage", [USAGE, None])
def test_a_text_that_is_not_utf_8_is_refused_with_what_it_cost_and_is_brought_along(written, usage):
    failed = failure(orjson.dumps(ANSWER | {"usage": usage}).replace("好".encode(), written))
    assert (failed.code, failed.fault, failed.in_doubt) == ("not_utf8", Fault.REJECT, usage is None)
    assert failed.reply is not None
    assert (failed.usage, "\ufffd" in failed.reply.content) == (failed.reply.usage, True)


BROKEN_OFF = {"x-dashscope-partialresponse": "true"}


@pytest.mark.parametrize("usage", [USAGE, None])
@pytest.mark.parametrize(("reason", "told"), [("stop", "stop"), ("tool_calls", "tool_calls"), ("null", "null"), (None, "")])
def test_an_answer_that_the_provider_broke_off_is_refused_with_what_it_cost_and_is_brought_along(reason, told, usage):
    failed = failure(ANSWER | {"choices": [CHOICE | {"finish_reason": reason}], "usage": usage}, BROKEN_OFF)
    assert (failed.code, failed.fault, failed.in_doubt) == ("partial_response", Fault.REJECT, usage is None)
    assert failed.reply is not None
    assert (failed.reply.content, failed.reply.finish_reason, failed.reply.usage) == ("好", told, failed.usage)


def test_an_answer_that_the_provider_broke_off_and_that_says_it_was_cut_is_an_answer():
    assert reply(ANSWER | {"choices": [CHOICE | {"finish_reason": "length"}]}, BROKEN_OFF).finish_reason == "length"


@pytest.mark.parametrize("headers", [{}, {"x-dashscope-partialresponse": "false"}])
def test_an_answer_without_finish_reason_that_nobody_broke_off_is_tried_again(headers):
    assert failure(ANSWER | {"choices": [CHOICE | {"finish_reason": None}]}, headers).code == "no_finish_reason"


@pytest.mark.parametrize(
    ("choice", "is_good"),
    [
        (CHOICE | {"finish_reason": "length"}, True),
        (CHOICE | {"finish_reason": "length", "message": {"role": "assistant", "content": "", "reasoning_content": "好"}}, True),
        (CHOICE | {"finish_reason": "length", "message": {"role": "assistant", "content": "and 好 more"}}, False),
        (CHOICE | {"message": {"role": "assistant", "content": "", "reasoning_content": "好"}}, False),
    ],
)
def test_half_a_character_at_the_end_of_a_text_that_was_cut_at_its_length_is_no_damage(choice, is_good):
    body = orjson.dumps(ANSWER | {"choices": [choice]}).replace("好".encode(), b"ok \xe5\xa5")
    assert isinstance(read(body), Reply) == is_good


def test_bytes_that_are_not_utf_8_beside_the_text_cost_no_answer():
    got = reply(orjson.dumps(ANSWER | {"seen_by": "gateway ^"}).replace(b"^", b"\xe9"))
    assert (got.content, got.usage) == ("好", Usage(7, 3, raw=USAGE))


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"-" + b"7" * 5_000])
def test_a_number_that_json_has_not_costs_no_answer_and_is_kept_as_null(number):
    choice = CHOICE | {"logprobs": {"content": [{"token": "x", "logprob": "@"}]}}
    got = reply(orjson.dumps(ANSWER | {"choices": [choice]}).replace(b'"@"', number))
    assert (got.content, got.usage) == ("好", Usage(7, 3, raw=USAGE))
    assert orjson.loads(got.body)["choices"][0]["logprobs"]["content"] == [{"token": "x", "logprob": None}]


def test_a_number_beside_such_a_one_stays_what_it_is():
    text = b"[NaN, 1, -0.5, 1e300, 18446744073709551615, 9223372036854775808123, -99999999999999999999, 123456789012345678]"
    got = reply(orjson.dumps(ANSWER | {"x": "@"}).replace(b'"@"', text))
    assert orjson.loads(got.body)["x"] == [None, *orjson.loads(text.replace(b"NaN", b"null"))[1:]]


@pytest.mark.parametrize("error", [None, False, "", {}, [], {"code": None, "message": ""}, {"message": "", "type": None, "param": None}])
def test_an_error_that_says_nothing_beside_an_answer_is_none(error):
    assert reply(ANSWER | {"error": error}).content == "好"


def test_what_a_model_reasoned_is_found_under_either_name():
    for name in ("reasoning_content", "reasoning"):
        got = reply(ANSWER | {"choices": [CHOICE | {"message": {"content": "好", name: "hm"}}]})
        assert got.reasoning == "hm", name


@pytest.mark.parametrize("itemised", [{}, {"completion_tokens_details": None}, {"completion_tokens_details": {"reasoning_tokens": 0}}])
@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_that_a_model_reasoned_is_told_where_its_usage_does_not_tell_it(name, itemised):
    got = reply(ANSWER | {"choices": [CHOICE | {"message": MESSAGE | {name: "hm"}}], "usage": USAGE | itemised})
    assert got.usage is not None
    assert (got.usage.reasoned, got.usage.reasoning_tokens, got.usage.output_tokens) == (True, 0, 3)


@pytest.mark.parametrize("nothing", ["", None])
def test_a_model_that_thought_nothing_has_not_reasoned(nothing):
    got = reply(ANSWER | {"choices": [CHOICE | {"message": MESSAGE | {"reasoning_content": nothing}}]})
    assert got.usage is not None
    assert not got.usage.reasoned


def test_a_count_of_what_was_reasoned_stands_by_itself():
    told = USAGE | {"completion_tokens_details": {"reasoning_tokens": 2}}
    got = reply(ANSWER | {"choices": [CHOICE | {"message": MESSAGE | {"reasoning_content": "hm"}}], "usage": told})
    assert got.usage == Usage(7, 3, reasoning_tokens=2, raw=told)


def test_a_surrogate_in_a_name_is_replaced_too():
    assert b"\\ud8" not in reply(orjson.dumps(ANSWER | {"x": {"@": 1}}).replace(b"@", b"\\ud800")).body


def test_a_pretty_answer_and_one_with_a_byte_order_mark_are_kept_on_one_line():
    for body in (json.dumps(ANSWER, indent=2).encode(), b"\xef\xbb\xbf" + orjson.dumps(ANSWER), orjson.dumps(ANSWER) + b"\r\n"):
        assert reply(body).body == orjson.dumps(ANSWER)


def test_duplicate_keys_do_not_stop_an_answer():
    assert reply(orjson.dumps(ANSWER)[:-1] + b',"choices":' + orjson.dumps([CHOICE]) + b"}").content == "好"


def test_brackets_in_an_answer_are_no_depth():
    text = "[{" * 5_000
    assert reply(ANSWER | {"choices": [CHOICE | {"message": {"content": text}}]}).content == text
