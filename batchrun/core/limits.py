"""What holds a lane back after the provider throttled it: a pause, then a window that opens again.

A *throttle episode* begins with the first throttled answer and takes in every other attempt that had been launched by then: one
episode pauses the lane once and halves its window once, however many rows were caught in it. After the pause the window opens by
one a success up to where it was halved to (slow start), and by one a window of successes from there on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(slots=True)
class Throttle:
    """The state of one lane; told the time."""

    cap: int
    """Attempts in flight while nothing is throttled."""
    first: float = 1.0
    """Seconds: the first pause is between half of this and this; each further one without a success doubles it."""
    max: float = 60.0
    until: float = -math.inf
    """Nothing is launched before this time."""
    since: float | None = None
    """When the first throttle without a later success came."""
    _episode_at: float = -math.inf
    _episodes: int = 0
    _window: float = math.inf
    _reopen_fast_to: float = math.inf

    @property
    def window(self) -> int:
        """How many attempts may be in flight now: at least one, at most the cap."""
        return max(1, int(min(self.cap, self._window)))

    def throttled(self, now: float, launched_at: float, jitter: float, retry_after: float | None) -> None:
        """An attempt launched at *launched_at* was throttled; *jitter* is uniform in [0, 1)."""
        if self.since is None:
            self.since = now
        self.until = max(self.until, now + (retry_after or 0.0))
        if launched_at <= self._episode_at:
            return
        self._episode_at = now
        self._episodes += 1
        pause = min(self.max, self.first * 2.0 ** min(self._episodes - 1, 64)) * (0.5 + jitter / 2)
        self.until = max(self.until, now + pause)
        self._reopen_fast_to = max(1.0, min(self.cap, self._window) / 2)
        self._window = 1.0

    def answered(self) -> None:
        """Take note that the provider took an attempt: the window opens."""
        self.since = None
        self._episodes = 0
        if self._window < self.cap:
            self._window += 1.0 if self._window < self._reopen_fast_to else 1.0 / self._window
