"""Half of what was taken is tried; and whole runs of one workspace or several of which a share is refused whatever they send."""

from __future__ import annotations

import itertools
import random

import pytest

from batchrun.core.scheduling.chance import Chance, Shown
from batchrun.core.scheduling.retry import RetryPolicy
from batchrun.core.scheduling.scheduler import Scheduler
from batchrun.core.scheduling.trial import Trial
from tests.laboratory import Events, answer, lane, throttled

LANES = ("legal", "sales")


class Calls:
    """Made of both lanes in turn, and refused as they are told to be."""

    def __init__(self) -> None:
        self.chance = Chance()
        self.now = 0.0
        self.turns = 0

    def until(self, end, is_refused, gap=0.1):
        """What was not explained of what was refused, until *end* or until a trial begins or is over."""
        told = 0
        while self.now < end:
            self.now += gap
            self.turns += 1
            name = LANES[self.turns % 2]
            trial = self.chance.trial
            self.chance.number += 1
            if self.chance.counts:
                self.chance.sent(self.now, name)
            if is_refused(self.turns):
                told += not self.chance.refused(self.now, self.chance.number, name)
            if self.chance.trial is not trial:
                break
        return told

    def look(self, is_refused):
        """Call for a minute; whether half is tried by then."""
        self.until(self.now + 61.0, is_refused)
        return self.tries_half()

    def tries_half(self):
        """Whether it is tried now."""
        return self.chance.trial is not None

    def shown(self, is_refused):
        """The share that half of it shows, which was tried since this minute."""
        self.until(self.now + 600.0, is_refused, gap=0.2)
        assert self.chance.trial is None
        return self.chance.share


def every(number):
    return lambda turn: turn % number == 0


def never(_turn):
    return False


def in_rows(turn):
    return turn % 40 < 8


def test_half_of_what_was_taken_in_a_minute_is_tried_where_one_in_seven_is_refused_here_and_there():
    calls = Calls()
    assert calls.look(every(7))
    assert calls.chance.trial is not None
    assert calls.chance.trial.rate == pytest.approx(10 * 6 / 7 / 2, rel=0.01)
    began = calls.now
    calls.until(began + 5.0, never, gap=calls.chance.trial.rate**-1 / 2)
    assert calls.chance.trial.free_at(calls.now) == pytest.approx(began + 10.0, abs=0.5)


@pytest.mark.parametrize("refuses", [never, every(50), in_rows, lambda turn: turn % 5], ids=["none", "few", "in rows", "most"])
def test_nothing_is_tried_where_refusals_are_what_a_quota_makes_of_them(refuses):
    assert not Calls().look(refuses)


def test_what_is_refused_of_half_is_explained_from_then_on_and_no_more_than_that():
    calls = Calls()
    assert calls.look(every(7))
    assert 1 / 7 < calls.shown(every(7)) < 0.25
    assert calls.until(calls.now + 300.0, every(7)) == 0
    assert calls.until(calls.now + 60.0, every(2)) > 50


@pytest.mark.parametrize(
    "refuses",
    [never, every(30), in_rows, lambda turn: turn % 3, lambda turn: turn % 2 and every(7)(turn)],
    ids=["none", "few", "in rows", "most", "one lane"],
)
def test_it_is_no_chance_where_half_is_refused_otherwise(refuses):
    calls = Calls()
    assert calls.look(every(7))
    assert calls.shown(refuses) == 0.0
    assert calls.until(calls.now + 50.0, every(7)) > 60


def test_a_trial_that_shows_no_chance_blames_the_rate_whether_a_quota_is_known_or_not():
    for is_known in (False, True):
        calls, shown = Calls(), None
        calls.chance.is_known = is_known
        assert calls.look(every(7))
        while calls.tries_half():
            calls.now += 0.2
            calls.turns += 1
            shown = calls.chance.sent(calls.now, LANES[calls.turns % 2])
        assert shown is Shown.RATE


def test_what_was_tried_in_vain_is_tried_again_ever_later():
    calls = Calls()
    began: list[float] = []
    while len(began) < 4:
        assert calls.now < 3600.0
        if calls.look(every(7)):
            began.append(calls.now)
            calls.shown(never)
    first, second, third = (later - earlier for earlier, later in itertools.pairwise(began))
    assert first < second < third


def test_chance_that_is_over_explains_nothing_a_minute_later_and_no_half_is_tried_for_it():
    calls = Calls()
    assert calls.look(every(7))
    assert calls.shown(every(7))
    assert not calls.look(never)
    assert calls.chance.share == 0.0
    assert calls.until(calls.now + 10.0, every(7)) == 100 // 7
    calls.until(calls.now + 90.0, every(7))
    assert calls.tries_half(), "what comes again is looked into as at first"


