"""An answer on the wire: the chat completion whole or as a stream of events, and the list of models."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from batchrun.simulator.answers import Answer, Choice

Json = dict[str, Any]


def completion(answer: Answer, *, model: str, request_id: str, created: int, finished: bool = True) -> bytes:
    """The body of a plain answer. With *finished* false it lacks its finish reasons, as an answer cut off upstream does."""
    return orjson.dumps(
        {
            "choices": [_choice(choice, index, finished=finished) for index, choice in enumerate(answer.choices)],
            "object": "chat.completion",
            "usage": usage(answer),
            "created": created,
            "system_fingerprint": None,
            "model": model,
            "id": f"chatcmpl-{request_id}",
        }
    )


def _choice(choice: Choice, index: int, *, finished: bool) -> Json:
    message: Json = {"role": "assistant", "content": choice.content}
    if choice.reasoning:
        message["reasoning_content"] = choice.reasoning
    if choice.tool_calls:
        message["tool_calls"] = list(choice.tool_calls)
    ending = {"finish_reason": choice.finish_reason} if finished else {}
    return {"message": message, **ending, "index": index, "logprobs": None}


def usage(answer: Answer) -> Json:
    """The tokens in the provider's shape: each details object itemises a total, and text_tokens is the whole output."""
    spent = answer.usage
    asked: Json = {"cached_tokens": spent.cached_tokens}
    if answer.media_tokens:
        asked |= {"image_tokens": answer.media_tokens, "text_tokens": spent.input_tokens - answer.media_tokens}
    told: Json = {
        "prompt_tokens": spent.input_tokens,
        "completion_tokens": spent.output_tokens,
        "total_tokens": spent.input_tokens + spent.output_tokens,
        "prompt_tokens_details": asked,
    }
    if spent.reasoning_tokens:
        told["completion_tokens_details"] = {"reasoning_tokens": spent.reasoning_tokens, "text_tokens": spent.output_tokens}
    return told


def stream(answer: Answer, *, model: str, request_id: str, created: int, with_usage: bool, finished: bool = True) -> bytes:
    """The same answer as server-sent events, the usage in a last chunk without choices where it was asked for."""
    envelope: Json = {
        "object": "chat.completion.chunk",
        "usage": None,
        "created": created,
        "system_fingerprint": None,
        "model": model,
        "id": f"chatcmpl-{request_id}",
    }
    chunks: list[Json] = [
        {"choices": [piece], **envelope} for index, choice in enumerate(answer.choices) for piece in _pieces(choice, index, finished)
    ]
    if with_usage:
        chunks.append({**envelope, "choices": [], "usage": usage(answer)})
    return b"".join(b"data: %b\n\n" % orjson.dumps(chunk) for chunk in chunks) + b"data: [DONE]\n\n"


def _pieces(choice: Choice, index: int, finished: bool) -> Iterable[Json]:  # noqa: FBT001 - private, read at its one call
    def piece(delta: Json, ending: str | None = None) -> Json:
        return {"delta": delta, "index": index, "logprobs": None, "finish_reason": ending}

    yield piece({"content": "", "role": "assistant"})
    for part in _slices(choice.reasoning):
        yield piece({"content": None, "reasoning_content": part})
    for part in _slices(choice.content):
        yield piece({"content": part})
    for call in choice.tool_calls:
        yield piece({"content": None, "tool_calls": [call]})
    if finished:
        yield piece({"content": ""}, choice.finish_reason)


def _slices(text: str, size: int = 24) -> Iterable[str]:
    return (text[start : start + size] for start in range(0, len(text), size))


def model_list(models: Iterable[str], created: int) -> bytes:
    """The answer of ``GET /models``."""
    listed = [{"id": model, "object": "model", "created": created, "owned_by": "system"} for model in models]
    return orjson.dumps({"object": "list", "data": listed})
