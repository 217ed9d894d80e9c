"""A tape of entries, held against a list that is added up anew each time."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.limits.tape import Tape

CELL = 1 / 128
STEPS = st.lists(st.tuples(st.floats(0, 3), st.floats(0, 100), st.booleans()), max_size=60)


def played(steps, seconds):
    """A tape and the entries that it was told of: when, known, guessed."""
    tape, now, entries = Tape(seconds), 0.0, []
    for rest, amount, known in steps:
        now += rest
        if known:
            tape.know(now, amount)
        else:
            tape.guess(now, amount)
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
            tape.learn(at, guessed, data.draw(st.just(guessed / 2)))
    held = tape.held(now)
    assert held.guessed == pytest.approx(0.0, abs=1e-6)
    assert held.squares == pytest.approx(0.0, abs=1e-3)
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
        tape.guess(number / 1000, 1.0)
    assert len(tape._cells) <= 76 * 128
    assert math.isclose(tape.held(300.0).guessed, 60_000, rel_tol=0.001)
