"""What is believed of a provider's window: never over its quota while that is right, never frozen, and found from refusals."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchrun.core.limits.buckets import Trail
from batchrun.core.limits.counting import WINDOWS
from batchrun.core.limits.limiter import Limiter
from batchrun.core.limits.quota import Quota, limiter
from batchrun.core.limits.reckoning import Reckoning
from batchrun.core.limits.room import Room
from batchrun.core.limits.tokens import KnownTokens
from batchrun.core.limits.trials import Trials
from batchrun.simulator.quotas import Sliding
from tests.benchmarks.bars import known_tokens
from tests.benchmarks.play import Play

RATE = 1000.0
COSTS = st.lists(st.floats(1, 900), min_size=1, max_size=80)
RESTS = st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.02, 0.7, 9.0]), min_size=80, max_size=80)
RUNGS = st.sampled_from(WINDOWS)


def counting(window: float) -> Reckoning:
    reckoning = Reckoning()
    reckoning.teach({"window": window}, 0.0)
    reckoning._trials._refused = True  # So that it keeps to this window.
    return reckoning


@settings(deadline=None)
@given(RUNGS, COSTS, RESTS, st.floats(0.0, 3.0))
def test_a_window_that_is_known_is_never_overrun_whatever_goes_and_whenever_it_is_known_what_it_cost(window, costs, rests, seconds):
    reckoning, counted, now = counting(window), Sliding(int(window)), 0.0
    out: list[tuple[float, float]] = []
    for cost, rest in zip(costs, rests, strict=False):
        now = reckoning.room.free_at(now + rest, RATE, cost)
        while out and out[0][0] + seconds <= now:
            at, ended = out.pop(0)
            reckoning.room.settle(at, ended, ended)
        reckoning.room.pay(now, cost)
        out.append((now, cost))
        counted.add(now, math.floor(cost))
        assert counted.used(now) <= RATE * window


def answered(room: Room, now: float, launched_at: float, paid: float, cost: float) -> None:
    room.settle(launched_at, paid, cost)
    room.answered(now, cost)


def test_rows_that_are_under_way_are_expected_to_come_to_as_much_as_the_latest_did_whatever_was_expected_when_they_went():
    reckoning = counting(60.0)
    room, deviations = reckoning.room, reckoning.deviations
    for number in range(100):
        room.pay(number / 10, 100.0)
    for _ in range(9):
        deviations.refused()
    for number in range(28):
        answered(room, 10.0, number / 10, 100.0, 250.0)
    assert room.went.held(10.0).guessed == pytest.approx(72 * 100.0)
    assert deviations.count > 3.0
    for number in range(28, 40):
        answered(room, 10.0, number / 10, 100.0, 250.0)
    assert room.went.held(10.0).guessed == pytest.approx(60 * 250.0)
    assert deviations.count == 2.0, "that explains what was refused"
    for number in range(40, 100):
        answered(room, 10.0, number / 10, 100.0, 250.0)
    assert room.went.held(10.0) == pytest.approx((100 * 250.0, 0.0, 0.0), abs=1e-6)


def test_of_rows_that_nothing_tells_apart_as_many_are_learnt_from_as_are_under_way():
    room = counting(60.0).room
    for _ in range(1_000):
        room.pay(1.0, 100.0)
    for number in range(400):
        room.settle(1.0, 100.0, 100.0 if number < 300 else 80.0)
    assert room.usual > 90.0


def test_rows_that_nothing_tells_apart_are_all_expected_to_come_to_as_much_as_the_latest_did():
    room = counting(60.0).room
    for _ in range(100):
        room.pay(1.0, 100.0)
    for _ in range(40):
        answered(room, 1.0, 1.0, 100.0, 50.0)
    assert room.went.held(1.0).guessed == pytest.approx(60 * 50.0)
    for _ in range(60):
        answered(room, 1.0, 1.0, 100.0, 50.0)
    assert room.went.held(1.0) == pytest.approx((100 * 50.0, 0.0, 0.0), abs=1e-6)


EVENTS = st.lists(st.tuples(st.sampled_from(["take", "take", "refuse", "late"]), st.floats(1, 30_000), st.floats(0, 5)), max_size=120)


@settings(deadline=None)
@given(EVENTS)
def test_a_row_is_never_kept_waiting_longer_than_the_longest_window_whatever_was_refused(events):
    reckoning, now = Reckoning(), 0.0
    for what, cost, rest in events:
        at = reckoning.room.free_at(now, RATE, cost)
        assert now <= at <= now + WINDOWS[-1] + 0.1
        now = at + rest
        reckoning.room.pay(now, cost)
        if what == "take":
            reckoning.room.settle(now, cost, cost * 0.9)
            reckoning.took(now + 0.5, RATE, cost * 0.9)
        elif what == "refuse":
            reckoning.room.settle(now, cost, 0.0)
            reckoning.refused(now + 0.05, now, RATE, cost)


@settings(deadline=None)
@given(EVENTS, st.floats(1, 2000))
def test_the_time_that_is_named_is_the_first_at_which_the_row_may_go(events, cost):
    reckoning, now = Reckoning(), 0.0
    for what, paid, _ in events:
        now = reckoning.room.free_at(now, RATE, paid)
        reckoning.room.pay(now, paid)
        if what == "refuse":
            reckoning.room.settle(now, paid, 0.0)
            reckoning.refused(now, now, RATE, paid)
    at = reckoning.room.free_at(now, RATE, cost)
    for share in (0.0, 0.3, 0.999):
        earlier = now + share * (at - now)
        if earlier < at - 1e-6:
            assert reckoning.room.free_at(earlier, RATE, cost) == pytest.approx(at)
    assert reckoning.room.free_at(at, RATE, cost) == at


def test_a_row_that_is_more_than_a_window_goes_when_the_window_is_empty():
    reckoning = counting(6.0)
    reckoning.room.pay(0.0, 500.0)
    reckoning.room.settle(0.0, 500.0, 500.0)
    assert 6.0 <= reckoning.room.free_at(1.0, RATE, 50_000.0) <= 6.1


def test_a_row_of_any_size_gets_its_turn_behind_small_ones_that_never_end():
    limits = limiter(Quota(tpm=60_000))
    now = 0.0
    for _ in range(200):
        now = limits.free_at(now, 50.0)
        limits.pay(now, 50.0)
        limits.pay(now, 50.0)
        limits.settle(now, 50.0, 50.0)
    assert limits.free_at(now, 5_000.0) <= now + 6.1


def of_known(limits: Limiter) -> Reckoning:
    assert isinstance(limits.tokens.rule, KnownTokens)
    return limits.tokens.rule.reckoning


def play(tpm: int, period: int, window: str, debit: str, minutes: float) -> Play:
    played = Play(known_tokens(tpm, period, window, debit, minutes).world)
    played.run()
    return played


@pytest.mark.parametrize(("tpm", "period"), [(5_000_000, 1), (1_000_000, 6), (100_000, 60)])
def test_the_window_that_the_provider_counts_over_is_found_from_its_refusals(tpm, period):
    counting = of_known(play(tpm, period, "sliding", "admission", 10_000_000 / tpm).limiters[0]).counting
    assert (counting.window, counting.at_end) == (period, False)


@pytest.mark.parametrize(
    ("tpm", "period", "window", "minutes"),
    [(100_000, 1, "aligned", 60.0), (1_000_000, 1, "sliding", 12.0), (1_000_000, 6, "sliding", 12.0), (5_000_000, 6, "aligned", 4.0)],
)
def test_that_answers_are_counted_is_found_from_refusals(tpm, period, window, minutes):
    counting = of_known(play(tpm, period, window, "completion", minutes).limiters[0]).counting
    assert (counting.window, counting.at_end) == (period, True)


def test_that_answers_are_counted_is_kept():
    played = play(1_000_000, 6, "sliding", "completion", 12.0)
    again = limiter(Quota(tpm=1_000_000))
    again.teach(played.limiters[0].learnt(), 0.0)
    counting = of_known(again).counting
    assert (counting.window, counting.at_end) == (6.0, True)


def test_where_nobody_refuses_anything_what_was_learnt_stays():
    limits = limiter(Quota(tpm=600_000))
    limits.teach({"tokens": {"window": 6.0, "deviations": 3.0, "at_end": 0.0}}, 0.0)
    reckoning = of_known(limits)
    for steady in (True, False):
        reckoning.steady = steady
        for now in range(2000):
            reckoning.took(float(now), 10_000.0, 100.0)
        assert ((reckoning.counting.window, reckoning.deviations.count) == (6.0, 3.0)) is steady


@pytest.mark.parametrize(
    "kept", [{}, {"window": "long"}, {"window": 7.0}, {"window": [6.0]}, {"deviations": -1.0}, {"deviations": math.nan}]
)
def test_what_makes_no_sense_is_not_taken_up(kept):
    reckoning = Reckoning()
    reckoning.teach(kept, 0.0)
    assert reckoning.learnt() == {}


def test_expectations_that_are_all_too_high_cost_no_quota_once_that_is_learnt():
    """Rows that cost half of what is expected, each known two seconds later."""
    limits, dice, now, used = limiter(Quota(tpm=600_000)), random.Random(1), 0.0, 0.0
    out: list[tuple[float, float]] = []
    while now < 600.0:
        at = limits.free_at(now, 2000.0)
        ended = out[0][0] + 2.0 if out else math.inf
        if at >= ended:
            launched, cost = out.pop(0)
            now = max(now, ended)
            limits.settle(launched, 2000.0, cost)
            limits.took(now, launched, cost)
            continue
        now = at
        limits.pay(now, 2000.0)
        out.append((now, 900.0 + 200.0 * dice.random()))
        used += out[-1][1] * (now > 60.0)
    assert used / 540.0 >= 0.97 * 10_000


# What is kept free, row by row. A thousand tokens a second, six of which are a window.


def reckoned(window: float = 6.0, *, deviations: float = 1.0, usual: float = 0.0, costs: float = 1.0) -> Reckoning:
    """One that knows the window; and, of rows of a *usual* size, that they cost *costs* times what is expected, a day ago."""
    reckoning = counting(window)
    for _ in range(400 if usual else 0):
        reckoning.room.pay(-90_000.0, usual)
        reckoning.room.settle(-90_000.0, usual, usual * costs)
    reckoning.deviations.count = deviations
    are_off_by(reckoning, 0.3)
    return reckoning


def are_off_by(reckoning: Reckoning, share: float) -> None:
    """Rows of every size are off by such a share of what is expected of them."""
    for each in (reckoning.room.guesses._all, *reckoning.room.guesses._classes.values()):
        each.spread = each.own_spread = share * share


def at_once(reckoning: Reckoning, cost: float, now: float = 0.0) -> int:
    """How many rows go in one moment, all of them still under way."""
    count = 0
    while reckoning.room.free_at(now, RATE, cost) <= now:
        reckoning.room.pay(now, cost)
        count += 1
    return count


@pytest.mark.parametrize(("deviations", "count"), [(0.25, 59), (1.0, 57), (4.0, 51), (8.0, 44)])
def test_so_many_standard_deviations_of_what_is_under_way_are_kept_free(deviations, count):
    """Rows of 100 that are off by 30: of 6,000 tokens n rows leave 6,000 - 100 n free, and are off by 30 times the root of n."""
    assert at_once(reckoned(deviations=deviations, usual=100.0), 100.0) == count


@pytest.mark.parametrize(("costs", "count"), [(0.5, 116), (1.0, 57), (2.0, 28)])
def test_what_is_under_way_counts_as_much_as_such_rows_lately_turned_out_to_cost(costs, count):
    assert at_once(reckoned(usual=100.0, costs=costs), 100.0) == pytest.approx(count, abs=1)


def test_what_is_known_leaves_nothing_free_besides_the_row_itself():
    for known, goes in ((5860.0, True), (5880.0, False)):
        reckoning = reckoned(usual=100.0)
        reckoning.room.went.know(0.0, known)
        assert (reckoning.room.free_at(1.0, RATE, 100.0) == 1.0) is goes


@pytest.mark.parametrize(("known", "goes"), [(2700.0, True), (2850.0, False)])
def test_a_row_that_is_twenty_times_the_usual_leaves_half_as_many_deviations_free(known, goes):
    """It is off by 600; four deviations would be 2,400, and the whole window is 6,000."""
    reckoning = reckoned(deviations=4.0, usual=100.0)
    reckoning.room.went.know(0.0, known)
    assert (reckoning.room.free_at(1.0, RATE, 2000.0) == 1.0) is goes


def test_a_row_goes_as_soon_as_enough_has_left_the_window_and_not_before():
    reckoning = reckoned(usual=100.0)
    are_off_by(reckoning, 0.0)
    for second in range(6):
        reckoning.room.went.know(float(second), 1000.0)
    for cost, leaves in ((100.0, 0), (1000.0, 0), (1001.0, 1), (2000.0, 1), (4500.0, 4), (6000.0, 5)):
        at = reckoning.room.free_at(5.5, RATE, cost)
        assert leaves + 6.025 <= at <= leaves + 6.025 + 2 / 128, cost


def test_rows_that_all_cost_just_what_is_expected_leave_nothing_free_and_go_on_for_ever():
    reckoning, now = counting(6.0), 0.0
    for _ in range(40_000):
        now = reckoning.room.free_at(now, RATE, 500.0)
        reckoning.room.pay(now, 500.0)
        reckoning.room.settle(now, 500.0, 500.0)
    assert now == pytest.approx(500.0 * 40_000 / RATE, rel=0.015)


@pytest.mark.parametrize(
    ("window", "at_end", "seconds"), [(6.0, False, 1.5), (60.0, False, 15.0), (1.0, True, 3.0), (6.0, True, 6.0), (60.0, True, 60.0)]
)
def test_a_quarter_of_a_window_is_made_up_for_and_all_of_it_where_answers_are_counted(window, at_end, seconds):
    reckoning = counting(window)
    reckoning.counting.at_end = at_end
    assert reckoning.counting.makes_up_for == seconds


def test_a_row_whose_cost_is_known_better_before_it_ends_counts_with_that():
    reckoning = reckoned(usual=100.0)
    reckoning.room.pay(0.0, 5900.0)
    assert reckoning.room.free_at(1.0, RATE, 1000.0) > 6.0
    reckoning.room.reprice(0.0, 5900.0, 1000.0)
    assert reckoning.room.free_at(1.0, RATE, 1000.0) == 1.0


# What a refusal teaches.


def refuse(reckoning: Reckoning, now: float, cost: float = 100.0) -> None:
    reckoning.room.pay(now, cost)
    reckoning.room.settle(now, cost, 0.0)
    reckoning.refused(now, now, RATE, cost)


def test_one_refusal_in_two_hundred_and_forty_calls_leaves_what_is_kept_free_as_it_was():
    for at_end, calls, wider in ((False, 238, 2.3), (True, 1275, 2.5)):
        reckoning = reckoned(deviations=2.0, usual=100.0)
        reckoning.counting.at_end = at_end
        refuse(reckoning, 0.0)
        assert reckoning.deviations.count == pytest.approx(wider)
        for _ in range(calls):
            reckoning.took(1.0, RATE, 100.0)
        assert reckoning.deviations.count == pytest.approx(2.0, rel=0.002)


def test_where_answers_are_thought_to_be_counted_a_refusal_holds_the_rest_back_for_a_moment():
    reckoning = reckoned(usual=100.0)
    reckoning.counting.at_end = True
    refuse(reckoning, 100.0)
    assert reckoning.room.free_at(100.0, RATE, 100.0) == pytest.approx(100.1)
    assert reckoning.room.free_at(200.0, RATE, 100.0) == 200.0


@pytest.mark.parametrize(("cost", "may"), [(100.0, False), (5000.0, False), (5700.0, True), (6000.0, True)])
def test_a_known_quota_may_be_full_where_what_went_comes_to_a_window_of_it_or_nearly(cost, may):
    limits = limiter(Quota(tpm=60 * RATE))
    limits.pay(100.0, 4000.0)
    limits.settle(100.0, 4000.0, cost - 100.0)
    limits.pay(103.0, 100.0)
    limits.settle(103.0, 100.0, 0.0)
    assert limits.may_explain(103.1, 103.0, "insufficient_quota") is may


def test_a_known_quota_may_be_full_as_long_as_it_is_not_known_of_a_whole_window_what_went():
    reckoning = reckoned(usual=100.0)
    reckoning.room.begin(100.0, Trail(60))
    assert [reckoning.may_be_full(now, now, RATE, 100.0) for now in (101.0, 105.9, 106.1)] == [True, True, False]


def test_what_is_kept_free_has_bounds():
    reckoning = reckoned(usual=100.0)
    for _ in range(100):
        refuse(reckoning, 0.0)
    assert reckoning.deviations.count == 8.0
    for _ in range(10_000):
        reckoning.took(1.0, RATE, 100.0)
    assert reckoning.deviations.count == 0.25


@pytest.mark.parametrize(("at_end", "wider", "most"), [(False, 1.15, 4.6), (True, 1.05, 8.4)])
def test_refusals_of_one_moment_widen_it_each_and_not_for_ever(at_end, wider, most):
    reckoning = reckoned(deviations=1.0)
    reckoning.counting.at_end = at_end
    reckoning.refused_too(0.0, 100.0)
    assert reckoning.deviations.count == pytest.approx(wider)
    for _ in range(100):
        reckoning.refused_too(0.0, 100.0)
    assert most / wider <= reckoning.deviations.count <= most


def test_rows_that_were_refused_beside_another_were_not_in_the_window_and_are_not_sent_again_at_once():
    reckoning = reckoned(usual=100.0)
    reckoning.room.went.know(0.0, 5000.0)
    assert at_once(reckoning, 100.0, 0.5) == 9
    reckoning.room.settle(0.5, 100.0, 0.0)
    reckoning.refused(0.6, 0.5, RATE, 100.0)
    for _ in range(8):
        reckoning.room.settle(0.5, 100.0, 0.0)
        reckoning.refused_too(0.6, 100.0)
    assert reckoning.room.free_at(0.6, RATE, 100.0) == pytest.approx(2.6)


@pytest.mark.parametrize(("window", "seconds"), [(6.0, 2.0), (2.0, 1.0), (60.0, 2.0)])
def test_what_was_refused_is_not_sent_again_for_two_seconds_or_half_a_window_unless_something_leaves(window, seconds):
    reckoning = reckoned(window, usual=100.0)
    reckoning.room.went.know(0.0, 300.0 * window)
    refuse(reckoning, 0.5, 500.0)
    assert reckoning.room.free_at(0.5, RATE, 50.0) == 0.5, "a small one may"
    assert reckoning.room.free_at(0.5, RATE, 500.0) == pytest.approx(0.5 + seconds)
    assert reckoning.room.free_at(0.5 + seconds, RATE, 500.0) == 0.5 + seconds


def test_half_a_deviation_is_kept_under_what_was_refused():
    """Known were 1,800, and the row of 500 is off by 150; one of 300 is off by 90, and one and a quarter times that are kept free."""
    for cost, goes in ((300.0, True), (330.0, False)):
        reckoning = reckoned(usual=500.0)
        reckoning.room.went.know(0.0, 1800.0)
        refuse(reckoning, 0.5, 500.0)
        assert (reckoning.room.free_at(0.6, RATE, cost) == 0.6) is goes


# Which window it is.


def taken(reckoning: Reckoning, cost: float, count: int, *, start: float = 0.0, apart: float = 1.0) -> float:
    now = start
    for _ in range(count):
        reckoning.room.pay(now, cost)
        reckoning.room.settle(now, cost, cost)
        reckoning.took(now, RATE, cost)
        now += apart
    return now


@pytest.mark.parametrize(("cost", "window"), [(150.0, 6.0), (300.0, 20.0), (900.0, 60.0), (6500.0, 60.0)])
def test_a_window_is_taken_to_have_room_for_thirty_rows_before_anything_was_refused(cost, window):
    reckoning = Reckoning()
    taken(reckoning, cost, 30)
    assert reckoning.counting.window == window


@pytest.mark.parametrize("cost", [100.0, 10.0])
def test_a_few_large_rows_at_the_beginning_show_no_longer_window_and_small_ones_no_shorter_one(cost):
    reckoning = Reckoning()
    later = taken(reckoning, 900.0, 2)
    taken(reckoning, cost, 100, start=later)
    assert reckoning.counting.window == 6.0


def test_one_large_row_that_shows_a_longer_window_shows_it_however_small_the_others_are():
    reckoning = Reckoning()
    later = taken(reckoning, 6700.0, 1)
    taken(reckoning, 10.0, 200, start=later, apart=0.1)
    assert reckoning.counting.window == 20.0


@pytest.mark.parametrize(("cost", "window"), [(6500.0, 6.0), (6700.0, 20.0), (22_500.0, 60.0)])
def test_a_row_that_was_taken_though_it_alone_is_more_than_the_window_shows_a_longer_one(cost, window):
    reckoning = reckoned()
    for at in (0.0, 1.0):
        reckoning.took(at, RATE, cost)
    assert reckoning.counting.window == window


def test_a_longer_window_is_tried_after_three_hundred_calls_and_two_minutes_without_a_refusal():
    for apart, calls in ((1.0, 300), (0.1, 1201)):
        reckoning = reckoned(usual=100.0)
        taken(reckoning, 100.0, calls - 3, apart=apart)
        assert reckoning.counting.window == 6.0
        taken(reckoning, 100.0, 6, start=(calls - 3) * apart, apart=apart)
        assert reckoning.counting.window == 20.0


def tried(reckoning: Reckoning, now: float) -> float:
    """Goes on without a refusal until a longer window is tried; when."""
    before = reckoning.counting.window
    while reckoning.counting.window == before:
        now = taken(reckoning, 10.0, 1, start=now)
    return now


def test_a_longer_window_that_is_refused_is_let_go_of_and_tried_again_more_and_more_seldom_up_to_an_hour():
    reckoning, now, rests = reckoned(usual=10.0), 0.0, []
    for _ in range(7):
        began = now
        now = tried(reckoning, now)
        rests.append(now - began)
        assert reckoning.counting.window == 20.0
        windows = []
        for _ in range(5):
            refuse(reckoning, now)
            windows.append(reckoning.counting.window)
        assert windows == [20.0] * 3 + [6.0] * 2
    assert rests == pytest.approx([300, 300, 480, 960, 1920, 3600, 3600], rel=0.02)


@pytest.mark.parametrize(("beside", "ends"), [(2, False), (3, True)])
def test_what_was_under_way_at_another_refusal_counts_against_a_trial_too(beside, ends):
    trials = Trials(reckoned().room)
    trials.begin(0.0, is_trial=True)
    for _ in range(beside):
        trials.refused_too()
    assert (trials.refused(1.0) is not None) is ends


def test_a_longer_window_that_is_not_refused_while_it_is_tried_stays():
    reckoning = reckoned(usual=10.0)
    now = tried(reckoning, 0.0)
    now = taken(reckoning, 10.0, 41, start=now)
    for _ in range(12):
        refuse(reckoning, now)
    assert reckoning.counting.window == 20.0


def test_a_few_refusals_in_a_trial_of_many_calls_end_it_not():
    reckoning = reckoned(usual=10.0)
    now = tried(reckoning, 0.0)
    now = taken(reckoning, 10.0, 1000, start=now, apart=0.03)
    for _ in range(13):
        refuse(reckoning, now)
    assert reckoning.counting.window == 20.0
    for _ in range(3):
        refuse(reckoning, now)
    assert reckoning.counting.window == 6.0


# Where answers are counted when they end.


def test_where_answers_are_counted_a_row_of_any_size_goes_while_less_than_a_window_of_them_came():
    for answers, goes in ((55, True), (61, False)):
        reckoning = reckoned(usual=100.0, deviations=1.0)
        reckoning.counting.at_end = True
        for number in range(answers):
            reckoning.took(number / 100, RATE, 100.0)
        reckoning.deviations.count = 1.0
        assert (reckoning.room.free_at(1.0, RATE, 1e6) == 1.0) is goes
        if not goes:
            assert reckoning.room.free_at(1.0, RATE, 1e6) == pytest.approx(6.02, abs=0.02)


def test_so_many_usual_rows_of_answers_are_kept_free_as_it_is_deviations():
    for deviations, most in ((1.0, 59), (4.0, 56)):
        reckoning = reckoned(usual=100.0)
        reckoning.counting.at_end = True
        count = 0
        reckoning.deviations.count = deviations
        while reckoning.room.free_at(0.5, RATE, 100.0) == 0.5:
            reckoning.took(0.5, RATE, 100.0)
            reckoning.deviations.count = deviations
            count += 1
        assert count == pytest.approx(most, abs=1)


# What is kept.


@pytest.mark.parametrize(
    "kept",
    [
        {"window": 20.0, "deviations": 1.0, "at_end": 0.0},
        {"window": 6.0, "deviations": 2.5, "at_end": 0.0},
        {"window": 6.0, "deviations": 0.25, "at_end": 1.0},
        {"window": 1.0, "deviations": 8.0, "at_end": 1.0},
    ],
)
def test_what_refusals_have_shown_is_kept_and_taken_up(kept):
    reckoning = Reckoning()
    reckoning.teach(kept, 0.0)
    assert reckoning.learnt() == kept
    assert (reckoning.counting.window, reckoning.deviations.count, reckoning.counting.at_end) == (
        kept["window"],
        kept["deviations"],
        kept["at_end"] == 1.0,
    )


def test_where_nothing_was_shown_nothing_is_kept():
    reckoning = Reckoning()
    for _ in range(50):
        reckoning.took(0.0, RATE, 10.0)
    assert reckoning.learnt() == {}
