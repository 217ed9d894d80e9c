"""What a provider has counted of a token quota that is known, and when the next row finds room in its window.

Theory of operation. A provider counts tokens over some window and refuses what would be more than the quota of that window. Where the
window is known, a row of any size may go as soon as enough of the window's contents has left it, and not before: what went stands on a
tape, at what it did cost where that is known, and at what it was expected to cost where it is still under way, corrected by how far
expectations of such rows lately were off (`guesses.py`). How far single ones are off is learnt too; so many of their standard deviations
are kept free as it takes to be refused no more than a few times in a thousand: a refusal widens that, what is taken narrows it.

A row that is larger than others leaves less free: the window stays emptier for its sake for longer, and a refusal costs but one call.
What a wait for room held back is made up for: where refusals have shown a long window, rows go somewhat faster than the quota while there
is room, for the window alone is what holds them to it.

Which window it is nobody says. The reckoning begins with six seconds, the shortest that was seen of tokens, or with more for as long as
that seems to be a few rows. A row that was taken though it alone is more than a window's quota shows that the window is longer. Some
seconds after a refusal, when what was under way is known, it is looked at which windows were full then: one that was not full at most of
the latest refusals is not the one, and one that always was is. Where nothing is refused for minutes, a longer one is tried.

Some providers count an answer's tokens when it ends, and then take any call as long as a single token is left. That shows in refusals that
find no window full of what went, and one full of answers; from then on calls wait for that alone. There, what such a wait held back is
made up for at once: the answers that overfill a window are counted all the same, and only the calls after them are refused. Where both
explain what was refused, calls wait for both.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf, sqrt
from typing import NamedTuple

from batchrun.core.limits.buckets import Trail
from batchrun.core.limits.guesses import Expected, Guesses
from batchrun.core.limits.tape import Amount, Tape

WINDOWS = (1.0, 2.0, 6.0, 20.0, 60.0)
"""Seconds; what lies between two is served as the shorter."""
_FIRST = 2
_AHEAD = (0.0, 0.0, 0.0, 0.2, 0.2)
"""How much faster than the quota rows may go for a while where each of these is the window."""
_LATE = 0.025
"""Seconds that the network may hold one call up longer than another."""
_FIRST_DEVIATIONS, _FIRST_DEVIATIONS_AT_END, _LEAST_DEVIATIONS, _MOST_DEVIATIONS = 2.0, 1.0, 0.25, 8.0
_LOOKED_AT_AFTER = 3.0
"""Seconds after a refusal, by when most of what was under way is known: which windows were full then."""
_LOOKS, _EXPLAINS, _FAILS, _BETTER = 4.0, 0.8, 0.5, 0.9
"""Refusals that a verdict needs, and the share of them for which a window was full, where it is the one, where it is not, and where it is
not because answers explain all of them."""
_AS_WELL = 0.98
_FORGETS = 0.1
"""Of what refusals showed, at each further one."""
_FULL, _FULL_OF_ANSWERS = 0.99, 0.985
"""Of a window's quota: what makes it full, the refused row included, or the answers that came."""
_APART = 0.5
"""Seconds between two refusals that are looked at: those of one moment tell the same."""
_ENOUGH_DEVIATIONS = 4.0
"""However many were under way when one was refused."""
_WIDER, _NARROWER = 1.15, 1.15**-0.0042
"""What a refusal, and a row that was taken, make of the deviations: so 0.42 % are refused in the long run."""
_WIDER_AT_END, _WIDER_STILL_AT_END, _NARROWER_AT_END = 1.25, 1.05, 1 - 0.25 * 0.0007
"""The same where answers are counted: of a refusal, of one that was under way then, and of a row."""
_MADE_UP_FOR, _LEAST_MADE_UP_FOR_AT_END = 0.25, 3.0
"""Of a window, and seconds: the longest wait for room in it that is made up for."""
_LARGER = 1.1
"""Times a window's quota: what such a row costs shows that the window is longer, if it is taken."""
_ROWS, _ROOM = 30, 0.8
"""Usual rows that a window has room for, which is taken for the one before anything was refused; and the share of the next shorter one's
quota that they come to, where the first rows were larger than most and it is taken after all."""
_DEARER = 4.0
"""How much larger rows keep fewer deviations free."""
_AT_MOST = 4.0
"""Deviations above what was expected of a row that may be what a refused one costs: it was refused for it."""
_STEPS_BACK, _BACK_FOR = 0.5, 2.0
"""Deviations that the next row stays under what was refused, and for how many seconds. Where the window is told, each further
refusal of a row that costs as much goes back as far again, and such a row stays there until one has gone."""
_NARROWER_TOLD, _NARROWER_TOLD_MINUTE = 1.15**-0.0065, 1.15**-0.0025
"""What a row that was taken makes of the deviations where the quota was found: in a window of a minute climbs bring refusals enough."""
_TOLD_MADE_UP_FOR, _TOLD_MADE_UP_FOR_AT_END = 0.1, 0.02
"""The same of a window, where the quota was found: what goes all at once is all refused, if it was found too high."""
_TOLD_LOOKS, _TOLD_AT_END, _TOLD_STILL_AT_END, _TOLD_MORE = 6.0, 0.75, 0.5, 0.5
"""Where the window is told: refusals that a verdict needs, the share of them that find it fuller of answers, where these are what is
counted, and where they still are; and usual rows that it is fuller by."""
_CLEAN_CALLS, _CLEAN_SECONDS, _LONGEST_REST = 300, 120.0, 3600.0
"""Calls and seconds without a refusal after which a longer window is tried."""
_TRIAL_REFUSALS, _TRIAL_SHARE = 4, 0.01
"""Refusals that end a trial, and such a share of its calls more."""
_AT_END_SHARE = 1.0
"""Of a usual row, for each deviation: what is kept free of answers."""


