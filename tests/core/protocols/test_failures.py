from __future__ import annotations

import re

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrun.core.model import Fault, Scope
from batchrun.core.protocols.error_body import clean, refusal
from batchrun.core.protocols.failures import BY_STATUS, RETRY_AFTER_CAP, TABLE, classify, located, seconds_of
from batchrun.core.protocols.mishaps import MISHAPS

AGAIN, PARK, REJECT, THROTTLED = Fault.AGAIN, Fault.PARK, Fault.REJECT, Fault.THROTTLED
ROW, LANE, WORKSPACE, ACCOUNT = Scope.ROW, Scope.LANE, Scope.WORKSPACE, Scope.ACCOUNT

CODES = [
    (400, "InvalidParameter", REJECT, ROW),
    (400, "invalid_parameter_error", REJECT, ROW),
    (400, "invalid_request_error", REJECT, ROW),
    (400, "invalid_value", REJECT, ROW),
    (400, "InvalidParameter.NotSupportEnableThinking", REJECT, ROW),
    (400, "InvalidURL", REJECT, ROW),
    (400, "InvalidURL.Timeout", AGAIN, ROW),
    (400, "InvalidParameter.DataInspection", AGAIN, ROW),
    (400, "BadRequest.InputDownloadFailed", AGAIN, ROW),
    (400, "DataInspectionFailed", REJECT, ROW),
    (400, "data_inspection_failed", REJECT, ROW),
    (400, "Arrearage", PARK, ACCOUNT),
    (400, "UnsupportedOperation", REJECT, ROW),
    (400, "BadRequest.EmptyInput", REJECT, ROW),
    (401, "InvalidApiKey", PARK, WORKSPACE),
    (401, "invalid_api_key", PARK, WORKSPACE),
    (401, "NOT AUTHORIZED", PARK, WORKSPACE),
    (403, "Model.AccessDenied", PARK, LANE),
    (403, "Workspace.AccessDenied", PARK, WORKSPACE),
    (403, "Endpoint.AccessDenied", PARK, LANE),
    (403, "AccessDenied", PARK, LANE),
    (403, "AccessDenied.Unpurchased", PARK, LANE),
    (403, "AllocationQuota.FreeTierOnly", PARK, LANE),
    (403, "insufficient_quota", PARK, LANE),
    (404, "ModelNotFound", PARK, LANE),
    (404, "model_not_found", PARK, LANE),
    (404, "model_not_supported", PARK, LANE),
    (404, "WorkSpaceNotFound", PARK, WORKSPACE),
    (408, "RequestTimeOut", AGAIN, ROW),
    (409, "Conflict", REJECT, ROW),
    (413, "BadRequest.TooLarge", REJECT, ROW),
    (429, "Throttling", THROTTLED, LANE),
    (429, "Throttling.RateQuota", THROTTLED, LANE),
    (429, "LimitRequests", THROTTLED, LANE),
    (429, "limit_requests", THROTTLED, LANE),
    (429, "Throttling.BurstRate", THROTTLED, LANE),
    (429, "limit_burst_rate", THROTTLED, LANE),
    (429, "Throttling.AllocationQuota", THROTTLED, LANE),
    (429, "insufficient_quota", THROTTLED, LANE),
    (429, "Throttling.ResourceExhausted", THROTTLED, LANE),
    (429, "PrepaidBillOverdue", PARK, WORKSPACE),
    (429, "PostpaidBillOverdue", PARK, ACCOUNT),
    (429, "CommodityNotPurchased", PARK, WORKSPACE),
    (429, "BudgetLimitExceeded", PARK, WORKSPACE),
    (499, "ClientClosedRequest", AGAIN, ROW),
    (504, "GatewayTimeout", AGAIN, ROW),
    (500, "InternalError", AGAIN, ROW),
    (500, "internal_error", AGAIN, ROW),
    (500, "InternalError.Timeout", AGAIN, ROW),
    (500, "SystemError", AGAIN, ROW),
    (503, "ModelServingError", AGAIN, ROW),
    (503, "ModelUnavailable", AGAIN, ROW),
    (403, "NoPermission", PARK, WORKSPACE),
]


@pytest.mark.parametrize(("status", "code", "fault", "scope"), CODES)
def test_a_known_code_decides_and_is_shown_as_it_came(status, code, fault, scope):
    failure = classify(status, code, "what the provider says")
    assert (failure.fault, failure.scope, failure.code) == (fault, scope, code)
    assert (failure.message, failure.status) == ("what the provider says", status)
    assert failure.advice


