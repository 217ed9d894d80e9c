"""The ledger of a run directory read back, in the order in which it is folded: attempts, then each workspace's failed and answered entries.

What contradicts itself is damage: two entries of one attempt, or an entry of an attempt that was made for another row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, TypeVar, runtime_checkable

from batchrun.core.errors import RunDamagedError
from batchrun.core.ledger.apart import Doubtful as DoubtfulEntries
from batchrun.core.ledger.apart import Joins
from batchrun.core.ledger.attempts import Line, Started
from batchrun.core.ledger.doubt import Calls
from batchrun.core.ledger.doubts import Doubtful
from batchrun.core.ledger.entry import Entry
from batchrun.core.ledger.given import Given, parts
from batchrun.core.ledger.marking import NOTHING, Mark
from batchrun.edge import history, marks, run_directory
from batchrun.edge.ahead import Ahead

LOG = "attempts.log"
_LOG_WEIGHS = 2.6
"""Times as much work as an output file's byte, a byte of it is."""
FILES = ("errors.jsonl", "results.jsonl")
_FROM_THE_BEGINNING: Mapping[str, Mark] = MappingProxyType({})


class Reader(Protocol):
    """What takes a ledger in."""

    calls: Calls

    def attempts(self, lines: Iterable[Line]) -> None:
        """Take in attempts.log."""

    def entries(self, entries: Iterable[Entry]) -> None:
        """Take in one output file."""

    def wrong(self, entry: Entry) -> str | None:
        """What contradicts *entry* in what was taken in; it is not taken in by that."""


@runtime_checkable
class OneByOne(Protocol):
    """A reader that needs less of a line than an entry tells, and looks it up once."""

    def glanced(self, workspace: str, given: Given) -> Iterator[int]:
        """Take what is given of *workspace*'s lines in, and give the place of each that is left to `taken`, to be taken at once."""

    def taken(self, entry: Entry) -> str | None:
        """Take *entry* in, or say what contradicts it."""


def files_of(directory: Path) -> list[str]:
    """Name the files of the ledger of *directory*, relative to it."""
    return [LOG, *(f"{workspace.name}/{name}" for workspace in run_directory.workspace_directories(directory) for name in FILES)]


def read_into(
    directory: Path, reader: Reader, only: str | None = None, *, since: Mapping[str, Mark] = _FROM_THE_BEGINNING, ahead: Ahead | None = None
) -> None:
    """Give the ledger of *directory* to *reader*; raises RunDamagedError naming the line that is none, or that contradicts another.

    With *only*, other workspaces' output files are left out. *since* says how far the reader has read each file already, by its name
    relative to *directory*. Output files may have been read *ahead*, for a reader that takes them one by one.
    """
    reader.attempts(history.Attempts(directory / LOG, since.get(LOG, NOTHING).end))
    for workspace in run_directory.workspace_directories(directory):
        if only in {None, workspace.name}:
            for name in FILES:
                place, path = f"{workspace.name}/{name}", workspace / name
                mark = since.get(place, NOTHING)
                if isinstance(reader, OneByOne):
                    rest = partial(history.lines_of, path)
                    each = parts(workspace.name, rest(mark.end)) if ahead is None else ahead.parts(place, rest)
                    history.take_in(path, workspace.name, each, reader.glanced, reader.taken, mark.end)
                else:
                    reader.entries(history.entries(path, workspace.name, reader.wrong, mark.end))


AReader = TypeVar("AReader", bound=Reader)


def read_all(directory: Path, new: Callable[[], AReader], only: str | None = None) -> AReader:
    """Give the ledger of *directory* to a *new* reader from its beginning, by two processes where that pays; raises as `read_into`."""
    reader = new()
    if (asks := _asks(reader)) is not None and (two := _shared(directory, asks, only)) is not None:
        try:
            if _read_by_two(directory, reader, only, *two):
                return reader
        except (RunDamagedError, ArithmeticError, LookupError, TypeError, ValueError, MemoryError):
            pass  # Which line it is, is told by whoever reads all of them; and one process may have room for what two have not.
        reader = new()
    read_into(directory, reader, only)
    return reader


def _asks(reader: object) -> Mapping[str, Any] | None:
    return reader.asks() if isinstance(reader, Joins) else None


