"""Where a token quota lies that is to be found: what a refusal tells where rows differ in what they cost, and the window is reckoned with.

Theory of operation. At a refusal the window held so much, which the provider had taken, and would have held so much more with the row that
it refused: the quota lies between the two. How near that comes depends on how far the row and what is under way are off what is guessed.

*In a climb* the window was filled up to what the provider takes, so that what it held says that the quota is no less: the held rate goes
half of the way there, for what is under way is only guessed, and an aligned window lets more through than it holds, until it ends. Where
rows are so small that nothing would stay free, it stays a fiftieth under it. What was under way and is refused as well was not held after
all. Where the climb had gone far, the quota has risen, and the rate is held just under what the window would have held.

*In a hold* a refusal is a guess that was off, which more is kept free for; only that this grows beyond what guesses explain shows that the
rate is too high, and it falls a hundredth. But a rate that an episode has just left is a guess itself: it falls to what the window would
have held, and a deviation, until a climb has confirmed it.

Any refusal shows that the quota has not risen, and stands for the climb that was to find out. Where a row was refused that should have
found room however far it was off, the quota has fallen, and an episode begins; so it does where one after the other is refused. Until a
whole window is known (an earlier opening may have filled it) a refusal of a rate that was kept shows no fall. One that was found since the
run began is another matter: a few seconds are enough.
"""

from __future__ import annotations

from batchrun.core.classes import slotted
from batchrun.core.limits.reckoning import ToldReckoning
from batchrun.core.limits.rules import UNDER
from batchrun.core.limits.windows import LONG, SHORT

_AS_IT_WAS = 1.15
"""Of a held rate: a climb that was refused below that says that the quota is where it was."""
_HALF_WAY = 0.5
_AT_ONCE = 6.0
"""Usual rows that may go in one moment."""
_FREE_ANYWAY = 4.0
"""Usual rows that stay free in a window: what the next one needs that waits for room, and what is kept free of what is guessed."""
_TOO_MANY_DEVIATIONS, _DEVIATIONS, _TOO_HIGH = 3.5, 2.0, 0.99
"""So many deviations that are kept free say that the rate is too high, and not the guesses off: what both go on with."""
_SURELY, _NEARLY_ALL = 4.0, 0.98
"""Deviations that no row is off by, and the share of a quota that what would have been held is then under, if the quota has fallen."""


_AS_MUCH = 0.9
"""Of what the window would have held with a row that was refused: about as much."""


