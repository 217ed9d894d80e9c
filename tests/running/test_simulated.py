"""The simulator inside a run, as the job's [simulator] has it."""

from __future__ import annotations

import orjson
import pytest

from batchrun.core.jobs.job import Job
from batchrun.running.one_run import Wishes, run_blocking


@pytest.mark.parametrize(("changes", "answered"), [([], 3), ([{"at": 0, "workspace": "hr", "wrong_key": False}], 6)])
def test_a_key_that_is_refused_is_taken_once_a_change_says_so(tmp_path, monkeypatch, changes, answered):
    monkeypatch.chdir(tmp_path)
    rows = [{"workspace": name, "prompt": f"hello {number}"} for name in ("hr", "legal") for number in range(3)]
    (tmp_path / "in.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)))
    job = Job.model_validate(
        {
            "job": {"input": "in.jsonl"},
            "defaults": {"endpoint": "simulator", "model": "qwen-plus"},
            "workspaces": {"hr": {}, "legal": {}},
            "simulator": {"latency": {"median": 0}, "workspaces": {"hr": {"wrong_key": True}}, "changes": changes},
        }
    )
    assert run_blocking(job, Wishes(page=None)).statement.total().answered == answered
