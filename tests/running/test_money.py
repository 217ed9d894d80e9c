"""Prices at the joints: by whose day a call is priced, and that a call has one price wherever the ledger tells it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.jobs.job import Job
from batchrun.core.ledger.attempts import Bound, Ended
from batchrun.core.ledger.attribution import DEFAULT_ZONE
from batchrun.core.model import Answered, Call, Failure, Fault, Reply, Row, Scope, Usage
from batchrun.edge.history import Attempts, entries
from batchrun.edge.ledger import Files, Ledger
from batchrun.edge.run_directory import open_to_append
from batchrun.running.money import day_of, most_of, pricer, prices_of

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


def price(usage, at):
    found = pricer(prices_of(JOB), JOB.workspaces_resolved())("legal", "own", usage, at)
    return None if found is None else found.amount


@pytest.mark.parametrize(("moment", "amount"), MOMENTS)
def test_a_price_holds_from_the_midnight_at_which_the_providers_bill_begins_a_day(moment, amount):
    at = datetime.fromisoformat(moment).timestamp()
    assert price(A_MILLION, at) == amount
    found = most_of(JOB)("legal", "own", Bound(1_000_000, 0), at)
    assert (None if found is None else found.amount) == (None if amount is None else amount * Decimal("1.25"))


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
