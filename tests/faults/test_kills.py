"""Kills, openings, power cuts and simultaneous starts, the quick forms; `tests.faults.kills`, `.openings`, `.power`, `.starts` are full."""

from __future__ import annotations

import pytest

from tests.faults import openings
from tests.faults.kills import campaign
from tests.faults.power import powered
from tests.faults.starts import race


@pytest.mark.timeout(300)
def test_killed_at_random_no_row_is_lost_or_answered_twice_and_the_bill_is_the_statement_but_for_its_doubt(tmp_path):
    account = campaign(tmp_path, kills=3, rows=160, seed=1)
    assert account.doubtful_billed > 0, "the kills hit nothing"
    assert account.calls - account.rows > 0


@pytest.mark.timeout(300)
def test_however_openings_end_and_whatever_of_what_they_keep_is_lost_or_changed_no_row_is(tmp_path):
    account, _ = openings.campaign(tmp_path, openings=5, rows=200, seed=2)
    assert account.in_doubt > 0, "none was ended in the midst of its work"


@pytest.mark.timeout(300)
def test_a_power_cut_costs_nothing_that_is_older_than_the_window(tmp_path):
    assert powered(tmp_path, cuts=2, rows=160, seed=3, after=(0.5, 2.5)).cuts == 2


@pytest.mark.timeout(300)
def test_of_many_processes_one_holds_the_run_and_the_others_say_who(tmp_path):
    assert race(tmp_path / "run", 8) < 10
    assert race(tmp_path / "run", 8) < 10, "a killed one holds nothing"
