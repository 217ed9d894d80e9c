"""What guesses allow: `python -m tests.benchmarks.informed` sends rows as one does who knows the provider's window, of each size of row how
far guesses are off, and in hindsight how much to keep free.

That is the bound for the bars of known token quotas that are missed, as long as rows go in their order: what is under way is only guessed,
and fills much of a short window. Each line tells, for so many deviations kept free, the makespan and the share refused. Some minutes.
"""

from __future__ import annotations

import math
import random
import sys
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from tests.benchmarks.limits import Bar, Play, World, allowed, heavy_tailed, known_tokens

_STEPS = 4
"""Classes of size from one to the double."""
_LATE = 0.02
_DEVIATIONS = (1.0, 1.4, 1.8, 2.2, 2.6)


@cache
def off_by() -> Mapping[int, tuple[float, float]]:
    """Of guesses of each size: what rows cost in the mean, by the guess, and the deviation, by the mean."""
    dice, classes = random.Random(99), defaultdict(list)
    for _ in range(200_000):
        cost, guess = heavy_tailed(dice, 0.3)
        classes[int(_STEPS * math.log2(guess))].append((cost, guess))
    found = {}
    for place, rows in classes.items():
        mean = sum(cost for cost, _ in rows) / len(rows)
        variance = sum((cost - mean) ** 2 for cost, _ in rows) / len(rows)
        found[place] = mean * len(rows) / sum(guess for _, guess in rows), math.sqrt(variance) / mean
    return {place: each for place, each in found.items() if len(classes[place]) >= 30}


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
    _rows: deque[_Row] = field(default_factory=deque)
    _under_way: dict[tuple[float, float], list[_Row]] = field(default_factory=lambda: defaultdict(list))
    _mean: float = 0.0
    _variance: float = 0.0
    _ceiling: float = math.inf
    _ceiling_until: float = -math.inf

    def free_at(self, now: float, guess: float) -> float:
        """When the next row may go, or when to ask again."""
        self._roll(now)
        mean, variance = self._expected(guess)
        deviation = math.sqrt(max(0.0, self._variance) + variance)
        deviations = math.sqrt(max(0.0, self.deviations**2 - math.log(max(1.0, mean / 1590.0))))
        most = min(self.world.caps.tokens or 0, self._ceiling if now < self._ceiling_until else math.inf)
        if not self._rows or self._mean + mean + deviations * deviation <= most:
            return now
        return min(self._leaves(self._rows[0].at), self._ceiling_until if now < self._ceiling_until else math.inf)

    def pay(self, now: float, guess: float) -> None:
        """A row goes."""
        row = _Row(now, *self._expected(guess))
        self._rows.append(row)
        self._under_way[now, guess].append(row)
        self._mean, self._variance = self._mean + row.mean, self._variance + row.variance

    def settle(self, launched_at: float, guess: float, tokens: float) -> None:
        """It did cost so much."""
        row = self._under_way[launched_at, guess].pop()
        if not row.has_left:
            self._mean, self._variance = self._mean + tokens - row.mean, self._variance - row.variance
        row.mean, row.variance = tokens, 0.0

    def refused(self, now: float, *_: object) -> None:
        """Believe for a while that what went fills the window."""
        self._roll(now)
        self._ceiling, self._ceiling_until = self._mean, now + min(2.0, self.world.caps.token_period / 2)

    def took(self, *_: object) -> None:
        """Nothing is learnt: all is known."""

    def _expected(self, guess: float) -> tuple[float, float]:
        known = off_by()
        ratio, spread = known[max(min(known), min(max(known), int(_STEPS * math.log2(guess))))]
        return ratio * guess, (spread * ratio * guess) ** 2

    def _leaves(self, at: float) -> float:
        period = self.world.caps.token_period
        return ((at + _LATE) // period + 1) * period if self.world.caps.window == "aligned" else at + period + _LATE

    def _roll(self, now: float) -> None:
        while self._rows and self._leaves(self._rows[0].at) <= now:
            row = self._rows.popleft()
            row.has_left = True
            self._mean, self._variance = self._mean - row.mean, self._variance - row.variance


def informed(bar: Bar, deviations: float) -> tuple[float, float]:
    """The makespan, in terms of the quota's time, and the share refused."""
    play = Play(bar.world)
    play.limiters = (Informed(bar.world, deviations),)  # type: ignore[assignment]  # It stands where a limiter does
    report = play.run()
    return allowed(bar.world) / report.between(0.0, report.finished), report.refused_share


def main() -> None:
    """Print a line for each missed bar."""
    for tpm, period, kind, minutes in ((1_000_000, 6, "sliding", 60), (5_000_000, 1, "sliding", 20), (5_000_000, 1, "aligned", 20)):
        bar = known_tokens(tpm, period, kind, "admission", minutes)
        seen = (informed(bar, deviations) for deviations in _DEVIATIONS)
        sys.stdout.write(f"{bar.name:45} " + "  ".join(f"{makespan:.4f} {refused:.2%}" for makespan, refused in seen) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
