"""A price list as text for a terminal, as JSON, and as tables of a job file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import chain
from typing import Any

from batchrun.core.columns import folded, width
from batchrun.core.money.price_list import PriceRow, Tier
from batchrun.report.drawn import fitted

_HEADS = ("model", "where", "since", "input up to", "input", "output", "thinking", "discount")
_PLAIN = ("input", "output", "thinking")
_CACHES = ("cached", "cache_hit", "cache_write")
_MEDIA = ("audio_input", "image_input", "output_of_media", "audio_output")
_WORDS = 3
"""Columns that are no numbers."""

Listed = Sequence[tuple[PriceRow, Decimal]]
"""Rows, and the share taken off each."""


def price_table(listed: Listed, room: int | None = None) -> str:
    """Return a line a tier, prices for a million tokens, for a terminal of *room* columns, then where they come from.

    Beneath a line stands what its caches, and what sounds and pictures cost, as a job names them, where that is something else.
    """
    lines = [line for row, discount in listed for line in _lines(row, discount)]
    heading, *told = fitted([list(_HEADS), *(cells for cells, _ in lines)], range(_WORDS), room)
    rule = "─" * max(width(line) for each in (heading, *told) for line in each)
    beneath = (folded(f"    {text}", room or width(text) + 4).split("\n") if text else [] for _, text in lines)
    sources = dict.fromkeys([*["prices are for a million tokens"] * bool(listed), *(_source(row) for row, _ in listed)])
    return "\n".join([*heading, rule, *chain.from_iterable(chain.from_iterable(zip(told, beneath, strict=True))), *sources])


def prices_json(listed: Listed) -> list[dict[str, Any]]:
    """Return each row with its tiers; amounts as text, exact."""
    return [
        {
            "model": row.model,
            "region": row.region,
            "currency": row.currency,
            "since": row.since.isoformat(),
            "tiers": [
                {"up_to": tier.up_to}
                | {name: _text(getattr(tier, name)) for name in _PLAIN}
                | {name: str(each) for name in _CACHES if (each := getattr(tier, name)) is not None}
                for tier in row.tiers
            ],
            **{name: _text(getattr(row, name)) for name in (*_CACHES, *_MEDIA)},
            "discount": str(discount),
            "source": row.source,
            "sure": row.sure,
        }
        for row, discount in listed
    ]


def _lines(row: PriceRow, discount: Decimal) -> Iterator[tuple[list[str], str]]:
    """Give the cells of each tier, and what stands beneath them."""
    for place, tier in enumerate(row.tiers):
        names = [row.model, row.region or "anywhere", row.since.isoformat()] if place == 0 else [""] * _WORDS
        prices = [f"{tier.input} {row.currency}", str(tier.output), _text(tier.thinking) or ""]
        off = f"{discount:.2%}" if discount and place == 0 else ""
        beneath = [*_given(tier, _CACHES), *(_given(row, _MEDIA) if place + 1 == len(row.tiers) else ())]
        yield [*names, "" if tier.up_to is None else f"{tier.up_to:,}", *prices, off], ", ".join(beneath)


def _given(of: PriceRow | Tier, names: Sequence[str]) -> Iterator[str]:
    """The prices of *names* that there are."""
    return (f"{name} {amount}" for name in names if (amount := getattr(of, name)) is not None)


def _source(row: PriceRow) -> str:
    return f"{row.currency}, {row.region or 'anywhere'}: {row.source}{'' if row.sure else '; to the cent'}"


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else str(amount)


def prices_toml(rows: Sequence[PriceRow]) -> str:
    """Return *rows* as tables of [prices], which a job or a file of prices may hold."""
    return "\n".join(_toml(row) for row in rows)


def _toml(row: PriceRow) -> str:
    lines = [f"[[prices.{_quoted(row.model)}]]"]
    if row.region is not None:
        lines.append(f"region = {_quoted(row.region)}")
    lines += [f"currency = {_quoted(row.currency)}", f"since = {row.since.isoformat()}", f"source = {_quoted(row.source)}", "tiers = ["]
    for tier in row.tiers:
        told = {} if tier.up_to is None else {"up_to": str(tier.up_to)}
        told |= {name: f"{each:f}" for name in (*_PLAIN, *_CACHES) if (each := getattr(tier, name)) is not None}
        lines.append(f"    {{ {', '.join(f'{name} = {each}' for name, each in told.items())} }},")
    return "\n".join([*lines, "]", ""])


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
