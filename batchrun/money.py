"""Money and tokens at the joints: what a job's prices are, what its calls cost, and what its budgets have left."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from time import time
from typing import Any

import anyio
from pydantic import ValidationError

from batchrun.core.attempts import Bound
from batchrun.core.budget import TOKENS, Cap, LaneKey, Purse, Spending, told
from batchrun.core.endpoints import CLOUDS
from batchrun.core.focus import ALIBABA, Place
from batchrun.core.job import BudgetTable, Job, PricesTable, Workspace
from batchrun.core.model import Money, Usage
from batchrun.core.price_list import PriceRow, Tier, shipped
from batchrun.core.pricing import Discounts, Prices, cloud_of, region_of
from batchrun.core.statement import Most
from batchrun.reading import read_into

_MILLION = Decimal(1_000_000)
_LOOK_EVERY = 1.0

_BEIJING = ("cn-beijing", "China (Beijing)")
_PLACES: Mapping[str, tuple[str, str]] = {
    "public": _BEIJING,
    "batch": _BEIJING,
    "intl": ("ap-southeast-1", "Singapore"),
    "us": ("us-east-1", "US (Virginia)"),
    "hongkong": ("cn-hongkong", "China (Hong Kong)"),
}
"""The provider's regions (its page on base URLs, 2026-10-11). That of the finance cloud it does not tell there."""

Purses = Mapping[LaneKey, tuple[Purse, ...]]


def prices_of(job: Job) -> Prices:
    """The shipped prices, with the job's own in their place and its discounts."""
    own = (_row(model, table) for model, tables in job.prices.items() for table in tables)
    discounts = {name: Discounts(table.discount, table.discounts) for name, table in job.accounts.items()}
    return Prices(shipped(), discounts, own=own)


def listed(job: Job) -> list[tuple[PriceRow, Decimal]]:
    """What applies in *job*: the rows of each model and place that its workspaces call, the newest, and the share taken off.

    Where a discount is one account's, its rows are listed once for each discount.
    """
    prices, found = prices_of(job), {}
    for workspace in job.workspaces_resolved().values():
        for model in prices.models():
            row = prices.row(model, region_of(workspace.endpoint), _day(time()))
            if row is not None and (workspace.models is None or model in workspace.models):
                discount = prices.discount(model, workspace.account)
                found[model, row.region or "", discount] = (row, discount)
    return [found[key] for key in sorted(found)]


def pricer(prices: Prices, workspaces: Mapping[str, Workspace]) -> Callable[[str, str, Usage, float], Money | None]:
    """What a call of a workspace and model cost that began at a wall time."""

    def price(workspace: str, model: str, usage: Usage, at: float) -> Money | None:
        where = workspaces[workspace]
        cost = prices.cost(model, region_of(where.endpoint), usage, _day(at), account=where.account, batch=_is_batch(where))
        return None if cost is None else cost.money()

    return price


def described_job(described: Mapping[str, Any]) -> Job | None:
    """The job of a run as its description has it; None where this batchrun would not take it any more."""
    try:
        return Job.model_validate(described.get("job"))
    except ValidationError:
        return None


def most_of(known: Job | None) -> Most:
    """What a call can cost at the most, by the prices of a job; nothing is known where there is none."""
    if known is None:
        return lambda *_call: None
    workspaces, prices = known.workspaces_resolved(), prices_of(known)

    def most(workspace: str, model: str, bound: Bound, at: float) -> Money | None:
        if (where := workspaces.get(workspace)) is None:
            return None
        asked, region = (bound.input_tokens, bound.output_tokens), region_of(where.endpoint)
        found = prices.most(model, region, *asked, _day(at), account=where.account, batch=_is_batch(where))
        return None if found is None else Money(*found)

    return most


def places_of(known: Job | None) -> dict[str, Place]:
    """Where each workspace's calls went, and whose they were, as FOCUS tells it."""
    return {name: _place(workspace) for name, workspace in (known.workspaces_resolved() if known else {}).items()}


