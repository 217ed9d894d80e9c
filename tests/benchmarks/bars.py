"""What is asked of the limiter: each bar a world, a share of its quota, and how few of the calls are refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from batchrun.core.limits.quota import NO_QUOTA, Quota
from batchrun.simulator.quotas import Caps
from tests.benchmarks.play import MEAN_ROW, Play, Report, World, allowed


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

    @property
    def least(self) -> Seen | None:
        """What is to come of it all the same, where it is known not to be reached."""
        return _LEAST.get(self.name)


class Seen(NamedTuple):
    """What came of a bar."""

    used: float
    refused: float

    def reaches(self, bar: Bar) -> bool:
        """Whether it is what was asked for."""
        return self.is_at_least(Seen(bar.used, bar.refused))

    def is_at_least(self, other: Seen) -> bool:
        """Whether as much was used as is said, and no more refused."""
        return self.used >= other.used and self.refused <= other.refused


_LEAST = {
    "known 1000000 tpm, 6 s sliding, admission": Seen(0.92, 0.005),
    "known 5000000 tpm, 1 s sliding, admission": Seen(0.83, 0.006),
    "known 5000000 tpm, 1 s aligned, admission": Seen(0.89, 0.006),
    "unknown 1000000 tpm, 6 s, sliding, answers 0.8 s, slots 256": Seen(0.91, 0.01),
    "unknown 1000000 tpm, 6 s, sliding, answers 8.0 s, slots 1000": Seen(0.87, 0.013),
    "unknown 1000000 tpm, 6 s, aligned, answers 8.0 s, slots 1000": Seen(0.93, 0.016),
    "halved 1000000 tpm, 6 s, sliding, answers 0.8 s": Seen(0.86, 0.012),
    "restored 1000000 tpm, 6 s, sliding, answers 0.8 s": Seen(0.9, 0.012),
    "halved 1000000 tpm, 6 s, aligned, answers 0.8 s": Seen(0.93, 0.017),
    "unknown 100000 tpm, 60 s, sliding, answers 0.8 s, slots 256": Seen(0.92, 0.015),
    "unknown 100000 tpm, 60 s, aligned, answers 0.8 s, slots 256": Seen(0.95, 0.024),
    "halved 100000 tpm, 60 s, sliding, answers 0.8 s": Seen(0.83, 0.045),
    "restored 100000 tpm, 60 s, sliding, answers 0.8 s": Seen(0.91, 0.037),
    "halved 100000 tpm, 60 s, aligned, answers 0.8 s": Seen(0.88, 0.043),
    "unknown 5000000 tpm, 1 s, sliding, answers 0.8 s, slots 1000": Seen(0.83, 0.01),
    "unknown 5000000 tpm, 1 s, aligned, answers 0.8 s, slots 1000": Seen(0.89, 0.018),
    "unknown 5000000 tpm, 2 s, sliding, answers 0.8 s, slots 1000": Seen(0.89, 0.01),
    "unknown 5000000 tpm, 2 s, aligned, answers 0.8 s, slots 1000": Seen(0.94, 0.015),
}
"""Bars that are not reached, by their names, and what is: a little less than the worst of six seeds. What is under way in a short window
is a large part of it, and is only guessed: `informed.py` tells what guesses allow. Where a quota is small, each look at whether it rose is
a refusal that few calls share, and so is each of the thirty or so that find it at first: half of what may be refused where 100,000 tokens a
minute are halved. Who knows that quota uses 95 % of its half with 2.7 % of the calls refused, and 92 % with 0.5 % (sliding, the mean of
twelve seeds)."""


def measure(bar: Bar) -> Seen:
    """Play a bar's world."""
    return seen(bar, Play(bar.world).run())


def seen(bar: Bar, report: Report) -> Seen:
    """What a run in a bar's world comes to."""
    return Seen(report.between(bar.since, report.finished) / (allowed(bar.world) * bar.of), report.refused_share)


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
    rows = tpm * minutes / MEAN_ROW
    world = World(tokens(tpm, period, window, debit), Quota(tpm=tpm), seconds=minutes * 180, rows=rows, jitter=0.02, cap=2000)
    return Bar(f"known {tpm} tpm, {period} s {window}, {debit}", world, 1 / 1.05, 0.005)


