"""Charges as FOCUS has them: every column as the specification demands, and sums equal to the statement to the last digit."""

from __future__ import annotations

import csv
from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchrun.core.ledger.attribution import Attribution, Key
from batchrun.core.ledger.focus import COLUMNS, Focus, Place
from batchrun.core.ledger.totals import Meter, Totals
from batchrun.core.model import Charges, Money, Usage
from batchrun.core.money.bill import read_instance
from batchrun.core.money.price_list import shipped
from batchrun.core.money.pricing import Discounts, Prices, standard_prices
from batchrun.edge.table_file import write_csv
from tests.core.ledger.test_attribution import BERLIN, BY, ROWS, SHANGHAI, World
from tests.focus_spec import violations

PLACES = {
    "sales": Place("main", "public", region=("cn-beijing", "China (Beijing)")),
    "法务": Place("法务", "http://llm.example/v1", provider="http://llm.example/v1"),
}
DAYS = ("workspace", "model", "day")


def written(focus: Focus, tmp_path):
    """Rows as they come back from a CSV file."""
    with (tmp_path / "focus.csv").open("wb") as file:
        write_csv(file, list(COLUMNS), focus.rows())
    with (tmp_path / "focus.csv").open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        rows = [{name: value or None for name, value in row.items()} for row in reader]
        return list(reader.fieldnames or ()), rows


def charged(attribution: Attribution, **ids) -> Focus:
    focus = Focus(ids)
    focus.add(attribution, PLACES)
    return focus


def cost_by(rows, *names):
    sums: dict[tuple[str, ...], Decimal] = defaultdict(Decimal)
    for row in rows:
        sums[tuple(row[name] for name in names)] += Decimal(row["BilledCost"])
    return dict(sums)


@pytest.mark.parametrize("by", [DAYS, ("workspace", "model", "hour"), BY], ids=["days", "hours", "hours and tags"])
@given(rows=ROWS)
@settings(deadline=None, max_examples=25)
def test_every_column_is_as_the_specification_demands_and_the_rows_add_up_to_the_statement(tmp_path_factory, by, rows):
    statement = World(rows).fold()
    focus = charged(statement.by(by))
    heading, found = written(focus, tmp_path_factory.mktemp("focus"))
    assert violations(heading, found) == []
    for workspace in ("sales", "法务"):
        for model in ("qwen-plus", "qwen-max"):
            stated = statement.lane(workspace, model).cost.get("CNY", 0)
            assert cost_by(found, "SubAccountName", "ResourceName").get((workspace, model), 0) == stated
    total = statement.total()
    assert (focus.unpriced_calls, focus.unpriced_tokens) == (total.unpriced_calls, total.unpriced_tokens)
    assert sum(Decimal(row["ConsumedQuantity"] or 0) for row in found) == total.input_tokens + total.output_tokens - total.unpriced_tokens


USAGES = st.builds(Usage, st.integers(0, 1_200_000), st.integers(0, 30_000), st.integers(0, 1000), st.integers(0, 1000))


@given(st.sampled_from(standard_prices().models()), st.lists(USAGES, max_size=6), st.decimals(0, "0.9", places=4), st.booleans())
@settings(deadline=None, max_examples=60)
def test_every_shipped_price_tier_and_discount_stands_in_rows_that_add_up(tmp_path_factory, model, usages, discount, batch):
    prices = Prices(shipped(), {"main": Discounts(discount)})
    totals, paid = Totals(), Decimal(0)
    for usage in usages:
        cost = prices.cost(model, "cn", usage, datetime(2026, 11, 25, tzinfo=UTC).date(), account="main", batch=batch)
        totals.add_usage(usage, cost.money() if cost else None)
        paid += cost.amount if cost else 0
    focus = charged(Attribution(DAYS, "Asia/Shanghai", {("sales", model, "2026-11-25"): totals}))
    heading, rows = written(focus, tmp_path_factory.mktemp("focus"))
    assert violations(heading, rows) == []
    assert sum(Decimal(row["BilledCost"] or 0) for row in rows) == paid
    assert {row["ChargeCategory"] for row in rows} <= {"Usage"}
    listed = sum(Decimal(row["ListCost"] or 0) for row in rows)
    assert listed * (1 - discount) == paid


# One row


def one_charge(tmp_path, charges: Charges | None, amount, *, label="2026-11-25", by=DAYS, zone="Asia/Shanghai", **ids):
    totals = Totals()
    totals.add_usage(Usage(300, 40), Money("CNY", Decimal(amount), charges))
    found = written(charged(Attribution(by, zone, {("sales", "qwen-plus", label): totals}), **ids), tmp_path)
    assert violations(*found) == []
    return found[1]


