"""An outcome as a line of its workspace's output file, and such a line read back.

Two forms are written: batchrun's own, and (``[output] form = "openai-batch"``) OpenAI Batch result lines, whose extra object
``batchrun`` holds what a resume and the statement need. Both are read, whichever the job asks for today.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from operator import attrgetter, itemgetter
from typing import Any, Literal, NamedTuple

import orjson

from batchrun.core.ledger.seal import FIELD, is_whole, sealed
from batchrun.core.model import Answered, Call, Charges, Exhausted, Failure, Money, Outcome, Rejected, Reply, Usage, named_tuple

Form = Literal["batchrun", "openai-batch"]

_FIELDS = frozenset(
    {
        *("id", "workspace", "model", "outcome", "digest", "metadata", "content", "finish_reason", "usage", "request_id", "reasoning"),
        *("tool_calls", "choices", "parsed", "first_token_ms", "response", "failure", "attempt", "attempts", "started_at", "latency_ms"),
        *("cost", "custom_id", "error", "batchrun", FIELD),
    }
)
_WRITTEN_SIZE = len("2026-11-24T08:00:00.000+00:00")
_written_marks, _MARKS = itemgetter(4, 7, 13, 16, 19), ("-", "-", ":", ":", ".")
_OF_FAILURE = ("code", "status", "message", "advice")
_NO_FAILURE = (None,) * len(_OF_FAILURE)
_USUALLY = 5
"""Fields of a usage: four counts and what the provider said."""
_RARER = ("cache_creation_tokens", "image_tokens", "audio_tokens", "video_tokens", "output_audio_tokens", "searches")
_rarer = attrgetter(*_RARER)
_NONE_OF_THEM = (0,) * len(_RARER)


class Entry(NamedTuple):
    """What the ledger knows of a row: enough to resume and to account for it."""

    id: str
    workspace: str
    model: str
    outcome: Literal["answered", "rejected", "exhausted"]
    digest: str
    attempt: str | None
    usage: Usage | None
    cost: Money | None = None
    """As it was when the entry was written."""
    has_cost: bool = False
    """Whether the line says what it cost, be it that this is unknown; older lines say nothing."""
    started_at: float | None = None
    """Wall time, seconds since the epoch, of the last attempt."""
    latency_ms: float | None = None
    first_token_ms: float | None = None
    finish_reason: str | None = None
    attempts: int = 0
    code: str | None = None
    """Of its failure."""
    metadata: Any = None
    status: int | None = None
    """Of its failure."""
    message: str | None = None
    """The provider's."""
    advice: str | None = None
    unknown: tuple[str, ...] = ()
    """Fields of its line that a newer version must have written."""


class NotAnEntryError(ValueError):
    """A whole line that is no entry: damage, or another program's file."""


class ChangedError(NotAnEntryError):
    """A line that is no longer what was written."""


def write_entry(outcome: Outcome, form: Form, *, raw: bool, cost: Money | None = None) -> bytes:
    """One line, newline included; *raw* keeps the provider's body in batchrun's own form (the other always has it).

    *cost* is what its tokens cost; None where that is unknown.
    """
    fields = _openai_batch(outcome, cost) if form == "openai-batch" else _own(outcome, cost, raw=raw)
    return sealed(orjson.dumps(fields))


def read_entry(line: bytes) -> Entry:
    """Read a line of results.jsonl or errors.jsonl back; raise NotAnEntryError for anything that is not one."""
    try:
        fields = orjson.loads(line)
        batch = "custom_id" in fields
        own = fields["batchrun"] if batch else fields
        unknown = _strange(line, fields, own)
        told = own.get
        named = row_id, workspace, model, digest = fields["custom_id" if batch else "id"], own["workspace"], own["model"], own["digest"]
        attempt, attempts = told("attempt"), told("attempts")
        for text in named:
            if type(text) is not str:
                _string(text)
        of_call = (
            None if attempt is None else _string(attempt),
            read_usage(told("usage")),
            read_cost(told("cost")),
            "cost" in own,
            _moment(told("started_at")),
            _number(told("latency_ms")),
            _number(told("first_token_ms")),
            _finish_reason(fields, own, batch=batch),
            attempts if type(attempts) is int else 0,
        )
        failure = told("failure")
        code, status, message, advice = (failure.get(name) for name in _OF_FAILURE) if failure else _NO_FAILURE
        outcome = _outcome(told("outcome", "answered"))
        values = (row_id, workspace, model, outcome, digest, *of_call, code, told("metadata"), status, message, advice, unknown)
        entry = named_tuple(Entry, values)
    except ChangedError:
        raise
    except NotAnEntryError as error:
        raise NotAnEntryError(f"not an entry: {error}") from None
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise NotAnEntryError(f"not an entry ({type(error).__name__})") from None
    return entry


