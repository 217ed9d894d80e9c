from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from batchrun.core.model import Failure, Fault, Reply, Scope
from batchrun.core.protocols import reading
from batchrun.core.protocols.failures import TABLE
from batchrun.core.protocols.formats import FORMATS
from tests.core.protocols import recorded
from tests.core.protocols.recorded import CASES, ERRORS, EVENT_STREAM, ID, MULTIMODAL, NATIVE, OPENAI, PROTOCOLS, TEXT, WRITTEN, Answer
from tests.core.protocols.recorded import Refusal as Wanted

SAID = ". For details, see: https://help.aliyun.com/zh/model-studio/error-code#"
ANCHORS = ["apikey-error", "rate-limit", "token-limit", "overdue-payment", "inappropriate-content", "error-url"]


def read(protocol, body, status=200, headers=None, asked=None):
    body = body if isinstance(body, bytes) else orjson.dumps(body)
    return reading.read(FORMATS[protocol].dialect, asked or {}, status, headers or {}, body)


def failure(protocol, body, status=200, headers=None):
    got = read(protocol, body, status, headers)
    assert isinstance(got, Failure), got
    return got


def verdict(got):
    return (got.fault, got.scope, got.code, got.status)


def check(got, wanted):
    match wanted:
        case Answer():
            assert isinstance(got, Reply), got
            usage = got.usage and replace(got.usage, raw=None)
            assert wanted == Answer(got.content, got.finish_reason, usage, got.request_id, got.reasoning, got.tool_calls)
        case Wanted():
            assert isinstance(got, Failure), got
            assert (*verdict(got), got.in_doubt, got.request_id) == (*wanted[:5], wanted.request_id)
            assert wanted.message in {None, got.message}
            assert got.advice


@pytest.mark.parametrize(("kind", "protocol"), sorted({(case.kind, case.protocol) for case in CASES}))
def test_what_was_recorded_is_read_as_what_it_is(kind, protocol):
    for case in CASES:
        if (case.kind, case.protocol) == (kind, protocol):
            try:
                check(read(protocol, case.body, case.status, case.headers, case.asked), case.wanted)
            except AssertionError as error:
                error.add_note(case.id)
                raise


