"""What a line is read as, and which lines are no entry."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.ledger.entry import Entry, NotAnEntryError
from batchrun.core.ledger.entry_reading import read_entry
from batchrun.core.model import Answered, Usage
from tests.core.ledger.outcomes import CALL, REPLY, ROW, TOKENS, VALUES, WHOLE, fields_of, own

OF_A_KIND = "usage", "cost", "started_at", "failure"


@pytest.mark.parametrize(
    ("told", "read"),
    [
        ({"latency_ms": 12.5, "first_token_ms": 7}, (12.5, 7, "stop", 2)),
        ({"latency_ms": True, "first_token_ms": "7"}, (None, None, "stop", 2)),
        ({"finish_reason": 7, "attempts": True}, (1234, None, None, 0)),
        ({"finish_reason": None, "attempts": "2"}, (1234, None, None, 0)),
    ],
)
def test_what_only_reports_need_is_left_out_where_it_is_not_what_it_must_be(told, read):
    entry = read_entry(orjson.dumps(WHOLE | told))
    assert (entry.latency_ms, entry.first_token_ms, entry.finish_reason, entry.attempts) == read


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        ({"body": {"choices": [{"finish_reason": "length"}, {"finish_reason": "stop"}]}}, "length"),
        ({"body": {"output": {"choices": [{"finish_reason": "length"}, {"finish_reason": "stop"}]}}}, "length"),
        ({"body": {"output": {"text": "a", "finish_reason": "length"}}}, "length"),
        ({"body": {"output": {"choices": None, "text": "a", "finish_reason": "stop"}}}, "stop"),
        (None, None),
        ({"body": None}, None),
        ({"body": {"output": None}}, None),
        *[({"body": {"output": own, "choices": [{"finish_reason": "stop"}]}}, "stop") for own in ("a text", [7], {"own": 1})],
        ({"body": {"choices": []}}, None),
        ({"body": {"choices": [{}]}}, None),
    ],
)
def test_why_an_openai_batch_lines_answer_ended_is_read_from_its_body(response, reason):
    told: dict[str, object] = {**fields_of(Answered(ROW, REPLY, CALL), "openai-batch"), "response": response}
    assert read_entry(orjson.dumps(told)).finish_reason == reason


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"id": 7}, "not an entry: a field that must be text is not"),
        ({"attempt": 7}, "not an entry: a field that must be text is not"),
        ({"outcome": "won"}, "not an entry: an unknown outcome"),
        ({"usage": {**TOKENS, "output_tokens": -1}}, "not an entry: a token count that is none"),
        ({"usage": {**TOKENS, "searches": -1}}, "not an entry: a token count that is none"),
        ({"cost": {"currency": "CNY", "amount": "-1"}}, "not an entry: an amount that is none"),
        ({"digest": None}, "not an entry: a field that must be text is not"),
        ({"mood": "good"}, "was changed after it was written: there is no field 'mood'"),
        ({"crc32": "00000000"}, "was changed after it was written: its crc32 is not that of its text"),
        *[({name: 7}, f"not an entry: the field {name!r} holds something else than such a field does") for name in OF_A_KIND],
        ({"usage": []}, "not an entry: the field 'usage' holds something else than such a field does"),
        ({"outcome": ["won"]}, "not an entry: the field 'outcome' holds something else than such a field does"),
        ({"cost": {"currency": "CNY", "amount": "much"}}, "not an entry: the field 'cost' holds something else than such a field does"),
    ],
)
def test_of_a_line_that_is_no_entry_it_is_said_why(wrong, told):
    with pytest.raises(NotAnEntryError) as raised:
        read_entry(orjson.dumps(WHOLE | wrong))
    assert str(raised.value) == told


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b'{"id": "a"\n', "not JSON: unexpected end of data at column 11"),
        (b"\n", "a blank line"),
        (b"\0\0\n", "not JSON: NUL bytes, the first at position 1"),
        (b'{"id": "\xff"}\n', "not UTF-8: a wrong byte at position 9"),
        (b'{"workspace": "w"}\n', "there is no field 'id'"),
        (b'{"custom_id": "a"}\n', "there is no field 'batchrun'"),
        (b'{"custom_id": "a", "batchrun": 7}\n', "the field 'batchrun' is no object"),
        *[(line, "JSON, and no object") for line in (b"7\n", b"null\n", b"[]\n", b"[[]]\n", b'"custom_id"\n')],
    ],
)
def test_of_a_line_that_is_no_json_or_lacks_a_field_it_is_said_in_words_and_not_by_the_name_of_an_exception(line, told):
    with pytest.raises(NotAnEntryError) as raised:
        read_entry(line)
    assert str(raised.value) == f"not an entry: {told}"


def test_a_batch_lines_response_that_is_none_is_what_is_told_of_it():
    told: dict[str, object] = {**fields_of(Answered(ROW, REPLY, CALL), "openai-batch"), "response": 7}
    with pytest.raises(NotAnEntryError, match=r"^not an entry: the field 'response' holds something else than such a field does$"):
        read_entry(orjson.dumps(told))


def test_an_entry_of_before_the_rarer_counts_and_the_outcomes_name_is_read():
    usage = {"input_tokens": 1, "output_tokens": 2, "cached_tokens": 0, "reasoning_tokens": 0}
    line = orjson.dumps({"id": "a", "workspace": "w", "model": "m", "digest": "d", "usage": usage})
    assert read_entry(line) == Entry("a", "w", "m", "answered", "d", None, Usage(1, 2))


@given(st.binary(max_size=60) | VALUES.map(orjson.dumps))
def test_any_other_bytes_are_no_entry_and_nothing_worse(line):
    with pytest.raises(NotAnEntryError):
        read_entry(line)


@given(st.sampled_from(["batchrun", "openai-batch"]), st.data())
def test_an_entry_with_any_field_damaged_is_read_in_part_or_is_none(form, data):
    told = fields_of(Answered(ROW, REPLY, CALL), form)
    places = [told, own(told), own(told)["usage"]]
    place = data.draw(st.sampled_from(places))
    place[data.draw(st.sampled_from(sorted(place)))] = data.draw(VALUES)
    try:
        read = read_entry(orjson.dumps(told))
    except NotAnEntryError:
        return
    assert all(isinstance(text, str) for text in (read.id, read.workspace, read.model, read.digest, read.attempt or ""))
    assert read.usage is None or min(read.usage.input_tokens, read.usage.output_tokens) >= 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": 7},
        {"workspace": None},
        {"digest": 1},
        {"outcome": "won"},
        {"outcome": ["answered"]},
        {"attempt": 3},
        {"attempt": ["3-17"]},
        {"usage": []},
        {"usage": "many"},
        {"usage": {"input_tokens": 1}},
        {"usage": {**WHOLE["usage"], "output_tokens": -1}},
        {"usage": {**WHOLE["usage"], "output_tokens": 1.5}},
        {"usage": {**WHOLE["usage"], "cached_tokens": True}},
        {"usage": {**WHOLE["usage"], "image_tokens": "9"}},
    ],
    ids=str,
)
def test_a_field_that_is_not_what_it_must_be_is_damage(wrong):
    with pytest.raises(NotAnEntryError):
        read_entry(orjson.dumps(WHOLE | wrong))


@pytest.mark.parametrize("missing", ["id", "workspace", "model", "digest"])
def test_an_entry_that_lacks_what_a_resume_needs_is_damage(missing):
    with pytest.raises(NotAnEntryError):
        read_entry(orjson.dumps({name: value for name, value in WHOLE.items() if name != missing}))
