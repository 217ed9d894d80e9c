"""The input: one pass that indexes every row by position, then single rows read when their turn comes.

Rules

1. Everything that makes the input unusable as a whole (a path that leads nowhere, a broken archive, UTF-16) is a `JobError` that names the
   file; a line that is no row is handed to *set_aside* at once, and the pass goes on. Memory grows by the index alone.
2. What cannot be read twice or by position (a compressed file, standard input) is unpacked into the spool directory first, under another
   name until it is whole. A later opening uses a whole spool again: a compressed file's where path, size and time still agree, standard
   input's always: what was piped in once is the run's input, and standard input is left alone. Compression is told by the first bytes.
3. A row is read again from the file as it is then; a line that is not the one that was indexed is a `RowChanged`, never sent.
4. The index is kept in the spool directory; a later opening of the same input reads it there, and what it does not trust is made again.
5. `Source.open` blocks and touches no event loop: call it in a worker thread. *on_progress* is called every 128 KiB, and whatever it raises
   ends the pass. `Source.read` is one read of the page cache as a rule; one thread at a time may call it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import IO, Self, cast

from batchrun.core.classes import value
from batchrun.core.model import Row
from batchrun.core.rows.again import Rereader
from batchrun.core.rows.index import Index
from batchrun.core.rows.rows import Inherited
from batchrun.edge.source.ahead import Ahead
from batchrun.edge.source.files import Files
from batchrun.edge.source.growth import Growth
from batchrun.edge.source.inputs import InputFile, find
from batchrun.edge.source.kept import Keeper, salts_of, settings_key
from batchrun.edge.source.mistakes import reading
from batchrun.edge.source.progress import Progress
from batchrun.edge.source.scan import Scan, Scanned, SetAside, id_of
from batchrun.edge.source.spool import Unfolding

MAX_LINE_BYTES = 64 << 20
_SHORT = 16 << 10
"""Bytes: longer lines are not read together with others."""


@value
class RowChanged:
    """A row that can no longer be read as it was indexed: the input was edited, cut or lost during the run."""

    reason: str


class Source:
    """The rows of a run: *index* says where each stands, `read` gets one."""

    def __init__(self, files: Files, workspaces: Mapping[str, Inherited], scanned: Scanned, notes: tuple[str, ...], growth: Growth) -> None:
        self.index = scanned.index
        self.counts = scanned.counts
        self.fingerprints = [
            {"path": file.shown, "size": file.size, "mtime_ns": file.mtime_ns, "blake2b": digest}
            for file, digest in zip(files, scanned.digests, strict=True)
        ]
        """Of each file: path, size, mtime_ns (of a compressed file itself) and the blake2b-128 of its content, unpacked."""
        key = settings_key(files, workspaces, files.max_line_bytes)
        self.identity = blake2b("\n".join([key, *scanned.digests]).encode(), digest_size=16).hexdigest()
        """Of the index: two sources with the same have the same rows at the same ordinals."""
        self.salts = salts_of(workspaces)
        """What stands for the settings that rows are asked under, by workspace."""
        self.notes = notes
        """What the user may want to know about how the input was taken."""
        self.grown = growth.since
        """Names the files that have come, or become larger, since. Blocks."""
        self._settings = scanned.settings
        self._files = files
        self._rereader = Rereader(workspaces)

    @classmethod
    def open(  # noqa: PLR0913 - the one call of a run; each is a fact that only the run knows
        cls,
        inputs: Sequence[InputFile],
        *,
        workspaces: Mapping[str, Inherited],
        default_workspace: str | None,
        spool_dir: Path,
        set_aside: Callable[[SetAside], None],
        on_progress: Callable[[int, int], None] | None = None,
        max_line_bytes: int = MAX_LINE_BYTES,
        stdin: IO[bytes] | None = None,
        index: Index | None = None,
        read_only: bool = False,
    ) -> Self:
        """Index *inputs* in one pass; raises `JobError` where they cannot be read as they are named, `StoppedError` where a disk fails.

        *on_progress* gets bytes done and bytes in all; the latter grows as compressed inputs unfold. *stdin* stands in for the
        process's own, *index* (an empty one) for an index with the usual digests; such a one is not kept. Where it is *read_only*, nothing
        is written into *spool_dir*: an input that would have to be unpacked there is a mistake.
        """
        growth = Growth([each.path for each in inputs])
        found, notes = find(inputs, workspaces, default_workspace)
        progress = Progress(on_progress, sum(each.size for each in found))
        unfolding = Unfolding(spool_dir, progress, stdin, read_only=read_only)
        files = Files([unfolding.file(each, number) for number, each in enumerate(found, 1)], max_line_bytes)
        with ExitStack() as stack:
            stack.callback(files.close)
            for number, file in enumerate(files):
                with reading(file.shown):
                    # Held from here on, so that a file deleted or replaced during the run can still be read.
                    files.hold(number)
            if index is not None:
                scanned = Scan(files, workspaces, set_aside, index, max_line_bytes).all(progress)
            else:
                keeper = Keeper(spool_dir, files, workspaces, max_line_bytes, read_only=read_only)
                beside = None if read_only else spool_dir
                scanned = _scanned(files, workspaces, set_aside, max_line_bytes, progress, keeper, beside)
            stack.pop_all()
        return cls(files, workspaces, scanned, (*notes, *unfolding.notes), growth)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the input files."""
        self._files.close()

    def read_together(self, ordinals: Sequence[int]) -> dict[int, Row]:
        """Read rows that are asked at one time, what stands close together at once.

        Long ones are left to `read`, and all that fails: a share may give less than it was asked for.
        """
        places = zip(ordinals, self.index.places(ordinals), strict=True)
        short = {ordinal: place for ordinal, place in places if place[2] is not None and place[2] <= _SHORT}
        try:
            lines = self._files.lines(cast("list[tuple[int, int, int]]", [*short.values()]))
        except OSError:
            return {}
        rows = [(ordinal, self._row(ordinal, place, line)) for (ordinal, place), line in zip(short.items(), lines, strict=True)]
        return {ordinal: row for ordinal, row in rows if isinstance(row, Row)}

    def read(self, ordinal: int) -> Row | RowChanged:
        """Read the row with this ordinal, made ready to be asked."""
        (place,) = self.index.places((ordinal,))
        try:
            line = self._files.line(*place)
        except OSError as error:
            return RowChanged(f"{self._files[place[0]].shown}: the input can no longer be read: {error.strerror}")
        return self._row(ordinal, place, line)

    def unnamed(self, ordinal: int) -> str | None:
        """Give the id that was made for the row, where its line gives neither one nor metadata."""
        (place,) = self.index.places((ordinal,))
        try:
            read = self._rereader.line(self._files.line(*place), self._files[place[0]].workspace, self.index.digest(ordinal))
        except OSError:
            return None
        return id_of(self.index, ordinal, read) if read is not None and read.id is None and not read.value.get("metadata") else None

    def _row(self, ordinal: int, place: tuple[int, int, int | None], line: bytes) -> Row | RowChanged:
        file = self._files[place[0]]
        read = self._rereader.line(line, file.workspace, self.index.digest(ordinal))
        if read is None:
            return RowChanged(
                f"{file.shown}: the line at byte {place[1]} is not the one that was indexed: the input was edited during the run"
            )
        row_id = id_of(self.index, ordinal, read) if read.id is None else read.id
        return read.row(row_id, ordinal, place[2] or 0)

    def settings(self) -> Iterator[tuple[str, int]]:
        """Give the names of settings that no example of the provider has, each with the ordinal of the first row that asks by it."""
        for name, place in self._settings.items():
            if (ordinal := self.index.at_packed(place)) is not None:
                yield name, ordinal

    def line_bytes(self, ordinal: int) -> int:
        """Tell how long the row's line is, with its end."""
        return self.index.span(ordinal) or 0

    @property
    def folders(self) -> int:
        """In how many folders the input files stand."""
        return len({Path(file.shown).parent for file in self._files})

    def folder(self, ordinal: int) -> Path:
        """Give the folder of the input file that the row stands in; the working directory for standard input."""
        number, _ = self.index.position(ordinal)
        return Path(self._files[number].shown).parent


def _scanned(
    files: Files, workspaces: Mapping[str, Inherited], set_aside: Callable[[SetAside], None], max_line_bytes: int,
    progress: Progress, keeper: Keeper, beside: Path | None,
) -> Scanned:  # fmt: skip
    """What *keeper* has, or a pass makes; *beside* is where another process may work."""
    scanned = keeper.read(set_aside, progress)
    if scanned is None:
        with (beside and Ahead.of(beside, files, workspaces)) or nullcontext() as ahead:
            scanned = Scan(files, workspaces, keeper.watching(set_aside), Index(), max_line_bytes, ahead).all(progress)
        keeper.write(scanned)
    return scanned
