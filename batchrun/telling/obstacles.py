"""What a run would park or reject, found before a call: keys, models, routes, rows that fit no minute, local files, bad lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from batchrun.core.jobs.job import Job, Workspace
from batchrun.core.model import Failure, Fault, Row, Scope
from batchrun.core.rows.parts import media_of
from batchrun.core.rows.reasons import HINTS, is_of_a_workspace, known
from batchrun.core.rows.routes import NoRoute, route
from batchrun.core.scheduling.expected import LaneKey
from batchrun.core.scheduling.prospects import Obstacle
from batchrun.edge.media import MediaRoot
from batchrun.edge.source import Source
from batchrun.running.opening import Opening
from batchrun.running.parks import parks_before_any_call
from batchrun.running.planning import least_tpm, read_learnt
from batchrun.telling.sampling import Read, input_of

_MOST_TOKENS_A_BYTE = 0.25
"""No text comes to more by the estimate."""
_PARAMETERS_BYTES = 4096
"""What a workspace's parameters add to a line is less."""


def parks(workspaces: Mapping[str, Workspace], keys: Mapping[str, Any], lanes: Iterable[LaneKey]) -> dict[LaneKey, Obstacle]:
    """Lanes without a key, or of a model that the job does not list."""
    return {
        (workspace, model): Obstacle(_where(workspace, model if failure.scope is Scope.LANE else None), 0, failure.message, failure.advice)
        for workspace, model, failure in parks_before_any_call(workspaces, keys, lanes)
    }


def without_route(workspaces: Mapping[str, Workspace], lanes: Iterable[LaneKey]) -> dict[LaneKey, Obstacle]:
    """Lanes whose model no address of their endpoint serves."""
    found = {}
    for name, model in lanes:
        workspace = workspaces[name]
        way = route(workspace.endpoint, workspace.protocol, model, tuned=model in workspace.deployments)
        if isinstance(way, NoRoute):
            found[name, model] = Obstacle(_where(name, model), 0, way.reason, way.advice)
    return found


def _where(workspace: str, model: str | None) -> str:
    return f"workspace {workspace}" if model is None else f"workspace {workspace}, {model}"


def parked(parked: Mapping[LaneKey, Obstacle], counts: Mapping[LaneKey, int]) -> Iterator[Obstacle]:
    """One obstacle a scope, with the rows of all its lanes."""
    rows: dict[Obstacle, int] = {}
    for lane, obstacle in parked.items():
        rows[obstacle] = rows.get(obstacle, 0) + counts[lane]
    return (replace(obstacle, rows=count) for obstacle, count in rows.items())


def never_fitting(workspace: Workspace, model: str, opening: Opening) -> frozenset[int]:
    """Rows that the run would reject, for they are larger than what may be sent in a minute; those that might be are read."""
    most = least_tpm(workspace, model)
    if most is None:
        return frozenset()
    source, estimate = opening.source, read_learnt(opening.directory).estimate((workspace.name, model))
    suspicious = most / (_MOST_TOKENS_A_BYTE * estimate.ratio) - _PARAMETERS_BYTES
    large = (row for row in opening.plan.rows((workspace.name, model)) if source.line_bytes(row) > suspicious)
    return frozenset(row for row in large if input_of(source.read(row), estimate) > most)


def unfitting(unfit: Mapping[LaneKey, frozenset[int]]) -> Iterator[Obstacle]:
    """The rows of `never_fitting`, told by lane."""
    for (workspace, model), rows in unfit.items():
        if rows:
            said = "more input tokens than the tightest tpm lets through in a minute: the run would reject them"
            yield Obstacle(_where(workspace, model), len(rows), said, "raise tpm in the job, or make the rows smaller")


def without_files(job: Job, lane: LaneKey, count: int, source: Source, read: Read) -> Iterator[Obstacle]:
    """What of a lane's *count* rows, by those that were *read*, would be rejected over the local files that they name; a kind at a time."""
    found: dict[str, list[Failure]] = {}
    for ordinal, row in read:
        if (failure := _over_files(row, source.folder(ordinal), job.media.root)) is not None:
            found.setdefault(failure.code, []).append(failure)
    for code, (first, *more) in found.items():
        some = f", as the {len(read):,} rows tell that were looked at" if len(read) < count else ""
        yield Obstacle(_where(*lane), round(count * (1 + len(more)) / len(read)), f"{code}: {first.message}{some}", first.advice)


def _over_files(row: Row, beside: Path, root: str | None) -> Failure | None:
    """Why a row would be rejected before its call; what only may be, as a disk that does not answer, is none."""
    folder = MediaRoot(Path(root) if root else beside)
    looks = (folder.look(each, beside) for each in media_of(row.body["messages"]) if each.is_local)
    return next((each for each in looks if each is not None and each.fault is Fault.REJECT), None)


def set_aside(opening: Opening, workspaces: Iterable[str]) -> Iterator[Obstacle]:
    """A kind of mistake at a time, and the rest together; *workspaces* are those of the job."""
    advice = "correct the lines; the run sets them aside and goes on"
    of_a_workspace = f"{known([*workspaces])}; the run sets the lines aside and goes on"
    for each in opening.no_rows:
        more = f" (and {each.lines - 1:,} more)" if each.lines > 1 else ""
        hint = next((hint for hint, fits in HINTS.items() if fits(each)), of_a_workspace if is_of_a_workspace(each) else advice)
        yield Obstacle(each.place + more, each.lines, each.said, hint)
    if rest := opening.source.counts.set_aside - sum(each.lines for each in opening.no_rows):
        yield Obstacle("the input", rest, "lines that are no row for other reasons", advice)
