"""The provider's error answers, to the letter: each with its status, codes and messages, in both dialects where they differ.

`refusal.py` says how one is put into a body, `planned_errors.py` which one a fault of the scenario is.
"""

from __future__ import annotations

from dataclasses import replace

from batchrun.simulator.refusal import Refusal, Shape, invalid, named
from batchrun.simulator.scenario import Mishap

_HELP = " For details, see: https://help.aliyun.com/zh/model-studio/error-code#"

WRONG_KEY = Refusal(
    401,
    "invalid_api_key",
    "invalid_request_error",
    f"Incorrect API key provided.{_HELP}apikey-error",
    Shape.FRONT,
    "InvalidApiKey",
    "Invalid API-key provided.",
)
ARREARAGE = named(
    400,
    "Arrearage",
    f"Access denied, please make sure your account is in good standing.{_HELP}overdue-payment",
    native=("", "Access denied, please make sure your account is in good standing."),
)
UNREADABLE = Refusal(
    400,
    "invalid_parameter_error",
    "invalid_request_error",
    "Required body invalid, please check the request body format.",
    Shape.FRONT,
    "InvalidParameter",
)
NO_MODEL = named(
    400,
    "invalid_request_error",
    "you must provide a model parameter.",
    Shape.FRONT,
    native=("BadRequest.EmptyModel", 'Required parameter "model" missing from request.'),
)
NO_INPUT = named(400, "BadRequest.EmptyInput", "Required input parameter missing from request.")
MODEL_DENIED = named(403, "Model.AccessDenied", "Model access denied.", Shape.MODEL)
NO_SUCH_PATH = named(404, "NotFound", "Not Found", Shape.FRONT)
TOO_LARGE = named(413, "BadRequest.TooLarge", "Payload Too Large.", Shape.FRONT)
ASYNCHRONOUS = named(403, "AccessDenied", "current user api does not support asynchronous calls.")
WRONG_ROUTE = invalid(f"url error, please check url！{_HELP}error-url")  # The exclamation mark is the full-width one.


def model_not_found(model: str) -> Refusal:
    """There is no such model, or it is hidden."""
    message = f"The model `{model}` does not exist or you do not have access to it."
    return Refusal(404, "model_not_found", "invalid_request_error", message, Shape.FRONT, "ModelNotFound", "Model can not be found.")


def model_not_supported(model: str) -> Refusal:
    """The model is there, but only behind the native route."""
    message = f"Unsupported model `{model}` for OpenAI compatibility mode."
    return Refusal(404, "model_not_supported", "invalid_request_error", message, Shape.FRONT)


def cannot_think(model: str) -> Refusal:
    """``enable_thinking`` was asked of a model that has no thoughts."""
    return replace(
        invalid(f"The model {model} does not support enable_thinking."),
        code="InvalidParameter.NotSupportEnableThinking",
        native_code="InvalidParameter.NotSupportEnableThinking",
    )


def wrong_method(method: str) -> Refusal:
    """The path takes POST alone."""
    return replace(invalid(f"Request method '{method}' is not supported."), shape=Shape.FRONT)


def bad_seed(message: str) -> Refusal:
    """The seed has a code of its own on the compatible route, checked before the model's floor."""
    return Refusal(400, "invalid_value", "invalid_request_error", message, Shape.FRONT, "InvalidParameter")


THROTTLES = {
    Mishap.THROTTLE: named(
        429,
        "limit_requests",
        "You exceeded your current requests list.",
        Shape.FRONT,
        native=("Throttling.RateQuota", "Requests rate limit exceeded, please try again later."),
    ),
    Mishap.BURST: named(
        429,
        "limit_burst_rate",
        "Request rate increased too quickly. To ensure system stability, please adjust your client logic to scale requests more "
        "smoothly over time.",
        Shape.FRONT,
        native=("Throttling.BurstRate", ""),
    ),
    Mishap.TOKEN_QUOTA: named(
        429,
        "insufficient_quota",
        f"You exceeded your current quota, please check your plan and billing details.{_HELP}token-limit",
        Shape.FRONT,
        native=("Throttling.AllocationQuota", "Allocated quota exceeded, please increase your quota limit."),
    ),
}

_FREE_TIER = (
    "The free tier of the model has been exhausted. If you wish to continue access the model on a paid basis, please disable "
    'the "use free tier only" mode in the management console.'
)

