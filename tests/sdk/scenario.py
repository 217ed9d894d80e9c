"""One simulated provider for all the cases: a workspace for each kind of trouble, so that no case changes another's."""

from __future__ import annotations

from collections.abc import Iterator

from tests.sdk.environments import EVERY

ALWAYS = (
    *("throttle", "burst", "token_quota"),
    *("internal", "unavailable", "serving", "timeout_500", "inspection", "free_tier", "no_quota_403", "arrearage"),
    *("workspace_denied", "unpurchased", "too_large"),
    *("reset", "torn", "not_json", "html", "no_finish", "error_in_200", "mislabelled"),
    *("stream_cut", "stream_error", "stream_native_error"),
)
"""Kinds of trouble; every call of the workspace of that name meets it."""

CODES = {
    **dict.fromkeys(("InvalidURL", "UnsupportedOperation", "CustomRoleBlocked", "FaqRuleBlocked", "IPInfringementSuspect"), 400),
    **dict.fromkeys(("BadRequest.EmptyInput", "BadRequest.EmptyParameters", "BadRequest.EmptyModel", "BadRequest.IllegalInput"), 400),
    "NOT AUTHORIZED": 401,
    **dict.fromkeys(("Endpoint.AccessDenied", "App.AccessDenied", "AccessDenied", "NoPermission"), 403),
    "WorkSpaceNotFound": 404,
    "RequestTimeOut": 408,
    "Conflict": 409,
    **dict.fromkeys(("Throttling", "LimitRequests"), 429),
    **dict.fromkeys(("Throttling.ResourceExhausted", "Throttling.Concurrency", "Throttling.ServiceOverloaded"), 429),
    **dict.fromkeys(("CommodityNotPurchased", "PrepaidBillOverdue", "PostpaidBillOverdue", "BudgetLimitExceeded"), 429),
    **dict.fromkeys(("InternalError.Algo", "SystemError", "ModelServiceFailed"), 500),
}
"""Errors that have no kind of their own, by their native codes, with their status; every call of the workspace of that name gets it."""

ONCE = {
    "passing": "token_quota",
    "failing": "internal",
    "dropped": "reset",
    "client-passing": "token_quota",
    "client-failing": "internal",
    "client-dropped": "reset",
}
"""Kinds of trouble that only the first call meets, and the workspaces, one a version of an SDK, that meet it."""

DENIED = "denied"
"""A workspace that is authorised for qwen-max alone."""
OVERDUE = "overdue"
"""A workspace whose account is in arrears."""


def scenario() -> str:
    """As ``batchrun simulate --scenario`` reads it. Any other key ``sk-sim-NAME`` is good, and its calls are answered."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield "open_keys = true"
    yield f'[workspaces.{DENIED}]\napi_key = "sk-sim-{DENIED}"\nmodels = ["qwen-max"]'
    yield f'[workspaces.{OVERDUE}]\napi_key = "sk-sim-{OVERDUE}"\nin_arrears = true'
    for kind in ALWAYS:
        yield f'[[faults]]\nkind = "{kind}"\nevery = 1\nworkspace = "{kind}"'
    for code in CODES:
        yield f'[[faults]]\nkind = "error"\ncode = "{code}"\nevery = 1\nworkspace = "{code}"'
    for workspace, kind in ONCE.items():
        for sdk in EVERY:
            yield f'[[faults]]\nkind = "{kind}"\nfirst = 1\nworkspace = "{workspace}-{sdk.name}"'
