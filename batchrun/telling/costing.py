"""What rows would cost: a token of input, and one of output, as much as in calls like theirs, at what their lengths and answers cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal

from batchrun.core.model import Money, Usage

MOST_CALLS = 200
"""That are looked at to tell what those of a lane are like."""


def thinned(calls: Sequence[Usage]) -> tuple[Usage, ...]:
    """As many of *calls* as are looked at, evenly picked."""
    count = min(MOST_CALLS, len(calls))
    return tuple(calls[(2 * place + 1) * len(calls) // (2 * count)] for place in range(count))


def cost_of(asked: int, answered: int, like: Sequence[Usage], price: Callable[[Usage], Decimal | None]) -> Decimal | None:
    """What so many tokens of input and of output cost, where calls are *like* these; None where any of them has no price.

    Each of the two by itself: rows that are left may ask with fewer or more tokens for an answer than those that were answered.
    """
    whole = [price(each) for each in like]
    asking = [price(replace(each, output_tokens=0, reasoning_tokens=0, output_audio_tokens=0)) for each in like]
    if None in whole or not any(each.input_tokens + each.output_tokens for each in like):
        return None
    for_asking = sum(filter(None, asking), Decimal(0))
    for_answers = sum(filter(None, whole), Decimal(0)) - for_asking
    asked_there, answered_there = (sum(getattr(each, name) for each in like) for name in ("input_tokens", "output_tokens"))
    parts = ((for_asking, asked, asked_there), (for_answers, answered, answered_there))
    return sum((amount * tokens / there for amount, tokens, there in parts if there), Decimal(0))


def money_of(asked: int, answered: int, like: Sequence[Usage], price: Callable[[Usage], Money | None]) -> Money | None:
    """The same with its currency, which is one for all calls of a model."""
    first = next(map(price, like), None)
    amount = cost_of(asked, answered, like, lambda usage: None if (found := price(usage)) is None else found.amount)
    return None if first is None or amount is None else Money(first.currency, amount)
