"""A step that is lost for want of memory ends what would wait for it; what fails and is made up for does not."""

from __future__ import annotations

import _thread
import asyncio
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from batchrun.edge import lost_steps
from batchrun.edge.transport.pool import Pool
from batchrun.edge.transport.room import Rooms
from batchrun.waking import tell


class Poor(asyncio.SelectorEventLoop):
    """A loop that has no memory for the steps of those who wait, where it is told so."""

    poor = False

    def call_soon(self, callback, *args, context=None):  # type: ignore[override]  # it is given nothing else
        if self.poor:
            raise MemoryError
        return super().call_soon(callback, *args, context=context)


def ends(lose, loop=asyncio.SelectorEventLoop):
    """How often the end is called where a step is lost by *lose*, a coroutine function."""
    ended: list[None] = []

    async def main():
        before = asyncio.get_running_loop().get_exception_handler(), threading.excepthook, sys.unraisablehook
        with lost_steps.told(partial(ended.append, None)):
            await lose()
        assert (asyncio.get_running_loop().get_exception_handler(), threading.excepthook, sys.unraisablehook) == before

    anyio.run(main, backend_options={"loop_factory": loop})
    return len(ended)


def fails(error):
    raise error


async def in_the_loop(error):
    asyncio.get_running_loop().call_soon(fails, error)
    await anyio.lowlevel.checkpoint()


async def in_a_thread(error, name=None):
    thread = threading.Thread(target=fails, args=(error,), name=name)
    thread.start()
    thread.join()


