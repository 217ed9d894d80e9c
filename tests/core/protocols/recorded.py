"""What the provider has been seen to send, as data: every body, frame, usage object, header set and error of the wire notes.

``python -m tests.core.protocols.recorded`` prints how many cases there are of each kind and protocol.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

from batchrun.core.model import Fault, Scope, Usage

OPENAI, TEXT, MULTIMODAL = "openai", "dashscope-text", "dashscope-multimodal"
PROTOCOLS = (OPENAI, TEXT, MULTIMODAL)
NATIVE = (TEXT, MULTIMODAL)

ID = "7e3d5586-cad9-9a5e-a8b6-3e6b1d0f1a2c"
_HELP = " For details, see: https://help.aliyun.com/zh/model-studio/error-code#"
_HELP_ABROAD = " For details, see: https://www.alibabacloud.com/help/en/model-studio/error-code#"

Fields = dict[str, Any]


class Answer(NamedTuple):
    """The reply that a body must be."""

    content: str
    finish_reason: str = "stop"
    usage: Usage | None = None
    """Without the provider's own object."""
    request_id: str | None = ID
    reasoning: str | None = None
    tool_calls: list[Fields] | None = None


class Refusal(NamedTuple):
    """The failure that a body must be."""

    fault: Fault
    scope: Scope
    code: str
    status: int
    in_doubt: bool = False
    message: str | None = None
    """None where the message is not what the case is about."""
    request_id: str | None = ID


class Case(NamedTuple):
    """Something that came, and what it must be."""

    kind: str
    protocol: str
    name: str
    body: bytes
    wanted: Answer | Refusal
    status: int = 200
    headers: Mapping[str, str] = MappingProxyType({})
    asked: Mapping[str, Any] = MappingProxyType({})

    @property
    def id(self) -> str:
        return f"{self.kind}: {self.protocol}: {self.name}"


# Headers

_GATEWAY = {
    "x-request-id": ID,
    "x-dashscope-call-gateway": "true",
    "content-type": "application/json",
    "req-cost-time": "1530",
    "req-arrive-time": "1735120031837",
    "resp-start-time": "1735120033367",
    "x-envoy-upstream-service-time": "1526",
    "vary": "Origin,Access-Control-Request-Method,Access-Control-Request-Headers, Accept-Encoding",
    "server": "istio-envoy",
}
_FLOW_CONTROL = (
    '{"model":"qwen-doc-turbo","user_spec":{"default_spec":false,"count_limit":60,"count_limit_period":6,"usage_limit":300000,'
    '"usage_limit_field":"total_tokens","usage_limit_period":6,"burst_factor":0,"burst_timeout":10000}}'
)
HEADERS: Mapping[str, Mapping[str, str]] = {
    "2024": _GATEWAY
    | {
        "x-dashscope-timeout": "180",
        "x-dashscope-finished": "true",
        "set-cookie": "acw_tc=0;path=/;HttpOnly;Max-Age=1800",
        "eagleeye-traceid": "0",
    },
    "2025": _GATEWAY | {"x-dashscope-timeout": "298", "x-dashscope-finished": "true", "content-encoding": "gzip"},
    "2026": _GATEWAY | {"x-dashscope-timeout": "3600", "x-dashscope-finished": "true", "transfer-encoding": "chunked"},
    "a stream's": _GATEWAY | {"content-type": "text/event-stream;charset=UTF-8", "x-dashscope-finished": "false"},
    "in capitals": {name.title(): value for name, value in _GATEWAY.items()},
    "with the limiter's own": _GATEWAY | {"x-dashscope-inner-flow-control-meta": _FLOW_CONTROL},
    "none": {},
}
EVENT_STREAM = HEADERS["a stream's"]


# Plain answers

_MESSAGE = {"role": "assistant", "content": "我是通义千问。"}
_CALL = {"function": {"name": "get_weather", "arguments": '{"city": "杭州"}'}, "index": 0, "id": "call_6f5f4c", "type": "function"}
_COMPAT_USAGE = {"prompt_tokens": 22, "completion_tokens": 17, "total_tokens": 39}
_NATIVE_USAGE = {"total_tokens": 30, "output_tokens": 14, "input_tokens": 16}


def compat(message: Fields = _MESSAGE, reason: str = "stop", usage: Fields | None = _COMPAT_USAGE, **more: Any) -> Fields:
    """An answer of the compatible route."""
    choice = {"message": message, "finish_reason": reason, "index": 0, "logprobs": None}
    envelope = {"object": "chat.completion", "usage": usage, "created": 1735120033, "system_fingerprint": None, "model": "qwen-plus"}
    return {"choices": [choice], **envelope, "id": f"chatcmpl-{ID}", **more}


def native(message: Fields = _MESSAGE, reason: str = "stop", usage: Fields | None = _NATIVE_USAGE, **choice: Any) -> Fields:
    """An answer of a native route."""
    choices = [{"finish_reason": reason, "message": message, **choice}]
    return {"output": {"choices": choices}, "usage": usage, "request_id": ID}


