"""A throttle episode: refusals that go on for a while, the pause that is made of them, and the one attempt that ends it.

Theory of operation. Refusals that come alone need no pause. Refusals in a row say that a window is full, and whatever is sent then is
refused as well: so nothing more goes for a while, and then one attempt is let through to try. If it is refused the pause is twice as
long, up to eight seconds, and another one tries; if it is taken the episode is over.

Whether it was taken shows before it is answered: a refusal comes back quickly, an answer may take minutes. What was not refused in three
times the time that refusals usually take was taken.

What was under way when the episode began is refused too, and says nothing that is new: only what was launched to try counts.
"""

from __future__ import annotations

import math

from batchrun.core.classes import slotted
from batchrun.core.limits.pace import Pace

_TIMES_REFUSED_WITHIN = 3
_SHORTEST_FIRST, _SECOND_PAUSE, _LONGEST_PAUSE = 0.5, 2.0, 8.0
_GAPS = 6
"""Usual gaps that a pause is at least, where a window of a minute is full, which it stays for long."""


def resumes_at(now: float, jitter: float) -> float:
    """When a pause ends that begins now, where no rate is at fault: growth, capacity."""
    return now + _SHORTEST_FIRST + jitter / 2


def resumes_at_rate(now: float, jitter: float, gap: float) -> float:
    """The same where a rate is, at which usual attempts are *gap* seconds apart."""
    return now + (1 + jitter) * max(_SHORTEST_FIRST, min(gap, _LONGEST_PAUSE / 2))


@slotted
class Episode:
    """One of them; told the time."""

    of: Pace | None
    """What is too fast; None where it is growth, want of capacity, or a pause that was asked for and is over."""
    since: float
    resumes_at: float
    """Nothing goes before this."""
    _pause: float = _SECOND_PAUSE
    """Seconds that the next one takes."""
    tried_at: float | None = None
    """When an attempt was let through after the pause."""
    _shut_at: float = -math.inf
    """When the latest attempt was launched that was refused."""

    @property
    def lasted(self) -> float:
        """For how many seconds attempts were refused."""
        return max(0.0, self._shut_at - self.since)

    def is_over(self, now: float, refused_within: float) -> bool:
        """Whether the attempt that tried was taken, where refusals come back within so many seconds."""
        return self.tried_at is not None and now >= self.tried_at + _TIMES_REFUSED_WITHIN * refused_within

    def free_at(self, now: float, refused_within: float) -> float:
        """When the next attempt may go while it is not over: after the pause; or, where one is trying, once that must have been taken."""
        if self.tried_at is None:
            return max(now, self.resumes_at)
        return self.tried_at + _TIMES_REFUSED_WITHIN * refused_within

    def launch(self, now: float) -> None:
        """An attempt goes: the first one tries."""
        if self.tried_at is None:
            self.tried_at = now

    def unsent(self, launched_at: float) -> None:
        """An attempt was not made after all: if it was to try, the next one is."""
        if self.tried_at == launched_at:
            self.tried_at = None

    def was_try(self, launched_at: float) -> bool:
        """Whether what was launched then shows if the window is still full."""
        return self.tried_at is not None and launched_at >= self.tried_at

    def refused(self, now: float, launched_at: float, cost: float, jitter: float) -> None:
        """One more attempt was refused, which was expected to *cost* so much."""
        if self.of is not None and launched_at < self.since:
            self.of.refused_with_it(cost)
        if self.was_try(launched_at):
            self._shut_at = launched_at
            least = 0.0 if self.of is None else self._refused_try(self.of, now, launched_at, cost)
            pause = min(_LONGEST_PAUSE, max(least, self._pause)) * (0.5 + jitter / 2)
            self._pause = min(2.0 * self._pause, _LONGEST_PAUSE)
            self.tried_at, self.resumes_at = None, max(self.resumes_at, now + pause)

    def _refused_try(self, pace: Pace, now: float, launched_at: float, cost: float) -> float:
        """Let the pace take note of it; for how many seconds to pause at least."""
        pace.refused_again(now, launched_at, cost)
        return _GAPS * pace.gap(now) if pace.counts_minutes else 0.0
