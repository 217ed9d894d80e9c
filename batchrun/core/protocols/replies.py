"""A plain answer's choices to a Reply: the same for both dialects, once each has found its own choices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from operator import itemgetter
from typing import Any, NamedTuple

from batchrun.core.model import Failure, Reply, Usage
from batchrun.core.protocols.error_body import clean
from batchrun.core.protocols.folding import beside_its_text
from batchrun.core.protocols.mishaps import mishap
from batchrun.core.protocols.usage import counted

Fields = dict[str, Any]
_CONTENTS = (str, list, type(None))
_REASONINGS = frozenset({"reasoning_content", "reasoning"})
"""What it is called; some servers of one's own have the shorter name (vLLM since 2025)."""
_HANDED_ON = frozenset({"role", "content", "tool_calls", *_REASONINGS})
"""What a reply has places of its own for."""
_BROKEN_OFF = ("error", "abort", "insufficient_system_resource")
"""Finish reasons of an answer that its server did not finish: gateways' and vLLM's, vLLM's and SGLang's, and DeepSeek's own."""


class Around(NamedTuple):
    """What an answer is told besides its choices."""

    status: int
    usage: Usage | None
    request_id: str | None
    line: bytes
    """The whole body as one line of JSON."""
    broken_off: bool = False
    """The provider says that its time was up: what came is the beginning of an answer."""


def broken_off(headers: Mapping[str, str]) -> bool:
    """Whether *headers*, named in small letters, say that the provider gave an answer up (its page on models that see, on timeouts)."""
    return headers.get("x-dashscope-partialresponse", "").lower() == "true"


def reply_of(found: object, around: Around) -> Reply | Failure:
    """The Reply that a list of choices is, or why it is none."""
    choices = found if isinstance(found, list) else []
    status, usage, request_id, line, is_broken_off = around
    flaw = _flaw(choices)
    if flaw and not (is_broken_off and flaw == "no_finish_reason"):
        return mishap(flaw, in_doubt=usage is None, status=status, request_id=request_id, usage=usage)
    if len(choices) > 1:
        choices = _in_order(choices)
    first = choices[0]
    message, reason = first["message"], first.get("finish_reason")
    content = message.get("content")
    reasoning = None if _REASONINGS.isdisjoint(message) else _reasoning(message)
    # By their places, for that is how Python makes it soonest: content, finish reason, usage, request id, reasoning, tool calls, choices.
    reply = Reply(
        content if isinstance(content, str) else text_of(content),
        reason if isinstance(reason, str) else "",
        counted(usage) if reasoning is None else _reasoned(usage),
        request_id,
        reasoning,
        _tool_calls(message) if "tool_calls" in message else None,
        choices if len(choices) > 1 or _says_more(first, message, content) else None,
        line,
    )
    if reason in _BROKEN_OFF or (len(choices) > 1 and (reason := _breaks_off(choices))):
        return _brought_along("broken_off", reply, status, reason)
    if reason == "stop" and not (usage and usage.output_tokens) and _says_nothing(reply):
        return _brought_along("empty_answer", reply, status)
    # An answer that says of itself that it was cut is one.
    return _brought_along("partial_response", reply, status) if is_broken_off and reply.finish_reason != "length" else reply


def _brought_along(code: str, reply: Reply, status: int, detail: str = "") -> Failure:
    """The failure that an answer is which was paid for and cannot stand: it brings along what there is of it."""
    failure = mishap(code, detail, in_doubt=reply.usage is None, status=status, request_id=reply.request_id, usage=reply.usage)
    return replace(failure, reply=reply)


def _says_nothing(reply: Reply) -> bool:
    return not (reply.content or reply.reasoning or reply.tool_calls or reply.choices)


def _breaks_off(choices: list[Any]) -> str:
    """The finish reason of the first of several *choices* that was broken off; empty where none was."""
    return next((reason for choice in choices if (reason := choice.get("finish_reason")) in _BROKEN_OFF), "")


