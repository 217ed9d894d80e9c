from __future__ import annotations

import pytest

from batchrun.core.counted import counted


@pytest.mark.parametrize(
    ("count", "told"), [(0, "0 rows are held"), (1, "1 row is held"), (2, "2 rows are held"), (12_345, "12,345 rows are held")]
)
def test_one_thing_is_told_as_one_and_others_by_their_number(count, told):
    assert counted(count, "row is", "rows are") + " held" == told


def test_what_is_said_with_an_s_where_there_are_more_needs_no_second_word():
    assert (counted(1, "call"), counted(1_000, "call")) == ("1 call", "1,000 calls")
