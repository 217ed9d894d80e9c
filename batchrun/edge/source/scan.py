"""The pass: every line of every file is noted as a row, or set aside with the reason why it is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate
from typing import cast

from batchrun.core.errors import Mistake
from batchrun.core.rows.index import Duplicate, Index, LaneKey, occurrence_id, packed
from batchrun.core.rows.rows import Glances, Inherited, Line, NotARow, Seen, read_line
from batchrun.edge.source.files import File, Files
from batchrun.edge.source.inputs import READABLE, foreign
from batchrun.edge.source.lines import TooLong, chunks, lines
from batchrun.edge.source.mistakes import reading, unusable, where
from batchrun.edge.source.progress import Progress

_UTF8_MARK = b"\xef\xbb\xbf"
_AT_ONCE = 64
"""Lines that are glanced at together."""


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

    def _take_all(self, number: int, offset: int, cut: Sequence[bytes | TooLong], glances: Glances) -> None:
        places = [*accumulate([len(line) + 1 for line in cut], initial=offset)]
        for first in range(0, len(cut), _AT_ONCE):
            some, last = cut[first : first + _AT_ONCE], first
            seen = glances.of([line if type(line) is bytes else b"" for line in some])
            # What is not at once clear to be a row is looked at with care, a second time where it has to be.
            careful = [first + place for place, lane in enumerate(seen.lanes) if lane is None]
            for place in (*careful, first + len(some)):
                while last < place:
                    last += self._add_seen(number, places[last:place], seen, last - first, place - first)
                    if last < place:
                        self._take(number, self._line_number + last, places[last], cut[last])
                        last += 1
                if place < first + len(some):
                    self._take(number, self._line_number + place, places[place], cut[place])
                    last = place + 1

    def _add_seen(self, number: int, places: Sequence[int], seen: Seen, first: int, last: int) -> int:
        """Add the rows seen from the *first* on to the *last*, up to one whose id is taken; how many were added."""
        lanes, row_ids = cast("list[LaneKey]", seen.lanes[first:last]), cast("list[str]", seen.row_ids[first:last])
        start = packed(number, 0)
        added = self._index.add_together(lanes, row_ids, seen.digests[first:last], [start + place for place in places])
        self._counts.rows += added
        return added

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
