"""What a workspace's rate leaves for a lane that is next in its pool: so that both let its row go at the same time."""

from __future__ import annotations

import math

from batchrun.core.classes import slotted


@slotted
class Reserve:
    """For one lane at a time."""

    holder: object = None
    at: float = math.inf
    """When the holder's pool has room for its row."""

    def keep(self, lane: object, at: float) -> None:
        """Leave *lane* what it needs *at* that time."""
        self.holder, self.at = lane, at

    def give_up(self, lane: object) -> None:
        """Let others have what was left for *lane*, if anything was."""
        if self.holder is lane:
            self.holder = None

    def free_at(self, at: float, lane: object, takes: float) -> float:
        """When *lane* may go that the rate lets go *at* a time: it *takes* so many seconds until the next one may."""
        if self.holder is None or self.holder is lane or at + takes <= self.at:
            return at
        return max(at, self.at + takes)
