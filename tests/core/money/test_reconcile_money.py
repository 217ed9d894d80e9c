"""Money on a bill against money in the ledgers: rounding is forgiven, another price is found, and doubt decides nothing."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.columns import width
from batchrun.core.ledger.attempts import Bound, Started
from batchrun.core.model import Money, Usage
from batchrun.report.reconcile import reconciliation_table
from tests.core.money.test_reconcile import bill_of, book_of, compared, entry, found, line

D = Decimal
EXACT = D("0.00012")


def calls(*amounts, currency="CNY"):
    return book_of(*(entry(Usage(100, 20), cost=None if amount is None else Money(currency, D(amount))) for amount in amounts))


def lines(input_amount, output_amount, currency="CNY", tokens=100):
    asked = line(tokens, amount=D(input_amount), currency=currency)
    return asked, line(20, "output_token", amount=D(output_amount), currency=currency)


@pytest.mark.parametrize(
    ("counted", "billed", "why", "unexplained"),
    [
        ("0.00012", ("0.00008", "0.00004"), "", False),
        ("0.00012", ("0.0001", "0.0000"), "the bill's amounts are rounded", False),
        ("0.00012", ("0.00", "0.00"), "the bill's amounts are rounded", False),
        ("0.02", ("0.01", "0.01"), "", False),
        ("0.03", ("0.01", "0.01"), "the bill's amounts are rounded", False),
        ("0.04", ("0.01", "0.01"), "0.5000 of what was counted for the same tokens: a discount that the job does not name", True),
        ("0.00012", ("0.00016", "0.00008"), "2.0000 of what was counted for the same tokens: another price", True),
        ("0.00012", ("0.00012", "0.00006"), "1.5000 of what was counted for the same tokens: another price, or a discount that has", True),
        ("0.7", ("0.00", "0"), "nothing is to be paid", True),
        ("0.7", ("1", "0"), "the bill's amounts are rounded", False),
        ("0.7", ("0", "0"), "nothing is to be paid: a free quota, a coupon or a plan", True),
        ("0.00012", ("0", "0.00"), "the bill's amounts are rounded", False),
        ("5", ("0", "0"), "nothing is to be paid: a free quota, a coupon or a plan", True),
        ("0.3", ("0.10000000000000001", "0.20000000000000001"), "the bill's amounts are rounded", False),
        ("0.3", ("0.1000000000009", "0.2"), "nearly the same for the same tokens", True),
        (None, ("0.00008", "0.00004"), "120 tokens have no price here", False),
    ],
)
def test_what_a_lanes_money_comes_to(counted, billed, why, unexplained):
    told = found(calls(counted), *lines(*billed))
    (only,) = told.money
    assert only.why.startswith(why)
    assert bool(only.why) == bool(why)
    assert only.unexplained == unexplained
    assert told.closes
    assert found(calls(counted), *lines(*billed), money_decides=True).closes != unexplained


def test_money_of_tokens_that_differ_is_not_judged():
    book = book_of(
        entry(Usage(100, 20), cost=Money("CNY", EXACT)), attempts=[Started("1-9", "legal", "qwen-plus", "x", Bound(500, 500), 0.0)]
    )
    told = found(book, *lines("0.00010", "0.00004", tokens=120), money_decides=True)
    assert [each.why for each in told.money] == ["its tokens differ too"]


def test_a_bill_without_amounts_has_no_money_to_compare():
    told = found(calls("0.00012"), line(100), line(20, "output_token"), money_decides=True)
    assert told.money == []
    assert told.closes


def test_a_bill_that_tells_no_currency_is_in_the_one_it_can_be():
    told = found(calls("0.00012", currency="USD"), *lines("0.00008", "0.00004", currency=""))
    assert [(each.currency, each.why) for each in told.money] == [("USD", "")]


def test_a_bill_that_tells_no_currency_is_in_none_where_it_may_be_in_two():
    book = book_of(*(entry(Usage(50, 10), cost=Money(currency, D("0.00006"))) for currency in ("CNY", "USD")))
    told = found(book, *lines("0.00008", "0.00004", currency=""))
    assert [(each.currency, each.billed, each.counted) for each in told.money] == [
        ("", EXACT, 0),
        ("CNY", 0, EXACT / 2),
        ("USD", 0, EXACT / 2),
    ]


def test_another_currency_is_another_line():
    told = found(calls("0.00012", currency="USD"), *lines("0.00058", "0.00029", currency="CNY"))
    assert [(each.currency, each.why) for each in told.money] == [
        ("CNY", "nothing was counted in this currency"),
        ("USD", "nothing is to be paid: a free quota, a coupon or a plan"),
    ]


def test_the_table_names_the_lane_and_what_may_be_the_reason():
    told = compared(calls("0.04"), bill_of(*lines("0.01", "0.01")), money_decides=True)
    table = reconciliation_table(told)
    assert "money: legal qwen-plus: 0.0200 CNY billed, 0.0400 counted: 0.5000 of what was counted" in table
    assert table.splitlines()[-1] == "it does not close: the money of 1 workspace and model differs for the same tokens"
    assert told.as_json()["money"][0]["unexplained"] is True


def test_money_that_is_off_by_next_to_nothing_shows_by_how_much_and_is_called_no_other_price():
    told = compared(calls("7.1234861"), bill_of(*lines("7.1234", "0.00006")), money_decides=True)
    assert not told.closes
    table = reconciliation_table(told)
    assert "money: legal qwen-plus: 7.12346 CNY billed, 7.1234861 counted: nearly the same for the same tokens: no other price" in table
    dearer = compared(calls("7.1234861"), bill_of(*lines("7.1242", "0.0000")), money_decides=True)
    assert "7.1242 CNY billed, 7.1235 counted: 1.0001 of what was counted" in reconciliation_table(dearer)


def test_money_that_is_equal_or_explained_is_not_told_among_what_differs():
    for counted, billed in (("0.02", ("0.01", "0.01")), ("0.03", ("0.01", "0.01")), (None, ("0.00008", "0.00004"))):
        told = compared(calls(counted), bill_of(*lines(*billed)), money_decides=True)
        assert told.money
        assert "money: " not in reconciliation_table(told)


def test_money_that_was_to_decide_and_could_not_be_compared_is_told():
    """Otherwise the bill would be said to close by an account that has looked at no amount."""
    unpriced = compared(calls(None), bill_of(*lines("0.00008", "0.00004")), money_decides=True)
    assert "120 tokens have no price here: their money was not compared" in reconciliation_table(unpriced)
    without = found(calls("0.00012"), line(100), line(20, "output_token"), money_decides=True)
    assert "the bill tells no amounts: no money was compared" in reconciliation_table(without)
    undecided = compared(calls(None), bill_of(*lines("0.00008", "0.00004")))
    priced = compared(calls("0.00012"), bill_of(*lines("0.00008", "0.00004")), money_decides=True)
    assert "not compared" not in reconciliation_table(undecided) + reconciliation_table(priced)


@pytest.mark.parametrize("room", [60, 50, 40])
def test_the_tables_fit_a_narrow_terminal_and_why_a_line_differs_stands_beneath_it(room):
    told = compared(calls("0.04"), bill_of(*lines("0.01", "0.01", tokens=90)))
    table = reconciliation_table(told, room).splitlines()
    ends = [place for place, each in enumerate(table) if not each]
    tables = [each for each in table[: ends[1]] if not each.startswith("    -10 unexplained") and "lines (day" not in each]
    assert max(map(width, tables)) <= room
    assert any(each.startswith("    -10 unexplained") for each in table)


@given(st.lists(st.decimals(0, 100, places=6), min_size=1, max_size=8), st.integers(2, 4))
def test_rounding_each_line_of_a_bill_is_always_forgiven(amounts, digits):
    book = book_of(*(entry(Usage(10, 0), cost=Money("CNY", amount)) for amount in amounts))
    shown = [line(10, at=number, amount=round(amount, digits), currency="CNY") for number, amount in enumerate(amounts, 1)]
    told = found(book, *shown, money_decides=True)
    assert told.closes
