"""A night with faults: the statement is the simulator's bill, but for calls in doubt; `python -m tests.nights` plays a larger one."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.nights.night import KINDS, Reckoning, play
from tests.nights.rows import MODELS, WORKSPACES


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    return play(tmp_path_factory.mktemp("night"), rows=480, kills=2, concurrency=2)


def test_every_row_is_answered_once_whatever_befell_the_night(night: Reckoning):
    assert night.answered == night.rows
    assert {workspace for workspace, _ in night.bill} == set(WORKSPACES)
    assert {model for _, model in night.bill} == set(MODELS)


def test_the_night_had_every_kind_of_trouble_and_of_tokens(night: Reckoning):
    figures = night.figures()
    counts = [*(figures[name] for name in ("throttles", "retries", "re-asks")), figures["in doubt"]["calls"]]
    assert 0 not in ([*counts, *(figures["billed"][kind] for kind in KINDS)]), figures
    kinds = {"input_token", "output_token", "cached_token", "cache_creation_token", "thinking_output_token"}
    assert kinds <= night.kinds


def test_what_is_stated_is_what_was_billed_by_workspace_model_and_kind_but_for_calls_in_doubt_within_their_bound(night: Reckoning):
    for lane, billed in night.bill.items():
        stated = night.stated[lane]
        for kind in KINDS:
            assert stated[kind] <= billed[kind], (lane, kind)
        for kind in ("input_tokens", "output_tokens"):
            assert billed[kind] <= stated[kind] + stated[f"in_doubt_{kind}"], (lane, kind)
        if not night.lost(lane):
            assert [stated[kind] for kind in KINDS] == [billed[kind] for kind in KINDS], lane


def test_each_call_that_was_counted_was_billed_and_each_that_was_not_counted_is_in_doubt(night: Reckoning):
    assert not night.counted - night.made
    for lane, billed in night.bill.items():
        lost, stated = night.lost(lane), night.stated[lane]
        assert sum(lost.values()) <= stated["in_doubt"], lane
        missing = [billed[kind] - stated[kind] for kind in ("input_tokens", "output_tokens")]
        assert [sum(call[2] * count for call, count in lost.items()), sum(call[3] * count for call, count in lost.items())] == missing, lane


def test_the_money_is_the_bills_to_the_fen_once_the_calls_in_doubt_that_were_billed_are_added(night: Reckoning):
    for lane, owed in night.owed.items():
        stated = night.stated[lane]
        least, most = night.cost_of_lost(lane)
        assert stated["unpriced_calls"] == 0
        assert Decimal(stated["cost"]["CNY"]) + least <= owed <= Decimal(stated["cost"]["CNY"]) + most, lane
        assert least == most, lane


def test_the_bill_reconciles_with_the_runs_and_whatever_differs_is_explained_by_doubt(night: Reckoning):
    assert night.closes
    total = night.reconciled["total"]
    assert (total["unexplained"], total["others"]) == (0, 0)
    assert total["billed"] == sum(billed["input_tokens"] + billed["output_tokens"] for billed in night.bill.values())


CHECKS = [each for name, each in globals().copy().items() if name.startswith("test_")]
