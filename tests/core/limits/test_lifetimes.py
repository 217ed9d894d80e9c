"""What the time that rows have been under way tells of their cost, against rows of which all is known."""

from __future__ import annotations

import heapq
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.limits.counting import Counting
from batchrun.core.limits.deviations import Deviations
from batchrun.core.limits.guesses import Guesses
from batchrun.core.limits.lifetimes import PLACES, Lifetimes, place_of
from batchrun.core.limits.room import Room
from batchrun.core.limits.tape import Tape

PROMPT = 200


class Played:
    """Rows whose answers take as long as they are or, *flat*, whatever they are; a room of a minute reckons with them."""

    def __init__(self, *, flat: bool, seed: int, a_second: float = 20.0) -> None:
        self.dice, self.flat, self.a_second = random.Random(seed), flat, a_second
        counting = Counting()
        counting.over(4)
        self.room = Room(counting, Deviations(counting))
        self.room.look_back(0.0)
        self.ends: list[tuple[float, float, float]] = []
        self.went: list[tuple[float, float]] = []
        self.ended: list[float] = []
        self.now = 0.0

    def until(self, end: float) -> Played:
        while self.now < end:
            self.now += 1 / self.a_second
            while self.ends and self.ends[0][0] <= self.now:
                ended, at, cost = heapq.heappop(self.ends)
                self.room.settle(at, 700.0, cost)
                self.room.answered(ended, cost)
                self.ended.append(cost)
            output = min(4000.0, self.dice.lognormvariate(math.log(800), 0.6))
            takes = 1.0 + (self.dice.lognormvariate(math.log(20.0), 0.6) if self.flat else 0.027 * output)
            self.room.pay(self.now, 700.0)
            self.went.append((self.now, PROMPT + output))
            heapq.heappush(self.ends, (self.now + takes, self.now, PROMPT + output))
        return self

    @property
    def off(self) -> float:
        """How many times what the window holds it is thought to."""
        held = self.room.went.held(self.now)
        return (held.known + held.guessed) / sum(cost for at, cost in self.went if at > self.now - 60.0)

    @property
    def next_off(self) -> float:
        """How many times what the next row costs in the mean it is expected to."""
        return self.room.guesses.expected(700.0).mean / (sum(cost for _, cost in self.went) / len(self.went))


@pytest.mark.parametrize("seed", range(4))
def test_where_answers_take_as_long_as_they_are_the_window_is_known_though_those_that_came_were_the_short_ones(seed):
    played = Played(flat=False, seed=seed).until(40.0)
    assert sum(played.ended) / len(played.ended) < 0.8 * sum(cost for _, cost in played.went) / len(played.went)
    assert played.next_off == pytest.approx(0.95, abs=0.15)
    for seconds in (90.0, 150.0, 240.0, 300.0):
        played.until(seconds)
        assert played.off == pytest.approx(1.0, abs=0.08)
        assert played.next_off == pytest.approx(1.0, abs=0.08)


@pytest.mark.parametrize("seed", range(4))
def test_where_they_take_however_long_ages_tell_nothing(seed):
    played = Played(flat=True, seed=seed)
    for seconds in (90.0, 150.0, 240.0):
        played.until(seconds)
        assert played.off == pytest.approx(1.0, abs=0.07)
        assert played.room.guesses.too_little == 1.0, "what is off by chance is none"
        assert set(played.room._lifetimes.times[:6]) == {1.0}


def of_two_kinds() -> Lifetimes:
    """Half of the rows come to half of what is usual, after one to two seconds; the others to as much more, after twelve."""
    lifetimes = Lifetimes()
    for number in range(400):
        for age, cost in ((1.42 + 0.57 * (number % 20) / 20, 50.0), (12.0, 150.0)):
            for place in range(place_of(age)):
                lifetimes.exposed(place, SECONDS[place])
            lifetimes.ended(age, age - 2 ** ((place_of(age) - 1) / 2), 1.0, cost, 0)
    lifetimes.work_out()
    return lifetimes


SECONDS = [1.0, *(2 ** ((place + 1) / 2) - 2 ** (place / 2) for place in range(PLACES - 1))]


