"""An error answer as the provider gives it: a status, a code, and a body whose shape tells which floor answered, in both dialects."""

from __future__ import annotations

from enum import Enum

import orjson

from batchrun.core.classes import value


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


@value
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


def named(status: int, code: str, message: str, shape: Shape = Shape.ROUTED, *, native: tuple[str, str] = ("", "")) -> Refusal:
    """Make one whose type is its code, as of most; *native* are its code and message on the native routes, where they are others."""
    return Refusal(status, code, code, message, shape, *native)


def invalid(message: str) -> Refusal:
    """A parameter out of its range, as the model's floor says it."""
    return Refusal(400, "invalid_parameter_error", "invalid_request_error", message, Shape.MODEL, "InvalidParameter")
