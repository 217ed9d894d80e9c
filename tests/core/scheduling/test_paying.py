"""Lanes of many workspaces, paid from one budget that leaves room for few of their calls at a time."""

import heapq
import math
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.ledger.attempts import Bound
from batchrun.core.limits.quota import Quota
from batchrun.core.model import Reply, Scope, Usage
from batchrun.core.money.budget import TOKENS, Cap, Purse
from batchrun.core.scheduling.retry import RetryPolicy
from batchrun.core.scheduling.scheduler import Drained, Launch, Scheduler
from tests.laboratory import MODEL, again, ended, lane, launched, parks
from tests.steps import lines_run


def of(tokens):
    return Purse(Cap("job.budget", Decimal(tokens), TOKENS))


def one_after_another(ticket):
    """Calls that begin together do not end together."""
    return 1.0 + (7 * ticket.ordinal + 3 * int(ticket.workspace[1:])) % 20 / 20


def workspaces(purse, *weights, rows=1000, slots=4, pool_quota=None):
    plans = [lane(f"w{place}", rows=rows, slots=slots, account="main") for place in range(len(weights))]
    return [
        replace(plan, purses=(purse,), weight=float(weight), pool_quota=pool_quota or plan.pool_quota)
        for plan, weight in zip(plans, weights, strict=True)
    ]


class Till:
    """Carries a run out: each call is paid from the lanes' budgets at the most that *bound* says of its row, and takes a *second* or so."""

    def __init__(self, plans, bound=lambda _ticket: 100, cost=lambda _ticket: 10, takes=lambda _ticket: 1.0):
        self.scheduler = Scheduler(plans, RetryPolicy())
        self.bound, self.cost, self.takes = bound, cost, takes
        self.now, self.looks, self.sent, self._order, self._out = 0.0, 0, [], count(), []

    def run(self, until=math.inf):
        while True:
            match self.scheduler.next(self.now):
                case Launch(ticket):
                    self.looks += 1
                    most = self.bound(ticket)
                    if self.scheduler.afford(ticket, Bound(most - 1, 1), 0.0):
                        self.sent.append(ticket)
                        heapq.heappush(self._out, (self.now + self.takes(ticket), next(self._order), ticket))
                    else:
                        self.scheduler.release(ticket)
                case Drained() as drained:
                    assert not self._out
                    return drained
                case wait:
                    at = min(wait.at, self._out[0][0] if self._out else math.inf)
                    assert at < math.inf, "nothing is under way and nothing is due: the run hangs"
                    if at > until:
                        return None
                    self.now = at
                    while self._out and self._out[0][0] <= at:
                        self._end(heapq.heappop(self._out)[2])

    def _end(self, ticket):
        cost = self.cost(ticket)
        ended(self.scheduler, ticket, Reply("an answer", "stop", Usage(cost - 1, 1)) if cost else again(), self.now)

    def by_workspace(self):
        return Counter(ticket.workspace for ticket in self.sent)


def test_what_a_budget_leaves_goes_to_its_workspaces_in_turn():
    till = Till(workspaces(of(20_000), *[1] * 40))
    till.run()
    sent = till.by_workspace()
    assert len(till.sent) > 1900
    assert max(sent.values()) - min(sent.values()) <= 4


def test_what_a_budget_leaves_goes_to_its_workspaces_by_their_weights():
    till = Till(workspaces(of(60_000), *[1, 2, 3] * 10, slots=40))
    till.run()
    sent = [sum(till.by_workspace()[f"w{place}"] for place in range(kind, 30, 3)) for kind in range(3)]
    assert [round(each / sent[0], 1) for each in sent] == [1.0, 2.0, 3.0]


def test_whose_turn_it_is_costs_as_much_a_row_with_two_hundred_workspaces_as_with_twenty():
    def lines(many):
        till = Till(workspaces(of(many * 50), *[1] * many, rows=20))
        return lines_run(till.run, "scheduling/short.py", "scheduling/paying.py") / len(till.sent)

    assert lines(200) < 1.3 * lines(20)


def test_a_call_that_ends_has_only_those_look_again_that_it_leaves_enough_for():
    till = Till(workspaces(of(20_000), *[1] * 400, slots=1))
    till.run(until=50.0)
    assert till.looks < 2.5 * len(till.sent)


