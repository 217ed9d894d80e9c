"""Whatever comes is a Reply or a Failure, and both can be written down.

``HYPOTHESIS_PROFILE=slow pytest tests/core/protocols/test_fuzz.py`` tries 100,000 cases; without it a few hundred.
"""

from __future__ import annotations

import os
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchrun.core.ledger.as_read import entry_of, is_read_as_told
from batchrun.core.ledger.entry import Form
from batchrun.core.ledger.entry_reading import read_entry
from batchrun.core.ledger.entry_writing import write_entry
from batchrun.core.model import Answered, Call, Exhausted, Failure, Outcome, Rejected, Reply, Row
from batchrun.core.protocols.formats import FORMATS
from batchrun.core.protocols.reading import Reading
from tests.core.protocols.recorded import CASES, PROTOCOLS, WRITTEN, Case, Refusal, cut

SLOW = os.environ.get("HYPOTHESIS_PROFILE") == "slow"
CASES_IN_ALL = 100_000 if SLOW else 500
FORMS: tuple[Form, ...] = ("batchrun", "openai-batch")
KEY = "sk-sim-canary-0123456789abcdef"

pytestmark = pytest.mark.timeout(3600 if SLOW else 60)
EACH = settings(max_examples=CASES_IN_ALL // 5, deadline=None, suppress_health_check=[*HealthCheck])

ROW = Row("row-1", "legal", "qwen-plus", {"model": "qwen-plus", "messages": []}, "0123456789abcdef", {"project": "q3"})
CALL = Call("3-17", 2, 1_748_000_000.0, 812)


# What comes

STATUSES = st.sampled_from(
    [200, 200, 200, 200, 201, 204, 301, 307, 400, 401, 403, 404, 408, 413, 429, 500, 502, 503, 504, 529, 999]
) | st.integers(100, 999)
HEADERS = st.dictionaries(
    st.sampled_from(["x-request-id", "X-Request-ID", "Retry-After", "retry-after", "Location", "content-type", "x-dashscope-finished"])
    | st.text(max_size=8),
    st.text(st.characters(), max_size=20)
    | st.sampled_from(
        ["text/event-stream", "application/json", "1e9", "-1", "9" * 400, "r\udcff\n1", "http://[::1", f"https://{KEY}/", "https://\udcff"]
    ),
    max_size=4,
)
PLACES = st.lists(st.integers(0, 5000), max_size=6)
ASKED = st.sampled_from([{}, {}, {"n": 2}, {"n": 0}, {"n": "2"}, {"n": True}, {"incremental_output": False}, {"incremental_output": None}])
NAMES = [
    "choices",
    "message",
    "delta",
    "content",
    "finish_reason",
    "usage",
    "prompt_tokens",
    "output",
    "text",
    "error",
    "code",
    "type",
    "index",
]
NAMES += [
    "tool_calls",
    "function",
    "arguments",
    "name",
    "audio",
    "data",
    "logprobs",
    "request_id",
    "id",
    "detail",
    "reasoning_content",
    "n",
]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=10,
)
RAW = [
    b"7" * 40,
    b"9" * 5_000,
    b"-1",
    b"1e400",
    b"-1e-400",
    b"0.1e1",
    b"NaN",
    b"-Infinity",
    b'"\\ud83d"',
    b'"\\udc00\\ud800"',
    b'"\\u0000\\u2028\\r\\n"',
    b'"\xff"',
    b'"a\nb"',
    b'"[DONE]"',
    b'"null"',
    *(b"[" * depth + b"]" * depth for depth in (50, 240, 600, 1_100)),
    *(b'{"content":' * depth + b"7" + b"}" * depth for depth in (50, 240, 600)),
]
"""Values as only bytes can hold them."""
NOISE = [
    b"\xef\xbb\xbf",
    b"data: ",
    b"\n",
    b"\r",
    b"\n\n",
    b"\\ud800",
    b"\x00",
    b"<",
    b"event:error\n",
    b":HTTP_STATUS/429\n",
    b"\xff",
    b"[",
    b'"',
    b"{",
    b"}",
]
NOISE += [b"data: [DONE]\n\n", b"id:1\n"]
_HOLE = "@a hole@"


