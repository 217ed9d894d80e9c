"""One run on one page: everything joined, from the job to the statement.

The order matters, for any step may fail or be the last one of a killed process:

1. The run directory is locked. Then nobody else writes to it, and the kernel lets go of the lock however this process ends.
2. The run is opened (`opening.py`): torn tails are mended, the input is indexed, the ledger read. Until here a signal ends the run before
   any call; all that was written can be written again.
3. What cannot be sent is parked, budgets are taken up and the books of shared ones entered, the scheduler is told what is left.
4. Calls are made (`engine.py`) while the ledger is written, and beside them what goes by time: syncs, checkpoints, what was learnt, hours,
   the deadline, budgets. A failure of the ledger or of the books ends all of it; what was learnt costs no row.
5. The account is made of the ledger (`summing_up.py`). Killed meanwhile, nothing is lost: `batchrun report` makes it again.

What was entered is left in the opposite order, whatever happened: connections, books, the simulator, signals, the opening, the lock.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from time import time

import anyio
import anyio.from_thread

from batchrun.core.classes import value
from batchrun.core.errors import JobError, Mistake, StoppedError
from batchrun.core.jobs.job import Job, Workspace
from batchrun.core.ledger.marking import NONE
from batchrun.core.model import Failure, Scope
from batchrun.core.money.exact import exact
from batchrun.core.money.pricing import Prices
from batchrun.core.scheduling.scheduler import ParkedScope, Scheduler
from batchrun.edge import history, lost_steps, run_directory, signals
from batchrun.edge.environment import Keys, hidden_keys, read_keys
from batchrun.edge.garbage import seldom_collected
from batchrun.edge.ledger import Files, Ledger
from batchrun.edge.processor import busy_clock
from batchrun.edge.transport import Transport
from batchrun.engine import Engine, Ports
from batchrun.running import loops, noticed
from batchrun.running.bookkeeping import Bookkeeper
from batchrun.running.budgets import Purses, each_purse, purses_of, take_up, tell_budgets, tell_spent
from batchrun.running.closing import Windows, by_the_clock, windows_of
from batchrun.running.failing import HELD_UP, MAY_COME_OF_IT, Theirs, first_of_ours, give_up, stop_at_once, told
from batchrun.running.money import pricer, prices_of
from batchrun.running.opening import Opening, opened, refuse_its_own
from batchrun.running.parks import Models, models_of, parks_before_any_call, tell_outages, tell_parks, with_what_was_meant
from batchrun.running.planning import Keeping, Learnt, read_learnt, schedule
from batchrun.running.preparing import Preparer, transport_of
from batchrun.running.providing import provided
from batchrun.running.renewing import Renewal
from batchrun.running.schema_of import read_schema
from batchrun.running.simulated import simulated
from batchrun.running.statements import read_statement
from batchrun.running.summing_up import have_at_hand, sum_up
from batchrun.running.under_way import UnderWay, closing_beside, drive, heard, observer
from batchrun.running.unheeded import looker
from batchrun.running.wishes import NO_WISHES, Ending, Wishes

__all__ = ["Ending", "Wishes", "read_statement", "run", "run_blocking"]


async def run(job: Job, wishes: Wishes = NO_WISHES) -> Ending:
    """Carry *job* out, or go on with it; returns when all is done, parked or stopped.

    Raises what `core/errors.py` lists, and what a function among *wishes* raises, as it is: the run has stopped then. Cancelled, it has
    stopped when the cancellation comes out of it. Either way it can be gone on with.
    """
    loops.on_asyncio()
    _expect_job(job)
    if wishes.handle_signals and threading.current_thread() is not threading.main_thread():
        raise RuntimeError("signals reach the main thread alone: run there, or leave handle_signals out of the wishes")
    came_to: list[Ending] = []
    theirs = Theirs()

    async def carry_out() -> None:
        with exact():
            came_to.append(await _run(job, theirs.heard(wishes)))

    try:
        # A task that asyncio cancels leaves the threads behind that it waits for; a group's tasks wait for theirs.
        async with anyio.create_task_group() as own:
            own.start_soon(carry_out)
    except BaseExceptionGroup as group:
        raise first_of_ours(group.exceptions[0], theirs.raised) from None
    if not came_to:
        raise asyncio.CancelledError  # By somebody who cancels all tasks but the one that waits here.
    return came_to[0]


def _expect_job(given: object) -> None:
    if not isinstance(given, Job):
        makes_one = "load_job reads one from a file, Job.model_validate takes its tables"
        raise JobError(f"a Job is wanted, and not a {type(given).__name__}: {makes_one}")


def run_blocking(job: Job, wishes: Wishes = NO_WISHES) -> Ending:
    """Do the same as `run`, for a caller without an event loop; uvloop's where it is installed (the extra ``fast``)."""
    loops.off_asyncio()
    loop = loops.of_its_own(or_end=wishes.handle_signals)
    try:
        with seldom_collected():
            return anyio.run(run, job, wishes, backend_options={"loop_factory": loop})
    except MAY_COME_OF_IT as error:
        # Of the loop itself, outside of every step.
        raise told(error) from None


