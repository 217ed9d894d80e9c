"""Which budgets of a job would run out in a forecast, when, and with how many rows left over. Nothing is changed, and no call made."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from pathlib import Path

from batchrun.core.counted import duration
from batchrun.core.jobs.job import Job, Workspace
from batchrun.core.ledger.attempts import Bound
from batchrun.core.model import Usage
from batchrun.core.money.budget import LaneKey, Page, Purse, price_wanted, told
from batchrun.core.money.outlays import Outlay, RunsOut, in_hours, runs_out, total
from batchrun.core.scheduling.forecast import EXACT_ROWS
from batchrun.core.scheduling.lane_plan import LanePlan
from batchrun.core.scheduling.prospects import Obstacle, Prospect, after
from batchrun.report.forecast import clock
from batchrun.running.bookkeeping import Bookkeeper
from batchrun.running.budgets import each_purse, purses_of, take_up
from batchrun.running.money import prices_of
from batchrun.telling.costing import cost_of


class Affording:
    """What the budgets of *job* have left for the lanes of a forecast that begins at a moment; reads the ledgers.

    *calls* are some like those of each lane, *bounds* what some of its rows may cost at the most.
    """

    def __init__(
        self,
        job: Job,
        workspaces: Mapping[str, Workspace],
        directory: Path,
        calls: Mapping[LaneKey, Sequence[Usage]],
        bounds: Mapping[LaneKey, Collection[Bound]],
        begins_at: datetime,
    ) -> None:
        self._begins_at = begins_at
        self._calls = calls
        self._bounds = bounds
        self._hours = {name: each.window for name, each in workspaces.items()}
        self._purses = purses_of(job, workspaces, calls, prices_of(job))
        if directory.exists():
            take_up(job, self._purses, directory)
        Bookkeeper(directory, each_purse(self._purses), wall_time=begins_at.timestamp).look_in()

    def obstacles(self, prospects: Sequence[Prospect]) -> Iterator[Obstacle]:
        """Each budget that would not suffice."""
        for purse, outlays in self._outlays(each for each in prospects if each.seconds is not None):
            for each in (each for each, outlay in outlays.items() if outlay is None):
                said = f"{purse.cap}: {each.model} has no price in {purse.cap.unit}: it would not be called"
                yield Obstacle(f"workspace {each.workspace}, {each.model}", each.rows, said, price_wanted(each.model))
            yield from self._spent(purse, [outlay for outlay in outlays.values() if outlay is not None])

    def tight(self, prospects: Sequence[Prospect], plans: Mapping[LaneKey, LanePlan]) -> Mapping[LaneKey, tuple[Purse, ...]]:
        """The budgets that suffice, but not for as many calls at once as slots let go, each at the most that it may cost: to be rehearsed.

        They are filled with what is left now, and paid from as *prospects* tell.
        """
        found: dict[LaneKey, tuple[Purse, ...]] = {}
        if sum(plan.count for plan in plans.values()) > EXACT_ROWS:
            return found  # Of that many the last few are slowed: the others are not held back.
        for purse, each_outlay in self._outlays(each for each in prospects if each.key in plans):
            outlays = {each.key: outlay for each, outlay in each_outlay.items() if outlay is not None}
            most = max((outlay.most for outlay in outlays.values()), default=Decimal(0))
            slots = sum({lane[0]: plans[lane].concurrency for lane in outlays}.values())
            left = self._left(purse)
            if most <= left - total([*outlays.values()]) < most * slots:
                tokens = {each.key: max(1, each.input_tokens + each.output_tokens) for each in each_outlay}
                a_token = {lane: outlay.amount / tokens[lane] for lane, outlay in outlays.items()}
                filled = Purse(replace(purse.cap, amount=left, period=None), purse.most, partial(_by_tokens, a_token))
                found |= {lane: (*found.get(lane, ()), filled) for lane in outlays}
        return found

    def notes(self, prospects: Sequence[Prospect]) -> Iterator[str]:
        """What of each budget would be spent, where it suffices."""
        for purse, outlays in self._outlays(each for each in prospects if each.seconds is not None):
            known = [outlay for outlay in outlays.values() if outlay is not None]
            if known and self._runs_out(purse, known) is None:
                yield f"{purse.cap}: {self._had(purse)}; the run would spend about {told(_round(total(known)), purse.cap.unit)}"

    def _outlays(self, prospects: Iterable[Prospect]) -> Iterable[tuple[Purse, dict[Prospect, Outlay | None]]]:
        """Each budget that some of *prospects* are paid from, with what these would have of it; None where one has no price in that."""
        found: dict[Purse, dict[Prospect, Outlay | None]] = {}
        for each in prospects:
            for purse in self._purses[each.key]:
                found.setdefault(purse, {})[each] = self._outlay(purse, each)
        return found.items()

    def _outlay(self, purse: Purse, each: Prospect) -> Outlay | None:
        lane, at = each.key, self._begins_at.timestamp()
        cost = cost_of(each.input_tokens, each.output_tokens, self._calls[lane], lambda usage: purse.cost(lane, usage, at))
        prices = [purse.price(lane, bound, at) for bound in self._bounds[lane]]
        known = [price for price in prices if price is not None]
        if cost is None or len(known) < len(prices):
            return None
        seconds = each.seconds or 0.0
        course = in_hours(self._hours[each.workspace], at, seconds)
        return Outlay(each.rows, seconds, cost, max([cost / max(1, each.rows), *known]), course)

    def _page(self, purse: Purse) -> Page:
        return purse.page(self._begins_at.timestamp())

    def _left(self, purse: Purse) -> Decimal:
        page = self._page(purse)
        return purse.cap.amount - page.taken

    def _runs_out(self, purse: Purse, outlays: Sequence[Outlay]) -> RunsOut | None:
        return runs_out(outlays, purse.cap.amount, self._left(purse), purse.cap.period, self._begins_at.timestamp())

    def _had(self, purse: Purse) -> str:
        page, unit = self._page(purse), purse.cap.unit
        return f"{told(page.spent_by_all, unit)} spent so far{page.whose(unit)}"

    def _spent(self, purse: Purse, outlays: Sequence[Outlay]) -> Iterator[Obstacle]:
        found = self._runs_out(purse, outlays)
        if found is None:
            return
        cap, most = purse.cap, told(_round(max(outlay.most for outlay in outlays)), purse.cap.unit)
        if found.at > 0:
            at = clock(then, self._begins_at) if (then := after(self._begins_at, found.at)) else "a time beyond any calendar"
            when = f"would be spent after {duration(found.at)}, at {at}"
        else:
            when = f"is spent, or has too little left for a row: one may cost {most}"
        wanted = told(_round(found.missing), cap.unit)
        said = f"{cap.told}: {self._had(purse)}; it {when}; the rows left over would cost about {wanted}"
        wait = f", or use --wait, which goes on with the next {cap.period.per}" if cap.period else ""
        less = (
            "max_tokens, or a lower one, makes that less, and so does thinking_budget where the model thinks"
            if cap.max_tokens is None
            else f"max_tokens below the {cap.max_tokens:,} of budgets makes that less, and so does thinking_budget where the model thinks"
        )
        advice = f"raise it by about {wanted}, and by {most} for each call at once{wait}; {less}"
        yield Obstacle(cap.name, found.rows, said, advice)


def _by_tokens(a_token: Mapping[LaneKey, Decimal], lane: LaneKey, usage: Usage, _at: float) -> Decimal:
    return a_token[lane] * (usage.input_tokens + usage.output_tokens)


def _round(amount: Decimal) -> Decimal:
    """To what an estimate can tell."""
    return amount if amount < 1 else amount.quantize(Decimal("0.01"))