def test_a_discount_and_a_batch_stand_in_prices_costs_and_sku(tmp_path):
    charges = Charges((("input_token", 300, Decimal("0.4")),), Decimal("0.25"), Decimal("0.5"))
    (row,) = one_charge(tmp_path, charges, "0.00009")
    assert (row["ListUnitPrice"], row["ContractedUnitPrice"], row["PricingQuantity"]) == ("0.4", "0.3", "0.0003")
    assert [Decimal(row[name] or 0) for name in ("ListCost", "ContractedCost", "EffectiveCost", "BilledCost")] == [
        Decimal("0.00012"),
        *[Decimal("0.00009")] * 3,
    ]
    assert (row["ConsumedQuantity"], row["ConsumedUnit"], row["PricingUnit"]) == ("300.0", "Tokens", "1000000 Tokens")
    assert row["SkuId"] == "cn-beijing/qwen-plus/input_token/batch"
    assert (row["BillingAccountId"], row["RegionId"], row["ProviderName"]) == ("main", "cn-beijing", "Alibaba Cloud")


def test_the_instance_id_has_the_providers_shape_and_is_read_as_such(tmp_path):
    charges = Charges((("cached_token", 300, Decimal("0.16")),))
    (row,) = one_charge(tmp_path, charges, "0.000048", sales="llm-7x")
    assert read_instance(row["x_AliyunInstanceId"] or "") == ("llm-7x", "qwen-plus", "cached_token", "")
    assert (row["SubAccountId"], row["SubAccountName"]) == ("llm-7x", "sales")


WHO = {
    "BillingAccountId": "main",
    "BillingAccountName": "main",
    "SubAccountId": "llm-7x",
    "SubAccountName": "sales",
    "SubAccountType": "Workspace",
    "BillingCurrency": "CNY",
    "BillingPeriodStart": "2026-10-31T16:00:00Z",
    "BillingPeriodEnd": "2026-11-30T16:00:00Z",
    "ChargePeriodStart": "2026-11-24T16:00:00Z",
    "ChargePeriodEnd": "2026-11-25T16:00:00Z",
    "ChargeFrequency": "Usage-Based",
    "RegionId": "cn-beijing",
    "RegionName": "China (Beijing)",
    "x_Endpoint": "public",
    **dict.fromkeys(("InvoiceIssuerName", "ProviderName", "PublisherName"), "Alibaba Cloud"),
    "ResourceId": "llm-7x/qwen-plus",
    "ResourceName": "qwen-plus",
    "ResourceType": "Model",
    "ServiceCategory": "AI and Machine Learning",
    "ServiceSubcategory": "Generative AI",
    "ServiceName": "Model Studio",
}
"""What every row of a charge tells of whose it is."""


def test_a_charge_tells_all_of_this_and_nothing_else(tmp_path):
    charges = Charges((("input_token", 300, Decimal("0.4")),), Decimal("0.25"), Decimal("0.5"))
    (row,) = one_charge(tmp_path, charges, "0.00009", sales="llm-7x")
    assert {name: value for name, value in row.items() if value is not None} == WHO | {
        **dict.fromkeys(("BilledCost", "ContractedCost", "EffectiveCost"), "0.00009"),
        "ListCost": "0.00012",
        "ListUnitPrice": "0.4",
        "ContractedUnitPrice": "0.3",
        "ChargeCategory": "Usage",
        "ChargeDescription": "qwen-plus input_token in a batch at 0.4 CNY a million",
        "ConsumedQuantity": "300.0",
        "ConsumedUnit": "Tokens",
        "PricingCategory": "Standard",
        "PricingQuantity": "0.0003",
        "PricingUnit": "1000000 Tokens",
        "SkuId": "cn-beijing/qwen-plus/input_token/batch",
        "SkuMeter": "input_token",
        "SkuPriceId": "cn-beijing/qwen-plus/input_token/batch@0.4 CNY",
        "SkuPriceDetails": '{"x_TokenType":"input_token","x_Batch":true}',
        "x_AliyunInstanceId": ";llm-7x;qwen-plus;input_token;app",
        "x_Discount": "0.25",
        "x_Tokens": "300.0",
    }
    (row,) = one_charge(tmp_path, None, "0.00009", sales="llm-7x")
    assert {name: value for name, value in row.items() if value is not None} == WHO | {
        **dict.fromkeys(("BilledCost", "ContractedCost", "EffectiveCost", "ListCost"), "0.00009"),
        "ChargeCategory": "Adjustment",
        "ChargeDescription": "qwen-plus: usage whose unit prices were not written down",
        "x_Tokens": "340.0",
    }


