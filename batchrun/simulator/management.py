"""The management routes: which models the workspace of a key may call, and what it is limited to.

``/api/v1/models/limits`` (also ``/api/v1/quotas``, its other name) and ``/api/v1/models/permissions``, asked with GET and changed with
POST. Parameters, fields, bounds and the envelope are those of the provider's reference (pages of 2026-09: list-quotas,
update-model-rate-limits, list-model-permissions, update-model-permissions). Uncertain, for no refusal was ever recorded: the words of
most of them, that a refused POST changes nothing at all, and a model's display name, which here is its id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from fractions import Fraction
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import orjson

from batchrun.simulator.accounts import Accounts
from batchrun.simulator.plan import Call
from batchrun.simulator.quotas import Caps

Json = dict[str, Any]

LIMITS = "/api/v1/models/limits"
PERMISSIONS = "/api/v1/models/permissions"
_OTHER_NAME = "/api/v1/quotas"

_MOST_A_PAGE = 200
_MOST_LIMITS = 200
_MOST_PERMISSIONS = 20


class Told(NamedTuple):
    """An answer of a management route."""

    status: int
    body: bytes


class _RefusedError(Exception):
    """What was asked cannot be done; the text says why."""


class _Asked(NamedTuple):
    """A management call whose key was good."""

    accounts: Accounts
    models: tuple[str, ...]
    """All there are."""
    workspace: str
    query: dict[str, str]
    body: bytes


def is_management(path: str) -> bool:
    """Whether a path (without its query) is one of the management routes."""
    return path in {LIMITS, PERMISSIONS, _OTHER_NAME}


def manage(accounts: Accounts, models: tuple[str, ...], call: Call, *, workspace: str, request_id: str) -> Told:
    """Answer a management call with a workspace's key; *models* are all that there are."""
    path, _, query = call.path.partition("?")
    known = {name: values[0] for name, values in parse_qs(query).items()}
    work = _WORK.get((call.method, LIMITS if path == _OTHER_NAME else path))
    if work is None:
        return _told(400, request_id, code="InvalidParameter", message=f"Request method '{call.method}' is not supported.")
    try:
        return _told(200, request_id, output=work(_Asked(accounts, models, workspace, known, call.body)))
    except _RefusedError as refused:
        return _told(400, request_id, code="InvalidParameter", message=str(refused))


def _told(status: int, request_id: str, *, code: str | None = None, message: str | None = None, output: Json | None = None) -> Told:
    envelope = {"request_id": request_id, "code": code, "message": message, "success": code is None, "output": output}
    return Told(status, orjson.dumps(envelope))


def _limits(asked: _Asked) -> Json:
    account = asked.accounts.account_of(asked.workspace)

    def quota(model: str) -> Json:
        shared = account.meter(model)
        own = asked.accounts.limit(asked.workspace, model)
        return {
            "model": model,
            "workspace_id": asked.workspace,
            "model_limit": _caps_told(Caps() if shared is None else shared.caps),
            "workspace_limit": None if own is None else _caps_told(own),
        }

    return _page(asked, asked.models, "quotas", quota)


def _caps_told(caps: Caps) -> Json:
    counted = caps.tokens is not None
    return {
        "request_limit": caps.requests,
        "request_limit_period": None if caps.requests is None else caps.request_period,
        "usage_limit": caps.tokens,
        "usage_limit_field": "total_tokens" if counted else None,
        "usage_limit_period": caps.token_period if counted else None,
        "async_user_queue_limit": None,
        "async_user_concurrency_limit": None,
    }


def _permissions(asked: _Asked) -> Json:
    scope = asked.query.get("authorization_scope", "AUTHORIZABLE")
    if scope not in {"AUTHORIZABLE", "AUTHORIZED"}:
        raise _RefusedError("authorization_scope must be one of AUTHORIZABLE, AUTHORIZED")
    if asked.query.get("action", "INFERENCE") != "INFERENCE":
        raise _RefusedError("action must be INFERENCE")

    def permission(model: str) -> Json:
        granted = {"inference": asked.accounts.may_call(asked.workspace, model), "fine_tune": False, "deploy": False}
        return {"model": model, "name": model, "permissions": granted}

    models = [one for one in asked.models if scope == "AUTHORIZABLE" or asked.accounts.may_call(asked.workspace, one)]
    return _page(asked, models, "permissions", permission)


def _page(asked: _Asked, models: Iterable[str], name: str, made: Callable[[str], Json]) -> Json:
    """One page of the models that the query wants."""
    part, exact = asked.query.get("name", ""), asked.query.get("model")
    wanted = [one for one in models if part in one and exact in {None, one}]
    number, size = _whole(asked, "page_no", 1, None), _whole(asked, "page_size", 20, _MOST_A_PAGE)
    start = (number - 1) * size
    return {"total": len(wanted), "page_no": number, "page_size": size, name: [made(one) for one in wanted[start : start + size]]}


