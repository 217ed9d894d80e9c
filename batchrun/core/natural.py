"""The order in which people look for names: w2 before w10."""

from __future__ import annotations

import re

_DIGITS = re.compile("([0-9]+)")

Natural = tuple[tuple[str | tuple[int, str], ...], str]


def natural(name: str) -> Natural:
    """A key to sort names by: as the alphabet has them, but for numbers in them, which stand by their size, however long they are."""
    parts = _DIGITS.split(name)
    # Text and numbers take turns, and text begins: never is one held against the other. Equal ones are told apart by how they are written.
    return tuple(_size(part) if place % 2 else part for place, part in enumerate(parts)), name


def _size(digits: str) -> tuple[int, str]:
    bare = digits.lstrip("0")
    return len(bare), bare
