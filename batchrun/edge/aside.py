"""What is said on the way, written beside the run: a terminal that is stopped (Ctrl-S), a pipe that nobody empties, never hold it up.

A thread does the writing. What it cannot be rid of waits up to `_MOST_WAITING` characters; more is dropped, for progress that nobody reads
is of no use later. A stream that is gone (a closed terminal, a pipe whose reader went away) swallows everything.
"""

from __future__ import annotations

import io
from collections import deque
from contextlib import suppress
from threading import Condition, Thread
from types import TracebackType
from typing import TextIO, cast

_MOST_WAITING = 1 << 18
_LAST_WORDS = 1.0
"""Seconds that the end waits for what is left to be written."""


class Aside(io.TextIOBase):
    """A text stream that never blocks and never fails. Use it as a context manager: leaving it gives its last words a second."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._waiting: deque[str] = deque()
        self._size = 0
        self._changed = Condition()
        self._over = False
        self._thread = Thread(target=self._write_on, name="notes", daemon=True)

    def __enter__(self) -> TextIO:  # type: ignore[override]  # it is one, as far as anything here asks of one
        self._thread.start()
        return cast("TextIO", self)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._changed:
            self._over = True
            self._changed.notify()
        self._thread.join(_LAST_WORDS)

    def writable(self) -> bool:
        """Whether it takes text."""
        return True

    def isatty(self) -> bool:
        """Whether the stream behind it is a terminal."""
        with suppress(OSError, ValueError):
            return self._stream.isatty()
        return False

    @property
    def encoding(self) -> str:  # type: ignore[override]  # what draws asks for it, to know whether it may use more than ASCII
        """That of the stream behind it."""
        return self._stream.encoding

    def fileno(self) -> int:
        """The descriptor of the stream behind it."""
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Take *text*; it is written as soon as the stream takes it."""
        with self._changed:
            if self._size < _MOST_WAITING:
                self._waiting.append(text)
                self._size += len(text)
                self._changed.notify()
        return len(text)

    def flush(self) -> None:
        """Nothing: what is written is on its way."""

    def _write_on(self) -> None:
        with suppress(OSError, ValueError):
            while text := self._next():
                self._stream.write(text)
                self._stream.flush()

    def _next(self) -> str:
        """All that waits, once there is any; nothing at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._over)
            text = "".join(self._waiting)
            self._waiting.clear()
            self._size = 0
            return text
