"""One run on one page: everything joined, from the job to the statement."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from time import time
from typing import Any, Literal

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream

from batchrun.core.errors import BatchrunError, JobError, Mistake, StoppedError
from batchrun.core.jobs.job import Job, Workspace
from batchrun.core.ledger.course import Course
from batchrun.core.ledger.statement import Statement
from batchrun.core.model import Failure, Outcome, Scope
from batchrun.core.progress import Progress, WorkspaceProgress
from batchrun.core.rows.reasons import Reason
from batchrun.core.scheduling.scheduler import ParkedScope, Scheduler
from batchrun.edge import descriptors, history, lost_steps, run_directory, signals
from batchrun.edge.environment import read_keys
from batchrun.edge.garbage import seldom_collected
from batchrun.edge.ledger import Ledger
from batchrun.engine import Engine, Ports
from batchrun.report.page.languages import Language
from batchrun.running.bookkeeping import Bookkeeper
from batchrun.running.budgets import each_purse, purses_of, take_up, tell_budgets, tell_spent, with_what_is_left
from batchrun.running.closing import by_the_clock, windows_of
from batchrun.running.money import pricer, prices_of
from batchrun.running.opening import Opening, opened, read_schema
from batchrun.running.parks import parks_before_any_call
from batchrun.running.planning import keep_learnt, read_learnt, schedule, write_learnt
from batchrun.running.preparing import Preparer, transport_of
from batchrun.running.simulated import simulated
from batchrun.running.statements import BY, read_statement, write_usage

__all__ = ["Ending", "Wishes", "outcomes", "read_statement", "run", "run_blocking"]


_MOST_UNREADABLE = 100


@dataclass(frozen=True, slots=True)
class Wishes:
    """How the caller wants a run carried out."""

    strict: bool = False
    """Refuse to start over lines that are no row, missing keys and unauthorised models, instead of leaving them out."""
    retry_rejected: bool = False
    in_doubt: Literal["send", "hold"] | None = None
    """What becomes of rows of which a call may have been billed; None: as the job says."""
    wait: bool = False
    """Go on probing, and wait for workspaces that are closed, when only such rows are left, instead of ending."""
    handle_signals: bool = False
    """Let Ctrl-C and SIGTERM drain the run, and end the process where it lost a step for want of memory; on the main thread only."""
    dotenv: Path | None = Path(".env")
    page: Language | None = "en"
    """The language of the page that is written at the end; None for no page."""
    note: Callable[[str], None] = lambda _text: None
    """Gets what a person may want to know on the way."""
    show: Callable[[Callable[[], Progress]], Coroutine[Any, Any, None]] | None = None
    """Shows progress until cancelled."""
    hand_on: Callable[[Outcome], Awaitable[None]] | None = None
    """Gets each outcome once it is in the ledger; the row's slot is held until it returns."""
    on_index: Callable[[int, int], None] | None = None
    """Gets bytes read and bytes in all while the input is indexed."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How an opening of a run ended."""

    statement: Statement
    parked: tuple[ParkedScope, ...] = ()
    stopped_by: str | None = None
    """The signal that ended it early."""
    unreadable: tuple[str, ...] = ()
    """Rows whose input changed while the run was reading it, the first hundred; pending."""
    held: int = 0
    """Rows that wait for a person, for a call of theirs may have been billed."""
    page: Path | None = None
    """Where its page was written."""
    no_rows: tuple[Reason, ...] = ()
    """Why most of the input lines that are no row are none."""

    @property
    def exit_code(self) -> int:
        """0 all answered, 3 finished with rows or lines that were not, 4 stopped before the end and resumable."""
        total = self.statement.total()
        if self.stopped_by or self.parked or self.unreadable or self.held or total.pending:
            return 4
        return 3 if total.rejected or total.exhausted or self.statement.rejected_input else 0


@dataclass(slots=True)
class _Course:
    """What changes while the run is under way."""

    stopped_by: str | None = None
    unreadable: list[str] = field(default_factory=list)
    at_first_signal: Callable[[str], None] | None = None
    """None before the first call can be made: none is made then."""
    at_further_signals: Callable[[], None] = signals.die

    def signalled(self, name: str) -> None:
        """Do what the first signal leads to now."""
        if self.at_first_signal is None:
            self.stopped_by = name
        else:
            self.at_first_signal(name)

    def signalled_again(self) -> None:
        """Do what any further signal leads to now."""
        self.at_further_signals()

    def not_read(self, reason: str) -> None:
        """Take note of a row that could not be read; of an input that was replaced, that may be all of them."""
        if len(self.unreadable) < _MOST_UNREADABLE:
            self.unreadable.append(reason)


