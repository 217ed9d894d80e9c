"""Charges in the columns of FOCUS 1.2, the FinOps Open Cost and Usage Specification: a row a kind of tokens at one price, and period.

The columns are the mandatory ones of version 1.2 (focus.finops.org), those conditional ones that hold for a provider with published unit
prices, negotiated discounts and sub accounts, and a few of batchrun's own behind ``x_``. A workspace is a sub account; the unit is what
the price list counts in, a million tokens. What a call cost is what was billed: there is nothing to amortise, so BilledCost, EffectiveCost
and ContractedCost are one amount, and ListCost is it without the discount. A batch has a price list of its own, at half the price.

The specification has no place for a cost that is not known, nor for a charge without a time: such calls are in no row, and counted apart.
Amounts whose make-up nothing tells (older lines) stand as adjustments, without quantity and unit price. So the rows add up to the cost.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

import orjson

from batchrun.core.classes import slotted
from batchrun.core.ledger.attribution import Attribution, Key
from batchrun.core.ledger.totals import Amounts, Meter, Totals, add_amounts, plain

Kind = Literal["text", "number", "moment"]
Value = str | Decimal | datetime | None
Row = dict[str, Value]

ALIBABA = "Alibaba Cloud"
SERVICE = "Model Studio"
_MILLION = Decimal(1_000_000)
_NOTHING = Decimal(0)

COLUMNS: Mapping[str, Kind] = {
    "BilledCost": "number",
    "BillingAccountId": "text",
    "BillingAccountName": "text",
    "BillingCurrency": "text",
    "BillingPeriodEnd": "moment",
    "BillingPeriodStart": "moment",
    "ChargeCategory": "text",
    "ChargeClass": "text",
    "ChargeDescription": "text",
    "ChargeFrequency": "text",
    "ChargePeriodEnd": "moment",
    "ChargePeriodStart": "moment",
    "ConsumedQuantity": "number",
    "ConsumedUnit": "text",
    "ContractedCost": "number",
    "ContractedUnitPrice": "number",
    "EffectiveCost": "number",
    "InvoiceId": "text",
    "InvoiceIssuerName": "text",
    "ListCost": "number",
    "ListUnitPrice": "number",
    "PricingCategory": "text",
    "PricingQuantity": "number",
    "PricingUnit": "text",
    "ProviderName": "text",
    "PublisherName": "text",
    "RegionId": "text",
    "RegionName": "text",
    "ResourceId": "text",
    "ResourceName": "text",
    "ResourceType": "text",
    "ServiceCategory": "text",
    "ServiceName": "text",
    "ServiceSubcategory": "text",
    "SkuId": "text",
    "SkuMeter": "text",
    "SkuPriceDetails": "text",
    "SkuPriceId": "text",
    "SubAccountId": "text",
    "SubAccountName": "text",
    "SubAccountType": "text",
    "Tags": "text",
    "x_AliyunInstanceId": "text",
    "x_Discount": "number",
    "x_Endpoint": "text",
    "x_Tokens": "number",
}
"""In their order."""


class Place(NamedTuple):
    """Where a workspace's calls went, and who pays for them."""

    account: str
    endpoint: str
    provider: str = ALIBABA
    region: tuple[str, str] | None = None
    """Id and name."""


class _Part(NamedTuple):
    """What rows are about, but for the kind of tokens."""

    workspace: str
    model: str
    place: Place
    start: datetime
    end: datetime
    month: tuple[datetime, datetime]
    tags: tuple[tuple[str, str], ...]


@slotted
class _Adjusted:
    amount: Decimal = _NOTHING
    tokens: int = 0


@slotted
class Focus:
    """Takes attributions in, by workspace, model, day or hour, and metadata that becomes tags; gives rows."""

    ids: Mapping[str, str] = field(default_factory=dict)
    """The provider's id of a workspace, by name; a name stands for itself."""
    unpriced_calls: int = 0
    """Left out: their cost is not known."""
    unpriced_tokens: int = 0
    searches: int = 0
    """Left out: what web searches cost beside their tokens."""
    undated: Amounts = field(default_factory=dict)
    """Left out: the cost of calls that do not tell when they were made."""
    moved: set[str] = field(default_factory=set)
    """Workspaces that were called at several places, or for several accounts, of which the rows tell the last."""
    _charges: dict[tuple[_Part, Meter], int] = field(default_factory=lambda: defaultdict(int))
    _adjusted: dict[tuple[_Part, str], _Adjusted] = field(default_factory=lambda: defaultdict(_Adjusted))

    def add(self, attribution: Attribution, places: Mapping[str, Place]) -> None:
        """Take in what a run has spent; *places* by workspace."""
        for key, totals in attribution.groups.items():
            self.unpriced_calls += totals.unpriced_calls
            self.unpriced_tokens += totals.unpriced_tokens
            self.searches += totals.searches
            part = _part(attribution, key, places)
            if part is None:
                add_amounts(self.undated, totals.cost)
            else:
                self._take(part, totals)

    def rows(self) -> Iterator[Row]:
        """Give every row, in order."""
        for (part, meter), tokens in sorted(self._charges.items(), key=lambda each: _order(*each[0])):
            yield _row(part, meter.currency, self._id(part)) | _usage(part, meter, tokens, self._id(part))
        for (part, currency), adjusted in sorted(self._adjusted.items(), key=lambda each: _order(*each[0])):
            yield _row(part, currency, self._id(part)) | _adjustment(part, adjusted)

    def unused_ids(self) -> set[str]:
        """Workspaces that an id was given of, and no row is of."""
        return self.ids.keys() - {part.workspace for part, _ in (*self._charges, *self._adjusted)}

    def _take(self, part: _Part, totals: Totals) -> None:
        left = dict(totals.cost)
        for meter, tokens in totals.meters.items():
            if tokens:
                self._charges[part, meter] += tokens
                left[meter.currency] = left.get(meter.currency, _NOTHING) - meter.cost(tokens)
        for currency, amount in left.items():
            if amount:
                adjusted = self._adjusted[part, currency]
                adjusted.amount += amount
                adjusted.tokens += totals.undivided_tokens if len(totals.undivided) == 1 else 0

    def _id(self, part: _Part) -> str:
        return self.ids.get(part.workspace, part.workspace)


