"""What the limiter makes of a provider's quotas, in virtual time: `python -m tests.benchmarks.limits` prints every bar.

The provider is the simulator's own meter (`batchrun.simulator.quotas`); the network brings a call to it after a uniform wait of up to
*jitter* seconds, a refusal comes back after 50 ms and an answer after a lognormal time. The loop wakes half a millisecond late.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from batchrun.core.limits.limiter import NO_QUOTA, Limiter, Quota, limiter
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
    misjudged: float = 0.3
    """By how much a row's cost is not what was expected: the deviation of its logarithm."""
    seed: int = 1


class Call(NamedTuple):
    """One attempt."""

    launched: float
    cost: int
    estimate: float


@dataclass(slots=True)
class Report:
    """What was seen."""

    calls: int = 0
    refused: int = 0
    answered: int = 0
    finished: float = 0.0
    taken: defaultdict[int, float] = field(default_factory=lambda: defaultdict(float))
    """Units that the provider took, by second."""

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


def heavy_tailed(dice: random.Random, misjudged: float) -> tuple[int, float]:
    """A row's tokens, and what was expected before the call."""
    cost = int(min(20_000, dice.lognormvariate(math.log(800), 1.0))) + 300
    return cost, cost * dice.lognormvariate(0.0, misjudged)


class Play:
    """One run against a world."""

    def __init__(self, world: World) -> None:
        self.world = world
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
            self.fronts.append(Call(math.nan, *heavy_tailed(self.dice, self.world.misjudged)) if self.by_tokens else Call(math.nan, 1, 1.0))
        return self.fronts[-1]

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
        self._at(ended, self._answered, call)

    def _refuses(self, at: float, call: Call) -> str | None:
        if self.world.complaining and self.dice.random() < self.world.complaining:
            return "limit_burst_rate"
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


@dataclass(frozen=True, slots=True)
class Bar:
    """What is asked of the limiter in one world: a share of the quota that is used, and how few of the calls are refused."""

    name: str
    world: World
    used: float
    refused: float
    since: float = 0.0
    of: float = 1.0
    """The quota from *since* on, in terms of the first."""
    missed: bool = False
    """Not reached, and known not to be. What is under way in a short window is a large part of it, and is only guessed: the column *exact*
    tells what the same limiter makes of it where it is known, and `.informed` what guesses allow. Where a quota is small, each look at
    whether it rose is a refusal that few calls share."""


class Seen(NamedTuple):
    """What came of a bar."""

    used: float
    refused: float

    def reaches(self, bar: Bar) -> bool:
        """Whether it is what was asked for."""
        return self.used >= bar.used and self.refused <= bar.refused


def measure(bar: Bar) -> Seen:
    """Play a bar's world."""
    report = Play(bar.world).run()
    return Seen(report.between(bar.since, report.finished) / (allowed(bar.world) * bar.of), report.refused_share)


class Possible(NamedTuple):
    """The makespan, in terms of the quota's time, of one who knows all, and of the limiter where it knows each row's cost."""

    oracle: float
    exact: float


def possible(bar: Bar) -> Possible | None:
    """Of a known quota of tokens; None of any other."""
    world = bar.world
    if world.known.tpm is None or world.caps.tokens is None:
        return None
    exact = Play(replace(world, misjudged=0.0)).run()
    return Possible(oracle(world), allowed(world) / exact.between(0.0, exact.finished))


def oracle(world: World) -> float:
    """Rows in order, each the moment the provider would take it, its cost and the window known, nothing between; and never ahead of the
    quota by more than a window."""
    caps, dice = world.caps, random.Random(world.seed)
    assert caps.tokens is not None
    meter, rate, step = Meter(caps), caps.tokens / caps.token_period, caps.token_period / 2000
    now, sent = 0.0, 0.0
    for _ in range(int(world.rows)):
        cost, _ = heavy_tailed(dice, 0.0)
        while meter.refuses(now, cost) or sent > rate * now + caps.tokens:
            now += step
        meter.count(now, cost, now + dice.lognormvariate(math.log(world.latency), 0.5))
        sent += cost
    return now * rate / sent