def test_chance_that_has_become_less_explains_no_more_than_that_a_few_minutes_later():
    calls = Calls()
    assert calls.look(every(7))
    assert calls.shown(every(7)) > 0.14
    for _ in range(5):
        calls.until(calls.now + 61.0, every(50))
    assert 0.02 <= calls.chance.share < 0.05
    assert not calls.tries_half()
    calls.until(calls.now + 700.0, every(50))
    assert calls.tries_half()


@pytest.mark.parametrize(("share", "gap"), [(0.1, 0.1), (0.1, 1.0), (0.3, 0.5)])
def test_chance_that_stays_is_hardly_ever_taken_for_less_in_a_night(share, gap):
    dice, calls = random.Random(1), Calls()
    calls.chance.share, calls.chance.counts = 1.1 * share, True
    told = refused = 0

    def refuses(_turn):
        nonlocal refused
        is_refused = dice.random() < share
        refused += is_refused
        return is_refused

    while calls.now < 8 * 3600.0:
        told += calls.until(calls.now + 600.0, refuses, gap)
    assert told < 0.06 * refused


def test_while_all_is_refused_for_an_hour_nothing_is_tried_and_after_it_what_is_chance_is_told_as_before():
    calls = Calls()
    assert calls.look(every(7))
    share = calls.shown(every(7))
    calls.until(calls.now + 3600.0, lambda _turn: True, gap=8.0)
    assert calls.chance.trial is None
    assert calls.chance.share == share
    began = calls.now
    while not calls.look(every(7)):
        assert calls.now < began + 60.0
    assert calls.shown(every(7)) > 1 / 7
    assert calls.now < began + 300.0


def test_what_a_provider_says_the_end_of_is_none_of_what_is_explained_and_uses_nothing_of_it_up():
    calls = Calls()
    assert calls.look(every(7))
    assert not calls.chance.refused(calls.now, calls.chance.number, LANES[0], may_be_chance=False)
    assert calls.shown(every(7))
    chance = calls.chance
    for _ in range(20):
        assert not chance.refused(calls.now, chance.number, LANES[0], may_be_chance=False)
    assert chance.refused(calls.now, chance.number, LANES[0])


@pytest.mark.parametrize("others", [every(29), never], ids=["chance", "a peak of others"])
def test_a_few_in_a_hundred_are_looked_into_where_the_quota_is_known(others):
    calls = Calls()
    calls.chance.is_known = True
    calls.until(560.0, every(29))
    assert calls.chance.trial is None, "what may be over by then gains nothing by it"
    calls.until(680.0, every(151))
    assert calls.chance.trial is None
    assert calls.look(every(29))
    assert (calls.shown(others) > 1 / 29) is (others is not never)


@pytest.mark.parametrize(("is_known", "often", "looked_into"), [(False, 20, True), (False, 29, False), (True, 20, False)])
def test_what_finding_a_quota_may_cost_is_looked_into_once_one_would_have_been_found(is_known, often, looked_into):
    calls = Calls()
    calls.chance.is_known = is_known
    calls.until(200.0, every(often))
    assert not calls.tries_half(), "it may be found yet"
    calls.until(500.0, every(often))
    assert calls.tries_half() is looked_into


def test_the_fewer_are_refused_the_more_calls_a_trial_takes():
    calls = Calls()
    calls.chance.is_known = True
    calls.until(670.0, every(61))
    assert calls.chance.trial is not None
    assert 1 / 89 < calls.shown(every(89)) < 0.02


def test_one_refusal_or_two_of_a_few_calls_are_looked_into_nowhere():
    calls = Calls()
    calls.chance.is_known = True
    calls.until(900.0, every(25), gap=0.6)
    assert calls.chance.trial is None


def test_a_smaller_share_is_looked_into_where_less_is_taken_than_was():
    calls = Calls()
    assert not calls.look(every(20))
    calls.until(calls.now + 120.0, every(20), gap=0.3)
    assert calls.chance.trial is not None
    assert calls.chance.trial.rate > 2.0


def test_nothing_is_tried_before_two_looks_in_a_row_have_seen_refusals_here_and_there():
    calls = Calls()
    calls.until(31.0, in_rows)
    calls.until(61.0, every(7))
    assert calls.chance.trial is None
    assert calls.look(every(7))


def test_what_a_quota_refuses_beside_a_share_that_is_known_does_not_make_it_seem_less():
    calls = Calls()
    assert calls.look(every(7))
    share = calls.shown(every(7))
    while not calls.look(lambda turn: turn % 5 in {0, 2}):
        assert calls.now < 3600.0
    assert 1 / 7 < calls.shown(every(7)) < share


def test_of_two_trials_that_show_as_much_both_count_and_of_others_the_latest():
    shares = []
    for then in (every(7), every(3)):
        calls = Calls()
        assert calls.look(every(7))
        shares.append(calls.shown(every(7)))
        while not calls.look(then):
            assert calls.now < 3600.0
        shares.append(calls.shown(then))
    first, again, _, other = shares
    assert 1 / 7 < again < first
    assert other > 1 / 3


