"""Calls that wait for their turn, the first that came first; and what takes long, of which a few begin between two looks at the sockets."""

from __future__ import annotations

import asyncio
from collections import deque

from batchrun.waking import tell


class Turns(deque[asyncio.Future[None]]):
    """Who waits, in the order in which they came."""

    async def wait(self) -> None:
        """Return when it is one's turn; who gives up then leaves it to the next."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.call()
            raise

    def call(self) -> None:
        """Call the next, if there is one."""
        while self:
            turn = self.popleft()
            if not turn.done():
                tell(turn, None)
                return


class Few:
    """A few of what begins are begun in each turn of the event loop, and the others in the next ones.

    What takes long, or many steps, is a wait for all that are under way. Were all of it begun at once, nothing could be sent or read
    meanwhile; so what is begun first is done before the last of it is begun.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, a_turn: int) -> None:
        self._loop = loop
        self._a_turn = a_turn
        self._begun = 0
        """In this turn."""
        self._later = Turns()

    async def begin(self) -> None:
        """Return when one more may begin."""
        if not self._begun:
            self._loop.call_soon(self._turn)
        if self._begun < self._a_turn:
            self._begun += 1
        else:
            await self._later.wait()

    def _turn(self) -> None:
        self._begun = min(len(self._later), self._a_turn)
        if self._begun:
            self._loop.call_soon(self._turn)
        for _ in range(self._begun):
            self._later.call()
