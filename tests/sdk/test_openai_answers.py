"""What the openai package makes of the simulator's good answers, plain and streamed: content, calls, finish reasons, tokens, ids."""

from __future__ import annotations

import json
import re

import pytest

from tests.sdk.calls import LONG, QUESTION, user
from tests.sdk.media import IMAGE, SOUND

pytestmark = pytest.mark.kind("answers")

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city now.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CLOCK = {
    "type": "function",
    "function": {
        "name": "get_time",
        "description": "The time in a city now.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
FORCED = {"type": "function", "function": {"name": "get_weather"}}
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}, "tags": {"type": "array", "items": {"type": "string"}}},
    "required": ["name", "age", "tags"],
}
WITH_USAGE = {"stream": True, "stream_options": {"include_usage": True}}


def only(answer):
    """The one choice of a good answer whose id is its request id and whose tokens add up."""
    assert "raised" not in answer, answer
    assert UUID.fullmatch(answer["request_id"])
    assert answer["id"] == f"chatcmpl-{answer['request_id']}"
    [choice] = answer["choices"]
    if (usage := answer["usage"]) is not None:
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    return choice


def test_the_driver_runs_the_version_it_is_named_after(openai_sdk):
    assert openai_sdk.version == openai_sdk.sdk.version


def test_a_plain_answer_has_content_an_ending_and_its_tokens(openai_sdk):
    answer = openai_sdk.ask()
    choice = only(answer)
    assert choice["role"] == "assistant"
    assert choice["content"]
    assert choice["reasoning"] is None
    assert choice["tool_calls"] == []
    assert choice["finish_reason"] == "stop"
    assert answer["model"] == "qwen-plus"
    assert answer["usage"]["prompt_tokens"] > 0
    assert answer["usage"]["completion_tokens"] > 0


def test_what_the_sdk_counts_is_what_the_simulator_bills(openai_sdk):
    workspace = openai_sdk.own("billed")
    answers = [
        openai_sdk.ask(workspace=workspace),
        openai_sdk.ask(workspace=workspace, **WITH_USAGE),
        openai_sdk.ask(workspace=workspace, extra_body={"enable_thinking": True}, **WITH_USAGE),
    ]
    owed = openai_sdk.simulator.bill(workspace)["qwen-plus"]
    assert owed["calls"] == 3
    assert owed["input_tokens"] == sum(answer["usage"]["prompt_tokens"] for answer in answers)
    assert owed["output_tokens"] == sum(answer["usage"]["completion_tokens"] for answer in answers)
    assert owed["reasoning_tokens"] == answers[2]["usage"]["completion_tokens_details"]["reasoning_tokens"] > 0


def test_a_long_beginning_asked_again_is_told_as_cached(openai_sdk):
    messages = [{"role": "system", "content": LONG}, *user(QUESTION)]
    first, second = [openai_sdk.ask(workspace=openai_sdk.own("cached"), messages=messages)["usage"] for _ in range(2)]
    assert first["prompt_tokens_details"]["cached_tokens"] == 0
    assert 0 < second["prompt_tokens_details"]["cached_tokens"] <= second["prompt_tokens"]
    assert first["prompt_tokens"] == second["prompt_tokens"]


@pytest.mark.parametrize(("limit", "reason"), [(3, "length"), (4_000, "stop")])
@pytest.mark.parametrize("form", [{}, WITH_USAGE], ids=["plain", "stream"])
def test_an_answer_is_cut_at_max_tokens_and_says_so(openai_sdk, form, limit, reason):
    answer = openai_sdk.ask(max_tokens=limit, **form)
    assert only(answer)["finish_reason"] == reason
    assert answer["usage"]["completion_tokens"] <= limit


@pytest.mark.parametrize("stop", ["ship", ["galley", "ship"]], ids=["word", "list"])
def test_an_answer_ends_before_a_stop_word(openai_sdk, stop):
    prompt = "Summarise: The first ship left the harbour at dawn. The second one stayed."
    assert "ship" in only(openai_sdk.ask(prompt))["content"]
    stopped = only(openai_sdk.ask(prompt, stop=stop))
    assert "ship" not in stopped["content"]
    assert stopped["finish_reason"] == "stop"


@pytest.mark.parametrize("form", [{}, WITH_USAGE], ids=["plain", "stream"])
def test_likelihoods_come_token_by_token_where_they_are_asked_for(openai_sdk, form):
    assert only(openai_sdk.ask(**form))["logprobs"] == []
    choice = only(openai_sdk.ask(logprobs=True, top_logprobs=2, **form))
    assert "".join(token["token"] for token in choice["logprobs"]) == choice["content"]
    assert all(token["logprob"] <= 0 and len(token["top_logprobs"]) == 2 for token in choice["logprobs"])


