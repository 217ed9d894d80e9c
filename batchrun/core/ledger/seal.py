"""A line's seal: a checksum as its last field, by which a line that was changed is told from one that stands as it was written.

JSON says nothing of a digit that a bad disk or an editor turned into another. Lines without a seal are older, and taken as they are.
"""

from __future__ import annotations

from zlib import crc32

FIELD = "crc32"
_OPENING = b',"crc32":"'
_SIZE = len(_OPENING) + 8 + len(b'"}')


def sealed(line: bytes) -> bytes:
    """Seal *line*, a JSON object that is not empty, without its line end; returns it with one."""
    body = line[:-1]
    return b'%b%b%08x"}\n' % (body, _OPENING, crc32(body))


def is_whole(line: bytes) -> bool:
    """Whether *line* ends with the seal it was given."""
    line = line.rstrip(b"\r\n")
    body, seal = line[:-_SIZE], line[-_SIZE:]
    return seal[: len(_OPENING)] == _OPENING and seal == b'%b%08x"}' % (_OPENING, crc32(body))
