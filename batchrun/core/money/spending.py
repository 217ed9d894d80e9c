"""What a run has spent of its budgets, read from its ledger: what was told at its cost, what is in doubt at its bound."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal

from batchrun.core.ledger.attempts import Bound, Line, Most
from batchrun.core.ledger.doubt import Calls
from batchrun.core.ledger.entry import Entry
from batchrun.core.model import Money, Usage
from batchrun.core.money.budget import LaneKey, Purse

_NOTHING = Decimal(0)


class Spending:
    """Reads a ledger into purses, each attempt into the page of its time: all attempts, then each workspace's entries, then `close`.

    Where an entry does not tell when its call was made, the prices of *now* are taken. *most* says what a call in doubt could cost by what
    held when it was made; the purse's own prices decide where that is not known in its unit.
    """

    def __init__(self, purses: Callable[[LaneKey], tuple[Purse, ...]], now: float, most: Most = lambda _call: None) -> None:
        self._purses = purses
        self._now = now
        self._most = most
        self.calls = Calls()

    def attempts(self, lines: Iterable[Line]) -> None:
        """Take in attempts.log."""
        for started, ended in self.calls.take(lines):
            if ended is not None and ended.usage is not None:
                self._spend((started.workspace, started.model), ended.usage, ended.cost, started.at)

    def entries(self, entries: Iterable[Entry]) -> None:
        """Take in one output file."""
        for entry in entries:
            self.calls.told(entry)
            if entry.usage is not None:
                self._spend((entry.workspace, entry.model), entry.usage, entry.cost, entry.started_at)

    def wrong(self, entry: Entry) -> str | None:
        """What contradicts the calls in *entry*."""
        return self.calls.wrong(entry)

    def close(self) -> None:
        """What is in doubt may have been billed."""
        for started, *_ in self.calls.in_doubt():
            lane, known = (started.workspace, started.model), self._most(started)
            for purse in self._purses(lane):
                amount = known.amount if known is not None and known.currency == purse.cap.unit else None
                if amount is None:
                    amount = purse.price(lane, started.bound, started.at) or _NOTHING
                page = purse.page(started.at)
                page.spent += amount
                page.in_doubt += amount

    def _spend(self, lane: LaneKey, usage: Usage, told: Money | None, at: float | None) -> None:
        priced_at = self._now if at is None else at
        for purse in self._purses(lane):
            # What was written down then holds, whatever prices have become.
            known = told.amount if told is not None and told.currency == purse.cap.unit else purse.cost(lane, usage, priced_at)
            if known is None:  # Its input was longer than any tier, say; while the run went on, it stayed at its bound.
                known = purse.price(lane, Bound(usage.input_tokens, usage.output_tokens), priced_at)
            purse.page(at or 0.0).spent += known or _NOTHING
