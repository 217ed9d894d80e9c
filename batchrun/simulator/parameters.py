"""Which chat requests the provider refuses for their parameters, in its own words (its error page, 2025-12)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from batchrun.simulator.refusals import Refusal, bad_seed, invalid

Body = dict[str, Any]

_STREAM_ONLY = ("qwq-", "qvq-")
_THINKING_BY_DEFAULT = ("qwen3.5-", "qwen3.6-", "qwen3.7-", "qwen3.8-", "qwq-")
_SHORT_ANSWERS = ("qwen-max", "qwen-vl-", "qwen-mt-")


def thinks(body: Body, model: str) -> bool:
    """Whether the model reasons before it answers: asked to, or by default as the newer families do."""
    asked = body.get("enable_thinking")
    return model.startswith(_THINKING_BY_DEFAULT) if asked is None else asked is True


def first_mistake(body: Body, model: str) -> Refusal | None:
    """What the provider would complain about first, if anything."""
    for check in (_messages, _ranges, _seed, _mode, _json_mode, _tools):
        if refusal := check(body, model):
            return refusal
    return None


def _number(value: object) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _whole(low: int, high: int) -> Callable[[object], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _between(accepts: Callable[[float], bool]) -> Callable[[object], bool]:
    def fits(value: object) -> bool:
        number = _number(value)
        return number is not None and accepts(number)

    return fits


_RANGES: tuple[tuple[str, Callable[[object], bool], str], ...] = (
    ("temperature", _between(lambda value: 0 <= value < 2), "Temperature should be in [0.0, 2.0)"),
    ("top_p", _between(lambda value: 0 < value <= 1), "Range of top_p should be (0.0, 1.0]"),
    ("top_k", _between(lambda value: value >= 0), "Parameter top_k be greater than or equal to 0"),
    ("repetition_penalty", _between(lambda value: value > 0), "Repetition_penalty should be greater than 0.0"),
    ("presence_penalty", _between(lambda value: -2 <= value <= 2), "Presence_penalty should be in [-2.0, 2.0]"),
    ("n", _whole(1, 4), "Range of n should be [1, 4]"),
)


def _messages(body: Body, _model: str) -> Refusal | None:
    messages = body.get("messages")
    if messages is None:
        return invalid('Either "prompt" or "messages" must exist and cannot both be none')
    if messages == []:
        return invalid("[] is too short - 'messages'")
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        return invalid("Required body invalid, please check the request body format.")
    return _roles(messages)


def _roles(messages: list[Body]) -> Refusal | None:
    roles = [message.get("role") for message in messages]
    known = ("user", "assistant", "system", "function", "plugin", "tool")
    if any(role not in known for role in roles) or roles[-1] not in {"user", "function", "tool"}:
        return invalid(
            'Role must be in ["user","assistant","system","function","plugin","tool"] and the role in last message must be in '
            '["user","function","tool"]'
        )
    for message in messages:
        content = message.get("content")
        if content is None and not message.get("tool_calls"):
            return invalid("The content field is a required field.")
        if not isinstance(content, (str, list, type(None))):
            return invalid("input content must be a string.")
    return None


def _ranges(body: Body, model: str) -> Refusal | None:
    for name, fits, complaint in _RANGES:
        if (value := body.get(name)) is not None and not fits(value):
            return invalid(complaint)
    most = 8_192 if model.startswith(_SHORT_ANSWERS) else 65_536 if model.startswith("qwen3") else 32_768
    for name in ("max_tokens", "max_completion_tokens"):
        if (value := body.get(name)) is not None and not _whole(1, most)(value):
            return invalid(f"Range of {name} should be [1, {most}]")
    return None


def _seed(body: Body, _model: str) -> Refusal | None:
    match body.get("seed"):
        case None:
            return None
        case bool() | float() | str() | list() | dict():
            return bad_seed("'seed' must be Integer")
        case int(seed) if seed < 0:
            return bad_seed(f"{seed} is lesser than the minimum of 0 - 'seed'")
        case int(seed) if seed >= 2**31:
            return bad_seed(f"{seed} is greater than the maximum of {2**31 - 1} - 'seed'")
    return None


def _mode(body: Body, model: str) -> Refusal | None:
    if model.startswith(_STREAM_ONLY) and body.get("stream") is not True:
        return invalid("This model only support stream mode, please enable the stream parameter to access the model. ")
    return None


def _json_mode(body: Body, _model: str) -> Refusal | None:
    match body.get("response_format"):
        case {"type": "json_object"}:
            if body.get("enable_thinking") is True:
                return invalid("Json mode response is not supported when enable_thinking is true")
            if not any("json" in str(message.get("content")).lower() for message in body["messages"]):
                return invalid("'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.")
    return None


def _tools(body: Body, _model: str) -> Refusal | None:
    choice = body.get("tool_choice")
    if isinstance(choice, str) and choice not in {"none", "auto"}:
        return invalid('tool_choice is one of the strings that should be ["none", "auto"]')
    return None
