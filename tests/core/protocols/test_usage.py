from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.model import Usage
from batchrun.core.protocols.usage import usage_of
from tests.core.protocols.recorded import USAGE

NAMES = {"compatible": ("prompt_tokens", "completion_tokens"), "native": ("input_tokens", "output_tokens")}
EACH_DIALECT = pytest.mark.parametrize("names", NAMES.values(), ids=NAMES.keys())


def told(names, asked=100, answered=50, of_asked=None, of_answered=None, **beside):
    """A usage object of either dialect; its details stand where that dialect has them."""
    (whole, other) = names
    details = {f"{whole}_details": of_asked, f"{other}_details": of_answered}
    return {whole: asked, other: answered, **{name: each for name, each in details.items() if each is not None}, **beside}


def counts(usage):
    assert usage is not None
    return replace(usage, raw=None)


@pytest.mark.parametrize(("protocol", "name", "usage", "wanted"), USAGE, ids=lambda each: each if isinstance(each, str) else "")
def test_a_recorded_usage_is_what_it_says(protocol, name, usage, wanted):
    got = usage_of(usage)
    assert (counts(got), got and got.raw) == (wanted, usage)


@EACH_DIALECT
@pytest.mark.parametrize(
    ("detail", "field"),
    [
        ("cached_tokens", "cached_tokens"),
        ("image_tokens", "image_tokens"),
        ("audio_tokens", "audio_tokens"),
        ("video_tokens", "video_tokens"),
        ("cache_creation_input_tokens", "cache_creation_tokens"),
    ],
)
@pytest.mark.parametrize(
    ("said", "counted"), [(0, 0), (100, 100), (101, 0), (-1, 0), ("7", 0), (7.0, 7), (7.5, 0), (True, 0), (None, 0), ({}, 0)]
)
def test_a_part_of_the_input_is_a_whole_number_that_fits_into_it(names, detail, field, said, counted):
    assert counts(usage_of(told(names, of_asked={detail: said}))) == Usage(100, 50, **{field: counted})


@EACH_DIALECT
@pytest.mark.parametrize(("detail", "field"), [("reasoning_tokens", "reasoning_tokens"), ("audio_tokens", "output_audio_tokens")])
@pytest.mark.parametrize(("said", "counted"), [(0, 0), (50, 50), (51, 0), (-1, 0), ("7", 0), (None, 0)])
def test_a_part_of_the_output_is_a_whole_number_that_fits_into_it(names, detail, field, said, counted):
    assert counts(usage_of(told(names, of_answered={detail: said}))) == Usage(100, 50, **{field: counted})


@EACH_DIALECT
@pytest.mark.parametrize(
    ("said", "counted"),
    [(7.0, 7), (0.0, 0), (7.5, None), (-7.0, None), (1e300, None), (float("inf"), None), (float("nan"), None), ("7", None)],
)
def test_a_number_with_nothing_behind_its_point_is_the_whole_number_that_it_is(names, said, counted):
    for got in (usage_of(told(names, asked=said, answered=7)), usage_of(told(names, asked=7, answered=said))):
        assert (got is None) is (counted is None)
        assert got is None or {got.input_tokens, got.output_tokens} == {7, counted}
        assert got is None or type(got.input_tokens) is type(got.output_tokens) is int


@EACH_DIALECT
def test_text_tokens_are_not_counted_for_they_mean_two_things(names):
    for text in (12, 50):
        assert counts(usage_of(told(names, of_answered={"reasoning_tokens": 38, "text_tokens": text}))) == Usage(
            100, 50, reasoning_tokens=38
        )


@EACH_DIALECT
def test_a_total_that_does_not_add_up_changes_nothing(names):
    for total in (None, 0, 150, 151, "150"):
        assert counts(usage_of(told(names, total_tokens=total))) == Usage(100, 50)


def test_both_spellings_of_the_details_are_read_in_one_answer():
    said = told(NAMES["native"], of_asked={"image_tokens": 60}, prompt_tokens_details={"cached_tokens": 40})
    assert counts(usage_of(said)) == Usage(100, 50, cached_tokens=40, image_tokens=60)


@pytest.mark.parametrize(
    "lifetimes", [{"ephemeral_5m_input_tokens": 30}, {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20}]
)
@pytest.mark.parametrize("whole", [{}, {"cache_creation_input_tokens": 30}])
def test_what_was_written_to_the_cache_is_counted_once(lifetimes, whole):
    said = told(NAMES["compatible"], of_asked={"cache_creation": lifetimes, **whole})
    assert counts(usage_of(said)) == Usage(100, 50, cache_creation_tokens=30)


@pytest.mark.parametrize(
    ("plugins", "searches"),
    [
        ({"search": {"count": 2}}, 2),
        ({"search": {"count": -1}}, 0),
        ({"search": {"count": "2"}}, 0),
        ({"search": {}}, 0),
        ({"search": None}, 0),
        ({"other": {"count": 2}}, 0),
        ([], 0),
        (None, 0),
    ],
)
def test_searches_are_counted_where_they_are_told(plugins, searches):
    assert counts(usage_of(told(NAMES["native"], plugins=plugins))) == Usage(100, 50, searches=searches)


WHOLE = st.integers(-5, 2_000_000_000) | st.none() | st.booleans() | st.floats() | st.text(max_size=3)
DETAILS = st.dictionaries(
    st.sampled_from(["cached_tokens", "reasoning_tokens", "image_tokens", "audio_tokens", "video_tokens", "cache_creation_input_tokens"]),
    WHOLE,
)
REPORTED = st.dictionaries(
    st.sampled_from(
        [*NAMES["compatible"], *NAMES["native"], "total_tokens", "cached_tokens", "image_tokens", "audio_tokens", "video_tokens"]
    ),
    WHOLE,
)


@given(REPORTED, st.none() | DETAILS, st.none() | DETAILS, st.none() | DETAILS)
def test_no_part_is_ever_more_than_its_whole_and_no_count_below_nothing(reported, prompt, completion, native):
    details = {"prompt_tokens_details": prompt, "completion_tokens_details": completion, "input_tokens_details": native}
    got = usage_of({**reported, **details})
    if got is not None:
        of_output = {"output_tokens", "reasoning_tokens", "output_audio_tokens"}
        for name in (each.name for each in fields(got) if each.name not in {"raw", "searches"}):
            assert 0 <= getattr(got, name) <= (got.output_tokens if name in of_output else got.input_tokens)
