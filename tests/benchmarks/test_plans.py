"""One of the seven jobs whose forecasts are held against their runs; `python -m tests.benchmarks.plans` has them all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_a_plan_that_knows_an_earlier_run_foretells_time_and_tokens_of_the_next():
    command = [sys.executable, "-m", "tests.benchmarks.plans", "--one", "held by 600 rpm", "0.3"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True, timeout=240)
    assert done.stdout.splitlines()[-1].endswith("pass"), done.stdout
