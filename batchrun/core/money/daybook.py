"""The ledgers of runs folded by day: the tokens of every call by day, workspace, model and kind, as a bill tells them.

Which day the provider counts a call to, that of its start or of its end, is not known, and it settles behind: a call near midnight may
stand on the day before or after. How many tokens that can be is kept beside each day.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from datetime import date, datetime
from decimal import Decimal
from types import MappingProxyType
from zoneinfo import ZoneInfo

from batchrun.core.classes import slotted
from batchrun.core.ledger.attempts import Bound, Line, Started
from batchrun.core.ledger.doubt import Calls
from batchrun.core.ledger.entry import Entry
from batchrun.core.model import Money, Usage
from batchrun.core.money.bill import INPUT_KINDS

SETTLED_WITHIN = 3600.0
"""Seconds after its end within which a call reaches the bill: older text of the provider says hourly."""
LONGEST = 3600.0
"""Seconds that a call may have gone on at the provider of which no end is known: as long as the slowest of its endpoints lets one wait."""
CLOCKS_APART = 60.0
"""Seconds that the provider's clock may be behind."""


def tokens_by_kind(usage: Usage) -> Iterator[tuple[str, int]]:
    """Split a call's tokens into kinds that add up to its input and its output. Output that was thought about is all of one kind."""
    left = usage.input_tokens
    pictures = usage.image_tokens + usage.video_tokens
    for kind, tokens in zip(INPUT_KINDS[1:], (usage.cached_tokens, usage.cache_creation_tokens, usage.audio_tokens, pictures), strict=True):
        # What is cached may be a picture too: nothing is counted twice.
        part = min(tokens, left)
        left -= part
        yield kind, part
    yield "input_token", left
    spoken = min(usage.output_audio_tokens, usage.output_tokens)
    yield "audio_output_token", spoken
    yield "thinking_output_token" if usage.reasoned else "output_token", usage.output_tokens - spoken


@slotted
class Counted:
    """Tokens of one day, workspace, model and kind."""

    tokens: int = 0
    late: int = 0
    """Of these: may stand on the day after."""
    early: int = 0
    """Of these: may stand on the day before."""


@slotted
class Doubt:
    """Calls of one day, workspace and model that may have been billed, and what they can cost at the most."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    late_input_tokens: int = 0
    """Of these: may stand on the day after."""
    late_output_tokens: int = 0


@slotted
class Cost:
    """What calls of one day, workspace and model cost."""

    amounts: dict[str, Decimal] = field(default_factory=dict)
    unpriced_tokens: int = 0


class Daybook:
    """Takes ledgers in, a run after the other: its attempts first, then its entries, then its end."""

    def __init__(self, zone: ZoneInfo, as_one: Mapping[str, str] = MappingProxyType({})) -> None:
        """*as_one* says what workspaces are called together that are to be one."""
        self._zone = zone
        self._as_one = as_one
        self.workspaces: set[str] = set()
        """Whose calls were taken in, by their own names."""
        self.calls = Calls()
        """Of the run that is being taken in."""
        self.counted: dict[tuple[date, str, str, str], Counted] = defaultdict(Counted)
        """By day, workspace, model and kind."""
        self.doubts: dict[tuple[date, str, str], Doubt] = defaultdict(Doubt)
        self.costs: dict[tuple[date, str, str], Cost] = defaultdict(Cost)
        self.undated_tokens = 0
        """Of entries that do not tell when their call was made."""
        self.unreadable_attempts = 0
        self.unlogged_answers = 0

    def attempts(self, lines: Iterable[Line]) -> None:
        """Take in a run's attempts.log."""
        for started, ended in self.calls.take(lines):
            if ended is not None and ended.usage is not None:
                self._book(started.workspace, started.model, ended.usage, ended.cost, started.at, ended.at)

    def entries(self, entries: Iterable[Entry]) -> None:
        """Take in one output file of the run."""
        for entry in entries:
            self.calls.told(entry)
            if entry.usage is None:
                continue
            if entry.started_at is None:
                self.undated_tokens += entry.usage.input_tokens + entry.usage.output_tokens
            else:
                end = entry.started_at + (entry.latency_ms or 0) / 1000
                self._book(entry.workspace, entry.model, entry.usage, entry.cost, entry.started_at, end)

    def wrong(self, entry: Entry) -> str | None:
        """What contradicts the calls in *entry*."""
        return self.calls.wrong(entry)

    def end_run(self, *, is_still: bool = True) -> None:
        """What is in doubt in the run is booked; another run may follow. Unless it *is_still*, entries came after its log was read."""
        for started, _, ended in self.calls.in_doubt():
            self._doubt(started, started.at + LONGEST if ended is None else ended.at)
        self.unreadable_attempts += self.calls.unreadable
        self.unlogged_answers += self.calls.unlogged() if is_still else 0
        self.calls = Calls()

    def days(self) -> tuple[date, date] | None:
        """The first and the last day on which a call was made."""
        days = {key[0] for key in self.counted} | {key[0] for key in self.doubts}
        return (min(days), max(days)) if days else None

    def _book(self, workspace: str, model: str, usage: Usage, cost: Money | None, start: float, end: float) -> None:
        day, early, late = self._day(start, end)
        workspace = self._called(workspace)
        for kind, tokens in tokens_by_kind(usage):
            if tokens:
                counted = self.counted[day, workspace, model, kind]
                counted.tokens += tokens
                counted.late += tokens * late
                counted.early += tokens * early
        paid = self.costs[day, workspace, model]
        if cost is None:
            paid.unpriced_tokens += usage.input_tokens + usage.output_tokens
        else:
            paid.amounts[cost.currency] = paid.amounts.get(cost.currency, Decimal()) + cost.amount

    def _doubt(self, started: Started, end: float) -> None:
        day, _, late = self._day(started.at, end)
        doubt, most = self.doubts[day, self._called(started.workspace), started.model], started.bound
        doubt.calls += 1
        _add(doubt, most, late=late)

    def _called(self, workspace: str) -> str:
        self.workspaces.add(workspace)
        return self._as_one.get(workspace, workspace)

    def _day(self, start: float, end: float) -> tuple[date, bool, bool]:
        """The day of a call's start, and whether the bill may have it on the day before or after."""
        day = self._date(start)
        return day, self._date(start - CLOCKS_APART) != day, self._date(max(start, end) + SETTLED_WITHIN) != day

    def _date(self, at: float) -> date:
        return datetime.fromtimestamp(at, self._zone).date()


def _add(doubt: Doubt, most: Bound, *, late: bool) -> None:
    doubt.input_tokens += most.input_tokens
    doubt.output_tokens += most.output_tokens
    doubt.late_input_tokens += most.input_tokens * late
    doubt.late_output_tokens += most.output_tokens * late
