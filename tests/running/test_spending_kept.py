"""What a run has spent of its budgets is the same from what was kept of it as from its whole ledger, whatever happened meanwhile."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchrun.core.jobs.job import Job
from batchrun.core.model import Money
from batchrun.core.money.budget import LaneKey
from batchrun.core.money.spending import Spending
from batchrun.edge.ahead import Ahead
from batchrun.running import checkpoints
from batchrun.running.budgets import Purses, each_purse, purses_of, take_up
from batchrun.running.checkpoints import Checkpoint
from batchrun.running.following import Followed
from batchrun.running.money import pricer, prices_of
from batchrun.telling.reading import Reader
from tests.running.test_following import (
    CALLS,
    ROWS,
    Opened,
    any_size_is_worth_it_and_what_is_written_is_given_at_once,
    opened,
)  # fmt: skip

__all__ = ["any_size_is_worth_it_and_what_is_written_is_given_at_once"]

LANES = sorted({(row.workspace, row.model) for row in ROWS})
EVERYWHERE = [
    {"amount": 20, "currency": "CNY", "per": "day", "zone": "Pacific/Auckland"},
    {"amount": 20, "currency": "CNY", "per": "month", "zone": "America/St_Johns"},
    {"tokens": 90_000, "per": "day"},
    {"amount": 9, "currency": "USD", "unpriced": {"input": 3, "output": 12}},
]
TABLES: dict[str, Any] = {
    "job": {"input": "in.jsonl", "name": "night", "budget": EVERYWHERE},
    "defaults": {"model": "qwen-plus", "endpoint": "public"},
    "workspaces": {
        "legal": {"api_key_env": "A_KEY", "account": "main", "limits": {"qwen-plus": {"budget": {"tokens": 9000}}}},
        "sales": {"api_key_env": "A_KEY", "account": "main", "budget": [{"amount": 3}, {"amount": 7, "per": "month"}]},
    },
    "accounts": {"main": {}},
    "prices": {"qwen-plus": {"since": "2020-01-01", "currency": "CNY", "tiers": {"input": 2, "output": 8}}},
}


def but(**tables: dict[str, Any]) -> Job:
    """The job with other words here and there."""
    return Job.model_validate({**TABLES, **tables, "job": TABLES["job"] | tables.get("job", {})})


LEGAL, SALES = TABLES["workspaces"]["legal"], TABLES["workspaces"]["sales"]
AS_IT_WAS = but()
RAISED = but(job={"budget": [{**each, "tokens" if "tokens" in each else "amount": 95_000} for each in EVERYWHERE]})
JOBS = {
    "as it was": AS_IT_WAS,
    "raised": RAISED,
    "priced anew": but(prices={"qwen-plus": [{"since": f"20{year}-01-01", "tiers": {"input": year, "output": 9}} for year in (20, 26)]}),
    "priced in dollars": but(prices={"qwen-plus": {"since": "2020-01-01", "currency": "USD", "tiers": {"input": 1, "output": 9}}}),
    "not so long": but(prices={"qwen-plus": {"since": "2020-01-01", "tiers": [{"up_to": 100, "input": 1, "output": 9}]}}),
    "at a discount": but(accounts={"main": {"discount": 0.25}}),
    "in another cloud": but(workspaces={"legal": {**LEGAL, "endpoint": "intl"}}),
    "rehearsed": but(workspaces={"legal": {"endpoint": "simulator"}, "sales": SALES}),
    "of one workspace": but(workspaces={"sales": SALES}),
    "in another zone": but(job={"budget": [{**EVERYWHERE[0], "zone": "Asia/Kathmandu"}, *EVERYWHERE[1:]]}),
    "unpriced otherwise": but(job={"budget": [*EVERYWHERE[:3], {**EVERYWHERE[3], "unpriced": {"input": 5, "output": 5}}]}),
    "with fewer budgets": but(job={"budget": EVERYWHERE[2:]}),
}
OPENINGS = st.lists(
    st.tuples(
        st.lists(st.tuples(st.integers(0, 30), CALLS, st.booleans()), max_size=4),
        st.booleans(),
        st.sampled_from(["batchrun", "openai-batch"]),
        st.sampled_from(list(JOBS)),
        st.sampled_from(list(JOBS)),
        st.booleans(),
    ),
    min_size=1,
    max_size=4,
)
"""Turns of an opening, each so many hours after the one before and with whether the run is kept after it; whether the process is killed
in the end; its form; its job, and the one that it has afterwards; and whether its entries tell what they cost."""


def purses(job: Job, lanes: Iterable[LaneKey] = LANES) -> Purses:
    return purses_of(job, job.workspaces_resolved(), lanes, prices_of(job))


def begun(directory: Path, number: int, job: Job = AS_IT_WAS, form: Any = "batchrun", *, priced: bool = True) -> Opened:
    """Begin an opening of a run whose spending is followed, as a run of *job* has it."""

    def follow(followed: Followed, past: Any) -> None:
        lanes = [lane for lane in past.plan.lanes() if lane[0] in job.workspaces]
        if taken_up := take_up(job, purses(job, lanes), directory, keep=True, known=followed.stood):
            followed.with_budgets(*taken_up)

    def nothing(*_call: object) -> Money | None:
        return None

    price = pricer(prices_of(job), job.workspaces_resolved())
    priced_here = (lambda workspace, *call: price(workspace, *call) if workspace in job.workspaces else None) if priced else nothing
    dumped = job.model_dump(mode="json", exclude_unset=True)
    return opened(directory, number, form, job=dumped, price=priced_here, follow=follow)


Spent = dict[tuple[str, str, bool], dict[str, tuple[Decimal, Decimal]]]
"""What was spent of each page, and what of it is in doubt."""


def spent(job: Job, directory: Path) -> Spent:
    found = purses(job)
    take_up(job, found, directory)
    return {
        (purse.cap.name, purse.cap.told, purse.cap.rehearsed): {name: (page.spent, page.in_doubt) for name, page in purse.pages.items()}
        for purse in each_purse(found)
    }


def spent_by_the_whole(job: Job, directory: Path) -> Spent:
    copy = directory.with_name("copy")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(directory, copy, ignore=shutil.ignore_patterns("*.checkpoint"))
    return spent(job, copy)


@given(OPENINGS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
def test_what_was_spent_is_the_same_from_what_was_kept_as_from_the_whole_ledger(tmp_path_factory, openings):
    directory = tmp_path_factory.mktemp("run") / "run"
    for number, (turns, is_killed, form, job, other, priced) in enumerate(openings, 1):
        run = begun(directory, number, JOBS[job], form, priced=priced)
        for hours, calls, keeps in turns:
            run.at += hours * 3600
            run.turn(calls)
            if keeps:
                run.keep()
        if is_killed:
            run.killed()
        else:
            run.closed()
        for each in (job, other):
            assert spent(JOBS[each], directory) == spent_by_the_whole(JOBS[each], directory)


def read(directory: Path, job: Job) -> int:
    """How many bytes of the ledger were not read again when its spending was taken up."""
    found: list[int] = []

    def noted(checkpoint: Checkpoint, reader: Reader, ahead: Ahead | None = None) -> None:
        if isinstance(reader, Spending):
            found.append(sum(mark.end for mark in checkpoint.marks.values()))
        as_ever(checkpoint, reader, ahead)

    as_ever = Checkpoint._read
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(checkpoints.Checkpoint, "_read", noted)
        take_up(job, purses(job), directory, keep=True)
    (one,) = found
    return one


def test_what_a_run_has_spent_is_not_read_again_when_it_is_gone_on_with_its_budget_raised_or_not(tmp_path):
    run = begun(tmp_path / "run", 1)
    run.turn([(0, "answered"), (1, "billed")])
    run.keep()
    size = sum(run.plan.ends().values())
    run.turn([(2, "answered")])
    run.killed()
    found = spent(AS_IT_WAS, run.directory)
    assert found["workspaces.sales.budget", "3 CNY", False][""][0] > 0
    assert found == spent_by_the_whole(AS_IT_WAS, run.directory)
    assert read(run.directory, AS_IT_WAS) == size
    whole = sum(run.plan.ends().values())
    assert read(run.directory, RAISED) == whole
    assert read(run.directory, AS_IT_WAS) == whole


@pytest.mark.parametrize("name", sorted({*JOBS} - {"as it was", "raised"}))
def test_what_was_summed_up_by_other_prices_budgets_or_places_is_read_anew(tmp_path, name):
    run = begun(tmp_path / "run", 1)
    run.turn([(0, "answered"), (1, "billed")])
    assert run.closed()[0] is not None
    assert read(run.directory, JOBS[name]) == 0
