"""A key that stands twice: found wherever it stands and however it is spelt, and nothing else is taken for one."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.rows.glances import Glances
from batchrun.core.rows.repeated import repeated_key, says_all_once
from batchrun.core.rows.rows import Inherited, Line, NotARow, read_line

WORKSPACES = {name: Inherited("qwen-plus", {}, b"") for name in ("a", "b")}
TWICE = [
    (b'{"workspace":"a","id":"1","prompt":"x","workspace":"b"}', "'workspace' stands twice, at columns 2 and 40"),
    (b'{"workspace":"a","id":"1","prompt":"x","id":"1"}', "'id' stands twice, at columns 18 and 40"),
    (b'{"workspace":"a","id":"1","prompt":"x","work\\u0073pace":"b"}', "'workspace' stands twice, at columns 2 and 40"),
    ('{"prompt":"客户","workspace":"a","prompt":"x"}'.encode(), "'prompt' stands twice, at columns 2 and 32"),
    (b'{"prompt":"x","model":"m","workspace":"a","model":null}', "'model' stands twice, at columns 15 and 43"),
    (b'{"mood":1,"workspace":"a","prompt":"x","mood":2}', "'mood' stands twice, at columns 2 and 40"),
    (b' {"prompt":"x","workspace":"a","prompt":"x"}\r', "'prompt' stands twice"),
    (b'{"custom_id":"1","workspace":"a","body":{"messages":[{"role":"user","content":"x"}],"model":"m","model":"n"}}',
     "'model' stands twice in body, at columns 85 and 97"),
    (b'{"workspace":"a","messages":[{"role":"user","content":"x","content":"y"}]}',
     "'content' stands twice in messages, at columns 45 and 59"),
    (b'{"workspace":"a","prompt":"x","metadata":{"a":[{},{"the merger":1,"the merger":1}]}}',
     "a key stands twice in metadata, at columns 52 and 67"),
    (b'{"workspace":"a","prompt":"\\u003a","id":"1","workspace":"b"}', "'workspace' stands twice"),
    (b'{"workspace":"a","prompt":"\\u003A","id":"1","workspace":"b"}', "'workspace' stands twice"),
]  # fmt: skip
ONCE = [
    b'{"workspace":"a","prompt":"\\"workspace\\":\\"b\\",\\"workspace\\":"}',
    b'{"workspace":"a","prompt":"\\\\","id":"\\\\\\""}',
    b'{"workspace":"a","prompt":"\\u0022 \\u003a \\\\u003A:"}',
    b'{"workspace":"a","prompt":"workspace","metadata":{"workspace":"b","prompt":{"workspace":"b"}}}',
    b'{"workspace":"a","messages":[{"role":"user","content":"x"},{"role":"user","content":"x"}]}',
    b'{"workspace":"a","prompt":"x","parameters":{"seed":1E5,"stop":[]},"metadata":[1.50,-0,true,null]}',
]


@pytest.mark.parametrize(("line", "reason"), TWICE)
def test_a_line_that_names_a_key_twice_is_no_row_and_both_places_are_told(line, reason):
    found = read_line(line, WORKSPACES, None)
    assert isinstance(found, NotARow)
    assert found.reason.startswith(reason)
    assert "merger" not in found.reason
    assert (found.id, found.workspace) == (None, None), "whose it is may be what stands there twice"


@pytest.mark.parametrize("line", ONCE)
def test_what_looks_like_a_key_that_stands_twice_is_a_row_all_the_same(line):
    assert isinstance(read_line(line, WORKSPACES, None), Line)


KEYS = st.sampled_from(["id", "workspace", "prompt", "model", "", '"', "\\", "键"])


def written(value: Any, escaped: frozenset[str], spaces: str) -> str:
    """*value* as JSON, an object given as its pairs; the letters of *escaped* are spelt the long way."""
    match value:
        case ("object", pairs):
            inside = [f"{written(key, escaped, spaces)}:{spaces}{written(each, escaped, spaces)}" for key, each in pairs]
            return "{" + f",{spaces}".join(inside) + "}"
        case list():
            return "[" + f",{spaces}".join(written(each, escaped, spaces) for each in value) + "]"
        case str():
            return (
                '"'
                + "".join(f"\\u{ord(each):04x}" if each in escaped else json.dumps(each, ensure_ascii=False)[1:-1] for each in value)
                + '"'
            )
    return json.dumps(value)


def objects(inner):
    return st.lists(st.tuples(KEYS, inner), max_size=5).map(lambda pairs: ("object", pairs))


LEAVES = st.none() | st.integers() | st.text('a"\\:{},[]键\n', max_size=6)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | objects(inner), max_leaves=10)
SPELT = st.frozensets(st.sampled_from('idwo"\\:'), max_size=3)
TEXTS = st.builds(written, objects(VALUES), SPELT, st.sampled_from(["", " "])).map(str.encode)


def names_one_twice(text: bytes) -> bool:
    found = []
    json.loads(text, object_pairs_hook=lambda pairs: found.append(len({*dict(pairs)}) < len(pairs)))
    return any(found)


@given(TEXTS)
def test_a_key_that_stands_twice_is_found_at_any_depth_and_in_any_spelling_and_no_other(text):
    twice = names_one_twice(text)
    assert says_all_once(text, orjson.loads(text)) is not (twice or b"\\u003a" in text)
    assert (repeated_key(text) is not None) is twice


@given(st.lists(TEXTS, max_size=6))
def test_texts_are_told_together_as_each_is_alone(texts):
    values = [*map(orjson.loads, texts)]
    assert says_all_once(b"".join(texts), values) is all(map(says_all_once, texts, values))


FLAT = st.lists(
    st.tuples(st.sampled_from(["id", "workspace", "prompt", "model"]), st.sampled_from(["a", "b", 'so "it": {', "\\", None])),
    max_size=6,
).map(lambda pairs: ("object", [("id", "7"), ("workspace", "a"), ("prompt", 'a ", "'), *pairs][-max(3, len(pairs)) :]))  # fmt: skip
ROWS = st.builds(written, FLAT, SPELT, st.sampled_from(["", " "])).map(str.encode)


@given(st.lists(ROWS, min_size=1, max_size=8))
def test_no_glance_is_told_of_a_line_that_names_a_key_twice(lines):
    seen = Glances(WORKSPACES, None).of(lines)
    for line, lane in zip(lines, seen.lanes, strict=True):
        assert lane is None or not names_one_twice(line)


def test_where_it_stands_is_found_in_a_line_of_megabytes_too():
    text = b'{"prompt":"x","metadata":[' + b'{"a":"\\"","b":[]},' * 100_000 + b'{"a":1,"a":2}]}'
    assert (repeated_key(text) or "").startswith("a key stands twice in metadata, at columns 1800028 and 1800034")
