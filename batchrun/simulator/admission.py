"""Which calls come as far as the model: the provider's floors in front of it, each with its refusal.

The order is inferred from the shapes and headers of recorded answers: key → account in arrears → body readable → model exists →
workspace authorised for it. Rate limits come after, parameters last.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson

from batchrun.simulator import refusals
from batchrun.simulator.plan import Call
from batchrun.simulator.refusals import Refusal
from batchrun.simulator.scenario import OPEN_KEY_PREFIX, Scenario

_NATIVE_ONLY = "qwen-audio"


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that may go to its model: whose it is, and what it asks."""

    workspace: str
    model: str
    body: dict[str, Any]


class Admission:
    """Knows the workspaces. Holds the digests of their keys, never the keys."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._models = frozenset(scenario.models)
        self._keys = {_digest(one.api_key.get_secret_value()): name for name, one in scenario.workspaces.items() if not one.wrong_key}
        accounts = {one.account for one in scenario.workspaces.values() if one.in_arrears and one.account is not None}
        self._in_arrears = {name for name, one in scenario.workspaces.items() if one.in_arrears or one.account in accounts}

    def workspace(self, call: Call) -> str | None:
        """The workspace whose key the call shows, if it is anyone's: the key alone selects it."""
        scheme, _, shown = call.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        key = shown.strip()
        return self._keys.get(_digest(key)) or (self._named_by(key) if self._scenario.open_keys else None)

    def _named_by(self, key: str) -> str | None:
        name = key.removeprefix(OPEN_KEY_PREFIX)
        named = name != key and 0 < len(name) <= 100 and name.isprintable()
        return name if named and name not in self._scenario.workspaces else None

    def admit(self, call: Call, workspace: str | None) -> Asked | Refusal:
        """The call as its model will see it, or the first floor's refusal."""
        if workspace is None:
            return refusals.WRONG_KEY
        if workspace in self._in_arrears:
            return refusals.ARREARAGE
        body = _parsed(call.body)
        if body is None:
            return refusals.UNREADABLE
        model = body.get("model")
        if not isinstance(model, str) or not model:
            return refusals.NO_MODEL
        return self._authorised(workspace, model) or Asked(workspace, model, body)

    def _authorised(self, workspace: str, model: str) -> Refusal | None:
        if model not in self._models:
            return refusals.model_not_supported(model) if model.startswith(_NATIVE_ONLY) else refusals.model_not_found(model)
        settings = self._scenario.workspaces.get(workspace)
        if settings is None or settings.models is None or model in settings.models:
            return None
        return refusals.MODEL_DENIED


def _parsed(raw: bytes) -> dict[str, Any] | None:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return body if isinstance(body, dict) else None


def _digest(key: str) -> bytes:
    return sha256(key.encode("utf-8", "surrogatepass")).digest()
