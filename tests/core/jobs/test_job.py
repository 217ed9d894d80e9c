import math
import tomllib
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import reduce
from operator import getitem
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr, TypeAdapter, ValidationError

from batchrun.core.jobs.deadline import read_deadline
from batchrun.core.jobs.endpoints import CLOUDS, Endpoint, endpoint_of
from batchrun.core.jobs.hours import read_hours
from batchrun.core.jobs.job import Job, Workspace, job_schema, settings_salt
from batchrun.core.jobs.names import RUN_DIRECTORY_NAMES, VariableName, variables_for
from batchrun.core.limits.quota import Quota
from tests.steps import lines_run

JOBS = sorted((Path(__file__).parents[3] / "jobs").glob("*.toml"))
INPUT = {"input": "in.jsonl"}
KEY = "sk-fake0123456789abcdef"

FULL = {
    "job": {
        "name": "night",
        "input": ["a.jsonl", {"path": "b.jsonl", "workspace": "legal"}],
        "output": "runs/x",
        "max_line_bytes": 1000,
        "window": "22:00-08:00 Asia/Shanghai",
        "deadline": "08:00 Asia/Shanghai",
    },
    "defaults": {
        "model": "qwen-plus",
        "endpoint": "own",
        "protocol": "openai",
        "stream": True,
        "concurrency": 16,
        "parameters": {"temperature": 0.2, "max_tokens": 400, "n": 2},
        "headers": {"X-DashScope-DataInspection": '{"input":"cip","output":"cip"}', "X-Route": "night"},
    },
    "accounts": {"main": {"quotas": {"qwen-max": {"rpm": 1200, "tpm": 1_000_000}}, "discount": 0.1, "discounts": {"qwen-max": 0.25}}},
    "endpoints": {"own": {"base_url": "https://llm.example/compatible-mode/v1/"}},
    "workspaces": {
        "legal": {
            "api_key_env": "LEGAL_KEY",
            "account": "main",
            "concurrency": 4,
            "models": ["qwen-max", "qwen3.5-plus"],
            "model": "qwen-max",
            "endpoint": "finance",
            "protocol": "openai",
            "stream": False,
            "deployments": ["support-tone-v3"],
            "parameters": {"temperature": 0.9},
            "headers": {"X-DashScope-WorkSpace": "ws-1", "x-route": "day"},
            "weight": 2,
            "rpm": 600,
            "budget": [
                {"amount": 0.1, "currency": "USD", "unpriced": {"input": 3, "output": 12.5}, "max_tokens": 500},
                {"tokens": 10_000, "per": "month", "zone": "Europe/Berlin"},
            ],
            "limits": {"qwen3.5-plus": {"concurrency": 2, "tpm": 100_000, "budget": {"tokens": 1000}}},
            "window": "Sat-Sun 00:00-24:00 Europe/Berlin",
        },
        "marketing": {"api_key_env": "MARKETING_KEY"},
    },
    "retry": {"max_attempts": 3, "backoff": {"first": 0.5, "max": 8}},
    "timeouts": {"connect": 5, "idle": 60.0, "total": 300},
    "stop": {"grace": 0, "probe_every": 10},
    "media": {"root": "samples"},
    "answers": {"schema": {"type": "object"}, "reasks": 1},
    "prices": {
        "own-model": {"currency": "USD", "since": "2026-12-01", "tiers": [{"up_to": 1000, "input": 0.1, "output": 2, "thinking": 3.5}]},
    },
    "output": {"raw": True, "form": "openai-batch"},
    "transport": {"proxy": "http://proxy.example:3128", "max_response_bytes": 1000},
    "simulator": {"seed": 7},
}


def workspace_of(job: dict[str, object], name: str = "legal") -> Workspace:
    return Job.model_validate({"job": INPUT, **job}).workspaces_resolved()[name]


def refused(tables: object) -> dict[str, str]:
    """Where *tables* are wrong, and what may stand there."""
    with pytest.raises(ValidationError) as caught:
        Job.model_validate(tables)
    return {".".join(map(str, one["loc"])): one["msg"] for one in caught.value.errors()}


