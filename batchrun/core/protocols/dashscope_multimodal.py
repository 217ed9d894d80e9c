"""The native DashScope wire format for images, sounds, videos and text: ``POST {base}/services/aigc/multimodal-generation/generation``."""

from __future__ import annotations

from typing import Any

from batchrun.core.protocols import native
from batchrun.core.protocols.wire_format import WireFormat
from batchrun.core.rows.spelling import to_native

Fields = dict[str, Any]


def _unfit(body: Fields) -> str | None:
    for message in body["messages"]:
        content = message.get("content")
        if isinstance(content, list) and any(to_native(part) is None for part in content):
            return 'a content part is none that this route has (text, image, video, audio): protocol = "openai" sends any part as it stands'
    return native.unfit_parameters(body)


def _encode(body: Fields, stream: bool) -> bytes:  # noqa: FBT001 - the port's signature
    return native.request(body, map(_message, body["messages"]), stream=stream)


def _message(message: Fields) -> Fields:
    """A message whose content is a list of parts, as this route wants even a lone text."""
    content = message.get("content")
    parts = [to_native(part) for part in content] if isinstance(content, list) else [{"text": content}] if content else []
    return {**message, "content": parts}


DASHSCOPE_MULTIMODAL = WireFormat(
    "dashscope-multimodal", "/services/aigc/multimodal-generation/generation", native.NATIVE, _unfit, _encode, native.STREAM_HEADERS
)
