"""Calling the pure service: floors, error bodies, the bill, chance, and bytes that mean nothing."""

from __future__ import annotations

import math
import statistics

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from batchrun.simulator.scenario import (
    STREAM_MISHAPS,
    Latency,
    Mishap,
    PlannedFault,
    Scenario,
    SimulatedWorkspace,
    SimulatorSettings,
    WorkspaceSettings,
)
from batchrun.simulator.service import Call, Plan, Service, Wire
from tests.simulator.fixtures import CHAT, LEGAL, MARKETING, NOW, answered, chat, scenario

HELP = "https://help.aliyun.com/zh/model-studio/error-code"
BODIES = {
    "wrong key": (
        chat(key="sk-fake-other"),
        None,
        401,
        '{"error":{"message":"Incorrect API key provided. For details, see: ' + HELP + '#apikey-error","type":"invalid_request_error",'
        '"param":null,"code":"invalid_api_key"},"request_id":"RID"}',
    ),
    "unauthorised model": (
        chat(key=LEGAL, model="qwen-max"),
        None,
        403,
        (
            '{"error":{"code":"Model.AccessDenied","param":null,"message":"Model access denied.","type":"Model.AccessDenied"},'
            '"id":"chatcmpl-RID","request_id":"RID"}'
        ),
    ),
    "unknown model": (
        chat(model="xxx"),
        None,
        404,
        (
            '{"error":{"message":"The model `xxx` does not exist or you do not have access to it.","type":"invalid_request_error",'
            '"param":null,"code":"model_not_found"},"request_id":"RID"}'
        ),
    ),
    "native-only model": (
        chat(model="qwen-audio-turbo"),
        None,
        404,
        (
            '{"error":{"message":"Unsupported model `qwen-audio-turbo` for OpenAI compatibility mode.","type":"invalid_request_error",'
            '"param":null,"code":"model_not_supported"},"request_id":"RID"}'
        ),
    ),
    "throttle": (
        chat(),
        Mishap.THROTTLE,
        429,
        (
            '{"error":{"message":"You exceeded your current requests list.","type":"limit_requests","param":null,"code":"limit_requests"},'
            '"request_id":"RID"}'
        ),
    ),
    "token quota": (
        chat(),
        Mishap.TOKEN_QUOTA,
        429,
        '{"error":{"message":"You exceeded your current quota, please check your plan and billing details. For details, see: '
        + HELP
        + '#token-limit","type":"insufficient_quota","param":null,"code":"insufficient_quota"},"request_id":"RID"}',
    ),
    "inspection": (
        chat(),
        Mishap.INSPECTION,
        400,
        (
            '{"error":{"code":"data_inspection_failed","param":null,"message":"Input data may contain inappropriate content.",'
            '"type":"data_inspection_failed"},"id":"chatcmpl-RID","request_id":"RID"}'
        ),
    ),
    "free tier": (
        chat(),
        Mishap.FREE_TIER,
        403,
        (
            '{"error":{"message":"The free tier of the model has been exhausted. If you wish to continue access the model on a paid basis, '
            'please disable the \\"use free tier only\\" mode in the management console.","type":"AllocationQuota.FreeTierOnly",'
            '"param":null,"code":"AllocationQuota.FreeTierOnly"},"id":"chatcmpl-RID","request_id":"RID"}'
        ),
    ),
    "arrearage": (
        chat(),
        Mishap.ARREARAGE,
        400,
        '{"error":{"message":"Access denied, please make sure your account is in good standing. For details, see: '
        + HELP
        + '#overdue-payment","type":"Arrearage","param":null,"code":"Arrearage"},"id":"chatcmpl-RID","request_id":"RID"}',
    ),
    "internal": (
        chat(),
        Mishap.INTERNAL,
        500,
        (
            '{"error":{"message":"An internal error has occured, please try again later or contact service support.",'
            '"type":"internal_error","param":null,"code":"internal_error"},"id":"chatcmpl-RID","request_id":"RID"}'
        ),
    ),
}


@pytest.mark.parametrize("name", BODIES)
def test_an_error_body_is_the_providers_to_the_letter(name):
    call, kind, status, body = BODIES[name]
    faults = [PlannedFault(kind=kind, every=1)] if kind else []
    plan = Service(scenario(*faults)).answer(call, NOW)
    assert plan.status == status
    assert plan.body.decode() == body.replace("RID", plan.headers["x-request-id"])
    assert plan.headers["content-type"] == "application/json"
    assert any(name.startswith("x-dashscope") for name in plan.headers) == (status != 401)
    assert "retry-after" not in plan.headers


