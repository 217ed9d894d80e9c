"""An event loop whose time is this process's own: what a machine does beside it, however busy it is, lets nothing here run out of time.

Time goes on while the process runs, and jumps to the next timer where nothing is ready and nothing comes. For tests that hold both ends of
each socket, and begin no thread.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

T = TypeVar("T")
_SETTLES = 0.02
"""Seconds of the machine's time in which what was written to one end of a socket comes out of the other."""
_LATE, _LOOKS = 0.002, 10
"""A machine that brings this process back so many seconds late may be as late with what was written: so often it is given the time anew."""


class _OwnSelector(selectors.DefaultSelector):
    jumped = 0.0

    def select(self, timeout=None):
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        for _ in range(_LOOKS):
            began = time.monotonic()
            ready = super().select(_SETTLES)
            if ready:
                return ready
            if time.monotonic() - began < _SETTLES + _LATE:
                break
        if timeout is None:
            raise RuntimeError("deadlock: nothing is ready and no timer is set")
        self.jumped += timeout
        return ready


class _OwnLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._own = _OwnSelector()
        super().__init__(self._own)

    def time(self) -> float:
        return time.process_time() + self._own.jumped


def run_in_own_time(main: Callable[[], Awaitable[T]]) -> T:
    """Run *main* to its end, on a loop of its own."""
    return anyio.run(main, backend_options={"loop_factory": _OwnLoop})
