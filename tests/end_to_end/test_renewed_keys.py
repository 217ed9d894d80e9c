"""A key that is mended in the file while the run is under way, against `batchrun simulate` in another process."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from batchrun.core.jobs.job import Job
from batchrun.edge.job_file import load_job
from batchrun.running.one_run import Wishes, run_blocking
from batchrun.running.renewing import Renewal
from tests.end_to_end.test_run import KEYS, bill, rows_of, simulator, write_job

OLD, NEW = "sk-fake-old-of-legal-0123456789", KEYS["legal"]


def written(path, legal: str, **others: str) -> None:
    keys = {**KEYS, **others, "legal": legal}
    path.write_text("".join(f"{name.upper()}_KEY={key}\n" for name, key in keys.items()))


@pytest.fixture
def environment(monkeypatch):
    for name in KEYS:
        monkeypatch.delenv(f"{name.upper()}_KEY", raising=False)
    return monkeypatch


def job_of(tmp_path, url: str, rows: int) -> Job:
    path = write_job(tmp_path, url, rows_of(rows))
    told = path.read_text().replace('"rows.jsonl"', f'"{tmp_path / "rows.jsonl"}"').replace('"run"', f'"{tmp_path / "run"}"')
    path.write_text(told + "[stop]\nprobe_every = 0.1\n")
    return load_job(path)


def test_a_key_that_is_mended_in_the_file_is_used_by_the_run_that_is_under_way(tmp_path, environment):
    """A department whose key was rotated in the evening had stood still until the run was begun again."""
    written(tmp_path / "keys", OLD)
    told: list[str] = []

    def note(text: str) -> None:
        told.append(text)
        if text.startswith("parked: legal: 401"):
            (tmp_path / "keys").write_text("LEGAL_KEY\n=half of")
            written(tmp_path / "keys", NEW)

    with simulator(tmp_path) as url:
        job = job_of(tmp_path, url, 120)
        ending = run_blocking(job, Wishes(note=note, page=None, wait=True, dotenv=tmp_path / "keys"))
        assert (ending.exit_code, ending.statement.total().answered) == (0, 120)
        assert bill(url)["total"]["input_tokens"] == ending.statement.total().input_tokens
    assert f"legal: {tmp_path / 'keys'} has another key by now: it is used from here on" in told
    seen = "\n".join(told).encode() + b"".join(path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file())
    assert OLD.encode() not in seen
    assert NEW.encode() not in seen


def test_what_is_no_new_key_renews_none(tmp_path, environment):
    path = tmp_path / "keys"
    written(path, OLD)
    workspaces = job_of(tmp_path, "http://127.0.0.1:9", 1).workspaces_resolved()
    told: list[str] = []
    renewal = Renewal(workspaces, {name: SecretStr(key) for name, key in {**KEYS, "legal": OLD}.items()}, path, told.append)
    assert renewal.of("legal") is None
    for half in (b"LEGAL_KEY=", b"", b"LEGAL_KEY='", b"LEGAL_KEY=with space", b"\xff\xfe"):
        path.write_bytes(half)
        assert renewal.of("legal") is None, half
        assert renewal.of("legal") is None, half
    assert [each.startswith("no key was read again: ") for each in told] == [True] * 3
    assert "with space" not in "".join(told)
    told.clear()
    path.unlink()
    assert renewal.of("legal") is None
    written(path, NEW)
    environment.setenv("LEGAL_KEY", OLD)
    assert renewal.of("legal") is None
    assert told == []
    environment.delenv("LEGAL_KEY")
    written(path, f"{NEW} # mended")
    assert renewal.of("legal") == SecretStr(NEW)
    assert renewal.of("legal") is None
    assert told == [f"legal: {path} has another key by now: it is used from here on"]
    assert Renewal(workspaces, {}, None, told.append).of("legal") is None


def test_a_new_key_that_is_another_workspaces_is_told(tmp_path, environment):
    """Its calls would be on the other department's bill."""
    path = tmp_path / "keys"
    written(path, KEYS["support"])
    workspaces = job_of(tmp_path, "http://127.0.0.1:9", 1).workspaces_resolved()
    told: list[str] = []
    Renewal(workspaces, {name: SecretStr(key) for name, key in {**KEYS, "legal": OLD}.items()}, path, told.append).of("legal")
    assert any(each.startswith("legal, support have the same key: ") for each in told), told
