"""What ends a run, each with its exit code.

::

    BatchrunError            1   a bug, if it is ever seen bare
    ├── JobError             2   the job file, an argument, a key or (with --strict) an input line is wrong; nothing was called
    ├── StoppedError         4   the run stopped before its end and can be resumed
    │   └── LedgerError      4   an output file can no longer be trusted to hold what is written to it
    ├── RunInUseError        5   another process holds the run directory
    └── RunDamagedError      6   the run directory is damaged, or belongs to another job
        └── RunTooNewError   6   it was written by a newer batchrun

The wire's mishaps are not here: they are `Failure` values (`core/model.py`).
"""

from __future__ import annotations

import errno
from typing import NamedTuple

_OF_RIGHTS = frozenset({errno.EACCES, errno.EPERM})
NO_PLACE = _OF_RIGHTS | {
    errno.ENOTDIR, errno.EEXIST, errno.ENOENT, errno.EISDIR, errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL,
}  # fmt: skip
"""What a path says at which nothing can be written, whatever room its disk has: the job names another. All else is a disk's fault."""


class BatchrunError(Exception):
    """Anything batchrun raises on purpose; *exit_code* is what the command line returns for it."""

    exit_code = 1


class Mistake(NamedTuple):
    """One thing wrong in a job, in the words of its file."""

    where: str
    """File and key path: ``jobs/night.toml: workspaces.legal.concurrency``."""
    found: str
    """What stands there, or "nothing"; never a key's value."""
    allowed: str
    """What may stand there, and the nearest valid name where a name was mistyped."""
    line: int | None = None
    """Of the file, where that is known."""

    def __str__(self) -> str:
        line = "" if self.line is None else f" (line {self.line})"
        return f"{self.where}{line} = {self.found}: {self.allowed}"


class JobError(BatchrunError):
    """The job cannot be started as it is written; says every mistake at once."""

    exit_code = 2

    def __init__(self, message: str, mistakes: tuple[Mistake, ...] = ()) -> None:
        super().__init__("\n".join([message, *(f"  {mistake}" for mistake in mistakes)]))
        self.mistakes = mistakes


class StoppedError(BatchrunError):
    """The run stopped before its end; the same command goes on with it."""

    exit_code = 4


class LedgerError(StoppedError):
    """A write or a sync of an output file failed: what this process wrote since cannot be relied on."""


class RunInUseError(BatchrunError):
    """Another process has the run directory open."""

    exit_code = 5


class RunDamagedError(BatchrunError):
    """The run directory holds damage that is no torn tail, or another job's run."""

    exit_code = 6


class RunTooNewError(RunDamagedError):
    """The run directory was written by a newer version, which may mean something else by what stands in it."""


def said_by(error: OSError) -> str:
    """What the system says, and the way out where it is a matter of rights."""
    rights = ": it is to be given (chown), or opened (chmod), to the user who runs this" if error.errno in _OF_RIGHTS else ""
    return f"{error.strerror}{rights}"


def no_such_name(what: str, error: UnicodeEncodeError) -> JobError:
    """A name that the system's encoding cannot write, told as *what* it is."""
    return JobError(f"{what} cannot be written in {error.encoding}, the system's encoding: set LC_ALL=C.UTF-8, or PYTHONUTF8=1")
