"""The tables of a job file, each checked by itself.

Every key says in its description what it means, in the words that the JSON Schema shows and a missing key's mistake uses. A key is
here only when batchrun holds to it: a cap that is read and not kept would be believed.
"""

from __future__ import annotations

import math
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict, ValidationError, WithJsonSchema, model_validator

from batchrun.core.jobs.deadline import read_deadline
from batchrun.core.jobs.endpoints import KNOWN_NAMES, BaseUrl, EndpointName, Proxy
from batchrun.core.jobs.hours import read_hours, read_zone
from batchrun.core.jobs.names import JobName, ModelName, Name, VariableName
from batchrun.core.jobs.words import Wrong, said, shown, wrong

MIB = 1024 * 1024
STANDARD_INPUT = "-"

_MAX_DEPTH = 64
"""Of parameters. orjson writes 254 levels; a row that holds more would be refused only after it was read."""

_NOT_PARAMETERS = {
    "model": "the model is a key of its own, beside parameters",
    "messages": "the rows bring them",
    "stream": "stream is a key of its own, beside parameters",
}


class Table(BaseModel):
    """What all tables of a job share: nothing is guessed, nothing is ignored, nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, hide_input_in_errors=True)


def _lone_as_list(value: Any) -> Any:
    inputs = value if isinstance(value, list) else [value]
    return [{"path": one} if isinstance(one, str) else one for one in inputs]


def _lone_path(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


def _inputs(inputs: tuple[InputTable, ...]) -> tuple[InputTable, ...]:
    if not inputs:
        raise wrong("an empty list", "at least one input")
    if sum(one.path == STANDARD_INPUT for one in inputs) > 1:
        raise wrong('"-" twice', "standard input once: it can be read only once")
    return inputs


def _models(models: tuple[str, ...]) -> tuple[str, ...]:
    if not models:
        raise wrong("an empty list", "at least one model; without the key, it may call every model")
    return models


def _path(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise wrong(shown(text), "a path, without control characters")
    return text


def _window(text: str) -> str:
    read_hours(text)
    return text


def _deadline(text: str) -> str:
    read_deadline(text)
    return text


def _moment_as_text(value: Any) -> Any:
    """TOML has moments of its own, which need no quotes."""
    return value.isoformat() if isinstance(value, datetime) else value


def _parameters(parameters: dict[str, Any]) -> dict[str, Any]:
    wrongs = [unfit for name, value in parameters.items() if (unfit := _unfit_parameter(name, value))]
    if wrongs:
        raise ValidationError.from_exception_data("parameters", [one.details() for one in wrongs], hide_input=True)
    return parameters


def _unfit_parameter(name: str, value: Any) -> Wrong | None:
    if name in _NOT_PARAMETERS:
        return Wrong((name,), shown(value), f"no parameter: {_NOT_PARAMETERS[name]}")
    unfit = _unfit_for_json(value)
    return Wrong((name,), unfit, "what JSON can carry: text, numbers, true, false, lists and tables") if unfit else None


def _unfit_for_json(value: Any, depth: int = 1) -> str | None:
    """Say what in *value* could not be written to the wire: TOML has dates, ``inf`` and integers of any length."""
    match value:
        case dict() | list() if depth > _MAX_DEPTH:
            return f"something nested deeper than {_MAX_DEPTH} levels"
        case dict():
            return next((unfit for one in (*value, *value.values()) if (unfit := _unfit_for_json(one, depth + 1))), None)
        case list():
            return next((unfit for one in value if (unfit := _unfit_for_json(one, depth + 1))), None)
    return None if _fits_json(value) else shown(value)


def _fits_json(value: Any) -> bool:
    match value:
        case bool() | None:
            return True
        case int():
            return -(2**63) <= value < 2**64  # what orjson writes
        case float():
            return math.isfinite(value)
        case str():
            return not any("\ud800" <= character <= "\udfff" for character in value)
    return False


AtLeastOne = Annotated[int, Field(ge=1, le=2**64 - 1), said("an integer of at least 1")]
Seconds = Annotated[float, Field(gt=0), said("a number of seconds greater than 0")]
SecondsOrNone = Annotated[float, Field(ge=0), said("a number of seconds, 0 or more")]
PerMinute = Annotated[float, Field(gt=0, le=1e12), said("a number greater than 0")]
Weight = Annotated[float, Field(ge=0.001, le=1000), said("a number from 0.001 to 1000")]
Flag = Annotated[bool, said("true or false")]
FilePath = Annotated[str, AfterValidator(_path)]
PriceFiles = Annotated[tuple[FilePath, ...], Strict(False), BeforeValidator(_lone_path, json_schema_input_type=FilePath | list[FilePath])]
Window = Annotated[str, said('hours and their time zone, such as "22:00-08:00 Asia/Shanghai"'), AfterValidator(_window)]
DeadlineText = Annotated[
    str,
    said('a time and its zone, such as "08:00 Asia/Shanghai", or a moment, such as "2026-11-24T08:00:00+08:00"'),
    BeforeValidator(_moment_as_text, json_schema_input_type=str),
    AfterValidator(_deadline),
]
Protocol = Annotated[
    Literal["openai", "dashscope", "dashscope-text", "dashscope-multimodal"],
    said('"openai", "dashscope", "dashscope-text" or "dashscope-multimodal"'),
]
Form = Annotated[Literal["batchrun", "openai-batch"], said('"batchrun" or "openai-batch"')]
InDoubt = Annotated[Literal["send", "hold"], said('"send" or "hold"')]
Parameters = Annotated[dict[str, Any], AfterValidator(_parameters)]
Models = Annotated[tuple[ModelName, ...], Strict(False), AfterValidator(_models)]

_PROTOCOL_SAID = (
    'the wire format: "openai", or "dashscope" for the native route that serves the model (or that route by its name, "dashscope-text" or '
    '"dashscope-multimodal"); found from the model, where it is not given'
)
_WINDOWS = ["22:00-08:00 Asia/Shanghai", "Mon-Fri 22:00-08:00, Sat-Sun 00:00-24:00 Asia/Shanghai"]
_STREAM_SAID = "whether answers are streamed; models that only stream are, where it is not given"

_ENDPOINT_SCHEMA: dict[str, Any] = {"anyOf": [{"enum": list(KNOWN_NAMES)}, {"type": "string", "format": "uri"}, {"type": "string"}]}


class InputTable(Table):
    """One input, and whose rows it holds."""

    path: FilePath = Field(description='a path, a glob, or "-" for standard input', examples=["samples/tickets.jsonl"])
    workspace: str | None = Field(default=None, description="the workspace of its untagged rows", examples=["legal"])


_InputAsWritten = str | InputTable | list[str | InputTable]
Inputs = Annotated[
    tuple[InputTable, ...],
    Strict(False),
    BeforeValidator(_lone_as_list, json_schema_input_type=_InputAsWritten),
    AfterValidator(_inputs),
]


def _exact(value: Any) -> Any:
    """TOML's numbers with a point arrive as floats: the shortest text that means the same is what was written."""
    return Decimal(repr(value)) if isinstance(value, float) and math.isfinite(value) else value


