"""rejected-input.jsonl: lines that were no row, made anew at each opening and put in place when the pass is done."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import orjson

from batchrun.core.errors import LedgerError


@contextmanager
def collecting(path: Path) -> Iterator[Callable[[Any], None]]:
    """Give a function that takes one line set aside (a dataclass); raises LedgerError where the file cannot be written.

    A pass that ends in an error leaves the file of an earlier one as it was.
    """
    beside = path.with_name(f".{path.name}.new")
    with _writing(path):
        file = _opened(beside)
    try:

        def collect(line: Any) -> None:
            with _writing(path):
                file.write(orjson.dumps(asdict(line), option=orjson.OPT_APPEND_NEWLINE))

        yield collect
        with _writing(path):
            _put_in_place(file, beside, path)
    finally:
        with _writing(path):
            beside.unlink(missing_ok=True)
            file.close()


def _opened(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600), "wb")


def _put_in_place(file: IO[bytes], beside: Path, path: Path) -> None:
    file.flush()
    os.fsync(file.fileno())
    if file.tell():
        beside.replace(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LedgerError(f"{path}: cannot be written: {error.strerror}") from None
