"""Providers as bad nights have them, played in virtual time by whole schedulers: `python -m tests.benchmarks.worlds` prints them all.

Several windows are enforced at once, on the account and on single workspaces, and change; growth is limited; calls fail and hang; other
processes call beside, and others come and go; answers grow slow; the process stands still for a while. The meters are the simulator's own;
the network brings a call after a uniform wait of up to *jitter* seconds, a refusal comes back after 50 ms and an answer after a lognormal
time.

Words after the command choose worlds that have them in their names; `--seeds N` plays each with so many seeds.
"""

from __future__ import annotations

import argparse
import functools
import heapq
import itertools
import math
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from batchrun.core.limits.estimates import Estimate, Size
from batchrun.core.limits.quota import NO_QUOTA, Quota
from batchrun.core.model import Failure, Fault, Reply, Scope, Usage
from batchrun.core.scheduling.retry import RetryPolicy
from batchrun.core.scheduling.scheduler import Drained, LanePlan, Scheduler, Ticket
from batchrun.simulator.quotas import Caps, Growth, Meter
from batchrun.simulator.scenario import Mishap
from tests.benchmarks.pools import jain

CODES = {Mishap.THROTTLE: "limit_requests", Mishap.TOKEN_QUOTA: "insufficient_quota"}
EITHER = dict.fromkeys(CODES, "Throttling")
"""What does not say which."""
_REFUSED_AFTER, _HANGS_FOR = 0.05, 120.0
_LATE = 0.0005
_LARGEST = 11.0
"""Usual rows that the largest comes to."""
POOL = ""
"""Who a change is about, where it is the whole account."""


class Answers(NamedTuple):
    """So many rows, whose answers are alike; what is expected of them is learnt from those before."""

    rows: int
    tokens: int
    """Of their usual answer."""
    most: int
    """That a row lets its answer have."""


class Tenant(NamedTuple):
    """A workspace with one model."""

    name: str = "w"
    tokens: int = 500
    """Of its usual row."""
    rows: int = 10_000_000
    weight: float = 1.0
    concurrency: int = 256
    own: tuple[Caps, ...] = ()
    """What the provider holds it to besides, of which the job says nothing."""
    phases: tuple[tuple[int, float], ...] = ()
    """So many rows of so many times the usual size, one after the other and again; where there are none all are alike."""
    spread: float = 0.8
    answers: tuple[Answers, ...] = ()
    """Rows of so much input have such answers besides, one kind after the other and again; where there are none, the guess of a row is off
    by as much as *misjudged*, and never to one side."""


class Others(NamedTuple):
    """Who call in the same quota, at random, now and then; refused or not."""

    rate: float
    """Calls a second, while they do."""
    tokens: int = 500
    """Of their usual call."""
    on: float = 60.0
    off: float = 60.0
    """Seconds that they call and do not, in the mean."""
    until: float = 600.0
    """Then they are gone."""


class Change(NamedTuple):
    """The quotas of the account, or of one workspace, are so many times what they were at first."""

    at: float
    whose: str
    times: float


@dataclass(frozen=True, slots=True)
class World:
    """A provider, the way to it, and who calls."""

    name: str
    caps: tuple[Caps, ...]
    """All of them are enforced."""
    tenants: tuple[Tenant, ...] = (Tenant(),)
    known: Quota = NO_QUOTA
    seconds: float = 1800.0
    latency: tuple[tuple[float, float], ...] = ((0.0, 0.8),)
    """From when which median."""
    a_token: float = 0.0
    """Seconds that each token of an answer takes besides."""
    jitter: float = 0.02
    misjudged: float = 0.3
    failing: float = 0.0
    """Of the calls: those that end in a 5xx."""
    hanging: float = 0.0
    """Of the calls: those that time out."""
    failing_until: float = math.inf
    codes: Mapping[Mishap, str] = field(default_factory=lambda: CODES)
    changes: tuple[Change, ...] = ()
    growth: tuple[float, int, int] | None = None
    others: Others | None = None
    processes: int = 1
    """That call at once, and know nothing of each other."""
    kept: Mapping[str, Any] = field(default_factory=dict)
    """What an earlier opening found of the pool."""
    stops: tuple[tuple[float, float], ...] = ()
    """When the process stands still, and for how long: what came meanwhile is taken in after."""
    since: float = 120.0
    seed: int = 1