def _shared(directory: Path, asks: Mapping[str, Any], only: str | None) -> tuple[Ahead, Mapping[str, int]] | None:
    """Who reads the output files of the last workspaces, half of the work, and how far all files go; None where one process does."""
    until = marks.sizes(directory, files_of(directory))
    names = [name for name in until if name != LOG and only in {None, name.partition("/")[0]}]
    work = _LOG_WEIGHS * until.get(LOG, 0) + sum(until[name] for name in names)
    its: dict[str, int] = {}
    for workspace in sorted({name.partition("/")[0] for name in names}, reverse=True):
        more = {name: until[name] for name in names if name.partition("/")[0] == workspace}
        if its and 2 * sum(its.values()) + sum(more.values()) > work:
            break
        its |= more
    since = {name: 0 for name in names if name in its}
    ahead = Ahead.of(directory, since, sum(its.values()), asks=asks, until=until)
    return None if ahead is None else (ahead, until)


def _read_by_two(directory: Path, reader: Any, only: str | None, ahead: Ahead, until: Mapping[str, int]) -> bool:
    with ahead:
        if not ahead.is_heard:
            return False
        reader.attempts(history.Attempts(directory / LOG, 0, until.get(LOG, 0)))
        doubtful = DoubtfulEntries(reader.calls)
        for place in until:
            workspace, path = place.partition("/")[0], directory / place
            if place == LOG or only not in {None, workspace}:
                continue
            if place not in ahead.names:
                reader.entries(history.entries(path, workspace, reader.wrong, end=until[place]))
                continue
            rest, number = partial(history.lines_of, path, end=until[place]), 0
            for given, line in ahead.ahead(place, rest):
                for each in doubtful.among(given):
                    for entry in history.entries(path, workspace, reader.wrong, lines_before=number + each, lines=(line(each),)):
                        reader.calls.told(entry)
                        reader.note_suspect(entry)
                number += len(given)
            if any(rest(ahead.reached(place))):
                return False
        result = ahead.folded()
        return result is not None and reader.join(*result)


def makes_calls_beside(directory: Path, other: Path) -> bool:
    """Whether a copy of a run, or the one that it is of, tells of calls that the *other* does not; raises LedgerError."""
    if directory.samefile(other):
        return False
    log = directory / LOG
    return any(isinstance(line, Started) for line in history.Attempts(log, history.alike(log, other / LOG)))


def is_part_of(directory: Path, other: Path) -> bool:
    """Whether all that the ledger of a copy tells stands in the *other*'s too; raises LedgerError."""
    sizes = marks.sizes(directory, files_of(directory))
    whole = (size == history.alike(directory / name, other / name) for name, size in sizes.items() if name != LOG)
    return not makes_calls_beside(directory, other) and all(whole)


class DoubtfulCalls:
    """The calls in doubt of a run, each with what has become of its row since."""

    def __init__(self, only: str | None = None) -> None:
        self.calls = Calls(only)
        self._latest: dict[tuple[str, str], str] = {}

    def attempts(self, lines: Iterable[Line]) -> None:
        """Take in attempts.log."""
        self.calls.take_all(lines)

    def entries(self, entries: Iterable[Entry]) -> None:
        """Take in one output file."""
        rows = self.calls.suspects()
        for entry in entries:
            self.calls.told(entry)
            if (entry.workspace, entry.id) in rows:
                self._latest[entry.workspace, entry.id] = entry.outcome

    def wrong(self, entry: Entry) -> str | None:
        """What contradicts the calls in *entry*."""
        return self.calls.wrong(entry)

    def told(self, *, under_way: bool = False) -> Iterator[tuple[Doubtful, str]]:
        """Each call, and its row's outcome: pending, where it has none. Of a run that is *under_way* calls in flight are among them."""
        for doubtful in self.calls.in_doubt(under_way=under_way):
            row = doubtful.started.workspace, doubtful.started.row_id
            yield doubtful, self._latest.get(row, "pending")


def doubtful_calls(directory: Path, only: str | None = None) -> list[tuple[Doubtful, str]]:
    """List the calls in doubt of a run directory, the earliest first, each with its row's outcome; with *only*, of one workspace.

    Of a run that is under way, those in flight are listed too, and told as such.
    """
    reader, holder = DoubtfulCalls(only), run_directory.holder(directory)
    read_into(directory, reader, only)
    under_way = holder is not None and run_directory.holder(directory) == holder
    return sorted(reader.told(under_way=under_way), key=lambda told: told[0].started.at)
