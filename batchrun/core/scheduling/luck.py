"""How often a row's calls fail that is answered in the end: so far the endpoint is to blame for failures, and not the rows.

Theory of operation. A row that fails by itself does so at each of its calls, and is never answered: it is to have no more of them than the
job says. An endpoint of which one server in three is dead, or that comes and goes every few seconds, fails whatever it is sent: rows are
answered that had failed before. So of rows that are answered it is counted how often they had failed; rows that fail by themselves are not
among these, however many there are. If a call of a good row fails with a chance of one in ten or less, as many failures as a row has
attempts are its own; if it fails more often, it takes as many as are no likelier by chance.

An endpoint that comes and goes answers rows that had failed and others by turns, hundreds at once where so many are under way: so it is
looked at over a few rows, lest many are given up before it is known, and over many, and goes by what is worse.

It is asked for when a call has failed, or was answered after it had. What was answered at its first call is known from what is left.
"""

from __future__ import annotations

import math
from dataclasses import field

from batchrun.core.classes import slotted

_OVER = 50.0, 1000.0
"""Answered rows that count."""
_AT_FIRST = 10.0
"""Rows that are taken to have been answered at their first call before any was: one that was lucky proves nothing."""
_HARDLY, _MOST = 0.1, 0.85
"""A chance of a failure that makes it a row's own; and the largest that is gone by: rows that fail by themselves are given up at last."""


@slotted
class _Share:
    """Of calls of the latest rows that were answered: what failed."""

    over: float
    failed: float = 0.0
    answered: float = _AT_FIRST

    def fade(self, done: int) -> None:
        left = (1.0 - 1.0 / self.over) ** done
        self.failed *= left
        self.answered = left * self.answered + (1.0 - left) * self.over

    @property
    def share(self) -> float:
        return self.failed / (self.failed + self.answered)


@slotted
class Luck:
    """Of the rows of one lane."""

    left: int
    """Its rows that were not done when it was last asked."""
    _shares: tuple[_Share, ...] = field(default_factory=lambda: tuple(map(_Share, _OVER)))

    def answered(self, failures: int, left: int) -> None:
        """A row was answered whose calls had failed so often, when so many, itself included, were *left*."""
        self._catch_up(left)
        for each in self._shares:
            each.failed += failures

    def gave_up(self) -> None:
        """A row is given up: it is no answered one."""
        self.left -= 1

    def most(self, failures: int, left: int) -> int:
        """How many failures it takes until they are a row's own, where it takes so many of an endpoint that hardly fails."""
        self._catch_up(left)
        share = min(_MOST, max(each.share for each in self._shares))
        return failures if share <= _HARDLY else math.ceil(failures / -math.log10(share))

    def _catch_up(self, left: int) -> None:
        done, self.left = self.left - left, left
        if done > 0:
            for each in self._shares:
                each.fade(done)
