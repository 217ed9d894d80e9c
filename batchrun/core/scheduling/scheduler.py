"""The state machine of a run: what to send next, and what a result leads to.

Rules

- `next(now)` takes a slot and pays the quotas when it launches, all or none; `release(ticket)` gives the slot back, once, whatever happened
  between. Nothing is held while something else is waited for.
- A row is in exactly one place: not yet drawn from its lane, at the lane's front, in the lane's heap of retries, in flight, or
  settled for good. `settle` moves it; nothing copies it.

How a lane comes to launch, or to wait, is told in `queues.py`.

A park stops every lane of its scope. While anything else runs, one of the scope's rows is sent every *probe_every* seconds; when the
provider takes it, the whole scope goes on. A closed workspace stands beside that: it is stopped as by a park, until it is opened, and each
of the two stays what it is whatever becomes of the other.

Budgets are asked when a row was read, for only then its bound is known. A row that they have too little left for goes back, and its lane
waits for what is under way, which may cost less than was set aside; where nothing is, it parks. A budget by the day or the month that comes
anew ends such parks (`renew`).
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from batchrun.core.ledger.attempts import Bound
from batchrun.core.model import Failure, Fault, Reply, Scope
from batchrun.core.money.budget import Lack, Purse, broke, promise_all
from batchrun.core.scheduling.alarms import TICK
from batchrun.core.scheduling.decisions import ANSWERED, Drained, Launch, Ticket, Verdict, WaitUntil
from batchrun.core.scheduling.lanes import Lane, LanePlan, Pool, Workspace
from batchrun.core.scheduling.parking import Parked, ParkedScope, outlasts
from batchrun.core.scheduling.queues import Queues
from batchrun.core.scheduling.retry import BackToFront, Exhaust, Hold, Park, Reject, RetryPolicy, TryAgain, next_step

__all__ = ["Drained", "LanePlan", "Launch", "ParkedScope", "Scheduler", "Ticket", "Verdict", "WaitUntil"]

SAME_REJECTION_PARKS = 20
"""A lane whose first answers are this many times the same rejection parks: a typo must not reject two million rows."""
_HARDLY = 0.05
"""Of what was expected of an attempt: its answer is off by more."""
THROTTLED_FOR_TOO_LONG = 600.0
"""Seconds of throttles without one success: some 429s are a month's quota used up, under the same code."""


