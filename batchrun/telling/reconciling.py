"""Ledgers of runs and a bill's exports read, each in one pass, and held against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

from batchrun.core.errors import JobError
from batchrun.core.money.bill import Bill
from batchrun.core.money.daybook import Daybook
from batchrun.core.money.reconcile import reconcile
from batchrun.core.money.reconciliation import Reconciliation
from batchrun.edge import run_directory
from batchrun.edge.bill_file import read_bill
from batchrun.telling.reading import read_into


def reconciled(
    runs: Sequence[Path], bills: Sequence[Path], zone: ZoneInfo, *,
    ids: Mapping[str, str], kinds: Mapping[str, str], others_allowed: bool = False, money_decides: bool = False,
) -> Reconciliation:  # fmt: skip
    """Hold the exports *bills* against the run directories *runs*; the bill's days are those of *zone*.

    *ids* names the workspace of a workspace id and goes before what the runs' jobs say; *kinds* says what an amount type means. Raises
    JobError where a file is none of these or is named twice, RunDamagedError where a ledger is damaged.
    """
    _once("--bill", bills)
    _once("RUN", runs)
    bill = Bill(kinds)
    for path in bills:
        for line in read_bill(path):
            bill.add(line)
    book = Daybook(zone)
    named: dict[str, str] = {}
    workspaces: set[str] = set()
    seen: dict[str, Path] = {}
    for directory in runs:
        described = run_directory.read_description(directory)
        if described is None:
            raise run_directory.not_there(directory, several=True)
        if (other := seen.setdefault(described["run"], directory)) is not directory:
            raise JobError(f"{directory}: holds the same run as {other}: its calls would be counted twice; name one of them")
        workspaces |= set(described["rows"])
        named |= _named_ids(described.get("job"))
        read_into(directory, book)
        book.end_run()
    unknown = set(ids.values()) - workspaces - {key[1] for key in book.counted}
    if unknown:
        raise JobError(f"--id: the runs have no workspace {', '.join(sorted(unknown))}; they have {', '.join(sorted(workspaces))}")
    return reconcile(
        book, bill, {**named, **ids}, workspaces, timezone=zone.key, others_allowed=others_allowed, money_decides=money_decides
    )  # fmt: skip


def _once(what: str, paths: Sequence[Path]) -> None:
    resolved = [path.resolve() for path in paths]
    for path in paths:
        if resolved.count(path.resolve()) > 1:
            raise JobError(f"{what} {path}: named twice: it would be counted twice")


def _named_ids(job: object) -> dict[str, str]:
    """The workspace ids that a job names."""
    tables = job.get("workspaces") if isinstance(job, dict) else None
    named = {}
    for name, table in (tables if isinstance(tables, dict) else {}).items():
        workspace_id = table.get("workspace_id") if isinstance(table, dict) else None
        if isinstance(workspace_id, str):
            named[workspace_id] = name
    return named
