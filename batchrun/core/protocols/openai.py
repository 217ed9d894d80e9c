"""The OpenAI-compatible chat wire format: a row to request bytes, an answer to a Reply or a Failure.

An answer is a Reply only when it is whole: status 2xx, one JSON object, and a finish reason in every choice. An answer cut at ``length``
or by a content filter is an answer. What the provider sends in an error's place is read by ``error_body.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from batchrun.core.model import Failure, Reply, Row, Usage
from batchrun.core.protocols.error_body import clean, complaint_in_stream, complaint_of, error_in_200, refusal, request_id_of
from batchrun.core.protocols.json_body import Document, Unreadable, parse
from batchrun.core.protocols.mishaps import mishap

_ABSURD = 1_000_000_000
"""Tokens. No call has used as many: the number is a mistake, and must not become money."""


def url(base_url: str) -> str:
    """Where chat calls go, for a base URL as the provider's pages print it (``https://…/compatible-mode/v1``)."""
    return base_url.rstrip("/") + "/chat/completions"


def encode(row: Row) -> bytes:
    """The request body: what the user wrote plus defaults, untouched."""
    return orjson.dumps(row.body)


def read(status: int, headers: Mapping[str, str], body: bytes) -> Reply | Failure:
    """What an answer is; never raises, whatever *body* holds."""
    if not 200 <= status < 300:
        return refusal(status, headers, body)
    match parse(body):
        case Document(fields, line):
            return _answer(status, headers, fields, line)
        case Unreadable("event_stream") if said := complaint_in_stream(body):
            return error_in_200(status, headers, said)
        case Unreadable(flaw):
            return mishap(flaw, in_doubt=True, status=status, request_id=request_id_of(headers))


def _answer(status: int, headers: Mapping[str, str], fields: dict[str, Any], line: bytes) -> Reply | Failure:
    usage = usage_of(fields.get("usage"))
    if said := complaint_of(fields, line):
        return error_in_200(status, headers, said, usage)
    request_id = request_id_of(headers) or _request_id(fields)
    found = fields.get("choices")
    choices = found if isinstance(found, list) else []
    if flaw := _flaw(choices):
        return mishap(flaw, in_doubt=usage is None, status=status, request_id=request_id, usage=usage)
    message = choices[0]["message"]
    return Reply(
        content=_content(message.get("content")),
        finish_reason=choices[0]["finish_reason"],
        usage=usage,
        request_id=request_id,
        reasoning=_reasoning(message),
        tool_calls=_tool_calls(message),
        choices=choices if len(choices) > 1 else None,
        body=line,
    )


def _flaw(choices: list[Any]) -> str | None:
    """Why *choices* are no answer; None where they are one."""
    if not choices:
        return "no_choices"
    for choice in choices:
        message = choice.get("message") if isinstance(choice, dict) else None
        if not isinstance(message, dict) or not isinstance(message.get("content"), str | list | None):
            return "no_message"
        reason = choice.get("finish_reason")
        # The native route writes the string "null" until an answer ends; so may a gateway before it.
        if not isinstance(reason, str) or reason in {"", "null"}:
            return "no_finish_reason"
    return None


def _content(content: str | list[Any] | None) -> str:
    """The text of an answer; none (a tool call, a budget spent on reasoning) is an empty one, and parts are joined."""
    if isinstance(content, list):
        return "".join(part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str))
    return content or ""


def _reasoning(message: dict[str, Any]) -> str | None:
    reasoning = message.get("reasoning_content")
    return reasoning if isinstance(reasoning, str) and reasoning else None


def _tool_calls(message: dict[str, Any]) -> list[Any] | None:
    calls = message.get("tool_calls")
    return calls if isinstance(calls, list) and calls else None


def _request_id(fields: dict[str, Any]) -> str | None:
    for name in ("request_id", "id"):
        if isinstance(fields.get(name), str):
            return clean(fields[name].removeprefix("chatcmpl-")) or None
    return None


def usage_of(reported: object) -> Usage | None:
    """Tokens as the provider reported them; None where they are missing or cannot be true, and then in doubt."""
    if not isinstance(reported, dict):
        return None
    asked, answered = _tokens(reported.get("prompt_tokens")), _tokens(reported.get("completion_tokens"))
    if asked is None or answered is None:
        return None
    return Usage(
        input_tokens=asked,
        output_tokens=answered,
        cached_tokens=_part(reported, "prompt_tokens_details", "cached_tokens", asked),
        reasoning_tokens=_part(reported, "completion_tokens_details", "reasoning_tokens", answered),
        raw=reported,
    )


def _tokens(count: object) -> int | None:
    return count if isinstance(count, int) and not isinstance(count, bool) and 0 <= count < _ABSURD else None


def _part(reported: dict[str, Any], details: str, name: str, whole: int) -> int:
    """A part of *whole* tokens, from its details or from beside them; 0 where it is larger than the whole: a mistake earns no discount."""
    itemised = reported.get(details)
    count = _tokens(itemised.get(name)) if isinstance(itemised, dict) else None
    if count is None:
        count = _tokens(reported.get(name))
    return count if count is not None and count <= whole else 0
