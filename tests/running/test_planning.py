"""What the scheduler is told of a job's lanes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import anyio
import orjson
import pytest

from batchrun.core.jobs.endpoints import endpoint_of
from batchrun.core.jobs.job import Job
from batchrun.core.limits.estimates import Estimate
from batchrun.core.scheduling.retry import RetryPolicy
from batchrun.core.scheduling.scheduler import Scheduler
from batchrun.running.planning import Keeping, Learnt, lane_of, policy_of, read_learnt, schedule
from tests.laboratory import Events, answer, unreached
from tests.virtual_time import run_virtually

QUOTA = 600
HERE, THERE = "http://localhost:8000/v1", "http://localhost:80/v1"
HOSTS = {
    "legal": "https://llm-1a.cn-beijing.maas.aliyuncs.com",
    "sales": "https://llm-2b.cn-beijing.maas.aliyuncs.com/compatible-mode/v1",
    "support": "public",
    "audit": "https://dashscope.aliyuncs.com/compatible-mode/v1",
}
OPENING: Any = SimpleNamespace(
    plan=SimpleNamespace(rows=lambda _lane: range(1_000)), source=SimpleNamespace(line_bytes=lambda _ordinal: 100)
)


def lanes(hosts, account="main"):
    workspaces = {name: {"api_key_env": f"{name.upper()}_KEY", "account": account, "endpoint": host} for name, host in hosts.items()}
    accounts = {account: {"quotas": {"qwen-plus": {"rpm": QUOTA}}}}
    job = Job.model_validate({"job": {"input": "in.jsonl"}, "accounts": accounts, "workspaces": workspaces})
    return [lane_of(each, "qwen-plus", 1_000, OPENING, Estimate()) for each in job.workspaces_resolved().values()]


@pytest.mark.parametrize(("retry", "keeps_to"), [({}, False), ({"max_billed": 2}, False), ({"max_attempts": 6}, True)])
def test_attempts_that_a_job_counts_are_kept_to(retry, keeps_to):
    policy = policy_of(Job.model_validate({"job": {"input": "in.jsonl"}, "retry": retry}), hold_in_doubt=False)
    assert (policy.max_attempts, policy.keeps_to) == (6, keeps_to)


def test_workspaces_of_an_account_share_its_quota_whichever_of_a_clouds_doors_they_go_by():
    """The provider counts by account and model, over all its workspaces: each one's own host is another way to the same quota."""
    plans = lanes(HOSTS)
    private = {"hr": "https://vpc-cn-beijing.dashscope.aliyuncs.com", "it": "http://ep-1a.dashscope.cn-beijing.privatelink.aliyuncs.com"}
    assert {plan.pool_name for plan in (*plans, *lanes(private))} == {"main public qwen-plus"}
    events = Events(Scheduler(plans, RetryPolicy()), lambda _ticket: (answer(), 1.0))
    events.run(until=300.0)
    lately = [ticket for ticket in events.launches if 240.0 <= ticket.launched_at < 300.0]
    assert 0.98 * QUOTA <= len(lately) <= QUOTA


def test_other_clouds_other_accounts_and_servers_of_ones_own_have_quotas_of_their_own():
    elsewhere = {
        "intl": "https://ws-1a.ap-southeast-1.maas.aliyuncs.com",
        "batch": "batch",
        "frankfurt": "https://ws-1a.eu-central-1.maas.aliyuncs.com",
        "own": "https://llm.example/v1",
        "trial": "https://trial.cn-beijing.maas.aliyuncs.com",
    }
    pools = {plan.pool_name for plan in (*lanes(HOSTS), *lanes(elsewhere), *lanes({"legal": "public"}, account="other"))}
    assert len(pools) == 1 + len(elsewhere) + 1


def test_a_server_of_ones_own_has_its_limits_whatever_the_job_calls_it_and_another_has_none_of_them():
    """What a server took was held against the one that the job called by its name the next day, for minutes."""

    def pool_of(endpoint, url):
        job = {"job": {"input": "in.jsonl"}, "endpoints": {"own": {"base_url": url}, "lab": {"base_url": url}}}
        workspaces = {"legal": {"api_key_env": "K", "endpoint": endpoint}}
        (workspace,) = Job.model_validate({**job, "workspaces": workspaces}).workspaces_resolved().values()
        return lane_of(workspace, "qwen-plus", 1_000, OPENING, Estimate()).pool_name

    assert pool_of("own", HERE) == pool_of("lab", HERE) == pool_of(HERE, HERE) != pool_of("own", THERE)
    assert pool_of("own", HOSTS["audit"]) == pool_of("own", HOSTS["legal"]) == pool_of("public", HERE)


def test_a_batch_has_no_rates_whichever_way_it_is_named():
    hosts = {
        "legal": "batch",
        "sales": "https://batch.dashscope.aliyuncs.com/compatible-mode/v1",
        "audit": "public",
        "own": "https://llm.example/v1",
    }
    assert [plan.has_rates for plan in lanes(hosts)] == [False, False, True, True]


