"""Parameters of a request, which go to the wire as they are: what could not is told when the job is read."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import AfterValidator, ValidationError

from batchrun.core.jobs.words import Wrong, shown

_MAX_DEPTH = 64
"""orjson writes 254 levels; a row that holds more would be refused only after it was read."""

_NOT_PARAMETERS = {
    "model": "the model is a key of its own, beside parameters",
    "messages": "the rows bring them",
    "stream": "stream is a key of its own, beside parameters",
}


def _parameters(parameters: dict[str, Any]) -> dict[str, Any]:
    wrongs = [unfit for name, value in parameters.items() if (unfit := _unfit_parameter(name, value))]
    if wrongs:
        raise ValidationError.from_exception_data("parameters", [one.details() for one in wrongs], hide_input=True)
    return parameters


def _unfit_parameter(name: str, value: Any) -> Wrong | None:
    if name in _NOT_PARAMETERS:
        return Wrong((name,), shown(value), f"no parameter: {_NOT_PARAMETERS[name]}")
    unfit = _unfit_for_json(value)
    return Wrong((name,), unfit, "what JSON can carry: text, numbers, true, false, lists and tables") if unfit else None


def _unfit_for_json(value: Any, depth: int = 1) -> str | None:
    """Say what in *value* could not be written to the wire: TOML has dates, ``inf`` and integers of any length."""
    match value:
        case dict() | list() if depth > _MAX_DEPTH:
            return f"something nested deeper than {_MAX_DEPTH} levels"
        case dict():
            return next((unfit for one in (*value, *value.values()) if (unfit := _unfit_for_json(one, depth + 1))), None)
        case list():
            return next((unfit for one in value if (unfit := _unfit_for_json(one, depth + 1))), None)
    return None if _fits_json(value) else shown(value)


def _fits_json(value: Any) -> bool:
    match value:
        case bool() | None:
            return True
        case int():
            return -(2**63) <= value < 2**64  # what orjson writes
        case float():
            return math.isfinite(value)
        case str():
            return not any("\ud800" <= character <= "\udfff" for character in value)
    return False


Parameters = Annotated[dict[str, Any], AfterValidator(_parameters)]