def test_a_workspace_that_stands_nowhere_and_one_elsewhere_are_charged_by_their_own_names():
    totals = Totals()
    totals.add_usage(Usage(3, 0), Money("USD", Decimal("0.000003"), Charges((("input_token", 3, Decimal(1)),))))
    focus = charged(Attribution(DAYS, SHANGHAI.key, {(name, "m", "2026-11-25"): totals for name in ("法务", "gone")}))
    told = ("BillingAccountId", "ProviderName", "ServiceName", "RegionId", "x_Endpoint", "SkuPriceId", "SubAccountId")
    assert [[row[name] for name in told] for row in focus.rows()] == [
        ["gone", "Alibaba Cloud", "Model Studio", None, "unknown", "unknown/m/input_token@1 USD", "gone"],
        ["法务", *["http://llm.example/v1"] * 2, None, "http://llm.example/v1", "http://llm.example/v1/m/input_token@1 USD", "法务"],
    ]


def test_rows_come_by_time_workspace_model_tags_account_and_kind_and_adjustments_after_them():
    meters = (("output_token", 1, Decimal(2)), ("input_token", 3, Decimal(1)))
    of_both = Totals()
    of_both.add_usage(Usage(3, 1), Money("CNY", Decimal("0.000005"), Charges(meters)))
    of_both.add_usage(Usage(3, 1), Money("CNY", Decimal("0.5")))
    keys: list[Key] = [
        *[("sales", "m", "2026-11-26", "b"), ("sales", "m", "2026-11-26", "a"), ("sales", "a", "2026-11-26", "z")],
        *[("法务", "a", "2026-11-25", "z"), ("sales", "z", "2026-11-25", "z")],
    ]
    focus = charged(Attribution((*DAYS, "metadata.k"), SHANGHAI.key, dict.fromkeys(keys, of_both)))
    rows = [(row["ChargePeriodStart"], row["SubAccountName"], row["ResourceName"], row["Tags"], row["SkuMeter"]) for row in focus.rows()]
    usage, adjustments = rows[:10], rows[10:]
    assert [each[4] for each in usage] == ["input_token", "output_token"] * 5
    assert [each[4] for each in adjustments] == [None] * 5
    assert usage == sorted(usage, key=str)
    assert [each[:4] for each in usage[::2]] == [each[:4] for each in adjustments]
    assert [each[1:4] for each in adjustments] == [
        *[("sales", "z", '{"k":"z"}'), ("法务", "a", '{"k":"z"}')],
        *[("sales", "a", '{"k":"z"}'), ("sales", "m", '{"k":"a"}'), ("sales", "m", '{"k":"b"}')],
    ]


def test_a_cost_whose_make_up_is_not_known_is_an_adjustment_and_never_a_price_that_nobody_told(tmp_path):
    (row,) = one_charge(tmp_path, None, "0.000123")
    assert (row["ChargeCategory"], row["BilledCost"], row["ListUnitPrice"], row["ConsumedQuantity"]) == (
        *("Adjustment", "0.000123"),
        *(None, None),
    )
    assert row["x_Tokens"] == "340.0"


def test_tokens_of_adjustments_in_two_currencies_are_told_in_neither():
    """How many of them were paid in which nothing tells, and in both they would be counted twice."""
    totals = Totals()
    for currency in ("CNY", "USD"):
        totals.add_usage(Usage(3, 4), Money(currency, Decimal("0.5")))
    rows = list(charged(Attribution(DAYS, SHANGHAI.key, {("sales", "m", "2026-11-25"): totals})).rows())
    assert [(row["BillingCurrency"], row["BilledCost"], row["x_Tokens"]) for row in rows] == [
        ("CNY", Decimal("0.5"), None), ("USD", Decimal("0.5"), None),
    ]  # fmt: skip


def test_charges_that_do_not_add_up_to_their_amount_are_adjusted_to_it(tmp_path):
    rows = one_charge(tmp_path, Charges((("input_token", 300, Decimal("0.4")),)), "0.0005")
    assert {row["ChargeCategory"]: row["BilledCost"] for row in rows} == {"Usage": "0.00012", "Adjustment": "0.00038"}