def places_in(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in inner for place in places_in(each, (*path, key)))]


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """*value* with *new* at *path*; Ellipsis takes away what stands there."""
    if not path:
        return None if new is ... else new
    key, *rest = path
    if len(path) == 1 and new is ...:
        del value[key]
    else:
        value[key] = put(value[key], tuple(rest), new)
    return value


@st.composite
def mutated_json(draw: st.DrawFn, text: bytes) -> bytes:
    """A JSON text with values of other types at some places, keys removed, and values that only bytes can hold."""
    value = orjson.loads(text)
    raw = []
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places_in(value)))
        new: Any = draw(JSON | st.just(...) | st.sampled_from(RAW))
        if isinstance(new, bytes):
            raw.append(new)
            new = _HOLE
        value = put(value, path, new)
    text = orjson.dumps(value)
    for each in raw:
        text = text.replace(b'"%b"' % _HOLE.encode(), each, 1)
    return text


@st.composite
def mutated_bodies(draw: st.DrawFn, cases: list[Case]) -> tuple[Case, bytes]:
    """A recorded body or stream with one or more of its JSON texts changed."""
    case = draw(st.sampled_from(cases))
    lines = case.body.split(b"\n")
    where = [number for number, line in enumerate(lines) if b"{" in line]
    for number in draw(st.lists(st.sampled_from(where), min_size=1, max_size=2, unique=True)):
        start, brace, rest = lines[number].partition(b"{")
        lines[number] = start + draw(mutated_json(brace + rest))
    return case, b"\n".join(lines)


@st.composite
def noisy_bodies(draw: st.DrawFn) -> tuple[Case, bytes]:
    """A recorded body with bytes put into it, taken out of it, and cut."""
    case = draw(st.sampled_from(CASES))
    body = case.body
    for piece in draw(st.lists(st.sampled_from(NOISE) | st.binary(max_size=4), max_size=4)):
        start = draw(st.integers(0, len(body)))
        body = body[:start] + piece + body[start + draw(st.sampled_from([0, 0, 1, 5, 50])) :]
    return case, body[: draw(st.none() | st.integers(0, len(body)))]


SPELLINGS = [
    KEY,
    f"wrong key: {KEY}",
    f"Bearer {KEY}",
    f"\n{KEY}",
    f"\x07{KEY}.",
    f"好{KEY}",
    f"'{KEY}'",
    f"{KEY}{'x' * 400}",
    f"{'x' * 480} {KEY}",
]
ESCAPES = [b"sk-sim", b"sk\\u002dsim", b"\\u0073k-sim"]
ERRORS = [case for case in CASES if isinstance(case.wanted, Refusal) and b"message" in case.body]


@st.composite
def echoing_bodies(draw: st.DrawFn) -> bytes:
    """An error that echoes the key it was sent, in some of its strings and in a spelling that JSON has for it."""
    lines = draw(st.sampled_from(ERRORS)).body.split(b"\n")
    number = max(number for number, line in enumerate(lines) if b"{" in line)
    start, brace, rest = lines[number].partition(b"{")
    said = orjson.loads(brace + rest)
    for _ in range(draw(st.integers(1, 3))):
        # Not the object itself: what is no object is shown as the text it is, escapes and all.
        said = put(said, draw(st.sampled_from(places_in(said)[1:])), draw(st.sampled_from(SPELLINGS)))
    lines[number] = start + orjson.dumps(said).replace(b"sk-sim", draw(st.sampled_from(ESCAPES)))
    return b"\n".join(lines)


# What it becomes


