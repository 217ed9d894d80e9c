"""Usage to money, by dated tiers. Exact: nothing is rounded before it is shown.

A tier is chosen by the request's whole input and holds for all of it. Details itemise a total: what was cached, written to a cache, heard
or seen is taken out of the input before the rest is priced as plain input. An answer that reasoned is priced as thinking as a whole. A
model without a price has no cost, which is not the same as none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from batchrun.core.jobs.endpoints import CLOUDS, Endpoint
from batchrun.core.model import Charges, Money, Usage, value
from batchrun.core.money.price_list import CHINA, SINGAPORE, PriceRow, Tier, shipped

_MILLION = Decimal(1_000_000)
_BATCH = Decimal("0.5")
_REGIONS: Mapping[str, str] = {"public": CHINA, "batch": CHINA, "simulator": CHINA, "intl": SINGAPORE}
_NOTHING = Decimal(0)


@value
class Charge:
    """One kind of tokens of one call."""

    meter: str
    """As the provider's bill names it: ``input_token``, ``cached_token``, ``output_token`` and so on."""
    tokens: int
    unit_price: Decimal
    """Of a million tokens, before any discount."""
    discount: Decimal

    @property
    def list_amount(self) -> Decimal:
        """Without the discount."""
        return self.tokens * self.unit_price / _MILLION

    @property
    def amount(self) -> Decimal:
        """What it costs."""
        return self.list_amount * (1 - self.discount)


@value
class Cost:
    """What one call cost."""

    currency: str
    charges: tuple[Charge, ...]
    saved: Decimal
    """What the tokens found in a cache would have cost more."""
    share: Decimal = Decimal(1)
    """Of the plain prices: a half in a batch."""

    @property
    def amount(self) -> Decimal:
        """The sum."""
        return sum((charge.amount for charge in self.charges), _NOTHING)

    @property
    def list_amount(self) -> Decimal:
        """The sum without discounts."""
        return sum((charge.list_amount for charge in self.charges), _NOTHING)

    def money(self) -> Money:
        """Tell it as a line of the ledger does."""
        meters = tuple((charge.meter, charge.tokens, charge.unit_price) for charge in self.charges)
        discount = self.charges[0].discount if self.charges else _NOTHING
        return Money(self.currency, self.amount, Charges(meters, discount, self.share, self.saved))


@dataclass(frozen=True, slots=True)
class Discounts:
    """What an account has agreed on with the provider: shares that are taken off, 0 to 1."""

    account: Decimal = _NOTHING
    models: Mapping[str, Decimal] | None = None
    """They go before the account's."""

    def of(self, model: str) -> Decimal:
        """The share taken off *model*."""
        return (self.models or {}).get(model, self.account)


class Prices:
    """What applies. Of rows of one model and region the later goes before the earlier, and one given later before one of the same day.

    Rows that are a job's *own* go before all others, from the day that they hold.
    """

    def __init__(
        self, rows: Iterable[PriceRow], discounts: Mapping[str, Discounts] | None = None, *, own: Iterable[PriceRow] = ()
    ) -> None:  # fmt: skip
        self._rows: defaultdict[str, list[PriceRow]] = defaultdict(list)
        self._discounts = discounts or {}
        self._found: dict[tuple[str, str, date], PriceRow | None] = {}
        for some in (rows, own):
            for row in sorted(some, key=lambda row: row.since):
                self._rows[row.model].append(row)

    def row(self, model: str, region: str, day: date) -> PriceRow | None:
        """The price of *model* on *day*; None where none is known."""
        key = model, region, day
        if key not in self._found:
            rows = (row for row in reversed(self._rows.get(model, ())) if row.since <= day and row.region in {None, region})
            self._found[key] = next(rows, None)
        return self._found[key]

    def models(self) -> list[str]:
        """Every model that has a price somewhere."""
        return sorted(self._rows)

    def rows_of(self, model: str) -> tuple[PriceRow, ...]:
        """All rows of *model*; of two that hold the same day, the one that applies comes later."""
        return tuple(self._rows.get(model, ()))

    def discount(self, model: str, account: str) -> Decimal:
        """The share taken off."""
        return self._discounts.get(account, Discounts()).of(model)

    def cost(self, model: str, region: str, usage: Usage, day: date, *, account: str = "", batch: bool = False) -> Cost | None:
        """What a call cost; None where its model has no price, or its input is longer than any tier."""
        row = self.row(model, region, day)
        tier = None if row is None else _tier(row, usage.input_tokens)
        if row is None or tier is None:
            return None
        discount, share = self.discount(model, account), _BATCH if batch else Decimal(1)
        charges = tuple(Charge(meter, tokens, price * share, discount) for meter, tokens, price in _metered(row, tier, usage) if tokens)
        cached = sum((each.list_amount for each in charges if each.meter == "cached_token"), _NOTHING)
        saved = (usage.cached_tokens * tier.input * share / _MILLION - cached) * (1 - discount)
        return Cost(row.currency, charges, saved, share)

    def most(
        self, model: str, region: str, input_tokens: int, output_tokens: int, day: date, *, account: str = "", batch: bool = False
    ) -> tuple[str, Decimal] | None:  # fmt: skip
        """What a call of so many tokens costs at the most, whatever they are: currency and amount; None where that is unknown.

        A call of fewer tokens costs no more. Beyond the last tier its price is taken: the provider refuses what is longer.
        """
        row = self.row(model, region, day)
        if row is None:
            return None
        reached = [tier for place, tier in enumerate(row.tiers) if place == 0 or (row.tiers[place - 1].up_to or 0) < input_tokens]
        asked = max(*(_dearest_input(row, tier) for tier in reached), *_given(row.audio_input, row.image_input))
        told = max(*(tier.output for tier in reached), *_given(*(tier.thinking for tier in reached), row.output_of_media, row.audio_output))
        share = (1 - self.discount(model, account)) * (_BATCH if batch else 1)
        return row.currency, (input_tokens * asked + output_tokens * told) / _MILLION * share


