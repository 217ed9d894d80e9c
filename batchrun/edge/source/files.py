"""The input files once their lines can be read by position: how many are held open, and how a line is read again."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import field
from pathlib import Path

from batchrun.core.classes import value

CHUNK = 128 << 10
"""Bytes that a pass reads at once."""
MAX_OPEN_FILES = 128
_FIRST_READ, _MOST_READ = 8 << 10, 1 << 20


@value
class File:
    """An input file whose lines can be read by position."""

    shown: str
    """The path as written, or as a glob gave it."""
    workspace: str | None
    content: Path
    """Where its lines are read: itself, or its spool."""
    size: int
    mtime_ns: int
    newlines: array[int] = field(default_factory=lambda: array("Q"))
    """Line feeds before each chunk, so that a byte's line is found by counting within one chunk."""


class Files:
    """Reads lines by position; at most MAX_OPEN_FILES files are held open, the one longest unused makes room."""

    def __init__(self, files: Sequence[File], max_line_bytes: int) -> None:
        self._files = files
        self.max_line_bytes = max_line_bytes
        self._held: dict[int, int] = {}

    def __iter__(self) -> Iterator[File]:
        return iter(self._files)

    def __getitem__(self, number: int) -> File:
        return self._files[number]

    def __len__(self) -> int:
        return len(self._files)

    def hold(self, number: int) -> int:
        """Open a file, so that one deleted or replaced from here on can still be read; raises OSError."""
        descriptor = self._held.get(number)
        if descriptor is not None and len(self._files) <= MAX_OPEN_FILES:
            return descriptor
        descriptor = self._held.pop(number, None)
        if descriptor is None:
            descriptor = os.open(self._files[number].content, os.O_RDONLY | os.O_CLOEXEC)
            if len(self._held) >= MAX_OPEN_FILES:
                with suppress(OSError):
                    os.close(self._held.pop(next(iter(self._held))))
        self._held[number] = descriptor
        return descriptor

    def line(self, number: int, offset: int, most: int | None = None) -> bytes:
        """Read the line that starts at *offset*, without its end, and which had no more than *most* bytes with it; raises OSError."""
        descriptor = self.hold(number)
        pieces: list[bytes] = []
        size, wanted = 0, _FIRST_READ if most is None else min(most, _MOST_READ)
        while size <= self.max_line_bytes and (piece := os.pread(descriptor, wanted, offset + size)):
            end = piece.find(b"\n")
            if end >= 0:
                pieces.append(piece[:end])
                break
            pieces.append(piece)
            size, wanted = size + len(piece), min(wanted * 4, _MOST_READ)
        return b"".join(pieces)

    def lines(self, places: Sequence[tuple[int, int, int]]) -> list[bytes]:
        """Read the lines at *places*: file, offset, bytes at the most. What stands close together is read at once; raises OSError."""
        read = [b""] * len(places)
        together: list[int] = []
        held, start, end = -1, 0, 0
        for at in sorted(range(len(places)), key=places.__getitem__):
            number, offset, most = places[at]
            ends = offset + most
            if number != held or ends - start > CHUNK:
                self._cut(held, start, end, places, together, read)
                together, held, start, end = [], number, offset, ends
            elif ends > end:
                end = ends
            together.append(at)
        self._cut(held, start, end, places, together, read)
        return read

    def _cut(
        self, number: int, start: int, end: int, places: Sequence[tuple[int, int, int]], together: Sequence[int], read: list[bytes]
    ) -> None:  # fmt: skip
        """Read a file from *start* to *end*, and cut the lines out of it that stand *together* there."""
        if not together:
            return
        block = os.pread(self.hold(number), end - start, start)
        for at in together:
            _, offset, most = places[at]
            begins = offset - start
            ends = begins + most
            stop = block.find(b"\n", begins, ends)
            read[at] = block[begins : ends if stop < 0 else stop]

    def line_number(self, number: int, offset: int) -> int:
        """Count the lines up to *offset*, from 1; of what the pass has read."""
        chunk = offset // CHUNK
        start = os.pread(self.hold(number), offset - chunk * CHUNK, chunk * CHUNK)
        return self._files[number].newlines[chunk] + start.count(b"\n") + 1

    def close(self) -> None:
        """Close what is open; a file is opened again when it is read. What was only read loses nothing where that fails."""
        while self._held:
            with suppress(OSError):
                os.close(self._held.popitem()[1])