@dataclass(slots=True)
class Seen:
    """What came of it."""

    calls: int = 0
    refused: int = 0
    failed: int = 0
    exhausted: int = 0
    parked: str = ""
    codes: Counter[str] = field(default_factory=Counter)
    minutes: list[float] = field(default_factory=list)
    """Of each minute: the share that was used of the quota that was used the most."""
    refused_in: Counter[int] = field(default_factory=Counter)
    calls_in: Counter[int] = field(default_factory=Counter)
    """By minute."""
    served: dict[str, float] = field(default_factory=dict)
    """By tenant: tokens over weight, since the span began that is looked at."""
    served_calls: dict[str, int] = field(default_factory=dict)
    frozen: float = 0.0
    """The longest time without an attempt that was taken."""
    used: float = 0.0
    own_used: dict[str, float] = field(default_factory=dict)

    @property
    def refused_share(self) -> float:
        """Of all calls."""
        return self.refused / max(1, self.calls)

    def refused_since(self, minute: int) -> float:
        """Of the calls from a minute on."""
        calls = sum(count for at, count in self.calls_in.items() if at >= minute)
        return sum(count for at, count in self.refused_in.items() if at >= minute) / max(1, calls)


class _Held:
    """What one scope is held to, and how much of it is used."""

    def __init__(self, caps: Sequence[Caps]) -> None:
        self.first = tuple(caps)
        self.meters = [Meter(each) for each in caps]
        self.calls: Counter[int] = Counter()
        self.tokens: Counter[int] = Counter()
        self.times: list[tuple[float, float]] = [(0.0, 1.0)]

    def change(self, at: float, times: float) -> None:
        self.times.append((at, times))
        for meter, caps in zip(self.meters, self.first, strict=True):
            requests = None if caps.requests is None else max(1, round(caps.requests * times))
            tokens = None if caps.tokens is None else max(1, round(caps.tokens * times))
            meter.change(replace(caps, requests=requests, tokens=tokens))

    def refuses(self, at: float, tokens: int) -> Mishap | None:
        return next((why for meter in self.meters if (why := meter.refuses(at, tokens)) is not None), None)

    def count(self, at: float, tokens: int, ended: float) -> None:
        for meter in self.meters:
            meter.count(at, tokens, ended)
        self.calls[int(at // 60)] += 1
        self.tokens[int(at // 60)] += tokens

    def used(self, minute: int) -> float:
        """The share that was used of the cap that was used the most."""
        times = next(times for at, times in reversed(self.times) if at <= minute * 60)
        shares = [0.0]
        for caps in self.first:
            if caps.requests is not None:
                shares.append(self.calls[minute] / (caps.requests * times * 60 / caps.request_period))
            if caps.a_second is not None:
                shares.append(self.calls[minute] / (caps.a_second * 60))
            if caps.tokens is not None:
                shares.append(self.tokens[minute] / (caps.tokens * times * 60 / caps.token_period))
        return max(shares)


class _Row(NamedTuple):
    cost: int
    guess: float = 0.0
    size: Size = Size(0.0)
    output: int = 0
    """Of the cost: the answer's."""


class Night:
    """One run of *processes* against a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.dice = random.Random(world.seed)
        self.pool = _Held(world.caps)
        self.own = {each.name: _Held(each.own) for each in world.tenants if each.own}
        self.growth = Growth(*world.growth) if world.growth else None
        self.rows: dict[tuple[int, str, int], _Row] = {}
        self.estimates: dict[tuple[int, str], Estimate] = defaultdict(Estimate)
        self.schedulers = [self._scheduler(place) for place in range(world.processes)]
        self.seen = Seen()
        self.events: list[tuple[float, int, Callable[[float], None]]] = []
        self.numbers = itertools.count()
        self.taken_at = 0.0
        self.done: Counter[str] = Counter()
        self.got: dict[str, float] = defaultdict(float)
        self.got_calls: Counter[str] = Counter()
        for change in world.changes:
            held = self.pool if change.whose == POOL else self.own[change.whose]
            self._at(change.at, lambda at, held=held, times=change.times: held.change(at, times))  # type: ignore[misc]
        if world.others is not None:
            self._others(world.others, random.Random(world.seed + 99))

    def _scheduler(self, process: int) -> Scheduler:
        scheduler = Scheduler([self._lane(process, each) for each in self.world.tenants], RetryPolicy())
        scheduler.lessons.teach(self.world.kept, 0.0)
        return scheduler

    def _lane(self, process: int, tenant: Tenant) -> LanePlan:
        return LanePlan(
            tenant.name,
            "qwen-plus",
            "main",
            range(tenant.rows),
            tenant.rows,
            tenant.concurrency,
            pool="pool",
            weight=tenant.weight,
            tokens=lambda ordinal: self._guess(process, tenant, ordinal),
            pool_quota=self.world.known,
        )

    def _row(self, process: int, tenant: Tenant, ordinal: int) -> _Row:
        key = process, tenant.name, ordinal
        row = self.rows.get(key)
        if row is None:
            dice = random.Random(f"{self.world.seed} {key}")
            if tenant.answers:
                row = self.rows[key] = _answered(tenant, ordinal, dice)
                return row
            usual = tenant.tokens * _times(tenant.phases, ordinal)
            cost = max(1, int(min(_LARGEST * usual, dice.lognormvariate(math.log(usual), tenant.spread))))
            row = self.rows[key] = _Row(cost, cost * dice.lognormvariate(0.0, self.world.misjudged))
        return row

    def _guess(self, process: int, tenant: Tenant, ordinal: int) -> float:
        row = self._row(process, tenant, ordinal)
        return self.estimates[process, tenant.name].of(row.size) if tenant.answers else row.guess

    def run(self) -> Seen:
        """Play to the end."""
        now, world = 0.0, self.world
        stops = list(world.stops)
        while now < world.seconds:
            if stops and now >= stops[0][0]:
                now += stops.pop(0)[1]
                self._happen(now)
            wakes, drained = math.inf, 0
            for place, scheduler in enumerate(self.schedulers):
                while True:
                    tickets, then = scheduler.launches(now, 64)
                    for ticket in tickets:
                        self._launch(place, ticket, now)
                    if then is not None:
                        break
                if isinstance(then, Drained):
                    drained += 1
                    self.seen.parked = " ".join(f"{each.name}:{each.failure.code}" for each in then.parked)
                else:
                    wakes = min(wakes, then.at)
            if drained == len(self.schedulers):
                break
            event = self.events[0][0] if self.events else math.inf
            now = max(now, min(event, wakes + _LATE))
            self._happen(now)
        return self._summed_up(min(now, world.seconds))

    def _happen(self, now: float) -> None:
        while self.events and self.events[0][0] <= now:
            at, _, happens = heapq.heappop(self.events)
            happens(at)

    def _at(self, at: float, happens: Callable[[float], None]) -> None:
        heapq.heappush(self.events, (at, next(self.numbers), happens))

    def _others(self, others: Others, dice: random.Random) -> None:
        at = others.off * dice.random()
        while at < others.until:
            end = min(others.until, at + dice.expovariate(1 / others.on))
            while (at := at + dice.expovariate(others.rate)) < end:
                cost = int(dice.lognormvariate(math.log(others.tokens), 0.6))
                self._at(at, functools.partial(self._others_call, cost=cost))
            at = end + (dice.expovariate(1 / others.off) if others.off else 0.0)

    def _others_call(self, at: float, *, cost: int) -> None:
        if self.pool.refuses(at, cost) is None:
            self.pool.count(at, cost, at + 2.0)

    def _launch(self, place: int, ticket: Ticket, now: float) -> None:
        self.seen.calls += 1
        self.seen.calls_in[int(now // 60)] += 1
        self._at(now + self.dice.uniform(0.0, self.world.jitter), lambda at: self._arrive(place, ticket, at))

    def _arrive(self, place: int, ticket: Ticket, at: float) -> None:
        world, name = self.world, ticket.workspace
        row = self.rows.pop((place, name, ticket.ordinal), None) or self._row(
            place, next(each for each in world.tenants if each.name == name), ticket.ordinal
        )
        own = self.own.get(name)
        code = self._refuses(own, at, row.cost)
        if code is not None:
            self.rows[place, name, ticket.ordinal] = row
            self.seen.codes[code] += 1
            failure = Failure(Fault.THROTTLED, Scope.LANE, code, "too much", "wait", status=429)
            self._ends(place, ticket, at + _REFUSED_AFTER, failure)
            return
        median = next(median for since, median in reversed(world.latency) if since <= at)
        ended = at + self.dice.lognormvariate(math.log(median), 0.5) + world.a_token * row.output
        if at < world.failing_until and self.dice.random() < world.failing:
            self.rows[place, name, ticket.ordinal] = row
            self._ends(place, ticket, ended, Failure(Fault.AGAIN, Scope.ROW, "internal_error", "", "", status=500))
            return
        for held in (self.pool, *([own] if own else [])):
            held.count(at, row.cost, ended)
        if at < world.failing_until and self.dice.random() < world.hanging:
            self.rows[place, name, ticket.ordinal] = row
            self._ends(place, ticket, at + _HANGS_FOR, Failure(Fault.AGAIN, Scope.ROW, "idle_timeout", "", "", in_doubt=True))
            return
        self.seen.frozen = max(self.seen.frozen, at - self.taken_at)
        self.taken_at = at
        if at >= world.since:
            self.got[name] += row.cost
            self.got_calls[name] += 1
        usage = Usage(row.cost - row.output, row.output)
        self._ends(place, ticket, ended, Reply("", "stop", usage), row)
        if row.output:
            self._at(ended, lambda _: self._learn(place, name, row, usage))

    def _learn(self, place: int, name: str, row: _Row, usage: Usage) -> None:
        self.estimates[place, name].learn(row.size, 0, usage, self.schedulers[place].in_flight_of(name))

    def _refuses(self, own: _Held | None, at: float, tokens: int) -> str | None:
        if self.growth is not None:
            if self.growth.wait(at, 0.0) is None:
                return "limit_burst_rate"
            self.growth.count(at)
        why = (own.refuses(at, tokens) if own else None) or self.pool.refuses(at, tokens)
        return None if why is None else self.world.codes[why]

    def _ends(self, place: int, ticket: Ticket, at: float, result: Reply | Failure, row: _Row | None = None) -> None:
        self._at(at, lambda now: self._end(place, ticket, result, now, row))

    def _end(self, place: int, ticket: Ticket, result: Reply | Failure, now: float, row: _Row | None) -> None:
        if isinstance(result, Failure):
            if result.fault is Fault.THROTTLED:
                self.seen.refused += 1
                self.seen.refused_in[int(ticket.launched_at // 60)] += 1
            else:
                self.seen.failed += 1
        scheduler = self.schedulers[place]
        if row is not None and row.output:
            ticket.expected = self.estimates[place, ticket.workspace].of(row.size)
        verdict = scheduler.settle(ticket, result, now, self.dice.random())
        self.seen.exhausted += verdict.final and isinstance(result, Failure)
        scheduler.release(ticket)

    def _summed_up(self, end: float) -> Seen:
        seen, world = self.seen, self.world
        seen.frozen = max(seen.frozen, end - self.taken_at)
        first, last = int(world.since // 60), int(end // 60)
        seen.minutes = [self.pool.used(minute) for minute in range(last)]
        seen.used = sum(seen.minutes[first:]) / max(1, last - first)
        for name, held in self.own.items():
            seen.own_used[name] = sum(held.used(minute) for minute in range(first, last)) / max(1, last - first)
        for tenant in world.tenants:
            seen.served[tenant.name] = self.got[tenant.name] / tenant.weight
            seen.served_calls[tenant.name] = self.got_calls[tenant.name]
        return seen


def _answered(tenant: Tenant, ordinal: int, dice: random.Random) -> _Row:
    ordinal %= sum(each.rows for each in tenant.answers)
    for each in tenant.answers:
        if ordinal < each.rows:
            break
        ordinal -= each.rows
    prompt = max(1, int(dice.lognormvariate(math.log(tenant.tokens), tenant.spread)))
    output = max(1, min(each.most, int(dice.lognormvariate(math.log(each.tokens), 0.6))))
    return _Row(prompt + output, size=Size(prompt * dice.lognormvariate(0.0, 0.15), each.most), output=output)


def _times(phases: Sequence[tuple[int, float]], ordinal: int) -> float:
    if not phases:
        return 1.0
    ordinal %= sum(rows for rows, _ in phases)
    for rows, times in phases:
        if ordinal < rows:
            return times
        ordinal -= rows
    raise AssertionError


def calls(rpm: int, period: int = 60, window: str = "sliding") -> Caps:
    """So many calls a minute, over windows of *period* seconds."""
    return Caps(requests=max(1, rpm * period // 60), request_period=period, window=window)


def tokens(tpm: int, period: int = 60, window: str = "sliding") -> Caps:
    """So many tokens a minute."""
    return Caps(tokens=tpm * period // 60, token_period=period, window=window)


def kept_calls(rpm: float, window: float = 60.0) -> Mapping[str, Any]:
    """What an earlier opening found of attempts."""
    return {"pool": {"attempts": {"rate": rpm / 60, "window": window}}}


def kept_tokens(tpm: float, window: float = 60.0) -> Mapping[str, Any]:
    """The same of tokens."""
    return {"pool": {"tokens": {"rate": tpm / 60, "window": window}}}


def two_windows() -> Iterator[World]:
    """Two windows at once."""
    for rpm in (60, 600):
        for knows, known in (("unknown", NO_QUOTA), ("known", Quota(rpm=rpm))):
            yield World(f"{knows} {rpm} rpm, 60 s and 1 s", (calls(rpm), Caps(requests=max(1, rpm // 60), request_period=1)), known=known)
            yield World(
                f"{knows} {rpm} rpm, 60 s aligned and 1 s",
                (calls(rpm, 60, "aligned"), Caps(requests=max(1, rpm // 60), request_period=1)),
                known=known,
            )
            yield World(
                f"{knows} {rpm} rpm, 60 s and twice that in 1 s",
                (calls(rpm), Caps(requests=max(1, 2 * rpm // 60), request_period=1)),
                known=known,
            )
            yield World(f"{knows} {rpm} rpm, 60 s and half more in 6 s", (calls(rpm), calls(rpm * 3 // 2, 6)), known=known)
    for tpm in (1_000_000, 3_000_000):
        for knows, known in (("unknown", NO_QUOTA), ("known", Quota(tpm=tpm))):
            yield World(f"{knows} {tpm} tpm, 60 s and 6 s", (tokens(tpm), tokens(tpm, 6)), known=known)
            yield World(f"{knows} {tpm} tpm, 60 s and twice that in 6 s", (tokens(tpm), tokens(2 * tpm, 6)), known=known)
            yield World(f"{knows} {tpm} tpm, 60 s and thrice that in 1 s", (tokens(tpm), tokens(3 * tpm, 1)), known=known)


def in_turn() -> Iterator[World]:
    """Calls and tokens, each binding in turn."""
    turns = (Tenant(phases=((3000, 1.0), (600, 8.0))),)
    for period in (6, 60):
        caps = (calls(600, period), tokens(600_000, period))
        for knows, known in (("unknown", NO_QUOTA), ("known", Quota(rpm=600, tpm=600_000))):
            yield World(f"{knows} calls and tokens in turn, {period} s", caps, turns, known, seconds=3600)
        yield World(f"calls known and tokens not, in turn, {period} s", caps, turns, Quota(rpm=600), seconds=3600)
        yield World(f"tokens known and calls not, in turn, {period} s", caps, turns, Quota(tpm=600_000), seconds=3600)
        yield World(f"unknown calls and tokens in turn, {period} s, a code that says neither", caps, turns, seconds=3600, codes=EITHER)


def a_code_that_says_neither() -> Iterator[World]:
    """A code that does not say which."""
    for period in (6, 60):
        yield World(f"unknown 600000 tpm, {period} s, a code that says neither", (tokens(600_000, period),), codes=EITHER)
        yield World(
            f"known 600000 tpm, {period} s, a code that says neither", (tokens(600_000, period),), known=Quota(tpm=600_000), codes=EITHER
        )
        yield World(
            f"known twice 600000 tpm, {period} s, a code that says neither",
            (tokens(600_000, period),),
            known=Quota(tpm=1_200_000),
            codes=EITHER,
        )


def limited_growth() -> Iterator[World]:
    """Growth."""
    for growth in ((2.0, 5, 20), (1.5, 10, 10), (1.2, 60, 100)):
        yield World(f"unknown 3000 rpm, growth {growth}", (calls(3000),), growth=growth)
        yield World(f"known 3000 rpm, growth {growth}", (calls(3000),), known=Quota(rpm=3000), growth=growth)
        yield World(f"no quota but growth {growth}", (calls(20_000),), growth=growth, seconds=900, since=300)
        yield World(f"known 1000000 tpm, growth {growth}", (tokens(1_000_000),), known=Quota(tpm=1_000_000), growth=growth)


def own_quotas() -> Iterator[World]:
    """A quota of the account, and smaller ones of workspaces."""
    for period in (6, 60):
        for knows, known in (("unknown", NO_QUOTA), ("known", Quota(rpm=1200))):
            some = tuple(Tenant(f"w{place}", own=(calls(60, period),) if place < 2 else ()) for place in range(6))
            yield World(f"{knows} 1200 rpm of the account, 60 of two of six workspaces, {period} s", (calls(1200, period),), some, known)
            every = tuple(Tenant(f"w{place}", own=(calls(150, period),)) for place in range(6))
            yield World(f"{knows} 1200 rpm of the account, 150 of all six workspaces, {period} s", (calls(1200, period),), every, known)
        some = tuple(Tenant(f"w{place}", own=(tokens(60_000, period),) if place < 2 else ()) for place in range(6))
        for knows, known in (("unknown", NO_QUOTA), ("known", Quota(tpm=1_200_000))):
            yield World(
                f"{knows} 1200000 tpm of the account, 60000 of two of six workspaces, {period} s", (tokens(1_200_000, period),), some, known
            )


def few() -> Iterator[World]:
    """Two or three on one pool, with nothing of their own."""
    for period in (6, 60):
        for number in (2, 3):
            alike = tuple(Tenant(f"w{place}", weight=1.0 + place) for place in range(number))
            yield World(f"unknown 1200 rpm, {number} workspaces alike, {period} s", (calls(1200, period),), alike)
            sized = tuple(Tenant(f"w{place}", tokens=50 * 10**place) for place in range(number))
            yield World(
                f"unknown 1200 rpm, {number} workspaces, rows ten times as large in each next one, {period} s",
                (calls(1200, period),),
                sized,
            )


def one_of_twelve_is_cut() -> Iterator[World]:
    """Twelve on one pool, one of which is cut."""
    for period in (6, 60):
        for knows, known in (("unknown", NO_QUOTA), ("known", Quota(rpm=1200))):
            twelve = tuple(Tenant(f"w{place}", own=(calls(1200, period),) if place == 0 else ()) for place in range(12))
            cut = (Change(600, "w0", 0.02),)
            yield World(f"{knows} 1200 rpm, twelve, one cut to 24, {period} s", (calls(1200, period),), twelve, known, changes=cut)
            restored = (*cut, Change(1200, "w0", 1.0))
            yield World(
                f"{knows} 1200 rpm, twelve, one cut to 24 and restored, {period} s",
                (calls(1200, period),),
                twelve,
                known,
                changes=restored,
                seconds=2700,
            )


def failures() -> Iterator[World]:
    """Failures while the quota is found."""
    for period in (6, 60):
        yield World(f"unknown 600 rpm, {period} s, 5 % fail", (calls(600, period),), failing=0.05)
        yield World(f"unknown 3000 rpm, {period} s, 5 % fail", (calls(3000, period),), failing=0.05)
        yield World(f"unknown 600 rpm, {period} s, 5 % hang", (calls(600, period),), hanging=0.05)
        yield World(f"unknown 1000000 tpm, {period} s, 5 % fail", (tokens(1_000_000, period),), failing=0.05)
        yield World(f"unknown 1000000 tpm, {period} s, 5 % hang", (tokens(1_000_000, period),), hanging=0.05)
        yield World(f"unknown 1000000 tpm, {period} s, 30 % fail", (tokens(1_000_000, period),), failing=0.3)


def standing_still() -> Iterator[World]:
    """The process stands still."""
    for period in (6, 60):
        for knows, known in (("unknown", NO_QUOTA), ("known", Quota(rpm=600))):
            yield World(
                f"{knows} 600 rpm, {period} s, stands still for 20 minutes",
                (calls(600, period),),
                known=known,
                stops=((900.0, 1200.0),),
                seconds=3600,
            )
            yield World(
                f"{knows} 600 rpm, {period} s, stands still for 5 s now and then",
                (calls(600, period),),
                known=known,
                stops=tuple((100.0 + 47 * n, 5.0) for n in range(30)),
            )
        for knows, known in (("unknown", NO_QUOTA), ("known", Quota(tpm=600_000))):
            yield World(
                f"{knows} 600000 tpm, {period} s, stands still for 20 minutes",
                (tokens(600_000, period),),
                known=known,
                stops=((900.0, 1200.0),),
                seconds=3600,
            )
            yield World(
                f"{knows} 600000 tpm, {period} s, stands still for 5 s now and then",
                (tokens(600_000, period),),
                known=known,
                stops=tuple((100.0 + 47 * n, 5.0) for n in range(30)),
            )


def stale_lessons() -> Iterator[World]:
    """What was kept is stale."""
    for window in (6, 60):
        for kept_window in (6.0, 60.0):
            yield World(
                f"kept 600 rpm of {kept_window:.0f} s, now twice, {window} s",
                (calls(1200, window),),
                kept=kept_calls(590, kept_window),
                since=180,
            )
            yield World(
                f"kept 600 rpm of {kept_window:.0f} s, now a tenth, {window} s",
                (calls(60, window),),
                kept=kept_calls(590, kept_window),
                since=180,
            )
            yield World(
                f"kept 1000000 tpm of {kept_window:.0f} s, now twice, {window} s",
                (tokens(2_000_000, window),),
                kept=kept_tokens(980_000, kept_window),
                since=180,
            )
            yield World(
                f"kept 1000000 tpm of {kept_window:.0f} s, now a tenth, {window} s",
                (tokens(100_000, window),),
                kept=kept_tokens(980_000, kept_window),
                since=180,
            )


def several_processes() -> Iterator[World]:
    """Several processes."""
    for count in (2, 4):
        for period in (6, 60):
            yield World(f"unknown 1200 rpm, {period} s, {count} processes", (calls(1200, period),), processes=count)
            yield World(f"known 1200 rpm, {period} s, {count} processes", (calls(1200, period),), known=Quota(rpm=1200), processes=count)
            yield World(f"unknown 2000000 tpm, {period} s, {count} processes", (tokens(2_000_000, period),), processes=count)
            yield World(
                f"known 2000000 tpm, {period} s, {count} processes",
                (tokens(2_000_000, period),),
                known=Quota(tpm=2_000_000),
                processes=count,
            )


def others_come_and_go() -> Iterator[World]:
    """Others call in the same quota for ten minutes, by fits and starts, and are gone then."""
    for share in (0.2, 0.5, 0.8):
        for on, off in ((15.0, 15.0), (60.0, 60.0), (300.0, 0.0)):
            for period in (1, 6, 60):
                for knows, known in (("unknown", NO_QUOTA), ("known", Quota(rpm=300))):
                    yield World(
                        f"{knows} 300 rpm, {period} s, others take {share:.0%} for {on:.0f} of {on + off:.0f} s until they are gone",
                        (calls(300, period),),
                        known=known,
                        others=Others(5 * share, on=on, off=off),
                        since=840,
                    )
            for period in (6, 60):
                for knows, known in (("unknown", NO_QUOTA), ("known", Quota(tpm=600_000))):
                    yield World(
                        f"{knows} 600000 tpm, {period} s, others take {share:.0%} for {on:.0f} of {on + off:.0f} s until they are gone",
                        (tokens(600_000, period),),
                        known=known,
                        others=Others(20 * share, on=on, off=off),
                        since=840,
                    )


def later_answers() -> Iterator[World]:
    """Answers come three times as late."""
    for period in (6, 60):
        slow = ((0.0, 0.8), (900.0, 2.4))
        for knows, known in (("unknown", NO_QUOTA), ("known", Quota(rpm=600))):
            yield World(f"{knows} 600 rpm, {period} s, answers three times as late", (calls(600, period),), known=known, latency=slow)
        for knows, known in (("unknown", NO_QUOTA), ("known", Quota(tpm=1_000_000))):
            yield World(
                f"{knows} 1000000 tpm, {period} s, answers three times as late", (tokens(1_000_000, period),), known=known, latency=slow
            )
            late = ((0.0, 8.0), (900.0, 24.0))
            many = (Tenant(concurrency=2000),)
            yield World(
                f"{knows} 1000000 tpm, {period} s, answers of 8 s three times as late",
                (tokens(1_000_000, period),),
                many,
                known,
                latency=late,
            )


def longer_answers() -> Iterator[World]:
    """A file goes over to rows whose answers are forty times as long, or back; or has both, and answers are slow."""
    short, long = (20, 30), (800, 2000)
    for tpm in (300_000, 1_000_000):
        few, many = tpm * 8 // 300, tpm * 12 // 1100
        orders = {
            "longer answers": (Answers(few, *short), Answers(many, *long)),
            "shorter answers": (Answers(many, *long), Answers(few, *short)),
            "long and short answers": (Answers(1, *short), Answers(1, *long)),
        }
        for name, answers in orders.items():
            tenants = (Tenant(tokens=200, spread=0.6, concurrency=4000, answers=answers),)
            for period, answer in itertools.product((6, 60), (3.0, 10.0, 30.0)):
                for knows, known in (("unknown", NO_QUOTA), ("known", Quota(tpm=tpm))):
                    told = f"{knows} {tpm} tpm, {period} s, {name} of {answer:.0f} s"
                    yield World(told, (tokens(tpm, period),), tenants, known, latency=((0.0, answer),), seconds=1500.0)


def answers_as_they_come() -> Iterator[World]:
    """Answers take as long as they are: the shortest come first, and the longest minutes later."""
    for tpm, period in itertools.product((300_000, 1_000_000), (6, 60)):
        tenants = (Tenant(tokens=200, spread=0.6, concurrency=4000, answers=(Answers(1, 800, 4000),)),)
        for knows, known in (("unknown", NO_QUOTA), ("known", Quota(tpm=tpm))):
            told = f"{knows} {tpm} tpm, {period} s, answers as they come"
            yield World(told, (tokens(tpm, period),), tenants, known, latency=((0.0, 1.0),), a_token=0.027, since=240.0)


WORLDS = (
    two_windows,
    in_turn,
    a_code_that_says_neither,
    limited_growth,
    own_quotas,
    few,
    one_of_twelve_is_cut,
    failures,
    standing_still,
    stale_lessons,
    several_processes,
    others_come_and_go,
    later_answers,
    longer_answers,
    answers_as_they_come,
)


def worlds() -> Iterator[World]:
    """All of them."""
    for each in WORLDS:
        yield from each()


def told(world: World) -> str:
    """A line of the table."""
    seen = Night(world).run()
    least = min(seen.minutes[int(world.since // 60) :], default=0.0)
    line = f"{world.name:85} used {seen.used:7.2%} least minute {least:7.2%} refused {seen.refused_share:7.3%}"
    line += f" later {seen.refused_since(int(world.since // 60)):7.3%} frozen {seen.frozen:6.1f} s"
    if len(world.tenants) > 1:
        free = [amount for name, amount in seen.served.items() if name not in seen.own_used] or list(seen.served.values())
        line += f" Jain {jain(free):.3f}"
    if seen.own_used:
        line += " own " + " ".join(f"{name} {used:.1%}" for name, used in seen.own_used.items())
    if seen.exhausted or seen.parked:
        line += f" exhausted {seen.exhausted} parked {seen.parked}"
    return line


def main() -> None:
    """Print what came of each world."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1, help="play each so often")
    parser.add_argument("words", nargs="*", help="of the names of worlds")
    wished = parser.parse_args()
    wanted, seeds = wished.words, wished.seeds
    chosen = [world for world in worlds() if all(word in world.name for word in wanted)]
    if not chosen:
        parser.error(f"no world has all of {', '.join(wanted)} in its name")
    for world in chosen:
        for seed in range(1, seeds + 1):
            sys.stdout.write(told(replace(world, seed=seed)) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
