"""The input: one pass that indexes every row by position, then single rows read when their turn comes.

Rules

1. Everything that makes the input unusable as a whole (a path that leads nowhere, a broken archive, UTF-16) is a `JobError` that names the
   file; a line that is no row is handed to *set_aside* at once, and the pass goes on. Memory grows by the index alone.
2. What cannot be read twice or by position (a compressed file, standard input) is unpacked into the spool directory first, under another
   name until it is whole. A later opening uses a whole spool again: a compressed file's where path, size and time still agree, standard
   input's always: what was piped in once is the run's input, and standard input is left alone. Compression is told by the first bytes.
3. A row is read again from the file as it is then; a line that is not the one that was indexed is a `RowChanged`, never sent.
4. `Source.open` blocks and touches no event loop: call it in a worker thread. *on_progress* is called every 128 KiB, and whatever it raises
   ends the pass. `Source.read` is one read of the page cache as a rule; one thread at a time may call it.
"""

from __future__ import annotations

import glob
import gzip
import io
import os
import stat
import sys
import zlib
from array import array
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self, cast

import orjson

from batchrun.core.errors import JobError, Mistake
from batchrun.core.index import MAX_FILES, Duplicate, Index, occurrence_id, packed
from batchrun.core.rows import Inherited, Line, NotARow, read_line

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from types import TracebackType

    from batchrun.core.model import Row

MAX_LINE_BYTES = 64 << 20
MAX_OPEN_FILES = 128
STDIN = "-"

_CHUNK = 128 << 10
_FIRST_READ = 8 << 10
_UTF8_MARK = b"\xef\xbb\xbf"
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_FOREIGN = {
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"{\x00": "UTF-16 text",
    b"\x00{": "UTF-16 text",
    b"PK\x03\x04": "a zip archive",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ": "an xz file",
    b"PAR1": "a Parquet file",
}
_READABLE = "must be JSON lines in UTF-8, plain or compressed with gzip or zstd"
_WHOLE = "must be whole: pack it or fetch it again"
_BROKEN = (EOFError, zlib.error, gzip.BadGzipFile, zstd.ZstdError)


@dataclass(frozen=True, slots=True)
class InputFile:
    """One input as the job names it: a path, a glob, or ``-`` for standard input."""

    path: str
    workspace: str | None = None
    """The workspace of its lines that name none; the job's own default where this is None."""


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


@dataclass(frozen=True, slots=True)
class RowChanged:
    """A row that can no longer be read as it was indexed: the input was edited, cut or lost during the run."""

    reason: str


@dataclass(slots=True)
class Counts:
    """What the pass has met."""

    rows: int = 0
    set_aside: int = 0
    blank_lines: int = 0


@dataclass(frozen=True, slots=True)
class _File:
    shown: str
    """The path as written, or as a glob gave it."""
    workspace: str | None
    content: Path
    """Where its lines are read: itself, or its spool."""
    size: int
    mtime_ns: int
    newlines: array[int] = field(default_factory=lambda: array("Q"))
    """Line feeds before each chunk, so that a byte's line is found by counting within one chunk."""


@dataclass(frozen=True, slots=True)
class _Found:
    """An input file before it is known where its lines can be read."""

    shown: str
    workspace: str | None
    size: int
    mtime_ns: int
    head: bytes
    """Its first bytes, which tell how it is packed."""


@dataclass(frozen=True, slots=True)
class _TooLong:
    size: int
    digest: str


