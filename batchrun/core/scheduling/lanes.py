"""What the scheduler moves about: lanes, the workspaces whose slots they share, and the pools whose quotas they share.

A pool serves its lanes by start-time fair queueing (Goyal, Vin and Cheng, 1996) over tokens: each lane has a tag that grows by what it was
served, divided by its weight, and the lane with the lowest goes next. So over any time in which two lanes both have work, what they were
served differs from their weights' ratio by no more than their largest rows; and a lane that comes back after a rest starts where the
others are: it owes nothing for its rest, and has saved nothing up. But one that its slots or a rate of the job's hold back after each row
rests all the time. Where the others are it would stand behind all of them each time, for as long as they take to have a row each: so it may
be behind by as much as the largest of these, and is next then.
"""

from __future__ import annotations

import math
from bisect import insort
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from operator import attrgetter

from batchrun.core.limits.at_once import AtOnce
from batchrun.core.limits.buckets import Trail
from batchrun.core.limits.limiter import Limiter
from batchrun.core.limits.quota import NO_QUOTA
from batchrun.core.limits.slots import Slots
from batchrun.core.money.budget import Purse
from batchrun.core.scheduling.aside import Aside
from batchrun.core.scheduling.blame import Blame, Suspect
from batchrun.core.scheduling.chance import Chance, Shown
from batchrun.core.scheduling.crowding import Crowd
from batchrun.core.scheduling.fullness import Fullness
from batchrun.core.scheduling.lane_plan import LanePlan
from batchrun.core.scheduling.luck import Luck
from batchrun.core.scheduling.outages import Outage
from batchrun.core.scheduling.reserve import Reserve
from batchrun.core.scheduling.too_large import Refused, TooLarge

_ROWS = 4.0
"""The most rows that a lane may be behind which rests."""
_came = attrgetter("came")


@dataclass(slots=True, eq=False)
class Workspace:
    """A workspace's slots, its own rate, and the lanes that wait for either."""

    name: str
    slots: int
    limiter: Limiter | None
    """None where the job gives the workspace no rate of its own."""
    lanes: int = 0
    in_flight: int = 0
    turns: int = 0
    """Slots that are kept for lanes whose turn it is, and that were woken for it."""
    waiting: deque[Lane] = field(default_factory=deque)
    """In the order in which they came."""
    alarm: int = 0
    reserve: Reserve = field(default_factory=Reserve)
    _came: int = 0
    """How often one did."""

    def queue(self, lane: Lane, *, keeps_place: bool) -> None:
        """Let *lane* wait: where it was, if it *keeps its place*, whoever else had a turn meanwhile and has come back."""
        if not keeps_place:
            self._came += 1
            lane.came = self._came
        insort(self.waiting, lane, key=_came)

    def free_at(self, now: float, lane: Lane, tokens: float) -> float:
        """When its own rate, if it has one, lets a row of *lane* go, which is expected to cost so much: *now*, or later."""
        if self.limiter is None:
            return now
        return self.reserve.free_at(self.limiter.free_at(now, tokens), lane, lane.plan.workspace_quota.seconds(tokens))


