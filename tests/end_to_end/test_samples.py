"""The shipped jobs and the samples they read belong together."""

import gzip
import json
import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest

TOP = Path(__file__).parents[2]
JOBS = sorted(str(path.relative_to(TOP / "jobs").with_suffix("")) for path in (TOP / "jobs").rglob("*.toml"))
HOUSES = ["dataset", "departments", "overnight", "quickstart"]
"""Jobs as a company has them, over texts in two languages; the others show one thing each."""
SAMPLES = sorted(str(path.relative_to(TOP)) for path in (TOP / "samples").rglob("*.jsonl*"))
PLAIN = {"id", "workspace", "prompt", "messages", "model", "parameters", "stream", "metadata"}
BATCH = {"custom_id", "method", "url", "body", "workspace", "metadata"}


class Asked(NamedTuple):
    """One sample line, as the job that reads it sees it."""

    workspace: str
    id: str | None
    model: str
    messages: list[dict[str, str]]
    parameters: dict[str, Any]


def lines(path: str) -> list[dict[str, Any]]:
    content = (TOP / path).read_bytes()
    text = (gzip.decompress(content) if path.endswith(".gz") else content).decode()
    return [json.loads(line) for line in text.removesuffix("\n").split("\n")]


def job(name: str) -> dict[str, Any]:
    return tomllib.loads((TOP / "jobs" / f"{name}.toml").read_text(encoding="utf-8"))


def inputs(name: str) -> list[tuple[str, str | None]]:
    given = job(name)["job"]["input"]
    tables = [part if isinstance(part, dict) else {"path": part} for part in (given if isinstance(given, list) else [given])]
    found = [(str(path.relative_to(TOP)), table.get("workspace")) for table in tables for path in sorted(TOP.glob(table["path"]))]
    assert len(found) >= len(tables), f"jobs/{name}.toml names a file that is not there"
    return found


def asked(line: dict[str, Any], workspace: str | None, default_model: str) -> Asked:
    tagged = line.get("workspace", workspace) or "default"
    if "body" in line:
        body = dict(line["body"])
        return Asked(tagged, line["custom_id"], body.pop("model"), body.pop("messages"), body)
    messages = line.get("messages") or [{"role": "user", "content": line["prompt"]}]
    return Asked(tagged, line.get("id"), line.get("model", default_model), messages, line.get("parameters", {}))


def rows(name: str) -> list[Asked]:
    model = job(name)["defaults"]["model"]
    workspaces = [*job(name).get("workspaces", {})]
    alone = workspaces[0] if len(workspaces) == 1 else None
    return [asked(line, workspace or alone, model) for path, workspace in inputs(name) for line in lines(path)]


def text(row: Asked) -> str:
    return row.messages[-1]["content"]


def chinese(row: Asked) -> bool:
    # Three characters in ten: a passage in Chinese keeps its English names of commands, an English one has no Chinese but the question.
    passage = max(text(row).split("\n\n"), key=len)
    return len(re.findall(r"[\u4e00-\u9fff]", passage)) > 0.3 * len(passage)


@pytest.mark.parametrize("path", SAMPLES)
def test_every_line_has_one_of_the_three_forms_and_no_other_field(path):
    for line in lines(path):
        if "body" in line:
            assert set(line) <= BATCH
            assert (line["method"], line["url"]) == ("POST", "/v1/chat/completions")
            assert line["custom_id"]
            assert {"model", "messages"} <= set(line["body"])
        else:
            assert set(line) <= PLAIN
            assert ("prompt" in line) != ("messages" in line)


@pytest.mark.parametrize("path", SAMPLES)
def test_text_is_written_as_itself_and_clean(path):
    content = (TOP / path).read_bytes()
    content = gzip.decompress(content) if path.endswith(".gz") else content
    assert content.endswith(b"}\n")
    assert rb"\u" not in content, "non-ASCII is written as itself"
    assert not re.search(r"&(?:amp|lt|gt|nbsp|#\d+);|</?(?:div|code|span|em)\b|\ufffd|\u00a0|\t", content.decode())


