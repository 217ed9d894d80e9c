"""Tables of how a run is carried out: its inputs and its place, its patience, its answers, its way to the network."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, Strict, model_validator

from batchrun.core.jobs.deadline import read_deadline
from batchrun.core.jobs.endpoints import Proxy
from batchrun.core.jobs.names import JobName
from batchrun.core.jobs.tables.money import Budgets
from batchrun.core.jobs.tables.values import WINDOWS, AtLeastOne, FilePath, Flag, Seconds, SecondsOrNone, Table, Window, as_list, read_by
from batchrun.core.jobs.words import said, wrong

MIB = 1024 * 1024
STANDARD_INPUT = "-"


def _as_inputs(value: Any) -> Any:
    return [{"path": one} if isinstance(one, str) else one for one in as_list(value)]


def _inputs(inputs: tuple[InputTable, ...]) -> tuple[InputTable, ...]:
    if not inputs:
        raise wrong("an empty list", "at least one input")
    if sum(one.path == STANDARD_INPUT for one in inputs) > 1:
        raise wrong('"-" twice', "standard input once: it can be read only once")
    return inputs


def _moment_as_text(value: Any) -> Any:
    """TOML has moments of its own, which need no quotes."""
    return value.isoformat() if isinstance(value, datetime) else value


PriceFiles = Annotated[tuple[FilePath, ...], Strict(False), BeforeValidator(as_list, json_schema_input_type=FilePath | list[FilePath])]
DeadlineText = Annotated[
    str,
    said('a time and its zone, such as "08:00 Asia/Shanghai", or a moment, such as "2026-11-24T08:00:00+08:00"'),
    BeforeValidator(_moment_as_text, json_schema_input_type=str),
    read_by(read_deadline),
]
Form = Annotated[Literal["batchrun", "openai-batch"], said('"batchrun" or "openai-batch"')]
InDoubt = Annotated[Literal["send", "hold"], said('"send" or "hold"')]


class InputTable(Table):
    """One input, and whose rows it holds."""

    path: FilePath = Field(description='a path, a glob, or "-" for standard input', examples=["samples/tickets.jsonl"])
    workspace: str | None = Field(default=None, description="the workspace of its untagged rows", examples=["legal"])


_InputAsWritten = str | InputTable | list[str | InputTable]
Inputs = Annotated[
    tuple[InputTable, ...],
    Strict(False),
    BeforeValidator(_as_inputs, json_schema_input_type=_InputAsWritten),
    AfterValidator(_inputs),
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
        examples=WINDOWS,
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

    max_attempts: AtLeastOne = Field(
        default=6, description="attempts a row has before it is exhausted, which is kept to where it is named; throttled ones do not count"
    )
    max_billed: AtLeastOne = Field(
        default=3,
        description="attempts of a row that may have been billed and brought no answer, time-outs above all, before it is exhausted",
    )
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
    outage: SecondsOrNone = Field(
        default=21_600.0,
        description="how long an endpoint that had answered, and to which no connection stands any more, is waited for, in seconds",
    )


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
