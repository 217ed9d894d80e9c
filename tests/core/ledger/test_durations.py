"""Quantiles from log-spaced buckets: never further off than stated, and the same however they were added up."""

from __future__ import annotations

from math import floor

from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.ledger.durations import ERROR, Durations

MILLISECONDS = st.floats(1, 4e6)


def counted(values):
    durations = Durations()
    for value in values:
        durations.add(value)
    return durations


@given(values=st.lists(MILLISECONDS, min_size=1, max_size=200), share=st.sampled_from([0, 0.5, 0.9, 0.95, 0.99, 1]))
def test_a_quantile_is_never_further_off_than_stated(values, share):
    exact = sorted(values)[floor(share * (len(values) - 1))]
    found = counted(values).quantile(share)
    assert abs(found - exact) <= exact * ERROR * 1.000001


@given(one=st.lists(MILLISECONDS, max_size=50), other=st.lists(MILLISECONDS, max_size=50))
def test_two_added_up_tell_what_one_of_both_would(one, other):
    merged = counted(one)
    merged.merge(counted(other))
    both = counted(one + other)
    assert merged.buckets() == both.buckets()
    assert (merged.count, merged.least, merged.greatest) == (both.count, both.least, both.greatest)


def test_the_longest_and_the_shortest_are_exact():
    durations = counted([17, 123_456.5, 900])
    assert (durations.least, durations.greatest, durations.count) == (17, 123_456.5, 3)
    assert (durations.quantile(0), durations.quantile(1)) == (17, 123_456.5)


def test_memory_stays_small_whatever_comes():
    durations = counted([0, -5, 1e300, *(1.01**power for power in range(3000))])
    assert len(durations.buckets()) < 225
    assert durations.greatest == 1e9


def test_nothing_counted_has_no_quantile():
    assert Durations().quantile(0.5) is None
