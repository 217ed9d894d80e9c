"""What an opening notices, and tells a person before the first call: bad lines, shared keys, what has changed, what is left of before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from shlex import quote
from typing import Any

from pydantic import SecretStr

from batchrun.core.counted import counted, shortened
from batchrun.core.errors import LedgerError
from batchrun.core.jobs import changes as job_changes
from batchrun.core.jobs.job import Job, Workspace
from batchrun.core.jobs.tables.tenants import AccountTable
from batchrun.core.jobs.words import key_path, quoted
from batchrun.core.ledger.unlogged import unlogged
from batchrun.core.money.pricing import Prices, region_of
from batchrun.core.rows.reasons import Reason, no_rows, told, was_piped
from batchrun.core.rows.since import MOST_READ, Moved, Since
from batchrun.core.scheduling.past import Past
from batchrun.core.scheduling.plan import Plan
from batchrun.edge import run_directory
from batchrun.edge.environment import Keys
from batchrun.edge.source import Former, Source
from batchrun.running.money import day_of
from batchrun.telling.reading import LOG

_MOST_MOVED = 8
_NOT_KNOWN = "what was called before beyond the entries is not known, and may have been billed without a doubt that covers it"
_MEND = "correct them and run the same command again"
_THEIRS = "their entries are", "they count as in doubt, their rows are"


def set_aside(source: Source, reasons: Iterable[Reason], workspaces: Iterable[str], directory: Path) -> Iterator[str]:
    """What is wrong with the input, told before a call is made rather than in the morning."""
    if lines := source.counts.set_aside:
        kinds = list(reasons)
        others = "the others go on; " if source.counts.rows else ""
        mend = "give them, corrected, to a run with an output of its own" if any(map(was_piped, kinds)) else _MEND
        yield f"{no_rows(lines)} (all are in {directory}/rejected-input.jsonl): {others}{mend}"
        yield from told(lines, kinds, workspaces)
    if not source.counts.rows:
        yield "no row stands in the input: there is nothing to do"


def without_files(directory: Path, described: Mapping[str, Any]) -> Iterator[str]:
    """Tell of calls without what says whose they are, and of answers without the log of their calls: later openings begin both anew."""
    log, description = directory / LOG, directory / "run.json"
    answers = (path / "results.jsonl" for path in run_directory.workspace_directories(directory))
    is_logged, is_answered = _holds_any(log), any(map(_holds_any, answers))
    if (is_logged or is_answered) and not described.get("run"):
        why = "a row that was sent before goes under another idempotency key now, and whether the job is still the same is not known"
        gone = f"the run's name in {description}" if described else f"{description}"
        yield f"{gone} is gone: {why}; if there is a copy, it belongs there before the next call"
    if is_answered and not is_logged:
        yield f"{log} is gone: {_NOT_KNOWN}; if there is a copy, its lines belong before those of the new one"


def unnamed(source: Source, described: Mapping[str, Any]) -> Iterator[str]:
    """That answers will tell nothing of whose they are, before any is paid for: said of a run's first row, before its first opening."""
    if source.counts.rows and not described and (made := source.unnamed(0)):
        why = f"its answer stands under an id that is made of its text ({made}) and, as answers come, in another order"
        yield f"the first row has neither id nor metadata: {why}; to join answers to rows again, give each an id before they are asked"


def changes(plan: Plan, described: Mapping[str, Any], job: Mapping[str, Any], source: Source, before: Former) -> Iterator[str]:
    """What is no longer as the run was *described*: the *job*, the input, the rows that are answered."""
    if described:
        yield from job_changes.told(described.get("job"), job)
        yield from _of_the_input(plan, described, job, source, before)
    if plan.changed:
        yield kept(plan.changed)
    if plan.gone:
        gone = "answered row no longer stands in the input: it stays", "answered rows no longer stand in the input: they stay"
        yield f"{counted(plan.gone, *gone)} in the results and in the statement"
    if failed := plan.failed_and_gone().total():
        gone = "row that failed no longer stands in the input: it stays", "rows that failed no longer stand in the input: they stay"
        yield f"{counted(failed, *gone)} in errors.jsonl and in the statement, and cannot be asked again"


