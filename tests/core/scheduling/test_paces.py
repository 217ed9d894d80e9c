"""Which workspaces keep a pace of their own, and which keep one together."""

from __future__ import annotations

from dataclasses import replace

from batchrun.core.limits.quota import Quota
from batchrun.core.scheduling.retry import RetryPolicy
from batchrun.core.scheduling.scheduler import Scheduler
from tests.laboratory import Events, answer, ended, lane, launched


def test_a_workspace_has_a_pace_of_its_own_once_its_slots_are_what_limits_it():
    lanes = lane("wide", 1000, 500, account="main"), lane("narrow", 1000, 2, account="main")
    scheduler = Scheduler([replace(each, pool_quota=Quota(rpm=600)) for each in lanes], RetryPolicy())
    assert scheduler.paces.look() == {"wide": "account main", "narrow": "account main"}
    events = Events(scheduler, lambda _ticket: (answer(), 1.0))
    for second in range(1, 40):
        events.run(until=second + 0.5)
        scheduler.paces.look()
    assert scheduler.paces.look() == {"wide": "account main", "narrow": "workspace narrow"}


def test_a_moment_in_which_all_slots_are_in_use_is_no_pace():
    scheduler = Scheduler([lane(rows=100, slots=4)], RetryPolicy())
    assert scheduler.paces.look() == {"legal": "account legal"}
    tickets = launched(scheduler, 0.0)
    assert scheduler.paces.look() == {"legal": "account legal"}
    for ticket in tickets:
        ended(scheduler, ticket, answer(), 1.0)
    assert scheduler.paces.look() == {"legal": "account legal"}
