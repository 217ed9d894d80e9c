"""What decides: turns, in which what came is recorded, slots are given back, and what the scheduler says is started.

The engine knows neither files nor sockets: it is given what makes rows ready, a sender and a ledger. The run's own task decides, in
*turns*, and begins calls; what came of them it finds in its next turn. Where something must be waited for (a connection, the rest of an
answer, a file) workers wait (`waiting.py`), and put what came where the next turn finds it.

A turn takes in what came since the last: it settles all of it, writes it down, and gives the slots back; then it launches what may go,
makes it ready, writes down that it starts, and begins its call. Each step is taken for all rows before the next one is: so a file is
written once a turn, not once a row, and a step's code is in the processor's cache when the next row needs it; that takes away a third of
what a row costs. While nothing comes nothing turns, but for a timer where the scheduler named a time.
"""

from __future__ import annotations

import asyncio
from functools import partial

import anyio
from anyio.lowlevel import checkpoint_if_cancelled

from batchrun.core.model import Failure, Reply
from batchrun.core.scheduling.decisions import ANSWERED
from batchrun.core.scheduling.scheduler import Drained, Scheduler, Ticket, WaitUntil
from batchrun.hearing import Hearing
from batchrun.ports import Attempt, Fetching, Ports, Prepared, Recorder, Unreadable, Unsendable
from batchrun.pressing import Pressing
from batchrun.waiting import Sleep, Workers, awaited
from batchrun.waking import another_turn

__all__ = ["Engine", "Fetching", "Ports", "Prepared", "Recorder", "Unreadable", "Unsendable"]

_MOST_A_TURN = 64
"""Launches, before sockets have their turn again."""
_TICK = 0.003
"""Seconds: what a rate lets go within them goes in one turn. Buckets save up more than that for those who come late."""
_LONGEST_SLEEP = 60.0
"""Seconds until there is a turn whatever comes."""


