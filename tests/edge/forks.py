"""Processes that are forked, as a program's own pool of them is while it runs a job."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def forked(does: Callable[[], object]) -> Iterator[None]:
    """One that has done what it *does* when the block begins, and lives until that is left."""
    (has_done, says_so), (waits, lets_go) = os.pipe(), os.pipe()
    with warnings.catch_warnings():
        # Since Python 3.12, of a process that has threads, as any that runs tests may have by then.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            os.close(lets_go)
            does()
            os.write(says_so, b"1")
            os.read(waits, 1)
        finally:
            os._exit(0)
    try:
        os.close(says_so)
        assert os.read(has_done, 1) == b"1"
        yield
    finally:
        os.close(lets_go)
        os.waitpid(child, 0)
        os.close(has_done)
        os.close(waits)
