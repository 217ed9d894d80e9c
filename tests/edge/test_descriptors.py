"""Files and connections are provided before a run begins, or it says what it needs and does not begin."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from batchrun.core.errors import JobError
from batchrun.core.jobs.job import Job
from batchrun.edge.descriptors import provide, provided
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


def test_for_what_is_open_at_times_the_limit_is_raised_as_far_as_that_goes():
    already = len(list(Path("/dev/fd").iterdir()))
    with limited(already + 70):
        provide(100, 20, 300)
        assert 420 + already <= resource.getrlimit(resource.RLIMIT_NOFILE)[0] <= 420 + already + 80
        provide(100, 20, 10**9)
        assert len({*resource.getrlimit(resource.RLIMIT_NOFILE)}) == 1


def test_a_run_provides_for_the_media_of_every_folder_that_its_input_stands_in(tmp_path):
    for name in "abc":
        (tmp_path / name).mkdir()
        (tmp_path / name / "rows.jsonl").write_text(json.dumps({"id": name, "prompt": "hello"}))
    job = Job.model_validate(
        {
            "job": {"input": str(tmp_path / "*" / "rows.jsonl"), "output": str(tmp_path / "run")},
            "defaults": {"endpoint": "simulator", "model": "qwen-plus", "concurrency": 1},
        }
    )
    with limited(len(list(Path("/dev/fd").iterdir())) + 60):
        assert run_blocking(job, Wishes(dotenv=None)).exit_code == 0
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 3 * 80


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


def test_runs_of_one_program_that_go_on_at_once_are_each_provided_for(tmp_path):
    """The second had counted on the connections that the first was still to open: most calls of both failed."""
    already = len(list(Path("/dev/fd").iterdir()))
    with limited(already + 70):
        with provided(100, 20, 50):
            with provided(200, 10):
                assert 380 + already <= resource.getrlimit(resource.RLIMIT_NOFILE)[0] <= 380 + already + 80
            provide(210, 0)
            assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] <= 380 + already + 80
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        provide(soft - already - 70, 0)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == soft, "what a run that is over had is free again"
        with provided(hard - already - 100, 0), pytest.raises(JobError, match="lower concurrency"), provided(hard - already - 100, 0):
            pass


def verb_under(limit, *arguments, home):
    """A verb in a process of its own, for which a shell has set the limit."""
    command = ["sh", "-c", f'ulimit {limit} && exec "$0" -m batchrun "$@"', sys.executable, *arguments]
    return subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("most", [5, 8, 20, 47])  # With four Python itself may not start: what an environment's .pth files import.
def test_a_process_that_may_have_hardly_any_file_open_says_so_in_one_line_and_does_nothing(tmp_path, most):
    (tmp_path / "rows.jsonl").write_text('{"prompt": "hello"}\n')
    (tmp_path / "job.toml").write_text(
        '[job]\ninput = "rows.jsonl"\noutput = "run"\n[defaults]\nendpoint = "simulator"\nmodel = "qwen-plus"\n'
    )
    done = verb_under(f"-n {most}", "run", "job.toml", home=tmp_path)
    least = "needs 48 at the least: raise its limit of open files (ulimit -n 48)"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"batchrun: this process may have {most} files open, and {least}\n")
    assert not (tmp_path / "run").exists()


def test_a_limit_that_may_be_raised_is(tmp_path):
    done = verb_under("-S -n 5", "schema", home=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_run_of_more_calls_at_once_than_files_may_be_open_says_what_it_needs_before_any_call(tmp_path):
    (tmp_path / "rows.jsonl").write_text("".join(f'{{"id": {number}, "prompt": "hello"}}\n' for number in range(1000)))
    tables = '[job]\ninput = "rows.jsonl"\noutput = "run"\n[defaults]\nendpoint = "simulator"\nmodel = "qwen-plus"\nconcurrency = 1000\n'
    (tmp_path / "job.toml").write_text(tables)
    done = verb_under("-n 256", "run", "job.toml", home=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert (
        "(2,000 calls in flight, 3 output files), and this process may have 256: raise its limit of open files (ulimit -n " in done.stderr
    )
    log = tmp_path / "run" / "attempts.log"
    assert not log.exists() or log.read_bytes() == b""


def test_a_workspace_of_few_rows_needs_no_more_connections_than_it_has_rows(tmp_path):
    """Two hundred workspaces of a row each, with the eight slots that each has by default: 400 ends of connections, and not 3,200."""
    names = [f"department-{number}" for number in range(200)]
    (tmp_path / "rows.jsonl").write_text("".join(f'{{"workspace": "{name}", "prompt": "hello"}}\n' for name in names))
    tables = '[job]\ninput = "rows.jsonl"\noutput = "run"\n[defaults]\nendpoint = "simulator"\nmodel = "qwen-plus"\n'
    (tmp_path / "job.toml").write_text(tables + "".join(f"[workspaces.{name}]\n" for name in names))
    done = verb_under("-n 1000", "run", "job.toml", "--quiet", home=tmp_path)
    assert done.returncode == 0, done.stderr
