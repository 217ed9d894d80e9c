"""What the limiter makes of a provider's quotas, in virtual time: `python -m tests.benchmarks.limits` prints every bar.

Beside each bar of tokens stands what can be had. "At most" is what none can pass who has rows taken in the order that this run had them
taken in, whatever he knows (`clairvoyant.py`). Where the bar is missed, "informed" is what one uses who knows all of the quota and only
guesses the rows, as the limiter does, with no more refused than is allowed (`informed.py`), and beside it what is at most his, whose rows
are others. What is missed between the bar and these is the world's; what lies between these and what was seen is the limiter's.
`--informed` before other words tells it of every bar, and takes three times as long.

Of a small quota a few large rows decide: what one seed says of ten minutes may be five hundredths off. `--seeds 12` plays each bar with
so many, and tells the mean, the worst, and how many of them reach it.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from dataclasses import replace
from statistics import fmean

from tests.benchmarks.bars import Bar, bars, impossible, measure, seen
from tests.benchmarks.clairvoyant import clairvoyant
from tests.benchmarks.informed import informed
from tests.benchmarks.play import Play, Report

_SEEN = f"{'makespan':>8} {'used':>7} {'asked':>7} {'refused':>8} {'asked':>7}"
_HEAD = f"{'bar':75} {_SEEN} {'at most':>7} {'informed':>8} {'refused':>7} {'at most':>7}"
_HEAD_OF_SEEDS = f"{'bar':75} {'used':>7} {'worst':>7} {'asked':>7} {'refused':>8} {'worst':>8} {'asked':>7}  reached"


def told(bar: Bar, *, always_informed: bool = False) -> str:
    """A line of the table."""
    if impossible(bar.world):
        return f"{bar.name:75} impossible: a row is more than a window's quota"
    play = Play(bar.world)
    what = seen(bar, play.run())
    is_reached = what.reaches(bar)
    is_as_expected = bar.least is not None and what.is_at_least(bar.least)
    verdict = "pass" if is_reached else "short, as expected" if is_as_expected else "SHORT"
    makespan = 1 / what.used if what.used else math.inf
    figures = f"{makespan:8.4f} {what.used:7.2%} {bar.used:7.2%} {what.refused:8.3%} {bar.refused:7.2%}"
    return f"{bar.name:75} {figures} {_ceilings(bar, play, informed_too=always_informed or not is_reached):32}  {verdict}"


def told_of_seeds(bar: Bar, seeds: int) -> str:
    """A line of the table of so many *seeds*."""
    if impossible(bar.world):
        return f"{bar.name:75} impossible: a row is more than a window's quota"
    all_seen = [measure(replace(bar, world=replace(bar.world, seed=seed))) for seed in range(1, seeds + 1)]
    used, refused = [each.used for each in all_seen], [each.refused for each in all_seen]
    figures = f"{fmean(used):7.2%} {min(used):7.2%} {bar.used:7.2%} {fmean(refused):8.3%} {max(refused):8.3%} {bar.refused:7.2%}"
    return f"{bar.name:75} {figures}  {sum(each.reaches(bar) for each in all_seen)} of {seeds}"


def _ceilings(bar: Bar, play: Play, *, informed_too: bool) -> str:
    most = _at_most(bar, play.report)
    if not most or not informed_too:
        return most
    (used, refused), report = informed(bar, play.drawn)
    return f"{most} {used:8.2%} {refused:7.3%} {_at_most(bar, report)}"


def _at_most(bar: Bar, report: Report) -> str:
    most = clairvoyant(bar, report)
    return "" if most == math.inf else f"{most:7.2%}"


def main(described: str | None = __doc__) -> None:
    """Write every bar to standard output."""
    parser = argparse.ArgumentParser(description=described)
    parser.add_argument("--informed", action="store_true", help="tell of every bar what who knows the quota uses")
    parser.add_argument("--seeds", type=int, help="play each bar with so many, and tell of them all together")
    parser.add_argument("words", nargs="*", help="of the names of bars: known 1000000")
    wished = parser.parse_args()
    always, wanted, seeds = wished.informed, wished.words, wished.seeds
    chosen = [bar for bar in bars() if all(word in bar.name for word in wanted)]
    if not chosen:
        parser.error(f"no bar has all of {', '.join(wanted)} in its name")
    lines = (told_of_seeds(bar, seeds) if seeds else told(bar, always_informed=always) for bar in chosen)
    for line in itertools.chain([_HEAD_OF_SEEDS if seeds else _HEAD], lines):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