def test_a_row_that_may_cost_much_waits_until_others_were_promised_as_much_more_and_no_longer():
    large = 1_500

    def is_large(ticket):
        return ticket.workspace == "w7" and ticket.ordinal == 9

    plans = workspaces(of(4_000), *[1] * 8, slots=20)
    till = Till(plans, lambda ticket: large if is_large(ticket) else 100, takes=one_after_another)
    till.run(until=30.0)
    others = Counter(ticket.workspace for ticket in till.sent[: next(filter(lambda place: is_large(till.sent[place]), count()))])
    assert others.pop("w7") == 9
    assert 9 + large / 100 - 3 <= min(others.values()) <= max(others.values()) <= 9 + large / 100 + 3


def test_a_row_that_may_cost_more_than_a_budget_will_leave_keeps_nobody_waiting_and_its_lane_sends_cheaper_ones():
    dear = 36_000

    def bound(ticket):
        return dear if ticket.workspace == "w1" and ticket.ordinal == 8 else 400

    till = Till(workspaces(of(40_000), 1, 1, slots=8), bound, lambda _ticket: 400, one_after_another)
    drained = till.run()
    assert min(till.by_workspace().values()) >= 40
    assert all(ticket.ordinal != 8 for ticket in till.sent if ticket.workspace == "w1")
    assert {each.failure.code for each in drained.parked} == {"budget_spent"}


def test_of_several_rows_of_a_lane_that_were_too_dear_at_once_it_waits_for_the_one_that_goes_next():
    purse = of(1_000)
    scheduler = Scheduler(workspaces(purse, 1, 1, slots=2), RetryPolicy())
    first, dear, second, cheap = launched(scheduler, 0.0)
    for ticket, most in ((first, 400), (second, 600)):
        assert scheduler.afford(ticket, Bound(most, 0), 0.0)
    for ticket, most in ((dear, 900), (cheap, 300)):
        assert not scheduler.afford(ticket, Bound(most, 0), 0.0)
        scheduler.release(ticket)
    assert launched(scheduler, 0.0) == []
    ended(scheduler, first, Reply("an answer", "stop", Usage(50, 0)), 1.0)
    assert cheap.ordinal in [ticket.ordinal for ticket in launched(scheduler, 1.0) if ticket.workspace == cheap.workspace]


def test_a_workspace_that_comes_late_has_its_share_of_what_is_left_and_makes_up_for_nothing():
    till = Till(workspaces(of(6_000), *[1] * 4, slots=40), cost=lambda _ticket: 2, takes=one_after_another)
    till.scheduler.close("w0", again())
    till.run(until=10.0)
    assert till.by_workspace()["w0"] == 0
    before = len(till.sent)
    till.scheduler.open("w0")
    till.run(until=15.0)
    later = Counter(ticket.workspace for ticket in till.sent[before:])
    assert later["w0"] / later["w1"] == pytest.approx(1.0, abs=0.15)


def test_a_workspace_that_is_held_back_when_its_turn_comes_keeps_no_other_waiting():
    till = Till(workspaces(of(100_000), 1, 1, 1, slots=500), takes=lambda ticket: 5.0 + ticket.ordinal % 7)
    till.run(until=6.0)
    till.scheduler.close("w0", again())
    before = len(till.sent)
    till.run(until=60.0)
    later = Counter(ticket.workspace for ticket in till.sent[before:])
    assert later["w0"] == 0
    assert min(later["w1"], later["w2"]) > 500


def closed(scheduler):
    scheduler.close("w2", again())


def pauses(scheduler):
    scheduler._lanes["w2", MODEL].limiter.refused(1.0, 0.5, "limit_requests", 3_000.0, 0.5)


def parked(scheduler):
    scheduler.park(Scope.LANE, "w2", MODEL, parks(Scope.LANE), 1.0)


