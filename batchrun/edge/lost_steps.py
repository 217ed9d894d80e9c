"""The end of a process that lost a step of its work: there was no memory to take it, and whoever waits for what it brings waits for ever.

Six things go that way. The event loop takes a step once: one that fails is reported, and not taken again. It may fail itself, between two
steps, and takes none then. A thread that dies takes with it what it was to bring. One that dies before it has begun leaves whoever started
it waiting; one of an executor's says nothing but to a log. And what a task waits for counts as come, or as cancelled, before the task is
called: where there is no memory for that call, whoever has waited waits on, and whoever cancelled it asks again and again. Or it is not
cancelled, and waits for that from turn to turn. Of those nobody is told, so they are looked for now and then.

None of these waits can be ended: cancelling one takes a step of its own, of what is lost. So the process is given up, as if it had been
killed: nothing that was written is lost by it, and the same command goes on.
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
_LOOK_EVERY = 5.0
"""Seconds between two looks at who waits."""
_OURS = "batchrun."
"""Tasks are named after what they carry out; those of a program around the run are its own."""
_TURNS = 1000
"""Of the loop, in which a task of ours that is well has come to wait for something."""
_NO_MEMORY = MemoryError, SystemError
"""What Python raises where it has none: the latter where it overlooked that an allocation had failed, and found out a step later."""
_NO_LOCK = "can't allocate lock"
"""What its RuntimeError says where it has none for a lock."""
_THREADS_FOR_A_RUN = _OURS[:-1], "AnyIO", "asyncio_", "uvloop_"
"""How threads are named that a run waits for; what they raise on purpose is handed to whoever waits. Others are a program's own."""


def end_process(words: bytes, code: int) -> None:
    """Say *words*, if somebody listens and there is memory to, and end at once with *code*, whatever there is not."""
    try:
        say(words)
    finally:
        os._exit(code)


def say(words: bytes) -> None:
    """Say *words* on standard error, if somebody listens: a terminal that is stopped holds nothing up."""
    if select.select([], [_STANDARD_ERROR], [], 0)[1]:
        os.write(_STANDARD_ERROR, words)


@contextmanager
def told(end: Callable[[], None]) -> Iterator[None]:
    """Call *end* as soon as a step is lost, for as long as the block lasts; within a running event loop."""
    loop = asyncio.get_running_loop()
    executors, heard = logging.getLogger("concurrent.futures"), _OfAnExecutor(end)
    ears = (
        _Ear(loop.get_exception_handler, loop.set_exception_handler, _is_of_the_loop, end),
        _Ear(partial(getattr, threading, "excepthook"), partial(setattr, threading, "excepthook"), _is_of_a_thread, end),
        _Ear(partial(getattr, sys, "unraisablehook"), partial(setattr, sys, "unraisablehook"), _is_of_a_beginning, end),
    )
    looks = _Looks(loop, end)
    executors.addHandler(heard)
    try:
        yield
    finally:
        looks.close()
        executors.removeHandler(heard)
        for ear in ears:
            ear.close()


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


class _Looks:
    """Looks now and then whether a task waits for what has come already, or for what is never to come."""

    def __init__(self, loop: asyncio.AbstractEventLoop, end: Callable[[], None]) -> None:
        self._loop = loop
        self._end = end
        self._next = loop.call_later(_LOOK_EVERY, self._look)

    def close(self) -> None:
        self._next.cancel()

    def _look(self) -> None:
        tasks = asyncio.all_tasks(self._loop)
        came = [(task, waiter) for task in tasks if (waiter := _waited_for(task)) is not None and waiter.done()]
        if came:
            # Whoever was called has been taken up by then: its call is before this one.
            self._loop.call_soon(self._look_again, came)
        self._follow([task for task in tasks if task.get_name().startswith(_OURS)], _TURNS)
        self._next = self._loop.call_later(_LOOK_EVERY, self._look)

    def _look_again(self, came: list[tuple[asyncio.Task[Any], asyncio.Future[Any]]]) -> None:
        if any(_waited_for(task) is waiter for task, waiter in came):
            self._end()

    def _follow(self, tasks: list[asyncio.Task[Any]], turns: int) -> None:
        """Follow those of *tasks* that wait for nothing but their next turn, for so many."""
        turning = [task for task in tasks if _waited_for(task) is None and not task.done()]
        if turning and not turns:
            self._end()
        elif turning:
            self._loop.call_soon(self._follow, turning, turns - 1)


def _waited_for(task: asyncio.Task[Any]) -> asyncio.Future[Any] | None:
    waiter: asyncio.Future[Any] | None = task._fut_waiter  # type: ignore[attr-defined]  # noqa: SLF001 - nothing else tells
    return waiter


class _OfAnExecutor(logging.Handler):
    """Hears what its threads die of: whoever waits for what such a one was to bring is not told."""

    def __init__(self, end: Callable[[], None]) -> None:
        super().__init__(logging.ERROR)
        self._end = end

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and _costs_a_step(record.exc_info[1], record.threadName):
            self._end()


class _Ear:
    """Hears what a hook is told, of the loop or of Python itself, and hands it on to what stood there before.

    Another run, or the program, may put its own before this one, and take that away later: until then this one only hands on.
    """

    def __init__(
        self, get: Callable[[], Any], put: Callable[[Any], None], is_the_end: Callable[..., bool], end: Callable[[], None]
    ) -> None:  # fmt: skip
        self._get, self._put = get, put
        self._is_the_end = is_the_end
        self._end = end
        self.listens = True
        self.before = get()
        put(self)

    def __call__(self, *said: Any) -> None:
        if self.listens and self._hears_of_the_end(said):
            self._end()
        (self.before or _by_default)(*said)

    def _hears_of_the_end(self, said: tuple[Any, ...]) -> bool:
        try:
            return self._is_the_end(*said)
        except _NO_MEMORY:
            return True

    def close(self) -> None:
        self.listens = False
        if self._get() is self:
            before = self.before
            while isinstance(before, _Ear) and not before.listens:
                before = before.before
            self._put(before)


def _by_default(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    loop.default_exception_handler(context)


def _is_of_the_loop(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> bool:
    return isinstance(context.get("exception"), _NO_MEMORY) and ("handle" in context or LOST in context)


def _is_of_a_thread(said: threading.ExceptHookArgs) -> bool:
    return _costs_a_step(said.exc_value, None if said.thread is None else said.thread.name)


def _is_of_a_beginning(said: sys.UnraisableHookArgs) -> bool:
    if "thread started by" not in (told := said.err_msg or ""):
        return False
    # From Python 3.13 on the message says which; before, what was to be done in it does.
    return "Thread._bootstrap" in f"{told} {said.object!r}" or _costs_a_step(said.exc_value, None)


def _costs_a_step(error: BaseException | None, thread: str | None) -> bool:
    """Whether what a *thread* of that name died of may have cost the run a step: a program's own may fail as they like."""
    of_memory = isinstance(error, _NO_MEMORY) or (isinstance(error, RuntimeError) and error.args == (_NO_LOCK,))
    return of_memory or (thread is not None and thread.startswith(_THREADS_FOR_A_RUN))
