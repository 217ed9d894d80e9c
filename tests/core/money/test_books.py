"""The books: what runs take of a cap is never more than the cap; what cannot be read is no books."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchrun.core.money.books import Books, Part, read_books

PAGE = "workspace legal | CNY | a day (Asia/Shanghai) | 2026-11-25"
AMOUNTS = st.decimals(0, 50, places=4)


def books(**parts):
    return Books(
        "first",
        {name: Part({PAGE: Decimal(taken)}, {PAGE: Decimal(spent)}, open=is_open) for name, (taken, spent, is_open) in parts.items()},
    )


@given(AMOUNTS, st.lists(st.tuples(st.sampled_from("abc"), AMOUNTS, AMOUNTS), max_size=40))
def test_runs_that_borrow_never_take_more_than_the_cap_together_and_get_what_they_need_while_it_is_there(cap, wishes):
    kept = Books("first", {name: Part(open=True) for name in "abc"})
    for run, need, more in wishes:
        before = sum(part.taken.get(PAGE, Decimal(0)) for part in kept.runs.values())
        lent = kept.lend(run, PAGE, cap, need, need + more)
        assert lent == 0 if need > cap - before else need <= lent <= need + more
        assert sum(part.taken[PAGE] for part in kept.runs.values() if PAGE in part.taken) == before + lent <= cap


def test_a_cap_that_was_lowered_below_what_is_taken_lends_nothing():
    kept = books(a=(15, 12, True), b=(10, 10, False))
    assert kept.lend("a", PAGE, Decimal(20), Decimal(1), Decimal(5)) == 0
    assert kept.lend("a", PAGE, Decimal(26), Decimal(1), Decimal(5)) == 1
    assert kept.runs["a"].taken[PAGE] == 16


def test_who_may_give_back_is_who_has_a_process_and_took_more_than_it_spent():
    kept = books(a=(15, "14.9999", True), b=(10, 9, False), c=(7, 7, True), d=(3, 1, True))
    assert kept.holders("d", PAGE) == ["a"]
    assert kept.holders("a", PAGE) == ["d"]
    assert kept.others("a", PAGE) == 20
    assert kept.others("a", "another page") == 0


@given(
    st.dictionaries(
        st.text(max_size=8),
        st.tuples(
            st.dictionaries(st.sampled_from([PAGE, "x"]), AMOUNTS),
            st.dictionaries(st.just(PAGE), AMOUNTS),
            st.booleans(),
            st.dictionaries(st.just(PAGE), st.integers(0, 2**60)),
        ),
        max_size=5,
    )
)
def test_what_is_written_is_read_back(parts):
    kept = Books("name", {name: Part(*each) for name, each in parts.items()})
    assert read_books(kept.as_bytes()) == kept


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b"7", b'{"format": 1}', b'{"format": 2, "name": "x", "runs": {}}', b'{"format": 1, "name": 3, "runs": {}}'),
        b'{"format": 1, "name": "x", "runs": {"a": {"open": 1, "sizes": {}, "taken": {}, "spent": {}}}}',
        b'{"format": 1, "name": "x", "runs": {"a": {"open": true, "sizes": {}, "taken": {"p": "-1"}, "spent": {}}}}',
        b'{"format": 1, "name": "x", "runs": {"a": {"open": true, "sizes": {}, "taken": {"p": "NaN"}, "spent": {}}}}',
        b'{"format": 1, "name": "x", "runs": {"a": {"open": true, "sizes": {}, "taken": {"p": "many"}, "spent": {}}}}',
        b'{"format": 1, "name": "x", "runs": {"a": {"open": true, "sizes": {"p": "7"}, "taken": {"p": "1"}, "spent": {}}}}',
    ],
)
def test_anything_else_is_no_books(content):
    assert read_books(content) is None


@given(st.integers(0, 400))
def test_books_cut_at_any_byte_are_no_books_or_the_whole(cut):
    whole = books(a=(15, 12, True)).as_bytes()
    found = read_books(whole[:cut])
    assert found is None or whole[:cut].strip() == whole.strip()


def test_a_run_that_is_settled_for_some_pages_keeps_the_others_to_be_read_again():
    part = Part(
        {PAGE: Decimal(9), "month": Decimal(9), "old": Decimal(3)},
        {PAGE: Decimal(4), "month": Decimal(8)},
        open=True,
        sizes={"old": 70, "older": 60},
    )
    part.settle({PAGE: Decimal(5)}, 70)
    assert not part.open
    assert part.taken == {PAGE: Decimal(5), "month": Decimal(9), "old": Decimal(3)}
    assert part.spent == {PAGE: Decimal(5), "month": Decimal(8)}
    assert part.sizes == {PAGE: 70, "old": 70}


def test_pages_of_months_long_gone_are_dropped():
    kept = Books(
        "x", {"a": Part({f"w | CNY | p | {page}": Decimal(1) for page in ("2026-07-31", "2026-08-01", "2026-07", "2026-11", "2026-11-25")})}
    )
    kept.forget_before("2026-11")
    assert [page.rpartition(" ")[2] for page in kept.runs["a"].taken] == ["2026-08-01", "2026-11", "2026-11-25"]
    kept.forget_before("2027-02")
    assert [page.rpartition(" ")[2] for page in kept.runs["a"].taken] == ["2026-11", "2026-11-25"]
    kept.runs["b"] = Part({f"w | CNY | p | 2027-02-{day:02}": Decimal(1) for day in (1, 2)})
    kept.forget_before("2027-05")
    assert kept.runs.keys() == {"b"}, "a run that has no page is none"


def taken(kept):
    return sum((part.taken.get(PAGE, Decimal(0)) for part in kept.runs.values()), Decimal(0))


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["one", "two"]), AMOUNTS), max_size=30))
@example([(name, run, Decimal(1)) for name, run in zip("abbaaa", ["one", "one", "two", "two", "one", "two"], strict=True)])
def test_what_runs_have_taken_stays_counted_whichever_of_them_stands_under_which_name(stood):
    kept = Books("first")
    for name, run, more in stood:
        before = taken(kept)
        kept.make_way(name, run)
        assert taken(kept) == before
        kept.move(name, run, {"a", "b"})
        assert taken(kept) == before
        part = kept.runs.setdefault(name, Part())
        part.run = run
        part.taken[PAGE] = part.taken.get(PAGE, Decimal(0)) + more


@pytest.mark.parametrize(("size", "counted"), [(50, 9), (100, 9), (150, 5)])
def test_of_a_run_that_was_killed_what_the_books_know_stays_counted_where_its_ledger_tells_less(size, counted):
    """All that it had taken, where the ledger is one of before it was opened; what it was known to have spent, where that has grown."""
    kept = Books("first", {"a": Part({PAGE: Decimal(9)}, {PAGE: Decimal(5)}, open=True, sizes={PAGE: 100})})
    kept.tell("a", {PAGE: Decimal(3)}, size)
    kept.runs["a"].settle({PAGE: Decimal(3)}, size)
    assert taken(kept) == counted


@pytest.mark.parametrize("run", ["one", ""])
def test_a_run_that_is_opened_again_stands_where_it_stood_and_is_no_other_to_itself(run):
    kept = Books("first", {"a": Part({PAGE: Decimal(5)}, {PAGE: Decimal(5)}, run="one")})
    kept.make_way("a", run)
    kept.move("a", run, {"a"})
    assert [*kept.runs] == ["a"]
    assert (taken(kept), kept.others("a", PAGE)) == (Decimal(5), Decimal(0))


@given(AMOUNTS, AMOUNTS)
@example(Decimal("0.0009"), Decimal("0.0008"))
def test_what_a_ledger_that_has_shrunk_tells_no_more_stays_counted_to_the_last_digit(spent, told):
    kept = Books("first", {"a": Part({PAGE: spent}, {PAGE: spent}, sizes={PAGE: 100})})
    kept.tell("a", {PAGE: told}, 50)
    kept.runs["a"].settle({PAGE: told}, 50)
    assert taken(kept) == max(spent, told)
