"""How many cores this process may use: a second process on one core has nothing to share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_GROUPS, _MINE = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def cores(groups: Path = _GROUPS, mine: Path = _MINE) -> float:
    """As many as it may run on, and no more than its control groups give it time for."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([allowed, *_shares(groups, mine)])


def _shares(groups: Path, mine: Path) -> Iterator[float]:
    try:
        told = [os.fsdecode(line) for line in mine.read_bytes().splitlines()]
    except OSError:
        return
    for line in told:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        inner = PurePosixPath(path.lstrip("/"))
        for group in (inner, *inner.parents):  # Where a container sees its own group alone, that is the outermost.
            yield from _share(groups / controllers / group)


def _share(group: Path) -> Iterator[float]:
    """Time for each second, where there is a bound to it: as version 2 of control groups tells it, or version 1."""
    try:
        if (group / "cpu.max").exists():
            quota, period = (group / "cpu.max").read_text().split()
        else:
            quota, period = ((group / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        if quota != "max" and int(quota) > 0:
            yield int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return
