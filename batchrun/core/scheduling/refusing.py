"""Whose a refusal is, its lane's own or its pool's, and which limits learn of it.

A workspace may have a cap of its own at the provider, below its account's quota. Were its refusals taken for its pool's, all workspaces of
the account would go slower; were the pool's taken for a lane's, that lane would fall behind its share.

Whose it is. The first of these that tells decides:

1. It is about calls at once, and about no rate: `crowding.py` tells whose.
2. It is chance (`chance.py`): nobody learns of it.
3. The lane is refused more often than what it sends explains (`blame.py`), or its own window is full at refusals and its pool's is less so
   (`fullness.py`): it is the lane's, whatever else is refused, for several workspaces may have a cap.
4. The call was under way when the pool was to blame: it belongs to that. Lanes that send by the dozen are refused by the dozen.
5. The lanes that were refused lately (`latest_refused.py`): it is the lane's until a second lane of the pool is refused too, if there is
   one. Once the pool's own rate was found it is the pool's, unless the same lane was refused last; and though it was, where that may be
   chance (of two or three lanes the same one is often the last), or comes of its rows, which are larger than those of others (a window of
   tokens that is well used has room for small ones meanwhile). Where the pool's window had room for the row, however far guesses are off,
   or a minute of calls is filling anew, it is the lane's; unless those that send most of what goes are refused by then, and not one call in
   many: that is a quota which has fallen, or of which others take a part.
6. The pool climbs above what it held, and the lane has found no limit: the pool is nearer to its quota than the lane is to one of its own.
7. Before the pool's first answer, a call that was let through to try its window is the pool's, even where 3 says otherwise. All else is
   the lane's.

What is learnt. A call that was let through to try whether the pool's window is still full, and is refused for the lane's own sake, shows
nothing of that window: the next one tries. A lane that has a limit of its own is refused by its pool too, and then its own window had room:
of one such refusal it learns nothing; of a second one, with no answer between them, that its limit has fallen. What is the lane's is its
workspace's too, where that has no other lane: so it is learnt how a quota of the workspace's is counted.
"""

from __future__ import annotations

import math
from dataclasses import replace

from batchrun.core.limits.quota import NO_QUOTA
from batchrun.core.limits.refusals import OF_CAPACITY, About, about
from batchrun.core.limits.windows import LONG
from batchrun.core.model import Failure
from batchrun.core.scheduling.decisions import Ticket
from batchrun.core.scheduling.fullness import Went
from batchrun.core.scheduling.lanes import Lane
from batchrun.core.scheduling.latest_refused import FEW, is_of_pool, note_refused

_EXPLAINED = 0.02
"""Of the latest calls: as many refusals as a quota that is found costs."""


def refused(ticket: Ticket, failure: Failure, now: float, jitter: float) -> bool:
    """Tell the limiter that a refusal is about: its own, or its pool's; say whether it is its pool's.

    A pool whose quota is known is told of a lane's own refusals too, until the lane has found a limit of its own: but not where no
    window of it can have been full, while all of it seems to be there. Want of capacity is about how many calls are taken at once, and
    no rate; so is whatever a provider refuses that counts none.
    """
    lane, launched_at, subject = ticket.lane, ticket.launched_at, about(failure.code)
    if not lane.plan.has_rates and subject is not About.GROWTH:
        subject, failure = About.CAPACITY, replace(failure, code=OF_CAPACITY)
    told = (now, launched_at, failure.code, failure.retry_after, jitter)
    if subject is About.CAPACITY:
        _crowded(lane, now, launched_at, ticket.places)
        lane.limiter.refused(*told)
        return False
    if subject is About.ATTEMPTS and _is_explained(ticket, failure, now):
        for each in lane.limiters:
            each.refused_by_chance(launched_at)
        return False
    is_own = lane.pool.blame.refused(lane.suspect, of_tokens=subject is About.TOKENS)
    is_own = lane.pool.unfinished > 1 and (is_own or _stands_out(lane, launched_at, failure.code))
    lane.pool.blame.judge(lane.suspect, is_capped=is_own)
    may_be_full = lane.pool.limiter.may_explain(now, launched_at, failure.code)
    shared = _is_shared(lane, now, launched_at, failure.code, is_own=is_own, may_be_full=may_be_full)
    if shared:
        lane.limiter.forget()
        lane.pool.blamed_at = now
    else:
        lane.pool.limiter.try_again(launched_at)
    if shared or (may_be_full and _may_be_anothers(lane, now, launched_at, failure.code)):
        lane.fullness.refused.add(now, 1.0)
    else:
        lane.limiter.refused(*told)
        if lane.workspace.limiter is not None and lane.workspace.lanes == 1:
            lane.workspace.limiter.refused(*told)
    may_be_its = lane.plan.pool_quota != NO_QUOTA and (may_be_full or lane.pool.limiter.has_found)
    if shared or (may_be_its and not is_own and not lane.limiter.has_found):
        lane.pool.limiter.refused(*told)
    elif lane.pool.answered_at == -math.inf:
        # So it is seen that nothing was taken, if others have filled the pool's quota.
        lane.pool.limiter.attempts.uncount(launched_at, 1.0)
    else:
        lane.pool.refused.add(now, 1.0)
    return shared


