"""Times at which things are due, held against a plain table of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.scheduling.alarms import TICK, Alarms


@dataclass(eq=False)
class Thing:
    alarm: int = 0


@given(st.lists(st.tuples(st.sampled_from(["ring", "ring", "rest", "pop", "back"]), st.integers(0, 4), st.floats(0, 100)), max_size=60))
def test_each_thing_is_due_once_at_the_time_that_was_named_last(steps):
    alarms, things, due, now, taken = Alarms[Thing](), [Thing() for _ in range(5)], {}, 0.0, None
    for what, place, number in steps:
        if what == "ring":
            alarms.ring_at(things[place], now + number)
            due[place] = now + number
        elif what == "rest":
            things[place].alarm = 0
            due.pop(place, None)
        elif what == "back" and taken is not None and taken[0] not in due and things[taken[0]].alarm:
            alarms.put_back(things[taken[0]], taken[1])
            due[taken[0]] = taken[1]
        elif what == "pop":
            now += number
            found = alarms.pop(now)
            if found is None:
                assert not any(at <= now for at in due.values())
            else:
                at, thing = found
                taken = things.index(thing), at
                assert at == min(due.values()) <= now + TICK
                assert due.pop(taken[0]) == at
        assert alarms.next_at() == min(due.values(), default=math.inf)


def test_what_is_due_is_found_although_the_clock_is_a_rounding_short_of_it():
    alarms, thing = Alarms[Thing](), Thing()
    alarms.ring_at(thing, 10.0)
    assert alarms.pop(10.0 - 1e-6) is None
    assert alarms.pop(10.0 - 1e-9) == (10.0, thing)
    assert alarms.pop(10.0) is None


def test_what_is_due_together_comes_in_the_order_in_which_it_was_named():
    alarms, things = Alarms[Thing](), [Thing() for _ in range(4)]
    for thing in things:
        alarms.ring_at(thing, 1.0)
    assert [alarms.pop(2.0) for _ in things] == [(1.0, thing) for thing in things]
