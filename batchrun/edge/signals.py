"""The first Ctrl-C or SIGTERM asks a run to drain; any further one stops it at once. A terminal that is closed stops nothing.

A signal that was ignored when the process began stays so: a script that puts a run into the background has it that way, and the Ctrl-C that
ends what the script does in front is none of the run's.

Python heeds signals in the main thread alone, and nothing ends a call to the kernel that waits for a share that is gone. Where the main
thread makes it, the kernel keeps the first signal for it, and gives any further one to another thread, which does no more than write its
number into a pipe that nobody reads. So a thread beside it looks now and then whether one is kept, takes it, and reads that pipe before the
event loop does. What it hears goes on to the loop; where that heeds the first for some seconds not, it says so, and where it heeds a
further one not, it ends the process all the same. Where no event loop hears, one signal is what ends a process, and so does one that the
kernel keeps.
"""

from __future__ import annotations

import math
import os
import signal
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from select import POLLIN, poll
from types import FrameType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

_LOOK_EVERY = 1.0
"""Seconds between two looks at what the kernel keeps."""
_PATIENCE = 3
"""Such looks, in which the event loop has heeded nothing: it is held up."""


class HeldUp(NamedTuple):
    """What is done, in another thread, at signals that a run cannot heed."""

    tell: Callable[[], None]
    end: Callable[[], None]
    """At the second, be it that the first was heeded; ends the process."""


async def watch(drain: Callable[[str], None], stop: Callable[[], None], held_up: HeldUp) -> None:
    """Call *drain* with the first signal's name, then *stop* at each further one; runs until cancelled, on the main thread only.

    Several may watch at a time: each signal is for all of them. Once none does, signals lead to what they did before.
    """
    import asyncio  # noqa: PLC0415 - what else is here is needed before much is imported

    import anyio  # noqa: PLC0415

    come, came = anyio.create_memory_object_stream[int](math.inf)
    ears = _ears.setdefault(loop := asyncio.get_running_loop(), _Ears(loop))
    with come, came, ears.lent(come.send_nowait, held_up):
        asked = False
        async for number in came:
            if asked:
                stop()
            else:
                asked = True
                drain(signal.Signals(number).name)


def heeded() -> list[signal.Signals]:
    """Those that ask to stop, but for what was to be ignored when the process began."""
    return [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not signal.SIG_IGN]


def outlive_the_terminal() -> None:
    """Take no notice of a terminal that is closed; on the main thread only."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


@contextmanager
def believed_though_held_up(end: Callable[[int], None]) -> Iterator[None]:
    """Call *end*, in another thread, with a signal that the kernel keeps for the main one some seconds, wherever no run listens itself."""
    onlooker = _Onlooker(heeded(), end)
    # Without memory for one more thread, as without the means, it is as it was.
    with suppress(RuntimeError, MemoryError):
        if hasattr(signal, "sigtimedwait"):
            onlooker.start()
    try:
        yield
    finally:
        onlooker.over.set()


class _Onlooker(threading.Thread):
    """Looks for what is kept: what was sent to the process is given to its main thread, of which the kernel tells what it keeps."""

    def __init__(self, numbers: Collection[int], end: Callable[[int], None]) -> None:
        super().__init__(name="batchrun looks on", daemon=True)
        self._numbers = frozenset(numbers)
        self._end = end
        self.over = threading.Event()

    def run(self) -> None:
        """Look now and then."""
        signal.pthread_sigmask(signal.SIG_BLOCK, self._numbers)
        main, looks = threading.main_thread(), 0
        while not self.over.wait(_LOOK_EVERY):
            if any(isinstance(each, _Listener) for each in threading.enumerate()):
                continue
            if (sent := signal.sigtimedwait(self._numbers, 0)) is not None and main.ident is not None:
                signal.pthread_kill(main.ident, sent.si_signo)
            kept = self._numbers & _kept_for(main)
            looks = looks + 1 if kept else 0
            if looks >= _PATIENCE:
                self._end(min(kept))


def _kept_for(thread: threading.Thread) -> set[int]:
    """Tell the signals that were given to a *thread*, and that it has not taken yet; none where the system does not say."""
    try:
        status = Path(f"/proc/self/task/{thread.native_id}/status").read_bytes()
    except OSError:
        return set()
    pending = int(status.partition(b"\nSigPnd:")[2].split(maxsplit=1)[0], 16)
    return {number for number in signal.Signals if pending >> number - 1 & 1}


class _Ears:
    """Hear signals for an event loop of the main thread, for as long as anybody there watches."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._watching: list[Callable[[int], None]] = []
        self._held = ExitStack()

    @contextmanager
    def lent(self, come: Callable[[int], None], held_up: HeldUp) -> Iterator[None]:
        """Call *come* with each signal while the block lasts."""
        if not self._watching:
            self._begin(held_up)
        self._watching.append(come)
        try:
            yield
        finally:
            self._watching.remove(come)
            if not self._watching:
                del _ears[self._loop]
                self._held.close()

    def _begin(self, held_up: HeldUp) -> None:
        with ExitStack() as held:
            self._listener = _Listener(numbers := heeded(), self._hear, held_up)
            listens = self._listener.begin()
            if listens:
                held.callback(self._listener.end)
            # Not by the loop's own means: what the program has it do at a signal would be forgotten by it.
            held.enter_context(_handled(numbers, _by_the_listener if listens else self._hear))
            self._held = held.pop_all()

    def _hear(self, number: int, _frame: FrameType | None = None) -> None:
        self._loop.call_soon_threadsafe(self._came, number)

    def _came(self, number: int) -> None:
        self._listener.heed()
        for come in self._watching:
            come(number)


