"""The doors that a chat can be asked for at, and how each is asked for a stream."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

_NATIVE = "/api/v1/"


class Route(Enum):
    """A path that answers chats."""

    COMPAT = "/compatible-mode/v1/chat/completions"
    TEXT = "/api/v1/services/aigc/text-generation/generation"
    MULTIMODAL = "/api/v1/services/aigc/multimodal-generation/generation"

    @property
    def native(self) -> bool:
        """Whether DashScope's own dialect is spoken here."""
        return self is not Route.COMPAT


def is_native(path: str) -> bool:
    """Whether DashScope's own dialect is spoken at *path*, be there anything or not."""
    return path.startswith(_NATIVE)


def wants_events(headers: Mapping[str, str]) -> bool:
    """Whether a native call asks for server-sent events: either of the two headers is enough."""
    return headers.get("x-dashscope-sse", "").lower() == "enable" or "text/event-stream" in headers.get("accept", "").lower()
