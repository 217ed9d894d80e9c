"""The scheduler held against a slow model that looks at every lane and every row, for whatever says never or always."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, replace
from decimal import Decimal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from batchrun.core.ledger.attempts import Bound
from batchrun.core.limits.quota import Quota
from batchrun.core.model import Failure, Fault, Reply, Scope
from batchrun.core.money.budget import TOKENS, Cap, Purse
from batchrun.core.scheduling.alarms import TICK
from batchrun.core.scheduling.judging import SAME_REJECTION_PARKS, THROTTLED_FOR_SURE, THROTTLED_FOR_TOO_LONG, THROTTLED_IN_A_ROW
from batchrun.core.scheduling.outages import BELIEVED, SOON, TOO_LONG, TOO_LONG_AT_FIRST, Outage, never_met
from batchrun.core.scheduling.retries import take_due
from batchrun.core.scheduling.retry import BackToFront, Exhaust, Hold, Park, Reject, RetryPolicy, TryAgain, next_step
from batchrun.core.scheduling.scheduler import Drained, LanePlan, Launch, Scheduler, Ticket, Verdict, WaitUntil
from tests.laboratory import Result, again, answer, parks, rejected, throttled, unreached

POLICY = RetryPolicy(max_attempts=3, first=1.0, max=8.0, hold_in_doubt=True, outage=5_000.0)
PROBE_EVERY = 50.0
OUTAGE_AFTER = 4
SCOPES = (Scope.LANE, Scope.WORKSPACE, Scope.ACCOUNT)
AT_ONCE = "Throttling.Concurrency"
CODES = ("limit_requests", "insufficient_quota", "limit_burst_rate", AT_ONCE)
"""Of attempts, tokens, growth, and too many at once."""
RESULTS = st.one_of(
    st.just(answer()),
    st.just(answer()),
    st.builds(again, st.sampled_from([None, 0.5, 20.0])),
    st.just(unreached()),
    st.builds(throttled, st.sampled_from([None, 3.0, 90.0]), st.sampled_from(CODES)),
    st.builds(rejected, st.sampled_from(["one", "one", "other"])),
    st.builds(parks, st.sampled_from(SCOPES)),
    st.sampled_from([replace(each, in_doubt=True) for each in (again(), throttled(), rejected("one"), *map(parks, SCOPES))]),
)
QUOTAS = st.sampled_from([Quota(), Quota(), Quota(), Quota(rpm=60.0), Quota(rpm=6.0), Quota(tpm=6_000.0), Quota(600.0, 600.0)])
ANSWERED = 15
"""Tokens of an answer."""
JITTERS = st.floats(0, 0.999)
PLACES = st.integers(0, 30)
STEPS = st.sampled_from([0.0, 0.3, 1.0, 5.0, 49.0, 60.0, 700.0])

Key = tuple[str, str]


def most(ticket: Ticket) -> Bound:
    """What an attempt may cost: its row says."""
    return Bound(10, 10 + 20 * (ticket.ordinal % 3))


@dataclass(eq=False)
class SlowPark:
    key: tuple[Scope, str]
    failure: Failure
    probes: bool
    at: float = math.inf
    """When the next probe is due; infinity while one is out."""
    at_first: bool = False
    """Whether nothing that it concerns was answered before: an answer to another call that it concerns ends it."""


@dataclass(eq=False)
class SlowLane:
    plan: LanePlan
    pending: dict[int, tuple[float, int]]
    """Due time and attempt of every row that is neither in flight nor settled."""
    out: dict[int, tuple[Ticket, list[SlowPark]]] = field(default_factory=dict)
    settled: dict[int, Verdict] = field(default_factory=dict)
    unreleased: int = 0
    """Attempts settled and not yet released."""
    since: float | None = None
    throttles: int = 0
    """Since then."""
    answered_at: float = -math.inf
    """When the latest good answer came."""
    codes: list[str] = field(default_factory=list)
    varied: bool = False
    good_at: float = -math.inf
    """When the latest call was launched that was answered."""
    failures: int = 0
    """In a row."""
    failing_since: float | None = None
    refused_since: float | None = None
    """When the first refusal came that would park it."""
    suspect: bool = False
    """It tries with one call at a time because of such a one."""
    short: int = 0
    """What its next row may cost, where its budget has too little left, and others' attempts are paid from it."""
    aside: set[int] = field(default_factory=set)
    """Rows that its budget can not pay whatever those cost."""
    broke: SlowPark | None = None
    """What parked it when all others were done."""

    @property
    def tries(self) -> bool:
        """Whether it does so with one call at a time."""
        return self.failures >= OUTAGE_AFTER or self.suspect

    def taken(self) -> None:
        """Take note that the provider said something else, or that it is parked for what it said at first."""
        self.failures, self.failing_since, self.refused_since, self.suspect = 0, None, None, False

    @property
    def key(self) -> Key:
        return self.plan.workspace, self.plan.model

    def stands_in(self, key: tuple[Scope, str]) -> bool:
        return key in {(Scope.LANE, " ".join(self.key)), (Scope.WORKSPACE, self.plan.workspace), (Scope.ACCOUNT, self.plan.account)}

    def named(self, scope: Scope) -> tuple[Scope, str]:
        names = {Scope.LANE: " ".join(self.key), Scope.WORKSPACE: self.plan.workspace, Scope.ACCOUNT: self.plan.account}
        return scope, names[scope]


