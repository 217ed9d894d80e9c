"""Tokens of rows by how long their lines are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.telling.lengths import Lengths, lengths_of

ROWS = st.lists(st.tuples(st.integers(1, 10**7), st.floats(0, 1e7)), min_size=1, max_size=30)


def test_where_a_byte_adds_the_same_in_each_row_it_does_in_all():
    lengths = lengths_of([(size, 7.0 + 0.25 * size) for size in (80, 400, 90, 1000)])
    assert lengths is not None
    assert lengths.of(500) == pytest.approx(132.0)
    assert lengths.times(2.0).of(500) == pytest.approx(264.0)


def test_where_bytes_add_nothing_or_make_it_less_each_row_has_what_those_had_in_the_mean():
    for rows in ([(10, 5.0), (1000, 5.0)], [(10, 9.0), (1000, 1.0)], [(10, 4.0), (10, 6.0)], [(10, 5.0)]):
        assert lengths_of(rows) == Lengths(5.0, 0.0)


def test_of_no_rows_nothing_is_known():
    assert lengths_of([]) is None


@given(ROWS)
def test_rows_that_were_all_read_have_together_what_they_have_and_none_has_less_than_none(rows):
    lengths = lengths_of(rows)
    assert lengths is not None
    told = [lengths.of(size) for size, _ in rows]
    assert min(told) >= 0
    assert sum(told) >= sum(tokens for _, tokens in rows) * (1 - 1e-6) - 1e-3
