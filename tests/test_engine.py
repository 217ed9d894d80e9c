"""The engine on a virtual clock: lanes, slots, the ledger's room, errors and cancellation, with no file and no socket."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from batchrun.core.errors import LedgerError, StoppedError
from batchrun.core.ledger.attempts import Bound
from batchrun.core.limits.quota import Quota
from batchrun.core.model import Answered, Exhausted, Failure, Fault, Outcome, Rejected, Reply, Scope, Usage
from batchrun.core.money.budget import Cap, Purse
from batchrun.core.protocols.failures import classify
from batchrun.core.scheduling.retry import RetryPolicy
from batchrun.core.scheduling.scheduler import Drained, Scheduler
from batchrun.edge import lost_steps
from batchrun.engine import Prepared, Unreadable, Unsendable
from tests.laboratory import (
    Beginning,
    Bench,
    Listed,
    Script,
    Scripted,
    again,
    answer,
    benched,
    lane,
    parks,
    prepared,
    rejected,
    row_id,
    throttled,
    unreached,
)
from tests.virtual_time import VirtualLoop, run_virtually

HEALTHY = ("alpha", "beta", "gamma")
TROUBLED = ("wrong-key", "unauthorised", "throttled")


def trouble(row, _call, calls):
    match row.split("/")[0]:
        case "wrong-key":
            return parks(Scope.WORKSPACE)
        case "unauthorised":
            return parks(Scope.LANE, "Model.AccessDenied")
        case "throttled":
            calls.append(row)
            return throttled() if len(calls) % 3 == 0 else answer()
        case _:
            return answer()


def six(names, *, seconds=1.0):
    calls: list[str] = []
    lanes = [lane(name, rows=60, slots=4) for name in names]
    return benched(*lanes, endpoint=Scripted(lambda row, call: trouble(row, call, calls), seconds=seconds))


# Lanes.


def test_healthy_workspaces_beside_three_troubled_ones_take_exactly_the_time_they_take_alone():
    together = six((*TROUBLED, *HEALTHY))
    drained = together.run()
    for name in HEALTHY:
        alone = six((name,))
        alone.run()
        assert together.ledger.done_at(name) == alone.ledger.done_at(name) == 15
        assert together.endpoint.starts_of(name) == alone.endpoint.starts_of(name)
    assert {parked.name: parked.rows for parked in drained.parked} == {"wrong-key": 60, "unauthorised qwen-plus": 60}
    assert together.scheduler.left()["throttled", "qwen-plus"] == 0


def test_a_workspace_whose_calls_hang_for_a_minute_delays_no_other():
    bench = six(("hanging", *HEALTHY), seconds=lambda row: 60.0 if row.startswith("hanging/") else 1.0)
    assert bench.run() == Drained(())
    assert {bench.ledger.done_at(name) for name in HEALTHY} == {15}
    assert bench.ledger.done_at("hanging") == 900


def test_every_lane_starts_at_once_though_the_input_is_sorted_by_workspace():
    bench = benched(*(lane(name, rows=50) for name in "abcdef"))
    bench.run()
    assert all(bench.endpoint.starts_of(name)[:4] == [0, 0, 0, 0] for name in "abcdef")


def test_a_retry_waits_in_its_lane_and_holds_no_slot():
    bench = benched(lane(rows=3, slots=1), endpoint=Scripted({"legal/qwen-plus/0": [again(10.0), answer()]}))
    bench.run()
    assert bench.endpoint.started == {"legal/qwen-plus/0": [0, 11], "legal/qwen-plus/1": [1], "legal/qwen-plus/2": [2]}


@pytest.mark.parametrize(("asked", "waited"), [(45, 45), (60, 60), (3600, 60)])
def test_a_retry_after_is_waited_out_and_of_an_hour_a_minute_before_one_tries(asked, waited):
    bench = benched(lane(rows=1), endpoint=Scripted({"legal/qwen-plus/0": [throttled(asked), answer()]}))
    bench.run()
    assert bench.endpoint.started["legal/qwen-plus/0"] == [0, 1 + waited]


# Entries and slots.


def test_an_entry_tells_how_its_last_attempt_went():
    script: Script = {"legal/qwen-plus/0": [throttled(), again(), answer()], "legal/qwen-plus/1": [again(), again()]}
    bench = benched(lane(rows=2), endpoint=Scripted(script, seconds=2.0), retry=RetryPolicy(max_attempts=2))
    bench.run()
    outcomes = {outcome.row.id: outcome for _, outcome in bench.ledger.entries}
    answered, exhausted = outcomes["legal/qwen-plus/0"], outcomes["legal/qwen-plus/1"]
    assert isinstance(answered, Answered)
    assert isinstance(exhausted, Exhausted)
    assert exhausted.call is not None
    assert (answered.call.attempts, answered.call.latency_ms, exhausted.call.attempts) == (2, 2000, 2)
    assert bench.ledger.starts[answered.call.attempt] == answered.row.id
    assert sorted(bench.ledger.ends.values()) == ["again", "again", "answered", "exhausted", "throttled"]


@pytest.mark.parametrize("kind", [Scripted, Beginning])
def test_an_entry_tells_how_long_its_own_call_took(kind):
    bench = benched(lane(rows=3, slots=1), endpoint=kind(seconds=2.0))
    bench.run()
    assert [outcome.call and outcome.call.latency_ms for _, outcome in bench.ledger.entries] == [2000, 2000, 2000]


def test_the_slot_is_held_until_the_entry_is_written_and_handed_on():
    handed: list[str] = []

    async def slowly(outcome):
        assert outcome.row.id in bench.ledger.ids()
        assert outcome.call.attempt in bench.ledger.ends
        if outcome.row.workspace == "slow":
            await anyio.sleep(9)
        handed.append(outcome.row.id)

    bench = benched(lane("slow", rows=5, slots=1), lane("quick", rows=50, slots=1), hand_on=slowly)
    bench.run()
    assert bench.endpoint.starts_of("slow") == [0, 10, 20, 30, 40]
    assert bench.endpoint.starts_of("quick") == list(range(50))
    assert sorted(handed) == sorted(bench.ledger.ids())
    assert len(set(handed)) == 55


def test_a_call_is_noted_before_it_is_sent_and_its_end_before_its_row_is_called_again():
    class Flushed(Listed):
        noted: tuple[str, ...] = ()

        def flush(self):
            super().flush()
            self.noted = (*self.starts,)

    class Noted(Scripted):
        async def send(self, ready):
            calls = [name for name in ledger.noted if ledger.starts[name] == ready.row.id]
            assert [name in ledger.ends for name in calls] == [True] * len(self.started[ready.row.id]) + [False]
            return await super().send(ready)

    ledger = Flushed()
    script: Script = {"legal/qwen-plus/0": [again(), throttled(), answer()]}
    bench = benched(lane(rows=9), endpoint=Noted(script), ledger=ledger)
    assert bench.run() == Drained(())
    assert len(bench.endpoint.started["legal/qwen-plus/0"]) == 3


def test_each_call_ends_in_the_ledger_with_what_it_brought_itself():
    came: list[Reply | Failure] = [again(), throttled(), answer()]
    bench = benched(lane(rows=1), endpoint=Scripted({"legal/qwen-plus/0": came}))
    bench.run()
    assert [*bench.ledger.brought.values()] == came


def test_a_call_ends_when_its_answer_was_read_however_long_its_start_took_to_be_written():
    class Slow(Listed):
        ended_at: float | None = None

        def flush(self):
            super().flush()
            if len(self.starts) > len(self.ends):
                loop = asyncio.get_running_loop()
                assert isinstance(loop, VirtualLoop)
                loop.pass_by(3.0)

        def end(self, attempt, verdict, result, at):
            super().end(attempt, verdict, result, at)
            self.ended_at = at

    ledger = Slow()
    bench = benched(lane(rows=1), ledger=ledger)
    bench.run()
    assert ledger.ended_at == 4
    assert [outcome.call and outcome.call.latency_ms for _, outcome in ledger.entries] == [1000]


@pytest.mark.parametrize("at_rest", [0.0, 0.3], ids=["in the midst of a turn", "while it waits"])
@pytest.mark.parametrize(
    ("said", "answers_until"),
    [(again(), 0), (unreached(), 0), (unreached(), 5), (throttled(), 0), (throttled(), 5), (parks(Scope.WORKSPACE), 5)],
)
def test_time_in_which_the_process_was_stopped_is_no_time_of_failures_or_refusals(said, answers_until, at_rest):
    """A container that is paused for a day: what had failed for some seconds before, and fails for some after, has not failed for a day."""
    day = 86400.0

    async def stopped(_engine):
        await anyio.sleep(20 + at_rest)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.pass_by(day)

    def brings(_row, _call):
        return said if answers_until <= anyio.current_time() < day + 60 else answer()

    bench = benched(lane(rows=200), endpoint=Scripted(brings, seconds=0.5), beside=stopped)
    assert bench.run().parked == ()
    assert bench.ended_at > day + 60
    assert bench.scheduler.left()["legal", "qwen-plus"] == 0


def test_what_fails_for_too_long_parks_however_often_the_process_is_held_up_for_a_while():
    async def held_up(_engine):
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        while True:
            await anyio.sleep(20)
            loop.pass_by(10)

    bench = benched(lane(rows=200), endpoint=Scripted(lambda _row, _call: unreached(), seconds=0.5), beside=held_up)
    (parked,) = bench.run().parked
    assert (parked.rows, bench.ended_at < 200) == (200, True)


def test_a_call_that_is_not_promised_on_the_disk_waits_for_it_and_no_other_does():
    async def on_the_disk(_row):
        await anyio.sleep(5)

    class Promising(Bench):
        def _ports(self):
            return replace(super()._ports(), promise=lambda row, _most: not row.id.endswith("/0"), promised=on_the_disk)

    bench = Promising(Scheduler([lane(rows=3, slots=2)], RetryPolicy()))
    assert bench.run() == Drained(())
    assert bench.endpoint.started == {"legal/qwen-plus/0": [5], "legal/qwen-plus/1": [0], "legal/qwen-plus/2": [1]}


def test_a_call_that_waited_for_its_promise_is_not_sent_into_a_refusal_that_came_meanwhile():
    waited: set[str] = set()

    async def on_the_disk(row):
        await anyio.sleep(5)
        waited.add(row.id)

    class Promising(Bench):
        def _ports(self):
            return replace(super()._ports(), promise=lambda row, _most: row.id.endswith("/0") or row.id in waited, promised=on_the_disk)

    endpoint = Scripted({"legal/qwen-plus/0": [throttled(60.0)]})
    bench = Promising(Scheduler([lane(rows=2, slots=2)], RetryPolicy()), endpoint)
    assert bench.run() == Drained(())
    assert endpoint.started["legal/qwen-plus/1"] == [61], "the row goes back to the front"
    assert [at for at in endpoint.started["legal/qwen-plus/0"] if at < 61] == [0]
    assert len(bench.ledger.starts) == 3


def test_a_call_that_waited_for_its_promise_is_not_sent_once_the_run_stops():
    async def on_the_disk(_row):
        await anyio.sleep(5)

    async def stop(engine):
        await anyio.sleep(2)
        bench.scheduler.stop()
        engine.wake()

    class Promising(Bench):
        def _ports(self):
            return replace(super()._ports(), promise=lambda _row, _most: False, promised=on_the_disk)

    bench = Promising(Scheduler([lane(rows=2, slots=2)], RetryPolicy()), beside=stop)
    assert bench.run() == Drained(())
    assert (bench.ledger.starts, bench.scheduler.left()) == ({}, {("legal", "qwen-plus"): 2})


def test_a_call_is_funded_before_it_is_noted_and_one_that_is_beyond_the_budget_is_neither_noted_nor_sent_and_holds_no_slot():
    funded: list[str] = []

    def fund(asked, at):
        assert asked, "asked for nothing"
        for ticket, most in asked:
            assert (most, at) == (Bound(1, 1), 7.0)
            assert row_id(ticket) not in bench.ledger.starts.values()
            funded.append(row_id(ticket))
        return ()

    class Funding(Bench):
        def _ports(self):
            return replace(super()._ports(), fund=fund, wall_time=lambda: 7.0)

    class Timed(Listed):
        def start(self, row, most, at):
            assert (at, row.id in funded) == (7.0, row.id.startswith("legal/"))
            return super().start(row, most, 0.0)

    budget = replace(lane(rows=10), purses=(Purse(Cap("workspaces.legal.budget", Decimal(7), "tokens")),))
    endpoint = Scripted(lambda _row, _call: replace(answer(), usage=Usage(1, 1)))
    bench = Funding(Scheduler([budget, lane("free", rows=10)], RetryPolicy()), endpoint, ledger=Timed())
    (parked,) = bench.run().parked
    assert (parked.name, parked.rows, parked.failure.code) == ("legal qwen-plus", 7, "budget_spent")
    assert Counter(row.split("/")[0] for row in bench.ledger.starts.values()) == {"legal": 3, "free": 10}
    assert (len(funded) > 3, bench.scheduler.in_flight) == (True, 0)


def test_calls_wait_for_the_books_of_budgets_that_another_has_and_no_others_do_and_none_is_sent_once_the_run_stops():
    async def free():
        await anyio.sleep(60 - anyio.current_time())

    def in_use(asked, _at):
        return range(len(asked)) if anyio.current_time() < 60 else ()

    class Funding(Bench):
        def _ports(self):
            return replace(super()._ports(), fund=in_use, free=free)

    async def stop(engine):
        await anyio.sleep(2)
        bench.scheduler.stop()
        engine.wake()

    budget = replace(lane(rows=10, slots=2), purses=(Purse(Cap("workspaces.legal.budget", Decimal(10_000), "tokens")),))
    endpoint = Scripted(seconds=1)
    bench = Funding(Scheduler([budget, lane("free", rows=30, slots=1)], RetryPolicy()), endpoint)
    assert bench.run() == Drained(())
    assert endpoint.started["legal/qwen-plus/0"] == endpoint.started["legal/qwen-plus/1"] == [60]
    assert [endpoint.started[f"free/qwen-plus/{number}"] for number in range(30)] == [[number] for number in range(30)]
    bench = Funding(Scheduler([budget], RetryPolicy()), beside=stop)
    assert bench.run() == Drained(())
    assert (bench.ledger.starts, bench.scheduler.left()) == ({}, {("legal", "qwen-plus"): 10})


@pytest.mark.parametrize("kind", [Scripted, Beginning])
@pytest.mark.parametrize("seconds", [5.0, 50.0])
@pytest.mark.parametrize("holder", ["quota", "workspace_quota", "pool_quota"])
def test_rows_that_need_less_than_was_thought_wait_for_what_they_need_though_no_call_ends_meanwhile(kind, seconds, holder):
    """Thirty thousand tokens are taken for a line that is full of pictures, until it is read."""

    def prepare(ticket):
        ready = prepared(ticket)
        assert isinstance(ready, Prepared)
        return replace(ready, tokens=600.0)

    def latest_start(thought):
        parts: dict[str, Any] = {"tokens": lambda _ordinal: thought, holder: Quota(tpm=60_000)}
        bench = benched(replace(lane(rows=60, slots=60), **parts), endpoint=kind(seconds=seconds), prepare=prepare)
        bench.run()
        return bench.endpoint.starts_of("legal")[-1]

    assert latest_start(900.0) <= 1.2 * latest_start(600.0)
    assert latest_start(30_000.0) <= 1.8 * latest_start(600.0)


def test_only_outcomes_are_handed_on_and_each_once():
    handed: list[Outcome] = []

    async def take(outcome):
        handed.append(outcome)

    script: Script = {"legal/qwen-plus/0": [throttled(), again(), answer()], "legal/qwen-plus/1": [rejected()]}
    bench = benched(lane(rows=3), endpoint=Scripted(script), hand_on=take)
    bench.run()
    assert handed == [outcome for _, outcome in bench.ledger.entries]
    assert len(handed) == 3


def test_an_error_of_whom_outcomes_are_handed_to_ends_the_run_after_the_entry_is_written():
    async def refuse(_outcome):
        raise ConnectionResetError

    bench = benched(lane(rows=9, slots=2), hand_on=refuse)
    with pytest.raises(BaseExceptionGroup) as caught:
        bench.run()
    assert caught.group_contains(ConnectionResetError)
    assert len(bench.ledger.entries) <= 2
    assert len(bench.ledger.ends) == len(bench.ledger.entries)


def test_a_ledger_without_room_stops_launching_until_it_wakes_the_engine():
    async def make_room(engine):
        await anyio.sleep(30)
        bench.ledger.full = lambda _ledger: False
        await anyio.sleep(30)
        engine.wake()

    bench = benched(lane(rows=12), ledger=Listed(full=lambda ledger: len(ledger.entries) >= 4), beside=make_room)
    assert bench.run() == Drained(())
    starts = bench.endpoint.starts_of("legal")
    assert sum(at < 60 for at in starts) < 8, "what was in flight when the ledger was full, and nothing more"
    assert all(at >= 60 or at <= 1 for at in starts)
    assert len(bench.ledger.entries) == 12


def test_a_ledger_that_cannot_write_ends_the_run_with_its_error_and_sends_nothing_more():
    bench = benched(lane("a", rows=60), lane("b", rows=60), ledger=Listed(breaks_at=13))
    with pytest.raises(BaseExceptionGroup) as caught:
        bench.run()
    assert caught.group_contains(LedgerError, match="No space left")
    assert caught.value.split(LedgerError)[1] is None
    assert len(bench.ledger.entries) == 13
    assert max(bench.endpoint.starts_of("a") + bench.endpoint.starts_of("b")) <= 1
    assert (len(bench.ledger.starts), len(bench.ledger.ends)) == (16, 8), "an answer without an entry stays in doubt"


# Rows that no call would help.


def refusing(failure, refused=lambda row: row.endswith(("/1", "/3"))):
    """Prepare rows, those that *refused* names as unsendable."""

    def prepare(ticket):
        ready = prepared(ticket)
        assert isinstance(ready, Prepared)
        return Unsendable(ready.row, failure) if refused(ready.row.id) else ready

    return prepare


def test_a_row_that_cannot_be_sent_is_rejected_before_any_call_and_the_others_go_on():
    handed: list[Outcome] = []

    async def take(outcome):
        handed.append(outcome)

    failure = rejected("request_too_large")
    bench = benched(lane(rows=5, slots=1), prepare=refusing(failure), hand_on=take)
    assert bench.run() == Drained(())
    outcomes = {outcome.row.id.rpartition("/")[2]: outcome for _, outcome in bench.ledger.entries}
    unsent = [outcomes["1"], outcomes["3"]]
    assert unsent == [Rejected(outcome.row, failure, None) for outcome in unsent]
    assert all(isinstance(outcomes[name], Answered) for name in "024")
    assert sorted(bench.ledger.starts.values()) == sorted(bench.endpoint.started) == [f"legal/qwen-plus/{n}" for n in (0, 2, 4)]
    assert handed == [outcome for _, outcome in bench.ledger.entries]
    assert (bench.scheduler.left(), bench.scheduler.in_flight) == ({("legal", "qwen-plus"): 0}, 0)


def test_rows_that_cannot_be_sent_cost_no_time_and_hold_no_slot():
    bench = benched(lane(rows=300, slots=2), prepare=refusing(rejected(), lambda row: int(row.rpartition("/")[2]) % 3 != 0))
    bench.run()
    assert bench.ended_at == 50, "100 rows at 2 a second"


def test_a_lane_without_a_route_is_parked_without_a_call_or_an_entry_and_its_rows_stay_pending():
    failure = parks(Scope.LANE, "no_route")
    bench = benched(lane("a", rows=30), lane("b", rows=30), prepare=refusing(failure, lambda row: row.startswith("a/")))
    (parked,) = bench.run().parked
    assert (parked.name, parked.rows, parked.failure.code) == ("a qwen-plus", 30, "no_route")
    assert all(row.startswith("b/") for row in bench.ledger.ids())
    assert len(bench.ledger.starts) == 30


def test_twenty_rows_that_cannot_be_sent_for_one_reason_park_their_lane():
    bench = benched(lane(rows=1000), prepare=refusing(rejected("cannot_carry"), lambda _row: True))
    (parked,) = bench.run().parked
    assert parked.rows == 980
    assert (len(bench.ledger.entries), bench.ledger.starts) == (20, {})


def test_a_row_that_cannot_be_read_for_the_moment_waits_out_its_backoff_and_is_sent():
    looks: Counter[str] = Counter()

    def passing(row):
        looks[row] += 1
        return looks[row] < 3

    bench = benched(lane(rows=1), prepare=refusing(again(10.0), passing))
    bench.run()
    assert bench.endpoint.started == {"legal/qwen-plus/0": [20]}
    assert len(bench.ledger.starts) == 1


def test_a_row_that_can_never_be_read_is_exhausted_without_a_call_and_so_pending_again_at_the_next_opening():
    bench = benched(lane(rows=1), prepare=refusing(again(), lambda _row: True), retry=RetryPolicy(max_attempts=3))
    assert bench.run() == Drained(())
    ((_, outcome),) = bench.ledger.entries
    assert outcome == Exhausted(outcome.row, again(), None)
    assert bench.ledger.starts == {}


# Answers that are checked.


def checking(verdicts):
    """Prepare rows whose answers are refused with each of the row's *verdicts* in turn, and taken after that."""
    left = {row: list(failures) for row, failures in verdicts.items()}

    def prepare(ticket):
        ready = prepared(ticket)
        assert isinstance(ready, Prepared)
        due = left.get(ready.row.id, [])
        return replace(ready, check=lambda reply: due.pop(0) if due else replace(reply, parsed={"fits": True}))

    return prepare


