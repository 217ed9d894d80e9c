"""What earlier openings left in the run directory: tails repaired, entries and attempts read back in one pass.

An unterminated last line that is a whole JSON object is a paid answer (no JSON object is a strict prefix of another): it keeps its
place and gets its newline. Any other unterminated tail goes to a side file. A line that does not parse anywhere else is damage, not a
torn tail: it is named and nothing is cut.
"""

from __future__ import annotations

import math
import os
import sys
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from io import BytesIO
from itertools import chain
from pathlib import Path
from shlex import quote
from typing import Any

import orjson

from batchrun.core.classes import value
from batchrun.core.errors import LedgerError, RunDamagedError, said_by
from batchrun.core.ledger.attempts import Line, ReadIn, read_attempt
from batchrun.core.ledger.entry import Entry, NotAnEntryError
from batchrun.core.ledger.entry_reading import read_entry
from batchrun.core.ledger.folders import written_in
from batchrun.core.ledger.given import Given, Part, look_at

TAIL_CHUNK_BYTES = 1 << 16
_BLOCK_BYTES = 1 << 18
_AGAIN = "mend that and run the same command again"


def torn_tail(path: Path) -> int:
    """Bytes of an unterminated last line of *path*."""
    try:
        with path.open("rb", buffering=0) as file:
            return len(_unterminated(file.fileno()))
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise LedgerError(f"{path}: cannot be read: {said_by(error)}") from None


def repair_tail(path: Path, *, keep_zeros: bool = False) -> str | None:
    """Mend an unterminated last line of *path*; say what was done, or None where nothing was. The caller holds the run's lock.

    Zeros are lines that a disk took and lost: with *keep_zeros* they stay, a line that cannot be read and is counted as such.
    """
    try:
        with path.open("r+b", buffering=0) as file:
            tail = _unterminated(file.fileno())
            if not tail:
                return None
            size = file.seek(0, os.SEEK_END)
            if _is_object(tail):
                file.write(b"\n")
                done = f"{path}: the last line had lost only its newline: kept"
            elif b"\0" in tail and keep_zeros:
                file.write(b"\n")
                done = f"{path}: its end was lost on the disk: calls and doubt may be higher by what stood in {len(tail):,} bytes"
            else:
                side = path.with_name(f"{path.name}.torn")
                _keep(side, tail + b"\n")
                file.truncate(size - len(tail))
                done = f"{path}: a torn last line of {len(tail)} bytes was moved to {side.name}"
            os.fsync(file.fileno())
            return done
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LedgerError(f"{path}: cannot be opened, or its end not mended: {said_by(error)}; nothing is lost: {_AGAIN}") from None


def entries(
    path: Path, workspace: str, wrong: Callable[[Entry], str | None] = lambda _entry: None, start: int = 0, lines_before: int = 0,
    read: Callable[[Any], Entry] = read_entry, end: int | None = None, lines: Iterable[Any] | None = None,
) -> Iterator[Entry]:  # fmt: skip
    """Read the entries of one output file, an unterminated tail left out; raise RunDamagedError naming the line that is none.

    They are read from the byte *start* on, where a line begins, to *end*, each by *read*; or from *lines*, which are theirs, so many lines
    behind *start*. *wrong* says what contradicts an entry, before it is given: that is damage too.
    """
    for number, line in enumerate(lines_of(path, start, end) if lines is None else lines, lines_before + 1):
        try:
            entry = read(line)
        except NotAnEntryError as error:
            raise _damaged(path, start, number, str(error)) from None
        if entry.workspace != workspace:
            another = _damaged(path, start, number, "is an entry of another workspace", entry.workspace)
            raise written_otherwise(path.parent, entry.workspace) or another
        if (what := wrong(entry)) is not None:
            raise _damaged(path, start, number, what)
        yield entry


def written_otherwise(folder: Path, workspace: str) -> RunDamagedError | None:
    """Say that *folder* is that of *workspace*, under a name that another system wrote; None where it is another's."""
    if (how := written_in(os.fsencode(folder.name), workspace)) is None:
        return None
    way_out = f"Give it the name {workspace!r}, or run batchrun under the LC_ALL that it was made with"
    return RunDamagedError(
        f"{folder}: is the folder of the workspace {workspace}, and its name is in {how}: names are in {sys.getfilesystemencoding()} "
        f"here. Nothing was changed. {way_out}"
    )


def take_in(
    path: Path, workspace: str, parts: Iterable[Part],
    glanced: Callable[[str, Given], Iterator[int]], taken: Callable[[Entry], str | None], start: int = 0,
) -> None:  # fmt: skip
    """Have the *parts* of one output file, which begin at the byte *start*, taken in; raise RunDamagedError as `entries` does.

    *glanced* takes in what it can, and gives the places of the other lines; *taken* takes an entry in, or says what contradicts it.
    """
    lines_before = 0
    for given, line in parts:
        for place in glanced(workspace, given):
            one = entries(path, workspace, taken, start, lines_before + place, look_at, lines=(line(place),))
            deque(one, maxlen=0)
        lines_before += len(given)


