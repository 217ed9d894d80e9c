"""Output files read ahead by a second process, so that a large ledger is opened on two cores.

The other process reads whole lines and takes out of each what a resume needs, or leaves it as it is (`given`). Whoever resumes takes them
in the order of the files: it decides, and what it finds is the same as if it had read each line itself. Whatever the other process has not
given is read here.
"""

from __future__ import annotations

import marshal
import math
import pickle
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Self

from batchrun.beside.process import Beside, is_worth_it
from batchrun.core.ledger.apart import Apart, Result
from batchrun.core.ledger.entry import Entry, NotAnEntryError
from batchrun.core.ledger.entry_reading import read_entry
from batchrun.core.ledger.given import Given, Packed, Part, given, given_of_read, parts

_PART_BYTES = 1 << 18
_FOLDED = ""
"""Names no file, but what all entries came to."""
_Read = tuple[str, int, Packed]
"""Of which file, to which byte, and what is given of its lines so far."""


class Ahead(Beside):
    """Files of a run directory, by their names, each read from a byte on; leave its block before anything is appended to them."""

    def __init__(
        self, directory: Path, since: Mapping[str, int], asks: Mapping[str, Any] | None = None, until: Mapping[str, int] | None = None
    ) -> None:
        """Where somebody *asks*, all entries are folded, too. No line is read that begins behind *until*."""
        told = {"files": {**since}, "together": _PART_BYTES, "folds": asks, "until": until}
        super().__init__(directory, f"{__name__}:{read_ahead.__name__}", told)
        self._reached = {**since}

    @classmethod
    def of(cls, directory: Path, since: Mapping[str, int], size: int, **told: Any) -> Self | None:
        """Read *size* bytes ahead in all; None where that is not worth it."""
        return cls(directory, since, **told) if is_worth_it(size) else None

    def parts(self, name: str, rest: Callable[[int], Iterable[bytes]]) -> Iterator[Part]:
        """Give the lines of the next file; *rest* reads from a byte on what is to be looked at, and what was not read ahead."""
        yield from self.ahead(name, rest)
        yield from parts(_workspace(name), rest(self._reached.get(name, 0)))

    def ahead(self, name: str, again: Callable[[int], Iterable[bytes]]) -> Iterator[Part]:
        """Give those lines of the next file that were read ahead; *again* reads them from a byte on."""
        while (part := self.next()) is not None and part[0] == name:
            found = Given.of(part[2])
            yield Part(found, _Again(partial(again, self._reached[name]), len(found)).line)
            self._reached[name] = part[1]
            self.taken()

    def reached(self, name: str) -> int:
        """To which byte a file was read ahead, or where it was begun."""
        return self._reached[name]

    @property
    def names(self) -> Collection[str]:
        """The files that are read."""
        return self._reached.keys()

    def folded(self) -> Result | None:
        """What all entries came to, once every part was taken; None where that is not to be had."""
        part: _Read | None = self.next()
        if part is None or part[0] != _FOLDED:
            return None
        with suppress(ValueError, EOFError, TypeError, AttributeError, ImportError, LookupError, pickle.UnpicklingError):
            result: Result = pickle.loads(part[2][1][0])  # noqa: S301 - from a process of our own, as its parts
            return result
        return None


class _Again:
    """Lines that were read by the other process, and are read here where one of them is to be looked at."""

    def __init__(self, read: Callable[[], Iterable[bytes]], count: int) -> None:
        self._read = read
        self._count = count
        self._lines: list[bytes] | None = None

    def line(self, place: int) -> bytes:
        """Give a line; none of it, which is damage, where the file has been cut meanwhile."""
        if self._lines is None:
            self._lines = [*islice(self._read(), self._count)]
        return self._lines[place] if place < len(self._lines) else b""


def read_ahead(told: Mapping[str, Any]) -> Iterator[bytes]:
    """What the other process does."""
    apart = None if told["folds"] is None else Apart(told["folds"])
    for name, start in told["files"].items():
        until = math.inf if told["until"] is None else told["until"].get(name, 0)
        for end, lines in _lines(name, start, until, told["together"]):
            workspace = _workspace(name)
            if apart is None:
                found = given(workspace, lines)
            else:
                apart.told(entries := _entries(workspace, lines))
                found = given_of_read(workspace, entries)
            yield marshal.dumps((name, end, found.packed()))
    if apart is not None:
        yield marshal.dumps((_FOLDED, 0, ([], [pickle.dumps(apart.result())])))


def _lines(name: str, start: int, until: float, together: int) -> Iterator[tuple[int, Sequence[bytes]]]:
    """Some lines at a time, each with the byte it ends at: those that begin before *until*."""
    with suppress(FileNotFoundError), Path(name).open("rb", buffering=1 << 18) as file:
        file.seek(start)
        while start < until and (lines := _whole(file.readlines(together))):
            end = start + sum(map(len, lines))
            while end - len(lines[-1]) >= until:
                end -= len(lines.pop())
            yield (start := end), lines


def _entries(workspace: str, lines: Sequence[bytes]) -> list[Entry]:
    """Read them; one that is none ends the process: whoever asked reads all of them, and says which it is."""
    found = [*map(read_entry, lines)]
    if any(entry.workspace != workspace for entry in found):
        raise NotAnEntryError
    return found


def _workspace(name: str) -> str:
    return name.partition("/")[0]


def _whole(lines: list[bytes]) -> list[bytes]:
    """Without one that has no end, which is for whoever repairs it."""
    return lines if not lines or lines[-1].endswith(b"\n") else lines[:-1]
