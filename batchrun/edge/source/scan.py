"""The pass: every line of every file is noted as a row, or set aside with the reason why it is none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b

from batchrun.core.errors import Mistake
from batchrun.core.rows.index import Duplicate, Index, occurrence_id, packed
from batchrun.core.rows.rows import Glances, Inherited, Line, NotARow, read_line
from batchrun.edge.source.files import File, Files
from batchrun.edge.source.inputs import READABLE, foreign
from batchrun.edge.source.lines import TooLong, chunks, lines
from batchrun.edge.source.mistakes import reading, unusable, where
from batchrun.edge.source.progress import Progress

_UTF8_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class SetAside:
    """A line that is no row. Tells where it is, not what it says."""

    file: str
    line: int
    """Counted from 1, blank lines too."""
    offset: int
    """Where the line starts, in bytes of the file's unpacked content."""
    reason: str
    id: str | None
    workspace: str | None
    digest: str
    """16 hex digits of blake2b over the line without its line feed."""


@dataclass(slots=True)
class Counts:
    """What the pass has met."""

    rows: int = 0
    set_aside: int = 0
    blank_lines: int = 0


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a pass has made."""

    index: Index
    counts: Counts
    digests: tuple[str, ...]
    """Of each file: blake2b-128 of its content, unpacked."""


class Scan:
    """One pass over *files* into *index*; what is no row goes to *tell* at once."""

    def __init__(
        self, files: Files, workspaces: Mapping[str, Inherited], tell: Callable[[SetAside], None], index: Index, max_line_bytes: int
    ) -> None:
        self._counts = Counts()
        self._digests: list[str] = []
        self._files = files
        self._workspaces = workspaces
        self._tell = tell
        self._index = index
        self._max_line_bytes = max_line_bytes
        self._line_number = 1
        """Of the line that is cut next, in its file."""

    def all(self, progress: Progress) -> Scanned:
        """Take in every file; raises JobError where one cannot be read to its end, or is of another kind."""
        for number in range(len(self._files)):
            self._file(number, progress)
        return Scanned(self._index, self._counts, tuple(self._digests))

    def _file(self, number: int, progress: Progress) -> None:
        file = self._files[number]
        glances = Glances(self._workspaces, file.workspace)
        self._line_number = 1
        for offset, cut in lines(self._watched(file, progress), self._max_line_bytes):
            self._take_all(number, offset, cut, glances)
            self._line_number += len(cut)
            self._index.expected = round(len(self._index) * progress.ahead)

    def _watched(self, file: File, progress: Progress) -> Iterator[bytes]:
        """Give the file's chunks, each once the lines that end before it are taken in, and note in the same pass what is noted of them."""
        content = blake2b(digest_size=16)
        for chunk in chunks(file):
            if not file.newlines and (kind := foreign(chunk)):
                raise unusable([Mistake(where(file.shown), kind, READABLE)])
            file.newlines.append(self._line_number - 1)
            content.update(chunk)
            yield chunk
            progress.add(len(chunk))
        self._digests.append(content.hexdigest())

    def _take_all(self, number: int, offset: int, cut: Iterable[bytes | TooLong], glances: Glances) -> None:
        glance, add, start, rows = glances.of, self._index.add, packed(number, 0), 0
        position = start + offset
        for line_number, line in enumerate(cut, self._line_number):
            # What is not at once clear to be a row is looked at with care, a second time where it has to be.
            if type(line) is bytes and (seen := glance(line)) is not None:
                lane, row_id, digest = seen
                if type(add(lane, row_id, digest, position)) is int:
                    rows += 1
                    position += len(line) + 1
                    continue
            self._take(number, line_number, position - start, line)
            position += len(line) + 1
        self._counts.rows += rows

    def _take(self, number: int, line_number: int, offset: int, line: bytes | TooLong) -> None:
        if isinstance(line, TooLong):
            reason = f"a line of {line.size:,} bytes: at most {self._max_line_bytes:,} may be"
            self._set_aside(number, line_number, offset, NotARow(reason), line.digest)
            return
        if offset == 0 and line.startswith(_UTF8_MARK):
            offset, line = len(_UTF8_MARK), line[len(_UTF8_MARK) :]
        if not line or line.isspace():
            self._counts.blank_lines += 1
            return
        read = read_line(line, self._workspaces, self._files[number].workspace)
        refused = read if isinstance(read, NotARow) else self._add(read, packed(number, offset))
        if refused is None:
            self._counts.rows += 1
        else:
            self._set_aside(number, line_number, offset, refused, blake2b(line, digest_size=8).hexdigest())

    def _add(self, read: Line, position: int) -> NotARow | None:
        if read.id is None:
            self._index.add_made((read.workspace, read.model), read.made_id(), read.digest, position)
            return None
        added = self._index.add((read.workspace, read.model), read.id, read.digest, position)
        if isinstance(added, Duplicate):
            return self._settle(read, position, added.of)
        return None

    def _settle(self, read: Line, position: int, earlier: int) -> NotARow | None:
        """Tell a repeated id from another id with the same 64 bits, by the earlier line itself."""
        number, offset = self._index.position(earlier)
        file = self._files[number]
        with reading(file.shown):
            first = read_line(self._files.line(number, offset), self._workspaces, file.workspace)
            line_number = self._files.line_number(number, offset)
        if isinstance(first, Line) and (first.workspace, id_of(self._index, earlier, first)) != (read.workspace, read.id):
            assert read.id is not None
            self._index.add_twin((read.workspace, read.model), read.id, read.digest, position)
            return None
        shown = repr(read.id)
        shown = shown if len(shown) <= 80 else shown[:80] + "…"
        return NotARow(f"id {shown} stands already at {file.shown} line {line_number}", read.id, read.workspace)

    def _set_aside(self, number: int, line_number: int, offset: int, refused: NotARow, digest: str) -> None:
        self._counts.set_aside += 1
        file = self._files[number].shown
        self._tell(SetAside(file, line_number, offset, refused.reason, refused.id, refused.workspace, digest))


def id_of(index: Index, ordinal: int, read: Line) -> str:
    """Name a row that was read again: its own id, or the made one with its occurrence."""
    return read.id if read.id is not None else occurrence_id(read.made_id(), index.occurrence(ordinal))
