"""The pass: every line of every file is noted as a row, or set aside with the reason why it is none."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import cast

from batchrun.core.classes import slotted, value
from batchrun.core.rows.glanced import Glanced
from batchrun.core.rows.glances import Glances
from batchrun.core.rows.index import Duplicate, Index, LaneKey, occurrence_id, offset_of, packed
from batchrun.core.rows.own_settings import OwnSettings
from batchrun.core.rows.rows import Inherited, Line, NotARow, read_line
from batchrun.edge.source.ahead import TOGETHER, Ahead
from batchrun.edge.source.files import Files
from batchrun.edge.source.inputs import foreign_inside
from batchrun.edge.source.lines import Cutter, TooLong, chunks, places
from batchrun.edge.source.mistakes import reading, unusable
from batchrun.edge.source.progress import Progress


@value
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


@slotted
class Counts:
    """What the pass has met."""

    rows: int = 0
    set_aside: int = 0
    blank_lines: int = 0


@value
class Scanned:
    """What a pass has made."""

    index: Index
    counts: Counts
    digests: tuple[str, ...]
    """Of each file: blake2b-128 of its content, unpacked."""
    settings: Mapping[str, int]
    """Names of `OwnSettings`, each with where the first line stands, packed, that has it."""


class Scan:
    """One pass over *files* into *index*; what is no row goes to *tell* at once. Some of it may be glanced at *ahead*."""

    def __init__(
        self, files: Files, workspaces: Mapping[str, Inherited], tell: Callable[[SetAside], None], index: Index, max_line_bytes: int,
        ahead: Ahead | None = None,
    ) -> None:  # fmt: skip
        self._counts = Counts()
        self._digests: list[str] = []
        self._files = files
        self._workspaces = workspaces
        self._tell = tell
        self._index = index
        self._max_line_bytes = max_line_bytes
        self._ahead = ahead
        self._line_number = 1
        """Of the line that is cut next, in its file."""
        self._own_settings = OwnSettings()
        self._settings: dict[str, int] = {}

    def all(self, progress: Progress) -> Scanned:
        """Take in every file; raises JobError where one cannot be read to its end, or is of another kind."""
        for number in range(len(self._files)):
            self._file(number, progress)
        return Scanned(self._index, self._counts, tuple(self._digests), self._settings)

    def _file(self, number: int, progress: Progress) -> None:
        file, content = self._files[number], blake2b(digest_size=16)
        glances, cutter = Glances(self._workspaces, file.workspace), Cutter(self._max_line_bytes)
        self._line_number = 1
        for nth, chunk in enumerate(chunks(file)):
            if not nth and (mistake := foreign_inside(file.shown, chunk)):
                raise unusable([mistake])
            file.newlines.append(self._line_number - 1)
            content.update(chunk)
            glanced = None if self._ahead is None else self._ahead.glanced(number, nth, chunk)
            if glanced is None:
                self._take_all(number, cutter.offset, cutter.cut(chunk), glances)
            else:
                self._take_glanced(number, glanced, chunk, cutter)
            self._expect(progress)
            progress.add(len(chunk))
        self._take_all(number, cutter.offset, cutter.last(), glances)
        self._index.end(packed(number, cutter.offset))
        self._expect(progress)
        self._digests.append(content.hexdigest())

    def _expect(self, progress: Progress) -> None:
        self._index.expect(round(len(self._index) * progress.ahead))

    def _take_all(self, number: int, offset: int, cut: Sequence[bytes | TooLong], glances: Glances) -> None:
        starts = places(number, offset, cut)
        for first in range(0, len(cut), TOGETHER):
            some = cut[first : first + TOGETHER]
            lanes, row_ids, digests, settings = glances.of([line if type(line) is bytes else b"" for line in some])
            names, positions = self._index.names_of(lanes, row_ids), starts[first : first + TOGETHER]
            self._take_each(number, Glanced(lanes, names, digests, positions, settings), some)

    def _take_glanced(self, number: int, glanced: Glanced, chunk: bytes, cutter: Cutter) -> None:
        lanes, offset = glanced.lanes, cutter.offset
        added = 0 if None in lanes else self._add_some(glanced, 0, len(lanes))
        if added == len(lanes):
            cutter.skip(chunk)
            self._line_number += added
            self._note_settings(glanced)
        else:
            cut = cutter.cut(chunk)
            # Where the first one starts, which may have begun before, is known here alone.
            glanced.positions = places(number, offset, cut)
            self._take_each(number, glanced, cut, added)

    def _take_each(self, number: int, glanced: Glanced, lines: Sequence[bytes | TooLong], last: int = 0) -> None:
        """Add *lines* from the *last* that was taken on: together as far as they are rows and not taken, the others one by one.

        What is not at once clear to be a row is looked at with care, a second time where it has to be.
        """
        careful = [place for place, lane in enumerate(glanced.lanes) if lane is None]
        for place in (*careful, len(lines)):
            while last < place:
                last += self._add_some(glanced, last, place)
                if last < place:
                    self._take(number, self._line_number + last, offset_of(glanced.positions[last]), lines[last])
                    last += 1
            if place < len(lines):
                self._take(number, self._line_number + place, offset_of(glanced.positions[place]), lines[place])
                last = place + 1
        self._line_number += len(lines)
        self._note_settings(glanced)

    def _note_settings(self, glanced: Glanced) -> None:
        for place, name in glanced.settings:
            self._note_setting(name, glanced.positions[place])

    def _note_setting(self, name: str, position: int) -> None:
        self._settings[name] = min(position, self._settings.get(name, position))

    def _add_some(self, glanced: Glanced, first: int, last: int) -> int:
        """Add rows from the *first* on to the *last*, up to one whose name is taken; how many were added."""
        lanes, names = cast("list[LaneKey]", glanced.lanes[first:last]), glanced.names[first:last]
        added = self._index.add_named(lanes, names, glanced.digests[first:last], glanced.positions[first:last])
        self._counts.rows += added
        return added

    def _take(self, number: int, line_number: int, offset: int, line: bytes | TooLong) -> None:
        if isinstance(line, TooLong):
            reason = f"a line of {line.size:,} bytes: at most {self._max_line_bytes:,} may be"
            self._set_aside(number, line_number, offset, NotARow(reason), line.digest)
            return
        if offset == 0 and line.startswith(BOM_UTF8):
            offset, line = len(BOM_UTF8), line[len(BOM_UTF8) :]
        if not line or line.isspace():
            self._counts.blank_lines += 1
            if len(line) > 1:  # A line end more between two rows is not worth eight bytes.
                self._index.end(packed(number, offset))
            return
        read = read_line(line, self._workspaces, self._files[number].workspace)
        refused = read if isinstance(read, NotARow) else self._add(read, packed(number, offset))
        for name in self._own_settings.of(read.value) if isinstance(read, Line) else ():
            self._note_setting(name, packed(number, offset))
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
        self._index.end(packed(number, offset))
        file = self._files[number].shown
        self._tell(SetAside(file, line_number, offset, refused.reason, refused.id, refused.workspace, digest))


def id_of(index: Index, ordinal: int, read: Line) -> str:
    """Name a row that was read again: its own id, or the made one with its occurrence."""
    return read.id if read.id is not None else occurrence_id(read.made_id(), index.occurrence(ordinal))
