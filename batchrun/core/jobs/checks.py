"""What no table of a job can know by itself: that the names in it exist, and fit together.

The job is looked at as it was written, whatever else is wrong with it, so that all mistakes are told at once.
"""

from __future__ import annotations

import math
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from batchrun.core.jobs.endpoints import KNOWN_NAMES, REGIONS, SIMULATOR, endpoint_of, is_host, is_url
from batchrun.core.jobs.names import fold, variables_for
from batchrun.core.jobs.words import Loc, Names, Wrong, one_of, quoted, shown, slip_of
from batchrun.core.money.pricing import region_of
from batchrun.core.rows.routes import PROTOCOLS, NoRoute, route
from batchrun.core.rows.routes import one_of as either

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DEFAULT_WORKSPACE = "default"
MAX_WORKSPACES = 10_000
"""Of one job: each has files and connections of its own."""
_REGION = re.compile(r"[a-z]{2}-[a-z]+(-[a-z]+)*-[0-9]")
"""As the provider names those of which only workspaces' own hosts are known: ``eu-central-1``."""


def misfits(raw: Any) -> Iterator[Wrong]:
    """Yield every name in *raw* that leads nowhere, or that two things have."""
    if len(_table(raw, "workspaces")) > MAX_WORKSPACES:
        found = f"{len(_table(raw, 'workspaces')):,} workspaces"
        yield Wrong(("workspaces",), found, f"at most {MAX_WORKSPACES:,}: make several jobs of it, each with an output of its own")
        return
    named = _Named.by(raw)
    yield from _inputs(raw, named.workspaces)
    yield from _endpoint(named, ("defaults", "endpoint"), _table(raw, "defaults").get("endpoint"))
    yield from _endpoint_names(raw)
    for kind in ("accounts", "workspaces"):
        yield from _twins(kind, _texts(_table(raw, kind)))
    for name, workspace in _table(raw, "workspaces").items():
        if isinstance(name, str) and isinstance(workspace, dict):  # What is no table may be a key of one, and no workspace.
            yield from _workspace(raw, named, name)
    yield from _price_regions(raw, named.urls)
    yield from _simulator(raw, named.workspaces)
    yield from _too_long(raw, ())
    yield from _no_json(_table(raw, "answers").get("schema"), ("answers", "schema"))


class _Named(NamedTuple):
    """What a job's tables are called that others of them name."""

    workspaces: Names
    accounts: Names
    endpoints: Names
    urls: dict[str, str]
    """Of the job's own endpoints, where they are texts."""

    @classmethod
    def by(cls, raw: Any) -> _Named:
        endpoints = _table(raw, "endpoints")
        urls = {
            name: url
            for name, table in endpoints.items()
            if isinstance(name, str) and isinstance(url := _table(table).get("base_url"), str)
        }
        return cls(Names(_workspace_names(raw)), Names(_texts(_table(raw, "accounts"))), Names(map(str, (*KNOWN_NAMES, *endpoints))), urls)


def _no_json(value: Any, loc: Loc) -> Iterator[Wrong]:
    """Find what TOML has and JSON has not: no answer would ever be that, and each would be paid for, and refused."""
    match value:
        case dict():
            for name, inner in value.items():
                yield from _no_json(inner, (*loc, str(name)))
        case list():
            for place, inner in enumerate(value):
                yield from _no_json(inner, (*loc, place))
        case None | str() | int():
            return
        case float() if math.isfinite(value):
            return
        case _:
            yield Wrong(loc, shown(value), "what JSON can carry: text, numbers, true, false, lists and tables; a date is text there")


def _too_long(value: Any, loc: Loc) -> Iterator[Wrong]:
    """Find integers that no JSON keeps: a run writes down the job that it carries out."""
    match value:
        case dict():
            for name, inner in value.items():
                if name != "parameters":  # They tell it themselves.
                    yield from _too_long(inner, (*loc, str(name)))
        case list():
            for place, inner in enumerate(value):
                yield from _too_long(inner, (*loc, place))
        case int() if not -(2**63) <= value < 2**64:
            yield Wrong(loc, shown(value), "an integer of at most 64 bits")


def _table(parent: Any, *keys: Any) -> dict[Any, Any]:
    for key in keys:
        parent = parent.get(key) if isinstance(parent, dict) else None
    return parent if isinstance(parent, dict) else {}


