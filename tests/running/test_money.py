"""Prices at the joints: by whose day a call is priced, and that a call has one price wherever the ledger tells it."""

from __future__ import annotations

from datetime import datetime
from decimal import Context, Decimal, FloatOperation, Inexact, Rounded, getcontext, localcontext
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun import Wishes, read_statement, run_blocking
from batchrun.core.jobs.job import Job
from batchrun.core.ledger.attempts import Bound, Ended, Started
from batchrun.core.ledger.attribution import DEFAULT_ZONE
from batchrun.core.model import Answered, Call, Failure, Fault, Reply, Row, Scope, Usage
from batchrun.edge.history import Attempts, entries
from batchrun.edge.ledger import Files, Ledger
from batchrun.edge.run_directory import open_to_append
from batchrun.running.money import day_of, most_of, pricer, prices_of
from batchrun.running.priced_before import FIELD, kept
from tests.steps import lines_run

BILLS = ZoneInfo(DEFAULT_ZONE)
A_MILLION = Usage(1_000_000, 0)
JOB = Job.model_validate(
    {
        "job": {"name": "night", "input": "in.jsonl"},
        "workspaces": {"legal": {"api_key_env": "LEGAL_KEY"}},
        "prices": {"own": [{"since": f"2026-12-{day:02}", "tiers": {"input": 2 * day, "output": 0}} for day in (1, 2)]},
    }
)
MOMENTS = [
    ("2026-12-01T23:59:00+08:00", 2),
    ("2026-12-02T00:01:00+08:00", 4),
    ("2026-12-01T23:59:00+00:00", 4),
    ("2026-12-02T00:01:00+00:00", 4),
    ("2026-12-01T00:01:00+08:00", 2),
    ("2026-11-30T23:59:00+08:00", None),
]


def dumped(job):
    return job.model_dump(mode="json", exclude_unset=True, by_alias=True)


def price(usage, at):
    found = pricer(prices_of(JOB), JOB.workspaces_resolved())("legal", "own", usage, at)
    return None if found is None else found.amount


@pytest.mark.parametrize(("moment", "amount"), MOMENTS)
def test_a_price_holds_from_the_midnight_at_which_the_providers_bill_begins_a_day(moment, amount):
    at = datetime.fromisoformat(moment).timestamp()
    assert price(A_MILLION, at) == amount
    found = most_of({"job": dumped(JOB)})(Started("1-1", "legal", "own", "r", Bound(1_000_000, 0), at))
    assert (None if found is None else found.amount) == (None if amount is None else amount * Decimal("1.25"))


def test_what_budgets_and_the_ledger_ask_about_one_call_is_reckoned_once():
    prices, at = prices_of(JOB), datetime.fromisoformat("2026-12-02T00:01:00+08:00").timestamp()
    budgets, ledger = (pricer(prices, JOB.workspaces_resolved()) for _ in range(2))
    found = budgets("legal", "own", A_MILLION, at)
    assert found is not None
    assert found is ledger("legal", "own", A_MILLION, at)


def job_of(**tables: Any) -> Job:
    told = dumped(JOB) | {"prices": {"own": {"tiers": {"input": 2, "output": 8}}}} | tables
    return Job.model_validate(told)


JOBS = (
    job_of(),
    job_of(defaults={"endpoint": "batch"}),
    job_of(prices={"own": {"tiers": {"input": 1, "output": 1}}}),
    job_of(prices={}),
    job_of(workspaces={"sales": {"api_key_env": "SALES_KEY"}}),
    job_of(accounts={"main": {"discount": 0.25}}, workspaces={"legal": {"api_key_env": "LEGAL_KEY", "account": "main"}}),
    job_of(endpoints={"here": {"base_url": "https://llm.example/v1"}}, defaults={"endpoint": "here"}),
    job_of(retry={"max_attempts": 3}),
)
MOST = [Decimal("10.5"), Decimal("5.25"), Decimal("2.25"), None, None, Decimal("7.875"), Decimal("10.5"), Decimal("10.5")]


def a_call(opening: int) -> Started:
    return Started(f"{opening}-1", "legal", "own", "r", Bound(1_000_000, 1_000_000), 1_800_000_000.0)


@given(st.lists(st.tuples(st.integers(0, len(JOBS) - 1), st.booleans()), min_size=1, max_size=8))
def test_a_call_in_doubt_is_priced_by_the_job_that_it_was_made_under_whatever_the_job_has_become(openings):
    described: dict[str, Any] = {}
    made, made_under = 0, dict[int, int]()
    for which, calls in openings:
        before = kept(described, dumped(JOBS[which]), made)
        described = {"job": dumped(JOBS[which])} | ({FIELD: before} if before else {})
        # One that is killed before it writes to the log is numbered as the one after it.
        if calls:
            made += 1
            made_under[made] = which
    most = most_of(described)
    told = {number: most(a_call(number)) for number in made_under}
    assert {number: None if each is None else each.amount for number, each in told.items()} == {
        number: MOST[which] for number, which in made_under.items()
    }
    assert len(described.get(FIELD, ())) <= len(made_under)


