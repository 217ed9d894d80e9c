"""Days and months in an owner's time zone: what a budget that comes anew is counted by."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from batchrun.core.classes import value


@value
class Span:
    """One day or month, from its first moment until the next one's; seconds since the epoch."""

    name: str
    """``2026-11-25``, ``2026-11``, or nothing for a span without an end."""
    starts: float = -math.inf
    ends: float = math.inf


ALWAYS = Span("")


@value
class Period:
    """What comes anew."""

    per: Literal["day", "month"]
    zone: str

    def around(self, at: float) -> Span:
        """The day or month that a moment falls into, by the clocks of the zone."""
        zone = ZoneInfo(self.zone)
        local = datetime.fromtimestamp(at, zone)
        first = datetime(local.year, local.month, local.day if self.per == "day" else 1)  # noqa: DTZ001 - its zone comes below
        # No day has more than 24 hours by the calendar, no month more than 31 days: so far on, it is surely the next one.
        beyond = first + timedelta(days=1 if self.per == "day" else 31)
        following = beyond if self.per == "day" else beyond.replace(day=1)
        name = f"{first:%Y-%m-%d}" if self.per == "day" else f"{first:%Y-%m}"
        return Span(name, first.replace(tzinfo=zone).timestamp(), following.replace(tzinfo=zone).timestamp())

    def __str__(self) -> str:
        return f"a {self.per} ({self.zone})"
