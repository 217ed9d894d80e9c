"""Rows sought around those that were found before are the ones that the index finds each by itself."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.rows import nearby
from batchrun.core.rows.index import Index
from batchrun.core.rows.names import id_digest

LANES = [("legal", "plus"), ("legal", "max"), ("sales", "plus")]


def index_of(rows):
    index = Index()
    for number, lane in enumerate(rows):
        index.add(lane, f"t-{number}", number, number)
    return index


@st.composite
def asked(draw):
    """The lane of each row, and what is sought of which lane: rows of it, of others, and none, out of order here and there."""
    rows = draw(st.lists(st.sampled_from(LANES), min_size=1, max_size=60))
    shuffled = sorted(range(len(rows)), key=lambda number: number + draw(st.integers(-8, 8)))
    sought = [*shuffled, *draw(st.lists(st.integers(0, 2 * len(rows)), max_size=20))]
    sizes = draw(st.lists(st.integers(1, 9), min_size=1, max_size=6))
    return rows, sought, sizes, draw(st.lists(st.sampled_from(LANES), min_size=1, max_size=4))


@given(asked(), st.sampled_from([1, 3, 2048]))
def test_what_is_sought_nearby_is_what_is_found_alone(told, ahead):
    rows, sought, sizes, lanes = told
    index, turn = index_of(rows), 0
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(nearby, "_AHEAD", ahead)
        while sought:
            size, lane = sizes[turn % len(sizes)], lanes[turn % len(lanes)]
            some, sought, turn = sought[:size], sought[size:], turn + 1
            names = [id_digest(lane[0], f"t-{number}") for number in some]
            assert index.find_nearby(lane, names) == [index.find_named(name) for name in names]


def in_order(rows, out_of, seed=7):
    """Numbers up to *rows*, each at most *out_of* places from its own."""
    dice = random.Random(seed)
    return sorted(range(rows), key=lambda number: number + dice.uniform(0, out_of))


def sought(index, order):
    """Seek *order* a few hundred at a time; how many were not found nearby."""
    missed = 0
    real = index.find_named

    def alone(name):
        nonlocal missed
        missed += 1
        return real(name)

    index.find_named = alone
    for begin in range(0, len(order), 300):
        some = order[begin : begin + 300]
        assert index.find_nearby(LANES[0], [id_digest("legal", f"t-{number}") for number in some]) == some
        assert len(index._nearby[LANES[0]]._known) < 5 * 2048, "few are remembered"
    return missed


def test_answers_in_about_the_order_of_their_rows_are_all_found_nearby():
    assert sought(index_of([LANES[0]] * 20_000), in_order(20_000, out_of=3500)) == 0


def test_rows_that_are_never_answered_and_those_that_come_late_cost_the_others_nothing():
    order = in_order(60_000, out_of=1500)
    late = [number for number in order if number % 50 == 7]
    rest = [number for number in order if number % 3 and number % 50 != 7]
    for place, number in enumerate(late):
        rest.insert(min(len(rest), 61 * place), number)
    assert sought(index_of([LANES[0]] * 60_000), rest) < 2 * len(late)


def test_where_a_later_part_comes_first_a_few_at_each_turn_are_sought_alone():
    assert sought(index_of([LANES[0]] * 20_000), [*range(12_000, 20_000), *range(12_000)]) <= 3 * 300


def led_astray(strays, rows=40_000, at_once=300):
    """All rows in order, but for *strays*: of these each few hundred others have one among them, at its own time."""
    taken, strays = {*strays}, [*strays]
    rest = [number for number in range(rows) if number not in taken]
    order = []
    for begin in range(0, len(rest), at_once - 1):
        order += rest[begin : begin + at_once - 1] + strays[:1]
        strays = strays[1:]
    return order


@pytest.mark.parametrize(
    "strays",
    [range(2_000, 40_000, 2_000), range(100, 220), range(2_000, 2_120)],
    ids=["each farther ahead", "left behind at the start", "left behind after a while"],
)
def test_a_row_among_others_that_comes_out_of_its_turn_leads_nowhere(strays):
    assert sought(index_of([LANES[0]] * 40_000), led_astray(strays)) <= len(strays)


def test_rows_before_those_that_are_come_upon_far_away_are_known_too():
    later, earlier = in_order(9_900, out_of=1500), in_order(20_000, out_of=1500)
    order = [20_000 + number for number in later] + earlier
    assert sought(index_of([LANES[0]] * 30_000), order) <= 2 * 300


def test_a_row_that_was_found_is_remembered_no_more():
    index = index_of([LANES[0]] * 10)
    place = nearby.Nearby(index._by_name.names, index._lanes[LANES[0]])
    names = [id_digest("legal", f"t-{number}") for number in (3, 4)]
    assert (place.find(names), place.find(names)) == ([3, 4], [None, None])
