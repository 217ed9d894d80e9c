"""Slots that bring nothing are given up, and come back; in virtual time, against servers that queue."""

from __future__ import annotations

import heapq
import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.limits.slots import Slots
from batchrun.core.model import Failure, Fault, Reply, Scope, Usage
from batchrun.core.scheduling.retry import RetryPolicy
from batchrun.core.scheduling.scheduler import Scheduler, Ticket
from tests.laboratory import Events, Result, lane

BUSY = Failure(Fault.THROTTLED, Scope.LANE, "Throttling.Concurrency", "the provider's words", "wait")


class Queueing:
    """A server that works on so many calls at a time, and lets the others wait; *changes* say from when on it has how many."""

    def __init__(self, servers: int, *, changes: tuple[tuple[float, int], ...] = (), slower: tuple[float, float] | None = None) -> None:
        self.dice = random.Random(3)
        self.servers, self.changes, self.slower = servers, list(changes), slower
        self.busy: list[float] = []
        self.events: Events | None = None

    def __call__(self, _ticket: Ticket) -> tuple[Result, float]:
        now = self.now()
        while self.changes and self.changes[0][0] <= now:
            _, self.servers = self.changes.pop(0)
        tokens = round(self.dice.lognormvariate(5.0, 0.6))
        seconds = 0.2 + tokens * 0.005
        if self.slower and now >= self.slower[0]:
            seconds *= self.slower[1]
        while len(self.busy) >= self.servers:
            now = max(now, heapq.heappop(self.busy))
        heapq.heappush(self.busy, now + seconds)
        return Reply("an answer", "stop", Usage(10, tokens)), now + seconds - self.now()

    def now(self) -> float:
        assert self.events is not None
        return self.events.now


def played(endpoint: Queueing, *, slots: int = 64, until: float = 1800.0) -> Events:
    scheduler = Scheduler([lane(rows=1_000_000, slots=slots)], RetryPolicy())
    endpoint.events = Events(scheduler, endpoint)
    endpoint.events.run(until)
    return endpoint.events


def limit(events: Events) -> int:
    return events.scheduler._lanes["legal", "qwen-plus"].slots.limit


def answers(events: Events, start: float, end: float) -> float:
    return sum(each.verdict.final and start <= each.at < end for each in events.settled) / (end - start)


def mean_wait(events: Events, start: float, end: float) -> float:
    waits = [each.at - each.ticket.launched_at for each in events.settled if start <= each.at < end]
    return sum(waits) / len(waits)


def test_slots_that_only_make_rows_wait_at_the_provider_are_given_up_and_nothing_is_lost():
    all_in_use, adapted = played(Queueing(8), until=60.0), played(Queueing(8))
    best = 8 / (0.2 + 0.005 * 148.4 * 1.197)
    assert 8 <= limit(adapted) <= 24
    assert answers(adapted, 300, 1800) >= 0.97 * best
    assert mean_wait(adapted, 300, 1800) <= 0.45 * mean_wait(all_in_use, 20, 60)


def test_slots_come_back_when_the_provider_has_more():
    events = played(Queueing(8, changes=((600.0, 64),)), until=3000.0)
    assert limit(events) >= 60
    assert answers(events, 2000, 3000) >= 0.95 * 64 / (0.2 + 0.005 * 148.4 * 1.197)


@pytest.mark.parametrize(("slots", "servers"), [(16, 1), (32, 4), (64, 4), (128, 8)])
@pytest.mark.parametrize("long", [1.0, 4.0])
def test_slots_come_back_within_three_minutes_of_an_hour_in_which_the_provider_was_slow(slots, servers, long):
    """They had come back after up to half an hour: a trial that was wrong made the next wait twice as long, all the hour."""
    endpoint = Queueing(1000, changes=((600.0, servers), (4200.0, 1000)), slower=(0.0, long))
    events = played(endpoint, slots=slots, until=4200.0)
    assert limit(events) <= 4 * servers
    events.run(4380.0)
    assert limit(events) >= 0.75 * slots, "with one or two slots, and answers of four seconds, a window takes more than a minute"
    events.run(4500.0)
    assert limit(events) == slots