def refused(fault):
    return Failure(fault, Scope.ROW, "schema_mismatch", "$: empty", "loosen it", status=200, reply=answer())


def test_a_refused_answer_is_asked_for_again_at_once_before_new_rows_and_uses_up_no_attempt():
    row = "legal/qwen-plus/0"
    bench = benched(lane(rows=3, slots=1), prepare=checking({row: [refused(Fault.REASK)] * 2}), retry=RetryPolicy(max_attempts=1))
    bench.run()
    assert bench.endpoint.started == {row: [0, 1, 2], "legal/qwen-plus/1": [3], "legal/qwen-plus/2": [4]}
    assert bench.ledger.ends == {"1-1": "reasked", "1-2": "reasked", "1-3": "answered", "1-4": "answered", "1-5": "answered"}
    _, outcome = bench.ledger.entries[0]
    assert isinstance(outcome, Answered)
    assert (outcome.call.attempt, outcome.call.attempts, outcome.reply.parsed) == ("1-3", 1, {"fits": True})


def test_a_refused_answer_that_is_not_asked_for_again_is_an_entry_with_what_was_paid_for():
    row, last = "legal/qwen-plus/0", refused(Fault.REJECT)
    bench = benched(lane(rows=1), prepare=checking({row: [refused(Fault.REASK), last]}))
    bench.run()
    ((_, outcome),) = bench.ledger.entries
    assert isinstance(outcome, Rejected)
    assert outcome.failure is last
    assert outcome.call is not None
    assert outcome.call.attempt == "1-2"
    assert bench.ledger.ends == {"1-1": "reasked", "1-2": "rejected"}


