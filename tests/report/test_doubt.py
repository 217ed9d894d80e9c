"""Calls in doubt as a table for a terminal."""

from __future__ import annotations

import pytest

from batchrun.core.columns import width
from batchrun.core.ledger.attempts import Bound, Started
from batchrun.core.ledger.doubt import Calls
from batchrun.core.ledger.doubts import Doubtful
from batchrun.report.doubt import doubt_table

WHYS = (Calls.KILLED, "connection_reset", "timeout")
CALLS = [
    (Doubtful(Started(f"1-{number}", workspace, "qwen-plus", f"row-{number}", Bound(9_000 * number, 50), 0.0), why), "answered")
    for number, (workspace, why) in enumerate(zip(("marketing", "法务部", "研发中心"), WHYS, strict=True))
]


@pytest.mark.parametrize("room", [60, 80, 97, 200])
def test_calls_in_doubt_fit_the_terminal_and_a_line_that_is_narrower_than_it_is_left_whole(room):
    told = doubt_table(CALLS, room)
    assert max(map(width, told.splitlines())) <= room
    assert " ".join(told.split()) == " ".join(doubt_table(CALLS).split()), "nothing is left out"
    assert (told == doubt_table(CALLS)) is (room == 200)