def _part(attribution: Attribution, key: Key, places: Mapping[str, Place]) -> _Part | None:
    labels = dict(zip(attribution.by, key, strict=True))
    workspace, model = labels["workspace"] or "", labels["model"] or ""
    label = labels["hour"] if "hour" in labels else labels["day"]
    if label is None:
        return None
    start, end, month = _period(label, ZoneInfo(attribution.zone))
    names = (name for name in attribution.by if name.startswith("metadata."))
    tags = tuple((name.removeprefix("metadata."), value) for name in names if (value := labels[name]))
    return _Part(workspace, model, places.get(workspace, Place(workspace, "unknown")), start, end, month, tags)


def _period(label: str, zone: ZoneInfo) -> tuple[datetime, datetime, tuple[datetime, datetime]]:
    """Begin and end of a day or an hour, and of the month that it is billed in, in UTC. A day may have 23 hours, or 25."""
    day = date.fromisoformat(label[:10])
    first = day.replace(day=1)
    month = _midnight(first, zone), _midnight((first + timedelta(days=32)).replace(day=1), zone)
    if len(label) == 10:
        return _midnight(day, zone), _midnight(day + timedelta(days=1), zone), month
    start = datetime.fromisoformat(label).astimezone(UTC)
    return start, start + timedelta(hours=1), month


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def _order(part: _Part, what: Meter | str) -> tuple[str, ...]:
    return (part.start.isoformat(), part.workspace, part.model, *map(str, part.tags), part.place.account, str(what))


def _row(part: _Part, currency: str, workspace_id: str) -> Row:
    """The columns that every row has."""
    region_id, region_name = part.place.region or (None, None)
    row: Row = dict.fromkeys(COLUMNS)
    return row | {
        "BillingAccountId": part.place.account,
        "BillingAccountName": part.place.account,
        "BillingCurrency": currency,
        "BillingPeriodStart": part.month[0],
        "BillingPeriodEnd": part.month[1],
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodStart": part.start,
        "ChargePeriodEnd": part.end,
        "InvoiceIssuerName": part.place.provider,
        "ProviderName": part.place.provider,
        "PublisherName": part.place.provider,
        "RegionId": region_id,
        "RegionName": region_name,
        "ResourceId": f"{workspace_id}/{part.model}",
        "ResourceName": part.model,
        "ResourceType": "Model",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": SERVICE if part.place.provider == ALIBABA else part.place.provider,
        "ServiceSubcategory": "Generative AI",
        "SubAccountId": workspace_id,
        "SubAccountName": part.workspace,
        "SubAccountType": "Workspace",
        "Tags": orjson.dumps(dict(part.tags)).decode() if part.tags else None,
        "x_Endpoint": part.place.endpoint,
    }


def _usage(part: _Part, meter: Meter, tokens: int, workspace_id: str) -> Row:
    batch = meter.share != 1
    region = part.place.region[0] if part.place.region else part.place.endpoint
    sku = f"{region}/{part.model}/{meter.kind}{'/batch' if batch else ''}"
    listed, cost = meter.listed(tokens), meter.cost(tokens)
    details = {"x_TokenType": meter.kind, "x_Batch": batch}
    price = f"{plain(meter.unit_price)} {meter.currency}"
    return {
        "BilledCost": cost,
        "ChargeCategory": "Usage",
        "ChargeDescription": f"{part.model} {meter.kind}{' in a batch' if batch else ''} at {price} a million",
        "ConsumedQuantity": Decimal(tokens),
        "ConsumedUnit": "Tokens",
        "ContractedCost": cost,
        "ContractedUnitPrice": meter.unit_price * (1 - meter.discount),
        "EffectiveCost": cost,
        "ListCost": listed,
        "ListUnitPrice": meter.unit_price,
        "PricingCategory": "Standard",
        "PricingQuantity": tokens / _MILLION,
        "PricingUnit": "1000000 Tokens",
        "SkuId": sku,
        "SkuMeter": meter.kind,
        "SkuPriceDetails": orjson.dumps(details).decode(),
        "SkuPriceId": f"{sku}@{price}",
        # The provider's shape: API key id, workspace id, model, amount type, channel. Whose key it was, nothing here tells.
        "x_AliyunInstanceId": f";{workspace_id};{part.model};{meter.kind};app",
        "x_Discount": meter.discount,
        "x_Tokens": Decimal(tokens),
    }


def _adjustment(part: _Part, adjusted: _Adjusted) -> Row:
    return {
        "BilledCost": adjusted.amount,
        "ChargeCategory": "Adjustment",
        "ChargeDescription": f"{part.model}: usage whose unit prices were not written down",
        "ContractedCost": adjusted.amount,
        "EffectiveCost": adjusted.amount,
        "ListCost": adjusted.amount,
        "x_Tokens": Decimal(adjusted.tokens) if adjusted.tokens else None,
    }
