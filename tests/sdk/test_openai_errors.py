"""What the openai package raises for each error of the compatible route: class, status, code, type, message, request id, body."""

from __future__ import annotations

import ast
import json
import re
from typing import Any, NamedTuple

import pytest

from tests.sdk.calls import user
from tests.sdk.environments import OPENAI_1
from tests.sdk.media import IMAGE
from tests.sdk.scenario import CODES
from tests.sdk.test_openai_answers import FORCED, PERSON, UUID, WEATHER, WITH_USAGE, only

pytestmark = pytest.mark.kind("errors")

MIB = 1 << 20
THINK = {"extra_body": {"enable_thinking": True}}
HELP = " For details, see: https://help.aliyun.com/zh/model-studio/error-code#"
INVALID = "invalid_request_error"


class Expected(NamedTuple):
    """An error of the provider's table as the SDK shows it."""

    raised: str
    status_code: int
    code: str
    type: str
    message: str
    keys: frozenset[str]
    """Of the body around the error: the doors in front answer without an ``id``, what comes after the model was found has one."""


FRONT = frozenset({"error", "request_id"})
ROUTED = frozenset({"error", "id", "request_id"})
GATEWAY = frozenset({"error"})
"""Newer gateways put the id inside the error and have no ``param``."""


def named(raised: str, status_code: int, code: str, message: str, keys: frozenset[str]) -> Expected:
    """Most errors repeat their code as their type."""
    return Expected(raised, status_code, code, code, message, keys)


