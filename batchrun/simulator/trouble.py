"""Which planned fault, if any, strikes a call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from batchrun.simulator.dice import Draw
from batchrun.simulator.refusals import THROTTLES
from batchrun.simulator.scenario import PlannedFault


class Trouble:
    """Counts, for each planned fault and workspace, the calls that the fault concerns."""

    def __init__(self, faults: Sequence[PlannedFault]) -> None:
        numbered = tuple(enumerate(faults))
        self._throttles = tuple(one for one in numbered if one[1].kind in THROTTLES)
        self._others = tuple(one for one in numbered if one[1].kind not in THROTTLES)
        self._met: Counter[tuple[int, str]] = Counter()

    def throttle(self, workspace: str, model: str, draw: Draw) -> PlannedFault | None:
        """The rate limit that refuses this call."""
        return self._first(self._throttles, workspace, model, draw)

    def later(self, workspace: str, model: str, draw: Draw) -> PlannedFault | None:
        """What befalls a call that nothing in front refused."""
        return self._first(self._others, workspace, model, draw)

    def _first(self, faults: Sequence[tuple[int, PlannedFault]], workspace: str, model: str, draw: Draw) -> PlannedFault | None:
        struck = [
            fault
            for number, fault in faults
            if fault.workspace in {None, workspace} and fault.model in {None, model} and self._strikes(number, fault, workspace, draw)
        ]
        return struck[0] if struck else None

    def _strikes(self, number: int, fault: PlannedFault, workspace: str, draw: Draw) -> bool:
        self._met[number, workspace] += 1
        met = self._met[number, workspace]
        if fault.rate is not None:
            return draw.fraction(b"fault %d" % number) < fault.rate
        if fault.every is not None:
            return met % fault.every == 0
        return fault.first is not None and met <= fault.first
