"""One rate: a known quota is kept to with a margin, an unknown one is held where it was found and climbs."""

from __future__ import annotations

import math
import random
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.limits.margin import LEAST_MARGIN, MOST_MARGIN, Margin
from batchrun.core.limits.pace import Pace
from batchrun.core.limits.quota import pace_of_attempts, pace_of_tokens
from batchrun.core.limits.rules import UNDER
from batchrun.core.limits.tokens import UnknownTokens


def go(pace, now, until, *, answered=True, refuses=lambda _now: False):
    """Go as fast as the pace lets; each is answered at once, or never. Return the time and how many went."""
    count = 0
    while (now := pace.free_at(now)) < until:
        pace.pay(now, 1.0)
        if refuses(now):
            pace.uncount(now, 1.0)
            pace.ease(now, now, 1.0)
        elif answered:
            pace.took(now, 1.0)
        count += 1
    return until, count


def found(rate, *, window=6.0):
    """A pace that found *rate*, at time zero, of attempts that are not counted one by one."""
    pace = pace_of_attempts()
    pace.use.latest = None
    pace.teach({"rate": rate, "window": window}, 0.0)
    return pace


@pytest.mark.parametrize("rate", [1.0, 10.0, 100.0, 500.0])
def test_a_known_quota_is_kept_to_half_a_percent(rate):
    _, count = go(pace_of_attempts(rate), 0.0, 600.0)
    assert 0.9945 * 600 * rate <= count <= 0.995 * 600 * rate + 1


def test_nothing_bounds_what_is_neither_known_nor_refused():
    pace = pace_of_attempts()
    pace.pay(0.0, 1e9)
    assert pace.free_at(0.0) == 0.0
    assert pace.rate(0.0) == math.inf


@given(st.lists(st.booleans(), max_size=3000), st.floats(0, 1))
def test_chance_refusals_are_few_while_the_margin_is_not_at_its_widest(chances, lean):
    """A provider that refuses whatever it likes as long as the margin is under a bound of its own."""
    pace, now, refused, count = pace_of_attempts(10.0), 0.0, 0, 0
    for chance in chances:
        now = pace.free_at(now)
        pace.pay(now, 1.0)
        count += 1
        if chance and pace.margin.share < 0.1 * lean:
            pace.uncount(now, 1.0)
            pace.ease(now, now, 1.0)
            refused += 1
        else:
            pace.took(now, 1.0)
    assert refused <= 0.0035 * count + 21


def test_a_margin_narrows_again_to_its_least():
    pace = pace_of_attempts(10.0)
    for _ in range(10):
        pace.ease(0.0, 0.0, 1.0)
    assert pace.margin.share == pytest.approx(LEAST_MARGIN * 1.5**4 * 1.25**6)
    for _ in range(3000):
        pace.took(0.0, 1.0)
    assert 0.01 < pace.margin.share < 0.02
    for _ in range(7000):
        pace.took(0.0, 1.0)
    assert pace.margin.share == LEAST_MARGIN


@given(st.lists(st.booleans(), max_size=3000))
def test_chance_refusals_are_fewer_still_while_the_margin_is_such_as_a_network_explains(chances):
    margin, refused, count = Margin(), 0, 0
    for chance in chances:
        count += 1
        if chance and margin.share < 0.02:
            margin.widen()
            refused += 1
        else:
            margin.narrow()
    assert refused <= 0.0005 * count + 8


def test_a_known_quota_that_is_doubted_is_found_once_no_margin_helps_and_not_before():
    pace, now = pace_of_attempts(10.0), 0.0
    pace.margin.quota_is_doubted = True
    for number in range(1, 901):
        now = pace.free_at(now)
        pace.pay(now, 1.0)
        if number % 10 == 0:
            pace.uncount(now, 1.0)
    for share, is_found in ((MOST_MARGIN / 2, False), (MOST_MARGIN * 0.9, True)):
        pace.margin.share = share
        pace.ease(now, now, 1.0)
        assert pace.is_found is is_found
    assert pace.held == pytest.approx(UNDER * 0.9 * 9.95, rel=0.05)


def test_a_known_quota_that_nobody_doubts_is_kept_to_however_much_is_refused():
    pace = pace_of_attempts(10.0)
    for number in range(200):
        pace.pay(number / 10, 1.0)
        pace.ease(number / 10, number / 10, 1.0)
    assert not pace.is_found


def test_the_first_full_window_is_the_quota():
    for lasted, expected in ((2.0, 100 / 6), (50.0, 100 / 60)):
        pace = pace_of_attempts()
        for number in range(100):
            pace.pay(number / 100, 1.0)
        pace.begin_episode(1.0)
        pace.find(1.0 + lasted, lasted)
        assert pace.held == pytest.approx(expected * UNDER, rel=0.01)


def test_a_quota_that_others_used_up_shows_no_rate():
    pace = pace_of_attempts()
    pace.pay(0.0, 1.0)
    pace.uncount(0.0, 1.0)
    pace.begin_episode(0.0)
    pace.find(60.0, 59.0)
    assert pace.held == math.inf
    assert pace.free_at(60.0) == 60.0


def test_a_held_rate_that_is_used_and_answered_doubles_within_three_minutes():
    for rate, window in ((100.0, 6.0), (100.0, 60.0), (5.0, 6.0)):
        pace = found(rate, window=window)
        go(pace, 0.0, 180.0)
        assert pace.rate(180.0) >= 2 * rate


def test_what_is_not_answered_lets_no_rate_climb():
    pace = found(10.0)
    go(pace, 0.0, 600.0, answered=False)
    assert pace.rate(600.0) == 10.0


def test_what_is_not_used_lets_no_rate_climb():
    pace = found(10.0)
    for second in range(600):
        pace.free_at(float(second))
        pace.pay(float(second), 1.0)
        pace.took(float(second), 1.0)
    assert pace.rate(600.0) == 10.0