def test_a_job_of_an_input_alone_has_the_documented_defaults():
    job = Job.model_validate({"job": INPUT})
    assert (job.name, job.run_directory, [one.path for one in job.inputs]) == ("job", "runs/job", ["in.jsonl"])
    assert (job.retry.max_attempts, job.retry.backoff.first, job.retry.backoff.max) == (6, 1, 60)
    assert job.retry.max_billed == 3
    assert (job.timeouts.connect, job.timeouts.idle, job.timeouts.total) == (10, 120, 600)
    assert (job.stop.grace, job.stop.probe_every) == (120, 300)
    assert (job.output.raw, job.output.form) == (False, "batchrun")
    assert (job.transport.proxy, job.transport.max_response_bytes, job.job.max_line_bytes) == ("none", 16 * 2**20, 64 * 2**20)


def test_amounts_and_prices_are_exactly_what_was_written():
    job = Job.model_validate(FULL | {"job": {**INPUT, "budget": {"amount": 0.1}}})
    assert (job.job.budget[0].amount, job.prices["own-model"][0].tiers[0].input) == (Decimal("0.1"), Decimal("0.1"))
    assert job.accounts["main"].discounts == {"qwen-max": Decimal("0.25")}


def test_the_tiers_of_a_price_reach_further_one_after_the_other_and_the_last_alone_may_have_no_end():
    def with_tiers(*tops: int | None) -> dict[str, Any]:
        tiers = [{"input": 1, "output": 1} | ({} if top is None else {"up_to": top}) for top in tops]
        return {"job": INPUT, "prices": {"own": {"tiers": tiers}}}

    for fit in ((None,), (1000,), (1000, None), (1000, 2000)):
        assert [tier.up_to for tier in Job.model_validate(with_tiers(*fit)).prices["own"][0].tiers] == [*fit]
    for unfit in ((), (1000, 1000), (2000, 1000), (None, 1000), (None, None), (1000, None, 2000)):
        assert [*refused(with_tiers(*unfit))] == ["prices.own.tiers"]


def test_a_workspace_may_have_a_budget_of_each_kind_and_waits_that_are_always_the_same():
    budgets: list[dict[str, Any]] = [{"amount": 20}, {"amount": 3, "currency": "USD"}, {"tokens": 1000}, {"tokens": 100, "per": "day"}]
    tables = {"job": {**INPUT, "budget": budgets}, "retry": {"backoff": {"first": 3, "max": 3}}}
    assert len(Job.model_validate(tables).job.budget) == 4
    for twice in budgets:
        assert [*refused({"job": {**INPUT, "budget": [*budgets, twice]}})] == ["job.budget"]


def test_a_workspace_may_have_its_deployment_for_its_model_and_limits_of_it_though_its_models_do_not_list_it():
    legal = {
        "api_key_env": "K",
        "models": ["qwen-plus"],
        "deployments": ["tone-v3"],
        "model": "tone-v3",
        "limits": {"tone-v3": {"rpm": 60}},
    }
    assert workspace_of({"workspaces": {"legal": legal}}).model == "tone-v3"
    assert set(refused({"job": INPUT, "workspaces": {"legal": {**legal, "deployments": ["tone-v4"]}}})) == {
        "workspaces.legal.model",
        "workspaces.legal.limits.tone-v3",
    }


def test_what_a_job_is_dumped_to_is_the_same_job_again():
    """As programs keep it in a database, or hand it to a service."""
    for tables in (FULL, *(tomllib.loads(path.read_text("utf-8")) for path in JOBS)):
        job = Job.model_validate(tables)
        assert Job.model_validate(job.model_dump(exclude_unset=True)) == job
        assert Job.model_validate(job.model_dump(mode="json", exclude_unset=True)) == job
        assert Job.model_validate_json(job.model_dump_json()) == job


def test_a_job_without_workspaces_has_one_called_default_with_dashscope_api_key():
    assert workspace_of({"defaults": {"model": "qwen-plus"}}, "default") == Workspace(
        name="default",
        account="default",
        endpoint=endpoint_of("public", {}),
        protocol=None,
        stream=None,
        model="qwen-plus",
        models=None,
        deployments=frozenset(),
        concurrency=8,
        limits={},
        weight=1.0,
        quota=Quota(),
        quotas={},
        account_quotas={},
        parameters={},
        headers={},
        api_key_env="DASHSCOPE_API_KEY",
        window=None,
    )


