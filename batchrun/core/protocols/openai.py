"""The OpenAI-compatible chat wire format: ``POST {base}/chat/completions``.

An answer is a Reply only when it is whole: status 2xx, one JSON object (or a stream that makes one up), and a finish reason in every
choice that does not say that the server gave up. An answer cut at ``length`` or by a content filter is an answer. What the provider sends
in an error's place is read by ``error_body.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

import orjson

from batchrun.core.classes import slotted
from batchrun.core.model import Failure, Reply, named_tuple
from batchrun.core.protocols.error_body import complaint_of, error_in_200, request_id_of
from batchrun.core.protocols.folding import Choices, expected_choices, latest_usage
from batchrun.core.protocols.reading import Dialect
from batchrun.core.protocols.replies import Around, broken_off, reply_of, request_id_in
from batchrun.core.protocols.usage import usage_of, usage_of_answer
from batchrun.core.protocols.wire_format import WireFormat
from batchrun.core.rows.families import repeats
from batchrun.core.rows.spelling import to_openai

Fields = dict[str, Any]


def _unfit(_body: Fields) -> None:
    """Nothing is refused here: other servers speak this protocol too, and have parts of their own."""


def _encode(body: Fields, stream: bool) -> bytes:  # noqa: FBT001 - the port's signature
    """Write what the user wrote plus defaults; only parts in the native spelling are respelled."""
    for message in body["messages"]:
        if type(message.get("content")) is list:
            body = {**body, "messages": [_message(message) for message in body["messages"]]}
            break
    if stream:
        options = body.get("stream_options")
        # Without it a stream ends and never says what it cost.
        body = {**body, "stream": True, "stream_options": {**(options if isinstance(options, dict) else {}), "include_usage": True}}
    return orjson.dumps(body)


def _message(message: Fields) -> Fields:
    content = message.get("content")
    return {**message, "content": [to_openai(part) or part for part in content]} if isinstance(content, list) else message


def _read(status: int, headers: Mapping[str, str], fields: Fields, line: bytes) -> Reply | Failure:
    usage = usage_of(fields.get("usage"))
    # As a rule neither stands there, and nothing is complained of.
    if ("error" in fields or "code" in fields) and (said := complaint_of(fields, line)):
        return error_in_200(status, headers, said, usage)
    around = named_tuple(Around, (status, usage, request_id_of(headers) or request_id_in(fields), line, broken_off(headers)))
    return reply_of(fields.get("choices"), around)


@slotted
class _Fold:
    """``chat.completion.chunk`` objects to a ``chat.completion``."""

    choices: Choices
    _envelope: Fields = field(default_factory=dict)
    _usage: Any = None

    @property
    def weight(self) -> int:
        return self.choices.weight

    @property
    def counted(self) -> bool:
        return usage_of_answer(self._usage) is not None

    def take(self, chunk: Fields) -> None:
        self._envelope.update((name, chunk[name]) for name in ("id", "created", "model", "system_fingerprint") if chunk.get(name))
        spoke = self.choices.take(chunk.get("choices"))
        self._usage = latest_usage(self._usage, chunk.get("usage"), spoke=spoke)

    def answer(self) -> Fields:
        return {**self._envelope, "object": "chat.completion", "choices": self.choices.as_fields(), "usage": self._usage}


def _fold(asked: Fields) -> _Fold:
    return _Fold(Choices(expected_choices(asked), cumulative=repeats(asked.get("model"))))


OPENAI = WireFormat("openai", "/chat/completions", Dialect(_read, _fold), _unfit, _encode)