def read(protocol: str, asked: Any, status: int, headers: Any, body: bytes, places: list[int]) -> Reply | Failure:
    reading = Reading(FORMATS[protocol].dialect, asked)
    if not 200 <= status < 300:
        return reading.refused(status, headers, body)
    for piece in cut(body, places):
        reading.feed(piece)
    whole = reading.whole
    result = reading.result(status, headers)
    if whole:
        # One whose text is damaged is a failure that brings it along.
        assert isinstance(result, Reply) or result.reply is not None, "the answer stood, and did not"
    return result


def written(result: Reply | Failure) -> None:
    """Write *result* in both forms, and read it back."""
    outcomes: list[Outcome] = (
        [Answered(ROW, result, CALL)] if isinstance(result, Reply) else [Rejected(ROW, result, CALL), Exhausted(ROW, result, CALL)]
    )
    for outcome in outcomes:
        for form in FORMS:
            line = write_entry(outcome, form, raw=True)
            assert line.count(b"\n") == 1
            assert b"\r" not in line
            entry = read_entry(line)
            assert (entry.id, entry.workspace, entry.model, entry.attempt) == (ROW.id, ROW.workspace, ROW.model, CALL.attempt)
            assert entry.usage == result.usage
            if isinstance(outcome, Answered) and is_read_as_told(outcome.reply, form):
                assert entry == entry_of(outcome, "batchrun", None, b"")


def holds(result: Reply | Failure, status: int) -> None:
    """Say that *result* is one that the rest of the house can take."""
    written(result)
    assert b"\n" not in result.body
    assert b"\r" not in result.body
    match result:
        case Reply():
            assert 200 <= status < 300
            assert result.finish_reason not in {"", "null"}
            assert isinstance(orjson.loads(result.body), dict)
        case Failure():
            assert result.code
            assert result.message
            assert result.advice
            assert len(result.message) < 900
            assert not result.body or isinstance(orjson.loads(result.body), dict)


@EACH
@given(st.sampled_from(PROTOCOLS), ASKED, STATUSES, HEADERS, mutated_bodies([*CASES]) | mutated_bodies([*WRITTEN]), PLACES)
def test_a_recorded_body_with_other_values_in_it_is_a_reply_or_a_failure(protocol, asked, status, headers, changed, places):
    _, body = changed
    holds(read(protocol, asked, status, headers, body, places), status)


@EACH
@given(mutated_bodies([case for case in WRITTEN if case.kind == "stream"]), PLACES)
def test_a_recorded_stream_with_other_values_in_it_is_the_same_however_it_is_cut(changed, places):
    case, body = changed
    result = read(case.protocol, case.asked, 200, {}, body, places)
    holds(result, 200)
    assert result == read(case.protocol, case.asked, 200, {}, body, [])


@EACH
@given(st.sampled_from(PROTOCOLS), ASKED, STATUSES, HEADERS, noisy_bodies(), PLACES)
def test_a_recorded_body_with_noise_in_it_is_a_reply_or_a_failure(protocol, asked, status, headers, changed, places):
    _, body = changed
    holds(read(protocol, asked, status, headers, body, places), status)


@EACH
@given(
    st.sampled_from(PROTOCOLS),
    ASKED,
    STATUSES,
    HEADERS,
    st.binary(max_size=300) | JSON.map(orjson.dumps) | st.text(max_size=99).map(lambda text: text.encode(errors="surrogatepass")),
    PLACES,
)
def test_anything_at_all_is_a_reply_or_a_failure(protocol, asked, status, headers, body, places):
    holds(read(protocol, asked, status, headers, body, places), status)


@EACH
@given(st.sampled_from(PROTOCOLS), STATUSES, HEADERS, echoing_bodies())
def test_no_key_that_an_error_echoes_is_in_its_failure(protocol, status, headers, body):
    result = read(protocol, {}, status, headers, body, [])
    holds(result, status)
    if isinstance(result, Failure):
        kept = orjson.dumps(orjson.loads(result.body)) if result.body else b""
        for shown in (result.message, result.code, result.request_id or "", kept.decode()):
            assert "canary" not in shown
