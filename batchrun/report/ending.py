"""What a run says at its end beside its statement: what stands still and who must do what, what failed, what is left, where it all is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from batchrun.core.model import Scope
from batchrun.core.rows.reasons import told
from batchrun.core.scheduling.scheduler import ParkedScope
from batchrun.running.wishes import Ending

_MOST_UNREADABLE = 5
_MOST_PARKED = 6
"""Scopes that are told in full of those that are parked for the same reason."""
_MOST_NAMED = 20


def ending_told(ending: Ending, job_file: Path, directory: str, workspaces: Iterable[str]) -> Iterator[str]:
    """Say how the run of *job_file* in *directory* ended; *workspaces* are those of the job."""
    total = ending.statement.total()
    yield from (f"no row: {reason}" for reason in told(ending.statement.rejected_input, ending.no_rows, workspaces))
    yield from _all_parked(ending.parked)
    yield from (f"not read: {reason}" for reason in ending.unreadable[:_MOST_UNREADABLE])
    if total.rejected or total.exhausted:
        yield f"{total.rejected:,} rows rejected, {total.exhausted:,} exhausted: why stands in {directory}/WORKSPACE/errors.jsonl"
    if ending.held:
        yield (
            f"{ending.held:,} rows are held, for a call of theirs may have been billed: batchrun report {directory} --in-doubt lists them; "
            f"send them again with: batchrun run {job_file} --send-in-doubt"
        )
    if left := max(0, total.pending - ending.held):
        stopped = f"stopped by {ending.stopped_by}: " if ending.stopped_by else ""
        yield f"{stopped}{left:,} rows are left; go on with: batchrun run {job_file}"
    yield f"results: {directory}/WORKSPACE/results.jsonl"
    if ending.page is not None:
        yield f"page: {ending.page}"


def _all_parked(parked: Iterable[ParkedScope]) -> Iterator[str]:
    alike: dict[str, list[ParkedScope]] = {}
    for each in parked:
        alike.setdefault(each.failure.code, []).append(each)
    for code, scopes in alike.items():
        told_in_full = len(scopes) if len(scopes) <= _MOST_PARKED + 1 else _MOST_PARKED
        yield from map(_parked, scopes[:told_in_full])
        if rest := scopes[told_in_full:]:
            names = ", ".join([each.name for each in rest[:_MOST_NAMED]] + ["…"] * (len(rest) > _MOST_NAMED))
            yield f"parked: {len(rest):,} more for the same reason, {code}, {sum(each.rows for each in rest):,} rows: {names}"


def _parked(parked: ParkedScope) -> str:
    failure = parked.failure
    what = {Scope.ACCOUNT: "account", Scope.WORKSPACE: "workspace"}.get(parked.scope, "workspace and model")
    status = f"{failure.status} " if failure.status else ""
    return f"parked: {what} {parked.name}, {parked.rows:,} rows: {status}{failure.code}: {failure.message}\n  {failure.advice}"
