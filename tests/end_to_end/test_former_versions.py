"""A run directory that an earlier version left: gone on with and told as if this one had made it.

`former/first` is what the first version that carried runs out left when it was killed: its lines have no checksums and no costs, and its
run.json no digest. Of six rows three were answered and one rejected; a call was under way, and a row was still to come.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.end_to_end.test_run import answered, calls, run, simulator, total

FIRST = Path(__file__).parent / "former" / "first"
_ROWS = (
    {"id": "t-1", "workspace": "legal", "prompt": "Summarise note 1.", "metadata": {"project": "q3"}},
    {"workspace": "legal", "prompt": "Twice."},
    {"workspace": "legal", "prompt": "Twice."},
    {"id": 4, "workspace": "legal", "prompt": "A number.", "parameters": {"temperature": 9}},
    {"id": "t-5", "workspace": "legal", "prompt": "Left."},
    {"id": "t-6", "workspace": "legal", "prompt": "Left too."},
)
_JOB = """[job]
name = "old"
input = "rows.jsonl"
output = "run"
[defaults]
model = "qwen-plus"
endpoint = "{url}/compatible-mode/v1"
parameters = {{ max_tokens = 50 }}
[workspaces.legal]
api_key_env = "LEGAL_KEY"
"""


def test_what_the_first_version_left_half_done_is_gone_on_with_and_no_row_is_asked_twice_or_lost(tmp_path):
    shutil.copytree(FIRST, tmp_path / "run")
    for path in (tmp_path / "run", *(tmp_path / "run").rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in _ROWS))
    before = total(tmp_path)["total"]
    assert run(tmp_path, "check", "run").returncode == 0
    with simulator(tmp_path) as url:
        (tmp_path / "job.toml").write_text(_JOB.format(url=url))
        done = run(tmp_path, "run", "job.toml")
        assert len(calls(url)) == 2, "the row whose call was under way, and the one that was still to come"
    assert done.returncode == 3, done.stderr
    assert b"have changed since" not in done.stderr
    assert sorted(entry["id"] for entry in answered(tmp_path)) == ["r-78eb73ef8d52a018", "r-78eb73ef8d52a018-2", "t-1", "t-5", "t-6"]
    after = total(tmp_path)["total"]
    of_calls = ("calls", "in_doubt", "in_doubt_input_tokens", "in_doubt_output_tokens", "answered", "rejected", "pending")
    assert [before[each] for each in of_calls] == [5, 1, 84, 32_818, 3, 1, 2]
    assert [after[each] for each in of_calls] == [7, 1, 84, 32_818, 5, 1, 0]
    assert (before["input_tokens"], before["output_tokens"]) == (21, 61)
    whole = run(tmp_path, "check", "run")
    assert (whole.returncode, b"the run is whole" in whole.stdout) == (0, True), whole.stdout
