from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.limits.estimates import Estimate, Size
from batchrun.core.model import Usage


def size_of(text: str, **more) -> Size:
    return Size.of(len(text), len(text.encode()), **more)


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
    assert estimate.of_line(500) == pytest.approx(130 + 40, rel=0.02)


def test_the_output_is_what_answers_have_in_the_mean():
    dice, estimate = random.Random(7), Estimate()
    answers = [round(dice.lognormvariate(5, 1)) for _ in range(2000)]
    for tokens in answers:
        estimate.learn(size_of("abcd"), 10, Usage(1, tokens))
    assert estimate.output_of(size_of("abcd")) == pytest.approx(sum(answers) / len(answers), rel=0.15)


def test_the_first_answers_count_all_the_same():
    estimate = Estimate()
    for tokens in (10, 20, 60, 110):
        estimate.learn(size_of("abcd"), 10, Usage(1, tokens))
    assert estimate.output_of(size_of("abcd")) == pytest.approx(50)


@pytest.mark.parametrize("letters", [800, 6_400, 40_000])
def test_large_rows_are_expected_to_cost_what_they_do_though_small_ones_have_as_much_besides_their_text(letters):
    dice, estimate = random.Random(7), Estimate()
    for _ in range(1000):
        of_text = round(dice.lognormvariate(6, 1))
        # Sixty letters of a request that the provider does not count.
        estimate.learn(size_of("a" * (of_text + 60)), of_text + 80, Usage(of_text // 4, 40))
    assert estimate.input_of(size_of("a" * (letters + 60))) == pytest.approx(letters / 4, rel=0.09)
    assert estimate.of_line(letters + 80) - estimate.of_line(0) == pytest.approx(letters / 4, rel=0.12)


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
        estimate.learn(Size.of(max(1, line_bytes), max(1, line_bytes)), line_bytes, Usage(asked, answered))
    assert 0 < estimate.ratio < 1e4
    assert estimate.of_line(1000) >= 0


@given(st.integers(0, 100_000))
def test_a_length_that_is_always_the_same_is_known(tokens):
    estimate = Estimate()
    for _ in range(10):
        estimate.learn(size_of("abcd"), 10, Usage(1, tokens))
    assert estimate.output_of(size_of("abcd")) == pytest.approx(tokens)


def test_the_first_answer_tells_more_than_what_is_taken_before_any_was_seen():
    estimate = Estimate()
    assert estimate.output_of(size_of("abcd")) == estimate.of_line(0) == 512
    estimate.learn(size_of("abcd"), 10, Usage(1, 40))
    assert estimate.output_of(size_of("abcd")) == 40


def test_answers_that_become_longer_are_expected_within_some_hundreds_of_them():
    estimate = Estimate()
    for _ in range(300):
        estimate.learn(size_of("abcd"), 10, Usage(1, 100))
    for _ in range(300):
        estimate.learn(size_of("abcd"), 10, Usage(1, 1000))
    assert 940 <= estimate.output_of(size_of("abcd")) <= 1000


def test_no_single_answer_moves_what_is_expected_of_the_next_by_more_than_a_hundredth_of_the_way():
    estimate = Estimate()
    for _ in range(300):
        estimate.learn(size_of("abcd"), 10, Usage(1, 100))
    estimate.learn(size_of("abcd"), 10, Usage(1, 8_100))
    assert estimate.output_of(size_of("abcd")) == pytest.approx(180)


def test_an_image_costs_more_than_the_letters_that_name_it():
    estimate = Estimate()
    plain, shown = size_of("a" * 40), size_of("a" * 40, media=2)
    assert estimate.input_of(plain) == pytest.approx(10)
    assert 1_000 <= (estimate.input_of(shown) - estimate.input_of(plain)) / 2 <= 2_000


def test_no_single_bill_makes_more_than_half_as_much_again_of_what_is_expected():
    estimate, size = Estimate(), size_of("a" * 400)
    before, line = estimate.input_of(size), estimate.of_line(1000) - estimate.of_line(0)
    estimate.learn(size, 1000, Usage(10**9, 512))
    assert before < estimate.input_of(size) <= 1.5 * before
    assert line < estimate.of_line(1000) - estimate.of_line(0) <= 1.7 * line


def test_where_there_is_nothing_to_compare_nothing_is_learnt_of_it():
    estimate = Estimate()
    estimate.learn(Size.of(0, 0), 0, Usage(100, 512))
    estimate.learn(size_of("a" * 400), 0, Usage(0, 512))
    assert (estimate.ratio, estimate.tokens_a_byte) == (1.0, 0.3)


@pytest.mark.parametrize(("ratio", "tokens_a_byte"), [(0.0, 0.3), (-1.0, 0.3), (1e-300, 0.3), (100.0, 0.3), (1.5, -0.1), (1.5, 10.0)])
def test_what_is_out_of_all_reason_is_learnt_anew(ratio, tokens_a_byte):
    kept = {"ratio": ratio, "tokens_a_byte": tokens_a_byte, "output": 80.0, "answers": 3}
    assert Estimate.from_json(kept) == Estimate()


@pytest.mark.parametrize(
    ("output", "answers"), [(-1.0, 3), (float("inf"), 3), (float("nan"), 3), (1e300, 3), (80.0, -1), (80.0, 2**64 - 1), (80.0, 1e300)]
)
def test_a_length_that_cannot_be_is_learnt_anew(output, answers):
    assert Estimate.from_json({"ratio": 1.5, "tokens_a_byte": 0.2, "output": output, "answers": answers}) == Estimate()


@pytest.mark.parametrize(("ratio", "tokens_a_byte"), [(0.01, 0.0), (99.0, 9.9), (0.8, 0.3)])
def test_what_may_have_been_is_taken_up(ratio, tokens_a_byte):
    again = Estimate.from_json({"ratio": ratio, "tokens_a_byte": tokens_a_byte, "output": 80.0, "answers": 3})
    assert (again.ratio, again.tokens_a_byte, again.answers) == (ratio, tokens_a_byte, 3)
    assert again.output_of(size_of("a")) == 80


def test_the_first_answers_that_come_of_many_under_way_do_not_stand_for_all():
    few, many = Estimate(), Estimate()
    for estimate, under_way in ((few, 0), (many, 2_000)):
        for _ in range(2_000):
            estimate.learn(Size(10.0), 10, Usage(10, 1_000), under_way)
        for _ in range(100):
            estimate.learn(Size(10.0), 10, Usage(10, 100), under_way)
    assert few.output < 500.0
    assert many.output > 950.0
