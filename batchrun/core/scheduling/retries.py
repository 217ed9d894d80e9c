"""The rows of a lane that wait to be tried again: those that are due come to its front, and those that are too large step aside."""

from __future__ import annotations

import heapq

from batchrun.core.scheduling.lanes import Lane
from batchrun.core.scheduling.too_large import MOST

_MOST_FAILED = 10_000
"""Rows of a lane that failed and wait for one that was sent after them: more than time-outs of an hour leave of two hundred slots."""


def take_due(lane: Lane, now: float, most: int = _MOST_FAILED) -> None:
    """Let those go that are due: while there are others that were never sent, only once a call was answered that went no earlier.

    Or where as many as *most* wait.
    """
    retries = lane.retries
    while retries and retries[0][0] <= now:
        if lane.undrawn and retries[0][4] > lane.good_at and len(retries) < most:
            return
        _, _, ordinal, attempt, _ = heapq.heappop(retries)
        lane.front.append((ordinal, attempt))


def are_too_large(lane: Lane, now: float) -> bool:
    """Let rows of *lane* step aside that are too large; whether none is left that may go."""
    too_large = lane.too_large
    while lane.next_tokens() >= too_large.cost:
        if len(lane.retries) >= MOST:
            # One that is due makes room, and steps aside in its turn: what is waited for is none that is past.
            take_due(lane, now, MOST)
            if len(lane.retries) >= MOST:
                return True
        lane.wait(too_large.until, *lane.front.popleft())
        if not (lane.front or lane.undrawn):
            # Those that are due had waited for others that were never sent.
            take_due(lane, now)
            if not lane.front:
                return True
    return False
