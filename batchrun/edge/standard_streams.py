"""The three standard streams, as a process needs them, however it was begun.

It may be begun without them (``>&-``, some daemons). Where one is closed, the next file that is opened takes its descriptor, and whatever
is said to a person, by Python or by the kernel's own libraries, would go into that file.

And whoever shares a stream with it may have had that made never to be waited for (``O_NONBLOCK``: ssh, event loops). Then what is said is
refused whenever the reader is slower, which Python takes for a failure, half of it said.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
from select import select
from typing import IO, Any, TextIO, cast


def open_what_is_closed() -> None:
    """Have a closed stream lead nowhere: what is said there is lost, and the run is not. Call it before any file is opened."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # It takes the lowest descriptor that is free, which is this one.
            os.set_inheritable(descriptor, True)
    sys.stdin = sys.stdin or _opened(0, "r")
    sys.stdout = sys.stdout or _opened(1, "w")
    sys.stderr = sys.stderr or _opened(2, "w")


def wait_for_a_slow_reader() -> None:
    """Have what is said wait for its reader, where the stream itself would refuse it. That stays as it is: it is others', too."""
    sys.stdout = _patient(sys.stdout)
    sys.stderr = _patient(sys.stderr)


class _Patient(io.RawIOBase):
    """Writes to a descriptor, all of it, and waits where that takes no more at the moment.

    No buffer stands before it: whoever waits here would hold its lock, which the end of the process wants.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, said: Any, /) -> int:
        left = memoryview(said)
        while left:
            try:
                left = left[os.write(self._descriptor, left) :]
            except BlockingIOError:
                select([], [self._descriptor], [])
        return len(said)


def _patient(stream: TextIO) -> TextIO:
    try:
        if not isinstance(stream, io.TextIOWrapper) or os.get_blocking(stream.fileno()):
            return stream
    except io.UnsupportedOperation:  # It leads to no descriptor.
        return stream
    said = cast("IO[bytes]", _Patient(stream.fileno()))
    return io.TextIOWrapper(said, stream.encoding, stream.errors, line_buffering=stream.line_buffering, write_through=stream.write_through)


def lead_nowhere(descriptor: int) -> None:
    """Lose what a stream that failed still holds: it would be written again, and fail again, when Python ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def say_what_can_be_said() -> None:
    """Have a letter that standard output's encoding lacks (Latin-1, GBK) stand there as a question mark, rather than end what is told."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        knows_all = codecs.lookup(sys.stdout.encoding).name.startswith("utf")
        sys.stdout.reconfigure(errors="backslashreplace" if knows_all else "replace")


def _opened(descriptor: int, mode: str) -> TextIO:
    return cast("TextIO", os.fdopen(descriptor, mode, encoding="utf-8", errors="backslashreplace", closefd=False))
