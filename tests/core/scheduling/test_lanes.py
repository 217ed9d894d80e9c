from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.limits.quota import NO_QUOTA, Quota, limiter
from batchrun.core.limits.slots import Slots
from batchrun.core.scheduling.lane_plan import LanePlan
from batchrun.core.scheduling.lanes import Lane, Pool, Workspace
from batchrun.core.scheduling.latest_refused import is_of_pool
from tests.steps import lines_run


def lanes_of(pool: Pool, weights: list[float]) -> list[Lane]:
    return [
        Lane(
            LanePlan(f"w{place}", "m", "a", (), 0, 1, weight=weight),
            Workspace(f"w{place}", 1, None),
            pool,
            limiter(NO_QUOTA),
            Slots(1),
            iter(()),
            0,
            0,
        )
        for place, weight in enumerate(weights)
    ]


def serve(pool: Pool, cost: float) -> Lane:
    lane = pool.pop()
    lane.tag += cost / lane.plan.weight
    pool.join(lane)
    return lane


@given(st.lists(st.sampled_from([0.5, 1.0, 2.0, 3.0]), min_size=2, max_size=6), st.data())
def test_lanes_that_always_wait_are_served_by_weight_to_within_their_largest_rows(weights, data):
    pool = Pool("p", limiter(NO_QUOTA))
    lanes = lanes_of(pool, weights)
    for lane in lanes:
        pool.join(lane)
    served: Counter[str] = Counter()
    for cost in data.draw(st.lists(st.integers(1, 1000), min_size=20, max_size=200)):
        served[serve(pool, float(cost)).plan.workspace] += cost
    shares = [served[lane.plan.workspace] / lane.plan.weight for lane in lanes]
    assert max(shares) - min(shares) <= 2 * 1000 / min(weights)


def test_a_lane_that_rested_has_saved_nothing_up_and_owes_nothing():
    pool = Pool("p", limiter(NO_QUOTA))
    busy, rested = lanes_of(pool, [1.0, 1.0])
    pool.join(busy)
    for _ in range(100):
        serve(pool, 10.0)
    pool.join(rested)
    turns = [serve(pool, 10.0) for _ in range(20)]
    assert turns.count(rested) in {10, 11}


def test_a_refusal_is_the_pools_affair_once_a_second_lane_has_one_or_there_is_no_other():
    pool = Pool("p", limiter(NO_QUOTA), unfinished=3)
    first, second, _ = lanes_of(pool, [1.0] * 3)
    assert not is_of_pool(first, 0.0)
    assert not is_of_pool(first, 1.0)
    assert is_of_pool(second, 5.0)
    assert not is_of_pool(first, 50.0)
    pool.unfinished = 1
    assert is_of_pool(first, 100.0)


def pool_of_two(*, found):
    pool = Pool("main", limiter(NO_QUOTA))
    one, two = lanes_of(pool, [1.0, 1.0])
    pool.unfinished = 2
    if found:
        one.pool.limiter.teach({"attempts": {"rate": 10.0, "window": 60.0}}, 0.0)
    return one, two


def test_a_pool_whose_rate_was_found_is_told_of_refusals_that_its_lanes_take_turns_at():
    for found in (True, False):
        one, two = pool_of_two(found=found)
        told = [is_of_pool(lane, 100.0 * number) for number, lane in enumerate((one, two, one, two))]
        assert told == [False, found, found, found]


def test_a_lane_that_is_refused_again_and_again_has_a_cap_of_its_own_whatever_was_found_of_its_pool():
    one, two = pool_of_two(found=True)
    assert [is_of_pool(each, 100.0 * number) for number, each in enumerate((one, two, two, two))] == [*(False, True, False, False)]


@pytest.mark.parametrize(("sending", "told"), [(6, [False, False, False, True]), (4, [False, False, True]), (60, [*(False,) * 29, True])])
def test_where_the_pool_had_room_a_refusal_is_the_lanes_own_until_most_of_those_that_send_are_refused(sending, told):
    pool = Pool("main", limiter(NO_QUOTA), unfinished=80)
    lanes = lanes_of(pool, [1.0] * 80)
    pool.limiter.teach({"tokens": {"rate": 10.0, "window": 60.0}}, 0.0)
    for each in lanes:
        each.limiter.pay(0.0, 1.0)
    for each in lanes[:sending]:
        each.limiter.pay(95.0, 1.0)
    refused = zip(lanes, told, strict=False)
    assert [is_of_pool(lane, 100.0 + number / 10, may_be_full=False) for number, (lane, _) in enumerate(refused)] == told
    assert not is_of_pool(lanes[1], 120.0, may_be_full=False)
    assert is_of_pool(lanes[2], 120.0)


