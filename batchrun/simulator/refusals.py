"""The provider's error answers, to the letter: status, codes, messages and the shape of the body around them, in both dialects."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from itertools import chain

import orjson

from batchrun.simulator.scenario import Mishap, PlannedFault

_HELP = " For details, see: https://help.aliyun.com/zh/model-studio/error-code#"


class Shape(Enum):
    """Which floor of the provider answered, which decides what stands in a compatible body and in which order.

    Seen in recorded answers of 2024 to 2026: the doors in front answer without an ``id``; what comes after the model was found has one;
    newer gateways put it inside the error.
    """

    FRONT = "A"
    ROUTED = "B"
    GATEWAY = "C"
    MODEL = "model"
    """As B, the code first."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error answer; its twin on the native routes has a code, and often a message, of its own."""

    status: int
    code: str
    type: str
    message: str
    shape: Shape
    native_code: str = ""
    """Empty where it is the same."""
    native_message: str = ""
    """Empty where it is the same."""

    @property
    def by_the_door(self) -> bool:
        """The key was refused: such answers carry no x-dashscope headers."""
        return self.status == 401

    def code_for(self, *, native: bool) -> str:
        """The code as the route's dialect has it."""
        return self.native_code if native and self.native_code else self.code

    def body(self, request_id: str, *, native: bool = False) -> bytes:
        """The JSON body for one call."""
        if native:
            return orjson.dumps(
                {"code": self.code_for(native=True), "message": self.native_message or self.message, "request_id": request_id}
            )
        match self.shape:
            case Shape.FRONT:
                return orjson.dumps({"error": self.error(), "request_id": request_id})
            case Shape.ROUTED:
                return orjson.dumps({"error": self.error(), "id": f"chatcmpl-{request_id}", "request_id": request_id})
            case Shape.GATEWAY:
                return orjson.dumps({"error": {"message": self.message, "id": request_id, "type": self.type, "code": self.code}})
            case Shape.MODEL:
                error = {"code": self.code, "param": None, "message": self.message, "type": self.type}
                return orjson.dumps({"error": error, "id": f"chatcmpl-{request_id}", "request_id": request_id})

    def error(self) -> dict[str, str | None]:
        """The error object as the compatible doors in front, and streams, put it."""
        return {"message": self.message, "type": self.type, "param": None, "code": self.code}

    def compat_frame(self) -> bytes:
        """The event of a compatible stream that fails."""
        return b"data: %b\n\n" % orjson.dumps({"error": self.error()})

    def frame(self, request_id: str, number: int = 1) -> bytes:
        """The native event of a stream that fails; the status is the one the call would have had without a stream."""
        return b"id:%d\nevent:error\n:HTTP_STATUS/%d\ndata:%b\n\n" % (number, self.status, self.body(request_id, native=True))


def _named(status: int, code: str, message: str, shape: Shape = Shape.ROUTED, *, native: tuple[str, str] = ("", "")) -> Refusal:
    """Most errors repeat their code as their type."""
    return Refusal(status, code, code, message, shape, *native)


def invalid(message: str) -> Refusal:
    """A parameter out of its range, as the model's floor says it."""
    return Refusal(400, "invalid_parameter_error", "invalid_request_error", message, Shape.MODEL, "InvalidParameter")