def test_of_all_jobs_that_held_before_only_those_are_read_that_a_call_in_doubt_was_made_under():
    def lines(openings: int) -> int:
        described: dict[str, Any] = {}
        for made in range(openings):
            job = dumped(job_of(prices={"own": {"tiers": {"input": made + 1, "output": 1}}}))
            described = {"job": job, FIELD: kept(described, job, made)}
        most = most_of(described)
        return lines_run(lambda: most(a_call(2)))

    assert lines(60) < 2 * lines(6)


def test_what_held_before_is_kept_without_what_else_the_job_says_and_only_where_it_was_another():
    first, second = (job_of(defaults={"endpoint": at, "parameters": {"stop": "a secret"}}) for at in ("public", "batch"))
    assert kept({"job": dumped(first)}, dumped(second), 0) == []
    assert kept({"job": dumped(first)}, dumped(job_of(defaults={"endpoint": "public"}, retry={"max_attempts": 2})), 1) == []
    (before,) = kept({"job": dumped(first)}, dumped(second), 3)
    assert (before["through"], "a secret" in str(before)) == (3, False)
    assert kept({}, dumped(first), 5) == kept({"job": "none", FIELD: "neither"}, dumped(first), 5) == []


@given(st.floats(1_000_000_000, 4_000_000_000))
def test_the_day_of_a_price_is_the_day_of_the_statement_and_of_the_bill(at):
    assert day_of(at) == datetime.fromtimestamp(at, BILLS).date()


def test_a_call_over_midnight_costs_what_it_did_when_it_began_whether_an_entry_tells_it_or_the_log(tmp_path):
    at = datetime.fromisoformat("2026-12-01T23:59:00+08:00").timestamp()
    row = Row("r-1", "legal", "own", {}, "0" * 16)
    unfit = Failure(Fault.REASK, Scope.ROW, "schema_mismatch", "m", "a", usage=A_MILLION)
    with Ledger(Files(tmp_path, open_to_append), 1, price=pricer(prices_of(JOB), JOB.workspaces_resolved())) as ledger:
        ledger.end(ledger.start(row, Bound(1_000_000, 9), at), "reasked", unfit, at + 120)
        name = ledger.start(row, Bound(1_000_000, 9), at)
        ledger.append(Answered(row, Reply("an answer", "stop", A_MILLION), Call(name, 1, at, 120_000)), 0.0)
    (logged,) = [line.cost for line in Attempts(tmp_path / "attempts.log") if isinstance(line, Ended)]
    (entered,) = [entry.cost for entry in entries(tmp_path / "legal" / "results.jsonl", "legal")]
    assert logged is not None
    assert logged.amount == 2
    assert logged == entered


@pytest.mark.parametrize("digits", [Context(prec=3), Context(prec=60, traps=[Inexact, Rounded, FloatOperation])], ids=["few", "trapped"])
def test_a_program_that_reckons_with_other_digits_rounds_nothing_that_a_run_states_and_goes_on_with_its_own(tmp_path, digits):
    def told_by(directory, digits):
        (tmp_path / "rows.jsonl").write_bytes(b"".join(b'{"id": "r-%d", "prompt": "Note %d."}\n' % (n, n) for n in range(12)))
        tables = {
            "job": {"name": "night", "input": str(tmp_path / "rows.jsonl"), "output": str(tmp_path / directory)},
            "defaults": {"endpoint": "simulator", "model": "qwen-plus", "parameters": {"seed": 1}},
            "prices": {"qwen-plus": {"since": "2026-01-01", "tiers": {"input": Decimal("0.87654321"), "output": Decimal("2.12345678")}}},
            "simulator": {"seed": 1, "latency": {"median": 0.01, "sigma": 0.1}},
        }
        theirs = set()
        with localcontext(digits):
            ending = run_blocking(
                Job.model_validate(tables), Wishes(dotenv=None, page=None, hand_on=lambda _outcome: theirs.add(getcontext().prec))
            )
            assert theirs == {getcontext().prec} == {digits.prec}
            stated = ending.statement, read_statement(tmp_path / directory)
        lines = (tmp_path / directory / "default" / "results.jsonl").read_bytes().splitlines()
        costs = {(line := orjson.loads(each))["id"]: line["cost"]["amount"] for each in lines}
        return costs, [each.total().cost for each in stated]

    costs, stated = told_by("theirs", digits)
    assert (costs, stated) == told_by("usual", Context(prec=28))
    assert stated == [{"CNY": sum(map(Decimal, costs.values()))}] * 2
