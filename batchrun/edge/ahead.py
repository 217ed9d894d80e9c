"""Output files read ahead by a second process, so that a large ledger is opened on two cores.

The other process reads whole lines and takes out of each what a resume needs, or leaves it as it is (`given`). It writes them to a file
without a name, in parts, and tells through a pipe how far that goes. Whoever resumes takes them in the order of the files: it decides, and
what it finds is the same as if it had read each line itself. Where the other process cannot be started, or ends early, whatever it has not
given is read here.

It is a process of its own, started and not forked: a program with threads must not be, and one that has no guard around its beginning is
not begun again. It gets no part of the environment that could hold a key, writes to no other file, ends with the block at the latest, and
does not outlive its parent by more than one part: the pipe is broken then. It is in a session of its own, so that Ctrl-C ends it by way of
its parent alone.
"""

from __future__ import annotations

import json
import marshal
import math
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from select import select
from struct import Struct
from tempfile import TemporaryFile
from typing import Any, Self

from batchrun.core.ledger.apart import Apart, Result
from batchrun.core.ledger.entry import Entry, NotAnEntryError
from batchrun.core.ledger.entry_reading import read_entry
from batchrun.core.ledger.given import Given, Packed, Part, given, given_of_read, parts

FROM_BYTES = 32 << 20
"""Of output files, some 50,000 lines: fewer are read here before another process has begun."""
_PART_BYTES = 1 << 18
_PATIENCE = 20.0
"""Seconds without a part, after which one is not waited for: the other process was stopped, or hangs."""
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH")
_BEGIN = """
import gc, json, sys
gc.disable()
told = json.loads(sys.stdin.readline())
sys.path[:] = told["path"]
from batchrun.edge.ahead import read_ahead
read_ahead(told)
"""
_FOLDED = ""
"""Names no file, but what all entries came to."""
_end = Struct("<Q")
_Read = tuple[str, int, Packed]
"""Of which file, to which byte, and what is given of its lines so far."""