def test_a_workspace_overrides_the_defaults_and_its_parameters_are_laid_over_them_key_by_key():
    job = Job.model_validate(FULL)
    resolved = job.workspaces_resolved()
    assert list(resolved) == ["legal", "marketing"]
    assert resolved["legal"] == Workspace(
        name="legal",
        account="main",
        endpoint=endpoint_of("finance", {}),
        protocol="openai",
        stream=False,
        model="qwen-max",
        models=frozenset({"qwen-max", "qwen3.5-plus"}),
        deployments=frozenset({"support-tone-v3"}),
        concurrency=4,
        limits=MappingProxyType({"qwen3.5-plus": 2}),
        weight=2.0,
        quota=Quota(600, None),
        quotas=MappingProxyType({"qwen3.5-plus": Quota(None, 100_000)}),
        account_quotas=MappingProxyType({"qwen-max": Quota(1200, 1_000_000)}),
        parameters=MappingProxyType({"temperature": 0.9, "max_tokens": 400, "n": 2}),
        headers={"X-DashScope-DataInspection": '{"input":"cip","output":"cip"}', "X-DashScope-WorkSpace": "ws-1", "x-route": "day"},
        api_key_env="LEGAL_KEY",
        window=read_hours("Sat-Sun 00:00-24:00 Europe/Berlin"),
    )
    marketing = resolved["marketing"]
    assert (marketing.account, marketing.model, marketing.concurrency) == ("marketing", "qwen-plus", 16)
    assert marketing.endpoint == endpoint_of("own", {"own": "https://llm.example/compatible-mode/v1"})
    assert [(one.path, one.workspace) for one in job.inputs] == [("a.jsonl", None), ("b.jsonl", "legal")]
    assert marketing.window == read_hours("22:00-08:00 Asia/Shanghai")
    assert job.deadline == read_deadline("08:00 Asia/Shanghai")
    assert hash(marketing) != hash(resolved["legal"])


def test_a_workspace_has_the_hours_of_the_job_or_its_own_which_may_be_all_of_the_week():
    tables = {"job": {**INPUT, "window": "22:00-08:00 UTC"}, "defaults": {"endpoint": "simulator"}}
    resolved = Job.model_validate({**tables, "workspaces": {"hr": {}, "legal": {"window": "00:00-24:00 UTC"}}}).workspaces_resolved()
    assert {name: each.window for name, each in resolved.items()} == {
        "hr": read_hours("22:00-08:00 UTC"),
        "legal": read_hours("00:00-24:00 UTC"),
    }


def test_mistakes_in_hours_and_deadlines_are_told_where_they_stand():
    mistakes = refused(
        {
            "job": {**INPUT, "window": "22:00-08:00", "deadline": 8},
            "workspaces": {"legal": {"api_key_env": "K", "window": "22:00-08:00 Asia/Shangai"}, "hr": {"api_key_env": "K", "window": 22}},
        }
    )
    assert set(mistakes) == {"job.window", "job.deadline", "workspaces.legal.window", "workspaces.hr.window"}
    assert "with their time zone at the end" in mistakes["job.window"]
    assert "did you mean 'Asia/Shanghai'?" in mistakes["workspaces.legal.window"]


@pytest.mark.parametrize("input_of", ["taem-1", "taem-{}"])
def test_what_was_meant_by_names_that_are_none_is_looked_for_of_the_first_of_them_and_of_each_once(input_of):
    """Of three thousand inputs of as many workspaces, a mistake in the name of each took minutes to be told."""
    workspaces = {f"team-{number}": {"api_key_env": "K"} for number in range(40)}
    told = {}

    def lines(inputs):
        named = [{"path": f"{number}.jsonl", "workspace": input_of.format(number)} for number in range(inputs)]
        return lines_run(lambda: told.update(refused({"job": {"input": named}, "workspaces": workspaces})), "difflib.py")

    assert lines(60) == lines(30)
    assert len(told) == 60
    assert "did you mean 'team-1'?" in told["job.input.1.workspace"]
    assert "ne of team-" in told["job.input.59.workspace"]


def test_a_deadline_may_be_a_moment_as_toml_writes_it():
    bare, quoted = (
        Job.model_validate(tomllib.loads(f'[job]\ninput = "in.jsonl"\ndeadline = {written}'))
        for written in ("2026-11-24T08:00:00+08:00", '"2026-11-24T08:00:00+08:00"')
    )
    assert bare.deadline == quoted.deadline == read_deadline("2026-11-24 08:00+08:00")
    assert Job.model_validate(bare.model_dump(mode="json", exclude_unset=True, by_alias=True)).deadline == bare.deadline
    assert "job.deadline" in refused(tomllib.loads('[job]\ninput = "in.jsonl"\ndeadline = 2026-11-24T08:00:00'))


