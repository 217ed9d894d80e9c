"""What was appended to a file is marked by its end and its bytes, in whatever parts it was written."""

from __future__ import annotations

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.ledger.marking import NOTHING, Growth, Mark

PARTS = st.lists(st.lists(st.sampled_from([b"one\n", b"another\n", b"torn"]), max_size=3).map(b"".join), max_size=5)


@given(PARTS, PARTS)
def test_a_mark_goes_on_with_what_was_appended_since_in_whatever_parts(first, second):
    whole, mark = b"", NOTHING
    for parts in (first, second):
        growth, before = Growth(mark.end), mark
        for part in parts:
            growth.add(part)
        added = b"".join(parts)
        whole += added
        mark = growth.after(before)
        assert (growth.begin, growth.end) == (before.end, len(whole))
        segment = ((len(whole), sha256(added).hexdigest()),) if added else ()
        assert mark == Mark((*before.segments, *segment))
        assert mark.end == len(whole)


def test_a_file_to_which_nothing_was_appended_is_marked_as_it_was():
    mark = Mark(((7, "a digest"),))
    assert Growth(7).after(mark) is mark
    assert NOTHING.end == 0
