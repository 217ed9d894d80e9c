"""What the scheduler makes of quotas and budgets that lanes share: what an attempt costs, whose a refusal is, and what is kept of it."""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import pytest

from batchrun.core.ledger.attempts import Bound
from batchrun.core.limits.quota import NO_QUOTA, Quota
from batchrun.core.limits.tokens import KnownTokens
from batchrun.core.model import Failure, Fault, Reply, Scope, Usage
from batchrun.core.money.budget import TOKENS, Cap, Purse
from batchrun.core.money.periods import Period
from batchrun.core.scheduling.holds import Hold, What, Whose, hold_of
from batchrun.core.scheduling.latest_refused import is_of_pool
from batchrun.core.scheduling.retry import RetryPolicy
from batchrun.core.scheduling.scheduler import Drained, Launch, Scheduler, Ticket, Verdict, WaitUntil
from batchrun.simulator.quotas import Caps, Meter
from tests.laboratory import MODEL, Events, again, answer, ended, lane, launched, parks, throttled
from tests.steps import lines_run

TPM = Quota(tpm=60_000)
"""A thousand tokens a second."""
HOLDERS = ("quota", "workspace_quota", "pool_quota")


def but(plan, **parts):
    return replace(plan, **parts)


def used(tokens):
    return Reply("an answer", "stop", Usage(tokens // 3, tokens - tokens // 3))


def doubtful():
    return Failure(Fault.AGAIN, Scope.ROW, "broken", "no answer", "wait", in_doubt=True)


def busy(code="Throttling.Concurrency", retry_after=None):
    return Failure(Fault.THROTTLED, Scope.LANE, code, "the provider's words", "wait", retry_after=retry_after)


def one(scheduler, now=0.0):
    step = scheduler.next(now)
    assert isinstance(step, Launch), step
    return step.ticket


def next_at(scheduler, now):
    step = scheduler.next(now)
    return now if isinstance(step, Launch) else step.at


# What an attempt costs.


def of_three_thousand(holder):
    return Scheduler([but(lane(rows=50), tokens=lambda _ordinal: 3000.0, **{holder: TPM})], RetryPolicy())


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize(
    ("result", "costs"),
    [
        (used(300), 300),
        (used(1500), 1500),
        (again(), 0),
        (doubtful(), 3000),
        (Failure(Fault.REASK, Scope.ROW, "schema_mismatch", "$", "loosen it", usage=Usage(100, 500)), 600),
    ],
    ids=["a short answer", "a longer one", "a failure", "nobody knows", "asked again"],
)
def test_what_an_attempt_turns_out_to_cost_is_what_every_quota_is_charged(holder, result, costs):
    scheduler = of_three_thousand(holder)
    ticket = one(scheduler)
    waits = scheduler.next(0.0)
    assert isinstance(waits, WaitUntil)
    assert waits.at >= 2.9
    ended(scheduler, ticket, result, 0.0)
    if costs == 3000:
        assert next_at(scheduler, 0.0) >= 2.9
    else:
        assert next_at(scheduler, 0.0) == pytest.approx(costs / 1000, rel=0.02, abs=0.001)


def test_each_attempt_is_expected_to_cost_what_its_own_row_does_retries_too():
    scheduler = Scheduler([but(lane(rows=2, slots=2), tokens=lambda ordinal: 10.0 * (ordinal + 5))], RetryPolicy())
    for at, attempt in ((0.0, 1), (100.0, 2)):
        tickets = launched(scheduler, at)
        assert [(ticket.ordinal, ticket.attempt, ticket.paid) for ticket in tickets] == [(0, attempt, 50.0), (1, attempt, 60.0)]
        for ticket in tickets:
            ended(scheduler, ticket, again(1.0), at + 1.0)


def test_a_workspace_that_has_finished_leaves_as_many_others_as_there_are():
    scheduler = Scheduler([lane(name, rows=rows, slots=1, account="one") for name, rows in (("a", 9), ("b", 9), ("c", 1))], RetryPolicy())
    of = {ticket.workspace: ticket for ticket in launched(scheduler, 0.0)}
    ended(scheduler, of["c"], answer(), 1.0)
    ended(scheduler, of["a"], throttled(30.0), 1.0)
    ended(scheduler, of["b"], answer(), 1.0)
    assert [ticket.workspace for ticket in launched(scheduler, 1.0)] == ["b"], "one refusal is its workspace's own"


@pytest.mark.parametrize("holder", HOLDERS)
def test_what_is_known_of_a_cost_once_the_row_was_read_is_charged_at_once(holder):
    scheduler = of_three_thousand(holder)
    ticket = one(scheduler)
    assert next_at(scheduler, 0.0) >= 3.0, "for whoever waits by then"
    scheduler.reprice(ticket, 600.0)
    assert next_at(scheduler, 0.0) == pytest.approx(0.6, rel=0.02)
    ended(scheduler, ticket, used(900), 0.1)
    assert next_at(scheduler, 0.1) == pytest.approx(0.9, rel=0.03), "600 were charged for it, and then 300 more"


@pytest.mark.parametrize("holder", HOLDERS)
def test_an_attempt_that_was_not_sent_costs_neither_tokens_nor_a_call(holder):
    plan = but(lane(rows=50), tokens=lambda _ordinal: 3000.0, **{holder: Quota(rpm=60, tpm=60_000)})
    scheduler = Scheduler([plan], RetryPolicy())
    for _ in range(5):
        ticket = one(scheduler)
        scheduler.unsent(ticket)
        scheduler.drop(ticket)
        scheduler.release(ticket)
    assert isinstance(scheduler.next(0.0), Launch)
    assert next_at(scheduler, 0.0) >= 0.9


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_a_workspace_whose_rows_are_misjudged_gets_no_more_of_its_pool_than_another(scale):
    """Both are expected to cost the same; of one, a row turns out to cost *scale* times that."""
    of_pool = {"tokens": lambda _ordinal: 100.0, "pool_quota": TPM}
    plans = [but(lane(name, rows=5000, account="main", slots=8), **of_pool) for name in ("legal", "sales")]
    spent: Counter[str] = Counter()

    def respond(ticket):
        tokens = round(100 * (scale if ticket.workspace == "sales" else 1.0))
        spent[ticket.workspace] += tokens
        return used(tokens), 0.3

    Events(Scheduler(plans, RetryPolicy()), respond).run(60.0)
    assert spent["sales"] == pytest.approx(spent["legal"], rel=0.03)
    assert sum(spent.values()) >= 0.9 * 60_000


def test_a_pool_is_shared_by_weight_and_what_one_does_not_use_the_other_may():
    plans = [
        but(lane(name, rows=rows, account="main", slots=16), tokens=lambda _o: 15.0, pool_quota=Quota(rpm=1200), weight=weight)
        for name, rows, weight in (("legal", 600, 3.0), ("sales", 5000, 1.0))
    ]
    events = Events(Scheduler(plans, RetryPolicy()), lambda _ticket: (answer(), 0.4))
    events.run(100.0)
    shared = [ticket.workspace for ticket in events.launches if ticket.launched_at <= 35.0]
    assert shared.count("legal") == pytest.approx(3 * shared.count("sales"), rel=0.03)
    alone = sum(60.0 <= ticket.launched_at < 90.0 for ticket in events.launches)
    assert alone == pytest.approx(30 * 20, rel=0.02)


def test_a_lane_that_its_own_slots_held_back_comes_back_to_its_share_and_to_no_more():
    plans = [
        but(lane(name, rows=1000, account="main", slots=slots), tokens=lambda _o: 15.0, pool_quota=Quota(rpm=120))
        for name, slots in (("legal", 16), ("sales", 1))
    ]
    long = {("sales", 0): 100.0}
    events = Events(Scheduler(plans, RetryPolicy()), lambda ticket: (answer(), long.get((ticket.workspace, ticket.ordinal), 0.1)))
    events.run(141.0)
    later = [ticket.workspace for ticket in events.launches if 100.0 < ticket.launched_at <= 140.0]
    assert later.count("legal") == pytest.approx(later.count("sales"), abs=2)


@pytest.mark.parametrize(
    ("held_by", "own", "others"),
    [("slots", 1_000, 1_000), ("slots", 100, 4_000), ("quota", 1_000, 1_000), ("workspace_quota", 1_000, 1_000)],
    ids=["slots", "slots, beside rows forty times as large", "a rate", "its workspace's rate"],
)
def test_a_lane_whose_own_limits_leave_it_less_than_its_share_has_all_that_they_leave_it(held_by, own, others):
    pool = {"pool_quota": Quota(tpm=12 * 240 * own / 0.8)}
    plans = [but(lane(f"w{n}", rows=50_000, account="main", slots=64), tokens=lambda _o: float(others), **pool) for n in range(11)]
    held = but(lane("held", rows=50_000, account="main", slots=8 if held_by == "slots" else 64), tokens=lambda _o: float(own), **pool)
    scheduler = Scheduler([*plans, held if held_by == "slots" else but(held, **{held_by: Quota(rpm=240)})], RetryPolicy())
    events = Events(scheduler, lambda ticket: (used(own if ticket.workspace == "held" else others), 2.0))
    events.run(180.0)
    assert sum(60 <= at < 180 for at in events.times_of("held")) >= 0.97 * 480


@pytest.mark.parametrize("weight", [1.0, 0.001])
def test_a_lane_whose_slots_suffice_again_comes_to_its_share_within_seconds_though_another_has_next_to_no_weight(weight):
    pool = {"tokens": lambda _ordinal: 1_000.0, "pool_quota": Quota(tpm=1_200_000)}
    plans = [
        but(lane(name, rows=10_000, account="main", slots=slots), **pool) for name, slots in (("slow", 8), ("others", 64), ("light", 64))
    ]
    events = Events(
        Scheduler([*plans[:2], but(plans[2], weight=weight)], RetryPolicy()),
        lambda ticket: (used(1_000), 4.0 if ticket.workspace == "slow" and ticket.launched_at < 120.0 else 0.2),
    )
    events.run(150.0)
    before, after = (
        Counter(ticket.workspace for ticket in events.launches if start <= ticket.launched_at < start + 20) for start in (100, 130)
    )
    assert before["slow"] == 40 < before["others"]
    assert after["slow"] == pytest.approx(after["others"], rel=0.05)


def test_a_lane_that_waited_for_its_workspace_comes_back_to_its_share_and_to_no_more():
    shared = {"tokens": lambda _ordinal: 15.0, "pool_quota": Quota(rpm=120)}
    plans = [but(lane(name, rows=1000, account="main", slots=slots), **shared) for name, slots in (("legal", 16), ("sales", 4))]
    quick = lane("sales", model="quick", rows=4000, slots=4)
    long = {("quick", ordinal): 100.0 for ordinal in range(4)}
    events = Events(Scheduler([*plans, quick], RetryPolicy()), lambda ticket: (answer(), long.get((ticket.model, ticket.ordinal), 0.1)))
    events.run(141.0)
    later = [ticket.workspace for ticket in events.launches if ticket.model == MODEL and 105.0 < ticket.launched_at <= 140.0]
    assert later.count("legal") == pytest.approx(later.count("sales"), abs=4)


@pytest.mark.parametrize("models", ["ab", "abc"])
@pytest.mark.parametrize("rpm", [10, 30, 100, 600])
@pytest.mark.parametrize(("slots", "seconds"), [(8, 0.3), (1000, 90.0)])
def test_lanes_of_a_workspace_take_turns_at_its_rate_and_use_all_of_it(rpm, models, slots, seconds):
    """However long it is between two calls, of which one that ends meanwhile wakes whoever waits; and though none ends."""
    plans = [but(lane(model=model, rows=1000, slots=slots), workspace_quota=Quota(rpm=rpm)) for model in models]
    events = Events(Scheduler(plans, RetryPolicy()), lambda _ticket: (answer(), seconds))
    events.run(60.0 * 600 / rpm)
    by_model = Counter(ticket.model for ticket in events.launches)
    assert max(by_model.values()) - min(by_model.values()) <= 2
    assert by_model.total() == pytest.approx(600, rel=0.01)


@pytest.mark.parametrize("holder", ["quota", "workspace_quota"])
def test_a_workspace_that_waits_for_its_turn_in_a_pool_that_is_full_uses_all_of_its_own_tokens_nonetheless(holder):
    of_pool = {"tokens": lambda _ordinal: 500.0, "pool_quota": Quota(tpm=600_000)}
    plans = [but(lane(name, rows=5000, account="main", slots=64), **of_pool) for name in ("legal", "sales", "press", "staff")]
    events = Events(Scheduler([but(plans[0], **{holder: Quota(tpm=120_000)}), *plans[1:]], RetryPolicy()), lambda _: (used(500), 1.0))
    events.run(120.0)
    assert len(events.launches) * 500 >= 0.97 * 1_200_000
    assert len(events.times_of("legal")) * 500 >= 0.95 * 240_000


def beside_a_quick_model(tokens, *, slots=64, own=NO_QUOTA):
    """Workspaces that share a quota, of which one has another model, that is always quicker to take what comes free."""
    shared = {"tokens": lambda _ordinal: float(tokens), "pool_quota": Quota(tpm=60_000)}
    return [
        but(lane("sales", rows=5000, account="main", slots=64), **shared),
        but(lane("legal", rows=5000, account="main", slots=slots), **shared, workspace_quota=own),
        but(lane("legal", model="quick", rows=5000, slots=slots), workspace_quota=own),
    ]


@pytest.mark.parametrize(
    ("tokens", "slots", "own", "calls"),
    [(1_000, 32, NO_QUOTA, 5.4), (10_000, 32, NO_QUOTA, 5.4), (1_000, 64, Quota(rpm=60), 0.9), (10_000, 64, Quota(rpm=60), 0.95)],
    ids=["small rows, slots", "large rows, slots", "small rows, a rate", "large rows, a rate"],
)
def test_a_model_has_its_share_of_its_accounts_quota_though_another_takes_all_that_its_workspace_has(tokens, slots, own, calls):
    spread = random.Random(1)
    events = Events(
        Scheduler(beside_a_quick_model(tokens, slots=slots, own=own), RetryPolicy()),
        lambda ticket: (answer() if ticket.model == "quick" else used(tokens), 5 * spread.lognormvariate(0.0, 0.5)),
    )
    events.run(600.0)
    rows = Counter((ticket.workspace, ticket.model) for ticket in events.launches if ticket.launched_at >= 60.0)
    shared = rows["legal", MODEL] + rows["sales", MODEL]
    assert rows["legal", MODEL] >= 0.35 * shared
    assert shared * tokens >= 0.83 * 9 * 60_000
    assert rows["legal", MODEL] + rows["legal", "quick"] >= calls * 540, "and its workspace is kept busy"


@pytest.mark.parametrize(
    ("slots", "own", "what"),
    [(1, NO_QUOTA, What.CONCURRENCY), (64, Quota(rpm=60), What.RPM), (64, Quota(tpm=60), What.TPM)],
    ids=["slots", "calls", "tokens"],
)
def test_what_is_kept_for_a_model_is_what_holds_the_other_back(slots, own, what):
    plans = beside_a_quick_model(10_000 if own.tpm is None else 10, slots=slots, own=own)
    if own.tpm is not None:
        plans = [but(each, pool_quota=Quota(tpm=60)) for each in plans[:2]] + plans[2:]
    scheduler = Scheduler(plans, RetryPolicy())
    events = Events(scheduler, lambda ticket: (Reply("", "stop", Usage(int(ticket.paid), 0)), 1.0))
    quick, slow = scheduler._lanes["legal", "quick"], scheduler._lanes["legal", MODEL]
    seen = set()
    for tenth in range(1200):
        events.run(tenth / 10)
        if slow.in_turn and not quick.in_flight:
            seen.add(hold_of(quick, events.now))
    assert seen == {Hold(Whose.WORKSPACE, what)}


@pytest.mark.parametrize(("others", "quota"), [(0, Quota(rpm=6)), (1, Quota(rpm=0.5))], ids=["nobody else waits", "for more than a minute"])
def test_no_slot_is_kept_for_a_model_whose_accounts_quota(others, quota):
    plans = [but(each, pool_quota=quota) for each in beside_a_quick_model(10, slots=1)[1 - others : 2]]
    events = Events(Scheduler([*plans, beside_a_quick_model(10, slots=1)[2]], RetryPolicy()), lambda _ticket: (answer(), 1.0))
    events.run(600.0)
    calls = Counter(ticket.model for ticket in events.launches if ticket.workspace == "legal" and ticket.launched_at >= 60.0)
    assert calls.total() >= 0.98 * 540
    assert others or calls[MODEL] >= 45


def test_no_slot_is_kept_for_a_model_while_its_accounts_quota_pauses():
    def respond(ticket):
        if ticket.model == "quick":
            return answer(), 1.0
        return (throttled(60.0) if 100.0 <= ticket.launched_at < 200.0 else used(1_000)), 0.5

    events = Events(Scheduler(beside_a_quick_model(1_000, slots=1)[1:], RetryPolicy()), respond)
    events.run(200.0)
    during = Counter(ticket.model for ticket in events.launches if ticket.workspace == "legal" and 110.0 <= ticket.launched_at < 200.0)
    assert during["quick"] >= 0.95 * 90


@pytest.mark.parametrize("pause", [20.0, 60.0])
def test_a_slot_that_was_kept_for_a_model_before_its_accounts_quota_paused_is_given_to_the_other(pause):
    sales, legal, quick = beside_a_quick_model(1_000, slots=1)
    shared = {"tokens": sales.tokens, "pool_quota": sales.pool_quota}
    others = [but(lane(name, rows=5000, account="main", slots=64), **shared) for name in ("sales", "hr", "it")]

    def respond(ticket):
        if ticket.model == "quick":
            return answer(), 1.0
        return (throttled(pause) if ticket.launched_at >= 100.0 and ticket.workspace != "legal" else used(1_000)), 0.5

    events = Events(Scheduler([*others, legal, quick], RetryPolicy()), respond)
    events.run(200.0)
    during = [ticket.launched_at for ticket in events.launches if ticket.workspace == "legal" and ticket.launched_at >= 95.0]
    assert max(later - earlier for earlier, later in pairwise(during)) < 2.0


def test_a_lane_that_has_had_enough_leaves_its_workspaces_rate_to_the_others():
    plans = [but(lane(model=model, rows=rows, slots=8), workspace_quota=Quota(rpm=600)) for model, rows in (("a", 50), ("b", 1000))]
    events = Events(Scheduler(plans, RetryPolicy()), lambda _ticket: (answer(), 0.3))
    events.run(60.0)
    assert sum(30 <= ticket.launched_at < 60 for ticket in events.launches) == pytest.approx(300, rel=0.02)


def test_a_row_goes_when_its_workspaces_rate_has_room_for_it_whatever_larger_one_waits_behind_it():
    def next_launch(behind):
        tokens = {"a": lambda ordinal: 40.0 if ordinal else 160.0, "b": lambda _ordinal: behind}
        plans = [but(lane(model=model, rows=5, slots=1), tokens=tokens[model], workspace_quota=Quota(tpm=1200)) for model in "ab"]
        scheduler = Scheduler(plans, RetryPolicy())
        ended(scheduler, one(scheduler), used(160), 0.0)
        at = next_at(scheduler, 0.0)
        return at, one(scheduler, at).model

    assert next_launch(behind=300.0) == next_launch(behind=40.0) == (pytest.approx(8.0, rel=0.01), "a")


@pytest.mark.parametrize(
    ("holder", "order", "stop"),
    [
        ("pool_quota", ("small", "large"), lambda scheduler: scheduler.close("large", parks(Scope.WORKSPACE))),
        ("pool_quota", ("small", "large"), lambda scheduler: scheduler.park(Scope.LANE, "large", "qwen", parks(Scope.LANE), 0.0)),
        ("workspace_quota", ("large", "small"), lambda scheduler: scheduler.park(Scope.LANE, "legal", "large", parks(Scope.LANE), 0.0)),
    ],
    ids=["closed", "parked", "parked in a workspace"],
)
def test_nobody_waits_for_room_for_a_row_of_a_lane_that_may_not_go(holder, order, stop):
    def plan(name):
        tokens = {"small": 40.0, "large": 300.0}[name]
        names = ("legal", name) if holder == "workspace_quota" else (name, "qwen")
        plan = but(lane(names[0], model=names[1], account="main"), tokens=lambda ordinal: tokens if ordinal or name != order[0] else 160.0)
        return but(plan, **{holder: Quota(tpm=1200)})

    scheduler = Scheduler([plan(name) for name in order], RetryPolicy())
    ended(scheduler, one(scheduler), used(160), 0.0)
    assert next_at(scheduler, 0.0) == pytest.approx(20.0, rel=0.01), "it is the large row's turn"
    stop(scheduler)
    assert next_at(scheduler, 0.0) == pytest.approx(8.0, rel=0.01)


# Whose a refusal is.


def refused_in_turn(scheduler, workspaces, *, failure=None, jitter=0.5, times=3):
    """Launch all that goes, and let those of *workspaces* be refused, so many times each; the time."""
    out = launched(scheduler, 0.0)
    now = 0.05
    for number in range(times):
        for name in workspaces:
            ticket = [ticket for ticket in out if ticket.workspace == name][number]
            ended(scheduler, ticket, failure or throttled(), now, jitter)
    return now


def three_of_an_account(rows=20):
    return Scheduler([lane(name, rows=rows, account="main") for name in ("legal", "sales", "press")], RetryPolicy())


def test_refusals_of_one_workspace_hold_back_that_one_and_of_two_all_of_their_account():
    for workspaces, held in ((("legal",), {"legal"}), (("legal", "sales"), {"legal", "sales", "press"})):
        scheduler = three_of_an_account()
        now = refused_in_turn(scheduler, workspaces, times=4)
        assert scheduler.held(now) == held
        assert scheduler.held(now + 60) == frozenset()


@pytest.mark.parametrize("found", [False, True])
def test_a_refusal_is_its_pools_while_that_climbs_but_for_a_lane_that_has_found_a_limit_of_its_own(found):
    scheduler = three_of_an_account(rows=10_000)
    refused: list[Ticket] = []
    legal = scheduler._lanes["legal", MODEL]
    pool = legal.pool
    pool.limiter.teach({"attempts": {"rate": 2.0, "window": 6.0}}, 0.0)

    def respond(ticket):
        if pool.limiter.climbs(events.now, "limit_requests") and ticket.lane is legal and not refused:
            if found:
                legal.limiter.teach({"attempts": {"rate": 1.0, "window": 6.0}}, events.now)
            refused.append(ticket)
            return throttled(), 0.05
        return answer(), 0.5

    events = Events(scheduler, respond)
    events.run(600.0)
    assert refused
    assert legal.limiter.has_found is found
    assert (pool.blamed_at > 0.0) is not found


def test_a_workspace_with_nothing_left_is_held_back_by_nothing():
    plans = [lane("legal", account="main"), lane("sales", account="main"), lane("press", rows=0, account="main")]
    scheduler = Scheduler(plans, RetryPolicy())
    now = refused_in_turn(scheduler, ("legal", "sales"), times=4)
    assert scheduler.held(now) == {"legal", "sales"}


@pytest.mark.parametrize("how", ["answered", "dropped"])
def test_the_last_workspace_of_an_account_with_rows_left_finds_the_accounts_limit(how):
    scheduler = Scheduler([lane("legal", rows=2, account="main"), lane("sales", rows=40, account="main")], RetryPolicy())
    out = launched(scheduler, 0.0)
    pool = scheduler._queues.pools["main qwen-plus"].limiter
    mine = [ticket for ticket in out if ticket.workspace == "sales"]
    for ticket in mine[:3]:
        ended(scheduler, ticket, throttled(), 0.05)
    assert pool.episodes == 0, "legal is not done"
    for ticket in out:
        if ticket.workspace == "legal" and how == "answered":
            ended(scheduler, ticket, answer(), 0.1)
        elif ticket.workspace == "legal":
            scheduler.drop(ticket)
            scheduler.release(ticket)
    at = 20.0
    for _ in range(3):
        ended(scheduler, one(scheduler, at), throttled(), at + 0.05)
        at = next_at(scheduler, at + 0.05)
    assert pool.episodes == 1


def test_the_last_workspace_of_an_account_waits_no_longer_for_a_pause_that_was_taken_for_its_own():
    scheduler = Scheduler([lane("legal", rows=1, account="main"), lane("sales", rows=40, account="main")], RetryPolicy())
    legal, *mine = launched(scheduler, 0.0)
    for ticket in mine:
        ended(scheduler, ticket, throttled(), 0.05)
    assert next_at(scheduler, 0.05) > 0.1
    ended(scheduler, legal, answer(), 0.1)
    assert one(scheduler, 0.1).workspace == "sales"


def as_the_last(seed: int, events: list[Events]) -> int:
    """Rows of a workspace that are answered in ten minutes at 120 rpm, one call in twelve being refused; another had ended by then."""
    plans = [but(lane(name, rows=rows, account="main"), pool_quota=Quota(rpm=120)) for name, rows in (("legal", 300), ("sales", 10_000))]
    dice = random.Random(seed)

    def respond(ticket):
        return (throttled(), 0.05) if ticket.workspace == "sales" and dice.random() < 0.08 else (answer(), 0.5)

    events.append(Events(Scheduler(plans, RetryPolicy()), respond))
    events[-1].run(1200.0)
    assert events[-1].done_at("legal") < 400.0
    return sum(each.at >= 600.0 and each.verdict is Verdict.ANSWERED for each in events[-1].settled)


def test_what_one_workspace_is_refused_by_chance_slows_it_no_more_once_it_is_the_last_of_its_account():
    """While others are there, as many refusals of one alone are a limit of its own."""
    events: list[Events] = []
    assert sum(as_the_last(seed, events) for seed in range(1, 7)) >= 0.75 * 6 * 1200
    assert not any(each.scheduler._lanes["sales", MODEL].limiter.has_found for each in events)


@pytest.mark.parametrize(("rpm", "refused"), [(60, 20), (90, 40)])
def test_a_limit_of_its_own_of_the_last_workspace_of_an_account_is_found_as_if_it_were_the_accounts(rpm, refused):
    """Also where a minute's window refuses all that it does in one half of each minute."""
    plans = [but(lane(name, rows=rows, account="main"), pool_quota=Quota(rpm=120)) for name, rows in (("legal", 300), ("sales", 10_000))]
    cap = Meter(Caps(requests=rpm, request_period=60))

    def respond(ticket):
        if ticket.workspace == "sales":
            if cap.refuses(events.now):
                return throttled(), 0.05
            cap.count(events.now, 1, events.now + 0.5)
        return answer(), 0.5

    events = Events(Scheduler(plans, RetryPolicy()), respond)
    events.run(1200.0)
    late = [each.verdict is Verdict.ANSWERED for each in events.settled if each.at >= 600.0]
    assert sum(late) >= 0.9 * rpm * 10
    assert late.count(False) <= refused


@pytest.mark.parametrize("code", ["limit_requests", "Throttling.Concurrency"])
def test_a_refusals_retry_after_is_waited_for_to_the_second(code):
    scheduler = Scheduler([lane("legal", rows=20), lane("sales", rows=20)], RetryPolicy())
    now = refused_in_turn(scheduler, ("legal",), failure=busy(code, 30.0), times=4)
    assert scheduler.held(now) == scheduler.held(29.9) == {"legal"}
    assert [ticket.workspace for ticket in launched(scheduler, 29.9)] == []
    assert {ticket.workspace for ticket in launched(scheduler, now + 30.0)} == {"legal"}


def test_pauses_of_many_clients_are_spread_by_their_dice():
    ends = []
    for jitter in (0.0, 0.5, 0.99):
        scheduler = Scheduler([lane("legal", rows=20)], RetryPolicy())
        now = refused_in_turn(scheduler, ("legal",), jitter=jitter, times=4)
        ends.append(next_at(scheduler, now) - now)
    assert ends == pytest.approx([0.5, 0.75, 0.995], abs=1e-6)


def test_want_of_capacity_takes_calls_at_once_away_and_is_no_affair_of_the_account():
    scheduler = Scheduler([lane("legal", rows=200, slots=20, account="main"), lane("sales", account="main")], RetryPolicy())
    now = refused_in_turn(scheduler, ("legal",), failure=busy(), times=6)
    assert scheduler._lanes["legal", "qwen-plus"].at_once.limit < 20
    assert scheduler._lanes["sales", "qwen-plus"].slots.limit == 4
    assert scheduler.held(now) == frozenset()
    assert scheduler.lessons.learnt() == {}


def test_where_the_accounts_quota_is_known_a_workspaces_refusals_widen_its_margin_until_it_has_a_limit_of_its_own():
    plans = [but(lane(name, rows=5000, account="main"), pool_quota=Quota(rpm=6000)) for name in ("legal", "sales")]
    scheduler = Scheduler(plans, RetryPolicy())
    mine = next(ticket for ticket in launched(scheduler, 0.0) if ticket.workspace == "legal")
    ended(scheduler, mine, throttled(), 0.05)
    assert scheduler.lessons.learnt()["main qwen-plus"]["attempts"]["margin"] > 0.005
    for own in (False, True):
        scheduler = Scheduler(plans, RetryPolicy())
        if own:
            scheduler._lanes["legal", "qwen-plus"].limiter.teach({"attempts": {"rate": 5.0, "window": 6.0}}, 0.0)
        mine = next(ticket for ticket in launched(scheduler, 0.0) if ticket.workspace == "legal")
        ended(scheduler, mine, throttled(), 0.05)
        assert bool(scheduler.lessons.learnt()) is not own


@pytest.mark.parametrize(("tokens", "is_told"), [(100.0, False), (6000.0, True)])
def test_where_the_accounts_token_quota_is_known_and_has_room_a_workspaces_refusals_say_nothing_of_it(tokens, is_told):
    plans = [
        but(lane(name, rows=5000, account="main", slots=4), tokens=lambda _ordinal: tokens, pool_quota=Quota(tpm=600_000))
        for name in ("legal", "sales")
    ]
    scheduler = Scheduler(plans, RetryPolicy())
    mine = next(ticket for ticket in launched(scheduler, 0.0) if ticket.workspace == "legal")
    ended(scheduler, mine, busy("insufficient_quota"), 0.05)
    assert bool(scheduler.lessons.learnt()) is is_told


@pytest.mark.parametrize(("between", "held"), [(answer(), set()), (again(), {"legal"})], ids=["an answer between", "none"])
def test_a_workspace_learns_nothing_of_one_refusal_that_its_own_tokens_cannot_explain_but_of_two_with_no_answer_between(between, held):
    plans = [but(lane(name, rows=5000, account="main", slots=1), tokens=lambda _ordinal: 100.0) for name in ("legal", "sales")]
    scheduler = Scheduler(plans, RetryPolicy())
    scheduler._lanes["legal", "qwen-plus"].limiter.teach({"tokens": {"rate": 5000.0, "window": 6.0}}, 0.0)

    def ends(now, result):
        mine = next(ticket for ticket in launched(scheduler, now) if ticket.workspace == "legal")
        ended(scheduler, mine, result, now + 0.05)

    ends(70.0, throttled(code="insufficient_quota"))
    assert scheduler.held(70.05) == set()
    ends(71.0, between)
    ends(72.0, throttled(code="insufficient_quota"))
    assert scheduler.held(72.05) == held


@pytest.mark.parametrize(
    ("tokens", "pool", "learns"),
    [(100.0, Quota(), False), (30_000.0, Quota(), True), (100.0, Quota(tpm=6_000_000), True)],
    ids=["neither is full", "its own is full", "the pool's has room"],
)
def test_a_workspace_learns_of_a_refusal_that_its_own_tokens_explain_or_its_accounts_do_not(tokens, pool, learns):
    plans = [but(lane(name, rows=9, account="main", slots=1), tokens=lambda _: tokens, pool_quota=pool) for name in ("legal", "sales")]
    scheduler = Scheduler(plans, RetryPolicy())
    limiter = scheduler._lanes["legal", "qwen-plus"].limiter
    limiter.teach({"tokens": {"rate": 5000.0, "window": 6.0}}, 0.0)
    mine = next(ticket for ticket in launched(scheduler, 70.0) if ticket.workspace == "legal")
    ended(scheduler, mine, throttled(code="insufficient_quota"), 70.05)
    assert limiter.tokens.room is not None
    assert (limiter.tokens.room.refused_at == 70.05) is learns


@pytest.mark.parametrize("models", ["a", "ab"])
def test_a_refusal_that_is_a_workspaces_own_tells_how_its_tokens_are_counted_unless_it_may_be_that_of_one_of_its_models(models):
    of_workspace = {"tokens": lambda _ordinal: 500.0, "workspace_quota": Quota(tpm=60_000)}
    plans = [but(lane("legal", rows=9, account="main", model=model), **of_workspace) for model in models]
    scheduler = Scheduler([*plans, lane("sales", rows=9, account="main", model="a")], RetryPolicy())
    mine = next(ticket for ticket in launched(scheduler, 0.0) if ticket.workspace == "legal")
    ended(scheduler, mine, throttled(code="insufficient_quota"), 0.05)
    own = scheduler._lanes["legal", "a"].workspace.limiter
    assert own is not None
    assert own.tokens.room is not None
    assert (own.tokens.room.refused_at == 0.05) is (models == "a")


def test_what_was_let_through_to_try_shows_that_a_workspaces_tokens_are_used_up_whatever_was_answered_meanwhile():
    plans = [but(lane(name, rows=5000, account="main", slots=2), tokens=lambda _ordinal: 100.0) for name in ("legal", "sales")]
    scheduler = Scheduler(plans, RetryPolicy())
    scheduler._lanes["legal", "qwen-plus"].limiter.teach({"tokens": {"rate": 5000.0, "window": 6.0}}, 0.0)

    def mine(now):
        tickets = [*launched(scheduler, now), *launched(scheduler, now + 0.03)]
        return [ticket for ticket in tickets if ticket.workspace == "legal"]

    full = throttled(code="insufficient_quota")
    turns: list[tuple[float, list[Reply | Failure]]] = [(70.0, [full, again()]), (71.0, [full, answer()]), (75.0, [full])]
    for now, results in turns:
        for ticket, result in zip(mine(now), results, strict=True):
            ended(scheduler, ticket, result, now + 0.05)
    assert scheduler.held(75.05) == {"legal"}


def test_a_few_refusals_where_a_wider_quota_is_known_are_chance_and_pause_nothing():
    for known, held in (("workspace_quota", set()), ("pool_quota", set()), ("quota", set()), (None, {"legal"})):
        parts = {} if known is None else {known: Quota(rpm=600_000)}
        plans = [but(lane(name, rows=500, account="main", slots=8), **parts) for name in ("legal", "sales")]
        scheduler, now = Scheduler(plans, RetryPolicy()), 1.0
        mine = [ticket for at in (0.0, 0.2, 0.4, 0.6) for ticket in launched(scheduler, at) if ticket.workspace == "legal"]
        for ticket in mine[:4]:
            ticket.launched_at = now
            ended(scheduler, ticket, throttled(), now)
        assert scheduler.held(now) == held, known


def test_longer_answers_that_take_longer_take_no_slot_away():
    for tokens, limit in ((490, 20), (100, 14)):
        scheduler = Scheduler([lane(rows=1000, slots=20)], RetryPolicy())
        events = Events(scheduler, lambda ticket: (used(150), 1.0) if ticket.ordinal < 40 else (used(round(1.5 * tokens)), 4.0))  # noqa: B023
        events.run(8.0)
        assert scheduler._lanes["legal", "qwen-plus"].slots.limit == limit


def test_what_was_taken_away_for_want_of_capacity_comes_back():
    """The provider has capacity for ten, for a minute, and then for all."""
    scheduler = Scheduler([lane("legal", rows=100_000, slots=20)], RetryPolicy())
    events: Events

    def respond(_ticket):
        return (busy(), 0.05) if events.now < 60 and scheduler.in_flight > 10 else (answer(), 0.5)

    events = Events(scheduler, respond)
    events.run(60.0)
    assert scheduler.in_flight <= 11
    events.run(600.0)
    assert scheduler.in_flight == 20


def test_a_workspace_goes_on_at_once_when_another_is_refused_and_shows_that_its_limit_was_that_of_both():
    names = ("legal", "sales")
    scheduler = Scheduler([lane(name, rows=9, slots=1, account="one") for name in names], RetryPolicy())
    of = {ticket.workspace: ticket for ticket in launched(scheduler, 0.0)}
    legal = scheduler._lanes["legal", "qwen-plus"]
    ended(scheduler, of["legal"], throttled(), 1.0)
    legal.limiter.teach({"attempts": {"rate": 0.01, "window": 60.0}}, 1.0)
    again_of_legal = launched(scheduler, 1.0)
    for ticket in again_of_legal:
        ended(scheduler, ticket, answer(), 2.0)
    assert launched(scheduler, 2.0) == [], "its own limit lets nothing go for a minute"
    ended(scheduler, of["sales"], throttled(), 3.0)
    assert "legal" in [ticket.workspace for ticket in launched(scheduler, 3.0)]


def test_what_one_workspace_was_refused_long_ago_is_its_own_however_late_it_is():
    scheduler = three_of_an_account()
    lanes = scheduler._lanes
    for at in (0.0, 100.0, 10_000.0):
        lanes["legal", "qwen-plus"].limiter.teach({"attempts": {"rate": 1.0, "window": 6.0}}, 0.0)
        assert not is_of_pool(lanes["legal", "qwen-plus"], at)
        assert not is_of_pool(lanes["sales", "qwen-plus"], at + 20.0)
        assert lanes["legal", "qwen-plus"].limiter.has_found
        assert is_of_pool(lanes["legal", "qwen-plus"], at + 29.0)


@pytest.mark.parametrize("seconds", [0.3, 5.0, 45.0])
@pytest.mark.parametrize("tokens", [50, 500, 3000])
def test_a_token_quota_that_others_had_filled_when_a_run_began_is_found_within_minutes(tokens, seconds):
    meter = Meter(Caps(tokens=10_000, token_period=6))

    def respond(ticket):
        if ticket.launched_at < seconds or meter.refuses(ticket.launched_at, tokens) is not None:
            return throttled(code="insufficient_quota"), 0.05
        meter.count(ticket.launched_at, tokens, ticket.launched_at + 0.8)
        return used(tokens), 0.8

    plan = but(lane(rows=150_000 // tokens, slots=64), tokens=lambda _ordinal: float(tokens))
    events = Events(Scheduler([plan], RetryPolicy()), respond)
    events.run(600.0)
    assert events.verdicts()[Verdict.ANSWERED] == 150_000 // tokens


# What is kept.


def test_what_an_opening_found_of_its_accounts_is_what_the_next_begins_with():
    def fresh():
        return Scheduler([lane("legal", rows=400, account="main"), lane("sales", rows=400, account="own")], RetryPolicy())

    found = fresh()
    found.lessons.teach({"main qwen-plus": {"attempts": {"rate": 2.0, "window": 6.0}}, "gone qwen-plus": {"attempts": {"rate": 9.0}}}, 0.0)
    assert found.lessons.learnt() == {"main qwen-plus": {"attempts": {"rate": 2.0, "window": 6.0}}}
    other = fresh()
    other.lessons.teach(found.lessons.learnt(), 0.0)
    events = Events(other, lambda _ticket: (answer(), 0.1))
    events.run(20.0)
    assert len(events.times_of("legal")) == pytest.approx(40, abs=3)
    assert len(events.times_of("sales")) == 400
    assert other.lessons.learnt() == found.lessons.learnt()


def test_where_nobody_refuses_anything_what_was_learnt_of_a_token_quota_stays():
    quotas = {"a": TPM, "b": TPM, "c": Quota(rpm=60)}
    plans = [but(lane(name, rows=400, account=name), pool_quota=quota) for name, quota in quotas.items()]
    kept = {"a qwen-plus": {"tokens": {"window": 6.0, "deviations": 3.0, "at_end": 0.0}}, "c qwen-plus": {}}
    for steady in (False, True):
        scheduler = Scheduler(plans, RetryPolicy())
        scheduler.lessons.teach(kept, 0.0, **({"steady": True} if steady else {}))
        rules = [scheduler._queues.pools[f"{name} qwen-plus"].limiter.tokens.rule for name in "ab"]
        assert [isinstance(each, KnownTokens) and each.reckoning.steady for each in rules] == [steady, False]


def test_slots_that_were_found_are_given_for_lanes_that_are_there():
    scheduler = Scheduler([lane("legal", rows=400, slots=8), lane("sales", rows=400, slots=8)], RetryPolicy())
    scheduler.lessons.teach_slots({("gone", "qwen-plus"): {"limit": 2, "best": 0.1}, ("sales", "qwen-plus"): {"limit": 2, "best": 0.1}})
    assert Counter(ticket.workspace for ticket in launched(scheduler, 0.0)) == {"legal": 8, "sales": 2}
    assert scheduler.lessons.learnt_slots() == {("sales", "qwen-plus"): {"limit": 2, "best": 0.1}}


# What a person is to decide on, and what is closed.


def test_retries_that_come_due_together_go_in_the_order_in_which_they_failed():
    scheduler = Scheduler([lane(rows=8, slots=8)], RetryPolicy())
    out = launched(scheduler, 0.0)
    order = [out[place] for place in (3, 1, 7, 0, 2, 6, 5, 4)]
    for ticket in order:
        ended(scheduler, ticket, again(5.0), 1.0, 0.0)
    assert [ticket.ordinal for ticket in launched(scheduler, 6.0)] == [ticket.ordinal for ticket in order]


def test_a_row_in_doubt_that_is_held_leaves_the_run_and_is_counted_for_its_workspace():
    scheduler = Scheduler([lane("legal", rows=3), lane("sales", rows=1)], RetryPolicy(hold_in_doubt=True))
    events = Events(scheduler, lambda ticket: (doubtful() if ticket.ordinal < 2 else answer(), 1.0))
    assert events.run() == Drained(())
    assert scheduler.rows_held() == {"legal": 2, "sales": 1}
    assert set(scheduler.left().values()) == {0}
    assert events.verdicts() == {Verdict.HELD: 3, Verdict.ANSWERED: 1}
    assert len(events.launches) == 4


STREAM_BROKE = [
    (Fault.THROTTLED, Scope.LANE, None),
    (Fault.REASK, Scope.ROW, None),
    (Fault.PARK, Scope.LANE, "legal qwen-plus"),
    (Fault.PARK, Scope.WORKSPACE, "legal"),
    (Fault.PARK, Scope.ACCOUNT, "main"),
]


@pytest.mark.parametrize(("fault", "scope", "parked"), STREAM_BROKE, ids=[f"{fault} {scope}" for fault, scope, _ in STREAM_BROKE])
def test_a_row_in_doubt_is_held_whatever_its_call_failed_with_and_its_lane_hears_of_that_all_the_same(fault, scope, parked):
    failure = replace(doubtful(), fault=fault, scope=scope, retry_after=30.0)
    lanes = [lane("legal", rows=3, slots=1, account="main"), lane("sales", rows=3, slots=1, account="main")]
    held, sent = (Scheduler(lanes, RetryPolicy(hold_in_doubt=wished)) for wished in (True, False))
    first = {scheduler: ended(scheduler, one(scheduler), failure, 1.0) for scheduler in (held, sent)}
    assert (first[held], first[sent].final) == (Verdict.HELD, False)
    assert (held.rows_held(), held.left()["legal", "qwen-plus"]) == ({"legal": 1}, 2)
    assert (sent.rows_held(), sent.left()["legal", "qwen-plus"]) == ({}, 3)
    for scheduler in (held, sent):
        assert [each.name for each in scheduler.parked()] == ([parked] if parked else [])
        assert bool(scheduler.held(2.0)) is (fault is Fault.THROTTLED), "its lane is slowed down by a throttle and by nothing else"
    assert {ticket.ordinal for ticket in launched(held, 1.0) if ticket.workspace == "legal"} <= {1}, "what is held is not sent"


def test_a_row_in_doubt_whose_rejection_would_keep_it_for_a_probe_is_held_and_one_that_is_rejected_for_good_is_rejected():
    failure = replace(doubtful(), fault=Fault.REJECT, code="response_too_large")
    scheduler = Scheduler([lane("legal", rows=30, slots=24)], RetryPolicy(hold_in_doubt=True))
    out = launched(scheduler, 0.0)
    while len(out) < 24:
        out += launched(scheduler, 60.0 * len(out))
    verdicts = [ended(scheduler, ticket, failure, 5000.0) for ticket in out]
    assert verdicts == [Verdict.REJECTED] * 20 + [Verdict.HELD] * 4
    assert scheduler.left() == {("legal", "qwen-plus"): 6}


def test_hours_while_a_workspace_was_closed_are_no_hours_of_throttles():
    for closed in (True, False):
        scheduler = Scheduler([lane(rows=10, slots=1)], RetryPolicy(), wait_for_parked=True)
        ended(scheduler, one(scheduler), throttled(), 1.0)
        if closed:
            scheduler.close("legal", parks(Scope.WORKSPACE, "window"))
            assert scheduler.next(300.0) == WaitUntil(math.inf)
            scheduler.open("legal")
        ended(scheduler, one(scheduler, 700.0), throttled(), 701.0)
        assert bool(scheduler.parked()) is not closed


def test_opening_what_is_not_closed_changes_nothing():
    scheduler = Scheduler([lane(rows=10, slots=1)], RetryPolicy())
    scheduler.open("legal")
    scheduler.open("elsewhere")
    assert len(launched(scheduler, 0.0)) == 1


# Budgets.

DAILY = Period("day", "Asia/Shanghai")
MOST = Bound(10, 10)


def of_a_day(rows=10, **changed):
    """A lane whose budget of the day has room for two rows of 20 tokens, and its purse."""
    purse = Purse(Cap("workspaces.legal.budget", Decimal(40), TOKENS, DAILY))
    purse.page(0.0).allowed = Decimal(40)
    plans = [but(lane(rows=rows), purses=(purse,)), lane("sales", rows=1)]
    return Scheduler(plans, RetryPolicy(), **changed), purse


def afforded(scheduler, now, at):
    """What may be sent at *now*, which is *at* on the wall."""
    out = []
    while isinstance(step := scheduler.next(now), Launch):
        if scheduler.afford(step.ticket, MOST, at):
            out.append(step.ticket)
        else:
            scheduler.release(step.ticket)
    return out, step


def test_a_budget_that_is_spent_parks_its_lane_until_its_day_has_begun_anew():
    scheduler, purse = of_a_day(wait_for_parked=True)
    out, _ = afforded(scheduler, 0.0, 0.0)
    assert Counter(ticket.workspace for ticket in out) == {"legal": 2, "sales": 1}
    for ticket in out:
        ended(scheduler, ticket, used(20), 1.0)
    out, step = afforded(scheduler, 1.0, 1.0)
    assert (out, step) == ([], WaitUntil(math.inf))
    assert [(each.rows, each.failure.code) for each in scheduler.parked()] == [(8, "budget_spent")]
    tomorrow = 100_000.0
    purse.page(tomorrow).allowed = Decimal(40)
    scheduler.renew(Purse(Cap("another", Decimal(1), TOKENS, DAILY)))
    assert afforded(scheduler, 2.0, tomorrow)[0] == []
    scheduler.renew(purse)
    assert len(afforded(scheduler, 2.0, tomorrow)[0]) == 2
    assert scheduler.parked() == ()


def test_the_new_day_of_one_of_many_budgets_looks_at_no_lane_of_the_others():
    def lines(lanes):
        purses = [Purse(Cap(f"workspaces.w{number}.budget", Decimal(40), TOKENS, DAILY)) for number in range(lanes)]
        scheduler = Scheduler([but(lane(f"w{number}"), purses=(purse,)) for number, purse in enumerate(purses)], RetryPolicy())
        return lines_run(lambda: scheduler.renew(purses[0]))

    assert lines(200) == lines(20)


def test_a_run_that_waits_waits_for_a_new_day_of_a_workspace_that_is_closed_meanwhile():
    scheduler, purse = of_a_day(wait_for_parked=True)
    for ticket in afforded(scheduler, 0.0, 0.0)[0]:
        ended(scheduler, ticket, used(20), 1.0)
    afforded(scheduler, 1.0, 1.0)
    scheduler.close("legal", parks(Scope.WORKSPACE, "window_closed"))
    assert scheduler.next(2.0) == WaitUntil(math.inf)
    tomorrow = 100_000.0
    purse.page(tomorrow).allowed = Decimal(40)
    scheduler.renew(purse)
    assert scheduler.next(3.0) == WaitUntil(math.inf)
    scheduler.open("legal")
    assert len(afforded(scheduler, 4.0, tomorrow)[0]) == 2


def test_a_day_that_was_waited_for_is_no_time_of_throttles():
    purse = Purse(Cap("job.budget", Decimal(40), TOKENS, DAILY))
    purse.page(0.0).allowed = Decimal(40)
    plans = [but(lane(name, rows=5, slots=1), purses=(purse,)) for name in ("legal", "sales")]
    scheduler = Scheduler(plans, RetryPolicy(), wait_for_parked=True)
    now, tomorrow = 0.0, 100_000.0
    while "legal qwen-plus" not in {each.name for each in scheduler.parked()}:
        out, _ = afforded(scheduler, now, now)
        now += 1.0
        for ticket in out:
            ended(scheduler, ticket, used(20) if ticket.workspace == "sales" else throttled(), now)
    purse.page(tomorrow).allowed = Decimal(40)
    scheduler.renew(purse)
    (ticket,) = [ticket for ticket in afforded(scheduler, tomorrow, tomorrow)[0] if ticket.workspace == "legal"]
    ended(scheduler, ticket, throttled(), tomorrow + 1.0)
    assert scheduler.parked() == ()


def test_a_new_day_ends_no_park_that_came_after_for_another_reason():
    scheduler, purse = of_a_day(wait_for_parked=True)
    out, _ = afforded(scheduler, 0.0, 0.0)
    for ticket in out:
        ended(scheduler, ticket, used(20), 1.0)
    afforded(scheduler, 1.0, 1.0)
    scheduler.park(Scope.LANE, "legal", "qwen-plus", parks(Scope.LANE, "gone"), 2.0, probe=False)
    scheduler.renew(purse)
    assert [each.failure.code for each in scheduler.parked()] == ["gone"]
    assert scheduler.next(3.0) == Drained(scheduler.parked())


def test_a_run_that_does_not_wait_ends_with_its_day_spent_and_so_does_one_whose_budget_comes_no_more():
    scheduler, _ = of_a_day()
    for ticket in afforded(scheduler, 0.0, 0.0)[0]:
        ended(scheduler, ticket, used(20), 1.0)
    assert isinstance(afforded(scheduler, 1.0, 1.0)[1], Drained)
    purse = Purse(Cap("budget", Decimal(40), TOKENS))
    scheduler = Scheduler([but(lane(rows=10), purses=(purse,))], RetryPolicy(), wait_for_parked=True)
    for ticket in afforded(scheduler, 0.0, 0.0)[0]:
        ended(scheduler, ticket, used(20), 1.0)
    assert isinstance(afforded(scheduler, 1.0, 1.0)[1], Drained)


@pytest.mark.parametrize(
    ("result", "spent"),
    [(used(7), 7), (Reply("an answer", "stop", None), 20), (doubtful(), 20), (again(), 0), (throttled(), 0)],
    ids=["told", "an answer that tells no usage", "in doubt", "failed", "refused"],
)
def test_a_budget_is_charged_what_an_attempt_cost_and_its_bound_where_nobody_can_tell(result, spent):
    scheduler, purse = of_a_day(rows=1)
    ticket = next(ticket for ticket in afforded(scheduler, 0.0, 0.0)[0] if ticket.workspace == "legal")
    assert purse.page(0.0).promised == 20
    ended(scheduler, ticket, result, 1.0)
    assert (purse.page(0.0).promised, purse.page(0.0).spent) == (0, spent)


def test_a_budget_in_money_is_asked_for_the_price_of_the_lanes_own_model():
    prices = {("legal", "dear"): Decimal(30), ("legal", "cheap"): Decimal(1)}
    purse = Purse(Cap("budget", Decimal(35), "CNY"), lambda lane, *_most: prices[lane], lambda lane, *_spent: prices[lane])
    plans = [but(lane(model=model, rows=10, slots=8, lane_concurrency=4), purses=(purse,)) for model in ("dear", "cheap")]
    scheduler = Scheduler(plans, RetryPolicy())
    out, _ = afforded(scheduler, 0.0, 0.0)
    assert Counter(ticket.model for ticket in out) == {"dear": 1, "cheap": 4}
    for ticket in out:
        ended(scheduler, ticket, used(20), 1.0)
    assert purse.page(0.0).spent == 34


def test_a_lane_whose_budget_may_still_be_left_something_waits_for_what_is_under_way():
    scheduler, _ = of_a_day()
    first, second = (ticket for ticket in afforded(scheduler, 0.0, 0.0)[0] if ticket.workspace == "legal")
    assert scheduler.parked() == ()
    ended(scheduler, first, used(1), 1.0)
    assert afforded(scheduler, 1.0, 1.0)[0] == [], "19 are left, and a row may cost 20"
    ended(scheduler, second, used(1), 2.0)
    assert len(afforded(scheduler, 2.0, 2.0)[0]) == 1


def test_a_budget_that_others_gave_back_is_looked_at_again_when_that_is_told():
    scheduler, purse = of_a_day()
    purse.page(0.0).allowed = Decimal(20)
    purse.page(0.0).contested = True
    assert [ticket.workspace for ticket in afforded(scheduler, 0.0, 0.0)[0]].count("legal") == 1
    purse.page(0.0).allowed = Decimal(40)
    assert afforded(scheduler, 1.0, 1.0)[0] == []
    scheduler.reconsider(purse)
    assert len(afforded(scheduler, 2.0, 2.0)[0]) == 1
