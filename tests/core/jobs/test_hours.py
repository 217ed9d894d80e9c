"""Hours against a reading of their text that looks at every minute, where clocks change and where they do not."""

from __future__ import annotations

import itertools
import math
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from batchrun.core.jobs.hours import DAYS, Hours, read_hours, read_zone
from tests.steps import lines_run

NIGHT = read_hours("22:00-08:00 Asia/Shanghai")
CLOCK_CHANGES = {
    "Europe/Berlin": ["2026-03-29T01:00+00:00", "2026-10-25T01:00+00:00"],
    "America/New_York": ["2026-03-08T07:00+00:00", "2026-11-01T06:00+00:00"],
    "Australia/Lord_Howe": ["2026-04-04T15:00+00:00", "2026-10-03T15:30+00:00"],  # by half an hour
    "Pacific/Apia": ["2011-12-30T10:00+00:00"],  # by a whole day: that Friday was none
    "Africa/Casablanca": ["2026-02-15T02:00+00:00", "2026-03-22T02:00+00:00"],
    "Asia/Shanghai": [],
    "Asia/Kathmandu": [],
    "UTC": [],
}
FAR = 10 * 24 * 60
"""Minutes that are looked at."""


def at(zone, text):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def written(minute):
    return f"{minute // 60:02}:{minute % 60:02}"


def slowly(ranges, zone, wall):
    """Whether *wall* is in one of *ranges*: first day, last day (or None for every day), start, end."""
    local = datetime.fromtimestamp(wall, ZoneInfo(zone))
    minute, today, yesterday = local.hour * 60 + local.minute, local.weekday(), (local.weekday() - 1) % 7

    def holds(day, first, last):
        return first is None or (first <= day <= last if first <= last else day >= first or day <= last)

    for first, last, start, end in ranges:
        late = start <= minute < end if start < end else start <= minute
        if (holds(today, first, last) and late) or (start > end and minute < end and holds(yesterday, first, last)):
            return True
    return False


def text_of(ranges, zone):
    pieces = [(f"{DAYS[first]}-{DAYS[last]} " if first is not None else "") + f"{written(a)}-{written(b)}" for first, last, a, b in ranges]
    return ", ".join(pieces) + f" {zone}"


MINUTES = st.one_of(st.integers(0, 1439), st.sampled_from([0, 1, 119, 120, 121, 150, 180, 181, 1320, 1439]))
DAY_PAIRS = st.one_of(st.just((None, None)), st.tuples(st.integers(0, 6), st.integers(0, 6)))
ENDS = st.one_of(MINUTES, st.just(1440))
RANGES = st.lists(
    st.tuples(DAY_PAIRS, MINUTES, ENDS).filter(lambda one: one[1] != one[2]).map(lambda one: (*one[0], one[1], one[2])),
    min_size=1,
    max_size=3,
)


@st.composite
def moments(draw):
    zone = draw(st.sampled_from(sorted(CLOCK_CHANGES)))
    about = draw(st.sampled_from([*CLOCK_CHANGES[zone], "2026-06-15T00:00+00:00"]))
    start = datetime.fromisoformat(about).timestamp()
    return zone, start + 60 * draw(st.one_of(st.integers(-2000, 2000), st.integers(-200, 200)))


@settings(max_examples=400, deadline=None)
@given(RANGES, moments())
def test_hours_and_their_next_change_are_those_that_a_look_at_every_minute_finds(ranges, moment):
    zone, wall = moment
    hours = read_hours(text_of(ranges, zone))
    is_open = slowly(ranges, zone, wall)
    assert hours.is_open(wall) is is_open
    looks = (wall + 60 * step for step in itertools.count(1))
    found = next((look for look in itertools.islice(looks, FAR) if slowly(ranges, zone, look) is not is_open), math.inf)
    change = hours.next_change(wall)
    assert change == found if found < math.inf else change > wall + 60 * FAR


@given(RANGES, moments(), st.floats(0, 59.999))
def test_a_change_comes_to_the_second_wherever_in_its_minute_one_looks(ranges, moment, seconds):
    zone, wall = moment
    hours = read_hours(text_of(ranges, zone))
    change = hours.next_change(wall + seconds)
    assert change > wall + seconds
    assert hours.is_open(wall + seconds) is hours.is_open(wall)
    if change < math.inf:
        assert hours.is_open(change - 0.001) is hours.is_open(wall)
        assert hours.is_open(change) is not hours.is_open(wall)


