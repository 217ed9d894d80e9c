"""The extra ``fast``: the same runs on uvloop, which need not be installed here."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.sdk.environments import UVLOOP, built

pytestmark = pytest.mark.timeout(600, func_only=True)  # The first waits until uvloop's environment is built.
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def environment():
    packages = next(built(UVLOOP).glob("lib/python*/site-packages"))
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(packages)])}


ASKED = """
import asyncio
from batchrun.running import one_run

async def told(*_):
    return type(asyncio.get_running_loop()).__module__

one_run.run = told
print(one_run.run_blocking(None))
"""


def test_a_run_is_on_uvloop_where_that_is_installed(environment):
    assert b"uvloop" in subprocess.run([sys.executable, "-c", ASKED], env=environment, capture_output=True, check=True).stdout


def job_in(tmp_path, rows, seconds):
    lines = [{"id": f"r-{n}", "workspace": ("legal", "sales")[n % 2], "prompt": f"Note {n}.", "stream": n % 3 == 0} for n in range(rows)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "job.toml").write_text(
        '[job]\ninput = "in.jsonl"\noutput = "run"\n[defaults]\nmodel = "qwen-plus"\nendpoint = "simulator"\nconcurrency = 20\n'
        f"[workspaces.legal]\n[workspaces.sales]\n[simulator]\nlatency = {{ median = {seconds}, sigma = 0.2 }}\n"
    )


def command(*arguments):
    return [sys.executable, "-c", "from batchrun.__main__ import main; main()", *arguments]


def test_a_run_on_uvloop_answers_every_row_at_once_and_tells_nothing_unasked(tmp_path, environment):
    job_in(tmp_path, 100, 0.01)
    ended = subprocess.run(command("run", "job.toml", "--json", "--quiet"), cwd=tmp_path, env=environment, capture_output=True, check=False)
    total = json.loads(ended.stdout)["total"]
    assert (ended.returncode, total["answered"], total["calls"], ended.stderr) == (0, 100, 100, b"")


def test_a_run_on_uvloop_that_is_told_to_stop_brings_what_is_in_flight_and_goes_on(tmp_path, environment):
    job_in(tmp_path, 200, 0.2)
    run = command("run", "job.toml", "--json", "--quiet")
    with subprocess.Popen(run, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            while not any((tmp_path / "run" / name / "results.jsonl").exists() for name in ("legal", "sales")):
                assert process.poll() is None
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate()
        finally:
            process.kill()
    stopped = json.loads(out)["total"]
    assert process.returncode == 4
    assert 0 < stopped["answered"] < 200
    assert stopped["in_doubt"] == 0
    again = subprocess.run(run, cwd=tmp_path, env=environment, capture_output=True, check=True)
    assert json.loads(again.stdout)["total"]["answered"] == 200
