"""The statement on a terminal."""

from __future__ import annotations

from decimal import Decimal

import pytest

from batchrun.core.columns import width
from batchrun.core.ledger.attempts import Bound
from batchrun.core.ledger.statement import Statement
from batchrun.core.ledger.totals import Totals
from batchrun.core.model import Money
from batchrun.report.table import money, table

ALWAYS = ["workspace", "model", "answered", "pending", "calls", "input", "output"]


def stated(*lanes, **counts):
    statement = Statement("run-id", "night", **counts)
    for workspace, model, totals in lanes:
        statement.lane(workspace, model).add(totals)
    return statement


def heads(statement):
    return table(statement).splitlines()[0].replace("in doubt", "in_doubt").split()


def test_there_is_a_line_a_workspace_and_model_and_a_total_with_chinese_names_in_line():
    statement = stated(
        ("legal", "qwen-plus", Totals(answered=1200, calls=1200, input_tokens=1_234_567, output_tokens=89)),
        ("市场部", "qwen-max", Totals(answered=3, pending=4, calls=5, input_tokens=60, output_tokens=7)),
    )
    assert table(statement).splitlines() == [
        "workspace  model      answered  pending  calls      input  output",
        "─" * 65,
        "legal      qwen-plus     1,200        0  1,200  1,234,567      89",
        "市场部     qwen-max          3        4      5         60       7",
        "─" * 65,
        "total                    1,203        4  1,205  1,234,627      96",
    ]
    assert {width(line) for line in table(statement).splitlines()} == {65}


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("rejected", "rejected"),
        ("exhausted", "exhausted"),
        ("retries", "retries"),
        ("throttles", "throttles"),
        ("reasks", "reasks"),
        ("in_doubt", "in_doubt"),
        ("cached_tokens", "cached"),
        ("reasoning_tokens", "reasoning"),
    ],
)
def test_a_column_stands_there_where_any_workspace_has_something_in_it(name, head):
    quiet = ("legal", "qwen-plus", Totals(answered=1))
    assert heads(stated(quiet)) == ALWAYS
    loud = ("sales", "qwen-plus", Totals())
    setattr(loud[2], name, 7)
    assert set(heads(stated(quiet, loud))) == {*ALWAYS, head}
    assert [line.split().count("7") for line in table(stated(quiet, loud)).splitlines()[2:6]] == [0, 1, 0, 1]


def test_calls_in_flight_stand_beside_doubt_and_are_none_of_it():
    flying = Totals(in_doubt=1, in_doubt_input_tokens=5, in_doubt_output_tokens=6)
    flying.in_flight.count(Bound(7, 8), Money("CNY", Decimal("0.5")))
    heading, _, line, *_, in_flight, in_doubt = table(stated(("legal", "qwen-plus", flying))).splitlines()
    assert heading.split("  ")[-5:-2] == ["calls", "in flight", "in doubt"]
    assert line.split()[5:7] == ["1", "1"]
    assert in_flight == "in flight: 1 call is under way, and will be billed beyond this: at most 7 input and 8 output tokens, 0.5000 CNY"
    assert in_doubt == "in doubt: 1 call may have been billed beyond this: at most 5 input and 6 output tokens"


def test_doubt_is_shown_with_what_it_may_have_cost_at_the_most():
    doubt = Totals(in_doubt=3, in_doubt_input_tokens=12_000, in_doubt_output_tokens=98_304)
    note = table(stated(("legal", "qwen-plus", doubt))).splitlines()[-1]
    assert note == "in doubt: 3 calls may have been billed beyond this: at most 12,000 input and 98,304 output tokens"


