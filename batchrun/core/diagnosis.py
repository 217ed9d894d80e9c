"""What can be said of a workspace before anything is spent on it: a finding a fact, and what to do about each that is wrong.

The models route lists what a region has, authorised or not (seen in 2026), so it proves a key and never an authorisation; the permissions
route, where the endpoint has one, proves that. The limits route tells the quotas of the account, and the workspace's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from batchrun.core.classes import value
from batchrun.core.model import Failure, Fault, Reply, Scope
from batchrun.core.protocols.failures import located
from batchrun.core.rows import families
from batchrun.core.rows.routes import NoRoute, Route


class State(StrEnum):
    """How a check came out."""

    OK = "ok"
    NOTE = "note"
    UNKNOWN = "unknown"
    """It could not be told without spending."""
    WRONG = "wrong"


@value
class Finding:
    """One fact about a workspace."""

    check: str
    """``key``, ``endpoint``, ``model``, ``quota`` or ``last run``."""
    state: State
    said: str
    advice: str = ""
    model: str | None = None


@value
class Examined:
    """One workspace, examined."""

    workspace: str
    endpoint: str
    findings: tuple[Finding, ...]
    spent_tokens: int = 0
    """What its probes cost."""

    @property
    def wrong(self) -> bool:
        """Whether a run would park any of its rows."""
        return any(each.state is State.WRONG for each in self.findings)

    def as_json(self) -> dict[str, Any]:
        """Return it as ``doctor --json`` prints it."""
        findings = [
            {"check": each.check, "model": each.model, "state": each.state, "said": each.said, "advice": each.advice}
            for each in self.findings
        ]
        return {"workspace": self.workspace, "endpoint": self.endpoint, "findings": findings, "spent_tokens": self.spent_tokens}


@value
class Granted:
    """The models that are granted to a workspace, as far as the endpoint has told them."""

    models: frozenset[str]
    lost: str = ""
    """Why there may be more; nothing where these are all."""


def asked_of_the_owner(examined: Iterable[Examined]) -> list[str]:
    """What only the account's owner can mend, a line each, fit to be sent as it is."""
    grants = []
    for each in examined:
        models = [f.model for f in each.findings if f.check == "model" and f.state is State.WRONG and f.model and f.advice == NOT_GRANTED]
        if models:
            grants.append(f"workspace {each.workspace}: authorise {', '.join(models)}")
        grants += [f"workspace {each.workspace}: {f.said}; {f.advice}" for f in each.findings if f.check == "account"]
    return grants


NOT_GRANTED = "ask the account's owner to authorise it for this workspace (console: Model Studio > workspace > model authorisation)"
_AGAIN = "run doctor again, or with --probe"


def lost_page(number: int, failure: Failure | None) -> str:
    """Say that a page of a list could not be had; no *failure* where it is none of that list."""
    why = "it is no such list" if failure is None else f"{failure.status or ''} {failure.code}: {failure.message}".strip()
    return f"page {number} of that list could not be read: {why}"


def of_lost_quotas(lost: str) -> list[Finding]:
    """What is said where some quotas could not be told."""
    return [Finding("quota", State.UNKNOWN, f"there may be more: {lost}", "run doctor again")] if lost else []


def of_refused_list(failure: Failure, base: str) -> list[Finding]:
    """What a refused or failed models list says of the endpoint at *base* and the key."""
    if failure.status is None:
        return [Finding("endpoint", State.WRONG, f"{failure.code}: {failure.message}", _advice(failure))]
    reached = Finding("endpoint", State.OK, "reached")
    if 300 <= failure.status < 400:
        return [Finding("endpoint", State.WRONG, located(failure, f"{base}/models").message, _advice(failure))]
    if failure.status in {404, 405} or failure.code == "html":
        what = "is a web page" if failure.code == "html" else "is not there"
        said = f"{base}/models {what}: only a probe tells whether this is the right address, and takes the key"
        return [reached, Finding("key", State.UNKNOWN, said, "run doctor with --probe; an endpoint is the URL up to /chat/completions")]
    if failure.scope is Scope.ACCOUNT:
        return [reached, Finding("account", State.WRONG, f"{failure.code}: {failure.message}", _advice(failure))]
    state = State.WRONG if failure.fault is Fault.PARK else State.UNKNOWN
    return [reached, Finding("key", state, f"{failure.status} {failure.code}: {failure.message}", _advice(failure))]