def test_only_whole_answers_are_checked():
    def check(reply):
        assert isinstance(reply, Reply)
        return reply

    def prepare(ticket):
        ready = prepared(ticket)
        assert isinstance(ready, Prepared)
        return replace(ready, check=check)

    script: Script = {"legal/qwen-plus/0": [throttled(), again(), answer()], "legal/qwen-plus/1": [rejected()]}
    bench = benched(lane(rows=2), endpoint=Scripted(script), prepare=prepare)
    bench.run()
    assert sorted(bench.ledger.ends.values()) == ["again", "answered", "rejected", "throttled"]


def test_after_each_call_it_is_said_whether_its_row_is_done_or_will_be_sent_again():
    said = []

    def prepare(ticket):
        ready = prepared(ticket)
        assert isinstance(ready, Prepared)
        row = ready.row.id.rpartition("/")[2]
        return replace(ready, done=lambda: said.append(f"{row} done"), again=lambda: said.append(f"{row} again"))

    script: Script = {"legal/qwen-plus/0": [throttled(), again(), answer()], "legal/qwen-plus/1": [rejected()]}
    benched(lane(rows=2), endpoint=Scripted(script), prepare=prepare).run()
    assert sorted(said) == ["0 again", "0 again", "0 done", "1 done"]


def test_what_an_answer_cost_is_told_with_how_many_calls_its_workspace_had_in_flight():
    told = []

    def prepare(ticket):
        ready = prepared(ticket)
        assert isinstance(ready, Prepared)
        return replace(ready, learn=lambda usage, in_flight: told.append((ticket.workspace, usage, in_flight)))

    benched(lane(rows=4, slots=3), lane("hr", rows=1), prepare=prepare).run()
    assert sorted(told) == [("hr", answer().usage, 1), *(("legal", answer().usage, each) for each in (1, 3, 3, 3))]