@value
class _Settings:
    """What a run is carried out by: the job, its workspaces with what they inherit, and what the caller wishes."""

    job: Job
    workspaces: Mapping[str, Workspace]
    wishes: Wishes

    @property
    def directory(self) -> Path:
        return Path(self.job.run_directory)


@value
class _Plans:
    """What decides what is sent and when, and what it is told by."""

    scheduler: Scheduler
    learnt: Learnt
    keeping: Keeping
    prices: Prices
    purses: Purses
    books: Bookkeeper
    windows: Windows
    models: Models

    def parked(self) -> tuple[ParkedScope, ...]:
        """What stands still, as it is told."""
        return with_what_was_meant(self.scheduler.parked(), self.models)


async def _run(job: Job, wishes: Wishes) -> Ending:
    settings = _Settings(job, job.workspaces_resolved(), wishes)
    dotenv = None if wishes.dotenv is None else Path(wishes.dotenv)
    keys, schema = read_keys(settings.workspaces.values(), os.environ, dotenv), read_schema(job.answers.schema_)
    async with AsyncExitStack() as stack:
        if wishes.handle_signals:
            stack.enter_context(lost_steps.told(give_up))
        opening = await _begun(stack, settings)
        way = UnderWay()
        await stack.enter_async_context(heard(way, wishes))
        stack.enter_context(provided(job, settings.workspaces, opening))
        lanes = opening.plan.lanes()
        hidden = hidden_keys(settings.workspaces.values(), os.environ, dotenv)
        of_keys = noticed.of_keys(keys, hidden, {name for name, _ in lanes}, dotenv)
        for note in (*of_keys, *noticed.prices_to_come(prices_of(job), lanes, settings.workspaces, time())):
            wishes.note(note)
        parks = _parks(settings.workspaces, keys, opening, wishes)
        simulator = await stack.enter_async_context(simulated(job, settings.workspaces))
        plans = await _planned(stack, settings, opening, parks)
        prepare = Preparer(
            job, {**keys, **simulator.keys}, simulator.endpoint, run=opening.run, source=opening.source, schema=schema,
            learnt=plans.learnt, look=looker(opening.source, opening.plan, wishes.note),
            renewed=Renewal(settings.workspaces, keys, dotenv, wishes.note).of,
        )  # fmt: skip
        ledger = await _carried_out(stack, settings, opening, plans, prepare, way)
        tell_spent(plans.purses, wishes.note)
        await plans.keeping.now()
        # A signal that came with the last answers has stopped nothing.
        stopped_by = way.stopped_by if any(plans.scheduler.left().values()) else None
        held = opening.plan.held() + Counter(plans.scheduler.rows_held()) if wishes.holds_in_doubt(job) else None
        came_to = await anyio.to_thread.run_sync(sum_up, opening, ledger, plans.parked(), stopped_by, wishes.page, held)
    return Ending(
        came_to.statement, came_to.parked, stopped_by, tuple(way.unreadable), came_to.held, came_to.page, opening.no_rows, came_to.failures,
        opening.plan.failed_and_gone(), opening.plan.changed, came_to.grown,
    )  # fmt: skip


async def _begun(stack: AsyncExitStack, settings: _Settings) -> Opening:
    """Lock and open the run; a signal that comes meanwhile ends it before any call, and another one at once."""
    wishes, asked = settings.wishes, list[str]()

    def stop_if_asked() -> None:
        if asked:
            raise StoppedError(f"{asked[0]}: stopped before any call; go on with the same command")

    def on_index(done: int, expected: int) -> None:
        stop_if_asked()
        anyio.from_thread.check_cancelled()
        if wishes.on_index is not None:
            wishes.on_index(done, expected)

    async with anyio.create_task_group() as beside:
        if wishes.handle_signals:
            beside.start_soon(signals.watch, asked.append, stop_at_once, HELD_UP)
        opening = await anyio.to_thread.run_sync(_open, stack, settings, on_index)
        beside.cancel_scope.cancel()
    for note in opening.notes:
        # Before it may stop: what has changed since the last opening is no news to the next one.
        wishes.note(note)
    stop_if_asked()
    return opening


def _open(stack: AsyncExitStack, settings: _Settings, on_index: Callable[[int, int], None]) -> Opening:
    wishes = settings.wishes
    # Before anything is made there: it may be the user's own folder.
    refuse_its_own(settings.job, settings.directory)
    stack.enter_context(run_directory.locked(settings.directory))
    opening = opened(
        settings.job, settings.workspaces, settings.directory, strict=wishes.strict, retry_rejected=wishes.retry_rejected,
        hold_in_doubt=wishes.holds_in_doubt(settings.job), on_progress=on_index,
    )  # fmt: skip
    return stack.enter_context(opening)


