"""What the time that a row has been under way tells of its cost: a life table of rows.

Theory of operation. Where answers take as long as they are, the short ones come first. So those that have come cost less than those that
are under way, in the first minutes by half; and a row is the dearer, the longer it has been under way. Who learns from answers alone takes
rows for too cheap, and sends too many.

A life table counts both: in each class of ages, how many rows ended in it, and for how long rows were under way in it, whether they ended
or not. The one over the other is the hazard of ending at that age (Kaplan and Meier 1958, in the form of occurrence and exposure), and with
it goes what rows came to that ended there. From the oldest class down that gives, for each age,

    E[age] = P(ends in this class) x what those come to + P(goes on) x E[next age].

E of an age over E of none is how many times what was expected of it a row comes to that is under way at that age. And E of none over what
the rows came to that have ended is by how much these tell too little of all. Where how long an answer takes has nothing to do with its
length both are one; so they are taken for it where they are off by no more than chance makes of as few rows.

What rows come to is told in tokens by their size, which is what was guessed of a row by what was guessed of those that went when it did:
not by what was expected, for that is learnt meanwhile, and from those that end. Ages are in classes of half an octave, from one second up;
older rows fade.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from math import exp, frexp, sqrt

from batchrun.core.classes import slotted

_HALF_WAY = 0.5**0.5
PLACES = 21
"""Classes: the first is under a second, the last from twelve minutes on."""
_WIDTHS = (1.0, *(2.0 ** ((place + 1) / 2) - 2.0 ** (place / 2) for place in range(PLACES - 1)))
"""Seconds."""
_FORGETS = 0.0025
"""Of what rows showed, at each further one: less where more are under way."""
_LEAST_ROWS = 10.0
"""That must have ended before any of it is believed."""
_LIKE_ALL = 4.0
"""Rows that what is true of all counts for in each class."""
_GROWN_OVER, _ON, _MOST_GROWTH = 4, 1.5, 4.0
"""Classes over which it is looked at how what rows come to grows with their age; classes after the last that those end in which go on; and
the most that it is taken to grow over the former: as much as the age itself."""
_MOST, _MOST_TOO_LITTLE = 8.0, 3.0
"""Times what was expected that an age tells, and that those which have ended tell too little of all."""
_CHANCE, _CHANCE_OF_ALL = 0.1, 0.05
"""Off one by less, an age tells nothing, and those that have ended tell of all; where they are few rows, by what chance makes of as few."""
_TOO_LARGE = 1e100
"""Of what a row counts: all is scaled down."""


def place_of(age: float) -> int:
    """The class of an age in seconds."""
    if age < 1.0:
        return 0
    mantissa, exponent = frexp(age)
    place = 2 * exponent - (mantissa < _HALF_WAY)
    return place if place < PLACES else PLACES - 1


@slotted
class Lifetimes:
    """Of one quota's rows; ages in seconds."""

    times: list[float] = field(default_factory=lambda: [1.0] * PLACES)
    """By class of age: how many times what was expected of it a row comes to that is under way."""
    too_little: float = 1.0
    """How many times what those come to that have ended, all come to."""
    _at_first: float = 0.0
    """Tokens that a row of size one comes to that has just gone."""
    _counts: float = 1.0
    """What the next row counts, in the next six: it grows, instead that all before it fade."""
    _all_sizes: float = 0.0
    _all_costs: float = 0.0
    """Of the rows that ended; the next four by class of age."""
    _ended: list[float] = field(default_factory=lambda: [0.0] * PLACES)
    _sizes: list[float] = field(default_factory=lambda: [0.0] * PLACES)
    _costs: list[float] = field(default_factory=lambda: [0.0] * PLACES)
    _exposed: list[float] = field(default_factory=lambda: [0.0] * PLACES)
    """How many rows were under way, times the seconds that they were."""

    def exposed(self, place: int, amount: float) -> None:
        """Rows of a class were under way for a while: how many, times the seconds."""
        self._exposed[place] += self._counts * amount

    def ended(self, age: float, seconds: float, size: float, cost: float, under_way: int) -> None:
        """A row ended at an *age*, of which so many *seconds* were not told yet; so many others are *under way*."""
        place, counts = place_of(age), self._counts
        size, cost = counts * size, counts * cost
        self._ended[place] += counts
        self._sizes[place] += size
        self._costs[place] += cost
        self._exposed[place] += counts * seconds
        self._all_sizes += size
        self._all_costs += cost
        forgets = _FORGETS if _FORGETS * under_way <= 1.0 else 1.0 / under_way
        self._counts = counts = counts / (1.0 - forgets)
        if counts > _TOO_LARGE:
            self._scale_down()

    def usual(self, age: float) -> float:
        """How many times what was expected of it a row comes to that ends at that age."""
        return self._come_to(place_of(age)) / self._at_first if self._at_first else 1.0

    def work_out(self) -> None:
        """Have `times` and `too_little` tell what is known by now."""
        if sum(self._ended) < _LEAST_ROWS * self._counts:
            return
        comes_to = self._from_the_end()
        self._at_first = at_first = comes_to[0]
        rows = 0.0
        for place in range(PLACES - 1, -1, -1):
            rows += self._ended[place] / self._counts
            times = (comes_to[place] + comes_to[place + 1]) / (2 * at_first)
            is_chance = abs(times - 1.0) < max(_CHANCE, 1.0 / sqrt(rows or 1.0))
            self.times[place] = 1.0 if is_chance else min(times, _MOST)
        too_little = at_first * self._all_sizes / self._all_costs
        is_chance = abs(too_little - 1.0) < max(_CHANCE_OF_ALL, 1.0 / sqrt(rows))
        self.too_little = 1.0 if is_chance else min(_MOST_TOO_LITTLE, max(1.0 / _MOST_TOO_LITTLE, too_little))

    def _from_the_end(self) -> Sequence[float]:
        """By class: what a row of size one comes to that has come to that age; and one more, for what goes on after all."""
        last = max(place for place in range(PLACES) if self._ended[place])
        comes_to = [0.0] * (PLACES + 1)
        later = self._come_to(last) * self._grows(last)
        for place in range(PLACES, last, -1):
            comes_to[place] = later
        for place in range(last, -1, -1):
            ended, exposed = self._ended[place], self._exposed[place]
            if ended:
                ends = 1.0 - exp(-ended * _WIDTHS[place] / exposed) if exposed else 1.0
                later += ends * (self._come_to(place) - later)
            comes_to[place] = later
        return comes_to

    def _grows(self, last: int) -> float:
        """How many times what those come to that ended in the last class those do that go on after it: as it grew until there."""
        growth = self._come_to(last) / self._come_to(max(0, last - _GROWN_OVER))
        return float(min(_MOST_GROWTH, max(1.0, growth)) ** (_ON / _GROWN_OVER))

    def _come_to(self, place: int) -> float:
        """What rows of size one come to that end in a class; a few like all of them stand in for those that were not seen yet."""
        like_all = _LIKE_ALL * self._counts
        return (self._costs[place] + like_all * self._all_costs / self._all_sizes) / (self._sizes[place] + like_all)

    def _scale_down(self) -> None:
        by, self._counts = 1.0 / self._counts, 1.0
        self._all_sizes, self._all_costs = self._all_sizes * by, self._all_costs * by
        for many in (self._ended, self._sizes, self._costs, self._exposed):
            many[:] = [by * each for each in many]
