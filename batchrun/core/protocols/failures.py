"""The provider's error table, and the lookup that turns a status and a code into a Failure.

The code decides first, then the status; the message is shown, never matched. Two codes lie about themselves, and the table says so:

- ``insufficient_quota`` under 429 is a token limit that passes; under 403 it is a free quota that is gone.
- ``Arrearage`` comes as a 400, and stops the account.

``400 InvalidParameter "Model not exist."`` shares its code with every wrong parameter, so it rejects its row; a lane whose first answers
are all the same rejection parks, which is what such a model name comes to.

Sources, in the last column: ``page#anchor`` is Model Studio's error-code page (https://help.aliyun.com/zh/model-studio/error-code, copies
of December 2025 and autumn 2026); ``seen`` is a body from the service that clients have published, 2024 to 2026.
"""

from __future__ import annotations

import re
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from batchrun.core.jobs.endpoints import HOSTS
from batchrun.core.model import Failure, Fault, Scope
from batchrun.core.protocols.mishaps import ASKED_AGAIN

RETRY_AFTER_CAP = 600.0
"""Seconds. A longer wait is the lane's own to find out: a header must not stop it for a day."""


class Line(NamedTuple):
    """One line of the table."""

    codes: tuple[str, ...]
    """The native spelling and the OpenAI-compatible one."""
    status: int | None
    """None: under any status."""
    fault: Fault
    scope: Scope
    advice: str
    source: str
    in_doubt: bool = False


_THEN = "then run the same command again: the rows are still pending"

