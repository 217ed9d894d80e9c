"""What belongs to one workspace reaches no other: not its key, not its rows, not its answers, not its errors."""

from __future__ import annotations

from tests.faults.tenants import TENANTS, carried_out


def test_no_key_row_or_answer_of_a_workspace_reaches_another_whatever_happens_on_the_way(tmp_path):
    found = carried_out(tmp_path, 30, kills=1)
    assert (found.astray, found.strangers, found.leaks, found.lost) == (0, [], [], 0)
    assert found.answered + found.rejected == 30 * TENANTS
    assert found.faults > 30
    assert found.exit_codes[0] == -9
