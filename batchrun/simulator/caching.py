"""The provider's context cache: which beginning of a chat it has met before, and what that does to the bill."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson

from batchrun.simulator import media, tokens

_SHORTEST = 1_024
"""Tokens that a beginning must have to be kept, explicitly or not."""
_BLOCK = 256
"""What is found without having been asked for comes in whole blocks."""
_KEPT = 300.0
"""Seconds that an explicit entry lives from its last use."""
_MARKERS = 4
"""The last so many markers count."""

Messages = list[dict[str, Any]]


class Cached(NamedTuple):
    """Tokens of a prompt that came from the cache, or went into it."""

    read: int = 0
    written: int = 0
    explicit: bool = False
    """Whether the call marked what is to be kept; the two ways exclude each other."""
    keys: tuple[bytes, ...] = ()
    """The beginnings to remember once the call was answered."""


NOTHING = Cached()


class PrefixCache:
    """What each workspace and model met before."""

    def __init__(self) -> None:
        self._met: set[bytes] = set()
        self._until: dict[bytes, float] = {}

    def look_up(self, workspace: str, model: str, messages: Messages, now: float) -> Cached:
        """What of *messages* is there already. Nothing is remembered until `keep` is told that the call was answered."""
        marked = list(_marked(messages))[-_MARKERS:]
        if marked:
            return self._explicit(f"{workspace}\0{model}\0", marked, now)
        system = "\n".join(tokens.text_of(one.get("content")) for one in messages if one.get("role") == "system")
        length = tokens.count(system)
        if length < _SHORTEST:
            return NOTHING
        key = _digest(f"{workspace}\0{model}\0{system}".encode("utf-8", "replace"))
        return Cached(read=length // _BLOCK * _BLOCK if key in self._met else 0, keys=(key,))

    def keep(self, found: Cached, now: float) -> None:
        """Remember what a call brought; an explicit entry lives anew from now."""
        if found.explicit:
            self._until.update((key, now + _KEPT) for key in found.keys)
        else:
            self._met.update(found.keys)

    def _explicit(self, owner: str, marked: list[Messages], now: float) -> Cached:
        found = [(_digest(owner.encode("utf-8", "replace") + _plain(beginning)), _length(beginning)) for beginning in marked]
        kept = [(key, length) for key, length in found if length >= _SHORTEST]
        read = max((length for key, length in kept if self._until.get(key, 0.0) >= now), default=0)
        longest = max((length for _, length in kept), default=0)
        return Cached(read, longest - read, explicit=True, keys=tuple(key for key, _ in kept))


def _marked(messages: Messages) -> Iterator[Messages]:
    """The beginnings of *messages* that end with a part marked to be kept."""
    for place, message in enumerate(messages):
        content = message.get("content")
        parts: list[Any] = content if isinstance(content, list) else []
        for part, each in enumerate(parts):
            if isinstance(each, dict) and each.get("cache_control") == {"type": "ephemeral"}:
                yield [*messages[:place], {**message, "content": parts[: part + 1]}]


def _plain(messages: Messages) -> bytes:
    """The same beginning is the same wherever else the markers stand."""
    return orjson.dumps([{**message, "content": _unmarked(message.get("content"))} for message in messages])


def _unmarked(content: object) -> object:
    if not isinstance(content, list):
        return content
    return [{name: part[name] for name in part if name != "cache_control"} if isinstance(part, dict) else part for part in content]


def _length(messages: Messages) -> int:
    return tokens.prompt(messages) + sum(media.tokens(messages))


def _digest(text: bytes) -> bytes:
    return blake2b(text, digest_size=16).digest()
