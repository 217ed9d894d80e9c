"""How many attempts of one lane may be under way at once: as many as the job allows, and fewer where more bring nothing.

Theory of operation. Answers are looked at in windows of some forty, or twice the slots, sent while the slots were in use. A window's
*pace* (`answer_pace.py`) is its seconds for each token that came, so that longer answers are no slower ones. Slots are taken away on trial
when the pace is twice what it once was: where each answer then comes quicker in the same measure, they only made rows wait at the provider,
and stay away; where it does not, the provider is slow for another reason, the slots come back, and the next trial waits twice as long.
Slots are given back the same way: a few on trial, and for good where the pace holds. So a steady endpoint is never tried, and a wrong guess
costs one window. Where most are away twice as many are tried too, every minute or two, however often that was wrong: a provider that was
slow for an hour is quick again all of a sudden, and by twice as many it shows at once whether it is. If so, more follow.

Answers may take minutes or an hour, one ten times as long as another, whatever is asked. So a difference counts where chance hardly
explains it: slots that are in the way only make rows wait, and those that are missing make a night longer. How long the next trial waits is
told in windows, too, lest one follows the other. And how quick the provider was at first is told by what was sent first: of many that are
under way, the quick ones are back before the others.

While this process itself is what answers wait for, what they take says nothing of the provider: nothing is tried then, and a trial under
way is given up.

What is refused for want of capacity is another matter (`at_once.py`).
"""

from __future__ import annotations

import math
from dataclasses import field
from enum import Enum

from batchrun.core.classes import slotted
from batchrun.core.limits.answer_pace import AnswerPace, chance

_LEAST_ANSWERS, _ANSWERS_A_SLOT = 40, 2
"""A window."""
_FIRST, _FIRST_SHARE = 10, 0.8
"""Attempts that tell, whatever the slots in use, how quick the provider is when little is asked of it; and the share of them that is to be
answered: one may hang."""
_IN_USE = 0.85
"""Of the slots, in flight: else they are not what limits."""
_SLOW = 2.0
"""Times the best pace."""
_FORGETS = 1.002
"""What each window makes of the best pace."""
_FEWER, _MORE = 0.7, 1.3
_TWICE, _NEARLY_TWICE = 2, 1.6
"""Times the slots, where most are away; and at the least, where there are no more."""
_QUICKER, _HOLDS = 0.6, 0.4
"""Of the change of slots: how much of it the pace must follow to show that the slots were too many, and how much of it at the most for more
to be of use."""
_SURE, _LIKELY = 3.0, 2.0
"""Times what chance usually makes of a pace: what is hardly chance, and what may be."""
_REST, _LONGEST_REST = 30.0, 1800.0
"""Seconds between two trials; doubled by each that was wrong."""
_REST_WINDOWS, _LONGEST_REST_WINDOWS = 2, 32
"""The same in windows, where those are long."""
_REST_OF_TWICE, _WINDOWS_OF_TWICE = 90.0, 3
"""Seconds, and windows, between two trials of twice as many."""
_MOST_DOUBLED = 10
"""Times, which is more than the longest rests take."""
_FAILING = 0.05
"""Of a window's attempts: while more fail, nothing grows."""


class _Trial(Enum):
    NONE = "none"
    FEWER = "fewer"
    MORE = "more"


@slotted
class _Rest:
    """How long the next trial waits."""

    until: float = -math.inf
    windows: int = 0
    """How many have ended by then: they are counted, for they are short once the provider is quick."""
    wrong: int = 0
    """Trials in a row."""

    def begin(self, now: float, windows: int) -> None:
        """It begins *now*, when so many *windows* have ended."""
        longer = 2 ** min(self.wrong, _MOST_DOUBLED)
        self.until, self.windows = now + min(_LONGEST_REST, _REST * longer), windows + min(_LONGEST_REST_WINDOWS, _REST_WINDOWS * longer)

    def is_over(self, now: float, windows: int) -> bool:
        """Whether it is *now*, when so many have ended."""
        return now >= self.until and windows >= self.windows

    def end(self) -> None:
        """What it was for is over."""
        self.until, self.windows, self.wrong = -math.inf, 0, 0