def _inputs(raw: Any, known: Names) -> Iterator[Wrong]:
    inputs = _table(raw, "job").get("input")
    alone = not isinstance(inputs, list)
    for place, one in enumerate([inputs] if alone else inputs or []):
        workspace = one.get("workspace") if isinstance(one, dict) else None
        if isinstance(workspace, str) and workspace not in known:
            loc = ("job", "input", "workspace") if alone else ("job", "input", place, "workspace")
            yield Wrong(loc, shown(workspace), f"a workspace of this job; {known.one_of(workspace)}")


def _texts(values: Iterable[Any]) -> list[str]:
    return [each for each in values if isinstance(each, str)]


def _workspace_names(raw: Any) -> list[str]:
    return _texts(_table(raw, "workspaces")) or [DEFAULT_WORKSPACE]


def _simulator(raw: Any, known: Names) -> Iterator[Wrong]:
    simulator = _table(raw, "simulator")
    places: list[tuple[Loc, Any]] = [(("workspaces", name), name) for name in _table(simulator, "workspaces")]
    for kind in ("faults", "changes"):
        tables = simulator.get(kind)
        for number, table in enumerate(tables if isinstance(tables, list) else []):
            places.append(((kind, number, "workspace"), _table(table).get("workspace")))
    for loc, name in places:
        if isinstance(name, str) and name not in known:
            yield Wrong(("simulator", *loc), f"the name {shown(name)}", f"a workspace of this job; {known.one_of(name)}")


def _endpoint(named: _Named, loc: tuple[str, ...], name: Any) -> Iterator[Wrong]:
    if isinstance(name, str) and not is_url(name) and name not in named.endpoints:
        url = "a URL, with https:// or http:// before the host" if is_host(name) else "a URL"
        yield Wrong(loc, shown(name), f"an endpoint's name, or {url}; {named.endpoints.one_of(name)}")


def _endpoint_names(raw: Any) -> Iterator[Wrong]:
    for name in _table(raw, "endpoints"):
        if name in KNOWN_NAMES:
            yield Wrong(
                ("endpoints", name), f"the name {shown(name)}", "a name that is not one of batchrun's own: " + ", ".join(KNOWN_NAMES)
            )


def _price_regions(raw: Any, declared: dict[str, str]) -> Iterator[Wrong]:
    """Find prices that would hold nowhere: calls would be reckoned at the shipped ones in their place, and nobody told."""
    priced_at = _priced_at(declared)
    known = list(dict.fromkeys(priced_at.values()))
    for model, tables in _table(raw, "prices").items():
        for place, table in enumerate(tables if isinstance(tables, list) else [tables]):
            region = _table(table).get("region")
            if isinstance(region, str) and region not in known and (region in priced_at or not _REGION.fullmatch(region)):
                right = quoted(priced_at[region]) if region in priced_at else one_of(region, known)
                loc = ("prices", model, place, "region") if isinstance(tables, list) else ("prices", model, "region")
                yield Wrong(loc, shown(region), f"where calls are priced: {right}")


def _priced_at(declared: dict[str, str]) -> dict[str, str]:
    """Where calls are priced, by each name that is known of a cloud, a region of the provider's or an endpoint of the job's own."""
    found = dict[str, str]()
    for name in (*KNOWN_NAMES, *declared):
        found[name] = name
        with suppress(ValueError):  # What is no URL is told where it stands.
            found[name] = region_of(endpoint_of(name, declared))
    return found | {region: found[cloud] for region, cloud in REGIONS.items()}


def _twins(kind: str, names: list[str]) -> Iterator[Wrong]:
    first: dict[str, str] = {}
    for name in names:
        twin = first.setdefault(fold(name), name)
        if twin != name:
            yield Wrong((kind, name), f"the name {shown(name)}", f"a name that differs from {shown(twin)} by more than capitals")


def _workspace(raw: Any, named: _Named, name: Any) -> Iterator[Wrong]:
    here = ("workspaces", name)
    workspace = _table(raw, *here)
    yield from _endpoint(named, (*here, "endpoint"), workspace.get("endpoint"))
    yield from _account(named.accounts, here, workspace)
    yield from _key(raw, here, workspace)
    yield from _models(raw, here, workspace)
    yield from _routes(raw, named.urls, here, workspace)


