from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.ledger.digests import Digests

# Few digests that share their low bits, and others: 0 is kept as 1, as its promise says.
DIGESTS = st.sampled_from([1, 2, 1025, 2049, 2**64 - 1, 2**63 + 1]) | st.integers(1, 2**64 - 1)


@given(st.lists(st.tuples(DIGESTS, st.integers(0, 2**32 - 1)), max_size=3000))
def test_it_remembers_what_a_dict_would(puts):
    digests, known = Digests(), {}
    for digest, number in puts:
        digests.put(digest, number)
        known[digest] = number
    assert len(digests) == len(known)
    assert {digest: digests.get(digest) for digest in known} == known
    assert digests.get(max(known, default=5) ^ 0b1010101) in {None, *known.values()}


def test_a_hundred_thousand_take_less_than_four_megabytes():
    digests = Digests()
    for number in range(100_000):
        digests.put(number * 0x9E3779B97F4A7C15 % 2**64, number)
    assert [digests.get(number * 0x9E3779B97F4A7C15 % 2**64) for number in (1, 77, 99_999)] == [1, 77, 99_999]
    assert len(digests._keys) * 12 < 4_000_000
