"""The tables of a scenario that say what the provider keeps about accounts: rate limits, money, and what changes with time.

Every key says in its description what it means: the JSON Schema and the mistakes show it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, Strict, model_validator

ALL_MODELS = "*"
"""As a model's name in a workspace's limits: a limit on all its models together."""

Names = Annotated[tuple[str, ...], Strict(strict=False)]
"""TOML has lists only."""


class Table(BaseModel):
    """What all tables of a scenario share: nothing is guessed, nothing is ignored, nothing changes later."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True, defer_build=True)


class RateLimit(Table):
    """Calls and tokens a minute, and the windows in which the provider holds to them.

    A limit of 600 a minute in a period of 6 seconds lets 60 through in 6 seconds: recorded headers show periods of 1, 6 and 60 seconds.
    """

    rpm: int | None = Field(default=None, ge=1, description="calls a minute; without it, calls are not counted")
    tpm: int | None = Field(default=None, ge=1, description="tokens a minute, input and output; without it, tokens are not counted")
    period: int = Field(default=60, ge=1, le=3600, description="seconds of a window: rpm and tpm are held to as rpm * period / 60 in each")
    request_period: int | None = Field(default=None, ge=1, le=3600, description="seconds of a window of calls, where it is another")
    token_period: int | None = Field(default=None, ge=1, le=3600, description="seconds of a window of tokens, where it is another")
    window: Literal["sliding", "aligned"] = Field(
        default="sliding", description='"sliding": in any stretch of a period; "aligned": from one whole period of the clock to the next'
    )
    debit: Literal["admission", "completion"] = Field(
        default="admission",
        description='when tokens count: at "admission" (a call that does not fit is refused) or at "completion" (the last may go over)',
    )
    per_second: bool = Field(default=False, description="also hold calls to rpm / 60, rounded up, in a window of one second")

    @property
    def request_window(self) -> tuple[int | None, int]:
        """Calls in how many seconds."""
        return _in_window(self.rpm, self.request_period or self.period)

    @property
    def token_window(self) -> tuple[int | None, int]:
        """Tokens in how many seconds."""
        return _in_window(self.tpm, self.token_period or self.period)

    @model_validator(mode="after")
    def _lets_something_through(self) -> Self:
        for name, rate, (most, period) in (("rpm", self.rpm, self.request_window), ("tpm", self.tpm, self.token_window)):
            if most == 0:
                least = -(-60 // period)
                raise ValueError(f"{name} = {rate} comes to nothing in a window of {period} seconds: at least {least}, or a longer window")
        if self.per_second and self.rpm is None:
            raise ValueError("per_second needs an rpm")
        return self


def _in_window(rate: int | None, period: int) -> tuple[int | None, int]:
    return None if rate is None else rate * period // 60, period


class AccountQuota(RateLimit):
    """What an account may call of one model, all its workspaces together."""

    burst: float | None = Field(
        default=None, ge=1, le=1000, description="more than this many times the calls of the burst_period before is too quick a growth"
    )
    burst_period: int = Field(
        default=10, ge=1, le=3600, description="seconds over which growth is looked at, on whole periods of the clock"
    )
    burst_floor: int = Field(default=10, ge=1, description="calls in a burst_period that are never too many, whatever came before")


class AccountSettings(Table):
    """An account: its quotas and its money."""

    quotas: Mapping[str, AccountQuota] = Field(
        default_factory=dict, description="by model, shared by the account's workspaces; a name with a dot is quoted"
    )
    balance: float | None = Field(
        default=None, ge=0, description="money left; at nothing, every workspace gets 400 Arrearage. Without it, it never runs out"
    )
    free_quota: Mapping[str, Annotated[int, Field(ge=0)]] = Field(
        default_factory=dict, description="free tokens by model; they are spent before the balance is"
    )
    free_tier_only: bool = Field(default=False, description="a model whose free_quota is spent answers 403 AllocationQuota.FreeTierOnly")


class TimedChange(Table):
    """Something a person does in the console while a run goes on."""

    at: float = Field(ge=0, description="seconds after the first call of any workspace")
    account: str | None = Field(default=None, description="the account it concerns")
    workspace: str | None = Field(default=None, description="the workspace it concerns")
    balance: float | None = Field(default=None, ge=0, description="the account's balance from then on; its arrears are settled")
    quotas: Mapping[str, AccountQuota] | None = Field(
        default=None,
        description="the account's quotas of these models from then on; what was counted in windows that stay goes on counting",
    )
    models: Names | None = Field(default=None, description="what the workspace is authorised for from then on")
    wrong_key: bool | None = Field(default=None, description="whether the workspace's key is refused from then on")

    @model_validator(mode="after")
    def _one_subject(self) -> Self:
        if (self.account is None) == (self.workspace is None):
            raise ValueError("a change has an account or a workspace, and not both")
        of_account = self.balance is not None or self.quotas is not None
        of_workspace = self.models is not None or self.wrong_key is not None
        if self.account is not None and (of_workspace or not of_account):
            raise ValueError("an account's change has a balance or quotas, and nothing else")
        if self.workspace is not None and (of_account or not of_workspace):
            raise ValueError("a workspace's change has models or wrong_key, and no balance or quotas")
        return self
