"""Every error that a chat can meet, made by naming its code; and bytes that mean nothing, on every route."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchrun.simulator.plan import Plan
from batchrun.simulator.scenario import Mishap, PlannedFault
from batchrun.simulator.service import Call, Service
from tests.simulator.fixtures import CHAT, MARKETING, MULTIMODAL, NOW, TEXT, chat, native, scenario

# status, the compatible code, the native one
CODES = [
    (400, "invalid_parameter_error", "InvalidParameter"),
    (400, "invalid_request_error", "BadRequest.EmptyModel"),
    (400, "invalid_value", "InvalidParameter"),
    (400, "InvalidParameter.NotSupportEnableThinking", "InvalidParameter.NotSupportEnableThinking"),
    (400, "InvalidURL", "InvalidURL"),
    (400, "data_inspection_failed", "DataInspectionFailed"),
    (400, "Arrearage", "Arrearage"),
    (400, "UnsupportedOperation", "UnsupportedOperation"),
    (400, "CustomRoleBlocked", "CustomRoleBlocked"),
    (400, "FaqRuleBlocked", "FaqRuleBlocked"),
    (400, "IPInfringementSuspect", "IPInfringementSuspect"),
    (400, "BadRequest.EmptyInput", "BadRequest.EmptyInput"),
    (400, "BadRequest.EmptyParameters", "BadRequest.EmptyParameters"),
    (400, "BadRequest.IllegalInput", "BadRequest.IllegalInput"),
    (401, "invalid_api_key", "InvalidApiKey"),
    (401, "NOT AUTHORIZED", "NOT AUTHORIZED"),
    (403, "Model.AccessDenied", "Model.AccessDenied"),
    (403, "Workspace.AccessDenied", "Workspace.AccessDenied"),
    (403, "Endpoint.AccessDenied", "Endpoint.AccessDenied"),
    (403, "App.AccessDenied", "App.AccessDenied"),
    (403, "access_denied", "AccessDenied"),
    (403, "AccessDenied.Unpurchased", "AccessDenied.Unpurchased"),
    (403, "AllocationQuota.FreeTierOnly", "AllocationQuota.FreeTierOnly"),
    (403, "NoPermission", "NoPermission"),
    (404, "model_not_found", "ModelNotFound"),
    (404, "model_not_supported", "model_not_supported"),
    (404, "WorkSpaceNotFound", "WorkSpaceNotFound"),
    (404, "NotFound", "NotFound"),
    (408, "RequestTimeOut", "RequestTimeOut"),
    (409, "Conflict", "Conflict"),
    (413, "BadRequest.TooLarge", "BadRequest.TooLarge"),
    (429, "Throttling", "Throttling"),
    (429, "limit_requests", "Throttling.RateQuota"),
    (429, "LimitRequests", "LimitRequests"),
    (429, "limit_burst_rate", "Throttling.BurstRate"),
    (429, "insufficient_quota", "Throttling.AllocationQuota"),
    (429, "Throttling.ResourceExhausted", "Throttling.ResourceExhausted"),
    (429, "Throttling.Concurrency", "Throttling.Concurrency"),
    (429, "Throttling.ServiceOverloaded", "Throttling.ServiceOverloaded"),
    (429, "CommodityNotPurchased", "CommodityNotPurchased"),
    (429, "PrepaidBillOverdue", "PrepaidBillOverdue"),
    (429, "PostpaidBillOverdue", "PostpaidBillOverdue"),
    (429, "BudgetLimitExceeded", "BudgetLimitExceeded"),
    (500, "internal_error", "InternalError"),
    (500, "internal_server_error", "InternalError.Algo"),
    (500, "InternalError.Timeout", "InternalError.Timeout"),
    (500, "SystemError", "SystemError"),
    (500, "ModelServiceFailed", "ModelServiceFailed"),
    (503, "ModelServingError", "ModelServingError"),
    (503, "ModelUnavailable", "ModelUnavailable"),
]


def planned(code: str, **fields: Any) -> Service:
    return Service(scenario(PlannedFault(kind=Mishap.ERROR, every=1, code=code, **fields)))


@pytest.mark.parametrize(("status", "compat_code", "native_code"), CODES)
def test_every_error_can_be_had_by_either_of_its_codes_and_comes_in_both_dialects(status, compat_code, native_code):
    names = {compat_code} if native_code == "InvalidParameter" else {compat_code, native_code}
    for name in names:
        service = planned(name)
        compat, own = service.answer(chat(), NOW), service.answer(native(), NOW)
        assert (compat.status, own.status) == (status, status)
        error, told = orjson.loads(compat.body)["error"], orjson.loads(own.body)
        assert (error["code"], told["code"]) == (compat_code, native_code)
        assert error["message"]
        assert list(told) == ["code", "message", "request_id"]
        assert told["message"]
        assert service.bill()["total"]["calls"] == 0


def test_a_named_error_may_have_another_status_message_and_shape():
    fields: dict[str, Any] = {"status": 403, "message": "Free quota exhausted."}
    bodies = {}
    for shape in ("A", "B", "C"):
        plan = planned("insufficient_quota", shape=shape, **fields).answer(chat(), NOW)
        assert plan.status == 403
        bodies[shape] = plan.body.decode().replace(plan.headers["x-request-id"], "RID")
    error = '"message":"Free quota exhausted.","type":"insufficient_quota","param":null,"code":"insufficient_quota"'
    assert bodies["A"] == f'{{"error":{{{error}}},"request_id":"RID"}}'
    assert bodies["B"] == f'{{"error":{{{error}}},"id":"chatcmpl-RID","request_id":"RID"}}'
    assert bodies["C"] == (
        '{"error":{"message":"Free quota exhausted.","id":"RID","type":"insufficient_quota","code":"insufficient_quota"}}'
    )
    assert b"month allocated" in planned("Throttling.AllocationQuota", message="month allocated quota exceeded").answer(native(), NOW).body
    assert planned("Brand.New", status=502).answer(native(), NOW).status == 502


def test_a_planned_429_stands_before_the_parameters_and_any_other_error_after():
    assert planned("Throttling").answer(chat(n=9), NOW).status == 429
    assert planned("SystemError").answer(chat(n=9), NOW).status == 400


@pytest.mark.parametrize("fault", [{"kind": "error"}, {"kind": "internal", "code": "x"}, {"kind": "error", "code": "x", "status": 200}])
def test_a_named_error_that_cannot_be_is_refused(fault):
    with pytest.raises(ValueError, match="PlannedFault"):
        PlannedFault.model_validate({"every": 1, **fault})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
PARTS = st.fixed_dictionaries(
    {},
    optional={
        "text": st.text() | JSON,
        "image": st.text() | JSON,
        "video": st.lists(st.text(), max_size=2) | JSON,
        "audio": JSON,
        "image_url": st.fixed_dictionaries({"url": st.just("https://x") | JSON}),
        "cache_control": st.just({"type": "ephemeral"}) | JSON,
    },
)
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "system", "tool"])}, optional={"content": st.text() | st.lists(PARTS) | JSON}),
    max_size=3,
)
TOOLS = st.lists(
    st.fixed_dictionaries(
        {"function": st.fixed_dictionaries({"name": st.text() | JSON}, optional={"description": JSON, "parameters": JSON})}
    ),
    max_size=2,
)
PARAMETERS = st.fixed_dictionaries(
    {},
    optional={
        "result_format": st.sampled_from(["text", "message"]) | JSON,
        "incremental_output": st.booleans() | JSON,
        "enable_thinking": st.booleans() | JSON,
        "enable_search": st.booleans() | JSON,
        "modalities": st.just(["text", "audio"]) | JSON,
        "n": st.integers(1, 4) | JSON,
        "seed": st.integers(0, 2**63) | JSON,
        "max_tokens": st.integers(1, 20) | JSON,
        "tools": TOOLS | JSON,
        "tool_choice": JSON,
        "parallel_tool_calls": st.booleans() | JSON,
        "stream": st.booleans() | JSON,
        "messages": MESSAGES | JSON,
    },
)
MODELS = st.sampled_from(["qwen-plus", "qwen3-vl-plus", "qwen-vl-plus", "qwen3.6-plus", "qwq-plus", "qwen3-omni-flash", "qwen3-max"])
ROUTES = st.sampled_from([CHAT, TEXT, MULTIMODAL])
HEADERS = st.fixed_dictionaries(
    {"authorization": st.just(f"Bearer {MARKETING}") | st.text()},
    optional={"accept": st.just("text/event-stream") | st.text(), "x-dashscope-sse": st.sampled_from(["enable", "x"])},
)
FAULTS = st.none() | st.sampled_from([kind for kind in Mishap if kind not in {"empty", "not_json", "html", "redirect"}])


def sound(plan: Plan) -> None:
    """The body is JSON, or events whose data are."""
    if b"data:" not in plan.body.partition(b"{")[0]:
        orjson.loads(plan.body)
        return
    for event in plan.body.split(b"\n\n")[:-1]:
        data = event[event.index(b"data:") + 5 :].strip()
        assert data == b"[DONE]" or isinstance(orjson.loads(data), dict)


@given(path=ROUTES, headers=HEADERS, body=st.binary() | JSON.map(str).map(str.encode), method=st.sampled_from(["POST", "PUT"]))
def test_any_bytes_on_any_route_get_json_or_events(path, headers, body, method):
    sound(Service(scenario()).answer(Call(method, path, headers, body), NOW))


@example(
    path="/api/v1/services/aigc/text-generation/generation",
    headers={"authorization": f"Bearer {MARKETING}"},
    model="qwen-plus",
    parameters={"result_format": []},
    messages=[{"role": "user", "content": ""}],
    fault=None,
)
@given(path=ROUTES, headers=HEADERS, model=MODELS, parameters=PARAMETERS, messages=MESSAGES | JSON, fault=FAULTS)
def test_any_json_on_any_route_gets_json_or_events_whose_usage_is_the_bill(path, headers, model, parameters, messages, fault):
    native_body = {"model": model, "input": {"messages": messages}, "parameters": parameters}
    body = {"messages": messages, **parameters, "model": model, "stream_options": {"include_usage": True}} if path == CHAT else native_body
    try:
        raw = orjson.dumps(body)
    except (TypeError, orjson.JSONEncodeError):
        return
    faults = [] if fault is None else [PlannedFault(kind=fault, every=1, code="Any" if fault is Mishap.ERROR else None)]
    service = Service(scenario(*faults))
    plan = service.answer(Call("POST", path, headers, raw), NOW)
    sound(plan)
    usage = reported(plan)
    billed = service.bill()["total"]
    if fault is None:
        assert usage == (billed["input_tokens"], billed["output_tokens"])


def reported(plan: Plan) -> tuple[int, int]:
    """Tokens in and out by the last usage that an answer tells."""
    found = [orjson.loads(line[line.index(b"{") :]) for line in plan.body.split(b"\n") if b"{" in line]
    usages = [each["usage"] for each in found if each.get("usage")]
    if not usages:
        return (0, 0)
    last = usages[-1]
    return last.get("prompt_tokens", last.get("input_tokens")), last.get("completion_tokens", last.get("output_tokens"))


def test_a_deeply_nested_body_is_refused_or_answered_but_never_raised():
    for deep in (250, 300, 1000, 5000):
        nested = b"[" * deep + b"]" * deep
        for name in (b"tools", b"messages", b"tool_choice"):
            body = b'{"model":"qwen-plus","messages":[{"role":"user","content":"x"}],"%b":%b}' % (name, nested)
            sound(Service(scenario()).answer(Call("POST", CHAT, {"authorization": f"Bearer {MARKETING}"}, body), NOW))
