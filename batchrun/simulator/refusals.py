"""The provider's error answers, to the letter: status, code, message and the shape of the body around them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import orjson

from batchrun.simulator.scenario import Mishap

_HELP = " For details, see: https://help.aliyun.com/zh/model-studio/error-code#"


class Shape(Enum):
    """Which floor of the provider answered, which decides what stands in the body and in which order.

    Seen in recorded answers of 2024 to 2026: the doors in front answer without an ``id``; what comes after the model was found has one.
    """

    FRONT = "front"
    ROUTED = "routed"
    MODEL = "model"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error answer."""

    status: int
    code: str
    type: str
    message: str
    shape: Shape

    @property
    def by_the_door(self) -> bool:
        """The key was refused: such answers carry no x-dashscope headers."""
        return self.status == 401

    def body(self, request_id: str) -> bytes:
        """The JSON body for one call."""
        match self.shape:
            case Shape.FRONT:
                return orjson.dumps({"error": self._message_first(), "request_id": request_id})
            case Shape.ROUTED:
                return orjson.dumps({"error": self._message_first(), "id": f"chatcmpl-{request_id}", "request_id": request_id})
            case Shape.MODEL:
                error = {"code": self.code, "param": None, "message": self.message, "type": self.type}
                return orjson.dumps({"error": error, "id": f"chatcmpl-{request_id}", "request_id": request_id})

    def _message_first(self) -> dict[str, str | None]:
        return {"message": self.message, "type": self.type, "param": None, "code": self.code}


def _named(status: int, code: str, message: str, shape: Shape) -> Refusal:
    """Most errors repeat their code as their type."""
    return Refusal(status, code, code, message, shape)


def invalid(message: str) -> Refusal:
    """A parameter out of its range, as the model's floor says it."""
    return Refusal(400, "invalid_parameter_error", "invalid_request_error", message, Shape.MODEL)


WRONG_KEY = Refusal(401, "invalid_api_key", "invalid_request_error", f"Incorrect API key provided.{_HELP}apikey-error", Shape.FRONT)
ARREARAGE = _named(
    400, "Arrearage", f"Access denied, please make sure your account is in good standing.{_HELP}overdue-payment", Shape.ROUTED
)
UNREADABLE = Refusal(
    400,
    "invalid_parameter_error",
    "invalid_request_error",
    "Required body invalid, please check the request body format.",
    Shape.FRONT,
)
NO_MODEL = _named(400, "invalid_request_error", "you must provide a model parameter.", Shape.FRONT)
MODEL_DENIED = _named(403, "Model.AccessDenied", "Model access denied.", Shape.MODEL)
NO_SUCH_PATH = _named(404, "NotFound", "Not Found", Shape.FRONT)
TOO_LARGE = _named(413, "BadRequest.TooLarge", "Payload Too Large.", Shape.FRONT)


def model_not_found(model: str) -> Refusal:
    """There is no such model, or it is hidden."""
    message = f"The model `{model}` does not exist or you do not have access to it."
    return Refusal(404, "model_not_found", "invalid_request_error", message, Shape.FRONT)


def model_not_supported(model: str) -> Refusal:
    """The model is there, but only behind the native route."""
    message = f"Unsupported model `{model}` for OpenAI compatibility mode."
    return Refusal(404, "model_not_supported", "invalid_request_error", message, Shape.FRONT)


def bad_seed(message: str) -> Refusal:
    """The seed has a code of its own, checked before the model's floor."""
    return Refusal(400, "invalid_value", "invalid_request_error", message, Shape.FRONT)


THROTTLES = {
    Mishap.THROTTLE: _named(429, "limit_requests", "You exceeded your current requests list.", Shape.FRONT),
    Mishap.BURST: _named(
        429,
        "limit_burst_rate",
        "Request rate increased too quickly. To ensure system stability, please adjust your client logic to scale requests more "
        "smoothly over time.",
        Shape.FRONT,
    ),
    Mishap.TOKEN_QUOTA: _named(
        429,
        "insufficient_quota",
        f"You exceeded your current quota, please check your plan and billing details.{_HELP}token-limit",
        Shape.FRONT,
    ),
}

FAILURES = {
    Mishap.INTERNAL: _named(
        500,
        "internal_error",
        "An internal error has occured, please try again later or contact service support.",
        Shape.ROUTED,
    ),
    Mishap.UNAVAILABLE: _named(503, "ModelUnavailable", "Model is unavailable, please try again later.", Shape.ROUTED),
    Mishap.SERVING: _named(
        503,
        "ModelServingError",
        "Too many requests. Your requests are being throttled due to system capacity limits. Please try again later.",
        Shape.ROUTED,
    ),
    Mishap.TIMEOUT_500: _named(
        500,
        "InternalError.Timeout",
        "An internal timeout error has occured during execution, please try again later or contact service support.",
        Shape.ROUTED,
    ),
    Mishap.INSPECTION: _named(400, "data_inspection_failed", "Input data may contain inappropriate content.", Shape.MODEL),
    Mishap.FREE_TIER: _named(
        403,
        "AllocationQuota.FreeTierOnly",
        "The free tier of the model has been exhausted. If you wish to continue access the model on a paid basis, please disable "
        'the "use free tier only" mode in the management console.',
        Shape.ROUTED,
    ),
    Mishap.ARREARAGE: ARREARAGE,
}
