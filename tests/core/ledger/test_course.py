"""How a run went, from its lines: what is counted where, and what is not."""

from __future__ import annotations

import pytest

from batchrun.core.jobs.stated import StatedQuota, budgets_of, quotas_of
from batchrun.core.ledger.attempts import Bound, Ended, Opened, Started
from batchrun.core.ledger.course import MOST_REASONS, REST, Course, Reason, Trouble, Watched
from batchrun.core.ledger.entry import Entry
from batchrun.core.ledger.statement import Fold
from batchrun.core.model import Usage

NIGHT = 1_795_600_000.0
POOL = StatedQuota("main", None, "qwen-plus", 600, 100_000)
JOB = {
    "job": {"budget": {"amount": "200", "currency": "CNY"}},
    "accounts": {"main": {"quotas": {"qwen-plus": {"rpm": 600, "tpm": 100_000}}}},
    "workspaces": {
        "legal": {"account": "main", "rpm": 60, "limits": {"qwen-plus": {"tpm": 500, "budget": {"tokens": 9000}}}},
        "sales": {"account": "main", "budget": {"amount": 2.5, "currency": "CNY"}},
        "odd": 3,
    },
}


def started(number, at, workspace="legal", model="qwen-plus"):
    return Started(f"1-{number}", workspace, model, f"r-{number}", Bound(100, 100), NIGHT + at)


def ended(number, at, verdict="answered", code=None, usage=None, status=None):
    return Ended(f"1-{number}", verdict, False, usage, at=NIGHT + at, code=code, status=status)


def entry(row_id, outcome="answered", *, at=0.0, workspace="legal", model="qwen-plus", **fields):
    usage = Usage(100, 20) if outcome == "answered" else None
    return Entry(row_id, workspace, model, outcome, "0" * 16, None, usage, started_at=NIGHT + at, **fields)


def seen(*, attempts=(), entries=(), job=None, only=None):
    course = Course()
    course.begin(job)
    watched = Watched(Fold("run", "night", only=only), course)
    watched.attempts(attempts)
    watched.entries(entries)
    return course


def test_calls_and_tokens_are_counted_when_the_call_began_and_trouble_when_it_came():
    attempts = [Opened(1), started(1, 0), started(2, 0), ended(1, 3, "throttled", "limit_requests"), started(3, 4), None]
    attempts += [ended(2, 5, "again", "InternalError", Usage(7, 0)), ended(3, 6)]
    course = seen(attempts=attempts, entries=[entry("r-3", at=4, latency_ms=2000, first_token_ms=300.0)])
    timeline = course.timeline
    assert timeline.moments() == [NIGHT + second for second in range(6)]
    assert timeline.counts(("legal", "calls")) == [2, 0, 0, 0, 1, 0]
    assert timeline.counts(("legal", "throttled")) == [0, 0, 0, 1, 0, 0]
    assert timeline.counts(("legal", "again")) == [0, 0, 0, 0, 0, 1]
    assert timeline.counts(("legal", "input")) == [7, 0, 0, 0, 100, 0]
    assert timeline.counts(("legal", "output")) == [0, 0, 0, 0, 20, 0]
    assert (course.began, course.ended) == (NIGHT, NIGHT + 6)
    assert course.trouble == {Trouble("legal", "throttled", "limit_requests"): 1, Trouble("legal", "again", "InternalError"): 1}
    assert course.latency()["legal", "qwen-plus"].greatest == 2000
    assert course.first_token()["legal", "qwen-plus"].greatest == 300


def test_a_row_that_was_answered_after_all_is_no_failure_and_one_that_failed_twice_is_one():
    failed = {"code": "InternalError", "status": 500, "message": "Try later.", "advice": "nothing"}
    course = seen(
        entries=[
            entry("a", "exhausted", **failed),
            entry("b", "exhausted", **failed),
            entry("b", "rejected", code="DataInspectionFailed", status=400, message="No.", advice="rephrase it"),
            entry("c", "exhausted", **failed),
            entry("a"),
            entry("a", "exhausted", workspace="sales", **failed),
        ]
    )
    assert {reason: told.rows for reason, told in course.reasons().items()} == {
        Reason("legal", "exhausted", "InternalError", 500): 1,
        Reason("legal", "rejected", "DataInspectionFailed", 400): 1,
        Reason("sales", "exhausted", "InternalError", 500): 1,
    }
    told = course.reasons()["legal", "rejected", "DataInspectionFailed", 400]
    assert (told.message, told.advice) == ("No.", "rephrase it")


def test_a_lane_stands_still_until_one_of_its_calls_is_answered():
    refused = [started(1, 0), ended(1, 1, "parked", "InvalidApiKey", status=401), started(2, 2, model="qwen-max")]
    refused.append(ended(2, 3, "parked", "Model.AccessDenied", status=403))
    course = seen(attempts=[*refused, started(3, 4), ended(3, 5)])
    assert [(each.model, each.code, each.status) for each in course.standstills.values()] == [("qwen-max", "Model.AccessDenied", 403)]


