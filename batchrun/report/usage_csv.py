"""The statement as lines of a spreadsheet: usage.csv. Amounts are exact; a cost that is not known is empty, and never 0."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from batchrun.core.ledger.attribution import LANE, Attribution, Label
from batchrun.core.ledger.statement import Statement
from batchrun.core.ledger.totals import Part, Totals

Row = dict[str, str | Decimal | None]

_COUNTS = ("answered", "rejected", "exhausted")
_OF_CALLS = ("calls", "retries", "throttles", "reasks")
_OF_TOKENS = (
    *("billed_calls", "input_tokens", "cached_tokens", "cache_creation_tokens", "output_tokens", "reasoning_tokens"),
    *("image_tokens", "audio_tokens", "video_tokens", "output_audio_tokens", "searches"),
)
_CURRENCIES = ("CNY", "USD")
"""Always there, so that the files of many runs have the same columns."""


def usage_table(statement: Statement, by: Sequence[str]) -> tuple[list[str], Iterator[Row]]:
    """Return the heading and a line a group, but for groups of which it would tell nothing: calls without usage tell no metadata."""
    groups = statement.by(by)
    currencies = sorted({*_CURRENCIES, *(currency for totals in groups.groups.values() for currency in totals.cost)})
    nothing = _row(groups, ("",) * len(by), Totals(), currencies)
    rows = (_row(groups, key, totals, currencies) for key, totals in groups.groups.items())
    if not set(by) <= set(LANE):
        rows = (row for row in rows if any(row[name] != nothing[name] for name in row.keys() - {*by}))
    return list(nothing), rows


def _row(groups: Attribution, key: tuple[Label, ...], totals: Totals, currencies: Sequence[str]) -> Row:
    row: Row = {name: "unknown" if label is None else label for name, label in zip(groups.by, key, strict=True)}
    # Rows that are pending have no day and no metadata, and calls tell no metadata.
    counts = [*_COUNTS, *(["pending"] if set(groups.by) <= set(LANE) else [])]
    counts += [] if any(name.startswith("metadata.") for name in groups.by) else _OF_CALLS
    row |= {name: Decimal(getattr(totals, name)) for name in (*counts, *_OF_TOKENS)}
    row |= _amounts("cost", totals.cost, totals.unpriced_calls, currencies)
    row |= {"unpriced_calls": Decimal(totals.unpriced_calls), "unpriced_tokens": Decimal(totals.unpriced_tokens)}
    for name, part in totals.waste().items():
        row |= _part(name, part, currencies)
    for name, saved in totals.savings().items():
        row |= _amounts(f"saved_by_{name}", saved, 0, currencies)
    return row


def _part(name: str, part: Part, currencies: Sequence[str]) -> Row:
    counts = {f"{name}_{count}": Decimal(getattr(part, count)) for count in ("calls", "input_tokens", "output_tokens")}
    return {**counts, **_amounts(f"{name}_cost", part.cost, part.unpriced_calls, currencies)}


def _amounts(name: str, amounts: Mapping[str, Decimal], unpriced: int, currencies: Sequence[str]) -> Row:
    nothing = None if unpriced and not amounts else Decimal(0)
    return {f"{name}_{currency}": amounts.get(currency, nothing) for currency in currencies}