@dataclass(eq=False)
class SlowPurse:
    purse: Purse
    cap: int
    spent: int = 0
    promised: int = 0

    @classmethod
    def of(cls, tokens: int) -> SlowPurse:
        return cls(Purse(Cap("budget", Decimal(tokens), TOKENS)), tokens)


class Machine(RuleBasedStateMachine):
    @initialize(
        shapes=st.lists(
            st.tuples(st.sampled_from([1, 2, 3, 6]), st.sampled_from("ab"), st.lists(st.integers(0, 8), min_size=1, max_size=3)),
            min_size=1,
            max_size=6,
        ),
        lane_slots=st.lists(st.sampled_from([None, 1, 2]), min_size=3, max_size=3),
        pools=st.fixed_dictionaries(dict.fromkeys("ab", QUOTAS)),
        of_lanes=QUOTAS,
        of_workspaces=QUOTAS,
        tokens=st.sampled_from([1.0, 40.0, 900.0]),
        budget=st.sampled_from([None, None, 0, 50, 90, 400]),
        wait=st.booleans(),
    )
    def begin(self, shapes, lane_slots, pools, of_lanes, of_workspaces, tokens, budget, wait):
        self.purses = {} if budget is None else {f"w{place}": SlowPurse.of(budget) for place in range(len(shapes))}
        plans = [
            LanePlan(
                f"w{place}",
                f"m{model}",
                account,
                range(rows),
                rows,
                slots,
                lane_slots[model],
                weight=1.0 + place % 3,
                tokens=lambda ordinal: tokens * (1 + ordinal % 5),
                quota=of_lanes,
                workspace_quota=of_workspaces,
                pool_quota=pools[account],
                purses=(self.purses[f"w{place}"].purse,) if self.purses else (),
            )
            for place, (slots, account, counts) in enumerate(shapes)
            for model, rows in enumerate(counts)
        ]
        self.scheduler = Scheduler(plans, POLICY, probe_every=PROBE_EVERY, wait_for_parked=wait)
        for each in self.scheduler._lanes.values():
            each.outage = Outage(OUTAGE_AFTER)
        self.lanes = {(plan.workspace, plan.model): SlowLane(plan, dict.fromkeys(plan.rows, (0.0, 1))) for plan in plans}
        self.wait, self.now, self.stopped = wait, 0.0, False
        self.parks: dict[tuple[Scope, str], SlowPark] = {}
        self.closed: set[str] = set()
        self.held: list[Ticket] = []
        self.last: WaitUntil | Drained | None = None

    # What happens.

    @rule()
    def launch_all(self):
        while True:
            # Who keeps a slot lets it go where its pool pauses.
            opens = {key: self._opens_at(lane, may_have_kept=True) for key, lane in self.lanes.items()}
            step = self.scheduler.next(self.now)
            if not isinstance(step, Launch):
                break
            assert opens[step.ticket.workspace, step.ticket.model] <= self.now + TICK, "it was held back"
            self._launched(step.ticket)
            self._pay_for(step.ticket)
        self.last = step
        match step:
            case WaitUntil(at):
                self._check_wait(at)
            case Drained(parked):
                self._check_drained(parked)

    @rule(seconds=STEPS)
    def time_passes(self, seconds):
        self.now += seconds

    @precondition(lambda self: isinstance(self.last, WaitUntil) and self.now < self.last.at < math.inf)
    @rule()
    def time_comes(self):
        assert isinstance(self.last, WaitUntil)
        self.now = self.last.at
        self.launch_all()

    @precondition(lambda self: any(park.at < math.inf for park in self.parks.values()))
    @rule(result=RESULTS)
    def probes_come_due_and_end_alike(self, result):
        self.now = max(self.now, *(park.at for park in self.parks.values() if park.at < math.inf))
        self.launch_all()
        for ticket in [ticket for lane in self.lanes.values() for ticket, probed in lane.out.values() if probed]:
            self._end(ticket, result, 0.5, hold=False)

    @precondition(lambda self: any(lane.out for lane in self.lanes.values()))
    @rule(place=PLACES, result=RESULTS, jitter=JITTERS, hold=st.booleans())
    def attempt_ends(self, place, result, jitter, hold):
        self._end(self._out_at(place), result, jitter, hold=hold)

    @precondition(lambda self: any(lane.out for lane in self.lanes.values()))
    @rule(result=RESULTS, jitter=JITTERS)
    def all_attempts_end_alike(self, result, jitter):
        for ticket in self._out():
            self._end(ticket, result, jitter, hold=False)

    @rule(taken=st.integers(0, 2), times=st.integers(1, 3))
    def no_more_are_taken_at_once(self, taken, times):
        for _ in range(times):
            self.launch_all()
            for ticket in self._out()[taken:]:
                self._end(ticket, throttled(code=AT_ONCE), 0.5, hold=False)

    @precondition(lambda self: self.held)
    @rule()
    def an_entry_is_handed_on(self):
        self._release(self.held.pop(0))

    @precondition(lambda self: not self.purses and any(lane.out for lane in self.lanes.values()))
    @rule(place=PLACES)
    def a_row_cannot_be_read(self, place):
        ticket = self._out_at(place)
        lane = self.lanes[ticket.workspace, ticket.model]
        _, probed = lane.out.pop(ticket.ordinal)
        for park in probed:
            park.at = self.now
        lane.settled[ticket.ordinal] = Verdict.REJECTED
        self.scheduler.drop(ticket)
        self.scheduler.release(ticket)

    @precondition(lambda self: not self.purses and any(lane.out for lane in self.lanes.values()))
    @rule(place=PLACES)
    def an_attempt_waited(self, place):
        ticket = self._out_at(place)
        lane = self.lanes[ticket.workspace, ticket.model]
        _, probed = lane.out[ticket.ordinal]
        parked = any(park not in probed for park in self._parks_of(lane)) or lane.plan.workspace in self.closed
        paused = any(each.waits_until > self.now for each in self.scheduler._lanes[lane.key].limiters)
        assert self.scheduler.may_still_go(ticket, self.now) is not (self.stopped or parked or paused)
        if self.stopped or parked or paused:
            self._taken_back(lane, ticket)

    @rule(place=PLACES, scope=st.sampled_from(SCOPES), probe=st.booleans(), rarely=st.integers(0, 3))
    def someone_parks(self, place, scope, probe, rarely):
        if not rarely:
            lane = list(self.lanes.values())[place % len(self.lanes)]
            self.scheduler.park(scope, lane.plan.workspace, lane.plan.model, parks(scope), self.now, probe=probe)
            self._park(lane.named(scope), parks(scope), probes=probe)

    @rule(place=PLACES, rarely=st.integers(0, 3))
    def a_workspace_closes(self, place, rarely):
        if not rarely:
            name = list(self.lanes)[place % len(self.lanes)][0]
            self.scheduler.close(name, parks(Scope.WORKSPACE))
            self.closed.add(name)

    @precondition(lambda self: self.closed)
    @rule(place=PLACES)
    def a_workspace_opens(self, place):
        self._open(sorted(self.closed)[place % len(self.closed)])

    @rule(rarely=st.integers(0, 15))
    def someone_stops(self, rarely):
        if not rarely:
            self.stopped = True
            self.scheduler.stop()

    # What must hold.

    @invariant()
    def slots_are_never_overdrawn(self):
        for name in {key[0] for key in self.lanes}:
            mine = [lane for lane in self.lanes.values() if lane.plan.workspace == name]
            assert self._in_flight(name) <= mine[0].plan.concurrency
            assert self._in_flight(name) == self.scheduler.in_flight_of(name)
            for lane in mine:
                assert len(lane.out) + lane.unreleased <= (lane.plan.lane_concurrency or lane.plan.concurrency)
        assert self.scheduler.in_flight == sum(len(lane.out) + lane.unreleased for lane in self.lanes.values())
        for name, pool in self.scheduler._queues.pools.items():
            mine = [lane for lane in self.lanes.values() if lane.plan.pool_name == name]
            assert pool.crowd.under_way == sum(len(lane.out) + lane.unreleased for lane in mine)

    @invariant()
    def every_row_is_in_one_place_and_left_is_exact(self):
        for lane in self.lanes.values():
            assert len(lane.pending) + len(lane.out) + len(lane.settled) == lane.plan.count
        assert self.scheduler.left() == {key: len(lane.pending) + len(lane.out) for key, lane in self.lanes.items()}

    @invariant()
    def no_budget_is_overspent(self):
        for slow in self.purses.values():
            page = slow.purse.page(0.0)
            assert slow.spent + slow.promised <= slow.cap
            assert page.spent == slow.spent
            assert page.promised == slow.promised

    def teardown(self):
        """Whatever happened, answers alone bring the run to its end in bounded steps, once all is open."""
        if not hasattr(self, "scheduler"):
            return
        for name in sorted(self.closed):
            self._open(name)
        for _ in range(2000):
            self.launch_all()
            if not isinstance(self.last, WaitUntil):
                break
            if not self.scheduler.in_flight:
                self.now = self.last.at
            for ticket in self._out():
                self._end(ticket, answer(), 0.5, hold=False)
            while self.held:
                self._release(self.held.pop())
        assert isinstance(self.last, Drained)
        if not self.stopped:
            assert not any(lane.pending for lane in self.lanes.values() if not self._parks_of(lane))
            assert not self.wait or not any(
                lane.pending for lane in self.lanes.values() if all(park.probes for park in self._parks_of(lane))
            )

    # The model.

    def _out(self):
        return [ticket for lane in self.lanes.values() for ticket, _ in lane.out.values()]

    def _out_at(self, place):
        out = self._out()
        return out[place % len(out)]

    def _in_flight(self, workspace):
        return sum(len(lane.out) + lane.unreleased for lane in self.lanes.values() if lane.plan.workspace == workspace)

    def _parks_of(self, lane):
        return [park for key, park in self.parks.items() if lane.stands_in(key)]

    def _opens_at(self, lane, *, may_have_kept=False):
        """When *lane* may launch its next row, as far as slots and quotas let it: infinity where no time alone helps."""
        fit, real = self._fit_at(lane, may_have_kept=may_have_kept), self.scheduler._lanes[lane.key]
        if fit == math.inf or real.pool.crowd.under_way >= real.pool.crowd.at_once.limit:
            return math.inf
        left = self.now if may_have_kept else real.workspace.free_at(self.now, real, self._tokens(real))
        return max(fit, left, *(each.free_at(self.now, self._tokens(real)) for each in real.limiters))

    def _fit_at(self, lane, *, may_have_kept=False):
        """The same, if no quota held it back, nor its pool."""
        real, name = self.scheduler._lanes[lane.key], lane.plan.workspace
        kept = 0 if may_have_kept else sum(other is not real for other in self._kept(name))
        return math.inf if self._in_flight(name) + kept >= lane.plan.concurrency else self._own_fit_at(lane)

    def _kept(self, workspace):
        """Lanes that keep a slot of the workspace: its turn came when there was none, and they wait for room at their pool's head."""
        return [real for real in self.scheduler._lanes.values() if real.workspace.name == workspace and real.in_turn]

    def _own_fit_at(self, lane):
        """The same, if its workspace had a slot for it."""
        real = self.scheduler._lanes[lane.key]
        blocked = len(lane.out) + lane.unreleased >= min(real.slots.limit, real.at_once.limit)
        if self.stopped or blocked or not lane.pending.keys() - lane.aside or lane.short or lane.plan.workspace in self.closed:
            return math.inf
        due = min(at for ordinal, (at, _) in lane.pending.items() if ordinal not in lane.aside)
        tries = real.outage.free_at(self.now) if lane.tries else -math.inf
        return max(due, tries, *(park.at if park.probes else math.inf for park in self._parks_of(lane)))

    def _tokens(self, real):
        """What its next row is expected to cost."""
        take_due(real, self.now)
        return real.next_tokens() if real.front or real.undrawn else real.plan.tokens(real.retries[0][2])

    def _turn_at(self, lane):
        """When the quota that it waits for has room for the row whose turn it is: a smaller one waits behind it.

        Not behind one that something of its own holds back; its turn in a pool comes though its workspace has no slot, and it is next then.
        """
        real = self.scheduler._lanes[lane.key]
        if real.in_pool:
            first, quota, fit_at = real.pool.queue[0][2], real.pool.limiter, self._own_fit_at
        elif real in real.workspace.waiting and real.workspace.limiter is not None:
            first, quota, fit_at = real.workspace.waiting[0], real.workspace.limiter, self._fit_at
        else:
            return -math.inf
        return quota.free_at(self.now, self._tokens(first)) if fit_at(self.lanes[first.key]) <= self.now else -math.inf

    def _running(self):
        """Something is in flight, or will be without any probe."""
        waiting = not self.stopped and any(
            lane.pending and not self._parks_of(lane) and lane.plan.workspace not in self.closed for lane in self.lanes.values()
        )
        return waiting or self.scheduler.in_flight > 0

    def _worth_waiting_for(self):
        """A parked or closed lane has rows, and all that parks it is probed."""
        return (
            self.wait
            and not self.stopped
            and any(lane.pending and all(park.probes for park in self._parks_of(lane)) for lane in self.lanes.values())
        )

    def _launched(self, ticket):
        lane = self.lanes[ticket.workspace, ticket.model]
        assert not self.stopped
        due, attempt = lane.pending.pop(ticket.ordinal)
        assert due <= self.now
        assert attempt == ticket.attempt <= POLICY.max_attempts
        probed = self._parks_of(lane)
        for park in probed:
            park.at = math.inf
        lane.out[ticket.ordinal] = ticket, probed

    def _pay_for(self, ticket):
        """Set aside what the attempt may cost, or take the row back."""
        lane, slow = self.lanes[ticket.workspace, ticket.model], self.purses.get(ticket.workspace)
        assert ticket.ordinal not in lane.aside
        price = sum(most(ticket))
        if self.scheduler.afford(ticket, most(ticket), 0.0):
            if slow is not None:
                assert slow.spent + slow.promised + price <= slow.cap
                slow.promised += price
            return
        assert slow is not None
        assert slow.spent + slow.promised + price > slow.cap
        if slow.promised and slow.spent + price <= slow.cap:
            lane.short = price
        else:
            lane.aside.add(ticket.ordinal)
        self._taken_back(lane, ticket)
        self._rest(lane)

    def _rest(self, lane):
        """All that are left of it stand aside: it parks."""
        key = lane.named(Scope.LANE)
        if lane.aside and not lane.out and lane.aside == set(lane.pending) and self.parks.get(key) is not (lane.broke or lane):
            self._park(key, parks(Scope.LANE), probes=False)
            lane.broke = self.parks[key]

    def _taken_back(self, lane: SlowLane, ticket: Ticket) -> None:
        _, probed = lane.out.pop(ticket.ordinal)
        lane.pending[ticket.ordinal] = self.now, ticket.attempt
        for park in probed:
            if self.parks.get(park.key) is park:
                park.at = self.now
        self.scheduler.release(ticket)

    def _spend(self, lane, ticket, result):
        slow = self.purses.get(lane.plan.workspace)
        if slow is None:
            return
        slow.promised -= sum(most(ticket))
        if isinstance(result, Reply):
            slow.spent += ANSWERED
        elif result.in_doubt:
            slow.spent += sum(most(ticket))
        short = [each for each in self.lanes.values() if each.short and each.plan.workspace == lane.plan.workspace]
        has_enough = not slow.promised or slow.spent + slow.promised + sum(each.short for each in short) <= slow.cap
        for each in short:
            # Where there is not enough for all of them, whose turn it is decides (`test_paying.py`).
            if has_enough or self.scheduler._lanes[each.key].short_of is None:
                each.short = 0

    def _open(self, name):
        self.scheduler.open(name)
        self.closed.discard(name)
        for lane in self.lanes.values():
            if lane.plan.workspace == name:
                lane.since = lane.failing_since = lane.refused_since = None

    def _check_wait(self, at):
        assert at > self.now
        assert self._running() or self._worth_waiting_for()
        for name, workspace in self.scheduler._queues.workspaces.items():
            assert workspace.turns == len(kept := self._kept(name))
            assert self.stopped or all(real.in_pool and real.is_next for real in kept), "a slot is kept for nothing"
            assert workspace.reserve.holder in {None, *kept}, "some of its rate is left for nothing"
        for pool in self.scheduler._queues.pools.values():
            assert all(real.in_turn for real in pool.keeps)
        growing = {key for key, real in self.scheduler._lanes.items() if any(each.ramp.bucket is not None for each in real.limiters)}
        # A row that was refused for its tokens again and again steps aside, of which the model knows nothing: `test_too_large.py` does.
        aside = {key for key, real in self.scheduler._lanes.items() if real.too_large.cost < math.inf}
        for key, lane in self.lanes.items():
            # A held entry's lane is looked at when its slot comes back.
            if not lane.unreleased and key not in aside:
                opens = max(self._opens_at(lane), self._turn_at(lane))
                # A ramp grows while it is waited for: what it said before was a little late, and something else may come just before it.
                assert opens > self.now or key in growing, "a lane that could launch did not"
                assert at <= opens + 1e-3, "the next thing due would be missed"

    def _check_drained(self, parked):
        assert not self._running()
        assert not self._worth_waiting_for()
        rows = Counter[tuple[Scope, str]]()
        for lane in self.lanes.values():
            # What is parked as well waits for more than its workspace's hours.
            name = lane.plan.workspace
            for key in [key for key in self.parks if lane.stands_in(key)] or [(Scope.WORKSPACE, name)] * (name in self.closed):
                rows[key] += len(lane.pending)
        assert Counter({(each.scope, each.name): each.rows for each in parked}) == +rows

    def _park(self, key, failure, *, probes, at_first=False):
        if key not in self.parks or not probes:
            self.parks[key] = SlowPark(key, failure, probes, self.now + PROBE_EVERY, at_first)

    def _end(self, ticket, result, jitter, *, hold):
        lane = self.lanes[ticket.workspace, ticket.model]
        _, probed = lane.out.pop(ticket.ordinal)
        verdict = self.scheduler.settle(ticket, result, self.now, jitter)
        for park in probed:
            self._probed(park, lane, result)
        self._spend(lane, ticket, result)
        self._judge(lane, ticket, result, jitter, verdict)
        lane.unreleased += 1
        if verdict.final and hold:
            self.held.append(ticket)
        else:
            self._release(ticket)

    def _release(self, ticket):
        self.lanes[ticket.workspace, ticket.model].unreleased -= 1
        self.scheduler.release(ticket)

    def _probed(self, park: SlowPark, lane: SlowLane, result: Result) -> None:
        if self.parks.get(park.key) is not park:
            return
        match result:
            case Failure(fault=Fault.AGAIN | Fault.THROTTLED):
                stays = True
            case Failure(fault=Fault.PARK):
                stays = lane.named(result.scope) == park.key
            case Failure(fault=Fault.REJECT):
                stays = result.code == park.failure.code
            case _:
                stays = False
        if stays:
            shows_nothing = isinstance(result, Failure) and result.fault is Fault.THROTTLED and park.failure.fault is not Fault.THROTTLED
            park.at = self.now + (PROBE_EVERY / 10 if shows_nothing else PROBE_EVERY)
            return
        self._unpark(park)

    def _unpark(self, park: SlowPark) -> None:
        del self.parks[park.key]
        for each in self.lanes.values():
            if each.stands_in(park.key):
                each.since = each.failing_since = each.refused_since = None

    def _end_parks_at_first(self, lane):
        for park in [each for each in self.parks.values() if each.at_first and lane.stands_in(each.key)]:
            self._unpark(park)

    def _is_no_fault_of_its_row(self, ticket, result):
        """Whether a call failed for an outage, as that tells it: no attempt of its row is used up."""
        real = ticket.lane
        if ticket.attempt == 1 or result.fault is not Fault.AGAIN or self.now - ticket.launched_at > SOON:
            return False
        return real.outage.is_to_blame(real.good_at, real.left - real.aside.rows - real.undrawn)

    def _judge(self, lane, ticket, result: Result, jitter, verdict):
        if isinstance(result, Failure) and result.fault is Fault.AGAIN:
            self._fails(lane, ticket, result)
            if never_met(result):
                assert verdict is Verdict.AGAIN
                delay = 0.0 if lane.tries else jitter * POLICY.first
                lane.pending[ticket.ordinal] = self.now + delay, ticket.attempt
                return
        elif isinstance(result, Reply) or result.fault is not Fault.PARK:
            lane.taken()
        if isinstance(result, Reply):
            lane.since, lane.varied = None, True
            lane.good_at = max(lane.good_at, ticket.launched_at)
            lane.answered_at = self.now
            assert verdict is Verdict.ANSWERED
            self._end_parks_at_first(lane)
            self._settle(lane, ticket, verdict)
            return
        attempt = ticket.attempt - self._is_no_fault_of_its_row(ticket, result)
        match next_step(POLICY, result, attempt, jitter):
            case TryAgain(delay):
                assert verdict is Verdict.AGAIN
                lane.pending[ticket.ordinal] = self.now + delay, attempt + 1
            case BackToFront():
                self._throttled(lane, ticket, result, verdict)
            case Park():
                self._refused(lane, ticket, result, verdict)
            case Exhaust() | Hold():
                assert verdict is (Verdict.HELD if result.in_doubt else Verdict.EXHAUSTED)
                self._settle(lane, ticket, verdict)
            case Reject():
                self._rejected(lane, ticket, result, verdict)

    def _throttled(self, lane, ticket, failure, verdict):
        self._put_back(lane, ticket, failure, verdict, Verdict.THROTTLED)
        lane.since, lane.throttles = (self.now, 1) if lane.since is None else (lane.since, lane.throttles + 1)
        alone = not lane.out and not lane.unreleased
        if self.now - lane.since < (THROTTLED_FOR_TOO_LONG if alone else THROTTLED_FOR_SURE):
            return
        pool = [each for each in self.lanes.values() if each.plan.pool_name == lane.plan.pool_name]
        if lane.throttles >= THROTTLED_IN_A_ROW or all(each.answered_at < lane.since for each in pool):
            self._park(lane.named(Scope.LANE), failure, probes=True)

    def _refused(self, lane, ticket, failure, verdict):
        """It is believed at once of what had no answer, and of a probe; of others later, and of the lane alone while they are well."""
        scope = lane.named(failure.scope)
        good_at = max((each.good_at for each in self.lanes.values() if each is not lane and each.stands_in(scope)), default=-math.inf)
        parked, first = scope in self.parks, not lane.varied
        if (lane.varied or (good_at > -math.inf and not parked)) and not ticket.probes:
            lane.suspect = True
            lane.refused_since = self.now if lane.refused_since is None else lane.refused_since
            if self.now - lane.refused_since < BELIEVED:
                self._put_back(lane, ticket, failure, verdict, Verdict.AGAIN)
                return
        others_are_well = good_at > min(ticket.launched_at, math.inf if lane.refused_since is None else lane.refused_since)
        if not lane.varied and (good_at == -math.inf or parked or ticket.probes):
            lane.taken()
        self._put_back(lane, ticket, failure, verdict, Verdict.PARKED)
        if not parked:
            at_first = first and good_at == -math.inf and not ticket.probes
            self._park(lane.named(Scope.LANE) if others_are_well else scope, failure, probes=True, at_first=at_first)

    def _put_back(self, lane, ticket, failure, verdict, otherwise):
        """What is in doubt is held, and never sent again."""
        assert verdict is (Verdict.HELD if failure.in_doubt else otherwise)
        if verdict is Verdict.HELD:
            self._settle(lane, ticket, verdict)
        else:
            lane.pending[ticket.ordinal] = self.now, ticket.attempt

    def _fails(self, lane, ticket, failure):
        if self.now - ticket.launched_at <= SOON or never_met(failure):
            lane.failures += 1
            lane.failing_since = self.now if lane.failing_since is None else lane.failing_since
        too_long = TOO_LONG_AT_FIRST if not lane.varied else POLICY.outage if never_met(failure) else TOO_LONG
        for_long = lane.failing_since is not None and self.now - lane.failing_since >= too_long
        if lane.tries and for_long:
            self._park(lane.named(Scope.LANE), failure, probes=True)

    def _rejected(self, lane, ticket, failure, verdict):
        park = self.parks.get(lane.named(Scope.LANE))
        if park is not None and park.failure.code == failure.code:
            self._put_back(lane, ticket, failure, verdict, Verdict.PARKED)
            return
        assert verdict is Verdict.REJECTED
        self._settle(lane, ticket, verdict)
        lane.codes.append(failure.code)
        lane.varied = lane.varied or len(set(lane.codes)) > 1
        if not lane.varied and len(lane.codes) >= SAME_REJECTION_PARKS:
            self._park(lane.named(Scope.LANE), failure, probes=True)

    def _settle(self, lane, ticket, verdict):
        assert ticket.ordinal not in lane.settled, "settled twice"
        lane.settled[ticket.ordinal] = verdict
        self._rest(lane)