def test_a_climb_goes_no_further_than_what_is_used():
    pace, now = found(10.0), 0.0
    while now < 800:
        now = max(pace.free_at(now), now + 1 / 15)
        pace.pay(now, 1.0)
        pace.took(now, 1.0)
    assert 15.0 < pace.rate(800.0) <= 20.0


def test_a_refusal_in_the_climb_sets_the_rate_just_under_what_was_too_much():
    pace = found(10.0)
    go(pace, 0.0, 300.0, refuses=lambda now: pace.rate(now) > 12.0)
    assert 10.8 <= pace.held <= 12.0


def test_in_a_minutes_window_the_last_minute_is_the_quota():
    pace = found(10.0, window=60.0)
    go(pace, 0.0, 60.0)
    pace.ease(60.0, 60.0, 1.0)
    assert pace.held == pytest.approx(10.0 * UNDER, rel=0.01)


@given(st.floats(1, 1e6), st.floats(1e-3, 1e3))
def test_debt_at_a_rate_that_is_a_guess_is_waited_for_no_longer_than_fifteen_seconds(cost, rate):
    pace = found(rate)
    pace.pay(0.0, cost)
    assert 0 <= pace.free_at(0.0) <= 15.0


def test_what_was_found_is_kept_and_taught():
    pace = found(7.5, window=60.0)
    again = pace_of_attempts()
    again.teach(pace.learnt(), 5.0)
    assert (again.held, again.window) == (7.5, 60.0)
    known = pace_of_attempts(10.0)
    assert known.learnt() == {}
    known.ease(0.0, 0.0, 1.0)
    other = pace_of_attempts(10.0)
    other.teach(known.learnt(), 0.0)
    assert other.margin.share == known.margin.share


@pytest.mark.parametrize("kept", [{}, {"rate": "fast"}, {"rate": -1.0}, {"rate": math.nan}, {"rate": math.inf}, {"margin": 0.9}])
def test_what_makes_no_sense_is_not_taken_up(kept):
    pace, known = pace_of_attempts(), pace_of_attempts(10.0)
    pace.teach(kept, 0.0)
    known.teach(kept, 0.0)
    assert pace.rate(0.0) == math.inf
    assert known.margin.share == LEAST_MARGIN


# A hold, and the climb after it.


def of_cost(rate, cost, window=6.0):
    """A pace that found *rate*, whose attempts cost so much each."""
    pace = found(rate * cost, window=window)
    pace.use.typical = cost
    pace.teach({"rate": rate * cost, "window": window}, 0.0)
    return pace


def curve(pace, until, cost=1.0):
    """The rate by second, while all of it is used and answered at once."""
    rates, now, second = [], 0.0, 0
    while (now := pace.free_at(now, cost)) < until:
        while second <= now:
            rates.append(pace.rate(now) / cost)
            second += 1
        pace.pay(now, cost)
        pace.took(now, cost)
    return rates


@pytest.mark.parametrize("cost", [1.0, 40.0])
@pytest.mark.parametrize(
    ("rate", "window", "seconds"),
    [(20.0, 6.0, 30), (4.0, 6.0, 50), (1.0, 6.0, 140), (20.0, 60.0, 60), (4.0, 60.0, 60), (1.0, 60.0, 120)],
)
def test_a_rate_is_held_for_two_hundred_attempts_within_bounds_or_for_whole_minutes_where_that_is_the_window(rate, window, seconds, cost):
    rates = curve(of_cost(rate, cost, window), seconds + 10.0, cost)
    held = sum(each == pytest.approx(rate) for each in rates)
    assert held == pytest.approx(seconds, abs=2.5)
    assert rates[:held] == pytest.approx([rate] * held)


@pytest.mark.parametrize(("window", "hold"), [(6.0, 30), (60.0, 60)])
def test_a_climb_stays_a_step_higher_for_one_window_and_is_twice_as_high_in_its_third_of_a_minute_after(window, hold):
    rates = curve(found(20.0, window=window), hold + window + 40.0)
    step, after = rates[hold + 2 : hold + int(window)], rates[hold + int(window) + 2 :]
    assert step == pytest.approx([20.0 * 1.045] * len(step), rel=1e-3)
    assert after == sorted(after)
    assert next(second for second, rate in enumerate(after) if rate >= 40.0) == pytest.approx(20, abs=2.5)
    assert next(second for second, rate in enumerate(after) if rate >= 24.0) == pytest.approx(10, abs=2.5)


@pytest.mark.parametrize("cost", [1.0, 40.0])
@pytest.mark.parametrize("rate", [0.07, 0.1, 0.3])
def test_a_rate_of_a_few_attempts_a_minute_climbs_as_well(rate, cost):
    rates = curve(of_cost(rate, cost), 600.0, cost)
    assert rates[130] == pytest.approx(rate)
    assert rates[-1] >= 2 * rate


def test_a_rate_that_was_not_looked_at_for_long_has_climbed_by_a_second_at_the_most():
    pace = found(20.0)
    curve(pace, 38.0)
    before = pace.climb._climbed
    for tenth in range(380, 480):
        pace.took(tenth / 10, 2.0)
        pace.use.trail.add(tenth / 10, 2.1)
    pace.rate(48.0)
    assert before < pace.climb._climbed <= before + 1.0


@pytest.mark.parametrize(("sent", "answered", "climbs"), [(0.86, 0.86, True), (0.74, 0.74, False), (1.0, 0.5, True), (1.0, 0.3, False)])
def test_a_rate_climbs_where_four_fifths_of_it_are_sent_and_two_fifths_answered(sent, answered, climbs):
    pace, now, owed = found(10.0), 0.0, 0.0
    while now < 60.0:
        now = max(pace.free_at(now), now + 0.1 / sent)
        pace.pay(now, 1.0)
        owed += answered / sent
        if owed >= 1.0:
            owed -= 1.0
            pace.took(now, 1.0)
    assert (pace.rate(60.0) > 10.4) is climbs


