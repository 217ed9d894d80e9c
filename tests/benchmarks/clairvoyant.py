"""One who knows what each row costs, and the quota and its window: how much can be used of it by rows that are taken in one order.

Each row comes to the provider the moment that it is taken, and nothing lies between. Nobody has rows taken earlier in that order: say that
all rows before one came no later than another sender's; then when that one's comes, no more of them lie in the window than of the other's,
and so it is taken then, if it was not before. What stays unused is what large rows that wait leave free.

So it is a bound for each run apart: of the order in which that run had its rows taken, from what its window held when the span began that
is looked at. Rows go in the order they are in, but one that is refused is passed by those behind it; another sender has other rows taken
in the same span. So the order that rows are in bounds nobody who is refused, and one run's bound is not another's. In a free order nearly
the whole quota can be used, since small rows fill what large ones leave.

A run that begins with an empty window fills it at once, so that a little more than the quota can be had of a short one. Where answers are
counted when they end, a call of any size goes as long as a token is left: nothing stays unused there, and nothing is to be told.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from batchrun.simulator.quotas import Caps
from tests.benchmarks.bars import Bar
from tests.benchmarks.play import Report, Taken, allowed


@dataclass(slots=True)
class _Window:
    """What a provider has counted: the quota of one window, at the most."""

    caps: Caps
    _held: deque[tuple[float, int]] = field(default_factory=deque)
    """When what leaves."""
    _sum: int = 0

    def free_at(self, now: float, tokens: int) -> float:
        """When so many *tokens* fit in."""
        held, most = self._held, self.caps.tokens or 0
        while held and (held[0][0] <= now or self._sum + tokens > most):
            leaves, amount = held.popleft()
            self._sum, now = self._sum - amount, max(now, leaves)
        return now

    def add(self, at: float, tokens: int) -> None:
        """Count them."""
        period = self.caps.token_period
        self._held.append(((at // period + 1) * period if self.caps.window == "aligned" else at + period, tokens))
        self._sum += tokens


def admitted(caps: Caps, costs: Iterable[int], since: float = 0.0, before: Iterable[Taken] = ()) -> Iterator[Taken]:
    """When each row comes, none earlier than *since*; the window has room besides what was taken *before*."""
    window, now = _Window(caps), since
    for at, cost in before:
        window.add(at, cost)
    for cost in costs:
        now = window.free_at(now, cost)
        window.add(now, cost)
        yield Taken(now, cost)


def clairvoyant(bar: Bar, report: Report) -> float:
    """The most of the quota that can be used in a bar's span by rows in the order that a run's *report* tells them to have been taken in.

    Where a run has no end the same rows follow once more; where it has one, it ends when its last row is taken. Infinity where nothing
    is told of that: of attempts, alone or besides, and where answers are counted when they end.
    """
    caps = bar.world.caps
    if caps.tokens is None or caps.requests is not None or caps.debit == "completion":
        return math.inf
    caps = replace(caps, tokens=round(caps.tokens * bar.of))
    since, until = int(bar.since), int(report.finished)
    costs = [cost for at, cost in report.order if since <= at < until]
    is_endless = bar.world.rows == math.inf
    ahead = admitted(caps, itertools.cycle(costs) if is_endless else costs, since, (each for each in report.order if each.at < since))
    taken = list(itertools.takewhile(lambda each: each.at < until, ahead))
    seconds = (until if is_endless else taken[-1].at) - since
    return sum(cost for _, cost in taken) / (allowed(bar.world) * bar.of * seconds)