def test_a_quota_counts_the_calls_and_tokens_of_every_lane_it_is_about():
    course = seen(
        attempts=[started(1, 0), started(2, 30, "sales"), started(3, 70)],
        entries=[entry("r-1", at=0), entry("r-3", at=70), entry("r-2", at=30, workspace="sales")],
        job=JOB,
    )
    assert course.minutes.width == 60
    assert sum(course.minutes.counts((POOL, "calls"))) == 3
    assert sum(course.minutes.counts((POOL, "tokens"))) == 360


def test_the_courses_of_runs_add_up_to_that_of_one_that_had_all_their_lines():
    lines = [started(1, 0), ended(1, 3, "throttled", "limit_requests"), started(2, 4), ended(2, 9)]
    later = [started(1, 90_000), ended(1, 90_003, "again", "InternalError"), started(2, 90_004, "sales"), ended(2, 90_009)]
    entries = [entry("a", "exhausted", code="E", status=500, message="m", advice="a"), entry("b", at=4, latency_ms=900.0)]
    more = [entry("c", "exhausted", code="E", status=500), entry("d", at=90_004, workspace="sales", latency_ms=70.0, first_token_ms=9.0)]
    summed = Course()
    for part in (seen(attempts=lines, entries=entries, job=JOB), seen(attempts=later, entries=more, job=JOB)):
        summed.add(part)
    whole = seen(attempts=[*lines, *later], entries=[*entries, *more], job=JOB)
    for name in ("timeline", "minutes"):
        mine, its = getattr(summed, name), getattr(whole, name)
        assert (mine.width, mine.moments()) == (its.width, its.moments())
        assert [mine.counts(key) for key in its.keys()] == [its.counts(key) for key in its.keys()]  # noqa: SIM118 - not a mapping
    assert {key: each.buckets() for key, each in summed.latency().items()} == {key: each.buckets() for key, each in whole.latency().items()}
    assert (summed.trouble, summed.reasons(), summed.began, summed.ended) == (whole.trouble, whole.reasons(), whole.began, whole.ended)


def test_with_one_workspace_alone_nothing_of_the_others_is_counted():
    lines = [started(1, 0), started(2, 0, "sales"), ended(2, 1, "parked", "InvalidApiKey"), ended(1, 2, "throttled", "limit_requests")]
    course = seen(attempts=lines, entries=[entry("r-1")], job=JOB, only="legal")
    assert {key[0] for key in course.timeline.keys()} == {"legal"}  # noqa: SIM118 - not a mapping
    assert {each.workspace for each in course.trouble} == {"legal"}
    assert course.standstills == {}


def test_codes_from_outside_do_not_grow_without_end():
    codes = range(MOST_REASONS + 15)
    attempts = [line for number in codes for line in (started(number, 0), ended(number, 1, "again", f"code-{number}"))]
    entries = [entry(f"r-{number}", "rejected", code=f"code-{number}", status=number) for number in codes]
    course = seen(attempts=attempts, entries=entries)
    assert (len(course.trouble), course.trouble[Trouble("legal", "again", REST)]) == (MOST_REASONS + 1, 15)
    assert (len(course.reasons()), course.reasons()["legal", "rejected", REST, None].rows) == (MOST_REASONS + 1, 15)


@pytest.mark.parametrize("odd", [["a"], {"a": 1}, 7, True])
def test_what_is_no_text_in_a_ledger_is_none(odd):
    course = seen(
        attempts=[started(1, 0), ended(1, 1, "again", odd)],
        entries=[entry("a", "rejected", code=odd, status="x", message=odd, advice=odd)],
    )
    assert list(course.trouble) == [Trouble("legal", "again", "")]
    assert list(course.reasons()) == [Reason("legal", "rejected", "", None)]


def test_the_quotas_and_budgets_of_a_described_job_are_found():
    assert list(quotas_of(JOB, "sales", "qwen-plus")) == [POOL]
    assert list(quotas_of(JOB, "legal", "qwen-plus")) == [
        POOL,
        StatedQuota(None, "legal", None, 60, None),
        StatedQuota(None, "legal", "qwen-plus", None, 500),
    ]
    assert list(quotas_of({}, "legal", "qwen-plus")) == list(quotas_of({"workspaces": [], "accounts": 1}, "a", "b")) == []
    assert [(each.workspace, each.model, str(each.amount), each.unit) for each in budgets_of(JOB)] == [
        (None, None, "200", "CNY"),
        ("legal", "qwen-plus", "9000", "tokens"),
        ("sales", None, "2.5", "CNY"),
    ]
    assert list(budgets_of({"job": {"budget": {"amount": "x", "currency": "CNY"}}})) == []