def if_whole(reply: Reply | Failure, status: int) -> Reply | Failure:
    """What an answer is whose bytes were not all UTF-8: a failure that brings it along, where its text is damaged.

    Half a character at the end of a text that was cut at its length is no damage.
    """
    if isinstance(reply, Failure):
        return reply
    text = (reply.reasoning or "") + reply.content
    text = text.rstrip("\ufffd") if reply.finish_reason == "length" else text
    if "\ufffd" not in f"{text}{reply.tool_calls}{reply.choices}":
        return reply
    return _brought_along("not_utf8", reply, status)


def named(reply: Reply | Failure, fields: Fields, asked: Fields) -> Reply | Failure:
    """*reply* with the model that its body's *fields* name, where that is not the one that was *asked*: gateways send calls elsewhere."""
    told = fields.get("model")
    if told == asked.get("model", told) or not told or not isinstance(told, str) or isinstance(reply, Failure):
        return reply
    return replace(reply, answered_by=clean(told))


def request_id_in(fields: Fields) -> str | None:
    """The request id that a body carries."""
    for name in ("request_id", "id"):
        if isinstance(fields.get(name), str) and (found := clean(fields[name].removeprefix("chatcmpl-"))):
            return found
    return None


def sourced(reply: Reply | Failure, found: object) -> Reply | Failure:
    """*reply* with what the provider's search *found* for it: where the answer is from."""
    return replace(reply, search_info=found) if found and isinstance(reply, Reply) else reply


def _in_order(choices: list[Any]) -> list[Any]:
    """*choices* by their index, as those of a stream are; as they came where one has none, or that of another."""
    indices = [choice.get("index") for choice in choices]
    if any(type(index) is not int for index in indices) or len({*indices}) < len(indices):
        return choices
    return sorted(choices, key=itemgetter("index"))


def _flaw(choices: list[Any]) -> str | None:
    """Why *choices* are no answer; None where they are one."""
    if not choices:
        return "no_choices"
    for choice in choices:
        message = choice.get("message") if isinstance(choice, dict) else None
        if not isinstance(message, dict) or not isinstance(message.get("content"), _CONTENTS):
            return "no_message"
        reason = choice.get("finish_reason")
        # The native dialect writes the string "null" until an answer ends; so may a gateway before it.
        if not isinstance(reason, str) or reason in {"", "null"}:
            return "no_finish_reason"
    return None


def _says_more(choice: Fields, message: Fields, content: object) -> bool:
    """Whether a choice holds what a reply has no place of its own for: probabilities, a sound, a picture, a refusal."""
    if not message.keys() <= _HANDED_ON and any(_tells(message[name]) for name in message.keys() - _HANDED_ON):
        return True
    if type(content) is list and any(_tells(beside_its_text(part)) for part in content if isinstance(part, dict)):
        return True
    return _tells(choice.get("logprobs"))


def _tells(value: object) -> bool:
    """Whether anything stands in *value*: gateways write tables of nulls."""
    if isinstance(value, dict):
        return any(map(_tells, value.values()))
    return any(map(_tells, value)) if isinstance(value, list) else bool(value)


def text_of(content: list[Any] | None) -> str:
    """The text of an answer that is not told as one; none (a tool call, a budget spent on reasoning) is an empty one, parts are joined."""
    return "".join(part["text"] for part in content or () if isinstance(part, dict) and isinstance(part.get("text"), str))


def _reasoning(message: Fields) -> str | None:
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    return reasoning if reasoning and isinstance(reasoning, str) else None


def _reasoned(usage: Usage | None) -> Usage | None:
    """The *usage* of an answer that reasoned. Not every one itemises that: those on the provider's page on deep thinking do not."""
    usage = counted(usage)
    return usage if usage is None or usage.reasoned else replace(usage, uncounted_reasoning=True)


def _tool_calls(message: Fields) -> list[Any] | None:
    calls = message.get("tool_calls")
    return calls if calls and isinstance(calls, list) else None
