"""How much may lie unsynced: by bytes, by age, and by how long one sync takes."""

from __future__ import annotations

import pytest

from batchrun.core.ledger.unsynced import UNSYNCED_BYTES, UNSYNCED_SECONDS, Unsynced


def test_where_nothing_lies_unsynced_more_may_be_launched_at_any_time():
    unsynced = Unsynced()
    assert unsynced.allows(0.0)
    assert unsynced.allows(1e6)


@pytest.mark.parametrize(("age", "size", "allowed"), [(1.999, 1, True), (UNSYNCED_SECONDS, 1, False), (0, UNSYNCED_BYTES, False)])
def test_launching_stops_when_the_oldest_line_is_two_seconds_old_or_16_mib_wait(age, size, allowed):
    unsynced = Unsynced()
    unsynced.add(size - 1, 10.0)
    assert unsynced.allows(10.0)
    unsynced.add(1, 10.0)
    assert unsynced.allows(10.0 + age) is allowed
    unsynced.begin(10.0 + age)
    unsynced.end(more=False)
    assert unsynced.allows(1e6)


def test_a_sync_confirms_what_was_appended_before_it_began_and_the_rest_counts_from_its_beginning():
    unsynced = Unsynced()
    unsynced.add(UNSYNCED_BYTES, 1.0)
    unsynced.begin(1.5)
    unsynced.add(UNSYNCED_BYTES - 1, 1.6)
    assert not unsynced.allows(1.6), "nothing is confirmed before it has ended"
    unsynced.end(more=True)
    assert unsynced.allows(3.4)
    assert not unsynced.allows(3.5), "the oldest of the rest may have been appended when the sync began"
    unsynced.add(1, 2.0)
    assert not unsynced.allows(2.0)


def test_a_sync_that_takes_two_seconds_stops_launching_until_it_has_ended():
    unsynced = Unsynced()
    unsynced.begin(5.0)
    assert unsynced.allows(6.9)
    assert not unsynced.allows(7.0)
    unsynced.end(more=False)
    assert unsynced.allows(7.0)
