"""The event loop that a run goes by: its caller's, or one of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec

from batchrun.edge import lost_steps
from batchrun.running.failing import give_up


def on_asyncio() -> None:
    """Raise RuntimeError where no event loop of asyncio's runs."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError("batchrun runs in event loops of asyncio's, uvloop's too: from trio, call run_blocking in a thread") from None


def off_asyncio() -> None:
    """Raise RuntimeError where one runs in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(
        "an event loop runs in this thread already, as in a notebook: `await run(job)`, or call run_blocking in another thread"
    )


def of_its_own(*, or_end: bool) -> Callable[[], asyncio.AbstractEventLoop]:
    """What makes one, uvloop's where it is installed (the extra ``fast``); *or_end*: the process ends where it has no memory to turn."""
    usual = asyncio.SelectorEventLoop if find_spec("uvloop") is None else import_module("uvloop").Loop
    return partial(lost_steps.loop, usual, give_up) if or_end else usual
