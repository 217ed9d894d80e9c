"""What a run would do, told without a call: input and ledger are read, the environment is asked for keys, and nothing is changed.

The run directory need not be there, and another process may be running the job in it. What has to be unpacked is unpacked into a temporary
directory, unless an opening of the run has done so already.
"""

from __future__ import annotations

import math
import os
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import orjson

from batchrun.core.jobs.hours import Hours
from batchrun.core.jobs.job import Job, Workspace
from batchrun.core.ledger.statement import Fold, Totals
from batchrun.core.limits.estimates import Estimate, Size
from batchrun.core.limits.limiter import Quota
from batchrun.core.limits.priors import first_output
from batchrun.core.model import Scope
from batchrun.core.rows.parts import media_of
from batchrun.core.rows.routes import NoRoute, route
from batchrun.core.scheduling.forecast import Calendar, Expected, LaneKey, foresee, lognormal
from batchrun.core.scheduling.lanes import LanePlan
from batchrun.core.scheduling.prospects import Forecast, Obstacle, Prospect, helps
from batchrun.core.scheduling.retry import RetryPolicy
from batchrun.edge import history
from batchrun.edge.environment import read_keys
from batchrun.edge.latest import latest_lines
from batchrun.edge.source import RowChanged
from batchrun.running.opening import Opening, looked_into
from batchrun.running.parks import parks_before_any_call
from batchrun.running.planning import Learnt, lane_of, least_tpm, read_learnt
from batchrun.telling.affording import Affording

FIRST_LATENCY, LATENCY_A_TOKEN, _SPREAD = 1.0, 0.02, 0.4
"""Of answers, while none was seen: seconds, seconds for each token of output, and the deviation of their logarithm."""
_LATEST_BYTES = 2 << 20
"""Of each workspace's results: what is looked at to learn of latencies and lengths."""
_LEAST_ANSWERS = 10
"""Fewer say nothing."""
_MOST_TOKENS_A_BYTE = 0.25
"""No text comes to more by the estimate."""
_PARAMETERS_BYTES = 4096
"""What a workspace's parameters add to a line is less."""


class _Answer(NamedTuple):
    """An answer in the ledger: what it took and cost, and how long its row's line is."""

    seconds: float
    line_bytes: int
    input_tokens: int
    output_tokens: int


@dataclass(slots=True)
class _Lane:
    """What is known of a lane before it is forecast."""

    plan: LanePlan
    tokens_a_byte: float
    output: float
    """Tokens of an answer."""
    expected: Expected
    assumed: str
    """Where that is from, for a person."""
    input_tokens: float = 0.0

    @property
    def key(self) -> LaneKey:
        return self.plan.workspace, self.plan.model

    def a_row(self) -> float:
        return self.output + self.input_tokens / max(1, self.plan.count)


@dataclass(slots=True)
class _Seen:
    """What earlier openings left."""

    answers: dict[LaneKey, list[_Answer]] = field(default_factory=dict)
    totals: dict[LaneKey, Totals] = field(default_factory=dict)
    learnt: Learnt = field(default_factory=Learnt)

    def of(self, lane: LaneKey) -> tuple[Sequence[_Answer], str]:
        """The latest answers of the lane, or of all lanes of its model; none where they are too few."""
        if len(own := self.answers.get(lane, [])) >= _LEAST_ANSWERS:
            return own, "its own answers so far"
        others = [answer for (_, model), answers in self.answers.items() if model == lane[1] for answer in answers]
        return (others, "the answers of the same model in other workspaces") if len(others) >= _LEAST_ANSWERS else ((), "")


