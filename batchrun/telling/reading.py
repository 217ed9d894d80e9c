"""The ledger of a run directory read back, in the order in which it is folded: attempts, then each workspace's failed and answered entries.

What contradicts itself is damage: two entries of one attempt, or an entry of an attempt that was made for another row.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, runtime_checkable

from batchrun.core.ledger.attempts import Line
from batchrun.core.ledger.doubt import Calls, Doubtful
from batchrun.core.ledger.entry import Entry, read_entry
from batchrun.core.ledger.marking import NOTHING, Mark
from batchrun.edge import history, run_directory

LOG = "attempts.log"
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
    """A reader that looks each entry up once, to say what is wrong with it or to take it in."""

    def taken(self, entry: Entry) -> str | None:
        """Take *entry* in, or say what contradicts it."""


def files_of(directory: Path) -> list[str]:
    """Name the files of the ledger of *directory*, relative to it."""
    return [LOG, *(f"{workspace.name}/{name}" for workspace in run_directory.workspace_directories(directory) for name in FILES)]


def read_into(
    directory: Path, reader: Reader, only: str | None = None, *,
    since: Mapping[str, Mark] = _FROM_THE_BEGINNING, until: Mapping[str, int] | None = None, read: Callable[[bytes], Entry] = read_entry,
) -> None:  # fmt: skip
    """Give the ledger of *directory* to *reader*; raises RunDamagedError naming the line that is none, or that contradicts another.

    With *only*, other workspaces' output files are left out. *since* says how far the reader has read each file already, by its name
    relative to *directory*, *until* how far it is to read them, *read* how a line of an output file is read.
    """

    def end(name: str) -> int | None:
        return None if until is None else until.get(name, 0)

    reader.attempts(history.Attempts(directory / LOG, since.get(LOG, NOTHING).end, end(LOG)))
    for workspace in run_directory.workspace_directories(directory):
        if only in {None, workspace.name}:
            for name in FILES:
                mark, to = since.get(place := f"{workspace.name}/{name}", NOTHING), end(place)
                wrong = reader.taken if (one_by_one := isinstance(reader, OneByOne)) else reader.wrong
                entries = history.entries(workspace / name, workspace.name, wrong, mark.end, mark.lines, read, to)
                deque(entries, maxlen=0) if one_by_one else reader.entries(entries)


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

    def told(self) -> Iterator[tuple[Doubtful, str]]:
        """Each call, and its row's outcome: pending, where it has none."""
        for doubtful in self.calls.in_doubt():
            row = doubtful.started.workspace, doubtful.started.row_id
            yield doubtful, self._latest.get(row, "pending")


def doubtful_calls(directory: Path, only: str | None = None) -> list[tuple[Doubtful, str]]:
    """List the calls in doubt of a run directory, the earliest first, each with its row's outcome; with *only*, of one workspace."""
    reader = DoubtfulCalls(only)
    read_into(directory, reader, only)
    return sorted(reader.told(), key=lambda told: told[0].started.at)
