"""The last lines of a file that another process may be writing: read without a lock, and without changing anything."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path


def latest_lines(path: Path, most_bytes: int) -> Sequence[bytes]:
    """Whole lines from the last *most_bytes* of the file; none where there is no file that can be read."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - most_bytes))
            lines = file.read(most_bytes).split(b"\n")
    except OSError:
        return ()
    # The first was cut where the reading began, the last has not met its end.
    return lines[1:-1] if size > most_bytes else lines[:-1]