class Ahead:
    """Files of a run directory, by their names, each read from a byte on; leave its block before anything is appended to them."""

    def __init__(
        self, directory: Path, since: Mapping[str, int], asks: Mapping[str, Any] | None = None, until: Mapping[str, int] | None = None
    ) -> None:
        """Where somebody *asks*, all entries are folded, too. No line is read that begins behind *until*."""
        self._directory = directory
        self._reached = {**since}
        self._told = {"folds": asks, "until": until}
        self._process: subprocess.Popen[bytes] | None = None
        self.is_heard = False
        """Whether the other process may tell of more."""
        self._stack = ExitStack()
        self._taken = 0
        self._part: _Read | None = None
        """That was read and not taken yet."""

    @classmethod
    def of(cls, directory: Path, since: Mapping[str, int], size: int, **told: Any) -> Self | None:
        """Read *size* bytes ahead in all; None where that is not worth it."""
        return cls(directory, since, **told) if size >= FROM_BYTES and _cores() > 1 and sys.executable else None

    def __enter__(self) -> Self:
        with suppress(OSError, ValueError):
            self._start()
        return self

    def __exit__(self, *_raised: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._stack.close()

    def parts(self, name: str, rest: Callable[[int], Iterable[bytes]]) -> Iterator[Part]:
        """Give the lines of the next file; *rest* reads from a byte on what is to be looked at, and what was not read ahead."""
        yield from self.ahead(name, rest)
        yield from parts(_workspace(name), rest(self._reached.get(name, 0)))

    def ahead(self, name: str, again: Callable[[int], Iterable[bytes]]) -> Iterator[Part]:
        """Give those lines of the next file that were read ahead; *again* reads them from a byte on."""
        while (part := self._next()) is not None and part[0] == name:
            found = Given.of(part[2])
            yield Part(found, _Again(partial(again, self._reached[name]), len(found)).line)
            self._part, self._reached[name] = None, part[1]

    def reached(self, name: str) -> int:
        """To which byte a file was read ahead, or where it was begun."""
        return self._reached[name]

    @property
    def names(self) -> Collection[str]:
        """The files that are read."""
        return self._reached.keys()

    def folded(self) -> Result | None:
        """What all entries came to, once every part was taken; None where that is not to be had."""
        part = self._next()
        if part is None or part[0] != _FOLDED:
            return None
        with suppress(ValueError, EOFError, TypeError, AttributeError, ImportError, LookupError, pickle.UnpicklingError):
            result: Result = pickle.loads(part[2][1][0])  # noqa: S301 - from a process of our own, as its parts
            return result
        return None

    def _start(self) -> None:
        self._file = self._stack.enter_context(TemporaryFile(dir=self._directory, buffering=0))  # noqa: SIM115 - the stack closes it
        mine, its = os.pipe()
        self._notes = self._stack.enter_context(os.fdopen(mine, "rb", buffering=0))
        with os.fdopen(its, "wb") as notes:
            told = {
                "path": [str(Path(each).absolute()) for each in sys.path],
                "notes": notes.fileno(),
                "files": self._reached,
                "together": _PART_BYTES,
                **self._told,
            }
            self._process = subprocess.Popen(  # noqa: S603 - this very program
                [sys.executable, "-I", "-c", _BEGIN],
                stdin=subprocess.PIPE,
                stdout=self._file,
                stderr=subprocess.DEVNULL,
                pass_fds=[notes.fileno()],
                cwd=self._directory,
                env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
                start_new_session=True,
            )
        assert self._process.stdin is not None
        with self._process.stdin as stdin:
            stdin.write(json.dumps(told).encode() + b"\n")
        self.is_heard = True

    def _next(self) -> _Read | None:
        if self._part is None and self.is_heard:
            with suppress(OSError, ValueError, EOFError, TypeError):  # What cannot be had is read here.
                self._part = self._read()
            # What would come after it does not follow what was had, and whoever was waited for once is not waited for again.
            self.is_heard = self._part is not None
        return self._part

    def _read(self) -> _Read | None:
        note = self._notes.read(_end.size) if select([self._notes], [], [], _PATIENCE)[0] else b""
        if len(note) < _end.size:
            return None
        (end,) = _end.unpack(note)
        written = os.pread(self._file.fileno(), end - self._taken, self._taken)
        if len(written) != end - self._taken:
            return None
        self._taken = end
        part: _Read = marshal.loads(written)  # noqa: S302 - from a process of our own, through a file that nobody else can open
        return part


class _Again:
    """Lines that were read by the other process, and are read here where one of them is to be looked at."""

    def __init__(self, read: Callable[[], Iterable[bytes]], count: int) -> None:
        self._read = read
        self._count = count
        self._lines: list[bytes] | None = None

    def line(self, place: int) -> bytes:
        """Give a line; none of it, which is damage, where the file has been cut meanwhile."""
        if self._lines is None:
            self._lines = [*islice(self._read(), self._count)]
        return self._lines[place] if place < len(self._lines) else b""


def read_ahead(told: Mapping[str, Any]) -> None:
    """What the other process does: standard output is the file, and `notes` the descriptor of the pipe."""
    apart = None if told["folds"] is None else Apart(told["folds"])
    with os.fdopen(told["notes"], "wb", buffering=0) as notes:
        end = 0
        for written in _all_parts(told, apart):
            sys.stdout.buffer.write(written)
            sys.stdout.buffer.flush()
            end += len(written)
            notes.write(_end.pack(end))


def _all_parts(told: Mapping[str, Any], apart: Apart | None) -> Iterator[bytes]:
    for name, start in told["files"].items():
        until = math.inf if told["until"] is None else told["until"].get(name, 0)
        for end, lines in _lines(name, start, until, told["together"]):
            workspace = _workspace(name)
            if apart is None:
                found = given(workspace, lines)
            else:
                apart.told(entries := _entries(workspace, lines))
                found = given_of_read(workspace, entries)
            yield marshal.dumps((name, end, found.packed()))
    if apart is not None:
        yield marshal.dumps((_FOLDED, 0, ([], [pickle.dumps(apart.result())])))


def _lines(name: str, start: int, until: float, together: int) -> Iterator[tuple[int, Sequence[bytes]]]:
    """Some lines at a time, each with the byte it ends at: those that begin before *until*."""
    with suppress(FileNotFoundError), Path(name).open("rb", buffering=1 << 18) as file:
        file.seek(start)
        while start < until and (lines := _whole(file.readlines(together))):
            end = start + sum(map(len, lines))
            while end - len(lines[-1]) >= until:
                end -= len(lines.pop())
            yield (start := end), lines


def _entries(workspace: str, lines: Sequence[bytes]) -> list[Entry]:
    """Read them; one that is none ends the process: whoever asked reads all of them, and says which it is."""
    found = [*map(read_entry, lines)]
    if any(entry.workspace != workspace for entry in found):
        raise NotAnEntryError
    return found


def _workspace(name: str) -> str:
    return name.partition("/")[0]


def _whole(lines: list[bytes]) -> list[bytes]:
    """Without one that has no end, which is for whoever repairs it."""
    return lines if not lines or lines[-1].endswith(b"\n") else lines[:-1]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
