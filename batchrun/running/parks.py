"""What cannot be sent as the job and the environment stand: found before any call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from batchrun.core.jobs.job import Workspace
from batchrun.core.jobs.words import nearest
from batchrun.core.model import Failure, Fault, Scope
from batchrun.edge.environment import Keys, Missing


def parks_before_any_call(
    workspaces: Mapping[str, Workspace], keys: Keys, lanes: Iterable[tuple[str, str]]
) -> list[tuple[str, str, Failure]]:
    """Workspace, model and reason of each of *lanes* that has no key, or whose model the job does not list."""
    parks = []
    for name, model in lanes:
        workspace, key = workspaces[name], keys.get(name)
        if isinstance(key, Missing):
            advice = f"{key.variable} {key.why}: set it to the API key of this workspace and run the same command again"
            parks.append((name, model, Failure(Fault.PARK, Scope.WORKSPACE, "missing_key", "there is no API key", advice)))
        elif workspace.models is not None and model not in workspace.models and model not in workspace.deployments:
            advice = _unlisted(model, name, workspace)
            message = "the job does not list this model for the workspace"
            parks.append((name, model, Failure(Fault.PARK, Scope.LANE, "model_not_listed", message, advice)))
    return parks


def _unlisted(model: str, name: str, workspace: Workspace) -> str:
    meant = nearest(model, (*(workspace.models or ()), *workspace.deployments))
    instead = f'"{meant}" is listed: correct what is mistyped, there or in the rows,' if meant else "give the rows another model,"
    return f'{instead} or add "{model}" to workspaces.{name}.models once the workspace is authorised for it'
