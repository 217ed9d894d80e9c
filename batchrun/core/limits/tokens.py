"""The rules for tokens: rows differ in what they cost, and are reckoned with.

Theory of operation. A rate alone keeps no quota of tokens: a row may cost as much as a window holds. So each row waits for its turn at the
rate, and for room in the window besides (`room.py`). While it waits for room, or for its turn in a pool that its lane shares, the rate goes
on, and what it had to give meanwhile is made up for after: several rows go at once then, so that this costs no time. Under a known quota so
is whatever else holds a row back: slots, and a quota of attempts that is known. So of two quotas the lesser is used, though large rows wait
for the one of tokens and small ones for the other.

*A known quota* is reckoned with from the start, and the window is found from refusals (`reckoning.py`). Where others use it too, or it is
lower than the job says (`unexplained.py`), it is found as if nothing had been known; once a climb has come to the known quota that holds
again, and how it is counted is learnt anew: what others made seem so is forgotten.

*One that is to be found* is bounded by nothing until a refusal shows it. From then on it is reckoned with too, over the window that
refusals have shown it to be counted over; what went before stands in the trail. What each refusal says of where the quota lies is worked
out in `found.py`. A climb that was refused in a hold's stead, and any other refusal too, shows that the quota has not risen: the hold
begins anew.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field
from math import inf
from typing import ClassVar, Self

from batchrun.core.classes import slotted
from batchrun.core.limits.attempts import Attempts, short_hold
from batchrun.core.limits.buckets import Bucket
from batchrun.core.limits.climb import Climb
from batchrun.core.limits.counting import Counting
from batchrun.core.limits.found import Found
from batchrun.core.limits.margin import Margin
from batchrun.core.limits.reckoning import Reckoning, ToldReckoning
from batchrun.core.limits.room import Room
from batchrun.core.limits.rules import UNDER, Rule
from batchrun.core.limits.use import OF_ATTEMPTS, OF_ROWS
from batchrun.core.limits.windows import LONG, SHORT

_FAR = 1.2
"""Times what a minute held: a rate that a climb came to, of which that says little."""
_HOLD_ROWS = 300
"""A hold lasts a minute where so many rows go in it, or else two."""


@slotted
class KnownTokens(Attempts):
    """Of a quota that is known."""

    reckoning: Reckoning = field(default_factory=Reckoning)

    def __post_init__(self) -> None:
        self.counting, self.room = self.reckoning.counting, self.reckoning.room

    def makes_up_for(self, rate: float) -> float:  # noqa: ARG002 - at any rate.
        """A part of the window."""
        return self.reckoning.counting.makes_up_for

    @property
    def has_fallen(self) -> bool:
        """Whether the latest refusals are none of this quota, if it is all there for this run."""
        return self.reckoning.others_use_it

    def may_be_full(self, now: float, launched_at: float, cost: float) -> bool:
        """Whether any window may have been, however the provider counts."""
        return self.reckoning.may_be_full(now, launched_at, self.climb.quota, cost)

    def took(self, now: float, amount: float) -> None:
        """Learn from it."""
        self.reckoning.took(now, self.climb.quota, amount)

    def _keep_further_under(self, now: float, launched_at: float, cost: float) -> None:
        self.reckoning.refused(now, launched_at, self.climb.quota, cost)

    def refused_too(self, now: float, times: float, cost: float) -> None:  # noqa: ARG002 - how much is learnt there.
        """Learn from it."""
        self.reckoning.refused_too(now, cost)

    def learnt(self) -> dict[str, float]:
        """How the provider counts."""
        return self.reckoning.learnt()

    def teach(self, kept: Mapping[str, object], now: float) -> float | None:
        """The same."""
        self.reckoning.teach(kept, now)
        return None

    def when_held(self, now: float) -> FoundTokens:
        """Reckon with what was found, as if nothing had been known."""
        reckoning = ToldReckoning(guesses=self.reckoning.guesses)
        reckoning.room.begin(now, self.climb.use.trail, self.climb.use.answers)
        return FoundTokens(self.climb, self.margin, Found(reckoning))

    def keep_steady(self) -> None:
        """Learn nothing more of how it counts."""
        self.reckoning.steady = True


@slotted
class UnknownTokens(Attempts):
    """Nothing was found yet."""

    def when_held(self, now: float) -> FoundTokens:
        """Reckon with what was found, from what went until now."""
        use, reckoning = self.climb.use, ToldReckoning()
        reckoning.room.begin(now, use.trail, use.answers)
        reckoning.counting.at_end = self.climb.windows.of_answers
        return FoundTokens(self.climb, self.margin, Found(reckoning, is_first=True, of_this_run=use.began < inf))

    def teach(self, kept: Mapping[str, object], now: float) -> float | None:  # noqa: ARG002 - whenever that is.
        """The rate, its window, and whether answers fill it."""
        windows = self.climb.windows
        rate = windows.teach(kept)
        windows.of_answers = rate is not None and kept.get("at_end") == 1.0
        return rate


@slotted
class FoundTokens:
    """Of a quota that was found."""

    climb: Climb
    margin: Margin
    found: Found
    reckoning: ToldReckoning = field(init=False)
    counting: Counting = field(init=False)
    room: Room | None = field(init=False)
    reads_each: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self.climb.use.demand = OF_ROWS
        self.reckoning = self.found.reckoning
        self.counting, self.room = self.reckoning.counting, self.reckoning.room

    @property
    def has_fallen(self) -> bool:
        """Whether the latest refusal cannot be of the quota that was found."""
        return self.found.has_fallen

    def makes_up_for(self, rate: float) -> float:
        """A part of the window, and no more than a few rows: but for answers, of which is known what they come to."""
        most = self.counting.makes_up_for
        return most if self.counting.at_end else min(most, self.found.makes_up_for(rate))

    def took(self, now: float, amount: float) -> None:
        """Learn from it, and let the rate climb."""
        climb = self.climb
        climb.rate(now)
        seconds = self.reckoning.took(now, amount, climb.held)
        if seconds is not None:
            climb.windows.window = seconds

    def may_be_full(self, now: float, launched_at: float, cost: float) -> bool:
        """Whether what went in it, and the row that was refused, come to the quota that was found, however far guesses are off."""
        return self.found.may_be_full(now, launched_at, self.climb.held, cost)

    def had_room(self, now: float, launched_at: float, cost: float) -> bool:
        """Whether what went in it, and the row, came to less than the quota that was found, however far guesses are off."""
        return self.found.had_room(now, launched_at, self.climb.held, cost)

    def refused(self, now: float, launched_at: float, cost: float, bucket: Bucket | None) -> float | None:  # noqa: ARG002 - no turn is lost.
        """What it says of the quota."""
        climb = self.climb
        rate, window = climb.rate(now), climb.windows.window
        held = self.found.refused(now, launched_at, climb.held, rate, cost, climbing=now >= climb.until)
        climb.windows.note(now, launched_at, cost, first=False)
        if window == LONG and held * _FAR < rate and climb.windows.is_no_minute:
            climb.windows.window = SHORT
        return self._counted_anew(now, held, window)

    def refused_too(self, now: float, times: float, cost: float) -> None:  # noqa: ARG002 - how much is learnt there.
        """The window did not hold it."""
        self.climb.held = self.found.refused_beside(now, self.climb.held, cost)

    def refused_again(self, now: float, launched_at: float, cost: float) -> None:
        """What the window held by then."""
        self.note_full(now, launched_at)
        self.found.refused_again(now, cost)

    def note_full(self, now: float, launched_at: float = math.inf, *, first: bool = False) -> None:
        """Remember it."""
        self.climb.windows.note(now, launched_at, 0.0, first=first)

    def fell(self, now: float, lasted: float) -> float:
        """What the window held when a row was last refused."""
        windows = self.climb.windows
        window = windows.window
        if windows.is_no_window(lasted):
            return self.climb.rate(now)
        self.climb.noise.begin_anew()
        at_end = self.counting.at_end
        windows.of_answers = at_end and window < LONG
        windows.end_episode(now, lasted)
        if windows.window != window or windows.of_answers:
            self.counting.at_end = windows.of_answers
        if windows.of_answers and not at_end:
            return windows.least * UNDER
        return self._counted_anew(now, self.found.fell(self.climb.rate(now)), window)

    def corrected(self, more: float) -> None:
        """So is the quota, if it was found by that minute, and nothing was refused since."""
        climb = self.climb
        if self.found.is_first and climb.windows.window == LONG:
            climb.held = max(climb.held / 2, climb.held + UNDER * more / LONG)

    def _counted_anew(self, now: float, held: float, window: float) -> float:
        """The rate that is *held* by what a *window* showed; at least what went in a minute, if that window turned out too short.

        So it is in the first minute of a run, where it may be and was not seen yet: a quota hardly falls just then. And so it is where late
        answers filled the minute.
        """
        windows = self.climb.windows
        is_new = now - self.climb.use.began <= LONG and not self.counting.at_end
        if windows.window == window and not is_new and not windows.is_late:
            return held
        held = max(held, windows.at_last.minute * UNDER)
        self.found.held_at_least(held)
        return held

    def held_before(self, now: float) -> float | None:
        """That of what was found."""
        return self.found.held_before(now)

    def when_held(self, now: float) -> Self:  # noqa: ARG002 - whenever that is.
        """Go on."""
        return self

    def begin_hold(self, now: float) -> float:
        """As long as a few hundred rows take."""
        climb, window = self.climb, self.climb.windows.window
        self.reckoning.tell(now, window, climb.held)
        if window == LONG:
            return LONG if _HOLD_ROWS * climb.use.typical < climb.held * LONG else 2 * LONG
        return short_hold(climb)

    def when_forgotten(self) -> Rule:
        """Begin anew."""
        climb = self.climb
        climb.use.demand = OF_ATTEMPTS
        if climb.quota == inf:
            return UnknownTokens(climb, self.margin)
        reckoning = Reckoning(guesses=self.reckoning.guesses)
        reckoning.room.begin(climb.use.launched_at, climb.use.trail, climb.use.answers)
        return KnownTokens(climb, self.margin, reckoning=reckoning)

    def learnt(self) -> dict[str, float]:
        """The rate, its window, and whether answers fill it; nothing of what others leave of a known quota, who may be gone by then."""
        if self.climb.quota < inf:
            return {}
        return self.climb.learnt() | ({"at_end": 1.0} if self.counting.at_end else {})

    def teach(self, kept: Mapping[str, object], now: float) -> float | None:  # noqa: ARG002 - whenever that is.
        """The same."""
        return self.climb.windows.teach(kept)

    def keep_steady(self) -> None:
        """Learn nothing more of how it counts."""
        self.reckoning.steady = True
