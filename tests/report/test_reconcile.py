"""What came of holding a bill against ledgers, as a table for a terminal: all that keeps it open, or may mislead, is said in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from batchrun.core.money.reconciliation import Sum
from batchrun.report.reconcile import reconciliation_table
from tests.core.money.test_reconcile import EXACT, ONE, found, line

CLOSED = found(ONE, *EXACT)
UNREADABLE = [f"bill.csv, line {number}: no usage" for number in range(1, 26)]
TOLD = [
    ({}, ["it closes: equal to the token", "a bill has no request ids: sums by day, workspace, model and kind are compared"]),
    (
        {"undated_tokens": 1234},
        ["1,234 tokens of entries that do not tell when they were called are in no day", "it does not close: some entries have no day"],
    ),
    ({"unreadable_attempts": 2}, ["2 lines of attempts.log could not be read: doubt may be higher", "it closes: equal to the token"]),
    ({"strangers": {"llm-x": 1500, "llm-y": 2}}, ["(--id WORKSPACE_ID=NAME does): llm-x 1,500, llm-y 2 tokens"]),
    ({"other_days_tokens": 7000}, ["not compared, for they stand on other days: 7,000 tokens"]),
    ({"other_lines": {"of another product": 3}}, ["not compared: 3 lines, of another product"]),
    ({"unreadable": UNREADABLE[:1]}, [f"not understood: {UNREADABLE[0]}", "it does not close: 1 line of the bill was not understood"]),
    (
        {"unreadable": UNREADABLE},
        [UNREADABLE[19], "… and 5 more lines not understood: --json tells all", "not close: 25 lines of the bill were not understood"],
    ),
    ({"sums": {"legal": Sum(doubtful_calls=2, most_in_doubt=3000)}}, ["in doubt: 2 calls, of at most 3,000 tokens"]),
    ({"bill_days": None}, ["the bill has no line of tokens, or none that is understood"]),
    ({"money_decides": True}, ["the bill tells no amounts: no money was compared"]),
]


@pytest.mark.parametrize(("fields", "told"), TOLD)
def test_what_keeps_it_open_or_was_not_compared_is_said(fields, told):
    table = reconciliation_table(replace(CLOSED, **fields))
    assert [each for each in told if each not in table] == []
    assert UNREADABLE[20] not in table
    assert ("… and" in table) is (len(fields.get("unreadable", ())) > 20)


def test_where_nothing_was_compared_the_table_does_not_say_that_it_was_equal():
    """A run that was parked before its first call, or the export of another month, is no account that agrees to the token."""
    told = reconciliation_table(replace(CLOSED, lines=[], other_days_tokens=7000)).splitlines()
    assert "it closes: there was nothing to compare" in told[-1]
    assert "equal to the token" not in told[-1]
    unread = reconciliation_table(replace(CLOSED, lines=[], unreadable=UNREADABLE[:1])).splitlines()[-1]
    assert unread == "it does not close: 1 line of the bill was not understood"


def test_of_a_bill_that_is_the_ledger_nothing_is_told_but_what_was_compared_and_how():
    beneath = reconciliation_table(CLOSED).split("\n\n")[-1].splitlines()
    assert beneath[0] == "compared: 2026-11-24 to 2026-11-24 (Asia/Shanghai), the days on which the runs made calls"
    assert len(beneath) == 3


def test_where_differences_are_explained_it_is_said_by_what_and_not_that_it_was_equal():
    explained = [replace(CLOSED.lines[0], billed=101, in_doubt=1), *CLOSED.lines[1:]]
    told = reconciliation_table(replace(CLOSED, lines=explained)).splitlines()[-1]
    assert told.startswith("it closes: every difference is explained (")


def test_each_workspace_has_its_sums_and_several_a_total():
    def sums(**found_of):
        table = reconciliation_table(replace(CLOSED, sums=found_of))
        lines = [" ".join(line.split()) for line in table.splitlines()]
        return lines[lines.index("tokens billed counted in doubt others unexplained money billed money counted") + 1 : lines.index("", 2)]

    legal, hr = Sum(billed=1_200, counted=1_150, in_doubt=50), Sum(billed=7, others=3, unexplained=4, unpriced_tokens=1)
    assert sums(legal=legal) == ["legal 1,200 1,150 50 0 0 - -"]
    assert sums(legal=legal, hr=hr) == ["legal 1,200 1,150 50 0 0 - -", "hr 7 0 0 3 4 - unknown", "total 1,207 1,150 50 3 4 - unknown"]


def test_whose_keys_too_much_was_called_with_is_said_where_the_bill_tells_more_than_one():
    by_key = {key: (line(asked, key=key), line(told, "output_token", key=key)) for key, asked, told in (("", 100, 20), ("k-1", 40, 9))}
    table = reconciliation_table(found(ONE, *by_key[""], *by_key["k-1"]))
    assert "+40 others' calls, or runs that were not named; by API key id: console 100, k-1 40" in table
    assert "it does not close: 49 tokens are others' (--allow-others accepts them)" in table
    assert "by API key id" not in reconciliation_table(found(ONE, line(140, key="k-1"), line(29, "output_token", key="k-1")))
