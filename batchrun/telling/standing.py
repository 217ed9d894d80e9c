"""What stood still when a run last ended, as its description tells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from batchrun.core.columns import printable
from batchrun.core.counted import counted, sentence, shortened
from batchrun.core.jobs.job import Workspace
from batchrun.core.model import Scope
from batchrun.core.scheduling.expected import LaneKey
from batchrun.report.page.subject import Parked
from batchrun.running.parks import HELD

_FORESEEN = frozenset(
    {HELD, "window_closed", "missing_key", "model_not_listed", "no_route", "budget_spent", "budget_uncounted", "no_price"}
)
"""What a plan finds by itself, as things are now."""
_MOST_TOLD = 6
"""Reasons."""
_MOST_IN_FULL = 6
"""Scopes that stand still for the same reason."""


def stood_still(described: Mapping[str, Any]) -> Iterator[Parked]:
    """The scopes that the last opening ended with; nothing of one that was killed, or is under way."""
    scopes = table(described.get("ended")).get("parked")
    for scope in scopes if isinstance(scopes, list) else ():
        if isinstance(scope, dict):
            yield Parked(
                text(scope.get("scope")), text(scope.get("name")), whole(scope.get("rows")), text(scope.get("code")),
                whole(scope.get("status")) or None, text(scope.get("message")), text(scope.get("advice")),
            )  # fmt: skip


def input_grown(described: Mapping[str, Any]) -> list[str]:
    """The input files in which more stood when the last opening ended than when it began."""
    files = table(described.get("ended")).get("grown")
    return [each for each in files if isinstance(each, str)] if isinstance(files, list) else []


def stopped_by(described: Mapping[str, Any]) -> str:
    """The signal that ended the last opening before its rows were done; empty where none did, or it is under way."""
    return text(table(described.get("ended")).get("stopped_by"))


def told_as_parked(parked: Iterable[Parked]) -> Iterator[str]:
    """Say what stands still, why, and what is to be done: of many for the same reason the first are told in full, and the others named."""
    alike: dict[tuple[str, str], list[Parked]] = {}
    for each in parked:
        alike.setdefault((each.run, each.code), []).append(each)
    for (run, code), scopes in alike.items():
        in_full = len(scopes) if len(scopes) <= _MOST_IN_FULL + 1 else _MOST_IN_FULL
        how = "held" if code == HELD else "parked"
        where = f"{how}: {run}: " if run else f"{how}: "
        for each in scopes[:in_full]:
            status = f"{each.status} " if each.status else ""
            yield printable(f"{where}{each.name}, {counted(each.rows, 'row')}: {status}{code}: {each.message}")
            yield f"  {printable(each.advice)}"
        if rest := scopes[in_full:]:
            waiting = counted(sum(each.rows for each in rest), "row")
            yield printable(f"{where}{len(rest):,} more for the same reason, {code}, {waiting}: {shortened([each.name for each in rest])}")


def still_to_mend(described: Mapping[str, Any], workspaces: Mapping[str, Workspace], counts: Mapping[LaneKey, int]) -> Iterator[str]:
    """What an endpoint refused then, and has rows left: whether it was mended since, only a call can tell."""
    left = _left(workspaces, counts)
    alike: dict[tuple[str, str], list[tuple[Parked, int]]] = {}
    for each in stood_still(described):
        if (rows := left.get((each.scope, each.name))) and each.code not in _FORESEEN:
            alike.setdefault((each.code, each.advice), []).append((each, rows))
    for (code, advice), scopes in [*alike.items()][:_MOST_TOLD]:
        first, waiting = scopes[0][0], counted(sum(rows for _, rows in scopes), "row")
        what = f"{first.status} {code}" if first.status else code
        where = f"{shortened([each.name for each, _ in scopes])}, {waiting}"
        yield printable(sentence("parked when the run last ended, and taken here for mended", where, what, first.message, advice))


def stood_in(described: Mapping[str, Any], workspace: Workspace) -> Iterator[Parked]:
    """What an endpoint had refused to *workspace* when the run last ended, and no look without a call may tell to be mended."""
    of_it = {Scope.WORKSPACE.value: workspace.name, Scope.ACCOUNT.value: workspace.account}
    for each in stood_still(described):
        is_its = each.name.startswith(f"{workspace.name} ") if each.scope == Scope.LANE else of_it.get(each.scope) == each.name
        if is_its and each.code not in _FORESEEN:
            yield each


def _left(workspaces: Mapping[str, Workspace], counts: Mapping[LaneKey, int]) -> Counter[tuple[str, str]]:
    """Rows by kind and name of each scope."""
    left = Counter[tuple[str, str]]()
    for (workspace, model), rows in counts.items():
        for scope in ((Scope.LANE, f"{workspace} {model}"), (Scope.WORKSPACE, workspace), (Scope.ACCOUNT, workspaces[workspace].account)):
            left[scope] += rows
    return left


def table(value: object) -> Mapping[str, Any]:
    """*value*, where it is a table: a description may have been written in by anybody."""
    return value if isinstance(value, dict) else {}


def text(value: object) -> str:
    """*value*, where it is text."""
    return value if isinstance(value, str) else ""


def whole(value: object) -> int:
    """*value*, where it is a whole number."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
