"""Rate limits in short windows: how many calls and tokens have gone, and whether one more may.

Rules:

1. A refused call counts nowhere. What one look found to fit is counted by `Meter.count` at the same time, before any other look.
2. A window forgets: it holds no more than one entry a call of its period, and a decision costs a constant on average.
3. Times are seconds that never go back; whoever calls sees to it.

Sources: periods of 1, 6 and 60 seconds, and total tokens as what is limited, are from recorded headers (2024 to 2026). Whether windows
slide, when tokens count and how growth is measured is nowhere said: all of it is the scenario's to set.
"""

from __future__ import annotations

import heapq
import math
from collections import deque

from batchrun.core.classes import value
from batchrun.simulator.scenario import Mishap
from batchrun.simulator.tables import AccountQuota, RateLimit


class Sliding:
    """Counts what came in the last *period* seconds: what came at t has gone at t + *period*."""

    def __init__(self, period: int) -> None:
        self._period = period
        self._entries: deque[tuple[float, int]] = deque()
        self._total = 0

    def used(self, now: float) -> int:
        """What came after now - period."""
        while self._entries and self._entries[0][0] + self._period <= now:
            self._total -= self._entries.popleft()[1]
        return self._total

    def add(self, at: float, amount: int) -> None:
        """Count *amount* from *at* on."""
        self._entries.append((at, amount))
        self._total += amount


class Aligned:
    """Counts from one whole period of the clock to the next, where it begins at nothing."""

    def __init__(self, period: int) -> None:
        self._period = period
        self._place = -math.inf
        self._total = 0

    def used(self, now: float) -> int:
        """What came in the period that *now* is in."""
        if now // self._period > self._place:
            self._place, self._total = now // self._period, 0
        return self._total

    def add(self, at: float, amount: int) -> None:
        """Count *amount* in the period that *at* is in."""
        self._total = self.used(at) + amount


_KINDS: dict[str, type[Sliding | Aligned]] = {"sliding": Sliding, "aligned": Aligned}


@value
class Caps:
    """What a scope is held to: so many calls, and so many tokens, in any window of so many seconds."""

    requests: int | None = None
    request_period: int = 60
    tokens: int | None = None
    token_period: int = 60
    a_second: int | None = None
    """Calls in any second."""
    window: str = "sliding"
    debit: str = "admission"

    @staticmethod
    def of(limit: RateLimit) -> Caps:
        """The caps that a table of the scenario comes to."""
        requests, request_period = limit.request_window
        tokens, token_period = limit.token_window
        a_second = -(-limit.rpm // 60) if limit.per_second and limit.rpm is not None else None
        return Caps(requests, request_period, tokens, token_period, a_second, limit.window, limit.debit)


class Meter:
    """Holds one scope, an account's model or a workspace's, to its caps."""

    def __init__(self, caps: Caps) -> None:
        self.caps = caps
        kind = _KINDS[caps.window]
        self._calls = [(most, kind(period)) for most, period in _windows(caps)]
        self._spent = kind(caps.token_period)
        self._unsettled: list[tuple[float, int]] = []

    def change(self, caps: Caps) -> None:
        """Hold to other *caps* from now on. A window that is as long as before goes on with what it holds."""
        other = Meter(caps)
        if caps.window == self.caps.window:
            held = {period: window for (_, period), (_, window) in zip(_windows(self.caps), self._calls, strict=True)}
            other._calls = [
                (most, held.get(period, window)) for (_, period), (most, window) in zip(_windows(caps), other._calls, strict=True)
            ]
            if caps.token_period == self.caps.token_period:
                other._spent, other._unsettled = self._spent, self._unsettled
        self.caps, self._calls, self._spent, self._unsettled = caps, other._calls, other._spent, other._unsettled

    def refuses(self, now: float, tokens: int = 1) -> Mishap | None:
        """Why a call of so many tokens may not go now. Where tokens count at completion, a call goes while any are left."""
        if any(window.used(now) >= most for most, window in self._calls):
            return Mishap.THROTTLE
        if self.caps.tokens is None:
            return None
        self._settle(now)
        wanted = tokens if self.caps.debit == "admission" else 1
        return Mishap.TOKEN_QUOTA if self._spent.used(now) + wanted > self.caps.tokens else None

    def count(self, now: float, tokens: int, ended: float) -> None:
        """Count a call that goes now and ends at *ended*."""
        for _, window in self._calls:
            window.add(now, 1)
        if self.caps.tokens is None or not tokens:
            return
        self._settle(now)
        if self.caps.debit == "admission":
            self._spent.add(now, tokens)
        else:
            heapq.heappush(self._unsettled, (ended, tokens))

    def _settle(self, now: float) -> None:
        while self._unsettled and self._unsettled[0][0] <= now:
            self._spent.add(*heapq.heappop(self._unsettled))


def _windows(caps: Caps) -> list[tuple[int, int]]:
    """Of calls: how many, in how many seconds."""
    calls = ((caps.requests, caps.request_period), (caps.a_second, 1))
    return [(most, period) for most, period in calls if most is not None]


class Growth:
    """Refuses calls whose rate grows too quickly: by the count of the period before, never below a floor.

    Counted on whole periods of the clock, so that two numbers are enough. A call that is willing to wait is counted in the first later
    period that has room, at whose beginning it goes; calls that come later wait behind it.
    """

    def __init__(self, factor: float, period: int, floor: int) -> None:
        self._factor, self._period, self._floor = factor, period, floor
        self._calls: dict[int, int] = {}
        self._first_with_room = 0

    @staticmethod
    def of(quota: AccountQuota) -> Growth | None:
        """The growth that a quota allows, if it says anything about it."""
        return None if quota.burst is None else Growth(quota.burst, quota.burst_period, quota.burst_floor)

    def wait(self, now: float, patience: float) -> float | None:
        """Seconds until a call may go that comes now, or None where that is more than its *patience*."""
        self._come_to(now)
        while self._is_full(self._first_with_room):
            self._first_with_room += 1
        seconds = max(0.0, self._first_with_room * self._period - now)
        return seconds if seconds <= patience else None

    def count(self, now: float) -> None:
        """Count a call that was told how long to wait at *now*."""
        self._come_to(now)
        self._calls[self._first_with_room] = self._calls.get(self._first_with_room, 0) + 1

    def _come_to(self, now: float) -> None:
        """Have no call go in a period that is over; those before the last are forgotten."""
        place = int(now // self._period)
        self._first_with_room = max(self._first_with_room, place)
        for old in [one for one in self._calls if one < place - 1]:
            del self._calls[old]

    def _is_full(self, place: int) -> bool:
        return self._calls.get(place, 0) >= max(self._floor, math.floor(self._factor * self._calls.get(place - 1, 0)))