@pytest.mark.parametrize("holds_back", [closed, pauses, parked])
def test_a_turn_that_cannot_be_used_is_not_waited_for_while_a_call_of_an_hour_is_under_way(holds_back):
    plans = workspaces(of(250), 1, 1, 1, slots=2, rows=30)
    plans[0] = replace(plans[0], rows=range(1), count=1)
    till = Till(plans, cost=lambda _ticket: 2, takes=lambda ticket: 3_600.0 if ticket.workspace == "w0" else 1.0)
    till.run(until=0.5)
    assert till.by_workspace() == {"w0": 1, "w1": 1}
    holds_back(till.scheduler)
    till.run(until=60.0)
    assert till.by_workspace()["w1"] > 20


@pytest.mark.parametrize("of_pool", [False, True], ids=["its workspace's slots", "what its pool takes at once"])
def test_nor_is_that_of_a_lane_which_such_a_call_of_another_leaves_no_room(of_pool):
    shared = of(150)
    slow = lane("w3" if of_pool else "w2", rows=1, slots=1, model="slow", account="main")
    waits = lane("w2", rows=9, slots=1, model="slow" if of_pool else MODEL, account="main")
    plans = [replace(plan, purses=(shared,)) for plan in (lane("w1", rows=30, slots=2), waits, slow)]

    def is_slow(ticket):
        return (ticket.workspace, ticket.model) == (slow.workspace, slow.model)

    till = Till(plans, lambda each: 10 if is_slow(each) else 100, lambda _each: 2, lambda each: 3_600.0 if is_slow(each) else 1.0)
    till.run(until=0.5)
    assert [ticket.workspace for ticket in till.sent] == ["w1", slow.workspace]
    if of_pool:
        till.scheduler._queues.pools["main slow"].crowd.at_once.limit = 1
    till.run(until=60.0)
    assert till.by_workspace()["w1"] > 20


@given(
    st.lists(st.tuples(st.integers(1, 6), st.integers(1, 4), st.integers(0, 15)), min_size=1, max_size=6),
    st.integers(50, 3_000), st.lists(st.tuples(st.integers(2, 900), st.integers(0, 100), st.integers(1, 5)), min_size=1, max_size=12),
    st.integers(30, 900) | st.none(),
)  # fmt: skip
def test_whatever_rows_may_cost_and_do_cost_no_budget_is_exceeded_and_no_row_that_it_would_pay_is_left(shapes, tokens, kinds, own):
    """Each workspace has a weight, slots and rows; of the rows each has its bound, the percentage of it that it costs, and its time."""
    shared, others = of(tokens), [of(own) if own and place % 2 else None for place in range(len(shapes))]
    plans = [
        replace(lane(f"w{place}", rows=rows, slots=slots, account="main"), weight=weight, purses=(shared, mine) if mine else (shared,))
        for place, ((weight, slots, rows), mine) in enumerate(zip(shapes, others, strict=True))
    ]
    purses = [shared, *filter(None, others)]

    def kind(ticket):
        return kinds[(ticket.ordinal * 5 + int(ticket.workspace[1:])) % len(kinds)]

    def cost(ticket):
        for purse in purses:
            page = purse.page(0.0)
            assert page.spent + page.promised <= purse.cap.amount
        return max(2, kind(ticket)[0] * kind(ticket)[1] // 100)

    till = Till(plans, lambda ticket: kind(ticket)[0], cost, lambda ticket: kind(ticket)[2])
    till.run()
    answered = Counter((ticket.workspace, ticket.ordinal) for ticket in till.sent)
    assert max(answered.values(), default=1) == 1
    assert all(purse.page(0.0).promised == 0 for purse in purses)
    for place, (plan, mine) in enumerate(zip(plans, others, strict=True)):
        left = min(purse.page(0.0).left for purse in (shared, mine) if purse)
        unsent = [row for row in plan.rows if (plan.workspace, row) not in answered]
        assert all(kinds[(row * 5 + place) % len(kinds)][0] > left for row in unsent)


def test_workspaces_that_wait_for_a_quota_and_for_a_budget_have_both_by_their_weights():
    till = Till(workspaces(of(40_000), *[1, 2, 3] * 4, slots=40, pool_quota=Quota(rpm=3_000)))
    till.run()
    sent = [sum(till.by_workspace()[f"w{place}"] for place in range(kind, 12, 3)) for kind in range(3)]
    assert [round(each / sent[0]) for each in sent] == [1, 2, 3]
