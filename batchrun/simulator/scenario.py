"""What a simulated provider is like: its workspaces and keys, its models, its latency and the trouble it makes."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, Strict, model_validator

from batchrun.simulator.tables import AccountSettings, Names, RateLimit, Table, TimedChange

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
    *("qwen-vl-max-latest", "qwen-vl-plus-latest", "qwen-vl-ocr", "qwen-vl-ocr-latest", "qvq-max", "qvq-plus"),
    *("qwen-audio-turbo", "qwen-audio-turbo-latest", "qwen-omni-turbo", "qwen3-omni-flash", "qwen3.5-omni-plus"),
    *("qwen3-235b-a22b", "qwen3-32b", "qwen3-30b-a3b", "qwen3-14b", "qwen3-8b", "qwen3-4b", "qwen3-1.7b", "qwen3-0.6b"),
    *("qwen3-235b-a22b-instruct-2507", "qwen3-235b-a22b-thinking-2507", "qwen3-next-80b-a3b-instruct", "qwen3-next-80b-a3b-thinking"),
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
    STREAM_CUT = "stream_cut"
    """a stream whose second half never comes; the connection closes"""
    STREAM_ERROR = "stream_error"
    """an error event in the middle of a stream, in the route's own dialect: the content inspection's"""
    STREAM_NATIVE_ERROR = "stream_native_error"
    """a native ``event:error`` in the middle of a stream of either dialect: the token quota's"""
    STALL = "stall"
    """a stream that falls silent in its middle until the client leaves"""
    ERROR_IN_200 = "error_in_200"
    """an error's body under status 200"""
    MISLABELLED = "mislabelled"
    """an error as an event's text that is labelled application/json"""
    WORKSPACE_DENIED = "workspace_denied"
    """403 Workspace.AccessDenied"""
    UNPURCHASED = "unpurchased"
    """403 AccessDenied.Unpurchased"""
    NO_QUOTA_403 = "no_quota_403"
    """403 insufficient_quota: the free quota is gone"""
    TOO_LARGE = "too_large"
    """413"""
    ERROR = "error"
    """the error whose code the fault names"""


STREAM_MISHAPS = frozenset({Mishap.STREAM_CUT, Mishap.STREAM_ERROR, Mishap.STREAM_NATIVE_ERROR, Mishap.STALL})
"""Trouble that only a call which asks for a stream can meet."""
_NAMEABLE = frozenset({Mishap.ERROR, Mishap.ERROR_IN_200, Mishap.MISLABELLED, Mishap.STREAM_ERROR, Mishap.STREAM_NATIVE_ERROR})


class Latency(Table):
    """How long an answer takes: lognormal, in seconds, and as long as it is besides. A median of 0 means no wait for its beginning."""

    median: float = Field(default=0.8, ge=0, le=3600, description="half of the answers take longer, in seconds")
    sigma: float = Field(default=0.5, ge=0, le=5, description="how far they spread: the standard deviation of the logarithm")
    per_token: float = Field(default=0.0, ge=0, le=10, description="seconds that each token of an answer takes besides, of thinking too")


