"""What a failure leads to for its row and its lane: another try, its turn at the front again, a park, or an end."""

from __future__ import annotations

import math
from dataclasses import replace

from batchrun.core.limits.refusals import About, about
from batchrun.core.model import Failure, Fault, Scope
from batchrun.core.protocols.failures import unsigned
from batchrun.core.protocols.mishaps import ASKED_AGAIN
from batchrun.core.scheduling.billed import Billed, may_have_cost
from batchrun.core.scheduling.decisions import Ticket, Verdict
from batchrun.core.scheduling.lanes import Lane
from batchrun.core.scheduling.outages import TOO_LONG, TOO_LONG_AT_FIRST, counts, never_met
from batchrun.core.scheduling.probing import Probing
from batchrun.core.scheduling.queues import Queues
from batchrun.core.scheduling.refusing import refused
from batchrun.core.scheduling.retry import BackToFront, Exhaust, Hold, Park, Reject, RetryPolicy, TryAgain, backoff_cap, next_step

SAME_REJECTION_PARKS = 20
"""A lane whose first answers are this many times the same rejection parks: a typo must not reject two million rows."""
THROTTLED_FOR_TOO_LONG = 600.0
"""Seconds of throttles without one success: some 429s are a month's quota used up, under the same code."""
THROTTLED_FOR_SURE = 7200.0
"""The same where calls are under way that may have been taken: an answer of Batch Chat takes up to an hour."""
NOT_THROTTLED = 60.0
"""Seconds of an outage: what is throttled before it and after it was not throttled all the while."""
THROTTLED_IN_A_ROW = 20
"""Throttles that it takes where others of the pool are answered: of hundreds of workspaces each has its turn once in minutes."""


