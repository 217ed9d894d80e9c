"""Money rounded for people. What something costs is never shown as nothing."""

from __future__ import annotations

from decimal import Decimal


def amount(value: Decimal, decimals: int = 4) -> str:
    """Money, rounded to so many decimals; what would round to nothing and is something is shown as below the least."""
    least = Decimal(1).scaleb(-decimals)
    return f"<{least:f}" if 0 < value <= least / 2 else f"{value:,.{decimals}f}"
