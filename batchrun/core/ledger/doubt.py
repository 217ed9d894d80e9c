"""Which calls may have been billed and left no usage: starts held against their ends and their entries, and what was promised.

In doubt is a call that began and has no end; that ended without a whole answer, or with one that tells no usage; and that ended with an
entry which does not stand in the ledger, for a lost machine took it, or somebody did. An attempt whose end was never noted but whose usage
stands in its row's entry is in no doubt.

In doubt is, too, a call that no line tells of: where an opening did not end well and its machine is another by now, or was started
anew, the end of its log may be lost, and what had been promised tells how many calls that may have been at the most. For which rows,
nobody knows.

A run has millions of calls: those that have ended are kept in five bytes each, and usual lines are taken in at a glance (`glances.py`).
"""

from __future__ import annotations

from array import array
from collections import Counter, deque
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable
from zlib import crc32

from batchrun.core.ledger.attempts import Bound, Closed, Ended, Line, Opened, Promise, Promised, ReadIn, Started, opening_of, read_attempt
from batchrun.core.ledger.entry import Entry
from batchrun.core.ledger.glances import glances, line_of
from batchrun.core.rows.index import row_crc

_WRITTEN, _FOUND = 1, 2
_FINAL = frozenset({"rejected", "exhausted"})
_FARTHEST = 1 << 20
"""Attempts are numbered one by one: a number farther ahead than this is damage, and no reason to set memory aside."""


class Doubtful(NamedTuple):
    """A call that may have been billed, and why that is not known."""

    started: Started
    why: str
    ended: Ended | None = None


Call = tuple[Started, Ended | None]
"""A call that starts, or that has ended."""


