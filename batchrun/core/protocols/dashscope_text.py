"""The native DashScope wire format for text: ``POST {base}/services/aigc/text-generation/generation``.

It takes documents too, by their addresses: no other route does (Model Studio's page on Qwen-Doc).
"""

from __future__ import annotations

from typing import Any

from batchrun.core.protocols import native
from batchrun.core.protocols.wire_format import WireFormat
from batchrun.core.rows.parts import KEYS
from batchrun.core.rows.spelling import text_only, to_openai

Fields = dict[str, Any]


def _unfit(body: Fields) -> str | None:
    for message in body["messages"]:
        content = message.get("content")
        if isinstance(content, list) and not all(_is_text(part) or _is_document(part) for part in content):
            return 'the text route carries text alone: protocol = "dashscope-multimodal" or "openai" can, with a model that sees and hears'
    return native.unfit_parameters(body)


def _is_text(part: Any) -> bool:
    return isinstance(part, dict) and isinstance(part.get("text"), str)


def _is_document(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "doc_url" and KEYS.isdisjoint(part)


def _encode(body: Fields, stream: bool) -> bytes:  # noqa: FBT001 - the port's signature
    return native.request(body, map(_message, body["messages"]), stream=stream)


def _message(message: Fields) -> Fields:
    """A message whose content is one text, or parts where some are documents: a call without content has an empty one here."""
    content = message.get("content")
    if not isinstance(content, list):
        return {**message, "content": content or ""}
    text = text_only(content)
    return {**message, "content": [to_openai(part) or part for part in content] if text is None else text}


DASHSCOPE_TEXT = WireFormat(
    "dashscope-text", "/services/aigc/text-generation/generation", native.NATIVE, _unfit, _encode, native.STREAM_HEADERS
)
