"""What a described job says may be called in a minute, and spent: read from run.json, whichever version wrote it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from batchrun.core.classes import value

TOKENS = "tokens"


@value
class StatedQuota:
    """A quota that is known: an account's for a model, a workspace's for all its models, or for one of them."""

    account: str | None
    workspace: str | None
    """None where the account's workspaces share it."""
    model: str | None
    """None for all models together."""
    rpm: int | None
    """Requests a minute; None where only tokens are counted."""
    tpm: int | None
    """Tokens of input and output a minute."""


@value
class StatedBudget:
    """A budget: of the job, of a workspace, of one of its models."""

    workspace: str | None
    model: str | None
    amount: Decimal
    unit: str
    """A currency, or ``tokens``."""
    per: str = "run"
    """``run``; or ``day`` or ``month``, for which other runs share it."""
    unpriced: tuple[Decimal, Decimal] = (Decimal(0), Decimal(0))
    """What a million tokens of input and of output count as, of calls without a price in its currency."""


def quotas_of(job: Mapping[str, Any], workspace: str, model: str) -> Iterator[StatedQuota]:
    """The known quotas that a call of *workspace* and *model* counts against."""
    table = _table(_table(job, "workspaces"), workspace)
    account = str(table.get("account", workspace))
    shared = _table(_table(_table(_table(job, "accounts"), account), "quotas"), model)
    for owner, name, of, quota in (
        (account, None, model, shared),
        (None, workspace, None, table),
        (None, workspace, model, _table(_table(table, "limits"), model)),
    ):
        rpm, tpm = _whole(quota.get("rpm")), _whole(quota.get("tpm"))
        if rpm or tpm:
            yield StatedQuota(owner, name, of, rpm, tpm)


def budgets_of(job: Mapping[str, Any]) -> Iterator[StatedBudget]:
    """The budgets of a job, its own first."""
    yield from _budgets(None, None, _table(job, "job"))
    workspaces = _table(job, "workspaces")
    for workspace in workspaces:
        table = _table(workspaces, workspace)
        yield from _budgets(workspace, None, table)
        limits = _table(table, "limits")
        for model in limits:
            yield from _budgets(workspace, model, _table(limits, model))


def _budgets(workspace: str | None, model: str | None, table: Mapping[str, Any]) -> Iterator[StatedBudget]:
    found = table.get("budget")
    # Versions that knew of one alone wrote it down as it was, and not as a list.
    for budget in found if isinstance(found, list) else [found]:
        if isinstance(budget, dict):
            yield from _budget(workspace, model, budget)


def _budget(workspace: str | None, model: str | None, budget: Mapping[str, Any]) -> Iterator[StatedBudget]:
    tokens, per = _whole(budget.get("tokens")), str(budget.get("per", "run"))
    try:
        if tokens:
            yield StatedBudget(workspace, model, Decimal(tokens), TOKENS, per)
        elif "amount" in budget:
            assumed = _table(budget, "unpriced")
            unpriced = Decimal(str(assumed.get("input", 0))), Decimal(str(assumed.get("output", 0)))
            yield StatedBudget(workspace, model, Decimal(str(budget["amount"])), str(budget.get("currency", "CNY")), per, unpriced)
    except InvalidOperation:
        return


def _table(table: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = table.get(name)
    return found if isinstance(found, dict) else {}


def _whole(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else None