async def run(job: Job, wishes: Wishes = Wishes()) -> Ending:
    """Carry *job* out, or go on with it; returns when all is done, parked or stopped. Raises what `core/errors.py` lists."""
    try:
        return await _run(job, wishes)
    except BaseExceptionGroup as group:
        raise _first_of_ours(group) from None
    except (MemoryError, RuntimeError) as error:
        raise _told(error) from None


def run_blocking(job: Job, wishes: Wishes = Wishes()) -> Ending:
    """Do the same as `run`, for a caller without an event loop; uvloop's where it is installed (the extra ``fast``)."""
    try:
        with seldom_collected():
            return anyio.run(run, job, wishes, backend_options={"use_uvloop": find_spec("uvloop") is not None})
    except (MemoryError, RuntimeError) as error:
        # Of the loop itself, outside of every step.
        raise _told(error) from None


@asynccontextmanager
async def outcomes(job: Job, wishes: Wishes = Wishes()) -> AsyncIterator[MemoryObjectReceiveStream[Outcome]]:
    """Carry *job* out and iterate over its outcomes as they come.

    An outcome is in the ledger before it is handed out; a slow reader slows the run and loses nothing. Leaving the block early stops the
    run, resumable.
    """
    give, take = anyio.create_memory_object_stream[Outcome](16)

    async def carry_out() -> None:
        async with give:
            await run(job, Wishes(**{**_fields(wishes), "hand_on": give.send}))

    try:
        async with take, anyio.create_task_group() as tasks:
            tasks.start_soon(carry_out)
            yield take
            tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise _first_of_ours(group) from None


async def _run(job: Job, wishes: Wishes) -> Ending:
    workspaces = job.workspaces_resolved()
    keys = read_keys(workspaces.values(), os.environ, wishes.dotenv)
    schema = read_schema(job.answers.schema_)
    directory = Path(job.run_directory)
    async with AsyncExitStack() as stack:
        if wishes.handle_signals:
            words = f"batchrun: {_no_memory()}\n".encode()
            stack.enter_context(lost_steps.told(partial(lost_steps.end_process, words, StoppedError.exit_code)))
        stack.enter_context(run_directory.locked(directory))
        opening = await _begun(stack, job, workspaces, directory, wishes)
        course = _Course()
        await stack.enter_async_context(_heard(course, wishes))
        _provide_descriptors(workspaces, opening)
        for note in opening.notes:
            wishes.note(note)
        parks = parks_before_any_call(workspaces, keys, opening.plan.lanes())
        if wishes.strict and parks:
            raise JobError("not started, for --strict was given:", tuple(_mistake(*park) for park in parks))
        simulator = await stack.enter_async_context(simulated(job, workspaces))
        keys = {**keys, **simulator.keys}
        learnt = read_learnt(directory)
        prices = prices_of(job)
        purses = purses_of(job, workspaces, opening.plan.lanes(), prices)
        await anyio.to_thread.run_sync(take_up, purses, directory)
        books = Bookkeeper(directory, each_purse(purses), wishes.note)
        await anyio.to_thread.run_sync(stack.enter_context, books.open())
        scheduler = schedule(job, workspaces, opening, learnt, wait=wishes.wait, hold_in_doubt=_hold_in_doubt(job, wishes), purses=purses)
        for workspace, model, failure in parks:
            scheduler.park(failure.scope, workspace, model, failure, anyio.current_time(), probe=False)
        windows = windows_of(workspaces, scheduler, wishes.note)
        transport = await stack.enter_async_context(transport_of(job, sum(each.concurrency for each in workspaces.values())))
        with Ledger(
            directory, opening.number, run_directory.open_to_append,
            form=job.output.form, raw=job.output.raw, price=pricer(prices, workspaces), boot=history.boot_id(),
        ) as ledger:  # fmt: skip
            if opening.followed is not None:
                ledger.be_followed(opening.followed.take)
            ledger.opened(time())
            prepare = Preparer(
                job, workspaces, keys, simulator.endpoint, run=opening.run, source=opening.source, schema=schema, learnt=learnt
            )
            ports = Ports(
                prepare, lambda ready: transport.post(ready.request, ready.reading), ledger, wishes.hand_on,
                lambda _ticket, what: course.not_read(what.reason),
                promise=ledger.promise, promised=ledger.promised,
                begin=lambda ready, came: transport.begin(ready.request, ready.reading, came),
                fund=lambda ticket, most, at: books.fund(ticket.lane.plan.purses, ticket.lane.key, most, at),
            )  # fmt: skip
            engine = Engine(scheduler, ports)
            async with anyio.create_task_group() as beside:
                beside.start_soon(keep_learnt, directory, learnt, scheduler)
                beside.start_soon(tell_budgets, purses, wishes.note)
                beside.start_soon(books.keep, scheduler, engine.wake)
                if opening.followed is not None:
                    beside.start_soon(opening.followed.keep, ledger)
                beside.start_soon(by_the_clock, windows, job.deadline, engine.wake)
                await _drive(engine, scheduler, ledger, job, wishes, course, _observer(scheduler, opening, course, prepare))
                beside.cancel_scope.cancel()
        tell_spent(purses, wishes.note)
        await write_learnt(directory, learnt, scheduler)
        parked = scheduler.parked()
        statement, parked, page = await anyio.to_thread.run_sync(_summed_up, opening, ledger, parked, course.stopped_by, wishes.page)
    held = statement.total().rows_in_doubt if _hold_in_doubt(job, wishes) else 0
    return Ending(statement, parked, course.stopped_by, tuple(course.unreadable), held, page, opening.no_rows)


