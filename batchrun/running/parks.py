"""What cannot be sent as the job and the environment stand, found before any call; what comes to stand still, told at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import anyio

from batchrun.core.counted import sentence, shortened
from batchrun.core.jobs.job import Workspace
from batchrun.core.jobs.words import nearest
from batchrun.core.model import Failure, Fault, Scope
from batchrun.core.pauses import pause_after
from batchrun.core.scheduling.parking import ParkedScope
from batchrun.edge.environment import Keys, Missing

_LOOK_EVERY = 1.0
_MOST_TOLD = 6
"""Parks for the same reason that are told as they come: the end tells of all."""
_TOLD_ELSEWHERE = frozenset({"window_closed"})


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


async def tell_outages(outages: Callable[[], Mapping[str, Failure]], note: Callable[[str], None]) -> None:
    """Note lanes of which every call fails, and that they go on, until cancelled."""
    told: dict[str, str] = {}
    while True:
        await anyio.sleep(_LOOK_EVERY)
        failing = outages()
        over, begun = dict[str, list[str]](), dict[str, list[str]]()
        for name in [name for name in told if name not in failing]:
            over.setdefault(told.pop(name), []).append(name)
        for name, failure in failing.items():
            if name not in told:
                told[name] = _failing(failure)
                begun.setdefault(told[name], []).append(name)
        for names in over.values():
            note(f"{shortened(names)}: {'goes' if len(names) == 1 else 'go'} on, calls do not fail any more")
        for why, names in begun.items():
            note(f"{shortened(names)}: {why}")


def _failing(failure: Failure) -> str:
    _, _, mend = failure.advice.rpartition("if it stays, ")
    return sentence("every call fails", failure.code, failure.message, f"one tries at a time until it passes; if it stays, {mend}")


async def tell_parks(parked: Callable[[], Iterable[ParkedScope]], note: Callable[[str], None]) -> None:
    """Note what comes to stand still for want of a person, and what goes on again, until cancelled."""
    told: dict[tuple[Scope, str], str] = {}
    counts: dict[str, int] = {}
    took = 0.0
    while True:
        # What ends sooner says all of it at its end.
        await anyio.sleep(pause_after(took, _LOOK_EVERY))
        began = anyio.current_time()
        standing = {(each.scope, each.name): each for each in parked() if each.failure.code not in _TOLD_ELSEWHERE}
        for key in [key for key in told if key not in standing]:
            note(f"{key[1]}: goes on, {told.pop(key)} is over")
        for key, each in standing.items():
            if key not in told and (count := counts.get(each.failure.code, 0)) <= _MOST_TOLD:
                counts[each.failure.code] = count + 1
                note(_told(each) if count < _MOST_TOLD else f"parked: more for the same reason, {each.failure.code}: the end tells which")
                told[key] = each.failure.code
        took = anyio.current_time() - began


def _told(parked: ParkedScope) -> str:
    failure = parked.failure
    status = f"{failure.status} " if failure.status else ""
    return sentence("parked", parked.name, f"{status}{failure.code}", failure.message, failure.advice)
