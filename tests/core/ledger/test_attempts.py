"""The lines of attempts.log, and how much a call can be billed for at the most."""

from __future__ import annotations

from decimal import Decimal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.ledger.attempts import (
    ASSUMED_OUTPUT_TOKENS,
    MOST_ANSWERED,
    MOST_TOKENS_OF_MEDIA,
    Bound,
    Ended,
    Opened,
    Promise,
    Started,
    closed_line,
    ended_line,
    most_answered,
    most_asked,
    opened_line,
    promised_line,
    read_attempt,
    started_line,
)
from batchrun.core.ledger.seal import sealed
from batchrun.core.model import Failure, Fault, Money, Reply, Row, Scope, Usage
from tests.core.ledger.outcomes import COUNTS, FAILURES, REPLIES, ROWS, VALUES

NAMES = st.builds("{}-{}".format, COUNTS, COUNTS)
TIMES = st.floats(0, 4e9)
VERDICTS = st.sampled_from(["answered", "rejected", "exhausted", "again", "throttled", "parked", "reasked"])
ROW = Row("r-1", "legal", "qwen-plus", {}, "0" * 16)


# Lines


@given(COUNTS, TIMES)
def test_an_opening_reads_back(opening, at):
    assert read_attempt(opened_line(opening, at)) == Opened(opening, at=at)


@given(NAMES, TIMES, ROWS, st.builds(Bound, COUNTS, COUNTS))
def test_a_start_reads_back(name, at, row, most):
    line = started_line(name, at, row, most)
    assert line.count(b"\n") == line.endswith(b"\n") == 1
    assert read_attempt(line) == Started(name, row.workspace, row.model, row.id, most, at)


@given(NAMES, TIMES, VERDICTS, REPLIES | FAILURES)
def test_an_end_reads_back_with_the_tokens_that_stand_nowhere_else(name, at, verdict, result):
    line = ended_line(name, at, verdict, result)
    assert line.count(b"\n") == line.endswith(b"\n") == 1
    in_entry = isinstance(result, Reply) or verdict in {"rejected", "exhausted"}
    doubt = result.usage is None and (isinstance(result, Reply) or result.in_doubt)
    code, status = (None, None) if isinstance(result, Reply) else (result.code, result.status)
    usage = None if in_entry else result.usage
    assert read_attempt(line) == Ended(name, verdict, doubt, usage, None, at, code, status, has_metadata=doubt or usage is not None)


def test_an_end_tells_what_its_tokens_cost():
    failure = Failure(Fault.REASK, Scope.ROW, "c", "m", "a", usage=Usage(1, 2))
    ended = read_attempt(ended_line("3-1", 1.0, "reasked", failure, Money("CNY", Decimal("0.00000120"))))
    assert isinstance(ended, Ended)
    assert ended.cost == Money("CNY", Decimal("0.0000012"))


BILLED = Failure(Fault.REASK, Scope.ROW, "no_json", "m", "a", status=200, usage=Usage(1, 2))
DOUBTED = Failure(Fault.AGAIN, Scope.ROW, "read_timeout", "m", "a", in_doubt=True)
SPENT = {"usage": {"input_tokens": 1, "output_tokens": 2, "cached_tokens": 0, "reasoning_tokens": 0, "raw": None}}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (opened_line(3, 1.5), {"opening": 3, "at": 1.5}),
        (opened_line(3, 1.5, "b"), {"opening": 3, "at": 1.5, "boot": "b"}),
        (promised_line([Promise("legal", "m", 3, 40, 50)], 1.5), {"promised": [["legal", "m", 3, 40, 50]], "at": 1.5}),
        (closed_line(1.5), {"closed": True, "at": 1.5}),
        (
            started_line("3-1", 1.5, ROW, Bound(7, 8)),
            {"start": "3-1", "at": 1.5, "workspace": "legal", "model": "qwen-plus", "id": "r-1", "most": [7, 8]},
        ),
        (ended_line("3-1", 1.5, "answered", Reply("a", "stop", Usage(1, 2)), metadata=5), {"end": "3-1", "at": 1.5, "verdict": "answered"}),
        (
            ended_line("3-1", 1.5, "answered", Reply("a", "stop", None), metadata=5),
            {"end": "3-1", "at": 1.5, "verdict": "answered", "doubt": True, "metadata": 5},
        ),
        (
            ended_line("3-1", 1.5, "reasked", BILLED, Money("CNY", Decimal("0.5"))),
            {"end": "3-1", "at": 1.5, "verdict": "reasked", "code": "no_json", "status": 200}
            | {**SPENT, "cost": {"currency": "CNY", "amount": "0.5"}, "metadata": None},
        ),
        (
            ended_line("3-1", 1.5, "rejected", BILLED, metadata=5),
            {"end": "3-1", "at": 1.5, "verdict": "rejected", "code": "no_json", "status": 200},
        ),
        (
            ended_line("3-1", 1.5, "again", DOUBTED, metadata=5),
            {"end": "3-1", "at": 1.5, "verdict": "again", "code": "read_timeout", "status": None, "doubt": True, "metadata": 5},
        ),
    ],
    ids=lambda each: "" if isinstance(each, bytes) else next(iter(each)),
)
def test_a_line_tells_this_and_nothing_else_in_this_order(line, told):
    fields = orjson.loads(line)
    assert len(fields.pop("crc32")) == 8
    assert list(fields.items()) == list(told.items())
    if not told.keys() & {"promised", "closed", "boot"}:
        assert read_attempt(orjson.dumps(told)) == read_attempt(line), "as it was before lines had seals"


