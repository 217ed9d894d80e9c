"""How fast one thing may go: a quota that is known is kept to, one that is not is found.

Theory of operation. A provider counts in windows (one second, six, sixty; aligned or sliding) and refuses what is too much; what it
refuses does not count. A pace answers one question, at every call: when may the next one go? It keeps

- *a bucket* (`buckets.py`), which pays what goes, and fills at the rate: a margin under a known quota (`margin.py`), or what was found,
  whichever is less (`climb.py`);
- *an account* of what went and what of it was answered (`use.py`);
- *a rule* (`rules.py`) for the kind of quota that it is: what else keeps an attempt back, and what a refusal says of the rate.

Refusals come in two ways. One that comes alone is *eased*: the rule says what rate to hold from now on, if any. Before that it is asked
whether it is chance (`noise.py`). Refusals in a row make an episode, and when that is over the rule says what rate was *found*. Whatever
rate is held is set in one place, and climbs again after its hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from math import inf

from batchrun.core.classes import slotted
from batchrun.core.limits.buckets import Bucket
from batchrun.core.limits.climb import Climb
from batchrun.core.limits.counting import Counting
from batchrun.core.limits.margin import Margin
from batchrun.core.limits.noise import Noise
from batchrun.core.limits.room import Room
from batchrun.core.limits.rules import Rule
from batchrun.core.limits.use import NEVER_LONGER, USUAL_LEARNS, Use
from batchrun.core.limits.windows import LONG, Windows

_CATCH_UP, _STRICT_CATCH_UP = 0.03, 0.005
"""Seconds that may be saved up for a loop that wakes late; as long as nothing was refused, and after."""
_COLD_SECONDS, _COLD_UNDER = 5.0, 0.9
"""Where nothing is known and refusals are too many to be chance: over how many seconds, or a minute, the rate is looked at; and how much of
it is held."""


@slotted
class Pace:
    """The rate of one unit (attempts, tokens) of one quota; told the time. Rates are units a second."""

    climb: Climb
    margin: Margin
    rule: Rule
    quota: float = field(init=False)
    """Known; infinity where it is to be found."""
    is_bounded: bool = field(init=False)
    """A quota is known or was found: otherwise anything may go at any time."""
    use: Use = field(init=False)
    counting: Counting = field(init=False)
    room: Room | None = field(init=False)
    """Both the rule's."""
    holds: bool = False
    """A rate that was found, or one that has climbed to the known quota since it was last looked at."""
    _bucket: Bucket | None = None
    """None while nothing bounds it."""
    _free_since: float = inf
    """From when on the rate keeps the next one back no more; infinity before that is asked, or while it is to be found and room keeps
    nothing back: then only that is made up for."""
    _as_of: float = -inf
    """When it was last seen to that the bucket fills at the rate: once a moment is enough, as long as nothing is learnt."""

    def __post_init__(self) -> None:
        self.quota, self.use = self.climb.quota, self.climb.use
        self.is_bounded = self.quota < inf
        self._go_by(self.rule)

    def _go_by(self, rule: Rule) -> None:
        self.rule, self.counting, self.room = rule, rule.counting, rule.room
        self._as_of = -inf

    # When the next may go, and what goes.

    def rate(self, now: float) -> float:
        """The rate at *now*; infinity where nothing bounds it."""
        return min(self.quota * (1 - self.margin.share), self.climb.rate(now))

    def gap(self, now: float) -> float:
        """Seconds between two usual attempts."""
        return self.use.typical / self.rate(now)

    def free_at(self, now: float, cost: float = 1.0) -> float:
        """When the next may go, which is expected to cost so much."""
        bucket, room, quota = self._bucket if now == self._as_of else self._at(now), self.room, self.quota
        if bucket is None:
            return now
        due = bucket.free_at(now)
        if room is not None:
            at = room.free_at(now, quota if self.climb.held == inf else self.climb.counted(now), cost, due)
            if self._free_since == inf and not self.counting.told:
                self._free_since = max(bucket.paid_until, self.use.launched_at)
            elif due < self._free_since and (at > due or not self.counting.told):
                self._free_since = due
            return at
        # A known quota's debt is waited for however long it is; debt at a guess, for no longer than the slowest rate has it.
        return due if quota < inf or due <= now else max(now, min(due, self.use.launched_at + NEVER_LONGER))

    def make_up_for(self, seconds: float) -> None:
        """Its pool held the next one back for so long: a rate that was found loses no time by it; one that is known loses none anyway."""
        if self._bucket is not None and self.counting.told:
            self._bucket.make_up_for(seconds, self.rule.makes_up_for(self._bucket.rate))

    def make_up_for_nothing(self, now: float) -> None:
        """Take note that what held the next one back until *now*, unless it was room, is to cost the rate its time."""
        if not self.counting.told:
            self._free_since = now

    def pay(self, now: float, cost: float) -> None:
        """Take the cost of an attempt that goes now."""
        use = self.use
        if self.is_bounded and (bucket := self._bucket if now == self._as_of else self._at(now)) is not None:
            if self.room is not None:
                # Something else held it back since then: room, another rate, slots.
                if (lost := now - self._free_since) > 0.0:
                    bucket.make_up_for(lost, self.rule.makes_up_for(bucket.rate))
                self._free_since = inf
                self.room.pay(now, cost)
            bucket.pay(now, cost)
        use.launched_at = now
        self.climb.noise.tries += 1
        half = use.trail.latest
        if 2.0 * now < half.until:
            half.amount += cost
        else:
            use.go_on(now, cost)
        if use.latest is not None:
            use.latest.went.append(now)

    def pay_back(self, cost: float) -> None:
        """Give back what was paid too much, or pay what was too little."""
        if self._bucket is not None:
            self._bucket.pay_back(cost)
        self.use.trail.latest.amount -= cost

    def took(self, now: float, amount: float) -> None:
        """The provider took an attempt of *amount*."""
        use, margin = self.use, self.margin
        answers = use.answers
        if answers is not None:
            half = answers.latest
            if 2.0 * now < half.until:
                half.amount += amount
            else:
                answers.add(now, amount)
        if self.holds:
            use.taken.add(now, amount)
        use.typical += (amount - use.typical) * USUAL_LEARNS
        if self.room is not None or margin.share > margin.least:
            self.rule.took(now, amount)
            self._as_of = -inf

    # What refusals show.

    @property
    def held(self) -> float:
        """The rate that was found; infinity where nothing was refused yet, and where a known quota holds again."""
        return self.climb.held

    @property
    def is_found(self) -> bool:
        """Whether a rate was found that holds."""
        return self.climb.held < inf

    @property
    def window(self) -> float:
        """Seconds that the provider counts over, as far as refusals have shown."""
        return self.climb.windows.window

    @property
    def counts_minutes(self) -> bool:
        """Whether refusals have shown that the window is a minute."""
        return self.climb.windows.window == LONG

    @property
    def noise(self) -> float:
        """Of the attempts: what is refused whatever the rate."""
        return self.climb.noise.share

    @property
    def noise_so_far(self) -> float:
        """The same, or what was refused since the rate was set, if that is more."""
        return self.climb.noise.so_far

    def uncount(self, launched_at: float, cost: float) -> None:
        """Take note that *cost* was paid for what the provider did not count."""
        self.use.uncount(launched_at, cost)

    def may_be_full(self, now: float, launched_at: float, cost: float) -> bool:
        """Whether the window may have been full when an attempt was refused, if what was found of it holds."""
        return self.rule.may_be_full(now, launched_at, cost)

    def is_chance(self, now: float, *, had_room: bool = False) -> bool:
        """Count a refusal that came alone, of what surely *had room* or not; say whether it may be none of the rate's doing."""
        climb, noise = self.climb, self.climb.noise
        noise.refusals += 1
        if climb.held == inf:
            return self._is_chance_yet(now)
        if (had_room and noise.had_room()) or noise.is_usual:
            return True
        if now >= climb.until:
            noise.climbed(climb.held)
            return False
        back = noise.broke(climb.held)
        if back is not None:
            self.hold(now, back)
        return back is not None

    def count_beside(self) -> None:
        """Count a refusal that came with another one, and says nothing more of the rate."""
        self.climb.noise.beside += 1

    def blame_rate(self) -> None:
        """Take note that refusals were shown to be the rate's doing: a known quota may be lower than it was named, and noise less."""
        self.margin.quota_is_doubted = self.quota < inf
        self.climb.noise.share /= 2

    def _is_chance_yet(self, now: float) -> bool:
        if self.climb.noise.is_chance_yet():
            return True
        self.hold(now, _COLD_UNDER * max(self.use.rate(now, _COLD_SECONDS), self.use.rate(now, LONG)))
        return False

    def ease(self, now: float, launched_at: float, cost: float) -> None:
        """Take note of a refusal that only says that the rate has come to the quota, or was over it by chance."""
        rate = self.rule.refused(now, launched_at, cost, self._bucket)
        self._as_of = -inf
        if rate is not None:
            self.hold(now, rate)

    def refused_too(self, now: float, times: float, cost: float) -> None:
        """Take note of a refusal that belongs to another: go further under the quota, if it is known, so many times."""
        self.rule.refused_too(now, times, cost)
        self._as_of = -inf

    def begin_episode(self, now: float) -> None:
        """Take note of refusals in a row: what the windows held."""
        self.rule.note_full(now, first=True)
        self._as_of = -inf

    def refused_with_it(self, cost: float) -> None:
        """Take note that what was under way at the first refusal was refused as well: the windows did not hold it."""
        self.climb.windows.take_back(cost)

    def refused_again(self, now: float, launched_at: float, cost: float) -> None:
        """Take note of the refusal of an attempt that was let through to try."""
        self.rule.refused_again(now, launched_at, cost)
        self._as_of = -inf

    def correct(self, launched_at: float, more: float) -> None:
        """Take note that what went before the latest refusals came to so much *more* than was thought then."""
        if self.climb.windows.correct(launched_at, more) and self.is_found:
            self.rule.corrected(more)
            self._as_of = -inf

    def was_chance(self, now: float, lasted: float) -> bool:
        """Whether an episode was, whose refusals *lasted* so many seconds: the next one was taken though the window held as much.

        Then the rate is what it was before.
        """
        before = None if lasted else self.rule.held_before(now)
        if before is not None and before != self.held:
            self.hold(now, before)
        return before is not None

    def find(self, now: float, lasted: float) -> None:
        """Set the rate after an episode whose refusals *lasted* so many seconds."""
        rate = self.rule.fell(now, lasted)
        if rate < inf:
            self.hold(now, rate)

    def hold(self, now: float, rate: float) -> None:
        """Hold a rate from now on."""
        self._go_by(self.rule.when_held(now))
        self.climb.hold(now, rate)
        self.is_bounded = self.holds = True
        self.climb.until = now + self.rule.begin_hold(now)

    def forget(self) -> None:
        """Let go of what was found: it was another quota's doing."""
        self.climb.held = inf
        self.is_bounded = self.quota < inf
        if not self.is_bounded:
            self._bucket = None
        self._let_go()

    def begin_anew(self) -> None:
        """Let go of all that refusals taught: they were no rate's doing."""
        self.forget()
        self.climb.windows, self.climb.noise = Windows(self.use), Noise(has_others=self.climb.noise.has_others)

    def _let_go(self) -> None:
        self.holds = False
        self._go_by(self.rule.when_forgotten())

    # What is kept.

    def learnt(self) -> dict[str, float]:
        """Return what was found, to be kept."""
        return self.rule.learnt()

    def teach(self, kept: Mapping[str, object], now: float) -> None:
        """Begin with what an earlier opening found; what is no such number is passed over."""
        rate = self.rule.teach(kept, now)
        self._as_of = -inf
        if rate is not None:
            self.hold(now, rate)

    def _at(self, now: float) -> Bucket | None:
        self._as_of = now
        bucket, climb, margin, ahead = self._bucket, self.climb, self.margin, self.counting.ahead
        rate = self.quota * (1 + ahead if ahead else 1 - margin.share)
        if self.holds and (found := climb.rate(now)) < inf:
            rate = min(rate, found * (1 + ahead))
        elif self.holds:
            self._let_go()
        if bucket is not None and bucket.rate == rate:
            return bucket
        if rate == inf:
            self._bucket = None
            return None
        burst = rate * (_STRICT_CATCH_UP if margin.share > margin.least else _CATCH_UP)
        if bucket is None:
            self._bucket = Bucket(rate, burst)
        else:
            bucket.change(now, rate, burst)
        return self._bucket