def test_a_plain_answer_has_the_providers_shape_and_headers():
    plan = Service(scenario()).answer(chat(), NOW)
    body = orjson.loads(plan.body)
    request_id = plan.headers["x-request-id"]
    assert list(body) == ["choices", "object", "usage", "created", "system_fingerprint", "model", "id"]
    assert body["id"] == f"chatcmpl-{request_id}"
    assert body["created"] == int(NOW)
    assert list(body["choices"][0]) == ["message", "finish_reason", "index", "logprobs"]
    assert list(body["usage"]) == ["prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details"]
    assert body["usage"]["total_tokens"] == body["usage"]["prompt_tokens"] + body["usage"]["completion_tokens"]
    assert plan.headers["x-dashscope-call-gateway"] == plan.headers["x-dashscope-finished"] == "true"
    assert plan.headers["req-arrive-time"] == str(int(NOW * 1000))
    assert "set-cookie" not in plan.headers


def test_the_floors_answer_in_the_providers_order():
    """Each call has every mistake of the ones after it: the first floor's refusal is the one that shows."""
    workspaces = {
        "late": SimulatedWorkspace(api_key=SecretStr("sk-fake-late"), in_arrears=True, account="main"),
        "sibling": SimulatedWorkspace(api_key=SecretStr("sk-fake-sibling"), account="main"),
        "legal": SimulatedWorkspace(api_key=SecretStr(LEGAL), models=("qwen-plus",)),
        "misled": SimulatedWorkspace(api_key=SecretStr("sk-fake-misled"), wrong_key=True),
    }
    faults = [PlannedFault(kind=Mishap.INTERNAL, every=1), PlannedFault(kind=Mishap.THROTTLE, every=1, model="qwen-plus")]
    service = Service(scenario(*faults, workspaces=workspaces, models=("qwen-plus", "qwen-max")))
    garbage = Call("POST", CHAT, {"authorization": "Bearer sk-fake-late"}, b"{")
    legal_garbage = Call("POST", CHAT, {"authorization": f"Bearer {LEGAL}"}, b"[1]")
    calls = [
        (Call("POST", CHAT, {}, b"{"), "invalid_api_key"),
        (chat(key="sk-fake-misled", model="x"), "invalid_api_key"),
        (garbage, "Arrearage"),
        (chat(key="sk-fake-sibling", model="x"), "Arrearage"),
        (legal_garbage, "invalid_parameter_error"),
        (chat(key=LEGAL, model=None, n=9), "invalid_request_error"),
        (chat(key=LEGAL, model="x", n=9), "model_not_found"),
        (chat(key=LEGAL, model="qwen-max", n=9), "Model.AccessDenied"),
        (chat(key=LEGAL, n=9), "limit_requests"),
    ]
    assert [orjson.loads(service.answer(call, NOW).body)["error"]["code"] for call, _ in calls] == [code for _, code in calls]
    behind = Service(scenario(faults[0]))
    assert orjson.loads(behind.answer(chat(n=9), NOW).body)["error"]["message"] == "Range of n should be [1, 4]"
    assert orjson.loads(behind.answer(chat(), NOW).body)["error"]["code"] == "internal_error"
    assert service.bill()["total"]["calls"] == 0
    assert [call["code"] for call in service.calls()] == [code for _, code in calls]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"temperature": 2}, "Temperature should be in [0.0, 2.0)"),
        ({"temperature": "hot"}, "Temperature should be in [0.0, 2.0)"),
        ({"top_p": 0}, "Range of top_p should be (0.0, 1.0]"),
        ({"top_k": -1}, "Parameter top_k be greater than or equal to 0"),
        ({"presence_penalty": 2.5}, "Presence_penalty should be in [-2.0, 2.0]"),
        ({"repetition_penalty": 0}, "Repetition_penalty should be greater than 0.0"),
        ({"n": 5}, "Range of n should be [1, 4]"),
        ({"n": True}, "Range of n should be [1, 4]"),
        ({"model": "qwen-max", "max_tokens": 0}, "Range of max_tokens should be [1, 8192]"),
        ({"seed": -1}, "-1 is lesser than the minimum of 0 - 'seed'"),
        ({"messages": []}, "[] is too short - 'messages'"),
        ({"messages": None}, 'Either "prompt" or "messages" must exist and cannot both be none'),
        ({"messages": [{"role": "user"}]}, "The content field is a required field."),
        ({"messages": [{"role": "user", "content": 5}]}, "input content must be a string."),
        (
            {"response_format": {"type": "json_object"}},
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
        ),
        ({"tool_choice": "required"}, 'tool_choice is one of the strings that should be ["none", "auto"]'),
        (
            {"model": "qwq-plus"},
            "This model only support stream mode, please enable the stream parameter to access the model. ",
        ),
    ],
)
def test_a_bad_parameter_is_refused_in_the_providers_words_and_not_billed(fields, message):
    service = Service(scenario())
    plan = service.answer(chat(**fields), NOW)
    error = orjson.loads(plan.body)["error"]
    assert (plan.status, error["message"], error["type"]) == (400, message, "invalid_request_error")
    assert error["code"] == ("invalid_value" if "seed" in fields else "invalid_parameter_error")
    assert service.bill()["total"]["calls"] == 0


