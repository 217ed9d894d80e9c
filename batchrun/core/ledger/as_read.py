"""What a line of the ledger is read back as, known to whoever writes it: a run need not read what it wrote itself.

Each is what reading the line gives, value for value. What is rare, or has more to it, is read from its line, which says the same.
"""

from __future__ import annotations

from batchrun.core.ledger.attempts import Bound, Ended, Line, Started, read_attempt
from batchrun.core.ledger.entry import Entry, Form
from batchrun.core.ledger.entry_reading import read_entry
from batchrun.core.ledger.moments import as_told
from batchrun.core.model import Answered, Failure, Money, Outcome, Reply, Row, named_tuple

_NO_FAILURE_BESIDE = (None, None, None, ())
"""Status, message, advice, and fields of a newer version."""


def entry_of(outcome: Outcome, form: Form, cost: Money | None, line: bytes) -> Entry:
    """What *line*, which `write_entry` made of the others, is read as; raises NotAnEntryError where it would not be read."""
    if not isinstance(outcome, Answered) or form != "batchrun":
        return read_entry(line)
    row, reply, call = outcome.row, outcome.reply, outcome.call
    named = row.id, row.workspace, row.model, "answered", row.digest, call.attempt
    spent = reply.usage, cost, as_told(call.started_at), call.latency_ms, reply.first_token_ms
    return named_tuple(
        Entry, (*named, *spent, reply.finish_reason, call.attempts, None, row.metadata, *_NO_FAILURE_BESIDE, reply.request_id)
    )


def is_read_as_told(reply: Reply, form: Form) -> bool:
    """Whether the entry of an answered row is read as in batchrun's own form.

    In the other form it ends as the first choice in the provider's body does: that is the reply's own end where it has no others.
    """
    return form == "batchrun" or (reply.choices is None and reply.body != b"")


def started_of(name: str, at: float, row: Row, most: Bound) -> Started:
    """What the line of a start is read as."""
    return named_tuple(Started, (name, row.workspace, row.model, row.id, most, at))


def ended_of(name: str, at: float, verdict: str, result: Reply | Failure, line: bytes) -> Line:
    """What *line*, which `ended_line` made of the others, is read as."""
    if verdict != "answered" or result.usage is None:
        return read_attempt(line)
    return named_tuple(Ended, (name, "answered", False, None, None, at, None, None, None, False))
