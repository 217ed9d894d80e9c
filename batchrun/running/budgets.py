"""A job's budgets at the joints: which purses its lanes are paid from, what they have spent already, and what a person is told of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from functools import cache
from pathlib import Path
from time import time

import anyio

from batchrun.core.counted import counted
from batchrun.core.jobs.job import BudgetTable, Job, Workspace
from batchrun.core.ledger.marking import NONE, Mark
from batchrun.core.ledger.statement import Statement
from batchrun.core.model import Usage
from batchrun.core.money.budget import TOKENS, Cap, LaneKey, Purse, told
from batchrun.core.money.periods import Period
from batchrun.core.money.pricing import Prices
from batchrun.core.money.spending import Spending
from batchrun.core.scheduling.parking import ParkedScope
from batchrun.edge import run_directory
from batchrun.running.checkpoints import Checkpoint
from batchrun.running.money import Bounder, Pricer, day_of, most_of, priced, prices_of
from batchrun.running.priced_before import of_prices

_MILLION = Decimal(1_000_000)
_LOOK_EVERY = 1.0

Purses = Mapping[LaneKey, tuple[Purse, ...]]


def purses_of(job: Job, workspaces: Mapping[str, Workspace], lanes: Iterable[LaneKey], prices: Prices) -> Purses:
    """The budgets that each lane is paid from: its own, its workspace's and the job's.

    What a simulator answers is paid from purses of its own, as large as the others.
    """
    found: dict[tuple[str, int, bool], Purse] = {}
    # For all of them: it looks every workspace up once.
    costs = priced(prices, workspaces)
    return {
        (name, model): tuple(
            found.setdefault((where, place, rehearsed), _purse(where, whose, table, limit, workspaces, prices, costs, rehearsed=rehearsed))
            for where, whose, tables, limit in _limited(job, name, model)
            for place, table in enumerate(tables)
        )
        for name, model in lanes
        for rehearsed in (name in workspaces and workspaces[name].endpoint.simulated,)
    }


def take_up(
    job: Job, purses: Purses, directory: Path, *, keep: bool = False, known: Mapping[str, Mark] = NONE
) -> tuple[Checkpoint, Spending] | None:  # fmt: skip
    """Count what the run has spent so far, from its ledger; raises RunDamagedError where that is damaged. None where nothing asks for it.

    What lanes have spent counts that have nothing left to do, too: their workspace's budget and the job's have paid for it. With *keep*,
    what was read is kept, and can be followed: the caller holds the run. What is *known* to stand stands.
    """
    if not any(purses.values()):
        return None
    payers, most, now = _payers(job, purses), most_of(run_directory.read_description(directory) or {}), time()
    checkpoint = Checkpoint(directory, "budgets", _decided_by(job), {"payers": payers, "most": most})
    spending = checkpoint.read_on(lambda: Spending(payers, now, most), keep=keep, known=known)
    spending.now = now
    spending.close()
    return checkpoint, spending


def _decided_by(job: Job) -> object:
    """What decides which budgets a call was paid from, in what units, by which days, and how much: not how much they allow."""
    tables = {"": job.job.budget}
    for name, workspace in job.workspaces.items():
        tables |= {name: workspace.budget} | {f"{name} {model}": table.budget for model, table in workspace.limits.items()}
    kinds = {where: [_kind(table) for table in some] for where, some in tables.items()}
    return [of_prices(job.model_dump(mode="json", exclude_unset=True)), kinds]


def _kind(table: BudgetTable) -> object:
    return table.amount is None, table.model_dump(mode="json", exclude={"amount", "tokens", "max_tokens"})


def _payers(job: Job, purses: Purses) -> Callable[[LaneKey], tuple[Purse, ...]]:
    """Which budgets any lane's calls were paid from: *purses*, and of others some like them, for they may be wanted by the next opening."""
    standing: dict[tuple[str, bool], list[Purse]] = {}
    for purse in each_purse(purses):
        standing.setdefault((purse.cap.name, purse.cap.rehearsed), []).append(purse)
    workspaces, prices = job.workspaces_resolved(), prices_of(job)
    costs = priced(prices, workspaces)

    def made(where: str, whose: str, tables: Iterable[BudgetTable], *, rehearsed: bool) -> list[Purse]:
        if (where, rehearsed) not in standing:
            each = [_purse(where, whose, table, None, workspaces, prices, costs, rehearsed=rehearsed) for table in tables]
            standing[where, rehearsed] = each
        return standing[where, rehearsed]

    @cache
    def of(lane: LaneKey) -> tuple[Purse, ...]:
        # Of a workspace that the job names no more nobody knows who answered it: all have paid.
        answered_by = (workspaces[lane[0]].endpoint.simulated,) if lane[0] in workspaces else (False, True)
        budgets = [(*each, rehearsed) for each in _budgets(job, *lane) for rehearsed in answered_by]
        return tuple(purse for where, whose, tables, each in budgets for purse in made(where, whose, tables, rehearsed=each))

    return of


def each_purse(purses: Purses) -> Iterable[Purse]:
    """Every purse, once."""
    return dict.fromkeys(purse for each in purses.values() for purse in each)


