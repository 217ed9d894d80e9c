"""``batchrun plan`` as a person or a program calls it."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from batchrun.cli import batchrun

JOB = """
[job]
input = "in.jsonl"
[defaults]
endpoint = "simulator"
model = "qwen-plus"
concurrency = 2
[simulator]
latency = { median = 2.0, sigma = 0.0 }
[workspaces.legal]
[workspaces.far]
endpoint = "http://127.0.0.1:9/v1"
api_key_env = "FAR_KEY"
"""


@pytest.fixture(autouse=True)
def _a_job(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FAR_KEY", raising=False)
    (tmp_path / "job.toml").write_text(JOB)
    write(tmp_path, *["legal"] * 20)


def write(folder, *workspaces):
    rows = [{"id": str(number), "workspace": workspace, "prompt": "Hi"} for number, workspace in enumerate(workspaces)]
    (folder / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def plan(*arguments):
    return CliRunner().invoke(batchrun, ["plan", "job.toml", *arguments])


def test_a_plan_goes_to_standard_output_and_exits_with_0_where_nothing_is_wrong(tmp_path):
    shown = plan()
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert "legal      qwen-plus    20" in shown.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "job.toml"]


def test_json_is_the_same_as_data():
    shown = plan("--json")
    told = json.loads(shown.stdout)
    (lane,) = told["lanes"]
    assert (lane["workspace"], lane["rows"], lane["limited_by"]) == ("legal", 20, "concurrency")
    assert told["finishes_in"] == lane["finishes_in"] == pytest.approx(20.0, abs=0.5)
    assert told["wrong"] == []


def test_a_key_that_is_missing_is_exit_4_and_is_read_from_the_file_that_is_named(tmp_path):
    write(tmp_path, "legal", "far")
    missing = plan()
    assert missing.exit_code == 4
    assert "WRONG: workspace far: there is no API key (1 row)" in missing.stdout
    (tmp_path / "keys").write_text("FAR_KEY=sk-fake-far\n")
    assert plan("--env-file", "keys").exit_code == 0


def test_a_job_that_cannot_be_started_is_its_error(tmp_path):
    (tmp_path / "in.jsonl").unlink()
    shown = plan()
    assert type(shown.exception).__name__ == "JobError"
    assert getattr(shown.exception, "exit_code", None) == 2