@pytest.mark.parametrize("case", [case for case in WRITTEN if case.kind == "usage"], ids=lambda case: case.id)
def test_the_provider_s_own_usage_object_is_kept_whole(case):
    got = read(case.protocol, case.body)
    assert got.usage.raw == orjson.loads(case.body)["usage"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_error_of_either_route_is_known_on_every_route(protocol):
    for case in CASES:
        if isinstance(case.wanted, Wanted) and case.kind == "error table":
            check(read(protocol, case.body, case.status, case.headers), case.wanted)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("label", ["application/json", "text/event-stream;charset=UTF-8", "text/html", None])
def test_the_content_type_decides_nothing(protocol, label):
    headers = {"content-type": label} if label else {}
    for case in WRITTEN:
        if case.protocol == protocol:
            check(read(protocol, case.body, case.status, {**case.headers, **headers}, case.asked), case.wanted)


def test_every_code_of_the_table_is_among_the_recorded():
    recorded_codes = {code.lower() for line in ERRORS for code in line.codes}
    assert recorded_codes >= {code.lower() for line in TABLE for code in line.codes}


# The traps, by name


@pytest.mark.parametrize("shape", recorded.SHAPES)
def test_insufficient_quota_under_429_passes(shape):
    body = recorded.refused(shape, "insufficient_quota", "insufficient_quota", "You exceeded your current quota, please check your plan")
    assert verdict(failure(OPENAI, body, 429)) == (Fault.THROTTLED, Scope.LANE, "insufficient_quota", 429)


@pytest.mark.parametrize("shape", recorded.SHAPES)
def test_insufficient_quota_under_403_parks(shape):
    body = recorded.refused(shape, "insufficient_quota", "insufficient_quota", "You exceeded your current quota, please check your plan")
    assert verdict(failure(OPENAI, body, 403)) == (Fault.PARK, Scope.LANE, "insufficient_quota", 403)


def test_insufficient_quota_in_a_stream_goes_by_the_status_of_its_frame():
    body = recorded.refused_natively("insufficient_quota", "m")
    assert failure(OPENAI, recorded.error_frame(body, 403)).fault is Fault.PARK
    assert failure(OPENAI, recorded.error_frame(body, 429)).fault is Fault.THROTTLED


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_arrearage_under_400_parks_the_account(protocol):
    for body in (recorded.refused("B", "Arrearage", "Arrearage", "m"), recorded.refused_natively("Arrearage", "m")):
        assert verdict(failure(protocol, body, 400)) == (Fault.PARK, Scope.ACCOUNT, "Arrearage", 400)


def test_a_native_429_in_a_stream_of_the_compatible_route_under_200_is_a_throttle_and_not_billed():
    body = recorded.error_frame(recorded.refused_natively("Throttling.AllocationQuota", "Allocated quota exceeded."), 429)
    got = failure(OPENAI, body, 200, EVENT_STREAM)
    assert (*verdict(got), got.in_doubt) == (Fault.THROTTLED, Scope.LANE, "Throttling.AllocationQuota", 429, False)


def test_the_same_429_after_half_an_answer_may_have_been_billed():
    start = recorded.events([recorded.chunk({"content": "半"})], done=False)[0]
    got = failure(OPENAI, start + recorded.error_frame(recorded.refused_natively("Throttling.AllocationQuota", "m"), 429))
    assert (got.fault, got.in_doubt) == (Fault.THROTTLED, True)


@pytest.mark.parametrize("message", ["", *(SAID + anchor for anchor in ANCHORS), *(line.message for line in ERRORS)])
def test_no_message_changes_what_an_error_is(message):
    for line in ERRORS:
        for code in line.codes:
            got = failure(TEXT, recorded.refused_natively(code, message), line.status)
            assert (*verdict(got), got.in_doubt) == (line.fault, line.scope, code, line.status, line.in_doubt)


def test_an_error_event_as_the_body_of_a_400_is_the_error_it_says():
    body = recorded.error_event(recorded.refused("A", "Arrearage", "Arrearage", "m"))
    assert verdict(failure(OPENAI, body, 400, {"content-type": "application/json"})) == (Fault.PARK, Scope.ACCOUNT, "Arrearage", 400)


@pytest.mark.parametrize("protocol", NATIVE)
def test_native_events_called_json_under_400_are_the_error_they_say(protocol):
    body = recorded.error_frame(recorded.refused_natively("DataInspectionFailed", "m"), 400)
    got = failure(protocol, body, 400, {"content-type": "application/json"})
    assert (*verdict(got), got.message, got.request_id) == (Fault.REJECT, Scope.ROW, "DataInspectionFailed", 400, "m", ID)


def test_every_error_that_the_page_on_sub_workspaces_lists_is_what_the_page_says():
    """The page's two errors of a missing key are made before any call: tests/edge/test_environment.py, and test_missing_key.py here."""
    listed = [
        (TEXT, 400, recorded.refused_natively("InvalidParameter", "Model not exist."), Fault.REJECT, Scope.ROW),
        (TEXT, 401, recorded.refused_natively("InvalidApiKey", "Invalid API-key provided."), Fault.PARK, Scope.WORKSPACE),
        (
            OPENAI,
            401,
            recorded.refused("A", "invalid_api_key", "invalid_request_error", "Incorrect API key provided."),
            Fault.PARK,
            Scope.WORKSPACE,
        ),
        (TEXT, 403, recorded.refused_natively("Model.AccessDenied", "Model access denied."), Fault.PARK, Scope.LANE),
        (OPENAI, 403, recorded.refused("B", "Model.AccessDenied", "Model.AccessDenied", "Model access denied."), Fault.PARK, Scope.LANE),
        (TEXT, 404, recorded.refused_natively("ModelNotFound", "Model can not be found."), Fault.PARK, Scope.LANE),
        (
            OPENAI,
            404,
            recorded.refused(
                "A", "model_not_found", "invalid_request_error", "The model xx does not exist or you do not have access to it."
            ),
            Fault.PARK,
            Scope.LANE,
        ),
        (MULTIMODAL, 403, recorded.refused_natively("NoPermission", "Action: sfm:CreateSession"), Fault.PARK, Scope.WORKSPACE),
        # RAM's own word, by the gateway of all its services.
        (TEXT, 400, {"Code": "NoPermission", "Message": "Action: sfm:CreateSession", "RequestId": ID}, Fault.PARK, Scope.WORKSPACE),
    ]
    advice = {}
    for protocol, status, body, fault, scope in listed:
        got = failure(protocol, body, status)
        assert (got.fault, got.scope, got.status) == (fault, scope, status)
        advice[got.code] = got.advice
    assert "api_key_env" in advice["InvalidApiKey"] == advice["invalid_api_key"]
    assert "authorise this model for the workspace" in advice["Model.AccessDenied"]
    assert "correct model" in advice["ModelNotFound"] == advice["model_not_found"]
    assert "RAM user" in advice["NoPermission"]


def test_a_model_that_was_taken_offline_stops_its_own_rows_alone_whatever_the_refusal_calls_itself():
    """The error page of autumn 2026 names it as the likely cause of what reads like the workspace's matter."""
    body = recorded.refused("B", "Endpoint.AccessDenied", "Endpoint.AccessDenied", "Workspace endpoint access denied.")
    got = failure(OPENAI, body, 403)
    assert (got.fault, got.scope) == (Fault.PARK, Scope.LANE)
    assert "taken this one offline" in got.advice
    assert "api_key_env" in got.advice


@pytest.mark.parametrize("code", ["CommodityNotPurchased", "PrepaidBillOverdue"])
def test_a_workspace_without_a_subscription_stops_no_other_of_its_account(code):
    """The error page says of both that it is the workspace's."""
    got = failure(TEXT, recorded.refused_natively(code, "m"), 429)
    assert (got.fault, got.scope) == (Fault.PARK, Scope.WORKSPACE)
    assert "for this workspace" in got.advice


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("header", "seconds"), [("3", 3.0), ("0.5", 0.5), ("99999999999", 600.0), ("-1", None), ("Fri, 31 Dec 2099 23:59:59 GMT", None)]
)
def test_a_wait_that_a_gateway_names_is_kept(protocol, header, seconds):
    """The provider itself names none in any recorded answer."""
    for name in ("Retry-After", "retry-after"):
        assert failure(protocol, b"slow down", 429, {name: header}).retry_after == seconds


