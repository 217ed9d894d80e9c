"""How much of a ledger the disk has not confirmed yet, and whether more may be launched on top of it.

What a process wrote is safe from its own death at once, from the machine's only once it was synced. Syncing goes on behind, about once a
second, so there is always something that a lost machine would take along; this is what keeps it small. Nothing is launched while the
oldest line waits for two seconds, while 16 MiB wait, or while one sync takes two seconds: a slow disk slows the lanes, and memory stays
flat. What is on its way when launching stops is still written.
"""

from __future__ import annotations

UNSYNCED_SECONDS = 2.0
UNSYNCED_BYTES = 16 << 20


class Unsynced:
    """Counts entries in bytes: the lines of attempts.log are short, and what a lost end of them leaves open is promised ahead.

    All times are the loop's.
    """

    def __init__(self) -> None:
        self._bytes = 0
        self._being_synced = 0
        """Of these, so many: the sync that is under way will have confirmed them."""
        self._since: float | None = None
        """When the oldest of it was appended; None where nothing lies unsynced."""
        self._syncing_since: float | None = None

    def add(self, size: int, now: float) -> None:
        """An entry of *size* bytes was appended."""
        self._bytes += size
        if self._since is None:
            self._since = now

    def allows(self, now: float) -> bool:
        """Whether more may be launched."""
        if self._syncing_since is not None and now - self._syncing_since >= UNSYNCED_SECONDS:
            return False
        return self._since is None or (now - self._since < UNSYNCED_SECONDS and self._bytes < UNSYNCED_BYTES)

    def begin(self, now: float) -> None:
        """A sync begins, of all that was appended by now."""
        self._being_synced, self._syncing_since = self._bytes, now

    def end(self, *, more: bool) -> None:
        """It has ended well; *more* was written meanwhile, or not. After one that failed the ledger is over, and nobody asks again."""
        began, self._syncing_since = self._syncing_since, None
        self._bytes -= self._being_synced
        # What was appended meanwhile is unsynced since the sync began, at the earliest.
        self._since = began if more else None
