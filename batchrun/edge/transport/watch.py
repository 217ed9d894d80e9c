"""The longest that attempts may take: one timer for all of them, where each had one of its own that nearly always was for nothing."""

from __future__ import annotations

import asyncio
from typing import Protocol

TICK = 1e-3
"""Seconds that a timer may ring early."""
LATE = 1.0
"""Seconds by which a timer that rings later tells that the process was stopped: nobody could read the answers that came meanwhile."""


def overslept(due: float, now: float) -> float:
    """What time must be given back when a timer that was *due* rings *now*: as long as the process was stopped, and a moment to read."""
    return now - due + LATE if now - due > LATE else 0.0


class Watched(Protocol):
    """What has an end."""

    ends: float
    """On the loop's clock."""

    def expire(self, code: str) -> None:
        """Its time is up."""


class Watch:
    """Watches things that are given the same time: they end in the order in which they came."""

    def __init__(self) -> None:
        self._watched: dict[Watched, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at: float

    def add(self, thing: Watched) -> None:
        """Watch *thing*, the last to end."""
        self._watched[thing] = None
        if self._timer is None:
            self._wind(thing)

    def remove(self, thing: Watched) -> None:
        """It has ended."""
        self._watched.pop(thing, None)

    def close(self) -> None:
        """Watch nothing more."""
        self._watched.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wind(self, thing: Watched) -> None:
        self._rings_at = thing.ends
        self._timer = asyncio.get_running_loop().call_at(thing.ends, self._look)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        stopped = overslept(self._rings_at, loop.time())
        self._timer = None
        if stopped:
            for thing in self._watched:
                thing.ends += stopped
        while self._watched:
            first = next(iter(self._watched))
            if first.ends > loop.time() + TICK:
                # Set for the first of those that are under way now: the timer rings once in the time that one may take.
                self._wind(first)
                return
            del self._watched[first]
            first.expire("total_timeout")
