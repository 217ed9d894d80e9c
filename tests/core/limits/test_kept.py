"""What is believed of what was kept of a pool."""

from __future__ import annotations

import pytest

from batchrun.core.limits.kept import believed

FOUND = {"attempts": {"rate": 0.07, "window": 6.0}, "tokens": {"rate": 0.7, "window": 60.0, "at_end": 1.0}, "at_once": 12}


def test_what_may_have_been_found_is_believed_as_it_is():
    for kept in (FOUND, {}, {"attempts": {"margin": 0.02}}, {"tokens": {"window": 6.0, "deviations": 3.0}}, {"more": {"rate": 0.0}}):
        assert believed(kept) == kept


RATES: list[object] = [1e-6, 0.06, 5e-324, 0.0, -1.0, 1e11, 1e300, 2**64 - 1, "fast", None, True, [1.0]]
WRONG: dict[str, list[object]] = {
    "attempts": [{"rate": rate} for rate in RATES],
    "tokens": [{"rate": rate} for rate in (*RATES, 0.6)],
    "at_once": [2**64 - 1, 10**7, 4.0, "4", None, {}, [4]],
}


@pytest.mark.parametrize(("name", "wrong"), [(name, wrong) for name, each in WRONG.items() for wrong in each])
def test_what_was_found_by_nobody_is_left_out_and_the_rest_is_believed(name, wrong):
    assert believed(FOUND | {name: wrong}) == {other: told for other, told in FOUND.items() if other != name}


@pytest.mark.parametrize("kept", [None, 7, "x", [], [1]])
def test_what_is_no_table_is_nothing(kept):
    assert believed(kept) == {}
