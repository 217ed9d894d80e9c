"""A proxy of the environment that a job says nothing of."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

import anyio
import pytest

from batchrun.core.jobs.job import Job
from batchrun.running.by_proxy import is_passed_over
from batchrun.running.one_run import Wishes, run_blocking
from batchrun.telling.doctor import examine
from batchrun.telling.foresight import look_ahead

PROXY = "http://user:fake-password@127.0.0.1:9"
NOTE = "legal: the environment names a proxy (HTTPS_PROXY or its like), and calls go without: "


@pytest.fixture
def environment(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("LEGAL_KEY", "sk-fake-legal")
    return monkeypatch


def job_of(tmp_path, endpoint: str, **transport: str) -> Job:
    (tmp_path / "in.jsonl").write_text('{"prompt": "Hi"}\n')
    return Job.model_validate(
        {
            "job": {"input": str(tmp_path / "in.jsonl"), "output": str(tmp_path / "run")},
            "defaults": {"endpoint": endpoint, "model": "qwen-plus"},
            "workspaces": {"legal": {"api_key_env": "LEGAL_KEY"}},
            **({"transport": transport} if transport else {}),
        }
    )


def is_told(job: Job) -> bool:
    return is_passed_over(job, job.workspaces_resolved()["legal"])


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_that_the_environment_names_is_told_where_calls_would_go_by_it(tmp_path, environment, variable):
    assert not is_told(job_of(tmp_path, "public"))
    environment.setenv(variable, PROXY)
    assert is_told(job_of(tmp_path, "public"))
    assert is_told(job_of(tmp_path, "https://models.example/v1"))
    for said in ("none", "environment", "http://proxy.example:3128"):
        assert not is_told(job_of(tmp_path, "public", proxy=said))
    environment.setenv("NO_PROXY", ".aliyuncs.com")
    assert not is_told(job_of(tmp_path, "public"))


@pytest.mark.parametrize("endpoint", ["simulator", "http://localhost:9/v1", "http://127.0.0.2:9/v1", "http://[::1]:9/v1"])
def test_what_is_called_on_this_machine_is_called_without_a_word(tmp_path, environment, endpoint):
    environment.setenv("ALL_PROXY", PROXY)
    environment.setenv("HTTP_PROXY", PROXY)
    assert not is_told(job_of(tmp_path, endpoint))


def test_a_plan_a_run_and_the_doctor_tell_it_and_show_no_proxy(tmp_path, environment):
    """The host had seemed to be mistyped, where the network lets nothing out but by its proxy."""
    environment.setenv("HTTPS_PROXY", PROXY)
    environment.setattr("batchrun.core.scheduling.judging.TOO_LONG_AT_FIRST", 0.1)
    job = job_of(tmp_path, "https://nowhere.invalid/v1")
    job = job.model_copy(update={"retry": type(job.retry).model_validate({"backoff": {"first": 0.01, "max": 0.01}})})
    told = [note for note in look_ahead(job, datetime(2026, 11, 23, tzinfo=UTC), dotenv=None).notes if "proxy" in note]
    run_blocking(job, Wishes(note=told.append, page=None, dotenv=None))
    assert [note.startswith(NOTE) for note in told if "proxy" in note] == [True, True]
    (legal,) = anyio.run(partial(examine, job, probe=False, dotenv=None))
    assert [(finding.check, finding.state.value) for finding in legal.findings][-1] == ("proxy", "note")
    assert "fake-password" not in f"{told}{legal}"
