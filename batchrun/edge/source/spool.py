"""What cannot be read by position (a compressed file, standard input) is unpacked into a spool first.

A spool has its name only when it is whole and on disk, and is for its owner alone. A later opening uses a whole spool again: a compressed
file's where path, size and time still agree, standard input's always: what was piped in once is the run's input. What is piped in then is
looked at as far as it stands there: other rows, which nobody would ask, are refused.
"""

from __future__ import annotations

import gzip
import io
import os
import select
import sys
import zlib
from array import array
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any, cast

import orjson

from batchrun.core.errors import NO_PLACE, LedgerError, Mistake
from batchrun.edge.source.files import CHUNK, File
from batchrun.edge.source.inputs import GZIP, ZSTD, Found
from batchrun.edge.source.mistakes import STDIN, printable, reading, unusable, where
from batchrun.edge.source.progress import Progress

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_WHOLE = "must be whole: pack it or fetch it again"
_BROKEN = (EOFError, zlib.error, gzip.BadGzipFile, zstd.ZstdError)


class Unfolding:
    """How files are made ready whose lines cannot be read by position. Where it is *read_only*, no spool can be made: only used again."""

    def __init__(self, spool_dir: Path, progress: Progress, stdin: IO[bytes] | None, *, read_only: bool) -> None:
        self._spool_dir = spool_dir
        self._progress = progress
        self._stdin = stdin
        self._read_only = read_only
        self.notes: list[str] = []
        """For a person: what was taken from where."""

    def file(self, found: Found, number: int) -> File:
        """Make sure that the file's lines can be read by position, unpacking it first where they cannot."""
        with reading(found.shown):
            if found.shown == STDIN:
                return self._of_stdin(found, self._spool_dir / "stdin.jsonl")
            path = Path(found.shown).absolute()
            if found.head.startswith(GZIP + ZSTD):
                path = self._of_packed(found, path, self._spool_dir / f"{number:03}.jsonl")
            return File(found.shown, found.workspace, path, found.size, found.mtime_ns)

    def _of_stdin(self, found: Found, spool: Path) -> File:
        # An empty spool is no input to hold on to: most likely the pipe was forgotten.
        if spool.is_file() and spool.stat().st_size:
            if _are_others(_there_by_now(self._stdin), spool):
                wanted = "must be the same rows again, or nothing (< /dev/null), to go on with the run; others need an output of their own"
                raise unusable([Mistake(where(STDIN), "other rows than those that this run was begun with", wanted)])
            self.notes.append(f"standard input was taken when the run was first opened, and is not read again: {spool}")
        elif self._stdin is None and os.isatty(0):
            raise unusable([Mistake(where(STDIN), "a terminal", "must be a pipe or a redirected file")])
        else:
            with ExitStack() as stack:
                stream = self._stdin or stack.enter_context(open(0, "rb", closefd=False))
                self._spool(spool, _unpacked(_Watched(stream, self._progress, endless=True), STDIN), STDIN)
        status = spool.stat()
        self._progress.expect(status.st_size)
        return File(STDIN, found.workspace, spool, status.st_size, status.st_mtime_ns)

    def _of_packed(self, found: Found, path: Path, spool: Path) -> Path:
        sidecar = spool.with_suffix(".json")
        if _is_spool_of(found, path, spool, sidecar):
            self._progress.add(found.size)
        else:
            with path.open("rb") as packed_file:
                self._spool(spool, _unpacked(_Watched(packed_file, self._progress), found.shown), found.shown)
            # Last: where it stands, the spool beside it is whole.
            self._spool(sidecar, [_sidecar(found, path, spool)], found.shown)
        self._progress.expect(spool.stat().st_size)
        return spool

    def _spool(self, target: Path, pieces: Iterable[bytes], shown: str) -> None:
        if self._read_only:
            found = "an input that has to be unpacked, and no folder for that can be written"
            raise unusable([Mistake(where(shown), found, "needs room for its unpacked size: name a folder in TMPDIR")])
        try:
            write_whole(target, pieces)
        except OSError as error:
            if error.errno not in NO_PLACE:
                needs = "it needs room for its unpacked size. Make some, and run the same command again"
                raise LedgerError(f"{target.parent}: {where(shown)} cannot be unpacked there: {error.strerror}; {needs}") from None
            found = f"an input that cannot be unpacked into {target.parent} ({error.strerror})"
            raise unusable([Mistake(where(shown), found, "needs room there for its unpacked size, and the right to write")]) from error


def _there_by_now(stdin: IO[bytes] | None) -> bytes:
    """What standard input begins with; nothing where that is a terminal, or a pipe into which nothing came yet: nobody waits for it."""
    if stdin is not None:
        return stdin.read(CHUNK)
    with suppress(OSError):
        if not os.isatty(0) and select.select([0], [], [], 0)[0]:
            return os.read(0, CHUNK)
    return b""


def _are_others(begun: bytes, spool: Path) -> bool:
    """Whether rows that begin so are none of the *spool*'s; of compressed ones that is not known."""
    if begun.startswith(GZIP + ZSTD):
        return False
    with spool.open("rb") as file:
        return file.read(len(begun)) != begun


def _is_spool_of(found: Found, path: Path, spool: Path, sidecar: Path) -> bool:
    return spool.is_file() and sidecar.is_file() and sidecar.read_bytes() == _sidecar(found, path, spool)


def _sidecar(found: Found, path: Path, spool: Path) -> bytes:
    unpacked_bytes = spool.stat().st_size
    return orjson.dumps({"path": printable(str(path)), "size": found.size, "mtime_ns": found.mtime_ns, "unpacked_bytes": unpacked_bytes})


class _Watched(io.RawIOBase):
    """A stream whose first bytes have been looked at, and whose reading is progress."""

    def __init__(self, stream: IO[bytes], progress: Progress, *, endless: bool = False) -> None:
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
        raise unusable([_what_is_wrong(error, shown)]) from error


def _what_is_wrong(error: Exception, shown: str) -> Mistake:
    if isinstance(error, zstd.ZstdError) and "too much memory" in str(error):
        way = "must have a smaller one, which unpacking it takes as memory: zstd -d --long=31 unpacks it"
        return Mistake(where(shown), "a zstd file with a window of more than 128 MiB", way)
    return Mistake(where(shown), "a compressed file that is damaged or cut short", _WHOLE)


def _unpacking(stream: _Watched) -> IO[bytes]:
    buffered = io.BufferedReader(stream, CHUNK)
    if stream.head.startswith(GZIP):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=buffered, mode="rb"))
    if stream.head.startswith(ZSTD):
        return cast("IO[bytes]", zstd.ZstdFile(buffered))
    return buffered


def write_whole(target: Path, pieces: Iterable[bytes | array[int]]) -> None:
    """Write *pieces* to a file for the owner alone, which has its name only when it is whole and on disk; raises OSError."""
    beside = target.with_name(f".{target.name}.new")
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # What vouched for an older file must not vouch for this one.
        target.with_suffix(".json").unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(beside, flags, 0o600), "wb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        beside.rename(target)
        _sync_directory(target.parent)
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
