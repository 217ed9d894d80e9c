"""What is known of lanes before they are forecast: by the answers that they had, or else by what is assumed and said."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from batchrun.core.classes import slotted
from batchrun.core.jobs.job import Job, Workspace
from batchrun.core.ledger.counting import apart, together
from batchrun.core.ledger.fold import Fold
from batchrun.core.ledger.totals import Totals
from batchrun.core.ledger.usage_fields import read_usage
from batchrun.core.limits.quota import Quota
from batchrun.core.model import Row, Usage
from batchrun.core.scheduling.expected import Expected, LaneKey, lognormal
from batchrun.core.scheduling.lane_plan import LanePlan
from batchrun.core.scheduling.prospects import Obstacle
from batchrun.edge import history
from batchrun.edge.latest import latest_lines
from batchrun.running.budgets import most_tokens
from batchrun.running.opening import Opening
from batchrun.running.planning import Learnt, lane_of, read_learnt
from batchrun.running.terms import Terms, terms_of
from batchrun.telling.failing import Failing
from batchrun.telling.known import NOTHING_KNOWN, Answer, Known, means_of
from batchrun.telling.lengths import Lengths, lengths_of
from batchrun.telling.obstacles import without_files
from batchrun.telling.sampling import Most, Sample, asked_of, measured, most_of, sampled, some_of

FIRST_LATENCY, LATENCY_A_TOKEN, _SPREAD = 1.0, 0.02, 0.4
"""Of answers, while none was seen: seconds, seconds for each token of output, and the deviation of their logarithm."""
_LATEST_BYTES, _LATEST_OF_ALL, _LEAST_OF_EACH = 2 << 20, 64 << 20, 32 << 10
"""Of each workspace's results, and of those of all together, as far as each may have the least: what is looked at to learn of latencies and
lengths. It is held meanwhile, beside a run that may need the memory."""
_LEAST_ANSWERS = 10
"""Fewer say nothing."""
_MOST_READ_AGAIN, _MOST_OF_ALL = 400, 4_000
"""Answers whose rows are looked at again: of a lane, and of all lanes together, as far as each may have the least."""


class Again(NamedTuple):
    """How many tokens all calls of rows had for one of those calls that brought their answers."""

    input: float
    output: float


NO_MORE = Again(1.0, 1.0)
"""Where nothing was billed and asked again."""


@slotted
class ExpectedLane:
    """What is known of a lane before it is forecast."""

    plan: LanePlan
    output: float
    """Tokens of an answer."""
    expected: Expected
    assumed: str
    """Where that is from, for a person."""
    calls: tuple[Usage, ...]
    """Some that are like its own."""
    most: Most
    obstacles: tuple[Obstacle, ...] = ()
    """What its rows would be rejected over, by those that were read."""
    input_tokens: float = 0.0
    """Of all its rows, each asked once."""
    asked_again: Again = NO_MORE

    @property
    def key(self) -> LaneKey:
        """Workspace and model."""
        return self.plan.workspace, self.plan.model

    def tokens(self) -> tuple[float, float]:
        """Those of input and of output that all its rows take, what is asked again in it."""
        return self.input_tokens * self.asked_again.input, self.output * self.plan.count * self.asked_again.output

    def a_row(self) -> float:
        """Tokens of one row, in the mean."""
        return math.fsum(self.tokens()) / max(1, self.plan.count)


@slotted
class Seen:
    """What earlier openings left."""

    answers: dict[LaneKey, list[Answer]] = field(default_factory=dict)
    totals: dict[LaneKey, Totals] = field(default_factory=dict)
    failing: Failing = field(default_factory=Failing)
    learnt: Learnt = field(default_factory=Learnt)
    of_models: dict[str, Known] = field(default_factory=dict)
    """Those of all lanes of each model that has enough of them."""

    def of(self, lane: LaneKey) -> Known:
        """The latest answers of the lane, or of all lanes of its model; none where they are too few."""
        if len(own := self.answers.get(lane, [])) >= _LEAST_ANSWERS:
            return Known(own, "its own answers so far")
        return self.of_models.get(lane[1], NOTHING_KNOWN)


def seen_so_far(directory: Path, workspaces: Mapping[str, Workspace], opening: Opening) -> Seen:
    """Read what calls have told: the latest answers, how calls ended, what was learnt."""
    fold, failing = Fold(opening.run, ""), Failing()
    for calls in together(fold.calls.take(history.Attempts(directory / "attempts.log"))):
        begun, ended = apart(calls)
        fold.called(begun, ended)
        failing.ended(ended)
    found = Seen(totals=fold.close({}).lanes, failing=failing, learnt=read_learnt(directory))
    most = max(_LEAST_OF_EACH, min(_LATEST_BYTES, _LATEST_OF_ALL // len(workspaces)))
    for name in workspaces:
        for line in latest_lines(directory / name / "results.jsonl", most):
            lane, answer = _answer(line, opening)
            if answer is not None:
                found.answers.setdefault(lane, []).append(answer)
    found.of_models = _by_model(found.answers)
    return found


def _by_model(answers: Mapping[LaneKey, Sequence[Answer]]) -> dict[str, Known]:
    found: dict[str, list[Answer]] = {}
    for (_, model), each in answers.items():
        found.setdefault(model, []).extend(each)
    told = "the answers of the same model in other workspaces"
    return {model: Known(each, told) for model, each in found.items() if len(each) >= _LEAST_ANSWERS}


def _answer(line: bytes, opening: Opening) -> tuple[LaneKey, Answer | None]:
    """Read what an entry tells of its call; nothing of one that tells nothing, or whose row is gone."""
    index = opening.source.index
    try:
        fields = orjson.loads(line)
        own, row_id = (fields["batchrun"], fields["custom_id"]) if "custom_id" in fields else (fields, fields["id"])
        ordinal = index.find(own["workspace"], row_id)
        usage, lane = read_usage(own["usage"]), (own["workspace"], own["model"])
        if ordinal is None or usage is None:
            return lane, None
        return lane, Answer(own["latency_ms"] / 1000, ordinal, usage)
    except (ValueError, KeyError, TypeError):
        return ("", ""), None


def expected_lane(
    job: Job, workspace: Workspace, model: str, opening: Opening, seen: Seen, unfit: frozenset[int], *, lanes: int
) -> ExpectedLane:
    """What the rows of one of so many *lanes* are taken to cost and to last; rows that are *unfit* are left out."""
    key = (workspace.name, model)
    known = seen.of(key)
    estimate = seen.learnt.estimate(key)
    rows = array("I", (row for row in opening.plan.rows(key) if row not in unfit))
    read = some_of(opening.source, rows, lanes=lanes)
    if known.answers:
        latencies, told, calls = known.latencies, known.told, known.calls
        most = max(_LEAST_ANSWERS, min(_MOST_READ_AGAIN, _MOST_OF_ALL // lanes))
        looked = [(answer, row, asked_of(row, estimate)) for answer, row in _with_rows(known.answers[-most:], opening)]
        times = sum(each.usage.input_tokens for each, *_ in looked) / max(1.0, sum(asked for *_, asked in looked)) if looked else 1.0
        limit = most_tokens(job, workspace.name, model)
        output = known.means[1] * _kept((answer.usage.output_tokens, terms_of(row.model, row.body, limit)) for answer, row, _ in looked)
        lengths = (lengths_of(measured(opening.source, read, estimate)) or Lengths(0.0, estimate.tokens_a_byte)).times(times)
        costs = _costs([(each.usage, times * asked + output) for each, _, asked in looked])
    else:
        sample = sampled(job, workspace, model, opening.source, read, estimate)
        lengths, output, costs, calls = sample.lengths, sample.output, (1.0,), sample.calls
        latencies, told = _assumed(job, workspace, sample)
    line_bytes = opening.source.line_bytes
    plan = replace(
        _with_found(lane_of(workspace, model, len(rows), opening, estimate), seen.learnt.pools),
        rows=rows,
        tokens=lambda ordinal: lengths.of(line_bytes(ordinal)) + output,
    )
    totals = seen.totals.get(key, Totals())
    each = Expected(latencies, costs, failing=seen.failing.seconds(key), reask_costs=_reask_costs(totals, known))
    outside = totals.calls - seen.failing.in_outages[key]
    expected = _with_shares(each, replace(totals, calls=outside, retries=seen.failing.count[key]), plan)
    obstacles = (*without_files(job, key, len(rows), opening.source, read),)
    lane = ExpectedLane(plan, output, expected, told, calls, most_of(job, workspace, model, read), obstacles)
    lane.input_tokens = math.fsum(lengths.of(line_bytes(row)) for row in rows)
    lane.asked_again = _again(totals, seen.answers.get(key, ()))
    return lane


def _again(totals: Totals, answers: Sequence[Answer]) -> Again:
    """What calls were billed and made again, as answers are that did not fit, by *totals* of a log; *answers* are some of its own."""
    last = totals.calls - totals.retries - totals.throttles - totals.reasks
    if min(len(answers), last) < _LEAST_ANSWERS:
        return NO_MORE
    asked, answered = (last * each for each in means_of(answers))
    return Again(1.0 + totals.input_tokens / max(1.0, asked), 1.0 + totals.output_tokens / max(1.0, answered))


def _reask_costs(totals: Totals, known: Known) -> float:
    """Tokens of a call whose answer did not fit, in terms of those of the answers."""
    if not (totals.reasks and known.answers):
        return 1.0
    return (totals.reask_input_tokens + totals.reask_output_tokens) / totals.reasks / max(1.0, math.fsum(known.means))


def _with_rows(answers: Sequence[Answer], opening: Opening) -> Iterator[tuple[Answer, Row]]:
    """*answers* with their rows, as the job asks them now; without those whose rows are not what they were."""
    read = ((each, opening.source.read(each.ordinal)) for each in answers)
    return ((each, row) for each, row in read if isinstance(row, Row))


def _kept(answers: Iterable[tuple[int, Terms]]) -> float:
    """What share of answers of so many tokens is left where their rows are asked on these terms: max_tokens may have been lowered since."""
    had, has = 0, 0
    for tokens, terms in answers:
        had, has = had + tokens, has + min(tokens, terms.most_output)
    return has / had if had else 1.0


def _costs(calls: Sequence[tuple[Usage, float]]) -> tuple[float, ...]:
    """What *calls* did cost, in terms of what would have been expected of each, and 1 in the mean."""
    off = [(usage.input_tokens + usage.output_tokens) / max(1.0, expected) for usage, expected in calls]
    mean = math.fsum(off) / len(off) if off else 0.0
    return tuple(sorted(each / mean for each in off)) if mean else (1.0,)


# Most lanes of a job are assumed to be alike: making these takes as long as forecasting a thousand rows.


@lru_cache(maxsize=64)
def _latencies(mean: float, sigma: float) -> tuple[float, ...]:
    return tuple([mean * each for each in _spread(sigma)])


@lru_cache(maxsize=8)
def _spread(sigma: float) -> tuple[float, ...]:
    return lognormal(1.0, sigma)


def _assumed(job: Job, workspace: Workspace, sample: Sample) -> tuple[Sequence[float], str]:
    if workspace.endpoint.simulated:
        told = job.simulator.latency
        lengths = "what it answers to some of the rows" if sample.answered else "the model's name"
        begun = _latencies(told.median * math.exp(told.sigma**2 / 2), told.sigma)
        written = told.per_token * sample.output
        return [each + written for each in begun] if written else begun, f"[simulator] latency and {lengths}"
    seconds = FIRST_LATENCY + LATENCY_A_TOKEN * sample.output
    a_token = f"{FIRST_LATENCY} s and {LATENCY_A_TOKEN * 1000:.0f} ms a token of output"
    return _latencies(seconds, _SPREAD), f"{a_token}, and lengths after the model's name: none was seen yet"


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
    # A few that no rate was found from would teach one to the rehearsal: what chance may have added is left out.
    throttled = 0 if limited else max(0.0, totals.throttles - 2 * math.sqrt(totals.throttles))
    # Never all of them: a forecast has to end.
    most = max(1.0, (totals.retries + throttled + totals.reasks) / 0.9)
    calls = max(float(totals.calls), most)
    return replace(expected, again=totals.retries / calls, throttled=throttled / calls, reasked=totals.reasks / calls)
