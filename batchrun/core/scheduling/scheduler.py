"""The state machine of a run: what to send next, and what a result leads to.

Rules

- `next(now)` takes a slot and pays the quotas when it launches, all or none; `release(ticket)` gives the slot back, once, whatever happened
  between. Nothing is held while something else is waited for.
- A row is in exactly one place: not yet drawn from its lane, at the lane's front, in the lane's heap of retries, in flight, aside for a
  budget, or settled for good. `settle` moves it; nothing copies it.

How a lane comes to launch, or to wait, is told in `queues.py`; what an attempt is charged in `charging.py`, what a failure leads to in
`judging.py`, what goes by the clock in `probing.py`, what budgets hold back in `paying.py`, what one opening leaves to the next in
`lessons.py`. A closed workspace is stopped as by a park, until it is opened: the two stand beside each other, and each stays what it is
whatever becomes of the other.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

from batchrun.core.ledger.attempts import Bound
from batchrun.core.model import Failure, Fault, Reply, Scope
from batchrun.core.money.budget import Lack, Purse, promise_all
from batchrun.core.scheduling.alarms import TICK
from batchrun.core.scheduling.charging import Charging
from batchrun.core.scheduling.decisions import ANSWERED, Drained, Launch, Ticket, Verdict, WaitUntil
from batchrun.core.scheduling.judging import Judge
from batchrun.core.scheduling.lane_plan import LanePlan
from batchrun.core.scheduling.lessons import Lessons
from batchrun.core.scheduling.outages import passing
from batchrun.core.scheduling.paces import Paces
from batchrun.core.scheduling.parking import ParkedScope, name_of
from batchrun.core.scheduling.paying import Paying
from batchrun.core.scheduling.probing import Probing
from batchrun.core.scheduling.queues import Queues
from batchrun.core.scheduling.retry import RetryPolicy

__all__ = ["Drained", "LanePlan", "Launch", "ParkedScope", "Scheduler", "Ticket", "Verdict", "WaitUntil"]

_NO_END = frozenset({Fault.AGAIN, Fault.PARK})
"""What says nothing against an outage that lasts."""
_HARDLY = 0.05
"""Of what was expected of an attempt: its answer is off by more."""


class Scheduler:
    """Decides for one run. Told the time (seconds on any steady clock) and, where dice are needed, the jitter."""

    def __init__(self, lanes: Iterable[LanePlan], retry: RetryPolicy, *, probe_every: float = 300.0, wait_for_parked: bool = False) -> None:
        self._queues = queues = Queues()
        self._lanes = queues.lanes
        self._alarms, self._parking = queues.alarms, queues.parking
        self._probing = Probing(queues, probe_every, wait_for_parked=wait_for_parked)
        self._charging, self._paying = Charging(queues), Paying(queues)
        self._judge = Judge(retry, queues, self._probing)
        self.lessons = Lessons(queues.pools, queues.lanes)
        self.paces = Paces(queues.workspaces, queues.lanes)
        self._rows_held: Counter[str] = Counter()
        self._rows_failed: Counter[str] = Counter()
        self._stopping = False
        self.pressed = False
        """This process has more to do than it can: answers wait for it, and tell nothing of how quick the provider is."""
        for plan in lanes:
            self._queues.add(plan)
        for lane in self._lanes.values():
            if lane.pool.unfinished <= 1:
                lane.is_alone()

    def next(self, now: float) -> Launch | WaitUntil | Drained:
        """Decide what to do at *now*; a launch takes its slot and pays its quotas."""
        tickets, then = self.launches(now, 1)
        return Launch(tickets[0]) if then is None else then

    def launches(self, now: float, most: int) -> tuple[list[Ticket], WaitUntil | Drained | None]:
        """Decide the same up to *most* times: what is launched at *now*, and what comes then where that is no launch."""
        if self._stopping:
            return [], WaitUntil(math.inf) if self._queues.in_flight else Drained(self.parked())
        if self._alarms.earliest <= now + TICK:
            self._probing.ring(now)
        self._queues.look += 1
        tickets: list[Ticket] = []
        while len(tickets) < most:
            ticket = self._queues.launched(now)
            if ticket is None:
                return tickets, self._probing.rest(now)
            tickets.append(ticket)
        return tickets, None

    def settle(self, ticket: Ticket, result: Reply | Failure, now: float, jitter: float) -> Verdict:
        """Take in what an attempt brought; *jitter* is uniform in [0, 1). The slot is still held: `release` follows."""
        if not isinstance(result, Reply):
            result = self.taken_as(ticket, result)
        for parked in ticket.probes:
            self._probing.probed(parked, ticket, result, now)
        self._charging.charge(ticket, result, now, pressed=self.pressed)
        if ticket.promised:
            self._paying.pay(ticket, result, now)
        lane = ticket.lane
        if (lane.outage.failed or lane.outage.lasts) and ticket.sent and (isinstance(result, Reply) or result.fault not in _NO_END):
            lane.outage.end()
        if isinstance(result, Reply):
            lane.throttled_since = None
            lane.varied = True
            lane.pool.answered_at = now
            if ticket.attempt > 1:
                lane.luck.answered(ticket.attempt - 1, lane.left)
            if ticket.launched_at > lane.good_at:
                lane.good_at = ticket.launched_at
            if ticket.paid >= lane.too_large.cost:
                lane.too_large.forget()
            if self._parking.stops_any:
                self._probing.answered(lane)
            self._leave(ticket)
            return ANSWERED
        return self._failed(ticket, result, now, jitter)

    def _failed(self, ticket: Ticket, failure: Failure, now: float, jitter: float) -> Verdict:
        verdict, lane = self._judge.verdict(ticket, failure, now, jitter), ticket.lane
        if verdict.final:
            self._leave(ticket)
            (self._rows_held if verdict is Verdict.HELD else self._rows_failed)[lane.plan.workspace] += 1
        return verdict

    @staticmethod
    def taken_as(ticket: Ticket, failure: Failure) -> Failure:
        """What a failure is after all that its lane has seen: `settle` takes it so, and an entry is to tell the same."""
        return passing(failure) if ticket.lane.varied else failure

    def reprice(self, ticket: Ticket, tokens: float) -> bool:
        """Correct what the attempt is expected to cost, now that its row is known; before it settles. What is hardly off stays as it is.

        Says whether anything is worth a look, for another may go by that at once.
        """
        if abs(tokens - ticket.paid) > _HARDLY * ticket.paid:
            self._charging.reprice(ticket, tokens)
        return self._queues.has_ready

    def release(self, ticket: Ticket) -> None:
        """Give a ticket's slot back: exactly once, when nothing of the attempt is left to do."""
        lane, workspace = ticket.lane, ticket.lane.workspace
        lane.in_flight -= 1
        workspace.in_flight -= 1
        self._queues.in_flight -= 1
        crowd = lane.pool.crowd
        crowd.under_way -= 1
        if crowd.is_full:
            crowd.is_full = False
            self._queues.look_at(lane.pool)
        # Those that wait for a slot first: a lane that takes its own slot back each time would keep them waiting to its end.
        if workspace.waiting:
            self._queues.pass_turn_on(workspace)
        self._queues.wake(lane)

    def unsent(self, ticket: Ticket) -> None:
        """Take note that no call was made: the quotas get back what it paid, and another tries what it would have tried.

        `settle` or `drop` follows.
        """
        ticket.sent = False
        self._charging.give_back(ticket)
        ticket.lane.outage.unsent(ticket.launched_at)
        self._let_another_try(ticket)

    def may_still_go(self, ticket: Ticket, now: float) -> bool:
        """Whether nothing came that holds an attempt back which waited since it was launched: a stop, a park, or a pause.

        Where something did, the row goes back to the front. No call may be made then; `release` follows.
        """
        stopped = self._stopping or any(parked not in ticket.probes for parked in self._parking.of(ticket.lane))
        if not stopped and all(each.waits_until <= now for each in ticket.lane.limiters):
            return True
        self.unsent(ticket)
        self._put_back(ticket)
        return False

    def afford(self, ticket: Ticket, most: Bound, at: float) -> bool:
        """Set aside what the attempt may cost in every budget of its lane, before it is sent at a wall time.

        Where that is not left, say so: the row goes back to the front and the lane waits for what is under way, or, where that would not be
        enough, the row stands aside; the lane parks when all that are left of it do. No call may be made then; `release` follows.
        """
        lane = ticket.lane
        if not lane.plan.purses:
            return True
        promised = promise_all(lane.plan.purses, lane.key, most, at)
        if not isinstance(promised, Lack):
            ticket.promised = promised
            self._paying.promised(ticket)
            return True
        self.unsent(ticket)
        self._paying.hold_back(ticket, promised)
        return False

    def drop(self, ticket: Ticket) -> None:
        """Forget a row that could not be read: it is not this opening's any more. `release` follows."""
        self._leave(ticket)
        self._let_another_try(ticket)

    def reconsider(self, purse: Purse) -> None:
        """Let the lanes look again that *purse* had too little left for, and that wait for it."""
        self._paying.reconsider(purse)

    def renew(self, purse: Purse) -> None:
        """Take note that a day or a month of *purse* has begun: what it parked goes on."""
        self._paying.renew(purse)

    def park(self, scope: Scope, workspace: str, model: str, failure: Failure, now: float, *, probe: bool = True) -> None:
        """Stop every lane of the scope that *workspace* and *model* stand in; without *probe*, for the rest of this opening."""
        self._probing.park(scope, self._lanes[workspace, model], failure, now, probe=probe)

    def close(self, workspace: str, failure: Failure) -> None:
        """Launch nothing more of *workspace* until it is opened; a run that waits for parked rows waits for that too."""
        self._queues.hold_back(self._parking.close(workspace, failure))

    def open(self, workspace: str) -> None:
        """End what `close` began, and no park."""
        for lane in self._parking.open(workspace):
            lane.stood_still()
            self._queues.wake(lane)

    def stood_still(self) -> None:
        """Take note that the run itself was stopped for a while: for how long anything had failed or been refused by then tells nothing."""
        for lane in self._lanes.values():
            lane.stood_still()

    def stop(self) -> None:
        """Launch nothing more; what is in flight may settle."""
        self._stopping = True

    @property
    def in_flight(self) -> int:
        """Attempts launched and not yet released."""
        return self._queues.in_flight

    def left(self) -> dict[tuple[str, str], int]:
        """Rows not settled for good, by workspace and model."""
        return {key: lane.left for key, lane in self._lanes.items()}

    def rows_held(self) -> Mapping[str, int]:
        """Rows that were left for a person to decide on since the run was opened, by workspace."""
        return self._rows_held

    def rows_failed(self) -> Mapping[str, int]:
        """Rows that were rejected or exhausted since the run was opened, by workspace."""
        return self._rows_failed

    def rows_to_retry(self) -> Mapping[str, int]:
        """Rows whose latest call failed, and that wait to be tried again, by workspace."""
        found: Counter[str] = Counter()
        for lane in self._lanes.values():
            found[lane.plan.workspace] += len(lane.retries)
        return found

    def in_flight_of(self, workspace: str) -> int:
        """Attempts of *workspace* launched and not yet released."""
        return self._queues.workspaces[workspace].in_flight

    def held(self, now: float) -> frozenset[str]:
        """Workspaces with a lane that is waiting out a throttle at *now*."""
        lanes = (lane for lane in self._lanes.values() if lane.left)
        return frozenset(lane.plan.workspace for lane in lanes if max(lane.limiter.waits_until, lane.pool.limiter.waits_until) > now)

    def outages(self) -> dict[str, Failure]:
        """What each lane fails with whose calls fail one after another, by their names."""
        failing = (lane for lane in self._lanes.values() if lane.outage.lasts)
        return {name_of(Scope.LANE, lane): lane.outage.latest for lane in failing if lane.outage.latest is not None}

    def parked(self) -> tuple[ParkedScope, ...]:
        """What stands still, and has rows waiting."""
        return self._parking.scopes()

    def rows_standing(self) -> tuple[Counter[str], Counter[str]]:
        """Rows behind parks, and those that wait for nothing but the hours of their window, each by workspace."""
        return self._parking.rows()

    def _leave(self, ticket: Ticket) -> None:
        lane = ticket.lane
        self._judge.billed.forget(ticket.ordinal)
        lane.left -= 1
        if not lane.left:
            self._queues.finished(lane)
        if lane.aside.rows:
            self._paying.rest(lane)

    def _put_back(self, ticket: Ticket) -> None:
        """Let the row of an attempt that is not made be the next of its lane."""
        ticket.lane.front.appendleft((ticket.ordinal, ticket.attempt))

    def _let_another_try(self, ticket: Ticket) -> None:
        """What a call would have tried that is not made, the next one tries."""
        probes, ticket.probes = ticket.probes, ()
        for parked in probes:
            self._probing.probe(parked)
