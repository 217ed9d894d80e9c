"""JSON whose shape is wrong where its bytes are right: keys that are gone, doubled or misspelt, values of another kind, depth, numbers.

What is bent stays one text on one line; what stands at a place that is *spared* stays as it is.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple


class Raw(NamedTuple):
    """A value as only bytes can hold it."""

    text: bytes


class Pairs(list[tuple[str, Any]]):
    """An object that may name a key twice."""


ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 7, 1 << 63, -(1 << 63), (1 << 64) - 1, 1 << 64, 10**26, 0.5, -0.0, 1e300, 1e-320),
    *("", " ", "x", "0", "null", "user", "\x00", "a\nb", "\u2028", "\ufeff", "e\u0301", "\u202e", "😀", "\x1b[31m", "y" * 5000),
    *("../../etc/passwd", "file:///etc/passwd", "http://[::1", "data:image/png;base64,", "fileid://x", "oss://x", "NaN", "[DONE]"),
    *([], {}, [[]], [None], [{}], {"": None}, {"a": {"b": {}}}, {"text": "x"}, [{"text": "x"}, {"type": "text"}]),
    *(
        Raw(text)
        for text in (b"NaN", b"-Infinity", b"1e999", b"1E+2", b"-0", b"9" * 400, b'"\\ud83d"', b'"\\udc00\\ud800"', b'"\xff"', b"tru")
    ),
    *(Raw(b"[" * depth + b"]" * depth) for depth in (60, 126, 127, 128, 129, 254, 300, 1100)),
    Raw(b'{"content":' * 125 + b"7" + b"}" * 125),
)
"""Values that nobody means."""


def dumped(value: Any) -> bytes:
    """*value* as JSON, bent as it may be."""
    match value:
        case Raw(text):
            return text
        case dict():
            return dumped(Pairs(value.items()))
        case Pairs():
            return b"{" + b",".join(dumped(key) + b":" + dumped(each) for key, each in value) + b"}"
        case list():
            return b"[" + b",".join(map(dumped, value)) + b"]"
        case _:
            return json.dumps(value, ensure_ascii=False).encode()


def toml_of(value: Any) -> bytes:
    """*value* as TOML, which may be none then: an object within the first three is a table with a head of its own."""
    return b"".join(_tables(value, ()))


def _tables(table: Any, path: tuple[str, ...]) -> Iterator[bytes]:
    heads = [(key, each) for key, each in table if isinstance(each, Pairs) and len(path) < 3]
    yield from (dumped(key) + b" = " + _inline(each) + b"\n" for key, each in table if (key, each) not in heads)
    for key, each in heads:
        yield b"[" + b".".join(map(dumped, (*path, key))) + b"]\n"
        yield from _tables(each, (*path, key))


def _inline(value: Any) -> bytes:
    match value:
        case Pairs():
            return b"{" + b", ".join(dumped(key) + b" = " + _inline(each) for key, each in value) + b"}"
        case dict():
            return _inline(Pairs(value.items()))
        case list():
            return b"[" + b", ".join(map(_inline, value)) + b"]"
        case _:
            return dumped(value)


def bent(
    dice: random.Random, value: Any, spared: Collection[str] = (), words: Sequence[str] = ("content",), odd: Sequence[Any] = ODD
) -> Any:  # fmt: skip
    """*value* with one thing wrong, or several; what stands under a *spared* key stays.

    *words* are what keys may become, *odd* what values may.
    """
    changed = _opened(value)
    for _ in range(dice.choice((1, 1, 1, 2, 3, 6))):
        places = [*_places(changed, spared)]
        if places:
            holder, at = dice.choice(places)
            dice.choice(_BENDS)(dice, holder, at, words, odd)
    return changed


def _opened(value: Any) -> Any:
    match value:
        case dict():
            return Pairs((key, _opened(each)) for key, each in value.items())
        case list():
            return [_opened(each) for each in value]
        case _:
            return value


def _places(value: Any, spared: Collection[str]) -> Iterator[tuple[Any, int]]:
    if isinstance(value, list):
        for at, each in enumerate(value):
            if isinstance(value, Pairs) and each[0] in spared:
                continue
            yield value, at
            yield from _places(each[1] if isinstance(value, Pairs) else each, spared)


def _set(holder: Any, at: int, value: Any) -> None:
    holder[at] = (holder[at][0], value) if isinstance(holder, Pairs) else value


def _get(holder: Any, at: int) -> Any:
    return holder[at][1] if isinstance(holder, Pairs) else holder[at]


def _another(dice: random.Random, holder: Any, at: int, _words: Sequence[str], odd: Sequence[Any]) -> None:
    _set(holder, at, dice.choice(odd))


def _gone(_dice: random.Random, holder: Any, at: int, _words: Sequence[str], _odd: Sequence[Any]) -> None:
    del holder[at]


def _twice(dice: random.Random, holder: Any, at: int, _words: Sequence[str], _odd: Sequence[Any]) -> None:
    holder.insert(dice.randint(0, len(holder)), holder[at])


def _renamed(dice: random.Random, holder: Any, at: int, words: Sequence[str], _odd: Sequence[Any]) -> None:
    if isinstance(holder, Pairs):
        name = holder[at][0]
        holder[at] = (dice.choice((*words, name.upper(), name + " ", name[:-1], "", "\x00", "z" * 300)), holder[at][1])


def _wrapped(dice: random.Random, holder: Any, at: int, words: Sequence[str], _odd: Sequence[Any]) -> None:
    inner = _get(holder, at)
    _set(holder, at, dice.choice(([inner], [inner, inner], Pairs([(dice.choice(words), inner)]))))


def _unwrapped(dice: random.Random, holder: Any, at: int, _words: Sequence[str], _odd: Sequence[Any]) -> None:
    inner = _get(holder, at)
    if isinstance(inner, list) and inner:
        _set(holder, at, _get(inner, dice.randrange(len(inner))))


def _as_text(_dice: random.Random, holder: Any, at: int, _words: Sequence[str], _odd: Sequence[Any]) -> None:
    inner = _get(holder, at)
    _set(holder, at, inner if isinstance(inner, str) else dumped(inner).decode(errors="replace"))


def _swapped(dice: random.Random, holder: Any, at: int, _words: Sequence[str], _odd: Sequence[Any]) -> None:
    other = dice.randrange(len(holder))
    mine, its = _get(holder, at), _get(holder, other)
    _set(holder, at, its)
    _set(holder, other, mine)


_BENDS: tuple[Callable[[random.Random, Any, int, Sequence[str], Sequence[Any]], None], ...] = (
    _another, _another, _another, _gone, _twice, _renamed, _wrapped, _unwrapped, _as_text, _swapped,
)  # fmt: skip
