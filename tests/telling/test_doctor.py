from __future__ import annotations

import json
from functools import partial

import anyio
import pytest
from click.testing import CliRunner

from batchrun.cli.doctor import doctor
from batchrun.core.diagnosis import asked_of_the_owner, models_granted, models_listed, of_probe, of_refused_list, quotas_told
from batchrun.core.jobs.endpoints import endpoint_of
from batchrun.core.jobs.job import Job
from batchrun.core.model import Failure, Fault, Scope
from batchrun.core.protocols.error_body import refusal
from batchrun.core.rows.routes import Route, route
from batchrun.report.diagnosis import diagnosis
from batchrun.running.one_run import Wishes, run_blocking
from batchrun.telling.doctor import examine
from tests.edge import fault_server as server

NOWHERE = "http://127.0.0.1:9/v1"


def examined(tables, *, probe=False):
    whole = {"job": {"input": "in.jsonl"}, "defaults": {"endpoint": "simulator", "model": "qwen-plus"}, **tables}
    whole["simulator"] = {"latency": {"median": 0.0}, **whole.get("simulator", {})}
    return {each.workspace: each for each in anyio.run(partial(examine, Job.model_validate(whole), probe=probe, dotenv=None))}


def states(each):
    return [(finding.check, finding.model, finding.state.value) for finding in each.findings]


def test_a_ready_job_has_nothing_wrong_and_spends_nothing():
    (alone,) = examined({"workspaces": {"legal": {"models": ["qwen-plus", "qwen-max"]}}}).values()
    assert states(alone) == [
        ("endpoint", None, "ok"),
        ("key", None, "ok"),
        ("model", "qwen-plus", "ok"),
        ("model", "qwen-max", "ok"),
    ]
    assert (alone.wrong, alone.spent_tokens) == (False, 0)


@pytest.mark.parametrize("probe", [False, True])
def test_a_model_that_is_not_authorised_is_a_grant_to_ask_for(probe):
    tables = {
        "workspaces": {"legal": {"models": ["qwen-plus", "qwen-max"]}},
        "simulator": {"workspaces": {"legal": {"models": ["qwen-plus"]}}},
    }
    found = examined(tables, probe=probe)
    assert ("model", "qwen-max", "wrong") in states(found["legal"])
    assert asked_of_the_owner(found.values()) == ["workspace legal: authorise qwen-max"]
    assert (found["legal"].spent_tokens > 0) is probe


@pytest.mark.parametrize("probe", [False, True])
def test_a_key_that_the_endpoint_refuses_is_said_and_not_probed(probe):
    found = examined({"workspaces": {"legal": {}}, "simulator": {"workspaces": {"legal": {"wrong_key": True}}}}, probe=probe)
    assert states(found["legal"]) == [("endpoint", None, "ok"), ("key", None, "wrong")]
    assert "api_key_env" in found["legal"].findings[1].advice


def test_an_account_in_arrears_is_asked_of_its_owner_by_a_probe():
    found = examined({"workspaces": {"legal": {}}, "simulator": {"workspaces": {"legal": {"in_arrears": True}}}}, probe=True)
    (grant,) = asked_of_the_owner(found.values())
    assert "Arrearage" in grant
    assert "top up" in grant


def test_what_stood_still_when_the_run_last_ended_is_told_where_no_look_without_a_call_tells_whether_it_was_mended(tmp_path):
    """Of a department whose bill was due it had been said that nothing stands against a run."""
    (tmp_path / "in.jsonl").write_text('{"workspace": "legal", "prompt": "Hi"}\n{"workspace": "hr", "prompt": "Hi"}\n')
    tables = {
        "job": {"input": str(tmp_path / "in.jsonl"), "output": str(tmp_path / "run")},
        "workspaces": {"legal": {}, "hr": {}},
        "simulator": {"workspaces": {"legal": {"in_arrears": True}}},
    }
    fine = [("endpoint", None, "ok"), ("key", None, "ok"), ("model", "qwen-plus", "ok")]
    assert states(examined(tables)["legal"]) == fine
    job = {"defaults": {"endpoint": "simulator", "model": "qwen-plus"}, **tables}
    run_blocking(Job.model_validate(job), Wishes(page=None, dotenv=None))
    found = examined(tables)
    assert states(found["legal"]) == [*fine, ("last run", None, "unknown")]
    assert states(found["hr"]) == fine
    (*_, last) = found["legal"].findings
    assert last.said.startswith("parked at its end: 400 Arrearage: ")
    assert "top up" in last.advice
    assert "2 of 2 workspaces ready: nothing that is known stands against a run; see what is marked ?" in diagnosis([*found.values()])
    mended = {**tables, "simulator": {}}
    assert states(examined(mended)["legal"])[-1] == ("last run", None, "unknown")
    assert states(examined(mended, probe=True)["legal"]) == fine
    (tmp_path / "run" / "run.json").write_text("{")
    assert states(examined(tables)["legal"]) == fine


