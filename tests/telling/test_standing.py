"""What stands still, as it is told beside a report."""

from __future__ import annotations

from batchrun.report.page.subject import Parked
from batchrun.telling.standing import told_as_parked


def test_of_many_that_stand_still_for_the_same_reason_some_are_told_in_full_and_the_others_are_counted():
    """A job of a thousand workspaces without a key would be two thousand lines, and what else is wrong stand among them."""
    scopes = [Parked("workspace", f"w{number}", 3, "missing_key", message="no key", advice="set it") for number in range(1050)]
    other = Parked("lane", "x qwen-max", 1, "Model.AccessDenied", 403, "denied", "ask", run="runs/other")
    lines = [*told_as_parked([*scopes, other, *scopes[:1]])]
    assert lines[:2] == ["parked: w0, 3 rows: missing_key: no key", "  set it"]
    names = ", ".join(f"w{number}" for number in range(6, 26))
    assert lines[12:] == [
        f"parked: 1,045 more for the same reason, missing_key, 3,135 rows: {names}, …",
        "parked: runs/other: x qwen-max, 1 row: 403 Model.AccessDenied: denied",
        "  ask",
    ]


def test_of_several_runs_each_has_its_own_told_in_full():
    scopes = [Parked("workspace", f"w{number}", 3, "missing_key", run=run) for run in ("a", "b") for number in range(7)]
    assert sum(line.startswith("parked: ") for line in told_as_parked(scopes)) == 14
