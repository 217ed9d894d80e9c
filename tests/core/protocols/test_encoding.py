from __future__ import annotations

from copy import deepcopy
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.protocols.formats import FORMATS
from tests.core.protocols.recorded import MULTIMODAL, NATIVE, OPENAI, PROTOCOLS, TEXT

USER = {"role": "user", "content": "说 \u2028 hi"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CHAT: list[dict[str, Any]] = [
    {"role": "system", "content": "be brief"},
    USER,
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_1", "content": "21°C"},
    {"role": "assistant", "content": "warm", "partial": True},
]
PARAMETERS = {
    "temperature": 0.2,
    "top_p": 0.8,
    "top_k": 20,
    "presence_penalty": 0.5,
    "repetition_penalty": 1.1,
    "max_tokens": 400,
    "max_completion_tokens": 500,
    "max_input_tokens": 9000,
    "n": 2,
    "seed": 9_223_372_036_854_775_807,
    "stop": ["。", "\n"],
    "logprobs": True,
    "top_logprobs": 2,
    "response_format": {"type": "json_object"},
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "parallel_tool_calls": True,
    "enable_thinking": False,
    "thinking_budget": 100,
    "reasoning_effort": "low",
    "enable_search": True,
    "search_options": {"forced_search": True},
    "translation_options": {"source_lang": "auto", "target_lang": "English"},
    "vl_high_resolution_images": True,
    "enable_code_interpreter": False,
    "a parameter of next year": [None, 1],
}
IMAGE = {"type": "image_url", "image_url": {"url": "https://x/1.png", "detail": "high"}, "min_pixels": 9}
NATIVE_IMAGE = {"image": "https://x/1.png", "min_pixels": 9}
FRAMES = {"type": "video", "video": ["https://x/1.png", "https://x/2.png"]}
VIDEO = {"type": "video_url", "video_url": {"url": "https://x/1.mp4"}, "fps": 2}
SOUND = {"type": "input_audio", "input_audio": {"data": "https://x/1.mp3", "format": "mp3"}}
DOCUMENT = {"type": "doc_url", "doc_url": ["https://x/1.docx"], "file_parsing_strategy": "auto"}
TEXT_PART = {"type": "text", "text": "what is it?", "cache_control": {"type": "ephemeral"}}


def body(*messages, **parameters):
    return {"model": "qwen-plus", "messages": [*messages] or [USER], **parameters}


def written(protocol, said, *, stream=False):
    before = deepcopy(said)
    bytes_ = FORMATS[protocol].encode(said, stream)
    assert said == before, "the row's own body was changed"
    return orjson.loads(bytes_)


def messages_of(protocol, *messages, stream=False):
    sent = written(protocol, body(*messages), stream=stream)
    return sent["messages"] if protocol == OPENAI else sent["input"]["messages"]


# The OpenAI-compatible route


def test_a_row_goes_to_the_compatible_route_as_it_stands():
    said = body(*CHAT, **PARAMETERS)
    assert written(OPENAI, said) == said


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({}, {"include_usage": True}),
        ({"stream_options": None}, {"include_usage": True}),
        ({"stream_options": {"include_usage": False}}, {"include_usage": True}),
        ({"stream_options": {"chunk_include_usage": True}}, {"chunk_include_usage": True, "include_usage": True}),
        ({"stream_options": "all"}, {"include_usage": True}),
    ],
)
def test_a_stream_is_always_asked_what_it_costs_and_keeps_the_user_s_own_options(options, sent):
    assert written(OPENAI, body(**options), stream=True) == {**body(), "stream": True, "stream_options": sent}


@pytest.mark.parametrize(
    ("part", "sent"),
    [
        (TEXT_PART, TEXT_PART),
        (IMAGE, IMAGE),
        (VIDEO, VIDEO),
        (FRAMES, FRAMES),
        (SOUND, SOUND),
        ({"text": "hi"}, {"type": "text", "text": "hi"}),
        (NATIVE_IMAGE, {"type": "image_url", "image_url": {"url": "https://x/1.png"}, "min_pixels": 9}),
        ({"video": FRAMES["video"]}, FRAMES),
        ({"video": "https://x/1.mp4", "fps": 2}, VIDEO),
        ({"audio": "https://x/1.mp3"}, SOUND),
        ({"type": "file", "file": {"file_id": "f"}}, {"type": "file", "file": {"file_id": "f"}}),
        ("a part that is none", "a part that is none"),
    ],
)
def test_parts_go_to_the_compatible_route_in_its_spelling_and_unknown_ones_as_they_are(part, sent):
    assert messages_of(OPENAI, {"role": "user", "content": [part]}) == [{"role": "user", "content": [sent]}]
    assert FORMATS[OPENAI].unfit(body({"role": "user", "content": [part]})) is None


