"""What crossed each midnight of a chain of days: held against all that may have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise, product

from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.money.midnights import Day, explained

FEW = st.integers(0, 2)
CHAINS = st.lists(st.builds(Day, st.integers(-4, 4), FEW, st.integers(0, 1), FEW, FEW), min_size=1, max_size=3)


def settles(day: Day, rest: int) -> bool:
    """Whether doubt and rounding explain what midnights leave of a day's difference."""
    return -day.rounding <= rest <= day.doubt + day.rounding


def choices(chain: Sequence[Day], early: int, late: int) -> Iterator[tuple[int, ...]]:
    """All that may have crossed each midnight, from that which begins the first day to that which ends the last."""
    starts, ends = (early, *(day.early for day in chain[1:]), 0), (0, *(day.late for day in chain[:-1]), late)
    for crossed in product(*(range(-back, on + 1) for back, on in zip(starts, ends, strict=True))):
        if all(settles(day, day.difference - came + went) for day, (came, went) in zip(chain, pairwise(crossed), strict=True)):
            yield crossed


@given(CHAINS, FEW, FEW)
def test_a_chain_that_midnights_can_settle_is_settled_by_the_least_of_them_from_its_end_on(chain, early, late):
    found = explained(chain, early, late)
    assert [midnight + rest for midnight, rest in found] == [day.difference for day in chain]
    possible = [*choices(chain, early, late)]
    if possible:
        least = min(possible, key=lambda crossed: [abs(each) for each in reversed(crossed)])
        assert [midnight for midnight, _ in found] == [came - went for came, went in pairwise(least)]
    else:
        assert not all(settles(day, rest) for day, (_, rest) in zip(chain, found, strict=True))
        assert all(settles(day, rest) or midnight == 0 for day, (midnight, rest) in zip(chain, found, strict=True))
