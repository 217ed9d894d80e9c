"""Tables of money: what may be spent, and what models cost. Amounts are exact."""

from __future__ import annotations

import math
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, Strict, WithJsonSchema, model_validator

from batchrun.core.jobs.hours import read_zone
from batchrun.core.jobs.names import Name
from batchrun.core.jobs.tables.values import AtLeastOne, Table, as_list
from batchrun.core.jobs.words import said, wrong


def _exact(value: Any) -> Any:
    """TOML's numbers with a point arrive as floats: the shortest text that means the same is what was written."""
    return Decimal(repr(value)) if isinstance(value, float) and math.isfinite(value) else value


_AMOUNT = {"type": "number", "exclusiveMinimum": 0}
Amount = Annotated[
    Decimal, Strict(False), Field(gt=0, le=10**12), said("a number greater than 0"), BeforeValidator(_exact), WithJsonSchema(_AMOUNT)
]
Price = Annotated[
    Decimal,
    Strict(False),
    Field(ge=0, le=10**9),
    said("a number, 0 or more"),
    BeforeValidator(_exact),
    WithJsonSchema({"type": "number", "minimum": 0}),
]
Share = Annotated[
    Decimal,
    Strict(False),
    Field(ge=0, lt=1),
    said("a share from 0 to less than 1: 0.15 for 15 %"),
    BeforeValidator(_exact),
    WithJsonSchema({"type": "number", "minimum": 0, "exclusiveMaximum": 1}),
]
Currency = Annotated[Literal["CNY", "USD"], said('"CNY" or "USD"')]


class UnpricedTable(Table):
    """What a model without a price counts as."""

    input: Price = Field(description="for a million input tokens, in the budget's currency", examples=[2.5])
    output: Price = Field(description="for a million output tokens", examples=[10])


class BudgetTable(Table):
    """What may be spent, by the run or by the day or month; a call's upper bound is set aside before it is sent."""

    tokens: AtLeastOne | None = Field(default=None, description="input and output together", examples=[5_000_000])
    amount: Amount | None = Field(default=None, description="money", examples=[20])
    currency: Currency = Field(default="CNY", description="of amount")
    unpriced: UnpricedTable | None = Field(
        default=None,
        description="what a model without a price counts as; not called, where it is not given",
        examples=[{"input": 3, "output": 12}],
    )
    per: Annotated[Literal["run", "day", "month"], said('"run", "day" or "month"')] = Field(
        default="run", description="how long it lasts; a day's or a month's is shared by all runs beside this one", examples=["day"]
    )
    zone: Annotated[str, said("the name of a time zone, such as Asia/Shanghai"), AfterValidator(read_zone)] = Field(
        default="Asia/Shanghai",
        description="by whose clocks days and months begin, where per names one of these",
        examples=["Europe/Berlin"],
    )
    max_tokens: AtLeastOne | None = Field(
        default=None,
        description="put into rows that set no limit of their own; without any, a row is taken to be answered at 32,768 tokens",
        examples=[2000],
    )

    @model_validator(mode="after")
    def _one_cap(self) -> BudgetTable:
        if (self.tokens is None) == (self.amount is None):
            raise wrong("both tokens and amount" if self.tokens else "neither tokens nor amount", "one of the two")
        return self

    @model_validator(mode="after")
    def _ends_at_midnights(self) -> BudgetTable:
        if "zone" in self.model_fields_set and "per" not in self.model_fields_set:
            raise wrong("a zone without per", 'per = "day" or per = "month" beside it, or no zone: without per it is the whole run\'s')
        return self


def _budgets(budgets: tuple[BudgetTable, ...]) -> tuple[BudgetTable, ...]:
    kinds = [(each.per, each.zone if each.per != "run" else "", each.currency if each.tokens is None else "tokens") for each in budgets]
    twice = next((kind for kind in kinds if kinds.count(kind) > 1), None)
    if twice is not None:
        raise wrong(f"two budgets per {twice[0]} in {twice[2]}", "one of a kind: the smaller is what would hold")
    return budgets


