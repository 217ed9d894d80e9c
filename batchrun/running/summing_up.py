"""What is made of the ledger when an opening ends: its statement, each workspace's usage, how it ended, and its page.

All of it can be made again from the ledger at any time, and is, by `batchrun report`. The statement comes from memory where the opening
followed its own ledger and every file is byte for byte what was written (`following.py`), and from a reading of the ledger otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from batchrun.core.ledger.course import Course
from batchrun.core.ledger.statement import Statement
from batchrun.core.ledger.unanswered import Reason, Told
from batchrun.core.scheduling.parking import ParkedScope
from batchrun.edge.ledger import Ledger
from batchrun.report.page.languages import Language
from batchrun.running.budgets import with_what_is_left
from batchrun.running.opening import Opening
from batchrun.running.parks import held_scopes
from batchrun.running.statements import BY, read_statement, write_usage


class Sum(NamedTuple):
    """What an opening came to."""

    statement: Statement
    parked: tuple[ParkedScope, ...]
    page: Path | None
    """Where it was written; None where none was asked for."""
    failures: Mapping[Reason, Told]
    """Why rows have no answer."""
    held: int
    """Rows that wait for a person, for a call of theirs may have been billed."""
    grown: tuple[str, ...]
    """Input files that have come, or become larger, since the run was opened."""


def have_at_hand() -> None:
    """Import what `sum_up` needs, while the code that this process runs stands there: it may be upgraded in the midst of a run. Blocks."""
    import batchrun.telling.publishing  # noqa: PLC0415 - a run does not begin later for its page
    import batchrun.telling.reporting  # noqa: F401, PLC0415


def sum_up(
    opening: Opening, ledger: Ledger, parked: tuple[ParkedScope, ...], stopped_by: str | None, language: Language | None,
    held: Mapping[str, int] | None = None,
) -> Sum:  # fmt: skip
    """Write what is made from the ledger at the end, once it is closed; *language* is the page's, None for no page. Blocks.

    *held* counts the rows that were held for a person, by workspace; None where rows of which a call is in doubt are sent again.
    Raises LedgerError where it cannot be written, RunDamagedError where somebody has changed the ledger meanwhile.
    """
    from batchrun.telling.publishing import note_ending, publish_run  # noqa: PLC0415 - a run does not begin later for its page
    from batchrun.telling.reporting import write_usage_csv  # noqa: PLC0415

    directory = opening.directory
    went = Course()
    statement = None if opening.followed is None else opening.followed.close(ledger.followed(), went)
    if statement is None:
        statement = read_statement(directory, by=BY, course=went, keep=True)
    write_usage(directory, statement)
    write_usage_csv(directory / "usage.csv", statement)
    parked = tuple(with_what_is_left(each, statement) for each in parked)
    waiting = {} if held is None else dict(_held(held, statement))
    grown = tuple(opening.source.grown())
    note_ending(directory, [*parked, *held_scopes(waiting)], stopped_by, grown)
    page = None if language is None else publish_run(directory, statement, went, language=language)
    return Sum(statement, parked, page, went.reasons(), sum(waiting.values()), grown)


def _held(held: Mapping[str, int], statement: Statement) -> Iterator[tuple[str, int]]:
    """Rows that wait for a person: those that were held, and those that the end has left in doubt, as the statement tells."""
    for name, (total, _) in statement.of_workspaces().items():
        # It counts them where their calls were made: of one whose line names another model since, it does not know that it is left.
        # Of one that was rejected, and is held all the same where rejected ones were to be asked again, it knows that it is not.
        if rows := min(max(held.get(name, 0), total.rows_in_doubt), total.pending + total.exhausted):
            yield name, rows