class Scheduler:
    """Decides for one run. Told the time (seconds on any steady clock) and, where dice are needed, the jitter."""

    def __init__(self, lanes: Iterable[LanePlan], retry: RetryPolicy, *, probe_every: float = 300.0, wait_for_parked: bool = False) -> None:
        self._retry = retry
        self._probe_every = probe_every
        self._wait_for_parked = wait_for_parked
        self._queues = queues = Queues()
        self._pools, self._lanes = queues.pools, queues.lanes
        self._alarms, self._parking = queues.alarms, queues.parking
        self._numbers = itertools.count()
        self._short: defaultdict[Purse, list[Lane]] = defaultdict(list)
        self._broke: defaultdict[Purse, list[Parked]] = defaultdict(list)
        self._rows_held: Counter[str] = Counter()
        self._stopping = False
        self.pressed = False
        """This process has more to do than it can: answers wait for it, and tell nothing of how quick the provider is."""
        for plan in lanes:
            self._queues.add(plan)

    def next(self, now: float) -> Launch | WaitUntil | Drained:
        """Decide what to do at *now*; a launch takes its slot and pays its quotas."""
        tickets, then = self.launches(now, 1)
        return Launch(tickets[0]) if then is None else then

    def launches(self, now: float, most: int) -> tuple[list[Ticket], WaitUntil | Drained | None]:
        """Decide the same up to *most* times: what is launched at *now*, and what comes then where that is no launch."""
        if self._stopping:
            return [], WaitUntil(math.inf) if self._queues.in_flight else Drained(self.parked())
        if self._alarms.earliest <= now + TICK:
            self._ring(now)
        self._queues.look += 1
        tickets: list[Ticket] = []
        while len(tickets) < most:
            ticket = self._queues.launched(now)
            if ticket is None:
                return tickets, self._rest(now)
            tickets.append(ticket)
        return tickets, None

    def settle(self, ticket: Ticket, result: Reply | Failure, now: float, jitter: float) -> Verdict:
        """Take in what an attempt brought; *jitter* is uniform in [0, 1). The slot is still held: `release` follows."""
        for parked in ticket.probes:
            self._probed(parked, ticket, result, now)
        self._charge(ticket, result, now)
        if ticket.promised:
            self._pay(ticket, result)
        lane = ticket.lane
        if isinstance(result, Reply):
            lane.throttled_since = None
            lane.varied = True
            self._leave(lane)
            return ANSWERED
        verdict = self._judge(ticket, result, now, jitter)
        if verdict.final:
            self._leave(lane)
            if verdict is Verdict.HELD:
                self._rows_held[lane.plan.workspace] += 1
        return verdict

    def reprice(self, ticket: Ticket, tokens: float) -> None:
        """Correct what the attempt is expected to cost, now that its row is known; before it settles. What is hardly off stays as it is."""
        if abs(tokens - ticket.paid) <= _HARDLY * ticket.paid:
            return
        for each in ticket.lane.limiters:
            each.reprice(ticket.launched_at, ticket.paid, tokens)
        self._corrected(ticket, tokens)

    def release(self, ticket: Ticket) -> None:
        """Give a ticket's slot back: exactly once, when nothing of the attempt is left to do."""
        lane, workspace = ticket.lane, ticket.lane.workspace
        lane.in_flight -= 1
        workspace.in_flight -= 1
        self._queues.in_flight -= 1
        # Those that wait for a slot first: a lane that takes its own slot back each time would keep them waiting to its end.
        if workspace.waiting:
            self._queues.pass_turn_on(workspace)
        self._queues.wake(lane)

    def unsent(self, ticket: Ticket) -> None:
        """Take note that no call was made: the quotas get back what it paid. `settle` or `drop` follows."""
        self._correct(ticket, 0.0)
        for each in ticket.lane.limiters:
            each.unsent(ticket.launched_at)

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

        Where that is not left, say so: the row goes back to the front and the lane waits for what is under way, or parks where nothing is.
        No call may be made then; `release` follows.
        """
        lane = ticket.lane
        if not lane.plan.purses:
            return True
        promised = promise_all(lane.plan.purses, lane.key, most, at)
        if not isinstance(promised, Lack):
            ticket.promised = promised
            return True
        self.unsent(ticket)
        self._unaffordable(lane, promised)
        self._put_back(ticket)
        return False

    def drop(self, ticket: Ticket) -> None:
        """Forget a row that could not be read: it is not this opening's any more. `release` follows."""
        self._leave(ticket.lane)
        for parked in ticket.probes:
            self._probe(parked)

    def park(self, scope: Scope, workspace: str, model: str, failure: Failure, now: float, *, probe: bool = True) -> None:
        """Stop every lane of the scope that *workspace* and *model* stand in; without *probe*, for the rest of this opening."""
        parked = self._parking.park(scope, self._lanes[workspace, model], failure, probe=probe)
        if parked is not None and probe:
            self._alarms.ring_at(parked, now + self._probe_every)

    def close(self, workspace: str, failure: Failure) -> None:
        """Launch nothing more of *workspace* until it is opened; a run that waits for parked rows waits for that too."""
        self._parking.close(workspace, failure)

    def open(self, workspace: str) -> None:
        """End what `close` began, and no park."""
        for lane in self._parking.open(workspace):
            lane.throttled_since = None  # The hours while it was closed are no hours of throttles.
            self._queues.wake(lane)

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

    def in_flight_of(self, workspace: str) -> int:
        """Attempts of *workspace* launched and not yet released."""
        return self._queues.workspaces[workspace].in_flight

    def held(self, now: float) -> frozenset[str]:
        """Workspaces with a lane that is waiting out a throttle at *now*."""
        lanes = (lane for lane in self._lanes.values() if lane.left)
        return frozenset(lane.plan.workspace for lane in lanes if max(lane.limiter.waits_until, lane.pool.limiter.waits_until) > now)

    def learnt(self, now: float) -> dict[str, Any]:
        """Return what the pools' limiters have found, by pool, to be kept."""
        return {name: found for name, pool in self._pools.items() if (found := pool.limiter.learnt(now))}

    def teach(self, kept: Mapping[str, Any], now: float, *, steady: bool = False) -> None:
        """Take up what an earlier opening found; a quota that the job names goes before it.

        *steady*: as nobody refuses anything here, what refusals have taught of a token quota stays as it is.
        """
        for name, pool in self._pools.items():
            pool.limiter.teach(kept.get(name), now)
            if steady and name in kept:
                pool.limiter.tokens.rule.keep_steady()

    def learnt_slots(self) -> dict[tuple[str, str], dict[str, float]]:
        """Return how many slots lanes were found to have use for, to be kept."""
        return {key: found for key, lane in self._lanes.items() if (found := lane.slots.learnt())}

    def teach_slots(self, kept: Mapping[tuple[str, str], Any]) -> None:
        """Take up what an earlier opening found of slots."""
        for key, found in kept.items():
            if key in self._lanes:
                self._lanes[key].slots.teach(found)

    def parked(self) -> tuple[ParkedScope, ...]:
        """What stands still, and has rows waiting."""
        return self._parking.scopes()

    # What an attempt costs.

    def _leave(self, lane: Lane) -> None:
        lane.left -= 1
        lane.pool.unfinished -= not lane.left

    def _charge(self, ticket: Ticket, result: Reply | Failure, now: float) -> None:
        """Settle what was estimated: a refusal cost nothing, and what nobody can tell stays as it was estimated."""
        lane, usage = ticket.lane, result.usage
        if usage is not None:
            self._correct(ticket, usage.input_tokens + usage.output_tokens)
        elif isinstance(result, Failure) and not result.in_doubt:
            self._correct(ticket, 0.0)
        if isinstance(result, Reply) or result.fault is Fault.REASK:
            launched_at, paid = ticket.launched_at, ticket.paid
            for each in lane.limiters:
                each.took(now, launched_at, paid)
            if lane.pool.queue or lane.workspace.waiting:
                self._queues.look_again(lane)
            output_tokens = 0 if usage is None else usage.output_tokens
            if self.pressed:
                lane.slots.pressed(now)
            else:
                lane.slots.took(now, launched_at, output_tokens, lane.in_flight)
        elif result.fault is Fault.AGAIN:
            lane.slots.failed(ticket.launched_at)

    def _correct(self, ticket: Ticket, tokens: float) -> None:
        for each in ticket.lane.limiters:
            each.settle(ticket.launched_at, ticket.paid, tokens)
        self._corrected(ticket, tokens)

    def _corrected(self, ticket: Ticket, tokens: float) -> None:
        lane, more = ticket.lane, tokens - ticket.paid
        lane.tag += more / lane.plan.weight
        ticket.paid = tokens
        if more < 0 and (lane.pool.queue or lane.workspace.waiting):
            self._queues.look_again(lane)

    def _pay(self, ticket: Ticket, result: Reply | Failure) -> None:
        in_doubt = isinstance(result, Reply) or result.in_doubt
        promised, ticket.promised = ticket.promised, ()
        for purse, promise in zip(ticket.lane.plan.purses, promised, strict=True):
            purse.settle(ticket.lane.key, promise, result.usage, in_doubt=in_doubt)
            self.reconsider(purse)

    def reconsider(self, purse: Purse) -> None:
        """Let the lanes look again that *purse* had too little left for, and that wait for it."""
        for lane in self._short.pop(purse, ()):
            lane.short_of = None
            self._queues.wake(lane)

    def _put_back(self, ticket: Ticket) -> None:
        """Let the row of an attempt that is not made be the next of its lane, and another try what it would have tried."""
        ticket.lane.front.appendleft((ticket.ordinal, ticket.attempt))
        for parked in ticket.probes:
            self._probe(parked)

    def _unaffordable(self, lane: Lane, lack: Lack) -> None:
        """Hold *lane* back: until an attempt ends that is paid from the same budget, or for good where none is under way."""
        if lack.may_pass:
            lane.short_of = lack.purse
            self._short[lack.purse].append(lane)
            return
        parked = self._parking.park(Scope.LANE, lane, broke(lack, lane.plan.model), probe=False)
        if parked is not None and lack.purse.cap.period is not None and lack.price is not None:
            parked.renews = True
            self._broke[lack.purse].append(parked)

    def renew(self, purse: Purse) -> None:
        """Take note that a day or a month of *purse* has begun: what it parked goes on."""
        for parked in self._broke.pop(purse, ()):
            if self._parking.stands(parked):
                self._parking.end(parked)
                for lane in parked.lanes:
                    self._queues.wake(lane)
        self.reconsider(purse)

    # Time.

    def _ring(self, now: float) -> None:
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
        for at, parked in late:
            if self._wait_for_parked or self._running():
                self._probe(parked)
            else:
                self._alarms.put_back(parked, at)

    def _probe(self, parked: Parked) -> None:
        """Let the next of its lanes that may launch send one row, if the park still stands."""
        if self._parking.stands(parked):
            parked.probe_due = True
            for lane in parked.lanes:
                self._queues.wake(lane)

    def _running(self) -> bool:
        """Whether anything but parked rows is left to do."""
        return bool(self._queues.in_flight) or any(lane.left and not self._parking.of(lane) for lane in self._lanes.values())

    def _rest(self, now: float) -> WaitUntil | Drained:
        at = self._alarms.next_at()
        if self._running():
            return WaitUntil(at)
        if self._wait_for_parked and at < math.inf and self._parking.probes_may_help():
            return WaitUntil(max(now, at))
        if self._wait_for_parked and (self._parking.openings_may_help() or self._parking.renewals_may_help()):
            return WaitUntil(max(now, at))
        return Drained(self.parked())

    # What a result leads to.

    def _judge(self, ticket: Ticket, result: Failure, now: float, jitter: float) -> Verdict:
        lane = ticket.lane
        match next_step(self._retry, result, ticket.attempt, jitter):
            case TryAgain(delay):
                heapq.heappush(lane.retries, (now + delay, next(self._numbers), ticket.ordinal, ticket.attempt + 1))
                return Verdict.AGAIN
            case BackToFront():
                return self._back_to_front(ticket, result, now, jitter)
            case Reject():
                return self._rejected(ticket, result, now)
            case Exhaust() | Hold() as step:
                return Verdict.HELD if isinstance(step, Hold) else Verdict.EXHAUSTED
            case Park():
                lane.front.appendleft((ticket.ordinal, ticket.attempt))
                self.park(result.scope, *lane.key, result, now)
                return Verdict.PARKED

    def _back_to_front(self, ticket: Ticket, failure: Failure, now: float, jitter: float) -> Verdict:
        lane = ticket.lane
        lane.front.appendleft((ticket.ordinal, ticket.attempt))
        if failure.fault is Fault.REASK:
            lane.throttled_since = None
            return Verdict.REASKED
        lane.refused(ticket.launched_at, failure, now, jitter)
        since = lane.throttled_since = now if lane.throttled_since is None else lane.throttled_since
        if now - since >= THROTTLED_FOR_TOO_LONG:
            advice = f"throttled for {THROTTLED_FOR_TOO_LONG / 60:.0f} minutes without one answer: a quota may be used up; {failure.advice}"
            self.park(Scope.LANE, *lane.key, replace(failure, advice=advice), now)
        return Verdict.THROTTLED

    def _rejected(self, ticket: Ticket, failure: Failure, now: float) -> Verdict:
        lane = ticket.lane
        parked = self._parking.of_lane_alone(lane)
        if parked is not None and parked.failure.code == failure.code:
            lane.front.appendleft((ticket.ordinal, ticket.attempt))
            return Verdict.PARKED
        if lane.same_rejections_in_a_row(failure.code) >= SAME_REJECTION_PARKS:
            advice = f"the first {SAME_REJECTION_PARKS} answers were all this: {failure.advice}; then run with --retry-rejected"
            self.park(Scope.LANE, *lane.key, replace(failure, advice=advice), now)
        return Verdict.REJECTED

    def _probed(self, parked: Parked, ticket: Ticket, result: Reply | Failure, now: float) -> None:
        """End the park if the provider took the probe; otherwise set the next."""
        if not self._parking.stands(parked):
            return
        if outlasts(parked, ticket.lane, result):
            self._alarms.ring_at(parked, now + self._probe_every)
            return
        self._parking.end(parked)
        for lane in parked.lanes:
            lane.throttled_since = None
            self._queues.wake(lane)