@pytest.mark.parametrize("slots", [64, 256])
def test_twice_as_many_are_tried_now_and_then_and_cost_a_provider_that_has_no_more_next_to_nothing(slots):
    events = played(Queueing(8), slots=slots, until=7200.0)
    assert answers(events, 1800, 7200) >= 0.97 * 8 / (0.2 + 0.005 * 148.4 * 1.197)
    assert mean_wait(events, 1800, 7200) <= 3.0 * (0.2 + 0.005 * 148.4 * 1.197)


@pytest.mark.parametrize("slower", [None, (300.0, 3.0)], ids=["steady", "three times slower for everybody"])
def test_a_provider_whose_pace_does_not_follow_the_slots_keeps_them_all_in_use(slower):
    events = played(Queueing(1000, slower=slower), until=3000.0)
    seconds = (0.2 + 0.005 * 148.4 * 1.197) * (slower[1] if slower else 1.0)
    assert limit(events) == 64
    assert answers(events, 600, 3000) >= 0.97 * 64 / seconds


class Wide:
    """Answers take as long as they will, one much longer than another, whatever is asked, and however many are under way.

    After some seconds they may take *thrice* as long.
    """

    def __init__(self, kind: str, seed: int, thrice: float = math.inf) -> None:
        self.dice = random.Random(seed)
        self.kind, self.thrice = kind, thrice
        self.events: Events | None = None
        self.busy = 0.0
        """Seconds of slots."""

    def __call__(self, _ticket: Ticket) -> tuple[Result, float]:
        match self.kind:
            case "a batch":
                seconds = self.dice.uniform(60.0, 3600.0)
            case "a crowded batch":
                seconds = min(3600.0, 600.0 * self.dice.lognormvariate(0.0, 1.0))
            case _:
                seconds = min(600.0, 40.0 * self.dice.lognormvariate(0.0, 1.0))
        assert self.events is not None
        seconds *= 3 if self.events.now >= self.thrice else 1
        self.busy += seconds
        return Reply("an answer", "stop", Usage(10, round(self.dice.lognormvariate(5.0, 0.6)))), seconds


@pytest.mark.parametrize("seed", [1, 2, 5])
@pytest.mark.parametrize("slots", [16, 64])
@pytest.mark.parametrize(("kind", "hours"), [("a batch", 20), ("a crowded batch", 20), ("long thoughts", 5)])
def test_slots_stay_in_use_where_some_answers_take_much_longer_than_others_and_no_slot_is_why(kind, hours, slots, seed):
    endpoint = Wide(kind, seed)
    scheduler = Scheduler([lane(rows=1_000_000, slots=slots)], RetryPolicy())
    endpoint.events = Events(scheduler, endpoint)
    endpoint.events.run(hours * 3600.0)
    # What is under way at the end is counted whole: a slot more or less has no more than one of them.
    assert endpoint.busy >= 0.97 * slots * hours * 3600.0


@pytest.mark.parametrize(("kind", "seed", "hours"), [("a crowded batch", 1, 160), ("long thoughts", 4, 11)])
def test_trials_of_a_provider_that_has_become_slow_cost_little_and_no_slot_is_lost_by_chance(kind, seed, hours):
    endpoint = Wide(kind, seed, hours * 180.0)
    scheduler = Scheduler([lane(rows=1_000_000, slots=16)], RetryPolicy())
    endpoint.events = Events(scheduler, endpoint)
    endpoint.events.run(hours * 3600.0)
    assert endpoint.busy >= 0.955 * 16 * hours * 3600.0


@given(
    cap=st.integers(1, 40),
    what=st.lists(st.tuples(st.sampled_from(["took", "failed"]), st.floats(0, 5), st.floats(0, 20), st.integers(0, 4000))),
)
def test_there_is_always_a_slot_and_never_more_than_the_cap(cap, what):
    slots, now = Slots(cap), 0.0
    for kind, passed, lasted, tokens in what * 20:
        now += passed
        slots.sent(now)
        if kind == "took":
            slots.took(now, now - lasted, tokens, slots.limit)
        else:
            slots.failed(now - lasted)
        assert 1 <= slots.limit <= cap


