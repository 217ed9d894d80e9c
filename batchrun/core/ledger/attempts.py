"""The lines of attempts.log: each attempt noted before it is sent and when it ends, so that a crash leaves its doubt behind.

An attempt that starts and never ends, or that broke after it was sent, may have been billed. Its start line says how much that can be
at the most: a token is at least one byte of the body, what the body does not hold has a bound of its own (MOST_TOKENS_OF_MEDIA, and
`brought_in.py`), and the answer ends at the limit the request sets, or at ASSUMED_OUTPUT_TOKENS where it sets none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

from batchrun.core.ledger.cost_fields import cost_fields, read_cost
from batchrun.core.ledger.seal import FIELD, is_whole, sealed
from batchrun.core.ledger.usage_fields import read_usage, usage_fields
from batchrun.core.model import Failure, Money, Reply, Row, Usage, named_tuple
from batchrun.core.rows.families import thinks_only_when_asked
from batchrun.core.rows.parts import Kind

_FIELDS = frozenset(
    {"opening", "at", "start", "workspace", "model", "id", "most", "end", "verdict", "code", "status", "usage", "cost", "doubt", "metadata"}
)
_PLAIN_END = 4
"""Fields of the end of an answer: its name, when, the verdict, and the seal."""
ASSUMED_OUTPUT_TOKENS = 32_768
"""The longest answer, reasoning included, that a call without a limit is taken to be billed for. Reasoning that it sets a limit of its own
to is not included: a row may ask for more of it than this."""
MOST_ANSWERED = 10**9
"""A request that lets an answer be longer gets none as long: what many of them may be billed for together must stay a number of 64 bits."""

MOST_TOKENS_OF_MEDIA: Mapping[Kind, int] = MappingProxyType({"image": 16_384, "audio": 131_072, "video": 131_072})
"""What one image costs at its highest resolution (vl_high_resolution_images), and what fits a model's context of a sound or a video."""


class Bound(NamedTuple):
    """Tokens that a call can be billed for at the most."""

    input_tokens: int
    output_tokens: int


class Opened(NamedTuple):
    """The run was opened: later attempts are named after this number."""

    opening: int
    boot: str | None = None
    """Which start of which machine it was opened in; None where no calls are promised."""
    at: float = 0.0
    """Wall time, seconds since the epoch."""


class Promise(NamedTuple):
    """Calls of a workspace and model that the opening may make in all, with so many tokens at the most."""

    workspace: str
    model: str
    calls: int
    input_tokens: int
    output_tokens: int


class Promised(NamedTuple):
    """No more calls are sent than these until another such line says so; later lines of the log may be lost with a machine."""

    promises: tuple[Promise, ...]
    at: float


class Closed(NamedTuple):
    """The opening ended, and all its lines stand on the disk."""


class ReadIn(NamedTuple):
    """No line: all have been read, in this start of this machine."""

    boot: str


class Started(NamedTuple):
    """An attempt is about to be sent."""

    name: str
    workspace: str
    model: str
    row_id: str
    bound: Bound
    at: float = 0.0
    """Wall time, seconds since the epoch."""


Most = Callable[[Started], Money | None]
"""What a call costs at the most, by what held when it was made; None where that is unknown."""


class Ended(NamedTuple):
    """An attempt came back."""

    name: str
    verdict: str
    in_doubt: bool
    usage: Usage | None
    """Tokens of an attempt that has no entry of its own."""
    cost: Money | None = None
    """Of those tokens; None where it is unknown."""
    at: float = 0.0
    """Wall time, seconds since the epoch."""
    code: str | None = None
    status: int | None = None
    metadata: Any = None
    """Of its row, where there is usage or doubt that no entry tells of."""
    has_metadata: bool = False
    """Whether the line tells it, be it that there is none; older lines do not."""


def most_asked(tokens: int, media: Iterable[Kind] = ()) -> int:
    """Input tokens at the most of a chat request: *tokens* at the most of its text and what it brings in, and those of its *media*."""
    return tokens + sum([MOST_TOKENS_OF_MEDIA[kind] for kind in media]) if media else tokens


def most_answered(body: Mapping[str, Any]) -> int:
    """Output tokens of a chat request at the most, whatever its messages."""
    answers = body.get("n")
    return min(_longest_answer(body) * (1 if answers is None else as_limit(answers) or 1), MOST_ANSWERED)


def _longest_answer(body: Mapping[str, Any]) -> int:
    if whole := as_limit(body.get("max_completion_tokens")):
        return whole
    said, thought = as_limit(body.get("max_tokens")), as_limit(body.get("thinking_budget"))
    if said is None and thought is None:
        return ASSUMED_OUTPUT_TOKENS
    # max_tokens caps the answer and not the reasoning, which has a cap of its own where it is asked for.
    asked, model = body.get("enable_thinking"), body.get("model")
    thinks = asked is not False and not (asked is None and isinstance(model, str) and thinks_only_when_asked(model))
    return (said or ASSUMED_OUTPUT_TOKENS) + (thought or ASSUMED_OUTPUT_TOKENS if thinks else 0)


