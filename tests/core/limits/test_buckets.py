"""A bucket in debt form, a trail of counts and a flow that fades."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.limits.buckets import Bucket, Flow, Latest, Trail

COSTS = st.lists(st.floats(0.01, 500), min_size=1, max_size=60)
RATES = st.floats(0.1, 1000)


def paid(bucket, costs, rests, begin=0.0):
    """Times at which each cost was paid: as soon as it could be, after a rest."""
    now, times = begin, []
    for cost, rest in zip(costs, rests, strict=False):
        now = bucket.free_at(now + rest)
        bucket.pay(now, cost)
        times.append(now)
    return times


@given(RATES, st.floats(0, 2), COSTS, st.lists(st.sampled_from([0.0, 0.0, 0.01, 3.0]), min_size=60, max_size=60), st.floats(0.001, 100))
def test_no_window_holds_more_than_its_share_the_burst_and_the_largest_cost(rate, seconds, costs, rests, window):
    burst = rate * seconds
    times = paid(Bucket(rate, burst), costs, rests)
    most = rate * window + burst + max(costs)
    for at in times:
        held = sum(cost for when, cost in zip(times, costs, strict=True) if at <= when < at + window)
        assert held <= most * (1 + 1e-6) + 1e-6


@given(RATES, COSTS)
def test_a_bucket_in_use_is_free_exactly_when_its_debt_is_paid_off(rate, costs):
    bucket = Bucket(rate, 0.0)
    times = paid(bucket, costs, [0.0] * len(costs))
    expected = [0.0, *accumulate(cost / rate for cost in costs)]
    assert [*times, bucket.free_at(0.0)] == pytest.approx(expected, rel=1e-9, abs=1e-6)


@given(RATES, st.floats(0, 2), COSTS, st.lists(st.floats(-5, 5), min_size=60, max_size=60), st.floats(0, 1e6))
def test_a_bucket_is_never_free_in_the_past(rate, seconds, costs, backs, begin):
    bucket, now = Bucket(rate, rate * seconds), begin
    for cost, back in zip(costs, backs, strict=False):
        assert bucket.free_at(now) >= now
        bucket.pay(now, cost)
        bucket.pay_back(back)
        assert bucket.free_at(now) <= now + (cost + sum(costs) + 5 * len(costs)) / rate + 1e-6


def test_a_night_of_payments_leaves_no_drift():
    rate = 500.0 * 0.995
    bucket, now, exact = Bucket(rate, 0.0), 0.0, Fraction(0)
    costs = [1.0, 0.1, 3.7, 0.3, 12.9]
    for number in range(100_000):
        cost = costs[number % len(costs)]
        bucket.pay(now, cost)
        exact += Fraction(cost) / Fraction(rate)
        now = bucket.free_at(now)
    assert abs(Fraction(now) - exact) < Fraction(1, 1_000_000)


def test_what_is_paid_back_is_not_lost_while_the_bucket_is_in_use():
    bucket, now = Bucket(100.0, 0.0), 0.0
    for _ in range(1000):
        now = bucket.free_at(now)
        bucket.pay(now, 15.0)
        bucket.pay_back(5.0)
    assert now == pytest.approx(999 * 10 / 100)


def test_a_late_loop_catches_up_by_the_burst_and_no_more():
    for late, whole in ((0.02, True), (0.05, False)):
        bucket = Bucket(10.0, 0.3)
        times: list[float] = []
        for _ in range(50):
            now = bucket.free_at(times[-1] if times else 0.0) + late
            bucket.pay(now, 1.0)
            times.append(now)
        assert (times[-1] == pytest.approx(4.9 + 2 * late)) is whole


def test_an_idle_bucket_saves_up_its_burst_and_no_more():
    bucket = Bucket(10.0, 3.0)
    bucket.pay(0.0, 1.0)
    for _ in range(4):
        assert bucket.free_at(1000.0) == 1000.0
        bucket.pay(1000.0, 1.0)
    assert bucket.free_at(1000.0) == pytest.approx(1000.1)


@given(RATES, RATES, st.floats(1, 100))
def test_a_debt_stands_when_the_rate_changes(old, new, debt):
    bucket = Bucket(old, 0.0)
    bucket.pay(0.0, debt)
    bucket.change(0.0, new, 0.0)
    assert bucket.free_at(0.0) == pytest.approx(debt / new)


def test_a_trail_counts_what_lies_within_and_forgets_the_rest():
    trail = Trail()
    for second in range(1000):
        trail.add(float(second), 2.0)
    assert trail.sum(1000.0, 6.0) == pytest.approx(12.0)
    assert trail.sum(1000.0, 60.0) == pytest.approx(120.0)
    assert trail.sum(1061.0, 60.0) == 0
    assert len(trail._halves) <= 122


@given(st.lists(st.tuples(st.floats(0, 3), st.floats(0, 10)), max_size=80), st.floats(1, 60))
def test_a_trail_is_right_to_half_a_second(steps, seconds):
    trail, now, events = Trail(), 0.0, []
    for rest, amount in steps:
        now += rest
        trail.add(now, amount)
        events.append((now, amount))
    least = sum(amount for at, amount in events if at >= now - seconds + 0.5)
    most = sum(amount for at, amount in events if at >= now - seconds - 0.5)
    assert least - 1e-6 <= trail.sum(now, seconds) <= most + 1e-6


def test_what_is_taken_back_counts_no_longer_and_never_below_nothing():
    trail = Trail()
    trail.latest.amount -= 1.0
    trail.add(5.0, 3.0)
    trail.latest.amount -= 2.0
    assert trail.sum(5.0, 6.0) == pytest.approx(1.0)
    trail.latest.amount -= 7.0
    assert trail.sum(5.0, 6.0) == 0


def test_a_flow_tells_the_rate_and_fades():
    flow = Flow()
    assert flow.rate(0.0) == 0
    for tenth in range(1000):
        flow.add(tenth / 10, 3.0)
    assert flow.rate(100.0) == pytest.approx(30.0, rel=0.02)
    assert flow.rate(105.0) == pytest.approx(30.0 / math.e, rel=0.02)


@pytest.mark.parametrize(("back", "kept"), [(5.0, 5.0), (500.0, 10.0)])
def test_an_idle_bucket_keeps_a_tenth_of_a_second_of_what_is_paid_back(back, kept):
    bucket = Bucket(100.0, 0.0)
    bucket.pay(0.0, 1.0)
    bucket.pay_back(back)
    bucket.pay(60.0, 20.0)
    assert bucket.free_at(60.0) == pytest.approx(60.0 + (20 - kept) / 100)


@given(RATES, st.floats(0, 2), COSTS, st.lists(st.tuples(st.floats(0, 5), st.floats(0, 1)), min_size=60, max_size=60))
def test_however_much_is_paid_back_no_window_holds_more_than_a_tenth_of_a_second_besides(rate, seconds, costs, steps):
    """All of it is paid back at once in each case, or a part: what then goes in a window is what was paid less that."""
    bucket, now, went = Bucket(rate, rate * seconds), 0.0, []
    for cost, (rest, share) in zip(costs, steps, strict=False):
        now = bucket.free_at(now + rest)
        bucket.pay(now, cost)
        bucket.pay_back(cost * share)
        went.append((now, cost * (1 - share)))
    for window in (0.5, 5.0, 100.0):
        for at, _ in went:
            held = sum(cost for when, cost in went if at <= when < at + window)
            assert held <= (rate * (window + seconds + 0.1) + max(costs)) * (1 + 1e-6) + 1e-6


def test_a_bucket_begins_with_nothing_saved_up():
    for begin in (0.0, 1000.0):
        bucket = Bucket(10.0, 30.0)
        assert bucket.free_at(begin) == begin
        bucket.pay(begin, 20.0)
        assert bucket.free_at(begin) == pytest.approx(begin + 2.0)


def test_what_held_it_back_is_made_up_for_by_as_much_as_is_allowed_and_once():
    for held, most, made_up in ((2.0, 5.0, 2.0), (7.0, 5.0, 5.0)):
        bucket = Bucket(10.0, 0.0)
        bucket.pay(0.0, 1.0)
        bucket.make_up_for(held, most)
        times: list[float] = []
        for _ in range(200):
            times.append(bucket.free_at(60.0 if not times else times[-1]))
            bucket.pay(times[-1], 1.0)
        assert times.count(60.0) == pytest.approx(10 * made_up + 1, abs=1)
        assert times[-1] == pytest.approx(60.0 + (199 - 10 * made_up) / 10, abs=0.11)


def test_what_is_made_up_for_adds_up_to_the_most_and_takes_nothing_back():
    bucket = Bucket(10.0, 0.0)
    bucket.pay(0.0, 1.0)
    for _ in range(4):
        bucket.make_up_for(1.0, 3.0)
    bucket.make_up_for(1.0, 0.5)
    bucket.pay(60.0, 40.0)
    assert bucket.free_at(60.0) == pytest.approx(61.0), "three seconds of it, and four are paid"


def test_what_was_paid_too_little_is_paid_on_top():
    bucket = Bucket(10.0, 0.0)
    bucket.pay(0.0, 10.0)
    bucket.pay_back(-5.0)
    assert bucket.free_at(0.0) == pytest.approx(1.5)
    bucket.pay_back(5.0)
    assert bucket.free_at(0.0) == pytest.approx(1.0)


def test_less_debt_than_a_nanosecond_is_none_and_more_is_waited_for():
    bucket = Bucket(1.0, 0.0)
    bucket.pay(0.0, 1.0)
    assert bucket.free_at(1.0 - 5e-10) == 1.0 - 5e-10
    assert bucket.free_at(1.0 - 1e-6) == 1.0


def test_what_is_saved_up_stands_when_the_rate_changes_up_to_the_burst():
    for idle, saved in ((1.0, 10.0), (100.0, 20.0)):
        bucket = Bucket(10.0, 20.0)
        bucket.pay(0.0, 1e-9)
        bucket.change(idle, 40.0, 80.0)
        bucket.pay(idle, saved + 40.0)
        assert bucket.free_at(idle) == pytest.approx(idle + 1.0)


def test_what_was_paid_back_stands_when_the_rate_changes():
    bucket = Bucket(100.0, 0.0)
    bucket.pay(0.0, 1.0)
    bucket.pay_back(500.0)
    bucket.change(60.0, 200.0, 0.0)
    bucket.pay(60.0, 40.0)
    assert bucket.free_at(60.0) == pytest.approx(60.0 + (40 - 10) / 200)


def test_a_trail_counts_the_half_second_that_lies_across_the_beginning_in_part():
    trail = Trail()
    trail.add(10.0, 8.0)
    assert [trail.sum(now, 1.0) for now in (10.0, 11.0, 11.125, 11.25, 11.5)] == [8.0, 8.0, 6.0, 4.0, 0.0]


def test_a_trail_looks_back_for_as_long_as_it_is_told_and_no_longer():
    trail = Trail(10)
    for half in range(100):
        trail.add(half / 2, 1.0)
        assert len(trail._halves) <= 22
    assert trail.sum(49.5, 10.0) == 21.0


def test_what_comes_late_counts_in_the_latest_half_second():
    trail = Trail()
    trail.add(5.0, 1.0)
    trail.add(3.0, 2.0)
    assert trail.sum(5.0, 0.5) == 3.0
    trail.add(5.49, 4.0)
    assert len(trail._halves) == 1
    trail.add(5.5, 4.0)
    assert len(trail._halves) == 2


def test_a_flow_counts_what_comes_late_as_if_it_came_now_and_what_fades_in_longer_is_slower():
    flow = Flow(10.0)
    flow.add(10.0, 5.0)
    flow.add(8.0, 5.0)
    assert flow.rate(10.0) == flow.rate(7.0) == 1.0
    assert flow.rate(20.0) == pytest.approx(1.0 / math.e)
    flow.add(20.0, 0.0)
    assert flow.rate(30.0) == pytest.approx(math.exp(-2))


@given(st.lists(st.tuples(st.floats(0.001, 1.0), st.booleans()), max_size=300), st.floats(0, 100))
def test_the_latest_attempts_are_counted_one_by_one_or_not_at_all(steps, seconds):
    latest, went, now = Latest(), [], 0.0
    for step, counts in steps:
        now += step
        latest.went.append(now)
        if counts:
            went.append(now)
        else:
            latest.drop(now)
    told, start = latest.since(now - seconds), now - seconds
    assert told is None or told == sum(at > start for at in went)
    assert told is not None or sum(at > start for at in went) + sum(not counts for _, counts in steps) > 100


def test_more_attempts_than_are_remembered_are_told_of_no_window_that_held_them():
    latest = Latest()
    for second in range(101):
        latest.went.append(float(second))
    assert latest.since(-1.0) is None
    assert latest.since(0.0) == 100
