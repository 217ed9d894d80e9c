"""Refusals of a pool's calls that come by chance, and how they are told from a quota's.

Theory of operation. Some providers refuse one call in seven whatever is sent, because others keep them busy. Who takes each for a quota
goes slower without end. The two are told apart by a *trial*: half of what a quota took in a minute it takes again, whatever its window;
chance refuses as large a share of the half.

When one begins. In two looks in a row more was refused than finding a quota costs (or not much less, where not half as much is taken as
was), and one here and one there, as chance has it. Where a quota is known and kept to, next to nothing is refused: there a hundredth of the
calls is enough, once that has gone on for so long that the run gains by a trial. Without one each of them would widen the margin under the
quota, which no margin helps.

What it shows. Half of what was taken is sent, evenly, even where the rate has fallen lower by then; no refusal of it teaches anything. What
is refused of it is chance, as long as it is about as large a share as before, and no more than half; comes one here and one there still (a
window may be full yet); and hits all lanes as often as they send (a lane may have a quota of its own, which half of its pool's rate does
not mend).

Of chance follows: such a share of refusals is *explained*, and so are a few more that come together, as if those calls had never been
sent. All that limits see is what is refused beyond; they begin anew, and find a quota as if there were no chance. Every few minutes half is
tried again, for the share may be less by then, or more. Trials that agree are taken together, for a share that is set too large is filled
with refusals of the quota.

Where it is none, or comes together as chance hardly has it, a known quota is *doubted*: it may be lower than it was named
(`limits/margin.py`).
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import field
from enum import Enum, auto

from batchrun.core.classes import slotted
from batchrun.core.limits.buckets import Bucket
from batchrun.core.limits.use import NEVER_LONGER

_LOOKS_FOR, _LOOKS_AT, _UNEXPLAINED = 30.0, 50, 4
"""Seconds between two looks at what is refused, and calls, or refusals that are not explained. Two looks make a minute."""
_MORE, _MORE_OF_KNOWN, _MORE_LEAST = 0.08, 0.01, 3
"""The share of calls that no look at a quota costs, and no network where it is known; and refusals in each look that show more."""
_PAYS = 600.0
"""Seconds from the first refusal until so small a share is worth a trial."""
_FALLEN, _MORE_FALLEN, _REFUSED_FALLEN = 0.5, 0.04, 8
"""Of what was taken a second: where less is taken by now a smaller share is looked into, too, if as many were refused in both looks."""
_FADES, _SLOWEST = 0.9, 1 / NEVER_LONGER
"""Of what was taken a second: what counts of it at the next look; and of what is tried, the least."""
_DEVIATIONS = 2.0
"""By how many fewer come after a call that was taken than chance has it, at the most; and by how many trials differ that show the same."""
_HALF, _MOST, _SURELY = 0.5, 0.5, 8
"""Of what was taken a second: what is tried; of that, the largest share that is chance; and refusals that more of it makes at the least."""
_CLEARS_IN, _TRIES, _REFUSALS, _SHORTEST, _LONGEST = 6.0, 200, 24, 30.0, 300.0
"""Seconds until a trial counts, for windows may be full; calls, or refusals and seconds, that it takes; and the most of its seconds."""
_NONE, _FEWER = 3.0, 1.6
"""Refusals that were to be expected by now, where there are none, and more for each that there is: then it shows that there are fewer."""
_ALIKE, _REFUSED_LEAST = 0.4, 3
"""Of the share that was refused before: what is chance is more than that; and refusals that show any."""
_TOGETHER = 10.0
"""Refusals that are explained and may come together."""
_AGAIN, _AGAIN_TIMES = 600.0, 20.0
"""Seconds until half is tried again, at the least, and times what that took."""
_IN_VAIN, _IN_VAIN_MOST = 60.0, 3600.0
"""Seconds until it is tried again where nothing came of it: twice as many each time, up to so many."""


class Shown(Enum):
    """What calls of a pool have shown, that it has to heed."""

    SUSPICION = auto()
    """Refusals may be chance: half is tried."""
    CHANCE = auto()
    """They are."""
    RATE = auto()
    """They are their rate's doing, though the quota is known."""


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
        return is_less or is_much or self.counts.are_most_refused or now >= self.began + _LONGEST

    @property
    def shows_chance(self) -> bool:
        """Whether what was refused is chance."""
        tries, refused = self.counts.tries, self.counts.refused
        is_alike = refused >= _REFUSED_LEAST and refused > _ALIKE * self.before * tries
        return is_alike and self.counts.may_be_chance and self._is_spread

    @property
    def _is_spread(self) -> bool:
        """Whether lanes were refused as they sent, as far as chance lets them differ (Pearson, 1900)."""
        share, lanes = self.counts.share, len(self._tries)
        squares = sum((self._refused[lane] - share * tries) ** 2 / tries for lane, tries in self._tries.items())
        return squares <= share * (1 - share) * (lanes + 2.5 * math.sqrt(2 * lanes))


