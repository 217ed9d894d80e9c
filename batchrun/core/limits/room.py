"""When the next row finds room in the window that a provider counts tokens over.

Theory of operation. Each call that goes is written on a tape (`tape.py`): at what it did cost, where that is known; at what it is expected
to cost, give or take, while it is under way, and the longer it is, the more, where that tells (`lifetimes.py`). The tape's last seconds
are what the provider's window holds. A row may go as soon as

    what the window holds + what the row is expected to cost + what is kept free  <=  the quota of one window

and if that is not so now, it is so when enough of the tape has left the window: the tape tells when. What is kept free grows with how
uncertain the guesses are (`deviations.py`). A row that is dearer than others leaves less free: the window would stand emptier for its sake
for longer, and a refusal costs but one call.

A provider that counts answers when they end takes any call while a token is left: there a row waits only until the answers that came
in the last seconds are fewer than the quota, whatever the row itself costs. These stand on a tape of their own.
"""

from __future__ import annotations

import math
from dataclasses import field
from math import sqrt

from batchrun.core.classes import slotted
from batchrun.core.limits.buckets import Trail
from batchrun.core.limits.ceilings import Ceiling
from batchrun.core.limits.counting import FIRST, WINDOWS, Counting
from batchrun.core.limits.deviations import Deviations
from batchrun.core.limits.guesses import Expected, Guesses, Latest
from batchrun.core.limits.lifetimes import Lifetimes
from batchrun.core.limits.tape import Amount, Tape
from batchrun.core.limits.under_way import UnderWay

_LATE = 0.025
"""Seconds that the network may hold one call up longer than another."""
_DEARER = 4.0
"""How much larger rows keep fewer deviations free."""
_WEIGHED_AGAIN = 1.0
"""Seconds until it is asked again what the ages of rows tell."""
_MOMENT = 0.1
"""Seconds in which no more goes than there is room for, where the quota is a guess: though nothing counts before it is answered, all of it
would be refused if the guess is too high. Where it is known, nothing goes for as long after a refusal: what is counted may be another."""