_AMOUNT = {"type": "number", "exclusiveMinimum": 0}
Amount = Annotated[
    Decimal, Strict(False), Field(gt=0, le=10**12), said("a number greater than 0"), BeforeValidator(_exact), WithJsonSchema(_AMOUNT)
]
Price = Annotated[
    Decimal,
    Strict(False),
    Field(ge=0, le=10**9),
    said("a number, 0 or more"),
    BeforeValidator(_exact),
    WithJsonSchema({"type": "number", "minimum": 0}),
]
Share = Annotated[
    Decimal,
    Strict(False),
    Field(ge=0, lt=1),
    said("a share from 0 to less than 1: 0.15 for 15 %"),
    BeforeValidator(_exact),
    WithJsonSchema({"type": "number", "minimum": 0, "exclusiveMaximum": 1}),
]
Currency = Annotated[Literal["CNY", "USD"], said('"CNY" or "USD"')]


class UnpricedTable(Table):
    """What a model without a price counts as."""

    input: Price = Field(description="for a million input tokens, in the budget's currency", examples=[2.5])
    output: Price = Field(description="for a million output tokens", examples=[10])


class BudgetTable(Table):
    """What may be spent, by the run or by the day or month; a call's upper bound is set aside before it is sent."""

    tokens: AtLeastOne | None = Field(default=None, description="input and output together", examples=[5_000_000])
    amount: Amount | None = Field(default=None, description="money", examples=[20])
    currency: Currency = Field(default="CNY", description="of amount")
    unpriced: UnpricedTable | None = Field(
        default=None,
        description="what a model without a price counts as; not called, where it is not given",
        examples=[{"input": 3, "output": 12}],
    )
    per: Annotated[Literal["run", "day", "month"], said('"run", "day" or "month"')] = Field(
        default="run", description="how long it lasts; a day's or a month's is shared by all runs beside this one", examples=["day"]
    )
    zone: Annotated[str, said("the name of a time zone, such as Asia/Shanghai"), AfterValidator(read_zone)] = Field(
        default="Asia/Shanghai", description="by whose clocks days and months begin", examples=["Europe/Berlin"]
    )
    max_tokens: AtLeastOne | None = Field(
        default=None,
        description="put into rows that set no limit of their own; without any, a row is taken to be answered at 32,768 tokens",
        examples=[2000],
    )

    @model_validator(mode="after")
    def _one_cap(self) -> BudgetTable:
        if (self.tokens is None) == (self.amount is None):
            raise wrong("both tokens and amount" if self.tokens else "neither tokens nor amount", "one of the two")
        return self


