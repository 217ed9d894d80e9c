"""A row has few calls that may be billed for nothing, and all of its attempts where what failed was hardly billed."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from batchrun.core.model import Reply, Usage
from batchrun.core.protocols.failures import classify
from batchrun.core.protocols.mishaps import mishap
from batchrun.core.scheduling.billed import given_up
from batchrun.core.scheduling.retry import RetryPolicy
from batchrun.core.scheduling.scheduler import Drained, Scheduler, Verdict
from tests.laboratory import Events, Result, again, answer, lane, throttled

MAY_HAVE_COST = [
    pytest.param(classify(500, "InternalError.Timeout", "more than 300 s"), 300.0, id="the provider's time-out"),
    pytest.param(classify(408, "RequestTimeOut", "try again"), 2.0, id="one of its that comes soon"),
    pytest.param(classify(504, None, ""), 60.0, id="a gateway's"),
    pytest.param(classify(504, "upstream_timeout", ""), 2.0, id="a gateway's with a word of its own"),
    pytest.param(mishap("total_timeout", in_doubt=True), 600.0, id="the job's"),
    pytest.param(mishap("total_timeout", in_doubt=True), 2.0, id="an impatient job's"),
    pytest.param(mishap("read_timeout", in_doubt=True), 120.0, id="silence"),
    pytest.param(mishap("half_body", in_doubt=True), 40.0, id="an answer that broke off"),
    pytest.param(mishap("disconnected", in_doubt=True), 40.0, id="no answer after a while"),
    pytest.param(classify(502, None, ""), 40.0, id="a gateway that gave up after a while"),
    pytest.param(
        replace(mishap("empty_answer", in_doubt=True, status=200), reply=Reply("", "stop", None)), 0.2, id="one that says nothing"
    ),
    pytest.param(mishap("broken_event", in_doubt=False, status=200, usage=Usage(10, 5)), 1.0, id="what tells its cost"),
]
HARDLY = [
    pytest.param(classify(503, None, "no healthy upstream"), 0.1, id="a gateway's 503"),
    pytest.param(classify(502, None, ""), 3.0, id="a gateway's 502"),
    pytest.param(mishap("connection_reset", in_doubt=True), 0.1, id="a reset"),
    pytest.param(classify(500, "InternalError", "try again"), 40.0, id="the provider's word, which is not billed"),
    pytest.param(mishap("total_timeout", in_doubt=False), 600.0, id="a time-out before anything was sent"),
]


def night(failure: Result, seconds: float, *, spoilt=(0,), until: float = math.inf, policy: RetryPolicy | None = None) -> Events:
    """Many rows, most of which are answered; those that are *spoilt* fail until then."""

    def respond(ticket):
        fails = ticket.ordinal in spoilt and ticket.launched_at < until
        return (failure, seconds) if fails else (answer(), 1.0)

    events = Events(Scheduler([lane(rows=40)], policy or RetryPolicy()), respond)
    assert events.run() == Drained(())
    return events


def calls_of(events: Events, ordinal: int = 0) -> int:
    return sum(ticket.ordinal == ordinal for ticket in events.launches)


@pytest.mark.parametrize(("failure", "seconds"), MAY_HAVE_COST)
@pytest.mark.parametrize("most", [1, 3, 5])
def test_a_row_has_as_many_calls_that_may_be_billed_for_nothing_as_the_policy_says(failure, seconds, most):
    events = night(failure, seconds, policy=RetryPolicy(max_billed=most))
    assert calls_of(events) == most
    assert events.verdicts() == {Verdict.ANSWERED: 39, Verdict.EXHAUSTED: 1, **({Verdict.AGAIN: most - 1} if most > 1 else {})}


@pytest.mark.parametrize(("failure", "seconds"), HARDLY)
def test_what_was_hardly_billed_leaves_a_row_all_its_attempts(failure, seconds):
    assert calls_of(night(failure, seconds)) == 6


@pytest.mark.parametrize(("failure", "seconds"), MAY_HAVE_COST)
def test_a_row_that_is_answered_after_two_such_calls_is_answered(failure, seconds):
    script: list[Result] = [failure, failure, throttled(), again(), again(), answer()]
    events = Events(Scheduler([lane(rows=1)], RetryPolicy()), lambda _ticket: (script.pop(0), seconds))
    assert events.run() == Drained(())
    assert events.verdicts()[Verdict.ANSWERED] == 1


def test_such_calls_count_though_others_fail_between_them_and_throttles_come():
    timed_out = classify(500, "InternalError.Timeout", "")
    script: list[Result] = [timed_out, throttled(), again(), timed_out, again(), throttled(), timed_out, answer()]
    events = Events(Scheduler([lane(rows=1)], RetryPolicy()), lambda _ticket: (script.pop(0), 7.0))
    events.run()
    assert events.verdicts()[Verdict.EXHAUSTED] == 1
    assert len(script) == 1


def test_a_storm_of_what_is_hardly_billed_gives_no_row_up():
    """Half an hour in which all that is sent fails at once, though a gateway's word alone leaves each call in doubt."""
    scheduler = Scheduler([lane(rows=2_000, slots=8)], RetryPolicy())
    storm = classify(503, None, "")
    events = Events(scheduler, lambda ticket: (storm, 0.05) if 60.0 <= ticket.launched_at < 1_860.0 else (answer(), 1.0))
    assert events.run() == Drained(())
    assert events.verdicts()[Verdict.ANSWERED] == 2_000


def test_nothing_is_kept_of_a_row_that_is_done():
    scheduler = Scheduler([lane(rows=40)], RetryPolicy())
    timed_out = classify(500, "InternalError.Timeout", "")
    sent: set[int] = set()

    def respond(ticket):
        first = ticket.ordinal not in sent
        sent.add(ticket.ordinal)
        return (timed_out if first or ticket.ordinal % 2 else answer()), 7.0

    Events(scheduler, respond).run()
    assert not scheduler._judge.billed._calls


def test_a_row_that_is_given_up_for_it_says_so_and_how_it_may_go_on():
    failure = classify(500, "InternalError.Timeout", "more than 300 s", request_id="r-1")
    told = given_up(failure, 3)
    assert told.message == "given up after 3 calls that may each have been billed: more than 300 s"
    assert given_up(failure, 1).message == "given up after 1 call that may have been billed: more than 300 s"
    for way in ("stream = true", "max_tokens", "[timeouts]", "max_billed under [retry]", "run the same command again", "--hold-in-doubt"):
        assert way in told.advice
    assert replace(told, message=failure.message, advice=failure.advice) == failure
