"""A provider's quotas in virtual time, and one run of a limiter against them.

The provider is the simulator's own meter (`batchrun.simulator.quotas`); the network brings a call to it after a uniform wait of up to
*jitter* seconds, a refusal comes back after 50 ms and an answer after a lognormal time. The loop wakes half a millisecond late.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from batchrun.core.limits.limiter import Limiter
from batchrun.core.limits.quota import NO_QUOTA, Quota, limiter
from batchrun.simulator.quotas import Caps, Growth, Meter
from batchrun.simulator.scenario import Mishap

_CODES = {Mishap.THROTTLE: "limit_requests", Mishap.TOKEN_QUOTA: "insufficient_quota"}
_LATE = 0.0005
_REFUSED_AFTER = 0.05


@dataclass(frozen=True, slots=True)
class World:
    """A provider, the way to it, and what is asked of it."""

    caps: Caps
    known: Quota = NO_QUOTA
    pool: Quota | None = None
    """What a second limiter knows, which the first, the lane's own, stands in a row with."""
    seconds: float = 1800.0
    rows: float = math.inf
    cap: int = 256
    latency: float = 0.8
    jitter: float = 0.0
    failing: float = 0.0
    """Of the calls: those that end in a 5xx, which say nothing of a quota."""
    changes: tuple[tuple[float, float], ...] = ()
    """From when the quota is how many times what it was at first."""
    growth: tuple[float, int, int] | None = None
    complaining: float = 0.0
    """Of the calls: those that are refused for their growth, whatever it is."""
    by_chance: float = 0.0
    """Of the calls: those that are refused as if the quota were used up, however much is left."""
    misjudged: float = 0.3
    """By how much a row's cost is not what was expected: the deviation of its logarithm."""
    seed: int = 1


class Call(NamedTuple):
    """One attempt."""

    launched: float
    cost: int
    estimate: float


class Taken(NamedTuple):
    """One that the provider took."""

    at: float
    cost: int


@dataclass(slots=True)
class Report:
    """What was seen."""

    calls: int = 0
    refused: int = 0
    answered: int = 0
    finished: float = 0.0
    taken: defaultdict[int, float] = field(default_factory=lambda: defaultdict(float))
    """Units that the provider took, by second."""
    order: list[Taken] = field(default_factory=list)
    """What it took of tokens, one by one."""

    def between(self, start: float, end: float) -> float:
        """Units a second that were taken."""
        return sum(self.taken[second] for second in range(int(start), int(end))) / (int(end) - int(start))

    def minutes(self, start: float, end: float) -> list[float]:
        """Units a second, by minute."""
        return [self.between(at, at + 60) for at in range(int(start), int(end), 60)]

    @property
    def refused_share(self) -> float:
        """Of the calls."""
        return self.refused / max(1, self.calls)


Drawn = tuple[int, float]
"""A row's tokens, and what was expected before the call."""


def heavy_tailed(dice: random.Random, misjudged: float) -> Drawn:
    """Draw a row."""
    cost = int(min(20_000, dice.lognormvariate(math.log(800), 1.0))) + 300
    return cost, cost * dice.lognormvariate(0.0, misjudged)


