"""A disk that takes its time, the quick form; `python -m tests.faults.stalled` holds it up for a minute."""

from __future__ import annotations

import fcntl
import subprocess
import time

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
def test_books_that_another_process_holds_up_hold_up_what_needs_them_and_nothing_else(tmp_path):
    """It has their lock until all that needs no budget is done: that is what its stalled disk comes to, or a Ctrl-Z.

    The budget is so small that what is borrowed at once lasts for a few of the calls.
    """
    rows = {"hr": 100, "free": 300}
    for name, count in rows.items():
        asked = [{"id": f"r-{number}", "workspace": name, "prompt": "hello", "parameters": {"max_tokens": 5}} for number in range(count)]
        children.jsonl(tmp_path / f"{name}.jsonl", asked)
    with children.server("-m", "tests.faults.endpoints") as where:
        own = f'api_key_env = "HR_KEY"\nendpoint = "http://127.0.0.1:{where["port"]}/good/v1"\n'
        (tmp_path / "job.toml").write_text(
            '[job]\ninput = ["hr.jsonl", "free.jsonl"]\noutput = "run"\n[defaults]\nmodel = "qwen-max"\nconcurrency = 4\n'
            f'[workspaces.hr]\nbudget = {{ tokens = 20_000, per = "day" }}\n{own}[workspaces.free]\nconcurrency = 1\n{own}'
        )
        keys = {"HR_KEY": "sk-fake-hr-0123456789"}
        process = children.starting(tmp_path, "run", "job.toml", "--quiet", keys=keys, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

        def answered(name):
            results = tmp_path / "run" / name / "results.jsonl"
            return results.read_bytes().count(b"\n") if results.exists() else 0

        while answered("hr") < 20:
            time.sleep(0.01)
        with (tmp_path / ".books.lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            while answered("free") < rows["free"]:
                time.sleep(0.01)
            held_up = answered("hr")
        _, said = children.ended(process)
    assert process.returncode == 0, said
    assert held_up < rows["hr"], "it waited for the books"
    total = read_statement(tmp_path / "run").total()
    assert (total.answered, total.calls, total.in_doubt, total.retries) == (400, 400, 0, 0)
