"""Answers that look like answers: by kind of request, within their bounds, in the prompt's language."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from batchrun.simulator import tokens
from batchrun.simulator.phrasing import is_chinese
from batchrun.simulator.service import Service
from tests.simulator.fixtures import NOW, answered, chat, compat_events, native, scenario


def content(prompt: str, **fields) -> str:
    text: str = answered(Service(scenario()), chat(prompt, **fields))["choices"][0]["message"]["content"]
    return text


def test_a_summary_is_made_of_the_texts_leading_sentences():
    text = "The train was late. Passengers waited. Staff handed out water. Refunds were promised. The line reopened. No one was hurt."
    assert content(f"Summarise: {text}") == "The train was late. Passengers waited."
    assert content("总结下文：\n春天来了。花都开了。人们去公园散步。") == "春天来了。"


def test_a_classification_is_one_of_the_labels_on_offer_and_one_the_text_names_if_it_does():
    assert content("Classify the ticket. Labels: billing, delivery, technical\nMy delivery never came.") == "delivery"
    assert content("将下面的评论分类，类别：好评、差评\n颜色不对。") in {"好评", "差评"}
    assert content("What is the sentiment?\nI like it.") in {"positive", "negative", "neutral"}
    assert content(
        "ok", messages=[{"role": "system", "content": "Classify as one of: spam, ham"}, {"role": "user", "content": "Win!"}]
    ) in {
        "spam",
        "ham",
    }


def test_an_extraction_is_a_json_object_with_the_fields_asked_for():
    told = orjson.loads(content("Extract as JSON with fields: name, date, amount\nJane Miller paid 1,250.50 on 2025-03-12."))
    assert told == {"name": "Jane Miller", "date": "2025-03-12", "amount": 1250.5}
    assert isinstance(orjson.loads(content("Say it in JSON: the sky", response_format={"type": "json_object"})), dict)


def test_a_schema_is_met():
    properties = {"title": {"type": "string"}, "count": {"type": "integer"}, "tone": {"enum": ["calm", "angry"]}, "tags": {"type": "array"}}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object", "properties": properties}}}
    told = orjson.loads(content("The angry customer called 3 times.", response_format=form))
    assert isinstance(told["title"], str)
    assert (told["count"], told["tone"]) == (3, "angry")
    assert isinstance(told["tags"], list)


def test_a_translation_is_in_the_other_language_and_keeps_the_terms():
    assert is_chinese(content("Translate to Chinese: The warehouse ships every order before noon."))
    english = content("把下面的句子翻译成英文：订单系统在周末升级。")
    assert english.isascii() is False
    assert not is_chinese(english.replace("订单系统", "").replace("周末升级", ""))
    assert is_chinese(content("Good morning, colleagues", model="qwen-mt-plus", translation_options={"target_lang": "Chinese"}))


def test_any_other_prompt_gets_a_paragraph_about_itself_in_its_language():
    assert "leaves" in content("Why do leaves change colour in autumn?").lower()
    assert is_chinese(content("机器学习有哪些主要方法？"))
    assert content("Why do leaves change colour?") != content("Why do birds migrate?")


def test_an_answer_is_cut_at_max_tokens_and_says_so():
    body = answered(Service(scenario()), chat("Why do leaves change colour in autumn?", max_tokens=5))
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["usage"]["completion_tokens"] == 5
    thinking = answered(Service(scenario()), chat("Why?", model="qwen3.6-plus", extra=1, max_completion_tokens=6))
    assert (thinking["choices"][0]["message"]["content"], thinking["usage"]["completion_tokens"]) == ("", 6)


def test_thinking_is_told_apart_and_itemises_the_output():
    body = answered(Service(scenario()), chat("Why do leaves change?", model="qwen3-max", enable_thinking=True))
    message, usage = body["choices"][0]["message"], body["usage"]
    details = usage["completion_tokens_details"]
    assert details == {"reasoning_tokens": tokens.count(message["reasoning_content"]), "text_tokens": usage["completion_tokens"]}
    assert usage["completion_tokens"] == details["reasoning_tokens"] + tokens.count(message["content"])
    assert "reasoning_content" in answered(Service(scenario()), chat("Why?", model="qwen3.6-plus"))["choices"][0]["message"]


def test_n_asks_for_so_many_different_answers():
    choices = answered(Service(scenario()), chat("Why do leaves change?", n=3))["choices"]
    assert [choice["index"] for choice in choices] == [0, 1, 2]
    assert len({choice["message"]["content"] for choice in choices}) == 3


def test_a_forced_tool_is_called_with_arguments_that_fit():
    function = {"name": "book", "parameters": {"type": "object", "properties": {"date": {"type": "string"}}}}
    choice = {"type": "function", "function": {"name": "book"}}
    forced: dict[str, Any] = {"tools": [{"type": "function", "function": function}], "tool_choice": choice}
    (answer,) = answered(Service(scenario()), chat("Book a table for 2025-03-12", **forced))["choices"]
    (call,) = answer["message"]["tool_calls"]
    assert call["function"]["name"] == "book"
    assert orjson.loads(call["function"]["arguments"]) == {"date": "2025-03-12"}
    assert answer["message"]["content"] == ""


def test_tokens_count_by_character_class_and_a_cut_never_exceeds_its_limit():
    assert tokens.count("abcd" * 100) == 100
    assert tokens.count("中文" * 100) == 130
    assert tokens.cut("abcd" * 100, 7) == "abcd" * 7


def test_a_picture_costs_tokens_that_are_itemised():
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": "https://example.invalid/a.png"}}]
    usage = answered(Service(scenario()), chat(model="qwen3-vl-plus", messages=[{"role": "user", "content": parts}]))["usage"]
    details = usage["prompt_tokens_details"]
    assert details["image_tokens"] + details["text_tokens"] == usage["prompt_tokens"]
    assert details["image_tokens"] > 0


def test_an_answer_ends_before_the_first_stop_word_of_any():
    prompt = "Summarise: The first ship left the harbour at dawn. The second one stayed."
    assert content(prompt) == "The first ship left the harbour at dawn."
    assert content(prompt, stop="ship") == "The first "
    assert content(prompt, stop=["harbour", "ship", "galley"]) == "The first "
    assert content(prompt, stop=["galley", [5, 7]]) == content(prompt)


def test_reasoning_keeps_to_its_budget():
    told = answered(Service(scenario()), chat(model="qwen3.6-plus", thinking_budget=7))["usage"]["completion_tokens_details"]
    assert told["reasoning_tokens"] == 7


BOOK = {"name": "book_table", "description": "Reserves a table in a restaurant", "parameters": {}}
WEATHER = {"name": "getWeather", "description": "查询城市天气", "parameters": {"properties": {"city": {"type": "string"}}}}
TOOLS = [{"type": "function", "function": function} for function in (BOOK, WEATHER)]


def called(prompt: str, **fields: Any) -> tuple[list[str], str]:
    (choice,) = answered(Service(scenario()), chat(prompt, tools=TOOLS, **fields))["choices"]
    calls = choice["message"].get("tool_calls", [])
    assert [call["index"] for call in calls] == list(range(len(calls)))
    assert len({call["id"] for call in calls}) == len(calls)
    return [call["function"]["name"] for call in calls], choice["finish_reason"]


@pytest.mark.parametrize(
    ("prompt", "names"),
    [
        ("Call book_table for tonight", ["book_table"]),
        ("Please book us a table", ["book_table"]),
        ("Is there a restaurant where someone reserves tables?", ["book_table"]),
        ("Get the weather in Hangzhou", ["getWeather"]),
        ("帮我查询城市天气，杭州", ["getWeather"]),
        ("Why do leaves change colour?", []),
        ("Is a restaurant far?", []),
    ],
)
def test_a_free_choice_calls_the_function_that_the_words_name(prompt, names):
    assert called(prompt) == called(prompt, tool_choice="auto") == (names, "tool_calls" if names else "stop")
    assert called(prompt, tool_choice="none") == ([], "stop")


def test_functions_are_called_side_by_side_only_when_allowed():
    prompt = "Call book_table, and get the weather"
    assert called(prompt) == (["book_table"], "tool_calls")
    assert called(prompt, parallel_tool_calls=True) == (["book_table", "getWeather"], "tool_calls")


def test_what_a_function_said_is_answered_in_words():
    call = {"function": {"name": "book_table", "arguments": "{}"}, "index": 0, "id": "call_1", "type": "function"}
    messages = [
        {"role": "user", "content": "Please book us a table"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "Booked."},
    ]
    assert called("x", messages=messages) == ([], "stop")


def test_likelihoods_come_with_the_tokens_when_asked_for_in_both_dialects():
    asked: dict[str, Any] = {"logprobs": True, "top_logprobs": 2}
    (choice,) = answered(Service(scenario()), chat(**asked))["choices"]
    entries = choice["logprobs"]["content"]
    assert "".join(entry["token"] for entry in entries) == choice["message"]["content"]
    assert list(entries[0]) == ["token", "bytes", "logprob", "top_logprobs"]
    assert bytes(entries[0]["bytes"]).decode() == entries[0]["token"]
    assert [len(entry["top_logprobs"]) for entry in entries] == [2] * len(entries)
    own = answered(Service(scenario()), native(**asked, result_format="message"))["output"]["choices"][0]
    assert "".join(entry["token"] for entry in own["logprobs"]["content"]) == own["message"]["content"]
    chunks = compat_events(Service(scenario()).answer(chat(**asked, stream=True), NOW).body)
    pieces = [chunk["choices"][0] for chunk in chunks]
    told = "".join(entry["token"] for piece in pieces if piece["logprobs"] for entry in piece["logprobs"]["content"])
    assert told == "".join(piece["delta"]["content"] for piece in pieces)
    assert answered(Service(scenario()), chat())["choices"][0]["logprobs"] is None