@pytest.mark.parametrize("path", ["~/night", "~", "~somebody/rows.jsonl"])
def test_a_path_that_only_a_shell_understands_is_refused_and_no_folder_of_that_name_is_made(path):
    """Whoever sees a folder that is called "~" removes it by a shell, and with it what the shell takes it for."""
    assert [*refused({"job": {**INPUT, "output": path}})] == ["job.output"]
    assert [*refused({"job": {"input": path}})] == ["job.input"]


@pytest.mark.parametrize("path", ["oss://bucket/rows.jsonl", "https://x.example/rows.jsonl?Signature=secret", "file:///data/rows.jsonl"])
def test_a_url_in_the_place_of_a_path_is_refused_and_no_folder_of_its_name_is_made(path):
    """Whoever names a bucket as the output would look for the results there."""
    found = refused({"job": {**INPUT, "output": path}})
    assert [*found] == ["job.output"]
    assert "secret" not in str(found)
    assert [*refused({"job": {"input": path}})] == ["job.input"]


@pytest.mark.parametrize("path", ["$HOME/night", "${DATA}/rows.jsonl", "$DATA"])
def test_a_variable_that_only_a_shell_fills_in_is_refused(path):
    assert [*refused({"job": {**INPUT, "output": path}})] == ["job.output"]
    assert [*refused({"job": {"input": path}})] == ["job.input"]


@pytest.mark.parametrize("name", [*CLOUDS])
def test_every_cloud_of_the_provider_has_the_base_urls_of_the_protocols_it_speaks(name):
    host = {"public": "dashscope", "hongkong": "cn-hongkong.dashscope", "batch": "batch.dashscope"}.get(name, f"dashscope-{name}")
    spoken = {"openai": "compatible-mode/v1", "dashscope-text": "api/v1", "dashscope-multimodal": "api/v1"}
    missing = {"finance": {"dashscope-multimodal"}, "batch": {"dashscope-text", "dashscope-multimodal"}}.get(name, set())
    bases = {protocol: f"https://{host}.aliyuncs.com/{path}" for protocol, path in spoken.items() if protocol not in missing}
    assert workspace_of({"defaults": {"endpoint": name}}, "default").endpoint == Endpoint(name, bases)


@pytest.mark.parametrize(
    ("url", "protocols"),
    [
        ("http://127.0.0.1:8000/v1/", ["openai"]),
        ("https://llm-abc.cn-beijing.maas.aliyuncs.com", ["openai", "dashscope-text", "dashscope-multimodal"]),
        ("https://llm-abc.cn-beijing.maas.aliyuncs.com/compatible-mode/v1", ["openai", "dashscope-text", "dashscope-multimodal"]),
        ("http://127.0.0.1:8000/compatible-mode/v1", ["openai", "dashscope-text", "dashscope-multimodal"]),
        ("https://dashscope-finance.aliyuncs.com/api/v1", ["openai", "dashscope-text"]),
    ],
)
def test_an_endpoint_may_be_a_url_whose_path_tells_which_protocols_are_spoken_there(url, protocols):
    endpoint = workspace_of({"defaults": {"endpoint": url}}, "default").endpoint
    host = "/".join(url.split("/")[:3])
    paths = {"openai": "/v1" if len(protocols) == 1 else "/compatible-mode/v1"}
    assert endpoint == Endpoint(url.rstrip("/"), {each: host + paths.get(each, "/api/v1") for each in protocols})


@pytest.mark.parametrize(
    "url", ["http://1234.cn-beijing.pai-eas.aliyuncs.com/api/predict/qwen/v1", "https://llm.oss-cn-beijing.aliyuncs.com/v1"]
)
def test_what_others_have_under_the_providers_domain_is_called_as_it_stands(url):
    """A model of one's own on PAI was called at /v1/compatible-mode/v1, which is nowhere."""
    assert workspace_of({"defaults": {"endpoint": url}}, "default").endpoint == Endpoint(url, {"openai": url})


@pytest.mark.parametrize("host", ["vpc-cn-beijing.dashscope.aliyuncs.com", "ep-1a.dashscope.cn-beijing.privatelink.aliyuncs.com"])
def test_hosts_of_a_private_network_are_the_providers_and_may_go_without_tls(host):
    endpoint = workspace_of({"defaults": {"endpoint": f"http://{host}"}}, "default").endpoint
    assert endpoint.bases["openai"] == f"http://{host}/compatible-mode/v1"
    assert endpoint.bases["dashscope-text"] == f"http://{host}/api/v1"
    finance = workspace_of({"defaults": {"endpoint": "http://ep-1a.dashscope.cn-shanghai-finance-1.privatelink.aliyuncs.com"}}, "default")
    assert [*finance.endpoint.bases] == ["openai", "dashscope-text"]


