"""Settings that an endpoint may pass over, and the rows be paid for without: names that are mistyped, or wrapped for an SDK.

Before any call it is told of the first row of each lane, and of the first row that has a name of its own, as the pass over the input has
met it. All others are looked at when their turn comes: a row whose first of the kind was answered by an earlier opening, say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from batchrun.core.columns import printable
from batchrun.core.counted import shortened
from batchrun.core.jobs.words import slip_of
from batchrun.core.model import Row
from batchrun.core.rows.own_settings import HEEDED, WRAPPER
from batchrun.core.scheduling.plan import Plan
from batchrun.edge.source import Source

_MOST_LANES = 256
_MOST_SETTINGS = 64
_MOST_NAMES = 1000
"""That are remembered; nobody has as many settings."""
_UNWRAPPED = "write it beside the others: parameters = { enable_thinking = false }"


def unheeded(source: Source, plan: Plan) -> Iterator[str]:
    """Tell of those in the first row that is left of each lane, and of those that others begin to have."""
    holding: dict[str, list[str]] = {}
    for lane, row in _firsts(source, plan):
        for name in _unknown(row):
            holding.setdefault(name, []).append(lane)
    for name, row in _met(source, plan):
        holding.setdefault(name, [_first_in(row)])
    yield from _told(holding)


def looker(source: Source, plan: Plan, note: Callable[[str], None]) -> Callable[[Row], None]:
    """Give a function to look at each row by: it tells of a name when the first row has it, but of those that `unheeded` told of."""
    known = {*HEEDED, *(name for _, row in _firsts(source, plan) for name in row.body), *(name for name, _ in _met(source, plan))}

    def look(row: Row) -> None:
        # One that says nothing of its own has what the first of its lane had.
        if row.is_plain or known.issuperset(row.body) or len(known) > _MOST_NAMES:
            return
        told = [*_told({name: [_first_in(row)] for name in _unknown(row) if name not in known})]
        known.update(row.body)
        for each in told:
            note(each)

    return look


def _firsts(source: Source, plan: Plan) -> Iterator[tuple[str, Row]]:
    for lane in islice(plan.lanes(), _MOST_LANES):
        if isinstance(row := source.read(next(plan.rows(lane))), Row):
            yield " ".join(lane), row


def _met(source: Source, plan: Plan) -> Iterator[tuple[str, Row]]:
    """Names of a row's own that the pass has met, each with its first row, where that is left."""
    for name, ordinal in source.settings():
        if plan.is_pending(ordinal) and isinstance(row := source.read(ordinal), Row):
            yield name, row


def _first_in(row: Row) -> str:
    return f"first in {row.workspace} {row.id}"


def _unknown(row: Row) -> Iterable[str]:
    return islice((name for name in row.body if name not in HEEDED), _MOST_SETTINGS)


def _told(holding: dict[str, list[str]]) -> Iterator[str]:
    """Say of names, each with where it is held, what is wrong with them, if anything is."""
    if where := holding.pop(WRAPPER, None):
        why = f"the openai SDK takes what it holds out of it before it sends, and nothing says that an endpoint looks into it; {_UNWRAPPED}"
        yield f"parameters hold {WRAPPER} ({shortened(where)}): {why}"
    for name, where in sorted(holding.items()):
        if meant := slip_of(name, HEEDED):
            why = f"is {meant} meant? Model Studio passes over a name that it does not know, and the rows would be paid for without it"
            yield f"parameters hold {printable(name)} ({shortened(where)}): {why}"
