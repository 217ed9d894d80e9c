"""What a run says at its end beside its statement: what stands still and who must do what, what failed, what is left, where it all is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from shlex import quote

from batchrun.core.columns import printable
from batchrun.core.counted import counted, shortened
from batchrun.core.ledger.totals import Totals
from batchrun.core.ledger.unanswered import Reason, Told
from batchrun.core.model import Scope
from batchrun.core.natural import natural
from batchrun.core.protocols.mishaps import BEFORE_ANY_CALL
from batchrun.core.rows.reasons import told
from batchrun.core.scheduling.scheduler import ParkedScope
from batchrun.running.noticed import kept
from batchrun.running.wishes import MOST_UNREADABLE, Ending

_MOST_UNREADABLE = 5
_MOST_PARKED = 6
"""Scopes that are told in full of those that are parked for the same reason."""
_MOST_FAILURES = 3
"""Reasons why rows have no answer."""


def ending_told(ending: Ending, command: str, directory: str, workspaces: Iterable[str], *, holding: str = "") -> Iterator[str]:
    """Say how a run in *directory* ended, which the same *command* goes on with; *workspaces* are those of the job.

    *holding* is the option by which it held rows in doubt: without it the next command would send them.
    """
    going_on = f"{command} {holding}" if holding else command
    total = ending.statement.total()
    yield from (f"no row: {reason}" for reason in told(ending.statement.rejected_input, ending.no_rows, workspaces))
    yield from _all_parked(ending.parked)
    yield from _not_read(ending.unreadable)
    if total.rejected or total.exhausted:
        yield from _failed(ending.failures, "on the page" if ending.page else "in errors.jsonl")
        yield f"{_without_answer(total)}: why stands in {directory}/WORKSPACE/errors.jsonl"
        yield from _once_more(total, ending, going_on)
    if ending.held:
        yield (
            f"{counted(ending.held, 'row is held, for a call of it', 'rows are held, for a call of theirs')} may have been billed: "
            f"batchrun report {quote(directory)} --in-doubt lists them; send them again with: {command} --send-in-doubt"
        )
    if left := max(0, total.pending - ending.held):
        stopped = f"stopped by {ending.stopped_by}: " if ending.stopped_by else ""
        yield f"{stopped}{counted(left, 'row is', 'rows are')} left; go on with: {going_on}"
    elif ending.stopped_by and (total.rejected or total.exhausted):
        # To a statement they are no rows that are left: they have their entries.
        yield f"stopped by {ending.stopped_by}: not all rows that had failed before were asked again"
    if ending.grown:
        where = printable(shortened(ending.grown))
        yield f"more stands in the input than when the run was opened ({where}): go on with: {going_on}"
    if ending.changed:
        yield kept(ending.changed)
    if total.answered:
        yield f"results: {directory}/WORKSPACE/results.jsonl"
    if ending.page is not None:
        yield f"page: {ending.page}"


def _not_read(reasons: Sequence[str]) -> Iterator[str]:
    """Why rows could not be read; each reason once, for a disk that fails gives every row the same."""
    at_least, told_of = len(reasons) >= MOST_UNREADABLE, 0
    for reason, rows in [*Counter(reasons).items()][:_MOST_UNREADABLE]:
        told_of += rows
        yield f"not read: {reason}" + (f" ({rows:,} rows{' or more' * at_least})" if rows > 1 else "")
    if rest := len(reasons) - told_of:
        yield f"not read: {counted(rest, 'more row')}{', at the least' * at_least}"


def _without_answer(total: Totals) -> str:
    if not total.rejected:
        return f"{counted(total.exhausted, 'row')} exhausted"
    return f"{counted(total.rejected, 'row')} rejected" + (f", {total.exhausted:,} exhausted" if total.exhausted else "")


def _failed(failures: Mapping[Reason, Told], beyond: str) -> Iterator[str]:
    """Why most rows that have no answer have none; the same in several workspaces is one reason. More of them stand *beyond*."""
    alike: dict[tuple[str, str, str], list[tuple[str, Told]]] = {}
    for reason, each in failures.items():
        status = f"{reason.status} " if reason.status else ""
        alike.setdefault((reason.outcome, f"{status}{reason.code}", each.advice), []).append((reason.workspace, each))
    ranked = sorted(alike.items(), key=lambda found: -sum(each.rows for _, each in found[1]))
    for (outcome, what, advice), where in ranked[:_MOST_FAILURES]:
        names, most = shortened([name for name, _ in where]), max((each for _, each in where), key=lambda told: told.rows - told.others)
        others = any(each.others or each.message != most.message for _, each in where)
        message = printable(most.message) + " (some were told something else)" * others
        yield f"{outcome}: {names}, {counted(sum(each.rows for _, each in where), 'row')}: {what}: {message}\n  {printable(advice)}"
    if more := len(ranked[_MOST_FAILURES:]):
        yield f"{counted(more, 'more reason stands', 'more reasons stand')} {beyond}"


def _once_more(total: Totals, ending: Ending, command: str) -> Iterator[str]:
    """How rows that have their end without an answer are asked again, once what ailed them is mended; of held ones it is told elsewhere."""
    gone = ending.failed_and_gone
    rejected, exhausted = (
        max(0, count - gone.get(what, 0)) for what, count in (("rejected", total.rejected), ("exhausted", total.exhausted))
    )
    if left := total.rejected + total.exhausted - rejected - exhausted:
        yield f"{counted(left, 'of them no longer stands', 'of them no longer stand')} in the input, and cannot be asked again"
    if rejected:
        yield f"once that is mended, ask rejected rows again with: {command} --retry-rejected"
    elif exhausted > ending.held and not total.pending:
        yield f"ask exhausted rows again with: {command}"


def _all_parked(parked: Iterable[ParkedScope]) -> Iterator[str]:
    alike: dict[tuple[str, str], list[ParkedScope]] = {}
    for each in parked:
        unmet = each.failure.code in BEFORE_ANY_CALL
        alike.setdefault((each.failure.code, each.failure.message if unmet else ""), []).append(each)
    for (code, message), scopes in alike.items():
        if message and len(scopes) > 1:
            yield _unmet(scopes)
            continue
        told_in_full = len(scopes) if len(scopes) <= _MOST_PARKED + 1 else _MOST_PARKED
        for scope, following in zip_longest(scopes[:told_in_full], scopes[1:told_in_full]):
            # What is to be done is said once of those that follow each other.
            done_so = following is not None and following.failure.advice == scope.failure.advice
            yield _parked(scope) if done_so else f"{_parked(scope)}\n  {printable(scope.failure.advice)}"
        if rest := scopes[told_in_full:]:
            names, waiting = shortened([each.name for each in rest]), counted(sum(each.rows for each in rest), "row")
            yield printable(f"parked: {len(rest):,} more for the same reason, {code}, {waiting}: {names}")


def _unmet(scopes: Sequence[ParkedScope]) -> str:
    """What is sent to one endpoint, and finds no connection to it."""
    failure, rows = scopes[0].failure, counted(sum(each.rows for each in scopes), "row")
    names = shortened(sorted((each.name for each in scopes), key=natural))
    return "\n  ".join(map(printable, (f"parked: {names}, {rows}: {failure.code}: {failure.message}", failure.advice)))


def _parked(parked: ParkedScope) -> str:
    failure = parked.failure
    what = {Scope.ACCOUNT: "account", Scope.WORKSPACE: "workspace"}.get(parked.scope, "workspace and model")
    status = f"{failure.status} " if failure.status else ""
    return printable(f"parked: {what} {parked.name}, {counted(parked.rows, 'row')}: {status}{failure.code}: {failure.message}")
