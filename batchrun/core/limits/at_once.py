"""How many calls a provider takes at once, of one lane or of all that share a pool, found by what it refuses for want of capacity.

Theory of operation. Who takes so many calls at once and no more holds just as many when he refuses one. So it is known of each call that
is refused its *level*: how many were under way with it that were not refused themselves. Once enough was refused to be no chance the limit
is one less than that; where levels differ the middle one counts, for some calls are refused whatever is under way.

That is the provider's own *noise*. A few in a hundred are borne with. Of more it shows that it is noise when the limit was lowered and
nearly as many are refused as before: then that is taken back, and so many are borne with from there on. Where one call in five is refused
for nothing, who sends as many at once as ever is done soonest all the same.

From there one more is tried now and then, which costs a refused call where the limit is still the same. Where it is taken, two more are
tried at once, then four, and so on: so what comes free of hundreds is in use within a minute. Whether a call was taken shows before it is
answered: refusals come back within seconds, answers may take an hour.

A refusal at a level that was taken before is none of this limit's, unless it has changed: whoever else may be to blame is asked first
(`explains`). And where what was sent later was taken at a clearly higher level, this was not the limit (`is_refuted`).
"""

from __future__ import annotations

import math
from dataclasses import field

from batchrun.core.classes import slotted

_REFUSED_LEAST, _REFUSED_SHARE = 3, 0.05
"""Refusals, and their share of what was tried, that are no chance."""
_SURELY, _HELPED = 8, 0.5
"""Refusals since the limit was lowered, before it is asked whether that helped; and their share by what it was before, if it did."""
_MOST_BORNE = 0.5
"""Of what is tried: the largest share of refusals that is borne with."""
_LEVELS = 63
"""Of the latest refusals, of which the middle one counts."""
_TAKEN_AFTER, _TIMES_REFUSED_WITHIN = 5.0, 2.0
"""Seconds after which what was not refused was taken, at the least; and times what a refusal took."""
_LEAST_ANSWERS, _ANSWERS_A_CALL = 40, 2
"""Answers that are waited for in the end before more is tried, so that few calls are refused for it. At first it is one for each call, and
twice as many each time that none was taken."""
_REST = 30.0
"""Seconds before more is tried."""
_TIMES_NOISE = 2.0
"""Times the share that was refused before, which a step bears with."""
_CLEARLY, _CLEARLY_LEAST = 1.1, 2
"""Times the level of a refusal, and calls more, that are a higher one: calls do not arrive quite in the order in which they were sent."""