@slotted
class Room:
    """One quota's window; told the time. Rates are tokens a second."""

    counting: Counting
    deviations: Deviations
    guesses: Guesses = field(default_factory=Guesses)
    ceiling: Ceiling = field(default_factory=Ceiling)
    went: Tape = field(default_factory=lambda: Tape(WINDOWS[FIRST], _LATE))
    ended: Tape = field(default_factory=lambda: Tape(WINDOWS[FIRST]))
    """Answers."""
    refused_at: float = -math.inf
    """When the latest row was: where answers are counted, nothing but this moment speaks against the next one."""
    _under_way: UnderWay = field(init=False)
    _latest: Latest = field(default_factory=Latest)
    _lifetimes: Lifetimes = field(default_factory=Lifetimes)
    _weighed_at: float = -math.inf
    """When it was last worked out what the ages of rows tell."""
    _settled: tuple[float, float, float] | None = None
    """When the latest row went of which it is known what it did cost; what was expected of it, and its size."""
    _since: float = -math.inf
    """When it began to be known what went."""

    def __post_init__(self) -> None:
        self._under_way = UnderWay(self.guesses)

    def begin(self, now: float, trail: Trail, answers: Trail | None = None) -> None:
        """Begin in the middle of a run, of which a *trail* was kept, and one of *answers*."""
        self._since = now
        for half in trail.halves():
            self._since = min(self._since, half.until / 2)
            if half.amount > 0:
                self.went.know(min(now, half.until / 2), half.amount)
        for half in () if answers is None else answers.halves():
            self.ended.know(min(now, half.until / 2), half.amount)

    def look_back(self, now: float) -> None:
        """Go on with another window."""
        self.went.look_back(now, self.counting.window)
        self.ended.look_back(now, self.counting.window)

    # What goes, and what becomes of it.

    def pay(self, now: float, cost: float) -> None:
        """A row goes that is expected to cost so much."""
        mean, variance, _ = self._under_way.add(now, cost)
        self.went.guess(now, mean, variance)
        if cost >= self.ceiling.cost:
            self.ceiling.launch(cost)

    def reprice(self, launched_at: float, paid: float, cost: float) -> None:
        """A row under way that was expected to cost *paid* is expected to cost *cost*."""
        was, varied, _ = self._under_way.take(launched_at, paid)
        mean, variance, _ = self._under_way.add(launched_at, cost)
        self.went.correct(launched_at, 0.0, mean - was, variance - varied)

    def settle(self, launched_at: float, paid: float, cost: float, expected: float | None = None) -> None:
        """A row that was expected to cost *paid* did cost *cost*; nothing, where the provider refused it.

        By what was learnt since it went, such a row is *expected* to cost so much: only what that is off is still to be learnt.
        """
        mean, variance, size = self._under_way.take(launched_at, paid)
        self.went.correct(launched_at, cost, -mean, -variance, -1 if size else 0)
        self._settled = None
        if cost > 0 and paid > 0:
            self.guesses.learn(expected or paid, cost, self._under_way.rows)
            if mean > 0:
                self._settled = launched_at, mean, size

    def answered(self, now: float, cost: float) -> None:
        """The row that was settled just now was answered, and did cost so much."""
        self.ended.know(now, cost)
        if self._settled is not None:
            (launched_at, mean, size), self._settled = self._settled, None
            age, since, lifetimes = now - launched_at, now - self._weighed_at, self._lifetimes
            times = self._latest.learn(mean * lifetimes.usual(age), cost)
            lifetimes.ended(age, age if age < since else since, size, cost, self._under_way.rows)
            if times is not None:
                self._expect_anew(times)
        if now - self._weighed_at >= _WEIGHED_AGAIN:
            self._weigh(now)

    def _weigh(self, now: float) -> None:
        """See what the ages of those under way tell of them, and how long rows are under way."""
        lifetimes = self._lifetimes
        lifetimes.work_out()
        for place, amount in enumerate(self.went.weigh(now, lifetimes.times, self._weighed_at)):
            if amount:
                lifetimes.exposed(place, amount)
        self._weighed_at, self.guesses.too_little = now, lifetimes.too_little

    def _expect_anew(self, times: float) -> None:
        """What is under way is like the latest rows, which came to so many times what was expected of them."""
        self._under_way.expect_anew(times)
        self.went.guess_anew(times)
        self.deviations.explain()

    # When the next may go.

    def free_at(self, now: float, rate: float, cost: float, due: float = -math.inf) -> float:
        """When a row that is expected to cost so much may go, if nothing more is heard: *now* or later, and not before it is *due*."""
        if due < now:
            due = now
        quota = rate * self.counting.window
        return due if self._has_plenty(now, quota, cost) else max(due, self._free_at(now, quota, cost))

    def _has_plenty(self, now: float, quota: float, cost: float) -> bool:
        """Whether the window is so empty that it need not be looked at closely."""
        counting, ceiling = self.counting, self.ceiling
        if counting.at_end or now < ceiling.until or cost >= ceiling.cost:
            return False
        row, held = self.guesses.like(cost), self.went
        mean = self.guesses.too_little * row.ratio * cost
        variance = (held.variance if held.variance > 0.0 else 0.0) + row.spread * mean * mean
        return held.known + held.guessed + mean + self.deviations.count * sqrt(variance) <= quota

    def _free_at(self, now: float, quota: float, cost: float) -> float:
        return self._free_of_answers_at(now, quota) if self.counting.at_end else self._free_of_rows_at(now, quota, cost)

    def _free_of_rows_at(self, now: float, quota: float, cost: float) -> float:
        ceiling = self.ceiling
        if cost >= ceiling.cost:
            return self._room_at(now, min(quota, ceiling.most), cost)
        if now >= ceiling.until or ceiling.most >= quota:
            return self._room_at(now, quota, cost)
        # What was refused of late is believed for a while, and then the tape again.
        later = max(ceiling.until, self._room_at(now, quota, cost))
        return min(self._room_at(now, ceiling.most, cost), later)

    def _room_at(self, now: float, quota: float, cost: float) -> float:
        expected = self.guesses.expected(cost)
        if self._fits(self.went.held(now), quota, expected):
            return now
        leaves = now
        for leaves, left in self.went.drain(now):  # noqa: B007 - a row that fits no window goes into an empty one.
            if self._fits(left, quota, expected):
                break
        return leaves

    def _fits(self, held: Amount, quota: float, expected: Expected) -> bool:
        sum_ = held.known + held.guessed + expected.mean
        # No row leaves more free than all the deviations: as a rule that settles it.
        if sum_ + self.deviations.count * sqrt(held.variance + expected.variance) <= quota:
            return True
        return sum_ + self._kept_free(held.variance, expected) <= quota

    def _kept_free(self, variance: float, expected: Expected) -> float:
        """What a row leaves free besides its cost: less of it, the longer the window would stay emptier for its sake."""
        deviation, count = sqrt(variance + expected.variance), self.deviations.count
        dearer = max(1.0, expected.mean / (self.guesses.usual or expected.mean))
        return sqrt(max(0.0, count * count - _DEARER * math.log(dearer))) * deviation

    def _free_of_answers_at(self, now: float, quota: float) -> float:
        # A usual row for each deviation is kept free of answers.
        most = max(1.0, quota - self.deviations.count * self.usual)
        if not self.counting.told:
            now = max(now, self.refused_at + _MOMENT)
        if (ended := self.ended.held(now).known) < most:
            is_guess = self.counting.told
            return now + _MOMENT if is_guess and ended + self.went.amount(now, _MOMENT).expected >= most else now
        return next((at for at, left in self.ended.drain(now) if left.known < most), now)

    # What it is about now.

    def knows_all(self, now: float, most: float = math.inf) -> bool:
        """Whether it is known what went in the whole window, or in so many seconds at the *most*: an earlier opening may have sent some."""
        return now - self._since >= min(self.counting.window, most)

    @property
    def usual(self) -> float:
        """What a row costs in the mean."""
        return self.guesses.usual or 0.0

    def holds(self, now: float) -> float:
        """What the window holds, as far as that is known."""
        if self.counting.at_end:
            return self.ended.held(now).known
        held = self.went.held(now)
        return held.known + held.guessed

    def expects(self, cost: float) -> float:
        """What a row comes to in the mean that is expected to cost so much."""
        return self.usual if self.counting.at_end else self.guesses.expected(cost).mean
