"""Deadlines read, and runs of which it is known or not whether they meet theirs."""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from batchrun.core.jobs.deadline import Closures, Daily, Moment, Outlook, Part, read_deadline

NEVER_CLOSED = Closures()


def at(zone, text):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


# What is written.


@pytest.mark.parametrize(
    ("zone", "text", "opened", "due"),
    [
        ("Asia/Shanghai", "08:00", "2026-11-23T22:30", "2026-11-24T08:00"),
        ("Asia/Shanghai", "08:00", "2026-11-24T07:59", "2026-11-24T08:00"),
        ("Asia/Shanghai", "08:00", "2026-11-24T08:00", "2026-11-25T08:00"),
        ("Asia/Shanghai", "24:00", "2026-11-24T08:00", "2026-11-25T00:00"),
        ("UTC", "8:00", "2026-12-31T09:00", "2027-01-01T08:00"),
        ("Europe/Berlin", "08:00", "2026-03-28T20:00", "2026-03-29T08:00"),
        ("Europe/Berlin", "02:30", "2026-03-28T20:00", "2026-03-29T03:30"),
        ("Europe/Berlin", "02:30", "2026-10-25T00:00", "2026-10-25T02:30"),
    ],
)
def test_a_time_of_day_is_the_next_such_time_after_the_opening(zone, text, opened, due):
    assert read_deadline(f"{text} {zone}").after(at(zone, opened)) == at(zone, due)


@given(st.integers(0, 1439), st.floats(1.7e9, 2.2e9), st.sampled_from(["Europe/Berlin", "Australia/Lord_Howe", "Asia/Shanghai"]))
def test_the_next_such_time_is_never_more_than_a_day_and_a_clock_change_away(minute, opened, zone):
    due = Daily(minute, zone).after(opened)
    assert opened < due <= opened + 25 * 3600
    assert due % 60 == 0


def test_a_moment_is_one_whenever_the_run_is_opened():
    due = at("Asia/Shanghai", "2026-11-24T08:00")
    for text in ("2026-11-24T08:00:00+08:00", "2026-11-24 08:00+08:00", "2026-11-24T00:00:00Z"):
        deadline = read_deadline(text)
        assert isinstance(deadline, Moment)
        assert deadline.after(0.0) == deadline.after(due + 1e6) == due


def test_times_are_told_by_the_clock_that_the_deadline_was_written_by():
    due = at("Asia/Shanghai", "2026-11-24T08:00")
    assert read_deadline("08:00 Asia/Shanghai").told(due) == "2026-11-24 08:00 (Asia/Shanghai)"
    assert read_deadline("2026-11-24T08:00:00+08:00").told(due + 3600) == "2026-11-24 09:00 (UTC+08:00)"


@pytest.mark.parametrize(
    ("text", "found", "allowed"),
    [
        ("08:00", '"08:00"', "with its time zone at the end"),
        ("tomorrow", '"tomorrow"', "a time of day and its zone, or a moment"),
        ("25:00 UTC", '"25:00 UTC"', "a time of day and its zone, or a moment"),
        ("08:00 Asia/Shangai", '"Asia/Shangai"', "did you mean 'Asia/Shanghai'?"),
        ("2026-11-24T08:00:00", '"2026-11-24T08:00:00"', "with its offset from UTC"),
        ("2026-11-24", '"2026-11-24"', "with its offset from UTC"),
        ("2026-02-30T08:00:00Z", '"2026-02-30T08:00:00Z"', "a time of day and its zone, or a moment"),
        *[(f"{each}-01-01T00:00:00+14:00", f'"{each}-01-01T00:00:00+14:00"', "of these years") for each in ("0001", "1969", "9999")],
        ("", '""', "a time of day and its zone, or a moment"),
    ],
)
def test_a_mistake_says_what_stands_there_and_what_may(text, found, allowed):
    with pytest.raises(PydanticCustomError) as caught:
        read_deadline(text)
    told = caught.value.context
    assert told is not None
    assert told["found"] == found
    assert allowed in told["allowed"]


