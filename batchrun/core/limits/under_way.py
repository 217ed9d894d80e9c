"""What is expected of the rows that are under way, each at the time it went and the price it paid.

What was expected when a row went is what must be taken back when its cost is known, although what is expected of such rows may have
changed since: so it is kept, until all of it is known to be far off. Rows that went in the same moment at the same price are told apart by
nothing, and need not be.
"""

from __future__ import annotations

from dataclasses import field
from typing import TypeAlias

from batchrun.core.classes import slotted
from batchrun.core.limits.guesses import Guesses

NOTHING = (0.0, 0.0, 0.0)
_Alike: TypeAlias = "tuple[tuple[float, float, float], _Alike | None]"
"""The latest of those that nothing tells apart, and the others."""
_LEARNS = 0.02
"""Of each row that goes, of what rows are guessed to cost by now."""


@slotted
class UnderWay:
    """Mean and variance of each row's cost; and its size: what it paid, by what rows paid that went when it did."""

    guesses: Guesses
    rows: int = 0
    """How many."""
    _usual: float = 0.0
    """What rows pay that go by now."""
    _expected: dict[tuple[float, float], _Alike] = field(default_factory=dict)
    """By when they went and what they paid."""

    def add(self, launched_at: float, paid: float) -> tuple[float, float, float]:
        """A row goes that is guessed to cost so much; what it comes to, corrected by how far such rows were off."""
        guesses, key = self.guesses, (launched_at, paid)
        like = guesses.like(paid)
        mean = guesses.too_little * like.ratio * paid
        self._usual = usual = self._usual + _LEARNS * (paid - self._usual) if self._usual else paid
        expected = mean, like.spread * mean * mean, paid / usual if paid > 0.0 else 1.0
        self._expected[key] = expected, self._expected.get(key)
        self.rows += 1
        return expected

    def take(self, launched_at: float, paid: float) -> tuple[float, float, float]:
        """A row is under way no longer, at this price; what was expected of it: nothing of one that was not under way."""
        key = (launched_at, paid)
        alike = self._expected.pop(key, None)
        if alike is None:
            return NOTHING
        self.rows -= 1
        expected, others = alike
        if others is not None:
            self._expected[key] = others
        return expected

    def expect_anew(self, times: float) -> None:
        """All that is under way comes to so many times what was expected of it."""
        for key, alike in self._expected.items():
            self._expected[key] = _times(alike, times)


def _times(alike: _Alike, times: float) -> _Alike:
    all_alike: list[tuple[float, float, float]] = []
    rest: _Alike | None = alike
    while rest is not None:
        (mean, variance, size), rest = rest
        all_alike.append((mean * times, variance * times * times, size))
    made: _Alike = all_alike.pop(), None
    while all_alike:
        made = all_alike.pop(), made
    return made
