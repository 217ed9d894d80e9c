"""One run directory, many processes: ``python -m tests.faults.starts`` starts twenty at once, twenty times, with a kill in between.

One of them holds the run; each other says who and where that is, within a second of its own start, and touches nothing. A killed one holds
nothing any more.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.end_to_end.test_run import BATCHRUN, ROOT, calls, environment, rows_of, simulator, write_job
from tests.faults.accounts import settled

_HELD = """
import os, sys, time
from pathlib import Path
from batchrun.core.errors import RunInUseError
from batchrun.edge.run_directory import locked
print("ready", flush=True)
sys.stdin.readline()
began = time.monotonic()
try:
    with locked(Path(sys.argv[1])):
        print("held", flush=True)
        sys.stdin.readline()
except RunInUseError as error:
    print(f"refused {time.monotonic() - began:.3f} {error}", flush=True)
"""


def race(directory: Path, processes: int) -> float:
    """Have *processes* take the run's lock at one moment: one holds it until it is killed, and then it is free. Seconds of the slowest."""
    children = [
        subprocess.Popen([sys.executable, "-c", _HELD, str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        for _ in range(processes)
    ]
    try:
        assert all(_says(child) == "ready" for child in children)
        for child in children:
            _tell(child)
        told = {child: _says(child) for child in children}
        holders = [child for child, said in told.items() if said == "held"]
        assert len(holders) == 1, told
        refused = [said for said in told.values() if said.startswith("refused ")]
        assert len(refused) == processes - 1
        assert all(f"in use by process {holders[0].pid} on " in said for said in refused), refused
        return max(float(said.split(" ")[1]) for said in refused)
    finally:
        for child in children:
            child.kill()
            child.communicate(timeout=20)


def _says(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def _tell(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()


def starts(home: Path, *, processes: int, rows: int) -> tuple[int, int]:
    """Start one job so often at once: how many ran (one at a time), and how many were refused. Every row is called for once."""
    asked = rows_of(rows)
    with simulator(home, latency=0.1) as url:
        job = write_job(home, url, asked)
        children = [
            subprocess.Popen([*BATCHRUN, "run", str(job), "--quiet"], cwd=home, env=environment(), stderr=subprocess.PIPE)
            for _ in range(processes)
        ]
        said = [child.communicate(timeout=300)[1].decode() for child in children]
        codes = [child.returncode for child in children]
        assert set(codes) <= {0, 5}, said
        assert all("in use by" in text for code, text in zip(codes, said, strict=True) if code == 5)
        account = settled(home / "run", asked, calls(url))
        assert account.calls == rows
    return codes.count(0), codes.count(5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--races", type=int, default=20)
    parser.add_argument("--processes", type=int, default=20)
    wished = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as home:
        slowest = max(race(Path(home) / "run", wished.processes) for _ in range(wished.races))
    print(f"{wished.races} races of {wished.processes}: one held each, all others were refused within {slowest:.3f} s", flush=True)
    with tempfile.TemporaryDirectory() as home:
        ran, refused = starts(Path(home), processes=wished.processes, rows=400)
    print(f"{wished.processes} starts of one job: {ran} ran, {refused} refused, 400 calls for 400 rows; {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
