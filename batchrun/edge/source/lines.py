"""A file's content cut into chunks, and those into lines, each with the byte it starts at."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from io import BytesIO
from itertools import accumulate

from batchrun.core.classes import value
from batchrun.core.rows.index import packed
from batchrun.edge.source.files import CHUNK, File
from batchrun.edge.source.mistakes import reading


@value
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


class Cutter:
    """Cuts chunks that follow each other at line feeds; of lines that are longer than *limit* only length and digest are kept."""

    def __init__(self, limit: int, start: int = 0) -> None:
        """*start* is the byte at which the first chunk does."""
        self._limit = limit
        self._line = _Unfinished(limit)
        self._read = start

    @property
    def offset(self) -> int:
        """At which byte the line starts that ends next."""
        return self._read - self._line.size

    def cut(self, chunk: bytes) -> Sequence[bytes | TooLong]:
        """The lines that end in the next chunk."""
        line, limit = self._line, self._limit
        # In a third of the time that `split` takes.
        pieces = BytesIO(chunk).readlines()
        rest = b"" if chunk.endswith(b"\n") or not pieces else pieces.pop()
        cut: list[bytes | TooLong] = [piece[:-1] for piece in pieces]
        # The usual line stands whole in its chunk and is handed on as it was cut; the first one may have begun before.
        if cut and line.size:
            cut[0] = line.end(pieces[0][:-1])
        if len(chunk) > limit:
            cut = [line.end(each) if len(each) > limit and isinstance(each, bytes) else each for each in cut]
        self._go_on(chunk, rest)
        return cut

    def skip(self, chunk: bytes) -> None:
        """Go on behind the next chunk, whose lines are known already."""
        if end := chunk.rfind(b"\n") + 1:
            self._line.begin()
        self._go_on(chunk, chunk[end:])

    def last(self) -> Sequence[bytes | TooLong]:
        """The line that has no end, once all chunks were given."""
        return [self._line.end(b"")] if self._line.size else []

    def _go_on(self, chunk: bytes, rest: bytes) -> None:
        self._read += len(chunk)
        if rest:
            self._line.add(rest)


def places(number: int, offset: int, cut: Sequence[bytes | TooLong]) -> array[int]:
    """Where each line starts that was *cut* of a file by its number, as the index has it; the first does at the byte *offset*."""
    return array("Q", [*accumulate([len(line) + 1 for line in cut], initial=packed(number, offset))][:-1])


class _Unfinished:
    """A line that has not met its end; past *limit* only its length and digest are kept."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.begin()

    def begin(self) -> None:
        """Forget what it has of a line."""
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
        self.begin()
        return whole