WRONG: dict[str, list[object]] = {
    "opening": ["3", -1, None, True, 3.0], "boot": [7], "promised": [[["a", "m", 1, 2]], [[1, "m", 1, 2, 3]], 7],
    "start": [7, None], "workspace": [None, 7], "model": [7], "id": [7], "most": [[1], [1, 2, 3], [-1, 2], [1, True], None, "ab"],
    "end": [7], "verdict": [None], "usage": [{}, 7], "cost": ["1", {"currency": "CNY"}], "at": ["1", None, True],
}  # fmt: skip


@pytest.mark.parametrize(("name", "wrong"), [(name, wrong) for name, each in WRONG.items() for wrong in each])
def test_a_field_that_is_not_what_it_must_be_makes_an_unreadable_line(name, wrong):
    whole = [opened_line(3, 1.5, "b"), promised_line([], 1.5), started_line("3-1", 1.5, ROW, Bound(7, 8))]
    whole += [ended_line("3-1", 1.5, "reasked", BILLED, Money("CNY", Decimal("0.5")))]
    lines = [fields for line in whole if name in (fields := orjson.loads(line))]
    for fields in lines:
        del fields["crc32"]
        damaged = sealed(orjson.dumps(fields | {name: wrong}))
        if name == "at" and "opening" in fields:
            assert read_attempt(damaged) == Opened(3, "b"), "when it was opened is told to people alone"
        else:
            assert read_attempt(damaged) is None, fields
    assert lines


def test_a_whole_number_of_seconds_is_a_moment_too():
    for line in (started_line("3-1", 2, ROW, Bound(7, 8)), ended_line("3-1", 2, "again", BILLED), promised_line([], 2)):
        at = getattr(read_attempt(line), "at", None)
        assert (at, type(at)) == (2.0, float)


@given(st.binary(max_size=60) | VALUES.map(orjson.dumps))
def test_any_other_bytes_are_no_line_and_nothing_worse(line):
    assert read_attempt(line) is None


LINES = [
    opened_line(3, 1.0),
    started_line("3-1", 1.0, ROW, Bound(7, 8)),
    ended_line("3-1", 1.0, "again", Failure(Fault.AGAIN, Scope.ROW, "c", "m", "a", usage=Usage(1, 2))),
    ended_line("3-1", 1.0, "again", Failure(Fault.AGAIN, Scope.ROW, "c", "m", "a", in_doubt=True)),
]


@given(st.sampled_from(LINES), st.data())
def test_a_line_with_any_field_damaged_is_read_or_is_none_and_what_is_read_can_be_folded(line, data):
    fields = orjson.loads(line)
    fields[data.draw(st.sampled_from(sorted(fields)))] = data.draw(VALUES)
    match read_attempt(orjson.dumps(fields)):
        case Opened(opening):
            assert isinstance(opening, int)
        case Started(name, workspace, model, row_id, most):
            assert all(isinstance(text, str) for text in (name, workspace, model, row_id))
            assert min(most.input_tokens, most.output_tokens) >= 0
        case Ended(name, verdict, in_doubt, _):
            assert (isinstance(name, str), isinstance(verdict, str), isinstance(in_doubt, bool)) == (True, True, True)
        case nothing:
            assert nothing is None


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_line_cut_short_is_none(cut):
    assert [read_attempt(line[: -cut - 1]) for line in LINES if cut + 1 < len(line)] == [None] * sum(cut + 1 < len(line) for line in LINES)


