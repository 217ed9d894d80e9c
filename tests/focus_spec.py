"""What FOCUS 1.2 demands of each column, from the specification's text (v1.2, its files under specification/columns and attributes).

`violations` takes rows as CSV has them: text, and nothing as None. A demand on more than one row (a service has one category) is checked
over all of them.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

Row = Mapping[str, str | None]
Applies = Callable[[Row], bool]

_NUMBER = re.compile(r"-?\d+(\.\d+)?(E-?\d+)?")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_CURRENCY = re.compile(r"[A-Z]{3}")
_UNIT = re.compile(r"(\d+ )?([A-Z][A-Za-z]*s)(-[A-Z][a-z]+s|/[A-Z][a-z]+)?")


def always(_row: Row) -> bool:
    return True


def never(_row: Row) -> bool:
    return False


def is_usage(row: Row) -> bool:
    return row["ChargeCategory"] in {"Usage", "Purchase"} and row["ChargeClass"] != "Correction"


def is_tax(row: Row) -> bool:
    return row["ChargeCategory"] == "Tax"


def told(name: str) -> Applies:
    return lambda row: row[name] is not None


def untold(name: str) -> Applies:
    return lambda row: row[name] is None


@dataclass(frozen=True)
class Column:
    form: re.Pattern[str] | None = None
    must: Applies = always
    """When it must not be null."""
    must_not: Applies = never
    """When it must be null."""
    allowed: frozenset[str] | None = None
    json: bool = False
    mandatory: bool = True
    at_least: int | None = None


NUMBER = Column(_NUMBER)
MOMENT = Column(_MOMENT)
TEXT = Column()
OF_USAGE = Column(must=is_usage, must_not=is_tax, mandatory=False)
PRICE = Column(_NUMBER, must=is_usage, must_not=is_tax, mandatory=False, at_least=0)

COLUMNS: Mapping[str, Column] = {
    "BilledCost": NUMBER,
    "BillingAccountId": TEXT,
    "BillingAccountName": Column(must=always),
    "BillingCurrency": Column(_CURRENCY),
    "BillingPeriodEnd": MOMENT,
    "BillingPeriodStart": MOMENT,
    "ChargeCategory": Column(allowed=frozenset({"Usage", "Purchase", "Tax", "Credit", "Adjustment"})),
    # Nothing here corrects a period that was invoiced.
    "ChargeClass": Column(must=never, must_not=always),
    "ChargeDescription": Column(),
    "ChargeFrequency": Column(allowed=frozenset({"One-Time", "Recurring", "Usage-Based"}), mandatory=False),
    "ChargePeriodEnd": MOMENT,
    "ChargePeriodStart": MOMENT,
    "ConsumedQuantity": Column(
        _NUMBER, must=lambda row: row["ChargeCategory"] == "Usage", must_not=lambda row: row["ChargeCategory"] != "Usage", mandatory=False
    ),
    "ConsumedUnit": Column(_UNIT, must=told("ConsumedQuantity"), must_not=untold("ConsumedQuantity"), mandatory=False),
    "ContractedCost": NUMBER,
    "ContractedUnitPrice": PRICE,
    "EffectiveCost": NUMBER,
    "InvoiceId": Column(must=never, must_not=always, mandatory=False),
    "InvoiceIssuerName": TEXT,
    "ListCost": NUMBER,
    "ListUnitPrice": PRICE,
    "PricingCategory": Column(
        must=is_usage, must_not=is_tax, mandatory=False, allowed=frozenset({"Standard", "Dynamic", "Committed", "Other"})
    ),
    "PricingQuantity": Column(_NUMBER, must=is_usage, must_not=is_tax),
    "PricingUnit": Column(_UNIT, must=told("PricingQuantity"), must_not=untold("PricingQuantity")),
    "ProviderName": TEXT,
    "PublisherName": TEXT,
    "RegionId": Column(must=never, mandatory=False),
    "RegionName": Column(must=told("RegionId"), must_not=untold("RegionId"), mandatory=False),
    "ResourceId": Column(must=never, mandatory=False),
    "ResourceName": Column(must=never, must_not=untold("ResourceId"), mandatory=False),
    "ResourceType": Column(must=told("ResourceId"), must_not=untold("ResourceId"), mandatory=False),
    "ServiceCategory": Column(allowed=frozenset({"AI and Machine Learning"})),
    "ServiceName": TEXT,
    "ServiceSubcategory": Column(allowed=frozenset({"Generative AI"}), mandatory=False),
    "SkuId": OF_USAGE,
    "SkuMeter": Column(must=told("SkuId"), must_not=untold("SkuId"), mandatory=False),
    "SkuPriceDetails": Column(must=never, must_not=untold("SkuPriceId"), json=True, mandatory=False),
    "SkuPriceId": OF_USAGE,
    "SubAccountId": Column(must=always, mandatory=False),
    "SubAccountName": Column(must=told("SubAccountId"), must_not=untold("SubAccountId"), mandatory=False),
    "SubAccountType": Column(must=told("SubAccountId"), must_not=untold("SubAccountId"), mandatory=False),
    "Tags": Column(must=never, json=True, mandatory=False),
}


def violations(heading: Iterable[str], rows: Iterable[Row]) -> list[str]:
    """Say everything that is wrong."""
    heading, rows = list(heading), list(rows)
    found = list(_of_the_heading(heading))
    for number, row in enumerate(rows, 1):
        for name in heading:
            found += [f"row {number}: {name} = {row[name]!r}: {wrong}" for wrong in _of_a_field(name, row)]
        if not found:
            found += [f"row {number}: {wrong}" for wrong in _of_a_row(row)]
    return found + list(_of_all(rows))


def _of_the_heading(heading: list[str]) -> Iterator[str]:
    yield from (f"{name} is missing" for name, column in COLUMNS.items() if column.mandatory and name not in heading)
    own = [name for name in heading if name.startswith("x_")]
    focus = [name for name in heading if not name.startswith("x_")]
    yield from (f"{name} is no column of FOCUS, and not behind x_" for name in focus if name not in COLUMNS)
    if heading != [*focus, *own]:
        yield "columns of one's own stand behind all others"
    yield from (f"{name} is there twice" for name in {each for each in heading if heading.count(each) > 1})


def _of_a_field(name: str, row: Row) -> Iterator[str]:
    value, column = row[name], COLUMNS.get(name, Column(must=never))
    if value is None:
        if column.must(row):
            yield "must not be null"
        return
    if column.must_not(row):
        yield "must be null"
    if not value.strip():
        yield "an empty string stands for nothing"
    if column.form is not None and not column.form.fullmatch(value):
        yield "is not in the form"
    elif column.at_least is not None and Decimal(value) < column.at_least:
        yield "is too small"
    if column.allowed is not None and value not in column.allowed:
        yield "is none of the allowed values"
    if column.json:
        yield from _of_json(name, value)


def _of_json(name: str, value: str) -> Iterator[str]:
    def each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError("a key is there twice")
        return dict(pairs)

    told = json.loads(value, object_pairs_hook=each_once)
    if not isinstance(told, dict) or any(isinstance(each, dict | list) for each in told.values()):
        yield "is no JSON object of plain values"
    elif name == "SkuPriceDetails" and not all(key.startswith("x_") for key in told):
        yield "has keys of its own that are not behind x_"


def _of_a_row(row: Row) -> Iterator[str]:
    numbers = {name: Decimal(value) for name, value in row.items() if value is not None and _NUMBER.fullmatch(value)}
    quantity = numbers.get("PricingQuantity")
    for price, cost in (("ListUnitPrice", "ListCost"), ("ContractedUnitPrice", "ContractedCost")):
        if quantity is not None and price in numbers:
            if numbers[price] * quantity != numbers[cost]:
                yield f"{price} x PricingQuantity is not {cost}"
        elif numbers[cost] != numbers["BilledCost"]:
            yield f"{cost} is not BilledCost, and there is no {price}"
    if row["ChargeCategory"] not in {"Usage", "Purchase"} and numbers["EffectiveCost"] != numbers["BilledCost"]:
        yield "EffectiveCost is not BilledCost"
    if row["ChargeCategory"] == "Purchase" and row["ChargeFrequency"] == "Usage-Based":
        yield "a purchase is not usage-based"
    charge, billing = (
        tuple(datetime.fromisoformat(row[f"{kind}Period{end}"] or "") for end in ("Start", "End")) for kind in ("Charge", "Billing")
    )
    if not charge[0] < charge[1] or not billing[0] < billing[1]:
        yield "a period ends before it begins"
    if not billing[0] <= charge[0] < billing[1]:
        yield "the charge is billed in another period"


def _of_all(rows: Iterable[Row]) -> Iterator[str]:
    one: dict[tuple[str, Any], set[Any]] = defaultdict(set)
    for row in rows:
        one["a service has one category", row["ServiceName"]].add((row["ServiceCategory"], row["ServiceSubcategory"]))
        if row["SkuPriceId"] is not None:
            one["a price has one SKU, and one list price", row["SkuPriceId"]].add(
                (row["SkuId"], row["ListUnitPrice"], row["SkuPriceDetails"])
            )
            one["a SKU has one meter", row["SkuId"]].add(row["SkuMeter"])
    yield from (f"{what}: {which} has {sorted(map(str, found))}" for (what, which), found in one.items() if len(found) > 1)