def test_a_known_quota_that_was_found_lower_is_climbed_back_to_and_kept_to_again():
    pace = pace_of_attempts(10.0)
    curve(pace, 60.0)
    pace.begin_episode(60.0)
    pace.hold(60.0, 5.0)
    assert pace.rate(60.0) == pace.held == 5.0
    _, count = go(pace, 60.0, 300.0)
    assert not pace.is_found
    assert pace.rate(300.0) == pytest.approx(9.95)
    assert count > 5.0 * 30 + 7.0 * 30 + 9.9 * 160


def test_no_found_rate_is_more_than_the_quota_or_less_than_an_attempt_in_fifteen_seconds():
    known, unknown = pace_of_attempts(10.0), pace_of_attempts()
    known.hold(0.0, 20.0)
    assert known.held == 10.0
    for typical in (1.0, 300.0):
        unknown.use.typical = typical
        unknown.hold(0.0, 0.0)
        assert unknown.held == pytest.approx(typical / 15)


# What a refusal shows.


def filled(spread, count, *, seconds=60):
    """An unknown pace of which *count* went in the latest *spread* seconds of a minute, and then one was refused."""
    pace = pace_of_attempts()
    for number in range(count):
        pace.pay(seconds - spread + spread * number / count, 1.0)
    pace.begin_episode(float(seconds))
    return pace


@pytest.mark.parametrize(
    ("spread", "lasted", "window", "rate"),
    [
        (3.0, 1.0, 6.0, 120 / 6),
        (3.0, 6.4, 6.0, 120 / 6),
        (3.0, 6.6, 60.0, 120 / 60),
        (60.0, 1.0, 6.0, 12 / 6),
        (60.0, 20.0, 60.0, 120 / 60),
    ],
)
def test_how_long_refusals_last_tells_the_window_and_what_it_held_the_rate(spread, lasted, window, rate):
    pace = filled(spread, 120)
    pace.find(60.0, lasted)
    assert pace.window == window
    assert pace.held == pytest.approx(0.98 * rate, rel=0.05)


def refused_until_answers_leave(*, answered_until=11.0, since=3.0, taken_at=16.0):
    """A hundred rows go in a second and are answered evenly; what is sent from *since* on is refused until one is taken."""
    pace = pace_of_tokens()
    for number in range(100):
        pace.pay(number / 100, 100.0)
    refusals = [since, since + 1.0, since + 3.0, since + 7.0]
    answers = [1.0 + (answered_until - 1.0) * number / 100 for number in range(100)]
    for now, is_answer in sorted([*((at, True) for at in answers if at <= taken_at), *((at, False) for at in refusals)]):
        if is_answer:
            pace.took(now, 100.0)
        elif now == since:
            pace.begin_episode(now)
        else:
            pace.refused_again(now, now, 100.0)
    pace.pay(taken_at, 100.0)
    pace.find(taken_at, refusals[-1] - since)
    return pace


def test_answers_that_fill_six_seconds_at_each_refusal_and_no_longer_are_what_is_counted():
    pace = refused_until_answers_leave()
    assert pace.counting.at_end
    assert pace.window == pace.counting.window == 6.0
    assert pace.held == pytest.approx(UNDER * 20 * 100 / 6, rel=0.05), "what they filled at the first refusal"


@pytest.mark.parametrize(
    "otherwise",
    [{"answered_until": 2.0}, {"taken_at": 11.0}, {"since": 50.0, "answered_until": 60.0, "taken_at": 62.0}],
    ids=["they had left it", "they still fill it", "a minute has drained"],
)
def test_a_minute_is_not_taken_for_answers(otherwise):
    pace = refused_until_answers_leave(**otherwise)
    assert not pace.counting.at_end
    assert pace.window == 60.0


def test_a_window_that_was_not_full_when_the_next_attempt_was_taken_says_that_more_may_be_a_second():
    for lasted, rate in ((0.0, 20.0), (0.5, 60 / 6)):
        pace = filled(3.0, 60)
        pace.find(60.0, lasted)
        assert pace.held == pytest.approx(UNDER * rate, rel=0.05)


def test_a_run_that_began_a_second_ago_is_no_slower_for_what_did_not_go_before_it():
    pace = pace_of_attempts()
    for number in range(50):
        pace.pay(number / 50, 1.0)
        if number >= 25 and number % 5 == 0:
            pace.is_chance(number / 50)
    assert 35.0 <= pace.held <= 50.0


@pytest.mark.parametrize(
    ("before", "after", "window"),
    [((60, 200), (62, 280), 6.0), ((60, 200), (62, 212), 60.0), ((60, 200), (80, 280), 60.0), ((6, 500), (6, 300), 60.0)],
)
def test_a_minute_that_is_fuller_at_one_refusal_than_at_another_while_six_seconds_are_as_full_is_not_the_one_that_was_full(
    before, after, window
):
    """What went in the latest six seconds, and in all of the minute."""
    pace = found(3.0, window=60.0)
    for at, (short, minute) in ((60.0, before), (200.0, after)):
        for number in range(minute - short):
            pace.pay(at - 30.0 + number / 100, 1.0)
        for number in range(short):
            pace.pay(at - 2.0 + number / 100, 1.0)
        pace.ease(at, at, 1.0)
    assert pace.window == window


