"""LiteLLM's table as an independent witness of the shipped prices: what it says otherwise is listed here, with the reason."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.money.litellm_prices import differences, taken
from batchrun.core.money.price_list import Tier, shipped
from batchrun.core.money.pricing import standard_prices

DAY = date(2026, 11, 24)
TABLE = json.loads((Path(__file__).parent / "litellm_prices.json").read_bytes())
"""Some entries of the table as version 1.110.2 of LiteLLM carries it, shortened to what they cost."""

SHARE = "the provider's share is the rule, with exceptions"
KNOWN = {
    ("qwen-plus", "tiers", "any", "256,000, 1,000,000", "one of the two was read before tiers were added or joined"),
    ("qwen-plus", "price: thinking", "none", "4", "the table names none"),
    ("qwen3-max", "tier 3: input up to", "252,000", "256,000", "another reading, of another day"),
    ("qwen3.8-flash", "price: cached input", "0.016", "0.03", SHARE),
    ("qwen3.8-flash", "price: explicit cache writes", "0.2", "0.1875", SHARE),
}


def rows_of(table):
    rows, left = taken(table, DAY, "a table")
    return {row.model: row for row in rows}, {each.model: each.why for each in left}


def test_it_agrees_with_the_shipped_dollars_but_for_what_is_listed():
    rows, _ = rows_of(TABLE)
    assert {tuple(vars_of(each)) for each in differences([*rows.values()], standard_prices(), DAY)} == KNOWN
    both = rows.keys() & {row.model for row in shipped() if row.region == "intl"}
    assert both == {"qwen-flash", "qwen-max", "qwen-plus", "qwen-turbo", "qwen3-max", "qwen3-vl-plus", "qwen3.8-flash", "qwq-plus"}


def test_a_price_of_a_cache_that_is_what_the_rule_makes_of_the_input_is_no_difference():
    rule = {"cache_read_input_token_cost": 0.2, "explicit_cache_read_input_token_cost": 0.1, "cache_creation_input_token_cost": 1.25}
    entry = TABLE["dashscope/qwen-max"] | {
        name: share * TABLE["dashscope/qwen-max"]["input_cost_per_token"] for name, share in rule.items()
    }
    rows, _ = rows_of({"dashscope/qwen-max": entry})
    assert rows["qwen-max"].tiers[0].cached is not None
    assert [*differences([*rows.values()], standard_prices(), DAY)] == []


def vars_of(each):
    return (each.model, each.what, each.theirs, each.ours, each.why)


def test_tiers_reasoning_caches_and_aliases_are_taken():
    rows, _ = rows_of(TABLE)
    assert rows["qwen-plus-2025-07-28"].tiers == (
        Tier(256_000, Decimal("0.4"), Decimal("1.2"), Decimal(4)),
        Tier(1_000_000, Decimal("1.2"), Decimal("3.6"), Decimal(12)),
    )
    cached = Tier(None, Decimal("2.5"), Decimal("7.5"), None, Decimal("0.5"), Decimal("0.25"), Decimal("3.125"))
    assert rows["qwen3.7-max"].tiers == (cached,)
    assert rows["qwen-max-latest"].tiers == rows[TABLE["dashscope/qwen-max-latest"]["alias_of"].removeprefix("dashscope/")].tiers
    assert {(row.region, row.currency, row.sure) for row in rows.values()} == {("intl", "USD", False)}
    assert "gpt-x" not in rows


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"mode": "image_generation"}, "it is no chat model: image_generation"),
        ({}, "it is no chat model: nothing is told of it"),
        (7, "it is no chat model: nothing is told of it"),
        ({"alias_of": "dashscope/none"}, "it is no chat model: nothing is told of it"),
        ({"alias_of": ["dashscope/x"]}, "it is no chat model: nothing is told of it"),
        ({"mode": "chat"}, "no price for input and output tokens stands there, or it can not be read"),
        ({"mode": "chat", "input_cost_per_token": "x", "output_cost_per_token": 1}, "no price for input"),
        ({"mode": "chat", "input_cost_per_token": -1, "output_cost_per_token": 1}, "no price for input"),
        ({"mode": ["chat"]}, "it is no chat model: nothing is told of it"),
        ({"mode": {"chat": 1}}, "it is no chat model: nothing is told of it"),
        ({"mode": "chat", "input_cost_per_token": 1e300, "output_cost_per_token": 1}, "no price for input"),
        ({"mode": "chat", "input_cost_per_token": 1, "output_cost_per_token": "nan"}, "no price for input"),
        ({"mode": "chat", "tiered_pricing": [{"range": [0]}]}, "no price for input"),
        ({"mode": "chat", "tiered_pricing": [7]}, "no price for input"),
        (
            {"mode": "chat", "tiered_pricing": [{"range": [0, 0.5], "input_cost_per_token": 1, "output_cost_per_token": 1}]},
            "no price for input",
        ),
        (
            {"mode": "chat", "tiered_pricing": [{"range": [0, n], "input_cost_per_token": 1, "output_cost_per_token": 1} for n in (2, 1)]},
            "order",
        ),
    ],
)
def test_an_entry_without_a_price_of_tokens_is_left_with_its_reason(entry, why):
    rows, left = rows_of({"dashscope/x": entry})
    assert rows == {}
    assert why in left["x"]


@given(st.decimals(0, 1000, places=6, allow_nan=False))
def test_a_price_a_token_becomes_the_price_of_a_million_exactly(price):
    entry = {"mode": "chat", "input_cost_per_token": float(price / 1_000_000), "output_cost_per_token": 0}
    rows, _ = rows_of({"dashscope/x": entry})
    assert rows["x"].tiers[0].input == price