@dataclass(slots=True, eq=False)
class Pool:
    """A quota, and the lanes that may launch as soon as it lets them."""

    name: str
    limiter: Limiter
    unfinished: int = 0
    """Lanes with rows left."""
    active: bool = False
    """Stands among the pools worth a look."""
    alarm: int = 0
    turns: list[Lane] = field(default_factory=list)
    """Lanes that joined with a slot's turn, which passes on once they are seen to wait here."""
    freed: list[Lane] = field(default_factory=list)
    """Lanes that something of their own held back, which it explains: they are due another look."""
    keeps: dict[Lane, None] = field(default_factory=dict)
    """Lanes that joined with a slot's turn, and keep it: they are next here, or were when they had none."""
    refused_lane: Lane | None = None
    refused_at: float = -math.inf
    refused_lately: dict[Lane, None] = field(default_factory=dict)
    refused_in_a_row: int = 0
    """Refusals of the same lane, beyond the first."""
    blamed_at: float = -math.inf
    """When the latest refusal came that it was to blame for."""
    answered_at: float = -math.inf
    """When the latest good answer to any of them came."""
    lanes: list[Lane] = field(default_factory=list)
    blame: Blame = field(default_factory=Blame)
    chance: Chance = field(default_factory=Chance)
    crowd: Crowd = field(default_factory=Crowd)
    too_large: TooLarge = field(default_factory=TooLarge)
    refused: Trail = field(default_factory=lambda: Trail(150))
    """Of the attempts that its limiter counts as what went: those that single lanes were told of."""
    queue: list[tuple[float, int, Lane]] = field(default_factory=list)
    """A heap: the lanes that wait for the quota, by what they were served."""
    _joined: int = 0
    """How often: of lanes with the same tag, the first to join goes first."""
    _served: float = 0.0
    _largest: float = 0.0
    """Tokens of that row of the latest which is the largest, over its lane's weight."""
    _its_weight: float = 1.0
    _its_at: float = 0.0
    """What was served when it went."""

    def join(self, lane: Lane) -> None:
        """Let *lane* wait for the quota."""
        if lane.waited:
            lane.tag = max(lane.tag, self._served - self._round(lane))
        elif lane.rested:
            lane.tag = max(lane.tag, self._served)
        lane.rested = lane.waited = False
        lane.in_pool = True
        self._joined += 1
        heappush(self.queue, (lane.tag, self._joined, lane))

    def free_at(self, now: float, tokens: float) -> float:
        """When the quota lets the next row go, which is expected to cost so much: *now*, or later."""
        at, trial = self.limiter.free_at(now, tokens), self.chance.trial
        return at if trial is None else max(at, trial.free_at(now))

    def heed(self, shown: Shown, now: float) -> None:
        """Half of what was taken is tried from now on; or refusals were chance, and taught nothing; or the rate's doing."""
        trial = self.chance.trial
        if trial is not None:
            self.limiter.hold_at_least(now, trial.rate)
        elif shown is Shown.RATE:
            self.limiter.blame_rate()
        else:
            self.limiter.begin_anew()
            for lane in self.lanes:
                lane.limiter.begin_anew()
            self.freed.extend(self.lanes)

    def serve(self, lane: Lane, tokens: float) -> None:
        """A row of *lane* goes that is expected to cost so much."""
        cost, largest = tokens / lane.plan.weight, self._largest / self._its_weight
        lane.tag += cost
        if cost >= largest or self._served - self._its_at > 2 * largest:
            self._largest, self._its_weight, self._its_at = tokens, lane.plan.weight, self._served

    def _round(self, lane: Lane) -> float:
        """What lanes are served while each has a row; no more than some rows for *lane*, whatever has next to no weight."""
        return self._largest / max(self._its_weight, lane.plan.weight / _ROWS)

    def pop(self) -> Lane:
        """Take out the lane whose turn it is."""
        tag, _, lane = heappop(self.queue)
        lane.in_pool = False
        if tag > self._served:
            self._served = tag
        return lane