def region_of(endpoint: Endpoint) -> str:
    """Where an endpoint's calls are priced: a region of the price list, or its cloud's or own name, which no shipped row knows."""
    cloud = cloud_of(endpoint)
    return _REGIONS.get(cloud, cloud)


def cloud_of(endpoint: Endpoint) -> str:
    """The cloud of the provider that *endpoint* names or whose host its URL has; otherwise its own name."""
    if endpoint.simulated or endpoint.name in CLOUDS:
        return endpoint.name
    bases = endpoint.bases.values()
    return next((name for name, cloud in CLOUDS.items() if any(base.startswith(f"{cloud.host}/") for base in bases)), endpoint.name)


def standard_prices() -> Prices:
    """Give the shipped rows."""
    return Prices(shipped())


def _given(*prices: Decimal | None) -> list[Decimal]:
    return [_NOTHING, *(price for price in prices if price is not None)]


def _dearest_input(row: PriceRow, tier: Tier) -> Decimal:
    return max(tier.input, _cached(row, tier), _cache_hit(row, tier), _cache_write(row, tier))


def _cached(row: PriceRow, tier: Tier) -> Decimal:
    return tier.input * row.cached if tier.cached is None else tier.cached


def _cache_hit(row: PriceRow, tier: Tier) -> Decimal:
    return tier.input * row.cache_hit if tier.cache_hit is None else tier.cache_hit


def _cache_write(row: PriceRow, tier: Tier) -> Decimal:
    return tier.input * row.cache_write if tier.cache_write is None else tier.cache_write


def _tier(row: PriceRow, input_tokens: int) -> Tier | None:
    return next((tier for tier in row.tiers if tier.up_to is None or input_tokens <= tier.up_to), None)


def _metered(row: PriceRow, tier: Tier, usage: Usage) -> Iterator[tuple[str, int, Decimal]]:
    audio = usage.audio_tokens if row.audio_input is not None else 0
    seen = usage.image_tokens + usage.video_tokens if row.image_input is not None else 0
    plain = max(0, usage.input_tokens - usage.cached_tokens - usage.cache_creation_tokens - audio - seen)
    yield "input_token", plain, tier.input
    yield "cached_token", usage.cached_tokens, _cache_hit(row, tier) if _is_explicit(usage) else _cached(row, tier)
    yield "cache_creation_token", usage.cache_creation_tokens, _cache_write(row, tier)
    yield "audio_input_token", audio, row.audio_input or _NOTHING
    yield "image_input_token", seen, row.image_input or _NOTHING
    yield from _metered_output(row, tier, usage)


def _metered_output(row: PriceRow, tier: Tier, usage: Usage) -> Iterator[tuple[str, int, Decimal]]:
    sound = usage.output_audio_tokens if row.audio_output is not None else 0
    text = usage.output_tokens - sound
    media = usage.audio_tokens + usage.image_tokens + usage.video_tokens
    if sound and row.audio_output is not None:
        yield "audio_output_token", sound, row.audio_output
        yield "output_token", text, _NOTHING
    elif usage.reasoning_tokens and tier.thinking is not None:
        yield "thinking_output_token", text, tier.thinking
    elif media and row.output_of_media is not None:
        yield "output_token", text, row.output_of_media
    else:
        yield "output_token", text, tier.output


def _is_explicit(usage: Usage) -> bool:
    """Whether the row asked for the cache: the provider says so in the details, and the two modes exclude each other in a request."""
    details = (usage.raw or {}).get("prompt_tokens_details") or (usage.raw or {}).get("input_tokens_details")
    told = details.get("cache_type") if isinstance(details, dict) else None
    return usage.cache_creation_tokens > 0 or told == "ephemeral"
