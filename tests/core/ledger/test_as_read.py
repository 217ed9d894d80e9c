"""What a writer takes its own lines to be read as is what they are read as."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.ledger.as_read import ended_of, entry_of, started_of
from batchrun.core.ledger.attempts import Bound, ended_line, read_attempt, started_line
from batchrun.core.ledger.entry_reading import read_entry
from batchrun.core.ledger.entry_writing import write_entry
from batchrun.core.model import Answered, Call, Exhausted, Failure, Fault, Money, Rejected, Reply, Row, Scope, Usage
from batchrun.core.money.pricing import standard_prices

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
COUNT = st.integers(0, 100_000)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
MOMENT = st.floats(1e9, 4e9) | st.sampled_from([1.8e9, 1_800_000_000.0005, 1_800_000_000.9999996, 1_799_999_999.9999999])
RAW = st.none() | st.dictionaries(TEXT, JSON, max_size=3)
USAGE = st.builds(Usage, COUNT, COUNT, COUNT, COUNT, RAW, COUNT, COUNT, COUNT, COUNT, COUNT, st.integers(0, 3), st.booleans())
ROW = st.builds(Row, TEXT, TEXT, st.sampled_from(["qwen-plus", "qwen-max", "千问"]), st.just({}), st.just("0" * 16), JSON)
CALL = st.builds(Call, st.from_regex(r"[1-9][0-9]?-[1-9][0-9]{0,5}", fullmatch=True), st.integers(1, 9), MOMENT, st.integers(0, 600_000))
REPLY = st.builds(
    Reply, TEXT, TEXT, st.none() | USAGE, st.none() | TEXT, st.none() | TEXT, body=st.just(b'{"choices":[{"finish_reason":"length"}]}'),
    first_token_ms=st.none() | st.integers(0, 9000), parsed=JSON,
)  # fmt: skip
FAILURE = st.builds(
    Failure, st.sampled_from(Fault), st.sampled_from(Scope), TEXT, TEXT, TEXT, st.none() | st.integers(200, 599),
    in_doubt=st.booleans(), usage=st.none() | USAGE, reply=st.none() | REPLY,
)  # fmt: skip
OUTCOME = st.one_of(
    st.builds(Answered, ROW, REPLY, CALL), st.builds(Rejected, ROW, FAILURE, st.none() | CALL), st.builds(Exhausted, ROW, FAILURE, CALL)
)
PRICES = standard_prices()


def priced(outcome) -> Money | None:
    usage = outcome.reply.usage if isinstance(outcome, Answered) else outcome.failure.usage
    found = usage and PRICES.cost(outcome.row.model, "cn", usage, date(2026, 11, 24), batch=len(outcome.row.id) % 2 == 0)
    return found.money() if found else None


@given(OUTCOME, st.sampled_from(["batchrun", "openai-batch"]), st.booleans())
def test_an_entry_is_read_as_its_writer_takes_it(outcome, form, raw):
    cost = priced(outcome)
    line = write_entry(outcome, form, raw=raw, cost=cost)
    told, read = entry_of(outcome, form, cost, line), read_entry(line)
    assert told == read
    # Money compares by its amount alone.
    assert (told.cost and told.cost.charges) == (read.cost and read.cost.charges)
    assert [type(each) for each in told] == [type(each) for each in read]


@pytest.mark.parametrize("amount", ["0", "0.00", "1E+3", "0.000000000000000000000000000001", "123456789012345678901234567.89"])
def test_an_amount_is_read_as_it_was(amount):
    outcome = Answered(Row("r", "legal", "m", {}, "0" * 16), Reply("a", "stop", Usage(1, 2)), Call("1-1", 1, 1.8e9, 5))
    cost = Money("CNY", Decimal(amount))
    line = write_entry(outcome, "batchrun", raw=False, cost=cost)
    assert entry_of(outcome, "batchrun", cost, line) == read_entry(line)


@given(ROW, MOMENT, COUNT, COUNT)
def test_a_start_is_read_as_its_writer_takes_it(row, at, asked, told):
    most = Bound(asked, told)
    assert started_of("1-7", at, row, most) == read_attempt(started_line("1-7", at, row, most))


@given(
    st.sampled_from(["answered", "again", "throttled", "parked", "reasked", "rejected", "exhausted"]), REPLY | FAILURE, MOMENT,
    st.none() | st.just(Money("CNY", Decimal("0.5"))), JSON,
)  # fmt: skip
def test_an_end_is_read_as_its_writer_takes_it(verdict, result, at, cost, metadata):
    if isinstance(result, Failure) and verdict == "answered":
        verdict = "again"
    line = ended_line("1-7", at, verdict, result, cost, metadata=metadata)
    assert ended_of("1-7", at, verdict, result, line) == read_attempt(line)


def test_a_usual_answer_and_its_end_are_known_without_a_look_at_their_lines():
    outcome = Answered(Row("r", "legal", "m", {}, "0" * 16), Reply("a", "stop", Usage(1, 2)), Call("1-1", 1, 1.8e9, 5))
    line = write_entry(outcome, "batchrun", raw=False)
    assert entry_of(outcome, "batchrun", None, b"not read") == read_entry(line)
    assert ended_of("1-1", 1.5, "answered", outcome.reply, b"not read") == read_attempt(ended_line("1-1", 1.5, "answered", outcome.reply))