def of_model(model: str, way: Route | NoRoute, listed: frozenset[str] | None, granted: Granted | None, *, tuned: bool) -> Finding:
    """What is known of a model without a call: *listed* by the region and *granted* to the workspace, None where neither can be asked."""
    if isinstance(way, NoRoute):
        return Finding("model", State.WRONG, way.reason, way.advice, model)
    how = _how(model, way, tuned=tuned)
    if granted is not None and (model in granted.models or tuned):
        said = "authorised" if model in granted.models else "a deployment, which needs no authorisation"
        return Finding("model", State.OK, f"{said}{how}", "", model)
    if granted is not None and granted.lost:
        return Finding("model", State.UNKNOWN, f"not among what is known to be authorised, and {granted.lost}", _AGAIN, model)
    if granted is not None and listed is not None and model not in listed:
        return Finding("model", State.WRONG, "neither in the region's list nor authorised", f"correct the name, or {NOT_GRANTED}", model)
    if granted is not None:
        return Finding("model", State.WRONG, "not authorised for this workspace", NOT_GRANTED, model)
    known = (
        "in the region's list; " if listed is not None and model in listed else "not in the region's list; " if listed is not None else ""
    )
    return Finding("model", State.UNKNOWN, f"{known}whether it is authorised only a probe tells{how}", "run doctor with --probe", model)


def of_probe(model: str, way: Route, result: Reply | Failure, *, tuned: bool) -> Finding:
    """What a call for one token says of a model."""
    how = _how(model, way, tuned=tuned)
    match result:
        case Reply():
            return Finding("model", State.OK, f"answers{how}", "", model)
        case Failure(fault=Fault.REJECT, status=int()) | Failure(fault=Fault.REASK):
            return Finding("model", State.OK, f"may be called, but does not take the probe ({result.code}){how}", "", model)
        case Failure(fault=Fault.THROTTLED):
            return Finding("model", State.OK, f"may be called, and is at its rate limit ({result.code}){how}", "", model)
        case Failure(scope=Scope.ACCOUNT):
            return Finding("account", State.WRONG, f"{result.code}: {result.message}", _advice(result), model)
        case Failure(code="Model.AccessDenied"):
            return Finding("model", State.WRONG, "not authorised for this workspace", NOT_GRANTED, model)
    state = State.WRONG if result.fault is Fault.PARK else State.UNKNOWN
    return Finding("model", state, f"{result.status or ''} {result.code}: {result.message}".strip(), _advice(result), model)


def _advice(failure: Failure) -> str:
    """A failure's advice without what it says of rows and of running again: nothing runs yet."""
    return failure.advice.partition("; then run the same command")[0].rpartition("if it stays, ")[2]


def _how(model: str, way: Route, *, tuned: bool) -> str:
    notes = [f"by {way.wire_format.name}"] if way.wire_format.name != "openai" else []
    notes += ["native only"] if tuned or families.native_only(model) else []
    notes += ["streams only"] if families.stream_only(model) else []
    return f" ({', '.join(notes)})" if notes else ""


def models_listed(answer: object) -> frozenset[str] | None:
    """The ids of a models list; None where it is none."""
    match answer:
        case {"data": list(models)}:
            return frozenset(each["id"] for each in models if isinstance(each, dict) and isinstance(each.get("id"), str))
    return None


def models_granted(answer: object) -> frozenset[str] | None:
    """The models of one page of ``/models/permissions``; None where it is none."""
    pages = _page(answer, "permissions")
    return None if pages is None else frozenset(each["model"] for each in pages if isinstance(each.get("model"), str))


def quotas_told(answer: object, models: Iterable[str]) -> list[Finding]:
    """The quotas that one page of ``/models/limits`` tells of *models*."""
    wanted = set(models)
    return [
        Finding("quota", State.NOTE, "; ".join(said), "", each["model"])
        for each in _page(answer, "quotas") or ()
        if each.get("model") in wanted
        and (said := [*_limits("account", each.get("model_limit")), *_limits("workspace", each.get("workspace_limit"))])
    ]


def _page(answer: object, name: str) -> list[dict[str, Any]] | None:
    output = answer.get("output") if isinstance(answer, dict) else None
    page = output.get(name) if isinstance(output, dict) else None
    return [each for each in page if isinstance(each, dict)] if isinstance(page, list) else None


def _limits(whose: str, limit: object) -> list[str]:
    if not isinstance(limit, dict):
        return []
    told = [_rate(limit, "request_limit", "request_limit_period", "requests"), _rate(limit, "usage_limit", "usage_limit_period", "tokens")]
    said = [each for each in told if each]
    return [f"{whose}: {', '.join(said)}"] if said else []


def _rate(limit: dict[str, Any], count: str, period: str, what: str) -> str | None:
    most, seconds = limit.get(count), limit.get(period)
    if not isinstance(most, int) or not isinstance(seconds, int) or seconds < 1:
        return None
    return f"{most * 60 // seconds:,} {what} a minute" + ("" if seconds == 60 else f" (counted every {seconds} s)")
