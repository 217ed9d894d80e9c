"""What makes an input unusable as a whole, in the words of the job."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from batchrun.core.errors import NO_PLACE, JobError, Mistake, StoppedError

STDIN = "-"


def where(path: str) -> str:
    """Name an input as the job does."""
    return f'input "{printable(path)}"' if path != STDIN else 'input "-" (standard input)'


def printable(path: str) -> str:
    """Escape what no JSON can hold: a name that is not UTF-8 reaches Python with lone surrogates."""
    return path.encode(errors="backslashreplace").decode()


def unusable(mistakes: Sequence[Mistake]) -> JobError:
    """Return the error that says all of *mistakes*."""
    return JobError("the input cannot be read as it is named", tuple(mistakes))


def refuse_of_a_disk(shown: str, error: OSError) -> None:
    """Raise StoppedError where an input is named as it should be, and a disk or a share does not give it: nothing in the job is wrong."""
    if error.errno is not None and error.errno not in NO_PLACE:
        what = "standard input" if shown == STDIN else printable(shown)
        raise StoppedError(f"{what}: cannot be read: {error.strerror}; once it can, run the same command again") from error


@contextmanager
def reading(shown: str) -> Iterator[None]:
    """Turn a disk's refusal to read an input into the words of the job; raises StoppedError where the disk itself fails."""
    try:
        yield
    except OSError as error:
        refuse_of_a_disk(shown, error)
        raise unusable([Mistake(where(shown), f"a file that cannot be read to its end ({error.strerror})", "must be readable")]) from error