@pytest.mark.parametrize(
    ("status", "fault", "scope"),
    [
        (301, PARK, WORKSPACE),
        (307, PARK, WORKSPACE),
        (400, REJECT, ROW),
        (401, PARK, WORKSPACE),
        (402, PARK, ACCOUNT),
        (403, PARK, LANE),
        (404, PARK, LANE),
        (405, PARK, LANE),
        (407, PARK, WORKSPACE),
        (408, AGAIN, ROW),
        (413, REJECT, ROW),
        (418, REJECT, ROW),
        (422, REJECT, ROW),
        (409, AGAIN, ROW),
        (421, AGAIN, ROW),
        (424, AGAIN, ROW),
        (425, AGAIN, ROW),
        (429, THROTTLED, LANE),
        (499, AGAIN, ROW),
        (500, AGAIN, ROW),
        (502, AGAIN, ROW),
        (503, AGAIN, ROW),
        (504, AGAIN, ROW),
        (511, PARK, WORKSPACE),
        (529, AGAIN, ROW),
        (999, AGAIN, ROW),
    ],
)
@pytest.mark.parametrize("code", [None, "never_seen_before"])
def test_an_unknown_code_is_left_to_the_status(status, code, fault, scope):
    failure = classify(status, code, "")
    assert (failure.fault, failure.scope) == (fault, scope)
    assert failure.code == (code or ("redirect" if status < 400 else f"http_{status}"))
    assert str(status) in failure.message


@pytest.mark.parametrize("status", [200, 400, 429, 503])
def test_a_kind_of_throttling_that_is_new_is_throttling_whatever_the_status(status):
    failure = classify(status, "Throttling.NewThisAutumn", "")
    assert (failure.fault, failure.scope, failure.code) == (THROTTLED, LANE, "Throttling.NewThisAutumn")
    assert classify(status, "Throttlings", "").fault is not THROTTLED or status == 429


def test_a_code_outranks_its_status():
    assert classify(500, "Arrearage", "").scope is ACCOUNT
    assert classify(400, "limit_requests", "").fault is THROTTLED


def test_the_message_never_decides():
    assert classify(400, "InvalidParameter", "Model not exist.").fault is REJECT
    assert classify(429, "Throttling.AllocationQuota", "month allocated quota exceeded").fault is THROTTLED


def test_the_kind_that_openai_servers_send_with_every_refusal_does_not_hide_a_bad_key():
    assert classify(401, "invalid_request_error", "").fault is PARK
    assert classify(400, "invalid_request_error", "").fault is REJECT


@pytest.mark.parametrize(
    ("status", "code", "in_doubt"),
    [
        (400, "InvalidParameter", False),
        (400, None, False),
        (401, None, False),
        (429, None, False),
        (500, "InternalError", False),
        (500, "InternalError.Timeout", True),
        (408, "RequestTimeOut", True),
        (500, "RequestTimeOut", True),
        (408, None, True),
        (500, None, True),
        (502, None, True),
        (503, None, True),
        (504, None, True),
        (504, "never_seen_before", True),
        (503, "never_seen_before", False),
    ],
)
def test_only_a_call_that_may_have_run_is_in_doubt(status, code, in_doubt):
    assert classify(status, code, "").in_doubt is in_doubt


def test_no_code_stands_twice_in_the_table():
    keys = [(code.lower(), line.status) for line in TABLE for code in line.codes]
    assert len(keys) == len(set(keys))


def test_scope_follows_fault_in_every_line():
    lines = [(line.fault, line.scope, line.advice) for line in (*TABLE, *BY_STATUS.values())]
    for fault, scope, advice in lines + [(row.fault, row.scope, row.advice) for row in MISHAPS.values()]:
        assert advice
        assert (scope in {LANE, WORKSPACE, ACCOUNT}) if fault is PARK else scope is (LANE if fault is THROTTLED else ROW)


