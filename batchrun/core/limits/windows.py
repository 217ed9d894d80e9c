"""Which of two windows a provider counts over, and what it held when it was full, where a quota is to be found.

Theory of operation. Providers count over a few seconds or over a minute, and the two are told apart by what refusals show:

- *How long they last.* A window of six seconds has room again six seconds after it was filled, whatever filled it. Refusals that go on
  for longer are a minute's. So are those that come while the six seconds are next to empty, in the first minute of all, or while as many
  answers come as at the first of them: so far falls no quota that quickly.
- *What stays the same*. The window that is full holds the same at each refusal. If the minute held the same at two of them, and the six
  seconds did not, it is the minute, where all attempts cost one. If it is the minute that did not, while the six seconds were as full as
  they get, it is these. Of tokens that is asked where a climb had come far beyond what the minute held.

Refusals that go on while both windows are empty are no window's, and say nothing of a rate: a provider that is shut for an hour has its old
quota after it.

Tokens may count when an answer ends, and not when its call comes. Then what was under way at the first refusal fills the short window as it
is answered, though nothing more goes, and refusals last for longer than that. So before they are taken for a minute's it is asked whether
answers explain them: whether these filled the short window at each of them, and no longer when an attempt was taken, while nothing had
left the minute. At a steady rate they fill it always: so it is not asked any more once a minute was full while none had come for seconds.
A minute in which next to nothing went was full of answers too, if many came in it: the rush of a run's first seconds counts for so long.

A window of tokens may be shorter than six seconds: it is told from those by how full it is at refusals (`fuller.py`).

What is remembered is what both held at the first refusal of an episode, and at the latest of all, in units a second: that is the quota,
once it is known which of the two it is of. What was under way at the first refusal and is refused as well was not held after all.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import NamedTuple

from batchrun.core.classes import slotted
from batchrun.core.limits.use import Use

SHORT, LONG = 6.0, 60.0
SHORTER = (1.0, 2.0)
"""Of tokens, where refusals show it (`fuller.py`)."""
_LASTS_LONG = 6.5
"""Seconds of refusals that a window of six seconds cannot explain."""
_LESS = 0.7
"""Of what a short window held at first: a refusal when it holds less than that is not the short window's, and may be one of answers."""
_AS_BEFORE = 0.015
"""What a window that is full at two refusals holds more or less at one of them, at the most."""
_EMPTY = 0.1
"""Of what it held at first, or a minute does on the mean: a short window that held less than that was not full."""
_ALIKE = 0.1
"""What a window holds more or less at refusals that it may have made, at the most."""
_STAYED, _GONE = 0.3, 0.5
"""Of what answers filled at the first refusal of an episode: what they fill at all others, if they are what is counted. Of what they filled
at the most: as little may be left in an aligned window that has room again."""
_ROWS = 10
"""Usual rows that a quota of answers goes for at the least."""
_LEFT = 0.05
"""Of what went in a minute: what has left it by the time that it has room, if it was full."""
_MORE = 1.5
"""Times what a short window holds: less shows nothing of a minute that holds it."""
_LATE = 0.05
"""Seconds that one attempt may have come later to the provider than another."""


class Held(NamedTuple):
    """What the windows held, in units a second."""

    short: float
    minute: float
    answers: float = 0.0
    """The short one, of answers."""


NOTHING = Held(0.0, 0.0)


def differ(one: float, other: float, share: float) -> bool:
    """Whether two amounts are more than a *share* of the larger one apart."""
    return abs(one - other) > share * max(one, other)


