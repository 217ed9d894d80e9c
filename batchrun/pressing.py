"""What comes of this process itself: whether something had stopped it, and whether it, and not the provider, is what answers wait for."""

from __future__ import annotations

import math
from collections.abc import Callable

from batchrun.core.scheduling.scheduler import Scheduler

_LOOK_EVERY, _PRESSED = 0.01, 0.75
"""Seconds between two looks at how long there was something to do here, and the share of them at which answers wait for it."""
_STOPPED = 30.0
"""Seconds by which a turn is late where something had stopped the process: its signals, a pause of its container. No failure and no
throttle can be told from how long they last then."""


class Pressing:
    """Tells a scheduler of it; *busy_time* is for how long this thread had something to do so far."""

    def __init__(self, scheduler: Scheduler, busy_time: Callable[[], float]) -> None:
        self._scheduler = scheduler
        self._busy_time = busy_time
        self._looked: tuple[float, float] = (-math.inf, 0.0)
        """When, and for how long there had been something to do by then."""

    def look(self, now: float, late: float) -> None:
        """Look, at the loop's time, in a turn that is so many seconds *late*."""
        then, busy = self._looked
        if late > _STOPPED:
            self._scheduler.stood_still()
        if now - then >= _LOOK_EVERY:
            self._looked = now, self._busy_time()
            self._scheduler.pressed = self._looked[1] - busy > _PRESSED * (now - then)
