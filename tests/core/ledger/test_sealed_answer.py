"""What a resume takes out of a line: no more than it needs, and nothing from a line that was changed."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.ledger.entry import Entry, NotAnEntryError
from batchrun.core.ledger.entry_reading import read_entry
from batchrun.core.ledger.entry_writing import write_entry
from batchrun.core.ledger.given import look_at
from batchrun.core.ledger.sealed_answer import UNREAD
from batchrun.core.model import Answered, Money, Rejected
from tests.core.ledger.outcomes import CALL, FAILURE, FORMS, OUTCOMES, REPLY, ROW


def needed(entry: Entry) -> object:
    return entry.id, entry.workspace, entry.model, entry.outcome, entry.digest, entry.attempt, entry.usage is None, entry.unknown


def resumed(line: bytes) -> Entry:
    return look_at(line)


@given(OUTCOMES, FORMS, st.booleans(), st.data())
def test_what_a_resume_needs_of_a_line_is_read_alike_and_no_changed_line_passes(outcome, form, raw, data):
    line = write_entry(outcome, form, raw=raw)
    assert needed(resumed(line)) == needed(read_entry(line))
    place = data.draw(st.integers(0, len(line) - 2))
    changed = line[:place] + bytes([line[place] ^ data.draw(st.integers(1, 255))]) + line[place + 1 :]
    try:
        expected: object = needed(read_entry(changed))
    except NotAnEntryError:
        with pytest.raises(NotAnEntryError):
            resumed(changed)
    else:
        assert needed(resumed(changed)) == expected


def test_of_a_sealed_answer_no_more_is_looked_at_than_a_resume_needs():
    cost = Money("CNY", Decimal("0.5"))
    read = resumed(write_entry(Answered(ROW, REPLY, CALL), "batchrun", raw=False, cost=cost))
    assert (read.usage, read.cost, read.started_at, read.metadata) == (UNREAD, None, None, None)
    assert resumed(write_entry(Answered(ROW, replace(REPLY, usage=None), CALL), "batchrun", raw=False)).usage is None
    assert resumed(write_entry(Rejected(ROW, FAILURE, CALL), "batchrun", raw=False)).code == "InvalidParameter"