@slotted
class Windows:
    """What refusals have shown of them."""

    use: Use
    window: float = SHORT
    """The one that the provider counts over, as far as refusals have shown."""
    at_first: Held = NOTHING
    at_last: Held = NOTHING
    first_at: float = 0.0
    of_answers: bool = False
    """It was full of answers."""
    least: float = 0.0
    """What the short one held of answers, in units a second, at the refusals of the latest episode: at the least."""
    _most: float = 0.0
    """And at the most."""
    _more: float = 0.0
    """What the minute held at the first refusal of the latest episode came to besides, as answers showed since."""
    _since: float = inf
    """When the first refusal of all came."""
    is_late: bool = False
    """A minute was full at the latest refusal of what had gone before it, and was answered in it."""
    _is_shown: bool = False
    """A minute was full while no answers had come for as long as a short window lasts."""
    _alike: Held = NOTHING
    """The first of the latest refusals at which the short window held the same."""

    def exactly(self, seconds: float, launched_at: float) -> int | None:
        """How many attempts a window held when one was refused in it, where they are so few that it is told exactly."""
        return None if self.use.latest is None else self.use.latest.since(launched_at - seconds - _LATE)

    def note(self, now: float, launched_at: float, cost: float, *, first: bool) -> Held:
        """Remember what the windows held at a refusal, and would have with what was refused. Return what they did at the one before."""
        self._since = min(self._since, now)
        before, few = self.at_last, self.exactly(SHORT, min(now, launched_at))
        short = self.use.trail.sum(now, SHORT) + cost if few is None else few
        self.at_last, self.is_late = self._held(now, short), self._late(now) > 0
        answers = self.at_last.answers
        if first:
            self.at_first, self.first_at, self.least, self._most = self.at_last, now, answers, answers
            self._more = 0.0
        self.least, self._most = min(self.least, answers), max(self._most, answers)
        if differ(self.at_last.short, self._alike.short, _ALIKE):
            self._alike = self.at_last
        return before

    def _held(self, now: float, short: float) -> Held:
        answers = 0.0 if self.use.answers is None else self.use.answers.sum(now, SHORT)
        return Held(short / SHORT, max(self.use.trail.sum(now, LONG), self._late(now)) / LONG, answers / SHORT)

    def _late(self, now: float) -> float:
        """What was answered in a minute that was full while next to nothing went in it."""
        answered = 0.0 if self.use.answers is None or self.window < LONG else self.use.answers.sum(now, LONG)
        return answered if self.use.trail.sum(now, LONG) < _EMPTY * answered else 0.0

    @property
    def is_no_minute(self) -> bool:
        """Whether the short window was as full at the latest refusals as it can be, and the minute fuller at some than at others."""
        last = self.at_last
        return last.short >= last.minute and differ(last.minute, self._alike.minute, _ALIKE)

    def is_minute_as(self, before: Held) -> bool:
        """Whether the minute held as much at the latest refusal as *before*, and not only because all of it went in the last seconds."""
        last = self.at_last
        return last.minute * LONG > _MORE * last.short * SHORT and not differ(last.minute, before.minute, _AS_BEFORE)

    def take_back(self, cost: float) -> None:
        """What was under way at the first refusal was refused as well."""
        short, minute, answers = self.at_first
        self.at_first = Held(max(0.0, short - cost / SHORT), max(0.0, minute - cost / LONG), answers)

    def correct(self, launched_at: float, more: float) -> bool:
        """What went before the first refusal came to so much *more* than was thought then; say whether the minute held it.

        Of a short window as much is known sooner than its answers come: by what it takes later.
        """
        if not self.first_at - LONG <= launched_at <= self.first_at:
            return False
        self._more += more
        return True

    def end_episode(self, now: float, lasted: float) -> None:
        """Refusals have *lasted* so many seconds."""
        is_long = lasted > _LASTS_LONG or self._was_short_empty
        may_be_long = is_long or (self.window == LONG and self.at_last.short < _LESS * self.at_first.short)
        if may_be_long and not (self.window == LONG and self._is_shown) and self._were_answers(now):
            self.window, self.of_answers = SHORT, True
        elif is_long:
            self.window, self.of_answers = LONG, False
            self._is_shown = self._is_shown or self.least * SHORT < self.use.typical
            self.at_first = self.at_first._replace(minute=max(0.0, self.at_first.minute + self._more / LONG))

    @property
    def _was_short_empty(self) -> bool:
        """Whether the short window held next to nothing at the latest refusal, and its quota has not fallen so far.

        That hardly comes in the first minute of refusals, when nothing was shown of the window. Later it may, but not where as many answers
        as ever came in it; and no quota of attempts falls so far that not one goes.
        """
        first, last = self.at_first, self.at_last
        if self.use.answers is None and not last.short:
            return True
        if last.short >= _EMPTY * max(first.short, last.minute):
            return False
        return self.first_at - self._since < LONG or last.answers > (1 - _ALIKE) * first.answers

    def _were_answers(self, now: float) -> bool:
        """Whether it was answers that filled the short window at each refusal, and no longer now that an attempt was taken.

        A minute was not full if nothing has left it since the latest refusal. Where answers are known to count, it need not be asked.
        """
        held, tried = self._held(now, 0.0), self.use.trail.latest.amount / LONG
        return (
            self.least * SHORT >= _ROWS * self.use.typical
            and self.least >= _STAYED * self.at_first.answers
            and held.answers < max(self.least, _GONE * self._most)
            and (self.of_answers or held.minute - tried > (1 - _LEFT) * self.at_last.minute)
        )

    def is_no_window(self, lasted: float) -> bool:
        """Whether refusals have *lasted* for so long that no window was full at the latest of them: then it is no rate's doing."""
        return lasted > LONG and self.at_last.minute * LONG < self.use.typical / 2

    def teach(self, kept: Mapping[str, object]) -> float | None:
        """Take up the window that was kept, and return the rate; None where there is no such number."""
        rate = kept.get("rate")
        if not isinstance(rate, float) or not 0 < rate < inf:
            return None
        kept_window = kept.get("window")
        self.window = next((seconds for seconds in (*SHORTER, LONG) if seconds == kept_window), SHORT)
        return rate