_KEY = (
    "check the key in the variable that api_key_env of this workspace names: it must be a live key of this workspace, from the same "
    f"region as its endpoint; {_THEN}"
)
_MODEL_ACCESS = (
    "ask the account's owner to authorise this model for the workspace in the console (Model Studio > workspace > model authorisation), "
    f"or give these rows another model; {_THEN}"
)
_WORKSPACE_ACCESS = (
    "ask the account's owner to admit this key to the workspace in the console (Model Studio > workspace), or correct api_key_env and "
    f"endpoint so that both belong to the same workspace; {_THEN}"
)
_FORBIDDEN = (
    "if this is a web page, a firewall or a gateway between here and the provider has refused the call, maybe for the row's text: ask "
    f"whoever runs that; else {_MODEL_ACCESS}"
)
_ENDPOINT_ACCESS = (
    "give these rows another model, if the provider has taken this one offline; else correct endpoint and api_key_env of this workspace so "
    f"that both belong to it; {_THEN}"
)
_CALL_MODE = (
    "this model is not to be had, or no longer, with this key or by this kind of call: give these rows another model or another protocol; "
    f"{_THEN}"
)
_PURCHASE = f"ask the account's owner to activate the service for this model in the console; {_THEN}"
_SUBSCRIBE = f"ask the account's owner to subscribe to the service for this workspace, or to renew what has run out; {_THEN}"
_FREE_TIER = (
    "the free quota of this model is used up: ask the account's owner to switch off 'use free tier only' in the console, or give these "
    f"rows another model; {_THEN}"
)
_ARREARS = f"ask the account's owner to pay what is overdue or top up the balance; {_THEN}"
_BUDGET = f"ask the account's owner to raise the budget set at the provider for this workspace; {_THEN}"
_MODEL_NAME = f"correct model (in the row, the workspace or [defaults]), or have the workspace authorised for it; {_THEN}"
_NATIVE_ONLY = f'set protocol = "dashscope" for this workspace: this model does not answer the OpenAI-compatible way; {_THEN}'
_WORKSPACE_NAME = f"correct endpoint and api_key_env of this workspace: the provider does not know it; {_THEN}"
_PERMISSION = f"ask the account's owner to give the RAM user the permission the message names; {_THEN}"
_ADDRESS = (
    f"correct endpoint of this workspace, or model: this address does not serve chat calls for it; the provider's endpoints are {HOSTS}, "
    f"and one's own is a URL up to /chat/completions; {_THEN}"
)
_KEY_OR_SIGN_IN = (
    "if this is a web page, a gateway between here and the provider wants a name and a password of its own: ask whoever runs that; else "
    f"{_KEY}"
)
_BLOCKED = (
    "if this is a web page, a firewall or a gateway between here and the provider has refused the call, maybe for the row's text (Alibaba "
    f"Cloud's own web application firewall says 405): ask whoever runs that; else {_ADDRESS}"
)
_SIGN_IN = (
    "a gateway between here and the provider wants somebody to sign in to the network first: do so from this machine, or ask whoever runs "
    f"it; {_THEN}"
)
_REDIRECT = (
    "put the URL that really answers into endpoint of this workspace, up to /chat/completions (natively up to /api/v1); if the redirect "
    f"leads to a page to sign in at, a gateway between here and the provider answers: ask whoever runs that; {_THEN}"
)
_PROXY = f"check the proxy that the job or the environment names, and its credentials; {_THEN}"
_ROW = f"correct the row or the parameters it is asked under{ASKED_AGAIN}"
_TOO_LARGE = f"make the row smaller: the provider takes 16 MiB a call, 64 MiB with inline media{ASKED_AGAIN}"
_TOO_LARGE_ON_THE_WAY = (
    "if the row is no larger than the provider takes (16 MiB a call, 64 MiB with inline media), a gateway between here and it takes less: "
    f"have whoever runs that raise its limit (nginx's client_max_body_size is 1 MiB by default); else make the row smaller{ASKED_AGAIN}"
)
_OF_A_PAGE = (
    "a web page is not the provider's word: a firewall or a gateway between here and it has refused the call, maybe for the row's text: "
    f"ask whoever runs that; if a server of your own says so, correct the row or the parameters it is asked under{ASKED_AGAIN}"
)
_INSPECTION = (
    f"content inspection stopped this row: rephrase its prompt; if it was the answer that was stopped, the same row may pass{ASKED_AGAIN}"
)
_SLOWER = "nothing: the lane slows down and asks again; set rpm and tpm of the quota in the job file if it happens often"
_BURST = "nothing: the lane climbs more slowly and asks again"
_SERVICE = "nothing: it is tried again, and the same command goes on with the rows that are left"
_FETCHING = (
    "nothing: it is tried again; if it stays, the provider, which fetches the URLs of the row's media itself, cannot have them in time: "
    "put them where it can, or name local files"
)
_TIMEOUT = "nothing: it is tried again; if long answers are the reason, set stream = true, which gives them longer, or lower max_tokens"

_GAVE_UP = (
    "nothing: it is tried again; if long answers are the reason, set stream = true, which gives them longer, or lower max_tokens; if calls "
    "end so after the same time each, 60 seconds say, that is the limit of a gateway between here and the provider: have whoever runs it "
    "raise it (nginx: proxy_read_timeout)"
)


def _reject(*codes: str, status: int | None = None, advice: str = _ROW, source: str = "page") -> Line:
    return Line(codes, status, Fault.REJECT, Scope.ROW, advice, source)


def _throttled(*codes: str, advice: str = _SLOWER, source: str = "page#rate-limit") -> Line:
    return Line(codes, None, Fault.THROTTLED, Scope.LANE, advice, source)


def _again(*codes: str, advice: str = _SERVICE, source: str = "page", in_doubt: bool = False) -> Line:
    return Line(codes, None, Fault.AGAIN, Scope.ROW, advice, source, in_doubt)


def _park(scope: Scope, *codes: str, advice: str, source: str, status: int | None = None) -> Line:
    return Line(codes, status, Fault.PARK, scope, advice, source)