def test_what_a_row_would_be_expected_to_cost_by_now_is_told_with_its_end():
    tickets = []

    def prepare(ticket):
        tickets.append(ticket)
        ready = prepared(ticket)
        assert isinstance(ready, Prepared)
        return replace(ready, learn=lambda _usage, _in_flight: 40.0 + ticket.ordinal)

    benched(lane(rows=3), prepare=prepare).run()
    assert [ticket.expected for ticket in tickets] == [40.0, 41.0, 42.0]


# Ends.


def cancelled_at(seconds, bench):
    async def main():
        with anyio.move_on_after(seconds) as scope:
            await bench.drive()
        return scope.cancelled_caught

    return run_virtually(main)


def test_a_cancelled_attempt_leaves_a_start_without_an_end_and_its_row_is_left():
    bench = benched(lane(rows=10, slots=2))
    assert cancelled_at(1.5, bench)
    assert len(bench.ledger.starts) == 4
    assert bench.ledger.ends == {"1-1": "answered", "1-2": "answered"}
    assert bench.scheduler.left() == {("legal", "qwen-plus"): 8}
    assert bench.scheduler.in_flight == 0


def test_a_run_cancelled_while_an_answer_is_read_keeps_that_answer_and_sends_nothing_more():
    """The other worker rests at that moment, because the ledger was full: it is cancelled before the one that reads has gone on."""

    scopes: list[anyio.CancelScope] = []

    def read(row, _call):
        if row.endswith("/1"):
            bench.ledger.full = lambda _ledger: False
            scopes[0].cancel()
        return answer()

    async def main():
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            await bench.drive()
        return scope.cancelled_caught

    seconds = {"legal/qwen-plus/0": 1.0, "legal/qwen-plus/1": 2.0}
    endpoint = Scripted(read, seconds=lambda row: seconds.get(row, 60.0))
    bench = benched(lane(rows=30), endpoint=endpoint, ledger=Listed(full=lambda ledger: bool(ledger.entries)))
    assert run_virtually(main)
    assert bench.ledger.ids() == list(seconds)
    assert (len(bench.ledger.starts), len(bench.ledger.ends), bench.scheduler.in_flight) == (4, 2, 0)


