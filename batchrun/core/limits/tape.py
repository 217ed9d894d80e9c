"""What went in the latest seconds, entry by entry: an exact account of a sliding window, some of which is only guessed yet.

Entries of one hundred-and-twenty-eighth of a second stand in one cell, and leave together, when the last of them could: so a tape holds
no more than 128 cells a second, however many entries there are, and never less than what went.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from math import floor, inf
from typing import NamedTuple

from batchrun.core.classes import slotted
from batchrun.core.limits.lifetimes import place_of

LONGEST = 125.0
"""Seconds that a tape can look back: a minute's window, and as long again before it is asked what that held."""
_CELLS = 128
"""A second."""


class Amount(NamedTuple):
    """A sum of entries."""

    known: float
    guessed: float
    """What is expected of those that are not known yet."""
    variance: float
    """Of that."""

    @property
    def expected(self) -> float:
        """What it comes to in the mean."""
        return self.known + self.guessed


@dataclass(slots=True, eq=False)
class _Cell:
    index: int
    is_live: bool = True
    """The window holds it."""
    known: float = 0.0
    guessed: float = 0.0
    variance: float = 0.0
    rows: int = 0
    """How many of them are guessed."""
    times: float = 1.0
    """How many times what was guessed when it went it is guessed to by now."""

    def weigh(self, times: float) -> tuple[float, float]:
        """It comes to so many times what was guessed when it went; how much more that is than until now, and how much more its variance."""
        by, guessed, variance = times / self.times, self.guessed, self.variance
        self.times = times
        self.guessed *= by
        self.variance *= by * by
        return self.guessed - guessed, self.variance - variance


_NONE = _Cell(-1)
"""Before anything was entered."""