class _Refusal(NamedTuple):
    launched_at: float
    refused_at: float
    rate: float
    cost: float
    """What the row costs at the most."""


@dataclass(slots=True)
class Reckoning:
    """One quota's; told the time. Rates are tokens a second."""

    deviations: float = _FIRST_DEVIATIONS
    """Standard deviations of what is under way that are kept free."""
    at_end: bool = False
    """The provider counts an answer when it ends."""
    told: bool = False
    """The window is told: the quota is one that was found, and refusals do not show which it is."""
    steady: bool = False
    """Nothing more is learnt of the provider: nobody is there to refuse anything."""
    window: float = WINDOWS[_FIRST]
    """Seconds that the provider is taken to count over."""
    ahead: float = 0.0
    """How much faster than the quota rows may go for a while, where refusals have shown that this window holds them to it."""
    _since: float = -math.inf
    """When it began to be known what went."""
    deviation: float = 0.0
    """Of what the window would have held at the latest refusal."""
    _as_well_at_end: bool = False
    """It may."""
    _rung: int = _FIRST
    """The window's place among WINDOWS."""
    _went: Tape = field(default_factory=lambda: Tape(WINDOWS[_FIRST], _LATE))
    _ended: Tape = field(default_factory=lambda: Tape(WINDOWS[_FIRST]))
    _guesses: Guesses = field(default_factory=Guesses)
    _under_way: dict[tuple[float, float], list[tuple[float, float]]] = field(default_factory=dict)
    """Mean and variance of what is expected of rows, by when they went and what was paid for them."""
    _is_for_rows: bool = False
    """The window is longer than the shortest because usual rows seemed to need it, and for nothing else."""
    _refused: bool = False
    _largest: float = 0.0
    """What the costliest row that was taken did cost."""
    _waits_since: float = math.inf
    _ceiling: float = math.inf
    _ceiling_until: float = -math.inf
    _ceiling_cost: float = math.inf
    """What was paid for the row that was refused, which believes it until it goes; infinity where one as large has gone since."""
    _steps_back: float = _STEPS_BACK
    _refused_cost: float = 0.0
    """What was paid for the latest that was refused."""
    _clean_since: float = 0.0
    _clean_calls: int = 0
    _rest: float = _CLEAN_SECONDS
    _refusals: deque[_Refusal] = field(default_factory=deque)
    """Not looked at yet."""
    _looks: float = 0.0
    _by_answers: float = 0.0
    """Of the latest refusals, where the window is told: how many found it fuller of answers than of what went."""
    _was_full: list[float] = field(default_factory=lambda: [0.0] * len(WINDOWS))
    _was_full_of_answers: list[float] = field(default_factory=lambda: [0.0] * len(WINDOWS))
    """Of the latest refusals: how many there were, and for how many each window was full of what went, or of answers."""
    _trial_until: float = -math.inf
    _trial_calls: int = 0
    _trial_refusals: int = 0

    @property
    def counts_answers(self) -> bool:
        """Whether calls wait for answers to leave the window."""
        return self.at_end or self._as_well_at_end

    @property
    def makes_up_for(self) -> float:
        """The longest wait for room, in seconds, that may be made up for."""
        if self.told:
            return (_TOLD_MADE_UP_FOR_AT_END if self.at_end else _TOLD_MADE_UP_FOR) * self.window
        return max(_LEAST_MADE_UP_FOR_AT_END, self.window) if self.at_end else _MADE_UP_FOR * self.window

    def free_at(self, now: float, rate: float, cost: float, due: float = -math.inf) -> float:
        """When a row that is expected to cost so much may go, if nothing more is heard: *now* or later, and not before it is *due*."""
        if due < now:
            due = now
        if self._has_plenty(now, rate * self.window, cost) or (at := self._free_at(now, rate, cost)) <= due:
            return due
        self._waits_since = min(self._waits_since, due)
        return at

    def _has_plenty(self, now: float, quota: float, cost: float) -> bool:
        """Whether the window is so empty that it need not be looked at closely."""
        if self.at_end or self._as_well_at_end or now < self._ceiling_until or cost >= self._ceiling_cost:
            return False
        row, held = self._guesses.like(cost), self._went
        mean = row.ratio * cost
        variance = (held.variance if held.variance > 0.0 else 0.0) + row.spread * mean * mean
        return held.known + held.guessed + mean + self.deviations * sqrt(variance) <= quota

    def _free_at(self, now: float, rate: float, cost: float) -> float:
        quota = rate * self.window
        if self.at_end:
            return self._below(now, quota)
        at = self._free_of_rows_at(now, quota, cost)
        return max(at, self._below(now, quota)) if self._as_well_at_end else at

    def _free_of_rows_at(self, now: float, quota: float, cost: float) -> float:
        if cost >= self._ceiling_cost:
            return self._room_at(now, min(quota, self._ceiling), cost)
        if now >= self._ceiling_until or self._ceiling >= quota:
            return self._room_at(now, quota, cost)
        # What was refused of late is believed for a while, and then the tape again.
        later = max(self._ceiling_until, self._room_at(now, quota, cost))
        return min(self._room_at(now, self._ceiling, cost), later)

    def pay(self, now: float, cost: float) -> float:
        """A row goes that is expected to cost so much; for how many seconds it waited for room, which is no time that the rate lost."""
        mean, variance = self._expect(now, cost)
        self._went.guess(now, mean, variance)
        if cost >= self._ceiling_cost:
            self._ceiling_cost = inf
        if self._waits_since == math.inf:
            return 0.0
        waited, self._waits_since = max(0.0, now - self._waits_since), math.inf
        return waited

    def reprice(self, launched_at: float, paid: float, cost: float) -> None:
        """A row under way that was expected to cost *paid* is expected to cost *cost*."""
        was, varied = self._expected(launched_at, paid)
        mean, variance = self._expect(launched_at, cost)
        self._went.correct(launched_at, 0.0, mean - was, variance - varied)

    def settle(self, launched_at: float, paid: float, cost: float) -> None:
        """A row that was expected to cost *paid* did cost *cost*; nothing, where the provider refused it."""
        mean, variance = self._expected(launched_at, paid)
        self._went.correct(launched_at, cost, -mean, -variance)
        if cost > 0 and paid > 0:
            self._guesses.learn(paid, cost)

    def _expect(self, launched_at: float, paid: float) -> tuple[float, float]:
        """What a row costs that is under way now, at this price: mean and variance."""
        like, key = self._guesses.like(paid), (launched_at, paid)
        mean = like.ratio * paid
        expected = mean, like.spread * mean * mean
        alike = self._under_way.get(key)
        if alike is None:
            self._under_way[key] = [expected]
        else:
            alike.append(expected)
        return expected

    def _expected(self, launched_at: float, paid: float) -> tuple[float, float]:
        """What was expected of a row that is under way no longer, at this price; nothing of one that was not."""
        key = (launched_at, paid)
        alike = self._under_way.get(key)
        if alike is None:
            return 0.0, 0.0
        expected = alike.pop()
        if not alike:
            del self._under_way[key]
        return expected

    def took(self, now: float, rate: float, cost: float) -> None:
        """The provider took and answered a row."""
        quota = rate * self.window
        self._ended.know(now, cost)
        if cost > self._largest:
            self._largest = cost
        if self.steady:
            return
        if self._refusals and now - self._refusals[0].refused_at >= _LOOKED_AT_AFTER:
            if self.told:
                self._look_at_answers(self._refusals.popleft())
            else:
                self._look_at(self._refusals.popleft())
                self._judge(now, rate)
                self.ahead = 0.0 if self.counts_answers or self._looks < _LOOKS else _AHEAD[self._rung]
        narrower = _NARROWER if not self.told else _NARROWER_TOLD_MINUTE if self.window == WINDOWS[-1] else _NARROWER_TOLD
        self.deviations *= _NARROWER_AT_END if self.at_end or self._as_well_at_end else narrower
        if self.deviations < _LEAST_DEVIATIONS:
            self.deviations = _LEAST_DEVIATIONS
        if not self.told:
            self._try_longer(now, quota, cost)

    def _try_longer(self, now: float, quota: float, cost: float) -> None:
        """Count over a longer window where the row that was taken shows one, or nothing was refused for long."""
        if self._clean_calls == 0:
            self._clean_since = now
        self._clean_calls += 1
        self._trial_calls += 1
        if self._is_for_rows and not self._refused and self._has_room(quota):
            self._count_over(now, self._rung - 1)
            self._is_for_rows = self._rung > _FIRST
        if self.at_end or self._rung + 1 == len(WINDOWS):
            return
        if cost > _LARGER * quota:
            self._is_for_rows = False
            self._count_over(now, self._rung + 1)
        elif not self._refused and _ROWS * (self._guesses.usual or 0.0) > quota:
            self._is_for_rows = True
            self._count_over(now, self._rung + 1)
        elif self._clean_calls >= _CLEAN_CALLS and now - self._clean_since >= self._rest:
            self._is_for_rows = False
            self._count_over(now, self._rung + 1)
            self._trial_until, self._trial_calls, self._trial_refusals = now + 2 * self.window, 0, 0

    def _has_room(self, quota: float) -> bool:
        """Whether usual rows have room in the next shorter window, of which the quota is less than *quota*, and the largest has, too."""
        shorter = quota * WINDOWS[self._rung - 1] / self.window
        return _ROWS * (self._guesses.usual or 0.0) <= _ROOM * shorter and self._largest <= _LARGER * shorter

    def begin(self, now: float, trail: Trail) -> None:
        """Begin in the middle of a run, of which a *trail* was kept."""
        self._since = now
        for half in trail.halves():
            self._since = min(self._since, half.until / 2)
            if half.amount > 0:
                self._went.know(min(now, half.until / 2), half.amount)

    def tell(self, now: float, seconds: float) -> None:
        """Count over so many seconds from now on, one of `WINDOWS`."""
        if seconds != self.window:
            self._count_over(now, WINDOWS.index(seconds))
        self.ahead = 0.0 if self.at_end else _AHEAD[self._rung]

    def refused(self, now: float, launched_at: float, rate: float, cost: float) -> float:
        """The provider refused a row that was expected to cost *cost*, and that `settle` has taken back. What would fill the window."""
        quota = rate * self.window
        held = self._went.held(now)
        self._refused = True
        expected = self._guesses.expected(cost)
        self.deviation = deviation = sqrt(held.variance + expected.variance)
        would_hold = held.known + held.guessed + expected.mean
        if self.told and self.knows_all(now):
            self._steps_back = _STEPS_BACK + (self._steps_back if cost == self._refused_cost else 0.0)
            self._ceiling_cost = self._refused_cost = cost
        if self.knows_all(now):
            self._ceiling = min(quota, would_hold) - self._steps_back * deviation
            self._ceiling_until = now + min(_BACK_FOR, self.window / 2)
        self.deviations = min(_MOST_DEVIATIONS, self.deviations * (_WIDER_AT_END if self.counts_answers else _WIDER))
        self._clean_calls = 0
        if self.told and self.at_end:
            would_hold, self.deviation = self._ended.held(now).known, self._guesses.usual or 0.0
        if not self._refusals or launched_at - self._refusals[-1].launched_at >= _APART:
            most = expected.mean + _AT_MOST * sqrt(expected.variance)
            self._refusals.append(_Refusal(launched_at, now, rate, most))
        if self.told:
            return would_hold
        if now < self._trial_until:
            self._trial_refusals += 1
            if self._trial_refusals >= _TRIAL_REFUSALS + _TRIAL_SHARE * self._trial_calls:
                self._rest = min(_LONGEST_REST, 2 * self._rest)
                self._count_over(now, self._rung - 1)
        return would_hold

    def knows_all(self, now: float) -> bool:
        """Whether it is known of the whole window what went in it: not where an earlier opening may have sent some."""
        return now - self._since >= self.window

    @property
    def usual(self) -> float:
        """What a row costs in the mean."""
        return self._guesses.usual or 0.0

    def holds(self, now: float) -> float:
        """What the window holds, as far as that is known."""
        if self.at_end:
            return self._ended.held(now).known
        held = self._went.held(now)
        return held.known + held.guessed

    def expects(self, cost: float) -> float:
        """What a row comes to in the mean that is expected to cost so much."""
        return (self._guesses.usual or 0.0) if self.at_end else self._guesses.expected(cost).mean

    def refused_beside(self, now: float, cost: float) -> None:
        """The provider refused a row that was under way when it refused another, which held less then than it was thought to."""
        self._ceiling = min(self._ceiling, self.holds(now) + self._guesses.expected(cost).mean - self._steps_back * self.deviation)

    def refused_too(self) -> None:
        """The provider refused a row that was under way when it refused another."""
        self._trial_refusals += 1
        if self.deviations < (_MOST_DEVIATIONS if self.at_end else _ENOUGH_DEVIATIONS):
            self.deviations *= _WIDER_STILL_AT_END if self.counts_answers else _WIDER

    def _look_at(self, refusal: _Refusal) -> None:
        """Note which windows were full at a refusal."""
        at, ended, rate, cost = refusal
        self._looks += 1.0 - _FORGETS * self._looks
        for place, seconds in enumerate(WINDOWS):
            full = self._went.sum(at, seconds) + cost >= _FULL * rate * seconds
            self._was_full[place] += full - _FORGETS * self._was_full[place]
        for place, seconds in enumerate(WINDOWS):
            # An answer counted when the refusal was made that only came here after it.
            full = self._ended.sum(ended, seconds + ended - at) >= _FULL_OF_ANSWERS * rate * seconds
            self._was_full_of_answers[place] += full - _FORGETS * self._was_full_of_answers[place]

    def _look_at_answers(self, refusal: _Refusal) -> None:
        """Where the window is told: note whether a refusal found it fuller of answers than of what went: where those are counted."""
        at, ended, _, _ = refusal
        answers, went = self._ended.sum(ended, self.window + ended - at), self._went.sum(at, self.window)
        self._looks += 1.0 - _FORGETS * self._looks
        self._by_answers += (answers > went + _TOLD_MORE * (self._guesses.usual or 0.0)) - _FORGETS * self._by_answers
        if self._looks >= _TOLD_LOOKS:
            self.at_end = self._by_answers >= (_TOLD_STILL_AT_END if self.at_end else _TOLD_AT_END) * self._looks
            self.ahead = 0.0 if self.at_end else _AHEAD[self._rung]

    def _judge(self, now: float, rate: float) -> None:
        """Count over another window where the one in use was not full at most of the latest refusals, or another explains them better."""
        if self._looks < _LOOKS:
            return
        went, answers = self._longest(self._was_full, self._least_rung(rate)), self._longest(self._was_full_of_answers, 0)
        if self._was_full_of_answers[self._rung] >= _AS_WELL * self._was_full_of_answers[answers]:
            answers = self._rung
        best = max(self._was_full[went], self._was_full_of_answers[answers])
        if best < _EXPLAINS * self._looks:
            return
        by_went, by_answers = self._was_full[went] >= _AS_WELL * best, self._was_full_of_answers[answers] >= _AS_WELL * best
        in_use = (self._was_full_of_answers if self.at_end else self._was_full)[self._rung]
        if in_use < (_BETTER if by_answers else _FAILS) * best:
            # Where both explain it, what was concluded before stands, or the longer of the two windows.
            self.at_end = by_answers and (self.at_end or not by_went or answers > went)
            self._count_over(now, answers if self.at_end else went)
        elif by_went and went > self._rung and not self.at_end:
            self._count_over(now, went)
        else:
            self._as_well_at_end = self._was_full_of_answers[self._rung] >= _EXPLAINS * self._looks

    def _least_rung(self, rate: float) -> int:
        """The shortest window that a row as large as was taken goes into."""
        return next((place for place, seconds in enumerate(WINDOWS) if self._largest <= _LARGER * rate * seconds), len(WINDOWS) - 1)

    @staticmethod
    def _longest(was_full: list[float], least: int) -> int:
        """The longest window, from the *least* on, that explains refusals as well as any."""
        best = max(was_full[least:])
        return max(place for place, count in enumerate(was_full) if place >= least and count >= _AS_WELL * best)

    def learnt(self) -> dict[str, float]:
        """Return what refusals have shown, to be kept; nothing where there were none."""
        if self._rung == _FIRST and self.deviations <= _FIRST_DEVIATIONS and not self.at_end:
            return {}
        return {"window": self.window, "deviations": self.deviations, "at_end": float(self.at_end)}

    def teach(self, kept: Mapping[str, object], now: float) -> None:
        """Begin with what was kept; what is no such number is passed over."""
        window, deviations = kept.get("window"), kept.get("deviations")
        if window in WINDOWS:
            self._count_over(now, WINDOWS.index(window))
            self.at_end = kept.get("at_end") == 1.0
        if isinstance(deviations, float) and _LEAST_DEVIATIONS <= deviations <= _MOST_DEVIATIONS:
            self.deviations = deviations

    def _count_over(self, now: float, rung: int) -> None:
        self._rung, self.window = rung, WINDOWS[rung]
        self.deviations = _FIRST_DEVIATIONS_AT_END if self.at_end else _FIRST_DEVIATIONS
        self._clean_calls, self._trial_until = 0, -math.inf
        self._looks = self.ahead = 0.0
        self._as_well_at_end = False
        self._was_full, self._was_full_of_answers = [0.0] * len(WINDOWS), [0.0] * len(WINDOWS)
        self._went.look_back(now, self.window)
        self._ended.look_back(now, self.window)

    def _room_at(self, now: float, quota: float, cost: float) -> float:
        expected = self._guesses.expected(cost)
        if self._fits(self._went.held(now), quota, expected):
            return now
        leaves = now
        for leaves, left in self._went.drain(now):  # noqa: B007 - a row that fits no window goes into an empty one.
            if self._fits(left, quota, expected):
                break
        return leaves

    def _fits(self, held: Amount, quota: float, expected: Expected) -> bool:
        sum_ = held.known + held.guessed + expected.mean
        # No row leaves more free than all the deviations: as a rule that settles it.
        if sum_ + self.deviations * sqrt(held.variance + expected.variance) <= quota:
            return True
        return sum_ + self._kept_free(held.variance, expected) <= quota

    def _kept_free(self, variance: float, expected: Expected) -> float:
        """What a row leaves free besides its cost: less of it, the longer the window would stay emptier for its sake."""
        deviation = sqrt(variance + expected.variance)
        dearer = max(1.0, expected.mean / (self._guesses.usual or expected.mean))
        deviations = sqrt(max(0.0, self.deviations * self.deviations - _DEARER * math.log(dearer)))
        return deviations * deviation

    def _below(self, now: float, quota: float) -> float:
        most = max(1.0, quota - self.deviations * _AT_END_SHARE * (self._guesses.usual or 0.0))
        if self._ended.held(now).known < most:
            return now
        return next((at for at, left in self._ended.drain(now) if left.known < most), now)