_LONG = {"prompt_tokens": 3019, "completion_tokens": 104, "total_tokens": 3123, "prompt_tokens_details": {"cached_tokens": 2048}}
_FLASH = {name: value for name, value in compat().items() if name != "system_fingerprint"} | {
    "choices": [{"message": _MESSAGE, "finish_reason": "stop", "index": 0}],
    "model": "qwen-flash",
}
_BATCH = {
    "created": 1776432582,
    "usage": {"completion_tokens": 49, "prompt_tokens": 26, "total_tokens": 75},
    "model": "qwen-flash",
    "id": f"chatcmpl-{ID}",
    "choices": [{"finish_reason": "stop", "index": 0, "message": _MESSAGE}],
    "object": "chat.completion",
}
_TEST_MODEL = _BATCH | {"choices": [{"finish_reason": "stop", "index": 0, "message": {"content": "This is a test result."}}]}
_OUTPUT_TEXT = {
    "output": {"finish_reason": "stop", "text": "1+1等于2。"},
    "usage": {"prompt_tokens_details": {"cached_tokens": 0}, "total_tokens": 30, "output_tokens": 14, "input_tokens": 16},
    "request_id": ID,
}
_CUT_THINKING = {"content": "", "reasoning_content": "用户问", "role": "assistant"}
_CUT_USAGE = {
    "input_tokens": 12,
    "output_tokens": 21,
    "output_tokens_details": {"reasoning_tokens": 20},
    "prompt_tokens_details": {"cached_tokens": 0},
    "total_tokens": 33,
}
_LOGPROBS = {"content": [{"token": "我", "bytes": [230, 136, 145], "logprob": 0.0, "top_logprobs": []}]}
_SAID = _MESSAGE["content"]
_USED, _NATIVELY = Usage(22, 17), Usage(16, 14)
_REASONED, _REASONED_NATIVELY = Usage(22, 17, uncounted_reasoning=True), Usage(16, 14, uncounted_reasoning=True)

PLAIN: tuple[tuple[str, str, Fields, Answer], ...] = (
    (OPENAI, "2024", compat(usage=_LONG), Answer(_SAID, usage=Usage(3019, 104, 2048))),
    (OPENAI, "2026, without fingerprint and logprobs", _FLASH, Answer(_SAID, usage=_USED)),
    (OPENAI, "in a batch's output file", _BATCH, Answer(_SAID, usage=Usage(26, 49))),
    (OPENAI, "of batch-test-model, without a role", _TEST_MODEL, Answer("This is a test result.", usage=Usage(26, 49))),
    (OPENAI, "cut at its length", compat(reason="length"), Answer(_SAID, "length", _USED)),
    (
        OPENAI,
        "a tool call",
        compat({"role": "assistant", "content": "", "tool_calls": [_CALL]}, "tool_calls"),
        Answer("", "tool_calls", _USED, tool_calls=[_CALL]),
    ),
    (OPENAI, "thinking", compat(_MESSAGE | {"reasoning_content": "嗯"}), Answer(_SAID, usage=_REASONED, reasoning="嗯")),
    (TEXT, "as a text", _OUTPUT_TEXT, Answer("1+1等于2。", usage=_NATIVELY)),
    (
        TEXT,
        "as a message",
        native(usage={"total_tokens": 47, "output_tokens": 39, "input_tokens": 8}),
        Answer(_SAID, usage=Usage(8, 39)),
    ),
    (
        TEXT,
        "cut while thinking",
        native(_CUT_THINKING, "length", _CUT_USAGE),
        Answer("", "length", Usage(12, 21, reasoning_tokens=20), reasoning="用户问"),
    ),
    (
        TEXT,
        "a tool call that was forced",
        native({"role": "assistant", "content": "", "tool_calls": [_CALL]}, "stop"),
        Answer("", "stop", _NATIVELY, tool_calls=[_CALL]),
    ),
    (
        TEXT,
        "a tool call that was free",
        native({"role": "assistant", "content": "", "tool_calls": [_CALL]}, "tool_calls"),
        Answer("", "tool_calls", _NATIVELY, tool_calls=[_CALL]),
    ),
    (TEXT, "with logprobs", native(logprobs=_LOGPROBS), Answer(_SAID, usage=_NATIVELY)),
    (
        MULTIMODAL,
        "parts",
        native({"role": "assistant", "content": [{"text": "海滩。"}]}),
        Answer("海滩。", usage=_NATIVELY),
    ),
    (MULTIMODAL, "no parts", native({"role": "assistant", "content": []}, "length"), Answer("", "length", _NATIVELY)),
    (
        MULTIMODAL,
        "of a hybrid, with thinking",
        native(_MESSAGE | {"reasoning_content": "嗯"}),
        Answer(_SAID, "stop", _REASONED_NATIVELY, ID, "嗯"),
    ),
)


# Usage

