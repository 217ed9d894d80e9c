"""What an opening finds: the run directory described, its ledger mended and read, the input indexed, and so what is left to do."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from batchrun import __version__
from batchrun.core.classes import value
from batchrun.core.errors import JobError, Mistake, RunDamagedError, no_such_name
from batchrun.core.jobs.job import Job, Workspace, settings_salt
from batchrun.core.ledger.doubt import Calls
from batchrun.core.rows.reasons import Reason, Reasons, no_rows, told
from batchrun.core.rows.rows import Inherited
from batchrun.core.scheduling.past import Past
from batchrun.core.scheduling.plan import Plan
from batchrun.edge import history, run_directory, trust
from batchrun.edge.set_aside import collecting
from batchrun.edge.source import Former, InputFile, SetAside, Source, former, named, would_lead_into, would_match
from batchrun.running import noticed
from batchrun.running.by_proxy import passed_over
from batchrun.running.checkpoints import Checkpoint
from batchrun.running.following import Followed, followed
from batchrun.running.other_units import in_other_units
from batchrun.running.priced_before import FIELD, Before, kept
from batchrun.running.rehearsals import refuse_to_mix
from batchrun.running.schema_of import schema_in
from batchrun.running.unheeded import unheeded
from batchrun.telling.reading import FILES, LOG


@value
class Opening:
    """One opening of a run: what it works on."""

    directory: Path
    run: str
    number: int
    source: Source
    plan: Plan
    notes: tuple[str, ...]
    """For a person: what was mended, what has changed."""
    followed: Followed | None = None
    """What is known of the ledger while it is written."""
    no_rows: tuple[Reason, ...] = ()
    """Why most of the lines that are no row are none."""


@contextmanager
def opened(
    job: Job, workspaces: Mapping[str, Workspace], directory: Path, *, strict: bool, retry_rejected: bool, hold_in_doubt: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> Iterator[Opening]:  # fmt: skip
    """Find out what is left of *job* in the run directory, which the caller holds locked. Blocks: call it in a worker thread."""
    trust.look_over(directory)
    described = _description(directory, job, workspaces)
    notes = _mended(directory)
    notes += noticed.without_files(directory, described)
    with (
        former(directory / "input") as before,
        _source(job, workspaces, directory / "input", directory / "rejected-input.jsonl", strict=strict, on_progress=on_progress) as (
            source,
            reasons,
        ),
    ):
        checkpoint = _checkpoint(directory, source)
        past, plan, held = _past(checkpoint, source, retry_rejected=retry_rejected, hold_in_doubt=hold_in_doubt, keep=True)
        _refuse_another_input(directory, past.plan, told(source.counts.set_aside, reasons, workspaces))
        run = described.get("run") or uuid.uuid4().hex
        _describe(directory, job, run, source, plan, reasons, kept(described, _dumped(job), past.latest))
        notes += [
            *([checkpoint.note] if checkpoint.note else []),
            *source.notes,
            *noticed.set_aside(source, reasons, workspaces, directory),
            *_noticed(job, source, plan, described, before),
            *noticed.left(past, held, directory),
        ]
        following = followed(directory, past, checkpoint)
        yield Opening(directory, run, past.latest + 1, source, plan, tuple(notes), following, reasons)


@contextmanager
def looked_into(
    job: Job, workspaces: Mapping[str, Workspace], directory: Path, scratch: Path | None, *,
    on_progress: Callable[[int, int], None] | None,
) -> Iterator[Opening]:  # fmt: skip
    """Find out the same and change nothing: *directory* need not be there, and may be held by another process.

    Spools go to *scratch*; without one, an input that has none yet is refused.
    """
    refuse_its_own(job, directory)
    run_directory.refuse_a_file(directory)
    run_directory.refuse_a_twin(directory)
    if directory.is_dir():
        # Whose it is to be would show by a file that is made there.
        trust.look_over(directory, directory.stat().st_uid)
    described = _description(directory, job, workspaces)
    with (
        former(directory / "input") as before,
        _source(job, workspaces, (scratch or directory) / "input", None, on_progress=on_progress, read_only=scratch is None) as (
            source,
            reasons,
        ),
    ):
        holder = run_directory.holder(directory)
        past, plan, held = _past(_checkpoint(directory, source), source, retry_rejected=False, hold_in_doubt=job.retry.in_doubt == "hold")
        # Of a run that is under way an answer may have its line in the log, and its entry not yet.
        is_still = holder is None and run_directory.holder(directory) is None
        _refuse_another_input(directory, past.plan, told(source.counts.set_aside, reasons, workspaces))
        notes = (
            *noticed.without_files(directory, described),
            *source.notes,
            *_noticed(job, source, plan, described, before),
            *(noticed.left(past, held, directory) if is_still else noticed.held_back(held, directory)),
        )
        yield Opening(directory, described.get("run", ""), past.latest, source, plan, notes, no_rows=reasons)


def _noticed(job: Job, source: Source, plan: Plan, described: Mapping[str, Any], before: Former) -> Iterator[str]:
    """What a run and its plan are both told of the job, the input, and what has become of them."""
    yield from noticed.unnamed(source, described)
    yield from unheeded(source, plan)
    yield from noticed.without_workspaces(job)
    yield from noticed.weights_of_nothing(job)
    yield from in_other_units(job)
    yield from passed_over(job, job.workspaces_resolved(), {name for name, _ in plan.lanes()})
    yield from noticed.changes(plan, described, _dumped(job), source, before)


def _refuse_another_input(directory: Path, plan: Plan, why_no_rows: Iterable[str]) -> None:
    if plan.is_of_another_input:
        # An edited job may have made no rows of them: lines that name no workspace are none once there are two.
        why = "".join(f"\n  {line}" for line in why_no_rows)
        mend = "lines that are no rows may have been those: mend them, or the job; if they were not, " if why else ""
        theirs = "that is the input of another run; give this one an output of its own, or name the rows as before"
        raise RunDamagedError(f"{directory}: none of its {plan.gone:,} answered rows stands in the input: {mend}{theirs}{why}")


def _description(directory: Path, job: Job, workspaces: Mapping[str, Workspace]) -> dict[str, Any]:
    for name in workspaces:
        # Its directory is made for its first answer, which is paid for by then: one that cannot be named is told now.
        try:
            os.fsencode(name)
        except UnicodeEncodeError as error:
            raise no_such_name(f"workspace {name!a}", error) from None
    described = run_directory.read_description(directory) or {}
    if described and (its := described.get("name")) != job.name:
        way_out = f'give this one an output of its own or, where it is that job renamed, its name back: [job] name = "{its}"'
        raise RunDamagedError(f"{directory}: holds the run of another job, {its!r}; {way_out}")
    refuse_to_mix(directory, described, workspaces)
    return described


def _mended(directory: Path) -> list[str]:
    files = [path / name for path in run_directory.workspace_directories(directory) for name in FILES]
    mended = [*(history.repair_tail(path) for path in files), history.repair_tail(directory / LOG, keep_zeros=True)]
    return [note for note in mended if note is not None]


@contextmanager
def _source(
    job: Job, workspaces: Mapping[str, Workspace], spools: Path, aside: Path | None, *, strict: bool = False,
    on_progress: Callable[[int, int], None] | None, read_only: bool = False,
) -> Iterator[tuple[Source, tuple[Reason, ...]]]:  # fmt: skip
    """The input, and why most of the lines are none that are no row; the file *aside* gets all of these."""
    inherited = {name: Inherited(each.model, _asked(each), settings_salt(each)) for name, each in workspaces.items()}
    reasons = Reasons()
    with nullcontext() if aside is None else collecting(aside) as collect:

        def set_aside(line: SetAside) -> None:
            reasons.add(line.file, line.line, line.reason)
            if collect is not None:
                collect(line)

        source = Source.open(
            [InputFile(each.path, each.workspace) for each in job.inputs],
            workspaces=inherited,
            default_workspace=next(iter(workspaces)) if len(workspaces) == 1 else None,
            spool_dir=spools,
            set_aside=set_aside,
            on_progress=on_progress,
            max_line_bytes=job.job.max_line_bytes,
            read_only=read_only,
        )
    with source:
        most = tuple(reasons.most_frequent())
        if strict and reasons.lines:
            shown = "\n".join(f"  {line}" for line in told(reasons.lines, most, workspaces))
            raise JobError(f"{no_rows(reasons.lines)} (all are in {aside}):\n{shown}")
        yield source, most


def refuse_its_own(job: Job, directory: Path) -> None:
    """Refuse an input that stands in the run directory, which need not be there yet: a run that reads what it writes never ends.

    So is a pattern that its files will match, before there are any: later openings would refuse what the first one has begun.
    """
    try:
        own = os.path.realpath(directory)
    except FileNotFoundError:
        raise JobError("the folder that the command is run in was removed: go into one that is there (cd), and run it again") from None
    except UnicodeEncodeError as error:
        raise no_such_name(f"{error.object[:200]!a}", error) from None
    paths = [each.path for each in job.inputs]
    wanted = "must stand elsewhere, or the job have another output"
    mistakes = [
        Mistake(f'input "{path}"', "a file of this run's own directory", wanted)
        for path in named(paths)
        if Path(os.path.realpath(path)).is_relative_to(own)  # one that leads round in a circle is told by who opens it
    ]
    if not mistakes:
        files = [str(directory / name) for name in _own_files(job.workspaces_resolved())]
        leading = [path for path in paths if would_lead_into(path, str(directory))]
        met = [(path, next((file for file in files if would_match(path, file)), None)) for path in leading]
        mistakes = [
            Mistake(f'input "{path}"', f"a pattern that names files of this run's own directory too ({file})", wanted)
            for path, file in met
            if file is not None
        ]
    if mistakes:
        raise JobError("the input cannot be read as it is named", tuple(mistakes))


def _own_files(workspaces: Iterable[str]) -> Iterator[str]:
    """What an opening may leave in the run directory."""
    yield from (LOG, "run.json", "rejected-input.jsonl", "input/001.jsonl", "usage.csv", "report.html")
    for name in workspaces:
        yield from (f"{name}/{file}" for file in (*FILES, "usage.json"))


def _asked(workspace: Workspace) -> Mapping[str, Any]:
    """What goes into every request of *workspace*; a row's own word on streaming goes before its."""
    return workspace.parameters if workspace.stream is None else {**workspace.parameters, "stream": workspace.stream}


