"""`python -m tests.benchmarks.speed`: what a row costs, in one table; each figure in alternation with the naive loop's of the same run.

CPU is user and system time of the whole process, the start (a run of 200 rows) taken off. The machine may be busy: ratios are worth more
than figures, medians more than single runs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from tests.benchmarks.speed.contestants import BARE, BATCHRUN, NAIVE, PEERS, WIRE, Contestant, contestant_of, fast
from tests.benchmarks.speed.endpoint import ANSWERS, PLAIN, greedy, lognormal, serving
from tests.benchmarks.speed.measure import alternate
from tests.benchmarks.speed.steps import steps

MEDIAN, SPREAD = 0.176, 0.5
"""Of the delays of the endpoint that takes its time: lognormal, seconds and sigma."""


def main() -> None:
    """Measure, and print the table."""
    asked = _asked()
    with tempfile.TemporaryDirectory(prefix="speed-") as place:
        folder = Path(place)
        contestants = [NAIVE, BATCHRUN, *_had("batchrun on uvloop", fast()), WIRE, BARE]
        if "cpu" in asked.what:
            for in_flight in asked.in_flight:
                _cpu(contestants, asked.rows, in_flight, asked.rounds, folder)
        if "peers" in asked.what:
            _peers(contestants, asked.rows, asked.in_flight[0], asked.rounds, folder)
        if "latency" in asked.what:
            for in_flight in asked.in_flight:
                if in_flight > 64:
                    _latency(contestants, asked.rows, in_flight, asked.rounds, folder)
        if "steps" in asked.what:
            for in_flight in asked.in_flight:
                for called, answer in ANSWERS.items():
                    _steps(in_flight, called, answer, folder)
                _steps(in_flight, "a plain answer, paid from a budget by the month", PLAIN, folder, paid=True)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.speed", description=__doc__)
    parser.add_argument(
        "what", nargs="*", default=["cpu", "latency", "peers"], help="cpu, latency, peers; all of these where nothing is named, and steps"
    )
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--in-flight", type=int, nargs="+", default=[64, 256, 1000])
    return parser.parse_args()


def _peers(contestants: Sequence[Contestant], count: int, in_flight: int, rounds: int, folder: Path) -> None:
    peers = [each for peer in PEERS for each in _had(peer.name, contestant_of(peer))]
    _cpu([*contestants, *peers], count, in_flight, rounds, folder)


def _had(name: str, contestant: Contestant | str) -> list[Contestant]:
    if isinstance(contestant, Contestant):
        return [contestant]
    _say(f"\n{name} is left out: {contestant}\n")
    return []


def _cpu(contestants: Sequence[Contestant], count: int, in_flight: int, rounds: int, folder: Path) -> None:
    with serving(folder) as url:
        weighed = alternate(contestants, count, 4, url, in_flight, rounds, folder)
    _say(f"\n{count:,} rows, 4 workspaces, {in_flight:,} in flight, answered at once; {rounds} rounds\n")
    _say(f"{'':<24}{'CPU µs a row':>14}{'least–most':>14}{'× naive':>9}{'least–most':>14}{'rows/s':>9}{'peak MB':>9}\n")
    naive = weighed[0].micros()
    for each in weighed:
        micros = each.micros()
        times = [mine / other for mine, other in zip(micros, naive, strict=True)]
        _say(
            f"{each.contestant.name:<24}{median(micros):>14.0f}{_range(micros, 0):>14}{median(times):>9.2f}{_range(times, 2):>14}"
            f"{median(each.rates()):>9,.0f}{each.peak() / 1e6:>9.0f}\n"
        )


def _latency(contestants: Sequence[Contestant], count: int, in_flight: int, rounds: int, folder: Path) -> None:
    delays = lognormal(count, MEDIAN, SPREAD)
    ideal = greedy(delays, in_flight)
    with serving(folder, delays) as url:
        runs = alternate(contestants, count, 1, url, in_flight, rounds, folder)
    _say(f"\n{count:,} rows, 1 workspace, {in_flight:,} in flight, delays of {MEDIAN} s, sigma {SPREAD}; greedy ideal {ideal:.2f} s\n")
    _say(f"{'':<24}{'seconds':>10}{'least–most':>14}{'× ideal':>9}{'× naive':>9}{'CPU µs a row':>14}\n")
    for each in runs:
        spans = each.seconds()
        _say(
            f"{each.contestant.name:<24}{median(spans):>10.2f}{_range(spans, 2):>14}{median(spans) / ideal:>9.2f}"
            f"{median(spans) / median(runs[0].seconds()):>9.2f}{median(each.micros()):>14.0f}\n"
        )


def _steps(in_flight: int, called: str, answer: bytes, folder: Path, *, paid: bool = False) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as place:
        counted = steps(Path(place), in_flight, answer=answer, paid=paid)
    _say(f"\n{'':<24}{'steps a row':>14}{'share':>9}  with {in_flight:,} in flight, to {called}\n")
    for part, count in counted.most_common():
        _say(f"{part:<24}{count:>14,.0f}{count / sum(counted.values()):>9.0%}\n")


def _range(values: Sequence[float], digits: int) -> str:
    return f"{min(values):.{digits}f}–{max(values):.{digits}f}"


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
