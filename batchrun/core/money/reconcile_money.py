"""The money of a bill held against that of ledgers, by workspace and model: equal, explained, or a price that is another than was thought.

A bill rounds each of its lines, so that many may be off by half of their last digit together. Where tokens differ, money does too, and
nothing is said of it beyond that. Where they are equal and the money is not, somebody's price is another: a discount that the job does not
name, a coupon, a price that has changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from decimal import Decimal
from typing import Any

from batchrun.core.classes import slotted, value
from batchrun.core.money.bill import Billed

_NOTHING = Decimal(0)
_HALF = Decimal("0.5")
_DIGITS_OF_A_FLOAT = 15
"""What stands behind them is no money, but what a program that saved the export again made of it: 0.0073573200000000004."""


@slotted
class LaneMoney:
    """What a workspace owes for a model, as the bill and as the ledgers have it; amounts by currency."""

    billed: dict[str, Decimal] = field(default_factory=dict)
    counted: dict[str, Decimal] = field(default_factory=dict)
    lines: int = 0
    """Of the bill."""
    exponent: int | None = None
    """Of the last digit that any of its amounts shows; None where all are a mere 0, which shows none."""
    unpriced_tokens: int = 0
    tokens_differ: bool = False

    def take(self, billed: Billed) -> None:
        """Take in what the bill has of one day and kind."""
        for currency, amount in billed.amounts.items():
            self.billed[currency] = self.billed.get(currency, _NOTHING) + amount
            exponent = amount.as_tuple().exponent
            if isinstance(exponent, int) and (amount or exponent < 0):
                self.exponent = min(self.exponent or 0, max(exponent, amount.adjusted() - _DIGITS_OF_A_FLOAT))
        self.lines += billed.lines


@value
class MoneyLine:
    """One workspace, model and currency."""

    workspace: str
    model: str
    currency: str
    billed: Decimal
    counted: Decimal
    why: str
    """Nothing where the two are equal."""
    unexplained: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the fields by name, amounts as exact decimal strings."""
        told = {"workspace": self.workspace, "model": self.model, "currency": self.currency}
        return told | {"billed": f"{self.billed:f}", "counted": f"{self.counted:f}", "why": self.why, "unexplained": self.unexplained}


def money_lines(lanes: Mapping[tuple[str, str], LaneMoney]) -> Iterator[MoneyLine]:
    """Compare each lane's money; a bill that tells no amounts is compared with nothing."""
    if any(lane.billed for lane in lanes.values()):
        # Where any amount shows a fen, all do: only zeros were left off the others.
        shown = [lane.exponent for lane in lanes.values() if lane.exponent is not None]
        half = _HALF.scaleb(min(shown)) if shown else _NOTHING
        for (workspace, model), lane in sorted(lanes.items()):
            yield from (_line(workspace, model, currency, lane, lane.lines * half) for currency in _currencies(lane))


def _currencies(lane: LaneMoney) -> Iterable[str]:
    if lane.billed.keys() == {""} and len(lane.counted) <= 1:
        # The bill does not tell its currency: there is one it can be.
        lane.billed = {next(iter(lane.counted), ""): lane.billed[""]}
    return sorted({*lane.billed, *lane.counted})


def _line(workspace: str, model: str, currency: str, lane: LaneMoney, rounding: Decimal) -> MoneyLine:
    billed, counted = lane.billed.get(currency, _NOTHING), lane.counted.get(currency, _NOTHING)
    difference = billed - counted
    unexplained = False
    if not difference:
        why = ""
    elif lane.tokens_differ:
        why = "its tokens differ too"
    elif lane.unpriced_tokens:
        why = f"{lane.unpriced_tokens:,} tokens have no price here"
    elif abs(difference) <= rounding:
        why = "the bill's amounts are rounded"
    else:
        unexplained, why = True, _guess(billed, counted)
    return MoneyLine(workspace, model, currency, billed, counted, why, unexplained)


def _guess(billed: Decimal, counted: Decimal) -> str:
    if not billed:
        return "nothing is to be paid: a free quota, a coupon or a plan"
    if not counted:
        return "nothing was counted in this currency"
    share = billed / counted
    if f"{share:.4f}" == "1.0000":
        # Nobody takes so little off, or asks so little more.
        return "nearly the same for the same tokens: no other price, but amounts that were rounded before the bill added them up"
    kind = (
        "a discount that the job does not name, a coupon, or another price" if share < 1 else "another price, or a discount that has ended"
    )
    return f"{share:.4f} of what was counted for the same tokens: {kind}"
