"""Usage to money, by dated tiers. Exact: nothing is rounded before it is shown.

A tier is chosen by the request's whole input and holds for all of it. Details itemise a total: what was cached, written to a cache, heard
or seen is taken out of the input before the rest is priced as plain input, and nothing twice. An answer that reasoned is priced as thinking
as a whole. A model without a price has no cost, which is not the same as none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal

from batchrun.core.classes import value
from batchrun.core.jobs.endpoints import Endpoint, cloud_of
from batchrun.core.model import Charges, Money, Usage
from batchrun.core.money.price_list import CHINA, SINGAPORE, PriceRow, Tier, shipped

_MILLION = Decimal(1_000_000)
_BATCH = Decimal("0.5")
_REGIONS: Mapping[str, str] = {"public": CHINA, "batch": CHINA, "simulator": CHINA, "intl": SINGAPORE}
_NOTHING = Decimal(0)
_WHOLE = Decimal(1)


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
    meters: tuple[tuple[str, int, Decimal], ...]
    """Of each charge: meter, tokens and unit price."""
    discount: Decimal
    saved: Decimal
    """What the tokens found in a cache would have cost more."""
    share: Decimal = Decimal(1)
    """Of the plain prices: a half in a batch."""

    @property
    def charges(self) -> tuple[Charge, ...]:
        """Each kind of tokens by itself."""
        return tuple(Charge(*meter, self.discount) for meter in self.meters)

    @property
    def amount(self) -> Decimal:
        """The sum."""
        amount, paid = _NOTHING, 1 - self.discount
        for _, tokens, unit_price in self.meters:
            amount += tokens * unit_price / _MILLION * paid
        return amount

    @property
    def list_amount(self) -> Decimal:
        """The sum without discounts."""
        return sum((charge.list_amount for charge in self.charges), _NOTHING)

    def money(self) -> Money:
        """Tell it as a line of the ledger does."""
        discount = self.discount if self.meters else _NOTHING
        return Money(self.currency, self.amount, Charges(self.meters, discount, self.share, self.saved))


@value
class Discounts:
    """What an account has agreed on with the provider: shares that are taken off, 0 to 1."""

    account: Decimal = _NOTHING
    models: Mapping[str, Decimal] | None = None
    """They go before the account's."""

    def of(self, model: str) -> Decimal:
        """The share taken off *model*."""
        return (self.models or {}).get(model, self.account)


class Tariff:
    """What the calls of one account cost for one model in one place, at the prices of one day."""

    def __init__(self, row: PriceRow, discount: Decimal, *, batch: bool) -> None:
        self._at_the_most = [*_at_the_most(row)]
        # Half is taken off, and no more for what a cache held: the provider's pages on Batch and on its cache.
        self._row = row = _without_caches(row) if batch else row
        self._discount = discount
        self._share = _BATCH if batch else _WHOLE
        self._paid = (1 - discount) * self._share
        self._tiers = [(tier, self._saved(tier, 0, _NOTHING)) for tier in row.tiers]
        """With what is saved by a cache in which nothing was found."""
        self._latest: tuple[Usage | None, Money | None] = None, None
        """The call that was asked about last, and what it cost."""

    def money(self, usage: Usage) -> Money | None:
        """What a call cost, as a line of the ledger tells it; None where its input is longer than any tier."""
        latest, money = self._latest
        # Each budget that pays for a call asks, and the ledger after them, with the very same usage.
        if usage is not latest:
            cost = self.cost(usage)
            money = None if cost is None else cost.money()
            self._latest = usage, money
        return money

    def cost(self, usage: Usage) -> Cost | None:
        """What a call cost; None where its input is longer than any tier."""
        row, share = self._row, self._share
        for tier, saved in self._tiers:
            if tier.up_to is None or usage.input_tokens <= tier.up_to:
                meters = tuple([(meter, tokens, price * share) for meter, tokens, price in _metered(row, tier, usage)])
                if usage.cached_tokens:
                    cached = sum((tokens * price / _MILLION for meter, tokens, price in meters if meter == "cached_token"), _NOTHING)
                    return Cost(row.currency, meters, self._discount, self._saved(tier, usage.cached_tokens, cached), share)
                return Cost(row.currency, meters, self._discount, saved, share)
        return None

    def most(self, input_tokens: int, output_tokens: int) -> tuple[str, Decimal]:
        """What a call of so many tokens costs at the most, whatever they are: currency and amount.

        A call of fewer tokens costs no more. Beyond the last tier its price is taken: the provider refuses what is longer.
        """
        asked = told = _NOTHING
        for longer_than, asked_here, told_here in self._at_the_most:
            if input_tokens <= longer_than:
                break
            asked, told = asked_here, told_here
        return self._row.currency, (input_tokens * asked + output_tokens * told) / _MILLION * self._paid

    def _saved(self, tier: Tier, cached_tokens: int, cached: Decimal) -> Decimal:
        return (cached_tokens * tier.input * self._share / _MILLION - cached) * (1 - self._discount)


