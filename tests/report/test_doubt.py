"""Calls in doubt as a table for a terminal."""

from __future__ import annotations

import pytest

from batchrun.core.columns import width
from batchrun.core.ledger.attempts import Bound, Started
from batchrun.core.ledger.doubt import Calls
from batchrun.core.ledger.doubts import Doubtful
from batchrun.report.doubt import doubt_json, doubt_table

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


def test_calls_that_no_line_tells_of_are_told_together_by_workspace_model_and_loss():
    def lost(workspace: str, at: float, *bounds: Bound) -> list[tuple[Doubtful, str]]:
        return [(Doubtful(Started("2-", workspace, "qwen-plus", "", bound, at), Calls.UNTOLD), "pending") for bound in bounds]

    legal = lost("legal", 0.0, Bound(900, 50), Bound(200, 7)) + lost("legal", 60.0, Bound(1, 2))
    told = doubt_table([*CALLS, *legal, *lost("sales", 0.0, Bound(3, 4))])
    assert [" ".join(line.split()) for line in told.splitlines()[len(CALLS) + 1 :]] == [
        f"{workspace} qwen-plus (up to {calls}) 1970-01-01T00:0{minute}:00+00:00 {tokens} tokens {Calls.UNTOLD} unknown"
        for workspace, calls, minute, tokens in (
            ("legal", "2 calls", 0, "1,100 + 57"),
            ("legal", "1 call", 1, "1 + 2"),
            ("sales", "1 call", 0, "3 + 4"),
        )
    ]


def test_calls_in_doubt_are_told_to_a_program_each_with_what_it_may_cost_and_what_became_of_its_row():
    told = doubt_json([*CALLS, (Doubtful(Started("2-", "legal", "qwen-plus", "", Bound(900, 50), 60.0), Calls.UNTOLD), "pending")])
    assert told[1:] == [
        {
            "attempt": attempt,
            "workspace": workspace,
            "model": "qwen-plus",
            "id": row_id,
            "sent_at": f"1970-01-01T00:0{minute}:00+00:00",
            "input_tokens": asked,
            "output_tokens": 50,
            "why": why,
            "row": outcome,
        }
        for attempt, workspace, row_id, minute, asked, why, outcome in (
            ("1-1", "法务部", "row-1", 0, 9_000, "connection_reset", "answered"),
            ("1-2", "研发中心", "row-2", 0, 18_000, "timeout", "answered"),
            ("2-", "legal", "", 1, 900, Calls.UNTOLD, "pending"),
        )
    ]


def test_that_no_call_is_in_doubt_is_said_and_not_shown_as_a_table_of_nothing():
    assert doubt_table([]) == "no call is in doubt"
