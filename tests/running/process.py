"""A process that carries one opening of a run out, as the engine does, and may end between any two steps, or in the midst of a write."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from batchrun.core.model import Failure, Reply
from batchrun.core.scheduling.scheduler import Drained, Scheduler
from batchrun.edge.ledger import Files, Ledger
from batchrun.ports import Attempt, Prepared
from batchrun.running.bookkeeping import Bookkeeper
from batchrun.running.preparing import Preparer


class KilledError(Exception):
    """The process is no more."""


class Tools(NamedTuple):
    """What an opening has."""

    scheduler: Scheduler
    prepare: Preparer
    ledger: Ledger
    files: Files
    keeper: Bookkeeper


class Process:
    """One opening's turns. *call* is what a call brings, and is told when it is made."""

    def __init__(
        self, directory: Path, dice: random.Random, tools: Tools, call: Callable[[Prepared, float], Reply | Failure], clock: float
    ) -> None:
        self._directory, self._dice, self._tools, self._call = directory, dice, tools, call
        self.clock = clock
        self._under_way: list[Attempt] = []
        self._now = 0.0
        self._is_last = False

    def go(self, steps: int, *, kill: bool) -> None:
        """Take so many turns, or as many as there is anything to do; then die, or end what is under way."""
        for step in range(steps):
            self._is_last = kill and step == steps - 1
            drained = self._turn()
            if drained and not self._under_way:
                break
        if kill:
            raise KilledError
        while self._under_way:
            self._end(len(self._under_way))

    def _pass(self, seconds: float) -> None:
        self._now += seconds
        self.clock += seconds

    def _turn(self) -> bool:
        tickets, then = self._tools.scheduler.launches(self._now, self._dice.randint(1, 6))
        starting = []
        prepared = [*zip(tickets, self._tools.prepare(tickets), strict=True)]
        assert all(isinstance(ready, Prepared) for _, ready in prepared), prepared
        asked = [(ticket.lane.plan.purses, ticket.lane.key, ready.most) for ticket, ready in prepared if isinstance(ready, Prepared)]
        self._tools.keeper.fund(asked, self.clock)
        for ticket, ready in prepared:
            assert isinstance(ready, Prepared)
            if not self._tools.scheduler.afford(ticket, ready.most, self.clock):
                self._tools.scheduler.release(ticket)
                continue
            attempt = Attempt(ticket, ready)
            attempt.row, attempt.started_at, attempt.launched = ready.row, self.clock, self._now
            attempt.name = self._tools.ledger.start(ready.row, ready.most, self.clock)
            starting.append(attempt)
        self._flush()
        for attempt in starting:
            self._maybe_die()
            attempt.began = self._now
            attempt.result = self._call(attempt.ready, self.clock)
            self._under_way.append(attempt)
        self._tools.ledger.tell()
        self._maybe_die()
        self._pass(self._dice.choice((0.01, 1.0, 70.0)))
        self._end(self._dice.randint(0, len(self._under_way)))
        if self._dice.random() < 0.2:
            self._tools.ledger.hand_over()
        return isinstance(then, Drained)

    def _end(self, count: int) -> None:
        self._dice.shuffle(self._under_way)
        ended, self._under_way = self._under_way[:count], self._under_way[count:]
        for attempt in ended:
            attempt.ended = self._now
            if attempt.result.usage is not None:
                attempt.ready.learn(attempt.result.usage, 1)
            if isinstance(attempt.result, Failure):
                attempt.result = self._tools.scheduler.taken_as(attempt.ticket, attempt.result)
            attempt.verdict = self._tools.scheduler.settle(attempt.ticket, attempt.result, self._now, 0.5)
            attempt.outcome = attempt.became()
            (attempt.ready.done if attempt.verdict.final else attempt.ready.again)()
            if attempt.outcome is not None:
                self._tools.ledger.append(attempt.outcome, self._now)
        self._flush()
        for attempt in ended:
            self._maybe_die()
            assert attempt.name is not None
            self._tools.ledger.end(attempt.name, attempt.verdict, attempt.result, attempt.started_at + attempt.ended - attempt.launched)
        self._maybe_die()
        for attempt in ended:
            self._tools.scheduler.release(attempt.ticket)

    def _flush(self) -> None:
        """Write what is noted, all of it, or what a process wrote that was killed meanwhile."""
        if not (self._is_last and self._dice.random() < 0.4):
            self._tools.ledger.flush()
            return
        before = {path: path.stat().st_size for path in self._directory.rglob("*") if path.suffix in {".log", ".jsonl"}}
        noted = [file.path for file in self._tools.files._noted]
        self._tools.ledger.flush()
        torn = self._dice.randint(0, max(0, len(noted) - 1))
        for place, path in enumerate(noted):
            size = path.stat().st_size
            begun = before.get(path, 0)
            if place == torn:
                _cut(path, self._dice.randint(begun, size))
            elif place > torn:
                _cut(path, begun)
        raise KilledError

    def _maybe_die(self) -> None:
        if self._is_last and self._dice.random() < 0.1:
            raise KilledError


def _cut(path: Path, size: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size)