_WRITES = {"cache_creation": {"ephemeral_5m_input_tokens": 29713}, "cache_creation_input_tokens": 29713, "cache_type": "ephemeral"}
USAGE: tuple[tuple[str, str, Fields, Usage], ...] = (
    (OPENAI, "old", _COMPAT_USAGE, Usage(22, 17)),
    (OPENAI, "old, with details", _LONG, Usage(3019, 104, 2048)),
    (
        OPENAI,
        "thinking, its text the whole",
        {
            "prompt_tokens": 20,
            "completion_tokens": 435,
            "total_tokens": 455,
            "completion_tokens_details": {"reasoning_tokens": 382, "text_tokens": 435},
        },
        Usage(20, 435, reasoning_tokens=382),
    ),
    (
        OPENAI,
        "thinking, its text not the whole",
        {
            "prompt_tokens": 20,
            "completion_tokens": 422,
            "total_tokens": 442,
            "completion_tokens_details": {"reasoning_tokens": 380, "text_tokens": 417},
        },
        Usage(20, 422, reasoning_tokens=380),
    ),
    (
        OPENAI,
        "explicit cache written",
        {
            "prompt_tokens": 29719,
            "completion_tokens": 8,
            "total_tokens": 29727,
            "prompt_tokens_details": {"text_tokens": 29719, **_WRITES, "cached_tokens": 0},
        },
        Usage(29719, 8, cache_creation_tokens=29713),
    ),
    (
        OPENAI,
        "explicit cache written, by lifetime alone",
        {
            "prompt_tokens": 29719,
            "completion_tokens": 8,
            "prompt_tokens_details": {"cache_creation": {"ephemeral_5m_input_tokens": 29713}},
        },
        Usage(29719, 8, cache_creation_tokens=29713),
    ),
    (OPENAI, "cached beside the whole", _LONG | {"prompt_tokens_details": None, "cached_tokens": 2048}, Usage(3019, 104, 2048)),
    (
        OPENAI,
        "images and a video",
        {
            "prompt_tokens": 2000,
            "completion_tokens": 30,
            "prompt_tokens_details": {"image_tokens": 900, "text_tokens": 100, "video_tokens": 1000},
            "completion_tokens_details": {"text_tokens": 30},
        },
        Usage(2000, 30, image_tokens=900, video_tokens=1000),
    ),
    (
        OPENAI,
        "everything heard and spoken",
        {
            "prompt_tokens": 1000,
            "completion_tokens": 300,
            "prompt_tokens_details": {"audio_tokens": 100, "text_tokens": 200, "image_tokens": 300, "video_tokens": 400},
            "completion_tokens_details": {"audio_tokens": 250, "text_tokens": 50},
        },
        Usage(1000, 300, audio_tokens=100, image_tokens=300, video_tokens=400, output_audio_tokens=250),
    ),
    (
        OPENAI,
        "of a stream, details of nothing",
        _COMPAT_USAGE | {"completion_tokens_details": None, "prompt_tokens_details": {"audio_tokens": None, "cached_tokens": 0}},
        Usage(22, 17),
    ),
    (TEXT, "text", _NATIVE_USAGE, Usage(16, 14)),
    (TEXT, "thinking", _CUT_USAGE, Usage(12, 21, reasoning_tokens=20)),
    (
        MULTIMODAL,
        "qwen-vl-plus 2024-11, no total",
        {"output_tokens": 3, "input_tokens": 3613, "image_tokens": 3577},
        Usage(3613, 3, image_tokens=3577),
    ),
    (
        MULTIMODAL,
        "qwen-vl-max video 2024-11",
        {"output_tokens": 180, "video_tokens": 1440, "input_tokens": 1466},
        Usage(1466, 180, video_tokens=1440),
    ),
    (
        MULTIMODAL,
        "qwen-audio-turbo 2024-02",
        {"audio_tokens": 752, "output_tokens": 38, "input_tokens": 786},
        Usage(786, 38, audio_tokens=752),
    ),
    (
        MULTIMODAL,
        "qwen-vl-max video 2025-11",
        {
            "input_tokens_details": {"video_tokens": 3586, "text_tokens": 18},
            "prompt_tokens_details": {"cached_tokens": 0},
            "total_tokens": 3887,
            "output_tokens": 283,
            "video_tokens": 3586,
            "input_tokens": 3604,
            "output_tokens_details": {"text_tokens": 283},
        },
        Usage(3604, 283, video_tokens=3586),
    ),
    (
        MULTIMODAL,
        "qwen3.6-plus 2026-04",
        {
            "input_tokens_details": {"image_tokens": 2503, "text_tokens": 304},
            "prompt_tokens_details": {},
            "total_tokens": 2910,
            "output_tokens": 103,
            "input_tokens": 2807,
            "output_tokens_details": {"reasoning_tokens": 38, "text_tokens": 65},
            "image_tokens": 2503,
        },
        Usage(2807, 103, reasoning_tokens=38, image_tokens=2503),
    ),
    (
        MULTIMODAL,
        "qwen3.6-plus with a search 2026-04",
        {
            "input_tokens": 5000,
            "output_tokens": 1379,
            "output_tokens_details": {"reasoning_tokens": 636, "text_tokens": 1379},
            "plugins": {"search": {"count": 1, "strategy": "turbo"}},
        },
        Usage(5000, 1379, reasoning_tokens=636, searches=1),
    ),
    (
        MULTIMODAL,
        "a captioner 2025-12",
        {
            "total_tokens": 602,
            "input_tokens_details": {"audio_tokens": 152, "text_tokens": 8},
            "output_tokens": 442,
            "input_tokens": 160,
            "output_tokens_details": {"text_tokens": 442},
        },
        Usage(160, 442, audio_tokens=152),
    ),
)


# Streams


def events(chunks: list[Fields], *, done: bool = True) -> list[bytes]:
    """The events of a stream of the compatible route."""
    return [b"data: " + orjson.dumps(chunk) + b"\n\n" for chunk in chunks] + ([b"data: [DONE]\n\n"] if done else [])


def frames(chunks: list[Fields]) -> list[bytes]:
    """The frames of a stream of a native route."""
    return [
        b"id:%d\nevent:result\n:HTTP_STATUS/200\ndata:" % number + orjson.dumps(chunk) + b"\n\n" for number, chunk in enumerate(chunks, 1)
    ]


def chunk(delta: Fields, reason: str | None = None, *, index: int = 0) -> Fields:
    """A chunk of the compatible route with one delta."""
    choice = {"delta": delta, "finish_reason": reason, "index": index, "logprobs": None}
    return _enveloped([choice], None)


def counted(usage: Fields = _COMPAT_USAGE) -> Fields:
    """The chunk that says what it cost."""
    return _enveloped([], usage)


def _enveloped(choices: list[Fields], usage: Fields | None) -> Fields:
    envelope = {"object": "chat.completion.chunk", "usage": usage, "created": 1715931028, "system_fingerprint": None}
    return {"choices": choices, **envelope, "model": "qwen-plus", "id": f"chatcmpl-{ID}"}


def frame(message: Fields, reason: str = "null", output_tokens: int = 14, **choice: Any) -> Fields:
    """A frame of a native route; its usage is that of all so far."""
    return native({"role": "assistant", **message}, reason, _so_far(output_tokens), **choice)


def _so_far(output_tokens: int) -> Fields:
    return {"total_tokens": 16 + output_tokens, "output_tokens": output_tokens, "input_tokens": 16}


