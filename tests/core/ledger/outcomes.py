"""Outcomes to write and read back: any that there can be, for properties, and plain ones, for what is said of single fields."""

from __future__ import annotations

import orjson
from hypothesis import strategies as st

from batchrun.core.ledger.entry_writing import write_entry
from batchrun.core.model import Answered, Call, Exhausted, Failure, Fault, Rejected, Reply, Row, Scope, Usage

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
    uncounted_reasoning=st.booleans(),
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
    search_info=VALUES,
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


TOKENS = {"input_tokens": 7, "output_tokens": 3, "cached_tokens": 2, "reasoning_tokens": 1, "raw": {"prompt_tokens": 7}}
WHOLE = fields_of(Answered(ROW, REPLY, CALL))
