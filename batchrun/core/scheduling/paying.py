"""Lanes and the budgets that they are paid from: what an attempt may cost is set aside before it is sent, and what it did cost paid after.

Budgets are asked when a row was read, for only then its bound is known. A row that they have too little left for goes back, and its lane
waits for what is under way, which may cost less than was set aside; where nothing is, it parks. A budget by the day or the month that comes
anew ends such parks (`renew`).
"""

from __future__ import annotations

from collections import defaultdict
from functools import partial

from batchrun.core.model import Failure, Reply, Scope
from batchrun.core.money.budget import Lack, Purse, broke
from batchrun.core.scheduling.decisions import Ticket
from batchrun.core.scheduling.lanes import Lane
from batchrun.core.scheduling.parking import Parked
from batchrun.core.scheduling.queues import Queues


class Paying:
    """For the lanes in *queues*."""

    def __init__(self, queues: Queues) -> None:
        self._queues = queues
        self._short: defaultdict[Purse, list[Lane]] = defaultdict(list)
        self._broke: defaultdict[Purse, list[Parked]] = defaultdict(list)

    def pay(self, ticket: Ticket, result: Reply | Failure) -> None:
        """Spend what an attempt did cost of what was promised to it."""
        in_doubt = isinstance(result, Reply) or result.in_doubt
        promised, ticket.promised = ticket.promised, ()
        for purse, promise in zip(ticket.lane.plan.purses, promised, strict=True):
            purse.settle(ticket.lane.key, promise, result.usage, in_doubt=in_doubt)
            self.reconsider(purse)

    def hold_back(self, lane: Lane, lack: Lack) -> None:
        """Hold *lane* back: until an attempt ends that is paid from the same budget, or for good where none is under way."""
        if lack.may_pass:
            lane.short_of = lack.purse
            self._short[lack.purse].append(lane)
            return
        parked = self._queues.parking.park(Scope.LANE, lane, broke(lack, lane.plan.model), probe=False)
        if parked is None:
            return
        # Rows that may cost less go on meanwhile, and spend more.
        parked.anew = partial(broke, lack, lane.plan.model)
        if lack.purse.cap.period is not None and lack.price is not None:
            parked.passes = True
            self._broke[lack.purse].append(parked)

    def reconsider(self, purse: Purse) -> None:
        """Let the lanes look again that *purse* had too little left for, and that wait for it."""
        for lane in self._short.pop(purse, ()):
            lane.short_of = None
            self._queues.wake(lane)

    def renew(self, purse: Purse) -> None:
        """Take note that a day or a month of *purse* has begun: what it parked goes on."""
        parking = self._queues.parking
        for parked in self._broke.pop(purse, ()):
            if parking.stands(parked):
                parking.end(parked)
                for lane in parked.lanes:
                    self._queues.wake(lane)
        self.reconsider(purse)
