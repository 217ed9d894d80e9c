"""The usual lines of attempts.log told apart many at a time: starts and the ends of answers, exactly as they are written today.

What is glanced at is taken apart without being read as JSON: its form leaves no other reading of it, and its seal says that it is as it
was written. Whatever else a line may be, there is no glance of it: `read_attempt` tells.
"""

from __future__ import annotations

import re

_NAME = rb"([1-9][0-9]{0,8})-([1-9][0-9]{0,8})"
_AT = rb'"at":(?:0|[1-9][0-9]{0,11})\.[0-9]{1,9}'
_TEXT = rb'"([^"\\\x00-\x1f]*)"'
_COUNT = rb"(0|[1-9][0-9]{0,14})"
_SEAL = rb',"crc32":"([0-9a-f]{8})"\}\n'
_START = rb'(\{"start":"%b",%b,"workspace":%b,"model":%b,"id":%b,"most":\[%b,%b\])%b'
_END = rb'(\{"end":"%b",%b,"verdict":"answered")%b'
_OTHER = rb"([^\n]*\n|[^\n]+)"

_lines = re.compile(
    b"%b|%b|%b" % (_START % (_NAME, _AT, _TEXT, _TEXT, _TEXT, _COUNT, _COUNT, _SEAL), _END % (_NAME, _AT, _SEAL), _OTHER)
).findall

Glance = tuple[bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes]
"""Of a start: its text up to its seal, opening and number of its name, workspace, model, row, two bounds, and its seal; of an end: its
text, opening, number and seal; of any other line: itself. What a line is not, is empty."""


def line_of(text: bytes, seal: bytes) -> bytes:
    """Put a start or an end together again."""
    return b'%b,"crc32":"%b"}\n' % (text, seal)


def glances(block: bytes) -> list[Glance]:
    """Tell the lines of *block*, which begins with one, apart; whether a seal is that of its text is left to whoever takes them in."""
    try:
        block.decode()
    except UnicodeDecodeError:
        return [(*_NOTHING, line) for line in re.findall(_OTHER, block)]
    found: list[Glance] = _lines(block)
    return found


_NOTHING = (b"",) * 13
