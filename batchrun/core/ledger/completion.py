"""A native answer as the compatible route would have given it: readers of OpenAI Batch results look for its choices and its usage."""

from __future__ import annotations

from typing import Any

import orjson

from batchrun.core.model import Answered, Usage
from batchrun.core.protocols.folding import beside_its_text
from batchrun.core.protocols.native import choices_of
from batchrun.core.protocols.replies import text_of

Fields = dict[str, Any]


def as_completion(answer: Answered) -> Fields | None:
    """The ``chat.completion`` that a native *answer* is; None where its body is of the compatible route, as it stands, or there is none."""
    reply = answer.reply
    # Within a text every quote is escaped: so it is a key's, and as a rule there is none.
    if b'"output":' not in reply.body:
        return None
    fields = orjson.loads(reply.body)
    choices = choices_of(fields.get("output"))
    if fields.get("choices") or not isinstance(choices, list):
        return None
    ended = answer.call.started_at + answer.call.latency_ms / 1000
    told = {
        "id": f"chatcmpl-{reply.request_id or answer.call.attempt}",
        "object": "chat.completion",
        "created": int(ended),
        "model": reply.answered_by or answer.row.model,
        "choices": [_choice(number, choice) for number, choice in enumerate(choices)],
        "usage": None if reply.usage is None else _usage(reply.usage),
    }
    return told if reply.search_info is None else {**told, "search_info": reply.search_info}


def _choice(number: int, choice: Fields) -> Fields:
    message = choice["message"]
    content = message.get("content")
    if isinstance(content, list) and not any(beside_its_text(part) for part in content if isinstance(part, dict)):
        content = text_of(content)
    return {"index": number, "logprobs": None, **choice, "message": {**message, "role": "assistant", "content": content}}


def _usage(usage: Usage) -> Fields:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }
