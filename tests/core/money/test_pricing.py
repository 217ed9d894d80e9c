"""Usage to money: each tier's edges, thinking, caches, sounds and images, discounts; and what no price knows."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.jobs.endpoints import endpoint_of
from batchrun.core.model import Usage
from batchrun.core.money.bill import INPUT_KINDS
from batchrun.core.money.daybook import tokens_by_kind
from batchrun.core.money.price_list import PriceRow, Tier, shipped
from batchrun.core.money.pricing import Discounts, Prices, region_of, standard_prices
from batchrun.core.protocols.usage import usage_of

DAY = date(2026, 11, 24)
ROWS = shipped()
EDGES = [
    (row, place, tokens)
    for row in ROWS
    for place, tier in enumerate(row.tiers)
    if tier.up_to is not None
    for tokens in (tier.up_to - 1, tier.up_to, tier.up_to + 1)
]
EXPLICIT = {"prompt_tokens_details": {"cache_type": "ephemeral"}}
CHINESE = sorted({row.model for row in ROWS if row.region == "cn"})
COUNTS = st.integers(0, 300_000)


@st.composite
def usages(draw):
    asked, told = draw(COUNTS), draw(COUNTS)
    cached = draw(st.integers(0, asked))
    written = draw(st.integers(0, asked - cached))
    heard = draw(st.integers(0, asked - cached - written))
    seen = draw(st.integers(0, asked - cached - written - heard))
    watched = draw(st.integers(0, asked - cached - written - heard - seen))
    return Usage(
        asked,
        told,
        cached,
        draw(st.integers(0, told)),
        None,
        cache_creation_tokens=written,
        audio_tokens=heard,
        image_tokens=seen,
        video_tokens=watched,
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
        ("qwen-plus", Usage(128_000, 1_000_000), "2.1024"),
        ("qwen-plus", Usage(128_001, 1_000_000), "20.3072024"),
        ("qwen-plus", Usage(1_000, 1_000, reasoning_tokens=1), "0.0088"),
        ("qwen-plus", Usage(1_000, 1_000, uncounted_reasoning=True), "0.0088"),
        ("qwen-turbo", Usage(0, 1_000_000, reasoning_tokens=5), "3"),
        ("qwen-max", Usage(1_000_000, 1_000_000, reasoning_tokens=9), "12"),
        ("qwen-long", Usage(1_000_000, 0, cached_tokens=1_000_000), "0.1"),
        ("qwen-long", Usage(1_000_000, 0, cache_creation_tokens=1_000_000), "0.625"),
        ("qwen-long", Usage(1_000_000, 0, 1_000_000, raw=EXPLICIT), "0.05"),
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
    found = standard_prices().cost(row.model, row.region, Usage(tokens, 7), row.since)
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


@given(usages(), st.sampled_from(CHINESE))
def test_every_token_is_charged_once(usage, model):
    found = standard_prices().cost(model, "cn", usage, DAY)
    if found is not None:
        assert sum(charge.tokens for charge in found.charges) == usage.input_tokens + usage.output_tokens
        assert found.amount == sum(charge.amount for charge in found.charges)
        assert found.saved >= 0


@given(usages())
def test_what_an_input_is_priced_by_where_all_its_kinds_have_a_price_is_what_a_bill_is_held_against(usage):
    found = cost("qwen3-omni-flash", usage)
    counted = {kind: tokens for kind, tokens in tokens_by_kind(usage) if tokens and kind in INPUT_KINDS}
    assert {charge.meter: charge.tokens for charge in found.charges if charge.meter in INPUT_KINDS} == counted


@given(usages(), usages(), st.sampled_from(CHINESE))
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


DISCOUNTS = {
    "main": Discounts(Decimal("0.1"), {"qwen-max": Decimal("0.25"), "qwen-turbo": Decimal(0)}),
    "single": Discounts(models={"qwen-long": Decimal("0.5")}),
}


@pytest.mark.parametrize(
    ("model", "account", "share"),
    [
        ("qwen-max", "main", "0.25"),
        ("qwen-turbo", "main", "0"),
        ("qwen-long", "main", "0.1"),
        ("qwen-long", "single", "0.5"),
        ("qwen-max", "single", "0"),
        ("qwen-max", "another", "0"),
    ],
)
@pytest.mark.parametrize("batch", [False, True])
def test_a_discount_is_the_models_before_the_accounts_and_comes_off_every_kind(model, account, share, batch):
    prices = Prices(shipped(), DISCOUNTS)
    for usage in (
        Usage(1_000_000, 0),
        Usage(1000, 700, 300),
        Usage(1000, 1000, 0, 5, cache_creation_tokens=100),
        Usage(9, 9, 9, raw=EXPLICIT),
    ):
        found, plain = (each.cost(model, "cn", usage, DAY, account=account, batch=batch) for each in (prices, standard_prices()))
        assert found
        assert plain
        assert found.list_amount == plain.amount
        assert found.amount == plain.amount * (1 - Decimal(share))
        bound = prices.most(model, "cn", usage.input_tokens, usage.output_tokens, DAY, account=account, batch=batch)
        assert bound is not None
        assert found.amount <= bound[1]


@given(st.lists(usages(), max_size=12), st.sampled_from(CHINESE), st.randoms(use_true_random=False))
def test_the_cost_of_rows_is_the_sum_of_their_costs_in_whatever_order_and_as_often_as_it_is_made(rows, model, dice):
    prices = standard_prices()
    costs = [prices.cost(model, "cn", usage, DAY) for usage in rows]
    amount = sum((each.amount for each in costs if each), Decimal(0))
    order = [*range(len(rows))]
    dice.shuffle(order)
    again = [standard_prices().cost(model, "cn", rows[place], DAY) for place in order]
    assert sum((each.amount for each in again if each), Decimal(0)) == amount
    by_kind: dict[tuple[str, Decimal], int] = {}
    for each in costs:
        for charge in each.charges if each else ():
            by_kind[charge.meter, charge.unit_price] = by_kind.get((charge.meter, charge.unit_price), 0) + charge.tokens
    assert sum((tokens * price for (_, price), tokens in by_kind.items()), Decimal(0)) == amount * 1_000_000


def test_a_batch_call_costs_half():
    usage = Usage(1000, 1000)
    assert cost("qwen-plus", usage, batch=True).amount * 2 == cost("qwen-plus", usage).amount


@pytest.mark.parametrize(
    "cached", [Usage(1000, 1000, 500), Usage(1000, 1000, 500, raw=EXPLICIT), Usage(1000, 1000, cache_creation_tokens=500)]
)
def test_half_is_taken_off_in_a_batch_and_no_more_for_what_a_cache_held(cached):
    found, plain = cost("qwen-plus", cached, batch=True), cost("qwen-plus", Usage(1000, 1000), batch=True)
    assert (found.amount, found.saved) == (plain.amount, 0)


@pytest.mark.parametrize(
    "cached", [Usage(1000, 1000, 500), Usage(1000, 1000, 500, raw=EXPLICIT), Usage(1000, 1000, cache_creation_tokens=500)]
)
def test_in_a_batch_no_price_is_taken_that_a_job_names_for_what_a_cache_held(cached):
    tier = Tier(None, Decimal(1), Decimal(2), cached=Decimal("0.1"), cache_hit=Decimal("0.05"), cache_write=Decimal(3))
    prices = Prices([], own=[PriceRow("own", None, "CNY", date(2025, 1, 1), (tier,), "the job")])
    alone, found, plain = (
        prices.cost("own", "cn", usage, DAY, batch=batch) for usage, batch in ((cached, False), (cached, True), (Usage(1000, 1000), True))
    )
    assert alone is not None
    assert found is not None
    assert plain is not None
    assert (found.amount, found.saved) == (plain.amount, Decimal(0))
    assert alone.amount != 2 * plain.amount


@pytest.mark.parametrize("beside", [None, {}, {"cached_tokens": 900}, {"cached_tokens": 900, "cache_type": None}])
@pytest.mark.parametrize("places", [("prompt_tokens_details", "input_tokens_details"), ("input_tokens_details", "prompt_tokens_details")])
def test_a_cache_that_was_asked_for_is_priced_so_whichever_of_the_two_details_tells_of_it(beside, places):
    told, other = places
    usage = usage_of({"input_tokens": 1000, "output_tokens": 0, told: {"cached_tokens": 900, "cache_type": "ephemeral"}, other: beside})
    assert usage is not None
    assert cost("qwen-long", usage).amount == Decimal("0.000095"), "a tenth of 900 tokens at 0.5 CNY a million, and 100 of them in full"


@pytest.mark.parametrize("of_media", [Usage(1000, 0, 950, image_tokens=900), Usage(1000, 0, 950, audio_tokens=900)])
def test_what_a_cache_held_of_a_picture_or_a_sound_is_charged_once(of_media):
    found = cost("qwen3-omni-flash", of_media)
    assert sum(charge.tokens for charge in found.charges) == 1000
    assert {charge.meter: charge.tokens for charge in found.charges}["cached_token"] == 950


def test_a_price_holds_from_its_day_and_a_jobs_own_goes_before_the_shipped():
    row = PriceRow("qwen-plus", None, "CNY", date(2026, 12, 1), (Tier(None, Decimal(1), Decimal(1)),), "the job")
    later, usage = Prices([*shipped(), row]), Usage(1_000_000, 0)
    own = Prices(shipped(), own=[replace(row, since=date(2025, 1, 1))])
    asked = [(later, "cn", DAY), (later, "cn", date(2026, 12, 1)), (later, "finance", date(2027, 1, 1)), (own, "cn", DAY)]
    found = [each.cost("qwen-plus", region, usage, day) for each, region, day in asked]
    assert [each and each.amount for each in found] == [Decimal("4.8"), 1, 1, 1]
    assert later.cost("qwen-plus", "finance", usage, DAY) is None


@pytest.mark.parametrize("order", [1, -1])
def test_of_one_day_a_price_that_names_the_region_goes_before_one_that_holds_everywhere_whichever_stands_first(order):
    everywhere = PriceRow("own", None, "CNY", date(2026, 12, 1), (Tier(None, Decimal(5), Decimal(1)),), "the job")
    at_home = replace(everywhere, region="cn", tiers=(Tier(None, Decimal(3), Decimal(1)),))
    later = replace(everywhere, since=date(2026, 12, 8), tiers=(Tier(None, Decimal(9), Decimal(1)),))
    prices = Prices([], own=[everywhere, at_home, later][::order])
    asked = [("cn", date(2026, 12, 1)), ("intl", date(2026, 12, 1)), ("cn", date(2026, 12, 8))]
    found = [prices.cost("own", region, Usage(1_000_000, 0), day) for region, day in asked]
    assert [each and each.amount for each in found] == [3, 5, 9]


def test_the_dearest_price_is_that_of_any_place_in_the_currency_that_is_asked_for():
    def row(region: str | None, currency: str, asked: int, told: int) -> PriceRow:
        tier = Tier(None, Decimal(asked), Decimal(told))
        return PriceRow("own", region, currency, date(2025, 1, 1), (tier,), "the job", cache_write=Decimal(1))

    prices = Prices([row("cn", "CNY", 1, 100), row("us", "CNY", 3, 5), row("intl", "USD", 900, 900)])
    assert prices.dearest("own", "CNY", 1000, 10, DAY) == Decimal(3050) / 1_000_000
    assert prices.dearest("own", "CNY", 10, 1000, DAY) == Decimal(100_010) / 1_000_000
    assert prices.dearest("own", "USD", 10, 0, DAY) == Decimal(9000) / 1_000_000
    assert prices.dearest("own", "EUR", 10, 0, DAY) is None
    assert Prices([row(None, "CNY", 1, 1)]).dearest("own", "CNY", 10, 0, DAY) == Decimal(10) / 1_000_000


def test_a_price_that_is_to_come_is_that_of_its_own_region_and_none_where_one_holds():
    at_home = PriceRow("own", "cn", "CNY", date(2026, 12, 1), (Tier(None, Decimal(1), Decimal(1)),), "the job")
    prices = Prices([at_home, replace(at_home, since=date(2026, 12, 8))])
    asked = [("cn", DAY), ("cn", date(2026, 12, 1)), ("intl", DAY)]
    assert [prices.begins("own", region, day) for region, day in asked] == [date(2026, 12, 1), None, None]


@pytest.mark.parametrize(("tokens", "input_price", "output_price"), [(1000, 1, 2), (1001, 3, 4), (2000, 3, 4), (2001, 5, 6), (9000, 5, 6)])
def test_what_a_call_may_cost_is_by_the_tier_of_its_own_length_and_by_no_longer_one(tokens, input_price, output_price):
    tiers = [Tier(up_to, Decimal(asked), Decimal(told)) for up_to, asked, told in ((1000, 1, 2), (2000, 3, 4), (None, 5, 6))]
    prices = Prices([PriceRow("own", None, "CNY", date(2025, 1, 1), (*tiers,), "the job", cache_write=Decimal(1))])
    assert prices.most("own", "x", tokens, 10, DAY) == ("CNY", Decimal(tokens * input_price + 10 * output_price) / 1_000_000)


@pytest.mark.parametrize(
    ("model", "day", "amounts"),
    [
        ("qwen-max", date(2024, 12, 1), ("20", "60")),
        ("qwen-max", date(2025, 3, 1), ("2.4", "9.6")),
        ("qwen-max", DAY, ("2.4", "9.6")),
        ("qwen-plus", date(2025, 3, 31), ("0.8", "2")),
        ("qwen-plus", date(2026, 3, 31), ("0.8", "2")),
        ("qwen-plus", date(2026, 4, 1), ("4.8", "48")),
        ("qwen-turbo", date(2025, 3, 31), ("0.3", "0.6")),
        ("qwen3-max", date(2026, 3, 31), None),
    ],
)
def test_an_old_run_is_priced_by_its_day(model, day, amounts):
    """Of a million tokens each way: the tiers came after the spring of 2025."""
    found = [standard_prices().cost(model, "cn", usage, day) for usage in (Usage(1_000_000, 0), Usage(1_000_000, 1_000_000))]
    if amounts is None:
        assert found == [None, None]
        return
    told = [each.amount for each in found if each]
    assert (told[0], told[1] - told[0]) == tuple(map(Decimal, amounts))


def test_a_tier_may_name_what_its_caches_cost():
    tier = Tier(None, Decimal(3), Decimal(9), cached=Decimal("0.7"), cache_hit=Decimal("0.4"), cache_write=Decimal(5))
    prices = Prices([], own=[PriceRow("own", None, "CNY", date(2025, 1, 1), (tier,), "the job")])
    usages = (
        Usage(1_000_000, 0, 1_000_000),
        Usage(1_000_000, 0, 1_000_000, raw=EXPLICIT),
        Usage(1_000_000, 0, cache_creation_tokens=1_000_000),
    )
    found = [prices.cost("own", "x", usage, DAY) for usage in usages]
    assert [each and each.amount for each in found] == [Decimal("0.7"), Decimal("0.4"), 5]
    assert prices.most("own", "x", 1_000_000, 0, DAY) == ("CNY", Decimal(5))


@given(st.lists(usages(), max_size=12), st.sampled_from(CHINESE))
def test_a_call_that_is_asked_about_several_times_is_reckoned_once_and_none_is_taken_for_another(rows, model):
    tariff = standard_prices().tariff(model, "cn", DAY, "", False)
    assert tariff is not None
    for usage in [*rows, *rows]:
        found, plain = tariff.money(usage), standard_prices().cost(model, "cn", usage, DAY)
        assert found == (plain and plain.money())
        assert found is tariff.money(usage)


def test_before_the_first_day_nothing_is_known():
    assert standard_prices().cost("qwen-plus", "cn", Usage(1, 1), date(2024, 1, 1)) is None


def test_what_a_cache_saved_is_told():
    found = cost("qwen-long", Usage(1_000_000, 0, cached_tokens=500_000))
    assert (found.amount, found.saved) == (Decimal("0.3"), Decimal("0.2"))


@given(st.sampled_from(["qwen-plus", "qwen3-omni-flash"]), st.builds(Usage, *[COUNTS] * 4, st.none(), *[COUNTS] * 5), st.booleans())
def test_whatever_the_parts_of_an_input_are_said_to_be_they_are_charged_as_the_input_and_none_as_less_than_nothing(model, usage, batch):
    charges = cost(model, usage, batch=batch).charges
    assert all(charge.tokens > 0 for charge in charges)
    assert sum(charge.tokens for charge in charges if "output" not in charge.meter) == usage.input_tokens


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
        ("https://DashScope.aliyuncs.com:443/compatible-mode/v1", "cn"),
        ("https://llm-1a2b3c.cn-beijing.maas.aliyuncs.com", "cn"),
        ("https://ws-1a2b3c.ap-southeast-1.maas.aliyuncs.com/compatible-mode/v1", "intl"),
        ("https://ws-1a2b3c.us-east-1.maas.aliyuncs.com", "us"),
        ("https://ws-1a2b3c.eu-central-1.maas.aliyuncs.com", "eu-central-1"),
        ("https://vpc-cn-beijing.dashscope.aliyuncs.com/compatible-mode/v1", "cn"),
        ("https://vpc-ap-southeast-1.dashscope.aliyuncs.com", "intl"),
        ("http://ep-1a2b3c.dashscope.cn-beijing.privatelink.aliyuncs.com/api/v1", "cn"),
        ("http://ep-1a2b3c.dashscope.cn-shanghai-finance-1.privatelink.aliyuncs.com", "finance"),
        ("https://trial.cn-beijing.maas.aliyuncs.com",) * 2,
        ("https://token-plan.ap-southeast-1.maas.aliyuncs.com/compatible-mode/v1",) * 2,
        ("https://llm-1a2b3c.cn-beijing.maas.aliyuncs.com.example/v1",) * 2,
    ],
)
def test_where_an_endpoint_is_priced(endpoint, region):
    assert region_of(endpoint_of(endpoint, {})) == region
