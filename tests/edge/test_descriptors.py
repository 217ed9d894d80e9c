"""Files and connections are provided before a run begins, or it says what it needs and does not begin."""

from __future__ import annotations

import os
import resource
from contextlib import contextmanager
from pathlib import Path

import pytest

from batchrun.core.errors import JobError
from batchrun.core.jobs.job import Job
from batchrun.edge.descriptors import provide
from batchrun.running.one_run import Wishes, run_blocking


@contextmanager
def limited(soft, hard=None):
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard or before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_limit_is_raised_as_far_as_is_needed_and_no_further():
    already = len(list(Path("/dev/fd").iterdir()))
    with limited(already + 70):
        provide(100, 20)
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert 120 + already <= soft <= 120 + already + 80
        provide(1, 1)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == soft


def test_where_no_directory_tells_what_is_open_the_limit_is_raised_all_the_same(monkeypatch):
    already = len(list(Path("/dev/fd").iterdir()))

    def jailed(path):
        raise FileNotFoundError(path)

    monkeypatch.setattr(os, "listdir", jailed)
    with limited(already + 70):
        provide(100, 20)
        assert 120 <= resource.getrlimit(resource.RLIMIT_NOFILE)[0] <= 120 + already + 80


def test_where_the_hard_limit_is_too_low_the_run_does_not_begin_and_says_what_it_needs():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with pytest.raises(JobError, match=r"calls in flight, 2,001 output files\).*ulimit -n .*lower concurrency") as refused:
        provide(hard, 2_001)
    assert refused.value.exit_code == 2


def test_a_run_provides_for_its_connections_and_files_before_any_call(tmp_path):
    """Two hundred calls at a time to the simulator, which holds the other ends: with a limit for ten of them."""
    (tmp_path / "rows.jsonl").write_text('{"prompt": "hello"}\n' * 400)
    job = Job.model_validate(
        {
            "job": {"input": str(tmp_path / "rows.jsonl"), "output": str(tmp_path / "run")},
            "defaults": {"endpoint": "simulator", "model": "qwen-plus", "concurrency": 200},
            "simulator": {"latency": {"median": 0.3, "sigma": 0}},
        }
    )
    with limited(len(list(Path("/dev/fd").iterdir())) + 60):
        ending = run_blocking(job, Wishes(dotenv=None))
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 400
    assert (ending.exit_code, ending.statement.total().retries) == (0, 0)