def test_a_missing_key_and_an_endpoint_that_nobody_listens_at_are_told_apart(monkeypatch):
    monkeypatch.setenv("FAR_KEY", "sk-fake-far")
    monkeypatch.delenv("NO_KEY", raising=False)
    found = examined(
        {"workspaces": {"far": {"endpoint": NOWHERE, "api_key_env": "FAR_KEY"}, "none": {"endpoint": NOWHERE, "api_key_env": "NO_KEY"}}}
    )
    assert states(found["far"]) == [("endpoint", None, "wrong")]
    assert found["far"].findings[0].said.startswith("connection_refused")
    assert states(found["none"]) == [("key", None, "wrong")]
    assert found["none"].findings[0].said.startswith("NO_KEY is not set")


def test_one_key_for_two_workspaces_is_wrong_for_both(monkeypatch):
    monkeypatch.setenv("ONE_KEY", "sk-fake-one")
    workspaces = {name: {"endpoint": NOWHERE, "api_key_env": "ONE_KEY"} for name in ("legal", "hr")}
    found = examined({"workspaces": workspaces})
    assert [found[name].findings[0].said for name in workspaces] == ["the same key as hr", "the same key as legal"]


def test_one_key_for_hundreds_of_workspaces_names_the_first_of_them_to_each(monkeypatch):
    monkeypatch.setenv("ONE_KEY", "sk-fake-one")
    names = [f"w{number}" for number in range(40)]
    found = examined({"workspaces": {name: {"endpoint": NOWHERE, "api_key_env": "ONE_KEY"} for name in names}})
    assert found["w0"].findings[0].said == f"the same key as {', '.join(names[1:21])}, …"


@pytest.mark.parametrize(
    ("endpoint", "key", "told"),
    [
        ("public", "LEGAL_DASHSCOPE_API_KEY", [("note", "does not begin with sk-, as the provider's keys do")]),
        ("https://llm-1a.cn-beijing.maas.aliyuncs.com", "b64-1", [("note", "does not begin with sk-, as the provider's keys do")]),
        ("public", "sk-sp-fake", [("wrong", "a key of a coding plan, which is not for batches")]),
        ("public", "sk-fake-legal", []),
        (NOWHERE, "sk-sp-token-1", []),
        ("own", "token-1", []),
    ],
)
def test_a_key_that_is_not_like_the_providers_is_told_where_the_provider_is_called(monkeypatch, endpoint, key, told):
    monkeypatch.setenv("A_KEY", key)
    tables = {"workspaces": {"legal": {"endpoint": endpoint, "api_key_env": "A_KEY"}}, "endpoints": {"own": {"base_url": NOWHERE}}}
    (legal,) = examined({**tables, "transport": {"proxy": "http://127.0.0.1:9"}}).values()
    assert [(finding.state.value, finding.said) for finding in legal.findings if finding.check == "key"] == told
    assert ("endpoint", None, "wrong") in states(legal)


def test_a_workspace_of_whose_models_its_rows_alone_tell_is_told_so():
    (alone,) = examined({"defaults": {"endpoint": "simulator"}, "workspaces": {"legal": {}}}).values()
    assert [finding.said for finding in alone.findings if finding.check == "model"] == [
        "the job names no model for this workspace: its rows do"
    ]


