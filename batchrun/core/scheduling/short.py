"""Lanes that wait for what one budget has left, and whose turn it is: by what each was promised of it, over its weight.

A call that ends leaves enough for a row or two. So those look again for whose rows it leaves enough, and no others: hundreds would look in
vain each time. One that something else holds back has its turn beside the others, and keeps nothing from them. Turns are taken by
start-time fair queueing, as in a pool (`lanes.py`): a row that is too large for what is left lets others go before it, until each was
promised as much more as it may cost itself.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from operator import attrgetter

from batchrun.core.money.budget import Page, Purse
from batchrun.core.scheduling.lanes import Lane

_NOTHING = Decimal(0)
_tag = attrgetter("tag")


@dataclass(slots=True, eq=False)
class _Turn:
    lane: Lane
    tag: float
    price: Decimal
    """Of its next row, at the most."""


class Short:
    """Those of one budget."""

    def __init__(self, purse: Purse) -> None:
        self._purse = purse
        self._turns: list[_Turn] = []
        """Of those that wait, by their tags."""
        self._of: dict[Lane, _Turn] = {}
        self._tags: dict[Lane, float] = {}
        """What each was promised while others waited, over its weight."""
        self._served = 0.0
        self._least = self._most = _NOTHING
        """No row that waits may cost less, and none more."""

    def wait(self, lane: Lane, price: Decimal) -> None:
        """Let *lane* wait, whose next row may cost so much, which is more than is left."""
        self._least, self._most = min(self._least, price), max(self._most, price)
        turn = self._of.get(lane)
        if turn is None:
            turn = self._of[lane] = _Turn(lane, max(self._tags.get(lane, 0.0), self._served), price)
            insort(self._turns, turn, key=_tag)
        else:
            turn.price = price

    def promised(self, lane: Lane, amount: Decimal) -> None:
        """Take note of what *lane* was promised, if others wait."""
        if self._turns:
            self._tags[lane] = max(self._tags.get(lane, 0.0), self._served) + float(amount) / lane.plan.weight

    def after(self, page: Page, is_held: Callable[[Lane], bool]) -> list[Lane]:
        """Take out those that are due a look, now that a call has ended which was paid from *page*; some *are held* by something else.

        All of them are where no other is under way, for nothing else would have them look.
        """
        if not page.promised:
            return self.all()
        amount = self._purse.cap.amount
        due = self._in_vain(amount - page.spent) + self._fitting(amount - page.taken - page.promised, is_held)
        return [turn.lane for turn in due]

    def _in_vain(self, most: Decimal) -> list[_Turn]:
        """Take out those whose rows may cost more than will be left: their lanes may have cheaper ones."""
        if self._most <= most:
            return []
        self._most = max((turn.price for turn in self._turns if turn.price <= most), default=_NOTHING)
        return self._take([turn for turn in self._turns if turn.price > most])

    def _fitting(self, left: Decimal, is_held: Callable[[Lane], bool]) -> list[_Turn]:
        """Take out those for whose rows that is enough which is *left*."""
        found, last = [], math.inf
        for turn in self._turns:
            if left < self._least or turn.tag > last:
                break
            if turn.price <= left:
                found.append(turn)
                if not is_held(turn.lane):
                    left -= turn.price
            else:
                last = min(last, turn.tag + float(turn.price) / turn.lane.plan.weight)
        else:
            self._least = min((turn.price for turn in self._turns), default=_NOTHING)
        if found:
            self._served = max(self._served, found[-1].tag)
        return self._take(found)

    def _take(self, turns: list[_Turn]) -> list[_Turn]:
        for turn in turns:
            self._turns.remove(turn)
            del self._of[turn.lane]
        return turns

    def all(self) -> list[Lane]:
        """Take out all of them."""
        turns, self._turns = self._turns, []
        self._of.clear()
        return [turn.lane for turn in turns]
