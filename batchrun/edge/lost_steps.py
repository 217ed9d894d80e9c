"""The end of a process that lost a step of its work: there was no memory to take it, and whoever waits for what it brings waits for ever.

Five things go that way. The event loop takes a step once: one that fails is reported, and not taken again. It may fail itself, between two
steps, and takes none then. A thread that dies takes with it what it was to bring. One that dies before it has begun leaves whoever started
it waiting; one of an executor's says nothing but to a log. None of these waits can be ended: cancelling one takes a step of its own, of
what is lost. So the process is given up, as if it had been killed: nothing that was written is lost by it, and the same command goes on.
What fails and is made up for (a connection, a row) ends nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from batchrun.waking import LOST

_STANDARD_ERROR = 2
_NO_MEMORY = MemoryError, SystemError
"""What Python raises where it has none: the latter where it overlooked that an allocation had failed, and found out a step later."""


def end_process(words: bytes, code: int) -> None:
    """Say *words*, if somebody listens and there is memory to, and end at once with *code*, whatever there is not."""
    try:
        # A terminal that is stopped does not hold it up.
        if select.select([], [_STANDARD_ERROR], [], 0)[1]:
            os.write(_STANDARD_ERROR, words)
    finally:
        os._exit(code)


@contextmanager
def told(end: Callable[[], None]) -> Iterator[None]:
    """Call *end* as soon as a step is lost, for as long as the block lasts; within a running event loop."""
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler(), threading.excepthook, sys.unraisablehook
    executors, heard = logging.getLogger("concurrent.futures"), _OfAnExecutor(end)
    loop.set_exception_handler(partial(_of_the_loop, end))
    threading.excepthook = partial(_of_a_thread, end, before[1])
    sys.unraisablehook = partial(_of_a_beginning, end, before[2])
    executors.addHandler(heard)
    try:
        yield
    finally:
        executors.removeHandler(heard)
        loop.set_exception_handler(before[0])
        threading.excepthook, sys.unraisablehook = before[1:]


def loop(usual: type[asyncio.AbstractEventLoop], end: Callable[[], None]) -> asyncio.AbstractEventLoop:
    """A loop like the *usual* ones, which calls *end* where it has no memory to turn: not of a step, which is `told`, but of its own."""

    def run_forever(self: asyncio.AbstractEventLoop) -> None:
        try:
            usual.run_forever(self)
        except _NO_MEMORY:
            end()
            raise

    made: asyncio.AbstractEventLoop = type(usual.__name__, (usual,), {"run_forever": run_forever})()
    return made


class _OfAnExecutor(logging.Handler):
    """Hears what its threads die of: whoever waits for what such a one was to bring is not told."""

    def __init__(self, end: Callable[[], None]) -> None:
        super().__init__(logging.ERROR)
        self._end = end

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self._end()


def _of_the_loop(end: Callable[[], None], loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    if isinstance(context.get("exception"), _NO_MEMORY) and ("handle" in context or LOST in context):
        end()
    loop.default_exception_handler(context)


def _of_a_thread(end: Callable[[], None], usual: Callable[[threading.ExceptHookArgs], Any], said: threading.ExceptHookArgs) -> None:
    # Whatever it died of: a lock that cannot be had is a RuntimeError.
    end()
    usual(said)


def _of_a_beginning(end: Callable[[], None], usual: Callable[[sys.UnraisableHookArgs], Any], said: sys.UnraisableHookArgs) -> None:
    if "thread started by" in (said.err_msg or ""):
        end()
    usual(said)
