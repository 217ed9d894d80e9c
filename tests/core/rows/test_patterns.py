"""Expressions in a schema that take a text apart in more ways than there is time for."""

from __future__ import annotations

import re
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.model import Failure, Fault, Reply, Usage
from batchrun.core.rows.answers import Answers, Schema
from batchrun.core.rows.patterns import _searching

SLOW, TEXT = "^(a|aa)+$", "a" * 100 + "!"
OFTEN_SLOW = "^([a-z]+ ?)*$"
"""To Python's own."""


def refused(schema, content) -> tuple[Failure, Answers]:
    answers = Answers(Schema(schema), 3)
    check = answers.checking(0, tools=False)
    assert check is not None
    failure = check(Reply(content, "stop", Usage(7, 3), "r-1"))
    assert isinstance(failure, Failure)
    return failure, answers


@pytest.mark.parametrize("dialect", [{}, {"$schema": "http://json-schema.org/draft-07/schema#"}], ids=["unnamed", "named"])
@pytest.mark.parametrize(
    "schema",
    [
        {"additionalProperties": {"pattern": SLOW}},
        {"items": {"$ref": "#"}, "properties": {"a": {"items": {"pattern": SLOW}}}},
        {"patternProperties": {SLOW: {}}},
        {"additionalProperties": False, "patternProperties": {SLOW: {}}},
        {"propertyNames": {"pattern": SLOW}},
        {"anyOf": [{"required": ["b"]}, {"not": {"propertyNames": {"pattern": SLOW}}}]},
    ],
    ids=lambda schema: next(iter(schema)),
)
def test_an_answer_that_cannot_be_held_against_its_schema_in_time_is_rejected_and_kept_and_not_asked_for_again(dialect, schema):
    content = f'{{"{TEXT}": "{TEXT}", "a": ["{TEXT}"]}}'
    failure, answers = refused(dialect | schema, f"[{content}]" if "items" in schema else content)
    assert (failure.fault, failure.code, failure.usage) == (Fault.REJECT, "schema_unfinished", Usage(7, 3))
    assert failure.reply is not None
    assert TEXT in failure.reply.content
    assert SLOW in failure.message
    assert "simplify this pattern" in failure.advice
    assert answers.asked(0) == (0, [])


def test_properties_that_nothing_has_evaluated_are_told_in_time_too():
    schema = {"unevaluatedProperties": False, "patternProperties": {SLOW: {}}}
    assert refused(schema, f'{{"{TEXT}": 1}}')[0].code == "schema_unfinished"


@pytest.mark.parametrize("word", ["additionalProperties", "unevaluatedProperties"])
def test_an_expression_that_python_has_no_end_of_tells_what_it_is_for_as_any_other_does(word):
    schema = Schema({word: False, "properties": {"b": {}}, "patternProperties": {OFTEN_SLOW: {"type": "integer"}}})
    assert schema.complaints({"b": "any", "a word": 1}) != []
    assert schema.complaints({"B": 1, "a word": 1, "word " * 30 + "!": 1})[0].startswith("$: ")
    assert schema.complaints({"a word": 1}) == []
    assert schema.complaints({"a word": "1"}) == ["$.a word: '1' is not of type 'integer'"]


PARTS = [
    "a",
    "b",
    "1",
    "{",
    "}",
    "{2}",
    "{1,}",
    "{,2}",
    "{e}",
    "{id}",
    "{}",
    "{,}",
    "[ab]",
    "[^a]",
    "[{]",
    "[a-c]",
    "[]a]",
    "(",
    ")",
    "(?:",
    "(?=",
    "(?!",
]
PARTS += [
    "|",
    "*",
    "+",
    "?",
    ".",
    "^",
    "$",
    r"\d",
    r"\w",
    r"\s",
    r"\b",
    r"\{",
    r"\}",
    r"\\",
    r"\Z",
    r"\N{DASH}",
    "é",
    "(?i)",
    "(?P<n>",
    r"\1",
    "(?<=a)",
]


@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=7).map("".join), st.text("abAB12{}e,-é\\\n", max_size=6))
def test_an_expression_means_what_it_means_to_python(pattern, text):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        try:
            found = re.search(pattern, text) is not None
        except re.error:
            with pytest.raises(re.error):
                _searching(pattern)
        else:
            assert (_searching(pattern)(text) is not None) == found
