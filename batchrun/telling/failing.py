"""How often a run's calls failed and were made again, and how long each of them took, by its log; what came in an outage is left out.

An outage passes, and is no part of what is to be expected: calls that fail one after another, none of their lane being answered meanwhile.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable

from batchrun.core.ledger.counting import Ending
from batchrun.core.scheduling.expected import LaneKey

_LATEST = 1_000
"""Calls of a lane of which it is known how long they took."""
_IN_A_ROW = 10
"""More are no chance, however many calls fail."""


class Failing:
    """Takes calls in, as they end."""

    def __init__(self) -> None:
        self.count, self.in_outages = Counter[LaneKey](), Counter[LaneKey]()
        self._seconds: dict[LaneKey, deque[float]] = {}
        self._in_a_row: dict[LaneKey, list[float]] = {}

    def ended(self, calls: Iterable[Ending]) -> None:
        """Take in some that ended."""
        for start, end in calls:
            lane = start.workspace, start.model
            if end.verdict == "again":
                self._in_a_row.setdefault(lane, []).append(max(0.0, end.at - start.at))
            elif lane in self._in_a_row:
                self._judge(lane)

    def seconds(self, lane: LaneKey) -> tuple[float, ...]:
        """How long the latest calls of a *lane* took that failed outside of outages."""
        self._judge(lane)
        return tuple(sorted(self._seconds.get(lane, ())))

    def _judge(self, lane: LaneKey) -> None:
        failed = self._in_a_row.pop(lane, [])
        if len(failed) > _IN_A_ROW:
            self.in_outages[lane] += len(failed)
        else:
            self.count[lane] += len(failed)
            self._seconds.setdefault(lane, deque(maxlen=_LATEST)).extend(failed)
