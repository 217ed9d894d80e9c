"""What of a job's models is probably mistyped: those that are asked, and those that a table says something of."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from batchrun.core.jobs.job import Job, Workspace
from batchrun.core.jobs.words import key_path, slip_of
from batchrun.core.money.price_list import shipped
from batchrun.running.money import prices_of
from batchrun.running.parks import models_of


def misspelt_models(asked: Iterable[str], job: Job, workspaces: Iterable[Workspace]) -> Iterator[str]:
    """Say of each model of *asked* that nothing knows which may be meant."""
    models = models_of(workspaces, prices_of(job).models())
    for model in asked:
        if meant := models.meant_by(model):
            yield f'{model}: no price is known of it: is "{meant}" meant?'


def misspelt_tables(asked: Collection[str], job: Job, workspaces: Iterable[Workspace]) -> Iterator[str]:
    """Say of each table of a model that no row asks, and nothing else knows, which of *asked* may be meant: it would hold for none."""
    listed = (name for each in workspaces for name in (each.model, *(each.models or ()), *each.deployments))
    known = {*asked, *listed, *(row.model for row in shipped())}
    for place in _places(job):
        if place[-1] not in known and (meant := slip_of(place[-1], asked)):
            yield f'{key_path(place)}: no row asks that model: is "{meant}" meant?'


def _places(job: Job) -> Iterator[tuple[str, ...]]:
    for name, account in job.accounts.items():
        yield from (("accounts", name, "quotas", model) for model in account.quotas)
        yield from (("accounts", name, "discounts", model) for model in account.discounts)
    for name, workspace in job.workspaces.items():
        yield from (("workspaces", name, "limits", model) for model in workspace.limits)
    yield from (("prices", model) for model in job.prices)
