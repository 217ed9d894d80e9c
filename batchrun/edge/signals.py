"""The first Ctrl-C or SIGTERM asks a run to drain; any further one stops it at once. A terminal that is closed stops nothing."""

from __future__ import annotations

import signal
from collections.abc import Callable

import anyio


async def watch(drain: Callable[[str], None], stop: Callable[[], None]) -> None:
    """Call *drain* with the first signal's name, then *stop* at each further one; runs until cancelled, on the main thread only."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        asked = False
        async for number in signals:
            if asked:
                stop()
            else:
                asked = True
                drain(signal.Signals(number).name)


def outlive_the_terminal() -> None:
    """Take no notice of a terminal that is closed; on the main thread only."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
