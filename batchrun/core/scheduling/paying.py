"""Lanes and the budgets that they are paid from: what an attempt may cost is set aside before it is sent, and what it did cost paid after.

Budgets are asked when a row was read, for only then its bound is known. A row that they have too little left for goes back, and its lane
waits for what is under way, which may cost less than was set aside. Where nothing is, or that would not be enough, the row stands aside
(`aside.py`), and the lane goes on with others, which may cost less; when all that are left of it stand aside, it parks. A budget by the day
or the month that comes anew brings them back (`renew`). Whose turn it is of lanes that wait for the same budget is told in `short.py`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import partial

from batchrun.core.model import Failure, Reply, Scope
from batchrun.core.money.budget import Lack, Purse, broke
from batchrun.core.scheduling.decisions import Ticket
from batchrun.core.scheduling.lanes import Lane
from batchrun.core.scheduling.parking import Parked
from batchrun.core.scheduling.queues import Queues
from batchrun.core.scheduling.short import Short


class Paying:
    """For the lanes in *queues*."""

    def __init__(self, queues: Queues) -> None:
        self._queues = queues
        self._short: dict[Purse, Short] = {}
        self._aside: defaultdict[Purse, dict[Lane, None]] = defaultdict(dict)
        """Lanes of which rows stand aside for a budget that comes anew, or have."""
        self._broke: dict[Lane, Parked] = {}

    def pay(self, ticket: Ticket, result: Reply | Failure, now: float) -> None:
        """Spend what an attempt did cost of what was promised to it."""
        in_doubt = isinstance(result, Reply) or result.in_doubt
        promised, ticket.promised = ticket.promised, ()
        for purse, promise in zip(ticket.lane.plan.purses, promised, strict=True):
            purse.settle(ticket.lane.key, promise, result.usage, in_doubt=in_doubt)
            if short := self._short.get(purse):
                self._look_again(short.after(promise.page, partial(self._is_held, now=now)))

    def _is_held(self, lane: Lane, *, now: float) -> bool:
        """Whether *lane* may be kept from using its turn, for as long as calls take or longer: by a park, its hours, a pause, or slots."""
        workspace, crowd = lane.workspace, lane.pool.crowd
        full = lane.in_flight >= min(lane.slots.limit, lane.at_once.limit) or workspace.in_flight >= workspace.slots
        pauses = any(each.waits_until > now for each in lane.limiters)
        return full or pauses or crowd.under_way >= crowd.at_once.limit or bool(self._queues.parking.of(lane))

    def promised(self, ticket: Ticket) -> None:
        """Take note of what budgets have promised an attempt."""
        lane = ticket.lane
        lane.aside.paid(lane.plan.purses, ticket.promised)
        if self._short:
            for purse, promise in zip(lane.plan.purses, ticket.promised, strict=True):
                if short := self._short.get(purse):
                    short.promised(lane, promise.amount)

    def hold_back(self, ticket: Ticket, lack: Lack) -> None:
        """Let the lane wait for attempts that are paid from the same budget; or the row stand aside, where those leave too little."""
        lane = ticket.lane
        if lack.price is not None and lack.may_pass:
            lane.front.appendleft((ticket.ordinal, ticket.attempt))
            lane.short_of = lack.purse
            self._short.setdefault(lack.purse, Short(lack.purse)).wait(lane, lack.price)
        elif lack.price is None:
            lane.front.appendleft((ticket.ordinal, ticket.attempt))
            self._park(lane, lack)
        else:
            if lack.purse.cap.period is not None:
                self._aside[lack.purse][lane] = None
            if not lane.aside.add(ticket.ordinal, ticket.attempt, lack):
                lane.aside.add_undrawn(lane.undrawn)
                lane.undrawn = 0
            self.rest(lane)

    def rest(self, lane: Lane) -> None:
        """Park *lane*, where all rows that are left of it stand aside."""
        aside = lane.aside
        if aside.lack is not None and aside.rows == lane.left and not self._is_parked(lane):
            self._park(lane, aside.lack)

    def _is_parked(self, lane: Lane) -> bool:
        parked = self._broke.get(lane)
        return parked is not None and self._queues.parking.stands(parked)

    def _park(self, lane: Lane, lack: Lack) -> None:
        parked = self._queues.parking.park(Scope.LANE, lane, broke(lack, lane.plan.model), probe=False)
        if parked is not None:
            # Rows that may cost less go on meanwhile, and spend more.
            parked.anew = partial(broke, lack, lane.plan.model)
            parked.passes = lack.price is not None and bool(lane.aside.returns)
            self._broke[lane] = parked

    def reconsider(self, purse: Purse) -> None:
        """Let the lanes look again that *purse* had too little left for, and that wait for it."""
        if short := self._short.get(purse):
            self._look_again(short.all())

    def _look_again(self, lanes: Iterable[Lane]) -> None:
        for lane in lanes:
            lane.short_of = None
            self._queues.wake(lane)

    def renew(self, purse: Purse) -> None:
        """Take note that a day or a month of *purse* has begun: what stands aside for it is looked at again."""
        for lane in [lane for lane in self._aside.pop(purse, ()) if purse in lane.aside.returns]:
            again, lane.fresh, more = lane.aside.back(lane.fresh)
            lane.front.extend(again)
            lane.undrawn += more
            if self._is_parked(lane):
                self._queues.parking.end(self._broke.pop(lane))
                lane.stood_still()
            self._queues.wake(lane)
        self.reconsider(purse)
