"""Workspaces beside troubled ones, the quick form; `python -m tests.faults.neighbours` holds them to their speed."""

from __future__ import annotations

import pytest

from tests.faults import children
from tests.faults.neighbours import carried_out, unmoved


@pytest.mark.timeout(300)
def test_eight_troubled_workspaces_change_nothing_of_what_the_others_bring(tmp_path):
    rows = 40
    with children.server("-m", "tests.faults.endpoints") as where:
        fared = []
        for troubled in (False, True):
            place = tmp_path / str(troubled)
            place.mkdir()
            fared.append(carried_out(place, where["port"], rows, troubled=troubled))
    alone, beside = fared
    unmoved(alone, beside, rows)
    assert beside.seconds < 2 * alone.seconds + 2