def test_the_same_seed_gives_the_same_answers_and_delays_however_workspaces_interleave():
    settings = scenario(
        PlannedFault(kind=Mishap.INTERNAL, rate=0.3), PlannedFault(kind=Mishap.THROTTLE, every=3), seed=7, latency=Latency(median=0.5)
    )
    calls = [chat(f"Question {number % 5}", key=key) for number in range(40) for key in (MARKETING, LEGAL)]
    by_workspace = sorted(calls, key=lambda call: call.headers["authorization"])

    def told(order: list[Call]) -> dict[str, list[Plan]]:
        service = Service(settings)
        plans: dict[str, list[Plan]] = {}
        for call in order:
            plans.setdefault(call.headers["authorization"], []).append(service.answer(call, NOW))
        return plans

    assert told(calls) == told(by_workspace)
    assert {plan.status for plan in told(calls)[f"Bearer {MARKETING}"]} == {200, 429, 500}
    ids = [plan.headers["x-request-id"] for plans in told(calls).values() for plan in plans]
    assert len(set(ids)) == len(ids)


def test_another_seed_gives_other_ids_and_delays():
    one, two = (Service(scenario(seed=seed, latency=Latency(median=0.5))).answer(chat(), NOW) for seed in (1, 2))
    assert one.headers["x-request-id"] != two.headers["x-request-id"]
    assert one.delay != two.delay


def test_delays_are_lognormal_around_the_median():
    service = Service(scenario(latency=Latency(median=2.0, sigma=0.5)))
    delays = [service.answer(chat(f"{number}"), NOW).delay for number in range(3000)]
    assert statistics.median(delays) == pytest.approx(2.0, rel=0.05)
    assert statistics.stdev(map(math.log, delays)) == pytest.approx(0.5, rel=0.08)


def test_an_answer_takes_as_long_as_it_is_and_a_refusal_does_not():
    quick, slow = (Service(scenario(latency=Latency(median=2.0, per_token=each))) for each in (0.0, 0.03))
    for number in range(20):
        call = chat(f"{number}")
        written = slow.answer(call, NOW)
        tokens = orjson.loads(written.body)["usage"]["completion_tokens"]
        assert written.delay - quick.answer(call, NOW).delay == pytest.approx(0.03 * tokens)
    call = chat(key="sk-fake-nobody")
    assert slow.answer(call, NOW).delay == quick.answer(call, NOW).delay


def test_planned_faults_strike_as_often_as_planned():
    every = Service(scenario(PlannedFault(kind=Mishap.UNAVAILABLE, every=4)))
    assert [every.answer(chat(), NOW).status for _ in range(8)] == [200, 200, 200, 503] * 2
    first = Service(scenario(PlannedFault(kind=Mishap.SERVING, first=2, workspace="legal")))
    assert [first.answer(chat(key=LEGAL), NOW).status for _ in range(4)] == [503, 503, 200, 200]
    assert first.answer(chat(), NOW).status == 200
    rate = Service(scenario(PlannedFault(kind=Mishap.BURST, rate=0.1, model="qwen-plus")))
    struck = sum(rate.answer(chat(f"{number}"), NOW).status == 429 for number in range(2000))
    assert 150 < struck < 250
    assert rate.answer(chat(model="qwen-max"), NOW).status == 200


