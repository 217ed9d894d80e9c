"""A tape of entries, held against a list that is added up anew each time."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.limits.tape import LONGEST, Tape

CELL = 1 / 128
STEPS = st.lists(st.tuples(st.floats(0, 3), st.floats(0, 100), st.booleans()), max_size=60)


def off_by_itself(amount):
    """What is expected to be *amount*, give or take as much: mean and variance."""
    return amount, amount * amount


def learn(tape, at, guessed, amount):
    """What was *guessed* is known."""
    tape.correct(at, amount, -guessed, -guessed * guessed)


def played(steps, seconds):
    """A tape and the entries that it was told of: when, known, guessed."""
    tape, now, entries = Tape(seconds), 0.0, []
    for rest, amount, known in steps:
        now += rest
        if known:
            tape.know(now, amount)
        else:
            tape.guess(now, *off_by_itself(amount))
        entries.append((now, amount if known else 0.0, 0.0 if known else amount))
    return tape, now, entries


@given(STEPS, st.floats(0.5, 60), st.floats(0, 70))
def test_a_tape_holds_what_a_list_does_to_a_cell_and_never_less(steps, seconds, rest):
    tape, now, entries = played(steps, seconds)
    now += rest
    held = tape.held(now)
    for place, value in ((1, held.known), (2, held.guessed)):
        least = sum(entry[place] for entry in entries if entry[0] > now - seconds)
        most = sum(entry[place] for entry in entries if entry[0] > now - seconds - CELL - 1e-9)
        assert least - 1e-6 <= value <= most + 1e-6


@given(STEPS, st.floats(0.5, 60))
def test_what_a_tape_will_hold_is_what_it_then_holds(steps, seconds):
    tape, now, _ = played(steps, seconds)
    foretold = list(tape.drain(now))
    assert [at for at, _ in foretold] == sorted({at for at, _ in foretold})
    for at, amount in foretold:
        assert at > now
        assert tape.held(at) == pytest.approx(amount, abs=1e-6)
    assert tape.held(now + seconds + 1) == (0, 0, 0)


@given(STEPS, st.data())
def test_a_guess_that_comes_true_is_known_from_when_it_was_made(steps, data):
    tape, now, entries = played(steps, 60.0)
    for at, _, guessed in entries:
        if guessed:
            learn(tape, at, guessed, data.draw(st.just(guessed / 2)))
    held = tape.held(now)
    assert held.guessed == pytest.approx(0.0, abs=1e-6)
    assert held.variance == pytest.approx(0.0, abs=1e-3)
    least = sum(known + guessed / 2 for at, known, guessed in entries if at > now - 60.0)
    assert held.known >= least - 1e-6


def test_a_window_that_grows_takes_in_again_what_had_left_it():
    tape = Tape(1.0)
    for second in range(10):
        tape.know(float(second), 1.0)
    assert tape.held(9.5).known == 1
    tape.look_back(9.5, 6.0)
    assert tape.held(9.5).known == 6
    tape.look_back(9.5, 2.0)
    assert tape.held(9.5).known == 2


def test_a_sum_may_look_at_a_moment_in_the_past():
    tape = Tape(1.0)
    for second in range(60):
        tape.know(float(second), 1.0)
    assert tape.sum(40.0, 9.5) == 10
    assert tape.sum(59.0, 100.0) == 60


def test_however_much_goes_a_tape_keeps_no_more_than_a_cell_for_each_hundredth_of_a_second():
    tape = Tape(60.0)
    for number in range(300_000):
        tape.guess(number / 1000, *off_by_itself(1.0))
    assert len(tape._cells) <= (LONGEST + 1) * 128
    assert math.isclose(tape.held(300.0).guessed, 60_000, rel_tol=0.001)


class Listed:
    """What a tape is, as a list: when, guessed at what, or known at what."""

    def __init__(self, seconds: float, late: float = 0.0) -> None:
        self.seconds, self.late = seconds, late
        self.entries: list[list[float | None]] = []

    def held(self, now: float) -> tuple[float, float, float]:
        inside = [entry for entry in self.entries if (entry[0] or 0.0) + CELL + self.seconds + self.late > now]
        guesses = [entry[2] or 0.0 for entry in inside if entry[1] is None]
        return sum(entry[1] or 0.0 for entry in inside), sum(guesses), sum(each * each for each in guesses)


OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["know", "guess", "guess", "learn", "again", "back"]), st.integers(0, 300), st.integers(1, 100)), max_size=60
)


@given(OPERATIONS, st.sampled_from([0.0, 0.25]))
def test_a_tape_is_a_list_whatever_is_known_guessed_again_and_looked_back_for(operations, late):
    """In whole cells, so that nothing need be said of what lies across one."""
    tape, listed, cell = Tape(1.0, late), Listed(1.0, late), 0
    for what, number, amount in operations:
        cell += number
        now = cell * CELL
        open_ = [entry for entry in listed.entries if entry[1] is None and (entry[0] or 0.0) > now - 60.0]
        if what == "know":
            tape.know(now, amount)
            listed.entries.append([now, amount, None])
        elif what == "guess":
            tape.guess(now, *off_by_itself(amount))
            listed.entries.append([now, None, amount])
        elif what == "back":
            listed.seconds = (1.0, 2.0, 6.0)[amount % 3]
            tape.look_back(now, listed.seconds)
        elif open_:
            entry = open_[amount % len(open_)]
            at, _, guessed = (each or 0.0 for each in entry)
            if what == "learn":
                learn(tape, at, guessed, amount)
                entry[1] = amount
            else:
                tape.correct(at, 0.0, amount - guessed, amount * amount - guessed * guessed)
                entry[2] = amount
        assert tape.held(now) == pytest.approx(listed.held(now), abs=1e-6)
        before: tuple[float, ...] = listed.held(now)
        for at, foretold in tape.drain(now):
            assert listed.held(at - CELL / 2) == pytest.approx(before, abs=1e-6)
            before = listed.held(at)
            assert foretold == pytest.approx(before, abs=1e-6)


def test_what_may_come_late_stays_so_much_longer():
    for late in (0.0, 0.5):
        tape = Tape(2.0, late)
        tape.know(10.0, 3.0)
        ((leaves, _),) = tape.drain(10.0)
        assert leaves == pytest.approx(12.0 + late + CELL)
        assert tape.held(leaves - 1e-6).known == 3.0
        assert tape.held(leaves).known == 0.0


def test_a_sum_ends_with_the_moment_that_is_asked_about():
    tape = Tape(60.0)
    for number in range(1, 11):
        tape.know(float(number), 10.0**number)
    assert tape.sum(5.0, 2.0) == 10.0**3 + 10.0**4 + 10.0**5
    assert tape.sum(5.5, 0.4) == 0
    assert tape.sum(0.5, 0.4) == 0


def test_a_sum_finds_what_the_window_has_let_go_of_and_forgets_after_longer_than_any_window():
    tape = Tape(1.0)
    tape.know(0.0, 5.0)
    tape.know(30.0, 7.0)
    tape.know(70.0, 1.0)
    assert tape.sum(70.0, 70.0) == 13.0
    assert tape.sum(40.0, 15.0) == 7.0
    tape.know(126.0, 1.0)
    assert tape.sum(126.0, 126.0) == 9.0


def test_what_is_guessed_anew_is_taken_back_as_it_was_guessed_then_and_what_is_known_stays():
    tape = Tape(2.0)
    tape.know(0.0, 7.0)
    tape.guess(0.0, 10.0, 4.0)
    tape.guess(5.0, 20.0, 16.0)
    tape.guess_anew(3.0)
    assert tape.held(5.0) == (0.0, 60.0, 144.0)
    tape.correct(0.0, 31.0, -30.0, -36.0)
    tape.correct(5.0, 62.0, -60.0, -144.0)
    assert tape.held(5.0) == (62.0, 0.0, 0.0)
    assert tape.amount(5.0, 10.0) == (100.0, 0.0, 0.0)


def test_what_becomes_known_after_it_left_the_window_counts_again_once_the_window_grows():
    tape = Tape(1.0)
    tape.guess(0.0, *off_by_itself(5.0))
    assert tape.held(3.0) == (0, 0, 0)
    learn(tape, 0.0, 5.0, 8.0)
    assert tape.held(3.0) == (0, 0, 0)
    tape.look_back(3.0, 6.0)
    assert tape.held(3.0) == (8.0, 0, 0)


def test_what_becomes_known_of_what_a_window_that_grew_took_in_again_counts_in_it():
    tape = Tape(1.0)
    tape.guess(0.0, *off_by_itself(5.0))
    assert tape.held(3.0) == (0, 0, 0)
    tape.look_back(3.0, 6.0)
    learn(tape, 0.0, 5.0, 8.0)
    assert tape.held(3.0) == (8.0, 0, 0)


def test_what_becomes_known_of_what_nobody_remembers_changes_nothing():
    tape = Tape(1.0)
    tape.guess(0.0, *off_by_itself(5.0))
    tape.guess(100.0, *off_by_itself(3.0))
    learn(tape, 0.0, 5.0, 8.0)
    tape.correct(50.0, 0.0, 3.0, 39.0)
    assert tape.held(100.0) == (0, 3.0, 9.0)


def test_a_window_that_has_emptied_holds_nothing_at_all_whatever_was_rounded():
    tape = Tape(1.0)
    for number in range(100):
        tape.guess(number / 10, *off_by_itself(0.1 + number / 7))
        learn(tape, number / 10, 0.1 + number / 7, 0.3 + number / 3)
    assert tape.held(50.0) == (0.0, 0.0, 0.0)


@given(STEPS, st.floats(0.5, 60), st.floats(0, 10))
def test_what_a_tape_held_is_what_one_that_was_told_no_more_held_then(steps, seconds, ago):
    tape, now, entries = played(steps, seconds)
    at = max(0.0, now - ago)
    other = Tape(seconds)
    for when, known, guessed in entries:
        if math.floor(when / CELL) <= math.floor(at / CELL):
            other.know(when, known)
            other.guess(when, *off_by_itself(guessed))
    assert tape.held_at(now, at) == pytest.approx(other.held(at), abs=1e-6)
