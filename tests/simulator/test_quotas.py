"""Windows, quotas and growth, told the time: what is never let through, and when a refusal ends."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.simulator.quotas import Aligned, Caps, Growth, Meter, Sliding
from batchrun.simulator.scenario import Mishap
from batchrun.simulator.tables import AccountQuota, RateLimit

NOW = 1_760_000_000.0  # Not on a whole minute: sliding and aligned windows differ.
KINDS = st.sampled_from(["sliding", "aligned"])
PERIODS = st.sampled_from([1, 6, 60])
GAPS = st.lists(st.sampled_from([0.0, 0.0, 0.001, 0.25, 1.0, 2.5, 6.0, 30.0, 60.0]), min_size=1, max_size=60)


def times(gaps):
    now = NOW
    for gap in gaps:
        now += gap
        yield now


def most_in_a_window(kind, period, entries):
    """The largest sum of the amounts in any window of that kind: sliding ones begin (it is enough to look) at an entry."""
    if kind == "aligned":
        sums: Counter[float] = Counter()
        for at, amount in entries:
            sums[at // period] += amount
        return max(sums.values(), default=0)
    return max((sum(amount for at, amount in entries if start <= at < start + period) for start, _ in entries), default=0)


def let_through(meter, calls):
    """The (time, tokens) of the calls that were let through."""
    gone = []
    for now, tokens in calls:
        if meter.refuses(now, tokens) is None:
            meter.count(now, tokens, now)
            gone.append((now, tokens))
    return gone


@given(kind=KINDS, period=PERIODS, most=st.integers(0, 12), gaps=GAPS)
def test_no_window_ever_lets_more_calls_through_than_its_quota(kind, period, most, gaps):
    gone = let_through(Meter(Caps(requests=most, request_period=period, window=kind)), [(now, 1) for now in times(gaps)])
    assert most_in_a_window(kind, period, [(now, 1) for now, _ in gone]) <= most


@given(
    kind=KINDS, period=PERIODS, most=st.integers(1, 500), calls=st.lists(st.tuples(st.sampled_from([0.0, 0.5, 3.0]), st.integers(1, 300)))
)
def test_no_window_ever_lets_more_tokens_through_than_its_quota_where_they_count_at_admission(kind, period, most, calls):
    meter = Meter(Caps(tokens=most, token_period=period, window=kind))
    gone = let_through(meter, zip(times([gap for gap, _ in calls]), [tokens for _, tokens in calls], strict=True))
    assert most_in_a_window(kind, period, gone) <= most


@given(
    kind=KINDS, period=PERIODS, most=st.integers(1, 300), calls=st.lists(st.tuples(st.sampled_from([0.0, 0.5, 3.0]), st.integers(1, 300)))
)
def test_where_tokens_count_at_completion_no_call_goes_while_what_has_ended_fills_the_window(kind, period, most, calls):
    meter = Meter(Caps(tokens=most, token_period=period, window=kind, debit="completion"))
    ended: list[tuple[float, int]] = []
    for now, tokens in zip(times([gap for gap, _ in calls]), [tokens for _, tokens in calls], strict=True):
        if kind == "sliding":
            used = sum(amount for at, amount in ended if at <= now < at + period)
        else:
            used = sum(amount for at, amount in ended if at <= now and at // period == now // period)
        assert (meter.refuses(now, tokens) is Mishap.TOKEN_QUOTA) == (used >= most)
        if used < most:
            ends = now + 0.75
            meter.count(now, tokens, ends)
            ended.append((ends, tokens))


@given(kind=KINDS, gaps=GAPS, refused=st.lists(st.integers(0, 59), max_size=20), tokens=st.integers(1, 50))
def test_a_refused_call_changes_nothing(kind, gaps, refused, tokens):
    """Asking again and again between the calls of one meter leaves it where its twin is that nobody asked."""
    caps = Caps(requests=4, request_period=6, tokens=100, token_period=6, a_second=2, window=kind)
    asked, left_alone = Meter(caps), Meter(caps)
    for place, now in enumerate(times(gaps)):
        for _ in range(refused.count(place)):
            asked.refuses(now, 1_000)
        told = asked.refuses(now, tokens), left_alone.refuses(now, tokens)
        assert told[0] == told[1]
        if told[0] is None:
            asked.count(now, tokens, now)
            left_alone.count(now, tokens, now)


@pytest.mark.parametrize("period", [1, 6, 60])
@pytest.mark.parametrize(("caps", "why"), [({"requests": 2}, Mishap.THROTTLE), ({"tokens": 20}, Mishap.TOKEN_QUOTA)])
def test_a_refusal_ends_when_its_window_says_so_and_not_before(period, caps, why):
    def filled(kind):
        meter = Meter(Caps(request_period=period, token_period=period, window=kind, **caps))
        for now in (NOW, NOW + 0.125):
            meter.count(now, 10, now)
        return meter

    sliding = filled("sliding")
    assert [sliding.refuses(NOW + seconds, 10) for seconds in (0.125, period - 2**-20, period)] == [why, why, None]
    aligned, boundary = filled("aligned"), (NOW // period + 1) * period
    assert [aligned.refuses(now, 10) for now in (NOW + 0.125, boundary - 2**-20, boundary)] == [why, why, None]


def test_a_changed_quota_goes_on_from_what_its_window_holds():
    meter = Meter(Caps(requests=10, request_period=6, tokens=100, token_period=60))
    for second in range(4):
        meter.count(NOW + second, 10, NOW + second)
    meter.change(Caps(requests=4, request_period=6, tokens=100, token_period=60))
    assert meter.refuses(NOW + 5.9, 1) is Mishap.THROTTLE
    assert meter.refuses(NOW + 6.0, 1) is None
    meter.change(Caps(requests=8, request_period=6, tokens=40, token_period=60))
    assert meter.refuses(NOW + 6.0, 1) is Mishap.TOKEN_QUOTA
    meter.change(Caps(requests=8, request_period=6, tokens=60, token_period=60))
    assert (meter.refuses(NOW + 6.0, 20), meter.refuses(NOW + 6.0, 21)) == (None, Mishap.TOKEN_QUOTA)


def test_a_window_of_another_length_begins_empty():
    meter = Meter(Caps(requests=2, request_period=60))
    for _ in range(2):
        meter.count(NOW, 1, NOW)
    meter.change(Caps(requests=2, request_period=6))
    assert meter.refuses(NOW + 1.0) is None
    assert meter.caps == Caps(requests=2, request_period=6)
    of_tokens = Meter(Caps(tokens=100, token_period=60))
    of_tokens.count(NOW, 100, NOW)
    of_tokens.change(Caps(tokens=100, token_period=6))
    assert of_tokens.refuses(NOW + 1.0, 100) is None


def test_calls_a_second_are_held_to_beside_the_longer_window():
    meter = Meter(Caps.of(RateLimit(rpm=90, per_second=True)))
    assert [len(let_through(meter, [(NOW + second, 1)] * 5)) for second in range(3)] == [2, 2, 2]


def test_a_call_larger_than_the_whole_quota_never_fits_at_admission_and_goes_at_completion():
    assert Meter(Caps(tokens=100)).refuses(NOW, 101) is Mishap.TOKEN_QUOTA
    meter = Meter(Caps(tokens=100, debit="completion"))
    assert meter.refuses(NOW, 101) is None
    meter.count(NOW, 101, NOW + 5)
    assert [meter.refuses(NOW + seconds) for seconds in (4.5, 5, 64.5, 65)] == [None, Mishap.TOKEN_QUOTA, Mishap.TOKEN_QUOTA, None]


def test_calls_that_end_out_of_order_are_counted_in_the_order_they_ended():
    meter = Meter(Caps(tokens=10, token_period=6, debit="completion"))
    meter.count(NOW, 5, NOW + 9)
    meter.count(NOW, 5, NOW + 4)
    assert [meter.refuses(NOW + seconds) for seconds in (8, 9, 9.5, 10)] == [None, Mishap.TOKEN_QUOTA, Mishap.TOKEN_QUOTA, None]


def test_a_rate_a_minute_becomes_what_its_period_lets_through():
    assert Caps.of(RateLimit(rpm=600, tpm=3_000_000, period=6)) == Caps(60, 6, 300_000, 6)
    assert Caps.of(RateLimit(rpm=600, tpm=600, request_period=1, token_period=60, window="aligned", debit="completion")) == Caps(
        10, 1, 600, 60, None, "aligned", "completion"
    )
    assert Caps.of(RateLimit(rpm=60)) == Caps(60, 60, None, 60)


@pytest.mark.parametrize("kind", [Sliding, Aligned])
def test_a_window_forgets_what_has_gone(kind):
    window = kind(6)
    for number in range(10_000):
        window.used(NOW + number)
        window.add(NOW + number, 1)
    assert len(getattr(window, "_entries", ())) <= 6
    assert window.used(NOW + 20_000) == 0


def test_settled_and_forgotten_growth_leave_nothing_behind():
    meter, growth = Meter(Caps(tokens=10**9, debit="completion")), Growth(2.0, 10, 5)
    for number in range(5_000):
        now = NOW + number
        assert meter.refuses(now) is None
        meter.count(now, 1, now + 3)
        if growth.wait(now, 0) is not None:
            growth.count(now)
    assert len(meter._unsettled) <= 4
    assert len(growth._calls) <= 3


def grown(growth, now, calls, patience=0.0):
    """The waits of so many calls at *now*; a refused one is None."""
    waits = []
    for _ in range(calls):
        waits.append(growth.wait(now, patience))
        if waits[-1] is not None:
            growth.count(now)
    return waits


def test_the_rate_may_grow_by_its_factor_from_period_to_period_and_never_falls_below_its_floor():
    growth = Growth.of(AccountQuota(burst=2.0, burst_period=10, burst_floor=3))
    assert growth is not None
    let = [
        sum(wait is not None for wait in grown(growth, NOW + 10 * place, calls)) for place, calls in enumerate([9, 9, 9, 99, 1, 99, 0, 9])
    ]
    assert let == [3, 6, 9, 18, 1, 3, 0, 3]
    assert Growth.of(AccountQuota(rpm=60)) is None


def test_a_call_that_is_willing_to_wait_goes_when_it_would_be_let_through_and_takes_up_its_place():
    growth = Growth(2.0, 10, 3)
    assert grown(growth, NOW + 4, 4, patience=5.9) == [0.0, 0.0, 0.0, None]
    assert grown(growth, NOW + 4, 7, patience=6.0) == [6.0] * 6 + [None]
    assert grown(growth, NOW + 4, 14, patience=30.0) == [16.0] * 12 + [26.0] * 2
    assert grown(growth, NOW + 10, 1) == [None]
    assert [grown(growth, NOW + seconds, 1) for seconds in (29, 30)] == [[None], [0.0]]


@given(gaps=GAPS, patience=st.lists(st.sampled_from([0.0, 3.0, 30.0]), min_size=60, max_size=60), factor=st.sampled_from([1.0, 1.5, 2.0]))
def test_no_period_ever_holds_more_calls_than_the_one_before_allows(gaps, patience, factor):
    growth = Growth(factor, 6, 2)
    gone: Counter[float] = Counter()
    for now, seconds in zip(times(gaps), patience, strict=False):
        wait = growth.wait(now, seconds)
        if wait is not None:
            assert 0 <= wait <= seconds
            growth.count(now)
            gone[(now + wait) // 6] += 1
    assert all(calls <= max(2, factor * gone[place - 1]) for place, calls in list(gone.items()))
