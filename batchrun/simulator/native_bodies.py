"""An answer on DashScope's own wire: output, usage and request id, whole or as numbered events that each have all three."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field, replace
from typing import Any

import orjson

from batchrun.core.classes import slotted, value
from batchrun.core.model import Usage
from batchrun.simulator import tokens
from batchrun.simulator.answers import Answer, Choice, calls_tokens
from batchrun.simulator.bodies import kept, media_tokens
from batchrun.simulator.deltas import Delta, deltas
from batchrun.simulator.likelihoods import likelihoods

Json = dict[str, Any]

_ORDER = (
    *("audio_tokens", "input_tokens_details", "prompt_tokens_details", "total_tokens", "output_tokens", "video_tokens"),
    *("input_tokens", "output_tokens_details", "image_tokens", "plugins"),
)
"""Of a usage's fields, as most recorded answers have them."""


@value
class Style:
    """How a call wants its answer, its model's habits counted in."""

    text: bool
    """``result_format`` text: no choices."""
    incremental: bool
    """Each event holds what is new."""
    parts: bool
    """The multimodal route: contents are lists of parts."""
    itemised: bool
    """The usage of an answer about media has a total and details, as newer models' has."""


def completion(answer: Answer, style: Style, request_id: str, *, finished: bool = True) -> bytes:
    """The body of a plain answer. With *finished* false it lacks its finish reasons."""
    if style.text:
        ending = {"finish_reason": answer.choices[0].finish_reason} if finished else {}
        output: Json = {**ending, "text": answer.choices[0].content}
    else:
        output = {"choices": [_choice(choice, index, answer, style, finished) for index, choice in enumerate(answer.choices)]}
    return orjson.dumps({"output": output, "usage": usage(answer, style), "request_id": request_id})


def _choice(choice: Choice, index: int, answer: Answer, style: Style, finished: bool) -> Json:  # noqa: FBT001 - private, one call
    ending = {"finish_reason": choice.finish_reason} if finished else {}
    place = {"index": index} if len(answer.choices) > 1 else {}
    message = _message(_Said(choice.reasoning, choice.content, list(choice.tool_calls)), style, choice)
    return {**ending, "message": message, **place, **_likely(choice.content, answer)}


def _likely(content: str, answer: Answer) -> Json:
    return {} if answer.likely is None else {"logprobs": likelihoods(content, answer.likely)}


@slotted
class _Said:
    """What a choice has said, so far or since the event before."""

    reasoning: str = ""
    content: str = ""
    tool_calls: list[Json] = field(default_factory=list)

    def hear(self, new: Delta) -> None:
        """Join what is new to what there is; parts of a call's arguments to their call."""
        self.reasoning += new.reasoning
        self.content += new.content
        if new.tool_call is None:
            return
        function = new.tool_call["function"]
        if new.tool_call["id"]:
            self.tool_calls.append({**new.tool_call, "function": dict(function)})
        else:
            self.tool_calls[new.tool_call["index"]]["function"]["arguments"] += function["arguments"]


def _message(said: _Said, style: Style, choice: Choice) -> Json:
    content: Any = ([{"text": said.content}] if said.content else []) if style.parts else said.content
    if choice.reasoning:
        message: Json = {"content": content, "reasoning_content": said.reasoning, "role": "assistant"}
    else:
        message = {"role": "assistant", "content": content}
    return {**message, "tool_calls": said.tool_calls} if said.tool_calls else message


def usage(answer: Answer, style: Style) -> Json:
    """The tokens as the model's generation tells them; details itemise a total and are never added to it."""
    spent = answer.usage
    media = media_tokens(answer)
    if media and not style.itemised:
        return _in_order({**media, "output_tokens": spent.output_tokens, "input_tokens": spent.input_tokens})
    told: Json = {
        "prompt_tokens_details": kept(answer) if answer.explicit_cache else {"cached_tokens": spent.cached_tokens},
        "total_tokens": spent.input_tokens + spent.output_tokens,
        "output_tokens": spent.output_tokens,
        "input_tokens": spent.input_tokens,
    }
    reasoned = {"reasoning_tokens": spent.reasoning_tokens} if spent.reasoning_tokens else {}
    if style.itemised and style.parts:
        # Seen both ways: without a search the text is the output less the reasoning, with one it is the whole output.
        written = spent.output_tokens - (0 if spent.searches else spent.reasoning_tokens)
        told |= {
            **media,
            "input_tokens_details": {**media, "text_tokens": spent.input_tokens - sum(media.values())},
            "output_tokens_details": {**reasoned, "text_tokens": written},
        }
    elif reasoned:
        told["output_tokens_details"] = reasoned
    if spent.searches:
        told["plugins"] = {"search": {"count": spent.searches, "strategy": "turbo"}}
    return _in_order(told)


def _in_order(told: Json) -> Json:
    return {name: told[name] for name in _ORDER if name in told}


def events(answer: Answer, style: Style, request_id: str, *, finished: bool = True) -> list[bytes]:
    """The same answer as events numbered from 1, the usage growing with them."""
    outputs = _outputs(answer, style, finished=finished)
    return [_event(number, output, usage(sofar, style), request_id) for number, (output, sofar) in enumerate(outputs, 1)]


def _event(number: int, output: Json, spent: Json, request_id: str) -> bytes:
    data = orjson.dumps({"output": output, "usage": spent, "request_id": request_id})
    return b"id:%d\nevent:result\n:HTTP_STATUS/200\ndata:%b\n\n" % (number, data)


def _outputs(answer: Answer, style: Style, *, finished: bool) -> Iterator[tuple[Json, Answer]]:
    """Each event's output, and the answer as far as it has been paid for by then."""
    spent = replace(answer.usage, output_tokens=0, reasoning_tokens=0)
    for index, choice in enumerate(answer.choices):
        said = _Said()
        for new in deltas(choice):
            said.hear(new)
            part = _Said(new.reasoning, new.content, [new.tool_call] if new.tool_call else []) if style.incremental else said
            sofar = replace(answer, usage=_sofar(spent, said, answer.usage))
            yield _output(part, style, choice, index, "null", sofar), sofar
        last = index + 1 == len(answer.choices)
        spent = answer.usage if last else _sofar(spent, said, answer.usage)
        if finished:
            sofar = replace(answer, usage=spent)
            yield _output(_Said() if style.incremental else said, style, choice, index, choice.finish_reason, sofar), sofar


def _sofar(before: Usage, said: _Said, whole: Usage) -> Usage:
    """The usage when *said* has come on top of *before*; never more than in the end."""
    reasoned = min(before.reasoning_tokens + tokens.count(said.reasoning), whole.reasoning_tokens)
    written = tokens.count(said.content) + calls_tokens(said.tool_calls)
    output = min(before.output_tokens + tokens.count(said.reasoning) + written, whole.output_tokens)
    return replace(before, output_tokens=output, reasoning_tokens=reasoned)


def _output(said: _Said, style: Style, choice: Choice, index: int, ending: str, answer: Answer) -> Json:
    if style.text:
        return {"finish_reason": ending, "text": said.content}
    place = {"index": index} if style.itemised or index else {}
    return {"choices": [{"message": _message(said, style, choice), **place, "finish_reason": ending, **_likely(said.content, answer)}]}
