"""Somebody whom rights hold back, for root they do not."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NOBODY = 65534


@contextmanager
def open_to_all() -> Iterator[Path]:
    """Give a folder of its own that is, as pytest's are not."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o777)
    yield made
    for path in made.iterdir():
        if not path.is_symlink():
            path.chmod(0o700)
    shutil.rmtree(made)


@contextmanager
def somebody_who_is_not_root() -> Iterator[None]:
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