def test_an_api_v1_of_somebody_else_is_an_openai_base_url_as_it_stands():
    endpoint = workspace_of({"defaults": {"endpoint": "https://router.example/api/v1"}}, "default").endpoint
    assert set(endpoint.bases.values()) == {"https://router.example/api/v1"}


@pytest.mark.parametrize("huge", [2**64, -(2**63) - 1, 10**30])
def test_an_integer_that_no_json_keeps_is_a_mistake_wherever_it_stands(huge):
    """A run writes its job down: a seed of thirty digits, or such a bound in a schema, had ended it in a traceback."""
    tables = {
        "job": INPUT,
        "defaults": {"endpoint": "simulator", "parameters": {"x": [huge]}},
        "answers": {"schema": {"type": "object", "properties": {"n": {"enum": [1, huge]}}}},
        "simulator": {
            "seed": huge,
            "faults": [{"kind": "throttle", "rate": 0.1}, {"kind": "slow", "seconds": 1, "rate": 0.1, "first": huge}],
        },
    }
    told = refused(tables)
    places = {"defaults.parameters.x", "answers.schema.properties.n.enum.1", "simulator.seed", "simulator.faults.1.first"}
    assert told.keys() >= places
    assert {told[place] for place in ("simulator.seed", "answers.schema.properties.n.enum.1")} == {"an integer of at most 64 bits"}
    assert sum("parameters" in place for place in told) == 1
    kept = {"job": INPUT, "defaults": {"endpoint": "simulator"}, "simulator": {"seed": 2**64 - 1}}
    assert Job.model_validate(kept).simulator.seed == 2**64 - 1


@pytest.mark.parametrize("value", [date(2026, 11, 29), time(7, 32), datetime(2026, 11, 29, tzinfo=UTC), math.inf, math.nan])
def test_what_toml_has_and_no_answer_is_a_mistake_in_a_schema(value):
    """Each answer had been paid for, asked for again, and refused: nothing in JSON is a date."""
    tables = {"job": INPUT, "defaults": {"endpoint": "simulator"}}
    told = refused(tables | {"answers": {"schema": {"properties": {"day": {"enum": ["2026-11-29", value]}}}}})
    assert told == {
        "answers.schema.properties.day.enum.1": ("what JSON can carry: text, numbers, true, false, lists and tables; a date is text there")
    }
    fits = {"type": "object", "properties": {"a": {"const": "2026-11-29"}, "b": {"enum": [1, 0.5, True, None]}}}
    assert Job.model_validate(tables | {"answers": {"schema": fits}}).answers.schema_ == fits


def test_a_journal_longer_than_any_machine_keeps_is_a_mistake():
    tables = {"job": INPUT, "defaults": {"endpoint": "simulator"}}
    assert refused(tables | {"simulator": {"journal": 2**63}}).keys() == {"simulator.journal"}


@pytest.mark.parametrize("url", ["https://[::1", "http://[::1/v1", "https://::1]/v1", "http://[x]/v1"])
@pytest.mark.parametrize("where", ["defaults", "workspaces", "endpoints"])
def test_an_address_that_lacks_a_bracket_is_a_mistake_where_it_stands(where, url):
    """Looked up for the routes of its models, it had ended in a traceback."""
    declared = {"endpoints": {"own": {"base_url": url}}, "defaults": {"endpoint": "own"}}
    tables = declared if where == "endpoints" else {"defaults": {"endpoint": url}} if where == "defaults" else {}
    legal = {"api_key_env": "K", "model": "m"} | ({"endpoint": url} if where == "workspaces" else {})
    place = {"defaults": "defaults.endpoint", "workspaces": "workspaces.legal.endpoint", "endpoints": "endpoints.own.base_url"}[where]
    [(told, why)] = refused({"job": INPUT, "workspaces": {"legal": legal}, **tables}).items()
    assert (told, why.startswith("an https:// or http:// URL with its path")) == (place, True)