def test_native_only_stream_only_and_tuned_models_are_probed_the_way_they_answer():
    workspace = {"models": ["qwen-audio-turbo", "qwq-plus", "qwen3.5-plus"], "deployments": ["tone-v3"], "model": "qwq-plus"}
    tables = {"workspaces": {"legal": workspace}, "simulator": {"workspaces": {"legal": {"deployments": ["tone-v3"]}}}}
    (legal,) = examined(tables, probe=True).values()
    said = {finding.model: finding.said for finding in legal.findings if finding.check == "model"}
    assert {finding.state.value for finding in legal.findings} == {"ok"}
    assert "native only" in said["qwen-audio-turbo"]
    assert "streams only" in said["qwq-plus"]
    assert "by dashscope-text, native only" in said["tone-v3"]


def test_quotas_are_told_a_minute_whatever_they_are_counted_in():
    limits = {"request_limit": 60, "request_limit_period": 6, "usage_limit": 300_000, "usage_limit_period": 6}
    answer = {"output": {"quotas": [{"model": "qwen-plus", "model_limit": limits, "workspace_limit": None}, {"model": "other"}]}}
    (quota,) = quotas_told(answer, ["qwen-plus", "other"])
    assert quota.said == "account: 600 requests a minute (counted every 6 s), 3,000,000 tokens a minute (counted every 6 s)"


@pytest.mark.parametrize(
    "answer", [None, [], {}, {"output": None}, {"output": {"permissions": 3}}, {"data": {}}, {"output": {"quotas": [7]}}]
)
def test_a_management_answer_of_another_shape_tells_nothing(answer):
    assert (models_listed(answer), models_granted(answer), quotas_told(answer, ["qwen-plus"])) == (None, None, [])


def test_without_a_models_list_the_key_is_left_to_a_probe():
    reached, key = of_refused_list(refusal(404, {}, b"not found"), "http://llm.example/v2")
    assert [reached.state.value, key.state.value] == ["ok", "unknown"]
    assert key.said.startswith("http://llm.example/v2/models is not there: ")


@pytest.mark.parametrize(
    ("body", "key", "said"),
    [
        (b'{"object": "list", "data": []}', "ok", "taken by the endpoint"),
        (b'{"code": "InvalidApiKey", "message": "Invalid API-key provided."}', "wrong", "200 InvalidApiKey: Invalid API-key provided."),
        (b'{"error": {"message": "who are you?"}}', "unknown", "200 error_in_200: an error came under status 200 (no code: who are you?)"),
        (b"<html><title>Sign in</title></html>", "unknown", "/v1/models is a web page: only a probe tells"),
        (b'{"status": "ok"}', "unknown", "/v1/models is not there: only a probe tells"),
        (b"OK", "unknown", "/v1/models is not there: only a probe tells"),
    ],
)
def test_a_key_is_taken_where_there_is_a_list_of_models_and_not_by_whatever_stands_under_200(monkeypatch, body, key, said):
    monkeypatch.setenv("A_KEY", "sk-fake-0123456789")

    async def main():
        async with server.serving(server.keeps(server.http(body))) as endpoint:
            tables = {"endpoint": f"http://127.0.0.1:{endpoint.port}/v1", "api_key_env": "A_KEY", "model": "qwen-plus"}
            job = Job.model_validate({"job": {"input": "in.jsonl"}, "workspaces": {"legal": tables}})
            return await examine(job, probe=False, dotenv=None)

    (alone,) = anyio.run(main)
    (finding,) = (each for each in alone.findings if each.check == "key")
    assert finding.state.value == key
    assert said in finding.said


def test_where_there_is_no_list_of_models_a_probe_tells_of_key_and_model(monkeypatch):
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-fake-0123456789")

    async def fault(_reader, writer):
        asked = seen[0].requests[-1].startswith(b"POST")
        writer.write(server.http() if asked else server.http(b"not found", status="404 Not Found"))
        await writer.drain()

    seen: list[server.Server] = []

    async def main():
        async with server.serving(fault) as endpoint:
            seen.append(endpoint)
            defaults = {"endpoint": f"http://127.0.0.1:{endpoint.port}/v1", "model": "qwen-plus"}
            job = Job.model_validate({"job": {"input": "in.jsonl"}, "defaults": defaults})
            return await examine(job, probe=True, dotenv=None)

    (alone,) = anyio.run(main)
    assert states(alone) == [("endpoint", None, "ok"), ("key", None, "unknown"), ("model", "qwen-plus", "ok")]
    assert alone.spent_tokens > 0