class Play:
    """One run against a world."""

    def __init__(self, world: World, again: Sequence[Drawn] = ()) -> None:
        """Play *again* the rows of another run, and go on with one's own."""
        self.world = world
        self.again = again
        self.drawn: list[Drawn] = []
        self.dice = random.Random(world.seed)
        self.meter = Meter(world.caps)
        self.growth = Growth(*world.growth) if world.growth else None
        self.by_tokens = world.caps.tokens is not None
        self.limiters = self._limiters()
        self.report = Report()
        self.fronts: list[Call] = []
        self.events: list[tuple[float, int, Callable[..., None], Call | float]] = []
        self.numbers = itertools.count()
        self.in_flight = self.begun = 0
        for at, times in world.changes:
            self._at(at, self._change, times)

    def _limiters(self) -> tuple[Limiter, ...]:
        if self.world.pool is None:
            return (limiter(self.world.known),)
        return limiter(self.world.known, under_known=True), limiter(self.world.pool)

    def run(self) -> Report:
        """Play to the end."""
        now, world = 0.0, self.world
        while now < world.seconds and self.report.answered < world.rows:
            open_ = self.in_flight < world.cap and (self.fronts or self.begun < world.rows)
            free = max(each.free_at(now, self._next().estimate) for each in self.limiters) if open_ else math.inf
            if free <= now:
                self._launch(now)
                continue
            event = self.events[0][0] if self.events else math.inf
            now = max(now, min(event, free + _LATE))
            while self.events and self.events[0][0] <= now:
                at, _, what, value = heapq.heappop(self.events)
                what(at, value)
        self.report.finished = now
        return self.report

    def _at(self, at: float, what: Callable[..., None], value: Call | float) -> None:
        heapq.heappush(self.events, (at, next(self.numbers), what, value))

    def _launch(self, now: float) -> None:
        call = self._next()._replace(launched=now)
        self.fronts.pop()
        for each in self.limiters:
            each.pay(now, call.estimate)
        self.in_flight += 1
        self.report.calls += 1
        self._at(now + self.dice.uniform(0.0, self.world.jitter), self._arrive, call)

    def _next(self) -> Call:
        if not self.fronts:
            self.begun += 1
            self.fronts.append(Call(math.nan, *self._draw()) if self.by_tokens else Call(math.nan, 1, 1.0))
        return self.fronts[-1]

    def _draw(self) -> Drawn:
        place = len(self.drawn)
        drawn = self.again[place] if place < len(self.again) else heavy_tailed(self.dice, self.world.misjudged)
        self.drawn.append(drawn)
        return drawn

    def _arrive(self, at: float, call: Call) -> None:
        code = self._refuses(at, call)
        if code:
            self._at(at + _REFUSED_AFTER, lambda now, value: self._refused(now, value, code), call)
            return
        ended = at + self.dice.lognormvariate(math.log(self.world.latency), 0.5)
        if self.dice.random() < self.world.failing:
            self._at(ended, self._failed, call)
            return
        self.meter.count(at, call.cost, ended)
        self.report.taken[int(at)] += call.cost
        if self.by_tokens:
            self.report.order.append(Taken(at, call.cost))
        self._at(ended, self._answered, call)

    def _refuses(self, at: float, call: Call) -> str | None:
        if self.world.complaining and self.dice.random() < self.world.complaining:
            return "limit_burst_rate"
        if self.world.by_chance and self.dice.random() < self.world.by_chance:
            return _CODES[Mishap.TOKEN_QUOTA if self.by_tokens else Mishap.THROTTLE]
        if self.growth is not None:
            if self.growth.wait(at, 0.0) is None:
                return "limit_burst_rate"
            self.growth.count(at)
        why = self.meter.refuses(at, call.cost)
        return None if why is None else _CODES[why]

    def _refused(self, now: float, call: Call, code: str) -> None:
        self._end(call, 0.0)
        self.report.refused += 1
        self.fronts.append(call)
        jitter = self.dice.random()
        # Of two limiters, a lone lane's refusals are its pool's.
        self.limiters[-1].refused(now, call.launched, code, None, jitter)

    def _failed(self, now: float, call: Call) -> None:
        self._end(call, 0.0)
        self.fronts.append(call)

    def _answered(self, now: float, call: Call) -> None:
        self._end(call, float(call.cost))
        self.report.answered += 1
        for each in self.limiters:
            each.took(now, call.launched, float(call.cost))

    def _end(self, call: Call, tokens: float) -> None:
        self.in_flight -= 1
        for each in self.limiters:
            each.settle(call.launched, call.estimate, tokens)

    def _change(self, now: float, times: float) -> None:
        caps, meter = self.world.caps, self.meter
        if caps.requests is not None:
            meter._calls[0] = (round(caps.requests * times), meter._calls[0][1])
        if caps.tokens is not None:
            meter.caps = Caps(tokens=round(caps.tokens * times), token_period=caps.token_period, window=caps.window, debit=caps.debit)


def allowed(world: World) -> float:
    """What may be taken in a second, at first: the quota's, or what another one or the slots allow, if that is less."""
    caps = world.caps
    at_once = world.cap / _mean(world.latency)
    requests = min(at_once, math.inf if caps.requests is None else caps.requests / caps.request_period)
    if caps.tokens is not None:
        return min(caps.tokens / caps.token_period, requests * MEAN_ROW)
    return math.inf if caps.requests is None else requests


def _mean(latency: float) -> float:
    return latency * math.exp(0.125)


MEAN_ROW = 1590.0