# Bounds

FULL = ASSUMED_OUTPUT_TOKENS


@pytest.mark.parametrize(
    ("body", "output_tokens"),
    [
        ({}, FULL),
        ({"max_completion_tokens": 100}, 100),
        ({"max_completion_tokens": 100, "max_tokens": 5, "thinking_budget": 9}, 100),
        ({"max_tokens": 100, "enable_thinking": False}, 100),
        ({"max_tokens": 100, "enable_thinking": False, "thinking_budget": 500}, 100),
        ({"max_tokens": 100}, 100 + FULL),
        ({"max_tokens": 100, "enable_thinking": True}, 100 + FULL),
        *[({"max_tokens": 100, "model": model}, 100) for model in ("qwen-plus", "qwen-plus-latest", "qwen3-max", "qwen-vl-max")],
        *[({"max_tokens": 100, "model": model}, 100 + FULL) for model in ("qwen3.5-plus", "qwq-plus", "qwen-plus-thinking", "own", 3)],
        ({"max_tokens": 100, "model": "qwen-plus", "enable_thinking": True}, 100 + FULL),
        ({"max_tokens": 100, "thinking_budget": 500}, 600),
        ({"max_tokens": 100, "enable_thinking": "false", "thinking_budget": 500}, 600),
        # A row without a limit to its answer may think for longer than an answer is taken to be.
        ({"model": "qwen-plus", "enable_thinking": True, "thinking_budget": 81_920}, FULL + 81_920),
        ({"model": "qwen3.6-plus", "thinking_budget": 500, "n": 2}, 2 * (FULL + 500)),
        *[({"model": "qwen-plus", "enable_thinking": told, "thinking_budget": 81_920}, FULL) for told in (None, False)],
        *[({"enable_thinking": True, "thinking_budget": wrong}, FULL) for wrong in (0, -1000, True, "9", None)],
        ({"max_completion_tokens": 100, "n": 3}, 300),
        ({"n": 2}, 2 * FULL),
        # What is no limit limits nothing.
        *[({"max_completion_tokens": wrong}, FULL) for wrong in (0, -1, True, "9", 9.5, None, [9])],
        *[({"max_tokens": wrong, "enable_thinking": False}, FULL) for wrong in (0, -1, True, "9", 9.5, None, [9])],
        *[({"max_tokens": 100, "thinking_budget": wrong}, 100 + FULL) for wrong in (0, -1000, True, "9", None)],
        *[({"max_completion_tokens": 100, "n": wrong}, 100) for wrong in (0, -2, True, "4", None)],
    ],
    ids=str,
)
def test_an_answer_is_billed_for_no_more_than_the_limits_of_its_request(body, output_tokens):
    assert most_answered(body) == output_tokens


@pytest.mark.parametrize("huge", [2**63, 2**64 - 1])
@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "thinking_budget", "n"])
def test_a_limit_of_any_length_gives_a_bound_that_can_be_written_a_billion_times_over(name, huge):
    most = most_answered({"max_tokens": 100, name: huge})
    assert most == MOST_ANSWERED
    row, promised = Promise("legal", "m", 10**9, 1, most * 10**9), Bound(1, most)
    assert read_attempt(promised_line([row], 1.5)) is not None
    assert read_attempt(started_line("3-1", 1.5, ROW, promised)) == Started("3-1", ROW.workspace, ROW.model, ROW.id, promised, 1.5)


def test_input_is_a_token_a_byte_and_each_medium_what_its_kind_can_cost():
    media = MOST_TOKENS_OF_MEDIA
    assert most_asked(40, ["image", "image", "audio"]) == 40 + 2 * media["image"] + media["audio"]
    assert most_asked(40, ["video"]) == 40 + media["video"]


@given(st.dictionaries(st.sampled_from(["max_tokens", "max_completion_tokens", "thinking_budget", "enable_thinking", "n"]), VALUES))
def test_a_bound_is_never_less_than_one_token_whatever_the_request_says(body):
    assert most_answered(body) >= 1
