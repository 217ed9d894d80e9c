"""One run on one page: everything joined, from the job to the statement."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from time import time

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream

from batchrun.core.errors import BatchrunError, JobError, Mistake, StoppedError
from batchrun.core.jobs.job import Job, Workspace
from batchrun.core.ledger.course import Course
from batchrun.core.ledger.statement import Statement
from batchrun.core.model import Failure, Outcome, Scope
from batchrun.core.scheduling.scheduler import ParkedScope, Scheduler
from batchrun.edge import descriptors, history, lost_steps, run_directory, signals
from batchrun.edge.environment import Keys, read_keys
from batchrun.edge.garbage import seldom_collected
from batchrun.edge.ledger import Files, Ledger
from batchrun.edge.transport import Transport
from batchrun.engine import Engine, Ports
from batchrun.report.page.languages import Language
from batchrun.running import noticed
from batchrun.running.bookkeeping import Bookkeeper
from batchrun.running.budgets import each_purse, purses_of, take_up, tell_budgets, tell_spent, with_what_is_left
from batchrun.running.closing import by_the_clock, windows_of
from batchrun.running.money import pricer, prices_of
from batchrun.running.opening import Opening, opened, read_schema
from batchrun.running.parks import parks_before_any_call
from batchrun.running.planning import Keeping, read_learnt, schedule
from batchrun.running.preparing import Preparer, transport_of
from batchrun.running.simulated import simulated
from batchrun.running.statements import BY, read_statement, write_usage
from batchrun.running.under_way import UnderWay, drive, heard, observer
from batchrun.running.wishes import NO_WISHES, Ending, Wishes

__all__ = ["Ending", "Wishes", "outcomes", "read_statement", "run", "run_blocking"]


async def run(job: Job, wishes: Wishes = NO_WISHES) -> Ending:
    """Carry *job* out, or go on with it; returns when all is done, parked or stopped. Raises what `core/errors.py` lists."""
    try:
        return await _run(job, wishes)
    except BaseExceptionGroup as group:
        raise _first_of_ours(group) from None
    except (MemoryError, RuntimeError) as error:
        raise _told(error) from None


def run_blocking(job: Job, wishes: Wishes = NO_WISHES) -> Ending:
    """Do the same as `run`, for a caller without an event loop; uvloop's where it is installed (the extra ``fast``)."""
    usual = asyncio.SelectorEventLoop if find_spec("uvloop") is None else import_module("uvloop").Loop
    loop = partial(lost_steps.loop, usual, _give_up) if wishes.handle_signals else usual
    try:
        with seldom_collected():
            return anyio.run(run, job, wishes, backend_options={"loop_factory": loop})
    except (MemoryError, RuntimeError) as error:
        # Of the loop itself, outside of every step.
        raise _told(error) from None


@asynccontextmanager
async def outcomes(job: Job, wishes: Wishes = NO_WISHES) -> AsyncIterator[MemoryObjectReceiveStream[Outcome]]:
    """Carry *job* out and iterate over its outcomes as they come.

    An outcome is in the ledger before it is handed out; a slow reader slows the run and loses nothing. Leaving the block early stops the
    run, resumable. What the block raises comes out as it is, what ends the run as `run` raises it.
    """
    give, take = anyio.create_memory_object_stream[Outcome](16)
    own: Exception | None = None

    async def carry_out() -> None:
        async with give:
            await run(job, replace(wishes, hand_on=give.send))

    try:
        async with take, anyio.create_task_group() as tasks:
            tasks.start_soon(carry_out)
            try:
                yield take
            except Exception as error:
                own = error
                raise
            tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        ended = _first_of_ours(group)
        if own is None or ended is not group or len(group.exceptions) > 1:
            raise ended from None
    if own is not None:
        raise own


