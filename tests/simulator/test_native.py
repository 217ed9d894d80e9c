"""DashScope's own dialect: recorded shapes, streams that make up the plain answer, refusals, and which model answers where."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from pydantic import SecretStr

from batchrun.simulator.scenario import Mishap, PlannedFault, SimulatedWorkspace
from batchrun.simulator.service import Call, Service
from tests.simulator.fixtures import CHAT, LEGAL, MARKETING, MULTIMODAL, NOW, TEXT, answered, chat, native, native_events, scenario

PICTURE = [{"image": "https://example.invalid/a.png"}, {"text": "What is this?"}]
FILM = [{"video": "https://example.invalid/a.mp4"}, {"text": "What happens?"}]
SOUND = [{"audio": "https://example.invalid/a.mp3"}, {"text": "Who speaks?"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tells the weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "unit": {"enum": ["celsius", "kelvin"]}}},
    },
}
FORCED = {"type": "function", "function": {"name": "get_weather"}}


def shape(value: Any) -> Any:
    """The keys in their order and the types of values: what two answers of one form have in common."""
    if isinstance(value, dict):
        return [(name, shape(each)) for name, each in value.items()]
    if isinstance(value, list):
        return [shape(each) for each in value[:1]]
    return type(value)


RECORDED: dict[str, tuple[Call, dict[str, Any], dict[str, Any]]] = {
    "a text": (
        native(),
        {"output": {"finish_reason": "stop", "text": "x"}},
        {"prompt_tokens_details": {"cached_tokens": 0}, "total_tokens": 30, "output_tokens": 14, "input_tokens": 16},
    ),
    "a message": (
        native(result_format="message"),
        {"output": {"choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": "x"}}]}},
        {"prompt_tokens_details": {"cached_tokens": 0}, "total_tokens": 30, "output_tokens": 14, "input_tokens": 16},
    ),
    "a message by default": (
        native(model="qwen-long"),
        {"output": {"choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": "x"}}]}},
        {"prompt_tokens_details": {"cached_tokens": 0}, "total_tokens": 30, "output_tokens": 14, "input_tokens": 16},
    ),
    "a thought": (
        native(model="qwen3-max", enable_thinking=True),
        {"output": {"choices": [{"finish_reason": "stop", "message": {"content": "x", "reasoning_content": "x", "role": "assistant"}}]}},
        {
            "prompt_tokens_details": {"cached_tokens": 0},
            "total_tokens": 33,
            "output_tokens": 21,
            "input_tokens": 12,
            "output_tokens_details": {"reasoning_tokens": 20},
        },
    ),
    "a call of a function": (
        native(model="qwen3-max", tools=[WEATHER], tool_choice=FORCED),
        {
            "output": {
                "choices": [
                    {
                        "finish_reason": "stop",
                        "message": {
                            "role": "assistant",
                            "content": "",
                            "tool_calls": [
                                {"function": {"name": "x", "arguments": "{}"}, "index": 0, "id": "call_x", "type": "function"},
                            ],
                        },
                    }
                ]
            }
        },
        {"prompt_tokens_details": {"cached_tokens": 0}, "total_tokens": 30, "output_tokens": 14, "input_tokens": 16},
    ),
    "a picture, qwen-vl-plus 2024-11": (
        native(PICTURE, path=MULTIMODAL, model="qwen-vl-plus"),
        {"output": {"choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": [{"text": "x"}]}}]}},
        {"output_tokens": 3, "input_tokens": 3613, "image_tokens": 3577},
    ),
    "a film, qwen-vl-max 2024-11": (
        native(FILM, path=MULTIMODAL, model="qwen-vl-max"),
        {"output": {"choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": [{"text": "x"}]}}]}},
        {"output_tokens": 180, "video_tokens": 1440, "input_tokens": 1466},
    ),
    "a sound, qwen-audio-turbo 2024-02": (
        native(SOUND, path=MULTIMODAL, model="qwen-audio-turbo"),
        {"output": {"choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": [{"text": "x"}]}}]}},
        {"audio_tokens": 752, "output_tokens": 38, "input_tokens": 786},
    ),
    "a film, newer": (
        native(FILM, path=MULTIMODAL, model="qwen3-vl-plus"),
        {"output": {"choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": [{"text": "x"}]}}]}},
        {
            "input_tokens_details": {"video_tokens": 3586, "text_tokens": 18},
            "prompt_tokens_details": {"cached_tokens": 0},
            "total_tokens": 3887,
            "output_tokens": 283,
            "video_tokens": 3586,
            "input_tokens": 3604,
            "output_tokens_details": {"text_tokens": 283},
        },
    ),
    "a picture, qwen3.6-plus 2026-04": (
        native(PICTURE, path=MULTIMODAL, model="qwen3.6-plus"),
        {
            "output": {
                "choices": [
                    {"finish_reason": "stop", "message": {"content": [{"text": "x"}], "reasoning_content": "x", "role": "assistant"}},
                ]
            }
        },
        {
            "input_tokens_details": {"image_tokens": 2503, "text_tokens": 304},
            "prompt_tokens_details": {"cached_tokens": 0},
            "total_tokens": 2910,
            "output_tokens": 103,
            "input_tokens": 2807,
            "output_tokens_details": {"reasoning_tokens": 38, "text_tokens": 65},
            "image_tokens": 2503,
        },
    ),
}


@pytest.mark.parametrize("name", RECORDED)
def test_a_plain_answer_has_the_recorded_shape_and_nothing_besides(name):
    call, output, usage = RECORDED[name]
    plan = Service(scenario()).answer(call, NOW)
    body = orjson.loads(plan.body)
    assert shape(body) == shape({**output, "usage": usage, "request_id": "x"})
    assert plan.headers["x-request-id"] == body["request_id"]
    assert plan.headers["content-type"] == "application/json"


def test_a_prompt_is_a_message_and_what_stands_beside_parameters_is_dropped():
    def asked(**given: Any) -> Any:
        body = {"model": "qwen-plus", "input": {"prompt": "Why is the sky blue?"}, **given}
        told = answered(Service(scenario()), Call("POST", TEXT, {"authorization": f"Bearer {MARKETING}"}, orjson.dumps(body)))
        return told["output"], told["usage"]["input_tokens"]

    dropped, plain = asked(temperature=9, result_format="message", tools=[WEATHER], stream=True), asked()
    assert dropped[1] == plain[1] == answered(Service(scenario()), native())["usage"]["input_tokens"]
    assert list(dropped[0]) == ["finish_reason", "text"]


STREAMED: dict[str, dict[str, Any]] = {
    "text": {},
    "message": {"result_format": "message"},
    "thought": {"model": "qwen3.6-plus"},
    "several": {"model": "qwen3-max", "n": 3},
    "cut": {"max_tokens": 5, "result_format": "message"},
    "call": {"prompt": "Tell me the weather: call get_weather for Paris", "tools": [WEATHER], "result_format": "message"},
    "picture": {"prompt": PICTURE, "path": MULTIMODAL, "model": "qwen3-vl-plus"},
    "old picture": {"prompt": PICTURE, "path": MULTIMODAL, "model": "qwen-vl-plus"},
    "thought about a picture": {"prompt": PICTURE, "path": MULTIMODAL, "model": "qwen3.7-plus"},
    "search": {"model": "qwen-plus", "enable_search": True, "result_format": "message"},
}


def text_of(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def assembled(events: list[Any], *, incremental: bool) -> dict[int, tuple[str, str, list[Any], str]]:
    """By choice: reasoning, content, calls and finish, as a client would join them."""
    made: dict[int, tuple[str, str, list[Any], str]] = {}
    for event in events:
        choice = event["output"].get("choices", [None])[0]
        place = choice.get("index", 0) if choice else 0
        message = choice["message"] if choice else {"content": event["output"]["text"]}
        new = message.get("reasoning_content", ""), text_of(message["content"])
        before = made.get(place, ("", "", [], ""))
        finish = (choice or event["output"])["finish_reason"]
        assert before[3] in {"", "null"}, "nothing comes after the end"
        if incremental:
            calls = joined(before[2], message.get("tool_calls", []))
            made[place] = (before[0] + new[0], before[1] + new[1], calls, finish)
        else:
            made[place] = (*new, message.get("tool_calls", []), finish)
    return made


def joined(calls: list[Any], more: list[Any]) -> list[Any]:
    for new in more:
        if new["id"]:
            calls = [*calls, new]
        else:
            calls[new["index"]]["function"]["arguments"] += new["function"]["arguments"]
    return calls


@pytest.mark.parametrize("incremental", [True, False])
@pytest.mark.parametrize("name", STREAMED)
def test_a_stream_makes_up_the_plain_answer_with_the_same_usage(name, incremental):
    asked: dict[str, Any] = {**STREAMED[name], "incremental_output": incremental}
    plain = answered(Service(scenario()), native(**asked))
    service = Service(scenario())
    plan = service.answer(native(**asked, stream=True), NOW)
    events = native_events(plan.body)
    assert plan.headers["content-type"] == "text/event-stream;charset=UTF-8"
    assert plan.headers["x-dashscope-finished"] == "false"
    assert [list(event) for event in events] == [["output", "usage", "request_id"]] * len(events)
    assert {event["request_id"] for event in events} == {plan.headers["x-request-id"]}
    assert events[-1]["usage"] == plain["usage"]
    outputs = [event["usage"]["output_tokens"] for event in events]
    assert outputs == sorted(outputs)
    finishes = [(event["output"].get("choices") or [event["output"]])[0]["finish_reason"] for event in events]
    assert set(finishes) == {"null", finishes[-1]}
    assert finishes[0] == "null"
    assert outputs[-1] == service.bill()["total"]["output_tokens"]
    made = assembled(events, incremental=incremental)
    choices = plain["output"].get("choices") or [{"message": {"content": plain["output"]["text"]}, **plain["output"]}]
    for place, choice in enumerate(choices):
        message = choice["message"]
        calls = [{**call, "function": call["function"]} for call in message.get("tool_calls", [])]
        assert made[place] == (message.get("reasoning_content", ""), text_of(message["content"]), calls, choice["finish_reason"])


def test_a_stream_is_asked_for_by_either_header():
    for headers in ({"x-dashscope-sse": "enable"}, {"accept": "text/event-stream"}, {"accept": "text/event-stream, */*"}):
        assert len(native_events(Service(scenario()).answer(native(headers=headers), NOW).body)) > 2
    orjson.loads(Service(scenario()).answer(native(headers={"accept": "*/*", "x-dashscope-sse": "disable"}), NOW).body)


def test_reasoning_comes_first_and_an_empty_multimodal_delta_is_an_empty_list():
    call = native(PICTURE, path=MULTIMODAL, model="qwen3.6-plus", stream=True, incremental_output=True)
    messages = [event["output"]["choices"][0]["message"] for event in native_events(Service(scenario()).answer(call, NOW).body)]
    thinking = [message["content"] == [] and message["reasoning_content"] != "" for message in messages[:-1]]
    assert thinking[0]
    assert thinking == sorted(thinking, reverse=True)
    assert messages[-1] == {"content": [], "reasoning_content": "", "role": "assistant"}


BURST = (
    "Request rate increased too quickly. To ensure system stability, please adjust your client logic to scale requests more "
    "smoothly over time."
)
TWINS = {
    "throttle": (429, "limit_requests", "Throttling.RateQuota", "Requests rate limit exceeded, please try again later."),
    "burst": (
        429,
        "limit_burst_rate",
        "Throttling.BurstRate",
        BURST,
    ),
    "token_quota": (
        429,
        "insufficient_quota",
        "Throttling.AllocationQuota",
        "Allocated quota exceeded, please increase your quota limit.",
    ),
    "internal": (
        500,
        "internal_error",
        "InternalError",
        "An internal error has occured, please try again later or contact service support.",
    ),
    "unavailable": (503, "ModelUnavailable", "ModelUnavailable", "Model is unavailable, please try again later."),
    "inspection": (400, "data_inspection_failed", "DataInspectionFailed", "Input data may contain inappropriate content."),
    "arrearage": (400, "Arrearage", "Arrearage", "Access denied, please make sure your account is in good standing."),
    "workspace_denied": (403, "Workspace.AccessDenied", "Workspace.AccessDenied", "Workspace access denied."),
    "unpurchased": (
        403,
        "AccessDenied.Unpurchased",
        "AccessDenied.Unpurchased",
        "Access to model denied. Please make sure you are eligible for using the model.",
    ),
    "too_large": (413, "BadRequest.TooLarge", "BadRequest.TooLarge", "Payload Too Large."),
}


@pytest.mark.parametrize("kind", TWINS)
def test_a_planned_error_has_its_native_twin(kind):
    status, compat_code, native_code, message = TWINS[kind]
    service = Service(scenario(PlannedFault(kind=Mishap(kind), every=1)))
    compat, own = service.answer(chat(), NOW), service.answer(native(), NOW)
    assert [plan.status for plan in (compat, own)] == [status, status]
    assert orjson.loads(compat.body)["error"]["code"] == compat_code
    request_id = own.headers["x-request-id"]
    assert own.body == orjson.dumps({"code": native_code, "message": message, "request_id": request_id})
    assert [note["code"] for note in service.calls()] == [compat_code, native_code]


REFUSED = [
    ({"key": "sk-fake-other"}, 401, "invalid_api_key", "InvalidApiKey", "Invalid API-key provided."),
    ({"key": LEGAL, "model": "qwen-max"}, 403, "Model.AccessDenied", "Model.AccessDenied", "Model access denied."),
    ({"model": "xxx"}, 404, "model_not_found", "ModelNotFound", "Model can not be found."),
    (
        {"model": None},
        400,
        "invalid_request_error",
        "BadRequest.EmptyModel",
        'Required parameter "model" missing from request.',
    ),
    ({"temperature": 2}, 400, "invalid_parameter_error", "InvalidParameter", "Temperature should be in [0.0, 2.0)"),
    (
        {"model": "qwen-max", "enable_thinking": True},
        400,
        "InvalidParameter.NotSupportEnableThinking",
        "InvalidParameter.NotSupportEnableThinking",
        "The model qwen-max does not support enable_thinking.",
    ),
]


@pytest.mark.parametrize(("fields", "status", "compat_code", "native_code", "message"), REFUSED)
def test_a_refusal_has_its_native_twin(fields, status, compat_code, native_code, message):
    service = Service(scenario())
    compat, own = service.answer(chat(**fields), NOW), service.answer(native(**fields), NOW)
    assert [plan.status for plan in (compat, own)] == [status, status]
    assert orjson.loads(compat.body)["error"]["code"] == compat_code
    assert own.body == orjson.dumps({"code": native_code, "message": message, "request_id": own.headers["x-request-id"]})
    assert any(name.startswith("x-dashscope") for name in own.headers) == (status != 401)
    assert service.bill()["total"]["calls"] == 0


def test_a_native_400_of_a_stream_comes_inside_a_good_one_and_other_refusals_keep_their_status():
    service = Service(scenario())
    plan = service.answer(native(temperature=2, stream=True), NOW)
    assert (plan.status, plan.headers["content-type"]) == (200, "text/event-stream;charset=UTF-8")
    assert plan.body.decode() == (
        'id:1\nevent:error\n:HTTP_STATUS/400\ndata:{"code":"InvalidParameter","message":"Temperature should be in [0.0, 2.0)",'
        f'"request_id":"{plan.headers["x-request-id"]}"}}\n\n'
    )
    assert service.answer(native(stream=True, key="sk-fake-other"), NOW).status == 401
    assert service.answer(native(stream=True, model="xxx"), NOW).status == 404
    assert service.answer(chat(temperature=2, stream=True), NOW).status == 400


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "InvalidParameter"),
        (b"[]", "InvalidParameter"),
        (b'{"model":"qwen-plus"}', "BadRequest.EmptyInput"),
        (b'{"model":"qwen-plus","input":5}', "InvalidParameter"),
        (b'{"model":"qwen-plus","input":{}}', "InvalidParameter"),
        (b'{"model":"qwen-plus","input":{"prompt":7}}', "InvalidParameter"),
        (b'{"model":"qwen-plus","input":{"prompt":"x"},"parameters":[]}', "InvalidParameter"),
    ],
)
def test_a_native_body_that_asks_nothing_is_refused(body, code):
    plan = Service(scenario()).answer(Call("POST", TEXT, {"authorization": f"Bearer {MARKETING}"}, body), NOW)
    assert (plan.status, orjson.loads(plan.body)["code"]) == (400, code)


STREAM_ONLY = "This model only support stream mode, please enable the stream parameter to access the model. "
WRONG_ROUTE = "url error, please check url！ For details, see: https://help.aliyun.com/zh/model-studio/error-code#error-url"
NOT_PLAIN = "parameter.enable_thinking must be set to false for non-streaming calls"
FACTS = [
    (chat(model="qwq-plus"), STREAM_ONLY),
    (chat(model="qvq-max"), STREAM_ONLY),
    (chat(model="qwen-omni-turbo"), STREAM_ONLY),
    (chat(model="qwen3-omni-flash"), STREAM_ONLY),
    (chat(model="qwen-omni-turbo", modalities=["text", "audio"]), "'audio' output only support with stream=true"),
    (chat(model="qwen3-32b"), NOT_PLAIN),
    (chat(model="qwen-plus", enable_thinking=True), NOT_PLAIN),
    (chat(model="qwen3-32b", enable_thinking=False), None),
    (chat(model="qwen3.6-plus", enable_thinking=True), None),
    (chat(model="qwen3-235b-a22b-instruct-2507"), None),
    (
        chat(model="qwq-plus", stream=True, enable_thinking=False),
        "The value of the enable_thinking parameter is restricted to True.",
    ),
    (chat(model="qwen-audio-turbo"), "Unsupported model `qwen-audio-turbo` for OpenAI compatibility mode."),
    (
        chat(
            model="qwen-plus",
            messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.invalid/a.png"}}]}],
        ),
        "input content must be a string.",
    ),
    (native(model="qwq-plus"), STREAM_ONLY),
    (native(model="qwen3-32b"), NOT_PLAIN),
    (native(model="qwen-vl-plus"), WRONG_ROUTE),
    (native(model="qwen-audio-turbo"), WRONG_ROUTE),
    (native(model="qwen-plus", path=MULTIMODAL), WRONG_ROUTE),
    (native(model="qwen-omni-turbo"), WRONG_ROUTE),
    (native(model="qwen-omni-turbo", path=MULTIMODAL), WRONG_ROUTE),
    (native(model="qwen3.6-plus"), None),
    (native(model="qwen3.6-plus", path=MULTIMODAL), None),
    (native(seed=2**63 - 1), None),
    (native(seed=2**63), "Range of seed should be [0, 9223372036854775807]"),
    (native(seed=-1), "Range of seed should be [0, 9223372036854775807]"),
    (chat(seed=2**31), "2147483648 is greater than the maximum of 2147483647 - 'seed'"),
    (
        native(enable_thinking=True, stream=True),
        'The result_format parameter must be "message" when enable_thinking is true',
    ),
    (
        native(enable_thinking=True, stream=True, result_format="message"),
        'The incremental_output parameter must be "true" when enable_thinking is true',
    ),
    (native(enable_thinking=True, stream=True, result_format="message", incremental_output=True), None),
    (
        native(model="qwq-plus", stream=True, incremental_output=False),
        "The incremental_output parameter of this model cannot be set to False.",
    ),
    (native(model="qwen3-max", enable_thinking=True, thinking_budget=0), "The thinking_budget parameter must be a positive integer and"),
    (
        native([{"image": "C:/pictures/a.png"}], path=MULTIMODAL, model="qwen-vl-plus"),
        "The provided URL does not appear to be valid. Ensure it is correctly formatted.",
    ),
    (native("word " * 30_000, model="qwen-max"), "Range of input length should be [1, 30720]"),
    (native("word " * 20_000, model="qwen-max"), None),
    (native(headers={"x-dashscope-async": "enable"}), "current user api does not support asynchronous calls."),
]


@pytest.mark.parametrize(("call", "said"), FACTS, ids=lambda each: each.path[-10:] if isinstance(each, Call) else None)
def test_a_model_answers_where_and_how_the_provider_says(call, said):
    service = Service(scenario())
    plan = service.answer(call, NOW)
    if said is None:
        assert b"error" not in plan.body
        assert plan.status == 200
    else:
        assert orjson.dumps(said)[1:-1] in plan.body
        assert service.bill()["total"]["calls"] == 0


def test_a_tuned_deployment_is_called_natively_by_its_own_workspace_alone():
    workspaces = {
        "marketing": SimulatedWorkspace(api_key=SecretStr(MARKETING), deployments=("qwen-plus-tuned-1",), models=()),
        "legal": SimulatedWorkspace(api_key=SecretStr(LEGAL)),
    }
    service = Service(scenario(workspaces=workspaces))

    def code(call: Call) -> Any:
        told = orjson.loads(service.answer(call, NOW).body)
        return told.get("code") or told.get("error", {}).get("code")

    assert code(native(model="qwen-plus-tuned-1")) is None
    assert code(native(model="qwen-plus-tuned-1", path=MULTIMODAL)) is None
    assert code(native(model="qwen-plus-tuned-1", key=LEGAL)) == "Model.AccessDenied"
    assert code(chat(model="qwen-plus-tuned-1")) == "model_not_supported"
    assert code(native(model="qwen-plus")) == "Model.AccessDenied"


def test_a_finance_host_has_no_multimodal_route():
    service = Service(scenario(cloud="finance"))
    calls = [chat(), native(), native(model="qwen3-vl-plus", path=MULTIMODAL)]
    assert [service.answer(call, NOW).status for call in calls] == [200, 200, 404]


@pytest.mark.parametrize("path", [CHAT, TEXT, MULTIMODAL])
def test_a_chat_route_takes_posts_alone(path):
    plan = Service(scenario()).answer(Call("GET", path, {"authorization": f"Bearer {MARKETING}"}, b""), NOW)
    assert plan.status == 400
    assert b"Request method 'GET' is not supported." in plan.body