def test_what_an_opening_learnt_of_its_lanes_is_what_the_next_one_is_given(tmp_path):
    notes: list[str] = []
    scheduler, learnt = Scheduler(lanes(HOSTS), RetryPolicy()), Learnt()
    for number, name in enumerate(HOSTS):
        learnt.estimate((name, "qwen-plus")).output = 10.0 + number
    slots = {("sales", "qwen-plus"): {"limit": 2, "best": 0.1}}
    scheduler.lessons.teach_slots(slots)
    anyio.run(Keeping(tmp_path, learnt, scheduler, notes.append).now)
    again = read_learnt(tmp_path)
    assert (again.estimates, again.slots, notes) == (learnt.estimates, slots, [])


@pytest.mark.parametrize(("later", "kept"), [(1_800.0, True), (-1_800.0, True), (3 * 86_400.0, False), (None, False)])
def test_slots_that_a_lane_had_no_use_for_are_all_there_again_the_next_night(tmp_path, later, kept):
    """Begun in the evening with those that a busy provider had left in the morning, a night took half an hour to have them all again."""
    scheduler, learnt, slots = Scheduler(lanes(HOSTS), RetryPolicy()), Learnt(), {("sales", "qwen-plus"): {"limit": 2, "best": 0.1}}
    learnt.estimate(("sales", "qwen-plus")).output = 10.0
    scheduler.lessons.teach_slots(slots)
    anyio.run(Keeping(tmp_path, learnt, scheduler, lambda _text: None).now)
    told = orjson.loads((tmp_path / "learnt.json").read_bytes())
    (tmp_path / "learnt.json").write_bytes(orjson.dumps(told | {"at": later and told["at"] - later}))
    again = read_learnt(tmp_path)
    assert (again.slots, again.estimates) == (slots if kept else {}, learnt.estimates)


def test_which_endpoint_has_answered_is_known_to_the_next_opening_though_nothing_is_answered_in_one_between(tmp_path):
    learnt, silent = Learnt(), Scheduler(lanes(HOSTS), RetryPolicy())
    answered = Scheduler([plan for plan in lanes(HOSTS) if plan.workspace != "support"], RetryPolicy())
    for name in HOSTS:
        learnt.estimate((name, "qwen-plus"))
    Events(answered, lambda _ticket: (answer(), 1.0)).run(until=10.0)
    hosts = {(name, "qwen-plus"): endpoint_of(host, {}).place for name, host in HOSTS.items() if name != "support"}
    for scheduler in (answered, silent):
        anyio.run(Keeping(tmp_path, learnt, scheduler, lambda _text: None).now)
        learnt = read_learnt(tmp_path)
        assert learnt.answered_by == hosts


@pytest.mark.parametrize(
    ("endpoint", "answered_by", "left"),
    [
        ("intl", "intl", 0),
        ("intl", "public", 10),
        ("intl", None, 10),
        ("own", HERE, 0),
        ("own", THERE, 10),
        (HERE, HERE, 0),
    ],
)
def test_an_endpoint_that_answered_an_earlier_opening_is_waited_for_from_the_start(endpoint, answered_by, left):
    """Killed in an outage and started again, a run is not to end two minutes later as one whose endpoint is mistyped."""
    workspaces = {"legal": {"api_key_env": "K", "endpoint": endpoint}}
    job = Job.model_validate({"job": {"input": "in.jsonl"}, "workspaces": workspaces, "endpoints": {"own": {"base_url": HERE}}})
    rows = SimpleNamespace(rows=lambda _lane: range(10), lanes=lambda: {("legal", "qwen-plus"): 10})
    opening: Any = SimpleNamespace(plan=rows, source=OPENING.source)
    learnt = Learnt(answered_by={("legal", "qwen-plus"): answered_by} if answered_by else {})

    async def scheduled():
        return schedule(job, job.workspaces_resolved(), opening, learnt, wait=False)

    scheduler = run_virtually(scheduled)
    Events(scheduler, lambda each: (unreached() if each.launched_at < 3_600.0 else answer(), 0.1)).run()
    assert sum(scheduler.left().values()) == left


@pytest.mark.parametrize(("answered_by", "at_once"), [(HERE, 2), (None, 2), (THERE, 8)])
def test_slots_that_one_endpoint_had_no_use_for_are_there_for_another(answered_by, at_once):
    """A job that left a slow endpoint for a quick one went on for an hour with the few calls at once that the slow one had use for."""
    workspaces = {"legal": {"api_key_env": "K", "endpoint": HERE, "concurrency": 8}}
    job = Job.model_validate({"job": {"input": "in.jsonl"}, "workspaces": workspaces})
    rows = SimpleNamespace(rows=lambda _lane: range(100), lanes=lambda: {("legal", "qwen-plus"): 100})
    opening: Any = SimpleNamespace(plan=rows, source=OPENING.source)
    lane = "legal", "qwen-plus"
    learnt = Learnt(slots={lane: {"limit": 2, "best": 0.05}}, answered_by={lane: answered_by} if answered_by else {})

    async def scheduled():
        return schedule(job, job.workspaces_resolved(), opening, learnt, wait=False)

    events = Events(run_virtually(scheduled), lambda _ticket: (answer(), 1.0))
    events.run(until=0.9)
    assert len(events.launches) == at_once
