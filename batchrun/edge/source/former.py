"""The input of the last opening, by the index that was kept of it: held open, for the pass of this one puts its own in that place."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import orjson

from batchrun.core.model import Row
from batchrun.core.rows.index import Index
from batchrun.core.rows.since import Moved, Since, moved, retagged, since
from batchrun.edge.source.kept import FORMAT, read_arrays
from batchrun.edge.source.source import Source

_TORN = OSError, EOFError, KeyError, TypeError, ValueError, AttributeError
"""What comes of an index that is not whole, or was kept by another version."""


class Former:
    """What is left of an earlier input: which rows it had, and what each of them said, by digests."""

    def __init__(self, told: Mapping[str, Any] | None = None, arrays: IO[bytes] | None = None) -> None:
        self._told = told or {}
        self._arrays = arrays

    def since(self, fingerprints: object, source: Source) -> Since | None:
        """Say what became of its rows in *source*; None where it is not, whole, the input that had these *fingerprints*."""
        with suppress(*_TORN):
            if (index := self._index(fingerprints)) is not None:
                salts = self._told["salts"]
                return since(index, source.index, {name for name, salt in source.salts.items() if salts.get(name) == salt})
        return None

    def moved(self, fingerprints: object, source: Source) -> tuple[Moved, ...]:
        """Say which lines are another workspace's rows in *source*, of files that are what they were; of any other input nothing."""
        with suppress(*_TORN):
            if (index := self._index(fingerprints)) is not None:
                return moved(index, source.index, _same_files(_listed(fingerprints), source.fingerprints))
        return ()

    def retagged(self, fingerprints: object, source: Source) -> tuple[Moved, ...]:
        """Say which rows name another workspace in *source* than they did, as far as some of those that came tell."""
        with suppress(*_TORN):
            if (index := self._index(fingerprints)) is not None:
                return retagged(index, source.index, lambda ordinal: row.id if isinstance(row := source.read(ordinal), Row) else None)
        return ()

    def _index(self, fingerprints: object) -> Index | None:
        if self._arrays is None or [of["blake2b"] for of in self._told["files"]] != [of["blake2b"] for of in _listed(fingerprints)]:
            return None
        self._arrays.seek(0)
        _, arrays = read_arrays(self._arrays, self._told)
        return Index.of_parts(self._told["index"], arrays)


@contextmanager
def former(directory: Path) -> Iterator[Former]:
    """Hold on to the index that is kept in *directory*, if there is one. It is read when it is asked about."""
    with ExitStack() as stack:
        yield _held(directory, stack)


def _held(directory: Path, stack: ExitStack) -> Former:
    try:
        arrays = stack.enter_context((directory / "index.bin").open("rb"))
        told = orjson.loads((directory / "index.json").read_bytes())
        known = (told["format"], told["byteorder"]) == (FORMAT, sys.byteorder)
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
        return Former()
    return Former(told, arrays) if known else Former()


def _same_files(before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> dict[int, int]:
    """The number of each file that is what it was, and the one that it has now."""
    there = {(of["path"], of["blake2b"]): number for number, of in enumerate(now)}
    return {number: there[file] for number, of in enumerate(before) if (file := (of["path"], of["blake2b"])) in there}


def _listed(fingerprints: object) -> list[Any]:
    return fingerprints if isinstance(fingerprints, list) else []
