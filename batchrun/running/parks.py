"""What cannot be sent as the job and the environment stand, found before any call; what comes to stand still, told at once."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import replace

import anyio

from batchrun.core.classes import value
from batchrun.core.counted import sentence, shortened
from batchrun.core.jobs.job import Workspace
from batchrun.core.jobs.words import nearest, slip_of
from batchrun.core.model import Failure, Fault, Scope
from batchrun.core.pauses import pause_after
from batchrun.core.scheduling.parking import ParkedScope
from batchrun.edge.environment import Keys, Missing

HELD = "in_doubt"
"""What rows are told to stand still for that are not sent again before a person says so."""
_LOOK_EVERY = 1.0
_MOST_TOLD = 6
"""Parks for the same reason, all that stand together, that are told as they come: the end tells of all."""
_TOLD_ELSEWHERE = frozenset({"window_closed"})
_OF_A_NAME = frozenset({"model_not_found", "ModelNotFound", "Model.AccessDenied"})
"""What the provider says of a model that it does not have: it may be mistyped."""


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


def held_scopes(rows: Mapping[str, int]) -> Iterable[ParkedScope]:
    """Rows that are held for a person, by workspace, as what stands still."""
    advice = "batchrun report RUN --in-doubt lists them; to have them sent again, run with --send-in-doubt"
    held = Failure(Fault.PARK, Scope.WORKSPACE, HELD, "a call of each may have been billed", advice)
    return [ParkedScope(Scope.WORKSPACE, name, held, count) for name, count in rows.items()]


def _unlisted(model: str, name: str, workspace: Workspace) -> str:
    meant = nearest(model, (*(workspace.models or ()), *workspace.deployments))
    instead = f'"{meant}" is listed: correct what is mistyped, there or in the rows,' if meant else "give the rows another model,"
    return f'{instead} or add "{model}" to workspaces.{name}.models once the workspace is authorised for it'


@value
class Models:
    """The names of models that may be meant by another."""

    known: frozenset[str]
    """Those that have a price, or are a deployment of the job's."""
    listed: frozenset[str]
    """Those that the job says something else of: one of them may be mistyped wherever it stands."""
    asked: frozenset[str]
    """Those that workspaces ask where a row names none: one of them may be what is mistyped."""

    def meant_by(self, model: str) -> str | None:
        """Which was probably meant by *model*, where that is none of the known ones: it may well be newer than those."""
        if model in self.known:
            return None
        return slip_of(model, self.known if model in self.listed else (self.known | self.listed | self.asked) - {model})


def models_of(workspaces: Iterable[Workspace], priced: Iterable[str]) -> Models:
    """Those of a job, and those that are *priced*."""
    workspaces = tuple(workspaces)
    listed = (name for each in workspaces for name in (*(each.models or ()), *each.quotas, *each.account_quotas))
    deployments = (name for each in workspaces for name in each.deployments)
    asked = (each.model for each in workspaces if each.model)
    return Models(frozenset({*deployments, *priced}), frozenset(listed), frozenset(asked))


def with_what_was_meant(parked: Iterable[ParkedScope], models: Models) -> tuple[ParkedScope, ...]:
    """Say beside a model that the provider does not know, or grant, which was probably meant."""
    return tuple(replace(each, failure=_asking(each, models)) for each in parked)


def _asking(parked: ParkedScope, models: Models) -> Failure:
    failure, model = parked.failure, parked.name.partition(" ")[2]
    meant = models.meant_by(model) if parked.scope is Scope.LANE and failure.code in _OF_A_NAME else None
    return replace(failure, advice=f'is "{meant}" meant? {failure.advice}') if meant else failure


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
    stood: Container[tuple[Scope, str]] = ()
    took = 0.0
    while True:
        # What ends sooner says all of it at its end.
        await anyio.sleep(pause_after(took, _LOOK_EVERY))
        began = anyio.current_time()
        standing = {(each.scope, each.name): each for each in parked() if each.failure.code not in _TOLD_ELSEWHERE}
        for key in [key for key in told if key not in standing]:
            note(f"{key[1]}: goes on, {told.pop(key)} is over")
        for key, each in standing.items():
            if key not in stood and (count := [*told.values()].count(each.failure.code)) <= _MOST_TOLD:
                note(_told(each) if count < _MOST_TOLD else f"parked: more for the same reason, {each.failure.code}: the end tells which")
                told[key] = each.failure.code
        stood = standing
        took = anyio.current_time() - began


def _told(parked: ParkedScope) -> str:
    failure = parked.failure
    status = f"{failure.status} " if failure.status else ""
    return sentence("parked", parked.name, f"{status}{failure.code}", failure.message, failure.advice)