@given(RANGES, moments())
def test_spans_are_in_order_apart_and_within_the_week(ranges, moment):
    spans = read_hours(text_of(ranges, moment[0])).spans
    edges = [edge for span in spans for edge in span]
    assert edges == sorted(set(edges))
    assert 0 <= edges[0] < edges[-1] <= 7 * 1440


def changes(hours, start, count):
    at = start
    for _ in range(count):
        at = hours.next_change(at)
        yield at


def test_a_night_belongs_to_the_day_on_which_it_starts():
    hours = read_hours("Fri 22:00-08:00 Asia/Shanghai")
    told = [
        f"{datetime.fromtimestamp(each, ZoneInfo('Asia/Shanghai')):%a %H:%M}" for each in changes(hours, at("UTC", "2026-11-23T00:00"), 3)
    ]
    assert told == ["Fri 22:00", "Sat 08:00", "Fri 22:00"]


def test_a_sunday_night_goes_on_into_monday_and_days_go_over_the_end_of_the_week():
    assert read_hours("Sun 22:00-08:00 UTC").spans == ((0, 480), (6 * 1440 + 1320, 7 * 1440))
    assert read_hours("Sat-Mon 10:00-11:00 UTC") == read_hours("Sat 10:00-11:00, Sun 10:00-11:00, Mon 10:00-11:00 UTC")


def test_ranges_that_touch_or_overlap_are_one():
    assert read_hours("Mon 08:00-12:00, Mon 12:00-14:00, Mon 13:00-15:00 UTC").spans == ((480, 900),)
    assert read_hours("12:00-00:00, 00:00-12:00 UTC") == read_hours("00:00-24:00 UTC")


def test_a_start_that_the_clocks_skip_begins_at_their_change():
    hours = read_hours("02:30-05:00 Europe/Berlin")
    opening, closing = changes(hours, at("Europe/Berlin", "2026-03-29T00:00"), 2)
    assert opening == at("UTC", "2026-03-29T01:00")
    assert closing == at("Europe/Berlin", "2026-03-29T05:00")


def test_hours_that_the_clocks_skip_whole_do_not_come_that_day():
    hours = read_hours("02:10-02:50 Europe/Berlin")
    assert hours.next_change(at("Europe/Berlin", "2026-03-29T00:00")) == at("Europe/Berlin", "2026-03-30T02:10")


def test_an_hour_that_comes_twice_counts_both_times():
    hours = read_hours("02:00-03:00 Europe/Berlin")
    opening, closing = changes(hours, at("Europe/Berlin", "2026-10-25T00:00"), 2)
    assert (opening, closing - opening) == (at("UTC", "2026-10-25T00:00"), 7200)


def test_a_half_hour_that_comes_twice_opens_and_closes_twice():
    """On Lord Howe clocks go from 02:00 back to 01:30."""
    hours = read_hours("01:30-01:45 Australia/Lord_Howe")
    first = at("Australia/Lord_Howe", "2026-04-05T01:30")
    assert list(changes(hours, first - 3600, 4)) == [first, first + 900, first + 1800, first + 2700]


def test_a_night_is_an_hour_shorter_in_spring_and_an_hour_longer_in_autumn():
    hours = read_hours("22:00-08:00 America/New_York")
    lengths = []
    for day in ("2026-03-07", "2026-06-07", "2026-10-31"):
        opening, closing = changes(hours, at("America/New_York", f"{day}T12:00"), 2)
        lengths.append((closing - opening) / 3600)
    assert lengths == [9, 10, 11]


def test_a_whole_week_never_changes():
    hours = read_hours("Mon-Fri 00:00-24:00, Sat-Sun 00:00-24:00 Europe/Berlin")
    assert hours.spans == ((0, 7 * 1440),)
    assert hours.next_change(0.0) == math.inf


def test_a_change_is_told_on_the_clock_of_its_zone_with_its_day_where_it_is_not_within_a_day():
    noon = at("Asia/Shanghai", "2026-11-23T12:00")
    assert NIGHT.told_from(noon, NIGHT.next_change(noon)) == "22:00 (Asia/Shanghai)"
    weekend = read_hours("Sat-Sun 00:00-24:00 Asia/Shanghai")
    assert weekend.told_from(noon, weekend.next_change(noon)) == "Sat 00:00 (Asia/Shanghai)"
    assert weekend.told_from(noon, noon + timedelta(days=1).total_seconds()) == "12:00 (Asia/Shanghai)"


