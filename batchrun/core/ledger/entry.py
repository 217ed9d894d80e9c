"""An entry: what the ledger knows of a row from the line that stands for its outcome in one of the run's output files.

Each workspace has two such files in the run directory: ``results.jsonl`` (answered rows) and ``errors.jsonl`` (rejected and exhausted
ones). A row is done when its line stands there: these lines, and `attempts.log` beside them, are the only truth about a run, and all else
(statement, bill, report, what a resume has left to do) is folded from them. A line is made by `entry_writing.py` and read back by
`entry_reading.py`; this module has what both agree on: the value that a line is read as, its fields, and what is wrong with a line that is
none.

There are two forms, and a run may hold lines of both, for a job may ask for the other one at any opening:

- ``batchrun``: all fields side by side, those that a reader wants first: id, workspace, model, content, finish reason, usage, cost, …
- ``openai-batch`` (``[output] form``): a result line as OpenAI's Batch API gives it (``custom_id``, ``response``, ``error``), for tools
  that read such files. What a resume and the statement need beyond that stands in an extra object, ``batchrun``.

Every line ends with a seal (`seal.py`), by which a line that was changed later is told from one that stands as it was written.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from batchrun.core.ledger.seal import FIELD
from batchrun.core.model import Money, Usage

Form = Literal["batchrun", "openai-batch"]

FIELDS = frozenset(
    {
        *("id", "workspace", "model", "outcome", "digest", "metadata", "content", "finish_reason", "usage", "request_id", "reasoning"),
        *("tool_calls", "choices", "parsed", "first_token_ms", "response", "failure", "attempt", "attempts", "started_at", "latency_ms"),
        *("answered_by", "search_info", "cost", "custom_id", "error", "batchrun", FIELD),
    }
)
"""All that a line may hold, in either form; a sealed line with others was written by a newer version, one without a seal by nobody."""


class Entry(NamedTuple):
    """What the ledger knows of a row: enough to resume and to account for it. The answer itself stays in the file."""

    id: str
    workspace: str
    model: str
    outcome: Literal["answered", "rejected", "exhausted"]
    digest: str
    """Of the input line and the settings it was asked under, 16 hex digits: another one today means that the row has changed since."""
    attempt: str | None
    """Of its last call, as attempts.log names it (``3-17``: opening and number); None where it was rejected before any."""
    usage: Usage | None
    """None where the provider told none, or nothing was billed."""
    cost: Money | None = None
    """As it was when the entry was written."""
    started_at: float | None = None
    """Wall time, seconds since the epoch, of the last attempt."""
    latency_ms: float | None = None
    first_token_ms: float | None = None
    finish_reason: str | None = None
    attempts: int = 0
    """Calls that were made for the row in its opening, throttled ones not counted."""
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
    request_id: str | None = None
    """The provider's, of its answer."""


class NotAnEntryError(ValueError):
    """A whole line that is no entry: damage, or another program's file."""


class ChangedError(NotAnEntryError):
    """A line that is no longer what was written."""
