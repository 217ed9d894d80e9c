"""Which chats the provider refuses for their parameters, in its own words (its error page, 2025-12)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from batchrun.simulator import media, refusals, tokens
from batchrun.simulator.families import Family, Thinking
from batchrun.simulator.native_bodies import Style
from batchrun.simulator.refusal import Refusal, invalid
from batchrun.simulator.refusals import bad_seed
from batchrun.simulator.routes import Route

Body = dict[str, Any]

_DATA_URI_BYTES = 10_485_760
_MEDIUM_BYTES = 20 * 1024 * 1024
"""Beyond it the doors in front refuse a medium before its model is asked."""
_MOST_THOUGHT = 38_912
_MOST_SEED = 2**63 - 1
_MOST_A_CHARACTER = 0.85
"""Tokens: no text has more of them."""


def first_mistake(body: Body, model: str, family: Family, route: Route) -> Refusal | None:
    """What the provider would complain about first, if anything."""
    if route not in family.routes:
        return refusals.WRONG_ROUTE
    for check in _NATIVE_CHECKS if route.native else _CHECKS:
        if refusal := check(body, model, family):
            return refusal
    return None


def style_of(body: Body, family: Family, route: Route) -> Style:
    """How a native call wants its answer."""
    multimodal = route is Route.MULTIMODAL
    form, increments = body.get("result_format"), body.get("incremental_output")
    return Style(
        text=not multimodal and (form == "text" or (form is None and not family.message)),
        incremental=not family.repeats and (family.increments if increments is None else increments is True),
        parts=multimodal,
        itemised=family.itemised,
    )


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
    ("top_logprobs", _whole(0, 5), "Range of top_logprobs should be [0, 5]"),
    (
        "thinking_budget",
        _whole(1, _MOST_THOUGHT),
        f"The thinking_budget parameter must be a positive integer and not greater than {_MOST_THOUGHT}",
    ),
)


def _messages(body: Body, _model: str, family: Family) -> Refusal | None:
    messages = body.get("messages")
    if messages is None:
        return invalid('Either "prompt" or "messages" must exist and cannot both be none')
    if messages == []:
        return invalid("[] is too short - 'messages'")
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        return invalid("Required body invalid, please check the request body format.")
    return _roles(messages) or _contents(messages, family)


def _roles(messages: list[Body]) -> Refusal | None:
    roles = [message.get("role") for message in messages]
    known = ("user", "assistant", "system", "function", "plugin", "tool")
    if any(role not in known for role in roles) or roles[-1] not in {"user", "function", "tool"}:
        return invalid(
            'Role must be in ["user","assistant","system","function","plugin","tool"] and the role in last message must be in '
            '["user","function","tool"]'
        )
    return None


def _contents(messages: list[Body], family: Family) -> Refusal | None:
    for message in messages:
        content = message.get("content")
        if content is None and not message.get("tool_calls"):
            return invalid("The content field is a required field.")
        if not isinstance(content, (str, list, type(None))):
            return invalid("input content must be a string.")
    if not family.takes_media and next(media.media(messages), None) is not None:
        return invalid("input content must be a string.")
    return None


def _ranges(body: Body, _model: str, family: Family) -> Refusal | None:
    for name, fits, complaint in _RANGES:
        if (value := body.get(name)) is not None and not fits(value):
            return invalid(complaint)
    for name in ("max_tokens", "max_completion_tokens"):
        if (value := body.get(name)) is not None and not _whole(1, family.most_output)(value):
            return invalid(f"Range of {name} should be [1, {family.most_output}]")
    return None


def _length(body: Body, _model: str, family: Family) -> Refusal | None:
    messages = body["messages"]
    characters = sum(len(tokens.text_of(message.get("content"))) for message in messages)
    if characters * _MOST_A_CHARACTER < family.most_input or tokens.prompt(messages) <= family.most_input:
        return None
    return invalid(f"<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, {family.most_input}]")


def _seed(body: Body, _model: str, _family: Family) -> Refusal | None:
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


def _native_seed(body: Body, _model: str, _family: Family) -> Refusal | None:
    seed = body.get("seed")
    return None if seed is None or _whole(0, _MOST_SEED)(seed) else invalid(f"Range of seed should be [0, {_MOST_SEED}]")


def _native_form(body: Body, _model: str, family: Family) -> Refusal | None:
    form, increments = body.get("result_format"), body.get("incremental_output")
    if form not in (None, "text", "message"):  # A list is in no set.
        return invalid("result_format should be text or message")
    if increments is False and family.increments and family.thinking is Thinking.ALWAYS:
        return invalid("The incremental_output parameter of this model cannot be set to False.")
    if family.thinks(body.get("enable_thinking")):
        if form == "text" or (form is None and not family.message):
            return invalid('The result_format parameter must be "message" when enable_thinking is true')
        whole = not family.increments if increments is None else increments is not True
        if family.thinks_in_streams_only and body.get("stream") is True and whole:
            return invalid('The incremental_output parameter must be "true" when enable_thinking is true')
    return None


def _mode(body: Body, _model: str, family: Family) -> Refusal | None:
    if body.get("stream") is True:
        return None
    modalities = body.get("modalities")
    if isinstance(modalities, list) and "audio" in modalities:
        return invalid("'audio' output only support with stream=true")
    if family.stream_only:
        return invalid("This model only support stream mode, please enable the stream parameter to access the model. ")
    if family.thinks_in_streams_only and family.thinks(body.get("enable_thinking")):
        return invalid("parameter.enable_thinking must be set to false for non-streaming calls")
    return None


def _thinking(body: Body, model: str, family: Family) -> Refusal | None:
    asked = body.get("enable_thinking")
    if asked is True and family.thinking is Thinking.NEVER:
        return refusals.cannot_think(model)
    if asked is False and family.thinking is Thinking.ALWAYS:
        return invalid("The value of the enable_thinking parameter is restricted to True.")
    return None


def _json_mode(body: Body, _model: str, _family: Family) -> Refusal | None:
    match body.get("response_format"):
        case {"type": "json_object"}:
            if body.get("enable_thinking") is True:
                return invalid("Json mode response is not supported when enable_thinking is true")
            if not any("json" in str(message.get("content")).lower() for message in body["messages"]):
                return invalid("'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.")
    return None


def _tools(body: Body, _model: str, family: Family) -> Refusal | None:
    choice = body.get("tool_choice")
    if isinstance(choice, str) and choice not in {"none", "auto"}:
        return invalid('tool_choice is one of the strings that should be ["none", "auto"]')
    if isinstance(choice, dict) and family.thinks(body.get("enable_thinking")):
        return invalid("The tool_choice parameter does not support being set to required or object in thinking mode")
    return None


def _media(body: Body, _model: str, _family: Family) -> Refusal | None:
    for medium in media.media(body["messages"]):
        for source in medium.sources:
            if len(source) > _MEDIUM_BYTES:
                return refusals.TOO_LARGE
            if source.startswith("data:") and len(source) > _DATA_URI_BYTES:
                return invalid(f"Exceeded limit on max bytes per data-uri item : {_DATA_URI_BYTES}'")
            if not source.startswith(("data:", "http://", "https://", "oss://")):
                return invalid("The provided URL does not appear to be valid. Ensure it is correctly formatted.")
    return None


_Check = Callable[[Body, str, Family], Refusal | None]
_CHECKS: tuple[_Check, ...] = (_messages, _ranges, _seed, _length, _mode, _thinking, _json_mode, _tools, _media)
_NATIVE_CHECKS: tuple[_Check, ...] = (_messages, _ranges, _native_seed, _native_form, _length, _mode, _thinking, _json_mode, _tools, _media)