TABLE: tuple[Line, ...] = (
    # the row
    _reject("InvalidParameter", "invalid_parameter_error"),
    _reject("invalid_request_error", status=400),
    _reject("invalid_value", source="seen"),
    _reject("InvalidParameter.NotSupportEnableThinking"),
    _reject("InvalidURL", source="page#error-url"),
    _reject("DataInspectionFailed", "data_inspection_failed", advice=_INSPECTION, source="page#inappropriate-content"),
    _reject("UnsupportedOperation", "CustomRoleBlocked", "FaqRuleBlocked", "IPInfringementSuspect"),
    _reject("BadRequest.EmptyInput", "BadRequest.EmptyParameters", "BadRequest.EmptyModel", "BadRequest.IllegalInput"),
    _reject("BadRequest.TooLarge", advice=_TOO_LARGE),
    _reject("Conflict"),
    # the key, the workspace, the model
    _park(Scope.WORKSPACE, "InvalidApiKey", "invalid_api_key", advice=_KEY, source="page#apikey-error"),
    _park(Scope.WORKSPACE, "NOT AUTHORIZED", advice=_WORKSPACE_ACCESS, source="page"),
    _park(Scope.WORKSPACE, "Workspace.AccessDenied", "App.AccessDenied", advice=_WORKSPACE_ACCESS, source="page"),
    # It reads like the workspace's matter, and is said of each model that was taken offline as well: the others are still served.
    _park(Scope.LANE, "Endpoint.AccessDenied", advice=_ENDPOINT_ACCESS, source="page, autumn 2026"),
    _park(Scope.WORKSPACE, "WorkSpaceNotFound", advice=_WORKSPACE_NAME, source="page"),
    _park(Scope.WORKSPACE, "NoPermission", advice=_PERMISSION, source="model calling in sub-workspaces, 2025-03-12"),
    _park(Scope.LANE, "Model.AccessDenied", advice=_MODEL_ACCESS, source="model calling in sub-workspaces, 2025-03-12; seen"),
    _park(Scope.LANE, "AccessDenied", "access_denied", advice=_CALL_MODE, source="page"),
    # The page calls this an account's matter, but it is said of one model: another may well be activated.
    _park(Scope.LANE, "AccessDenied.Unpurchased", advice=_PURCHASE, source="page; seen"),
    _park(Scope.LANE, "ModelNotFound", "model_not_found", advice=_MODEL_NAME, source="page; seen"),
    _park(Scope.LANE, "model_not_supported", advice=_NATIVE_ONLY, source="seen"),
    # money
    _park(Scope.ACCOUNT, "Arrearage", advice=_ARREARS, source="page#overdue-payment; seen"),
    _park(Scope.ACCOUNT, "PostpaidBillOverdue", advice=_ARREARS, source="page"),
    # Both are of one workspace's subscription: what the account's others have paid for goes on.
    _park(Scope.WORKSPACE, "CommodityNotPurchased", "PrepaidBillOverdue", advice=_SUBSCRIBE, source="page"),
    # Set for one workspace as well as for an account: the narrower scope stops nobody who may still spend.
    _park(Scope.WORKSPACE, "BudgetLimitExceeded", advice=_BUDGET, source="page"),
    _park(Scope.LANE, "AllocationQuota.FreeTierOnly", advice=_FREE_TIER, source="page; seen"),
    _park(Scope.LANE, "insufficient_quota", status=403, advice=_FREE_TIER, source="seen"),
    # rates
    _throttled("insufficient_quota", "Throttling.AllocationQuota", source="page#token-limit; seen"),
    _throttled("Throttling", "Throttling.RateQuota", "LimitRequests", "limit_requests"),
    _throttled("ResourceExhausted", "Too many requests", source="page, autumn 2026"),
    _throttled("Throttling.BurstRate", "limit_burst_rate", advice=_BURST),
    _throttled("Throttling.ResourceExhausted", "Throttling.Concurrency", "Throttling.ServiceOverloaded", source="seen"),
    # the service
    _again("RequestTimeOut", "ResponseTimeout", "InternalError.Timeout", advice=_TIMEOUT, in_doubt=True),
    # Its inference engine's words (github alibaba/rtp-llm, autumn 2026): something between it and the caller had given the call up.
    _again("ClientClosedRequest", "GatewayTimeout", source="its inference engine", in_doubt=True),
    _again("InternalError", "internal_error", "InternalError.Algo", "internal_server_error", "SystemError"),
    _again("ModelServiceFailed", "ModelServingError", "ModelUnavailable"),
    _again("ServiceUnavailable", source="page, autumn 2026"),
    # Under 400 as what is wrong with the row: but their pages say of them that a download took too long.
    _again("InvalidURL.Timeout", "InvalidParameter.DataInspection", "BadRequest.InputDownloadFailed", advice=_FETCHING),
)

