"""What a caller wishes of a run, and what it gets of it in the end."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any, Literal

from batchrun.core.errors import JobError
from batchrun.core.jobs.job import Job
from batchrun.core.ledger import unanswered
from batchrun.core.ledger.statement import Statement
from batchrun.core.model import Outcome
from batchrun.core.progress import Progress
from batchrun.core.rows.reasons import Reason
from batchrun.core.scheduling.scheduler import ParkedScope
from batchrun.report.page.languages import LANGUAGES, Language

InDoubt = Literal["send", "hold"]
IN_DOUBT: tuple[InDoubt, ...] = ("send", "hold")


def _to_nobody(_text: str) -> None:
    """Tell nobody; by a name, so that wishes can be handed to another process."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """How the caller wants a run carried out."""

    strict: bool = False
    """Refuse to start over lines that are no row, missing keys and unauthorised models, instead of leaving them out."""
    retry_rejected: bool = False
    in_doubt: InDoubt | None = None
    """What becomes of rows of which a call may have been billed; None: as the job says."""
    wait: bool = False
    """Go on probing, and wait for workspaces that are closed, when only such rows are left, instead of ending."""
    handle_signals: bool = False
    """Let Ctrl-C and SIGTERM drain the run, as all that listen, and end the process where it lost a step for want of memory; on the main
    thread only."""
    dotenv: str | Path | None = Path(".env")
    page: Language | None = "en"
    """The language of the page that is written at the end; None for no page."""
    note: Callable[[str], None] = _to_nobody
    """Gets what a person may want to know on the way."""
    show: Callable[[Callable[[], Progress]], Coroutine[Any, Any, None]] | None = None
    """Shows progress until cancelled."""
    hand_on: Callable[[Outcome], object] | None = None
    """Gets each outcome once it is in the ledger; the row's slot is held until it has returned, and an awaitable that it gave is done."""
    on_index: Callable[[int, int], None] | None = None
    """Gets bytes read and bytes in all while the input is indexed."""

    def __post_init__(self) -> None:
        """Refuse what means nothing: rows that were to be held would be paid for again, a page not be written at the end, notes be lost.

        Raises JobError.
        """
        for name, words in (("in_doubt", IN_DOUBT), ("page", LANGUAGES)):
            if (given := getattr(self, name)) not in (None, *words):
                raise JobError(f"Wishes: {name} = {given!r}: {' or '.join(map(repr, words))}, or None")
        for name in ("note", "on_index"):
            if iscoroutinefunction(getattr(self, name)):
                raise JobError(f"Wishes: {name} is an asynchronous function: a plain one is wanted, for nothing awaits it")

    def holds_in_doubt(self, job: Job) -> bool:
        """Whether rows of which a call may have been billed are held."""
        return (self.in_doubt or job.retry.in_doubt) == "hold"


NO_WISHES = Wishes()
MOST_UNREADABLE = 100
"""Rows that could not be read of which an ending says why."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How an opening of a run ended."""

    statement: Statement
    parked: tuple[ParkedScope, ...] = ()
    stopped_by: str | None = None
    """The signal that ended it early."""
    unreadable: tuple[str, ...] = ()
    """Rows whose input changed while the run was reading it, or could not be read, the first hundred; pending."""
    held: int = 0
    """Rows that wait for a person, for a call of theirs may have been billed."""
    page: Path | None = None
    """Where its page was written."""
    no_rows: tuple[Reason, ...] = ()
    """Why most of the input lines that are no row are none."""
    failures: Mapping[unanswered.Reason, unanswered.Told] = field(default_factory=dict)
    """Why rows were rejected or exhausted."""
    failed_and_gone: Mapping[str, int] = field(default_factory=dict)
    """Of rows that were ``rejected`` or ``exhausted``, those that no longer stand in the input."""
    changed: int = 0
    """Answered rows whose line, or the settings they are asked under, have changed since: they keep their answers."""
    grown: tuple[str, ...] = ()
    """Input files that have come, or become larger, since the run was opened: what came is asked by the next opening."""

    @property
    def exit_code(self) -> int:
        """0 all answered, 3 finished with rows or lines that were not, 4 stopped before the end and resumable."""
        total = self.statement.total()
        if self.stopped_by or self.parked or self.unreadable or self.held or self.grown or total.pending:
            return 4
        return 3 if total.rejected or total.exhausted or self.statement.rejected_input else 0
