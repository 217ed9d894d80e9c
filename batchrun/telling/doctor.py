"""Examines a job's workspaces before a run: keys, endpoints, authorisations, quotas. Nothing is spent unless probes are asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import anyio
from pydantic import SecretStr

from batchrun.core.classes import value
from batchrun.core.counted import shortened
from batchrun.core.diagnosis import (
    Examined,
    Finding,
    Granted,
    State,
    lost_page,
    models_granted,
    models_listed,
    of_lost_quotas,
    of_model,
    of_probe,
    of_refused_list,
    quotas_told,
)
from batchrun.core.errors import BatchrunError
from batchrun.core.jobs.endpoints import CLOUDS, Endpoint, cloud_of
from batchrun.core.jobs.job import Job, Workspace
from batchrun.core.model import Failure, Hidden, Request
from batchrun.core.protocols.error_body import complaint_of, error_in_200, refusal
from batchrun.core.protocols.json_body import Document, Unreadable, parse
from batchrun.core.protocols.mishaps import mishap
from batchrun.core.protocols.reading import Reading
from batchrun.core.rows import families
from batchrun.core.rows.routes import NoRoute, Route, route
from batchrun.edge import run_directory
from batchrun.edge.environment import Keys, Missing, hidden_keys, read_keys
from batchrun.edge.transport import Transport
from batchrun.running.by_proxy import WAY_OUT, is_passed_over
from batchrun.running.preparing import transport_of
from batchrun.running.simulated import simulated
from batchrun.telling.standing import stood_in

_AT_ONCE = 16
_MOST_PAGES = 20
_NO_WAY = frozenset({"dns", "connection_refused", "connect_timeout", "unreachable", "tls_handshake", "connection_reset", "disconnected"})
_PROBE = "Hi"

_Told = TypeVar("_Told")
_Sharing = Mapping[SecretStr, Sequence[str]]
"""The workspaces that have each key."""


@value
class _Patient:
    """A workspace that has a key."""

    workspace: Workspace
    endpoint: Endpoint
    key: SecretStr
    models: tuple[str, ...]

    @property
    def headers(self) -> dict[str, str]:
        return {**self.workspace.headers, "Authorization": Hidden(f"Bearer {self.key.get_secret_value()}")}

    def way(self, model: str) -> Route | NoRoute:
        return route(self.endpoint, self.workspace.protocol, model, tuned=model in self.workspace.deployments)


async def examine(job: Job, *, probe: bool, dotenv: Path | None = Path(".env")) -> list[Examined]:
    """Examine every workspace of *job*, in the job's order. Raises JobError where a key is no key."""
    workspaces = job.workspaces_resolved()
    keys = read_keys(workspaces.values(), os.environ, dotenv)
    found: dict[str, Examined] = {}
    gate = anyio.CapacityLimiter(_AT_ONCE)
    async with simulated(job, workspaces) as simulator, transport_of(job, 2 * _AT_ONCE) as transport:
        keys = {**keys, **simulator.keys}
        sharing = _sharing(keys)

        async def one(workspace: Workspace) -> None:
            endpoint = simulator.endpoint if workspace.endpoint.simulated and simulator.endpoint else workspace.endpoint
            async with gate:
                found[workspace.name] = await _examined(job, workspace, endpoint, keys[workspace.name], sharing, transport, probe=probe)

        async with anyio.create_task_group() as tasks:
            for workspace in workspaces.values():
                tasks.start_soon(one, workspace)
    hidden = hidden_keys(workspaces.values(), os.environ, dotenv)
    if not probe and (described := _described(job)):
        found = {name: _with_what_stood(each, workspaces[name], described) for name, each in found.items()}
    return [_with_hidden_key(found[name], hidden.get(name), dotenv) for name in workspaces]


def _described(job: Job) -> Mapping[str, Any] | None:
    """What the run says of itself, if there is one that can be read: its directory is not what is examined."""
    try:
        return run_directory.read_description(Path(job.run_directory))
    except BatchrunError:
        return None


