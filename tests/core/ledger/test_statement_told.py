"""A statement added up and told: by workspace, by model, and as JSON."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import orjson
import pytest

from batchrun.core.ledger.attempts import Bound, read_attempt, started_line
from batchrun.core.ledger.entry_reading import read_entry
from batchrun.core.ledger.entry_writing import write_entry
from batchrun.core.ledger.fold import Fold
from batchrun.core.ledger.statement import Statement
from batchrun.core.ledger.totals import Totals
from batchrun.core.model import Answered, Charges, Money, Usage
from tests.core.ledger.folded import ANSWER, CALL, LANES, MOST, ROWS
from tests.steps import lines_run


def two_workspaces():
    statement = Statement("run-id", "night", rejected_input=2)
    for number, lane in enumerate(LANES, 1):
        statement.lane(*lane).add(Totals(answered=number, input_tokens=10 * number, reasks=number, in_doubt=1))
    return statement


def test_totals_add_up_by_workspace_and_over_all():
    statement = two_workspaces()
    assert statement.workspaces() == ["sales", "法务"]
    assert statement.total("法务") == Totals(answered=3, input_tokens=30, reasks=3, in_doubt=2)
    assert statement.total() == Totals(answered=6, input_tokens=60, reasks=6, in_doubt=3)


def test_json_carries_every_count_and_a_workspaces_part_nothing_of_the_others():
    statement = two_workspaces()
    told = statement.as_json()
    assert told["total"].keys() >= {"answered", "reasks", "in_doubt_output_tokens", "cost", "in_doubt_cost", "waste", "savings"}
    assert (told["total"]["reasks"], told["rejected_input"], told["unreadable_attempts"]) == (6, 2, 0)
    assert told["workspaces"]["法务"]["models"].keys() == {"qwen-plus", "qwen-max"}
    part = orjson.dumps(statement.workspaces_json()["sales"]).decode()
    assert "法务" not in part
    assert orjson.loads(part)["total"]["answered"] == 3


def test_what_each_workspace_is_told_is_no_more_work_of_a_thousand_than_of_ten():
    def work(workspaces: int) -> float:
        statement = Statement("run", "job", {(f"w{number}", "m"): Totals(answered=1) for number in range(workspaces)})
        return lines_run(statement.workspaces_json) / workspaces

    assert work(1000) <= work(10)


def test_json_tells_each_amount_by_what_it_is_and_waste_and_savings_by_kind():
    totals = Totals(in_doubt=1, reasks=1)
    charges = Charges((("input_token", 1_000_000, Decimal(2)),), Decimal("0.25"), Decimal("0.5"), Decimal("0.125"))
    totals.add_usage(Usage(1_000_000, 0), Money("CNY", Decimal("1.5"), charges))
    totals.reasked(Usage(7, 3), Money("USD", Decimal("0.10")))
    totals.doubt(Bound(8, 9), Money("CNY", Decimal(3)))
    told = totals.as_json()
    assert (told["cost"], told["in_doubt_cost"]) == ({"CNY": "1.5"}, {"CNY": "3"})
    assert told["savings"] == {"cache": {"CNY": "0.125"}, "batch": {"CNY": "1.5"}, "discount": {"CNY": "0.5"}}
    nothing = {"calls": 0, "input_tokens": 0, "output_tokens": 0, "unpriced_calls": 0, "cost": {}}
    assert told["waste"] == {
        "retried": nothing,
        "reasked": {"calls": 1, "input_tokens": 7, "output_tokens": 3, "unpriced_calls": 0, "cost": {"USD": "0.1"}},
        "refused": nothing,
        "truncated": nothing,
        "in_doubt": {"calls": 2, "input_tokens": 8, "output_tokens": 9, "unpriced_calls": 0, "cost": {"CNY": "3"}},
    }


def test_json_is_this_and_nothing_else():
    statement = two_workspaces()
    statement.unreadable_attempts, statement.unlogged_answers, statement.openings_again = 4, 3, 1
    parts = {
        name: {
            "run": "run-id",
            "name": "night",
            "workspace": name,
            "total": statement.total(name).as_json(),
            "models": {model: statement.lane(name, model).as_json() for model in models},
        }
        for name, models in (("sales", ["qwen-plus"]), ("法务", ["qwen-max", "qwen-plus"]))
    }
    told = {"run": "run-id", "name": "night", "rejected_input": 2, "unreadable_attempts": 4, "unlogged_answers": 3, "openings_again": 1}
    assert statement.as_json() == told | {"total": statement.total().as_json(), "under_way": False, "workspaces": parts}
    assert [list(part["models"]) for part in parts.values()] == [["qwen-plus"], ["qwen-max", "qwen-plus"]]


def test_statements_add_up_lane_by_lane_and_by_all_that_was_asked():
    def folded(run, *rows):
        fold = Fold(run, "job", rejected_input=3, by=["metadata.a"])
        starts = [started_line(f"1-{number}", 0.0, row, MOST) for number, row in enumerate(rows)]
        fold.attempts(map(read_attempt, [*starts, b"torn\n"]))
        answers = [Answered(replace(row, metadata={"a": row.id}), ANSWER, replace(CALL, attempt="2-1")) for row in rows]
        fold.entries(read_entry(write_entry(answer, "batchrun", raw=False)) for answer in answers)
        return fold.close({(row.workspace, row.model): 5 for row in rows})

    both, later = folded("first", ROWS[2], ROWS[0]), folded("second", ROWS[0], ROWS[1])
    both.add(later)
    assert (both.run, both.rejected_input, both.unreadable_attempts, both.unlogged_answers) == ("first", 6, 2, 2)
    assert {lane: (totals.answered, totals.pending) for lane, totals in both.lanes.items()} == {
        LANES[2]: (1, 4),
        LANES[1]: (1, 4),
        LANES[0]: (2, 8),
    }
    assert list(both.lanes) == sorted(LANES)
    told = {key[0]: (totals.answered, totals.calls) for key, totals in both.by(["metadata.a"]).groups.items()}
    assert told == {"r-0": (2, 0), "r-1": (1, 0), "r-2": (1, 0), None: (0, 4)}
    assert list(both.by(["model", "workspace"]).groups) == [("qwen-max", "法务"), ("qwen-plus", "sales"), ("qwen-plus", "法务")]
    with pytest.raises(ValueError, match="not in"):
        both.by(["day"])