def test_two_answers_come_for_n_2_and_both_are_counted(openai_sdk):
    one, two = openai_sdk.ask(), openai_sdk.ask(n=2)
    assert [bool(choice["content"]) for choice in two["choices"]] == [True, True]
    assert [choice["finish_reason"] for choice in two["choices"]] == ["stop", "stop"]
    assert two["usage"]["prompt_tokens"] == one["usage"]["prompt_tokens"]
    assert two["usage"]["completion_tokens"] > one["usage"]["completion_tokens"]


def test_two_answers_of_a_stream_are_told_apart_by_their_index(openai_sdk):
    two = openai_sdk.ask(n=2, **WITH_USAGE)
    assert [bool(choice["content"]) for choice in two["choices"]] == [True, True]
    assert [choice["finish_reason"] for choice in two["choices"]] == ["stop", "stop"]


@pytest.mark.kind("streams")
def test_a_stream_tells_its_tokens_once_at_the_end_where_it_was_asked_to(openai_sdk):
    answer = openai_sdk.ask(**WITH_USAGE)
    choice = only(answer)
    assert choice["content"]
    assert choice["finish_reason"] == "stop"
    assert answer["chunks"] >= 4
    assert answer["usages"] == 1
    assert answer["strays"] == []
    assert answer["usage"]["completion_tokens"] > 0


@pytest.mark.kind("streams")
def test_a_stream_tells_no_tokens_where_it_was_not_asked_to(openai_sdk):
    answer = openai_sdk.ask(stream=True)
    assert only(answer)["content"]
    assert only(answer)["finish_reason"] == "stop"
    assert answer["usages"] == 0


@pytest.mark.kind("reasoning")
@pytest.mark.parametrize(
    ("model", "form"),
    [
        ("qwen3.6-plus", {}),
        ("qwen3.6-plus", WITH_USAGE),
        ("qwen-plus", {"extra_body": {"enable_thinking": True}, **WITH_USAGE}),
        ("qwq-plus", WITH_USAGE),
    ],
    ids=["default-plain", "default-stream", "asked-stream", "always-stream"],
)
def test_reasoning_comes_apart_from_the_answer_and_is_part_of_its_tokens(openai_sdk, model, form):
    answer = openai_sdk.ask(model=model, **form)
    choice = only(answer)
    assert choice["reasoning"]
    assert choice["content"]
    assert choice["reasoning"] not in choice["content"]
    usage = answer["usage"]
    assert 0 < usage["completion_tokens_details"]["reasoning_tokens"] < usage["completion_tokens"]


@pytest.mark.kind("reasoning")
def test_thinking_turned_off_leaves_no_reasoning(openai_sdk):
    answer = openai_sdk.ask(model="qwen3.6-plus", extra_body={"enable_thinking": False})
    assert not only(answer)["reasoning"]
    assert not (answer["usage"].get("completion_tokens_details") or {}).get("reasoning_tokens")


@pytest.mark.kind("tools")
@pytest.mark.parametrize("form", [{}, WITH_USAGE], ids=["plain", "stream"])
def test_a_forced_function_is_called_and_finishes_with_stop(openai_sdk, form):
    choice = only(openai_sdk.ask("What is the weather in Hangzhou?", tools=[WEATHER], tool_choice=FORCED, **form))
    assert choice["content"] in {"", None}
    assert choice["finish_reason"] == "stop"
    _called(choice)


@pytest.mark.kind("tools")
@pytest.mark.parametrize("form", [{}, WITH_USAGE], ids=["plain", "stream"])
def test_a_free_choice_calls_the_function_the_question_is_for_and_finishes_with_tool_calls(openai_sdk, form):
    choice = only(openai_sdk.ask("What is the weather in Hangzhou?", tools=[WEATHER], **form))
    assert choice["finish_reason"] == "tool_calls"
    _called(choice)


def _called(choice):
    [call] = choice["tool_calls"]
    assert call["type"] == "function"
    assert call["index"] == 0
    assert re.fullmatch(r"call_[0-9a-f]+", call["id"])
    assert call["function"]["name"] == "get_weather"
    assert json.loads(call["function"]["arguments"]).keys() == {"city"}


