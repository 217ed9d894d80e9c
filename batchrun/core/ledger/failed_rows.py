"""Rows that were rejected or exhausted, counted until a later entry of the row says otherwise.

What is remembered of them is kept from one opening to the next: no digest here may be one of this process alone, as Python's own hash is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batchrun.core.ledger.digests import Digests
from batchrun.core.ledger.entry import Entry
from batchrun.core.ledger.totals import Totals
from batchrun.core.model import Row
from batchrun.core.rows.names import id_digest


class FailedRows:
    """Those of one ledger, taken in entry by entry."""

    def __init__(self) -> None:
        self._rows = Digests()
        self._counted: list[tuple[Totals, str]] = []
        self._places: dict[tuple[int, str], int] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Places are found by identity, which nothing keeps that is written down and read back: they are given anew.
        return {**self.__dict__, "_places": {}}

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, entry: Entry, totals: Totals) -> None:
        """Count the row of *entry* in *totals*, and nowhere else."""
        digest = id_digest(entry.workspace, entry.id)
        self._undo(digest)
        setattr(totals, entry.outcome, getattr(totals, entry.outcome) + 1)
        place = self._places.setdefault((id(totals), entry.outcome), len(self._counted) + 1)
        if place > len(self._counted):
            self._counted.append((totals, entry.outcome))
        self._rows.put(digest, place)

    def is_rejected(self, workspace: str, row_id: str) -> bool:
        """Whether the row's latest entry rejects it."""
        place = self._rows.get(id_digest(workspace, row_id))
        return place is not None and place > 0 and self._counted[place - 1][1] == "rejected"

    def answered(self, row: Entry | Row) -> None:
        """Count a row no more."""
        if len(self._rows):
            digest = id_digest(row.workspace, row.id)
            if self._undo(digest):
                self._rows.put(digest, 0)

    def join(self, other: FailedRows, totals: Mapping[int, Totals]) -> None:
        """Count the rows of *other*, of other workspaces, too: they are counted already in *totals*, by those that *other* has."""
        begin = len(self._counted)
        self._counted += [(totals[id(its)], outcome) for its, outcome in other._counted]
        for digest, place in other._rows.items():
            self._rows.put(digest, place and begin + place)

    def _undo(self, digest: int) -> bool:
        place = self._rows.get(digest)
        if not place:
            return False
        totals, outcome = self._counted[place - 1]
        setattr(totals, outcome, getattr(totals, outcome) - 1)
        return True