class Prices:
    """What applies. Of a model's rows the later goes before the earlier; of those of a day one of the region alone, then one given later.

    Rows that are a job's *own* go before all others, from the day that they hold.
    """

    def __init__(
        self, rows: Iterable[PriceRow], discounts: Mapping[str, Discounts] | None = None, *, own: Iterable[PriceRow] = ()
    ) -> None:  # fmt: skip
        self._rows: defaultdict[str, list[PriceRow]] = defaultdict(list)
        self._discounts = discounts or {}
        self._found: dict[tuple[str, str, date], PriceRow | None] = {}
        self._tariffs: dict[tuple[str, str, date, str, bool], Tariff | None] = {}
        for some in (rows, own):
            for row in sorted(some, key=lambda row: (row.since, row.region is not None)):
                self._rows[row.model].append(row)

    def row(self, model: str, region: str, day: date) -> PriceRow | None:
        """The price of *model* on *day*; None where none is known."""
        key = model, region, day
        if key not in self._found:
            rows = (row for row in reversed(self._rows.get(model, ())) if row.since <= day and row.region in {None, region})
            self._found[key] = next(rows, None)
        return self._found[key]

    def begins(self, model: str, region: str, day: date) -> date | None:
        """When the price of *model* begins to hold, where none does on *day* yet."""
        to_come = (row.since for row in self._rows.get(model, ()) if row.region in {None, region})
        return None if self.row(model, region, day) is not None else min(to_come, default=None)

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
        tariff = self.tariff(model, region, day, account, batch)
        return None if tariff is None else tariff.cost(usage)

    def tariff(self, model: str, region: str, day: date, account: str, batch: bool) -> Tariff | None:  # noqa: FBT001 - asked for each call
        """What holds for all such calls; None where the model has no price."""
        key = model, region, day, account, batch
        if key not in self._tariffs:
            row = self.row(model, region, day)
            self._tariffs[key] = None if row is None else Tariff(row, self.discount(model, account), batch=batch)
        return self._tariffs[key]

    def most(
        self, model: str, region: str, input_tokens: int, output_tokens: int, day: date, *, account: str = "", batch: bool = False
    ) -> tuple[str, Decimal] | None:  # fmt: skip
        """What `Tariff.most` tells of such a call; None where the model has no price."""
        tariff = self.tariff(model, region, day, account, batch)
        return None if tariff is None else tariff.most(input_tokens, output_tokens)

    def dearest(self, model: str, currency: str, input_tokens: int, output_tokens: int, day: date) -> Decimal | None:
        """The same in *currency*, wherever and for whomever it was made; None where no place has such a price."""
        regions = {row.region or "" for row in self.rows_of(model)}
        found = (self.most(model, region, input_tokens, output_tokens, day) for region in regions)
        return max((each[1] for each in found if each is not None and each[0] == currency), default=None)