@pytest.mark.parametrize("name", JOBS)
def test_ids_are_unique_within_a_workspace(name):
    twice = [key for key, count in Counter((row.workspace, row.id) for row in rows(name) if row.id).items() if count > 1]
    assert not twice


@pytest.mark.parametrize("name", HOUSES)
def test_no_question_is_asked_twice(name):
    twice = [key for key, count in Counter((row.workspace, json.dumps(row.messages)) for row in rows(name)).items() if count > 1]
    assert not twice


@pytest.mark.parametrize("name", JOBS)
def test_the_workspaces_of_a_job_are_those_of_its_rows(name):
    assert {row.workspace for row in rows(name)} == set(job(name).get("workspaces", {"default": {}}))


@pytest.mark.parametrize("name", JOBS)
def test_every_model_asked_for_or_limited_is_authorised(name):
    workspaces = job(name).get("workspaces", {})
    for row in rows(name):
        workspace = workspaces.get(row.workspace, {})
        authorised = [*workspace.get("models", [row.model]), *workspace.get("deployments", [])]
        assert row.model in authorised, f"{row.workspace} {row.id}"
    for workspace in workspaces.values():
        assert set(workspace.get("limits", {})) <= set(workspace.get("models", workspace.get("limits", {})))


@pytest.mark.parametrize("name", JOBS)
def test_json_is_asked_for_by_name_where_a_json_answer_is_demanded(name):
    # The provider answers 400 to response_format json_object unless the word stands in the messages.
    for row in rows(name):
        if "response_format" in row.parameters:
            assert row.parameters["response_format"] == {"type": "json_object"}
            assert any("json" in message["content"].lower() for message in row.messages), row.id


@pytest.mark.parametrize("name", HOUSES)
def test_both_languages_have_a_real_share(name):
    share = sum(chinese(row) for row in rows(name)) / len(rows(name))
    assert 0.4 <= share <= 0.6


@pytest.mark.parametrize("name", JOBS)
def test_a_job_runs_without_a_key_or_a_network_and_holds_none(name):
    settings = job(name)
    assert settings["defaults"]["endpoint"] == ("http://127.0.0.1:8080/v1" if name == "local-model" else "simulator")
    assert settings["job"]["output"] == f"runs/{name.replace('calls/', 'call-')}"
    assert "sk-" not in (TOP / "jobs" / f"{name}.toml").read_text(encoding="utf-8")
    assert len({workspace["api_key_env"] for workspace in settings.get("workspaces", {}).values()}) == len(settings.get("workspaces", {}))


def test_the_quickstart_has_six_workspaces_of_about_sixty_rows_sorted_and_in_all_three_forms():
    per_workspace = Counter(row.workspace for row in rows("quickstart"))
    assert sum(per_workspace.values()) >= 300
    assert set(per_workspace) == {"marketing", "support", "legal", "research", "localisation", "operations"}
    assert all(50 <= count <= 70 for count in per_workspace.values())
    tags = [line["workspace"] for line in lines("samples/quickstart.jsonl")]
    assert tags == sorted(tags)
    forms = Counter(
        "body" if "body" in line else "prompt" if "prompt" in line else "messages" for line in lines("samples/quickstart.jsonl")
    )
    assert all(forms[form] >= 40 for form in ("prompt", "messages", "body"))
    assert {row.workspace for row in rows("quickstart") if row.model == "qwen-max"} == {"legal"}


def test_overnight_bounds_and_labels_every_row():
    assert all("max_tokens" in row.parameters for row in rows("overnight"))
    assert all("project" in line["metadata"] for line in lines("samples/overnight.jsonl"))


def test_every_sample_is_read_by_a_job_and_listed_with_its_rows():
    assert {path for name in JOBS for path, _ in inputs(name)} == set(SAMPLES)
    readme = (TOP / "samples" / "README.md").read_text(encoding="utf-8")
    listed = {f"samples/{path}": int(count) for path, count in re.findall(r"^\| `(.+?)` \| (\d+) \|", readme, re.MULTILINE)}
    assert listed == {path: len(lines(path)) for path in SAMPLES}


def test_the_samples_stay_small():
    assert sum((TOP / path).stat().st_size for path in SAMPLES) < 1_500_000
