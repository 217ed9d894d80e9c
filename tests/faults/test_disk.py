"""A full disk without root; `python -m tests.faults.disk` is the full form, with mounts and a genuine failure of fsync."""

from __future__ import annotations

import gzip
import json

import pytest

from tests.end_to_end.test_run import rows_of
from tests.faults.disk import full, start, stopped


@pytest.mark.timeout(300)
def test_a_full_disk_stops_the_run_in_one_line_and_the_same_command_goes_on(tmp_path):
    said = full(tmp_path, rows=120, first=lambda job: start(tmp_path, job, limit=16 << 10), relieve=lambda: None)
    assert "could not be written: File too large" in said
    assert "calls were under way: they may have been billed, and count as in doubt" in said


def test_a_disk_that_is_full_while_an_input_is_unpacked_stops_the_run_as_any_other_and_the_same_command_goes_on(tmp_path):
    (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(b"".join(json.dumps(row).encode() + b"\n" for row in rows_of(600))))
    job = tmp_path / "job.toml"
    workspaces = "".join(f"[workspaces.{name}]\n" for name in ("marketing", "legal", "support", "research"))
    first = '[job]\ninput = "rows.jsonl.gz"\noutput = "run"\n[defaults]\nmodel = "qwen-plus"\nendpoint = "simulator"\n'
    job.write_text(f"{first}[simulator]\nlatency = {{ median = 0.001, sigma = 0 }}\n{workspaces}")
    said = stopped(start(tmp_path, job, limit=16 << 10))
    assert 'run/input: input "rows.jsonl.gz" cannot be unpacked there: File too large; it needs room for its unpacked size' in said
    again = start(tmp_path, job)
    assert again.returncode == 0, again.stderr.decode()
