"""What the dashscope package makes of each error of the native routes: it returns status, code and message and hardly ever raises."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from tests.sdk.calls import user
from tests.sdk.environments import DASHSCOPE_1
from tests.sdk.media import IMAGE
from tests.sdk.scenario import CODES
from tests.sdk.test_dashscope_answers import INCREMENTS, MESSAGE, good
from tests.sdk.test_openai_answers import UUID, WEATHER

pytestmark = pytest.mark.kind("errors")


class Expected(NamedTuple):
    """An error of the provider's table as the SDK tells it."""

    status: int
    code: str
    message: str


MIB = 1 << 20
WRONG_ROUTE = Expected(
    400, "InvalidParameter", "url error, please check url！ For details, see: https://help.aliyun.com/zh/model-studio/error-code#error-url"
)
BUSY = "Too many requests. Your requests are being throttled due to system capacity limits. Please try again later."
FREE_TIER = (
    "The free tier of the model has been exhausted. If you wish to continue access the model on a paid basis, please disable "
    'the "use free tier only" mode in the management console.'
)

REFUSALS: dict[str, tuple[dict[str, Any], Expected]] = {
    "wrong key": ({"key": "sk-fake-nobody"}, Expected(401, "InvalidApiKey", "Invalid API-key provided.")),
    "denied model": ({"workspace": "denied"}, Expected(403, "Model.AccessDenied", "Model access denied.")),
    "unknown model": ({"model": "qwen-min"}, Expected(404, "ModelNotFound", "Model can not be found.")),
    "unknown path": ({"base": "/api/v1/nowhere"}, Expected(404, "NotFound", "Not Found")),
    "overdue account": (
        {"workspace": "overdue"},
        Expected(400, "Arrearage", "Access denied, please make sure your account is in good standing."),
    ),
    "too many requests": (
        {"workspace": "throttle"},
        Expected(429, "Throttling.RateQuota", "Requests rate limit exceeded, please try again later."),
    ),
    "growing too fast": (
        {"workspace": "burst"},
        Expected(
            429,
            "Throttling.BurstRate",
            "Request rate increased too quickly. To ensure system stability, please adjust your client logic to scale requests more "
            "smoothly over time.",
        ),
    ),
    "too many tokens": (
        {"workspace": "token_quota"},
        Expected(429, "Throttling.AllocationQuota", "Allocated quota exceeded, please increase your quota limit."),
    ),
    "inspection": (
        {"workspace": "inspection"},
        Expected(400, "DataInspectionFailed", "Input data may contain inappropriate content."),
    ),
    "planned arrears": (
        {"workspace": "arrearage"},
        Expected(400, "Arrearage", "Access denied, please make sure your account is in good standing."),
    ),
    "free tier gone": ({"workspace": "free_tier"}, Expected(403, "AllocationQuota.FreeTierOnly", FREE_TIER)),
    "workspace denied": ({"workspace": "workspace_denied"}, Expected(403, "Workspace.AccessDenied", "Workspace access denied.")),
    "not bought": (
        {"workspace": "unpurchased"},
        Expected(403, "AccessDenied.Unpurchased", "Access to model denied. Please make sure you are eligible for using the model."),
    ),
    "too large": ({"workspace": "too_large"}, Expected(413, "BadRequest.TooLarge", "Payload Too Large.")),
    "internal error": (
        {"workspace": "internal"},
        Expected(500, "InternalError", "An internal error has occured, please try again later or contact service support."),
    ),
    "model timed out": (
        {"workspace": "timeout_500"},
        Expected(
            500,
            "InternalError.Timeout",
            "An internal timeout error has occured during execution, please try again later or contact service support.",
        ),
    ),
    "unavailable": ({"workspace": "unavailable"}, Expected(503, "ModelUnavailable", "Model is unavailable, please try again later.")),
    "serving error": ({"workspace": "serving"}, Expected(503, "ModelServingError", BUSY)),
    "key of another workspace": (
        {"workspace": "NOT AUTHORIZED"},
        Expected(
            401,
            "NOT AUTHORIZED",
            "Access denied: Either you are not authorized to access this workspace, or the workspace does not exist.",
        ),
    ),
    "host of another workspace": (
        {"workspace": "Endpoint.AccessDenied"},
        Expected(403, "Endpoint.AccessDenied", "Workspace endpoint access denied."),
    ),
    "app denied": ({"workspace": "App.AccessDenied"}, Expected(403, "App.AccessDenied", "App access denied.")),
    "workspace unknown": ({"workspace": "WorkSpaceNotFound"}, Expected(404, "WorkSpaceNotFound", "WorkSpace can not be found.")),
    "throttled route": ({"workspace": "Throttling"}, Expected(429, "Throttling", "Requests throttling triggered.")),
    "resources used up": (
        {"workspace": "Throttling.ResourceExhausted"},
        Expected(
            429,
            "Throttling.ResourceExhausted",
            "An error occurred in model serving, error message is: [Too many requests.]",
        ),
    ),
    "request timed out": (
        {"workspace": "RequestTimeOut"},
        Expected(408, "RequestTimeOut", "Request timed out, please try again later."),
    ),
    "inference failed": ({"workspace": "InternalError.Algo"}, Expected(500, "InternalError.Algo", "inference internal error.")),
    "system error": (
        {"workspace": "SystemError"},
        Expected(500, "SystemError", "An system error has occured, please try again later."),
    ),
    "service failed": ({"workspace": "ModelServiceFailed"}, Expected(500, "ModelServiceFailed", "Failed to request model service.")),
}