@pytest.mark.parametrize(
    ("after", "climbed", "window"), [((60, 280), 90.0, 6.0), ((60, 280), 0.0, 60.0), ((60, 212), 90.0, 60.0), ((80, 280), 90.0, 60.0)]
)
def test_so_it_is_of_tokens_that_a_minute_is_believed_to_count_once_a_climb_has_come_far_beyond_what_it_held(after, climbed, window):
    pace = found_tokens(300.0, window=60.0)
    for at, (short, minute) in ((60.0, (60, 200)), (200.0, after)):
        for number in range(minute - short):
            pay_and_take(pace, at - 30.0 + number / 100)
        for number in range(short):
            pay_and_take(pace, at - 2.0 + number / 100)
        pace.climb._climbed = climbed
        pace.ease(at, at, 0.0)
    assert pace.window == window


def pay_and_take(pace, at):
    pace.pay(at, 100.0)
    pace.room.settle(at, 100.0, 100.0)
    pace.took(at, 100.0)


def test_refusals_that_go_on_while_all_windows_are_empty_show_neither_a_rate_nor_a_window():
    for lasted, rate, window in ((70.0, 10.0, 6.0), (40.0, 4.0, 60.0)):
        for pace in (found(10.0), found_tokens(10.0)):
            for second in range(600):
                pace.pay(second / 10, 1.0)
            pace.begin_episode(60.0)
            pace.refused_again(60.0 + lasted, 60.0 + lasted, 1.0)
            pace.find(60.0 + lasted, lasted)
            if pace.room is None or lasted > 60.0:
                assert pace.window == window
                assert rate * 0.5 < pace.held <= rate


def test_it_was_a_minute_that_was_full_where_an_attempt_is_refused_of_which_none_went_in_six_seconds():
    pace = found(10.0)
    pace.rule.note_full(0.0)
    for number in range(1000):
        pace.pay(number / 10, 1.0)
    pace.begin_episode(100.0)
    pace.refused_again(106.2, 106.2, 1.0)
    pace.find(106.2, 6.2)
    assert pace.window == 60.0
    assert 8.0 < pace.held < 10.0


def test_one_refusal_after_a_minute_in_which_little_went_takes_a_rate_no_lower_than_two_fifths_of_it():
    pace = found(10.0, window=60.0)
    for number in range(20):
        pace.pay(58.0 + number / 10, 1.0)
    pace.ease(60.0, 60.0, 1.0)
    assert pace.held == 4.0


def test_a_quota_that_fell_is_found_by_what_the_window_held_at_the_last_refusal():
    pace = found(20.0)
    for second in range(60):
        for _ in range(20 if second < 50 else 5):
            pace.pay(float(second), 1.0)
        if second == 52:
            pace.begin_episode(52.0)
    pace.rule.note_full(60.0)
    pace.find(60.0, 3.0)
    assert pace.held == pytest.approx(0.98 * 5.0, rel=0.1)


def test_a_rate_that_was_found_is_never_found_higher_by_a_refusal():
    pace = found(2.0)
    for number in range(100):
        pace.pay(59.0 + number / 100, 1.0)
    pace.begin_episode(60.0)
    pace.find(60.0, 1.0)
    assert pace.held <= 2.0


@pytest.mark.parametrize(
    ("before", "after", "window"), [((20, 100), (9, 100), 60.0), ((20, 100), (16, 100), 6.0), ((20, 100), (9, 130), 6.0)]
)
def test_a_window_that_holds_the_same_at_two_refusals_while_the_other_does_not_is_the_one_that_was_full(before, after, window):
    """What went in the latest six seconds, and in the rest of the minute before them."""
    pace = pace_of_tokens()
    for at, (short, rest) in ((60.0, before), (200.0, after)):
        pace.pay(at - 30.0, float(rest - short))
        pace.pay(at - 2.0, float(short))
        pace.rule.note_full(at)
    assert pace.window == window


def test_a_refusal_after_the_climb_falls_back_to_what_filled_the_window():
    """The quota is of any six seconds, so it shows three seconds after the rate has passed it; and of a minute at the end of the minute."""
    for window in (6.0, 60.0):
        pace = found(10.0, window=window)
        now = 0.0
        went: list[float] = []
        while now < 400.0:
            now = pace.free_at(now)
            pace.pay(now, 1.0)
            went = [at for at in went if at > now - window]
            if len(went) >= 12.0 * window:
                pace.uncount(now, 1.0)
                pace.ease(now, now, 1.0)
                assert 10.9 <= pace.held <= 12.0, window
            else:
                went.append(now)
                pace.took(now, 1.0)
        assert 10.9 <= pace.held <= 12.0


def test_a_refusal_while_a_rate_is_held_takes_it_a_hundredth_lower_and_not_by_half():
    pace = found(10.0)
    go(pace, 0.0, 20.0)
    pace.ease(20.0, 20.0, 1.0)
    assert 9.3 <= pace.held <= 9.9


def test_few_refusals_among_many_attempts_are_chance_and_a_tenth_of_them_is_a_quota():
    for every, chance in ((60, True), (10, False)):
        pace = pace_of_attempts()
        verdicts = []
        for number in range(1200):
            pace.pay(number / 10, 1.0)
            if number >= 200 and number % every == every - 1:
                pace.uncount(number / 10, 1.0)
                verdicts.append(pace.is_chance(number / 10))
            if pace.is_found:
                break
        assert all(verdicts) is chance
        assert verdicts[:3] == [True] * 3, "three are nothing"
        if not chance:
            assert pace.held == pytest.approx(0.9 * 9.5, rel=0.05)
            assert number < 300


def test_after_a_long_quiet_time_refusals_show_as_soon_as_at_the_beginning():
    pace = pace_of_attempts()
    for number in range(20_000):
        pace.pay(number / 10, 1.0)
        if number > 18_000 and number % 10 == 9:
            pace.uncount(number / 10, 1.0)
            if not pace.is_chance(number / 10):
                break
    assert pace.is_found
    assert number < 18_000 + 500


# Debt, and what saves up.


