"""What waits: starts what the scheduler says, records what comes back, and frees the slot after that.

The engine knows neither files nor sockets: it is given a reader of rows, a sender and a ledger. Workers are as many as were ever in
flight at once, live as long as the run, and take their next row themselves: a row costs no task and no queue. Only the run's own task
sleeps; a timer wakes it when the scheduler named a time, the ledger when it has room again.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import anyio
import anyio.abc
from anyio.lowlevel import checkpoint_if_cancelled

from batchrun.core.ledger.attempts import Bound
from batchrun.core.model import Answered, Call, Exhausted, Failure, Outcome, Rejected, Reply, Request, Row, Usage
from batchrun.core.scheduling.scheduler import Drained, Launch, Scheduler, Ticket, Verdict, WaitUntil


class Recorder(Protocol):
    """What the engine asks of a ledger (`edge/ledger.py` keeps the promises)."""

    def start(self, row: Row, most: Bound, at: float) -> str:
        """Note that an attempt is about to be sent, and name it."""

    def end(self, attempt: str, verdict: str, result: Reply | Failure, at: float) -> None:
        """Note what an attempt brought."""

    def append(self, outcome: Outcome, now: float) -> None:
        """Write an entry."""

    def room(self, now: float) -> bool:
        """Whether more may be launched."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A row made ready to be sent."""

    row: Row
    request: Request
    most: Bound
    """What one attempt can be billed for."""
    reading: Any = None
    """What the sender reads the answer with; the engine only hands it on."""
    check: Callable[[Reply], Reply | Failure] | None = None
    """Whether a whole answer is one that the row takes."""
    tokens: float | None = None
    """What one attempt is expected to cost, now that the row is known."""
    learn: Callable[[Usage], None] = lambda _usage: None
    """Gets what an attempt did cost."""
    done: Callable[[], None] = lambda: None
    """Called when the row leaves the run, whatever became of it."""


@dataclass(frozen=True, slots=True)
class Unsendable:
    """A row that cannot be sent as it is: what its failure leads to happens before any call."""

    row: Row
    failure: Failure


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row that could not be read back: the input changed under the run."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ports:
    """The outside, as the engine sees it."""

    prepare: Callable[[Ticket], Awaitable[Prepared | Unsendable | Unreadable]]
    send: Callable[[Prepared], Awaitable[Reply | Failure]]
    ledger: Recorder
    hand_on: Callable[[Outcome], Awaitable[None]] | None = None
    """Gets each outcome once its entry is written; the row's slot is held until it returns."""
    unreadable: Callable[[Ticket, Unreadable], None] = lambda _ticket, _what: None
    fund: Callable[[Ticket, Bound, float], None] = lambda _ticket, _most, _at: None
    """Sees to it that budgets which are shared with other runs have what an attempt may cost, sent at a wall time, if there is any."""
    jitter: Callable[[], float] = random.random
    wall_time: Callable[[], float] = time.time


