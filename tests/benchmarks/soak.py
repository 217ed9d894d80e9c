"""A day and a night in seconds: `python -m tests.benchmarks.soak [SEED]` plays 24 virtual hours twice and compares them byte by byte.

100,000 rows of eight workspaces under one quota; one call in twenty is throttled by chance, one in fifty ends in a 503, one in two hundred
hangs until its timeout; the provider is gone for minutes now and then; and the process is killed fifty times, with a torn last line every
other time. What is written are the ledger's own lines, and each opening knows no more than these, and what was learnt.
"""

from __future__ import annotations

import argparse
import hashlib
import heapq
import math
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from batchrun.core.ledger.attempts import Bound, Ended, Started, ended_line, opened_line, read_attempt, started_line
from batchrun.core.ledger.entry_reading import read_entry
from batchrun.core.ledger.entry_writing import write_entry
from batchrun.core.limits.quota import Quota
from batchrun.core.model import Answered, Call, Exhausted, Failure, Fault, Reply, Row, Scope, Usage
from batchrun.core.scheduling.decisions import Drained, Launch, Ticket, Verdict
from batchrun.core.scheduling.lane_plan import LanePlan
from batchrun.core.scheduling.retry import RetryPolicy
from batchrun.core.scheduling.scheduler import Scheduler
from batchrun.simulator.quotas import Caps, Meter

MODEL = "qwen-plus"
THROTTLED, UNAVAILABLE, HANGS = 0.05, 0.02, 0.005
_HANGS_FOR = 600.0
_BOUND = Bound(400, 600)
_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Scene:
    """How large a night it is."""

    seed: int
    rows: int = 100_000
    kills: int = 50
    outages: int = 8
    workspaces: int = 8
    slots: int = 16

    @property
    def rpm(self) -> int:
        """A quota that makes it take a day and a night."""
        return max(6, math.ceil(self.rows * 60 / (_DAY * 0.72)))


@dataclass(slots=True)
class Night:
    """One night as it went."""

    scene: Scene
    entries: bytearray = field(default_factory=bytearray)
    attempts: bytearray = field(default_factory=bytearray)
    calls: list[str] = field(default_factory=list)
    """The rows that were called, in order."""
    answered: set[str] = field(default_factory=set)
    billed: int = 0
    """Tokens, by the provider's own count."""
    openings: int = 0
    ended_at: float = 0.0
    most_in_flight: Counter[str] = field(default_factory=Counter)
    _read: int = 0

    def play(self) -> Night:
        """Play it to the end."""
        scene = self.scene
        dice = random.Random(scene.seed)
        provider = _Provider(scene, random.Random(f"{scene.seed} provider"), self)
        kills = sorted(dice.uniform(0, _DAY) for _ in range(scene.kills))
        learnt: dict[str, Any] = {}
        now = 0.0
        for killed_at in [*kills, math.inf, math.inf, math.inf]:
            if now >= killed_at:
                continue
            self._open()
            if len(self.answered) == scene.rows:
                break
            opening = _Opening(self, provider, dice, now, learnt)
            now = opening.run(killed_at)
            learnt = opening.scheduler.lessons.learnt()
            if now >= killed_at:
                self._tear(dice)
        self._open()
        self.ended_at = now
        return self

    def digest(self) -> str:
        """Of all that was written, and of the order of the calls."""
        return hashlib.sha256(b"".join([self.entries, b"\0", self.attempts, b"\0", "\n".join(self.calls).encode()])).hexdigest()

    def stated(self) -> tuple[int, int]:
        """Tokens by the ledger, and such in doubt."""
        lines = [read_attempt(bytes(line)) for line in self.attempts.split(b"\n") if line]
        ended = {each.name: each for each in lines if isinstance(each, Ended)}
        entries = [read_entry(bytes(line)) for line in self.entries.split(b"\n") if line]
        answered = {entry.attempt for entry in entries if entry.outcome == "answered"}
        usages = [entry.usage for entry in entries if entry.usage is not None]
        stated = sum(usage.input_tokens + usage.output_tokens for usage in usages)
        doubts = sum(
            sum(each.bound) for each in lines if isinstance(each, Started) and each.name not in answered and _in_doubt(ended.get(each.name))
        )
        return stated, doubts

    def _open(self) -> None:
        """Read what the ledger holds; a torn line is cut off."""
        del self.entries[self.entries.rfind(b"\n") + 1 :]
        for line in self.entries[self._read :].split(b"\n"):
            entry = read_entry(bytes(line)) if line else None
            if entry is not None and entry.outcome == "answered":
                assert entry.id not in self.answered, "answered twice"
                self.answered.add(entry.id)
        self._read = len(self.entries)
        self.openings += 1

    def _tear(self, dice: random.Random) -> None:
        if dice.random() < 0.5 and self._read < len(self.entries):
            last = self.entries.rfind(b"\n", 0, len(self.entries) - 1) + 1
            del self.entries[max(self._read, dice.randrange(last, len(self.entries))) :]


def _in_doubt(ended: Ended | None) -> bool:
    """Whether an attempt without an answered entry may have been billed: one that was torn off was."""
    return ended is None or ended.in_doubt or ended.verdict == Verdict.ANSWERED


