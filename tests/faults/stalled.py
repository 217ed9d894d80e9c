"""A disk that takes its time: ``python -m tests.faults.stalled`` holds one sync up for a minute, or as long as is said.

Meanwhile the event loop goes on: an endpoint that hangs is given up in its time, what is in flight is written down, a signal is heard. No
more is launched than the ledger's window allows for, and nothing piles up in memory.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from batchrun.core.ledger.attempts import Ended, Started, read_attempt
from batchrun.core.ledger.unsynced import UNSYNCED_SECONDS
from batchrun.edge.ledger.ledger import SYNC_EVERY
from tests import weighing
from tests.faults import children
from tests.faults.kinds import PLAIN
from tests.peers.peer import program
from tests.weighing import Took

TOTAL = 1.5
SLOTS = {"good": 4, "hung": 2}
_GOES_ON = 100
"""Answers before the sync is held up, at the least."""
_JOB = f"""
[job]
input = "rows.jsonl"
output = "{{place}}/run"
[defaults]
model = "m"
[retry]
max_attempts = 2
backoff = {{ first = 0.05, max = 0.1 }}
[timeouts]
total = {TOTAL}
"""


@dataclass
class Told:
    """What the log of one run tells."""

    exit_code: int
    said: str
    most_mib: float
    answered: int
    gap: float
    """Seconds of the longest time in which no call began."""
    slowest: float
    """Seconds that a call took at the most."""
    ended_meanwhile: int
    """Calls that ended while none began."""
    most_under_way: int
    calls: int
    heard_after: float | None = None
    """Seconds from the signal to the word that it was heard."""


def stalled(place: Path, seconds: float, *, rows: int, when: int = 7, call: str = "fdatasync", hears: bool = False) -> Told:
    """Hold up one sync of a run, or another *call* on its log; with *hears*, a signal comes in its midst."""
    with children.server("-m", "tests.faults.endpoints") as where:
        _write(place, where["port"], rows)
        inject = f"inject={call}:delay_enter={round(seconds * 1e6)}:when={when}"
        traced = ["-P", str(place / "run" / "attempts.log"), "-e", f"trace={call}"] if call != "fdatasync" else ["-e", f"trace={call}"]
        command = [program("strace", "strace"), "-f", "-qq", "-o", "/dev/null", *traced, "-e", inject, *children.BATCHRUN]
        with (place / "said").open("wb") as said:
            process = subprocess.Popen(
                weighing.weighed([*command, "run", "job.toml"]),
                cwd=place, env=children.environment(_keys()), stdout=subprocess.PIPE, stderr=said,
            )  # fmt: skip
        heard = _signalled(place, process) if hears else None
        took = weighing.told(process.communicate()[0])
    return _read(place, took, heard)


def _keys() -> dict[str, str]:
    return {f"KEY_{name}": f"sk-fake-canary-{name}-0123456789" for name in SLOTS}


def _write(place: Path, port: int, rows: int) -> None:
    silence = list(PLAIN).index("silence")
    paths = {"good": "good", "hung": f"plain/{silence}"}
    tables = [
        f'[workspaces.{name}]\napi_key_env = "KEY_{name}"\nconcurrency = {slots}\nendpoint = "http://127.0.0.1:{port}/{paths[name]}/v1"\n'
        for name, slots in SLOTS.items()
    ]
    (place / "job.toml").write_text(_JOB.replace("{place}", str(place)) + "".join(tables))
    wanted = [("good", number) for number in range(rows)] + [("hung", number) for number in range(6)]
    children.jsonl(place / "rows.jsonl", [{"id": f"{name}-{number}", "workspace": name, "prompt": "hello"} for name, number in wanted])


def _signalled(place: Path, process: subprocess.Popen[bytes]) -> float:
    """Wait until nothing is written any more, say Ctrl-C to the run, and count the seconds till it says that it has heard."""
    log, size, since = place / "run" / "attempts.log", 0, time.monotonic()
    while time.monotonic() - since < UNSYNCED_SECONDS + TOTAL or size < _GOES_ON * 200:
        assert process.poll() is None, (place / "said").read_text()
        with contextlib.suppress(FileNotFoundError):
            if (now := log.stat().st_size) != size:
                size, since = now, time.monotonic()
        time.sleep(0.02)
    began = time.monotonic()
    os.kill(_child_of(_child_of(process.pid)), signal.SIGINT)
    while b"no new calls" not in (place / "said").read_bytes():
        assert process.poll() is None, (place / "said").read_text()
        time.sleep(0.02)
    return time.monotonic() - began


def _child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def _read(place: Path, took: Took, heard: float | None) -> Told:
    started: dict[str, float] = {}
    begins: list[float] = []
    ends: list[tuple[float, float]] = []
    under_way = most = 0
    for line in (place / "run" / "attempts.log").read_bytes().splitlines():
        match read_attempt(line):
            case Started(name=name, at=at):
                started[name] = at
                begins.append(at)
                under_way += 1
                most = max(most, under_way)
            case Ended(name=name, at=at):
                ends.append((at, at - started[name]))
                under_way -= 1
    gap, began = max(zip((after - before for before, after in pairwise(sorted(begins))), sorted(begins), strict=False), default=(0.0, 0.0))
    return Told(
        took.exit_code, (place / "said").read_text(errors="replace"), took.most_mib, len(children.entries(place / "run")), gap,
        max(seconds for _, seconds in ends), sum(began < at < began + gap for at, _ in ends), most, len(begins), heard,
    )  # fmt: skip


def held_up(told: Told, seconds: float) -> None:
    """Hold that the run waited for the disk, and for nothing else."""
    window = UNSYNCED_SECONDS + SYNC_EVERY
    assert seconds - window < told.gap < seconds + 1, told
    assert told.slowest < TOTAL + 1, "a call that hung was given up in its time"
    # Its ends are written with the next line where they are answers: none is lost, and none piles up.
    assert told.most_under_way <= 2 * sum(SLOTS.values()), told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    seconds = parser.parse_args().seconds
    for call, when, hears in (("fdatasync", 7, False), ("fdatasync", 7, True), ("write", 150, False)):
        with tempfile.TemporaryDirectory() as name:
            place = Path(name)
            told = stalled(place, seconds, rows=3000, call=call, when=when, hears=hears)
            print(
                f"{call} held up for {seconds:.0f} s{', and Ctrl-C' if hears else ''}: no call began for {told.gap:.1f} s, "
                f"{told.ended_meanwhile} ended in that time, the slowest call took {told.slowest:.2f} s of {TOTAL}; "
                f"{told.calls:,} calls, {told.answered:,} answered, at most "
                f"{told.most_under_way} under way, {told.most_mib:.0f} MiB at the most; exit code {told.exit_code}"
                + (f"; the signal was heard after {told.heard_after:.2f} s" if told.heard_after is not None else ""),
                flush=True,
            )
            if call == "fdatasync" and not hears:
                held_up(told, seconds)


if __name__ == "__main__":
    main()