@pytest.mark.parametrize(("share", "seed"), [(0.1, 1), (0.15, 2), (0.2, 3)])
def test_a_run_of_which_a_share_is_refused_by_chance_takes_no_more_than_twice_as_long_as_its_slots_and_loses_no_row(share, seed):
    dice = random.Random(seed)
    scheduler = Scheduler([lane(rows=6000, slots=16)], RetryPolicy())
    events = Events(scheduler, lambda _ticket: (throttled(), 0.06) if dice.random() < share else (answer(), dice.uniform(0.5, 1.0)))
    drained = events.run(until=3600.0)
    assert drained is not None
    assert not drained.parked
    assert sum(each.verdict.final for each in events.settled) == 6000
    assert events.now < 2 * 6000 * 0.75 / 16


@pytest.mark.parametrize("workspaces", [1, 2, 4, 12])
@pytest.mark.parametrize(("share", "seed"), [(0.1, 1), (0.15, 2), (0.2, 3), (0.2, 4)])
def test_a_run_of_one_workspace_or_several_of_which_a_share_is_refused_by_chance_is_held_up_by_no_more_than_minutes(
    workspaces, share, seed
):
    dice, rows, slots = random.Random(seed), 12_000 // workspaces, 12 // workspaces
    lanes = [lane(f"w{place}", rows, slots, account="main") for place in range(workspaces)]
    events = Events(
        Scheduler(lanes, RetryPolicy()),
        lambda _ticket: (throttled(), 0.06) if dice.random() < share else (answer(), dice.uniform(0.5, 1.0)),
    )
    drained = events.run(until=7200.0)
    assert drained is not None
    assert not drained.parked
    assert sum(each.verdict.final for each in events.settled) == 12_000
    assert events.now < 1.25 * 12_000 * 0.75 / 12 + 600.0


def test_calls_are_counted_from_the_first_that_is_refused_until_two_looks_see_none():
    calls, counted = Calls(), []
    for end, refuses in ((100.0, never), (101.0, every(5)), (130.0, never), (230.0, never), (231.0, every(5))):
        calls.until(end, refuses)
        counted.append(calls.chance.counts)
    assert counted == [False, True, True, False, True]


def test_once_refusals_are_shown_to_be_chance_a_workspace_that_took_them_for_its_limit_goes_on_at_once():
    scheduler = Scheduler([lane(name, rows=9, slots=1, account="one") for name in LANES], RetryPolicy())
    legal, sales = (scheduler._lanes[name, "qwen-plus"] for name in LANES)
    legal.limiter.teach({"attempts": {"rate": 0.01, "window": 60.0}}, 0.0)
    first = scheduler.launches(0.0, 10)[0]
    for ticket in first:
        scheduler.settle(ticket, answer(), 1.0, 0.5)
        scheduler.release(ticket)
    trial, chance = Trial(50.0, -100.0, before=0.2), legal.pool.chance
    for number in range(240):
        trial.sent(-50.0, LANES[number % 2])
        if number % 5 == 0:
            trial.refused(-50.0, number, LANES[number % 2])
    chance.trial, chance.counts = trial, True
    assert legal.limiter.free_at(1.0, 1.0) > 10.0
    assert [ticket.lane for ticket in scheduler.launches(1.0, 10)[0]] == [sales, legal]


def fallen(calls, is_refused):
    """Ten calls a second until the first refusal, and from then on three; whether half of ten is tried once there were two looks."""
    calls.chance.begin(10.0)
    for _ in range(3):
        calls.until(calls.now + 31.0, is_refused, gap=1 / 3)
    return calls.chance.trial is not None and calls.chance.trial.rate > 4.0


def test_where_far_less_is_taken_than_before_the_first_refusal_a_few_in_a_hundred_are_looked_into():
    calls = Calls()
    assert fallen(calls, every(41))
    assert 0.02 < calls.shown(every(41)) < 0.05
    assert not fallen(Calls(), every(120))


def test_what_went_before_a_first_look_that_saw_many_refused_together_is_nothing_to_go_back_to():
    calls = Calls()
    calls.chance.begin(100.0)
    calls.until(calls.now + 33.0, in_rows, gap=1 / 3)
    for _ in range(4):
        calls.until(calls.now + 31.0, every(29), gap=1 / 3)
    assert not calls.tries_half()
    calls.until(calls.now + 200.0, every(7), gap=1 / 3)
    assert calls.tries_half()
    assert calls.shown(never) == 0.0
    for _ in range(6):
        calls.until(calls.now + 31.0, every(29), gap=1 / 3)
        assert not calls.tries_half()


def test_a_quota_that_has_fallen_refuses_more_of_half_of_what_it_took_and_ends_the_trial_soon():
    trial, refused = Trial(5.0, 0.0, 0.02), 0
    for number in range(40, 400):
        now = number / 5
        trial.sent(now, "legal")
        if number % 4 == 0:
            trial.refused(now, number, "legal")
            refused += 1
        if trial.is_over(now):
            break
    assert not trial.shows_chance
    assert refused <= 8
