"""LiteLLM's table of prices taken in: its ``dashscope/`` entries become price rows, and are held against those that are known.

The table (``model_prices_and_context_window.json``) is kept by many hands from the provider's international pages: dollars a token, as
Singapore charges. It knows no days, and prices the reasoning of an answer apart from its text, where the provider charges all of it as
thinking. What it says is taken as it says it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Any

from batchrun.core.classes import value
from batchrun.core.money.price_list import SINGAPORE, PriceRow, Tier
from batchrun.core.money.pricing import Prices

_MILLION = 1_000_000
_MOST = 10**9
"""Dollars for a million tokens, or tokens of a request: a job takes no more, and would refuse the file."""
_PREFIX = "dashscope/"
_ANOTHER_DAY = "another reading, of another day"
_COSTS = {
    "input": "input_cost_per_token",
    "output": "output_cost_per_token",
    "thinking": "output_cost_per_reasoning_token",
    "cached": "cache_read_input_token_cost",
    "cache_hit": "explicit_cache_read_input_token_cost",
    "cache_write": "cache_creation_input_token_cost",
}
_SHARES = {"cached": Decimal("0.2"), "cache_hit": Decimal("0.1"), "cache_write": Decimal("1.25")}
_TOLD = {"cached": "cached input", "cache_hit": "explicit cache hits", "cache_write": "explicit cache writes"}


@value
class NotTaken:
    """An entry that no row was made of."""

    model: str
    why: str


@value
class Difference:
    """What the table says otherwise than a row that was known."""

    model: str
    what: str
    theirs: str
    ours: str
    why: str


def taken(table: Mapping[str, Any], since: date, source: str) -> tuple[list[PriceRow], list[NotTaken]]:
    """Make rows of the table's entries of the provider's chat models; say of each other one why it was left."""
    rows: list[PriceRow] = []
    left: list[NotTaken] = []
    for name in sorted(name for name in table if name.startswith(_PREFIX)):
        model, entry = name.removeprefix(_PREFIX), _resolved(table, name)
        match _tiers(entry):
            case str(why):
                left.append(NotTaken(model, why))
            case tiers:
                rows.append(PriceRow(model, SINGAPORE, "USD", since, tuple(tiers), source, sure=False))
    return rows, left


def differences(rows: Sequence[PriceRow], known: Prices, day: date) -> Iterator[Difference]:
    """Hold *rows* against those that are *known* on *day*; nothing is told of a model that only one of the two knows."""
    for row in rows:
        ours = known.row(row.model, row.region or SINGAPORE, day)
        if ours is not None:
            yield from _of_model(row, ours)


def _of_model(theirs: PriceRow, ours: PriceRow) -> Iterator[Difference]:
    if len(theirs.tiers) != len(ours.tiers):
        yield Difference(theirs.model, "tiers", _edges(theirs), _edges(ours), "one of the two was read before tiers were added or joined")
    for place, (one, other) in enumerate(zip(theirs.tiers, ours.tiers, strict=False)):
        where = f"tier {place + 1}" if len(theirs.tiers) > 1 else "price"
        if one.up_to is not None and other.up_to is not None and one.up_to != other.up_to:
            yield Difference(theirs.model, f"{where}: input up to", f"{one.up_to:,}", f"{other.up_to:,}", _ANOTHER_DAY)
        for name in ("input", "output", "thinking"):
            if getattr(one, name) != getattr(other, name):
                amounts = (_told(getattr(one, name)), _told(getattr(other, name)))
                why = "the table names none" if getattr(one, name) is None else _ANOTHER_DAY
                yield Difference(theirs.model, f"{where}: {name}", *amounts, why)
        yield from _caches(theirs.model, where, one, other)


def _caches(model: str, where: str, theirs: Tier, ours: Tier) -> Iterator[Difference]:
    """Where the table names a price of the caches, hold it against the share of the input price that is the rule."""
    for name, share in _SHARES.items():
        one, other = getattr(theirs, name), getattr(ours, name)
        expected = ours.input * share if other is None else other
        if one is not None and one != expected:
            yield Difference(
                model, f"{where}: {_TOLD[name]}", _told(one), _told(expected), "the provider's share is the rule, with exceptions"
            )


def _edges(row: PriceRow) -> str:
    return ", ".join("any" if tier.up_to is None else f"{tier.up_to:,}" for tier in row.tiers)


def _told(amount: Decimal | None) -> str:
    return "none" if amount is None else f"{amount.normalize():f}"


def _resolved(table: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    entry = table[name]
    if isinstance(entry, dict) and "alias_of" in entry:
        other = entry["alias_of"]
        entry = table.get(other, table.get(_PREFIX + other)) if isinstance(other, str) else None
    return entry if isinstance(entry, dict) else {}


def _tiers(entry: Mapping[str, Any]) -> list[Tier] | str:
    """The entry's tiers, or why there are none."""
    mode = entry.get("mode")
    if mode not in ("chat", "completion", "responses"):  # Not a set: it may be anything that JSON has.
        return f"it is no chat model: {mode if mode and isinstance(mode, str) else 'nothing is told of it'}"
    try:
        told = entry.get("tiered_pricing")
        tiers = [_tier(one, one["range"]) for one in told] if told else [_tier(entry, None)]
    except (KeyError, TypeError, ValueError, IndexError, ArithmeticError):
        return "no price for input and output tokens stands there, or it can not be read"
    whole = [(one.up_to, other.up_to) for one, other in pairwise(tiers)]
    if any(one is None or (other is not None and other <= one) for one, other in whole):
        return "its tiers are out of order"
    return tiers


def _tier(costs: Mapping[str, Any], span: Sequence[float] | None) -> Tier:
    prices = {name: _a_million(costs[key]) for name, key in _COSTS.items() if costs.get(key) is not None}
    up_to = None if span is None else int(span[1])
    if up_to is not None and not 0 < up_to < _MOST:
        raise ValueError("a tier of no request")
    return Tier(up_to, prices.pop("input"), prices.pop("output"), **prices)


def _a_million(cost: float) -> Decimal:
    """Dollars a million of dollars a token, which JSON has as floats: the shortest text that means the same is what was written."""
    amount = Decimal(repr(float(cost))) * _MILLION
    if not 0 <= amount <= _MOST:
        raise ValueError("a price that is none")
    return Decimal(f"{amount.normalize():f}")
