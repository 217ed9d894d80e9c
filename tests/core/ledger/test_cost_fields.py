"""Money in a line, written and read back exactly, and what is no money."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.ledger.cost_fields import cost_fields, read_cost
from batchrun.core.ledger.entry import NotAnEntryError
from batchrun.core.ledger.entry_reading import read_entry
from batchrun.core.model import Answered, Charges, Money
from tests.core.ledger.outcomes import CALL, COUNTS, REPLY, ROW, fields_of


@pytest.mark.parametrize("cost", [1, "1", {"currency": "CNY"}, {"currency": "CNY", "amount": "NaN"}, {"currency": "CNY", "amount": "-1"}])
def test_a_cost_that_is_none_is_no_entry(cost):
    fields = fields_of(Answered(ROW, REPLY, CALL)) | {"cost": cost}
    with pytest.raises(NotAnEntryError):
        read_entry(orjson.dumps(fields))


CHARGED = Charges((("input_token", 7, Decimal("0.80")), ("output_token", 3, Decimal(2))), Decimal("0.25"), Decimal("0.5"), Decimal("0.001"))


@pytest.mark.parametrize(
    ("charges", "told"),
    [
        (
            CHARGED,
            {"charges": {"input_token": [7, "0.80"], "output_token": [3, "2"]}, "discount": "0.25", "share": "0.5", "saved": "0.001"},
        ),
        (Charges((("input_token", 7, Decimal("0.80")),)), {"charges": {"input_token": [7, "0.80"]}}),
        (replace(CHARGED, meters=(), share=Decimal(1), saved=Decimal(0)), {"charges": {}, "discount": "0.25"}),
        (replace(CHARGED, meters=(), discount=Decimal(0), saved=Decimal(0)), {"charges": {}, "share": "0.5"}),
        (replace(CHARGED, meters=(), discount=Decimal(0), share=Decimal(1)), {"charges": {}, "saved": "0.001"}),
        (None, {}),
    ],
)
def test_a_cost_tells_what_it_is_made_of_and_leaves_out_what_is_plain(charges, told):
    cost = Money("CNY", Decimal("0.0000120"), charges)
    assert cost_fields(cost) == {"currency": "CNY", "amount": "0.0000120", **told}
    assert read_cost(orjson.loads(orjson.dumps(cost_fields(cost)))) == cost


@pytest.mark.parametrize(
    "wrong",
    [
        *[
            {"charges": {"a": each}}
            for each in ([1], [1, "1", 2], [-1, "1"], [True, "1"], ["1", "1"], [1, 1], [1, "-1"], [1, "NaN"], [1, "x"])
        ],
        *[{"charges": {}, "discount": each} for each in ("-1", "x", 1, None)],
        *[{"charges": {}, "share": each} for each in ("-1", "Infinity", 1)],
        *[{"charges": {}, "saved": each} for each in ("x", 1, None)],
        *[{"charges": each} for each in (7, "a", ["a"])],
        *[{"currency": each} for each in (7, None)],
        *[{"amount": each} for each in (7, None, "x", "-0.1", "Infinity")],
    ],
    ids=str,
)
def test_a_cost_of_which_a_part_is_none_is_no_entry(wrong):
    fields = fields_of(Answered(ROW, REPLY, CALL)) | {"cost": {"currency": "CNY", "amount": "0.5"} | wrong}
    with pytest.raises(NotAnEntryError):
        read_entry(orjson.dumps(fields))


AMOUNTS = st.decimals(0, 1000, places=6, allow_nan=False, allow_infinity=False)
KINDS = st.sampled_from(["input_token", "cached_token", "output_token"])
METERS = st.lists(st.tuples(KINDS, COUNTS, AMOUNTS), max_size=3, unique_by=lambda meter: meter[0])
SHARES = st.sampled_from([Decimal(0), Decimal("0.5"), Decimal(1)])
CHARGES = st.builds(Charges, METERS.map(tuple), SHARES, SHARES, st.sampled_from([Decimal(0), Decimal("-0.25"), Decimal("1.5")]))


@given(st.none() | st.builds(Money, st.sampled_from(["CNY", "USD"]), AMOUNTS, st.none() | CHARGES))
def test_a_cost_reads_back_exactly_with_all_that_it_is_made_of(cost):
    written = orjson.loads(orjson.dumps(cost_fields(cost)))
    read = read_cost(written)
    assert read == cost
    if cost is not None and cost.charges is not None:
        assert read is not None
        assert read.charges == cost.charges
        plain = {name for name, value in (("discount", 0), ("share", 1), ("saved", 0)) if getattr(cost.charges, name) == value}
        assert written.keys() == {"currency", "amount", "charges", "discount", "share", "saved"} - plain