def test_the_debt_of_a_known_quota_is_waited_for_however_long_it_is():
    pace = pace_of_attempts(1.0)
    pace.pay(0.0, 100.0)
    assert pace.free_at(0.0) == pytest.approx(100 / 0.995)


def test_debt_at_a_guessed_rate_is_waited_for_fifteen_seconds_from_when_it_was_made():
    pace = found(1.0)
    pace.pay(10.0, 100.0)
    assert pace.free_at(10.0) == pace.free_at(20.0) == 25.0
    assert pace.free_at(26.0) == 26.0


def besides(pace: Pace, costs: list[float], every: float) -> float:
    """Pay *costs*, one *every* so many seconds at the most, for something else allows no more; return when the last one goes."""
    now = other = 0.0
    for cost in costs:
        now = max(pace.free_at(now, cost), other)
        while (at := pace.free_at(now, cost)) > now:
            now = at
        sent(pace, now, cost, cost)
        other = now + every
    return now


def sent(pace: Pace, now: float, expected: float, cost: float) -> None:
    """A row goes that is expected to cost so much, and what it did is known at once."""
    pace.pay(now, expected)
    settled(pace, now, expected, cost)


def settled(pace: Pace, at: float, expected: float, cost: float) -> None:
    """What a row did cost that went *at* that time is known."""
    pace.pay_back(expected - cost)
    if pace.room is not None:
        pace.room.settle(at, expected, cost)


def test_a_known_rate_of_tokens_loses_no_time_while_something_else_holds_rows_back():
    """Rows that are by turns a fifth of a second of the rate, and a twentieth: one every eighth of a second is just the rate."""
    costs = [20.0, 5.0] * 200
    for every, seconds in ((0.15, 0.15 * 399), (0.125, 0.125 * 399), (0.1, 0.125 * 399)):
        assert besides(pace_of_tokens(100.0), costs, every) == pytest.approx(seconds, rel=0.03), every
    assert besides(pace_of_attempts(100.0), costs, 0.15) > 1.05 * 0.15 * 399, "what goes at once may be too many calls"


def test_what_held_rows_back_is_made_up_for_up_to_a_quarter_of_a_window():
    pace = pace_of_tokens(100.0)
    sent(pace, 0.0, 50.0, 50.0)
    times = [pace.free_at(600.0, 20.0)]
    for _ in range(20):
        sent(pace, times[-1], 20.0, 20.0)
        times.append(pace.free_at(times[-1], 20.0))
    assert times.count(600.0) == 8, "a second and a half of the window's six: seven rows, and one into debt"
    assert times[-1] == pytest.approx(600.0 + 20 * 0.2 - 1.5, abs=0.03)


def test_what_the_rate_itself_held_back_is_not_made_up_for_if_a_row_cost_less_than_was_expected():
    """Ten rows of a tenth of what was expected, each waited for until it is paid back: a tenth of a second of that is kept."""
    pace, now = pace_of_tokens(100.0), 0.0
    for _ in range(10):
        pace.pay(now, 100.0)
        assert pace.free_at(now, 100.0) > now
        settled(pace, now, 100.0, 10.0)
        now += 0.5
        assert pace.free_at(now, 1.0) == now
    assert rows_at_once(pace, now) == pytest.approx(100 * (0.1 + 0.03), abs=2)


def rows_at_once(pace: Pace, now: float) -> int:
    """Rows of one token each."""
    count = 0
    while pace.free_at(now, 1.0) == now:
        sent(pace, now, 1.0, 1.0)
        count += 1
    return count


def test_a_row_that_something_else_holds_back_is_made_up_for_from_when_it_is_known_that_the_rate_holds_it_back_no_more():
    pace = pace_of_tokens(100.0)
    pace.pay(0.0, 300.0)
    assert pace.free_at(0.0, 1.0) > 2.9
    settled(pace, 0.0, 300.0, 10.0)
    assert pace.free_at(0.5, 1.0) == 0.5
    assert rows_at_once(pace, 1.5) == pytest.approx(100 * (1.0 + 0.03), abs=15)


def test_what_was_made_up_for_once_makes_no_room_for_what_is_paid_back():
    pace = pace_of_tokens(100.0)
    sent(pace, 0.0, 1.0, 1.0)
    for expected, cost in ((100.0, 100.0), (150.0, 10.0)):
        assert pace.free_at(600.0, expected) == 600.0
        sent(pace, 600.0, expected, cost)
    assert rows_at_once(pace, 600.0) == pytest.approx(100 * (0.1 + 0.03), abs=3)


def test_a_loop_that_wakes_late_catches_up_by_less_once_something_was_refused():
    for refused, saved in ((False, 30), (True, 5)):
        pace = pace_of_attempts(1000.0)
        pace.pay(0.0, 1.0)
        if refused:
            pace.ease(0.0, 0.0, 1.0)
        count = 0
        while pace.free_at(100.0) == 100.0:
            pace.pay(100.0, 1.0)
            count += 1
        assert count == pytest.approx(saved, abs=1.5)


def test_what_was_found_is_let_go_of_at_once_and_a_known_quota_holds_again():
    for pace, rate in ((pace_of_attempts(), math.inf), (pace_of_attempts(10.0), 9.95)):
        pace.hold(0.0, 1.0)
        pace.pay(0.0, 3.0)
        pace.forget()
        assert pace.rate(0.0) == pytest.approx(rate)
        assert pace.free_at(0.0) <= 3.1
        assert (pace.free_at(0.0) == 0.0) is (rate == math.inf)


def test_what_is_usual_is_learnt_from_what_was_taken():
    pace = found(100.0)
    assert pace.gap(0.0) == pytest.approx(1 / 100)
    for _ in range(200):
        pace.took(0.0, 50.0)
    assert pace.gap(0.0) == pytest.approx(50 / 100, rel=0.01)


