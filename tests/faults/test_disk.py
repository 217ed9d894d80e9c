"""A full disk without root; `python -m tests.faults.disk` is the full form, with mounts and a genuine failure of fsync."""

from __future__ import annotations

import pytest

from tests.faults.disk import full, start


@pytest.mark.timeout(300)
def test_a_full_disk_stops_the_run_in_one_line_and_the_same_command_goes_on(tmp_path):
    said = full(tmp_path, rows=120, first=lambda job: start(tmp_path, job, limit=16 << 10), relieve=lambda: None)
    assert "could not be written: File too large" in said
    assert "calls were under way: they may have been billed, and count as in doubt" in said