@pytest.mark.parametrize(("tokens", "told"), [(1.0, False), (9.0, True)])
def test_lanes_that_send_little_do_not_speak_for_their_pool_however_many_are_refused(tokens, told):
    pool = Pool("main", limiter(NO_QUOTA), unfinished=6)
    lanes = lanes_of(pool, [1.0] * 6)
    for place, each in enumerate(lanes):
        each.limiter.pay(95.0, tokens if place < 4 else 8.0)
    told_of = [is_of_pool(lane, 100.0, may_be_full=False) for lane in lanes[:4]]
    assert told_of == [False, False, False, told]


def test_what_was_refused_before_its_pools_rate_was_set_anew_says_nothing_of_that_rate():
    pool = Pool("main", limiter(NO_QUOTA), unfinished=6)
    lanes = lanes_of(pool, [1.0] * 6)
    for each in lanes:
        each.limiter.pay(95.0, 1.0)
    told = [is_of_pool(lane, 100.0 + number / 10, may_be_full=False) for number, lane in enumerate(lanes[:4])]
    assert told == [False, False, False, True]
    for again in range(3):
        pool.limiter.refused(100.4 + again / 10, 100.39 + again / 10, "insufficient_quota", None, 0.0)
    pool.limiter.pay(102.0, 1.0)
    pool.limiter.took(103.0, 102.0, 1.0)
    assert [is_of_pool(lanes[place], 104.0 + place / 10, may_be_full=False) for place in (0, 1, 4, 5)] == told


def test_of_two_lanes_the_same_one_is_refused_a_few_times_in_a_row_by_chance_and_of_four_it_is_not():
    for number, told in ((2, [True, True, False, False]), (3, [True, False, False, False]), (4, [False] * 4)):
        pool = Pool("main", limiter(NO_QUOTA), unfinished=number)
        lanes = lanes_of(pool, [1.0] * number)
        pool.limiter.teach({"attempts": {"rate": 10.0, "window": 60.0}}, 0.0)
        for each in lanes:
            each.suspect.share = 1 / number
        is_of_pool(lanes[1], 0.0)
        assert is_of_pool(lanes[0], 100.0)
        assert [is_of_pool(lanes[0], 200.0 + 100.0 * again) for again in range(4)] == told
    two = Pool("main", limiter(NO_QUOTA), unfinished=2)
    one, _ = lanes_of(two, [1.0, 1.0])
    one.suspect.share = 0.5
    assert not any(is_of_pool(one, 100.0 * again) for again in range(4)), "nothing was found of the pool yet"


def test_one_of_two_that_sends_nearly_all_and_alone_is_refused_has_a_cap_of_its_own():
    one, two = pool_of_two(found=True)
    one.suspect.share = 0.95
    is_of_pool(two, 0.0)
    told = [is_of_pool(one, 100.0 * (again + 1)) for again in range(5)]
    assert told == [True, True, True, False, False]


def test_a_lane_of_larger_rows_is_refused_more_often_in_a_row_by_its_pools_window_of_tokens_and_not_for_ever():
    pool = Pool("p", limiter(Quota(tpm=1000)), unfinished=6)
    large, *_ = lanes_of(pool, [1.0] * 6)
    large.suspect.expected = 0.5
    assert [is_of_pool(large, 100.0 * again) for again in range(5)] == [True, True, True, False, False]
    large.suspect.expected = 0.0
    assert not is_of_pool(large, 600.0)


def test_a_lane_that_took_its_pools_limit_for_its_own_lets_go_of_it_once_another_is_refused_as_well():
    one, two = pool_of_two(found=False)
    one.limiter.teach({"attempts": {"rate": 1.0, "window": 60.0}}, 0.0)
    is_of_pool(one, 0.0)
    assert one.limiter.has_found
    assert is_of_pool(two, 5.0)
    assert not one.limiter.has_found


def test_where_few_calls_of_a_pool_are_refused_a_refusal_looks_at_none_of_its_many_lanes():
    def lines(count):
        pool = Pool("main", limiter(NO_QUOTA), unfinished=count)
        lanes = lanes_of(pool, [1.0] * count)
        for each in lanes:
            each.limiter.pay(95.0, 1.0)
            pool.limiter.pay(95.0, 1.0)
        for _ in range(1000):
            pool.limiter.pay(95.0, 1.0)
        assert not is_of_pool(lanes[0], 99.0, may_be_full=False)
        return lines_run(lambda: is_of_pool(lanes[1], 100.0, may_be_full=False))

    assert lines(400) == lines(20)
