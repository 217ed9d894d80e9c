"""Python's collector of reference cycles, told what a run needs: what stood before it is not looked through again and again.

With a thousand calls in flight the usual thresholds have it look through what is in use, row after row, for as long as reading their
answers takes; it finds next to nothing, for nothing on a row's way makes a cycle but a connection that ends.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_THRESHOLDS = 24_000, 10, 10
"""Objects that have come and not gone before the youngest are looked through, and how often that is before older ones are."""
_OF_PYTHON_ITSELF = 1_000
"""Objects that may be frozen where nobody has frozen any: Python 3.12 begins with 375. A program that does has many thousands."""


class _Blocks:
    """Those that last: the collector is the process's, and several threads may carry out a run each."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lasting = 0
        self._before = gc.get_threshold(), 0

    def begin(self) -> None:
        with self._lock:
            if not self._lasting:
                self._before = gc.get_threshold(), gc.get_freeze_count()
            self._lasting += 1
            gc.freeze()
            gc.set_threshold(*_THRESHOLDS)

    def end(self) -> None:
        with self._lock:
            self._lasting -= 1
            if self._lasting:
                return
            thresholds, frozen = self._before
            gc.set_threshold(*thresholds)
            if frozen < _OF_PYTHON_ITSELF:
                gc.unfreeze()


_blocks = _Blocks()


@contextmanager
def seldom_collected() -> Iterator[None]:
    """While the block lasts, look for cycles less often, and only among what was made since; for a process that does nothing else.

    Where several last at a time, the last that ends leaves the collector as the first had found it.
    """
    _blocks.begin()
    try:
        yield
    finally:
        _blocks.end()
