"""When a run is to be done, and whether its present speed will do."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import field
from datetime import datetime, timedelta, timezone
from types import MappingProxyType
from typing import NamedTuple
from zoneinfo import ZoneInfo

from batchrun.core.classes import slotted, value
from batchrun.core.jobs.hours import read_clock, read_zone
from batchrun.core.jobs.words import shown, wrong

LOOKED_AT_LEAST = 120.0
"""Seconds of a run before which its speed says nothing."""
ROWS_AT_LEAST = 50
_LATELY = 300.0
"""Seconds over which the speed is taken."""
_SPARE = 0.1
"""Of the time that is left: by so much a run that was late must be early, before it is said to be in time again."""

_EXAMPLE = '"08:00 Asia/Shanghai" or "2026-11-24T08:00:00+08:00"'


@value
class Moment:
    """A deadline with its date, in seconds since the epoch."""

    at: float
    clock: timezone
    """That it was written by."""

    def after(self, _opened: float) -> float:
        """When it is."""
        return self.at

    def told(self, wall: float) -> str:
        """*wall* on the deadline's own clock."""
        return f"{datetime.fromtimestamp(wall, self.clock):%Y-%m-%d %H:%M} ({self.clock})"


_YEARS = range(1970, 9999)
"""At either end of what Python counts in, another clock's year is none."""


@value
class Daily:
    """A deadline by the clock: whenever a run is opened, the next such time."""

    minute: int
    """Of the day."""
    zone: str

    def after(self, opened: float) -> float:
        """When it is, for a run opened at *opened*.

        A time that the clocks skip comes as much later as they skip; one that comes twice is meant the first time.
        """
        zone = ZoneInfo(self.zone)
        midnight = datetime.fromtimestamp(opened, zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0, tzinfo=None)
        times = (midnight + timedelta(days=day, minutes=self.minute) for day in range(3))
        return next(at for time in times if (at := time.replace(tzinfo=zone).timestamp()) > opened)

    def told(self, wall: float) -> str:
        """*wall* on the deadline's own clock."""
        return f"{datetime.fromtimestamp(wall, ZoneInfo(self.zone)):%Y-%m-%d %H:%M} ({self.zone})"


Deadline = Moment | Daily


def read_deadline(text: str) -> Deadline:
    """Read what a job writes as a deadline; raises the mistake where it is none."""
    clock, _, zone = text.strip().rpartition(" ")
    minute = read_clock(clock.strip())
    if minute is not None:
        return Daily(minute % (24 * 60), read_zone(zone))
    if read_clock(zone) is not None:
        raise wrong(shown(text), f"a time with its time zone at the end: {_EXAMPLE}")
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise wrong(shown(text), f"a time of day and its zone, or a moment: {_EXAMPLE}") from None
    offset = moment.utcoffset()
    if offset is None:
        raise wrong(shown(text), f"a moment with its offset from UTC: {_EXAMPLE}")
    if moment.year not in _YEARS:
        raise wrong(shown(text), f"a moment of these years: {_EXAMPLE}")
    return Moment(moment.timestamp(), timezone(offset))


NO_PAUSE = (math.inf, math.inf)


class Closures(NamedTuple):
    """What of a run stands still by the hours of its workspaces, and when."""

    opening: float = -math.inf
    """When the last of the workspaces that are closed now opens: their rows cannot be done before."""
    pause: tuple[float, float] = NO_PAUSE
    """From when until when the others are all closed."""


class Part(NamedTuple):
    """A workspace's part of a run, where nothing stops it."""

    pace: str
    """Names the pace that its rows keep, one for all that keep it together."""
    settled: int
    """Rows that have had their outcome in this opening."""
    left: int
    """Those that may be sent now."""


NO_PARTS: Mapping[str, Part] = MappingProxyType({})


class _Look(NamedTuple):
    """What was seen of a run at a moment."""

    at: float
    settled: int
    of_each: Mapping[str, int]
    """Of the whole, those of each workspace."""


@slotted
class Outlook:
    """Follows a run against its deadline. Times are seconds since the epoch."""

    deadline: float
    late: bool = False
    """What was said last."""
    _began: _Look | None = None
    _lately: deque[_Look] = field(default_factory=deque)
    """The looks of the last minutes, and one before them."""

    def restart(self) -> None:
        """Forget the speed: what runs is no longer what ran."""
        self._began = None
        self._lately.clear()

    def look(self, now: float, settled: int, left: int, closures: Closures, parts: Mapping[str, Part] = NO_PARTS) -> float | None:
        """Say when all will be done, as soon as that is known to be late, and once it is known to be in time again; None if nothing is new.

        *settled* counts the rows that have had their outcome in this opening, *left* those that may be sent now; *parts* are the workspaces
        that nothing stops, of which the slowest pace decides. Infinity is said where nothing settles, or nothing has settled yet.
        """
        self._note(_Look(now, settled, {name: part.settled for name, part in parts.items()}))
        if not left and closures.opening <= now:
            return None
        done_at = self._done_at(now, settled, left, closures, parts)
        if done_at is None or self._is_late(now, done_at) == self.late:
            return None
        self.late = not self.late
        return done_at

    def _note(self, look: _Look) -> None:
        if self._lately and not 0 <= look.at - self._lately[-1].at <= _LATELY:
            self.restart()  # The clock was set, or the machine slept: what it told of a speed is none.
        self._began = self._began or look
        self._lately.append(look)
        while len(self._lately) > 1 and self._lately[1].at <= look.at - _LATELY:
            self._lately.popleft()

    def _done_at(self, now: float, settled: int, left: int, closures: Closures, parts: Mapping[str, Part]) -> float | None:
        """When all will be done at the present speed; None where that cannot be told yet."""
        if not left or closures.opening > self.deadline:
            return closures.opening
        if not self._is_known(now, settled):
            return math.inf if now > self.deadline else None
        then, had, _ = self._lately[0]
        done_at = now + left * (now - then) / (settled - had) if settled > had else math.inf
        done_at = max(done_at, *self._done_at_each_pace(now, parts))
        start, end = closures.pause
        return max(done_at + end - start if done_at > start else done_at, closures.opening)

    def _done_at_each_pace(self, now: float, parts: Mapping[str, Part]) -> Iterator[float]:
        """When each will be done of which enough has settled to tell."""
        yield now
        then, _, of_each = self._lately[0]
        settled, lately, left = Counter[str](), Counter[str](), Counter[str]()
        for name, (pace, count, rows) in parts.items():
            settled[pace] += count - (self._began.of_each.get(name, count) if self._began else count)
            lately[pace] += count - of_each.get(name, count)
            left[pace] += rows
        for pace, count in lately.items():
            if count and settled[pace] >= ROWS_AT_LEAST:
                yield now + left[pace] * (now - then) / count

    def _is_known(self, now: float, settled: int) -> bool:
        since, had = (now, settled) if self._began is None else self._began[:2]
        return now - since >= LOOKED_AT_LEAST and settled - had >= ROWS_AT_LEAST

    def _is_late(self, now: float, done_at: float) -> bool:
        spare = _SPARE * max(self.deadline - now, 0.0) if self.late else 0.0
        return done_at > self.deadline - spare