class Step:
    """What an executor's thread takes from its queue."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def run(self, *_context: object) -> None:  # CPython 3.14 gives it one
        fails(self._error)


async def in_an_executor(error):
    with ThreadPoolExecutor(1) as threads:
        threads.submit(int).result()
        threads._work_queue.put(Step(error))  # type: ignore[arg-type]


async def when_an_executor_calls_back(error):
    with ThreadPoolExecutor(1) as threads:
        threads.submit(int).add_done_callback(lambda _done: fails(error))


async def before_a_thread_begins(error):
    there, begun = _thread._count(), threading.Event()

    def begin():
        begun.set()
        raise error

    _thread.start_new_thread(begin, ())
    while not begun.is_set() or _thread._count() > there:
        await anyio.lowlevel.checkpoint()


@pytest.fixture(autouse=True)
def quietly(monkeypatch):
    monkeypatch.setattr(threading, "excepthook", lambda _said: None)
    monkeypatch.setattr(sys, "unraisablehook", lambda _said: None)


@pytest.mark.parametrize(
    "lose",
    [
        partial(in_the_loop, MemoryError()),
        partial(in_the_loop, SystemError("returned NULL without setting an exception")),
        partial(in_a_thread, MemoryError()),
        partial(in_a_thread, RuntimeError("can't allocate lock")),
        partial(in_a_thread, KeyError("half made"), "AnyIO worker thread"),
        partial(in_an_executor, MemoryError()),
        partial(when_an_executor_calls_back, MemoryError()),
        partial(before_a_thread_begins, MemoryError()),
    ],
)
def test_a_step_of_the_loop_or_of_a_thread_that_is_lost_is_the_end(lose):
    assert ends(lose) == 1


@pytest.mark.parametrize("lose", [in_a_thread, in_an_executor, when_an_executor_calls_back, before_a_thread_begins])
def test_what_fails_in_a_thread_of_the_programs_own_is_not(lose):
    """The whole program had ended, and was told that there was no memory."""
    assert ends(partial(lose, ValueError("no such order"))) == 0


def hooks():
    return asyncio.get_running_loop().get_exception_handler(), threading.excepthook, sys.unraisablehook


def test_nothing_is_the_end_any_more_once_runs_that_went_on_at_once_are_over_whichever_was_the_last():
    """Hours later, a thread of the program that failed had ended it for want of memory."""

    async def main():
        before, ended = hooks(), list[None]()
        with ExitStack() as first, ExitStack() as second:
            first.enter_context(lost_steps.told(partial(ended.append, None)))
            second.enter_context(lost_steps.told(partial(ended.append, None)))
            first.close()
            await in_a_thread(MemoryError())
            assert len(ended) == 1
        assert hooks() == before
        for lose in (in_the_loop, in_a_thread, before_a_thread_begins):
            await lose(MemoryError())
        assert len(ended) == 1

    asyncio.run(main())


def test_what_a_program_puts_in_the_place_of_a_hook_meanwhile_stays_and_what_stood_there_before_is_told_too():
    async def main():
        loop, told, own = asyncio.get_running_loop(), list[Any](), list[Any]()
        loop.set_exception_handler(lambda _loop, context: told.append(context["exception"]))
        with lost_steps.told(lambda: None):
            await in_the_loop(error := ArithmeticError())
            threading.excepthook = hook = own.append
        assert told == [error]
        assert threading.excepthook is hook

    asyncio.run(main())


def test_whoever_cannot_be_woken_is_the_end_and_that_is_said(caplog):
    async def lose():
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Poor)
        waiter = loop.create_future()
        waiter.add_done_callback(lambda _waiter: None)
        loop.poor = True
        with pytest.raises(MemoryError):
            tell(waiter, None)
        loop.poor = False

    assert ends(lose, Poor) == 1
    assert [each.message.splitlines()[0] for each in caplog.records] == ["there was no memory to wake whoever waits"]


@pytest.mark.parametrize("how", ["cancel", "told"])
def test_a_task_whose_waiting_is_over_and_that_is_not_called_is_the_end(monkeypatch, how):
    monkeypatch.setattr(lost_steps, "_LOOK_EVERY", 0.01)

    async def lose():
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Poor)
        task = asyncio.ensure_future(waited_for(waiter := loop.create_future()))
        await anyio.lowlevel.checkpoint()
        loop.poor = True
        with pytest.raises(MemoryError):
            task.cancel() if how == "cancel" else waiter.set_result(None)
        loop.poor = False
        assert waiter.done()
        await anyio.sleep(0.05)
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # nothing brings it back
        asyncio.tasks._unregister_task(task)  # nor is it waited for when the loop is closed, where something still refers to it

    assert ends(lose, Poor) >= 1


@pytest.mark.parametrize(("name", "ended"), [("batchrun.waiting.Workers._work", True), ("a busy program's own", False)])
def test_a_task_that_waits_from_turn_to_turn_to_be_cancelled_is_the_end_if_it_is_the_runs(monkeypatch, name, ended):
    monkeypatch.setattr(lost_steps, "_LOOK_EVERY", 0.01)

    async def lose():
        task = asyncio.ensure_future(turning())
        task.set_name(name)
        await anyio.sleep(0.02)  # A look has begun by then.
        for _ in range(2 * lost_steps._TURNS):
            await anyio.lowlevel.checkpoint()
        task.cancel()
        await asyncio.wait([task])

    assert (ends(lose, Poor) > 0) == ended


async def turning():
    """Wait for a cancellation that there was no memory to have delivered."""
    loop: Any = asyncio.get_running_loop()
    with anyio.CancelScope() as scope:
        loop.poor = True
        with pytest.raises(MemoryError):
            scope.cancel()
        loop.poor = False
        await anyio.lowlevel.checkpoint_if_cancelled()


def test_tasks_that_are_called_are_not_however_many_are_at_a_look(monkeypatch):
    monkeypatch.setattr(lost_steps, "_LOOK_EVERY", 0.0)

    async def lose():
        loop = asyncio.get_running_loop()
        for _ in range(50):
            waiters = [loop.create_future() for _ in range(20)]
            tasks = [asyncio.ensure_future(waited_for(waiter)) for waiter in waiters]
            await anyio.lowlevel.checkpoint()
            for waiter, task in zip(waiters[::2], tasks[1::2], strict=True):
                waiter.set_result(None)
                task.cancel()
            await asyncio.wait(tasks)

    assert ends(lose) == 0


async def waited_for(waiter):
    await waiter


async def for_a_connection():
    pool: Any = Pool(asyncio.get_running_loop(), 1, {})
    pool._left -= 1
    target = SimpleNamespace(free=[])
    return pool.opened(target), partial(pool.give_back, target, SimpleNamespace(ended=True, reusable=False, close=lambda: None))


class Large:
    """An answer."""


async def for_room():
    room: Any = Rooms(1, 9).of("")
    first = Large()
    await room.hold(first, 2)
    return room.hold(Large(), 2), partial(room.leave, first)


@pytest.mark.parametrize("waited", [for_a_connection, for_room])
def test_a_call_that_cannot_be_told_that_its_turn_has_come_is_the_end(waited):
    async def lose():
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Poor)
        waiting, call = await waited()
        waiting.send(None).add_done_callback(lambda _turn: None)
        loop.poor = True
        with pytest.raises(MemoryError):
            call()
        loop.poor = False
        waiting.close()

    assert ends(lose, Poor) == 1


def test_a_connection_that_there_is_no_memory_for_and_other_mistakes_are_not():
    async def lose():
        asyncio.get_running_loop().call_exception_handler({"message": "fatal", "exception": MemoryError(), "transport": None})
        await in_the_loop(ArithmeticError())
        gone = asyncio.get_running_loop().create_future()
        gone.set_exception(MemoryError())
        del gone

    assert ends(lose) == 0


@pytest.mark.parametrize("error", [MemoryError, SystemError])
def test_a_loop_that_has_no_memory_to_turn_is_the_end_and_says_so(error):
    class Poorer(asyncio.SelectorEventLoop):
        def _run_once(self):
            raise error

    ended: list[None] = []
    loop = lost_steps.loop(Poorer, partial(ended.append, None))
    assert isinstance(loop, Poorer)
    with pytest.raises(error):
        loop.run_forever()
    loop.close()
    assert len(ended) == 1


def test_a_loop_that_has_memory_turns_as_the_usual_ones_do():
    ended: list[None] = []

    async def main():
        await anyio.lowlevel.checkpoint()
        raise MemoryError

    with pytest.raises(MemoryError):
        anyio.run(main, backend_options={"loop_factory": partial(lost_steps.loop, asyncio.SelectorEventLoop, partial(ended.append, None))})
    assert not ended


@pytest.mark.parametrize(("words", "said"), [("b'no memory'", b"no memory"), ("None", b"")])
def test_a_process_that_is_given_up_ends_with_its_code_whatever_its_words_come_to(words, said):
    code = f"from batchrun.edge.lost_steps import end_process\nend_process({words}, 4)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, timeout=60)
    assert (ended.returncode, ended.stderr) == (4, said)