WRONG_KEY = Refusal(
    401,
    "invalid_api_key",
    "invalid_request_error",
    f"Incorrect API key provided.{_HELP}apikey-error",
    Shape.FRONT,
    "InvalidApiKey",
    "Invalid API-key provided.",
)
ARREARAGE = _named(
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
NO_MODEL = _named(
    400,
    "invalid_request_error",
    "you must provide a model parameter.",
    Shape.FRONT,
    native=("BadRequest.EmptyModel", 'Required parameter "model" missing from request.'),
)
NO_INPUT = _named(400, "BadRequest.EmptyInput", "Required input parameter missing from request.")
MODEL_DENIED = _named(403, "Model.AccessDenied", "Model access denied.", Shape.MODEL)
NO_SUCH_PATH = _named(404, "NotFound", "Not Found", Shape.FRONT)
TOO_LARGE = _named(413, "BadRequest.TooLarge", "Payload Too Large.", Shape.FRONT)
ASYNCHRONOUS = _named(403, "AccessDenied", "current user api does not support asynchronous calls.")
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
    Mishap.THROTTLE: _named(
        429,
        "limit_requests",
        "You exceeded your current requests list.",
        Shape.FRONT,
        native=("Throttling.RateQuota", "Requests rate limit exceeded, please try again later."),
    ),
    Mishap.BURST: _named(
        429,
        "limit_burst_rate",
        "Request rate increased too quickly. To ensure system stability, please adjust your client logic to scale requests more "
        "smoothly over time.",
        Shape.FRONT,
        native=("Throttling.BurstRate", ""),
    ),
    Mishap.TOKEN_QUOTA: _named(
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
    Mishap.INTERNAL: _named(
        500,
        "internal_error",
        "An internal error has occured, please try again later or contact service support.",
        native=("InternalError", ""),
    ),
    Mishap.UNAVAILABLE: _named(503, "ModelUnavailable", "Model is unavailable, please try again later."),
    Mishap.SERVING: _named(
        503,
        "ModelServingError",
        "Too many requests. Your requests are being throttled due to system capacity limits. Please try again later.",
    ),
    Mishap.TIMEOUT_500: _named(
        500,
        "InternalError.Timeout",
        "An internal timeout error has occured during execution, please try again later or contact service support.",
    ),
    Mishap.INSPECTION: _named(
        400,
        "data_inspection_failed",
        "Input data may contain inappropriate content.",
        Shape.MODEL,
        native=("DataInspectionFailed", ""),
    ),
    Mishap.FREE_TIER: _named(403, "AllocationQuota.FreeTierOnly", _FREE_TIER),
    Mishap.NO_QUOTA_403: _named(403, "insufficient_quota", _FREE_TIER, Shape.GATEWAY, native=("AllocationQuota.FreeTierOnly", "")),
    Mishap.ARREARAGE: ARREARAGE,
    Mishap.WORKSPACE_DENIED: _named(403, "Workspace.AccessDenied", "Workspace access denied."),
    Mishap.UNPURCHASED: _named(
        403,
        "AccessDenied.Unpurchased",
        "Access to model denied. Please make sure you are eligible for using the model.",
        Shape.GATEWAY,
    ),
    Mishap.TOO_LARGE: TOO_LARGE,
}

_OTHERS = (
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
    _named(400, "InvalidURL", "The provided URL does not appear to be valid. Ensure it is correctly formatted."),
    _named(400, "UnsupportedOperation", "The operation is unsupported on the referee object."),
    _named(400, "CustomRoleBlocked", "Input or output data may contain inappropriate content with custom rule."),
    _named(400, "FaqRuleBlocked", "Input or output data is blocked by faq rule."),
    _named(400, "IPInfringementSuspect", "Input data is suspected of being involved in IP infringement."),
    _named(400, "BadRequest.EmptyParameters", 'Required parameter "parameters" missing from request.'),
    _named(400, "BadRequest.IllegalInput", "The input parameter requires json format."),
    _named(
        401,
        "NOT AUTHORIZED",
        "Access denied: Either you are not authorized to access this workspace, or the workspace does not exist.",
        Shape.FRONT,
    ),
    _named(403, "Endpoint.AccessDenied", "Workspace endpoint access denied."),
    _named(403, "App.AccessDenied", "App access denied."),
    _named(403, "access_denied", "Access denied.", native=("AccessDenied", "")),
    _named(
        403,
        "NoPermission",
        "You are not authorized to do this operation. Action: sfm:CreateSession;Resource: acs:sfm::xxx:* (1-1).",
    ),
    _named(404, "WorkSpaceNotFound", "WorkSpace can not be found."),
    _named(408, "RequestTimeOut", "Request timed out, please try again later."),
    _named(409, "Conflict", "Model instance is conflict, please check the request."),
    _named(429, "Throttling", "Requests throttling triggered.", Shape.FRONT),
    _named(
        429,
        "LimitRequests",
        "You have exceeded your current request limit.",
        Shape.FRONT,
    ),
    _named(
        429,
        "Throttling.ResourceExhausted",
        "An error occurred in model serving, error message is: [Too many requests.]",
    ),
    _named(429, "Throttling.Concurrency", "Too many concurrent requests. Please try again later.", Shape.FRONT),
    _named(429, "Throttling.ServiceOverloaded", "Too many requests in route. Please try again later.", Shape.FRONT),
    _named(429, "CommodityNotPurchased", "Commodity has not purchased yet."),
    _named(429, "PrepaidBillOverdue", "The prepaid bill is overdue."),
    _named(429, "PostpaidBillOverdue", "The postpaid bill is overdue."),
    _named(429, "BudgetLimitExceeded", "The budget limit has been exceeded."),
    _named(500, "internal_server_error", "inference internal error.", native=("InternalError.Algo", "")),
    _named(500, "SystemError", "An system error has occured, please try again later."),
    _named(500, "ModelServiceFailed", "Failed to request model service."),
)

_BY_CODE: dict[str, Refusal] = {}
for _each in chain(THROTTLES.values(), FAILURES.values(), _OTHERS):
    for _code in (_each.code, _each.code_for(native=True)):
        _BY_CODE.setdefault(_code, _each)

_OUTPUT_INSPECTION = replace(FAILURES[Mishap.INSPECTION], message="Output data may contain inappropriate content.")
_STANDARD = {
    Mishap.ERROR: FAILURES[Mishap.INTERNAL],
    Mishap.ERROR_IN_200: FAILURES[Mishap.INTERNAL],
    Mishap.MISLABELLED: FAILURES[Mishap.INSPECTION],
    Mishap.STREAM_ERROR: _OUTPUT_INSPECTION,
    Mishap.STREAM_NATIVE_ERROR: THROTTLES[Mishap.TOKEN_QUOTA],
}


def named(fault: PlannedFault) -> Refusal:
    """The error that a planned fault names, by either dialect's code; what it does not say is as the provider has it."""
    known = _STANDARD[fault.kind] if fault.code is None else _BY_CODE.get(fault.code)
    if known is None:
        assert fault.code is not None
        known = _named(400, fault.code, "An error was planned.")
    if fault.message is not None:
        known = replace(known, message=fault.message, native_message="")
    return replace(known, status=fault.status or known.status, shape=Shape(fault.shape) if fault.shape else known.shape)


def refusal_of(fault: PlannedFault) -> Refusal | None:
    """The error answer that a fault is, where it is one and not something that befalls an answer."""
    if fault.kind is Mishap.ERROR:
        return named(fault)
    return THROTTLES.get(fault.kind) or FAILURES.get(fault.kind)