def _with_what_stood(found: Examined, workspace: Workspace, described: Mapping[str, Any]) -> Examined:
    """Say of one that nothing seems to be wrong with what stood still when the run last ended: a bill that is due shows in calls alone."""
    if found.wrong:
        return found
    stood = [
        Finding(
            "last run",
            State.UNKNOWN,
            f"parked at its end: {f'{each.status} ' if each.status else ''}{each.code}: {each.message}",
            each.advice,
        )
        for each in stood_in(described, workspace)
    ]
    return replace(found, findings=(*found.findings, *stood))


def _with_hidden_key(found: Examined, variable: str | None, dotenv: Path | None) -> Examined:
    """Say of what was found with the environment's key that a person may have meant the file's."""
    if variable is None:
        return found
    said = f"that of the environment, which goes before {dotenv}: {variable} is another one there"
    note = Finding("key", State.NOTE, said, f"unset {variable} to have the one in {dotenv} used")
    return replace(found, findings=(note, *found.findings))


async def _examined(
    job: Job, workspace: Workspace, endpoint: Endpoint, key: SecretStr | Missing, sharing: _Sharing, transport: Transport, *, probe: bool
) -> Examined:
    if isinstance(key, Missing):
        wrong = Finding("key", State.WRONG, f"{key.variable} {key.why}", "set it to the API key of this workspace")
        return Examined(workspace.name, workspace.endpoint.name, (wrong,))
    patient = _Patient(workspace, endpoint, key, _models(job, workspace))
    findings = [*_key_findings(workspace, key, sharing)]
    listed = await _listed(transport, patient, endpoint.bases["openai"])
    if isinstance(listed, Failure):
        findings += of_refused_list(listed, endpoint.bases["openai"])
        if listed.code in _NO_WAY and is_passed_over(job, workspace):
            said = "the environment names one (HTTPS_PROXY or its like), and calls go without"
            findings.append(Finding("proxy", State.NOTE, said, WAY_OUT))
        if not probe or any(each.state is State.WRONG for each in findings):
            return Examined(workspace.name, workspace.endpoint.name, tuple(findings))
    else:
        findings += [Finding("endpoint", State.OK, "reached"), Finding("key", State.OK, "taken by the endpoint")]
    models = None if isinstance(listed, Failure) else listed
    granted, quotas = await _managed(transport, patient)
    told = [of_model(model, patient.way(model), models, granted, tuned=model in workspace.deployments) for model in patient.models]
    spent = 0
    if probe:
        told, spent = await _probed(transport, patient, told)
    if not told:
        told = [Finding("model", State.NOTE, "the job names no model for this workspace: its rows do")]
    return Examined(workspace.name, workspace.endpoint.name, (*findings, *told, *quotas), spent)


def _models(job: Job, workspace: Workspace) -> tuple[str, ...]:
    """The models that the job names for a workspace, the one of its rows first."""
    table = job.workspaces.get(workspace.name)
    named = [*(table.models or () if table else ()), *(table.deployments or () if table else ()), *workspace.limits]
    return tuple(dict.fromkeys([*([workspace.model] if workspace.model else []), *named]))


def _sharing(keys: Keys) -> _Sharing:
    found: dict[SecretStr, list[str]] = {}
    for name, key in keys.items():
        if isinstance(key, SecretStr):
            found.setdefault(key, []).append(name)
    return found


def _key_findings(workspace: Workspace, key: SecretStr, sharing: _Sharing) -> Iterable[Finding]:
    text = key.get_secret_value()
    if others := [name for name in sharing[key] if name != workspace.name]:
        advice = "give each workspace its own key: the key decides whose bill a call is on"
        yield Finding("key", State.WRONG, f"the same key as {shortened(others)}", advice)
    if cloud_of(workspace.endpoint) not in CLOUDS:
        return  # A server of one's own has keys of any kind.
    if not text.startswith("sk-"):
        yield Finding("key", State.NOTE, "does not begin with sk-, as the provider's keys do", "see that it is the key, and not its name")
    if text.startswith("sk-sp-"):
        yield Finding("key", State.WRONG, "a key of a coding plan, which is not for batches", "make a key in the workspace itself")


