"""A line of an output file read back as the entry that it stands for, whichever form and version wrote it.

What a resume or an account rests on (id, workspace, model, digest, outcome, tokens, money, when) must be what it was written as, or the
line is refused: an opening that went on from a wrong line would lose a row or pay for it twice. What only reports need (latency, finish
reason, number of attempts) is left out where it is not what it must be. A field that nobody here knows is a newer version's if the line
is sealed, and damage if it is not, for every version that may yet add one seals its lines.
"""

from __future__ import annotations

from typing import Any, Literal

import orjson

from batchrun.core.ledger import moments
from batchrun.core.ledger.cost_fields import read_cost
from batchrun.core.ledger.entry import FIELDS, ChangedError, Entry, NotAnEntryError
from batchrun.core.ledger.fields import text
from batchrun.core.ledger.seal import FIELD, is_whole
from batchrun.core.ledger.usage_fields import read_usage
from batchrun.core.model import named_tuple
from batchrun.core.rows.unfit import why_not_json

_OF_FAILURE = ("code", "status", "message", "advice")
_NO_FAILURE = (None,) * len(_OF_FAILURE)
_OF_ANOTHER_KIND = TypeError, AttributeError, ValueError, ArithmeticError
"""What comes of a field that holds a value of another kind than its reader expects."""
_NOT_ITS_KIND = "holds something else than such a field does"


def read_entry(line: bytes) -> Entry:
    """Read a line of results.jsonl or errors.jsonl back.

    Raises NotAnEntryError, which says why, for anything that is not one; of its kinds ChangedError where it was one once.
    """
    try:
        return _entry(line)
    except ChangedError:
        raise
    except NotAnEntryError as error:
        raise NotAnEntryError(f"not an entry: {error}") from None
    except orjson.JSONDecodeError:
        raise NotAnEntryError(f"not an entry: {_why_not_json(line)}") from None
    except KeyError as error:
        raise NotAnEntryError(f"not an entry: there is no field {error}") from None
    except _OF_ANOTHER_KIND:
        raise NotAnEntryError(f"not an entry: {_why_of_another_kind(orjson.loads(line))}") from None


def _why_not_json(line: bytes) -> str:
    text = line.removesuffix(b"\n")  # Columns are counted from the last line's end.
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return why_not_json(text, error)
    return "not JSON"


def _why_of_another_kind(fields: Any) -> str:
    if type(fields) is not dict:
        return "JSON, and no object"
    own = fields["batchrun"] if "custom_id" in fields else fields
    if type(own) is not dict:
        return "the field 'batchrun' is no object"
    for name, read in _READ.items():
        try:
            if (told := own.get(name)) is not None:
                read(told)
        except _OF_ANOTHER_KIND:
            return f"the field {name!r} {_NOT_ITS_KIND}"
    return f"the field 'response' {_NOT_ITS_KIND}"


def answered_by(line: bytes) -> str | None:
    """Which model the answer of an entry's *line* names, where that is another than was asked."""
    if b'"answered_by":' not in line:
        return None
    fields = orjson.loads(line)
    told = (fields["batchrun"] if "custom_id" in fields else fields).get("answered_by")
    return told if isinstance(told, str) else None


def _entry(line: bytes) -> Entry:
    fields = orjson.loads(line)
    batch = "custom_id" in fields
    own = fields["batchrun"] if batch else fields
    unknown = _strange(line, fields, own)
    told = own.get
    named = row_id, workspace, model, digest = fields["custom_id" if batch else "id"], own["workspace"], own["model"], own["digest"]
    attempt = told("attempt")
    for name in named:
        if type(name) is not str:
            text(name)
    of_call = (
        None if attempt is None else text(attempt),
        read_usage(told("usage")),
        read_cost(told("cost")),
        moments.read(told("started_at")),
        *_only_reported(fields, own, batch=batch),
    )
    failure = told("failure")
    code, status, message, advice = _failure(failure) if failure else _NO_FAILURE
    outcome = _outcome(told("outcome", "answered"))
    request_id = _request_id(fields, batch=batch) if outcome == "answered" else None
    values = (row_id, workspace, model, outcome, digest, *of_call, code, told("metadata"), status, message, advice, unknown, request_id)
    return named_tuple(Entry, values)


def _strange(line: bytes, fields: Any, own: Any) -> tuple[str, ...]:
    """The fields that are not known here; raises ChangedError where the line is not what was written."""
    known = FIELDS.issuperset(fields) and (own is fields or FIELDS.issuperset(own))
    unknown = () if known else tuple(sorted({*fields, *own} - FIELDS))
    if FIELD in fields and not is_whole(line):
        raise ChangedError(f"was changed after it was written: its {FIELD} is not that of its text")
    if unknown and FIELD not in fields:
        # No version has written such a line: one that is newer than this seals what it writes.
        raise ChangedError(f"was changed after it was written: there is no field {unknown[0]!r}")
    return unknown


def _only_reported(fields: Any, own: Any, *, batch: bool) -> tuple[float | None, float | None, str | None, int]:
    """Latency and time to the first token in milliseconds, finish reason, attempts."""
    attempts = own.get("attempts")
    latency, first_token = _number(own.get("latency_ms")), _number(own.get("first_token_ms"))
    return latency, first_token, _finish_reason(fields, own, batch=batch), attempts if type(attempts) is int else 0


def _number(value: Any) -> float | None:
    return value if type(value) is float or type(value) is int else None


def _finish_reason(fields: Any, own: Any, *, batch: bool) -> str | None:
    if not batch:
        told = own.get("finish_reason")
    else:
        body = (fields.get("response") or {}).get("body") or {}
        # A native answer's choices stand in its output, or it is one itself (result_format = "text").
        output = body.get("output")
        answer = output if output and isinstance(output, dict) and not body.get("choices") else body
        told = (answer.get("choices") or [answer])[0].get("finish_reason")
    return told if isinstance(told, str) else None


def _request_id(fields: Any, *, batch: bool) -> str | None:
    told = ((fields.get("response") or {}) if batch else fields).get("request_id")
    return told if isinstance(told, str) else None


def _outcome(value: object) -> Literal["answered", "rejected", "exhausted"]:
    if value in {"answered", "rejected", "exhausted"}:
        return value
    raise NotAnEntryError("an unknown outcome")


def _failure(told: Any) -> tuple[Any, ...]:
    return tuple(told.get(name) for name in _OF_FAILURE)


_READ = {"usage": read_usage, "cost": read_cost, "started_at": moments.read, "failure": _failure, "outcome": _outcome}
"""How the fields are read of which each holds a kind of its own."""