def test_a_refusal_that_belongs_to_another_widens_a_known_quotas_margin_by_as_much_as_it_is_told_and_no_further_than_a_tenth():
    pace = pace_of_attempts(10.0)
    pace.refused_too(0.0, 1.05, 0.0)
    assert pace.margin.share == pytest.approx(LEAST_MARGIN * 1.05)
    for _ in range(500):
        pace.refused_too(0.0, 1.05, 0.0)
    assert pace.margin.share == 0.1
    assert pace.rate(0.0) == pytest.approx(9.0)


# Refusals that are no rate's doing.


def noisy(pace, now, until, every, *, most=math.inf):
    """Up to twelve a second; one in *every* is refused whatever the rate, and what is more than *most* in six seconds."""
    went: list[float] = []
    rates, count = [], 0
    while (now := max(pace.free_at(now), now + 1 / 12)) < until:
        pace.pay(now, 1.0)
        count += 1
        went = [at for at in went if at > now - 6.0]
        if (every and count % every == 0) or len(went) >= 6 * most:
            pace.uncount(now, 1.0)
            if not pace.is_chance(now):
                pace.ease(now, now, 1.0)
        else:
            went.append(now)
            pace.took(now, 1.0)
        rates.append((now, pace.rate(now)))
    return rates


@pytest.mark.parametrize("every", [50, 25, 12])
def test_what_is_refused_at_any_rate_slows_for_no_more_than_the_twenty_seconds_that_it_takes_to_see_it(every):
    rates = noisy(found(10.0), 0.0, 300.0, every)
    assert min(rate for _, rate in rates) >= 6.5
    assert all(rate >= 9.99 for now, rate in rates if now > 20.0)
    assert rates[-1][1] > 12.0


@pytest.mark.parametrize(
    ("every", "falls", "back_by"), [(100, 9.1, 32.0), (66, 9.1, 32.0), (50, 6.6, 60.0), (25, 6.9, 32.0), (12, 6.9, 32.0)]
)
def test_where_others_may_fill_the_window_more_than_a_few_are_chance_only_once_the_rate_has_fallen_far(every, falls, back_by):
    pace = found(10.0)
    pace.climb.noise.has_others = True
    rates = noisy(pace, 0.0, 300.0, every)
    assert falls <= min(rate for _, rate in rates) <= (9.5 if every > 60 else 7.0)
    assert all(rate >= 9.99 for now, rate in rates if now > back_by)
    pace.begin_anew()
    assert pace.climb.noise.has_others


@pytest.mark.parametrize("every", [9, 6])
def test_more_than_a_tenth_that_is_refused_at_any_rate_is_taken_for_a_quota(every):
    pace = found(10.0)
    assert noisy(pace, 0.0, 600.0, every)[-1][1] < 1.0
    assert pace.noise == 0.0
    assert noisy(pace, 600.0, 1200.0, 0)[-1][1] > 10.0, "it is over"


def of_rows(rate: float) -> Pace:
    """Tokens that were found, of which one a row goes."""
    pace = pace_of_tokens()
    pace.teach({"rate": rate, "window": 6.0}, 0.0)
    return pace


def test_a_row_refused_alone_that_had_room_is_chance_and_five_of_them_in_a_hold_that_passes_show_how_often_it_comes():
    for refusals, noise in ((4, 0.0), (5, 0.02)):
        pace = of_rows(5.0)
        for number in range(250):
            pace.pay(number / 10, 1.0)
        assert [pace.is_chance(30.0, had_room=True) for _ in range(refusals)] == [True] * refusals
        assert pace.held == 5.0
        pace.rate(pace.climb.until + 1.0)
        assert pace.noise == pytest.approx(noise)


def test_where_most_that_was_refused_had_no_room_what_had_shows_nothing():
    for others, noise in ((5, 0.02), (6, 0.0)):
        pace = of_rows(5.0)
        for number in range(250):
            pace.pay(number / 10, 1.0)
        for _ in range(5):
            assert pace.is_chance(30.0, had_room=True)
        pace.climb.noise.refusals += others
        pace.rate(pace.climb.until + 1.0)
        assert pace.noise == pytest.approx(noise)


@pytest.mark.parametrize(("share", "left"), [(0.016, 0.008), (0.006, 0.0)])
def test_rows_that_are_hardly_ever_refused_by_chance_are_never(share, left):
    pace = of_rows(5.0)
    pace.climb.noise.share = share
    for number in range(150):
        pace.pay(number / 5, 1.0)
    pace.rate(pace.climb.until + 1.0)
    assert pace.noise == pytest.approx(left)


def test_more_than_a_tenth_is_no_chance_though_each_had_room():
    pace = of_rows(5.0)
    for number in range(20):
        pace.pay(number / 5, 1.0)
    assert [pace.is_chance(4.0, had_room=True) for _ in range(4)] == [True, True, True, False]


def test_how_much_is_refused_so_far_counts_once_a_hundred_attempts_went():
    pace = of_rows(5.0)
    for number in range(99):
        pace.pay(number / 5, 1.0)
    assert [pace.is_chance(20.0, had_room=True) for _ in range(4)] == [True] * 4
    assert pace.noise_so_far == 0.0
    pace.pay(20.0, 1.0)
    assert pace.noise_so_far == pytest.approx(0.04)
    assert pace.noise == 0.0


@pytest.mark.parametrize(("falls", "back_after"), [(0.99, 14), (0.97, 8)])
def test_a_rate_of_tokens_goes_back_where_the_fewer_rows_were_refused_the_further_it_has_fallen(falls, back_after):
    pace, broken = of_rows(5.0), 0
    for number in range(600):
        pace.pay(number / 5, 1.0)
        if number >= 100 and number % 25 == 0:
            broken += 1
            if pace.is_chance(number / 5):
                break
            pace.hold(number / 5, pace.held * falls)
    assert broken == back_after
    assert pace.held == 5.0
    assert 0.01 < pace.noise < 0.05


