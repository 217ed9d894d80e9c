"""Usage to money, by dated prices: which of them hold for a model, a place, a day and an account.

What a call costs by these is a matter of their tiers (`tariff.py`). A model without a price has no cost, which is not the same as none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal

from batchrun.core.classes import value
from batchrun.core.jobs.endpoints import Endpoint, cloud_of
from batchrun.core.model import Usage
from batchrun.core.money.price_list import CHINA, SINGAPORE, PriceRow, shipped
from batchrun.core.money.tariff import Cost, Tariff

_REGIONS: Mapping[str, str] = {"public": CHINA, "batch": CHINA, "simulator": CHINA, "intl": SINGAPORE}
_NOTHING = Decimal(0)


@value
class Discounts:
    """What an account has agreed on with the provider: shares that are taken off, 0 to 1."""

    account: Decimal = _NOTHING
    models: Mapping[str, Decimal] | None = None
    """They go before the account's."""

    def of(self, model: str) -> Decimal:
        """The share taken off *model*."""
        return (self.models or {}).get(model, self.account)


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
