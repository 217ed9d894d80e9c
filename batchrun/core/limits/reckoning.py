"""What a provider has counted of a token quota, and what its refusals teach: the parts of it, joined.

Theory of operation. An even rate is not enough for tokens: rows differ in cost a hundredfold, and a large one fits only while a window is
nearly empty. So it is reckoned what the provider's window holds (`room.py`), and each row waits for room in it. That rests on two guesses,
and both are learnt from refusals:

- *how far expectations are off*: more is kept free after a refusal, and a little less after each row that was taken (`deviations.py`);
- *how the provider counts* (`counting.py`): over which window, and whether when a call comes or when its answer ends. Which of these were
  full at refusals shows it (`witness.py`), at once where only a shorter one can have been, or none (`unexplained.py`); and where nothing is
  refused for long, a longer window is tried (`trials.py`).

So it is where the quota is known (`Reckoning`). Where the quota itself is to be found, its window is told by who looks for it; learnt here
are whether answers are counted, and whether the window is shorter than that (`ToldReckoning`, `fuller.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from math import sqrt

from batchrun.core.classes import slotted
from batchrun.core.limits.counting import FIRST, WINDOWS, Counting
from batchrun.core.limits.deviations import FIRST as FIRST_DEVIATIONS
from batchrun.core.limits.deviations import LEAST, MOST, Deviations
from batchrun.core.limits.fuller import Fuller
from batchrun.core.limits.guesses import Guesses
from batchrun.core.limits.room import Room
from batchrun.core.limits.trials import Trials, Try
from batchrun.core.limits.unexplained import Unexplained
from batchrun.core.limits.witness import Refusal, Refusals, Witness, least_rung

_AT_MOST = 4.0
"""Deviations above what was expected of a row that may be what a refused one costs: it was refused for it."""


@slotted
class _Reckoned:
    """What both have; told the time. Rates are tokens a second."""

    counting: Counting = field(default_factory=Counting)
    guesses: Guesses = field(default_factory=Guesses)
    deviations: Deviations = field(init=False)
    room: Room = field(init=False)
    steady: bool = False
    """Nothing more is learnt of the provider: nobody is there to refuse anything."""
    deviation: float = 0.0
    """Of what the window would have held at the latest refusal."""
    _refusals: Refusals = field(init=False)

    def __post_init__(self) -> None:
        self.deviations = Deviations(self.counting)
        self.room = Room(self.counting, self.deviations, self.guesses)
        self._refusals = Refusals(self.room.went)
        self._begin_learning()

    def _begin_learning(self) -> None:
        raise NotImplementedError

    def _note_refused(self, now: float, launched_at: float, rate: float, cost: float) -> float:
        """Learn what both learn of a row that was refused, which `settle` has taken back; with it the window would have held so much.

        Where the quota is to be found that is what it is found by, and so it is what the window held when the row came; where it is known
        it only keeps the next row back, which finds the window as it is now.
        """
        room, counting = self.room, self.counting
        would_hold, deviation = self.would_hold(now, launched_at, cost)
        self.deviation, room.refused_at = deviation, now
        if room.knows_all(now):
            if counting.told:
                room.ceiling.go_back(cost)
            room.ceiling.refused(now, min(rate * counting.window, would_hold), deviation, counting.window)
        self.deviations.refused()
        self._refusals.add(self._refusal(now, launched_at, rate, cost))
        return would_hold

    def would_hold(self, now: float, launched_at: float, cost: float) -> tuple[float, float]:
        """What the window would have held with a row that was refused, in the mean, and the deviation of that."""
        room = self.room
        held, expected = room.went.held_at(now, launched_at) if self.counting.told else room.went.held(now), room.guesses.expected(cost)
        return held.known + held.guessed + expected.mean, sqrt(held.variance + expected.variance)

    def _refusal(self, now: float, launched_at: float, rate: float, cost: float) -> Refusal:
        expected = self.room.guesses.expected(cost)
        return Refusal(launched_at, now, rate, expected.mean + _AT_MOST * sqrt(expected.variance), expected.mean)

    def _over(self, now: float, rung: int) -> None:
        """Count over another window from now on."""
        self.counting.over(rung)
        self.deviations.begin()
        self.room.look_back(now)


@slotted
class Reckoning(_Reckoned):
    """Of a known quota, whose window is to be found."""

    _witness: Witness = field(init=False)
    _trials: Trials = field(init=False)
    _unexplained: Unexplained = field(init=False)

    def _begin_learning(self) -> None:
        self._witness, self._trials, self._unexplained = Witness(self.room), Trials(self.room), Unexplained(self.room)

    @property
    def others_use_it(self) -> bool:
        """Whether the latest refusals are none of this quota, if it is all there for this run."""
        return self._unexplained.others_use_it

    def took(self, now: float, rate: float, cost: float) -> None:
        """The provider took and answered a row."""
        quota, trials = rate * self.counting.window, self._trials
        self.room.answered(now, cost)
        if cost > trials.largest:
            trials.largest = cost
        if self.steady:
            return
        if self._refusals and (refusal := self._refusals.due(now)) is not None:
            self._look_at(refusal, now, rate)
        self.deviations.took()
        if (another := trials.took(now, quota, cost)) is not None:
            self._try(now, another)

    def may_be_full(self, now: float, launched_at: float, rate: float, cost: float) -> bool:
        """Whether any window may have been when a row was refused that was expected to cost so much."""
        refusal = self._refusal(now, launched_at, rate, cost)
        return not self.room.knows_all(now) or self._unexplained.explains(refusal, self._trials.largest)

    def refused(self, now: float, launched_at: float, rate: float, cost: float) -> None:
        """The provider refused a row that was expected to cost *cost*, and that `Room.settle` has taken back."""
        self._note_refused(now, launched_at, rate, cost)
        shorter = self._unexplained.refused(self._refusal(now, launched_at, rate, cost), self._trials.largest)
        if (another := self._trials.refused(now)) is not None:
            self._try(now, another)
        elif shorter is not None:
            self._count_over(now, shorter)

    def refused_too(self, now: float, cost: float) -> None:
        """The provider refused a row that was under way when it refused another, which held less then than it was thought to."""
        self._trials.refused_too()
        self.deviations.refused_too()
        room = self.room
        room.ceiling.refused_beside(room.holds(now) + room.guesses.expected(cost).mean, self.deviation)

    def learnt(self) -> dict[str, float]:
        """Return what refusals have shown, to be kept; nothing where there were none."""
        counting, deviations = self.counting, self.deviations.count
        if counting.rung == FIRST and deviations <= FIRST_DEVIATIONS and not counting.at_end:
            return {}
        return {"window": counting.window, "deviations": deviations, "at_end": float(counting.at_end)}

    def teach(self, kept: Mapping[str, object], now: float) -> None:
        """Begin with what was kept; what is no such number is passed over."""
        window, deviations = kept.get("window"), kept.get("deviations")
        if window in WINDOWS:
            self._count_over(now, WINDOWS.index(window))
            self.counting.at_end = kept.get("at_end") == 1.0
        if isinstance(deviations, float) and LEAST <= deviations <= MOST:
            self.deviations.count = deviations

    def _look_at(self, refusal: Refusal, now: float, rate: float) -> None:
        witness = self._witness
        witness.look_at(refusal)
        rung = witness.verdict(rate, self._trials.largest)
        if rung is not None:
            self._count_over(now, rung)
        self.counting.go_ahead(may=witness.has_seen_enough and not self.counting.at_end)

    def _try(self, now: float, another: Try) -> None:
        self._count_over(now, another.rung, is_trial=another.is_trial)

    def _count_over(self, now: float, rung: int, *, is_trial: bool = False) -> None:
        self._over(now, rung)
        self._witness.forget()
        self._unexplained.forget()
        self._trials.begin(now, is_trial=is_trial)


@slotted
class ToldReckoning(_Reckoned):
    """Of a quota that is to be found, whose window is told."""

    counting: Counting = field(default_factory=lambda: Counting(told=True))
    _fuller: Fuller = field(init=False)
    _is_shown: bool = False
    """Refusals have shown that the window is no longer one."""
    _largest: float = 0.0
    """What a row did cost that was taken, at the most."""

    def _begin_learning(self) -> None:
        self._fuller = Fuller(self.room)

    def tell(self, now: float, seconds: float, rate: float) -> None:
        """Count over so many seconds from now on, one of `WINDOWS`, a quota of that *rate*."""
        if seconds != self.counting.window:
            self._over(now, WINDOWS.index(seconds))
            self._fuller.forget()
            self._is_shown = False
        self.counting.is_shown = self._is_shown or least_rung(rate, self._largest) >= self.counting.rung
        self.counting.go_ahead(may=not self.counting.at_end)

    def took(self, now: float, cost: float, held: float) -> float | None:
        """The provider took and answered a row; the seconds to count over from now on, at the *held* rate, if refusals have shown it."""
        self.room.answered(now, cost)
        if cost > self._largest:
            self._largest = cost
        if self.steady:
            return None
        self.deviations.took()
        if self._refusals and (refusal := self._refusals.due(now)) is not None:
            rung = self._fuller.look_at(refusal, self._largest, now)
            if rung is not None:
                self.tell(now, WINDOWS[rung], held)
                self._is_shown = self.counting.is_shown = True
                return WINDOWS[rung]
        return None

    def refused(self, now: float, launched_at: float, rate: float, cost: float) -> float:
        """The same of a row; what would have filled the window."""
        would_hold = self._note_refused(now, launched_at, rate, cost)
        if self.counting.at_end:
            would_hold, self.deviation = self.room.ended.held(now).known, self.room.usual
        return would_hold

    def refused_beside(self, now: float, cost: float) -> None:
        """The provider refused a row that was under way when it refused another, which held less then than it was thought to."""
        room = self.room
        room.ceiling.refused_beside(room.holds(now) + room.guesses.expected(cost).mean, self.deviation)