def look_ahead(
    job: Job, begins_at: datetime, *, dotenv: Path | None = Path(".env"), on_index: Callable[[int, int], None] | None = None
) -> Forecast:  # fmt: skip
    """Forecast what a run of *job* would do from *begins_at* on. Blocks.

    *on_index* gets bytes read and bytes in all. Raises what `core/errors.py` lists, as the run would.
    """
    workspaces = job.workspaces_resolved()
    keys = read_keys(workspaces.values(), os.environ, dotenv)
    directory = Path(job.run_directory)
    with TemporaryDirectory(prefix="batchrun-plan-") as name:
        scratch = Path(name)
        _borrow_spools(directory / "input", scratch / "input")
        with looked_into(job, workspaces, directory, scratch, on_progress=on_index) as opening:
            counts = opening.plan.lanes()
            parked = {**_without_route(workspaces, counts), **_parks(workspaces, keys, counts)}
            unfit = {lane: _never_fitting(workspaces[lane[0]], lane[1], opening, counts) for lane in counts if lane not in parked}
            seen = _seen(directory, workspaces, opening)
            lanes = [_lane(job, workspaces[lane[0]], lane[1], opening, seen, unfit.get(lane, frozenset())) for lane in counts]
            obstacles = (*_parked(parked, counts), *_unfitting(unfit), *_set_aside(opening))
            told = _told(job, workspaces, lanes, parked.keys(), begins_at, seen.learnt.pools)
            affording, means = Affording(job, workspaces, directory, list(counts), begins_at), _mean_bytes(lanes, opening)
            obstacles = (*obstacles, *affording.obstacles(told, means.__getitem__))
            affordable = (*affording.notes(told, means.__getitem__),)
            notes = tuple(note.replace(str(scratch), str(directory)) for note in opening.notes)
            done = sum(opening.plan.rows_of_the_run().values()) - sum(counts.values())
    notes += (f"{done:,} rows are answered or rejected already",) if done else ()
    return Forecast(
        begins_at, told, obstacles, _assumptions(lanes), (*notes, *affordable, *_by_the_clock(job, workspaces, told, begins_at))
    )  # fmt: skip


def _mean_bytes(lanes: Iterable[_Lane], opening: Opening) -> dict[LaneKey, float]:
    line_bytes = opening.source.line_bytes
    return {lane.key: sum(max(0, line_bytes(row)) for row in lane.plan.rows) / max(1, lane.plan.count) for lane in lanes}


def _borrow_spools(theirs: Path, ours: Path) -> None:
    """Have the scratch directory lead to what an opening of the run has unpacked."""
    if theirs.is_dir():
        ours.mkdir(mode=0o700)
        for each in theirs.iterdir():
            if each.suffix in {".jsonl", ".json", ".bin"}:
                (ours / each.name).symlink_to(each.absolute())


# What is wrong.


def _parks(workspaces: Mapping[str, Workspace], keys: Mapping[str, Any], lanes: Iterable[LaneKey]) -> dict[LaneKey, Obstacle]:
    return {
        (workspace, model): Obstacle(_where(workspace, model if failure.scope is Scope.LANE else None), 0, failure.message, failure.advice)
        for workspace, model, failure in parks_before_any_call(workspaces, keys, lanes)
    }


def _without_route(workspaces: Mapping[str, Workspace], lanes: Iterable[LaneKey]) -> dict[LaneKey, Obstacle]:
    found = {}
    for name, model in lanes:
        workspace = workspaces[name]
        way = route(workspace.endpoint, workspace.protocol, model, tuned=model in workspace.deployments)
        if isinstance(way, NoRoute):
            found[name, model] = Obstacle(_where(name, model), 0, way.reason, way.advice)
    return found


def _where(workspace: str, model: str | None) -> str:
    return f"workspace {workspace}" if model is None else f"workspace {workspace}, {model}"


def _parked(parked: Mapping[LaneKey, Obstacle], counts: Mapping[LaneKey, int]) -> Iterator[Obstacle]:
    """One obstacle a scope, with the rows of all its lanes."""
    rows: dict[Obstacle, int] = {}
    for lane, obstacle in parked.items():
        rows[obstacle] = rows.get(obstacle, 0) + counts[lane]
    return (replace(obstacle, rows=count) for obstacle, count in rows.items())


def _never_fitting(workspace: Workspace, model: str, opening: Opening, counts: Mapping[LaneKey, int]) -> frozenset[int]:
    """Rows that the run would reject, for they are larger than what may be sent in a minute; those that might be are read."""
    most = least_tpm(workspace, model)
    if most is None or (workspace.name, model) not in counts:
        return frozenset()
    source, estimate = opening.source, read_learnt(opening.directory).estimate((workspace.name, model))
    suspicious = most / (_MOST_TOKENS_A_BYTE * estimate.ratio) - _PARAMETERS_BYTES
    large = (row for row in opening.plan.rows((workspace.name, model)) if source.line_bytes(row) > suspicious)
    return frozenset(row for row in large if _input_of(source.read(row), estimate) > most)


def _input_of(row: Any, estimate: Estimate) -> float:
    if isinstance(row, RowChanged):
        return 0.0
    media = [*media_of(row.body["messages"])]
    written = orjson.dumps(row.body)
    text = len(written) - sum(len(each.url) for each in media)
    return estimate.input_of(Size(len(written.decode()) - (len(written) - text), text, len(media)))


def _unfitting(unfit: Mapping[LaneKey, frozenset[int]]) -> Iterator[Obstacle]:
    for (workspace, model), rows in unfit.items():
        if rows:
            said = "more input tokens than the tightest tpm lets through in a minute: the run would reject them"
            yield Obstacle(_where(workspace, model), len(rows), said, "raise tpm in the job, or make the rows smaller")