def failed(response, expected: Expected, *, status: int | None = None):
    """The SDK tells exactly that error, with the request id and without an answer."""
    assert [response.get("status_code"), response.get("code"), response.get("message")] == [
        status or expected.status,
        expected.code,
        expected.message,
    ]
    assert UUID.fullmatch(response["request_id"])
    assert response["header"] == response["request_id"]
    assert response["output"] is None
    assert response["usage"] is None


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_is_returned_with_the_status_code_and_message_of_the_real_one(dashscope_sdk, name):
    arguments, expected = REFUSALS[name]
    failed(dashscope_sdk.generate(**arguments), expected)


@pytest.mark.parametrize("code", CODES)
def test_every_other_error_is_returned_with_its_status_and_code(dashscope_sdk, code):
    response = dashscope_sdk.generate(workspace=code)
    assert response["message"]
    failed(response, Expected(CODES[code], code, response["message"]))


@pytest.mark.parametrize("name", ["wrong key", "denied model", "too many requests", "inspection", "internal error"])
def test_the_asynchronous_call_returns_the_same_refusal(dashscope_sdk, name):
    arguments, expected = REFUSALS[name]
    failed(dashscope_sdk.generate_async(**arguments), expected)


@pytest.mark.parametrize("name", ["wrong key", "overdue account", "too many tokens", "inspection", "internal error"])
def test_the_multimodal_route_refuses_in_the_same_words(dashscope_sdk, name):
    arguments, expected = REFUSALS[name]
    failed(dashscope_sdk.converse({"text": "Hello."}, **arguments), expected)


@pytest.mark.parametrize("name", ["wrong key", "denied model", "unknown model", "too many requests", "too many tokens", "inspection"])
def test_a_stream_that_is_refused_is_one_response_with_the_code(dashscope_sdk, name):
    """Where the error comes as an event, the SDK tells status 400 whatever the event says."""
    arguments, expected = REFUSALS[name]
    [response] = dashscope_sdk.generate(stream=True, **arguments)["responses"]
    assert response["status_code"] in {400, expected.status}
    failed(response, expected, status=response["status_code"])


@pytest.mark.parametrize("mib", [17, 65], ids=["over the bound for text", "over the bound for base64"])
def test_a_body_that_is_too_large_is_refused_with_413(dashscope_sdk, mib):
    failed(dashscope_sdk.generate(prompt="x" * (mib * MIB)), Expected(413, "BadRequest.TooLarge", "Payload Too Large."))


