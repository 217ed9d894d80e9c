"""What the scheduler makes of shared quotas, in virtual time: `python -m tests.benchmarks.pools` prints every bar.

The provider is the simulator's own meter, one a pool; a refusal comes back after 50 ms, an answer after a lognormal time. Many workspaces
share a pool, rows differ in size a hundredfold, and one workspace may be refused by a cap of its own.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import math
import random
import sys
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from batchrun.core.limits.quota import NO_QUOTA, Quota
from batchrun.core.model import Failure, Fault, Reply, Scope, Usage
from batchrun.core.scheduling.retry import RetryPolicy
from batchrun.core.scheduling.scheduler import Drained, LanePlan, Launch, Scheduler, Ticket
from batchrun.simulator.quotas import Caps, Meter
from batchrun.simulator.scenario import Mishap

_REFUSED_AFTER = 0.05
_CODES = {Mishap.THROTTLE: "limit_requests", Mishap.TOKEN_QUOTA: "insufficient_quota"}


class Tenant(NamedTuple):
    """A workspace with one model."""

    name: str
    rows: int
    tokens: int
    """Of its usual row; the sizes are lognormal around it."""
    weight: float = 1.0
    concurrency: int = 64
    starts: float = 0.0
    """When it has its first row."""
    own: Caps | None = None
    """A cap of its own at the provider, of which the job says nothing."""


@dataclass(frozen=True, slots=True)
class House:
    """Tenants of one account, and its quota for their model."""

    tenants: Sequence[Tenant]
    caps: Caps
    known: Quota = NO_QUOTA
    latency: float = 0.8
    seconds: float = math.inf
    spread: float = 0.5
    seed: int = 1


@dataclass(slots=True)
class Seen:
    """What came of it."""

    calls: int = 0
    refused: int = 0
    finished: dict[str, float] = field(default_factory=dict)
    """When each tenant had its last answer."""
    served: dict[str, list[tuple[float, int]]] = field(default_factory=lambda: defaultdict(list))
    """By tenant, when how many tokens were admitted."""

    def between(self, name: str, start: float, end: float) -> int:
        """Tokens that a tenant was served."""
        return sum(tokens for at, tokens in self.served[name] if start <= at < end)


class Play:
    """One run against a house."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.dice = random.Random(house.seed)
        self.meter = Meter(house.caps)
        self.own = {each.name: Meter(each.own) for each in house.tenants if each.own is not None}
        self.sizes = {each.name: self._sizes(each) for each in house.tenants}
        self.scheduler = Scheduler([self._lane(each) for each in house.tenants], RetryPolicy())
        self.seen = Seen()
        self.events: list[tuple[float, int, Callable[[float], None]]] = []
        self.numbers = itertools.count()

    def _sizes(self, tenant: Tenant) -> list[int]:
        dice = random.Random(f"{self.house.seed} {tenant.name}")
        return [max(1, int(dice.lognormvariate(math.log(tenant.tokens), self.house.spread))) for _ in range(tenant.rows)]

    def _lane(self, tenant: Tenant) -> LanePlan:
        sizes = self.sizes[tenant.name]
        return LanePlan(
            tenant.name,
            "qwen-plus",
            "main",
            range(tenant.rows),
            tenant.rows,
            tenant.concurrency,
            weight=tenant.weight,
            tokens=lambda ordinal: float(sizes[ordinal]),
            pool_quota=self.house.known,
        )

    def run(self) -> Seen:
        """Play to the end."""
        now = 0.0
        while now < self.house.seconds:
            step = self.scheduler.next(now)
            if isinstance(step, Launch):
                self._launch(step.ticket, now)
                continue
            if isinstance(step, Drained):
                break
            now = max(now, min(step.at, self.events[0][0] if self.events else math.inf))
            while self.events and self.events[0][0] <= now:
                at, _, happens = heapq.heappop(self.events)
                happens(at)
        return self.seen

    def _at(self, at: float, happens: Callable[[float], None]) -> None:
        heapq.heappush(self.events, (at, next(self.numbers), happens))

    def _launch(self, ticket: Ticket, now: float) -> None:
        tokens = self.sizes[ticket.workspace][ticket.ordinal]
        self.seen.calls += 1
        own = self.own.get(ticket.workspace)
        why = (own.refuses(now, tokens) if own else None) or self.meter.refuses(now, tokens)
        if why is not None:
            self.seen.refused += 1
            failure = Failure(Fault.THROTTLED, Scope.LANE, _CODES[why], "too much", "wait", status=429)
            self._at(now + _REFUSED_AFTER, lambda at: self._end(ticket, failure, at))
            return
        # A row takes as long whoever else runs.
        row = random.Random(f"{self.house.seed} {ticket.workspace} {ticket.ordinal}")
        ended = now + row.lognormvariate(math.log(self.house.latency), 0.5)
        for meter in (self.meter, *([own] if own else [])):
            meter.count(now, tokens, ended)
        self.seen.served[ticket.workspace].append((now, tokens))
        self._at(ended, lambda at: self._end(ticket, Reply("", "stop", Usage(tokens, 0)), at))

    def _end(self, ticket: Ticket, result: Reply | Failure, now: float) -> None:
        self.scheduler.settle(ticket, result, now, self.dice.random())
        self.scheduler.release(ticket)
        if isinstance(result, Reply):
            self.seen.finished[ticket.workspace] = now


