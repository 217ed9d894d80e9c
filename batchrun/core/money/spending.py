"""What a run has spent of its budgets, read from its ledger: what was told at its cost, what is in doubt at its bound.

What was told is summed up as it comes, by lane, budget and page: read so far, a ledger can be read on. What is in doubt may be told later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal

from batchrun.core.ledger.attempts import Bound, Line, Most
from batchrun.core.ledger.counting import Ending, apart, together
from batchrun.core.ledger.doubt import Calls
from batchrun.core.ledger.entry import Entry
from batchrun.core.ledger.moments import as_told
from batchrun.core.ledger.usual import Began, UsualAnswer
from batchrun.core.model import Money, Usage
from batchrun.core.money.budget import LaneKey, Purse
from batchrun.core.money.periods import ALWAYS, Period, Span

_NOTHING = Decimal(0)

Sums = dict[str, tuple[float, Decimal]]
"""Of one budget: what was spent of each page, by its name, beside a moment that it is of."""


class Spending:
    """Reads a ledger: all attempts, then each workspace's entries; then `close` has purses pay, each attempt from the page of its time.

    A lane's *purses* are the same, in the same order, whenever they are asked for. Where an entry does not tell when its call was made,
    the prices of *now* are taken. *most* says what a call in doubt could cost by what held when it was made; the purse's own prices decide
    where that is not known in its unit.
    """

    def __init__(self, purses: Callable[[LaneKey], tuple[Purse, ...]], now: float, most: Most = lambda _call: None) -> None:
        self._purses = purses
        self._most = most
        self.now = now
        self.calls = Calls()
        self._sums: dict[LaneKey, tuple[Sums, ...]] = {}
        self._spans: dict[Period, Span] = {}
        """That of the latest call."""
        self._undated: list[tuple[LaneKey, Usage, Money | None]] = []

    def share(self, calls: Calls) -> None:
        """Know no calls but those of another reader, which has read as much, and is told what this one is told."""
        self.calls = calls

    def attempts(self, lines: Iterable[Line]) -> None:
        """Take in attempts.log."""
        for calls in together(self.calls.take(lines)):
            self.called(*apart(calls))

    def entries(self, entries: Iterable[Entry]) -> None:
        """Take in one output file."""
        self.told(self.calls.tell(entries))

    def wrong(self, entry: Entry) -> str | None:
        """What contradicts the calls in *entry*."""
        return self.calls.wrong(entry)

    def called(self, _begun: Mapping[Began, int], ended: Iterable[Ending]) -> None:
        """Sum up calls that have ended, which `calls` gives."""
        for started, end in ended:
            if end.usage is not None:
                self._spend((started.workspace, started.model), [(end.usage, end.cost)], started.at)

    def told(self, entries: Iterable[Entry]) -> None:
        """Sum up entries, which `calls` is told by another."""
        for entry in entries:
            if entry.usage is None:
                continue
            lane, at = (entry.workspace, entry.model), entry.started_at
            if at is None:
                self._undated.append((lane, entry.usage, entry.cost))
            else:
                self._spend(lane, [(entry.usage, entry.cost)], at)

    def answered(self, answers: Mapping[Began, Sequence[UsualAnswer]]) -> None:
        """Sum up usual answers, which `calls` is told by another."""
        for (workspace, model, at), some in answers.items():
            self._spend((workspace, model), [(each.usage, each.cost) for each in some], as_told(at))

    def close(self) -> None:
        """Have the purses pay for all that was read, what is in doubt too: it may have been billed. What is summed up stays as it is."""
        for lane, all_sums in self._sums.items():
            for purse, sums in zip(self._purses(lane), all_sums, strict=True):
                for at, amount in sums.values():
                    purse.page(at).spent += amount
        for lane, usage, told in self._undated:
            for purse in self._purses(lane):
                purse.page(0.0).spent += _cost(purse, lane, usage, told, self.now)
        for started, *_ in self.calls.in_doubt():
            lane, known = (started.workspace, started.model), self._most(started)
            for purse in self._purses(lane):
                most = known.amount if known is not None and known.currency == purse.cap.unit else None
                if most is None:
                    most = purse.price(lane, started.bound, started.at) or _NOTHING
                page = purse.page(started.at)
                page.spent += most
                page.in_doubt += most

    def _spend(self, lane: LaneKey, calls: Sequence[tuple[Usage, Money | None]], at: float) -> None:
        """Sum up *calls* of one moment, or of one second."""
        purses = self._purses(lane)
        all_sums = self._sums.get(lane)
        if all_sums is None:
            all_sums = self._sums[lane] = tuple({} for _ in purses)
        for purse, sums in zip(purses, all_sums, strict=True):
            page = self._page(purse.cap.period, at)
            first, spent = sums.get(page, (at, _NOTHING))
            for usage, told in calls:
                spent += _cost(purse, lane, usage, told, at)
            sums[page] = first, spent

    def _page(self, period: Period | None, at: float) -> str:
        """The name of the page of a moment; it is not begun by that."""
        if period is None:
            return ALWAYS.name
        span = self._spans.get(period)
        if span is None or not span.starts <= at < span.ends:
            span = self._spans[period] = period.around(at)
        return span.name


def _cost(purse: Purse, lane: LaneKey, usage: Usage, told: Money | None, at: float) -> Decimal:
    # What was written down then holds, whatever prices have become.
    known = told.amount if told is not None and told.currency == purse.cap.unit else purse.cost(lane, usage, at)
    if known is None:  # Its input was longer than any tier, say; while the run went on, it stayed at its bound.
        known = purse.price(lane, Bound(usage.input_tokens, usage.output_tokens), at)
    return known or _NOTHING
