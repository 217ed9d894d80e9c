"""Which calls come as far as the model: the provider's floors in front of it, each with its refusal.

The order is inferred from the shapes and headers of recorded answers: key → account in arrears → body not too large, and readable →
model exists → workspace authorised for it. Rate limits come after, parameters last.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import orjson

from batchrun.core.classes import value
from batchrun.simulator import refusals
from batchrun.simulator.accounts import Accounts
from batchrun.simulator.families import Family, family
from batchrun.simulator.native_reading import chat_of
from batchrun.simulator.plan import Call
from batchrun.simulator.refusal import Refusal
from batchrun.simulator.routes import Route, wants_events
from batchrun.simulator.scenario import OPEN_KEY_PREFIX, Scenario

_PLAIN_BYTES = 16 * 1024 * 1024
"""The bound of a body without base64."""
_DEEP = 200
"""Brackets from which on a body may be nested too deeply to be written again."""


@value
class Asked:
    """A call that may go to its model: whose it is, and what it asks."""

    workspace: str
    model: str
    body: dict[str, Any]
    """In the words of the compatible route, whichever route it came by."""
    route: Route
    family: Family

    @property
    def stream(self) -> bool:
        """Whether the answer is wanted as events."""
        return self.body.get("stream") is True


class Admission:
    """Knows the workspaces. Holds the digests of their keys, never the keys."""

    def __init__(self, scenario: Scenario, accounts: Accounts) -> None:
        self._scenario = scenario
        self._accounts = accounts
        self._models = frozenset(scenario.models)
        self._deployments: dict[str, set[str]] = {}
        for name, one in scenario.workspaces.items():
            for model in one.deployments:
                self._deployments.setdefault(model, set()).add(name)
        self._keys = {_digest(one.api_key.get_secret_value()): name for name, one in scenario.workspaces.items()}

    def workspace(self, call: Call) -> str | None:
        """The workspace whose key the call shows, if it is anyone's: the key alone selects it."""
        scheme, _, shown = call.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        key = shown.strip()
        name = self._keys.get(_digest(key)) or (self._named_by(key) if self._scenario.open_keys else None)
        return None if name is None or self._accounts.refuses_key_of(name) else name

    def _named_by(self, key: str) -> str | None:
        name = key.removeprefix(OPEN_KEY_PREFIX)
        named = name != key and 0 < len(name) <= 100 and name.isprintable()
        return name if named and name not in self._scenario.workspaces else None

    def admit(self, call: Call, route: Route, workspace: str | None) -> Asked | Refusal:
        """The call as its model will see it, or the first floor's refusal."""
        if workspace is None:
            return refusals.WRONG_KEY
        if self._accounts.in_arrears(workspace):
            return refusals.ARREARAGE
        if len(call.body) > _PLAIN_BYTES and b";base64," not in call.body:
            return refusals.TOO_LARGE
        raw = _parsed(call.body)
        return refusals.UNREADABLE if raw is None else self._asked(raw, call, route, workspace)

    def _asked(self, raw: dict[str, Any], call: Call, route: Route, workspace: str) -> Asked | Refusal:
        model = raw.get("model")
        if not isinstance(model, str) or not model:
            return refusals.NO_MODEL
        known = self._known(workspace, model, route)
        if isinstance(known, Refusal):
            return known
        body = _native(raw, call, route) if route.native else raw
        return body if isinstance(body, Refusal) else Asked(workspace, model, body, route, known)

    def _known(self, workspace: str, model: str, route: Route) -> Family | Refusal:
        """The model's family, if there is such a model on the route and the workspace may call it."""
        owners = self._deployments.get(model)
        facts = family(model, tuned=owners is not None)
        if not route.native and facts.native_only:
            return refusals.model_not_supported(model)
        if owners is not None:
            return facts if workspace in owners else refusals.MODEL_DENIED
        if model not in self._models:
            return refusals.model_not_found(model)
        return facts if self._accounts.may_call(workspace, model) else refusals.MODEL_DENIED


def _native(raw: dict[str, Any], call: Call, route: Route) -> dict[str, Any] | Refusal:
    if call.headers.get("x-dashscope-async", "").lower() == "enable":
        return refusals.ASYNCHRONOUS
    return chat_of(raw, route, stream=wants_events(call.headers))


def _parsed(raw: bytes) -> dict[str, Any] | None:
    try:
        body = orjson.loads(raw)
        if raw.count(b"{") + raw.count(b"[") > _DEEP:
            orjson.dumps(body)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None
    return body if isinstance(body, dict) else None


def _digest(key: str) -> bytes:
    return sha256(key.encode("utf-8", "surrogatepass")).digest()