@dataclass(slots=True)
class _Provider:
    """Takes calls, or does not; counts what it bills."""

    scene: Scene
    dice: random.Random
    night: Night
    meter: Meter = field(init=False)
    outages: list[tuple[float, float]] = field(init=False)

    def __post_init__(self) -> None:
        self.meter = Meter(Caps(requests=self.scene.rpm, request_period=60))
        starts = sorted(self.dice.uniform(0, _DAY) for _ in range(self.scene.outages))
        self.outages = [(start, start + self.dice.uniform(120, 2400)) for start in starts]

    def call(self, now: float, tokens: int) -> tuple[Reply | Failure, float]:
        """What a call brings, and when."""
        if any(start <= now < end for start, end in self.outages):
            return _failed(Fault.AGAIN, "connection_refused"), now + 0.2
        draw = self.dice.random()
        if self.meter.refuses(now) or draw < THROTTLED:
            return _failed(Fault.THROTTLED, "limit_requests"), now + 0.1
        self.meter.count(now, 1, now)
        if draw < THROTTLED + UNAVAILABLE:
            return _failed(Fault.AGAIN, "service_unavailable"), now + 0.3
        self.night.billed += tokens
        if draw < THROTTLED + UNAVAILABLE + HANGS:
            return replace(_failed(Fault.AGAIN, "timeout"), in_doubt=True), now + _HANGS_FOR
        ended = now + self.dice.lognormvariate(1.5, 0.6)
        return Reply("an answer", "stop", Usage(tokens - tokens // 4, tokens // 4)), ended


def _failed(fault: Fault, code: str) -> Failure:
    return Failure(fault, Scope.ROW, code, "the provider's words", "wait")


class _Opening:
    """One process's part of the night."""

    def __init__(self, night: Night, provider: _Provider, dice: random.Random, now: float, learnt: dict[str, Any]) -> None:
        self.night, self.provider, self.dice, self.now = night, provider, dice, now
        self.scheduler = Scheduler(self._plans(), RetryPolicy(), probe_every=300.0)
        self.scheduler.lessons.teach(learnt, now)
        self.ends: list[tuple[float, int, Ticket, Reply | Failure, str]] = []
        self.attempts = 0
        self.night.attempts += opened_line(night.openings, now)

    def _plans(self) -> list[LanePlan]:
        scene, plans = self.night.scene, []
        for place in range(scene.workspaces):
            name = f"w{place}"
            rows = [ordinal for ordinal in range(place, scene.rows, scene.workspaces) if f"{name}-{ordinal}" not in self.night.answered]
            quota = Quota(rpm=scene.rpm)
            plans.append(LanePlan(name, MODEL, "main", rows, len(rows), scene.slots, weight=1.0 + place % 3, pool_quota=quota))
        return plans

    def run(self, killed_at: float) -> float:
        """Go on to the end, or until killed; when that was."""
        while True:
            match self.scheduler.next(self.now):
                case Launch(ticket):
                    self._launch(ticket)
                case Drained():
                    return self.now
                case wait:
                    at = min(wait.at, self.ends[0][0] if self.ends else math.inf)
                    assert self.now < at < math.inf, "the run hangs"
                    if at >= killed_at:
                        return killed_at
                    self.now = at
                    while self.ends and self.ends[0][0] <= at:
                        self._end(*heapq.heappop(self.ends)[2:])

    def _launch(self, ticket: Ticket) -> None:
        night = self.night
        row = f"{ticket.workspace}-{ticket.ordinal}"
        self.attempts += 1
        name = f"{night.openings}-{self.attempts}"
        night.calls.append(row)
        night.attempts += started_line(name, self.now, Row(row, ticket.workspace, MODEL, {}, "0" * 16), _BOUND)
        in_flight = self.scheduler.in_flight_of(ticket.workspace)
        night.most_in_flight[ticket.workspace] = max(night.most_in_flight[ticket.workspace], in_flight)
        result, ended = self.provider.call(self.now, 100 + ticket.ordinal % 700)
        heapq.heappush(self.ends, (ended, self.attempts, ticket, result, name))

    def _end(self, ticket: Ticket, result: Reply | Failure, name: str) -> None:
        verdict = self.scheduler.settle(ticket, result, self.now, self.dice.random())
        row = Row(f"{ticket.workspace}-{ticket.ordinal}", ticket.workspace, MODEL, {}, "0" * 16)
        call = Call(name, ticket.attempt, ticket.launched_at, round((self.now - ticket.launched_at) * 1000))
        if verdict is Verdict.ANSWERED and isinstance(result, Reply):
            self.night.entries += write_entry(Answered(row, result, call), "batchrun", raw=False)
        elif verdict is Verdict.EXHAUSTED and isinstance(result, Failure):
            self.night.entries += write_entry(Exhausted(row, result, call), "batchrun", raw=False)
        self.night.attempts += ended_line(name, self.now, verdict, result)
        self.scheduler.release(ticket)


def main() -> None:
    """Play one night twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seed", nargs="?", type=int, default=1)
    seed = parser.parse_args().seed
    digests = []
    for _ in range(2):
        began = time.process_time()
        night = Night(Scene(seed)).play()
        seconds = time.process_time() - began
        stated, doubts = night.stated()
        digests.append(night.digest())
        sys.stdout.write(
            f"seed {seed}: {len(night.answered):,} of {night.scene.rows:,} rows answered in {night.ended_at / 3600:.1f} virtual hours, "
            f"{night.openings} openings, {len(night.calls):,} calls; "
            f"stated {stated:,} <= billed {night.billed:,} <= {stated + doubts:,} tokens; "
            f"{seconds:.1f} CPU-s (<= 60); {digests[-1][:16]}\n"
        )
        sys.stdout.flush()
    sys.stdout.write("the same bytes\n" if digests[0] == digests[1] else "NOT THE SAME\n")


if __name__ == "__main__":
    main()
