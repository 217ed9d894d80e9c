"""A job that is carried out from another folder than it was begun from, as cron does, which starts at home."""

from __future__ import annotations

import pytest

from tests.end_to_end.test_run import bill, rows_of, run, simulator, write_job


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A run that names its input from the root and its output not, carried out from the folder above its job's; what it has cost."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "jobs").mkdir()
    with simulator(folder, latency=0.01) as url:
        job = write_job(folder / "jobs", url, rows_of(6))
        job.write_text(job.read_text().replace('"rows.jsonl"', f'"{folder / "jobs" / "rows.jsonl"}"'))
        done = run(folder, "run", "jobs/job.toml")
        assert done.returncode == 0, done.stderr
        yield folder, job, url, bill(url)["total"]


@pytest.mark.parametrize("verb", ["run", "plan"])
def test_a_run_that_would_be_begun_anew_in_another_folder_and_paid_for_again_is_refused(begun, tmp_path, verb):
    folder, job, url, owed = begun
    done = run(tmp_path, verb, str(job))
    assert done.returncode == 2
    assert f"job.output: run would be begun anew in {tmp_path}, and stands in {folder}: its rows would be asked, and paid for, again" in (
        " ".join(done.stderr.decode().split())
    )
    assert f'go on with it by cd {folder} first, or name its place from the root: output = "{folder / "run"}"' in done.stderr.decode()
    assert bill(url)["total"] == owed
    assert not [*tmp_path.iterdir()]


def test_from_its_own_folder_or_by_its_whole_path_it_is_gone_on_with(begun, tmp_path):
    folder, job, url, owed = begun
    other = job.with_name("other.toml")
    other.write_text(job.read_text().replace('output = "run"', f'output = "{folder / "run"}"\nname = "job"'))
    for place, of in ((folder, job), (tmp_path, other)):
        done = run(place, "run", str(of))
        assert done.returncode == 0, done.stderr
        assert bill(url)["total"] == owed


def test_another_jobs_run_or_one_of_another_input_hinders_none(begun, tmp_path):
    _, job, _, _ = begun
    (tmp_path / "rows.jsonl").write_text('{"id": 1, "workspace": "legal", "prompt": "Hi"}\n')
    told = job.read_text()
    job.with_name("named.toml").write_text(told)
    job.with_name("moved.toml").write_text(
        told.replace(str(job.with_name("rows.jsonl")), str(tmp_path / "rows.jsonl")).replace("[job]", '[job]\nname = "job"')
    )
    for name in ("named.toml", "moved.toml"):
        done = run(tmp_path, "plan", str(job.with_name(name)))
        assert done.returncode == 0, done.stderr


def test_what_only_the_simulator_has_answered_is_begun_anew_wherever_it_is_tried(tmp_path):
    mine, other = tmp_path / "mine", tmp_path / "other"
    mine.mkdir()
    other.mkdir()
    job = write_job(mine, "", rows_of(3))
    told = job.read_text().replace('"/compatible-mode/v1"', '"simulator"').replace('"rows.jsonl"', f'"{mine / "rows.jsonl"}"')
    job.write_text(told)
    for folder in (mine, other):
        assert run(folder, "run", str(job)).returncode == 0
    assert (other / "run" / "run.json").exists()