def _is_explained(ticket: Ticket, failure: Failure, now: float) -> bool:
    """Count a refusal; whether it is one of those that chance is known to make."""
    pool = ticket.lane.pool
    if not pool.chance.counts:
        pool.chance.begin(pool.limiter.attempts.use.rate(now, LONG))
    # What the provider says the end of is no chance.
    may_be_chance = not failure.retry_after
    return pool.chance.refused(ticket.launched_at, ticket.number, ticket.lane.plan.workspace, may_be_chance=may_be_chance)


def _is_shared(lane: Lane, now: float, launched_at: float, code: str, *, is_own: bool, may_be_full: bool) -> bool:
    """Whether the pool is to blame for a refusal that is not the lane's own as far as counts can tell."""
    pool = lane.pool
    if not is_own:
        if launched_at <= pool.blamed_at:
            # It was under way at the one before, and belongs to it.
            note_refused(lane, now)
            return True
        if is_of_pool(lane, now, may_be_full=may_be_full):
            return True
        if not lane.limiter.has_found and pool.limiter.climbs(now, code):
            # It is the pool that has just begun to send more.
            return True
    # Before the first answer nothing is known of anybody: what was to show whether the pool's window is still full has shown it.
    return pool.answered_at == -math.inf and pool.limiter.was_try(launched_at)


def _may_be_anothers(lane: Lane, now: float, launched_at: float, code: str) -> bool:
    """Whether no window of the lane's own can have been full, and no such refusal came since its latest answer.

    What was let through to try is the lane's to learn of.
    """
    limiter, has_one_more = lane.limiter, lane.good_at < lane.unexplained_at
    if has_one_more or limiter.was_try(launched_at) or limiter.may_explain(now, launched_at, code):
        return False
    lane.unexplained_at = now
    return True


def _crowded(lane: Lane, now: float, launched_at: float, places: tuple[int, int]) -> None:
    """The provider takes no more at once: of this lane, or of its pool."""
    crowd, (own, place), was_trying = lane.pool.crowd, places, lane.at_once.is_trying
    if crowd.is_to_blame(lane.at_once, own, place) or lane.pool.unfinished <= 1:
        is_found = crowd.at_once.limit < math.inf
        crowd.at_once.refused(now, launched_at, place)
        if crowd.at_once.limit < math.inf and not is_found:
            # What any of them was thought to have found of its own was this.
            for each in lane.pool.lanes:
                each.at_once.forget()
            lane.pool.freed.extend(lane.pool.lanes)
    else:
        lane.at_once.refused(now, launched_at, own)
    lane.at_once.count_refused(launched_at, own)
    crowd.at_once.count_refused(launched_at, place, ends_step=not was_trying)


def _stands_out(lane: Lane, launched_at: float, code: str) -> bool:
    """Whether it is its own window of attempts that is full, and not its pool's.

    Of tokens large rows fill any window; and a lane whose rows are smaller than others' sends by fits and starts, and is refused then.
    """
    if about(code) is not About.ATTEMPTS or lane.pool.unfinished <= FEW or not (lane.limiter.counts and lane.suspect.is_usual):
        return False
    own = Went(lane.limiter.attempts.use.trail, lane.fullness.refused)
    pool = Went(lane.pool.limiter.attempts.use.trail, lane.pool.refused)
    unexplained = lane.plan.pool_quota != NO_QUOTA or lane.pool.blame.refused_share > _EXPLAINED
    return lane.fullness.look_at(launched_at, own, pool, unexplained=unexplained)