_ears: dict[AbstractEventLoop, _Ears] = {}
"""Of those that hear something: a process that is forked while one listens has a loop of its own, in which nobody does yet."""


def _by_the_listener(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: a signal that has a handler is written into the listener's pipe."""


@contextmanager
def _handled(numbers: Iterable[int], handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Let these signals lead to *handler* while the block lasts, and to what they did before after it."""
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, former in before.items():
            # None is that of no Python: it cannot be put back, and the system's own way is what is left.
            signal.signal(number, signal.SIG_DFL if former is None else former)


class _Listener(threading.Thread):
    """Hears what comes through a pipe of its own: it is told to the event loop, and what is none of the run's goes where it went before."""

    def __init__(self, numbers: Collection[int], tell: Callable[[int], object], held_up: HeldUp) -> None:
        super().__init__(name="batchrun signals", daemon=True)
        self._numbers = frozenset(numbers)
        self._tell = tell
        self._held_up = held_up
        self._came = self._heeded = 0
        """Of *numbers*: changed by this thread, and by the event loop's, alone."""
        self._told = False

    def begin(self) -> bool:
        """Begin, in the main thread; False where the system has no such means, or nothing left for it: the loop hears for itself then."""
        if not hasattr(signal, "sigtimedwait"):
            return False
        try:
            self._mine, self._its = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return False
        self._loop = signal.set_wakeup_fd(self._its, warn_on_full_buffer=False)
        try:
            self.start()
        except (RuntimeError, MemoryError):
            signal.set_wakeup_fd(self._loop, warn_on_full_buffer=False)
            os.close(self._its)
            os.close(self._mine)
            return False
        return True

    def end(self) -> None:
        """Leave it to the loop again."""
        signal.set_wakeup_fd(self._loop, warn_on_full_buffer=False)
        os.close(self._its)
        self.join()
        os.close(self._mine)

    def heed(self) -> None:
        """Take note, in the event loop, that it heeds signals."""
        self._heeded = self._came

    def run(self) -> None:
        """Hear, hand on, and see whether it is heeded."""
        # What this thread lets wait is what it can look for: no handler runs in it.
        signal.pthread_sigmask(signal.SIG_BLOCK, self._numbers)
        ears = poll()
        ears.register(self._mine, POLLIN)
        looks = 0
        while True:
            if ears.poll(1000 * _LOOK_EVERY):
                if not (came := os.read(self._mine, 512)):
                    return
            else:
                kept = signal.sigtimedwait(self._numbers, 0)
                came = b"" if kept is None else bytes([kept.si_signo])
                looks += 1
            for number in came:
                self._hand_on(number)
            looks = self._see(looks)

    def _hand_on(self, number: int) -> None:
        if number in self._numbers:
            # Counted before it is told: what the loop has heeded by then is not counted behind its back.
            self._came += 1
            with suppress(RuntimeError, MemoryError):  # The loop is closed, or there is no memory: then it is held up.
                self._tell(number)
        elif self._loop >= 0:
            with suppress(OSError):  # It is full of what nobody reads.
                os.write(self._loop, bytes([number]))

    def _see(self, looks: int) -> int:
        """See, after so many *looks* in which nothing was heeded that came, whether somebody is to be told, or the process is to end."""
        unheeded = self._came - self._heeded
        if not unheeded:
            self._told = False
            return 0
        if looks >= _PATIENCE and self._came > 1:
            self._held_up.end()
        elif looks >= _PATIENCE and not self._told:
            self._told = True
            self._held_up.tell()
        return looks
