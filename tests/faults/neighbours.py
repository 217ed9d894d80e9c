"""A workspace that is throttled for ever, one whose budget is spent, one of poisoned rows, one with a bad key: the others notice nothing.

``python -m tests.faults.neighbours`` runs the healthy ones alone and beside those in turn, under a load that waits for the
endpoint and not for the processor, and compares their speed and what stands in their files.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from batchrun.core.ledger.attempts import Started, read_attempt
from tests.faults import children
from tests.faults.kinds import PLAIN

HEALTHY = ("alpha", "beta", "gamma")
SLOTS = 4
TROUBLED = {"throttled": "429", "locked": "401", "forbidden": "403", "unpaid": "402", "hung": "silence", "endless": "an answer without end"}
"""By what their endpoints do."""
_JOB = """
[job]
input = "rows.jsonl"
output = "run"
[defaults]
model = "m"
concurrency = 4
[retry]
max_attempts = 2
[timeouts]
idle = 5
total = 5
[stop]
grace = 0.5
[transport]
max_response_bytes = 65536
"""
_POISON = (
    *(r'"\ud83d half a character"', r'"\u0000 and \u2028 and \u202e"', '"' + "深" * 20_000 + '"', '"]}}, {\\"choices\\": [\\"'),
    *('[{"role":"user","content":' + "[" * 90 + "]" * 90 + "}]", '"x", "metadata": ' + "[" * 120 + "]" * 120),
    *('"x", "parameters": {"seed": 1e999}', '"x", "parameters": {"max_tokens": -1}', "NaN", '"' + "a" * 70_000 + '"', "5" * 5000),
)


@dataclass
class Fared:
    """How the healthy ones fared."""

    seconds: float
    """From their first call to their last answer."""
    told: list[str]
    """Their entries but for times and names of calls, sorted."""
    calls: Counter[str]
    """Of every workspace."""
    said: str


def carried_out(place: Path, port: int, rows: int, *, troubled: bool) -> Fared:
    """Run the healthy ones to their end, beside the others or not."""
    _write(place, port, rows, troubled=troubled)
    keys = {f"KEY_{name}": f"sk-fake-canary-{name}-0123456789" for name in (*HEALTHY, *TROUBLED, "spent", "poisoned")}
    with (place / "said").open("wb") as said:
        process = children.starting(place, "run", "job.toml", "--quiet", keys=keys, stdout=subprocess.DEVNULL, stderr=said)
    files = [place / "run" / name / "results.jsonl" for name in HEALTHY]
    until = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < until:
        if sum(path.read_bytes().count(b"\n") for path in files if path.exists()) == rows * len(HEALTHY):
            process.send_signal(signal.SIGINT)
            break
        time.sleep(0.05)
    process.wait(timeout=60)
    return _read(place)


def _write(place: Path, port: int, rows: int, *, troubled: bool) -> None:
    kinds = list(PLAIN)
    paths = dict.fromkeys(HEALTHY, "slow")
    if troubled:
        paths |= {name: f"plain/{kinds.index(kind)}" for name, kind in TROUBLED.items()} | {"spent": "slow", "poisoned": "slow"}
    tables = [
        f'[workspaces.{name}]\napi_key_env = "KEY_{name}"\nendpoint = "http://127.0.0.1:{port}/{path}/v1"\n'
        + ("budget = { tokens = 10 }\n" if name == "spent" else "")
        for name, path in paths.items()
    ]
    (place / "job.toml").write_text(_JOB + "".join(tables))
    lines = [
        json.dumps({"id": f"{name}-{number}", "workspace": name, "prompt": "hello"})
        for number in range(rows)
        for name in paths
        if name != "poisoned"
    ]
    if troubled:
        poison = (f'{{"id":"p-{number}","workspace":"poisoned","prompt":{_POISON[number % len(_POISON)]}}}' for number in range(rows))
        lines = [*poison, *lines]
    (place / "rows.jsonl").write_text("\n".join(lines) + "\n")


def _read(place: Path) -> Fared:
    begins, ends, told = [], [], []
    for entry in children.entries(place / "run"):
        if entry["workspace"] in HEALTHY:
            begins.append(datetime.fromisoformat(entry["started_at"]).timestamp())
            ends.append(begins[-1] + entry["latency_ms"] / 1000)
            told.append(_lasting(entry))
    calls: Counter[str] = Counter()
    for line in (place / "run" / "attempts.log").read_bytes().splitlines():
        match read_attempt(line):
            case Started(workspace=workspace):
                calls[workspace] += 1
    return Fared(max(ends) - min(begins), sorted(told), calls, (place / "said").read_text(errors="replace"))


def _lasting(entry: dict[str, Any]) -> str:
    return json.dumps({name: value for name, value in entry.items() if name not in {"attempt", "started_at", "latency_ms", "crc32"}})


def unmoved(alone: Fared, beside: Fared, rows: int) -> None:
    """Hold that the healthy ones brought the same, and that the others were stopped early."""
    assert len(alone.told) == len(HEALTHY) * rows
    assert beside.told == alone.told
    assert all(alone.calls[name] == beside.calls[name] == rows for name in HEALTHY)
    # A parked workspace is probed every few minutes; those that hang or pour are their rows' matter.
    assert all(beside.calls[name] <= SLOTS for name in ("locked", "unpaid")), beside.calls
    # What a status alone tells may be a firewall's word on one row: it is believed of a second one.
    assert beside.calls["forbidden"] <= SLOTS + 1, beside.calls
    assert beside.calls["spent"] == 0, "a call could cost more than was left"
    assert "Traceback" not in beside.said, beside.said


def main() -> int:
    """Tell how the healthy ones fared; 0 where they kept 95 % of their speed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=200, help="of each healthy workspace")
    wished = parser.parse_args()
    rounds, rows = wished.rounds, wished.rows
    best: dict[bool, float] = {}
    fared: dict[bool, Fared] = {}
    with children.server("-m", "tests.faults.endpoints") as where:
        for _ in range(rounds):
            for troubled in (False, True):
                with tempfile.TemporaryDirectory() as place:
                    fared[troubled] = carried_out(Path(place), where["port"], rows, troubled=troubled)
                best[troubled] = min(best.get(troubled, 1e9), fared[troubled].seconds)
            unmoved(fared[False], fared[True], rows)
    speed = best[False] / best[True]
    calls = {name: count for name, count in sorted(fared[True].calls.items()) if name not in HEALTHY}
    print(f"the best of {rounds} rounds of {rows} rows each: {best[False]:.2f} s alone, {best[True]:.2f} s beside: {speed:.1%} of it")
    print(f"their entries are the same; calls of the others: {calls}")
    return 0 if speed >= 0.95 else 1


if __name__ == "__main__":
    sys.exit(main())
