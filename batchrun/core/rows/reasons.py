"""Why lines are no rows, as a person wants it told: a kind of reason at a time, the most frequent first, each with where it was first met.

Two reasons are of a kind where they differ in nothing but numbers, or in whose id it is that stands twice. What is quoted is a name and
tells kinds apart: two workspaces that the job does not know are two mistakes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

MOST_SHOWN = 5
"""Kinds; the others are counted."""
_MOST_KINDS = 1000
"""That are told apart: a file of another kind must not fill the memory with what is wrong in it."""
_DIFFERS = re.compile(r"""(?<=^id )['"].*(?= stands already )|'[^']*'|"[^"]*"|\d+(?:,\d{3})*""")
_MOST_NAMES = 12
ALONE = (
    "the job has no workspace but default: give it a table for each that rows name, [workspaces.NAME] with its api_key_env, or correct the "
    "lines"
)


class Reason(NamedTuple):
    """One kind."""

    lines: int
    place: str
    """Of the first of them: ``rows.jsonl, line 7``."""
    said: str
    """Of the first of them."""

    def __str__(self) -> str:
        place = self.place if self.lines == 1 else f"{self.lines:,} lines, the first {self.place}"
        return f"{place}: {self.said}"


class Reasons:
    """Counts lines by the reason why each is no row."""

    def __init__(self) -> None:
        self.lines = 0
        self._kinds: dict[str, Reason] = {}

    def add(self, file: str, line: int, said: str) -> None:
        """Count one line."""
        self.lines += 1
        kind = _DIFFERS.sub(_common, said)
        known = self._kinds.get(kind)
        if known is not None:
            self._kinds[kind] = known._replace(lines=known.lines + 1)
        elif len(self._kinds) < _MOST_KINDS:
            self._kinds[kind] = Reason(1, f"{file}, line {line}", said)

    def most_frequent(self) -> list[Reason]:
        """The kinds that most lines are of, as many as a person reads."""
        return sorted(self._kinds.values(), key=lambda each: -each.lines)[:MOST_SHOWN]


def _common(differs: re.Match[str]) -> str:
    if differs.start() == len("id ") and differs.string[differs.end() :].startswith(" stands already "):
        return "…"
    return "#" if differs[0][0].isdigit() else differs[0]


_begins_as_headings_do = re.compile(
    r"not JSON: ((unexpected character|invalid literal)(, .*)? at column 1|unexpected content .*, behind text in quotes: .*)"
).fullmatch
"""A word, one that begins as ``true``, ``false`` or ``null`` do, or one in quotes."""

_is_of_no_number = re.compile(r"not JSON: .*, where -?(NaN|Infinity) stands: JSON has no such word, .*").fullmatch
"""As Python's json writes it; others have other spellings, and it would not read those."""

_is_of_ones_own = re.compile(
    """unknown field (?!'instruction'|'conversations')(?P<quote>['"])[^;]*(?P=quote); fields of your own .*"""
).fullmatch
"""What is asked stands in such a line, and no field that is known is near."""

