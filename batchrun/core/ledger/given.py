"""What a resume needs of an output file's lines, taken out of them by whoever reads the file: in this process, or in one beside it.

Of a sealed answer that is a few numbers: those by which its row and its call are found, and its digest. Any other line is left to a closer
look. Lines are taken many at a time, and each step of all of them: what holds of every one of them is asked once.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import field
from functools import partial
from itertools import islice
from operator import itemgetter
from typing import Any, NamedTuple, Self, TypeAlias, TypeVar

import orjson

from batchrun.core.classes import slotted
from batchrun.core.ledger.entry import Entry
from batchrun.core.ledger.entry_reading import read_entry
from batchrun.core.ledger.seal import all_whole
from batchrun.core.ledger.sealed_answer import ANSWERED_FIELDS, entry_of_sealed, resumed, sealed_answer
from batchrun.core.rows.names import id_digests, numbers_of, row_crcs

TOGETHER = 2048
"""Lines that are given at a time."""
_AT_ONCE = (128, 8, 1)
"""Lines that are taken together; where one of them is another's, fewer."""
_usual_attempts = re.compile(r"(?:[1-9][0-9]{0,8}+-[1-9][0-9]{0,8}+\n)*+", re.ASCII).fullmatch
_DIGEST_SIZE = 16
_NONE = frozenset[str]()

_told = itemgetter(*map(Entry._fields.index, ("id", "workspace", "model", "digest", "attempt", "usage")))
"""Of an entry, what `resumed` takes out of a line's fields."""

Numbers: TypeAlias = "array[int]"
Packed = tuple[list[str], list[bytes]]
_Told = tuple[Any, ...]
_Each = TypeVar("_Each")


@slotted
class Given:
    """Lines that follow each other: of each usual answer what it is found by; of any other line, that it is to be looked at."""

    models: list[str] = field(default_factory=list)
    rows: Numbers = field(default_factory=lambda: array("I"))
    """Each row's `row_crc`; 0, which is none, for a line that is to be looked at."""
    names: Numbers = field(default_factory=lambda: array("Q"))
    """Each row's `id_digest`."""
    digests: Numbers = field(default_factory=lambda: array("Q"))
    openings: Numbers = field(default_factory=lambda: array("I"))
    """In which the call was made."""
    calls: Numbers = field(default_factory=lambda: array("I"))
    """Its number there."""
    lanes: Numbers = field(default_factory=lambda: array("I"))
    """Which of the models it was."""

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        """Give each line's row, name, digest, opening, call and lane."""
        return zip(*self._arrays(), strict=True)

    def packed(self) -> Packed:
        """What another process of this machine makes the same of."""
        return self.models, [each.tobytes() for each in self._arrays()]

    @classmethod
    def of(cls, packed: Packed) -> Self:
        """Make of it what was packed."""
        found = cls(packed[0])
        for mine, its in zip(found._arrays(), packed[1], strict=True):
            mine.frombytes(its)
        return found

    def _arrays(self) -> tuple[Numbers, ...]:
        return self.rows, self.names, self.digests, self.openings, self.calls, self.lanes

    def take(self, workspace: str, lines: Sequence[bytes]) -> bool:
        """Take in usual answers of *workspace*; False where any of *lines* is something else, and none is taken in."""
        if not all_whole(lines):
            return False
        try:
            fields = [*map(orjson.loads, lines)]
            told = [*map(resumed, fields)]
            return ANSWERED_FIELDS.issuperset(_NONE.union(*fields)) and self._note(workspace, told)
        except (KeyError, TypeError, ValueError):
            return False

    def take_read(self, workspace: str, entries: Sequence[Entry]) -> bool:
        """Take in lines of *workspace* that were read already, in the same way."""
        try:
            return self._note(workspace, [*map(_told, entries)])
        except (TypeError, ValueError):
            return False

    def _note(self, workspace: str, told: Sequence[_Told]) -> bool:
        row_ids, workspaces, models, digests, attempts, _ = zip(*told, strict=True)
        calls, asked, ids = "\n".join(attempts) + "\n", "".join(digests), [*map(str.encode, row_ids)]
        if not (
            {*workspaces} == {workspace}
            and {*map(type, models)} == {str}
            and {*map(len, digests)} == {_DIGEST_SIZE}
            and (digested := bytes.fromhex(asked)).hex() == asked
            and _usual_attempts(calls)
            and calls.count("\n") == len(told)
        ):
            return False
        names = id_digests(workspace, ids)
        self.rows += row_crcs(workspace, ids)
        self.names += names
        self.digests += numbers_of(digested)
        self.openings += array("I", map(int, (numbers := calls.replace("-", "\n").split())[::2]))
        self.calls += array("I", map(int, numbers[1::2]))
        self.lanes += array("I", map({model: self._lane(model) for model in dict.fromkeys(models)}.__getitem__, models))
        return True

    def _lane(self, model: str) -> int:
        if model not in self.models:
            self.models.append(model)
        return self.models.index(model)

    def leave(self) -> None:
        """Leave a line to a closer look."""
        for each in self._arrays():
            each.append(0)


class Part(NamedTuple):
    """Lines of an output file, and what is given of them."""

    given: Given
    line: Callable[[int], bytes]
    """Each by its place, where it is to be looked at."""


def parts(workspace: str, lines: Iterable[bytes]) -> Iterator[Part]:
    """Give the lines of a *workspace*'s output file, many at a time."""
    each = iter(lines)
    while some := [*islice(each, TOGETHER)]:
        yield Part(given(workspace, some), some.__getitem__)


def given(workspace: str, lines: Sequence[bytes]) -> Given:
    """Take out of *lines* of a *workspace*'s output file what a resume needs: of sealed answers, tokens, cost and times are not looked at.

    Their seals say that all of them are as they were written.
    """
    found = Given()
    _give(found, partial(found.take, workspace), lines, *_AT_ONCE)
    return found


def given_of_read(workspace: str, entries: Sequence[Entry]) -> Given:
    """The same of lines that were read already: of failed rows too, and of what has no seal."""
    found = Given()
    _give(found, partial(found.take_read, workspace), entries, *_AT_ONCE)
    return found


def _give(found: Given, take: Callable[[Sequence[_Each]], bool], lines: Sequence[_Each], together: int, *fewer: int) -> None:
    for start in range(0, len(lines), together):
        some = lines[start : start + together]
        if take(some):
            continue
        if fewer:
            _give(found, take, some, *fewer)
        else:
            found.leave()


def look_at(line: bytes) -> Entry:
    """Read a line that was left to a closer look, as far as a resume needs it; raise NotAnEntryError as `read_entry` does."""
    told = sealed_answer(line)
    return read_entry(line) if told is None else entry_of_sealed(told)
