"""Whose refusals are, told by what each lane sends and how often it is refused."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.scheduling import blame as blaming
from batchrun.core.scheduling.blame import Blame, Sums, Suspect
from tests.steps import lines_run


def lanes(count):
    blame = Blame([Suspect() for _ in range(count)])
    return blame, blame.suspects


def sent(blame, suspects, times=10, tokens=100.0):
    for suspect in suspects:
        for _ in range(times):
            blame.sent(suspect, tokens)


def test_a_lane_that_alone_is_refused_again_and_again_is_capped():
    blame, (first, *others) = lanes(6)
    sent(blame, [first, *others])
    assert [blame.refused(first) for _ in range(3)] == [False, False, True]


@pytest.mark.parametrize("count", [55, 60, 1000])
def test_a_lanes_first_refusal_proves_nothing_of_it_however_many_lanes_there_are_and_a_second_does(count):
    """Each of a thousand that share a quota had been taken for capped at its first, and nothing slowed what they share."""
    blame, suspects = lanes(count)
    sent(blame, suspects)
    assert not any(blame.refused(suspect) for suspect in suspects[:40])
    blame, suspects = lanes(count)
    sent(blame, suspects)
    assert [blame.refused(suspects[0]) for _ in range(2)] == [False, True]
    for _ in range(500):
        blame.refused(suspects[0])
    assert [blame.refused(suspects[1]), blame.refused(suspects[2])] == [False, False]


def test_a_first_refusal_that_is_all_but_forgotten_beside_those_of_a_cap_is_no_earlier_one():
    blame, (first, other, *others) = lanes(60)
    sent(blame, [first, other, *others])
    assert not blame.refused(other)
    for _ in range(500):
        blame.refused(first)
    assert not blame.refused(other)


def test_who_is_alone_in_its_pool_is_the_pool():
    blame, (only,) = lanes(1)
    for _ in range(100):
        sent(blame, [only])
        assert not blame.refused(only)


def test_lanes_that_are_refused_in_turn_are_their_pools():
    blame, suspects = lanes(6)
    for turn in range(600):
        sent(blame, suspects)
        assert not blame.refused(suspects[turn % 6])
        assert not suspects[turn % 6].expected, "its rows are no larger than those of others"


@pytest.mark.parametrize("capped", [1, 2, 3])
def test_caps_of_several_of_six_lanes_are_seen_one_after_the_other(capped):
    blame, suspects = lanes(6)
    for turn in range(80):
        sent(blame, suspects)
        blame.refused(suspects[turn % capped])
    assert [each.is_capped for each in suspects] == [True] * capped + [False] * (6 - capped)


@pytest.mark.parametrize(("capped", "lanes_of_pool"), [(4, 6), (5, 6), (10, 12), (1, 2), (2, 3)])
def test_caps_of_most_lanes_of_a_pool_are_seen_though_none_of_them_stands_out_alone(capped, lanes_of_pool):
    blame, suspects = lanes(lanes_of_pool)
    for turn in range(120):
        sent(blame, suspects)
        blame.refused(suspects[turn % capped])
    assert [each.is_capped for each in suspects] == [True] * capped + [False] * (lanes_of_pool - capped)


def in_turn(blame, suspects, refused, turns=500):
    """Each sends, and so many of them are refused one after the other, all of which are taken for refusals of the pool."""
    for turn in range(turns):
        sent(blame, suspects, times=1)
        blame.refused(suspects[turn % refused])
        blame.judge(suspects[turn % refused], is_capped=False)


@pytest.mark.parametrize(("refused", "others_send", "capped"), [(40, 1, True), (395, 1, False), (395, 300, True), (200, 1, False)])
def test_caps_of_some_of_hundreds_of_lanes_or_of_nearly_all_are_seen(refused, others_send, capped):
    blame, suspects = lanes(400)
    in_turn(blame, [*suspects, *suspects[refused:] * (others_send - 1)], refused)
    assert blame.refused(suspects[0]) is capped


@pytest.mark.parametrize(("of_tokens", "lines_a_lane"), [(False, 0.1), (True, 3.0)])
def test_a_refusal_costs_next_to_nothing_more_where_a_pool_has_many_lanes(of_tokens, lines_a_lane):
    """Of two thousand each had taken several milliseconds, and all are refused where a quota is found."""

    def lines(count):
        blame, suspects = lanes(count)
        in_turn(blame, suspects, count)
        return lines_run(lambda: blame.refused(suspects[0], of_tokens=of_tokens), "scheduling/blame.py")

    assert lines(800) - lines(400) < 400 * lines_a_lane


def test_of_attempts_most_of_a_pool_are_not_taken_for_capped_by_how_often_they_are_refused():
    blame, suspects = lanes(6)
    for turn in range(120):
        sent(blame, suspects)
        assert not blame.refused(suspects[turn % 5], of_tokens=False)


def test_none_is_taken_for_one_of_several_by_the_refusal_of_another():
    blame, suspects = lanes(6)
    sent(blame, suspects[:4])
    for turn in range(40):
        blame.refused(suspects[turn % 4])
    sent(blame, suspects[4:], times=100)
    for _ in range(2):
        blame.refused(suspects[4])
    assert not any(each.is_capped for each in suspects)


@pytest.mark.parametrize("large", [3, 4])
def test_lanes_of_large_rows_are_not_capped_because_small_rows_find_room_where_theirs_do_not(large):
    blame, suspects = lanes(6)
    for turn in range(600):
        sent(blame, suspects[:large], times=1, tokens=5000.0)
        sent(blame, suspects[large:], times=10, tokens=100.0)
        assert not blame.refused(suspects[turn % large] if turn % 50 else suspects[-1])
        assert not any(each.is_capped for each in suspects)


def test_a_lane_that_sends_less_because_it_is_capped_stays_so_beside_refusals_of_the_pool():
    blame, (first, *others) = lanes(6)
    dice = random.Random(1)
    for turn in range(400):
        sent(blame, others)
        sent(blame, [first], times=1)
        if turn % 2:
            assert blame.refused(first) or turn < 20
        else:
            blame.refused(dice.choice(others))


def test_a_lane_whose_cap_is_gone_is_refused_for_its_pool_again():
    blame, suspects = lanes(6)
    for _ in range(20):
        sent(blame, suspects)
        blame.refused(suspects[0])
    assert suspects[0].is_capped
    for turn in range(300):
        sent(blame, suspects)
        blame.refused(suspects[turn % 6])
    assert not suspects[0].is_capped


def test_a_lane_that_was_taken_for_capped_and_sends_next_to_nothing_is_not_any_more_by_a_single_refusal():
    blame, (first, *others) = lanes(6)
    sent(blame, [first, *others])
    assert [blame.refused(first) for _ in range(3)][-1]
    for turn in range(400):
        sent(blame, others)
        blame.refused(others[turn % 5])
    sent(blame, [first], times=30)
    assert not blame.refused(first)


def test_hardly_a_lane_is_taken_for_capped_by_chance():
    blame, suspects = lanes(12)
    dice = random.Random(7)
    own = 0
    for _ in range(5000):
        sent(blame, suspects, times=2)
        own += blame.refused(dice.choice(suspects))
    assert own < 250


def test_a_lane_of_large_rows_is_refused_as_often_as_its_part_of_the_tokens():
    blame, (large, *others) = lanes(6)
    for turn in range(300):
        sent(blame, [large], times=1, tokens=5000.0)
        sent(blame, others, times=10, tokens=100.0)
        assert not blame.refused(large if turn % 2 else others[turn % 5])


@pytest.mark.parametrize(("small_rows", "capped"), [(200, False), (10, True)])
def test_where_few_are_refused_a_lane_of_large_rows_has_nearly_all_of_that_and_no_cap_of_its_own(small_rows, capped):
    """It sends half of the tokens: four fifths of the refusals are more than that, and no more than what its calls weigh."""
    blame, (large, small) = lanes(2)
    for turn in range(300):
        sent(blame, [large], times=small_rows // 10, tokens=1000.0)
        sent(blame, [small], times=small_rows, tokens=100.0)
        blame.refused(large if turn % 5 else small)
    assert large.is_capped is capped
    assert (large.expected > 0.7) is not capped


def test_a_lane_of_large_rows_that_is_refused_more_often_than_even_they_are_has_a_cap_of_its_own():
    blame, (large, *others) = lanes(6)
    for turn in range(300):
        sent(blame, [large], times=2, tokens=500.0)
        sent(blame, others, times=40, tokens=100.0)
        blame.refused(others[turn % 5] if turn % 10 == 0 else large)
    assert large.is_capped


def test_caps_of_most_lanes_are_seen_though_their_rows_are_larger_than_those_of_the_rest():
    blame, suspects = lanes(6)
    for turn in range(120):
        sent(blame, suspects[:4], times=10, tokens=400.0)
        sent(blame, suspects[4:], times=40, tokens=100.0)
        blame.refused(suspects[turn % 4])
    assert [each.is_capped for each in suspects] == [True] * 4 + [False] * 2


def test_for_calls_a_minute_large_rows_are_refused_no_more_often_than_others():
    blame, (large, small) = lanes(2)
    for turn in range(300):
        sent(blame, [large], times=20, tokens=1000.0)
        sent(blame, [small], times=200, tokens=100.0)
        blame.refused(large if turn % 5 else small, of_tokens=False)
    assert large.is_capped
    assert not large.expected


def test_who_was_refused_in_the_evening_and_is_done_is_forgotten_by_morning():
    blame, (first, second) = lanes(2)
    sent(blame, [first], times=2)
    blame.refused(first)
    for _ in range(6_000):
        sent(blame, [second], times=300)
        assert not blame.refused(second)


def test_after_a_night_of_refusals_it_is_counted_as_at_first():
    blame, suspects = lanes(3)
    for turn in range(30_000):
        sent(blame, suspects, times=1)
        assert not blame.refused(suspects[turn % 3])
    sent(blame, suspects)
    assert [blame.refused(suspects[0]) for _ in range(60)][-1]


STEPS = st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0, 1, 5, 40]), st.sampled_from([1.0, 100.0, 3_000.0]), st.integers(0, 6)))


@given(STEPS, st.sampled_from([1.05, 1e60]))
def test_what_is_kept_is_always_what_the_lanes_that_are_not_capped_come_to(steps, too_large):
    blame, suspects = lanes(4)
    sent(blame, suspects, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blaming, "_TOO_LARGE", too_large)
        for place, times, tokens, refused in steps:
            sent(blame, [suspects[place]], times, tokens)
            for _ in range(refused):
                blame.refused(suspects[place], of_tokens=tokens > 1.0)
    free = Sums()
    for each in suspects:
        if not each.is_capped:
            free.add(each)
    for name in ("calls", "tokens", "weight", "refused"):
        assert getattr(blame._free, name) == pytest.approx(getattr(free, name), rel=1e-6, abs=1e-3), name
    assert blame._calls == pytest.approx(sum(each.calls for each in suspects))
