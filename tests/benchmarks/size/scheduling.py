"""What a decision costs: one row launched, settled and released, whatever the number of lanes and of rows that wait."""

from __future__ import annotations

from time import process_time

from batchrun.core.model import Reply, Usage
from batchrun.core.scheduling.decisions import Launch
from batchrun.core.scheduling.lane_plan import LanePlan
from batchrun.core.scheduling.retry import RetryPolicy
from batchrun.core.scheduling.scheduler import Scheduler

_REPLY = Reply("an answer", "stop", Usage(10, 5))
_IN_FLIGHT = 1000


def micros(workspaces: int, waiting: int, decisions: int = 20_000) -> float:
    """CPU microseconds a row, with 1,000 in flight, in an account that all *workspaces* share."""
    each = waiting // workspaces
    slots = max(1, _IN_FLIGHT // workspaces)
    lanes = [LanePlan(f"w-{number}", "m", "all", range(each), each, slots, pool="all") for number in range(workspaces)]
    scheduler = Scheduler(lanes, RetryPolicy(6, 1.0, 60.0))
    now, done, under_way = 0.0, 0, []
    while isinstance(step := scheduler.next(now), Launch):
        under_way.append(step.ticket)
    began = process_time()
    while done < decisions and under_way:
        now += 0.001
        for ticket in under_way[:50]:
            scheduler.settle(ticket, _REPLY, now, 0.5)
            scheduler.release(ticket)
            done += 1
        del under_way[:50]
        while isinstance(step := scheduler.next(now), Launch):
            under_way.append(step.ticket)
    return 1e6 * (process_time() - began) / done
