"""What goes by the wall clock beside a run: workspaces close and open by their hours, and a deadline is held against the speed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from time import time

import anyio

from batchrun.core.classes import slotted
from batchrun.core.counted import shortened
from batchrun.core.jobs.deadline import NO_PAUSE, Closures, Deadline, Outlook, Part
from batchrun.core.jobs.hours import Hours
from batchrun.core.jobs.job import Workspace
from batchrun.core.model import Failure, Fault, Scope
from batchrun.core.scheduling.plan import of_workspaces
from batchrun.core.scheduling.scheduler import Scheduler

LONGEST_SLEEP = 60.0
"""Seconds: a machine that slept, or a clock that was set, is noticed after as many."""
_SHORTEST_SLEEP = 0.001
_LOOK_EVERY = 10.0
YEAR = 366 * 86400.0
"""Seconds: what takes longer is told to take longer, and not until when."""

_ADVICE = "the rows stay pending; run the same command again then, or with --wait, which goes on by itself"


@slotted
class Windows:
    """Keeps a run within the hours of its workspaces: closes and opens them at the scheduler."""

    hours: Mapping[str, Hours]
    """By workspace; those that may be called at any time are not in it."""
    scheduler: Scheduler
    note: Callable[[str], None] = lambda _text: None
    wall_time: Callable[[], float] = time
    closed: set[str] = field(default_factory=set)
    """The workspaces that are closed at the scheduler."""

    def follow(self, now: float) -> bool:
        """Close and open what is to be closed and opened by *now*; say whether that was anything."""
        should_be = self.closed_at(now)
        closing, opening = should_be - self.closed, self.closed - should_be
        for name in sorted(closing):
            failure = Failure(Fault.PARK, Scope.WORKSPACE, "window_closed", self._until(name, now), _ADVICE)
            self.scheduler.close(name, failure)
        for name in sorted(opening):
            self.scheduler.open(name)
        self.closed = should_be
        self._tell(closing, opening, now)
        return bool(closing or opening)

    async def keep(self, wake: Callable[[], None]) -> None:
        """Follow the hours until cancelled; *wake* has the engine look again."""
        while True:
            now = self.wall_time()  # One for both: an edge between two looks at the clock would be met a sleep later.
            if self.follow(now):
                wake()
            ahead = min((hours.next_change(now) for hours in set(self.hours.values())), default=math.inf) - now
            await anyio.sleep(min(max(ahead, _SHORTEST_SLEEP), LONGEST_SLEEP))

    def closed_at(self, now: float) -> set[str]:
        """The workspaces whose hours *now* is not in."""
        return {name for name, hours in self.hours.items() if not hours.is_open(now)}

    def closures(self, busy: set[str], now: float) -> Closures:
        """What of the workspaces that are *busy*, for they have rows left, stands still, and when."""
        closed = busy & self.closed_at(now)
        opening = max((self.hours[name].next_change(now) for name in closed), default=-math.inf)
        others = busy - closed
        # Where one of them may be called at any time, something is always going.
        pause = _pause([self.hours[name] for name in others], now) if others <= self.hours.keys() else NO_PAUSE
        return Closures(opening, pause)

    def _until(self, name: str, now: float) -> str:
        hours = self.hours[name]
        return f"closed until {hours.told_from(now, hours.next_change(now))}"

    def _tell(self, closing: Iterable[str], opening: Iterable[str], now: float) -> None:
        busy = {name for name, count in of_workspaces(self.scheduler.left()).items() if count}
        until: dict[str, list[str]] = {}
        for name in sorted(busy & set(closing)):
            until.setdefault(self._until(name, now), []).append(name)
        for told, names in until.items():
            self.note(f"{shortened(names)}: {told}")
        if opened := sorted(busy & set(opening)):
            self.note(f"{shortened(opened)}: open")


def windows_of(workspaces: Mapping[str, Workspace], scheduler: Scheduler, note: Callable[[str], None]) -> Windows:
    """Take up the hours of those *workspaces* that have rows left; what is closed now is closed on return."""
    busy = of_workspaces(scheduler.left())
    hours = {name: each.window for name, each in workspaces.items() if name in busy and each.window is not None}
    windows = Windows(hours, scheduler, note)
    windows.follow(windows.wall_time())
    return windows


async def by_the_clock(windows: Windows, deadline: Deadline | None, wake: Callable[[], None]) -> None:
    """Follow the hours and the deadline until cancelled; *wake* has the engine look again."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(windows.keep, wake)
        if deadline is not None:
            tasks.start_soon(watch, deadline, windows)


def _pause(hours: list[Hours], now: float) -> tuple[float, float]:
    """From when until when all of *hours*, which are open, are closed."""
    closings = [each.next_change(now) for each in hours]
    start = max(closings, default=math.inf)
    if start == math.inf:
        return NO_PAUSE
    end = min(each.next_change(closing) for each, closing in zip(hours, closings, strict=True))
    return start, max(start, end)


async def watch(deadline: Deadline, windows: Windows) -> None:
    """Note when the run turns out too slow for *deadline*, and when it is fast enough again, until cancelled."""
    scheduler, wall_time = windows.scheduler, windows.wall_time
    outlook = Outlook(deadline.after(wall_time()))
    of_each = of_workspaces(scheduler.left())
    rows = sum(of_each.values())
    stood: set[str] = set()
    while True:
        now = wall_time()
        closed, (parked, _) = windows.closed_at(now), scheduler.rows_standing()
        if closed | parked.keys() != stood:
            stood = closed | parked.keys()
            outlook.restart()
        left = of_workspaces(scheduler.left())
        # What waits for a person takes no time, however long it takes.
        waiting = {name: count - parked[name] for name, count in left.items() if count > parked[name]}
        going = sum(count for name, count in waiting.items() if name not in closed)
        paces = scheduler.paces.look()
        parts = {name: Part(paces[name], of_each[name] - count, waiting.get(name, 0)) for name, count in left.items() if name not in closed}
        done_at = outlook.look(now, rows - sum(left.values()), going, windows.closures(set(waiting), now), parts)
        if done_at is not None:
            windows.note(_outlook(deadline, outlook, now, done_at))
        await anyio.sleep(_LOOK_EVERY)


def _outlook(deadline: Deadline, outlook: Outlook, now: float, done_at: float) -> str:
    when = deadline.told(outlook.deadline)
    if not outlook.late:
        return f"the deadline {when} can be met again: as it goes now, the run takes until {deadline.told(done_at)}"
    if now > outlook.deadline:
        return f"the deadline {when} has passed, and rows are left"
    if done_at == math.inf:
        return f"the deadline {when} will be missed: no row has been settled for minutes"
    until = "for more than a year" if done_at > now + YEAR else f"until {deadline.told(done_at)}"
    return f"the deadline {when} will be missed: as it goes now, the run takes {until}"
