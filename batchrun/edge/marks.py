"""How far a file that is only appended to has been read, and whether that part of it is still what it was."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

from batchrun.core.errors import LedgerError
from batchrun.core.ledger.marking import NONE, NOTHING, Mark

_CHUNK = 1 << 20
_MOST_SEGMENTS = 64


def marked(directory: Path, ends: Mapping[str, int], earlier: Mapping[str, Mark]) -> dict[str, Mark]:
    """Mark files of *directory* up to *ends*; of what is marked *earlier*, no byte is read again. Raises OSError."""
    return {name: _marked(directory / name, end, earlier.get(name, NOTHING)) for name, end in ends.items()}


def all_stand(directory: Path, marks: Mapping[str, Mark], known: Mapping[str, Mark] = NONE) -> bool:
    """Whether every marked part still stands as it was marked, as those that are *known* do.

    Hashing leaves the interpreter to others: files go side by side.
    """
    asked = {name: mark for name, mark in marks.items() if known.get(name) != mark}
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return all(threads.map(_stands, (directory / name for name in asked), asked.values()))


def sizes(directory: Path, names: Iterable[str]) -> dict[str, int]:
    """Give the size of each file that is there; raises LedgerError of one that may be, and would be left out of what is read."""
    found = {}
    for name in names:
        try:
            found[name] = (directory / name).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise LedgerError(f"{directory / name}: cannot be read: {error.strerror}") from None
    return found


def _marked(path: Path, end: int, earlier: Mark) -> Mark:
    # A part that is marked bit by bit is marked in one at last: the list of its segments must not grow with the run.
    if len(earlier.segments) >= _MOST_SEGMENTS:
        earlier = NOTHING
    if end == earlier.end:
        return earlier
    return Mark((*earlier.segments, (end, _digest(path, earlier.end, end))))


def _stands(path: Path, mark: Mark) -> bool:
    begin = 0
    try:
        for end, digest in mark.segments:
            if _digest(path, begin, end) != digest:
                return False
            begin = end
    except OSError:
        return False
    return True


def _digest(path: Path, begin: int, end: int) -> str:
    digest = sha256()
    with path.open("rb", buffering=0) as file:
        file.seek(begin)
        while begin < end and (chunk := file.read(min(_CHUNK, end - begin))):
            digest.update(chunk)
            begin += len(chunk)
    return digest.hexdigest() if begin == end else "cut short"
