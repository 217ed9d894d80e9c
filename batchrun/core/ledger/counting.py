"""How calls and entries are handed to whoever counts them: some at a time, and what begins at one moment together.

The calls that a run sends in one turn begin at one moment, and so they stand in the log: counted together, they cost as much as one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import itemgetter
from typing import Protocol, TypeVar

from batchrun.core.ledger.attempts import Ended, Started
from batchrun.core.ledger.doubt import Call
from batchrun.core.ledger.entry import Entry
from batchrun.core.ledger.usual import Began, UsualAnswer

_TOGETHER = 128

Ending = tuple[Started, Ended]
"""A call that has ended."""
_begun = itemgetter(*map(Started._fields.index, ("workspace", "model", "at")))
_Each = TypeVar("_Each")


class Part(Protocol):
    """What counts calls and entries by itself."""

    def called(self, begun: Mapping[Began, int], ended: Iterable[Ending]) -> None:
        """Count calls: how many began where and when, and those that have ended."""

    def told(self, entries: Iterable[Entry]) -> None:
        """Count entries."""

    def answered(self, answers: Mapping[Began, Sequence[UsualAnswer]]) -> None:
        """Count usual answers, from their calls' starts on."""


def together(each: Iterable[_Each]) -> Iterator[Sequence[_Each]]:
    """Some at a time: each step's code is still at hand when the next one needs it."""
    rest = iter(each)
    while some := [*islice(rest, _TOGETHER)]:
        yield some


def apart(calls: Sequence[Call]) -> tuple[Mapping[Began, int], Sequence[Ending]]:
    """Those that begin, by where and when, and those that have ended."""
    begun = Counter([_begun(started) for started, ended in calls if ended is None])
    return begun, [(started, ended) for started, ended in calls if ended is not None]