def _of_the_input(plan: Plan, described: Mapping[str, Any], job: Mapping[str, Any], source: Source, before: Former) -> Iterator[str]:
    is_another = _contents(described.get("input")) != _contents(source.fingerprints) or _is_of_others(source, described, job)
    if is_another or _has_other_workspaces(described, job):
        since = before.since(described.get("input"), source)
        more = job_changes.more_rows(described.get("rows"), plan.rows_of_the_run()) or 0
        if is_another or (since.added if since else more > 0):
            became = since or _more(more)
            yield f"the input is no longer what it was when this run was last opened{became and f': {became}'}"
            yield from _renamed(since, plan) if since else ()
            if since and since.added and _is_given_otherwise(described, job):
                yield from _moved(before.moved(described.get("input"), source), since)
            elif since and since.added and since.taken_out:
                yield from _retagged(before.retagged(described.get("input"), source), since)


def kept(changed: int) -> str:
    """That so many rows have answers to what was asked before; said at the end too, for nothing else tells them from those of today."""
    one = "answered row, or the settings it is asked under, has changed since: it keeps its answer"
    many = "answered rows, or the settings they are asked under, have changed since: they keep their answers"
    return f"{counted(changed, one, many)}; what is to be asked anew is given another id, or the run another output"


def without_workspaces(job: Job) -> Iterator[str]:
    """Accounts that no workspace is of, though something is said of them: no quota would be kept to, and no discount counted."""
    owners = {each.account for each in job.workspaces.values()}
    for name, account in job.accounts.items():
        if name not in owners and account != AccountTable():
            said, way_out = " and ".join(sorted(account.model_fields_set)), f"say account = {quoted(name)} in the workspaces that are of it"
            yield f"{key_path(('accounts', name))}: no workspace names it, and nobody has its {said}: {way_out}"


def weights_of_nothing(job: Job) -> Iterator[str]:
    """Weights of workspaces that share no quota, for no other is of their account: they would hold for nothing."""
    accounts = Counter(each.account for each in job.workspaces.values())
    alone = [name for name, each in job.workspaces.items() if each.weight != 1 and (each.account is None or accounts[each.account] < 2)]
    if alone:
        way_out = "name the account in each workspace that shares one, [workspaces.NAME] account"
        yield f"weight of {shortened(alone)}: no quota is shared there with another workspace, and a weight holds for nothing: {way_out}"


def of_keys(keys: Keys, hidden: Mapping[str, str], active: Collection[str], dotenv: Path | None) -> Iterator[str]:
    """Keys of *active* workspaces that are the same, and those that are *hidden* in the file *dotenv*: of which variable, by workspace."""
    yield from shared_keys(keys, active)
    yield from _hidden_keys(hidden, active, dotenv)


def shared_keys(keys: Keys, active: Collection[str]) -> Iterator[str]:
    """The *active* workspaces whose calls the provider takes for one workspace's."""
    sharing: dict[SecretStr, list[str]] = {}
    for name, key in keys.items():
        if name in active and isinstance(key, SecretStr):
            sharing.setdefault(key, []).append(name)
    for names in sharing.values():
        if len(names) > 1:
            why = "the key decides whose bill a call is on, whatever a row says"
            yield f"{shortened(names)} have the same key: {why}; give each workspace its own"


def _hidden_keys(hidden: Mapping[str, str], active: Collection[str], dotenv: Path | None) -> Iterator[str]:
    """The variables of *active* workspaces that the environment has another key for than the file that a person may be editing."""
    variables = dict.fromkeys(variable for name, variable in hidden.items() if name in active)
    if variables:
        why = f"the environment has another key than {dotenv}, and goes before it"
        yield f"{shortened([*variables])}: {why}; unset it to have the file's used"


def prices_to_come(prices: Prices, lanes: Iterable[tuple[str, str]], workspaces: Mapping[str, Workspace], at: float) -> Iterator[str]:
    """The models of *lanes* that have a price which does not hold at a moment yet: their cost is as unknown as if they had none."""
    asked = {(model, region_of(workspaces[workspace].endpoint)) for workspace, model in lanes}
    begins = sorted((model, since) for model, region in asked if (since := prices.begins(model, region, day_of(at))))
    for model, since in sorted(dict(reversed(begins)).items()):
        yield f"{model}: no price is known of it yet: the first begins to hold on {since}"


