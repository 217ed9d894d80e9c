"""Every reader bears whatever it is given, the quick form; `python -m tests.faults.fuzz` gives them ten minutes."""

from __future__ import annotations

import random

import pytest

from tests.faults.fuzz import mutilated, seeds_of, target_of, tried

_COUNTS = {"rows": 1500, "entries": 4000, "attempts": 4000, "retry_after": 4000, "jobs": 150, "answers": 1000}


@pytest.mark.parametrize(("name", "count"), _COUNTS.items())
def test_a_reader_raises_nothing_that_it_does_not_promise(name, count):
    assert tried(name, count, seed=2026) == count


@pytest.mark.parametrize("name", _COUNTS)
def test_what_it_begins_with_is_right_and_what_is_tried_differs(name):
    seeds, read, dice = seeds_of(name), target_of(name), random.Random(1)
    for seed in seeds:
        read(seed)
    assert len({mutilated(dice, seeds) for _ in range(100)}) > 50
