"""What the user wrote, checked: a job, and what each of its workspaces comes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from hashlib import blake2b
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import Field, ValidationError, model_validator
from pydantic.functional_validators import ModelWrapValidatorHandler
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from batchrun.core.classes import value
from batchrun.core.jobs.checks import DEFAULT_WORKSPACE, misfits
from batchrun.core.jobs.deadline import Deadline, read_deadline
from batchrun.core.jobs.endpoints import SLOW_ENDPOINTS, Endpoint, cloud_of, endpoint_of
from batchrun.core.jobs.hours import Hours, read_hours
from batchrun.core.jobs.names import ModelName, Name, WorkspaceName
from batchrun.core.jobs.rewording import misplaced, reworded
from batchrun.core.jobs.tables.conduct import (
    AnswersTable,
    BackoffTable,
    InputTable,
    JobTable,
    MediaTable,
    OutputTable,
    RetryTable,
    StopTable,
    TimeoutsTable,
    TransportTable,
)
from batchrun.core.jobs.tables.headers import laid_over
from batchrun.core.jobs.tables.money import BudgetTable, ModelPrices, PricesTable
from batchrun.core.jobs.tables.tenants import AccountTable, DefaultsTable, EndpointTable, LimitTable, QuotaTable, WorkspaceTable
from batchrun.core.jobs.tables.values import Table
from batchrun.core.jobs.words import Loc, Wrong, within, without_keys
from batchrun.core.limits.quota import Quota
from batchrun.simulator.scenario import SimulatorSettings

if TYPE_CHECKING:
    from pydantic_core import core_schema

__all__ = [
    "DEFAULT_WORKSPACE",
    "AccountTable",
    "AnswersTable",
    "BackoffTable",
    "BudgetTable",
    "DefaultsTable",
    "Endpoint",
    "EndpointTable",
    "InputTable",
    "Job",
    "JobTable",
    "LimitTable",
    "MediaTable",
    "OutputTable",
    "PricesTable",
    "QuotaTable",
    "RetryTable",
    "StopTable",
    "TimeoutsTable",
    "TransportTable",
    "Workspace",
    "WorkspaceTable",
    "job_schema",
    "settings_salt",
]


@value
class Workspace:
    """A tenant as the run knows it: the defaults laid under what its table says."""

    name: str
    account: str
    """The workspace's own name, where the job gives it no account."""
    endpoint: Endpoint
    protocol: str | None
    """None where the model decides."""
    stream: bool | None
    """None where the model decides."""
    model: str | None
    """Of rows that name none."""
    models: frozenset[str] | None
    """What it is authorised for; None for every model."""
    deployments: frozenset[str]
    """Its tuned models, which need no authorisation."""
    concurrency: int
    limits: Mapping[str, int] = field(hash=False)
    """Calls in flight by model, within *concurrency*."""
    weight: float
    """Its share of a pool."""
    quota: Quota
    """Of all its models together."""
    quotas: Mapping[str, Quota] = field(hash=False)
    """Of single models."""
    account_quotas: Mapping[str, Quota] = field(hash=False)
    """By model, shared with the account's other workspaces."""
    parameters: Mapping[str, Any] = field(hash=False)
    """Go into every request as they are. Shared by all rows: copied before they are changed."""
    headers: Mapping[str, str] = field(hash=False)
    """Go into every request as they are."""
    api_key_env: str | None
    """The name of the variable that holds its key. None where the simulator answers."""
    window: Hours | None
    """None where it may be called at any time."""


