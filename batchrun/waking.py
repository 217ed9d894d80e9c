"""Whoever waits is told, or it is said that there was no memory to tell.

A future of asyncio's counts as done before its waiter is called, and calls it once. Where there is no memory for that call, the waiter
waits for ever, and cannot even be cancelled. What is done then is up to whoever owns the process, by the loop's exception handler.

Some tasks that will never be called again wait for nothing, so far as can be seen: they are told by that (`edge/lost_steps.py`). So whoever
lets the others have a turn waits for it, too: a run that has something to do in every turn for minutes is well.
"""

from __future__ import annotations

import asyncio
from typing import TypeVar

LOST = "waiter"
"""In what the exception handler gets: who will never hear of it."""

T = TypeVar("T")


def tell(waiter: asyncio.Future[T], what: T) -> None:
    """Let *waiter*, which is not done, bring *what*; raises MemoryError where it never will."""
    try:
        waiter.set_result(what)
    except MemoryError as error:
        said = {"message": "there was no memory to wake whoever waits", "exception": error, LOST: waiter}
        waiter.get_loop().call_exception_handler(said)
        raise


async def another_turn() -> None:
    """Let whatever else is due have its turn of the event loop."""
    turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    turn.get_loop().call_soon(_end, turn)
    await turn


def _end(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        tell(turn, None)
