"""On which line of a job file a key stands.

TOML's reader tells of values alone, so the file is looked through once more, a statement at a time.
Only a file that was read as TOML is asked about, and only where something in it is wrong.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

_Keys = tuple[str | int, ...]
_MOST_LINES = 20_000
"""A longer file is told without lines: a mistake in a generated job is found by its key."""
_MOST_OF_A_STATEMENT = 300
_NOWHERE = (False, -_MOST_LINES)


def lines_of(text: str, places: Iterable[Sequence[str | int]]) -> list[int | None]:
    """Return for each of *places* (the keys that lead to it) the line, counted from 1, on which it or what holds it begins.

    What holds it may be named only as a part of others' names, as a is in [a.b]: it begins where the first of them does.
    """
    begins: dict[_Keys, tuple[bool, int]] = {}
    """By the first keys of statements: whether one has no more than these, and, less than nothing, the line of that one or of the first."""
    for line, keys in _statements(text):
        for some in (keys[:count] for count in range(1, len(keys) + 1)):
            begins[some] = max(begins.get(some, _NOWHERE), (some == keys, -line))
    return [_line_of(begins, tuple(place)) for place in places]


def _line_of(begins: Mapping[_Keys, tuple[bool, int]], place: _Keys) -> int | None:
    named = (begins[some] for some in (place[:count] for count in range(len(place), 0, -1)) if some in begins)
    return next((-line for _, line in named), None)


def _statements(text: str) -> Iterator[tuple[int, _Keys]]:
    """Each statement's line, and the keys that lead to what it sets or opens."""
    table: _Keys = ()
    opened: Counter[_Keys] = Counter()
    for line, statement in _each(text):
        keys = _keys(tomllib.loads(statement))
        if statement.lstrip().startswith("[["):
            opened[keys] += 1
            table = keys = (*keys, opened[keys] - 1)
        elif statement.lstrip().startswith("["):
            table = keys
        else:
            keys = (*table, *keys)
        yield line, keys


def _each(text: str) -> Iterator[tuple[int, str]]:
    """Each statement that sets or opens something, and the line on which it begins."""
    lines = text.replace("\r\n", "\n").split("\n")
    begun: list[str] = []
    for number, line in enumerate(lines if len(lines) <= _MOST_LINES else [], 1):
        begun.append(line)
        statement = "\n".join(begun)
        try:
            says_something = bool(tomllib.loads(statement))
        except tomllib.TOMLDecodeError:
            # It goes on in the next line.
            if len(begun) > _MOST_OF_A_STATEMENT:
                return
            continue
        if says_something:
            yield number - len(begun) + 1, statement
        begun.clear()


def _keys(tables: dict[str, Any]) -> _Keys:
    """The keys that lead to what a single statement sets: a table of one key is a dotted key, or says as much."""
    found: list[str] = []
    inner: Any = tables
    while isinstance(inner, dict) and len(inner) == 1:
        ((key, inner),) = inner.items()
        found.append(key)
    return tuple(found)
