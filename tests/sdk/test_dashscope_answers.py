"""What the dashscope package makes of the simulator's good answers on the native routes, plain and streamed."""

from __future__ import annotations

import json
import re
from itertools import pairwise

import pytest

from tests.sdk.calls import LONG, QUESTION, user
from tests.sdk.media import IMAGE, SOUND
from tests.sdk.test_openai_answers import CLOCK, FORCED, UUID, WEATHER

pytestmark = pytest.mark.kind("answers")

MESSAGE = {"result_format": "message"}
INCREMENTS = {"stream": True, "incremental_output": True}
IN_HANGZHOU = user("What is the weather in Hangzhou?")


def good(response):
    """A good response: the SDK's status and codes, a request id, and tokens that add up where they are added up."""
    assert {name: response.get(name) for name in ("status_code", "code", "message")} == {"status_code": 200, "code": "", "message": ""}
    assert UUID.fullmatch(response["request_id"])
    assert response["header"] == response["request_id"]
    usage = response["usage"]
    assert usage.get("total_tokens", usage["input_tokens"] + usage["output_tokens"]) == usage["input_tokens"] + usage["output_tokens"]
    return response


def choice_of(response):
    [choice] = good(response)["output"]["choices"]
    return choice


def streamed(outcome):
    """The good responses of a stream: one request id, tokens that never go back, an ending in the last alone."""
    assert "raised" not in outcome, outcome
    responses = outcome["responses"]
    assert len(responses) >= 3
    assert len({good(response)["request_id"] for response in responses}) == 1
    spent = [response["usage"]["output_tokens"] for response in responses]
    assert spent == sorted(spent)
    return responses


def endings(responses):
    return [(response["output"]["choices"] or [response["output"]])[0]["finish_reason"] for response in responses]


def said(responses):
    """What each response of a stream holds, be it a text, a message, or a message's parts."""
    return [_text(response["output"]) for response in responses]


