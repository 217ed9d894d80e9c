"""A file's content cut into chunks, and those into lines, each with the byte it starts at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from io import BytesIO

from batchrun.edge.source.files import CHUNK, File
from batchrun.edge.source.mistakes import reading


@dataclass(frozen=True, slots=True)
class TooLong:
    """A line that is longer than may be: its length, and 16 hex digits of blake2b over it."""

    size: int
    digest: str

    def __len__(self) -> int:
        return self.size


def chunks(file: File) -> Iterator[bytes]:
    """Read a file's content, `CHUNK` bytes at a time."""
    with reading(file.shown), file.content.open("rb", buffering=CHUNK) as stream:
        while len(chunk := stream.read(CHUNK)) == CHUNK:
            yield chunk
        # A short chunk is the end, even of a file that is still being written: a byte's chunk must follow from its offset.
        if chunk:
            yield chunk


def lines(chunks: Iterable[bytes], limit: int) -> Iterator[tuple[int, Sequence[bytes | TooLong]]]:
    """Cut *chunks* at line feeds: the lines that end in each, with the offset of the first one's first byte."""
    line, read, offset = _Unfinished(limit), 0, 0
    for chunk in chunks:
        # In a third of the time that `split` takes.
        pieces = BytesIO(chunk).readlines()
        rest = b"" if chunk.endswith(b"\n") or not pieces else pieces.pop()
        cut: list[bytes | TooLong] = [piece[:-1] for piece in pieces]
        # The usual line stands whole in its chunk and is handed on as it was cut; the first one may have begun before.
        if cut and line.size:
            cut[0] = line.end(pieces[0][:-1])
        if len(chunk) > limit:
            cut = [line.end(each) if len(each) > limit and isinstance(each, bytes) else each for each in cut]
        yield offset, cut
        read += len(chunk)
        if rest:
            line.add(rest)
        offset = read - line.size
    if line.size:
        yield offset, [line.end(b"")]


class _Unfinished:
    """A line that has not met its end; past *limit* only its length and digest are kept."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._begin()

    def _begin(self) -> None:
        self.size = 0
        self._pieces: list[bytes] = []
        self._digest = blake2b(digest_size=8)

    def add(self, piece: bytes) -> None:
        self.size += len(piece)
        self._pieces.append(piece)
        if self.size > self._limit:
            for each in self._pieces:
                self._digest.update(each)
            self._pieces.clear()

    def end(self, piece: bytes) -> bytes | TooLong:
        self.add(piece)
        whole = b"".join(self._pieces) if self.size <= self._limit else TooLong(self.size, self._digest.hexdigest())
        self._begin()
        return whole