async def _drive(
    engine: Engine, scheduler: Scheduler, ledger: Ledger, job: Job, wishes: Wishes, course: _Course, observe: Callable[[], Progress]
) -> None:
    """Run the engine with what stands beside it: syncing, progress, signals. Asked to drain, it gives what is in flight its grace."""
    async with anyio.create_task_group() as beside:
        under_way = anyio.CancelScope()

        def drain(signal: str) -> None:
            course.stopped_by = signal
            under_way.deadline = anyio.current_time() + job.stop.grace
            scheduler.stop()
            engine.wake()
            wishes.note(f"{signal}: no new calls; {scheduler.in_flight} in flight have {job.stop.grace:.0f} s; once more stops at once")

        def finish(signal: str) -> None:
            wishes.note(f"{signal}: the run is over, and its account is being made; once more stops at once")

        beside.start_soon(ledger.keep_synced, engine.wake)
        if wishes.show is not None:
            beside.start_soon(wishes.show, observe)
        if course.stopped_by is not None:
            scheduler.stop()
        course.at_first_signal, course.at_further_signals = drain, under_way.cancel
        try:
            with under_way:
                await engine.run()
        finally:
            # After an error too: a sync that hangs still holds the end up, and nothing else would end that.
            course.at_first_signal, course.at_further_signals = finish, signals.die
        beside.cancel_scope.cancel()


@asynccontextmanager
async def _heard(course: _Course, wishes: Wishes) -> AsyncIterator[None]:
    """While the block lasts, signals lead to what the *course* says, to the last line of the account."""
    async with anyio.create_task_group() as beside:
        if wishes.handle_signals:
            beside.start_soon(signals.watch, course.signalled, course.signalled_again)
        yield
        beside.cancel_scope.cancel()


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
        hold_in_doubt=_hold_in_doubt(job, wishes), course=wishes.page is not None, on_progress=wishes.on_index,
    )  # fmt: skip
    return stack.enter_context(opening)


def _hold_in_doubt(job: Job, wishes: Wishes) -> bool:
    return (wishes.in_doubt or job.retry.in_doubt) == "hold"


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


def _mistake(workspace: str, model: str, failure: Failure) -> Mistake:
    where = f"workspaces.{workspace}" + (f", model {model}" if failure.scope is Scope.LANE else "")
    return Mistake(where, failure.message, failure.advice)


def _observer(scheduler: Scheduler, opening: Opening, course: _Course, prepare: Preparer) -> Callable[[], Progress]:
    rows: dict[str, int] = {}
    for (workspace, _), count in opening.plan.rows_of_the_run().items():
        rows[workspace] = rows.get(workspace, 0) + count
    active = {workspace for workspace, _ in opening.plan.lanes()}

    kept = opening.plan.held()

    def observe() -> Progress:
        left: dict[str, int] = {}
        for (workspace, _), count in scheduler.left().items():
            left[workspace] = left.get(workspace, 0) + count
        held = scheduler.held(anyio.current_time())
        parked = {name.split(" ", 1)[0] for each in scheduler.parked() if each.scope is not Scope.ACCOUNT for name in [each.name]}
        return Progress(
            tuple(
                WorkspaceProgress(
                    name,
                    count,
                    count - left.get(name, 0) - kept.get(name, 0) - scheduler.rows_held().get(name, 0),
                    scheduler.in_flight_of(name) if name in active else 0,
                    name in held,
                    name in parked,
                    kept.get(name, 0) + scheduler.rows_held().get(name, 0),
                )
                for name, count in rows.items()
            ),
            prepare.tokens,
            draining=course.stopped_by is not None,
        )

    return observe


def _fields(wishes: Wishes) -> dict[str, Any]:
    return {name: getattr(wishes, name) for name in Wishes.__dataclass_fields__}


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
        case _:
            return isinstance(error, MemoryError) or _came_of_no_memory(error.__cause__ or error.__context__)


def _no_memory() -> StoppedError:
    return StoppedError(
        "there was no memory left to go on. What was answered is kept; calls that were under way may have been billed, and are in doubt. "
        "Give the run more memory, or fewer slots, and run the same command again"
    )
