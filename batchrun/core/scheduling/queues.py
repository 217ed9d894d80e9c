"""How a lane comes to launch, or to wait: the queues of a run's lanes, and of the pools whose quotas they share.

Rules

- A lane that cannot launch is registered with exactly one thing that holds it back: a time, its own slots, its workspace, its pool, a
  park, a budget, or nothing left to send. Only what frees that thing wakes it, so a decision costs the same with one lane as with a
  thousand.
- A throttled, parked or empty lane is in no queue that another lane waits behind: it costs the others nothing.

Theory of operation. `_ready` holds the lanes worth a look. A lane that nothing of its own holds back (rows, a pause, slots, its workspace's
rate) joins the queue of its pool; a pool that its quota lets go takes the lane whose fair turn it is, looks at it once more, and launches
one of its rows. What an attempt will cost is estimated; settling it corrects lane, workspace and pool. A lane that waits for its workspace
stands in the workspace's queue: each slot given back, and each time its rate allows, gives one of them its turn, for which a slot is kept
until it launches, or turns out to be held back by something else and passes the turn on. Times stand in one heap; whatever changes its
mind leaves a stale entry behind, which is recognised by its number and dropped when its time comes.

A lane needs its workspace and its pool at once, and another model of the workspace may be quicker to take whatever comes free. So a lane
that is next in its pool keeps its turn there while its workspace has nothing for it. Once it has a slot it is at the pool's head again, and
keeps that slot, and what it will need of the workspace's rate (`reserve.py`), until the pool has room: as long as its row takes there.
Nothing is kept where nobody else waits for the pool, whose room stays then, nor for longer than a minute, nor while the pool pauses.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from batchrun.core.limits.quota import NO_QUOTA
from batchrun.core.scheduling.alarms import Alarms
from batchrun.core.scheduling.decisions import Ticket
from batchrun.core.scheduling.lane_of import lane_of
from batchrun.core.scheduling.lane_plan import LanePlan
from batchrun.core.scheduling.lanes import Lane, Pool, Workspace
from batchrun.core.scheduling.parking import Parked, Parking
from batchrun.core.scheduling.retries import are_too_large, take_due

_LONGEST_KEPT = 60.0
"""Seconds for which a slot is kept for a lane that is next in its pool."""


class Queues:
    """The lanes of a run, each where it stands; told the time."""

    def __init__(self) -> None:
        self.workspaces: dict[str, Workspace] = {}
        self.pools: dict[str, Pool] = {}
        self.lanes: dict[tuple[str, str], Lane] = {}
        self.alarms: Alarms[Lane | Pool | Workspace | Parked] = Alarms()
        self.parking = Parking(self.lanes)
        self.in_flight = 0
        """Attempts launched and not yet released."""
        self.look = 0
        """Its number: what came since an earlier one may hold back what that found free."""
        self._ready: deque[Lane] = deque()
        self._ready_pools: deque[Pool] = deque()

    def add(self, plan: LanePlan) -> None:
        """Let a lane be one of them."""
        lane = lane_of(plan, self.workspaces, self.pools)
        self.lanes[lane.key] = lane
        self.wake(lane)

    def finished(self, lane: Lane) -> None:
        """No rows are left of *lane*."""
        pool = lane.pool
        pool.unfinished -= 1
        if pool.unfinished == 1:
            last = next(each for each in pool.lanes if each.left)
            last.is_alone()
            self.wake(last)

    @property
    def has_ready(self) -> bool:
        """Whether any lane or pool is worth a look."""
        return bool(self._ready or self._ready_pools)

    def launched(self, now: float) -> Ticket | None:
        """Launch the next row that may go; None where none may, each lane being registered with what holds it back."""
        ready, ready_pools = self._ready, self._ready_pools
        while ready or ready_pools:
            while ready:
                lane = ready.popleft()
                lane.queued = False
                if not lane.in_pool and self._may_launch(lane, now):
                    lane.fit_at = self.look
                    self._join(lane, now)
            if ready_pools and (ticket := self._from_pools(now)) is not None:
                return ticket
        return None

    def _may_launch(self, lane: Lane, now: float) -> bool:
        """Whether nothing but its pool holds *lane* back; otherwise it stands registered with what does when this returns."""
        if lane.retries:
            take_due(lane, now)
        workspace, too_large = lane.workspace, lane.too_large
        if self.parking.stops_any and any(not parked.probe_due for parked in self.parking.of(lane)):
            pass  # The end of the park, or its next probe, wakes it.
        elif lane.short_of is not None or lane.in_flight >= lane.slots.limit or lane.in_flight >= lane.at_once.limit:
            # The end of an attempt wakes it: of one that is paid from the same budget, or of its own next.
            lane.waited = lane.waited or lane.slots.limit <= lane.in_flight < lane.at_once.limit
        elif not (lane.front or lane.undrawn):
            if lane.retries:
                self.alarms.ring_at(lane, lane.retries[0][0])
        elif now < too_large.until and are_too_large(lane, now):
            self.alarms.ring_at(lane, min(too_large.until, lane.retries[0][0]))
        elif (at := lane.free_at(now)) > now:
            self.alarms.ring_at(lane, at)
            lane.waited = lane.waited or lane.plan.quota != NO_QUOTA
        elif workspace.in_flight + workspace.turns - lane.in_turn >= workspace.slots:
            self._queue(lane)
            return False
        elif workspace.limiter is not None and (at := workspace.free_at(now, lane, lane.next_tokens())) > now:
            self._queue(lane, at)
            self._let_by(workspace, now)
            return False
        else:
            return True
        self._end_turn(lane)
        lane.rested, lane.is_next = True, False
        self.pass_turn_on(workspace)
        return False

    def _queue(self, lane: Lane, free_at: float | None = None) -> None:
        """Let *lane* wait for its workspace: where it was, if it was its turn and another was quicker.

        What its rate will allow then is the first's; a larger row behind that has its own time later.
        """
        workspace, had_turn = lane.workspace, lane.in_turn
        lane.queued = lane.waited = True
        self._end_turn(lane)
        workspace.queue(lane, keeps_place=had_turn)
        if free_at is not None and workspace.waiting[0] is lane:
            self.alarms.ring_at(workspace, free_at)

    def _let_by(self, workspace: Workspace, now: float) -> None:
        """Where what *workspace* keeps for one lane leaves too little for the first that waits, the next one goes that it is enough for."""
        if workspace.reserve.holder is None or workspace.in_flight + workspace.turns >= workspace.slots:
            return
        fits = next((each for each in workspace.waiting if workspace.free_at(now, each, each.next_tokens()) <= now), None)
        if fits is not None:
            workspace.waiting.remove(fits)
            self._give_turn(fits)

    @staticmethod
    def _end_turn(lane: Lane) -> None:
        if lane.in_turn:
            lane.workspace.turns -= 1
            lane.in_turn = False
            if lane.is_next:
                lane.pool.keeps.pop(lane, None)
                lane.workspace.reserve.give_up(lane)

    def _join(self, lane: Lane, now: float) -> None:
        pool, lane.joined_at = lane.pool, now
        pool.join(lane)
        if lane.in_turn:
            pool.turns.append(lane)
        if not pool.active:
            self.look_at(pool)

    def look_at(self, pool: Pool) -> None:
        """Let *pool* be worth a look."""
        if not pool.active:
            pool.active = True
            pool.alarm = 0
            self._ready_pools.append(pool)

    def _from_pools(self, now: float) -> Ticket | None:
        """Launch from the first pool that its quota lets go; pools take turns."""
        while self._ready_pools:
            pool = self._ready_pools[0]
            if not pool.queue:
                self._rest_pool(pool)
                continue
            crowd = pool.crowd
            if crowd.under_way >= crowd.at_once.limit:
                crowd.is_full = True
                self._ready_pools.popleft().active = False
                self._pass_turns_on(pool, now, keeps=True)
                continue
            lane = pool.queue[0][2]
            tokens = lane.next_tokens()
            if tokens >= lane.too_large.cost and now < lane.too_large.until:
                self.wake(pool.pop())
            elif self.parking.stops_any and not self._is_fit(lane, now):
                pool.pop()
            elif (at := pool.free_at(now, tokens)) > now:
                self._ready_pools.popleft().active = False
                self._wait_for_room(pool, lane, now, at)
            else:
                pool.pop()
                if pool.queue:
                    self._ready_pools.rotate(-1)
                else:
                    self._rest_pool(pool)
                if self._is_fit(lane, now):
                    return self._launch(lane, now, tokens)
                if lane.queued:
                    # It waits for its workspace now, and does not lose its place here by it.
                    lane.is_next = True
        return None

    def _wait_for_room(self, pool: Pool, lane: Lane, now: float, at: float) -> None:
        """Let *pool*, at whose head *lane* stands, be looked at when it has room for its row."""
        self.alarms.ring_at(pool, at)
        keeps = at - now <= _LONGEST_KEPT
        if keeps and lane.in_turn and (lane.is_next or len(pool.queue) > 1):
            lane.is_next = True
            lane.workspace.reserve.keep(lane, at)
            self.look += 1
            self.pass_turn_on(lane.workspace)
        self._pass_turns_on(pool, now, keeps=keeps)

    def _is_fit(self, lane: Lane, now: float) -> bool:
        # Since it was looked at nothing was launched or kept but of other workspaces, so nothing can hold it back that did not then.
        return lane.fit_at == self.look or self._may_launch(lane, now)

    def _rest_pool(self, pool: Pool) -> None:
        """No lane waits for *pool*, the first of those worth a look: so none waits with a turn."""
        self._ready_pools.popleft()
        pool.active = False
        pool.turns.clear()

    def _launch(self, lane: Lane, now: float, tokens: float) -> Ticket:
        """Send the row at the front of *lane*, which is expected to cost so much."""
        ordinal, attempt = lane.front.popleft()
        probes = self.parking.probed_by(lane) if self.parking.stops_any else ()
        workspace = lane.workspace
        if workspace.lanes > 1:
            self.look += 1
        if lane.in_turn:
            self._end_turn(lane)
            lane.is_next = False
        if lane.outage.lasts:
            lane.outage.launch(now)
        crowd = lane.pool.crowd
        lane.in_flight += 1
        workspace.in_flight += 1
        crowd.under_way += 1
        lane.slots.sent(now)
        places = (lane.at_once.sent(now, lane.in_flight), crowd.at_once.sent(now, crowd.under_way))
        self.in_flight += 1
        lane.pool.serve(lane, tokens)
        lane.pool.blame.sent(lane.suspect, tokens)
        chance = lane.pool.chance
        chance.number += 1
        if chance.counts and (shown := chance.sent(now, lane.plan.workspace)) is not None:
            lane.pool.heed(shown, now)
            self.wake_freed(lane.pool)
        if now > lane.joined_at:
            lane.waited_for_pool(now - lane.joined_at)
        for each in lane.limiters:
            each.pay(now, tokens)
        self.wake(lane)
        if workspace.limiter is not None:
            # Where the workspace's rate is what limits, each launch sets the next lane's time.
            self.pass_turn_on(workspace)
        return Ticket(ordinal, attempt, now, lane, tokens, probes, (), places, chance.number)

    def wake(self, lane: Lane) -> None:
        """Let *lane* be worth a look, unless it waits for its turn anyway."""
        if not (lane.queued or lane.in_pool):
            lane.queued = True
            lane.alarm = 0
            self._ready.append(lane)

    def wake_freed(self, pool: Pool) -> None:
        """Let the lanes be worth a look whose pauses *pool* explains."""
        freed, pool.freed = pool.freed, []
        for lane in freed:
            self.wake(lane)

    def pass_turn_on(self, workspace: Workspace) -> None:
        """Give the next of the lanes that wait for *workspace* its turn, if there is a slot for it."""
        if workspace.waiting and workspace.in_flight + workspace.turns < workspace.slots:
            self._give_turn(workspace.waiting.popleft())

    def _give_turn(self, lane: Lane) -> None:
        lane.queued, lane.in_turn = False, True
        lane.workspace.turns += 1
        self.wake(lane)

    def _pass_turns_on(self, pool: Pool, now: float, *, keeps: bool) -> None:
        """Let others have the turns of those that are seen to wait for the pool; who is next there *keeps* its own, unless it pauses."""
        if not (pool.turns or pool.keeps):
            return
        turns, pool.turns = pool.turns, []
        keeps = keeps and pool.limiter.waits_until <= now
        if pool.keeps and not keeps:
            turns.extend(pool.keeps)
        for lane in turns:
            if not (lane.in_turn and lane.in_pool):
                continue  # It has launched since, or waits elsewhere.
            if lane.is_next and keeps:
                pool.keeps[lane] = None
            else:
                self._end_turn(lane)
                lane.is_next = False
            self.pass_turn_on(lane.workspace)

    def hold_back(self, lanes: Iterable[Lane]) -> None:
        """Something of their own holds *lanes* back from now on: nobody is to wait behind them for what their rows need."""
        for lane in lanes:
            if lane.in_pool or lane.queued:
                self.look_again(lane)

    def look_again(self, lane: Lane) -> None:
        """A limiter of the lane may have more room than it had: what waits for its pool or its workspace is due another look."""
        if lane.pool.queue and not lane.pool.active:
            self.look_at(lane.pool)
        if lane.workspace.waiting:
            self.pass_turn_on(lane.workspace)