@dataclass(slots=True, eq=False)
class Lane:
    """One workspace and model: the rows that wait, and what holds them back."""

    plan: LanePlan
    workspace: Workspace
    pool: Pool
    limiter: Limiter
    slots: Slots
    fresh: Iterator[int]
    undrawn: int
    left: int
    front: deque[tuple[int, int]] = field(default_factory=deque)
    """Ordinal and attempt of rows that go before any other."""
    retries: list[tuple[float, int, int, int, float]] = field(default_factory=list)
    """A heap: when, a number that breaks ties, ordinal, attempt, and when its latest call went if that failed."""
    in_flight: int = 0
    at_once: AtOnce = field(default_factory=AtOnce)
    """Calls that the provider takes of it alone."""
    queued: bool = False
    """Stands among those worth a look, or in its workspace's queue."""
    in_pool: bool = False
    """Stands in its pool's queue."""
    came: int = 0
    """Which of those that came to wait for its workspace."""
    in_turn: bool = False
    """Its workspace woke it because it was the next to have a slot."""
    is_next: bool = False
    """It is its turn in its pool, or was when its workspace had no slot for it, or not enough of its rate."""
    alarm: int = 0
    """Number of its live entry in the heap of times; 0 for none."""
    tag: float = 0.0
    """What it was served in its pool, over its weight."""
    rested: bool = True
    """Something of its own held it back since it was last served."""
    waited: bool = False
    """What the job gives it, or its workspace, did: slots or a rate. By as much as a row it may be behind others in its pool."""
    throttled_since: float | None = None
    """When the first throttle without a later success came."""
    throttles: int = 0
    """How many have come since."""
    varied: bool = False
    """It has had a good answer, or two kinds of rejection."""
    refused_at: float = -math.inf
    """When the latest refusal for a rate came."""
    unexplained_at: float = -math.inf
    """When the latest refusal came that its own limit could not explain, and that it learnt nothing of."""
    good_at: float = -math.inf
    """When the latest of its calls was launched that had a good answer."""
    short_of: Purse | None = None
    """The budget that had too little left for its next row, while others' attempts are under way that are paid from it."""
    aside: Aside = field(default_factory=Aside)
    """Rows that a budget has too little left for, while others may go; they count as left."""
    outage: Outage = field(default_factory=Outage)
    joined_at: float = math.inf
    """When it began to wait for its pool, held back by nothing of its own."""
    fit_at: int = 0
    """The look that found nothing of its own to hold it back."""
    first_code: str | None = None
    same_rejections: int = 0
    unsigned: int = 0
    """Refusals that only their status tells, while it had no answer."""
    _waits: int = 0
    """How often a row did."""
    seen: int = -1
    """The latest row whose tokens were asked for."""
    seen_tokens: float = 0.0
    """What they are expected to be."""
    refused_row: Refused = field(default_factory=Refused)
    suspect: Suspect = field(default_factory=Suspect)
    fullness: Fullness = field(default_factory=Fullness)
    too_large: TooLarge = field(init=False)
    """Its pool's, or its own."""
    luck: Luck = field(init=False)
    """Of its rows' calls."""
    limiters: tuple[Limiter, ...] = field(init=False)
    """All that its attempts pay."""

    def __post_init__(self) -> None:
        own = self.workspace.limiter
        self.pool.lanes.append(self)
        self.too_large = self.pool.too_large
        self.luck = Luck(self.left)
        self.pool.blame.suspects.append(self.suspect)
        self.limiters = (self.limiter, self.pool.limiter) if own is None else (self.limiter, self.pool.limiter, own)

    @property
    def key(self) -> tuple[str, str]:
        """Workspace and model."""
        return self.plan.workspace, self.plan.model

    def next_tokens(self) -> float:
        """What the next row, of which there is one, is expected to cost: from here on it stands at the front."""
        front = self.front
        if not front:
            self.undrawn -= 1
            front.append((next(self.fresh), 1))
        ordinal = front[0][0]
        if ordinal != self.seen:
            self.seen, self.seen_tokens = ordinal, self.plan.tokens(ordinal)
        return self.seen_tokens

    def free_at(self, now: float) -> float:
        """When its next row, of which there is one, may go as far as its own rate and an outage let it: *now*, or later."""
        at = self.limiter.free_at(now, self.next_tokens())
        return max(at, self.outage.free_at(now)) if self.outage.lasts else at

    def waited_for_pool(self, seconds: float) -> None:
        """Take note that its next row waited so long for its turn in its pool: its own rates lose no time by it."""
        self.limiter.tokens.make_up_for(seconds)
        if self.workspace.limiter is not None:
            self.workspace.limiter.tokens.make_up_for(seconds)

    def is_alone(self) -> None:
        """Nobody else fills its pool any more: what it is refused for a rate is always the pool's, and was as likely that before."""
        self.limiter.forget()
        self.limiter.counts = self.plan.quota != NO_QUOTA

    def wait(self, until: float, ordinal: int, attempt: int, failed: float = -math.inf) -> None:
        """Let a row wait, and others go meanwhile; its latest call went at *failed*, if that failed."""
        self._waits += 1
        heappush(self.retries, (until, self._waits, ordinal, attempt, failed))

    def stood_still(self) -> None:
        """Take note that nothing was sent for a while: that is no time of throttles, and none of failures."""
        self.throttled_since = None
        self.outage.forget_since()

    def same_rejections_in_a_row(self, code: str) -> int:
        """Count a rejection; how many there were, where all that ever came was the same: 0 once anything else did."""
        if self.varied:
            return 0
        self.varied = self.first_code not in {None, code}
        self.first_code = code
        self.same_rejections += 1
        return 0 if self.varied else self.same_rejections
