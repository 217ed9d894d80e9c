"""A bill held against the ledgers of runs: by day, workspace, model and kind of tokens, each difference explained where it can be.

A bill has no request ids, so no call can be looked up in it: only sums can be compared. What a difference can be:

- *in doubt*: the bill is more, within what calls that may have been billed can cost at the most
- *midnight*: as many tokens are missing on one day as are too many on the next, within what was called near that midnight
- *rounded*: the bill's own numbers were shortened
- *others*: the bill is more in input and output, and nothing of the runs can be the reason: calls by somebody else, or by runs that were
  not named. A call always uses both, so a difference in one alone is no call.
- what is left is *unexplained*

The lanes (workspace and model) are solved apart. The days of one are a chain: what leaves a day over midnight comes to the next, what is
in doubt comes from outside, and what remains must be nothing. The tokens that may cross each midnight are reached as intervals from the
first day to the last, and chosen backwards, the smallest that will do. Where no choice settles the whole chain, the shortest pieces of it
that settle are, and a day that belongs to none stands with its difference. The kinds of one side share its doubt, and take of it in their
order: where several of them have both doubt and midnights, a difference may be listed that another choice would have explained. Never is
one explained that nothing can be the reason of.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from types import MappingProxyType
from typing import Any, NamedTuple

from batchrun.core.money.bill import INPUT_KINDS, KINDS, OUTPUT_KINDS, Bill, Billed
from batchrun.core.money.daybook import Counted, Daybook, Doubt
from batchrun.core.money.reconcile_money import LaneMoney, MoneyLine, money_lines

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


@dataclass(slots=True)
class Line:
    """One day, workspace, model and kind: billed = counted + midnight + in_doubt + rounded + others + unexplained."""

    day: date
    workspace: str
    model: str
    kind: str
    """Or the bill's own amount type, where that is not known."""
    billed: int
    counted: int
    midnight: int = 0
    """Called on a neighbouring day; less than nothing where they stand there in the bill."""
    in_doubt: int = 0
    rounded: int = 0
    others: int = 0
    unexplained: int = 0
    places: tuple[str, ...] = ()
    """The first of the bill's lines."""
    bill_lines: int = 0
    keys: Mapping[str, int] = field(default_factory=dict)
    """Billed tokens by API key id, where the bill tells it; those of the console under an empty one."""

    @property
    def known(self) -> bool:
        """Whether the amount type is known."""
        return self.kind in KINDS

    @property
    def equal(self) -> bool:
        """Whether there is no difference."""
        return self.billed == self.counted

    def as_json(self) -> dict[str, Any]:
        """Return the fields by name."""
        names = ("workspace", "model", "kind", *_NUMBERS, "bill_lines")
        told = {"day": self.day.isoformat(), "known_kind": self.known} | {name: getattr(self, name) for name in names}
        return told | {"places": list(self.places), "keys": dict(self.keys)}


_NUMBERS = ("billed", "counted", "midnight", "in_doubt", "rounded", "others", "unexplained")


@dataclass(slots=True)
class Sum:
    """The lines of a workspace, or of all, added up; money by currency."""

    billed: int = 0
    counted: int = 0
    midnight: int = 0
    in_doubt: int = 0
    rounded: int = 0
    others: int = 0
    unexplained: int = 0
    doubtful_calls: int = 0
    most_in_doubt: int = 0
    """Tokens that those can cost at the most."""
    billed_money: dict[str, Decimal] = field(default_factory=dict)
    counted_money: dict[str, Decimal] = field(default_factory=dict)
    unpriced_tokens: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the counts by name, money as exact decimal strings."""
        told = {name: getattr(self, name) for name in (*_NUMBERS, "doubtful_calls", "most_in_doubt", "unpriced_tokens")}
        money = {name: {currency: f"{amount:f}" for currency, amount in getattr(self, name).items()} for name in _MONEY}
        return told | money


_MONEY = ("billed_money", "counted_money")


class Folded(NamedTuple):
    """Tokens of a kind that the bill does not tell apart, and the kind that they stand under there."""

    workspace: str
    model: str
    kind: str
    under: str
    tokens: int


@dataclass(slots=True)
class Reconciliation:
    """What came of it."""

    timezone: str
    days: tuple[date, date] | None
    """The first and the last day on which the runs made a call; the bill's other days are not compared."""
    bill_days: tuple[date, date] | None
    lines: list[Line]
    sums: dict[str, Sum]
    """By workspace."""
    folded: list[Folded]
    strangers: dict[str, int]
    """Bill tokens of workspace ids that the runs do not name."""
    other_days_tokens: int
    other_lines: dict[str, int]
    """Bill lines that are no tokens of a model."""
    unreadable: list[str]
    """Bill lines that should be and cannot be understood: place and reason."""
    undated_tokens: int
    unreadable_attempts: int
    others_allowed: bool = False
    money: list[MoneyLine] = field(default_factory=list)
    """By workspace, model and currency, on the days that are compared; nothing where the bill tells no amounts."""
    money_decides: bool = False

    @property
    def closes(self) -> bool:
        """Whether every token of the bill is accounted for: by a call, within doubt and rounding, or (where allowed) by others.

        Money is accounted for too, where it decides.
        """
        total = self.total()
        wrong = self.unreadable or self.undated_tokens or any(line.unexplained for line in self.lines)
        wrong = wrong or (self.money_decides and any(line.unexplained for line in self.money))
        return not wrong and (self.others_allowed or not total.others)

    def total(self) -> Sum:
        """Add all workspaces up."""
        total = Sum()
        for one in self.sums.values():
            _add_sum(total, one)
        return total

    def as_json(self) -> dict[str, Any]:
        """Return the whole, as ``reconcile --json`` prints it."""
        return {
            "closes": self.closes,
            "timezone": self.timezone,
            "days": _span(self.days),
            "bill_days": _span(self.bill_days),
            "lines": [line.as_json() for line in self.lines],
            "workspaces": {name: one.as_json() for name, one in self.sums.items()},
            "total": self.total().as_json(),
            "money": [line.as_json() for line in self.money],
            "folded_kinds": [each._asdict() for each in self.folded],
            "other_workspace_ids": self.strangers,
            "other_days_tokens": self.other_days_tokens,
            "other_lines": self.other_lines,
            "unreadable_lines": self.unreadable,
            "undated_tokens": self.undated_tokens,
            "unreadable_attempts": self.unreadable_attempts,
            "others_allowed": self.others_allowed,
        }