def _text(output):
    if not output["choices"]:
        return output["text"]
    content = output["choices"][0]["message"]["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def thought(responses):
    return "".join(response["output"]["choices"][0]["message"].get("reasoning_content") or "" for response in responses)


def test_the_driver_runs_the_version_it_is_named_after(dashscope_sdk):
    assert dashscope_sdk.version == dashscope_sdk.sdk.version


@pytest.mark.parametrize("asked", [{"prompt": QUESTION}, {"messages": user(QUESTION)}], ids=["prompt", "messages"])
@pytest.mark.parametrize("form", [{}, {"result_format": "text"}], ids=["default", "text"])
def test_an_answer_as_text_has_an_ending_and_its_tokens(dashscope_sdk, form, asked):
    response = good(dashscope_sdk.generate(**asked, **form))
    assert response["output"]["text"]
    assert response["output"]["finish_reason"] == "stop"
    assert not response["output"]["choices"]
    assert response["usage"]["input_tokens"] > 0
    assert response["usage"]["output_tokens"] > 0


@pytest.mark.parametrize("asked", [{"prompt": QUESTION}, {"messages": user(QUESTION)}], ids=["prompt", "messages"])
def test_an_answer_as_a_message_has_a_role_and_an_ending(dashscope_sdk, asked):
    choice = choice_of(dashscope_sdk.generate(**asked, **MESSAGE))
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["content"]
    assert choice["finish_reason"] == "stop"


@pytest.mark.parametrize("model", ["qwen3-max", "qwen-long", "qwen3.6-plus"])
def test_newer_models_answer_with_a_message_unasked(dashscope_sdk, model):
    choice = choice_of(dashscope_sdk.generate(model=model, enable_thinking=False))
    assert choice["message"]["content"]
    assert choice["finish_reason"] == "stop"


@pytest.mark.parametrize("form", [{}, MESSAGE, {"stream": True}], ids=["text", "message", "stream"])
def test_the_asynchronous_call_gets_what_the_plain_one_gets(dashscope_sdk, form):
    plain, awaited = dashscope_sdk.generate(**form), dashscope_sdk.generate_async(**form)
    texts = [said(outcome["responses"] if "responses" in outcome else [good(outcome)])[-1] for outcome in (plain, awaited)]
    assert all(texts)


def test_what_the_sdk_counts_is_what_the_simulator_bills(dashscope_sdk):
    workspace = dashscope_sdk.own("billed")
    responses = [
        dashscope_sdk.generate(workspace=workspace),
        dashscope_sdk.generate(workspace=workspace, **INCREMENTS)["responses"][-1],
        dashscope_sdk.generate(workspace=workspace, enable_thinking=True, **INCREMENTS, **MESSAGE)["responses"][-1],
    ]
    owed = dashscope_sdk.simulator.bill(workspace)["qwen-plus"]
    assert owed["calls"] == 3
    assert owed["input_tokens"] == sum(response["usage"]["input_tokens"] for response in responses)
    assert owed["output_tokens"] == sum(response["usage"]["output_tokens"] for response in responses)
    assert owed["reasoning_tokens"] == responses[2]["usage"]["output_tokens_details"]["reasoning_tokens"] > 0


def test_a_long_beginning_asked_again_is_told_as_cached(dashscope_sdk):
    messages = [{"role": "system", "content": LONG}, *user(QUESTION)]
    first, second = [dashscope_sdk.generate(workspace=dashscope_sdk.own("cached"), messages=messages) for _ in range(2)]
    assert good(first)["usage"]["prompt_tokens_details"]["cached_tokens"] == 0
    assert 0 < good(second)["usage"]["prompt_tokens_details"]["cached_tokens"] <= second["usage"]["input_tokens"]
    assert first["usage"]["input_tokens"] == second["usage"]["input_tokens"]


@pytest.mark.parametrize(("limit", "reason"), [(3, "length"), (4_000, "stop")])
def test_an_answer_is_cut_at_max_tokens_and_says_so(dashscope_sdk, limit, reason):
    response = dashscope_sdk.generate(max_tokens=limit, **MESSAGE)
    assert choice_of(response)["finish_reason"] == reason
    assert response["usage"]["output_tokens"] <= limit


@pytest.mark.parametrize("stop", ["ship", ["galley", "ship"]], ids=["word", "list"])
def test_an_answer_ends_before_a_stop_word(dashscope_sdk, stop):
    prompt = "Summarise: The first ship left the harbour at dawn. The second one stayed."
    assert "ship" in good(dashscope_sdk.generate(prompt=prompt))["output"]["text"]
    stopped = good(dashscope_sdk.generate(prompt=prompt, stop=stop))["output"]
    assert "ship" not in stopped["text"]
    assert stopped["finish_reason"] == "stop"


def test_likelihoods_come_token_by_token_where_they_are_asked_for(dashscope_sdk):
    assert not choice_of(dashscope_sdk.generate(**MESSAGE)).get("logprobs")
    choice = choice_of(dashscope_sdk.generate(logprobs=True, top_logprobs=2, **MESSAGE))
    told = choice["logprobs"]["content"]
    assert "".join(token["token"] for token in told) == choice["message"]["content"]
    assert all({"token", "bytes", "logprob", "top_logprobs"} == token.keys() and len(token["top_logprobs"]) == 2 for token in told)


def test_two_answers_come_for_n_2_and_both_are_counted(dashscope_sdk):
    one, two = good(dashscope_sdk.generate(**MESSAGE)), good(dashscope_sdk.generate(n=2, **MESSAGE))
    assert [bool(choice["message"]["content"]) for choice in two["output"]["choices"]] == [True, True]
    assert two["usage"]["input_tokens"] == one["usage"]["input_tokens"]
    assert two["usage"]["output_tokens"] > one["usage"]["output_tokens"]


@pytest.mark.kind("streams")
@pytest.mark.parametrize("form", [{}, MESSAGE], ids=["text", "message"])
def test_an_incremental_stream_holds_what_is_new_and_ends_once(dashscope_sdk, form):
    responses = streamed(dashscope_sdk.generate(**INCREMENTS, **form))
    assert set(endings(responses)[:-1]) == {"null"}
    assert endings(responses)[-1] == "stop"
    parts = said(responses)
    assert "".join(parts) not in parts


@pytest.mark.kind("streams")
@pytest.mark.parametrize("form", [{}, MESSAGE], ids=["text", "message"])
@pytest.mark.parametrize("cumulative", [{}, {"incremental_output": False}], ids=["by-default", "merged-by-the-sdk"])
def test_a_cumulative_stream_holds_all_so_far_and_its_last_is_the_answer(dashscope_sdk, cumulative, form):
    responses = streamed(dashscope_sdk.generate(stream=True, **cumulative, **form))
    parts = said(responses)
    assert all(after.startswith(before) for before, after in pairwise(parts))
    assert parts[0] != parts[-1]
    assert endings(responses)[-1] == "stop"


@pytest.mark.kind("streams")
def test_a_newer_models_stream_is_incremental_unasked(dashscope_sdk):
    responses = streamed(dashscope_sdk.generate(model="qwen3-max", stream=True))
    parts = [part for part in said(responses) if part]
    assert not any(after.startswith(before) for before, after in pairwise(parts))
    assert endings(responses)[-1] == "stop"


@pytest.mark.kind("reasoning")
@pytest.mark.parametrize("model", ["qwen-plus", "qwq-plus", "qwen3.6-plus"])
def test_streamed_reasoning_comes_before_the_answer_and_is_part_of_its_tokens(dashscope_sdk, model):
    asked = {} if model == "qwq-plus" else {"enable_thinking": True}
    responses = streamed(dashscope_sdk.generate(model=model, **asked, **INCREMENTS, **MESSAGE))
    assert thought(responses)
    assert "".join(said(responses))
    first_word = next(place for place, part in enumerate(said(responses)) if part)
    assert not thought(responses[first_word + 1 :])
    usage = responses[-1]["usage"]
    assert 0 < usage["output_tokens_details"]["reasoning_tokens"] < usage["output_tokens"]


@pytest.mark.kind("reasoning")
def test_a_newer_model_reasons_in_a_plain_answer(dashscope_sdk):
    response = dashscope_sdk.generate(model="qwen3.6-plus", **MESSAGE)
    message = choice_of(response)["message"]
    assert message["reasoning_content"]
    assert message["content"]
    assert 0 < response["usage"]["output_tokens_details"]["reasoning_tokens"] < response["usage"]["output_tokens"]


@pytest.mark.kind("tools")
def test_a_forced_function_is_called_and_finishes_with_stop(dashscope_sdk):
    choice = choice_of(dashscope_sdk.generate(messages=IN_HANGZHOU, tools=[WEATHER], tool_choice=FORCED, **MESSAGE))
    assert choice["finish_reason"] == "stop"
    _called(choice)


@pytest.mark.kind("tools")
def test_a_free_choice_calls_the_function_the_question_is_for_and_finishes_with_tool_calls(dashscope_sdk):
    choice = choice_of(dashscope_sdk.generate(messages=IN_HANGZHOU, tools=[WEATHER], **MESSAGE))
    assert choice["finish_reason"] == "tool_calls"
    _called(choice)


@pytest.mark.kind("tools")
@pytest.mark.parametrize("form", [{}, {"stream": True}], ids=["plain", "stream"])
def test_two_functions_are_called_side_by_side_where_they_may_be(dashscope_sdk, form):
    messages = user("Call get_weather and get_time for Hangzhou.")
    outcome = dashscope_sdk.generate(messages=messages, tools=[WEATHER, CLOCK], parallel_tool_calls=True, **form, **MESSAGE)
    choice = choice_of(outcome.get("responses", [outcome])[-1])
    assert choice["finish_reason"] == "tool_calls"
    assert {call["function"]["name"] for call in choice["message"]["tool_calls"]} == {"get_weather", "get_time"}
    assert all(json.loads(call["function"]["arguments"]).keys() == {"city"} for call in choice["message"]["tool_calls"])


@pytest.mark.kind("tools")
@pytest.mark.parametrize("cumulative", [{}, {"incremental_output": False}], ids=["by-default", "merged-by-the-sdk"])
def test_a_cumulative_stream_ends_with_the_whole_call(dashscope_sdk, cumulative):
    outcome = dashscope_sdk.generate(messages=IN_HANGZHOU, tools=[WEATHER], tool_choice=FORCED, stream=True, **cumulative, **MESSAGE)
    assert "raised" not in outcome
    _called(choice_of(outcome["responses"][-1]))


def _called(choice):
    assert not choice["message"]["content"]
    [call] = choice["message"]["tool_calls"]
    assert call["type"] == "function"
    assert call["index"] == 0
    assert re.fullmatch(r"call_[0-9a-f]+", call["id"])
    assert call["function"]["name"] == "get_weather"
    assert json.loads(call["function"]["arguments"]).keys() == {"city"}


@pytest.mark.kind("json")
def test_json_mode_answers_an_object(dashscope_sdk):
    asked = user("Extract name and age as JSON: Li Wei is 41 years old.")
    choice = choice_of(dashscope_sdk.generate(messages=asked, response_format={"type": "json_object"}, **MESSAGE))
    assert isinstance(json.loads(choice["message"]["content"]), dict)


MEDIA = {
    "image as a data URL": ("qwen-vl-plus", {"image": IMAGE}, "image_tokens"),
    "image by its address": ("qwen-vl-plus", {"image": "https://example.com/beach.png"}, "image_tokens"),
    "image, newer model": ("qwen3.6-plus", {"image": "https://example.com/beach.png"}, "image_tokens"),
    "sound as a data URL": ("qwen-audio-turbo", {"audio": SOUND}, "audio_tokens"),
    "sound by its address": ("qwen-audio-turbo", {"audio": "https://example.com/a.mp3"}, "audio_tokens"),
    "video by its address": ("qwen-vl-max", {"video": "https://example.com/a.mp4", "fps": 2}, "video_tokens"),
    "video as pictures": ("qwen-vl-max", {"video": ["https://example.com/1.png", "https://example.com/2.png"]}, "video_tokens"),
}


@pytest.mark.kind("media")
@pytest.mark.parametrize("name", MEDIA)
def test_media_are_answered_in_parts_of_text_and_their_tokens_are_told_apart(dashscope_sdk, name):
    model, part, tokens = MEDIA[name]
    response = dashscope_sdk.converse(part, {"text": "What is this?"}, model=model)
    choice = choice_of(response)
    assert [list(part) for part in choice["message"]["content"]] == [["text"]]
    assert choice["message"]["content"][0]["text"]
    assert choice["finish_reason"] == "stop"
    assert 0 < response["usage"][tokens] < response["usage"]["input_tokens"]


@pytest.mark.kind("media")
def test_an_incremental_stream_about_a_picture_holds_what_is_new(dashscope_sdk):
    responses = streamed(dashscope_sdk.converse({"image": IMAGE}, {"text": "What is this?"}, **INCREMENTS))
    assert "".join(said(responses)) not in said(responses)
    assert endings(responses)[-1] == "stop"
    assert responses[-1]["usage"]["image_tokens"] > 0


@pytest.mark.kind("media")
@pytest.mark.parametrize("cumulative", [{}, {"incremental_output": False}], ids=["by-default", "merged-by-the-sdk"])
def test_a_cumulative_stream_about_a_picture_holds_all_so_far(dashscope_sdk, cumulative):
    responses = streamed(dashscope_sdk.converse({"image": IMAGE}, {"text": "What is this?"}, stream=True, **cumulative))
    parts = said(responses)
    assert all(after.startswith(before) for before, after in pairwise(parts))
    assert parts[0] != parts[-1]
    assert endings(responses)[-1] == "stop"


@pytest.mark.kind("media")
def test_reasoning_about_a_picture_comes_apart_from_the_answer(dashscope_sdk):
    asked = {"model": "qwen3-vl-plus", "enable_thinking": True}
    responses = streamed(dashscope_sdk.converse({"image": IMAGE}, {"text": "What is this?"}, **asked, **INCREMENTS))
    assert thought(responses)
    assert "".join(said(responses))
