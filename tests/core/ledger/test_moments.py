"""When a call began: written as the calendar has it, and read back, as other tools write it too."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.ledger.entry import NotAnEntryError
from batchrun.core.ledger.entry_reading import read_entry
from batchrun.core.ledger.entry_writing import write_entry
from batchrun.core.model import Answered
from tests.core.ledger.outcomes import CALL, REPLY, ROW, WHOLE


@given(st.integers(86_400_000, 4_102_444_800_000), st.integers(0, 28), st.sampled_from(list("0159-:.+TW Z٣")) | st.none())
def test_a_moment_is_read_as_the_calendar_has_it_and_what_is_none_is_not_read(moment, place, put):
    text = datetime.fromtimestamp(moment / 1000, UTC).isoformat(timespec="milliseconds")
    text = text if put is None else text[:place] + put + text[place + 1 :]
    line = orjson.dumps(WHOLE | {"started_at": text})
    try:
        expected = datetime.fromisoformat(text).timestamp()
    except ValueError:
        with pytest.raises(NotAnEntryError):
            read_entry(line)
    else:
        assert read_entry(line).started_at == expected


@pytest.mark.parametrize(
    ("moment", "told"),
    [
        (0.0, "1970-01-01T00:00:00.000+00:00"),
        (1_700_000_000.9996, "2023-11-14T22:13:20.999+00:00"),
        (1_700_000_000.001, "2023-11-14T22:13:20.001+00:00"),
        (1_700_000_000.9999996, "2023-11-14T22:13:21.000+00:00"),
    ],
)
def test_when_a_call_began_is_told_in_utc_to_the_millisecond_below_and_read_as_told(moment, told):
    line = write_entry(Answered(ROW, REPLY, replace(CALL, started_at=moment)), "batchrun", raw=False)
    assert orjson.loads(line)["started_at"] == told
    assert read_entry(line).started_at == round(moment * 1e6) // 1000 / 1000


@pytest.mark.parametrize(
    ("told", "moment"),
    [
        ("2023-11-14T22:13:20+00:00", 1_700_000_000.0),
        ("2023-11-14T22:13:20Z", 1_700_000_000.0),
        ("2023-11-15T06:13:20.250+08:00", 1_700_000_000.25),
        ("2023-11-14T22:13:20.250500+00:00", 1_700_000_000.2505),
        ("2023-11-14T22:13:20,250+00:00", 1_700_000_000.25),
        ("2023-11-14T22:13:20.250-00:30", 1_700_001_800.25),
    ],
)
def test_a_moment_that_another_tool_wrote_is_read_as_well(told, moment):
    assert read_entry(orjson.dumps(WHOLE | {"started_at": told})).started_at == moment


@pytest.mark.parametrize("wrong", ["2023-11-14T22:13:20.2x0+00:00", "2023-11-14T22:13:20.٢٥٠+00:00", "soon", 7, ["x"] * 29])
def test_a_moment_that_is_none_is_no_entry(wrong):
    with pytest.raises(NotAnEntryError):
        read_entry(orjson.dumps(WHOLE | {"started_at": wrong}))
