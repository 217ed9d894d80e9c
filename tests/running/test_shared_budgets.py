"""Several runs at work on the same budgets of the day, in virtual time: each comes to its end, and what there is was used and no more.

The books, their keepers and the schedulers are the real ones; calls take a while, cost less than they may, and fail now and then.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import anyio
import pytest

from batchrun.core.ledger.attempts import Bound
from batchrun.core.model import Failure, Fault, Reply, Scope, Usage
from batchrun.core.money.budget import Cap, Purse
from batchrun.core.money.periods import Period
from batchrun.core.scheduling.retry import RetryPolicy
from batchrun.core.scheduling.scheduler import Drained, Scheduler, WaitUntil
from batchrun.edge import run_directory
from batchrun.running.bookkeeping import Bookkeeper
from tests.laboratory import lane
from tests.virtual_time import run_virtually

NOON = datetime.fromisoformat("2026-11-25T12:00:00+08:00").timestamp()
LANES = tuple(itertools.product(("legal", "sales"), ("plus", "max")))
CAPS = {"job": "job nightly", **{name: f"workspace {name}" for name, _ in LANES}}
CAPS |= {f"{name} {model}": f"workspace {name}, model {model}" for name, model in (("legal", "plus"), ("sales", "max"))}
_PATIENCE = 1800.0
_LOST = Failure(Fault.AGAIN, Scope.ROW, "connection_reset", "", "", in_doubt=True)


class AtWork:
    """One run: its rows, and the process that has them called."""

    def __init__(self, folder, name, caps, dice):
        self.name, self._dice, self._caps = name, dice, caps
        self._directory = folder / name
        self._directory.mkdir()
        run_directory.write_summary(self._directory / "run.json", {"format": 1, "run": name, "name": "nightly", "rows": {}})
        self._purses = {key: Purse(cap) for key, cap in caps.items()}
        self._most = {key: [dice.choice((5, 10, 20, 40, 90)) for _ in range(dice.choice((0, 3, 8, 20)))] for key in LANES}
        self._left = {(*key, ordinal): most for key, rows in self._most.items() for ordinal, most in enumerate(rows)}
        self.spent: Counter[str] = Counter()
        slots = dice.choice((1, 2, 5))
        plans = [lane(name, len(rows), slots, model=model) for (name, model), rows in self._most.items() if rows]
        purses: Any = self._purses.get
        paid = [replace(plan, purses=tuple(map(purses, self.caps_of(plan.workspace, plan.model)))) for plan in plans]
        self._scheduler, self._under_way, self._number = Scheduler(paid, RetryPolicy()), [], itertools.count()
        self._woken = anyio.Event()

    def caps_of(self, workspace, model):
        return [key for key in ("job", workspace, f"{workspace} {model}") if key in self._caps]

    async def carry_out(self, start):
        await anyio.sleep(start)
        keeper = Bookkeeper(self._directory, self._purses.values(), wall_time=lambda: NOON + anyio.current_time())
        with keeper.open():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(keeper.keep, self._scheduler, self._wake)
                await self._all_rows(keeper)
                tasks.cancel_scope.cancel()

    def _wake(self):
        self._woken.set()

    async def _all_rows(self, keeper):
        while True:
            now, self._woken = anyio.current_time(), anyio.Event()
            while self._under_way and self._under_way[0][0] <= now:
                self._settle(heapq.heappop(self._under_way)[2], now)
            tickets, then = self._scheduler.launches(now, 16)
            self._send(keeper, tickets, now)
            if not tickets:
                match then:
                    case Drained():
                        return
                    case WaitUntil(at):
                        with anyio.CancelScope(deadline=min([at, *(each[0] for each in self._under_way[:1])])):
                            await self._woken.wait()

    def _send(self, keeper, tickets, now):
        asked = [(ticket.lane.plan.purses, ticket.lane.key, self._bound(ticket)) for ticket in tickets]
        keeper.fund(asked, NOON + now)
        for ticket in tickets:
            if self._scheduler.afford(ticket, self._bound(ticket), NOON + now):
                heapq.heappush(self._under_way, (now + self._dice.choice((0.01, 0.1, 0.5, 3)), next(self._number), ticket))
            else:
                self._scheduler.release(ticket)

    def _settle(self, ticket, now):
        workspace, model = ticket.lane.key
        most = self._bound(ticket).output_tokens
        answered = self._dice.random() < 0.85
        cost = self._dice.randint(1, most) if answered else most
        self.spent.update(dict.fromkeys(self.caps_of(workspace, model), cost))
        if self._scheduler.settle(ticket, Reply("x", "stop", Usage(0, cost)) if answered else _LOST, now, 0.5).final:
            del self._left[workspace, model, ticket.ordinal]
        self._scheduler.release(ticket)

    def _bound(self, ticket):
        return Bound(0, self._most[ticket.lane.key][ticket.ordinal])

    def could_pay(self, left):
        """The rows that what is *left* of each budget would pay."""
        return [row for row, most in self._left.items() if all(most <= left[key] for key in self.caps_of(*row[:2]))]


# Of 149 and 181 two runs waited for each other, each with what the other lacked; of 30 and 152 a lane for what nobody held any more.
@pytest.mark.parametrize("seed", [*range(20), 30, 149, 152, 181])
def test_runs_that_share_budgets_end_overspend_none_and_leave_none_that_a_row_could_use(tmp_path, seed):
    dice = random.Random(seed)
    period = Period("day", "Asia/Shanghai")
    chosen = [key for key in CAPS if dice.random() < 0.6] or ["job"]
    caps = {key: Cap(key, Decimal(dice.choice((15, 100, 300, 1000))), "tokens", period, CAPS[key]) for key in chosen}
    runs = [AtWork(tmp_path, name, caps, dice) for name in "abc"[: dice.choice((2, 2, 3))]]

    async def night():
        with anyio.fail_after(_PATIENCE):
            async with anyio.create_task_group() as tasks:
                for run in runs:
                    tasks.start_soon(run.carry_out, dice.choice((0, 0, 0, 0.5, 2.3)))

    run_virtually(night)
    left = {key: int(cap.amount) - sum(run.spent[key] for run in runs) for key, cap in caps.items()}
    assert min(left.values()) >= 0
    assert [run.could_pay(left) for run in runs] == [[]] * len(runs)
