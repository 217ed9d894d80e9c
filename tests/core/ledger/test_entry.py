"""An outcome's line: both forms, written and read back, and what is no such line."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.ledger.entry import (
    UNREAD,
    Entry,
    NotAnEntryError,
    cost_fields,
    read_cost,
    read_entry,
    read_usage,
    usage_fields,
    write_entry,
)
from batchrun.core.ledger.given import given as taken_out_of
from batchrun.core.ledger.given import read_given
from batchrun.core.model import Answered, Call, Charges, Exhausted, Failure, Fault, Money, Rejected, Reply, Row, Scope, Usage

# Lone surrogates never get this far: what reads requests and answers replaces them.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('\u2028\u2029\0\x7f\ufeff"\\\r\n😀'), max_size=12)
COUNTS = st.integers(0, 10**9)
LEAVES = st.none() | st.booleans() | COUNTS | TEXTS
VALUES = LEAVES | st.lists(LEAVES, max_size=2) | st.dictionaries(TEXTS, LEAVES | st.lists(LEAVES, max_size=2), max_size=2)
USAGES = st.builds(
    Usage,
    *[COUNTS] * 4,
    raw=st.none() | st.dictionaries(TEXTS, VALUES, max_size=2),
    cache_creation_tokens=COUNTS,
    image_tokens=COUNTS,
    audio_tokens=COUNTS,
    video_tokens=COUNTS,
    output_audio_tokens=COUNTS,
    searches=COUNTS,
)
ROWS = st.builds(Row, TEXTS, TEXTS, TEXTS, st.just({}), TEXTS, VALUES)
REPLIES = st.builds(
    Reply,
    TEXTS,
    TEXTS,
    st.none() | USAGES,
    request_id=st.none() | TEXTS,
    reasoning=st.none() | TEXTS,
    tool_calls=st.none() | st.lists(VALUES, max_size=2),
    choices=st.none() | st.lists(VALUES, max_size=2),
    body=st.dictionaries(TEXTS, VALUES, max_size=2).map(orjson.dumps) | st.just(b""),
    first_token_ms=st.none() | COUNTS,
    parsed=VALUES,
)


def refusing(reply):
    return Failure(
        Fault.REJECT, Scope.ROW, "schema_mismatch", "m", "a", status=200, in_doubt=reply.usage is None, usage=reply.usage, reply=reply
    )


FAILURES = REPLIES.map(refusing) | st.builds(
    Failure,
    st.sampled_from(Fault),
    st.sampled_from(Scope),
    TEXTS,
    TEXTS,
    TEXTS,
    status=st.none() | st.integers(100, 599),
    request_id=st.none() | TEXTS,
    in_doubt=st.booleans(),
    usage=st.none() | USAGES,
)
CALLS = st.builds(Call, st.builds("{}-{}".format, COUNTS, COUNTS), COUNTS, st.floats(0, 4e9), COUNTS)
OUTCOMES = (
    st.builds(Answered, ROWS, REPLIES, CALLS)
    | st.builds(Rejected, ROWS, FAILURES, st.none() | CALLS)
    | st.builds(Exhausted, ROWS, FAILURES, st.none() | CALLS)
)
FORMS = st.sampled_from(["batchrun", "openai-batch"])

USAGE = Usage(7, 3, 2, 1, {"prompt_tokens": 7})
ROW = Row("行-1", "法务", "qwen-plus", {}, "0123456789abcdef", {"项目": "q3"})
REPLY = Reply("答案", "stop", USAGE, "r-1", body=b'{"id":"chatcmpl-1"}')
CALL = Call("3-17", 2, 1_700_000_000.25, 1234)
FAILURE = Failure(Fault.REJECT, Scope.ROW, "InvalidParameter", "the provider's words", "mend the row", status=400, request_id="r-2")


def usage_of(outcome):
    return outcome.reply.usage if isinstance(outcome, Answered) else outcome.failure.usage


def fields_of(outcome, form="batchrun", *, raw=False):
    fields = orjson.loads(write_entry(outcome, form, raw=raw))
    assert len(fields.pop("crc32")) == 8
    return fields


def own(fields):
    return fields.get("batchrun", fields)


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


def test_an_answered_entry_tells_the_answer_and_its_call():
    assert fields_of(Answered(ROW, REPLY, CALL)) == {
        "id": "行-1",
        "workspace": "法务",
        "model": "qwen-plus",
        "content": "答案",
        "finish_reason": "stop",
        "usage": {"input_tokens": 7, "output_tokens": 3, "cached_tokens": 2, "reasoning_tokens": 1, "raw": {"prompt_tokens": 7}},
        "request_id": "r-1",
        "attempt": "3-17",
        "attempts": 2,
        "started_at": "2023-11-14T22:13:20.250+00:00",
        "latency_ms": 1234,
        "cost": None,
        "digest": "0123456789abcdef",
        "metadata": {"项目": "q3"},
    }


def test_a_failed_entry_tells_the_failure_and_its_advice():
    told = fields_of(Rejected(ROW, FAILURE, None))
    assert told["failure"] == {
        "fault": "reject",
        "code": "InvalidParameter",
        "message": "the provider's words",
        "advice": "mend the row",
        "status": 400,
        "request_id": "r-2",
        "in_doubt": False,
    }
    assert (told["outcome"], told["attempt"], told["attempts"]) == ("rejected", None, 0)
    assert "usage" not in told
    read = Entry(
        "行-1", "法务", "qwen-plus", "rejected", ROW.digest, None, None, has_cost=True, code="InvalidParameter", metadata=ROW.metadata
    )
    read = read._replace(status=400, message="the provider's words", advice="mend the row")
    assert read_entry(orjson.dumps(told)) == read


@pytest.mark.parametrize("form", ["batchrun", "openai-batch"])
def test_an_entry_reads_back_with_its_cost_and_its_call(form):
    reply = replace(REPLY, body=orjson.dumps({"choices": [{"finish_reason": "stop"}]}))
    cost = Money("CNY", Decimal("0.0000000000000000000120"))
    read = read_entry(write_entry(Answered(ROW, reply, CALL), form, raw=False, cost=cost))
    assert (read.cost, read.has_cost) == (cost, True)
    assert (read.started_at, read.latency_ms, read.attempts, read.finish_reason) == (1_700_000_000.25, 1234, 2, "stop")
    assert (read.code, read.metadata) == (None, ROW.metadata)
    assert not read_entry(b'{"id":"a","workspace":"b","model":"c","digest":"d"}').has_cost


@pytest.mark.parametrize("cost", [1, "1", {"currency": "CNY"}, {"currency": "CNY", "amount": "NaN"}, {"currency": "CNY", "amount": "-1"}])
def test_a_cost_that_is_none_is_no_entry(cost):
    fields = fields_of(Answered(ROW, REPLY, CALL)) | {"cost": cost}
    with pytest.raises(NotAnEntryError):
        read_entry(orjson.dumps(fields))


def test_an_openai_batch_line_is_what_a_reader_of_batch_results_expects():
    told = fields_of(Answered(ROW, REPLY, CALL), "openai-batch")
    assert {name: told[name] for name in ("id", "custom_id", "response", "error")} == {
        "id": "batch_req_r-1",
        "custom_id": "行-1",
        "response": {"status_code": 200, "request_id": "r-1", "body": {"id": "chatcmpl-1"}},
        "error": None,
    }
    failed = fields_of(Rejected(ROW, FAILURE, CALL), "openai-batch")
    error = {"code": "InvalidParameter", "message": "the provider's words"}
    assert failed["response"] == {"status_code": 400, "request_id": "r-2", "body": {"error": error}}
    assert failed["error"] == error
    unsent = fields_of(Rejected(ROW, replace(FAILURE, status=None, request_id=None), None), "openai-batch")
    assert (unsent["id"], unsent["response"]) == ("batch_req_行-1", None)


OF_CALL = {"attempt": "3-17", "attempts": 2, "started_at": "2023-11-14T22:13:20.250+00:00", "latency_ms": 1234}
OF_ROW = {"digest": "0123456789abcdef", "metadata": {"项目": "q3"}}
TOKENS = {"input_tokens": 7, "output_tokens": 3, "cached_tokens": 2, "reasoning_tokens": 1, "raw": {"prompt_tokens": 7}}
PRICED = Money("CNY", Decimal("0.5"))


def test_what_a_resume_and_the_statement_need_stands_beside_an_openai_batch_line_in_the_own_object():
    answered = orjson.loads(write_entry(Answered(ROW, REPLY, CALL), "openai-batch", raw=False, cost=PRICED))
    assert answered["batchrun"] == {
        "workspace": "法务",
        "model": "qwen-plus",
        "outcome": "answered",
        "usage": TOKENS,
        **OF_CALL,
        **OF_ROW,
        "cost": {"currency": "CNY", "amount": "0.5"},
    }
    billed = replace(FAILURE, usage=USAGE, in_doubt=True)
    for kind, outcome in ((Rejected, "rejected"), (Exhausted, "exhausted")):
        assert fields_of(kind(ROW, billed, CALL), "openai-batch")["batchrun"] == {
            "workspace": "法务",
            "model": "qwen-plus",
            "outcome": outcome,
            "usage": TOKENS,
            **OF_CALL,
            **OF_ROW,
            "cost": None,
            "failure": {
                "fault": "reject",
                "code": "InvalidParameter",
                "message": "the provider's words",
                "advice": "mend the row",
                "status": 400,
                "request_id": "r-2",
                "in_doubt": True,
            },
        }


WHOLE = fields_of(Answered(ROW, REPLY, CALL))
RICH = replace(REPLY, reasoning="so", tool_calls=[{"a": 1}], choices=[{"b": 2}], parsed={"label": "a"}, first_token_ms=77)
OF_RICH = {"reasoning": "so", "tool_calls": [{"a": 1}], "choices": [{"b": 2}], "parsed": {"label": "a"}, "first_token_ms": 77}


def test_whatever_an_answer_brought_stands_in_its_entry_answered_or_refused():
    answered = fields_of(Answered(ROW, RICH, CALL))
    refused = fields_of(Rejected(ROW, replace(refusing(RICH), status=200), CALL))
    for told in (answered, refused):
        assert told.items() >= OF_RICH.items()
        assert (told["content"], told["finish_reason"], told["request_id"], told["usage"]) == ("答案", "stop", "r-1", TOKENS)
    read = read_entry(write_entry(Answered(ROW, RICH, CALL), "openai-batch", raw=False))
    assert (read.first_token_ms, read.latency_ms) == (77, 1234)


CHARGED = Charges((("input_token", 7, Decimal("0.80")), ("output_token", 3, Decimal(2))), Decimal("0.25"), Decimal("0.5"), Decimal("0.001"))


@pytest.mark.parametrize(
    ("charges", "told"),
    [
        (
            CHARGED,
            {"charges": {"input_token": [7, "0.80"], "output_token": [3, "2"]}, "discount": "0.25", "share": "0.5", "saved": "0.001"},
        ),
        (Charges((("input_token", 7, Decimal("0.80")),)), {"charges": {"input_token": [7, "0.80"]}}),
        (replace(CHARGED, meters=(), share=Decimal(1), saved=Decimal(0)), {"charges": {}, "discount": "0.25"}),
        (replace(CHARGED, meters=(), discount=Decimal(0), saved=Decimal(0)), {"charges": {}, "share": "0.5"}),
        (replace(CHARGED, meters=(), discount=Decimal(0), share=Decimal(1)), {"charges": {}, "saved": "0.001"}),
        (None, {}),
    ],
)
def test_a_cost_tells_what_it_is_made_of_and_leaves_out_what_is_plain(charges, told):
    cost = Money("CNY", Decimal("0.0000120"), charges)
    assert cost_fields(cost) == {"currency": "CNY", "amount": "0.0000120", **told}
    assert read_cost(orjson.loads(orjson.dumps(cost_fields(cost)))) == cost


@pytest.mark.parametrize(
    "wrong",
    [
        *[
            {"charges": {"a": each}}
            for each in ([1], [1, "1", 2], [-1, "1"], [True, "1"], ["1", "1"], [1, 1], [1, "-1"], [1, "NaN"], [1, "x"])
        ],
        *[{"charges": {}, "discount": each} for each in ("-1", "x", 1, None)],
        *[{"charges": {}, "share": each} for each in ("-1", "Infinity", 1)],
        *[{"charges": {}, "saved": each} for each in ("x", 1, None)],
        *[{"charges": each} for each in (7, "a", ["a"])],
        *[{"currency": each} for each in (7, None)],
        *[{"amount": each} for each in (7, None, "x", "-0.1", "Infinity")],
    ],
    ids=str,
)
def test_a_cost_of_which_a_part_is_none_is_no_entry(wrong):
    fields = fields_of(Answered(ROW, REPLY, CALL)) | {"cost": {"currency": "CNY", "amount": "0.5"} | wrong}
    with pytest.raises(NotAnEntryError):
        read_entry(orjson.dumps(fields))


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
        (None, None),
        ({"body": None}, None),
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
        ({"usage": 7}, "not an entry (TypeError)"),
    ],
)
def test_of_a_line_that_is_no_entry_it_is_said_why(wrong, told):
    with pytest.raises(NotAnEntryError) as raised:
        read_entry(orjson.dumps(WHOLE | wrong))
    assert str(raised.value) == told


@pytest.mark.parametrize("form", ["batchrun", "openai-batch"])
def test_what_only_some_answers_have_is_told_only_of_them(form):
    plain = own(fields_of(Answered(ROW, REPLY, CALL), form))
    assert plain.keys().isdisjoint({"parsed", "first_token_ms", "reasoning", "tool_calls", "choices"})
    assert plain["usage"].keys() == {"input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "raw"}
    seeing = replace(REPLY, usage=Usage(900, 3, image_tokens=880, searches=1), parsed={"label": ["a"]}, first_token_ms=0)
    told = own(fields_of(Answered(ROW, seeing, CALL), form))
    assert (told["parsed"], told["first_token_ms"]) == ({"label": ["a"]}, 0)
    assert (told["usage"]["image_tokens"], told["usage"]["searches"]) == (880, 1)
    assert "audio_tokens" not in told["usage"]


@pytest.mark.parametrize("form", ["batchrun", "openai-batch"])
def test_the_providers_body_is_kept_when_asked_for_and_always_in_batch_lines(form):
    for raw in (False, True):
        told = fields_of(Answered(ROW, REPLY, CALL), form, raw=raw)
        body = told["response"]["body"] if form == "openai-batch" else told.get("response")
        assert body == ({"id": "chatcmpl-1"} if raw or form == "openai-batch" else None)


def test_an_answer_without_a_body_tears_no_line():
    for form in ("batchrun", "openai-batch"):
        assert read_entry(write_entry(Answered(ROW, replace(REPLY, body=b""), CALL), form, raw=True)).usage == USAGE


# Reading


def test_an_entry_of_before_the_rarer_counts_and_the_outcomes_name_is_read():
    usage = {"input_tokens": 1, "output_tokens": 2, "cached_tokens": 0, "reasoning_tokens": 0}
    line = orjson.dumps({"id": "a", "workspace": "w", "model": "m", "digest": "d", "usage": usage})
    assert read_entry(line) == Entry("a", "w", "m", "answered", "d", None, Usage(1, 2))


@given(USAGES)
def test_usage_reads_back_as_it_was_written(usage):
    assert read_usage(orjson.loads(orjson.dumps(usage_fields(usage)))) == usage


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


def needed(entry: Entry) -> object:
    return entry.id, entry.workspace, entry.model, entry.outcome, entry.digest, entry.attempt, entry.usage is None, entry.unknown


def resumed(line: bytes) -> Entry:
    return read_given(taken_out_of(line))


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


AMOUNTS = st.decimals(0, 1000, places=6, allow_nan=False, allow_infinity=False)
KINDS = st.sampled_from(["input_token", "cached_token", "output_token"])
METERS = st.lists(st.tuples(KINDS, COUNTS, AMOUNTS), max_size=3, unique_by=lambda meter: meter[0])
SHARES = st.sampled_from([Decimal(0), Decimal("0.5"), Decimal(1)])
CHARGES = st.builds(Charges, METERS.map(tuple), SHARES, SHARES, st.sampled_from([Decimal(0), Decimal("-0.25"), Decimal("1.5")]))


@given(st.none() | st.builds(Money, st.sampled_from(["CNY", "USD"]), AMOUNTS, st.none() | CHARGES))
def test_a_cost_reads_back_exactly_with_all_that_it_is_made_of(cost):
    written = orjson.loads(orjson.dumps(cost_fields(cost)))
    read = read_cost(written)
    assert read == cost
    if cost is not None and cost.charges is not None:
        assert read is not None
        assert read.charges == cost.charges
        plain = {name for name, value in (("discount", 0), ("share", 1), ("saved", 0)) if getattr(cost.charges, name) == value}
        assert written.keys() == {"currency", "amount", "charges", "discount", "share", "saved"} - plain
