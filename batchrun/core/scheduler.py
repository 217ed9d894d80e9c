"""The state machine of a run: what to send next, and what a result leads to.

Rules

- `next(now)` takes a slot when it launches; `release(ticket)` gives it back, once, whatever happened between. Nothing else holds one.
- A row is in exactly one place: not yet drawn from its lane, at the lane's front, in the lane's heap of retries, in flight, or
  settled for good. `settle` moves it; nothing copies it.
- A lane that cannot launch is registered with exactly one thing that holds it back: a time, its own window, a slot of its workspace,
  a park, or nothing left to send. Only what frees that thing wakes it, so a decision costs the same with one lane as with a thousand.
- A throttled, parked or empty lane is in no queue that another lane waits behind: it costs the others nothing.

Theory of operation. `_ready` holds the lanes worth a look. `next` takes the first: if nothing holds it back one of its rows is
launched and the lane goes to the back of the queue, so that lanes take turns; otherwise it is registered with what holds it back.
A lane that waits for a slot stands in its workspace's queue, and each slot given back wakes one of them; a lane that was woken for a
slot and turns out to be held back by something else passes the wake-up on. Times stand in one heap; a lane whose reason has changed
leaves a stale entry behind, which is recognised by its number and dropped when its time comes.

A park stops every lane of its scope. While anything else runs, one of the scope's rows is sent every *probe_every* seconds; when the
provider takes it, the whole scope goes on.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum

from batchrun.core.limits import Throttle
from batchrun.core.model import Failure, Fault, Reply, Scope
from batchrun.core.retry import BackToFront, Exhaust, Park, Reject, RetryPolicy, TryAgain, next_step

SAME_REJECTION_PARKS = 20
"""A lane whose first answers are this many times the same rejection parks: a typo must not reject two million rows."""
THROTTLED_FOR_TOO_LONG = 600.0
"""Seconds of throttles without one success: some 429s are a month's quota used up, under the same code."""


class Verdict(StrEnum):
    """What an attempt's result means for its row."""

    ANSWERED = "answered"
    REJECTED = "rejected"
    EXHAUSTED = "exhausted"
    AGAIN = "again"
    THROTTLED = "throttled"
    PARKED = "parked"
    REASKED = "reasked"

    @property
    def final(self) -> bool:
        """Whether the row leaves the scheduler."""
        return self in {Verdict.ANSWERED, Verdict.REJECTED, Verdict.EXHAUSTED}


@dataclass(frozen=True, slots=True)
class LanePlan:
    """What one lane has to do, and within which bounds."""

    workspace: str
    model: str
    account: str
    rows: Iterable[int]
    """Ordinals of the rows left to do, drawn one by one."""
    count: int
    concurrency: int
    """Slots of the workspace, shared by its lanes; equal for all lanes of a workspace."""
    lane_concurrency: int | None = None
    """Slots of this lane alone."""


@dataclass(frozen=True, slots=True, eq=False)
class Ticket:
    """One row on its way: the permit to make one attempt."""

    workspace: str
    model: str
    ordinal: int
    attempt: int
    """1 for a row's first attempt of this opening; throttled attempts do not count."""
    launched_at: float
    lane: _Lane = field(repr=False)
    probes: tuple[_Parked, ...] = field(default=(), repr=False)
    """The parks whose end this attempt tries."""


@dataclass(frozen=True, slots=True)
class Launch:
    """Send this one now."""

    ticket: Ticket


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """Nothing may go before *at*, or before an attempt is released; infinity where only the latter helps."""

    at: float


@dataclass(frozen=True, slots=True)
class ParkedScope:
    """What stands still, why, and how many rows wait behind it."""

    scope: Scope
    name: str
    failure: Failure
    rows: int


@dataclass(frozen=True, slots=True)
class Drained:
    """All done, or all that is left is parked or was stopped; nothing is in flight."""

    parked: tuple[ParkedScope, ...]


@dataclass(slots=True, eq=False)
class _Workspace:
    name: str
    slots: int
    in_flight: int = 0
    waiting: deque[_Lane] = field(default_factory=deque)


