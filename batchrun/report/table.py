"""The statement as a table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from batchrun.core.columns import padded, width
from batchrun.core.statement import Statement, Totals

_COLUMNS = (
    ("answered", "answered"),
    ("rejected", "rejected"),
    ("exhausted", "exhausted"),
    ("pending", "pending"),
    ("calls", "calls"),
    ("retries", "retries"),
    ("throttles", "throttles"),
    ("reasks", "reasks"),
    ("in doubt", "in_doubt"),
    ("input", "input_tokens"),
    ("cached", "cached_tokens"),
    ("output", "output_tokens"),
    ("reasoning", "reasoning_tokens"),
)
_ALWAYS = {"answered", "pending", "calls", "input_tokens", "output_tokens"}


def table(statement: Statement) -> str:
    """Return a line a workspace and model, and a total; columns that hold nothing but zeros are left out."""
    total = statement.total()
    columns = [(head, name) for head, name in _COLUMNS if name in _ALWAYS or getattr(total, name)]
    currencies = sorted(total.cost)
    lines = [["workspace", "model", *(head for head, _ in columns), *currencies]]
    lines += [[*lane, *_counts(totals, columns), *_amounts(totals, currencies)] for lane, totals in statement.lanes.items()]
    lines.append(["total", "", *_counts(total, columns), *_amounts(total, currencies)])
    widths = [max(width(line[column]) for line in lines) for column in range(len(lines[0]))]
    drawn = [_line(line, widths) for line in lines]
    rule = "─" * sum(widths, 2 * (len(widths) - 1))
    return "\n".join([drawn[0], rule, *drawn[1:-1], rule, drawn[-1], *_notes(statement, total)])


def _counts(totals: Totals, columns: Sequence[tuple[str, str]]) -> list[str]:
    return [f"{getattr(totals, name):,}" for _, name in columns]


def _amounts(totals: Totals, currencies: Sequence[str]) -> list[str]:
    """Amounts to four places; a sum that leaves calls out is marked, and one of nothing but such calls is unknown."""
    return [_amount(totals, currency) for currency in currencies]


def _amount(totals: Totals, currency: str) -> str:
    amount = totals.cost.get(currency)
    if amount is None:
        return "unknown" if totals.unpriced_calls and not totals.cost else ""
    return f"{amount:,.4f}{'+' if totals.unpriced_calls else ''}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    names = [padded(cell, columns) for cell, columns in zip(cells[:2], widths[:2], strict=True)]
    counts = [cell.rjust(columns) for cell, columns in zip(cells[2:], widths[2:], strict=True)]
    return "  ".join([*names, *counts]).rstrip()


def _notes(statement: Statement, total: Totals) -> list[str]:
    notes = []
    if total.reasks:
        notes.append(
            f"reasks: {total.reasks:,} answers did not fit and were asked for again; of the tokens above they cost "
            f"{total.reask_input_tokens:,} input and {total.reask_output_tokens:,} output"
        )
    if total.in_doubt:
        notes.append(
            f"in doubt: {total.in_doubt:,} calls may have been billed beyond this: at most "
            f"{total.in_doubt_input_tokens:,} input and {total.in_doubt_output_tokens:,} output tokens"
        )
    if total.unpriced_calls:
        notes.append(
            f"cost unknown: {total.unpriced_calls:,} calls with {total.unpriced_tokens:,} tokens have no known price and are in no sum; "
            "prices can be given in [prices]"
        )
    if statement.rejected_input:
        notes.append(f"{statement.rejected_input:,} input lines were no row: see rejected-input.jsonl")
    if statement.unreadable_attempts:
        notes.append(f"{statement.unreadable_attempts:,} lines of attempts.log could not be read: calls and doubt may be higher")
    return notes
