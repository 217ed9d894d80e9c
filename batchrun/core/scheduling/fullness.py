"""Whose window was full when a lane was refused: its own or its pool's, told by how full both were before.

Theory of operation. Where all lanes of a pool have caps of their own, each is refused as often as it has its share of what is sent, and to
count that (`blame.py`) tells nothing. But a window that is full holds more than it does at nearly all other times, and another one is
fuller than usual only by chance (as in `limits/fuller.py`). So at each refusal it is looked up at how many of the moments before it
each window was less full: of what the lane sent, and of what its pool did, over six seconds and over a minute. A lane whose own window
stands out at its refusals, and its pool's clearly less, has a cap of its own; as long as its pool's does not stand out as much.

That is asked only where a pool's quota does not explain what is refused: where the quota that is known was found to be lower, or where
more is refused than climbs cost.
"""

from __future__ import annotations

import math
from dataclasses import field
from itertools import accumulate
from typing import NamedTuple

from batchrun.core.classes import slotted
from batchrun.core.limits.buckets import Trail
from batchrun.core.limits.windows import LONG, SHORT

_WINDOWS = (SHORT, LONG)
_MOMENTS, _APART = 15, 1 / 6
"""Moments before a refusal that it is compared with, and of a window, how far they are apart."""
_LOOKED_AT_AGAIN = 0.5
"""Seconds after a refusal: until then another one tells the same."""
_FORGETS = 0.1
"""Of what refusals showed, at each further one."""
_LOOKS, _FULLER, _CLEARLY = 5.0, 0.7, 0.15
"""Refusals that a verdict needs; the moments that the lane's window was fuller than, in the mean, and how many more than its pool's."""


class Went(NamedTuple):
    """What a limiter counted, and what of that was refused and told to another."""

    counted: Trail
    refused: Trail


@slotted
class Fullness:
    """Of one lane: how far the windows stood out at its latest refusals."""

    is_own: bool = False
    """The lane has a cap of its own."""
    refused: Trail = field(default_factory=lambda: Trail(150))
    """What its pool was told of, and its own limiter counts as what went."""
    _looks: float = 0.0
    _own: list[float] = field(default_factory=lambda: [0.0] * len(_WINDOWS))
    _pool: list[float] = field(default_factory=lambda: [0.0] * len(_WINDOWS))
    _latest: float = -math.inf

    def look_at(self, at: float, own: Went, pool: Went, *, unexplained: bool) -> bool:
        """Note a refusal of an attempt that went *at* that time; say whether refusals are the lane's own."""
        if at - self._latest >= _LOOKED_AT_AGAIN:
            self._latest = at
            self._looks += 1.0 - _FORGETS * self._looks
            for counts, went in ((self._own, own), (self._pool, pool)):
                for place, share in enumerate(_stands_out(went, at)):
                    counts[place] += share - _FORGETS * counts[place]
            if self._looks >= _LOOKS:
                self._judge(max(self._own) / self._looks, max(self._pool) / self._looks, unexplained=unexplained)
        return self.is_own

    def _judge(self, own: float, pool: float, *, unexplained: bool) -> None:
        self.is_own = own >= pool if self.is_own else unexplained and own >= max(_FULLER, pool + _CLEARLY)


def _stands_out(went: Went, at: float) -> list[float]:
    """For each window: the share of the moments before *at* when it was less full; as full counts half."""
    parts, end = [0.0] * (2 * went.counted.seconds), math.floor(2 * at) + 1
    for trail, sign in zip(went, (1.0, -1.0), strict=True):
        for half in trail.halves():
            ago = int(end - half.until)
            if 0 <= ago < len(parts):
                parts[ago] += sign * half.amount
    until = list(accumulate(parts, initial=0.0))
    return [_less_full(until, round(2 * seconds)) for seconds in _WINDOWS]


def _less_full(until: list[float], parts: int) -> float:
    apart = max(1, round(parts * _APART))
    moments = range(apart, min(_MOMENTS * apart, len(until) - 1 - parts) + 1, apart)
    held = [until[moment + parts] - until[moment] for moment in moments]
    return sum((each < until[parts]) + (each == until[parts]) / 2 for each in held) / len(held)
