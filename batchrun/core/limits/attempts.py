"""The rule for attempts, which all cost one: what a refusal says of the rate.

Theory of operation. *A quota that is known* is kept to by an even rate, a margin under it (`margin.py`); that is all, if a margin helps.

*A quota that is to be found* shows at a refusal: the window is full, and what went in it is the quota (`windows.py`). The rate is held a
fiftieth under that. Where hardly anything had gone when refusals came in a row, others had filled it: no rate is shown, and what goes grows
as at first once they are over. When the climb after it is refused, the rate falls back, and by how much depends on the window:

- *A minute*: what went in the last minute is the quota, and the rate is that again.
- *Six seconds*: the rate that filled them is that of three seconds before, their middle; a twentieth less, since it was too much. Where
  the last minute agrees it corrects that guess: it is measured over more.
- *Six seconds with room for a few attempts only*: they are counted one by one. The rate is a whole number of them, and stays as it was as
  long as the climb was refused with one more in the window at the most: an aligned window lets a faster pace through for a while, and
  refuses at its end. Only if that comes again and again is it tried whether there is room for one more.

A refusal while the rate is held, and not climbing, takes it a hundredth lower.

A quota that is known and turns out to be lower is found in the same way: where no margin helps, from what the full window held.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field
from math import inf
from typing import ClassVar

from batchrun.core.classes import slotted
from batchrun.core.limits.buckets import Bucket
from batchrun.core.limits.climb import Climb
from batchrun.core.limits.counting import Counting
from batchrun.core.limits.margin import Margin
from batchrun.core.limits.room import Room
from batchrun.core.limits.rules import UNDER, Rule
from batchrun.core.limits.use import SINCE
from batchrun.core.limits.windows import LONG, SHORT, Held, differ

_UNDER_A_GUESS = 0.955
"""Of the rate of three seconds before a refusal, where a window is short."""
_LOWER = 0.99
"""Of a held rate: what a refusal makes of it."""
_HOLD_LEAST, _HOLD_MOST, _HOLD_ATTEMPTS = 30.0, 140.0, 200
"""A hold lasts for so many attempts, within so many seconds: on a small quota, each refusal is a larger share of the calls. Where the
window is a minute it is a minute, or two: if it is aligned, the climb then begins when it does, and its end tells whether that was much."""
_NO_LOWER = 0.4
"""Of a rate that was found over a minute: what one refusal makes of it at the least. Refusals in a row show more."""
_OTHERWISE = 0.3
"""What a window that is not the full one holds more or less at two refusals, at the least."""
_ALL_BUT = 0.1
"""Of an attempt: what a window may lack of it."""
_FILLED = 0.5
"""Of a minute's quota that was found: a minute that holds less is not full."""
_NOTHING = 2.0
"""Usual attempts: less in a minute is nothing, for some of it may be refused yet. Then others had filled the quota: no rate is shown."""
_FEW, _SEEN = 20, 3
"""Attempts in a window that are so few that each is a large part of it; and how many climbs in a row are refused with one more in it before
it is tried whether there is room for that."""


def short_hold(climb: Climb) -> float:
    """For how many seconds a rate is held, where the window is short."""
    return max(_HOLD_LEAST, min(_HOLD_MOST, _HOLD_ATTEMPTS * climb.use.typical / climb.held))


