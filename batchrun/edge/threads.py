"""What blocks, done in threads that are waited for so long and no longer: no read of a share that is gone can be ended."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import anyio
from anyio.to_thread import run_sync

T = TypeVar("T")


class Threads:
    """So many at a time. One that hangs keeps its place, and whoever waits for one is given up in time, too."""

    def __init__(self, most: int) -> None:
        self._free = asyncio.Semaphore(most)
        # The places are what bounds them: anyio would give one back with whoever has given up.
        self._all = anyio.CapacityLimiter(math.inf)

    async def take(self, step: Callable[[], T], seconds: float) -> T:
        """Give what *step* does; raises TimeoutError where that has not come within *seconds*. Cancelled, it waits for nothing."""
        with anyio.fail_after(seconds):
            await self._free.acquire()
            place = _Place(self._free)
            try:
                return await run_sync(place.take, step, limiter=self._all, abandon_on_cancel=True)
            finally:
                if not place.is_taken:
                    place.leave()


class _Place:
    """One step's, from when it may begin until it has ended, whoever still waits for it."""

    def __init__(self, free: asyncio.Semaphore) -> None:
        self._free = free
        self._loop = asyncio.get_running_loop()
        self.is_taken = self._is_left = False

    def take(self, step: Callable[[], T]) -> T:
        """Take the step, in its thread."""
        self.is_taken = True
        try:
            return step()
        finally:
            with suppress(RuntimeError):  # Of a loop that is closed: nobody wants the place.
                self._loop.call_soon_threadsafe(self.leave)

    def leave(self) -> None:
        """Let another have it, once; in the event loop."""
        if not self._is_left:
            self._is_left = True
            self._free.release()
