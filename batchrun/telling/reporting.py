"""Runs read for a report, one after the other: their statements added up, which they were, and the files that are made of them."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import field
from pathlib import Path
from typing import IO, Any, NamedTuple
from zoneinfo import ZoneInfo

from batchrun.core.classes import slotted, value
from batchrun.core.counted import shortened
from batchrun.core.errors import BatchrunError, JobError, LedgerError, said_by
from batchrun.core.ledger.attribution import LANE, Groups
from batchrun.core.ledger.course import Course
from batchrun.core.ledger.focus import COLUMNS, Focus
from batchrun.core.ledger.statement import Statement
from batchrun.core.rows.reasons import MOST_SHOWN, Reason, described
from batchrun.edge import named_file, run_directory
from batchrun.edge.table_file import write_csv, write_parquet
from batchrun.report.usage_csv import usage_table
from batchrun.running.money import described_job, places_of
from batchrun.running.statements import BY, read_statement
from batchrun.telling.reading import makes_calls_beside

Into = Callable[[Path], AbstractContextManager[IO[bytes]]]
"""Gives what stands at a path to be written to."""
_FILES = ("attempts.log", "*/results.jsonl", "*/errors.jsonl")


@value
class Taken:
    """A run that is in the sums."""

    path: Path
    run: str
    name: str
    left: int = 0
    """Rows that have no outcome, of one that no process holds."""


@value
class LeftOut:
    """A path that is not."""

    path: Path
    why: str
    repeated: bool = False
    """Its run is in the sums, from another path."""
    there: bool = True
    """Whether anything is, as far as that can be told."""
    unbegun: bool = False
    """Nothing was called there."""


@slotted
class Report:
    """What runs have done and spent together."""

    statement: Statement
    taken: list[Taken] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    course: Course | None = None
    """How they went, where that was asked for."""
    overlapping: list[Path] = field(default_factory=list)
    """Of these, those whose log tells of calls twice."""

    @property
    def complete(self) -> bool:
        """Whether every run that was named is in the sums, and each of its calls once."""
        return not self.overlapping and all(each.repeated or each.unbegun for each in self.left_out)

    def add(self, path: Path, statement: Statement, course: Course | None) -> None:
        """Take in one of several runs."""
        self.statement.add(statement)
        self.taken.append(_taken(path, statement))
        if statement.openings_again:
            self.overlapping.append(path)
        if self.course is not None and course is not None:
            self.course.add(course)

    def as_json(self) -> dict[str, Any]:
        """Return the whole, as ``report --json`` prints it: of one run its statement, of several which they are besides."""
        told = self.statement.as_json()
        if len(self.taken) == 1 and not self.left_out:
            return told
        told = {name: value for name, value in told.items() if name not in {"run", "name"}}
        runs = [{"path": str(each.path), "run": each.run, "name": each.name} for each in self.taken]
        left_out = [{"path": str(each.path), "why": each.why, "repeated": each.repeated} for each in self.left_out]
        return {"runs": runs, "left_out": left_out, **told}


def reported(
    paths: Sequence[Path], *, by: Iterable[str] = (), zone: ZoneInfo | None = None, only: str | None = None, focus: Focus | None = None,
    with_course: bool = False,
) -> Report:  # fmt: skip
    """Read the run directories *paths* in one pass, no run twice; *focus* gets what each has spent.

    Of one path, whatever is wrong is raised: JobError, RunDamagedError. Of several, what cannot be read is left out and told.
    """
    # A run that has ended keeps what it came to by day: where no more is asked, it need not be read again.
    by = BY if {*by} <= {*LANE, *BY} else tuple(by)
    read = len(paths) == 1
    if read:
        course = Course() if with_course else None
        statement = read_statement(paths[0], by=by, zone=zone, only=only, course=course)
        report = Report(statement, [_taken(paths[0], statement)], course=course)
        report.overlapping += paths if statement.openings_again else ()
        _charge(focus, paths[0], statement)
    else:
        report = Report(Statement("", "", attribution=Groups(by, zone).attribution), course=Course() if with_course else None)
        for path in _each_once(paths, report.left_out):
            course = Course() if with_course else None
            try:
                statement = read_statement(path, by=by, zone=zone, only=only, course=course)
            except BatchrunError as error:
                report.left_out.append(LeftOut(path, str(error)))
            else:
                read = True
                if only is not None and not statement.lanes:
                    continue  # Another's run: not even its name is of this report.
                report.add(path, statement, course)
                _charge(focus, path, statement)
        if len(report.taken) == 1:
            report.statement.run, report.statement.name = report.taken[0].run, report.taken[0].name
    if not read and not any(each.there for each in report.left_out):
        raise JobError(f"{paths[0]} and {len(paths) - 1} more: there is no run directory among them")
    if only is not None and not report.statement.lanes:
        where = "the runs that were named" if len(paths) > 1 else paths[0]
        raise JobError(f"--workspace {only}: {where}: no workspace of that name has rows there; it is written as in the job")
    return report


def _taken(path: Path, statement: Statement) -> Taken:
    return Taken(path, statement.run, statement.name, 0 if statement.under_way else statement.total().pending)


def why_no_rows(taken: Iterable[Taken]) -> list[Reason]:
    """Why most of these runs' input lines that are no row are none, by their descriptions; whose lines they are, nobody knows."""
    why = (each for run in taken for each in described((run_directory.read_description(run.path) or {}).get("rejected_for")))
    return sorted(why, key=lambda each: -each.lines)[:MOST_SHOWN]


