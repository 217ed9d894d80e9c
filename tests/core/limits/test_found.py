"""What a refusal shows of a token quota that is to be found, where rows differ in what they cost."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchrun.core.limits.buckets import Trail
from batchrun.core.limits.found import Found
from batchrun.core.limits.limiter import Limiter
from batchrun.core.limits.quota import NO_QUOTA, limiter, pace_of_tokens
from batchrun.core.limits.reckoning import ToldReckoning
from batchrun.core.limits.tokens import FoundTokens
from batchrun.core.limits.use import Use
from batchrun.core.limits.windows import Windows
from tests.benchmarks.bars import changed, tokens
from tests.benchmarks.play import Play, World

HELD = 1000.0


def found(holds: float, *, at: float = 100.0, knows_all: bool = True) -> Found:
    """One whose window of a minute, sixty thousand tokens, *holds* so many; rows of five hundred cost just that."""
    reckoning = ToldReckoning()
    if knows_all:
        reckoning.room.begin(-200.0, Trail())
    else:
        reckoning.room.begin(at - 10.0, Trail())
    reckoning.tell(at, 60.0, HELD)
    for _ in range(400):
        reckoning.room.pay(-100.0, 500.0)
        reckoning.room.settle(-100.0, 500.0, 500.0)
    for each in (reckoning.room.guesses._all, *reckoning.room.guesses._classes.values()):
        each.spread = each.own_spread = 0.01
    reckoning.room.went.know(at, holds)
    return Found(reckoning)


def confirmed(holds: float) -> Found:
    one = found(holds)
    one._is_guess = False
    return one


def refused(one: Found, *, at: float = 100.0, held: float = HELD, rate: float = HELD, cost: float = 500.0, climbing: bool = False) -> float:
    return one.refused(at, at, held, rate, cost, climbing=climbing)


def found_by_a_rush(*, answers: float, after: float = 65.0) -> Limiter:
    """A hundred rows of a thousand, as they are guessed, fill a minute within two seconds; *after* so many one more is taken."""
    limits, costs = limiter(NO_QUOTA), [answers if number < 90 else 0.0 for number in range(100)]
    for number, cost in enumerate(costs):
        limits.pay(number / 50, 1000.0)
        if not cost:
            limits.settle(number / 50, 1000.0, 0.0)
            limits.refused(2.1, number / 50, "insufficient_quota", None, 0.5)
    now = 2.2
    while now < 61.0:
        now = limits.free_at(now, 1000.0)
        if now < 61.0:
            limits.pay(now, 1000.0)
            limits.settle(now, 1000.0, 0.0)
            limits.refused(now + 0.05, now, "insufficient_quota", None, 0.5)
            now += 0.05
    for number in range(60):
        limits.settle(number / 50, 1000.0, answers)
        limits.took(61.0, number / 50, answers)
    limits.pay(after, 1000.0)
    limits.free_at(after + 20.0, 1000.0)
    return limits


@pytest.mark.parametrize("answers", [500.0, 1000.0, 1600.0])
def test_a_minute_that_was_filled_by_a_rush_is_found_by_what_that_came_to_and_not_by_what_it_was_guessed_to(answers):
    limits = found_by_a_rush(answers=answers)
    assert limits.tokens.counts_minutes
    assert limits.tokens.held == pytest.approx(0.98 * (60 * answers + 30_000) / 60)
    for number in range(60, 90):
        limits.settle(number / 50, 1000.0, answers)
        limits.took(90.0, number / 50, answers)
    assert limits.tokens.held == pytest.approx(0.98 * 90 * answers / 60), "and so it is by those that come after"


def test_only_what_went_in_the_minute_before_the_first_refusal_corrects_what_that_held():
    windows = Windows(Use())
    windows.use.trail.add(100.0, 6000.0)
    windows.note(100.5, math.inf, 0.0, first=True)
    assert [windows.correct(at, 600.0) for at in (39.0, 41.0, 90.0, 100.5, 101.0)] == [False, True, True, True, False]
    windows.end_episode(130.0, 29.0)
    assert windows.window == 60.0
    assert windows.at_first.minute == pytest.approx(7800.0 / 60)
    windows.note(200.0, math.inf, 0.0, first=True)
    windows.end_episode(230.0, 29.0)
    assert windows.at_first.minute == 0.0, "what the one before came to besides is no more of this one"


def test_any_refusal_ends_that():
    one = found(holds=50_000.0)
    one.is_first = True
    refused(one)
    assert not one.is_first
    limits = found_by_a_rush(answers=1600.0)
    assert isinstance(limits.tokens.rule, FoundTokens)
    held, limits.tokens.rule.found.is_first = limits.tokens.held, False
    limits.settle(80 / 50, 1000.0, 1600.0)
    assert limits.tokens.held == held


def test_what_comes_after_another_refusal_corrects_no_rate_any_more():
    limits = found_by_a_rush(answers=1600.0)
    for number in range(3):
        limits.pay(90.0 + number / 10, 1000.0)
        limits.settle(90.0 + number / 10, 1000.0, 0.0)
        limits.refused(90.05 + number / 10, 90.0 + number / 10, "insufficient_quota", None, 0.5)
    held = limits.tokens.held
    limits.settle(80 / 50, 1000.0, 1600.0)
    assert limits.tokens.held == held


def test_a_climb_that_was_refused_raises_the_rate_half_of_the_way_to_what_the_window_held():
    assert refused(confirmed(61_200.0), rate=1040.0, climbing=True) == pytest.approx(1010.0)


def test_where_rows_are_small_the_rate_stays_a_fiftieth_under_what_the_window_held():
    one = confirmed(61_200.0)
    one.reckoning.room.guesses.usual = 5.0
    assert refused(one, rate=1040.0, climbing=True) == pytest.approx(HELD, abs=1.0)
    assert refused(one, held=900.0, rate=1030.0, climbing=True) == pytest.approx((900 + 0.98 * 1020) / 2, abs=1.0)


def test_a_climb_that_was_refused_lowers_no_rate_and_none_is_raised_beyond_where_it_had_come():
    assert refused(confirmed(40_000.0), rate=1040.0, climbing=True) == HELD
    assert refused(confirmed(90_000.0), rate=1040.0, climbing=True) == pytest.approx(1020.0)


def test_a_climb_that_had_gone_far_finds_the_rate_anew():
    assert refused(confirmed(119_500.0), rate=3000.0, climbing=True) == pytest.approx(1960.0)


def test_what_was_under_way_and_is_refused_as_well_was_not_held():
    one = confirmed(60_000.0)
    one.reckoning.room.pay(100.0, 500.0)
    one.reckoning.room.pay(100.0, 700.0)
    held = refused(one, rate=1040.0, climbing=True)
    assert held == pytest.approx(1010.0, abs=1.0)
    for cost, left in ((500.0, 1005.8), (700.0, 1000.0)):
        one.reckoning.room.settle(100.0, cost, 0.0)
        held = one.refused_beside(100.1, held, cost)
        assert held == pytest.approx(left, abs=1.0)
    assert one.refused_beside(100.1, held, 500.0) >= HELD


def test_in_a_hold_a_refusal_is_a_guess_that_was_off_until_too_many_deviations_are_kept_free():
    one, held = confirmed(59_000.0), [HELD]
    for _ in range(5):
        held.append(refused(one, held=held[-1]))
    assert held == [HELD] * 5 + [990.0]
    assert one.reckoning.deviations.count == 2.0


def test_a_climbs_refusal_keeps_no_more_free():
    one = confirmed(59_000.0)
    refused(one, rate=1040.0, climbing=True)
    assert one.reckoning.deviations.count == 2.0


def test_a_rate_that_an_episode_left_falls_to_what_the_window_would_have_held_and_a_deviation_until_a_climb_confirms_it():
    one = found(56_000.0)
    assert refused(one) == pytest.approx((56_500 + 50) / 60)
    refused(one, rate=1040.0, climbing=True)
    assert refused(one) == HELD


@pytest.mark.parametrize(("holds", "has_fallen"), [(59_000.0, False), (57_900.0, True), (20_000.0, True)])
def test_a_row_that_was_refused_though_it_had_room_however_far_it_was_off_shows_that_the_quota_has_fallen(holds, has_fallen):
    """A row of five hundred that is off by fifty, and a fiftieth of the quota."""
    one = confirmed(holds)
    refused(one)
    assert one.has_fallen is has_fallen


def test_what_left_the_window_while_a_refusal_was_on_its_way_was_in_it_when_the_row_came():
    one = confirmed(59_500.0)
    one.refused(160.08, 160.02, HELD, HELD, 500.0, climbing=False)
    assert not one.has_fallen
    assert one._full_at * 60 == pytest.approx(60_000)


def test_a_large_row_that_may_well_have_been_larger_shows_no_fall():
    one = confirmed(30_000.0)
    one.reckoning.room.guesses._all.spread = one.reckoning.room.guesses._all.own_spread = 0.09
    refused(one, cost=16_000.0)
    assert not one.has_fallen


@pytest.mark.parametrize(("holds", "had_room"), [(59_000.0, False), (57_900.0, True), (20_000.0, True)])
def test_a_row_surely_had_room_where_its_refusal_would_show_that_the_quota_has_fallen(holds, had_room):
    one = confirmed(holds)
    assert one.had_room(100.0, 100.0, HELD, 500.0) is had_room
    refused(one)
    assert one.has_fallen is had_room


def test_of_a_window_that_an_earlier_opening_may_have_filled_it_is_not_known_whether_a_row_had_room():
    assert not found(0.0, knows_all=False).had_room(100.0, 100.0, HELD, 500.0)


@pytest.mark.parametrize(("answered", "had_room"), [(58_000.0, False), (55_000.0, True)])
def test_where_answers_are_counted_a_row_had_room_where_they_came_to_less_than_the_quota_whatever_is_under_way(answered, had_room):
    one = confirmed(70_000.0)
    one.reckoning.counting.at_end = True
    one.reckoning.room.ended.know(100.0, answered)
    assert one.had_room(100.0, 100.0, HELD, 500.0) is had_room


@pytest.mark.parametrize(("left", "before"), [(0.0, HELD), (1_500.0, HELD), (1_600.0, None)])
def test_the_rate_is_what_it_was_before_a_refusal_that_showed_a_fall_until_a_tenth_of_the_window_has_left_it(left, before):
    one = found(left, at=50.0)
    one.reckoning.room.went.know(100.0, 20_000.0 - left)
    refused(one)
    assert one.held_before(111.0) == before


def test_where_a_refusal_showed_no_fall_it_says_nothing_that_the_window_holds_as_much():
    one = confirmed(59_000.0)
    refused(one)
    assert one.held_before(100.0) is None


def test_where_an_earlier_opening_may_have_filled_the_window_nothing_that_was_found_is_lost():
    one = found(0.0, knows_all=False)
    assert refused(one) == HELD
    assert not one.has_fallen
    assert one.fell(HELD) == HELD
    later = found(0.0)
    refused(later)
    assert later.fell(HELD) < 20.0


def test_after_an_episode_the_rate_is_what_the_window_held_when_a_row_was_last_refused_and_half_of_that():
    one = confirmed(60_000.0)
    refused(one)
    one.refused_again(100.0, 500.0)
    assert one.fell(HELD) == HELD
    falling = confirmed(30_000.0)
    refused(falling)
    falling.refused_again(100.0, 500.0)
    assert falling.fell(HELD) == pytest.approx(30_250 / 60)


def sent(window: float, largest: float) -> list[float]:
    """When rows of fifty tokens go, at a rate that was found, after one so large was taken."""
    pace = pace_of_tokens()
    pace.teach({"rate": HELD, "window": window}, 0.0)
    pace.took(1.0, largest)
    pace.hold(100.0, HELD)
    assert pace.room is not None
    now, went = 100.0, []
    while now < 100.0 + 2 * window:
        now = max(now, pace.free_at(now, 50.0))
        pace.pay(now, 50.0)
        pace.room.settle(now, 50.0, 50.0)
        went.append(now)
        now += 0.001
    return went


@pytest.mark.parametrize(("window", "largest"), [(6.0, 2_300.0), (60.0, 50.0)])
def test_rows_go_ahead_of_a_rate_that_was_found_until_its_window_is_full(window, largest):
    went = sent(window, largest)
    assert 22 <= sum(at < 101.0 for at in went) <= 25
    assert max(sum(at <= each < at + window for each in went) for at in went) <= HELD * window / 50.0


def test_where_no_row_was_taken_that_is_too_large_for_a_shorter_window_the_rate_keeps_to_that_too():
    assert sum(at < 101.0 for at in sent(6.0, 2_100.0)) <= 21


def test_six_usual_rows_may_go_in_one_moment_after_a_wait_for_room():
    one = found(0.0)
    assert one.makes_up_for(HELD) == pytest.approx(3.0)


EVENTS = st.lists(st.tuples(st.booleans(), st.booleans(), st.floats(1.0, 20_000.0), st.floats(1.0, 1.5)), max_size=40)


@settings(deadline=None)
@given(st.floats(0.0, 200_000.0), EVENTS)
def test_no_refusal_in_a_hold_raises_a_rate_and_none_at_all_raises_it_beyond_the_climb(holds, events):
    one, held, now = found(holds), HELD, 100.0
    for climbing, beside, cost, climbed in events:
        now += 1.0
        rate = held * climbed if climbing else held
        after = refused(one, at=now, held=held, rate=rate, cost=cost, climbing=climbing)
        if beside:
            after = one.refused_beside(now, after, cost)
        assert 0.0 < after <= rate
        assert not climbing or after >= held
        held = after


# What the reckoning does where it is told the window.


def test_a_row_that_was_refused_goes_further_back_each_time_and_stays_there_until_one_as_large_has_gone():
    reckoning, now, waits = found(50_000.0).reckoning, 100.0, []
    for _ in range(3):
        reckoning.room.pay(now, 8000.0)
        reckoning.room.settle(now, 8000.0, 0.0)
        reckoning.refused(now, now, HELD, 8000.0)
        waits.append(reckoning.room.ceiling.most)
    assert waits[0] > waits[1] > waits[2]
    assert waits[1] - waits[2] == pytest.approx(waits[0] - waits[1])
    assert reckoning.room.free_at(now + 10.0, HELD, 8000.0) > now + 59.0
    assert reckoning.room.free_at(now + 10.0, HELD, 500.0) == now + 10.0, "a smaller one may"
    reckoning.room.pay(now + 10.0, 9000.0)
    reckoning.room.settle(now + 10.0, 9000.0, 0.0)
    assert reckoning.room.free_at(now + 10.0, HELD, 7500.0) == now + 10.0


def test_rows_that_were_refused_together_are_not_sent_again_together():
    one = confirmed(58_000.0)
    for _ in range(4):
        one.reckoning.room.pay(100.0, 500.0)
    one.reckoning.room.settle(100.0, 500.0, 0.0)
    refused(one)
    for _ in range(3):
        one.reckoning.room.settle(100.0, 500.0, 0.0)
        one.refused_beside(100.1, HELD, 500.0)
    assert one.reckoning.room.free_at(100.1, HELD, 300.0) == 100.1, "a smaller one may"
    one.reckoning.room.pay(100.1, 300.0)
    assert one.reckoning.room.free_at(100.1, HELD, 300.0) >= 102.0


def play(caps, seconds: float, *, seed: int = 1) -> Play:
    played = Play(World(caps, seconds=seconds, jitter=0.02, seed=seed))
    played.run()
    return played


@pytest.mark.parametrize("debit", ["admission", "completion"])
def test_that_answers_are_counted_is_found_where_the_quota_is_too(debit):
    rule = play(tokens(250_000, 60, debit=debit), 1800.0).limiters[0].tokens.rule
    assert isinstance(rule, FoundTokens)
    assert rule.reckoning.counting.at_end is (debit == "completion")


@pytest.mark.parametrize("debit", ["admission", "completion"])
def test_a_quota_that_was_found_is_found_within_a_fiftieth(debit):
    for seed in (1, 2):
        held = play(tokens(250_000, 60, debit=debit), 1500.0, seed=seed).limiters[0].tokens.held
        assert held * 60 == pytest.approx(250_000, rel=0.02)


def test_the_window_of_six_seconds_is_not_mistaken_for_a_minute_whatever_is_refused():
    for bar in changed(tokens(600_000, 6), "600000 tpm, 6 s"):
        played = Play(bar.world)
        played.run()
        assert played.limiters[0].tokens.window == 6.0


@pytest.mark.parametrize(("latency", "seed"), [(3.0, 55), (3.0, 66), (8.0, 44), (8.0, 55)])
def test_a_minute_that_was_full_while_no_answers_came_is_not_taken_for_seconds_of_answers_later(latency, seed):
    played = Play(World(tokens(1_000_000, 60), seconds=420.0, jitter=0.02, latency=latency, cap=1000, seed=seed))
    played.run()
    assert (played.limiters[0].tokens.window, played.limiters[0].tokens.counting.at_end) == (60.0, False)
    assert played.report.between(120, 420) >= 0.97 * 1_000_000 / 60


class Resumed(Play):
    """Begins with what an earlier opening had learnt of tokens."""

    def __init__(self, learnt: dict[str, object], world: World) -> None:
        super().__init__(world)
        self.limiters[0].teach({"tokens": learnt}, 0.0)
        self.run()


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("period", [6, 60])
def test_that_answers_are_counted_is_kept_with_a_quota_that_was_found_and_used_from_the_first_minute_on(period, seed):
    world = World(tokens(600_000, period, debit="completion"), seconds=900.0, jitter=0.02, latency=3.0, cap=1000, seed=seed)
    played = Play(world)
    played.run()
    learnt = json.loads(json.dumps(played.limiters[0].learnt()))["tokens"]
    assert learnt["at_end"] == 1.0
    report = Resumed(learnt, replace(world, seconds=240.0, seed=seed + 10)).report
    assert report.between(0, 240) >= 0.95 * 10_000
    assert report.refused_share <= 0.015


def test_that_calls_are_counted_is_not_kept_as_it_is_believed_anyway():
    assert "at_end" not in play(tokens(600_000, 6), 300.0).limiters[0].learnt()["tokens"]


@pytest.mark.parametrize("seed", [1, 2])
def test_that_answers_are_counted_is_given_up_where_it_was_kept_and_is_not_so(seed):
    world = World(tokens(1_000_000, 6), seconds=900.0, jitter=0.02, cap=1000, seed=seed)
    resumed = Resumed({"rate": 16_000.0, "window": 6.0, "at_end": 1.0}, world)
    assert not resumed.limiters[0].tokens.counting.at_end
    assert resumed.report.between(300, 900) >= 0.85 * 1_000_000 / 60


@pytest.mark.parametrize("at_end", [None, 0.0, 0.5, 2.0, math.nan, math.inf, "1.0", [1.0], {}])
def test_whether_answers_are_counted_is_passed_over_where_it_is_kept_as_nothing_that_says_so(at_end):
    limits = limiter(NO_QUOTA)
    limits.teach({"tokens": {"rate": 5000.0, "window": 60.0, "at_end": at_end}}, 0.0)
    assert (limits.tokens.held, limits.tokens.window, limits.tokens.counting.at_end) == (5000.0, 60.0, False)


@pytest.mark.parametrize("rate", [None, 0.0, math.inf, math.nan, "5000"])
def test_that_answers_are_counted_is_passed_over_where_no_rate_was_kept_with_it(rate):
    limits = limiter(NO_QUOTA)
    limits.teach({"tokens": {"rate": rate, "at_end": 1.0}}, 0.0)
    limits.tokens.hold(1.0, 5000.0)
    assert not limits.tokens.counting.at_end


def test_a_resumed_run_that_is_refused_at_once_goes_on_at_the_rate_that_was_found():
    limits = limiter(NO_QUOTA)
    limits.teach({"tokens": {"rate": 5000.0, "window": 60.0}}, 0.0)
    now = limits.free_at(0.0, 1000.0)
    for _ in range(8):
        limits.pay(now, 1000.0)
        limits.settle(now, 1000.0, 0.0)
        limits.refused(now + 0.05, now, "insufficient_quota", None, 0.5)
        now = limits.free_at(now + 0.05, 1000.0)
    assert now < 60.0
    limits.pay(now, 1000.0)
    limits.free_at(now + 5.0, 1000.0)
    assert limits.tokens.held == 5000.0
    assert math.isfinite(limits.free_at(now + 5.0, 1000.0))