def test_the_simulator_needs_no_key():
    resolved = workspace_of({"defaults": {"endpoint": "simulator"}, "workspaces": {"legal": {}, "hr": {"api_key_env": "HR_KEY"}}})
    assert (resolved.endpoint.name, resolved.endpoint.simulated, resolved.api_key_env) == ("simulator", True, None)
    assert workspace_of({"workspaces": {"hr": {"api_key_env": "HR_KEY", "endpoint": "simulator"}}}, "hr").api_key_env is None


def test_a_changed_default_changes_the_salt_and_a_changed_endpoint_or_limit_does_not():
    def salt(**table: object) -> bytes:
        return settings_salt(workspace_of({"workspaces": {"legal": {"api_key_env": "LEGAL_KEY", **table}}}))

    plain = salt(model="qwen-plus", parameters={"temperature": 0.2, "seed": 7})
    assert plain == salt(model="qwen-plus", parameters={"seed": 7, "temperature": 0.2})
    assert plain == salt(model="qwen-plus", parameters={"temperature": 0.2, "seed": 7}, endpoint="intl", concurrency=3, account=None)
    assert plain != salt(model="qwen-max", parameters={"temperature": 0.2, "seed": 7})
    assert plain != salt(model="qwen-plus", parameters={"temperature": 0.3, "seed": 7})
    assert plain != salt(model="qwen-plus", parameters={"temperature": 0.2})
    assert plain != salt(model="qwen-plus", parameters={"temperature": 0.2, "seed": 7}, headers={"X-DashScope-DataInspection": "{}"})
    assert 0 < len(plain) <= 64  # blake2b's longest key


def test_a_changed_protocol_changes_the_salt_and_one_that_is_named_though_it_is_the_usual_one_does_not():
    def salt(**table: object) -> bytes:
        return settings_salt(workspace_of({"workspaces": {"legal": {"api_key_env": "LEGAL_KEY", **table}}}))

    assert salt(protocol="openai") == salt() != salt(protocol="dashscope")


def test_a_protocol_of_the_defaults_is_that_of_each_workspace_that_names_none():
    tables = {"legal": {"api_key_env": "A"}, "hr": {"api_key_env": "B", "protocol": "openai"}}
    resolved = Job.model_validate({"job": INPUT, "defaults": {"protocol": "dashscope"}, "workspaces": tables}).workspaces_resolved()
    assert {name: each.protocol for name, each in resolved.items()} == {"legal": "dashscope", "hr": "openai"}


def test_a_parameter_moved_from_the_defaults_to_the_workspace_leaves_the_salt_as_it_was():
    above = workspace_of({"defaults": {"parameters": {"seed": 7}}, "workspaces": {"legal": {"api_key_env": "K"}}})
    below = workspace_of({"workspaces": {"legal": {"api_key_env": "K", "parameters": {"seed": 7}}}})
    assert settings_salt(above) == settings_salt(below)


def test_a_checked_job_cannot_be_changed():
    job = Job.model_validate(FULL)
    with pytest.raises(ValidationError):
        job.retry.max_attempts = 9  # type: ignore[misc]
    with pytest.raises(TypeError):
        job.workspaces_resolved()["legal"].parameters["seed"] = 1  # type: ignore[index]


def test_half_a_character_is_no_name():
    assert len(refused({"job": INPUT, "workspaces": {"\ud800": {"api_key_env": "K"}}})) == 1


def test_a_job_made_of_tables_and_paths_is_the_job_made_of_a_dict():
    job = Job.model_validate(FULL)
    assert Job.model_validate(job) is job
    assert Job.model_validate(dict(job)) == job
    assert Job.model_validate({"job": {"input": Path("in.jsonl")}}) == Job.model_validate({"job": INPUT})


@pytest.mark.parametrize(
    "name",
    ["marketing", "市场部", "法务-2", "قانون", "कानूनी", "Юристы", "a.b_c-1", "É", "一" * 64],
)
def test_a_name_in_any_script_is_a_workspace(name):
    assert list(Job.model_validate({"job": INPUT, "workspaces": {name: {"api_key_env": "K"}}}).workspaces) == [name]


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", "a b", "a/b", "..", ".hidden", "-x", "end.", "a\\b", "a:b", "a*", "a\nb", "a\x00", "\u202eabc", "a\u200bb", "\u3164"),
        *("e\u0301", "a" * 65, "𠀀" * 51, "\u0301a", "½", "a\ufe0f", "CON", "con.txt", "nul", "Com1", "LPT9.log"),
        *sorted(RUN_DIRECTORY_NAMES),
        *(name.upper() for name in sorted(RUN_DIRECTORY_NAMES)),
    ],
)
def test_a_name_that_some_disk_could_not_keep_is_refused(name):
    assert f"workspaces.{name}" in refused({"job": INPUT, "workspaces": {name: {"api_key_env": "K"}}})