@given(st.text(max_size=30))
def test_whatever_is_written_it_is_a_deadline_or_a_mistake(text):
    with suppress(PydanticCustomError):
        assert isinstance(read_deadline(text), Daily | Moment)


# What is expected of a run.


def looked(outlook, rows, speed, until, *, closures=NEVER_CLOSED, since=0.0, settled=0.0):
    """Look every ten seconds at a run of *rows* rows that settles *speed* of them a second; what was said, and when."""
    said = []
    now = since
    while now <= until and settled < rows:
        done_at = outlook.look(now, int(settled), rows - int(settled), closures)
        if done_at is not None:
            said.append((now, done_at))
        settled += 10 * speed
        now += 10
    return said


def test_a_run_that_is_too_slow_is_told_once_as_soon_as_its_speed_is_known():
    outlook = Outlook(deadline=1000.0)
    assert looked(outlook, 2000, 1.0, 900) == [(120, 2000)]
    assert outlook.late


def test_a_run_that_is_fast_enough_is_not_told():
    assert looked(Outlook(deadline=1000.0), 900, 1.0, 1e6) == []


@pytest.mark.parametrize(("speed", "known_at"), [(0.1, 500), (0.25, 200), (10.0, 120)])
def test_a_speed_is_known_after_two_minutes_and_fifty_rows(speed, known_at):
    ((said_at, _),) = looked(Outlook(deadline=10_000.0), 1_000_000, speed, 1000)
    assert said_at == known_at


def test_the_speed_is_that_of_the_last_minutes():
    outlook = Outlook(deadline=10_000.0)
    assert looked(outlook, 20_000, 4.0, 1000) == []
    ((said_at, done_at),) = looked(outlook, 20_000, 1.0, 9000, since=1010, settled=4040)
    assert said_at <= 1300
    assert done_at > 10_000


def test_a_run_that_comes_to_a_stop_is_told_once():
    outlook = Outlook(deadline=10_000.0)
    assert looked(outlook, 2000, 1.0, 1000) == []
    ((said_at, done_at),) = looked(outlook, 2000, 0.0, 9000, since=1010, settled=1010)
    assert said_at <= 1310
    assert done_at > 10_000


def test_a_run_of_which_nothing_has_settled_for_minutes_is_never_done():
    outlook = Outlook(deadline=10_000.0)
    looked(outlook, 2000, 1.0, 100)
    assert looked(outlook, 2000, 0.0, 120, since=110, settled=110) == []
    assert outlook.look(410.0, 110, 1890, NEVER_CLOSED) == math.inf


def test_a_run_is_in_time_again_only_with_time_to_spare():
    outlook = Outlook(deadline=1000.0)
    assert len(looked(outlook, 10_000, 1.0, 290)) == 1
    for left, told in ((640, None), (620, 920.0)):
        assert outlook.look(300.0, 300, left, NEVER_CLOSED) == told
    assert not outlook.late


