"""A run's outcomes as they come, for a program that is asynchronous itself.

While the program's block runs, no task group and no scope is open around it: whoever hands outcomes on from a generator of his own, as a
web service does, may have it closed by another task, which cannot leave what this one has entered, and would cancel what it never began.
So the run is a task of its own. It begins with the block and has ended when that is left.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
from anyio.lowlevel import checkpoint

from batchrun.core.jobs.job import Job
from batchrun.core.model import Outcome
from batchrun.running.loops import on_asyncio
from batchrun.running.one_run import run
from batchrun.running.wishes import NO_WISHES, Ending, Wishes
from batchrun.waiting import awaited

_MOST_WAITING = 16


class _Came:
    """Outcomes that came and that nobody has taken yet.

    Whoever gives up waiting just as one comes leaves it to the next who asks: what hands it to a task, as streams do, loses it with that.
    """

    def __init__(self) -> None:
        self._outcomes: deque[Outcome] = deque()
        self._there, self._room = asyncio.Semaphore(0), asyncio.Semaphore(_MOST_WAITING)

    async def give(self, outcome: Outcome) -> None:
        """Add one, once there is room for it."""
        await self._room.acquire()
        self._outcomes.append(outcome)
        self._there.release()

    async def take(self) -> Outcome | None:
        """Wait for the next; None where none comes any more."""
        await checkpoint()
        await self._there.acquire()
        if not self._outcomes:
            self.end()  # for whoever else waits
            return None
        self._room.release()
        return self._outcomes.popleft()

    def end(self) -> None:
        """No more will come."""
        self._there.release()

    def clear(self) -> None:
        """Nobody takes those that came."""
        self._outcomes.clear()


class Coming:
    """Outcomes of a run, to be iterated over, by several tasks too: each outcome is one's. Who gives up waiting for the next loses none."""

    def __init__(self, came: _Came, under_way: asyncio.Task[Ending | None]) -> None:
        self._came = came
        self._under_way = under_way

    @property
    def ending(self) -> Ending:
        """How the run ended, once there are no more outcomes; before that, and where it was left early, it raises RuntimeError."""
        task = self._under_way
        ending = task.result() if task.done() and not task.cancelled() else None
        if ending is None:
            why = "its block was left before its end: read_statement tells how far it came" if task.done() else "outcomes are still to come"
            raise RuntimeError(f"the run has no ending: {why}")
        return ending

    def __aiter__(self) -> Coming:
        return self

    async def __anext__(self) -> Outcome:
        """Give the next; what ended the run, where that was an error, ends the iteration."""
        if (outcome := await self._came.take()) is not None:
            return outcome
        self._under_way.result()
        raise StopAsyncIteration


@asynccontextmanager
async def outcomes(job: Job, wishes: Wishes = NO_WISHES) -> AsyncIterator[Coming]:
    """Carry *job* out and iterate over its outcomes as they come.

    An outcome is in the ledger before it is handed out, and the `hand_on` of *wishes* has had it; a slow reader slows the run and loses
    nothing. Leaving the block early stops the run, resumable: calls under way are broken off, and may be billed; what was answered by then
    and not handed out stands in the results, and no later opening hands it out. What the block raises comes out as it is, what ends the run
    as `run` raises it.
    """
    on_asyncio()
    came, stop = _Came(), anyio.CancelScope()

    async def hand_on(outcome: Outcome) -> None:
        if wishes.hand_on is not None:
            await awaited(wishes.hand_on(outcome))
        await came.give(outcome)

    async def carry_out() -> Ending | None:
        with stop:
            return await run(job, replace(wishes, hand_on=hand_on))
        return None

    under_way, own = asyncio.create_task(carry_out()), None  # noqa: TID251 - as told above, and it ends in here
    # Whatever it ends by, and though it may never have begun.
    under_way.add_done_callback(lambda _ended: came.end())
    try:
        yield Coming(came, under_way)
    except BaseException as error:
        own = error
        raise
    finally:
        stop.cancel()
        try:
            await _ended(under_way)
        finally:
            came.clear()
        # A cancellation passes whatever the run came to.
        failed = None if under_way.cancelled() else under_way.exception()
        if failed is not None and (own is None or isinstance(own, Exception)):
            raise failed


async def _ended(under_way: asyncio.Task[Ending | None]) -> None:
    """Wait until the run has ended, however often that is cancelled: what it began in threads is not left behind."""
    cancelled: BaseException | None = None
    with anyio.CancelScope() as waiting:
        while not under_way.done():
            try:
                await asyncio.wait((under_way,))
            except asyncio.CancelledError as error:
                waiting.shield, cancelled = True, error
    if cancelled is not None:
        raise cancelled
