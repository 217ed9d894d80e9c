"""What waits: workers for what a row or its call needs, and the run's own task for something to come."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from inspect import isawaitable

import anyio.abc

from batchrun.ports import Attempt
from batchrun.waking import tell

Step = Callable[[Attempt], Awaitable[None]]


async def awaited(given: object) -> None:
    """Await what a function has *given*, where that can be: one that is not asynchronous has done it all, and may give anything."""
    if isawaitable(given):
        await given


class Workers:
    """Each waits for one thing at a time, and rests until there is another.

    There are as many as ever waited at once, and they live as long as the run: a row costs no task and no queue. *stepped* is told when a
    step was taken, *broken* of the attempt whose step was cancelled or raised.
    """

    def __init__(self, stepped: Callable[[], None], broken: Callable[[Attempt], None]) -> None:
        self._stepped = stepped
        self._broken = broken
        self._resting: list[asyncio.Future[tuple[Step, Attempt] | None]] = []
        self._tasks: anyio.abc.TaskGroup

    def begin(self, tasks: anyio.abc.TaskGroup) -> None:
        """Live in *tasks*, until they are dismissed."""
        self._tasks = tasks

    def start(self, step: Step, attempt: Attempt) -> None:
        """Let one of them take *step*."""
        while self._resting:
            worker = self._resting.pop()
            # One that was cancelled as it rested may not have had its turn since.
            if not worker.done():
                tell(worker, (step, attempt))
                return
        self._tasks.start_soon(self._work, step, attempt)

    def dismiss(self) -> None:
        """No more steps will come: all of them rest."""
        for worker in self._resting:
            if not worker.done():
                tell(worker, None)

    async def _work(self, step: Step, attempt: Attempt) -> None:
        """Take step after step, until there are no more. Cancelled in a call, it leaves a start without an end: a doubt."""
        loop = asyncio.get_running_loop()
        given: tuple[Step, Attempt] | None = step, attempt
        while given is not None:
            step, attempt = given
            try:
                await step(attempt)
            except BaseException:
                self._broken(attempt)
                raise
            # It may rest for hours, and the answer that it waited for may be large.
            del given, step, attempt
            self._stepped()
            rest: asyncio.Future[tuple[Step, Attempt] | None] = loop.create_future()
            self._resting.append(rest)
            given = await rest
            del rest


class Sleep:
    """Of the run's own task, between two turns: until something comes, or a time."""

    def __init__(self) -> None:
        self._asleep: asyncio.Future[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._rings_at = math.inf
        self._late = 0.0

    def begin(self) -> asyncio.Future[None]:
        """Give what is awaited once nothing is left to do; whatever comes from here on ends it."""
        self._asleep = asyncio.get_running_loop().create_future()
        return self._asleep

    def end(self) -> None:
        """End it, or the next: something came. Before the run, and while it is awake already, there is nothing to end."""
        asleep = self._asleep
        if asleep is not None and not asleep.done():
            tell(asleep, None)

    def end_at(self, at: float) -> None:
        """End it at a time of the loop, at the latest."""
        # An alarm that rings early does no harm; setting one anew for each row would cost more than all the rest here.
        if at < self._rings_at:
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm, self._rings_at = asyncio.get_running_loop().call_at(at, self._ring), at

    def overslept(self, now: float) -> float:
        """Seconds, since this was last asked, in which no alarm could ring: something had stopped the process."""
        late, self._late = max(self._late, now - self._rings_at), 0.0
        return late

    def close(self) -> None:
        """Nothing ends it any more."""
        if self._alarm is not None:
            self._alarm.cancel()

    def _ring(self) -> None:
        self._late = max(self._late, asyncio.get_running_loop().time() - self._rings_at)
        self._alarm, self._rings_at = None, math.inf
        self.end()
