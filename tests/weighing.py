"""What one process takes, told by a small parent: what a process is said to have had in memory begins with what its parent had."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NamedTuple

_PARENT = """
import os, sys
child = os.fork()
if not child:
    os.dup2(2, 1)
    os.execvp(sys.argv[1], sys.argv[1:])
_, status, used = os.wait4(child, 0)
print(os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, used.ru_maxrss)
"""


class Took(NamedTuple):
    """What a process took, and those that it waited for."""

    exit_code: int
    cpu: float
    """Seconds, user and system."""
    most_bytes: int
    """The most that it, or one that it waited for, had in memory."""

    @property
    def most_mib(self) -> float:
        """The same in MiB."""
        return self.most_bytes / (1 << 20)


def weighed(command: Sequence[str]) -> list[str]:
    """*command* under a small parent, which says in the end on stdout what it took; what it says itself goes to stderr."""
    return [sys.executable, "-S", "-c", _PARENT, *command]


def told(said: bytes) -> Took:
    """What was said on stdout."""
    exit_code, cpu, most_kib = said.split()
    return Took(int(exit_code), float(cpu), int(most_kib) * 1024)