async def _listed(transport: Transport, patient: _Patient, base: str) -> frozenset[str] | Failure:
    """The models that *base* lists, or why there is no list of them."""
    answer = await _get(transport, patient, base + "/models")
    if isinstance(answer, Failure):
        return answer
    models = models_listed(answer)
    return refusal(404, {}, b"") if models is None else models


async def _get(transport: Transport, patient: _Patient, url: str) -> dict[str, Any] | Failure:
    """The object that *url* answers with, or why there is none."""
    page = await transport.get(url, patient.headers)
    if isinstance(page, Failure):
        return page
    if not 200 <= page.status < 300:
        return refusal(page.status, page.headers, page.body)
    match parse(page.body):
        case Document(fields, line):
            said = complaint_of(fields, line)
            return fields if said is None else error_in_200(page.status, page.headers, said)
        case Unreadable("html"):
            return mishap("html", in_doubt=False, status=page.status)
        case _:
            return refusal(404, page.headers, page.body)


async def _managed(transport: Transport, patient: _Patient) -> tuple[Granted | None, list[Finding]]:
    """The models granted to the workspace (None where the endpoint does not tell), and the quotas of those it wants."""
    base = patient.endpoint.bases.get("dashscope-text")
    if base is None:
        return None, []
    url = f"{base}/models/permissions?authorization_scope=AUTHORIZED"
    granted, lost = await _pages(transport, patient, url, models_granted)
    told, more = await _pages(transport, patient, f"{base}/models/limits?", lambda page: quotas_told(page, patient.models))
    quotas = [each for page in told for each in page]
    return Granted(frozenset().union(*granted), lost) if granted else None, [*quotas, *of_lost_quotas(more)]


async def _pages(
    transport: Transport, patient: _Patient, url: str, read: Callable[[dict[str, Any]], _Told | None]
) -> tuple[list[_Told], str]:
    """What is *read* of every page of a management route, and why there may be more; nothing where the endpoint has no such route."""
    size, found = 200, list[_Told]()
    for number in range(1, _MOST_PAGES + 1):
        page = await _get(transport, patient, f"{url}&page_no={number}&page_size={size}")
        known = None if isinstance(page, Failure) else read(page)
        if known is None:
            return found, lost_page(number, page if isinstance(page, Failure) else None) if found else ""
        found.append(known)
        match page:
            case {"output": {"total": int(total)}} if total > number * size:
                continue
        return found, ""
    return found, f"more than {_MOST_PAGES} pages of that list are not read"


async def _probed(transport: Transport, patient: _Patient, told: list[Finding]) -> tuple[list[Finding], int]:
    """Ask each model for one token, unless it is known that it cannot be asked."""
    spent = 0
    findings = []
    for finding in told:
        model = finding.model or ""
        way = patient.way(model)
        if isinstance(way, NoRoute):
            findings.append(finding)
            continue
        result = await transport.post(*_call(patient, model, way))
        spent += result.usage.input_tokens + result.usage.output_tokens if result.usage else 0
        findings.append(of_probe(model, way, result, tuned=model in patient.workspace.deployments))
    return findings, spent


def _call(patient: _Patient, model: str, way: Route) -> tuple[Request, Reading]:
    body: Mapping[str, Any] = {"model": model, "messages": [{"role": "user", "content": _PROBE}], "max_tokens": 1}
    if families.thinks_unasked(model):
        body = {**body, "enable_thinking": False}
    stream = families.needs_stream(model, body)
    headers = patient.headers | (dict(way.wire_format.stream_headers) if stream else {})
    return Request(way.url, headers, way.wire_format.encode({**body}, stream)), Reading(way.wire_format.dialect, {**body})