def test_a_rate_of_tokens_never_goes_back_to_where_it_was_before_an_episode():
    pace = of_rows(100.0)
    for number in range(200):
        pace.pay(number / 50, 1.0)
    for _ in range(4):
        assert not pace.is_chance(4.0)
        pace.hold(4.0, pace.held * 0.9)
    pace.begin_episode(4.0)
    pace.find(10.0, 4.0)
    found_at = pace.held
    for _ in range(40):
        if not pace.is_chance(10.0):
            pace.hold(10.0, pace.held * 0.97)
        assert pace.held <= found_at


def test_a_quota_is_found_under_noise_as_well():
    pace = found(10.0)
    noisy(pace, 0.0, 100.0, 25)
    assert 0.02 <= pace.noise <= 0.05
    rates = [rate for now, rate in noisy(pace, 100.0, 900.0, 25, most=6.0) if now > 300.0]
    assert 5.0 <= sum(rates) / len(rates) <= 7.5


@pytest.mark.parametrize(("every", "noise"), [(0, 0.04), (20, 0.065), (5, 0.08)])
def test_noise_is_believed_half_as_much_after_a_hold_that_had_less_of_it(every, noise):
    pace = found(10.0)
    pace.climb.noise.share = 0.08
    pace.hold(0.0, 10.0)
    now, count = 0.0, 0
    while (now := pace.free_at(now)) < 31.0:
        pace.pay(now, 1.0)
        count += 1
        if every and count % every == 0:
            pace.climb.noise.refusals += 1
        else:
            pace.took(now, 1.0)
    assert pace.noise == pytest.approx(noise, rel=0.02)


@pytest.mark.parametrize(("noise", "count"), [(0.04, 9), (0.08, 17)])
def test_twice_as_many_refusals_as_noise_explains_are_chance_and_no_more(noise, count):
    pace = found(10.0)
    pace.climb.noise.share = noise
    for number in range(100):
        pace.pay(number / 10, 1.0)
    assert [pace.is_chance(10.0) for _ in range(count + 3)] == [True] * count + [False] * 3


def test_refusals_that_come_with_others_are_as_much_of_what_noise_explains():
    pace = found(10.0)
    pace.climb.noise.share = 0.08
    for number in range(100):
        pace.pay(number / 10, 1.0)
    for _ in range(10):
        pace.count_beside()
    assert [pace.is_chance(10.0) for _ in range(9)] == [True] * 7 + [False] * 2


def test_noise_is_believed_half_as_much_once_refusals_are_shown_to_be_the_rates_doing():
    pace = found(10.0)
    pace.climb.noise.share = 0.08
    pace.blame_rate()
    assert pace.noise == pytest.approx(0.04)
    assert not pace.margin.quota_is_doubted, "there is none"


def test_what_is_no_rates_doing_is_not_told_before_a_hundred_attempts_and_three_broken_holds():
    pace = found(10.0)
    for number in range(1, 111):
        pace.pay(number / 10, 1.0)
        if number % 10 == 0:
            chance = pace.is_chance(number / 10)
            assert chance is (number >= 100), number
            if not chance:
                pace.ease(number / 10, number / 10, 1.0)
    assert pace.held == 10.0
    for broken in (1, 2, 3):
        pace = found(10.0)
        for _ in range(200):
            pace.pay(1.0, 1.0)
        verdicts = []
        for _ in range(broken):
            verdicts.append(pace.is_chance(1.0))
            pace.hold(1.0, pace.held * 0.9)
        assert verdicts == [False, False, True][:broken]


def test_a_refusal_in_the_first_seconds_of_a_climb_falls_under_the_rate_before_it():
    pace = found(10.0)
    curve(pace, 32.0)
    assert pace.rate(32.0) == pytest.approx(10.45)
    pace.ease(32.0, 32.0, 1.0)
    assert 9.3 <= pace.held <= 10.0


# Windows that have room for a few attempts.


def few(pace, now, until, most, *, aligned=False, resumes=math.inf):
    """A provider that takes so many attempts in six seconds, and more once it *resumes*; when those were that it refused."""
    went: list[float] = []
    refused = []
    while (now := pace.free_at(now)) < until:
        pace.pay(now, 1.0)
        start = now // 6 * 6 if aligned else now - 6
        went = [at for at in went if at > start or (aligned and at == start)]
        if len(went) >= (most if now < resumes else 2 * most):
            pace.uncount(now, 1.0)
            if not pace.is_chance(now):
                pace.ease(now, now, 1.0)
            refused.append(now)
        else:
            went.append(now)
            pace.took(now, 1.0)
    return refused


def found_few(most):
    pace = pace_of_attempts()
    pace.teach({"rate": UNDER * most / 6, "window": 6.0}, 0.0)
    return pace


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("most", [2, 3, 6, 9, 15])
def test_where_a_window_has_room_for_a_few_attempts_a_climb_costs_one_refusal_and_the_rate_stays(most, aligned):
    pace = found_few(most)
    refused = few(pace, 0.0, 7200.0, most, aligned=aligned)
    assert pace.held == pytest.approx(UNDER * most / 6, rel=0.02)
    assert 10 <= len(refused) <= 7200 / max(30.0, min(140.0, 200 * 6 / most)) * 1.25


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("most", [2, 3, 6, 9])
def test_where_a_window_has_room_for_a_few_attempts_twice_as_many_are_found_within_three_minutes(most, aligned):
    pace = found_few(most)
    few(pace, 0.0, 1200.0, most, aligned=aligned, resumes=1000.0)
    few(pace, 1200.0, 1260.0, 2 * most, aligned=aligned)
    assert pace.held == pytest.approx(UNDER * 2 * most / 6, rel=0.03)


