"""The first Ctrl-C or SIGTERM asks a run to drain; any further one stops it at once. A terminal that is closed stops nothing.

A signal that was ignored when the process began stays so: a script that puts a run into the background has it that way, and the Ctrl-C that
ends what the script does in front is none of the run's.
"""

from __future__ import annotations

import signal
from collections.abc import Callable

import anyio


async def watch(drain: Callable[[str], None], stop: Callable[[], None]) -> None:
    """Call *drain* with the first signal's name, then *stop* at each further one; runs until cancelled, on the main thread only.

    From then on signals lead to what they did before.
    """
    before = {number: signal.getsignal(number) for number in heeded()}
    try:
        with anyio.open_signal_receiver(*before) as signals:
            asked = False
            async for number in signals:
                if asked:
                    stop()
                else:
                    asked = True
                    drain(signal.Signals(number).name)
    finally:
        # The receiver leaves the system's own way, which ends a process without a word.
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)


def heeded() -> list[signal.Signals]:
    """Those that ask to stop, but for what was to be ignored when the process began."""
    return [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not signal.SIG_IGN]


def outlive_the_terminal() -> None:
    """Take no notice of a terminal that is closed; on the main thread only."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