class MadeUp(NamedTuple):
    """What the simulator answered."""

    where: list[str]
    """Runs or, of those that have real answers too, their workspaces."""
    all: bool
    """Whether there is nothing else."""


def made_up(taken: Iterable[Taken], only: str | None = None) -> MadeUp:
    """Tell what of these runs, or of one workspace's part in them, the simulator answered."""
    found, real = [], False
    for run in taken:
        told = run_directory.read_description(run.path) or {}
        job = described_job(told)
        workspaces = job.workspaces_resolved() if job is not None else {}
        asked = {name for name in told.get("rows", ()) if name in workspaces and only in {None, name}}
        simulated = sorted(name for name in asked if workspaces[name].endpoint.simulated)
        real = real or len(simulated) < len(asked)
        if simulated:
            found.append(str(run.path) if len(simulated) == len(asked) else f"{run.path} ({shortened(simulated)})")
    return MadeUp(found, bool(found) and not real)


def named(path: Path) -> AbstractContextManager[IO[bytes]]:
    """Give what a person named to be written to: a file is put in the place of the old one where a link leads, all else is written into.

    ``-`` is standard output.
    """
    if str(path) == named_file.STANDARD_OUTPUT:
        return named_file.into_standard_output(path)
    if named_file.takes_what_comes(path):
        return named_file.straight_into(path)
    return run_directory.beside(Path(os.path.realpath(path)))  # of one that leads round in a circle, in its own place


def write_usage_csv(path: Path, statement: Statement, by: Sequence[str] = (*LANE, "day"), *, into: Into = run_directory.beside) -> None:
    """Write usage.csv; raises LedgerError where it cannot be."""
    heading, rows = usage_table(statement, by)
    with into(path) as file:
        write_csv(file, heading, rows, for_spreadsheets=True, marked=str(path) != named_file.STANDARD_OUTPUT)


def write_focus(path: Path, focus: Focus) -> None:
    """Write the charges as CSV or, by the name's ending, as Parquet; raises LedgerError where it cannot be, JobError without pyarrow."""
    with named(path) as file:
        if path.suffix == ".parquet":
            write_parquet(file, COLUMNS, focus.rows())
        else:
            write_csv(file, list(COLUMNS), focus.rows())


def _charge(focus: Focus | None, path: Path, statement: Statement) -> None:
    if focus is not None:
        places = places_of(run_directory.read_description(path) or {})
        focus.add(statement.attribution, {name: each[-1] for name, each in places.items()})
        focus.moved |= {name for name, _ in statement.lanes if len(places.get(name, ())) > 1}


def _each_once(paths: Sequence[Path], left_out: list[LeftOut]) -> list[Path]:
    """Of each run the path that has most of it: a copy may have been made while it was under way."""
    longest: dict[str, Path] = {}
    named: list[tuple[str, Path]] = []
    for path in paths:
        try:
            described = _described(path)
        except BatchrunError as error:
            left_out.append(LeftOut(path, str(error), there=not isinstance(error, JobError)))
            continue
        if described is not None and run_directory.is_unbegun(path):
            left_out.append(LeftOut(path, str(run_directory.not_there(path)), unbegun=True))
        elif described is not None:
            run = described.get("run")
            named.append((run if isinstance(run, str) else str(path), path))
            longest[named[-1][0]] = max(longest.get(named[-1][0], path), path, key=_size)
    chosen = []
    for run, path in named:
        if longest[run] == path and path not in chosen:
            chosen.append(path)
        else:
            left_out.append(_copy(path, longest[run]))
    return chosen


def _described(path: Path) -> Mapping[str, Any] | None:
    """What a directory says of itself; None of a file. Raises JobError where nothing is there, LedgerError where that cannot be told."""
    try:
        is_directory = stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        raise JobError(f"{path}: is not there") from None
    except OSError as error:
        raise LedgerError(f"{path}: cannot be read: {said_by(error)}") from None
    return (run_directory.read_description(path) or {}) if is_directory else None


def _copy(path: Path, counted: Path) -> LeftOut:
    """One that has gone on by itself was paid for what it did since; one that has not tells nothing that is not counted."""
    told = f"{path}: holds the same run as {counted}, which is counted"
    try:
        went_on = makes_calls_beside(path, counted)
    except BatchrunError as error:
        return LeftOut(path, f"{told}; whether it made calls of its own cannot be told: {error}")
    if went_on:
        return LeftOut(path, f"{told}, and made calls of its own since one of them was copied: what those cost is in no sum")
    return LeftOut(path, told, repeated=True)


def _size(directory: Path) -> int:
    """How much there is of a run; of a link that leads nowhere, which a glob of Python 3.13 finds too, whoever reads it tells."""
    size = 0
    for file in (file for pattern in _FILES for file in directory.glob(pattern)):
        with suppress(OSError):
            size += file.stat().st_size
    return size
