"""What a forecast goes by, and what it tells of a lane: how long answers are expected to take and to cost, when it is done, what limits it.

All times are seconds; those of a forecast count from its beginning.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import field
from statistics import NormalDist

from batchrun.core.classes import value
from batchrun.core.jobs.hours import Hours
from batchrun.core.ledger.attempts import Bound
from batchrun.core.scheduling.holds import Hold

_STEPS = 1024
"""Of a lognormal spread."""

LaneKey = tuple[str, str]
"""Workspace and model."""


@value
class Expected:
    """What the calls of one lane are expected to be like. What they cost stands in the lane's plan."""

    latencies: Sequence[float]
    """Seconds that answers take, each as likely as the others."""
    costs: Sequence[float] = (1.0,)
    """What calls cost in terms of what they are expected to, each as likely as the others; 1 in the mean."""
    again: float = 0.0
    """Share of the calls that fail and are tried again."""
    failing: Sequence[float] = ()
    """Seconds that those take, each as likely as the others; nothing: as long as answers."""
    throttled: float = 0.0
    reasked: float = 0.0
    reask_costs: float = 1.0
    """What those calls cost whose answers do not fit, in terms of one that brings an answer."""
    bounds: Sequence[Bound] = ()
    """What calls may cost at the most, each as likely as the others; some, where its plan has purses."""

    @property
    def latency(self) -> float:
        """Seconds that an answer takes in the mean."""
        return math.fsum(self.latencies) / len(self.latencies)


@value
class Foreseen:
    """How one lane will fare."""

    ends_at: float
    """Seconds from the start."""
    holds: Mapping[Hold | None, float]
    """Share of its time in which each thing held it back; None where it only waited for answers."""

    @property
    def limit(self) -> Hold | None:
        """What held it back for most of its time; None where nothing did."""
        return max(self.holds, key=lambda hold: self.holds[hold]) if self.holds else None


@value
class Calendar:
    """The hours of those workspaces that have some, and when it all begins, in seconds since the epoch."""

    hours: Mapping[str, Hours] = field(default_factory=dict)
    begins_at: float = 0.0


AT_ANY_TIME = Calendar()
"""Of workspaces that all may be called at any time."""


def lognormal(mean: float, sigma: float) -> tuple[float, ...]:
    """Latencies with this *mean*, spread as a provider's usually are; *sigma* is the deviation of their logarithm."""
    normal = NormalDist()
    raw = [math.exp(sigma * normal.inv_cdf((step + 0.5) / _STEPS)) for step in range(_STEPS)]
    whole = math.fsum(raw)
    return tuple(mean * each * _STEPS / whole for each in raw)