def _checkpoint(directory: Path, source: Source) -> Checkpoint:
    return Checkpoint(directory, "plan", source.identity, {"index": source.index})


def _past(
    checkpoint: Checkpoint, source: Source, *, retry_rejected: bool, hold_in_doubt: bool, keep: bool = False
) -> tuple[Past, Plan, int]:  # fmt: skip
    """What was done, what this opening has to do, and how many rows of that it holds."""
    past = checkpoint.read_on(lambda: Past(source.index), keep=keep)
    plan = past.plan.copy()
    if retry_rejected:
        plan.retry_rejected()
    past.unlogged = past.calls.unlogged()
    rows: dict[tuple[str, str], None] = {}
    # Counted anew: what is kept of an earlier opening's reader has its counts.
    past.lost = 0
    past.untold, past.machine_was_lost = past.calls.lost_at_last()
    for started, why, _ in past.calls.in_doubt():
        past.lost += why == Calls.MISSING and plan.is_left(started.workspace, started.row_id)
        if hold_in_doubt:
            rows[started.workspace, started.row_id] = None
    held = plan.hold(rows)
    return past, plan, held


def _describe(directory: Path, job: Job, run: str, source: Source, plan: Plan, reasons: Iterable[Reason], before: list[Before]) -> None:
    rows: dict[str, dict[str, int]] = {}
    for (workspace, model), count in sorted(plan.rows_of_the_run().items()):
        rows.setdefault(workspace, {})[model] = count
    description: dict[str, Any] = {
        "format": run_directory.FORMAT,
        "run": run,
        "name": job.name,
        "batchrun": __version__,
        "opened_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "input": source.fingerprints,
        "rejected_input": source.counts.set_aside,
        "rejected_for": [each._asdict() for each in reasons],
        "rows": rows,
        "job": (dumped := _dumped(job)),
        "job_digest": run_directory.digest_of(dumped),
    }
    if before:
        description[FIELD] = before
    run_directory.write_description(directory, description)


def _dumped(job: Job) -> dict[str, Any]:
    """What the job says, and the file of its schema: that may be edited, and keep its name."""
    dumped: dict[str, Any] = job.model_dump(mode="json", exclude_unset=True)
    if isinstance(path := job.answers.schema_, str):
        dumped["answers"]["schema"] = schema_in(path)
    return dumped
