"""What the limiter makes of a provider's quotas, in virtual time: `python -m tests.benchmarks.limits` prints every bar.

Beside each bar of tokens stands what can be had. "At most" is what none can pass who has rows taken in the order that this run had them
taken in, whatever he knows (`clairvoyant.py`). Where the bar is missed, "informed" is what one uses who knows all of the quota and only
guesses the rows, as the limiter does, with no more refused than is allowed (`informed.py`), and beside it what is at most his, whose rows
are others. What is missed between the bar and these is the world's; what lies between these and what was seen is the limiter's.
`--informed` before other words tells it of every bar, and takes three times as long.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys

from tests.benchmarks.bars import Bar, bars, impossible, seen
from tests.benchmarks.clairvoyant import clairvoyant
from tests.benchmarks.informed import informed
from tests.benchmarks.play import Play, Report

_SEEN = f"{'makespan':>8} {'used':>7} {'asked':>7} {'refused':>8} {'asked':>7}"
_HEAD = f"{'bar':75} {_SEEN} {'at most':>7} {'informed':>8} {'refused':>7} {'at most':>7}"


def told(bar: Bar, *, always_informed: bool = False) -> str:
    """A line of the table."""
    if impossible(bar.world):
        return f"{bar.name:75} impossible: a row is more than a window's quota"
    play = Play(bar.world)
    what = seen(bar, play.run())
    is_reached = what.reaches(bar)
    verdict = "pass" if is_reached else "short, as expected" if bar.missed else "SHORT"
    makespan = 1 / what.used if what.used else math.inf
    figures = f"{makespan:8.4f} {what.used:7.2%} {bar.used:7.2%} {what.refused:8.3%} {bar.refused:7.2%}"
    return f"{bar.name:75} {figures} {_ceilings(bar, play, informed_too=always_informed or not is_reached):32}  {verdict}"


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
    parser.add_argument("words", nargs="*", help="of the names of bars: known 1000000")
    wished = parser.parse_args()
    always, wanted = wished.informed, wished.words
    chosen = (bar for bar in bars() if all(word in bar.name for word in wanted))
    for line in itertools.chain([_HEAD], (told(bar, always_informed=always) for bar in chosen)):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