def test_who_is_told_of_a_rejection_is_told_the_option_without_which_no_rejected_row_is_asked_again_corrected_or_not():
    lines = [(line.fault, line.advice) for line in (*TABLE, *BY_STATUS.values())] + [(row.fault, row.advice) for row in MISHAPS.values()]
    told = re.compile("; (the row runs at the next start with|(the row|it) is asked again only with) --retry-rejected(, because .+)?$")
    assert [advice for fault, advice in lines if fault is REJECT and not told.search(advice)] == []


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("3", 3.0),
        (" 3 ", 3.0),
        ("3\x1f", 3.0),
        ("0", 0.0),
        ("0.5", 0.5),
        ("601", RETRY_AFTER_CAP),
        ("99999999999", RETRY_AFTER_CAP),
        (None, None),
        ("", None),
        ("-1", None),
        ("abc", None),
        ("1e9", None),
        ("nan", None),
        ("inf", None),
        ("1_0", None),
        ("٣", None),
        ("9" * 400, None),
        ("Fri, 31 Dec 2099 23:59:59 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_nothing(header, seconds):
    assert seconds_of(header) == seconds


@pytest.mark.parametrize(
    ("until", "seconds"),
    [
        ("Fri, 27 Nov 2026 01:00:30 GMT", 30.0),
        (" Fri, 27 Nov 2026 01:01:00 GMT ", 60.0),
        ("Fri, 27 Nov 2026 00:59:00 GMT", 0.0),
        ("Sat, 28 Nov 2026 01:00:00 GMT", RETRY_AFTER_CAP),
        ("Tue, 31 Feb 2026 01:00:00 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", RETRY_AFTER_CAP),
        ("Fri, 27 Foo 2026 01:00:00 GMT", None),
        ("Fri, 27 Nov 2026 25:61:61 GMT", None),
        ("Friday, 27-Nov-26 01:00:30 GMT", None),
        ("2026-11-27T01:00:30Z", None),
    ],
)
def test_a_date_in_retry_after_counts_from_the_date_of_the_same_answer(until, seconds):
    assert seconds_of(until, "Fri, 27 Nov 2026 01:00:00 GMT") == seconds
    assert seconds_of(until) is None
    assert seconds_of(until, "now") is None
    failure = refusal(503, {"Retry-After": until, "Date": "Fri, 27 Nov 2026 01:00:00 GMT"}, b"")
    assert failure.retry_after == seconds


BODIES = {
    "front checks": (b'{"error":{"message":"m","type":"t","param":null,"code":"c"},"request_id":"r-1"}', "c", "m", "r-1"),
    "after routing": (b'{"error":{"code":"c","message":"m"},"id":"chatcmpl-r-1","request_id":"r-1"}', "c", "m", "r-1"),
    "workspace hosts": (b'{"error":{"message":"m","id":"r-1","type":"c","code":"c"}}', "c", "m", "r-1"),
    "only a chat id": (b'{"error":{"message":"m","code":"c"},"id":"chatcmpl-r-1"}', "c", "m", "r-1"),
    "native": (b'{"code":"c","message":"m","request_id":"r-1"}', "c", "m", "r-1"),
    "a frame": (b'data: {"error":{"message":"m","code":"c"},"request_id":"r-1"}\n\n', "c", "m", "r-1"),
    "a native frame": (b'id:1\nevent:error\n:HTTP_STATUS/400\ndata:{"code":"c","message":"m","request_id":"r-1"}\n\n', "c", "m", "r-1"),
    "the status as code, and a type": (b'{"error":{"code":400,"message":"m","type":"c"}}', "c", "m", None),
    "the status as code": (b'{"error":{"code":"400","message":"m"}}', "http_400", "m", None),
    "no code": (b'{"error":{"code":null,"message":"m","type":"c"}}', "c", "m", None),
    "None for a type": (b'{"error":{"code":"400","message":"m","type":"None","param":"None"}}', "http_400", "m", None),
    "a plain string": (b'{"error":"m"}', "http_400", "m", None),
    "a msg": (b'{"code":"c","msg":"m","data":null}', "c", "m", None),
    "a detail": (b'{"detail":"m"}', "http_400", "m", None),
    "plain text": (b"upstream   gone\r\n", "http_400", "upstream   gone", None),
    "a web page": (b"<html><head><title>403 Forbidden</title></head></html>", "http_400", "a web page: 403 Forbidden", None),
    "nothing": (b"", "http_400", "the endpoint answered 400 and said nothing", None),
    "an empty object": (b"{}", "http_400", "the endpoint answered 400 and said nothing", None),
    "a list of mistakes that repeats the row": (
        b'{"detail":[{"loc":["body","messages",0],"msg":"Field required","input":"a secret"},{"loc":[],"msg":"no"},{"msg":7},"a secret"]}',
        "http_400",
        "body.messages.0: Field required; no",
        None,
    ),
    "a detail in parts": (b'{"detail":{"error":"m","input":"a secret"}}', "http_400", "m", None),
    "in capitals": (b'{"Code":"c","Message":"m","RequestId":"r-1","HostId":"h"}', "c", "m", "r-1"),
    "a detail that repeats the row": (
        b'{"detail":[{"input":"a secret prompt"}]}',
        "http_400",
        "the endpoint answered 400 and said nothing",
        None,
    ),
    "no text where text should be": (
        b'{"error":{"code":[],"message":{}}}',
        "http_400",
        "the endpoint answered 400 and said nothing",
        None,
    ),
}


@pytest.mark.parametrize(("body", "code", "message", "request_id"), BODIES.values(), ids=BODIES.keys())
def test_every_shape_of_error_body_is_read(body, code, message, request_id):
    failure = refusal(400, {}, body)
    assert (failure.code, failure.message, failure.request_id) == (code, message, request_id)


def test_the_header_names_the_request_before_the_body_does_in_any_case():
    assert refusal(400, {"X-Request-ID": "r-2"}, b'{"code":"c","request_id":"r-1"}').request_id == "r-2"


def test_a_request_id_that_no_json_can_hold_is_cleaned():
    assert refusal(400, {"x-request-id": "r\udcff\n1"}, b"").request_id == "r 1"


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://llm.example/v1/chat/completions", "https://llm.example/v1/chat/completions"),
        ("https://user:secret@login.example:8443/path;session=secret?token=secret#secret", "https://login.example:8443/path"),
        (f"https://login.example/{'secret' * 7}/sign-in", "https://login.example/***/sign-in"),
        ("/v1/chat/completions/", "/v1/chat/completions/"),
        ("//login.example", "//login.example"),
        ("http://[::1]:8080/v1", "http://[::1]:8080/v1"),
        ("https://登录.example/好", "https://登录.example/好"),
    ],
)
def test_a_redirect_says_where_it_leads_and_nothing_that_may_be_a_secret(location, shown):
    failure = refusal(302, {"Location": location}, b"<html><title>Moved</title>")
    assert (failure.code, failure.fault, failure.scope) == ("redirect", PARK, WORKSPACE)
    assert failure.message == f"the endpoint answered 302 with a redirect to {shown}"
    assert "secret" not in repr(failure)