def test_what_goes_on_after_the_short_ones_have_ended_comes_to_what_the_long_ones_do():
    lifetimes = of_two_kinds()
    assert lifetimes.too_little == pytest.approx(1.0, abs=0.05)
    assert lifetimes.times[0] == pytest.approx(1.0, abs=0.05)
    assert lifetimes.times[place_of(5.0)] == pytest.approx(1.5, abs=0.05)
    assert lifetimes.usual(1.45) == pytest.approx(0.5, abs=0.05)
    assert lifetimes.usual(12.0) == pytest.approx(1.5, abs=0.05)


def test_those_that_have_ended_tell_too_little_while_as_many_as_were_dearer_are_under_way():
    """Forty of eighty have ended after two seconds; the dear ones take ten, and the first ten of them have come."""
    lifetimes = Lifetimes()
    for ended in (40, 10):
        for _ in range(ended):
            lifetimes.ended(*((1.45, 0.0, 1.0, 100.0) if ended == 40 else (10.0, 0.0, 1.0, 300.0)), 0)
    for place in range(place_of(10.0)):
        lifetimes.exposed(place, SECONDS[place] * (60.0 if place < 2 else 40.0))
    lifetimes.exposed(place_of(1.45), 60.0 * 0.03)
    lifetimes.work_out()
    assert lifetimes._all_costs / lifetimes._all_sizes == pytest.approx(141.0, abs=2.0)
    assert lifetimes.too_little > 1.1


def test_those_that_go_on_after_the_last_that_ended_come_to_more_if_that_grew_until_there():
    """Of a hundred rows ten each have ended after one second, two, three and four, and came to as much; the others are under way."""
    told = []
    for grows in (True, False):
        lifetimes = Lifetimes()
        for age in (1.0, 1.5, 2.0, 3.0, 4.0):
            for _ in range(10):
                lifetimes.ended(age, 0.0, 1.0, 100.0 * (age if grows else 1.0), 0)
            lifetimes.exposed(place_of(age), 60.0 * SECONDS[place_of(age)])
        lifetimes.work_out()
        told.append(lifetimes._from_the_end()[PLACES] / lifetimes._come_to(place_of(4.0)))
    assert told[0] > 1.3
    assert told[1] == pytest.approx(1.0)


def test_no_fewer_rows_count_than_are_under_way():
    """Short answers come first, and long ones last, of all that went: who went by the latest four hundred would take rows for either."""
    told = []
    for under_way in (0, 4000):
        lifetimes = Lifetimes()
        for number in range(3000):
            lifetimes.ended(3.0, 3.0, 1.0, 100.0 if number < 1500 else 300.0, under_way)
        told.append(lifetimes._all_costs / lifetimes._all_sizes)
    assert told[0] > 290.0
    assert told[1] < 250.0


def test_a_row_waits_for_the_room_that_it_takes_by_what_those_that_ended_tell_too_little():
    room = Played(flat=True, seed=0).room
    room.went.know(0.0, 500.0)
    assert room.free_at(1.0, 1000.0 / 60.0, 300.0) == 1.0
    room.guesses.too_little = 2.0
    assert room.free_at(1.0, 1000.0 / 60.0, 300.0) > 59.0


def test_a_row_of_twice_the_size_counts_as_two():
    whole, halves = Lifetimes(), Lifetimes()
    for _ in range(30):
        for age, cost in ((2.0, 100.0), (6.0, 200.0)):
            whole.ended(age, age, 2.0, 2 * cost, 0)
            halves.ended(age, age, 1.0, cost, 0)
    whole.work_out()
    halves.work_out()
    assert whole.times[7] == pytest.approx(halves.times[7], rel=0.05)
    assert whole.too_little == pytest.approx(halves.too_little, rel=0.05)


def test_what_is_told_is_the_same_however_much_rows_count():
    """What rows count grows with each, and is scaled down before it is too large for a number."""
    some, many = Lifetimes(), Lifetimes(_counts=1e99)
    for lifetimes in (some, many):
        for number in range(3000):
            lifetimes.exposed(number % 7, 1.0 + number % 13)
            lifetimes.ended(0.5 + number % 11, 0.3, 1.0, 80.0 + number % 40, 0)
        lifetimes.work_out()
    assert many._counts < 1e99
    assert many.times == pytest.approx(some.times)
    assert many.too_little == pytest.approx(some.too_little)


def test_nothing_is_told_by_a_handful_of_rows():
    lifetimes = Lifetimes()
    for _ in range(9):
        lifetimes.ended(3.0, 3.0, 1.0, 900.0, 0)
    lifetimes.work_out()
    assert lifetimes.times == [1.0] * PLACES
    assert lifetimes.too_little == 1.0