def _call(index: int, arguments: str, name: str = "", call_id: str = "") -> Fields:
    return {"function": {"name": name, "arguments": arguments}, "index": index, "id": call_id, "type": "function"}


class Twin(NamedTuple):
    """A stream, and the body that a plain call would have brought."""

    protocol: str
    name: str
    events: list[bytes]
    last: int
    """Which of the events brings the last finish reason."""
    plain: Fields
    asked: Mapping[str, Any] = MappingProxyType({})

    @property
    def stream(self) -> bytes:
        return b"".join(self.events)

    @property
    def said(self) -> int:
        """How many bytes it takes until all of the answer's text is there."""
        return len(b"".join(self.events[: self.last])) + len(self.events[self.last].rstrip(b"\n"))


_TWO = [_call(0, '{"city":"杭州"}', "get_weather", "call_a"), _call(1, "{}", "get_time", "call_b")]
_CALLS = {"role": "assistant", "content": "", "tool_calls": _TWO}
_THOUGHT = {"role": "assistant", "content": "二", "reasoning_content": "一加一"}
_PAIR = {
    **compat(),
    "choices": [
        {"message": {"role": "assistant", "content": text}, "finish_reason": reason, "index": index, "logprobs": None}
        for index, (text, reason) in enumerate([("甲乙", "stop"), ("丙", "length")])
    ],
}
_NATIVE_PAIR = {
    "output": {
        "choices": [
            {"message": {"role": "assistant", "content": text}, "finish_reason": "stop", "index": index}
            for index, text in enumerate(["甲乙", "丙"])
        ]
    },
    "usage": _NATIVE_USAGE,
    "request_id": ID,
}

TWINS: tuple[Twin, ...] = (
    Twin(
        OPENAI,
        "text",
        events(
            [
                chunk({"content": "", "role": "assistant"}),
                chunk({"content": "我是"}),
                chunk({"content": "通义千问。"}),
                chunk({"content": ""}, "stop"),
                counted(),
            ]
        ),
        3,
        compat(),
    ),
    Twin(
        OPENAI,
        "a translation, all of it so far in each event",
        events([chunk({"content": "我"}), chunk({"content": "我是通义"}), chunk({"content": _SAID}, "stop"), counted()]),
        2,
        compat(),
        {"model": "qwen-mt-plus"},
    ),
    Twin(
        OPENAI,
        "not counted, and not DONE",
        events([chunk({"content": _SAID, "role": "assistant"}), chunk({"content": ""}, "length")], done=False),
        1,
        compat(reason="length", usage=None),
    ),
    Twin(
        OPENAI,
        "reasoning, then text",
        events(
            [
                chunk({"content": None, "reasoning_content": "", "role": "assistant"}),
                chunk({"content": None, "reasoning_content": "一加"}),
                chunk({"content": None, "reasoning_content": "一"}),
                chunk({"content": "二", "reasoning_content": None}),
                chunk({"content": "", "reasoning_content": None}, "stop"),
                counted(),
            ]
        ),
        4,
        compat(_THOUGHT),
    ),
    Twin(
        OPENAI,
        "two tool calls, in pieces and in turns",
        events(
            [
                chunk({"content": None, "role": "assistant", "tool_calls": [_call(0, "", "get_weather", "call_a")]}),
                chunk({"content": None, "tool_calls": [_call(0, '{"city":')]}),
                chunk({"content": None, "tool_calls": [_call(1, "{", "get_time", "call_b")]}),
                chunk({"content": None, "tool_calls": [_call(0, '"杭州"}'), _call(1, "}")]}),
                chunk({"content": ""}, "tool_calls"),
                counted(),
            ]
        ),
        4,
        compat(_CALLS, "tool_calls"),
    ),
    Twin(
        OPENAI,
        "two choices",
        events(
            [
                chunk({"content": "甲", "role": "assistant"}),
                chunk({"content": "丙", "role": "assistant"}, index=1),
                chunk({"content": ""}, "length", index=1),
                chunk({"content": "乙"}),
                chunk({"content": ""}, "stop"),
                counted(),
            ]
        ),
        4,
        _PAIR,
        {"n": 2},
    ),
    Twin(
        TEXT,
        "text",
        frames([frame({"content": "我是"}, output_tokens=2), frame({"content": "通义千问。"}), frame({"content": ""}, "stop")]),
        2,
        native(),
    ),
    Twin(
        TEXT,
        "reasoning, then text",
        frames(
            [
                frame({"content": "", "reasoning_content": "一加"}, output_tokens=3, index=0),
                frame({"content": "", "reasoning_content": "一"}, output_tokens=4, index=0),
                frame({"content": "二", "reasoning_content": ""}, output_tokens=5, index=0),
                frame({"content": "", "reasoning_content": ""}, "stop", index=0),
            ]
        ),
        3,
        native(_THOUGHT),
    ),
    Twin(
        TEXT,
        "cumulative",
        frames(
            [
                frame({"content": "", "reasoning_content": "一加"}, output_tokens=3),
                frame({"content": "", "reasoning_content": "一加一"}, output_tokens=4),
                frame({"content": "二", "reasoning_content": "一加一"}, "stop"),
            ]
        ),
        2,
        native(_THOUGHT),
        {"incremental_output": False},
    ),
    Twin(
        TEXT,
        "a translation, all of it so far in each event whatever was asked",
        frames([frame({"content": "我"}, output_tokens=3), frame({"content": "我是"}, output_tokens=4), frame({"content": _SAID}, "stop")]),
        2,
        native(),
        {"model": "qwen-mt-turbo", "incremental_output": True},
    ),
    Twin(
        TEXT,
        "cumulative tool calls",
        frames(
            [
                frame({"content": "", "tool_calls": [_call(0, '{"ci', "get_weather", "call_a")]}, output_tokens=3),
                frame({"content": "", "tool_calls": [_TWO[0]]}, output_tokens=4),
                frame({"content": "", "tool_calls": _TWO}, "tool_calls"),
            ]
        ),
        2,
        native(_CALLS, "tool_calls"),
        {"incremental_output": False},
    ),
    Twin(
        TEXT,
        "tool calls in pieces",
        frames(
            [
                frame({"content": "", "tool_calls": [_call(0, "", "get_weather", "call_a")]}, output_tokens=3),
                frame({"content": "", "tool_calls": [_call(0, '{"city":"杭州"}')]}, output_tokens=4),
                frame({"content": "", "tool_calls": [_call(1, "{}", "get_time", "call_b")]}, output_tokens=9),
                frame({"content": ""}, "tool_calls"),
            ]
        ),
        3,
        native(_CALLS, "tool_calls"),
    ),
    Twin(
        TEXT,
        "as a text",
        frames(
            [
                {"output": {"text": "1+1", "finish_reason": "null"}, "usage": _so_far(4), "request_id": ID},
                {"output": {"text": "等于2。", "finish_reason": "stop"}, "usage": _so_far(14), "request_id": ID},
            ]
        ),
        1,
        _OUTPUT_TEXT,
        {"result_format": "text"},
    ),
    Twin(
        TEXT,
        "two choices",
        frames(
            [
                frame({"content": "甲"}, output_tokens=2, index=0),
                frame({"content": "丙"}, "stop", output_tokens=5, index=1),
                frame({"content": "乙"}, "stop", index=0),
            ]
        ),
        2,
        _NATIVE_PAIR,
        {"n": 2},
    ),
    Twin(
        MULTIMODAL,
        "parts",
        frames(
            [
                frame({"content": []}, output_tokens=1),
                frame({"content": [{"text": "海"}]}, output_tokens=2),
                frame({"content": [{"text": "滩。"}]}, output_tokens=3),
                frame({"content": []}, "stop"),
            ]
        ),
        3,
        native({"role": "assistant", "content": [{"text": "海滩。"}]}),
    ),
)


