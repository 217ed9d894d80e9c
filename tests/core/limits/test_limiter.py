"""What one quota holder may do: attempts, tokens, growth, pauses, and what refusals teach."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.limits.quota import NO_QUOTA, Quota, limiter

RPM, TPM, GROWTH = "limit_requests", "insufficient_quota", "limit_burst_rate"
JITTERS = st.floats(0, 1, exclude_max=True)


def go(limits, now, until, tokens=1.0):
    """Launch as fast as may be, each answered at once. Return how many went."""
    count = 0
    while (now := max(limits.free_at(now), now)) < until:
        limits.pay(now, tokens)
        limits.settle(now, tokens, tokens)
        limits.took(now, now, tokens)
        now += 0.001
        count += 1
    return count


COLD = 3
"""Refusals in a row that a quota takes of which nothing is known, before it is taken to be full."""
GROWN = 8
"""Complaints of growth among the latest attempts that slow a climb, where they are half of them."""


def refuse(limits, now, code=RPM, *, tokens=1.0, launched_at=None, retry_after=None, jitter=0.5, times=1):
    """Launch at *now* and be refused 50 ms later, so many *times* in a row. Return when."""
    for _ in range(times):
        limits.pay(now, tokens)
        limits.settle(now, tokens, 0.0)
        limits.refused(now + 0.05, now if launched_at is None else launched_at, code, retry_after, jitter)
        now += 0.05
    return now


def fill(limits, now, count):
    """Launch *count* at once."""
    for _ in range(count):
        limits.pay(now, 1.0)


@pytest.mark.parametrize(("quota", "tokens", "per_second"), [(Quota(rpm=600), 1.0, 10), (Quota(tpm=60_000), 100.0, 10)])
def test_a_known_quota_is_kept_whichever_it_is(quota, tokens, per_second):
    assert 0.97 * per_second * 300 <= go(limiter(quota), 0.0, 300.0, tokens) <= per_second * 300


def test_of_two_known_quotas_the_lesser_is_used_though_rows_wait_by_turns_for_the_one_and_for_the_other():
    """A call a tenth of a second; a large row is a sixth of a second's tokens, a small one a hundredth's."""
    limits, now = limiter(Quota(rpm=600, tpm=60_000)), 0.0
    for cost in [170.0, 10.0] * 500:
        while (at := limits.free_at(now, cost)) > now:
            now = at
        limits.pay(now, cost)
        limits.settle(now, cost, cost)
        limits.took(now, now, cost)
    assert now == pytest.approx(999 / 9.95, rel=0.02)


def at_once(limits, now, tokens):
    """How many rows go in one moment."""
    count = 0
    while limits.free_at(now, tokens) <= now:
        limits.pay(now, tokens)
        limits.settle(now, tokens, tokens)
        count += 1
    return count


def test_neither_a_pause_nor_a_rate_of_attempts_that_is_a_guess_is_made_up_for_by_tokens_that_go_at_once():
    guess = limiter(Quota(tpm=60_000))
    guess.teach({"attempts": {"rate": 1.0, "window": 6.0}}, 0.0)
    now = 0.0
    for _ in range(60):
        while (at := guess.free_at(now, 20.0)) > now:
            now = at
        assert at_once(guess, now, 20.0) == 1
    guess.attempts.forget()
    paused = limiter(Quota(tpm=60_000))
    paused.pay(0.0, 20.0)
    assert paused.free_at(0.01, 20.0) > 0.01
    paused.settle(0.0, 20.0, 0.0)
    paused.refused(0.05, 0.0, RPM, 30.0, 0.5)
    assert paused.free_at(30.1, 20.0) <= 30.1
    paused.pay(30.1, 20.0)
    paused.settle(30.1, 20.0, 20.0)
    paused.took(33.0, 30.1, 20.0)
    idle = limiter(Quota(tpm=60_000))
    go(idle, 0.0, 60.0, 20.0)
    assert at_once(guess, now, 20.0) <= 3
    assert at_once(paused, 33.0, 20.0) <= 3
    assert at_once(idle, 120.0, 20.0) > 10, "as many as growth lets: whatever held it back, it was no refusal"


@given(
    st.sampled_from([NO_QUOTA, Quota(rpm=600), Quota(rpm=60, tpm=1_000_000), Quota(tpm=100_000)]),
    st.lists(st.tuples(st.sampled_from([RPM, TPM, GROWTH]), JITTERS, st.floats(0, 30)), max_size=60),
    st.booleans(),
)
def test_refusals_for_ever_never_keep_the_next_attempt_waiting_more_than_twenty_seconds(quota, refusals, under_known):
    limits, now = limiter(quota, under_known=under_known), 0.0
    for code, jitter, rest in refusals:
        due = limits.free_at(now)
        assert now <= due <= now + 20
        now = refuse(limits, max(due, now) + rest, code, tokens=50.0, jitter=jitter)
    assert now <= limits.free_at(now) <= now + 20
    assert limits.free_at(now + 20) <= now + 40


@given(st.lists(st.sampled_from(["took", "refused", "late", "unsent", "rest"]), max_size=200), JITTERS)
def test_an_attempt_is_never_free_in_the_past(events, jitter):
    limits, now = limiter(NO_QUOTA), 0.0
    for event in events:
        due = limits.free_at(now)
        assert due >= now
        assert math.isfinite(due)
        now = due + (40.0 if event == "rest" else 0.0)
        limits.pay(now, 10.0)
        if event == "took":
            limits.settle(now, 10.0, 12.0)
            limits.took(now + 1, now, 12.0)
        elif event == "unsent":
            limits.settle(now, 10.0, 0.0)
            limits.unsent(now)
        elif event in {"refused", "late"}:
            limits.settle(now, 10.0, 0.0)
            limits.refused(now + 0.05, now - (5 if event == "late" else 0), RPM, None, jitter)


def test_the_first_refusals_in_a_row_of_an_unknown_quota_pause_it_and_let_one_through():
    limits = limiter(NO_QUOTA)
    fill(limits, 0.0, 10)
    now = refuse(limits, 0.0, times=COLD)
    assert limits.waits_until == limits.free_at(now) == pytest.approx(now + 0.75)
    due = limits.free_at(now)
    limits.pay(due, 1.0)
    assert limits.free_at(due) > due
    assert limits.episodes == 1


def test_refusals_of_one_moment_are_one_episode():
    limits = limiter(NO_QUOTA)
    now = refuse(limits, 0.0, times=COLD - 1)
    fill(limits, now, 50)
    for _ in range(30):
        limits.refused(now + 0.05, now, RPM, None, 0.5)
    assert limits.episodes == 1
    assert limits.waits_until == pytest.approx(now + 0.8)


def test_a_few_refusals_among_many_answers_are_taken_for_chance():
    limits, now = limiter(NO_QUOTA), 0.0
    for number in range(1000):
        now = limits.free_at(now) + 0.05
        if number % 60 == 59:
            now = refuse(limits, now)
        else:
            limits.pay(now, 1.0)
            limits.took(now, now, 1.0)
    assert limits.episodes == 0
    assert not limits.has_found


def test_refusals_that_no_lower_rate_mends_do_not_slow_a_quota_that_is_unknown():
    limits, now, answered = limiter(NO_QUOTA), 0.0, 0
    while now < 1200.0:
        now = max(now + 0.1, limits.free_at(now))
        answered += now >= 600.0
        limits.pay(now, 1.0)
        if answered % 25 == 24 or (now < 600.0 and round(now * 10) % 25 == 0):
            limits.settle(now, 1.0, 0.0)
            limits.refused(now + 0.05, now, RPM, None, 0.5)
        else:
            limits.took(now + 0.05, now, 1.0)
    assert answered >= 0.9 * 6000


def test_an_answer_that_takes_minutes_keeps_nobody_waiting_after_a_pause():
    limits = limiter(NO_QUOTA)
    fill(limits, 0.0, 60)
    due = limits.free_at(refuse(limits, 0.0, times=COLD))
    limits.pay(due, 1.0)
    due = limits.free_at(limits.free_at(due))
    assert due <= 3.0
    assert limits.waits_until == -math.inf
    assert limits.attempts.is_found


def test_pauses_double_up_to_eight_seconds():
    limits, pauses = limiter(NO_QUOTA), []
    fill(limits, 0.0, 10)
    now = refuse(limits, 0.0, jitter=0.999999, times=COLD)
    for _ in range(6):
        now = refuse(limits, limits.free_at(now), jitter=0.999999)
        pauses.append(round(limits.free_at(now) - now, 3))
    assert pauses == [2, 4, 8, 8, 8, 8]


@pytest.mark.parametrize("code", [RPM, TPM, "Throttling.Concurrency"])
def test_a_thousand_refusals_in_a_row_still_pause_for_eight_seconds(code):
    limits, now = limiter(NO_QUOTA), 0.0
    for _ in range(1100):
        now = refuse(limits, max(now, limits.free_at(now)), code)
    assert 4.0 <= limits.free_at(now) - now <= 8.0


def test_one_refusal_under_a_known_quota_pauses_nothing():
    for limits in (limiter(Quota(rpm=600)), limiter(NO_QUOTA, under_known=True)):
        go(limits, 0.0, 60.0)
        now = refuse(limits, limits.free_at(60.0))
        assert limits.episodes == 0
        assert limits.free_at(now) <= now + 0.2


def test_refusals_in_a_row_pause_a_known_quota_and_leave_its_rate():
    limits = limiter(Quota(rpm=600))
    now = 0.0
    for _ in range(6):
        now = refuse(limits, limits.free_at(now))
    assert limits.episodes == 1
    due = limits.free_at(now)
    assert due > now + 0.4
    limits.pay(due, 1.0)
    limits.took(due + 1, due, 1.0)
    assert not limits.attempts.is_found


def test_a_known_quota_that_is_not_there_is_found_lower():
    limits, now = limiter(Quota(rpm=600)), 0.0
    window: list[float] = []
    while now < 300:
        now = limits.free_at(now)
        window = [at for at in window if at > now - 6]
        if len(window) >= 30:
            now = refuse(limits, now)
        else:
            window.append(now)
            limits.pay(now, 1.0)
            limits.took(now, now, 1.0)
    assert limits.attempts.rate(now) <= 6.0


def test_a_refusal_for_tokens_leaves_attempts_alone():
    limits = limiter(NO_QUOTA)
    fill(limits, 0.0, 60)
    due = limits.free_at(refuse(limits, 0.0, TPM, times=COLD))
    limits.pay(due, 1.0)
    limits.took(due + 1, due, 1.0)
    assert limits.tokens.is_found
    assert not limits.attempts.is_found


@pytest.mark.parametrize(("quota", "seconds"), [(NO_QUOTA, 2.4), (Quota(rpm=600_000), 0.3)], ids=["unknown", "known"])
def test_calls_grow_in_number_within_a_second_where_the_quota_is_known_and_more_slowly_where_it_is_looked_for(quota, seconds):
    limits = limiter(quota)
    steps = [in_one_moment(limits, step / 200) for step in range(round(seconds * 200))]
    assert sum(steps[:20]) < (50 if quota == NO_QUOTA else 300)
    assert max(steps[:20]) <= 20
    assert sum(steps[-20:]) >= (95 if quota == NO_QUOTA else 1000)


def test_growth_that_was_too_fast_slows_the_climb_and_not_the_rate():
    limits = limiter(NO_QUOTA)
    fill(limits, 0.0, 20)
    due = limits.free_at(complain(limits, 0.0))
    limits.pay(due, 1.0)
    limits.took(due + 0.5, due, 1.0)
    assert not limits.attempts.is_found
    first = go(limits, due + 0.5, due + 5.5)
    later = go(limits, due + 35.5, due + 40.5)
    assert first < 1000 < later


def test_retry_after_is_a_floor_and_teaches_no_rate():
    limits = limiter(Quota(rpm=600))
    now = refuse(limits, 0.0, retry_after=45.0)
    assert limits.free_at(now) >= 45.0
    due = limits.free_at(now)
    limits.pay(due, 1.0)
    limits.took(due + 1, due, 1.0)
    assert not limits.attempts.is_found


def test_a_retry_after_holds_although_the_pause_that_it_came_in_has_ended():
    limits = limiter(NO_QUOTA)
    for _ in range(2):
        limits.pay(0.0, 1.0)
    limits.refused(0.05, 0.0, RPM, 1.0, 0.5)
    limits.pay(1.05, 1.0)
    limits.refused(1.1, 0.0, RPM, 30.0, 0.5)
    limits.took(1.2, 1.05, 1.0)
    assert limits.free_at(1.2) == limits.waits_until == 31.1
    limits.forget()
    assert limits.free_at(1.2) == 31.1


def test_an_attempt_that_was_to_try_and_was_not_made_leaves_it_to_the_next():
    limits = limiter(NO_QUOTA)
    now = refuse(limits, 0.0, times=COLD)
    due = limits.free_at(now)
    limits.pay(due, 1.0)
    limits.settle(due, 1.0, 0.0)
    limits.unsent(due)
    assert limits.free_at(due) == due
    limits.pay(due + 60.0, 1.0)
    assert limits.free_at(due + 60.0) > due + 60.0


def test_what_is_neither_taken_nor_refused_lets_nothing_grow():
    limits = limiter(NO_QUOTA)
    limits.teach({"attempts": {"rate": 10.0, "window": 6.0}}, 0.0)
    now = 0.0
    while now < 600:
        now = limits.free_at(now)
        limits.pay(now, 1.0)
    assert limits.attempts.rate(now) == 10.0


def test_what_was_not_sent_costs_nothing():
    limits = limiter(Quota(rpm=60))
    limits.pay(0.0, 0.0)
    limits.unsent(0.0)
    assert limits.free_at(0.0) == 0.0
    assert limits.attempts.use.trail.sum(0.0, 6.0) == 0


def test_forgetting_ends_the_pause_and_the_rate():
    limits = limiter(NO_QUOTA)
    limits.teach({"attempts": {"rate": 0.5, "window": 6.0}}, 0.0)
    limits.pay(0.0, 1.0)
    assert limits.free_at(0.0) > 1.0
    limits.forget()
    assert limits.free_at(0.0) == 0.0
    assert limits.waits_until == -math.inf


def test_what_was_found_survives_json_and_goes_behind_what_the_job_names():
    limits = limiter(NO_QUOTA)
    fill(limits, 0.0, 60)
    due = limits.free_at(refuse(limits, 0.0, times=COLD))
    limits.pay(due, 1.0)
    limits.took(due + 1, due, 1.0)
    kept = json.loads(json.dumps(limits.learnt()))
    again = limiter(NO_QUOTA)
    again.teach(kept, 0.0)
    assert again.attempts.held == limits.attempts.held < math.inf
    named = limiter(Quota(rpm=6000))
    named.teach(kept, 0.0)
    assert named.attempts.rate(0.0) == pytest.approx(99.5)


@pytest.mark.parametrize("kept", [None, 3, [], {"attempts": 3.0}, {"attempts": {"rate": None}}, {"tokens": {"margin": "wide"}}])
def test_what_was_kept_by_something_else_is_passed_over(kept):
    limits = limiter(NO_QUOTA)
    limits.teach(kept, 0.0)
    assert limits.learnt() == {}


def test_what_was_in_flight_at_a_refusal_says_little_more():
    limits = limiter(Quota(rpm=600))
    fill(limits, 0.0, 12)
    for number in range(10):
        limits.refused(0.05 + number / 1000, 0.0, RPM, None, 0.5)
    assert limits.episodes == 0
    assert limits.attempts.margin.share < 0.005 * 1.5 * 1.05**10


def test_forgetting_lets_the_next_go_in_the_middle_of_a_pause():
    limits = limiter(NO_QUOTA)
    now = refuse(limits, 0.0, times=COLD)
    assert limits.free_at(now) > now
    limits.forget()
    assert limits.free_at(now) == now


# How many refusals begin an episode, and of what.


def episodes_after(limits, count, *, code=RPM):
    """Episodes after each of so many refusals in a row."""
    now, found = 0.0, []
    for _ in range(count):
        now = refuse(limits, now, code)
        found.append(limits.episodes)
    return found


def taught(rate):
    limits = limiter(NO_QUOTA)
    limits.teach({"attempts": {"rate": rate, "window": 6.0}, "tokens": {"rate": rate, "window": 6.0}}, 0.0)
    return limits


@pytest.mark.parametrize(
    ("limits", "code", "patience"),
    [
        (lambda: limiter(NO_QUOTA), RPM, 3),
        (lambda: limiter(NO_QUOTA), TPM, 3),
        (lambda: limiter(NO_QUOTA), GROWTH, GROWN),
        (lambda: limiter(NO_QUOTA), "Throttling.Concurrency", 8),
        (lambda: limiter(Quota(rpm=60_000)), RPM, 6),
        (lambda: limiter(NO_QUOTA, under_known=True), RPM, 6),
        (lambda: limiter(NO_QUOTA, under_known=True), TPM, 6),
        (lambda: limiter(Quota(tpm=60_000)), TPM, 6),
        (lambda: limiter(Quota(tpm=60_000)), RPM, 3),
        (lambda: taught(1000.0), RPM, 2),
        (lambda: taught(1000.0), TPM, 3),
    ],
)
def test_refusals_in_a_row_pause_once_there_are_enough_to_be_no_chance(limits, code, patience):
    assert episodes_after(limits(), patience + 1, code=code) == [0] * (patience - 1) + [1, 1]


def test_an_answer_in_between_begins_the_row_anew():
    for limits, code, patience in ((limiter(Quota(rpm=60_000)), RPM, 6), (limiter(NO_QUOTA), "Throttling.Concurrency", 8)):
        now = 0.0
        for _ in range(5):
            now = refuse(limits, limits.free_at(now), code, times=patience - 1)
            limits.pay(now, 1.0)
            limits.took(now, now, 1.0)
        assert limits.episodes == 0


def test_an_answer_to_what_was_sent_before_the_refusals_begins_no_row_anew():
    limits, now = limiter(Quota(rpm=60_000)), 1.0
    for count in range(6):
        assert limits.episodes == 0, count
        now = refuse(limits, now)
        limits.took(now, 0.5, 1.0)
    assert limits.episodes == 1


def test_refusals_that_come_far_apart_are_no_row():
    """At six hundred a minute attempts go a tenth of a second apart: two and a half times that is far."""
    for apart, row in ((0.22, True), (0.33, False)):
        limits, now = limiter(Quota(rpm=600)), 0.0
        for _ in range(8):
            limits.pay(now, 1.0)
            limits.refused(now, now, RPM, None, 0.5)
            now += apart
        assert bool(limits.episodes) is row


def test_what_was_in_flight_at_a_refusal_counts_once():
    limits = limiter(Quota(rpm=60_000))
    fill(limits, 0.0, 50)
    for _ in range(50):
        limits.refused(0.1, 0.0, RPM, None, 0.5)
    assert limits.episodes == 0
    first = limiter(Quota(rpm=60_000))
    first.pay(0.0, 1.0)
    first.refused(0.1, 0.0, RPM, None, 0.5)
    assert limits.attempts.margin.share > first.attempts.margin.share > 0.005


def test_where_nothing_is_known_half_of_the_latest_attempts_must_be_refused():
    for others, shut in ((3, True), (5, False)):
        limits = limiter(NO_QUOTA)
        fill(limits, 0.0, others + 3)
        for _ in range(3):
            limits.refused(0.05, 0.0, RPM, None, 0.5)
        assert bool(limits.episodes) is shut


def test_what_was_long_ago_does_not_hide_that_all_is_refused_now():
    limits, now = limiter(NO_QUOTA), 0.0
    for _ in range(1000):
        now = limits.free_at(now) + 0.1
        limits.pay(now, 1.0)
        limits.took(now, now, 1.0)
    count = 0
    while not limits.episodes:
        limits.pay(now, 1.0)
        limits.refused(now, now - 0.01, "", None, 0.5)
        count += 1
    assert count <= 20


# What an episode is, and its end.


@pytest.mark.parametrize(("gap", "pause"), [(0.1, 0.75), (1.0, 1.5), (3.0, 4.5), (30.0, 6.0)])
def test_a_pause_is_as_long_as_attempts_are_apart_from_half_a_second_to_four(gap, pause):
    limits = taught(1.0 / gap)
    now = refuse(limits, 0.0, times=2)
    assert limits.episodes == 1
    assert limits.waits_until - now == pytest.approx(pause, rel=0.06)


@pytest.mark.parametrize(("comes_back", "gate"), [(0.02, 0.3), (0.5, 1.5), (3.0, 9.0), (30.0, 15.0)])
def test_what_was_not_refused_in_three_times_a_refusals_usual_time_was_taken(comes_back, gate):
    limits, now = limiter(NO_QUOTA), 0.0
    for _ in range(60):
        now = limits.free_at(now) + 1.0
        limits.pay(now, 1.0)
        limits.refused(now + comes_back, now, RPM, None, 0.5)
        now += comes_back
    assert limits.episodes == 1
    due = limits.free_at(now)
    limits.pay(due, 1.0)
    assert limits.free_at(due) - due == pytest.approx(gate, rel=0.01)
    assert limits.free_at(due + 0.9 * gate) == limits.free_at(due)
    assert limits.free_at(due + 1.1 * gate) <= due + 1.1 * gate + 1.0
    assert limits.waits_until == -math.inf


def test_only_what_was_sent_after_a_pause_ends_or_lengthens_it():
    limits = limiter(NO_QUOTA)
    fill(limits, 0.0, 4)
    now = refuse(limits, 0.0, times=COLD + 1)
    due = limits.free_at(now)
    limits.took(now, 0.0, 1.0)
    limits.refused(now, 0.0, RPM, None, 0.5)
    assert limits.free_at(now) == limits.waits_until == due
    limits.pay(due, 1.0)
    limits.took(due + 0.01, 0.0, 1.0)
    limits.refused(due + 0.01, 0.0, RPM, None, 0.5)
    assert limits.waits_until == due
    assert limits.free_at(due + 0.02) > due + 0.02
    limits.took(due + 0.03, due, 1.0)
    assert limits.waits_until == -math.inf


def episode(limits, at, count):
    """So many refusals in a row, then one that is taken; when."""
    now = refuse(limits, at, times=count)
    due = limits.free_at(now)
    limits.pay(due, 1.0)
    limits.took(due + 0.01, due, 1.0)
    return due + 0.01


def test_where_a_quota_is_known_a_second_episode_within_a_minute_shows_a_lower_one():
    for rest, found in ((50.0, True), (70.0, False)):
        limits = limiter(Quota(rpm=60_000))
        now = episode(limits, 0.0, 6)
        assert not limits.has_found
        now = episode(limits, now + rest, 6)
        assert limits.episodes == 2
        assert limits.has_found is found


def test_a_pause_for_growth_or_capacity_shows_no_rate_and_recurs_nothing():
    for code, count in ((GROWTH, GROWN), ("Throttling.Concurrency", 8)):
        limits = limiter(Quota(rpm=60_000))
        now = refuse(limits, 0.0, code, times=count)
        assert limits.episodes == 1
        assert limits.waits_until - now == pytest.approx(0.75)
        due = limits.free_at(now)
        limits.pay(due, 1.0)
        limits.took(due, due, 1.0)
        now = episode(limits, due + 10.0, 6)
        assert limits.episodes == 2
        assert not limits.has_found


def test_how_long_refusals_went_on_tells_a_minutes_window_from_a_short_one():
    for tries, window in ((0, 6.0), (6, 60.0)):
        limits = limiter(NO_QUOTA)
        fill(limits, 0.0, 4)
        now = refuse(limits, 0.0, times=4)
        for _ in range(tries):
            now = refuse(limits, limits.free_at(now))
        due = limits.free_at(now)
        limits.pay(due, 1.0)
        limits.took(due, due, 1.0)
        assert limits.attempts.window == window


def test_pauses_are_no_shorter_than_six_attempts_where_a_minute_is_full():
    for window, pause in ((6.0, 2.0), (60.0, 6.0)):
        limits = limiter(NO_QUOTA)
        limits.teach({"attempts": {"rate": 1.0, "window": window}}, 0.0)
        for second in range(60):
            limits.pay(float(second), 1.0)
        now = refuse(limits, 60.0, jitter=0.999999, times=2)
        now = refuse(limits, limits.free_at(now), jitter=0.999999)
        assert limits.free_at(now) - now == pytest.approx(pause, rel=0.05)


# Growth.


def in_one_moment(limits, now):
    """How many go at once."""
    count = 0
    while limits.free_at(now) <= now and count < 10_000:
        limits.pay(now, 1.0)
        count += 1
    return count


@pytest.mark.parametrize("quota", [NO_QUOTA, Quota(rpm=6_000_000)])
def test_a_run_begins_with_a_few_calls_and_so_does_one_that_rested_for_half_a_minute(quota):
    limits = limiter(quota)
    assert in_one_moment(limits, 0.0) <= 17
    go(limits, 0.0, 12.0)
    assert in_one_moment(limits, 41.0) >= 1000
    assert in_one_moment(limits, 72.0) <= 17


def growth(limits, start):
    """How much the calls in a second grow within one, of those that may go."""
    one, other = go(limits, start, start + 0.2), (go(limits, start + 0.2, start + 1.0), go(limits, start + 1.0, start + 1.2))[1]
    return other / one


def complain(limits, now):
    """Refuse what goes at once, for its growth, until it pauses."""
    episodes = limits.episodes
    while limits.episodes == episodes:
        limits.pay(now, 1.0)
        limits.settle(now, 1.0, 0.0)
        limits.refused(now + 0.001, now, GROWTH, None, 0.5)
    return now + 0.001


@given(st.lists(st.booleans(), max_size=120))
def test_complaints_of_growth_that_are_a_quarter_of_any_sixteen_attempts_slow_nothing(complained):
    limits, now = limiter(NO_QUOTA), 0.0
    latest: list[bool] = []
    for complains in complained:
        refused = complains and sum(latest[-15:]) < 4
        latest.append(refused)
        limits.pay(now, 1.0)
        if refused:
            limits.refused(now + 0.01, now, GROWTH, None, 0.5)
        else:
            limits.took(now + 0.01, now, 1.0)
        now = limits.free_at(now + 0.01)
    assert limits.episodes == 0
    assert limits.ramp._doubles_in == 0.5


def test_complaints_that_come_far_apart_slow_the_climb_less_and_less():
    for rest, doubles_in in ((0.0, 4.0), (60.0, 2.0), (120.0, 1.0), (600.0, 1.0)):
        limits, now = limiter(NO_QUOTA), 0.0
        for _ in range(2):
            now = complain(limits, now)
            due = limits.free_at(now)
            limits.pay(due, 1.0)
            limits.took(due, due, 1.0)
            now = due
        complain(limits, now + rest)
        assert limits.ramp._doubles_in == pytest.approx(doubles_in, rel=0.1)


def test_a_complaint_of_growth_that_was_under_way_at_another_widens_no_margin():
    limits = limiter(Quota(rpm=600))
    fill(limits, 0.0, 12)
    for number in range(4):
        limits.refused(0.05 + number / 1000, 0.0, GROWTH, None, 0.5)
    assert limits.attempts.margin.share == 0.005


def test_growth_halves_with_each_complaint_and_goes_on_from_what_was_taken():
    limits = limiter(NO_QUOTA)
    go(limits, 0.0, 1.5)
    lately = limits.attempts.use.trail.sum(1.5, 5.0) / 5.0
    now, slowed_at, slowed = 1.5, 0.0, 0.5
    for doubles_in in (1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0):
        now = complain(limits, now)
        # What was slowed before is forgiven by halves, a minute each.
        slowed, slowed_at = min(30.0, 2 * max(0.5, slowed * 0.5 ** ((now - slowed_at) / 60.0))), now
        assert limits.ramp._doubles_in == pytest.approx(slowed)
        assert doubles_in * 0.8 < slowed <= doubles_in
        due = limits.free_at(now)
        limits.pay(due, 1.0)
        limits.took(due, due, 1.0)
        now = due
    assert lately > 30
    limits = limiter(NO_QUOTA)
    go(limits, 0.0, 1.5)
    lately = limits.attempts.use.trail.sum(1.5, 5.0) / 5.0
    now = complain(limits, 1.5)
    due = limits.free_at(now)
    limits.pay(due, 1.0)
    limits.took(due, due, 1.0)
    assert go(limits, due, due + 0.2) == pytest.approx(0.2 * lately * 2.0 ** (due + 0.1 - now), rel=0.2)
    assert growth(limits, due + 0.2) == pytest.approx(2.0, rel=0.15)


def test_calls_double_in_number_each_half_second_while_nothing_is_known_and_each_tenth_where_a_quota_is():
    for quota, start, doubles_in, while_ in ((NO_QUOTA, 0.6, 0.5, 0.1), (Quota(rpm=6_000_000), 0.1, 0.1, 0.05)):
        limits = limiter(quota)
        steps = [in_one_moment(limits, step / 1000) for step in range(round(1000 * (start + doubles_in + while_)))]
        of_a_while = round(1000 * while_)
        first = round(1000 * start)
        assert sum(steps[-of_a_while:]) == pytest.approx(2 * sum(steps[first : first + of_a_while]), rel=0.15)


def test_an_attempt_that_was_not_made_is_no_growth():
    limits = limiter(NO_QUOTA)
    for _ in range(200):
        assert limits.free_at(0.0) == 0.0
        limits.pay(0.0, 0.0)
        limits.unsent(0.0)
    assert in_one_moment(limits, 0.0) == pytest.approx(16, abs=1)


# Tokens.


def test_what_a_row_turns_out_to_cost_is_charged_to_a_quota_that_is_found_as_to_one_that_is_known():
    for limits in (taught(1000.0), limiter(Quota(tpm=60_000))):
        limits.attempts.forget()
        limits.pay(0.0, 3000.0)
        assert limits.free_at(0.0, 10.0) >= 2.9
        limits.reprice(0.0, 3000.0, 500.0)
        assert limits.free_at(0.0, 10.0) == pytest.approx(0.5, rel=0.01)
        limits.settle(0.0, 500.0, 800.0)
        assert limits.free_at(0.0, 10.0) == pytest.approx(0.8, rel=0.01)
        assert limits.tokens.use.trail.sum(0.0, 6.0) == pytest.approx(800.0)


def test_a_large_row_that_was_refused_for_its_tokens_at_a_found_rate_waits_for_room_in_the_window():
    limits = taught(1000.0)
    limits.attempts.forget()
    limits.pay(0.0, 5000.0)
    limits.settle(0.0, 5000.0, 0.0)
    limits.refused(0.05, 0.0, TPM, None, 0.5)
    due = limits.free_at(0.05, 5000.0)
    assert due == pytest.approx(6.0, rel=0.01), "it may be more than there is room for at any time before"
    limits.pay(due, 5000.0)
    assert limits.free_at(due, 5000.0) >= due + 5.0


def test_a_lane_waits_for_the_later_of_its_attempts_and_its_tokens():
    for rpm, tpm, wait in ((6.0, 60_000.0, 10.0), (600.0, 6_000.0, 20.0)):
        limits = limiter(Quota(rpm=rpm, tpm=tpm))
        limits.pay(0.0, 2000.0)
        limits.settle(0.0, 2000.0, 2000.0)
        assert limits.free_at(0.0, 1.0) == pytest.approx(wait, rel=0.01)


def test_of_an_attempt_that_was_taken_is_learnt_what_there_is_to_learn_a_wide_margin_and_the_use_of_a_held_rate():
    wide, held = limiter(Quota(rpm=600.0)), limiter(NO_QUOTA)
    wide.attempts.margin.widen()
    held.attempts.hold(0.0, 10.0)
    before = wide.attempts.margin.share
    for each in (wide, held):
        each.took(1.0, 0.5, 100.0)
    assert wide.attempts.margin.share < before
    assert held.attempts.use.taken.amount == 1.0


def of_tokens(rows=60):
    """One that found so many tokens a second, of six seconds of which it knows what went: next to nothing."""
    limits = limiter(NO_QUOTA)
    limits.teach({"tokens": {"rate": 1000.0, "window": 6.0}}, 0.0)
    for number in range(300 - rows, 300):
        limits.pay(number, 10.0)
        limits.settle(number, 10.0, 10.0)
        limits.took(number, number, 10.0)
    return limits


@pytest.mark.parametrize(("rows", "chance"), [(60, 1), (200, 2)])
def test_a_row_refused_alone_that_had_room_teaches_nothing_and_the_next_one_in_a_row_that_the_quota_has_fallen(rows, chance):
    """Or the one after that, where one among two hundred has shown by then that some are refused by chance."""
    limits = of_tokens(rows)
    until = limits.tokens.climb.until
    now = refuse(limits, 300.0, TPM, tokens=10.0, times=chance)
    assert limits.tokens.held == 1000.0
    assert limits.tokens.climb.until == until
    assert limits.episodes == 0
    refuse(limits, now, TPM, tokens=10.0)
    assert limits.episodes == 1


def test_where_others_fill_the_same_window_a_row_that_had_room_shows_at_once_that_the_quota_has_fallen():
    limits = of_tokens()
    limits.is_alone = False
    refuse(limits, 300.0, TPM, tokens=10.0)
    assert limits.episodes == 1


@pytest.mark.parametrize(("share", "rows", "episodes"), [(0.0, 1, 1), (0.01, 1, 0), (0.01, 2, 0), (0.01, 3, 1)])
def test_where_others_fill_the_same_window_a_row_that_had_room_is_chance_once_that_is_known_to_come(share, rows, episodes):
    """So is a second one in a row, where one in a hundred is."""
    limits = of_tokens()
    limits.is_alone = False
    limits.tokens.climb.noise.share = share
    refuse(limits, 300.0, TPM, tokens=10.0, times=rows)
    assert limits.episodes == episodes


def test_refusals_right_after_one_and_of_what_was_in_flight_at_it_come_with_it():
    limits = taught(10.0)
    limits.attempts.climb.noise.share = 0.08
    fill(limits, 0.0, 100)
    now = refuse(limits, 60.0)
    assert (limits.attempts.climb.noise.refusals, limits.attempts.climb.noise.beside) == (1, 0)
    refuse(limits, now)
    assert (limits.attempts.climb.noise.refusals, limits.attempts.climb.noise.beside) == (1, 1)
    refuse(limits, now, launched_at=60.0)
    assert (limits.attempts.climb.noise.refusals, limits.attempts.climb.noise.beside) == (1, 2)


@pytest.mark.parametrize("every", [50, 100])
def test_where_others_fill_the_same_window_a_rate_is_held_though_rows_are_refused_by_chance(every):
    limits = of_tokens()
    limits.is_alone = False
    now, least = 300.0, 1000.0
    for number in range(60_000):
        now = max(now + 0.001, limits.free_at(now, 10.0))
        limits.pay(now, 10.0)
        if number % every or number < 1000:
            limits.settle(now, 10.0, 10.0)
            limits.took(now, now, 10.0)
        else:
            limits.settle(now, 10.0, 0.0)
            if limits.may_explain(now, now, TPM):
                limits.refused(now, now, TPM, None, 0.5)
        least = min(least, limits.tokens.held)
    assert least < 980.0, "until it is known"
    assert limits.tokens.held > 900.0


@pytest.mark.parametrize("is_alone", [True, False])
def test_an_episode_that_the_first_try_ends_while_the_window_holds_as_much_was_chance(is_alone):
    limits = of_tokens()
    limits.is_alone = is_alone
    limits.tokens.hold(299.0, 1000.0)
    now = refuse(limits, 300.0, TPM, tokens=10.0, times=1 + is_alone)
    assert limits.episodes == 1
    assert limits.tokens.held < 100.0
    at = limits.free_at(now)
    limits.pay(at, 30.0)
    limits.settle(at, 30.0, 30.0)
    limits.took(at + 0.3, at, 30.0)
    limits.free_at(at + 1.0)
    assert limits.tokens.held == 1000.0


def rush(limits, taken):
    """A minute of a known quota is full: so many rows are *taken*, all others refused after 50 ms, for forty seconds; how many."""
    now, went, refused = 0.0, 0, 0
    out: list[float] = []
    while now < 40.0:
        at = limits.free_at(now, 100.0)
        if out and out[0] + 0.05 <= at:
            now = max(now, out[0] + 0.05)
            limits.settle(out[0], 100.0, 0.0)
            limits.refused(now, out.pop(0), TPM, None, 0.5)
            refused += 1
        else:
            now, went = max(now, at), went + 1
            limits.pay(now, 100.0)
            if went > taken:
                out.append(now)
    return refused


@pytest.mark.parametrize(("tpm", "taken", "most"), [(60_000, 20, 65), (600_000, 80, 450)])
def test_a_known_quota_whose_window_is_longer_than_is_believed_is_not_run_into_for_long_once_it_is_full(tpm, taken, most):
    """What a refusal had held back for two seconds went all at once then, and was refused all at once: hundreds in one minute."""
    limits = limiter(Quota(tpm=tpm))
    assert rush(limits, taken) <= most
    assert limits.episodes == 1


@pytest.mark.parametrize(("cost", "episodes"), [(1_000.0, 0), (150.0, 1)])
def test_a_large_row_that_finds_no_room_again_and_again_pauses_no_others(cost, episodes):
    """Of a usual one as many refusals say that the window is full."""
    limits, now = limiter(Quota(tpm=60_000)), 7.0
    assert limits.tokens.room is not None
    limits.tokens.room.went.know(0.0, 60_000.0)  # A minute's, which explains it.
    limits.took(6.0, 0.0, 100.0)
    limits.tokens.use.typical = 100.0
    for _ in range(6):
        now = limits.free_at(now + 1.0, cost)
        now = refuse(limits, now, TPM, tokens=cost)
    assert limits.episodes == episodes