@pytest.mark.kind("tools")
@pytest.mark.parametrize("form", [{}, WITH_USAGE], ids=["plain", "stream"])
def test_two_functions_are_called_side_by_side_where_they_may_be(openai_sdk, form):
    prompt = "Call get_weather and get_time for Hangzhou."
    choice = only(openai_sdk.ask(prompt, tools=[WEATHER, CLOCK], parallel_tool_calls=True, **form))
    assert choice["finish_reason"] == "tool_calls"
    assert [call["index"] for call in choice["tool_calls"]] == [0, 1]
    assert {call["function"]["name"] for call in choice["tool_calls"]} == {"get_weather", "get_time"}
    assert all(json.loads(call["function"]["arguments"]).keys() == {"city"} for call in choice["tool_calls"])
    assert len({call["id"] for call in choice["tool_calls"]}) == 2


@pytest.mark.kind("tools")
def test_no_function_is_called_where_none_may_be(openai_sdk):
    choice = only(openai_sdk.ask("What is the weather in Hangzhou?", tools=[WEATHER], tool_choice="none"))
    assert choice["tool_calls"] == []
    assert choice["content"]
    assert choice["finish_reason"] == "stop"


@pytest.mark.kind("tools")
def test_what_a_function_returned_is_answered_in_words(openai_sdk):
    asked = only(openai_sdk.ask("What is the weather in Hangzhou?", tools=[WEATHER], tool_choice=FORCED))
    [call] = asked["tool_calls"]
    messages = [
        {"role": "user", "content": "What is the weather in Hangzhou?"},
        {"role": "assistant", "content": "", "tool_calls": asked["tool_calls"]},
        {"role": "tool", "tool_call_id": call["id"], "content": "Rain, 14 degrees."},
    ]
    choice = only(openai_sdk.ask(messages=messages, tools=[WEATHER]))
    assert choice["content"]
    assert choice["finish_reason"] == "stop"


@pytest.mark.kind("json")
@pytest.mark.parametrize("form", [{}, WITH_USAGE], ids=["plain", "stream"])
def test_json_mode_answers_an_object(openai_sdk, form):
    prompt = "Extract name and age as JSON: Li Wei is 41 years old."
    choice = only(openai_sdk.ask(prompt, response_format={"type": "json_object"}, **form))
    assert isinstance(json.loads(choice["content"]), dict)


@pytest.mark.kind("json")
@pytest.mark.parametrize("form", [{}, WITH_USAGE], ids=["plain", "stream"])
def test_a_schema_is_answered_by_an_object_that_fits_it(openai_sdk, form):
    schema = {"type": "json_schema", "json_schema": {"name": "person", "strict": True, "schema": PERSON}}
    told = json.loads(only(openai_sdk.ask("Who is it? Li Wei is 41 years old.", response_format=schema, **form))["content"])
    assert {name: type(value) for name, value in told.items()} == {"name": str, "age": int, "tags": list}


@pytest.mark.kind("media")
@pytest.mark.parametrize("url", [IMAGE, "https://example.com/beach.png"], ids=["data-url", "http-url"])
def test_an_image_is_answered_and_its_tokens_are_told_apart(openai_sdk, url):
    parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "What is this?"}]
    answer = openai_sdk.ask(parts, model="qwen-vl-plus")
    assert only(answer)["content"]
    itemised = answer["usage"]["prompt_tokens_details"]
    assert itemised["image_tokens"] > 0
    assert itemised["text_tokens"] > 0
    assert itemised["image_tokens"] + itemised["text_tokens"] == answer["usage"]["prompt_tokens"]


@pytest.mark.kind("media")
def test_a_sound_is_answered_as_a_stream_and_its_tokens_are_told_apart(openai_sdk):
    parts = [{"type": "input_audio", "input_audio": {"data": SOUND, "format": "wav"}}, {"type": "text", "text": "What is said?"}]
    answer = openai_sdk.ask(parts, model="qwen3-omni-flash", modalities=["text"], **WITH_USAGE)
    assert only(answer)["content"]
    itemised = answer["usage"]["prompt_tokens_details"]
    assert itemised["audio_tokens"] > 0
    assert itemised["audio_tokens"] + itemised["text_tokens"] == answer["usage"]["prompt_tokens"]


@pytest.mark.kind("media")
def test_a_video_is_answered_and_its_tokens_are_told_apart(openai_sdk):
    parts = [{"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}, "fps": 2}, {"type": "text", "text": "What happens?"}]
    answer = openai_sdk.ask(parts, model="qwen-vl-max")
    assert only(answer)["content"]
    assert answer["usage"]["prompt_tokens_details"]["video_tokens"] > 0