@given(st.lists(st.tuples(st.floats(0.0, 2000.0), st.floats(1e-3, 1e3), st.floats(0.0, 1e7), st.integers(0, 5000)), max_size=60))
def test_whatever_came_no_age_tells_of_nothing_or_of_more_than_eight_times(rows):
    lifetimes = Lifetimes()
    for age, size, cost, under_way in rows:
        lifetimes.ended(age, age, size, cost + 1.0, under_way)
    lifetimes.work_out()
    assert all(0.0 < times <= 8.0 for times in lifetimes.times)
    assert 1 / 3 <= lifetimes.too_little <= 3


@given(st.floats(0.0, 5000.0))
def test_an_age_is_in_its_class_of_half_an_octave(age):
    place = place_of(age)
    assert place == PLACES - 1 or age < 2 ** (place / 2)
    assert place == 0 or age >= 2 ** ((place - 1) / 2) * (1 - 1e-12)


TIMES = st.lists(st.floats(0.1, 8.0), min_size=PLACES, max_size=PLACES)
MOVES = st.lists(st.tuples(st.floats(0.0, 4.0), st.floats(1.0, 5000.0), st.floats(0.0, 1.0), TIMES), max_size=40)


@given(MOVES)
def test_once_all_is_known_nothing_of_what_was_guessed_stays_however_it_was_weighed(moves):
    tape, now, out, known = Tape(60.0), 0.0, [], []
    for rest, mean, which, times in moves:
        now += rest
        tape.guess(now, mean, mean)
        out.append((now, mean))
        exposed = tape.weigh(now, times, now - 1.0)
        assert sum(exposed) <= 1.01 * len(out)
        at, paid = out.pop(int(which * (len(out) - 1)))
        tape.correct(at, paid + 1.0, -paid, -paid, -1)
        known.append((at, paid + 1.0))
    for at, paid in out:
        tape.correct(at, paid, -paid, -paid, -1)
        known.append((at, paid))
    held = tape.held(now)
    assert held.guessed == pytest.approx(0.0, abs=1e-4)
    assert held.known == pytest.approx(sum(cost for at, cost in known if math.floor(at * 128) + 1 > (now - 60.0) * 128))


def test_a_row_that_went_longer_ago_than_a_tape_looks_back_is_weighed_no_more():
    tape = Tape(6.0)
    tape.guess(0.0, 100.0, 16.0)
    assert sum(tape.weigh(100.0, [1.0] * PLACES, 99.0)) == pytest.approx(1.0)
    assert sum(tape.weigh(126.0, [1.0] * PLACES, 125.0)) == 0.0


def test_what_the_window_holds_is_weighed_by_the_age_of_each_and_what_has_left_it_too():
    tape = Tape(6.0)
    for at in (0.0, 5.0, 7.0):
        tape.guess(at, 100.0, 16.0)
    tape.weigh(7.0, [1.0 + place for place in range(PLACES)], 7.0)
    assert tape.held(7.0) == pytest.approx((0.0, 100.0 + 400.0, 16.0 + 16 * 16.0))
    assert tape.amount(7.0, 60.0) == pytest.approx((0.0, 100.0 + 400.0 + 700.0, 16.0 * (1 + 16 + 49)))
    tape.guess(7.0, 50.0, 0.0)
    tape.correct(5.0, 70.0, -100.0, -16.0, -1)
    assert tape.held(7.0) == pytest.approx((70.0, 150.0, 16.0))


def test_only_what_a_row_is_off_by_now_is_still_to_be_learnt():
    """That had been learnt twice where the estimate had learnt it too: rows were taken for four times what was expected, and cost twice."""
    room = Played(flat=True, seed=0).room
    for number in range(100):
        room.pay(number / 10, 100.0)
        room.settle(number / 10, 100.0, 200.0, 200.0)
        room.answered(number / 10, 200.0)
    assert room.guesses.expected(200.0).mean == pytest.approx(200.0)


def test_what_is_learnt_of_those_that_end_is_corrected_by_what_they_tell_too_little():
    guesses = Guesses(too_little=1.5)
    assert guesses.expected(100.0) == pytest.approx((150.0, 0.09 * 150.0**2))