def test_what_was_found_of_slots_is_kept_and_the_next_opening_begins_with_it():
    adapted = played(Queueing(8))
    kept = {("legal", "qwen-plus"): adapted.scheduler.lessons.learnt_slots()["legal", "qwen-plus"], ("gone", "qwen-plus"): {"limit": 3}}
    again = Scheduler([lane(rows=100, slots=64)], RetryPolicy())
    again.lessons.teach_slots(kept)
    assert again._lanes["legal", "qwen-plus"].slots.limit == limit(adapted)
    assert again.lessons.learnt_slots() == {key: found for key, found in kept.items() if key[0] == "legal"}


@pytest.mark.parametrize("kept", [None, 3, {}, {"limit": 0, "best": 0.1}, {"limit": 65, "best": 0.1}, {"limit": 8, "best": "quick"}])
def test_slots_that_make_no_sense_are_not_taken_up(kept):
    scheduler = Scheduler([lane(rows=100, slots=64)], RetryPolicy())
    scheduler.lessons.teach_slots({("legal", "qwen-plus"): kept})
    assert scheduler._lanes["legal", "qwen-plus"].slots.limit == 64
    assert scheduler.lessons.learnt_slots() == {}


def test_answers_that_wait_for_this_process_take_no_slot_away_and_a_trial_under_way_is_given_up():
    queueing = played(Queueing(8), until=120.0)
    assert limit(queueing) < 64, "otherwise it would show nothing"
    pressed = Queueing(8)
    scheduler = Scheduler([lane(rows=1_000_000, slots=64)], RetryPolicy())
    pressed.events = Events(scheduler, pressed)
    scheduler.pressed = True
    pressed.events.run(120.0)
    assert limit(pressed.events) == 64
    slots = Slots(64)
    for number in range(20_000):
        seconds = 1.0 if number < 10 else 8.0
        slots.sent(number - seconds)
        slots.took(float(number), number - seconds, 100, 64)
        if slots.limit < 64:
            break
    assert slots.limit < 64
    slots.pressed(30_000.0)
    assert slots.limit == 64


# One window of answers after the other.


class Windows:
    """Feeds slots whole windows of answers that each took so long; *quick* is how long they took at first."""

    def __init__(self, cap: int = 64, *, quick: float = 1.0) -> None:
        self.slots, self.now = Slots(cap), 0.0
        self.answers(10, quick)

    def answers(
        self, count: int, seconds: float, *, tokens: float = 100, in_flight: int | None = None, failed: int = 0, spread: float = 0.0
    ) -> None:  # fmt: skip
        """*spread* is the share by which every other one takes longer, and the rest less long."""
        began, self.now = self.now, self.now + seconds * (1 + spread)
        for _ in range(failed):
            self.slots.failed(self.now)
        for number in range(count):
            took = seconds * (1 + (spread if number % 2 else -spread))
            self.slots.sent(self.now)
            self.slots.took(began + took, began, tokens, self.slots.limit if in_flight is None else in_flight)

    def window(self, seconds: float, **more) -> int:
        """A window of answers; the slots after it."""
        self.answers(max(40, 2 * self.slots.limit), seconds, **more)
        return self.slots.limit


@pytest.mark.parametrize(("seconds", "limit"), [(1.0, 64), (1.9, 64), (2.1, 44), (10.0, 44)])
def test_three_tenths_of_the_slots_are_taken_away_on_trial_where_answers_take_twice_as_long_as_at_their_quickest(seconds, limit):
    assert Windows().window(seconds) == limit


@pytest.mark.parametrize(("seconds", "spread", "limit"), [(2.1, 0.1, 44), (2.1, 0.9, 64), (2.5, 0.9, 44)])
def test_nothing_is_tried_where_answers_differ_so_much_that_chance_may_have_made_them_slow(seconds, spread, limit):
    assert Windows().window(seconds, spread=spread) == limit


@pytest.mark.parametrize(("spread", "limit"), [(0.2, 44), (0.9, 64)])
def test_slots_come_back_where_answers_differ_so_much_that_chance_may_have_made_them_quicker(spread, limit):
    windows = Windows()
    assert windows.window(3.0, spread=spread) == 44
    assert windows.window(2.1, spread=spread) == limit


