"""Files and connections that a process may have open: enough of them are provided before a run begins, or it does not begin.

A run that meets the limit on its way fails calls that it could have made, and may find no descriptor for the answer that it has paid for.
"""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from batchrun.core.errors import JobError

_SPARE = 64
"""For what comes and goes: name lookups, summaries, the syncing of directories."""
_LEAST = 48
"""With which any verb can read what it is asked about, and a run tell what it needs."""


def provide_the_least() -> None:
    """Make sure that a handful of files can be open: with fewer, Python fails in words of its own. Raises JobError where they can not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= _LEAST:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (_LEAST, hard))
    except (ValueError, OSError):
        raise JobError(f"this process may have {hard} files open, and needs {_LEAST} at the least: {_way_out(_LEAST)}") from None


def provide(connections: int, files: int, at_times: int = 0) -> None:
    """Make sure that so many can be open beside what is open now, raising the soft limit where the hard one allows.

    Raises JobError where it does not. It is raised for those that are open *at_times*, too, as far as that goes.
    """
    needed = _runs.may_have_open() + connections + files + _SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = needed + at_times + _runs.at_times
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    if hard != resource.RLIM_INFINITY:
        wanted = max(min(wanted, hard), needed, soft)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (ValueError, OSError):
        raise JobError(
            f"this run may have {needed:,} files and connections open at a time ({connections:,} calls in flight, {files:,} output files), "
            f"and this process may have {hard:,}: {_way_out(needed)}, or lower concurrency"
        ) from None


@contextmanager
def provided(connections: int, files: int, at_times: int = 0) -> Iterator[None]:
    """Provide for a run while the block lasts: another of this process, which begins meanwhile, does not count on the same again."""
    with _runs.lock:
        provide(connections, files, at_times)
        _runs.begin(connections + files, at_times)
    try:
        yield
    finally:
        with _runs.lock:
            _runs.end(connections + files, at_times)


class _Runs:
    """What the runs that go on in this process may have open, much of which they are still to open."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.at_times = self._theirs = self._before = 0

    def begin(self, theirs: int, at_times: int) -> None:
        if not self._theirs:
            self._before = _open_now()
        self._theirs += theirs
        self.at_times += at_times

    def end(self, theirs: int, at_times: int) -> None:
        self._theirs -= theirs
        self.at_times -= at_times

    def may_have_open(self) -> int:
        """What is open now, or will be beside what was before the first of them began."""
        return max(_open_now(), self._before + self._theirs if self._theirs else 0)


_runs = _Runs()


def _way_out(needed: int) -> str:
    return f"raise its limit of open files (ulimit -n {needed})"


def _open_now() -> int:
    try:
        return len(os.listdir("/dev/fd"))  # noqa: PTH208 - names alone
    except FileNotFoundError:
        # A jail without /proc has no such directory. The lowest number that is free is given next: so many are open, but for gaps.
        lowest = os.open(os.sep, os.O_RDONLY | os.O_CLOEXEC)
        os.close(lowest)
        return lowest
