"""A quota as a bucket in debt form, and counts of what went through lately.

A bucket fills at its rate up to its burst. Whoever finds it out of debt may go, and then pays its whole cost, however large: so a row of
any size goes in its turn, nobody overtakes it, and what is learnt later (the answer was shorter) is paid back or paid on top. The level is
kept as of a moment and a rate, never by counting ticks: a night of payments leaves no drift that could be seen.

The most that is paid in any window of W seconds is rate x W + burst + the largest single cost; and where something is paid back, a tenth
of a second's more than that and than what is paid back in the window. What is to be made up for comes on top.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import attrgetter

from batchrun.core.classes import slotted

_DUST = 1e-9
"""Seconds: less debt than a bucket pays off in a nanosecond is none."""
NO_TIME = 1e-3
"""Seconds in which a count does not fade."""
_FEW = 100
_MOST_BACK = 0.1
"""Seconds of its rate that a bucket holds above its burst of what is paid back: an estimate that was too high costs no time."""


@slotted
class Bucket:
    """A rate in units a second; told the time. It begins with nothing saved up."""

    rate: float
    burst: float
    """Units."""
    paid_until: float = -math.inf
    """When it is, or was, out of debt."""
    _back: float = 0.0
    """Seconds that were paid back, or are to be made up for, and were not used yet."""

    def free_at(self, now: float) -> float:
        """When the bucket is out of debt: *now*, or later."""
        return self.paid_until if self.paid_until > now + _DUST else now

    def pay(self, now: float, cost: float) -> None:
        """Take *cost* out, into debt if need be."""
        rate, back, until = self.rate, self._back, self.paid_until
        full = now - self.burst / rate
        if until < full - back:
            until = now if until == -math.inf else full - back
        self.paid_until = until = until + cost / rate
        if back and full - until < back:
            self._back = full - until if full > until else 0.0

    def pay_back(self, cost: float) -> None:
        """Give back what was paid too much; negative where it was too little. What is far above the burst is lost."""
        seconds = cost / self.rate
        self.paid_until -= seconds
        if seconds > 0.0 and self._back < _MOST_BACK:
            back = self._back + seconds
            self._back = back if back < _MOST_BACK else _MOST_BACK

    def make_up_for(self, seconds: float, most: float) -> None:
        """Something else held back for *seconds* what might have gone: it may go on top of the burst, up to *most* seconds of it."""
        self._back = max(self._back, min(most, self._back + seconds))

    def change(self, now: float, rate: float, burst: float) -> None:
        """Go on at another rate; the debt stands, and so does what is saved up."""
        ahead = max(self.paid_until - now, -self.burst / self.rate - self._back)
        self.paid_until = now + ahead * self.rate / rate
        self.rate, self.burst = rate, burst


@dataclass(slots=True, eq=False)
class Half:
    """What went through in half a second: what comes late, or is taken back, counts in the latest one."""

    until: float
    """Its end, in half seconds."""
    amount: float = 0.0


_until = attrgetter("until")


@slotted
class Trail:
    """How much went through in each half of the latest seconds: two numbers for each."""

    seconds: int = 60
    latest: Half = field(default_factory=lambda: Half(-math.inf))
    """None of what is counted, before anything went."""
    _halves: list[Half] = field(default_factory=list)
    """A list, for most limits never see an attempt: an empty deque takes ten times as much memory."""

    def add(self, now: float, amount: float) -> None:
        """Count *amount* at *now*."""
        if 2.0 * now >= self.latest.until:
            self._begin(math.floor(2.0 * now) + 1.0)
        self.latest.amount += amount

    def halves(self) -> Iterable[Half]:
        """What is remembered, the earliest first."""
        return self._halves

    def _begin(self, until: float) -> None:
        halves = self._halves
        self.latest = Half(until)
        halves.append(self.latest)
        if halves[0].until < until - 2 * self.seconds:
            del halves[: bisect_left(halves, until - 2 * self.seconds, key=_until)]

    def sum(self, now: float, seconds: float) -> float:
        """What went through in the *seconds* before *now*; the half second that lies across the beginning counts in part."""
        start = 2 * (now - seconds)
        total = 0.0
        for half in reversed(self._halves):
            if half.until <= start:
                break
            total += half.amount * min(1.0, half.until - start)
        return max(0.0, total)


@slotted
class Latest:
    """When the latest attempts went, one by one."""

    went: deque[float] = field(default_factory=lambda: deque(maxlen=_FEW + 1))
    """What goes is appended; of one more than are remembered, the first is the latest that is not."""
    _forgot: float = -math.inf
    """The same, where fewer than that are left."""

    def drop(self, at: float) -> None:
        """The one that went *at* that time does not count."""
        if len(self.went) > _FEW:
            self._forgot = self.went.popleft()
        if at in self.went:
            self.went.remove(at)

    def since(self, start: float) -> int | None:
        """How many went after *start*; None where those are more than are remembered."""
        forgot = self.went[0] if len(self.went) > _FEW else self._forgot
        return None if forgot > start else sum(at > start for at in self.went)


@slotted
class Flow:
    """What comes in a second, of late: older counts fade away."""

    fades_in: float = 5.0
    """Seconds."""
    amount: float = 0.0
    """So much counts as of then."""
    at: float = -math.inf

    def add(self, now: float, amount: float) -> None:
        """Count *amount* at *now*."""
        if (passed := now - self.at) > NO_TIME:
            self.amount *= math.exp(-passed / self.fades_in)
            self.at = now
        self.amount += amount

    def fade_in(self, seconds: float) -> None:
        """Let counts fade in so many seconds from now on; what comes in a second is what it was."""
        self.amount *= seconds / self.fades_in
        self.fades_in = seconds

    def rate(self, now: float) -> float:
        """Units a second."""
        return self._faded(now) / self.fades_in

    def _faded(self, now: float) -> float:
        passed = now - self.at
        return self.amount * math.exp(-passed / self.fades_in) if passed > 0 and self.amount else self.amount