def jain(shares: Sequence[float]) -> float:
    """How fair *shares* are: 1 where all are equal (Jain, Chiu and Hawe, 1984)."""
    return sum(shares) ** 2 / (len(shares) * sum(share * share for share in shares))


def twelve(known: Quota, caps: Caps) -> tuple[float, float]:
    """Twelve workspaces of weights 1 to 3 whose rows differ a hundredfold: how fair, and how much of the pool, while all have work."""
    tenants = [Tenant(f"w{place}", 100_000, int(40 * 100 ** (place / 11)), 1.0 + place % 3, concurrency=256) for place in range(12)]
    start, end = 60.0, 660.0
    seen = Play(House(tenants, caps, known, seconds=end)).run()
    served = {each: seen.between(each.name, start, end) for each in tenants}
    assert caps.tokens is not None
    use = sum(served.values()) / (caps.tokens / caps.token_period * (end - start))
    return jain([tokens / each.weight for each, tokens in served.items()]), use


def head_of_line() -> Mapping[str, float]:
    """Eight workspaces, one of which is throttled to a crawl: how much later than alone each other one ends."""
    caps = Caps(requests=100_000, request_period=60)
    crawl = Caps(requests=6, request_period=60)
    others = [Tenant(f"w{place}", 2_000, 500, concurrency=16) for place in range(7)]
    together = Play(House([Tenant("crawls", 200, 500, concurrency=16, own=crawl), *others], caps)).run()
    alone = {each.name: Play(House([each], caps)).run().finished[each.name] for each in others}
    return {name: together.finished[name] / seconds - 1 for name, seconds in alone.items()}


def cost(lanes: int, rows: int) -> float:
    """Microseconds of CPU that the scheduler takes for a row, with so many lanes and rows waiting in each."""
    plans = [
        LanePlan(f"w{place}", "qwen-plus", f"a{place % 10}", range(rows), rows, 4, pool_quota=Quota(600_000.0, 1e9))
        for place in range(lanes)
    ]
    scheduler = Scheduler(plans, RetryPolicy())
    reply, out, now, done = Reply("", "stop", Usage(10, 5)), deque[Ticket](), 100.0, 0
    began = time.process_time()
    while done < 20_000:
        match scheduler.next(now):
            case Launch(ticket):
                out.append(ticket)
            case _:
                now += 0.001
                if out:
                    ticket = out.popleft()
                    scheduler.settle(ticket, reply, now, 0.5)
                    scheduler.release(ticket)
                    done += 1
    return (time.process_time() - began) / done * 1e6


def main() -> None:
    """Print every bar."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    say = sys.stdout.write
    for name, known, caps in (
        ("known, 60 s", Quota(tpm=1_200_000), Caps(tokens=1_200_000, token_period=60)),
        ("known, 6 s", Quota(tpm=1_200_000), Caps(tokens=120_000, token_period=6)),
        ("unknown, 60 s", NO_QUOTA, Caps(tokens=1_200_000, token_period=60)),
    ):
        fair, use = twelve(known, caps)
        verdict = "pass" if fair >= 0.99 and use >= 0.98 else "SHORT"
        say(f"twelve workspaces, weights 1..3, {name}: Jain {fair:.4f} (>= 0.99), pool used {use:.4f} (>= 0.98)  {verdict}\n")
    worst = max(head_of_line().values())
    verdict = "pass" if worst <= 0.01 else "SHORT"
    say(f"one of eight workspaces throttled to a crawl: the others end {worst:+.3%} later (<= 1 %)  {verdict}\n")
    one, many, deep = cost(1, 10_000_000), cost(1_000, 1_000), cost(50, 1_000_000)
    say(f"scheduler CPU a row: {one:.1f} us with 1 lane, {many:.1f} us with 1,000 ({many / one:.1f} x, <= 3), ")
    say(f"{deep:.1f} us with 50 million rows waiting\n")


if __name__ == "__main__":
    main()
