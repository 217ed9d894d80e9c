"""Heads of answers that some gateways write in ways that the parser does not take as they are meant: each was paid for.

They say their length more than once, a header in several lines, or beside their length that their transfer has no encoding.

RFC 9110, 8.6 leaves it to whoever reads a length said again to take it by that one or not at all; RFC 9112, 5.2 has a line that begins
with a blank read as more of the one before it. The parser takes neither. Where two lengths differ it stays so: nobody knows then where
the answer ends. ``identity`` was an encoding until RFC 7230, and said nothing: the length counts. The parser reads on until the connection
ends, which may be minutes later, and refuses a header that names none.
"""

from __future__ import annotations

import re

_END = re.compile(rb"\n\r?\n")
_INTERIM = re.compile(rb"HTTP/1\.[01] 1(?!01)[0-9]{2}\b")
_AGAIN = re.compile(rb"\ncontent-length:", re.IGNORECASE)
_FOLD = re.compile(rb"[ \t]*\r?\n[ \t]+")
_NO_ENCODING = re.compile(rb"(?<=\n)transfer-encoding:[ \t]*(?:identity)?[ \t]*\r?\n", re.IGNORECASE)
_LENGTH = re.compile(rb"(?<=\n)content-length:([^\r\n]*)\r?\n", re.IGNORECASE)


def goes_on(came: bytes) -> bool:
    """Whether *came*, an answer from its beginning on, is in a head yet that has begun to be one of these."""
    begin = _begin(came)
    if _end(came, begin) is not None:
        return False
    return len(_AGAIN.findall(came, begin)) > 1 or any(each.search(came, begin) for each in (_FOLD, _NO_ENCODING))


def mended(came: bytes) -> bytes | None:
    """*came*, an answer from its head on, with its length said once and alone, each header in a line; None where it is none of these."""
    begin = _begin(came)
    end = _end(came, begin)
    said = came[begin:end]
    head = _with_one_length(_FOLD.sub(b" ", said))
    if _LENGTH.search(head):
        head = _NO_ENCODING.sub(b"", head)
    return None if head == said else came[:begin] + head + (b"" if end is None else came[end:])


def _with_one_length(head: bytes) -> bytes:
    said = [value.strip() for values in _LENGTH.findall(head) for value in values.split(b",")]
    if len(said) < 2 or not said[0].isdigit() or any(value != said[0] for value in said):
        return head
    lines = iter([b"Content-Length: %b\r\n" % said[0]])
    return _LENGTH.sub(lambda _: next(lines, b""), head)


def _begin(came: bytes) -> int:
    begin = 0
    while _INTERIM.match(came, begin) and (end := _end(came, begin)) is not None:
        begin = end
    return begin


def _end(came: bytes, begin: int) -> int | None:
    found = _END.search(came, begin)
    return None if found is None else found.end()
