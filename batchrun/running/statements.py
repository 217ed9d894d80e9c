"""A run's statement: what it is made from beside the ledger, and the readers that make it of that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Self, cast
from zoneinfo import ZoneInfo

from batchrun.core.classes import value
from batchrun.core.errors import RunDamagedError
from batchrun.core.ledger.attempts import Most
from batchrun.core.ledger.attribution import DEFAULT_ZONE
from batchrun.core.ledger.course import Course
from batchrun.core.ledger.fold import Fold
from batchrun.core.ledger.statement import Statement
from batchrun.core.ledger.watched import Watched
from batchrun.core.money.exact import exact
from batchrun.edge import run_directory, trust
from batchrun.running.checkpoints import AReader, Checkpoint
from batchrun.running.money import most_of
from batchrun.telling.reading import read_all

BY = ("day",)
"""What is told apart beside workspace and model when a run ends."""


@value
class Account:
    """A run as its statement is made: what its description tells, and what is wanted."""

    directory: Path
    run: str
    name: str
    rejected_input: int
    rows: Mapping[tuple[str, str], int]
    """By workspace and model."""
    job: Any
    """As it was described."""
    most: Most
    by: tuple[str, ...] = ()
    zone: ZoneInfo | None = None
    only: str | None = None

    @classmethod
    def of(cls, directory: Path, *, by: Iterable[str] = (), zone: ZoneInfo | None = None, only: str | None = None) -> Self:
        """Take a run directory's; raises JobError where there is none, RunDamagedError where its description is damaged."""
        run_directory.refuse_pipes(directory)
        described = run_directory.read_description(directory)
        if described is None:
            raise run_directory.not_there(directory, several=True)
        told = _told(directory, described, only)
        return cls(directory, *told, described.get("job"), most_of(described), tuple(by), zone, only)

    def fold(self) -> Fold:
        """A fold that has read nothing yet."""
        return Fold(self.run, self.name, self.rejected_input, by=self.by, zone=self.zone, only=self.only, most=self.most)

    def watched(self) -> Watched:
        """The same, with a course that looks on."""
        looking_on = Course()
        looking_on.begin(self.job)
        return Watched(self.fold(), looking_on)

    def checkpoint(self, name: str) -> Checkpoint:
        """What is kept of a reader: ``statement`` of a fold, ``course`` of a watched one."""
        key = [self.run, self.name, self.rejected_input, self.by, self.zone.key if self.zone else DEFAULT_ZONE, self.job]
        return Checkpoint(self.directory, name, key, {"most": self.most})

    def read(self, name: str, new: Callable[[], AReader], *, keep: bool) -> AReader:
        """Read the ledger, from what is kept on where anything is."""
        # Of rows whose calls are in doubt, metadata are looked for from the first entry on.
        if self.only is None and not any(each.startswith("metadata.") for each in self.by):
            return self.checkpoint(name).read_on(new, keep=keep)
        return read_all(self.directory, new, self.only)


@exact()
def read_statement(
    directory: str | Path, *, by: Iterable[str] = (), zone: ZoneInfo | None = None, only: str | None = None,
    course: Course | None = None, keep: bool = False,
) -> Statement:  # fmt: skip
    """Fold the ledger of a run directory, finished or not. Raises JobError where there is none, RunDamagedError where it is damaged.

    *by* names what it is to tell apart beside workspace and model: ``day`` and ``hour`` of *zone*, ``metadata.KEY``. With *only*, it is
    the statement of that workspace, and nothing of the others is in it. A *course* sees the same lines in the same pass. With *keep*, what
    was read is not read again next time: the caller holds the run.
    """
    if not keep:
        # An opening has looked for itself.
        trust.refuse_packed(Path(directory))
    account = Account.of(Path(directory), by=by, zone=zone, only=only)
    holder = None if keep else run_directory.holder(Path(directory))
    # A run keeps what it knew at its end with its course: who does not want that goes on from it all the same.
    if course is None and (keep or not account.checkpoint("course").is_there):
        return _closed(account, account.read("statement", account.fold, keep=keep), holder)
    both = account.read("course", account.watched, keep=keep)
    if course is not None:
        course.add(both.course)
    return _closed(account, cast("Fold", both.fold), holder)


def _closed(account: Account, fold: Fold, holder: str | None) -> Statement:
    """Close a *fold* of what was read while *holder* held the run, if it does so still: between two holders there may be a kill."""
    still = run_directory.holder(account.directory)
    statement = fold.close(account.rows, under_way=holder is not None and still == holder)
    if holder is not None or still is not None:
        # The log is read first, and entries of later calls after it.
        statement.unlogged_answers = 0
    return statement


def write_usage(directory: Path, statement: Statement) -> None:
    """Write each workspace's usage.json, of one that is no longer the job's too; raises LedgerError where it cannot be."""
    parts = statement.workspaces_json(run_directory.told_before(directory))
    run_directory.write_summaries({directory / workspace / "usage.json": part for workspace, part in parts.items()})


def _told(directory: Path, described: Mapping[str, Any], only: str | None) -> tuple[str, str, int, dict[tuple[str, str], int]]:
    """The run's id, its name, its input lines that were no row, and its rows by workspace and model."""
    try:
        rows = {
            (workspace, model): int(count)
            for workspace, models in described["rows"].items()
            if only in {None, workspace}
            for model, count in models.items()
        }
        # Whose a line is that is no row, nobody knows: none of them is told to a single workspace.
        return described["run"], described["name"], described.get("rejected_input", 0) if only is None else 0, rows
    except (KeyError, AttributeError, TypeError, ValueError):
        raise RunDamagedError(f"{directory / 'run.json'}: is no description of a run; move it away if it was put there by hand") from None
