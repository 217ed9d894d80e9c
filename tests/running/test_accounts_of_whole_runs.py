"""What whole runs come to in money, held against an account kept apart: tiers, caches, thinking, discounts, two currencies, a new month.

The provider reckons what it is owed in fractions, from a table of its own, call by call. After each opening every line of the ledger is to
tell that price, to the last digit, and every report the sum of them: the statement, usage.csv, the charges in FOCUS; what was billed beyond
them is within the doubt. Whole runs are those of `test_whole_runs.py`: killed anywhere, with inputs edited, workspaces and models renamed.
"""

from __future__ import annotations

import csv
import json
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchrun.core.jobs.job import Job
from batchrun.core.ledger.focus import Focus
from batchrun.core.model import Failure, Fault, Reply
from batchrun.core.protocols.mishaps import mishap
from batchrun.core.protocols.usage import usage_of
from batchrun.running.money import places_of
from batchrun.running.statements import BY, read_statement
from batchrun.telling.reporting import write_usage_csv
from tests.running.test_whole_runs import WholeRun
from tests.running.world import BEIJING, Provider, _again, day_of

LAST_NOON = datetime(2026, 11, 30, 12, tzinfo=BEIJING).timestamp()
"""Of a month: the day after has other prices."""
MODELS = ("qwen-plus", "qwen-max", "qwen-flash", "qwen-turbo")
TIERS = ("up_to", "input", "output", "thinking", "cached", "cache_hit", "cache_write")
PRICES: dict[str, list[dict[str, Any]]] = {
    "qwen-plus": [
        {"since": "2020-01-01", "tiers": [(90, "0.8", "2", "8", None, None, None), (None, "2.4", "20", "24", None, None, None)]},
        {"since": "2026-12-01", "tiers": [(100, "0.7", "1.9", None, "0.33", "0.11", "0.9"), (None, "3", "7", "9", None, None, None)]},
    ],
    "qwen-max": [{"since": "2020-01-01", "currency": "USD", "tiers": [(None, "1.6", "6.4", None, None, "0.01", "3")]}],
    "qwen-flash": [{"since": "2026-12-01", "tiers": [(None, "0.15", "1.5", None, None, None, None)]}],
}
"""In the words of the job but for the tiers, which stand in the order of TIERS. Until December one model has no price; one never has."""
DISCOUNTS = {"qwen-plus": "0.17"}
OF_THE_ACCOUNT = "0.05"


def prices_in(table: dict[str, Any], factor: int) -> dict[str, Any]:
    """One dated table as a job has it, every price so many times as high."""
    tiers = [
        {name: _raised(name, each, factor) for name, each in zip(TIERS, tier, strict=True) if each is not None} for tier in table["tiers"]
    ]
    return {"currency": table.get("currency", "CNY"), "since": table["since"], "tiers": tiers}


def _raised(name: str, value: Any, factor: int) -> Any:
    return value if name == "up_to" else float(Fraction(value) * factor)


def owed(model: str, day: str, told: dict[str, Any], factor: int, *, discounted: bool) -> tuple[str, Fraction] | None:
    """What a call costs whose usage object the provider gave: currency and amount; None where no price is known."""
    known = [table for table in PRICES.get(model, []) if table["since"] <= day]
    if not known:
        return None
    asked, answered = told["prompt_tokens"], told["completion_tokens"]
    tier = next(tier for tier in known[-1]["tiers"] if tier[0] is None or asked <= tier[0])
    fresh, output = Fraction(tier[1]), Fraction(tier[2])
    thinking, cached, hit, write = (None if each is None else Fraction(each) for each in tier[3:])
    details = told["prompt_tokens_details"]
    found, kept = details.get("cached_tokens", 0), details.get("cache_creation_input_tokens", 0)
    explicit = kept or details.get("cache_type") == "ephemeral"
    per_found = (hit if hit is not None else fresh / 10) if explicit else (cached if cached is not None else fresh / 5)
    per_kept = write if write is not None else fresh * Fraction(5, 4)
    thought = told["completion_tokens_details"]["reasoning_tokens"] and thinking is not None
    amount = (asked - found - kept) * fresh + found * per_found + kept * per_kept + answered * (thinking if thought else output)
    share = 1 - Fraction(DISCOUNTS.get(model, OF_THE_ACCOUNT)) if discounted else Fraction(1)
    return known[-1].get("currency", "CNY"), amount * factor * share / 1_000_000