def test_a_window_of_a_few_attempts_that_was_found_one_too_small_is_found_larger():
    for aligned in (True, False):
        pace = found_few(5)
        few(pace, 0.0, 1200.0, 6, aligned=aligned)
        assert pace.held == pytest.approx(UNDER * 6 / 6, rel=0.02)


def test_a_refusal_while_the_window_holds_little_is_none_of_a_window_of_a_few_attempts():
    pace = found_few(6)
    pace.pay(0.0, 1.0)
    pace.ease(0.0, 0.0, 1.0)
    assert 0.9 * 0.98 <= pace.held < 0.98


def test_what_was_under_way_at_the_first_refusal_and_refused_as_well_was_not_in_the_window():
    pace = filled(3.0, 120)
    for _ in range(20):
        pace.refused_with_it(1.0)
    pace.find(60.0, 1.0)
    assert pace.held == pytest.approx(UNDER * 100 / 6, rel=0.01)


# Attempts that differ in what they cost.


def found_tokens(rate, *, window=6.0):
    pace = pace_of_tokens()
    pace.teach({"rate": rate, "window": window}, 0.0)
    return pace


def rows(pace, now, until, cost):
    """Each costs what was expected, and is answered at once."""
    while (now := pace.free_at(now, cost)) < until:
        pace.pay(now, cost)
        assert pace.room is not None
        pace.room.settle(now, cost, cost)
        pace.took(now, cost)
    return until


@pytest.mark.parametrize("window", [6.0, 60.0])
@pytest.mark.parametrize(("spread", "within"), [(0.0, 640.0), (0.8, 640.0), (1.5, 900.0)])
def test_the_slowest_rate_of_tokens_climbs_as_any_other_whatever_rows_cost(window, spread, within):
    """One row in fifteen seconds, and three until it is answered; few looks are had at so slow a rate."""
    dice, pace, now, answers = random.Random(3), pace_of_tokens(), 0.0, deque[tuple[float, float, float]]()
    pace.use.typical = 500.0
    pace.teach({"rate": 0.01, "window": window}, 0.0)
    slowest = pace.held
    assert pace.room is not None
    while pace.rate(now) < 10 * slowest:
        assert now < within
        cost = 500 * dice.lognormvariate(0.0, spread)
        while answers and answers[0][0] <= pace.free_at(now, cost):
            now, launched_at, was = answers.popleft()
            pace.room.settle(launched_at, was, was)
            pace.took(now, was)
        now = pace.free_at(now, cost)
        pace.pay(now, cost)
        answers.append((now + 3.0, now, cost))


def test_what_went_before_a_rate_of_tokens_was_found_fills_the_window_after():
    pace = pace_of_tokens()
    for number in range(100):
        pace.pay(1.0 + number / 100, 60.0)
    pace.begin_episode(2.0)
    pace.find(2.5, 0.5)
    assert pace.held == pytest.approx(UNDER * 1000)
    assert 6.5 <= pace.free_at(2.5, 60.0) <= 8.0


def test_a_climb_of_tokens_that_was_refused_early_leaves_the_rate_and_a_later_one_finds_it_anew():
    for until, low, high in ((35.0, 1000.0, 1025.0), (70.0, 1150.0, 4000.0)):
        pace = found_tokens(1000.0)
        now = rows(pace, 0.0, until, 50.0)
        pace.ease(now, now, 50.0)
        assert low <= pace.held <= high


def test_any_refusal_of_tokens_shows_that_the_quota_has_not_risen_and_the_hold_begins_anew():
    pace = found_tokens(1000.0)
    now = rows(pace, 0.0, 25.0, 50.0)
    pace.ease(now, now, 50.0)
    assert rows(pace, now, now + 29.0, 50.0)
    assert pace.rate(now + 29.0) == 1000.0


def test_where_rows_differ_a_few_large_ones_and_the_waits_for_them_stop_no_climb():
    pace = found_tokens(1000.0)
    now = 0.0
    for _ in range(200):
        cost = 3000.0
        for _ in range(2):
            now = pace.free_at(now, cost)
            pace.pay(now, cost)
            assert pace.room is not None
            pace.room.settle(now, cost, cost)
            pace.took(now, cost)
            cost = 100.0
        if pace.rate(now) > 1000.0:
            break
    began = now
    while pace.rate(now) < 2000.0:
        now = rows(pace, now, now + 3.0, 700.0)
    assert now - began <= 45.0


def test_a_rate_of_tokens_that_is_let_go_of_is_reckoned_with_no_more():
    pace = found_tokens(1000.0)
    pace.forget()
    assert isinstance(pace.rule, UnknownTokens)
    assert pace.free_at(0.0, 1e9) == 0.0


def test_what_was_refused_tells_what_a_usual_row_costs_until_one_was_answered():
    tokens, attempts = pace_of_tokens(), pace_of_attempts()
    for pace in (tokens, attempts):
        pace.use.expect(800.0)
    assert (tokens.use.typical, attempts.use.typical) == (800.0, 1.0)
    tokens.took(2.0, 800.0)
    tokens.use.expect(20_000.0)
    assert tokens.use.typical == 800.0


def test_a_rate_of_tokens_that_was_found_makes_up_for_no_more_than_room_and_what_its_pool_held_back():
    for seconds, rows in ((0.0, 1), (10.0, 7)):
        pace = of_rows(100.0)
        for second in range(5):
            sent(pace, float(second), 10.0, 10.0)
            assert pace.free_at(second + 0.5, 10.0) == second + 0.5, "what held it back from then on was no room"
        pace.make_up_for(seconds)
        went = 0
        while pace.free_at(5.0, 10.0) == 5.0:
            sent(pace, 5.0, 10.0, 10.0)
            went += 1
        assert went == pytest.approx(rows, abs=1)
