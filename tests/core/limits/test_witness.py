"""What refusals are taken to say of how a provider counts, while answers are slow: what is under way counts as what is expected of it."""

from __future__ import annotations

import pytest

from batchrun.core.limits.counting import WINDOWS
from batchrun.core.limits.reckoning import Reckoning
from batchrun.core.limits.witness import Refusal, Witness

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
