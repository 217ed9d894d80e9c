"""A line's seal: a checksum as its last field, by which a line that was changed is told from one that stands as it was written.

JSON says nothing of a digit that a bad disk or an editor turned into another. Lines without a seal are older, and taken as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

FIELD = "crc32"
_SEAL = b',"crc32":"%08x"}\n'
_SIZE = len(_SEAL % 0)


def sealed(line: bytes) -> bytes:
    """Seal *line*, a JSON object that is not empty, without its line end; returns it with one."""
    body = line[:-1]
    return body + _SEAL % crc32(body)


def all_whole(lines: Sequence[bytes]) -> bool:
    """Whether each of *lines* ends with the seal it was given, and with the usual line end: sooner told of many than of each."""
    seals = b"".join([line[-_SIZE:] for line in lines])
    return seals == _SEAL * len(lines) % (*[crc32(line[:-_SIZE]) for line in lines],)


def is_whole(line: bytes) -> bool:
    """Whether *line* ends with the seal it was given."""
    if line[-_SIZE:] == _SEAL % crc32(line[:-_SIZE]):
        return True
    # The usual line has its line end and no other.
    ended = line.rstrip(b"\r\n") + b"\n"
    return ended[-_SIZE:] == _SEAL % crc32(ended[:-_SIZE])
