"""What a message's content parts say about images, sounds and videos, in both spellings a row may use.

OpenAI: ``{"type": "image_url", "image_url": {"url": …}}``, ``{"type": "video_url", …}``, ``{"type": "video", "video": [frames]}``,
``{"type": "input_audio", "input_audio": {"data": …, "format": …}}``, ``{"type": "text", "text": …}``. DashScope: ``{"image": …}``,
``{"video": … or [frames]}``, ``{"audio": …}``, ``{"text": …}``. A lone string may stand for the object that holds it.

Here they are found, and given other URLs where they stand; `urls.py` says what a URL names, `spelling.py` spells a part the other way.

Rules:

1. Any list may be given for messages, and any value for a part: what is no medium is passed over, for the provider to judge.
2. Nothing given is ever changed. What is given back shares with it only what had no reason to differ.
3. A medium is found by its key, whatever the part's type says: no local path slips through to the wire.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from typing import Any, Literal, NamedTuple

from batchrun.core.rows.urls import is_local

Kind = Literal["image", "audio", "video"]
Messages = list[dict[str, Any]]

WRAPPED: dict[str, tuple[str, Kind]] = {
    "image_url": ("url", "image"),
    "video_url": ("url", "video"),
    "input_audio": ("data", "audio"),
}
PLAIN: dict[str, Kind] = {"image": "image", "video": "video", "audio": "audio"}
KEYS = frozenset({*WRAPPED, *PLAIN})
"""Keys of a part by which a medium is found: those whose object holds it, with its place there, and those that it stands under itself."""

_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]+")
_LONGEST_NAME = 255
LONGEST_PATH = 4096


class Medium(NamedTuple):
    """An image, a sound or a video that a part names, or one frame (an image) of a video that is given as a list."""

    kind: Kind
    url: str
    """As written: a URL, a path, a data URL, or bare base64."""
    format: str | None = None
    """Of a sound, where it is written beside it: ``wav``."""

    @property
    def is_bare_base64(self) -> bool:
        """Whether this is the sound itself as the OpenAI API takes it, raw base64 beside its format: see `as_data_url`.

        Told by its length and its letters: no file name is longer than 255 bytes, and a path that has a dot is no base64.
        """
        return self.format is not None and len(self.url) > _LONGEST_NAME and _BASE64.fullmatch(self.url, 0, LONGEST_PATH) is not None

    @property
    def is_local(self) -> bool:
        """Whether it must be read from this machine's disk before it can be sent."""
        return is_local(self.url) and not self.is_bare_base64

    @property
    def as_data_url(self) -> str:
        """Bare base64 with what the provider wants before it."""
        return f"data:;base64,{''.join(self.url.split())}"


def media_of(messages: Sequence[Any]) -> Iterator[Medium]:
    """Find every medium of *messages*, in their order."""
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, list):
            for part in content:
                for place in _places(part):
                    yield place.medium


def in_parts(messages: Sequence[Any]) -> bool:
    """Whether any of *messages* has parts, among which alone there can be media."""
    for message in messages:  # noqa: SIM110 - a generator costs more than all its looks
        if type(message) is dict and type(message.get("content")) is list:
            return True
    return False


def with_urls(messages: Messages, replace: Callable[[Medium], str]) -> Messages:
    """Copy *messages* with each medium's url as *replace* gives it, in the spelling it had; messages without media are shared."""
    return [_message_with_urls(message, replace) for message in messages]


def text_of(value: Any) -> str | None:
    """*value*, where it is text."""
    return value if isinstance(value, str) else None


class _Place(NamedTuple):
    holder: Any
    key: Any
    medium: Medium


def _parts(message: Any) -> list[Any]:
    content = message.get("content") if isinstance(message, dict) else None
    return content if isinstance(content, list) else []


def _places(part: Any) -> Iterator[_Place]:
    if not isinstance(part, dict) or KEYS.isdisjoint(part):
        return
    for key, (inner, kind) in WRAPPED.items():
        match part.get(key):
            case str(url):
                yield _Place(part, key, Medium(kind, url))
            case dict() as holder if isinstance(holder.get(inner), str):
                yield _Place(holder, inner, Medium(kind, holder[inner], text_of(holder.get("format"))))
    for key, kind in PLAIN.items():
        match part.get(key):
            case str(url):
                yield _Place(part, key, Medium(kind, url))
            case [*frames] if kind == "video":
                yield from (_Place(part[key], number, Medium("image", url)) for number, url in enumerate(frames) if isinstance(url, str))


def _message_with_urls(message: dict[str, Any], replace: Callable[[Medium], str]) -> dict[str, Any]:
    parts = _parts(message)
    changed = [_part_with_urls(part, replace) for part in parts]
    return message if all(new is old for new, old in zip(changed, parts, strict=True)) else {**message, "content": changed}


def _part_with_urls(part: Any, replace: Callable[[Medium], str]) -> Any:
    if next(_places(part), None) is None:
        return part
    # What holds a url is copied, and nothing else needs to be.
    fresh = {key: copy(value) if key in KEYS else value for key, value in part.items()}
    for holder, key, medium in _places(fresh):
        holder[key] = replace(medium)
    return fresh
