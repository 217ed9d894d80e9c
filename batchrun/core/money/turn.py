"""What the calls of one turn may cost, by budget, and which of them can be paid: from all of its budgets, or a call is not sent.

What is set aside in one budget for a call that another cannot pay is of no use to anybody: of two runs that share both, each would hold
what the other lacks, for as long as they go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from batchrun.core.ledger.attempts import Bound
from batchrun.core.money.budget import LaneKey, Purse

Prices = Mapping[Purse, Decimal]
"""What a call, or several, may cost at the most, of each budget that comes anew."""
_NOTHING = Decimal(0)


def prices_of(purses: Iterable[Purse], lane: LaneKey, most: Bound, at: float) -> Prices:
    """What a call that is sent at a moment may cost; a budget in whose unit that is unknown is left out."""
    prices = {purse: purse.price(lane, most, at) for purse in purses if purse.cap.period is not None}
    return {purse: price for purse, price in prices.items() if price is not None}


def sums(calls: Iterable[Prices]) -> dict[Purse, Decimal]:
    """What all of *calls* may cost together."""
    found: dict[Purse, Decimal] = {}
    for call in calls:
        for purse, price in call.items():
            found[purse] = found.get(purse, _NOTHING) + price
    return found


def affordable(calls: Iterable[Prices], there: Prices) -> list[Prices]:
    """Those of *calls* that can be paid in their turn of what is *there* of their budgets."""
    left, paid = {**there}, []
    for call in calls:
        if all(price <= left[purse] for purse, price in call.items()):
            left |= {purse: left[purse] - price for purse, price in call.items()}
            paid.append(call)
    return paid
