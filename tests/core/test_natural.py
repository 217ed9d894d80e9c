"""The order of names."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.natural import natural

NAMES = st.text(st.sampled_from("aw-0129 市٣"), max_size=8)


def test_numbers_in_names_stand_by_their_size():
    names = ["w1", "w2", "w10", "w10-1", "w10-2", "w10-10", "week", "市场2", "市场10"]
    assert sorted(names, key=natural) == names
    assert natural("9" * 9_000) < natural("1" + "0" * 9_000)


@given(NAMES, NAMES)
def test_any_names_have_an_order_and_no_two_stand_at_one_place(one, two):
    assert (natural(one) < natural(two)) + (natural(two) < natural(one)) == (one != two)
