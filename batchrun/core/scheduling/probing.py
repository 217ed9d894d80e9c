"""What goes by the clock in a run: parks and their probes, times that things are due, and how long nothing may go.

A park stops every lane of its scope. While anything else runs, one of the scope's rows is sent every *probe_every* seconds; when the
provider takes it, the whole scope goes on. One that finds the quota full shows nothing, and cost nothing: the next comes in a tenth of that
time. Where nothing else runs the run is drained, or waits for the next probe if it is told to.
"""

from __future__ import annotations

from batchrun.core.model import Failure, Fault, Reply, Scope
from batchrun.core.scheduling.decisions import Drained, Ticket, WaitUntil
from batchrun.core.scheduling.lanes import Lane, Pool, Workspace
from batchrun.core.scheduling.parking import Parked, outlasts
from batchrun.core.scheduling.queues import Queues

_SOONER = 0.1
"""Of the time between two probes: until the next one, where the quota was full."""


class Probing:
    """Of the lanes in *queues*."""

    def __init__(self, queues: Queues, probe_every: float, *, wait_for_parked: bool) -> None:
        self._queues = queues
        self._alarms, self._parking = queues.alarms, queues.parking
        self._probe_every = probe_every
        self._wait_for_parked = wait_for_parked

    def park(self, scope: Scope, lane: Lane, failure: Failure, now: float, *, probe: bool = True, at_first: bool = False) -> None:
        """Stop every lane of the scope that *lane* stands in; without *probe*, for the rest of this opening.

        A park that comes *at_first*, before anything that it concerns was answered, is ended by an answer to another call that it concerns.
        """
        parked = self._parking.park(scope, lane, failure, probe=probe, at_first=at_first)
        if parked is None:
            return
        self._queues.hold_back(parked.lanes)
        if probe:
            self._alarms.ring_at(parked, now + self._probe_every)

    def probed(self, parked: Parked, ticket: Ticket, result: Reply | Failure, now: float) -> None:
        """End the park if the provider took the probe; otherwise set the next."""
        if not self._parking.stands(parked):
            return
        if outlasts(parked, ticket.lane, result):
            met_full_quota = isinstance(result, Failure) and result.fault is Fault.THROTTLED is not parked.failure.fault
            self._alarms.ring_at(parked, now + self._probe_every * (_SOONER if met_full_quota else 1.0))
            return
        self._end(parked)

    def answered(self, lane: Lane) -> None:
        """A call of *lane* was answered: it was on its way when the lane was parked."""
        for parked in self._parking.of(lane):
            if parked.at_first:
                self._end(parked)

    def _end(self, parked: Parked) -> None:
        self._parking.end(parked)
        for lane in parked.lanes:
            lane.stood_still()
            self._queues.wake(lane)

    def probe(self, parked: Parked) -> None:
        """Let the next of its lanes that may launch send one row, if the park still stands."""
        if self._parking.stands(parked):
            parked.probe_due = True
            for lane in parked.lanes:
                self._queues.wake(lane)

    def ring(self, now: float) -> None:
        """See to what is due."""
        late: list[tuple[float, Parked]] = []
        while (due := self._alarms.pop(now)) is not None:
            match due:
                case _, Lane() as lane:
                    self._queues.wake(lane)
                case _, Pool() as pool:
                    self._queues.look_at(pool)
                case _, Workspace() as workspace:
                    self._queues.pass_turn_on(workspace)
                case at, Parked() as parked:
                    late.append((at, parked))
        # Asked once, for it looks at every lane, and what is parked stays so whatever is probed.
        goes_on = bool(late) and (self._wait_for_parked or self._running())
        for at, parked in late:
            if goes_on:
                self.probe(parked)
            else:
                self._alarms.put_back(parked, at)

    def rest(self, now: float) -> WaitUntil | Drained:
        """What comes once nothing may go: a time, or the end."""
        at = self._alarms.next_at()
        if self._running():
            return WaitUntil(at)
        if self._wait_for_parked and self._parking.may_pass():
            return WaitUntil(max(now, at))
        return Drained(self._parking.scopes())

    def _running(self) -> bool:
        """Whether anything but parked rows is left to do."""
        return bool(self._queues.in_flight) or any(lane.left and not self._parking.of(lane) for lane in self._queues.lanes.values())