Budgets = Annotated[
    tuple[BudgetTable, ...],
    Strict(False),
    BeforeValidator(as_list, json_schema_input_type=BudgetTable | list[BudgetTable]),
    AfterValidator(_budgets),
]


class PriceTable(Table):
    """What a model costs; a million tokens."""

    up_to: AtLeastOne | None = Field(
        default=None, description="input tokens of a request up to which this price holds; any, where not given"
    )
    input: Price = Field(description="for a million input tokens", examples=[0.8])
    output: Price = Field(description="for a million output tokens", examples=[2])
    thinking: Price | None = Field(default=None, description="for a million output tokens of an answer that reasoned", examples=[8])
    cached: Price | None = Field(
        default=None, description="for a million input tokens found in the implicit cache; 20 % of input, where not given", examples=[0.16]
    )
    cache_hit: Price | None = Field(
        default=None, description="for a million input tokens found in the explicit cache; 10 % of input, where not given", examples=[0.08]
    )
    cache_write: Price | None = Field(
        default=None, description="for a million input tokens written to the explicit cache; 125 % of input, where not given", examples=[1]
    )


def _tiers(tiers: tuple[PriceTable, ...]) -> tuple[PriceTable, ...]:
    tops = [tier.up_to or math.inf for tier in tiers]
    if not tops or any(one >= other for one, other in pairwise(tops)):
        raise wrong("tiers out of order", "at least one, each up_to higher than the one before; only the last may leave it out")
    return tiers


Tiers = Annotated[
    tuple[PriceTable, ...],
    Strict(False),
    BeforeValidator(as_list, json_schema_input_type=PriceTable | list[PriceTable]),
    AfterValidator(_tiers),
]


class PricesTable(Table):
    """What one model costs from a day on."""

    region: Name | None = Field(
        default=None,
        description="where it holds: cn (endpoints public, batch and simulator), intl, or the name of another endpoint; everywhere "
        "but where another of its day names the place, where it is not given",
        examples=["cn", "intl"],
    )
    currency: Currency = Field(default="CNY", description="of the prices")
    since: Annotated[date, Strict(False), said("a day, such as 2026-12-01")] = Field(
        default=date(2025, 1, 1),
        description="the first day that they hold, as the provider's bills count days (Asia/Shanghai)",
        examples=["2026-12-01"],
    )
    tiers: Tiers = Field(
        description="a price, or a list of prices for longer and longer requests", examples=[{"input": 0.8, "output": 2, "thinking": 8}]
    )
    audio_input: Price | None = Field(default=None, description="for a million tokens of sound that go in; as input, where not given")
    image_input: Price | None = Field(default=None, description="for a million tokens of images and videos; as input, where not given")
    output_of_media: Price | None = Field(
        default=None, description="for a million tokens of text that answers an image, a sound or a video; as output, where not given"
    )
    audio_output: Price | None = Field(
        default=None, description="for a million tokens of sound that come out, the text beside it being free; as output, where not given"
    )
    source: Annotated[str, said("text"), Field(max_length=200)] = Field(
        default="the job file", description="where they were read", examples=["our contract of 2026-01"]
    )


def _one_a_day(tables: tuple[PricesTable, ...]) -> tuple[PricesTable, ...]:
    found: set[tuple[str | None, date]] = set()
    for table in tables:
        if (table.region, table.since) in found:
            where = f" in {table.region}" if table.region else ""
            raise wrong(f"two prices from {table.since}{where} on", "one table for each day and region: which of the two counts?")
        found.add((table.region, table.since))
    return tables


ModelPrices = Annotated[
    tuple[PricesTable, ...],
    Strict(False),
    BeforeValidator(as_list, json_schema_input_type=PricesTable | list[PricesTable]),
    AfterValidator(_one_a_day),
]