_UNREAD_REST = Entry("", "", "", "answered", "", None, None)[7:]
_resumed = itemgetter("id", "workspace", "model", "digest", "attempt", "usage")
UNREAD = Usage(0, 0)
"""Stands for tokens that were told, and not looked at."""


Sealed = tuple[str, str, str, str, str, bool]
"""Of an answer: id, workspace, model, digest, attempt, and whether tokens were told."""


def sealed_answer(line: bytes) -> Sealed | None:
    """Take what a resume needs out of a sealed answer in batchrun's own form; None where the line is anything else."""
    try:
        fields = orjson.loads(line)
        row_id, workspace, model, digest, attempt, usage = _resumed(fields)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    if not (type(row_id) is type(workspace) is type(model) is type(digest) is type(attempt) is str):
        return None
    if FIELD in fields and "outcome" not in fields and "custom_id" not in fields and _FIELDS.issuperset(fields) and is_whole(line):
        return row_id, workspace, model, digest, attempt, usage is not None
    return None


def entry_of_sealed(told: Sealed) -> Entry:
    """What such an answer is read as."""
    row_id, workspace, model, digest, attempt, spent = told
    return named_tuple(Entry, (row_id, workspace, model, "answered", digest, attempt, UNREAD if spent else None, *_UNREAD_REST))


def _strange(line: bytes, fields: Any, own: Any) -> tuple[str, ...]:
    """The fields that are not known here; raises ChangedError where the line is not what was written."""
    known = _FIELDS.issuperset(fields) and (own is fields or _FIELDS.issuperset(own))
    unknown = () if known else tuple(sorted({*fields, *own} - _FIELDS))
    if FIELD in fields and not is_whole(line):
        raise ChangedError(f"was changed after it was written: its {FIELD} is not that of its text")
    if unknown and FIELD not in fields:
        # No version has written such a line: one that is newer than this seals what it writes.
        raise ChangedError(f"was changed after it was written: there is no field {unknown[0]!r}")
    return unknown


def usage_fields(usage: Usage) -> dict[str, Any]:
    """Return *usage* as an entry tells it: four counts, others where there is anything to tell, and the provider's object as ``raw``."""
    fields: dict[str, Any] = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_tokens": usage.cached_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
    }
    if (rarer := _rarer(usage)) != _NONE_OF_THEM:
        fields.update((name, count) for name, count in zip(_RARER, rarer, strict=True) if count)
    fields["raw"] = usage.raw
    return fields


def read_usage(fields: Any) -> Usage | None:
    """Read back what `usage_fields` wrote; raises NotAnEntryError, a ValueError, for a count that is none."""
    if fields is None:
        return None
    counts = fields["input_tokens"], fields["output_tokens"], fields["cached_tokens"], fields["reasoning_tokens"]
    # By its type, not isinstance: true is no count.
    for count in counts:
        if type(count) is not int or count < 0:
            raise NotAnEntryError("a token count that is none")
    if len(fields) == _USUALLY and "raw" in fields:
        return Usage(*counts, fields["raw"])
    return Usage(*counts, fields.get("raw"), **{name: _count(fields[name]) for name in _RARER if name in fields})


def cost_fields(cost: Money | None) -> dict[str, Any] | None:
    """Return *cost* as a line tells it: exact, amounts and prices in text, and what it is made of where that is known."""
    if cost is None:
        return None
    fields: dict[str, Any] = {"currency": cost.currency, "amount": _plain(cost.amount)}
    if (made_of := cost.charges) is not None:
        fields["charges"] = {meter: [tokens, _plain(price)] for meter, tokens, price in made_of.meters}
        for name, plain in _PLAINLY.items():
            if (value := getattr(made_of, name)) != plain:
                fields[name] = _plain(value)
    return fields


def read_cost(fields: Any) -> Money | None:
    """Read back what `cost_fields` wrote; raises a ValueError, TypeError, KeyError or ArithmeticError for anything else."""
    if fields is None:
        return None
    amount = _decimal(fields["amount"])
    charges = None if fields.get("charges") is None else _charges(fields, fields["charges"])
    return Money(_string(fields["currency"]), amount, charges)


_PLAINLY = {"discount": Decimal(0), "share": Decimal(1), "saved": Decimal(0)}
"""Of charges: what a line leaves out."""


def _charges(fields: Any, written: Any) -> Charges:
    meters = tuple([(meter, _count(tokens), _price(price)) for meter, (tokens, price) in written.items()])
    if "discount" not in fields and "share" not in fields and "saved" not in fields:
        return Charges(meters)
    discount, share = (_price(fields[name]) if name in fields else _PLAINLY[name] for name in ("discount", "share"))
    return Charges(meters, discount, share, Decimal(_string(fields.get("saved", "0"))))


def _plain(value: Decimal) -> str:
    # The same as with "f" while there is no exponent, and made in half the time.
    text = str(value)
    return format(value, "f") if "E" in text else text


