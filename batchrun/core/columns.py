"""How wide a text stands on a terminal: Chinese characters take two columns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from unicodedata import category, east_asian_width

_UPON_ANOTHER = frozenset({"Mn", "Me"})
"""Marks that stand above, beneath or around the letter before them: accents, vowels in Thai."""
_WORD = re.compile(r"( *)([^ ]+ -c '[^']*'[^ ]*|[^ ]+)")
"""A word, and the gap before it. A program with its own text (``python3 -c '…'``) is one: a line that ends elsewhere is another program."""


def width(text: str) -> int:
    """Columns that *text* takes."""
    return sum(0 if category(character) in _UPON_ANOTHER else 2 if east_asian_width(character) in "WF" else 1 for character in text)


def cut(text: str, columns: int) -> str:
    """Shorten *text* to *columns*, with a mark where something was left out."""
    if width(text) <= columns:
        return text
    while width(text) >= columns:
        text = text[:-1]
    return f"{text}…"


def folded(text: str, columns: int) -> str:
    """*text* with each line that is wider than *columns* broken between words, and what goes on as far in as the line began.

    A word that is wider by itself is left whole: to the terminal, from which it can be copied.
    """
    return "\n".join(line if width(line) <= columns else "\n".join(_folded(line, columns)) for line in text.split("\n"))


def _folded(line: str, columns: int) -> Iterator[str]:
    begun = line[: len(line) - len(line.lstrip(" "))]
    told = begun
    for gap, word in _WORD.findall(line[len(begun) :]):
        if told.strip(" ") and width(told) + len(gap) + width(word) > columns:
            yield told
            told = begun + word
        else:
            told += gap + word
    yield told


def padded(text: str, columns: int) -> str:
    """Fill *text* with spaces on its right."""
    return text + " " * (columns - width(text))


def printable(text: str) -> str:
    """*text* with a mark in the place of each character that a terminal would obey, or that does not show."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
