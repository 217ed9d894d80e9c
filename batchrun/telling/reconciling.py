"""Ledgers of runs and a bill's exports read, each in one pass, and held against each other."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from zoneinfo import ZoneInfo

from batchrun.core.counted import shortened
from batchrun.core.errors import JobError, RunDamagedError
from batchrun.core.money.bill import Bill
from batchrun.core.money.daybook import Daybook
from batchrun.core.money.reconcile import reconcile
from batchrun.core.money.reconciliation import Reconciliation
from batchrun.edge import run_directory, trust
from batchrun.edge.bill_file import read_bill
from batchrun.running.statements import Account
from batchrun.telling.reading import LOG, read_into


def reconciled(
    runs: Sequence[Path], bills: Sequence[Path], zone: ZoneInfo, *,
    ids: Mapping[str, Sequence[str]], kinds: Mapping[str, str], others_allowed: bool = False, money_decides: bool = False,
) -> Reconciliation:  # fmt: skip
    """Hold the exports *bills* against the run directories *runs*; the bill's days are those of *zone*.

    *ids* names the workspace of a workspace id: several names are of one workspace, and compared as one. *kinds* says what an amount type
    means. Raises JobError where a file is none of these or is named twice, RunDamagedError where a ledger is damaged.
    """
    _once("--bill", bills)
    _once("RUN", runs)
    bill = Bill(kinds)
    for path in bills:
        for line in read_bill(path, zone):
            bill.add(line)
    as_one = _as_one(ids)
    book = Daybook(zone, as_one)
    workspaces: set[str] = set()
    seen: dict[str, Path] = {}
    for directory in [each for each in runs if len(runs) == 1 or not run_directory.is_unbegun(each)]:
        trust.refuse_packed(directory)
        account = Account.of(directory)
        if (other := seen.setdefault(account.run, directory)) is not directory:
            raise JobError(f"{directory}: holds the same run as {other}: its calls would be counted twice; name one of them")
        workspaces |= {workspace for workspace, _ in account.rows}
        holder = run_directory.holder(directory)
        read_into(directory, book)
        if book.calls.openings_again:
            what = "was put together of parts that overlap, and what stands there twice would be counted twice"
            raise RunDamagedError(f"{directory / LOG}: {what}: batchrun check {quote(str(directory))} --repair takes it out")
        book.end_run(is_still=holder is None and run_directory.holder(directory) is None)
    unknown = {name for names in ids.values() for name in names} - workspaces - book.workspaces
    if unknown:
        raise JobError(f"--id: the runs have no workspace {shortened(sorted(unknown))}; they have {shortened(sorted(workspaces))}")
    named = {workspace_id: as_one.get(names[0], names[0]) for workspace_id, names in ids.items()}
    known = {as_one.get(name, name) for name in workspaces}
    return reconcile(book, bill, named, known, timezone=zone.key, others_allowed=others_allowed, money_decides=money_decides)


def _once(what: str, paths: Sequence[Path]) -> None:
    # Of a link that leads round in a circle, `Path.resolve` would raise: reading it tells.
    resolved = [os.path.realpath(path) for path in paths]
    for path, led_to in zip(paths, resolved, strict=True):
        if resolved.count(led_to) > 1:
            raise JobError(f"{what} {path}: named twice: name it once")


def _as_one(ids: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """What names that are one workspace's are called together, by each of them."""
    found: dict[str, str] = {}
    for workspace_id, names in ids.items():
        together = " + ".join(sorted(names))
        for name in names:
            if found.setdefault(name, together) != together:
                raise JobError(
                    f"--id: {name} is one with {found[name]}, and with {together} for {workspace_id}: give each id all its names"
                )
    return {name: together for name, together in found.items() if name != together}
