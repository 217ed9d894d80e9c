"""What an outage does to a lane: it uses up no row, and no more than seconds once it is over."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchrun.core.model import Scope
from batchrun.core.protocols.failures import classify
from batchrun.core.protocols.mishaps import BEFORE_ANY_CALL, mishap
from batchrun.core.scheduling.outages import IN_A_ROW
from batchrun.core.scheduling.retry import RetryPolicy
from batchrun.core.scheduling.scheduler import Drained, Launch, Scheduler, Verdict
from tests.laboratory import MODEL, Events, Result, again, answer, ended, lane, launched, parks, rejected, throttled, unreached

SLOTS = 8


class Dicing(Events):
    """Each wait is a moment of its own: rows that failed together do not come back together."""

    dice = random.Random(0)

    def _end_due(self):
        self.jitter = self.dice.random()
        super()._end_due()


def night(failure, *, begins=60.0, ends, takes=0.01, rows=2_000, answers_in=1.0, **changed):
    """Rows that take a second each, and from *begins* to *ends* nothing but failures."""

    def respond(ticket):
        return (failure, takes) if begins <= ticket.launched_at < ends else (answer(), answers_in)

    return Events(Scheduler([lane(rows=rows, slots=SLOTS)], RetryPolicy(), **changed), respond)


@pytest.mark.parametrize("takes", [0.001, 0.5, 10.0])
def test_an_endpoint_that_cannot_be_reached_costs_no_row_its_attempts(takes):
    events = night(unreached(), ends=1_800.0, takes=takes)
    assert events.run() == Drained(())
    assert events.verdicts()[Verdict.ANSWERED] == 2_000
    assert events.verdicts()[Verdict.EXHAUSTED] == 0
    assert max(ticket.attempt for ticket in events.launches) <= 6


@pytest.mark.parametrize("ends", [360.0, 1_860.0, 3_600.0])
def test_an_outage_uses_up_no_row_while_there_are_others_that_were_never_sent(ends):
    events = night(again(), ends=ends, rows=4_000)
    assert events.run() == Drained(())
    assert events.verdicts()[Verdict.ANSWERED] == 4_000
    assert max(ticket.attempt for ticket in events.launches) <= 5


def test_an_hour_of_failures_makes_some_hundred_calls_each_of_which_may_be_billed():
    events = night(again(), ends=3_660.0, rows=4_000)
    assert events.run() == Drained(())
    tries = sum(60.0 <= ticket.launched_at < 3_660.0 for ticket in events.launches)
    assert 300 <= tries <= 800


@given(
    rows=st.integers(3, 80),
    slots=st.integers(1, 16),
    begins=st.floats(1.5, 20.0),
    lasts=st.floats(0.0, 3_500.0),
    takes=st.sampled_from([0.001, 0.3, 4.0]),
    failure=st.sampled_from(
        [again(), classify(302, None, ""), classify(403, None, "a web page"), mishap("html", in_doubt=True, status=200)]
    ),
    dice=st.randoms(use_true_random=False),
)
@example(rows=60, slots=1, begins=18.0, lasts=2_600.0, takes=4.0, failure=again(), dice=random.Random(0))
def test_an_outage_uses_up_no_row_though_all_were_sent(rows, slots, begins, lasts, takes, failure, dice):
    """Of rows that were answered before, and of at least two that were sent first when it had begun, each at a moment of its own."""
    sent_at: dict[int, float] = {}

    def respond(ticket):
        sent_at.setdefault(ticket.ordinal, ticket.launched_at)
        return (failure, takes) if begins <= ticket.launched_at < begins + lasts else (answer(), dice.uniform(0.5, 1.5))

    events = Events(Scheduler([lane(rows=rows, slots=slots)], RetryPolicy()), respond, jitter=dice.uniform(0.2, 1.0))
    assert events.run() == Drained(())
    good = [at for at in sent_at.values() if at < begins]
    first_in_it = {at for at in sent_at.values() if begins <= at < begins + lasts}
    if good and len(first_in_it) > 1:
        assert events.verdicts()[Verdict.ANSWERED] == rows
    else:
        assert events.verdicts()[Verdict.EXHAUSTED] <= max(1, rows - len(good))


@given(
    slots=st.integers(1, 16),
    answers_in=st.sampled_from([10.0, 60.0, 120.0]),
    lasts=st.floats(0.0, 900.0),
    takes=st.sampled_from([0.001, 0.3, 4.0]),
    most=st.sampled_from([2, 6]),
    seed=st.integers(0, 1_000),
)
@example(slots=16, answers_in=60.0, lasts=300.0, takes=0.3, most=2, seed=0)
def test_an_outage_uses_up_no_row_though_answers_to_earlier_calls_come_all_the_while(slots, answers_in, lasts, takes, most, seed):
    begins, rows, dice = 2 * answers_in, 24 * slots + 60, random.Random(seed)

    def respond(ticket):
        in_it = begins <= ticket.launched_at < begins + lasts
        return (again(), takes) if in_it else (answer(), answers_in * dice.uniform(0.2, 1.5))

    events = Events(Scheduler([lane(rows=rows, slots=slots)], RetryPolicy(max_attempts=most)), respond)
    assert events.run() == Drained(())
    assert events.verdicts()[Verdict.ANSWERED] == rows


def test_of_rows_that_failed_ten_thousand_wait_until_one_that_was_sent_after_them_is_answered():
    """Each times out after six seconds: that is no outage that could last."""
    timed_out = mishap("total_timeout", in_doubt=True)
    events = Events(Scheduler([lane(rows=11_400, slots=1_000)], RetryPolicy()), lambda _ticket: (timed_out, 6.0))
    events.run()
    sent_twice = next(n for n, ticket in enumerate(events.launches) if ticket.attempt == 2)
    assert 10_000 <= sent_twice <= 11_000


def some(share, failure, takes, *, begins=5.0, ends=3_605.0, seed=1):
    """Of the calls between two times such a *share* fails, whatever the row."""
    dice = random.Random(seed)
    return lambda at: (failure, takes) if begins <= at < ends and dice.random() < share else None


def flaps(down, up, failure, takes, *, begins=5.0, ends=3_605.0):
    """What is sent in the first *down* of so many seconds fails."""
    return lambda at: (failure, takes) if begins <= at < ends and (at - begins) % (down + up) < down else None


GATEWAYS = classify(503, None, "no healthy upstream")
TROUBLE = {
    "down for 5 s, up for 2": flaps(5.0, 2.0, GATEWAYS, 0.05),
    "down for 2 s, up for 5": flaps(2.0, 5.0, GATEWAYS, 0.05),
    "by the second": flaps(1.0, 1.0, mishap("connection_reset", in_doubt=True), 0.05),
    "down for 20 s, up for 2": flaps(20.0, 2.0, GATEWAYS, 0.05),
    "down for 30 s, up for 10": flaps(30.0, 10.0, GATEWAYS, 0.05),
    "one server of three is dead": some(1 / 3, GATEWAYS, 0.05),
    "of ten calls six fail": some(0.6, classify(500, "InternalError", ""), 0.3),
    "of ten calls nine fail": some(0.9, GATEWAYS, 0.05, ends=1_205.0),
    "a gateway waits for ten seconds": some(1.0, GATEWAYS, 10.0, ends=1_205.0),
}


@pytest.mark.parametrize("trouble", TROUBLE.values(), ids=TROUBLE)
@pytest.mark.parametrize(("rows", "slots"), [(300, 16), (2_500, 20)])
def test_no_row_is_given_up_for_an_endpoint_that_comes_and_goes_or_fails_some_calls(trouble, rows, slots):
    dice = random.Random(2)

    def respond(ticket):
        return trouble(ticket.launched_at) or (answer(), dice.uniform(0.5, 1.5))

    events = Dicing(Scheduler([lane(rows=rows, slots=slots)], RetryPolicy()), respond)
    assert events.run() == Drained(())
    assert events.verdicts()[Verdict.EXHAUSTED] == 0


def test_a_row_that_fails_by_itself_is_given_up_though_the_endpoint_fails_every_third_call():
    """As often as it takes to know it from those: thirteen calls and no more, once some were answered."""
    dice, sent = random.Random(3), Counter[int]()

    def respond(ticket):
        sent[ticket.ordinal] += 1
        fails = ticket.ordinal % 50 == 0 or dice.random() < 1 / 3
        return (GATEWAYS, 0.05) if fails else (answer(), dice.uniform(0.5, 1.5))

    events = Dicing(Scheduler([lane(rows=3_000, slots=16)], RetryPolicy()), respond)
    assert events.run() == Drained(())
    assert events.verdicts()[Verdict.EXHAUSTED] == 60
    assert max(sent.values()) <= 20


def test_time_outs_of_all_that_two_hundred_slots_send_give_no_row_up_while_there_are_others_that_were_never_sent():
    events = Events(
        Scheduler([lane(rows=6_000, slots=200)], RetryPolicy()),
        lambda ticket: (classify(504, None, ""), 60.0) if 5.0 <= ticket.launched_at < 1_205.0 else (answer(), 1.0),
    )
    assert events.run() == Drained(())
    assert events.verdicts()[Verdict.ANSWERED] == 6_000
    assert max(ticket.attempt for ticket in events.launches) == 2


def test_a_gateway_that_fails_all_after_ten_seconds_is_asked_by_few_calls_each_of_which_may_be_billed():
    events = night(GATEWAYS, ends=1_260.0, takes=10.0, rows=4_000)
    assert events.run() == Drained(())
    assert events.verdicts()[Verdict.ANSWERED] == 4_000
    assert sum(60.0 <= ticket.launched_at < 1_260.0 for ticket in events.launches) <= 260
    assert events.now < 60.0 + 1_200.0 + 3_520 / SLOTS + 40.0


@pytest.mark.parametrize("every", [3, 7, 20])
@pytest.mark.parametrize(("slots", "takes"), [(4, 4.0), (16, 0.5), (64, 3.0)])
def test_rows_that_fail_by_themselves_are_given_up_though_the_last_of_a_lane_are_such(every, slots, takes):
    """Once the others are given up nothing that was answered was sent after those that are left."""
    spoilt = {*range(0, 600, every), 597, 598, 599}
    scheduler = Scheduler([lane(rows=600, slots=slots)], RetryPolicy())
    events = Events(scheduler, lambda ticket: (again(), takes) if ticket.ordinal in spoilt else (answer(), 1.0))
    assert events.run() == Drained(())
    assert events.verdicts()[Verdict.EXHAUSTED] == len(spoilt)
    assert events.now < 3_000.0


@pytest.mark.parametrize("share", [0.01, 0.05, 0.15])
@pytest.mark.parametrize("seed", range(4))
def test_rows_that_fail_by_themselves_all_through_a_lane_are_given_up_though_they_are_what_is_left_of_it(share, seed):
    dice = random.Random(seed)
    spoilt = {ordinal for ordinal in range(2_000) if dice.random() < share}
    scheduler = Scheduler([lane(rows=2_000, slots=16)], RetryPolicy())
    events = Events(scheduler, lambda ticket: (again(), 0.05) if ticket.ordinal in spoilt else (answer(), dice.uniform(0.5, 1.5)))
    assert events.run() == Drained(())
    assert events.verdicts()[Verdict.EXHAUSTED] == len(spoilt)
    assert len(events.launches) == 2_000 + 5 * len(spoilt)
    assert events.now < 900.0


def test_a_hundred_rows_that_fail_by_themselves_hold_the_others_up_for_minutes_and_no_more():
    """1,900 answers of a second over eight slots take 238 s."""
    spoilt = range(100, 200)
    scheduler = Scheduler([lane(rows=2_000, slots=SLOTS)], RetryPolicy())
    events = Events(scheduler, lambda ticket: (again(), 0.05) if ticket.ordinal in spoilt else (answer(), 1.0))
    assert events.run() == Drained(())
    assert events.verdicts()[Verdict.ANSWERED] == 1_900
    assert events.verdicts()[Verdict.EXHAUSTED] == 100
    assert events.now < 800.0


@pytest.mark.parametrize(("asked", "apart"), [(30.0, 30.0), (600.0, 60.0), (0.5, 1.0)])
def test_while_an_outage_lasts_calls_are_as_far_apart_as_the_provider_asks_up_to_a_minute(asked, apart):
    events = night(again(asked), ends=1_800.0)
    events.run(until=1_790.0)
    tried = [ticket.launched_at for ticket in events.launches if 300.0 <= ticket.launched_at < 1_790.0]
    between = [later - former for former, later in itertools.pairwise(tried)]
    assert min(between) >= apart
    assert max(between) <= max(apart, 8.0) + 0.1


@pytest.mark.parametrize("failure", [unreached(), again()])
def test_a_lane_goes_on_within_seconds_of_an_outages_end(failure):
    events = night(failure, ends=600.0)
    events.run()
    back = [ticket.launched_at for ticket in events.launches if ticket.launched_at >= 600.0]
    assert back[0] < 608.0
    assert back[SLOTS] < 616.0


def test_calls_that_fail_late_or_with_answers_between_are_sent_as_ever():
    late = Events(
        Scheduler([lane(rows=40, slots=SLOTS)], RetryPolicy()), lambda ticket: (again(), 60.0) if ticket.attempt < 6 else (answer(), 1.0)
    )
    late.run()
    assert late.now < 40 / SLOTS * 301 + 100
    mostly = Events(
        Scheduler([lane(rows=500, slots=1)], RetryPolicy(first=0.0)), lambda ticket: (answer() if ticket.attempt > 5 else again(), 0.1)
    )
    mostly.run()
    assert mostly.now < 500 * 6 * 0.1 + 10, "five of six failed"


def fail(scheduler, times, failure=None, now=0.0):
    """Have so many calls fail, a second after one another."""
    for _ in range(times):
        now += 1.0
        (ticket,) = launched(scheduler, now)
        ended(scheduler, ticket, failure or again(), now)
    return now


def one_slot(**changed):
    return Scheduler([lane(rows=1_000, slots=1)], RetryPolicy(max_attempts=1_000, first=0.0), **changed)


@pytest.mark.parametrize("met", [answer(), throttled(), rejected()])
def test_whatever_else_the_provider_says_ends_an_outage(met):
    scheduler = one_slot()
    now = fail(scheduler, IN_A_ROW)
    assert launched(scheduler, now) == []
    (ticket,) = launched(scheduler, now + 1.0)
    ended(scheduler, ticket, met, now + 1.0)
    fail(scheduler, IN_A_ROW - 1, now=now + 10.0)
    assert len(launched(scheduler, now + 11.0)) == 1


def test_one_fewer_begin_no_outage():
    scheduler = one_slot()
    now = fail(scheduler, IN_A_ROW - 1)
    assert len(launched(scheduler, now)) == 1


def test_one_call_tries_at_a_time_and_what_has_not_failed_soon_was_taken():
    scheduler = Scheduler([lane(rows=1_000, slots=SLOTS)], RetryPolicy())
    now, outage = 0.0, scheduler._lanes["legal", MODEL].outage
    while not outage.lasts:
        now += 1.0
        for ticket in launched(scheduler, now):
            ended(scheduler, ticket, unreached(), now)
    assert len(launched(scheduler, now + 1.0)) == 1
    assert launched(scheduler, now + 5.9) == []
    assert len(launched(scheduler, now + 6.1)) == SLOTS - 1


def test_a_call_that_was_to_try_and_is_not_made_leaves_it_to_the_next():
    scheduler = one_slot()
    now = fail(scheduler, IN_A_ROW) + 1.0
    (ticket,) = launched(scheduler, now)
    scheduler.unsent(ticket)
    assert ended(scheduler, ticket, rejected("media_too_large"), now) is Verdict.REJECTED
    (ticket,) = launched(scheduler, now)
    ended(scheduler, ticket, again(), now)
    assert launched(scheduler, now + 0.5) == [], "a row that was refused before any call has met nobody"


def test_an_outage_from_the_start_parks_the_lane_in_two_minutes_and_costs_no_row():
    events = night(unreached(), begins=0.0, ends=math.inf)
    drained = events.run()
    assert drained is not None
    (parked,) = drained.parked
    assert (parked.scope, parked.rows, parked.failure.code) == (Scope.LANE, 2_000, "connection_refused")
    assert "nothing but failures for 2 minutes" in parked.failure.advice
    assert 120.0 <= events.now < 140.0


@pytest.mark.parametrize(("failure", "lasts"), [(unreached(), 5 * 3_600.0), (again(), 3_000.0)])
def test_an_outage_from_the_start_is_waited_out_where_the_endpoint_had_answered_in_an_earlier_opening(failure, lasts):
    def opened(answered_by):
        plan = replace(lane(rows=100, slots=SLOTS), endpoint="public", answered_by=answered_by)
        events = Events(Scheduler([plan], RetryPolicy()), lambda each: (failure if each.launched_at < lasts else answer(), 0.5))
        return events.run()

    assert opened("public") == Drained(())
    assert [each.rows for each in opened("intl").parked] == [100]
    assert [each.rows for each in opened(None).parked] == [100]


def test_an_outage_of_a_provider_that_is_met_is_waited_out_for_an_hour():
    events = night(again(), ends=math.inf)
    drained = events.run()
    assert drained is not None
    assert 3_600.0 <= events.now - 60.0 < 3_620.0
    assert drained.parked[0].rows == 2_000 - events.verdicts()[Verdict.ANSWERED] - events.verdicts()[Verdict.EXHAUSTED]


@pytest.mark.parametrize("outage", [3_700.0, 5 * 3_600.0])
def test_a_line_that_is_down_for_hours_ends_no_run_and_costs_no_row_an_attempt(outage):
    events = night(unreached(), ends=60.0 + outage)
    assert events.run() == Drained(())
    assert events.verdicts()[Verdict.ANSWERED] == 2_000
    assert {ticket.attempt for ticket in events.launches} == {1}
    assert events.now < 250.0 + outage + 16.0
    assert len(events.launches) < 2_000 + outage / 4


@pytest.mark.parametrize("met", [again(), classify(502, "", "Bad Gateway")])
@pytest.mark.parametrize("fails_for", [10.0, 3_000.0])
def test_a_gateway_that_comes_back_before_those_behind_it_ends_no_night_however_long_no_connection_stood(met, fails_for):
    def respond(ticket):
        back = 60.0 + 2 * 3_600.0
        if 70.0 <= ticket.launched_at < back:
            return unreached(), 0.01
        fails = 60.0 <= ticket.launched_at < back + fails_for
        return (met, 0.01) if fails else (answer(), 1.0)

    events = Events(Scheduler([lane(rows=2_000, slots=SLOTS)], RetryPolicy()), respond)
    assert events.run() == Drained(())
    assert events.verdicts()[Verdict.ANSWERED] == 2_000


def test_a_gateway_that_is_met_again_and_fails_for_an_hour_from_then_on_is_believed():
    back = 60.0 + 2 * 3_600.0

    def respond(ticket):
        if ticket.launched_at < 60.0:
            return answer(), 1.0
        return (unreached() if ticket.launched_at < back else again()), 0.01

    events = Events(Scheduler([lane(rows=2_000, slots=SLOTS)], RetryPolicy()), respond)
    drained = events.run()
    assert drained is not None
    assert [each.failure.code for each in drained.parked] == ["internal_error"]
    assert 3_600.0 <= events.now - back < 3_620.0


def test_a_line_that_never_comes_back_ends_the_run_at_last_with_its_rows_pending():
    events = night(unreached(), ends=math.inf)
    drained = events.run()
    assert drained is not None
    assert 21_600.0 <= events.now - 60.0 < 21_620.0
    assert drained.parked[0].rows == 2_000 - events.verdicts()[Verdict.ANSWERED]
    assert "nothing but failures for 360 minutes" in drained.parked[0].failure.advice


@pytest.mark.parametrize("most", [2, 6])
def test_attempts_that_a_person_has_counted_are_kept_to_however_often_an_endpoint_fails(most):
    """Where nobody has, a row has more while others are answered that had failed too."""
    counted, dice = [], random.Random(most)
    for keeps_to in (True, False):
        scheduler = Scheduler([lane(rows=3_000, slots=SLOTS)], RetryPolicy(max_attempts=most, keeps_to=keeps_to))
        events = Events(scheduler, lambda _ticket: (again() if dice.random() < 0.6 else answer(), 1.0))
        events.run()
        counted.append((max(ticket.attempt for ticket in events.launches), events.verdicts()[Verdict.EXHAUSTED]))
    (attempts, exhausted), (more, fewer) = counted
    assert attempts <= most + 1, "one failure in a row of them is taken for an outage's, and uses none up"
    assert more >= attempts
    assert fewer <= exhausted / 2


@pytest.mark.parametrize("most", [1, 2])
def test_no_row_is_given_up_for_connections_that_do_not_stand_however_few_attempts_rows_have(most):
    """Two of three do not: no outage, for answers come in between."""
    calls = iter(range(10_000))
    answers: list[Result] = [unreached(), unreached(), answer()]
    scheduler = Scheduler([lane(rows=300, slots=SLOTS)], RetryPolicy(max_attempts=most))
    events = Events(scheduler, lambda _ticket: (answers[next(calls) % 3], 1.0))
    assert events.run() == Drained(())
    assert events.verdicts()[Verdict.ANSWERED] == 300
    assert {ticket.attempt for ticket in events.launches} == {1}


@pytest.mark.parametrize("code", sorted(BEFORE_ANY_CALL))
def test_a_gateway_that_says_so_of_those_behind_it_was_met_itself_and_each_such_call_is_an_attempt(code):
    events = Events(Scheduler([lane(rows=1)], RetryPolicy(max_attempts=3)), lambda _: (classify(503, code, "nobody is there"), 1.0))
    assert events.run() == Drained(())
    assert events.verdicts() == {Verdict.AGAIN: 2, Verdict.EXHAUSTED: 1}


def test_a_row_on_which_the_provider_always_breaks_off_is_exhausted_and_the_others_go_on():
    reset = mishap("connection_reset", in_doubt=True)
    scheduler = Scheduler([lane(rows=200, slots=SLOTS)], RetryPolicy())
    events = Events(scheduler, lambda ticket: (answer() if ticket.ordinal else reset, 1.0))
    assert events.run() == Drained(())
    assert events.verdicts() == {Verdict.ANSWERED: 199, Verdict.AGAIN: 5, Verdict.EXHAUSTED: 1}


def test_a_run_that_waits_goes_on_after_an_outage_however_long():
    events = night(unreached(), ends=20_000.0, wait_for_parked=True)
    assert events.run() == Drained(())
    assert events.verdicts()[Verdict.ANSWERED] == 2_000
    assert events.now < 20_000.0 + 600.0


def test_an_outage_holds_back_no_other_lane():
    lanes = [lane(model=model, rows=500, slots=SLOTS) for model in "ab"]
    scheduler = Scheduler(lanes, RetryPolicy())
    events = Events(scheduler, lambda ticket: (unreached(), 0.01) if ticket.model == "a" else (answer(), 1.0))
    events.run(until=75.0)
    assert scheduler.left()["legal", "b"] < 10


# What would park a lane that never had an answer.


def unsigned(status):
    """A refusal that brings a web page; under 200 it is one that was to be an answer, and may have been billed."""
    return mishap("html", in_doubt=True, status=200) if status == 200 else classify(status, None, "a web page")


UNSIGNED = [200, 301, 302, 307, 403, 404, 405, 410]


@pytest.mark.parametrize("status", UNSIGNED)
@pytest.mark.parametrize("spoilt", [0, 1, 700])
def test_a_row_that_a_firewall_refuses_is_given_up_alone(status, spoilt):
    scheduler = Scheduler([lane(rows=1_000, slots=1)], RetryPolicy())
    events = Events(scheduler, lambda ticket: (unsigned(status) if ticket.ordinal == spoilt else answer(), 0.1))
    assert events.run() == Drained(())
    assert events.verdicts()[Verdict.ANSWERED] == 999
    assert events.verdicts()[Verdict.EXHAUSTED] == 1
    assert len(events.launches) <= 999 + 7
    assert events.now < 999 * 0.1 + 70


@pytest.mark.parametrize("status", UNSIGNED)
def test_a_gateway_that_says_for_minutes_that_nothing_is_there_ends_no_night(status):
    events = night(unsigned(status), ends=1_800.0)
    assert events.run() == Drained(())
    assert events.verdicts()[Verdict.ANSWERED] == 2_000


def test_a_gateway_that_says_so_for_an_hour_is_believed():
    events = night(unsigned(404), ends=math.inf)
    drained = events.run()
    assert drained is not None
    assert [(parked.scope, parked.failure.code) for parked in drained.parked] == [(Scope.LANE, "http_404")]
    assert 3_600.0 <= events.now - 60.0 < 3_620.0


@pytest.mark.parametrize("status", UNSIGNED)
@pytest.mark.parametrize("rows", [1, 2, 1_000])
def test_an_address_that_is_wrong_from_the_start_parks_at_the_second_row_that_is_told_so(status, rows):
    scheduler = Scheduler([lane(rows=rows, slots=1)], RetryPolicy())
    events = Events(scheduler, lambda _: (unsigned(status), 0.1))
    drained = events.run()
    assert drained is not None
    assert [(parked.rows, parked.failure.status) for parked in drained.parked] == [(rows, status)]
    assert [ticket.ordinal for ticket in events.launches] == [0, 1][:rows]


def test_a_parked_lane_is_tried_with_another_row_than_the_one_that_was_refused():
    scheduler = Scheduler([lane(rows=5, slots=2), lane("sales", rows=100, slots=1)], RetryPolicy())
    spoilt = {0, 1}
    events = Events(
        scheduler,
        lambda ticket: (unsigned(403) if ticket.workspace == "legal" and ticket.ordinal in spoilt else answer(), 10.0),
    )
    assert events.run() == Drained(())
    assert events.verdicts()[Verdict.ANSWERED] == 103
    assert events.verdicts()[Verdict.EXHAUSTED] == 2


STANDING = [
    classify(403, "Model.AccessDenied", ""),
    classify(404, "model_not_found", ""),
    classify(401, None, ""),
    classify(402, None, ""),
    classify(407, None, ""),
    classify(400, "Arrearage", ""),
    parks(Scope.WORKSPACE),
]
EACH_STANDING = pytest.mark.parametrize("failure", STANDING, ids=lambda failure: failure.code)


@EACH_STANDING
def test_what_the_provider_says_itself_of_all_parks_what_had_no_answer_at_once(failure):
    events = night(failure, begins=0.0, ends=math.inf)
    drained = events.run()
    assert drained is not None
    assert (len(events.launches), drained.parked[0].failure, drained.parked[0].rows) == (SLOTS, failure, 2_000)


@EACH_STANDING
@pytest.mark.parametrize("refused", [1, SLOTS - 1])
@pytest.mark.parametrize("good_after", [0.5, 1.0, 300.0])
def test_what_is_refused_at_first_parks_nothing_where_a_call_beside_it_is_answered(failure, refused, good_after):
    """Of several gateways one may not know a new key yet. It costs no row an attempt."""

    def respond(ticket):
        at_first = ticket.launched_at == 0.0
        return (failure, 0.01) if at_first and ticket.ordinal < refused else (answer(), good_after if at_first else 1.0)

    events = Events(Scheduler([lane(rows=2_000, slots=SLOTS)], RetryPolicy()), respond)
    assert events.run() == Drained(())
    assert events.verdicts()[Verdict.ANSWERED] == 2_000
    assert {ticket.attempt for ticket in events.launches} == {1}
    assert len(events.launches) == 2_000 + refused, "no call more than were refused"
    assert events.now < good_after + 2_000 / SLOTS + 10.0


@pytest.mark.parametrize("status", UNSIGNED)
def test_what_a_gateway_says_to_some_of_the_first_calls_parks_nothing_either(status):
    events = Events(
        Scheduler([lane(rows=2_000, slots=SLOTS)], RetryPolicy()),
        lambda ticket: (unsigned(status), 0.01) if ticket.launched_at == 0.0 and ticket.ordinal < SLOTS - 1 else (answer(), 1.0),
    )
    assert events.run() == Drained(())
    assert events.verdicts()[Verdict.ANSWERED] == 2_000


def test_an_answer_ends_no_park_that_is_about_something_else():
    scheduler = Scheduler([lane(rows=9, slots=3)], RetryPolicy())
    tickets = launched(scheduler, 0.0)
    ended(scheduler, tickets[0], parks(Scope.WORKSPACE), 1.0)
    spent = replace(parks(Scope.LANE), code="budget_spent")
    scheduler.park(Scope.LANE, "legal", MODEL, spent, 1.0, probe=False)
    ended(scheduler, tickets[1], answer(), 2.0)
    assert [(each.scope, each.failure) for each in scheduler.parked()] == [(Scope.LANE, spent)]
    assert launched(scheduler, 2.0) == []


@EACH_STANDING
@pytest.mark.parametrize("lasts", [0.5, 30.0, 110.0])
def test_a_good_key_that_is_refused_for_a_minute_ends_no_night_and_costs_no_row_an_attempt(failure, lasts):
    events = night(failure, ends=60.0 + lasts)
    assert events.run() == Drained(())
    assert events.verdicts()[Verdict.ANSWERED] == 2_000
    assert {ticket.attempt for ticket in events.launches} == {1}
    assert events.now < 250.0 + lasts + 10.0
    assert len(events.launches) <= 2_000 + 2 * SLOTS + lasts / 4


@EACH_STANDING
@pytest.mark.parametrize("other", [again(), unreached()])
def test_refusals_before_and_after_other_failures_are_not_taken_for_minutes_of_them(failure, other):
    """What checks keys goes down first, and comes back last."""

    def respond(ticket):
        at = ticket.launched_at - 60.0
        if at < 0.0 or at >= 760.0:
            return answer(), 1.0
        return (other if 60.0 <= at < 700.0 else failure), 0.01

    events = Events(Scheduler([lane(rows=2_000, slots=SLOTS)], RetryPolicy()), respond)
    assert events.run() == Drained(())
    assert events.verdicts()[Verdict.ANSWERED] == 2_000


@EACH_STANDING
def test_one_that_is_refused_for_two_minutes_is_believed(failure):
    events = night(failure, ends=math.inf)
    drained = events.run()
    assert drained is not None
    assert drained.parked[0].failure == failure
    assert 120.0 <= events.now - 60.0 < 130.0
    refused = [ticket for ticket in events.launches if ticket.launched_at >= 60.0]
    assert len(refused) <= 2 * SLOTS + 120.0 / 4
    assert drained.parked[0].rows == 2_000 - events.verdicts()[Verdict.ANSWERED]
    assert list(events.scheduler.outages().values()) == [failure], "it does not go on because it is parked"


@EACH_STANDING
def test_refusals_of_a_good_key_now_and_then_slow_nothing_down(failure):
    """What answers meanwhile says that it is good."""
    scheduler = Scheduler([lane(rows=2_000, slots=SLOTS)], RetryPolicy())
    seen = set()

    def respond(ticket):
        now_and_then = ticket.ordinal % 50 == 17 and ticket.ordinal not in seen
        seen.add(ticket.ordinal)
        return (failure if now_and_then else answer(), 1.0)

    events = Events(scheduler, respond)
    assert events.run() == Drained(())
    assert events.verdicts()[Verdict.ANSWERED] == 2_000
    assert len(events.launches) == 2_040
    assert events.now < 2_040 / SLOTS + 40


def two_models(failure, refuses):
    """One workspace, and what of its second model is refused by the time."""
    lanes = [lane("legal", rows=2_000, slots=SLOTS), lane("legal", rows=200, slots=SLOTS, model="qwen-max")]

    def respond(ticket):
        refused = ticket.model == "qwen-max" and refuses(ticket.launched_at)
        return (failure, 0.01) if refused else (answer(), 1.0)

    return Events(Scheduler(lanes, RetryPolicy()), respond)


OF_ALL = [classify(401, None, ""), classify(402, None, ""), classify(403, "Workspace.AccessDenied", ""), classify(400, "Arrearage", "")]


@pytest.mark.parametrize("failure", OF_ALL, ids=lambda failure: failure.code)
@pytest.mark.parametrize("lasts", [0.5, 30.0, 110.0])
def test_a_model_that_had_no_answer_yet_parks_no_workspace_whose_key_has_had_some(failure, lasts):
    scheduler = Scheduler([lane("legal", rows=2_000, slots=SLOTS), lane("legal", rows=200, slots=SLOTS, model="qwen-max")], RetryPolicy())
    first = scheduler.next(0.0)
    assert isinstance(first, Launch)
    ended(scheduler, first.ticket, answer(), 0.1)
    other = "qwen-max" if first.ticket.model == MODEL else MODEL
    events = Events(scheduler, lambda ticket: (failure, 0.01) if ticket.model == other and ticket.launched_at < lasts else (answer(), 1.0))
    assert events.run() == Drained(())
    assert events.verdicts()[Verdict.ANSWERED] == 2_199


@pytest.mark.parametrize("failure", [*OF_ALL, unsigned(302)], ids=lambda failure: failure.code)
@pytest.mark.parametrize(("lasts", "left"), [(0.5, []), (math.inf, [(Scope.LANE, "legal qwen-max", 200)])])
@pytest.mark.parametrize("good_after", [0.6, 300.0])
def test_a_model_that_is_refused_at_first_parks_itself_alone_where_a_first_call_of_another_is_answered(failure, lasts, left, good_after):
    """Though the answer comes after the refusal. What is refused for good is sent now and then, and not again for each answer."""
    lanes = [lane("legal", rows=2_000, slots=SLOTS), lane("legal", rows=200, slots=SLOTS, model="qwen-max")]

    def respond(ticket):
        if ticket.model == "qwen-max" and ticket.launched_at < lasts:
            return failure, 0.01
        return answer(), good_after if ticket.launched_at == 0.0 else 1.0

    events = Events(Scheduler(lanes, RetryPolicy()), respond)
    drained = events.run()
    assert drained is not None
    assert [(parked.scope, parked.name, parked.rows) for parked in drained.parked] == left
    assert sum(ticket.model == MODEL for ticket in events.launches) == 2_000
    assert sum(ticket.model == "qwen-max" for ticket in events.launches) <= (0 if left else 200) + 2 * SLOTS + 120.0 / 4


@pytest.mark.parametrize("failure", OF_ALL, ids=lambda failure: failure.code)
def test_what_is_refused_to_one_model_alone_parks_that_one_alone(failure):
    events = two_models(failure, lambda at: at > 10.0)
    drained = events.run()
    assert drained is not None
    assert [(parked.scope, parked.name, parked.failure) for parked in drained.parked] == [(Scope.LANE, "legal qwen-max", failure)]
    assert sum(ticket.model == MODEL for ticket in events.launches) == 2_000


@pytest.mark.parametrize("failure", OF_ALL, ids=lambda failure: failure.code)
def test_answers_to_calls_that_went_before_the_first_refusal_save_nobody(failure):
    lanes = [lane("legal", rows=9, slots=1), lane("legal", rows=9, slots=1, model="qwen-max")]

    def respond(ticket):
        return (answer(), 150.0) if ticket.launched_at < 1.0 and ticket.model == MODEL else (failure, 0.01)

    events = Events(Scheduler(lanes, RetryPolicy()), respond)
    drained = events.run()
    assert drained is not None
    assert [(parked.scope, parked.rows) for parked in drained.parked] == [(failure.scope, 17)]


def test_what_is_in_doubt_is_held_though_its_refusal_is_not_believed_yet():
    scheduler = Scheduler([lane(rows=9, slots=1)], RetryPolicy(hold_in_doubt=True))
    (ticket,) = launched(scheduler, 0.0)
    ended(scheduler, ticket, answer(), 1.0)
    (ticket,) = launched(scheduler, 1.0)
    assert ended(scheduler, ticket, replace(parks(Scope.WORKSPACE), in_doubt=True), 2.0) is Verdict.HELD


@pytest.mark.parametrize("rows", [1, 2, 9])
def test_a_row_that_a_web_page_answers_may_have_been_billed_and_is_held_where_that_is_wished(rows):
    scheduler = Scheduler([lane(rows=rows, slots=1)], RetryPolicy(hold_in_doubt=True))
    events = Events(scheduler, lambda _: (unsigned(200), 0.1))
    drained = events.run()
    assert drained is not None
    assert [parked.rows for parked in drained.parked] == [rows - 2] * (rows > 2)
    assert (events.verdicts(), len(events.launches)) == ({Verdict.HELD: min(rows, 2)}, min(rows, 2))


@pytest.mark.parametrize("code", ["tls", "proxy_refused"])
def test_a_certificate_or_a_proxy_that_goes_wrong_in_mid_run_is_waited_for_and_costs_no_row_an_attempt(code):
    events = night(mishap(code, in_doubt=False), ends=3_900.0)
    assert events.run() == Drained(())
    assert events.verdicts()[Verdict.ANSWERED] == 2_000
    assert {ticket.attempt for ticket in events.launches} == {1}


@pytest.mark.parametrize("code", ["tls", "proxy_refused"])
def test_one_that_is_wrong_from_the_start_parks_the_workspace_at_its_first_call(code):
    events = night(mishap(code, in_doubt=False), begins=0.0, ends=math.inf)
    drained = events.run()
    assert drained is not None
    assert [(parked.scope, parked.rows) for parked in drained.parked] == [(Scope.WORKSPACE, 2_000)]
    assert len(events.launches) <= SLOTS


def test_a_row_that_has_one_attempt_is_given_up_after_it_whatever_becomes_of_others():
    scheduler = Scheduler([lane(rows=3, slots=1)], RetryPolicy(max_attempts=1))
    ticket = launched(scheduler, 0.0)[0]
    for _ in range(100):
        ticket.lane.luck.answered(3, ticket.lane.left)
    assert ended(scheduler, ticket, again(), 10.0) is Verdict.EXHAUSTED