class Source:
    """The rows of a run: *index* says where each stands, `read` gets one."""

    def __init__(
        self,
        files: Sequence[_File],
        workspaces: Mapping[str, Inherited],
        set_aside: Callable[[SetAside], None],
        *,
        max_line_bytes: int,
        notes: tuple[str, ...],
        index: Index,
    ) -> None:
        self.index = index
        self.counts = Counts()
        self.fingerprints: list[dict[str, Any]] = []
        """Of each file: path, size, mtime_ns (of a compressed file itself) and the blake2b-128 of its content, unpacked."""
        self.notes = notes
        """What the user may want to know about how the input was taken."""
        self._files = files
        self._workspaces = workspaces
        self._tell = set_aside
        self._max_line_bytes = max_line_bytes
        self._descriptors = _Descriptors(MAX_OPEN_FILES)

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
    ) -> Self:
        """Index *inputs* in one pass; raises `JobError` where they cannot be read as they are named.

        *on_progress* gets bytes done and bytes in all; the latter grows as compressed inputs unfold. *stdin* stands in for the
        process's own, *index* (an empty one) for an index with the usual digests.
        """
        found, notes = _find(inputs, workspaces, default_workspace)
        progress = _Progress(on_progress, sum(each.size for each in found))
        files = [_unfold(each, spool_dir, number, progress, stdin, notes) for number, each in enumerate(found, 1)]
        source = cls(
            files, workspaces, set_aside, max_line_bytes=max_line_bytes, notes=tuple(notes), index=Index() if index is None else index
        )
        with ExitStack() as stack:
            stack.callback(source.close)
            for number in range(len(files)):
                source._index_file(number, progress)
            stack.pop_all()
        return source

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the input files."""
        self._descriptors.close()

    def read(self, ordinal: int) -> Row | RowChanged:
        """Read the row with this ordinal, made ready to be asked."""
        number, offset = self.index.position(ordinal)
        file = self._files[number]
        try:
            read = read_line(self._line(number, offset), self._workspaces, file.workspace)
        except OSError as error:
            return RowChanged(f"{file.shown}: the input can no longer be read: {error.strerror}")
        if isinstance(read, NotARow) or read.digest != self.index.digest(ordinal):
            return RowChanged(
                f"{file.shown}: the line at byte {offset} is not the one that was indexed: the input was edited during the run"
            )
        return read.row(self._id(ordinal, read))

    def line_bytes(self, ordinal: int) -> int:
        """Tell how long the row's line is, with whatever stands between it and the next row."""
        number, offset = self.index.position(ordinal)
        if ordinal + 1 < len(self.index):
            next_number, next_offset = self.index.position(ordinal + 1)
            if next_number == number:
                return next_offset - offset
        # A compressed file tells its packed size.
        return max(0, self._files[number].size - offset)

    def folder(self, ordinal: int) -> Path:
        """Give the folder of the input file that the row stands in; the working directory for standard input."""
        number, _ = self.index.position(ordinal)
        return Path(self._files[number].shown).parent

    def _id(self, ordinal: int, read: Line) -> str:
        return read.id if read.id is not None else occurrence_id(read.made_id(), self.index.occurrence(ordinal))

    def _line(self, number: int, offset: int) -> bytes:
        descriptor = self._descriptors.of(number, self._files[number].content)
        pieces: list[bytes] = []
        size, wanted = 0, _FIRST_READ
        while size <= self._max_line_bytes and (piece := os.pread(descriptor, wanted, offset + size)):
            end = piece.find(b"\n")
            if end >= 0:
                pieces.append(piece[:end])
                break
            pieces.append(piece)
            size, wanted = size + len(piece), min(wanted * 4, 1 << 20)
        return b"".join(pieces)

    def _index_file(self, number: int, progress: _Progress) -> None:
        file = self._files[number]
        with _reading(file.shown):
            # Held from here on, so that a file deleted or replaced during the run can still be read.
            self._descriptors.of(number, file.content)
        lines = _lines(self._watched(file, progress), self._max_line_bytes)
        for line_number, (offset, line) in enumerate(lines, 1):
            self._take(number, line_number, offset, line)

    def _watched(self, file: _File, progress: _Progress) -> Iterator[bytes]:
        """Give the file's chunks, and note in the same pass what is noted of them."""
        content, newlines = blake2b(digest_size=16), 0
        for chunk in _chunks(file):
            if not file.newlines and (foreign := _foreign(chunk)):
                raise _unusable([Mistake(_where(file.shown), foreign, _READABLE)])
            file.newlines.append(newlines)
            newlines += chunk.count(b"\n")
            content.update(chunk)
            yield chunk
            progress.add(len(chunk))
        self.fingerprints.append(
            {"path": file.shown, "size": file.size, "mtime_ns": file.mtime_ns, "blake2b": content.hexdigest()},
        )

    def _take(self, number: int, line_number: int, offset: int, line: bytes | _TooLong) -> None:
        if isinstance(line, _TooLong):
            reason = f"a line of {line.size:,} bytes: at most {self._max_line_bytes:,} may be"
            self._set_aside(number, line_number, offset, NotARow(reason), line.digest)
            return
        if offset == 0 and line.startswith(_UTF8_MARK):
            offset, line = len(_UTF8_MARK), line[len(_UTF8_MARK) :]
        if not line or line.isspace():
            self.counts.blank_lines += 1
            return
        read = read_line(line, self._workspaces, self._files[number].workspace)
        refused = read if isinstance(read, NotARow) else self._add(read, packed(number, offset))
        if refused is None:
            self.counts.rows += 1
        else:
            self._set_aside(number, line_number, offset, refused, blake2b(line, digest_size=8).hexdigest())

    def _add(self, read: Line, position: int) -> NotARow | None:
        if read.id is None:
            self.index.add_made(read.workspace, read.model, read.made_id(), read.digest, position)
            return None
        added = self.index.add(read.workspace, read.model, read.id, read.digest, position)
        if isinstance(added, Duplicate):
            return self._settle(read, position, added.of)
        return None

    def _settle(self, read: Line, position: int, earlier: int) -> NotARow | None:
        """Tell a repeated id from another id with the same 64 bits, by the earlier line itself."""
        number, offset = self.index.position(earlier)
        file = self._files[number]
        with _reading(file.shown):
            first = read_line(self._line(number, offset), self._workspaces, file.workspace)
            line_number = self._line_number(number, offset)
        if isinstance(first, Line) and (first.workspace, self._id(earlier, first)) != (read.workspace, read.id):
            assert read.id is not None
            self.index.add_twin(read.workspace, read.model, read.id, read.digest, position)
            return None
        shown = repr(read.id)
        shown = shown if len(shown) <= 80 else shown[:80] + "…"
        return NotARow(f"id {shown} stands already at {file.shown} line {line_number}", read.id, read.workspace)

    def _line_number(self, number: int, offset: int) -> int:
        file = self._files[number]
        chunk = offset // _CHUNK
        start = os.pread(self._descriptors.of(number, file.content), offset - chunk * _CHUNK, chunk * _CHUNK)
        return file.newlines[chunk] + start.count(b"\n") + 1

    def _set_aside(self, number: int, line_number: int, offset: int, refused: NotARow, digest: str) -> None:
        self.counts.set_aside += 1
        file = self._files[number].shown
        self._tell(SetAside(file, line_number, offset, refused.reason, refused.id, refused.workspace, digest))


