"""Rows of a lane that stand aside, for a budget has too little left for them: others of the lane, which may cost less, go on.

What a row may cost is known when it was read, so rows are looked at one after another. Where none of the latest thousand would be paid, no
more are looked at: a lane whose rows are all too dear reads no file to its end. Of a row nothing is kept but eight bytes, and that only
where its budget comes anew; then the rows go before the others, but for those that cost more than a whole day or month has.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import chain

from batchrun.core.money.budget import Lack, Promise, Purse

MANY = 1_000
"""Rows that are looked at before it is believed that none is as cheap as what is left."""


@dataclass(slots=True)
class Least:
    """The least that rows may cost, of the latest thousand or two."""

    _before: Decimal | None = None
    _now: Decimal | None = None
    _count: int = 0

    def note(self, price: Decimal) -> None:
        """Take in what a row may cost."""
        if self._count == MANY:
            self._before, self._now, self._count = self._now, None, 0
        self._count += 1
        if self._now is None or price < self._now:
            self._now = price

    def is_more_than(self, left: Decimal) -> bool:
        """Whether many rows were looked at, and all of them may cost more than what is *left*."""
        was_many = self._before is not None or self._count == MANY
        return was_many and all(each is None or each > left for each in (self._before, self._now))


@dataclass(slots=True)
class Aside:
    """Those of one lane."""

    rows: int = 0
    """All of them, drawn or not."""
    lack: Lack | None = None
    """Of the cheapest that the latest budget was short of; None where no row stands aside."""
    returns: set[Purse] = field(default_factory=set)
    """The budgets whose next day or month brings some back."""
    _lasting: Lack | None = None
    """The same, of a budget that does not come anew."""
    _least: dict[Purse, Least] = field(default_factory=dict)
    _fresh: array[int] = field(default_factory=lambda: array("Q"))
    _dearer: array[int] = field(default_factory=lambda: array("Q"))
    """Those that may cost more than the whole of their budget."""
    _again: list[tuple[int, int]] = field(default_factory=list)
    """Ordinal and attempt of those that were sent before."""
    _undrawn: int = 0

    def paid(self, purses: tuple[Purse, ...], promised: tuple[Promise, ...]) -> None:
        """Take note of what a row may cost that is sent."""
        for purse, promise in zip(purses, promised, strict=True):
            self._least_of(purse).note(promise.amount)

    def add(self, ordinal: int, attempt: int, lack: Lack) -> bool:
        """Let a row stand aside; whether others of its lane are worth a look."""
        purse, price = lack.purse, lack.price
        assert price is not None
        self.rows += 1
        least = self._least_of(purse)
        least.note(price)
        self.lack = _cheaper(self.lack, lack)
        if purse.cap.period is None:
            self._lasting = _cheaper(self._lasting, lack)
        else:
            self.returns.add(purse)
            if attempt > 1:
                self._again.append((ordinal, attempt))
            else:
                (self._dearer if price > purse.cap.amount else self._fresh).append(ordinal)
        return not least.is_more_than(lack.spendable)

    def add_undrawn(self, undrawn: int) -> None:
        """Let all rows stand aside that were not looked at."""
        self.rows += undrawn
        self._undrawn += undrawn

    def back(self, undrawn: Iterator[int]) -> tuple[list[tuple[int, int]], Iterator[int], int]:
        """Take back all that may come back: what was sent before, what is to be drawn with what is yet *undrawn*, and how many more."""
        again, fresh, dearer = self._again, self._fresh, self._dearer
        more = len(fresh) + len(dearer) + self._undrawn
        self.rows -= more + len(again)
        self._again, self._fresh, self._dearer, self._undrawn = [], array("Q"), array("Q"), 0
        self.lack = self._lasting
        self.returns.clear()
        return again, chain(fresh, undrawn, dearer), more

    def _least_of(self, purse: Purse) -> Least:
        least = self._least.get(purse)
        if least is None:
            least = self._least[purse] = Least()
        return least


def _cheaper(known: Lack | None, lack: Lack) -> Lack:
    """Which of two tells of the row that may go first, where both are of one budget; otherwise the later."""
    if known is None or known.purse is not lack.purse or known.price is None or lack.price is None:
        return lack
    return lack if lack.page is not known.page or lack.price < known.price else known
