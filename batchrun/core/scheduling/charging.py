"""What an attempt is charged, and what is given back: it pays by an estimate when it is launched, and by what it cost once that is known.

Every quota that it paid is put right, its lane's fair share with them; whoever waits for what is given back is due another look. What the
provider took is told to all that find how much it takes: rates, slots, and calls at once.
"""

from __future__ import annotations

from batchrun.core.model import Failure, Fault, Reply
from batchrun.core.scheduling.decisions import Ticket
from batchrun.core.scheduling.queues import Queues


class Charging:
    """For the lanes in *queues*."""

    def __init__(self, queues: Queues) -> None:
        self._queues = queues

    def charge(self, ticket: Ticket, result: Reply | Failure, now: float, *, pressed: bool) -> None:
        """Settle what was estimated: a refusal cost nothing, and what nobody can tell stays as it was estimated.

        Where this process was *pressed*, an answer waited for it, and tells nothing of how quick the provider is.
        """
        lane, usage, launched_at, paid = ticket.lane, result.usage, ticket.launched_at, ticket.paid
        tokens = paid
        if usage is not None:
            # All that is counted from here on are floats: Python's own code for two of a kind takes half the time.
            tokens = float(usage.input_tokens + usage.output_tokens)
            for each in lane.limiters:
                each.settle(launched_at, paid, tokens, ticket.expected)
            self._corrected(ticket, tokens)
        elif isinstance(result, Failure) and not result.in_doubt:
            self._correct(ticket, 0.0)
        if isinstance(result, Reply) or result.fault is Fault.REASK:
            for each in lane.limiters:
                each.took(now, launched_at, tokens)
            pool = lane.pool
            if pool.queue or lane.workspace.waiting:
                self._queues.look_again(lane)
            first, second = ticket.places
            lane.at_once.took(now, launched_at, first, lane.in_flight)
            pool.crowd.at_once.took(now, launched_at, second, pool.crowd.under_way)
            if pressed:
                lane.slots.pressed(now)
            else:
                lane.slots.took(now, launched_at, 0 if usage is None else usage.output_tokens, lane.in_flight)
        elif result.fault is Fault.AGAIN:
            lane.slots.failed(launched_at)

    def reprice(self, ticket: Ticket, tokens: float) -> None:
        """Correct what the attempt is expected to cost, before it settles."""
        for each in ticket.lane.limiters:
            each.reprice(ticket.launched_at, ticket.paid, tokens)
        self._corrected(ticket, tokens)
        if ticket.lane.alarm:
            # It may wait for its own rate alone, and no slot is given back that would have it looked at.
            self._queues.wake(ticket.lane)

    def give_back(self, ticket: Ticket) -> None:
        """Let the quotas have back all that an attempt paid which was not made."""
        self._correct(ticket, 0.0)
        for each in ticket.lane.limiters:
            each.unsent(ticket.launched_at)

    def _correct(self, ticket: Ticket, tokens: float) -> None:
        launched_at, paid = ticket.launched_at, ticket.paid
        for each in ticket.lane.limiters:
            each.settle(launched_at, paid, tokens)
        self._corrected(ticket, tokens)

    def _corrected(self, ticket: Ticket, tokens: float) -> None:
        lane, more = ticket.lane, tokens - ticket.paid
        lane.tag += more / lane.plan.weight
        ticket.paid = tokens
        if more < 0 and (lane.pool.queue or lane.workspace.waiting):
            self._queues.look_again(lane)