@pytest.mark.parametrize(
    ("text", "same_as"),
    [
        ("  22:00 - 08:00   Asia/Shanghai ", "22:00-08:00 Asia/Shanghai"),
        ("mon-fri 9:00-17:30 UTC", "Mon-Fri 09:00-17:30 UTC"),
        ("MON 09:00-10:00,TUE 09:00-10:00 UTC", "Mon-Tue 09:00-10:00 UTC"),
        ("Mon - Fri 22:00-24:00 Etc/GMT-8", "Mon-Fri 22:00-00:00 Etc/GMT-8"),
    ],
)
def test_hours_may_be_written_loosely(text, same_as):
    assert read_hours(text) == read_hours(same_as)


@pytest.mark.parametrize(
    ("text", "found", "allowed"),
    [
        ("", '""', "with their time zone at the end"),
        ("22:00-08:00", '"22:00-08:00"', "with their time zone at the end"),
        ("22:00 - 08:00", '"22:00 - 08:00"', "with their time zone at the end"),
        ("Mon-Fri 22:00-08:00, Sat 00:00-24:00", '"Mon-Fri 22:00-08:00, Sat 00:00-24:00"', "with their time zone at the end"),
        ("Asia/Shanghai", '""', "hours such as"),
        ("22:00-08:00 Asia/Shangai", '"Asia/Shangai"', "did you mean 'Asia/Shanghai'?"),
        ("22:00-08:00 asia/shanghai", '"asia/shanghai"', "did you mean 'Asia/Shanghai'?"),
        ("22:00-08:00 UTC+8", '"UTC+8"', "a time zone, such as"),
        ("22:00-08:00 ../etc/passwd", '"../etc/passwd"', "a time zone, such as"),
        ("22:00-08:00 America", '"America"', "a time zone, such as"),
        ("22:00-08:00 localtime", '"localtime"', "a time zone, such as"),
        ("22:00-08:00 right/UTC", '"right/UTC"', "a time zone, such as"),
        ("22-8 Asia/Shanghai", '"22-8"', "hours such as"),
        ("22:00-08:00,, UTC", '""', "hours such as"),
        ("Mon,Wed 22:00-08:00 UTC", '"Mon"', "hours such as"),
        ("Monday 22:00-08:00 UTC", '"Monday" in "Monday 22:00-08:00"', "did you mean 'Mon'? One of Mon, Tue"),
        ("Mon-Fry 22:00-08:00 UTC", '"Fry" in', "did you mean 'Fri'?"),
        ("22:00-25:00 UTC", '"22:00-25:00"', "from 00:00 to 23:59"),
        ("22:60-08:00 UTC", '"22:60-08:00"', "from 00:00 to 23:59"),
        ("24:00-08:00 UTC", '"24:00-08:00"', "24:00 for an end"),
        ("08:00-08:00 UTC", '"08:00-08:00"', "a whole day is 00:00-24:00"),
    ],
)
def test_a_mistake_says_what_stands_there_and_what_may(text, found, allowed):
    with pytest.raises(PydanticCustomError) as caught:
        read_hours(text)
    told = caught.value.context
    assert told is not None
    assert told["found"].startswith(found)
    assert allowed in told["allowed"]


@pytest.mark.parametrize("name", ["CST", "BJT", "PST", "UTC+8", "GMT+8", "GMT +8", "UTC-05:00", "+08:00"])
def test_no_zone_is_proposed_for_initials_or_an_offset_which_would_have_the_hours_begin_at_another_time(name):
    with pytest.raises(PydanticCustomError) as caught:
        read_zone(name)
    assert caught.value.message() == 'a time zone, such as "Asia/Shanghai" or "UTC"'


def test_what_a_mistyped_zone_means_is_looked_for_once_in_a_job_that_has_it_in_every_workspace():
    def mistyped():
        with pytest.raises(PydanticCustomError, match="did you mean 'Asia/Shanghai'"):
            read_zone("Asia/Shanghaai")

    first, second = (lines_run(mistyped, "difflib.py") for _ in range(2))
    assert first > 1000
    assert second == 0


@given(st.text(max_size=40))
def test_whatever_is_written_it_is_hours_or_a_mistake(text):
    for ends in ("", " UTC"):
        try:
            assert isinstance(read_hours(text + ends), Hours)
        except PydanticCustomError:
            continue
