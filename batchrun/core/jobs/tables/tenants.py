"""Tables of those who call: accounts, endpoints, workspaces and their limits, and what holds where a workspace says nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, Strict

from batchrun.core.jobs.endpoints import KNOWN_NAMES, BaseUrl, EndpointName
from batchrun.core.jobs.names import ModelName, Name, VariableName
from batchrun.core.jobs.tables.headers import Headers, HeadersOfAll
from batchrun.core.jobs.tables.money import Budgets, Share
from batchrun.core.jobs.tables.parameters import Parameters
from batchrun.core.jobs.tables.values import WINDOWS, AtLeastOne, Flag, PerMinute, Table, Window
from batchrun.core.jobs.words import said, wrong


def _models(models: tuple[str, ...]) -> tuple[str, ...]:
    if not models:
        raise wrong("an empty list", "at least one model; without the key, it may call every model")
    return models


Weight = Annotated[float, Field(ge=0.001, le=1000), said("a number from 0.001 to 1000")]
Protocol = Annotated[
    Literal["openai", "dashscope", "dashscope-text", "dashscope-multimodal"],
    said('"openai", "dashscope", "dashscope-text" or "dashscope-multimodal"'),
]
Models = Annotated[tuple[ModelName, ...], Strict(False), AfterValidator(_models)]

_PROTOCOL_SAID = (
    'the wire format: "openai", or "dashscope" for the native route that serves the model (or that route by its name, "dashscope-text" or '
    '"dashscope-multimodal"); found from the model, where it is not given'
)
_STREAM_SAID = "whether answers are streamed; models that only stream are, where it is not given"
_ENDPOINT_SCHEMA: dict[str, Any] = {"anyOf": [{"enum": list(KNOWN_NAMES)}, {"type": "string", "format": "uri"}, {"type": "string"}]}


class DefaultsTable(Table):
    """What holds for every workspace, and every row, that does not say otherwise."""

    model: ModelName | None = Field(default=None, description="the model of rows that name none", examples=["qwen-plus"])
    endpoint: EndpointName = Field(
        default="public",
        description="a cloud of the provider, the simulator, an endpoint of [endpoints], or a base URL",
        examples=["public", "simulator", "https://llm.example/compatible-mode/v1"],
        json_schema_extra=_ENDPOINT_SCHEMA,
    )
    protocol: Protocol | None = Field(default=None, description=_PROTOCOL_SAID, examples=["dashscope"])
    stream: Flag | None = Field(default=None, description=_STREAM_SAID, examples=[True])
    concurrency: AtLeastOne = Field(default=8, description="calls in flight, each workspace for itself")
    parameters: Parameters = Field(
        default={},
        description="goes into every request as it is; model, messages and stream do not belong here",
        examples=[{"temperature": 0.2, "max_tokens": 400}],
    )
    headers: HeadersOfAll = Field(
        default={},
        description="go into every request as they are; never a key, and none that batchrun writes itself",
        examples=[{"X-DashScope-DataInspection": '{"input":"cip","output":"cip"}'}],
    )


class QuotaTable(Table):
    """What may be called in a minute."""

    rpm: PerMinute | None = Field(default=None, description="requests a minute; found by trying, where it is not given", examples=[1200])
    tpm: PerMinute | None = Field(
        default=None, description="tokens a minute, input and output together; found by trying, where it is not given", examples=[1_000_000]
    )


class AccountTable(Table):
    """The owner of several workspaces: the provider counts its rate limits over all of them."""

    quotas: dict[ModelName, QuotaTable] = Field(
        default={},
        description="by model, shared by all workspaces of the account; a name with a dot is quoted",
        examples=[{"qwen-plus": {"rpm": 30_000, "tpm": 5_000_000}}],
    )
    discount: Share = Field(default=Decimal(0), description="taken off the prices of all models", examples=[0.1])
    discounts: dict[ModelName, Share] = Field(default={}, description="by model; goes before discount", examples=[{"qwen-max": 0.25}])


class EndpointTable(Table):
    """A server of one's own, or a workspace's own host."""

    base_url: BaseUrl = Field(
        description="an https:// or http:// URL with its path, without a query, a user name or a password",
        examples=["https://llm.example/compatible-mode/v1"],
    )


class LimitTable(QuotaTable):
    """What holds back one model of one workspace."""

    concurrency: AtLeastOne | None = Field(default=None, description="calls in flight to this model, within the workspace's own")
    budget: Budgets = Field(default=(), description="what may be spent on this model, within the workspace's own; one budget or a list")


class WorkspaceTable(QuotaTable):
    """A tenant: its key, its endpoint, what it may call and how much at a time; rpm and tpm are those of all its models together."""

    api_key_env: VariableName | None = Field(
        default=None,
        description="the name of the environment variable that holds the key, never the key; not needed for the simulator",
        examples=["LEGAL_DASHSCOPE_API_KEY"],
    )
    account: Name | None = Field(
        default=None,
        description="the account of [accounts] that owns it; an account of its own, where it is not given",
        examples=["main"],
    )
    concurrency: AtLeastOne | None = Field(default=None, description="calls in flight, all models together")
    weight: Weight = Field(
        default=1.0, description="its share of a quota that it has in common with other workspaces, against their weights", examples=[2]
    )
    models: Models | None = Field(
        default=None,
        description="the models it is authorised for; every model, where it is not given",
        examples=[["qwen-plus", "qwen-flash"]],
    )
    model: ModelName | None = Field(default=None, description="the model of its rows that name none", examples=["qwen-plus"])
    endpoint: EndpointName | None = Field(
        default=None,
        description="a cloud of the provider, the simulator, an endpoint of [endpoints], or a base URL",
        examples=["finance"],
        json_schema_extra=_ENDPOINT_SCHEMA,
    )
    protocol: Protocol | None = Field(default=None, description=_PROTOCOL_SAID, examples=["dashscope"])
    stream: Flag | None = Field(default=None, description=_STREAM_SAID, examples=[True])
    deployments: Models | None = Field(
        default=None,
        description="tuned models deployed in this workspace: called natively by their deployment name, without an authorisation",
        examples=[["support-tone-v3"]],
    )
    budget: Budgets = Field(
        default=(),
        description="what may be spent here, all models together; one budget or a list",
        examples=[{"amount": 20, "currency": "CNY"}, [{"amount": 20, "per": "day"}, {"amount": 300, "per": "month"}]],
    )
    parameters: Parameters = Field(
        default={}, description="laid over the parameters of [defaults], key by key", examples=[{"max_tokens": 200}]
    )
    headers: Headers = Field(
        default={},
        description="laid over the headers of [defaults], name by name; an empty one leaves out what stands there",
        examples=[{"X-DashScope-Wait-Timeout": "30"}],
    )
    limits: dict[ModelName, LimitTable] = Field(
        default={},
        description="by model; a name with a dot is quoted",
        examples=[{"qwen3.5-plus": {"concurrency": 2}}],
    )
    window: Window | None = Field(
        default=None,
        description="the hours in which it may be called, with their time zone; those of [job], where it is not given",
        examples=WINDOWS,
    )
