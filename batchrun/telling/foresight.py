"""What a run would do, told without a call: input and ledger are read, the environment is asked for keys, and nothing is changed.

The run directory need not be there, and another process may be running the job in it. What has to be unpacked is unpacked into a temporary
directory, unless an opening of the run has done so already.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from batchrun.core.counted import counted, shortened
from batchrun.core.jobs.hours import Hours
from batchrun.core.jobs.job import Job, Workspace
from batchrun.core.model import Money
from batchrun.core.natural import natural
from batchrun.core.scheduling.expected import Calendar, Foreseen, LaneKey
from batchrun.core.scheduling.forecast import foresee
from batchrun.core.scheduling.prospects import Forecast, Prospect, helps
from batchrun.core.scheduling.retry import RetryPolicy
from batchrun.edge import run_directory
from batchrun.edge.environment import hidden_keys, read_keys
from batchrun.running import noticed
from batchrun.running.closing import YEAR
from batchrun.running.money import pricer, prices_of
from batchrun.running.opening import looked_into
from batchrun.running.schema_of import read_schema
from batchrun.telling import obstacles as wrong
from batchrun.telling.affording import Affording
from batchrun.telling.costing import money_of
from batchrun.telling.expecting import ExpectedLane, expected_lane, seen_so_far
from batchrun.telling.misspelt import misspelt_models, misspelt_tables
from batchrun.telling.standing import still_to_mend


def look_ahead(
    job: Job, begins_at: datetime, *, dotenv: Path | None = Path(".env"), on_index: Callable[[int, int], None] | None = None
) -> Forecast:  # fmt: skip
    """Forecast what a run of *job* would do from *begins_at* on. Blocks.

    *on_index* gets bytes read and bytes in all. Raises what `core/errors.py` lists, as the run would.
    """
    workspaces = job.workspaces_resolved()
    keys = read_keys(workspaces.values(), os.environ, dotenv)
    directory = Path(job.run_directory)
    run_directory.refuse_pipes(directory)
    described = run_directory.read_description(directory) or {}
    read_schema(job.answers.schema_)  # A run would refuse to start over it.
    with _scratch(directory) as scratch, looked_into(job, workspaces, directory, scratch, on_progress=on_index) as opening:
        counts = opening.plan.lanes()
        parked = {**wrong.without_route(workspaces, counts), **wrong.parks(workspaces, keys, counts)}
        unfit = {lane: wrong.never_fitting(workspaces[lane[0]], lane[1], opening) for lane in counts if lane not in parked}
        seen = seen_so_far(directory, workspaces, opening)
        lanes = [
            expected_lane(job, workspaces[name], model, opening, seen, unfit.get((name, model), frozenset()), lanes=len(counts))
            for name, model in counts
        ]
        rejected = (each for lane in lanes if lane.key not in parked for each in lane.obstacles)
        obstacles = (*wrong.parked(parked, counts), *wrong.unfitting(unfit), *rejected, *wrong.set_aside(opening, workspaces))
        told = _priced(_asked(lanes), lanes, job, workspaces, begins_at)
        calls = {lane.key: lane.calls for lane in lanes}
        affording = Affording(job, workspaces, directory, calls, {lane.key: lane.most.bounds for lane in lanes}, begins_at)
        running = [lane for lane in lanes if lane.key not in parked and lane.plan.count]
        told = _timed(told, job, workspaces, running, affording, begins_at, seen.learnt.pools)
        obstacles = (*obstacles, *affording.obstacles(told))
        affordable = (*affording.notes(told), *_beside_tokens(lanes))
        notes = tuple(note.replace(str(scratch or directory), str(directory)) for note in opening.notes)
        done = sum(opening.plan.rows_of_the_run().values()) - sum(counts.values()) - opening.plan.held().total()
    notes += (f"{counted(done, 'row is', 'rows are')} answered or rejected already",) if done else ()
    hidden = hidden_keys(workspaces.values(), os.environ, dotenv)
    notes += (*noticed.of_keys(keys, hidden, {lane.key[0] for lane in lanes}, dotenv),)
    notes += (*noticed.prices_to_come(prices_of(job), counts.keys() - parked.keys(), workspaces, begins_at.timestamp()),)
    notes += (*misspelt_models(sorted({model for _, model in counts.keys() - parked.keys()}), job, workspaces.values()),)
    notes += (*misspelt_tables({model for _, model in counts}, job, workspaces.values()),)
    notes += (*still_to_mend(described, workspaces, {lane: count for lane, count in counts.items() if lane not in parked}),)
    return Forecast(
        begins_at, told, obstacles, _assumptions(lanes), (*notes, *affordable, *_by_the_clock(job, workspaces, told, begins_at))
    )  # fmt: skip


def _beside_tokens(lanes: Iterable[ExpectedLane]) -> Iterator[str]:
    """What the provider charges for that is no token."""
    looking = [lane for lane in lanes if lane.most.looking]
    if looking:
        share = sum(lane.plan.count * lane.most.looking / lane.most.read for lane in looking)
        rows = counted(max(1, round(share)), "row lets", "rows let")
        yield f"about {rows} the provider search, or run code: what it charges for that beside tokens is in no amount and no budget"


@contextmanager
def _scratch(directory: Path) -> Iterator[Path | None]:
    """A folder for what has to be unpacked, which leads to what an opening of the run has; None where nothing can be written."""
    with ExitStack() as stack:
        scratch = None
        with suppress(OSError):
            made = Path(stack.enter_context(TemporaryDirectory(prefix="batchrun-plan-", ignore_cleanup_errors=True)))
            _borrow_spools(directory / "input", made / "input")
            scratch = made
        yield scratch


def _borrow_spools(theirs: Path, ours: Path) -> None:
    """Have the scratch directory lead to what an opening of the run has unpacked."""
    if theirs.is_dir():
        ours.mkdir(mode=0o700)
        for each in theirs.iterdir():
            if each.suffix in {".jsonl", ".json", ".bin"}:
                (ours / each.name).symlink_to(each.absolute())


def _asked(lanes: Iterable[ExpectedLane]) -> tuple[Prospect, ...]:
    """How many rows and tokens each has."""
    told = []
    for lane in sorted(lanes, key=lambda each: [*map(natural, each.key)]):
        asked, answered = lane.tokens()
        told.append(Prospect(*lane.key, lane.plan.count, round(asked), round(answered)))
    return tuple(told)


def _timed(
    told: Sequence[Prospect], job: Job, workspaces: Mapping[str, Workspace], running: Sequence[ExpectedLane], affording: Affording,
    begins_at: datetime, learnt: Mapping[str, Any],
) -> tuple[Prospect, ...]:  # fmt: skip
    """Each with when it would be done, and what limits it; without, where it is not *running*."""
    plans, expected = {lane.key: lane.plan for lane in running}, {lane.key: lane.expected for lane in running}
    policy = RetryPolicy(job.retry.max_attempts, job.retry.backoff.first, job.retry.backoff.max)
    hours = {name: each.window for name, each in workspaces.items() if each.window is not None}
    of_these = {workspace for workspace, _ in plans}
    calendar = Calendar({name: each for name, each in hours.items() if name in of_these}, begins_at.timestamp())
    found: dict[LaneKey, Foreseen] = {}
    if tight := affording.tight(told, plans):
        paid = [replace(plan, purses=tight.get(key, ())) for key, plan in plans.items()]
        bounds = {lane.key: replace(lane.expected, bounds=(*lane.most.bounds,)) for lane in running}
        found = foresee(paid, bounds, policy, calendar, learnt)
    if plans.keys() - found.keys():  # What is tight may not suffice: what runs out is told by the lanes' whole time.
        found = foresee([*plans.values()], expected, policy, calendar, learnt)
    help_for = helps([*plans.values()], expected, {lane.key: lane.a_row() for lane in running}, found)
    return tuple(
        each if (foreseen := found.get(each.key)) is None
        else replace(
            each, seconds=foreseen.ends_at, hold=foreseen.limit, share=foreseen.holds.get(foreseen.limit, 0.0), help=help_for[each.key]
        )
        for each in told
    )  # fmt: skip


def _priced(
    told: Sequence[Prospect], lanes: Iterable[ExpectedLane], job: Job, workspaces: Mapping[str, Workspace], begins_at: datetime
) -> tuple[Prospect, ...]:
    """Each with what its rows would cost at the prices of the day on which the run begins; without, where that is not known."""
    price, at = pricer(prices_of(job), workspaces), begins_at.timestamp()
    calls = {lane.key: lane.calls for lane in lanes}

    def cost(each: Prospect) -> Money | None:
        lane = each.workspace, each.model
        return money_of(each.input_tokens, each.output_tokens, calls[lane], lambda usage: price(*lane, usage, at))

    return tuple(replace(each, cost=cost(each)) for each in told)


def _assumptions(lanes: Sequence[ExpectedLane]) -> tuple[str, ...]:
    """What latencies and lengths were taken from, one line for all lanes that share it."""
    groups: dict[str, list[ExpectedLane]] = {}
    for lane in lanes:
        groups.setdefault(lane.assumed, []).append(lane)
    return tuple(_assumption(told, group, everywhere=len(groups) == 1) for told, group in groups.items())


def _assumption(told: str, lanes: Sequence[ExpectedLane], *, everywhere: bool) -> str:
    named = ", ".join([" ".join(lane.key) for lane in lanes[:3]] + ["…"] * (len(lanes) > 3))
    latency, output = (_span([value(lane) for lane in lanes]) for value in (_latency, _output))
    return f"answers{'' if everywhere else f' of {named}'} are taken to take {latency} s and to have {output} tokens, after {told}"


def _latency(lane: ExpectedLane) -> float:
    return lane.expected.latency


def _output(lane: ExpectedLane) -> float:
    return lane.output


def _span(values: Sequence[float]) -> str:
    least, most = (f"{each:,.0f}" if each >= 20 else f"{each:.1f}" for each in (min(values), max(values)))
    return least if least == most else f"{least} to {most}"


def _by_the_clock(job: Job, workspaces: Mapping[str, Workspace], told: Sequence[Prospect], begins_at: datetime) -> Iterator[str]:
    begins = begins_at.timestamp()
    ends: dict[str, float] = {}
    for each in told:
        if each.seconds is not None:
            ends[each.workspace] = max(begins + each.seconds, ends.get(each.workspace, begins))
    end = max(ends.values(), default=begins)
    if job.deadline is not None and end > max(deadline := job.deadline.after(begins), begins):
        until = "for more than a year" if end > begins + YEAR else f"until {job.deadline.told(end)}"
        late = "would be missed" if deadline > begins else "has passed"
        yield f"the deadline {job.deadline.told(deadline)} {late}: as forecast, the run takes {until}"
    waiting = [name for name, at in ends.items() if (hours := workspaces[name].window) is not None and _closes(hours, begins, at)]
    if waiting:
        yield f"{shortened(waiting)}: closed for a while: without --wait, the run ends when only closed workspaces have rows left"


def _closes(hours: Hours, begins: float, ends: float) -> bool:
    return not hours.is_open(begins) or hours.next_change(begins) < ends