@pytest.mark.parametrize("status", [201, 299, 400, 429, 503])
def test_what_is_no_redirect_says_what_its_body_says_wherever_its_headers_lead(status):
    assert refusal(status, {"Location": "https://login.example"}, b'{"message": "slower", "code": "x"}').message == "slower"


@pytest.mark.parametrize("location", ["", "?token=secret", "http://[::1", "http://host:port/", "javascript:alert(1)"])
def test_a_redirect_to_nowhere_is_a_redirect(location):
    failure = refusal(302, {"location": location}, b"")
    assert (failure.code, failure.message) == ("redirect", "the endpoint answered 302 and said nothing")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Incorrect API key provided: sk-fake-marketing.", "Incorrect API key provided: ***"),
        ("key sk-ws-H.ABC.def_1-2, or sk-abc***xyz", "key ***, or ***"),
        ("got 'Bearer eyJhbGciOi.x'", "got 'Bearer ***"),
        ("a risk-free task-force", "a risk-free task-force"),
        ("one\nline\x00\x1b[31m\u2028only\ud800", "one line [31m only"),
    ],
)
def test_what_an_endpoint_says_is_one_line_without_keys(said, shown):
    assert clean(said) == shown


@given(st.text())
def test_a_message_is_at_most_500_characters_that_any_file_can_hold(text):
    shown = clean(text + "x" * 600)
    assert len(shown) <= 500
    shown.encode()
    assert "\n" not in shown


def test_the_kept_error_body_is_one_line_without_keys():
    failure = refusal(401, {}, b'{\n "code": "InvalidApiKey",\n "message": "sk-fake-marketing is wrong"\n}\n')
    assert failure.body == b'{"code":"InvalidApiKey","message":"*** is wrong"}'
    assert refusal(401, {}, b"no JSON").body == b""