class Dear(Provider):
    """Answers with all that an answer can cost, and keeps its own account."""

    def __init__(self, dice: Any, run: Any) -> None:
        super().__init__(dice)
        self.run = run
        self.owed: Counter[tuple[str, str]] = Counter()
        """By workspace and currency."""
        self.by_month: Counter[tuple[str, str, str]] = Counter()
        self.unpriced = Counter[str]()

    def call(self, ready: Any, at: float) -> Reply | Failure:
        self.calls += 1
        workspace = ready.request.headers["Authorization"].removeprefix("Bearer sk-fake-")
        told = self._told(*ready.most)
        usage = usage_of(told)
        assert usage is not None
        came: list[tuple[bool, Reply | Failure]] = [
            *[(True, Reply("yes", "stop", usage))] * 8,
            (True, Reply("yes", "length", usage)),
            (True, Reply("yes", "stop", None)),
            (True, replace(_again("empty_answer", 200), usage=usage)),
            (True, replace(_again("not_json", 200), fault=Fault.REASK, usage=usage)),
            (True, mishap("total_timeout", in_doubt=True)),
            (False, mishap("total_timeout", in_doubt=True)),
            (False, _again("internal_error", 500)),
            (False, replace(_again("limit_requests", 429), fault=Fault.THROTTLED)),
            (True, replace(_again("content_filtered", 200), fault=Fault.REJECT, usage=usage)),
        ]
        billed, result = self._dice.choice(came)
        if billed:
            self._bill(workspace, usage, at)
            self._owe(workspace, ready.row.model, told, at)
        return result

    def _told(self, most_asked: int, most_answered: int) -> dict[str, Any]:
        dice = self._dice
        asked, answered = dice.randint(most_asked // 2, most_asked), dice.randint(0, most_answered)
        found = dice.choice((0, 0, dice.randint(0, asked)))
        kept = dice.choice((0, 0, dice.randint(0, asked - found)))
        details: dict[str, Any] = {"cached_tokens": found} | ({"cache_creation_input_tokens": kept} if kept else {})
        details |= {"cache_type": "ephemeral"} if kept or dice.random() < 0.2 else {}
        searched = {"plugins": {"search": {"count": dice.randint(1, 3), "strategy": "turbo"}}} if dice.random() < 0.2 else {}
        thought = dice.choice((0, dice.randint(0, answered)))
        of_answered = {"reasoning_tokens": thought}
        return {"prompt_tokens": asked, "completion_tokens": answered, "prompt_tokens_details": details} | searched | {
            "completion_tokens_details": of_answered
        }  # fmt: skip

    def _owe(self, workspace: str, model: str, told: dict[str, Any], at: float) -> None:
        cost = owed(model, day_of(at), told, self.run.factor, discounted=self.run.discounted(workspace))
        if cost is None:
            self.unpriced[workspace] += 1
            return
        currency, amount = cost
        self.owed[workspace, currency] += amount  # type: ignore[assignment]  # fractions are added up as any numbers are
        self.by_month[workspace, currency, day_of(at)[:7]] += amount  # type: ignore[assignment]


class AccountedRun(WholeRun):
    """A run whose job names prices; what its ledger and its reports tell is reckoned anew."""

    provider: Dear

    def __init__(self, home: Any, dice: Any) -> None:
        super().__init__(home, dice)
        self.clock = LAST_NOON
        self.factor = 1
        """Times the prices of the table, which a person changes between two openings."""
        self.factors: dict[int, int] = {}
        """Of each opening."""
        for row in self.rows:
            if dice.random() < 0.5:
                row["model"] = dice.choice(MODELS)

    def provided(self) -> Dear:
        return Dear(self.dice, self)

    @staticmethod
    def discounted(workspace: str) -> bool:
        """Whether a workspace's account has its discounts: those whose name has been changed are of the same account."""
        return workspace != "sales"

    def a_budget(self) -> dict[str, Any]:
        spent = sum(Decimal(float(amount)) for (_, currency), amount in self.provider.owed.items() if currency == "CNY")
        table: dict[str, Any] = {"amount": float(spent) + 0.0003 * self.dice.randint(0, 9) + 0.000001, "max_tokens": 20}
        return table | {"per": self.dice.choice(("run", "day", "month")), "unpriced": {"input": 9, "output": 90}}

    def change(self) -> None:
        super().change()
        if self.dice.random() < 0.1:
            self.factor = self.dice.randint(1, 3)

    def job(self) -> Job:
        told = super().job().model_dump(mode="json", exclude_unset=True, by_alias=True)
        for name, table in told["workspaces"].items():
            table["account"] = "main" if self.discounted(name) else "other"
        account = {"discount": float(OF_THE_ACCOUNT), "discounts": {model: float(share) for model, share in DISCOUNTS.items()}}
        told["accounts"] = {"main": account, "other": {}}
        told["prices"] = {model: [prices_in(table, self.factor) for table in tables] for model, tables in PRICES.items()}
        # Nothing that is shipped is to stand in for what this one has no price for.
        told["defaults"]["endpoint"] = "eu"
        told["endpoints"] = {"eu": {"base_url": "https://eu.example.com/compatible-mode/v1"}}
        return Job.model_validate(told)

    def hold_budgets(self, workspace: str, at: float) -> None:
        """No budget in money by the month is overspent by what was billed, though what has no price counts as something."""
        for whose in ("job", workspace):
            table = self.budgets.get(whose)
            if table is None or table["per"] != "month":
                continue
            names = {name for name, *_ in self.provider.by_month} if whose == "job" else {workspace}
            spent = sum(self.provider.by_month[name, "CNY", day_of(at)[:7]] for name in names)
            assert spent <= Fraction(str(table["amount"])), (whose, table)

    def _carry_out(self, job: Job, opening: Any, **how: Any) -> Any:
        self.factors[opening.number] = self.factor
        return super()._carry_out(job, opening, **how)

    def hold_against(self) -> None:
        super().hold_against()
        lines = [*self._paid()]
        for workspace, model, at, usage, cost, opening in lines:
            expected = owed(model, day_of(at), usage["raw"], self.factors[opening], discounted=self.discounted(workspace))
            told = None if cost is None else (cost["currency"], Fraction(cost["amount"]))
            assert told == expected, (workspace, model, day_of(at), usage, cost, expected)
            if cost is not None:
                made_of = sum(tokens * Fraction(price) for tokens, price in cost["charges"].values()) / 1_000_000
                assert made_of * (1 - Fraction(cost.get("discount", "0"))) == Fraction(cost["amount"])
                assert sum(tokens for tokens, _ in cost["charges"].values()) == usage["input_tokens"] + usage["output_tokens"]
        self._hold_reports(lines)

    def _paid(self) -> Any:
        """Every line of the ledger that tells usage: workspace, model, moment, usage, cost, and its opening."""
        started: dict[str, dict[str, Any]] = {}
        for line in (self.directory / "attempts.log").read_bytes().splitlines():
            try:
                fields = json.loads(line)
            except ValueError:
                continue
            if "start" in fields:
                started[fields["start"]] = fields
            elif "end" in fields and fields.get("usage") is not None and fields["end"] in started:
                call = started[fields["end"]]
                yield call["workspace"], call["model"], call["at"], fields["usage"], fields["cost"], int(call["start"].split("-")[0])
        for entry in (*self._entries("results"), *self._entries("errors")):
            if entry.get("usage") is not None:
                at = datetime.fromisoformat(entry["started_at"]).timestamp()
                yield entry["workspace"], entry["model"], at, entry["usage"], entry["cost"], int(entry["attempt"].split("-")[0])

    def _hold_reports(self, lines: Any) -> None:
        paid: defaultdict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
        for workspace, model, at, usage, cost, _ in lines:
            sums = paid[workspace, model, day_of(at)]
            if cost is not None:
                sums[cost["currency"]] += Fraction(cost["amount"])  # type: ignore[assignment]
            sums["input"] += usage["input_tokens"]
            sums["output"] += usage["output_tokens"]
            sums["searches"] += usage.get("searches", 0)
            sums["unpriced"] += cost is None
        statement = read_statement(self._copy(), by=BY)
        stated = {
            key: Counter({currency: Fraction(amount) for currency, amount in totals.cost.items()})
            + Counter(input=totals.input_tokens, output=totals.output_tokens, searches=totals.searches, unpriced=totals.unpriced_calls)
            for key, totals in statement.attribution.groups.items()
            if totals.billed_calls
        }
        assert {key: +sums for key, sums in paid.items()} == {key: +sums for key, sums in stated.items()}
        self._hold_csv(statement, paid)
        self._hold_focus(statement, paid)
        self._hold_bill(statement)

    def _hold_csv(self, statement: Any, paid: Any) -> None:
        path = self.home / "usage.csv"
        write_usage_csv(path, statement)
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [*csv.DictReader(file)]
        for row in rows:
            sums = paid.get((row["workspace"], row["model"], row["day"]), Counter())
            for currency in ("CNY", "USD"):
                told = row[f"cost_{currency}"]
                assert Fraction(told or 0) == sums[currency]
                assert bool(told) or sums["unpriced"], "a cost that is known is told"
            told_tokens = [int(row[name]) for name in ("input_tokens", "output_tokens", "searches")]
            assert told_tokens == [sums[name] for name in ("input", "output", "searches")]
        assert {(row["workspace"], row["model"], row["day"]) for row in rows} >= {*paid}

    def _hold_focus(self, statement: Any, paid: Any) -> None:
        focus, described = Focus(), json.loads((self.directory / "run.json").read_bytes())
        focus.add(statement.attribution, {name: places[-1] for name, places in places_of(described).items()})
        charged: Counter[tuple[str, str, str]] = Counter()
        for row in focus.rows():
            start: Any = row["ChargePeriodStart"]
            assert row["ChargeCategory"] == "Usage", "each line tells its prices"
            name: Any = (row["SubAccountName"], day_of(start.timestamp()), row["BillingCurrency"])
            charged[name] += Fraction(row["BilledCost"])  # type: ignore[arg-type,assignment]
            assert row["PricingQuantity"] * row["ContractedUnitPrice"] == row["ContractedCost"]  # type: ignore[operator]
        owed_by_day: Counter[tuple[str, str, str]] = Counter()
        for (workspace, _, day), sums in paid.items():
            for currency in ("CNY", "USD"):
                owed_by_day[workspace, day, currency] += sums[currency]
        assert +charged == +owed_by_day
        assert focus.unpriced_calls == sum(sums["unpriced"] for sums in paid.values())

    def _hold_bill(self, statement: Any) -> None:
        for workspace in {name for name, _ in self.provider.owed}:
            total = statement.total(workspace)
            for currency in ("CNY", "USD"):
                bill = self.provider.owed[workspace, currency]
                stated, doubt = (Fraction(each.get(currency, 0)) for each in (total.cost, total.in_doubt_cost))
                assert stated <= bill, (workspace, currency)
                if not total.in_doubt_unpriced:
                    assert bill <= stated + doubt, (workspace, currency)


def accounted(home: Any, dice: Any, openings: int = 5) -> AccountedRun:
    """Play one run over the end of a month."""
    run = AccountedRun(home, dice)
    for _ in range(openings):
        run.open(kill=dice.random() < 0.5, steps=dice.randint(1, 8))
        for _ in range(dice.randint(0, 3)):
            dice.choice((run.edit, run.change))()
        run.clock += dice.choice((0.0, 5.0, 43_000.0, 86_400.0))
    run.budgets.clear()
    run.hold = False
    for _ in range(4):
        run.open(kill=False, steps=60)
        if run.is_refused or not run.left:
            break
    return run


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=6)
@given(st.randoms(use_true_random=False))
def test_every_call_of_a_run_is_paid_to_the_last_digit_and_every_report_adds_up_to_the_same(tmp_path_factory, dice):
    accounted(tmp_path_factory.mktemp("accounts"), dice)
