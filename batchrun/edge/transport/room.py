"""What large answers may hold of the memory, before they are read to their ends: those of one workspace together, and those of all.

Beyond it they are read one at a time, the one first that grew large first; the others are left to their wires meanwhile, which costs them
nothing of their `idle`. So one workspace with hundreds of calls in flight, whose endpoint answers each with as much as may be, does not
take the machine, and nor do hundreds of workspaces that have such an endpoint in common. Where all hold too much, the answers of a
workspace that hold no more than its part go on: they wait for nobody else's. An answer that never grows large knows nothing of it.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from batchrun.waking import tell


class Grown(Protocol):
    """An answer that has grown large; it may be told that its time is up while it waits."""

    waits: asyncio.Future[None] | None


class Rooms:
    """*most_bytes* for the answers of each key, and *all_bytes* for those of all.

    Where those are held, what goes on within its workspace's part comes to as much again at the most: so all hold twice that, and beside it
    the one whose turn it is, and a piece of each.
    """

    def __init__(self, most_bytes: int, all_bytes: int) -> None:
        self.most_bytes = most_bytes
        self._all_bytes = all_bytes
        self._of: dict[str, Room] = {}
        self._held: dict[Grown, Room] = {}
        self._in_use: set[Room] = set()
        self._total = 0

    def of(self, key: str) -> Room:
        """That of *key*."""
        room = self._of.get(key)
        if room is None:
            room = self._of[key] = Room(self)
        return room

    def enter(self, answer: Grown, room: Room) -> None:
        """*answer* is large, from here on."""
        self._in_use.add(room)
        self._held[answer] = room

    def grow(self, more_bytes: int) -> None:
        """So much more is held."""
        self._total += more_bytes

    def leave(self, answer: Grown, room: Room, held_bytes: int) -> None:
        """It holds nothing more: whoever may go on by that is told."""
        was_full = self._total > self._all_bytes
        self._held.pop(answer, None)
        self._total -= held_bytes
        if not room.held:
            self._in_use.discard(room)
        for other, its in self._held.items():
            if (was_full or its is room) and other.waits is not None and not other.waits.done() and its.may_grow(other):
                tell(other.waits, None)

    def may_grow(self, answer: Grown, its_room: int) -> bool:
        """Whether *answer*, whose room holds so many bytes, is kept from being read on by nobody else's."""
        return self._total <= self._all_bytes or its_room * len(self._in_use) <= self._all_bytes or next(iter(self._held)) is answer


class Room:
    """That of one key."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self.held: dict[Grown, int] = {}
        """Bytes of each of its answers that is large: as a rule there is none."""
        self._total = 0

    async def hold(self, answer: Grown, held_bytes: int) -> None:
        """Return when *answer*, which holds so many bytes by now, may be read on."""
        before = self.held.get(answer)
        if before is None:
            before = self.held[answer] = 0
            self._rooms.enter(answer, self)
        self.held[answer] = held_bytes
        self._total += held_bytes - before
        self._rooms.grow(held_bytes - before)
        try:
            while not self.may_grow(answer):
                answer.waits = asyncio.get_running_loop().create_future()
                await answer.waits
        finally:
            answer.waits = None

    def leave(self, answer: Grown) -> None:
        """It holds nothing more."""
        held = self.held.pop(answer, None)
        if held is not None:
            self._total -= held
            self._rooms.leave(answer, self, held)

    def may_grow(self, answer: Grown) -> bool:
        """Whether *answer* may be read on: the first of all always may."""
        is_its_turn = self._total <= self._rooms.most_bytes or next(iter(self.held)) is answer
        return is_its_turn and self._rooms.may_grow(answer, self._total)
