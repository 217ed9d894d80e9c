"""Time that goes wrong: a process that is stopped and goes on, a wall clock that jumps."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest

from batchrun import read_statement
from tests.faults import children
from tests.faults.children import count_of, ended, entries, environment, jsonl, starting

_JUMPS = """
import os, sys, time
true_time = time.time
jumps = [float(each) for each in sys.argv.pop().split(",")]
asked = 0
def jumping():
    # Between answers: however busy the machine is, and however much is done in a turn, there are 25 turns.
    global asked
    asked += os.path.exists("run/hr/results.jsonl")
    return true_time() + sum(jumps[: asked // 6])
time.time = jumping
from batchrun.cli import main
main()
"""


@pytest.fixture(scope="module")
def port():
    with children.server("-m", "tests.faults.endpoints") as where:
        yield where["port"]


def job(place, port: int, rows: int, more: str = "") -> dict[str, str]:
    jsonl(place / "rows.jsonl", [{"id": f"r-{number}", "prompt": "hello"} for number in range(rows)])
    (place / "job.toml").write_text(
        f'[job]\ninput = "rows.jsonl"\noutput = "run"\n[defaults]\nmodel = "m"\nconcurrency = 8\n{more}\n'
        f'[workspaces.hr]\napi_key_env = "HR_KEY"\nendpoint = "http://127.0.0.1:{port}/good/v1"\n'
    )
    return {"HR_KEY": "sk-fake-hr-0123456789"}


def test_a_process_that_is_stopped_for_longer_than_a_call_may_take_loses_no_answer_and_asks_nothing_twice(tmp_path, port):
    keys = job(tmp_path, port, 300, "[timeouts]\nidle = 2\ntotal = 2.5\n")
    process = starting(tmp_path, "run", "job.toml", "--json", "--quiet", keys=keys, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while count_of(tmp_path / "run") < 20:
        time.sleep(0.01)
    process.send_signal(signal.SIGSTOP)
    time.sleep(4)
    process.send_signal(signal.SIGCONT)
    out, said = ended(process)
    assert process.returncode == 0, said
    told = json.loads(out)["total"]
    assert (told["answered"], told["calls"], told["in_doubt"], told["retries"]) == (300, 300, 0, 0)


@pytest.mark.parametrize("jumps", ["-3600,7200,-86400", "390000000,390000000"], ids=["by hours and days", "past 2038"])
def test_a_wall_clock_that_jumps_changes_no_call(tmp_path, port, jumps):
    """By hours, by days, beyond what 32 bits hold: nothing waits for it, nothing is sent twice, and the ledger reads back."""
    keys = job(tmp_path, port, 200)
    command = [sys.executable, "-c", _JUMPS, "run", "job.toml", "--quiet", jumps]
    done = subprocess.run(command, cwd=tmp_path, env=environment(keys), capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    total = read_statement(tmp_path / "run").total()
    assert (total.answered, total.calls, total.in_doubt) == (200, 200, 0)
    assert len({entry["started_at"][:10] for entry in entries(tmp_path / "run")}) > 1
