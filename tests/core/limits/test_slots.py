"""Slots that bring nothing are given up, and come back; in virtual time, against servers that queue."""

from __future__ import annotations

import heapq
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
    return sum(start <= each.at < end for each in events.settled) / (end - start)


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


@pytest.mark.parametrize("slower", [None, (300.0, 3.0)], ids=["steady", "three times slower for everybody"])
def test_a_provider_whose_pace_does_not_follow_the_slots_keeps_them_all_in_use(slower):
    events = played(Queueing(1000, slower=slower), until=3000.0)
    seconds = (0.2 + 0.005 * 148.4 * 1.197) * (slower[1] if slower else 1.0)
    assert limit(events) == 64
    assert answers(events, 600, 3000) >= 0.97 * 64 / seconds


class Capped:
    """Refuses what is more than so many at once; and *noise* of the others by chance."""

    def __init__(self, most: float, noise: float = 0.0) -> None:
        self.dice = random.Random(5)
        self.most, self.noise = most, noise
        self.ends: list[float] = []
        self.events: Events | None = None
        self.refused = self.calls = 0

    def __call__(self, _ticket: Ticket) -> tuple[Result, float]:
        assert self.events is not None
        now = self.events.now
        while self.ends and self.ends[0] <= now:
            heapq.heappop(self.ends)
        self.calls += 1
        if len(self.ends) >= self.most or self.dice.random() < self.noise:
            self.refused += 1
            return BUSY, 0.05
        seconds = self.dice.uniform(0.5, 1.5)
        heapq.heappush(self.ends, now + seconds)
        return Reply("an answer", "stop", Usage(10, 100)), seconds


@pytest.mark.parametrize("most", [1, 5, 20])
def test_a_cap_on_calls_at_once_is_found_and_kept_to(most):
    endpoint = Capped(most)
    scheduler = Scheduler([lane(rows=1_000_000, slots=64)], RetryPolicy())
    endpoint.events = Events(scheduler, endpoint)
    endpoint.events.run(1800.0)
    assert answers(endpoint.events, 120, 1800) >= 0.9 * most
    assert endpoint.refused <= 0.03 * endpoint.calls + 200


def test_a_few_refusals_by_chance_take_no_slot_away_and_pause_nothing():
    endpoint = Capped(1000, noise=0.01)
    scheduler = Scheduler([lane(rows=1_000_000, slots=64)], RetryPolicy())
    endpoint.events = Events(scheduler, endpoint)
    endpoint.events.run(600.0)
    assert answers(endpoint.events, 60, 600) >= 0.95 * 64
    assert not scheduler.learnt(600.0), "want of capacity is no rate"


def test_another_workspace_is_not_slowed_by_one_that_is_refused_for_capacity():
    endpoint = Capped(4)
    plain = Queueing(1000)
    scheduler = Scheduler([lane(rows=1_000_000, slots=64, account="one"), lane("sales", 1_000_000, 64, account="one")], RetryPolicy())
    events = Events(scheduler, lambda ticket: endpoint(ticket) if ticket.workspace == "legal" else plain(ticket))
    endpoint.events = plain.events = events
    events.run(300.0)
    sold = sum(each.ticket.workspace == "sales" and 60 <= each.at < 300 for each in events.settled) / 240
    assert sold >= 0.97 * 64 / (0.2 + 0.005 * 148.4 * 1.197)


@given(
    cap=st.integers(1, 40),
    what=st.lists(st.tuples(st.sampled_from(["took", "failed", "refused"]), st.floats(0, 5), st.floats(0, 20), st.integers(0, 4000))),
)
def test_there_is_always_a_slot_and_never_more_than_the_cap(cap, what):
    slots, now = Slots(cap), 0.0
    for kind, passed, lasted, tokens in what * 20:
        now += passed
        slots.sent()
        match kind:
            case "took":
                slots.took(now, now - lasted, tokens, slots.limit)
            case "failed":
                slots.failed(now - lasted)
            case _:
                slots.refused(now, now - lasted)
        assert 1 <= slots.limit <= cap


def test_nothing_grows_while_attempts_fail():
    slots, now = Slots(10), 0.0
    for _ in range(10):
        slots.sent()
        slots.refused(now, now)
    assert slots.limit < 10
    low = slots.limit
    for _ in range(20_000):
        now += 0.05
        slots.sent()
        slots.took(now, now - 0.5, 100, low)
        slots.failed(now - 0.1)
    assert slots.limit <= low


def test_what_was_found_of_slots_is_kept_and_the_next_opening_begins_with_it():
    adapted = played(Queueing(8))
    kept = {("legal", "qwen-plus"): adapted.scheduler.learnt_slots()["legal", "qwen-plus"], ("gone", "qwen-plus"): {"limit": 3}}
    again = Scheduler([lane(rows=100, slots=64)], RetryPolicy())
    again.teach_slots(kept)
    assert again._lanes["legal", "qwen-plus"].slots.limit == limit(adapted)
    assert again.learnt_slots() == {key: found for key, found in kept.items() if key[0] == "legal"}


@pytest.mark.parametrize("kept", [None, 3, {}, {"limit": 0, "best": 0.1}, {"limit": 65, "best": 0.1}, {"limit": 8, "best": "quick"}])
def test_slots_that_make_no_sense_are_not_taken_up(kept):
    scheduler = Scheduler([lane(rows=100, slots=64)], RetryPolicy())
    scheduler.teach_slots({("legal", "qwen-plus"): kept})
    assert scheduler._lanes["legal", "qwen-plus"].slots.limit == 64
    assert scheduler.learnt_slots() == {}


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
        slots.took(float(number), number - (1.0 if number < 10 else 8.0), 100, 64)
        if slots.limit < 64:
            break
    assert slots.limit < 64
    slots.pressed(30_000.0)
    assert slots.limit == 64
