"""What a park holds, and what it costs to begin one."""

from __future__ import annotations

import pytest

from batchrun.core.limits.limiter import NO_QUOTA, limiter
from batchrun.core.limits.slots import Slots
from batchrun.core.model import Failure, Fault, Scope
from batchrun.core.scheduling.lanes import Lane, LanePlan, Pool, Workspace
from batchrun.core.scheduling.parking import Parking


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


def test_a_thousand_lanes_that_are_parked_one_by_one_are_not_looked_through_a_thousand_times():
    lanes = lanes_of([("legal", f"m-{number}", "main") for number in range(1000)])
    parking = Parking(lanes)
    for lane in dict.values(lanes):
        parking.park(Scope.LANE, lane, Failure(Fault.PARK, Scope.LANE, "model_not_found", "said", "advice"), probe=True)
    assert lanes.looks == 0
