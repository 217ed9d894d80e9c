"""A page joined from what runs left: their statement, how they went, and how they ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from batchrun.core.columns import printable
from batchrun.core.counted import shortened
from batchrun.core.ledger.course import Course, Standstill
from batchrun.core.ledger.statement import Statement
from batchrun.core.protocols.failures import classify
from batchrun.core.protocols.mishaps import MISHAPS
from batchrun.core.scheduling.parking import ParkedScope
from batchrun.edge import run_directory
from batchrun.report.page.document import page
from batchrun.report.page.languages import Language
from batchrun.report.page.subject import Parked, Ran, Subject
from batchrun.running.statements import BY
from batchrun.telling.reporting import Into, Report, Taken, made_up, why_no_rows
from batchrun.telling.standing import input_grown, stood_still, stopped_by, table


def note_ending(directory: Path, parked: Sequence[ParkedScope], signal: str | None, grown: Sequence[str] = ()) -> None:
    """Put into run.json how this opening ended, until the next one writes it anew; one that was taken away meanwhile stays away.

    *signal* is what stopped it, and *grown* names the input files in which more stands than when it was opened.
    """
    described = run_directory.read_description(directory)
    if described is None:
        return  # How it ended alone would be no description, and keep the next opening out.
    scopes = [
        {"scope": each.scope, "name": each.name, "rows": each.rows, "code": each.failure.code, "status": each.failure.status}
        | {"message": each.failure.message, "advice": each.failure.advice}
        for each in parked
    ]
    ended = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "stopped_by": signal, "parked": scopes, "grown": list(grown)}
    run_directory.write_description(directory, described | {"ended": ended})


def publish(
    report: Report, path: Path, *, by: Sequence[str] = BY, only: str | None = None, language: Language = "en",
    into: Into = run_directory.beside,
) -> None:  # fmt: skip
    """Write the page of *report*, which was made with its course and by *by*. Raises LedgerError where it cannot be written."""
    zone = ZoneInfo(report.statement.attribution.zone)
    simulated = made_up(report.taken, only)
    described = [(run_directory.read_description(taken.path) or {}) for taken in report.taken]
    subject = Subject(
        runs=[_ran(taken, told, _where(taken.path, report, only)) for taken, told in zip(report.taken, described, strict=True)],
        statement=report.statement,
        course=report.course or Course(),
        made_at=datetime.now(UTC),
        zone=zone,
        job=table(described[-1].get("job")) if described else {},
        parked=standing_still(report, only),
        workspace=only,
        by=tuple(by),
        made_up="made_up" if simulated.all else "partly_made_up" if simulated.where else None,
        no_rows=why_no_rows(report.taken) if only is None else (),
    )
    with into(path) as file:
        file.write(page(subject, language).encode("utf-8", "replace"))


def publish_run(directory: Path, statement: Statement, course: Course, *, language: Language) -> Path:
    """Write the page of one run into its directory, and say where."""
    taken = Taken(directory, statement.run, statement.name)
    publish(Report(statement, [taken], course=course), directory / "report.html", language=language)
    return directory / "report.html"


def _where(path: Path, report: Report, only: str | None) -> str:
    """How one of several runs is told from the others; a department's own page does not tell."""
    return str(path) if len(report.taken) > 1 and only is None else ""


def _ran(taken: Taken, described: Mapping[str, Any], where: str) -> Ran:
    has_ended = isinstance(described.get("ended"), dict)
    return Ran(taken.run, taken.name, has_ended, stopped_by(described) or None, bool(input_grown(described)), where)


def stopped(report: Report, only: str | None = None) -> Iterator[str]:
    """Say which runs of *report* ended before their rows were done, and have not gone on since; to one workspace not which."""
    for each in _stopped(report, only):
        yield printable(f"{each.get('path', 'the run')} was stopped by {each['by']}: the same command goes on with it")
    for taken in report.taken:
        if taken.left and not table((run_directory.read_description(taken.path) or {}).get("ended")):
            which = taken.path if only is None else "the run"
            yield printable(f"{which} was killed, or could not write any more: the same command goes on with it")


