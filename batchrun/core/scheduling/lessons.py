"""What the limits of a run have found, kept from one opening to the next: rates, windows and calls at once by pool, slots by lane."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from batchrun.core.scheduling.lanes import Lane, Pool

LaneKey = tuple[str, str]


class Lessons:
    """Those of one scheduler, whose *pools* and *lanes* these are."""

    def __init__(self, pools: Mapping[str, Pool], lanes: Mapping[LaneKey, Lane]) -> None:
        self._pools = pools
        self._lanes = lanes

    def learnt(self) -> dict[str, Any]:
        """Return what was found of pools, by pool, to be kept."""
        found = {name: pool.limiter.learnt() | pool.crowd.at_once.learnt() for name, pool in self._pools.items()}
        return {name: values for name, values in found.items() if values}

    def teach(self, kept: Mapping[str, Any], now: float, *, steady: bool = False) -> None:
        """Take up what an earlier opening found; a quota that the job names goes before it.

        *steady*: as nobody refuses anything here, what refusals have taught of a token quota, and of calls at once, stays as it is.
        """
        for name, pool in self._pools.items():
            pool.limiter.teach(kept.get(name), now)
            pool.crowd.at_once.teach(kept.get(name), steady=steady)
            if steady and name in kept:
                pool.limiter.tokens.rule.keep_steady()
        for lane in self._lanes.values():
            lane.at_once.teach(None, steady=steady)

    def answered_by(self) -> dict[LaneKey, str]:
        """Return which endpoints have answered rows of lanes, in an earlier opening or in this one, to be kept."""
        plans = ((lane.plan.endpoint if lane.good_at > -math.inf else lane.plan.answered_by, key) for key, lane in self._lanes.items())
        return {key: endpoint for endpoint, key in plans if endpoint is not None}

    def learnt_slots(self) -> dict[LaneKey, dict[str, float]]:
        """Return how many slots lanes were found to have use for, to be kept."""
        return {key: found for key, lane in self._lanes.items() if (found := lane.slots.learnt())}

    def teach_slots(self, kept: Mapping[LaneKey, Any]) -> None:
        """Take up what an earlier opening found of slots."""
        for key, found in kept.items():
            if key in self._lanes:
                self._lanes[key].slots.teach(found)
