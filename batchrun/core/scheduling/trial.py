"""Half of what was taken, tried: whether what is refused of it is chance.

Half of what was taken is sent, evenly, even where the rate has fallen lower by then; no refusal of it teaches anything. What is refused of
it is chance, as long as it is about as large a share as before, and no more than half; comes one here and one there still (a window may be
full yet); and hits all lanes as often as they send (a lane may have a quota of its own, which half of its pool's rate does not mend). Where
the rate had fallen, half of what was taken is more than it was by then: what refuses more of that is a quota, which fell.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import field

from batchrun.core.classes import slotted
from batchrun.core.limits.buckets import Bucket

_MORE_LEAST = 3
"""Refusals in a look that show more than a share."""
_DEVIATIONS = 2.0
"""By how many fewer come after a call that was taken than chance has it, at the most; and by how many trials differ that show the same."""
_MOST, _SURELY = 0.5, 8
"""The largest share that is chance; and refusals that more of it makes at the least, and that fewer of it leaves out."""
_CLEARS_IN, _TRIES, _REFUSALS, _SHORTEST, _LONGEST = 6.0, 200, 24, 30.0, 300.0
"""Seconds until a trial counts, for windows may be full; calls, or refusals and seconds, that it takes; and the most of its seconds."""
_NONE, _FEWER = 3.0, 1.6
"""Refusals that were to be expected by now, where there are none, and more for each that there is: then it shows that there are fewer."""
_SURELY_FEWER = 2.0
"""The same of calls that are counted until it shows: a share must not be taken for less by chance once a night."""
_ALIKE, _REFUSED_LEAST = 0.4, 3
"""Of the share that was refused before: what is chance is more than that; and refusals that show any."""
_TIMES, _BESIDE = 3.0, 4
"""Times that share, and so many refusals beside: what is more is no chance."""


@slotted
class Counts:
    """Calls, and what was refused of them."""

    tries: int = 0
    refused: int = 0
    unexplained: int = 0
    """Of these."""
    _alone: int = 0
    """Refused after one that was taken."""
    _latest: int = -1
    """The number of the call that was refused last."""

    def refuse(self, number: int) -> None:
        """A call was refused."""
        self.refused += 1
        self._alone += abs(number - self._latest) > 1
        self._latest = number

    def with_those_of(self, earlier: Counts) -> Counts:
        """Both together."""
        return Counts(self.tries + earlier.tries, self.refused + earlier.refused, self.unexplained + earlier.unexplained)

    @property
    def share(self) -> float:
        """Of the calls: what was refused."""
        return min(1.0, self.refused / max(1, self.tries))

    @property
    def share_at_most(self) -> float:
        """The same, and as much more as chance usually makes of it."""
        return (self.refused + math.sqrt(self.refused)) / self.tries

    def is_like(self, other: Counts) -> bool:
        """Whether such a share was refused as of the *other* ones, as far as chance lets them differ."""
        share = self.with_those_of(other).share
        variance = share * (1 - share) * (1 / max(1, self.tries) + 1 / max(1, other.tries))
        return abs(self.share - other.share) <= _DEVIATIONS * math.sqrt(variance)

    def is_surely_less(self, share: float) -> bool:
        """Whether far fewer were refused than such a *share*."""
        return share * self.tries >= _SURELY + _SURELY_FEWER * self.refused

    def is_more(self, share: float) -> bool:
        """Whether more is not explained than such a *share*."""
        return self.unexplained >= _MORE_LEAST and self.unexplained > share * self.tries

    @property
    def may_be_chance(self) -> bool:
        """Whether refusals come as chance has it, and are not most of what came."""
        share = self.share
        alone = (1 - share) * self.refused
        return self._alone >= alone - _DEVIATIONS * math.sqrt(share * alone) and not self.are_most_refused

    @property
    def are_most_refused(self) -> bool:
        """Whether more is refused than chance explains."""
        return self.refused >= _SURELY and self.refused > _MOST * self.tries


@slotted
class Trial:
    """Half of what was taken is sent."""

    rate: float
    began: float
    before: float
    """The share that was refused, at the least."""
    _bucket: Bucket = field(init=False)
    counts: Counts = field(default_factory=Counts)
    _tries: Counter[str] = field(default_factory=Counter)
    _refused: Counter[str] = field(default_factory=Counter)
    """By lane."""

    def __post_init__(self) -> None:
        self._bucket = Bucket(self.rate, 1.0)

    def free_at(self, now: float) -> float:
        """When the next call may go."""
        return self._bucket.free_at(now)

    def sent(self, now: float, lane: str) -> None:
        """A call goes."""
        self._bucket.pay(now, 1.0)
        if now >= self.began + _CLEARS_IN:
            self.counts.tries += 1
            self._tries[lane] += 1

    def refused(self, launched_at: float, number: int, lane: str) -> None:
        """A call was refused."""
        if launched_at >= self.began + _CLEARS_IN:
            self.counts.refuse(number)
            self._refused[lane] += 1

    def is_over(self, now: float) -> bool:
        """Whether it has shown what it can."""
        tries, refused = self.counts.tries, self.counts.refused
        is_less = self.before * tries >= _NONE + _FEWER * refused
        is_much = tries >= max(_TRIES, _SURELY / self.before) or (refused >= _REFUSALS and now >= self.began + _SHORTEST)
        return is_less or is_much or self._is_more or self.counts.are_most_refused or now >= self.began + _LONGEST

    @property
    def shows_chance(self) -> bool:
        """Whether what was refused is chance."""
        tries, refused = self.counts.tries, self.counts.refused
        is_alike = refused >= _REFUSED_LEAST and refused > _ALIKE * self.before * tries and not self._is_more
        return is_alike and self.counts.may_be_chance and self._is_spread

    @property
    def _is_more(self) -> bool:
        """Whether a larger share is refused than was before."""
        return self.counts.refused > _TIMES * self.before * self.counts.tries + _BESIDE

    @property
    def _is_spread(self) -> bool:
        """Whether lanes were refused as they sent, as far as chance lets them differ (Pearson, 1900)."""
        share, lanes = self.counts.share, len(self._tries)
        squares = sum((self._refused[lane] - share * tries) ** 2 / tries for lane, tries in self._tries.items())
        return squares <= share * (1 - share) * (lanes + 2.5 * math.sqrt(2 * lanes))