@given(st.text(min_size=1, max_size=70))
def test_a_name_that_is_taken_is_a_plain_directory_of_its_own(name):
    try:
        Job.model_validate({"job": INPUT, "workspaces": {name: {"api_key_env": "K"}}})
    except ValidationError:
        return
    assert name.isprintable()
    assert not {"/", "\\", ":", " "} & set(name)
    assert name[0] not in ".-"
    assert len(name.encode()) <= 200
    assert unicodedata.normalize("NFC", name) == name


@pytest.mark.parametrize(("one", "other"), [("Legal", "legal"), ("STRASSE", "straße"), ("Ärzte", "ärzte")])
def test_two_names_that_differ_only_in_capitals_are_refused(one, other):
    tables = {"job": INPUT, "workspaces": {one: {"api_key_env": "K"}, other: {"api_key_env": "K"}}}
    assert list(refused(tables)) == [f"workspaces.{other}"]


@pytest.mark.parametrize(
    "value",
    [
        object(),
        3,
        None,
        "text",
        [],
        {"job": 3},
        {3: 4},
        {"job": {"input": {}}},
        {"job": {"input": [[]]}},
        {"workspaces": {"a": 1}, "job": []},
    ],
)
def test_whatever_is_given_for_a_job_the_mistake_is_a_validation_error(value):
    assert refused(value)


