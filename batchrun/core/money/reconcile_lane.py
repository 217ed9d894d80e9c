"""One workspace and model of a bill, held against what the ledgers have of them: a line a day and kind, each difference explained."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from types import MappingProxyType

from batchrun.core.money.bill import INPUT_KINDS, KINDS, OUTPUT_KINDS, Bill, Billed
from batchrun.core.money.daybook import Counted, Doubt
from batchrun.core.money.midnights import Day, explained
from batchrun.core.money.reconcile_money import LaneMoney
from batchrun.core.money.reconciliation import NUMBERS, Folded, Line, Reconciliation, Sum, add_money

_PART_OF: Mapping[str, str] = MappingProxyType(
    {
        "audio_input_token": "input_token",
        "image_input_token": "input_token",
        "thinking_output_token": "output_token",
        "audio_output_token": "output_token",
    }
)
"""Kinds that not every model prices apart. Cached tokens always have a price of their own: that they are missing is a difference."""
_ONE_DAY = timedelta(days=1)


class LaneCompared:
    """One workspace and model, compared."""

    def __init__(
        self,
        lane: tuple[str, str],
        billed: Mapping[tuple[date, str], Billed],
        counted: Mapping[tuple[date, str], Counted],
        doubts: Mapping[date, Doubt],
        bill: Bill,
    ) -> None:
        self._lane = lane
        self._billed = billed
        self._bill = bill
        self._doubts = doubts
        itemised = {kind for _, kind in billed}
        self._folded: dict[str, int] = defaultdict(int)
        self._counted: dict[tuple[date, str], Counted] = defaultdict(Counted)
        for (day, kind), tokens in counted.items():
            # A kind that the bill nowhere tells apart for the model is a part of another there.
            under = kind if kind in itemised else _PART_OF.get(kind, kind)
            if under != kind:
                self._folded[kind] += tokens.tokens
            into = self._counted[day, under]
            into.tokens += tokens.tokens
            into.late += tokens.late
            into.early += tokens.early

    def into(self, found: Reconciliation, money: LaneMoney) -> None:
        """Add what is found to *found*, and what the bill asks for to *money*."""
        if found.days is None:
            found.other_days_tokens += sum(each.tokens for each in self._billed.values())
            return
        days = self._compared(*found.days)
        workspace, model = self._lane
        found.folded += [Folded(workspace, model, kind, _PART_OF[kind], tokens) for kind, tokens in sorted(self._folded.items())]
        lines: list[Line] = []
        for kinds, doubtful in ((INPUT_KINDS, _input_doubt), (OUTPUT_KINDS, _output_doubt)):
            doubts = {day: doubtful(doubt) for day, doubt in self._doubts.items()}
            for kind in kinds:
                lines += self._kind(kind, days, doubts)
        for kind in sorted({kind for _, kind in self._billed} - set(KINDS)):
            lines += self._kind(kind, days, {})
        lines = [line for line in lines if line.billed or line.counted]
        _find_others(lines)
        found.lines += lines
        money.tokens_differ = any(not line.equal for line in lines)
        total = found.sums.setdefault(workspace, Sum())
        _sum_up(total, lines, self._doubts.values())
        for (day, _), billed in self._billed.items():
            if days[0] <= day <= days[-1]:
                add_money(total.billed_money, billed.amounts)
                money.take(billed)
            else:
                found.other_days_tokens += billed.tokens

    def _compared(self, first: date, last: date) -> list[date]:
        """The days of the runs, and the one before or after where all that is billed on it may have been called across midnight."""
        counted = self._counted if self._is_short(first, last) else {}
        if self._is_ours(first - _ONE_DAY, {kind: tokens.early for (day, kind), tokens in counted.items() if day == first}):
            first -= _ONE_DAY
        late = {kind: tokens.late for (day, kind), tokens in counted.items() if day == last}
        doubt = self._doubts.get(last, Doubt())
        for kinds, tokens in ((INPUT_KINDS, doubt.late_input_tokens), (OUTPUT_KINDS, doubt.late_output_tokens)):
            for kind in kinds:
                late[kind] = late.get(kind, 0) + tokens
        if self._is_ours(last + _ONE_DAY, late):
            last += _ONE_DAY
        return [first + _ONE_DAY * number for number in range((last - first).days + 1)]

    def _is_short(self, first: date, last: date) -> bool:
        """Whether the bill has too little of any kind on those days; else nothing of it has gone over the midnights at their ends."""
        missing: dict[str, int] = defaultdict(int)
        for (_, kind), tokens in self._counted.items():
            missing[kind] += tokens.tokens
        for (day, kind), billed in self._billed.items():
            missing[kind] -= billed.tokens if first <= day <= last else 0
        return any(tokens > 0 for tokens in missing.values())

    def _is_ours(self, day: date, most: Mapping[str, int]) -> bool:
        billed = {kind: each.tokens for (at, kind), each in self._billed.items() if at == day}
        return bool(billed) and all(tokens <= most.get(kind, 0) for kind, tokens in billed.items())

    def _kind(self, kind: str, days: Sequence[date], doubts: dict[date, tuple[int, int]]) -> list[Line]:
        """Compare one kind on all *days*; takes what it needs out of *doubts*."""
        chain, lines = [], []
        for day in days:
            billed, counted = self._billed.get((day, kind), Billed()), self._counted.get((day, kind), Counted())
            doubt, late_doubt = doubts.get(day, (0, 0))
            rounding = self._bill.rounding(billed)
            chain.append(Day(billed.tokens - counted.tokens, doubt, rounding, counted.late + late_doubt, counted.early))
            lines.append(self._line(day, kind, billed, counted))
        before, after = (self._billed.get((day, kind), Billed()).tokens for day in (days[0] - _ONE_DAY, days[-1] + _ONE_DAY))
        # Beyond them somebody else's calls stand too: as many as the bill has there may be gone over that midnight, and none come.
        ends = min(chain[0].early, before), min(chain[-1].late, after)
        for day, line, link, (midnight, rest) in zip(days, lines, chain, explained(chain, *ends), strict=True):
            line.midnight = midnight
            line.in_doubt = max(0, min(rest, link.doubt))
            line.rounded = max(-link.rounding, min(rest - line.in_doubt, link.rounding))
            line.unexplained = rest - line.in_doubt - line.rounded
            if line.in_doubt:
                doubt, late = doubts[day]
                doubts[day] = doubt - line.in_doubt, min(late, doubt - line.in_doubt)
        return lines

    def _line(self, day: date, kind: str, billed: Billed, counted: Counted) -> Line:
        workspace, model = self._lane
        return Line(
            day, workspace, model, kind, billed.tokens, counted.tokens,
            places=tuple(billed.places), bill_lines=billed.lines, keys=dict(billed.keys),
        )  # fmt: skip


def _input_doubt(doubt: Doubt) -> tuple[int, int]:
    return doubt.input_tokens, doubt.late_input_tokens


def _output_doubt(doubt: Doubt) -> tuple[int, int]:
    return doubt.output_tokens, doubt.late_output_tokens


def _find_others(lines: Sequence[Line]) -> None:
    """Take for others' calls what is too much in input and in output, on days that miss nothing."""
    by_day: dict[date, list[Line]] = defaultdict(list)
    for line in lines:
        by_day[line.day].append(line)
    for group in by_day.values():
        known = [line for line in group if line.known]
        rests = {kinds: sum(line.unexplained for line in known if line.kind in kinds) for kinds in (INPUT_KINDS, OUTPUT_KINDS)}
        if min(rests.values()) > 0 and all(line.unexplained >= 0 for line in known):
            for line in known:
                line.others, line.unexplained = line.unexplained, 0


def _sum_up(into: Sum, lines: Iterable[Line], doubts: Iterable[Doubt]) -> None:
    for line in lines:
        for name in NUMBERS:
            setattr(into, name, getattr(into, name) + getattr(line, name))
    for doubt in doubts:
        into.doubtful_calls += doubt.calls
        into.most_in_doubt += doubt.input_tokens + doubt.output_tokens