async def _run(job: Job, wishes: Wishes) -> Ending:
    workspaces = job.workspaces_resolved()
    keys = read_keys(workspaces.values(), os.environ, wishes.dotenv)
    schema = read_schema(job.answers.schema_)
    directory = Path(job.run_directory)
    async with AsyncExitStack() as stack:
        if wishes.handle_signals:
            stack.enter_context(lost_steps.told(_give_up))
        stack.enter_context(run_directory.locked(directory))
        opening = await _begun(stack, job, workspaces, directory, wishes)
        way = UnderWay()
        await stack.enter_async_context(heard(way, wishes))
        _provide_descriptors(workspaces, opening)
        for note in (*opening.notes, *noticed.shared_keys(keys, {name for name, _ in opening.plan.lanes()})):
            wishes.note(note)
        parks = _parks(workspaces, keys, opening, wishes)
        simulator = await stack.enter_async_context(simulated(job, workspaces))
        keys = {**keys, **simulator.keys}
        learnt = read_learnt(directory)
        prices = prices_of(job)
        purses = purses_of(job, workspaces, opening.plan.lanes(), prices)
        await anyio.to_thread.run_sync(take_up, purses, directory)
        books = Bookkeeper(directory, each_purse(purses), wishes.note)
        await anyio.to_thread.run_sync(stack.enter_context, books.open())
        scheduler = schedule(job, workspaces, opening, learnt, wait=wishes.wait, hold_in_doubt=wishes.holds_in_doubt(job), purses=purses)
        for workspace, model, failure in parks:
            scheduler.park(failure.scope, workspace, model, failure, anyio.current_time(), probe=False)
        keeping = Keeping(directory, learnt, scheduler, wishes.note)
        windows = windows_of(workspaces, scheduler, wishes.note)
        transport = await stack.enter_async_context(transport_of(job, sum(each.concurrency for each in workspaces.values())))
        with Ledger(
            Files(directory, run_directory.open_to_append), opening.number,
            form=job.output.form, raw=job.output.raw, price=pricer(prices, workspaces), boot=history.boot_id(),
        ) as ledger:  # fmt: skip
            if opening.followed is not None:
                ledger.be_followed(opening.followed.take)
            ledger.opened(time())
            prepare = Preparer(
                job, workspaces, keys, simulator.endpoint, run=opening.run, source=opening.source, schema=schema, learnt=learnt
            )
            engine = _engine(scheduler, prepare, transport, ledger, books, wishes, way)
            async with anyio.create_task_group() as beside:
                beside.start_soon(keeping.now_and_then)
                beside.start_soon(tell_budgets, purses, wishes.note)
                beside.start_soon(books.keep, scheduler, engine.wake)
                if opening.followed is not None:
                    beside.start_soon(opening.followed.keep, ledger)
                beside.start_soon(by_the_clock, windows, job.deadline, engine.wake)
                await drive(engine, scheduler, ledger, job, wishes, way, observer(scheduler, opening, way, prepare))
                beside.cancel_scope.cancel()
        tell_spent(purses, wishes.note)
        await keeping.now()
        parked = scheduler.parked()
        statement, parked, page = await anyio.to_thread.run_sync(_summed_up, opening, ledger, parked, way.stopped_by, wishes.page)
    held = statement.total().rows_in_doubt if wishes.holds_in_doubt(job) else 0
    return Ending(statement, parked, way.stopped_by, tuple(way.unreadable), held, page, opening.no_rows)


async def _begun(stack: AsyncExitStack, job: Job, workspaces: Mapping[str, Workspace], directory: Path, wishes: Wishes) -> Opening:
    """Open the run; a signal that comes meanwhile ends it before any call, and another one at once."""
    asked: list[str] = []

    def stop_if_asked() -> None:
        if asked:
            raise StoppedError(f"{asked[0]}: stopped before any call; go on with the same command")

    def on_index(done: int, expected: int) -> None:
        stop_if_asked()
        if wishes.on_index is not None:
            wishes.on_index(done, expected)

    async with anyio.create_task_group() as beside:
        if wishes.handle_signals:
            beside.start_soon(signals.watch, asked.append, signals.die)
        opening = await anyio.to_thread.run_sync(_open, stack, job, workspaces, directory, replace(wishes, on_index=on_index))
        beside.cancel_scope.cancel()
    stop_if_asked()
    return opening


def _provide_descriptors(workspaces: Mapping[str, Workspace], opening: Opening) -> None:
    active = {workspace for workspace, _ in opening.plan.lanes()}
    # The simulator answers in this process: each of its connections has both its ends here.
    ends = sum(workspaces[name].concurrency * (2 if workspaces[name].endpoint.simulated else 1) for name in active)
    descriptors.provide(ends, 2 * len(active) + 1)


