"""How fast one thing may go: a quota that is known is kept to, one that is not is found.

Theory of operation. A provider counts in windows (one second, six, sixty; aligned or sliding) and refuses what is too much; what it
refuses does not count.

*A known quota* is paced evenly, a margin under it. Half a percent is enough for every kind of window as long as nothing lies between; the
wobble of a network makes some calls come too early by chance. Each such refusal widens the margin by a quarter, each call that was taken
narrows it by three thousandths of that: so of n calls no more than some 0.35 % n + 21 are refused, beside those in flight at each, while
the margin is under its widest, a tenth: what is refused still is no pace's fault. Tokens are reckoned besides (`reckoning.py`): rows differ
in cost, and a large one waits until there is room for it in the provider's window, which is made up for after.

*An unknown quota* shows at a refusal: one of the windows is full, and what went in it is the quota. Which window it is shows in how long
refusals last, and in what the short window still holds by then. The rate is held just under what was found. After the hold it climbs: a
step, kept up for one window, which shows whether the quota is where it was; then by the third power of the time, so that a quota twice as
high is found within three minutes of its rise (a little more where it is a small one: each look costs a refusal, and few calls share it).
A refusal in the climb sets the rate anew, from the last minute where the window is one, and else from the rate of three seconds before,
which is what filled the window, corrected by the last minute's. Where a window has room for a few attempts only, they are counted one by
one: the rate is held at a whole number of them, the same as before as long as the climb was refused with one more in the window at the most
(an aligned one lets a faster pace through for a while, and refuses at its end). A window that holds the same at two refusals, while the
other does not, is the one that was full. Only what is answered lets a rate climb, and only while it is used.
Where attempts differ in what they cost, what was found is reckoned with as a known quota is: large rows wait for room in the window, and as
much is kept free as guesses are off. What refusals then show of the quota, `found.py` tells.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

from batchrun.core.limits.buckets import NO_TIME, Bucket, Flow, Latest, Trail
from batchrun.core.limits.found import UNDER, Found
from batchrun.core.limits.reckoning import Reckoning

LEAST_MARGIN, LEAST_TOKEN_MARGIN, _MOST_MARGIN = 0.005, 0.001, 0.1
"""Of a known quota: what stays unused of attempts, of tokens (which are reckoned too), and at the most."""
_WIDER, _NARROWER = 1.25, 1 - 0.25 * 0.003
"""What a refusal, and an attempt that was taken, make of the margin."""

_UNDER_A_GUESS = 0.955
"""Of the rate of three seconds before a refusal, where a window is short."""
_HOLD_LEAST, _HOLD_MOST, _HOLD_ATTEMPTS = 30.0, 140.0, 200
"""A hold lasts for so many attempts, within so many seconds: on a small quota, each refusal is a larger share of the calls. Where the
window is a minute it is a minute, or two: if it is aligned, the climb then begins when it does, and its end tells whether that was much."""
_HOLD_ROWS = 300
"""The same of rows that differ in what they cost: a minute where so many go in it, or else two."""
_STEP, _CUBE = 0.045, 1e-4
"""A climb's share of the held rate: the step that it begins with and stays on for one window, which would show that it is too much; and
after that the cube of the seconds, so that it is twice as much after 21 of them."""
_STEPS = 0.1
"""Seconds between two looks at the climb."""
_USED, _ANSWERED = 0.8, 0.4
"""Of the rate: what must be sent, and what must be answered of late, for the climb to go on."""
_SHORT, _LONG = 6.0, 60.0
_LASTS_LONG = 6.5
"""Seconds of refusals that a window of six seconds cannot explain."""
_DRAINED = 0.3
"""Of what a short window held at first: a refusal when it holds less than that is a longer window's."""
_HELD_LESS = 0.7
"""Of what a short window was found to hold: what holds less with a row that was refused is not the window that is full."""
_CATCH_UP, _STRICT_CATCH_UP = 0.03, 0.005
"""Seconds that may be saved up for a loop that wakes late; as long as nothing was refused, and after."""
_COLD_TRIES, _COLD_REFUSALS, _COLD_SHARE, _COLD_UNDER = 400, 3, 0.02, 0.9
_SINCE = 0.5
"""Seconds that a rate is at least the mean of, where a run has just begun."""
_BROKEN_HOLDS, _LOWER, _MOST_NOISE, _JUDGED_BY = 3, 0.95, 0.1, 100
_ALL_BUT, _LATE = 0.1, 0.05
"""Of an attempt: what a window may lack of it; and how many seconds one may have come later to the provider than another."""
_FEW, _SEEN = 20, 3
"""Attempts in a window that are so few that each is a large part of it; and how many climbs in a row are refused with one more in it before
it is tried whether there is room for that."""
_NEVER_LONGER = 15.0
"""Seconds that debt keeps the next attempt waiting where the quota is a guess."""
_USED_BY = 10
"""Attempts that show whether a rate is used; at the slowest one, they take as long as a trail remembers."""
_USED_BY_ROWS, _USED_OF_ROWS = 20, 0.5
"""The same of rows that differ in what they cost, and of the rate: a few large ones, and the waits for them, are no sign of want."""


