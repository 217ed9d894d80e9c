"""How many attempts of one lane may be under way at once: as many as the job allows, and fewer where more bring nothing.

Theory of operation. Answers are looked at in windows of some forty, or twice the slots, sent while the slots were in use. A window's
*pace* is its seconds for each token that came, so that longer answers are no slower ones. Slots are taken away on trial when the pace is
twice what it once was: where each answer then comes quicker in the same measure, they only made rows wait at the provider, and stay away;
where it does not, the provider is slow for another reason, the slots come back, and the next trial waits twice as long. Slots are given
back the same way: a few on trial, and for good where the pace holds. So a steady endpoint is never tried, and a wrong guess costs one
window.

While this process itself is what answers wait for, what they take says nothing of the provider: nothing is tried then, and a trial under
way is given up.

What is refused for want of capacity takes slots away once for all that was under way, if it is more than a few in a hundred: below that
it is the provider's own noise. They come back one by one, and pass the number that failed only after a while.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum

_LEAST_ANSWERS, _ANSWERS_A_SLOT = 40, 2
"""A window."""
_FIRST_WINDOW = 10
"""Answers, whatever the slots in use: how quick the provider is when little is asked of it."""
_IN_USE = 0.85
"""Of the slots, in flight: else they are not what limits."""
_OVERHEAD_TOKENS = 30.0
"""What a call takes beside its answer, in tokens of the answer."""
_SLOW = 2.0
"""Times the best pace."""
_FORGETS = 1.002
"""What each window makes of the best pace."""
_FEWER, _MORE = 0.7, 1.3
_QUICKER, _HOLDS = 0.6, 0.4
"""Of the change of slots: how much of it the pace must follow to show that the slots were too many, and how much of it at the most for more
to be of use."""
_REST, _LONGEST_REST = 30.0, 1800.0
"""Seconds between two trials; doubled by each that was wrong."""
_FAILING = 0.05
"""Of a window's attempts: while more fail, nothing grows."""
_REFUSED_LEAST, _REFUSED_SHARE = 3, 0.05
_PASSES_AFTER, _PASSES_AFTER_MOST = 60.0, 960.0
"""Seconds until as many slots are tried again as failed."""


class _Trial(Enum):
    NONE = "none"
    FEWER = "fewer"
    MORE = "more"


