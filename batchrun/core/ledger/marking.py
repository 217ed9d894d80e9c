"""What a part of a file that is only appended to is marked by, to tell later whether it is still what it was."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from types import MappingProxyType

from batchrun.core.classes import value


@value
class Mark:
    """A part of a file, from its beginning on, in segments: each with its end and the digest of its bytes."""

    segments: tuple[tuple[int, str], ...] = ()

    @property
    def end(self) -> int:
        """Where the part ends, in bytes."""
        return self.segments[-1][0] if self.segments else 0


NOTHING = Mark()
NONE: Mapping[str, Mark] = MappingProxyType({})
"""Of no file."""


class Growth:
    """What is appended to a file, marked while it is written."""

    def __init__(self, begin: int) -> None:
        self.begin = self.end = begin
        self._digest = sha256()

    def add(self, lines: bytes) -> None:
        """Take in what was written."""
        self._digest.update(lines)
        self.end += len(lines)

    def after(self, mark: Mark) -> Mark:
        """Mark the file to its end, which was marked as *mark* when the growth began."""
        if self.end == self.begin:
            return mark
        return Mark((*mark.segments, (self.end, self._digest.hexdigest())))
