"""Python's collector of reference cycles, told what a run needs: what stood before it is not looked through again and again.

With a thousand calls in flight the usual thresholds have it look through what is in use, row after row, for as long as reading their
answers takes; it finds next to nothing, for nothing on a row's way makes a cycle but a connection that ends.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_THRESHOLDS = 24_000, 10, 10
"""Objects that have come and not gone before the youngest are looked through, and how often that is before older ones are."""
_OF_PYTHON_ITSELF = 1_000
"""Objects that may be frozen where nobody has frozen any: Python 3.12 begins with 375. A program that does has many thousands."""


@contextmanager
def seldom_collected() -> Iterator[None]:
    """While the block lasts, look for cycles less often, and only among what was made since; for a process that does nothing else."""
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        if frozen < _OF_PYTHON_ITSELF:
            gc.unfreeze()
