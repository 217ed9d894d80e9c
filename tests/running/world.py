"""One job, its input, and the provider that answers it; what people do to a run between two openings is the dice's choice."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

from batchrun.core.jobs.job import Job
from batchrun.core.model import Failure, Fault, Reply, Scope, Usage
from batchrun.core.protocols.mishaps import mishap
from batchrun.ports import Prepared

BEIJING = timezone(timedelta(hours=8))
NOON = datetime(2026, 11, 25, 12, tzinfo=BEIJING).timestamp()
MODELS = ("qwen-plus", "qwen-flash")
_INPUT_PRICE, _OUTPUT_PRICE = 2, 8
_PRICES = {
    model: {"currency": "CNY", "since": "2020-01-01", "tiers": [{"input": _INPUT_PRICE, "output": _OUTPUT_PRICE}]} for model in MODELS
}


class Provider:
    """Answers calls and counts them, by the workspace of their key."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self.billed: Counter[tuple[str, str]] = Counter()
        """Tokens, by workspace and kind."""
        self.days: Counter[tuple[str, str]] = Counter()
        """Tokens, by workspace and day."""
        self.cost: Counter[str] = Counter()
        """Millionths, by workspace."""
        self.calls = 0

    def call(self, ready: Prepared, at: float) -> Reply | Failure:
        """What becomes of a call, which is billed here and now."""
        self.calls += 1
        workspace = ready.request.headers["Authorization"].removeprefix("Bearer sk-fake-")
        asked, told = (self._dice.randint(most // 2, most) for most in ready.most)
        usage = Usage(asked, told)
        came: list[tuple[bool, Reply | Failure]] = [
            *[(True, Reply("yes", "stop", usage))] * 8,
            (True, Reply("yes", "stop", None)),
            (True, replace(_again("empty_answer", 200), usage=usage)),
            (True, mishap("total_timeout", in_doubt=True)),
            (False, mishap("total_timeout", in_doubt=True)),
            (False, _again("internal_error", 500)),
            (False, replace(_again("limit_requests", 429), fault=Fault.THROTTLED, scope=Scope.LANE)),
            (False, replace(_again("invalid_parameter_error", 400), fault=Fault.REJECT)),
            (True, replace(_again("content_filtered", 200), fault=Fault.REJECT, usage=usage)),
        ]
        billed, result = self._dice.choice(came)
        if billed:
            self._bill(workspace, usage, at)
        return result

    def _bill(self, workspace: str, usage: Usage, at: float) -> None:
        self.billed[workspace, "input_tokens"] += usage.input_tokens
        self.billed[workspace, "output_tokens"] += usage.output_tokens
        self.days[workspace, day_of(at)] += usage.input_tokens + usage.output_tokens
        self.cost[workspace] += round(usage.input_tokens * _INPUT_PRICE + usage.output_tokens * _OUTPUT_PRICE)


def _again(code: str, status: int) -> Failure:
    return Failure(Fault.AGAIN, Scope.ROW, code, "the provider's words", "wait", status=status)


def day_of(at: float) -> str:
    return f"{datetime.fromtimestamp(at, timezone(timedelta(hours=8))):%Y-%m-%d}"


class World:
    """One job, its input, its run directory and its provider; every choice is the dice's."""

    def __init__(self, home: Path, dice: random.Random) -> None:
        self.home, self.dice = home, dice
        self.directory = home / "runs" / "night"
        self.provider = self.provided()
        self.clock = NOON
        self.made = 0
        self.workspaces = ["legal", "sales"]
        self.models = dict.fromkeys(self.workspaces, MODELS[0])
        self.rows: list[dict[str, Any]] = []
        self.budgets: dict[str, Any] = {}
        self.hold = dice.random() < 0.2
        for _ in range(dice.randint(4, 20)):
            self.add()
        if dice.random() < 0.6:
            self.budgets[dice.choice(("job", *self.workspaces))] = self.a_budget()

    def provided(self) -> Provider:
        """Who answers."""
        return Provider(self.dice)

    # What a person does between two openings.

    def add(self) -> None:
        self.made += 1
        row = {"workspace": self.dice.choice(self.workspaces), "prompt": f"Say {self.dice.randint(1, 9)}."}
        if self.dice.random() < 0.7:
            row["id"] = f"r-{self.made}"
        if self.dice.random() < 0.2:
            row["model"] = self.dice.choice(MODELS)
        self.rows.insert(self.dice.randint(0, len(self.rows)), row)

    def edit(self) -> None:
        """Change the input."""
        self.made += 1
        row, other = ((self.dice.choice(self.rows) if self.rows else {"prompt": ""}) for _ in range(2))
        name, model = self.dice.choice(self.workspaces), self.dice.choice(MODELS)
        edits: list[Callable[[], object]] = [
            self.add,
            lambda: self.rows.remove(row) if self.rows else None,
            lambda: self.rows.append({**row}),
            lambda: self.dice.shuffle(self.rows),
            lambda: row.update(prompt=row["prompt"] + "!"),
            lambda: row.update(workspace=name),
            lambda: row.update(model=model),
            lambda: row.update(id=f"r-{self.made}"),
            lambda: row.update(prompt=other["prompt"], id=other.get("id", f"r-{self.made}")),
        ]
        self.dice.choice(edits)()

    def change(self) -> None:
        """Change the job."""
        self.made += 1
        name, model, budget = self.dice.choice(self.workspaces), self.dice.choice(MODELS), self.a_budget()
        changes: list[Callable[[], object]] = [
            *[lambda: self._rename(name, f"w-{self.made}")] * 2,
            *[lambda: self.budgets.update({self.dice.choice(("job", name)): budget})] * 3,
            self.budgets.clear,
            lambda: self.models.update({name: model}),
            lambda: self._add_workspace(f"w-{self.made}", model),
            lambda: setattr(self, "hold", not self.hold),
        ]
        self.dice.choice(changes)()

    def _rename(self, name: str, new: str) -> None:
        """As in the job, so in the rows, or these are left with a workspace that there is no more."""
        self._add_workspace(new, self.models[name])
        self.workspaces.remove(name)
        if self.dice.random() < 0.8:
            for row in self.rows:
                if row["workspace"] == name:
                    row["workspace"] = new

    def _add_workspace(self, name: str, model: str) -> None:
        self.workspaces.append(name)
        self.models[name] = model

    def a_budget(self) -> dict[str, Any]:
        spent = sum(self.provider.billed.values()), Decimal(sum(self.provider.cost.values())) / 1_000_000
        calls = self.dice.randint(0, 9)
        unit: dict[str, Any] = {"tokens": spent[0] + 150 * calls + 1}
        if self.dice.random() < 0.5:
            unit = {"amount": float(spent[1]) + 0.0005 * calls + 0.000001, "currency": "CNY"}
        if "tokens" in unit and self.dice.random() < 0.5:
            unit["per"] = "day"
        return unit | {"max_tokens": 20}

    def job(self) -> Job:
        (self.home / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in self.rows), encoding="utf-8")
        tables = {
            name: {"api_key_env": "K", "model": self.models[name]} | ({"budget": self.budgets[name]} if name in self.budgets else {})
            for name in self.workspaces
        }
        own = {"name": "night", "input": str(self.home / "in.jsonl"), "output": str(self.directory)}
        return Job.model_validate(
            {
                "job": own | ({"budget": self.budgets["job"]} if "job" in self.budgets else {}),
                "defaults": {"endpoint": "public", "concurrency": 3, "parameters": {"max_tokens": 20}},
                "workspaces": tables,
                "prices": _PRICES,
                "retry": {"max_attempts": 2, "in_doubt": "hold" if self.hold else "send"},
            }
        )

    # Openings.

    def hold_budgets(self, workspace: str, at: float) -> None:
        """No budget that a *workspace*'s call was paid from is overspent by what was billed."""
        provider = self.provider
        for whose, names in (("job", {name for name, _ in provider.billed}), (workspace, {workspace})):
            table = self.budgets.get(whose, {})
            spent: dict[str, Decimal | int] = {
                "amount": Decimal(sum(provider.cost[name] for name in names)) / 1_000_000,
                "tokens": sum(provider.billed[name, kind] for name in names for kind in ("input_tokens", "output_tokens")),
            }
            if "per" in table:
                spent = {"tokens": sum(provider.days[name, day_of(at)] for name in names)}
            for unit, amount in spent.items():
                assert amount <= Decimal(str(table.get(unit, amount))), (whose, table)
