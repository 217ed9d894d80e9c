"""``python -m tests.nights.midnight``: a whole process whose clock comes to midnight while it waits for the next day's budget."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.nights.night import BATCHRUN, ROOT

CAP = 2_500
_SECONDS_BEFORE = 20
_CLOCK = """import os, time
real, at, began = time.time, float(os.environ["CLOCK_BEGINS"]), None

def told():
    global began
    if began is None and os.path.exists("runs/midnight/attempts.log"):
        began = real()
    return at if began is None else at + real() - began

time.time = told
"""
"""It stands still until the run has opened its ledger: a process that takes its time to start begins on the first day all the same."""
_JOB = f"""[job]
input = "rows.jsonl"
output = "runs/midnight"
budget = {{ tokens = {CAP}, per = "day", zone = "UTC" }}
[defaults]
model = "qwen-plus"
endpoint = "simulator"
concurrency = 4
parameters = {{ max_tokens = 30 }}
[simulator]
latency = {{ median = 0.2 }}
[workspaces.legal]
[workspaces.sales]
"""


def play(folder: Path, rows: int = 160) -> dict[str, int]:
    """Run such a job with --wait; the tokens of its answers by day."""
    (folder / "sitecustomize.py").write_text(_CLOCK)
    (folder / "job.toml").write_text(_JOB)
    told = [{"id": f"r-{n}", "workspace": ("legal", "sales")[n % 2], "prompt": f"Summarise note {n}: the pump runs."} for n in range(rows)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in told))
    begins = (time.time() // 86_400 + 1) * 86_400 - _SECONDS_BEFORE
    environment = {**os.environ, "CLOCK_BEGINS": str(begins), "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        [*BATCHRUN, "run", "job.toml", "--quiet", "--wait"], cwd=folder, env=environment, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    by_day: Counter[str] = Counter()
    for path in (folder / "runs" / "midnight").glob("*/results.jsonl"):
        for entry in map(json.loads, path.read_bytes().splitlines()):
            by_day[entry["started_at"][:10]] += entry["usage"]["input_tokens"] + entry["usage"]["output_tokens"]
    return dict(sorted(by_day.items()))


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as name:
        days = play(Path(name))
        sys.stdout.write(f"tokens by day, of at most {CAP:,} each: {days}\n")
        assert len(days) == 2
        assert max(days.values()) <= CAP
