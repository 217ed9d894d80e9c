"""Which planned fault, if any, strikes a call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from batchrun.simulator.dice import Draw
from batchrun.simulator.planned_errors import refusal_of
from batchrun.simulator.scenario import STREAM_MISHAPS, PlannedFault


class Trouble:
    """Counts, for each planned fault and workspace, the calls that the fault concerns."""

    def __init__(self, faults: Sequence[PlannedFault]) -> None:
        numbered = tuple(enumerate(faults))
        self._throttles = tuple(one for one in numbered if _throttles(one[1]))
        self._others = tuple(one for one in numbered if not _throttles(one[1]))
        self._met: Counter[tuple[int, str]] = Counter()

    def throttle(self, workspace: str, model: str, draw: Draw) -> PlannedFault | None:
        """The rate limit that refuses this call."""
        return self._first(self._throttles, workspace, model, draw)

    def later(self, workspace: str, model: str, draw: Draw, *, stream: bool) -> PlannedFault | None:
        """What befalls a call that nothing in front refused; what only a stream can meet passes the others by, uncounted."""
        faults = [one for one in self._others if stream or one[1].kind not in STREAM_MISHAPS]
        return self._first(faults, workspace, model, draw)

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


def _throttles(fault: PlannedFault) -> bool:
    """Whether it stands in front of the parameter checks, as the rate limits do."""
    refusal = refusal_of(fault)
    return refusal is not None and refusal.status == 429
