"""What a run ended with, as whoever called it is told: the error that batchrun raised, or that memory ran out, and not how both came up.

What fails within a task group comes out in a group of exceptions. And where memory runs out, each library fails in its own way: a lock
that cannot be had is a RuntimeError, a scope is left out of its turn. So is a thread that cannot be begun: a container or a user may have
only so many. And CPython overlooks some allocations that fail, and finds out a step later. All are put into one sentence, and only where
everything in it came of that: a bug must look like one.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from decimal import getcontext, localcontext
from types import TracebackType
from typing import ParamSpec

from batchrun.core.errors import BatchrunError, StoppedError
from batchrun.edge import lost_steps
from batchrun.edge.signals import HeldUp
from batchrun.running.wishes import Wishes
from batchrun.waiting import awaited

_Given = ParamSpec("_Given")

_NO_MEMORY = (
    "there was no memory left to go on. What was answered is kept; calls that were under way may have been billed, and are in doubt. "
    "Give the run more memory, or fewer slots, and run the same command again"
)
_NO_THREAD = (
    "no thread could be begun: this user or container may have no more of them (ulimit -u, pids.max), or there was no memory for one. What "
    "was answered is kept; calls that were under way may have been billed, and are in doubt. Allow more, and run the same command again"
)
_OVERLOOKED = (
    "Python or a library failed and did not say of what, as it does where there is no memory left. What was answered is kept; calls that "
    "were under way may have been billed, and are in doubt. Run the same command again, with more memory or fewer slots; where there was "
    "enough, it is a bug"
)
_overlooked = re.compile(r"returned NULL without setting an exception$|path should be .*os\.PathLike.*, not \w+Path$").search
"""How CPython says that something is not there which it had no memory for."""
MAY_COME_OF_IT = MemoryError, RuntimeError, SystemError, TypeError
"""What is to be `told`."""
_LAST_WORDS = f"batchrun: {_NO_MEMORY}\n".encode()
"""Made while there is memory."""
_HELD_UP = (
    b"batchrun: asked to stop, and held up by the kernel, as by a disk or a share that does not answer: it stops once that does; "
    b"once more ends it at once\n"
)
_AT_ONCE = b"batchrun: stopped at once, and its account is not made; the same command goes on, and makes it\n"


class _OfTheirsError(Exception):
    """Stands for what a caller's function raised, where that cannot come up through tasks as it is.

    What it waited for was cancelled: a group would take that for one of its own tasks, and go on as if all was done. Or it ends the
    program: a loop breaks off where a task raises that, with all others in their midst, and their threads would never end.
    """


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class Theirs:
    """Hears what the caller's own functions raise: it ends the run, and is the caller's to catch, whatever it comes up through.

    They reckon with as many digits as where this was made, and not as a run does.
    """

    def __init__(self) -> None:
        self._digits = getcontext().copy()
        self.raised: BaseException | None = None
        """The first of it."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # What ends the program is theirs, too; a cancellation may be nobody's.
        if error is not None and not isinstance(error, asyncio.CancelledError | GeneratorExit) and self.raised is None:
            self.raised = error
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise _OfTheirsError from error

    def heard(self, wishes: Wishes) -> Wishes:
        """*wishes*, of whose functions this hears."""
        show, hand_on, on_index = wishes.show, wishes.hand_on, wishes.on_index
        return replace(
            wishes,
            note=self._called(wishes.note),
            show=None if show is None else self._awaited(show),
            hand_on=None if hand_on is None else self._awaited(hand_on),
            on_index=None if on_index is None else self._called(on_index),
        )

    def _called(self, function: Callable[_Given, None]) -> Callable[_Given, None]:
        def called(*given: _Given.args, **named: _Given.kwargs) -> None:
            with self, localcontext(self._digits):
                function(*given, **named)

        return called

    def _awaited(self, function: Callable[_Given, object]) -> Callable[_Given, Coroutine[None, None, None]]:
        async def called(*given: _Given.args, **named: _Given.kwargs) -> None:
            with self, localcontext(self._digits):
                # Whatever it gives is taken: found out at the first outcome, a mistake would leave calls in doubt that are paid for.
                try:
                    await awaited(function(*given, **named))
                except asyncio.CancelledError as error:
                    if _is_being_cancelled():
                        raise
                    self.raised = self.raised or error
                    raise _OfTheirsError from error

        return called


def first_of_ours(error: BaseException, theirs: BaseException | None) -> BaseException:
    """Return what ended the run: what batchrun raised, that memory ran out, or *theirs*; otherwise what came up, as it is."""
    if not isinstance(error, BaseExceptionGroup | _OfTheirsError):
        return told(error)
    ours = error.split(BatchrunError)[0] if isinstance(error, BaseExceptionGroup) else None
    if ours is None:
        ended = told(error)
        return ended if theirs is None or ended is not error else theirs
    first: BaseException = ours
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first


def told(error: BaseException) -> BaseException:
    """Return *error*, or what ran out where all of it came of that, memory or threads: what is interrupted so fails in its own ways."""
    ran_out = _ran_out(error)
    return error if ran_out is None else StoppedError(ran_out)


def _ran_out(error: BaseException | None, seen: frozenset[int] = frozenset()) -> str | None:
    """What ran out; None where something else is among what failed. *seen* are those that led here: what a group holds may tell of it."""
    if error is None or id(error) in seen:
        return None
    seen |= {id(error)}
    match error:
        case BaseExceptionGroup():
            each = {_ran_out(one, seen) for one in error.exceptions}
            return None if None in each else max(each, key=(_OVERLOOKED, _NO_MEMORY, _NO_THREAD).index)
        case MemoryError() | RuntimeError(args=("can't allocate lock",)):  # What Python calls it that there is none for a lock.
            return _NO_MEMORY
        case RuntimeError(args=("can't start new thread",)):
            return _NO_THREAD
        case SystemError(args=(str() as said,)) | TypeError(args=(str() as said,)) if _overlooked(said):
            return _OVERLOOKED
        case _:
            return _ran_out(error.__cause__ or error.__context__, seen)


def give_up() -> None:
    """End the process where a step was lost for want of memory (`lost_steps`): nothing that waits for it can be ended otherwise."""
    lost_steps.end_process(_LAST_WORDS, StoppedError.exit_code)


def stop_at_once() -> None:
    """End the process at a further signal, whatever holds it up that no cancelling ends: a sync that hangs, say.

    It is as if it had been killed: nothing that was written is lost by it. But it says so, and ends as one that was stopped.
    """
    lost_steps.end_process(_AT_ONCE, StoppedError.exit_code)


def _tell_held_up() -> None:
    with suppress(OSError):
        lost_steps.say(_HELD_UP)


HELD_UP = HeldUp(_tell_held_up, stop_at_once)
"""What becomes of signals that the event loop cannot heed."""
