"""Refusals of a pool's calls that come by chance, and how they are told from a quota's.

Theory of operation. Some providers refuse one call in seven whatever is sent, because others keep them busy. Who takes each for a quota
goes slower without end. The two are told apart by a *trial*: half of what a quota took in a minute it takes again, whatever its window;
chance refuses as large a share of the half.

When one begins (`trial.py`: what it shows). In two looks in a row more was refused than finding a quota costs, or in each minute for two of
them, and one here and one there, as chance has it; much less is enough where not half as much is taken by now as was, before anything was
refused or since. Where a quota is known and kept to, next to nothing is refused: there a hundredth of the calls is enough, once that has
gone on for so long that the run gains by a trial. Without one each of them would widen the margin under the quota, which no margin helps.
Where it is unknown, twice as much is borne with as long as it may not be found yet.

Of chance follows: such a share of refusals is *explained*, and so are a few more that come together, as if those calls had never been
sent. All that limits see is what is refused beyond; they begin anew, and find a quota as if there were no chance. Every few minutes half is
tried again, for the share may be less by then, or more. Trials that agree are taken together, for a share that is set too large is filled
with refusals of the quota. So is one that has become less since: where far fewer are refused than it has, no trial is waited for.

Where it is none, or comes together as chance hardly has it, the *rate* is at fault: a known quota may be lower than it was named
(`limits/margin.py`), and of one that was found fewer refusals are noise (`limits/noise.py`).
"""

from __future__ import annotations

import math
from dataclasses import field
from enum import Enum, auto

from batchrun.core.classes import slotted
from batchrun.core.limits.use import NEVER_LONGER
from batchrun.core.scheduling.trial import Counts, Trial

_LOOKS_FOR, _LOOKS_AT, _UNEXPLAINED = 30.0, 50, 4
"""Seconds between two looks at what is refused, and calls, or refusals that are not explained. Two looks make a minute."""
_MORE_AT_FIRST, _MORE, _MORE_OF_KNOWN, _LEAST = 0.08, 0.04, 0.01, 0.005
"""The share of calls that finding a quota never costs, and no look at one that was found, and no network where it is known; and the least
that is looked for."""
_BEATS = 4
"""Looks in a row with a minute each in which more was refused: a minute's window may refuse all that it does in one half of each."""
_FOUND, _PAYS = 200.0, 600.0
"""Seconds from the first refusal until a quota is found; and until the share that a known one never costs is worth a trial."""
_FALLEN, _MORE_FALLEN, _REFUSED_FALLEN = 0.5, 0.015, 4
"""Of what was taken a second: where less is taken by now a smaller share is looked into, too, if as many were refused in both looks."""
_FEW = 0.15
"""Of the calls of the first look: if more are refused, what was taken before it is nothing that could be taken for long."""
_FADES, _SLOWEST, _HALF = 0.9, 1 / NEVER_LONGER, 0.5
"""Of what was taken a second: what counts of it at the next look; of what is tried, the least; and what is tried."""
_HOLDS = 40.0
"""Refusals that a share has come to since it was set: by then it is as large still."""
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
    """They are their rate's doing."""


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
    _minutes: int = 0
    """Looks in a row by which more was refused in the minute before."""
    _taken: float = 0.0
    """A second, of late."""
    _taken_at_first: float = 0.0
    """The same before anything was refused, until the first look."""
    _shown: Counts = field(default_factory=Counts)
    """What trials have shown that were alike: of those before the latest, ever less."""
    _since_set: Counts = field(default_factory=Counts)
    """Calls since the share was set, or since it was last seen to hold."""
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

    def begin(self, taken: float) -> None:
        """Something is about to be refused, and nothing was for long, while so many were *taken* a second."""
        self._taken, self._taken_at_first = 0.0, taken

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
        much = _MORE_AT_FIRST if self.is_known or now < self._first + _FOUND else _MORE
        more = _MORE_OF_KNOWN if self.is_known and now >= self._first + _PAYS else much
        self._minutes = self._minutes + 1 if both.is_more(much) else 0
        is_more = self._minutes >= _BEATS or all(each.is_more(more) for each in (latest, self._before))
        may_be_chance = latest.may_be_chance and self._before.may_be_chance
        self._taken = max(_FADES * self._taken, (latest.tries - latest.refused) / (now - self._began))
        if began == math.inf and latest.may_be_chance and latest.share <= _FEW:
            self._taken = max(self._taken, self._taken_at_first)
        self._taken_at_first = 0.0
        self._before, self._before_began = latest, self._began
        self._counts, self._began = Counts(), now
        if began == math.inf:
            return None
        if not (both.refused or self.share):
            self.counts, self._began, self._before_began = False, math.inf, math.inf
            return None
        if self.share:
            self._look_at_share(latest, now)
        taken = (both.tries - both.refused) / (now - began)
        has_fallen = taken < _FALLEN * self._taken and both.unexplained >= max(_REFUSED_FALLEN, _MORE_FALLEN * both.tries)
        is_suspect = (is_more and may_be_chance) or (has_fallen and latest.may_be_chance)
        if now >= self._again_at and (self.share or is_suspect) and not both.are_most_refused:
            before = max(_LEAST if has_fallen else more, (both.refused - math.sqrt(both.refused)) / both.tries)
            # What is refused beyond a share that is known is a quota's.
            self.trial = Trial(max(_SLOWEST, _HALF * self._taken), now, min(before, self.share) if self.share else before)
            return Shown.SUSPICION
        return Shown.RATE if is_more and not may_be_chance else None

    def _look_at_share(self, latest: Counts, now: float) -> None:
        """Lower the share where far fewer were refused since it was set."""
        counts = self._since_set = latest.with_those_of(self._since_set)
        if counts.is_surely_less(self.share):
            self._shown, self.share, self._spare = Counts(), counts.share_at_most, 0.0
            self._again_at = min(self._again_at, now + _AGAIN) if self.share else now
        if counts.tries * self.share >= _HOLDS or not self.share:
            self._since_set = Counts()

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
        self._before_began, self._before, self._since_set = math.inf, Counts(), Counts()
        if self.share:
            return Shown.CHANCE if not share else None
        return Shown.RATE