def test_an_answer_that_no_check_can_take_ends_the_run_and_the_others_that_came_with_it_are_kept():
    def broken(_reply):
        raise ArithmeticError("no check should")

    def prepare(ticket):
        ready = prepared(ticket)
        assert isinstance(ready, Prepared)
        return replace(ready, check=broken) if ready.row.id.endswith("/1") else ready

    bench = benched(lane(rows=4, slots=4), prepare=prepare)
    with pytest.raises(ExceptionGroup) as ended:
        bench.run()
    assert ended.group_contains(ArithmeticError)
    assert sorted(bench.ledger.ids()) == ["legal/qwen-plus/0", "legal/qwen-plus/2", "legal/qwen-plus/3"]


@pytest.mark.parametrize("poor", ["1", "13", "0123"])
def test_entries_that_cannot_be_written_end_the_run_and_the_others_that_came_with_them_are_kept_with_their_ends(poor):
    class Poor(Listed):
        def append(self, outcome, now):
            if outcome.row.id[-1] in poor:
                raise StoppedError("there was no memory left")
            super().append(outcome, now)

    bench = benched(lane(rows=9, slots=5), ledger=Poor())
    with pytest.raises(ExceptionGroup) as ended:
        bench.run()
    assert ended.group_contains(StoppedError)
    assert sorted(bench.ledger.ids()) == [f"legal/qwen-plus/{row}" for row in "01234" if row not in poor]
    assert sorted(bench.ledger.starts[name] for name in bench.ledger.ends) == sorted(bench.ledger.ids())


