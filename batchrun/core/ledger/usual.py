"""A usual answer as one thing: its call's start and end and its entry, known to whoever writes the three lines.

Nearly all that a run notes is these. Whoever follows it is given them as one, many together, and takes in what they come to: the same as
if each line had been read by itself, as `spelt_out` gives them, in a third of the steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from batchrun.core.ledger.as_read import ended_of, entry_of, started_of
from batchrun.core.ledger.attempts import Bound, Line
from batchrun.core.ledger.entry import Entry
from batchrun.core.model import Answered, Money, Usage


class UsualAnswer(NamedTuple):
    """An answer that tells its usage, of a row whose place in the index is known, and the call that brought it."""

    name: str
    """Of the call."""
    at: float
    """Wall time at which it began."""
    most: Bound
    ended_at: float
    outcome: Answered
    ordinal: int
    """Of its row."""
    usage: Usage
    cost: Money | None

    @property
    def entry(self) -> Entry:
        """What its entry is read as."""
        return entry_of(self.outcome, "batchrun", self.cost, b"")


Noted = Line | UsualAnswer
"""What a ledger tells whoever follows it: a line of attempts.log, or three lines in one."""
Began = tuple[str, str, float]
"""Workspace, model, and the wall time at which calls began, or the second in which those did that are taken `together`."""
_ROUNDED_UP = 0.999999
"""Of a second: from there on it may be written as the next one (`moments.py`)."""


def parted(noted: Iterable[Noted]) -> tuple[list[Line], list[UsualAnswer]]:
    """Lines of the log, and usual answers, each in their order."""
    lines: list[Line] = []
    answers: list[UsualAnswer] = []
    for each in noted:
        if isinstance(each, UsualAnswer):
            answers.append(each)
        else:
            lines.append(each)
    return lines, answers


def spelt_out(noted: Iterable[Noted]) -> tuple[list[Line], list[Entry], list[int | None]]:
    """Each as its lines are read: those of the log, the entries beside them, and the ordinals of their rows."""
    lines: list[Line] = []
    entries: list[Entry] = []
    ordinals: list[int | None] = []
    for each in noted:
        if not isinstance(each, UsualAnswer):
            lines.append(each)
            continue
        lines += [
            started_of(each.name, each.at, each.outcome.row, each.most),
            ended_of(each.name, each.ended_at, "answered", each.outcome.reply, b""),
        ]
        entries.append(each.entry)
        ordinals.append(each.ordinal)
    return lines, entries, ordinals


def together(answers: Iterable[UsualAnswer]) -> Mapping[Began, Sequence[UsualAnswer]]:
    """Those together whose calls began in one second for one workspace and model, as their entries tell it too.

    Nothing that is counted tells moments of a second apart: where answers come one by one, each had cost as much as all of a turn do.
    """
    seconds: dict[Began, list[UsualAnswer]] = {}
    for each in answers:
        row, at = each.outcome.row, each.at
        # What an entry may tell as the next second stands by itself.
        began = row.workspace, row.model, at // 1.0 if at % 1.0 < _ROUNDED_UP else at
        if began in seconds:
            seconds[began].append(each)
        else:
            seconds[began] = [each]
    return seconds
