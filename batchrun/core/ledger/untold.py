"""What a ledger has noted and has yet to tell whoever follows it, as it will be read.

An entry is told with the end of its call, or the call would seem to go on. A usual answer is told as one thing when its call has ended. Of
what is under way the start is told only where all is to be told that is written. Where memory runs out the ledger goes on, and nothing more
is told: it is read instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from batchrun.core.ledger.as_read import ended_of, entry_of, is_read_as_told, started_of
from batchrun.core.ledger.attempts import Bound, read_attempt
from batchrun.core.ledger.entry import Entry, Form
from batchrun.core.ledger.usual import Noted, UsualAnswer
from batchrun.core.model import Answered, Failure, Money, Outcome, Reply, Row, Usage, named_tuple

UnderWay = tuple[Row, float, Bound]
"""A call that has not ended: its row, the wall time at which it began, and what it can cost at the most."""
Follower = Callable[[Sequence[Noted], Sequence[Entry], Sequence[int | None]], None]
"""Gets usual answers and lines of attempts.log, in the order in which calls ended, and the other entries that stand in the files beside it,
with their rows' ordinals where known."""
_TOGETHER = 64
"""Answers, lines and entries: each step's code is still at hand when the next one needs it."""
_LARGE = 1 << 20
"""Bytes of lines that are told whatever their number: until then the answers that they are made of are held."""


class Untold:
    """What was noted, in that order."""

    def __init__(self, follow: Follower, form: Form, under_way: Mapping[str, UnderWay]) -> None:
        """*under_way* holds each call from its start on until it is told here that it ended; those of now are not told."""
        self._follow = follow
        self._form: Form = form
        self._under_way = under_way
        self._started = set(under_way)
        """Calls of these whose start is told by itself."""
        self._answered: dict[str, tuple[Answered, int, Usage, Money | None]] = {}
        """Usual answers of the others that are noted, and whose calls' ends are not."""
        self._lines: list[Noted] = []
        self._entries: list[Entry] = []
        self._ordinals: list[int | None] = []
        self._bytes = 0
        """Of the lines of entries that are not told yet."""
        self._unended: set[str] = set()
        """Calls whose entries are noted by themselves, and whose ends are not."""
        self._lost = False

    def end(self, name: str, began: UnderWay, at: float, verdict: str, result: Reply | Failure, line: bytes) -> None:
        """Note that a call ended, as *line* says, which *began* as it was held until now."""
        try:
            answer = self._answered.pop(name, None)
            if answer is None:
                self._tell_start(name, began)
                self._started.discard(name)
                self._lines.append(ended_of(name, at, verdict, result, line))
                self._unended.discard(name)
            else:
                _, began_at, most = began
                self._lines.append(named_tuple(UsualAnswer, (name, began_at, most, at, *answer)))
        except MemoryError:
            self._lost = True

    def line(self, line: bytes) -> None:
        """Note any other line of the log."""
        try:
            self._lines.append(read_attempt(line))
        except MemoryError:
            self._lost = True

    def entry(self, outcome: Outcome, cost: Money | None, line: bytes) -> None:
        """Note an entry."""
        self._bytes += len(line)
        try:
            if isinstance(outcome, Answered) and self._is_usual(outcome, cost):
                return
            self._entries.append(entry_of(outcome, self._form, cost, line))
            self._ordinals.append(outcome.row.ordinal)
            if outcome.call is not None:
                self._unended.add(outcome.call.attempt)
        except MemoryError:
            self._lost = True

    def _is_usual(self, answer: Answered, cost: Money | None) -> bool:
        """Whether an answer is a usual one: its entry is then told with its call."""
        call, ordinal, usage = answer.call, answer.row.ordinal, answer.reply.usage
        name = call.attempt
        if ordinal is None or usage is None or name in self._started or name not in self._under_way:
            return False
        if not is_read_as_told(answer.reply, self._form):
            return False
        self._answered[name] = answer, ordinal, usage, cost
        return True

    @property
    def is_large(self) -> bool:
        """Whether its answers take so much memory that it should be told whatever their number."""
        return self._bytes >= _LARGE

    @property
    def is_worth_telling(self) -> bool:
        """Whether there is so much of it that it should be told."""
        return self.is_large or len(self._lines) + len(self._entries) >= _TOGETHER

    @property
    def is_all_told(self) -> bool:
        """Whether whoever follows knows all that was noted."""
        return not (self._lost or self._lines or self._entries) and self._under_way.keys() <= self._started

    def tell_starts(self) -> None:
        """Have the starts of what is under way told with what is told next: what is written to the log is then told."""
        try:
            for name, began in self._under_way.items():
                if name not in self._answered:
                    self._tell_start(name, began)
        except MemoryError:
            self._lost = True

    def tell(self) -> None:
        """Tell it, where every entry has its end beside it; what is noted is written by now."""
        if self._unended and not self._lost:
            return
        lines, self._lines = self._lines, []
        entries, self._entries = self._entries, []
        ordinals, self._ordinals = self._ordinals, []
        self._bytes = 0
        if not self._lost:
            self._follow(lines, entries, ordinals)

    def _tell_start(self, name: str, began: UnderWay) -> None:
        """Have a call's start told by itself, where it was not."""
        if name not in self._started:
            row, at, most = began
            self._lines.append(started_of(name, at, row, most))
            self._started.add(name)
