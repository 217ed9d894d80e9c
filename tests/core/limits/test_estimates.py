from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.limits.estimates import Estimate, Lengths, Size
from batchrun.core.model import Usage


def size_of(text: str, **more) -> Size:
    return Size(len(text), len(text.encode()), **more)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("a" * 400, 100), ("字" * 100, 65), ("字" * 100 + "a" * 400, 165), ("é" * 100, 45)],
    ids=["latin", "wide", "both", "half"],
)
def test_letters_weigh_by_their_width(text, tokens):
    assert Estimate().input_of(size_of(text)) == pytest.approx(tokens, rel=0.2)


def test_what_the_provider_counts_is_learnt():
    estimate = Estimate()
    size = size_of("a" * 400)
    for _ in range(200):
        estimate.learn(size, 500, Usage(130, 40))
    assert estimate.input_of(size) == pytest.approx(130, rel=0.02)
    assert estimate.of_line(500) == pytest.approx(130 + 45, rel=0.1)


def test_the_output_is_what_all_but_one_in_twenty_stay_under():
    dice = random.Random(7)
    lengths = Lengths()
    answers = [round(dice.lognormvariate(5, 1)) for _ in range(300)]
    for tokens in answers:
        lengths.add(tokens)
    over = sum(tokens > lengths.most() for tokens in answers) / len(answers)
    assert 0.01 <= over <= 0.08


def test_a_row_is_expected_to_cost_no_more_output_than_it_may_have():
    text = "a" * 400
    assert Estimate().of(size_of(text, most_output=20)) == pytest.approx(120)
    assert Estimate().of(size_of(text)) > 500


def test_old_answers_fade():
    estimate = Estimate()
    for tokens in [4000] * 400 + [100] * 2000:
        estimate.learn(size_of("abcd"), 10, Usage(1, tokens))
    assert estimate.of(size_of("")) < 200


def test_what_was_learnt_is_taken_up_again():
    estimate = Estimate()
    for tokens in range(50, 150):
        estimate.learn(size_of("a" * 400), 500, Usage(120, tokens))
    again = Estimate.from_json(estimate.as_json())
    assert again.of(size_of("a" * 400)) == pytest.approx(estimate.of(size_of("a" * 400)))
    assert again.of_line(500) == pytest.approx(estimate.of_line(500))


@given(st.recursive(st.none() | st.integers() | st.text() | st.floats(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_what_cannot_be_read_is_learnt_anew(kept):
    assert Estimate.from_json(kept).of_line(100) > 0


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6)), max_size=50))
def test_no_usage_makes_an_estimate_absurd(usages):
    estimate = Estimate()
    for line_bytes, asked, answered in usages:
        estimate.learn(Size(max(1, line_bytes), max(1, line_bytes)), line_bytes, Usage(asked, answered))
    assert 0 < estimate.ratio < 1e4
    assert estimate.of_line(1000) >= 0
