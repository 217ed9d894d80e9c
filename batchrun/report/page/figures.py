"""Numbers and times as a reader sees them, in both languages the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from batchrun.report.amounts import amount
from batchrun.report.page.markup import Markup, h
from batchrun.report.page.words import Said

_ENOUGH = 100
"""From so much on, two decimals say it all."""


def whole(count: int) -> str:
    """A count."""
    return f"{count:,}"


def places(amounts: Iterable[Decimal]) -> int:
    """Decimals that a column of amounts is shown with."""
    return 2 if max((abs(each) for each in amounts), default=Decimal(0)) >= _ENOUGH else 4


def money(amounts: Mapping[str, Decimal], *, more: bool = False) -> str:
    """Amounts in one line, each with its currency; *more* says that there is some that is not known."""
    plus = "+" if more else ""
    return ", ".join(f"{amount(value, places([value]))}{plus} {currency}" for currency, value in sorted(amounts.items()))


def percent(share: float) -> str:
    """A share; one that is neither nothing nor all is never shown as that."""
    if 0 < share < 0.001:
        return "<0.1 %"
    return f"{min(share, 0.999) * 100:.1f} %" if 0.9995 <= share < 1 else f"{share * 100:.1f} %"


def short(count: float) -> str:
    """A count where there is little room: 1.2 M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size * 10 or (count >= size and unit != "k"):
            return f"{count / size:.1f} {unit}" if count < size * 100 else f"{count / size:.0f} {unit}"
    return f"{count:,.0f}"


def seconds(milliseconds: float) -> str:
    """A duration."""
    if milliseconds < 100:
        return f"{milliseconds:.0f} ms"
    return f"{milliseconds / 1000:.2f} s" if milliseconds < 10_000 else f"{milliseconds / 1000:,.1f} s"


def moment(at: float, zone: ZoneInfo) -> str:
    """A time of the clock, to the minute."""
    return datetime.fromtimestamp(at, zone).strftime("%Y-%m-%d %H:%M")


def width(seconds_wide: int) -> Said:
    """The sentence that says how long a bucket is."""
    units = (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))
    unit, size = next((unit, size) for unit, size in units if not seconds_wide % size)
    count = seconds_wide // size
    return Said(f"width_{unit}", {}) if count == 1 else Said(f"width_{unit}s", {"n": str(count)})


def bar(parts: Iterable[tuple[float, str, str]]) -> Markup:
    """A line of parts one after the other: each its share of the whole width, its class, and its title. Tables say the same in numbers."""
    drawn, x = [], 0.0
    for share, kind, title in parts:
        if share > 0:
            drawn.append(h("rect", h("title", title), x=f"{x:.2f}%", width=f"{share * 100:.2f}%", height="100%", class_=kind))
            x += share * 100
    return h("svg", drawn, class_="bar", aria_hidden="true")
