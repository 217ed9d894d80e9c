"""Money as a ledger's line tells it, and read back exactly: amounts and prices stand in text, for a JSON number would be read as a float.

An amount comes with what it is made of where that is known: per meter (a kind of token, named as the provider's bill names it) the tokens
and the price of a million, and what was taken off. So a line can be checked against a bill without the price list of its day, and an
older entry keeps the price that it was made at.
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import Any

from batchrun.core.ledger.entry import NotAnEntryError
from batchrun.core.ledger.fields import count, text
from batchrun.core.model import Charges, Money

_PLAINLY = {"discount": Decimal(0), "share": Decimal(1), "saved": Decimal(0)}
"""Of charges: what a line leaves out."""


def cost_fields(cost: Money | None) -> dict[str, Any] | None:
    """Return *cost* as a line tells it: exact, amounts and prices in text, and what it is made of where that is known."""
    if cost is None:
        return None
    fields: dict[str, Any] = {"currency": cost.currency, "amount": _plain(cost.amount)}
    if (made_of := cost.charges) is not None:
        fields["charges"] = {meter: [tokens, _plain(price)] for meter, tokens, price in made_of.meters}
        if made_of.discount or made_of.saved or made_of.share != _PLAINLY["share"]:
            for name, plain in _PLAINLY.items():
                if (value := getattr(made_of, name)) != plain:
                    fields[name] = _plain(value)
    return fields


def read_cost(fields: Any) -> Money | None:
    """Read back what `cost_fields` wrote; raises a ValueError, TypeError, KeyError or ArithmeticError for anything else."""
    if fields is None:
        return None
    amount = _decimal(fields["amount"])
    charges = None if fields.get("charges") is None else _charges(fields, fields["charges"])
    return Money(text(fields["currency"]), amount, charges)


def _charges(fields: Any, written: Any) -> Charges:
    meters = tuple([(meter, count(tokens), _price(price)) for meter, (tokens, price) in written.items()])
    if "discount" not in fields and "share" not in fields and "saved" not in fields:
        return Charges(meters)
    discount, share = (_price(fields[name]) if name in fields else _PLAINLY[name] for name in ("discount", "share"))
    # It alone may be below 0, where a price list asks more for what a cache holds.
    return Charges(meters, discount, share, Decimal(text(fields.get("saved", "0"))))


def _plain(value: Decimal) -> str:
    # The same as with "f" while there is no exponent, and made in half the time.
    plain = str(value)
    return format(value, "f") if "E" in plain else plain


def _decimal(written: object) -> Decimal:
    value = Decimal(text(written))
    if not value.is_finite() or value < 0:
        raise NotAnEntryError("an amount that is none")
    return value


# Prices are few, and each stands in millions of lines. What is no text is no key either, or is refused inside.
_price = lru_cache(maxsize=4096)(_decimal)
