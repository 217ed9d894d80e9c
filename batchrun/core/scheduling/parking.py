"""What stands still in a run: scopes that are parked, and workspaces that are closed until opened.

Most parks end when the provider takes a probe; those of a spent budget when its next day or month begins, if it has one; others not in this
opening.

The two stand beside each other: a closed workspace that is parked too is opened without the park's end, and a park ends without opening it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from batchrun.core.classes import slotted, value
from batchrun.core.model import Failure, Fault, Reply, Scope
from batchrun.core.scheduling.lanes import Lane


@value
class ParkedScope:
    """What stands still, why, and how many rows wait behind it."""

    scope: Scope
    name: str
    failure: Failure
    rows: int
    workspaces: frozenset[str] = frozenset()
    """Whose rows those are."""


@dataclass(slots=True, eq=False)
class Parked:
    """A scope that stands still."""

    scope: Scope
    name: str
    failure: Failure
    lanes: list[Lane]
    passes: bool
    """Whether anything may end it in this opening: a probe that is taken, the hour at which its workspace opens, a budget's new day."""
    at_first: bool = False
    """Whether nothing that it concerns had been answered: an answer to another of the first calls ends it too, whichever lane's it is."""
    anew: Callable[[], Failure] | None = None
    """What the failure says by now, where that changes."""
    alarm: int = 0
    probe_due: bool = False
    """The next of its lanes that may launch sends one row in spite of the park."""

    @property
    def said(self) -> Failure:
        """Why it stands still, as things are by now."""
        return self.failure if self.anew is None else self.anew()

    @property
    def rows(self) -> int:
        """Rows that wait behind it."""
        return sum(lane.left for lane in self.lanes)

    @property
    def workspaces(self) -> frozenset[str]:
        """Those that have such rows."""
        return frozenset(lane.plan.workspace for lane in self.lanes if lane.left)


