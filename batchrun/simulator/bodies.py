"""An answer on the compatible wire: the chat completion whole or as a stream of events, and the list of models."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from batchrun.core.classes import value
from batchrun.simulator.answers import Answer, Choice
from batchrun.simulator.deltas import deltas, sliced
from batchrun.simulator.likelihoods import likelihoods

Json = dict[str, Any]

_SOUND = b64encode(bytes(960)).decode()
"""A fiftieth of a second of silence: 24 kHz, 16 bits, one channel, as the real one sends."""
_SOUND_LIVES = 86_400
"""Seconds until a sound's id means nothing any more."""


@value
class Envelope:
    """What stands around an answer."""

    model: str
    request_id: str
    created: int
    """Seconds since the epoch."""
    repeats: bool = False
    """Each event of a stream has all of the text so far."""


def completion(answer: Answer, envelope: Envelope, *, finished: bool = True) -> bytes:
    """The body of a plain answer. With *finished* false it lacks its finish reasons, as an answer cut off upstream does."""
    return orjson.dumps(
        {
            "choices": [_choice(choice, index, answer.likely, finished=finished) for index, choice in enumerate(answer.choices)],
            "object": "chat.completion",
            "usage": usage(answer),
            "created": envelope.created,
            "system_fingerprint": None,
            "model": envelope.model,
            "id": f"chatcmpl-{envelope.request_id}",
        }
    )


def _choice(choice: Choice, index: int, likely: int | None, *, finished: bool) -> Json:
    message: Json = {"role": "assistant", "content": choice.content}
    if choice.reasoning:
        message["reasoning_content"] = choice.reasoning
    if choice.tool_calls:
        message["tool_calls"] = list(choice.tool_calls)
    ending = {"finish_reason": choice.finish_reason} if finished else {}
    return {"message": message, **ending, "index": index, "logprobs": None if likely is None else likelihoods(choice.content, likely)}


def usage(answer: Answer) -> Json:
    """The tokens in the provider's shape: each details object itemises a total, and text_tokens is the whole written output."""
    spent = answer.usage
    told: Json = {
        "prompt_tokens": spent.input_tokens,
        "completion_tokens": spent.output_tokens,
        "total_tokens": spent.input_tokens + spent.output_tokens,
        "prompt_tokens_details": _asked(answer),
    }
    written = {"text_tokens": spent.output_tokens - spent.output_audio_tokens}
    if spent.output_audio_tokens:
        written = {"audio_tokens": spent.output_audio_tokens, **written}
    if spent.reasoning_tokens:
        told["completion_tokens_details"] = {"reasoning_tokens": spent.reasoning_tokens, **written}
    elif media_tokens(answer) or spent.output_audio_tokens:
        told["completion_tokens_details"] = written
    return told


def _asked(answer: Answer) -> Json:
    spent, media = answer.usage, media_tokens(answer)
    if answer.explicit_cache:
        return {"text_tokens": spent.input_tokens - sum(media.values()), **media, **kept(answer)}
    text = {"text_tokens": spent.input_tokens - sum(media.values())} if media else {}
    return {"cached_tokens": spent.cached_tokens, **media, **text}


def media_tokens(answer: Answer) -> dict[str, int]:
    """What of the input was no text, by kind; empty for text alone."""
    spent = answer.usage
    kinds = {"audio_tokens": spent.audio_tokens, "image_tokens": spent.image_tokens, "video_tokens": spent.video_tokens}
    return {name: amount for name, amount in kinds.items() if amount}


def kept(answer: Answer) -> Json:
    """What the explicit cache was told to keep, and what it had: both are among the input."""
    written = answer.usage.cache_creation_tokens
    return {
        "cache_creation": {"ephemeral_5m_input_tokens": written},
        "cache_creation_input_tokens": written,
        "cache_type": "ephemeral",
        "cached_tokens": answer.usage.cached_tokens,
    }


def events(answer: Answer, envelope: Envelope, *, with_usage: bool, finished: bool = True) -> list[bytes]:
    """The same answer as server-sent events, the usage in a last chunk without choices where it was asked for."""
    around: Json = {
        "object": "chat.completion.chunk",
        "usage": None,
        "created": envelope.created,
        "system_fingerprint": None,
        "model": envelope.model,
        "id": f"chatcmpl-{envelope.request_id}",
    }
    chunks: list[Json] = []
    for index, choice in enumerate(answer.choices):
        sound = list(_sound(choice, envelope)) if answer.spoken else []
        pieces = _pieces(choice, index, sound, answer.likely, repeats=envelope.repeats, finished=finished)
        chunks += ({"choices": [piece], **around} for piece in pieces)
    if with_usage:
        chunks.append({"choices": [], **around, "usage": usage(answer)})
    return [*(event(orjson.dumps(chunk)) for chunk in chunks), event(b"[DONE]")]


def event(data: bytes) -> bytes:
    """One event of a compatible stream."""
    return b"data: %b\n\n" % data


def _pieces(choice: Choice, index: int, sound: Iterable[Json], likely: int | None, *, repeats: bool, finished: bool) -> Iterator[Json]:
    def piece(delta: Json, ending: str | None = None, told: str = "") -> Json:
        logprobs = likelihoods(told, likely) if told and likely is not None else None
        return {"delta": delta, "index": index, "logprobs": logprobs, "finish_reason": ending}

    yield piece({"content": None if choice.reasoning else "", "role": "assistant"})
    sofar = ""
    for new in deltas(choice):
        if new.reasoning:
            yield piece({"content": None, "reasoning_content": new.reasoning})
        elif new.content:
            sofar = sofar * repeats + new.content
            yield piece({"content": sofar}, told=new.content)
        else:
            yield piece({"content": None, "tool_calls": [new.tool_call]})
    for heard in sound:
        yield piece({"audio": heard})
    if finished:
        yield piece({"content": ""}, choice.finish_reason)


def _sound(choice: Choice, envelope: Envelope) -> Iterator[Json]:
    """The words as sound, a piece for each piece of text, and then what was said."""
    of_it = {"expires_at": envelope.created + _SOUND_LIVES, "id": f"audio_{envelope.request_id}"}
    yield from ({"data": _SOUND, **of_it} for _ in sliced(choice.content))
    yield {"transcript": choice.content}


def model_list(models: Iterable[str], created: int) -> bytes:
    """The answer of ``GET /models``."""
    listed = [{"id": model, "object": "model", "created": created, "owned_by": "system"} for model in models]
    return orjson.dumps({"object": "list", "data": listed})
