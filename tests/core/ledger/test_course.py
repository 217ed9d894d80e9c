"""How a run went, from its lines: what is counted where, and what is not."""

from __future__ import annotations

import pickle
from decimal import Decimal

import pytest

from batchrun.core.jobs.job import Job
from batchrun.core.jobs.stated import StatedBudget, StatedQuota, budgets_of, quotas_of
from batchrun.core.ledger.attempts import Bound, Ended, Opened, Started
from batchrun.core.ledger.course import Course, Standstill, Trouble
from batchrun.core.ledger.entry import Entry
from batchrun.core.ledger.fold import Fold
from batchrun.core.ledger.unanswered import MOST_REASONS, REST, Reason, Told
from batchrun.core.ledger.watched import Watched
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


@pytest.mark.parametrize(("minutes", "width"), [(1499, 60), (1500, 120)])
def test_the_minutes_of_a_day_and_an_hour_more_are_each_held_against_a_quota(minutes, width):
    course = seen(attempts=[started(1, 0), started(2, 60 * minutes)], job=JOB)
    assert course.minutes.width == width
    assert sum(course.minutes.counts((POOL, "calls"))) == 2


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


def test_a_course_that_is_kept_and_read_back_goes_on_and_keeps_no_name_of_anything_in_this_process():
    course = seen(entries=[entry("a", "exhausted", code="E", status=500), entry("b", "rejected", code="F", status=400)])
    assert course._unanswered.__getstate__()["_places"] == {}
    kept = pickle.loads(pickle.dumps(course))
    kept.told([entry("a"), entry("c", "rejected", code="F", status=400), entry("d", "exhausted", code="E", status=500)])
    assert {reason.code: told.rows for reason, told in kept.reasons().items()} == {"E": 1, "F": 2}
    kept.told([entry("d")])
    assert {reason.code: told.rows for reason, told in kept.reasons().items()} == {"F": 2}


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


def test_calls_without_a_time_that_can_be_right_are_counted_and_stand_in_no_series():
    attempts = [started(1, 0)._replace(at=0.0), started(2, 0), ended(1, 1)._replace(at=1e12), ended(2, 2, "again", "E", Usage(7, 1))]
    entries = [entry("r-1")._replace(started_at=None), entry("r-2")._replace(started_at=5.0), entry("r-3", "rejected", code="E")]
    course = seen(attempts=attempts, entries=entries)
    assert course.untimed == 3
    assert (course.began, course.ended) == (NIGHT, NIGHT + 2)
    assert course.timeline.counts(("legal", "input")) == [7, 0, 0]
    assert sum(course.timeline.counts(("legal", "calls"))) == 1
    both = Course()
    for _ in range(2):
        both.add(course)
    both.add(Course())
    assert (both.untimed, both.began, both.ended) == (6, NIGHT, NIGHT + 2)


def test_a_run_began_with_its_earliest_moment_and_ended_with_its_latest_whatever_order_they_came_in():
    course = seen(attempts=[started(1, 50), started(2, 9), ended(2, 20), started(3, 60), ended(1, 55), started(4, 30)])
    assert (course.began, course.ended) == (NIGHT + 9, NIGHT + 60)
    earlier = seen(attempts=[started(1, 2), ended(1, 40)])
    course.add(earlier)
    assert (course.began, course.ended) == (NIGHT + 2, NIGHT + 60)


def test_of_a_standstill_it_is_known_where_since_when_and_why_and_runs_that_are_added_bring_theirs():
    first = seen(attempts=[started(1, 0), ended(1, 1, "parked", "InvalidApiKey", Usage(5, 1), 401)])
    second = seen(attempts=[started(1, 5, "sales"), ended(1, 6, "parked", ["odd"], status=True)])
    first.add(second)
    assert first.standstills == {
        ("legal", "qwen-plus"): Standstill("legal", "qwen-plus", "InvalidApiKey", 401, NIGHT + 1),
        ("sales", "qwen-plus"): Standstill("sales", "qwen-plus", "", None, NIGHT + 6),
    }
    assert first.timeline.counts(("legal", "parked")) == [0, 1, 0, 0, 0, 0, 0]
    assert first.timeline.counts(("legal", "input")) == [5, 0, 0, 0, 0, 0, 0]
    assert first.trouble == {Trouble("legal", "parked", "InvalidApiKey"): 1, Trouble("sales", "parked", ""): 1}


