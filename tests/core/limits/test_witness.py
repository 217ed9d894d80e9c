"""What refusals are taken to say of how a provider counts, while answers are slow: what is under way counts as what is expected of it."""

from __future__ import annotations

import pytest

from batchrun.core.limits.counting import WINDOWS
from batchrun.core.limits.reckoning import Reckoning
from batchrun.core.limits.tape import Tape
from batchrun.core.limits.witness import Refusal, Refusals, Witness

RATE, EACH = 1000.0, 100.0


def filled(reckoning: Reckoning, seconds: float) -> float:
    """Let rows go at the rate for a while, each of which is answered so many *seconds* later; when the last went."""
    room, answered = reckoning.room, []
    now = 0.0
    for number in range(round(4 * seconds * RATE / EACH)):
        now = number * EACH / RATE
        room.pay(now, EACH)
        answered.append(now)
        while answered and answered[0] <= now - seconds:
            room.settle(answered.pop(0), EACH, EACH)
            room.ended.know(now, EACH)
    return now


def counting_a_minute() -> Reckoning:
    reckoning = Reckoning()
    reckoning.teach({"window": 60.0}, 0.0)
    return reckoning


def looked_at(witness: Witness, now: float) -> None:
    for _ in range(20):
        witness.look_at(Refusal(now, now + 0.05, RATE, EACH, EACH))


@pytest.mark.parametrize("window", WINDOWS)
def test_a_window_is_full_of_what_is_under_way(window):
    reckoning = Reckoning()
    reckoning.teach({"window": window}, 0.0)
    now = filled(reckoning, 20.0)
    witness = Witness(reckoning.room)
    looked_at(witness, now)
    assert witness._full[WINDOWS.index(window)] == pytest.approx(witness._looks)
    assert not reckoning.counting.at_end
    longest = len(WINDOWS) - 1
    assert witness.verdict(RATE, EACH) == (None if reckoning.counting.rung == longest else longest), "all were full"


def test_a_window_that_what_is_under_way_may_have_filled_is_not_given_up():
    """What is under way for long is dearer than was expected: what came by then, and is known, had been taken for what is counted."""
    said = []
    for known in (58.0, 46.0):
        reckoning = counting_a_minute()
        room, witness = reckoning.room, Witness(reckoning.room)
        for number in range(600):
            room.pay(number / 10, 100.0)
            if number % 60 < known:
                room.settle(number / 10, 100.0, 85.0)
        for _ in range(30):
            room.ended.know(60.0, 4_000.0)
        for _ in range(20):
            witness.look_at(Refusal(60.0, 60.1, RATE, EACH, EACH))
        witness.verdict(RATE, EACH)
        said.append(reckoning.counting.at_end)
    assert said == [True, False]


@pytest.mark.parametrize("answers", [0.0, 7_000.0])
def test_a_longer_window_that_may_have_been_full_is_taken_where_the_one_believed_in_surely_was_not(answers):
    """In a rush that filled a minute all later ones are refused, while next to nothing goes: the six seconds are empty by then.

    That the rush's answers come just then, as many as fill six seconds, is no better reason.
    """
    said = []
    for at in (60.0, 20.0):
        reckoning = Reckoning()
        room, witness = reckoning.room, Witness(reckoning.room)
        for number in range(580):
            room.pay(number / 30, 100.0)
            if number % 10:
                room.settle(number / 30, 100.0, 100.0)
        room.ended.know(at, answers)
        looked_at(witness, at)
        said.append(witness.verdict(RATE, EACH))
        assert not reckoning.counting.at_end
    assert said == [len(WINDOWS) - 1, 3]


def test_a_refusal_is_looked_at_three_seconds_later_and_those_of_its_moment_are_not():
    refusals = Refusals(Tape(60.0))
    for at in (1.0, 1.4, 1.5):
        refusals.add(Refusal(at, at + 0.1, RATE, EACH, EACH))
    assert refusals.due(4.0) is None
    due = [refusals.due(at) for at in (4.2, 4.7)]
    assert [each and each.launched_at for each in due] == [1.0, 1.5]
    assert not refusals


def test_a_refusal_is_looked_at_once_nearly_all_is_known_that_was_under_way_or_a_minute_later():
    went = Tape(60.0)
    for at in range(10):
        went.guess(float(at), EACH, 0.0)
    refusals = Refusals(went)
    refusals.add(Refusal(9.0, 9.1, RATE, EACH, EACH))
    went.guess(10.0, 100 * EACH, 0.0)
    for at in range(8):
        went.correct(float(at), EACH, -EACH, 0.0)
    assert refusals.due(20.0) is None
    went.correct(8.0, EACH, -EACH, 0.0)
    assert refusals.due(20.4) is None, "it is not asked at every answer"
    due = refusals.due(20.5)
    assert due is not None
    assert due.launched_at == 9.0
    refusals.add(Refusal(30.0, 30.1, RATE, EACH, EACH))
    assert refusals.due(90.0) is None
    assert refusals.due(90.6) is not None


def test_what_rounding_leaves_of_what_is_known_keeps_no_refusal_from_being_looked_at():
    went = Tape(60.0)
    refusals = Refusals(went)
    refusals.add(Refusal(9.0, 9.1, RATE, EACH, EACH))
    went.guess(8.0, 1e-9, 0.0)
    assert refusals.due(13.0) is not None


def answered_until(seconds: float) -> tuple[Reckoning, Witness]:
    """Refusals so long after the last answer of a minute that was full of answers, of rows that had gone long before."""
    reckoning = Reckoning()
    for tenth in range(600 - round(10 * seconds)):
        reckoning.room.ended.know(tenth / 10, RATE * 6.0 / (60.0 - seconds))
    witness = Witness(reckoning.room)
    looked_at(witness, 59.9)
    return reckoning, witness


def test_a_minute_that_was_full_of_answers_though_no_shorter_window_was_is_what_counts():
    reckoning, witness = answered_until(30.0)
    assert witness.verdict(RATE, EACH) == WINDOWS.index(60.0)
    assert reckoning.counting.at_end


def test_the_window_in_use_stays_where_answers_fill_it_as_often_as_a_longer_one():
    reckoning, witness = answered_until(0.0)
    assert witness.verdict(RATE, EACH) == reckoning.counting.rung
    assert reckoning.counting.at_end