class PlannedFault(Table):
    """One kind of trouble, and which of the calls it concerns meet it.

    Calls are counted per fault and workspace, among those that come as far as the fault (nothing before it refused them), so that
    one workspace's calls never change another's. The first planned fault that strikes is the one that shows.
    """

    kind: Annotated[Mishap, Strict(strict=False)] = Field(description="what happens")
    rate: float | None = Field(default=None, gt=0, le=1, description="to this share of the calls, drawn from the seed")
    every: int | None = Field(default=None, ge=1, description="to every n-th call")
    first: int | None = Field(default=None, ge=1, description="to the first n calls only")
    workspace: str | None = Field(default=None, description="only to calls of this workspace")
    model: str | None = Field(default=None, description="only to calls of this model")
    seconds: float = Field(default=20.0, gt=0, description="how long a slow body takes from its first byte to its last")
    code: str | None = Field(
        default=None, min_length=1, description="of kind error, and of those that show one in an odd place: its code, in either dialect"
    )
    status: int | None = Field(default=None, ge=400, le=599, description="the error's status, where it is another than the code's own")
    message: str | None = Field(default=None, description="the error's message, where it is another than the code's own")
    shape: Literal["A", "B", "C"] | None = Field(
        default=None, description="of the compatible body: without an id (A), with one beside the error (B), with one inside it (C)"
    )

    @model_validator(mode="after")
    def _an_error_has_a_code(self) -> Self:
        if self.kind is Mishap.ERROR and self.code is None:
            raise ValueError("a planned fault of kind error names its code")
        if self.kind not in _NAMEABLE and {self.code, self.status, self.message, self.shape} != {None}:
            raise ValueError(f"code, status, message and shape are for the kinds {', '.join(sorted(_NAMEABLE))}")
        return self

    @model_validator(mode="after")
    def _one_measure(self) -> Self:
        if sum(measure is not None for measure in (self.rate, self.every, self.first)) != 1:
            raise ValueError("a planned fault has exactly one of rate, every and first")
        return self


class WorkspaceSettings(Table):
    """How the provider sees a workspace, where that differs from what the job thinks."""

    wrong_key: bool = Field(default=False, description="the key that is sent is not the workspace's: 401")
    models: Names | None = Field(default=None, description="what it is authorised for; every model there is, where it is not given")
    in_arrears: bool = Field(default=False, description="its account is overdue: 400 Arrearage for every workspace of the account")
    limits: Mapping[str, RateLimit] = Field(
        default_factory=dict, description='its own rate limits by model, within its account\'s; "*" is for all its models together'
    )
    deployments: Names = Field(
        default=(), description="models it tuned and deployed: called natively, with its own key alone, and without an authorisation"
    )


class SimulatedWorkspace(WorkspaceSettings):
    """A workspace with its (fake) key and the account that pays for it."""

    api_key: SecretStr = Field(description="its fake key, by which the simulator knows it")
    account: str | None = Field(default=None, description="the account that pays for it; one of its own, where it is not given")


class SimulatorSettings(Table):
    """The part of a scenario that holds no key: a job file's ``[simulator]`` table."""

    seed: int = Field(default=0, description="what all chance is drawn from: the same seed gives the same answers")
    latency: Latency = Field(default=Latency(), description="how long an answer takes")
    models: Names = Field(default=STANDARD_MODELS, description="the models there are")
    cloud: Literal["public", "finance"] = Field(default="public", description="the finance cloud's host has no multimodal route")
    faults: Annotated[tuple[PlannedFault, ...], Strict(strict=False)] = Field(default=(), description="planned trouble, the first first")
    honour_idempotency_key: bool = Field(
        default=False,
        description="a second call with the same Idempotency-Key and body gets the first answer, unbilled; the real one promises nothing",
    )
    journal: int = Field(default=100_000, ge=0, le=10**15, description="how many calls, the latest, the journal keeps")
    price_per_1k_tokens: float = Field(
        default=0.002, ge=0, description="what a thousand tokens of any model cost an account with a balance"
    )
    accounts: Mapping[str, AccountSettings] = Field(
        default_factory=dict, description="the owners of workspaces, by name; a workspace without one is an account under its own name"
    )
    workspaces: Mapping[str, WorkspaceSettings] = Field(default_factory=dict, description="the workspaces, by name")
    changes: Annotated[tuple[TimedChange, ...], Strict(strict=False)] = Field(
        default=(), description="what is changed while a run goes on, each at its time"
    )

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

    workspaces: Mapping[str, SimulatedWorkspace] = Field(default_factory=dict, description="the workspaces, by name")
    open_keys: bool = Field(default=False, description="every key sk-sim-NAME is the key of a workspace NAME, beside those listed")

    @model_validator(mode="after")
    def _one_workspace_a_key(self) -> Self:
        holders: dict[str, str] = {}
        for name, workspace in self.workspaces.items():
            other = holders.setdefault(workspace.api_key.get_secret_value(), name)
            if other != name:
                raise ValueError(f"the workspaces {other} and {name} have the same api_key: the key is what selects the workspace")
        return self
