"""Usage to money: each tier's edges, thinking, caches, sounds and images, discounts; and what no price knows."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.endpoints import endpoint_of
from batchrun.core.model import Usage
from batchrun.core.price_list import PriceRow, Tier, shipped
from batchrun.core.pricing import Discounts, Prices, region_of, standard_prices

DAY = date(2026, 11, 24)
ROWS = shipped()
EDGES = [
    (row, place, tokens)
    for row in ROWS
    for place, tier in enumerate(row.tiers)
    if tier.up_to is not None
    for tokens in (tier.up_to - 1, tier.up_to, tier.up_to + 1)
]
COUNTS = st.integers(0, 300_000)


@st.composite
def usages(draw):
    asked, told = draw(COUNTS), draw(COUNTS)
    cached = draw(st.integers(0, asked))
    written = draw(st.integers(0, asked - cached))
    heard = draw(st.integers(0, asked - cached - written))
    seen = draw(st.integers(0, asked - cached - written - heard))
    return Usage(
        asked,
        told,
        cached,
        draw(st.integers(0, told)),
        None,
        cache_creation_tokens=written,
        audio_tokens=heard,
        image_tokens=seen,
        output_audio_tokens=draw(st.integers(0, told)),
    )


def cost(model, usage, *, region="cn", **changed):
    found = standard_prices().cost(model, region, usage, DAY, **changed)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("model", "usage", "amount"),
    [
        ("qwen-plus", Usage(1_000_000, 0), "4.8"),
        ("qwen-plus", Usage(131_072, 1_000_000), "2.1048576"),
        ("qwen-plus", Usage(131_073, 1_000_000), "20.3145752"),
        ("qwen-plus", Usage(1_000, 1_000, reasoning_tokens=1), "0.0088"),
        ("qwen-turbo", Usage(0, 1_000_000, reasoning_tokens=5), "3"),
        ("qwen-max", Usage(1_000_000, 1_000_000, reasoning_tokens=9), "12"),
        ("qwen-long", Usage(1_000_000, 0, cached_tokens=1_000_000), "0.1"),
        ("qwen-long", Usage(1_000_000, 0, cache_creation_tokens=1_000_000), "0.625"),
        ("qwen-long", Usage(1_000_000, 0, 1_000_000, raw={"prompt_tokens_details": {"cache_type": "ephemeral"}}), "0.05"),
        ("qwen-omni-turbo", Usage(1_000_000, 0, audio_tokens=500_000, image_tokens=250_000), "12.975"),
        ("qwen-omni-turbo", Usage(10, 1_000_000, image_tokens=10), "4.500015"),
        ("qwen-omni-turbo", Usage(0, 1_000_000, output_audio_tokens=600_000), "30"),
        ("qwen3-vl-plus", Usage(1_000_000, 0), None),
        ("qwen-plus-2025-07-28", Usage(1, 1), None),
    ],
)
def test_what_calls_cost_in_china(model, usage, amount):
    found = standard_prices().cost(model, "cn", usage, DAY)
    assert (None if found is None else found.amount) == (None if amount is None else Decimal(amount))


@pytest.mark.parametrize(("row", "place", "tokens"), EDGES, ids=lambda value: getattr(value, "model", str(value)))
def test_a_tier_takes_in_the_whole_request_up_to_its_last_token(row, place, tokens):
    inside = tokens <= row.tiers[place].up_to
    found = standard_prices().cost(row.model, row.region, Usage(tokens, 7), DAY)
    if not inside and place + 1 == len(row.tiers):
        assert found is None
        return
    tier = row.tiers[place if inside else place + 1]
    assert found is not None
    assert found.amount == (tokens * tier.input + 7 * tier.output) / 1_000_000


def test_the_shipped_rows_are_in_order_and_named_once_a_day():
    assert len({(row.model, row.region, row.since) for row in ROWS}) == len(ROWS)
    for row in ROWS:
        tops = [tier.up_to for tier in row.tiers[:-1] if tier.up_to is not None]
        assert len(tops) == len(row.tiers) - 1
        assert tops == sorted(tops)
        assert row.source


@given(usages(), st.sampled_from([row.model for row in ROWS]))
def test_every_token_is_charged_once(usage, model):
    found = standard_prices().cost(model, "cn", usage, DAY)
    if found is not None:
        assert sum(charge.tokens for charge in found.charges) == usage.input_tokens + usage.output_tokens
        assert found.amount == sum(charge.amount for charge in found.charges)
        assert found.saved >= 0


@given(usages(), usages(), st.sampled_from([row.model for row in ROWS]))
def test_cost_is_additive_over_calls_of_one_tier_and_the_same_each_time(one, other, model):
    row = standard_prices().row(model, "cn", DAY)
    assert row is not None
    flat = replace(row, tiers=(Tier(None, Decimal("0.3"), Decimal("0.6"), Decimal(3)),))
    prices = Prices([flat])
    found = [prices.cost(model, "cn", usage, DAY) for usage in (one, other, one)]
    assert found[0] == found[2]
    both = sum(each.amount for each in found[:2] if each)
    charged = sum(charge.tokens * charge.unit_price for each in found[:2] if each for charge in each.charges) / 1_000_000
    assert both == charged


@given(usages(), st.sampled_from(ROWS), st.integers(0, 5000), st.integers(0, 5000), st.booleans())
def test_no_call_costs_more_than_its_bound(usage, row, more_input, more_output, batch):
    prices = standard_prices()
    found = prices.cost(row.model, row.region, usage, DAY, batch=batch)
    bound = prices.most(row.model, row.region, usage.input_tokens + more_input, usage.output_tokens + more_output, DAY, batch=batch)
    assert bound is not None
    if found is not None:
        assert (found.currency, found.amount <= bound[1]) == (bound[0], True)


def test_discounts_are_the_accounts_or_the_models():
    discounts = {"main": Discounts(Decimal("0.1"), {"qwen-max": Decimal("0.25")})}
    prices = Prices(shipped(), discounts)
    usage = Usage(1_000_000, 0)
    found = [
        prices.cost(model, "cn", usage, DAY, account=account)
        for model, account in (("qwen-max", "main"), ("qwen-long", "main"), ("qwen-long", "x"))
    ]
    assert [each and (each.amount, each.list_amount) for each in found] == [
        (Decimal("1.8"), Decimal("2.4")),
        (Decimal("0.45"), Decimal("0.5")),
        (Decimal("0.5"), Decimal("0.5")),
    ]


def test_a_batch_call_costs_half():
    usage = Usage(1000, 1000, cached_tokens=500)
    assert cost("qwen-plus", usage, batch=True).amount * 2 == cost("qwen-plus", usage).amount


def test_a_price_holds_from_its_day_and_a_jobs_own_goes_before_the_shipped():
    row = PriceRow("qwen-plus", None, "CNY", date(2026, 12, 1), (Tier(None, Decimal(1), Decimal(1)),), "the job")
    prices = Prices([*shipped(), row])
    usage = Usage(1_000_000, 0)
    same_day = Prices([*shipped(), replace(row, since=shipped()[0].since)])
    asked = [(prices, "cn", DAY), (prices, "cn", date(2026, 12, 1)), (prices, "finance", date(2027, 1, 1)), (same_day, "cn", DAY)]
    found = [each.cost("qwen-plus", region, usage, day) for each, region, day in asked]
    assert [each and each.amount for each in found] == [Decimal("4.8"), 1, 1, 1]
    assert prices.cost("qwen-plus", "finance", usage, DAY) is None


def test_before_the_first_day_nothing_is_known():
    assert standard_prices().cost("qwen-plus", "cn", Usage(1, 1), date(2024, 1, 1)) is None


def test_what_a_cache_saved_is_told():
    found = cost("qwen-long", Usage(1_000_000, 0, cached_tokens=500_000))
    assert (found.amount, found.saved) == (Decimal("0.3"), Decimal("0.2"))


@pytest.mark.parametrize(
    ("endpoint", "region"),
    [
        ("public", "cn"),
        ("batch", "cn"),
        ("simulator", "cn"),
        ("intl", "intl"),
        ("finance", "finance"),
        ("us", "us"),
        ("https://dashscope.aliyuncs.com/compatible-mode/v1", "cn"),
        ("https://dashscope-finance.aliyuncs.com/compatible-mode/v1", "finance"),
        ("https://dashscope.aliyuncs.com.example/compatible-mode/v1",) * 2,
        ("https://x.example/v1",) * 2,
    ],
)
def test_where_an_endpoint_is_priced(endpoint, region):
    assert region_of(endpoint_of(endpoint, {})) == region
