"""What a scenario may say: every key described, every value taken as it is written or refused."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from batchrun.core.jobs.job import job_schema
from batchrun.simulator.example import EXAMPLE
from batchrun.simulator.scenario import Scenario, SimulatorSettings
from batchrun.simulator.service import Service
from batchrun.simulator.strangers import strangers
from batchrun.simulator.tables import AccountQuota, RateLimit, TimedChange
from tests.simulator.fixtures import NOW, chat

SCHEMA: dict[str, Any] = Scenario.model_json_schema()
TABLES = {"Scenario": SCHEMA, **{name: table for name, table in SCHEMA["$defs"].items() if "properties" in table}}
EXAMPLE_TABLES = tomllib.loads(EXAMPLE)


@pytest.mark.parametrize("name", TABLES)
def test_every_key_of_every_table_says_what_it_means_and_no_other_is_taken(name):
    assert TABLES[name]["additionalProperties"] is False
    assert {key for key, about in TABLES[name]["properties"].items() if not about.get("description")} == set()


def test_the_schema_of_the_job_file_shows_the_settings_of_the_simulator():
    described = job_schema()["$defs"]
    assert described["SimulatorSettings"]["properties"]["accounts"]["description"]
    assert described["AccountQuota"]["properties"]["burst_floor"]["description"]
    assert {"api_key", "account"}.isdisjoint(described["WorkspaceSettings"]["properties"])


def keys_of(tables, schema):
    """Every (table, key) that *tables* name, found along their schema."""
    if "$ref" in schema:
        schema = {**SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]], "title": schema["$ref"].rpartition("/")[2]}
    if "anyOf" in schema:
        for one in schema["anyOf"]:
            yield from keys_of(tables, one)
    elif isinstance(tables, list):
        for one in tables:
            yield from keys_of(one, schema.get("items", {}))
    elif isinstance(tables, dict) and "properties" in schema:
        for key, value in tables.items():
            yield schema["title"], key
            yield from keys_of(value, schema["properties"][key])
    elif isinstance(tables, dict):
        for value in tables.values():
            yield from keys_of(value, schema.get("additionalProperties", {}))


def test_the_example_names_every_key_there_is():
    named = set(keys_of(EXAMPLE_TABLES, SCHEMA))
    common = {(table, key) for table in ("RateLimit", "AccountQuota") for key in TABLES[table]["properties"]}
    known = {(name, key) for name, table in TABLES.items() for key in table["properties"]}
    # A workspace's limit and an account's quota share their keys: once is enough.
    quota = {("AccountQuota", key) for _, key in common}
    assert known - named - common == set()
    assert quota - named == set()


def test_the_example_is_what_its_comments_say():
    scenario = Scenario.model_validate(EXAMPLE_TABLES)
    assert list(strangers(scenario)) == []
    quota = scenario.accounts["main"].quotas["qwen-plus"]
    assert (quota.request_window, quota.token_window) == ((60, 6), (300_000, 6))
    assert scenario.accounts["main"].quotas["qwen3.6-plus"].request_window == (250, 1)
    assert Service(scenario).answer(chat(key="sk-fake-legal"), NOW).status == 200


@pytest.mark.parametrize(
    "tables",
    [
        {"seed": "7"},
        {"seed": 7.0},
        {"seed": True},
        {"journal": "3"},
        {"open_keys": 1},
        {"honour_idempotency_key": "yes"},
        {"latency": {"median": "1"}},
        {"latency": {"median": float("inf")}},
        {"models": "qwen-plus"},
        {"models": [1]},
        {"price_per_1k_tokens": "0.1"},
        {"accounts": {"main": {"balance": "3"}}},
        {"accounts": {"main": {"balance": -1}}},
        {"accounts": {"main": {"free_quota": {"qwen-plus": 1.5}}}},
        {"accounts": {"main": {"quotas": {"qwen-plus": {"rpm": "60"}}}}},
        {"accounts": {"main": {"quotas": {"qwen-plus": {"period": 0}}}}},
        {"accounts": {"main": {"quotas": {"qwen-plus": {"window": "tumbling"}}}}},
        {"accounts": {"main": {"quotas": {"qwen-plus": {"burst": 0.5}}}}},
        {"workspaces": {"a": {"api_key": "k", "limits": {"qwen-plus": {"burst": 2.0}}}}},
        {"faults": [{"kind": 3, "first": 1}]},
        {"faults": [{"kind": "reset", "first": "1"}]},
        {"changes": [{"at": "1", "account": "main", "balance": 1}]},
    ],
)
def test_nothing_is_guessed(tables):
    with pytest.raises(ValidationError):
        Scenario.model_validate(tables)


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({"rpm": 9, "period": 6}, "rpm = 9 comes to nothing in a window of 6 seconds: at least 10"),
        ({"rpm": 59, "request_period": 1}, "at least 60"),
        ({"tpm": 8, "period": 7}, "at least 9"),
        ({"per_second": True}, "per_second needs an rpm"),
    ],
)
def test_a_limit_that_could_never_let_anything_through_is_refused(table, why):
    with pytest.raises(ValidationError, match=why):
        RateLimit(**table)
    assert AccountQuota(rpm=10, period=6).request_window == (1, 6)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"account": "a"},
        {"workspace": "w"},
        {"balance": 1},
        {"account": "a", "workspace": "w", "balance": 1},
        {"account": "a", "balance": 1, "wrong_key": True},
        {"workspace": "w", "balance": 1},
        {"workspace": "w", "wrong_key": False, "balance": 1},
        {"workspace": "w", "wrong_key": False, "quotas": {"m": {"rpm": 1}}},
        {"account": "a", "quotas": {"m": {"rpm": 1}}, "models": ["m"]},
    ],
)
def test_a_change_says_something_that_its_subject_has(change):
    with pytest.raises(ValidationError, match="change"):
        TimedChange(at=1, **change)


def test_settings_of_a_job_keep_accounts_limits_and_changes_when_they_get_their_keys():
    settings = SimulatorSettings.model_validate(
        {
            "accounts": {"main": {"quotas": {"qwen-plus": {"rpm": 1}}}},
            "workspaces": {"hr": {"limits": {"*": {"rpm": 5}}}, "gone": {"wrong_key": True}},
            "changes": [{"at": 9, "account": "main", "balance": 1}],
        }
    )
    whole = settings.scenario({name: SecretStr(f"sk-fake-{name}") for name in ("hr", "legal")}, {"hr": "main", "legal": "main"})
    assert whole.workspaces["hr"].limits["*"].rpm == 5
    assert (whole.accounts, whole.changes) == (settings.accounts, settings.changes)
    service = Service(whole)
    assert [service.answer(chat(key=f"sk-fake-{name}"), NOW).status for name in ("hr", "legal")] == [200, 429]


def test_every_name_that_leads_nowhere_is_told_with_its_place():
    scenario = Scenario.model_validate(
        {
            "workspaces": {
                "hr": {"api_key": "k", "account": "main", "models": ["qwen"], "limits": {"qwen-minus": {}, "*": {}, "own-1": {}}}
            },
            "accounts": {"hr": {}, "main": {"quotas": {"qwen-minus": {}}, "free_quota": {"qwen-minus": 1}}},
            "faults": [{"kind": "reset", "first": 1, "workspace": "legal", "model": "qwen-minus"}],
            "changes": [{"at": 1, "account": "man", "balance": 1}, {"at": 1, "workspace": "legal", "models": ["qwen-minus"]}],
        }
    )
    deployed = scenario.model_copy(update={"models": (*scenario.models, "own-1")})
    places = [
        ("accounts", "main", "quotas", "qwen-minus"),
        ("accounts", "main", "free_quota", "qwen-minus"),
        ("workspaces", "hr", "models", 0),
        ("workspaces", "hr", "limits", "qwen-minus"),
        ("faults", 0, "model"),
        ("changes", 1, "models", 0),
        ("accounts", "hr"),
        ("changes", 0, "account"),
        ("faults", 0, "workspace"),
        ("changes", 1, "workspace"),
    ]
    assert [one.loc for one in strangers(deployed)] == places
    assert [one.loc for one in strangers(deployed.model_copy(update={"open_keys": True}))] == places[:6]
