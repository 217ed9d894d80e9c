"""What a person named to have something written to it, whatever stands there: a file, a link to one, a pipe, a terminal; ``-``."""

from __future__ import annotations

import io
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from batchrun.core.errors import LedgerError


def takes_what_comes(path: Path) -> bool:
    """Whether at *path* is no file but what takes all that is written to it, as ``/dev/stdout`` does: nothing may be put in its place."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


STANDARD_OUTPUT = "-"


@contextmanager
def into_standard_output(_path: Path) -> Iterator[IO[bytes]]:
    """Give standard output to be written to; it stays open. An OSError of it passes, as of whatever is printed."""
    sys.stdout.flush()
    yield cast("IO[bytes]", _StaysOpen())
    sys.stdout.buffer.flush()


class _StaysOpen(io.RawIOBase):
    """The way to standard output that all else takes, which whoever has written may close."""

    def writable(self) -> bool:
        return True

    def write(self, said: Any, /) -> int:
        return sys.stdout.buffer.write(said)


@contextmanager
def straight_into(path: Path) -> Iterator[IO[bytes]]:
    """Give what stands at *path* itself to be written to; raises LedgerError where it takes no more."""
    try:
        with path.open("wb") as file:
            yield file
    except OSError as error:
        raise LedgerError(f"{path}: cannot be written: {error.strerror}; the rows are safe, this can be told again") from None
