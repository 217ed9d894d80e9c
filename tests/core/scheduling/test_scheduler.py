"""What the scheduler sends next, and what each result leads to: tables and short runs on a clock of events."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import Counter

import pytest

from batchrun.core.model import Failure, Fault, Scope, Usage
from batchrun.core.protocols.failures import classify
from batchrun.core.scheduling.retry import RetryPolicy
from batchrun.core.scheduling.scheduler import Drained, LanePlan, Launch, ParkedScope, Scheduler, Verdict, WaitUntil
from batchrun.simulator.quotas import Caps, Meter
from tests.laboratory import Events, Result, again, answer, ended, lane, launched, parks, rejected, throttled, unreached
from tests.steps import lines_run

AGAIN_LATER = WaitUntil(math.inf)


def schedule(*lanes, retry=None, **changed):
    return Scheduler(lanes, retry or RetryPolicy(), **changed)


def one(scheduler, now=0.0):
    step = scheduler.next(now)
    assert isinstance(step, Launch), step
    return step.ticket


def ordinals(tickets):
    return [ticket.ordinal for ticket in tickets]


def names(drained):
    return {(parked.scope, parked.name): parked.rows for parked in drained.parked}


# Slots and turns.


def test_a_workspace_launches_up_to_its_slots_and_a_lane_up_to_its_own():
    scheduler = schedule(lane(model="a", slots=5, lane_concurrency=2), lane(model="b", slots=5))
    assert Counter(ticket.model for ticket in launched(scheduler, 0.0)) == {"a": 2, "b": 3}
    assert scheduler.next(0.0) == AGAIN_LATER
    assert (scheduler.in_flight, scheduler.in_flight_of("legal")) == (5, 5)


def test_a_slot_is_given_back_by_release_and_not_by_settle():
    scheduler = schedule(lane(slots=1))
    ticket = one(scheduler)
    assert scheduler.settle(ticket, answer(), 1.0, 0.5) is Verdict.ANSWERED
    assert scheduler.next(1.0) == AGAIN_LATER
    scheduler.release(ticket)
    assert one(scheduler, 1.0).ordinal == 1


@pytest.mark.parametrize(("slots", "own"), [(1, None), (2, None), (3, 2), (8, None)])
def test_lanes_of_a_workspace_take_turns_for_its_slots(slots, own):
    scheduler = schedule(*(lane(model=model, rows=60, slots=slots, lane_concurrency=own) for model in "abc"))
    events = Events(scheduler, lambda _ticket: (answer(), 1.0))
    events.run()
    first = Counter(ticket.model for ticket in events.launches[:90])
    assert max(first.values()) - min(first.values()) <= slots, first


def test_a_lane_that_filled_the_slots_lets_another_in_as_soon_as_that_one_may_launch():
    scheduler = schedule(lane(model="a", rows=50, slots=4), lane(model="b", rows=10, slots=4))
    first = launched(scheduler, 0.0)
    for ticket in first:
        ended(scheduler, ticket, throttled(10.0) if ticket.model == "b" else answer(), 1.0)
    events = Events(scheduler, lambda _ticket: (answer(), 1.0))
    events.now = 1.0
    events.run()
    assert events.done_at("legal") == 16, "44 and 10 rows at 4 a second"
    assert next(ticket.launched_at for ticket in events.launches if ticket.model == "b") == 11
    assert max(ticket.launched_at for ticket in events.launches if ticket.model == "b") < 16


def test_a_slot_that_a_waiting_lane_cannot_use_goes_to_the_next_one():
    scheduler = schedule(*(lane(model=model, slots=2) for model in "abc"))
    out = launched(scheduler, 0.0)
    assert [ticket.model for ticket in out] == ["a", "b"]
    scheduler.park(Scope.LANE, "legal", "c", parks(Scope.LANE), 0.5)
    ended(scheduler, out[0], throttled(60.0), 1.0)
    assert one(scheduler, 1.0).model == "b", "c is parked and a is throttled: b takes a's slot"


def test_a_file_sorted_by_workspace_delays_nobody():
    events = Events(schedule(*(lane(name, rows=100) for name in "abcdef")), lambda _ticket: (answer(), 1.0))
    events.run()
    assert all(events.times_of(name)[0] == 0 for name in "abcdef")
    assert {events.done_at(name) for name in "abcdef"} == {25}


def test_rows_are_drawn_one_by_one_and_no_sooner_than_they_go():
    drawn = []

    def rows():
        for ordinal in range(5):
            drawn.append(ordinal)
            yield ordinal

    launched(schedule(LanePlan("legal", "qwen-plus", "legal", rows(), 5, 2)), 0.0)
    assert drawn == [0, 1]


def test_a_run_of_nothing_is_drained_at_once():
    assert schedule().next(0.0) == Drained(())
    assert schedule(lane(rows=0)).next(0.0) == Drained(())


# Backoff and exhaustion.


def test_a_retry_waits_in_its_lane_holds_no_slot_and_goes_before_new_rows():
    scheduler = schedule(lane(rows=4, slots=1))
    assert ended(scheduler, one(scheduler), again(), 0.0) is Verdict.AGAIN
    second = one(scheduler, 0.0)
    assert (second.ordinal, second.attempt) == (1, 1)
    ended(scheduler, second, answer(), 0.5)
    retried = one(scheduler, 0.5)
    assert (retried.ordinal, retried.attempt) == (0, 2)


def test_a_row_is_exhausted_at_its_last_attempt():
    scheduler = schedule(lane(rows=1), retry=RetryPolicy(max_attempts=3))
    events = Events(scheduler, lambda _ticket: (again(), 1.0))
    assert events.run() == Drained(())
    assert [(each.ticket.attempt, each.verdict) for each in events.settled] == [(1, "again"), (2, "again"), (3, "exhausted")]
    assert events.times_of("legal") == [0, 1.5, 3.5]
    assert scheduler.left() == {("legal", "qwen-plus"): 0}


def test_a_retry_goes_no_sooner_than_its_retry_after():
    script: list[Result] = [again(30.0), answer()]
    events = Events(schedule(lane(rows=1)), lambda ticket: (script[ticket.attempt - 1], 1.0))
    events.run()
    assert events.times_of("legal") == [0, 31]


# Throttles.


def test_a_throttled_row_goes_back_to_the_front_and_uses_up_no_attempt():
    scheduler = schedule(lane(slots=1), retry=RetryPolicy(max_attempts=1))
    at = 0.0
    for _ in range(10):
        ticket = one(scheduler, at)
        assert (ticket.ordinal, ticket.attempt) == (0, 1)
        assert ended(scheduler, ticket, throttled(), at) is Verdict.THROTTLED
        match scheduler.next(at):
            case WaitUntil(then):
                at = then
            case Launch(ticket):
                ended(scheduler, ticket, throttled(), at)
                at += 10.0
    assert ended(scheduler, one(scheduler, at), answer(), at) is Verdict.ANSWERED


def test_rows_of_an_episode_go_before_a_retry_that_came_due_in_its_pause():
    scheduler = schedule(lane(rows=3, slots=3))
    out = launched(scheduler, 0.0)
    ended(scheduler, out[0], again(), 0.0)
    ended(scheduler, out[1], throttled(10.0), 1.0)
    assert scheduler.next(1.0) == WaitUntil(11.0)
    ended(scheduler, out[2], throttled(), 1.2)
    order = []
    for _ in range(3):
        ticket = one(scheduler, 11.0)
        order.append(ticket.ordinal)
        ended(scheduler, ticket, answer(), 11.0)
    assert (set(order[:2]), order[2]) == ({1, 2}, 0)


def test_an_episode_pauses_the_lane_once_however_many_rows_it_caught():
    scheduler = schedule(lane(rows=20, slots=8))
    at = 0.0
    while scheduler.held(at) != {"legal"}:
        for ticket in launched(scheduler, at):
            ended(scheduler, ticket, throttled(), at + 0.05, jitter=0.0)
        at += 0.05
        assert at < 1.0, "refusals one after the other pause the lane"
    resumed = scheduler.next(at)
    assert isinstance(resumed, WaitUntil)
    assert at < resumed.at <= at + 1.0
    assert len(launched(scheduler, resumed.at)) == 1, "one is let through to see"
    assert scheduler.held(resumed.at) == frozenset()


def test_an_attempt_that_waited_goes_unless_a_refusal_came_meanwhile():
    scheduler = schedule(lane(slots=2), lane("other"))
    first, second = (scheduler.next(0.0) for _ in range(2))
    assert isinstance(first, Launch)
    assert isinstance(second, Launch)
    mine, others = sorted((first.ticket, second.ticket), key=lambda ticket: ticket.workspace)
    third = next(ticket for ticket in launched(scheduler, 0.0) if ticket.workspace == "legal")
    assert scheduler.may_still_go(mine, 1.0)
    ended(scheduler, mine, throttled(10.0), 1.0)
    assert not scheduler.may_still_go(third, 1.1)
    scheduler.release(third)
    assert scheduler.may_still_go(others, 1.1), "of another account"
    assert scheduler.left()["legal", "qwen-plus"] == 10
    again_at = scheduler.next(1.1)
    assert not isinstance(again_at, Launch) or again_at.ticket.workspace == "other"
    gone = [ticket for ticket in launched(scheduler, 11.0) if ticket.workspace == "legal"]
    assert [(ticket.ordinal, ticket.attempt) for ticket in gone] == [(third.ordinal, 1)]


def test_an_attempt_that_waited_is_not_made_once_the_run_stops_or_its_scope_is_parked():
    scheduler = schedule(lane(rows=2, slots=1), lane("other", rows=1))
    mine, others = launched(scheduler, 0.0)
    scheduler.park(Scope.WORKSPACE, "legal", "qwen-plus", parks(Scope.WORKSPACE), 1.0)
    assert not scheduler.may_still_go(mine, 1.0)
    scheduler.release(mine)
    assert scheduler.may_still_go(others, 1.0)
    scheduler.stop()
    assert not scheduler.may_still_go(others, 1.0)
    scheduler.release(others)
    assert names(scheduler.next(1.0)) == {(Scope.WORKSPACE, "legal"): 2}


def test_a_probe_that_waited_goes_into_its_own_park_and_where_it_may_not_another_does():
    scheduler = schedule(lane(rows=2, slots=1), lane("other", rows=1), wait_for_parked=True)
    mine, others = launched(scheduler, 0.0)
    ended(scheduler, mine, parks(Scope.WORKSPACE), 1.0)
    ended(scheduler, others, answer(), 1.0)
    (probe,) = launched(scheduler, 301.0)
    assert scheduler.may_still_go(probe, 302.0)
    scheduler.close("legal", parks(Scope.WORKSPACE, "window"))
    assert not scheduler.may_still_go(probe, 302.0)
    scheduler.release(probe)
    assert launched(scheduler, 303.0) == []
    scheduler.open("legal")
    assert ordinals(launched(scheduler, 304.0)) == [probe.ordinal], "it is due at once"


def test_a_throttled_lane_holds_back_no_other_lane_of_its_workspace():
    scheduler = schedule(lane(model="a", slots=2), lane(model="b", slots=2))
    for ticket in launched(scheduler, 0.0):
        ended(scheduler, ticket, throttled(60.0) if ticket.model == "a" else answer(), 1.0)
    assert [ticket.model for ticket in launched(scheduler, 1.0)] == ["b", "b"]


def throttled_until(seconds):
    scheduler = schedule(lane(rows=30))
    events = Events(scheduler, lambda ticket: (throttled() if ticket.launched_at < seconds else answer(), 1.0))
    return events, events.run()


def test_ten_minutes_of_throttles_without_one_answer_park_the_lane():
    events, drained = throttled_until(math.inf)
    assert 600 <= events.now < 700
    (parked,) = drained.parked
    assert (parked.scope, parked.name, parked.rows) == (Scope.LANE, "legal qwen-plus", 30)
    assert "10 minutes" in parked.failure.advice
    assert parked.failure.message == "the provider's words"


def test_throttles_that_pass_before_ten_minutes_park_nothing():
    events, drained = throttled_until(500)
    assert drained == Drained(())
    assert events.verdicts()[Verdict.ANSWERED] == 30


@pytest.mark.parametrize("down", [unreached(), again()])
def test_throttles_before_and_after_an_outage_are_not_taken_for_minutes_of_throttles(down):
    def respond(ticket):
        at = ticket.launched_at
        if 10.0 <= at < 1_210.0:
            return (down if 15.0 <= at < 1_205.0 else throttled()), 0.05
        return answer(), 1.0

    events = Events(schedule(lane(rows=300)), respond)
    assert events.run() == Drained(())
    assert events.verdicts()[Verdict.ANSWERED] == 300


def test_throttles_without_one_answer_park_though_a_call_in_ten_fails_otherwise():
    calls = itertools.count()
    events = Events(schedule(lane(rows=300)), lambda _ticket: ((throttled(), again())[next(calls) % 10 == 9], 1.0))
    drained = events.run()
    assert drained is not None
    assert [each.failure.code for each in drained.parked] == ["limit_requests"]
    assert 600 <= events.now < 700


def test_one_answer_in_between_keeps_throttles_from_parking():
    scheduler = schedule(lane(rows=3000, slots=1))
    calls: Counter[str] = Counter()

    def respond(_ticket):
        calls["all"] += 1
        return (answer() if calls["all"] % 3 == 0 else throttled(), 1.0)

    events = Events(scheduler, respond)
    assert events.run() == Drained(())
    assert events.now > 6000


def test_an_answer_that_did_not_fit_keeps_throttles_from_parking_as_a_good_one_does():
    asked_again = iter([400.0, 800.0, math.inf])
    due = next(asked_again)

    def respond(ticket):
        nonlocal due
        if ticket.launched_at >= due:
            due = next(asked_again)
            return reasked(), 1.0
        return throttled() if ticket.launched_at < 1_200.0 else answer(), 1.0

    events = Events(schedule(lane(rows=3, slots=1)), respond)
    assert events.run() == Drained(())
    assert (due, events.verdicts()[Verdict.ANSWERED]) == (math.inf, 3)


def test_hundreds_of_workspaces_that_share_a_small_quota_are_not_parked_for_throttles_that_come_at_a_turn_each_in_minutes():
    scheduler = schedule(*(lane(f"ward-{number}", rows=2, slots=4, account="main") for number in range(300)))
    meter, dice = Meter(Caps(requests=15)), random.Random(1)

    def respond(_ticket):
        if meter.refuses(events.now, 1) is not None:
            return throttled(), 0.05
        seconds = dice.lognormvariate(math.log(5.0), 0.7)
        meter.count(events.now, 1, events.now + seconds)
        return answer(), seconds

    events = Events(scheduler, respond)
    assert events.run() == Drained(())
    assert events.verdicts()[Verdict.ANSWERED] == 600


@pytest.mark.parametrize("seconds", [(1700.0, 1900.0), (900.0, 3000.0)])
def test_a_lane_of_which_calls_were_taken_is_not_parked_while_they_are_under_way_though_nothing_else_is_taken(seconds):
    taken, dice, parked = [0.0] * 16, random.Random(1), Counter[str]()

    def respond(_ticket):
        parked.update(each.name for each in scheduler.parked())
        if taken[0] > events.now:
            return throttled(), 0.05
        lasts = dice.uniform(*seconds)
        heapq.heapreplace(taken, events.now + lasts)
        return answer(), lasts

    scheduler = schedule(lane(rows=200, slots=64))
    events = Events(scheduler, respond)
    assert events.run() == Drained(())
    assert not parked
    assert events.now < 1.1 * 200 * sum(seconds) / 2 / 16


def test_a_used_up_quota_that_is_asked_of_by_many_calls_at_once_parks_its_lane_in_the_end():
    scheduler = schedule(lane(rows=30, slots=2))
    first, second = launched(scheduler, 0.0)
    ended(scheduler, first, throttled(), 1.0)
    later = one(scheduler, 7000.0)
    ended(scheduler, second, throttled(), 7001.0)
    assert scheduler.parked() == ()
    one(scheduler, 7300.0)
    ended(scheduler, later, throttled(), 7301.0)
    assert [each.name for each in scheduler.parked()] == ["legal qwen-plus"]


def test_a_lane_with_a_quota_of_its_own_that_is_used_up_is_parked_though_others_of_its_pool_are_answered():
    scheduler = schedule(*(lane(name, rows=2000, slots=1, account="main") for name in ("legal", "sales")))
    events = Events(scheduler, lambda ticket: (throttled() if ticket.workspace == "legal" else answer(), 1.0))
    events.run(until=700)
    assert [(each.name, each.rows) for each in scheduler.parked()] == [("legal qwen-plus", 2000)]


def test_time_spent_parked_does_not_count_as_throttled():
    lanes = [lane(model=model, rows=10, slots=2) for model in "ab"]
    scheduler = schedule(*lanes, probe_every=700.0, wait_for_parked=True)
    first, second = launched(scheduler, 0.0)
    ended(scheduler, first, throttled(), 1.0)
    ended(scheduler, second, parks(Scope.WORKSPACE), 1.0)
    probe = one(scheduler, 701.0)
    assert probe.model == second.model
    ended(scheduler, probe, answer(), 702.0)
    throttled_again = next(ticket for ticket in launched(scheduler, 702.0) if ticket.model == first.model)
    ended(scheduler, throttled_again, throttled(), 703.0)
    assert scheduler.parked() == ()


# Rejections.


def reject_in_turn(codes, rows=40, slots=1):
    scheduler = schedule(lane(rows=rows, slots=slots))
    events = Events(scheduler, lambda ticket: (rejected(codes(ticket.ordinal)), 1.0))
    return events, events.run()


def test_twenty_same_rejections_from_the_start_park_the_lane():
    events, drained = reject_in_turn(lambda _ordinal: "InvalidParameter")
    assert names(drained) == {(Scope.LANE, "legal qwen-plus"): 20}
    assert events.verdicts() == {Verdict.REJECTED: 20}
    assert "--retry-rejected" in drained.parked[0].failure.advice


def test_a_first_lane_of_rejections_says_once_how_its_rows_are_asked_again():
    mend = "correct the row or the parameters it is asked under"
    failure = classify(400, "InvalidParameter", "wrong")
    assert failure.advice == f"{mend}; the row runs at the next start with --retry-rejected"
    drained = Events(schedule(lane(rows=40)), lambda _ticket: (failure, 1.0)).run()
    assert drained is not None
    assert drained.parked[0].failure.advice == f"the first 20 answers were all this: {mend}; then run with --retry-rejected"


def test_rejections_in_flight_when_the_lane_parks_stay_pending():
    events, drained = reject_in_turn(lambda _ordinal: "InvalidParameter", slots=16)
    assert events.verdicts() == {Verdict.REJECTED: 20, Verdict.PARKED: 12}
    assert drained.parked[0].rows == 20


def test_rejections_of_two_kinds_never_park():
    events, drained = reject_in_turn(lambda ordinal: "other" if ordinal == 19 else "InvalidParameter", rows=200)
    assert drained == Drained(())
    assert events.verdicts() == {Verdict.REJECTED: 200}


def test_rejections_after_one_answer_never_park():
    scheduler = schedule(lane(rows=100, slots=1))
    events = Events(scheduler, lambda ticket: (answer() if ticket.ordinal == 19 else rejected(), 1.0))
    assert events.run() == Drained(())
    assert events.verdicts() == {Verdict.REJECTED: 99, Verdict.ANSWERED: 1}


@pytest.mark.parametrize("probe", [throttled(), again(), parks(Scope.WORKSPACE), parks(Scope.ACCOUNT)], ids=lambda failure: failure.code)
def test_a_typo_rejects_no_second_twenty_whatever_its_probe_met(probe):
    scheduler = schedule(lane("busy", rows=3000, slots=1), lane(rows=1000), probe_every=100.0)
    probes: Counter[str] = Counter()

    def respond(ticket):
        if ticket.probes:
            probes["sent"] += 1
            return (probe if probes["sent"] == 1 else rejected(), 1.0)
        return (answer() if ticket.workspace == "busy" else rejected(), 1.0)

    events = Events(scheduler, respond)
    events.run(until=2900)
    assert events.verdicts()[Verdict.REJECTED] <= 20 + probes["sent"]


# Asking again.


def reasked():
    return Failure(Fault.REASK, Scope.ROW, "schema_mismatch", "$: empty", "loosen it", status=200, usage=Usage(1, 1))


def test_a_row_that_is_asked_again_goes_first_at_once_and_uses_up_no_attempt():
    scheduler = schedule(lane(rows=3, slots=1), retry=RetryPolicy(max_attempts=1))
    for _ in range(5):
        ticket = one(scheduler, 7.0)
        assert (ticket.ordinal, ticket.attempt) == (0, 1)
        assert ended(scheduler, ticket, reasked(), 7.0) is Verdict.REASKED
    assert not Verdict.REASKED.final
    assert scheduler.left() == {("legal", "qwen-plus"): 3}
    assert ended(scheduler, one(scheduler, 7.0), answer(), 7.0) is Verdict.ANSWERED
    assert one(scheduler, 7.0).ordinal == 1


def test_a_row_keeps_the_attempts_it_had_when_it_is_asked_again():
    script = iter([again(), reasked(), again(), reasked(), again()])
    events = Events(schedule(lane(rows=1), retry=RetryPolicy(max_attempts=3)), lambda _ticket: (next(script), 1.0))
    assert events.run() == Drained(())
    assert [(each.ticket.attempt, each.verdict) for each in events.settled] == [
        (1, "again"),
        (2, "reasked"),
        (2, "again"),
        (3, "reasked"),
        (3, "exhausted"),
    ]


def test_a_reask_opens_a_throttled_lane_as_an_answer_does():
    opened = []
    for result in (answer(), reasked()):
        scheduler = schedule(lane(rows=20, slots=8))
        at = 0.0
        while scheduler.held(at) != {"legal"}:
            for ticket in launched(scheduler, at):
                ended(scheduler, ticket, throttled(), at + 0.05, jitter=0.0)
            at += 0.05
        resumed = scheduler.next(at)
        assert isinstance(resumed, WaitUntil)
        ended(scheduler, one(scheduler, resumed.at), result, resumed.at + 20)
        opened.append(len(launched(scheduler, resumed.at + 20)))
    assert opened[0] == opened[1] > 0


def test_reasks_in_between_keep_throttles_from_parking():
    calls: Counter[str] = Counter()

    def respond(_ticket):
        calls["all"] += 1
        return ((throttled(), reasked(), throttled(), answer())[calls["all"] % 4], 1.0)

    events = Events(schedule(lane(rows=1500, slots=1)), respond)
    assert events.run() == Drained(())
    assert events.now > 3000


def test_a_schema_that_no_answer_fits_parks_the_lane_after_twenty_rows_however_often_each_was_asked():
    asked: Counter[int] = Counter()

    def respond(ticket):
        asked[ticket.ordinal] += 1
        return (reasked() if asked[ticket.ordinal] < 3 else rejected("schema_mismatch"), 1.0)

    events = Events(schedule(lane(rows=1000, slots=1)), respond)
    drained = events.run()
    assert names(drained) == {(Scope.LANE, "legal qwen-plus"): 980}
    assert events.verdicts() == {Verdict.REASKED: 40, Verdict.REJECTED: 20}


def test_a_probe_that_is_asked_again_ends_the_park_for_the_provider_took_it():
    scheduler = schedule(lane(rows=10, slots=2), probe_every=100.0, wait_for_parked=True)
    for ticket in launched(scheduler, 0.0):
        ended(scheduler, ticket, parks(Scope.WORKSPACE), 0.0)
    (probe,) = launched(scheduler, 100.0)
    assert ended(scheduler, probe, reasked(), 101.0) is Verdict.REASKED
    assert probe.ordinal in ordinals(launched(scheduler, 101.0))
    assert scheduler.in_flight == 2
    assert scheduler.parked() == ()


def test_a_row_asked_again_while_the_run_stops_stays_pending():
    scheduler = schedule(lane(rows=1))
    ticket = one(scheduler)
    scheduler.stop()
    ended(scheduler, ticket, reasked(), 1.0)
    assert scheduler.next(1.0) == Drained(())
    assert scheduler.left() == {("legal", "qwen-plus"): 1}


# Parks.

FOUR = [("legal", "a", "main"), ("legal", "b", "main"), ("sales", "a", "main"), ("alone", "a", "own")]
STOPPED = [
    (Scope.ROW, (Scope.LANE, "legal a"), {("legal", "a")}),
    (Scope.LANE, (Scope.LANE, "legal a"), {("legal", "a")}),
    (Scope.WORKSPACE, (Scope.WORKSPACE, "legal"), {("legal", "a"), ("legal", "b")}),
    (Scope.ACCOUNT, (Scope.ACCOUNT, "main"), {("legal", "a"), ("legal", "b"), ("sales", "a")}),
]


def four(**changed):
    lanes = [lane(workspace, model=model, account=account, rows=10, slots=2) for workspace, model, account in FOUR]
    return schedule(*lanes, **changed)


@pytest.mark.parametrize(("scope", "name", "stopped"), STOPPED, ids=[scope for scope, _, _ in STOPPED])
def test_a_park_stops_the_lanes_of_its_scope_and_no_other(scope, name, stopped):
    """One that comes before anything of it is on its way: an answer to that would end it."""
    scheduler, failure = four(), parks(scope)
    first = one(scheduler)
    assert (first.workspace, first.model) == ("legal", "a")
    ended(scheduler, first, failure, 0.0)
    drained = Events(scheduler, lambda _: (answer(), 1.0)).run()
    left = {key: count for key, count in scheduler.left().items() if count}
    assert set(left) == stopped
    assert drained == Drained(
        (ParkedScope(name[0], name[1], failure, sum(left.values()), frozenset(workspace for workspace, _ in stopped)),)
    )


def test_rows_of_a_parked_scope_stay_pending_and_keep_their_attempts():
    scheduler = schedule(lane(rows=5, slots=2))
    out = launched(scheduler, 0.0)
    assert [ended(scheduler, ticket, parks(Scope.WORKSPACE), 1.0) for ticket in out] == [Verdict.PARKED, Verdict.PARKED]
    assert scheduler.left() == {("legal", "qwen-plus"): 5}
    (parked,) = scheduler.next(1.0).parked
    assert parked.rows == 5


def test_a_run_whose_rest_is_parked_ends_without_waiting_out_a_backoff_or_a_pause():
    scheduler = schedule(lane(model="a", rows=1), lane(model="b", rows=1))
    first, second = launched(scheduler, 0.0)
    ended(scheduler, first, again(60.0), 1.0)
    assert scheduler.next(1.0) == WaitUntil(61.0)
    ended(scheduler, second, parks(Scope.WORKSPACE), 2.0)
    drained = scheduler.next(2.0)
    assert isinstance(drained, Drained)
    assert names(drained) == {(Scope.WORKSPACE, "legal"): 2}


# Probes: "busy" runs for as long as it has rows, a row a second.


def probing(respond, *, busy=1000, retry=None, lanes=None, **changed):
    """*respond* answers for everything but the workspace "busy", whose calls are good."""
    scheduler = schedule(lane("busy", rows=busy, slots=1), *(lanes or [lane(rows=10, slots=2)]), retry=retry, probe_every=100.0, **changed)
    return Events(scheduler, lambda ticket: (answer() if ticket.workspace == "busy" else respond(ticket), 1.0))


def wrong_until(mended, scope=Scope.WORKSPACE):
    return lambda ticket: answer() if ticket.launched_at >= mended else parks(scope)


def test_a_parked_scope_is_probed_with_one_row_every_while_others_run():
    events = probing(lambda _ticket: parks(Scope.WORKSPACE))
    drained = events.run()
    assert events.times_of("legal") == [0, 0, *(101 + 101 * n for n in range(9))]
    assert names(drained) == {(Scope.WORKSPACE, "legal"): 10}
    assert events.now == 1000


def test_a_probe_that_passes_sets_the_whole_scope_going():
    lanes = [lane("legal", model=model, account="main", slots=2) for model in "ab"] + [lane("sales", account="main", slots=2)]
    events = probing(wrong_until(150, Scope.ACCOUNT), lanes=lanes)
    assert events.run() == Drained(())
    later = Counter(ticket.launched_at for ticket in events.launches if ticket.workspace != "busy" and ticket.launched_at > 0)
    assert (later[101], later[202], later[203]) == (1, 1, 4), "a probe that fails, one that passes, then every slot"


def test_a_probe_that_meets_again_is_inconclusive_and_the_next_one_comes_in_its_time():
    script = {101: again(), 202: again(), 303: answer()}
    events = probing(lambda ticket: script.get(ticket.launched_at, answer() if ticket.launched_at else parks(Scope.WORKSPACE)))
    assert events.run() == Drained(())
    assert events.times_of("legal")[:6] == [0, 0, 101, 202, 303, 304]


@pytest.mark.parametrize("scope", [Scope.LANE, Scope.WORKSPACE, Scope.ACCOUNT])
def test_a_probe_that_finds_the_quota_full_shows_nothing_and_the_next_one_comes_sooner(scope):
    script = {101: throttled(), 112: throttled(), 123: parks(scope), 224: answer()}
    events = probing(lambda ticket: script.get(ticket.launched_at, answer() if ticket.launched_at else parks(scope)))
    assert events.run() == Drained(())
    assert events.times_of("legal")[:7] == [0, 0, 101, 112, 123, 224, 225]


def test_a_lane_parked_for_its_throttles_goes_on_only_when_a_probe_is_answered():
    lanes = [lane(rows=10, slots=1)]
    events = probing(lambda ticket: answer() if ticket.launched_at > 1000 else throttled(), lanes=lanes, busy=3000)
    assert events.run() == Drained(())
    while_parked = [at for at in events.times_of("legal") if 700 < at < 1000]
    assert len(while_parked) <= 3, "one probe in a hundred seconds, not a lane let loose"


def test_a_probe_that_meets_a_narrower_park_frees_the_workspace_and_parks_the_lane():
    lanes = [lane(model=model, rows=10, slots=1) for model in "ab"]

    def respond(ticket):
        if ticket.launched_at < 50:
            return parks(Scope.WORKSPACE)
        return parks(Scope.LANE, "Model.AccessDenied") if ticket.model == "a" else answer()

    events = probing(respond, lanes=lanes)
    drained = events.run()
    assert names(drained) == {(Scope.LANE, "legal a"): 10}
    assert events.scheduler.left()["legal", "b"] == 0


def test_a_probe_that_meets_a_different_rejection_frees_the_lane_and_its_row_is_rejected():
    lanes = [lane(rows=30, slots=1)]
    events = probing(lambda ticket: rejected() if ticket.launched_at < 100 else rejected("other"), lanes=lanes)
    assert events.run() == Drained(())
    assert events.verdicts()[Verdict.REJECTED] == 30


def test_a_probe_that_meets_the_same_rejection_keeps_the_lane_parked_and_its_row_pending():
    events = probing(lambda _ticket: rejected(), lanes=[lane(rows=30, slots=1)])
    assert names(events.run()) == {(Scope.LANE, "legal qwen-plus"): 10}
    assert events.verdicts()[Verdict.PARKED] > 5


def test_a_probe_whose_row_cannot_be_read_gives_its_turn_to_another_row():
    scheduler = schedule(lane("busy", rows=9, slots=1), lane(rows=10, slots=1), probe_every=100.0)
    busy, legal = launched(scheduler, 0.0)
    ended(scheduler, legal, parks(Scope.WORKSPACE), 1.0)
    assert scheduler.next(1.0) == WaitUntil(101.0)
    unread = one(scheduler, 101.0)
    scheduler.drop(unread)
    scheduler.release(unread)
    assert ended(scheduler, one(scheduler, 102.0), answer(), 103.0) is Verdict.ANSWERED
    assert one(scheduler, 103.0).workspace == "legal", "the park is over"
    assert (busy.workspace, scheduler.left()["legal", "qwen-plus"]) == ("busy", 8)


def test_a_probe_whose_row_is_refused_before_any_call_ends_no_park_and_gives_its_turn_to_another_row():
    scheduler = schedule(lane("busy", rows=9, slots=1), lane(rows=10, slots=4), probe_every=100.0)
    *_, legal = launched(scheduler, 0.0)
    ended(scheduler, legal, parks(Scope.WORKSPACE), 1.0)
    unfit = one(scheduler, 101.0)
    scheduler.unsent(unfit)
    assert ended(scheduler, unfit, rejected("media_too_large"), 101.0) is Verdict.REJECTED
    (probe,) = (ticket for ticket in launched(scheduler, 102.0) if ticket.workspace == "legal")
    assert len(scheduler.parked()) == 1, "nobody was asked"
    ended(scheduler, probe, answer(), 103.0)
    assert scheduler.parked() == ()


def test_nothing_but_parked_left_ends_the_run_although_a_probe_would_be_due_later():
    events = probing(lambda _ticket: parks(Scope.WORKSPACE), busy=50)
    drained = events.run()
    assert events.now == 50
    assert names(drained) == {(Scope.WORKSPACE, "legal"): 10}


def test_wait_for_parked_goes_on_probing_alone_until_all_is_done():
    events = probing(wrong_until(450), busy=5, wait_for_parked=True)
    assert events.run() == Drained(())
    assert events.times_of("legal")[:7] == [0, 0, 101, 202, 303, 404, 505]


def test_a_probe_that_brings_the_same_again_is_no_more_work_with_a_thousand_lanes_than_with_ten():
    def work(lanes: int) -> int:
        plans = (lane(f"w{number}", rows=5, slots=1, account="main") for number in range(lanes))
        scheduler = schedule(*plans, lane("busy", slots=1), probe_every=100.0)
        first = next(ticket for ticket in launched(scheduler, 0.0) if ticket.workspace == "w0")
        ended(scheduler, first, parks(Scope.ACCOUNT), 0.0)
        probe = scheduler.next(100.0)
        assert isinstance(probe, Launch)
        lines = lines_run(lambda: ended(scheduler, probe.ticket, parks(Scope.ACCOUNT), 101.0))
        assert scheduler.next(102.0) == WaitUntil(201.0)
        return lines

    assert work(1000) < 1.5 * work(10)


def test_a_park_without_probe_is_never_probed_and_never_waited_for():
    scheduler = schedule(lane("busy", rows=500, slots=1), lane(), probe_every=100.0, wait_for_parked=True)
    scheduler.park(Scope.WORKSPACE, "legal", "qwen-plus", parks(Scope.WORKSPACE, "missing_key"), 0.0, probe=False)
    events = Events(scheduler, lambda _ticket: (answer(), 1.0))
    assert names(events.run()) == {(Scope.WORKSPACE, "legal"): 10}
    assert (events.now, events.times_of("legal")) == (500, [])


def test_a_park_without_probe_ends_the_probes_of_an_older_park_of_the_scope():
    events = probing(lambda _ticket: parks(Scope.WORKSPACE))
    events.run(until=150)
    events.scheduler.park(Scope.WORKSPACE, "legal", "qwen-plus", parks(Scope.WORKSPACE, "budget"), 150.0, probe=False)
    drained = events.run()
    assert events.times_of("legal") == [0, 0, 101]
    assert drained.parked[0].failure.code == "budget"


def test_a_probe_on_its_way_does_not_end_a_park_that_came_meanwhile_without_probe():
    scheduler = schedule(lane("busy", slots=1), lane(slots=1), probe_every=100.0)
    _, legal = launched(scheduler, 0.0)
    ended(scheduler, legal, parks(Scope.WORKSPACE), 0.0)
    probe = one(scheduler, 100.0)
    scheduler.park(Scope.WORKSPACE, "legal", "qwen-plus", parks(Scope.WORKSPACE, "budget"), 100.0, probe=False)
    ended(scheduler, probe, answer(), 101.0)
    assert scheduler.next(1e6) == AGAIN_LATER


@pytest.mark.parametrize("inner", [Scope.LANE, Scope.WORKSPACE])
def test_a_probed_park_under_one_without_probe_is_not_waited_for(inner):
    scheduler = schedule(lane(slots=1), probe_every=100.0, wait_for_parked=True)
    ended(scheduler, one(scheduler), parks(inner), 0.0)
    assert scheduler.next(0.0) == WaitUntil(100.0)
    scheduler.park(Scope.ACCOUNT, "legal", "qwen-plus", parks(Scope.ACCOUNT, "budget"), 1.0, probe=False)
    assert isinstance(scheduler.next(1.0), Drained)


# Stop, drop, counts.


def test_a_stop_launches_nothing_more_and_drains_when_the_last_attempt_is_released():
    scheduler = four()
    out = launched(scheduler, 0.0)
    scheduler.stop()
    for ticket in out:
        assert scheduler.next(1.0) == AGAIN_LATER
        ended(scheduler, ticket, again(), 1.0)
    assert scheduler.next(1e6) == Drained(())
    assert sum(scheduler.left().values()) == 40


def test_a_dropped_row_is_left_no_longer():
    scheduler = schedule(lane(rows=2))
    for ticket in launched(scheduler, 0.0):
        scheduler.drop(ticket)
        scheduler.release(ticket)
    assert scheduler.left() == {("legal", "qwen-plus"): 0}
    assert scheduler.next(0.0) == Drained(())


# Cost.


def lines_of(lanes, rows):
    """Lines that the scheduler runs through for a row, with as many *lanes*; one call in ten is throttled or fails.

    No two attempts end together, so that each end is a decision of its own: a scan of the lanes in one would show.
    """
    scheduler = schedule(*(lane(f"w{n}", rows=rows // lanes, slots=2) for n in range(lanes)))
    troubles, dice = {3: again(), 7: throttled()}, random.Random(3)
    events = Events(scheduler, lambda _ticket: (troubles.get(len(events.launches) % 20, answer()), dice.uniform(0.5, 3.0)))
    lines = lines_run(events.run, "scheduler.py", "queues.py", "judging.py", "probing.py", "paying.py")
    assert events.verdicts()[Verdict.ANSWERED] == rows
    return lines / rows


def test_a_row_costs_the_same_with_ten_lanes_and_with_a_thousand():
    few, many = lines_of(10, 4000), lines_of(1000, 4000)
    assert many < 1.5 * few, (few, many)


def test_a_pool_without_a_quota_remembers_nothing_of_those_that_it_let_go():
    lanes = [lane(rows=500, slots=2, model=model, account="main") for model in ("a", "b", "c")]
    events = Events(Scheduler(lanes, RetryPolicy()), lambda _ticket: (answer(), 1.0))
    assert events.run() is not None
    assert len(events.settled) == 1500
    assert [len(pool.turns) for pool in events.scheduler._queues.pools.values()] == [0, 0, 0]