def _budgets(budgets: tuple[BudgetTable, ...]) -> tuple[BudgetTable, ...]:
    kinds = [(each.per, each.zone if each.per != "run" else "", each.currency if each.tokens is None else "tokens") for each in budgets]
    twice = next((kind for kind in kinds if kinds.count(kind) > 1), None)
    if twice is not None:
        raise wrong(f"two budgets per {twice[0]} in {twice[2]}", "one of a kind: the smaller is what would hold")
    return budgets


def _lone_budget(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


Budgets = Annotated[
    tuple[BudgetTable, ...],
    Strict(False),
    BeforeValidator(_lone_budget, json_schema_input_type=BudgetTable | list[BudgetTable]),
    AfterValidator(_budgets),
]


class PriceTable(Table):
    """What a model costs; a million tokens."""

    up_to: AtLeastOne | None = Field(
        default=None, description="input tokens of a request up to which this price holds; any, where not given"
    )
    input: Price = Field(description="for a million input tokens", examples=[0.8])
    output: Price = Field(description="for a million output tokens", examples=[2])
    thinking: Price | None = Field(default=None, description="for a million output tokens of an answer that reasoned", examples=[8])
    cached: Price | None = Field(
        default=None, description="for a million input tokens found in the implicit cache; 20 % of input, where not given", examples=[0.16]
    )
    cache_hit: Price | None = Field(
        default=None, description="for a million input tokens found in the explicit cache; 10 % of input, where not given", examples=[0.08]
    )
    cache_write: Price | None = Field(
        default=None, description="for a million input tokens written to the explicit cache; 125 % of input, where not given", examples=[1]
    )


def _lone_price(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _tiers(tiers: tuple[PriceTable, ...]) -> tuple[PriceTable, ...]:
    tops = [tier.up_to for tier in tiers]
    lower = [top for top in tops[:-1] if top is not None]
    whole = [*lower, *(top for top in tops[-1:] if top is not None)]
    if not tiers or len(lower) < len(tops) - 1 or any(one >= other for one, other in pairwise(whole)):
        raise wrong("tiers out of order", "at least one, each up_to higher than the one before; only the last may leave it out")
    return tiers


Tiers = Annotated[
    tuple[PriceTable, ...],
    Strict(False),
    BeforeValidator(_lone_price, json_schema_input_type=PriceTable | list[PriceTable]),
    AfterValidator(_tiers),
]


class PricesTable(Table):
    """What one model costs from a day on."""

    region: Name | None = Field(
        default=None,
        description="where it holds: cn (endpoints public, batch and simulator), intl, or the name of another endpoint; everywhere, "
        "where it is not given",
        examples=["cn", "intl"],
    )
    currency: Currency = Field(default="CNY", description="of the prices")
    since: Annotated[date, Strict(False), said("a day, such as 2026-12-01")] = Field(
        default=date(2025, 1, 1), description="the first day that they hold", examples=["2026-12-01"]
    )
    tiers: Tiers = Field(
        description="a price, or a list of prices for longer and longer requests", examples=[{"input": 0.8, "output": 2, "thinking": 8}]
    )
    audio_input: Price | None = Field(default=None, description="for a million tokens of sound that go in; as input, where not given")
    image_input: Price | None = Field(default=None, description="for a million tokens of images and videos; as input, where not given")
    output_of_media: Price | None = Field(
        default=None, description="for a million tokens of text that answers an image, a sound or a video; as output, where not given"
    )
    audio_output: Price | None = Field(
        default=None, description="for a million tokens of sound that come out, the text beside it being free; as output, where not given"
    )
    source: Annotated[str, said("text"), Field(max_length=200)] = Field(
        default="the job file", description="where they were read", examples=["our contract of 2026-01"]
    )


ModelPrices = Annotated[
    tuple[PricesTable, ...],
    Strict(False),
    BeforeValidator(_lone_price, json_schema_input_type=PricesTable | list[PricesTable]),
]


class JobTable(Table):
    """What is run, and where to."""

    name: JobName = Field(
        default="job", description="the job's name; the job file's own name, where it is not given", examples=["nightly-summaries"]
    )
    input: Inputs = Field(
        description='a path, a glob, "-" for standard input, a table { path, workspace }, or a list of these; .gz and .zst are unpacked',
        examples=["samples/tickets.jsonl", [{"path": "legal.jsonl", "workspace": "legal"}]],
    )
    output: FilePath | None = Field(
        default=None, description="the run directory; runs/NAME, where it is not given", examples=["runs/nightly-summaries"]
    )
    max_line_bytes: AtLeastOne = Field(default=64 * MIB, description="a longer input line is set aside unread")
    window: Window | None = Field(
        default=None,
        description="the hours in which calls are made, with their time zone, where a workspace has none of its own",
        examples=_WINDOWS,
    )
    prices: PriceFiles = Field(
        default=(),
        description="files with tables of [prices], as batchrun prices import writes them; what the job says of a model goes before them",
        examples=["prices/singapore.toml"],
    )
    budget: Budgets = Field(default=(), description="what the run may spend in all, one budget or a list", examples=[{"amount": 200}])
    deadline: DeadlineText | None = Field(
        default=None,
        description="when the run is to be done, the next such time or a moment: it is noted as soon as the run is too slow for it",
        examples=["08:00 Asia/Shanghai", "2026-11-24T08:00:00+08:00"],
    )


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
    limits: dict[ModelName, LimitTable] = Field(
        default={},
        description="by model; a name with a dot is quoted",
        examples=[{"qwen3.5-plus": {"concurrency": 2}}],
    )
    window: Window | None = Field(
        default=None,
        description="the hours in which it may be called, with their time zone; those of [job], where it is not given",
        examples=_WINDOWS,
    )


class BackoffTable(Table):
    """How long a row waits before it is tried again."""

    first: Seconds = Field(default=1.0, description="the longest first wait, in seconds; each further one may last twice as long")
    max: Seconds = Field(default=60.0, description="the longest wait of all, in seconds")

    @model_validator(mode="after")
    def _in_order(self) -> BackoffTable:
        if self.first > self.max:
            raise wrong(f"first = {self.first}, max = {self.max}", "a first wait no longer than the longest")
        return self


class RetryTable(Table):
    """How often passing trouble is met with another try."""

    max_attempts: AtLeastOne = Field(default=6, description="attempts a row has before it is exhausted; throttled ones do not count")
    backoff: BackoffTable = Field(default=BackoffTable(), description="the waits between attempts, with full jitter")
    in_doubt: InDoubt = Field(
        default="send", description='a row of which a call may have been billed is sent again, or waits for --send-in-doubt ("hold")'
    )


class TimeoutsTable(Table):
    """How long a call may take, in seconds."""

    connect: Seconds = Field(default=10.0, description="until the connection stands, in seconds")
    idle: Seconds = Field(default=120.0, description="between bytes of an answer, or between events of a stream, in seconds")
    total: Seconds = Field(default=600.0, description='for the whole call, in seconds: no drip outlives it; 3600 for endpoint = "batch"')


class StopTable(Table):
    """How a run ends that is asked to stop, or has parked rows."""

    grace: SecondsOrNone = Field(default=120.0, description="how long calls in flight may still bring their answers, in seconds")
    probe_every: Seconds = Field(default=300.0, description="how often a parked workspace is tried again while others run, in seconds")


class OutputTable(Table):
    """How entries are written."""

    raw: Flag = Field(default=False, description="keep the provider's whole body in each entry")
    form: Form = Field(default="batchrun", description="of the lines in results.jsonl: batchrun's own, or those of the OpenAI Batch API")


class MediaTable(Table):
    """Images, sounds and videos that rows name by a path."""

    root: FilePath | None = Field(
        default=None,
        description="the folder that no such path may leave; each input file's own folder, where it is not given",
        examples=["samples/media"],
    )


class AnswersTable(Table):
    """What answers must hold to."""

    schema_: dict[str, Any] | FilePath | None = Field(
        default=None,
        alias="schema",
        description="a JSON Schema that the content of every answer must fit: a table, or the path of a JSON file",
        examples=["schemas/ticket.json", {"type": "object", "required": ["label"]}],
    )
    reasks: Annotated[int, Field(ge=0, le=20), said("an integer from 0 to 20")] = Field(
        default=2, description="how often a row is asked again, told what was wrong, before its answer is refused; each is billed"
    )


class TransportTable(Table):
    """How requests reach the network."""

    proxy: Proxy = Field(
        default="none",
        description='"none", "environment" (HTTPS_PROXY and its like), or the URL of a proxy',
        examples=["none", "environment", "http://proxy.example:3128"],
    )
    max_response_bytes: AtLeastOne = Field(default=16 * MIB, description="a larger answer is broken off")