def known_both(share: float, period: int, window: str, debit: str, minutes: float) -> Bar:
    """A quota of calls for so large a *share* of the usual rows that one of tokens has room for: 1.05 of the one that is less, 1.11 of two
    that are alike, for rows of which one is held back by the one quota and the next by the other."""
    tpm = 1_000_000
    rpm = round(share * tpm / MEAN_ROW)
    caps = replace(tokens(tpm, period, window, debit), requests=rpm * period // 60, request_period=period)
    rows = min(1.0, share) * tpm * minutes / MEAN_ROW
    world = World(caps, Quota(rpm=rpm, tpm=tpm), seconds=minutes * 180, rows=rows, jitter=0.02, cap=2000)
    return Bar(f"known {rpm} rpm and {tpm} tpm, {period} s {window}, {debit}", world, 1 / 1.11 if share == 1.0 else 1 / 1.05, 0.005)


def impossible(world: World) -> bool:
    """Whether the largest rows are more than a window's quota, which counts them when they are admitted: they can never be."""
    caps = world.caps
    return caps.tokens is not None and caps.debit == "admission" and caps.tokens < _LARGEST_ROW


_LARGEST_ROW = 20_300


def unknown(caps: Caps, name: str, hours: float, *, latency: float = 0.8, cap: int = 256) -> Bar:
    """After two minutes 95 % of what may be used, and a hundredth refused."""
    world = World(caps, seconds=hours * 3600, jitter=0.02, latency=latency, cap=cap)
    return Bar(f"unknown {name}, {caps.window}, answers {latency} s, slots {cap}", world, 0.95, 0.01, since=120)


def changed(caps: Caps, name: str, *, latency: float = 0.8) -> Iterator[Bar]:
    """Three minutes after an unknown quota was halved, and after it was restored, 95 % of it again."""
    world = World(caps, seconds=2280, jitter=0.02, latency=latency, cap=1000, changes=((1500, 0.5),))
    yield Bar(f"halved {name}, {caps.window}, answers {latency} s", world, 0.95, 0.03, since=1680, of=0.5)
    world = World(caps, seconds=3280, jitter=0.02, latency=latency, cap=1000, changes=((1500, 0.5), (2500, 1)))
    yield Bar(f"restored {name}, {caps.window}, answers {latency} s", world, 0.95, 0.03, since=2680)


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
    for share in (0.8, 1.0, 1.25):
        for debit in ("admission", "completion"):
            yield from (known_both(share, 60, kind, debit, 30) for kind in _KINDS)
    for period in (6, 60):
        for kind in _KINDS:
            yield from _unknown_bars(period, kind)
    for period in (1, 2):
        yield from (unknown(tokens(5_000_000, period, kind), f"5000000 tpm, {period} s", 0.5, cap=1000) for kind in _KINDS)
    yield from others()


def _unknown_bars(period: int, kind: str) -> Iterator[Bar]:
    for rpm, hours in ((60, 8.0), (600, 2.0), (6000, 0.5)):
        for latency, cap in ((0.8, 256), (8.0, 256), (0.8, 16), (8.0, 16)):
            yield unknown(requests(rpm, period, kind), f"{rpm} rpm, {period} s", hours, latency=latency, cap=cap)
        for latency in (0.8, 8.0):
            yield from changed(requests(rpm, period, kind), f"{rpm} rpm, {period} s", latency=latency)
    for tpm, hours in ((100_000, 8.0), (1_000_000, 2.0), (5_000_000, 0.5)):
        caps, name = tokens(tpm, period, kind), f"{tpm} tpm, {period} s"
        yield unknown(caps, name, hours)
        if tpm == 1_000_000:
            yield unknown(caps, name, hours / 4, latency=8.0, cap=1000)
        yield from changed(caps, name)
