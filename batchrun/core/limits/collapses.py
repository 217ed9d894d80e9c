"""Whether a rate that has fallen far is refused as often as before: then none of it was a quota's doing.

Theory of operation. Some providers refuse one call in seven whatever is sent, because others keep them busy. Who takes each refusal for a
quota goes slower without end: each lower rate is refused in its turn, and in the end one call goes every quarter of a minute. A quota is
told from that by this: at half the rate it refuses nothing.

So where a rate has halved, and no hold has passed meanwhile, half of what went is *tried*. For a few seconds windows that were full may
come free; then it is counted. If about the same share is refused as before, that is chance (`noise.py`), and the rate goes back to where
it had fallen from, if that was ever held for long, or else half of the way: it may have been a run's first rush. If less is refused, or
most of it, the rate is what it was before the trial.
"""

from __future__ import annotations

import math

from batchrun.core.classes import slotted

_HALF = 0.5
"""Of a rate: what it has fallen to, and what is tried."""
_REFUSED_LEAST, _LEAST, _MOST = 8, 0.05, 0.5
"""Refusals that are looked at; and shares of attempts: what no rate falls that far for by chance, and the largest that is chance."""
_ALIKE, _ALIKE_LEAST = 2.0, 3
"""Times the share that was refused before, up or down, that may be the same; and refusals that show any."""
_CLEARS_IN, _LONGEST = 6.0, 60.0
"""Seconds until a trial counts, and which it takes then at the most."""
_TRIES = 60
"""Attempts that a trial takes."""


@slotted
class Collapse:
    """Of one rate of attempts; told the time. Rates are attempts a second."""

    share: float = 0.0
    """Of the attempts of the latest trial: what was refused, at the most."""
    tries: int = 0
    _refused: int = 0
    """Since the rate was what it fell from; or since the trial counts."""
    _began: float = -math.inf
    """When."""
    _top: float = math.inf
    """The rate that it fell from."""
    _was_held: bool = False
    """That for as long as a hold lasts."""
    _before: tuple[int, int] = (0, 0)
    """Attempts, and refusals, before the trial."""
    _back: float = 0.0
    """The rate before the trial; 0: there is none."""
    _clears: bool = False
    """It does not count yet."""

    @property
    def is_trying(self) -> bool:
        """Whether half of the rate is tried."""
        return self._back > 0.0

    def seconds(self, rate: float) -> float:
        """For how long a *rate* that is tried is to be held."""
        return _CLEARS_IN if self._clears else min(_LONGEST, max(_CLEARS_IN, _TRIES / rate))

    def begin(self, now: float, rate: float, *, was_held: bool = False) -> None:
        """Look at a rate from now on."""
        self._began, self._top, self._was_held = now, rate, was_held
        self.tries = self._refused = 0
        self._back, self._clears = 0.0, False

    def fell_from(self, began: float, rate: float) -> None:
        """The first rate is found, after attempts went at another."""
        self._began, self._top = began, rate

    def hold(self, now: float, rate: float) -> None:
        """A rate is set."""
        if self._top == math.inf or (rate >= self._top and not self.is_trying):
            self.begin(now, rate)

    def refused(self, now: float, held: float) -> float | None:
        """An attempt was refused while a rate was *held*; the rate to hold, where that is to be another."""
        self._refused += 1
        if held == math.inf or self._refused < _REFUSED_LEAST:
            return None
        is_most = self._refused > _MOST * self.tries
        if self.is_trying:
            return self._end(now, is_chance=False) if is_most else None
        if is_most or self._refused < _LEAST * self.tries or held > _HALF * self._top:
            return None
        self._before = self.tries, self._refused
        self._back, self._clears = held, True
        rate = min(held, _HALF * self.tries / max(_HALF, now - self._began))
        self.tries = self._refused = 0
        return rate

    def passed(self, now: float, held: float) -> float | None:
        """A hold has passed; the rate to go on with, where that was tried."""
        if self._clears:
            self._clears, self.tries, self._refused = False, 0, 0
            return held
        if self.is_trying:
            return self._end(now, is_chance=self._is_alike)
        self.begin(now, held, was_held=True)
        return None

    @property
    def _is_alike(self) -> bool:
        """Whether such a share was refused as before."""
        tries, refusals = self._before
        chance = math.sqrt(refusals)
        least, most = (refusals - chance) / _ALIKE, (refusals + chance) * _ALIKE
        return self._refused >= _ALIKE_LEAST and least * self.tries <= self._refused * tries <= most * self.tries

    def _end(self, now: float, *, is_chance: bool) -> float:
        rate = self._back
        self.share = 0.0
        if is_chance:
            self.share = (self._refused + math.sqrt(self._refused)) / self.tries
            rate = self._top if self._was_held else max(rate, _HALF * self._top)
        self.begin(now, rate)
        return rate
