"""Launches that are decided together: what is sent is what deciding them one by one would have sent."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchrun.core.limits.quota import NO_QUOTA, Quota
from batchrun.core.model import Scope
from batchrun.core.scheduling.retry import RetryPolicy
from batchrun.core.scheduling.scheduler import Drained, Scheduler, Verdict, WaitUntil
from tests.laboratory import Events, again, answer, ended, lane, launched, parks, rejected, throttled

QUOTAS = st.sampled_from([NO_QUOTA, Quota(rpm=600), Quota(rpm=6000), Quota(rpm=60_000, tpm=6_000_000)])
RPM = Quota(rpm=6000)
BRINGS = st.sampled_from([answer(), answer(), answer(), again(), throttled(), rejected(), parks(Scope.LANE)])
STEPS = st.lists(st.tuples(st.integers(0, 40), BRINGS, st.floats(0.0, 2.0)), max_size=60)


@st.composite
def plans(draw):
    """Some workspaces of one or two accounts, of one to three models each, with slots and quotas of every kind."""
    of_pool = [draw(QUOTAS) for _ in range(6)]
    made = []
    for number in range(draw(st.integers(1, 4))):
        slots, own, account = draw(st.integers(1, 12)), draw(QUOTAS), draw(st.integers(0, 1))
        for model in range(draw(st.integers(1, 3))):
            plan = lane(f"w{number}", rows=draw(st.integers(1, 40)), slots=slots, model=f"m{model}", account=f"a{account}")
            shared = {"workspace_quota": own, "pool_quota": of_pool[3 * account + model], "quota": draw(QUOTAS)}
            made.append(replace(plan, **shared, weight=draw(st.sampled_from([1.0, 3.0])), tokens=lambda ordinal: 50.0 + ordinal))
    return made


def seen(tickets):
    return [(ticket.workspace, ticket.model, ticket.ordinal, ticket.attempt, ticket.launched_at, ticket.paid) for ticket in tickets]


def next_in_its_pool():
    """Lanes of a workspace with a rate, of which one is next in a pool that pauses: what it will need of the rate is kept then."""
    kinds = [
        ("w0", "m0", "a1", 3, 6, RPM, RPM), ("w0", "m1", "a1", 3, 6, RPM, NO_QUOTA), ("w0", "m2", "a1", 1, 6, RPM, NO_QUOTA),
        ("w1", "m0", "a0", 3, 3, NO_QUOTA, NO_QUOTA), ("w2", "m0", "a1", 2, 3, NO_QUOTA, RPM), ("w2", "m1", "a1", 2, 3, NO_QUOTA, NO_QUOTA),
    ]  # fmt: skip
    return [
        replace(
            lane(name, rows=rows, slots=slots, model=model, account=account),
            workspace_quota=own,
            pool_quota=pool,
            quota={"w0m0": RPM, "w0m1": NO_QUOTA, "w0m2": NO_QUOTA}.get(name + model, Quota(rpm=600)),
            tokens=lambda ordinal: 50.0 + ordinal,
        )
        for name, model, account, rows, slots, own, pool in kinds
    ]


@given(plans(), STEPS)
@example(next_in_its_pool(), [(2, answer(), 1.0), (0, throttled(), 1.0), (0, answer(), 0.0)])
def test_what_is_launched_together_is_what_is_launched_one_by_one(lanes, steps):
    one, other = Scheduler(lanes, RetryPolicy()), Scheduler(lanes, RetryPolicy())
    now, under_way = 0.0, []
    for place, brings, passes in steps:
        tickets, then = [], None
        while then is None:
            more, then = other.launches(now, 5)
            assert len(more) == 5 or then is not None
            tickets += more
        pairs = list(zip(launched(one, now), tickets, strict=True))
        assert seen(mine for mine, _ in pairs) == seen(tickets)
        assert one.next(now) == then
        under_way += pairs
        if under_way:
            first, second = under_way.pop(place % len(under_way))
            assert ended(one, first, brings, now) == ended(other, second, brings, now)
        now += passes


CODES = ["limit_requests", "insufficient_quota", "limit_burst_rate", "Throttling.Concurrency"]
REFUSALS = st.sampled_from([answer(), again(), *(replace(throttled(), code=code) for code in CODES)])


@given(plans(), st.lists(st.tuples(st.integers(1, 12), REFUSALS, st.floats(0.0, 2.0)), max_size=40))
def test_a_lane_that_is_alone_in_its_pool_goes_as_if_what_it_sends_were_counted_for_itself_too(lanes, steps):
    one, other = Scheduler(lanes, RetryPolicy()), Scheduler(lanes, RetryPolicy())
    of_pools = Counter(plan.pool_name for plan in lanes)
    for each in other._lanes.values():
        assert each.limiter.counts is (of_pools[each.pool.name] > 1 or each.plan.quota != NO_QUOTA)
        each.limiter.counts = True
    now, under_way = 0.0, []
    for times, brings, passes in steps:
        pairs = list(zip(launched(one, now), launched(other, now), strict=True))
        assert seen(mine for mine, _ in pairs) == seen(theirs for _, theirs in pairs)
        assert one.next(now) == other.next(now)
        under_way += pairs
        for first, second in under_way[:times]:
            assert ended(one, first, brings, now) == ended(other, second, brings, now)
        del under_way[:times]
        now += passes


def test_rows_that_are_due_while_a_thousand_that_are_too_large_stepped_aside_are_waited_for_until_no_time_that_is_past():
    """An endpoint that fails for half a minute, and has no tokens left after it: `Events` refuses to wait for the past."""

    def respond(ticket):
        if ticket.launched_at < 60.0:
            return answer(), 30.0
        return (again() if ticket.launched_at < 100.0 else replace(throttled(), code="insufficient_quota")), 0.05

    events = Events(Scheduler([lane(rows=2_000, slots=4)], RetryPolicy(), wait_for_parked=True), respond)
    assert events.run(until=3_600.0) is None
    assert events.verdicts()[Verdict.THROTTLED] > 10


def test_a_row_that_was_due_while_others_were_left_goes_at_once_where_these_turn_out_to_be_too_large():
    """It had been waited for until a time that was past."""
    scheduler, too_many = Scheduler([replace(lane(rows=4, slots=1), tokens=lambda ordinal: 50.0 + ordinal)], RetryPolicy()), throttled()
    too_many = replace(too_many, code="insufficient_quota")
    now = 0.0
    for brings, passes in ((answer(), 1.0), (again(), 0.0), (too_many, 0.0), (too_many, 0.0), (too_many, 1.0)):
        [ticket] = launched(scheduler, now)
        ended(scheduler, ticket, brings, now)
        now += passes
    [ticket] = launched(scheduler, now)
    assert (ticket.ordinal, ticket.attempt) == (1, 2)


def test_no_more_are_launched_together_than_are_asked_for_and_a_stop_launches_none():
    scheduler = Scheduler([lane(rows=10, slots=8)], RetryPolicy())
    tickets, then = scheduler.launches(0.0, 3)
    assert ([ticket.ordinal for ticket in tickets], then) == ([0, 1, 2], None)
    tickets, then = scheduler.launches(0.0, 64)
    assert ([ticket.ordinal for ticket in tickets], type(then)) == ([3, 4, 5, 6, 7], WaitUntil)
    scheduler.stop()
    assert scheduler.launches(0.0, 64) == ([], WaitUntil(float("inf")))
    for ordinal in range(8):
        assert scheduler.in_flight == 8 - ordinal
        scheduler.release(tickets[0] if ordinal else tickets[-1])
    assert scheduler.launches(0.0, 64) == ([], Drained(()))


@pytest.mark.parametrize("tokens", [951.0, 1049.0])
def test_what_is_hardly_off_stays_as_it_was_expected(tokens):
    scheduler = Scheduler([replace(lane(rows=9), tokens=lambda _ordinal: 1000.0, pool_quota=Quota(tpm=60_000))], RetryPolicy())
    (ticket,), _ = scheduler.launches(0.0, 1)
    scheduler.reprice(ticket, tokens)
    assert ticket.paid == 1000.0
    scheduler.reprice(ticket, tokens + (2.0 if tokens > 1000.0 else -2.0))
    assert ticket.paid != 1000.0