def test_a_model_to_which_no_way_leads_is_not_probed(monkeypatch):
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-fake-0123456789")

    async def main():
        async with server.serving(server.keeps(server.http(b'{"object": "list", "data": []}'))) as endpoint:
            defaults = {"endpoint": f"http://127.0.0.1:{endpoint.port}/v1", "model": "qwen-audio-turbo"}
            job = Job.model_validate({"job": {"input": "in.jsonl"}, "defaults": defaults})
            return await examine(job, probe=True, dotenv=None), [request.split(b" ")[0] for request in endpoint.requests]

    (alone,), methods = anyio.run(main)
    assert states(alone)[2:] == [("model", "qwen-audio-turbo", "wrong")]
    assert (alone.spent_tokens, {*methods}) == (0, {b"GET"})


PERMITTED, QUOTAS = "permissions", "limits"
SOME = [dict[str, object](model=name) for name in ("qwen-plus", *(f"other-{number}" for number in range(199)))]
OF_A_QUOTA: dict[str, object] = {"model": "qwen-max", "model_limit": {"request_limit": 60, "request_limit_period": 60}}


def management(*pages: bytes, of: str):
    """An endpoint of which one management route gives these *pages*, one after the other, and the other one is empty."""
    answers = iter(pages)

    async def fault(_reader, writer):
        asked = seen[0].requests[-1].split(b" ")[1].decode()
        if asked.endswith("/compatible-mode/v1/models"):
            writer.write(server.http(b'{"data": []}'))
        elif f"/models/{of}?" in asked:
            writer.write(next(answers))
        else:
            writer.write(server.http(page({PERMITTED: QUOTAS, QUOTAS: PERMITTED}[of], [])))
        await writer.drain()

    seen: list[server.Server] = []
    return fault, seen


def page(of: str, some: list[dict[str, object]], total: int = 0) -> bytes:
    return json.dumps({"output": {"total": total, {PERMITTED: "permissions", QUOTAS: "quotas"}[of]: some}}).encode()


def examined_at(monkeypatch, *pages: bytes, of: str):
    monkeypatch.setenv("A_KEY", "sk-fake-0123456789")
    fault, seen = management(*pages, of=of)

    async def main():
        async with server.serving(fault) as endpoint:
            seen.append(endpoint)
            legal = {"endpoint": f"http://127.0.0.1:{endpoint.port}/compatible-mode/v1", "api_key_env": "A_KEY"}
            tables = {"legal": legal | {"models": ["qwen-plus", "qwen-max"], "deployments": ["tone-v3"], "model": "qwen-plus"}}
            return await examine(Job.model_validate({"job": {"input": "in.jsonl"}, "workspaces": tables}), probe=False, dotenv=None)

    (alone,) = anyio.run(main)
    return alone


LOST = [
    (server.http(b'{"code": "InternalError", "message": "Try again."}', status="500 Oh"), "500 InternalError: Try again."),
    (server.http(b'{"output": {"total": 400}}'), "it is no such list"),
]


@pytest.mark.parametrize(("lost", "why"), LOST)
def test_a_model_that_may_stand_on_a_page_that_was_not_read_is_not_told_to_be_without_a_grant(monkeypatch, lost, why):
    found = examined_at(monkeypatch, server.http(page(PERMITTED, SOME, 201)), lost, of=PERMITTED)
    assert states(found)[2:] == [("model", "qwen-plus", "ok"), ("model", "qwen-max", "unknown"), ("model", "tone-v3", "ok")]
    unknown = found.findings[3]
    assert unknown.said == f"not among what is known to be authorised, and page 2 of that list could not be read: {why}"
    assert unknown.advice == "run doctor again, or with --probe"
    assert not found.wrong


def test_a_model_on_the_second_page_is_authorised_and_one_on_none_of_them_is_not(monkeypatch):
    second = server.http(page(PERMITTED, [{"model": "qwen-max"}], 201))
    found = examined_at(monkeypatch, server.http(page(PERMITTED, SOME, 201)), second, of=PERMITTED)
    assert states(found)[2:] == [(*each, "ok") for each in (("model", "qwen-plus"), ("model", "qwen-max"), ("model", "tone-v3"))]
    found = examined_at(monkeypatch, server.http(page(PERMITTED, SOME, 200)), of=PERMITTED)
    assert states(found)[3] == ("model", "qwen-max", "wrong")