def places_in(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    keys: Any = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    yield at
    for key in keys:
        yield from places_in(value[key], (*at, key))


def test_a_value_of_any_kind_in_the_place_of_any_other_is_taken_or_a_validation_error():
    for place in places_in(FULL):
        for other in (["openai"], [["a"]], {"a": 1}, [{"a": [1]}], [], {}, date(2026, 11, 24), 10**40, float("nan"), "\0", True):
            tables: Any = {"": deepcopy(FULL)}
            reduce(getitem, ("", *place)[:-1], tables)[("", *place)[-1]] = other
            with suppress(ValidationError):
                Job.model_validate(tables[""])


@pytest.mark.parametrize("key", [KEY, "sk-cut", "sk-of/other+letters=="])
def test_what_begins_like_a_key_is_not_shown_where_it_is_refused_wherever_that_is(key):
    refused = 0
    for place in places_in(FULL):
        tables: Any = {"": deepcopy(FULL)}
        reduce(getitem, ("", *place)[:-1], tables)[("", *place)[-1]] = key
        try:
            Job.model_validate(tables[""])
        except ValidationError as error:
            told = [each for each in error.errors() if each["loc"][: len(place)] == place]
            refused += len(told)
            assert key[3:] not in str(told)
    assert refused > 50


def test_a_key_is_in_no_part_of_the_error_that_a_program_sees():
    tables = {
        "job": {"input": KEY},
        "workspaces": {KEY: {"api_key_env": KEY}, "legal": {"api_key_env": "sk-short", "parameters": {"x": [KEY]}}},
        KEY: 3,
    }
    with pytest.raises(ValidationError) as caught:
        Job.model_validate(tables)
    told = f"{caught.value} {caught.value!r} {caught.value.errors()} {caught.value.json()}"
    assert KEY[3:] not in told
    assert "sk-short" not in told
    assert caught.value.error_count() == 6


@pytest.mark.parametrize(
    "path", ["samples/task-summaries-2026-november.jsonl", "risk-assessments-of-the-year.jsonl", "desk-0123456789abcdef"]
)
def test_a_word_that_ends_in_sk_is_no_key(path):
    assert Job.model_validate({"job": {"input": path}}).inputs[0].path == path


# The schema


def tables_of(model: type[BaseModel]) -> dict[str, type[BaseModel]]:
    found = {model.__name__: model}
    for field in model.model_fields.values():
        for kind in kinds_in(field.annotation):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                found |= tables_of(kind)
    return found


def kinds_in(annotation: Any) -> list[Any]:
    return [annotation, *(inner for each in getattr(annotation, "__args__", ()) for inner in kinds_in(each))]


def unfit(value: object, schema: dict[str, Any], root: dict[str, Any]) -> str | None:
    """A small reader of the part of JSON Schema that the job's schema is written in."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        reasons = [unfit(value, one, root) for one in schema["anyOf"]]
        return None if None in reasons else "; ".join(filter(None, reasons))
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": int | float}
    if "type" in schema and not (isinstance(value, kinds[schema["type"]]) and (schema["type"] == "boolean" or not isinstance(value, bool))):
        return f"{value!r} is not {schema['type']}"
    if value not in schema.get("enum", [value]) or value != schema.get("const", value):
        return f"{value!r} is none of {schema}"
    if isinstance(value, int | float) and (value < schema.get("minimum", value) or value <= schema.get("exclusiveMinimum", value - 1)):
        return f"{value} is too small"
    if isinstance(value, list):
        return next((why for one in value if (why := unfit(one, schema.get("items", {}), root))), None)
    return unfit_table(value, schema, root) if isinstance(value, dict) else None


def unfit_table(value: dict[str, Any], schema: dict[str, Any], root: dict[str, Any]) -> str | None:
    others = schema.get("additionalProperties", {})
    missing = set(schema.get("required", ())) - set(value)
    if missing:
        return f"{missing} missing"
    for name, inner in value.items():
        of_name = schema.get("properties", {}).get(name, others)
        why = f"unknown {name}" if of_name is False else None if of_name is True else unfit(inner, of_name, root)
        if why:
            return why
    return None


def test_the_schema_describes_each_key_of_each_table():
    schema = job_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"]
    tables = {name: table for name, table in tables_of(Job).items() if table.__module__.startswith("batchrun.core.jobs.tables.")}
    assert len(tables) == 20
    for name, table in tables.items():
        described = schema["$defs"][name]
        assert described["additionalProperties"] is False
        assert set(described["properties"]) == {field.alias or key for key, field in table.model_fields.items()}
        assert all(key["description"] for key in described["properties"].values()), name
    assert set(schema["properties"]) == set(FULL)
    assert "null" not in str(schema["$defs"]["WorkspaceTable"])
    assert "'default': None" not in str(schema)
    assert schema["$defs"]["RetryTable"]["properties"]["max_attempts"]["default"] == 6


def test_the_schema_completes_the_names_of_endpoints():
    for table in ("DefaultsTable", "WorkspaceTable"):
        names = job_schema()["$defs"][table]["properties"]["endpoint"]["anyOf"][0]["enum"]
        assert names == ["public", "finance", "intl", "us", "hongkong", "batch", "simulator"]


def test_the_schema_and_the_checks_take_the_shipped_jobs_and_a_job_with_every_key():
    assert len(JOBS) >= 4
    for tables in (FULL, *(tomllib.loads(path.read_text("utf-8")) for path in JOBS)):
        assert unfit(tables, job_schema(), job_schema()) is None
        assert Job.model_validate(tables).inputs


@pytest.mark.parametrize(
    "tables",
    [
        {},
        {"job": {}},
        {"job": {"input": 3}},
        {"job": {"input": [3]}},
        {"job": {"input": {"pth": "a"}}},
        {"job": INPUT, "nonsense": {}},
        {"job": INPUT, "workspaces": {"a": {"api_key_env": "K", "budget": 3}}},
        {"job": INPUT, "defaults": {"concurrency": 0}},
        {"job": INPUT, "defaults": {"concurrency": "8"}},
        {"job": INPUT, "defaults": {"protocol": "grpc"}},
        {"job": INPUT, "timeouts": {"total": 0}},
        {"job": INPUT, "output": {"form": "csv"}},
        {"job": INPUT, "endpoints": {"own": {}}},
    ],
)
def test_what_the_schema_refuses_the_checks_refuse(tables):
    assert unfit(tables, job_schema(), job_schema())
    assert refused(tables)


def test_the_simulators_table_is_its_own_settings_model():
    job = Job.model_validate({"job": INPUT, "defaults": {"endpoint": "simulator"}, "simulator": {"seed": 7}})
    assert job.simulator.scenario({"default": SecretStr("sk-fake-default")}).seed == 7


@given(st.lists(st.text(min_size=1, max_size=70), unique=True, max_size=6))
@example(["市场部", "1st", "2026", "-", "a-b", "a_b", "w" * 64, "r.d"])
def test_a_variable_that_is_proposed_for_a_workspace_is_one_that_a_job_takes_and_no_other_s(workspaces):
    proposed = variables_for(tuple(workspaces))
    assert [*proposed] == workspaces
    assert len({*proposed.values()}) == len(workspaces)
    for variable in proposed.values():
        assert TypeAdapter(VariableName).validate_python(variable) == variable
