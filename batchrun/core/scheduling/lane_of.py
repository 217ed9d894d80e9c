"""A lane as its plan has it: its workspace and its pool are made with the first that is of them."""

from __future__ import annotations

from batchrun.core.limits.quota import NO_QUOTA, limiter
from batchrun.core.limits.slots import Slots
from batchrun.core.scheduling.lane_plan import LanePlan
from batchrun.core.scheduling.lanes import Lane, Pool, Workspace


def lane_of(plan: LanePlan, workspaces: dict[str, Workspace], pools: dict[str, Pool]) -> Lane:
    """Make the lane, and what is not there yet of what it shares with others."""
    workspace = workspaces.get(plan.workspace)
    if workspace is None:
        own = limiter(plan.workspace_quota) if plan.workspace_quota != NO_QUOTA else None
        workspace = workspaces[plan.workspace] = Workspace(plan.workspace, plan.concurrency, own)
    pool = pools.get(plan.pool_name)
    if pool is None:
        pool = pools[plan.pool_name] = Pool(plan.pool_name, limiter(plan.pool_quota, has_others=True))
        pool.chance.is_known = plan.pool_quota.rpm is not None
    else:
        pool.limiter.is_alone = False
    slots = plan.concurrency if plan.lane_concurrency is None else min(plan.concurrency, plan.lane_concurrency)
    of_lane = limiter(plan.quota, under_known=plan.pool_quota != NO_QUOTA or plan.workspace_quota != NO_QUOTA)
    of_lane.is_alone = False
    lane = Lane(plan, workspace, pool, of_lane, Slots(slots), iter(plan.rows), plan.count, plan.count)
    workspace.lanes += 1
    pool.unfinished += bool(lane.left)
    return lane
