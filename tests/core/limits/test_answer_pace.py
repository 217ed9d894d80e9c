"""How quick answers come, and what of it may be chance."""

from __future__ import annotations

import math
import random
from statistics import mean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.limits.answer_pace import AnswerPace, chance


def paced(answers: list[tuple[float, float]]) -> AnswerPace:
    pace = AnswerPace()
    for seconds, tokens in answers:
        pace.add(seconds, tokens)
    return pace


def test_of_no_answers_nothing_is_known():
    assert AnswerPace().a_token == math.inf
    assert AnswerPace().error == math.inf


@given(st.lists(st.integers(0, 4000), min_size=1, max_size=50), st.floats(0.001, 10.0))
def test_answers_that_take_as_long_as_their_tokens_say_differ_by_no_chance(tokens, a_token):
    pace = paced([((each + 30) * a_token, each) for each in tokens])
    assert pace.a_token == pytest.approx(a_token)
    assert pace.error == pytest.approx(0.0, abs=1e-6 * a_token)


@pytest.mark.parametrize("follows", [True, False], ids=["longer answers take longer", "they do not"])
def test_the_error_is_by_how_much_the_pace_of_so_many_answers_differs_from_one_time_to_the_next(follows):
    dice, paces = random.Random(7), list[AnswerPace]()
    for _ in range(400):
        answers = []
        for _ in range(80):
            tokens = dice.lognormvariate(5.0, 0.6)
            answers.append(((tokens if follows else 150.0) * dice.lognormvariate(0.0, 0.7), tokens))
        paces.append(paced(answers))
    found = stdev(each.a_token for each in paces)
    assert mean(each.error for each in paces) == pytest.approx(found, rel=0.1)
    differ = stdev(one.a_token - other.a_token for one, other in zip(paces[::2], paces[1::2], strict=True))
    assert mean(chance(one, other) for one, other in zip(paces[::2], paces[1::2], strict=True)) == pytest.approx(differ, rel=0.15)
