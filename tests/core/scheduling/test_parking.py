"""What a park holds, and what it costs to begin one."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from batchrun.core.limits.quota import NO_QUOTA, limiter
from batchrun.core.limits.slots import Slots
from batchrun.core.model import Failure, Fault, Scope
from batchrun.core.scheduling.lane_plan import LanePlan
from batchrun.core.scheduling.lanes import Lane, Pool, Workspace
from batchrun.core.scheduling.parking import Parking
from batchrun.core.scheduling.retry import RetryPolicy
from batchrun.core.scheduling.scheduler import Scheduler
from tests.steps import lines_run


class Looked(dict[tuple[str, str], Lane]):
    """Lanes that count how many of them were looked at."""

    looks = 0

    def values(self):
        for lane in super().values():
            self.looks += 1
            yield lane


def lanes_of(names):
    lanes = Looked()
    for workspace, model, account in names:
        plan = LanePlan(workspace, model, account, (), 0, 1)
        pool = Pool("p", limiter(NO_QUOTA))
        lanes[workspace, model] = Lane(plan, Workspace(workspace, 1, None), pool, limiter(NO_QUOTA), Slots(1), iter(()), 0, 0)
    return lanes


NAMES = [("legal", "qwen-plus", "main"), ("legal", "qwen-max", "main"), ("hr", "qwen-plus", "main"), ("it", "qwen-plus", "other")]


@pytest.mark.parametrize(
    ("scope", "name", "held"),
    [
        (Scope.ROW, "legal qwen-plus", NAMES[:1]),
        (Scope.LANE, "legal qwen-plus", NAMES[:1]),
        (Scope.WORKSPACE, "legal", NAMES[:2]),
        (Scope.ACCOUNT, "main", NAMES[:3]),
    ],
)
def test_a_park_holds_the_lanes_of_its_scope_and_no_others(scope, name, held):
    lanes = lanes_of(NAMES)
    parked = Parking(lanes).park(scope, lanes["legal", "qwen-plus"], Failure(Fault.PARK, scope, "code", "said", "advice"), probe=False)
    assert parked is not None
    assert parked.name == name
    assert [(lane.plan.workspace, lane.plan.model) for lane in parked.lanes] == [each[:2] for each in held]


def test_a_row_that_several_parks_stop_counts_once_and_one_that_is_parked_counts_as_closed_no_more():
    lanes = lanes_of(NAMES)
    for number, held in enumerate(lanes.values()):
        held.left = 10**number
    parking = Parking(lanes)
    assert parking.rows() == ({}, {})
    failure = Failure(Fault.PARK, Scope.WORKSPACE, "code", "said", "advice")
    parking.park(Scope.LANE, lanes["legal", "qwen-plus"], failure, probe=False)
    parking.park(Scope.ACCOUNT, lanes["legal", "qwen-plus"], failure, probe=True)
    parking.close("legal", failure)
    parking.close("it", failure)
    assert parking.rows() == ({"legal": 11, "hr": 100}, {"it": 1000})


def test_a_thousand_lanes_that_are_parked_one_by_one_are_not_looked_through_a_thousand_times():
    lanes = lanes_of([("legal", f"m-{number}", "main") for number in range(1000)])
    parking = Parking(lanes)
    for lane in dict.values(lanes):
        parking.park(Scope.LANE, lane, Failure(Fault.PARK, Scope.LANE, "model_not_found", "said", "advice"), probe=True)
    assert lanes.looks == 0


def test_a_workspace_that_is_parked_for_each_of_its_models_is_looked_for_once():
    """As one without a key is before the first call."""
    lanes = lanes_of([("legal", f"m-{number}", "main") for number in range(1000)])
    parking = Parking(lanes)
    no_key = Failure(Fault.PARK, Scope.WORKSPACE, "missing_key", "said", "advice")
    begun = [parking.park(Scope.WORKSPACE, lane, no_key, probe=False) for lane in dict.values(lanes)]
    assert lanes.looks == 1000
    assert begun[0] is not None
    assert begun[1:] == [None] * 999
    other = parking.park(Scope.WORKSPACE, lanes["legal", "m-7"], replace(no_key, code="invalid_api_key"), probe=False)
    assert other is not None, "what stands still for another reason says so"


@pytest.mark.parametrize("account", ["main", "main-{}"])
def test_thousands_of_workspaces_that_close_or_are_parked_are_each_found_without_a_look_at_the_others(account):
    lanes = lanes_of([(f"w-{number}", "qwen-plus", account.format(number)) for number in range(1000)])
    parking = Parking(lanes)
    refused = Failure(Fault.PARK, Scope.WORKSPACE, "invalid_api_key", "said", "advice")
    for lane in dict.values(lanes):
        assert parking.close(lane.plan.workspace, refused) == [lane]
        assert parking.good_at(Scope.WORKSPACE, lane) == -math.inf
        parking.park(Scope.WORKSPACE, lane, refused, probe=True)
    assert lanes.looks <= 1000


def test_many_parks_whose_probes_are_due_at_once_cost_no_more_each_than_few():
    refused = Failure(Fault.PARK, Scope.LANE, "model_not_found", "said", "advice")

    def steps_of(lanes: int) -> int:
        plans = [LanePlan("legal", f"m-{number}", "main", iter([number]), 1, 1) for number in range(lanes)]
        scheduler = Scheduler(plans, RetryPolicy(6, 1.0, 60.0))
        for plan in plans:
            scheduler.park(Scope.LANE, "legal", plan.model, refused, 0.0)
        return lines_run(lambda: scheduler.launches(301.0, 1), "probing.py", "parking.py")

    assert steps_of(400) < 5 * steps_of(100)
