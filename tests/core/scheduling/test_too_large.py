"""Rows that are larger than what others leave of a quota of tokens, beside rows that are not."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from batchrun.core.limits.quota import NO_QUOTA, Quota
from batchrun.core.model import Reply, Usage
from batchrun.core.scheduling.retry import RetryPolicy
from batchrun.core.scheduling.scheduler import Drained, Scheduler, Verdict
from batchrun.core.scheduling.too_large import MOST, TooLarge
from batchrun.simulator.quotas import Caps, Meter
from tests.laboratory import Events, lane, throttled

KNOWN = Quota(tpm=100_000)
"""Ten thousand tokens in six seconds."""
USUAL, LARGE = 500, 8000


class Provider:
    """Takes what fits into six seconds, and from *since* to *until* nothing as large as *most*: others leave no room for it."""

    def __init__(self, sizes, most=LARGE, *, since=0.0, until=float("inf")):
        self.meter, self.sizes, self.most, self.since, self.until = Meter(Caps(tokens=10_000, token_period=6)), sizes, most, since, until
        self.tried: Counter[tuple[str, int]] = Counter()
        self.events: Events

    def respond(self, ticket):
        now, cost = self.events.now, self.sizes(ticket.ordinal)
        self.tried[ticket.workspace, ticket.ordinal] += 1
        if (cost >= self.most and self.since <= now < self.until) or self.meter.refuses(now, cost) is not None:
            return throttled(code="insufficient_quota"), 0.05
        self.meter.count(now, cost, now + 0.8)
        return Reply("an answer", "stop", Usage(cost, 0)), 0.8


def played(lanes, provider):
    events = Events(Scheduler(lanes, RetryPolicy()), provider.respond)
    provider.events = events
    return events


def plans(sizes, rows, *workspaces, quota=KNOWN):
    return [replace(lane(each, rows, 64, account="main"), tokens=lambda n: float(sizes(n)), pool_quota=quota) for each in workspaces]


def every(place, cost=LARGE):
    return lambda ordinal: cost if ordinal % place == place - 1 else USUAL


@pytest.mark.parametrize("quota", [KNOWN, NO_QUOTA])
@pytest.mark.parametrize("workspaces", [("legal",), ("legal", "sales", "press")])
def test_rows_that_others_leave_no_room_for_are_tried_now_and_then_and_smaller_ones_go_on(quota, workspaces):
    sizes = every(40)
    provider = Provider(sizes)
    events = played(plans(sizes, 400, *workspaces, quota=quota), provider)
    events.run(2.0 * 390 * USUAL * len(workspaces) / (10_000 / 6))
    done = Counter(sizes(each.ticket.ordinal) for each in events.settled if each.verdict.final)
    assert done == {USUAL: 390 * len(workspaces)}
    assert sum(tries for (_, ordinal), tries in provider.tried.items() if sizes(ordinal) == LARGE) <= 3 * 4 * len(workspaces)


def test_a_row_that_had_no_room_goes_within_minutes_once_others_leave_it_some():
    sizes = every(200)
    provider = Provider(sizes, until=700.0)
    events = played(plans(sizes, 5000, "legal"), provider)
    events.run(1050.0)
    at = [each.at for each in events.settled if sizes(each.ticket.ordinal) == LARGE and each.verdict is Verdict.ANSWERED]
    assert at
    assert events.scheduler._queues.pools["main qwen-plus"].too_large.cost == float("inf")
    assert events.run() == Drained(())
    assert events.verdicts()[Verdict.ANSWERED] == 5000


def test_a_row_that_was_thought_smaller_than_it_is_keeps_none_of_that_size_back_for_ever():
    thought = every(40, 2000)
    provider = Provider(lambda ordinal: LARGE if ordinal == 39 else thought(ordinal))
    (parked,) = played(plans(thought, 400, "legal"), provider).run().parked
    assert parked.rows == 1


def test_a_run_of_which_only_rows_are_left_that_have_no_room_ends_and_says_so():
    sizes = every(40)
    events = played(plans(sizes, 400, "legal"), Provider(sizes))
    (parked,) = events.run().parked
    small_done_at = max(each.at for each in events.settled if each.verdict.final)
    assert events.now - small_done_at < 660.0
    assert parked.rows == 10
    assert parked.failure.advice.startswith("rows of about 8000 tokens or more were refused for 10 minutes: others leave too little of")


def test_rows_that_all_have_no_room_are_not_looked_through_to_the_last():
    sizes = every(1)
    drawn = []

    def rows():
        for ordinal in range(1_000_000):
            drawn.append(ordinal)
            yield ordinal

    (plan,) = plans(sizes, 1_000_000, "legal")
    played([replace(plan, rows=rows())], Provider(sizes)).run(300.0)
    assert len(drawn) <= MOST + 10


def test_usual_rows_that_are_refused_while_a_minute_is_full_are_not_too_large():
    sizes = every(1, USUAL)
    provider = Provider(sizes, USUAL, since=20.0, until=65.0)
    events = played(plans(sizes, 300, "legal"), provider)
    events.run(65.0)
    assert max(provider.tried.values()) > 3
    assert events.scheduler._queues.pools["main qwen-plus"].too_large.cost == float("inf")
    assert events.run() == Drained(())
    assert events.now < 200.0


@pytest.mark.parametrize("usual", [6000, 9000])
@pytest.mark.parametrize(("quota", "workspaces"), [(KNOWN, ("legal",)), (NO_QUOTA, ("legal",)), (KNOWN, ("legal", "sales"))])
def test_a_row_that_no_window_holds_stops_none_of_the_others_however_little_larger_it_is(quota, workspaces, usual):
    """One of twenty: a window holds 10,000 tokens, and one of the others."""
    sizes = lambda ordinal: 10_500 if ordinal % 20 == 19 else usual  # noqa: E731
    events = played(plans(sizes, 100, *workspaces, quota=quota), Provider(sizes, most=10**9))
    events.run(3 * 6.0 * 95 * len(workspaces))
    done = Counter(each.ticket.workspace for each in events.settled if each.verdict is Verdict.ANSWERED)
    assert done == dict.fromkeys(workspaces, 95)


def test_rows_that_a_quota_of_a_workspaces_own_has_no_room_for_are_too_large_for_it_alone():
    """It takes no more than 1,500 of its tokens in six seconds; rows of others are as large, and are taken."""
    sizes, own = every(20, 2000), Meter(Caps(tokens=1500, token_period=6))
    provider = Provider(sizes, most=10**9)

    def respond(ticket):
        cost = sizes(ticket.ordinal)
        if ticket.workspace == "legal" and own.refuses(provider.events.now, cost) is not None:
            provider.tried["legal", ticket.ordinal] += 1
            return throttled(code="insufficient_quota"), 0.05
        answer, seconds = provider.respond(ticket)
        if ticket.workspace == "legal" and isinstance(answer, Reply):
            own.count(provider.events.now, cost, provider.events.now + seconds)
        return answer, seconds

    events = Events(Scheduler(plans(sizes, 5000, "legal", "sales", "press"), RetryPolicy()), respond)
    provider.events = events
    events.run(1200.0)
    done = Counter((each.ticket.workspace, sizes(each.ticket.ordinal)) for each in events.settled if each.verdict is Verdict.ANSWERED)
    assert done["legal", USUAL] >= 0.8 * 3 * 1200 / 6
    assert done["sales", 2000] + done["press", 2000] >= 0.9 * 2 * 2000 // 20 * (1200 / 6 * 10_000 - 1200 / 6 * 1500) / (2 * 2000 * 575)


def test_what_is_too_large_is_never_more_than_a_row_that_was():
    too_large = TooLarge()
    assert not too_large.refused(0.0, 5000.0, USUAL, (2, 600.0), 0.0)
    assert too_large.refused(0.0, 5000.0, USUAL, (3, 0.1), 0.0)
    assert too_large.refused(10.0, 9000.0, USUAL, (1, 0.0), 0.0)
    assert not too_large.refused(20.0, 4000.0, USUAL, (1, 0.0), 0.0)
    assert too_large.cost == 5000.0