@slotted
class Parking:
    """All that stands still among the *lanes* of a run."""

    lanes: Mapping[tuple[str, str], Lane]
    stops_any: bool = False
    """Whether anything stands still."""
    _parks: dict[tuple[Scope, str], Parked] = field(default_factory=dict)
    _closed: dict[str, Parked] = field(default_factory=dict)
    _together: dict[tuple[Scope, str], list[Lane]] = field(default_factory=dict)
    """Those of each workspace and account, once any are asked for: all lanes are there by then."""

    def park(self, scope: Scope, lane: Lane, failure: Failure, *, probe: bool, at_first: bool = False) -> Parked | None:
        """Begin a park of the scope that *lane* stands in; None where it would change nothing, for one stands already."""
        scope = Scope.LANE if scope is Scope.ROW else scope
        name = name_of(scope, lane)
        standing = self._parks.get((scope, name))
        if standing is not None and (probe or (standing.failure == failure and not standing.passes)):
            return None
        lanes = [lane] if scope is Scope.LANE else self._lanes_of(scope, name)
        parked = Parked(scope, name, failure, lanes, probe, at_first)
        self._parks[scope, name] = parked
        self.stops_any = True
        return parked

    def good_at(self, scope: Scope, lane: Lane) -> float:
        """When the latest call was launched, of all other lanes of the scope that *lane* stands in, that was answered; -inf: none was."""
        return max((each.good_at for each in self._lanes_of(scope, name_of(scope, lane)) if each is not lane), default=-math.inf)

    def close(self, workspace: str, failure: Failure) -> list[Lane]:
        """Close *workspace*; its lanes."""
        lanes = self._lanes_of(Scope.WORKSPACE, workspace)
        self._closed[workspace] = Parked(Scope.WORKSPACE, workspace, failure, lanes, passes=True)
        self.stops_any = True
        return lanes

    def open(self, workspace: str) -> Iterable[Lane]:
        """End what `close` began, and no park; the lanes that are open."""
        closed = self._closed.pop(workspace, None)
        self.stops_any = bool(self._parks or self._closed)
        return closed.lanes if closed else ()

    def of(self, lane: Lane) -> list[Parked]:
        """All that stops *lane*."""
        if not self.stops_any:
            return []
        keys = ((scope, name_of(scope, lane)) for scope in (Scope.LANE, Scope.WORKSPACE, Scope.ACCOUNT))
        parks = [self._parks[key] for key in keys if key in self._parks]
        closed = self._closed.get(lane.plan.workspace)
        return parks if closed is None else [*parks, closed]

    def probed_by(self, lane: Lane) -> tuple[Parked, ...]:
        """The parks whose ends an attempt of *lane* tries that goes now: no other one does."""
        probes = tuple(self.of(lane))
        for parked in probes:
            parked.probe_due = False
        return probes

    def is_parked(self, scope: Scope, lane: Lane) -> bool:
        """Whether the scope that *lane* stands in is parked as a whole."""
        return (scope, name_of(scope, lane)) in self._parks

    def of_lane_alone(self, lane: Lane) -> Parked | None:
        """The park of *lane* and nothing else."""
        return self._parks.get((Scope.LANE, name_of(Scope.LANE, lane)))

    def stands(self, parked: Parked) -> bool:
        """Whether a park has not ended, and no other took its place."""
        return self._parks.get((parked.scope, parked.name)) is parked

    def end(self, parked: Parked) -> None:
        """End a park that stands."""
        del self._parks[parked.scope, parked.name]
        self.stops_any = bool(self._parks or self._closed)

    def may_pass(self) -> bool:
        """Whether there are rows that nothing holds back but what may end in this opening."""
        return any(lane.left and all(parked.passes for parked in self.of(lane)) for lane in self.lanes.values())

    def rows(self) -> tuple[Counter[str], Counter[str]]:
        """Rows behind parks, and those that wait for nothing but their workspace's hours, each by workspace."""
        parked, closed = Counter[str](), Counter[str]()
        for lane in self.lanes.values() if self.stops_any else ():
            if lane.left and (stops := self.of(lane)):
                name = lane.plan.workspace
                (closed if stops == [self._closed.get(name)] else parked)[name] += lane.left
        return parked, closed

    def _lanes_of(self, scope: Scope, name: str) -> list[Lane]:
        """Those of a workspace or an account."""
        if not self._together:
            for lane in self.lanes.values():
                for each in (Scope.WORKSPACE, Scope.ACCOUNT):
                    self._together.setdefault((each, name_of(each, lane)), []).append(lane)
        return self._together.get((scope, name), [])

    def scopes(self) -> tuple[ParkedScope, ...]:
        """What stands still, and has rows waiting; of a closed workspace those that wait for nothing but its hours."""
        parks = [(each, each.rows) for each in self._parks.values()]
        _, only_closed = self.rows()
        standing = (*parks, *((each, only_closed[name]) for name, each in self._closed.items()))
        return tuple(ParkedScope(each.scope, each.name, each.said, rows, each.workspaces) for each, rows in standing if rows)


def outlasts(parked: Parked, lane: Lane, result: Reply | Failure) -> bool:
    """Whether *parked* goes on after what a probe of *lane* brought: the same again, or nothing that tells."""
    match result:
        case Failure(fault=Fault.AGAIN | Fault.THROTTLED):
            return True
        case Failure(fault=Fault.PARK):
            return (result.scope, name_of(result.scope, lane)) == (parked.scope, parked.name)
        case Failure(fault=Fault.REJECT):
            return result.code == parked.failure.code
        case _:
            return False


def name_of(scope: Scope, lane: Lane) -> str:
    """Name the scope that *lane* stands in."""
    match scope:
        case Scope.ACCOUNT:
            return lane.plan.account
        case Scope.WORKSPACE:
            return lane.plan.workspace
        case _:
            return f"{lane.plan.workspace} {lane.plan.model}"
