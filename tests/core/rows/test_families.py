from __future__ import annotations

import pytest

from batchrun.core.rows import families

NATIVE_ONLY, OPENAI_ONLY, MULTIMODAL, STREAM_ONLY = "native only", "openai only", "multimodal", "streams only"

MODELS = {
    "qwen-plus": set(),
    "qwen-plus-latest": set(),
    "qwen-plus-2025-12-01": set(),
    "qwen-max": set(),
    "qwen-flash": set(),
    "qwen-turbo": set(),
    "qwen-long": set(),
    "qwen-doc-turbo": set(),
    "qwen-mt-plus": set(),
    "qwen-plus-character": set(),
    "qwen3-max": set(),
    "qwen3-32b": set(),
    "qwen3-235b-a22b": set(),
    "qwen3-coder-plus": set(),
    "qwen2.5-72b-instruct": set(),
    "deepseek-r1": set(),
    "deepseek-v3.2": set(),
    "deepseek-v4-pro": set(),
    "kimi-k2": set(),
    "glm-4.5": {STREAM_ONLY},
    "glm-4.5-air": {STREAM_ONLY},
    "glm-4.6": set(),
    "glm-4.55": set(),
    "llama3.3-70b-instruct": set(),
    "qwen3.5-plus": {MULTIMODAL},
    "qwen3.6-plus": {MULTIMODAL},
    "qwen3.8-flash": {MULTIMODAL},
    "qwen4-plus": {MULTIMODAL},
    "qwen-vl-max": {MULTIMODAL},
    "qwen-vl-plus-latest": {MULTIMODAL},
    "qwen-vl-ocr": {MULTIMODAL},
    "qwen3-vl-plus": {MULTIMODAL},
    "qwen2.5-vl-72b-instruct": {MULTIMODAL},
    "qwen3-vl-235b-a22b-thinking": {MULTIMODAL},
    "qwen3-asr-flash": {MULTIMODAL},
    "qwen3-omni-30b-a3b-captioner": {MULTIMODAL, OPENAI_ONLY, STREAM_ONLY},
    "qwen-audio-turbo": {MULTIMODAL, NATIVE_ONLY},
    "qwen2-audio-instruct": {MULTIMODAL, NATIVE_ONLY},
    "qwq-plus": {STREAM_ONLY},
    "qwq-32b": {STREAM_ONLY},
    "qvq-max": {MULTIMODAL, STREAM_ONLY},
    "qvq-plus": {MULTIMODAL, STREAM_ONLY},
    "qwen-omni-turbo": {OPENAI_ONLY, STREAM_ONLY},
    "qwen3-omni-flash": {OPENAI_ONLY, STREAM_ONLY},
    "qwen3.5-omni-plus": {MULTIMODAL, OPENAI_ONLY, STREAM_ONLY},
    "qwen3-livetranslate-flash": {OPENAI_ONLY, STREAM_ONLY},
    "qwen3-livetranslate-flash-2025-12-01": {OPENAI_ONLY, STREAM_ONLY},
    # tuned in Model Studio
    "qwen-turbo-ft-202503121234-abcd": {NATIVE_ONLY},
    "qwen-plus-FT-1": {NATIVE_ONLY},
    "ft-1a2b": {NATIVE_ONLY},
    "qwen-vl-max-ft-1a2b": {MULTIMODAL, NATIVE_ONLY},
    # named alike, and of no such family
    "my-draft-1": set(),
    "left-2": set(),
    "qwen-devl": set(),
    "chat-oceanocr": set(),
    "": set(),
}


@pytest.mark.parametrize(("model", "kinds"), MODELS.items(), ids=MODELS.keys())
def test_a_name_says_how_its_model_is_called(model, kinds):
    tests = {
        NATIVE_ONLY: families.native_only,
        OPENAI_ONLY: families.openai_only,
        MULTIMODAL: families.multimodal,
        STREAM_ONLY: families.stream_only,
    }
    assert {kind for kind, test in tests.items() if test(model)} == kinds


@pytest.mark.parametrize("model", ["qwen-mt-plus", "qwen-mt-turbo", "qwen-mt-plus-2025-07-24"])
def test_streams_of_some_models_say_all_again_in_each_event(model):
    assert families.repeats(model)


@pytest.mark.parametrize("model", ["qwen-mt-flash", "qwen-mt-lite", "qwen-mt-plusher", "my-qwen-mt-plus", "qwen-plus", None, 7])
def test_streams_of_all_others_say_what_is_new(model):
    assert not families.repeats(model)


NEEDS_STREAM = [
    # (model, what the row says of thinking: nothing, true, false) and whether it must be streamed then
    ("qwen-plus", (False, True, False)),
    ("qwen-turbo", (False, True, False)),
    ("qwen-flash", (False, True, False)),
    ("qwen3-max", (False, True, False)),
    ("qwen3-0.6b", (True, True, False)),
    ("qwen3-32b", (True, True, False)),
    ("qwen3-235b-a22b", (True, True, False)),
    ("qwen3-235b-a22b-instruct-2507", (False, True, False)),
    ("qwen3-235b-a22b-thinking-2507", (True, True, False)),
    ("qwen3-coder-480b-a35b-instruct", (False, True, False)),
    ("qwen2.5-72b-instruct", (False, True, False)),
    # newer ones think in plain calls too
    ("qwen3.6-plus", (False, False, False)),
    ("qwen3.8-max", (False, False, False)),
    ("deepseek-v4-pro", (False, False, False)),
    ("glm-4.6", (False, False, False)),
    ("kimi-k2-thinking", (True, False, False)),
    # these stream whatever is said
    ("qwq-plus", (True, True, True)),
    ("qvq-max", (True, True, True)),
    ("qwen-omni-turbo", (True, True, True)),
    ("qwen3-livetranslate-flash", (True, True, True)),
    ("glm-4.5-air", (True, True, True)),
    ("qwen3.5-omni-plus", (True, True, True)),
]


@pytest.mark.parametrize(("model", "needs"), NEEDS_STREAM, ids=lambda each: each if isinstance(each, str) else "")
def test_a_row_is_streamed_where_its_model_only_streams_or_only_thinks_in_streams(model, needs):
    said = [{}, {"enable_thinking": True}, {"enable_thinking": False}]
    assert tuple(families.needs_stream(model, body) for body in said) == needs
    assert families.needs_stream(model, {"enable_thinking": None}) is needs[0]


@pytest.mark.parametrize(
    ("model", "unasked"),
    [
        *(("qwen-plus", False), ("qwen3-max", False), ("qwen2.5-72b-instruct", False), ("qwen3-235b-a22b-instruct-2507", False)),
        *(("qwen3-8b", True), ("qwen3-235b-a22b-thinking-2507", True), ("qwen3.6-plus", True), ("qwen4-max", True), ("qwq-plus", True)),
    ],
)
def test_a_model_thinks_as_its_row_says_or_else_as_is_its_habit(model, unasked):
    assert [families.thinks(model, {"enable_thinking": said}) for said in (True, False, None, "yes")] == [True, False, unasked, unasked]
    assert families.thinks(model, {}) is unasked


@pytest.mark.parametrize("thinking", [1, "true", [True]])
def test_only_true_asks_for_thinking(thinking):
    assert not families.needs_stream("qwen-plus", {"enable_thinking": thinking})