REFUSALS: dict[str, tuple[dict[str, Any], Expected]] = {
    "wrong key": (
        {"key": "sk-fake-nobody"},
        Expected("AuthenticationError", 401, "invalid_api_key", INVALID, f"Incorrect API key provided.{HELP}apikey-error", FRONT),
    ),
    "denied model": (
        {"workspace": "denied"},
        named("PermissionDeniedError", 403, "Model.AccessDenied", "Model access denied.", ROUTED),
    ),
    "unknown model": (
        {"model": "qwen-min"},
        Expected(
            "NotFoundError",
            404,
            "model_not_found",
            INVALID,
            "The model `qwen-min` does not exist or you do not have access to it.",
            FRONT,
        ),
    ),
    "native-only model": (
        {"model": "qwen-audio-turbo"},
        Expected(
            "NotFoundError",
            404,
            "model_not_supported",
            INVALID,
            "Unsupported model `qwen-audio-turbo` for OpenAI compatibility mode.",
            FRONT,
        ),
    ),
    "unknown path": (
        {"base": "/compatible-mode/v0"},
        named("NotFoundError", 404, "NotFound", "Not Found", FRONT),
    ),
    "no model": (
        {"extra_body": {"model": None}},
        named("BadRequestError", 400, INVALID, "you must provide a model parameter.", FRONT),
    ),
    "overdue account": (
        {"workspace": "overdue"},
        named(
            "BadRequestError",
            400,
            "Arrearage",
            f"Access denied, please make sure your account is in good standing.{HELP}overdue-payment",
            ROUTED,
        ),
    ),
    "too many requests": (
        {"workspace": "throttle"},
        named("RateLimitError", 429, "limit_requests", "You exceeded your current requests list.", FRONT),
    ),
    "growing too fast": (
        {"workspace": "burst"},
        named(
            "RateLimitError",
            429,
            "limit_burst_rate",
            "Request rate increased too quickly. To ensure system stability, please adjust your client logic to scale requests more "
            "smoothly over time.",
            FRONT,
        ),
    ),
    "too many tokens": (
        {"workspace": "token_quota"},
        named(
            "RateLimitError",
            429,
            "insufficient_quota",
            f"You exceeded your current quota, please check your plan and billing details.{HELP}token-limit",
            FRONT,
        ),
    ),
    "free tier gone": (
        {"workspace": "free_tier"},
        named(
            "PermissionDeniedError",
            403,
            "AllocationQuota.FreeTierOnly",
            "The free tier of the model has been exhausted. If you wish to continue access the model on a paid basis, please disable "
            'the "use free tier only" mode in the management console.',
            ROUTED,
        ),
    ),
    "free quota gone": (
        {"workspace": "no_quota_403"},
        named(
            "PermissionDeniedError",
            403,
            "insufficient_quota",
            "The free tier of the model has been exhausted. If you wish to continue access the model on a paid basis, please disable "
            'the "use free tier only" mode in the management console.',
            GATEWAY,
        ),
    ),
    "not bought": (
        {"workspace": "unpurchased"},
        named(
            "PermissionDeniedError",
            403,
            "AccessDenied.Unpurchased",
            "Access to model denied. Please make sure you are eligible for using the model.",
            GATEWAY,
        ),
    ),
    "workspace denied": (
        {"workspace": "workspace_denied"},
        named("PermissionDeniedError", 403, "Workspace.AccessDenied", "Workspace access denied.", ROUTED),
    ),
    "planned size": (
        {"workspace": "too_large"},
        named("APIStatusError", 413, "BadRequest.TooLarge", "Payload Too Large.", FRONT),
    ),
    "conflict": (
        {"workspace": "Conflict"},
        named("ConflictError", 409, "Conflict", "Model instance is conflict, please check the request.", ROUTED),
    ),
    "request timed out": (
        {"workspace": "RequestTimeOut"},
        named("APIStatusError", 408, "RequestTimeOut", "Request timed out, please try again later.", ROUTED),
    ),
    "resources used up": (
        {"workspace": "Throttling.ResourceExhausted"},
        named(
            "RateLimitError",
            429,
            "Throttling.ResourceExhausted",
            "An error occurred in model serving, error message is: [Too many requests.]",
            ROUTED,
        ),
    ),
    "bill overdue": (
        {"workspace": "PrepaidBillOverdue"},
        named("RateLimitError", 429, "PrepaidBillOverdue", "The prepaid bill is overdue.", ROUTED),
    ),
    "inspection": (
        {"workspace": "inspection"},
        named("BadRequestError", 400, "data_inspection_failed", "Input data may contain inappropriate content.", ROUTED),
    ),
    "planned arrears": (
        {"workspace": "arrearage"},
        named(
            "BadRequestError",
            400,
            "Arrearage",
            f"Access denied, please make sure your account is in good standing.{HELP}overdue-payment",
            ROUTED,
        ),
    ),
    "internal error": (
        {"workspace": "internal"},
        named(
            "InternalServerError",
            500,
            "internal_error",
            "An internal error has occured, please try again later or contact service support.",
            ROUTED,
        ),
    ),
    "model timed out": (
        {"workspace": "timeout_500"},
        named(
            "InternalServerError",
            500,
            "InternalError.Timeout",
            "An internal timeout error has occured during execution, please try again later or contact service support.",
            ROUTED,
        ),
    ),
    "unavailable": (
        {"workspace": "unavailable"},
        named("InternalServerError", 503, "ModelUnavailable", "Model is unavailable, please try again later.", ROUTED),
    ),
    "serving error": (
        {"workspace": "serving"},
        named(
            "InternalServerError",
            503,
            "ModelServingError",
            "Too many requests. Your requests are being throttled due to system capacity limits. Please try again later.",
            ROUTED,
        ),
    ),
}


@pytest.mark.parametrize("form", [{}, WITH_USAGE], ids=["plain", "stream"])
@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_is_raised_with_the_class_fields_and_body_of_the_real_one(openai_sdk, name, form):
    arguments, expected = REFUSALS[name]
    check(openai_sdk, openai_sdk.ask(**arguments, **form), expected)


CLASSES = {
    400: "BadRequestError",
    401: "AuthenticationError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    408: "APIStatusError",
    409: "ConflictError",
    429: "RateLimitError",
    500: "InternalServerError",
}
OWN_CODES = {
    "AccessDenied": "access_denied",
    "BadRequest.EmptyModel": "invalid_request_error",
    "InternalError.Algo": "internal_server_error",
}
"""Of the compatible route, where they are not the native ones."""


@pytest.mark.parametrize("code", CODES)
def test_every_other_error_is_raised_with_the_class_of_its_status_and_its_code(openai_sdk, code):
    outcome = openai_sdk.ask(workspace=code)
    seen = [outcome[field] for field in ("raised", "status_code", "code")]
    assert seen == [CLASSES[CODES[code]], CODES[code], OWN_CODES.get(code, code)]
    body = json.loads(outcome["wire"])
    assert body["error"]["message"]
    assert body["request_id"] == outcome["request_id"]


