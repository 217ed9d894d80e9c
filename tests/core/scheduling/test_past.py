"""What earlier openings left to do, read from lines and entries."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.ledger.attempts import Bound, Ended, Opened, Started
from batchrun.core.ledger.entry import Entry
from batchrun.core.ledger.given import given_of_read
from batchrun.core.model import Usage
from batchrun.core.rows.index import Index
from batchrun.core.scheduling.past import Past
from tests.core.ledger.folded import known_of

LANE = ("legal", "plus")


def past():
    index = Index()
    for number, row in enumerate("abc"):
        index.add(LANE, row, number, number)
    return Past(index)


def entry(row_id, attempt="1-1", outcome="answered", unknown=()):
    return Entry(row_id, *LANE, outcome, "0" * 16, attempt, Usage(1, 1), unknown=unknown)


def call(name, row_id):
    return Started(name, *LANE, row_id, Bound(10, 10))


def test_nothing_was_done_where_nothing_was_told():
    empty = past()
    assert (empty.latest, empty.lost, empty.untold, empty.unknown) == (0, 0, 0, 0)
    assert empty.plan.lanes() == {LANE: 3}
    assert list(empty.calls.in_doubt()) == []


def test_attempts_tell_the_latest_opening_and_what_is_in_doubt():
    found = past()
    found.attempts([Opened(1), call("1-1", "a"), Opened(3), call("3-1", "b"), Ended("3-1", "again", in_doubt=False, usage=None)])
    assert found.latest == 3
    assert [each.started.row_id for each in found.calls.in_doubt()] == ["a"]
    found.attempts([Opened(2)])
    assert found.latest == 3, "a lower number takes nothing back"


def test_entries_tell_the_plan_and_the_calls_alike():
    found = past()
    found.attempts([Opened(1), call("1-1", "a"), call("1-2", "b")])
    found.entries([entry("a"), entry("c", "1-9", "rejected")])
    assert list(found.plan.rows(LANE)) == [1]
    assert [each.started.row_id for each in found.calls.in_doubt()] == ["b"], "of a's call the entry tells what it cost"


def test_an_entry_tells_of_an_opening_whose_line_was_lost():
    found = past()
    found.attempts([Opened(2)])
    found.entries([entry("a", "7-1"), entry("b", "5-1")])
    assert found.latest == 7


def test_entries_with_fields_of_a_newer_version_are_counted_one_by_one():
    found = past()
    found.entries([entry("a"), entry("b", unknown=("mood", "weather")), entry("c", unknown=("mood",))])
    assert found.unknown == 2


def test_usual_answers_are_found_at_a_glance_and_whatever_else_there_is_is_left_to_a_closer_look():
    found = past()
    for number, row_id in enumerate("abc", 1):
        found.attempts([call(f"2-{number}", row_id), Ended(f"2-{number}", "answered", in_doubt=False, usage=Usage(1, 1))])
    usual = [entry("a", "2-1"), entry("c", "2-3")._replace(digest=f"{2:016x}")]
    others = [entry("a", "2-1"), entry("z", "2-2"), entry("b", "2-1"), entry("b", "9-1")]
    assert list(found.glanced("legal", given_of_read("legal", [*usual, *others]))) == [2, 3, 4, 5]
    assert (list(found.plan.rows(LANE)), found.plan.changed, found.latest) == ([1], 0, 2)
    assert found.plan.rows_of_the_run() == {LANE: 3}
    assert list(found.glanced("legal", given_of_read("legal", [entry("b", "2-2")]))) == []
    assert (found.plan.lanes(), found.plan.changed) == ({}, 1)


def test_an_entry_that_is_told_alone_leaves_the_calls_as_they_were():
    found = past()
    found.attempts([call("1-1", "a")])
    found.told(entry("a", "4-1"))
    assert (found.latest, found.plan.is_answered("legal", "a")) == (4, True)
    assert [each.started.name for each in found.calls.in_doubt()] == ["1-1"]


def test_a_row_is_answered_once_and_no_attempt_has_two_entries_or_another_rows():
    found = past()
    found.attempts([call("1-1", "a"), call("1-2", "b")])
    assert found.wrong(entry("a")) is None
    found.entries([entry("a")])
    assert found.wrong(entry("a", "1-7")) == "answers a row that is answered already"
    assert found.wrong(entry("a", "1-7", "exhausted")) is None
    assert "another entry names already" in str(found.wrong(entry("b", "1-1")))
    assert "made for another row" in str(found.wrong(entry("c", "1-2")))
    assert found.wrong(entry("b", "1-2")) is None


entries = st.builds(
    entry,
    st.sampled_from("abcd"),
    st.sampled_from(["1-1", "1-2", "1-3", "4-1", "x"]),
    st.sampled_from(["answered", "rejected", "exhausted"]),
    st.sampled_from([(), ("mood",)]),
)


@given(st.lists(entries, max_size=12))
def test_an_entry_that_is_taken_is_one_that_nothing_contradicts_told_to_plan_and_calls(read):
    taking, telling = past(), past()
    for each in (taking, telling):
        each.attempts([Opened(1), call("1-1", "a"), call("1-2", "b"), Ended("1-2", "answered", in_doubt=False, usage=None)])
    for each in read:
        if (wrong := telling.wrong(each)) is None:
            telling.entries([each])
        assert taking.taken(each) == wrong
    assert (taking.latest, taking.unknown, vars(taking.plan)) == (
        telling.latest,
        telling.unknown,
        {**vars(telling.plan), "_index": taking.plan._index},
    )
    assert [*taking.calls.in_doubt()] == [*telling.calls.in_doubt()]
    assert known_of(taking.calls) == known_of(telling.calls)