ODD = "a\u2028b\u0085c\x00d\r\ne\tf\x1b[31m\U0001f600\ufffd[DONE]\n\ndata: {}"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_letter_of_an_answer_is_kept_and_none_breaks_a_line_or_a_stream(protocol):
    message = {"role": "assistant", "content": ODD, "reasoning_content": ODD}
    if protocol == OPENAI:
        bodies = [orjson.dumps(recorded.compat(message)), b"".join(recorded.events([recorded.chunk(message), recorded.chunk({}, "stop")]))]
    else:
        bodies = [orjson.dumps(recorded.native(message)), b"".join(recorded.frames([recorded.frame(message, "stop")]))]
    for body in bodies:
        got = read(protocol, body)
        assert (got.content, got.reasoning) == (ODD, ODD)
        assert got.body.count(b"\n") == got.body.count(b"\r") == 0


STATUS_DECIDES = {"insufficient_quota", "invalid_request_error", "NotFound"}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_in_a_stream_that_names_no_status_the_code_alone_decides(protocol):
    for line in ERRORS:
        for code in set(line.codes) - STATUS_DECIDES:
            for body in (recorded.refused("A", code, line.kind or code, "m"), recorded.refused_natively(code, "m")):
                got = failure(protocol, recorded.error_event(body))
                assert (*verdict(got), got.in_doubt) == (line.fault, line.scope, code, 200, line.in_doubt)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_code_that_needs_its_status_stops_nothing_in_a_stream_that_names_none(protocol):
    faults = {code: failure(protocol, recorded.error_event(recorded.refused_natively(code, "m"))).fault for code in STATUS_DECIDES}
    assert faults == {"insufficient_quota": Fault.THROTTLED, "invalid_request_error": Fault.AGAIN, "NotFound": Fault.AGAIN}