BY_STATUS: dict[int, Line] = {
    401: _park(Scope.WORKSPACE, advice=_KEY_OR_SIGN_IN, source="RFC 9110"),
    402: _park(Scope.ACCOUNT, advice=_ARREARS, source="RFC 9110"),
    403: _park(Scope.LANE, advice=_FORBIDDEN, source="RFC 9110"),
    404: _park(Scope.LANE, advice=_ADDRESS, source="RFC 9110"),
    405: _park(Scope.LANE, advice=_BLOCKED, source="RFC 9110"),
    407: _park(Scope.WORKSPACE, advice=_PROXY, source="RFC 9110"),
    408: _again(advice=_TIMEOUT, source="RFC 9110", in_doubt=True),
    # A gateway that keeps Idempotency-Key says so while the earlier call under it, which timed out here, is still being answered there.
    409: _again(source="draft-ietf-httpapi-idempotency-key-header, 2.7"),
    410: _park(Scope.LANE, advice=_ADDRESS, source="RFC 9110"),
    413: _reject(advice=_TOO_LARGE_ON_THE_WAY, source="RFC 9110; nginx, ngx_http_core_module"),
    421: _again(source="RFC 9110, 15.5.20: it is the connection's, which is used for no other call"),
    # Text Generation Inference's word for what failed on its side: no memory on the card, say.
    424: _again(source="RFC 4918; github huggingface/text-generation-inference, InferError"),
    425: _again(source="RFC 8470"),
    429: _throttled(source="RFC 6585"),
    # Said of a caller who is gone: to one who waits it means that a gateway on the way had gone.
    499: _again(source="nginx, ngx_http_request.h", in_doubt=True),
    504: _again(advice=_GAVE_UP, source="RFC 9110; nginx, ngx_http_proxy_module", in_doubt=True),
    511: _park(Scope.WORKSPACE, advice=_SIGN_IN, source="RFC 6585, 6: no endpoint says it, but what lets nobody through to one"),
}
"""What is left to the status, for a code that the table does not have."""
_REDIRECTS = _park(Scope.WORKSPACE, advice=_REDIRECT, source="RFC 9110")
_OTHER_REFUSALS = _reject(source="RFC 9110")
_REFUSED_BY_A_PAGE = _reject(advice=_OF_A_PAGE, source="mod_security says 406, and others what they like")
_OTHER_TROUBLE = _again(source="RFC 9110")

_ASTRAY = frozenset({404, 405, 410})
"""Statuses of an address that is not there, or not for this; a redirect is another."""
_PAGE = "html"
"""The mishap of a web page for an answer: it says the same."""
_SIGN_IN_FIRST = 511
_SAID_BY_ANYBODY = _ASTRAY | {403, _SIGN_IN_FIRST}
"""Statuses that a firewall and a gateway on the way give as well, to one row for its text or to all of them for a minute."""

_BY_CODE = {(code.lower(), line.status): line for line in TABLE for code in line.codes}
_THROTTLING = "throttling"
"""The provider has a new kind of it every few months, ``Throttling.Aborted`` among them (its inference engine, github alibaba/rtp-llm)."""


