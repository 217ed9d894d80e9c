"""What is kept beside a run that goes on: killed at any moment, it is gone on with from there, and nothing else is said by it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchrun.core.ledger.entry import read_outcome
from batchrun.core.scheduling.past import Past
from batchrun.running import checkpoints
from batchrun.running.checkpoints import Checkpoint
from batchrun.running.keeping import KeptPast
from batchrun.telling.reading import read_into
from tests.running.test_checkpoints import CALLS, Run, index_of_rows, told_of_plan


@pytest.fixture(autouse=True)
def any_size_is_worth_it(monkeypatch):
    monkeypatch.setattr(checkpoints, "FROM_BYTES", 1)


def checkpoint_of(run, index):
    return Checkpoint(run.directory, "plan", "input", {"index": index}, read_outcome)


@given(st.lists(CALLS, min_size=1, max_size=3), st.lists(CALLS, min_size=1, max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
def test_what_is_kept_beside_a_run_says_what_reading_all_of_it_says(tmp_path_factory, before, meanwhile):
    run, index = Run(tmp_path_factory.mktemp("run")), index_of_rows()
    for calls in before:
        run.opening(calls)
    checkpoint = checkpoint_of(run, index)
    kept = KeptPast(checkpoint, checkpoint.read_on(lambda: Past(index), keep=True), checkpoint.ends())
    for calls in meanwhile:
        run.opening(calls)
        ends = checkpoint.ends()
        # More is written before the reader comes to it: that is for the next time.
        run.opening(calls[:1])
        kept.go_on(ends)
        killed, whole = checkpoint_of(run, index), Past(index)
        read_into(run.directory, whole)
        found = killed._kept()
        assert found is not None
        assert {name: mark.end for name, mark in found[1].items()} == ends
        assert told_of_plan(killed.read_on(lambda: Past(index), keep=False)) == told_of_plan(whole)
        assert killed.note is None


def test_a_line_that_is_no_longer_what_was_written_ends_the_keeping_and_the_next_opening_says_so(tmp_path):
    run, index = Run(tmp_path), index_of_rows()
    run.opening([(0, "answered")])
    checkpoint = checkpoint_of(run, index)
    kept = KeptPast(checkpoint, checkpoint.read_on(lambda: Past(index), keep=True), checkpoint.ends())
    stood = (tmp_path / "plan.checkpoint").read_bytes()
    run.opening([(1, "answered")])
    path = tmp_path / "legal" / "results.jsonl"
    path.write_bytes(path.read_bytes()[:-200] + b"x" + path.read_bytes()[-199:])
    kept.go_on()
    run.opening([(5, "answered")])
    kept.go_on()
    assert (tmp_path / "plan.checkpoint").read_bytes() == stood
    with pytest.raises(Exception, match=r"results\.jsonl: line 2"):
        checkpoint_of(run, index).read_on(lambda: Past(index), keep=True)


_RUN = """
import sys
from batchrun.edge.job_file import load_job
from batchrun.running import checkpoints, keeping
from batchrun.running.one_run import run_blocking
keeping.KEPT_EVERY, keeping._TIMES_AS_LONG, checkpoints.FROM_BYTES = 0.02, 0, 1
kept = checkpoints.Checkpoint._kept
def told(self):
    found = kept(self)
    if self._path.name == "plan.checkpoint":
        print("from", 0 if found is None else sum(mark.end for mark in found[1].values()), flush=True)
    return found
checkpoints.Checkpoint._kept = told
sys.exit(run_blocking(load_job("job.toml")).exit_code)
"""


def test_a_run_that_is_killed_is_gone_on_with_from_what_was_kept_meanwhile_and_answers_each_row_once(tmp_path):
    rows = [{"id": f"r-{number}", "workspace": f"w-{number % 2}", "prompt": f"Say {number}."} for number in range(240)]
    (tmp_path / "in.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    (tmp_path / "job.toml").write_text(
        '[job]\nname = "kept"\ninput = "in.jsonl"\noutput = "run"\n[defaults]\nmodel = "qwen-plus"\nendpoint = "simulator"\n'
        "concurrency = 4\n[workspaces.w-0]\n[workspaces.w-1]\n[simulator]\nlatency = { median = 0.03, sigma = 0.1 }\n"
    )
    kept = tmp_path / "run" / "plan.checkpoint"
    command = [sys.executable, "-c", _RUN]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE) as child:
        while not kept.exists() and child.poll() is None:
            time.sleep(0.002)
        child.kill()
        said, _ = child.communicate(timeout=60)
    assert (child.returncode, said) == (-signal.SIGKILL, b"from 0\n")
    ended = subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE, timeout=60, check=True)
    assert int(ended.stdout.split()[1]) > 0
    answered = Counter(
        orjson.loads(line)["id"] for path in (tmp_path / "run").glob("*/results.jsonl") for line in path.read_bytes().splitlines()
    )
    assert answered == {row["id"]: 1 for row in rows}