# Calls that are begun.


def test_calls_that_are_begun_come_to_what_those_that_are_waited_for_come_to_without_a_worker():
    script: Script = {"legal/qwen-plus/0": [throttled(), again(2.0), answer()], "legal/qwen-plus/3": [rejected()]}
    runs = [benched(lane(rows=30), lane("b", rows=9), endpoint=kind(script)) for kind in (Scripted, Beginning)]
    assert [bench.run() for bench in runs] == [Drained(())] * 2
    waited_for, begun = runs
    assert waited_for.endpoint.started == begun.endpoint.started
    assert sorted(waited_for.ledger.ids()) == sorted(begun.ledger.ids())
    assert Counter(waited_for.ledger.ends.values()) == Counter(begun.ledger.ends.values())
    assert {at for at, _ in waited_for.ledger.entries} == {at for at, _ in begun.ledger.entries}
    assert (begun.endpoint.workers, begun.scheduler.in_flight) == (set(), 0)


@pytest.mark.parametrize("slots", [1, 2])
def test_an_answer_to_a_begun_call_is_taken_in_when_it_comes_be_it_alone_or_with_another(slots):
    bench = benched(lane(rows=3 * slots, slots=slots), endpoint=Beginning())
    assert bench.run() == Drained(())
    assert bench.endpoint.starts_of("legal") == sorted([0.0, 1.0, 2.0] * slots)


def test_of_a_begun_call_what_is_not_there_yet_is_waited_for_and_counted_in_its_time():
    bench = benched(lane(rows=4, slots=4), endpoint=Beginning(rests=lambda row: row.endswith("/1")))
    assert bench.run() == Drained(())
    took = {outcome.row.id[-1]: outcome.call and outcome.call.latency_ms for _, outcome in bench.ledger.entries}
    assert took == {"0": 1000, "1": 1500, "2": 1000, "3": 1000}


@pytest.mark.parametrize("rests", [False, True], ids=["whole", "in part"])
def test_a_cancelled_run_ends_the_calls_that_it_had_begun_and_leaves_them_without_an_end(rests):
    bench = benched(lane(rows=10, slots=2), endpoint=Beginning(rests=lambda row: rests and row[-1] in "23"))
    assert cancelled_at(2.2 if rests else 1.5, bench)
    assert bench.ledger.ends == {"1-1": "answered", "1-2": "answered"}
    assert len(bench.ledger.starts) == 4
    assert isinstance(bench.endpoint, Beginning)
    assert [call.aborted for call in bench.endpoint.calls] == [False, False, not rests, not rests], "a worker ends what it waits for"
    assert bench.scheduler.left() == {("legal", "qwen-plus"): 8}
    assert bench.scheduler.in_flight == 0


def test_a_run_cancelled_when_answers_to_begun_calls_have_come_keeps_those_and_ends_the_others():
    async def stop(_engine):
        # In the very turn of the loop in which they come.
        asyncio.get_running_loop().call_at(1.0, scopes[0].cancel)

    async def main():
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            await bench.drive()
        return scope.cancelled_caught

    scopes: list[anyio.CancelScope] = []
    endpoint = Beginning(seconds=lambda row: 1.0 if row[-1] in "012" else 9.0, rests=lambda row: row[-1] == "2")
    bench = benched(lane(rows=30, slots=5), endpoint=endpoint, beside=stop)
    assert run_virtually(main)
    assert sorted(bench.ledger.ids()) == ["legal/qwen-plus/0", "legal/qwen-plus/1"]
    assert [call.aborted for call in endpoint.calls] == [False, False, True, True, True]
    assert (len(bench.ledger.starts), len(bench.ledger.ends), bench.scheduler.in_flight) == (5, 2, 0)


