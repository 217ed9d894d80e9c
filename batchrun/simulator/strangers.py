"""Names in a scenario that lead nowhere: what is said of them, nobody will ever meet."""

from __future__ import annotations

from collections.abc import Iterator

from batchrun.core.jobs.words import Loc, Wrong, one_of, shown
from batchrun.simulator.scenario import Scenario
from batchrun.simulator.tables import ALL_MODELS


def strangers(scenario: Scenario) -> Iterator[Wrong]:
    """Each name of a model, a workspace or an account that *scenario* has none of. With open keys, every workspace and account may come."""
    yield from _unknown(_models(scenario), [*scenario.models, *_deployments(scenario)], "a model of the scenario")
    if not scenario.open_keys:
        accounts = dict.fromkeys(one.account or name for name, one in scenario.workspaces.items())
        yield from _unknown(_accounts(scenario), list(accounts), "an account that a workspace of the scenario has")
        yield from _unknown(_workspaces(scenario), list(scenario.workspaces), "a workspace of the scenario")


def _unknown(named: Iterator[tuple[Loc, str | None]], known: list[str], what: str) -> Iterator[Wrong]:
    for loc, name in named:
        if name is not None and name not in known:
            yield Wrong(loc, f"the name {shown(name)}", f"{what}; {one_of(name, known)}" if known else f"{what}, and it has none")


def _deployments(scenario: Scenario) -> Iterator[str]:
    return (model for one in scenario.workspaces.values() for model in one.deployments)


def _models(scenario: Scenario) -> Iterator[tuple[Loc, str | None]]:
    for name, account in scenario.accounts.items():
        for table in ("quotas", "free_quota"):
            yield from ((("accounts", name, table, model), model) for model in getattr(account, table))
    for name, workspace in scenario.workspaces.items():
        yield from ((("workspaces", name, "models", place), model) for place, model in enumerate(workspace.models or ()))
        yield from ((("workspaces", name, "limits", model), model) for model in workspace.limits if model != ALL_MODELS)
    yield from ((("faults", place, "model"), fault.model) for place, fault in enumerate(scenario.faults))
    for place, change in enumerate(scenario.changes):
        yield from ((("changes", place, "models", number), model) for number, model in enumerate(change.models or ()))


def _accounts(scenario: Scenario) -> Iterator[tuple[Loc, str | None]]:
    yield from ((("accounts", name), name) for name in scenario.accounts)
    yield from ((("changes", place, "account"), change.account) for place, change in enumerate(scenario.changes))


def _workspaces(scenario: Scenario) -> Iterator[tuple[Loc, str | None]]:
    yield from ((("faults", place, "workspace"), fault.workspace) for place, fault in enumerate(scenario.faults))
    yield from ((("changes", place, "workspace"), change.workspace) for place, change in enumerate(scenario.changes))