@dataclass(slots=True)
class Slots:
    """The slots of one lane; told the time."""

    cap: int
    limit: int = field(init=False)
    """Slots that may be in use now: 1 to *cap*."""
    _best: float = math.inf
    """Seconds a token."""
    _trial: _Trial = _Trial.NONE
    _before: tuple[int, float] = (0, 0.0)
    """Slots and pace before the trial."""
    _since: float = -math.inf
    """Answers to what was launched before are another limit's."""
    _answers: int = 0
    _seconds: float = 0.0
    _tokens: float = 0.0
    _failed: int = 0
    _fewer_at: float = -math.inf
    _fewer_rest: float = _REST
    _more_at: float = -math.inf
    _more_rest: float = _REST
    _cut_at: float = -math.inf
    _tried: int = 0
    _refused: int = 0
    """Of those launched since the latest cut."""
    _ceiling: float = math.inf
    """Slots that were refused."""
    _ceiling_until: float = -math.inf
    _passes_after: float = _PASSES_AFTER

    def __post_init__(self) -> None:
        self.limit = self.cap

    def learnt(self) -> dict[str, float]:
        """Return what was found, to be kept; nothing where all slots are in use."""
        return {"limit": self.limit, "best": self._best} if self.limit < self.cap and self._best < math.inf else {}

    def teach(self, kept: object) -> None:
        """Begin with what an earlier opening found; what makes no sense is passed over."""
        limit, best = (kept.get(name) for name in ("limit", "best")) if isinstance(kept, dict) else (None, None)
        if isinstance(limit, int) and isinstance(best, float) and 1 <= limit <= self.cap and 0 < best < math.inf:
            self.limit, self._best = limit, best

    def sent(self) -> None:
        """An attempt is launched."""
        self._tried += 1

    def took(self, now: float, launched_at: float, output_tokens: float, in_flight: int) -> None:
        """An answer came; *in_flight* counts it too."""
        counts = launched_at >= self._since and (in_flight >= _IN_USE * self.limit or self._best == math.inf)
        if not counts:
            return
        self._answers += 1
        self._seconds += now - launched_at
        self._tokens += output_tokens + _OVERHEAD_TOKENS
        if self._best == math.inf:
            if self._answers >= _FIRST_WINDOW:
                self._best = self._seconds / self._tokens
                self._begin(now)
        elif self._answers >= max(_LEAST_ANSWERS, _ANSWERS_A_SLOT * self.limit):
            self._judge(now)

    def pressed(self, now: float) -> None:
        """An answer came that may have waited for this process longer than for the provider."""
        if self._trial is _Trial.FEWER:
            self.limit, _ = self._before
        self._trial = _Trial.NONE
        self._begin(now)

    def failed(self, launched_at: float) -> None:
        """An attempt failed that was no refusal."""
        self._failed += launched_at >= self._since

    def refused(self, now: float, launched_at: float) -> None:
        """An attempt was refused for want of capacity."""
        if launched_at < self._cut_at:
            return
        self._refused += 1
        if self._refused < min(_REFUSED_LEAST, self.limit) or self._refused <= _REFUSED_SHARE * self._tried:
            return
        if self._ceiling < math.inf and now < self._ceiling_until + self._passes_after and self.limit >= self._ceiling - 1:
            self._passes_after = min(_PASSES_AFTER_MOST, 2 * self._passes_after)
        self._ceiling, self._ceiling_until = self.limit, now + self._passes_after
        self.limit = max(1, int(_FEWER * self.limit))
        self._trial = _Trial.NONE
        self._cut(now)
        self._begin(now)

    def _cut(self, now: float) -> None:
        self._cut_at, self._tried, self._refused = now, 0, 0

    def _judge(self, now: float) -> None:
        pace = self._seconds / self._tokens
        match self._trial:
            case _Trial.NONE:
                self._look(now, pace)
            case _Trial.FEWER:
                self._end_fewer(now, pace)
            case _Trial.MORE:
                self._end_more(now, pace)
        self._begin(now)

    def _begin(self, now: float) -> None:
        self._since, self._answers, self._seconds, self._tokens, self._failed = now, 0, 0.0, 0.0, 0

    def _is_failing(self) -> bool:
        return self._failed > _FAILING * self._answers

    def _look(self, now: float, pace: float) -> None:
        self._best = min(self._best * _FORGETS, pace)
        if pace >= _SLOW * self._best and now >= self._fewer_at and self.limit > 1:
            self._try(_Trial.FEWER, pace, max(1, int(_FEWER * self.limit)))
        elif self.limit < self.cap and now >= self._more_at and not self._is_failing():
            self._grow(now, pace)

    def _grow(self, now: float, pace: float) -> None:
        if self._ceiling == math.inf:
            self._try(_Trial.MORE, pace, min(self.cap, max(self.limit + 1, int(_MORE * self.limit))))
        elif self.limit + 1 < self._ceiling or now >= self._ceiling_until:
            self.limit += 1
            self._cut(now)
            if self.limit >= 2 * self._ceiling or self.limit == self.cap:
                self._ceiling, self._passes_after = math.inf, _PASSES_AFTER

    def _try(self, trial: _Trial, pace: float, limit: int) -> None:
        self._trial, self._before, self.limit = trial, (self.limit, pace), limit

    def _end_fewer(self, now: float, pace: float) -> None:
        slots, before = self._before
        self._trial = _Trial.NONE
        if pace <= before * (1 - _QUICKER * (1 - self.limit / slots)):
            self._fewer_rest, self._more_at = _REST, now + self._more_rest
            return
        self.limit = slots
        self._fewer_at = now + self._fewer_rest
        self._fewer_rest = min(_LONGEST_REST, 2 * self._fewer_rest)

    def _end_more(self, now: float, pace: float) -> None:
        slots, before = self._before
        self._trial = _Trial.NONE
        if not self._is_failing() and pace <= before * (1 + _HOLDS * (self.limit / slots - 1)):
            self._more_rest = _REST
            return
        self.limit = slots
        self._more_at = now + self._more_rest
        self._more_rest = min(_LONGEST_REST, 2 * self._more_rest)
