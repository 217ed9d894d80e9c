"""What has changed in a job since its run was last opened, by the names of its file, and what that means for the run.

Between two openings everything may change but what the run is of: its name, its input, and whether the simulator answers. Limits, keys,
budgets, prices, waits and where things are written hold from the next opening on. What rows are asked under concerns those that are left:
an answered row keeps its answer. Rows may be added to the input, taken out and edited; an input that has none of the answered rows is
another one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_ASKED = frozenset({"model", "models", "parameters", "headers", "protocol", "deployments", "schema", "reasks", "endpoint", "base_url"})
"""Keys, wherever they stand, that are a part of what is asked, or of whom."""
_NO_TABLE = frozenset({"parameters", "headers", "schema"})
"""Tables that are one value: what stands in them is the user's own."""
_SHOWN = 6


def changes(before: object, now: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Name the keys that differ: of those that rows are asked under, and of all others. Nothing is known where *before* is no job."""
    if not isinstance(before, Mapping):
        return (), ()
    named = sorted(_differing(before, now, ()))
    asked = tuple(".".join(path) for path in named if not _ASKED.isdisjoint(path[-1:]))
    return asked, tuple(".".join(path) for path in named if _ASKED.isdisjoint(path[-1:]))


def told(before: object, now: Mapping[str, Any]) -> Iterator[str]:
    """Say for a person what has changed."""
    asked, others = changes(before, now)
    if asked:
        yield f"changed in the job: {_listed(asked)}: rows that are left are asked so, answered ones keep their answers"
    if others:
        yield f"changed in the job: {_listed(others)}: it holds from now on"


def more_rows(before: object, now: Mapping[tuple[str, str], int]) -> int | None:
    """How many rows more a run has than it had; None where *before* is no account of rows."""
    if not isinstance(before, Mapping):
        return None
    counts = [count for models in before.values() if isinstance(models, Mapping) for count in models.values()]
    return sum(now.values()) - sum(counts) if all(isinstance(count, int) for count in counts) else None


def _differing(before: Mapping[str, Any], now: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for name in before.keys() | now.keys():
        old, new = before.get(name), now.get(name)
        if not path and isinstance(table := old or new, Mapping) and not _ASKED.isdisjoint(table):
            # A table that came or went whole: what is asked is told as that, whatever stands beside it.
            old, new = old or {}, new or {}
        if isinstance(old, Mapping) and isinstance(new, Mapping) and name not in _NO_TABLE:
            yield from _differing(old, new, (*path, name))
        elif old != new and not (path == ("prices",) and _without_sources(old) == _without_sources(new)):
            yield (*path, name)


def _without_sources(tables: object) -> object:
    """What a model costs: where that was read, and what the file is called, changes no price."""
    if not isinstance(tables, list):
        return tables
    return [{name: said for name, said in each.items() if name != "source"} if isinstance(each, Mapping) else each for each in tables]


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