def _set_aside(opening: Opening) -> Iterator[Obstacle]:
    """A kind of mistake at a time, and the rest together."""
    advice = "correct the lines; the run sets them aside and goes on"
    for each in opening.no_rows:
        more = f" (and {each.lines - 1:,} more)" if each.lines > 1 else ""
        yield Obstacle(each.place + more, each.lines, each.said, advice)
    if rest := opening.source.counts.set_aside - sum(each.lines for each in opening.no_rows):
        yield Obstacle("the input", rest, "lines that are no row for other reasons", advice)


# What is known of the lanes.


def _seen(directory: Path, workspaces: Mapping[str, Workspace], opening: Opening) -> _Seen:
    fold = Fold(opening.run, "")
    fold.attempts(history.Attempts(directory / "attempts.log"))
    seen = _Seen(totals=fold.close({}).lanes, learnt=read_learnt(directory))
    for name in workspaces:
        for line in latest_lines(directory / name / "results.jsonl", _LATEST_BYTES):
            lane, answer = _answer(line, opening)
            if answer is not None:
                seen.answers.setdefault(lane, []).append(answer)
    return seen


def _answer(line: bytes, opening: Opening) -> tuple[LaneKey, _Answer | None]:
    """Read what an entry tells of its call; nothing of one that tells nothing, or whose row is gone."""
    index, source = opening.source.index, opening.source
    try:
        fields = orjson.loads(line)
        own, row_id = (fields["batchrun"], fields["custom_id"]) if "custom_id" in fields else (fields, fields["id"])
        ordinal = index.find(own["workspace"], row_id)
        usage, lane = own["usage"], (own["workspace"], own["model"])
        if ordinal is None or usage is None:
            return lane, None
        return lane, _Answer(own["latency_ms"] / 1000, source.line_bytes(ordinal), usage["input_tokens"], usage["output_tokens"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ("", ""), None


def _lane(job: Job, workspace: Workspace, model: str, opening: Opening, seen: _Seen, unfit: frozenset[int]) -> _Lane:
    key = (workspace.name, model)
    answers, told = seen.of(key)
    estimate = seen.learnt.estimate(key)
    if answers:
        tokens_a_byte = sum(each.input_tokens for each in answers) / max(1, sum(each.line_bytes for each in answers))
        output = math.fsum(each.output_tokens for each in answers) / len(answers)
        latencies: Sequence[float] = sorted(each.seconds for each in answers)
        costs = _costs(answers, tokens_a_byte, output)
    else:
        tokens_a_byte, output, costs = estimate.tokens_a_byte, _first_output(workspace, model), (1.0,)
        latencies, told = _assumed(job, workspace, output)
    rows = array("I", (row for row in opening.plan.rows(key) if row not in unfit))
    line_bytes = opening.source.line_bytes
    plan = replace(
        _with_found(lane_of(workspace, model, len(rows), opening, estimate), seen.learnt.pools),
        rows=rows,
        tokens=lambda ordinal: max(0, line_bytes(ordinal)) * tokens_a_byte + output,
    )
    expected = _with_shares(Expected(latencies, costs), seen.totals.get(key, Totals()), plan)
    lane = _Lane(plan, tokens_a_byte, output, expected, told)
    lane.input_tokens = tokens_a_byte * sum(max(0, line_bytes(row)) for row in rows)
    return lane


def _costs(answers: Sequence[_Answer], tokens_a_byte: float, output: float) -> tuple[float, ...]:
    """What answers did cost, in terms of what would have been expected, and 1 in the mean."""
    off = [(each.input_tokens + each.output_tokens) / max(1.0, tokens_a_byte * each.line_bytes + output) for each in answers]
    mean = math.fsum(off) / len(off)
    return tuple(sorted(each / mean for each in off)) if mean else (1.0,)


def _first_output(workspace: Workspace, model: str) -> float:
    """Tokens of an answer, before any was seen."""
    caps = (workspace.parameters.get(name) for name in ("max_completion_tokens", "max_tokens"))
    return first_output(model, min((float(cap) for cap in caps if isinstance(cap, int) and cap > 0), default=None))


def _assumed(job: Job, workspace: Workspace, output: float) -> tuple[Sequence[float], str]:
    if workspace.endpoint.simulated:
        told = job.simulator.latency
        return lognormal(told.median * math.exp(told.sigma**2 / 2), told.sigma), "[simulator] latency"
    seconds = FIRST_LATENCY + LATENCY_A_TOKEN * output
    return lognormal(seconds, _SPREAD), f"{FIRST_LATENCY} s and {LATENCY_A_TOKEN * 1000:.0f} ms a token of output: none was seen yet"


def _with_found(plan: LanePlan, pools: Mapping[str, Any]) -> LanePlan:
    """Take a rate that an earlier opening has found for the provider's quota, where the job names none."""
    found = pools.get(plan.pool_name)
    rates = found if isinstance(found, dict) else {}
    rpm, tpm = (_a_minute(rates.get(name)) for name in ("attempts", "tokens"))
    quota = plan.pool_quota
    return replace(plan, pool_quota=Quota(rpm if quota.rpm is None else quota.rpm, tpm if quota.tpm is None else quota.tpm))


def _a_minute(found: object) -> float | None:
    rate = found.get("rate") if isinstance(found, dict) else found
    return rate * 60.0 if isinstance(rate, int | float) and 0 < rate < math.inf else None


def _with_shares(expected: Expected, totals: Totals, plan: LanePlan) -> Expected:
    """Have calls fail as often as they did; throttles are what a quota is for, where one is known or was found."""
    if totals.calls < _LEAST_ANSWERS:
        return expected
    limited = any(quota != Quota() for quota in (plan.pool_quota, plan.workspace_quota, plan.quota))
    throttled = 0 if limited else totals.throttles
    # Never all of them: a forecast has to end.
    most = max(1.0, (totals.retries + throttled + totals.reasks) / 0.9)
    calls = max(float(totals.calls), most)
    return replace(expected, again=totals.retries / calls, throttled=throttled / calls, reasked=totals.reasks / calls)


# What it comes to.


def _told(
    job: Job, workspaces: Mapping[str, Workspace], lanes: Sequence[_Lane], parked: Iterable[LaneKey], begins_at: datetime,
    learnt: Mapping[str, Any],
) -> tuple[Prospect, ...]:  # fmt: skip
    running = [lane for lane in lanes if lane.key not in set(parked) and lane.plan.count]
    plans, expected = [lane.plan for lane in running], {lane.key: lane.expected for lane in running}
    policy = RetryPolicy(job.retry.max_attempts, job.retry.backoff.first, job.retry.backoff.max)
    hours = {name: each.window for name, each in workspaces.items() if each.window is not None}
    of_these = {lane.plan.workspace for lane in running}
    calendar = Calendar({name: each for name, each in hours.items() if name in of_these}, begins_at.timestamp())
    found = foresee(plans, expected, policy, calendar, learnt)
    help_for = helps(plans, expected, {lane.key: lane.a_row() for lane in running}, found)
    told = []
    for lane in sorted(lanes, key=lambda each: each.key):
        count = lane.plan.count
        prospect = Prospect(*lane.key, count, round(lane.input_tokens), round(lane.output * count))
        if (foreseen := found.get(lane.key)) is not None:
            share = foreseen.holds.get(foreseen.limit, 0.0)
            prospect = replace(prospect, seconds=foreseen.ends_at, hold=foreseen.limit, share=share, help=help_for[lane.key])
        told.append(prospect)
    return tuple(told)


def _assumptions(lanes: Sequence[_Lane]) -> tuple[str, ...]:
    """What latencies and lengths were taken from, one line for all lanes that share it."""
    groups: dict[str, list[_Lane]] = {}
    for lane in lanes:
        groups.setdefault(lane.assumed, []).append(lane)
    return tuple(_assumption(told, group, everywhere=len(groups) == 1) for told, group in groups.items())


def _assumption(told: str, lanes: Sequence[_Lane], *, everywhere: bool) -> str:
    named = ", ".join([" ".join(lane.key) for lane in lanes[:3]] + ["…"] * (len(lanes) > 3))
    latency, output = (_span([value(lane) for lane in lanes]) for value in (_latency, _output))
    return f"answers{'' if everywhere else f' of {named}'} are taken to take {latency} s and to have {output} tokens, after {told}"


def _latency(lane: _Lane) -> float:
    return lane.expected.latency


def _output(lane: _Lane) -> float:
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
    if job.deadline is not None and end > (deadline := job.deadline.after(begins)):
        yield f"the deadline {job.deadline.told(deadline)} would be missed: as forecast, the run takes until {job.deadline.told(end)}"
    waiting = [name for name, at in ends.items() if (hours := workspaces[name].window) is not None and _closes(hours, begins, at)]
    if waiting:
        yield f"{', '.join(waiting)}: closed for a while: without --wait, the run ends when only closed workspaces have rows left"


def _closes(hours: Hours, begins: float, ends: float) -> bool:
    return not hours.is_open(begins) or hours.next_change(begins) < ends