def _span(days: tuple[date, date] | None) -> list[str] | None:
    return [day.isoformat() for day in days] if days else None


Lane = tuple[str, str]


def reconcile(
    book: Daybook, bill: Bill, ids: Mapping[str, str], workspaces: Iterable[str], *,
    timezone: str, others_allowed: bool = False, money_decides: bool = False,
) -> Reconciliation:  # fmt: skip
    """Hold *bill* against *book*. *workspaces* are those of the runs, with calls or without.

    *ids* names the workspace of a workspace id; an id that is a workspace's name, with or without ``llm-`` before it, is that one's.
    """
    known = {*workspaces, *(key[1] for key in book.counted), *(key[1] for key in book.doubts)}
    by_lane: dict[Lane, dict[tuple[date, str], Billed]] = defaultdict(dict)
    strangers: dict[str, int] = defaultdict(int)
    for (day, workspace_id, model, kind), billed in bill.cells.items():
        workspace = workspace_of(workspace_id, ids, known)
        if workspace is None:
            strangers[workspace_id] += billed.tokens
        else:
            cells = by_lane[workspace, model]
            cells[day, kind] = _merged(cells[day, kind], billed) if (day, kind) in cells else billed
    bill_days = sorted({key[0] for key in bill.cells})
    found = Reconciliation(
        timezone=timezone,
        days=book.days(),
        bill_days=(bill_days[0], bill_days[-1]) if bill_days else None,
        lines=[],
        sums={},
        folded=[],
        strangers=dict(sorted(strangers.items())),
        other_days_tokens=0,
        other_lines=dict(bill.others),
        unreadable=[f"{each.file}, line {each.line}: {each.why}" for each in bill.unreadable],
        undated_tokens=book.undated_tokens,
        unreadable_attempts=book.unreadable_attempts,
        others_allowed=others_allowed,
        money_decides=money_decides,
    )
    counted: dict[Lane, dict[tuple[date, str], Counted]] = defaultdict(dict)
    for (day, workspace, model, kind), tokens in book.counted.items():
        counted[workspace, model][day, kind] = tokens
    doubts: dict[Lane, dict[date, Doubt]] = defaultdict(dict)
    for (day, workspace, model), doubt in book.doubts.items():
        doubts[workspace, model][day] = doubt
    money: dict[Lane, LaneMoney] = defaultdict(LaneMoney)
    for lane in sorted({*by_lane, *counted, *doubts}):
        _Lane(lane, by_lane.get(lane, {}), counted.get(lane, {}), doubts.get(lane, {}), bill).into(found, money[lane])
    for (_, workspace, model), cost in book.costs.items():
        total = found.sums.setdefault(workspace, Sum())
        total.unpriced_tokens += cost.unpriced_tokens
        money[workspace, model].unpriced_tokens += cost.unpriced_tokens
        for into in (total.counted_money, money[workspace, model].counted):
            _add_money(into, cost.amounts)
    found.money = list(money_lines(money))
    found.lines.sort(key=lambda line: (line.day, line.workspace, line.model, _rank(line.kind)))
    return found


def workspace_of(workspace_id: str, ids: Mapping[str, str], known: Iterable[str]) -> str | None:
    """The workspace that a workspace id of the bill is; None for one that the runs do not name."""
    if (named := ids.get(workspace_id)) is not None:
        return named
    return next((name for name in known if workspace_id in {name, f"llm-{name}"}), None)


def _rank(kind: str) -> tuple[int, str]:
    return (KINDS.index(kind) if kind in KINDS else len(KINDS), kind)


