"""Input that a body does not hold: which requests may have any, and how much at the most."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.ledger.brought_in import MOST_TOKENS_OF_FILES, MOST_TOKENS_OF_TOOLS, most_of_files, most_of_tools
from tests.core.ledger.outcomes import VALUES

FUNCTION = {"type": "function", "function": {"name": "look_up", "parameters": {}}}
SEARCHES = {"enable_search": True}


@pytest.mark.parametrize(
    ("body", "looks"),
    [
        ({}, False),
        (SEARCHES, True),
        ({"enable_search": "true"}, True),
        ({"search_options": {"forced_search": True}}, True),
        ({"enable_code_interpreter": True}, True),
        ({"plugins": [{"search": {}}]}, True),
        ({"tools": [FUNCTION, {"type": "web_search"}]}, True),
        ({"extra_body": SEARCHES}, True),
        ({"parameters": SEARCHES}, True),
        *[({name: off}, False) for name in ("enable_search", "enable_code_interpreter") for off in (False, None)],
        ({"search_options": {}}, False),
        ({"tools": [FUNCTION, {"function": {}}]}, False),
        ({"tools": None, "extra_body": {"enable_thinking": True}, "parameters": 7}, False),
    ],
    ids=str,
)
def test_a_request_that_lets_the_provider_search_or_run_code_may_be_billed_for_what_that_brings_in(body, looks):
    assert most_of_tools(body) == (MOST_TOKENS_OF_TOOLS if looks else 0)


@pytest.mark.parametrize(
    ("content", "files"),
    [
        ("fileid://file-fe-1", True),
        ("Read fileid://a,fileid://b and fileid://c.", True),
        ([{"type": "text", "text": "fileid://a"}], True),
        ([{"type": "doc_url", "doc_url": ["https://example.invalid/a.pdf"]}], True),
        ("What does a text say that only speaks of fileid:// in passing?", True),
        ("file-fe-1, file://a, fileid:/a and doc_url", False),
    ],
)
def test_a_body_that_names_uploaded_files_may_be_billed_for_their_contents(content, files):
    written = orjson.dumps({"messages": [{"role": "user", "content": content}]})
    assert most_of_files(written, parts=isinstance(content, list)) == (MOST_TOKENS_OF_FILES if files else 0)


@given(st.dictionaries(st.sampled_from(["enable_search", "tools", "plugins", "extra_body", "parameters", "search_options"]), VALUES))
def test_whatever_a_request_says_it_has_such_a_bound_or_none(body):
    assert most_of_tools(body) in {0, MOST_TOKENS_OF_TOOLS}