@slotted
class Attempts:
    """Of one pace; told the time."""

    climb: Climb
    margin: Margin
    _one_more: int = 0
    """Climbs in a row that were refused with one attempt more in the window."""
    counting: Counting = field(default_factory=Counting)
    room: Room | None = None
    reads_each: ClassVar[bool] = False

    @property
    def has_fallen(self) -> bool:
        """No refusal shows that by itself."""
        return False

    def makes_up_for(self, rate: float) -> float:  # noqa: ARG002 - at any rate.
        """Nothing waits for room."""
        return 0.0

    def took(self, now: float, amount: float) -> None:  # noqa: ARG002 - all cost one.
        """Narrow the margin."""
        margin = self.margin
        if margin.share > margin.least:
            margin.narrow()

    def may_be_full(self, now: float, launched_at: float, cost: float) -> bool:  # noqa: ARG002 - all cost one, at any time.
        """Not a minute that was found, where it holds half of that: it is filling anew after an episode."""
        climb = self.climb
        return climb.held == inf or climb.windows.window < LONG or climb.use.trail.sum(now, LONG) >= _FILLED * climb.held * LONG

    def had_room(self, now: float, launched_at: float, cost: float) -> bool:  # noqa: ARG002 - nothing is reckoned of it.
        """Nothing speaks for it."""
        return False

    def refused(self, now: float, launched_at: float, cost: float, bucket: Bucket | None) -> float | None:
        """The rate has come to the quota, or was over it by chance."""
        self._keep_further_under(now, launched_at, cost)
        climb, windows = self.climb, self.climb.windows
        if climb.held == inf:
            if not self.margin.is_in_vain:
                return None
            self.margin.quota_is_doubted = False
            self.note_full(now, launched_at)
            return UNDER * self._full_rate(windows.at_last)
        rate, window = climb.rate(now), windows.window
        self.note_full(now, launched_at)
        if window == LONG != windows.window:
            return min(rate, windows.at_last.short * _UNDER_A_GUESS)
        return self._fallen(now, launched_at, bucket)

    def _keep_further_under(self, now: float, launched_at: float, cost: float) -> None:  # noqa: ARG002 - all cost one, at any time.
        if self.climb.held == inf:
            self.margin.widen()

    def refused_too(self, now: float, times: float, cost: float) -> None:  # noqa: ARG002 - all cost one, at any time.
        """Widen the margin."""
        self.margin.widen(times)

    def refused_again(self, now: float, launched_at: float, cost: float) -> None:  # noqa: ARG002 - all cost one.
        """Note what the windows held."""
        self.note_full(now, launched_at)

    def note_full(self, now: float, launched_at: float = math.inf, *, first: bool = False) -> None:
        """A window that holds the same at two refusals while the other does not is the one that was full."""
        windows = self.climb.windows
        before = windows.note(now, launched_at, 0.0, first=first)
        if differ(windows.at_last.short, before.short, _OTHERWISE) and windows.is_minute_as(before):
            windows.window = LONG
        elif windows.window == LONG and windows.is_no_minute:
            windows.window = SHORT

    def held_before(self, now: float) -> float | None:  # noqa: ARG002 - nothing is reckoned of it.
        """Nothing speaks for that one."""
        return None

    def fell(self, now: float, lasted: float) -> float:
        """What the full window held is the quota."""
        climb, windows = self.climb, self.climb.windows
        if climb.is_cold and min(windows.at_first.minute, windows.at_last.minute) * LONG < _NOTHING * climb.use.typical:
            windows.window = SHORT
            return inf
        if not climb.is_cold and windows.is_no_window(lasted):
            return climb.rate(now)
        windows.of_answers = False
        windows.end_episode(now, lasted)
        if windows.of_answers:
            return min(climb.rate(now), windows.least * UNDER)
        rate = self._full_rate(windows.at_first if climb.is_cold else windows.at_last)
        # A quota that others used up but for a little says nothing at first but that there is one.
        least = climb.use.typical if climb.is_cold else 0.0
        if climb.is_cold and not lasted:
            # The windows held as much when the next attempt was taken: they were not full, and what went until then is a rate that may be.
            rate *= SHORT / max(SINCE, min(SHORT, windows.first_at - climb.use.began))
        return min(climb.rate(now), max(least, rate * UNDER))

    def _full_rate(self, held: Held) -> float:
        """What the window took when it was full: filled in a rush at first, and evenly later, when the quota may have fallen since."""
        if self.climb.windows.window == LONG:
            return held.minute
        return max(held.short, held.minute) if self.climb.held == inf else held.short

    def _fallen(self, now: float, launched_at: float, bucket: Bucket | None) -> float:
        """The rate to hold after a refusal at a rate that was found."""
        climb, windows = self.climb, self.climb.windows
        rate = climb.rate(now)
        if windows.window == LONG:
            if bucket is not None:
                bucket.pay(now, climb.use.typical)
            exactly = windows.exactly(LONG, launched_at)
            held = windows.at_last.minute if exactly is None else exactly / LONG
            return min(rate, max(held * UNDER, _NO_LOWER * rate))
        few = windows.exactly(SHORT, launched_at)
        if few is not None and climb.held * SHORT / 2 <= few <= _FEW:
            return self._of_few(now, few)
        return self._of_many(rate)

    def _of_many(self, rate: float) -> float:
        """What filled six seconds, of a climb that had come to *rate*."""
        before, minute = self.climb.before(SHORT / 2), self.climb.windows.at_last.minute
        guess = before * _UNDER_A_GUESS
        if minute >= 0.9 * before:
            guess = max(minute * 0.98, min(guess, minute * 1.02))
        return min(rate * _LOWER, guess)

    def _of_few(self, now: float, few: int) -> float:
        """As many attempts a window as the window had room for when it held a *few*; what a climb added one to at the most is as it was."""
        before = math.ceil(self.climb.held * SHORT - _ALL_BUT)
        climbed = now >= self.climb.until
        self._one_more = self._one_more + 1 if climbed and few == before + 1 else 0
        if climbed:
            few = few if few > before + 1 or self._one_more == _SEEN else min(few, before)
        elif few >= before:
            return self.climb.held * _LOWER
        return UNDER * few / SHORT

    def corrected(self, more: float) -> None:
        """All cost one."""

    def when_held(self, now: float) -> Rule:  # noqa: ARG002 - whenever that is.
        """Go on."""
        return self

    def begin_hold(self, now: float) -> float:  # noqa: ARG002 - whenever that is.
        """As long as a few hundred attempts take."""
        shorter = short_hold(self.climb)
        if self.climb.windows.window == LONG:
            return LONG if shorter < _HOLD_MOST else 2 * LONG
        return shorter

    def when_forgotten(self) -> Rule:
        """Go on."""
        return self

    def learnt(self) -> dict[str, float]:
        """The margin under a quota that is known, and else the rate and its window."""
        if self.climb.quota < inf:
            return {"margin": self.margin.share} if self.margin.share > self.margin.least else {}
        return self.climb.learnt()

    def teach(self, kept: Mapping[str, object], now: float) -> float | None:  # noqa: ARG002 - whenever that is.
        """The same."""
        if self.climb.quota < inf:
            self.margin.teach(kept.get("margin"))
            return None
        return self.climb.windows.teach(kept)

    def keep_steady(self) -> None:
        """A margin narrows whoever is there."""
