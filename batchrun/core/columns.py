"""How wide a text stands on a terminal: Chinese characters take two columns."""

from __future__ import annotations

from unicodedata import combining, east_asian_width


def width(text: str) -> int:
    """Columns that *text* takes."""
    return sum(0 if combining(character) else 2 if east_asian_width(character) in "WF" else 1 for character in text)


def cut(text: str, columns: int) -> str:
    """Shorten *text* to *columns*, with a mark where something was left out."""
    if width(text) <= columns:
        return text
    while width(text) >= columns:
        text = text[:-1]
    return f"{text}…"


def padded(text: str, columns: int) -> str:
    """Fill *text* with spaces on its right."""
    return text + " " * (columns - width(text))


def printable(text: str) -> str:
    """*text* with a mark in the place of each character that a terminal would obey, or that does not show."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