@dataclass(slots=True, eq=False)
class _Lane:
    plan: LanePlan
    workspace: _Workspace
    fresh: Iterator[int]
    undrawn: int
    left: int
    throttle: Throttle
    front: deque[tuple[int, int]] = field(default_factory=deque)
    """Ordinal and attempt of rows that go before any other."""
    retries: list[tuple[float, int, int, int]] = field(default_factory=list)
    """A heap: when, a number that breaks ties, ordinal, attempt."""
    in_flight: int = 0
    queued: bool = False
    """Stands in `_ready` or in its workspace's queue."""
    alarm: int = 0
    """Number of its live entry in the heap of times; 0 for none."""
    varied: bool = False
    """It has had a good answer, or two kinds of rejection."""
    first_code: str | None = None
    same_rejections: int = 0

    @property
    def key(self) -> tuple[str, str]:
        return self.plan.workspace, self.plan.model


@dataclass(slots=True, eq=False)
class _Parked:
    scope: Scope
    name: str
    failure: Failure
    lanes: list[_Lane]
    probed: bool
    """Whether one of its rows is sent now and then; if not, nothing ends it in this opening."""
    probe_due: bool = False
    """The next of its lanes that may launch sends one row in spite of the park."""


class Scheduler:
    """Decides for one run. Told the time (seconds on any steady clock) and, where dice are needed, the jitter."""

    def __init__(self, lanes: Iterable[LanePlan], retry: RetryPolicy, *, probe_every: float = 300.0, wait_for_parked: bool = False) -> None:
        self._retry = retry
        self._probe_every = probe_every
        self._wait_for_parked = wait_for_parked
        self._workspaces: dict[str, _Workspace] = {}
        self._lanes: dict[tuple[str, str], _Lane] = {}
        self._ready: deque[_Lane] = deque()
        self._lane_times: list[tuple[float, int, _Lane]] = []
        self._probe_times: list[tuple[float, int, _Parked]] = []
        self._number = 0
        self._parks: dict[tuple[Scope, str], _Parked] = {}
        self._in_flight = 0
        self._stopping = False
        for plan in lanes:
            self._add(plan)

    def next(self, now: float) -> Launch | WaitUntil | Drained:
        """Decide what to do at *now*; a launch takes its slot."""
        if self._stopping:
            return WaitUntil(math.inf) if self._in_flight else Drained(self.parked())
        self._ring(now)
        while self._ready:
            lane = self._ready.popleft()
            lane.queued = False
            if self._may_launch(lane, now):
                self._wake(lane)
                return self._launch(lane, now)
        return self._rest()

    def settle(self, ticket: Ticket, result: Reply | Failure, now: float, jitter: float) -> Verdict:
        """Take in what an attempt brought; *jitter* is uniform in [0, 1). The slot is still held: `release` follows."""
        for parked in ticket.probes:
            self._probed(parked, ticket, result, now)
        verdict = self._judge(ticket, result, now, jitter)
        if verdict.final:
            ticket.lane.left -= 1
        return verdict

    def release(self, ticket: Ticket) -> None:
        """Give a ticket's slot back: exactly once, when nothing of the attempt is left to do."""
        lane, workspace = ticket.lane, ticket.lane.workspace
        lane.in_flight -= 1
        workspace.in_flight -= 1
        self._in_flight -= 1
        # Those that wait for a slot first: a lane that takes its own slot back each time would keep them waiting to its end.
        self._pass_slot_on(workspace)
        self._wake(lane)

    def drop(self, ticket: Ticket) -> None:
        """Forget a row that could not be read: it is not this opening's any more. `release` follows."""
        ticket.lane.left -= 1
        for parked in ticket.probes:
            self._probe(parked)

    def park(self, scope: Scope, workspace: str, model: str, failure: Failure, now: float, *, probe: bool = True) -> None:
        """Stop every lane of the scope that *workspace* and *model* stand in; without *probe*, for the rest of this opening."""
        scope = Scope.LANE if scope is Scope.ROW else scope
        name = self._name_of(scope, self._lanes[workspace, model])
        if (scope, name) in self._parks and probe:
            return
        lanes = [lane for lane in self._lanes.values() if self._name_of(scope, lane) == name]
        parked = _Parked(scope, name, failure, lanes, probe)
        self._parks[scope, name] = parked
        if probe:
            self._probe_at(parked, now + self._probe_every)

    def stop(self) -> None:
        """Launch nothing more; what is in flight may settle."""
        self._stopping = True

    @property
    def in_flight(self) -> int:
        """Attempts launched and not yet released."""
        return self._in_flight

    def left(self) -> dict[tuple[str, str], int]:
        """Rows not settled for good, by workspace and model."""
        return {key: lane.left for key, lane in self._lanes.items()}

    def in_flight_of(self, workspace: str) -> int:
        """Attempts of *workspace* launched and not yet released."""
        return self._workspaces[workspace].in_flight

    def held(self, now: float) -> frozenset[str]:
        """Workspaces with a lane that is waiting out a throttle at *now*."""
        return frozenset(lane.plan.workspace for lane in self._lanes.values() if lane.throttle.until > now and lane.left)

    def parked(self) -> tuple[ParkedScope, ...]:
        """What stands still, and has rows waiting."""
        scopes = (ParkedScope(p.scope, p.name, p.failure, sum(lane.left for lane in p.lanes)) for p in self._parks.values())
        return tuple(scope for scope in scopes if scope.rows)

    # How a lane comes to launch, or to wait.

    def _add(self, plan: LanePlan) -> None:
        workspace = self._workspaces.setdefault(plan.workspace, _Workspace(plan.workspace, plan.concurrency))
        cap = plan.concurrency if plan.lane_concurrency is None else min(plan.concurrency, plan.lane_concurrency)
        throttle = Throttle(cap, self._retry.first, self._retry.max)
        lane = _Lane(plan, workspace, iter(plan.rows), plan.count, plan.count, throttle)
        self._lanes[lane.key] = lane
        self._wake(lane)

    def _may_launch(self, lane: _Lane, now: float) -> bool:
        """Whether *lane* may launch at *now*; if not, it stands registered with what holds it back when this returns."""
        self._take_due_retries(lane, now)
        workspace = lane.workspace
        if any(not parked.probe_due for parked in self._parks_of(lane)):
            pass  # The end of the park, or its next probe, wakes it.
        elif not (lane.front or lane.undrawn):
            if lane.retries:
                self._ring_at(lane, lane.retries[0][0])
        elif lane.throttle.until > now:
            self._ring_at(lane, lane.throttle.until)
        elif lane.in_flight >= lane.throttle.window:
            pass  # Its own next release wakes it.
        elif workspace.in_flight >= workspace.slots:
            lane.queued = True
            workspace.waiting.append(lane)
            return False
        else:
            return True
        self._pass_slot_on(workspace)
        return False

    def _launch(self, lane: _Lane, now: float) -> Launch:
        if lane.front:
            ordinal, attempt = lane.front.popleft()
        else:
            ordinal, attempt = next(lane.fresh), 1
            lane.undrawn -= 1
        probes = tuple(self._parks_of(lane))
        for parked in probes:
            parked.probe_due = False
        lane.in_flight += 1
        lane.workspace.in_flight += 1
        self._in_flight += 1
        return Launch(Ticket(lane.plan.workspace, lane.plan.model, ordinal, attempt, now, lane, probes))

    def _take_due_retries(self, lane: _Lane, now: float) -> None:
        while lane.retries and lane.retries[0][0] <= now:
            _, _, ordinal, attempt = heapq.heappop(lane.retries)
            lane.front.append((ordinal, attempt))

    def _wake(self, lane: _Lane) -> None:
        if not lane.queued:
            lane.queued = True
            lane.alarm = 0
            self._ready.append(lane)

    def _pass_slot_on(self, workspace: _Workspace) -> None:
        if workspace.waiting and workspace.in_flight < workspace.slots:
            lane = workspace.waiting.popleft()
            lane.queued = False
            self._wake(lane)

    # Time.

    def _ring_at(self, lane: _Lane, at: float) -> None:
        self._number += 1
        lane.alarm = self._number
        heapq.heappush(self._lane_times, (at, self._number, lane))

    def _probe_at(self, parked: _Parked, at: float) -> None:
        self._number += 1
        heapq.heappush(self._probe_times, (at, self._number, parked))

    def _ring(self, now: float) -> None:
        while self._lane_times and self._lane_times[0][0] <= now:
            _, number, lane = heapq.heappop(self._lane_times)
            if lane.alarm == number:
                self._wake(lane)
        while self._probe_times and self._probe_times[0][0] <= now and (self._wait_for_parked or self._running()):
            self._probe(heapq.heappop(self._probe_times)[2])

    def _probe(self, parked: _Parked) -> None:
        """Let the next of its lanes that may launch send one row, if the park still stands."""
        if self._parks.get((parked.scope, parked.name)) is parked:
            parked.probe_due = True
            for lane in parked.lanes:
                self._wake(lane)

    def _running(self) -> bool:
        while self._lane_times and self._lane_times[0][2].alarm != self._lane_times[0][1]:
            heapq.heappop(self._lane_times)
        # A parked lane's alarm is no reason to go on: the park outlasts it.
        return bool(self._in_flight or self._ready) or any(
            lane.alarm == number and not self._parks_of(lane) for _, number, lane in self._lane_times
        )

    def _rest(self) -> WaitUntil | Drained:
        running = self._running()
        times = [heap[0][0] for heap in (self._lane_times, self._probe_times) if heap]
        if running:
            return WaitUntil(min(times, default=math.inf))
        if self._wait_for_parked and times and self._probes_may_help():
            return WaitUntil(min(times))
        return Drained(self.parked())

    def _probes_may_help(self) -> bool:
        return any(lane.left and all(parked.probed for parked in self._parks_of(lane)) for lane in self._lanes.values())

    # What a result leads to.

    def _judge(self, ticket: Ticket, result: Reply | Failure, now: float, jitter: float) -> Verdict:
        lane = ticket.lane
        if isinstance(result, Reply):
            lane.throttle.answered()
            lane.varied = True
            return Verdict.ANSWERED
        match next_step(self._retry, result, ticket.attempt, jitter):
            case TryAgain(delay):
                self._number += 1
                heapq.heappush(lane.retries, (now + delay, self._number, ticket.ordinal, ticket.attempt + 1))
                return Verdict.AGAIN
            case BackToFront():
                return self._back_to_front(ticket, result, now, jitter)
            case Reject():
                return self._rejected(ticket, result, now)
            case Exhaust():
                return Verdict.EXHAUSTED
            case Park():
                lane.front.appendleft((ticket.ordinal, ticket.attempt))
                self.park(result.scope, *lane.key, result, now)
                return Verdict.PARKED

    def _back_to_front(self, ticket: Ticket, failure: Failure, now: float, jitter: float) -> Verdict:
        lane = ticket.lane
        lane.front.appendleft((ticket.ordinal, ticket.attempt))
        if failure.fault is Fault.REASK:
            lane.throttle.answered()
            return Verdict.REASKED
        lane.throttle.throttled(now, ticket.launched_at, jitter, failure.retry_after)
        if lane.throttle.since is not None and now - lane.throttle.since >= THROTTLED_FOR_TOO_LONG:
            advice = f"throttled for {THROTTLED_FOR_TOO_LONG / 60:.0f} minutes without one answer: a quota may be used up; {failure.advice}"
            self.park(Scope.LANE, *lane.key, replace(failure, advice=advice), now)
        return Verdict.THROTTLED

    def _rejected(self, ticket: Ticket, failure: Failure, now: float) -> Verdict:
        lane = ticket.lane
        parked = self._parks.get((Scope.LANE, self._name_of(Scope.LANE, lane)))
        if parked is not None and parked.failure.code == failure.code:
            lane.front.appendleft((ticket.ordinal, ticket.attempt))
            return Verdict.PARKED
        if not lane.varied:
            lane.varied = lane.first_code not in {None, failure.code}
            lane.first_code = failure.code
            lane.same_rejections += 1
            if not lane.varied and lane.same_rejections >= SAME_REJECTION_PARKS:
                advice = f"the first {SAME_REJECTION_PARKS} answers were all this: {failure.advice}; then run with --retry-rejected"
                self.park(Scope.LANE, *lane.key, replace(failure, advice=advice), now)
        return Verdict.REJECTED

    # Parks.

    def _probed(self, parked: _Parked, ticket: Ticket, result: Reply | Failure, now: float) -> None:
        """End the park if the provider took the probe; otherwise set the next."""
        key = (parked.scope, parked.name)
        if self._parks.get(key) is not parked:
            return
        match result:
            case Failure(fault=Fault.AGAIN | Fault.THROTTLED):
                stays = True
            case Failure(fault=Fault.PARK):
                stays = (result.scope, self._name_of(result.scope, ticket.lane)) == key
            case Failure(fault=Fault.REJECT):
                stays = result.code == parked.failure.code
            case _:
                stays = False
        if stays:
            self._probe_at(parked, now + self._probe_every)
            return
        del self._parks[key]
        for lane in parked.lanes:
            lane.throttle.since = None
            self._wake(lane)

    def _parks_of(self, lane: _Lane) -> list[_Parked]:
        if not self._parks:
            return []
        keys = ((scope, self._name_of(scope, lane)) for scope in (Scope.LANE, Scope.WORKSPACE, Scope.ACCOUNT))
        return [self._parks[key] for key in keys if key in self._parks]

    @staticmethod
    def _name_of(scope: Scope, lane: _Lane) -> str:
        match scope:
            case Scope.ACCOUNT:
                return lane.plan.account
            case Scope.WORKSPACE:
                return lane.plan.workspace
            case _:
                return f"{lane.plan.workspace} {lane.plan.model}"