ECHOES = [
    b'{"code":"InvalidApiKey","message":"sk-fake-marketing is wrong"}',
    b'{"code":"InvalidApiKey","message":"wrong:\\nsk-fake-marketing"}',
    b'{"code":"InvalidApiKey","message":"wrong:\\u0007sk-fake-marketing"}',
    b'{"code":"InvalidApiKey","message":"sk\\u002dfake-marketing"}',
    b'{"code":"InvalidApiKey","message":"\\u0073k-fake-marketing"}',
    b'{"code":"InvalidApiKey","message":"Bearer fake-marketing"}',
    b'{"code":"InvalidApiKey","message":"m","sk-fake-marketing":["sk-fake-marketing"]}',
    b'{"error":{"code":"sk-fake-marketing","message":"m"},"request_id":"sk-fake-marketing"}',
    b'data: {"error":{"code":"invalid_api_key","message":"wrong:\\tsk-fake-marketing"}}\n\n',
    b"<html><title>no sk-fake-marketing</title></html>",
    b"no sk-fake-marketing",
]


@pytest.mark.parametrize("body", ECHOES)
def test_no_spelling_of_an_echoed_key_is_kept(body):
    failure = refusal(401, {}, body)
    kept = failure.body.decode()
    shown = [failure.message, failure.code, failure.request_id or "", str(orjson.loads(kept)) if kept else ""]
    assert not any("fake" in each for each in shown), shown


@pytest.mark.parametrize(
    "body",
    [
        b'retry: 3\nevent:error\n:HTTP_STATUS/429\ndata:{"code":"limit_requests","message":"m"}\n\n',
        b'data: \xff\n\ndata: {"code":"limit_requests","message":"m"}\n\n',
        b'\xef\xbb\xbfid:1\r\nevent:error\r\ndata:{"code":"limit_requests","message":"m"}',
        b': wait\n\ndata: {"error":{"code":"limit_requests","message":"m"}}',
        b'data: {"choices":[]}\n\ndata: {"error":{"code":"limit_requests","message":"m"}}',
    ],
)
def test_an_error_is_found_in_any_stream_that_a_refusal_s_body_is(body):
    failure = refusal(400, {}, body)
    assert (failure.code, failure.message, failure.fault) == ("limit_requests", "m", THROTTLED)


def test_a_stream_without_an_error_is_a_refusal_all_the_same():
    assert refusal(503, {}, b"data: soon\n\n").message == "data: soon"


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        (404, None, True),
        (404, "invalid_request_error", True),
        (404, "NotFoundError", True),
        (302, None, True),
        (404, "model_not_found", False),
        (404, "ModelNotFound", False),
        (404, "WorkSpaceNotFound", False),
        (403, None, False),
    ],
)
def test_the_url_that_was_called_is_told_where_it_may_be_wrong_and_not_beside_the_provider_s_word_on_a_model(status, code, told):
    failure = classify(status, code, "no")
    assert located(failure, "http://a.test/v1").message == "no" + " (called: http://a.test/v1)" * told


PAGE = b"<html><head><title>413 Request Entity Too Large</title></head><body><hr><center>nginx</center></body></html>"


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (406, "a firewall or a gateway between here and it has refused the call"),
        (400, "a firewall or a gateway between here and it has refused the call"),
        (401, "a gateway between here and the provider wants a name and a password of its own"),
        (405, "a firewall or a gateway between here and the provider has refused the call"),
        (413, "a gateway between here and it takes less: have whoever runs that raise its limit (nginx's client_max_body_size"),
        (504, "the limit of a gateway between here and the provider: have whoever runs it raise it (nginx: proxy_read_timeout)"),
        (511, "wants somebody to sign in to the network first"),
    ],
)
def test_what_stands_between_here_and_the_provider_is_named_with_what_is_to_be_set_there(status, says):
    assert says in refusal(status, {}, PAGE).advice


def test_a_refusal_in_the_provider_s_own_words_says_nothing_of_what_stands_between():
    said = b'{"error": {"code": "InvalidParameter", "message": "wrong"}}'
    for failure in (
        refusal(400, {}, said),
        refusal(400, {}, b"{}"),
        refusal(413, {}, said.replace(b"InvalidParameter", b"BadRequest.TooLarge")),
    ):
        assert "gateway" not in failure.advice


def test_nobody_is_billed_for_a_call_that_met_a_network_to_sign_in_to():
    assert not refusal(511, {}, PAGE).in_doubt
