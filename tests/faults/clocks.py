"""Time that goes wrong for longer than a suite waits: ``python -m tests.faults.clocks``, with ``faketime`` (libfaketime).

A process is stopped for a minute, longer than its calls may take, and goes on; the wall clock of others jumps by hours and days, runs past
2038 and through the hours of spring and autumn that are not, or are twice. Each run keeps to a quota by the minute that the simulator
holds it to in every six seconds, to a window of hours and to a budget by the day: it calls each row once, in its time, and is not refused.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from batchrun import read_statement
from tests.end_to_end.test_run import BATCHRUN, calls, environment, rows_of, simulator

RPM, PERIOD = 1200, 6
_JITTER = 1.05
"""On a busy machine calls arrive in a little less time than they were sent in: so much more does the simulator take."""
_LIBRARY = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
_QUOTA = f'[accounts.main.quotas."qwen-plus"]\nrpm = {RPM}\n'


def _job(home: Path, url: str, rows: list[dict[str, Any]]) -> Path:
    (home / "rows.jsonl").write_text("".join(json.dumps({**row, "workspace": "legal"}) + "\n" for row in rows))
    (home / "job.toml").write_text(
        '[job]\ninput = "rows.jsonl"\noutput = "run"\nwindow = "Mon-Sun 00:00-24:00 Europe/Berlin"\n'
        'budget = { tokens = 50_000_000, per = "day", zone = "Europe/Berlin" }\n[timeouts]\nidle = 10\ntotal = 20\n'
        f'[defaults]\nmodel = "qwen-plus"\nconcurrency = 40\nendpoint = "{url}/compatible-mode/v1"\n{_QUOTA}'
        '[workspaces.legal]\naccount = "main"\napi_key_env = "LEGAL_KEY"\n'
    )
    return home / "job.toml"


def carried_out(home: Path, rows: int, disturb: Callable[[subprocess.Popen[bytes], Path], None], own: Mapping[str, str]) -> dict[str, Any]:
    """Carry a run out while *disturb* is about, and hold it to its rows and its quota; what came of it, and in what time its calls came."""
    asked = rows_of(rows)
    limits = '[workspaces.legal]\napi_key = "sk-sim-legal"\naccount = "main"\n[accounts.main.quotas."qwen-plus"]\n'
    limits += f"rpm = {RPM * _JITTER:.0f}\nrequest_period = {PERIOD}\n"
    with simulator(home, latency=0.3, scenario=limits) as url:
        command = [*BATCHRUN, "run", str(_job(home, url, asked)), "--quiet"]
        with (home / "said").open("wb") as said:
            process = subprocess.Popen(command, cwd=home, env={**environment(), **own}, stdout=subprocess.DEVNULL, stderr=said)
        disturb(process, home / "run" / "legal" / "results.jsonl")
        code = process.wait(timeout=300)
        journal = calls(url)
    assert code == 0, (home / "said").read_text()
    total = read_statement(home / "run").total()
    found = {
        "answered": total.answered,
        "calls": total.calls,
        "in doubt": total.in_doubt,
        "throttles": total.throttles,
        "came": len(journal),
    }
    assert found == {"answered": rows, "calls": rows, "in doubt": 0, "throttles": 0, "came": rows}, found
    times = [call["at"] for call in journal]
    return {
        "rows": rows,
        "seconds": round(max(times) - min(times), 1),
        f"most in {PERIOD} s": most_within(times, PERIOD),
        "most in 1 s": most_within(times, 1),
    }


def most_within(times: list[float], seconds: float) -> int:
    """How many of *times* lie within any window of so many seconds."""
    times, start, most = sorted(times), 0, 0
    for end, at in enumerate(times):
        while at - times[start] >= seconds:
            start += 1
        most = max(most, end - start + 1)
    return most


def stopped(home: Path, *, seconds: float, rows: int) -> dict[str, Any]:
    """Stop the process for a while, a third of its rows on."""

    def disturb(process: subprocess.Popen[bytes], results: Path) -> None:
        _await(process, results, rows // 3)
        process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        process.send_signal(signal.SIGCONT)

    found = carried_out(home, rows, disturb, {})
    assert found["seconds"] < seconds + rows * 60 / RPM + 10, found
    return found


def jumped(home: Path, *, start: float, jumps: tuple[float, ...], rows: int) -> dict[str, Any]:
    """Have the wall clock differ from the true one by *start* seconds, and, as the rows go by, by more."""
    clock = home / "clock"
    clock.write_text(f"{start:+.0f}\n")
    own = {
        "LD_PRELOAD": _LIBRARY, "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }  # fmt: skip

    def disturb(process: subprocess.Popen[bytes], results: Path) -> None:
        offset = start
        for number, jump in enumerate(jumps, 1):
            _await(process, results, rows * number // (len(jumps) + 1))
            offset += jump
            fresh = clock.with_suffix(".new")
            fresh.write_text(f"{offset:+.0f}\n")
            fresh.replace(clock)

    found = carried_out(home, rows, disturb, own)
    assert found["seconds"] < rows * 60 / RPM + 15, found
    days = {json.loads(line)["started_at"][:10] for line in (home / "run" / "legal" / "results.jsonl").read_bytes().splitlines()}
    return {**found, "days": sorted(days)}


def _await(process: subprocess.Popen[bytes], results: Path, lines: int) -> None:
    until = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < until:
        if results.exists() and results.read_bytes().count(b"\n") >= lines:
            return
        time.sleep(0.02)
    raise AssertionError(f"the run ended, or stood still, before {lines} rows: {process.poll()}")


def _until(moment: str) -> float:
    return datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp() - time.time()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="a process is stopped for")
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--only", default="", help="a part of one trouble's name")
    wished = parser.parse_args()
    if is_stopped := wished.only in "stopped":
        with tempfile.TemporaryDirectory() as home:
            print(f"stopped for {wished.seconds:.0f} s: {stopped(Path(home), seconds=wished.seconds, rows=wished.rows)}", flush=True)
    clocks: dict[str, tuple[float, tuple[float, ...]]] = {
        "back by an hour, on by two, on by a day, back by two": (0, (-3600, 7200, 86_400, -172_800)),
        "past 2038-01-19 03:14:07": (_until("2038-01-19 03:13:55"), ()),
        "through an hour that is twice (Berlin, 2026-10-25)": (_until("2026-10-25 00:59:50"), ()),
        "through an hour that is not (Berlin, 2027-03-28)": (_until("2027-03-28 00:59:50"), ()),
        "at midnight in Berlin, back and on again": (_until("2026-11-30 22:59:55"), (-30, 60)),
    }
    chosen = {name: each for name, each in clocks.items() if wished.only in name}
    if not (chosen or is_stopped):
        parser.error(f"no trouble has {wished.only} in its name: stopped; {'; '.join(clocks)}")
    for name, (start, jumps) in chosen.items():
        with tempfile.TemporaryDirectory() as home:
            print(f"{name}: {jumped(Path(home), start=start, jumps=jumps, rows=wished.rows)}", flush=True)
    print("each row was called once, none in doubt, none refused by the quota")


if __name__ == "__main__":
    main()