class Job(Table):
    """A job as its file says it.

    ``Job.model_validate`` takes the same tables as a dict, and raises pydantic's ValidationError with every mistake in the words of the
    job file; ``model_dump(exclude_unset=True)`` gives them back. `batchrun.load_job` reads a file.
    """

    job: JobTable = Field(description="[job], with at least an input")
    defaults: DefaultsTable = Field(default=DefaultsTable(), description="what holds where nothing else is said")
    accounts: dict[Name, AccountTable] = Field(default={}, description="the owners of workspaces, by name")
    endpoints: dict[Name, EndpointTable] = Field(default={}, description="servers of one's own, by name")
    workspaces: dict[WorkspaceName, WorkspaceTable] = Field(
        default={},
        description="the tenants, by name; without any, one called default with the key in DASHSCOPE_API_KEY",
    )
    prices: dict[ModelName, ModelPrices] = Field(
        default={}, description="what models cost, by name, a table or one for each day and region: before the shipped prices"
    )
    retry: RetryTable = Field(default=RetryTable(), description="what is done about passing trouble")
    timeouts: TimeoutsTable = Field(default=TimeoutsTable(), description="how long a call may take")
    stop: StopTable = Field(default=StopTable(), description="how a run ends early")
    media: MediaTable = Field(default=MediaTable(), description="images, sounds and videos that rows name by a path")
    answers: AnswersTable = Field(default=AnswersTable(), description="what answers must hold to")
    output: OutputTable = Field(default=OutputTable(), description="how entries are written")
    transport: TransportTable = Field(default=TransportTable(), description="how requests reach the network")
    simulator: SimulatorSettings = Field(
        default=SimulatorSettings(), description="what the simulated provider is like; read by the simulator alone"
    )

    @model_validator(mode="wrap")
    @classmethod
    def _with_every_mistake(cls, raw: Any, handler: ModelWrapValidatorHandler[Job]) -> Job:
        if isinstance(raw, cls):
            return handler(raw)
        leaks: list[Wrong] = []
        raw = without_keys(raw, leaks)
        told = [*misplaced(cls, raw)]
        wrongs = [each for each in misfits(raw) if not within(each.loc, told)]
        try:
            job = handler(raw)
        except ValidationError as error:
            wrongs = [*reworded(error, cls, raw), *wrongs]
        else:
            if not leaks and not wrongs:
                return job
        raise ValidationError.from_exception_data(
            cls.__name__, [wrong.details() for wrong in _one_a_place([*leaks, *wrongs])], hide_input=True
        )

    @property
    def name(self) -> str:
        """The job's name."""
        return self.job.name

    @property
    def inputs(self) -> tuple[InputTable, ...]:
        """What it reads, in order."""
        return self.job.input

    @property
    def run_directory(self) -> str:
        """Where its run is kept."""
        return self.job.output or f"runs/{self.job.name}"

    @property
    def deadline(self) -> Deadline | None:
        """When it is to be done."""
        return read_deadline(self.job.deadline) if self.job.deadline else None

    def workspaces_resolved(self) -> dict[str, Workspace]:
        """Every workspace with the defaults laid under it, in the order of the job. Made anew by each call: keep it."""
        tables = self.workspaces or {DEFAULT_WORKSPACE: WorkspaceTable(api_key_env="DASHSCOPE_API_KEY")}
        return {name: self._resolved(name, table) for name, table in tables.items()}

    def total_timeout(self, endpoint: Endpoint) -> float:
        """Seconds a call to *endpoint* may take."""
        given = "total" in self.timeouts.model_fields_set
        return self.timeouts.total if given else SLOW_ENDPOINTS.get(cloud_of(endpoint), self.timeouts.total)

    def _resolved(self, name: str, table: WorkspaceTable) -> Workspace:
        defaults = self.defaults
        declared = {own: endpoint.base_url for own, endpoint in self.endpoints.items()}
        endpoint = endpoint_of(table.endpoint or defaults.endpoint, declared)
        limits = {model: limit.concurrency for model, limit in table.limits.items() if limit.concurrency is not None}
        return Workspace(
            name=name,
            account=table.account or name,
            endpoint=endpoint,
            protocol=table.protocol or defaults.protocol,
            stream=defaults.stream if table.stream is None else table.stream,
            model=table.model or defaults.model,
            models=None if table.models is None else frozenset(table.models),
            deployments=frozenset(table.deployments or ()),
            concurrency=table.concurrency or defaults.concurrency,
            limits=MappingProxyType(limits),
            weight=table.weight,
            quota=Quota(table.rpm, table.tpm),
            quotas=_quotas(table.limits),
            account_quotas=_quotas(self.accounts[table.account].quotas if table.account else {}),
            parameters=MappingProxyType({**defaults.parameters, **table.parameters}),
            headers=MappingProxyType(laid_over(table.headers, defaults.headers)),
            api_key_env=None if endpoint.simulated else table.api_key_env,
            window=read_hours(window) if (window := table.window or self.job.window) else None,
        )


def _quotas(tables: Mapping[str, QuotaTable]) -> Mapping[str, Quota]:
    return MappingProxyType({model: Quota(each.rpm, each.tpm) for model, each in tables.items()})


def settings_salt(workspace: Workspace) -> bytes:
    """Digest the settings that rows are asked under, 32 bytes: it is mixed into each row's digest, so that a resumed run sees them changed.

    The endpoint, the limits and whether answers are streamed are not in it: the same is asked elsewhere, slower, or piece by piece.
    """
    settings = {"model": workspace.model, "protocol": workspace.protocol or "openai", "parameters": dict(workspace.parameters)}
    if workspace.headers:
        settings["headers"] = dict(workspace.headers)
    return blake2b(orjson.dumps(settings, option=orjson.OPT_SORT_KEYS), digest_size=32).digest()


def job_schema() -> dict[str, Any]:
    """Describe the job file as a JSON Schema, for an editor to complete and check it."""
    schema = Job.model_json_schema(schema_generator=_TomlSchema)
    about = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "batchrun job", "description": "A job file of batchrun."}
    return {**schema, **about}


class _TomlSchema(GenerateJsonSchema):
    """TOML has no null: a key that may be left out is described by what it holds when it is there."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        described = super().default_schema(schema)
        return {key: value for key, value in described.items() if key != "default" or value is not None}


def _one_a_place(wrongs: list[Wrong]) -> list[Wrong]:
    """Keep the first thing wrong at each place: the next would only say it again."""
    first: dict[Loc, Wrong] = {}
    for one in wrongs:
        first.setdefault(one.loc, one)
    return list(first.values())
