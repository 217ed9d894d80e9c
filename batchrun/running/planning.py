"""What an opening's scheduler is told: lanes, quotas, what rows are expected to cost, and what earlier openings have learnt of both.

What is learnt stands in the run directory as ``learnt.json``: a summary like the others, which can be deleted and is then learnt anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, replace
from pathlib import Path
from time import time
from types import MappingProxyType
from typing import Any

import anyio

from batchrun.core.classes import slotted
from batchrun.core.errors import LedgerError
from batchrun.core.jobs.endpoints import is_batch, limited_as
from batchrun.core.jobs.job import Job, Workspace
from batchrun.core.limits.estimates import Estimate
from batchrun.core.limits.kept import believed
from batchrun.core.limits.quota import NO_QUOTA, Quota
from batchrun.core.scheduling.retry import RetryPolicy
from batchrun.core.scheduling.scheduler import LanePlan, Scheduler
from batchrun.edge import run_directory
from batchrun.running.budgets import Purses
from batchrun.running.opening import Opening

_KEPT_EVERY = 30.0
_SLOTS_LAST = 3600.0
"""Seconds for which slots stay away that lanes had no use for: how busy a provider is changes by the hour, and they come back slowly."""
_FILE = "learnt.json"

LaneKey = tuple[str, str]
_NO_PURSES: Purses = MappingProxyType({})


@slotted
class Learnt:
    """What is known of lanes and pools beyond the job."""

    estimates: dict[LaneKey, Estimate] = field(default_factory=dict)
    pools: dict[str, Any] = field(default_factory=dict)
    """By pool, what its limiter found."""
    slots: dict[LaneKey, Any] = field(default_factory=dict)
    """Of lanes that have no use for all of theirs."""
    answered_by: dict[LaneKey, str] = field(default_factory=dict)
    """The endpoints that had answered."""

    def estimate(self, lane: LaneKey) -> Estimate:
        """Give the lane's estimate, begun where there is none."""
        return self.estimates.setdefault(lane, Estimate())


def read_learnt(directory: Path) -> Learnt:
    """Read what earlier openings kept; nothing where there is nothing that can be read."""
    kept = run_directory.read_summary(directory / _FILE)
    lanes, pools = kept.get("lanes"), kept.get("pools")
    of_each = {
        (workspace, model): told
        for workspace, models in (lanes.items() if isinstance(lanes, dict) else ())
        if isinstance(models, dict)
        for model, told in models.items()
    }
    tables = {lane: told for lane, told in of_each.items() if isinstance(told, dict)}
    at = kept.get("at")
    is_of_now = isinstance(at, float) and abs(time() - at) < _SLOTS_LAST
    return Learnt(
        {lane: Estimate.from_json(told) for lane, told in of_each.items()},
        {name: believed(told) for name, told in pools.items()} if isinstance(pools, dict) else {},
        {lane: told["slots"] for lane, told in tables.items() if is_of_now and "slots" in told},
        {lane: told["answered_by"] for lane, told in tables.items() if isinstance(told.get("answered_by"), str)},
    )


class Keeping:
    """Keeps what an opening learns. Where that cannot be written it is told once, and no row waits for it: it is learnt anew."""

    def __init__(self, directory: Path, learnt: Learnt, scheduler: Scheduler, note: Callable[[str], None]) -> None:
        self._path = directory / _FILE
        self._learnt = learnt
        self._scheduler = scheduler
        self._note = note
        self._told = False

    async def now_and_then(self) -> None:
        """Keep what is known until cancelled: a killed run loses half a minute of it."""
        while True:
            await anyio.sleep(_KEPT_EVERY)
            await self.now()

    async def now(self) -> None:
        """Keep what is known now."""
        try:
            await anyio.to_thread.run_sync(run_directory.write_summary, self._path, self._known())
        except LedgerError as error:
            if not self._told:
                self._told = True
                self._note(str(error))

    def _known(self) -> dict[str, Any]:
        lanes: dict[str, dict[str, Any]] = {}
        lessons = self._scheduler.lessons
        slots, answered_by = lessons.learnt_slots(), self._learnt.answered_by | lessons.answered_by()
        for lane, estimate in self._learnt.estimates.items():
            found = {"slots": slots.get(lane), "answered_by": answered_by.get(lane)}
            workspace, model = lane
            lanes.setdefault(workspace, {})[model] = estimate.as_json() | {name: told for name, told in found.items() if told}
        return {"at": time(), "lanes": lanes, "pools": self._learnt.pools | self._scheduler.lessons.learnt()}


def schedule(
    job: Job, workspaces: Mapping[str, Workspace], opening: Opening, learnt: Learnt, *,
    wait: bool, hold_in_doubt: bool = False, purses: Purses = _NO_PURSES,
) -> Scheduler:  # fmt: skip
    """Make the scheduler of an opening."""
    lanes = [
        replace(
            lane_of(workspaces[name], model, count, opening, learnt.estimate((name, model))),
            purses=purses.get((name, model), ()),
            answered_by=learnt.answered_by.get((name, model)),
        )
        for (name, model), count in opening.plan.lanes().items()
    ]
    # How many slots another endpoint had use for, and how quick it was, says nothing of this one.
    staying = {(lane.workspace, lane.model) for lane in lanes if lane.answered_by in {None, lane.endpoint}}
    scheduler = Scheduler(lanes, policy_of(job, hold_in_doubt=hold_in_doubt), probe_every=job.stop.probe_every, wait_for_parked=wait)
    scheduler.lessons.teach(learnt.pools, anyio.current_time())
    scheduler.lessons.teach_slots({lane: found for lane, found in learnt.slots.items() if lane in staying})
    return scheduler


def policy_of(job: Job, *, hold_in_doubt: bool) -> RetryPolicy:
    """How rows are tried again; attempts that the job counts are kept to."""
    retry = job.retry
    return RetryPolicy(
        retry.max_attempts, retry.backoff.first, retry.backoff.max, hold_in_doubt, job.stop.outage,
        max_billed=retry.max_billed, keeps_to="max_attempts" in retry.model_fields_set,
    )  # fmt: skip


def lane_of(workspace: Workspace, model: str, count: int, opening: Opening, estimate: Estimate) -> LanePlan:
    """What the scheduler is told of one lane."""
    return LanePlan(
        workspace.name,
        model,
        workspace.account,
        opening.plan.rows((workspace.name, model)),
        count,
        workspace.concurrency,
        workspace.limits.get(model),
        pool=f"{workspace.account} {limited_as(workspace.endpoint)} {model}",
        weight=workspace.weight,
        tokens=_costing(opening, estimate),
        quota=workspace.quotas.get(model, NO_QUOTA),
        workspace_quota=workspace.quota,
        pool_quota=workspace.account_quotas.get(model, NO_QUOTA),
        has_rates=not is_batch(workspace.endpoint),
        endpoint=workspace.endpoint.place,
    )


def _costing(opening: Opening, estimate: Estimate) -> Callable[[int], float]:
    line_bytes = opening.source.line_bytes
    return lambda ordinal: estimate.of_line(line_bytes(ordinal))


def least_tpm(workspace: Workspace, model: str) -> float | None:
    """The tightest bound in tokens a minute that the job gives a lane; None where it gives none."""
    quotas: list[Quota | None] = [workspace.quota, workspace.quotas.get(model), workspace.account_quotas.get(model)]
    return min((each.tpm for each in quotas if each is not None and each.tpm is not None), default=None)