@slotted
class Chance:
    """Of one pool; told the time."""

    is_known: bool = False
    """Its quota is, and kept to: hardly anything is refused of it."""
    counts: bool = False
    """What goes is counted: something was refused within the latest two looks, or is explained."""
    share: float = 0.0
    """Of the calls: what is refused whatever is sent, at the most."""
    trial: Trial | None = None
    number: int = 0
    """Of the latest call."""
    _first: float = math.inf
    """When the first call was counted."""
    _spare: float = 0.0
    """Refusals that are explained by now."""
    _began: float = math.inf
    """When the latest look was."""
    _counts: Counts = field(default_factory=Counts)
    """Since then."""
    _before: Counts = field(default_factory=Counts)
    _before_began: float = math.inf
    """The same of the look before it."""
    _taken: float = 0.0
    """A second, of late."""
    _shown: Counts = field(default_factory=Counts)
    """What trials have shown that were alike: of those before the latest, ever less."""
    _again_at: float = -math.inf
    """Until then nothing is tried."""
    _in_vain: float = _IN_VAIN

    def sent(self, now: float, lane: str) -> Shown | None:
        """A call goes, and is counted; what is shown by then that was not before."""
        counts, trial = self._counts, self.trial
        counts.tries += 1
        if self.share:
            self._spare = min(_TOGETHER, self._spare + self.share)
        if trial is not None:
            trial.sent(now, lane)
            return self._end(trial, now) if trial.is_over(now) else None
        if self._began == math.inf:
            self._began, self._first = now, min(self._first, now)
            return None
        is_due = now >= self._began + _LOOKS_FOR and (counts.tries >= _LOOKS_AT or counts.unexplained >= _UNEXPLAINED)
        return self._look(now) if is_due else None

    def refused(self, launched_at: float, number: int, lane: str, *, may_be_chance: bool = True) -> bool:
        """A call of that *number* was refused; whether that is explained: not, where it *may be* none, for the provider says until when."""
        self.counts = True
        self._counts.refuse(number)
        if self.trial is not None:
            self.trial.refused(launched_at, number, lane)
            return may_be_chance
        if may_be_chance and self._spare >= 1.0:
            self._spare -= 1.0
            return True
        self._counts.unexplained += 1
        return False

    def _look(self, now: float) -> Shown | None:
        latest, both, began = self._counts, self._counts.with_those_of(self._before), self._before_began
        more = _MORE_OF_KNOWN if self.is_known and now >= self._first + _PAYS else _MORE
        is_more = all(each.is_more(more) for each in (latest, self._before))
        may_be_chance = latest.may_be_chance and self._before.may_be_chance
        self._taken = max(_FADES * self._taken, (latest.tries - latest.refused) / (now - self._began))
        self._before, self._before_began = latest, self._began
        self._counts, self._began = Counts(), now
        if began == math.inf:
            return None
        if not (both.refused or self.share):
            self.counts, self._began, self._before_began = False, math.inf, math.inf
            return None
        taken = (both.tries - both.refused) / (now - began)
        has_fallen = taken < _FALLEN * self._taken and both.unexplained >= max(_REFUSED_FALLEN, _MORE_FALLEN * both.tries)
        is_suspect = (is_more and may_be_chance) or (has_fallen and latest.may_be_chance)
        if now >= self._again_at and (self.share or is_suspect) and not both.are_most_refused:
            before = max(more, (both.refused - math.sqrt(both.refused)) / both.tries)
            # What is refused beyond a share that is known is a quota's.
            self.trial = Trial(max(_SLOWEST, _HALF * self._taken), now, min(before, self.share) if self.share else before)
            return Shown.SUSPICION
        return Shown.RATE if self.is_known and is_more and not may_be_chance else None

    def _end(self, trial: Trial, now: float) -> Shown | None:
        share, self.trial = self.share, None
        if trial.shows_chance:
            latest, before = trial.counts, self._shown
            self._shown = latest.with_those_of(Counts(before.tries // 2, before.refused // 2)) if latest.is_like(before) else latest
            self.share = self._shown.share_at_most
        else:
            self._shown, self.share = Counts(), 0.0
        self._spare = _TOGETHER if self.share else 0.0
        self._in_vain = _IN_VAIN if self.share else min(_IN_VAIN_MOST, 2 * self._in_vain)
        self._again_at = now + (max(_AGAIN, _AGAIN_TIMES * (now - trial.began)) if self.share else self._in_vain / 2)
        self._began, self._counts = now, Counts()
        self._before_began, self._before = math.inf, Counts()
        if self.share:
            return Shown.CHANCE if not share else None
        return Shown.RATE if self.is_known else None