def _whole(asked: _Asked, name: str, default: int, most: int | None) -> int:
    text = asked.query.get(name, str(default))
    value = int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else 0
    if value < 1 or (most is not None and value > most):
        raise _RefusedError(f"{name} must be a positive integer" + ("" if most is None else f" not greater than {most}"))
    return value


def _set_limits(asked: _Asked) -> None:
    caps: dict[str, Caps | None] = {}
    for item in _items(asked, _parsed(asked.body), _MOST_LIMITS):
        model: str = item["model"]
        if not asked.accounts.may_call(asked.workspace, model):
            raise _RefusedError(f"Model {model} is not authorized for Inference")
        current = caps[model] if model in caps else asked.accounts.limit(asked.workspace, model)
        caps[model] = _laid_over(current, item)
        _fits_account(asked, model, caps[model])
    for model, one in caps.items():
        asked.accounts.set_limit(asked.workspace, model, one)


def _laid_over(current: Caps | None, item: Json) -> Caps | None:
    """The limit after an item: what it does not say stays as it was."""
    limits = {field: _number(item, name, 0) for name, field in _LIMIT_FIELDS.items()}
    periods = {field: _number(item, name, 1) for name, field in _PERIOD_FIELDS.items()}
    match item.get("operation_type", "OVERLAY"):
        case "DELETE" if set(limits.values()) != {None}:
            raise _RefusedError("request_limit and usage_limit must be empty when operation_type is DELETE")
        case "DELETE":
            return None
        case "OVERLAY":
            said: dict[str, Any] = {field: value for field, value in {**limits, **periods}.items() if value is not None}
            merged = replace(current or Caps(), **said)
        case _:
            raise _RefusedError("operation_type must be one of OVERLAY, DELETE")
    if merged.requests is None and merged.tokens is not None:
        raise _RefusedError(f"Model {item['model']} has no QPM limit, please set QPM first")
    return None if merged.requests is None else merged


_LIMIT_FIELDS = {"request_limit": "requests", "usage_limit": "tokens"}
_PERIOD_FIELDS = {"request_limit_period": "request_period", "usage_limit_period": "token_period"}


def _number(item: Json, name: str, least: int) -> int | None:
    value = item.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value < 2**53:
        raise _RefusedError(f"{name} must be " + ("a non-negative integer" if least == 0 else "a positive integer"))
    return value


def _fits_account(asked: _Asked, model: str, caps: Caps | None) -> None:
    """All workspaces' limits together may not exceed the account's."""
    shared = asked.accounts.account_of(asked.workspace).meter(model)
    if caps is None or shared is None:
        return
    others = [asked.accounts.limit(name, model) for name in asked.accounts.siblings(asked.workspace)]
    for name, rate in (("request_limit", _calls_a_second), ("usage_limit", _tokens_a_second)):
        most = rate(shared.caps)
        if most is not None and (rate(caps) or 0) + sum((rate(one) or 0) for one in others if one is not None) > most:
            raise _RefusedError(f"The total {name} of all workspaces must not exceed the model limit of {model}")


def _calls_a_second(caps: Caps) -> Fraction | None:
    return None if caps.requests is None else Fraction(caps.requests, caps.request_period)


def _tokens_a_second(caps: Caps) -> Fraction | None:
    return None if caps.tokens is None else Fraction(caps.tokens, caps.token_period)


def _set_permissions(asked: _Asked) -> None:
    body = _parsed(asked.body)
    match body.get("access_all_entities", "KEEP"):
        case "OPEN":
            asked.accounts.authorise(asked.workspace, None)
            return
        case "CLOSE":
            asked.accounts.authorise(asked.workspace, frozenset())
            return
        case "KEEP":
            pass
        case _:
            raise _RefusedError("access_all_entities must be one of OPEN, CLOSE, KEEP")
    granted = set(asked.models if (held := asked.accounts.authorised(asked.workspace)) is None else held)
    for item in _items(asked, body, _MOST_PERMISSIONS):
        match item.get("inference"):
            case None:
                pass
            case True:
                granted.add(item["model"])
            case False:
                granted.discard(item["model"])
            case _:
                raise _RefusedError("inference must be a boolean")
    asked.accounts.authorise(asked.workspace, frozenset(granted))


def _parsed(raw: bytes) -> Json:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise _RefusedError("Required body invalid, please check the request body format.")
    return body


def _items(asked: _Asked, body: Json, most: int) -> list[Json]:
    """The items of ``models``, each with the name of a model that there is."""
    items = body.get("models")
    if not isinstance(items, list) or not 1 <= len(items) <= most:
        raise _RefusedError(f"models must have 1 to {most} items")
    for item in items:
        model = item.get("model") if isinstance(item, dict) else None
        if not isinstance(model, str) or not model:
            raise _RefusedError("model must not be empty")
        if model not in asked.models:
            raise _RefusedError(f"Model {model} does not exist")
    return items


_WORK: dict[tuple[str, str], Callable[[_Asked], Json | None]] = {
    ("GET", LIMITS): _limits,
    ("POST", LIMITS): _set_limits,
    ("GET", PERMISSIONS): _permissions,
    ("POST", PERMISSIONS): _set_permissions,
}
