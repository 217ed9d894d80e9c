"""Which of the names that are known a line means that has another: looked for once of each, however many lines have it."""

from __future__ import annotations

import unicodedata
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

_LONGEST_KNOWN = 100
"""Letters: longer than any name that could be meant."""


class _Known:
    """Names that stay as they are, told by which they are and not by each of them: of thousands that took as long as to read many lines."""

    __slots__ = ("names",)

    def __init__(self, names: Collection[str]) -> None:
        self.names = names

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Known) and other.names is self.names

    def __hash__(self) -> int:
        return id(self.names)


def nearest_of(name: str, known: Collection[str]) -> str | None:
    """Find the known name that was probably meant: upper case and Unicode forms set apart, then a slip or two."""
    return _near(name, _Known(known)) if len(name) <= _LONGEST_KNOWN else None


@lru_cache(maxsize=64)  # What a million lines name of which none is a row is a few names as a rule.
def _near(name: str, known: _Known) -> str | None:
    # Only names of about this length, and not many: a million lines of nonsense must not take hours.
    alike = {folded(each): each for each in sorted(known.names) if abs(len(each) - len(name)) <= 4}
    found = get_close_matches(folded(name), sorted(alike)[:64], n=1) if alike else []
    return alike[found[0]] if found else None


def folded(name: str) -> str:
    """*name* as all ways to write its letters have it."""
    return unicodedata.normalize("NFKC", name).casefold()