def test_answers_alone_have_a_latency_and_a_row_that_was_answered_after_a_failure_has_one():
    entries = [entry("a", latency_ms=10), entry("b", "rejected", latency_ms=99, first_token_ms=98), entry("c", first_token_ms=5)]
    course = seen(entries=[*entries, entry("b", latency_ms=30)])
    (latency,), (first,) = course.latency().values(), course.first_token().values()
    assert (latency.count, latency.least, latency.greatest) == (2, 10, 30)
    assert (first.count, first.greatest) == (1, 5)
    assert course.reasons() == {}


def test_of_alike_failures_what_most_rows_were_told_is_told_and_that_others_were_told_something_else():
    entries = [entry(name, "exhausted", code="E", status=500, message=f"m-{name}", advice=f"a-{name}") for name in "ab"]
    reason = Reason("legal", "exhausted", "E", 500)
    course = seen(entries=entries)
    assert course.reasons() == {reason: Told(2, "m-a", "a-a", others=1)}
    course.add(seen(entries=entries[1:]))
    assert course.reasons() == {reason: Told(3, "m-b", "a-b", others=1)}


def test_what_a_row_was_told_is_told_of_no_other_once_it_has_been_asked_again():
    said = [("a", "Role must be"), ("b", "Role must be"), ("c", "Temperature should be")]
    entries = [entry(name, "rejected", code="E", status=400, message=message, advice="mend it") for name, message in said]
    reason = Reason("legal", "rejected", "E", 400)
    course = seen(entries=entries)
    assert course.reasons() == {reason: Told(3, "Role must be", "mend it", others=1)}
    course.told([entry("a"), entry("b")])
    assert course.reasons() == {reason: Told(1, "Temperature should be", "mend it")}
    course.told([entry("c", "rejected", code="E", status=400, message="Temperature should be", advice="as of today")])
    assert course.reasons() == {reason: Told(1, "Temperature should be", "as of today")}


def test_messages_that_name_something_of_each_row_do_not_grow_without_end_and_their_rows_are_counted():
    entries = [entry(f"r-{number}", "rejected", code="E", status=400, message=f"line {number}") for number in range(1000)]
    reason = Reason("legal", "rejected", "E", 400)
    assert seen(entries=entries).reasons() == {reason: Told(1000, "line 0", "", others=999)}
    known = [entry(f"s-{number}", "rejected", code="E", status=400, message="line 3") for number in range(5)]
    assert seen(entries=[*entries, *known]).reasons() == {reason: Told(1005, "line 3", "", others=999)}


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


def test_the_budgets_of_a_job_are_found_as_a_run_describes_it():
    limits = {"qwen-plus": {"budget": {"tokens": 9000}}}
    workspaces = {"legal": {"api_key_env": "LEGAL_KEY", "budget": [{"amount": 2.5}, {"tokens": 50, "per": "day"}], "limits": limits}}
    workspaces["hr"] = {"api_key_env": "HR_KEY", "budget": {"amount": 3, "unpriced": {"input": 0.5, "output": 4}}}
    job = Job.model_validate({"job": {"input": "in.jsonl", "budget": {"amount": 200, "currency": "USD"}}, "workspaces": workspaces})
    assert [*budgets_of(job.model_dump(mode="json", exclude_unset=True))] == [
        StatedBudget(None, None, Decimal(200), "USD"),
        StatedBudget("legal", None, Decimal("2.5"), "CNY"),
        StatedBudget("legal", None, Decimal(50), "tokens", "day"),
        StatedBudget("legal", "qwen-plus", Decimal(9000), "tokens"),
        StatedBudget("hr", None, Decimal(3), "CNY", unpriced=(Decimal("0.5"), Decimal(4))),
    ]
