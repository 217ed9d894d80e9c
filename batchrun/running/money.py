"""Money at the joints: what a job's prices are, and what its calls cost."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from functools import cache, lru_cache
from time import time
from typing import Any

from pydantic import ValidationError

from batchrun.core.jobs.endpoints import CLOUDS, cloud_of, is_batch
from batchrun.core.jobs.job import Job, PricesTable, Workspace
from batchrun.core.ledger.attempts import Most, Started, opening_of
from batchrun.core.ledger.focus import ALIBABA, Place
from batchrun.core.model import Money, Usage
from batchrun.core.money.price_list import PriceRow, Tier, shipped
from batchrun.core.money.pricing import Discounts, Prices, region_of
from batchrun.core.money.tariff import Tariff
from batchrun.running.priced_before import jobs_before

_FIRST_DAY = date(1970, 1, 1).toordinal()
_AHEAD, _DAY = 8 * 3600, 86_400
"""Seconds that the clocks of the provider's bills are ahead, those of DEFAULT_ZONE: nobody has changed them since 1991."""
_BEIJING = ("cn-beijing", "China (Beijing)")
_PLACES: Mapping[str, tuple[str, str]] = {
    "public": _BEIJING,
    "batch": _BEIJING,
    "intl": ("ap-southeast-1", "Singapore"),
    "us": ("us-east-1", "US (Virginia)"),
    "hongkong": ("cn-hongkong", "China (Hong Kong)"),
    "eu-central-1": ("eu-central-1", "Germany (Frankfurt)"),
    "ap-northeast-1": ("ap-northeast-1", "Japan (Tokyo)"),
}
"""The provider's regions (its page on base URLs, 2026-10-11). That of the finance cloud it does not tell there."""


Pricer = Callable[[str, str, Usage, float], Money | None]
"""What a call of a workspace and model cost that began at a wall time; None where that is unknown."""
Bounder = Callable[[str, str, int, int, float], tuple[str, Decimal] | None]
"""What one costs at the most that uses so many input and output tokens: currency and amount."""


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
            row = prices.row(model, region_of(workspace.endpoint), day_of(time()))
            if row is not None and (workspace.models is None or model in workspace.models):
                discount = prices.discount(model, workspace.account)
                found[model, row.region or "", discount] = (row, discount)
    return [found[key] for key in sorted(found)]


def priced(prices: Prices, workspaces: Mapping[str, Workspace]) -> tuple[Pricer, Bounder]:
    """What calls cost, and what they can cost at the most: workspaces are looked up once, for both, and what holds for them once a day."""
    places = {name: (region_of(each.endpoint), each.account, is_batch(each.endpoint)) for name, each in workspaces.items()}
    tariffs: dict[tuple[str, str, int], Tariff | None] = {}

    def tariff(workspace: str, model: str, at: float) -> Tariff | None:
        key = workspace, model, int((at + _AHEAD) // _DAY)
        if key not in tariffs:
            region, account, batch = places[workspace]
            tariffs[key] = prices.tariff(model, region, day_of(at), account, batch)
        return tariffs[key]

    def price(workspace: str, model: str, usage: Usage, at: float) -> Money | None:
        found = tariff(workspace, model, at)
        return None if found is None else found.money(usage)

    def bound(workspace: str, model: str, input_tokens: int, output_tokens: int, at: float) -> tuple[str, Decimal] | None:
        found = tariff(workspace, model, at)
        return None if found is None else found.most(input_tokens, output_tokens)

    return price, bound


def pricer(prices: Prices, workspaces: Mapping[str, Workspace]) -> Pricer:
    """What a call of a workspace and model cost that began at a wall time."""
    return priced(prices, workspaces)[0]


def described_job(described: Mapping[str, Any]) -> Job | None:
    """The job of a run as its description has it; None where this batchrun would not take it any more."""
    try:
        return Job.model_validate(described.get("job"))
    except ValidationError:
        return None


def simulated_in(described: Mapping[str, Any]) -> set[str]:
    """The workspaces that the simulator answers, by a run's description: of what they have nothing was paid."""
    job = described_job(described)
    return {name for name, each in job.workspaces_resolved().items() if each.endpoint.simulated} if job is not None else set()


def most_of(described: Mapping[str, Any]) -> Most:
    """What a call of a run can cost at the most, by what held in its opening, as the run's description tells it.

    Nothing is known of the calls of a job that this batchrun would not take.
    """
    before = jobs_before(described)
    lasts = [through for through, _ in before]

    # Most runs have no call in doubt, and few in all openings: where much has changed, each job that held is read when it is asked for.
    @cache
    def most_in(place: int) -> Most:
        return _most_in(before[place][1]() if place < len(before) else described_job(described))

    def most(call: Started) -> Money | None:
        return most_in(bisect_left(lasts, opening_of(call.name)))(call)

    return most


def _most_in(job: Job | None) -> Most:
    if job is None:
        return lambda _call: None
    workspaces = job.workspaces_resolved()
    _, bound = priced(prices_of(job), workspaces)

    def most(call: Started) -> Money | None:
        found = bound(call.workspace, call.model, *call.bound, call.at) if call.workspace in workspaces else None
        return None if found is None else Money(*found)

    return most


def places_of(described: Mapping[str, Any]) -> dict[str, list[Place]]:
    """Where each workspace's calls went in a run, and whose they were, as FOCUS tells it: the last place last.

    A workspace that the job names no more was called as well.
    """
    found: dict[str, list[Place]] = {}
    for job in (*(read() for _, read in jobs_before(described)), described_job(described)):
        for name, workspace in (job.workspaces_resolved() if job else {}).items():
            places, place = found.setdefault(name, []), _place(workspace)
            if place in places:
                places.remove(place)
            places.append(place)
    return found


def _place(workspace: Workspace) -> Place:
    cloud = cloud_of(workspace.endpoint)
    ours = workspace.endpoint.simulated or cloud in CLOUDS or cloud in _PLACES
    return Place(workspace.account, cloud, ALIBABA if ours else workspace.endpoint.name, _PLACES.get(cloud))


def _row(model: str, table: PricesTable) -> PriceRow:
    tiers = tuple(
        Tier(tier.up_to, tier.input, tier.output, tier.thinking, tier.cached, tier.cache_hit, tier.cache_write) for tier in table.tiers
    )
    return PriceRow(
        model, table.region, table.currency, table.since, tiers, table.source,
        audio_input=table.audio_input, image_input=table.image_input,
        output_of_media=table.output_of_media, audio_output=table.audio_output,
    )  # fmt: skip


def day_of(at: float) -> date:
    """The day by whose prices a call is priced that began at a wall time: that of the provider's bill, as everywhere."""
    return _day(int((at + _AHEAD) // _DAY))


@lru_cache(maxsize=64)
def _day(number: int) -> date:
    return date.fromordinal(_FIRST_DAY + number)
