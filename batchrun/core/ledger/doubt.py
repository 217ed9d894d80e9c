"""Which calls may have been billed and left no usage: starts held against their ends and their entries, and what was promised.

The provider bills a call when it has made an answer, whether or not the answer arrives. So the bill can be higher than what the ledger
tells, and an honest statement says by how much at the most: statement ≤ bill ≤ statement + what is in doubt.

In doubt is a call

- that began and has no end: the process was killed while it was under way (``KILLED``); while the run is held by the process that made the
  latest opening, such a call of that opening is in flight, and in no doubt yet (``IN_FLIGHT``);
- that ended without a whole answer after it was sent, or with one that tells no usage (its end says so, with a code where it has one);
- that ended with an entry which does not stand in the ledger: a lost machine took it, or somebody did (``MISSING``);
- that no line tells of: the end of its opening's log may be lost, and what had been promised tells how many calls that may have been at the
  most; for which rows, nobody knows (``UNTOLD``, `lost_lines.py`).

An attempt whose end was never noted but whose usage stands in its row's entry is in no doubt.

A log that a person put together of parts that overlap tells of calls twice, and has an opening's line again. Such lines are counted, for a
person is to be told: calls and doubt are too high then, never too low.

`Calls` takes in attempts.log first and then the entries of all output files. Of a call that is under way it keeps the line, of one that has
ended a mark (`numbered.py`); usual lines are taken in at a glance (`glancing.py`).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain

from batchrun.core.ledger.attempts import Closed, Ended, Line, Opened, Promised, ReadIn, Started
from batchrun.core.ledger.doubts import Doubtful, Doubts
from batchrun.core.ledger.entry import Entry
from batchrun.core.ledger.glancing import Blocks, Glancing, UnderWay
from batchrun.core.ledger.lost_lines import Opening
from batchrun.core.ledger.numbered import FOUND, WRITTEN, Attempts, Numbered
from batchrun.core.ledger.unlogged import Unlogged
from batchrun.core.ledger.usual import Began, UsualAnswer
from batchrun.core.rows.names import row_crc

_FINAL = frozenset({"rejected", "exhausted"})


Call = tuple[Started, Ended | None]
"""A call that starts, or that has ended."""


class Calls:
    """Takes attempts.log in, then the entries; what is left over is in doubt."""

    MISSING = "its answer is not in the ledger"
    KILLED = "it has no end: the process was killed"
    IN_FLIGHT = "it is in flight: the run is under way"
    UNTOLD = "its line may have been lost with the machine"

    def __init__(self, only: str | None = None) -> None:
        self._only = only
        """Calls of other workspaces are left out."""
        self._log: Iterable[Line] = ()
        self._open: UnderWay = {}
        self._abandoned: set[str] = set()
        """Those that had no end when a later opening began: whoever made them is gone."""
        self._told: dict[str, Started] = {}
        """Whose entries came before their ends."""
        self._suspects: dict[tuple[str, str], int] | None = None
        """Calls by workspace and id of their row: those that are under way or in doubt, as far as attempts.log alone can tell. None until
        somebody asks: whoever only reads a log need not count them."""
        self._doubts = Doubts()
        self._numbered = Numbered()
        self._present = Opening()
        """The one that lines tell of now."""
        self._boot: str | None = None
        """In which the log was read; None where that was not told."""
        self.unreadable = 0
        """Lines of attempts.log that could not be read."""
        self.latest = 0
        """The latest opening that a line tells of."""
        self.openings_again = 0
        """Lines that begin an opening and had stood in the log before."""
        self._unlogged = Unlogged()
        self._openings: set[Opened] = set()

    def take(self, lines: Iterable[Line]) -> Iterator[Call]:
        """Give each call when it starts, and again when it ends. *lines* are read once more where an entry turns out to be missing."""
        self.reads_again(lines)
        self._numbered.forget_the_last()
        return self._take(lines)

    def take_all(self, lines: Iterable[Line]) -> None:
        """Take the same in, for whoever asks about single calls later; usual lines at a glance, where *lines* can give them together."""
        self.reads_again(lines)
        self._numbered.forget_the_last()
        if isinstance(lines, Blocks) and self._only is None and self._suspects is None:
            glancing = Glancing(self._open, self._numbered, lambda: self._present, lambda line: self._exhaust((line,)))
            for block in lines.blocks():
                glancing.take(block)
            glancing.let_go()
            lines = lines.after_blocks()
        self._exhaust(lines)

    def reads_again(self, log: Iterable[Line]) -> None:
        """Say what all lines are, where `take` was given the last of them alone."""
        self._log = log

    def tidy(self) -> None:
        """Let go of what is not wanted any more: the log was taken in, and the entries that it tells of."""
        for attempts in self._numbered.openings.values():
            attempts.tidy()

    def wrong(self, entry: Entry) -> str | None:
        """What contradicts the calls in *entry*; None where nothing does. It is not taken in."""
        attempts, number = self._numbered.find(entry.attempt)
        return None if attempts is None else attempts.contradicted_by(entry, number)

    def told(self, entry: Entry) -> None:
        """Take an entry in."""
        self._told_of(entry, *self._numbered.find(entry.attempt))

    def taken(self, entry: Entry) -> str | None:
        """Take an entry in, as `told` does, or say what contradicts it, as `wrong` does; whoever asks both is told sooner."""
        attempts, number = self._numbered.find(entry.attempt)
        if attempts is not None and (what := attempts.contradicted_by(entry, number)) is not None:
            return what
        self._told_of(entry, attempts, number)
        return None

    def glanced(self, opening: int, number: int, row: int) -> bool:
        """Take in an answer to a *row*, by its `row_crc`, where its call has ended as usual and nothing contradicts it.

        False where a closer look is wanted.
        """
        attempts = self._numbered.openings.get(opening)
        if attempts is None or number >= len(attempts.marks) or attempts.marks[number] & FOUND or attempts.row_of(number) != row:
            return False
        if self._open and f"{opening}-{number}" in self._open:
            return False
        attempts.marks[number] = FOUND
        return True

    def are_new(self, answers: Iterable[UsualAnswer]) -> bool:
        """Whether nothing is known yet of the calls that brought *answers*."""
        return not self._open or self._open.keys().isdisjoint([each.name for each in answers])

    def answered(self, answers: Mapping[Began, Sequence[UsualAnswer]]) -> bool:
        """Take in answers that `are_new`, from start to entry; False where there is no place for one."""
        self._numbered.forget_the_last()
        numbered, present = self._numbered, self._present
        for (workspace, model, _), some in answers.items():
            if present.boot is not None:
                asked, told = sum([each.most[0] for each in some]), sum([each.most[1] for each in some])
                present.count(workspace, model, (asked, told), len(some))
            if not numbered.note_found([each.name for each in some]):
                return False
        return True

    def tell(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Take entries in, and give each."""
        told = self.told
        for entry in entries:
            told(entry)
            yield entry

    def opening_of(self, entry: Entry) -> int:
        """The opening in which the entry's attempt was made, as far as its name tells."""
        return self._numbered.opening_of(entry.attempt)

    def suspects(self) -> Collection[tuple[str, str]]:
        """Workspace and id of each row for which a call in doubt was made, as far as attempts.log alone can tell; stays true to it."""
        if self._suspects is None:
            doubts = (doubtful.started for doubtful in self._doubts if doubtful.why != self.UNTOLD)
            calls = chain((started for started, _, _ in self._open.values()), self._told.values(), doubts)
            self._suspects = Counter((started.workspace, started.row_id) for started in calls)
        return self._suspects

    def in_doubt(self, *, under_way: bool = False) -> Iterator[Doubtful]:
        """Give what is left over, once all is taken in; of a run that is *under_way* its calls in flight too, told as such."""
        yield from self.in_doubt_by_the_log(under_way=under_way)
        yield from (Doubtful(started, self.MISSING) for started in self._missing())

    def in_doubt_by_the_log(self, *, under_way: bool = False) -> Iterator[Doubtful]:
        """Give the same, for whoever takes no entries in: as far as attempts.log alone can tell."""
        yield from self._doubts
        for name, (started, _, _) in self._open.items():
            yield Doubtful(started, self.IN_FLIGHT if under_way and name not in self._abandoned else self.KILLED)
        if self._boot is not None and self._present.lost_its_end(self._boot):
            yield from (Doubtful(started, self.UNTOLD) for started in self._present.untold())

    def lost_at_last(self) -> tuple[int, bool]:
        """How many calls of the latest opening may stand in no line, once all is taken in, and whether a machine was lost with them."""
        if not self._present.lost_its_end(self._boot):
            return 0, False
        return sum(1 for _ in self._present.untold()), self._present.boot != self._boot

    def unlogged(self) -> int:
        """How many answers no line of attempts.log tells of, nor can have told of, once all is taken in."""
        promised = (each.started.name for each in self.in_doubt_by_the_log() if each.why == self.UNTOLD)
        return self._unlogged.beyond(promised, self.unreadable)

    def _exhaust(self, lines: Iterable[Line]) -> None:
        deque(self._take(lines), maxlen=0)

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

    def _started(self, started: Started) -> None:
        name, workspace, model, row_id, most, _ = started
        if self._present.boot is not None:
            self._present.count(workspace, model, most)
        # A lost machine can lose the line that numbers an opening, and the next one names its attempts the same.
        if name in self._open:
            self._doubts.add(self._open[name][0], self.KILLED)
            self._abandoned.discard(name)
        if (suspects := self._suspects) is not None:
            row = workspace, row_id
            suspects[row] = suspects[row] + 1 if row in suspects else 1
        attempts, number = self._numbered.reach(name)
        self._open[name] = started, attempts, number
        if attempts is not None:
            attempts.begin(number, row_crc(workspace, row_id))

    def _ended(self, ended: Ended, started: Started, attempts: Attempts | None, number: int) -> None:
        if ended.in_doubt:
            self._doubts.add(started, ended.code or "its answer told no usage", ended)
            return
        if self._suspects is not None:
            row = started.workspace, started.row_id
            if (suspected := self._suspects.pop(row, 1)) > 1:
                self._suspects[row] = suspected - 1
        if attempts is not None and ((verdict := ended.verdict) == "answered" or (verdict in _FINAL and _may_cost(ended))):
            attempts.marks[number] = WRITTEN

    def _told_of_opening(self, line: Opened | Closed | Promised | ReadIn) -> None:
        present = self._present
        match line:
            case Opened(number, boot):
                self.openings_again += line in self._openings
                self._openings.add(line)
                self._lose_end(boot)
                self._abandoned.update(self._open)
                self._present = Opening(number, boot)
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
            for started in self._present.untold():
                self._doubts.add(started, self.UNTOLD)

    def _told_of(self, entry: Entry, attempts: Attempts | None, number: int) -> None:
        if self._open and entry.usage is not None and (found := self._open.get(entry.attempt or "")) is not None:
            started = found[0]
            if (started.workspace, started.row_id) == (entry.workspace, entry.id):
                self._told[started.name] = self._open.pop(started.name)[0]
        if attempts is None or not attempts.marks[number]:
            self._unlogged.look_at(entry, attempts, number)
        if attempts is not None:
            attempts.marks[number] = FOUND

    def _missing(self) -> Iterator[Started]:
        if missing := {*self._numbered.missing()}:
            latest = {line.name: line for line in self._log if isinstance(line, Started) and line.name in missing and self._concerns(line)}
            yield from latest.values()

    def _concerns(self, started: Started) -> bool:
        return self._only in {None, started.workspace}


def _may_cost(ended: Ended) -> bool:
    """Whether a final failure may hold a whole answer that was paid for: a refusal by the provider costs nothing."""
    return ended.status is not None and ended.status < 300
