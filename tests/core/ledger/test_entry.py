"""Entries written and read back, in both forms: what comes out is what went in."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.ledger.entry_reading import read_entry
from batchrun.core.ledger.entry_writing import write_entry
from batchrun.core.ledger.usage_fields import read_usage
from batchrun.core.model import Answered, Money, Rejected
from tests.core.ledger.outcomes import CALL, CALLS, FORMS, OUTCOMES, REPLIES, REPLY, ROW, ROWS, fields_of, own, refusing, usage_of


@given(OUTCOMES, FORMS, st.booleans())
def test_every_outcome_is_one_line_that_reads_back_as_what_it_was(outcome, form, raw):
    line = write_entry(outcome, form, raw=raw)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    row = outcome.row
    read = read_entry(line)
    assert (read.id, read.workspace, read.model, read.digest) == (row.id, row.workspace, row.model, row.digest)
    assert read.outcome == type(outcome).__name__.lower()
    assert read.attempt == (outcome.call and outcome.call.attempt)
    assert read.usage == usage_of(outcome)
    assert orjson.loads(line).get("metadata", own(orjson.loads(line))["metadata"]) == row.metadata


@given(st.builds(Rejected, ROWS, REPLIES.map(refusing), CALLS), FORMS)
def test_a_refused_answer_keeps_what_was_paid_for(outcome, form):
    told, reply = own(fields_of(outcome, form)), outcome.failure.reply
    assert (told["content"], told["finish_reason"]) == (reply.content, reply.finish_reason)
    assert told.get("tool_calls") == (reply.tool_calls or None)
    assert read_usage(told["usage"]) == reply.usage
    assert told["failure"]["code"] == "schema_mismatch"


@pytest.mark.parametrize("form", ["batchrun", "openai-batch"])
def test_an_entry_reads_back_with_its_cost_and_its_call(form):
    reply = replace(REPLY, body=orjson.dumps({"choices": [{"finish_reason": "stop"}]}))
    cost = Money("CNY", Decimal("0.0000000000000000000120"))
    read = read_entry(write_entry(Answered(ROW, reply, CALL), form, raw=False, cost=cost))
    assert read.cost == cost
    assert (read.started_at, read.latency_ms, read.attempts, read.finish_reason) == (1_700_000_000.25, 1234, 2, "stop")
    assert (read.code, read.metadata) == (None, ROW.metadata)
