"""What a run ended with, as whoever called it is told: the error that batchrun raised, or that memory ran out, and not how both came up.

What fails within a task group comes out in a group of exceptions. And where memory runs out, each library fails in its own way: a lock
that cannot be had is a RuntimeError, a scope is left out of its turn. Both are put into one sentence, and only where everything in it came
of that: a bug must look like one.
"""

from __future__ import annotations

from batchrun.core.errors import BatchrunError, StoppedError
from batchrun.edge import lost_steps

_NO_MEMORY = (
    "there was no memory left to go on. What was answered is kept; calls that were under way may have been billed, and are in doubt. "
    "Give the run more memory, or fewer slots, and run the same command again"
)
_LAST_WORDS = f"batchrun: {_NO_MEMORY}\n".encode()
"""Made while there is memory."""


def first_of_ours(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return what ended the run where batchrun raised it, or where memory ran out; otherwise the group as it is."""
    ours, _ = group.split(BatchrunError)
    if ours is None:
        return told(group)
    error: BaseException = ours
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def told(error: BaseException) -> BaseException:
    """Return *error*, or that memory ran out where all of it came of that: what is interrupted so fails in its own ways."""
    return _no_memory() if _came_of_no_memory(error) else error


def _came_of_no_memory(error: BaseException | None) -> bool:
    match error:
        case None:
            return False
        case BaseExceptionGroup():
            return all(map(_came_of_no_memory, error.exceptions))
        case RuntimeError(args=("can't allocate lock",)):
            # What Python calls it that there is none for a lock.
            return True
        case _:
            return isinstance(error, MemoryError) or _came_of_no_memory(error.__cause__ or error.__context__)


def give_up() -> None:
    """End the process where a step was lost for want of memory (`lost_steps`): nothing that waits for it can be ended otherwise."""
    lost_steps.end_process(_LAST_WORDS, StoppedError.exit_code)


def _no_memory() -> StoppedError:
    return StoppedError(_NO_MEMORY)