@value
class Attempts:
    """The lines of an attempts.log, read anew each time they are iterated over; None for each that cannot be read, `ReadIn` at the end."""

    path: Path
    start: int = 0
    """The byte, where a line begins, from which they are read."""
    end: int | None = None
    """Where another begins, to which they are read."""

    def __iter__(self) -> Iterator[Line]:
        yield from map(read_attempt, lines_of(self.path, self.start, self.end))
        yield from self.after_blocks()

    def blocks(self) -> Iterator[bytes]:
        """The same lines as they stand, many at a time."""
        yield from _whole_lines(self.path, self.start, self.end)

    def after_blocks(self) -> Iterator[Line]:
        """What follows the last of them."""
        yield ReadIn(boot_id())


def alike(one: Path, other: Path) -> int:
    """To which byte *one* is what *other* is: all of it, or to the first line that differs; 0 where either is not there."""
    at = begun = 0
    try:
        with one.open("rb", buffering=0) as mine, other.open("rb", buffering=0) as its:
            while block := mine.read(_BLOCK_BYTES):
                same = _alike(block, its.read(_BLOCK_BYTES))
                if newline := block.rfind(b"\n", 0, same) + 1:
                    begun = at + newline
                if same < len(block):
                    return begun
                at += same
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise LedgerError(f"{one} and {other}: cannot be read: {error.strerror}") from None
    return at


def _alike(one: bytes, other: bytes) -> int:
    if one == other:
        return len(one)
    return next((place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def boot_id() -> str:
    """Which start of which machine this is; another one each time it is asked where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return uuid.uuid4().hex


def lines_of(path: Path, start: int = 0, end: int | None = None) -> Iterator[bytes]:
    """The lines from the byte *start* on, to *end*; a last one that has no end, only where it lacks nothing else."""
    return chain.from_iterable(map(BytesIO, _whole_lines(path, start, end)))


def _whole_lines(path: Path, start: int, end: int | None) -> Iterator[bytes]:
    """The same, many lines at a time and as they stand."""
    try:
        with path.open("rb", buffering=_BLOCK_BYTES) as file:
            left = (math.inf if end is None else end) - file.seek(start)
            while left > 0 and (block := file.read(int(min(left, _BLOCK_BYTES)))):
                if not block.endswith(b"\n"):
                    block += file.readline()
                if not block.endswith(b"\n"):
                    # Of a line that is being written more may come, which is none of its own.
                    whole = block.rfind(b"\n") + 1
                    yield block if _is_object(block[whole:]) else block[:whole]
                    return
                yield block
                left -= len(block)
    except FileNotFoundError:
        return
    except OSError as error:
        raise LedgerError(f"{path}: cannot be read: {said_by(error)}") from None


def _lines_to(path: Path, end: int) -> int:
    """How many lines stand before a byte, at which one begins; counted where one is to be named alone."""
    with suppress(OSError), path.open("rb", buffering=0) as file:
        return sum(file.read(min(_BLOCK_BYTES, end - begin)).count(b"\n") for begin in range(0, end, _BLOCK_BYTES))
    return 0


def _damaged(path: Path, start: int, number: int, what: str, whose: str = "") -> RunDamagedError:
    """The error that tells of a line; *whose* it is, where it is another workspace's: its folder may have been given another name."""
    number += _lines_to(path, start)
    run = path.parent.parent
    way_out = f"batchrun check {quote(str(run))} lists all damage, and moves it aside with --repair"
    if not any((run / name).exists() for name in ("run.json", "attempts.log")):
        way_out = f"There is neither run.json nor attempts.log in {run}: give the job another output, if that is no run directory"
    elif whose and not (run / whose).exists():
        anew = f"where its rows are to be asked, and paid for, anew, move it out of {run}"
        way_out = f"{whose!r} has no other folder here: give this one that name back; {anew}"
    return RunDamagedError(f"{path}: line {number}: {what}. Nothing was changed. {way_out}")


def _unterminated(descriptor: int) -> bytes:
    end = os.fstat(descriptor).st_size
    tail = b""
    while end > 0:
        start = max(0, end - TAIL_CHUNK_BYTES)
        chunk = os.pread(descriptor, end - start, start)
        newline = chunk.rfind(b"\n")
        tail = chunk[newline + 1 :] + tail
        if newline >= 0:
            break
        end = start
    return tail


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return False


def _keep(side: Path, tail: bytes) -> None:
    descriptor = os.open(side, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    # A file object writes all or raises: a bare write to a disk that fills up takes a part and says so by its count alone.
    with os.fdopen(descriptor, "ab") as file:
        file.write(tail)
        file.flush()
        os.fsync(descriptor)
    names = os.open(side.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(names)
    finally:
        os.close(names)
