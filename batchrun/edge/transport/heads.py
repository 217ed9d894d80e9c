"""Heads of answers that say their length more than once, as some gateways write them: such an answer was paid for, and its end is known.

RFC 9110, 8.6 leaves it to whoever reads one to take it by that one length or not at all, and the parser does the latter. Where two lengths
differ it stays so: nobody knows then where the answer ends.
"""

from __future__ import annotations

import re

_END = re.compile(rb"\n\r?\n")
_INTERIM = re.compile(rb"HTTP/1\.[01] 1(?!01)[0-9]{2}\b")
_AGAIN = re.compile(rb"\ncontent-length:", re.IGNORECASE)
_LENGTH = re.compile(rb"(?<=\n)content-length:([^\r\n]*)\r?\n", re.IGNORECASE)


def goes_on(came: bytes) -> bool:
    """Whether *came*, an answer from its beginning on, is in a head yet that has begun to say its length again."""
    begin = _begin(came)
    return _end(came, begin) is None and len(_AGAIN.findall(came, begin)) > 1


def with_one_length(came: bytes) -> bytes | None:
    """*came*, an answer from its beginning on, with its length said once; None where it does not say the same one several times."""
    begin = _begin(came)
    end = _end(came, begin)
    head = came[begin:end]
    said = [value.strip() for values in _LENGTH.findall(head) for value in values.split(b",")]
    if len(said) < 2 or not said[0].isdigit() or any(value != said[0] for value in said):
        return None
    lines = iter([b"Content-Length: %b\r\n" % said[0]])
    mended = _LENGTH.sub(lambda _: next(lines, b""), head)
    return came[:begin] + mended + (b"" if end is None else came[end:])


def _begin(came: bytes) -> int:
    begin = 0
    while _INTERIM.match(came, begin) and (end := _end(came, begin)) is not None:
        begin = end
    return begin


def _end(came: bytes, begin: int) -> int | None:
    found = _END.search(came, begin)
    return None if found is None else found.end()