def left(past: Past, held: int, directory: Path) -> Iterator[str]:
    """What earlier openings left that a person should know of."""
    if past.lost:
        why = "a machine was lost, or lines were taken out"
        its, row = ("its entry is", "it counts as in doubt, its row is") if past.lost == 1 else _THEIRS
        then = "held" if held else "asked again"
        yield f"{counted(past.lost, 'call was', 'calls were')} answered, and {its} gone ({why}): {row} {then}"
    if past.unlogged and _holds_any(directory / LOG):
        why = "it is older than they are, or lines were taken out"
        then = "if there is a copy that does, it belongs there before the next call"
        yield f"{directory / LOG} {unlogged(past.unlogged)} ({why}): {_NOT_KNOWN}; {then}"
    if past.untold:
        unreadable = "the latest opening did not end well, and lines of its attempts.log cannot be read"
        why = "a machine was lost" if past.machine_was_lost else unreadable
        yield f"{why}: up to {counted(past.untold, 'call')} of its last seconds may stand in no line, and count as in doubt"
    if past.unknown:
        yield f"{counted(past.unknown, 'entry has', 'entries have')} fields of a newer batchrun, which are kept"
    yield from held_back(held, directory)


def held_back(held: int, directory: Path) -> Iterator[str]:
    """Rows that wait for a person to decide."""
    if held:
        rows = counted(held, "row is held, for a call of it", "rows are held, for a call of theirs")
        yield f"{rows} may have been billed: batchrun report {quote(str(directory))} --in-doubt"


def _contents(fingerprints: object) -> object:
    """What files hold, by their *fingerprints*: one that is written or packed anew, as every night's export is, may be what it was."""
    if not isinstance(fingerprints, list):
        return fingerprints
    return [(each.get("path"), each.get("blake2b")) if isinstance(each, Mapping) else each for each in fingerprints]


def _is_of_others(source: Source, described: Mapping[str, Any], job: Mapping[str, Any]) -> bool:
    """Whether workspaces may have the rows that others had: a job may give them those of a file that is what it was."""
    _, others = job_changes.changes(described.get("job"), job)
    rows = described.get("rows")
    return "job.input" in others or (isinstance(rows, Mapping) and any(workspace not in rows for workspace, _ in source.index.lanes))


def _is_given_otherwise(described: Mapping[str, Any], job: Mapping[str, Any]) -> bool:
    """Whether the job alone may have made lines another workspace's: only then is each of them looked at."""
    return "job.input" in job_changes.changes(described.get("job"), job)[1] or _has_other_workspaces(described, job)


def _has_other_workspaces(described: Mapping[str, Any], job: Mapping[str, Any]) -> bool:
    """Whether the job has others than it had. What names none of them is the row of one that is left alone, and else no row."""
    was = described.get("job")
    return isinstance(was, Mapping) and set(was.get("workspaces") or ()) != set(job.get("workspaces") or ())


def _renamed(since: Since, plan: Plan) -> Iterator[str]:
    """Workspaces that may have another name now: to a run they are others, and so are their rows."""
    had_rows = {workspace for workspace, _ in plan.rows_of_the_run()}
    if since.came and (went := [workspace for workspace in since.went if workspace in had_rows]):
        have, are = "has" if len(went) == 1 else "have", "is" if len(since.came) == 1 else "are"
        became = f"{shortened(went)} {have} no rows in the input any more, and {shortened(since.came)} {are} new there"
        paid = "what was answered is asked, and paid for, again: give it the name back that it had, in the rows and in the job"
        yield f"{became}: if that is a new name only, {paid}"


def _moved(moved: Iterable[Moved], since: Since) -> Iterator[str]:
    """Lines that nobody edited, and for which another key pays now: of rows that were answered, a second time."""
    others = (each for each in moved if each.was not in since.went or each.now not in since.came)
    for was, now, lines in islice(others, _MOST_MOVED):
        had = "no rows" if was is None else f"rows of {was}"
        pays = "its key pays for them" if was is None else "its key pays for them, and once more for those that were answered"
        way_out = "where that is not meant, name the workspace in the lines, or for their whole input"
        yield f"{counted(lines, 'line')} that had been {had}: rows of {now} now, by the job alone; {pays}; {way_out}"


def _retagged(moved: Iterable[Moved], since: Since) -> Iterator[str]:
    """Rows that edited lines give to another workspace under the id that they had: to a run they are others."""
    at_least = "at least " * (since.added > MOST_READ)
    for was, now, rows in islice((each for each in moved if each.was not in since.went or each.now not in since.came), _MOST_MOVED):
        paid = f"{now}'s key pays for them, and once more for what was answered"
        yield f"of the rows added, {at_least}{rows:,} stood there as rows of {was} under the same id: {paid}"


def _more(rows: int) -> str:
    return f"it has {counted(abs(rows), 'row')} {'more' if rows > 0 else 'fewer'}" if rows else ""


def _holds_any(path: Path) -> bool:
    try:
        return run_directory.is_there(path) and path.stat().st_size > 0
    except OSError as error:
        raise LedgerError(f"{path}: cannot be read: {error.strerror}") from None
