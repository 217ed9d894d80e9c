"""One run with a workspace for each thing that an endpoint can do wrong, and healthy ones beside them.

``python -m tests.faults.isolation`` runs the healthy ones alone and beside `TROUBLES` in turn, and tells how fast they are; then beside
every kind there is, and tells what became of each bad workspace's row; with answers as large as they may be, how fast the healthy ones are
then, when many endpoints pour as fast as they can, and how much more memory the run had at the most.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from batchrun.core.model import Fault
from tests.faults import children
from tests.faults.kinds import LARGEST, PLAIN, STREAMED, Kind

HEALTHY = ("alpha", "beta", "gamma")
_JOB = """
[job]
input = "rows.jsonl"
output = "run"
[defaults]
model = "m"
concurrency = 4
[retry]
max_attempts = 2
backoff = { first = 0.05, max = 0.1 }
[timeouts]
connect = 10
idle = 3
total = 8
[transport]
max_response_bytes = {largest}
"""
TROUBLES = (
    *("401", "402", "403", "500", "503", "a redirect", "silence", "half the headers, then silence", "headers byte by byte, for ever"),
    *("a reset at once", "garbage", "a bomb", "an answer without end", "interim answers without end", "headers without end"),
    *("half the body, then silence", "a refusal that never ends", "an event without end", "one word an event, for ever"),
)
"""What workspaces get that have lost their way."""
_DEFAULT_LARGEST = 16 << 20
_SLOW_TO_END = (Fault.THROTTLED,)
"""Rows that are throttled wait, for minutes: they are the limiter's matter."""


@dataclass
class Beside:
    """How the healthy workspaces fared in one run, and what became of the others."""

    exit_code: int
    most_mib: float
    seconds: dict[str, float]
    answered: dict[str, int]
    became: dict[str, str] = field(default_factory=dict)


def bad_kinds(only: Collection[str] | None = None) -> Iterator[tuple[str, str, int, Kind]]:
    """Workspace, form, number and kind of each that ends by itself."""
    for form, table in (("plain", PLAIN), ("streamed", STREAMED)):
        for number, (name, kind) in enumerate(table.items()):
            if kind.leads_to not in _SLOW_TO_END and (only is None or name in only):
                yield f"{form}_{number}", form, number, kind


def carried_out(
    place: Path, port: int, bad: Collection[tuple[str, str, int, Kind]], rows: int, largest: int = LARGEST, good: int | None = None
) -> Beside:
    """Run the healthy workspaces beside *bad* ones; *good* is a port of their own."""
    tables = [_JOB.replace("{largest}", str(largest))]
    tables += [
        f'[workspaces.{name}]\napi_key_env = "KEY_{name}"\nendpoint = "http://127.0.0.1:{good or port}/good/v1"\n' for name in HEALTHY
    ]
    for name, form, number, _ in bad:
        endpoint = f"http://127.0.0.1:{port}/{form}/{number}/v1"
        stream = "true" if form == "streamed" else "false"
        tables.append(f'[workspaces.{name}]\napi_key_env = "KEY_{name}"\nendpoint = "{endpoint}"\nstream = {stream}\n')
    (place / "job.toml").write_text("".join(tables))
    healthy = [{"id": f"{name}-{number}", "workspace": name, "prompt": "hello"} for number in range(rows) for name in HEALTHY]
    children.jsonl(place / "rows.jsonl", [*({"id": name, "workspace": name, "prompt": "hello"} for name, *_ in bad), *healthy])
    keys = {f"KEY_{name}": f"sk-fake-canary-{name}-0123456789" for name in (*HEALTHY, *(each[0] for each in bad))}
    exit_code, most_mib = children.measured(place, "run", "job.toml", keys=keys)
    by_workspace: dict[str, list[dict[str, Any]]] = {}
    for entry in (*children.entries(place / "run"), *children.entries(place / "run", "errors")):
        by_workspace.setdefault(entry["workspace"], []).append(entry)
    became = {name: by_workspace[name][-1].get("failure", {}).get("code", "") for name, *_ in bad if name in by_workspace}
    told = {name: by_workspace.get(name, []) for name in HEALTHY}
    return Beside(
        exit_code, most_mib, {name: _span(each) for name, each in told.items()}, {n: len(each) for n, each in told.items()}, became
    )


def _span(entries: list[dict[str, Any]]) -> float:
    starts: list[float] = [datetime.fromisoformat(entry["started_at"]).timestamp() for entry in entries]
    ends = [start + entry["latency_ms"] / 1000 for start, entry in zip(starts, entries, strict=True)]
    return float(max(ends) - min(starts))


def misread(bad: Collection[tuple[str, str, int, Kind]], became: Mapping[str, str]) -> dict[str, tuple[str, str | None]]:
    """What became of a row that is not what the table says; a parked workspace has no entry.

    A server that closes without having said so may be met a second time over the connection that it has closed.
    """
    wanted = {name: None if kind.leads_to is Fault.PARK else kind.code for name, _, _, kind in bad}
    return {name: (str(code), became.get(name)) for name, code in wanted.items() if became.get(name) not in {code, "disconnected"}}


def main() -> int:
    """Tell how the healthy ones fare, then what became of the others; 0 where all bars are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=400, help="of each healthy workspace")
    wished = parser.parse_args()
    rounds, rows = wished.rounds, wished.rows
    every, troubles = list(bad_kinds()), list(bad_kinds(TROUBLES))
    alone: list[Beside] = []
    beside: list[Beside] = []
    endpoints = "-m", "tests.faults.endpoints"
    # One that pours has no time for others: the healthy ones' is a process of its own.
    with children.server(*endpoints) as where, children.server(*endpoints) as good:

        def run(bad: Collection[tuple[str, str, int, Kind]], largest: int = LARGEST) -> Beside:
            with tempfile.TemporaryDirectory() as place:
                return carried_out(Path(place), where["port"], bad, rows, largest, good["port"])

        for _ in range(rounds):
            alone.append(run([]))
            beside.append(run(troubles))
        classes, memory = run(every), run(every, _DEFAULT_LARGEST)
    slowest_alone = min(max(each.seconds.values()) for each in alone)
    slowest_beside = min(max(each.seconds.values()) for each in beside)
    speed = slowest_alone / slowest_beside
    flooded = slowest_alone / max(memory.seconds.values())
    growth = memory.most_mib - min(each.most_mib for each in alone)
    odd = misread(every, classes.became)
    names = {f"{form}_{number}": name for form, table in (("plain", PLAIN), ("streamed", STREAMED)) for number, name in enumerate(table)}
    say = sys.stdout.write
    say(f"{len(HEALTHY)} healthy workspaces of {rows} rows, the best of {rounds} rounds: {slowest_alone:.2f} s alone, ")
    say(f"{slowest_beside:.2f} s beside {len(troubles)} bad ones: {speed:.1%} of their speed\n")
    say(f"beside all {len(every)} bad ones: answered {classes.answered}; with answers of up to {_DEFAULT_LARGEST >> 20} MiB ")
    say(f"{flooded:.1%} of their speed, {growth:.0f} MiB more in memory at the most\n")
    say(f"rows that came to something else than the table says: {len(odd)}\n")
    for name, (wanted, found) in odd.items():
        say(f"  {names[name]} ({name}): {wanted} expected, {found} found\n")
    return 0 if speed >= 0.95 and flooded >= 0.5 and growth < 64 and not odd else 1


if __name__ == "__main__":
    sys.exit(main())