def region_of(endpoint: Endpoint) -> str:
    """Where an endpoint's calls are priced: a region of the price list, or its cloud's or own name, which no shipped row knows."""
    cloud = cloud_of(endpoint)
    return _REGIONS.get(cloud, cloud)


def standard_prices() -> Prices:
    """Give the shipped rows."""
    return Prices(shipped())


def _without_caches(row: PriceRow) -> PriceRow:
    """The same prices where what a cache held is plain input."""
    tiers = tuple(replace(tier, cached=None, cache_hit=None, cache_write=None) for tier in row.tiers)
    return replace(row, tiers=tiers, cached=_WHOLE, cache_hit=_WHOLE, cache_write=_WHOLE)


def _at_the_most(row: PriceRow) -> Iterator[tuple[int, Decimal, Decimal]]:
    """Of requests of more than so many input tokens: what a million of input, and of output, cost at the most, there or in shorter ones."""
    longer_than = -1
    asked, told = max(_given(row.audio_input, row.image_input)), max(_given(row.output_of_media, row.audio_output))
    for tier in row.tiers:
        asked, told = max(asked, _dearest_input(row, tier)), max(told, *_given(tier.output, tier.thinking))
        yield longer_than, asked, told
        longer_than = tier.up_to or 0


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


def _metered(row: PriceRow, tier: Tier, usage: Usage) -> list[tuple[str, int, Decimal]]:
    """Each kind of tokens that there are any of, and what a million of them cost."""
    plain, cached, written, audio, seen = _parted(row, usage)
    metered = []
    if plain:
        metered.append(("input_token", plain, tier.input))
    if cached:
        metered.append(("cached_token", cached, _cache_hit(row, tier) if _is_explicit(usage) else _cached(row, tier)))
    if written:
        metered.append(("cache_creation_token", written, _cache_write(row, tier)))
    if audio:
        metered.append(("audio_input_token", audio, row.audio_input or _NOTHING))
    if seen:
        metered.append(("image_input_token", seen, row.image_input or _NOTHING))
    sound = min(usage.output_audio_tokens, usage.output_tokens) if row.audio_output is not None else 0
    if sound and row.audio_output is not None:
        metered.append(("audio_output_token", sound, row.audio_output))
    if text := usage.output_tokens - sound:
        metered.append(_metered_text(row, tier, usage, text, beside_sound=sound > 0))
    return metered


def _parted(row: PriceRow, usage: Usage) -> tuple[int, int, int, int, int]:
    """Take the input apart: what is plain, was cached, written to a cache, heard and seen; the last two where they have a price."""
    asked, audio, seen = usage.input_tokens, 0, 0
    cached = min(usage.cached_tokens, asked)
    written = min(usage.cache_creation_tokens, asked - cached)
    plain = asked - cached - written
    # What a cache held may have been a picture or a sound: it is charged once, as what the cache held.
    if row.audio_input is not None:
        audio = min(usage.audio_tokens, plain)
        plain -= audio
    if row.image_input is not None:
        seen = min(usage.image_tokens + usage.video_tokens, plain)
        plain -= seen
    return plain, cached, written, audio, seen


def _metered_text(row: PriceRow, tier: Tier, usage: Usage, text: int, *, beside_sound: bool) -> tuple[str, int, Decimal]:
    if beside_sound:
        return "output_token", text, _NOTHING
    if usage.reasoning_tokens and tier.thinking is not None:
        return "thinking_output_token", text, tier.thinking
    if row.output_of_media is not None and (usage.audio_tokens or usage.image_tokens or usage.video_tokens):
        return "output_token", text, row.output_of_media
    return "output_token", text, tier.output


def _is_explicit(usage: Usage) -> bool:
    """Whether the row asked for the cache: the provider says so in the details, and the two modes exclude each other in a request."""
    details = (usage.raw or {}).get("prompt_tokens_details") or (usage.raw or {}).get("input_tokens_details")
    told = details.get("cache_type") if isinstance(details, dict) else None
    return usage.cache_creation_tokens > 0 or told == "ephemeral"
