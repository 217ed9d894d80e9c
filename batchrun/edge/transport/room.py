"""What the large answers of one workspace may hold of the memory together, before they are read to their ends.

Beyond it they are read one at a time, the one first that grew large first; the others are left to their wires meanwhile, which costs them
nothing of their `idle`. So one workspace with hundreds of calls in flight, whose endpoint answers each with as much as may be, does not
take the machine. An answer that never grows large knows nothing of it.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from batchrun.waking import tell


class Grown(Protocol):
    """An answer that has grown large; it may be told that its time is up while it waits."""

    waits: asyncio.Future[None] | None


class Room:
    """*most_bytes* for all of them."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._held: dict[Grown, int] = {}
        self._total = 0

    async def hold(self, answer: Grown, held_bytes: int) -> None:
        """Return when *answer*, which holds so much by now, may be read on."""
        self._total += held_bytes - self._held.get(answer, 0)
        self._held[answer] = held_bytes
        try:
            while self._total > self._most_bytes and next(iter(self._held)) is not answer:
                answer.waits = asyncio.get_running_loop().create_future()
                await answer.waits
        finally:
            answer.waits = None

    def leave(self, answer: Grown) -> None:
        """It holds nothing more."""
        held = self._held.pop(answer, None)
        if held is None:
            return
        self._total -= held
        for other in self._held:
            if other.waits is not None and not other.waits.done():
                tell(other.waits, None)