def test_an_engine_that_has_something_to_do_in_every_turn_is_not_taken_for_a_task_that_lost_a_step(monkeypatch):
    monkeypatch.setattr(lost_steps, "_LOOK_EVERY", 0.01)
    monkeypatch.setattr(lost_steps, "_TURNS", 20)
    ended: list[None] = []

    async def beside(_engine):
        with lost_steps.told(partial(ended.append, None)):
            await anyio.sleep_forever()

    async def main():
        task = asyncio.current_task()
        assert task is not None
        task.set_name("batchrun.running.one_run")
        await bench.drive()

    unbounded = replace(lane(rows=100 * 64, slots=1000), pool_quota=Quota(rpm=1e9))
    bench = benched(unbounded, endpoint=Beginning(seconds=0.0), beside=beside)
    anyio.run(main)
    assert len(bench.ledger.entries) == 100 * 64
    assert not ended


@pytest.mark.parametrize("broken", ["1", "13", "0123"])
def test_answers_to_begun_calls_that_cannot_be_read_end_the_run_and_the_others_that_came_with_them_are_kept(broken):
    def read(row, _call):
        if row[-1] in broken:
            raise ArithmeticError("no reading should")
        return answer()

    bench = benched(lane(rows=5, slots=5), endpoint=Beginning(read))
    with pytest.raises(ExceptionGroup) as ended:
        bench.run()
    assert ended.group_contains(ArithmeticError)
    assert sorted(bench.ledger.ids()) == [f"legal/qwen-plus/{row}" for row in "01234" if row not in broken]
    assert bench.scheduler.in_flight == 0


def test_a_run_cancelled_while_it_is_being_woken_sends_nothing_more():
    scopes: list[anyio.CancelScope] = []

    async def make_room(engine):
        await anyio.sleep(5)
        bench.ledger.full = lambda _ledger: False
        engine.wake()
        scopes[0].cancel()

    async def main():
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            await bench.drive()
        return scope.cancelled_caught

    endpoint = Scripted(seconds=lambda row: 1.0 if row.endswith("/0") else 60.0)
    bench = benched(lane(rows=30), endpoint=endpoint, ledger=Listed(full=lambda ledger: bool(ledger.entries)), beside=make_room)
    assert run_virtually(main)
    assert (len(bench.ledger.starts), len(bench.ledger.ends), bench.scheduler.in_flight) == (4, 1, 0)


def test_a_run_cancelled_between_two_turns_that_follow_at_once_sends_nothing_more():
    def prepare(ticket):
        if ticket.ordinal:
            return prepared(ticket)
        # The next turn follows at once. As what a socket or a signal brings, this comes after what lets it.
        loop = asyncio.get_running_loop()
        loop.call_at(loop.time(), scopes[0].cancel)
        return Unreadable("the input was cut")

    async def main():
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            await bench.drive()
        return scope.cancelled_caught

    scopes: list[anyio.CancelScope] = []
    bench = benched(lane(rows=10, slots=2), prepare=prepare)
    assert run_virtually(main)
    assert list(bench.ledger.starts.values()) == ["legal/qwen-plus/1"]
    assert bench.scheduler.in_flight == 0


def test_a_stop_lets_what_is_in_flight_end_and_launches_nothing_more():
    async def stop(engine):
        await anyio.sleep(1.5)
        bench.scheduler.stop()
        engine.wake()

    bench = benched(lane(rows=40, slots=4), beside=stop)
    assert bench.run() == Drained(())
    assert (len(bench.ledger.entries), bench.ended_at) == (8, 2)
    assert bench.scheduler.left() == {("legal", "qwen-plus"): 32}


def test_a_stop_does_not_wait_out_a_backoff():
    async def stop(engine):
        await anyio.sleep(5)
        bench.scheduler.stop()
        engine.wake()

    bench = benched(lane(rows=1), endpoint=Scripted({"legal/qwen-plus/0": [again(3600)]}), beside=stop)
    bench.run()
    assert bench.ended_at == 5


def test_rows_that_cannot_be_read_are_counted_and_dropped_and_the_run_ends():
    def prepare(ticket):
        return Unreadable(f"row {ticket.ordinal} changed") if ticket.ordinal % 2 else prepared(ticket)

    bench = benched(lane(rows=11, slots=3), prepare=prepare)
    assert bench.run() == Drained(())
    assert bench.unreadable == [f"row {ordinal} changed" for ordinal in (1, 3, 5, 7, 9)]
    assert len(bench.ledger.entries) == len(bench.ledger.starts) == 6
    assert bench.scheduler.left() == {("legal", "qwen-plus"): 0}


def test_a_run_of_unreadable_rows_alone_ends():
    bench = benched(lane(rows=5000), prepare=lambda _ticket: Unreadable("the input changed"))
    assert bench.run() == Drained(())
    assert (len(bench.unreadable), bench.ended_at) == (5000, 0)


def gone(_ticket):
    return Unreadable("the input changed")


def unfit(ticket):
    ready = prepared(ticket)
    assert isinstance(ready, Prepared)
    return Unsendable(ready.row, rejected(f"code-{ticket.ordinal % 7}"))


@pytest.mark.parametrize(("prepare", "slots"), [(gone, 4), (gone, 1000), (unfit, 64)])
def test_sockets_and_signals_have_their_turns_however_many_rows_go_at_once(prepare, slots):
    others = 0

    async def beside(_engine):
        nonlocal others
        while True:
            await checkpoint()
            others += 1

    bench = benched(lane(rows=5000, slots=slots), prepare=prepare, beside=beside)
    bench.run()
    assert others >= 5000 / 64


