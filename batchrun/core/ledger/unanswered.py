"""Why rows have no answer, and how many: told by their latest entries, as they come.

A row that failed may be answered by a later opening, or fail for another reason: its latest entry decides, and an earlier one no longer
counts. For that a digest of each row that failed is remembered, with the reason that it is counted under; rows that were answered at once,
nearly all of them, are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from batchrun.core.classes import slotted
from batchrun.core.ledger.digests import Digests
from batchrun.core.ledger.entry import Entry
from batchrun.core.model import Row
from batchrun.core.rows.names import id_digest

MOST_REASONS = 2000
"""Kinds of failure that are told apart: codes come from outside, and may be as many as rows."""
REST = "…"
"""The code of what is beyond."""
_MOST_MESSAGES = 8
"""That are told apart of one kind: some name something of the row."""


class Reason(NamedTuple):
    """Why rows of a workspace have no answer."""

    workspace: str
    outcome: str
    """``rejected`` or ``exhausted``."""
    code: str
    status: int | None


@slotted
class Told:
    """How many rows, and what most of them were told."""

    rows: int
    message: str
    advice: str
    others: int = 0
    """Rows of these that were told something else."""


class Unanswered:
    """Rows whose latest entry is no answer, by reason."""

    def __init__(self) -> None:
        self._reasons: dict[Reason, dict[str, Told]] = {}
        """By what was said of them; what is beyond is told as nothing."""
        self._told: list[Told] = []
        """In the order in which they came up: a row's digest leads to the place here of what it is counted under, 1 for the first."""
        self._places: dict[int, int] = {}
        """The same, by the identity of what stands there."""
        self._failed = Digests()

    def __getstate__(self) -> dict[str, Any]:
        # Places are found by identity, which nothing keeps that is written down and read back: they are given anew.
        return {**self.__dict__, "_places": {}}

    def __len__(self) -> int:
        return len(self._failed)

    def add(self, other: Unanswered) -> None:
        """Add another run's reasons; its rows are not known here, and no entry that comes later takes them back."""
        for reason, theirs in other._reasons.items():
            ours = self._reasons.setdefault(reason, {})
            for message, told in theirs.items():
                ours.setdefault(message, Told(0, message, told.advice)).rows += told.rows

    def join(self, other: Unanswered) -> bool:
        """Take in rows of other workspaces, and know them; False where more reasons may have been met than are told apart."""
        if len(self._reasons) + len(other._reasons) > MOST_REASONS:
            return False
        self._reasons.update(other._reasons)
        begin = len(self._told)
        self._told += other._told
        for digest, place in other._failed.items():
            self._failed.put(digest, place and begin + place)
        return True

    def reasons(self) -> dict[Reason, Told]:
        """The reasons that any row has, each with what most of its rows were told."""
        having = ((reason, [each for each in told.values() if each.rows]) for reason, told in self._reasons.items())
        return {reason: _together(told) for reason, told in having if told}

    def fail(self, entry: Entry) -> None:
        """Count the row of an entry that is no answer; what it was counted under before was taken back."""
        reason = Reason(entry.workspace, entry.outcome, word(entry.code), status_of(entry.status))
        if reason not in self._reasons and len(self._reasons) >= MOST_REASONS:
            reason = reason._replace(code=REST, status=None)
        alike, message = self._reasons.setdefault(reason, {}), word(entry.message)
        if message not in alike and len(alike) >= _MOST_MESSAGES:
            message = ""
        told = alike.setdefault(message, Told(0, message, ""))
        told.advice = told.advice if told.rows else word(entry.advice)
        told.rows += 1
        place = self._places.setdefault(id(told), len(self._told))
        if place == len(self._told):
            self._told.append(told)
        self._failed.put(id_digest(entry.workspace, entry.id), place + 1)

    def take_back(self, row: Entry | Row) -> None:
        """Count a row, or that of an entry, no longer under what an earlier entry of it said, where there was one."""
        digest = id_digest(row.workspace, row.id)
        if place := self._failed.get(digest):
            self._told[place - 1].rows -= 1
            self._failed.put(digest, 0)


def _together(alike: Sequence[Told]) -> Told:
    """What has the same reason, with what most of it was told; that some were told nothing says nothing."""
    most, rows = max(alike, key=lambda told: (bool(told.message), told.rows)), sum(told.rows for told in alike)
    return Told(rows, most.message, most.advice, rows - most.rows)


def word(value: object) -> str:
    """What stands in a ledger was text when it was written; whoever wrote in it since may have left anything, which is told as nothing."""
    return value if isinstance(value, str) else ""


def status_of(value: object) -> int | None:
    """An HTTP status, where *value* is one."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None