def test_a_model_for_pictures_is_not_on_the_text_route(dashscope_sdk):
    failed(dashscope_sdk.generate(model="qwen-vl-plus"), WRONG_ROUTE)


def test_a_model_for_text_is_not_on_the_multimodal_route(dashscope_sdk):
    failed(dashscope_sdk.converse({"text": "Hello."}, model="qwen-plus"), WRONG_ROUTE)


def test_a_model_of_the_compatible_route_alone_is_on_neither(dashscope_sdk):
    failed(dashscope_sdk.converse({"text": "Hello."}, model="qwen3-omni-flash"), WRONG_ROUTE)


THINKING = {"enable_thinking": True}

PARAMETERS: dict[str, tuple[dict[str, Any], str]] = {
    "temperature": ({"temperature": 2}, "Temperature should be in [0.0, 2.0)"),
    "top_p": ({"top_p": 0}, "Range of top_p should be (0.0, 1.0]"),
    "top_k": ({"top_k": -1}, "Parameter top_k be greater than or equal to 0"),
    "repetition_penalty": ({"repetition_penalty": 0}, "Repetition_penalty should be greater than 0.0"),
    "presence_penalty": ({"presence_penalty": 2.5}, "Presence_penalty should be in [-2.0, 2.0]"),
    "n": ({"n": 5}, "Range of n should be [1, 4]"),
    "seed": ({"seed": 2**63}, "Range of seed should be [0, 9223372036854775807]"),
    "max_tokens": ({"model": "qwen-max", "max_tokens": 8_193}, "Range of max_tokens should be [1, 8192]"),
    "no content": ({"messages": [{"role": "user"}]}, "The content field is a required field."),
    "JSON not mentioned": (
        {"response_format": {"type": "json_object"}, **MESSAGE},
        "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
    ),
    "JSON while thinking": (
        {"messages": user("JSON, please."), "response_format": {"type": "json_object"}, **THINKING, **INCREMENTS, **MESSAGE},
        "Json mode response is not supported when enable_thinking is true",
    ),
    "required tool": (
        {"tools": [WEATHER], "tool_choice": "required", **MESSAGE},
        'tool_choice is one of the strings that should be ["none", "auto"]',
    ),
    "stream-only model": (
        {"model": "qwq-plus"},
        "This model only support stream mode, please enable the stream parameter to access the model. ",
    ),
    "thinking without a stream": (
        {**THINKING, **MESSAGE},
        "parameter.enable_thinking must be set to false for non-streaming calls",
    ),
    "thinking as text": (
        {**THINKING, **INCREMENTS, "result_format": "text"},
        'The result_format parameter must be "message" when enable_thinking is true',
    ),
    "thinking in a cumulative stream": (
        {**THINKING, **MESSAGE, "stream": True},
        'The incremental_output parameter must be "true" when enable_thinking is true',
    ),
    "thinking that cannot be turned off": (
        {"model": "qwq-plus", "enable_thinking": False, **INCREMENTS},
        "The value of the enable_thinking parameter is restricted to True.",
    ),
}


@pytest.mark.kind("parameters")
@pytest.mark.parametrize("name", PARAMETERS)
def test_a_bad_parameter_is_refused_in_the_providers_words(dashscope_sdk, name):
    arguments, message = PARAMETERS[name]
    outcome = dashscope_sdk.generate(**arguments)
    [response] = outcome.get("responses", [outcome])
    failed(response, Expected(400, "InvalidParameter", message))


@pytest.mark.kind("parameters")
def test_thinking_asked_of_a_model_without_thoughts_has_a_code_of_its_own(dashscope_sdk):
    message = "The model qwen-max does not support enable_thinking."
    failed(dashscope_sdk.generate(model="qwen-max", **THINKING), Expected(400, "InvalidParameter.NotSupportEnableThinking", message))


@pytest.mark.kind("parameters")
@pytest.mark.parametrize("name", ["temperature", "max_tokens", "thinking as text"])
def test_a_bad_parameter_of_a_stream_is_one_response_with_the_same_words(dashscope_sdk, name):
    arguments, message = PARAMETERS[name]
    for call in (dashscope_sdk.generate, dashscope_sdk.generate_async):
        [response] = call(**{**arguments, "stream": True})["responses"]
        failed(response, Expected(400, "InvalidParameter", message))


