"""Six workspaces of which three are in trouble, in virtual time: the engine and the scheduler with an endpoint that is a function."""

from __future__ import annotations

from collections import Counter

import anyio
import pytest

from batchrun.core.errors import LedgerError
from batchrun.core.ledger.attempts import Bound
from batchrun.core.model import Answered, Exhausted, Failure, Fault, Reply, Request, Row, Scope, Usage
from batchrun.core.scheduling.retry import RetryPolicy
from batchrun.core.scheduling.scheduler import LanePlan, Scheduler
from batchrun.engine import Engine, Ports, Prepared
from tests.virtual_time import run_virtually

ROWS = 60
HEALTHY = ("alpha", "beta", "gamma")


class Listed:
    """A ledger that is a list."""

    def __init__(self, *, breaks_at=None):
        self.outcomes, self.started, self.ended, self.breaks_at = [], [], [], breaks_at

    def start(self, row, most, at):
        self.started.append(row.id)
        return f"1-{len(self.started)}"

    def end(self, attempt, verdict, result, at):
        self.ended.append((attempt, verdict))

    def append(self, outcome, now):
        if len(self.outcomes) == self.breaks_at:
            raise LedgerError("the disk is full")
        self.outcomes.append((now, outcome))

    def flush(self):
        pass

    def tell(self):
        pass

    def room(self, now):
        return True


def reply():
    return Reply("an answer", "stop", Usage(10, 5))


def failure(fault, scope, code):
    return Failure(fault, scope, code, "as the provider says", "what to do")


class Endpoint:
    """Answers after a second; *troubles* maps a workspace to what its n-th call brings."""

    def __init__(self, troubles):
        self.troubles, self.calls, self.most, self.open = troubles, {}, {}, {}

    async def send(self, workspace):
        number = self.calls[workspace] = self.calls.get(workspace, 0) + 1
        self.open[workspace] = self.open.get(workspace, 0) + 1
        self.most[workspace] = max(self.most.get(workspace, 0), self.open[workspace])
        try:
            await anyio.sleep(1.0)
        finally:
            self.open[workspace] -= 1
        return (self.troubles.get(workspace, lambda _number: None)(number)) or reply()


def drive(workspaces, troubles, *, breaks_at=None, concurrency=4, probe_every=300.0, jitter=0.5, fails=frozenset()):
    lanes = [LanePlan(name, "qwen-plus", name, range(ROWS), ROWS, concurrency) for name in workspaces]
    scheduler = Scheduler(lanes, RetryPolicy(), probe_every=probe_every)
    endpoint, ledger = Endpoint(troubles), Listed(breaks_at=breaks_at)

    def prepared(ticket):
        row = Row(f"{ticket.workspace}-{ticket.ordinal}", ticket.workspace, ticket.model, {}, "0" * 16)
        return Prepared(row, Request(ticket.workspace, {}, b""), Bound(1, 1))

    def prepare(tickets):
        return [prepared(ticket) for ticket in tickets]

    async def send(ready):
        result = await endpoint.send(ready.request.url)
        return failure(Fault.AGAIN, Scope.ROW, "internal_error") if ready.row.id in fails else result

    async def main():
        engine = Engine(
            scheduler,
            Ports(
                prepare,
                send,
                ledger,
                busy_time=lambda: 0.0,
                jitter=lambda: jitter,
                wall_time=lambda: 0.0,
            ),
        )
        return await engine.run()

    return run_virtually(main), endpoint, ledger


def ledger_of(ledger, workspace):
    """How many rows of it have an outcome."""
    return sum(outcome.row.workspace == workspace for _, outcome in ledger.outcomes)


def finished(ledger):
    times = {}
    for now, outcome in ledger.outcomes:
        times[outcome.row.workspace] = now
    return times


TROUBLES = {
    "wrong-key": lambda _number: failure(Fault.PARK, Scope.WORKSPACE, "invalid_api_key"),
    "unauthorised": lambda _number: failure(Fault.PARK, Scope.LANE, "Model.AccessDenied"),
    "throttled": lambda number: failure(Fault.THROTTLED, Scope.LANE, "limit_requests") if number % 3 == 0 else None,
}


