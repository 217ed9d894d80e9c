"""One who knows what each row costs, and the quota and its window: how much of it is used where rows go in their order.

Each row comes to the provider the moment that it is taken, and nothing lies between. Nobody who keeps the order has any row there earlier:
say that all rows before one came no later than another sender's; then when that one's comes, no more of them lie in the window than of the
other's, and so it is taken then, if it was not before. What stays unused is what large rows that wait leave free.

The first window is empty and filled at once, and the last may be filled in part: a run takes as long as its last row takes to come, and
such a part of a window as that holds by then. So told, none uses more than the quota.

Rows that are refused are passed by those behind them for as long as a refusal takes, a twentieth of a second: who is refused often gets by
a little more than this. So does a span of a run that cuts an aligned window, where more may fall into the part that counts. Where answers
are counted when they end, a call of any size goes as long as a token is left: nothing stays unused there, and the ceiling is the quota.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from batchrun.simulator.quotas import Caps
from tests.benchmarks.bars import Bar
from tests.benchmarks.play import Drawn, Report


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


def admitted(caps: Caps, costs: Iterable[int]) -> Iterator[float]:
    """When each row comes, the first at nought."""
    window, now = _Window(caps), 0.0
    for cost in costs:
        now = window.free_at(now, cost)
        window.add(now, cost)
        yield now


def clairvoyant(bar: Bar, rows: Sequence[Drawn], report: Report) -> float:
    """The share of the quota that is used for those *rows* of another run which were taken in a bar's span, as its *report* has it."""
    caps = replace(bar.world.caps, tokens=round((bar.world.caps.tokens or 0) * bar.of))
    if caps.debit == "completion":
        return 1.0
    costs = _taken(bar, rows, report)
    return used(caps, costs, list(admitted(caps, costs)))


def used(caps: Caps, costs: Sequence[int], times: Sequence[float]) -> float:
    """The share of the quota."""
    quota, period, last = caps.tokens or 0, caps.token_period, times[-1]
    begins = last // period * period if caps.window == "aligned" else math.nextafter(last - period, math.inf)
    held = sum(cost for at, cost in zip(times, costs, strict=True) if at >= begins)
    return sum(costs) / (quota * last / period + held)


def _taken(bar: Bar, rows: Sequence[Drawn], report: Report) -> list[int]:
    before = sum(taken for second, taken in report.taken.items() if second < bar.since)
    until = sum(report.taken.values())
    so_far, costs = 0, []
    for cost, _ in rows:
        if before <= so_far < until:
            costs.append(cost)
        so_far += cost
    return costs
