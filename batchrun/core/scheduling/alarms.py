"""Times at which things are due another look, in one heap: what changes its mind leaves a stale entry, dropped when it comes."""

from __future__ import annotations

import heapq
import math
from dataclasses import field
from typing import Generic, Protocol, TypeVar

from batchrun.core.classes import slotted

TICK = 2e-9
"""Seconds that are no time at all: what a bucket's arithmetic may be off by."""


class Alarmed(Protocol):
    """What can be due."""

    alarm: int
    """Number of its live entry; a thing that no longer waits for its time sets it to 0."""


Thing = TypeVar("Thing", bound=Alarmed)


@slotted
class Alarms(Generic[Thing]):
    """When each thing is due."""

    earliest: float = math.inf
    """Nothing is due before this; infinity where nothing ever is."""
    _times: list[tuple[float, int, Thing]] = field(default_factory=list)
    _number: int = 0

    def ring_at(self, thing: Thing, at: float) -> None:
        """Let *thing* be due at *at*, and no more when it was to be before."""
        self._number += 1
        thing.alarm = self._number
        heapq.heappush(self._times, (at, self._number, thing))
        self.earliest = self._times[0][0]

    def pop(self, now: float) -> tuple[float, Thing] | None:
        """Take out the next that is due at *now*, and when it was; None where nothing is."""
        while self._times and self._times[0][0] <= now + TICK:
            at, number, thing = self._drop()
            if thing.alarm == number:
                return at, thing
        return None

    def put_back(self, thing: Thing, at: float) -> None:
        """Let what was taken out be due still."""
        heapq.heappush(self._times, (at, thing.alarm, thing))
        self.earliest = self._times[0][0]

    def next_at(self) -> float:
        """When the next is due; infinity where nothing is."""
        while self._times and self._times[0][2].alarm != self._times[0][1]:
            self._drop()
        return self.earliest

    def _drop(self) -> tuple[float, int, Thing]:
        first = heapq.heappop(self._times)
        self.earliest = self._times[0][0] if self._times else math.inf
        return first