def test_an_endpoint_without_such_lists_says_nothing_of_their_pages(monkeypatch):
    found = examined_at(monkeypatch, server.http(b"", status="404 No"), of=PERMITTED)
    assert found.findings[2].said == "not in the region's list; whether it is authorised only a probe tells"
    found = examined_at(monkeypatch, server.http(b"", status="404 No"), of=QUOTAS)
    assert "quota" not in {each.check for each in found.findings}


def test_of_a_list_of_grants_without_an_end_it_is_told_that_not_all_was_read(monkeypatch):
    found = examined_at(monkeypatch, *[server.http(page(PERMITTED, SOME, 10**6))] * 20, of=PERMITTED)
    assert found.findings[3].said.endswith("more than 20 pages of that list are not read")


def test_quotas_on_a_page_that_was_not_read_are_told_to_be_missing(monkeypatch):
    first = server.http(page(QUOTAS, [OF_A_QUOTA], 201))
    found = examined_at(monkeypatch, first, LOST[0][0], of=QUOTAS)
    assert [each.said for each in found.findings if each.check == "quota"] == [
        "account: 60 requests a minute", f"there may be more: page 2 of that list could not be read: {LOST[0][1]}"
    ]  # fmt: skip
    found = examined_at(monkeypatch, first, server.http(page(QUOTAS, [OF_A_QUOTA], 201)), of=QUOTAS)
    assert [each.said for each in found.findings if each.check == "quota"] == ["account: 60 requests a minute"] * 2


def test_a_redirect_is_a_mistake_of_the_endpoint_and_tells_nothing_of_the_key():
    moved = refusal(307, {"location": "https://llm.example/v2/models?token=1"}, b"")
    (endpoint,) = of_refused_list(moved, "http://llm.example/v2")
    assert (endpoint.check, endpoint.state.value) == ("endpoint", "wrong")
    where = "https://llm.example/v2/models (called: http://llm.example/v2/models)"
    assert endpoint.said == f"the endpoint answered 307 with a redirect to {where}"
    assert endpoint.advice.startswith("put the URL that really answers")


def test_a_probe_that_is_throttled_or_refused_for_its_words_still_proves_the_authorisation():
    way = route(endpoint_of("public", {}), None, "qwen-plus")
    assert isinstance(way, Route)
    for fault, code in ((Fault.THROTTLED, "limit_requests"), (Fault.REJECT, "invalid_parameter_error")):
        failure = Failure(fault, Scope.LANE, code, "no", "", status=429)
        assert of_probe("qwen-plus", way, failure, tuned=False).state == "ok"


def test_the_command_prints_a_table_or_json_and_its_exit_code_says_whether_a_run_would_park(tmp_path):
    job = tmp_path / "j.toml"
    text = '[job]\ninput = "in.jsonl"\n[defaults]\nendpoint = "simulator"\nmodel = "qwen-plus"\n[workspaces."法务部"]\n[workspaces.hr]\n'
    job.write_text(text + '[simulator.workspaces.hr]\nmodels = ["qwen-max"]\n', encoding="utf-8")
    table, told = (CliRunner().invoke(doctor, [str(job), *flags]) for flags in ([], ["--json"]))
    assert (table.exit_code, told.exit_code) == (4, 4)
    assert "1 of 2 workspaces ready" in table.stdout
    assert "  - workspace hr: authorise qwen-plus" in table.stdout
    parsed = json.loads(told.stdout)
    assert [each["workspace"] for each in parsed["workspaces"]] == ["法务部", "hr"]
    assert parsed["to_ask_for"] == ["workspace hr: authorise qwen-plus"]


def test_the_table_lines_up_under_chinese_names():
    found = examined({"workspaces": {"法务部": {}, "hr": {}}})
    lines = diagnosis([*found.values()]).splitlines()
    assert lines[0].index("ok") + 3 == lines[3].index("ok")  # three wide characters take six columns