def test_three_troubled_workspaces_cost_the_other_three_no_time():
    _, _, alone = drive(HEALTHY, {})
    drained, endpoint, together = drive(("wrong-key", "unauthorised", "throttled", *HEALTHY), TROUBLES)
    times = finished(together)
    assert {name: times[name] for name in HEALTHY} == finished(alone) == dict.fromkeys(HEALTHY, ROWS / 4)
    assert {parked.name for parked in drained.parked} == {"wrong-key", "unauthorised qwen-plus"}
    assert all(parked.rows == ROWS for parked in drained.parked)
    assert all(most <= 4 for most in endpoint.most.values())


def test_a_throttled_row_uses_up_no_attempt_and_every_row_is_answered_once():
    drained, _, ledger = drive(("throttled",), TROUBLES)
    ids = [outcome.row.id for _, outcome in ledger.outcomes]
    assert drained.parked == ()
    assert sorted(ids) == sorted({f"throttled-{ordinal}" for ordinal in range(ROWS)})
    assert all(isinstance(outcome, Answered) for _, outcome in ledger.outcomes)


def test_a_retry_waits_in_its_lane_and_holds_no_slot():
    fails_once = {"alpha": lambda number: failure(Fault.AGAIN, Scope.ROW, "internal_error") if number == 1 else None}
    _, endpoint, ledger = drive(("alpha",), fails_once, concurrency=1, jitter=0.999)
    assert endpoint.most["alpha"] == 1
    assert ledger.outcomes[0][1].row.id == "alpha-1", "another row goes while the failed one waits"
    assert finished(ledger)["alpha"] == ROWS + 1


def test_a_row_is_exhausted_after_its_last_attempt_and_no_later():
    by_themselves = {f"alpha-{ordinal}" for ordinal in range(0, ROWS, 7)}
    _, _, ledger = drive(("alpha",), {}, fails=by_themselves)
    calls = Counter(ledger.started)
    exhausted = [outcome.row.id for _, outcome in ledger.outcomes if isinstance(outcome, Exhausted)]
    assert {*exhausted} == by_themselves
    assert {calls[row] for row in exhausted} == {6}
    assert len(ledger.outcomes) == ROWS == len(calls)
    assert max(calls.values()) == 6


def test_a_workspace_that_nothing_but_fails_parks_in_minutes_with_its_rows_and_the_others_go_on():
    down = {"alpha": lambda _number: failure(Fault.AGAIN, Scope.ROW, "internal_error")}
    drained, endpoint, ledger = drive(("alpha", "beta"), down)
    assert [(each.name, each.rows) for each in drained.parked] == [("alpha qwen-plus", ROWS - ledger_of(ledger, "alpha"))]
    assert ledger_of(ledger, "beta") == ROWS
    assert endpoint.calls["alpha"] < 2 * ROWS, "as many calls as the rows have attempts are not made"


def test_a_typo_parks_after_twenty_same_rejections_instead_of_rejecting_all():
    drained, endpoint, ledger = drive(("alpha",), {"alpha": lambda _number: failure(Fault.REJECT, Scope.ROW, "invalid_parameter_error")})
    assert len(ledger.outcomes) == 20
    assert endpoint.calls["alpha"] <= 24
    assert drained.parked[0].rows == ROWS - 20


def test_a_parked_workspace_is_probed_while_others_run_and_goes_on_when_it_passes():
    mended_later = {"beta": lambda number: failure(Fault.PARK, Scope.WORKSPACE, "invalid_api_key") if number <= 5 else None}
    drained, endpoint, ledger = drive(("alpha", "beta"), mended_later, probe_every=5.0)
    assert drained.parked == ()
    assert endpoint.calls["beta"] == ROWS + 5
    assert len(ledger.outcomes) == 2 * ROWS


def test_a_ledger_that_cannot_write_ends_the_run():
    with pytest.raises(BaseExceptionGroup) as caught:
        drive(("alpha", "beta"), {}, breaks_at=7)
    assert caught.value.subgroup(LedgerError) is not None