@pytest.mark.kind("parameters")
@pytest.mark.parametrize(
    "arguments",
    [{"temperature": 0}, {"temperature": 1.99}, {"top_p": 1}, {"top_k": 0}, {"presence_penalty": -2}, {"n": 4}, {"seed": 2**63 - 1}],
    ids=str,
)
def test_a_parameter_at_the_edge_of_its_range_is_taken(dashscope_sdk, arguments):
    good(dashscope_sdk.generate(**arguments))


@pytest.mark.kind("delivery")
@pytest.mark.parametrize(
    ("workspace", "code", "message"),
    [
        ("stream_error", "DataInspectionFailed", "Output data may contain inappropriate content."),
        ("stream_native_error", "Throttling.AllocationQuota", "Allocated quota exceeded, please increase your quota limit."),
    ],
)
def test_an_error_in_a_stream_ends_it_with_status_400_and_its_code(dashscope_sdk, workspace, code, message):
    outcome = dashscope_sdk.generate(workspace=workspace, **INCREMENTS)
    assert "raised" not in outcome
    *before, last = outcome["responses"]
    assert before
    assert all(good(response)["output"] for response in before)
    failed(last, Expected(400, code, message))
    assert last["request_id"] == before[0]["request_id"]


@pytest.mark.kind("delivery")
def test_an_error_in_a_stream_about_a_picture_ends_it_the_same_way(dashscope_sdk):
    *before, last = dashscope_sdk.converse({"image": IMAGE}, {"text": "?"}, workspace="stream_error", **INCREMENTS)["responses"]
    assert before
    failed(last, Expected(400, "DataInspectionFailed", "Output data may contain inappropriate content."))


@pytest.mark.kind("delivery")
def test_an_error_in_a_stream_ends_the_asynchronous_one_the_same_way(dashscope_sdk):
    *before, last = dashscope_sdk.generate_async(workspace="stream_error", **INCREMENTS)["responses"]
    assert before
    failed(last, Expected(400, "DataInspectionFailed", "Output data may contain inappropriate content."))


@pytest.mark.kind("delivery")
def test_an_error_under_status_200_escapes_as_a_type_error(dashscope_sdk):
    assert dashscope_sdk.generate(workspace="error_in_200")["raised"] == "TypeError"


@pytest.mark.kind("delivery")
@pytest.mark.parametrize("workspace", ["mislabelled", "not_json", "html"])
def test_what_is_no_json_escapes_as_a_parse_error(dashscope_sdk, workspace):
    assert dashscope_sdk.generate(workspace=workspace)["raised"] == "JSONDecodeError"


@pytest.mark.kind("delivery")
def test_a_broken_body_escapes_as_a_transport_error(dashscope_sdk):
    assert dashscope_sdk.generate(workspace="torn")["raised"] in {"ChunkedEncodingError", "ConnectionError"}


@pytest.mark.kind("retries")
def test_a_dropped_connection_is_tried_again_by_version_2_alone(dashscope_sdk):
    workspace = dashscope_sdk.own("dropped")
    outcome = dashscope_sdk.generate(workspace=workspace)
    calls = dashscope_sdk.simulator.calls(workspace)
    if dashscope_sdk.sdk == DASHSCOPE_1:
        assert outcome["raised"] == "ConnectionError"
        assert len(calls) == 1
    else:
        assert good(outcome)["output"]["text"]
        assert len(calls) == 2


@pytest.mark.kind("retries")
@pytest.mark.parametrize(("workspace", "status"), [("passing", 429), ("failing", 500)])
def test_a_429_and_a_500_are_never_tried_again(dashscope_sdk, workspace, status):
    name = dashscope_sdk.own(workspace)
    assert dashscope_sdk.generate(workspace=name)["status_code"] == status
    assert len(dashscope_sdk.simulator.calls(name)) == 1
