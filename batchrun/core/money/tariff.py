"""What a call cost, at the prices of one day. Exact: nothing is rounded before it is shown.

A tier is chosen by the request's whole input and holds for all of it. Details itemise a total: what was cached, written to a cache, heard
or seen is taken out of the input before the rest is priced as plain input, and nothing twice. An answer that reasoned is priced as thinking
as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from operator import attrgetter

from batchrun.core.classes import value
from batchrun.core.model import Charges, Money, Usage
from batchrun.core.money.price_list import PriceRow, Tier

_MILLION = Decimal(1_000_000)
_BATCH = Decimal("0.5")
_NOTHING = Decimal(0)
_WHOLE = Decimal(1)
_details = attrgetter(
    "cached_tokens", "reasoning_tokens", "cache_creation_tokens", "image_tokens", "audio_tokens", "video_tokens", "output_audio_tokens",
    "uncounted_reasoning",
)  # fmt: skip
_NO_DETAILS = (0, 0, 0, 0, 0, 0, 0, False)
"""Of nearly all calls: nothing itemises what they used."""


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
        amount, paid = _NOTHING, _WHOLE - self.discount
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


class Tariff:
    """What the calls of one account cost for one model in one place, at the prices of one day."""

    def __init__(self, row: PriceRow, discount: Decimal, *, batch: bool) -> None:
        self._at_the_most = [*_at_the_most(row)]
        # Half is taken off, and no more for what a cache held: the provider's pages on Batch and on its cache.
        self._row = row = _in_share(_without_caches(row), _BATCH) if batch else row
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
                meters = tuple(_metered(row, tier, usage))
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
        return (cached_tokens * tier.input / _MILLION - cached) * (1 - self._discount)


def _without_caches(row: PriceRow) -> PriceRow:
    """The same prices where what a cache held is plain input."""
    tiers = tuple(replace(tier, cached=None, cache_hit=None, cache_write=None) for tier in row.tiers)
    return replace(row, tiers=tiers, cached=_WHOLE, cache_hit=_WHOLE, cache_write=_WHOLE)


def _in_share(row: PriceRow, share: Decimal) -> PriceRow:
    """The same prices, each of them a *share* of what it is: once, and not for each call."""

    def part(price: Decimal | None) -> Decimal | None:
        return None if price is None else price * share

    tiers = tuple(
        replace(
            tier, input=tier.input * share, output=tier.output * share, thinking=part(tier.thinking),
            cached=part(tier.cached), cache_hit=part(tier.cache_hit), cache_write=part(tier.cache_write),
        )
        for tier in row.tiers
    )  # fmt: skip
    return replace(
        row, tiers=tiers, audio_input=part(row.audio_input), image_input=part(row.image_input),
        output_of_media=part(row.output_of_media), audio_output=part(row.audio_output),
    )  # fmt: skip


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
    asked, told = usage.input_tokens, usage.output_tokens
    if asked and told and _details(usage) == _NO_DETAILS:
        return [("input_token", asked, tier.input), ("output_token", told, tier.output)]
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
    sound = min(usage.output_audio_tokens, told) if row.audio_output is not None else 0
    if sound and row.audio_output is not None:
        metered.append(("audio_output_token", sound, row.audio_output))
    if text := told - sound:
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
    if usage.reasoned and tier.thinking is not None:
        return "thinking_output_token", text, tier.thinking
    if row.output_of_media is not None and (usage.audio_tokens or usage.image_tokens or usage.video_tokens):
        return "output_token", text, row.output_of_media
    return "output_token", text, tier.output


def _is_explicit(usage: Usage) -> bool:
    """Whether the row asked for the cache: the provider says so in the details, and the two modes exclude each other in a request."""
    raw = usage.raw or {}
    told = (raw.get("prompt_tokens_details"), raw.get("input_tokens_details"))
    return usage.cache_creation_tokens > 0 or any(isinstance(each, dict) and each.get("cache_type") == "ephemeral" for each in told)