def as_limit(value: object) -> int | None:
    """*value* of a request where it is a limit: anything else the provider refuses, or takes for no limit."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


Line = Opened | Started | Ended | Promised | Closed | ReadIn | None
"""What a reader of the log is given; None for a line that cannot be read."""


def opened_line(opening: int, at: float, boot: str | None = None) -> bytes:
    """Return the line that begins an opening; *at* is wall time."""
    return sealed(orjson.dumps({"opening": opening, "at": at} | ({} if boot is None else {"boot": boot})))


def promised_line(promises: Iterable[Promise], at: float) -> bytes:
    """Return the line that must stand on the disk before calls are sent that no earlier one allows for."""
    return sealed(orjson.dumps({"promised": [[*each] for each in promises], "at": at}))


def closed_line(at: float) -> bytes:
    """Return the line that ends an opening whose lines all stand on the disk."""
    return sealed(orjson.dumps({"closed": True, "at": at}))


def started_line(name: str, at: float, row: Row, most: Bound) -> bytes:
    """Return the line written before an attempt is sent."""
    fields = {"start": name, "at": at, "workspace": row.workspace, "model": row.model, "id": row.id, "most": [*most]}
    return sealed(orjson.dumps(fields))


def ended_line(
    name: str, at: float, verdict: str, result: Reply | Failure, cost: Money | None = None, *, metadata: Any = None
) -> bytes:  # fmt: skip
    """Return the line written when an attempt has come back; *cost* is that of its tokens, None where that is unknown.

    *metadata* is its row's. It stands in lines that tell usage or doubt, so that those can be attributed as entries are.
    """
    fields: dict[str, Any] = {"end": name, "at": at, "verdict": verdict}
    if isinstance(result, Reply):
        if result.usage is None:
            fields["doubt"] = True
    else:
        fields |= {"code": result.code, "status": result.status}
        # A final failure's usage stands in its entry.
        if result.usage is not None and verdict not in {"rejected", "exhausted"}:
            fields |= {"usage": usage_fields(result.usage), "cost": cost_fields(cost)}
        if result.in_doubt and result.usage is None:
            fields["doubt"] = True
    if "usage" in fields or "doubt" in fields:
        fields["metadata"] = metadata
    return sealed(orjson.dumps(fields))


def read_attempt(line: bytes) -> Line:
    """Read a line back; None for one that cannot be read (a lost machine can leave such lines)."""
    try:
        fields = orjson.loads(line)
        # A line that has no seal is older than these fields' last; one of a newer version may have others.
        has_seal = FIELD in fields
        if not is_whole(line) if has_seal else not _FIELDS.issuperset(fields):
            return None
        if "start" in fields:
            name, workspace, model, row_id, at = fields["start"], fields["workspace"], fields["model"], fields["id"], fields["at"]
            most_input, most_output = fields["most"]
            if not (
                type(name) is type(workspace) is type(model) is type(row_id) is str
                and (type(most_input) is type(most_output) is int and most_input >= 0 and most_output >= 0)
            ):
                return None
            most = named_tuple(Bound, (most_input, most_output))
            return named_tuple(Started, (name, workspace, model, row_id, most, at if type(at) is float else _moment(at)))
        if "end" in fields:
            return _ended(fields, plainly=has_seal and len(fields) == _PLAIN_END)
        return _of_the_opening(fields)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError, ArithmeticError):
        return None


def _of_the_opening(fields: Mapping[str, Any]) -> Opened | Promised | Closed:
    if "promised" in fields:
        return Promised(tuple(_promise(*each) for each in fields["promised"]), _moment(fields["at"]))
    if "closed" in fields:
        return Closed()
    boot, at = fields.get("boot"), fields.get("at")
    return Opened(_whole(fields["opening"]), None if boot is None else _text(boot), at if type(at) is float else 0.0)


def _promise(workspace: object, model: object, calls: object, input_tokens: object, output_tokens: object) -> Promise:
    return Promise(_text(workspace), _text(model), _whole(calls), _whole(input_tokens), _whole(output_tokens))


def _ended(fields: Any, *, plainly: bool) -> Ended:
    name, verdict, at = fields["end"], fields["verdict"], fields["at"]
    if not (type(name) is type(verdict) is str and type(at) is float):
        name, verdict, at = _text(name), _text(verdict), _moment(at)
    if plainly:
        return named_tuple(Ended, (name, verdict, False, None, None, at, None, None, None, False))
    doubt = fields.get("doubt", False) is not False
    usage, cost = read_usage(fields.get("usage")), read_cost(fields.get("cost"))
    told = fields.get("code"), fields.get("status"), fields.get("metadata"), "metadata" in fields
    return Ended(name, verdict, doubt, usage, cost, at, *told)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise TypeError


def _moment(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise TypeError


def _whole(value: object) -> int:
    if type(value) is int and value >= 0:
        return value
    raise TypeError


def opening_of(name: str) -> int:
    """Tell the opening from an attempt's name; 0 from a name that has none.

    A lost machine can lose an opening's line and keep entries of it: the next one must not be numbered, and name its attempts, the same.
    """
    number, _, _ = name.partition("-")
    return int(number) if number.isascii() and number.isdecimal() else 0