@pytest.mark.parametrize(("slower", "spread", "stays"), [(1.15, 0.1, False), (1.15, 0.9, True), (1.5, 0.9, False)])
def test_more_slots_stay_where_answers_differ_so_much_that_chance_may_have_made_them_slower(slower, spread, stays):
    windows = Windows()
    windows.window(3.0)
    windows.window(1.5)
    while windows.window(1.5, spread=spread) == 44:
        pass
    assert windows.window(1.5 * slower, spread=spread) == (57 if stays else 44)


def test_longer_answers_are_no_slower_ones():
    windows = Windows()
    assert windows.window(4.0, tokens=4 * 130 - 30) == 64
    assert windows.window(4.0, tokens=100) == 44


def test_a_window_is_forty_answers_or_two_for_each_slot():
    for cap, count in ((8, 40), (64, 128)):
        windows = Windows(cap)
        windows.answers(count - 1, 3.0)
        assert windows.slots.limit == cap
        windows.answers(1, 0.0)
        assert windows.slots.limit == int(0.7 * cap)


def test_how_quick_the_provider_is_shows_in_the_answers_to_the_first_ten_however_few_slots_are_in_use():
    slots = Slots(64)
    for number in range(30):
        slots.sent(number / 100)
    slots.limit = 32
    for number in range(8):
        slots.took(0.5, 0.2, 100, 1)
        assert slots.learnt() == {}, "of those that were sent later nothing is told"
        slots.took(1.0 + number / 100, number / 100, 100, 1)
    assert slots.learnt() == {"limit": 32, "best": pytest.approx(1 / 130)}, "eight are enough: one may hang"


def test_of_many_that_were_sent_in_the_same_moment_the_quick_ones_tell_nothing_by_themselves():
    slots = Slots(64)
    for _ in range(64):
        slots.sent(0.0)
    slots.limit = 32
    for number in range(51):
        slots.took(1.0 + number, 0.0, 100, 64)
        assert slots.learnt() == {}
    slots.took(52.0, 0.0, 100, 64)
    assert slots.learnt() == {"limit": 32, "best": pytest.approx(26.5 / 130)}


@pytest.mark.parametrize(("after", "limit"), [(3.0 * 0.7, 44), (3.0 * 0.81, 44), (3.0 * 0.83, 64), (3.0, 64), (4.0, 64)])
def test_slots_stay_away_where_each_answer_comes_quicker_by_three_fifths_of_the_measure_and_else_come_back(after, limit):
    windows = Windows()
    assert windows.window(3.0) == 44
    assert windows.window(after) == limit


def trials(windows: Windows, seconds: float, until: float) -> list[float]:
    """When slots are taken away on trial, where answers always take so long."""
    found = []
    while windows.now < until:
        before = windows.slots.limit
        if windows.window(seconds) < before:
            found.append(windows.now)
    return found


def test_each_trial_that_was_wrong_makes_the_next_wait_twice_as_long_and_no_longer_than_half_an_hour():
    at = trials(Windows(20), 10.0, 7500.0)
    rests = [later - earlier for earlier, later in itertools.pairwise(at)]
    assert rests[:7] == pytest.approx([30, 60, 120, 240, 480, 960, 1800], abs=25)
    assert rests[7:] == pytest.approx([1800] * len(rests[7:]), abs=25)


def test_where_a_window_takes_long_the_next_trial_waits_for_two_of_them_then_four_and_no_more_than_thirty_two():
    at = trials(Windows(20), 1000.0, 200_000.0)
    rests = [(later - earlier) / 1000.0 - 1.0 for earlier, later in itertools.pairwise(at)]
    assert rests[:5] == [2, 4, 8, 16, 32]
    assert rests[5:] == [32] * len(rests[5:])


def test_a_trial_that_was_right_lets_the_next_come_at_once():
    windows = Windows()
    seconds = [6.0, 4.0, 4.0, 2.8]
    assert [windows.window(each) for each in seconds] == [44, 44, 30, 30]


