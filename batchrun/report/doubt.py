"""Calls in doubt as a table for a terminal, and as data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from batchrun.core.columns import printable
from batchrun.core.counted import counted
from batchrun.core.ledger.doubts import Doubtful
from batchrun.report.drawn import fitted

Calls = Sequence[tuple[Doubtful, str]]
"""Each with its row's outcome."""


def doubt_table(calls: Calls, room: int | None = None) -> str:
    """Return a line a call, for a terminal of *room* columns; rows left to do are told as such: those are what --hold-in-doubt holds."""
    if not calls:
        return "no call is in doubt"
    lines = [["workspace", "model", "id", "sent at", "at most", "why", "its row"]]
    lines += [_cells(doubtful, outcome) for doubtful, outcome in calls if doubtful.started.row_id]
    lines += _untold(doubtful for doubtful, _ in calls if not doubtful.started.row_id)
    return "\n".join(chain.from_iterable(fitted(lines, range(len(lines[0])), room)))


def doubt_json(calls: Calls) -> list[dict[str, Any]]:
    """Return the same as plain values."""
    return [
        {
            "attempt": started.name,
            "workspace": started.workspace,
            "model": started.model,
            "id": started.row_id,
            "sent_at": _moment(started.at),
            "input_tokens": started.bound.input_tokens,
            "output_tokens": started.bound.output_tokens,
            "why": why,
            "row": outcome,
        }
        for (started, why, _), outcome in calls
    ]


def _cells(doubtful: Doubtful, outcome: str) -> list[str]:
    started, most = doubtful.started, doubtful.started.bound
    told = f"{most.input_tokens:,} + {most.output_tokens:,} tokens"
    return [started.workspace, started.model, printable(started.row_id), _moment(started.at), told, doubtful.why, outcome]


def _untold(calls: Iterable[Doubtful]) -> list[list[str]]:
    """Of calls that no line tells of, a line a workspace, model and loss."""
    found: dict[tuple[str, str, float, str], list[int]] = {}
    for started, why, _ in calls:
        sums = found.setdefault((started.workspace, started.model, started.at, why), [0, 0, 0])
        for place, more in enumerate((1, *started.bound)):
            sums[place] += more
    return [
        [workspace, model, f"(up to {counted(count, 'call')})", _moment(at), f"{asked:,} + {said:,} tokens", why, "unknown"]
        for (workspace, model, at, why), (count, asked, said) in found.items()
    ]


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
