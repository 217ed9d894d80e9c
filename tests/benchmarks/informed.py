"""One who knows the quota, and sends rows in their order: how much of it can be used where what a row costs is only guessed.

What it knows: how many tokens the provider takes, also when that changes; over which window, and of which kind; how far guesses are off,
for rows of each size. What it does not: what a row costs before its reply is there, nor how long the network takes, but for the most that
is. What it believes of the window is a sum of what is known and a normal distribution of what is not.

*When it sends.* While a row of m tokens is waited for, the window stands as much emptier as is kept free, for m / rate seconds; what is
kept free makes a refusal less likely. Which is worth more is one price for all rows: where x tokens with a deviation of s are kept free, a
row costs m x, and the refusal price x its likelihood, and the sum is least where the normal density of x / s is m s / price. The price is
sought in hindsight: the least at which no more is refused than a bar allows.

*After a refusal* it believes that a deviation less than what was refused fills the window, for as long as that may still be what is there.

It is an estimate, and no bound: nobody showed that none who knows as much can do better. What none can is `clairvoyant.py`, for each run
apart. Where answers are counted when they end, nothing is guessed, and there is nothing to be told.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

from tests.benchmarks.bars import Bar, Seen, seen
from tests.benchmarks.play import MEAN_ROW, Drawn, Play, Report, World, heavy_tailed

_CLASSES = 4
"""Of size, from one to the double."""
_BELIEVED = 2.0
"""Seconds after a refusal, or half a window."""
_STEP_BACK = 1.0
"""Deviations under what was refused."""
_HIGHEST, _LOOKS = 5.0, 6
"""Deviations that are kept free for a usual row at the most; and how often they are halved between what is too few and what is enough."""


@cache
def off_by() -> Mapping[int, tuple[float, float]]:
    """Of guesses of each size: what rows cost in the mean, by the guess, and the deviation, by the mean."""
    dice, classes = random.Random(99), defaultdict(list)
    for _ in range(100_000):
        cost, guess = heavy_tailed(dice, 0.3)
        classes[_class(guess)].append((cost, guess))
    found = {}
    for place, rows in classes.items():
        mean = sum(cost for cost, _ in rows) / len(rows)
        variance = sum((cost - mean) ** 2 for cost, _ in rows) / len(rows)
        found[place] = mean * len(rows) / sum(guess for _, guess in rows), math.sqrt(variance) / mean
    return {place: each for place, each in found.items() if len(classes[place]) >= 30}


def _class(guess: float) -> int:
    return int(_CLASSES * math.log2(guess))


@dataclass(slots=True)
class _Row:
    at: float
    mean: float
    variance: float
    has_left: bool = False


@dataclass(slots=True)
class Informed:
    """Stands where a limiter does."""

    world: World
    deviations: float
    """Kept free for a usual row that alone is not known: that is what the price of a refusal is told by."""
    _rows: deque[_Row] = field(default_factory=deque)
    _under_way: dict[tuple[float, float], list[_Row]] = field(default_factory=lambda: defaultdict(list))
    _refused: _Row | None = None
    _mean: float = 0.0
    _variance: float = 0.0
    _most: float = math.inf
    _most_until: float = -math.inf

    def free_at(self, now: float, guess: float) -> float:
        """When the next row may go, or when to ask again."""
        self._roll(now)
        if not self._rows:
            return now
        mean, variance = self._expected(guess)
        if now < self._most_until and self._mean + mean > self._most:
            return min(self._leaves(self._rows[0].at), self._most_until)
        kept_free = self._kept_free(mean, math.sqrt(max(0.0, self._variance) + variance))
        return now if self._mean + mean + kept_free <= self._quota(now) else self._leaves(self._rows[0].at)

    def _kept_free(self, mean: float, deviation: float) -> float:
        usual = self.world.misjudged * MEAN_ROW
        squared = self.deviations**2 - 2 * math.log(mean / MEAN_ROW * deviation / usual)
        return math.sqrt(squared) * deviation if squared > 0 else 0.0

    def pay(self, now: float, guess: float) -> None:
        """A row goes."""
        row = _Row(now, *self._expected(guess))
        self._rows.append(row)
        self._under_way[now, guess].append(row)
        self._mean, self._variance = self._mean + row.mean, self._variance + row.variance

    def settle(self, launched_at: float, guess: float, tokens: float) -> None:
        """It did cost so much."""
        alike = self._under_way[launched_at, guess]
        row = alike.pop()
        if not alike:
            del self._under_way[launched_at, guess]
        if not row.has_left:
            self._mean, self._variance = self._mean + tokens - row.mean, self._variance - row.variance
        self._refused = None if tokens else _Row(row.at, row.mean, row.variance)
        row.mean, row.variance = tokens, 0.0

    def refused(self, now: float, *_: object) -> None:
        """Believe for a while that what went fills the window."""
        self._roll(now)
        row = self._refused
        assert row is not None
        deviation = math.sqrt(max(0.0, self._variance) + row.variance)
        self._most = min(self._quota(now), self._mean + row.mean) - _STEP_BACK * deviation
        self._most_until = now + min(_BELIEVED, self.world.caps.token_period / 2)

    def took(self, *_: object) -> None:
        """Nothing is learnt: all is known."""

    def _quota(self, now: float) -> float:
        times = next((times for at, times in reversed(self.world.changes) if at <= now), 1.0)
        return times * (self.world.caps.tokens or 0)

    def _expected(self, guess: float) -> tuple[float, float]:
        known = off_by()
        ratio, spread = known[max(min(known), min(max(known), _class(guess)))]
        return ratio * guess, (spread * ratio * guess) ** 2

    def _leaves(self, at: float) -> float:
        at, period = at + self.world.jitter, self.world.caps.token_period
        return (at // period + 1) * period if self.world.caps.window == "aligned" else at + period

    def _roll(self, now: float) -> None:
        while self._rows and self._leaves(self._rows[0].at) <= now:
            row = self._rows.popleft()
            row.has_left = True
            self._mean, self._variance = self._mean - row.mean, self._variance - row.variance


class Informs(NamedTuple):
    """What came of a bar's world."""

    what: Seen
    report: Report


def informed(bar: Bar, rows: Sequence[Drawn]) -> Informs:
    """What comes of a bar's world, where no more is refused than it allows, with the *rows* of another run."""
    least, enough = 0.0, _HIGHEST
    best = _at(bar, rows, enough)
    for _ in range(_LOOKS):
        middle = (least + enough) / 2
        found = _at(bar, rows, middle)
        if found.what.refused <= bar.refused:
            enough = middle
            best = max(best, found, key=lambda each: each.what)
        else:
            least = middle
    return best


def _at(bar: Bar, rows: Sequence[Drawn], deviations: float) -> Informs:
    play = Play(bar.world, rows)
    play.limiters = (Informed(bar.world, deviations),)  # type: ignore[assignment]  # It stands where a limiter does
    report = play.run()
    return Informs(seen(bar, report), report)