@dataclass(slots=True)
class _Attempts:
    """What is known of the attempts of one opening, by number."""

    opening: int
    marks: bytearray = field(default_factory=bytearray)
    rows: array[int] = field(default_factory=lambda: array("I"))

    def reach(self, number: int) -> None:
        if number >= len(self.marks):
            more = max(number + 1 - len(self.marks), len(self.marks) // 2)
            self.marks.extend(bytes(more))
            self.rows.frombytes(bytes(more * self.rows.itemsize))


_NOWHERE: tuple[_Attempts | None, int] = None, 0


@dataclass(slots=True)
class _Opening:
    """One opening: what it promised, and what its lines tell."""

    number: int = 0
    boot: str | None = None
    closed: bool = False
    unreadable: int = 0
    at: float = 0.0
    promised: dict[tuple[str, str], Promise] = field(default_factory=dict)
    told: dict[tuple[str, str], list[int]] = field(default_factory=dict)

    def count(self, workspace: str, model: str, most: Bound) -> None:
        told = self.told.get((workspace, model))
        if told is None:
            told = self.told[workspace, model] = [0, 0, 0]
        told[0] += 1
        told[1] += most[0]
        told[2] += most[1]

    def lost_its_end(self, boot: str | None) -> bool:
        """Whether lines may be missing, now that the machine has been started as *boot*."""
        return self.boot is not None and not self.closed and (self.boot != boot or self.unreadable > 0)

    def untold(self) -> Iterator[Started]:
        """Calls that may have been made and have no line, as large as they may have been together."""
        for (workspace, model), promise in self.promised.items():
            calls, *tokens = (max(0, may - did) for may, did in zip(promise[2:], self.told.get((workspace, model), (0, 0, 0)), strict=True))
            for number in range(calls):
                share = Bound(*(each // calls + (number < each % calls) for each in tokens))
                yield Started(f"{self.number}-", workspace, model, "", share, self.at)


@dataclass(slots=True)
class _Glanced:
    """Calls of one opening that were seen to begin, and not to end, since the last line that was looked at closely."""

    opening: bytes = b""
    attempts: _Attempts | None = None
    begun: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)
    """Their lines' text and seal, by number."""
    counts: dict[tuple[bytes, bytes], list[int]] = field(default_factory=dict)
    """What the opening has told, by workspace and model."""
    rows_of: dict[bytes, int] = field(default_factory=dict)
    """What the checksum of a row begins with, by workspace."""

    def begin(self, workspace: bytes) -> int:
        """Note what the checksum of *workspace*'s rows begins with, and return it."""
        begun = self.rows_of[workspace] = crc32(workspace + b"\0")
        return begun

    def count(self, present: _Opening, workspace: bytes, model: bytes, asked: bytes, told: bytes) -> None:
        counts = self.counts.get((workspace, model))
        if counts is None:
            counts = self.counts[workspace, model] = present.told.setdefault((workspace.decode(), model.decode()), [0, 0, 0])
        counts[0] += 1
        counts[1] += int(asked)
        counts[2] += int(told)


@runtime_checkable
class Blocks(Protocol):
    """Lines of a log that are to be had as they stand, many at a time."""

    def blocks(self) -> Iterator[bytes]:
        """Whole lines, in their order."""

    def after_blocks(self) -> Iterable[Line]:
        """What is given after the last of them."""


class Calls:
    """Takes attempts.log in, then the entries; what is left over is in doubt."""

    MISSING = "its answer is not in the ledger"
    KILLED = "it has no end: the process was killed"
    UNTOLD = "its line may have been lost with the machine"

    def __init__(self, only: str | None = None) -> None:
        self._only = only
        """Calls of other workspaces are left out."""
        self._log: Iterable[Line] = ()
        self._open: dict[str, tuple[Started, _Attempts | None, int]] = {}
        """Those that are under way, each with its place."""
        self._told: dict[str, Started] = {}
        """Whose entries came before their ends."""
        self._suspects: dict[tuple[str, str], int] | None = None
        """Calls by workspace and id of their row: those that are under way or in doubt, as far as attempts.log alone can tell. None until
        somebody asks: whoever only reads a log need not count them."""
        self._doubts: list[Doubtful] = []
        self._openings: dict[int, _Attempts] = {}
        self._named: dict[str, _Attempts] = {}
        """The same, as attempts name them."""
        self._sought: str | None = None
        self._place: tuple[_Attempts | None, int] = _NOWHERE
        """Of the attempt that was sought last."""
        self._entries_came = False
        self._present = _Opening()
        self._boot: str | None = None
        """In which the log was read; None where that was not told."""
        self.unreadable = 0
        """Lines of attempts.log that could not be read."""
        self.latest = 0
        """The latest opening that a line tells of."""

    def take(self, lines: Iterable[Line]) -> Iterator[Call]:
        """Give each call when it starts, and again when it ends. *lines* are read once more where an entry turns out to be missing."""
        self._log, self._sought, self._place = lines, None, _NOWHERE
        return self._take(lines)

    def _take(self, lines: Iterable[Line]) -> Iterator[Call]:
        under_way, only = self._open, self._only
        for line in lines:
            if isinstance(line, Started):
                if only is None or line.workspace == only:
                    self._started(line)
                    yield line, None
            elif isinstance(line, Ended):
                found = under_way.pop(line.name, None)
                if found is not None:
                    started, attempts, number = found
                    self._ended(line, started, attempts, number)
                    yield started, line
                elif self._told and (told := self._told.pop(line.name, None)) is not None:
                    yield told, line
            elif line is None:
                self.unreadable += 1
                self._present.unreadable += 1
            else:
                self._told_of_opening(line)

    def take_all(self, lines: Iterable[Line]) -> None:
        """Take the same in, for whoever asks about single calls later; usual lines at a glance, where *lines* can give them together."""
        self._log, self._sought, self._place = lines, None, _NOWHERE
        if isinstance(lines, Blocks) and self._only is None and self._suspects is None:
            glanced = _Glanced()
            for block in lines.blocks():
                self._glance_at(block, glanced)
            self._let_go(glanced)
            lines = lines.after_blocks()
        deque(self._take(lines), maxlen=0)

    def _glance_at(self, block: bytes, glanced: _Glanced) -> None:
        """Take in a block of lines: usual ones at once, any other as `take` does, in their order. The outcome is the same."""
        under_way, begun, rows_of = self._open, glanced.begun, glanced.rows_of
        for text, opening, number, workspace, model, row, asked, told, of, ended, seal, other in glances(block):
            if number:
                if opening != glanced.opening:
                    self._let_go(glanced)
                    glanced.opening, glanced.attempts = opening, self._named.get(opening.decode())
                attempts, at = glanced.attempts, int(number)
                # What memory is to be set aside for, and what has begun already, is for a closer look.
                new = at not in begun and not (under_way and (opening + b"-" + number).decode() in under_way)
                if attempts is not None and at < len(attempts.marks) and new:
                    begun[at] = text, seal
                    attempts.rows[at] = crc32(row, rows_of.get(workspace) or glanced.begin(workspace)) or 1
                    attempts.marks[at] = 0
                    if self._present.boot is not None:
                        glanced.count(self._present, workspace, model, asked, told)
                    continue
            elif ended:
                at = int(ended)
                if of == glanced.opening and (attempts := glanced.attempts) is not None and begun.pop(at, None) is not None:
                    attempts.marks[at] = _WRITTEN
                    continue
                if (found := under_way.pop((of + b"-" + ended).decode(), None)) is not None:
                    if found[1] is not None:
                        found[1].marks[found[2]] = _WRITTEN
                    continue
            self._let_go(glanced)
            deque(self._take((read_attempt(other or line_of(text, seal)),)), maxlen=0)

    def _let_go(self, glanced: _Glanced) -> None:
        """Note the calls that have only begun as any others."""
        for at, (text, seal) in glanced.begun.items():
            started = read_attempt(line_of(text, seal))
            assert isinstance(started, Started)
            self._open[started.name] = started, glanced.attempts, at
        glanced.opening, glanced.attempts = b"", None
        glanced.begun.clear()
        glanced.counts.clear()

    def _told_of_opening(self, line: Opened | Closed | Promised | ReadIn) -> None:
        present = self._present
        match line:
            case Opened(number, boot):
                self._lose_end(boot)
                self._present = _Opening(number, boot)
                self.latest = max(self.latest, number)
            case Closed():
                present.closed = True
            case Promised(promises, at):
                present.at = at
                present.promised |= {(each.workspace, each.model): each for each in promises if self._only in {None, each.workspace}}
            case ReadIn(boot):
                self._boot = boot

    def _lose_end(self, boot: str | None) -> None:
        if self._present.lost_its_end(boot):
            self._doubts += (Doubtful(started, self.UNTOLD) for started in self._present.untold())

    def reads_again(self, log: Iterable[Line]) -> None:
        """Say what all lines are, where `take` was given the last of them alone."""
        self._log = log

    def wrong(self, entry: Entry) -> str | None:
        """What contradicts the calls in *entry*; None where nothing does. It is not taken in."""
        attempts, number = self._find_again(entry.attempt)
        return None if attempts is None else _contradicted(entry, attempts, number)

    def told(self, entry: Entry) -> None:
        """Take an entry in."""
        self._told_of(entry, *self._find_again(entry.attempt))

    def taken(self, entry: Entry) -> str | None:
        """Take an entry in, as `told` does, or say what contradicts it, as `wrong` does; whoever asks both is told sooner."""
        attempts, number = self._find_again(entry.attempt)
        if attempts is not None and (what := _contradicted(entry, attempts, number)) is not None:
            return what
        self._told_of(entry, attempts, number)
        return None

    def glanced(self, opening: int, number: int, row: int) -> bool:
        """Take in an answer to a *row*, by its `row_crc`, where its call has ended as usual and nothing contradicts it.

        False where a closer look is wanted.
        """
        attempts = self._openings.get(opening)
        if attempts is None or number >= len(attempts.marks) or attempts.marks[number] & _FOUND or attempts.rows[number] != row:
            return False
        if self._open and f"{opening}-{number}" in self._open:
            return False
        self._entries_came = True
        attempts.marks[number] = _FOUND
        return True

    def _told_of(self, entry: Entry, attempts: _Attempts | None, number: int) -> None:
        self._entries_came = True
        if self._open and entry.usage is not None and (found := self._open.get(entry.attempt or "")) is not None:
            started = found[0]
            if (started.workspace, started.row_id) == (entry.workspace, entry.id):
                self._told[started.name] = self._open.pop(started.name)[0]
        if attempts is not None:
            attempts.marks[number] = _FOUND

    def tell(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Take entries in, and give each."""
        told = self.told
        for entry in entries:
            told(entry)
            yield entry

    def suspects(self) -> Container[tuple[str, str]]:
        """Workspace and id of each row for which a call in doubt was made, as far as attempts.log alone can tell; stays true to it."""
        if self._suspects is None:
            calls = [*(started for started, _, _ in self._open.values()), *self._told.values()]
            calls += [doubtful.started for doubtful in self._doubts if doubtful.why != self.UNTOLD]
            self._suspects = Counter((started.workspace, started.row_id) for started in calls)
        return self._suspects

    def in_doubt(self) -> Iterator[Doubtful]:
        """Give what is left over, once all is taken in."""
        yield from self._doubts
        yield from (Doubtful(started, self.KILLED) for started, _, _ in self._open.values())
        if self._entries_came:
            yield from (Doubtful(started, self.MISSING) for started in self._missing())
        if self._boot is not None and self._present.lost_its_end(self._boot):
            yield from (Doubtful(started, self.UNTOLD) for started in self._present.untold())

    def _started(self, started: Started) -> None:
        name, workspace, model, row_id, most, _ = started
        if self._present.boot is not None:
            self._present.count(workspace, model, most)
        # A lost machine can lose the line that numbers an opening, and the next one names its attempts the same.
        if name in self._open:
            self._doubts.append(Doubtful(self._open[name][0], self.KILLED))
        if (suspects := self._suspects) is not None:
            row = workspace, row_id
            suspects[row] = suspects[row] + 1 if row in suspects else 1
        attempts, number = self._find(name, reach=True)
        self._open[name] = started, attempts, number
        if attempts is not None:
            attempts.rows[number] = row_crc(workspace, row_id)
            attempts.marks[number] = 0

    def _ended(self, ended: Ended, started: Started, attempts: _Attempts | None, number: int) -> None:
        if ended.in_doubt:
            self._doubts.append(Doubtful(started, ended.code or "its answer told no usage", ended))
            return
        if self._suspects is not None:
            row = started.workspace, started.row_id
            if (suspected := self._suspects.pop(row, 1)) > 1:
                self._suspects[row] = suspected - 1
        if attempts is not None and ((verdict := ended.verdict) == "answered" or (verdict in _FINAL and _may_cost(ended))):
            attempts.marks[number] = _WRITTEN

    def _missing(self) -> Iterator[Started]:
        missing = {
            f"{opening}-{number}"
            for opening, attempts in self._openings.items()
            if _WRITTEN in attempts.marks
            for number, mark in enumerate(attempts.marks)
            if mark == _WRITTEN
        }
        if missing:
            latest = {line.name: line for line in self._log if isinstance(line, Started) and line.name in missing and self._concerns(line)}
            yield from latest.values()

    def _concerns(self, started: Started) -> bool:
        return self._only in {None, started.workspace}

    def opening_of(self, entry: Entry) -> int:
        """The opening in which the entry's attempt was made, as far as its name tells."""
        attempts, _ = self._find_again(entry.attempt)
        return attempts.opening if attempts is not None else opening_of(entry.attempt or "")

    def _find_again(self, name: str | None) -> tuple[_Attempts | None, int]:
        # An entry is asked about, and then told: the second look-up is of the very same text.
        if name is not self._sought:
            self._sought, self._place = name, _NOWHERE if name is None else self._find(name)
        return self._place

    def _find(self, name: str, *, reach: bool = False) -> tuple[_Attempts | None, int]:
        opening, _, number = name.partition("-")
        if not (number.isdecimal() and number.isascii()) or len(number) > 9:
            return _NOWHERE
        at, attempts = int(number), self._named.get(opening) or self._of_opening(opening, reach=reach)
        if attempts is None:
            return _NOWHERE
        if at >= (known := len(attempts.marks)):
            if not reach or at >= known + _FARTHEST:
                return _NOWHERE
            attempts.reach(at)
        return attempts, at

    def _of_opening(self, name: str, *, reach: bool) -> _Attempts | None:
        if not (name.isdecimal() and name.isascii()):
            return None
        opening = int(name)
        attempts = self._openings.setdefault(opening, _Attempts(opening)) if reach else self._openings.get(opening)
        if attempts is not None:
            self._named[name] = attempts
        return attempts


def _contradicted(entry: Entry, attempts: _Attempts, number: int) -> str | None:
    if attempts.marks[number] & _FOUND:
        return f"names the attempt {entry.attempt}, which another entry names already"
    if (row := attempts.rows[number]) and row != row_crc(entry.workspace, entry.id):
        return f"names the attempt {entry.attempt}, which was made for another row"
    return None


def _may_cost(ended: Ended) -> bool:
    """Whether a final failure may hold a whole answer that was paid for: a refusal by the provider costs nothing."""
    return ended.status is not None and ended.status < 300
