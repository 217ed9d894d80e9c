"""What the limiter makes of a provider's quotas, in virtual time: `python -m tests.benchmarks.limits` prints every bar.

Beside each bar of tokens stands what can be had: the share of the quota that one uses who knows what every row costs and keeps their order
(`clairvoyant.py`: none can do better), and where the bar is missed, what one uses who knows all of the quota and only guesses the rows, as
the limiter does, with no more refused than is allowed (`informed.py`). What is missed between the bar and these is the world's; what lies
between these and what was seen is the limiter's. `--informed` before other words tells it of every bar, and takes three times as long.
"""

from __future__ import annotations

import itertools
import math
import sys

from tests.benchmarks.bars import Bar, Seen, bars, impossible, seen
from tests.benchmarks.clairvoyant import clairvoyant
from tests.benchmarks.informed import informed
from tests.benchmarks.play import Play

_HEAD = f"{'bar':75} {'makespan':>8} {'used':>7} {'asked':>7} {'refused':>8} {'asked':>7} {'informed':>8} {'refused':>7} {'at most':>7}"


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
    return f"{bar.name:75} {figures} {_ceilings(bar, play, informed_too=always_informed or not is_reached)}  {verdict}"


def _ceilings(bar: Bar, play: Play, *, informed_too: bool) -> str:
    caps = bar.world.caps
    if caps.tokens is None:
        return f"{'':24}"
    knows_quota: Seen | None = informed(bar, play.drawn) if informed_too and caps.debit == "admission" else None
    first = f"{'':16}" if knows_quota is None else f"{knows_quota.used:8.2%} {knows_quota.refused:7.3%}"
    return f"{first} {clairvoyant(bar, play.drawn, play.report):7.2%}"


def main() -> None:
    """Write every bar to standard output."""
    always, wanted = sys.argv[1:2] == ["--informed"], sys.argv[1:]
    wanted = wanted[int(always) :]
    chosen = (bar for bar in bars() if all(word in bar.name for word in wanted))
    for line in itertools.chain([_HEAD], (told(bar, always_informed=always) for bar in chosen)):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