HINTS: Mapping[str, Callable[[Reason], bool]] = {
    "a line must be one whole JSON object: jq -c writes one that stands over several lines so, and jq -c '.[]' those of an array; the last "
    "line of a file that is still being written may be half of one: run the same command again once it is whole": (
        lambda each: each.said.startswith(("not JSON: unexpected end of data", "an array: ")) and not was_piped(each)
    ),
    "a line must be one whole JSON object; where the last one is half of one, what was piped in had ended too early": (
        lambda each: each.said.startswith(("not JSON: unexpected end of data", "an array: ")) and was_piped(each)
    ),
    "the input must be UTF-8: iconv -f GB18030 -t UTF-8 makes it of GBK": lambda each: each.said.startswith("not UTF-8"),
    "a byte order mark stands where a file was put behind another: sed 's/^\\xef\\xbb\\xbf//' takes it away": (
        lambda each: each.said.startswith("not JSON: ") and "byte order mark" in each.said
    ),
    "NaN and Infinity, which pandas' to_json writes as null and json.dumps does not, are made null by: python3 -c 'import json, sys; "
    "[print(json.dumps(json.loads(line, parse_constant=lambda word: None))) for line in sys.stdin.buffer if line.strip()]'": (
        lambda each: bool(_is_of_no_number(each.said))
    ),
    # Of a file whose very first word is wrong, that may be all.
    "a table with headings (CSV) is made JSON lines by: "
    'python3 -c \'import csv, json, sys; sys.stdin.reconfigure(encoding="utf-8-sig", newline=""); head = sys.stdin.readline(); '
    'by = max(",;\\t", key=head.count); [print(json.dumps({name: cell for name, cell in row.items() if cell})) '
    "for row in csv.DictReader(sys.stdin, next(csv.reader([head], delimiter=by)), delimiter=by)]'": (
        # Older versions of the parser say only that it is unexpected, newer ones what they had expected there too.
        lambda each: each.place.endswith(", line 1") and bool(_begins_as_headings_do(each.said))
    ),
    "instructions (Alpaca) are made rows by: python3 -c 'import json, sys; "
    '[print(json.dumps({"prompt": "\\n\\n".join(filter(None, (row["instruction"], row.get("input"))))})) '
    "for row in map(json.loads, sys.stdin.buffer)]'": lambda each: each.said.startswith("unknown field 'instruction'"),
    "columns of your own are put into metadata by: python3 -c 'import json, sys; "
    'asks = {"id", "workspace", "prompt", "messages", "model", "parameters", "stream", "custom_id", "method", "url", "body"}; '
    '[print(json.dumps({name: cell for name, cell in row.items() if name in asks and cell is not None} | {"metadata": '
    '{name: cell for name, cell in row.items() if name not in asks and name != "metadata"} | (row.get("metadata") or {})})) '
    "for row in map(json.loads, sys.stdin.buffer)]'": lambda each: bool(_is_of_ones_own(each.said)),
    "conversations (ShareGPT) are made rows, each asked for its last answer anew, by: python3 -c 'import json, sys; "
    'role = {"human": "user", "gpt": "assistant"}; '
    'rows = ([{"role": role.get(turn["from"], turn["from"]), "content": turn["value"]} for turn in json.loads(line)["conversations"]] '
    'for line in sys.stdin.buffer); [print(json.dumps({"messages": row[:-1] if row[-1]["role"] == "assistant" else row})) for row in rows]'
    "'": lambda each: each.said.startswith("unknown field 'conversations'"),
}
"""How files of other kinds become JSON lines, and which reasons speak for such a one."""


def no_rows(lines: int) -> str:
    """Say how many lines are no row."""
    return "1 input line is no row" if lines == 1 else f"{lines:,} input lines are no row"


def described(told: object) -> list[Reason]:
    """Read what a run's description tells of its reasons; nothing of what is none."""
    known = [each for each in told if isinstance(each, dict)] if isinstance(told, list) else []
    return [
        Reason(lines, place, said)
        for lines, place, said in ([each.get(name) for name in Reason._fields] for each in known)
        if type(lines) is int and isinstance(place, str) and isinstance(said, str)
    ]


def told(lines: int, reasons: Iterable[Reason], workspaces: Iterable[str] = ()) -> Iterator[str]:
    """Say of *lines* that are no row what *reasons* are, and the job's *workspaces*, where one of them may be meant."""
    shown = list(reasons)
    yield from map(str, shown)
    if shown and (rest := lines - sum(each.lines for each in shown)):
        yield f"{rest:,} more for other reasons"
    yield from (hint for hint, fits in HINTS.items() if any(map(fits, shown)))
    names = list(workspaces)
    if names and any(map(is_of_a_workspace, shown)):
        yield known(names)


def was_piped(reason: Reason) -> bool:
    """Whether its lines came by standard input, which is kept as it came: the run takes no others in their place."""
    return reason.place.startswith("-, line ")


def is_of_a_workspace(reason: Reason) -> bool:
    """Whether its lines name a workspace that the job does not know."""
    return " is not one of the job's" in reason.said


def known(names: Sequence[str]) -> str:
    """Say which workspaces a job has, to whoever names another."""
    if names == ["default"]:
        return ALONE
    more = f" and {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else ""
    return f"the job's workspaces are {', '.join(names[:_MOST_NAMES])}{more}"
