"""Kills and simultaneous starts, the quick form; `python -m tests.faults.kills` and `.starts` are the full ones."""

from __future__ import annotations

from tests.faults.kills import campaign


def test_killed_at_random_no_row_is_lost_or_answered_twice_and_the_bill_is_the_statement_but_for_its_doubt(tmp_path):
    account = campaign(tmp_path, kills=6, rows=360, seed=1)
    assert account.doubtful_billed > 0, "the kills hit nothing"
    assert account.calls - account.rows > 0