def _open(stack: AsyncExitStack, job: Job, workspaces: Mapping[str, Workspace], directory: Path, wishes: Wishes) -> Opening:
    opening = opened(
        job, workspaces, directory, strict=wishes.strict, retry_rejected=wishes.retry_rejected,
        hold_in_doubt=wishes.holds_in_doubt(job), course=wishes.page is not None, on_progress=wishes.on_index,
    )  # fmt: skip
    return stack.enter_context(opening)


def _summed_up(
    opening: Opening, ledger: Ledger, parked: tuple[ParkedScope, ...], stopped_by: str | None, language: Language | None
) -> tuple[Statement, tuple[ParkedScope, ...], Path | None]:
    """Write what is made from the ledger at the end: the statements, how it ended, the page."""
    from batchrun.telling.publishing import note_ending, publish_run  # noqa: PLC0415 - a run does not begin later for its page
    from batchrun.telling.reporting import write_usage_csv  # noqa: PLC0415

    directory = opening.directory
    went = None if language is None else Course()
    statement = None if opening.followed is None else opening.followed.close(ledger.followed(), went)
    if statement is None:
        statement = read_statement(directory, by=BY, course=went, keep=True)
    write_usage(directory, statement)
    write_usage_csv(directory / "usage.csv", statement)
    parked = tuple(with_what_is_left(each, statement) for each in parked)
    note_ending(directory, parked, stopped_by)
    page = None if language is None or went is None else publish_run(directory, statement, went, language=language)
    return statement, parked, page


def _parks(workspaces: Mapping[str, Workspace], keys: Keys, opening: Opening, wishes: Wishes) -> list[tuple[str, str, Failure]]:
    """What cannot be sent as things stand; refuses to start over it where that is wished."""
    parks = parks_before_any_call(workspaces, keys, opening.plan.lanes())
    if wishes.strict and parks:
        raise JobError("not started, for --strict was given:", tuple(_mistake(*park) for park in parks))
    return parks


def _engine(
    scheduler: Scheduler, prepare: Preparer, transport: Transport, ledger: Ledger, books: Bookkeeper, wishes: Wishes, way: UnderWay
) -> Engine:
    ports = Ports(
        prepare, lambda ready: transport.post(ready.request, ready.reading), ledger, wishes.hand_on,
        lambda _ticket, what: way.not_read(what.reason),
        promise=ledger.promise, promised=ledger.promised,
        begin=lambda ready, came: transport.begin(ready.request, ready.reading, came),
        fund=lambda ticket, most, at: books.fund(ticket.lane.plan.purses, ticket.lane.key, most, at),
    )  # fmt: skip
    return Engine(scheduler, ports)


def _mistake(workspace: str, model: str, failure: Failure) -> Mistake:
    where = f"workspaces.{workspace}" + (f", model {model}" if failure.scope is Scope.LANE else "")
    return Mistake(where, failure.message, failure.advice)


def _first_of_ours(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return what ended the run where batchrun raised it, or where memory ran out; otherwise the group as it is."""
    ours, _ = group.split(BatchrunError)
    if ours is None:
        return _told(group)
    error: BaseException = ours
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _told(error: BaseException) -> BaseException:
    """Return *error*, or that memory ran out where all of it came of that: what is interrupted so fails in its own ways."""
    return _no_memory() if _came_of_no_memory(error) else error


def _came_of_no_memory(error: BaseException | None) -> bool:
    match error:
        case None:
            return False
        case BaseExceptionGroup():
            return all(map(_came_of_no_memory, error.exceptions))
        case RuntimeError(args=("can't allocate lock",)):
            # What Python calls it that there is none for a lock.
            return True
        case _:
            return isinstance(error, MemoryError) or _came_of_no_memory(error.__cause__ or error.__context__)


def _give_up() -> None:
    error = _no_memory()
    lost_steps.end_process(f"batchrun: {error}\n".encode(), error.exit_code)


def _no_memory() -> StoppedError:
    return StoppedError(
        "there was no memory left to go on. What was answered is kept; calls that were under way may have been billed, and are in doubt. "
        "Give the run more memory, or fewer slots, and run the same command again"
    )
