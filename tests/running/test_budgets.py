"""Which budgets a lane is paid from, what they take for its calls, and what a person is told of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from time import time
from typing import Any

import anyio
import pytest

from batchrun.core.errors import RunDamagedError
from batchrun.core.jobs.job import Job
from batchrun.core.ledger.attempts import Bound
from batchrun.core.ledger.statement import Statement
from batchrun.core.model import Answered, Call, Failure, Fault, Money, Reply, Row, Scope, Usage
from batchrun.core.money.budget import Cap, Purse, promise_all
from batchrun.core.money.periods import Period
from batchrun.core.scheduling.parking import ParkedScope
from batchrun.edge import run_directory
from batchrun.edge.ledger import Files, Ledger
from batchrun.running.budgets import each_purse, most_tokens, purses_of, take_up, tell_budgets, tell_spent, with_what_is_left
from batchrun.running.money import pricer, prices_of
from tests.steps import lines_run
from tests.virtual_time import run_virtually

FLASH, OWN = "qwen-flash", "own-model"
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC).timestamp()
PRICED = {OWN: {"currency": "CNY", "since": "2020-01-01", "tiers": [{"input": 2, "output": 8}]}}


def job_of(**tables: object) -> Job:
    return Job.model_validate(
        {
            "job": {"input": "in.jsonl", "budget": {"tokens": 9000, "max_tokens": 700}},
            "defaults": {"model": OWN, "endpoint": "simulator"},
            "workspaces": {
                "legal": {"budget": {"amount": 5, "currency": "CNY"}, "limits": {OWN: {"budget": {"tokens": 100, "max_tokens": 50}}}},
                "sales": {},
            },
            "prices": PRICED,
            **tables,
        }
    )


def purses(job: Job, *lanes: tuple[str, str]):
    return purses_of(job, job.workspaces_resolved(), lanes, prices_of(job))


def told_of(job: Job, *lanes: tuple[str, str]) -> dict[tuple[str, str], list[tuple[str, str]]]:
    return {lane: [(each.cap.name, each.cap.whose) for each in of_lane] for lane, of_lane in purses(job, *lanes).items()}


def test_a_lane_is_paid_from_its_own_budget_its_workspaces_and_the_jobs():
    lanes = ("legal", OWN), ("legal", FLASH), ("sales", OWN)
    job = ("job.budget", "job in")
    legal = ("workspaces.legal.budget", "workspace legal")
    own = (f'workspaces.legal.limits."{OWN}".budget', f"workspace legal, model {OWN}")
    found = told_of(job_of(), *lanes)
    assert {lane: [name for name, _ in each] for lane, each in found.items()} == {
        lanes[0]: [own[0], legal[0], job[0]],
        lanes[1]: [legal[0], job[0]],
        lanes[2]: [job[0]],
    }
    assert found[lanes[0]][:2] == [own, legal]
    assert found[lanes[2]][0][1] == f"job {job_of().name}"


def test_lanes_share_the_purse_of_what_they_share_and_each_budget_of_a_list_has_one():
    twice = {"input": "in.jsonl", "budget": [{"tokens": 9}, {"tokens": 90, "per": "day", "zone": "Europe/Berlin"}]}
    found = purses(job_of(job=twice), ("legal", FLASH), ("sales", OWN))
    legal, sales = found["legal", FLASH], found["sales", OWN]
    assert legal[1:] == sales
    assert [each.cap.amount for each in sales] == [9, 90]
    assert [each.cap.period for each in sales] == [None, Period("day", "Europe/Berlin")]
    monthly = job_of(job={"input": "in.jsonl", "budget": {"amount": 9, "currency": "CNY", "per": "month"}})
    (one,) = purses(monthly, ("sales", OWN))["sales", OWN]
    assert one.cap == Cap("job.budget", Decimal(9), "CNY", Period("month", "Asia/Shanghai"), f"job {monthly.name}", rehearsed=True)
    assert len(list(each_purse(found))) == 3


def test_tokens_count_as_they_are_and_money_at_the_models_price():
    own, legal, job = purses(job_of(), ("legal", OWN))["legal", OWN]
    lane, most = ("legal", OWN), Bound(1_000_000, 500_000)
    assert (own.price(lane, most, NOW), job.price(lane, most, NOW)) == (1_500_000, 1_500_000)
    # At the most: all of the input may be written to a cache, at a quarter more.
    assert legal.price(lane, most, NOW) == Decimal("2.5") + Decimal(4)
    assert legal.cost(lane, Usage(500_000, 250_000), NOW) == Decimal(1) + Decimal(2)
    assert (own.cap.unit, legal.cap.unit) == ("tokens", "CNY")


def paid_for_a_million(currency: str) -> tuple[dict[str, Decimal | None], dict[str, Decimal | None]]:
    """What a million tokens each way are set aside for and cost, by workspace, in a budget of *currency*."""
    places = {"here": ("public", "main"), "abroad": ("intl", "main"), "in-a-batch": ("batch", "main"), "for-less": ("public", "cheaper")}
    workspaces = {name: {"endpoint": at, "account": of, "api_key_env": f"KEY_{of}"} for name, (at, of) in places.items()}
    job = job_of(
        job={"input": "in.jsonl", "budget": {"amount": 5, "currency": currency}},
        accounts={"main": {}, "cheaper": {"discount": 0.25}},
        workspaces=workspaces,
    )
    (one,) = each_purse(purses(job, *((name, FLASH) for name in places)))
    bound, usage = Bound(1_000_000, 1_000_000), Usage(1_000_000, 1_000_000)
    return {name: one.price((name, FLASH), bound, NOW) for name in places}, {name: one.cost((name, FLASH), usage, NOW) for name in places}


def test_money_counts_by_where_a_lanes_calls_go_and_what_is_taken_off_for_its_account():
    for abroad in paid_for_a_million("USD"):
        assert {name for name, amount in abroad.items() if amount is not None} == {"abroad"}
    for amounts in paid_for_a_million("CNY"):
        here = amounts["here"] or Decimal(0)
        assert here > 0
        assert amounts == {"here": here, "abroad": None, "in-a-batch": here / 2, "for-less": here * 3 / 4}


@pytest.mark.parametrize("unpriced", [None, {"input": 1, "output": 3}])
def test_what_has_no_price_in_the_budgets_currency_counts_as_the_budget_says_or_not_at_all(unpriced):
    table = {"amount": 5, "currency": "USD"} | ({} if unpriced is None else {"unpriced": unpriced})
    job = job_of(workspaces={"legal": {"budget": table}}, job={"input": "in.jsonl"})
    lanes = [("legal", OWN), ("legal", "a-model-of-nobody"), ("gone", OWN)]
    for lane in lanes:
        (one,) = purses(job, ("legal", OWN))["legal", OWN]
        told = one.price(lane, Bound(1_000_000, 2_000_000), NOW), one.cost(lane, Usage(2_000_000, 1_000_000), NOW)
        assert told == ((None, None) if unpriced is None else (Decimal(7), Decimal(5)))


def test_budgets_of_many_workspaces_look_each_of_these_up_once_and_not_once_for_every_budget():
    class Counted(dict[str, Any]):
        looked_up = 0

        def items(self) -> Any:
            self.looked_up += 1
            return super().items()

    many = {f"w{number}": {"api_key_env": "K", "budget": {"amount": 5, "per": "day"}} for number in range(30)}
    job = Job.model_validate({"job": {"input": "in.jsonl"}, "workspaces": many})
    workspaces = Counted(job.workspaces_resolved())
    found = purses_of(job, workspaces, [(name, "qwen-plus") for name in many], prices_of(job))
    assert (len({*each_purse(found)}), workspaces.looked_up) == (30, 1)


def test_what_a_row_may_cost_is_told_without_a_look_at_where_its_workspace_calls():
    class Watched(dict[str, Any]):
        looks = 0

        def __getitem__(self, name: str) -> Any:
            self.looks += 1
            return super().__getitem__(name)

        def get(self, name: str, default: Any = None) -> Any:
            self.looks += 1
            return super().get(name, default)

    job = job_of()
    workspaces = Watched(job.workspaces_resolved())
    (_, legal, _) = purses_of(job, workspaces, [("legal", OWN)], prices_of(job))["legal", OWN]
    before = workspaces.looks
    assert {legal.price(("legal", OWN), Bound(tokens, 0), NOW) for tokens in (400_000, 400_000)} == {Decimal(1)}
    assert workspaces.looks == before


def test_rows_without_max_tokens_get_the_least_that_a_budget_of_their_lane_names():
    job = job_of()
    assert [most_tokens(job, *lane) for lane in (("legal", OWN), ("legal", FLASH), ("sales", OWN), ("gone", OWN))] == [50, 700, 700, 700]
    assert most_tokens(job_of(job={"input": "in.jsonl"}, workspaces={"legal": {}}), "legal", OWN) is None


def test_a_budget_knows_the_limit_that_all_of_its_rows_have_by_budgets():
    found = purses(job_of(), ("sales", OWN), ("legal", OWN))
    assert [[each.cap.max_tokens for each in found[lane]] for lane in found] == [[700], [50, 700, 700]]
    assert [each.cap.max_tokens for each in each_purse(purses(job_of(job={"input": "in.jsonl"}), ("legal", OWN)))] == [50, None]


def test_a_budget_is_told_of_when_half_is_spent_by_whomever_and_not_again():
    notes: list[str] = []
    one = Purse(Cap("job.budget", Decimal(100), "tokens"))
    bought = {("legal", OWN): (one,), ("sales", OWN): (one,)}
    page = one.page(0)
    page.spent, page.others = Decimal(49), Decimal(0)
    tell_spent(bought, notes.append)
    assert notes == []
    page.others = Decimal(2)
    tell_spent(bought, notes.append)
    tell_spent(bought, notes.append)
    assert notes == ["job.budget: 50% is spent: 51 tokens of 100 tokens"]
    page.others, page.in_doubt = Decimal(40), Decimal(45)
    tell_spent(bought, notes.append)
    assert notes[1:] == ["job.budget: 80% is spent: 89 tokens of 100 tokens, 45 tokens of it at the most by calls in doubt"]


def test_what_other_runs_only_hold_of_a_budget_is_not_told_as_spent():
    notes: list[str] = []
    one = Purse(Cap("job.budget", Decimal(100), "tokens"))
    bought = {("legal", OWN): (one,)}
    page = one.page(0)
    page.spent, page.others, page.others_hold = Decimal(30), Decimal(65), Decimal(60)
    tell_spent(bought, notes.append)
    assert notes == []
    page.spent = Decimal(45)
    page.others_hold = Decimal(50)
    tell_spent(bought, notes.append)
    assert notes == ["job.budget: 50% is spent: 60 tokens of 100 tokens, 50 tokens more held by other runs for their calls"]


def test_of_a_budget_that_comes_anew_it_is_told_of_which_day_or_month_so_much_is_spent():
    notes: list[str] = []
    bought = purses(
        job_of(
            job={"input": "in.jsonl", "budget": [{"amount": 2, "currency": "CNY", "per": per, "zone": "UTC"} for per in ("day", "month")]}
        ),
        ("sales", OWN),
    )
    for purse in each_purse(bought):
        purse.page(time()).spent = Decimal("1.9")
    before = datetime.now(UTC)
    tell_spent(bought, notes.append)
    if before.date() == datetime.now(UTC).date():
        told = "job.budget: 95% is spent: 1.9 CNY of 2 CNY"
        assert notes == [f"{told} on {before:%Y-%m-%d}", f"{told} in {before:%Y-%m}"]


def test_budgets_are_told_of_each_second_as_long_as_a_run_has_any():
    notes: list[str] = []
    one = Purse(Cap("job.budget", Decimal(100), "tokens"))

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tell_budgets, {("legal", OWN): (), ("sales", OWN): (one,)}, notes.append)
            for spent in (0, 50, 79, 80, 95, 100):
                one.page(0).spent = Decimal(spent)
                await anyio.sleep(1)
            tasks.cancel_scope.cancel()
        await tell_budgets({("legal", OWN): ()}, notes.append)

    run_virtually(main)
    assert [note.split(":")[1] for note in notes] == [" 50% is spent", " 80% is spent", " 95% is spent"]


def test_what_was_spent_by_lanes_that_have_nothing_left_to_do_counts_too(tmp_path):
    twice = [{"tokens": 9000}, {"amount": 90, "currency": "CNY", "per": "day"}]
    job = job_of(job={"input": "in.jsonl", "budget": twice})
    lanes = [("legal", OWN), ("legal", FLASH), ("sales", OWN), ("gone", OWN)]
    with Ledger(Files(tmp_path, run_directory.open_to_append), 1, price=lambda *_call: Money("CNY", Decimal(3))) as ledger:
        for number, lane in enumerate(lanes):
            row = Row(f"r-{number}", *lane, {}, "0" * 16)
            call = Call(ledger.start(row, Bound(100, 100), 5.0), 1, 5.0, 7)
            ledger.append(Answered(row, Reply("x", "stop", Usage(0, 10**number)), call), 0.0)
    left = purses(job, ("legal", FLASH))
    legal, whole, daily = left["legal", FLASH]
    take_up(job, left, tmp_path)
    assert [legal.page(5.0).spent, whole.page(5.0).spent, daily.page(5.0).spent] == [6, 1111, 12]
    other = purses(job, ("sales", OWN))
    take_up(job, other, tmp_path)
    assert [purse.page(5.0).spent for purse in other["sales", OWN]] == [1111, 12]


@pytest.mark.parametrize("per", ["run", "day"])
def test_what_a_simulator_answers_is_paid_from_a_purse_of_its_own_and_that_of_nobody_knows_whom_from_all(tmp_path, per):
    budget = {"tokens": 9000, "per": per}
    job = job_of(
        job={"input": "in.jsonl", "budget": budget},
        workspaces={"legal": {"endpoint": "public", "api_key_env": "LEGAL_KEY"}, "sales": {}, "hr": {}},
    )
    with Ledger(Files(tmp_path, run_directory.open_to_append), 1) as ledger:
        for number, name in enumerate(["legal", "sales", "hr", "gone"]):
            row = Row(f"r-{number}", name, OWN, {}, "0" * 16)
            call = Call(ledger.start(row, Bound(100, 100), 5.0), 1, 5.0, 7)
            ledger.append(Answered(row, Reply("x", "stop", Usage(0, 10**number)), call), 0.0)
    found = purses(job, ("legal", OWN), ("sales", OWN), ("hr", OWN))
    take_up(job, found, tmp_path)
    (real,), (rehearsed,), (too,) = (found[name, OWN] for name in ("legal", "sales", "hr"))
    assert rehearsed is too
    assert [real.page(5.0).spent, rehearsed.page(5.0).spent] == [1 + 1000, 10 + 100 + 1000]
    assert (real.cap.amount, rehearsed.cap.amount) == (9000, 9000)
    assert real.cap.key("2026-11-25") != rehearsed.cap.key("2026-11-25")


def test_what_a_run_has_spent_so_far_is_read_from_its_ledger_for_the_lanes_that_have_budgets(tmp_path):
    with Ledger(Files(tmp_path, run_directory.open_to_append), 1) as ledger:
        for number, lane in enumerate([("legal", OWN), ("sales", OWN), ("legal", OWN)], 1):
            row, reply = Row(f"r-{number}", *lane, {}, "0" * 16), Reply("x", "stop", Usage(number, 10))
            call = Call(ledger.start(row, Bound(100, 100), 5.0), 1, 5.0, 7)
            ledger.append(Answered(row, reply, call), 0.0)
            ledger.flush()
            ledger.end(call.attempt, "answered", reply, 6.0)
        ledger.start(Row("r-9", "legal", OWN, {}, "0" * 16), Bound(300, 4), 5.0)
    one = Purse(Cap("workspaces.legal.budget", Decimal(100), "tokens", rehearsed=True))
    take_up(job_of(), {("legal", OWN): (one,)}, tmp_path)
    assert one.page(0).spent == 11 + 13 + 304
    (tmp_path / "legal" / "results.jsonl").write_bytes(b"{}\n")
    take_up(job_of(), {("legal", OWN): ()}, tmp_path)
    with pytest.raises(RunDamagedError):
        take_up(job_of(), {("legal", OWN): (one,)}, tmp_path)


@pytest.mark.parametrize("per", ["run", "day"])
def test_calls_in_doubt_of_a_workspace_that_the_job_names_no_more_count_at_the_dearest_price_of_their_model(tmp_path, per):
    table = {"amount": 50, "currency": "CNY", "per": per, "unpriced": {"input": 1, "output": 1}}
    dear = {"region": "hongkong", "since": "2020-01-01", "tiers": [{"input": 20, "output": 80}]}
    foreign = {"region": "us", "currency": "USD", "since": "2020-01-01", "tiers": [{"input": 900, "output": 900}]}
    job = job_of(job={"input": "in.jsonl", "budget": table}, prices={OWN: [*PRICED.values(), dear, foreign]})
    with Ledger(Files(tmp_path, run_directory.open_to_append), 1) as ledger:
        for name, model in (("renamed", OWN), ("renamed", "a-model-of-nobody"), ("sales", OWN)):
            ledger.start(Row(f"r-{name}-{model}", name, model, {}, "0" * 16), Bound(100_000, 100_000), NOW)
    left = purses(job, ("sales", OWN))
    take_up(job, left, tmp_path)
    (one,) = left["sales", OWN]
    # What a cache is written by costs a quarter more than plain input; what nobody knows counts as the budget says.
    assert one.page(NOW).spent == Decimal("2.5") + 8 + Decimal("0.2") + Decimal("0.25") + Decimal("0.8")


@pytest.mark.parametrize("per", ["run", "day"])
def test_what_is_in_doubt_takes_as_much_of_a_budget_as_it_did_when_its_call_was_made(tmp_path, per):
    def job_at(endpoint: str) -> Job:
        told = {"input": "in.jsonl", "budget": {"amount": 50, "currency": "CNY", "per": per}}
        return job_of(job=told, defaults={"endpoint": endpoint}, workspaces={"legal": {"api_key_env": "LEGAL_KEY"}})

    def spent(**described: Any) -> Decimal:
        run_directory.write_summary(tmp_path / "run.json", {"format": 1} | described)
        left = purses(job_at("batch"), ("legal", OWN))
        take_up(job_at("batch"), left, tmp_path)
        (one,) = left["legal", OWN]
        found: Decimal = one.page(NOW).spent
        return found

    with Ledger(Files(tmp_path, run_directory.open_to_append), 1) as ledger:
        ledger.start(Row("r-1", "legal", OWN, {}, "0" * 16), Bound(100_000, 100_000), NOW)
    public, batch = (job_at(each).model_dump(mode="json", exclude_unset=True) for each in ("public", "batch"))
    assert spent(job=public) == Decimal("1.05"), "a copy of then"
    assert spent(job=batch) == Decimal("0.525")
    assert spent(job=batch, priced_before=[{"through": 1, "job": public}]) == Decimal("1.05")
    assert spent(job=batch, priced_before=[{"through": 0, "job": public}]) == Decimal("0.525")


LIKE = "if they are like those before: batchrun plan looks at them"


def parked(code: str, rows: int) -> ParkedScope:
    return ParkedScope(Scope.LANE, f"legal {OWN}", Failure(Fault.PARK, Scope.LANE, code, "the budget is spent", "raise it"), rows)


def test_a_spent_budget_says_what_the_rows_left_would_come_to():
    statement = Statement("run", "job")
    for _ in range(4):
        statement.lane("legal", OWN).add_usage(Usage(300, 100), Money("CNY", Decimal("0.5")))
    assert with_what_is_left(parked("budget_spent", 10), statement) == parked("budget_spent", 10), "no row has come to anything yet"
    statement.lane("legal", OWN).answered = 4
    told = with_what_is_left(parked("budget_spent", 10), statement)
    assert told.failure.message == f"the budget is spent; the 10 rows left would come to about 4,000 tokens, 5 CNY, {LIKE}"
    assert (told.name, told.rows, told.failure.advice) == (f"legal {OWN}", 10, "raise it")
    assert with_what_is_left(parked("no_price", 10), statement) == parked("no_price", 10)
    assert with_what_is_left(parked("budget_spent", 10), Statement("run", "job")) == parked("budget_spent", 10)


def test_rows_that_are_asked_twice_are_taken_to_be_asked_twice_in_what_the_rows_left_would_come_to():
    statement = Statement("run", "job")
    totals = statement.lane("legal", OWN)
    for _ in range(6):
        totals.add_usage(Usage(300, 100), Money("CNY", Decimal("0.5")))
    totals.answered, totals.rejected, totals.exhausted = 1, 1, 1
    told = with_what_is_left(parked("budget_spent", 10), statement)
    assert told.failure.message == f"the budget is spent; the 10 rows left would come to about 8,000 tokens, 10 CNY, {LIKE}"


def test_a_park_of_a_workspace_whose_name_has_a_space_brings_no_other_into_the_statement():
    statement = Statement("run", "job")
    statement.lane("legal dept", OWN).add_usage(Usage(300, 100))
    statement.lane("legal dept", OWN).answered = 1
    each = ParkedScope(
        Scope.LANE, f"legal dept {OWN}", Failure(Fault.PARK, Scope.LANE, "budget_spent", "the budget is spent", "raise it"), 10
    )
    assert "about 4,000 tokens" in with_what_is_left(each, statement).failure.message
    assert [*statement.lanes] == [("legal dept", OWN)]


def test_a_park_of_a_model_whose_name_has_a_space_brings_no_other_workspace_into_the_statement():
    statement = Statement("run", "job")
    each = replace(parked("budget_spent", 10), name="legal Qwen 3 8B")
    assert with_what_is_left(each, statement) == each
    assert [*statement.lanes] == []
    statement.lane("legal", "Qwen 3 8B").add_usage(Usage(300, 100))
    statement.lane("legal", "Qwen 3 8B").answered = 1
    assert "about 4,000 tokens" in with_what_is_left(each, statement).failure.message
    assert [*statement.lanes] == [("legal", "Qwen 3 8B")]


BEIJING = timezone(timedelta(hours=8))
MIDNIGHT = datetime(2026, 12, 1, tzinfo=BEIJING).timestamp()
_THEN, _NOW = {"input": 2, "output": 8}, {"input": 20, "output": 80}
RISING = {OWN: [{"since": "2020-01-01", "tiers": [_THEN]}, {"since": "2026-12-01", "tiers": [_NOW]}]}


@pytest.mark.parametrize("told", [True, False], ids=["cost told", "cost not told"])
@pytest.mark.parametrize("per", ["run", "day", "month"])
@pytest.mark.parametrize(("begins", "input_price"), [(MIDNIGHT - 60, 2), (MIDNIGHT - 0.001, 2), (MIDNIGHT, 20)])
def test_a_budget_prices_a_call_by_when_it_began_as_the_ledger_does_whenever_it_ends_and_whoever_counts(
    tmp_path, per, begins, input_price, told
):
    budget = {"amount": 1000, "currency": "CNY", "per": per}
    job = job_of(job={"input": "in.jsonl"}, workspaces={"legal": {"budget": budget}}, prices=RISING)
    workspaces, lane, most, usage = job.workspaces_resolved(), ("legal", OWN), Bound(2_000_000, 100_000), Usage(1_000_000, 50_000)
    row = Row("r-1", *lane, {}, "0" * 16)
    (live,) = purses(job, lane)[lane]
    live.page(begins).allowed = Decimal(1000)  # A page of a day or a month is lent.
    promised = promise_all((live,), lane, most, begins)
    assert isinstance(promised, tuple)
    at_most = input_price * (Decimal("2.5") + Decimal("0.4"))  # All of the input may be written to a cache, at a quarter more.
    assert [promise.amount for promise in promised] == [at_most]

    directory = tmp_path / "run"
    directory.mkdir()
    # What was called before its price was known has no cost in its entry.
    priced = pricer(prices_of(job if told else job_of(prices={})), workspaces)
    with Ledger(Files(directory, run_directory.open_to_append), 1, price=priced) as ledger:
        ledger.start(row, most, begins)
        name = ledger.start(row, most, begins)
        call = Call(name, 1, begins, 120_000)
        ledger.append(Answered(row, Reply("yes", "stop", usage), call), 0.0)
        ledger.flush()
    live.settle(lane, promised[0], usage, in_doubt=False)
    (page,) = live.pages.values()
    assert page.spent == input_price * Decimal("1.2")
    (again,) = purses(job, lane)[lane]
    take_up(job, {lane: (again,)}, directory)
    ((day, counted),) = again.pages.items()
    assert (day, counted.spent) == (page.span.name, page.spent + at_most)
    assert day == {"run": "", "day": "2026-12-01", "month": "2026-12"}[per] if begins >= MIDNIGHT else day in {"", "2026-11-30", "2026-11"}


def test_what_is_left_of_one_of_many_lanes_is_told_without_a_look_at_the_others():
    def lines(lanes: int) -> int:
        statement = Statement("run", "job")
        for number in range(lanes):
            statement.lane("legal", f"m-{number}").add_usage(Usage(300, 100))
            statement.lane("legal", f"m-{number}").answered = 1
        last = replace(parked("budget_spent", 10), name=f"legal m-{lanes - 1}")
        return lines_run(lambda: with_what_is_left(last, statement))

    assert lines(500) == lines(50)