def cut(text: bytes, places: list[int]) -> list[bytes]:
    """*text* cut into pieces at *places*, any numbers; some pieces may be empty."""
    edges = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


# Errors

_AGAIN, _PARK, _REJECT, _THROTTLED = Fault.AGAIN, Fault.PARK, Fault.REJECT, Fault.THROTTLED
_ROW, _LANE, _WORKSPACE, _ACCOUNT = Scope.ROW, Scope.LANE, Scope.WORKSPACE, Scope.ACCOUNT


class Line(NamedTuple):
    """A line of the provider's error table, and what batchrun makes of it."""

    status: int
    codes: tuple[str, ...]
    """The native spelling and the compatible one; every one comes in every shape."""
    kind: str | None
    """The compatible body's type; None where it repeats the code."""
    message: str
    fault: Fault
    scope: Scope
    in_doubt: bool = False
    anchor: str = "error-url"


def _later(status: int, scope: Scope, *codes: str, message: str, kind: str | None = None, anchor: str = "error-url") -> Line:
    return Line(status, codes, kind, message, _PARK, scope, anchor=anchor)


def _never(status: int, *codes: str, message: str, kind: str | None = None, anchor: str = "error-url") -> Line:
    return Line(status, codes, kind, message, _REJECT, _ROW, anchor=anchor)


def _slower(*codes: str, message: str) -> Line:
    return Line(429, codes, None, message, _THROTTLED, _LANE, anchor="rate-limit")


def _anew(status: int, *codes: str, message: str, in_doubt: bool = False) -> Line:
    return Line(status, codes, None, message, _AGAIN, _ROW, in_doubt)


_RAM = "You are not authorized to do this operation. Action: sfm:CreateSession;Resource: acs:sfm::xxx:* (1-1)."
_ROUTE = "url error, please check url！"