def check(sdk, outcome, expected: Expected):
    seen = {field: outcome[field] for field in ("raised", "status_code", "code", "type", "param")}
    assert seen == {
        "raised": expected.raised,
        "status_code": expected.status_code,
        "code": expected.code,
        "type": expected.type,
        "param": None,
    }
    body = json.loads(outcome["wire"])
    request_id = outcome["request_id"]
    assert UUID.fullmatch(request_id)
    assert body == _around(expected, request_id)
    assert said(sdk, outcome, expected.status_code) == (expected.message if sdk.sdk != OPENAI_1 else body)


def _around(expected: Expected, request_id):
    """The body that holds an error: which ids stand where is the shape."""
    error = {"message": expected.message, "type": expected.type, "code": expected.code}
    if expected.keys == GATEWAY:
        return {"error": {**error, "id": request_id}}
    ids = {"request_id": request_id, "id": f"chatcmpl-{request_id}"}
    return {"error": {**error, "param": None}, **{name: ids[name] for name in ids if name in expected.keys}}


def said(sdk, outcome, status):
    """What ``str(error)`` holds after its status: the whole body in version 1, the message alone in version 3."""
    text = outcome["message"].removeprefix(f"Error code: {status} - ")
    assert text != outcome["message"]
    return ast.literal_eval(text) if sdk.sdk == OPENAI_1 else text


ROLES = (
    'Role must be in ["user","assistant","system","function","plugin","tool"] and the role in last message must be in '
    '["user","function","tool"]'
)
PARAMETERS: dict[str, tuple[dict[str, Any], str]] = {
    "temperature": ({"temperature": 2}, "Temperature should be in [0.0, 2.0)"),
    "top_p": ({"top_p": 0}, "Range of top_p should be (0.0, 1.0]"),
    "top_k": ({"extra_body": {"top_k": -1}}, "Parameter top_k be greater than or equal to 0"),
    "repetition_penalty": ({"extra_body": {"repetition_penalty": 0}}, "Repetition_penalty should be greater than 0.0"),
    "presence_penalty": ({"presence_penalty": 2.5}, "Presence_penalty should be in [-2.0, 2.0]"),
    "n": ({"n": 5}, "Range of n should be [1, 4]"),
    "max_tokens": ({"model": "qwen-max", "max_tokens": 8_193}, "Range of max_tokens should be [1, 8192]"),
    "no messages": ({"messages": []}, "[] is too short - 'messages'"),
    "messages missing": (
        {"extra_body": {"messages": None}},
        'Either "prompt" or "messages" must exist and cannot both be none',
    ),
    "last word not the user's": (
        {"messages": [*user("Hello."), {"role": "assistant", "content": "Hello!"}]},
        ROLES,
    ),
    "no content": ({"messages": [{"role": "user"}]}, "The content field is a required field."),
    "content no text": ({"messages": user(7)}, "input content must be a string."),
    "JSON not mentioned": (
        {"response_format": {"type": "json_object"}},
        "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
    ),
    "JSON while thinking": (
        {"prompt": "JSON, please.", "response_format": {"type": "json_object"}, "stream": True, **THINK},
        "Json mode response is not supported when enable_thinking is true",
    ),
    "required tool": (
        {"tools": [WEATHER], "tool_choice": "required"},
        'tool_choice is one of the strings that should be ["none", "auto"]',
    ),
    "stream-only model": (
        {"model": "qwq-plus"},
        "This model only support stream mode, please enable the stream parameter to access the model. ",
    ),
    "thinking without a stream": (
        THINK,
        "parameter.enable_thinking must be set to false for non-streaming calls",
    ),
    "thinking that cannot be turned off": (
        {"model": "qwq-plus", "stream": True, "extra_body": {"enable_thinking": False}},
        "The value of the enable_thinking parameter is restricted to True.",
    ),
    "thinking_budget": (
        {"stream": True, "extra_body": {"enable_thinking": True, "thinking_budget": 0}},
        "The thinking_budget parameter must be a positive integer and not greater than 38912",
    ),
    "forced tool while thinking": (
        {"model": "qwen3.6-plus", "tools": [WEATHER], "tool_choice": FORCED},
        "The tool_choice parameter does not support being set to required or object in thinking mode",
    ),
    "sound without a stream": (
        {"model": "qwen3-omni-flash", "modalities": ["text", "audio"], "audio": {"voice": "Cherry", "format": "wav"}},
        "'audio' output only support with stream=true",
    ),
    "picture for a model of words": (
        {"messages": user([{"type": "image_url", "image_url": {"url": IMAGE}}])},
        "input content must be a string.",
    ),
    "address that is none": (
        {"model": "qwen-vl-plus", "messages": user([{"type": "image_url", "image_url": {"url": "beach.png"}}])},
        "The provided URL does not appear to be valid. Ensure it is correctly formatted.",
    ),
    "picture too large": (
        {
            "model": "qwen-vl-plus",
            "messages": user([{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{'A' * 11 * MIB}"}}]),
        },
        "Exceeded limit on max bytes per data-uri item : 10485760'",
    ),
}


@pytest.mark.kind("parameters")
@pytest.mark.parametrize("name", PARAMETERS)
def test_a_bad_parameter_is_refused_in_the_providers_words(openai_sdk, name):
    arguments, message = PARAMETERS[name]
    expected = Expected("BadRequestError", 400, "invalid_parameter_error", INVALID, message, ROUTED)
    check(openai_sdk, openai_sdk.ask(**arguments), expected)


@pytest.mark.kind("parameters")
def test_thinking_asked_of_a_model_without_thoughts_has_a_code_of_its_own(openai_sdk):
    outcome = openai_sdk.ask(model="qwen-max", stream=True, **THINK)
    code = "InvalidParameter.NotSupportEnableThinking"
    assert [outcome["raised"], outcome["status_code"], outcome["code"]] == ["BadRequestError", 400, code]
    assert "The model qwen-max does not support enable_thinking." in outcome["message"]


@pytest.mark.kind("parameters")
@pytest.mark.parametrize("seed", [-1, 2**31])
def test_a_seed_out_of_its_range_has_a_code_of_its_own(openai_sdk, seed):
    outcome = openai_sdk.ask(seed=seed)
    assert [outcome["raised"], outcome["status_code"], outcome["code"]] == ["BadRequestError", 400, "invalid_value"]
    assert str(seed) in outcome["message"]


@pytest.mark.kind("parameters")
@pytest.mark.parametrize(
    "arguments",
    [
        {"temperature": 0},
        {"temperature": 1.99},
        {"top_p": 1},
        {"extra_body": {"top_k": 0}},
        {"presence_penalty": -2},
        {"n": 4},
        {"seed": 2**31 - 1},
        {"tools": [WEATHER], "tool_choice": "none"},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON}}},
        {"model": "qwq-plus", "stream": True},
    ],
    ids=str,
)
def test_a_parameter_at_the_edge_of_its_range_is_taken(openai_sdk, arguments):
    outcome = openai_sdk.ask(**arguments)
    assert "raised" not in outcome, outcome
    assert outcome["choices"]