def _account(accounts: Names, here: tuple[str, str], workspace: dict[Any, Any]) -> Iterator[Wrong]:
    match workspace.get("account"):
        case None if here[1] in accounts:
            yield Wrong((*here, "account"), "nothing", f"account = {quoted(here[1])}, or another name for the account: both are called so")
        case str(account) if not accounts:
            yield Wrong((*here, "account"), shown(account), "an account of this job, and it has none: declare it as [accounts.NAME]")
        case str(account) if account not in accounts:
            yield Wrong((*here, "account"), shown(account), f"an account of this job; {accounts.one_of(account)}")


def _key(raw: Any, here: tuple[str, str], workspace: dict[Any, Any]) -> Iterator[Wrong]:
    endpoint = workspace.get("endpoint") or _table(raw, "defaults").get("endpoint")
    if endpoint != SIMULATOR and workspace.get("api_key_env") is None:
        variable = variables_for(tuple(_workspace_names(raw)))[here[1]]
        yield Wrong(
            (*here, "api_key_env"), "nothing", f'needed: the name of the environment variable that holds the key, such as "{variable}"'
        )


def _models(raw: Any, here: tuple[str, str], workspace: dict[Any, Any]) -> Iterator[Wrong]:
    models = workspace.get("models")
    if not isinstance(models, list) or not models:
        return
    known = [*_texts(models), *_deployments(workspace)]
    own, inherited = workspace.get("model"), _table(raw, "defaults").get("model")
    if isinstance(own, str) and own not in known:
        or_there = f"; where {quoted(own)} is right, correct {quoted(meant)} in models" if (meant := slip_of(own, known)) else ""
        yield Wrong((*here, "model"), shown(own), f"a model of this workspace's models; {one_of(own, known)}{or_there}")
    if own is None and isinstance(inherited, str) and inherited not in known:
        # The list is what stands here: what it has cannot be meant by what it has not.
        meant = slip_of(inherited, known)
        mistyped = f"; {quoted(meant)} there may be mistyped, or {quoted(inherited)}" if meant else ""
        allowed = f"models with {shown(inherited)}, which [defaults] gives the workspace, or a model of its own beside it{mistyped}"
        yield Wrong((*here, "models"), "a list without the workspace's model", allowed)
    for model in _texts(_table(workspace, "limits")):
        if model not in known:
            yield Wrong((*here, "limits", model), "a limit", f"a limit of one of this workspace's models; {one_of(model, known)}")


def _deployments(workspace: dict[Any, Any]) -> list[str]:
    deployments = workspace.get("deployments")
    return _texts(deployments) if isinstance(deployments, list) else []


def _routes(raw: Any, declared: dict[str, str], here: tuple[str, str], workspace: dict[Any, Any]) -> Iterator[Wrong]:
    """Find models that this workspace names and that its endpoint cannot be asked for; one mistake a workspace."""
    defaults = _table(raw, "defaults")
    name = workspace.get("endpoint") or defaults.get("endpoint") or "public"
    protocol = workspace.get("protocol") or defaults.get("protocol")
    # What a person wrote may be a list: in a set it would have to be hashable.
    if not isinstance(name, str) or protocol not in (None, *PROTOCOLS):
        return
    if not (is_url(name) or name in KNOWN_NAMES or name in declared):
        return  # What it speaks is not known, and that it is none is told where it stands.
    try:
        endpoint = endpoint_of(name, declared)
    except ValueError:  # What is no URL, for want of a bracket, is told where it stands.
        return
    tuned = _deployments(workspace)
    models = workspace.get("models")
    named = [workspace.get("model") or defaults.get("model"), *(models if isinstance(models, list) else ()), *tuned]
    for model in _texts(named):
        found = route(endpoint, protocol, model, tuned=model in tuned)
        if isinstance(found, NoRoute):
            where = (*here, "protocol") if workspace.get("protocol") else (*here, "endpoint")
            shown_name = "the finance cloud" if name == "finance" else f"endpoint {shown(name)}"
            yield Wrong(where, f"{found.protocol} for {shown(model)}", f"what {shown_name} speaks: {either(endpoint.bases)}")
            return
