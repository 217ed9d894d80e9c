"""A line read again: the row that it was, or nothing."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.rows.again import Rereader
from batchrun.core.rows.rows import JSON_SPACE, Inherited, Line, read_line

WORKSPACES = {
    "legal": Inherited("qwen-plus", {"max_tokens": 7}, b"one"),
    "sales": Inherited(None, {}, b"two"),
}
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
PLAIN = st.fixed_dictionaries(
    {"prompt": TEXT},
    optional={
        "id": st.one_of(TEXT, st.integers(-9, 10**18), st.none()),
        "workspace": st.sampled_from(["legal", "sales", "nobody"]),
        "model": st.one_of(TEXT, st.none()),
        "parameters": st.dictionaries(st.sampled_from(["seed", "stop"]), st.integers(0, 9)),
    },
)
BATCH = st.builds(
    lambda row_id, model, workspace: {
        "custom_id": row_id,
        "workspace": workspace,
        "body": {"messages": [{"role": "user", "content": "x"}]} | ({"model": model} if model else {}),
    },
    TEXT,
    st.sampled_from(["qwen-max", None]),
    st.sampled_from(["legal", "sales"]),
)
LINES = st.one_of(PLAIN, BATCH).map(orjson.dumps)


@given(LINES, st.sampled_from(["legal", "sales", None]), st.sampled_from([b"", b"\r", b"  "]))
def test_what_was_a_row_is_read_again_as_the_very_same(text, default, end):
    first = read_line(text + end, WORKSPACES, default)
    if isinstance(first, Line):
        assert Rereader(WORKSPACES).line(text + end, default, first.digest) == first


@given(LINES, st.binary(max_size=40), st.integers(0, 2**64 - 1))
def test_whatever_stands_there_instead_is_nothing(text, other, digest):
    first = read_line(text, WORKSPACES, "legal")
    wanted = first.digest if isinstance(first, Line) else digest
    if other.strip(JSON_SPACE) != text:
        assert Rereader(WORKSPACES).line(other, "legal", wanted) is None
    assert Rereader(WORKSPACES).line(text, "legal", wanted ^ 1) is None


@pytest.mark.parametrize("line", [b"", b"[]", b"7", b'{"workspace": []}', b'{"prompt": "x"', b'{"body": 1}', b"[" * 5000, b"[" * (2 << 20)])
def test_no_line_makes_it_stumble(line):
    assert Rereader(WORKSPACES).line(line, "legal", 1) is None
