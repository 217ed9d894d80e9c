"""A disk that takes its time, the quick form; `python -m tests.faults.stalled` holds it up for a minute."""

from __future__ import annotations

import pytest

from tests.faults import children
from tests.faults.stalled import held_up, stalled


@pytest.mark.timeout(300)
def test_a_stalled_disk_slows_the_run_and_stops_neither_its_timeouts_nor_others_answers(tmp_path):
    told = stalled(tmp_path, 4.0, rows=300)
    held_up(told, 4.0)
    assert (told.exit_code, told.answered) == (3, 300)


@pytest.mark.timeout(300)
def test_a_signal_is_heard_while_the_disk_stalls_and_the_run_goes_on_later(tmp_path):
    told = stalled(tmp_path, 6.0, rows=300, hears=True)
    assert told.heard_after is not None
    assert told.heard_after < 1.5
    assert told.exit_code == 4
    ids = [entry["id"] for entry in children.entries(tmp_path / "run")]
    assert len(ids) == len(set(ids))