class Judge:
    """By a policy of retries; what it parks is probed by *probing*."""

    def __init__(self, retry: RetryPolicy, queues: Queues, probing: Probing) -> None:
        self._retry = retry
        self._queues = queues
        self._parking = queues.parking
        self._park = probing.park
        self.billed = Billed()

    def verdict(self, ticket: Ticket, failure: Failure, now: float, jitter: float) -> Verdict:
        """Move the row to where it goes from here, and say where that is; *jitter* is uniform in [0, 1)."""
        lane, attempt = ticket.lane, ticket.attempt
        if failure.fault is Fault.AGAIN and ticket.sent:
            lane.outage.fail(failure, now, ticket.launched_at, jitter)
            self._long_outage(lane, failure, now)
            if never_met(failure):
                return self._not_met(ticket, now, jitter)
            if self._is_no_fault_of_its_row(ticket, failure, now):
                attempt -= 1
            elif may_have_cost(failure, now - ticket.launched_at):
                ticket.billed = self.billed.count(ticket.ordinal, self._retry.max_billed)
        match next_step(self._retry, failure, self._counted(lane, attempt), jitter, may_be_billed=not ticket.billed):
            case TryAgain(delay):
                lane.wait(now + delay, ticket.ordinal, attempt + 1, ticket.launched_at)
                return Verdict.AGAIN
            case BackToFront():
                return self._back_to_front(ticket, failure, now, jitter)
            case Reject():
                return self._rejected(ticket, failure, now)
            case Exhaust() | Hold() as step:
                lane.luck.gave_up()
                return Verdict.HELD if isinstance(step, Hold) else Verdict.EXHAUSTED
            case Park():
                return self._parked(ticket, failure, now, jitter)

    def _counted(self, lane: Lane, attempt: int) -> int:
        """Which of a row's attempts this is; where it has more than most have the waits between them begin anew."""
        most = self._retry.max_attempts
        if attempt < most or self._retry.keeps_to or attempt >= lane.luck.most(most, lane.left):
            return attempt
        return 1 + (attempt - 1) % max(1, most - 1)

    @staticmethod
    def _is_no_fault_of_its_row(ticket: Ticket, failure: Failure, now: float) -> bool:
        """Whether a failure is one of an outage, which is to use no row up; a row's first is taken for its own."""
        lane = ticket.lane
        if not counts(failure, now - ticket.launched_at):
            return False
        if ticket.attempt == 1:
            lane.outage.failed_first(ticket.launched_at, lane.good_at)
            return False
        return lane.outage.is_to_blame(lane.good_at, lane.left - lane.aside.rows - lane.undrawn)

    def _parked(self, ticket: Ticket, failure: Failure, now: float, jitter: float) -> Verdict:
        """Park what the failure concerns; where it may be the row's own, once a second one says so, and the next to be sent is another."""
        lane = ticket.lane
        if not unsigned(failure):
            parked = self._parking.is_parked(failure.scope, lane)
            known = parked or bool(ticket.probes)
            at_first = not lane.varied and not known and self._parking.good_at(failure.scope, lane) == -math.inf
            if at_first or (known and not lane.varied):
                lane.outage.end()
            elif ticket.sent and not ticket.probes and not lane.outage.refuse(failure, now, ticket.launched_at, jitter):
                return self._put_back(ticket, failure, Verdict.AGAIN)
            if not parked:
                self._park(self._scope(ticket, failure), lane, failure, now, at_first=at_first)
            return self._put_back(ticket, failure, Verdict.PARKED)
        lane.unsigned += 1
        sure = lane.unsigned > 1 or lane.left - lane.aside.rows == 1
        if sure:
            others_had_answers = self._parking.good_at(failure.scope, lane) > -math.inf
            self._park(Scope.LANE if others_had_answers else failure.scope, lane, failure, now, at_first=True)
        if self._retry.holds(failure):
            return Verdict.HELD
        if lane.front or lane.undrawn:
            lane.next_tokens()
        lane.front.append((ticket.ordinal, ticket.attempt))
        return Verdict.PARKED if sure else Verdict.AGAIN

    def _scope(self, ticket: Ticket, failure: Failure) -> Scope:
        """What a refusal is to stop: its lane alone where others that have the same key or account were answered meanwhile."""
        lane = ticket.lane
        since = min(ticket.launched_at, lane.outage.refused_since)
        return Scope.LANE if self._parking.good_at(failure.scope, lane) > since else failure.scope

    def _put_back(self, ticket: Ticket, failure: Failure, verdict: Verdict) -> Verdict:
        """Let the row be the next of its lane, as *verdict* says; or hold it, for as the next it would be sent again."""
        if self._retry.holds(failure):
            return Verdict.HELD
        ticket.lane.front.appendleft((ticket.ordinal, ticket.attempt))
        return verdict

    def _not_met(self, ticket: Ticket, now: float, jitter: float) -> Verdict:
        """Nothing was sent: the row keeps its attempts."""
        if ticket.lane.outage.lasts:
            ticket.lane.front.appendleft((ticket.ordinal, ticket.attempt))
        else:
            ticket.lane.wait(now + jitter * backoff_cap(self._retry, 1), ticket.ordinal, ticket.attempt)
        return Verdict.AGAIN

    def _long_outage(self, lane: Lane, failure: Failure, now: float) -> None:
        """One that lasts is no time of throttles; one that lasts too long parks the lane."""
        outage = lane.outage
        if outage.lasts_for(now) >= NOT_THROTTLED:
            lane.throttled_since = None
        had_answers = lane.varied or lane.plan.answered_by == lane.plan.endpoint
        if had_answers and not never_met(failure):
            lasted, seconds = outage.met_for(now), TOO_LONG
        else:
            lasted, seconds = outage.lasts_for(now), self._retry.outage if had_answers else TOO_LONG_AT_FIRST
        if outage.lasts and lasted >= seconds:
            advice = f"nothing but failures for {seconds / 60:.0f} minutes, whatever the row: {failure.advice}"
            self._park(Scope.LANE, lane, replace(failure, advice=advice), now)

    def _back_to_front(self, ticket: Ticket, failure: Failure, now: float, jitter: float) -> Verdict:
        lane = ticket.lane
        if failure.fault is Fault.REASK:
            lane.throttled_since = None
            return self._put_back(ticket, failure, Verdict.REASKED)
        is_own = not refused(ticket, failure, now, jitter) and lane.suspect.is_capped
        self._queues.wake_freed(lane.pool)
        if self._throttled_for_too_long(lane, now):
            self._park(Scope.LANE, lane, replace(failure, advice=self._nothing_passed(ticket, failure)), now)
        if about(failure.code) is About.TOKENS and self._is_too_large(ticket, now, is_own=is_own):
            lane.wait(lane.too_large.again_at, ticket.ordinal, ticket.attempt)
            return Verdict.THROTTLED
        return self._put_back(ticket, failure, Verdict.THROTTLED)

    @staticmethod
    def _is_too_large(ticket: Ticket, now: float, *, is_own: bool) -> bool:
        """Whether the row was refused for its size, by its pool's quota or by one of its lane's own, if it has one."""
        lane, pool, ordinal = ticket.lane, ticket.lane.pool, ticket.ordinal
        cost, in_a_row = lane.plan.tokens(ordinal), lane.refused_row.again(ordinal, now)
        lane.too_large = lane.too_large.of(pool.too_large, is_own=is_own)
        usual = (lane if is_own else pool).limiter.tokens.use.typical
        return lane.too_large.refused(now, cost, usual, in_a_row, lane.good_at if is_own else pool.answered_at)

    @staticmethod
    def _nothing_passed(ticket: Ticket, failure: Failure) -> str:
        """Say what may be the matter with a lane that is throttled for too long."""
        minutes, too_large = f"{THROTTLED_FOR_TOO_LONG / 60:.0f} minutes", ticket.lane.too_large
        if ticket.lane.plan.tokens(ticket.ordinal) < too_large.cost:
            return f"throttled for {minutes} without one answer: a quota may be used up; {failure.advice}"
        why = "others leave too little of the quota, or it is counted over fewer seconds than such a row needs"
        return f"rows of about {too_large.cost:.0f} tokens or more were refused for {minutes}: {why}; run again later, or with smaller rows"

    @staticmethod
    def _throttled_for_too_long(lane: Lane, now: float) -> bool:
        """Whether nothing speaks against it that no quota is left to *lane*, which is throttled once more."""
        if lane.throttled_since is None:
            lane.throttled_since, lane.throttles = now, 0
        lane.throttles += 1
        seconds = now - lane.throttled_since
        if seconds < (THROTTLED_FOR_TOO_LONG if lane.in_flight == 1 else THROTTLED_FOR_SURE):
            return False
        return lane.throttles >= THROTTLED_IN_A_ROW or lane.pool.answered_at < lane.throttled_since

    def _rejected(self, ticket: Ticket, failure: Failure, now: float) -> Verdict:
        lane = ticket.lane
        parked = self._parking.of_lane_alone(lane)
        if parked is not None and parked.failure.code == failure.code:
            return self._put_back(ticket, failure, Verdict.PARKED)
        if lane.same_rejections_in_a_row(failure.code) >= SAME_REJECTION_PARKS:
            mend = failure.advice.removesuffix(ASKED_AGAIN)
            advice = f"the first {SAME_REJECTION_PARKS} answers were all this: {mend}; then run with --retry-rejected"
            self._park(Scope.LANE, lane, replace(failure, advice=advice), now)
        return Verdict.REJECTED
