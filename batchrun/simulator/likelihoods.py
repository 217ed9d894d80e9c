"""How likely each token of an answer was, in the form that both dialects share; the numbers follow from the token alone."""

from __future__ import annotations

from typing import Any
from zlib import crc32

_TOKEN = 4
"""Characters a token."""


def likelihoods(text: str, most: int) -> dict[str, Any]:
    """``{"content": […]}`` with an entry a token, each with *most* alternatives, the token itself the first of them."""
    pieces = [text[start : start + _TOKEN] for start in range(0, len(text), _TOKEN)]
    return {"content": [{**_entry(piece, 0), "top_logprobs": [_entry(piece, place) for place in range(most)]} for piece in pieces]}


def _entry(piece: str, place: int) -> dict[str, Any]:
    token = piece if place == 0 else f"{piece}{place}"
    told = token.encode("utf-8", "replace")
    return {"token": token, "bytes": list(told), "logprob": -(place + crc32(told) % 1000 / 1000)}
