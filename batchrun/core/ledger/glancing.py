"""Usual lines of attempts.log taken in a block at a time, with the same outcome as if each had been looked at closely.

Nearly all lines of a large log are starts, and ends of answers. Of those whose form and seal leave no doubt (`glances.py`) three things are
enough: which attempt, which row, what it may cost at the most. A start and its end that are seen in the same stretch leave nothing behind
but a mark; what has only begun when another line comes (an opening, a promise, a failure, a line that cannot be read) is first noted as if
it had been read, for that line may have something to say about it.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeAlias, runtime_checkable
from zlib import crc32

from batchrun.core.ledger.attempts import Line, Started, read_attempt
from batchrun.core.ledger.glances import glances, line_of
from batchrun.core.ledger.lost_lines import Opening
from batchrun.core.ledger.numbered import PAGE, WRITTEN, Attempts, Numbered

UnderWay: TypeAlias = dict[str, tuple[Started, Attempts | None, int]]
"""Calls that have begun and not ended, by name, each with its place."""


@runtime_checkable
class Blocks(Protocol):
    """Lines of a log that are to be had as they stand, many at a time."""

    def blocks(self) -> Iterator[bytes]:
        """Whole lines, in their order."""

    def after_blocks(self) -> Iterable[Line]:
        """What is given after the last of them."""


class Glancing:
    """Takes blocks in for whoever knows the calls, whose parts it is given: what it notes, it notes there."""

    def __init__(
        self, under_way: UnderWay, numbered: Numbered, present: Callable[[], Opening], closely: Callable[[Line], None]
    ) -> None:  # fmt: skip
        """*present* tells the opening that lines tell of now; *closely* takes a line in that there is no glance of."""
        self._under_way = under_way
        self._numbered = numbered
        self._present = present
        self._closely = closely
        self._opening = b""
        """The one of which calls are glanced at, as they name it."""
        self._attempts: Attempts | None = None
        self._first = -PAGE
        self._page = array("I")
        """The page of its checksums that the latest of them stands in, and the number that it begins with."""
        self._begun: dict[int, tuple[bytes, bytes]] = {}
        """Calls of it that were seen to begin, and not to end, since the last close look, by number: their lines' text and seal."""
        self._counts: dict[tuple[bytes, bytes], list[int]] = {}
        """What the present opening has told, by workspace and model."""
        self._rows_of: dict[bytes, int] = {}
        """What the checksum of a row begins with, by workspace."""

    def take(self, block: bytes) -> None:
        """Take in a block of lines: usual ones at once, any other by a close look, in their order."""
        under_way, begun, rows_of, present = self._under_way, self._begun, self._rows_of, self._present()
        for text, opening, number, workspace, model, row, asked, told, of, ended, seal, other in glances(block):
            if number:
                if opening != self._opening:
                    self.let_go()
                    self._opening, self._attempts, self._first = opening, self._numbered.named.get(opening.decode()), -PAGE
                attempts, at = self._attempts, int(number)
                # What memory is to be set aside for, and what has begun already, is for a closer look.
                new = at not in begun and not (under_way and (opening + b"-" + number).decode() in under_way)
                if attempts is not None and at < len(attempts.marks) and new:
                    begun[at] = text, seal
                    page = self._page if 0 <= at - self._first < PAGE else self._page_of(attempts, at)
                    page[at - self._first] = crc32(row, rows_of.get(workspace) or self._begin(workspace)) or 1
                    attempts.marks[at] = 0
                    if present.boot is not None:
                        self._count(present, workspace, model, asked, told)
                    continue
            elif ended:
                at = int(ended)
                if of == self._opening and (attempts := self._attempts) is not None and begun.pop(at, None) is not None:
                    attempts.marks[at] = WRITTEN
                    continue
                if (found := under_way.pop((of + b"-" + ended).decode(), None)) is not None:
                    if found[1] is not None:
                        found[1].marks[found[2]] = WRITTEN
                    continue
            self.let_go()
            self._closely(read_attempt(other or line_of(text, seal)))
            present = self._present()

    def let_go(self) -> None:
        """Note the calls that have only begun as any others."""
        for at, (text, seal) in self._begun.items():
            started = read_attempt(line_of(text, seal))
            assert isinstance(started, Started)
            self._under_way[started.name] = started, self._attempts, at
        self._opening, self._attempts = b"", None
        self._begun.clear()
        self._counts.clear()

    def _page_of(self, attempts: Attempts, number: int) -> array[int]:
        self._first, self._page = number - number % PAGE, attempts.whole_page(number // PAGE)
        return self._page

    def _begin(self, workspace: bytes) -> int:
        begun = self._rows_of[workspace] = crc32(workspace + b"\0")
        return begun

    def _count(self, present: Opening, workspace: bytes, model: bytes, asked: bytes, told: bytes) -> None:
        counts = self._counts.get((workspace, model))
        if counts is None:
            counts = self._counts[workspace, model] = present.told.setdefault((workspace.decode(), model.decode()), [0, 0, 0])
        counts[0] += 1
        counts[1] += int(asked)
        counts[2] += int(told)
