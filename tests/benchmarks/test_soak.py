"""Nights of many kinds in virtual time; `python -m tests.benchmarks.soak` plays the large one."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.benchmarks.soak import Night, Scene


@pytest.mark.parametrize("seed", range(50))
def test_however_often_a_night_is_killed_each_row_is_answered_once_and_the_bill_is_within_the_doubt(seed):
    night = Night(Scene(seed, rows=300, kills=10)).play()
    assert len(night.answered) == 300
    assert max(night.most_in_flight.values()) <= night.scene.slots
    stated, doubts = night.stated()
    assert stated <= night.billed <= stated + doubts
    assert night.ended_at > 2400


def test_the_same_seed_gives_the_same_bytes_and_the_same_calls_and_another_gives_others():
    first, again, other = (Night(Scene(seed, rows=3_000)).play() for seed in (7, 7, 8))
    assert first.digest() == again.digest() != other.digest()
    assert first.openings > 20
    # A row is called again for a refusal, a failure or a kill, and for nothing else.
    assert sum(Counter(first.calls).values()) < 1.6 * 3_000