ERRORS: tuple[Line, ...] = (
    _never(400, "InvalidParameter", "invalid_parameter_error", kind="invalid_request_error", message="Temperature should be in [0.0, 2.0)"),
    _never(400, "InvalidParameter", message="Model not exist."),
    _never(400, "InvalidParameter", message=_ROUTE),
    _never(400, "InvalidParameter", message="<400> InternalError.Algo.InvalidParameter: Range of max_tokens should be [1, 32768]"),
    _never(400, "invalid_request_error", message="you must provide a model parameter."),
    _never(400, "invalid_value", kind="invalid_request_error", message="seed out of range"),
    _never(400, "InvalidParameter.NotSupportEnableThinking", message="The model xxx does not support enable_thinking."),
    _never(400, "InvalidURL", message="The provided URL does not appear to be valid."),
    *(
        _never(400, "DataInspectionFailed", "data_inspection_failed", message=message, anchor="inappropriate-content")
        for message in (
            "Input data may contain inappropriate content.",
            "Output data may contain inappropriate content.",
            "<400> InternalError.Algo.DataInspectionFailed: Input text data may contain inappropriate content.",
        )
    ),
    _later(
        400,
        _ACCOUNT,
        "Arrearage",
        message="Access denied, please make sure your account is in good standing.",
        anchor="overdue-payment",
    ),
    *(
        _never(400, code, message="refused")
        for code in ("UnsupportedOperation", "CustomRoleBlocked", "FaqRuleBlocked", "IPInfringementSuspect")
    ),
    *(_never(400, f"BadRequest.{what}", message="refused") for what in ("EmptyInput", "EmptyParameters", "EmptyModel", "IllegalInput")),
    _later(401, _WORKSPACE, "InvalidApiKey", message="Invalid API-key provided.", anchor="apikey-error"),
    _later(
        401,
        _WORKSPACE,
        "invalid_api_key",
        kind="invalid_request_error",
        message="Incorrect API key provided. ",
        anchor="apikey-error",
    ),
    _later(
        401,
        _WORKSPACE,
        "NOT AUTHORIZED",
        message="Access denied: Either you are not authorized to access this workspace, or the workspace does not exist.",
    ),
    _later(403, _LANE, "Model.AccessDenied", message="Model access denied."),
    _later(403, _WORKSPACE, "Workspace.AccessDenied", message="Workspace access denied."),
    _later(403, _LANE, "Endpoint.AccessDenied", message="Workspace endpoint access denied."),
    _later(403, _WORKSPACE, "App.AccessDenied", message="App access denied."),
    _later(403, _LANE, "AccessDenied", "access_denied", message="current user api does not support synchronous calls."),
    _later(
        403, _LANE, "AccessDenied.Unpurchased", message="Access to model denied. Please make sure you are eligible for using the model."
    ),
    _later(403, _LANE, "AllocationQuota.FreeTierOnly", "insufficient_quota", message="The free tier of the model has been exhausted."),
    _later(404, _LANE, "ModelNotFound", message="Model can not be found."),
    _later(
        404,
        _LANE,
        "model_not_found",
        kind="invalid_request_error",
        message="The model `xxx` does not exist or you do not have access to it.",
    ),
    _later(404, _LANE, "model_not_supported", message="Unsupported model `xxx` for OpenAI compatibility mode."),
    _later(404, _WORKSPACE, "WorkSpaceNotFound", message="WorkSpace can not be found."),
    _later(404, _LANE, "NotFound", message="Not Found"),
    _anew(400, "InvalidURL.Timeout", message="Download xxx timeout, please check network connection."),
    _anew(400, "InvalidParameter.DataInspection", message="Unable to download the media resource during the data inspection process."),
    _anew(400, "BadRequest.InputDownloadFailed", message="Failed to download the input file."),
    _anew(408, "RequestTimeOut", message="Request timed out, please try again later.", in_doubt=True),
    _anew(500, "RequestTimeOut", message="Request timed out, please try again later.", in_doubt=True),
    _never(409, "Conflict", message="Deployment name is taken."),
    _never(413, "BadRequest.TooLarge", message="Payload Too Large."),
    _slower("Throttling", message="Requests throttling triggered."),
    _slower("Throttling.RateQuota", "LimitRequests", message="Requests rate limit exceeded, please try again later."),
    _slower("limit_requests", message="You exceeded your current requests list."),
    _slower("Throttling.BurstRate", "limit_burst_rate", message="Request rate increased too quickly."),
    _slower("Throttling.AllocationQuota", message="Allocated quota exceeded, please increase your quota limit."),
    _slower("insufficient_quota", message="You exceeded your current quota, please check your plan and billing details."),
    _slower("Throttling.AllocationQuota", message="month allocated quota exceeded"),
    _slower("Throttling.AllocationQuota", message="Too many requests. Batch requests are being throttled due to system capacity limits."),
    _slower("Throttling.ResourceExhausted", message="An error occurred in model serving, error message is: [Too many requests.]"),
    _slower("Throttling.Concurrency", "Throttling.ServiceOverloaded", "Throttling.Aborted", message="Too many requests."),
    _slower("ResourceExhausted", "Too many requests", message="You have exceeded your request limit."),
    _later(429, _WORKSPACE, "CommodityNotPurchased", "PrepaidBillOverdue", message="Commodity has not purchased yet."),
    _later(429, _ACCOUNT, "PostpaidBillOverdue", message="The postpaid bill is overdue."),
    _later(429, _WORKSPACE, "BudgetLimitExceeded", message="The budget is used up."),
    _anew(
        500, "InternalError", "internal_error", message="An internal error has occured, please try again later or contact service support."
    ),
    _anew(500, "InternalError.Algo", "internal_server_error", message="inference internal error."),
    _anew(500, "InternalError.Timeout", message="The model took too long.", in_doubt=True),
    _anew(499, "ClientClosedRequest", message="The call was cancelled.", in_doubt=True),
    _anew(504, "GatewayTimeout", message="DEADLINE_EXCEEDED", in_doubt=True),
    _anew(500, "ResponseTimeout", message="Response stream timeout", in_doubt=True),
    _anew(500, "SystemError", message="An system error has occured, please try again later."),
    _anew(500, "ModelServiceFailed", message="Failed to request model service."),
    _anew(500, "ModelServingError", message="Too many requests. Your requests are being throttled due to system capacity limits."),
    _anew(503, "ModelServingError", message="Too many requests. Your requests are being throttled due to system capacity limits."),
    _anew(503, "ServiceUnavailable", message="Service unavailable."),
    _anew(503, "ModelUnavailable", message="Model is unavailable, please try again later."),
    _later(403, _WORKSPACE, "NoPermission", message=_RAM),
)

SHAPES = ("A", "B", "C")


def refused(shape: str, code: str, kind: str, message: str) -> Fields:
    """An error of the compatible route in one of the shapes that are about."""
    error = {"message": message, "type": kind, "param": None, "code": code}
    if shape == "C":
        return {"error": {"message": message, "id": ID, "type": kind, "code": code}}
    return {"error": error, **({"id": f"chatcmpl-{ID}"} if shape == "B" else {}), "request_id": ID}


def refused_natively(code: str, message: str) -> Fields:
    """An error of a native route."""
    return {"code": code, "message": message, "request_id": ID}


def error_event(fields: Fields) -> bytes:
    """An error as the compatible route puts it into a stream."""
    return b"data: " + orjson.dumps(fields) + b"\n\n"


def error_frame(fields: Fields, status: int) -> bytes:
    """An error as a native route puts it into a stream; seen in the streams of the compatible one too."""
    return b"id:1\nevent:error\n:HTTP_STATUS/%d\ndata:" % status + orjson.dumps(fields) + b"\n\n"