class _Descriptors:
    """The input files held open, at most *most* of them: the one longest unused makes room."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: dict[int, int] = {}

    def of(self, number: int, path: Path) -> int:
        descriptor = self._held.pop(number, None)
        if descriptor is None:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            if len(self._held) >= self._most:
                os.close(self._held.pop(next(iter(self._held))))
        self._held[number] = descriptor
        return descriptor

    def close(self) -> None:
        while self._held:
            os.close(self._held.popitem()[1])


class _Progress:
    def __init__(self, tell: Callable[[int, int], None] | None, expected: int) -> None:
        self._tell = tell
        self._done = 0
        self._expected = expected

    def expect(self, size: int) -> None:
        self._expected += size

    def add(self, size: int) -> None:
        self._done += size
        if self._tell is not None:
            self._tell(self._done, max(self._done, self._expected))


# Lines


def _chunks(file: _File) -> Iterator[bytes]:
    with _reading(file.shown), file.content.open("rb", buffering=_CHUNK) as stream:
        while len(chunk := stream.read(_CHUNK)) == _CHUNK:
            yield chunk
        # A short chunk is the end, even of a file that is still being written: a byte's chunk must follow from its offset.
        if chunk:
            yield chunk


def _lines(chunks: Iterable[bytes], limit: int) -> Iterator[tuple[int, bytes | _TooLong]]:
    """Cut *chunks* at line feeds; each line with the offset of its first byte."""
    line, offset = _Unfinished(limit), 0
    for chunk in chunks:
        *ended, rest = chunk.split(b"\n")
        for piece in ended:
            # The usual line stands whole in its chunk and is handed on as it was cut.
            whole = piece if not line.size and len(piece) <= limit else line.end(piece)
            yield offset, whole
            offset += (len(whole) if isinstance(whole, bytes) else whole.size) + 1
        if rest:
            line.add(rest)
    if line.size:
        yield offset, line.end(b"")


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

    def end(self, piece: bytes) -> bytes | _TooLong:
        self.add(piece)
        whole = b"".join(self._pieces) if self.size <= self._limit else _TooLong(self.size, self._digest.hexdigest())
        self._begin()
        return whole


# Which files


def _find(
    inputs: Sequence[InputFile], workspaces: Mapping[str, Inherited], default_workspace: str | None
) -> tuple[list[_Found], list[str]]:
    """Look at every path the inputs name; every one that cannot be used is said at once."""
    taken: dict[object, _Found] = {}
    mistakes: list[Mistake] = []
    twice: list[str] = []
    for looked in _looks(inputs, workspaces, default_workspace):
        match looked:
            case Mistake():
                mistakes.append(looked)
            case same, found:
                earlier = taken.setdefault(same, found)
                if earlier.workspace != found.workspace:
                    mistakes.append(_two_workspaces(earlier, found))
                elif earlier is not found:
                    twice.append(found.shown)
    if len(taken) > MAX_FILES:
        mistakes.append(Mistake("input", f"{len(taken):,} files", f"must be at most {MAX_FILES:,}: join some"))
    if mistakes:
        raise _unusable(mistakes)
    return list(taken.values()), [f"named more than once, read once: {', '.join(twice[:3])}{', …' * (len(twice) > 3)}"] if twice else []


def _looks(
    inputs: Sequence[InputFile], workspaces: Mapping[str, Inherited], default_workspace: str | None
) -> Iterator[tuple[object, _Found] | Mistake]:
    for each in inputs:
        if each.workspace is not None and each.workspace not in workspaces:
            yield Mistake(_where(each.path), f"workspace {each.workspace!r}", "must be one of the job's workspaces")
        paths = _paths(each.path)
        if not paths:
            yield Mistake(_where(each.path), "a pattern that no file matches", "must match at least one file")
        for path in paths:
            yield _look(path, each.workspace or default_workspace)


def _two_workspaces(earlier: _Found, later: _Found) -> Mistake:
    found = f"workspace {later.workspace!r} for a file that is already named with workspace {earlier.workspace!r}"
    return Mistake(_where(later.shown), found, f"must be named once: see {_where(earlier.shown)}")


def _paths(path: str) -> list[str]:
    # A file whose very name holds brackets is that file, not a pattern.
    if path == STDIN or "\0" in path or os.path.lexists(path) or not glob.has_magic(path):
        return [path]
    matches = glob.glob(path, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
    return sorted(match for match in matches if not Path(match).is_dir())


def _look(path: str, workspace: str | None) -> tuple[object, _Found] | Mistake:
    """Tell which file a path leads to, whatever it is called there, and how it begins."""
    if path == STDIN:
        return STDIN, _Found(STDIN, workspace, 0, 0, b"")
    if "\0" in path or _printable(path) != path:
        return Mistake(_where(path), "a name that is not UTF-8 text", "must be a name that a report can hold: rename it")
    try:
        status = Path(path).stat()
        # A pipe must not be opened: that would wait for its writer.
        head = _head(path) if stat.S_ISREG(status.st_mode) else b""
    except OSError as error:
        return Mistake(_where(path), f"a path that cannot be read ({error.strerror})", "must be a file that is there and may be read")
    return _unfit(path, status.st_mode, head) or (
        (status.st_dev, status.st_ino),
        _Found(path, workspace, status.st_size, status.st_mtime_ns, head),
    )


def _head(path: str) -> bytes:
    with Path(path).open("rb") as file:
        return file.read(8)


def _unfit(path: str, mode: int, head: bytes) -> Mistake | None:
    if stat.S_ISDIR(mode):
        return Mistake(_where(path), "a directory", f'must be files: "{path.rstrip("/")}/*.jsonl"')
    if not stat.S_ISREG(mode):
        return Mistake(_where(path), "a pipe or a device", 'must be a file; pipe into batchrun and name "-" instead')
    foreign = _foreign(head) or _misnamed(path, head)
    return Mistake(_where(path), foreign, _READABLE) if foreign else None


def _foreign(head: bytes) -> str | None:
    return next((kind for magic, kind in _FOREIGN.items() if head.startswith(magic)), None)


def _misnamed(path: str, head: bytes) -> str | None:
    for suffix, magic in ((".gz", _GZIP), (".zst", _ZSTD)):
        if path.lower().endswith(suffix) and not head.startswith(magic):
            return f"a file named {suffix} that does not begin like one"
    return None


# The spool


def _unfold(found: _Found, spool_dir: Path, number: int, progress: _Progress, stdin: IO[bytes] | None, notes: list[str]) -> _File:
    """Make sure that the file's lines can be read by position, unpacking it first where they cannot."""
    with _reading(found.shown):
        if found.shown == STDIN:
            return _unfold_stdin(found, spool_dir / "stdin.jsonl", progress, stdin, notes)
        path = Path(found.shown).absolute()
        if found.head.startswith((_GZIP, _ZSTD)):
            path = _unfold_packed(found, path, spool_dir / f"{number:03}.jsonl", progress)
        return _File(found.shown, found.workspace, path, found.size, found.mtime_ns)


