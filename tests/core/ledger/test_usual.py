"""Usual answers that are taken in as one thing each, many together, come to what their lines come to that are read one by one."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchrun.core.ledger.attempts import Bound, Ended, Line, Opened, Promise, Promised, ReadIn, Started
from batchrun.core.ledger.course import Course
from batchrun.core.ledger.entry import Entry
from batchrun.core.ledger.entry_writing import write_entry
from batchrun.core.ledger.fold import Fold
from batchrun.core.ledger.untold import UnderWay, Untold
from batchrun.core.ledger.usual import UsualAnswer, parted, spelt_out, together
from batchrun.core.ledger.watched import Watched
from batchrun.core.model import Answered, Call, Charges, Money, Reply, Row, Usage
from batchrun.core.rows.index import Index
from batchrun.core.scheduling.past import Past
from tests.core.ledger.folded import known_of
from tests.core.ledger.test_counting import JOB, LANES, MOMENTS, NIGHT, told
from tests.running.test_checkpoints import told_of_plan
from tests.steps import lines_run

ROWS = 12
METERS = (("input_token", 7, Decimal("0.8")), ("output_token", 3, Decimal(2)))
COSTS = st.sampled_from([None, Money("CNY", Decimal("0.0000116"), Charges(METERS)), Money("USD", Decimal("0.01"))])
USAGES = st.builds(Usage, st.integers(0, 9), st.integers(0, 9), st.integers(0, 3), image_tokens=st.integers(0, 1))
REPLIES = st.builds(Reply, st.just("a"), st.sampled_from(["stop", "length"]), USAGES, first_token_ms=st.none() | st.integers(0, 900))
ENDS = st.sampled_from([NIGHT + 0.7, NIGHT + 900.0004, NIGHT + 86_400, 3.0])
STARTS = st.sampled_from([*MOMENTS, NIGHT + 0.25, NIGHT + 0.75, NIGHT + 799.9999997, NIGHT + 799.9994, NIGHT + 799.25])
"""Some of them in one second; some at the end of an hour, as an entry tells it or does not."""
ANSWERS = st.lists(st.tuples(st.integers(0, ROWS - 1), REPLIES, COSTS, STARTS, ENDS), max_size=ROWS, unique_by=lambda each: each[0])
EARLIER = st.lists(st.tuples(st.integers(0, ROWS - 1), st.sampled_from(["rejected", "exhausted", "killed"])), max_size=6)


def row(ordinal: int) -> Row:
    return Row(
        f"r-{ordinal}", *LANES[ordinal % 3], {}, f"{ordinal if ordinal % 4 else 99:016x}", {"project": str(ordinal % 2)}, ordinal=ordinal
    )


def answers_of(drawn) -> list[UsualAnswer]:
    made = []
    for number, (ordinal, reply, cost, at, ended_at) in enumerate(drawn, 1):
        outcome = Answered(row(ordinal), reply, Call(f"2-{number}", 1, at, 7 * number))
        made.append(UsualAnswer(f"2-{number}", at, Bound(100, 50 + number), ended_at, outcome, ordinal, reply.usage, cost))
    return made


def readers(earlier, by) -> tuple[Past, Watched]:
    """A past, and a statement with its course, that have read what an earlier opening left, and know the same calls."""
    index = Index()
    for ordinal in range(ROWS):
        each = row(ordinal)
        index.add((each.workspace, each.model), each.id, ordinal, ordinal)
    past, watched = Past(index), Watched(Fold("run", "night", by=by), Course())
    watched.course.begin(JOB)
    calls = [(f"1-{number}", row(ordinal), what) for number, (ordinal, what) in enumerate(earlier, 1)]
    log: list[Line] = [Opened(1)]
    log += [Started(name, each.workspace, each.model, each.id, Bound(9, 9), NIGHT) for name, each, _ in calls]
    log += [Ended(name, what, False, None, at=NIGHT) for name, _, what in calls if what != "killed"]
    log += [Opened(2, "boot"), Promised((Promise(*LANES[0], 50, 5000, 5000),), NIGHT)]
    entries = [Entry(each.id, each.workspace, each.model, what, "0" * 16, None, None) for _, each, what in calls if what != "killed"]
    past.attempts(log)
    watched.attempts(log)
    watched.share(past.calls)
    for entry in entries:
        past.told(entry)
    watched.entries(entries)
    return past, watched


def all_told(past: Past, watched: Watched) -> object:
    past.attempts([ReadIn("another boot")])
    return told_of_plan(past), known_of(past.calls), told(watched)


@given(ANSWERS, EARLIER, st.sampled_from([(), ("hour",), ("hour", "metadata.project")]))
@example([(each, Reply("a", "stop", Usage(1, 2), first_token_ms=each), None, NIGHT, NIGHT + 9 + each) for each in (0, 3, 6)], [], ())
def test_usual_answers_taken_in_together_come_to_what_each_of_their_lines_comes_to(drawn, earlier, by):
    answers = answers_of(drawn)
    (past, watched), (read, reading) = readers(earlier, by), readers(earlier, by)
    assert past.calls.are_new(answers)
    for part in (watched.fold, watched.course):
        part.answered(together(answers))
    assert past.answered(together(answers))
    lines, entries, ordinals = spelt_out(answers)
    reading.attempts(lines)
    for entry, ordinal in zip(entries, ordinals, strict=True):
        assert read.taken(entry, ordinal) is None
    for part in (reading.fold, reading.course):
        part.told(entries)
    assert all_told(past, watched) == all_told(read, reading)


def test_answers_of_one_second_are_counted_together_whether_they_began_at_one_moment_or_one_by_one():
    def lines(starts: list[float]) -> int:
        answers = answers_of([(number % ROWS, Reply("a", "stop", Usage(1, 2)), None, at, NIGHT + 9) for number, at in enumerate(starts)])
        _, watched = readers([], ())

        def count() -> None:
            for part in (watched.fold, watched.course):
                part.answered(together(answers))

        return lines_run(count)

    at_one_moment, one_by_one = (lines([NIGHT + number * apart for number in range(64)]) for apart in (0.0, 0.01))
    assert one_by_one <= 1.1 * at_one_moment, (one_by_one, at_one_moment)


def test_an_answer_of_a_row_that_is_answered_already_contradicts_what_is_known():
    [answer] = answers_of([(3, Reply("a", "stop", Usage(1, 2)), None, NIGHT, NIGHT)])
    past, _ = readers([], ())
    assert past.answered(together([answer]))
    assert not past.answered(together([answer._replace(name="2-7")]))


@pytest.mark.parametrize("name", ["2-1", "2-2"])
def test_an_answer_is_not_new_whose_call_was_told_to_begin(name):
    [answer] = answers_of([(3, Reply("a", "stop", Usage(1, 2)), None, NIGHT, NIGHT)])
    past, _ = readers([], ())
    past.attempts([Started(name, *LANES[0], "r-3", Bound(9, 9), NIGHT)])
    assert past.calls.are_new([answer]) == (name != "2-1")


def test_lines_and_answers_are_told_apart_in_their_order():
    first, second = answers_of([(number, Reply("a", "stop", Usage(1, 2)), None, NIGHT, NIGHT) for number in (3, 5)])
    line = Ended("2-9", "throttled", False, None)
    assert parted([first, line, second, None]) == ([line, None], [first, second])


@pytest.mark.parametrize("form", ["batchrun", "openai-batch"])
@pytest.mark.parametrize("choices", [None, [{"index": 1}, {"index": 0}]])
def test_an_answer_is_told_as_one_thing_where_it_is_read_the_same_in_either_form(form, choices):
    told: list[object] = []
    under_way: dict[str, UnderWay] = {}
    untold = Untold(lambda lines, entries, _ordinals: told.extend([*lines, *entries]), form, under_way)
    under_way["1-1"] = began = row(0), NIGHT, Bound(100, 50)
    body = b'{"choices":[{"finish_reason":"stop"}]}'
    outcome = Answered(row(0), Reply("a", "stop", Usage(1, 2), choices=choices, body=body), Call("1-1", 1, NIGHT, 7))
    untold.entry(outcome, None, write_entry(outcome, form, raw=False))
    del under_way["1-1"]
    untold.end("1-1", began, NIGHT + 1, "answered", outcome.reply, b"")
    untold.tell()
    as_one = form == "batchrun" or choices is None
    assert [type(each) for each in told] == ([UsualAnswer] if as_one else [Started, Ended, Entry])
