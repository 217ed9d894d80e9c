"""A run while it is under way: its engine and what stands beside it, what signals lead to, and how far it is."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import field

import anyio

from batchrun.core.classes import slotted
from batchrun.core.jobs.job import Job
from batchrun.core.progress import Progress, WorkspaceProgress
from batchrun.core.scheduling.plan import of_workspaces
from batchrun.core.scheduling.scheduler import Scheduler
from batchrun.edge import signals
from batchrun.edge.ledger import Ledger
from batchrun.engine import Engine
from batchrun.running.failing import HELD_UP, stop_at_once
from batchrun.running.opening import Opening
from batchrun.running.preparing import Preparer
from batchrun.running.wishes import MOST_UNREADABLE, Wishes

_TIME_TO_CLOSE = 10.0
"""Seconds from the signal that breaks a run off to the end of its last sync: one that hangs would hold it up for ever."""


@slotted
class UnderWay:
    """What changes while the run is under way."""

    stopped_by: str | None = None
    unreadable: list[str] = field(default_factory=list)
    """Why rows could not be read."""
    unread: Counter[str] = field(default_factory=Counter)
    """How many could not, by workspace."""
    at_first_signal: Callable[[str], None] | None = None
    """None before the first call can be made: none is made then."""
    at_further_signals: Callable[[], None] = stop_at_once
    _overdue: asyncio.TimerHandle | None = None

    def signalled(self, name: str) -> None:
        """Do what the first signal leads to now."""
        if self.at_first_signal is None:
            self.stopped_by = name
        else:
            self.at_first_signal(name)

    def signalled_again(self) -> None:
        """Do what any further signal leads to now."""
        self.at_further_signals()

    def must_close(self) -> None:
        """End the process, as any further signal would, where the ledger is not closed in time."""
        self.at_further_signals = stop_at_once
        if self._overdue is None:
            self._overdue = asyncio.get_running_loop().call_later(_TIME_TO_CLOSE, stop_at_once)

    def closed(self) -> None:
        """Take note that the ledger is closed."""
        if self._overdue is not None:
            self._overdue.cancel()

    def not_read(self, workspace: str, reason: str) -> None:
        """Take note of a row that could not be read; of an input that was replaced, that may be all of them."""
        self.unread[workspace] += 1
        if len(self.unreadable) < MOST_UNREADABLE:
            self.unreadable.append(reason)


async def drive(
    engine: Engine, scheduler: Scheduler, ledger: Ledger, job: Job, wishes: Wishes, way: UnderWay, observe: Callable[[], Progress]
) -> None:
    """Run the engine with what stands beside it: syncing, progress, signals. Asked to drain, it gives what is in flight its grace."""
    async with anyio.create_task_group() as beside:
        under_way = anyio.CancelScope()

        def drain(signal: str) -> None:
            way.stopped_by = signal
            under_way.deadline = anyio.current_time() + job.stop.grace
            scheduler.stop()
            engine.wake()
            if flying := scheduler.in_flight:
                have = "1 in flight has" if flying == 1 else f"{flying:,} in flight have"
                wishes.note(f"{signal}: no new calls; {have} {job.stop.grace:.0f} s; once more stops at once")
            else:
                wishes.note(f"{signal}: no new calls, and none is in flight")

        def break_off() -> None:
            under_way.cancel()
            # A sync that hangs, for which calls wait, cannot be cancelled.
            way.must_close()

        def finish(signal: str) -> None:
            wishes.note(f"{signal}: the run is over, and its account is being made; once more stops at once")

        beside.start_soon(ledger.keep_synced, engine.wake)
        if wishes.show is not None:
            beside.start_soon(wishes.show, observe)
        if way.stopped_by is not None:
            scheduler.stop()
        way.at_first_signal, way.at_further_signals = drain, break_off
        try:
            with under_way:
                await engine.run()
        finally:
            # After an error too: a sync that hangs still holds the end up, and nothing else would end that.
            way.at_first_signal, way.at_further_signals = finish, stop_at_once
        beside.cancel_scope.cancel()


@asynccontextmanager
async def closing_beside(ledger: Ledger, way: UnderWay) -> AsyncIterator[None]:
    """Close *ledger* when the block is left, whatever it is left by, and beside the event loop: a sync that hangs holds up no signal.

    *way* is told when that is done.
    """
    begun = False

    def close() -> None:
        nonlocal begun
        begun = True
        ledger.close()

    try:
        yield
    finally:
        with anyio.CancelScope(shield=True):
            try:
                await anyio.to_thread.run_sync(close)
            except (MemoryError, RuntimeError):
                if begun:
                    raise
                ledger.close()  # There is no thread for it.
            finally:
                way.closed()


@asynccontextmanager
async def heard(way: UnderWay, wishes: Wishes) -> AsyncIterator[None]:
    """While the block lasts, signals lead to what *way* says, to the last line of the account."""
    async with anyio.create_task_group() as beside:
        if wishes.handle_signals:
            beside.start_soon(signals.watch, way.signalled, way.signalled_again, HELD_UP)
        yield
        beside.cancel_scope.cancel()


def observer(scheduler: Scheduler, opening: Opening, way: UnderWay, prepare: Preparer) -> Callable[[], Progress]:
    """How far the run is, as often as that is asked."""
    rows = of_workspaces(opening.plan.rows_of_the_run())
    active = {workspace for workspace, _ in opening.plan.lanes()}
    kept = opening.plan.held()
    stood: set[str] = set()

    def observe() -> Progress:
        left = of_workspaces(scheduler.left())
        held = scheduler.held(anyio.current_time())
        parked, closed = scheduler.rows_standing()
        to_retry, paces = scheduler.rows_to_retry(), scheduler.paces.look()
        stood.update(parked, closed)
        return Progress(
            tuple(
                WorkspaceProgress(
                    name,
                    count,
                    count - left[name] - kept[name] - scheduler.rows_held().get(name, 0) - way.unread[name],
                    scheduler.in_flight_of(name) if name in active else 0,
                    name in held,
                    parked[name],
                    closed[name],
                    kept[name] + scheduler.rows_held().get(name, 0),
                    scheduler.rows_failed().get(name, 0),
                    to_retry.get(name, 0),
                    way.unread[name],
                    "" if name in stood else paces.get(name, ""),
                )
                for name, count in rows.items()
            ),
            prepare.tokens,
            draining=way.stopped_by is not None,
            set_aside=opening.source.counts.set_aside,
        )

    return observe
