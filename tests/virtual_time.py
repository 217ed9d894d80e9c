"""An event loop whose clock jumps to the next timer: `anyio.sleep` and `anyio.current_time` become virtual. No sockets, no threads."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

T = TypeVar("T")


class _JumpingSelector(selectors.SelectSelector):
    now = 0.0

    def select(self, timeout=None):
        ready = super().select(0)
        if ready:
            return ready
        if timeout is None:
            raise RuntimeError("deadlock: nothing is ready and no timer is set")
        self.now += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._jumping.now

    def pass_by(self, seconds: float) -> None:
        """Let time pass in the midst of a turn, as it does where something blocks."""
        self._jumping.now += seconds


def run_virtually(function: Callable[[], Awaitable[T]]) -> T:
    """Run *function* on a clock of its own that starts at 0; return what it returns."""
    return anyio.run(function, backend_options={"loop_factory": VirtualLoop})