async def tell_budgets(purses: Purses, note: Callable[[str], None]) -> None:
    """Note how much of each budget is spent, as it comes to be, until cancelled."""
    while any(purses.values()):
        tell_spent(purses, note)
        await anyio.sleep(_LOOK_EVERY)


def tell_spent(purses: Purses, note: Callable[[str], None]) -> None:
    """Note each budget of which half, four fifths or nineteen twentieths are spent since it was last told."""
    now = time()
    for purse in each_purse(purses):
        if (share := purse.warning(now)) is not None:
            cap, page = purse.cap, purse.page(now)
            when = f" on {page.span.name}" if cap.period and cap.period.per == "day" else f" in {page.span.name}" if cap.period else ""
            spent = f"{told(page.spent_by_all, cap.unit)} of {told(cap.amount, cap.unit)}{when}"
            note(f"{cap.name}: {share:.0%} is spent: {spent}{page.by_doubt(cap.unit)}{page.held(cap.unit)}")


def with_what_is_left(parked: ParkedScope, statement: Statement) -> ParkedScope:
    """Have the park of a spent budget say what its rows would come to, by what the lane's rows came to so far, re-asks and all."""
    if parked.failure.code != "budget_spent":
        return parked
    # A model's name may have spaces in it: where its workspace's ends cannot be told of the two together.
    words = parked.name.split(" ")
    lanes = ((" ".join(words[:place]), " ".join(words[place:])) for place in range(1, len(words)))
    totals = next((statement.lanes[lane] for lane in lanes if lane in statement.lanes), None)
    if totals is None or not totals.billed_calls or not (done := totals.answered + totals.rejected + totals.exhausted):
        return parked
    share = Decimal(parked.rows) / done
    about = [told((totals.input_tokens + totals.output_tokens) * share, TOKENS)]
    about += [told(amount * share, currency) for currency, amount in sorted(totals.cost.items())]
    like = "if they are like those before: batchrun plan looks at them"  # Those that stepped aside for what they may cost are not.
    message = f"{parked.failure.message}; the {counted(parked.rows, 'row')} left would come to about {', '.join(about)}, {like}"
    return replace(parked, failure=replace(parked.failure, message=message))


def most_tokens(job: Job, name: str, model: str) -> int | None:
    """The max_tokens that the budgets of a lane put into its rows that set none: the least of them."""
    return next((limit for _, _, _, limit in _limited(job, name, model)), None)


def _limited(job: Job, name: str, model: str) -> Iterator[tuple[str, str, tuple[BudgetTable, ...], int | None]]:
    """The same as `_budgets`, each with the least max_tokens that it and those around it put into rows that set none: all of its rows."""
    each = [*_budgets(job, name, model)]
    for number, (where, whose, tables) in enumerate(each):
        given = [table.max_tokens for _, _, around in each[number:] for table in around if table.max_tokens is not None]
        yield where, whose, tables, min(given, default=None)


def _budgets(job: Job, name: str, model: str) -> Iterator[tuple[str, str, tuple[BudgetTable, ...]]]:
    """Where each stands in the job, whose it is in the books, and what it says."""
    table = job.workspaces.get(name)
    if table is not None:
        limit = table.limits.get(model)
        if limit:
            yield f'workspaces.{name}.limits."{model}".budget', f"workspace {name}, model {model}", limit.budget
        yield f"workspaces.{name}.budget", f"workspace {name}", table.budget
    yield "job.budget", f"job {job.name}", job.job.budget


def _purse(
    where: str, whose: str, table: BudgetTable, limit: int | None, workspaces: Mapping[str, Workspace], prices: Prices,
    costs: tuple[Pricer, Bounder], *, rehearsed: bool,
) -> Purse:  # fmt: skip
    period = None if table.per == "run" else Period(table.per, table.zone)
    if table.amount is None:
        return Purse(Cap(where, Decimal(table.tokens or 0), TOKENS, period, whose, rehearsed, limit))

    price, bound = costs

    def assumed(input_tokens: int, output_tokens: int) -> Decimal | None:
        if table.unpriced is None:
            return None
        return (input_tokens * table.unpriced.input + output_tokens * table.unpriced.output) / _MILLION

    def most(lane: LaneKey, input_tokens: int, output_tokens: int, at: float) -> Decimal | None:
        if lane[0] not in workspaces:
            # Renamed since, or another job's: nobody knows where it was called.
            dearest = prices.dearest(lane[1], table.currency, input_tokens, output_tokens, day_of(at))
            return assumed(input_tokens, output_tokens) if dearest is None else dearest
        found = bound(*lane, input_tokens, output_tokens, at)
        return found[1] if found is not None and found[0] == table.currency else assumed(input_tokens, output_tokens)

    def cost(lane: LaneKey, usage: Usage, at: float) -> Decimal | None:
        found = price(*lane, usage, at) if lane[0] in workspaces else None
        known = found is not None and found.currency == table.currency
        return found.amount if found is not None and known else assumed(usage.input_tokens, usage.output_tokens)

    return Purse(Cap(where, table.amount, table.currency, period, whose, rehearsed, limit), most, cost)