FAILURES = {
    Mishap.INTERNAL: named(
        500,
        "internal_error",
        "An internal error has occured, please try again later or contact service support.",
        native=("InternalError", ""),
    ),
    Mishap.UNAVAILABLE: named(503, "ModelUnavailable", "Model is unavailable, please try again later."),
    Mishap.SERVING: named(
        503,
        "ModelServingError",
        "Too many requests. Your requests are being throttled due to system capacity limits. Please try again later.",
    ),
    Mishap.TIMEOUT_500: named(
        500,
        "InternalError.Timeout",
        "An internal timeout error has occured during execution, please try again later or contact service support.",
    ),
    Mishap.INSPECTION: named(
        400,
        "data_inspection_failed",
        "Input data may contain inappropriate content.",
        Shape.MODEL,
        native=("DataInspectionFailed", ""),
    ),
    Mishap.FREE_TIER: named(403, "AllocationQuota.FreeTierOnly", _FREE_TIER),
    Mishap.NO_QUOTA_403: named(403, "insufficient_quota", _FREE_TIER, Shape.GATEWAY, native=("AllocationQuota.FreeTierOnly", "")),
    Mishap.ARREARAGE: ARREARAGE,
    Mishap.WORKSPACE_DENIED: named(403, "Workspace.AccessDenied", "Workspace access denied."),
    Mishap.UNPURCHASED: named(
        403,
        "AccessDenied.Unpurchased",
        "Access to model denied. Please make sure you are eligible for using the model.",
        Shape.GATEWAY,
    ),
    Mishap.TOO_LARGE: TOO_LARGE,
}

OTHERS = (
    invalid("Required body invalid, please check the request body format."),
    WRONG_KEY,
    NO_MODEL,
    NO_INPUT,
    MODEL_DENIED,
    NO_SUCH_PATH,
    model_not_found("xxx"),
    model_not_supported("xxx"),
    bad_seed("'seed' must be Integer"),
    cannot_think("xxx"),
    named(400, "InvalidURL", "The provided URL does not appear to be valid. Ensure it is correctly formatted."),
    named(400, "UnsupportedOperation", "The operation is unsupported on the referee object."),
    named(400, "CustomRoleBlocked", "Input or output data may contain inappropriate content with custom rule."),
    named(400, "FaqRuleBlocked", "Input or output data is blocked by faq rule."),
    named(400, "IPInfringementSuspect", "Input data is suspected of being involved in IP infringement."),
    named(400, "BadRequest.EmptyParameters", 'Required parameter "parameters" missing from request.'),
    named(400, "BadRequest.IllegalInput", "The input parameter requires json format."),
    named(
        401,
        "NOT AUTHORIZED",
        "Access denied: Either you are not authorized to access this workspace, or the workspace does not exist.",
        Shape.FRONT,
    ),
    named(403, "Endpoint.AccessDenied", "Workspace endpoint access denied."),
    named(403, "App.AccessDenied", "App access denied."),
    named(403, "access_denied", "Access denied.", native=("AccessDenied", "")),
    named(
        403,
        "NoPermission",
        "You are not authorized to do this operation. Action: sfm:CreateSession;Resource: acs:sfm::xxx:* (1-1).",
    ),
    named(404, "WorkSpaceNotFound", "WorkSpace can not be found."),
    named(408, "RequestTimeOut", "Request timed out, please try again later."),
    named(409, "Conflict", "Model instance is conflict, please check the request."),
    named(429, "Throttling", "Requests throttling triggered.", Shape.FRONT),
    named(
        429,
        "LimitRequests",
        "You have exceeded your current request limit.",
        Shape.FRONT,
    ),
    named(
        429,
        "Throttling.ResourceExhausted",
        "An error occurred in model serving, error message is: [Too many requests.]",
    ),
    named(429, "Throttling.Concurrency", "Too many concurrent requests. Please try again later.", Shape.FRONT),
    named(429, "Throttling.ServiceOverloaded", "Too many requests in route. Please try again later.", Shape.FRONT),
    named(429, "CommodityNotPurchased", "Commodity has not purchased yet."),
    named(429, "PrepaidBillOverdue", "The prepaid bill is overdue."),
    named(429, "PostpaidBillOverdue", "The postpaid bill is overdue."),
    named(429, "BudgetLimitExceeded", "The budget limit has been exceeded."),
    named(500, "internal_server_error", "inference internal error.", native=("InternalError.Algo", "")),
    named(500, "SystemError", "An system error has occured, please try again later."),
    named(500, "ModelServiceFailed", "Failed to request model service."),
)