class Engine:
    """Drives one scheduler to its end."""

    def __init__(self, scheduler: Scheduler, ports: Ports) -> None:
        self._scheduler = scheduler
        self._ports = ports
        self._resting: list[asyncio.Future[Ticket | None]] = []
        self._drained: Drained | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._rings_at = math.inf
        self._loop: asyncio.AbstractEventLoop
        self._asleep: asyncio.Future[None]
        """What the run's own task waits for."""
        self._workers: anyio.abc.TaskGroup | None = None

    async def run(self) -> Drained:
        """Carry out rows until the scheduler is drained; raises what a port raises, LedgerError above all."""
        self._loop = asyncio.get_running_loop()
        async with anyio.create_task_group() as self._workers:
            self._asleep = self._loop.create_future()
            self._launch_all()
            while self._drained is None:
                await self._asleep
                self._asleep = self._loop.create_future()
                await checkpoint_if_cancelled()
                self._launch_all()
            if self._alarm is not None:
                self._alarm.cancel()
            for worker in self._resting:
                worker.set_result(None)
        assert self._drained is not None
        return self._drained

    def wake(self) -> None:
        """Look again: the ledger has room, or the scheduler was told to stop."""
        # Before the run, and while it is awake already, there is nothing to wake.
        asleep = getattr(self, "_asleep", None)
        if asleep is not None and not asleep.done():
            asleep.set_result(None)

    def _launch_all(self) -> None:
        while (ticket := self._next()) is not None:
            if self._resting:
                self._resting.pop().set_result(ticket)
            elif self._workers is not None:
                self._workers.start_soon(self._work, ticket)

    def _next(self) -> Ticket | None:
        """What may go now; where nothing may, whoever frees the next is set to wake the run."""
        now = self._loop.time()
        if self._drained is not None or not self._ports.ledger.room(now):
            return None
        match self._scheduler.next(now):
            case Launch(ticket):
                return ticket
            case WaitUntil(at):
                self._wake_at(at)
            case Drained() as drained:
                self._drained = drained
                self.wake()
        return None

    def _wake_at(self, at: float) -> None:
        # An alarm that rings early does no harm; setting one anew for each row would cost more than all the rest here.
        if at < self._rings_at:
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm, self._rings_at = self._loop.call_at(at, self._ring), at

    def _ring(self) -> None:
        self._alarm, self._rings_at = None, math.inf
        self.wake()

    async def _work(self, ticket: Ticket | None) -> None:
        while ticket is not None:
            await self._carry_out(ticket)
            if self._asleep.done():
                # Cancelled while its answer was read, it may be: those at rest are cancelled then, and nothing more may be sent.
                await checkpoint_if_cancelled()
            ticket = self._next()
            if ticket is not None:
                self._launch_all()
            else:
                following: asyncio.Future[Ticket | None] = self._loop.create_future()
                self._resting.append(following)
                ticket = await following

    async def _carry_out(self, ticket: Ticket) -> None:
        try:
            outcome = await self._outcome(ticket)
            if outcome is not None and self._ports.hand_on is not None:
                await self._ports.hand_on(outcome)
        finally:
            # Only now: a slow disk, and a slow reader of outcomes, slow the lanes.
            self._scheduler.release(ticket)

    async def _outcome(self, ticket: Ticket) -> Outcome | None:
        match await self._ports.prepare(ticket):
            case Unreadable() as what:
                self._scheduler.unsent(ticket)
                self._scheduler.drop(ticket)
                self._ports.unreadable(ticket, what)
                return None
            case Unsendable(row, failure):
                return self._refuse(ticket, row, failure)
            case ready:
                return await self._attempt(ticket, ready)

    def _refuse(self, ticket: Ticket, row: Row, failure: Failure) -> Outcome | None:
        now = self._loop.time()
        self._scheduler.unsent(ticket)
        outcome = _outcome(self._scheduler.settle(ticket, failure, now, self._ports.jitter()), row, failure, None)
        if outcome is not None:
            self._ports.ledger.append(outcome, now)
        return outcome

    async def _attempt(self, ticket: Ticket, ready: Prepared) -> Outcome | None:
        """Make one attempt and write down what came of it; cancelled, it leaves a start without an end: a doubt."""
        ports = self._ports
        started_at, began = ports.wall_time(), self._loop.time()
        ports.fund(ticket, ready.most, started_at)
        if not self._scheduler.afford(ticket, ready.most, started_at):
            return None
        if ready.tokens is not None:
            self._scheduler.reprice(ticket, ready.tokens)
        name = ports.ledger.start(ready.row, ready.most, started_at)
        result = await ports.send(ready)
        if result.usage is not None:
            ready.learn(result.usage)
        if ready.check is not None and isinstance(result, Reply):
            result = ready.check(result)
        now = self._loop.time()
        verdict = self._scheduler.settle(ticket, result, now, ports.jitter())
        outcome = _outcome(verdict, ready.row, result, Call(name, ticket.attempt, started_at, round((now - began) * 1000)))
        if outcome is not None:
            ports.ledger.append(outcome, now)
        if verdict.final:
            ready.done()
        ports.ledger.end(name, verdict, result, started_at + now - began)
        return outcome


def _outcome(verdict: Verdict, row: Row, result: Any, call: Call | None) -> Outcome | None:
    match verdict:
        case Verdict.ANSWERED if call is not None:
            return Answered(row, result, call)
        case Verdict.REJECTED:
            return Rejected(row, result, call)
        case Verdict.EXHAUSTED:
            return Exhausted(row, result, call)
        case _:
            return None
