"""Days and months by the clocks of a zone, whatever those do."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.money.periods import Period

ZONES = ["Asia/Shanghai", "UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Sao_Paulo"]


def at(text):
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("per", "zone", "moment", "name", "starts", "ends"),
    [
        ("day", "Asia/Shanghai", "2026-11-25T16:00:00Z", "2026-11-26", "2026-11-25T16:00:00Z", "2026-11-26T16:00:00Z"),
        ("day", "Asia/Shanghai", "2026-11-25T15:59:59Z", "2026-11-25", "2026-11-24T16:00:00Z", "2026-11-25T16:00:00Z"),
        ("month", "Asia/Shanghai", "2026-11-30T15:59:59Z", "2026-11", "2026-10-31T16:00:00Z", "2026-11-30T16:00:00Z"),
        ("month", "Asia/Shanghai", "2026-12-31T16:00:00Z", "2027-01", "2026-12-31T16:00:00Z", "2027-01-31T16:00:00Z"),
        ("day", "Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-29", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
        ("day", "Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-25", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
        ("month", "UTC", "2028-02-29T23:59:59Z", "2028-02", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
    ],
)
def test_a_period_is_the_owners_day_or_month(per, zone, moment, name, starts, ends):
    span = Period(per, zone).around(at(moment))
    assert (span.name, span.starts, span.ends) == (name, at(starts), at(ends))


@given(
    st.integers(int(at("2020-01-01T00:00:00Z")), int(at("2035-01-01T00:00:00Z"))),
    st.sampled_from(ZONES),
    st.sampled_from(["day", "month"]),
)
def test_every_moment_is_in_one_period_and_the_next_begins_where_it_ends(moment, zone, per):
    period, now = Period(per, zone), float(moment)
    span = period.around(now)
    following = period.around(span.ends)
    assert span.starts <= now < span.ends == following.starts
    assert period.around(span.ends - 1) == span
    assert span.name < following.name
    local = datetime.fromtimestamp(now, ZoneInfo(zone))
    assert span.name == local.strftime("%Y-%m-%d" if per == "day" else "%Y-%m")
    assert span.ends - span.starts <= timedelta(days=32).total_seconds()