class Engine:
    """Drives one scheduler to its end."""

    def __init__(self, scheduler: Scheduler, ports: Ports) -> None:
        self._scheduler = scheduler
        self._ports = ports
        self._fetched: list[Attempt] = []
        self._ended: list[Attempt] = []
        self._handed_on: list[Attempt] = []
        """What came since the last turn."""
        self._workers = Workers(self.wake, lambda attempt: scheduler.release(attempt.ticket))
        self._sleep = Sleep()
        self._hearing = Hearing(self._sleep.end)
        self._drained: Drained | None = None
        self._pressing = Pressing(scheduler, ports.busy_time)
        self._loop: asyncio.AbstractEventLoop

    async def run(self) -> Drained:
        """Carry out rows until the scheduler is drained; raises what a port raises, LedgerError above all."""
        self._loop = asyncio.get_running_loop()
        try:
            async with anyio.create_task_group() as tasks:
                self._workers.begin(tasks)
                drained = await self._turns()
                self._workers.dismiss()
        finally:
            self._sleep.close()
            self._keep()
        return drained

    def wake(self) -> None:
        """Let there be a turn: something came, the ledger has room, or the scheduler was told to stop."""
        self._sleep.end()

    async def _turns(self) -> Drained:
        while True:
            asleep = self._sleep.begin()
            now = self._loop.time()
            self._pressing.look(now, self._sleep.overslept(now))
            for attempt in self._hearing.read(self._ended):
                self._workers.start(self._rest, attempt)
            self._finish()
            self._launch()
            if self._drained is not None:
                return self._drained
            if asleep.done():
                # What is done is not waited for: without this, turn would follow turn and nothing else have its own.
                await another_turn()
            else:
                self._sleep.end_at(self._loop.time() + _LONGEST_SLEEP)
                await asleep
            await checkpoint_if_cancelled()

    # What came.

    def _keep(self) -> None:
        """Whatever ended the run, an answer that had come by then is paid for, and kept."""
        try:
            self._break_off()
        finally:
            for attempt in (*self._taken_in(), *self._handed_on, *self._fetched):
                self._scheduler.release(attempt.ticket)

    def _break_off(self) -> None:
        """End the calls that no worker waits for, which leaves starts without an end; of those that came whole there is an answer."""
        try:
            self._hearing.read(self._ended)
        finally:
            for attempt in self._hearing.abort():
                self._scheduler.release(attempt.ticket)

    def _finish(self) -> None:
        """Take in what ended, and give back the slots of all that nothing is left to do for: a slow reader of outcomes slows the lanes."""
        done, self._handed_on = self._handed_on, []
        ended = self._taken_in()
        if self._ports.hand_on is None:
            done += ended
        else:
            for attempt in ended:
                if attempt.outcome is None:
                    done.append(attempt)
                else:
                    self._workers.start(self._hand_on, attempt)
        release = self._scheduler.release
        for attempt in done:
            release(attempt.ticket)

    def _taken_in(self) -> list[Attempt]:
        """Settle what ended and write down what became of it. A slot that is given back before would let go of an entry unwritten."""
        ended, self._ended = self._ended, []
        ledger, spoilt, wrong = self._ports.ledger, set[Attempt](), None
        for attempt in ended:
            try:
                self._settle(attempt)
                if attempt.outcome is not None:
                    ledger.append(attempt.outcome, attempt.ended)
            except BaseException as error:  # noqa: BLE001 - raised when the others are written, which are paid for all the same
                spoilt.add(attempt)
                wrong = wrong or error
        self._write_down([attempt for attempt in ended if attempt not in spoilt] if spoilt else ended)
        if wrong is not None:
            raise wrong
        return ended

    def _write_down(self, ended: list[Attempt]) -> None:
        ledger = self._ports.ledger
        if ended:
            ledger.flush()
        for attempt in ended:
            if attempt.name is not None:
                ledger.end(attempt.name, attempt.verdict, attempt.result, attempt.started_at + attempt.ended - attempt.launched)

    def _settle(self, attempt: Attempt) -> None:
        ready, result = attempt.ready, attempt.result
        called = attempt.name is not None
        if called:
            if result.usage is not None:
                attempt.ticket.expected = ready.learn(result.usage, self._scheduler.in_flight_of(attempt.ticket.workspace))
            if ready.check is not None and isinstance(result, Reply):
                result = attempt.result = ready.check(result)
        if isinstance(result, Failure):
            result = attempt.result = self._scheduler.taken_as(attempt.ticket, result)
        attempt.verdict = self._scheduler.settle(attempt.ticket, result, attempt.ended, self._ports.jitter())
        attempt.outcome = attempt.became()
        if called:
            (ready.done if attempt.verdict is ANSWERED or attempt.verdict.final else ready.again)()

    # What goes.

    def _launch(self) -> None:
        """Start what may go now, once it is written down that it does."""
        ports = self._ports
        at, now = ports.wall_time(), self._loop.time()
        fetched, self._fetched = self._fetched, []
        starting = [attempt for attempt in fetched if self._may_still_go(attempt, now)]
        tickets = self._tickets()
        for ticket, ready in zip(tickets, ports.prepare(tickets), strict=True):
            match ready:
                case Prepared() | Unsendable():
                    starting.append(Attempt(ticket, ready))
                case Fetching():
                    self._workers.start(self._fetch, Attempt(ticket, ready))
                case Unreadable():
                    self._drop(ticket, ready)
        sent = [attempt for attempt in self._funded(starting, at) if self._may_start(attempt, at, now)]
        ports.ledger.flush()
        for attempt in sent:
            self._send(attempt)
        ports.ledger.tell()

    def _tickets(self) -> list[Ticket]:
        """What may go now; where no more may, whatever frees the next is set to wake the run."""
        now = self._loop.time()
        if not self._ports.ledger.room(now):
            return []
        tickets, then = self._scheduler.launches(now, _MOST_A_TURN)
        match then:
            case WaitUntil(at):
                self._sleep.end_at(max(at, now + _TICK))
            case Drained():
                self._drained = then
            case None:
                self.wake()
        return tickets

    def _may_still_go(self, attempt: Attempt, now: float) -> bool:
        """Ask again of one that waited, lest it goes into what holds its lane back by now."""
        if self._scheduler.may_still_go(attempt.ticket, now):
            return True
        self._scheduler.release(attempt.ticket)
        self.wake()
        return False

    def _funded(self, starting: list[Attempt], at: float) -> list[Attempt]:
        """Have budgets filled that are shared with other runs, for all attempts at once: each time, the books of all are written anew.

        Gives those that need not wait for the books.
        """
        paid = [each for each in starting if each.ticket.lane.plan.purses and isinstance(each.ready, Prepared)]
        if not paid:
            return starting
        waiting = {paid[place] for place in self._ports.fund([(each.ticket, each.ready.most) for each in paid], at)}
        for attempt in waiting:
            self._workers.start(self._be_funded, attempt)
        return [attempt for attempt in starting if attempt not in waiting]

    def _may_start(self, attempt: Attempt, at: float, now: float) -> bool:
        """Note that an attempt starts *at* a wall time, *now* on the loop's; otherwise see to what becomes of its row."""
        ports, ticket, ready = self._ports, attempt.ticket, attempt.ready
        attempt.row = ready.row
        if not isinstance(ready, Prepared):
            self._scheduler.unsent(ticket)
            attempt.result, attempt.ended = ready.failure, self._loop.time()
            self._ended.append(attempt)
            self.wake()
            return False
        if not attempt.promised:
            attempt.promised = True
            if not ports.promise(ready.row, ready.most):
                self._workers.start(self._promise, attempt)
                return False
        if ticket.lane.plan.purses and not self._scheduler.afford(ticket, ready.most, at):
            self._scheduler.release(ticket)
            self.wake()
            return False
        if ready.tokens is not None and self._scheduler.reprice(ticket, ready.tokens):
            self.wake()
        attempt.started_at, attempt.launched = at, now
        attempt.name = ports.ledger.start(ready.row, ready.most, at)
        return True

    def _send(self, attempt: Attempt) -> None:
        """Begin the call; where something has to be waited for first, let a worker make it."""
        call = self._ports.begin(attempt.ready, partial(self._hearing.came, attempt))
        if call is None:
            self._workers.start(self._call, attempt)
        else:
            attempt.began = call.began
            self._hearing.begun[attempt] = call

    def _drop(self, ticket: Ticket, why: Unreadable) -> None:
        self._scheduler.unsent(ticket)
        self._scheduler.drop(ticket)
        self._ports.unreadable(ticket, why)
        self._scheduler.release(ticket)
        self.wake()

    # What is waited for.

    async def _call(self, attempt: Attempt) -> None:
        attempt.began = self._loop.time()
        self._ends(attempt, await self._ports.send(attempt.ready))

    async def _rest(self, attempt: Attempt) -> None:
        self._ends(attempt, await self._hearing.begun.pop(attempt).rest())

    def _ends(self, attempt: Attempt, result: Reply | Failure) -> None:
        attempt.result, attempt.ended = result, self._loop.time()
        self._ended.append(attempt)

    async def _fetch(self, attempt: Attempt) -> None:
        attempt.ready = await attempt.ready.wait()
        self._fetched.append(attempt)

    async def _be_funded(self, attempt: Attempt) -> None:
        await self._ports.free()
        self._fetched.append(attempt)

    async def _promise(self, attempt: Attempt) -> None:
        await self._ports.promised(attempt.row)
        self._fetched.append(attempt)

    async def _hand_on(self, attempt: Attempt) -> None:
        assert self._ports.hand_on is not None
        assert attempt.outcome is not None
        await awaited(self._ports.hand_on(attempt.outcome))
        self._handed_on.append(attempt)
