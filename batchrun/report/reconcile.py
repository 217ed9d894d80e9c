"""A bill held against ledgers, as a table for a terminal: what differs, the sums, and what can and cannot be told."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import chain

from batchrun.core.columns import width
from batchrun.core.counted import counted
from batchrun.core.ledger.totals import plain
from batchrun.core.ledger.unlogged import unlogged
from batchrun.core.money.reconcile_money import MoneyLine
from batchrun.core.money.reconciliation import Line, Reconciliation, Sum
from batchrun.report.amounts import amount
from batchrun.report.drawn import fitted

_REASONS = (
    ("midnight", "counted on a neighbouring day"),
    ("in_doubt", "in doubt"),
    ("rounded", "the bill's numbers are rounded"),
    ("others", "others' calls, or runs that were not named"),
)
_SUMS = ("billed", "counted", "in_doubt", "others", "unexplained")
_MOST_LINES = 200
_MOST_NAMED = 20


def reconciliation_table(found: Reconciliation, room: int | None = None) -> str:
    """Return the lines that differ, a sum a workspace, notes, and last whether it closes, for a terminal of *room* columns."""
    parts = [*_differences(found, room), *_sums(found, room), *_money_differences(found), *_notes(found), _verdict(found)]
    return "\n".join(parts)


def _differences(found: Reconciliation, room: int | None) -> list[str]:
    different = sorted((line for line in found.lines if not line.equal), key=lambda line: (not line.unexplained, not line.others))
    equal = f"{len(found.lines) - len(different):,} of {len(found.lines):,} lines (day, workspace, model, kind) are equal to the token"
    if not different:
        return [equal, ""]
    rows = [["day", "workspace", "model", "kind", "billed", "counted", "difference"]]
    rows += [_row(line) for line in different[:_MOST_LINES]]
    heading, *lines = fitted(rows, range(4), room)
    told = [*heading, *chain.from_iterable(_with_why(each, _why(line), room) for each, line in zip(lines, different, strict=False))]
    more = [f"… and {len(different) - _MOST_LINES:,} more: --json tells all"] if len(different) > _MOST_LINES else []
    return [*told, *more, equal, ""]


def _with_why(told: list[str], why: str, room: int | None) -> list[str]:
    """Add why a line differs: beside it, or beneath it where there is no room."""
    if room is None or (len(told) == 1 and width(told[0]) + 2 + width(why) <= room):
        return [f"{told[0]}  {why}", *told[1:]]
    return [*told, f"    {why}"]


def _row(line: Line) -> list[str]:
    difference = line.billed - line.counted
    return [line.day.isoformat(), line.workspace, line.model, line.kind, f"{line.billed:,}", f"{line.counted:,}", f"{difference:+,}"]


def _why(line: Line) -> str:
    reasons = [f"{getattr(line, name):+,} {words}" for name, words in _REASONS if getattr(line, name)]
    if line.unexplained:
        what = "unexplained" if line.known else "amount type not known: --kind says what it means"
        reasons.append(f"{line.unexplained:+,} {what} ({_where(line)})")
    if line.others and len(line.keys) > 1:
        reasons.append("by API key id: " + ", ".join(f"{key or 'console'} {tokens:,}" for key, tokens in sorted(line.keys.items())))
    return "; ".join(reasons)


def _where(line: Line) -> str:
    if not line.places:
        return "no line of the bill"
    more = line.bill_lines - len(line.places)
    return ", ".join(line.places) + (f" and {more:,} more" if more > 0 else "")


def _sums(found: Reconciliation, room: int | None) -> list[str]:
    rows = [["tokens", *(name.replace("_", " ") for name in _SUMS), "money billed", "money counted"]]
    rows += [[name, *_sum_row(one)] for name, one in found.sums.items()]
    if len(found.sums) != 1:
        rows.append(["total", *_sum_row(found.total())])
    return [*chain.from_iterable(fitted(rows, range(1), room)), ""]


def _money_differences(found: Reconciliation) -> list[str]:
    told = [line for line in found.money if line.unexplained]
    more = [f"… and {len(told) - _MOST_NAMED:,} more: --json tells all"] if len(told) > _MOST_NAMED else []
    return [*(_money_difference(each) for each in told[:_MOST_NAMED]), *more]


def _money_difference(line: MoneyLine) -> str:
    there, here = amount(line.billed), amount(line.counted)
    if there == here:
        # What differs stands behind the places that are shown.
        there, here = plain(line.billed), plain(line.counted)
    return f"money: {line.workspace} {line.model}: {there} {line.currency} billed, {here} counted: {line.why}"


def _sum_row(one: Sum) -> list[str]:
    unknown = ["unknown"] if one.unpriced_tokens else []
    return [*(f"{getattr(one, name):,}" for name in _SUMS), _money(one.billed_money), _money(one.counted_money, unknown)]


def _money(amounts: dict[str, Decimal], unknown: Sequence[str] = ()) -> str:
    return " + ".join([*(f"{amount(each)} {currency}".rstrip() for currency, each in sorted(amounts.items())), *unknown]) or "-"


def _notes(found: Reconciliation) -> list[str]:
    total = found.total()
    notes = []
    if found.days is not None:
        notes.append(f"compared: {found.days[0]} to {found.days[1]} ({found.timezone}), the days on which the runs made calls")
    notes += _of_the_bill(found)
    if total.doubtful_calls:
        notes.append(f"in doubt: {counted(total.doubtful_calls, 'call')}, of at most {total.most_in_doubt:,} tokens")
    notes += [
        f"{each.workspace} {each.model}: the bill does not tell {each.kind} apart; {each.tokens:,} tokens are compared as {each.under}"
        for each in found.folded
    ]
    if found.undated_tokens:
        notes.append(f"{found.undated_tokens:,} tokens of entries that do not tell when they were called are in no day")
    if found.money_decides:
        notes += _of_no_money(found, total)
    if found.unreadable_attempts:
        notes.append(f"{counted(found.unreadable_attempts, 'line')} of attempts.log could not be read: doubt may be higher")
    if found.unlogged_answers:
        notes.append(f"attempts.log {unlogged(found.unlogged_answers)}: doubt may be higher")
    notes.append(
        "a bill has no request ids: sums by day, workspace, model and kind are compared, and whose a single call was cannot be told"
    )
    return notes


def _of_no_money(found: Reconciliation, total: Sum) -> list[str]:
    """What money could not decide: that it closes without is no word that the amounts agree."""
    if not found.money:
        return ["the bill tells no amounts: no money was compared"]
    return [f"{total.unpriced_tokens:,} tokens have no price here: their money was not compared"] if total.unpriced_tokens else []


def _of_the_bill(found: Reconciliation) -> list[str]:
    notes = [*_of_days_without_a_bill(found), *(f"{file}: {what}" for file, what in found.understood.items())]
    if found.strangers:
        named = ", ".join(f"{name} {tokens:,}" for name, tokens in list(found.strangers.items())[:_MOST_NAMED])
        notes.append(f"not compared, for these runs do not name the workspace (--id WORKSPACE_ID=NAME does): {named} tokens")
    if found.other_days_tokens:
        notes.append(f"not compared, for they stand on other days: {found.other_days_tokens:,} tokens")
    notes += [
        f"counted once: {counted(count, 'line')} of {file} {'stands' if count == 1 else 'stand'} in a file before it too, word for word"
        for file, count in found.lines_again.items()
    ]
    notes += [
        f"both counted: {counted(count, 'line')} of {file}, and what a file before it says otherwise of the same day and instance id; "
        "where that was exported before the day was over, name the later file alone"
        for file, count in found.lines_otherwise.items()
    ]
    notes += [f"not compared: {counted(count, 'line')}, {what}" for what, count in sorted(found.other_lines.items())]
    notes += [f"not understood: {told}" for told in found.unreadable[:_MOST_NAMED]]
    if len(found.unreadable) > _MOST_NAMED:
        notes.append(f"… and {counted(len(found.unreadable) - _MOST_NAMED, 'more line')} not understood: --json tells all")
    return notes


def _of_days_without_a_bill(found: Reconciliation) -> list[str]:
    if not found.bill_days:
        return ["the bill has no line of tokens, or none that is understood: its details are wanted, by billable item (计费项) and day"]
    if not found.days:
        return []
    notes, (begins, ends), theirs = [], found.bill_days, found.days
    if begins > theirs[0]:
        notes.append(f"the bill begins on {begins}, after the runs do: name the export of the days before it too (--bill again)")
    if ends < theirs[1]:
        later = "" if (ends.year, ends.month) == (theirs[1].year, theirs[1].month) else "; name the next month's too (--bill again)"
        notes.append(f"the bill ends on {ends}, before the runs do: it is complete a day or so later{later}")
    return notes


def _verdict(found: Reconciliation) -> str:
    total = found.total()
    if found.closes and not found.lines:
        return "it closes: there was nothing to compare, for neither the runs nor, on their days, the bill tell of any tokens of theirs"
    if found.closes:
        reasons = [words for name, words in (*_REASONS,) if any(getattr(line, name) for line in found.lines)]
        return "it closes: " + (f"every difference is explained ({', '.join(reasons)})" if reasons else "equal to the token")
    wrong = []
    if lines := sum(1 for line in found.lines if line.unexplained):
        wrong.append(f"{counted(lines, 'line differs', 'lines differ')} without an explanation")
    if total.others and not found.others_allowed:
        wrong.append(f"{total.others:,} tokens are others' (--allow-others accepts them)")
    if found.unreadable:
        wrong.append(f"{counted(len(found.unreadable), 'line of the bill was', 'lines of the bill were')} not understood")
    if found.undated_tokens:
        wrong.append("some entries have no day")
    if found.money_decides and (lines := sum(1 for line in found.money if line.unexplained)):
        wrong.append(f"the money of {counted(lines, 'workspace and model', 'workspaces and models')} differs for the same tokens")
    return "it does not close: " + "; ".join(wrong)
