"""Counts over time: nothing is lost or moved by widening, whatever order the moments come in."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.ledger.timeline import WIDTHS, Timeline, plausible

NIGHT = 1_795_600_000.0
MOMENTS = st.lists(st.tuples(st.sampled_from("ab"), st.floats(NIGHT, NIGHT + 4e7), st.integers(0, 9)), max_size=60)


def test_each_width_is_made_of_whole_ones_of_the_one_before():
    assert all(not wide % narrow for narrow, wide in pairwise(WIDTHS))


@given(moments=MOMENTS, most=st.integers(2, 50))
def test_every_bucket_holds_what_fell_into_it_however_much_they_widened(moments, most):
    timeline = Timeline(most)
    assert all(timeline.add(key, at, count) for key, at, count in moments)
    begins = timeline.moments()
    assert len(begins) <= most
    for key in "ab":
        expected: Counter[int] = Counter()
        for name, at, count in moments:
            expected[int(at // timeline.width) * timeline.width] += count if name == key else 0
        assert dict(zip(begins, timeline.counts(key), strict=True)) == {begin: expected[begin] for begin in begins}
        assert timeline.most(key) == max(timeline.counts(key), default=0)


@given(moments=MOMENTS, data=st.data())
def test_the_order_of_moments_changes_nothing(moments, data):
    told = []
    for each in (moments, data.draw(st.permutations(moments))):
        timeline = Timeline(20)
        for moment in each:
            timeline.add(*moment)
        told.append((timeline.width, timeline.moments(), timeline.counts("a"), timeline.counts("b")))
    assert told[0] == told[1]


@pytest.mark.parametrize(
    ("seconds", "width"),
    [
        (60, 1),
        (399, 1),
        (400, 2),
        (600, 2),
        (3600, 10),
        (9 * 3600, 120),
        (86400, 600),
        (31 * 86400, 7200),
        (399 * 86400, 86400),
        (401 * 86400, 2 * 86400),
    ],
)
def test_the_buckets_of_a_night_are_minutes_and_those_of_a_month_hours(seconds, width):
    timeline = Timeline()
    timeline.add("calls", NIGHT)
    timeline.add("calls", NIGHT + seconds)
    assert timeline.width == width


@pytest.mark.parametrize("at", [0.0, -1.0, 1e12, float("inf"), float("-inf"), float("nan")])
def test_a_clock_that_was_plainly_wrong_does_not_flatten_the_night(at):
    timeline = Timeline()
    timeline.add("calls", NIGHT)
    assert not timeline.add("calls", at)
    assert (timeline.width, timeline.counts("calls")) == (1, [1])


@pytest.mark.parametrize(("at", "is_one"), [(1e9, False), (1e9 + 1, True), (1e10 - 1, True), (1e10, False)])
def test_a_run_can_have_been_at_any_moment_of_this_age_and_at_no_other(at, is_one):
    assert plausible(at) is is_one
    assert Timeline().add("calls", at) is is_one


@given(one=MOMENTS, other=MOMENTS, most=st.integers(2, 50))
def test_two_added_up_tell_what_one_of_both_would(one, other, most):
    made = []
    for moments in (one, other, [*one, *other]):
        made.append(timeline := Timeline(most))
        for moment in moments:
            timeline.add(*moment)
    merged, added, both = made
    before = added.width, added.moments(), added.counts("a")
    merged.merge(added)
    assert (merged.width, merged.moments(), set(merged.keys())) == (both.width, both.moments(), set(both.keys()))
    assert [merged.counts(key) for key in "ab"] == [both.counts(key) for key in "ab"]
    assert (added.width, added.moments(), added.counts("a")) == before


def test_what_was_counted_is_named_in_the_order_in_which_it_was_met():
    timeline = Timeline(narrowest=60)
    timeline.track("never")
    for key in "bab":
        timeline.add(key, NIGHT)
    assert (timeline.keys(), timeline.width, timeline.counts("b"), timeline.counts("never")) == (["b", "a"], 60, [2], [0])
    assert timeline.moments() == [NIGHT // 60 * 60]


def test_nothing_counted_is_no_course():
    assert Timeline().moments() == Timeline().counts("calls") == []
    assert Timeline().most("calls") == 0