def _real(code: str, message: str, shape: str = "A", kind: str | None = None) -> bytes:
    return orjson.dumps(refused(shape, code, kind or code, message))


_MISLABELLED = {"content-type": "application/json", "x-request-id": ID}
_BAD_ROLE = "Role must be user or assistant and Content length must be greater than 0"
_UNKNOWN_TASK = {"request_id": ID, "output": {"task_id": "1111", "task_status": "UNKNOWN"}}
_WRONG_PURPOSE = {
    "error": {"message": "'purpose' must be 'file-extract'", "type": "invalid_request_error", "param": "purpose", "code": None}
}

_BODIES: tuple[tuple[str, str, int, bytes, Refusal], ...] = (
    (
        OPENAI,
        "a wrong key",
        401,
        _real("invalid_api_key", "Incorrect API key provided." + _HELP + "apikey-error", kind="invalid_request_error"),
        Refusal(_PARK, _WORKSPACE, "invalid_api_key", 401),
    ),
    (
        OPENAI,
        "a model not authorised",
        403,
        _real("Model.AccessDenied", "Model access denied.", "B"),
        Refusal(_PARK, _LANE, "Model.AccessDenied", 403),
    ),
    (
        OPENAI,
        "a free tier used up",
        403,
        _real("AllocationQuota.FreeTierOnly", "The free tier of the model has been exhausted.", "B"),
        Refusal(_PARK, _LANE, "AllocationQuota.FreeTierOnly", 403),
    ),
    (
        OPENAI,
        "a model not purchased",
        403,
        _real("AccessDenied.Unpurchased", "Access to model denied.", "C"),
        Refusal(_PARK, _LANE, "AccessDenied.Unpurchased", 403),
    ),
    (
        OPENAI,
        "no such model",
        404,
        _real("model_not_found", "The model `xxx` does not exist or you do not have access to it.", kind="invalid_request_error"),
        Refusal(_PARK, _LANE, "model_not_found", 404),
    ),
    (
        OPENAI,
        "no such model, without a request id",
        404,
        orjson.dumps({"error": {"message": "The model `x` does not exist", "type": "invalid_request_error", "code": "model_not_found"}}),
        Refusal(_PARK, _LANE, "model_not_found", 404, request_id=None),
    ),
    (OPENAI, "too many requests", 429, _real("limit_requests", "You exceeded…"), Refusal(_THROTTLED, _LANE, "limit_requests", 429)),
    (
        OPENAI,
        "too many tokens",
        429,
        _real("insufficient_quota", "You exceeded your current quota." + _HELP + "token-limit"),
        Refusal(_THROTTLED, _LANE, "insufficient_quota", 429),
    ),
    (
        OPENAI,
        "inspected",
        400,
        _real("data_inspection_failed", "Input data may contain inappropriate content.", "B"),
        Refusal(_REJECT, _ROW, "data_inspection_failed", 400),
    ),
    (
        OPENAI,
        "overdue",
        400,
        _real("Arrearage", "Access denied, please make sure your account is in good standing.", "B"),
        Refusal(_PARK, _ACCOUNT, "Arrearage", 400),
    ),
    (
        OPENAI,
        "a code of null",
        400,
        orjson.dumps(_WRONG_PURPOSE),
        Refusal(_REJECT, _ROW, "invalid_request_error", 400, request_id=None),
    ),
    (
        TEXT,
        "a wrong key",
        401,
        orjson.dumps(refused_natively("InvalidApiKey", "Invalid API-key provided.")),
        Refusal(_PARK, _WORKSPACE, "InvalidApiKey", 401),
    ),
    (
        TEXT,
        "a wrong parameter",
        400,
        orjson.dumps(refused_natively("InvalidParameter", _BAD_ROLE)),
        Refusal(_REJECT, _ROW, "InvalidParameter", 400, message=_BAD_ROLE),
    ),
    (
        MULTIMODAL,
        "the other route's model",
        400,
        orjson.dumps(refused_natively("InvalidParameter", _ROUTE + _HELP + "error-url")),
        Refusal(_REJECT, _ROW, "InvalidParameter", 400, message=_ROUTE + _HELP + "error-url"),
    ),
    (
        TEXT,
        "a finished task cannot be cancelled",
        400,
        orjson.dumps(refused_natively("UnsupportedOperation", "Failed to cancel the task.")),
        Refusal(_REJECT, _ROW, "UnsupportedOperation", 400),
    ),
    (TEXT, "a task is no answer", 200, orjson.dumps(_UNKNOWN_TASK), Refusal(_AGAIN, _ROW, "no_choices", 200, in_doubt=True)),
    (
        TEXT,
        "an error under 200, outside a stream",
        200,
        orjson.dumps(refused_natively("InvalidApiKey", "Invalid API-key provided.")),
        Refusal(_PARK, _WORKSPACE, "InvalidApiKey", 200),
    ),
)