def _stopped(report: Report, only: str | None) -> Iterator[dict[str, str]]:
    for taken in report.taken:
        if signal := stopped_by(run_directory.read_description(taken.path) or {}):
            yield ({"path": str(taken.path)} if only is None else {}) | {"by": signal}


def grown(report: Report, only: str | None = None) -> Iterator[str]:
    """Say of which runs of *report* the input had more when they ended; of one workspace nobody knows whether that is of its rows."""
    for path, files in _grown(report, only):
        told = printable(f"more stands in the input than when {path} was opened ({shortened(files)})")
        yield f"{told}: the same command goes on with it"


def _grown(report: Report, only: str | None) -> Iterator[tuple[Path, list[str]]]:
    for taken in report.taken if only is None else ():
        if files := input_grown(run_directory.read_description(taken.path) or {}):
            yield taken.path, files


def left_json(report: Report, only: str | None = None) -> dict[str, Any]:
    """What `standing_still`, `grown` and `stopped` tell, as ``report --json`` prints it beside the sums."""
    parked = [asdict(each) for each in standing_still(report, only)]
    for each in parked:
        if run := each.pop("run"):
            each["path"] = run
    return {
        "parked": parked,
        "grown": [{"path": str(path), "input": files} for path, files in _grown(report, only)],
        "stopped": [*_stopped(report, only)],
    }


def standing_still(report: Report, only: str | None = None) -> list[Parked]:
    """What the runs of *report* were ended by or wait for, as far as rows are left; of one workspace what concerns it."""
    return [*_parked([(taken.path, run_directory.read_description(taken.path) or {}) for taken in report.taken], report, only)]


def _parked(described: Sequence[tuple[Path, Mapping[str, Any]]], report: Report, only: str | None) -> Iterator[Parked]:
    """What the openings ended with; of a run that was killed, the lanes whose last call was refused in that way."""
    pending = report.statement.total().pending
    for path, each in described if pending else ():
        run = _where(path, report, only)
        yield from (replace(mine, run=run) for scope in stood_still(each) if (mine := _seen_by(scope, each, pending, only)) is not None)
    if not all(table(each.get("ended")) for _, each in described) and report.course is not None:
        yield from (_standing(each, report) for each in report.course.standstills.values() if _left(each, report))


def _seen_by(parked: Parked, described: Mapping[str, Any], pending: int, only: str | None) -> Parked | None:
    """A scope as a page shows it; a workspace's own shows of its account's only that it is parked and what to do: others stand in it."""
    if only is None or (parked.scope != "account" and (parked.name == only or parked.name.startswith(f"{only} "))):
        return parked
    if parked.scope == "account" and parked.name == (account_of := _accounts(described)).get(only, only):
        its_own = parked.name == only and not any(account == only for name, account in account_of.items() if name != only)
        return parked if its_own else replace(parked, rows=pending, message="")
    return None


def _accounts(described: Mapping[str, Any]) -> dict[str, Any]:
    """Which account each workspace is of, as a run is described; one that names none is of an account of its own, by its name."""
    workspaces = table(table(described.get("job")).get("workspaces"))
    return {name: table(told).get("account") or name for name, told in workspaces.items()}


def _standing(lane: Standstill, report: Report) -> Parked:
    own = MISHAPS.get(lane.code)
    advice = classify(lane.status or 0, lane.code, "").advice if own is None else own.advice
    return Parked("lane", f"{lane.workspace} {lane.model}", _left(lane, report), lane.code, lane.status, "", advice)


def _left(lane: Standstill, report: Report) -> int:
    totals = report.statement.lanes.get((lane.workspace, lane.model))
    return totals.pending if totals is not None else 0
