"""A large input glanced at ahead by a second process, so that it is indexed on two cores.

The files are divided by chunks: of each `_TURN` of them the first are glanced at here, the others there. With what was seen of a chunk
comes its checksum: it is believed where that is the checksum of what is read here, and of each chunk before it, so that the index is of
the very bytes whose digest is kept with it. What has not come is glanced at here.
"""

from __future__ import annotations

import marshal
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Self
from zlib import crc32

from batchrun.beside.process import Beside, is_worth_it
from batchrun.core.rows.glanced import Glanced, Packed, packed
from batchrun.core.rows.glances import Glances
from batchrun.core.rows.rows import Inherited
from batchrun.edge.source.files import CHUNK, Files
from batchrun.edge.source.lines import Cutter, places

TOGETHER = 64
"""Lines that are glanced at together."""
_TURN, _HERE = 6, 2
"""Chunks, and how many of them are glanced at by whoever adds all of them to the index."""
_Chunk = tuple[int, Packed]
"""Its checksum, and what was seen of the lines that end in it."""


class Ahead(Beside):
    """Chunks of *files* that are glanced at by the other process."""

    def __init__(self, directory: Path, files: Files, workspaces: Mapping[str, Inherited]) -> None:
        told = {
            "files": [(str(file.content.absolute()), file.workspace) for file in files],
            "workspaces": {name: (each.model, each.salt.hex()) for name, each in workspaces.items()},
            "max_line_bytes": files.max_line_bytes,
        }
        super().__init__(directory, f"{__name__}:{glance_ahead.__name__}", told)

    @classmethod
    def of(cls, directory: Path, files: Files, workspaces: Mapping[str, Inherited]) -> Self | None:
        """Glance ahead at what is the other process's; None where that is not worth it."""
        with suppress(OSError):
            if is_worth_it(sum(file.content.stat().st_size for file in files if file.content.stat().st_size > _HERE * CHUNK)):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                return cls(directory, files, workspaces)
        return None

    def glanced(self, file: int, nth: int, chunk: bytes) -> Glanced | None:
        """What was seen of the lines that end in this chunk of a file; None where that is to be seen here."""
        place = nth % _TURN - _HERE
        if place < 0:
            return None
        wanted = file, nth - place
        while (part := self.next()) is not None and part[0] < wanted:
            self.taken()
        if part is None or part[0] != wanted or place >= len(part[1]):
            return None
        checksum, told = part[1][place]
        if checksum != crc32(chunk):
            self.taken()  # All of it: a line that ends in the next chunk may begin in this one.
            return None
        return Glanced.of(told)


def glance_ahead(told: Mapping[str, Any]) -> Iterator[bytes]:
    """What the other process does."""
    workspaces = {name: Inherited(model, {}, bytes.fromhex(salt)) for name, (model, salt) in told["workspaces"].items()}
    for number, (path, workspace) in enumerate(told["files"]):
        glances, first = Glances(workspaces, workspace), _HERE
        with suppress(FileNotFoundError), Path(path).open("rb", buffering=0) as file:
            while chunks := _turn(file, number, first, glances, told["max_line_bytes"]):
                yield marshal.dumps(((number, first), chunks))
                first += _TURN


def _turn(file: IO[bytes], number: int, first: int, glances: Glances, limit: int) -> list[_Chunk]:
    cutter, found, begun = Cutter(limit, first * CHUNK), [], False
    file.seek(first * CHUNK)
    for _ in range(_TURN - _HERE):
        if not (chunk := file.read(CHUNK)):
            break
        offset = cutter.offset
        cut = cutter.cut(chunk)
        lines = [line if type(line) is bytes else b"" for line in cut]
        if lines and not begun:
            # Where it starts is known to whoever has read what stands before.
            lines[0], begun = b"", True
        seen = [glances.of(lines[some : some + TOGETHER]) for some in range(0, len(lines), TOGETHER)]
        found.append((crc32(chunk), packed(seen, places(number, offset, cut))))
    return found
