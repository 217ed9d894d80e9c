"""How far what rows were expected to cost is off, learnt for rows of each size apart.

A guess that is large is more often too large than too small, and one that is mostly input is nearer than one that is mostly answer: so a
ratio that is right for all tokens in the sum leaves too much free for a large row, and too little for a small one. Sizes stand in classes
of twice each other; one of which little was seen goes by what is true of all.

What is learnt last counts most, but no fewer rows count than are under way: short answers come first, and long ones last, of all that went
in one minute; who went by the latest hundred would take rows for short and for long in turn.

A file may go over to other rows, whose answers are many times as long. The next rows are soon expected to be like the latest; but as many
as are under way went before that was known, and where answers take long, they are most of what a window holds. So it is also told when the
latest rows are far off what was expected when they went (`Latest`): then those under way are so too.
"""

from __future__ import annotations

from dataclasses import field
from math import frexp
from typing import NamedTuple

from batchrun.core.classes import slotted

_FIRST_SPREAD = 0.3
"""The deviation of a row's cost, by what it was expected to be, before any was seen."""
_LEARNS = 0.02
_OF_ALL = 4.0
"""Rows that what is true of all counts for in each class."""
_MOST_OFF = 3.0
"""Times what was expected: what is further off says no more."""
_LATEST_ROWS, _FAR = 30, 1.5
"""How many rows are looked at together; and how many times more or less is far off."""


class Expected(NamedTuple):
    """A row's cost."""

    mean: float
    variance: float


@slotted
class Class:
    """Rows of one size, or all."""

    ratio: float = 1.0
    """Of what rows cost to what was guessed."""
    spread: float = _FIRST_SPREAD * _FIRST_SPREAD
    """The variance of a row's cost, by the square of what is expected of it."""
    guesses: float = 0.0
    costs: float = 0.0
    weight: float = 0.0
    """How many rows these are."""
    own_spread: float = _FIRST_SPREAD * _FIRST_SPREAD
    """The same variance, of what was seen alone."""


@slotted
class Guesses:
    """What guesses come to."""

    usual: float | None = None
    """What a row costs in the mean; None before any was seen."""
    too_little: float = 1.0
    """How many times what was learnt rows come to, since it was learnt from those that end (`lifetimes.py`)."""
    _all: Class = field(default_factory=Class)
    _classes: dict[int, Class] = field(default_factory=dict)

    def like(self, guess: float) -> Class:
        """What goes for a row that is guessed to cost so much."""
        return self._classes.get(frexp(guess)[1], self._all)

    def expected(self, guess: float) -> Expected:
        """What a row costs that is guessed to cost so much."""
        own = self.like(guess)
        mean = self.too_little * own.ratio * guess
        return Expected(mean, own.spread * mean * mean)

    def learn(self, guess: float, cost: float, under_way: int = 0) -> None:
        """A row that was guessed to cost *guess* did cost *cost*; both are more than nothing, and so many are *under way*."""
        lately = _LEARNS if _LEARNS * under_way <= 1.0 else 1.0 / under_way
        keeps = 1.0 - lately
        of_all, place = self._all, frexp(guess)[1]
        own = self._classes.get(place)
        if own is None:
            own = self._classes[place] = Class(of_all.ratio, own_spread=of_all.spread)
        times = cost / (own.ratio * guess)
        off = (times if times < _MOST_OFF else _MOST_OFF) - 1.0
        off *= off
        for each in (of_all, own):
            each.guesses = keeps * each.guesses + guess
            each.costs = keeps * each.costs + cost
            each.weight = weight = keeps * each.weight + 1.0
            learns = 1.0 / (weight + _OF_ALL)
            each.own_spread += (learns if learns > lately else lately) * (off - each.own_spread)
        of_all.ratio, of_all.spread = of_all.costs / of_all.guesses, of_all.own_spread
        # So far as little was seen of its size, it is like all.
        weight = own.weight
        like_all = _OF_ALL * own.guesses / weight
        own.ratio = (own.costs + like_all * of_all.ratio) / (own.guesses + like_all)
        own.spread = (weight * own.own_spread + _OF_ALL * of_all.spread) / (weight + _OF_ALL)
        self.usual = of_all.costs / of_all.weight


@slotted
class Latest:
    """By how much the latest rows were off what was expected of them when they went."""

    expected: float = 0.0
    costs: float = 0.0
    rows: int = 0

    def learn(self, expected: float, cost: float) -> float | None:
        """A row did cost *cost*, of which *expected* was; how many times more or less those are that went as it did, where that is far."""
        self.expected += expected
        most = _MOST_OFF * expected
        self.costs += cost if cost < most else most
        self.rows += 1
        return None if self.rows < _LATEST_ROWS else self._looked_at()

    def _looked_at(self) -> float | None:
        expected, costs = self.expected, self.costs
        self.expected, self.costs, self.rows = 0.0, 0.0, 0
        return None if expected <= _FAR * costs <= _FAR * _FAR * expected else costs / expected
