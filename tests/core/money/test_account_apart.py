"""What calls cost, held against a slow account kept apart in fractions: whatever the prices are, and whatever the calls used."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.model import Usage
from batchrun.core.money.price_list import PriceRow, Tier
from batchrun.core.money.pricing import Discounts, Prices

FIRST = date(2026, 11, 1)
DAYS = st.integers(0, 3)
KNOWN = ("qwen-plus", "qwen3-omni-flash")
MODELS = st.sampled_from((*KNOWN, *KNOWN, "unknown"))
REGIONS = ("cn", "intl")
PRICE = st.integers(0, 100_000).map(lambda of: Decimal(of).scaleb(-3))
SHARE = st.integers(0, 1000).map(lambda of: Decimal(of).scaleb(-3))
TOKENS = st.sampled_from((0, 0, 100, 100, 37))
"""So that tiers are often met at their edge."""


@st.composite
def tables(draw: st.DrawFn) -> PriceRow:
    edges = sorted(draw(st.sets(st.sampled_from((100, 200, 337, 400)), max_size=2)))
    last = draw(st.booleans())
    tiers = tuple(
        Tier(edge, draw(PRICE), draw(PRICE), *(draw(st.none() | PRICE) for _ in range(4)))
        for edge in [*edges, *([None] if last or not edges else [])]
    )
    return PriceRow(
        draw(st.sampled_from(KNOWN)), draw(st.none() | st.sampled_from(REGIONS)), draw(st.sampled_from(("CNY", "USD"))),
        FIRST + timedelta(draw(DAYS)), tiers, "read by nobody", cached=draw(SHARE), cache_hit=draw(SHARE), cache_write=draw(SHARE),
        audio_input=draw(st.none() | PRICE), image_input=draw(st.none() | PRICE),
        output_of_media=draw(st.none() | PRICE), audio_output=draw(st.none() | PRICE),
    )  # fmt: skip


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """What a provider tells: parts of the input are parts of it, of the output of it; explicit caches say that they are."""
    cached, written, heard, seen, shown, plain = (draw(TOKENS) for _ in range(6))
    spoken, told = draw(TOKENS), draw(TOKENS)
    raw = draw(st.sampled_from([None, {}, {"prompt_tokens_details": {"cache_type": "ephemeral"}}]))
    return Usage(
        cached + written + heard + seen + shown + plain, spoken + told, cached, draw(st.integers(0, told)), raw,
        cache_creation_tokens=written, audio_tokens=heard, image_tokens=seen, video_tokens=shown, output_audio_tokens=spoken,
    )  # fmt: skip


def owed(tables: list[PriceRow], own: list[PriceRow], call: Any, shares: dict[str, Discounts]) -> tuple[str, Fraction] | None:
    """Currency and amount, by the rules that the price list and the provider's pages tell; None where nobody knows."""
    model, region, day, usage, account, batch = call
    known: PriceRow | None = None
    # Of one day the one that names the place goes before the one for everywhere.
    for table in (*sorted(tables, key=_since), *sorted(own, key=_since)):
        if table.model == model and table.since <= day and table.region in {None, region}:
            known = table
    tier = None if known is None else next((tier for tier in known.tiers if tier.up_to is None or usage.input_tokens <= tier.up_to), None)
    if known is None or tier is None:
        return None
    explicit = usage.cache_creation_tokens or (usage.raw or {}).get("prompt_tokens_details")
    said, by_share = (tier.cache_hit, known.cache_hit) if explicit else (tier.cached, known.cached)
    fresh = Fraction(tier.input)
    if batch:
        found = kept = fresh
    else:
        found = Fraction(said) if said is not None else fresh * Fraction(by_share)
        kept = Fraction(tier.cache_write) if tier.cache_write is not None else fresh * Fraction(known.cache_write)
    media = usage.audio_tokens + usage.image_tokens + usage.video_tokens
    heard = fresh if known.audio_input is None else Fraction(known.audio_input)
    seen = fresh if known.image_input is None else Fraction(known.image_input)
    amount = usage.cached_tokens * found + usage.cache_creation_tokens * kept
    amount += usage.audio_tokens * heard + (usage.image_tokens + usage.video_tokens) * seen
    amount += (usage.input_tokens - usage.cached_tokens - usage.cache_creation_tokens - media) * fresh
    if known.audio_output is not None and usage.output_audio_tokens:
        # Of an answer that is spoken the text comes with the sound.
        amount += usage.output_audio_tokens * Fraction(known.audio_output)
    elif usage.reasoning_tokens and tier.thinking is not None:
        amount += usage.output_tokens * Fraction(tier.thinking)
    elif media and known.output_of_media is not None:
        amount += usage.output_tokens * Fraction(known.output_of_media)
    else:
        amount += usage.output_tokens * Fraction(tier.output)
    discount = shares[account].of(model) if account in shares else Decimal(0)
    return known.currency, amount * (1 - Fraction(discount)) * (Fraction(1, 2) if batch else 1) / 1_000_000


def _since(table: PriceRow) -> tuple[date, bool]:
    return table.since, table.region is not None


CALLS = st.tuples(
    MODELS, st.sampled_from(REGIONS), DAYS.map(lambda day: FIRST + timedelta(day)), usages(), st.sampled_from(("", "main")), st.booleans()
)


@given(
    st.lists(tables(), min_size=2, max_size=5),
    st.lists(tables(), max_size=1),
    st.lists(CALLS, min_size=4, max_size=8),
    SHARE,
    st.none() | SHARE,
)
def test_calls_cost_what_an_account_kept_apart_says_and_never_more_than_was_set_aside(listed, own, calls, share, of_model):
    shares = {"main": Discounts(share, None if of_model is None else {"qwen-plus": of_model})}
    prices = Prices(listed, shares, own=own)
    for call in calls:
        model, region, day, usage, account, batch = call
        expected = owed(listed, own, call, shares)
        cost = prices.cost(model, region, usage, day, account=account, batch=batch)
        assert (None if cost is None else (cost.currency, Fraction(cost.amount))) == expected
        bound = prices.most(model, region, usage.input_tokens, usage.output_tokens, day, account=account, batch=batch)
        if cost is None:
            continue
        assert bound is not None
        assert bound[0] == cost.currency
        assert bound[1] >= cost.amount
        assert sum(charge.tokens for charge in cost.charges) == usage.input_tokens + usage.output_tokens
        assert sum(Fraction(charge.amount) for charge in cost.charges) == Fraction(cost.amount)
        told = cost.money()
        assert told.charges is not None
        made_of = sum(tokens * Fraction(price) for _, tokens, price in told.charges.meters) / 1_000_000
        assert made_of * (1 - Fraction(told.charges.discount)) == Fraction(told.amount)
