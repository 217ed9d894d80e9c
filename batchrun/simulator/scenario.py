"""What a simulated provider is like: its workspaces and keys, its models, its latency and the trouble it makes."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

STANDARD_MODELS: tuple[str, ...] = (
    *("qwen3.8-max", "qwen3.8-flash"),
    *("qwen3.7-max", "qwen3.7-plus", "qwen3.7-flash"),
    *("qwen3.6-plus", "qwen3.6-flash"),
    *("qwen3.5-plus", "qwen3.5-flash"),
    *("qwen3-max", "qwen3-coder-plus", "qwen3-coder-flash", "qwen3-vl-plus", "qwen3-vl-flash"),
    *("qwen-max", "qwen-max-latest"),
    *("qwen-plus", "qwen-plus-latest", "qwen-plus-2025-12-01", "qwen-plus-2025-07-28"),
    *("qwen-flash", "qwen-turbo", "qwen-turbo-latest", "qwen-long", "qwen-long-latest"),
    *("qwen-mt-plus", "qwen-mt-turbo", "qwen-vl-max", "qwen-vl-plus", "qwq-plus"),
)
"""The Qwen families that the provider's price and rate-limit pages list for chat."""

OPEN_KEY_PREFIX = "sk-sim-"
"""With `Scenario.open_keys`, ``sk-sim-marketing`` is the key of the workspace ``marketing``."""


class Mishap(StrEnum):
    """A kind of trouble the simulator can be told to make."""

    THROTTLE = "throttle"
    """429 limit_requests"""
    BURST = "burst"
    """429 limit_burst_rate"""
    TOKEN_QUOTA = "token_quota"  # noqa: S105 - a quota of tokens, no secret
    """429 insufficient_quota, which passes"""
    INTERNAL = "internal"
    """500 internal_error"""
    UNAVAILABLE = "unavailable"
    """503 ModelUnavailable"""
    SERVING = "serving"
    """503 ModelServingError"""
    TIMEOUT_500 = "timeout_500"
    """500 InternalError.Timeout"""
    INSPECTION = "inspection"
    """400 data_inspection_failed"""
    FREE_TIER = "free_tier"
    """403 AllocationQuota.FreeTierOnly"""
    ARREARAGE = "arrearage"
    """400 Arrearage"""
    RESET = "reset"
    """the connection is reset after the request was read"""
    TORN = "torn"
    """Content-Length promises more than comes before the connection closes"""
    CUT = "cut"
    """a chunked body without its end"""
    HANG = "hang"
    """no byte ever comes"""
    WRONG_LENGTH = "wrong_length"
    """Content-Length promises less than comes, and the connection stays open"""
    SLOW = "slow"
    """the body comes a few bytes at a time"""
    NO_FINISH = "no_finish"
    """200 without a finish_reason"""
    NOT_JSON = "not_json"
    """200 whose body is no JSON"""
    EMPTY = "empty"
    """200 without a body"""
    HTML = "html"
    """200 with a page of HTML, as a proxy in between sends it"""
    REDIRECT = "redirect"
    """307 to another path"""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)


class Latency(_Strict):
    """How long an answer takes: lognormal, in seconds. A median of 0 means no wait."""

    median: float = Field(0.8, ge=0, le=3600)
    sigma: float = Field(0.5, ge=0, le=5)


class PlannedFault(_Strict):
    """One kind of trouble, and which of the calls it concerns meet it.

    Calls are counted per fault and workspace, among those that come as far as the fault (nothing before it refused them), so that
    one workspace's calls never change another's. The first planned fault that strikes is the one that shows.
    """

    kind: Mishap
    rate: float | None = Field(None, gt=0, le=1)
    """This share of the calls, drawn from the seed."""
    every: int | None = Field(None, ge=1)
    """Every n-th call."""
    first: int | None = Field(None, ge=1)
    """The first n calls only."""
    workspace: str | None = None
    model: str | None = None
    seconds: float = Field(20.0, gt=0)
    """How long a ``slow`` body takes from its first byte to its last."""

    @model_validator(mode="after")
    def _one_measure(self) -> Self:
        if sum(measure is not None for measure in (self.rate, self.every, self.first)) != 1:
            raise ValueError("a planned fault has exactly one of rate, every and first")
        return self


class WorkspaceSettings(_Strict):
    """How the provider sees a workspace, where that differs from what the job thinks."""

    wrong_key: bool = False
    """The key that is sent is not the workspace's: 401."""
    models: tuple[str, ...] | None = None
    """What it is authorised for; None for every model there is."""
    in_arrears: bool = False
    """Its account is overdue: 400 Arrearage for every workspace of the account."""


class SimulatedWorkspace(WorkspaceSettings):
    """A workspace with its (fake) key and the account that pays for it."""

    api_key: SecretStr
    account: str | None = None
    """None for an account of its own."""


class SimulatorSettings(_Strict):
    """The part of a scenario that holds no key: a job file's ``[simulator]`` table."""

    seed: int = 0
    latency: Latency = Latency()
    models: tuple[str, ...] = STANDARD_MODELS
    """The models there are."""
    faults: tuple[PlannedFault, ...] = ()
    honour_idempotency_key: bool = False
    """A second call with the same Idempotency-Key and body gets the first answer and is not billed. The real one does not promise it."""
    journal: int = Field(100_000, ge=0)
    """How many calls, the latest, the journal keeps."""
    workspaces: Mapping[str, WorkspaceSettings] = Field(default_factory=dict)

    def scenario(self, keys: Mapping[str, SecretStr], accounts: Mapping[str, str | None] | None = None) -> Scenario:
        """Join the settings with each workspace's key (and account); settings of a workspace without a key are left out."""
        owners = accounts or {}
        fields = {name: getattr(self, name) for name in SimulatorSettings.model_fields if name != "workspaces"}
        workspaces = {
            name: SimulatedWorkspace(api_key=key, account=owners.get(name), **self.workspaces.get(name, WorkspaceSettings()).model_dump())
            for name, key in keys.items()
        }
        return Scenario(**fields, workspaces=workspaces)


class Scenario(SimulatorSettings):
    """Everything a simulated provider knows."""

    workspaces: Mapping[str, SimulatedWorkspace] = Field(default_factory=dict)
    open_keys: bool = False
    """Every key ``sk-sim-NAME`` is the key of a workspace NAME, on top of the workspaces listed."""

    @model_validator(mode="after")
    def _one_workspace_a_key(self) -> Self:
        holders: dict[str, str] = {}
        for name, workspace in self.workspaces.items():
            other = holders.setdefault(workspace.api_key.get_secret_value(), name)
            if other != name:
                raise ValueError(f"the workspaces {other} and {name} have the same api_key: the key is what selects the workspace")
        return self