@pytest.mark.parametrize("mib", [17, 65], ids=["over the bound for text", "over the bound for base64"])
def test_a_body_that_is_too_large_is_refused_with_413(openai_sdk, mib):
    expected = named("APIStatusError", 413, "BadRequest.TooLarge", "Payload Too Large.", FRONT)
    check(openai_sdk, openai_sdk.ask("x" * (mib * MIB)), expected)


@pytest.mark.kind("streams")
def test_an_error_in_a_stream_is_raised_with_its_code_and_without_a_status(openai_sdk):
    outcome = openai_sdk.ask(workspace="stream_error", retries=2, **WITH_USAGE)
    seen = {name: outcome[name] for name in ("raised", "status_code", "code", "type", "message")}
    assert seen == {
        "raised": "APIError",
        "status_code": None,
        "code": "data_inspection_failed",
        "type": "data_inspection_failed",
        "message": "Output data may contain inappropriate content.",
    }
    assert outcome["chunks"] >= 1
    assert outcome["choices"][0]["finish_reason"] is None


@pytest.mark.kind("streams")
def test_a_native_error_frame_raises_nothing_and_leaves_a_chunk_without_choices(openai_sdk):
    outcome = openai_sdk.ask(workspace="stream_native_error", **WITH_USAGE)
    assert "raised" not in outcome
    [stray] = outcome["strays"]
    assert stray == {
        "code": "Throttling.AllocationQuota",
        "message": "Allocated quota exceeded, please increase your quota limit.",
        "request_id": outcome["request_id"],
    }
    assert outcome["chunks"] >= 2
    assert outcome["choices"][0]["finish_reason"] is None
    assert outcome["usage"] is None


