"""What rows would cost, by what calls like theirs did."""

from __future__ import annotations

from decimal import Decimal

import pytest

from batchrun.core.model import Money, Usage
from batchrun.telling.costing import MOST_CALLS, cost_of, money_of, thinned

LIKE = [Usage(100, 20), Usage(300, 10, reasoning_tokens=10)]


def price(usage: Usage) -> Decimal | None:
    return None if usage.input_tokens > 5000 else Decimal(usage.input_tokens + 10 * usage.output_tokens)


def in_yuan(usage: Usage) -> Money | None:
    return None if (amount := price(usage)) is None else Money("CNY", amount)


def test_tokens_of_input_and_of_output_cost_each_what_they_did():
    assert cost_of(800, 60, LIKE, price) == 800 + 600
    assert money_of(800, 60, LIKE, in_yuan) == Money("CNY", Decimal(1400))


def test_of_what_calls_like_theirs_had_none_rows_have_none_that_costs_anything():
    assert cost_of(800, 60, [Usage(100, 0)], price) == 800


@pytest.mark.parametrize("like", [[], [Usage(0, 0)], [*LIKE, Usage(6000, 1)], [Usage(6000, 1), *LIKE]], ids=str)
def test_where_calls_tell_nothing_or_one_has_no_price_what_rows_cost_is_not_known(like):
    assert cost_of(800, 60, like, price) is None
    assert money_of(800, 60, like, in_yuan) is None


@pytest.mark.parametrize("calls", [0, 1, MOST_CALLS, MOST_CALLS + 1, 5 * MOST_CALLS])
def test_of_many_calls_some_are_looked_at_evenly_picked(calls):
    picked = [usage.input_tokens for usage in thinned([Usage(number, 1) for number in range(calls)])]
    assert len(picked) == min(calls, MOST_CALLS)
    assert (
        max((later - earlier for earlier, later in zip([-1, *picked], [*picked, calls], strict=True)), default=0) <= calls / MOST_CALLS + 2
    )