def test_a_run_of_nothing_ends_at_once():
    bench = benched()
    assert bench.run() == Drained(())
    assert bench.ended_at == 0


def test_a_parked_workspace_is_probed_on_time_while_nothing_else_happens_for_long():
    """The alarm alone wakes the engine: the other workspace's only call hangs for an hour."""
    scripted = Scripted({"legal/qwen-plus/0": [parks(Scope.WORKSPACE)]}, seconds=lambda row: 3600.0 if row.startswith("hangs/") else 1.0)
    bench = benched(lane("hangs", rows=1), lane(rows=3, slots=1), endpoint=scripted)
    assert bench.run() == Drained(())
    assert bench.endpoint.starts_of("legal") == [0, 301, 302, 303]


# Size.


def test_workers_are_never_more_than_the_most_that_was_in_flight():
    bench = benched(lane("a", rows=100, slots=3), lane("b", rows=100, slots=5), endpoint=Scripted(seconds=lambda row: 1.0 + len(row) % 3))
    bench.run()
    assert bench.endpoint.most == {"a": 3, "b": 5}
    assert len(bench.endpoint.workers) <= bench.endpoint.most_open == 8


@pytest.mark.timeout(300)  # What it may take is told in its own seconds, however busy the machine is.
def test_twenty_thousand_rows_with_mixed_faults_are_each_answered_once_in_seconds():
    dice = random.Random(7)
    results = [throttled()] * 5 + [again()] * 3 + [again(20.0)] + [answer()] * 91
    workspaces = [f"w{number}" for number in range(8)]
    bench = benched(
        *(lane(name, rows=2_500, slots=16) for name in workspaces),
        endpoint=Scripted(
            lambda _row, _call: dice.choice(results), seconds=lambda _row: 60.0 if dice.random() < 0.005 else dice.uniform(0.5, 2.0)
        ),
        retry=RetryPolicy(max_attempts=12),
    )
    began = time.process_time()
    assert bench.run() == Drained(())
    assert time.process_time() - began < 12
    assert sorted(bench.ledger.ids()) == sorted(f"{name}/qwen-plus/{ordinal}" for name in workspaces for ordinal in range(2_500))
    assert all(isinstance(outcome, Answered) and isinstance(outcome.reply, Reply) for _, outcome in bench.ledger.entries)
    assert set(bench.endpoint.most.values()) <= set(range(1, 17))
    assert bench.ledger.starts.keys() == bench.ledger.ends.keys()
    assert len(bench.endpoint.workers) <= 8 * 16


def test_a_row_in_doubt_is_held_and_ends_the_run_without_an_entry_or_another_call():
    doubtful = replace(again(), in_doubt=True)
    script: Script = {"legal/qwen-plus/0": [again(), doubtful, answer()]}
    bench = benched(lane(rows=2), endpoint=Scripted(script), retry=RetryPolicy(hold_in_doubt=True))
    assert bench.run() == Drained(())
    assert len(bench.endpoint.started["legal/qwen-plus/0"]) == 2
    assert bench.ledger.ids() == ["legal/qwen-plus/1"]
    assert sorted(bench.ledger.ends.values()) == ["again", "answered", "held"]


def test_a_row_of_which_too_many_calls_may_have_been_billed_ends_with_an_entry_that_says_so_and_one_of_too_many_attempts_does_not():
    timed_out = classify(500, "InternalError.Timeout", "more than 300 s")
    script: Script = {"legal/qwen-plus/0": [again(), timed_out, timed_out, timed_out, answer()], "legal/qwen-plus/1": [again()] * 7}
    bench = benched(lane(rows=2), endpoint=Scripted(script, seconds=1.0), retry=RetryPolicy())
    assert bench.run() == Drained(())
    ended = {outcome.row.id: outcome for _, outcome in bench.ledger.entries}
    given_up, tried = ended["legal/qwen-plus/0"], ended["legal/qwen-plus/1"]
    assert isinstance(given_up, Exhausted)
    assert isinstance(tried, Exhausted)
    assert given_up.failure.message == "given up after 3 calls that may each have been billed: more than 300 s"
    assert given_up.call is not None
    assert given_up.call.attempts == 4
    assert tried.failure == again()


def test_a_process_that_does_nothing_but_work_is_known_to_be_what_answers_wait_for():
    told: list[bool] = []
    spent = [0.0]

    def send(row, _call):
        told.append(bench.scheduler.pressed)
        spent[0] += 0.9 if 20 <= len(told) < 40 else 0.1
        return answer()

    bench = benched(lane(rows=60, slots=1), endpoint=Scripted(send))
    bench.busy_time = lambda: spent[0]
    bench.run()
    assert told == [False] * 20 + [True] * 20 + [False] * 20


def test_what_a_rate_lets_go_within_three_milliseconds_goes_in_one_turn_and_at_the_same_rate():
    quick = replace(lane(rows=6000, slots=128), pool_quota=Quota(rpm=120_000))
    bench = benched(quick, endpoint=Scripted(seconds=0.03))
    bench.run()
    starts = bench.endpoint.starts_of("legal")
    steady = [at for at in starts if at > bench.ended_at / 2]
    assert len(set(steady)) <= len(steady) / 3
    assert (len(steady) - 1) / (steady[-1] - steady[0]) >= 0.99 * 0.995 * 2000
