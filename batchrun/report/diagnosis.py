"""A diagnosis as text for a terminal: what is wrong first told in a word, then in full, then what to ask the account's owner for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from batchrun.core.columns import width
from batchrun.core.counted import counted
from batchrun.core.diagnosis import Examined, State, asked_of_the_owner
from batchrun.report.drawn import drawn, fitted

_MARKS = {State.OK: "ok", State.NOTE: "", State.UNKNOWN: "?", State.WRONG: "WRONG"}
_MOST_WHOLE = 12
"""Workspaces that are told in full; of more, those with nothing but ok are named in a line."""
_WIDEST = 24
"""Columns of a workspace's name; a wider one stands in a line of its own."""
_MOST_NAMED = 6


def diagnosis(examined: Sequence[Examined], room: int | None = None) -> str:
    """Return a line a finding by workspace, for a terminal of *room* columns; advice beneath it, last the grants to ask for."""
    folds = len(examined) > _MOST_WHOLE
    shown, folded = list[Examined](), list[Examined]()
    for each in examined:
        (folded if folds and all(finding.state is State.OK for finding in each.findings) else shown).append(each)
    return "\n".join([*_findings(shown, room), *_fine(folded), *_closing(examined)])


def _findings(examined: Sequence[Examined], room: int | None) -> Iterator[str]:
    cells = [
        [each.workspace if place == 0 and width(each.workspace) <= _WIDEST else "", _MARKS[f.state], f.check, f.model or "", f.said]
        for each in examined
        for place, f in enumerate(each.findings)
    ]
    if not cells:
        return
    lines = iter(fitted(cells, range(5), room))
    is_whole = room is None or max(map(width, drawn(cells, range(5)))) <= room
    indent = " " * (sum(max(width(line[column]) for line in cells) for column in range(4)) + 8 if is_whole else 4)
    for each in examined:
        if width(each.workspace) > _WIDEST:
            yield each.workspace
        for finding in each.findings:
            yield from next(lines)
            if finding.advice:
                yield indent + finding.advice


def _fine(examined: Sequence[Examined]) -> Iterator[str]:
    if examined:
        names = [each.workspace for each in examined]
        more = f" and {len(names) - _MOST_NAMED:,} others" if len(names) > _MOST_NAMED else ""
        yield f"ok in all: {', '.join(names[:_MOST_NAMED])}{more}"


def _closing(examined: Sequence[Examined]) -> Iterator[str]:
    spent = sum(each.spent_tokens for each in examined)
    if spent:
        yield f"\nthe probes cost {spent:,} tokens, which stand in no run's statement"
    grants = asked_of_the_owner(examined)
    if grants:
        yield "\nto ask the account's owner for:"
        yield from (f"  - {grant}" for grant in grants)
    wrong = sum(each.wrong for each in examined)
    open_still = any(finding.state is State.UNKNOWN for each in examined for finding in each.findings)
    fine = ": nothing that is known stands against a run; see what is marked ?" if open_still else ": nothing stands against a run"
    yield f"\n{len(examined) - wrong:,} of {counted(len(examined), 'workspace')} ready{'' if wrong else fine}"
