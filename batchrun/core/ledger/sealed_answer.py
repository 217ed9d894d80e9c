"""The short way of reading: of an answer whose seal holds, only what a resume needs is looked at.

Opening a run reads every entry of it, millions of them nearly all plain answers. A seal that holds says that tokens, cost and times are
as they were written, so a resume need not look at them; whether tokens were told at all is what it wants to know, for a call without is in
doubt. Any other line (a failure, OpenAI's form, an older line without a seal, a changed one) is left to `entry_reading.read_entry`.
"""

from __future__ import annotations

from operator import itemgetter

import orjson

from batchrun.core.ledger.entry import FIELDS, Entry
from batchrun.core.ledger.seal import FIELD, is_whole
from batchrun.core.model import Usage, named_tuple

Sealed = tuple[str, str, str, str, str, bool]
"""Of an answer: id, workspace, model, digest, attempt, and whether tokens were told."""

UNREAD = Usage(0, 0)
"""Stands for tokens that were told, and not looked at."""

ANSWERED_FIELDS = FIELDS - {"outcome", "custom_id"}
"""What may stand in an answer in batchrun's own form."""
resumed = itemgetter("id", "workspace", "model", "digest", "attempt", "usage")
"""What a resume needs of its fields."""
_UNREAD_REST = Entry("", "", "", "answered", "", None, None)[7:]


def sealed_answer(line: bytes) -> Sealed | None:
    """Take what a resume needs out of a sealed answer in batchrun's own form; None where the line is anything else."""
    try:
        fields = orjson.loads(line)
        row_id, workspace, model, digest, attempt, usage = resumed(fields)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    if not (type(row_id) is type(workspace) is type(model) is type(digest) is type(attempt) is str):
        return None
    if FIELD in fields and ANSWERED_FIELDS.issuperset(fields) and is_whole(line):
        return row_id, workspace, model, digest, attempt, usage is not None
    return None


def entry_of_sealed(told: Sealed) -> Entry:
    """What such an answer is read as; its usage is `UNREAD` or None, and cost, times and metadata are left out."""
    row_id, workspace, model, digest, attempt, spent = told
    return named_tuple(Entry, (row_id, workspace, model, "answered", digest, attempt, UNREAD if spent else None, *_UNREAD_REST))