@pytest.mark.parametrize("kind", Mishap)
def test_a_call_is_billed_exactly_when_the_model_answered(kind):
    service = Service(scenario(PlannedFault(kind=kind, every=1, code="SystemError" if kind is Mishap.ERROR else None)))
    plan = service.answer(chat(stream=kind in STREAM_MISHAPS), NOW)
    reached = kind in {"reset", "torn", "cut", "hang", "wrong_length", "slow", "no_finish", "not_json", "empty"} | STREAM_MISHAPS
    assert service.bill()["total"]["calls"] == int(reached)
    assert service.calls()[0]["billed"] is reached
    assert reached == (plan.status == 200 and kind not in {Mishap.HTML, Mishap.ERROR_IN_200})
    if plan.wire is Wire.WHOLE and plan.status == 200:
        with pytest.raises((orjson.JSONDecodeError, KeyError)):
            orjson.loads(plan.body)["choices"][0]["finish_reason"]


def test_the_bill_is_the_sum_of_the_usages_by_workspace_and_model():
    service = Service(scenario())
    calls = [
        chat(f"{number}", key=key, model=model) for number in range(9) for key, model in ((MARKETING, "qwen-max"), (LEGAL, "qwen-plus"))
    ]
    usages = [answered(service, call)["usage"] for call in calls]
    bill = service.bill()
    owed = bill["workspaces"]["marketing"]["models"]["qwen-max"]
    assert owed["calls"] == 9
    assert owed["input_tokens"] == sum(usage["prompt_tokens"] for usage in usages[::2])
    assert owed["output_tokens"] == sum(usage["completion_tokens"] for usage in usages[::2])
    assert bill["workspaces"]["legal"]["total"]["output_tokens"] == sum(usage["completion_tokens"] for usage in usages[1::2])
    assert bill["total"]["calls"] == 18


def test_an_idempotency_key_is_honoured_only_when_told():
    key = {"idempotency-key": "run-row-1"}
    honest = Service(scenario(honour_idempotency_key=True))
    first, second = (answered(honest, chat(headers=key), now) for now in (NOW, NOW + 60))
    assert first == second
    other = answered(honest, chat("Another body", headers=key))
    answered(honest, chat(key=LEGAL, headers=key))
    assert other["id"] != first["id"]
    assert honest.bill()["total"]["calls"] == 3
    assert [call["code"] for call in honest.calls()] == ["", "repeated", "", ""]
    assert [call["billed"] for call in honest.calls()] == [True, False, True, True]
    real = Service(scenario())
    assert answered(real, chat(headers=key))["id"] != answered(real, chat(headers=key))["id"]
    assert real.bill()["total"]["calls"] == 2


def test_a_repeated_long_system_message_is_served_from_the_cache_of_its_own_workspace_and_model():
    service = Service(scenario())
    messages = [{"role": "system", "content": "You know the rules of the house by heart. " * 150}, {"role": "user", "content": "Hello"}]

    def cached(key: str, model: str = "qwen-plus") -> int:
        tokens: int = answered(service, chat(key=key, model=model, messages=messages))["usage"]["prompt_tokens_details"]["cached_tokens"]
        return tokens

    assert [cached(MARKETING), cached(LEGAL), cached(MARKETING, "qwen-max")] == [0, 0, 0]
    assert cached(MARKETING) == 1536
    assert service.bill()["total"]["cached_tokens"] == 1536


def test_the_journal_keeps_the_latest_calls_only_and_numbers_them_all():
    service = Service(scenario(journal=3))
    for number in range(5):
        service.answer(chat(f"{number}"), NOW)
    assert [call["seq"] for call in service.calls()] == [3, 4, 5]
    assert service.bill()["total"]["calls"] == 5