# The native routes


@pytest.mark.parametrize("protocol", NATIVE)
def test_all_that_is_neither_model_nor_messages_nor_the_stream_is_a_parameter(protocol):
    sent = written(protocol, body(*CHAT, **PARAMETERS, stream=False, stream_options={"include_usage": True}))
    assert sent.keys() == {"model", "input", "parameters"}
    assert (sent["model"], sent["input"].keys()) == ("qwen-plus", {"messages"})
    assert sent["parameters"] == {"result_format": "message", **PARAMETERS}


@pytest.mark.parametrize("protocol", NATIVE)
@pytest.mark.parametrize("form", ["text", "message", None])
def test_the_result_format_is_the_user_s_where_there_is_one(protocol, form):
    assert written(protocol, body())["parameters"] == {"result_format": "message"}
    assert written(protocol, body(result_format=form))["parameters"] == {"result_format": form}


@pytest.mark.parametrize("protocol", NATIVE)
@pytest.mark.parametrize(
    ("said", "sent"),
    [({}, True), ({"incremental_output": None}, True), ({"incremental_output": True}, True), ({"incremental_output": False}, False)],
)
def test_a_stream_is_incremental_unless_the_row_says_otherwise(protocol, said, sent):
    assert written(protocol, body(**said), stream=True)["parameters"]["incremental_output"] is sent


@pytest.mark.parametrize("protocol", NATIVE)
def test_a_plain_call_says_nothing_of_increments(protocol):
    assert "incremental_output" not in written(protocol, body())["parameters"]


@pytest.mark.parametrize("protocol", NATIVE)
def test_a_native_stream_is_asked_for_by_headers_and_not_in_the_body(protocol):
    sent = written(protocol, body(), stream=True)
    assert b"stream" not in orjson.dumps(sent)
    assert FORMATS[protocol].stream_headers == {"X-DashScope-SSE": "enable", "Accept": "text/event-stream"}
    assert FORMATS[OPENAI].stream_headers == {}


def test_every_message_of_a_chat_keeps_what_it_says_on_the_text_route():
    assert messages_of(TEXT, *CHAT) == [*CHAT[:2], CHAT[2] | {"content": ""}, *CHAT[3:]]


def test_every_message_of_a_chat_keeps_what_it_says_on_the_multimodal_route():
    contents = [[{"text": "be brief"}], [{"text": USER["content"]}], [], [{"text": "21°C"}], [{"text": "warm"}]]
    assert messages_of(MULTIMODAL, *CHAT) == [message | {"content": content} for message, content in zip(CHAT, contents, strict=True)]


@pytest.mark.parametrize(
    ("content", "text", "parts"),
    [
        ("hi", "hi", [{"text": "hi"}]),
        ("", "", []),
        (None, "", []),
        ([], "", []),
        ([{"type": "text", "text": "a"}, {"text": "b"}], "ab", [{"text": "a"}, {"text": "b"}]),
    ],
)
def test_the_content_of_a_text_is_what_each_native_route_takes(content, text, parts):
    said = {"role": "user", "content": content}
    assert messages_of(TEXT, said) == [said | {"content": text}]
    assert messages_of(MULTIMODAL, said) == [said | {"content": parts}]


def test_documents_go_to_the_text_route_as_they_stand_beside_texts_in_parts():
    said = {"role": "user", "content": [{"text": "What does it say?"}, DOCUMENT]}
    assert FORMATS[TEXT].unfit(body(said)) is None
    assert messages_of(TEXT, said)[0]["content"] == [{"type": "text", "text": "What does it say?"}, DOCUMENT]


def test_a_message_without_content_has_an_empty_one():
    said = {"role": "assistant", "tool_calls": [CALL]}
    assert messages_of(TEXT, said) == [said | {"content": ""}]
    assert messages_of(MULTIMODAL, said) == [said | {"content": []}]
    assert messages_of(OPENAI, said) == [said]