Machine.TestCase.settings = settings(max_examples=2 * settings().max_examples, stateful_step_count=40, deadline=None)
TestScheduler = Machine.TestCase


KEEPS = (
    [(1, "a", [2]), (2, "a", [2, 3, 2]), (1, "a", [0]), (1, "a", [1]), (1, "b", [5]), (2, "a", [1, 2, 2])],
    [(1, "a", [2]), (2, "a", [2, 2, 3]), (1, "a", [0]), (1, "a", [1]), (1, "b", [5]), (1, "a", [1, 2, 2])],
)


@pytest.mark.parametrize(("shapes", "slots"), [*zip(KEEPS, (1, None), strict=True)])
def test_a_small_row_goes_by_a_large_one_for_which_too_little_is_left_of_what_is_kept_for_another_lane(shapes, slots):
    """It had waited for the pool of the one that it is kept for, ten seconds, while its workspace sent nothing."""
    machine = Machine()
    pools = {"a": Quota(rpm=6.0), "b": Quota()}
    quotas = Quota(rpm=600.0, tpm=600.0)
    machine.begin(
        shapes=shapes,
        lane_slots=[None, slots, None],
        pools=pools,
        of_lanes=Quota(),
        of_workspaces=quotas,
        tokens=40.0,
        budget=90,
        wait=False,
    )
    machine.teardown()
