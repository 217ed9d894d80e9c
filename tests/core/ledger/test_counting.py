"""Calls and entries that are counted together are counted as each by itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.ledger.attempts import Bound, Ended, Started
from batchrun.core.ledger.course import Course
from batchrun.core.ledger.entry import Entry
from batchrun.core.ledger.fold import Fold
from batchrun.core.ledger.watched import Watched
from batchrun.core.model import Usage

NIGHT = 1_795_600_000.0
JOB = {
    "accounts": {"main": {"quotas": {"qwen-plus": {"rpm": 600, "tpm": 100_000}}}},
    "workspaces": {"legal": {"account": "main", "rpm": 60}, "sales": {"account": "main"}},
}
LANES = [("legal", "qwen-plus"), ("legal", "qwen-max"), ("sales", "qwen-plus")]
MOMENTS = [NIGHT, NIGHT + 0.5, NIGHT + 70, NIGHT + 4000, 0.0, 1e12]
VERDICTS = ["answered", "again", "throttled", "parked", "rejected"]

tokens = st.none() | st.builds(Usage, st.integers(0, 9), st.integers(0, 9))
calls = st.lists(st.tuples(st.sampled_from(LANES), st.sampled_from(MOMENTS), st.none() | st.sampled_from(VERDICTS), tokens), max_size=30)
outcomes = st.sampled_from(["answered", "answered", "rejected", "exhausted"])
reasons = st.sampled_from(["stop", "length"])
rows = st.lists(st.tuples(st.sampled_from(LANES), st.sampled_from([*MOMENTS, None]), outcomes, tokens, reasons), max_size=30)


def lines_of(calls):
    for number, ((workspace, model), at, verdict, usage) in enumerate(calls, 1):
        yield Started(f"1-{number}", workspace, model, f"r-{number % 7}", Bound(100, 100), at)
        if verdict is not None:
            yield Ended(f"1-{number}", verdict, False, None if verdict == "answered" else usage, at=at + 1)


def entries_of(rows):
    for number, ((workspace, model), at, outcome, usage, reason) in enumerate(rows, 1):
        told = {"started_at": at, "latency_ms": 1000.0 * number, "finish_reason": reason, "metadata": {"project": str(number % 2)}}
        yield Entry(f"r-{number % 7}", workspace, model, outcome, "0" * 16, None, usage, **told)


def told(watched):
    course = watched.course
    statement = watched.fold.close({})
    series = [
        [line.moments(), {key: line.counts(key) for key in sorted(line.keys(), key=str)}] for line in (course.timeline, course.minutes)
    ]
    lasted = [{lane: durations.buckets() for lane, durations in each.items()} for each in (course.latency(), course.first_token())]
    by_group = {key: totals.as_json() for key, totals in statement.attribution.groups.items()}
    return (
        statement.as_json(), by_group, series, lasted,
        course.untimed, course.began, course.ended, course.reasons(), course.standstills, course.trouble,
    )  # fmt: skip


@given(calls, rows, st.sampled_from([(), ("day",), ("hour", "metadata.project")]))
def test_whoever_counts_many_at_a_time_comes_to_what_one_by_one_comes_to(calls, rows, by):
    together, alone = (Watched(Fold("run", "night", by=by), Course()) for _ in range(2))
    for watched in (together, alone):
        watched.course.begin(JOB)
    together.attempts([*lines_of(calls)])
    together.entries([*entries_of(rows)])
    for line in lines_of(calls):
        alone.attempts([line])
    for entry in entries_of(rows):
        alone.entries([entry])
    alone.calls.reads_again([*lines_of(calls)])
    assert told(together) == told(alone)
