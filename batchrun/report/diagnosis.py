"""A diagnosis as text for a terminal: what is wrong first told in a word, then in full, then what to ask the account's owner for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from batchrun.core.columns import padded, width
from batchrun.core.diagnosis import Examined, Finding, State, asked_of_the_owner

_MARKS = {State.OK: "ok", State.NOTE: "", State.UNKNOWN: "?", State.WRONG: "WRONG"}


def diagnosis(examined: Sequence[Examined]) -> str:
    """Return a line a finding by workspace, advice beneath what is wrong, and at the end the grants to ask for."""
    lines = [
        [each.workspace if first else "", _MARKS[finding.state], finding.check, finding.model or "", finding.said]
        for each in examined
        for first, finding in _firsts(each)
    ]
    widths = [max(width(line[column]) for line in lines) for column in range(4)]
    drawn = ["  ".join([*map(padded, line[:4], widths), line[4]]).rstrip() for line in lines]
    advised = [finding.advice if finding.state in {State.WRONG, State.UNKNOWN} else "" for each in examined for finding in each.findings]
    indent = " " * (sum(widths) + 8)
    text = [part for line, advice in zip(drawn, advised, strict=True) for part in ([line, indent + advice] if advice else [line])]
    return "\n".join([*text, *_closing(examined)])


def _firsts(each: Examined) -> Iterator[tuple[bool, Finding]]:
    return ((place == 0, finding) for place, finding in enumerate(each.findings))


def _closing(examined: Sequence[Examined]) -> Iterator[str]:
    spent = sum(each.spent_tokens for each in examined)
    if spent:
        yield f"\nthe probes cost {spent:,} tokens, which stand in no run's statement"
    grants = asked_of_the_owner(examined)
    if grants:
        yield "\nto ask the account's owner for:"
        yield from (f"  - {grant}" for grant in grants)
    wrong = sum(each.wrong for each in examined)
    yield f"\n{len(examined) - wrong} of {len(examined)} workspaces ready" + ("" if wrong else ": nothing stands against a run")
