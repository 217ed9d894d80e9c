"""The real thing in virtual time: engine, transport, ledger and a simulator on a socket, on a loop whose clock jumps to the next timer
whenever nothing is ready and no thread is at work. A process that uses it has its wall clock for itself.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from datetime import UTC, datetime
from typing import Any, ClassVar

import anyio
import anyio.to_thread

BEGINS = datetime(2026, 11, 23, 21, 50, tzinfo=UTC)
_SETTLES = 0.0002
"""Real seconds in which what was written to a socket comes out at its other end."""


class VirtualSelector(selectors.DefaultSelector):
    """Jumps to the next timer when nothing is ready, unless a thread may have something ready soon."""

    now: ClassVar[float] = 0.0
    limiter: ClassVar[anyio.CapacityLimiter | None] = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        while not ready and timeout != 0:
            if self.limiter is not None and self.limiter.borrowed_tokens:
                ready = super().select(1.0)
            elif not (ready := super().select(_SETTLES)):
                assert timeout is not None, "nothing is ready, and no timer is set"
                VirtualSelector.now += timeout
                break
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop of events whose time is the selector's."""

    def __init__(self) -> None:
        super().__init__(VirtualSelector())
        self._clock_resolution = 1e-9

    def time(self) -> float:
        """Tell the virtual time."""
        return VirtualSelector.now


def begin() -> None:
    """Let the wall clock follow the loop's, before any module has taken its name over."""
    time.time = lambda: BEGINS.timestamp() + VirtualSelector.now


async def carried_out(job: Any) -> None:
    """Carry out a job, whatever is closed or refused for a while."""
    from batchrun.running.one_run import Wishes, run  # noqa: PLC0415 - only now: the clock is a name that its modules take over

    VirtualSelector.limiter = anyio.to_thread.current_default_thread_limiter()
    ending = await run(job, Wishes(dotenv=None, wait=True, page=None))
    assert not ending.parked, ending.parked


def run_in_virtual_time(job: Any) -> float:
    """Carry out a job; the seconds that it takes."""
    began = VirtualSelector.now
    anyio.run(carried_out, job, backend_options={"loop_factory": VirtualLoop})
    VirtualSelector.limiter = None
    return VirtualSelector.now - began
