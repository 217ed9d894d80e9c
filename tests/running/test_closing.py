"""Runs that keep to the hours of their workspaces and look at their deadline, on a virtual clock; and one opened at a closed time."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchrun.core.jobs.deadline import read_deadline
from batchrun.core.jobs.hours import read_hours
from batchrun.core.jobs.job import Job
from batchrun.core.limits.quota import Quota
from batchrun.core.model import Failure, Fault, Scope
from batchrun.core.scheduling.plan import of_workspaces
from batchrun.core.scheduling.retry import RetryPolicy
from batchrun.core.scheduling.scheduler import Drained, ParkedScope, Scheduler, Ticket
from batchrun.running.closing import Windows, by_the_clock
from batchrun.running.one_run import Wishes, run
from tests.laboratory import Events, Scripted, again, answer, benched, ended, lane, launched, parks, throttled
from tests.virtual_time import run_virtually

SHUT = Failure(Fault.PARK, Scope.WORKSPACE, "window_closed", "closed until 22:00 (UTC)", "wait")
HOUR = 3600.0


# The scheduler: closing stops a workspace, opening lets it go, and neither touches a park.


def schedule(*lanes, wait=False, probe_every=100.0):
    return Scheduler(lanes, RetryPolicy(), wait_for_parked=wait, probe_every=probe_every)


def names(drained):
    return [(each.name, each.failure.code, each.rows) for each in drained.parked]


def test_a_closed_workspace_launches_nothing_and_what_is_in_flight_of_it_settles_while_the_others_go_on():
    scheduler = schedule(lane("legal", model="a"), lane("legal", model="b"), lane("sales"))
    out = launched(scheduler, 0.0)
    mine = [ticket for ticket in out if ticket.workspace == "legal"]
    scheduler.close("legal", SHUT)
    for ticket in out:
        ended(scheduler, ticket, answer(), 1.0)
    assert {ticket.workspace for ticket in launched(scheduler, 1.0)} == {"sales"}
    assert of_workspaces(scheduler.left())["legal"] == 20 - len(mine)


def test_a_run_with_nothing_but_closed_rows_left_ends_with_them_pending():
    scheduler = schedule(lane("legal", rows=10), lane("sales", rows=3))
    scheduler.close("legal", SHUT)
    drained = Events(scheduler, lambda _ticket: (answer(), 1.0)).run()
    assert drained == Drained((ParkedScope(Scope.WORKSPACE, "legal", SHUT, 10, frozenset({"legal"})),))


def test_a_run_that_waits_does_not_end_while_a_closed_workspace_has_rows_and_goes_on_when_it_opens():
    scheduler = schedule(lane(), wait=True)
    scheduler.close("legal", SHUT)
    step = scheduler.next(0.0)
    assert not isinstance(step, Drained)
    scheduler.open("legal")
    assert scheduler.parked() == ()
    assert Events(scheduler, lambda _ticket: (answer(), 1.0)).run() == Drained(())


def test_a_closed_workspace_without_rows_is_not_waited_for():
    scheduler = schedule(lane(rows=1), wait=True)
    (ticket,) = launched(scheduler, 0.0)
    scheduler.close("legal", SHUT)
    ended(scheduler, ticket, answer(), 1.0)
    assert scheduler.next(1.0) == Drained(())


@pytest.mark.parametrize("scope", [Scope.LANE, Scope.WORKSPACE, Scope.ACCOUNT])
def test_an_opening_is_not_waited_for_where_a_park_that_is_not_probed_would_go_on(scope):
    scheduler = schedule(lane(), wait=True)
    scheduler.close("legal", SHUT)
    scheduler.park(scope, "legal", "qwen-plus", parks(scope, "missing_key"), 0.0, probe=False)
    assert isinstance(scheduler.next(0.0), Drained)


def test_each_row_of_a_closed_workspace_of_which_a_lane_is_parked_too_is_told_of_once():
    scheduler = schedule(lane(model="a", rows=3), lane(model="b", rows=5))
    scheduler.park(Scope.LANE, "legal", "a", parks(Scope.LANE, "model_not_listed"), 0.0, probe=False)
    scheduler.close("legal", SHUT)
    assert names(scheduler.next(0.0)) == [("legal a", "model_not_listed", 3), ("legal", "window_closed", 5)]


@pytest.mark.parametrize("scope", [Scope.LANE, Scope.WORKSPACE, Scope.ACCOUNT])
@pytest.mark.parametrize("closed_first", [True, False])
def test_opening_ends_no_park(scope, closed_first):
    scheduler = schedule(lane())
    if closed_first:
        scheduler.close("legal", SHUT)
    scheduler.park(scope, "legal", "qwen-plus", parks(scope), 0.0, probe=False)
    if not closed_first:
        scheduler.close("legal", SHUT)
    drained = scheduler.next(0.0)
    assert [code for _, code, _ in names(drained)] == ["invalid_api_key"], "its rows are told once: by what a person has to mend"
    scheduler.open("legal")
    assert [code for _, code, _ in names(scheduler.next(0.0))] == ["invalid_api_key"]


@pytest.mark.parametrize("scope", [Scope.LANE, Scope.WORKSPACE, Scope.ACCOUNT])
def test_a_probed_park_is_probed_only_once_the_workspace_is_open_and_then_lets_all_go(scope):
    scheduler = schedule(lane(slots=2), wait=True)
    for ticket in launched(scheduler, 0.0):
        ended(scheduler, ticket, parks(scope), 1.0)
    scheduler.close("legal", SHUT)
    assert launched(scheduler, 500.0) == []
    scheduler.open("legal")
    (probe,) = launched(scheduler, 600.0)
    ended(scheduler, probe, answer(), 601.0)
    assert len(launched(scheduler, 601.0)) == 2


def test_a_probe_that_ends_a_park_while_the_workspace_is_closed_opens_nothing():
    scheduler = schedule(lane("busy"), lane(slots=1))
    (legal,) = [ticket for ticket in launched(scheduler, 0.0) if ticket.workspace == "legal"]
    ended(scheduler, legal, parks(Scope.WORKSPACE), 1.0)
    (probe,) = [ticket for ticket in launched(scheduler, 101.0) if ticket.workspace == "legal"]
    scheduler.close("legal", SHUT)
    ended(scheduler, probe, answer(), 102.0)
    assert launched(scheduler, 102.0) == []
    assert [each.failure.code for each in scheduler.parked()] == ["window_closed"]


def test_hours_while_closed_are_no_hours_of_throttles():
    scheduler = schedule(lane(slots=1))
    (ticket,) = launched(scheduler, 0.0)
    ended(scheduler, ticket, throttled(), 1.0)
    scheduler.close("legal", SHUT)
    scheduler.open("legal")
    (ticket,) = launched(scheduler, 14 * HOUR)
    ended(scheduler, ticket, throttled(), 14 * HOUR)
    assert scheduler.parked() == ()


def test_opening_what_is_not_closed_and_closing_what_has_no_rows_change_nothing():
    scheduler = schedule(lane())
    scheduler.open("legal")
    scheduler.open("nobody")
    scheduler.close("nobody", SHUT)
    assert Events(scheduler, lambda _ticket: (answer(), 1.0)).run() == Drained(())


def test_a_workspace_closed_with_lanes_waiting_for_its_slots_sets_all_of_them_going_again():
    scheduler = schedule(*(lane(model=model, slots=1, rows=5) for model in "abc"))
    (ticket,) = launched(scheduler, 0.0)
    scheduler.close("legal", SHUT)
    ended(scheduler, ticket, answer(), 1.0)
    assert isinstance(scheduler.next(1.0), Drained)
    scheduler.open("legal")
    events = Events(scheduler, lambda _ticket: (answer(), 1.0))
    events.now = 2.0
    assert events.run() == Drained(())
    assert sum(of_workspaces(scheduler.left()).values()) == 0


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["close", "open", "end", "end", "end", "wait"]),
            st.sampled_from(["w0", "w1", "w2"]),
            st.sampled_from([answer(), answer(), again(), throttled(), parks(Scope.WORKSPACE), parks(Scope.LANE)]),
        ),
        max_size=60,
    ),
    st.booleans(),
)
def test_whatever_happens_a_closed_workspace_launches_nothing_and_once_all_are_open_all_gets_done(steps, wait):
    lanes = [lane(f"w{number}", rows=6, slots=2, model=model) for number in range(3) for model in "ab"]
    scheduler = schedule(*lanes, wait=wait)
    now = 0.0
    closed: set[str] = set()
    out: list[Ticket] = []
    for what, name, result in steps:
        if what == "close":
            scheduler.close(name, SHUT)
            closed.add(name)
        elif what == "open":
            scheduler.open(name)
            closed.discard(name)
        elif what == "end" and out:
            ended(scheduler, out.pop(0), result, now)
        else:
            now += 101
        fresh = launched(scheduler, now)
        assert not {ticket.workspace for ticket in fresh} & closed
        assert {each.name for each in scheduler.parked() if each.failure is SHUT} <= closed
        out += fresh
    for name in closed:
        scheduler.open(name)
    for _ in range(400):
        for ticket in out:
            ended(scheduler, ticket, answer(), now)
        now += 101
        out = launched(scheduler, now)
    parked = {each.name.split(" ")[0] for each in scheduler.parked()}
    assert {name for name, left in of_workspaces(scheduler.left()).items() if left} <= (set() if wait else parked)


# Beside an engine.


def wall(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


class Night:
    """An engine with hours, and a deadline, beside it; its virtual clock starts at *start*, in UTC."""

    def __init__(self, *lanes, hours, start, wait=False, deadline=None, set_clock=lambda _now: 0.0, **parts):
        self.start = wall(start)
        self.notes: list[tuple[float, str]] = []
        self.deadline = deadline and read_deadline(deadline)
        self.set_clock = set_clock
        self.bench = benched(*lanes, wait_for_parked=wait, beside=self.beside, **parts)
        self.windows = Windows(
            {name: read_hours(text) for name, text in hours.items()},
            self.bench.scheduler,
            lambda text: self.notes.append((anyio.current_time(), text)),
            self.wall_time,
        )

    def wall_time(self):
        return self.start + anyio.current_time() + self.set_clock(anyio.current_time())

    async def beside(self, engine):
        await by_the_clock(self.windows, self.deadline, engine.wake)

    def run(self):
        async def first():
            self.windows.follow(self.wall_time())
            return await self.bench.drive()

        return run_virtually(first)


def hours_of(starts):
    return [start / HOUR for start in starts]


def test_a_run_started_outside_all_windows_ends_at_once_without_a_call_and_says_until_when():
    night = Night(lane(), lane("sales"), hours=dict.fromkeys(["legal", "sales"], "22:00-08:00 Asia/Shanghai"), start="2026-11-23T02:00")
    drained = night.run()
    assert [(each.name, each.rows, each.failure.message) for each in drained.parked] == [
        (name, 10, "closed until 22:00 (Asia/Shanghai)") for name in ("legal", "sales")
    ]
    assert (night.bench.ended_at, night.bench.ledger.starts) == (0, {})
    assert night.notes == [(0, "legal, sales: closed until 22:00 (Asia/Shanghai)")]


def test_of_hundreds_of_workspaces_that_close_and_open_together_the_first_are_named():
    names = [f"w{number:02}" for number in range(30)]
    night = Night(*map(lane, names), hours=dict.fromkeys(names, "22:00-08:00 UTC"), start="2026-11-23T21:00", wait=True)
    night.run()
    first = ", ".join(names[:20])
    assert [text for _, text in night.notes] == [f"{first}, …: closed until 22:00 (UTC)", f"{first}, …: open"]


def test_a_run_started_outside_its_window_waits_where_it_is_told_to_and_goes_on_by_itself_at_the_opening():
    night = Night(lane(rows=10, slots=2), hours={"legal": "22:00-08:00 UTC"}, start="2026-11-23T12:00", wait=True)
    assert night.run() == Drained(())
    starts = night.bench.endpoint.starts_of("legal")
    assert starts[0] == pytest.approx(10 * HOUR, abs=0.01)
    assert night.bench.ended_at == pytest.approx(10 * HOUR + 5, abs=1)
    assert [text for _, text in night.notes] == ["legal: closed until 22:00 (UTC)", "legal: open"]


def test_a_window_that_closes_lets_what_is_in_flight_end_and_the_other_workspaces_go_on():
    night = Night(
        lane(rows=1000, slots=1),
        lane("sales", rows=1000, slots=1),
        hours={"legal": "22:00-08:00 UTC"},
        start="2026-11-23T07:50",
        endpoint=Scripted(seconds=7.0),
    )
    drained = night.run()
    starts = night.bench.endpoint.starts_of("legal")
    assert 593 <= starts[-1] < 600
    assert (
        len(starts)
        == 1000 - of_workspaces(night.bench.scheduler.left())["legal"]
        == sum(row.startswith("legal/") for row in night.bench.ledger.ids())
    )
    assert night.bench.ended_at == 7000
    assert [(each.name, each.failure.code) for each in drained.parked] == [("legal", "window_closed")]
    assert of_workspaces(night.bench.scheduler.left())["sales"] == 0


def test_a_run_that_waits_calls_within_the_window_of_each_night_and_finishes():
    night = Night(
        lane(rows=3000, slots=1, model="a"),
        lane(rows=3000, slots=1, model="b"),
        hours={"legal": "22:00-08:00 UTC"},
        start="2026-11-23T12:00",
        wait=True,
        endpoint=Scripted(lambda _row, call: again(4 * HOUR) if call == 1 and _row.endswith("/2990") else answer(), seconds=20.0),
    )
    assert night.run() == Drained(())
    starts = hours_of(night.bench.endpoint.starts_of("legal"))
    assert len(starts) == 6002
    assert all(9.999 <= (start % 24) < 20 for start in starts)
    assert max(starts) > 58, "the third night"
    assert sorted(night.bench.ledger.ids()) == sorted(f"legal/{model}/{n}" for model in "ab" for n in range(3000))


def test_workspaces_close_and_open_each_by_its_own_hours():
    hours = {"legal": "13:00-14:00 UTC", "sales": "15:00-16:00 UTC"}
    night = Night(lane(rows=50), lane("sales", rows=50), lane("always", rows=50), hours=hours, start="2026-11-23T12:00", wait=True)
    assert night.run() == Drained(())
    first = {name: round(min(night.bench.endpoint.starts_of(name)) / HOUR, 2) for name in ("legal", "sales", "always")}
    assert first == {"legal": 1, "sales": 3, "always": 0}


def test_a_run_that_waits_only_for_a_workspace_without_a_key_ends_when_the_closed_one_is_done():
    night = Night(lane(), lane("keyless"), hours={"legal": "22:00-08:00 UTC"}, start="2026-11-23T12:00", wait=True)
    night.bench.scheduler.park(Scope.WORKSPACE, "keyless", "qwen-plus", parks(Scope.WORKSPACE, "missing_key"), 0.0, probe=False)
    (parked,) = night.run().parked
    assert (parked.name, parked.failure.code) == ("keyless", "missing_key")
    assert night.bench.ended_at == pytest.approx(10 * HOUR + 3, abs=1)


def test_a_run_that_stands_in_a_backoff_ends_when_its_window_closes():
    night = Night(
        lane(rows=1),
        hours={"legal": "22:00-08:00 UTC"},
        start="2026-11-23T07:59",
        endpoint=Scripted({"legal/qwen-plus/0": [again(10 * HOUR)]}),
    )
    (parked,) = night.run().parked
    assert parked.rows == 1
    assert night.bench.ended_at == pytest.approx(60, abs=0.01)


def test_a_clock_that_is_set_ahead_opens_within_a_minute_and_one_that_is_set_back_closes_again():
    def set_clock(now):
        return 9.9 * HOUR if 1000 <= now < 5000 else 0.0

    night = Night(lane(rows=100_000, slots=1), hours={"legal": "22:00-08:00 UTC"}, start="2026-11-23T12:00", wait=True, set_clock=set_clock)

    async def a_while():
        with anyio.move_on_after(6000):
            await night.bench.drive()

    async def first():
        night.windows.follow(night.wall_time())
        await a_while()

    run_virtually(first)
    starts = night.bench.endpoint.starts_of("legal")
    assert 1000 <= starts[0] <= 1060 + 360
    assert 5000 <= starts[-1] <= 5060


@pytest.mark.parametrize(("start", "edge"), [("2026-11-23T12:00", 10 * HOUR), ("2026-11-24T07:00", HOUR)], ids=["opening", "closing"])
def test_hours_that_begin_or_end_while_the_clock_is_looked_at_are_kept_to_the_second(start, edge):
    looks = []

    def behind_at_first(now):
        looks.extend([now] * (now >= edge))
        return edge - now - 1e-6 if len(looks) == 1 else 0.0

    hours = {"legal": "22:00-08:00 UTC"}
    night = Night(lane(rows=600, slots=1), hours=hours, start=start, wait=True, set_clock=behind_at_first, endpoint=Scripted(seconds=7.0))
    night.run()
    near = [at - edge for at in night.bench.endpoint.starts_of("legal") if abs(at - edge) < HOUR]
    assert min(map(abs, near)) <= 7
    assert all((at >= 0) is (edge == 10 * HOUR) for at in near)


def test_waiting_out_a_day_costs_a_look_a_minute_and_no_more():
    looks = 0

    def counted(_now):
        nonlocal looks
        looks += 1
        return 0.0

    night = Night(lane(), hours={"legal": "22:00-08:00 UTC"}, start="2026-11-23T08:00", wait=True, set_clock=counted)
    night.run()
    assert 14 * 60 <= looks <= 3 * 14 * 60


def test_a_workspace_whose_rows_are_done_closes_without_a_word():
    night = Night(lane(rows=1), lane("sales", rows=400, slots=1), hours={"legal": "22:00-08:00 UTC"}, start="2026-11-23T07:59")
    assert night.run() == Drained(())
    assert night.notes == []


# A deadline.


def test_a_run_too_slow_for_its_deadline_says_so_once_and_when_it_will_be_done():
    night = Night(lane(rows=36_000, slots=4), hours={}, start="2026-11-23T22:00", deadline="23:00 UTC")
    assert night.run() == Drained(())
    ((at, text), *rest) = night.notes
    assert at == 120
    assert text.startswith("the deadline 2026-11-23 23:00 (UTC) will be missed: as it goes now, the run takes until 2026-11-24 00:3")
    assert rest == []


def test_a_workspace_that_is_too_slow_is_told_at_once_however_fast_the_others_are():
    """It had been told when the others were done, five minutes before the deadline."""
    lanes = lane("quick", rows=60_000, slots=20), lane("slow", rows=7200, slots=1)
    night = Night(*lanes, hours={}, start="2026-11-23T22:00", deadline="23:00 UTC")
    night.run()
    ((at, text),) = night.notes
    assert at == 120
    assert text.startswith("the deadline 2026-11-23 23:00 (UTC) will be missed: as it goes now, the run takes until 2026-11-24 00:0")


def test_a_workspace_that_a_shared_quota_limits_is_not_too_slow_where_it_has_the_others_part_once_these_are_done():
    lanes = lane("few", rows=3000, slots=64, account="main"), lane("many", rows=15_000, slots=64, account="main")
    quota = Quota(rpm=600)
    night = Night(*(replace(each, pool_quota=quota) for each in lanes), hours={}, start="2026-11-23T22:00", deadline="22:35 UTC")
    night.run()
    assert night.notes == []
    assert night.bench.ended_at > 1700


def test_a_run_that_gets_faster_says_that_it_fits_again():
    night = Night(
        lane(rows=12_000, slots=4),
        hours={},
        start="2026-11-23T22:00",
        deadline="2026-11-23T23:00:00+00:00",
        endpoint=Scripted(seconds=lambda _row: 5.0 if anyio.current_time() < 600 else 0.5),
    )
    assert night.run() == Drained(())
    assert ["will be missed" in text for _, text in night.notes] == [True, False]
    assert "can be met again" in night.notes[1][1]
    assert night.bench.ended_at < HOUR


def test_a_run_that_is_fast_enough_says_nothing():
    night = Night(lane(rows=10_000, slots=4), hours={}, start="2026-11-23T22:00", deadline="23:00 UTC")
    night.run()
    assert night.notes == []


def test_a_deadline_before_the_next_opening_will_be_missed_from_the_start():
    night = Night(lane(), hours={"legal": "22:00-08:00 UTC"}, start="2026-11-23T12:00", wait=True, deadline="20:00 UTC")
    night.run()
    texts = [text for _, text in night.notes if "deadline" in text]
    assert texts[0] == "the deadline 2026-11-23 20:00 (UTC) will be missed: as it goes now, the run takes until 2026-11-23 22:00 (UTC)"
    assert len(texts) == 1


def test_a_run_whose_window_closes_before_it_is_done_counts_the_day_in():
    night = Night(
        lane(rows=4 * 90 * 11, slots=4),
        hours={"legal": "22:00-08:00 UTC"},
        start="2026-11-23T22:00",
        wait=True,
        deadline="12:00 UTC",
        endpoint=Scripted(seconds=40.0),
    )
    night.run()
    ((at, text), *rest) = [(at, text) for at, text in night.notes if "deadline" in text]
    assert 500 <= at <= 600, "fifty rows"
    hours = ("2026-11-24 22:", "2026-11-24 23:", "2026-11-25 00:")
    assert any(f" the run takes until {hour}" in text for hour in hours), "eleven hours, but for one of the eight last answers"
    assert rest == []


def test_rows_of_a_closed_workspace_are_not_held_against_the_speed_of_those_that_run():
    night = Night(
        lane(rows=1000, slots=4),
        lane("sales", rows=100, slots=4),
        hours={"legal": "12:20-08:00 UTC"},
        start="2026-11-23T12:00",
        wait=True,
        deadline="13:00 UTC",
        endpoint=Scripted(seconds=40.0),
    )
    night.run()
    ((at, _), *_) = [(at, text) for at, text in night.notes if "deadline" in text]
    assert at > 20 * 60, "once it is open, and found to be too slow"


@pytest.mark.parametrize("opens", ["00:00-24:00 UTC", "12:00-12:10 UTC"])
def test_rows_that_wait_for_a_person_are_not_held_against_the_speed_of_those_that_run_nor_waited_for(opens):
    lanes = (lane(rows=1000, slots=4), lane("sales", rows=100_000, slots=4))
    night = Night(*lanes, hours={"sales": opens}, start="2026-11-23T12:00", deadline="13:00 UTC")
    night.bench.scheduler.park(Scope.WORKSPACE, "sales", "qwen-plus", parks(Scope.WORKSPACE), 0.0, probe=False)
    night.run()
    assert [text for _, text in night.notes if "deadline" in text] == []


def test_rows_of_one_model_that_wait_for_a_person_are_not_held_against_the_speed_of_their_workspaces_other_one():
    lanes = (lane(rows=1000, slots=4), lane(rows=100_000, slots=4, model="qwen-max"))
    night = Night(*lanes, hours={}, start="2026-11-23T12:00", deadline="13:00 UTC")
    night.bench.scheduler.park(Scope.LANE, "legal", "qwen-max", parks(Scope.LANE), 0.0, probe=False)
    night.run()
    assert [text for _, text in night.notes if "deadline" in text] == []


def test_what_is_closed_is_not_done_before_the_last_of_it_opens():
    hours = {"legal": "22:00-08:00 UTC", "sales": "23:00-08:00 UTC", "idle": "23:30-08:00 UTC"}
    windows = Windows({name: read_hours(text) for name, text in hours.items()}, schedule())
    assert windows.closures({"legal", "sales"}, wall("2026-11-23T12:00")).opening == wall("2026-11-23T23:00")


def test_hours_in_which_nothing_runs_say_nothing_of_the_speed():
    night = Night(
        lane(rows=4 * 90 * 11, slots=4),
        hours={"legal": "22:00-08:00 UTC"},
        start="2026-11-23T22:00",
        wait=True,
        deadline="2026-11-25T00:30Z",
        endpoint=Scripted(seconds=40.0),
    )
    night.run()
    assert [text for _, text in night.notes if "deadline" in text] == []
    assert night.bench.ended_at == pytest.approx(25 * HOUR, abs=60)


# The whole run.


def job_of(tmp_path, **of_the_job):
    rows = [{"id": f"r-{number}", "prompt": f"Summarise note {number}."} for number in range(20)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Job.model_validate(
        {
            "job": {"input": str(tmp_path / "in.jsonl"), "output": str(tmp_path / "run"), **of_the_job},
            "defaults": {"model": "qwen-plus", "endpoint": "simulator"},
            "workspaces": {"default": {}},
            "simulator": {"latency": {"median": 0.01}},
        }
    )


def test_a_run_outside_its_window_makes_no_call_and_ends_resumable_and_the_same_run_goes_on_within_it(tmp_path):
    now = datetime.now(UTC)
    later = [f"{now + timedelta(hours=hours):%H:%M}" for hours in (2, 3)]
    notes: list[str] = []
    closed = anyio.run(run, job_of(tmp_path, window=f"{later[0]}-{later[1]} UTC"), Wishes(note=notes.append))
    assert (closed.exit_code, closed.statement.total().calls, closed.statement.total().pending) == (4, 0, 20)
    (parked,) = closed.parked
    assert (parked.failure.code, parked.failure.message) == ("window_closed", f"closed until {later[0]} (UTC)")
    assert notes == [f"default: closed until {later[0]} (UTC)"]
    opened = anyio.run(run, job_of(tmp_path, window="00:00-24:00 UTC"), Wishes())
    assert (opened.exit_code, opened.statement.total().answered) == (0, 20)


def test_a_run_whose_deadline_has_passed_says_so_and_goes_on(tmp_path):
    notes: list[str] = []
    ending = anyio.run(run, job_of(tmp_path, deadline="2020-01-01T08:00:00+08:00"), Wishes(note=notes.append))
    assert (ending.exit_code, ending.statement.total().answered) == (0, 20)
    assert notes == ["the deadline 2020-01-01 08:00 (UTC+08:00) has passed, and rows are left"]