def known(status: int, code: str) -> Line | None:
    """The table's line for *code*, the one that names *status* before the one for any; case is overlooked, as is what is throttled."""
    spelling = code.lower()
    line = _BY_CODE.get((spelling, status)) or _BY_CODE.get((spelling, None))
    return _BY_CODE[_THROTTLING, None] if line is None and spelling.startswith(f"{_THROTTLING}.") else line


def classify(
    status: int,
    code: str | None,
    message: str,
    *,
    request_id: str | None = None,
    retry_after: float | None = None,
    body: bytes = b"",
    is_page: bool = False,
) -> Failure:
    """The failure that an error answer is.

    A code that is not in the table is shown as it came and left to *status*; None is an answer without one, and is shown as ``http_503``.
    With a code it is the provider's word, and not billed; a 5xx without one is a gateway that gave up on a call that may have been. A web
    page (*is_page*) is not the provider's word.
    """
    line = (known(status, code) if code else None) or _by_status(status)
    if is_page and line is _OTHER_REFUSALS:
        line = _REFUSED_BY_A_PAGE
    gave_up = code is None and not 300 <= status < 500 and status != _SIGN_IN_FIRST
    return Failure(
        line.fault,
        line.scope,
        code or ("redirect" if 300 <= status < 400 else f"http_{status}"),
        message or f"the endpoint answered {status} and said nothing",
        line.advice,
        status=status,
        request_id=request_id,
        retry_after=retry_after,
        in_doubt=line.in_doubt or gave_up,
        body=body,
    )


def tells_by_itself(status: int) -> bool:
    """Whether a *status* outside 2xx says alone what an answer is, should its body be lost; a 400 may be the row's or the account's."""
    return status in BY_STATUS or 300 <= status < 400 or status >= 500


def unsigned(failure: Failure) -> bool:
    """Whether what parks is told by its status alone, or is a web page: nothing in it says that it is the provider's own."""
    status = failure.status
    if failure.fault is not Fault.PARK or status is None or failure.code not in {"redirect", _PAGE, f"http_{status}"}:
        return False
    return failure.code == _PAGE or status in _SAID_BY_ANYBODY or 300 <= status < 400


def refused_by_a_page(failure: Failure) -> bool:
    """Whether what rejects is a web page: a gateway may say so to all rows for a while."""
    return failure.fault is Fault.REJECT and failure.advice == _OF_A_PAGE


def located(failure: Failure, url: str) -> Failure:
    """Name *url*, which was called, in a *failure* that may be one of its address: the provider's own codes are about what was asked."""
    if failure.status is not None and known(failure.status, failure.code) is not None:
        return failure
    astray = failure.code == _PAGE or failure.status in _ASTRAY or (failure.status is not None and 300 <= failure.status < 400)
    return replace(failure, message=f"{failure.message} (called: {url})") if astray else failure


def _by_status(status: int) -> Line:
    if status in BY_STATUS:
        return BY_STATUS[status]
    if 300 <= status < 400:
        return _REDIRECTS
    return _OTHER_REFUSALS if 400 <= status < 500 else _OTHER_TROUBLE


_SECONDS = re.compile(r"[0-9]{1,12}(\.[0-9]+)?")
_DATE = re.compile(r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT")
"""The one form in which dates are to be sent (RFC 9110, 5.6.7)."""


def seconds_of(retry_after: str | None, date: str | None = None) -> float | None:
    """A ``Retry-After`` header in seconds, at most ten minutes; None where there is none, or one that says nothing.

    Where it is a date, it counts from the ``Date`` of the same answer: clocks differ (RFC 9110, 10.2.3 and 6.6.1).
    """
    said = (retry_after or "").strip()
    if _SECONDS.fullmatch(said):
        return min(float(said), RETRY_AFTER_CAP)
    until, now = _moment(said), _moment((date or "").strip())
    return None if until is None or now is None else min(max(0.0, until - now), RETRY_AFTER_CAP)


def _moment(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() if _DATE.fullmatch(date) else None
    except ValueError:  # The 31st of February.
        return None
