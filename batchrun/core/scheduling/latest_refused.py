"""Whether a pool is to blame for a refusal, as far as it is told by which of its lanes were refused lately."""

from __future__ import annotations

from itertools import takewhile

from batchrun.core.scheduling.lanes import Lane, Pool

FEW = 3
"""Lanes of a pool: of so few, the same one is often refused twice in a row by chance, and its window is full whenever their pool's is."""
_WITHIN = 10.0
"""Seconds within which refusals of two lanes are one affair of their pool."""
_BY_CHANCE, _HALF = 0.2, 0.5
"""How likely it is at the least that refusals of the pool hit one of few lanes so often in a row, for them to be taken for the pool's; and
the share of what is sent by which that is reckoned at the most: one that sends nearly all may have a cap of its own too."""
_FALLEN = 0.08
"""Of the calls of all lanes: as many are refused at the least where a quota has fallen. Fewer come by chance."""
_MANY = 5
"""Lanes refused at about the same time: more are not taken for so many caps of their own."""


def is_of_pool(lane: Lane, now: float, *, may_be_full: bool = True) -> bool:
    """Note that *lane* was refused, when its pool *may be full*; say whether the pool is to blame.

    It is where another lane was refused lately, or was the latest refused and the pool's rate was found; where this one was, by chance or
    for the size of its rows (if it may be full); and where there is no other. If it had room, those that send most must have been refused
    lately.
    """
    pool, latest = lane.pool, lane.pool.refused_lane
    note_refused(lane, now)
    pool.refused_in_a_row = pool.refused_in_a_row + 1 if lane is latest else 0
    soon = now - pool.refused_at < _WITHIN
    pool.refused_lane, pool.refused_at = lane, now
    if latest is not None and latest is not lane and (soon or pool.limiter.has_found if may_be_full else _are_most_refused(pool, now)):
        if soon and not latest.suspect.is_capped:
            # What it was thought to have found of its own was this.
            latest.limiter.forget()
            pool.freed.append(latest)
        return True
    return pool.unfinished <= 1 or (may_be_full and (_is_for_size(lane) or _is_chance(lane)))


def note_refused(lane: Lane, now: float) -> None:
    """Take note that *lane* was refused for a rate."""
    lately, lane.refused_at = lane.pool.refused_lately, now
    lately.pop(lane, None)
    lately[lane] = None


def _are_most_refused(pool: Pool, now: float) -> bool:
    """Not by chance, and of those that have sent lately, or a good few of many, who send half of what is taken: capped ones send less.

    What was refused before the pool's latest episode was over says nothing of the rate that was set by it.
    """
    lately, since = pool.refused_lately, max(now - _WITHIN, pool.limiter.ended_at)
    for lane in [*takewhile(lambda each: now - each.refused_at >= _WITHIN, lately)]:
        del lately[lane]
    enough, told = _FALLEN * pool.limiter.attempts.use.trail.sum(now, _WITHIN), pool.refused.sum(now, _WITHIN)
    if max(len(lately), told) < enough:
        return False
    refused = [each for each in lately if each.refused_at > since and now - each.limiter.attempts.use.launched_at < _WITHIN]
    if max(len(refused), told) < enough:
        return False
    sent = [each for each in pool.lanes if now - each.limiter.attempts.use.launched_at < _WITHIN]
    return len(refused) > min(len(sent) / 2, _MANY) and 2 * _went(refused, now) >= _went(sent, now)


def _is_for_size(lane: Lane) -> bool:
    """Whether so many refusals in a row are what a full window of tokens has for rows that are larger than others'."""
    pool, expected = lane.pool, lane.suspect.expected
    return pool.limiter.tokens.is_bounded and expected > 0.0 and expected**pool.refused_in_a_row > _BY_CHANCE


def _is_chance(lane: Lane) -> bool:
    """Whether refusals of its pool, whose rate was found, may well have hit *lane* so often in a row."""
    pool, in_a_row = lane.pool, lane.pool.refused_in_a_row
    return in_a_row > 0 and pool.limiter.has_found and pool.unfinished <= FEW and min(lane.suspect.share, _HALF) ** in_a_row > _BY_CHANCE


def _went(lanes: list[Lane], now: float) -> float:
    return sum(each.limiter.tokens.use.trail.sum(now, _WITHIN) for each in lanes)
