"""A disk that takes its time, the quick form; `python -m tests.faults.stalled` holds it up for a minute."""

from __future__ import annotations

import fcntl
import subprocess
import time
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from batchrun import read_statement
from tests.faults import children
from tests.faults.stalled import held_up, stalled


@pytest.mark.timeout(300)
def test_a_stalled_disk_slows_the_run_and_stops_neither_its_timeouts_nor_others_answers(tmp_path):
    told = stalled(tmp_path, 4.0, rows=300)
    held_up(told, 4.0)
    assert (told.exit_code, told.answered) == (3, 300)


@pytest.mark.timeout(300)
def test_a_signal_is_heard_while_the_disk_stalls_and_the_run_goes_on_later(tmp_path):
    told = stalled(tmp_path, 6.0, rows=300, hears=True)
    assert told.heard_after is not None
    assert told.heard_after < 1.5
    assert told.exit_code == 4
    ids = [entry["id"] for entry in children.entries(tmp_path / "run")]
    assert len(ids) == len(set(ids))


@pytest.mark.timeout(120)
def test_books_of_budgets_that_are_held_up_hold_up_the_run_and_cost_it_no_call(tmp_path):
    """Another process holds the lock of the books for longer than a call may take: that is what its stalled disk comes to.

    The budget is so small that what is borrowed at once lasts for a few of the calls.
    """
    rows = 100
    asked = [{"id": f"r-{number}", "prompt": "hello", "parameters": {"max_tokens": 5}} for number in range(rows)]
    children.jsonl(tmp_path / "rows.jsonl", asked)
    with children.server("-m", "tests.faults.endpoints") as where:
        (tmp_path / "job.toml").write_text(
            '[job]\ninput = "rows.jsonl"\noutput = "run"\nbudget = { tokens = 20_000, per = "day" }\n[defaults]\nmodel = "qwen-max"\n'
            "concurrency = 4\n[timeouts]\nidle = 1\ntotal = 1.5\n"
            f'[workspaces.hr]\napi_key_env = "HR_KEY"\nendpoint = "http://127.0.0.1:{where["port"]}/good/v1"\n'
        )
        keys = {"HR_KEY": "sk-fake-hr-0123456789"}
        process = children.starting(tmp_path, "run", "job.toml", "--quiet", keys=keys, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while children.count_of(tmp_path / "run") < 20:
            time.sleep(0.01)
        with (tmp_path / ".books.lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            time.sleep(3)
        _, said = children.ended(process)
    assert process.returncode == 0, said
    total = read_statement(tmp_path / "run").total()
    assert (total.answered, total.calls, total.in_doubt, total.retries) == (rows, rows, 0, 0)
    starts = sorted(entry["started_at"] for entry in children.entries(tmp_path / "run"))
    gap = max(datetime.fromisoformat(after) - datetime.fromisoformat(before) for before, after in pairwise(starts))
    assert gap > timedelta(seconds=1.5), "the run waited for the books"