def _unfold_stdin(found: _Found, spool: Path, progress: _Progress, stdin: IO[bytes] | None, notes: list[str]) -> _File:
    # An empty spool is no input to hold on to: most likely the pipe was forgotten.
    if spool.is_file() and spool.stat().st_size:
        notes.append(f"standard input was taken when the run was first opened, and is not read again: {spool}")
    elif stdin is None and os.isatty(0):
        raise _unusable([Mistake(_where(STDIN), "a terminal", "must be a pipe or a redirected file")])
    else:
        with ExitStack() as stack:
            stream = stdin or stack.enter_context(open(0, "rb", closefd=False))
            _spool(spool, _unpacked(_Watched(stream, progress, endless=True), STDIN), STDIN)
    status = spool.stat()
    progress.expect(status.st_size)
    return _File(STDIN, found.workspace, spool, status.st_size, status.st_mtime_ns)


def _unfold_packed(found: _Found, path: Path, spool: Path, progress: _Progress) -> Path:
    sidecar = spool.with_suffix(".json")
    if _is_spool_of(found, path, spool, sidecar):
        progress.add(found.size)
    else:
        with path.open("rb") as packed_file:
            _spool(spool, _unpacked(_Watched(packed_file, progress), found.shown), found.shown)
        # Last: where it stands, the spool beside it is whole.
        _spool(sidecar, [_sidecar(found, path, spool)], found.shown)
    progress.expect(spool.stat().st_size)
    return spool


