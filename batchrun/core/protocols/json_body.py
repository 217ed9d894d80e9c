r"""Reads a body that should be one JSON object.

Two readers stand behind one another. orjson is fast and strict; what it refuses is looked at again with the standard library, because some
of it is a paid answer, which would be refused and paid for at every try: a byte order mark, half a surrogate pair that a model was cut in
(``"\ud83d"``), or bytes of a character that it was cut in, which become U+FFFD as with the provider's own clients (as do bytes of another
encoding, which is told), line ends and such that stand in a text as they are, and numbers that JSON has not or no float holds (the
logarithm of a probability that is nothing is ``-Infinity``, as some servers write it), which become null.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Literal, NamedTuple

import orjson

from batchrun.core.model import named_tuple
from batchrun.core.rows.weight import brackets, too_heavy

Flaw = Literal["empty_body", "html", "event_stream", "not_json", "not_an_object", "too_deep", "too_many_values"]

_LONE_SURROGATES = re.compile("[\ud800-\udfff]")
_FEW_BRACKETS = 200
_LEVELS_OF_AN_ENTRY = 20


class Document(NamedTuple):
    """A body that is one JSON object."""

    fields: dict[str, Any]
    line: bytes
    """The same object as JSON without a newline, so that it can stand inside a JSON line."""
    is_utf8: bool = True
    """Whether it was; where it was not, U+FFFD stands for what could not be read."""


class Unreadable(NamedTuple):
    """A body that is no JSON object."""

    flaw: Flaw


def parse(body: bytes) -> Document | Unreadable:
    """The object that *body* is; never raises. Every value in it can be dumped again, inside an entry too."""
    line = body.strip()
    if too_heavy(line):
        return Unreadable("too_many_values")
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return _second_look(line)
    return _document(value, line)


def begins_an_object(start: bytes) -> bool:
    """Whether a body that begins with *start*, some hundreds of bytes or more, may be one object; blanks alone may."""
    return start[:1] == b"{" or _text(start)[:1] in {"{", ""}


def _text(body: bytes) -> str:
    return body.decode("utf-8-sig", errors="replace").strip()


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _null(_constant: str) -> None:
    """NaN and Infinity say nothing."""


def _integer(digits: str) -> float | None:
    """The number that *digits* write, as orjson takes it: a float where there are many, of which Python would refuse some thousands."""
    return int(digits) if len(digits) <= 20 else _float(digits)


def _float(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _document(value: object, line: bytes) -> Document | Unreadable:
    if not isinstance(value, dict):
        return Unreadable("not_an_object")
    if len(line) > _FEW_BRACKETS and brackets(line) > _FEW_BRACKETS and not _can_be_dumped(value):
        return Unreadable("too_deep")
    # `in` takes what it is to look for for a number first, and makes an error of that: it costs twice what looking does.
    is_one_line = line.find(b"\n") < 0 and line.find(b"\r") < 0
    return named_tuple(Document, (value, line if is_one_line else orjson.dumps(value), True))


def _can_be_dumped(value: object) -> bool:
    """Say whether orjson, which reads 1,024 levels and writes 254, can write *value* inside an entry."""
    for _ in range(_LEVELS_OF_AN_ENTRY):
        value = [value]
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        return False
    return True


def _second_look(line: bytes) -> Document | Unreadable:
    text = _text(line)
    if not text:
        return Unreadable("empty_body")
    if text.startswith("<"):
        return Unreadable("html")
    if text.startswith(("data:", "event:", "id:", ":")):
        return Unreadable("event_stream")
    try:
        value = json.loads(text, strict=False, parse_constant=_null, parse_float=_float, parse_int=_integer)
        clean = _LONE_SURROGATES.sub("\ufffd", json.dumps(value, ensure_ascii=False, separators=(",", ":"))).encode()
        found = _document(orjson.loads(clean), clean)
        return found if _is_utf8(line) or isinstance(found, Unreadable) else found._replace(is_utf8=False)
    except (ValueError, RecursionError):
        return Unreadable("not_json")
