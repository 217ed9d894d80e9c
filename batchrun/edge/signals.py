"""The first Ctrl-C or SIGTERM asks a run to drain; a second one stops it at once."""

from __future__ import annotations

import signal
from collections.abc import Callable

import anyio


async def watch(drain: Callable[[str], None], stop: Callable[[], None]) -> None:
    """Call *drain* with the first signal's name, then *stop* at a second one; runs until cancelled, on the main thread only."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        asked = False
        async for number in signals:
            if asked:
                stop()
                return
            asked = True
            drain(signal.Signals(number).name)
