"""No cap is overspent, however many attempts are under way; and what was promised too much is there for the next."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.ledger.attempts import Bound, Ended, Opened, Started, most_answered
from batchrun.core.ledger.entry import Entry
from batchrun.core.model import Failure, Fault, Money, Reply, Scope, Usage
from batchrun.core.money.budget import Cap, Lack, Promise, Purse, broke, price_wanted, promise_all, told
from batchrun.core.money.periods import Period
from batchrun.core.money.spending import Spending
from batchrun.core.scheduling.aside import MANY
from batchrun.core.scheduling.retry import RetryPolicy
from batchrun.core.scheduling.scheduler import Drained, Launch, Scheduler, WaitUntil
from tests.laboratory import lane, throttled

MODEL = "qwen-plus"
LANE = ("legal", MODEL)


def purse(amount: int | str, unit: str = "tokens", name: str = "workspaces.legal.budget") -> Purse:
    return Purse(Cap(name, Decimal(amount), unit))


class Night:
    """Drives a scheduler whose rows have bounds: *costs* gives what an attempt turns out to use."""

    def __init__(self, lanes, most, costs):
        self.scheduler = Scheduler(lanes, RetryPolicy())
        self.most, self.costs = most, costs
        self.now, self.sent, self.most_under_way = 0.0, 0, 0
        self.under_way = []
        self.stood_aside, self.waited = set(), set()
        self.at_each = lambda _ticket: None
        self.dice = random.Random(7)

    def run(self, *, rows=10_000):
        while self.sent <= rows:
            match self.scheduler.next(self.now):
                case Launch(ticket):
                    if self.scheduler.afford(ticket, self.most(ticket), self.now):
                        self.sent += 1
                        self.at_each(ticket)
                        self.under_way.append(ticket)
                        self.most_under_way = max(self.most_under_way, len(self.under_way))
                    else:
                        (self.stood_aside if ticket.lane.short_of is None else self.waited).add(ticket.ordinal)
                        self.scheduler.release(ticket)
                case WaitUntil(at) if not self.under_way:
                    assert at < math.inf, "waits, and nothing is under way that could free it"
                    self.now = at
                case WaitUntil():
                    self.now += 1.0
                    ticket = self.under_way.pop(self.dice.randrange(len(self.under_way)))
                    self.scheduler.settle(ticket, self.costs(ticket), self.now, 0.5)
                    self.scheduler.release(ticket)
                case Drained() as drained:
                    return drained
        raise AssertionError("the run does not end")


def used(tokens):
    return Reply("an answer", "stop", Usage(0, tokens))


def doubt():
    return Failure(Fault.AGAIN, Scope.ROW, "broken", "no answer", "wait", in_doubt=True)


@pytest.mark.parametrize("under_way", [0, 60])
def test_a_row_that_a_budget_of_its_own_cannot_pay_now_waits_for_none_that_other_runs_hold(under_way):
    """It would keep cheaper rows of its lane waiting for as long as those have it, and its lane from being told for what it is spent."""
    own, shared = purse(100), purse(1000, name="job.budget")
    own.page(0).spent, own.page(0).promised = Decimal(30 if under_way else 90), Decimal(under_way)
    shared.page(0).allowed, shared.page(0).contested = Decimal(0), True
    for purses in ((own, shared), (shared, own)):
        lack = promise_all(purses, LANE, Bound(30, 30))
        assert isinstance(lack, Lack)
        assert (lack.purse, lack.may_pass) == (own, bool(under_way))


@given(cap=st.integers(1, 4000), slots=st.integers(1, 200), bound=st.integers(1, 300), seed=st.integers(0, 1000))
def test_a_budget_is_never_overspent_and_what_is_left_at_the_end_buys_no_row(cap, slots, bound, seed):
    dice, one = random.Random(seed), purse(cap)
    plan = replace(lane(rows=500, slots=slots), purses=(one,))

    def cost(_ticket):
        assert one.page(0).spent + one.page(0).promised <= cap
        return dice.choice([used(dice.randint(0, bound)), doubt(), throttled()])

    night = Night([plan], lambda _ticket: Bound(0, bound), cost)
    drained = night.run()
    assert one.page(0).spent <= cap
    assert one.page(0).promised == 0
    if drained.parked:
        assert one.page(0).left < bound, "it could have afforded another row"
        assert drained.parked[0].failure.code == "budget_spent"
    else:
        assert sum(night.scheduler.left().values()) == 0


def test_two_hundred_at_once_stop_within_one_row_of_the_budget():
    one = purse(100_000)
    night = Night([replace(lane(rows=5_000, slots=200), purses=(one,))], lambda _ticket: Bound(100, 900), lambda _ticket: used(300))
    drained = night.run()
    assert 90 <= night.most_under_way <= 100, "as many as their bounds leave room for"
    assert 99_000 < one.page(0).spent <= 100_000
    assert drained.parked[0].rows == 5_000 - one.page(0).spent / 300


def test_a_budget_of_the_job_is_shared_and_one_of_a_lane_stops_no_other():
    whole, own = purse(10_000, name="job.budget"), purse(500)
    lanes = [
        replace(lane("legal", rows=100, slots=4), purses=(own, whole)),
        replace(lane("sales", rows=20, slots=4), purses=(whole,)),
    ]
    night = Night(lanes, lambda _ticket: Bound(0, 100), lambda _ticket: used(100))
    drained = night.run()
    assert [own.page(0).spent, whole.page(0).spent] == [500, 2_500]
    assert [(parked.name, parked.rows) for parked in drained.parked] == [("legal qwen-plus", 95)]
    assert night.scheduler.left() == {("legal", MODEL): 95, ("sales", MODEL): 0}


def test_a_large_row_waits_for_what_is_under_way_and_a_budget_that_it_never_fits_parks_only_its_lane():
    one = purse(1_000)
    most = {("legal", 0): 900, ("sales", 0): 1_100}
    lanes = [replace(lane(name, rows=3, slots=2), purses=(one,)) for name in ("legal", "sales")]
    night = Night(lanes, lambda ticket: Bound(0, most.get((ticket.workspace, ticket.ordinal), 50)), lambda _ticket: used(10))
    drained = night.run()
    assert [parked.name for parked in drained.parked] == ["sales qwen-plus"]
    assert night.scheduler.left()["legal", MODEL] == 0


PRICES = st.lists(st.integers(1, 400), min_size=1, max_size=80)


@given(prices=PRICES, cap=st.integers(0, 3000), slots=st.integers(1, 12), seed=st.integers(0, 1000))
def test_no_row_is_left_that_the_rest_of_a_budget_could_pay_and_none_is_called_twice(prices, cap, slots, seed):
    dice, one, answered = random.Random(seed), purse(cap), []

    def cost(ticket):
        assert one.page(0).spent + one.page(0).promised <= cap
        came = dice.choice([used(dice.randint(0, prices[ticket.ordinal])), used(0), doubt(), throttled()])
        answered.extend([ticket.ordinal] * isinstance(came, Reply))
        return came

    night = Night([replace(lane(rows=len(prices), slots=slots), purses=(one,))], lambda ticket: Bound(0, prices[ticket.ordinal]), cost)
    drained = night.run()
    assert one.page(0).spent <= cap
    assert len(answered) == len(set(answered))
    left = night.scheduler.left()[LANE]
    assert [parked.rows for parked in drained.parked] == ([left] if left else [])
    if left:
        assert {drained.parked[0].failure.code} == {"budget_spent"}
        assert min(prices[ordinal] for ordinal in night.stood_aside) > one.page(0).left
        assert left == len(night.stood_aside)


@pytest.mark.parametrize("dear", [[0], [0, 1, 2], [5], [9], list(range(900))])
def test_a_row_that_can_not_be_paid_stands_aside_and_the_cheaper_ones_behind_it_go_as_many_at_once_as_ever(dear):
    one, rows = purse(10_000), 1_000 if len(dear) > 10 else 10
    night = Night(
        [replace(lane(rows=rows, slots=4), purses=(one,))],
        lambda ticket: Bound(0, 20_000 if ticket.ordinal in dear else 100),
        lambda _ticket: used(10),
    )
    drained = night.run()
    assert night.scheduler.left() == {LANE: len(dear)}
    assert (night.most_under_way, night.waited) == (4, set())
    assert [(each.failure.code, each.rows) for each in drained.parked] == [("budget_spent", len(dear))]
    assert drained.parked[0].failure.message.endswith("spent; the next row may cost 20,000 tokens")


def test_a_lane_of_which_every_row_is_too_dear_is_not_read_to_its_end():
    one = purse(10_000)
    night = Night([replace(lane(rows=10_000_000, slots=64), purses=(one,))], lambda _ticket: Bound(0, 20_000), lambda _ticket: used(10))
    drained = night.run()
    assert (night.sent, drained.parked[0].rows) == (0, 10_000_000)
    assert len(night.stood_aside) == MANY


def test_a_lane_whose_latest_thousand_rows_may_cost_more_than_what_is_left_parks_at_the_first_that_can_not_be_paid():
    one = purse(100_000)
    night = Night([replace(lane(rows=1_000_000, slots=8), purses=(one,))], lambda _ticket: Bound(0, 20), lambda _ticket: used(20))
    assert night.run().parked[0].rows == 1_000_000 - 5_000
    assert len(night.stood_aside) == 1


@pytest.mark.parametrize("every", [2, 300])
def test_rows_that_a_budget_can_pay_are_sent_however_many_among_them_it_cannot(every):
    rows, one = 5 * MANY, purse(10 * MANY)
    night = Night(
        [replace(lane(rows=rows), purses=(one,))], lambda each: Bound(0, 1 if each.ordinal % every else 20 * MANY), lambda _: used(1)
    )
    (parked,) = night.run().parked
    assert (parked.rows, night.sent) == (len(range(0, rows, every)), rows - len(range(0, rows, every)))


def test_what_stood_aside_for_a_budget_of_the_day_goes_first_on_the_next_but_for_what_no_day_can_pay():
    daily = Purse(Cap("workspaces.legal.budget", Decimal(100), "tokens", Period("day", "UTC")))
    prices = {1: 80, 2: 500}
    plan = replace(lane(rows=9, slots=1), purses=(daily,))
    night = Night([plan], lambda each: Bound(0, prices.get(each.ordinal, 30)), lambda _: used(30))
    order, drained = [], Drained(())
    night.at_each = lambda ticket: order.append(ticket.ordinal)
    for day in range(4):
        daily.page(night.now).allowed = Decimal(100)
        drained = night.run()
        night.now = 86_400.0 * (day + 1)
        daily.page(night.now).allowed = Decimal(100)
        night.scheduler.renew(daily)
    assert order == [0, 3, 4, 1, 5, 6, 7, 8]
    assert [(each.rows, each.failure.code) for each in drained.parked] == [(1, "budget_spent")]


def test_a_row_that_stood_aside_when_it_was_to_be_sent_again_is_sent_again_on_the_next_day_before_any_other():
    daily = Purse(Cap("workspaces.legal.budget", Decimal(100), "tokens", Period("day", "UTC")))
    plan = replace(lane(rows=5, slots=1), purses=(daily,))
    fails = {(1, 1), (1, 2)}
    night = Night([plan], lambda _: Bound(0, 30), lambda each: doubt() if (each.ordinal, each.attempt) in fails else used(30))
    order, drained = [], Drained(())
    night.at_each = lambda ticket: order.append((ticket.ordinal, ticket.attempt))
    for day in range(3):
        night.now = max(night.now, 86_400.0 * day)
        daily.page(night.now).allowed = Decimal(100)
        if day:
            night.scheduler.renew(daily)
        drained = night.run()
    assert order[:3] == [(0, 1), (1, 1), (2, 1)]
    assert order[3] == (1, 2)
    assert sorted(order[4:]) == [(1, 3), (3, 1), (4, 1)]
    assert (drained, len(order)) == (Drained(()), 7)


def test_a_model_without_a_price_is_refused_by_a_budget_in_money():
    one = Purse(Cap("job.budget", Decimal(5), "CNY"), lambda *_call: None)
    night = Night([replace(lane(rows=3), purses=(one,))], lambda _ticket: Bound(1, 1), lambda _ticket: used(1))
    drained = night.run()
    assert (drained.parked[0].failure.code, night.sent) == ("no_price", 0)


def test_what_is_refused_costs_nothing_and_what_is_in_doubt_its_bound():
    one = purse(1_000)
    for usage, in_doubt, spent in ((Usage(30, 12), False, 42), (None, False, 42), (None, True, 142)):
        promised = promise_all((one,), LANE, Bound(50, 50))
        assert promised == (Promise(one.page(0), Decimal(100), 0.0),)
        one.settle(LANE, promised[0], usage, in_doubt=in_doubt)
        assert [one.page(0).spent, one.page(0).promised] == [spent, 0]


def test_an_answer_whose_cost_nobody_can_tell_costs_a_budget_its_bound():
    one = Purse(Cap("workspaces.legal.budget", Decimal(100), "CNY"), lambda *_call: Decimal(7), lambda *_call: None)
    promised = promise_all((one,), LANE, Bound(50, 50))
    assert isinstance(promised, tuple)
    one.settle(LANE, promised[0], Usage(30, 12), in_doubt=False)
    assert [one.page(0).spent, one.page(0).promised] == [7, 0]


def test_all_budgets_are_promised_or_none():
    large, small = purse(1_000), purse(10)
    lack = promise_all((large, small), LANE, Bound(5, 6))
    assert isinstance(lack, Lack)
    assert lack.purse is small
    assert [large.page(0).promised, small.page(0).promised] == [0, 0]


def test_a_call_is_promised_and_paid_at_the_price_of_its_own_lane():
    prices = {LANE: 3, ("sales", MODEL): 1}
    one = Purse(
        Cap("job.budget", Decimal(100), "CNY"),
        lambda key, asked, told, _at: Decimal(prices[key] * (10 * asked + told)),
        lambda key, usage, _at: Decimal(prices[key] * usage.output_tokens),
    )
    page = one.page(0)
    for key, amount, spent in ((LANE, 36, 6), (("sales", MODEL), 12, 8)):
        promise = Promise(page, Decimal(amount), 0.0)
        assert promise_all((one,), key, Bound(1, 2)) == (promise,)
        assert page.promised == amount
        one.settle(key, promise, Usage(0, 2), in_doubt=False)
        assert page.promised == 0
        assert page.spent == spent


def test_half_four_fifths_and_nineteen_twentieths_are_told_once():
    one, seen = purse(100), []
    for spent in range(101):
        one.page(0).spent = Decimal(spent)
        if (share := one.warning(0)) is not None:
            seen.append((spent, share))
    assert seen == [(50, Decimal("0.5")), (80, Decimal("0.8")), (95, Decimal("0.95"))]


@pytest.mark.parametrize(
    ("amount", "unit", "text"),
    [
        ("1234567", "tokens", "1,234,567 tokens"),
        ("0.0012", "CNY", "0.0012 CNY"),
        ("20", "CNY", "20 CNY"),
        ("1234.6", "tokens", "1,235 tokens"),
        ("0.00004", "CNY", "0.00004 CNY"),
        ("0.00001234", "CNY", "0.000012 CNY"),
        ("0.00012345", "CNY", "0.0001 CNY"),
        ("0", "CNY", "0 CNY"),
        ("-0.5", "CNY", "-0.5 CNY"),
        ("1234.5", "USD", "1,234.5 USD"),
    ],
)
def test_amounts_are_told_plainly(amount, unit, text):
    assert told(Decimal(amount), unit) == text


def test_a_park_says_what_was_spent_and_what_to_do():
    one = Purse(Cap("workspaces.legal.budget", Decimal(20), "CNY"))
    one.page(0).spent = Decimal("19.98")
    failure = broke(Lack(one, one.page(0), Decimal("0.05")), MODEL)
    assert failure.message == "workspaces.legal.budget = 20 CNY: 19.98 CNY spent; the next row may cost 0.05 CNY"
    ways = "or set max_tokens, or a lower one: a row without it is taken to be answered at full length; then run the same command again"
    assert (failure.fault, failure.scope, failure.code) == (Fault.PARK, Scope.LANE, "budget_spent")
    assert failure.advice == f"raise the budget, {ways}"
    monthly = replace(one, cap=replace(one.cap, period=Period("month", "UTC")))
    failure = broke(Lack(monthly, one.page(0), Decimal("0.05")), MODEL)
    assert failure.advice == f"raise the budget, or wait for the next month (--wait goes on by itself), {ways}"
    assert failure.message.startswith("workspaces.legal.budget = 20 CNY a month (UTC): 19.98 CNY spent")


def test_a_park_says_at_the_end_what_was_spent_by_then_though_others_of_the_same_budget_went_on():
    shared = purse(1000, name="job.budget")
    lanes = [replace(lane(name, rows=200, slots=1), purses=(shared,)) for name in ("large", "small")]
    night = Night(lanes, lambda ticket: Bound(0, 600 if ticket.workspace == "large" else 10), lambda _ticket: used(10))
    parked = {each.name: each.failure.message for each in night.run().parked}
    assert parked == {
        f"large {MODEL}": "job.budget = 1,000 tokens: 1,000 tokens spent; the next row may cost 600 tokens",
        f"small {MODEL}": "job.budget = 1,000 tokens: 1,000 tokens spent; the next row may cost 10 tokens",
    }


def test_a_park_of_a_budget_whose_rows_have_a_limit_by_budgets_advises_no_limit_but_a_lower_one():
    one = Purse(Cap("job.budget", Decimal(20), "CNY", max_tokens=1_200))
    ways = "or lower max_tokens, which budgets set to 1,200 where a row sets none; then run the same command again"
    assert broke(Lack(one, one.page(0), Decimal(30)), MODEL).advice == f"raise the budget, {ways}"


def test_a_park_says_why_a_row_that_searches_or_names_files_may_cost_so_much():
    one = purse(20_000)
    lack = promise_all((one,), ("legal", MODEL), Bound(10_000_300, 60))
    assert isinstance(lack, Lack)
    assert broke(lack, MODEL).message == (
        "workspaces.legal.budget = 20,000 tokens: 0 tokens spent; the next row may cost 10,000,360 tokens, its input being "
        "10,000,300 tokens at the most: each byte counts as one, uploaded files "
        "as 10,000,000, and what the provider searches or runs for it as 1,000,000"
    )
    plain = promise_all((one,), ("legal", MODEL), Bound(30_000, 60))
    assert isinstance(plain, Lack)
    assert broke(plain, MODEL).message.endswith("the next row may cost 30,060 tokens")


def test_a_park_says_of_a_model_that_thinks_what_bounds_that_for_max_tokens_does_not():
    one = purse(20_000)
    thinking = promise_all((one,), ("legal", MODEL), Bound(100, most_answered({"model": "qwen3.6-plus", "max_tokens": 400})))
    assert isinstance(thinking, Lack)
    failure = broke(thinking, "qwen3.6-plus")
    assert failure.message.endswith(
        "the next row may cost 33,268 tokens, its output being 33,168 tokens at the most: "
        "an answer without max_tokens, and thinking without thinking_budget, count as 32,768"
    )
    assert "; where the model thinks, thinking_budget too, for max_tokens does not bound that; then run" in failure.advice
    bounded = {"model": "qwen3.6-plus", "max_tokens": 400, "thinking_budget": 30_000}
    for body in (bounded, {"model": "qwen-plus"}):
        without = promise_all((one,), ("legal", MODEL), Bound(100, most_answered(body)))
        assert isinstance(without, Lack)
        assert "think" not in broke(without, MODEL).message + broke(without, MODEL).advice


def test_a_park_counts_what_other_runs_spent_and_says_so():
    one = purse(100)
    one.page(0).spent, one.page(0).others = Decimal(60), Decimal(30)
    failure = broke(Lack(one, one.page(0), Decimal(20)), MODEL)
    told_of = "workspaces.legal.budget = 100 tokens: 90 tokens spent, 30 tokens of it by other runs; the next row may cost 20 tokens"
    assert failure.message == told_of
    one.page(0).others_hold = Decimal(10)
    spent = ": 80 tokens spent, 20 tokens of it by other runs, 10 tokens more held by other runs for their calls; the next row"
    assert spent in broke(Lack(one, one.page(0), Decimal(20)), MODEL).message
    unpriced = broke(Lack(one, one.page(0), None), MODEL)
    assert (unpriced.fault, unpriced.scope) == (Fault.PARK, Scope.LANE)
    assert (unpriced.code, unpriced.message) == ("no_price", f"workspaces.legal.budget = 100 tokens: {MODEL} has no price in tokens")
    assert unpriced.advice == price_wanted(MODEL)


def test_a_park_says_how_much_of_what_is_spent_is_counted_at_the_most_for_calls_in_doubt_by_this_opening_and_by_earlier_ones():
    one, night = purse(1_000), Started("1-0", *LANE, "r-0", Bound(300, 200))
    spending = Spending(lambda _lane: (one,), 0.0)
    spending.attempts([Opened(1), night])
    spending.close()
    for usage, in_doubt in ((None, True), (Usage(30, 12), False), (None, False)):
        promised = promise_all((one,), LANE, Bound(50, 50))
        assert isinstance(promised, tuple)
        one.settle(LANE, promised[0], usage, in_doubt=in_doubt)
    lack = promise_all((one,), LANE, Bound(500, 100))
    assert isinstance(lack, Lack)
    assert "= 1,000 tokens: 642 tokens spent, 600 tokens of it at the most by calls in doubt; the next row" in broke(lack, MODEL).message
    one.page(0).others = Decimal(30)
    spent = ": 672 tokens spent, 30 tokens of it by other runs, 600 tokens of it at the most by calls in doubt; the next row may cost"
    assert spent in broke(lack, MODEL).message


def test_what_earlier_openings_spent_is_read_from_the_ledger_and_what_is_in_doubt_at_its_bound():
    tokens, money = purse(1_000), Purse(Cap("job.budget", Decimal(9), "CNY"), lambda *_: Decimal(7), lambda *_: Decimal("0.5"))
    spending = Spending(lambda lane: (tokens, money) if lane == LANE else (), 0.0)
    starts = [Started(f"1-{number}", *LANE, f"r-{number}", Bound(10, 90)) for number in range(6)]
    spending.attempts(
        [
            Opened(1),
            *starts,
            Ended("1-0", "answered", in_doubt=False, usage=None),
            Ended("1-1", "reasked", in_doubt=False, usage=Usage(2, 3), cost=Money("CNY", Decimal("0.25"))),
            Ended("1-2", "again", in_doubt=True, usage=None),
            Ended("1-3", "throttled", in_doubt=False, usage=None),
            None,
        ]
    )
    usage, cost = Usage(4, 5), Money("CNY", Decimal("0.125"))
    spending.entries(
        [
            Entry("r-0", *LANE, "answered", "d", "1-0", usage, cost),
            Entry("r-4", *LANE, "answered", "d", "1-4", usage, None),
            Entry("r-9", "sales", MODEL, "answered", "d", "1-9", usage, cost),
            Entry("r-8", *LANE, "rejected", "d", None, None),
        ]
    )
    spending.close()
    assert tokens.page(0).spent == 9 + 5 + 100 + 9 + 100
    assert money.page(0).spent == Decimal("0.125") + Decimal("0.25") + 7 + Decimal("0.5") + 7


def test_a_call_whose_cost_nobody_knows_is_counted_at_its_bound_by_whoever_reads_the_ledger_as_it_was_by_whoever_made_it():
    one = Purse(Cap("job.budget", Decimal(9), "CNY"), lambda _lane, asked, told, _at: Decimal(asked + 10 * told), lambda *_: None)
    spending = Spending(lambda _lane: (one,), 0.0)
    spending.entries([Entry("r-0", *LANE, "answered", "d", "1-0", Usage(3, 2), None)])
    spending.close()
    assert one.page(0).spent == 23
