"""How long a thread was kept busy: while it ran, and while it could have run and something else had the processor.

That it runs tells of a process that has more to do than it can only where it has a processor of its own. Beside others, or in a container
that is let have half of one, it runs half of the time then, and answers wait for it all the same.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_TOLD = "/proc/thread-self/schedstat"
"""Nanoseconds that the thread ran and that it waited to run, and how often it did (Linux, Documentation/scheduler/sched-stats.rst)."""


@contextmanager
def busy_clock(told: str = _TOLD) -> Iterator[Callable[[], float]]:
    """Give a clock of the seconds that this thread was kept busy, for this thread to ask; where that is not *told*, that it ran."""
    try:
        descriptor = os.open(told, os.O_RDONLY)
    except OSError:
        yield time.thread_time
        return

    def busy() -> float:
        ran, waited, _ = os.pread(descriptor, 100, 0).split()
        return (int(ran) + int(waited)) / 1e9

    try:
        # A system that keeps no account of it says that nothing ever ran.
        yield busy if busy() else time.thread_time
    finally:
        os.close(descriptor)
