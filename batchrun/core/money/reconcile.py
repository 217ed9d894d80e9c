"""A bill held against the ledgers of runs: by day, workspace, model and kind of tokens, each difference explained where it can be.

A bill has no request ids, so no call can be looked up in it: only sums can be compared. What a difference can be:

- *in doubt*: the bill is more, within what calls that may have been billed can cost at the most
- *midnight*: as many tokens are missing on one day as are too many on the next, within what was called near that midnight
- *rounded*: the bill's own numbers were shortened
- *others*: the bill is more in input and output, and nothing of the runs can be the reason: calls by somebody else, or by runs that were
  not named. A call always uses both, so a difference in one alone is no call.
- what is left is *unexplained*

The lanes (workspace and model) are solved apart (`reconcile_lane.py`), and of each the kinds, over its days (`midnights.py`). The kinds of
one side share its doubt, and take of it in their order: where several of them have both doubt and midnights, a difference may be listed
that another choice would have explained. Never is one explained that nothing can be the reason of.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import date
from decimal import Decimal

from batchrun.core.money.bill import Bill, Billed
from batchrun.core.money.daybook import Counted, Daybook, Doubt
from batchrun.core.money.reconcile_lane import LaneCompared
from batchrun.core.money.reconcile_money import LaneMoney, money_lines
from batchrun.core.money.reconciliation import Reconciliation, Sum, add_money

_Lane = tuple[str, str]


def reconcile(
    book: Daybook, bill: Bill, ids: Mapping[str, str], workspaces: Iterable[str], *,
    timezone: str, others_allowed: bool = False, money_decides: bool = False,
) -> Reconciliation:  # fmt: skip
    """Hold *bill* against *book*. *workspaces* are those of the runs, with calls or without.

    *ids* names the workspace of a workspace id; an id that is a workspace's name, or else is it with ``llm-`` before it, is that one's.
    """
    known = {*workspaces, *(key[1] for key in book.counted), *(key[1] for key in book.doubts)}
    billed, strangers = _by_lane(bill, ids, known)
    found = _begun(book, bill, strangers, timezone=timezone, others_allowed=others_allowed, money_decides=money_decides)
    counted: dict[_Lane, dict[tuple[date, str], Counted]] = defaultdict(dict)
    for (day, workspace, model, kind), tokens in book.counted.items():
        counted[workspace, model][day, kind] = tokens
    doubts: dict[_Lane, dict[date, Doubt]] = defaultdict(dict)
    for (day, workspace, model), doubt in book.doubts.items():
        doubts[workspace, model][day] = doubt
    money: dict[_Lane, LaneMoney] = defaultdict(LaneMoney)
    for lane in sorted({*billed, *counted, *doubts}):
        LaneCompared(lane, billed.get(lane, {}), counted.get(lane, {}), doubts.get(lane, {}), bill).into(found, money[lane])
    _count_money(book, found, money)
    found.money = list(money_lines(money))
    found.lines.sort(key=lambda line: (line.day, line.workspace, line.model))
    return found


def workspace_of(workspace_id: str, ids: Mapping[str, str], known: Collection[str]) -> str | None:
    """The workspace that a workspace id of the bill is; None for one that the runs do not name."""
    if (named := ids.get(workspace_id)) is not None:
        return named
    return next((name for name in (workspace_id, workspace_id.removeprefix("llm-")) if name in known), None)


def _by_lane(
    bill: Bill, ids: Mapping[str, str], known: Collection[str]
) -> tuple[dict[_Lane, dict[tuple[date, str], Billed]], dict[str, int]]:
    """What is billed by day and kind, of each lane that is the runs'; tokens of workspace ids that they do not name."""
    by_lane: dict[_Lane, dict[tuple[date, str], Billed]] = defaultdict(dict)
    strangers: dict[str, int] = defaultdict(int)
    for (day, workspace_id, model, kind), billed in bill.cells.items():
        workspace = workspace_of(workspace_id, ids, known)
        if workspace is None:
            strangers[workspace_id] += billed.tokens
        else:
            cells = by_lane[workspace, model]
            cells[day, kind] = _merged(cells[day, kind], billed) if (day, kind) in cells else billed
    return by_lane, strangers


def _begun(
    book: Daybook, bill: Bill, strangers: Mapping[str, int], *, timezone: str, others_allowed: bool, money_decides: bool
) -> Reconciliation:
    """What can be told before any lane is compared."""
    bill_days = sorted({key[0] for key in bill.cells})
    return Reconciliation(
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
        unlogged_answers=book.unlogged_answers,
        understood=bill.understood,
        lines_again=dict(bill.again),
        lines_otherwise={file: count for file, count in bill.otherwise.items() if count},
        others_allowed=others_allowed,
        money_decides=money_decides,
    )


def _count_money(book: Daybook, found: Reconciliation, money: Mapping[_Lane, LaneMoney]) -> None:
    """Add what the ledgers' calls cost to the workspaces' sums and to the lanes' *money*."""
    for (_, workspace, model), cost in book.costs.items():
        total = found.sums.setdefault(workspace, Sum())
        total.unpriced_tokens += cost.unpriced_tokens
        money[workspace, model].unpriced_tokens += cost.unpriced_tokens
        for into in (total.counted_money, money[workspace, model].counted):
            add_money(into, cost.amounts)


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
