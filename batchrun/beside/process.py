"""A second process, and how it hands over what it makes: parts, in their order.

It writes them to a file without a name, and tells through a pipe how far that goes: it never waits for whoever takes them. Where it cannot
be started, ends early or is not heard, there are no more parts, and whoever wanted them does that work itself.

It is a process of its own, started and not forked: a program with threads must not be, and one that has no guard around its beginning is
not begun again. It gets no part of the environment that could hold a key, writes to no other file, ends with the block at the latest, and
does not outlive its parent by more than one part: the pipe is broken then. It is in a session of its own, so that Ctrl-C ends it by way of
its parent alone.
"""

from __future__ import annotations

import json
import marshal
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from importlib import import_module
from pathlib import Path
from select import POLLIN, poll
from struct import Struct
from tempfile import TemporaryFile
from typing import Any, Self

from batchrun.beside.cores import cores

FROM_BYTES = 32 << 20
"""Of JSON lines, some 50,000: fewer are read here before another process has begun."""
_PATIENCE = 20.0
"""Seconds without a part, after which one is not waited for: the other process was stopped, or hangs."""
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH")
_BEGIN = """
import gc, json, sys
gc.disable()
told = json.loads(sys.stdin.readline())
sys.path[:] = told["path"]
from batchrun.beside.process import hand_over
hand_over(told)
"""
_end = Struct("<Q")


def is_worth_it(size: int) -> bool:
    """Whether *size* bytes are better read by a second process."""
    return size >= FROM_BYTES and cores() > 1 and _is_an_interpreter(sys.executable or "")


def _is_an_interpreter(program: str) -> bool:
    """Whether *program* can be told to carry out a line of Python: one that is frozen, or that Python is built into, would begin itself."""
    return not getattr(sys, "frozen", False) and "py" in Path(program).name.lower()


class Beside:
    """Another process that carries out some *work*, a ``module:function`` that makes bytes of what it is *told*, as JSON has it."""

    def __init__(self, directory: Path, work: str, told: Mapping[str, Any]) -> None:
        """*directory*, where it works, has room for the file."""
        self._directory = directory
        self._told: dict[str, Any] = {"work": work, "told": told}
        self._process: subprocess.Popen[bytes] | None = None
        self.is_heard = False
        """Whether it may tell of more."""
        self._stack = ExitStack()
        self._taken = 0
        self._part: Any = None
        """That was read and not taken yet."""

    def __enter__(self) -> Self:
        with suppress(OSError, ValueError):
            self._start()
        return self

    def __exit__(self, *_raised: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._stack.close()

    def next(self) -> Any:
        """What `marshal` makes of the next part; None where no more is to be had. It is given again until it is `taken`."""
        if self._part is None and self.is_heard:
            with suppress(OSError, ValueError, EOFError, TypeError):  # What cannot be had is done here.
                self._part = self._read()
            # What would come after it does not follow what was had, and whoever was waited for once is not waited for again.
            self.is_heard = self._part is not None
        return self._part

    def taken(self) -> None:
        """Go on to the part that follows."""
        self._part = None

    def _start(self) -> None:
        self._file = self._stack.enter_context(TemporaryFile(dir=self._directory, buffering=0))  # noqa: SIM115 - the stack closes it
        mine, its = os.pipe()
        self._notes = self._stack.enter_context(os.fdopen(mine, "rb", buffering=0))
        # A file, not a pipe: whoever begins another process does not wait until that one reads what it is told.
        with os.fdopen(its, "wb") as notes, TemporaryFile(dir=self._directory) as asked:
            told = {"path": [str(Path(each).absolute()) for each in sys.path], "notes": notes.fileno(), **self._told}
            asked.write(json.dumps(told).encode() + b"\n")
            asked.seek(0)
            self._process = subprocess.Popen(  # noqa: S603 - this very program
                [sys.executable, "-I", "-c", _BEGIN],
                stdin=asked,
                stdout=self._file,
                stderr=subprocess.DEVNULL,
                pass_fds=[notes.fileno()],
                cwd=self._directory,
                env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
                start_new_session=True,
            )
        self.is_heard = True

    def _read(self) -> Any:
        note = self._notes.read(_end.size) if _comes(self._notes.fileno(), _PATIENCE) else b""
        if len(note) < _end.size:
            return None
        (end,) = _end.unpack(note)
        written = os.pread(self._file.fileno(), end - self._taken, self._taken)
        if len(written) != end - self._taken:
            return None
        self._taken = end
        return marshal.loads(written)  # noqa: S302 - from a process of our own, through a file that nobody else can open


def _comes(descriptor: int, seconds: float) -> bool:
    """Wait until there is something to read; not by `select`, which knows no descriptor beyond a thousand, as a large run's calls have."""
    waiting = poll()
    waiting.register(descriptor, POLLIN)
    return bool(waiting.poll(1000 * seconds))


def hand_over(told: Mapping[str, Any]) -> None:
    """What the other process does: standard output is the file, and `notes` the descriptor of the pipe."""
    module, _, name = told["work"].partition(":")
    with os.fdopen(told["notes"], "wb", buffering=0) as notes:
        end = 0
        for written in getattr(import_module(module), name)(told["told"]):
            sys.stdout.buffer.write(written)
            sys.stdout.buffer.flush()
            end += len(written)
            notes.write(_end.pack(end))
