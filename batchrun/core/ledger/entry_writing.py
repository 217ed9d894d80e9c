"""An outcome made into its line of an output file, in the form the job asks for (`entry.py` says what lines there are).

What stands in a line is decided here alone, and the order of its fields is kept: a file of an older run and one of today look alike. Of an
answer that only some models give (reasoning, tool calls, several choices, …) there is a field only where there is something to tell. A
whole answer that was refused (it did not fit the schema, say) is kept beside its failure: it was paid for.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import orjson

from batchrun.core.ledger.completion import as_completion
from batchrun.core.ledger.cost_fields import cost_fields
from batchrun.core.ledger.entry import Form
from batchrun.core.ledger.moments import written
from batchrun.core.ledger.seal import sealed
from batchrun.core.ledger.usage_fields import usage_fields
from batchrun.core.model import Answered, Call, Exhausted, Failure, Money, Outcome, Rejected, Reply

_rarer = attrgetter("reasoning", "tool_calls", "choices", "parsed", "answered_by", "first_token_ms", "search_info")
_NONE_OF_THEM = (None,) * 7


def write_entry(outcome: Outcome, form: Form, *, raw: bool, cost: Money | None = None) -> bytes:
    """One line, newline and seal included; *raw* keeps the provider's body (the other form always has that of the compatible route).

    *cost* is what its tokens cost; None where that is unknown.
    """
    if form == "openai-batch":
        fields = _openai_batch(outcome, cost, raw=raw)
    elif isinstance(outcome, Answered):
        fields = _own_answer(outcome, cost)
        if raw:
            fields["response"] = _as_it_came(outcome.reply)
    else:
        fields = _own_failure(outcome, cost)
    return sealed(orjson.dumps(fields))


def _own_answer(answer: Answered, cost: Money | None) -> dict[str, Any]:
    # Field by field, for nearly all that is written are these.
    row, reply, call = answer.row, answer.reply, answer.call
    fields: dict[str, Any] = {
        "id": row.id,
        "workspace": row.workspace,
        "model": row.model,
        "content": reply.content,
        "finish_reason": reply.finish_reason,
        "usage": usage_fields(reply.usage) if reply.usage else None,
        "request_id": reply.request_id,
    }
    if _rarer(reply) != _NONE_OF_THEM:
        _tell_rarer(fields, reply)
    fields |= {
        "attempt": call.attempt,
        "attempts": call.attempts,
        "started_at": written(call.started_at),
        "latency_ms": call.latency_ms,
        "cost": None if cost is None else cost_fields(cost),
        "digest": row.digest,
        "metadata": row.metadata,
    }
    return fields


def _own_failure(outcome: Rejected | Exhausted, cost: Money | None) -> dict[str, Any]:
    row = outcome.row
    fields: dict[str, Any] = {"id": row.id, "workspace": row.workspace, "model": row.model, "outcome": _kind(outcome)}
    _tell_failure(fields, outcome.failure)
    _tell_call(fields, outcome.call)
    return fields | {"cost": None if cost is None else cost_fields(cost), "digest": row.digest, "metadata": row.metadata}


def _openai_batch(outcome: Outcome, cost: Money | None, *, raw: bool) -> dict[str, Any]:
    row, call = outcome.row, outcome.call
    own: dict[str, Any] = {"workspace": row.workspace, "model": row.model, "outcome": _kind(outcome)}
    _tell_call(own, call)
    own |= {"cost": cost_fields(cost), "digest": row.digest, "metadata": row.metadata}
    request_id, told = _batch_answer(own, outcome, raw=raw) if isinstance(outcome, Answered) else _batch_failure(own, outcome.failure)
    name = request_id or (call.attempt if call else row.id)
    return {"id": f"batch_req_{name}", "custom_id": row.id, **told, "batchrun": own}


def _batch_answer(own: dict[str, Any], answer: Answered, *, raw: bool) -> tuple[str | None, dict[str, Any]]:
    reply = answer.reply
    own["usage"] = usage_fields(reply.usage) if reply.usage else None
    own |= {name: value for name in ("parsed", "answered_by", "first_token_ms") if (value := getattr(reply, name)) is not None}
    body: object = _as_it_came(reply)
    if (completion := as_completion(answer)) is not None:
        if raw:
            own["response"] = body
        body = completion
    return reply.request_id, {"response": _response(200, reply.request_id, body), "error": None}


def _batch_failure(own: dict[str, Any], failure: Failure) -> tuple[str | None, dict[str, Any]]:
    _tell_failure(own, failure)
    error = {"code": failure.code, "message": failure.message}
    response = _response(failure.status, failure.request_id, {"error": error}) if failure.status else None
    return failure.request_id, {"response": response, "error": error}


def _as_it_came(reply: Reply) -> orjson.Fragment | None:
    # Of a reply that was made and not received there is no body, and an empty one would tear the line.
    return orjson.Fragment(reply.body) if reply.body else None


def _response(status: int, request_id: str | None, body: object) -> dict[str, Any]:
    return {"status_code": status, "request_id": request_id, "body": body}


def _tell_answer(fields: dict[str, Any], reply: Reply) -> None:
    fields["content"] = reply.content
    fields["finish_reason"] = reply.finish_reason
    fields["usage"] = usage_fields(reply.usage) if reply.usage else None
    fields["request_id"] = reply.request_id
    _tell_rarer(fields, reply)


def _tell_rarer(fields: dict[str, Any], reply: Reply) -> None:
    if reply.reasoning:
        fields["reasoning"] = reply.reasoning
    if reply.tool_calls:
        fields["tool_calls"] = reply.tool_calls
    if reply.choices:
        fields["choices"] = reply.choices
    if reply.parsed is not None:
        fields["parsed"] = reply.parsed
    if reply.answered_by is not None:
        fields["answered_by"] = reply.answered_by
    if reply.search_info is not None:
        fields["search_info"] = reply.search_info
    if reply.first_token_ms is not None:
        fields["first_token_ms"] = reply.first_token_ms


def _tell_failure(fields: dict[str, Any], failure: Failure) -> None:
    fields["failure"] = {
        "fault": failure.fault,
        "code": failure.code,
        "message": failure.message,
        "advice": failure.advice,
        "status": failure.status,
        "request_id": failure.request_id,
        "in_doubt": failure.in_doubt,
    }
    if failure.reply is not None:
        # A whole answer that was refused: what was paid for is kept, whatever it is worth.
        _tell_answer(fields, failure.reply)
    if failure.usage:
        fields["usage"] = usage_fields(failure.usage)


def _tell_call(fields: dict[str, Any], call: Call | None) -> None:
    if call is None:
        fields["attempt"], fields["attempts"] = None, 0
        return
    fields["attempt"] = call.attempt
    fields["attempts"] = call.attempts
    fields["started_at"] = written(call.started_at)
    fields["latency_ms"] = call.latency_ms


def _kind(outcome: Outcome) -> str:
    match outcome:
        case Answered():
            return "answered"
        case Rejected():
            return "rejected"
        case Exhausted():
            return "exhausted"