@pytest.mark.kind("streams")
@pytest.mark.parametrize("form", [{}, WITH_USAGE], ids=["plain", "stream"])
def test_an_events_text_under_a_400_is_a_bad_request_whose_code_the_sdk_cannot_read(openai_sdk, form):
    outcome = openai_sdk.ask(workspace="mislabelled", **form)
    assert [outcome["raised"], outcome["status_code"], outcome["code"]] == ["BadRequestError", 400, None]
    assert UUID.fullmatch(outcome["request_id"])
    frame = outcome["wire"].strip()
    assert frame.startswith("data: {")
    assert json.loads(frame.removeprefix("data: "))["error"]["code"] == "data_inspection_failed"
    if openai_sdk.sdk != OPENAI_1:
        assert outcome["message"] == "Error code: 400"


@pytest.mark.kind("streams")
def test_a_stream_that_is_cut_raises_and_keeps_what_came(openai_sdk):
    outcome = openai_sdk.ask(workspace="stream_cut", **WITH_USAGE)
    assert outcome["raised"] in {"APIConnectionError", "RemoteProtocolError", "ReadError"}
    assert outcome["chunks"] >= 1
    assert outcome["choices"][0]["finish_reason"] is None


@pytest.mark.kind("delivery")
def test_an_error_under_status_200_raises_nothing_and_has_no_choices(openai_sdk):
    outcome = openai_sdk.ask(workspace="error_in_200")
    assert "raised" not in outcome
    assert outcome["choices"] == []
    [stray] = outcome["strays"]
    assert stray["error"]["code"] == "internal_error"


@pytest.mark.kind("delivery")
@pytest.mark.parametrize("workspace", ["reset", "torn"])
def test_a_broken_connection_is_a_connection_error_without_a_status(openai_sdk, workspace):
    outcome = openai_sdk.ask(workspace=workspace)
    assert outcome["raised"] == "APIConnectionError"
    assert outcome["status_code"] is None


@pytest.mark.kind("delivery")
def test_a_body_that_is_no_json_is_a_parse_error(openai_sdk):
    assert openai_sdk.ask(workspace="not_json")["raised"] == "JSONDecodeError"


@pytest.mark.kind("delivery")
def test_a_page_of_html_comes_as_bare_text(openai_sdk):
    assert "<html>" in openai_sdk.ask(workspace="html")["text"]


@pytest.mark.kind("delivery")
@pytest.mark.parametrize("form", [{}, WITH_USAGE], ids=["plain", "stream"])
def test_an_answer_without_an_ending_raises_nothing(openai_sdk, form):
    choice = only(openai_sdk.ask(workspace="no_finish", **form))
    assert choice["content"]
    assert choice["finish_reason"] is None


@pytest.mark.kind("retries")
@pytest.mark.parametrize("workspace", ["passing", "failing"])
def test_the_sdk_tries_a_429_and_a_500_again_with_the_same_body(openai_sdk, workspace):
    name = openai_sdk.own(workspace)
    assert only(openai_sdk.ask(workspace=name, retries=2))["content"]
    calls = openai_sdk.simulator.calls(name)
    assert [call["status"] for call in calls] == [429 if workspace == "passing" else 500, 200]
    assert calls[0]["sha"] == calls[1]["sha"]


@pytest.mark.kind("retries")
@pytest.mark.parametrize(("workspace", "status"), [("inspection", 400), ("arrearage", 400), ("free_tier", 403)])
def test_the_sdk_tries_a_400_and_a_403_once(openai_sdk, workspace, status):
    before = len(openai_sdk.simulator.calls(workspace))
    assert openai_sdk.ask(workspace=workspace, retries=2)["status_code"] == status
    assert len(openai_sdk.simulator.calls(workspace)) == before + 1


@pytest.mark.kind("retries")
def test_a_dropped_connection_is_tried_again_and_paid_for_twice(openai_sdk):
    name = openai_sdk.own("dropped")
    assert only(openai_sdk.ask(workspace=name, retries=1))["content"]
    assert openai_sdk.simulator.bill(name)["qwen-plus"]["calls"] == 2


def test_two_refusals_have_two_request_ids(openai_sdk):
    ids = {openai_sdk.ask(workspace="denied")["request_id"] for _ in range(3)}
    assert len(ids) == 3
    assert all(re.fullmatch(r"[0-9a-f-]{36}", one) for one in ids)
