"""Totals: every count of them adds up, is told by its name, and says what was wasted and saved."""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal
from typing import Any

import pytest

from batchrun.core.ledger.attempts import Bound
from batchrun.core.ledger.totals import Meter, Part, Totals, add_amounts, amounts_json, plain
from batchrun.core.model import Charges, Money, Usage

PLAIN = Meter("CNY", "input_token", Decimal(2), Decimal(0), Decimal(1))
IN_A_BATCH = Meter("CNY", "input_token", Decimal(1), Decimal("0.25"), Decimal("0.5"))


def distinct(scale: int = 1) -> Totals:
    """Totals of which no two counts are alike."""
    made = Totals()
    for number, each in enumerate(fields(Totals), 1):
        of: Any = getattr(made, each.name)
        if isinstance(of, int):
            setattr(made, each.name, number * scale)
        elif isinstance(of, Part):
            calls, asked, told, unpriced = (scale * (100 * number + place) for place in range(4))
            setattr(made, each.name, Part(calls, asked, told, unpriced, {"CNY": Decimal(number * scale)}))
        elif each.name == "meters":
            of |= {PLAIN: 1_000_000 * scale, IN_A_BATCH: 3_000_000 * scale}
        else:
            of |= {"CNY": Decimal(number * scale), "USD": Decimal("0.5") * scale}
    return made


def test_totals_that_are_added_up_have_every_count_of_both_and_those_that_are_added_stay_as_they_were():
    total, other = distinct(), distinct(2)
    total.add(other)
    assert total == distinct(3)
    assert other == distinct(2)
    apart = Totals()
    apart.add(other)
    assert apart == other
    apart.add(other)
    assert other == distinct(2)


def test_every_count_is_told_by_its_name_and_amounts_exactly():
    made = distinct()
    told = made.as_json()
    amounts = {"cost", "in_doubt_cost"}
    counts = {each.name for each in fields(Totals) if isinstance(getattr(made, each.name), int)}
    assert told.keys() == counts | amounts | {"in_flight", "waste", "savings"}
    assert {name: told[name] for name in counts} == {name: getattr(made, name) for name in counts}
    for name in amounts:
        assert told[name] == {"CNY": plain(getattr(made, name)["CNY"]), "USD": "0.5"}
    assert list(told["waste"]) == ["retried", "reasked", "refused", "truncated", "in_doubt"]
    assert told["waste"]["refused"] == {
        "calls": made.refused.calls,
        "input_tokens": made.refused.input_tokens,
        "output_tokens": made.refused.output_tokens,
        "unpriced_calls": made.refused.unpriced_calls,
        "cost": {"CNY": plain(made.refused.cost["CNY"])},
    }


def test_what_was_asked_again_and_what_is_in_doubt_stand_with_what_was_wasted():
    made = distinct()
    waste = made.waste()
    reasked = made.reasks, made.reask_input_tokens, made.reask_output_tokens, made.reask_unpriced, made.reask_cost
    doubt = made.in_doubt, made.in_doubt_input_tokens, made.in_doubt_output_tokens, made.in_doubt_unpriced, made.in_doubt_cost
    assert (waste["reasked"], waste["in_doubt"]) == (Part(*reasked), Part(*doubt))
    assert (waste["retried"], waste["refused"], waste["truncated"]) == (made.retried, made.refused, made.truncated)


def test_what_caches_batches_and_discounts_saved_is_told_each_by_itself():
    made = distinct()
    # 3 million at 1 less a quarter cost 2.25; at the plain price they would have cost twice as much, without the discount 3.
    assert made.savings() == {"cache": made.cache_saved, "batch": {"CNY": Decimal("2.25")}, "discount": {"CNY": Decimal("0.75")}}
    free = Totals(meters={IN_A_BATCH._replace(share=Decimal(0)): 5})
    assert free.savings()["batch"] == {}


def test_a_call_is_counted_with_all_its_tokens_and_paid_by_its_meters():
    made = Totals()
    usage = Usage(7, 3, 2, 1, cache_creation_tokens=4, image_tokens=5, audio_tokens=6, video_tokens=8, output_audio_tokens=9, searches=10)
    charges = Charges((("input_token", 7, Decimal(2)), ("output_token", 3, Decimal(4))), Decimal("0.25"), Decimal("0.5"), Decimal("0.125"))
    for cost in (Money("CNY", Decimal("0.5"), charges), Money("CNY", Decimal("0.25")), None, Money("CNY", Decimal("0.5"), charges)):
        made.add_usage(usage, cost)
    counts = {
        "cached_tokens": 2,
        "reasoning_tokens": 1,
        "cache_creation_tokens": 4,
        "image_tokens": 5,
        "audio_tokens": 6,
        "video_tokens": 8,
        "output_audio_tokens": 9,
        "searches": 10,
        "input_tokens": 7,
        "output_tokens": 3,
        "billed_calls": 1,
    }
    of_four: dict[str, Any] = {name: 4 * count for name, count in counts.items()}
    expected = Totals(
        **of_four,
        unpriced_calls=1,
        unpriced_tokens=10,
        undivided_tokens=10,
        cost={"CNY": Decimal("1.25")},
        undivided={"CNY": Decimal("0.25")},
        cache_saved={"CNY": Decimal("0.25")},
        meters={
            Meter("CNY", "input_token", Decimal(2), Decimal("0.25"), Decimal("0.5")): 14,
            Meter("CNY", "output_token", Decimal(4), Decimal("0.25"), Decimal("0.5")): 6,
        },
    )
    assert made == expected
    assert all(isinstance(meter, Meter) for meter in made.meters)


def test_a_call_in_doubt_or_asked_again_counts_its_price_or_that_it_has_none():
    made = Totals()
    for cost in (Money("CNY", Decimal("0.5")), None, None):
        made.doubt(Bound(10, 20), cost)
        made.reasked(Usage(3, 4), cost)
        made.retried.count(Usage(5, 6), cost)
        made.refused.count(None, cost)
    once = {"CNY": Decimal("0.5")}
    doubt: dict[str, Any] = {"in_doubt": 3, "in_doubt_input_tokens": 30, "in_doubt_output_tokens": 60}
    assert made == Totals(
        **doubt, in_doubt_unpriced=2, in_doubt_cost=once, reask_input_tokens=9, reask_output_tokens=12, reask_unpriced=2, reask_cost=once,
        retried=Part(3, 15, 18, 2, once), refused=Part(3),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("amount", "text"),
    [("0", "0"), ("1E+3", "1000"), ("100", "100"), ("1.500", "1.5"), ("2.000", "2"), ("1E-12", "0.000000000001"), ("-0.50", "-0.5")],
)
def test_a_number_is_told_exactly_without_an_exponent_or_zeros_that_tell_nothing(amount, text):
    assert plain(Decimal(amount)) == text


def test_amounts_add_up_by_currency_and_are_told_in_the_alphabets_order():
    sums = {"USD": Decimal("0.10")}
    add_amounts(sums, {"EUR": Decimal(2), "USD": Decimal("0.2")})
    assert list(amounts_json(sums).items()) == [("EUR", "2"), ("USD", "0.3")]