@pytest.mark.parametrize(
    ("part", "sent"),
    [
        (TEXT_PART, {"text": "what is it?", "cache_control": {"type": "ephemeral"}}),
        (IMAGE, NATIVE_IMAGE),
        ({"type": "image_url", "image_url": "https://x/1.png"}, {"image": "https://x/1.png"}),
        (NATIVE_IMAGE, NATIVE_IMAGE),
        (FRAMES, {"video": FRAMES["video"]}),
        (VIDEO, {"video": "https://x/1.mp4", "fps": 2}),
        (SOUND, {"audio": "https://x/1.mp3"}),
        ({"audio": "https://x/1.mp3"}, {"audio": "https://x/1.mp3"}),
    ],
)
def test_parts_go_to_the_multimodal_route_in_its_spelling(part, sent):
    said = body({"role": "user", "content": [part]})
    assert FORMATS[MULTIMODAL].unfit(said) is None
    assert messages_of(MULTIMODAL, {"role": "user", "content": [part]}) == [{"role": "user", "content": [sent]}]


# What a protocol cannot carry


@pytest.mark.parametrize("part", [IMAGE, NATIVE_IMAGE, VIDEO, FRAMES, SOUND, {"type": "file"}, DOCUMENT | NATIVE_IMAGE, "x", None])
def test_the_text_route_says_which_ones_can_carry_more_than_text(part):
    why = FORMATS[TEXT].unfit(body(USER, {"role": "user", "content": [{"text": "a"}, part]}))
    assert why is not None
    assert '"dashscope-multimodal"' in why
    assert '"openai"' in why


@pytest.mark.parametrize("part", [{"type": "file", "file": {"file_id": "f"}}, {"image": 7}, {"image": "a", "text": "b"}, {}, "x", None])
def test_the_multimodal_route_says_which_one_can_carry_other_parts(part):
    why = FORMATS[MULTIMODAL].unfit(body({"role": "user", "content": [{"text": "a"}, part]}))
    assert why is not None
    assert 'protocol = "openai"' in why


@pytest.mark.parametrize("protocol", NATIVE)
@pytest.mark.parametrize(
    "spoken", [{"modalities": ["text", "audio"]}, {"audio": {"voice": "Cherry", "format": "wav"}}, {"modalities": ["text"]}]
)
def test_a_spoken_answer_is_the_compatible_route_s(protocol, spoken):
    assert 'protocol = "openai"' in (FORMATS[protocol].unfit(body(**spoken)) or "")
    assert FORMATS[OPENAI].unfit(body(**spoken)) is None


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("parameters", [{}, PARAMETERS, {"modalities": None, "audio": None}], ids=["none", "all", "of null"])
def test_a_chat_of_texts_can_go_every_way(protocol, parameters):
    assert FORMATS[protocol].unfit(body(*CHAT, **parameters)) is None


# Whatever a row holds

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
PARTS = st.sampled_from([TEXT_PART, IMAGE, NATIVE_IMAGE, FRAMES, VIDEO, SOUND, {"text": "a"}]) | JSON
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant", "tool"])},
        optional={"content": JSON | st.lists(PARTS, max_size=3), "tool_calls": JSON},
    ),
    min_size=1,
    max_size=4,
)
SETTINGS = st.dictionaries(
    st.sampled_from([*PARAMETERS, "stream_options", "result_format", "incremental_output", "modalities"]), JSON, max_size=5
)


@given(st.sampled_from(PROTOCOLS), MESSAGES, SETTINGS, st.booleans())
def test_what_fits_is_written_without_changing_it_and_without_losing_a_parameter(protocol, messages, settings, stream):
    said = body(*messages, **settings)
    if FORMATS[protocol].unfit(said) is not None:
        return
    sent = written(protocol, said, stream=stream)
    at_top = sent if protocol == OPENAI else sent["parameters"]
    for name, value in settings.items():
        replaced = name == "stream_options" or (stream and name == "incremental_output" and value is None)
        assert replaced or at_top[name] == value
    assert [message["role"] for message in (sent if protocol == OPENAI else sent["input"])["messages"]] == [
        each["role"] for each in messages
    ]