def test_settings_become_a_scenario_by_adding_keys_and_keep_what_they_say_of_a_workspace():
    settings = SimulatorSettings(
        seed=3,
        workspaces={
            "legal": WorkspaceSettings(wrong_key=True),
            "sales": WorkspaceSettings(models=("qwen-max",)),
            "gone": WorkspaceSettings(),
        },
    )
    whole = settings.scenario({name: SecretStr(f"sk-fake-{name}") for name in ("legal", "sales", "hr")}, {"hr": "main"})
    assert set(whole.workspaces) == {"legal", "sales", "hr"}
    assert (whole.seed, whole.workspaces["hr"].account) == (3, "main")
    service = Service(whole.model_copy(update={"latency": Latency(median=0)}))
    assert [service.answer(chat(key=f"sk-fake-{name}"), NOW).status for name in ("legal", "sales", "hr")] == [401, 403, 200]


def test_with_open_keys_the_key_names_its_workspace():
    service = Service(Scenario(open_keys=True, latency=Latency(median=0)))
    assert service.answer(chat(key="sk-sim-marketing"), NOW).status == 200
    assert [service.answer(chat(key=key), NOW).status for key in ("sk-sim-", "sk-other", "")] == [401, 401, 401]
    assert list(service.bill()["workspaces"]) == ["marketing"]


@pytest.mark.parametrize(
    "fault", [{"kind": "reset"}, {"kind": "reset", "rate": 0.5, "every": 2}, {"kind": "reset", "rate": 0}, {"kind": "x", "first": 1}]
)
def test_a_planned_fault_without_exactly_one_sound_measure_is_refused(fault):
    with pytest.raises(ValueError, match="PlannedFault"):
        PlannedFault.model_validate(fault)


def test_no_key_shows_in_a_repr_or_a_validation_error():
    workspaces = {name: {"api_key": "sk-fake-secret"} for name in ("one", "two")}
    with pytest.raises(ValueError, match="the workspaces one and two have the same api_key") as caught:
        Scenario.model_validate({"workspaces": workspaces})
    assert "sk-fake" not in str(caught.value) + repr(scenario()) + repr(chat()) + repr(vars(Service(scenario())))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
NAMES = ["messages", "n", "seed", "stream", "stream_options", "temperature", "max_tokens", "max_completion_tokens", "tools", "tool_choice"]
NAMES += ["response_format", "translation_options", "enable_thinking", "top_p"]
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "system", "assistant"])}, optional={"content": st.text() | JSON}), max_size=3
)
SHAPED = {
    "messages": MESSAGES,
    "max_tokens": st.integers(1, 40),
    "max_completion_tokens": st.integers(1, 40),
    "n": st.integers(1, 4),
    "stream": st.booleans(),
    "enable_thinking": st.booleans(),
    "response_format": st.just({"type": "json_object"})
    | st.builds(lambda inner: {"type": "json_schema", "json_schema": {"schema": {"properties": {"a": inner}}}}, JSON),
    "tools": st.lists(st.builds(lambda inner: {"function": {"name": "f", "parameters": {"properties": {"x": inner}}}}, JSON), max_size=2),
    "tool_choice": st.just({"type": "function", "function": {"name": "f"}}),
}
FIELDS = st.fixed_dictionaries({}, optional={name: SHAPED[name] | JSON if name in SHAPED else JSON for name in NAMES})


@given(
    method=st.sampled_from(["POST", "GET", "\0"]),
    path=st.sampled_from([CHAT, CHAT + "?x", "/compatible-mode/v1/models", "/"]) | st.text(),
    body=st.binary(),
)
def test_any_bytes_get_a_plan(method, path, body):
    plan = Service(scenario()).answer(Call(method, path, {"authorization": f"Bearer {MARKETING}"}, body), NOW)
    assert isinstance(plan, Plan)


@given(fields=FIELDS, authorization=st.just(f"Bearer {MARKETING}") | st.text())
def test_any_json_gets_a_plan_whose_usage_is_the_bill(fields, authorization):
    body = {"model": "qwen-plus", **fields}
    service = Service(scenario())
    try:
        raw = orjson.dumps(body)
    except (TypeError, orjson.JSONEncodeError):
        return
    plan = service.answer(Call("POST", CHAT, {"authorization": authorization}, raw), NOW)
    billed = service.bill()["total"]
    assert billed["calls"] == (plan.status == 200)
    if plan.status == 200 and body.get("stream") is not True:
        usage = orjson.loads(plan.body)["usage"]
        assert (usage["prompt_tokens"], usage["completion_tokens"]) == (billed["input_tokens"], billed["output_tokens"])
        assert usage["completion_tokens"] > 0