@slotted
class Slots:
    """The slots of one lane; told the time."""

    cap: int
    limit: int = field(init=False)
    """Slots that may be in use now: 1 to *cap*."""
    _best: float = math.inf
    """Seconds a token."""
    _first: AnswerPace = field(default_factory=AnswerPace)
    """Of those that were sent first."""
    _sent_first: int = 0
    _first_until: float = -math.inf
    """When the last of them was sent."""
    _trial: _Trial = _Trial.NONE
    _before: tuple[int, AnswerPace] = (0, AnswerPace())
    """Slots and pace before the trial."""
    _since: float = -math.inf
    """Answers to what was launched before are another limit's."""
    _pace: AnswerPace = field(default_factory=AnswerPace)
    """Of the window."""
    _windows: int = 0
    """How many have ended."""
    _failed: int = 0
    _fewer: _Rest = field(default_factory=_Rest)
    _more: _Rest = field(default_factory=_Rest)
    _twice: _Rest = field(default_factory=_Rest)
    """Before twice as many are tried."""

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

    def sent(self, now: float) -> None:
        """An attempt is launched."""
        if self._sent_first < _FIRST or now <= self._first_until:
            self._sent_first, self._first_until = self._sent_first + 1, now

    def took(self, now: float, launched_at: float, output_tokens: float, in_flight: int) -> None:
        """An answer came; *in_flight* counts it too."""
        if self._best == math.inf and launched_at <= self._first_until:
            self._first.add(now - launched_at, output_tokens)
            if self._first.answers >= _FIRST_SHARE * self._sent_first:
                self._best = self._first.a_token
                self._begin(now)
        elif launched_at >= self._since and in_flight >= _IN_USE * self.limit:
            self._pace.add(now - launched_at, output_tokens)
            if self._pace.answers >= max(_LEAST_ANSWERS, _ANSWERS_A_SLOT * self.limit):
                self._judge(now)

    def pressed(self, now: float) -> None:
        """An answer came that may have waited for this process longer than for the provider."""
        if self._trial is _Trial.FEWER:
            self.limit, _ = self._before
        self._trial = _Trial.NONE
        if self._pace.answers:
            self._begin(now)
        else:
            self._since, self._failed = now, 0

    def failed(self, launched_at: float) -> None:
        """An attempt failed that was no refusal."""
        self._failed += launched_at >= self._since

    def _judge(self, now: float) -> None:
        pace, self._windows = self._pace, self._windows + 1
        match self._trial:
            case _Trial.NONE:
                self._look(now, pace)
            case _Trial.FEWER:
                self._end_fewer(now, pace)
            case _Trial.MORE:
                self._end_more(now, pace)
        self._begin(now)

    def _begin(self, now: float) -> None:
        self._since, self._pace, self._failed = now, AnswerPace(), 0

    def _is_failing(self) -> bool:
        return self._failed > _FAILING * self._pace.answers

    def _look(self, now: float, pace: AnswerPace) -> None:
        self._best = min(self._best * _FORGETS, pace.a_token)
        if pace.a_token - _LIKELY * pace.error >= _SLOW * self._best and self._fewer.is_over(now, self._windows) and self.limit > 1:
            self._try(_Trial.FEWER, pace, max(1, int(_FEWER * self.limit)))
        elif self.limit < self.cap and not self._is_failing():
            self._look_for_more(now, pace)

    def _look_for_more(self, now: float, pace: AnswerPace) -> None:
        twice = min(self.cap, _TWICE * self.limit)
        if twice >= _NEARLY_TWICE * self.limit and self._twice.is_over(now, self._windows):
            self._try(_Trial.MORE, pace, twice)
        elif self._more.is_over(now, self._windows):
            self._try(_Trial.MORE, pace, min(self.cap, max(self.limit + 1, int(_MORE * self.limit))))

    def _try(self, trial: _Trial, pace: AnswerPace, limit: int) -> None:
        self._trial, self._before, self.limit = trial, (self.limit, pace), limit

    def _end_fewer(self, now: float, pace: AnswerPace) -> None:
        slots, before = self._before
        self._trial = _Trial.NONE
        quicker = before.a_token - pace.a_token
        if quicker >= _QUICKER * (1 - self.limit / slots) * before.a_token and quicker >= _SURE * chance(before, pace):
            self._fewer.wrong = 0
            self._more.begin(now, self._windows)
            self._rest_of_twice(now)
            return
        self.limit = slots
        self._fewer.begin(now, self._windows)
        self._fewer.wrong += 1

    def _end_more(self, now: float, pace: AnswerPace) -> None:
        slots, before = self._before
        self._trial = _Trial.NONE
        slower = pace.a_token - before.a_token
        are_twice = self.limit >= _NEARLY_TWICE * slots
        follows = slower > _HOLDS * (self.limit / slots - 1) * before.a_token and slower > _LIKELY * chance(before, pace)
        if not self._is_failing() and not follows:
            self._more.wrong = 0
            if are_twice:
                self._more.end()
                self._look(now, pace)
            return
        self.limit = slots
        if are_twice:
            self._rest_of_twice(now)
            return
        self._more.begin(now, self._windows)
        self._more.wrong += 1

    def _rest_of_twice(self, now: float) -> None:
        self._twice.until, self._twice.windows = now + _REST_OF_TWICE, self._windows + _WINDOWS_OF_TWICE
