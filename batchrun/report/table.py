"""The statement as a table for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from batchrun.core.columns import printable
from batchrun.core.counted import counted
from batchrun.core.ledger.attribution import LANE, Attribution, Label
from batchrun.core.ledger.statement import Statement
from batchrun.core.ledger.totals import Part, Totals
from batchrun.core.ledger.unlogged import unlogged
from batchrun.core.rows.reasons import no_rows
from batchrun.report.amounts import amount
from batchrun.report.drawn import ruled

_COLUMNS = (
    ("answered", "answered"),
    ("rejected", "rejected"),
    ("exhausted", "exhausted"),
    ("pending", "pending"),
    ("calls", "calls"),
    ("retries", "retries"),
    ("throttles", "throttles"),
    ("reasks", "reasks"),
    ("in flight", "in_flight"),
    ("in doubt", "in_doubt"),
    ("input", "input_tokens"),
    ("cached", "cached_tokens"),
    ("output", "output_tokens"),
    ("reasoning", "reasoning_tokens"),
)
_ALWAYS = {"answered", "pending", "calls", "input_tokens", "output_tokens"}
_OF_CALLS = {"calls", "retries", "throttles"}
"""Not every call tells of which row's metadata it is."""
_WASTED = {
    "retried": ("call that brought no answer was billed and made again", "calls that brought no answer were billed and made again"),
    "reasked": ("answer did not fit and was asked for again", "answers did not fit and were asked for again"),
    "refused": ("call of a row that was rejected or exhausted was billed", "calls of rows that were rejected or exhausted were billed"),
    "truncated": ("answer ended at the limit of its length", "answers ended at the limit of their length"),
}
"""One of them, and several."""
_SAVED = {"cache": "by what was found in a cache", "batch": "by batch prices", "discount": "by discounts"}


def table(statement: Statement, by: Sequence[str] = LANE, room: int | None = None) -> str:
    """Return a line a workspace and model, or what *by* asks, and a total, for a terminal of *room* columns.

    Columns that hold nothing but zeros are left out.
    """
    groups, total = statement.by(by), statement.total()
    columns = [(head, name) for head, name in _COLUMNS if (name in _ALWAYS or _count(total, name)) and _is_told(name, groups)]
    currencies = sorted(total.cost) or ["cost"] * bool(total.unpriced_calls)
    told = {key: totals for key, totals in groups.groups.items() if _tells(totals, columns) or set(by) <= set(LANE)}
    lines = [[*by, *(head for head, _ in columns), *currencies]]
    lines += [[*map(_label, key), *_counts(each, columns), *_amounts(each, currencies)] for key, each in told.items()]
    lines.append([*["total", *[""] * len(by)][: len(by)], *_counts(total, columns), *_amounts(total, currencies)])
    drawn = ruled(lines, range(len(by)), room)
    crowded = ["(others): beyond the first values of metadata"] if groups.crowded else []
    return "\n".join([*drawn, *_notes(statement, total), *crowded, *_unsaid(groups)])


def _unsaid(groups: Attribution) -> Iterator[str]:
    """The metadata that was asked for and that no row has: its name may be mistyped."""
    for place, name in enumerate(groups.by):
        if name.startswith("metadata.") and "" in (said := {key[place] for key in groups.groups}) and said <= {"", None}:
            yield f"{name}: no row has it in its metadata"


def money(amounts: Mapping[str, Decimal], unpriced: int = 0) -> str:
    """Amounts to four places, of every currency, and how many calls are in none of them; empty where there is nothing to tell."""
    told = [f"{amount(each)} {currency}" for currency, each in sorted(amounts.items())]
    if unpriced:
        told.append(f"{counted(unpriced, 'call')} of unknown cost" if told else "cost unknown")
    return ", ".join(told)


def _is_told(name: str, groups: Attribution) -> bool:
    """Rows that are pending have no day and no metadata that anybody has read yet."""
    if name == "pending":
        return set(groups.by) <= set(LANE)
    return name not in _OF_CALLS or not any(each.startswith("metadata.") for each in groups.by)


def _tells(totals: Totals, columns: Sequence[tuple[str, str]]) -> bool:
    return any(_count(totals, name) for _, name in columns)


def _count(totals: Totals, name: str) -> int:
    return totals.in_flight.calls if name == "in_flight" else int(getattr(totals, name))


def _label(label: Label) -> str:
    if label is None:
        return "unknown"
    return printable(label) or "-"


def _counts(totals: Totals, columns: Sequence[tuple[str, str]]) -> list[str]:
    return [f"{_count(totals, name):,}" for _, name in columns]


def _amounts(totals: Totals, currencies: Sequence[str]) -> list[str]:
    """Amounts to four places; a sum that leaves calls out is marked, and one of nothing but such calls is unknown."""
    return [_amount(totals, currency) for currency in currencies]


def _amount(totals: Totals, currency: str) -> str:
    cost = totals.cost.get(currency)
    if cost is None:
        return "unknown" if totals.unpriced_calls and not totals.cost else ""
    return f"{amount(cost)}{'+' if totals.unpriced_calls else ''}"


def _notes(statement: Statement, total: Totals) -> list[str]:
    waste, notes = total.waste(), []
    notes += [_wasted(name, waste[name]) for name in _WASTED if waste[name].calls]
    if (flying := total.in_flight).calls:
        notes.append(
            f"in flight: {counted(flying.calls, 'call is', 'calls are')} under way, and will be billed beyond this: at most {_most(flying)}"
        )
    if total.in_doubt:
        notes.append(f"in doubt: {counted(total.in_doubt, 'call')} may have been billed beyond this: at most {_most(waste['in_doubt'])}")
    notes += [f"saved: {money(saved)} {_SAVED[name]}" for name, saved in total.savings().items() if any(saved.values())]
    if total.unpriced_calls:
        calls, no = counted(total.unpriced_calls, "call"), "has no" if total.unpriced_calls == 1 else "have no"
        notes.append(
            f"cost unknown: {calls} with {total.unpriced_tokens:,} tokens {no} known price: in no sum; prices can be given in [prices]"
        )
    if total.searches:
        told = counted(total.searches, "web search", "web searches")
        notes.append(f"searches: answers tell of {told}, for which the provider charges beside their tokens: in no sum")
    if statement.rejected_input:
        notes.append(f"{no_rows(statement.rejected_input)}: see rejected-input.jsonl")
    if statement.unreadable_attempts:
        notes.append(f"{counted(statement.unreadable_attempts, 'line')} of attempts.log could not be read: calls and doubt may be higher")
    if statement.unlogged_answers:
        notes.append(f"attempts.log {unlogged(statement.unlogged_answers)}: calls and doubt may be higher")
    if statement.openings_again:
        notes.append("attempts.log tells of calls twice: calls, retries and doubt are too high; batchrun check RUN --repair mends it")
    return notes


def _most(part: Part) -> str:
    tokens = f"{part.input_tokens:,} input and {part.output_tokens:,} output tokens"
    return _joined(tokens, money(part.cost, part.unpriced_calls))


def _wasted(name: str, part: Part) -> str:
    tokens = f"{part.input_tokens:,} input and {part.output_tokens:,} output"
    paid = money(part.cost, part.unpriced_calls)
    return f"{name}: {counted(part.calls, *_WASTED[name])}; of the tokens above they are {_joined(tokens, paid)}"


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)
