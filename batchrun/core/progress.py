"""What there is to see of a run at one moment, and how fast it goes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

_TELLING = 5
"""Rows of which a pace is told."""


@dataclass(frozen=True, slots=True)
class WorkspaceProgress:
    """One workspace's numbers."""

    name: str
    rows: int
    """Rows of the run."""
    done: int
    """Answered, rejected or exhausted, earlier openings included."""
    in_flight: int
    throttled: bool
    """Whether some of its rows wait out a throttle."""
    parked: int = 0
    """Rows that wait behind a park."""
    closed: int = 0
    """Rows that wait for nothing but the hours of their window."""
    held: int = 0
    """Rows that wait for a person, for a call of theirs may have been billed."""
    failed: int = 0
    """Rows that were rejected or exhausted in this opening."""
    to_retry: int = 0
    """Rows that wait to be tried again."""
    unread: int = 0
    """Rows that could not be read, and are left."""
    pace: str = ""
    """Names the pace that its rows keep, one for all workspaces that keep it together; nothing where it has stood still meanwhile."""

    @property
    def going(self) -> int:
        """Rows that nothing stops."""
        return self.rows - self.done - self.held - self.parked - self.closed - self.unread


@dataclass(frozen=True, slots=True)
class Progress:
    """All workspaces' numbers, and the run's own."""

    workspaces: tuple[WorkspaceProgress, ...]
    tokens: int
    """Input and output of this opening."""
    draining: bool = False
    set_aside: int = 0
    """Lines of the input that are no rows, and stand in none of these numbers."""

    @property
    def rows(self) -> int:
        """Rows of the run."""
        return sum(each.rows for each in self.workspaces)

    @property
    def done(self) -> int:
        """Rows with their outcome."""
        return sum(each.done for each in self.workspaces)

    @property
    def held(self) -> int:
        """Rows that wait for a person."""
        return sum(each.held for each in self.workspaces)

    @property
    def parked(self) -> int:
        """Rows behind a park."""
        return sum(each.parked for each in self.workspaces)

    @property
    def closed(self) -> int:
        """Rows outside their window."""
        return sum(each.closed for each in self.workspaces)

    @property
    def failed(self) -> int:
        """Rows that were rejected or exhausted in this opening."""
        return sum(each.failed for each in self.workspaces)

    @property
    def to_retry(self) -> int:
        """Rows that wait to be tried again."""
        return sum(each.to_retry for each in self.workspaces)

    @property
    def unread(self) -> int:
        """Rows that could not be read."""
        return sum(each.unread for each in self.workspaces)

    @property
    def in_flight(self) -> int:
        """Attempts under way."""
        return sum(each.in_flight for each in self.workspaces)

    @property
    def stands(self) -> bool:
        """Whether rows are left, and all of them wait for a person or for an hour."""
        return self.done < self.rows and not self.in_flight and all(each.going <= 0 for each in self.workspaces)


@dataclass(slots=True)
class Rate:
    """How fast a run goes, since it was first looked at or one of its workspaces last stood still; told the time."""

    since: float
    first: Progress
    _stood: frozenset[str] = frozenset()
    """The workspaces with rows behind a park or outside their window at the last look, and that look."""
    _last: tuple[float, Progress] | None = None

    def look(self, now: float, progress: Progress) -> None:
        """Begin anew where a workspace goes on that stood still: hours until its window opens say nothing of how fast it is."""
        stand = frozenset(each.name for each in progress.workspaces if each.parked or each.closed)
        if self._last is not None and self._stood - stand:
            self.since, self.first = self._last
        self._stood, self._last = stand, (now, progress)

    def of(self, now: float, progress: Progress) -> tuple[float, float]:
        """Rows and tokens a second."""
        seconds = now - self.since
        if seconds <= 0:
            return 0.0, 0.0
        return (progress.done - self.first.done) / seconds, (progress.tokens - self.first.tokens) / seconds

    def left(self, now: float, progress: Progress) -> float | None:
        """Seconds that the rows take which nothing stops, at the slowest of the paces so far; None where they tell nothing yet."""
        going = sum(each.going for each in progress.workspaces)
        if going <= 0:
            return 0.0 if progress.done >= progress.rows else None
        rows, _ = self.of(now, progress)
        return max(going / rows, *self._of_paces(now, progress)) if rows > 0 and self._any_came(progress) else None

    def _any_came(self, progress: Progress) -> bool:
        """Whether one of those that have rows left that nothing stops has settled any."""
        before = {each.name: each.done for each in self.first.workspaces}
        return any(each.done > before.get(each.name, 0) for each in progress.workspaces if each.going > 0)

    def _of_paces(self, now: float, progress: Progress) -> Iterator[float]:
        """Seconds that those take of each pace of which enough came to tell."""
        yield 0.0
        before = {each.name: each.done for each in self.first.workspaces}
        done, going = Counter[str](), Counter[str]()
        for each in progress.workspaces:
            done[each.pace] += each.done - before.get(each.name, 0)
            going[each.pace] += each.going
        for pace, came in done.items():
            if pace and came >= _TELLING:
                yield going[pace] * (now - self.since) / came
