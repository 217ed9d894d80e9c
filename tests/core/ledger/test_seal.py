"""A line's seal: whatever is changed in a line that stands in the ledger, it is not taken for what was written."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.ledger.attempts import Bound, read_attempt, started_line
from batchrun.core.ledger.entry import NotAnEntryError
from batchrun.core.ledger.entry_reading import read_entry
from batchrun.core.ledger.entry_writing import write_entry
from batchrun.core.ledger.seal import is_whole, sealed
from batchrun.core.model import Answered, Call, Reply, Row, Usage

ROW = Row("行-1", "法务", "qwen-plus", {}, "0123456789abcdef")
LINE = write_entry(Answered(ROW, Reply("答案 1", "stop", Usage(7, 3)), Call("1-1", 1, 0.0, 12)), "batchrun", raw=False)
OLDER = orjson.dumps({name: value for name, value in orjson.loads(LINE).items() if name != "crc32"})


@given(st.integers(0, len(LINE) * 8 - 9))
def test_no_flipped_bit_of_an_entry_is_taken_for_what_was_written(bit):
    flipped = bytearray(LINE)
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises(NotAnEntryError):
        read_entry(bytes(flipped))


def test_no_flipped_bit_of_an_attempt_is_taken_for_what_was_written():
    line = started_line("1-1", 0.0, ROW, Bound(40, 100))
    assert read_attempt(line) is not None
    for bit in range(len(line) * 8 - 8):
        flipped = bytearray(line)
        flipped[bit // 8] ^= 1 << bit % 8
        assert read_attempt(bytes(flipped)) is None, bit


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(), min_size=1).filter(lambda fields: "crc32" not in fields))
def test_a_sealed_line_is_the_object_it_was_and_whole_with_any_line_end(fields):
    fields = {name: value if isinstance(value, str) else value % 2**53 for name, value in fields.items()}
    try:
        body = orjson.dumps(fields)
    except TypeError:  # A lone surrogate: what reads requests and answers replaces them.
        return
    line = sealed(body)
    assert line.endswith(b"}\n")
    assert is_whole(line)
    assert is_whole(line[:-1] + b"\r\n")
    assert {name: value for name, value in orjson.loads(line).items() if name != "crc32"} == fields


def test_an_older_line_has_no_seal_and_is_taken_as_it_is():
    assert read_entry(OLDER) == read_entry(LINE)


def test_a_field_that_is_not_known_is_told_where_the_line_is_sealed_and_is_damage_where_not():
    newer = OLDER[:-1] + b',"mood":"good"}'
    assert read_entry(sealed(newer)).unknown == ("mood",)
    with pytest.raises(NotAnEntryError, match="no field 'mood'"):
        read_entry(newer)
