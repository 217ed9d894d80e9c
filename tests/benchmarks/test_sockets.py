"""The bar of sockets that single rows weigh most on, in virtual time; `python -m tests.benchmarks.sockets` has them all in real seconds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_a_token_quota_is_used_up_by_heavy_tailed_rows_whose_cost_is_learnt_as_they_go():
    command = [sys.executable, "-m", "tests.benchmarks.sockets", "--virtual", "300,000 tpm"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True, timeout=240)
    assert done.stdout.splitlines()[-1].endswith("pass"), done.stdout
