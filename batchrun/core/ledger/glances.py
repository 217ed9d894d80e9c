"""The usual lines of attempts.log told apart many at a time: starts and the ends of answers, exactly as they are written today.

What is glanced at is taken apart without being read as JSON: its form leaves no other reading of it, and its seal says that it is as it
was written. Whatever else a line may be, there is no glance of it: `read_attempt` tells. Seals are held against their texts all at once.
"""

from __future__ import annotations

import re
from array import array
from sys import byteorder
from zlib import crc32

# Nothing that was matched is given back: no other part of a line begins like it.
_NAME = rb"([1-9][0-9]{0,8}+)-([1-9][0-9]{0,8}+)"
_AT = rb'"at":(?:0|[1-9][0-9]{0,11}+)\.[0-9]{1,9}+'
_TEXT = rb'"([^"\\\x00-\x1f]*+)"'
_COUNT = rb"(0|[1-9][0-9]{0,14}+)"
_START = rb'start":"%b",%b,"workspace":%b,"model":%b,"id":%b,"most":\[%b,%b\]' % (_NAME, _AT, _TEXT, _TEXT, _TEXT, _COUNT, _COUNT)
_END = rb'end":"%b",%b,"verdict":"answered"' % (_NAME, _AT)
_OTHER = rb"([^\n]*\n|[^\n]+)"

_lines = re.compile(rb'(\{"(?:%b|%b)),"crc32":"([0-9a-f]{8})"\}\n|%b' % (_START, _END, _OTHER)).findall

Glance = tuple[bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes]
"""Of a start or an end, its text up to its seal; of a start, opening and number of its name, workspace, model, row and two bounds; of an
end, opening and number; of both, the seal; of any other line: itself. What a line is not, is empty."""


def line_of(text: bytes, seal: bytes) -> bytes:
    """Put a start or an end together again."""
    return b'%b,"crc32":"%b"}\n' % (text, seal)


def glances(block: bytes) -> list[Glance]:
    """Tell the lines of *block*, which begins with one, apart: what its seal says is not as it was written, is among the others."""
    try:
        _ = block.isascii() or block.decode()
    except UnicodeDecodeError:
        return [(*_NOTHING, line) for line in re.findall(_OTHER, block)]
    found: list[Glance] = _lines(block)
    told = [each for each in found if each[0]]
    seals = array("I", bytes.fromhex(b"".join([each[_SEAL] for each in told]).decode()))
    if byteorder == "little":
        seals.byteswap()
    if seals == array("I", [crc32(each[0]) for each in told]):
        return found
    return [each if not each[0] or b"%08x" % crc32(each[0]) == each[_SEAL] else _other(each) for each in found]


def _other(glance: Glance) -> Glance:
    return (*_NOTHING, line_of(glance[0], glance[_SEAL]))


_NOTHING = (b"",) * 11
_SEAL = 10
