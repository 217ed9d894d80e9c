"""What rows would cost: as much a token as calls like theirs do, each at the prices that its own length and kind of answer has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

from batchrun.core.model import Money, Usage

MOST_CALLS = 200
"""That are looked at to tell what those of a lane are like."""


def thinned(calls: Sequence[Usage]) -> tuple[Usage, ...]:
    """As many of *calls* as are looked at, evenly picked."""
    count = min(MOST_CALLS, len(calls))
    return tuple(calls[(2 * place + 1) * len(calls) // (2 * count)] for place in range(count))


def cost_of(tokens: int, like: Sequence[Usage], price: Callable[[Usage], Decimal | None]) -> Decimal | None:
    """What *tokens* of input and output cost, where calls are *like* these; None where any of them has no price."""
    asked = sum(each.input_tokens + each.output_tokens for each in like)
    prices = [price(each) for each in like]
    known = [each for each in prices if each is not None]
    if len(known) < len(prices) or not asked:
        return None
    return sum(known, Decimal(0)) * tokens / asked


def money_of(tokens: int, like: Sequence[Usage], price: Callable[[Usage], Money | None]) -> Money | None:
    """The same with its currency, which is one for all calls of a model."""
    paid = [price(each) for each in like[:1]]
    amount = cost_of(tokens, like, lambda usage: None if (found := price(usage)) is None else found.amount)
    return Money(paid[0].currency, amount) if amount is not None and paid and paid[0] is not None else None