def _is_spool_of(found: _Found, path: Path, spool: Path, sidecar: Path) -> bool:
    return spool.is_file() and sidecar.is_file() and sidecar.read_bytes() == _sidecar(found, path, spool)


def _sidecar(found: _Found, path: Path, spool: Path) -> bytes:
    unpacked_bytes = spool.stat().st_size
    return orjson.dumps({"path": _printable(str(path)), "size": found.size, "mtime_ns": found.mtime_ns, "unpacked_bytes": unpacked_bytes})


class _Watched(io.RawIOBase):
    """A stream whose first bytes have been looked at, and whose reading is progress."""

    def __init__(self, stream: IO[bytes], progress: _Progress, *, endless: bool = False) -> None:
        self._stream = stream
        self._progress = progress
        self._endless = endless
        self.head = stream.read(8)
        self._left = self.head

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece, self._left = self._left or self._stream.read(len(buffer)), b""
        buffer[: len(piece)] = piece
        if self._endless:
            self._progress.expect(len(piece))
        self._progress.add(len(piece))
        return len(piece)


def _unpacked(stream: _Watched, shown: str) -> Iterator[bytes]:
    try:
        with _unpacking(stream) as unpacked:
            while piece := unpacked.read(1 << 20):
                yield piece
    except _BROKEN as error:
        raise _unusable([Mistake(_where(shown), "a compressed file that is damaged or cut short", _WHOLE)]) from error


def _unpacking(stream: _Watched) -> IO[bytes]:
    buffered = io.BufferedReader(stream, _CHUNK)
    if stream.head.startswith(_GZIP):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=buffered, mode="rb"))
    if stream.head.startswith(_ZSTD):
        return cast("IO[bytes]", zstd.ZstdFile(buffered))
    return buffered


def _spool(target: Path, pieces: Iterable[bytes], shown: str) -> None:
    """Write *pieces* to a file for the owner alone, which has its name only when it is whole and on disk."""
    partial = target.with_suffix(f"{target.suffix}.partial")
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # What vouched for an older spool must not vouch for this one.
        target.with_suffix(".json").unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(partial, flags, 0o600), "wb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(target)
        _sync_directory(target.parent)
    except OSError as error:
        found = f"an input that cannot be unpacked into {target.parent} ({error.strerror})"
        raise _unusable([Mistake(_where(shown), found, "needs room there for its unpacked size, and the right to write")]) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# What is wrong


def _where(path: str) -> str:
    return f'input "{_printable(path)}"' if path != STDIN else 'input "-" (standard input)'


def _printable(path: str) -> str:
    # A name that is not UTF-8 reaches Python with lone surrogates, which no JSON can hold.
    return path.encode(errors="backslashreplace").decode()


def _unusable(mistakes: Sequence[Mistake]) -> JobError:
    return JobError("the input cannot be read as it is named", tuple(mistakes))


@contextmanager
def _reading(shown: str) -> Iterator[None]:
    """Turn a disk's refusal to read an input into the words of the job."""
    try:
        yield
    except OSError as error:
        raise _unusable(
            [Mistake(_where(shown), f"a file that cannot be read to its end ({error.strerror})", "must be readable")]
        ) from error