_INSPECTED = "Output data may contain inappropriate content."
_STREAMED: tuple[tuple[str, str, int, Mapping[str, str], bytes, Refusal], ...] = (
    (
        OPENAI,
        "inspected in the middle",
        200,
        EVENT_STREAM,
        events([chunk({"content": "我"})], done=False)[0] + error_event(refused("A", "data_inspection_failed", "x", _INSPECTED)),
        Refusal(_REJECT, _ROW, "data_inspection_failed", 200, in_doubt=True, message=_INSPECTED),
    ),
    (
        OPENAI,
        "a native frame at once",
        200,
        EVENT_STREAM,
        error_frame(refused_natively("Throttling.AllocationQuota", "Allocated quota exceeded."), 429),
        Refusal(_THROTTLED, _LANE, "Throttling.AllocationQuota", 429),
    ),
    (
        OPENAI,
        "a native frame in the middle",
        200,
        EVENT_STREAM,
        events([chunk({"content": "我"})], done=False)[0] + error_frame(refused_natively("Throttling.AllocationQuota", "m"), 429),
        Refusal(_THROTTLED, _LANE, "Throttling.AllocationQuota", 429, in_doubt=True),
    ),
    (
        OPENAI,
        "an event as the body of a 400",
        400,
        EVENT_STREAM,
        error_event(refused("A", "data_inspection_failed", "data_inspection_failed", _INSPECTED)),
        Refusal(_REJECT, _ROW, "data_inspection_failed", 400, message=_INSPECTED),
    ),
    (
        TEXT,
        "a wrong parameter under 200",
        200,
        EVENT_STREAM,
        error_frame(refused_natively("InvalidParameter", _BAD_ROLE), 400),
        Refusal(_REJECT, _ROW, "InvalidParameter", 400, message=_BAD_ROLE),
    ),
    (
        MULTIMODAL,
        "the other route's model under 200",
        200,
        EVENT_STREAM,
        error_frame(refused_natively("InvalidParameter", _ROUTE), 400),
        Refusal(_REJECT, _ROW, "InvalidParameter", 400, message=_ROUTE),
    ),
    (
        TEXT,
        "events that are called JSON under 400",
        400,
        _MISLABELLED,
        error_frame(refused_natively("InvalidParameter", "<400> InternalError.Algo.InvalidParameter: Range of max_tokens"), 400),
        Refusal(_REJECT, _ROW, "InvalidParameter", 400),
    ),
)


def _written() -> Iterator[Case]:
    for protocol, name, fields, answer in PLAIN:
        yield Case("answer", protocol, name, orjson.dumps(fields), answer)
    for name, headers in HEADERS.items():
        yield Case("headers", OPENAI, name, orjson.dumps(compat()), Answer(_SAID, usage=_USED), headers=headers)
        for protocol in NATIVE:
            yield Case("headers", protocol, name, orjson.dumps(native()), Answer(_SAID, usage=_NATIVELY), headers=headers)
    for protocol, name, usage, counts in USAGE:
        fields = compat(usage=usage) if protocol == OPENAI else native(usage=usage)
        yield Case("usage", protocol, name, orjson.dumps(fields), Answer(_SAID, usage=counts))
    for twin in TWINS:
        yield Case("stream", twin.protocol, twin.name, twin.stream, _answer_of(twin), headers=EVENT_STREAM, asked=twin.asked)
    for protocol, name, status, body, refusal in _BODIES:
        yield Case("error", protocol, name, body, refusal, status)
    for protocol, name, status, headers, body, refusal in _STREAMED:
        yield Case("error in a stream", protocol, name, body, refusal, status, headers)


def _answer_of(twin: Twin) -> Answer:
    """What the plain twin says, read without batchrun."""
    output = twin.plain.get("output", twin.plain)
    choice = output["choices"][0] if "choices" in output else {"message": {"content": output["text"]}, **output}
    message, usage = choice["message"], twin.plain["usage"]
    content = message["content"] if isinstance(message["content"], str) else message["content"][0]["text"]
    reasoning = message.get("reasoning_content")
    counts = Usage(*(22, 17) if twin.protocol == OPENAI else (16, 14), uncounted_reasoning=bool(reasoning)) if usage else None
    return Answer(content, choice["finish_reason"], counts, ID, reasoning, message.get("tool_calls"))


def _table() -> Iterator[Case]:
    for number, line in enumerate(ERRORS):
        for code in line.codes:
            name = f"{line.status} {code} ({number})"
            yield from _told(line, code, line.message, name)
            yield from _told(line, code, line.message + (_HELP_ABROAD if number % 2 else _HELP) + line.anchor, f"{name} with a help URL")


def _told(line: Line, code: str, message: str, name: str) -> Iterator[Case]:
    """One code of a line in every way that it has been told in."""
    wanted = Refusal(line.fault, line.scope, code, line.status, line.in_doubt, message.strip())
    fields, frame_ = refused_natively(code, message), error_frame(refused_natively(code, message), line.status)
    for shape in SHAPES:
        body = orjson.dumps(refused(shape, code, line.kind or code, message))
        yield Case("error table", OPENAI, f"{name} as {shape}", body, wanted, line.status)
    body = error_event(refused("A", code, line.kind or code, message))
    yield Case("error table", OPENAI, f"{name} as an event", body, wanted, line.status, EVENT_STREAM)
    for protocol in PROTOCOLS:
        yield Case("error table", protocol, f"{name} as a frame under 200", frame_, wanted, 200, EVENT_STREAM)
    for protocol in NATIVE:
        yield Case("error table", protocol, f"{name} as an object", orjson.dumps(fields), wanted, line.status)
        yield Case("error table", protocol, f"{name} as a frame called JSON", frame_, wanted, line.status, _MISLABELLED)


WRITTEN: tuple[Case, ...] = tuple(_written())
"""Each body as it was recorded."""
CASES: tuple[Case, ...] = (*WRITTEN, *_table())
"""Those, and the error table in every shape."""


def _print_counts() -> None:
    counts = Counter((case.kind, case.protocol) for case in CASES)
    kinds = dict.fromkeys(case.kind for case in CASES)
    rows = [(kind, *(str(counts[kind, protocol]) for protocol in PROTOCOLS)) for kind in kinds]
    rows.append(("all", *(str(sum(counts[kind, protocol] for kind in kinds)) for protocol in PROTOCOLS)))
    for row in (("", *PROTOCOLS), *rows):
        print(f"{row[0]:<18}" + "".join(f"{cell:>22}" for cell in row[1:]))  # noqa: T201 - what this file does as a program


if __name__ == "__main__":
    _print_counts()
