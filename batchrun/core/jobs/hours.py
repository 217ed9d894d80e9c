"""The hours in which a workspace may be called, week for week, as local clocks show them.

Local wall time alone decides. So where clocks go forward, hours that begin in the gap begin at the change, and where they go back, an hour
that comes twice counts both times. Time zones are those of the IANA database, from the system or from the package ``tzdata``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from pydantic_core import PydanticCustomError

from batchrun.core.classes import value
from batchrun.core.jobs.words import nearest, shown, wrong

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
A_ZONE = 'a time zone, such as "Asia/Shanghai" or "UTC"'

_DAY = 24 * 60
_WEEK = 7 * _DAY
_STEP = 6 * 3600
"""Seconds in which no zone changes its clocks and back again."""
_EXAMPLE = '"22:00-08:00 Asia/Shanghai" or "Mon-Fri 22:00-08:00, Sat-Sun 00:00-24:00 Asia/Shanghai"'
_RANGE = re.compile(r"(?:([A-Za-z]+)(?:\s*-\s*([A-Za-z]+))?\s+)?(\d{1,2}:\d{2})\s*-\s*(\d{1,2}:\d{2})")
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)|24:00")
_NO_ZONES = re.compile(r"(?:right|posix)/|(?:localtime|posixrules|Factory)$")
"""Files that stand beside the zones on some systems: the machine's own zone, and clocks that count leap seconds."""
_NO_PLACE = re.compile(r"[A-Z]{2,5}$|.*[+-] *[0-9]")
"""Initials and offsets: a zone that looks like one is another one, ``UTC`` for ``UTC+8``, or the opposite, ``Etc/GMT+8`` for ``GMT+8``."""


@value
class Hours:
    """Hours of each week in one zone. Times are seconds since the epoch."""

    zone: str
    spans: tuple[tuple[int, int], ...]
    """From and to (excluded), in minutes since Monday began: in order, apart from each other, at least one."""

    def is_open(self, wall: float) -> bool:
        """Whether *wall* is within the hours."""
        local = self._local(math.floor(wall))
        minute = local.weekday() * _DAY + local.hour * 60 + local.minute
        return any(start <= minute < end for start, end in self.spans)

    def next_change(self, wall: float) -> float:
        """When next after *wall* the hours begin or end; infinity for a whole week."""
        if self.spans == ((0, _WEEK),):
            return math.inf
        at, is_open = math.floor(wall), self.is_open(wall)
        while self.is_open(at) == is_open:
            at = self._next_look(at)
        return float(at)

    def told(self, wall: float) -> str:
        """*wall* as a clock in the zone shows it."""
        return f"{self._local(math.floor(wall)):%H:%M} ({self.zone})"

    def told_from(self, now: float, wall: float) -> str:
        """*wall* as it is told at *now*: with its day, where that is not within the next 24 hours."""
        day = "" if wall - now <= _DAY * 60 else f"{DAYS[self._local(math.floor(wall)).weekday()]} "
        return day + self.told(wall)

    def _local(self, second: int) -> datetime:
        return datetime.fromtimestamp(second, ZoneInfo(self.zone))

    def _next_look(self, second: int) -> int:
        """The next second at which an edge of the hours may be met: by the clock's going on, or by its change; at most a step ahead."""
        local = self._local(second)
        of_week = local.weekday() * 86400 + local.hour * 3600 + local.minute * 60 + local.second
        edges = {minute * 60 for span in self.spans for minute in span}
        ahead = second + min(_STEP, *((edge - of_week - 1) % (_WEEK * 60) + 1 for edge in edges))
        offset = local.utcoffset()
        return ahead if self._local(ahead).utcoffset() == offset else self._clock_change(second, ahead)

    def _clock_change(self, before: int, after: int) -> int:
        """The first second with the offset of *after*, which is not that of *before*."""
        old = self._local(before).utcoffset()
        while after - before > 1:
            middle = (before + after) // 2
            if self._local(middle).utcoffset() == old:
                before = middle
            else:
                after = middle
        return after


def read_hours(text: str) -> Hours:
    """Read what a job writes as a window; raises the mistake where it is none."""
    ranges, _, zone = text.strip().rpartition(" ")
    if not text.strip() or _CLOCK.search(zone) or (not ranges and zone[0].isdigit()):
        raise wrong(shown(text), f"hours with their time zone at the end: {_EXAMPLE}")
    zone = read_zone(zone)
    pieces = [span for piece in ranges.split(",") for span in _spans(piece.strip())]
    return Hours(zone, tuple(_merged(pieces)))


def read_zone(name: str) -> str:
    """Check the name of a time zone."""
    try:
        if not _NO_ZONES.match(name):
            return ZoneInfo(name).key
    except (LookupError, ValueError, OSError):  # OSError: a folder of zones, or a name that no disk takes.
        pass
    meant = _meant(name)
    raise wrong(shown(name), A_ZONE if meant is None else f"did you mean '{meant}'? It must be {A_ZONE}")


@lru_cache(maxsize=16)  # A job says the same in each of its workspaces.
def _meant(name: str) -> str | None:
    return None if _NO_PLACE.match(name) else nearest(name, available_timezones())


def read_clock(text: str) -> int | None:
    """Minutes since midnight at which a clock shows *text*; None where no clock does."""
    if not _CLOCK.fullmatch(text):
        return None
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def _spans(piece: str) -> Iterator[tuple[int, int]]:
    """Read one range; what crosses midnight belongs to the day on which it starts."""
    form = _RANGE.fullmatch(piece)
    if form is None:
        raise wrong(shown(piece), f"hours such as {_EXAMPLE}")
    first, last, *clocks = form.groups()
    start, end = (read_clock(clock) for clock in clocks)
    if start is None or end is None or start == _DAY:
        raise wrong(shown(piece), "times from 00:00 to 23:59, and 24:00 for an end")
    if start == end:
        raise wrong(shown(piece), "an end that is not the beginning; a whole day is 00:00-24:00")
    length = end - start if end > start else end + _DAY - start
    for day in _days(first, last, piece):
        yield day * _DAY + start, day * _DAY + start + length


def _days(first: str | None, last: str | None, piece: str) -> list[int]:
    if first is None:
        return list(range(7))
    numbers = [_day(name, piece) for name in (first, last or first)]
    return [(numbers[0] + step) % 7 for step in range((numbers[1] - numbers[0]) % 7 + 1)]


def _day(name: str, piece: str) -> int:
    if name.capitalize() not in DAYS:
        raise _no_day(name, piece)
    return DAYS.index(name.capitalize())


def _no_day(name: str, piece: str) -> PydanticCustomError:
    meant = nearest(name[:3], DAYS)
    asked = f"did you mean '{meant}'? " if meant else ""
    return wrong(f"{shown(name)} in {shown(piece)}", f"{asked}One of {', '.join(DAYS)}")


def _merged(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """*spans* cut where the week ends, put in order, and joined where they touch."""
    cut = sorted(part for start, end in spans for part in ((start, min(end, _WEEK)), (0, end - _WEEK)) if part[0] < part[1])
    start, end = cut[0]
    for each in cut[1:]:
        if each[0] > end:
            yield start, end
            start, end = each
        end = max(end, each[1])
    yield start, end