def test_slots_that_were_given_up_are_tried_again_and_stay_where_the_pace_holds():
    windows = Windows()
    windows.window(3.0)
    windows.window(1.5)
    limits: list[int] = []
    while len(limits) < 60:
        limits.append(windows.window(1.5))
    assert limits[:18] == [44] * 18, "for half a minute"
    assert sorted(limits) == limits
    assert limits[-1] == 64


@pytest.mark.parametrize(("slower", "stays"), [(1.0, True), (1.1, True), (1.15, False), (1.3, False)])
def test_more_slots_stay_where_the_pace_follows_by_less_than_two_fifths(slower, stays):
    windows = Windows()
    windows.window(3.0)
    windows.window(1.5)
    while windows.window(1.5) == 44:
        pass
    assert windows.slots.limit == 57
    assert windows.window(1.5 * slower) == (57 if stays else 44)


def test_each_try_of_more_slots_that_was_wrong_makes_the_next_wait_twice_as_long():
    windows = Windows()
    windows.window(3.0)
    windows.window(1.5)
    at = []
    while windows.now < 1000.0:
        before = windows.slots.limit
        windows.window(1.5 if before == 44 else 1.95)
        if before < windows.slots.limit:
            at.append(windows.now)
    rests = [later - earlier for earlier, later in itertools.pairwise(at)]
    assert rests == pytest.approx([30, 60, 120, 240, 480], abs=6)


def test_answers_while_the_slots_are_not_in_use_tell_nothing():
    windows = Windows()
    assert windows.window(9.0, in_flight=54) == 64
    assert windows.window(9.0, in_flight=55) == 44


def test_answers_to_what_was_launched_before_a_change_tell_nothing_of_it():
    windows = Windows()
    assert windows.window(3.0) == 44
    for _ in range(500):
        windows.slots.took(windows.now + 1.0, windows.now - 1.0, 100, 64)
        windows.slots.failed(windows.now - 1.0)
    assert windows.slots.limit == 44
    assert windows.window(2.0) == 44, "only these were looked at"


def test_nothing_more_is_tried_while_one_in_twenty_fails():
    for failed, grows in ((6, False), (2, True)):
        windows = Windows(10)
        windows.window(3.0)
        windows.window(1.5)
        limits = {windows.window(1.5, failed=failed) for _ in range(60)}
        assert (max(limits) > 7) is grows


def test_a_quickest_pace_that_never_comes_again_fades():
    windows = Windows(8)
    limits = [windows.window(1.99) for _ in range(60)]
    assert set(limits) == {8}
    windows = Windows(8, quick=0.9)
    limits = [windows.window(1.99) for _ in range(160)]
    assert limits[0] == 5
    assert set(limits[-40:]) == {8}, "a two-thousandth a window: it was two fifths quicker once"


def test_a_trial_is_given_up_where_the_process_is_what_answers_wait_for():
    windows = Windows()
    windows.window(3.0)
    windows.slots.pressed(windows.now)
    assert windows.slots.limit == 64
    assert windows.window(3.0) == 44, "it may begin anew at once"
    windows.answers(70, 9.0)
    windows.slots.pressed(windows.now)
    windows.answers(70, 1.0)
    assert windows.slots.limit == 64, "what came before says nothing"


@pytest.mark.parametrize(("limit", "best", "taken"), [(1, 0.01, 1), (63, 0.01, 63), (64, 0.01, 64), (8, 0.0, 64), (8, float("inf"), 64)])
def test_slots_from_one_to_all_are_taken_up_with_a_pace_that_can_be(limit, best, taken):
    slots = Slots(64)
    slots.teach({"limit": limit, "best": best})
    assert slots.limit == taken
    assert slots.learnt() == ({"limit": limit, "best": best} if taken < 64 else {})


def test_what_was_sent_before_this_process_was_last_pressed_tells_nothing_though_nothing_was_measured_meanwhile():
    slots = Slots(64)
    slots.teach({"limit": 64, "best": 0.01})
    slots.pressed(10.0)
    slots.pressed(20.0)
    slots.took(25.0, 15.0, 100.0, 64)
    assert slots._pace.answers == 0
    slots.took(25.0, 21.0, 100.0, 64)
    assert slots._pace.answers == 1
