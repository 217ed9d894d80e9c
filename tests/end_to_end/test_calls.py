"""Each call of the provider's page on models in sub-workspaces, as the job that is shipped for it, against the simulator."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from batchrun.cli.run import run

TOP = Path(__file__).parents[2]
CALLS = {
    "openai-public": {"choices", "usage", "id"},
    "openai-finance": {"choices", "usage", "id"},
    "dashscope-text-public": {"output", "usage", "request_id"},
    "dashscope-text-finance": {"output", "usage", "request_id"},
    "dashscope-multimodal-public": {"output", "usage", "request_id"},
    "tuned-deployment": {"output", "usage", "request_id"},
}


def carried_out(name, tmp_path, monkeypatch):
    monkeypatch.chdir(TOP)
    job = tmp_path / "job.toml"
    written = (TOP / "jobs" / f"{name}.toml").read_text(encoding="utf-8")
    job.write_text(written.replace('output = "runs/', f'output = "{tmp_path}/'), encoding="utf-8")
    result = CliRunner().invoke(run, [str(job), "--quiet", "--json"])
    entries = [json.loads(line) for path in tmp_path.glob("*/*/results.jsonl") for line in path.read_text("utf-8").splitlines()]
    return result, entries


def test_every_call_of_the_page_has_its_job():
    assert {path.stem for path in (TOP / "jobs" / "calls").glob("*.toml")} == set(CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_a_call_of_the_page_is_answered_in_its_own_dialect(name, tmp_path, monkeypatch):
    result, entries = carried_out(f"calls/{name}", tmp_path, monkeypatch)
    assert result.exit_code == 0, result.stderr
    assert len(entries) == 3
    assert all(entry["content"] and entry["usage"]["input_tokens"] for entry in entries)
    assert all(CALLS[name] <= set(entry["response"]) for entry in entries)


def test_images_and_sounds_from_the_disk_are_seen_and_counted(tmp_path, monkeypatch):
    _, entries = carried_out("calls/dashscope-multimodal-public", tmp_path, monkeypatch)
    seen = {entry["id"]: entry["usage"].get("image_tokens", 0) + entry["usage"].get("audio_tokens", 0) for entry in entries}
    assert set(seen) == {"chart", "photo", "tone"}
    assert all(seen.values())


def test_an_answer_that_does_not_fit_the_schema_is_asked_for_again_and_its_cost_is_told(tmp_path, monkeypatch):
    result, entries = carried_out("structured", tmp_path, monkeypatch)
    assert result.exit_code == 0, result.stderr
    asked_again = {"s-4", "s-8", "s-12"}
    assert {entry["id"] for entry in entries if "parsed" in entry} >= asked_again
    assert all({"summary", "keywords"} <= set(entry["parsed"]) for entry in entries if "parsed" in entry)
    assert all(json.loads(call["function"]["arguments"]) for entry in entries for call in entry.get("tool_calls", []))
    total = json.loads(result.stdout)["total"]
    assert (total["answered"], total["reasks"]) == (12, len(asked_again))
    assert 0 < total["reask_output_tokens"] < total["output_tokens"]
