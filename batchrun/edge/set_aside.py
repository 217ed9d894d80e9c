"""rejected-input.jsonl: lines that were no row, made anew at each opening and put in place when the pass is done."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from batchrun.core.errors import LedgerError


@contextmanager
def collecting(path: Path) -> Iterator[Callable[[Any], None]]:
    """Give a function that takes one line set aside (a dataclass); raises LedgerError where the file cannot be written."""
    beside = path.with_name(f".{path.name}.new")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            yield lambda line: _write(file, line)
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        if size:
            beside.replace(path)
        else:
            beside.unlink()
            path.unlink(missing_ok=True)
    except OSError as error:
        raise LedgerError(f"{path}: cannot be written: {error.strerror}") from None


def _write(file: Any, line: Any) -> None:
    file.write(orjson.dumps(asdict(line), option=orjson.OPT_APPEND_NEWLINE))
