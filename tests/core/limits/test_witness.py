"""What refusals are taken to say of how a provider counts, while answers are slow: what is under way counts as what is expected of it."""

from __future__ import annotations

import pytest

from batchrun.core.limits.counting import WINDOWS
from batchrun.core.limits.reckoning import Reckoning, ToldReckoning
from batchrun.core.limits.witness import AnswersWitness, Refusal, Witness

RATE, EACH = 1000.0, 100.0


def filled(reckoning: Reckoning | ToldReckoning, seconds: float) -> float:
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


def looked_at(witness: AnswersWitness | Witness, now: float) -> None:
    for _ in range(20):
        witness.look_at(Refusal(now, now + 0.05, RATE, EACH, EACH))


@pytest.mark.parametrize("seconds", [8.0, 40.0])
def test_slow_answers_are_not_taken_for_what_is_counted_where_the_quota_is_to_be_found(seconds):
    reckoning = ToldReckoning()
    now = filled(reckoning, seconds)
    looked_at(AnswersWitness(reckoning.room), now)
    assert not reckoning.counting.at_end


def test_answers_that_are_more_than_what_went_are_taken_for_what_is_counted():
    reckoning = ToldReckoning()
    now = filled(reckoning, 8.0)
    reckoning.room.ended.know(now, 5 * EACH)
    looked_at(AnswersWitness(reckoning.room), now)
    assert reckoning.counting.at_end


@pytest.mark.parametrize("window", WINDOWS)
def test_a_window_is_full_of_what_is_under_way(window):
    reckoning = Reckoning()
    reckoning.teach({"window": window}, 0.0)
    now = filled(reckoning, 20.0)
    witness = Witness(reckoning.room)
    looked_at(witness, now)
    assert witness._full[WINDOWS.index(window)] == pytest.approx(witness._looks)
    assert not reckoning.counting.at_end
