"""Lengths of answers before any was seen."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.limits.priors import first_output

MODELS = ["qwen-plus", "qwq-plus", "qwen3-coder-plus", "qwen-mt-plus", "qwen-vl-max", "tuned-7"]


@given(st.sampled_from(MODELS), st.floats(1, 32_768), st.floats(1, 32_768))
def test_an_answer_is_never_longer_than_it_may_be_and_more_room_never_makes_it_shorter(model, one, other):
    least, most = sorted((one, other))
    assert 0 < first_output(model, least) <= least
    assert first_output(model, least) <= first_output(model, most) * (1 + 1e-9) <= first_output(model) * (1 + 1e-6)


def test_a_model_that_thinks_is_taken_to_answer_at_more_length():
    assert first_output("qwq-plus") > 5 * first_output("qwen-plus")


@pytest.mark.parametrize("most", [50, 200, 2_000])
def test_the_mean_is_that_of_lengths_that_are_cut(most):
    dice = random.Random(3)
    lengths = [min(most, dice.lognormvariate(math.log(150), 0.8)) for _ in range(20_000)]
    assert first_output("qwen-plus", most) == pytest.approx(sum(lengths) / len(lengths), rel=0.02)
