"""A bill made from the ledger closes whichever day its calls are counted to; what it has too much or too little is found and named."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.ledger.attempts import Bound, Ended, Started
from batchrun.core.ledger.entry import Entry
from batchrun.core.model import Money, Usage
from batchrun.core.money.bill import KINDS, Bill, BillLine, Instance, OtherLine, UnreadableLine, kind_of, read_instance
from batchrun.core.money.daybook import Daybook, tokens_by_kind
from batchrun.core.money.reconcile import reconcile, workspace_of
from batchrun.core.money.reconciliation import NUMBERS
from batchrun.report.reconcile import reconciliation_table

CHINA = ZoneInfo("Asia/Shanghai")
FIRST = datetime(2026, 11, 24, 0, 0, tzinfo=CHINA).timestamp()
DAY = date(2026, 11, 24)
NOON, HOUR = FIRST + 12 * 3600, 3600


def entry(usage, at=NOON, latency_ms=1000, *, workspace="legal", model="qwen-plus", attempt=None, cost=None):
    return Entry("r", workspace, model, "answered", "d", attempt, usage, cost=cost, started_at=at, latency_ms=latency_ms)


def book_of(*entries, attempts=()):
    book = Daybook(CHINA)
    book.attempts(attempts)
    book.entries(entries)
    book.end_run()
    return book


def line(tokens, kind="input_token", day=DAY, *, workspace_id="llm-legal", model="qwen-plus", at=1, key=None, **fields):
    unit, instance = "ktoken" if fields.get("step") is not None else "token", Instance(workspace_id, model, kind, key)
    return BillLine("bill.csv", at, day, instance, tokens, unit, **{"said": repr((day, instance, tokens)).encode()} | fields)


def bill_of(*lines, kinds=None):
    bill = Bill(kinds or {})
    for each in lines:
        bill.add(each)
    return bill


def compared(book, bill, *, ids=None, workspaces=("legal",), **options):
    return reconcile(book, bill, ids or {}, workspaces, timezone="Asia/Shanghai", **options)


def found(book, *lines, **options):
    return compared(book, bill_of(*lines), **options)


ONE = book_of(entry(Usage(100, 20)))
EXACT = (line(100), line(20, "output_token"))


def the(result, kind="input_token", day=DAY):
    return next(each for each in result.lines if (each.kind, each.day) == (kind, day))


def test_a_bill_that_is_the_ledger_closes_to_the_token():
    result = found(ONE, *EXACT)
    assert result.closes
    assert all(each.equal for each in result.lines)


@pytest.mark.parametrize(
    ("lines", "unexplained"),
    [
        ((line(101), line(20, "output_token")), [1]),
        ((line(99), line(20, "output_token")), [-1]),
        ((line(100), line(21, "output_token")), [1]),
        ((line(101), line(19, "output_token")), [1, -1]),
        ((line(100),), [-20]),
        ((), [-100, -20]),
        ((line(90), line(10, "cached_token"), line(20, "output_token")), [-10, 10]),
        ((*EXACT, line(5, "mystery_token")), [5]),
    ],
)
def test_a_difference_that_nothing_explains_is_listed_and_keeps_it_open(lines, unexplained):
    result = found(ONE, *lines)
    assert not result.closes
    assert [each.unexplained for each in result.lines if each.unexplained] == unexplained


def test_a_line_that_differs_is_named_by_its_place_in_the_bill_or_by_the_first_three():
    assert the(found(ONE, line(101, at=7), line(20, "output_token"))).places == ("bill.csv, line 7",)
    of_many = the(found(ONE, *(line(20, at=number) for number in range(1, 9))))
    assert (of_many.places, of_many.bill_lines) == (("bill.csv, line 1", "bill.csv, line 2", "bill.csv, line 3"), 8)


def test_calls_of_others_are_too_much_of_input_and_of_output_and_keep_it_open_unless_they_are_allowed():
    lines = line(140), line(29, "output_token")
    result = found(ONE, *lines)
    assert [(each.others, each.unexplained) for each in result.lines] == [(40, 0), (9, 0)]
    assert not result.closes
    assert found(ONE, *lines, others_allowed=True).closes


def test_calls_of_others_beside_a_kind_that_is_exact_are_theirs_all_the_same():
    lines = line(140), line(5, "cached_token"), line(29, "output_token")
    result = found(book_of(entry(Usage(105, 20, 5))), *lines)
    assert [(each.kind, each.others, each.unexplained) for each in result.lines] == [
        ("input_token", 40, 0), ("cached_token", 0, 0), ("output_token", 9, 0),
    ]  # fmt: skip


def test_a_day_on_which_a_kind_is_missing_is_no_other_callers_however_much_there_is_of_the_others():
    book = book_of(entry(Usage(100, 20, 30)))
    result = found(book, line(140), line(10, "cached_token"), line(29, "output_token"), others_allowed=True)
    assert [(each.kind, each.others, each.unexplained) for each in result.lines] == [
        ("input_token", 0, 70),
        ("cached_token", 0, -20),
        ("output_token", 0, 9),
    ]
    assert not result.closes


def test_a_model_that_no_run_called_is_others():
    result = found(ONE, *EXACT, line(7, model="qwen-max"), line(3, "output_token", model="qwen-max"))
    assert result.total().others == 10
    assert result.total().unexplained == 0


def test_of_two_workspaces_whose_names_an_id_may_be_it_is_the_one_that_is_called_so():
    """Which of them it was, the order of a set decided, and each process has another one."""
    book = book_of(entry(Usage(100, 20)), entry(Usage(70, 10), workspace="llm-legal"))
    lines = line(100, workspace_id="legal"), line(20, "output_token", workspace_id="legal"), line(70), line(10, "output_token")
    assert compared(book, bill_of(*lines), workspaces=("legal", "llm-legal")).closes
    assert workspace_of("llm-legal", {}, ["legal", "llm-legal"]) == workspace_of("llm-legal", {}, ["llm-legal", "legal"]) == "llm-legal"


STARTED = Started("1-9", "legal", "qwen-plus", "r-9", Bound(50, 30), at=NOON)


@pytest.mark.parametrize("attempts", [[STARTED], [STARTED, Ended("1-9", "again", in_doubt=True, usage=None, at=NOON + 5)]])
@pytest.mark.parametrize(("extra_input", "extra_output", "closes"), [(0, 0, True), (50, 30, True), (1, 0, True), (51, 30, False)])
def test_doubt_explains_as_much_as_its_bound_and_no_more(attempts, extra_input, extra_output, closes):
    book = book_of(entry(Usage(100, 20)), attempts=attempts)
    result = found(book, line(100 + extra_input), line(20 + extra_output, "output_token"))
    assert result.closes is closes
    assert the(result).in_doubt == min(extra_input, 50)
    assert result.total().doubtful_calls == 1


@pytest.mark.parametrize(
    ("at", "ended_after", "next_day_is_explained"),
    [(22.6, None, True), (22.6, 3000, True), (22.6, 60, False), (21.9, None, False), (21.9, 3000, False)],
)
def test_a_call_in_doubt_may_stand_on_the_day_on_which_it_was_waited_for_in_vain(at, ended_after, next_day_is_explained):
    """A call of a batch is held for up to an hour, and is billed when it was answered: whom its client waits for no more, too."""
    began = STARTED._replace(at=FIRST + at * HOUR)
    ended = [Ended("1-9", "again", in_doubt=True, usage=None, at=began.at + ended_after)] if ended_after else []
    book = book_of(entry(Usage(100, 20)), attempts=[began, *ended])
    tomorrow = DAY + timedelta(days=1)
    result = found(book, *EXACT, line(40, day=tomorrow), line(9, "output_token", day=tomorrow))
    assert (result.total().in_doubt, result.other_days_tokens) == ((49, 0) if next_day_is_explained else (0, 49))


def test_a_call_in_doubt_that_may_have_ended_after_midnight_may_stand_on_the_day_it_was_made_on():
    book = book_of(entry(Usage(100, 20)), attempts=[STARTED._replace(at=FIRST + 23.5 * HOUR)])
    result = found(book, line(150), line(50, "output_token"))
    assert (result.total().in_doubt, result.closes) == (80, True)


def test_what_one_kind_has_taken_of_the_doubt_near_midnight_explains_no_other_kind_on_the_day_after():
    late = STARTED._replace(name="1-8", bound=Bound(30, 0), at=FIRST + 23.5 * HOUR)
    book = book_of(entry(Usage(100, 20)), entry(Usage(1, 1), NOON + 24 * HOUR), attempts=[STARTED, late])
    tomorrow = DAY + timedelta(days=1)
    lines = [line(120), line(20, "output_token"), line(1, day=tomorrow), line(1, "output_token", tomorrow)]
    assert found(book, *lines, line(30, "cached_token", tomorrow)).closes
    assert not found(book, *lines, line(31, "cached_token", tomorrow)).closes


def test_doubt_is_shared_by_the_kinds_of_its_side():
    book = book_of(entry(Usage(100, 20)), attempts=[STARTED])
    assert found(book, line(120), line(30, "cached_token"), line(20, "output_token")).closes
    assert not found(book, line(121), line(30, "cached_token"), line(20, "output_token")).closes


def test_an_attempt_whose_usage_stands_in_its_entry_is_in_no_doubt():
    book = book_of(
        Entry("r-9", "legal", "qwen-plus", "answered", "d", "1-9", Usage(40, 2), started_at=NOON, latency_ms=1.0), attempts=[STARTED]
    )
    assert book.doubts == {}


def test_a_reask_is_counted_with_the_usage_of_its_attempt():
    book = book_of(attempts=[STARTED, Ended("1-9", "reasked", in_doubt=False, usage=Usage(40, 5), at=NOON + 2)])
    result = found(book, line(40), line(5, "output_token"))
    assert ([each.counted for each in result.lines], result.closes) == ([40, 5], True)


@pytest.mark.parametrize(("at", "latency"), [(23.99, 60), (23.99, 0), (23.5, 1), (22.5, 3000)])
def test_a_call_near_midnight_may_stand_on_the_next_day(at, latency):
    book = book_of(entry(Usage(100, 20)), entry(Usage(10, 2), FIRST + at * HOUR, latency * 1000), entry(Usage(1, 1), NOON + 24 * HOUR))
    after = DAY + timedelta(days=1)
    result = found(book, line(100), line(20, "output_token"), line(11, day=after), line(3, "output_token", after))
    assert result.closes
    assert [each.midnight for each in result.lines] == [-10, -2, 10, 2]


def test_a_call_at_noon_stands_on_no_other_day():
    book = book_of(entry(Usage(100, 20)), entry(Usage(1, 1), NOON + 24 * HOUR))
    after = DAY + timedelta(days=1)
    assert not found(book, line(90), line(20, "output_token"), line(11, day=after), line(1, "output_token", after)).closes


def test_a_call_of_the_next_noon_stands_on_no_day_before_and_one_of_its_first_seconds_may():
    after = DAY + timedelta(days=1)
    lines = line(110), line(22, "output_token"), line(1, day=after), line(1, "output_token", after)
    for at, closes in ((NOON + 24 * HOUR, False), (FIRST + 24 * HOUR + 5, True)):
        book = book_of(entry(Usage(100, 20)), entry(Usage(10, 2), at), entry(Usage(1, 1), NOON + 24 * HOUR))
        assert found(book, *lines).closes is closes


def test_the_last_days_calls_may_stand_on_a_day_after_it_that_is_not_compared():
    book = book_of(entry(Usage(100, 20), FIRST + 23.99 * HOUR))
    after = DAY + timedelta(days=1)
    assert found(book, line(400, day=after), line(80, "output_token", after)).closes
    assert not found(book, line(99, day=after), line(80, "output_token", after)).closes


def test_that_another_kind_is_billed_to_the_token_keeps_no_late_call_from_the_day_after():
    book = book_of(entry(Usage(50, 9, reasoning_tokens=9)), entry(Usage(100, 20), FIRST + 23.99 * HOUR))
    after = DAY + timedelta(days=1)
    lines = line(50), line(9, "thinking_output_token"), line(100, day=after), line(20, "output_token", after)
    result = found(book, *lines)
    assert (len(result.lines), result.other_days_tokens, result.closes) == (5, 0, True)


@pytest.mark.parametrize(("near_midnight", "beside"), [(FIRST + 23.99 * HOUR, 1), (FIRST + 30, -1)])
def test_however_much_others_have_on_a_day_beside_no_more_is_gone_there_than_was_called_near_that_midnight(near_midnight, beside):
    book, there = book_of(entry(Usage(100, 20)), entry(Usage(5, 2), near_midnight)), DAY + timedelta(days=beside)
    others = line(400, day=there), line(80, "output_token", there)
    assert found(book, line(100), EXACT[1], *others).closes
    assert not found(book, line(95), EXACT[1], *others).closes


@pytest.mark.parametrize(("called", "beside"), [(FIRST + 23.9 * HOUR, 1), (FIRST + 30, -1)])
def test_what_others_called_on_a_day_beside_is_not_compared_however_little_it_is_where_nothing_is_missing(called, beside):
    """A small call would have kept the bill of a night open, on a day on which no run made any, and a large one not."""
    book, there = book_of(entry(Usage(100, 20), called)), DAY + timedelta(days=beside)
    for asked, answered in ((30, 4), (3000, 400)):
        result = found(book, *EXACT, line(asked, day=there), line(answered, "output_token", there))
        assert result.closes
        assert (len(result.lines), result.other_days_tokens) == (2, asked + answered)


def test_a_chain_of_midnights_is_followed():
    nights = [entry(Usage(10, 1), FIRST + number * 24 * HOUR + 23.9 * HOUR) for number in range(4)]
    days = [DAY + timedelta(days=number) for number in range(5)]
    lines = [each for day in days[1:] for each in (line(10, day=day), line(1, "output_token", day))]
    assert found(book_of(*nights), *lines).closes
    assert not found(book_of(*nights), *lines, line(1, day=days[2])).closes


def test_one_wrong_day_leaves_the_others_explained():
    after = DAY + timedelta(days=1)
    late = [entry(Usage(10, 1), FIRST + 23.9 * HOUR), entry(Usage(7, 1), NOON + 24 * HOUR), entry(Usage(5, 1), NOON + 72 * HOUR)]
    last = DAY + timedelta(days=3)
    result = found(book_of(*late), *(line(tokens, day=day) for tokens, day in ((17, after), (6, last))))
    assert [each.unexplained for each in result.lines if each.kind == "input_token"] == [0, 0, 1]


def test_other_days_and_other_workspaces_are_not_compared_and_are_told():
    result = found(ONE, *EXACT, line(9, day=DAY + timedelta(days=3)), line(5, workspace_id="llm-x7"))
    assert result.closes
    assert (result.other_days_tokens, result.strangers) == (9, {"llm-x7": 5})
    of_none = found(book_of(), *EXACT)
    assert (of_none.other_days_tokens, of_none.lines) == (120, [])


@pytest.mark.parametrize(
    ("days", "told"),
    [
        ((26, 27), "the bill begins on 2026-11-26, after the runs do: name the export of the days before it too (--bill again)"),
        ((24, 26), "the bill ends on 2026-11-26, before the runs do: it is complete a day or so later\n"),
        ((24, 31), ""),
    ],
)
def test_a_bill_that_begins_after_the_runs_or_ends_before_them_is_told_with_the_way_out(days, told):
    runs = book_of(*(entry(Usage(100, 20), NOON + number * 24 * HOUR) for number in range(4)))
    billed = [line(100, day=DAY + timedelta(days=each - 24)) for each in range(days[0], days[1] + 1)]
    table = reconciliation_table(found(runs, *billed))
    assert told in table
    assert bool(told) is ("the bill begins" in table or "the bill ends" in table)


def test_of_a_run_that_went_on_over_the_end_of_a_month_the_next_months_bill_is_asked_for():
    runs = book_of(*(entry(Usage(100, 20), NOON + number * 24 * HOUR) for number in (0, 7)))
    table = reconciliation_table(found(runs, *EXACT))
    assert "the bill ends on 2026-11-24, before the runs do: it is complete a day or so later; name the next month's too" in table


def test_a_workspace_id_is_named_by_the_mapping_before_its_own_name():
    assert found(ONE, line(60, workspace_id="llm-x7"), line(40), line(20, "output_token"), ids={"llm-x7": "legal"}).closes
    assert found(ONE, line(100, workspace_id="legal"), line(20, "output_token")).closes
    assert not found(ONE, line(100), line(20, "output_token"), ids={"llm-legal": "sales"}).closes


AMOUNTS = st.decimals(0, 9, places=2)
OF_TWO_IDS = st.lists(
    st.builds(
        line,
        st.integers(1, 150),
        st.sampled_from(["input_token", "output_token", "mystery_token"]),
        workspace_id=st.sampled_from(["llm-x7", "llm-y8"]),
        key=st.sampled_from([None, "", "12a"]),
        amount=st.none() | AMOUNTS,
        currency=st.sampled_from(["CNY", "USD"]),
        step=st.sampled_from([0, 10]),
        shortened=st.booleans(),
    ),
    max_size=12,
)


@given(OF_TWO_IDS)
def test_two_workspace_ids_of_one_workspace_come_to_what_one_id_would(lines):
    as_one = [replace(each, instance=each.instance._replace(workspace_id="llm-x7")) for each in lines]
    both, one = (found(ONE, *each, ids={"llm-x7": "legal", "llm-y8": "legal"}).as_json() for each in (lines, as_one))
    for each in (*both["lines"], *one["lines"]):
        del each["places"]
    assert both == one
    keys = [Counter({each.instance.key_id: each.tokens}) for each in lines if each.instance.key_id is not None]
    assert sum((Counter(each["keys"]) for each in both["lines"]), Counter()) == sum(keys, Counter())


def test_a_workspace_that_only_a_ledger_names_is_compared_as_the_runs_own():
    result = compared(ONE, bill_of(*EXACT), workspaces=())
    assert (result.strangers, [each.billed for each in result.lines], result.closes) == ({}, [100, 20], True)


def test_of_a_workspace_of_which_nothing_is_known_but_a_call_in_doubt_the_bill_is_explained_by_that():
    result = compared(book_of(attempts=[STARTED]), bill_of(line(50), line(30, "output_token")), workspaces=())
    assert (result.strangers, result.total().in_doubt, result.closes) == ({}, 80, True)


def test_a_kind_that_the_bill_does_not_tell_apart_is_compared_with_what_it_is_a_part_of():
    book = book_of(entry(Usage(100, 20, reasoning_tokens=15, image_tokens=30)))
    result = found(book, *EXACT)
    assert result.closes
    assert [(each.kind, each.under, each.tokens) for each in result.folded] == [
        ("image_input_token", "input_token", 30),
        ("thinking_output_token", "output_token", 20),
    ]
    assert found(book, line(70), line(30, "image_input_token"), line(20, "thinking_output_token")).closes


def test_cached_tokens_that_were_billed_as_plain_ones_keep_it_open():
    assert not found(book_of(entry(Usage(100, 20, cached_tokens=40))), *EXACT).closes


def test_an_unknown_amount_type_is_shown_as_it_stands_and_may_be_told_what_it_means():
    book = book_of(entry(Usage(100, 20, cached_tokens=40)))
    lines = line(60), line(40, "cx_read"), line(20, "output_token")
    result = found(book, *lines)
    assert (the(result, "cx_read").unexplained, the(result, "cx_read").known) == (40, False)
    assert compared(book, bill_of(*lines, kinds={"cx_read": "cached_token"})).closes


@pytest.mark.parametrize(("billed", "closes"), [(12_000, True), (13_000, False)])
def test_rounded_numbers_explain_half_of_their_last_digit(billed, closes):
    book = book_of(entry(Usage(12_400, 20)))
    lines = line(billed, step=1000), line(20, "output_token")
    assert found(book, *lines).closes is closes
    assert found(book, line(billed, step=1000, shortened=True), line(20, "output_token")).closes is closes


def test_a_file_that_tells_tokens_elsewhere_has_left_off_zeros_only():
    book = book_of(entry(Usage(12_400, 20)))
    of_thousands, of_tokens = line(12_000, step=1000), line(20, "output_token", step=0)
    assert not found(book, of_thousands, of_tokens).closes
    assert not found(book, of_tokens, of_thousands).closes


def test_what_doubt_explains_rounding_need_not():
    lines = line(12_000, step=1000), line(20, "output_token")
    explained = the(found(book_of(entry(Usage(11_970, 20)), attempts=[STARTED]), *lines))
    assert (explained.in_doubt, explained.rounded, explained.unexplained) == (30, 0, 0)


def test_an_unreadable_line_keeps_it_open_and_other_lines_do_not():
    beside = found(ONE, *EXACT, *[OtherLine("bill.csv", 9, "totals")] * 2)
    assert (beside.other_lines, beside.closes) == ({"totals": 2}, True)
    result = found(ONE, *EXACT, UnreadableLine("bill.csv", 9, "day '?'"))
    assert not result.closes
    assert result.unreadable == ["bill.csv, line 9: day '?'"]


@pytest.mark.parametrize(("is_still", "unlogged"), [(True, 1), (False, 0)])
def test_answers_of_which_a_log_does_not_tell_that_they_were_called_are_told_unless_they_may_have_come_since_it_was_read(
    is_still, unlogged
):
    book = Daybook(CHINA)
    book.entries([entry(Usage(100, 20), attempt="1-1")])
    book.end_run(is_still=is_still)
    result = found(book, *EXACT)
    assert (result.closes, result.as_json()["unlogged_answers"]) == (True, unlogged)
    told = "attempts.log does not tell of the calls of 1 answer: doubt may be higher"
    assert (told in reconciliation_table(result)) == bool(unlogged)


DAYS = [DAY + timedelta(days=number) for number in range(4)]
EXPORTED = st.lists(st.tuples(st.sampled_from(DAYS), st.integers(1, 3)), max_size=12)


@given(EXPORTED, EXPORTED, EXPORTED)
def test_lines_of_exports_that_overlap_count_once_and_the_same_twice_in_one_export_twice(first, both, last):
    """However many of them there are, a bill is what would stand in one export of all of its days."""
    shared = [line(tokens, day=DAYS[0] - timedelta(days=9), at=number, said=b"%d" % number) for number, (_, tokens) in enumerate(both)]
    early = [*(line(tokens, day=day - timedelta(days=50)) for day, tokens in first), *shared]
    late = [*shared, *(line(tokens, day=day) for day, tokens in last)]
    once = bill_of(*early, *late[len(shared) :])
    bill = bill_of(*early, *(replace(each, file="next.csv") for each in late), *(replace(each, file="copy.csv") for each in early))
    assert {key: (each.tokens, each.lines) for key, each in bill.cells.items()} == {
        key: (each.tokens, each.lines) for key, each in once.cells.items()
    }
    assert bill.again == {name: count for name, count in (("next.csv", len(shared)), ("copy.csv", len(early))) if count}
    assert compared(ONE, bill).lines_again == bill.again


def test_two_exports_that_tell_the_same_day_otherwise_are_both_counted_and_told():
    """The first was made before the day was over: others had seemed to have called."""
    early = line(60, said=b"60"), line(20, "output_token", said=b"20")
    late = [replace(each, file="next.csv") for each in (line(100, said=b"100"), early[1], line(7, day=DAYS[3], said=b"7"))]
    result = found(ONE, *early, *late)
    assert (the(result, "input_token").billed, result.lines_again, result.lines_otherwise) == (160, {"next.csv": 1}, {"next.csv": 1})
    told = "both counted: 1 line of next.csv, and what a file before it says otherwise of the same day and instance id; where that was "
    assert f"{told}exported before the day was over, name the later file alone" in reconciliation_table(result)
    assert found(ONE, *early, line(40, said=b"40")).lines_otherwise == {}


def test_money_is_added_up_beside_tokens_and_an_unknown_price_is_no_zero():
    priced = entry(Usage(100, 20), cost=Money("CNY", Decimal("0.3")))
    result = found(book_of(priced, entry(Usage(1, 1))), line(101, amount=Decimal("0.1"), currency="CNY"), line(21, "output_token"))
    total = result.total()
    assert (total.billed_money, total.counted_money, total.unpriced_tokens) == ({"CNY": Decimal("0.1")}, {"CNY": Decimal("0.3")}, 2)


def test_entries_without_a_time_keep_it_open():
    undated = Entry("r", "legal", "qwen-plus", "answered", "d", None, Usage(1, 1))
    assert not found(book_of(entry(Usage(100, 20)), undated), *EXACT).closes


@pytest.mark.parametrize(
    ("text", "instance"),
    [
        ("text_token;llm-x;qwen-max;output_token;app", Instance("llm-x", "qwen-max", "output_token", None)),
        ("12345;llm-x;qwen-max;output_token;app", Instance("llm-x", "qwen-max", "output_token", "12345")),
        (";llm-x;qwen-max;output_token;bmp", Instance("llm-x", "qwen-max", "output_token", "")),
        ("llm-x;qwen-max;output_token;bmp", Instance("llm-x", "qwen-max", "output_token", "")),
        ("i-bp1234", None),
        ("", None),
        ("1;;qwen-max;output_token;app", None),
        ("1;llm-x;qwen-max;output_token", None),
    ],
)
def test_both_forms_of_the_instance_id_are_read(text, instance):
    assert read_instance(text) == instance


@pytest.mark.parametrize(
    ("spelling", "kind"),
    [
        *((kind, kind) for kind in KINDS),
        ("Input_Tokens", "input_token"),
        ("input-token", "input_token"),
        ("batch_output_token", "output_token"),
        ("input_token_batch", "input_token"),
        ("cache_hit_token", "cached_token"),
        ("image_count", None),
    ],
)
def test_an_amount_type_is_known_by_its_spelling_or_not_at_all(spelling, kind):
    assert kind_of(spelling) == kind


TOKENS = st.integers(0, 500)


@given(st.builds(Usage, *[TOKENS] * 4, cache_creation_tokens=TOKENS, image_tokens=TOKENS, audio_tokens=TOKENS, output_audio_tokens=TOKENS))
def test_the_kinds_of_a_call_always_add_up_to_its_input_and_output(usage):
    kinds = list(tokens_by_kind(usage))
    assert all(tokens >= 0 for _, tokens in kinds)
    assert sum(tokens for kind, tokens in kinds if "output" in kind) == usage.output_tokens
    assert sum(tokens for kind, tokens in kinds if "output" not in kind) == usage.input_tokens


@dataclass(frozen=True)
class Made:
    """A call as it was made, and the day that the bill has it on."""

    at: float
    seconds: float
    usage: Usage
    on_its_end: bool
    lost: bool
    """It left no usage in the ledger: in doubt. The provider billed it all the same, or not."""
    billed: bool


def usages():
    return st.integers(1, 400).flatmap(
        lambda asked: st.builds(
            Usage,
            st.just(asked),
            st.integers(1, 200),
            st.integers(0, asked),
            st.sampled_from([0, 1]),
            uncounted_reasoning=st.booleans(),
        )
    )


# Within four days, often near a midnight.
TIMES = st.one_of(
    st.floats(0, 3 * 24 * HOUR - 1),
    st.tuples(st.integers(1, 3), st.floats(-1800, 60)).map(lambda place: place[0] * 24 * HOUR + place[1]),
)
CALLS = st.lists(
    st.builds(Made, TIMES, st.floats(0, 900), usages(), st.booleans(), st.integers(0, 5).map(lambda dice: dice == 0), st.booleans()),
    min_size=1,
    max_size=25,
)


def told(calls):
    """The ledger and the bill of *calls*, each counting for itself."""
    entries, attempts, lines = [], [], []
    for number, call in enumerate(calls):
        start = FIRST + call.at
        if call.lost:
            attempts.append(Started(f"1-{number}", "legal", "qwen-plus", "r", Bound(call.usage.input_tokens, 1000), at=start))
        else:
            entries.append(entry(call.usage, start, call.seconds * 1000))
        if call.billed or not call.lost:
            day = datetime.fromtimestamp(start + call.seconds * call.on_its_end, CHINA).date()
            kinds = {"input_token": call.usage.input_tokens - call.usage.cached_tokens, "cached_token": call.usage.cached_tokens}
            thought = call.usage.reasoning_tokens or call.usage.uncounted_reasoning
            kinds["thinking_output_token" if thought else "output_token"] = call.usage.output_tokens
            lines += [line(tokens, kind, day) for kind, tokens in kinds.items() if tokens]
    return book_of(*entries, attempts=attempts), lines


@given(CALLS)
def test_a_bill_made_from_the_ledger_always_closes(calls):
    book, lines = told([call for call in calls if not call.lost])
    result = found(book, *lines)
    assert result.closes, [each for each in result.lines if not each.equal]
    assert result.total().in_doubt == 0


@given(CALLS)
def test_a_bill_with_calls_in_doubt_always_closes_within_their_bound(calls):
    plain = [replace(call, usage=Usage(call.usage.input_tokens, call.usage.output_tokens)) for call in calls]
    book, lines = told(plain)
    result = found(book, *lines)
    assert result.closes
    assert result.total().in_doubt <= result.total().most_in_doubt


@given(CALLS, st.data())
def test_one_token_more_or_less_never_closes_unexplained(calls, data):
    book, lines = told([call for call in calls if not call.lost])
    if not lines:
        return
    place, step = data.draw(st.integers(0, len(lines) - 1)), data.draw(st.sampled_from([1, -1]))
    old = lines[place]
    lines[place] = line(old.tokens + step, old.instance.amount_type, old.day)
    result = found(book, *lines)
    # Only where the bill now has a token more on a day beyond the runs than all of their calls near that midnight, it is somebody else's.
    assert not result.closes or result.other_days_tokens
    assert result.total().others == 0


@given(CALLS, st.integers(-60, 60))
def test_every_token_of_a_difference_is_told_once(calls, step):
    book, lines = told(calls)
    if lines:
        lines[0] = line(max(0, lines[0].tokens + step), lines[0].instance.amount_type, lines[0].day)
    result = found(book, *lines).as_json()
    for each in result["lines"]:
        assert each["billed"] == sum(each[name] for name in NUMBERS if name != "billed"), each
    for name in NUMBERS:
        assert sum(each[name] for each in result["lines"]) == result["total"][name] == result["workspaces"]["legal"][name]
    billed, called = sorted(each.day for each in lines), sorted(datetime.fromtimestamp(FIRST + call.at, CHINA).date() for call in calls)
    assert result["bill_days"] == ([f"{billed[0]}", f"{billed[-1]}"] if billed else None)
    assert result["days"] == [f"{called[0]}", f"{called[-1]}"]