@slotted
class _Fall:
    """The limit was lowered."""

    limit: float
    """Before."""
    tried: int
    refused: int
    """Before, and of what was under way."""
    levels: list[int]
    """Of these refusals."""

    @property
    def level(self) -> int:
        """The middle one."""
        return sorted(self.levels)[len(self.levels) // 2]


@slotted
class AtOnce:
    """One limit on calls at once; told the time."""

    limit: float = math.inf
    """Calls that may be under way."""
    is_refuted: bool = False
    """It was found once where there was none."""
    _is_steady: bool = False
    _taken: int = 0
    """The highest level known to have been taken."""
    _low: float = math.inf
    _low_at: float = -math.inf
    """The level that made this limit, and when a call was launched that was refused for it."""
    _levels: list[int] = field(default_factory=list)
    """Of refusals since the latest change. A list, for most limits never see one: an empty deque takes ten times as much memory."""
    _fall: _Fall | None = None
    """The latest, until more is tried."""
    _borne: float = _REFUSED_SHARE
    """The share of what is tried that may be refused for nothing."""
    _least: int = 1
    """Calls that were taken before the latest step: refusals of what it tried take none of these away."""
    _tried: int = 0
    _refused: int = 0
    """Of those that were launched since the latest change."""
    _changed_at: float = -math.inf
    _ever_refused: int = 0
    _taken_after: float = _TAKEN_AFTER
    _answers: int = 0
    """While all were in use, since the latest change."""
    _rounds: float = 1.0
    """Answers for each call, before more is tried."""
    _noise: float = 0.0
    """The share of calls that was refused before the step."""
    _more: int = 0
    """Calls more that are being tried; 0: none."""
    _full_at: float = math.inf
    """When the last of these was launched."""

    def learnt(self) -> dict[str, int]:
        """Return what was found, to be kept."""
        return {"at_once": int(self.limit)} if self.limit < math.inf else {}

    def teach(self, kept: object, *, steady: bool = False) -> None:
        """Begin with what an earlier opening found; where that is to be *steady*, it stays so."""
        limit = kept.get("at_once") if isinstance(kept, dict) else None
        if isinstance(limit, int) and limit >= 1:
            self.limit, self._taken = limit, limit
        self._is_steady = steady

    def sent(self, now: float, under_way: int) -> int:
        """A call is launched, and counted among those *under way*; return its *place*, by which its level is known when it ends."""
        self._tried += 1
        if self._more and under_way >= self.limit and self._full_at == math.inf:
            self._full_at = now
        return under_way + self._ever_refused

    def took(self, now: float, launched_at: float, place: int, under_way: int) -> None:
        """An answer came to a call, which still is one of those *under way*."""
        if place - self._ever_refused > self._taken:
            self._holds(launched_at, place - self._ever_refused)
        if under_way < self.limit or self._is_steady:
            return
        if self._more:
            if now >= self._full_at + self._taken_after:
                self._low, self._rounds = math.inf, 1.0
                self._try(now, 2 * self._more)
            return
        self._answers += 1
        wanted = min(self._rounds * self.limit, max(_LEAST_ANSWERS, _ANSWERS_A_CALL * self.limit))
        if self._answers >= wanted and now >= self._changed_at + _REST:
            self._noise = self._refused / max(1, self._tried)
            self._try(now, 1)

    def explains(self, place: int) -> bool:
        """Whether it may be why a call was refused: none was ever taken at its level."""
        return place - self._ever_refused > self._taken

    def refused(self, now: float, launched_at: float, place: int) -> None:
        """A call was refused for want of capacity, and this is to blame; `count_refused` follows."""
        if self._is_steady:
            return
        level = place - self._ever_refused
        self._taken_after = max(self._taken_after, _TIMES_REFUSED_WITHIN * (now - launched_at))
        if self._more:
            return  # What is tried ends with it, or bears with it.
        # More than were tried went before the change, in its very moment.
        if launched_at >= self._changed_at and self._refused < self._tried:
            self._refused += 1
            _note(self._levels, level)
            self._judge(now, launched_at)
        elif self._fall is not None:
            self._fall.refused += 1
            _note(self._fall.levels, level)
            self._lower(launched_at, self._fall.limit, self._fall.level)

    def _judge(self, now: float, launched_at: float) -> None:
        """Lower the limit if more is refused than is borne with; or take that back, if it did not help."""
        fall = self._fall
        if self._refused < (_REFUSED_LEAST if fall is None else _SURELY) or self._refused <= self._borne * self._tried:
            return
        if fall is not None and self._refused * fall.tried > _HELPED * fall.refused * self._tried:
            self._borne = min(_MOST_BORNE, _TIMES_NOISE * self._refused / self._tried)
            self.limit, self._low, self._fall = fall.limit, math.inf, None
        else:
            self._fall = _Fall(self.limit, self._tried, self._refused, self._levels)
            self._least, self._rounds, self._low = 1, 1.0, math.inf
            self._lower(launched_at, self.limit, self._fall.level)
        self._change(now)

    def count_refused(self, launched_at: float, place: int, *, ends_step: bool = True) -> None:
        """A call was refused for want of capacity, whatever is to blame; unless that is known, it *ends a step*."""
        level = place - self._ever_refused
        self._holds(launched_at, level - 1)
        self._ever_refused += 1
        if not (self._more and ends_step) or launched_at < self._changed_at:
            return
        self._refused += 1
        if self._refused > _TIMES_NOISE * self._noise * self._tried:
            # Nobody knows whether what is tried would have been taken.
            self._more = 0
            self._rounds = min(2.0 * self._rounds, _LEAST_ANSWERS)
            self._lower(launched_at, self.limit, level)
            self._change(launched_at)

    @property
    def is_trying(self) -> bool:
        """Whether more is being tried."""
        return self._more > 0

    def forget(self) -> None:
        """Let go of what refusals taught: another limit explains them."""
        self.limit, self._low, self._more, self._fall = math.inf, math.inf, 0, None

    def _holds(self, launched_at: float, level: int) -> None:
        """Of the calls that were under way at *launched_at* so many were not refused."""
        if launched_at >= self._changed_at:
            self._taken = max(self._taken, level)
        if launched_at >= self._low_at and level >= max(_CLEARLY * self._low, self._low + _CLEARLY_LEAST):
            self.is_refuted = True
            self._taken = max(self._taken, level)
            self.forget()

    def _lower(self, launched_at: float, limit: float, level: int) -> None:
        """It was *limit*, and calls, the latest of them launched then, were refused at that level."""
        self._low, self._low_at = level, launched_at
        self.limit = max(self._least, min(limit, level - 1))
        self._taken = int(self.limit)

    def _try(self, now: float, more: int) -> None:
        self._least, self._fall = int(self.limit), None
        self.limit += more
        self._more, self._full_at = more, math.inf
        self._change(now)

    def _change(self, now: float) -> None:
        self._changed_at, self._tried, self._refused, self._answers = now, 0, 0, 0
        self._levels = []


def _note(levels: list[int], level: int) -> None:
    """Add a level to those of the latest refusals."""
    levels.append(level)
    del levels[:-_LEVELS]