def _place(workspace: Workspace) -> Place:
    cloud = cloud_of(workspace.endpoint)
    ours = workspace.endpoint.simulated or cloud in CLOUDS
    return Place(workspace.account, cloud, ALIBABA if ours else workspace.endpoint.name, _PLACES.get(cloud))


def purses_of(job: Job, workspaces: Mapping[str, Workspace], lanes: Iterable[LaneKey], prices: Prices) -> Purses:
    """The budgets that each lane is paid from: its own, its workspace's and the job's."""
    found: dict[str, Purse] = {}
    return {
        (name, model): tuple(
            found.setdefault(where, _purse(where, table, workspaces, prices)) for where, table in _budgets(job, name, model) if table
        )
        for name, model in lanes
    }


def take_up(purses: Purses, directory: Path) -> None:
    """Count what the run has spent so far, from its ledger; raises RunDamagedError where that is damaged."""
    if not any(purses.values()):
        return
    spending = Spending(purses)
    read_into(directory, spending)
    spending.close()


async def tell_budgets(purses: Purses, note: Callable[[str], None]) -> None:
    """Note how much of each budget is spent, as it comes to be, until cancelled."""
    while any(purses.values()):
        tell_spent(purses, note)
        await anyio.sleep(_LOOK_EVERY)


def tell_spent(purses: Purses, note: Callable[[str], None]) -> None:
    """Note each budget of which half, four fifths or nineteen twentieths are spent since it was last told."""
    for purse in {id(purse): purse for each in purses.values() for purse in each}.values():
        if (share := purse.warning()) is not None:
            spent, amount = (told(value, purse.cap.unit) for value in (purse.spent, purse.cap.amount))
            note(f"{purse.cap.name}: {share:.0%} is spent: {spent} of {amount}")


def _budgets(job: Job, name: str, model: str) -> Iterator[tuple[str, BudgetTable | None]]:
    table = job.workspaces.get(name)
    if table is not None:
        limit = table.limits.get(model)
        yield f'workspaces.{name}.limits."{model}".budget', limit.budget if limit else None
        yield f"workspaces.{name}.budget", table.budget
    yield "job.budget", job.job.budget


def _purse(where: str, table: BudgetTable, workspaces: Mapping[str, Workspace], prices: Prices) -> Purse:
    if table.amount is None:
        return Purse(Cap(where, Decimal(table.tokens or 0), TOKENS))

    def assumed(input_tokens: int, output_tokens: int) -> Decimal | None:
        if table.unpriced is None:
            return None
        return (input_tokens * table.unpriced.input + output_tokens * table.unpriced.output) / _MILLION

    def most(lane: LaneKey, input_tokens: int, output_tokens: int) -> Decimal | None:
        at, (name, model) = workspaces[lane[0]], lane
        region, batch = region_of(workspaces[name].endpoint), _is_batch(at)
        bound = prices.most(model, region, input_tokens, output_tokens, _day(time()), account=at.account, batch=batch)
        return bound[1] if bound is not None and bound[0] == table.currency else assumed(input_tokens, output_tokens)

    price = pricer(prices, workspaces)

    def cost(lane: LaneKey, usage: Usage) -> Decimal | None:
        found = price(*lane, usage, time())
        known = found is not None and found.currency == table.currency
        return found.amount if found is not None and known else assumed(usage.input_tokens, usage.output_tokens)

    return Purse(Cap(where, table.amount, table.currency), most, cost)


def _row(model: str, table: PricesTable) -> PriceRow:
    tiers = tuple(
        Tier(tier.up_to, tier.input, tier.output, tier.thinking, tier.cached, tier.cache_hit, tier.cache_write) for tier in table.tiers
    )
    return PriceRow(
        model, table.region, table.currency, table.since, tiers, table.source,
        audio_input=table.audio_input, image_input=table.image_input,
        output_of_media=table.output_of_media, audio_output=table.audio_output,
    )  # fmt: skip


def _day(at: float) -> date:
    return datetime.fromtimestamp(at, UTC).date()


def _is_batch(workspace: Workspace) -> bool:
    return cloud_of(workspace.endpoint) == "batch"
