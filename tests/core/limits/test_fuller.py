"""A window of one or two seconds shows in how full it was at refusals, where the quota is to be found; and so do answers."""

from __future__ import annotations

from itertools import pairwise

import pytest

from batchrun.core.limits.counting import WINDOWS
from batchrun.core.limits.fuller import Fuller
from batchrun.core.limits.quota import NO_QUOTA, limiter
from batchrun.core.limits.reckoning import ToldReckoning
from batchrun.core.limits.tape import Tape
from batchrun.core.limits.use import Use
from batchrun.core.limits.windows import Windows
from batchrun.core.limits.witness import Refusal
from tests.benchmarks.bars import tokens
from tests.benchmarks.play import Play, World

RATE, EACH = 1000.0, 100.0
SIX, TWO, ONE = (WINDOWS.index(seconds) for seconds in (6.0, 2.0, 1.0))


def looked_at(seconds: float, *, mean: float = EACH, times: int = 8, rung: int = SIX) -> list[int | None]:
    """What refusals show that come when twice as much went in so many *seconds* as goes in others, which are made up for before."""
    reckoning = ToldReckoning()
    reckoning.counting.over(rung)
    fuller, said, now = Fuller(reckoning.room), [], 0.0
    for _ in range(times):
        for part in range(240):
            now += 0.1
            is_full = part >= 240 - 10 * seconds
            is_before = not is_full and part >= 240 - 60
            for _ in range(4 if is_full else 1 if is_before else 2):
                reckoning.room.pay(now, EACH)
                reckoning.room.settle(now, EACH, EACH)
        said.append(fuller.look_at(Refusal(now, now + 0.05, RATE, mean, mean), EACH, now))
    return said


@pytest.mark.parametrize(("seconds", "rung"), [(1.0, ONE), (2.0, TWO)])
def test_the_window_that_is_fuller_than_usual_at_refusals_is_the_one(seconds, rung):
    said = looked_at(seconds)
    assert said[:6] == [None] * 6, "a few refusals show nothing"
    assert said[6] == rung


def test_a_window_that_is_believed_in_stays_while_it_is_the_fullest():
    assert set(looked_at(6.0)) == set(looked_at(1.0, rung=ONE)) == {None}


def test_what_was_believed_to_be_short_is_let_go_of_when_a_longer_one_is_fuller():
    assert looked_at(6.0, rung=ONE)[-1] == SIX


def test_what_refusals_showed_of_another_window_is_forgotten_with_it():
    room = ToldReckoning().room
    fuller = Fuller(room, 3.0, [1.0, 2.0, 3.0], 2.0, 1.0)
    fuller.forget()
    assert fuller == Fuller(room)


def test_rows_far_dearer_than_usual_show_nothing():
    assert set(looked_at(1.0, mean=4 * EACH)) == {None}


def test_of_a_minutes_window_nothing_is_shown_here():
    assert set(looked_at(1.0, rung=WINDOWS.index(60.0))) == {None}


def counts_answers(*, went_by_refusal: int, answered_by_refusal: int, rests: bool = False, at_end: bool = False) -> bool:
    """What is believed after refusals at which as many rows a tenth of a second had gone and ended for six seconds; else two do.

    Where sending *rests* in between, more answers than that come at once, and nothing goes until they have left the window.
    """
    reckoning = ToldReckoning()
    room, now = reckoning.room, 0.0
    room.counting.at_end = at_end
    fuller = Fuller(room)
    for _ in range(8):
        for part in range(240):
            now += 0.1
            is_refused_soon, is_rest = part >= 180, rests and 90 <= part < 160
            for _ in range(went_by_refusal if is_refused_soon else 0 if is_rest else 2):
                room.pay(now, EACH)
                room.settle(now, EACH, EACH)
            room.ended.know(now, EACH * (answered_by_refusal if is_refused_soon else 2 if not is_rest else 40 if part < 100 else 0))
        fuller.look_at(Refusal(now, now + 0.05, RATE, EACH, EACH), EACH, now)
    return room.counting.at_end


def test_answers_that_fill_the_window_more_than_usual_at_refusals_are_what_is_counted():
    assert counts_answers(went_by_refusal=2, answered_by_refusal=4)
    assert not counts_answers(went_by_refusal=4, answered_by_refusal=2)


@pytest.mark.parametrize(("after", "are_counted"), [(0.0, True), (15.0, False)])
def test_answers_that_grow_all_the_time_are_not_taken_to_be_counted_once_it_is_seen_that_they_go_on(after, are_counted):
    """After a burst of slow ones they come in more and more, and rows are taken though there are more than at a refusal."""
    reckoning = ToldReckoning()
    room, fuller, now, refusals = reckoning.room, Fuller(reckoning.room), 0.0, list[Refusal]()
    for part in range(1_200):
        now += 0.1
        for _ in range(2):
            room.pay(now, EACH)
            room.settle(now, EACH, EACH)
        room.ended.know(now, EACH * part / 600)
        if part % 60 == 30:
            refusals.append(Refusal(now, now + 0.05, RATE, EACH, EACH))
        if refusals and now >= refusals[0].launched_at + after:
            fuller.look_at(refusals.pop(0), EACH, now)
    assert room.counting.at_end is are_counted


def test_answers_that_come_while_nothing_is_sent_hide_nothing():
    assert counts_answers(went_by_refusal=2, answered_by_refusal=4, rests=True)


def test_that_answers_are_counted_is_believed_until_what_went_explains_refusals_better():
    assert counts_answers(went_by_refusal=4, answered_by_refusal=4, at_end=True)
    assert not counts_answers(went_by_refusal=4, answered_by_refusal=4)
    assert not counts_answers(went_by_refusal=4, answered_by_refusal=1, at_end=True)


@pytest.mark.parametrize("window", ["sliding", "aligned"])
def test_a_short_window_is_found_and_kept(window):
    played = Play(World(tokens(5_000_000, 1, window), seconds=240.0, jitter=0.02, cap=1000, seed=7))
    played.run()
    learnt = played.limiters[0].learnt()
    assert learnt["tokens"]["window"] == 1.0
    again = limiter(NO_QUOTA)
    again.teach(learnt, 0.0)
    assert again.tokens.window == 1.0


@pytest.mark.parametrize(("before", "is_minute"), [(0.0, False), (4000.0, True)])
def test_a_minute_of_which_all_went_in_the_last_seconds_shows_nothing_by_holding_the_same(before, is_minute):
    windows = Windows(Use())
    for at, amount in ((100.0, before), (130.0, 1000.0)):
        windows.use.trail.add(at, amount)
    first = windows.note(131.0, 131.0, 0.0, first=True)
    assert not windows.is_minute_as(first)
    assert windows.is_minute_as(windows.note(131.2, 131.2, 0.0, first=False)) is is_minute


def test_the_course_of_a_tape_adds_up_to_what_went():
    tape = Tape(6.0)
    for number in range(40):
        tape.know(number / 8, 1.0)
        tape.guess(number / 8, 2.0, 4.0)
    course = tape.course(39 / 8, 100, 8)
    assert course == [3.0] * 40 + [0.0] * 60
    assert all(sum(course[:parts]) == tape.amount(39 / 8, (parts - 1) / 8).expected for parts in range(1, 40))
    assert all(one >= other for one, other in pairwise(course))