def test_a_speed_that_swings_about_what_is_needed_is_not_told_at_each_swing():
    outlook, said = Outlook(deadline=100_000.0), []
    settled = 0.0
    for step in range(3000):
        now = step * 10.0
        needed = (100_000 - settled) / (100_000 - now)
        settled += 10 * needed * (1.03 if step // 60 % 2 else 0.97)
        if outlook.look(now, int(settled), 100_000 - int(settled), NEVER_CLOSED) is not None:
            said.append(now)
    assert len(said) == 1


def looked_at_two(deadline, rows, speeds, paces, until=10**9):
    """Look every ten seconds at two workspaces, each with its rows and its speed; what was said first, and when."""
    outlook = Outlook(deadline)
    for now in range(0, min(deadline, until), 10):
        settled = [min(count, int(speed * now)) for count, speed in zip(rows, speeds, strict=True)]
        parts = {str(place): Part(pace, done, rows[place] - done) for place, (pace, done) in enumerate(zip(paces, settled, strict=True))}
        if (done_at := outlook.look(now, sum(settled), sum(rows) - sum(settled), NEVER_CLOSED, parts)) is not None:
            return now, done_at
    return None


def test_the_slowest_pace_decides_however_much_faster_others_go():
    """Of two workspaces the one that goes on for two hours is told after two minutes, not once the other is done."""
    assert looked_at_two(3600, (60_000, 7200), (20.0, 1.0), ("quick", "slow")) == (120, 7200)
    assert looked_at_two(7300, (60_000, 7200), (20.0, 1.0), ("quick", "slow")) is None


def test_those_that_keep_one_pace_are_taken_together():
    assert looked_at_two(4100, (3000, 5000), (1.0, 1.0), ("one", "one"), until=3000) is None
    assert looked_at_two(4100, (3000, 5000), (1.0, 1.0), ("one", "another"), until=3000) == (120, 5000)


def test_a_pace_of_which_hardly_any_row_tells_is_left_out():
    assert looked_at_two(4000, (60_000, 1000), (20.0, 0.1), ("quick", "slow")) == (500, 10_000)


def test_a_deadline_that_has_passed_is_told_at_once_and_once():
    outlook = Outlook(deadline=-5.0)
    assert outlook.look(0.0, 0, 10, NEVER_CLOSED) == math.inf
    assert looked(outlook, 2000, 1.0, 900) == []


def test_a_run_with_nothing_left_is_neither_late_nor_early():
    assert Outlook(deadline=-5.0).look(0.0, 10, 0, NEVER_CLOSED) is None
    assert Outlook(deadline=1000.0, late=True).look(500.0, 10, 0, NEVER_CLOSED) is None


def test_rows_of_workspaces_that_open_after_the_deadline_are_late_before_any_speed_is_known():
    assert Outlook(deadline=1000.0).look(0.0, 0, 10, Closures(opening=2000.0)) == 2000
    assert Outlook(deadline=3000.0).look(0.0, 0, 10, Closures(opening=2000.0)) is None
    assert Outlook(deadline=1000.0).look(0.0, 0, 0, Closures(opening=2000.0)) == 2000
    assert Outlook(deadline=3000.0).look(0.0, 0, 0, Closures(opening=2000.0)) is None


def test_hours_in_which_all_stands_still_are_counted_in():
    closures = Closures(pause=(1000.0, 5000.0))
    assert looked(Outlook(deadline=3000.0), 900, 1.0, 900, closures=closures) == []
    assert looked(Outlook(deadline=3000.0), 1500, 1.0, 900, closures=closures) == [(120, 5500)]
    assert looked(Outlook(deadline=6000.0), 1500, 1.0, 900, closures=closures) == []


def test_a_speed_from_before_a_restart_says_nothing():
    outlook = Outlook(deadline=3000.0)
    looked(outlook, 2000, 1.0, 600)
    outlook.restart()
    assert looked(outlook, 2000, 0.0, 1000, since=610, settled=610) == []


def test_a_clock_that_is_set_back_is_followed_from_there_on():
    outlook = Outlook(deadline=10_000.0)
    assert looked(outlook, 20_000, 1.0, 86_500, since=86_400) == [(86_400, math.inf)]
    assert looked(outlook, 2000, 1.0, 900, settled=100) == [(120, 1900)]


@pytest.mark.parametrize("hours", [1, 8])
def test_hours_that_a_machine_slept_are_no_speed_of_its_run(hours):
    outlook = Outlook(deadline=100_000.0)
    assert looked(outlook, 20_000, 1.0, 900) == []
    woken = 890 + hours * 3600
    assert looked(outlook, 19_110, 1.0, woken + 900, since=woken, settled=890) == []


def test_a_deadline_that_passes_while_a_machine_sleeps_is_told_once_it_wakes():
    outlook = Outlook(deadline=10_000.0)
    assert looked(outlook, 9_000, 1.0, 900) == []
    assert outlook.look(20_000.0, 890, 8_110, NEVER_CLOSED) == math.inf
