"""How fast the number of attempts may grow: at the start of a run, and after it rested.

Theory of operation. A run that opens with a thousand calls in one moment opens a thousand connections at once, and overruns a quota of
which nothing is known yet. So the first attempts go through a bucket whose rate doubles every half second, from fifty a second on; once it
is so fast that it holds nothing back, it is dropped. After half a minute without an attempt it begins anew.

Some providers refuse growth itself (`limit_burst_rate`). That says nothing of a rate: the climb goes on from what was taken of late, and
doubles in twice the time. What a complaint slowed is forgiven by halves, a minute each, so that one bad moment does not slow a whole night.
"""

from __future__ import annotations

import math

from batchrun.core.classes import slotted
from batchrun.core.limits.buckets import Bucket

FIRST_RATE, DOUBLES_IN = 50.0, 0.5
"""Attempts a second that a run begins with, and the seconds in which they double, where no quota is known."""
KNOWN_FIRST_RATE, KNOWN_DOUBLES_IN = 2000.0, 0.1
"""Where a quota is known, nothing needs to be found, and the quota spreads the calls itself: only connections must not be asked for much
faster than a process opens them, since a call that waits for its connection uses up its time. A thousand go in a fifth of a second. Growth
that a provider complains of is counted over more seconds than either ramp takes."""
IDLE = 30.0
"""Seconds without an attempt after which growth begins anew."""
_FIRST_BURST, _SLOWEST = 16.0, 30.0
"""Attempts that go in the first moment; and the most seconds that doubling takes, whatever was complained of."""
_FORGIVES = 60.0
"""Seconds without a complaint of growth after which the next slows the climb by half as much."""
_NO_RAMP = 1e5
"""Attempts a second that no ramp need hold back."""


@slotted
class Ramp:
    """How fast attempts may grow in number; told the time."""

    first_rate: float = FIRST_RATE
    _doubles_in: float = DOUBLES_IN
    bucket: Bucket | None = None
    """None where nothing is held back, as long as attempts go on."""
    latest: float = -math.inf
    """When the latest attempt went."""
    _grown_at: float = 0.0
    _complained_at: float = 0.0

    def free_at(self, now: float) -> float:
        """When the next attempt may go."""
        bucket = self._at(now)
        return now if bucket is None else bucket.free_at(now)

    def pay(self, now: float) -> None:
        """One attempt goes."""
        bucket = self._at(now)
        if bucket is not None:
            bucket.pay(now, 1.0)
        self.latest = now

    def pay_back(self) -> None:
        """One attempt that paid was not made."""
        if self.bucket is not None:
            self.bucket.pay_back(1.0)

    def begin_anew(self) -> None:
        """Go on as if nothing had gone yet."""
        self.latest = -math.inf

    def too_fast(self, now: float, lately: float) -> None:
        """The provider complained of growth: go on from what it took *lately*, in attempts a second, and grow at half the speed."""
        believed = self._doubles_in * 0.5 ** ((now - self._complained_at) / _FORGIVES)
        self._doubles_in, self._complained_at = min(_SLOWEST, 2 * max(believed, DOUBLES_IN)), now
        self.bucket, self._grown_at = Bucket(max(1.0, lately), 1.0), now

    def _at(self, now: float) -> Bucket | None:
        if now - self.latest > IDLE:
            self.bucket = Bucket(self.first_rate, _FIRST_BURST, now - _FIRST_BURST / self.first_rate)
            self._grown_at = self.latest = now
        elif self.bucket is not None and now > self._grown_at:
            self._grow(now, self.bucket)
        return self.bucket

    def _grow(self, now: float, bucket: Bucket) -> None:
        rate = bucket.rate * 2.0 ** ((now - self._grown_at) / self._doubles_in)
        self._grown_at = now
        if rate > _NO_RAMP:
            self.bucket = None
        else:
            bucket.change(now, rate, max(1.0, rate * DOUBLES_IN / 10))