@slotted
class Found:
    """What refusals have shown of one quota; rates are tokens a second."""

    reckoning: ToldReckoning
    is_first: bool = False
    """The rate is as the first refusals of all showed it."""
    of_this_run: bool = False
    """It was found since the run began, and not kept from an earlier opening, which may have filled a part of the window."""
    has_fallen: bool = False
    """The latest refusal cannot be of the quota that was found."""
    _knows_all: bool = False
    """At the latest refusal, of what went in the window."""
    _held_at: float = 0.0
    """The rate that was held then."""
    _full_at: float = 0.0
    """What the window would have held a second, at the latest refusal."""
    _is_guess: bool = True
    """The rate is where an episode left it."""
    _before: float | None = None
    """The rate before the latest refusal, where that ended a climb which says that the quota is where it was."""

    def refused(self, now: float, launched_at: float, held: float, rate: float, cost: float, *, climbing: bool) -> float:
        """Return the rate to hold after a row was refused that was expected to cost so much, where *rate* is what a climb had come to."""
        reckoning = self.reckoning
        window, deviations = reckoning.counting.window, reckoning.deviations.count
        would_hold = reckoning.refused(now, launched_at, rate, cost)
        self._held_at, self._full_at, self._before = held, would_hold / window, None
        self.is_first = False
        self._knows_all = reckoning.room.knows_all(now, SHORT if self.of_this_run else LONG)
        self.has_fallen = self._knows_all and self._is_short_of(held, would_hold, reckoning.deviation)
        if climbing:
            reckoning.deviations.count, self._is_guess = deviations, False
            return self._climbed(held, rate, (would_hold - reckoning.room.expects(cost)) / window)
        if self._is_guess and self._knows_all:
            reckoning.deviations.count = deviations
            return min(held, (would_hold + reckoning.deviation) / window)
        if reckoning.deviations.count > _TOO_MANY_DEVIATIONS:
            reckoning.deviations.count = _DEVIATIONS
            return held * _TOO_HIGH
        return held

    def may_be_full(self, now: float, launched_at: float, held: float, cost: float) -> bool:
        """Whether the window may have been full when a row was refused that was expected to cost so much, if the quota is as it was."""
        room, counting = self.reckoning.room, self.reckoning.counting
        if counting.at_end or not room.knows_all(now):
            return True
        would_hold, deviation = self.reckoning.would_hold(now, launched_at, cost)
        return not self._is_short_of(held, would_hold, deviation)

    def had_room(self, now: float, launched_at: float, held: float, cost: float) -> bool:
        """Whether a row that was refused surely had room in the window, if the quota is as it was."""
        reckoning = self.reckoning
        if not reckoning.room.knows_all(now, SHORT if self.of_this_run else LONG):
            return False
        if reckoning.counting.at_end:
            return self._is_short_of(held, reckoning.room.holds(now), reckoning.room.usual)
        return self._is_short_of(held, *reckoning.would_hold(now, launched_at, cost))

    def _is_short_of(self, held: float, would_hold: float, deviation: float) -> bool:
        """Whether what the window would have held is surely less than the quota is, at the *held* rate."""
        return would_hold + _SURELY * deviation < _NEARLY_ALL * held * self.reckoning.counting.window

    def _climbed(self, held: float, rate: float, was_held: float) -> float:
        if rate > held * _AS_IT_WAS:
            return max(held, min(rate, self._full_at) * UNDER)
        self._before = held
        return max(held, held + _HALF_WAY * (min(rate, self._just_under(was_held)) - held))

    def _just_under(self, was_held: float) -> float:
        """As far under what was held a second that a fiftieth stays unused, with what rows leave free anyway."""
        free_anyway = _FREE_ANYWAY * self.reckoning.room.usual / self.reckoning.counting.window
        return was_held - max(0.0, (1 - UNDER) * was_held - free_anyway)

    def refused_beside(self, now: float, held: float, cost: float) -> float:
        """Return the rate to hold after a row was refused that was under way at the refusal before it."""
        reckoning, before = self.reckoning, self._before
        reckoning.refused_beside(now, cost)
        if before is None:
            return held
        return max(
            before, min(held, before + _HALF_WAY * (self._just_under(reckoning.room.holds(now) / reckoning.counting.window) - before))
        )

    def refused_again(self, now: float, cost: float) -> None:
        """Take note of a row that was refused after a pause: by then the window held so much, and had room for half of that row, say."""
        reckoning = self.reckoning
        self._full_at = (reckoning.room.holds(now) + reckoning.room.expects(cost) / 2) / reckoning.counting.window

    def held_at_least(self, rate: float) -> None:
        """Take note that it was another window that was full at the latest refusal, and of what that held."""
        self._full_at = max(self._full_at, rate)

    def makes_up_for(self, rate: float) -> float:
        """The longest wait for room, in seconds, that may be made up for: what goes in one moment is all refused, if a climb is."""
        return _AT_ONCE * self.reckoning.room.usual / rate

    def held_before(self, now: float) -> float | None:
        """The rate before the latest refusal, if that cannot be of the quota that was found, and the window holds about as much by now."""
        if not self.has_fallen or self.reckoning.room.holds(now) < _AS_MUCH * self._full_at * self.reckoning.counting.window:
            return None
        return self._held_at

    def fell(self, held: float) -> float:
        """Return the rate to hold after an episode."""
        self._is_guess, self.is_first = True, False
        return min(held, self._full_at) if self._knows_all else held