def allowed(world: World) -> float:
    """What may be taken in a second, at first: the quota's, or the slots' where they allow less."""
    caps = world.caps
    if caps.requests is not None:
        return min(caps.requests / caps.request_period, world.cap / _mean(world.latency))
    return math.inf if caps.tokens is None else min(caps.tokens / caps.token_period, world.cap * _MEAN_ROW / _mean(world.latency))


def _mean(latency: float) -> float:
    return latency * math.exp(0.125)


_MEAN_ROW = 1590.0
_KINDS = ("sliding", "aligned")


def requests(rpm: int, period: int, window: str = "sliding") -> Caps:
    """A quota of requests."""
    return Caps(requests=rpm * period // 60, request_period=period, window=window)


def tokens(tpm: int, period: int, window: str = "sliding", debit: str = "admission") -> Caps:
    """A quota of tokens."""
    return Caps(tokens=tpm * period // 60, token_period=period, window=window, debit=debit)


def known_requests(rpm: int, period: int, window: str, minutes: float, jitter: float = 0.0) -> Bar:
    """A makespan of 1.02, and a thousandth refused; with a network that wobbles, 1.045 and half a hundredth."""
    world = World(requests(rpm, period, window), Quota(rpm=rpm), seconds=minutes * 120, rows=rpm * minutes, jitter=jitter, cap=2000)
    name = f"known {rpm} rpm, {period} s {window}{', jitter' if jitter else ''}"
    return Bar(name, world, 1 / 1.045 if jitter else 1 / 1.02, 0.0055 if jitter else 0.001)


def known_tokens(tpm: int, period: int, window: str, debit: str, minutes: float) -> Bar:
    """A makespan of 1.05, and half a hundredth refused."""
    rows = tpm * minutes / _MEAN_ROW
    world = World(tokens(tpm, period, window, debit), Quota(tpm=tpm), seconds=minutes * 180, rows=rows, jitter=0.02, cap=2000)
    missed = debit == "admission" and (period == 1 or (tpm, period, window) == (1_000_000, 6, "sliding"))
    return Bar(f"known {tpm} tpm, {period} s {window}, {debit}", world, 1 / 1.05, 0.005, missed=missed)


def impossible(world: World) -> bool:
    """Whether the largest rows are more than a window's quota, which counts them when they are admitted: they can never be."""
    caps = world.caps
    return caps.tokens is not None and caps.debit == "admission" and caps.tokens < _LARGEST_ROW


_LARGEST_ROW = 20_300


def unknown(caps: Caps, name: str, hours: float, *, latency: float = 0.8, cap: int = 256, missed: bool = False) -> Bar:
    """After two minutes 95 % of what may be used, and a hundredth refused."""
    world = World(caps, seconds=hours * 3600, jitter=0.02, latency=latency, cap=cap)
    return Bar(f"unknown {name}, {caps.window}, answers {latency} s, slots {cap}", world, 0.95, 0.01, since=120, missed=missed)


def changed(caps: Caps, name: str, *, latency: float = 0.8, missed_halved: bool = False, missed_restored: bool = False) -> Iterator[Bar]:
    """Three minutes after an unknown quota was halved, and after it was restored, 95 % of it again."""
    world = World(caps, seconds=2280, jitter=0.02, latency=latency, cap=1000, changes=((1500, 0.5),))
    yield Bar(f"halved {name}, {caps.window}, answers {latency} s", world, 0.95, 0.03, since=1680, of=0.5, missed=missed_halved)
    world = World(caps, seconds=3280, jitter=0.02, latency=latency, cap=1000, changes=((1500, 0.5), (2500, 1)))
    yield Bar(f"restored {name}, {caps.window}, answers {latency} s", world, 0.95, 0.03, since=2680, missed=missed_restored)


def others() -> Iterator[Bar]:
    """Growth that is limited or said to be, failures that are no refusals, and two limiters in a row."""
    growth = (2.0, 5, 20)
    known = World(requests(6000, 60), Quota(rpm=6000), seconds=600, jitter=0.02, cap=2000, growth=growth)
    yield Bar("known 6000 rpm, growth limited, after the first minute", known, 0.98, 0.005, since=60)
    yield Bar("unknown 6000 rpm, growth limited", World(requests(6000, 60), seconds=900, jitter=0.02, growth=growth), 0.95, 0.01, since=120)
    faulty = World(requests(6000, 60), Quota(rpm=6000), seconds=300, jitter=0.02, cap=2000, complaining=0.05)
    yield Bar("known 6000 rpm, one call in twenty refused for a growth that is none", faulty, 0.93, 0.06)
    yield Bar("unknown 6000 rpm, one call in twenty refused for a growth that is none", replace(faulty, known=NO_QUOTA), 0.92, 0.065)
    for rpm in (60, 600, 6000):
        world = World(requests(rpm, 6), pool=Quota(rpm=rpm), seconds=1200, jitter=0.02, cap=1000)
        yield Bar(f"a lane under its pool's known {rpm} rpm", world, 0.99, 0.001)


def bars() -> Iterator[Bar]:
    """All of them."""
    for rpm, minutes in ((60, 120), (600, 30), (6000, 10), (30_000, 10)):
        for jitter in (0.0, 0.02):
            yield from (known_requests(rpm, period, kind, minutes, jitter) for period in (1, 6, 60) for kind in _KINDS)
    for tpm, minutes in ((100_000, 240), (1_000_000, 60), (5_000_000, 20)):
        for debit in ("admission", "completion"):
            yield from (known_tokens(tpm, period, kind, debit, minutes) for period in (1, 6, 60) for kind in _KINDS)
    for period in (6, 60):
        for kind in _KINDS:
            yield from _unknown_bars(period, kind)
    yield from others()


def _unknown_bars(period: int, kind: str) -> Iterator[Bar]:
    for rpm, hours in ((60, 8.0), (600, 2.0), (6000, 0.5)):
        for latency, cap in ((0.8, 256), (8.0, 256), (0.8, 16), (8.0, 16)):
            yield unknown(requests(rpm, period, kind), f"{rpm} rpm, {period} s", hours, latency=latency, cap=cap)
        for latency in (0.8, 8.0):
            yield from changed(requests(rpm, period, kind), f"{rpm} rpm, {period} s", latency=latency)
    for tpm, hours in ((100_000, 8.0), (1_000_000, 2.0), (5_000_000, 0.5)):
        caps, name = tokens(tpm, period, kind), f"{tpm} tpm, {period} s"
        few_rows = tpm * period <= 1_000_000 * 6
        sliding = few_rows and kind == "sliding"
        yield unknown(caps, name, hours, missed=sliding or tpm == 100_000)
        yield from changed(caps, name, missed_halved=few_rows, missed_restored=sliding)


def told(bar: Bar) -> str:
    """A line of the table."""
    if impossible(bar.world):
        return f"{bar.name:75} impossible: a row is more than a window's quota"
    seen, others = measure(bar), possible(bar)
    verdict = "" if seen.reaches(bar) else "  short, as expected" if bar.missed else "  SHORT"
    makespan = 1 / seen.used if seen.used else math.inf
    known_better = " " * 17 if others is None else f" {others.exact:8.4f}{others.oracle:8.4f}"
    figures = f"{makespan:8.4f} {seen.used:7.2%} {bar.used:7.2%} {seen.refused:8.3%} {bar.refused:7.2%}{known_better}"
    return f"{bar.name:75} {figures}{verdict or '  pass'}"


def main() -> None:
    """Write every bar to standard output."""
    head = f"{'bar':75} {'makespan':>8} {'used':>7} {'asked':>7} {'refused':>8} {'asked':>7} {'exact':>8}{'oracle':>8}"
    wanted = sys.argv[1:]
    chosen = (bar for bar in bars() if all(word in bar.name for word in wanted))
    for line in itertools.chain([head], map(told, chosen)):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
