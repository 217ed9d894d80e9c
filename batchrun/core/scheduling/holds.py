"""What holds a lane back at a moment: its own limits, its workspace's, or the quota of the pool that it shares; and which limit of these.

It is asked right after the scheduler had nothing more to launch: what is told is what a person would have to raise for the lane to go
faster. Where several hold it back, a lane's own rate is told before its slots: a lane that its slots limit lets its rate recover, and one
that its rate limits may well have all its slots in use. Then come what it shares with its workspace, and what that shares with others.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from batchrun.core.limits.limiter import Limiter
from batchrun.core.scheduling.lanes import Lane


class Whose(StrEnum):
    """Whose limit it is."""

    LANE = "lane"
    WORKSPACE = "workspace"
    POOL = "pool"


class What(StrEnum):
    """Which limit it is."""

    CONCURRENCY = "concurrency"
    RPM = "rpm"
    TPM = "tpm"
    START = "start"
    """Attempts may only grow so fast in number."""
    THROTTLES = "throttles"
    """Pauses after refusals."""
    WINDOW = "window"
    """The hours in which it may be called."""
    BUDGET = "budget"
    """What is left of one pays for no more calls at once, each at the most that it may cost."""


class Hold(NamedTuple):
    """What holds a lane back that has rows to send."""

    whose: Whose
    what: What


def hold_of(lane: Lane, now: float) -> Hold | None:
    """What holds *lane* back, right after its scheduler had nothing more to launch at *now*; None where it has nothing to send."""
    workspace = lane.workspace
    if not (lane.front or lane.undrawn):
        return None
    if lane.short_of is not None:
        return Hold(Whose.WORKSPACE, What.BUDGET)
    tokens = lane.next_tokens()
    if lane.limiter.free_at(now, tokens) > now:
        return Hold(Whose.LANE, _rate(lane.limiter, now, tokens))
    if lane.in_flight >= min(lane.slots.limit, lane.at_once.limit):
        return Hold(Whose.LANE if lane.slots.cap < workspace.slots else Whose.WORKSPACE, What.CONCURRENCY)
    if workspace.in_flight + workspace.turns - lane.in_turn >= workspace.slots:
        return Hold(Whose.WORKSPACE, What.CONCURRENCY)
    return _hold_of_shared_rates(lane, now, tokens)


def _hold_of_shared_rates(lane: Lane, now: float, tokens: float) -> Hold | None:
    workspace, pool = lane.workspace, lane.pool
    if workspace.limiter is not None and workspace.free_at(now, lane, tokens) > now:
        is_free = workspace.limiter.free_at(now, tokens) <= now  # and kept for another lane
        left = What.RPM if lane.plan.workspace_quota.tpm is None else What.TPM
        return Hold(Whose.WORKSPACE, left if is_free else _rate(workspace.limiter, now, tokens))
    if pool.crowd.under_way >= pool.crowd.at_once.limit:
        return Hold(Whose.POOL, What.CONCURRENCY)
    return Hold(Whose.POOL, _rate(pool.limiter, now, tokens)) if pool.limiter.free_at(now, tokens) > now else None


def _rate(limiter: Limiter, now: float, tokens: float) -> What:
    if limiter.waits_until > now:
        return What.THROTTLES
    free = {
        What.RPM: limiter.attempts.free_at(now, 1.0),
        What.TPM: limiter.tokens.free_at(now, tokens),
        What.START: limiter.ramp.free_at(now),
    }
    return max(free, key=lambda what: free[what])