@dataclass(slots=True)
class Pace:
    """The rate of one unit (attempts, tokens) of one quota; told the time. Rates are units a second."""

    quota: float = math.inf
    """Known; infinity where it is to be found."""
    held: float = math.inf
    """The rate that was found; infinity where nothing was refused yet, and where a known quota holds again."""
    window: float = _SHORT
    """Seconds that the provider counts over, as far as refusals have shown."""
    least_margin: float = LEAST_MARGIN
    """Under a known quota, before anything was refused."""
    trail: Trail = field(default_factory=lambda: Trail(round(_USED_BY * _NEVER_LONGER)))
    """What went and was not refused."""
    typical: float = 1.0
    """Units of a usual attempt."""
    latest: Latest | None = None
    """Of attempts whose quota is to be found: those of a short window, where they are few."""
    differs: bool = False
    """Attempts differ in what they cost, by a quota that is to be found."""
    reckoning: Reckoning | None = None
    """Of a quota whose attempts differ in what they cost, known or found."""
    found: Found | None = None
    """What refusals have shown of a quota that is to be found, where attempts differ in what they cost."""
    margin: float = field(init=False)
    """Under a known quota."""
    _taken: Flow = field(default_factory=Flow)
    _held_until: float = -math.inf
    _climbed: float = 0.0
    _looked_at: float = -math.inf
    _at_first: tuple[float, float] = (0.0, 0.0)
    _at_last: tuple[float, float] = (0.0, 0.0)
    _first_at: float = 0.0
    _began: float = math.inf
    """When the first attempt went."""
    _paid_at: float = -math.inf
    noise: float = 0.0
    """Of the attempts: what is refused whatever the rate."""
    _tries: int = 0
    _refusals: int = 0
    """Since the rate was last set."""
    _judged: bool = False
    """The latest hold was looked at."""
    _broken: int = 0
    """Holds in a row that a refusal broke."""
    _fell_from: float = math.inf
    """The rate before the first of them."""
    _bucket: Bucket | None = None
    _untried: bool = False
    """The rate is of a window that a climb was refused in: it may be one attempt too many."""
    _one_more: int = 0
    """Climbs in a row that were refused with one attempt more in the window."""

    def __post_init__(self) -> None:
        self.margin = self.least_margin

    @property
    def is_bounded(self) -> bool:
        """Whether a quota is known or was found: otherwise anything may go at any time."""
        return self.quota != math.inf or self.held != math.inf

    def rate(self, now: float) -> float:
        """The rate at *now*; infinity where nothing bounds it."""
        return min(self.quota * (1 - self.margin), self._found(now))

    def free_at(self, now: float, cost: float = 1.0) -> float:
        """When the next may go, which is expected to cost so much."""
        bucket = self._at(now)
        if bucket is None:
            return now
        free = bucket.free_at(now)
        if self.reckoning is not None:
            return self.reckoning.free_at(now, self.quota if self.held == inf else self._counted(now), cost, free)
        return free if self.quota < math.inf or free <= now else max(now, min(free, self._paid_at + _NEVER_LONGER))

    def _counted(self, now: float) -> float:
        """The rate that the provider is taken to count by."""
        return min(self.quota, self._found(now))

    def pay(self, now: float, cost: float) -> None:
        """Take the cost of an attempt that goes now."""
        if (self.quota != inf or self.held != inf) and (bucket := self._at(now)) is not None:
            if self.reckoning is not None:
                waited = self.reckoning.pay(now, cost)
                if waited:
                    most = self.reckoning.makes_up_for
                    bucket.make_up_for(waited, most if self.found is None else min(most, self.found.makes_up_for(bucket.rate)))
            bucket.pay(now, cost)
        self._paid_at = now
        if self._began == math.inf:
            self._began = now
        self._tries += 1
        half = self.trail.latest
        if 2 * now < half.until:
            half.amount += cost
        else:
            self.trail.add(now, cost)
        if self.latest is not None:
            self.latest.add(now)

    def pay_back(self, cost: float) -> None:
        """Give back what was paid too much, or pay what was too little."""
        if self._bucket is not None:
            self._bucket.pay_back(cost)
        self.trail.latest.amount -= cost

    def uncount(self, launched_at: float, cost: float) -> None:
        """Take note that *cost* was paid for what the provider did not count."""
        self.trail.latest.amount -= cost
        if self.latest is not None:
            self.latest.drop(launched_at)

    def took(self, now: float, amount: float) -> None:
        """The provider took an attempt of *amount*."""
        taken = self._taken
        if now - taken.at <= NO_TIME:
            taken.amount += amount
        else:
            taken.add(now, amount)
        self.typical += (amount - self.typical) * 0.05
        if self.reckoning is not None:
            self.reckoning.took(now, self.quota if self.held == inf else self._counted(now), amount)
        elif self.margin > self.least_margin:
            self.margin = max(self.least_margin, self.margin * _NARROWER)

    @property
    def is_found(self) -> bool:
        """Whether a rate was found that holds."""
        return self.held < math.inf

    @property
    def counts_minutes(self) -> bool:
        """Whether refusals have shown that the window is a minute."""
        return self.window == _LONG

    def gap(self, now: float) -> float:
        """Seconds between two usual attempts."""
        return self.typical / self.rate(now)

    def is_chance(self, now: float) -> bool:
        """Count a refusal that came alone; say whether it may be none of the rate's doing.

        Where nothing was found yet, a few in a hundred are, for a full window refuses one after the other. Where a rate is held, none are
        until holds have been broken again and again, each at a lower rate: what a lower rate does not mend is not its doing.
        """
        self._refusals += 1
        if self.held == math.inf:
            if self._tries > _COLD_TRIES:
                self._tries, self._refusals = self._tries // 2, self._refusals // 2
            chance = self._refusals <= _COLD_REFUSALS or self._refusals <= (_COLD_SHARE + 2 * self.noise) * self._tries
            if not chance:
                passed = now - self._began
                seconds, minute = max(_SINCE, min(5.0, passed)), max(_SINCE, min(_LONG, passed))
                self._hold(now, _COLD_UNDER * max(self.trail.sum(now, seconds) / seconds, self.trail.sum(now, minute) / minute))
            return chance
        if self.noise and self._refusals <= 1 + 2 * self.noise * self._tries:
            return True
        if now < self._held_until:
            self._broken += 1
            if self._broken >= _BROKEN_HOLDS and self._tries >= _JUDGED_BY and self.held <= _LOWER * self._fell_from:
                return self._is_noise(now)
        else:
            self._broken, self._fell_from = 0, self.held
        return False

    def _is_noise(self, now: float) -> bool:
        """Look at what holds at lower and lower rates have brought: a share of refusals that is small and stays is no quota's."""
        share = self._refusals / self._tries
        if share > _MOST_NOISE:
            return False
        self.noise = max(self.noise, share)
        self._broken = 0
        self._hold(now, max(self._fell_from, self.held))
        return True

    def refused_too(self, now: float, times: float, cost: float) -> None:
        """Take note of a refusal that belongs to another: go further under the quota, if it is known, so many times."""
        if self.found is not None:
            self.held = self.found.refused_beside(now, self.held, cost)
        elif self.reckoning is not None:
            self.reckoning.refused_too()
        else:
            self.margin = min(_MOST_MARGIN, self.margin * times)

    def ease(self, now: float, launched_at: float, cost: float) -> None:
        """Take note of a refusal that only says that the rate has come to the quota, or was over it by chance."""
        if self.found is not None:
            rate, climbing = self._found(now), now >= self._held_until
            held, window = self.found.refused(now, launched_at, self.held, rate, cost, climbing=climbing), self.window
            self.note_full(now, launched_at, cost)
            self._hold(now, self._counted_anew(held, window))
            return
        if self.reckoning is not None:
            self.reckoning.refused(now, launched_at, self._counted(now), cost)
        elif self.held == math.inf:
            self.margin = min(_MOST_MARGIN, self.margin * _WIDER)
        if self.held == math.inf:
            return
        self.note_full(now, launched_at)
        rate, minute = self._found(now), self._at_last[1]
        if self.window == _LONG:
            if self._bucket is not None:
                self._bucket.pay(now, self.typical)
            if (exactly := self._in(_LONG, launched_at)) is not None:
                minute = exactly / _LONG
            self._hold(now, min(rate, minute * UNDER))
        elif (few := self._in(_SHORT, launched_at)) is not None and self.held * _SHORT / 2 <= few <= _FEW:
            self._hold_few(now, few)
        else:
            before = self._climb_at(max(0.0, self._climbed - _SHORT / 2))
            guess = before * _UNDER_A_GUESS
            steady = minute >= 0.9 * before
            self._hold(now, min(rate * 0.99, max(minute * 0.98, min(guess, minute * 1.02)) if steady else guess))

    def _in(self, seconds: float, launched_at: float) -> int | None:
        """How many attempts a window held when one was refused in it, where they are so few that it is told exactly."""
        return None if self.latest is None else self.latest.since(launched_at - seconds - _LATE)

    def _hold_few(self, now: float, few: int) -> None:
        """Hold as many attempts a window as the window had room for when it held a *few*.

        An aligned one may have held one less, which was refused at its end. What a climb added one attempt to at the most is as it was.
        """
        before = math.ceil(self.held * _SHORT - _ALL_BUT)
        climbed = now >= self._held_until
        self._one_more = self._one_more + 1 if climbed and few == before + 1 else 0
        if climbed:
            untried = few > before + 1 or self._one_more == _SEEN
            most = few if untried else min(few, before)
        elif self._untried or few < before:
            most, untried = min(few, before - 1), self._untried
        else:
            self._hold(now, self.held * 0.99)
            return
        self._hold(now, UNDER * most / _SHORT)
        self._untried = untried

    def refused_with_it(self, cost: float) -> None:
        """Take note that what was under way at the first refusal was refused as well: the windows did not hold it."""
        short, minute = self._at_first
        self._at_first = max(0.0, short - cost / _SHORT), max(0.0, minute - cost / _LONG)

    def refused_again(self, now: float, launched_at: float, cost: float) -> None:
        """Take note of a refusal after a pause."""
        self.note_full(now, launched_at)
        if self.found is not None:
            self.found.refused_again(now, cost)

    def note_full(self, now: float, launched_at: float = math.inf, cost: float = 0.0, *, first: bool = False) -> None:
        """Remember what the windows held at a refusal, and would have with what was refused; it may be the *first* of an episode."""
        short, minute = self._at_last
        few = self._in(_SHORT, min(now, launched_at))
        self._at_last = (self.trail.sum(now, _SHORT) + cost if few is None else few) / _SHORT, self.trail.sum(now, _LONG) / _LONG
        if first:
            self._at_first, self._first_at = self._at_last, now
        drained = _differ(self._at_last[0], short, 0.3) if self.found is None else cost > 0 and self._at_last[0] < _HELD_LESS * self.held
        if drained and not _differ(self._at_last[1], minute, 0.015):
            self.window = _LONG

    def find(self, now: float, lasted: float) -> None:
        """Set the rate after an episode whose refusals *lasted* so many seconds."""
        window = self.window
        if lasted > _LASTS_LONG or self._at_last[0] < _DRAINED * self._at_first[0]:
            self.window = _LONG
        # A quota that others used up says nothing at first but that there is one.
        least = self.typical if self.held == self.quota == math.inf else 0.0
        if self.found is not None:
            held = self.found.fell(self._found(now))
            self._hold(now, self._counted_anew(held, window))
            return
        rate = self._full_rate()
        if self.held == self.quota == math.inf and not lasted:
            # The windows held as much when the next attempt was taken: they were not full, and what went until then is a rate that may be.
            rate *= _SHORT / max(_SINCE, min(_SHORT, self._first_at - self._began))
        self._hold(now, min(self._found(now), max(least, rate * UNDER)))

    def learnt(self) -> dict[str, float]:
        """Return what was found, to be kept."""
        if self.reckoning is not None and not self.differs:
            return self.reckoning.learnt()
        if self.quota < math.inf:
            return {"margin": self.margin} if self.margin > self.least_margin else {}
        return {"rate": self.held, "window": self.window} if self.is_found else {}

    def teach(self, kept: Mapping[str, object], now: float) -> None:
        """Begin with what an earlier opening found; what is no such number is passed over."""
        rate, window, margin = (kept.get(name) for name in ("rate", "window", "margin"))
        if self.reckoning is not None and not self.differs:
            self.reckoning.teach(kept, now)
        elif self.quota < math.inf:
            if isinstance(margin, float) and self.least_margin <= margin <= _MOST_MARGIN:
                self.margin = margin
        elif isinstance(rate, float) and 0 < rate < math.inf:
            self.window = _LONG if window == _LONG else _SHORT
            self._hold(now, rate)

    def forget(self) -> None:
        """Let go of what was found: it was another quota's doing."""
        self.held = math.inf
        if self.quota == math.inf:
            self._bucket = None
        if self.differs:
            self.reckoning = self.found = None

    def _counted_anew(self, held: float, window: float) -> float:
        """The rate that is *held* by what a *window* showed; at least what went in a minute, if that window turned out too short."""
        return held if self.window == window else max(held, self._at_last[1] * UNDER)

    def _full_rate(self) -> float:
        """What the window took when it was full: filled in a rush at first, and evenly later, when the quota may have fallen since."""
        short, minute = self._at_first if self.held == self.quota == math.inf else self._at_last
        return minute if self.window == _LONG else max(short, minute) if self.held == math.inf else short

    def _hold(self, now: float, rate: float) -> None:
        if self.differs:
            if self.reckoning is None:
                self.reckoning = Reckoning(told=True)
                self.reckoning.begin(now, self.trail)
                self.found = Found(self.reckoning)
            self.reckoning.tell(now, self.window)
        self._judged = self._untried = False
        if not self._broken:
            self._fell_from, self._tries, self._refusals = rate, 0, 0
        self.held = min(max(rate, self.typical / _NEVER_LONGER), self.quota)
        self._looked_at = now
        self._climbed = 0.0
        shorter = max(_HOLD_LEAST, min(_HOLD_MOST, _HOLD_ATTEMPTS * self.typical / self.held))
        if self.found is None:
            whole = _LONG if shorter < _HOLD_MOST else 2 * _LONG
        else:
            whole = _LONG if _HOLD_ROWS * self.typical < self.held * _LONG else 2 * _LONG
        self._held_until = now + (whole if self.window == _LONG else shorter)
        self._taken.fades_in = max(5.0, 20 * self.typical / self.held)

    def _found(self, now: float) -> float:
        if self.held == math.inf or now < self._held_until:
            return self.held
        if not self._judged:
            self._judge_hold()
        passed = now - max(self._looked_at, self._held_until)
        if passed > _STEPS:
            if self._is_used(now, self._climb_at(self._climbed)):
                self._climbed += min(passed, 1.0)
            self._looked_at = now
        found = self._climb_at(self._climbed)
        if found >= self.quota:
            self.held = found = math.inf
        return found

    def _judge_hold(self) -> None:
        """A hold came to its end: what was refused in it is all the noise there is."""
        self._judged, self._broken = True, 0
        if self._tries >= _JUDGED_BY:
            self.noise = min(self.noise, (self.noise + self._refusals / self._tries) / 2)
        self._tries = self._refusals = 0

    def _is_used(self, now: float, rate: float) -> bool:
        """Whether what is sent keeps up with *rate*, and what is answered follows."""
        used_by, used = (_USED_BY, _USED) if self.found is None else (_USED_BY_ROWS, _USED_OF_ROWS)
        seconds = max(5.0, used_by * self.typical / rate)
        return self._taken.rate(now) >= _ANSWERED * rate and self.trail.sum(now, seconds) >= used * rate * seconds

    def _climb_at(self, climbed: float) -> float:
        return self.held * (1.0 + _STEP + _CUBE * max(0.0, climbed - self.window) ** 3) if climbed else self.held

    def _at(self, now: float) -> Bucket | None:
        bucket, ahead = self._bucket, 0.0 if self.reckoning is None else self.reckoning.ahead
        rate = self.quota * (1 + ahead if ahead else 1 - self.margin)
        if self.held != inf:
            rate = min(rate, self._found(now) * (1 + ahead))
        if bucket is not None and bucket.rate == rate:
            return bucket
        if rate == inf:
            self._bucket = None
            return None
        burst = rate * (_STRICT_CATCH_UP if self.margin > self.least_margin else _CATCH_UP)
        if bucket is None:
            self._bucket = Bucket(rate, burst)
        else:
            bucket.change(now, rate, burst)
        return self._bucket


def _differ(one: float, other: float, share: float) -> bool:
    return abs(one - other) > share * max(one, other)