@slotted
class Tape:
    """The latest *seconds*; told the time, which never goes back."""

    seconds: float
    late: float = 0.0
    """Seconds that an entry stays longer: how much later one call may have come to the provider than another."""
    known: float = 0.0
    """Of what the window holds, and of what has left it since it was last looked at; so are the next two."""
    guessed: float = 0.0
    variance: float = 0.0
    """It may be a hair under nothing."""
    _live: deque[_Cell] = field(default_factory=deque)
    _past: deque[_Cell] = field(default_factory=deque)
    """Older ones, in case that *seconds* grow."""
    _latest: _Cell = _NONE
    """What comes before *until* is entered here."""
    _until: float = -inf
    _cells: dict[int, _Cell] = field(default_factory=dict)
    _guessed: dict[int, _Cell] = field(default_factory=dict)
    """Those of which some is not known yet."""

    def know(self, now: float, amount: float) -> None:
        """Add an entry that is known."""
        cell = self._latest if now < self._until else self._cell(now)
        cell.known += amount
        self.known += amount

    def guess(self, now: float, mean: float, variance: float) -> None:
        """Add an entry that is guessed."""
        cell = self._latest if now < self._until else self._cell(now)
        if cell.times != 1.0:
            mean, variance = cell.times * mean, cell.times * cell.times * variance
        if not cell.rows:
            self._guessed[cell.index] = cell
        cell.guessed += mean
        cell.variance += variance
        cell.rows += 1
        self.guessed += mean
        self.variance += variance

    def correct(self, at: float, known: float, guessed: float, variance: float, rows: int = 0) -> None:
        """Of the entry of *at* so much more is *known*, and so much more was *guessed* when it went, of so many more *rows*.

        It is less, where it is known now.
        """
        cell = self._cells.get(floor(at * _CELLS))
        if cell is None:
            return
        if cell.times != 1.0:
            guessed, variance = cell.times * guessed, cell.times * cell.times * variance
        cell.known += known
        cell.guessed += guessed
        cell.variance += variance
        if rows:
            cell.rows += rows
            if not cell.rows:
                self._guessed.pop(cell.index, None)
        if cell.is_live:
            self.known += known
            self.guessed += guessed
            self.variance += variance

    def guess_anew(self, times: float) -> None:
        """All that is guessed comes to so many times what it was guessed to."""
        for cell in self._cells.values():
            cell.guessed *= times
            cell.variance *= times * times
        self.guessed *= times
        self.variance *= times * times

    def weigh(self, now: float, times: Sequence[float], since: float) -> list[float]:
        """What is guessed comes to so many *times* what was guessed when it went, by the class of its age (`lifetimes.py`).

        Return, by class, how many rows are guessed, times the seconds that they were under way *since* then.
        """
        exposed = [0.0] * len(times)
        self._roll(now)
        for cell in self._guessed.values():
            went = cell.index / _CELLS
            place = place_of(now - went)
            exposed[place] += cell.rows * (now - max(since, went))
            if cell.times != times[place]:
                guessed, variance = cell.weigh(times[place])
                if cell.is_live:
                    self.guessed += guessed
                    self.variance += variance
        return exposed

    def held(self, now: float) -> Amount:
        """What the window holds at *now*."""
        self._roll(now)
        return Amount(self.known, self.guessed, max(0.0, self.variance))

    def held_at(self, now: float, at: float) -> Amount:
        """What the window held *at* an earlier time, as far as that is known by *now*: what has left since, and nothing that went since."""
        self._roll(now)
        known, guessed, variance, index = self.known, self.guessed, self.variance, floor(at * _CELLS)
        for cell in reversed(self._live):
            if cell.index <= index:
                break
            known, guessed, variance = known - cell.known, guessed - cell.guessed, variance - cell.variance
        for cell in reversed(self._past):
            if self._leaves(cell) <= at:
                break
            if cell.index <= index:
                known, guessed, variance = known + cell.known, guessed + cell.guessed, variance + cell.variance
        return Amount(known, guessed, max(0.0, variance))

    def drain(self, now: float) -> Iterator[tuple[float, Amount]]:
        """When the window will hold how much, if nothing more goes: each time at which something leaves it, from the next on."""
        self._roll(now)
        known, guessed, variance = self.known, self.guessed, self.variance
        for cell in self._live:
            known, guessed, variance = known - cell.known, guessed - cell.guessed, variance - cell.variance
            yield self._leaves(cell), Amount(known, guessed, max(0.0, variance))

    def sum(self, now: float, seconds: float) -> float:
        """What is known to have gone in the *seconds* before *now*, which may lie in the past, however long the window is."""
        return self.amount(now, seconds).known

    def amount(self, now: float, seconds: float) -> Amount:
        """What went in them, as far as that is known by now."""
        since, until = floor((now - seconds) * _CELLS), floor(now * _CELLS)
        known = guessed = variance = 0.0
        for cell in chain(reversed(self._live), reversed(self._past)):
            if cell.index < since:
                break
            if cell.index <= until:
                known, guessed, variance = known + cell.known, guessed + cell.guessed, variance + cell.variance
        return Amount(known, guessed, max(0.0, variance))

    def course(self, at: float, parts: int, of_a_second: int) -> list[float]:
        """What is expected to have gone in each of so many *parts* of a second before *at*, the latest first; they divide its cells."""
        amounts, end, cells = [0.0] * parts, floor(at * _CELLS), _CELLS // of_a_second
        for cell in chain(reversed(self._live), reversed(self._past)):
            part = (end - cell.index) // cells
            if part >= parts:
                break
            if part >= 0:
                amounts[part] += cell.known + cell.guessed
        return amounts

    def look_back(self, now: float, seconds: float) -> None:
        """Go on with a longer or a shorter window."""
        self.seconds = seconds
        while self._past and self._leaves(self._past[-1]) > now:
            cell = self._past.pop()
            cell.is_live = True
            self._live.appendleft(cell)
            self._count(cell, 1)
        self._roll(now)

    def _leaves(self, cell: _Cell) -> float:
        return (cell.index + 1) / _CELLS + self.seconds + self.late

    def _cell(self, now: float) -> _Cell:
        """Begin the cell that *now* lies in."""
        index = floor(now * _CELLS)
        self._roll(now)
        cell = self._latest = self._cells[index] = _Cell(index)
        self._until = (index + 1) / _CELLS
        self._live.append(cell)
        return cell

    def _roll(self, now: float) -> None:
        live, past = self._live, self._past
        while live and self._leaves(live[0]) <= now:
            cell = live.popleft()
            cell.is_live = False
            self._count(cell, -1)
            past.append(cell)
        if not live:
            self.known = self.guessed = self.variance = 0.0
        while past and (past[0].index + 1) / _CELLS + LONGEST <= now:
            index = past.popleft().index
            del self._cells[index]
            self._guessed.pop(index, None)

    def _count(self, cell: _Cell, sign: int) -> None:
        self.known += sign * cell.known
        self.guessed += sign * cell.guessed
        self.variance += sign * cell.variance
