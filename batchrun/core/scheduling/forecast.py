"""When a run's lanes will be done, and what limits them: the run's own scheduler, driven in virtual time.

Each row is launched when the scheduler says so, takes as long as rows of its lane are expected to take, and costs what they are expected to
cost (`expected.py`); some calls fail or are throttled, where that was seen before (`rehearsal.py`). What holds a lane back (`holds.py`) is
looked at while it happens, on a grid of virtual time that grows coarser as the run grows longer.

A large run is forecast from three smaller ones. The first is the run itself, up to so many calls: lanes that are done by then are exact.
The other two are samples that keep the lanes' proportions, their slots and their quotas, and have fewer rows, one of them half as many as
the other. Where something steady limits a lane, its end lies on a straight line over the number of rows (what a start and an end cost is
the line's height, the limit its slope), so the line through both samples gives the end of the whole: for a million rows in twelve lanes
within two in a hundred of the forecast row by row, and less exactly for lanes that have few rows among millions. What changes with the time
and not with the rows (the hours of a workspace) does not lie on it; such a run is forecast row by row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from batchrun.core.scheduling.expected import AT_ANY_TIME, Calendar, Expected, Foreseen, LaneKey
from batchrun.core.scheduling.lane_plan import LanePlan
from batchrun.core.scheduling.rehearsal import Rehearsal, draw
from batchrun.core.scheduling.retry import RetryPolicy

EXACT_ROWS = 200_000
"""Up to so many rows a run is forecast row by row."""
_SAMPLE_ROWS = 100_000


def foresee(
    plans: Sequence[LanePlan],
    expected: Mapping[LaneKey, Expected],
    retry: RetryPolicy,
    calendar: Calendar = AT_ANY_TIME,
    learnt: Mapping[str, Any] = MappingProxyType({}),
) -> dict[LaneKey, Foreseen]:
    """Say of each lane with rows when it is done, and what holds it back. The plans' rows are sequences: they may be gone over again.

    A workspace that is closed is waited for. *learnt* is what earlier openings found of the pools (`Scheduler.learnt`).
    """
    total = sum(plan.count for plan in plans)
    whole = Rehearsal(plans, expected, retry, calendar, learnt)
    if total <= EXACT_ROWS or calendar.hours:
        return whole.to_its_end()
    done = whole.to_its_end(_SAMPLE_ROWS)
    sampled = [_sample(plans, _SAMPLE_ROWS / total), _sample(plans, _SAMPLE_ROWS / total / 2)]
    larger, smaller = (Rehearsal(each, expected, retry, calendar, learnt).to_its_end() for each in sampled)
    for plan, more, less in zip(plans, *sampled, strict=True):
        key = (plan.workspace, plan.model)
        if plan.count and key not in done:
            on_line = _on_line(plan.count, (less.count, smaller[key].ends_at), (more.count, larger[key].ends_at))
            done[key] = replace(larger[key], ends_at=max(whole.now, on_line))
    return done


def _sample(plans: Sequence[LanePlan], share: float) -> list[LanePlan]:
    """Plans with *share* of each lane's rows, evenly picked: one row at the least."""
    return [replace(plan, rows=_picked(plan.rows, count), count=count) for plan in plans for count in [_part(plan.count, share)]]


def _part(count: int, share: float) -> int:
    return min(count, max(1, round(count * share)))


def _picked(rows: object, count: int) -> Sequence[int]:
    assert isinstance(rows, Sequence)
    # Anywhere within its stride: rows that come in a rhythm must not fall in step with it.
    return [rows[((place << 32) + draw(place)) * len(rows) // count >> 32] for place in range(count)]


def _on_line(rows: int, less: tuple[int, float], more: tuple[int, float]) -> float:
    (few, early), (many, late) = less, more
    return late if few == many else late + (rows - many) * (late - early) / (many - few)
