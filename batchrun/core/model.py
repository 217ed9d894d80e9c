"""The nouns that travel from the input line to the statement.

Those that every row has several of are `value`s: frozen for the type checker and not at run time, where freezing makes their making cost
five times as much.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol, TypeVar, cast

from batchrun.core.classes import value

_T = TypeVar("_T")


class _Making(Protocol):
    def __call__(self, cls: type[_T], values: Iterable[Any], /) -> _T: ...


named_tuple = cast("_Making", tuple.__new__)
"""Makes a named tuple of all its values at once, in a third to a half of the time: a run has millions of rows and lines."""


class Fault(StrEnum):
    """What a failed attempt leads to."""

    AGAIN = "again"
    """Passing trouble: the row is tried again after a backoff, up to its last attempt."""
    THROTTLED = "throttled"
    """The provider's rate limit: no attempt is used up, the row goes back to the front."""
    REJECT = "reject"
    """Nothing would help this row."""
    PARK = "park"
    """Nothing would help any row of the scope until a person acts."""
    REASK = "reask"
    """A whole answer, paid for, that does not hold to what was asked: the row is asked again at once, told what was wrong."""


class Scope(StrEnum):
    """How much of a run a failure concerns."""

    ROW = "row"
    LANE = "lane"
    WORKSPACE = "workspace"
    ACCOUNT = "account"


@value
class Usage:
    """Tokens of one call as the provider reported them. Details itemise a total and are never added to it."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    """Of the input: found in the provider's cache."""
    reasoning_tokens: int = 0
    """Of the output."""
    raw: dict[str, Any] | None = None
    """The provider's own object, kept as it came."""
    cache_creation_tokens: int = 0
    """Of the input: written to the explicit cache."""
    image_tokens: int = 0
    """Of the input."""
    audio_tokens: int = 0
    """Of the input."""
    video_tokens: int = 0
    """Of the input."""
    output_audio_tokens: int = 0
    """Of the output."""
    searches: int = 0
    """Web searches made for the answer; billed apart from tokens."""
    uncounted_reasoning: bool = False
    """The answer reasoned, and it is not told how many tokens of the output that took."""

    @property
    def reasoned(self) -> bool:
        """Whether the answer reasoned: all of its output is priced as thinking then."""
        return self.reasoning_tokens > 0 or self.uncounted_reasoning


@value
class Charges:
    """What an amount is made of: each is tokens x unit price / 1,000,000 x (1 - discount), and they add up to it."""

    meters: tuple[tuple[str, int, Decimal], ...]
    """Kind as the provider's bill names it, tokens, and what a million of them cost without the discount."""
    discount: Decimal = Decimal(0)
    """The share taken off."""
    share: Decimal = Decimal(1)
    """Of the plain prices: a half in unit prices of batch calls."""
    saved: Decimal = Decimal(0)
    """What the tokens found in a cache would have cost more."""


@value
class Money:
    """An amount, exact."""

    currency: str
    """``CNY`` or ``USD``."""
    amount: Decimal
    charges: Charges | None = field(default=None, compare=False)
    """None where nothing tells."""


@value
class Row:
    """One input line, made ready."""

    id: str
    workspace: str
    model: str
    body: dict[str, Any]
    """The chat request as the user wrote it plus defaults, ``model`` and ``messages`` included."""
    digest: str
    """Of the input line and the settings it is asked under: says whether an answered row would still be asked the same. 16 hex digits."""
    metadata: Any = None
    is_plain: bool = field(default=False, compare=False)
    """Whether its body has nothing of its own but messages: all else is the same in every plain row of its workspace and model."""
    ordinal: int | None = field(default=None, compare=False)
    """Its place in the run's index, where it was read from there."""
    line_bytes: int = field(default=0, compare=False)
    """Of its line in the input; 0 where it was not read from there."""


class Hidden(str):
    """Text that no repr shows: a header that holds a key, wherever it is on its way when a traceback tells its locals."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


@value
class Request:
    """One HTTP POST, ready to send."""

    url: str
    headers: dict[str, str] = field(repr=False)
    """Holds the API key: kept out of every repr."""
    body: bytes = field(repr=False)
    total: float | None = None
    """Seconds the call may take, where that is not what the job gives every call."""


@value
class Reply:
    """What a good attempt brought: an answer with a finish reason."""

    content: str
    finish_reason: str
    usage: Usage | None
    """None where the provider reported none: the tokens are then in doubt."""
    request_id: str | None = None
    reasoning: str | None = None
    tool_calls: list[Any] | None = None
    choices: list[Any] | None = None
    """All choices as they came, where there are several, or more in them than stands here: probabilities, sounds, parts beside text."""
    body: bytes = field(default=b"", repr=False)
    """The provider's body as it came; of a stream, the plain answer that its events make up."""
    first_token_ms: int | None = None
    """From the request to the first token; only a stream tells."""
    parsed: Any = None
    """The content as JSON that fits the job's schema, where it has one."""
    answered_by: str | None = None
    """The model that it names, where that is not the one that was asked."""
    search_info: Any = None
    """What the provider's search found for it, where it tells that: titles and addresses."""


@value
class Failure:
    """What a bad attempt brought, classified by code and status, never by message."""

    fault: Fault
    scope: Scope
    code: str
    """The provider's code as it came, or batchrun's own word for a mishap of the wire: ``connection_refused``."""
    message: str
    advice: str
    """What whoever is on call should do, in the words of the job file."""
    status: int | None = None
    request_id: str | None = None
    retry_after: float | None = None
    in_doubt: bool = False
    """The request was sent and no answer came whole: it may have been billed."""
    usage: Usage | None = None
    body: bytes = field(default=b"", repr=False)
    reply: Reply | None = field(default=None, repr=False)
    """The whole answer that was refused here, for it was paid for."""


@value
class Call:
    """How the last attempt of a row went, as its entry tells it."""

    attempt: str
    """The attempt's name in attempts.log: opening and number, ``3-17``."""
    attempts: int
    """Attempts this row has had in this opening, throttled ones not counted."""
    started_at: float
    """Wall time, seconds since the epoch."""
    latency_ms: int


@value
class Answered:
    """A row that has its answer: final."""

    row: Row
    reply: Reply
    call: Call


@value
class Rejected:
    """A row that nothing would help; tried again only when told."""

    row: Row
    failure: Failure
    call: Call | None
    """None when it was rejected before any call."""


@value
class Exhausted:
    """A row whose attempts ran out; pending again at the next opening."""

    row: Row
    failure: Failure
    call: Call | None
    """None when its last attempt ended before any call."""


Outcome = Answered | Rejected | Exhausted