def _decimal(text: object) -> Decimal:
    value = Decimal(_string(text))
    if not value.is_finite() or value < 0:
        raise NotAnEntryError("an amount that is none")
    return value


# Prices are few, and each stands in millions of lines. What is no text is no key either, or is refused inside.
_price = lru_cache(maxsize=4096)(_decimal)


def _count(value: object) -> int:
    if type(value) is int and value >= 0:
        return value
    raise NotAnEntryError("a token count that is none")


def _moment(text: Any) -> float | None:
    if text is None:
        return None
    # As `_written` writes it: a minute has thousands of entries.
    if len(text) == _WRITTEN_SIZE and _written_marks(text) == _MARKS and text[23:] == "+00:00" and text.isascii():
        seconds, millis = text[17:19], text[20:23]
        if millis.isdecimal() and seconds.isdecimal() and seconds < "60":
            return ((_minute_of(text[:16]) + int(seconds)) * 1000 + int(millis)) / 1000
    return datetime.fromisoformat(text).timestamp()


@lru_cache(maxsize=256)
def _minute_of(text: str) -> int:
    return round(datetime.fromisoformat(text + "+00:00").timestamp())


def _number(value: Any) -> float | None:
    if value is None or type(value) is float:
        return value
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _finish_reason(fields: Any, own: Any, *, batch: bool) -> str | None:
    if not batch:
        told = own.get("finish_reason")
    else:
        choices = ((fields.get("response") or {}).get("body") or {}).get("choices") or [{}]
        told = choices[0].get("finish_reason")
    return told if isinstance(told, str) else None


def _own(outcome: Outcome, cost: Money | None, *, raw: bool) -> dict[str, Any]:
    row, call = outcome.row, outcome.call
    fields: dict[str, Any] = {"id": row.id, "workspace": row.workspace, "model": row.model}
    if isinstance(outcome, Answered):
        _tell_answer(fields, outcome.reply)
    else:
        fields["outcome"] = _kind(outcome)
        _tell_failure(fields, outcome.failure)
    _tell_call(fields, call)
    fields["cost"] = None if cost is None else cost_fields(cost)
    fields["digest"] = row.digest
    fields["metadata"] = row.metadata
    if raw and isinstance(outcome, Answered):
        fields["response"] = _as_it_came(outcome.reply)
    return fields


def _openai_batch(outcome: Outcome, cost: Money | None) -> dict[str, Any]:
    row, call = outcome.row, outcome.call
    own: dict[str, Any] = {"workspace": row.workspace, "model": row.model, "outcome": _kind(outcome)}
    _tell_call(own, call)
    own |= {"cost": cost_fields(cost), "digest": row.digest, "metadata": row.metadata}
    if isinstance(outcome, Answered):
        request_id = outcome.reply.request_id
        own["usage"] = usage_fields(outcome.reply.usage) if outcome.reply.usage else None
        own |= {name: value for name in ("parsed", "first_token_ms") if (value := getattr(outcome.reply, name)) is not None}
        told: dict[str, Any] = {"response": _response(200, request_id, _as_it_came(outcome.reply)), "error": None}
    else:
        failure = outcome.failure
        request_id = failure.request_id
        _tell_failure(own, failure)
        error = {"code": failure.code, "message": failure.message}
        told = {"response": _response(failure.status, request_id, {"error": error}) if failure.status else None, "error": error}
    name = request_id or (call.attempt if call else row.id)
    return {"id": f"batch_req_{name}", "custom_id": row.id, **told, "batchrun": own}


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
    if reply.reasoning:
        fields["reasoning"] = reply.reasoning
    if reply.tool_calls:
        fields["tool_calls"] = reply.tool_calls
    if reply.choices:
        fields["choices"] = reply.choices
    if reply.parsed is not None:
        fields["parsed"] = reply.parsed
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
    fields["started_at"] = _written(call.started_at)
    fields["latency_ms"] = call.latency_ms


@lru_cache(maxsize=1024)
def _written(moment: float) -> str:
    """ISO 8601 in UTC, to the millisecond below. Calls that go in one turn begin at one moment."""
    second, micros = divmod(round(moment * 1e6), 1_000_000)
    return f"{_second(second)}.{micros // 1000:03d}+00:00"


@lru_cache(maxsize=64)
def _second(second: int) -> str:
    # A second has thousands of entries.
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _kind(outcome: Outcome) -> str:
    match outcome:
        case Answered():
            return "answered"
        case Rejected():
            return "rejected"
        case Exhausted():
            return "exhausted"


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise NotAnEntryError("a field that must be text is not")
    return value


def _outcome(value: object) -> Literal["answered", "rejected", "exhausted"]:
    if value in {"answered", "rejected", "exhausted"}:
        return value
    raise NotAnEntryError("an unknown outcome")