def _merged(one: Billed, other: Billed) -> Billed:
    """Two workspace ids that are one workspace's."""
    amounts = {name: one.amounts.get(name, Decimal()) + other.amounts.get(name, Decimal()) for name in {*one.amounts, *other.amounts}}
    return Billed(
        one.tokens + other.tokens,
        one.lines + other.lines,
        [*one.places, *other.places],
        one.keys + other.keys,
        amounts,
        one.coarse + other.coarse,
        one.shortened + other.shortened,
    )


@dataclass(slots=True)
class _Day:
    """One kind of one day, as a link of the chain."""

    difference: int
    doubt: int
    rounding: int
    late: int
    early: int


class _Lane:
    """One workspace and model, compared."""

    def __init__(
        self,
        lane: Lane,
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
                _add_money(total.billed_money, billed.amounts)
                money.take(billed)
            else:
                found.other_days_tokens += billed.tokens

    def _compared(self, first: date, last: date) -> list[date]:
        """The days of the runs, and the one before or after where all that is billed on it may have been called across midnight."""
        if self._is_ours(first - _ONE_DAY, {kind: tokens.early for (day, kind), tokens in self._counted.items() if day == first}):
            first -= _ONE_DAY
        late = {kind: tokens.late for (day, kind), tokens in self._counted.items() if day == last}
        doubt = self._doubts.get(last, Doubt())
        for kinds, tokens in ((INPUT_KINDS, doubt.late_input_tokens), (OUTPUT_KINDS, doubt.late_output_tokens)):
            for kind in kinds:
                late[kind] = late.get(kind, 0) + tokens
        if self._is_ours(last + _ONE_DAY, late):
            last += _ONE_DAY
        return [first + _ONE_DAY * number for number in range((last - first).days + 1)]

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
            chain.append(_Day(billed.tokens - counted.tokens, doubt, rounding, counted.late + late_doubt, counted.early))
            lines.append(self._line(day, kind, billed, counted))
        before, after = (self._billed.get((day, kind), Billed()).tokens for day in (days[0] - _ONE_DAY, days[-1] + _ONE_DAY))
        # Beyond them somebody else's calls stand too: as many as the bill has there may be gone over that midnight, and none come.
        ends = min(chain[0].early, before), min(chain[-1].late, after)
        for day, line, link, (midnight, rest) in zip(days, lines, chain, _explained(chain, *ends), strict=True):
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


def _explained(chain: Sequence[_Day], early: int, late: int) -> list[tuple[int, int]]:
    """Of each day what came over midnight, and what doubt, rounding or nothing must explain."""
    whole = _settled(chain, 0, early, late, shortest=False)
    if whole is not None:
        return whole
    found: list[tuple[int, int]] = []
    while len(found) < len(chain):
        piece = _settled(chain, len(found), early, late, shortest=True)
        found += piece or [(0, chain[len(found)].difference)]
    return found


def _settled(chain: Sequence[_Day], first: int, early: int, late: int, *, shortest: bool) -> list[tuple[int, int]] | None:
    """Settle the days from *first* on, to the last or to the earliest that can be the end; None where that cannot be."""
    # What may have crossed each midnight: more than nothing where it went on to the next day, less where it came back from there.
    reached = [(-early if first == 0 else 0, 0)]
    for number in range(first, len(chain)):
        link, last = chain[number], number + 1 == len(chain)
        low, high = reached[-1]
        low, high = low - link.difference - link.rounding, high - link.difference + link.doubt + link.rounding
        end = (max(low, 0), min(high, late if last else 0))
        if end[0] <= end[1] and (last or shortest):
            return _chosen(chain[first : number + 1], [*reached, end])
        if not last:
            reached.append((max(low, -chain[number + 1].early), min(high, link.late)))
            if reached[-1][0] > reached[-1][1]:
                return None
    return None


def _chosen(links: Sequence[_Day], reached: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Choose backwards what crossed each midnight, the least that the days after it leave possible."""
    crossed = [_nearest_to_none(*reached[-1])]
    for link, (low, high) in zip(reversed(links), reversed(reached[:-1]), strict=True):
        after = crossed[-1] + link.difference
        crossed.append(_nearest_to_none(max(low, after - link.doubt - link.rounding), min(high, after + link.rounding)))
    crossed.reverse()
    moved = [came - went for came, went in pairwise(crossed)]
    return [(midnight, link.difference - midnight) for midnight, link in zip(moved, links, strict=True)]


def _nearest_to_none(low: int, high: int) -> int:
    return max(low, min(0, high))


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
        for name in _NUMBERS:
            setattr(into, name, getattr(into, name) + getattr(line, name))
    for doubt in doubts:
        into.doubtful_calls += doubt.calls
        into.most_in_doubt += doubt.input_tokens + doubt.output_tokens


def _add_money(into: dict[str, Decimal], amounts: Mapping[str, Decimal]) -> None:
    for currency, amount in amounts.items():
        into[currency] = into.get(currency, Decimal()) + amount


def _add_sum(total: Sum, one: Sum) -> None:
    for name in (*_NUMBERS, "doubtful_calls", "most_in_doubt", "unpriced_tokens"):
        setattr(total, name, getattr(total, name) + getattr(one, name))
    for name in _MONEY:
        _add_money(getattr(total, name), getattr(one, name))