async def _planned(
    stack: AsyncExitStack, settings: _Settings, opening: Opening, parks: Iterable[tuple[str, str, Failure]]
) -> _Plans:  # fmt: skip
    """What is to be sent, within what budgets, and by what is known of the provider; *parks* are parked from the start."""
    job, workspaces, wishes, directory = settings.job, settings.workspaces, settings.wishes, settings.directory
    learnt, prices = read_learnt(directory), prices_of(job)
    purses = purses_of(job, workspaces, opening.plan.lanes(), prices)
    if note := await anyio.to_thread.run_sync(_take_up, settings, opening, purses):
        wishes.note(note)
    books = Bookkeeper(directory, each_purse(purses), wishes.note)
    await anyio.to_thread.run_sync(stack.enter_context, books.open())
    scheduler = schedule(job, workspaces, opening, learnt, wait=wishes.wait, hold_in_doubt=wishes.holds_in_doubt(job), purses=purses)
    for workspace, model, failure in parks:
        scheduler.park(failure.scope, workspace, model, failure, anyio.current_time(), probe=False)
    keeping = Keeping(directory, learnt, scheduler, wishes.note)
    models = models_of(workspaces.values(), prices.models())
    return _Plans(scheduler, learnt, keeping, prices, purses, books, windows_of(workspaces, scheduler, wishes.note), models)


def _take_up(settings: _Settings, opening: Opening, purses: Purses) -> str | None:
    """Count what was spent so far, and have what will be summed up beside: the next opening need not read it. Gives a note for a person."""
    followed = opening.followed
    taken_up = take_up(settings.job, purses, settings.directory, keep=True, known=NONE if followed is None else followed.stood)
    if taken_up is not None and followed is not None:
        followed.with_budgets(*taken_up)
    return None if taken_up is None else taken_up[0].note


async def _carried_out(
    stack: AsyncExitStack, settings: _Settings, opening: Opening, plans: _Plans, prepare: Preparer, way: UnderWay
) -> Ledger:  # fmt: skip
    """Send what is to be sent and write down what comes back; returns the ledger, closed."""
    job, wishes, scheduler = settings.job, settings.wishes, plans.scheduler
    transport = await stack.enter_async_context(transport_of(job, sum(each.concurrency for each in settings.workspaces.values())))
    ledger = Ledger(
        Files(settings.directory, run_directory.open_to_append), opening.number,
        form=job.output.form, raw=job.output.raw, price=pricer(plans.prices, settings.workspaces), boot=history.boot_id(),
    )  # fmt: skip
    async with closing_beside(ledger, way):
        if opening.followed is not None:
            ledger.be_followed(opening.followed.take)
        ledger.opened(time())
        ports = _ports(prepare, transport, ledger, plans.books, wishes, way)
        engine = Engine(scheduler, replace(ports, busy_time=stack.enter_context(busy_clock())))
        async with anyio.create_task_group() as beside:
            beside.start_soon(anyio.to_thread.run_sync, have_at_hand)
            beside.start_soon(plans.keeping.now_and_then)
            beside.start_soon(tell_budgets, plans.purses, wishes.note)
            beside.start_soon(tell_parks, plans.parked, wishes.note)
            beside.start_soon(tell_outages, scheduler.outages, wishes.note)
            beside.start_soon(plans.books.keep, scheduler, engine.wake)
            if opening.followed is not None:
                beside.start_soon(opening.followed.keep, ledger)
            beside.start_soon(by_the_clock, plans.windows, job.deadline, engine.wake)
            await drive(engine, scheduler, ledger, job, wishes, way, observer(scheduler, opening, way, prepare))
            beside.cancel_scope.cancel()
    return ledger


def _parks(workspaces: Mapping[str, Workspace], keys: Keys, opening: Opening, wishes: Wishes) -> list[tuple[str, str, Failure]]:
    """What cannot be sent as things stand; refuses to start over it where that is wished."""
    parks = parks_before_any_call(workspaces, keys, opening.plan.lanes())
    if wishes.strict and parks:
        raise JobError("not started, for --strict was given:", tuple(_mistake(*park) for park in parks))
    return parks


def _ports(prepare: Preparer, transport: Transport, ledger: Ledger, books: Bookkeeper, wishes: Wishes, way: UnderWay) -> Ports:
    return Ports(
        prepare, lambda ready: transport.post(ready.request, ready.reading), ledger, wishes.hand_on,
        lambda ticket, what: way.not_read(ticket.lane.plan.workspace, what.reason),
        promise=ledger.promise, promised=ledger.promised,
        begin=lambda ready, came: transport.begin(ready.request, ready.reading, came),
        fund=lambda asked, at: books.fund([(ticket.lane.plan.purses, ticket.lane.key, most) for ticket, most in asked], at),
        free=books.turn.free,
    )  # fmt: skip


def _mistake(workspace: str, model: str, failure: Failure) -> Mistake:
    where = f"workspaces.{workspace}" + (f", model {model}" if failure.scope is Scope.LANE else "")
    return Mistake(where, failure.message, failure.advice)
