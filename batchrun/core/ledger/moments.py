"""When a call began, as an entry tells it: ISO 8601 in UTC, cut to the millisecond below (``2026-11-24T08:00:00.250+00:00``).

Wall time is a float inside, seconds since the epoch. Writing and reading the calendar form takes long beside all else in a line, so both
remember the seconds and minutes that they have seen last: each has thousands of entries. What another tool wrote in another spelling of
ISO 8601 is read as well.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any

_SIZE = len("2026-11-24T08:00:00.000+00:00")
_marks, _MARKS = itemgetter(4, 7, 13, 16, 19), ("-", "-", ":", ":", ".")


@lru_cache(maxsize=1024)
def written(moment: float) -> str:
    """Write a wall time. Calls that go in one turn of the loop begin at one moment."""
    second, micros = divmod(round(moment * 1e6), 1_000_000)
    return f"{_second(second)}.{micros // 1000:03d}+00:00"


def as_told(moment: float) -> float:
    """What a wall time is read as once it was written: `read` of what `written` makes of it, without either."""
    return round(moment * 1e6) // 1000 / 1000


def read(told: Any) -> float | None:
    """Read a moment back, None as None; raises ValueError or TypeError for what is none."""
    if told is None:
        return None
    if len(told) == _SIZE and _marks(told) == _MARKS and told[23:] == "+00:00" and told.isascii():
        seconds, millis = told[17:19], told[20:23]
        if millis.isdecimal() and seconds.isdecimal() and seconds < "60":
            return ((_minute(told[:16]) + int(seconds)) * 1000 + int(millis)) / 1000
    return datetime.fromisoformat(told).timestamp()


@lru_cache(maxsize=64)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(maxsize=256)
def _minute(told: str) -> int:
    return round(datetime.fromisoformat(told + "+00:00").timestamp())