@pytest.mark.parametrize(
    ("label", "start", "end", "month"),
    [
        ("2026-03-29", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", "2026-02-28T23:00:00Z"),
        ("2026-10-25", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", "2026-09-30T22:00:00Z"),
        ("2026-12-31", "2026-12-30T23:00:00Z", "2026-12-31T23:00:00Z", "2026-11-30T23:00:00Z"),
        ("2026-10-25T02:00+02:00", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", "2026-09-30T22:00:00Z"),
        ("2026-10-25T02:00+01:00", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z", "2026-09-30T22:00:00Z"),
    ],
)
def test_a_day_is_as_long_as_it_is_in_the_zone_and_the_hour_that_comes_twice_is_two(tmp_path, label, start, end, month):
    by = (*DAYS[:2], "hour" if "T" in label else "day")
    (row,) = one_charge(tmp_path, Charges((("input_token", 300, Decimal("0.4")),)), "0.00012", label=label, by=by, zone=BERLIN.key)
    assert (row["ChargePeriodStart"], row["ChargePeriodEnd"], row["BillingPeriodStart"]) == (start, end, month)


def test_what_the_specification_has_no_place_for_is_left_out_and_counted():
    totals = Totals()
    totals.add_usage(Usage(3, 4, searches=2))
    undated = Totals()
    undated.add_usage(Usage(1, 1, searches=1), Money("CNY", Decimal("0.5")))
    groups: dict[Key, Totals] = {("sales", "m", "2026-11-25"): totals, ("sales", "m", None): undated}
    focus = charged(Attribution(DAYS, SHANGHAI.key, groups))
    assert list(focus.rows()) == []
    assert (focus.unpriced_calls, focus.unpriced_tokens, focus.undated) == (1, 7, {"CNY": Decimal("0.5")})
    assert focus.searches == 3


def test_metadata_becomes_tags_and_what_has_none_has_no_tag(tmp_path):
    totals = Totals()
    totals.add_usage(Usage(3, 0), Money("CNY", Decimal("0.000003"), Charges((("input_token", 3, Decimal(1)),))))
    keys = [("sales", "m", "2026-11-25", label) for label in ("q3", "", None)]
    focus = charged(Attribution((*DAYS, "metadata.a.b"), SHANGHAI.key, dict.fromkeys(keys, totals)))
    heading, rows = written(focus, tmp_path)
    assert violations(heading, rows) == []
    tags = [orjson.loads(row["Tags"]) if row["Tags"] else None for row in rows]
    assert sorted(tags, key=str) == [None, {"a.b": "q3"}]
    assert sum(Decimal(row["BilledCost"] or 0) for row in rows) == Decimal("0.000009")


def test_runs_of_one_account_and_price_are_one_row_and_of_two_accounts_two():
    totals = Totals()
    totals.add_usage(Usage(3, 0), Money("CNY", Decimal("0.000003"), Charges((("input_token", 3, Decimal(1)),))))
    attribution = Attribution(DAYS, SHANGHAI.key, {("sales", "m", "2026-11-25"): totals})
    focus = charged(attribution)
    focus.add(attribution, PLACES)
    focus.add(attribution, {"sales": Place("other", "public")})
    assert [(row["BillingAccountId"], str(row["ConsumedQuantity"])) for row in focus.rows()] == [("main", "6"), ("other", "3")]


def test_meters_of_equal_price_are_one_however_their_prices_are_written():
    assert Meter("CNY", "input_token", Decimal("0.80"), Decimal(0), Decimal(1)) == Meter(
        "CNY", "input_token", Decimal("0.8"), Decimal("0.0"), Decimal("1.0")
    )


# The validator itself can fail


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BilledCost", None),
        ("BilledCost", "1,000"),
        ("BilledCost", "¥1"),
        ("ListCost", "7"),
        ("ContractedCost", "7"),
        ("PricingQuantity", None),
        ("PricingUnit", "million"),
        ("BillingCurrency", "RMB¥"),
        ("ChargeCategory", "usage"),
        ("ChargeClass", "Correction"),
        ("ChargePeriodStart", "2026-11-25 16:00:00"),
        ("ChargePeriodStart", "2027-11-25T16:00:00Z"),
        ("ConsumedUnit", None),
        ("ServiceSubcategory", "Chat"),
        ("SkuPriceDetails", '{"Batch":true}'),
        ("Tags", "[1]"),
        ("SubAccountName", " "),
        ("ContractedUnitPrice", "-1"),
    ],
)
def test_the_validator_finds_what_is_wrong(tmp_path, name, value):
    (row,) = one_charge(tmp_path, Charges((("input_token", 300, Decimal("0.4")),)), "0.00012")
    assert violations(COLUMNS, [row | {name: value}])


def test_the_validator_misses_no_mandatory_column():
    assert violations([name for name in COLUMNS if name != "BilledCost"], []) == ["BilledCost is missing"]