def test_what_it_cost_stands_at_the_end_and_what_is_not_known_is_no_nothing():
    priced = Totals(answered=2, cost={"CNY": Decimal("1234.56789")})
    partly = Totals(answered=2, unpriced_calls=1, unpriced_tokens=1500, cost={"CNY": Decimal("0.5")})
    unknown = Totals(answered=2, unpriced_calls=2, unpriced_tokens=4000)
    lines = table(stated(("a", "m", priced), ("b", "m", partly), ("c", "m", unknown), ("d", "m", Totals(pending=1)))).splitlines()
    assert [line.split()[-1] for line in (lines[0], *lines[2:6], lines[7])] == [
        "CNY",
        "1,234.5679",
        "0.5000+",
        "unknown",
        "0",
        "1,235.0679+",
    ]
    assert lines[-1].startswith("cost unknown: 3 calls with 5,500 tokens have no known price")


def test_an_amount_in_a_line_says_how_many_calls_are_in_none_of_it():
    some = {"USD": Decimal("0.5"), "CNY": Decimal("1234.56789")}
    assert [money(amounts, unpriced) for amounts in (some, {}) for unpriced in (0, 1, 1200)] == [
        "1,234.5679 CNY, 0.5000 USD",
        "1,234.5679 CNY, 0.5000 USD, 1 call of unknown cost",
        "1,234.5679 CNY, 0.5000 USD, 1,200 calls of unknown cost",
        "",
        "cost unknown",
        "cost unknown",
    ]


@pytest.mark.parametrize(("count", "told"), [(1, "1 web search"), (1200, "1,200 web searches")])
def test_what_searches_cost_beside_their_tokens_is_said_to_be_in_no_sum(count, told):
    note = table(stated(("legal", "qwen-plus", Totals(answered=1, searches=count)))).splitlines()[-1]
    assert note == f"searches: answers tell of {told}, for which the provider charges beside their tokens: in no sum"


def test_reasks_are_shown_with_what_they_cost():
    reasks = Totals(input_tokens=5000, reasks=2, reask_input_tokens=1100, reask_output_tokens=70)
    note = table(stated(("legal", "qwen-plus", reasks))).splitlines()[-1]
    assert note == "reasked: 2 answers did not fit and were asked for again; of the tokens above they are 1,100 input and 70 output"


def test_lines_that_were_no_row_or_could_not_be_read_are_told_below():
    statement = stated(("legal", "qwen-plus", Totals(answered=1)), rejected_input=1200, unreadable_attempts=2, unlogged_answers=1)
    first, second, third = table(statement).splitlines()[-3:]
    assert first == "1,200 input lines are no row: see rejected-input.jsonl"
    assert second.startswith("2 lines of attempts.log could not be read")
    assert third == "attempts.log does not tell of the calls of 1 answer: calls and doubt may be higher"


def test_a_run_of_nothing_has_a_table_too():
    heading, _rule, total = table(stated()).splitlines()
    assert [heading.split(), total.split()] == [ALWAYS, ["total", "0", "0", "0", "0", "0"]]


def test_names_stand_in_the_order_in_which_people_look_for_them():
    names = ["w1", "w2", "w10"]
    statement = stated(*((name, model, Totals(answered=1)) for name in reversed(names) for model in ("qwen2.5-72b", "qwen2.5-7b")))
    lines = table(statement).splitlines()[2:-2]
    assert [tuple(line.split()[:2]) for line in lines] == [(name, model) for name in names for model in ("qwen2.5-7b", "qwen2.5-72b")]
    assert (statement.workspaces(), [*statement.of_workspaces()]) == (names, names)


def test_what_costs_something_is_never_shown_as_nothing():
    statement = stated(
        ("free", "qwen-plus", Totals(answered=1, cost={"CNY": Decimal(0)})),
        ("small", "qwen-plus", Totals(answered=1, cost={"CNY": Decimal("0.00004")})),
        ("more", "qwen-plus", Totals(answered=1, cost={"CNY": Decimal("0.00006")})),
    )
    assert [line.split()[-1] for line in table(statement).splitlines() if "qwen" in line] == ["0.0000", "0.0001", "<0.0001"]
    assert table(statement).splitlines()[-1].endswith(" 0.0001")
